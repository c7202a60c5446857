use rsp::ids::to_hex;
use rsp::saip::{ProfileElement, Service};

use super::*;

const PROFILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/profiles");

fn built(name: &str) -> Profile {
    Profile::build(&built_in_named(name).unwrap()).unwrap()
}

fn element(package: &[u8], kind: Kind) -> ProfileElement<'_> {
    split(package).map(|element| element.unwrap()).find(|element| element.kind() == kind).unwrap()
}

fn content(package: &[u8], kind: Kind, id: u16) -> String {
    let (_, file) = element(package, kind).files().find(|(_, file)| file.id() == Some(id)).unwrap();
    to_hex(&file.content(0xFF).unwrap())
}

#[test]
fn built_in_profiles_are_well_formed() {
    let profiles = built_in();
    assert_eq!(profiles.keys().collect::<Vec<_>>(), ["operator-a", "operator-b", "provisioning", "test"]);
    let mut iccids = std::collections::BTreeSet::new();
    for (name, spec) in &profiles {
        let profile = Profile::build(spec).unwrap();
        assert!(iccids.insert(profile.iccid()), "{name}: its ICCID is another's too");
        let (body, check) = spec.iccid.split_at(spec.iccid.len() - 1);
        assert_eq!(luhn_check_digit(body).to_string(), check, "{name}");
        let package = profile.package();
        let kinds: Vec<_> = split(package).map(|element| element.unwrap().kind().to_string()).collect();
        assert_eq!(
            kinds.join(" "),
            "header mf pukCodes pinCodes telecom genericFileManagement usim opt-usim pinCodes akaParameter gsm-access \
             df-5gs securityDomain end",
            "{name}"
        );
        // Numbers of the elements rise by one, and all are mandated.
        for (index, element) in split(package).map(|element| element.unwrap()).enumerate().skip(1) {
            let header = element.header().unwrap();
            assert_eq!((header.mandated, usize::from(header.identification)), (true, index), "{name}");
        }
        let header = ProfileHeader::of_package(package).unwrap();
        assert_eq!((header.major, header.minor, header.iccid), (2, 3, profile.iccid()));
        assert!(header.mandatory_services.starts_with(&[Service::Usim, Service::Milenage]));
        let metadata = profile.metadata("smdp.example.com");
        assert_eq!(metadata.iccid, header.iccid);
        assert_eq!(StoreMetadata::parse(&metadata.encode()), Ok(metadata));
    }
}

#[test]
fn every_element_reads_back() {
    let profile = built("operator-a");
    for element in split(profile.package()).map(|element| element.unwrap()) {
        assert_eq!(Element::read(&element).unwrap().write().unwrap(), element.raw(), "{}", element.kind());
    }
}

#[test]
fn files_hold_what_the_description_says() {
    let profile = built("operator-a");
    let package = profile.package();
    assert_eq!(content(package, Kind::Mf, 0x2FE2), "989909010000000010F3");
    // IMSI 001010000000101 (TS 31.102 §4.2.2): length 8, parity odd, swapped nibbles.
    assert_eq!(content(package, Kind::Usim, 0x6F07), "080910100000001010");
    assert_eq!(content(package, Kind::Usim, 0x6F46), "014F70657261746F722041FFFFFFFFFFFF");
    assert_eq!(content(package, Kind::Usim, 0x6F78), "0002");
    assert_eq!(content(package, Kind::Usim, 0x6FAD), "00000002");
    // Services 10, 12 (byte 2), 17, 19, 21 (byte 3), 27 (byte 4), 33, 38 (byte 5), 43 (byte 6), 85 (byte 11), 122 to
    // 124 (byte 16).
    assert_eq!(content(package, Kind::Usim, 0x6F38), "000A150C21040000000010000000000E00");
    assert_eq!(content(package, Kind::OptUsim, 0x6F3E), "A1");
    assert_eq!(content(package, Kind::Telecom, 0x4F30), "A805C0034F3A03");
    assert_eq!(content(package, Kind::Df5gs, 0x4F07), "A0020000");
    let parameters = format!("{}FD{}07915155010000F0{}", "FF".repeat(10), "FF".repeat(12), "FF".repeat(7));
    assert_eq!(content(package, Kind::Usim, 0x6F42), parameters);
    let own_number = format!("{}07915155010001F1{}", "FF".repeat(10), "FF".repeat(6));
    assert_eq!(content(package, Kind::OptUsim, 0x6F40), own_number);
    assert_eq!(content(package, Kind::OptUsim, 0x6F62), "00F110C880");
    let directory = content(package, Kind::Mf, 0x2F00);
    assert!(directory.starts_with("611E4F10A0000000871002FFFFFFFF890301000050"), "{directory}");
    let left_out: Vec<_> = element(package, Kind::Usim).files().filter(|(_, file)| file.is_left_out()).collect();
    assert_eq!(left_out.len(), 2);
}

