use proptest::prelude::*;

use super::elements::{self, Element};
use super::*;
use crate::ids::{from_hex, to_hex};

const PROFILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/profiles");

/// A test profile of GSMA TS.48, or `None` (with a message) where the test data is not there.
fn ts48(name: &str) -> Option<Vec<u8>> {
    let path = format!("{PROFILES}/{name}");
    let package = std::fs::read(&path).ok();
    if package.is_none() {
        println!("skipped: {path} is not there");
    }
    package
}

#[test]
fn kinds_of_the_ts48_packages_in_order() {
    for (name, order) in [
        (
            "TS48v7_SAIP2.3_NoBERTLV.der",
            "header mf pukCodes pinCodes telecom pinCodes genericFileManagement usim opt-usim pinCodes akaParameter \
             gsm-access df-5gs df-saip csim opt-csim pinCodes cdmaParameter isim opt-isim pinCodes akaParameter \
             genericFileManagement genericFileManagement securityDomain rfm rfm rfm rfm end",
        ),
        (
            "TS48v7_SAIP2.3_BERTLV_SUCI.der",
            "header mf pukCodes pinCodes telecom pinCodes genericFileManagement usim opt-usim pinCodes akaParameter \
             gsm-access df-5gs df-saip csim opt-csim pinCodes cdmaParameter isim opt-isim pinCodes akaParameter \
             genericFileManagement genericFileManagement securityDomain rfm rfm rfm rfm end",
        ),
    ] {
        let Some(package) = ts48(name) else { return };
        let elements: Vec<_> = split(&package).map(|element| element.unwrap()).collect();
        let kinds: Vec<_> = elements.iter().map(|element| element.kind().to_string()).collect();
        assert_eq!(kinds.join(" "), order.split_whitespace().collect::<Vec<_>>().join(" "), "{name}");
        // Together the elements are the package, byte for byte.
        assert_eq!(elements.iter().map(|element| element.raw().len()).sum::<usize>(), package.len());
        // Every element but the first has a number of its own, and all of them are mandated.
        let headers: Vec<_> = elements[1..].iter().map(|element| element.header().unwrap()).collect();
        let numbers: std::collections::BTreeSet<_> = headers.iter().map(|header| header.identification).collect();
        assert_eq!(numbers.len(), elements.len() - 1);
        assert!(headers.iter().all(|header| header.mandated));
        assert_eq!(elements[0].header(), None);
    }
}

#[test]
fn headers_of_the_ts48_packages() {
    for name in ["TS48v7_SAIP2.3_NoBERTLV.der", "TS48v7_SAIP2.3_BERTLV_SUCI.der"] {
        let Some(package) = ts48(name) else { return };
        let header = ProfileHeader::of_package(&package).unwrap();
        assert_eq!((header.major, header.minor), (2, 3));
        assert_eq!(header.profile_type.as_deref(), Some("GSMA Generic eUICC Test Profile"));
        assert_eq!(header.iccid.to_string(), "89000123456789012341");
        assert!(header.mandatory_services.starts_with(&[Service::Usim, Service::Isim, Service::Csim]));
        assert!(header.mandatory_services.contains(&Service::UsimTestAlgorithm));
        assert_eq!(header.templates[0].to_string(), "2.23.143.1.2.1");
        assert_eq!(header.templates.len(), 11);
    }
}

#[test]
fn files_of_the_ts48_package() {
    let Some(package) = ts48("TS48v7_SAIP2.3_NoBERTLV.der") else { return };
    let of = |kind| split(&package).map(|element| element.unwrap()).find(|element| element.kind() == kind).unwrap();
    let content = |kind, id| {
        let file = of(kind).files().find(|(_, file)| file.id() == Some(id)).unwrap().1;
        to_hex(&file.content(0xFF).unwrap())
    };
    assert_eq!(content(Kind::Mf, 0x2FE2), "98001032547698103214");
    assert_eq!(content(Kind::Usim, 0x6F07), "080910101032547698");
    // An offset counts from where the piece before it ended.
    let dir = of(Kind::Mf).files().find(|(_, file)| file.id() == Some(0x2F00)).unwrap().1.content(0xFF).unwrap();
    assert_eq!(dir[33], 0x61);
    assert_eq!(dir[22..33], [0xFF; 11]);
    assert_eq!(of(Kind::SecurityDomain).files().count(), 0);
}

