//! ES2+ as an operator calls it (SGP.22 §5.3, §6.5): profiles are ordered, confirmed, released, and cancelled.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use lpad::http::{CurlHttp, Http, HttpOptions, HttpReply};
use lpad::log::Log;
use rsp::{Eid, Iccid, ServerAddress};
use serde_json::{Value, json};

use super::stock::OrderedBy;

/// Where the functions of ES2+ are: `https://HOST[:PORT][/PREFIX]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Es2Url(String);

impl FromStr for Es2Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "write it as https://es2.example.com:8443; /gsma/rsp2/es2plus/ follows by itself";
        let Some((scheme, rest)) = text.split_once("://") else { return Err(FORM.to_owned()) };
        if !scheme.eq_ignore_ascii_case("https") {
            return Err(format!("ES2+ is spoken over HTTPS, not {scheme}; {FORM}"));
        }
        let rest = rest.trim_end_matches('/');
        let (server, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if prefix.contains("gsma/rsp2") || prefix.contains(['?', '#']) {
            return Err(FORM.to_owned());
        }
        ServerAddress::parse(server).map_err(|_| format!("{server:?} is no host; {FORM}"))?;
        Ok(Es2Url(format!("https://{rest}")))
    }
}

impl fmt::Display for Es2Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A call that has not come to success.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Es2Error {
    /// No answer, or none in the way of the protocol.
    #[error("ES2+ {function}: {problem}")]
    NoAnswer {
        /// The function.
        function: &'static str,
        /// What came instead.
        problem: String,
    },
    /// The server refuses.
    #[error("ES2+ {function} is refused with {subject}/{reason}{}", words(message))]
    Refused {
        /// The function.
        function: &'static str,
        /// The subject code.
        subject: String,
        /// The reason code.
        reason: String,
        /// What the server adds.
        message: String,
    },
}

fn words(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(" ({message})") }
}

impl Es2Error {
    /// Whether the server refuses with these codes.
    pub fn is(&self, status: smdp::status::Status) -> bool {
        let codes = status.codes();
        matches!(self, Es2Error::Refused { subject, reason, .. } if (subject.as_str(), reason.as_str()) == codes)
    }
}

/// An operator at a server.
#[derive(Debug)]
pub struct Operator {
    url: Es2Url,
    http: HttpOptions,
    requester: String,
    calls: AtomicU64,
}

impl Operator {
    /// An operator that calls itself `requester`.
    pub fn new(url: Es2Url, http: HttpOptions, requester: String) -> Self {
        Operator { url, http, requester, calls: AtomicU64::new(1) }
    }

    /// Reserves a profile (SGP.22 §5.3.1): one of a type, or the one with this ICCID.
    pub async fn download_order(&self, what: Wanted<'_>, eid: Option<Eid>) -> Result<Iccid, Es2Error> {
        let mut body = json!({});
        match what {
            Wanted::OfType(kind) => body["profileType"] = json!(kind),
            Wanted::Iccid(iccid) => body["iccid"] = json!(iccid.padded()),
        }
        with_eid(&mut body, eid);
        let function = "downloadOrder";
        let answer = self.call(function, body).await?;
        let told = answer["iccid"].as_str().map(|text| Iccid::parse(text.trim_end_matches(['F', 'f'])));
        match told {
            Some(Ok(iccid)) => Ok(iccid),
            _ => Err(Es2Error::NoAnswer { function, problem: format!("the answer has no ICCID: {answer}") }),
        }
    }

    /// Confirms an order, and releases it at once where that is wanted (SGP.22 §5.3.2). Without a matching id the server
    /// makes one; an empty one is none, for an order that is found by the EID.
    pub async fn confirm_order(&self, order: Confirm<'_>) -> Result<Option<String>, Es2Error> {
        let mut body = json!({ "iccid": order.iccid.padded(), "releaseFlag": order.release });
        with_eid(&mut body, order.eid);
        for (name, value) in [("matchingId", order.matching_id), ("confirmationCode", order.confirmation_code)] {
            if let Some(value) = value {
                body[name] = json!(value);
            }
        }
        let answer = self.call("confirmOrder", body).await?;
        Ok(answer["matchingId"].as_str().map(str::to_owned).filter(|id| !id.is_empty()))
    }

    /// Releases an order that is confirmed (SGP.22 §5.3.4).
    pub async fn release_profile(&self, iccid: Iccid) -> Result<(), Es2Error> {
        self.call("releaseProfile", json!({ "iccid": iccid.padded() })).await.map(drop)
    }

    /// Cancels an order (SGP.22 §5.3.3); the profile can be ordered again, or not.
    pub async fn cancel_order(
        &self,
        iccid: Iccid,
        eid: Option<Eid>,
        matching_id: Option<&str>,
        again: bool,
    ) -> Result<(), Es2Error> {
        let indicator = if again { "Available" } else { "Unavailable" };
        let mut body = json!({ "iccid": iccid.padded(), "finalProfileStatusIndicator": indicator });
        with_eid(&mut body, eid);
        if let Some(matching_id) = matching_id {
            body["matchingId"] = json!(matching_id);
        }
        self.call("cancelOrder", body).await.map(drop)
    }

