//! A real server, with the emulated modem and card before it, as the place where scenarios are run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rsp::ids::{Eid, Iccid};

use super::RealServer;
use super::orders::{Orders, installed};
use crate::lab::{Lab, LabError, Outside};
use crate::runner::check::Observed;
use crate::runner::emulation::lab_without_server;
use crate::runner::{Act, ProfileNames, SetUpError, Stage, Target};
use crate::scenario::ast::{Expect, ServerAction};
use crate::scenario::load::LoadedScenario;
use crate::timeline::Timeline;

/// What a scenario has at a real server, for the stage that it is played on.
#[derive(Debug)]
pub struct AtServer(tokio::sync::Mutex<Orders>);

impl AtServer {
    /// These orders.
    pub fn new(orders: Orders) -> Self {
        AtServer(tokio::sync::Mutex::new(orders))
    }

    /// The orders, as far as nobody is just dealing with them: nobody is while a step is prepared or looked at.
    fn look<T>(&self, look: impl FnOnce(&Orders) -> T) -> Option<T> {
        self.0.try_lock().ok().map(|orders| look(&orders))
    }

    /// The ICCID of a profile that was ordered; one that nobody has told is learned from the profiles that have come
    /// onto the card, in their order.
    pub fn iccid_of(&self, profile: &str, come: impl FnOnce() -> Vec<Iccid>) -> Option<Iccid> {
        self.look(|orders| orders.iccid_of(profile, come)).flatten()
    }

    /// What a profile is called: as the orders file has it, or else the card.
    pub fn names_of(&self, profile: &str, on_card: impl FnOnce() -> Option<ProfileNames>) -> Option<ProfileNames> {
        self.look(|orders| orders.names_of(profile, on_card))
    }

    /// A text with the matching ids and confirmation codes of the server.
    pub fn adapted(&self, text: String) -> String {
        self.look(|orders| orders.adapted(text.clone())).unwrap_or(text)
    }

    /// Takes out of what is expected afterwards what only the server knows, and tells what that was.
    pub fn unseen(&self, expect: &mut Expect) -> Vec<String> {
        let mut unseen = Vec::new();
        if expect.orders.take().is_some() {
            unseen.push("the states of the orders".to_owned());
        }
        if expect.open_sessions.take().is_some() {
            unseen.push("the sessions of the server".to_owned());
        }
        let untold = self.look(Orders::without_iccid).unwrap_or_default();
        let names_some = expect.profiles.as_ref().is_some_and(|expected| !expected.value.is_empty());
        if names_some && !untold.is_empty() {
            unseen.push(format!("the ICCID of {}, which the orders file does not tell", untold.join(", ")));
        }
        unseen
    }

    /// What the operator of the server does.
    pub async fn act(&self, action: &ServerAction) -> Result<(), SetUpError> {
        self.0.lock().await.act(action).await
    }

    /// Takes the orders back, but for the profiles that are on a card.
    pub async fn take_back(&self, installed: &[Iccid]) -> Result<(), String> {
        self.0.lock().await.take_back(installed).await
    }
}

/// A lab before the real server.
pub struct RealStage {
    lab: Lab,
    at_server: AtServer,
}

impl Target for Arc<RealServer> {
    type Stage = RealStage;

    async fn set_up(&self, loaded: &LoadedScenario, seed: u64) -> Result<RealStage, SetUpError> {
        let outside = Outside { address: self.address().to_owned(), trust: self.trust.clone() };
        let mut builder = lab_without_server(loaded, seed)?.outside_server(outside);
        if let Some(pki) = &self.pki {
            builder = builder.pki(pki.clone());
        }
        if let Some(eid) = loaded.scenario.card.eid {
            builder = builder.eid(eid);
        }
        let lab = builder.start().map_err(|error| match error {
            // A folder that has no keys for such a card.
            LabError::NoEuicc { .. } | LabError::Pki(_) => SetUpError::Cannot(error.to_string()),
            _ => SetUpError::Failed(error.to_string()),
        })?;
        let orders = self.place(&loaded.scenario, lab.eid(), lab.timeline()).await?;
        Ok(RealStage { lab, at_server: AtServer::new(orders) })
    }
}

impl Stage for RealStage {
    fn tty(&self) -> &Path {
        self.lab.tty()
    }

    fn eid(&self) -> Eid {
        self.lab.eid()
    }

    fn smdp_address(&self) -> String {
        self.lab.smdp_address().to_owned()
    }

    fn ci_file(&self) -> &Path {
        self.lab.ci_file()
    }

    fn timeline(&self) -> &Timeline {
        self.lab.timeline()
    }

    fn iccid_of(&self, profile: &str) -> Option<Iccid> {
        self.at_server.iccid_of(profile, || installed(self.lab.timeline()))
    }

    fn observe(&self) -> Observed {
        self.lab.observe()
    }

    fn names_of(&self, profile: &str) -> Option<ProfileNames> {
        let iccid = self.iccid_of(profile)?;
        self.at_server.names_of(profile, || {
            let known = self.lab.profiles().into_iter().find(|known| known.iccid == iccid)?;
            Some(ProfileNames { name: known.profile_name, provider: known.service_provider_name })
        })
    }

    fn adapted(&self, text: String) -> String {
        self.at_server.adapted(text)
    }

    fn sees_requests(&self) -> bool {
        false
    }

    fn unseen(&self, expect: &mut Expect) -> Vec<String> {
        self.at_server.unseen(expect)
    }

    fn tty_of(&self, port: usize) -> Option<PathBuf> {
        Stage::tty_of(&self.lab, port)
    }

    async fn act(&self, act: Act) -> Result<(), SetUpError> {
        match act {
            Act::Server(action) => self.at_server.act(&action).await,
            act => Stage::act(&self.lab, act).await,
        }
    }

    async fn finish(&self) -> Result<(), String> {
        self.at_server.take_back(&installed(self.lab.timeline())).await
    }
}
