//! Over the air: secured packets in short messages for the files of the enabled profile and for the operator's security
//! domain, ES6 among it (TS 31.115, TS 102 225, TS 102 226, SGP.22 §5.4).

use rsp::crypto::{Curve, SeededRandom};
use rsp::ids::{from_hex, to_hex};
use rsp::ota::{Command, Key, KeyKind, KeySet, LAST_COUNTER, ResponseStatus as Status, SecurityParameters};
use rsp::tlv::Writer;

use super::lab::*;
use crate::nvram::Nvram;
use crate::{CardConfig, CardEvent, Euicc, PreinstalledProfile};

/// Checksum, ciphering and a counter that has to be higher; a response with both, in the delivery report.
const SECURE: [u8; 2] = [0x16, 0x19];
/// The same with the response in a short message of its own.
const BY_SUBMIT: [u8; 2] = [0x16, 0x39];

const DOMAIN: [u8; 3] = [0xB2, 0x01, 0x00];
const FILES: [u8; 3] = [0xB0, 0x01, 0x20];
const USIM_FILES: [u8; 3] = [0xB0, 0x01, 0x40];
const CLOSED_FILES: [u8; 3] = [0xB0, 0x01, 0x50];

/// AES keys of version 02, triple DES of version 03: those of the samples of a real card.
fn keys(version: u8) -> KeySet {
    let kind = if version == 2 { KeyKind::Aes } else { KeyKind::Des };
    let key = |identifier| Key::new(kind, &key_value(version, identifier)).unwrap();
    KeySet { kic: key(1), kid: key(2) }
}

/// 20, 01, 02 and so on to 0F; of the checksum the second byte is 11.
fn key_value(version: u8, identifier: u8) -> [u8; 16] {
    std::array::from_fn(|index| match index {
        0 => version << 4,
        1 if identifier == 2 => 0x11,
        index => index as u8,
    })
}

/// The operator's security domain: keys of versions 02 and 03 as those of [`keys`]; the second set begins to count at 7.
fn security_domain() -> Vec<u8> {
    element(0xA6, true, 20, |w| {
        let w = w.nested(0xA1, |w| {
            w.put(0x4F, &from_hex("A0000001515350").unwrap())
                .put(0x4F, &from_hex("A000000151535041").unwrap())
                .put(0x4F, &from_hex("A000000151000000").unwrap())
                .put(0x82, &[0x82, 0xDC, 0x00])
                // TS 102 226 §8.2.1.3.2.2: a checksum and a counter at least, TARs B20100 and 000000.
                .nested(0xEA, |w| {
                    w.put(0x80, &from_hex("01000000000201120 6B20100000000 00".replace(' ', "")).unwrap())
                })
        });
        w.nested(0xA2, |w| {
            let all = [(2u8, 1u8, 0x88u8), (2, 2, 0x88), (3, 1, 0x80), (3, 2, 0x80)];
            all.into_iter().fold(w, |w, (version, identifier, kind)| {
                let value = key_value(version, identifier);
                w.nested(0x30, |w| {
                    let w = w.put(0x95, &[0x18]).put(0x82, &[identifier]).put(0x83, &[version]);
                    let w = if version == 3 { w.put(0x85, &[0, 0, 0, 0, 7]) } else { w };
                    w.nested(0x30, |w| w.nested(0x30, |w| w.put(0x80, &[kind]).put(0x86, &value)))
                })
            })
        })
    })
}

/// Remote file management with this reference and minimum security: of the UICC, or of the USIM.
fn files(number: u32, tar: [u8; 3], security: u8, access: u8, usim: bool) -> Vec<u8> {
    element(0xA7, true, number, |w| {
        let w = w.put(0x4F, &[&[0xA0, 0, 0, 0x05, 0x59, 0x10, 0x10, 0, 0][..], &[number as u8]].concat());
        let w = w.nested(0xA0, |w| w.put(0x04, &tar)).put(0x81, &[security]).put(0x04, &[access]).put(0x04, &[access]);
        if !usim {
            return w;
        }
        let aid = from_hex("A0000000871002FF49FF0589").unwrap();
        w.nested(0x30, |w| w.put(0x80, &aid).put(0x81, &[access]).put(0x82, &[access]))
    })
}

