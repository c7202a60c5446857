//! Cards for the tests of this crate.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use rsp::ids::{from_hex, to_hex};
use rsp::tlv::{Tlv, Writer};

use crate::card::Card;

/// A list of exchanges, in order. An unexpected command fails the test.
#[derive(Clone)]
pub(crate) struct Script(Arc<Mutex<VecDeque<(String, String)>>>);

impl Script {
    /// Pairs of command and response, in hexadecimal.
    pub(crate) fn new(exchanges: &[(&str, &str)]) -> Self {
        let clean = |text: &str| text.replace(' ', "");
        Script(Arc::new(Mutex::new(exchanges.iter().map(|(c, r)| (clean(c), clean(r))).collect())))
    }

    pub(crate) fn card(&self) -> Box<dyn Card> {
        Box::new(self.clone())
    }

    pub(crate) fn is_done(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }
}

impl Card for Script {
    fn reset(&mut self) -> Vec<u8> {
        vec![0x3B, 0x00]
    }

    fn transmit(&mut self, apdu: &[u8]) -> Vec<u8> {
        let next = self.0.lock().unwrap().pop_front();
        let (command, response) = next.unwrap_or_else(|| panic!("unexpected {}", to_hex(apdu)));
        assert_eq!(to_hex(apdu), command);
        from_hex(response).unwrap()
    }
}

/// One profile of a [`Sketch`].
#[derive(Clone)]
pub(crate) struct SketchProfile {
    pub(crate) iccid: &'static str,
    pub(crate) enabled: bool,
    pub(crate) nickname: String,
    pub(crate) provider: &'static str,
    pub(crate) name: &'static str,
    pub(crate) class: u8,
}

/// What a [`Sketch`] holds.
pub(crate) struct SketchState {
    pub(crate) eid: &'static str,
    pub(crate) profiles: Vec<SketchProfile>,
    pub(crate) default_address: String,
    pub(crate) open: [bool; 20],
    pub(crate) answer: Vec<u8>,
    pub(crate) request: Vec<u8>,
    pub(crate) resets: usize,
    /// Transparent files, wherever they are.
    pub(crate) files: Vec<(u16, Vec<u8>)>,
    /// Files of records.
    pub(crate) records: Vec<(u16, Vec<Vec<u8>>)>,
    pub(crate) file: Option<u16>,
    /// PIN1: its digits and the tries that are left; enabled; verified.
    pub(crate) pin: (&'static str, u8),
    pub(crate) pin_enabled: bool,
    pub(crate) verified: bool,
    /// Ask for a REFRESH after a switch: the proactive command that waits.
    pub(crate) proactive: bool,
    pub(crate) waiting: Option<Vec<u8>>,
}

/// A sketch of an ISD-R: enough of ES10a and ES10c for the commands of this crate, without any cryptography.
#[derive(Clone)]
pub(crate) struct Sketch(pub(crate) Arc<Mutex<SketchState>>);

impl Sketch {
    /// The card of the examples in eSIM LPA AN 1.1, chapter 2.
    pub(crate) fn of_the_note() -> Self {
        let profile = |iccid, enabled, nickname: &str, provider, name| SketchProfile {
            iccid,
            enabled,
            nickname: nickname.to_owned(),
            provider,
            name,
            class: 2,
        };
        Sketch(Arc::new(Mutex::new(SketchState {
            eid: "89033023424310000000001251649628",
            profiles: vec![
                profile("8988247000111763810F", false, "Profile1", "Transatel", "TSL_0131"),
                profile("89886970000000003873", false, "Profile2", "GCKOEM", "DummyProfile"),
                profile("8988247000111761996F", false, "Profile3", "Transatel", "TSL_0131"),
                profile("8944476500008878576F", true, "", "Truphone", "A \"quoted\" name"),
            ],
            default_address: String::new(),
            open: [false; 20],
            answer: Vec::new(),
            request: Vec::new(),
            resets: 0,
            files: vec![
                (0x6F07, from_hex("080910101032547698").unwrap()),
                (0x6FAD, vec![0, 0, 0, 2]),
                (0x6F46, from_hex("0054657374FFFFFF").unwrap()),
                (0x6F60, from_hex("62F2104000FFFFFF0000").unwrap()),
            ],
            records: vec![
                (0x6F3A, vec![vec![0xFF; 24]; 5]),
                (
                    0x6F40,
                    vec![
                        [&b"Me"[..], &from_hex("FFFFFFFFFFFF 0591214365F7FFFFFFFFFFFFFFFF".replace(' ', "")).unwrap()]
                            .concat(),
                    ],
                ),
                (0x6F3C, vec![[&[0][..], &[0xFF; 175]].concat(); 3]),
                (
                    0x6F42,
                    vec![
                        [
                            &[0xFF; 14][..],
                            &from_hex("FDFFFFFFFFFFFFFFFFFFFFFFFF 07915155000000F0FFFFFFFF 0000A7".replace(' ', ""))
                                .unwrap(),
                        ]
                        .concat(),
                    ],
                ),
            ],
            file: None,
            pin: ("1234", 3),
            pin_enabled: false,
            verified: false,
            proactive: false,
            waiting: None,
        })))
    }

