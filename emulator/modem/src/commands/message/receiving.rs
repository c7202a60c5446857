//! Messages and reports that arrive, as AT+CNMI has them told (TS 27.005 §3.4.1), and AT+CNMA.

use rsp::ids::to_hex;

use super::reading::details;
use super::settings::centre;
use crate::commands::{Exec, Outcome, at_most, choice};
use crate::engine::MessageError;
use crate::errors::CmsError;
use crate::parse::{Params, quote};
use crate::result::Failure;
use crate::sms::pdu::{self, Address, Message, Report};
use crate::sms::{Place, Status, Stored};
use crate::state::State;

/// A text message from outside.
pub(crate) fn incoming(from: &str, text: &str) -> Result<Message, MessageError> {
    let address = Address::parse(from, None).ok_or(MessageError::NoNumber)?;
    Message::with_text(0x00, address, 0, 0, text).ok_or(MessageError::TooLong)
}

/// A message arrives.
pub(crate) fn deliver(state: &mut State, message: &Message) {
    let stamp = pdu::stamp(state.clock(), state.options.zone);
    let address = Address::parse(&centre(state), None);
    let mut pdu = pdu::centre(address.as_ref());
    let octets = pdu.len();
    pdu.extend(message.encode_deliver(stamp));
    if message.is_for_the_card() && hand_to_card(state, &pdu[..octets], &pdu[octets..]) {
        return;
    }
    let [_, mt, ..] = state.messages.indications;
    let charset = state.options.charset;
    // TS 27.005 §3.4.1: 2 routes it to the host; 3 does so for class 3 only, which none of these is.
    if mt == 2 {
        let line = match state.messages.text_mode {
            false => format!("+CMT: ,{}\r\n{}", pdu.len() - octets, to_hex(&pdu)),
            true => format!(
                "+CMT: {},,{}{}",
                quote(&charset.encode(&message.address.number)),
                quote(&pdu::stamp_text(&stamp)),
                told_directly(state, message, &pdu[..octets], stamp)
            ),
        };
        state.tell(line);
        state.messages.expect_acknowledgement();
        return;
    }
    let place = state.messages.places[2];
    let (messages, mut files) = state.messages();
    let index = messages.add(place, Stored { status: Status::Unread, pdu }, &mut files);
    match index {
        Ok(index) if mt != 0 => state.tell(format!("+CMTI: \"{}\",{index}", place.name())),
        Ok(_) => {}
        // The service centre keeps it; nobody will ask again here.
        Err(_) => {
            if state.indicates("smsfull") {
                state.tell(format!("+QIND: \"smsfull\",\"{}\"", place.name()));
            }
        }
    }
}

/// TS 31.111 §7.1.1: a USIM with service 28, data download via SMS-PP, takes messages for itself. Gives whether it has
/// taken this one; any other is a message like all.
fn hand_to_card(state: &mut State, centre: &[u8], tpdu: &[u8]) -> bool {
    const CURRENT_APPLICATION: u16 = 0x7FFF;
    const SERVICE_TABLE: u16 = 0x6F38;
    let (_, mut files) = state.messages();
    // TS 31.102 §4.2.8: service 28 is the fourth bit of byte 4.
    let table = files.read(&[CURRENT_APPLICATION, SERVICE_TABLE]).unwrap_or_default();
    if table.get(3).is_none_or(|byte| byte & 0x08 == 0) {
        return false;
    }
    let taken = crate::toolkit::hand_message(&mut state.uicc, centre, tpdu, &mut state.tap);
    // What the card asks for in return.
    state.serve_card();
    taken.unwrap_or(false)
}

/// What follows the stamp in `+CMT`: with `+CSDH=1` the details, then the body.
fn told_directly(state: &State, message: &Message, centre: &[u8], stamp: [u8; 7]) -> String {
    let charset = state.options.charset;
    // What is delivered has a first octet of its own.
    let first_octet = 0x04 | message.first_octet & 0x40;
    let delivered = Message { first_octet, stamp: Some(stamp), ..message.clone() };
    let details = match state.messages.details {
        true => details(charset, &delivered, centre),
        false => String::new(),
    };
    format!("{details}\r\n{}", delivered.body(charset))
}

/// A status report arrives.
pub(crate) fn report(state: &mut State, tpdu: &[u8]) {
    let [_, _, _, ds, _] = state.messages.indications;
    let mut pdu = pdu::centre(Address::parse(&centre(state), None).as_ref());
    pdu.extend_from_slice(tpdu);
    match ds {
        1 => {
            let charset = state.options.charset;
            state.tell(match Report::read(tpdu).filter(|_| state.messages.text_mode) {
                Some(report) => format!("+CDS: {}", report.fields(charset)),
                None => format!("+CDS: {}\r\n{}", tpdu.len(), to_hex(&pdu)),
            });
            state.messages.expect_acknowledgement();
        }
        2 => {
            let (messages, mut files) = state.messages();
            if let Ok(index) = messages.add(Place::Reports, Stored { status: Status::Unread, pdu }, &mut files) {
                state.tell(format!("+CDSI: \"SR\",{index}"));
            }
        }
        _ => {}
    }
}

/// `+CNMA` (TS 27.005 §3.4.4): with `+CSMS=1` a message that was routed to the host is acknowledged, once.
pub(crate) fn acknowledge(exec: &mut Exec<'_>) -> Outcome {
    if exec.state.messages.service != 1 {
        return Err(Failure::Cms(CmsError::NotAllowed));
    }
    match exec.state.messages.acknowledge() {
        true => Ok(()),
        false => Err(Failure::Cms(CmsError::NoAcknowledgementExpected)),
    }
}

pub(crate) fn acknowledge_with(exec: &mut Exec<'_>, params: &Params) -> Outcome {
    at_most(params, 2)?;
    choice(params, 0, &[0, 1, 2], None)?;
    acknowledge(exec)
}
