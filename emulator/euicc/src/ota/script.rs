//! The commands in a secured packet (TS 102 226 §5): one after another in the compact format, or each in an element of
//! a template in the expanded one; and what is told of them.

use rsp::tlv::{Reader, Writer};

use crate::apdu::Sw;

/// Templates of the expanded format (TS 101 220 §7.3): with a definite and with an indefinite length.
const COMMANDS: u8 = 0xAA;
const COMMANDS_INDEFINITE: u8 = 0xAE;
const COMMAND: u32 = 0x22;

/// The form of a script, which is that of the response as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Compact,
    Expanded,
    ExpandedIndefinite,
}

/// Commands that are to be carried out, and whether something unreadable follows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Script<'a> {
    pub(super) format: Format,
    pub(super) commands: Vec<&'a [u8]>,
    pub(super) is_whole: bool,
}

/// A command that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) data: Vec<u8>,
    pub(super) sw: Sw,
}

impl<'a> Script<'a> {
    pub(super) fn parse(data: &'a [u8]) -> Self {
        match data {
            [COMMANDS, ..] => match Reader::new(data).next() {
                Some(Ok(template)) => Script::expanded(Format::Expanded, template.value()),
                _ => Script { format: Format::Expanded, commands: Vec::new(), is_whole: false },
            },
            [COMMANDS_INDEFINITE, 0x80, rest @ ..] => match rest.strip_suffix(&[0, 0]) {
                Some(inside) => Script::expanded(Format::ExpandedIndefinite, inside),
                None => Script { format: Format::ExpandedIndefinite, commands: Vec::new(), is_whole: false },
            },
            _ => Script::compact(data),
        }
    }

    fn expanded(format: Format, inside: &'a [u8]) -> Self {
        let mut commands = Vec::new();
        for element in Reader::new(inside) {
            match element {
                Ok(element) if element.tag().0 == COMMAND => commands.push(element.value()),
                _ => return Script { format, commands, is_whole: false },
            }
        }
        Script { format, commands, is_whole: true }
    }

    fn compact(mut data: &'a [u8]) -> Self {
        let mut commands = Vec::new();
        while let [_, ins, .., p3] = *data.get(..5).unwrap_or_default() {
            // TS 102 226 §5.1.1: P3 is the length of the data that is sent, or of what is wanted.
            let sent = if wants_data(ins) { 0 } else { usize::from(p3) };
            let Some((command, rest)) = data.split_at_checked(5 + sent) else { break };
            commands.push(command);
            data = rest;
        }
        Script { format: Format::Compact, commands, is_whole: data.is_empty() }
    }
}

/// Commands that send nothing: READ BINARY and RECORD, GET RESPONSE, GET DATA, STATUS.
fn wants_data(ins: u8) -> bool {
    matches!(ins, 0xB0 | 0xB2 | 0xC0 | 0xCA | 0xF2)
}

impl Format {
    /// What is told of the commands that were carried out. `is_whole` is false when something that is no command has
    /// ended the script.
    pub(super) fn response(self, done: &[Done], is_whole: bool) -> Vec<u8> {
        // TS 102 226 table 5.6: unknown tag.
        const BAD_FORMAT: u32 = 0x90;
        const UNKNOWN_TAG: u8 = 0x01;
        let count = done.len().min(255) as u8;
        let bytes = |done: &Done| [&done.data[..], &done.sw.0.to_be_bytes()].concat();
        let body = |w: Writer| {
            let w = done.iter().fold(w, |w, done| w.put(0x23, &bytes(done)));
            if is_whole { w } else { w.put(BAD_FORMAT, &[UNKNOWN_TAG]) }
        };
        match (self, done.last()) {
            // TS 102 226 §5.1.2: the number of commands, the last status word, the last data.
            (Format::Compact, Some(last)) => [&[count], &last.sw.0.to_be_bytes()[..], &last.data].concat(),
            (Format::Compact, None) => [&[0], &Sw::WRONG_LENGTH.0.to_be_bytes()[..]].concat(),
            (Format::Expanded, _) => Writer::new().nested(0xAB, |w| body(w.put(0x80, &[count]))).into_vec(),
            (Format::ExpandedIndefinite, _) => [&[0xAF, 0x80][..], &body(Writer::new()).into_vec(), &[0, 0]].concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rsp::ids::{from_hex, to_hex};

    fn hex(text: &str) -> Vec<u8> {
        from_hex(text.replace(' ', "")).unwrap()
    }

    fn done(data: &str, sw: u16) -> Done {
        Done { data: hex(data), sw: Sw(sw) }
    }

    #[test]
    fn scripts_are_split_into_commands() {
        // proves: USIM - over the air
        for (script, format, commands) in [
            (
                "00A40004023F00 00A40004022FE2 00B000000A",
                Format::Compact,
                &["00A40004023F00", "00A40004022FE2", "00B000000A"][..],
            ),
            // Made by pySim.
            (
                "AA14220880F24002024F0000220800A40004023F0000",
                Format::Expanded,
                &["80F24002024F0000", "00A40004023F0000"],
            ),
            (
                "AE80220700A4000C023F00220700A4000C022FE2220500B000000A0000",
                Format::ExpandedIndefinite,
                &["00A4000C023F00", "00A4000C022FE2", "00B000000A"],
            ),
        ] {
            let script = hex(script);
            let parsed = Script::parse(&script);
            assert_eq!((parsed.format, parsed.is_whole), (format, true));
            assert_eq!(parsed.commands.iter().map(|command| to_hex(command)).collect::<Vec<_>>(), commands);
        }
        for broken in ["00A40004023F", "00A4", "AA05220700A4", "AE802200", "AA0423020102"] {
            assert!(!Script::parse(&hex(broken)).is_whole, "{broken}");
        }
    }

    #[test]
    fn responses() {
        // proves: USIM - over the air
        let selected = [done("", 0x6132)];
        // As a real card has answered, in the other format as pySim reads it.
        assert_eq!(to_hex(&Format::Compact.response(&selected, true)), "016132");
        assert_eq!(to_hex(&Format::Expanded.response(&selected, true)), "AB0780010123026132");
        // A real card's, in the indefinite form.
        let read = [done("", 0x9000), done("", 0x9000), done("98881201000040860814", 0x9000)];
        let response = Format::ExpandedIndefinite.response(&read, true);
        assert_eq!(to_hex(&response), "AF8023029000230290 00230C988812010000408608149000 0000".replace(' ', ""));
        assert_eq!(to_hex(&Format::Expanded.response(&[], false)), "AB06800100900101");
        assert_eq!(to_hex(&Format::Compact.response(&[], false)), "006700");
    }
}
