//! Secured packets with right keys, so that what is in them is carried out, and packets that are not: each is answered as
//! it wants to be, and the card goes on.
#![no_main]

use euicc::fuzzing::{OTA_KEYS, iccid, managed_package, metadata};
use euicc::{CardConfig, Euicc, PreinstalledProfile};
use libfuzzer_sys::fuzz_target;
use rsp::crypto::SeededRandom;
use rsp::ids::Eid;
use rsp::ota::{Check, Command, Key, KeyKind, KeySet, SecurityParameters};
use rsp::tlv::Writer;

fn config() -> CardConfig {
    let eid = Eid::parse("89049032123451234512345678901235").expect("an EID");
    let mut config = CardConfig::new(eid, Vec::new());
    let profile = PreinstalledProfile::new(&metadata(iccid()), &managed_package(iccid()), true);
    config.preinstalled.push(profile.expect("a profile"));
    config
}

thread_local! {
    static CONFIG: CardConfig = config();
    static KEYS: KeySet = {
        let [kic, kid] = OTA_KEYS.map(|key| Key::new(KeyKind::Aes, &key).expect("a key"));
        KeySet { kic, kid }
    };
}

/// ENVELOPE with this user data.
fn envelope(user_data: &[u8]) -> Vec<u8> {
    let head = [0x40, 0x04, 0x91, 0x21, 0x43, 0x7F, 0xF6, 0, 0, 0, 0, 0, 0, 0, user_data.len() as u8];
    let data = Writer::new().nested(0xD1, |w| w.put(0x8B, &[&head, user_data].concat())).into_vec();
    [&[0x80, 0xC2, 0x00, 0x00, data.len() as u8], &data[..]].concat()
}

fn transmit(card: &mut Euicc, apdu: &[u8]) -> Vec<u8> {
    let mut response = card.transmit(apdu, 0);
    assert!((2..=258).contains(&response.len()));
    let mut data = Vec::new();
    while let [.., 0x61, left] = response[..] {
        data.extend_from_slice(&response[..response.len() - 2]);
        response = card.transmit(&[0x00, 0xC0, 0x00, 0x00, left], 0);
    }
    data.extend_from_slice(&response[..response.len() - 2]);
    data
}

fuzz_target!(|data: &[u8]| {
    let mut card = CONFIG.with(|config| Euicc::new(config.clone(), Box::new(SeededRandom::new(2, "fuzz"))));
    card.reset();
    transmit(&mut card, &[0x80, 0x10, 0x00, 0x00, 0x04, 0xFF, 0xFF, 0xFF, 0xFF]);
    let mut rest = data;
    while let [kind, spi1, spi2, tar, counter, length, after @ ..] = rest {
        let (script, left) = after.split_at(usize::from(*length).min(after.len()));
        rest = left;
        if kind & 0x03 == 0 {
            // Anything in the place of a packet.
            transmit(&mut card, &envelope(&[&[0x02, 0x70, 0x00], &script[..script.len().min(137)]].concat()));
            continue;
        }
        let command = Command {
            spi: SecurityParameters([*spi1, *spi2]),
            kic: 0x12,
            kid: if spi1 & 0x03 == 1 { 0x05 } else { 0x12 },
            tar: [0, 0, tar & 0x03],
            counter: u64::from(*counter),
            data: script,
        };
        let sealed = KEYS.with(|keys| command.seal(Some(keys)));
        let Ok(packet) = sealed else { continue };
        let response = if packet.len() <= 137 {
            transmit(&mut card, &envelope(&[&[0x02, 0x70, 0x00], &packet[..]].concat()))
        } else {
            let parts: Vec<&[u8]> = packet.chunks(132).collect();
            let mut response = Vec::new();
            for (number, part) in (1..).zip(&parts) {
                let header: &[u8] = if number == 1 {
                    &[0x07, 0, 3, 9, parts.len() as u8, number, 0x70, 0]
                } else {
                    &[0x05, 0, 3, 9, parts.len() as u8, number]
                };
                response = transmit(&mut card, &envelope(&[header, part].concat()));
            }
            response
        };
        // What is answered can be opened by whoever has sent it.
        if !response.is_empty()
            && command.spi.response_check() != Check::Signature
            && command.kid == 0x12
            && command.spi.response_check() != Check::Redundancy
        {
            KEYS.with(|keys| command.open_response(&response, Some(keys))).expect("a response");
        }
    }
});
