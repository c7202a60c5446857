//! The enabled profile as a USIM, through APDUs: TS 102 221 §11, TS 31.102 §7.

use proptest::prelude::*;
use rsp::crypto::{Curve, SeededRandom};
use rsp::ids::{from_hex, to_hex};
use rsp::tlv::Writer;

use super::lab::{ICCID, Lab, NOW, aka, config, element, header, metadata, order};
use crate::{Euicc, PreinstalledProfile};

const AID: &str = "A0000000871002FFFFFFFF8903020000";
const ISIM_AID: &str = "A0000000871004FFFFFFFF8903020000";

/// A file of a template element: parameters in hexadecimal digits, content likewise.
fn file(parameters: &str, content: &str) -> Vec<u8> {
    let hex = |text: &str| from_hex(text.replace(' ', "")).unwrap();
    let w = Writer::new().put(0xA1, &hex(parameters));
    if content.is_empty() { w.into_vec() } else { w.put(0x83, &hex(content)).into_vec() }
}

/// Access rules: 1 read always, the rest ADM1; 2 PIN1, INCREASE too, deactivating with ADM1; 3 read PIN1, update
/// PIN2; 4 never; 5 read PIN1, the rest ADM1.
fn rules() -> String {
    let (pin1, pin2, adm) = ("A406830101950108", "A406830181950108", "A40683010A950108");
    [
        format!("8001019000 80015A{adm}"),
        format!("800103{pin1} 840132{pin1} 800158{adm}"),
        format!("800101{pin1} 800102{pin2}"),
        "80015F9700".to_owned(),
        format!("800101{pin1} 80015A{adm}"),
    ]
    .iter()
    .map(|record| format!("{:F<80}", record.replace(' ', "")))
    .collect()
}

/// A package with a USIM and an ISIM: PIN1 0000 (enabled), PIN2 2222, ADM1 55555555; PUK1 11111111, PUK2 99999999.
fn package() -> Vec<u8> {
    let rules = rules();
    let arr = file("82044221 0028 8002 00C8 8B032F0601".replace(' ', "").as_str(), &rules);
    let pin = |w: Writer, key: u32, value: &[u8; 8], puk: Option<u32>, attributes: u32| {
        w.nested(0x30, |w| {
            let w = w.integer(0x80, key).put(0x81, value);
            let w = puk.map_or(w.clone(), |puk| w.integer(0x82, puk));
            w.integer(0x83, attributes)
        })
    };
    let puk = |w: Writer, key: u32, value: &[u8; 8]| {
        w.nested(0x30, |w| w.integer(0x80, key).put(0x81, value).integer(0x82, 0xAA))
    };
    let adf = |id: &str, aid: &str| file(&format!("8302{id} 8410{aid} 8B032F0601 C60381010A"), "");
    let oid = |number: u8| [0x67, 0x81, 0x0F, 0x01, 0x02, number];
    let management = Writer::new()
        // A cyclic counter of three records, a file of three records, a file nobody may read, a directory, in it
        // a file and one of objects; the parameters of GBA.
        .put(0x80, &from_hex("7FD0").unwrap())
        .put(0x62, &from_hex("82044621000383026F398B032F0602800109A503C20100").unwrap())
        .put(0x62, &from_hex("82044221000583026F3D8B032F060280010F8800").unwrap())
        .put(0x81, &from_hex("4142434445 4243444546 4344454647".replace(' ', "")).unwrap())
        .put(0x62, &from_hex("8202412183026F998B032F0604800104").unwrap())
        .put(0x62, &from_hex("8202412183026FD68B032F0605800120").unwrap())
        .put(0x62, &from_hex("8202782183025F508B032F0601C603810101").unwrap())
        .put(0x62, &from_hex("8202412183024F018B032F0602800102").unwrap())
        .put(0x62, &from_hex("8202792183024FBE8B032F06028002012C").unwrap())
        .put(0x81, &from_hex("8003414243").unwrap())
        .into_vec();
    [
        header(ICCID, 2, &[1, 2, 4]),
        element(0xB0, true, 1, |w| {
            w.put(0x81, &oid(1))
                .put(0xA2, &file("8B032F0601 C602010A", ""))
                .put(0xA4, &file("8B032F0601", "988842070011713618F0"))
                .put(0xA5, &file("82044221 0014 8001148B032F0601", &format!("61124F10{AID}")))
                .put(0xA6, &arr)
        }),
        element(0xA3, true, 2, |w| w.nested(0xA1, |w| puk(puk(w, 1, b"11111111"), 0x81, b"99999999"))),
        element(0xA2, true, 3, |w| {
            w.nested(0xA1, |w| {
                w.nested(0xA0, |w| {
                    let w = pin(w, 1, b"0000\xFF\xFF\xFF\xFF", Some(1), 7);
                    pin(w, 0x0A, b"55555555", None, 3)
                })
            })
        }),
        element(0xB3, true, 4, |w| {
            w.put(0x81, &oid(4))
                .put(0xA2, &adf("7FD0", AID))
                .put(0xA3, &file("8B032F0605", "080910100000001010"))
                .put(0xA4, &arr)
                // Services 27 and 38.
                .put(0xA8, &file("8B032F0605", "0000000420000000000000000000"))
                .put(0xAD, &file("8B032F0601", &format!("00{}", "FF".repeat(16))))
                .put(0xAE, &file("8B032F0603", "00"))
                .put(0xB2, &file("8B032F0605", "0002"))
                .put(0xB6, &file("8B032F0601", "11F2FF00"))
        }),
        element(0xA2, true, 5, |w| {
            w.nested(0xA1, |w| w.nested(0xA0, |w| pin(w, 0x81, b"2222\xFF\xFF\xFF\xFF", Some(0x81), 3)))
        }),
        // Milenage with K of 46 and OPc zero.
        aka(6, 1, [0x46; 16]),
        element(0xB5, true, 7, |w| {
            w.put(0x81, &oid(8))
                .put(0xA2, &adf("7FB0", ISIM_AID))
                .put(0xA3, &file("8B032F0605", "8000"))
                .put(0xA4, &file("82044221 0002 8001028B032F0605", "8000"))
                .put(0xA5, &file("8B032F0605", "8000"))
                .put(0xA6, &file("8B032F0605", "00"))
                .put(0xA8, &arr)
        }),
        element(0xA2, true, 8, |w| w.nested(0xA1, |w| w.put(0x81, &from_hex("7FD0").unwrap()))),
        // The ISIM authenticates like the USIM.
        element(0xA4, true, 9, |w| {
            w.nested(0xA1, |w| w.nested(0xA0, |w| w.put(0x80, &[0]).put(0x81, &from_hex(AID).unwrap())))
        }),
        element(0xA1, true, 10, |w| w.nested(0xA1, |w| w.put(0x30, &management))),
        element(0xAA, true, 11, |w| w),
    ]
    .concat()
}

