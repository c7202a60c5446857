//! The subscription on the card: what the modem does with a card that comes up, and what it keeps of it.
//!
//! The steps and their order are data of the model ([`StartupStep`]); they run on the basic channel and leave the
//! USIM selected there, as real modules do. Everything else that the modem reads later goes through [`Files`].

use rsp::Iccid;
use rsp::tlv::Tlv;
use zeroize::Zeroizing;

use crate::card::{Answer, CardError, Uicc};
use crate::event::Tap;
use crate::model::{CardHandling, StartupStep};
use crate::network::Subscriber;
use crate::network::authentication::CardAnswer;
use crate::network::memory::{CardFile, CardSide};

/// The part of the AID that all USIMs share (ETSI TS 101 220 annex E).
const USIM: [u8; 7] = [0xA0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x02];

const MF: u16 = 0x3F00;
/// Stands for the USIM in a path (TS 102 221 §11.1.1).
pub(crate) const ADF: u16 = 0x7FFF;

/// How far the card has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum SimState {
    /// There is none.
    #[default]
    Absent,
    /// It has no application that could be used, no power, or does not answer.
    Failure,
    /// PIN1 has to be given.
    Pin,
    /// PIN1 is blocked.
    Puk,
    /// It can be used.
    Ready,
}

/// What is known of the card since it has come up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sim {
    pub(crate) state: SimState,
    /// Neither EF_ICCID nor EF_DIR is there.
    pub(crate) blank: bool,
    /// The AID of the USIM.
    pub(crate) usim: Option<Vec<u8>>,
    pub(crate) imsi: Option<String>,
    /// EF_ICCID, without padding.
    pub(crate) iccid: Option<String>,
    /// How many digits of the IMSI are the MNC.
    pub(crate) mnc_digits: usize,
    /// EF_SPN.
    pub(crate) provider: Option<String>,
}

/// A network's code and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Home {
    pub(crate) plmn: String,
    pub(crate) name: String,
}

impl Sim {
    /// Brings the card up.
    pub(crate) fn read(handling: &CardHandling, uicc: &mut Uicc, tap: &mut Tap) -> Sim {
        let mut sim = Sim { mnc_digits: 2, ..Sim::default() };
        if !uicc.is_present() {
            return sim;
        }
        sim.state = SimState::Failure;
        let mut found = None;
        let mut applications = None;
        for step in &handling.startup {
            // A card that does not answer at all is given up; a status word that refuses is an answer.
            let done = match step {
                StartupStep::Mf => select(uicc, 0, 0x00, &[MF], tap).map(drop),
                StartupStep::TerminalCapability => {
                    command(uicc, &[0x80, 0xAA, 0, 0], &handling.terminal_capability.0, tap)
                }
                StartupStep::TerminalProfile => command(uicc, &[0x80, 0x10, 0, 0], &handling.terminal_profile.0, tap),
                StartupStep::Iccid => read_at_start(uicc, 0x2FE2, tap).map(|content| {
                    sim.iccid = content.as_deref().and_then(iccid_digits);
                    found = Some(content.is_some());
                }),
                StartupStep::IccidAgain if found == Some(true) => Ok(()),
                StartupStep::IccidAgain => read_at_start(uicc, 0x2FE2, tap).map(drop),
                StartupStep::Languages => read_at_start(uicc, 0x2F05, tap).map(drop),
                StartupStep::Applications => read_directory(uicc, tap).map(|list| applications = list),
                // A blank card has nothing that the rest could be about.
                StartupStep::Pin | StartupStep::Usim if found == Some(false) && applications.is_none() => Ok(()),
                StartupStep::Pin => {
                    let name = usim_name(applications.as_deref());
                    pin_state(name, uicc, tap).map(|state| sim.state = state)
                }
                StartupStep::Usim => sim.read_usim(applications.as_deref(), uicc, tap),
            };
            match done {
                Ok(()) | Err(CardError::Status(_)) => {}
                Err(_) => return sim,
            }
        }
        sim.blank = found == Some(false) && applications.is_none();
        sim
    }

    /// The state of the PIN, once more, and what can be read when it is right.
    pub(crate) fn refresh_state(&mut self, uicc: &mut Uicc, tap: &mut Tap) {
        let before = self.state;
        self.state = pin_state(self.usim.as_deref().unwrap_or(&USIM), uicc, tap).unwrap_or_else(SimState::from);
        if self.state == SimState::Ready && before != SimState::Ready && self.imsi.is_none() {
            let known = self.usim.clone();
            // What cannot be read is not known; the state is what counts.
            let _ = self.read_usim(known.as_ref().map(std::slice::from_ref), uicc, tap);
        }
    }