    /// Connects, and asks for nothing: what is wrong with address or certificates is told before anything is run.
    pub fn try_connection(&self) -> Result<(), String> {
        let http = CurlHttp::new(self.http.clone(), Log::default());
        http.try_connection(&format!("{}/", self.url)).map_err(|error| error.message)
    }

    async fn call(&self, function: &'static str, mut body: Value) -> Result<Value, Es2Error> {
        body["header"] = json!({
            "functionRequesterIdentifier": self.requester,
            "functionCallIdentifier": format!("call-{}", self.calls.fetch_add(1, Ordering::Relaxed)),
        });
        let url = format!("{}/gsma/rsp2/es2plus/{function}", self.url);
        let (options, text) = (self.http.clone(), body.to_string());
        let called = tokio::task::spawn_blocking(move || {
            let headers = [("Content-Type", "application/json"), ("X-Admin-Protocol", lpad::es9::ADMIN_PROTOCOL)];
            CurlHttp::new(options, Log::default()).post(&url, &headers, text.as_bytes())
        });
        let no_answer = |problem: String| Es2Error::NoAnswer { function, problem };
        let reply = called.await.map_err(|error| no_answer(error.to_string()))?;
        understood(function, reply.map_err(|error| no_answer(error.message))?)
    }
}

fn understood(function: &'static str, reply: HttpReply) -> Result<Value, Es2Error> {
    let no_answer = |problem: String| Es2Error::NoAnswer { function, problem };
    if reply.status != 200 {
        return Err(no_answer(format!("the server answers with HTTP status {}", reply.status)));
    }
    let answer: Value = serde_json::from_slice(&reply.body)
        .map_err(|error| no_answer(format!("the server answers with what is no JSON: {error}")))?;
    let execution = &answer["header"]["functionExecutionStatus"];
    match execution["status"].as_str() {
        Some("Executed-Success" | "Executed-WithWarning") => Ok(answer),
        Some(_) => {
            let text = |name: &str| execution["statusCodeData"][name].as_str().unwrap_or_default().to_owned();
            let (subject, reason, message) = (text("subjectCode"), text("reasonCode"), text("message"));
            Err(Es2Error::Refused { function, subject, reason, message })
        }
        None => Err(no_answer("the answer has no functionExecutionStatus".to_owned())),
    }
}

fn with_eid(body: &mut Value, eid: Option<Eid>) {
    if let Some(eid) = eid {
        body["eid"] = json!(eid.to_string());
    }
}

/// The profile that is ordered.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    /// One of this type.
    OfType(&'a str),
    /// This one.
    Iccid(Iccid),
}

/// What is confirmed.
#[derive(Debug, Clone, Copy)]
pub struct Confirm<'a> {
    /// The profile.
    pub iccid: Iccid,
    /// The card.
    pub eid: Option<Eid>,
    /// The matching id.
    pub matching_id: Option<&'a str>,
    /// The code that the user has to give.
    pub confirmation_code: Option<&'a str>,
    /// Whether it is released at once.
    pub release: bool,
}

impl OrderedBy {
    /// What it is, in words.
    pub fn words(&self) -> String {
        match self {
            OrderedBy::Type(kind) => format!("of type {kind:?}"),
            OrderedBy::Iccids(list) => format!("of {} that are named", list.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_es2() {
        let read = |text: &str| text.parse::<Es2Url>().map(|url| url.to_string());
        assert_eq!(read("https://es2.example.com:8443/").unwrap(), "https://es2.example.com:8443");
        assert_eq!(read("https://es2.example.com/tenant/7").unwrap(), "https://es2.example.com/tenant/7");
        for wrong in ["es2.example.com", "http://es2.example.com", "https:///x", "https://a.example/gsma/rsp2/es2plus"]
        {
            assert!(read(wrong).unwrap_err().contains("write it as"), "{wrong}");
        }
    }

    #[test]
    fn answers_are_understood() {
        let read = |status, body: &str| understood("x", HttpReply { status, body: body.as_bytes().to_vec() });
        let good = r#"{"header":{"functionExecutionStatus":{"status":"Executed-Success"}},"iccid":"1"}"#;
        assert_eq!(read(200, good).unwrap()["iccid"], "1");
        let refused = r#"{"header":{"functionExecutionStatus":{"status":"Failed","statusCodeData":
            {"subjectCode":"8.2.5","reasonCode":"3.7","message":"none left"}}}}"#;
        let error = read(200, refused).unwrap_err();
        assert!(error.is(smdp::status::Status::TypeExhausted), "{error}");
        assert_eq!(error.to_string(), "ES2+ x is refused with 8.2.5/3.7 (none left)");
        for (status, body, part) in [(403, "", "status 403"), (200, "<p>", "no JSON"), (200, "{}", "no functionExec")] {
            let error = read(status, body).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