    /// The same without any profile, and without files.
    pub(crate) fn blank() -> Self {
        let sketch = Sketch::of_the_note();
        sketch.0.lock().unwrap().profiles.clear();
        sketch
    }

    pub(crate) fn card(&self) -> Box<dyn Card> {
        Box::new(self.clone())
    }

    pub(crate) fn open_channels(&self) -> usize {
        self.0.lock().unwrap().open.iter().filter(|open| **open).count()
    }
}

impl SketchState {
    fn iccid_bytes(profile: &SketchProfile) -> Vec<u8> {
        from_hex(profile.iccid).unwrap().iter().map(|byte| byte.rotate_left(4)).collect()
    }

    /// Answers with data: kept for GET RESPONSE.
    fn announce(&mut self, data: Vec<u8>) -> Vec<u8> {
        self.answer = data;
        self.status()
    }

    /// Whether a profile is enabled, whose USIM can be used.
    fn has_usim(&self) -> bool {
        self.profiles.iter().any(|profile| profile.enabled)
    }

    /// VERIFY, CHANGE, DISABLE, ENABLE, UNBLOCK on PIN1.
    fn pin(&mut self, instruction: u8, data: &[u8]) -> Vec<u8> {
        let (digits, left) = self.pin;
        let blocked = vec![0x69, 0x83];
        let tries = |left: u8| vec![0x63, 0xC0 | left];
        let padded = |digits: &str| {
            let mut pin = digits.as_bytes().to_vec();
            pin.resize(8, 0xFF);
            pin
        };
        match (instruction, data) {
            (0x20, []) if left == 0 => blocked,
            (0x20, []) if self.verified => vec![0x90, 0x00],
            (0x20, []) => tries(left),
            (0x2C, []) => tries(10),
            (0x2C, data) if data.starts_with(b"12345678") => {
                self.pin.1 = 3;
                self.verified = true;
                vec![0x90, 0x00]
            }
            (0x2C, _) => tries(9),
            _ if left == 0 => blocked,
            (_, data) if data.starts_with(&padded(digits)) => {
                self.pin.1 = 3;
                match instruction {
                    0x20 => self.verified = true,
                    0x26 => self.pin_enabled = false,
                    0x28 => (self.pin_enabled, self.verified) = (true, true),
                    _ => self.pin.0 = "5678",
                }
                vec![0x90, 0x00]
            }
            _ => {
                self.pin.1 = left - 1;
                if left == 1 { blocked } else { tries(left - 1) }
            }
        }
    }

    /// SELECT by identifier or path: the last one counts.
    fn select_file(&mut self, id: u16) -> Vec<u8> {
        let own = self.profiles.iter().find(|profile| profile.enabled).map(Self::iccid_bytes);
        if let Some(iccid) = own
            && self.files.iter().all(|(file, _)| *file != 0x2FE2)
        {
            self.files.push((0x2FE2, iccid));
        }
        let transparent = self.files.iter().find(|(file, _)| *file == id).map(|(_, content)| content.len());
        let records = self.records.iter().find(|(file, _)| *file == id).map(|(_, all)| (all[0].len(), all.len()));
        self.file = None;
        if matches!(id, 0x3F00 | 0x7F10) {
            return vec![0x90, 0x00];
        }
        if !self.has_usim() {
            return vec![0x6A, 0x82];
        }
        let fcp = match (transparent, records) {
            (Some(size), _) => {
                Writer::new().nested(0x62, |w| w.put(0x82, &[0x41, 0x21]).put(0x80, &(size as u16).to_be_bytes()))
            }
            (_, Some((length, count))) => Writer::new().nested(0x62, |w| {
                w.put(0x82, &[0x42, 0x21, 0, length as u8, count as u8])
                    .put(0x80, &((length * count) as u16).to_be_bytes())
            }),
            _ => return vec![0x6A, 0x82],
        };
        self.file = Some(id);
        self.announce(fcp.into_vec())
    }

    fn status(&self) -> Vec<u8> {
        match self.answer.len() {
            0 => vec![0x90, 0x00],
            count @ 1..=255 => vec![0x61, count as u8],
            _ => vec![0x61, 0x00],
        }
    }

