//! What goes wrong, and when.

use smdp::front::Action;
use smdp::{Function, StatusError};
use toml::de::DeValue;

use super::Reader;
use super::fields::{Fields, Value};
use crate::scenario::ast::*;
use crate::scenario::error::{Mistake, listed};

/// The layers, each a key of a fault.
const LAYERS: [&str; 7] = ["name", "tcp", "tls", "http", "es9plus", "at", "card"];

/// What a fault is, before its trigger is read.
enum What {
    /// The address of the server: nothing to trigger.
    Address(Fault),
    Server(Action),
    Line(LineFault),
    Card(CardFault),
}

impl Reader<'_> {
    pub(super) fn fault(&mut self, value: Value<'_, '_>) -> Option<Fault> {
        let mut fields = self.table(value, "a fault")?;
        let [name, tcp, tls, http, es9plus, at, card] = LAYERS.map(|key| fields.take(key));
        self.exactly_one(&fields, &LAYERS);
        let bytes = fields.take("bytes").map(|value| self.integer(value, 0..=100_000_000));
        let bytes = bytes.flatten().and_then(|bytes| usize::try_from(bytes).ok());
        let segment = fields.take("segment").and_then(|value| self.count(value)).map_or(1, |count| count as usize);
        let whats: Vec<Option<What>> = [
            name.map(|value| {
                self.word::<NameFault>(value, "fault of the name").map(|fault| What::Address(fault.into()))
            }),
            tcp.map(|value| {
                self.word::<TcpFault>(value, "fault of the connection").map(|fault| match fault.action() {
                    Ok(action) => What::Server(action),
                    Err(fault) => What::Address(Fault::Address(fault)),
                })
            }),
            tls.map(|value| self.tls_fault(value).map(What::Server)),
            http.map(|value| self.http_fault(value, bytes).map(What::Server)),
            es9plus.map(|value| self.es9plus_fault(value, segment).map(What::Server)),
            at.map(|value| self.line_fault(value).map(What::Line)),
            card.map(|value| self.card_fault(value).map(What::Card)),
        ]
        .into_iter()
        .flatten()
        .collect();
        self.of_their_layers(&fields);
        let fault = match whats.into_iter().next().flatten() {
            None => {
                self.trigger(&mut fields);
                fields.known.extend(["function", "order"]);
                None
            }
            Some(What::Address(fault)) => {
                let before = self.mistakes.len();
                fields.known.extend(["function", "order", "command", "nth", "count", "after", "after_bytes"]);
                for key in fields.present(&["function", "order", "command", "nth", "count", "after", "after_bytes"]) {
                    self.no_trigger(&fields, key);
                }
                (self.mistakes.len() == before).then_some(fault)
            }
            Some(What::Server(action)) => self.server_fault(&mut fields, action),
            Some(What::Line(fault)) => {
                let function = fields.take("function").map(|value| self.word::<CardFunction>(value, "function"));
                fields.known.push("order");
                let trigger = self.trigger(&mut fields);
                let function = self.all_or_none(function)?;
                trigger.map(|trigger| Fault::Line(fault, Trigger { function, ..trigger }))
            }
            Some(What::Card(fault)) => {
                let function = fields.take("function").map(|value| self.word::<CardFunction>(value, "function"));
                fields.known.push("order");
                let trigger = self.trigger(&mut fields);
                if fault == CardFault::PowerCut {
                    for key in fields.present(&["function", "command", "after", "after_bytes", "count"]) {
                        let message = format!("`{key}` does not go with a power cut");
                        self.mistake(
                            Mistake::new(fields.key_span(key), message, "not looked at")
                                .help("it comes once, at the write of the card's store that `nth` says"),
                        );
                    }
                }
                let function = self.all_or_none(function)?;
                trigger.map(|trigger| Fault::Card(fault, Trigger { function, ..trigger }))
            }
        };
        self.no_others(fields);
        fault
    }

    /// A value that may be absent, but not wrong.
    fn all_or_none<T>(&self, value: Option<Option<T>>) -> Option<Option<T>> {
        match value {
            None => Some(None),
            Some(None) => None,
            Some(value) => Some(value),
        }
    }

    fn no_trigger(&mut self, fields: &Fields<'_, '_>, key: &str) {
        let layer = fields.present(&LAYERS).first().copied().unwrap_or("this fault");
        let help = match key {
            "function" => "leave it out: no function has been called when the connection fails",
            _ => "leave it out: it is so each time, from the beginning",
        };
        let label = if key == "function" { "goes with `http` and `es9plus`" } else { "cannot be counted" };
        self.mistake(
            Mistake::new(fields.key_span(key), format!("`{key}` does not go with `{layer}`"), label).help(help),
        );
    }

    /// Keys that mean something to some layers only.
    fn of_their_layers(&mut self, fields: &Fields<'_, '_>) {
        let layers = fields.present(&LAYERS);
        let word = |key: &str| fields.table.get(key).and_then(|value| value.get_ref().as_str());
        let counts = word("http").and_then(HttpFault::from_word).is_some_and(HttpFault::counts_bytes);
        let has_segment = matches!(word("es9plus"), Some("tamper-segment" | "tamper-mac"));
        for (key, goes, with) in [
            ("bytes", counts, "`http = \"cut\"`, `\"drip\"` and `\"huge\"`"),
            ("segment", has_segment, "`es9plus = \"tamper-segment\"` and `\"tamper-mac\"`"),
            ("command", layers.iter().any(|layer| matches!(*layer, "at" | "card")), "`at` and `card`"),
            ("after_bytes", layers.iter().any(|layer| matches!(*layer, "at" | "card")), "`at` and `card`"),
            ("order", layers.iter().any(|layer| matches!(*layer, "http" | "es9plus")), "`http` and `es9plus`"),
        ] {
            // With another mistake in the layer there is nothing to say about what goes with it.
            if fields.table.contains_key(key) && !goes && layers.len() == 1 {
                let message = format!("`{key}` does not go with this fault");
                self.mistake(
                    Mistake::new(fields.key_span(key), message, "not looked at").help(format!("it goes with {with}")),
                );
            }
        }
    }

    fn server_fault(&mut self, fields: &mut Fields<'_, '_>, action: Action) -> Option<Fault> {
        let function = fields.take("function").map(|value| self.word::<Function>(value, "function"));
        let order = fields.take("order").map(|value| self.line_of_text(value));
        let trigger = self.trigger(fields);
        if let [layer @ ("tcp" | "tls")] = fields.present(&LAYERS)[..] {
            let _ = layer;
            if fields.table.contains_key("function") {
                self.no_trigger(fields, "function");
            }
        }
        let function = self.all_or_none(function)?;
        let order = self.all_or_none(order)?;
        let Trigger { nth, count, after, .. } = trigger?;
        Some(Fault::Server(smdp::Fault { action, function, order, nth, count, after }))
    }

    /// When it fires; `function` is read by those who know which functions there are.
    fn trigger(&mut self, fields: &mut Fields<'_, '_>) -> Option<Trigger> {
        let before = self.mistakes.len();
        let pattern = fields.take("command").and_then(|value| self.pattern(value));
        let nth = fields.take("nth").and_then(|value| self.count(value)).unwrap_or(1);
        let count = fields.take("count").and_then(|value| self.count(value));
        let after = fields.take("after").and_then(|value| self.duration(value));
        let after_bytes = fields
            .take("after_bytes")
            .and_then(|value| self.integer(value, 1..=1_000_000_000))
            .and_then(|bytes| u64::try_from(bytes).ok());
        let trigger = Trigger { pattern, function: None, nth, count, after, after_bytes };
        (self.mistakes.len() == before).then_some(trigger)
    }

    fn tls_fault(&mut self, value: Value<'_, '_>) -> Option<Action> {
        if !value.get_ref().is_table() {
            return self.word::<TlsFault>(value, "fault of the handshake").map(Action::from);
        }
        let mut fields = self.table(value, "a fault of the handshake")?;
        let alert = self.required(&mut fields, "alert", "write the number of the alert: `{ alert = 48 }`");
        let alert = alert.and_then(|value| self.integer(value, 0..=255));
        self.no_others(fields);
        u8::try_from(alert?).ok().map(Action::TlsAlert)
    }

    fn http_fault(&mut self, value: Value<'_, '_>, bytes: Option<usize>) -> Option<Action> {
        match value.get_ref() {
            DeValue::Integer(_) => self.http_status(value).map(|status| http_status_fault(status, None)),
            DeValue::Table(_) => {
                const KINDS: [&str; 3] = ["status", "missing", "redirect"];
                let mut fields = self.table(value, "a fault of HTTP")?;
                let [status, missing, redirect] = KINDS.map(|key| fields.take(key));
                self.exactly_one(&fields, &KINDS);
                let body = fields.take("body").and_then(|value| self.string(value)).map(str::to_owned);
                if fields.table.contains_key("body") && status.is_none() {
                    self.mistake(Mistake::new(fields.key_span("body"), "`body` goes with `status`", "no `status`"));
                }
                let action = if let Some(status) = status {
                    self.http_status(status).map(|status| http_status_fault(status, body))
                } else if let Some(name) = missing {
                    self.line_of_text(name).map(|name| Action::HttpMissing(name.into()))
                } else {
                    redirect.and_then(|value| self.line_of_text(value)).map(|to| Action::HttpRedirect(to.into()))
                };
                self.no_others(fields);
                action
            }
            DeValue::String(_) => self.word::<HttpFault>(value, "fault of HTTP").map(|fault| fault.action(bytes)),
            _ => {
                let words = listed(HttpFault::ALL.iter().map(|(word, _)| *word));
                let help = format!("write a status (`503`), one of {words}, or `{{ missing = \"transactionId\" }}`");
                self.wrong_type(value, "a status or a word", &help);
                None
            }
        }
    }

    /// A fault of the messages: one of the words, or a status to be refused with.
    fn es9plus_fault(&mut self, value: Value<'_, '_>, segment: usize) -> Option<Action> {
        match value.get_ref().as_str() {
            Some(text) if text.contains('/') => self.status_code(value).map(|status| {
                Action::Refuse(StatusError::new(status.subject, status.reason, "refused because a fault says so"))
            }),
            _ => self.word::<Es9PlusFault>(value, "fault of ES9+").map(|fault| fault.action(segment)),
        }
    }

    fn line_fault(&mut self, value: Value<'_, '_>) -> Option<LineFault> {
        if !value.get_ref().is_table() {
            return self.word::<LineWord>(value, "fault of the AT line").map(LineFault::from);
        }
        const KINDS: [&str; 4] = ["cme_error", "urc", "delay", "gone"];
        let mut fields = self.table(value, "a fault of the AT line")?;
        let [cme_error, urc, delay, gone] = KINDS.map(|key| fields.take(key));
        self.exactly_one(&fields, &KINDS);
        let fault = if let Some(value) = cme_error {
            let code = self.integer(value, 0..=999).and_then(|code| u16::try_from(code).ok());
            code.map(LineFault::CmeError)
        } else if let Some(value) = urc {
            self.line_of_text(value).map(LineFault::Urc)
        } else if let Some(value) = delay {
            self.duration(value).map(LineFault::Delay)
        } else {
            gone.and_then(|value| self.duration(value)).map(LineFault::Gone)
        };
        self.no_others(fields);
        fault
    }

    fn card_fault(&mut self, value: Value<'_, '_>) -> Option<CardFault> {
        let status = value.get_ref().as_str().filter(|text| text.len() == 4);
        match status.and_then(rsp::ids::from_hex).as_deref() {
            Some([high, low]) => Some(CardFault::Status(u16::from_be_bytes([*high, *low]))),
            _ => {
                let before = self.mistakes.len();
                let word = self.word::<CardFault>(value, "fault of the card");
                if let Some(mistake) = self.mistakes.get_mut(before)
                    && let Some(help) = &mut mistake.help
                {
                    help.push_str("; or a status word of four hexadecimal digits: `\"6F00\"`");
                }
                word
            }
        }
    }
}
