//! The UICC underneath: answer to reset, channels, SELECT, GET RESPONSE, STORE DATA; and real cards' traces beside it.

use rsp::es10::info::{EuiccInfo1, EuiccInfo2, parse_get_eid_response};
use rsp::ids::{from_hex, to_hex};
use rsp::tlv::{Reader, Tlv};

use super::lab::*;
use crate::{CardEvent, Euicc};

fn card() -> Euicc {
    let mut card = Lab::new(CURVES[0]).card;
    card.reset();
    card
}

fn exchange(card: &mut Euicc, apdu: &str) -> String {
    to_hex(&card.transmit(&from_hex(apdu).unwrap(), NOW))
}

fn script(card: &mut Euicc, exchanges: &[(&str, &str)]) {
    for (command, response) in exchanges {
        assert_eq!(exchange(card, command), *response, "{command}");
    }
}

/// Reads an answer to reset as the eUICC support of Android does: the first TB after T=15 has bits 8 and 2.
#[test]
fn the_answer_to_reset_says_euicc() {
    // proves: EUICC.AtrAndIsdrSelection
    let atr = card().reset();
    assert_eq!(atr[1..].iter().fold(0, |sum, byte| sum ^ byte), 0, "TCK");
    let historical = usize::from(atr[1] & 0x0F);
    let (mut at, mut next, mut protocols, mut global) = (2, atr[1] >> 4, Vec::new(), None);
    loop {
        let present = |bit: u8| next & bit != 0;
        let after_15 = protocols.last() == Some(&15u8);
        at += usize::from(present(1));
        if present(2) {
            if after_15 {
                global = Some(atr[at]);
            }
            at += 1;
        }
        at += usize::from(present(4));
        if !present(8) {
            break;
        }
        protocols.push(atr[at] & 0x0F);
        next = atr[at] >> 4;
        at += 1;
    }
    assert_eq!(protocols, [0, 1, 15]);
    assert_eq!(global.unwrap() & 0x82, 0x82);
    assert_eq!(at + historical + 1, atr.len());
    // ISO 7816-4 §12.1.1.9: category 80, card capabilities 73 with channels assigned by both, more than eight.
    assert_eq!(atr[at], 0x80);
    assert_eq!(atr[at + 3..at + 7], [0x73, 0xFE, 0x21, 0x1F]);
}

#[test]
fn select_and_status_of_the_isdr() {
    // proves: EUICC.AtrAndIsdrSelection
    let mut card = card();
    let fci = "6F1F8410A0000005591010FFFFFFFF8900000100A5049F6501FFE0058203020500";
    script(
        &mut card,
        &[
            ("00A4040010A0000005591010FFFFFFFF8900000100", "6121"),
            ("00C0000021", &format!("{fci}9000")),
            ("00A4040410A0000005591010FFFFFFFF890000010000", "6121"),
            ("80C0000010", "6F1F8410A0000005591010FFFFFFFF896111"),
            ("80C0000020", "6C11"),
            ("80C0000011", "00000100A5049F6501FFE00582030205009000"),
            ("80C0000000", "6985"),
            // An AID cut short, and the next one of the same beginning.
            ("00A4040405A000000559", "6121"),
            ("00A4040605A000000559", "6A82"),
            ("00A4040C05A000000559", "9000"),
            ("80F2000100", "6C12"),
            ("80F2000112", "8410A0000005591010FFFFFFFF89000001009000"),
            ("80F2000021", &format!("{fci}9000")),
            ("80F2000C", "9000"),
            // What is not there.
            ("00A4040010A0000005591010FFFFFFFF8900000200", "6A82"),
            ("00A4040007A0000000871002", "6A82"),
            ("00A404F010A0000005591010FFFFFFFF8900000100", "6A86"),
        ],
    );
}

