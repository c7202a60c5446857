//! One timeline per lab: everything that is seen, in the order in which it was seen.
//!
//! Every AT line, APDU, HTTP exchange, change of the card or of an order, fault and step of the assistant becomes
//! one [`Event`] with a time (since the lab was started) and the [`Role`] at which it was seen. The parts of the lab
//! hand what they see to a clone of the same [`Timeline`]; assertions, reports and recordings are views of it, and
//! whoever has to wait for something waits for its event ([`Timeline::wait_for`]) instead of sleeping.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use euicc::CardEvent;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::sync::watch;

/// Who saw an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The LPA.
    Assistant,
    /// The modem.
    Modem,
    /// The eUICC.
    Card,
    /// The SM-DP+.
    Server,
    /// The operators of the mobile network.
    Network,
    /// The lab itself: faults, processes, the steps of a scenario.
    Lab,
}

impl Role {
    /// The name as it stands in reports.
    pub fn name(self) -> &'static str {
        match self {
            Role::Assistant => "assistant",
            Role::Modem => "modem",
            Role::Card => "card",
            Role::Server => "server",
            Role::Network => "network",
            Role::Lab => "lab",
        }
    }
}

/// Which way a line of the AT dialogue went (V.250's names for the two ends).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the host (DTE) to the modem (DCE): a command.
    Command,
    /// From the modem to the host: an information response, a result code or a URC.
    Response,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    /// A line on one of the modem's ports.
    At {
        /// The port, counted from 0.
        port: usize,
        /// Which way it went.
        direction: Direction,
        /// The line without its line end.
        text: String,
    },
    /// A command to the card and its answer.
    Apdu {
        /// The command as the card received it.
        #[serde(serialize_with = "hexadecimal", deserialize_with = "from_hexadecimal")]
        command: Vec<u8>,
        /// Response data and status word.
        #[serde(serialize_with = "hexadecimal", deserialize_with = "from_hexadecimal")]
        response: Vec<u8>,
    },
    /// A request to the server and its answer.
    Http(Http),
    /// A change of state or another thing worth knowing, told in words and fields: of the card, of an order, of the
    /// modem. The role says whose.
    Note {
        /// In a few words, `profile installed`.
        text: String,
        /// The particulars, `iccid` = `8944...`.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        fields: BTreeMap<Cow<'static, str>, String>,
    },
    /// A fault has fired.
    Fault {
        /// The layer: `name`, `tls`, `http`, `es9plus`.
        layer: Cow<'static, str>,
        /// What it did.
        text: String,
    },
    /// An object that the assistant printed with `--json`.
    Lpa {
        /// The object.
        step: serde_json::Value,
    },
    /// A process was started or ended, or wrote a line that is not JSON.
    Process {
        /// What about it.
        text: String,
    },
}

/// A request to the server and its answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Http {
    /// The function of ES9+ (`authenticateClient`), as far as the path names one.
    pub function: String,
    /// The path of the request.
    pub path: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The subject code of a function that failed (`8.2.6`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The reason code of a function that failed (`3.8`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The length of the request body in bytes.
    pub request_bytes: usize,
    /// The length of the response body in bytes.
    pub response_bytes: usize,
    /// The request body, where it is text: for the decoded view of a report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The response body, where it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
    /// How long the server took.
    #[serde(rename = "duration_micros", serialize_with = "microseconds", deserialize_with = "from_microseconds")]
    pub duration: Duration,
}

/// One event of a [`Timeline`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When, since the timeline began.
    #[serde(rename = "micros", serialize_with = "microseconds", deserialize_with = "from_microseconds")]
    pub at: Duration,
    /// Who saw it.
    pub role: Role,
    /// What happened.
    #[serde(flatten)]
    pub kind: Kind,
}

pub(crate) fn hexadecimal<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rsp::ids::to_hex(bytes))
}

pub(crate) fn from_hexadecimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    rsp::ids::from_hex(&text).ok_or_else(|| serde::de::Error::custom("these are no bytes in hexadecimal"))
}

pub(crate) fn from_microseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_micros)
}

pub(crate) fn microseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

