//! Reports: what a run did, for people (a terminal, HTML), for machines (JUnit, JSON lines, TAP) and for Wireshark.
//!
//! All are views of the same [`RunResult`](crate::runner::result::RunResult); the terminal and the JSON lines are
//! told as it happens, the others when all is done, also from the JSON lines of several runs ([`merge`]).

pub mod decode;
pub mod html;
pub mod json;
pub mod junit;
pub mod merge;
pub mod pcap;
pub mod sequence;
pub mod tap;
pub mod terminal;

use crate::runner::result::Failure;

/// A failure in plain lines: what was looked at, what was expected, what was seen.
pub(crate) fn plain_failure(path: &str, failure: &Failure) -> String {
    let mut text = format!("{path}:{}: {}\n", failure.line, failure.what);
    for (name, lines) in [("expected", &failure.expected), ("seen", &failure.seen)] {
        text.push_str(&format!("  {name}:\n"));
        if lines.is_empty() {
            text.push_str("    (nothing)\n");
        }
        lines.iter().for_each(|line| text.push_str(&format!("    {}\n", printable(line))));
    }
    text
}

/// A text with its control characters escaped: what a modem or a program wrote must not steer a terminal or break
/// a report.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|char| {
            let escaped: Box<dyn Iterator<Item = char>> =
                if char.is_control() { Box::new(char.escape_default()) } else { Box::new(std::iter::once(char)) };
            escaped
        })
        .collect()
}
