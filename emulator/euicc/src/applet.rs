//! A multi-IMSI applet: a card with several IMSIs takes the one that fits the country it is in.
//!
//! ```text
//! TERMINAL PROFILE ─▶ SET UP EVENT LIST (location status)         the applet asks to be told where the terminal is
//! ENVELOPE (event download, location status: MCC ...) ─▶ EF_IMSI is written, REFRESH is asked for
//! ```
//!
//! It is transparent to the terminal: all that it does are proactive commands of TS 102 223. In each country it takes
//! the IMSI that is preferred there; when that one finds no service it falls back to another, until the country
//! changes. A terminal that knows no location event, or no REFRESH, is left alone.

use rsp::tlv::{Reader, Writer};

/// The IMSIs of a card, and where each is preferred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultiImsi {
    /// The IMSIs with the countries (MCC) in which they are preferred. What is first for a country counts.
    pub preferred: Vec<(Vec<String>, String)>,
    /// The IMSI for every other country, and for where the preferred one finds no service.
    pub fallback: String,
}

/// What the applet knows until the card is reset.
#[derive(Debug, Clone, Default)]
pub(crate) struct AppletState {
    /// The country in which the preferred IMSI has found no service.
    fallen_back_in: Option<String>,
}

/// Where the terminal is (TS 102 223 §8.27, §8.19).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Location {
    /// 0 normal service, 1 limited service, 2 none.
    status: u8,
    mcc: Option<String>,
}

/// Location status, in an event list (TS 102 223 §8.25).
const LOCATION_STATUS: u8 = 0x03;

/// SET UP EVENT LIST with the location status alone (TS 102 223 §6.6.16).
pub(crate) fn event_list() -> Vec<u8> {
    Writer::new()
        .nested(0xD0, |w| w.put(0x81, &[0x01, 0x05, 0x00]).put(0x82, &[0x81, 0x82]).put(0x99, &[LOCATION_STATUS]))
        .into_vec()
}

/// REFRESH after EF_IMSI has changed: NAA initialisation and file change notification (TS 102 223 §6.6.13, qualifier
/// 02), with the path of the file.
pub(crate) fn refresh() -> Vec<u8> {
    Writer::new()
        .nested(0xD0, |w| {
            w.put(0x81, &[0x01, 0x01, 0x02])
                .put(0x82, &[0x81, 0x82])
                .put(0x92, &[0x01, 0x3F, 0x00, 0x7F, 0xFF, 0x6F, 0x07])
        })
        .into_vec()
}

impl MultiImsi {
    /// The IMSI to take after an ENVELOPE; `None` when it is not about the location, or nothing is to be done.
    pub(crate) fn decide(&self, state: &mut AppletState, envelope: &[u8], current: &str) -> Option<String> {
        let location = location(envelope)?;
        let mcc = location.mcc?;
        if state.fallen_back_in.as_ref().is_some_and(|country| *country != mcc) {
            state.fallen_back_in = None;
        }
        let preferred = self.preferred.iter().find(|(countries, _)| countries.contains(&mcc));
        let preferred = preferred.map_or(&self.fallback, |(_, imsi)| imsi);
        if location.status != 0 && current == preferred {
            state.fallen_back_in = Some(mcc);
        }
        let wanted = if state.fallen_back_in.is_some() { &self.fallback } else { preferred };
        (wanted != current).then(|| wanted.clone())
    }
}

/// The location in an ENVELOPE with an event download (TS 102 223 §7.5.4).
fn location(envelope: &[u8]) -> Option<Location> {
    let event = Reader::new(envelope).next()?.ok().filter(|tlv| tlv.tag().0 == 0xD6)?;
    let (mut is_location, mut found) = (false, Location { status: 2, mcc: None });
    for object in event.reader() {
        let object = object.ok()?;
        // TS 101 220 §7.1.1: bit 8 of a COMPREHENSION-TLV tag is no part of what it names.
        match (object.tag().0 & 0x7F, object.value()) {
            (0x19, [kind, ..]) => is_location = *kind == LOCATION_STATUS,
            (0x1B, [status, ..]) => found.status = *status,
            // TS 24.008 §10.5.1.13: the MCC in the first three half octets.
            (0x13, [first, second, ..]) => {
                let digits = [first & 15, first >> 4, second & 15];
                let text = digits.iter().map(|digit| char::from(b'0' + digit)).collect();
                found.mcc = digits.iter().all(|digit| *digit <= 9).then_some(text);
            }
            _ => {}
        }
    }
    is_location.then_some(found)
}

