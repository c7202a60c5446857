//! The modem as a host sees it, over the whole command set.

mod blank;
mod commands;
mod line;
mod quirks;

use std::time::Duration;

use crate::Modem;
use crate::model::Model;
use crate::testing::Sketch;

/// 2026-11-20 10:31:45 UTC.
pub(super) const NOW: Duration = Duration::from_secs(1_795_170_705);

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