#[test]
fn elements_of_the_ts48_packages_survive_the_asn1_types() {
    // Each element that the types cover is read and written again as the same bytes.
    for name in ["TS48v7_SAIP2.3_NoBERTLV.der", "TS48v7_SAIP2.3_BERTLV_SUCI.der"] {
        let Some(package) = ts48(name) else { return };
        let mut read = 0;
        for element in split(&package).map(|element| element.unwrap()) {
            let Ok(typed) = Element::read(&element) else { continue };
            assert_eq!(to_hex(&typed.write().unwrap()), to_hex(element.raw()), "{}", element.kind());
            read += 1;
        }
        // header, mf, pukCodes, 5 pinCodes, 3 genericFileManagement, usim, 2 akaParameter, securityDomain, 4 rfm, end
        assert_eq!(read, 20, "{name}");
    }
}

#[test]
fn what_later_versions_add_is_passed_over() {
    let mut header = elements::ProfileHeader {
        major_version: 2,
        minor_version: 3,
        profile_type: None,
        iccid: from_hex("8988247000111763810F").unwrap().into(),
        pol: None,
        mandatory_services: elements::ServicesList { usim: Some(()), ..Default::default() },
        mandatory_templates: vec![elements::template(1)],
        connectivity_parameters: None,
    };
    let plain = Element::Header(header.clone()).write().unwrap();
    assert_eq!(to_hex(&plain), "A020800102810103830A8988247000111763810FA5028100A608060667810F010201");
    let mut longer = Tlv::parse_exact(&plain).unwrap().value().to_vec();
    longer.extend_from_slice(&from_hex("A9038001079F2A0100").unwrap());
    let longer = crate::tlv::encode(0xA0, &longer);
    assert_eq!(ProfileHeader::of_package(&longer), ProfileHeader::of_package(&plain));
    header.iccid = vec![0xAA; 10].into();
    let bad = Element::Header(header).write().unwrap();
    assert!(ProfileHeader::of_package(&bad).unwrap_err().to_string().contains("iccid"));
    assert!(ProfileHeader::of_package(&[]).unwrap_err().to_string().contains("missing element A0"));
}

#[test]
fn euicc_responses() {
    // The known answer of a successful installation.
    assert_eq!(to_hex(&EuiccResponse::ok().encode()), "3007A0053003800100");
    let response = EuiccResponse::parse(&from_hex("3007A0053003800100").unwrap()).unwrap();
    assert!(response.is_ok());
    let aborted = EuiccResponse::aborted(PeStatus::PE_NOT_SUPPORTED, Some(300));
    assert_eq!(to_hex(&aborted.encode()), "300DA00930078001018102012C8100");
    assert_eq!(EuiccResponse::parse(&aborted.encode()), Ok(aborted));
    let later = from_hex("3010A0053003800100820474657374840100").unwrap();
    assert_eq!(EuiccResponse::parse(&later).unwrap().message.as_deref(), Some("test"));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for element in split(&bytes).flatten() {
            let _ = (element.header(), ProfileHeader::parse(&element), Element::read(&element));
            for (_, file) in element.files() {
                let _ = (file.id(), file.content(0xFF), file.is_left_out());
            }
        }
        let _ = EuiccResponse::parse(&bytes);
    }

    #[test]
    fn responses_read_what_they_write(
        statuses in proptest::collection::vec((any::<u16>(), proptest::option::of(0u16..32768), proptest::option::of(any::<u8>()), proptest::option::of(0u32..1 << 31)), 0..4),
        aborted in any::<bool>(),
        message in proptest::option::of("[a-z ]{2,64}"),
    ) {
        let pe_status = statuses.into_iter().map(|(status, identification, additional_information, offset)| {
            PeStatus { status, identification, additional_information, offset }
        }).collect();
        let response = EuiccResponse { pe_status, aborted, message };
        prop_assert_eq!(EuiccResponse::parse(&response.encode()), Ok(response));
    }

    #[test]
    fn one_changed_byte_of_a_package_never_panics(at in 0usize..2000, with in any::<u8>()) {
        let Some(mut package) = ts48("TS48v7_SAIP2.3_NoBERTLV.der") else { return Ok(()) };
        package[at] = with;
        for element in split(&package).flatten() {
            let _ = (element.header(), ProfileHeader::parse(&element), Element::read(&element));
            for (_, file) in element.files() {
                let _ = (file.id(), file.content(0xFF));
            }
        }
    }
}
