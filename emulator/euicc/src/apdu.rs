//! Command and response APDUs (ISO 7816-4 §5, TS 102 221 §10): four cases, short lengths, class bytes, status words.
//!
//! A command is cut where it arrives and refused there when its class or its lengths are wrong; what is past
//! [`Command::parse`] is never checked for that again.

/// A status word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sw(pub(crate) u16);

impl Sw {
    /// Normal ending.
    pub(crate) const OK: Sw = Sw(0x9000);
    /// Warning without information, nothing has changed.
    pub(crate) const NOTHING_CHANGED: Sw = Sw(0x6200);
    /// More of the object is available (TS 102 221 §10.2.1.2).
    pub(crate) const MORE_DATA_AVAILABLE: Sw = Sw(0x62F1);
    /// More of the object is expected (TS 102 221 §10.2.1.3).
    pub(crate) const MORE_DATA_EXPECTED: Sw = Sw(0x63F1);
    /// No record matches a search.
    pub(crate) const SEARCH_UNSUCCESSFUL: Sw = Sw(0x6282);
    /// The selected file is deactivated.
    pub(crate) const FILE_DEACTIVATED: Sw = Sw(0x6283);
    /// The lengths of the command are wrong.
    pub(crate) const WRONG_LENGTH: Sw = Sw(0x6700);
    /// The logical channel is not open.
    pub(crate) const CHANNEL_NOT_SUPPORTED: Sw = Sw(0x6881);
    /// Secure messaging is not supported.
    pub(crate) const SECURE_MESSAGING_NOT_SUPPORTED: Sw = Sw(0x6882);
    /// Command chaining is not supported.
    pub(crate) const CHAINING_NOT_SUPPORTED: Sw = Sw(0x6884);
    /// The command does not fit the kind of the selected file.
    pub(crate) const INCOMPATIBLE_FILE: Sw = Sw(0x6981);
    /// The access conditions are not met.
    pub(crate) const SECURITY_STATUS_NOT_SATISFIED: Sw = Sw(0x6982);
    /// No try is left.
    pub(crate) const METHOD_BLOCKED: Sw = Sw(0x6983);
    /// The PIN is disabled, or the file is deactivated.
    pub(crate) const REFERENCE_DATA_NOT_USABLE: Sw = Sw(0x6984);
    /// Conditions of use not satisfied.
    pub(crate) const CONDITIONS_NOT_SATISFIED: Sw = Sw(0x6985);
    /// No elementary file is selected.
    pub(crate) const NO_FILE_SELECTED: Sw = Sw(0x6986);
    /// Incorrect values in the command data.
    pub(crate) const WRONG_DATA: Sw = Sw(0x6A80);
    /// The function is not supported.
    pub(crate) const FUNCTION_NOT_SUPPORTED: Sw = Sw(0x6A81);
    /// File or application not found.
    pub(crate) const NOT_FOUND: Sw = Sw(0x6A82);
    /// Record not found.
    pub(crate) const RECORD_NOT_FOUND: Sw = Sw(0x6A83);
    /// The file has no room for the object.
    pub(crate) const NOT_ENOUGH_MEMORY: Sw = Sw(0x6A84);
    /// Incorrect P1 or P2.
    pub(crate) const WRONG_P1_P2: Sw = Sw(0x6A86);
    /// Referenced data not found.
    pub(crate) const DATA_NOT_FOUND: Sw = Sw(0x6A88);
    /// The offset lies outside the file.
    pub(crate) const WRONG_OFFSET: Sw = Sw(0x6B00);
    /// Instruction not supported.
    pub(crate) const INS_NOT_SUPPORTED: Sw = Sw(0x6D00);
    /// Class not supported.
    pub(crate) const CLA_NOT_SUPPORTED: Sw = Sw(0x6E00);
    /// The memory has failed.
    pub(crate) const MEMORY_PROBLEM: Sw = Sw(0x6581);
    /// What some cards answer to blocks that are too long for them.
    pub(crate) const SECURITY_ENVIRONMENT: Sw = Sw(0x6601);
    /// Technical problem without diagnosis.
    pub(crate) const TECHNICAL_PROBLEM: Sw = Sw(0x6F00);