    fn read_usim(&mut self, applications: Option<&[Vec<u8>]>, uicc: &mut Uicc, tap: &mut Tap) -> Result<(), CardError> {
        let name = usim_name(applications);
        uicc.select_application(0, name, tap)?;
        self.usim = Some(name.to_vec());
        // TS 31.102 §4.2.2: a length, then digits in swapped nibbles, the first of which holds a parity bit.
        self.imsi = read_binary(uicc, 0, 0x6F07, tap)?.as_deref().and_then(imsi_digits);
        // TS 31.102 §4.2.18: the fourth byte tells the length of the MNC.
        if let Some([_, _, _, digits @ 2..=3, ..]) = read_binary(uicc, 0, 0x6FAD, tap)?.as_deref() {
            self.mnc_digits = usize::from(*digits);
        }
        // TS 31.102 §4.2.12: one byte, then the name.
        let name = read_binary(uicc, 0, 0x6F46, tap)?;
        self.provider = name
            .as_deref()
            .and_then(|content| content.get(1..))
            .map(crate::charset::alpha_decode)
            .filter(|name| !name.is_empty());
        Ok(())
    }

    /// The network that the subscription is of.
    pub(crate) fn home_network(&self) -> Option<Home> {
        let plmn = self.imsi.as_deref()?.get(..3 + self.mnc_digits)?.to_owned();
        let name = self.provider.clone().unwrap_or_else(|| format!("{} {}", &plmn[..3], &plmn[3..]));
        Some(Home { plmn, name })
    }

    /// Who the modem is in a network.
    pub(crate) fn subscriber(&self, imei: &str) -> Option<Subscriber> {
        let (imsi, home) = (self.imsi.clone()?, self.home_network()?);
        Some(Subscriber { imsi, iccid: self.iccid.clone(), home, imei: imei.to_owned() })
    }
}

fn iccid_digits(content: &[u8]) -> Option<String> {
    Some(Iccid::from_bytes(content).ok()?.to_string())
}

pub(crate) fn imsi_digits(content: &[u8]) -> Option<String> {
    let digits = content.get(1..)?.iter().flat_map(|byte| [byte & 15, byte >> 4]).skip(1);
    let imsi: String = digits.take_while(|digit| *digit <= 9).map(|digit| char::from(b'0' + digit)).collect();
    (6..=15).contains(&imsi.len()).then_some(imsi)
}

/// The AID of the USIM: that of EF_DIR, or the part that all share.
fn usim_name(applications: Option<&[Vec<u8>]>) -> &[u8] {
    let listed = applications.unwrap_or_default().iter().find(|name| name.starts_with(&USIM));
    listed.map_or(&USIM[..], Vec::as_slice)
}

/// VERIFY PIN without data asks for the state of the PIN and tries nothing (TS 102 221 §11.1.9.1.2). It tells the tries
/// that are left for a PIN that is disabled, too: whether it has to be given is told by the FCP of the USIM.
fn pin_state(usim: &[u8], uicc: &mut Uicc, tap: &mut Tap) -> Result<SimState, CardError> {
    let answer = uicc.exchange(0, &[0x00, 0x20, 0x00, 0x01, 0x00], tap)?;
    match answer.status {
        0x9000..=0x91FF | 0x6984 => Ok(SimState::Ready),
        0x63C0 | 0x6983 => Ok(SimState::Puk),
        0x63C1..=0x63CF => match is_pin_enabled(usim, 0, uicc, tap)? {
            Some(false) => Ok(SimState::Ready),
            _ => Ok(SimState::Pin),
        },
        // No such PIN: there is no application that could be used.
        other => Err(CardError::Status(other)),
    }
}

/// Whether PIN1 is enabled, as the FCP of the USIM tells (TS 102 221 §11.1.1.4.10); `None` when it does not.
pub(crate) fn is_pin_enabled(
    usim: &[u8],
    channel: u8,
    uicc: &mut Uicc,
    tap: &mut Tap,
) -> Result<Option<bool>, CardError> {
    let mut apdu = vec![0x00, 0xA4, 0x04, 0x04, usim.len() as u8];
    apdu.extend_from_slice(usim);
    let answer = uicc.exchange(channel, &apdu, tap)?;
    if !answer.is_success() {
        return Ok(None);
    }
    Ok(Fcp::parse(&answer.data).pins.iter().find(|(key, _)| *key == 0x01).map(|(_, enabled)| *enabled))
}

