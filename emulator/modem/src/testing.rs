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
    pub(crate) files: Vec<(u16, Vec<u8>)>,
    pub(crate) file: Option<usize>,
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
            files: Vec::new(),
            file: None,
        })))
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
            (0xA4, 0 | 8, [2, high, low]) => {
                let id = u16::from_be_bytes([*high, *low]);
                state.file = state.files.iter().position(|(file, _)| *file == id);
                if state.file.is_some() || id == 0x3F00 { vec![0x90, 0x00] } else { vec![0x6A, 0x82] }
            }
            (0xA4, ..) => vec![0x6A, 0x82],
            (0xB0, _, [length]) => match state.file {
                Some(file) if usize::from(*length) == state.files[file].1.len() => {
                    [&state.files[file].1[..], &[0x90, 0x00]].concat()
                }
                Some(file) => vec![0x6C, state.files[file].1.len() as u8],
                None => vec![0x69, 0x86],
            },
            (0xE2, _, [_, data @ ..]) => {
                state.request.extend_from_slice(data);
                if *p1 != 0x91 {
                    return vec![0x90, 0x00];
                }
                let request = std::mem::take(&mut state.request);
                let answer = state.es10(&request);
                state.announce(answer)
            }
            (0xC0, _, [length]) => {
                let count = if *length == 0 { 256 } else { usize::from(*length) };
                let count = count.min(state.answer.len());
                let mut response: Vec<u8> = state.answer.drain(..count).collect();
                response.extend(state.status());
                response
            }
            (0x20, ..) => vec![0x6A, 0x88],
            _ => vec![0x6D, 0x00],
        }
    }
}