fn profile() -> PreinstalledProfile {
    let mut metadata = metadata(ICCID);
    metadata.profile_owner = None;
    PreinstalledProfile::new(&metadata.encode(), &package(), true).unwrap()
}

fn card_of(profile: PreinstalledProfile) -> Euicc {
    let mut config = config(&[Curve::P256]);
    config.preinstalled = vec![profile];
    let mut card = Euicc::new(config, Box::new(SeededRandom::new(5, "card")));
    card.reset();
    card
}

fn card() -> Euicc {
    card_of(profile())
}

/// Sends one APDU and fetches what waits, as a modem does.
fn send(card: &mut Euicc, apdu: &str) -> String {
    let apdu = from_hex(apdu.replace(' ', "")).unwrap();
    let mut data = Vec::new();
    let mut response = card.transmit(&apdu, NOW);
    while response.len() >= 2 && response[response.len() - 2] == 0x61 {
        let length = response[response.len() - 1];
        data.extend_from_slice(&response[..response.len() - 2]);
        response = card.transmit(&[apdu[0] & 0x03, 0xC0, 0, 0, length], NOW);
    }
    data.extend_from_slice(&response);
    to_hex(&data)
}

#[track_caller]
fn script(card: &mut Euicc, steps: &[(&str, &str)]) {
    for (apdu, expected) in steps {
        assert_eq!(send(card, apdu), *expected, "{apdu}");
    }
}

const PIN1: &str = "0020000108 30303030FFFFFFFF";
const ADM1: &str = "0020000A08 3535353535353535";

fn select_usim() -> String {
    format!("00A4040C10{AID}")
}

#[test]
fn selection() {
    // proves: USIM - selection
    let mut card = card();
    let usim = select_usim();
    script(
        &mut card,
        &[
            // By identifier: a file here, the directory itself, its parent, a directory beside it, the MF.
            ("00A4000C022FE2", "9000"),
            ("00A4000C027FD0", "6A82"),
            (&usim, "9000"),
            ("00A4000C026F07", "9000"),
            ("00A4000C025F50", "9000"),
            ("00A4000C024F01", "9000"),
            ("00A4000C026F07", "6A82"),
            ("00A4000C027FFF", "9000"),
            ("00A4000C026F07", "9000"),
            // By path, from the MF, from the application, from the directory; a parent; a child that is a directory.
            ("00A4080C042FE26F07", "6A82"),
            ("00A4080C042FE2", "6700"),
            ("00A4080C022FE2", "9000"),
            ("00A4080C047FFF6F07", "9000"),
            ("00A4080C067FFF5F504F01", "9000"),
            ("00A4030C", "9000"),
            ("00A4090C045F504F01", "9000"),
            ("00A4000C023F00", "9000"),
            ("00A4090C045F504F01", "6A82"),
            ("00A4080C047FFF6F07", "9000"),
            ("00A4010C025F50", "9000"),
            ("00A4030C", "9000"),
            ("00A4010C026F07", "6A82"),
            // The temporary identifier of an application is no identifier.
            ("00A4080C027FD0", "6A82"),
            ("00A4020C022FE2", "6A86"),
            ("00A4010C", "6700"),
        ],
    );
}

