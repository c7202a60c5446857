//! ES2+ and ES12 over HTTPS: operators and SM-DP+s call with a header of their own (SGP.22 §6.5.1.3).

use std::sync::PoisonError;

use rsp::{Eid, Iccid};
use serde_json::{Value, json};

use super::call::{Backend, Front, Settled};
use super::client::{CallError, ClientOptions};
use super::json::{Members, success};
use crate::server::es2::{CancelOrder, ConfirmOrder, DownloadOrder, Plan, Registration};
use crate::server::{Outgoing, Progress};
use crate::smds::{Cascade, RegisterEvent};
use crate::status::{Status, StatusError};

pub(super) const ES2PLUS: &str = "/gsma/rsp2/es2plus/";
pub(super) const ES12: &str = "/gsma/rsp2/es12/";
pub(super) const ES15: &str = "/gsma/rsp2/es15/";

/// The functions that other servers call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PeerFunction {
    DownloadOrder,
    ConfirmOrder,
    CancelOrder,
    ReleaseProfile,
    RegisterEvent,
    DeleteEvent,
}

impl PeerFunction {
    /// The function at a path of an SM-DP+, or of an SM-DS.
    pub(super) fn at(path: &str, smds: bool) -> Option<Self> {
        if smds {
            let name = path.strip_prefix(ES12).or_else(|| path.strip_prefix(ES15))?;
            return match name {
                "registerEvent" => Some(PeerFunction::RegisterEvent),
                "deleteEvent" => Some(PeerFunction::DeleteEvent),
                _ => None,
            };
        }
        match path.strip_prefix(ES2PLUS)? {
            "downloadOrder" => Some(PeerFunction::DownloadOrder),
            "confirmOrder" => Some(PeerFunction::ConfirmOrder),
            "cancelOrder" => Some(PeerFunction::CancelOrder),
            "releaseProfile" => Some(PeerFunction::ReleaseProfile),
            _ => None,
        }
    }
}

fn eid(members: &Members) -> Result<Option<Eid>, StatusError> {
    let text = members.optional_text("eid")?.filter(|text| !text.is_empty());
    text.map(Eid::parse).transpose().map_err(|error| Status::Malformed.with(format!("eid: {error}")))
}

fn iccid(members: &Members) -> Result<Option<Iccid>, StatusError> {
    let text = members.optional_text("iccid")?;
    text.map(|text| Iccid::parse(text.trim_end_matches(['F', 'f'])))
        .transpose()
        .map_err(|error| Status::Malformed.with(format!("iccid: {error}")))
}

fn missing(name: &str) -> StatusError {
    Status::ElementMissing.with(format!("{name} is missing"))
}

impl Front {
    /// Performs a function that another server has called; what the response has beside its header.
    pub(super) async fn peer(&self, function: PeerFunction, body: &[u8]) -> Result<Value, StatusError> {
        let members = Members::parse(body)?;
        let header = members.object("header")?;
        let caller = header.text("functionRequesterIdentifier")?.to_owned();
        header.text("functionCallIdentifier")?;
        match function {
            PeerFunction::RegisterEvent => self.register_event(&members).await,
            PeerFunction::DeleteEvent => self.delete_event(&members).await,
            PeerFunction::DownloadOrder => {
                let request = DownloadOrder {
                    eid: eid(&members)?,
                    iccid: iccid(&members)?,
                    profile_type: members.optional_text("profileType")?.map(str::to_owned),
                };
                let iccid = self.with_smdp(|smdp, now| smdp.download_order(&caller, &request, now)).await??;
                Ok(json!({ "header": success(), "iccid": iccid.padded() }))
            }
            PeerFunction::ConfirmOrder => {
                let text = |name: &str| members.optional_text(name).map(|text| text.map(str::to_owned));
                let request = ConfirmOrder {
                    iccid: iccid(&members)?.ok_or_else(|| missing("iccid"))?,
                    eid: eid(&members)?,
                    matching_id: text("matchingId")?,
                    confirmation_code: text("confirmationCode")?.filter(|code| !code.is_empty()),
                    smds_address: text("smdsAddress")?.filter(|address| !address.is_empty()),
                    release: members.flag("releaseFlag")?.ok_or_else(|| missing("releaseFlag"))?,
                };
                let plan = self.with_smdp(|smdp, _| smdp.plan_confirmation(&caller, &request)).await??;
                let confirmed = self.carry_out(&caller, plan).await?;
                let mut answer = json!({
                    "header": success(),
                    "matchingId": confirmed.matching_id,
                    "smdpAddress": confirmed.smdp_address,
                });
                if let Some(eid) = confirmed.eid {
                    answer["eid"] = json!(eid.to_string());
                }
                Ok(answer)
            }
            PeerFunction::ReleaseProfile => {
                let iccid = iccid(&members)?.ok_or_else(|| missing("iccid"))?;
                let plan = self.with_smdp(|smdp, _| smdp.plan_release(&caller, iccid)).await??;
                self.carry_out(&caller, plan).await?;
                Ok(json!({ "header": success() }))
            }
            PeerFunction::CancelOrder => {
                let request = CancelOrder {
                    iccid: iccid(&members)?.ok_or_else(|| missing("iccid"))?,
                    eid: eid(&members)?,
                    matching_id: members.optional_text("matchingId")?.map(str::to_owned),
                    available: match members.text("finalProfileStatusIndicator")? {
                        "Available" => true,
                        "Unavailable" => false,
                        other => {
                            let message = format!("finalProfileStatusIndicator is {other:?}");
                            return Err(Status::Malformed.with(message));
                        }
                    },
                };
                self.with_smdp(|smdp, now| smdp.cancel_order(&caller, &request, now)).await??;
                Ok(json!({ "header": success() }))
            }
        }
    }