/// The text of the [`Kind::Note`] with which the card tells that a profile is not installed; its field `reason_code`
/// has the number of the `ErrorReason` (SGP.22 §2.5.6).
pub const INSTALLATION_FAILED: &str = "installation failed";

/// The text of the [`Kind::Note`] with which the card tells that it has a profile; its field `iccid` says which.
pub const PROFILE_INSTALLED: &str = "profile installed";

/// How many bytes of an APDU a printed line shows; reports in JSON have them all.
const PRINTED_BYTES: usize = 24;

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10.3} ms  {:<9}  {}", self.at.as_secs_f64() * 1e3, self.role.name(), self.kind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::At { port, direction, text } => {
                let arrow = if *direction == Direction::Command { '>' } else { '<' };
                write!(f, "AT[{port}] {arrow} {}", shortened(text, 2 * PRINTED_BYTES + 24))
            }
            Kind::Apdu { command, response } => {
                let status = response.len().saturating_sub(2);
                write!(f, "APDU {} -> ", Hex(command))?;
                if status > 0 {
                    write!(f, "{} ", Hex(&response[..status]))?;
                }
                write!(f, "{}", Hex(&response[status..]))
            }
            Kind::Http(http) => {
                let name = if http.function.is_empty() { &http.path } else { &http.function };
                write!(f, "HTTP {name} -> {}", http.status)?;
                if let (Some(subject), Some(reason)) = (&http.subject, &http.reason) {
                    write!(f, ", {subject}/{reason}")?;
                }
                write!(
                    f,
                    " ({} -> {} bytes, {:.1} ms)",
                    http.request_bytes,
                    http.response_bytes,
                    http.duration.as_secs_f64() * 1e3
                )
            }
            Kind::Note { text, fields } => {
                f.write_str(text)?;
                fields.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
            }
            Kind::Fault { layer, text } => write!(f, "FAULT {layer}: {text}"),
            Kind::Lpa { step } => write!(f, "{step}"),
            Kind::Process { text } => f.write_str(text),
        }
    }
}

/// The beginning of a text that may be long.
fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        Some((end, _)) => Cow::Owned(format!("{}... ({} characters)", &text[..end], text.chars().count())),
        None => Cow::Borrowed(text),
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(PRINTED_BYTES)];
        f.write_str(&rsp::ids::to_hex(shown))?;
        if shown.len() < self.0.len() { write!(f, "... ({} bytes)", self.0.len()) } else { Ok(()) }
    }
}

/// The events of one lab. A clone is another handle on the same events.
#[derive(Clone)]
pub struct Timeline {
    inner: Arc<Inner>,
}

struct Inner {
    start: Instant,
    /// How many events are kept.
    most: usize,
    events: Mutex<Kept>,
    // The number of events, for those who wait; kept beside the lock so that a waiter needs no polling.
    count: watch::Sender<usize>,
}

/// The events that are kept.
#[derive(Default)]
struct Kept {
    events: VecDeque<Event>,
    /// How many there were before the first of them.
    forgotten: usize,
}

impl Kept {
    /// The number that the next event gets.
    fn count(&self) -> usize {
        self.forgotten + self.events.len()
    }
}

impl Default for Timeline {
    fn default() -> Self {
        Timeline::new()
    }
}

impl fmt::Debug for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timeline({} events)", self.len())
    }
}

impl Timeline {
    /// An empty timeline that begins now and keeps everything.
    pub fn new() -> Self {
        Timeline::keeping(usize::MAX)
    }

    /// An empty timeline that begins now and forgets its oldest events when it has more than `most`, for a lab that
    /// stays up for days.
    pub fn keeping(most: usize) -> Self {
        let (count, _) = watch::channel(0);
        Timeline {
            inner: Arc::new(Inner { start: Instant::now(), most: most.max(1), events: Mutex::default(), count }),
        }
    }

    /// Adds an event that happened now.
    pub fn record(&self, role: Role, kind: Kind) {
        let count = {
            let mut kept = self.kept();
            if kept.events.len() >= self.inner.most {
                kept.events.pop_front();
                kept.forgotten += 1;
            }
            // The time is taken under the lock, so that the order of the events is the order of their times.
            kept.events.push_back(Event { at: self.inner.start.elapsed(), role, kind });
            kept.count()
        };
        // Whoever waits has subscribed before it looked at the events: when nobody has, nobody misses anything.
        if self.inner.count.receiver_count() > 0 {
            // `max`: two who record at the same time may arrive here in the other order.
            self.inner.count.send_modify(|current| *current = count.max(*current));
        }
    }

