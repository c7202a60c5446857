//! The modem as a host sees it, over the whole command set.

mod any_input;
mod blank;
mod channels;
mod commands;
mod files;
mod forms;
mod line;
mod network;
mod note;
mod nvm;
mod packet;
#[cfg(feature = "shell")]
mod peer;
mod quirks;
#[cfg(feature = "shell")]
mod sockets;
mod ssl;
mod stage;
mod states;
#[cfg(feature = "shell")]
mod tls;

use std::time::Duration;

use crate::Modem;
use crate::model::Model;
use crate::testing::Sketch;

/// 2026-11-20 10:31:45 UTC.
pub(super) const NOW: Duration = Duration::from_secs(1_795_170_705);

pub(super) const ISD_R: &str = "A0000005591010FFFFFFFF8900000100";

/// What the model says when a card has become ready (eSIM LPA AN 1.1 §2.3.9).
pub(super) const READY: &str = "\r\n+CPIN: READY\r\n\r\n+QUSIM: 1\r\n\r\n+QIND: SMS DONE\r\n\r\n+QIND: PB DONE\r\n";

/// A model that only asks for the PIN when a card comes up.
pub(super) fn brief() -> Model {
    let mut model = Model::named("RM500Q-GL").unwrap();
    model.card.startup = vec![crate::model::StartupStep::Pin];
    model
}

/// A modem of this model without echo, on the card of the note.
pub(super) fn modem(model: &str) -> (Modem, Sketch) {
    let sketch = Sketch::of_the_note();
    let mut modem = Modem::new(Model::named(model).unwrap(), sketch.card());
    modem.set_time(NOW);
    say(&mut modem, "ATE0");
    (modem, sketch)
}

/// What a line is answered.
pub(super) fn say(modem: &mut Modem, line: &str) -> String {
    say_raw(modem, format!("{line}\r").as_bytes())
}

pub(super) fn say_raw(modem: &mut Modem, bytes: &[u8]) -> String {
    String::from_utf8(modem.receive(0, bytes).for_port(0)).unwrap()
}

/// What is said and answered, every byte of it. A line that ends in `␚` is text behind a prompt.
pub(super) fn transcript<'a>(modem: &mut Modem, lines: impl IntoIterator<Item = &'a str>) -> String {
    let mut out = String::new();
    for line in lines {
        out.push_str(&format!("> {line}\n"));
        let answer = match line.strip_suffix('␚') {
            Some(text) => say_raw(modem, format!("{text}\x1A").as_bytes()),
            None => say(modem, line),
        };
        for part in answer.split_inclusive('\n') {
            out.push_str(&format!("< {}\n", part.replace('\r', "\\r").replace('\n', "\\n")));
        }
    }
    out
}

/// The lines of an answer, without their delimiters.
pub(super) fn lines(answer: &str) -> Vec<&str> {
    answer.split("\r\n").filter(|line| !line.is_empty()).collect()
}