    /// INCREASE would pass the highest value (TS 102 221 §10.2.1.5.5).
    pub(crate) const INCREASE_PAST_MAXIMUM: Sw = Sw(0x9850);
    /// Authentication: the MAC is wrong (TS 31.102 §7.3.1).
    pub(crate) const WRONG_MAC: Sw = Sw(0x9862);
    /// Authentication: the security context is not supported (TS 31.102 §7.3.1).
    pub(crate) const CONTEXT_NOT_SUPPORTED: Sw = Sw(0x9864);

    /// `63Cx`: a wrong value, and that many tries are left (TS 102 221 §10.2.1.5.3).
    pub(crate) fn tries_left(left: u8) -> Sw {
        Sw(0x63C0 | u16::from(left.min(0x0F)))
    }

    /// `61xx`: that many bytes wait for GET RESPONSE (00 for 256 and more).
    pub(crate) fn more(available: usize) -> Sw {
        Sw(0x6100 | low_byte(available))
    }

    /// `91xx`: normal ending, and a proactive command of that many bytes waits.
    pub(crate) fn proactive(length: usize) -> Sw {
        Sw(0x9100 | low_byte(length))
    }

    /// `6Cxx`: the expected length is wrong, this is the right one.
    pub(crate) fn exact_length(available: usize) -> Sw {
        Sw(0x6C00 | low_byte(available))
    }
}

fn low_byte(available: usize) -> u16 {
    if available >= 256 { 0 } else { available as u16 }
}

/// What the card answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    /// The data field.
    pub(crate) data: Vec<u8>,
    /// The status word.
    pub(crate) sw: Sw,
}

impl Response {
    /// Data and status word as they go over the link.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        let mut bytes = self.data;
        bytes.extend_from_slice(&self.sw.0.to_be_bytes());
        bytes
    }
}

impl From<Sw> for Response {
    fn from(sw: Sw) -> Self {
        Response { data: Vec::new(), sw }
    }
}

/// Which of the two families of commands the class byte names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// `0X` and `4X`: commands of ISO 7816-4.
    Interindustry,
    /// `8X` and `CX`: commands of TS 102 221 and GlobalPlatform.
    Proprietary,
}

/// A command, cut into its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Command<'a> {
    pub(crate) class: Class,
    /// The logical channel, 0 to 19.
    pub(crate) channel: u8,
    pub(crate) ins: u8,
    pub(crate) p1: u8,
    pub(crate) p2: u8,
    pub(crate) data: &'a [u8],
    /// How many bytes are expected at most; `None` when the command has no Le.
    pub(crate) le: Option<usize>,
}

impl<'a> Command<'a> {
    /// Cuts a command APDU.
    pub(crate) fn parse(apdu: &'a [u8]) -> Result<Self, Sw> {
        let [cla, ins, p1, p2, body @ ..] = apdu else {
            return Err(Sw::WRONG_LENGTH);
        };
        let (class, channel) = parse_class(*cla)?;
        // ISO 7816-4 §5.1: case 1 ends here, case 2 has Le, case 3 Lc and data, case 4 all of them.
        let (data, le): (&[u8], Option<usize>) = match body {
            [] => (&[], None),
            [le] => (&[], Some(if *le == 0 { 256 } else { usize::from(*le) })),
            // A zero Lc with more behind it is the extended form, which the ATR does not offer.
            [0, ..] => return Err(Sw::WRONG_LENGTH),
            [lc, rest @ ..] => match (rest.split_at_checked(usize::from(*lc)), rest.len()) {
                (Some((data, [])), _) => (data, None),
                (Some((data, [le])), _) => (data, Some(if *le == 0 { 256 } else { usize::from(*le) })),
                _ => return Err(Sw::WRONG_LENGTH),
            },
        };
        Ok(Command { class, channel, ins: *ins, p1: *p1, p2: *p2, data, le })
    }
}