#[test]
fn keys_are_in_the_package_and_in_no_debug_output() {
    let spec = built_in_named("operator-a").unwrap();
    let profile = Profile::build(&spec).unwrap();
    let aka = to_hex(element(profile.package(), Kind::AkaParameter).raw());
    assert!(aka.contains(&format!("8210{}8310{}", spec.ki, spec.opc)), "{aka}");
    for text in [format!("{spec:?}"), format!("{profile:?}")] {
        assert!(!text.to_uppercase().contains(&spec.ki) && !text.contains("adm1"), "{text}");
    }
    let Element::AkaParameter(aka) = Element::read(&element(profile.package(), Kind::AkaParameter)).unwrap() else {
        panic!("another element");
    };
    assert!(!format!("{aka:?}").contains("key"), "{aka:?}");
}

#[test]
fn tuak_has_longer_keys() {
    let with = |ki: &str, opc: &str| {
        let mut spec = built_in_named("operator-b").unwrap();
        spec.algorithm = Algorithm::Tuak;
        (spec.ki, spec.opc) = (ki.to_owned(), opc.to_owned());
        Profile::build(&spec)
    };
    let topc = "CD".repeat(32);
    let profile = with(&"46".repeat(32), &topc).unwrap();
    let services = ProfileHeader::of_package(profile.package()).unwrap().mandatory_services;
    assert!(services.contains(&Service::Tuak256) && !services.contains(&Service::Milenage));
    let aka = to_hex(element(profile.package(), Kind::AkaParameter).raw());
    assert!(aka.contains(&format!("8001028101018220{}8320{topc}", "46".repeat(32))), "{aka}");
    let services = ProfileHeader::of_package(with(&"46".repeat(16), &topc).unwrap().package()).unwrap();
    assert!(services.mandatory_services.contains(&Service::Tuak128));
    assert!(with(&"46".repeat(24), &topc).unwrap_err().to_string().contains("ki has to be"));
    assert!(with(&"46".repeat(16), "CD").unwrap_err().to_string().contains("TOPc"));
}

#[test]
fn metadata_of_operator_a() {
    let metadata = built("operator-a").metadata("localhost:8443");
    assert_eq!(metadata.icon_type, Some(1));
    assert_eq!(metadata.profile_class, ProfileClass::Operational);
    // MCC 001, MNC 01 (TS 24.008 §10.5.1.13).
    assert_eq!(metadata.profile_owner.as_ref().map(|owner| owner.mcc_mnc), Some([0x00, 0xF1, 0x10]));
    assert_eq!(metadata.profile_owner.as_ref().and_then(|owner| owner.gid1.clone()), Some(vec![0xA1]));
    let told = &metadata.notification_configuration[..];
    let all = NamedBits::of(&[0, 1, 2, 3]);
    assert_eq!(told, [NotificationConfiguration { events: all, address: "localhost:8443".to_owned() }]);
    assert_eq!(built("test").metadata("a.b").profile_class, ProfileClass::Test);
    assert_eq!(built("provisioning").metadata("a.b").profile_class, ProfileClass::Provisioning);
}