#[test]
fn a_pending_response_lives_until_the_next_command() {
    // proves: EUICC.Transport
    let mut card = card();
    script(
        &mut card,
        &[
            ("00A40004023F00", "6128"),
            ("80F2000C00", "9000"),
            ("00C0000028", "6985"),
            ("00A40004023F00", "6128"),
            ("00C0010028", "6A86"),
            ("00C0000000", "6C28"),
        ],
    );
    assert!(exchange(&mut card, "00C0000028").ends_with("9000"));
}

/// A terminal's first steps as recorded from an eUICC without a profile (EM7455 with OC1120): MF and TERMINAL
/// CAPABILITY are there, EF_ICCID, EF_ELP and EF_DIR are not.
#[test]
fn a_terminal_meets_an_empty_card() {
    // proves: Cards as data - quirks 32 and 40
    let mut card = card();
    let fcp = "62268202782183023F00A50C8001718304000800008701018A01058B032F0601C60690018083010A";
    script(&mut card, &[("00A40004023F00", "6128"), ("00C0000028", &format!("{fcp}9000"))]);
    script(
        &mut card,
        &[
            ("80AA000007A9058100820101", "9000"),
            ("00A40804022FE2", "6A82"),
            ("00A40804022F05", "6A82"),
            ("801000001E3709E8CE119C00079C00001FE2600000C3D0000700016000500000000008", "9000"),
            ("00A40804022F00", "6A82"),
            ("00A4000C023F00", "9000"),
            ("00B000000A", "6986"),
            ("0020000100", "6A88"),
            ("002C000100", "6A88"),
        ],
    );
}

#[test]
fn the_iccid_of_the_enabled_profile_can_be_read() {
    let mut lab = Lab::new(CURVES[0]);
    lab.install(&order(ICCID));
    assert_eq!(lab.hex("BF3111A00C5A0A988842070011713618F0810100"), "BF3103800100");
    script(
        &mut lab.card,
        &[
            ("00A40004022FE2", "6119"),
            ("00C0000019", "62178202412183022FE28A01058B032F06018002000A8801109000"),
            ("00B000000A", "988842070011713618F09000"),
            ("00B0000000", "6C0A"),
            ("00B0000802", "18F09000"),
            ("00B0000A01", "6B00"),
            ("00A40004023F00", "6128"),
            ("00B082000A", "988842070011713618F09000"),
            ("00B083000A", "6A82"),
        ],
    );
}

#[test]
fn channels_open_and_close() {
    // proves: EUICC.Transport
    let mut card = card();
    script(
        &mut card,
        &[
            ("0070000001", "019000"),
            ("0070000000", "6C01"),
            ("0070000001", "029000"),
            ("00700004", "9000"),
            ("0070000414", "6A81"),
            ("00700014", "6A86"),
            ("0070010001", "6A86"),
            // Channel 4 speaks with the class bytes of channels over 3.
            ("40A4040010A0000005591010FFFFFFFF8900000100", "6121"),
            ("40C0000021", "6F1F8410A0000005591010FFFFFFFF8900000100A5049F6501FFE00582030205009000"),
            ("C0E2910006BF3E035C015A", "6115"),
            ("C0C0000015", "BF3E125A10890490321234512345123456789012359000"),
            ("0070800100", "9000"),
            ("01A40004023F00", "6881"),
            ("0070800100", "6200"),
            ("00708000", "6A86"),
            ("02708000", "9000"),
        ],
    );
    assert_eq!(card.open_channels(), [0, 4]);
    let events = card.drain_events();
    let channels: Vec<&CardEvent> =
        events.iter().filter(|e| matches!(e, CardEvent::ChannelOpened(_) | CardEvent::ChannelClosed(_))).collect();
    use CardEvent::{ChannelClosed as C, ChannelOpened as O};
    assert_eq!(channels[1..], [&O(1), &O(2), &O(4), &C(1), &C(2)]);
    card.reset();
    assert_eq!(card.open_channels(), [0]);
}