/// TS 102 221 §10.1.1: `0X` and `8X` carry channels 0 to 3, `4X` and `CX` channels 4 to 19.
fn parse_class(cla: u8) -> Result<(Class, u8), Sw> {
    let class = if cla & 0x80 == 0 { Class::Interindustry } else { Class::Proprietary };
    match cla {
        0x00..=0x0F | 0x80..=0x8F if cla & 0x0C != 0 => Err(Sw::SECURE_MESSAGING_NOT_SUPPORTED),
        0x00..=0x03 | 0x80..=0x83 => Ok((class, cla & 0x03)),
        0x10..=0x1F | 0x90..=0x9F => Err(Sw::CHAINING_NOT_SUPPORTED),
        0x40..=0x4F | 0xC0..=0xCF => Ok((class, 4 + (cla & 0x0F))),
        0x60..=0x6F | 0xE0..=0xEF => Err(Sw::SECURE_MESSAGING_NOT_SUPPORTED),
        0x50..=0x5F | 0x70..=0x7F | 0xD0..=0xDF => Err(Sw::CHAINING_NOT_SUPPORTED),
        _ => Err(Sw::CLA_NOT_SUPPORTED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_cases() {
        // proves: EUICC.Transport
        let case_1 = Command::parse(&[0x00, 0x70, 0x80, 0x01]).unwrap();
        assert_eq!((case_1.data, case_1.le), (&[][..], None));
        let case_2 = Command::parse(&[0x00, 0x70, 0x00, 0x00, 0x01]).unwrap();
        assert_eq!((case_2.data, case_2.le), (&[][..], Some(1)));
        let case_2_all = Command::parse(&[0x00, 0xC0, 0x00, 0x00, 0x00]).unwrap();
        assert_eq!(case_2_all.le, Some(256));
        let case_3 = Command::parse(&[0x81, 0xE2, 0x91, 0x00, 0x02, 0xBF, 0x3E]).unwrap();
        assert_eq!((case_3.channel, case_3.data, case_3.le), (1, &[0xBF, 0x3E][..], None));
        let case_4 = Command::parse(&[0x81, 0xE2, 0x91, 0x00, 0x02, 0xBF, 0x3E, 0x00]).unwrap();
        assert_eq!((case_4.data, case_4.le), (&[0xBF, 0x3E][..], Some(256)));
    }

    #[test]
    fn wrong_lengths() {
        // proves: EUICC.Transport
        for apdu in [
            &[][..],
            &[0x00, 0xA4, 0x04],
            &[0x00, 0xA4, 0x04, 0x00, 0x02, 0x3F],
            &[0x00, 0xA4, 0x04, 0x00, 0x02, 0x3F, 0x00, 0x00, 0x00],
            &[0x00, 0xA4, 0x04, 0x00, 0x00, 0x00, 0x02, 0x3F, 0x00],
        ] {
            assert_eq!(Command::parse(apdu), Err(Sw::WRONG_LENGTH), "{apdu:02X?}");
        }
    }

    #[test]
    fn classes_and_channels() {
        // proves: EUICC.Transport
        let parse = |cla| Command::parse(&[cla, 0xA4, 0, 0]).map(|command| (command.class, command.channel));
        assert_eq!(parse(0x03), Ok((Class::Interindustry, 3)));
        assert_eq!(parse(0x40), Ok((Class::Interindustry, 4)));
        assert_eq!(parse(0x4F), Ok((Class::Interindustry, 19)));
        assert_eq!(parse(0x82), Ok((Class::Proprietary, 2)));
        assert_eq!(parse(0xCF), Ok((Class::Proprietary, 19)));
        assert_eq!(parse(0x04), Err(Sw::SECURE_MESSAGING_NOT_SUPPORTED));
        assert_eq!(parse(0x8C), Err(Sw::SECURE_MESSAGING_NOT_SUPPORTED));
        assert_eq!(parse(0x60), Err(Sw::SECURE_MESSAGING_NOT_SUPPORTED));
        assert_eq!(parse(0x10), Err(Sw::CHAINING_NOT_SUPPORTED));
        assert_eq!(parse(0xA0), Err(Sw::CLA_NOT_SUPPORTED));
        assert_eq!(parse(0x20), Err(Sw::CLA_NOT_SUPPORTED));
        assert_eq!(parse(0xFF), Err(Sw::CLA_NOT_SUPPORTED));
    }
}
