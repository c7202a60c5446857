use proptest::prelude::*;
use rsp::ids::{from_hex, to_hex};
use rsp::saip::split;
use rsp::tlv::Writer;

use super::*;
use crate::uicc::files::Files;

const PROFILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/profiles");

const TS48: [&str; 2] = ["TS48v7_SAIP2.3_NoBERTLV.der", "TS48v7_SAIP2.3_BERTLV_SUCI.der"];

/// A test profile of GSMA TS.48, or `None` (with a message) where the test data is not there.
fn ts48(name: &str) -> Option<Vec<u8>> {
    let path = format!("{PROFILES}/{name}");
    let package = std::fs::read(&path).ok();
    if package.is_none() {
        println!("skipped: {path} is not there");
    }
    package
}

fn all() -> NamedBits {
    (0..64).fold(NamedBits::default(), NamedBits::with)
}

fn installed_with(package: &[u8], capability: NamedBits, most: usize) -> Result<Image, Status> {
    let mut installer = Installer::new(capability, 2, most);
    for element in split(package) {
        installer.execute(&element.map_err(|_| Status::FORMAT)?)?;
    }
    Ok(installer.finish())
}

fn installed(package: &[u8]) -> Result<Image, Status> {
    installed_with(package, all(), 1 << 20)
}

fn at(image: &Image, path: &str) -> FileRef {
    image.by_package_path(&from_hex(path).unwrap()).unwrap_or_else(|| panic!("{path} is not there"))
}

#[test]
fn the_ts48_packages_install_whole() {
    // proves: Data - TS.48 profile packages; USIM - profile elements are executed
    for name in TS48 {
        let Some(package) = ts48(name) else { return };
        let image = installed(&package).unwrap();
        let files = Files::new(installed(&package).unwrap());
        let content = |path| to_hex(files.content(at(&image, path)));
        assert_eq!(content("2FE2"), "98001032547698103214");
        // The pattern of the file itself: one byte, then FF.
        assert_eq!(content("2F05"), "656EFFFFFFFF");
        assert_eq!(content("7FD06F07"), "080910101032547698");
        // The template's content, where the file is not described: EF.SMSS, EF.PSLOCI written, EF.Keys patterned.
        assert_eq!(content("7FD06F43"), "FFFF");
        assert_eq!(content("7FD06F08"), format!("07{}", "FF".repeat(32)));
        assert_eq!(content("7FD06FE3"), format!("{}000000000001", "FF".repeat(12)));
        // Content at an offset over a pattern of FF.
        assert_eq!(content("7FD05F3B4F20"), "FFFFFFFFFFFFFFFF07");
        // A link shows what it is linked to, under its own identifier.
        assert_eq!(content("7F106F40"), content("7FD06F40"));
        assert_eq!(image.resolve(at(&image, "7FC06F3B")), at(&image, "7FD06F3B"));
        // PINs: global ones at the MF, local ones where they belong.
        let pins: Vec<(u16, u8)> = image.pins.iter().map(|pin| (image.file(pin.directory).id, pin.key)).collect();
        let local = [(0x7F10, 0x81), (0x7FD0, 0x81), (0x7FC0, 0x81), (0x7FB0, 0x81)];
        assert_eq!(pins[..3], [(0x3F00, 0x01), (0x3F00, 0x0A), (0x3F00, 0x0B)]);
        assert_eq!(pins[3..], local);
        assert!(!image.pins[0].enabled && image.pins[3].enabled);
        // Authentication of USIM and ISIM, and the records.
        let authenticated: Vec<u16> =
            image.authentications.iter().map(|entry| image.file(entry.application).id).collect();
        assert_eq!(authenticated, [0x7FD0, 0x7FB0]);
        assert_eq!(image.records.len(), 6);
        let aids: Vec<String> = image.applications().map(|(_, aid, _)| to_hex(aid.as_bytes())).collect();
        assert_eq!(aids, ["A0000000871002FF49FF0589", "A0000003431002F310FFFF89020000FF", "A0000000871004FF49FF0589"]);
    }
}

/// The status of a package of these elements after the MF.
fn status_after(elements: &[Vec<u8>]) -> Result<Image, Status> {
    let mut package = crate::tests::lab::elements(crate::tests::lab::ICCID);
    package.truncate(3);
    package.extend_from_slice(elements);
    installed(&package.concat())
}

fn element(tag: u32, content: impl FnOnce(Writer) -> Writer) -> Vec<u8> {
    crate::tests::lab::element(tag, true, 9, content)
}

/// `PE-GenericFileManagement` with these items, as hexadecimal digits; file control parameters stand in braces.
fn management(items: &str) -> Vec<u8> {
    let items = items.replace(' ', "");
    let mut bytes = Vec::new();
    for part in items.split_inclusive(['{', '}']) {
        let hex = from_hex(part.trim_end_matches(['{', '}'])).unwrap();
        match part.ends_with('}') {
            true => bytes.extend(rsp::tlv::encode(0x62, &hex)),
            false => bytes.extend(hex),
        }
    }
    element(0xA1, |w| w.nested(0xA1, |w| w.put(0x30, &bytes)))
}

