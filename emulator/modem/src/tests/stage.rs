//! A modem with a world of sockets that the test plays: what is said, what is answered, what is asked of the world.

use std::net::SocketAddr;
use std::time::Duration;

use super::NOW;
use crate::model::Model;
use crate::output::Output;
use crate::socket::{SocketEvent, SocketId, SocketRequest};
use crate::testing::Sketch;
use crate::{IpError, Modem};

/// The address of the examples.
pub(super) const SERVER: &str = "220.180.239.212:8010";

pub(super) struct Stage {
    pub(super) modem: Modem,
    pub(super) now: Duration,
    pub(super) requests: Vec<SocketRequest>,
    port: usize,
    log: String,
}

impl Stage {
    /// An EC200U whose host is at the second port, the "usbmodem" of the note, without echo, with a context that is
    /// active.
    pub(super) fn new() -> Self {
        let mut stage = Stage::without_context("EC200U");
        stage.say("AT+QICSGP=1,1,\"UNINET\",\"\",\"\",1");
        stage.say("AT+QIACT=1");
        stage.log.clear();
        stage
    }

    pub(super) fn without_context(model: &str) -> Self {
        let mut modem = Modem::new(Model::named(model).unwrap(), Sketch::of_the_note().card());
        modem.set_time(NOW);
        let mut stage = Stage { modem, now: NOW, requests: Vec::new(), port: 1, log: String::new() };
        stage.say("ATE0");
        stage.log.clear();
        stage
    }

    /// Does what follows at another port.
    pub(super) fn at_port(&mut self, port: usize) {
        self.port = port;
        self.say("ATE0");
    }

    fn hear(&mut self, output: Output) -> String {
        let text = String::from_utf8_lossy(&output.for_port(self.port)).into_owned();
        self.requests.extend(output.requests);
        for part in text.split_inclusive('\n') {
            self.log.push_str(&format!("< {}\n", part.replace('\r', "\\r").replace('\n', "\\n")));
        }
        text
    }

    /// A command line.
    pub(super) fn say(&mut self, line: &str) -> String {
        self.log.push_str(&format!("> {line}\n"));
        let output = self.modem.receive_at(self.port, format!("{line}\r").as_bytes(), self.now);
        self.hear(output)
    }

    /// Bytes as they are.
    pub(super) fn send(&mut self, bytes: &[u8]) -> String {
        let shown = String::from_utf8_lossy(bytes).replace('\x1A', "<CTRL+Z>").replace('\x1B', "<ESC>");
        self.log.push_str(&format!("> {shown}\n"));
        let output = self.modem.receive_at(self.port, bytes, self.now);
        self.hear(output)
    }

    /// Something happens to a socket.
    pub(super) fn event(&mut self, event: SocketEvent) -> String {
        let output = self.modem.socket_event(event, self.now);
        self.hear(output)
    }

    /// Time passes.
    pub(super) fn wait(&mut self, time: Duration) -> String {
        self.now += time;
        let output = self.modem.tick(self.now);
        self.hear(output)
    }

    /// The socket that was asked for last.
    pub(super) fn opened_last(&self) -> SocketId {
        let id = |request: &SocketRequest| match request {
            SocketRequest::Open { id, .. } | SocketRequest::Listen { id, .. } | SocketRequest::Resolve { id, .. } => {
                Some(*id)
            }
            _ => None,
        };
        self.requests.iter().rev().find_map(id).unwrap()
    }

    /// The socket that was asked for last comes up.
    pub(super) fn opens(&mut self, local_port: u16) -> (SocketId, String) {
        let id = self.opened_last();
        let remote: SocketAddr = SERVER.parse().unwrap();
        (id, self.event(SocketEvent::Opened { id, local_port, remote: Some(remote) }))
    }

    /// The socket that was asked for last does not come up.
    pub(super) fn fails(&mut self, error: IpError) -> String {
        let id = self.opened_last();
        self.event(SocketEvent::Failed { id, error })
    }

    pub(super) fn receives(&mut self, id: SocketId, bytes: &[u8]) -> String {
        self.event(SocketEvent::Received { id, bytes: bytes.to_vec(), from: None })
    }

    /// What was sent, all of it, which has gone.
    pub(super) fn sent(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        for request in std::mem::take(&mut self.requests) {
            if let SocketRequest::Send { id, bytes, .. } = request {
                let _ = self.event(SocketEvent::Sent { id, count: bytes.len() });
                all.extend(bytes);
            }
        }
        all
    }

    /// The number that +QIGETERROR tells.
    pub(super) fn last_error(&mut self) -> u16 {
        let answer = self.say("AT+QIGETERROR");
        let number = answer.trim_start().strip_prefix("+QIGETERROR: ").and_then(|rest| rest.split(',').next());
        number.unwrap().parse().unwrap()
    }

    /// What was said and answered, every byte of it.
    pub(super) fn log(self) -> String {
        self.log
    }
}