    fn es10(&mut self, request: &[u8]) -> Vec<u8> {
        let tlv = Tlv::parse_exact(request).unwrap();
        let mut reader = tlv.reader();
        let result = |code: u32| Writer::new().nested(tlv.tag(), |w| w.integer(0x80, code)).into_vec();
        match tlv.tag().0 {
            0xBF3E => Writer::new().nested(0xBF3E, |w| w.put(0x5A, &from_hex(self.eid).unwrap())).into_vec(),
            0xBF2D => Writer::new()
                .nested(0xBF2D, |w| {
                    w.nested(0xA0, |w| {
                        self.profiles.iter().fold(w, |w, profile| {
                            w.nested(0xE3, |w| {
                                let w =
                                    w.put(0x5A, &Self::iccid_bytes(profile)).put(0x9F70, &[u8::from(profile.enabled)]);
                                let w = if profile.nickname.is_empty() {
                                    w
                                } else {
                                    w.put(0x90, profile.nickname.as_bytes())
                                };
                                w.put(0x91, profile.provider.as_bytes())
                                    .put(0x92, profile.name.as_bytes())
                                    .put(0x95, &[profile.class])
                            })
                        })
                    })
                })
                .into_vec(),
            0xBF3C => Writer::new()
                .nested(0xBF3C, |w| {
                    let address = (!self.default_address.is_empty()).then_some(self.default_address.as_bytes());
                    w.put_opt(0x80, address).put(0x81, b"lpa.ds.gsma.com")
                })
                .into_vec(),
            0xBF3F => {
                self.default_address = reader.require(0x80).unwrap().as_str().unwrap().to_owned();
                result(0)
            }
            tag @ (0xBF29 | 0xBF31 | 0xBF32 | 0xBF33) => {
                let iccid = if tag == 0xBF31 || tag == 0xBF32 {
                    reader.require(0xA0).unwrap().reader().require(0x5A).unwrap()
                } else {
                    reader.require(0x5A).unwrap()
                };
                let Some(at) = self.profiles.iter().position(|p| Self::iccid_bytes(p) == iccid.value()) else {
                    return result(1);
                };
                match tag {
                    0xBF29 => {
                        self.profiles[at].nickname = reader.require(0x90).unwrap().as_str().unwrap().to_owned();
                    }
                    0xBF31 if self.profiles[at].enabled => return result(2),
                    0xBF31 => self.profiles.iter_mut().enumerate().for_each(|(index, p)| p.enabled = index == at),
                    0xBF32 if !self.profiles[at].enabled => return result(2),
                    0xBF32 => self.profiles[at].enabled = false,
                    _ if self.profiles[at].enabled => return result(2),
                    _ => {
                        self.profiles.remove(at);
                    }
                }
                result(0)
            }
            _ => Vec::new(),
        }
    }
}

impl Card for Sketch {
    fn reset(&mut self) -> Vec<u8> {
        let mut state = self.0.lock().unwrap();
        state.open = [false; 20];
        state.answer.clear();
        state.request.clear();
        state.file = None;
        state.verified = false;
        state.waiting = None;
        state.resets += 1;
        vec![0x3B, 0x00]
    }