#[test]
fn files_made_one_by_one() {
    // proves: USIM - profile elements are executed
    let image = status_after(&[management(
        // A directory, which is the current one then; two files in it; one in the application.
        "{82027821 83025F11 8B032F0601} \
         {82024121 83024F02 8B032F0601 800104} 8102AABB 020101 8101CC \
         {82044221 0003 83024F1F 8B032F0601 800109 8800 A504C2020102} \
         80027FD0 {82044621 0002 83026F63 8B032F0601 800104}",
    )])
    .unwrap();
    let files = Files::new(image);
    let content = |path| to_hex(files.content(at(files.image(), path)));
    assert_eq!(content("5F114F02"), "AABBFFCC");
    // A repeated pattern begins anew with each record.
    assert_eq!(content("5F114F1F"), "010201010201010201");
    // A cyclic file without a pattern is zero (TS 102 222).
    assert_eq!(content("7FD06F63"), "00000000");
    // The short identifier is that of the file identifier, unless it is taken away.
    let image = files.image();
    assert_eq!(image.file(at(image, "5F114F02")).short_id, Some(0x02));
    assert_eq!(image.file(at(image, "5F114F1F")).short_id, None);
    assert_eq!(image.file(at(image, "7FD06F63")).access, (0x2F06, 1));
}

#[test]
fn what_cannot_be_made_names_its_status() {
    // proves: USIM - what cannot be executed
    let of = |items: &str| status_after(&[management(items)]).map(|_| ()).unwrap_err();
    // No such path; an identifier that is taken; no rules; content that does not fit, or has no file.
    assert_eq!(of("8002 7F99"), Status::PARAMETER);
    assert_eq!(of("{82024121 83022FE2 8B032F0601 800104}"), Status::PARAMETER);
    assert_eq!(of("{82024121 83022F01 800104}"), Status::BAD_VALUES);
    assert_eq!(of("{82024121 83022F01 8B032F0601 800101} 8102 AABB"), Status::BAD_VALUES);
    assert_eq!(of("8101 AA"), Status::PARAMETER);
    // A record of no length, records that do not fill the file, an unknown descriptor, no size.
    assert_eq!(of("{82024221 83022F01 8B032F0601 800104}"), Status::BAD_VALUES);
    assert_eq!(of("{82044221 0003 83022F01 8B032F0601 800104}"), Status::BAD_VALUES);
    assert_eq!(of("{82024521 83022F01 8B032F0601 800104}"), Status::BAD_VALUES);
    assert_eq!(of("{82024121 83022F01 8B032F0601}"), Status::BAD_VALUES);
    // Parameters that are longer than they are.
    assert_eq!(of("6211 82024121 83022F01 8B032F0601"), Status::FORMAT);
    // A template that there is none of, or that is of another element; an application without an AID.
    let template = |tag, oid: &str| {
        let oid = from_hex(oid).unwrap();
        status_after(&[element(tag, |w| w.put(0x81, &oid).nested(0xA2, |w| w))]).map(|_| ()).unwrap_err()
    };
    assert_eq!(template(0xB2, "67810F01021F"), Status::TEMPLATE);
    assert_eq!(template(0xB2, "67810F010204"), Status::TEMPLATE);
    assert_eq!(template(0xB2, "67810F01020302"), Status::TEMPLATE);
    assert_eq!(template(0xB5, "67810F010208"), Status::BAD_VALUES);
    // Optional files of an application that is not there; a file that has to be there.
    let optional = element(0xB6, |w| w.put(0x81, &from_hex("67810F010209").unwrap()));
    assert_eq!(status_after(&[optional]).map(|_| ()).unwrap_err(), Status::PARAMETER);
    // A directory that is to be a file, and a file that is to be a directory.
    let telecom = |field: u32, parameters: &str| {
        let parameters = from_hex(parameters).unwrap();
        let element = element(0xB2, |w| {
            let w = w.put(0x81, &from_hex("67810F010203").unwrap());
            let w = if field == 0xA2 { w } else { w.nested(0xA2, |w| w) };
            w.nested(field, |w| w.put(0xA1, &parameters))
        });
        status_after(&[element]).map(|_| ())
    };
    assert_eq!(telecom(0xA2, "82024121800101"), Err(Status::BAD_VALUES));
    assert_eq!(telecom(0xA5, "82027821"), Err(Status::BAD_VALUES));
    assert_eq!(telecom(0xA5, "800101"), Ok(()));
    let bare = element(0xB0, |w| w.put(0x81, &from_hex("67810F010201").unwrap()));
    assert_eq!(installed(&bare).map(|_| ()).unwrap_err(), Status::FORMAT);
}