/// EF_IMSI (TS 31.102 §4.2.2): a length, then the digits in swapped half octets, the first of which tells whether their
/// number is odd.
pub(crate) fn encode_imsi(imsi: &str) -> [u8; 9] {
    let digits: Vec<u8> = imsi.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').take(15).collect();
    let odd = digits.len() % 2 == 1;
    let halves: Vec<u8> = std::iter::once(if odd { 9 } else { 1 }).chain(digits).chain((!odd).then_some(15)).collect();
    let mut content = [0xFF; 9];
    content[0] = halves.len().div_ceil(2) as u8;
    for (place, pair) in content[1..].iter_mut().zip(halves.chunks(2)) {
        *place = pair.first().copied().unwrap_or(15) | pair.get(1).copied().unwrap_or(15) << 4;
    }
    content
}

/// The digits of EF_IMSI.
pub(crate) fn decode_imsi(content: &[u8]) -> String {
    let halves = content.iter().skip(1).flat_map(|byte| [byte & 15, byte >> 4]).skip(1);
    halves.take_while(|digit| *digit <= 9).map(|digit| char::from(b'0' + digit)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rsp::ids::from_hex;

    fn applet() -> MultiImsi {
        MultiImsi {
            preferred: vec![(vec!["262".to_owned(), "208".to_owned()], "26201000000001".to_owned())],
            fallback: "901430000000001".to_owned(),
        }
    }

    /// Event download - location status, as a terminal builds it: status, PLMN 262 01.
    fn envelope(status: u8, plmn: &str) -> Vec<u8> {
        from_hex(format!("D615990103820282819B01{status:02X}9309{plmn}1A2D01A2D00F")).unwrap()
    }

    #[test]
    fn imsis_in_the_file() {
        // TS 31.102 §4.2.2; 15 digits and 14.
        assert_eq!(encode_imsi("001010123456789").to_vec(), from_hex("080910101032547698").unwrap());
        assert_eq!(encode_imsi("26201000000001").to_vec(), from_hex("0821261000000000F1").unwrap());
        for imsi in ["001010123456789", "26201000000001", "901430000000001"] {
            assert_eq!(decode_imsi(&encode_imsi(imsi)), imsi);
        }
        assert_eq!(decode_imsi(&[]), "");
    }

    #[test]
    fn the_country_decides() {
        let (applet, mut state) = (applet(), AppletState::default());
        let mut decide = |envelope: &[u8], current: &str| applet.decide(&mut state, envelope, current);
        assert_eq!(decide(&envelope(0, "62F210"), "901430000000001").as_deref(), Some("26201000000001"));
        assert_eq!(decide(&envelope(0, "62F210"), "26201000000001"), None);
        // Limited service with the preferred one: it falls back, and stays so in this country.
        assert_eq!(decide(&envelope(1, "62F210"), "26201000000001").as_deref(), Some("901430000000001"));
        assert_eq!(decide(&envelope(0, "62F210"), "901430000000001"), None);
        // Another country.
        assert_eq!(decide(&envelope(0, "02F810"), "901430000000001").as_deref(), Some("26201000000001"));
        assert_eq!(decide(&envelope(0, "32F410"), "26201000000001").as_deref(), Some("901430000000001"));
        // No location, another event, no TLV.
        assert_eq!(decide(&from_hex("D60A990103820282819B0102").unwrap(), "x"), None);
        assert_eq!(decide(&from_hex("D60799010282028281").unwrap(), "x"), None);
        assert_eq!(decide(&[0xD6, 0x50], "x"), None);
    }

    #[test]
    fn commands() {
        assert_eq!(event_list(), from_hex("D00C810301050082028182990103").unwrap());
        // The file list: one file, 3F00/7FFF/6F07 (TS 102 223 §8.18).
        assert_eq!(refresh(), from_hex("D0128103010102820281829207013F007FFF6F07").unwrap());
    }
}