    /// Registers the event that a plan asks for, and carries it out.
    async fn carry_out(&self, caller: &str, plan: Plan) -> Result<crate::server::es2::Confirmed, StatusError> {
        if let Some(registration) = &plan.registration {
            self.register_at_smds(registration).await?;
        }
        let event = plan.registration.clone();
        let done = self.with_smdp(|smdp, now| smdp.carry_out(caller, plan, now)).await?;
        if let (Err(_), Some(event)) = (&done, event) {
            // The event would announce an order that is not there.
            let _ = self.delete_at_smds(&event.smds, event.eid, &event.event_id).await;
        }
        done
    }

    /// ES12 registerEvent at an SM-DS (SGP.22 §5.9.1).
    async fn register_at_smds(&self, event: &Registration) -> Result<(), StatusError> {
        self.register_event_at(event).await.map_err(smds_status)
    }

    async fn register_event_at(&self, event: &Registration) -> Result<(), CallError> {
        let body = json!({
            "header": self.options.client.header(self.next_call()),
            "eid": event.eid.to_string(),
            "rspServerAddress": event.rsp_server_address,
            "eventId": event.event_id,
            "forwardingIndicator": true,
        });
        let client: &ClientOptions = &self.options.client;
        client.call(&event.smds, &format!("{ES12}registerEvent"), &body, (self.options.clock)()).await.map(|_| ())
    }

    pub(super) async fn delete_at_smds(&self, smds: &str, eid: Eid, event_id: &str) -> Result<(), StatusError> {
        let body = json!({
            "header": self.options.client.header(self.next_call()),
            "eid": eid.to_string(),
            "eventId": event_id,
        });
        self.call_smds(smds, &format!("{ES12}deleteEvent"), &body).await
    }

    async fn call_smds(&self, smds: &str, path: &str, body: &Value) -> Result<(), StatusError> {
        let client: &ClientOptions = &self.options.client;
        client.call(smds, path, body, (self.options.clock)()).await.map(|_| ()).map_err(smds_status)
    }

    /// ES12 and ES15 registerEvent, as the SM-DS.
    async fn register_event(&self, members: &Members) -> Result<Value, StatusError> {
        let Backend::Smds(smds) = &self.backend else { return Err(missing("an SM-DS")) };
        let event = RegisterEvent {
            eid: eid(members)?.ok_or_else(|| missing("eid"))?,
            rsp_server_address: members.text("rspServerAddress")?.to_owned(),
            event_id: members.text("eventId")?.to_owned(),
            forwarding: members.flag("forwardingIndicator")?.ok_or_else(|| missing("forwardingIndicator"))?,
        };
        let (eid, event_id) = (event.eid, event.event_id.clone());
        let cascade = smds.lock().unwrap_or_else(PoisonError::into_inner).register_event(event)?;
        if let Some(cascade) = cascade {
            let body = json!({
                "header": self.options.client.header(self.next_call()),
                "eid": cascade.eid.to_string(),
                "rspServerAddress": cascade.rsp_server_address,
                "eventId": cascade.event_id,
                "forwardingIndicator": false,
            });
            if let Err(status) = self.call_smds(&cascade.root, &format!("{ES15}registerEvent"), &body).await {
                // What the root does not know is not kept here either.
                let _ = smds.lock().unwrap_or_else(PoisonError::into_inner).delete_event(eid, &event_id);
                return Err(status);
            }
        }
        Ok(json!({ "header": success() }))
    }