fn package() -> Vec<u8> {
    let mut all = elements(ICCID);
    let end = all.pop().unwrap();
    all.push(security_domain());
    all.push(files(21, FILES, 0x02, 0x00, false));
    all.push(files(22, USIM_FILES, 0x06, 0x00, true));
    all.push(files(23, CLOSED_FILES, 0x00, 0xFF, false));
    all.push(files(24, [0xB0, 0x00, 0x11], 0x00, 0x00, false));
    all.push(end);
    all.concat()
}

fn with_profile() -> CardConfig {
    let mut metadata = metadata(ICCID);
    metadata.profile_policy_rules = Some(rsp::tlv::NamedBits::of(&[1, 2]));
    let profile = PreinstalledProfile::new(&metadata.encode(), &package(), true).unwrap();
    CardConfig { preinstalled: vec![profile], ..config(&[Curve::P256]) }
}

fn lab() -> Lab {
    let mut lab = Lab::with(with_profile(), Curve::P256);
    lab.channel = 0;
    lab.card.reset();
    lab
}

/// A command packet with the keys of a version, which say their algorithm.
fn command(spi: [u8; 2], version: u8, tar: [u8; 3], counter: u64, data: &[u8]) -> Command<'_> {
    let key = version << 4 | if version == 2 { 0x02 } else { 0x05 };
    Command { spi: SecurityParameters(spi), kic: key, kid: key, tar, counter, data }
}

/// ENVELOPE with a short message from 12345678 with this user data.
fn envelope(user_data: &[u8]) -> Vec<u8> {
    let header = from_hex("400881214365877FF622705200000000").unwrap();
    let tpdu = [&header[..], &[user_data.len() as u8], user_data].concat();
    let data = Writer::new().nested(0xD1, |w| w.put(0x82, &[0x83, 0x81]).put(0x8B, &tpdu)).into_vec();
    [&[0x80, 0xC2, 0x00, 0x00, data.len() as u8], &data[..]].concat()
}

/// Sends a packet in one message; gives the answer to the ENVELOPE.
fn send_packet(lab: &mut Lab, packet: &[u8]) -> (Vec<u8>, u16) {
    lab.send(&envelope(&[&rsp::ota::COMMAND_HEADER, packet].concat()))
}

/// Sends a command and opens the response.
fn send(lab: &mut Lab, command: &Command<'_>) -> (Status, Vec<u8>) {
    let set = keys(command.kid >> 4);
    let (response, sw) = send_packet(lab, &command.seal(Some(&set)).unwrap());
    assert_eq!(sw, 0x9000);
    command.open_response(&response, Some(&set)).unwrap()
}

fn hex(text: &str) -> Vec<u8> {
    from_hex(text.replace(' ', "")).unwrap()
}

/// EF 2FF0 is 1500 bytes of AB; whoever reads it needs nothing, whoever writes it ADM1.
const WRITE: &str = "00A40000023F00 00A40000022FF0 00D6000003112233 00B0000004";

fn read_bulk(lab: &mut Lab) -> Vec<u8> {
    assert_eq!(lab.send(&hex("00A4000C022FF0")).1, 0x9000);
    lab.send(&hex("00B0000004")).0
}

#[test]
fn files_are_managed() {
    // proves: USIM - over the air
    for version in [2, 3] {
        let mut lab = lab();
        assert_eq!(lab.send(&hex("00A4000C022FF0")).1, 0x9000);
        assert_eq!(lab.send(&hex("00D600000100")).1, 0x6982);
        let script = hex(WRITE);
        let (status, data) = send(&mut lab, &command(SECURE, version, FILES, 8, &script));
        assert_eq!((status, to_hex(&data)), (Status::Ok, "04900011223 3AB".replace(' ', "")));
        assert_eq!(read_bulk(&mut lab), hex("112233AB"));
        let event = CardEvent::RemoteCommand { tar: FILES, status: Status::Ok, last: Some(0x9000) };
        assert!(lab.card.drain_events().contains(&event));
        assert_eq!(event.to_string(), "over the air for B00120: done (00), last status word 9000");
        // The channel's own selection and rights are what they were.
        assert_eq!(lab.send(&hex("00D600000100")).1, 0x6982);
    }
}

