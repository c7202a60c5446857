//! The blank eUICC behind an EM7455, as a user recorded it.

use std::sync::{Arc, Mutex};

use super::say;
use crate::card::Card;
use crate::model::Model;
use crate::testing::Sketch;
use crate::{Modem, ModemEvent, Observer};

/// What went over the card's data line, byte for byte: T=0, procedure bytes included.
const TRACE: &str = include_str!("seed001.hex");

/// A card that answers as the one in the trace: it has an MF and nothing in it.
struct Blank;

const MF: &str = "62258202782183023F00A50B80017183030C27BA8701018A01058B032F0601C60690018083010A";

impl Card for Blank {
    fn reset(&mut self) -> Vec<u8> {
        vec![0x3B, 0x00]
    }

    fn transmit(&mut self, apdu: &[u8]) -> Vec<u8> {
        match apdu {
            [0x00, 0xA4, 0x00, 0x04, 0x02, 0x3F, 0x00] => vec![0x61, 0x27],
            [0x00, 0xC0, 0x00, 0x00, 0x27] => [&rsp::ids::from_hex(MF).unwrap()[..], &[0x90, 0x00]].concat(),
            [0x00, 0xA4, ..] => vec![0x6A, 0x82],
            _ => vec![0x90, 0x00],
        }
    }
}

/// An APDU and its answer as they go over a T=0 line (ISO 7816-3 §10.3): header, procedure byte, data, status.
fn on_the_line(command: &[u8], response: &[u8]) -> Vec<u8> {
    let (data, status) = response.split_at(response.len() - 2);
    let mut line = command[..5].to_vec();
    if command.len() > 5 || !data.is_empty() {
        line.push(command[1]);
    }
    line.extend_from_slice(&command[5..]);
    line.extend_from_slice(data);
    line.extend_from_slice(status);
    line
}

#[derive(Clone, Default)]
struct Line(Arc<Mutex<Vec<u8>>>);

impl Observer for Line {
    fn event(&mut self, event: ModemEvent<'_>) {
        if let ModemEvent::Apdu { command, response } = event {
            self.0.lock().unwrap().extend(on_the_line(command, response));
        }
    }
}

#[test]
fn the_start_up_is_that_of_the_trace() {
    let line = Line::default();
    let model = Model::named("EM7455").unwrap();
    let mut modem = Modem::observed(model, Some(Box::new(Blank)), Box::new(line.clone()));
    let seen: Vec<String> = line.0.lock().unwrap().iter().map(|byte| format!("0x{byte:02X}")).collect();
    assert_eq!(seen.join(" "), TRACE.trim());
    // From then on the card is left alone.
    say(&mut modem, "ATE0+CMEE=1");
    for command in ["AT+CSIM=14,\"00A40004023F00\"", "AT+CSIM=?", "AT+CSIM?"] {
        assert_eq!(say(&mut modem, command), "\r\nERROR\r\n");
    }
    for command in ["AT+CCHO=\"A0000005591010FFFFFFFF8900000100\"", "AT+CRSM=176,12258,0,0,10", "AT+CPIN?", "AT+CIMI"] {
        assert_eq!(say(&mut modem, command), "\r\n+CME ERROR: 15\r\n");
    }
    let answer = say(&mut modem, "ATI");
    assert!(answer.contains("Model: EM7455\r\n") && answer.contains("+GCAP: +CGSM\r\n"), "{answer}");
    assert_eq!(line.0.lock().unwrap().len(), TRACE.split_whitespace().count());
}

/// With a profile on the card all of it works.
#[test]
fn with_a_profile() {
    let mut modem = Modem::new(Model::named("EM7455").unwrap(), Sketch::of_the_note().card());
    say(&mut modem, "ATE0");
    assert_eq!(say(&mut modem, "AT+CSIM=14,\"00A40004023F00\""), "\r\n+CSIM: 4,\"9000\"\r\n\r\nOK\r\n");
    assert_eq!(say(&mut modem, "AT+CSIM=?"), "\r\nOK\r\n");
    assert_eq!(say(&mut modem, "AT+CPIN?;+CIMI"), "\r\n+CPIN: READY\r\n\r\n001010123456789\r\n\r\nOK\r\n");
    // And a blank one that is put in later is refused again.
    let _ = modem.set_card(Some(Box::new(Blank)));
    assert_eq!(say(&mut modem, "AT+CSIM=?"), "\r\nERROR\r\n");
}