    fn transmit(&mut self, apdu: &[u8]) -> Vec<u8> {
        let mut state = self.0.lock().unwrap();
        let [class, instruction, p1, p2, rest @ ..] = apdu else { return vec![0x67, 0x00] };
        let channel = if class & 0x40 == 0 { class & 3 } else { 4 + (class & 15) };
        if channel != 0 && !state.open[usize::from(channel)] {
            return vec![0x68, 0x81];
        }
        match (instruction, p1, rest) {
            (0x70, 0x00, [1]) => match (1..20).find(|channel| !state.open[*channel]) {
                Some(channel) => {
                    state.open[channel] = true;
                    vec![channel as u8, 0x90, 0x00]
                }
                None => vec![0x6A, 0x81],
            },
            (0x70, 0x80, _) if state.open[usize::from(*p2)] => {
                state.open[usize::from(*p2)] = false;
                vec![0x90, 0x00]
            }
            (0x70, ..) => vec![0x6A, 0x86],
            (0xA4, 4, [_, name @ ..]) if name == rsp::ISD_R_AID => {
                let fci = from_hex("6F1F8410A0000005591010FFFFFFFF8900000100A5049F6501FFE0058203020200").unwrap();
                state.announce(fci)
            }
            (0xA4, 4, [_, name @ ..]) if name.starts_with(&[0xA0, 0, 0, 0, 0x87, 0x10, 0x02]) && state.has_usim() => {
                let enabled = if state.pin_enabled { 0x80 } else { 0x00 };
                let fcp = Writer::new()
                    .nested(0x62, |w| w.nested(0xC6, |w| w.put(0x90, &[enabled]).put(0x83, &[1]).put(0x83, &[0x81])));
                state.announce(fcp.into_vec())
            }
            (0xA4, 0 | 8, [_, .., high, low]) => {
                let id = u16::from_be_bytes([*high, *low]);
                state.select_file(id)
            }
            (0xA4, ..) => vec![0x6A, 0x82],
            (0xB0 | 0xD6 | 0xB2 | 0xDC, ..) if state.pin_enabled && !state.verified && state.file != Some(0x2FE2) => {
                vec![0x69, 0x82]
            }
            (0xB0, high, [length]) => {
                let offset = usize::from(*high) << 8 | usize::from(*p2);
                let file = state.file;
                match state.files.iter().find(|(id, _)| Some(*id) == file) {
                    Some((_, content)) => match content.get(offset..offset + usize::from(*length)) {
                        Some(part) if *length > 0 => [part, &[0x90, 0x00]].concat(),
                        _ => vec![0x6C, (content.len() - offset.min(content.len())) as u8],
                    },
                    None => vec![0x69, 0x86],
                }
            }
            (0xD6, high, [_, data @ ..]) => {
                let offset = usize::from(*high) << 8 | usize::from(*p2);
                let file = state.file;
                match state.files.iter_mut().find(|(id, _)| Some(*id) == file) {
                    Some((_, content)) if content.len() >= offset + data.len() => {
                        content[offset..offset + data.len()].copy_from_slice(data);
                        vec![0x90, 0x00]
                    }
                    _ => vec![0x6B, 0x00],
                }
            }
            (0xB2 | 0xDC, number, [length, data @ ..]) => {
                let file = state.file;
                let record = state
                    .records
                    .iter_mut()
                    .find(|(id, _)| Some(*id) == file)
                    .and_then(|(_, all)| all.get_mut(usize::from(*number).wrapping_sub(1)));
                match record {
                    None => vec![0x6A, 0x83],
                    Some(record) if *instruction == 0xDC && data.len() == record.len() => {
                        record.copy_from_slice(data);
                        vec![0x90, 0x00]
                    }
                    Some(_) if *instruction == 0xDC => vec![0x67, 0x00],
                    Some(record) if usize::from(*length) == record.len() => [&record[..], &[0x90, 0x00]].concat(),
                    Some(record) => vec![0x6C, record.len() as u8],
                }
            }
            (0x12, ..) => match state.waiting.take() {
                Some(command) => [&command[..], &[0x90, 0x00]].concat(),
                None => vec![0x69, 0x85],
            },
            (0x14, ..) => vec![0x90, 0x00],
            (0xE2, _, [length, data @ ..]) => {
                state.request.extend(data.iter().take(usize::from(*length)));
                if *p1 != 0x91 {
                    return vec![0x90, 0x00];
                }
                let request = std::mem::take(&mut state.request);
                let answer = state.es10(&request);
                let switched = matches!(request[..2], [0xBF, 0x31 | 0x32]) && answer.ends_with(&[0]);
                if switched {
                    state.files.retain(|(file, _)| *file != 0x2FE2);
                }
                if switched && state.proactive {
                    // REFRESH, UICC reset; the answer comes with the status.
                    state.waiting = Some(from_hex("D009810301010482028182").unwrap());
                    return [&answer[..], &[0x91, 0x0B]].concat();
                }
                state.announce(answer)
            }
            (0xC0, _, [length]) => {
                let count = if *length == 0 { 256 } else { usize::from(*length) };
                let count = count.min(state.answer.len());
                let mut response: Vec<u8> = state.answer.drain(..count).collect();
                response.extend(state.status());
                response
            }
            (0x20 | 0x24 | 0x26 | 0x28 | 0x2C, ..) if !state.has_usim() => vec![0x6A, 0x88],
            (0x20 | 0x24 | 0x26 | 0x28 | 0x2C, _, data) if p2 & 0x7F == 1 => {
                let data = data.get(1..).unwrap_or_default().to_vec();
                if *p2 == 0x81 && !data.is_empty() {
                    return vec![0x69, 0x83];
                }
                if *p2 == 0x81 {
                    return vec![0x63, if *instruction == 0x20 { 0xC2 } else { 0xCA }];
                }
                state.pin(*instruction, &data)
            }
            (0xF2, ..) => vec![0x90, 0x00],
            // TERMINAL CAPABILITY, TERMINAL PROFILE.
            (0xAA | 0x10, ..) => vec![0x90, 0x00],
            _ => vec![0x6D, 0x00],
        }
    }
}