#[test]
fn scripts_end_at_the_first_error() {
    // proves: USIM - over the air
    let mut lab = lab();
    let mut counter = 0;
    let mut told = |lab: &mut Lab, tar, script: &str| {
        counter += 1;
        let (status, data) = send(lab, &command(SECURE, 2, tar, counter, &hex(script)));
        assert_eq!(status, Status::Ok);
        to_hex(&data)
    };
    // Compact: a selection offers what GET RESPONSE fetches; the script ends where a file is not found.
    let answer = told(&mut lab, FILES, "00A40000023F00");
    let length = answer.strip_prefix("0161").unwrap().to_owned();
    let answer = told(&mut lab, FILES, &format!("00A40000023F00 00C00000{length}"));
    assert!(answer.starts_with("02900062"), "{answer}");
    assert_eq!(told(&mut lab, FILES, "00A4000C023F00 00A4000C026FFF 00A4000C022FF0"), "026A82");
    // Expanded: each of them.
    let answer = told(&mut lab, FILES, "AA19 2207 00A4000C023F00 2207 00A4000C022FE2 2205 00B000000A");
    assert_eq!(answer, "AB19 800103 23029000 23029000 230C 98884207001171361 8F0 9000".replace(' ', ""));
    let answer = told(&mut lab, FILES, "AE80 2207 00A4000C023F00 2207 00A4000C026FFF 2205 00B000000A 0000");
    assert_eq!(answer, "AF80 23029000 23026A82 0000".replace(' ', ""));
    assert_eq!(told(&mut lab, FILES, "AA03 230100"), "AB06800100900101");
    // What is for a terminal, and what nobody knows.
    assert_eq!(told(&mut lab, USIM_FILES, "008800810100"), "016D00");
    assert_eq!(told(&mut lab, FILES, "80E60C0000"), "016D00");
    // In the USIM the files are those of the USIM: EF IMSI is there without a selection of its application.
    let answer = told(&mut lab, USIM_FILES, "00A4000C026F07 00B0000009");
    assert_eq!(answer, "029000 080910100000001010".replace(' ', ""));
    // Access domain FF has access to nothing but what is always allowed.
    let script = "00A4000C022FF0 00D600000100";
    assert_eq!(told(&mut lab, CLOSED_FILES, script), "026982");
}

#[test]
fn the_operator_updates_metadata_over_es6() {
    // proves: ES6.UpdateMetadata; USIM - over the air
    let mut lab = lab();
    // TERMINAL PROFILE: the terminal sends short messages, and refreshes.
    assert_eq!(lab.send(&hex("80100000 04 FFFFFFFF")).1, 0x9000);
    let rules = |lab: &Lab| lab.card.store.enabled().unwrap().metadata.profile_policy_rules;
    assert!(rules(&lab).is_some_and(|rules| rules.has(1)));
    // SGP.23 4.2.2: INSTALL [for personalisation] for the ISD-P, STORE DATA with UpdateMetadata that lifts PPR1, in two
    // blocks. The response is a short message, which the terminal is asked to send.
    let install = "80E62000 16 0000 10 A0000005591010FFFFFFFF8900000F00 000000";
    let set = keys(2);
    let update = Writer::new().nested(0xBF2A, |w| w.put(0x92, b"New name").put(0x99, &[0x05, 0x20])).into_vec();
    let (first, second) = update.split_at(5);
    let mut script = hex(install);
    script.extend([&[0x80, 0xE2, 0x11, 0x00, first.len() as u8], first].concat());
    script.extend([&[0x80, 0xE2, 0x91, 0x01, second.len() as u8], second].concat());
    let sent = command(BY_SUBMIT, 2, DOMAIN, 2, &script);
    let (data, sw) = send_packet(&mut lab, &sent.seal(Some(&set)).unwrap());
    assert!(data.is_empty());
    assert_eq!(sw >> 8, 0x91);
    let (proactive, sw) = lab.send(&[0x80, 0x12, 0x00, 0x00, sw as u8]);
    assert_eq!(sw, 0x9000);
    // SEND SHORT MESSAGE, from the card to the network, with an SMS-SUBMIT to the sender.
    assert_eq!(proactive[0], 0xD0);
    assert!(proactive.windows(9).any(|window| window == hex("8103011300 82028183")));
    let at = proactive.windows(6).position(|window| window == hex("088121436587")).unwrap();
    let user_data = &proactive[at + 9..];
    assert_eq!(sent.open_response(user_data, Some(&set)), Ok((Status::Ok, hex("039000"))));
    let response = hex("810301 1300 82028281 830100");
    assert_eq!(lab.send(&[&[0x80, 0x14, 0x00, 0x00, response.len() as u8], &response[..]].concat()).1, 0x9000);

    let kept = &lab.card.store.enabled().unwrap().metadata;
    assert_eq!(kept.profile_name, "New name");
    assert!(kept.profile_policy_rules.is_some_and(|rules| rules.has(2) && !rules.has(1)));
    // Without the INSTALL, and for another ISD-P.
    let sent = command(SECURE, 2, DOMAIN, 3, &script[27..]);
    assert_eq!(send(&mut lab, &sent), (Status::Ok, hex("016985")));
    let other = hex(&install.replace("0F00", "1000"));
    assert_eq!(send(&mut lab, &command(SECURE, 2, DOMAIN, 4, &other)), (Status::Ok, hex("016A88")));
    // What UpdateMetadata refuses, the domain tells.
    let mut wrong = hex(install);
    wrong.extend(hex("80E2910003BF2B00"));
    assert_eq!(send(&mut lab, &command(SECURE, 2, DOMAIN, 5, &wrong)), (Status::Ok, hex("026A80")));
}