#[test]
fn control_parameters() {
    // proves: USIM - selection
    let mut card = card();
    let usim = format!("00A4040410{AID}");
    let free = to_hex(&card.free_memory().to_be_bytes());
    // All keys of the MF are enabled; of the application 81, 01 and 0A.
    let mf = format!(
        "62298202782183023F00A50C8001718304{free}8701018A01058B032F0601C609\
         9001C083010183010A9000"
    );
    let adf = format!(
        "6237820278218410{AID}A5098001718304{free}8A01058B032F0601C60C\
         9001E083018183010183010A9000"
    );
    script(
        &mut card,
        &[
            ("00A40004023F00", &mf),
            ("00A40004022FE2", "62178202412183022FE28A01058B032F06018002000A8801109000"),
            // EF.DIR: one record of 20 bytes. EF.ARR has its short identifier 06.
            ("00A40004022F00", "621A8205422100140183022F008A01058B032F0601800200148801F09000"),
            (&usim, &adf),
            // Made one by one: the short identifier is the end of the identifier, unless it is taken away.
            ("00A40004026F39", "621A8205462100030383026F398A01058B032F0602800200098801C89000"),
            ("00A40004026F3D", "62198205422100050383026F3D8A01058B032F06028002000F88009000"),
            ("00A40004026F99", "62178202412183026F998A01058B032F0604800200048801C89000"),
        ],
    );
}

#[test]
fn applications_by_name() {
    // proves: USIM - selection
    let mut card = card();
    script(
        &mut card,
        &[
            // Cut short: first, last, next, previous; the ISD-R comes last.
            ("00A4040C07A0000000871004", "9000"),
            ("80F2000112", &format!("8410{ISIM_AID}9000")),
            ("00A4040C05A000000087", "9000"),
            ("80F2000112", &format!("8410{AID}9000")),
            ("00A4040E05A000000087", "9000"),
            ("80F2000112", &format!("8410{ISIM_AID}9000")),
            ("00A4040E05A000000087", "6A82"),
            ("00A4040F05A000000087", "9000"),
            ("80F2000112", &format!("8410{AID}9000")),
            ("00A4040D01A0", "9000"),
            ("80F2000112", "8410A0000005591010FFFFFFFF89000001009000"),
            ("00A4040C05A000000088", "6A82"),
            ("00A4040C00", "6A82"),
            // Its session is ended.
            (&select_usim(), "9000"),
            (&format!("00A4044C10{AID}"), "9000"),
            ("80F2000112", "6985"),
            ("00A4000C026F07", "6A82"),
        ],
    );
}

#[test]
fn reading_and_writing() {
    // proves: USIM - files; USIM - access conditions
    let mut card = card();
    let usim = select_usim();
    script(
        &mut card,
        &[
            ("00B0000001", "6986"),
            ("00A4000C022FE2", "9000"),
            ("00B000000A", "988842070011713618F09000"),
            ("00B0000B01", "6B00"),
            ("00B0000000", "6C0A"),
            // By short identifier, which selects; EF.ICCID is 02.
            ("00A4000C023F00", "9000"),
            ("00B0820809", "6C02"),
            ("00B0820802", "18F09000"),
            ("00B0000002", "98889000"),
            ("00B0800001", "6A86"),
            ("00B0830001", "6A82"),
            ("00B2010414", "6981"),
            // Not without PIN1; not with another PIN.
            (&usim, "9000"),
            ("00B0870009", "6982"),
            ("0020008108 32323232FFFFFFFF", "9000"),
            ("00B0870009", "6982"),
            (PIN1, "9000"),
            ("00B0870009", "0809101000000010109000"),
            ("00D6000001 00", "6982"),
            // EF.EST: read with PIN1, update with PIN2.
            ("00D6850001 01", "9000"),
            ("00B0850001", "019000"),
            ("00D6850001", "6700"),
            ("00D6850002 0101", "6700"),
            ("00D6850101 01", "6B00"),
            // Never, even with ADM1.
            (ADM1, "9000"),
            ("00A4000C026F99", "9000"),
            ("00B0000001", "6982"),
            // What has been written is there after a reset, and what was verified is not.
            ("00A4000C026F78", "9000"),
            ("00D6000002 0004", "9000"),
        ],
    );
    card.reset();
    script(&mut card, &[(&usim, "9000"), ("00B0860002", "6982"), (PIN1, "9000"), ("00B0860002", "00049000")]);
}

