//! Taking out of a dialogue what tells who somebody is: EID, ICCID, IMEI, IMSI, activation and confirmation codes, PINs.
//!
//! Each value is replaced by a made-up one of the same form (check digits, length, order of the digits as the card has
//! them), the same one each time: so a recording can still be replayed, and told apart by who reads it. What is found
//! is what has the form of such a value, and what the modem was asked for before.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use rsp::Eid;

/// What a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// The eUICC's number, SGP.02 §2.2.2.
    Eid,
    /// A profile's number, ITU-T E.118.
    Iccid,
    /// The modem's number, TS 23.003 §6.
    Imei,
    /// The subscriber's number, TS 23.003 §2.
    Imsi,
}

/// Replaces what it knows, and what looks like it.
#[derive(Debug, Default)]
pub struct Redactor {
    known: Vec<(Identity, String)>,
    /// The command that is being answered.
    command: String,
    /// What has gone to the card in the blocks of the command that is being sent, and what has come from it.
    sent: String,
    received: String,
}

// Digits with hexadecimal digits around them would be part of something else.
static DIGITS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[0-9]{14,33}[Ff]?").ok());
static HEX: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[0-9A-Fa-f]{10,}").ok());
static CODE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(1\$[A-Za-z0-9.:-]*\$)([A-Za-z0-9-]+)").ok());
static PIN: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(?i)(\+(?:CPIN|CLCK|CPWD|CPIN2|QPINC)=)(.*)"#).ok());
static QUOTED_NUMBER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#""?[0-9]{4,8}"?"#).ok());
static LPA_CODE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(?i)(\+QESIM="(?:download|confirmation_code|cc)",.*,")([^"]*)(")"#).ok());
/// VERIFY, CHANGE, DISABLE, ENABLE and UNBLOCK PIN with their data (TS 102 221 §11.1.9 to §11.1.13).
static PIN_APDU: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)([04][0-9A-F](?:20|24|26|28|2C)00[0-9A-F]{2}(?:08|10))((?:[0-9A-F]{16}){1,2})").ok()
});