#[test]
fn pins_that_cannot_be_made() {
    // proves: USIM - what cannot be executed
    let pin = |w: Writer, puk: Option<u32>| {
        w.nested(0x30, |w| {
            let w = w.integer(0x80, 0x81).put(0x81, &[0x31; 8]);
            puk.map_or(w.clone(), |puk| w.integer(0x82, puk))
        })
    };
    let codes = |puk| element(0xA2, |w| w.nested(0xA1, |w| w.nested(0xA0, |w| pin(w, puk))));
    let of = |elements: &[Vec<u8>]| status_after(elements).map(|_| ());
    assert_eq!(of(&[codes(None)]), Ok(()));
    // SAIP annex D: the unblocking code comes before.
    assert_eq!(of(&[codes(Some(1))]), Err(Status::PIN_MISSING));
    assert_eq!(of(&[codes(None), codes(None)]), Err(Status::PARAMETER));
    let puk = element(0xA3, |w| w.nested(0xA1, |w| w.nested(0x30, |w| w.integer(0x80, 1).put(0x81, &[0x31; 8]))));
    assert_eq!(of(&[puk, codes(Some(1))]), Ok(()));
    // Shared with the MF, whose key 01 is then found from the application.
    let shared = element(0xA2, |w| w.nested(0xA1, |w| w.put(0x81, &[])));
    assert_eq!(of(&[shared]), Ok(()));
}

#[test]
fn links_end_somewhere() {
    // proves: USIM - profile elements are executed; Robust - lengths, nesting and chains are bounded
    let of = |items: &str| {
        let end = element(0xAA, |w| w);
        status_after(&[management(items), end]).map(|_| ())
    };
    let link = |id: &str, path: &str| {
        let path = Writer::new().put(0xC7, &from_hex(path).unwrap()).into_vec();
        let fcp = format!("82024121 8302{id} 8B032F0601 {}", to_hex(&path)).replace(' ', "");
        format!("{{{fcp}}}")
    };
    assert_eq!(of(&link("2F01", "2FE2")), Ok(()));
    // To what comes later.
    assert_eq!(of(&[link("2F01", "2F02"), link("2F02", "2FE2")].concat()), Ok(()));
    assert_eq!(of(&link("2F01", "2F77")), Err(Status::PARAMETER));
    assert_eq!(of(&link("2F01", "2F01")), Err(Status::PARAMETER));
    assert_eq!(of(&[link("2F01", "2F02"), link("2F02", "2F01")].concat()), Err(Status::PARAMETER));
    assert_eq!(of(&link("2F01", "7FD0")), Err(Status::PARAMETER));
}

#[test]
fn memory_is_bounded() {
    // proves: Robust - lengths, nesting and chains are bounded
    // Files of 65535 bytes in a few bytes of package each.
    let file = |id: u16| format!("{{82024121 8302{id:04X} 8B032F0601 8002FFFF}}");
    let many: String = (0x6000..0x6040).map(file).collect();
    assert_eq!(status_after(&[management(&many)]).map(|_| ()), Err(Status::MEMORY));
    assert_eq!(
        status_after(&[management("{82024121 83022F01 8B032F0601 8003010000}")]).map(|_| ()),
        Err(Status::BAD_VALUES)
    );
}

#[test]
fn services_that_the_card_does_not_have_are_taken_out() {
    // proves: USIM - profile elements are executed
    let package = crate::tests::lab::elements(crate::tests::lab::ICCID).concat();
    // All services are there in EF.UST, whose 14 bytes are zero in the package.
    let position = package.windows(16).position(|window| window == [&[0x83, 14][..], &[0; 14]].concat()).unwrap();
    let mut package = package;
    package[position + 2..position + 16].fill(0xFF);
    let with = |capability| {
        let files = Files::new(installed_with(&package, capability, 1 << 20).unwrap());
        to_hex(files.content(at(files.image(), "7FD06F38")))
    };
    // Service 64 is the last bit of byte 8, 65 the first of byte 9, 76 the fourth of byte 10 (TS 31.102 §4.2.8): no card
    // here has security of voice groups or local keys.
    assert_eq!(with(all()), "FFFFFFFFFFFFFF7FFEF7FFFFFFFF");
    // 68 and 69, GBA and MBMS, are the fourth and fifth of byte 9. 67 between them is the store of multimedia messages,
    // which needs nothing of the card.
    assert_eq!(with(NamedBits::default()), "FFFFFFFFFFFFFF7FE6F7FFFFFFFF");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn changed_packages_never_panic(changes in proptest::collection::vec((0usize..12300, any::<u8>()), 1..6)) {
        // proves: Robust - no panic on any input
        let Some(mut package) = ts48(TS48[0]) else { return Ok(()) };
        for (at, byte) in changes {
            if let Some(place) = package.get_mut(at) {
                *place = byte;
            }
        }
        let _ = installed_with(&package, all(), 1 << 18);
    }

    #[test]
    fn no_management_panics(items in proptest::collection::vec(any::<u8>(), 0..200)) {
        // proves: Robust - no panic on any input
        let _ = status_after(&[element(0xA1, |w| w.nested(0xA1, |w| w.put(0x30, &items)))]);
    }
}