#[test]
fn records() {
    // proves: USIM - files
    let mut card = card();
    let usim = select_usim();
    script(
        &mut card,
        &[
            (&usim, "9000"),
            ("00A4000C026F3D", "9000"),
            ("00B2010405", "6982"),
            (PIN1, "9000"),
            ("00B2010405", "41424344459000"),
            ("00B2030405", "43444546479000"),
            ("00B2040405", "6A83"),
            ("00B2010400", "6C05"),
            ("00B2010404", "6C05"),
            // Next and previous; absolute does not move the pointer.
            ("00B2000405", "6A83"),
            ("00B2000205", "41424344459000"),
            ("00B2000205", "42434445469000"),
            ("00B2010405", "41424344459000"),
            ("00B2000405", "42434445469000"),
            ("00B2000205", "43444546479000"),
            ("00B2000205", "6A83"),
            ("00B2000305", "42434445469000"),
            ("00B2000105", "6A86"),
            ("00DC020405 5152535455", "9000"),
            ("00B2020405", "51525354559000"),
            ("00DC020404 51525354", "6700"),
            ("00DC040405 5152535455", "6A83"),
            ("00B0000001", "6981"),
            // By short identifier: EF.DIR is 1E, in the MF.
            ("00B201EC04", "6A82"),
            ("00A4000C023F00", "9000"),
            ("00B201F414", &format!("61124F10{AID}9000")),
        ],
    );
}

#[test]
fn search() {
    // proves: USIM - files
    let mut card = card();
    script(
        &mut card,
        &[
            (&select_usim(), "9000"),
            (PIN1, "9000"),
            ("00A4000C026F3D", "9000"),
            ("00A2010402 4344", "0102039000"),
            ("00A2020402 4344", "02039000"),
            ("00A2030502 4344", "0302019000"),
            ("00A2010402 4747", "6282"),
            ("00A2010401 47", "039000"),
            // The first record found is the current one.
            ("00B2000405", "43444546479000"),
            // Enhanced: from an offset; after a value; from the next record on.
            ("00A2010603 04 01 41", "6282"),
            ("00A2010603 04 00 41", "019000"),
            ("00A2010604 0C 43 44 45", "0102039000"),
            ("00A2010603 0C 45 45", "6282"),
            ("00A2000603 06 00 45", "02039000"),
            ("00A2000603 07 00 43", "019000"),
            // Record 00 is the current one, and all of them after a selection.
            ("00A2020401 44", "02039000"),
            ("00A2000401 43", "02039000"),
            ("00A2000501 43", "02019000"),
            ("00A4000C026F3D", "9000"),
            ("00A2000401 43", "0102039000"),
            ("00A4000C026F3D", "9000"),
            ("00A2000501 43", "0302019000"),
            ("00A2000603 05 00 41", "019000"),
            ("00A2010602 0400", "6700"),
            ("00A2010603 00 00 41", "6A80"),
            ("00A2010701 41", "6A86"),
            ("00A2010406 414243444546", "6700"),
            ("00A2040401 41", "6A83"),
        ],
    );
}

#[test]
fn cyclic_files() {
    // proves: USIM - files
    let mut card = card();
    script(
        &mut card,
        &[
            (&select_usim(), "9000"),
            ("00A4000C026F39", "9000"),
            ("8032000003 000001", "6982"),
            (PIN1, "9000"),
            ("8032000003 000001", "0000010000019000"),
            ("8032000003 0000FF", "0001000000FF9000"),
            ("8032000001 02", "000102029000"),
            ("00B2010403", "0001029000"),
            ("00B2020403", "0001009000"),
            ("00B2030403", "0000019000"),
            ("00DC000303 FFFFFF", "9000"),
            ("00B2010403", "FFFFFF9000"),
            ("00B2030403", "0001009000"),
            ("8032000003 000001", "9850"),
            ("8032000004 00000001", "6700"),
            ("8032010003 000001", "6A86"),
            ("00DC010403 000000", "6981"),
            ("00A4000C026F3D", "9000"),
            ("8032000003 000001", "6981"),
            // The pointer goes round.
            ("00A4000C026F39", "9000"),
            ("00B2000303", "0001009000"),
            ("00B2000203", "FFFFFF9000"),
        ],
    );
}