fn command(uicc: &mut Uicc, header: &[u8], data: &[u8], tap: &mut Tap) -> Result<(), CardError> {
    let mut apdu = header.to_vec();
    apdu.push(data.len() as u8);
    apdu.extend_from_slice(data);
    uicc.exchange(0, &apdu, tap).map(drop)
}

/// SELECT on the basic channel by path from the MF, as modules do at start-up, and the whole content.
fn read_at_start(uicc: &mut Uicc, file: u16, tap: &mut Tap) -> Result<Option<Vec<u8>>, CardError> {
    let answer = select(uicc, 0, 0x08, &[file], tap)?;
    if !answer.is_success() {
        return Ok(None);
    }
    read_selected(uicc, 0, &answer.data, tap).map(Some)
}

fn read_binary(uicc: &mut Uicc, channel: u8, file: u16, tap: &mut Tap) -> Result<Option<Vec<u8>>, CardError> {
    let answer = select(uicc, channel, 0x00, &[file], tap)?;
    if !answer.is_success() {
        return Ok(None);
    }
    match read_selected(uicc, channel, &answer.data, tap) {
        Ok(content) => Ok(Some(content)),
        Err(CardError::Status(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// EF_DIR (TS 102 221 §13.1): the AIDs of the applications; `None` when there is no such file.
fn read_directory(uicc: &mut Uicc, tap: &mut Tap) -> Result<Option<Vec<Vec<u8>>>, CardError> {
    let answer = select(uicc, 0, 0x08, &[0x2F00], tap)?;
    if !answer.is_success() {
        return Ok(None);
    }
    let mut names = Vec::new();
    for number in 1..=20 {
        let answer = uicc.exchange(0, &[0x00, 0xB2, number, 0x04, 0x00], tap)?;
        if !answer.is_success() {
            break;
        }
        let name = Tlv::parse(&answer.data)
            .ok()
            .filter(|(tlv, _)| tlv.tag().0 == 0x61)
            .and_then(|(tlv, _)| tlv.reader().require(0x4F).ok().map(|name| name.value().to_vec()));
        names.extend(name.filter(|name| (1..=16).contains(&name.len())));
    }
    Ok(Some(names))
}

/// SELECT with the FCP as answer (TS 102 221 §11.1.1; P2 is 04). P1 is 00 for an identifier, 08 for a path.
fn select(uicc: &mut Uicc, channel: u8, p1: u8, path: &[u16], tap: &mut Tap) -> Result<Answer, CardError> {
    let mut apdu = vec![0x00, 0xA4, p1, 0x04, (path.len() * 2) as u8];
    apdu.extend(path.iter().flat_map(|file| file.to_be_bytes()));
    uicc.exchange(channel, &apdu, tap)
}

/// The whole content of the transparent file that is selected, whose FCP this is. Without a length in it one reading
/// is made that leaves the length to the card.
fn read_selected(uicc: &mut Uicc, channel: u8, fcp: &[u8], tap: &mut Tap) -> Result<Vec<u8>, CardError> {
    let size = Fcp::parse(fcp).size;
    let mut content = Vec::new();
    loop {
        let offset = content.len() as u16;
        let length = size.map_or(0, |size| size.saturating_sub(content.len()).min(255) as u8);
        let [high, low] = offset.to_be_bytes();
        let answer = uicc.exchange(channel, &[0x00, 0xB0, high, low, length], tap)?;
        if !answer.is_success() {
            return Err(CardError::Status(answer.status));
        }
        let ended = answer.data.is_empty();
        content.extend(answer.data);
        // TS 102 221 §11.1.3: an offset has 15 bits.
        if ended || size.is_none_or(|size| content.len() >= size) || content.len() > 0x7FFF {
            return Ok(content);
        }
    }
}

/// What matters of the file control parameters (TS 102 221 §11.1.1.3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fcp {
    /// The length of the content.
    pub(crate) size: Option<usize>,
    /// Length and number of records.
    pub(crate) records: Option<(u8, u8)>,
    /// The key references of the PINs that are enabled, and of those that are not (TS 102 221 §9.5.2, §11.1.1.4.10).
    pub(crate) pins: Vec<(u8, bool)>,
}

impl Fcp {
    pub(crate) fn parse(bytes: &[u8]) -> Fcp {
        let mut fcp = Fcp::default();
        let Ok((tlv, _)) = Tlv::parse(bytes) else { return fcp };
        let mut reader = tlv.reader();
        while let Ok(Some(part)) = reader.next_tlv() {
            match (part.tag().0, part.value()) {
                (0x80, value) if value.len() <= 4 => {
                    fcp.size = Some(value.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)));
                }
                (0x82, [_, _, _, length, count]) => fcp.records = Some((*length, *count)),
                (0xC6, _) => {
                    let mut status: Vec<bool> = Vec::new();
                    let mut keys = Vec::new();
                    let mut inner = part.reader();
                    while let Ok(Some(object)) = inner.next_tlv() {
                        match (object.tag().0, object.value()) {
                            (0x90, bits) => {
                                status = bits.iter().flat_map(|b| (0..8).map(move |i| b & 0x80 >> i != 0)).collect();
                            }
                            (0x83, [key]) => keys.push(*key),
                            _ => {}
                        }
                    }
                    fcp.pins = keys.into_iter().zip(status).collect();
                }
                _ => {}
            }
        }
        fcp
    }
}

/// The card as the procedures of the network need it: whatever they do, they do on a channel of the modem's own.
impl CardSide for Files<'_> {
    /// TS 31.102 §7.1.2, the 3G security context.
    fn authenticate(&mut self, rand: &[u8; 16], autn: &[u8; 16]) -> CardAnswer {
        let apdu = [&[0x00, 0x88, 0x00, 0x81, 0x22, 0x10][..], rand, &[0x10], autn].concat();
        let answer = self.with(&[ADF], |uicc, channel, _, tap| uicc.exchange(channel, &apdu, tap));
        let Ok(Answer { data, status }) = answer else { return CardAnswer::Nothing };
        let data = Zeroizing::new(data);
        match (status, &data[..]) {
            // TS 31.102 §7.3.1: the MAC is wrong.
            (0x9862, _) => CardAnswer::MacFailure,
            (0x9000..=0x91FF, [0xDB, length, rest @ ..]) if usize::from(*length) <= rest.len() => {
                CardAnswer::Response(Zeroizing::new(rest.iter().take(usize::from(*length)).copied().collect()))
            }
            (0x9000..=0x91FF, [0xDC, 14, rest @ ..]) => match rest.first_chunk() {
                Some(auts) => CardAnswer::SynchronisationFailure(*auts),
                None => CardAnswer::Nothing,
            },
            _ => CardAnswer::Nothing,
        }
    }

    fn read(&mut self, file: CardFile) -> Option<Vec<u8>> {
        Files::read(self, file.path()).ok()
    }

    fn write(&mut self, file: CardFile, content: &[u8]) {
        // A card that does not keep it loses nothing that the modem needs.
        let _ = Files::write(self, file.path(), 0, content);
    }
}

