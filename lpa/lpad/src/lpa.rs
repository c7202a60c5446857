//! The assistant: one card, the servers, and who listens. The procedures are in the modules beside this one.

use rsp::Eid;

use crate::es9::Es9;
use crate::es10::{Card, CardError};
use crate::failure::{Outcome, Step};
use crate::http::Http;
use crate::link::ApduLink;
use crate::report::{Details, Report};

/// A local profile assistant at work.
pub struct Lpa<'r, L, H> {
    /// The card.
    pub card: Card<L>,
    /// The servers.
    pub servers: Es9<H>,
    /// Who listens.
    pub report: &'r mut dyn Report,
}

impl<L, H> std::fmt::Debug for Lpa<'_, L, H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lpa")
    }
}

impl<'r, L: ApduLink, H: Http> Lpa<'r, L, H> {
    /// An assistant for this card.
    pub fn new(card: Card<L>, http: H, report: &'r mut dyn Report) -> Self {
        Lpa { card, servers: Es9::new(http), report }
    }

    /// The EID.
    pub fn eid(&mut self) -> Outcome<Eid> {
        self.card_step(Step::GetEid, Card::get_eid, |eid| Details::new().with("eid", eid.to_string()))
    }

    /// Calls a function of the card as a step of its own.
    pub(crate) fn card_step<T>(
        &mut self,
        step: Step,
        call: impl FnOnce(&mut Card<L>) -> Result<T, CardError>,
        facts: impl FnOnce(&T) -> Details,
    ) -> Outcome<T> {
        match call(&mut self.card) {
            Ok(value) => {
                self.report.done(step, facts(&value));
                Ok(value)
            }
            Err(error) => {
                let failure = error.at(step);
                self.report.failed(&failure);
                Err(failure)
            }
        }
    }
}