#[test]
fn objects() {
    // proves: USIM - files
    let mut card = card();
    let long: String = (0..200).map(|byte| format!("{byte:02X}")).collect();
    let (first, rest) = long.split_at(2 * 97);
    let first_block = format!("80DB008064 8481C8{first}");
    let read = format!("8481C8{long}");
    script(
        &mut card,
        &[
            (&select_usim(), "9000"),
            ("00A4000C025F50", "9000"),
            ("00A40004024FBE", "62248202792183024FBEA50B8401018502012C8602012C8A01058B032F06028002012C8801F09000"),
            ("80CB008001 80", "6982"),
            (PIN1, "9000"),
            // The object as it came with the package; the list of tags; one that is not there; no tag.
            ("80CB008001 80", "80034142439000"),
            ("80CB008001 5C", "5C01809000"),
            ("80CB008001 81", "6A88"),
            ("80CB008002 8080", "6A80"),
            ("80CB018001 80", "6A86"),
            ("80CB00A001 80", "6A86"),
            // New ones, of any length and tag; another value; by short identifier.
            ("80DB008005 8103010203", "9000"),
            ("80DB008005 5F810A01FF", "9000"),
            ("80DB008002 8200", "9000"),
            ("80DB008004 80024445", "9000"),
            ("80CB008001 5C", "5C0680815F810A829000"),
            ("80CB008003 5F810A", "5F810A01FF9000"),
            ("80CB008001 82", "82009000"),
            ("80CB009E01 80", "800244459000"),
            // A tag alone deletes its object.
            ("80DB008001 81", "9000"),
            ("80CB008001 81", "6A88"),
            ("80DB008001 81", "6A88"),
            ("80DB008001 5C", "6A80"),
            ("80DB008003 5C0180", "6A80"),
            ("80DB008004 81010203", "6A80"),
        ],
    );
    // In blocks.
    script(
        &mut card,
        &[
            (&first_block, "63F1"),
            (&format!("80DB000067 {rest}"), "9000"),
            ("80CB000064", "6985"),
            ("80CB008001 84 64", &format!("{}62F1", &read[..200])),
            ("80CB000064", &format!("{}62F1", &read[200..400])),
            ("80CB000064", "6C03"),
            ("80CB000003", "C5C6C79000"),
            ("80CB004003", "C5C6C79000"),
            ("80CB000003", "6985"),
            ("80DB004001 00", "6A86"),
            // Another command comes between.
            (&first_block, "63F1"),
            ("80CB008001 80", "800244459000"),
            (&format!("80DB000067 {rest}"), "6985"),
            // No room: refused at its head, or when it is whole.
            ("80DB008004 85820200", "6A84"),
            ("80DB008003 858160", "63F1"),
            (&format!("80DB000060 {}", "00".repeat(96)), "6A84"),
            ("80CB008001 5C", "5C06805F810A82849000"),
            ("00A4090C024F01", "9000"),
            ("80CB008001 80", "6981"),
            ("80DB008003 800100", "6981"),
            ("00CB008001 80", "6E00"),
        ],
    );
}

#[test]
fn pins() {
    // proves: USIM - PINs
    let mut card = card();
    let usim = select_usim();
    script(
        &mut card,
        &[
            ("0020000100", "63C3"),
            ("002C000100", "63CA"),
            // PIN2 is the application's.
            ("0020008100", "6A88"),
            (&usim, "9000"),
            ("0020008100", "63C3"),
            ("002C008100", "63CA"),
            ("002C000A00", "6A88"),
            ("0020000108 31313131FFFFFFFF", "63C2"),
            ("0020000100", "63C2"),
            (PIN1, "9000"),
            ("0020000100", "63C3"),
            ("0020000104 30303030", "6700"),
            ("0020010108 30303030FFFFFFFF", "6A86"),
            ("0020000208 30303030FFFFFFFF", "6A88"),
            // Another value; the old one is none any more.
            ("0024000110 31313131FFFFFFFF 34343434FFFFFFFF", "63C2"),
            ("0024000110 30303030FFFFFFFF 34343434FFFFFFFF", "9000"),
            (PIN1, "63C2"),
            ("00B0870009", "6982"),
            ("0020000108 34343434FFFFFFFF", "9000"),
            // Disabled, its files are open; enabled again, they are not.
            ("0026000108 30303030FFFFFFFF", "63C2"),
            ("0026000108 34343434FFFFFFFF", "9000"),
            ("0026000108 34343434FFFFFFFF", "6984"),
            ("0020000108 34343434FFFFFFFF", "6984"),
            ("0024000110 34343434FFFFFFFF 30303030FFFFFFFF", "6984"),
            ("0020000100", "63C3"),
        ],
    );
    card.reset();
    script(
        &mut card,
        &[
            (&usim, "9000"),
            ("00B0870009", "0809101000000010109000"),
            ("0028000108 34343434FFFFFFFF", "9000"),
            ("0028000108 34343434FFFFFFFF", "6985"),
            // Its attributes do not let PIN2 be disabled.
            ("0026008108 32323232FFFFFFFF", "6985"),
        ],
    );
}

#[test]
fn blocked_and_unblocked() {
    // proves: USIM - PINs
    let mut card = card();
    let usim = select_usim();
    script(
        &mut card,
        &[
            (&usim, "9000"),
            ("0020000108 31313131FFFFFFFF", "63C2"),
            ("0020000108 31313131FFFFFFFF", "63C1"),
            ("0020000108 31313131FFFFFFFF", "63C0"),
            (PIN1, "6983"),
            ("0024000110 30303030FFFFFFFF 34343434FFFFFFFF", "6983"),
            ("0026000108 30303030FFFFFFFF", "6983"),
            ("0020000100", "63C0"),
        ],
    );
    // Kept over a reset.
    card.reset();
    script(
        &mut card,
        &[
            ("0020000100", "63C0"),
            ("002C000110 3232323232323232 35353535FFFFFFFF", "63C9"),
            ("002C000108 3131313131313131", "6700"),
            ("002C000110 3131313131313131 35353535FFFFFFFF", "9000"),
            ("002C000100", "63CA"),
            ("0020000100", "63C3"),
            // The PIN is verified.
            (&usim, "9000"),
            ("00B0870009", "0809101000000010109000"),
            ("0020000108 35353535FFFFFFFF", "9000"),
        ],
    );
    for left in (0..10).rev() {
        let wrong = send(&mut card, "002C000110 3232323232323232 35353535FFFFFFFF");
        assert_eq!(wrong, format!("63C{left:X}"));
    }
    script(&mut card, &[("002C000110 3131313131313131 35353535FFFFFFFF", "6983"), ("002C000100", "63C0")]);
}

