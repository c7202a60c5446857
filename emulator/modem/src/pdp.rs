//! Packet data contexts of the device (TS 27.007 §10.1): what is defined, with which credentials, and what of it stands.
//!
//! ```text
//! +CGDCONT, +QICSGP, +CGAUTH -> Context { definition, credentials }
//! +CGACT, +QIACT, ATD*99#    -> PdpContexts::activate -> Network::activate -> Bearer, or a cause
//! ```
//!
//! The network decides: [`Network::activate`] is the one place where it is asked, and [`Bearer`] is what it gives.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::network::Network;

/// The context identifiers that can be defined (TS 27.007 §10.1.1).
pub(crate) const CONTEXTS: std::ops::RangeInclusive<u8> = 1..=15;

/// `<PDP_type>` (TS 27.007 §10.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum PdpType {
    #[default]
    Ip,
    Ipv6,
    Ipv4v6,
}

impl PdpType {
    pub(crate) const ALL: [PdpType; 3] = [PdpType::Ip, PdpType::Ipv6, PdpType::Ipv4v6];

    /// As `+CGDCONT` writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            PdpType::Ip => "IP",
            PdpType::Ipv6 => "IPV6",
            PdpType::Ipv4v6 => "IPV4V6",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        PdpType::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// `<context_type>` of `+QICSGP` (EC200U&EG915U TCP/IP AN 1.1 §2.4.2).
    pub(crate) fn number(self) -> u8 {
        match self {
            PdpType::Ip => 1,
            PdpType::Ipv6 => 2,
            PdpType::Ipv4v6 => 3,
        }
    }

    pub(crate) fn numbered(number: u32) -> Option<Self> {
        PdpType::ALL.into_iter().find(|kind| u32::from(kind.number()) == number)
    }
}

/// `<auth_prot>` (TS 27.007 §10.1.31).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Authentication {
    #[default]
    None = 0,
    Pap = 1,
    Chap = 2,
}

impl Authentication {
    pub(crate) fn numbered(number: u32) -> Option<Self> {
        match number {
            0 => Some(Authentication::None),
            1 => Some(Authentication::Pap),
            2 => Some(Authentication::Chap),
            _ => None,
        }
    }
}

/// Who the device says it is to the packet data network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Credentials {
    pub(crate) method: Authentication,
    pub(crate) user: String,
    pub(crate) password: String,
}

/// What the network gives a context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bearer {
    /// The access point that it leads to, with what the network has put in the place of an empty one.
    pub(crate) apn: String,
    pub(crate) ipv4: Option<Ipv4Addr>,
    pub(crate) ipv6: Option<Ipv6Addr>,
    /// The name servers that the network tells.
    pub(crate) dns: [Ipv4Addr; 2],
}

/// One context.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Context {
    pub(crate) kind: PdpType,
    pub(crate) apn: String,
    pub(crate) credentials: Credentials,
    /// Name servers that a host has set in the place of those of the network (`+QIDNSCFG`).
    pub(crate) dns: Option<[Ipv4Addr; 2]>,
    /// What stands when it is active.
    pub(crate) bearer: Option<Bearer>,
}

impl Context {
    /// The name servers in use.
    pub(crate) fn name_servers(&self) -> Option<[Ipv4Addr; 2]> {
        let bearer = self.bearer.as_ref()?;
        Some(self.dns.unwrap_or(bearer.dns))
    }

    /// Whether a name server of the network is asked: any other one does not answer here.
    pub(crate) fn resolves(&self) -> bool {
        let Some(bearer) = &self.bearer else { return false };
        self.dns.is_none_or(|own| own.iter().any(|server| bearer.dns.contains(server)))
    }
}

/// Why the network refuses a context: a session management cause (TS 24.008 §10.5.6.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SmCause(pub(crate) u8);

/// What the network is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Activation<'a> {
    pub(crate) cid: u8,
    pub(crate) kind: PdpType,
    /// Empty when the device leaves the choice to the network.
    pub(crate) apn: &'a str,
}

/// Why a context is not active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ActivationError {
    /// It is not defined.
    Undefined,
    /// The device is not attached.
    Detached,
    /// The network has refused it.
    Refused(SmCause),
}

/// All contexts of a device.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PdpContexts {
    contexts: BTreeMap<u8, Context>,
    /// The device has detached itself (`+CGATT=0`).
    pub(crate) detached: bool,
    /// `+CGEREP`: whether events are told, and what becomes of those that were kept back.
    pub(crate) reports: (u8, u8),
}

impl PdpContexts {
    /// As a module leaves the factory: the first context leads to the network's own access point.
    pub(crate) fn new() -> Self {
        let first = Context { kind: PdpType::Ipv4v6, ..Context::default() };
        PdpContexts { contexts: BTreeMap::from([(1, first)]), ..PdpContexts::default() }
    }

    /// Defines these contexts, and no others.
    pub(crate) fn restore(&mut self, contexts: Vec<(u8, Context)>) {
        self.contexts = contexts.into_iter().collect();
    }

    /// What a restart leaves: definitions, nothing active.
    pub(crate) fn restart(&mut self) {
        self.contexts.values_mut().for_each(|context| (context.bearer, context.dns) = (None, None));
        self.detached = false;
        self.reports = (0, 0);
    }