#[test]
fn a_packet_of_an_independent_server_and_the_answer_of_a_real_card() {
    // proves: USIM - over the air
    // pySim's SELECT of the MF for sysmoISIM-SJA5, in the clear response of which only the length of the FCP is ours.
    let mut lab = lab();
    let packet = hex("00201506013535B000113190BE334900F52B025F3F7EDDFE868E96EBF310023B7769");
    let (response, sw) = send_packet(&mut lab, &packet);
    assert_eq!(sw, 0x9000);
    assert_eq!(to_hex(&response[..response.len() - 1]), "027100000E0AB00011000000000000000161");
}

#[test]
fn packets_that_are_not_secure() {
    // proves: USIM - over the air
    let mut lab = lab();
    let write = hex(WRITE);
    let set = keys(2);
    let plain_response = |lab: &mut Lab, packet: &[u8]| {
        let (response, sw) = send_packet(lab, packet);
        assert_eq!(sw, 0x9000);
        Status::from_code(response[15])
    };
    // Every wrong bit behind the header.
    let packet = command(SECURE, 2, FILES, 1, &write).seal(Some(&set)).unwrap();
    for at in 10..packet.len() {
        let mut wrong = packet.clone();
        wrong[at] ^= 0x01;
        assert_eq!(plain_response(&mut lab, &wrong), Some(Status::CheckFailed), "byte {at}");
    }
    assert_eq!(read_bulk(&mut lab), hex("ABABABAB"));
    // No such TAR, no such key, too little security.
    let unknown = command(SECURE, 2, [1, 2, 3], 1, &write).seal(Some(&set)).unwrap();
    assert_eq!(plain_response(&mut lab, &unknown), Some(Status::TarUnknown));
    let mut other = command(SECURE, 2, FILES, 1, &write);
    (other.kic, other.kid) = (0x52, 0x52);
    let no_key = other.seal(Some(&set)).unwrap();
    assert_eq!(plain_response(&mut lab, &no_key), Some(Status::Security));
    let open = command([0x00, 0x01], 2, FILES, 1, &write).seal(None).unwrap();
    assert_eq!(plain_response(&mut lab, &open), Some(Status::SecurityTooLow));
    let unciphered = command([0x12, 0x01], 2, USIM_FILES, 1, &write).seal(Some(&set)).unwrap();
    assert_eq!(plain_response(&mut lab, &unciphered), Some(Status::SecurityTooLow));
    // What does not want a response has none; on error only then.
    let quiet = command([0x16, 0x00], 2, FILES, 1, &write).seal(Some(&set)).unwrap();
    assert_eq!(send_packet(&mut lab, &quiet), (Vec::new(), 0x9000));
    assert_eq!(read_bulk(&mut lab), hex("112233AB"));
    let on_error = command([0x16, 0x02], 2, FILES, 2, &write).seal(Some(&set)).unwrap();
    assert_eq!(send_packet(&mut lab, &on_error), (Vec::new(), 0x9000));
    assert_eq!(plain_response(&mut lab, &on_error), Some(Status::CounterLow));
    // No packet, and no message.
    assert_eq!(send_packet(&mut lab, &packet[..20]), (Vec::new(), 0x9000));
    assert_eq!(lab.send(&hex("80C2000002D100")), (Vec::new(), 0x9000));
    assert_eq!(lab.send(&hex("80C2010002D100")).1, 0x6A86);
}