#[test]
fn verification_is_the_cards_and_selection_the_channels() {
    // proves: USIM - selection; USIM - PINs
    let mut card = card();
    let usim = select_usim();
    script(
        &mut card,
        &[
            (&usim, "9000"),
            ("0070000001", "019000"),
            ("01B0820001", "989000"),
            (&usim.replacen("00", "01", 1), "9000"),
            ("01B0870009", "6982"),
            (PIN1, "9000"),
            ("01B0870009", "0809101000000010109000"),
            ("0020008108 32323232FFFFFFFF", "9000"),
            // The session of the application ends when the last channel leaves it; PIN2 is its own, PIN1 is not.
            ("00A4040C10A0000005591010FFFFFFFF8900000100", "9000"),
            ("01D6850001 01", "9000"),
            (&format!("01A4040C10{ISIM_AID}"), "9000"),
            (&usim.replacen("00", "01", 1), "9000"),
            ("01B0870009", "0809101000000010109000"),
            ("01D6850001 02", "6982"),
            // Closing the channel ends it as well, unless another channel has the application.
            ("0120008108 32323232FFFFFFFF", "9000"),
            ("0170000001", "029000"),
            ("0070800200", "9000"),
            ("01D6850001 02", "9000"),
            ("0070800100", "9000"),
            ("0070000001", "019000"),
            (&usim.replacen("00", "01", 1), "9000"),
            ("01D6850001 02", "6982"),
            ("01B0870009", "0809101000000010109000"),
            // On the ISD-R there are no files.
            ("00B0000001", "6D00"),
            ("0020000100", "6D00"),
        ],
    );
}

#[test]
fn deactivated_files() {
    // proves: USIM - files
    let mut card = card();
    script(
        &mut card,
        &[
            (&select_usim(), "9000"),
            (PIN1, "9000"),
            ("00A4000C026F3D", "9000"),
            ("00040000", "6982"),
            (ADM1, "9000"),
            ("00040000", "9000"),
            ("00B2010405", "6984"),
            ("00A4000C026F3D", "6283"),
            ("00A40004026F3D", "62198205422100050383026F3D8A01048B032F06028002000F88006283"),
            ("00DC010405 0000000000", "6984"),
            ("0044000002 6F3D", "9000"),
            ("00B2010405", "41424344459000"),
            ("00040001", "6A86"),
            ("0004000002 5F50", "6981"),
            ("0004000002 6F98", "6A82"),
        ],
    );
}

/// What a network with K of 46, OPc zero sends: RAND of 23, AMF 8000, and SQN; computed with Python apart from this
/// code (AES-ECB of openssl), as are the answers.
const CHALLENGE: &str = "10 23232323232323232323232323232323 10";
const AUTN_SQN_20: &str = "E31BA069C33980001E789F37DE72B88E";
const AUTS_SQN_20: &str = "A1C30BEAE999A584A728E0B32FF8";
/// RES, CK, IK, Kc.
const SUCCESS: &str =
    "DB081884A5AA2497328910A0D8776A0A8B7CF4EECB6688C4E0184310A93BCF9B11CA87BEF00916E099375355081721C8994696B05C";
/// SRES, Kc.
const GSM: &str = "043C139723081721C8994696B05C";

#[test]
fn authentication() {
    // proves: USIM - authentication
    let mut card = card();
    let usim = select_usim();
    let authenticate = |autn: &str| format!("0088008122 {CHALLENGE} {autn}");
    script(
        &mut card,
        &[
            (&authenticate(AUTN_SQN_20), "6985"),
            (&usim, "9000"),
            (&authenticate(AUTN_SQN_20), "6982"),
            (PIN1, "9000"),
            (&authenticate(AUTN_SQN_20), &format!("{SUCCESS}9000")),
            // The same again: AUTS with SQN 20.
            (&authenticate(AUTN_SQN_20), &format!("DC0E{AUTS_SQN_20}9000")),
            (&authenticate(&format!("{}00", &AUTN_SQN_20[..30])), "9862"),
            // The ISIM has the USIM's keys and numbers.
            (&format!("00A4040C10{ISIM_AID}"), "9000"),
            (&authenticate(AUTN_SQN_20), &format!("DC0E{AUTS_SQN_20}9000")),
            // It has no GSM context, the USIM has: service 38.
            ("0088008011 10 23232323232323232323232323232323", "9864"),
            (&usim, "9000"),
            ("0088008011 10 23232323232323232323232323232323", &format!("{GSM}9000")),
            ("0088008010 10 232323232323232323232323232323", "6700"),
            ("0088008121 10 23232323232323232323232323232323 10 232323232323232323232323232323", "6700"),
            ("0088008422 10 23232323232323232323232323232323 10 23232323232323232323232323232323", "9864"),
            ("0088008822 10 23232323232323232323232323232323 10 23232323232323232323232323232323", "6A86"),
        ],
    );
    // Sequence numbers are kept over a reset.
    card.reset();
    script(
        &mut card,
        &[(&usim, "9000"), (PIN1, "9000"), (&authenticate(AUTN_SQN_20), &format!("DC0E{AUTS_SQN_20}9000"))],
    );
}

