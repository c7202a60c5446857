//! What modem and server tell, on its way to the timeline.

use std::sync::Arc;

use modem::ModemEvent;
use smdp::SmdpEvent;
use smdp::front::{Exchange, FaultFired};
use smdp::manage::Watch;

use crate::timeline::{Direction, Http, Role, Timeline};

/// The longest HTTP body that goes into the timeline.
const KEPT_BODY: usize = 256 * 1024;

pub(super) struct ModemWatch {
    pub(super) timeline: Timeline,
}

impl modem::Observer for ModemWatch {
    fn event(&mut self, event: ModemEvent<'_>) {
        match event {
            ModemEvent::Command { port, line } => self.timeline.at(port, Direction::Command, line),
            ModemEvent::Response { port, text } => {
                for line in text.split(['\r', '\n']).filter(|line| !line.is_empty()) {
                    self.timeline.at(port, Direction::Response, line);
                }
            }
            ModemEvent::Urc { line } => {
                // A message that is routed to the host has a line for its text.
                for line in line.split(['\r', '\n']).filter(|line| !line.is_empty()) {
                    self.timeline.at(0, Direction::Response, line);
                }
            }
            ModemEvent::Apdu { command, response } => self.timeline.apdu(command, response),
            ModemEvent::Network(event) => self.timeline.note(Role::Network, event.title(), event.fields()),
            // The card tells its reset itself.
            ModemEvent::CardReset { .. } => {}
        }
    }
}

pub(super) struct ServerWatch {
    pub(super) timeline: Timeline,
    pub(super) watch: Arc<Watch>,
}

impl smdp::front::Observer for ServerWatch {
    fn exchange(&self, exchange: &Exchange) {
        self.watch.exchange(exchange);
        let text = |body: &[u8]| {
            std::str::from_utf8(body).ok().filter(|body| (1..=KEPT_BODY).contains(&body.len())).map(str::to_owned)
        };
        let refused = exchange.refused.as_ref();
        self.timeline.http(Http {
            function: exchange.function.map(|function| function.name().to_owned()).unwrap_or_default(),
            path: exchange.path.clone(),
            status: exchange.http_status.unwrap_or(0),
            subject: refused.map(|status| status.subject.to_string()),
            reason: refused.map(|status| status.reason.to_string()),
            request_bytes: exchange.request_length,
            response_bytes: exchange.response_length,
            request: text(&exchange.request),
            response: text(&exchange.response),
            duration: exchange.duration,
        });
    }

    fn fault(&self, fault: &FaultFired) {
        self.watch.fault(fault);
        let at = fault.function.map(|function| format!(" at {}", function.name())).unwrap_or_default();
        self.timeline.fault(fault.action.layer(), format!("{}{at}", fault.action));
    }

    fn handshake_failed(&self, reason: &str) {
        self.watch.handshake_failed(reason);
        self.timeline.note(Role::Server, "TLS handshake failed", [("reason", reason.to_owned())]);
    }

    fn event(&self, event: &SmdpEvent) {
        self.watch.event(event);
        self.timeline.note(Role::Server, event.kind.to_string(), std::iter::empty::<(&str, String)>());
    }
}
