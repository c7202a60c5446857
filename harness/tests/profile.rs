//! Profiles as the lab makes them: on a card, as a modem reads them when it registers, and through
//! `esimlab profile show` and `profile build`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::Command;

use euicc::{CardConfig, Euicc, Outcome, PackageReport, PreinstalledProfile};
use rsp::Eid;
use rsp::crypto::SeededRandom;
use rsp::ids::{from_hex, to_hex};
use smdp::profile::{Algorithm, Profile, ProfileSpec, built_in, built_in_named};

fn config() -> CardConfig {
    CardConfig::new(Eid::parse("89049032123451234512345678901235").unwrap(), Vec::new())
}

/// A card with this profile enabled.
fn card(spec: &ProfileSpec) -> Euicc {
    let profile = Profile::build(spec).unwrap();
    let metadata = profile.metadata("smdp.example.com").encode();
    let mut config = config();
    config.preinstalled = vec![PreinstalledProfile::new(&metadata, profile.package(), true).unwrap()];
    let mut card = Euicc::new(config, Box::new(SeededRandom::new(1, "profile")));
    card.reset();
    card
}

/// One command, as a modem sends it: what 61xx announces is fetched, 6Cxx is tried again.
fn send(card: &mut Euicc, apdu: &str) -> String {
    let mut apdu = from_hex(apdu).unwrap();
    let mut data = Vec::new();
    loop {
        let mut response = card.transmit(&apdu, 0);
        let sw = response.split_off(response.len() - 2);
        data.extend_from_slice(&response);
        match sw[0] {
            0x61 => apdu = vec![apdu[0] & 0x03, 0xC0, 0, 0, sw[1]],
            0x6C => *apdu.last_mut().unwrap() = sw[1],
            _ => return format!("{}{}", to_hex(&data), to_hex(&sw)),
        }
    }
}

#[test]
fn every_built_in_profile_installs_whole() {
    for (name, spec) in built_in() {
        let profile = Profile::build(&spec).unwrap();
        let report = PackageReport::of(profile.package(), &config()).unwrap();
        assert_eq!(report.failure, None, "{name}");
        assert_eq!(report.iccid, profile.iccid());
        assert!(report.elements.iter().all(|element| matches!(element.outcome, Outcome::Executed | Outcome::Kept)));
        assert!(report.files >= 45, "{name}: {} files", report.files);
    }
}

/// ES6 (SGP.22 §5.4.1) through the operator's security domain: a secured packet with the keys of the description.
#[test]
fn a_profile_is_managed_over_the_air() {
    use rsp::ota::{COMMAND_HEADER, Command, Key, KeyKind, KeySet, ResponseStatus, SecurityParameters};
    use rsp::tlv::Writer;
    let mut spec = built_in_named("operator-a").unwrap();
    spec.ota_keys = Some(["11", "22", "33"].map(|byte| byte.repeat(16)));
    let mut card = card(&spec);
    let key = |byte: u8| Key::new(KeyKind::Aes, &[byte; 16]).unwrap();
    let keys = KeySet { kic: key(0x11), kid: key(0x22) };
    // INSTALL [for personalisation] for the ISD-P of the profile, STORE DATA with UpdateMetadata.
    let script = "80E6200016000010A0000005591010FFFFFFFF8900000F00000000 80E291000A BF2A0792054F74686572";
    let script = from_hex(script.replace(' ', "")).unwrap();
    let command = Command {
        // Checksum, ciphering and a counter; the response with both.
        spi: SecurityParameters([0x16, 0x19]),
        kic: 0x12,
        kid: 0x12,
        tar: [0xB2, 0x01, 0x00],
        counter: 1,
        data: &script,
    };
    let packet = command.seal(Some(&keys)).unwrap();
    let length = [(packet.len() + COMMAND_HEADER.len()) as u8];
    let head = from_hex("400491214 37FF622705200000000".replace(' ', "")).unwrap();
    let tpdu = [&head[..], &length, &COMMAND_HEADER, &packet].concat();
    let download = Writer::new().nested(0xD1, |w| w.put(0x82, &[0x83, 0x81]).put(0x8B, &tpdu)).into_vec();
    let answer = send(&mut card, &format!("80C20000{:02X}{}", download.len(), to_hex(&download)));
    let response = from_hex(answer.strip_suffix("9000").unwrap()).unwrap();
    let opened = command.open_response(&response, Some(&keys)).unwrap();
    assert_eq!(opened, (ResponseStatus::Ok, from_hex("029000").unwrap()));
    assert_eq!(card.profiles()[0].profile_name, "Other");
}

