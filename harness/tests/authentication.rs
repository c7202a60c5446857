//! The network and the card prove themselves to each other, what the modem writes to the card about it survives a power
//! cut, and no key is seen anywhere.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot be set up has failed")]

use esimlab::fault::Trigger;
use esimlab::fault::card::CardFault;
use esimlab::lab::{Lab, LabBuilder, Preinstalled};
use esimlab::timeline::{Kind, Role};
use modem::network::NetworkSpec;
use modem::{Model, Output};
use rsp::aka::{Aka, Outcome};
use rsp::ids::{from_hex, to_hex};
use smdp::Profile;
use smdp::profile::{Algorithm, ProfileSpec, built_in_named};

fn say(lab: &Lab, line: &str) -> String {
    let answer = lab.modem().with(|modem| {
        let output = modem.receive(0, format!("{line}\r").as_bytes());
        (output.for_port(0), Output::default())
    });
    String::from_utf8(answer).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn lab(spec: &ProfileSpec) -> LabBuilder {
    Lab::builder().seed(1).model(Model::named("EC200U").unwrap()).profile(Preinstalled {
        profile: Profile::build(spec).unwrap(),
        enabled: true,
        nickname: None,
    })
}

fn operator_a() -> ProfileSpec {
    built_in_named("operator-a").unwrap()
}

/// What the operator's log says of the registrations.
fn locations(lab: &Lab) -> Vec<String> {
    let updates = lab.timeline().snapshot().into_iter().filter_map(|event| match (event.role, event.kind) {
        (Role::Network, Kind::Note { text, fields }) if text.starts_with("Update Location") => {
            Some(format!("{text}: {}", fields.get("description").cloned().unwrap_or_default()))
        }
        _ => None,
    });
    updates.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cards_of_every_algorithm() {
    let known = "Update Location: the card was authenticated";
    let tuak =
        |ki: &str| ProfileSpec { algorithm: Algorithm::Tuak, ki: ki.to_owned(), opc: "CD".repeat(32), ..operator_a() };
    let test = ProfileSpec { algorithm: Algorithm::Test, ..operator_a() };
    for spec in [operator_a(), tuak(&"46".repeat(16)), tuak(&"46".repeat(32)), test] {
        let lab = lab(&spec).start().unwrap();
        assert_eq!(locations(&lab), [known], "{:?}", spec.algorithm);
        // A network that knows the device believes it; one that was told good-bye asks again.
        say(&lab, "ATE0");
        say(&lab, "AT+COPS=0;+CFUN=4;+CFUN=1");
        assert_eq!(locations(&lab), [known, known]);
        assert_eq!(say(&lab, "AT+CEREG?"), "+CEREG: 0,1 OK");
    }
}

/// Neither those of the profile nor those that a challenge makes, in whatever the lab shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_key_is_seen() {
    let spec = operator_a();
    let network = format!(
        "[[operator]]\nhome = true\n[[subscription]]\niccid = \"{}\"\nkeys = {{ ki = \"{}\", opc = \"{}\" }}\n",
        spec.iccid, spec.ki, spec.opc
    );
    let network = NetworkSpec::from_toml(&network).unwrap();
    let told = format!("{network:?}");
    let lab = lab(&spec).network(network).start().unwrap();
    let timeline = lab.timeline().snapshot();
    let challenge = timeline.iter().find_map(|event| match &event.kind {
        Kind::Apdu { command, .. } if command.get(1) == Some(&0x88) => Some(command.clone()),
        _ => None,
    });
    let challenge = challenge.unwrap();
    let (rand, autn) = (challenge[6..22].try_into().unwrap(), challenge[23..39].try_into().unwrap());
    let (_, aka) = Aka::of_package(Profile::build(&spec).unwrap().package()).unwrap();
    let Outcome::Success { res, ck, ik, kc } = aka.authenticate(&rand, &autn, &mut [0; 32]) else {
        panic!("the challenge in the timeline is not the one of the card");
    };
    let shown: String = timeline.iter().map(|event| format!("{event:?} {}\n", event.kind)).collect();
    let bytes: String = timeline
        .iter()
        .map(|event| match &event.kind {
            Kind::Apdu { command, response } => format!("{} {}\n", to_hex(command), to_hex(response)),
            _ => String::new(),
        })
        .collect();
    for (name, key) in [("CK", &ck[..]), ("IK", &ik), ("Kc", &kc), ("Ki", &from_hex(&spec.ki).unwrap())] {
        for seen in [&shown, &bytes, &told] {
            assert!(!seen.contains(&to_hex(key)) && !seen.contains(&format!("{key:?}")), "{name}");
        }
    }
    assert!(bytes.contains(&format!("DB08{}", to_hex(&res))), "what goes over the air is seen");
}

/// The power fails at each write of the card's store while the device registers: the sequence number, where it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_while_the_device_registers() {
    let mut cuts = 0;
    for nth in 1..200 {
        let trigger = Trigger { nth, ..Trigger::default() };
        let lab = lab(&operator_a()).card_fault(CardFault::PowerCut, trigger).start().unwrap();
        let is_cut = lab.timeline().snapshot().iter().any(|event| event.kind.to_string().contains("power cut"));
        if !is_cut {
            break;
        }
        cuts += 1;
        lab.reset_modem();
        say(&lab, "ATE0");
        assert_eq!(say(&lab, "AT+CPIN?;+CEREG?"), "+CPIN: READY +CEREG: 0,1 OK", "cut at write {nth}");
        assert_eq!(lab.profiles().len(), 1);
        assert!(lab.enabled_profile().is_some());
        let kept = say(&lab, "AT+CRSM=176,28643,0,0,18,,\"7FFF\"");
        assert!(kept.starts_with("+CRSM: 144,0,\"0BF600F110800101") && kept.contains("00F1101A2D00\""), "{kept}");
        assert!(say(&lab, "AT+CRSM=176,28542,0,0,11,,\"7FFF\"").contains("00F1101A2DFF00\""));
        assert_eq!(say(&lab, "AT+CRSM=176,28539,0,0,12,,\"7FFF\""), "+CRSM: 144,0,\"FFFFFFFFFFFFFFFFFFFFFFFF\" OK");
    }
    assert!(cuts > 2, "three things are written at least, and {cuts} cuts were seen");
}