/// The Generic Bootstrapping Architecture (TS 33.220). What is sent and what is answered are computed from the CK and IK
/// above with Python's hashlib and hmac.
#[test]
fn bootstrapping() {
    // proves: USIM - authentication
    const AUTN_STAR: &str = "E31BA069C3398000D1285AF6851CCFA7";
    const DERIVE: &str =
        "008800842B DE15786361702E6578616D706C652E636F6D01000000021330303130313030303030303031303140696D73";
    const KEY: &str = "DB2041E6EA31304FC71F1E0735D8F670ED453C88963B5177B01E95B3681581E44E159000";
    let bootstrap = |autn: &str| format!("0088008423 DD {CHALLENGE} {autn}");
    // The same package with service 68 in EF.UST.
    let mut package = package();
    let table = from_hex("0000000420000000000000000000").unwrap();
    let at = package.windows(14).position(|window| window == table).unwrap();
    package[at + 8] |= 0x08;
    let mut card = card_of(PreinstalledProfile::new(&metadata(ICCID).encode(), &package, true).unwrap());
    let usim = select_usim();
    script(
        &mut card,
        &[
            (&usim, "9000"),
            (&bootstrap(AUTN_STAR), "6982"),
            (PIN1, "9000"),
            (DERIVE, "6985"),
            // The MAC is hidden: that of the 3G context is wrong here.
            (&bootstrap(AUTN_SQN_20), "9862"),
            (&bootstrap(AUTN_STAR), "DB081884A5AA249732899000"),
            // The parameters begin with RAND.
            ("00A4000C026FD6", "9000"),
            ("00B0000011", "10232323232323232323232323232323239000"),
            (DERIVE, KEY),
            (&bootstrap(AUTN_STAR), &format!("DC0E{AUTS_SQN_20}9000")),
            (DERIVE, KEY),
            ("0088008401 DF", "6A80"),
            ("0088008403 DE0001", "6700"),
            ("0088008402 DE05", "6700"),
            // The ISIM has no service of that kind in its table.
            (&format!("00A4040C10{ISIM_AID}"), "9000"),
            (DERIVE, "9864"),
        ],
    );
    // The keys are kept.
    card.reset();
    script(&mut card, &[(&usim, "9000"), (PIN1, "9000"), (DERIVE, KEY)]);
    let iccid = rsp::Iccid::parse(ICCID).unwrap();
    let changes = card.profile_changes(iccid).unwrap();
    let profile = PreinstalledProfile::new(&metadata(ICCID).encode(), &package, true).unwrap();
    let mut card = card_of(profile.with_changes(&changes).unwrap());
    script(&mut card, &[(&usim, "9000"), (PIN1, "9000"), (DERIVE, KEY)]);
}

#[test]
fn the_identity_is_concealed_by_the_usim() {
    // proves: USIM - identity
    let mut card = card();
    script(
        &mut card,
        &[
            ("807800010F", "6985"),
            (&select_usim(), "9000"),
            ("807800010F", "6982"),
            (PIN1, "9000"),
            // Services 124 and 125 are not there.
            ("807800010F", "6985"),
            ("807800030F", "6A86"),
            ("0078000100", "6E00"),
            (ADM1, "9000"),
        ],
    );
    // They are in the test profiles of TS.48, with the null scheme: IMSI 001010123456789, routing indicator 0.
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/profiles/TS48v7_SAIP2.3_BERTLV_SUCI.der");
    let Ok(package) = std::fs::read(path) else {
        println!("skipped: {path} is not there");
        return;
    };
    let mut metadata = metadata("89000123456789012341");
    metadata.profile_owner = None;
    let mut card = card_of(PreinstalledProfile::new(&metadata.encode(), &package, true).unwrap());
    script(
        &mut card,
        &[
            ("00A4040C0CA0000000871002FF49FF0589", "9000"),
            ("8078000100", "6C0F"),
            ("807800010F", "A10D0100F110F0FF000010325476989000"),
        ],
    );
}