#[test]
fn descriptions_are_read_strictly() {
    let list = parse_list(
        r#"
        [strict]
        name = "Rules"
        provider = "Ärger"
        iccid = "89999010000000000138"
        imsi = "310150123456789"
        mnc-digits = 3
        ki = "00112233445566778899aabbccddeeff"
        opc = "00112233445566778899aabbccddeeff"
        policy = ["no-disable", "no-delete"]
        notifications = [{ events = ["delete"], address = "n.example.com" }, { events = ["install"] }]
        "#,
    )
    .unwrap();
    let profile = Profile::build(&list["strict"]).unwrap();
    let metadata = profile.metadata("smdp.example.com");
    assert_eq!(metadata.profile_policy_rules, Some(NamedBits::of(&[1, 2])));
    assert_eq!(metadata.notification_configuration[0].events, NamedBits::of(&[3]));
    assert_eq!(metadata.notification_configuration[1].address, "smdp.example.com");
    // 310-150 (TS 24.008 §10.5.1.13), and a name that is not in the default alphabet.
    assert_eq!(metadata.profile_owner.map(|owner| owner.mcc_mnc), Some([0x13, 0x00, 0x51]));
    assert!(content(profile.package(), Kind::Usim, 0x6F46).starts_with("018000C40072"));
    assert!(parse_list("[a]\nnmae = 'x'").unwrap_err().to_string().contains("nmae"));
}

#[test]
fn mistakes_name_the_field_and_the_rule() {
    let wrong = |change: &dyn Fn(&mut ProfileSpec)| {
        let mut spec = built_in_named("operator-a").unwrap();
        change(&mut spec);
        Profile::build(&spec).unwrap_err().to_string()
    };
    let cases = [
        wrong(&|spec| spec.iccid = "123".to_owned()),
        wrong(&|spec| spec.imsi = "00101x".to_owned()),
        wrong(&|spec| spec.ki = "00".to_owned()),
        wrong(&|spec| spec.pin1 = "12".to_owned()),
        wrong(&|spec| spec.puk2 = "1234".to_owned()),
        wrong(&|spec| spec.provider = "x".repeat(33)),
        wrong(&|spec| spec.msisdn = Some("+".to_owned())),
        wrong(&|spec| spec.icon = Some("QUJD".to_owned())),
        wrong(&|spec| spec.mnc_digits = 4),
        wrong(&|spec| spec.gid1 = Some("A".to_owned())),
    ];
    insta::assert_snapshot!(cases.join("\n"), @r"
    profile Operator A: iccid is none: it has 18 to 20 decimal digits
    profile Operator A: imsi has to be 6 to 15 digits
    profile Operator A: ki has to be 32 hexadecimal digits
    profile Operator A: pin1 has to be 4 to 8 digits
    profile Operator A: puk2 has to be 8 digits
    profile Operator A: provider has to fit in 32 bytes (SGP.22 §4.4)
    profile Operator A: msisdn has to be 1 to 20 digits, with or without +
    profile Operator A: icon has to be a PNG or a JPEG
    profile Operator A: mnc-digits has to be 2 or 3
    profile Operator A: gid1 has to be 1 to 8 bytes in hexadecimal digits
    ");
}

#[test]
fn numbered_profiles_differ() {
    let spec = built_in_named("operator-a").unwrap();
    assert_eq!(spec.numbered(0), spec);
    let third = spec.numbered(3);
    // The check digits were computed apart from this code.
    assert_eq!(third.iccid, "8999901000000000047");
    assert_eq!(third.imsi, "001010000000104");
    assert_eq!(third.msisdn.as_deref(), Some("+15551000104"));
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..100 {
        assert!(seen.insert(Profile::build(&spec.numbered(n)).unwrap().iccid()));
    }
}

#[test]
fn packages_from_files() {
    let Ok(package) = std::fs::read(format!("{PROFILES}/TS48v7_SAIP2.3_NoBERTLV.der")) else {
        println!("skipped: {PROFILES} is not there");
        return;
    };
    let profile = Profile::from_package(&package, &PackageNames::default()).unwrap();
    assert_eq!(profile.iccid().to_string(), "89000123456789012341");
    assert_eq!(profile.name(), "GSMA Generic eUICC Test Profile");
    assert_eq!(profile.package(), package);
    let named = PackageNames { name: Some("Mine".to_owned()), provider: Some("Me".to_owned()), class: Class::Test };
    let metadata = Profile::from_package(&package, &named).unwrap().metadata("a.b");
    assert_eq!((&metadata.profile_name[..], &metadata.service_provider_name[..]), ("Mine", "Me"));
    let cut = &package[..package.len() - 9];
    assert!(matches!(Profile::from_package(cut, &named), Err(ProfileError::NoEnd { .. })));
    assert!(Profile::from_package(&package[..500], &named).unwrap_err().to_string().contains("truncated"));
    assert!(Profile::from_package(&[], &named).is_err());
}