#[test]
fn a_modem_finds_what_it_reads_when_it_registers() {
    let mut card = card(&built_in_named("operator-a").unwrap());
    // The MF's own files, and the application that EF.DIR names.
    for (file, content) in
        [("00A40804022FE2", "989909010000000010F3"), ("00A40804022F05", "656E"), ("00A40804022F08", "3C3C000000")]
    {
        assert!(send(&mut card, file).ends_with("9000"), "{file}");
        assert_eq!(send(&mut card, "00B0000000"), format!("{content}9000"), "{file}");
    }
    assert!(send(&mut card, "00A40804022F00").ends_with("9000"));
    assert!(send(&mut card, "00B2010400").starts_with("611E4F10A0000000871002"));
    // PIN counters as ModemManager asks for them, before any application is selected: PIN2 is the USIM's.
    assert_eq!(["0020000100", "002C000100"].map(|apdu| send(&mut card, apdu)), ["63C3", "63CA"]);
    assert!(send(&mut card, "00A4040407A0000000871002").ends_with("9000"));
    let counters = ["0020000100", "002C000100", "0020008100", "002C008100"];
    assert_eq!(counters.map(|apdu| send(&mut card, apdu)), ["63C3", "63CA", "63C3", "63CA"]);
    // What TS 31.102 §5.2 has the terminal read, by path from the application: identifier, and what it begins with.
    for (file, content) in [
        ("6F05", "656EFFFFFFFF9000"),
        ("6F07", "0809101000000010109000"),
        ("6F08", "07FF"),
        ("6F09", "07FF"),
        ("6F31", "059000"),
        ("6F38", "000A150C21040000000010000000000E009000"),
        ("6F3E", "A19000"),
        ("6F43", "FFFF9000"),
        ("6F46", "014F70657261746F722041FFFFFFFFFFFF9000"),
        ("6F56", "009000"),
        ("6F5B", "F00000F000009000"),
        ("6F5C", "FFFFFF9000"),
        ("6F62", "00F110C8809000"),
        ("6F73", "FFFFFFFFFFFFFF00F110FFFEFF019000"),
        ("6F78", "00029000"),
        ("6F7B", "FFFFFFFFFFFFFFFFFFFFFFFF9000"),
        ("6F7E", "FFFFFFFF00F110FFFEFF019000"),
        ("6FAD", "000000029000"),
        ("6FE3", "FFFFFFFFFFFFFFFFFFFFFFFF00F1100000019000"),
        ("5FC04F01", "FFFFFFFFFFFFFFFFFFFFFFFFFF00F110000000019000"),
        ("5FC04F07", "A00200009000"),
        ("5FC04F0A", "F0FFFFFF9000"),
        ("5F3B4F20", "FFFFFFFFFFFFFFFF079000"),
    ] {
        let length = 2 + file.len() / 2;
        assert_eq!(send(&mut card, &format!("00A4080C{length:02X}7FFF{file}")), "9000", "{file}");
        let read = send(&mut card, "00B0000000");
        assert!(read.starts_with(content), "{file}: {read}");
    }
    // Records: emergency numbers, own number, short messages and their parameters, EPS security, phone book.
    for (path, content) in [
        ("7FFF6FB7", "11F2FF009000"),
        ("7FFF6F40", "FFFFFFFFFFFFFFFFFFFF07915155010001F1FFFFFFFFFFFF9000"),
        ("7FFF6F3C", "00FFFFFF"),
        ("7FFF6F42", "FFFFFFFFFFFFFFFFFFFFFDFFFFFFFFFFFFFFFFFFFFFFFF07915155010000F0"),
        ("7FFF6FE4", "FFFFFFFF"),
        ("7F105F3A4F30", "A805C0034F3A039000"),
        ("7F106F3A", "FFFFFFFF"),
    ] {
        assert_eq!(send(&mut card, &format!("00A4080C{:02X}{path}", path.len() / 2)), "9000", "{path}");
        let read = send(&mut card, "00B2010400");
        assert!(read.starts_with(content), "{path}: {read}");
    }
    // A name that is written in the phone book is seen at the place of old, too.
    let name = format!("4CFF{}07915155010001F1FFFFFFFFFFFF", "FF".repeat(12));
    assert_eq!(send(&mut card, &format!("00DC01041C{name}")), "9000");
    assert_eq!(send(&mut card, "00A4080C067F105F3A4F3A"), "9000");
    assert_eq!(send(&mut card, "00B2010400"), format!("{name}9000"));
}