    /// Adds a line of the AT dialogue.
    pub fn at(&self, port: usize, direction: Direction, text: impl Into<String>) {
        self.record(Role::Modem, Kind::At { port, direction, text: text.into() });
    }

    /// Adds a command to the card and its answer.
    pub fn apdu(&self, command: &[u8], response: &[u8]) {
        self.record(Role::Card, Kind::Apdu { command: command.to_vec(), response: response.to_vec() });
    }

    /// Adds a request to the server and its answer.
    pub fn http(&self, http: Http) {
        self.record(Role::Server, Kind::Http(http));
    }

    /// Adds a change of state, with its particulars as (name, value) pairs.
    pub fn note<N: Into<Cow<'static, str>>>(
        &self,
        role: Role,
        text: impl Into<String>,
        fields: impl IntoIterator<Item = (N, String)>,
    ) {
        let fields = fields.into_iter().map(|(name, value)| (name.into(), value)).collect();
        self.record(role, Kind::Note { text: text.into(), fields });
    }

    /// Adds what happened inside the card.
    pub fn card(&self, event: &CardEvent) {
        let code = |code: &dyn fmt::Display| code.to_string();
        let (text, fields): (&str, Vec<(&'static str, String)>) = match event {
            CardEvent::Reset => ("card reset", vec![]),
            CardEvent::ChannelOpened(channel) => ("logical channel opened", vec![("channel", channel.to_string())]),
            CardEvent::ChannelClosed(channel) => ("logical channel closed", vec![("channel", channel.to_string())]),
            CardEvent::SessionBegun => ("session begun", vec![]),
            CardEvent::ServerAuthenticated { address, transaction_id } => (
                "server authenticated",
                vec![("address", address.clone()), ("transaction", transaction_id.to_string())],
            ),
            CardEvent::AuthenticationFailed { code: why, problem } => {
                ("server not authenticated", vec![("code", code(why)), ("problem", problem.clone())])
            }
            CardEvent::DownloadPrepared { transaction_id, key_reused } => (
                "download prepared",
                vec![("transaction", transaction_id.to_string()), ("key_reused", key_reused.to_string())],
            ),
            CardEvent::PrepareDownloadFailed { code: why, problem } => {
                ("download not prepared", vec![("code", code(why)), ("problem", problem.clone())])
            }
            CardEvent::SessionCancelled { transaction_id, reason } => {
                ("session cancelled", vec![("transaction", transaction_id.to_string()), ("reason", code(reason))])
            }
            CardEvent::ProfileInstalled { iccid, aid } => {
                (PROFILE_INSTALLED, vec![("iccid", iccid.to_string()), ("aid", aid.to_string())])
            }
            CardEvent::InstallationFailed { iccid, command, reason, problem } => {
                let mut fields = vec![
                    ("command", code(command)),
                    ("reason", code(reason)),
                    ("reason_code", reason.code().to_string()),
                    ("problem", problem.clone()),
                ];
                fields.extend(iccid.map(|iccid| ("iccid", iccid.to_string())));
                (INSTALLATION_FAILED, fields)
            }
            CardEvent::ProfileEnabled(iccid) => ("profile enabled", vec![("iccid", iccid.to_string())]),
            CardEvent::ProfileDisabled(iccid) => ("profile disabled", vec![("iccid", iccid.to_string())]),
            CardEvent::ProfileDeleted(iccid) => ("profile deleted", vec![("iccid", iccid.to_string())]),
            CardEvent::NicknameSet { iccid, nickname } => {
                ("nickname set", vec![("iccid", iccid.to_string()), ("nickname", nickname.clone().unwrap_or_default())])
            }
            CardEvent::MemoryReset => ("memory reset", vec![]),
            CardEvent::DefaultSmdpSet(address) => {
                ("default SM-DP+ address set", vec![("address", address.clone().unwrap_or_default())])
            }
            CardEvent::NotificationRaised { sequence_number, event, address } => (
                "notification raised",
                vec![
                    ("number", sequence_number.to_string()),
                    ("event", format!("{event:?}").to_lowercase()),
                    ("address", address.clone()),
                ],
            ),
            CardEvent::NotificationRemoved(number) => ("notification removed", vec![("number", number.to_string())]),
            CardEvent::RefreshAsked => ("refresh asked for", vec![]),
            CardEvent::SwitchAbandoned => ("switch abandoned", vec![]),
            CardEvent::MetadataUpdated(iccid) => ("metadata updated", vec![("iccid", iccid.to_string())]),
            CardEvent::ImsiSwitched(imsi) => ("IMSI switched", vec![("imsi", imsi.clone())]),
            CardEvent::RevocationListLoaded { number, missing } => {
                let missing = missing.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
                ("revocation list loaded", vec![("number", number.to_string()), ("missing", missing)])
            }
            CardEvent::RevocationListRefused { code: why, problem } => {
                ("revocation list refused", vec![("code", code(why)), ("problem", problem.clone())])
            }
            CardEvent::RemoteCommand { tar, status, last } => {
                let last = last.map(|last| ("last", format!("{last:04X}")));
                let tar = ("tar", rsp::ids::to_hex(tar));
                ("over the air", [tar, ("status", code(status))].into_iter().chain(last).collect())
            }
            CardEvent::StoreFailed(problem) => ("memory failed", vec![("problem", problem.clone())]),
        };
        self.note(Role::Card, text, fields);
    }

    /// Adds a fault that has fired.
    pub fn fault(&self, layer: impl Into<Cow<'static, str>>, text: impl Into<String>) {
        self.record(Role::Lab, Kind::Fault { layer: layer.into(), text: text.into() });
    }

    /// How many events there have been; also the place from which [`Timeline::since`] gives what comes next.
    pub fn len(&self) -> usize {
        self.kept().count()
    }

    /// True when nothing has happened yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The time since the timeline began.
    pub fn elapsed(&self) -> Duration {
        self.inner.start.elapsed()
    }

    /// All events that are kept.
    pub fn snapshot(&self) -> Vec<Event> {
        self.since(0)
    }

    /// The events from number `from` on, as far as they are kept.
    pub fn since(&self, from: usize) -> Vec<Event> {
        let kept = self.kept();
        kept.events.iter().skip(from.saturating_sub(kept.forgotten)).cloned().collect()
    }

    /// The same with the number of the first of them.
    pub fn numbered_since(&self, from: usize) -> (usize, Vec<Event>) {
        let kept = self.kept();
        let first = from.clamp(kept.forgotten, kept.count());
        (first, kept.events.iter().skip(first - kept.forgotten).cloned().collect())
    }

    /// The first event from number `from` on that `wanted` accepts, with its number; waits until there is one.
    pub async fn wait_for(&self, from: usize, mut wanted: impl FnMut(&Event) -> bool) -> (usize, Event) {
        let mut count = self.inner.count.subscribe();
        let mut next = from;
        loop {
            // Marked as seen before looking, so that an event recorded while we look wakes us again.
            count.borrow_and_update();
            {
                let kept = self.kept();
                next = next.max(kept.forgotten);
                for event in kept.events.iter().skip(next - kept.forgotten) {
                    if wanted(event) {
                        return (next, event.clone());
                    }
                    next += 1;
                }
            }
            // The sender lives as long as `self`: this cannot fail, and if it did there would be nothing to wait for.
            if count.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A panic elsewhere leaves the list whole: a push is done or not done.
        self.inner.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(text: &str) -> Kind {
        Kind::Note { text: text.to_owned(), fields: BTreeMap::new() }
    }

    #[test]
    fn events_keep_their_order_and_their_times_never_go_back() {
        let timeline = Timeline::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for index in 0..250 {
                        timeline.clone().record(Role::Card, note(&index.to_string()));
                    }
                });
            }
        });
        let events = timeline.snapshot();
        assert_eq!(events.len(), 1000);
        assert!(events.is_sorted_by_key(|event| event.at));
        assert_eq!(timeline.since(990).len(), 10);
        assert!(timeline.since(2000).is_empty());
    }

    #[tokio::test]
    async fn waiting_finds_what_was_and_what_comes() {
        let timeline = Timeline::new();
        timeline.record(Role::Lab, note("before"));
        let is = |text: &'static str| move |event: &Event| event.kind == note(text);
        assert_eq!(timeline.wait_for(0, is("before")).await.0, 0);
        let (found, ()) = tokio::join!(timeline.wait_for(0, is("after")), async {
            timeline.record(Role::Lab, note("between"));
            tokio::task::yield_now().await;
            timeline.record(Role::Lab, note("after"));
        });
        assert_eq!(found.0, 2);
    }

    #[tokio::test]
    async fn an_event_recorded_on_another_thread_wakes_the_waiter() {
        let timeline = Timeline::new();
        let other = timeline.clone();
        let recorder =
            std::thread::spawn(move || (0..100).for_each(|n| other.record(Role::Card, note(&n.to_string()))));
        let (number, _) = timeline.wait_for(0, |event| event.kind == note("99")).await;
        assert_eq!(number, 99);
        recorder.join().unwrap();
    }

    #[tokio::test]
    async fn a_timeline_that_forgets_keeps_its_numbers() {
        let timeline = Timeline::keeping(3);
        (0..10).for_each(|n| timeline.record(Role::Lab, note(&n.to_string())));
        let texts = |events: Vec<Event>| events.iter().map(|event| event.kind.to_string()).collect::<Vec<_>>();
        assert_eq!(timeline.len(), 10);
        assert_eq!(texts(timeline.snapshot()), ["7", "8", "9"]);
        assert_eq!(texts(timeline.since(8)), ["8", "9"]);
        assert_eq!(
            [0, 8, 99].map(|from| timeline.numbered_since(from)).map(|(first, all)| (first, all.len())),
            [(7, 3), (8, 2), (10, 0)]
        );
        assert!(timeline.since(10).is_empty());
        assert_eq!(timeline.wait_for(0, |_| true).await.0, 7);
        assert_eq!(timeline.wait_for(9, |_| true).await.0, 9);
    }

    #[test]
    fn events_in_words_and_as_json() {
        let at = |role, kind| Event { at: Duration::from_micros(1500), role, kind };
        let http = Http {
            function: "authenticateClient".to_owned(),
            path: "/gsma/rsp2/es9plus/authenticateClient".to_owned(),
            status: 200,
            subject: Some("8.2.6".to_owned()),
            reason: Some("3.8".to_owned()),
            request_bytes: 3000,
            response_bytes: 150,
            request: None,
            response: None,
            duration: Duration::from_micros(2500),
        };
        let events = [
            at(Role::Modem, Kind::At { port: 0, direction: Direction::Command, text: "AT+CSIM=?".to_owned() }),
            at(Role::Modem, Kind::At { port: 0, direction: Direction::Response, text: "OK".to_owned() }),
            at(Role::Modem, Kind::At { port: 1, direction: Direction::Response, text: "é".repeat(300) }),
            at(Role::Card, Kind::Apdu { command: vec![0x80; 60], response: vec![0x61, 0x10] }),
            at(Role::Card, Kind::Apdu { command: vec![0, 0xC0, 0, 0, 2], response: vec![1, 2, 0x90, 0] }),
            at(Role::Card, Kind::Apdu { command: vec![], response: vec![] }),
            at(Role::Server, Kind::Http(http)),
            at(
                Role::Card,
                Kind::Note {
                    text: "profile installed".to_owned(),
                    fields: [("iccid".into(), "8944".to_owned())].into(),
                },
            ),
            at(Role::Lab, Kind::Fault { layer: "tls".into(), text: "closed".to_owned() }),
            at(Role::Assistant, Kind::Lpa { step: serde_json::json!({ "outcome": "success" }) }),
            at(Role::Lab, Kind::Process { text: "lpad has ended with 0".to_owned() }),
        ];
        let text: String = events.iter().map(|event| format!("{event}\n")).collect();
        insta::assert_snapshot!("events_in_words", text);
        let json: String = events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect();
        insta::assert_snapshot!("events_as_json", json);
    }
}
