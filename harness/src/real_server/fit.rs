//! Which scenarios can be run at a real server, and what of them cannot be seen there.

use rsp::crypto::Curve;
use smdp::OrderState;

use super::RealServer;
use crate::scenario::ast::*;
use crate::scenario::load::LoadedScenario;

impl RealServer {
    /// A scenario as it can be run here; one that cannot is skipped with the reason.
    pub fn fit(&self, mut loaded: LoadedScenario) -> LoadedScenario {
        if loaded.scenario.skip.is_none() {
            loaded.scenario.skip = self.unfit(&loaded.scenario);
        }
        loaded
    }

    /// Why a scenario cannot be run here, if it cannot.
    fn unfit(&self, scenario: &Scenario) -> Option<String> {
        let of_emulation = |layer: &str| Some(format!("its fault ({layer}) is one of the emulated server"));
        for fault in &scenario.faults {
            match fault {
                Fault::Line(..) | Fault::Card(..) => {}
                Fault::Unresolvable => return of_emulation("its name"),
                Fault::Address(_) => return of_emulation("its address"),
                Fault::Server(fault) => return of_emulation(fault.action.layer()),
            }
        }
        let calls_nothing = scenario.expect.es9plus.as_ref().is_some_and(|expected| expected.value.is_empty());
        if !is_about_the_server(scenario) || calls_nothing {
            return Some("it has nothing to do with the server".to_owned());
        }
        if let Some(name) = &scenario.smdp_name {
            return Some(format!("it calls the server {name}, and this one has a name of its own"));
        }
        if scenario.pki_folder.is_some() {
            return Some("it brings certificates of its own, which this server does not trust".to_owned());
        }
        let network = scenario.network.is_some() || scenario.expect.network != ExpectedNetwork::default();
        if network {
            return Some("its mobile network knows the profiles of the emulated server alone".to_owned());
        }
        self.unfit_card(scenario).or_else(|| self.unfit_orders(scenario)).or_else(|| self.unfit_steps(scenario))
    }

    fn unfit_card(&self, scenario: &Scenario) -> Option<String> {
        let of_kind = scenario.card.kind.as_deref().and_then(|kind| euicc::spec::CardSpec::named(kind).ok());
        let brings_some = of_kind.as_ref().is_some_and(|kind| !kind.profiles.is_empty());
        if !scenario.card.profiles.is_empty() || brings_some || scenario.card.file.is_some() {
            return Some("it begins with profiles on the card that this server has not made".to_owned());
        }
        let pki = self.pki.as_ref()?;
        let kind = of_kind.map(|kind| kind.ci).unwrap_or_default();
        let mut curves = if scenario.card.ci.is_empty() { kind } else { scenario.card.ci.clone() };
        curves.push(scenario.curve);
        let missing = |curve: &Curve| pki.ci(*curve).is_err();
        curves.into_iter().find(missing).map(|curve| format!("the folder of --pki has no certificates on {curve}"))
    }

    fn unfit_orders(&self, scenario: &Scenario) -> Option<String> {
        let mut profiles: Vec<&str> = Vec::new();
        for order in &scenario.orders {
            let ProfileSource::BuiltIn(profile) = &order.profile else {
                return Some("its profile is a package in a file, which this server does not have".to_owned());
            };
            if profiles.contains(&profile.as_str()) {
                return Some(format!("it orders the profile {profile} twice, and a server gives each to one card"));
            }
            profiles.push(profile);
            if order.expires.is_some() || order.attempts.is_some() {
                return Some("how long and how often an order can be tried is for this server to say".to_owned());
            }
            if !order.rules.is_empty() {
                return Some("the policy rules of a profile are for this server to say".to_owned());
            }
            if order.replace_session_keys {
                return Some("whether a package has keys of its own is for this server to say".to_owned());
            }
            if let Some(reason) = self.no_such_order(order, profile) {
                return Some(reason);
            }
        }
        None
    }

    /// Why there is no such order and none can be made, if that is so.
    fn no_such_order(&self, order: &Order, profile: &str) -> Option<String> {
        if self.stock.orders.iter().any(|given| given.profile == profile && given.state == order.state) {
            // Which of them, and whether one is left, is seen when it is taken.
            return None;
        }
        let can_be_made = matches!(order.state, OrderState::Released | OrderState::Confirmed);
        if !can_be_made {
            let state = order.state;
            return Some(format!("an order that is {state} cannot be made over ES2+, and the orders file has none"));
        }
        match (&self.operator, self.stock.profiles.contains_key(profile)) {
            (Some(_), true) => None,
            (Some(_), false) => {
                Some(format!("the orders file does not say what {profile} is at this server ([profile.{profile}])"))
            }
            (None, _) => Some(format!(
                "it needs an order of {profile}: --es2 URL makes one, or --smdp-orders FILE tells of one that is there"
            )),
        }
    }

    fn unfit_steps(&self, scenario: &Scenario) -> Option<String> {
        let mut reason = (scenario.clock.is_some()).then(|| "the clock of a real server is not set".to_owned());
        Step::each(&scenario.steps, &mut |step| {
            let found = match &step.action {
                StepAction::Clock(_) => Some("the clock of a real server is not set".to_owned()),
                StepAction::Network(_) => {
                    Some("its mobile network knows the profiles of the emulated server alone".to_owned())
                }
                StepAction::Server(ServerAction::Stop | ServerAction::Start) => {
                    Some("a real server is not switched off by this".to_owned())
                }
                StepAction::Server(ServerAction::Expire(_)) => Some("no operator can have an order expire".to_owned()),
                StepAction::Server(ServerAction::Release(_) | ServerAction::Cancel(_)) if self.operator.is_none() => {
                    Some("what an operator does at the server is done over ES2+ (--es2 URL)".to_owned())
                }
                StepAction::Server(ServerAction::Release(id)) => {
                    let confirmed =
                        |order: &Order| order.matching_id.as_ref() == Some(id) && order.state == OrderState::Confirmed;
                    // SGP.22 §5.3.4; after a failed download it is an order no more.
                    let told = "ES2+ releases an order that is confirmed, and no other".to_owned();
                    (!scenario.orders.iter().any(confirmed)).then_some(told)
                }
                StepAction::Lpa { operation: Operation::Download { activation_code, .. }, .. } => {
                    names_an_oid(activation_code).then(|| "it names the OID of the emulated server".to_owned())
                }
                _ => None,
            };
            reason = reason.take().or(found);
        });
        reason
    }
}

/// Whether an activation code names the OID of its server, its fourth part (SGP.22 §4.1).
fn names_an_oid(code: &Template) -> bool {
    let text = code.fill(|_| "x".to_owned());
    text.split('$').nth(3).is_some_and(|oid| !oid.is_empty())
}

/// Whether the address of the server stands anywhere in what is there or happens.
fn is_about_the_server(scenario: &Scenario) -> bool {
    let names = |template: &Template| template.variables().any(|variable| *variable == Variable::Smdp);
    let mut is = scenario.card.default_smdp.as_ref().is_some_and(names);
    Step::each(&scenario.steps, &mut |step| {
        is |= match &step.action {
            StepAction::At { command, .. } => names(command),
            StepAction::Lpa { operation, .. } => match operation {
                Operation::Download { activation_code, .. } => names(activation_code),
                Operation::DefaultAddress(address) => names(address),
                _ => false,
            },
            _ => false,
        };
    });
    is
}
