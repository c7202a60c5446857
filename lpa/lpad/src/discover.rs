//! Discovery (SGP.22 v2.5 §3.6.2): which servers have something for this eUICC.
//!
//! SM-DS → event entries → each entry's server is asked: another SM-DS has entries of its own, an SM-DP+ has a profile.
//! The order at an SM-DP+ is left as it is: the session there is put off, and an activation code made of the entry
//! fetches the profile.

use rsp::es10::download::CancelSessionReason;
use rsp::{ActivationCode, ServerAddress};

use crate::download::GiveUp;
use crate::es9::{ClientAnswer, EventEntry};
use crate::failure::{Failure, Outcome, Step};
use crate::http::Http;
use crate::link::ApduLink;
use crate::lpa::Lpa;
use crate::report::Details;

/// How many servers are asked at most: a ring of SM-DSs has an end.
const MOST: usize = 50;

/// A profile that waits for this eUICC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovered {
    /// The SM-DP+.
    pub server: ServerAddress,
    /// The event there, which is its matching id.
    pub event_id: String,
    /// What the profile is called.
    pub profile: Option<String>,
}

impl Discovered {
    /// The activation code that fetches it; `None` where the event has characters that none can have.
    pub fn activation_code(&self) -> Option<String> {
        let code = format!("1${}${}", self.server, self.event_id);
        ActivationCode::parse(&code).is_ok().then_some(code)
    }
}

impl<L: ApduLink, H: Http> Lpa<'_, L, H> {
    /// Asks the SM-DS, the root SM-DS of the card where none is given, and those that it names.
    pub fn discover(&mut self, smds: Option<&ServerAddress>) -> Outcome<Vec<Discovered>> {
        let first = match smds {
            Some(server) => server.clone(),
            None => {
                let address = self.configured_addresses()?.root_ds;
                ServerAddress::parse(&address).map_err(|error| {
                    Failure::new(Step::GetEuiccConfiguredAddresses, error.to_string())
                        .with_hint("give the address of an SM-DS: --discover=ADDRESS")
                })?
            }
        };
        let mut asked: Vec<(ServerAddress, Option<String>)> = Vec::new();
        let mut waiting = vec![(first, None)];
        let mut found = Vec::new();
        while let Some((server, event_id)) = waiting.pop() {
            let entry = (server.clone(), event_id.clone());
            if asked.contains(&entry) || asked.len() == MOST {
                continue;
            }
            asked.push(entry);
            let answer = self.ask(&server, event_id.clone());
            match (answer, event_id) {
                (Ok(Answer::Events(entries)), _) => {
                    // Asked in their order: the last one in is the first one out.
                    for entry in entries.into_iter().rev() {
                        match ServerAddress::parse(&entry.rsp_server_address) {
                            Ok(server) => waiting.push((server, Some(entry.event_id))),
                            Err(error) => self.report.failed(&Failure::new(Step::Discover, error.to_string())),
                        }
                    }
                }
                (Ok(Answer::Profile(profile)), Some(event_id)) => {
                    found.push(Discovered { server, event_id, profile: Some(profile) });
                }
                (Ok(Answer::Profile(_)), None) => {
                    let message = format!("{server} is an SM-DP+ and no SM-DS");
                    return Err(Failure::new(Step::Discover, message).with_hint("give the address of an SM-DS"));
                }
                // The first server has to answer; that another does not costs only what it would have had.
                (Err(failure), None) => return Err(failure),
                (Err(_), Some(_)) => {}
            }
        }
        self.report.done(Step::Discover, Details::new().with("events", found.len()));
        Ok(found)
    }

    /// A session with one server, up to what it has.
    fn ask(&mut self, server: &ServerAddress, event_id: Option<String>) -> Outcome<Answer> {
        let session = self.authenticate_at(server.clone(), event_id, None, None)?;
        let step = Step::AuthenticateClient;
        let answer = self.servers.authenticate_client_or_discover(
            server,
            &session.transaction_id,
            &session.authenticate_server_response,
        );
        match answer {
            Ok(ClientAnswer::Events(entries)) => {
                let facts = Details::new().with("server", server.as_str()).with("events", entries.len());
                self.report.done(step, facts);
                Ok(Answer::Events(entries))
            }
            Ok(ClientAnswer::Profile(response)) => {
                let profile = rsp::es10::download::StoreMetadata::parse(&response.profile_metadata)
                    .map(|metadata| metadata.profile_name)
                    .unwrap_or_default();
                self.report.done(step, Details::new().with("server", server.as_str()));
                let put_off = Failure::new(step, "the profile is left for later");
                self.cancel(&session, &GiveUp::new(put_off, CancelSessionReason::Postponed));
                Ok(Answer::Profile(profile))
            }
            Err(error) => {
                let failure = error.at(step);
                self.report.failed(&failure);
                Err(failure)
            }
        }
    }
}

/// What a server has for this eUICC.
enum Answer {
    Events(Vec<EventEntry>),
    /// A profile of this name.
    Profile(String),
}