/// Files of the card, each reached on a channel of the modem's own.
pub(crate) struct Files<'a> {
    pub(crate) uicc: &'a mut Uicc,
    pub(crate) tap: &'a mut Tap,
    pub(crate) usim: Option<&'a [u8]>,
}

impl Files<'_> {
    /// Selects a file by its path and does something with it. A path that begins with 7FFF is one of the USIM.
    pub(crate) fn with<T>(
        &mut self,
        path: &[u16],
        work: impl FnOnce(&mut Uicc, u8, &Answer, &mut Tap) -> Result<T, CardError>,
    ) -> Result<T, CardError> {
        let (name, steps): (Option<&[u8]>, &[u16]) = match path {
            [ADF, rest @ ..] => (Some(self.usim.unwrap_or(&USIM)), rest),
            [MF, ..] => (None, path),
            _ => (None, path),
        };
        self.uicc.on_some_channel(name, self.tap, |uicc, channel, tap| {
            if name.is_none() && path.first() != Some(&MF) {
                // The basic channel may stand anywhere; the others begin at the MF.
                let answer = select(uicc, channel, 0x00, &[MF], tap)?;
                if !answer.is_success() {
                    return Err(CardError::Status(answer.status));
                }
            }
            let mut answer = Answer { data: Vec::new(), status: 0x9000 };
            for file in steps {
                answer = select(uicc, channel, 0x00, &[*file], tap)?;
                if !answer.is_success() {
                    return Err(CardError::Status(answer.status));
                }
            }
            work(uicc, channel, &answer, tap)
        })
    }

    /// The content of a transparent file.
    pub(crate) fn read(&mut self, path: &[u16]) -> Result<Vec<u8>, CardError> {
        self.with(path, |uicc, channel, answer, tap| read_selected(uicc, channel, &answer.data, tap))
    }

    /// Writes the beginning of a transparent file.
    pub(crate) fn write(&mut self, path: &[u16], offset: u16, data: &[u8]) -> Result<(), CardError> {
        self.with(path, |uicc, channel, _, tap| {
            let [high, low] = offset.to_be_bytes();
            let mut apdu = vec![0x00, 0xD6, high, low, data.len() as u8];
            apdu.extend_from_slice(data);
            done(uicc.exchange(channel, &apdu, tap)?)
        })
    }

    /// Length and number of the records of a file.
    pub(crate) fn records(&mut self, path: &[u16]) -> Result<(u8, u8), CardError> {
        self.with(path, |_, _, answer, _| Fcp::parse(&answer.data).records.ok_or(CardError::Malformed))
    }

    /// The records of a file from `first` to `last`, each with its number.
    pub(crate) fn read_records(&mut self, path: &[u16], first: u8, last: u8) -> Result<Vec<(u8, Vec<u8>)>, CardError> {
        self.with(path, |uicc, channel, answer, tap| {
            let (length, count) = Fcp::parse(&answer.data).records.ok_or(CardError::Malformed)?;
            let mut records = Vec::new();
            for number in first.max(1)..=last.min(count) {
                let answer = uicc.exchange(channel, &[0x00, 0xB2, number, 0x04, length], tap)?;
                if !answer.is_success() {
                    return Err(CardError::Status(answer.status));
                }
                records.push((number, answer.data));
            }
            Ok(records)
        })
    }

    /// Writes one record.
    pub(crate) fn write_record(&mut self, path: &[u16], number: u8, data: &[u8]) -> Result<(), CardError> {
        self.with(path, |uicc, channel, _, tap| {
            let mut apdu = vec![0x00, 0xDC, number, 0x04, data.len() as u8];
            apdu.extend_from_slice(data);
            done(uicc.exchange(channel, &apdu, tap)?)
        })
    }
}

