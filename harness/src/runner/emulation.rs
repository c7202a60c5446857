//! Scenarios on the emulation: each in a lab of its own.

use std::fs;
use std::path::Path;

use euicc::spec::CardSpec;
use modem::Model;
use rsp::es10::profiles::ProfileState;
use rsp::ids::{Eid, Iccid};
use smdp::OrderSpec;
use smdp::profile::{PackageNames, Profile, built_in_named};

use super::check::{Observed, SeenNotification, SeenProfile};
use super::{SetUpError, Stage, Target};
use crate::lab::{DEFAULT_EID, Lab, Preinstalled};
use crate::scenario::ast::{Fault, Order, ProfileSource, Scenario, Template, Variable};
use crate::scenario::load::LoadedScenario;
use crate::timeline::Timeline;

/// The emulated modem, card and server.
#[derive(Debug, Clone, Copy, Default)]
pub struct Emulation;

impl Target for Emulation {
    type Stage = Lab;

    async fn set_up(&self, loaded: &LoadedScenario, seed: u64) -> Result<Lab, SetUpError> {
        let scenario = &loaded.scenario;
        let model = Model::named(&scenario.model).map_err(failed)?;
        let eid = match scenario.card.eid {
            Some(eid) => eid,
            None => Eid::parse(DEFAULT_EID).map_err(failed)?,
        };
        let mut builder = Lab::builder().seed(seed).model(model).eid(eid).curve(scenario.curve);
        if let Some(kind) = &scenario.card.kind {
            builder = builder.card(CardSpec::named(kind).map_err(failed)?);
        }
        for wanted in &scenario.card.profiles {
            builder = builder.profile(Preinstalled {
                profile: built_in(&wanted.profile)?,
                enabled: wanted.state == ProfileState::Enabled,
                nickname: wanted.nickname.clone(),
            });
        }
        for wanted in &scenario.orders {
            builder = builder.order(order(wanted, loaded, eid)?);
        }
        for fault in &scenario.faults {
            builder = match fault {
                Fault::Unresolvable => builder.unresolvable(),
                Fault::Server(fault) => builder.fault(fault.clone()),
            };
        }
        let lab = builder.start().map_err(failed)?;
        if is_unresolvable(scenario) {
            // Nothing in the lab can see a name being looked up: it is told beforehand.
            lab.timeline().fault("name", format!("{} does not resolve", lab.smdp_address()));
        }
        Ok(lab)
    }
}

fn failed(error: impl std::fmt::Display) -> SetUpError {
    SetUpError::Failed(error.to_string())
}

fn is_unresolvable(scenario: &Scenario) -> bool {
    scenario.faults.contains(&Fault::Unresolvable)
}

fn built_in(name: &str) -> Result<Profile, SetUpError> {
    let spec = built_in_named(name).ok_or_else(|| SetUpError::Failed(format!("there is no profile {name:?}")))?;
    Profile::build(&spec).map_err(failed)
}

fn order(order: &Order, loaded: &LoadedScenario, eid: Eid) -> Result<OrderSpec, SetUpError> {
    let profile = match &order.profile {
        ProfileSource::BuiltIn(name) => built_in(name)?,
        ProfileSource::Package(file) => {
            let path = loaded.path.parent().unwrap_or(Path::new("")).join(file);
            let package = fs::read(&path)
                .map_err(|error| SetUpError::Failed(format!("the profile package {}: {error}", path.display())))?;
            Profile::from_package(&package, &PackageNames::default()).map_err(failed)?
        }
    };
    let eid = match &order.eid {
        None => None,
        Some(template) => Some(Eid::parse(&fill_eid(template, eid)).map_err(failed)?),
    };
    Ok(OrderSpec {
        matching_id: order.matching_id.clone(),
        eid,
        profile,
        confirmation_code: order.confirmation_code.clone(),
        state: order.state,
        replace_session_keys: Some(order.replace_session_keys),
        expires: None,
        max_attempts: None,
        owner: None,
        profile_type: None,
        requires: Vec::new(),
        smds: None,
    })
}

/// An EID in which `${eid}` stands for that of the card; other variables make no EID.
fn fill_eid(template: &Template, eid: Eid) -> String {
    template.fill(|variable| match variable {
        Variable::Eid => eid.to_string(),
        Variable::Smdp | Variable::Iccid(_) => String::new(),
    })
}

impl Stage for Lab {
    fn tty(&self) -> &Path {
        self.tty()
    }

    fn eid(&self) -> Eid {
        self.eid()
    }

    fn smdp_address(&self) -> String {
        self.smdp_address().to_owned()
    }

    fn ci_file(&self) -> &Path {
        self.ci_file()
    }

    fn timeline(&self) -> &Timeline {
        self.timeline()
    }

    fn iccid_of(&self, profile: &str) -> Option<Iccid> {
        built_in_named(profile).and_then(|spec| Iccid::parse(&spec.iccid).ok())
    }

    fn observe(&self) -> Observed {
        let profiles = self.profiles().into_iter().map(|profile| SeenProfile {
            iccid: profile.iccid,
            state: profile.state,
            nickname: profile.nickname.unwrap_or_default(),
        });
        let notifications = self.notifications().into_iter().map(|notification| SeenNotification {
            event: notification.metadata.event(),
            iccid: notification.metadata.iccid,
        });
        let orders = self.orders().into_iter().filter_map(|order| Some((order.matching_id?, order.state.to_string())));
        Observed {
            profiles: profiles.collect(),
            notifications: notifications.collect(),
            open_channels: self.open_channels(),
            orders: orders.collect(),
        }
    }
}