    /// All that are defined, by identifier.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u8, &Context)> {
        self.contexts.iter().map(|(cid, context)| (*cid, context))
    }

    pub(crate) fn get(&self, cid: u8) -> Option<&Context> {
        self.contexts.get(&cid)
    }

    pub(crate) fn get_mut(&mut self, cid: u8) -> Option<&mut Context> {
        self.contexts.get_mut(&cid)
    }

    /// What stands, if it does.
    pub(crate) fn bearer(&self, cid: u8) -> Option<&Bearer> {
        self.contexts.get(&cid)?.bearer.as_ref()
    }

    /// Defines a context. One that is active keeps what stands.
    pub(crate) fn define(&mut self, cid: u8, kind: PdpType, apn: String) {
        let context = self.contexts.entry(cid).or_default();
        (context.kind, context.apn) = (kind, apn);
    }

    /// Forgets a context. False when it is active.
    pub(crate) fn undefine(&mut self, cid: u8) -> bool {
        if self.bearer(cid).is_some() {
            return false;
        }
        self.contexts.remove(&cid);
        true
    }

    /// Activates a context; one that is active stays so.
    pub(crate) fn activate(&mut self, cid: u8, network: &mut Network) -> Result<(), ActivationError> {
        if self.detached {
            return Err(ActivationError::Detached);
        }
        let context = self.contexts.get_mut(&cid).ok_or(ActivationError::Undefined)?;
        if context.bearer.is_some() {
            return Ok(());
        }
        let request = Activation { cid, kind: context.kind, apn: &context.apn };
        context.bearer = Some(network.activate(request).map_err(ActivationError::Refused)?);
        Ok(())
    }

    /// Lets go of a context. True when it was active.
    pub(crate) fn deactivate(&mut self, cid: u8, network: &mut Network) -> bool {
        let Some(context) = self.contexts.get_mut(&cid) else { return false };
        context.dns = None;
        let was_active = context.bearer.take().is_some();
        if was_active {
            network.deactivate(cid);
        }
        was_active
    }

    /// The network has let go of a context. True when it was active.
    pub(crate) fn lose(&mut self, cid: u8) -> bool {
        let Some(context) = self.contexts.get_mut(&cid) else { return false };
        context.dns = None;
        context.bearer.take().is_some()
    }

    /// The network has let go of everything, or the radio is off. Gives those that were active.
    pub(crate) fn lose_all(&mut self) -> Vec<u8> {
        let mut lost = Vec::new();
        for (cid, context) in &mut self.contexts {
            context.dns = None;
            if context.bearer.take().is_some() {
                lost.push(*cid);
            }
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::network::memory::NoCard;
    use crate::network::{NetworkSpec, Subscriber, Technology, Wanted};
    use crate::sim::Home;

    #[test]
    fn contexts_come_and_go() {
        let mut network = Network::new(NetworkSpec::default().into(), 7);
        let mut contexts = PdpContexts::new();
        assert_eq!(contexts.activate(1, &mut network), Err(ActivationError::Refused(SmCause(38))));
        let subscriber = Subscriber {
            imsi: "001010123456789".to_owned(),
            iccid: None,
            home: Home { plmn: "00101".to_owned(), name: "Test".to_owned() },
            imei: "490154203237518".to_owned(),
        };
        let wanted = Wanted { technologies: vec![Technology::Lte], roaming: true, persistent: true };
        let _ = network.update(Some(subscriber), wanted, Duration::ZERO, &mut NoCard);
        assert_eq!(contexts.activate(2, &mut network), Err(ActivationError::Undefined));
        contexts.define(2, PdpType::Ip, "iot".to_owned());
        assert_eq!(contexts.activate(2, &mut network), Ok(()));
        let bearer = contexts.bearer(2).unwrap();
        assert_eq!((bearer.apn.as_str(), bearer.ipv4, bearer.ipv6), ("iot", Some(Ipv4Addr::new(10, 7, 157, 2)), None));
        assert!(!contexts.undefine(2));
        assert!(contexts.deactivate(2, &mut network) && !contexts.deactivate(2, &mut network));
        assert!(contexts.undefine(2));
        assert_eq!(contexts.activate(1, &mut network), Ok(()));
        assert_eq!(contexts.lose_all(), [1]);
        contexts.detached = true;
        assert_eq!(contexts.activate(1, &mut network), Err(ActivationError::Detached));
    }

    /// A name server that a host has set answers only when it is the network's.
    #[test]
    fn name_servers() {
        let bearer = Bearer {
            apn: String::new(),
            ipv4: None,
            ipv6: None,
            dns: [Ipv4Addr::new(10, 7, 0, 1), Ipv4Addr::new(10, 7, 0, 2)],
        };
        let mut context = Context { bearer: Some(bearer), ..Context::default() };
        assert!(context.resolves());
        context.dns = Some([Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::UNSPECIFIED]);
        assert!(!context.resolves());
        assert_eq!(context.name_servers(), context.dns);
        context.dns = Some([Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(10, 7, 0, 2)]);
        assert!(context.resolves());
    }
}