#[test]
fn a_network_authenticates() {
    // Test set 1 of 3GPP TS 35.208 with an SQN that is new (its AUTN was computed with Python): RES, CK, IK.
    let mut card = card(&built_in_named("operator-a").unwrap());
    assert!(send(&mut card, "00A4040407A0000000871002").ends_with("9000"));
    let challenge = "1023553CBE9637A89D218AE64DAE47BF3510AA689C6483508000904CBB451B65DEF8";
    let expected = "DB08A54211D5E3BA50BF10B40BA9A3C58B2A05BBF0D987B21BF8CB10F769BCD751044604127672711C6D3441\
                    08EAE4BE823AF9A08B9000";
    assert_eq!(send(&mut card, &format!("0088008122{challenge}")), expected);
    assert!(send(&mut card, &format!("0088008122{challenge}")).starts_with("DC0E"));

    let mut spec = built_in_named("operator-b").unwrap();
    (spec.algorithm, spec.opc) = (Algorithm::Tuak, "CD".repeat(32));
    let mut card = self::card(&spec);
    assert!(send(&mut card, "00A4040407A0000000871002").ends_with("9000"));
    assert_eq!(send(&mut card, &format!("0088008122{challenge}")), "9862");
}

// The program.

fn esimlab(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_esimlab")).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_owned()
}

const DESCRIPTION: &str = r#"
name = "Mine"
provider = "Operator"
iccid = "8999901000000000013"
imsi = "001010000000101"
ki = "465B5CE8B199B49FAA5F0A2EE238A6BC"
opc = "CD63CB71954A9F4E48A5994E37A02BAF"
"#;

#[test]
fn a_package_is_built_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (description, package) = (path(folder.path(), "mine.toml"), path(folder.path(), "mine.der"));
    std::fs::write(&description, DESCRIPTION).unwrap();
    let (code, output, errors) = esimlab(&["profile", "build", &description, "-o", &package]);
    assert_eq!(code, 0, "{errors}");
    assert!(output.contains("mine.der: Mine, ICCID 8999901000000000013, "), "{output}");

    let (code, output, errors) = esimlab(&["profile", "show", &package]);
    assert_eq!((code, errors.as_str()), (0, ""));
    insta::assert_snapshot!(output, @r"
    Mine
    ICCID 8999901000000000013, SAIP 2.3, 2627 bytes

           header                     82 bytes            executed
        1  mf                        401 bytes  mandated  executed; 1 directory, 5 files
        2  pukCodes                   42 bytes  mandated  executed; 2 unblocking codes
        3  pinCodes                   56 bytes  mandated  executed; 2 keys
        4  telecom                   189 bytes  mandated  executed; 2 directories, 5 files
        5  genericFileManagement      44 bytes  mandated  executed; 7F10/6F3A: link, shows 7F10/5F3A/4F3A, rules 2F06/02
        6  usim                      977 bytes  mandated  executed; 1 application, 21 files
        7  opt-usim                   72 bytes  mandated  executed; 2 files
        8  pinCodes                   36 bytes  mandated  executed; key 81 of ADF.USIM: enabled, 3 of 3 tries, unblocked by 81
        9  akaParameter               55 bytes  mandated  executed; ADF.USIM: Milenage
       10  gsm-access                 92 bytes  mandated  executed; 1 directory, 2 files
       11  df-5gs                    381 bytes  mandated  executed; 1 directory, 8 files
       12  securityDomain            191 bytes  mandated  kept as a record; security domain A000000151000000, keys (version/identifier) 01/01 01/02 01/03
       13  end                         9 bytes  mandated  executed

    installs: 50 files and directories, 6440 bytes of memory
    ");
    let (_, verbose, _) = esimlab(&["profile", "show", "--verbose", &package]);
    assert!(verbose.contains("ADF.USIM/6F07 EF.IMSI: transparent, 9 bytes, rules 6F06/03, short id 07"), "{verbose}");
    let (_, json, _) = esimlab(&["profile", "show", "--json", &package]);
    let object: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((object["iccid"].as_str(), object["installs"].as_bool()), (Some("8999901000000000013"), Some(true)));
    assert_eq!((object["elements"][9]["kind"].as_str(), object["files"].as_u64()), (Some("akaParameter"), Some(50)));
    assert_eq!(object["elements"][9]["details"], serde_json::json!(["ADF.USIM: Milenage"]));
    // No secret of the profile is shown.
    for secret in ["465B5CE8B199B49F", "CD63CB71954A9F4E", "0000FFFF", "30303030"] {
        assert!(!verbose.contains(secret) && !json.contains(secret), "{secret}");
    }
}