#[test]
fn channels_have_their_own_state() {
    // proves: EUICC.Transport
    let mut card = card();
    script(
        &mut card,
        &[
            ("0070000001", "019000"),
            ("01A4040010A0000005591010FFFFFFFF8900000100", "6121"),
            // A chain on channel 1 is not disturbed by what happens on channel 0.
            ("81E2110002BF3E", "9000"),
            ("00A40004023F00", "6128"),
            ("81E2910104035C015A", "6115"),
            ("80E2910006BF3E035C015A", "6D00"),
            ("81C0000015", "BF3E125A10890490321234512345123456789012359000"),
        ],
    );
}

#[test]
fn store_data_blocks() {
    // proves: EUICC.Transport
    let mut card = card();
    script(
        &mut card,
        &[
            ("00A4040C10A0000005591010FFFFFFFF8900000100", "9000"),
            // Out of order; another command in between; begun anew.
            ("80E2110002BF3E", "9000"),
            ("80E2910204035C015A", "6A86"),
            ("80E2910104035C015A", "6A86"),
            ("80E2110002BF3E", "9000"),
            ("80F2000C", "9000"),
            ("80E2910104035C015A", "6A86"),
            ("80E2110002BF22", "9000"),
            ("80E2110002BF3E", "9000"),
            ("80E2910104035C015A", "6115"),
            // Parameters that are none.
            ("80E2000006BF3E035C015A", "6A86"),
            ("80E2900006BF3E035C015A", "6A86"),
            // No data, no TLV, more than one, an unknown function; LoadCRL, which the card does not have.
            ("80E2910000", "6A80"),
            ("80E2910003BF3E05", "6A80"),
            ("80E2910006BF3C00BF3C00", "6A80"),
            ("80E2910003BF7F00", "6A88"),
            ("80E2910005BF3502A000", "6A88"),
            ("80E2910003BF3E00", "6A80"),
            ("80E2910006BF3E035C015B", "6A80"),
        ],
    );
}

#[test]
fn classes_and_instructions() {
    // proves: EUICC.Transport
    let mut card = card();
    script(
        &mut card,
        &[
            ("", "6700"),
            ("00A4", "6700"),
            ("00A404000200", "6700"),
            ("00A4040000000010", "6700"),
            ("A0A40000023F00", "6E00"),
            ("80A40004023F00", "6E00"),
            ("00E2910003BF3C00", "6E00"),
            ("00AA000000", "6E00"),
            ("04A40004023F00", "6882"),
            ("8CE2910003BF3C00", "6882"),
            ("10A40004023F00", "6884"),
            ("0388000000", "6881"),
            ("0077000000", "6D00"),
            ("80CAFF2100", "6A88"),
            ("8012000000", "6985"),
            ("80AA000002A901", "6A80"),
            ("80AA0100", "6A86"),
            ("00A4020C023F00", "6A86"),
            ("00A40004013F", "6700"),
            ("00A40004022F0B", "6A82"),
            ("00A40804043F002FE2", "6A82"),
            ("00A40904022FE2", "6A82"),
        ],
    );
}

