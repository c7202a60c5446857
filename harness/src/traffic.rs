//! The bytes on the wire to the server of a lab, recorded for a packet capture.
//!
//! A [`Recorder`] is the front's [`Tap`]; what it has written down is a [`Recording`], which goes into the result of a
//! scenario (`esimlab run --pcap`) and from there into the capture. It holds the secrets of the TLS sessions as well.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use smdp::front::{End, Tap, Traffic};

use crate::timeline::{Timeline, from_hexadecimal, from_microseconds, hexadecimal, microseconds};

/// What was recorded of one lab.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// When the lab's timeline began, since the Unix epoch.
    #[serde(rename = "began_micros", serialize_with = "microseconds", deserialize_with = "from_microseconds")]
    pub began: Duration,
    /// The TCP connections to the server, in the order in which they were accepted.
    pub connections: Vec<Connection>,
    /// The secrets of their TLS sessions, as lines of a key log (`SSLKEYLOGFILE`).
    pub secrets: Vec<String>,
}

/// One TCP connection, as the server's end of it saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// The address of the client's end.
    pub client: SocketAddr,
    /// The address of the server's end.
    pub server: SocketAddr,
    /// When it was accepted, since the timeline began.
    #[serde(rename = "micros", serialize_with = "microseconds", deserialize_with = "from_microseconds")]
    pub accepted: Duration,
    /// What happened on it, in order.
    pub moments: Vec<Moment>,
}

/// Something that happened on a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// When, since the timeline began.
    #[serde(rename = "micros", serialize_with = "microseconds", deserialize_with = "from_microseconds")]
    pub at: Duration,
    /// Which end did it.
    pub end: End,
    /// What it did.
    #[serde(flatten)]
    pub deed: Deed,
}

/// What an end of a connection did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// It sent these bytes.
    #[serde(serialize_with = "hexadecimal", deserialize_with = "from_hexadecimal")]
    Bytes(Vec<u8>),
    /// It ended its direction (FIN).
    Ended,
    /// It reset the connection (RST).
    Reset,
}

/// Writes down what happens at the front of a lab's server.
pub struct Recorder {
    timeline: Timeline,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    recording: Recording,
    /// Which of the connections has which number at the front.
    numbers: HashMap<u64, usize>,
}

impl Recorder {
    /// One whose times are those of this timeline.
    pub fn new(timeline: Timeline) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let began = now.saturating_sub(timeline.elapsed());
        let recording = Recording { began, ..Recording::default() };
        Recorder { timeline, kept: Mutex::new(Kept { recording, numbers: HashMap::new() }) }
    }

    /// What has been written down so far.
    pub fn recording(&self) -> Recording {
        self.kept().recording.clone()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A panic elsewhere leaves the lists whole: a push is done or not done.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tap for Recorder {
    fn traffic(&self, connection: u64, traffic: Traffic<'_>) {
        let mut kept = self.kept();
        let kept = &mut *kept;
        // Taken under the lock, so that the order is that of the times.
        let at = self.timeline.elapsed();
        let (end, deed) = match traffic {
            Traffic::Opened { client, server } => {
                kept.numbers.insert(connection, kept.recording.connections.len());
                let opened = Connection { client, server, accepted: at, moments: Vec::new() };
                return kept.recording.connections.push(opened);
            }
            Traffic::Bytes(end, bytes) => (end, Deed::Bytes(bytes.to_vec())),
            Traffic::Ended(end) => (end, Deed::Ended),
            Traffic::Reset(end) => (end, Deed::Reset),
        };
        let known = kept.numbers.get(&connection).and_then(|index| kept.recording.connections.get_mut(*index));
        if let Some(connection) = known {
            connection.moments.push(Moment { at, end, deed });
        }
    }

    fn secret(&self, line: &str) {
        self.kept().recording.secrets.push(line.to_owned());
    }
}