#[test]
fn changes_can_be_kept_and_put_back() {
    // proves: USIM - what changes is kept
    let mut card = card();
    let steps = [
        select_usim(),
        PIN1.to_owned(),
        "00D6850001 01".to_owned(),
        "0020008108 32323232FFFFFFFF".to_owned(),
        "00D6850001 01".to_owned(),
        format!("0088008122 {CHALLENGE} {AUTN_SQN_20}"),
        "0024000110 30303030FFFFFFFF 34343434FFFFFFFF".to_owned(),
        "0020008108 33333333FFFFFFFF".to_owned(),
        ADM1.to_owned(),
        "00A4000C026F3D".to_owned(),
        "00040000".to_owned(),
    ];
    for step in &steps {
        send(&mut card, step);
    }
    let iccid = card.profiles()[0].iccid;
    let changes = card.profile_changes(iccid).unwrap();

    let mut card = card_of(profile().with_changes(&changes).unwrap());
    script(
        &mut card,
        &[
            (&select_usim(), "9000"),
            ("0020008100", "63C2"),
            (PIN1, "63C2"),
            ("0020000108 34343434FFFFFFFF", "9000"),
            ("00B0850001", "019000"),
            ("00A4000C026F3D", "6283"),
            (&format!("0088008122 {CHALLENGE} {AUTN_SQN_20}"), &format!("DC0E{AUTS_SQN_20}9000")),
        ],
    );

    // Changes of another package, of another version, cut short.
    let mut other = metadata(ICCID);
    other.profile_owner = None;
    let other = PreinstalledProfile::new(&other.encode(), &order(ICCID).package, true).unwrap();
    assert!(other.with_changes(&changes).unwrap_err().to_string().contains("do not belong to its package"));
    let mut later = changes.to_vec();
    later[2] = 2;
    assert!(profile().with_changes(&later).unwrap_err().to_string().contains("version 2"));
    for length in 0..changes.len() {
        assert!(profile().with_changes(&changes[..length]).is_err(), "{length}");
    }
}

#[test]
fn another_profile_begins_anew() {
    // proves: USIM - what changes is kept
    let mut lab = Lab::with(
        {
            let mut config = config(&[Curve::P256]);
            config.preinstalled = vec![profile()];
            config
        },
        Curve::P256,
    );
    lab.install(&order("8988247000111763811"));
    script(
        &mut lab.card,
        &[
            (&select_usim(), "9000"),
            (PIN1, "9000"),
            ("0020008108 33333333FFFFFFFF", "63C2"),
            ("00D6850001 01", "6982"),
            ("00B0870009", "0809101000000010109000"),
            ("00A4000C026F07", "9000"),
        ],
    );
    assert_eq!(lab.hex("BF3111A00C5A0A988842070011713618F1810100"), "BF3103800100");
    script(&mut lab.card, &[("00B0000001", "6986"), ("0020000100", "6A88"), ("00A4000C022FE2", "9000")]);
    assert_eq!(lab.hex("BF3111A00C5A0A988842070011713618F0810100"), "BF3103800100");
    // What has changed on the first one is kept while it was disabled; what was verified is not.
    script(&mut lab.card, &[(&select_usim(), "9000"), ("00B0870009", "6982"), ("0020008100", "63C2"), (PIN1, "9000")]);
    assert_eq!(lab.hex("BF3211A00C5A0A988842070011713618F0810100"), "BF3203800100");
    script(&mut lab.card, &[("00B0000001", "6986"), ("00A4000C022FE2", "6A82"), ("0020000100", "6A88")]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever comes, the card answers, PINs never get tries back by themselves, and changes can be put back.
    #[test]
    fn any_commands(
        commands in proptest::collection::vec(
            (
                proptest::sample::select(vec![
                    0x04u8, 0x20, 0x24, 0x26, 0x28, 0x2C, 0x32, 0x44, 0x88, 0xA2, 0xA4, 0xB0, 0xB2, 0xCB, 0xD6, 0xDB, 0xDC, 0xF2,
                ]),
                any::<bool>(),
                proptest::sample::select(vec![0u8, 1, 2, 3, 4, 8, 9, 0x82, 0x87, 0x9E]),
                any::<u8>(),
                proptest::sample::select(vec![
                    "", "00", "6F39", "6F3D", "2FE2", "7FFF", "3F00", "30303030FFFFFFFF", "5F504F01", "4142434445", "80",
                    "8103010203",
                ]),
                proptest::option::of(any::<u8>()),
            ),
            1..40,
        ),
    ) {
        // proves: Robust - no panic on any input
        let mut card = card();
        send(&mut card, &select_usim());
        send(&mut card, PIN1);
        for (ins, proprietary, p1, p2, data, le) in commands {
            let data = from_hex(data).unwrap();
            let mut apdu = vec![if proprietary { 0x80 } else { 0x00 }, ins, p1, p2];
            if !data.is_empty() {
                apdu.push(data.len() as u8);
                apdu.extend_from_slice(&data);
            }
            apdu.extend(le);
            let response = card.transmit(&apdu, NOW);
            prop_assert!(response.len() >= 2);
        }
        let iccid = card.profiles()[0].iccid;
        let changes = card.profile_changes(iccid).unwrap();
        let again = card_of(profile().with_changes(&changes).unwrap());
        prop_assert_eq!(again.profile_changes(iccid).unwrap().to_vec(), changes.to_vec());
    }
}