#[test]
fn information() {
    // proves: ES10b.GetEUICCInfo; ES10c.GetEID; ES10b.GetRAT; ES10a.GetEuiccConfiguredAddresses; ES10a.SetDefaultDpAddress (0)
    let mut config = config(&CURVES);
    config.default_smdp = Some("default.example.com".to_owned());
    config.certification = Some(("1.2.840.1234567/lab".to_owned(), "https://example.com/dloa".to_owned()));
    let mut lab = Lab::with(config, CURVES[1]);
    let pkids: Vec<Vec<u8>> =
        CURVES.iter().map(|curve| pki().ci(*curve).unwrap().subject_key_id().unwrap().to_vec()).collect();

    let info1 = EuiccInfo1::parse(&lab.es10(&from_hex("BF2000").unwrap())).unwrap();
    assert_eq!(info1.svn, rsp::Version::new(2, 5, 0));
    assert_eq!((&info1.ci_pkids_for_verification, &info1.ci_pkids_for_signing), (&pkids, &pkids));
    let info2 = EuiccInfo2::parse(&lab.es10(&from_hex("BF2200").unwrap())).unwrap();
    assert_eq!((&info2.ci_pkids_for_verification, &info2.ci_pkids_for_signing), (&pkids, &pkids));
    assert!(!info2.rsp_capability.has(1), "crlSupport");

    assert_eq!(lab.hex("BF3E035C015A"), "BF3E125A1089049032123451234512345678901235");
    assert_eq!(
        lab.hex("BF3C00"),
        format!("BF3C24801364656661756C742E6578616D706C652E636F6D810F{}", to_hex(b"lpa.ds.gsma.com"))
            .replace("BF3C24", "BF3C26")
    );
    // SGP.22 v2.5 §2.9.2.2: all rules, every operator, with consent.
    assert_eq!(lab.hex("BF4300"), "BF4319A017301580020560A10B30098003EEEEEE8100820082020780");
    assert_eq!(lab.hex("BF3F0D800B6E65772E6578616D706C65"), "BF3F03800100");
    assert_eq!(lab.card.default_smdp(), Some("new.example"));
    assert_eq!(lab.hex("BF3F028000"), "BF3F03800100");
    assert_eq!(lab.hex("BF3C00"), format!("BF3C11810F{}", to_hex(b"lpa.ds.gsma.com")));
}

/// The tags of an element and of everything in it, in their order.
fn structure(bytes: &[u8]) -> Vec<String> {
    let mut tags = Vec::new();
    for tlv in Reader::new(bytes) {
        let tlv = tlv.unwrap();
        tags.push(tlv.tag().to_string());
        if tlv.tag().is_constructed() {
            tags.push(format!("({})", structure(tlv.value()).join(" ")));
        }
    }
    tags
}

/// The commands and whole responses of a recorded session with a real card; `None`, with a message, when it is not
/// there.
fn trace(name: &str) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let path = format!("{}/../../../shared/data/cards/{name}", env!("CARGO_MANIFEST_DIR"));
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: {path} is not there");
        return None;
    };
    let mut exchanges: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for line in text.lines() {
        match line.split_once(' ') {
            Some((">", apdu)) => exchanges.push((from_hex(apdu).unwrap(), Vec::new())),
            Some(("<", apdu)) => exchanges.last_mut().unwrap().1 = from_hex(apdu).unwrap(),
            _ => {}
        }
    }
    // GET RESPONSE belongs to the command before it.
    let mut whole: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for (command, response) in exchanges {
        let (data, _) = response.split_at(response.len() - 2);
        match whole.last_mut() {
            Some((_, so_far)) if command[1] == 0xC0 => so_far.extend_from_slice(data),
            _ => whole.push((command, data.to_vec())),
        }
    }
    Some(whole)
}

#[test]
fn answers_have_the_structure_of_a_real_cards() {
    // proves: Real cards - traces
    let mut config = config(&CURVES);
    config.certification = Some(("1.2.840.1234567/lab".to_owned(), "https://example.com/dloa".to_owned()));
    for name in ["omnikey-info.log", "omnikey-profiles.log"] {
        let Some(exchanges) = trace(name) else { return };
        let mut lab = Lab::with(config.clone(), CURVES[0]);
        lab.channel = 0;
        for (command, recorded) in exchanges {
            let (ours, sw) = lab.send(&command);
            assert_eq!(sw, 0x9000);
            assert_eq!(structure(&ours), structure(&recorded), "{}", to_hex(&command));
        }
    }
}