    /// ES12 and ES15 deleteEvent, as the SM-DS.
    async fn delete_event(&self, members: &Members) -> Result<Value, StatusError> {
        let Backend::Smds(smds) = &self.backend else { return Err(missing("an SM-DS")) };
        let eid = eid(members)?.ok_or_else(|| missing("eid"))?;
        let event_id = members.text("eventId")?;
        let cascade = smds.lock().unwrap_or_else(PoisonError::into_inner).delete_event(eid, event_id)?;
        if let Some(Cascade { root, eid, event_id, .. }) = cascade {
            let body = json!({
                "header": self.options.client.header(self.next_call()),
                "eid": eid.to_string(),
                "eventId": event_id,
            });
            self.call_smds(&root, &format!("{ES15}deleteEvent"), &body).await?;
        }
        Ok(json!({ "header": success() }))
    }

    /// Looks at the SM-DP+ or changes it, in one whole step, and waits until what has changed is kept.
    pub(super) async fn with_smdp<T>(&self, act: impl FnOnce(&mut crate::Smdp, i64) -> T) -> Result<T, StatusError> {
        let Backend::Smdp(smdp) = &self.backend else { return Err(missing("an SM-DP+")) };
        let now = (self.options.clock)();
        let (value, settled) = {
            let mut smdp = smdp.lock().unwrap_or_else(PoisonError::into_inner);
            let value = act(&mut smdp, now);
            (value, Settled::of(self, &mut smdp))
        };
        settled.finish(self).await?;
        Ok(value)
    }

    /// Sends what the server has to say to others, one after the other. What cannot be delivered is told to the
    /// observer, and given up.
    pub(super) async fn send(&self, outgoing: Outgoing) {
        match outgoing {
            Outgoing::DeleteEvent { smds, eid, event_id } => {
                if let Err(status) = self.delete_at_smds(&smds, eid, &event_id).await {
                    self.options.observer.undelivered(&format!("deleteEvent {event_id:?} at {smds}: {status}"));
                }
            }
            Outgoing::RegisterEvent(event) => match self.register_event_at(&event).await {
                Ok(()) => {}
                // It has not forgotten.
                Err(CallError::Refused(status)) if Status::EventExists.is(&status) => {}
                Err(error) => {
                    let Registration { smds, event_id, .. } = event;
                    self.options.observer.undelivered(&format!("registerEvent {event_id:?} at {smds}: {error}"));
                }
            },
            Outgoing::Progress(progress) => {
                let Some(address) = &self.options.operator else { return };
                let body = progress_body(&progress, self.options.client.header(self.next_call()));
                let path = format!("{ES2PLUS}handleDownloadProgressInfo");
                let now = (self.options.clock)();
                if let Err(error) = self.options.client.call(address, &path, &body, now).await {
                    self.options.observer.undelivered(&format!("handleDownloadProgressInfo to {address}: {error}"));
                }
            }
        }
    }
}

/// SGP.22 §5.3.2: an SM-DS that is not reached and one that refuses are told apart.
fn smds_status(error: CallError) -> StatusError {
    match error {
        CallError::Unreachable(_) => Status::SmdsInaccessible.with(error.to_string()),
        CallError::Refused(_) => Status::SmdsFailed.with(error.to_string()),
    }
}

/// ES2+ handleDownloadProgressInfo (SGP.22 §5.3.5).
fn progress_body(progress: &Progress, header: Value) -> Value {
    use base64::Engine;
    let status = match &progress.status {
        Ok(()) => json!({ "status": "Executed-Success" }),
        Err(status) => json!({
            "status": "Failed",
            "statusCodeData": {
                "subjectCode": status.subject,
                "reasonCode": status.reason,
                "message": status.message,
            },
        }),
    };
    let mut body = json!({
        "header": header,
        "iccid": progress.iccid.padded(),
        "profileType": progress.profile_type.clone().unwrap_or_else(|| "unknown".to_owned()),
        "timestamp": timestamp(progress.at),
        "notificationPointId": progress.point as u8,
        "notificationPointStatus": status,
    });
    if let Some(eid) = progress.eid {
        body["eid"] = json!(eid.to_string());
    }
    if let Some(data) = &progress.result_data {
        body["resultData"] = json!(base64::prelude::BASE64_STANDARD.encode(data));
    }
    body
}

/// A time as ISO 8601 has it, in UTC (SGP.22 §6.5.1).
pub(crate) fn timestamp(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days since 1970-01-01 to a date of the Gregorian calendar, in eras of 400 years that begin in March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::timestamp;

    #[test]
    fn times_in_iso_8601() {
        // Computed with `date -u -d @N +%FT%TZ`.
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_132_800, "2026-11-20T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (4_102_444_799, "2099-12-31T23:59:59Z"),
        ] {
            assert_eq!(timestamp(seconds), expected);
        }
    }
}