/// Commands to the card with their data behind the header (TS 27.007 §8.17, §8.43), and its responses.
static TO_CARD: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(?i)^(AT\+C(?:GLA=[^,"]+,|SIM=)[0-9]+,"?)([0-9A-F]{10})([0-9A-F]*)"#).ok());
static FROM_CARD: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(?i)^(\+C(?:GLA|SIM): ?[0-9]+,"?)([0-9A-F]*)([0-9A-F]{4})"#).ok());

impl Redactor {
    /// Learns a value, so that it is found in every form.
    pub fn learn(&mut self, identity: Identity, digits: &str) {
        self.made_up(identity, digits);
    }

    /// The line that the host writes, redacted.
    pub fn command(&mut self, text: &str) -> String {
        self.command = text.to_uppercase();
        let text = self.block_to_card(text);
        self.line(&text)
    }

    /// A block of a command to the card, without the secrets that all its blocks together have.
    fn block_to_card(&mut self, text: &str) -> String {
        let Some(found) = TO_CARD.as_ref().and_then(|regex| regex.captures(text)) else { return text.to_owned() };
        let (start, header, data) = (&found[1], &found[2], &found[3]);
        // STORE DATA (SGP.22 §5.7.2): P1 says whether more blocks follow, P2 is the number of the block.
        let is_block = header.get(2..4).is_some_and(|ins| ins.eq_ignore_ascii_case("E2"));
        if !is_block || header.get(6..8) == Some("00") {
            self.sent.clear();
        }
        let hidden = if is_block { without_secrets(&mut self.sent, data) } else { data.to_owned() };
        format!("{start}{header}{hidden}{}", &text[found[0].len()..])
    }

    /// The same of a response, whose parts are fetched one after the other.
    fn block_from_card(&mut self, text: &str) -> String {
        let Some(found) = FROM_CARD.as_ref().and_then(|regex| regex.captures(text)) else { return text.to_owned() };
        let (start, data, status) = (&found[1], &found[2], &found[3]);
        let hidden = without_secrets(&mut self.received, data);
        if !status.starts_with("61") {
            self.received.clear();
        }
        format!("{start}{hidden}{status}{}", &text[found[0].len()..])
    }

    /// A line that the modem writes, redacted.
    pub fn response(&mut self, text: &str) -> String {
        // The IMSI is shorter than 15 digits in some networks: there only its command tells what it is.
        if self.command.contains("+CIMI") && (6..=15).contains(&text.len()) && is_digits(text) {
            return self.made_up(Identity::Imsi, text);
        }
        let text = self.block_from_card(text);
        self.line(&text)
    }

    fn line(&mut self, text: &str) -> String {
        let text = replaced(&CODE, text, |found| format!("{}{}", &found[1], letters(&found[2])));
        let text = replaced(&LPA_CODE, &text, |found| format!("{}{}{}", &found[1], letters(&found[2]), &found[3]));
        let text = replaced(&PIN, &text, |found| {
            let hidden = replaced(&QUOTED_NUMBER, &found[2], |number| letters(&number[0]));
            format!("{}{hidden}", &found[1])
        });
        let text = replaced(&PIN_APDU, &text, |found| format!("{}{}", &found[1], pin_data(&found[2])));
        let text = match DIGITS.as_ref() {
            None => text.into_owned(),
            Some(digits) => {
                let mut out = String::with_capacity(text.len());
                let mut end = 0;
                for found in digits.find_iter(&text) {
                    let hex_around = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
                    let before = found.start().checked_sub(1).map(|at| text.as_bytes()[at]);
                    let after = text.as_bytes().get(found.end()).copied();
                    out.push_str(&text[end..found.start()]);
                    match hex_around(before) || hex_around(after) {
                        true => out.push_str(found.as_str()),
                        false => out.push_str(&self.number(found.as_str())),
                    }
                    end = found.end();
                }
                out.push_str(&text[end..]);
                out
            }
        };
        match HEX.as_ref() {
            None => text,
            Some(hex) => hex.replace_all(&text, |found: &Captures<'_>| self.bytes(&found[0])).into_owned(),
        }
    }

    /// A number that stands by itself.
    fn number(&mut self, text: &str) -> String {
        let digits = text.trim_end_matches(['F', 'f']);
        let identity = match digits.len() {
            32 if Eid::parse(digits).is_ok() => Identity::Eid,
            18..=20 if digits.starts_with("89") => Identity::Iccid,
            15 if is_luhn(digits) => Identity::Imei,
            15 => Identity::Imsi,
            // IMEI without its check digit, with the software version.
            14 | 16 if self.command.contains("GSN") || self.command.contains("EGMR") => Identity::Imei,
            _ => return text.to_owned(),
        };
        format!("{}{}", self.made_up(identity, digits), &text[digits.len()..])
    }

    /// A run of hexadecimal digits, in which numbers stand as the card has them.
    fn bytes(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for (identity, digits) in self.in_bytes(&text) {
            self.made_up(identity, &digits);
        }
        for (index, (identity, digits)) in self.known.iter().enumerate() {
            let new = made_up(*identity, digits, index);
            for (old, new) in forms(*identity, digits).into_iter().zip(forms(*identity, &new)) {
                text = replace_ignoring_case(&text, &old, &new);
            }
        }
        text
    }

    /// The numbers that a run of hexadecimal digits has behind their tags: 5A for EID and ICCID (SGP.22 §5.7), and
    /// what a file holds that is read.
    fn in_bytes(&self, text: &str) -> Vec<(Identity, String)> {
        let upper = text.to_uppercase();
        let mut found = Vec::new();
        for (at, _) in upper.match_indices("5A10") {
            if let Some(eid) = upper.get(at + 4..at + 36).filter(|eid| Eid::parse(eid).is_ok()) {
                found.push((Identity::Eid, eid.to_owned()));
            }
        }
        for (at, _) in upper.match_indices("5A0A98") {
            found.extend(upper.get(at + 4..at + 24).and_then(iccid_of_bytes).map(|iccid| (Identity::Iccid, iccid)));
        }
        // EF_ICCID alone (TS 102 221 §13.2), and EF_IMSI by its identifier (TS 31.102 §4.2.2).
        if upper.len() == 20 || upper.len() == 24 {
            found.extend(iccid_of_bytes(&upper[..20]).map(|iccid| (Identity::Iccid, iccid)));
        }
        if self.command.contains("28423") || self.command.contains("6F07") {
            found.extend(imsi_of_bytes(&upper).map(|imsi| (Identity::Imsi, imsi)));
        }
        found
    }

    /// The made-up value for a value; the same each time.
    fn made_up(&mut self, identity: Identity, digits: &str) -> String {
        let known = self.known.iter().position(|known| known.0 == identity && known.1 == digits);
        // What is made up already stays: a recording of a recording is the same.
        let index = known.unwrap_or_else(|| {
            self.known.push((identity, digits.to_owned()));
            self.known.len() - 1
        });
        made_up(identity, digits, index)
    }
}

/// A value of the same form, told apart by its number.
fn made_up(identity: Identity, digits: &str, index: usize) -> String {
    let number = index + 1;
    let length = digits.len();
    let with_luhn = |start: &str| {
        let body = format!("{start}{number:0>width$}", width = length.saturating_sub(1 + start.len()));
        format!("{body}{}", luhn(&body))
    };
    match identity {
        Identity::Eid => Eid::with_check_digits(&format!("89999999{number:0>22}"))
            .map_or_else(|_| "0".repeat(32), |eid| eid.to_string()),
        // 999 is no country's code of telephony.
        Identity::Iccid if length % 2 == 1 || is_luhn(digits) => with_luhn("89999"),
        Identity::Iccid => format!("89999{number:0>width$}", width = length.saturating_sub(5)),
        // 00 is the reporting body of test equipment.
        Identity::Imei if length == 15 => with_luhn("00"),
        Identity::Imei => format!("00{number:0>width$}", width = length.saturating_sub(2)),
        // 001 01 is the test network (ITU-T E.212).
        Identity::Imsi => format!("00101{number:0>width$}", width = length.saturating_sub(5)),
    }
}

/// The forms in which a number stands among bytes.
fn forms(identity: Identity, digits: &str) -> Vec<String> {
    let swapped = |digits: &str| {
        let padded = if digits.len() % 2 == 1 { format!("{digits}F") } else { digits.to_owned() };
        padded.as_bytes().chunks(2).map(|pair| format!("{}{}", pair[1] as char, pair[0] as char)).collect::<String>()
    };
    match identity {
        Identity::Eid => vec![digits.to_owned()],
        Identity::Iccid => vec![swapped(digits), digits.to_owned()],
        Identity::Imei => vec![digits.to_owned(), swapped(digits), ascii(digits)],
        // TS 31.102 §4.2.2: parity and the first digit, then pairs.
        Identity::Imsi => {
            vec![swapped(&format!("{}{digits}", if digits.len() % 2 == 1 { 9 } else { 1 })), ascii(digits)]
        }
    }
}

fn ascii(digits: &str) -> String {
    digits.bytes().map(|byte| format!("{byte:02X}")).collect()
}

fn iccid_of_bytes(hex: &str) -> Option<String> {
    let digits: String =
        hex.as_bytes().chunks(2).filter_map(|pair| Some([*pair.get(1)? as char, pair[0] as char])).flatten().collect();
    let digits = digits.trim_end_matches('F');
    (digits.starts_with("89") && (18..=20).contains(&digits.len()) && is_digits(digits)).then(|| digits.to_owned())
}

fn imsi_of_bytes(hex: &str) -> Option<String> {
    let length = usize::from_str_radix(hex.get(..2)?, 16).ok().filter(|length| (4..=8).contains(length))?;
    let digits: String =
        hex.get(2..2 + 2 * length)?.as_bytes().chunks(2).flat_map(|pair| [pair[1] as char, pair[0] as char]).collect();
    let digits = digits.get(1..)?.trim_end_matches('F');
    ((6..=15).contains(&digits.len()) && is_digits(digits)).then(|| digits.to_owned())
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The check digit of a number (ISO/IEC 7812-1 Annex B).
fn luhn(digits: &str) -> char {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(index, byte)| match (u32::from(byte.wrapping_sub(b'0')), index % 2) {
            (digit, 0) => digit * 2 / 10 + digit * 2 % 10,
            (digit, _) => digit,
        })
        .sum();
    char::from_digit((10 - sum % 10) % 10, 10).unwrap_or('0')
}

fn is_luhn(digits: &str) -> bool {
    is_digits(digits)
        && digits.split_at_checked(digits.len() - 1).is_some_and(|(body, check)| check == luhn(body).to_string())
}

/// The code with other letters and digits, so that nothing but its form is left.
fn letters(code: &str) -> String {
    let hide = |character: char| match character {
        'A'..='Z' => 'X',
        'a'..='z' => 'x',
        '0'..='9' => '0',
        other => other,
    };
    code.chars().map(hide).collect()
}

/// The longest command of which the blocks are remembered, in hexadecimal digits: more than any with a secret has.
const MOST_REMEMBERED: usize = 16_384;

/// A block, of which the blocks `before` are known, without its part of secrets; it is one of them from then on.
fn without_secrets(before: &mut String, block: &str) -> String {
    let from = before.len();
    if from + block.len() > MOST_REMEMBERED {
        return block.to_owned();
    }
    before.push_str(&block.to_ascii_uppercase());
    let mut out = block.as_bytes().to_vec();
    for (range, keeps_form) in secrets(before) {
        for at in range.step_by(2) {
            let Some(slot) = at.checked_sub(from).and_then(|at| out.get_mut(at..at + 2)) else { continue };
            let byte = before.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()).unwrap_or(0);
            let hidden = match byte {
                _ if !keeps_form => 0,
                b'A'..=b'Z' => b'X',
                b'a'..=b'z' => b'x',
                b'0'..=b'9' => b'0',
                other => other,
            };
            slot.copy_from_slice(format!("{hidden:02X}").as_bytes());
        }
    }
    // It was text before, and digits have taken the place of digits.
    String::from_utf8(out).unwrap_or_default()
}

/// Where secrets are in what goes over to a card, as far as it is there; and whether they are text, whose form is kept.
fn secrets(hex: &str) -> Vec<(std::ops::Range<usize>, bool)> {
    let byte = |at: usize| hex.get(at..at + 2).and_then(|pair| usize::from_str_radix(pair, 16).ok());
    let mut found = Vec::new();
    for at in (0..hex.len()).step_by(2) {
        // CtxParams1 (SGP.22 §5.7.13): A0 { 80 matchingId, A1 deviceInfo }.
        if let (Some(0xA0), Some(outer), Some(0x80), Some(length)) =
            (byte(at), byte(at + 2), byte(at + 4), byte(at + 6))
            && (1..outer.saturating_sub(2)).contains(&length)
            && outer < 0x80
        {
            let value = at + 8..(at + 8 + 2 * length).min(hex.len());
            let is_text = |at| byte(at).is_none_or(|byte| byte == 0x2D || (byte as u8).is_ascii_alphanumeric());
            if value.clone().step_by(2).all(is_text) && byte(at + 8 + 2 * length).is_none_or(|tag| tag == 0xA1) {
                found.push((value, true));
            }
        }
        // PrepareDownload (§5.7.5): hashCc behind smdpSignature2, from which a short code is found by trying.
        if hex.starts_with("BF21") && hex.get(at..at + 6) == Some("5F3740") {
            let tag = at + 6 + 128;
            if hex.get(tag..tag + 4) == Some("0420") {
                found.push((tag + 4..(tag + 4 + 64).min(hex.len()), false));
            }
        }
    }
    found
}

/// PINs in a command to the card, each of eight bytes with FF behind the digits.
fn pin_data(hex: &str) -> String {
    hex.as_bytes().chunks(2).map(|byte| if byte.eq_ignore_ascii_case(b"FF") { "FF" } else { "30" }).collect()
}

fn replaced<'a>(
    regex: &LazyLock<Option<Regex>>,
    text: &'a str,
    with: impl Fn(&Captures<'_>) -> String,
) -> Cow<'a, str> {
    match regex.as_ref() {
        Some(regex) => regex.replace_all(text, |found: &Captures<'_>| with(found)),
        None => Cow::Borrowed(text),
    }
}

/// Replaces text in hexadecimal digits; the case of the letters stays that of the text.
fn replace_ignoring_case(text: &str, old: &str, new: &str) -> String {
    let upper = text.to_ascii_uppercase();
    let lower = text.bytes().any(|byte| byte.is_ascii_lowercase());
    let mut out = String::with_capacity(text.len());
    let mut end = 0;
    for (at, _) in upper.match_indices(old) {
        out.push_str(&text[end..at]);
        out.push_str(&if lower { new.to_ascii_lowercase() } else { new.to_owned() });
        end = at + old.len();
    }
    out.push_str(&text[end..]);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EID: &str = "89049032123451234512345678901235";

    #[test]
    fn numbers_become_made_up_ones_of_the_same_form() {
        let mut redactor = Redactor::default();
        redactor.command("AT+QESIM=\"eid\"");
        let eid = redactor.response(&format!("+QESIM: \"eid\",{EID}"));
        assert_eq!(eid, "+QESIM: \"eid\",89999999000000000000000000000186");
        assert!(Eid::parse(&eid[14..]).is_ok());
        assert_eq!(redactor.response(&format!("+QESIM: \"eid\",{EID}")), eid, "the same each time");
        redactor.command("AT+QCCID");
        // The example of an ICCID in ITU-T E.118, and one that is padded.
        let iccid = redactor.response("+QCCID: 8944476500008878576F");
        assert_eq!((iccid.len(), &iccid[8..13], &iccid[27..]), (28, "89999", "F"));
        assert!(is_luhn(&iccid[8..27]));
        redactor.command("AT+CGSN");
        let imei = redactor.response("490154203237518");
        assert!(imei.starts_with("00") && is_luhn(&imei) && imei.len() == 15, "{imei}");
        redactor.command("AT+CIMI");
        assert_eq!(redactor.response("262011234567890"), "001010000000004");
        assert_eq!(redactor.response("OK"), "OK");
    }

    #[test]
    fn numbers_are_found_among_bytes() {
        let mut redactor = Redactor::default();
        let line = redactor.response(&format!("+CSIM: 46,\"BF3E125A10{EID}9000\""));
        assert_eq!(line, "+CSIM: 46,\"BF3E125A10899999990000000000000000000001869000\"");
        redactor.command("AT+CRSM=176,12258,0,0,10");
        let line = redactor.response("+CRSM: 144,0,\"98444756000088875867\"");
        assert!(line.starts_with("+CRSM: 144,0,\"98990900"), "{line}");
        // Known from then on, in another form too.
        redactor.command("AT+QCCID");
        assert!(!redactor.response("+QCCID: 89447465000088788576").contains("89447465"));
        redactor.command("AT+CRSM=176,28423,0,0,9");
        let line = redactor.response("+CRSM: 144,0,\"082926101032547698\"");
        assert_eq!(line, "+CRSM: 144,0,\"080910100000000030\"");
        redactor.command("AT+CGLA=1,10,\"80C000000C\"");
        let line = redactor.response("+CGLA: 28,\"5a0a98109909000000103254769000\"");
        assert!(line.starts_with("+CGLA: 28,\"5a0a98990900"), "{line}");
    }

    #[test]
    fn codes_and_pins_are_gone() {
        let mut redactor = Redactor::default();
        let mut command = |text: &str| redactor.command(text);
        assert_eq!(
            command("AT+QESIM=\"download\",\"LPA:1$smdp.example.com$ABCD-1234$$1\",\"4711\""),
            "AT+QESIM=\"download\",\"LPA:1$smdp.example.com$XXXX-0000$$1\",\"0000\""
        );
        assert_eq!(command("AT+CPIN=\"1234\""), "AT+CPIN=\"0000\"");
        assert_eq!(command("AT+CPWD=\"SC\",\"1234\",\"98765432\""), "AT+CPWD=\"SC\",\"0000\",\"00000000\"");
        assert_eq!(command("AT+CSIM=26,\"002000010831323334FFFFFFFF\""), "AT+CSIM=26,\"002000010830303030FFFFFFFF\"");
        // What is none stays.
        for plain in ["AT+CGDCONT=1,\"IP\",\"internet\"", "AT+CCHO=\"A0000005591010FFFFFFFF8900000100\"", "AT+CPIN?"] {
            assert_eq!(command(plain), plain);
        }
    }

    /// The blocks of STORE DATA with this data, of so many bytes each.
    fn blocks(data: &str, size: usize) -> Vec<String> {
        let count = data.len().div_ceil(2 * size);
        let block = |(index, part): (usize, &[u8])| {
            let (p1, length) = (if index + 1 == count { "91" } else { "11" }, part.len() / 2);
            let part = std::str::from_utf8(part).unwrap();
            format!("AT+CGLA=1,{},\"81E2{p1}{index:02X}{length:02X}{part}\"", part.len() + 10)
        };
        data.as_bytes().chunks(2 * size).enumerate().map(block).collect()
    }

    /// However the blocks cut it.
    #[test]
    fn the_token_of_an_activation_code_and_the_hash_of_a_confirmation_code_do_not_reach_a_recording() {
        let context = format!("A01A800A{}A10C80043500000081030F0000", ascii_of("LIVE-ToKe9"));
        let authenticate = format!("BF388180{}{context}", "30".repeat(100));
        let hash = "C1".repeat(32);
        let prepare = format!("BF2182010030038001015F3740{}0420{hash}3000", "5A".repeat(64));
        for size in 1..=120 {
            let mut redactor = Redactor::default();
            let mut data = |command: &str| -> String {
                let told = blocks(command, size).iter().map(|line| redactor.command(line)).collect::<Vec<_>>();
                told.iter().map(|line| line.split('"').nth(1).unwrap()[10..].to_owned()).collect()
            };
            assert_eq!(data(&authenticate), authenticate.replace(&ascii_of("LIVE-ToKe9"), &ascii_of("XXXX-XxXx0")));
            assert_eq!(data(&prepare), prepare.replace(&hash, &"00".repeat(32)), "{size}");
        }
        // What the card signs has the token too.
        let mut redactor = Redactor::default();
        redactor.command("AT+CGLA=1,10,\"81C0000000\"");
        let (first, second) = context.split_at(14);
        let line = |data: &str, status: &str| format!("+CGLA: {},\"{data}{status}\"", data.len() + 4);
        let told = [redactor.response(&line(first, "6110")), redactor.response(&line(second, "9000"))].concat();
        assert!(told.contains("A01A800A585858") && told.contains("582D58785878"), "{told}");
    }

    fn ascii_of(text: &str) -> String {
        text.bytes().map(|byte| format!("{byte:02X}")).collect()
    }

    proptest! {
        #[test]
        fn no_line_panics_and_none_grows(text in "[ -~\u{e4}]{0,80}") {
            let mut redactor = Redactor::default();
            redactor.command("AT+CIMI");
            prop_assert_eq!(redactor.response(&text).chars().count(), text.chars().count());
        }

        #[test]
        fn no_eid_is_left(body in "89[0-9]{28}", before in "[ ,\":]{1,3}", after in "[ ,\"]{0,3}") {
            let eid = Eid::with_check_digits(&body).map_err(|error| TestCaseError::fail(error.to_string()))?.to_string();
            let mut redactor = Redactor::default();
            let told = redactor.response(&format!("{before}{eid}{after}"));
            prop_assert!(!told.contains(&eid), "{}", told);
            let told = redactor.response(&format!("\"BF3E125A10{eid}9000\""));
            prop_assert!(!told.contains(&eid), "{}", told);
        }
    }
}