#[test]
fn counters_go_up() {
    // proves: USIM - over the air
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("card.redb");
    let open =
        || Euicc::open(with_profile(), Box::new(SeededRandom::new(7, "card")), Nvram::file(&path).unwrap()).unwrap();
    let mut lab = lab();
    lab.card = open();
    let script = hex("00A4000C023F00");
    let status =
        |lab: &mut Lab, spi: u8, version, counter| send(lab, &command([spi, 0x19], version, FILES, counter, &script)).0;
    const HIGHER: u8 = 0x16;
    const NEXT: u8 = 0x1E;
    const UNCHECKED: u8 = 0x0E;
    assert_eq!(status(&mut lab, HIGHER, 2, 0), Status::CounterLow);
    assert_eq!(status(&mut lab, HIGHER, 2, 5), Status::Ok);
    assert_eq!(status(&mut lab, HIGHER, 2, 5), Status::CounterLow);
    assert_eq!(status(&mut lab, NEXT, 2, 7), Status::CounterHigh);
    assert_eq!(status(&mut lab, NEXT, 2, 6), Status::Ok);
    assert_eq!(status(&mut lab, UNCHECKED, 2, 1), Status::Ok);
    // Each key set counts for itself, from where the package has begun.
    assert_eq!(status(&mut lab, HIGHER, 3, 7), Status::CounterLow);
    assert_eq!(status(&mut lab, NEXT, 3, 8), Status::Ok);
    // They are kept.
    drop(lab.card);
    lab.card = open();
    assert_eq!(status(&mut lab, HIGHER, 2, 6), Status::CounterLow);
    assert_eq!(status(&mut lab, NEXT, 3, 9), Status::Ok);
    assert_eq!(status(&mut lab, HIGHER, 2, LAST_COUNTER), Status::Ok);
    assert_eq!(status(&mut lab, HIGHER, 2, LAST_COUNTER), Status::CounterBlocked);
}

#[test]
fn long_commands_come_in_parts() {
    // proves: USIM - over the air
    let mut lab = lab();
    let mut script = hex("00A4000C022FF0 00D60000C8");
    script.extend([0x5A; 200]);
    let sent = command(SECURE, 2, FILES, 1, &script);
    let packet = sent.seal(Some(&keys(2))).unwrap();
    let (first, second) = packet.split_at(120);
    let part = |number: u8, element: &[u8], data: &[u8]| {
        let header = [&[5 + element.len() as u8, 0x00, 0x03, 0x42, 0x02, number], element].concat();
        envelope(&[&header, data].concat())
    };
    // A reset forgets what has come.
    assert_eq!(lab.send(&part(2, &[], second)), (Vec::new(), 0x9000));
    lab.card.reset();
    assert_eq!(lab.send(&part(1, &[0x70, 0x00], first)), (Vec::new(), 0x9000));
    let (response, sw) = lab.send(&part(2, &[], second));
    assert_eq!(sw, 0x9000);
    assert_eq!(sent.open_response(&response, Some(&keys(2))), Ok((Status::Ok, hex("029000"))));
    assert_eq!(read_bulk(&mut lab), [0x5A; 4]);
    // A response that is too long for a message says what has happened, without the data.
    let long = command(SECURE, 2, FILES, 2, b"\x00\xA4\x00\x0C\x02\x2F\xF0\x00\xB0\x00\x00\xC8");
    assert_eq!(send(&mut lab, &long), (Status::Ok, hex("029000")));
}

#[test]
fn a_card_without_a_profile_has_no_toolkit() {
    let mut lab = Lab::new(Curve::P256);
    assert_eq!(lab.send(&hex("80C2000002D100")).1, 0x6985);
    assert_eq!(lab.send(&hex("00C2000002D100")).1, 0x6E00);
}
