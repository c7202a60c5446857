//! What the operators of a lab know of its profiles: the keys that these were made with.

use std::sync::{Arc, Mutex, PoisonError};

use modem::network::SubscriberKeys;
use rsp::Iccid;
use rsp::aka::Aka;
use smdp::{Profile, Smdp};

/// The keys of the profiles that are on the card from the start, that the server has orders for, and that are built in.
/// A profile that comes from elsewhere is not known, and the mobile network believes its card.
pub(super) struct ProfileKeys {
    pub(super) preinstalled: Vec<(Iccid, Aka)>,
    /// The server of the lab, where there is one.
    pub(super) server: Option<Arc<Mutex<Smdp>>>,
}

impl SubscriberKeys for ProfileKeys {
    fn of(&mut self, iccid: &str) -> Option<Aka> {
        let iccid = Iccid::parse(iccid).ok()?;
        let known = self.preinstalled.iter().find(|(known, _)| *known == iccid).map(|(_, aka)| aka.clone());
        known.or_else(|| self.ordered(iccid)).or_else(|| built_in(iccid))
    }
}

impl ProfileKeys {
    fn ordered(&self, iccid: Iccid) -> Option<Aka> {
        let server = self.server.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        let order = server.orders().iter().find(|order| order.profile().iccid() == iccid)?;
        Some(Aka::of_package(order.profile().package())?.1)
    }
}

/// One of an earlier run, say, whose card was kept.
fn built_in(iccid: Iccid) -> Option<Aka> {
    let spec = smdp::profile::built_in().into_values().find(|spec| Iccid::parse(&spec.iccid) == Ok(iccid))?;
    Some(Aka::of_package(Profile::build(&spec).ok()?.package())?.1)
}