/// The recorded card, told in a configuration: its answers to the byte.
#[test]
fn a_card_made_like_the_recorded_one_answers_to_the_byte() {
    // proves: Real cards - traces; Cards as data - everything a card tells of itself; ES10b.GetEUICCInfo
    let folder = format!("{}/../../../shared/data", env!("CARGO_MANIFEST_DIR"));
    let Ok(published) = pki::Pki::load(std::path::Path::new(&format!("{folder}/sgp26")), NOW) else {
        eprintln!("skipped: {folder}/sgp26 is not there");
        return;
    };
    let preferred = [CURVES[1], CURVES[0]];
    let own = preferred.iter().map(|curve| credentials(published.euicc(*curve, &eid()).unwrap())).collect();
    let mut config = crate::CardConfig::new(eid(), own);
    let spec = crate::spec::CardSpec::from_toml(
        r#"
        svn = "2.2.0"
        profile_version = "2.1.0"
        firmware = "4.4.0"
        ts102241 = "9.2.0"
        globalplatform = "2.3.0"
        pp_version = "0.0.1"
        uicc_capabilities = ["usim", "isim", "csim", "milenage", "cave", "tuak-128", "tuak-256", "gba-usim",
                             "gba-isim", "eap", "java-card", "multiple-usim", "multiple-isim"]
        rsp_capabilities = ["additional-profile", "test-profile"]
        sas_number = "G&DAccreditationNbr"
        memory = 518_706
        ram = 5856
        [certification]
        platform_label = "1.2.840.1234567/myPlatformLabel"
        discovery_url = "https://mycompany.com/myDLOARegistrar"
        "#,
    )
    .unwrap();
    spec.apply(&mut config);
    // The recorded card forbids pprUpdateControl, which is no rule that a file could name.
    config.forbidden_pprs = rsp::tlv::NamedBits::of(&[0]);
    for name in ["omnikey-info.log", "omnikey-profiles.log"] {
        let Some(exchanges) = trace(name) else { return };
        let server = published.smdp(CURVES[0]).unwrap().clone();
        let mut lab = Lab::of(config.clone(), server, CURVES[0]);
        lab.channel = 0;
        for (command, recorded) in exchanges {
            let (ours, sw) = lab.send(&command);
            assert_eq!((to_hex(&ours), sw), (to_hex(&recorded), 0x9000), "{}", to_hex(&command));
        }
    }
}

#[test]
fn a_real_cards_profile_commands_work() {
    // proves: Real cards - traces
    // The profile of the recorded session, installed and named by its ICCID.
    let iccid = "89000123456789012341";
    let mut lab = Lab::new(CURVES[0]);
    lab.install(&order(iccid));
    lab.channel = 0;
    for name in
        ["omnikey-enable.log", "omnikey-disable.log", "omnikey-notifications.log", "omnikey-retrieve-notifications.log"]
    {
        let Some(exchanges) = trace(name) else { return };
        for (command, recorded) in exchanges {
            let (ours, sw) = lab.send(&command);
            assert_eq!(sw, 0x9000);
            let (ours, recorded) = (Tlv::parse_exact(&ours).unwrap(), Tlv::parse_exact(&recorded).unwrap());
            assert_eq!(ours.tag(), recorded.tag());
            match ours.tag().0 {
                // The result of a switch, and the first of the lists, which is of an installation on both cards.
                0xBF31 | 0xBF32 => assert_eq!(ours.raw(), recorded.raw()),
                0xBF28 | 0xBF2B => {
                    let first = |list: Tlv<'_>| {
                        let list = list.reader().require(0xA0).unwrap();
                        structure(list.reader().next_tlv().unwrap().unwrap().raw())
                    };
                    assert_eq!(first(ours), first(recorded));
                }
                _ => {}
            }
        }
    }
}

#[test]
fn the_eid_is_the_configured_one() {
    // proves: ES10c.GetEID
    let mut lab = Lab::new(CURVES[0]);
    let response = lab.es10(&from_hex("BF3E035C015A").unwrap());
    assert_eq!(parse_get_eid_response(&response), Ok(eid()));
    assert_eq!(lab.card.eid(), &eid());
}

#[test]
fn a_card_can_go_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<Euicc>();
}