#[test]
fn several_packages_are_built_into_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (description, out) = (path(folder.path(), "list.toml"), path(folder.path(), "out"));
    let second = DESCRIPTION.replace("Mine", "Second");
    std::fs::write(&description, format!("[first]{DESCRIPTION}\n[second]{second}")).unwrap();
    let (code, output, errors) = esimlab(&["profile", "build", &description, "-o", &out]);
    assert_eq!((code, output.lines().count()), (0, 2), "{errors}");
    assert!(Path::new(&out).join("first.der").exists() && Path::new(&out).join("second.der").exists());
}

#[test]
fn what_does_not_install_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let package = path(folder.path(), "package.der");
    let spec = built_in_named("operator-a").unwrap();
    let mut bytes = Profile::build(&spec).unwrap().package().to_vec();
    // The phone book's element becomes one of SAIP 3, which is mandated and not known.
    let telecom = bytes.windows(2).position(|window| window == [0xB2, 0x81]).unwrap();
    bytes[telecom] = 0xBE;
    std::fs::write(&package, &bytes).unwrap();
    let (code, output, _) = esimlab(&["profile", "show", &package]);
    assert_eq!(code, 1);
    assert!(output.contains("refused: installFailedDueToPEProcessingError (12), status 1 at element 4"), "{output}");
    assert!(output.contains("not reached") && output.contains("does not install"), "{output}");
}

#[test]
fn mistakes_are_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(folder.path(), "file");
    let wrong = |arguments: &[&str]| {
        let (code, _, errors) = esimlab(arguments);
        assert_eq!(code, 2, "{errors}");
        errors
    };
    assert!(wrong(&["profile", "show", &path(folder.path(), "none")]).contains("cannot read"));
    std::fs::write(&file, [0xBF, 0x36, 0x00]).unwrap();
    assert!(wrong(&["profile", "show", &file]).contains("it is a bound one, sealed for one eUICC"));
    std::fs::write(&file, "name = 1").unwrap();
    assert!(wrong(&["profile", "show", &file]).contains("`esimlab profile build` makes a package of it"));
    assert!(wrong(&["profile", "build", &file, "-o", &file]).contains("expected a string"));
    std::fs::write(&file, DESCRIPTION.replace("001010000000101", "1")).unwrap();
    assert!(wrong(&["profile", "build", &file, "-o", &file]).contains("`imsi` has to be 6 to 15 digits"));
}

#[test]
fn a_built_in_card_is_a_file_to_begin_with() {
    let (code, list, _) = esimlab(&["cards"]);
    assert!(code == 0 && list.lines().any(|line| line.starts_with("5ber ")), "{list}");
    let (code, file, errors) = esimlab(&["cards", "5ber"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert!(file.contains("switch_form = \"without-refresh\""), "{file}");
    let (code, _, errors) = esimlab(&["cards", "5bar"]);
    assert!(code == 2 && errors.contains("the built-in ones are"), "{errors}");
}