fn done(answer: Answer) -> Result<(), CardError> {
    if answer.is_success() { Ok(()) } else { Err(CardError::Status(answer.status)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;
    use crate::testing::Script;
    use rsp::ids::from_hex;

    fn read(model: &str, script: &Script) -> Sim {
        let mut uicc = Uicc::new(Some(script.card()));
        let mut tap = Tap::default();
        uicc.power_up(&mut tap);
        Sim::read(&Model::named(model).unwrap().card, &mut uicc, &mut tap)
    }

    /// TS 102 221 §11.1.1.3: the FCP that a recorded card shows, and a file of records.
    #[test]
    fn file_control_parameters() {
        let mf = "62258202782183023F00A50B80017183030C27BA8701018A01058B032F0601C60690018083010A";
        assert_eq!(Fcp::parse(&from_hex(mf).unwrap()), Fcp { pins: vec![(0x0A, true)], ..Fcp::default() });
        let records = "621A8205422100200A83026F3A8A01058B036F0602800201408801";
        let parsed = Fcp::parse(&from_hex(format!("{records}00")).unwrap());
        assert_eq!((parsed.size, parsed.records), (Some(320), Some((32, 10))));
        assert_eq!(Fcp::parse(b""), Fcp::default());
    }

    /// A module that finds a subscription: TS 31.102 §4.2.2, §4.2.12, §4.2.18.
    #[test]
    fn a_subscription() {
        let script = Script::new(&[
            ("00A40004023F00", "9000"),
            ("80AA00000AA9088100820101830107", "9000"),
            ("00A40804022FE2", "6106"),
            ("00C0000006", "620480020 00A 9000"),
            ("00B000000A", "98444567000088785 7F6 9000"),
            ("00A40804022F05", "6A82"),
            ("801000000DFFFFFFFF7F0100DFFF00001FE2", "9000"),
            ("00A40804022F00", "9000"),
            ("00B2010400", "6C 15"),
            ("00B2010415", "61134F0FA0000000871002FF49FF0589000001FFFF 9000"),
            ("00B2020400", "6A83"),
            ("0020000100", "9000"),
            ("00A404000FA0000000871002FF49FF0589000001", "9000"),
            ("00A40004026F07", "9000"),
            ("00B0000000", "6C09"),
            ("00B0000009", "080910101032547698 9000"),
            ("00A40004026FAD", "9000"),
            ("00B0000000", "00000002 9000"),
            ("00A40004026F46", "9000"),
            ("00B0000000", "0054657374FFFF 9000"),
        ]);
        let sim = read("RM500Q-GL", &script);
        assert_eq!(sim.state, SimState::Ready);
        assert!(!sim.blank);
        assert_eq!(sim.imsi.as_deref(), Some("001010123456789"));
        assert_eq!(sim.home_network(), Some(Home { plmn: "00101".to_owned(), name: "Test".to_owned() }));
        assert!(script.is_done());
    }

    #[test]
    fn a_card_that_is_silent_or_talks_nonsense() {
        let sim = read("RM500Q-GL", &Script::new(&[("00A40004023F00", "")]));
        assert_eq!((sim.state, sim.blank), (SimState::Failure, false));
    }
}
