//! Sequences of APDUs on a card with three profiles, one of them without files: every one is answered, whatever came before it.
#![no_main]

use euicc::{CardConfig, Euicc, PreinstalledProfile};
use libfuzzer_sys::fuzz_target;
use rsp::crypto::{Curve, SeededRandom};
use rsp::ids::Eid;

const NOW: i64 = 1_795_000_000;

fn config() -> CardConfig {
    let eid = Eid::parse("89049032123451234512345678901235").expect("an EID");
    let pki = pki::Pki::generate(&pki::PkiSpec::default(), &mut SeededRandom::new(1, "fuzz"), NOW).expect("a PKI");
    let own = pki.euicc(Curve::P256, &eid).expect("the eUICC of the PKI");
    let credentials = euicc::Credentials {
        ci: own.ci.clone(),
        eum: own.eum.clone(),
        euicc: own.euicc.certificate.clone(),
        key: own.euicc.key.clone(),
    };
    let mut config = CardConfig::new(eid, vec![credentials]);
    for (number, enabled) in [(0, true), (1, false), (2, false)] {
        let iccid = euicc::fuzzing::numbered(number);
        let metadata = euicc::fuzzing::metadata(iccid);
        let package = match number {
            2 => euicc::fuzzing::empty_package(iccid),
            _ => euicc::fuzzing::package(iccid),
        };
        config.preinstalled.push(PreinstalledProfile::new(&metadata, &package, enabled).expect("a profile"));
    }
    config
}

thread_local! {
    static CONFIG: CardConfig = config();
}

fuzz_target!(|data: &[u8]| {
    let mut card = CONFIG.with(|config| Euicc::new(config.clone(), Box::new(SeededRandom::new(2, "fuzz"))));
    card.reset();
    // The ISD-R is selected: otherwise most sequences never get there.
    card.transmit(&[&[0x00, 0xA4, 0x04, 0x0C, 0x10][..], &rsp::ISD_R_AID].concat(), NOW);
    let mut rest = data;
    while let [length, after @ ..] = rest {
        let (apdu, left) = after.split_at(usize::from(*length).min(after.len()));
        rest = left;
        let response = match apdu {
            // Of one byte: a reset.
            [_] => {
                card.reset();
                continue;
            }
            // A command of ES10 in one block, without its header.
            [0xBF, ..] => card.transmit(&[&[0x80, 0xE2, 0x91, 0x00, apdu.len() as u8][..], apdu].concat(), NOW),
            apdu => card.transmit(apdu, NOW),
        };
        assert!((2..=258).contains(&response.len()));
        // At most one profile is enabled, and no number is used twice.
        let enabled = card.profiles().iter().filter(|p| p.state == rsp::es10::profiles::ProfileState::Enabled).count();
        assert!(enabled <= 1);
        let notifications = card.notifications();
        assert!(
            notifications.windows(2).all(|pair| pair[0].metadata.sequence_number < pair[1].metadata.sequence_number)
        );
    }
});
