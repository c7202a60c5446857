//! A switch of profiles with refreshFlag: REFRESH, the state in between, and what ends it (SGP.22 §3.2, §5.7.16,
//! §5.7.17, §5.7.19); and what the operator changes over ES6 (§5.4.1).

use rsp::crypto::Curve;
use rsp::es10::profiles::ProfileState;
use rsp::ids::{from_hex, to_hex};
use rsp::tlv::NamedBits;

use super::lab::*;
use crate::config::{Quirks, RefreshMode, SwitchForm};
use crate::{CardConfig, CardEvent, PreinstalledProfile};

const A: &str = "8988247000111763810";
const B: &str = "8988247000111763811";
const ENABLE_A: &str = "BF3111A00C5A0A988842070011713618F08101FF";
const ENABLE_B: &str = "BF3111A00C5A0A988842070011713618F18101FF";
const DISABLE_A: &str = "BF3211A00C5A0A988842070011713618F08101FF";

/// A terminal that knows REFRESH, and one that does not.
const KNOWS_REFRESH: &str = "80100000033709E8";
const KNOWS_NOTHING: &str = "8010000003370968";

/// TERMINAL RESPONSE to a REFRESH in this mode with this result.
fn terminal_response(mode: &str, result: &str) -> String {
    format!("801400000C81030101{mode}820282818301{result}")
}

/// A and B are on the card, A enabled.
fn two_profiles() -> CardConfig {
    let mut config = config(&[Curve::P256]);
    for (iccid, enabled) in [(A, true), (B, false)] {
        let package = elements(iccid).concat();
        config.preinstalled.push(PreinstalledProfile::new(&metadata(iccid).encode(), &package, enabled).unwrap());
    }
    config
}

fn lab() -> Lab {
    Lab::with(two_profiles(), Curve::P256)
}

/// Sends an APDU on the basic channel.
fn basic(lab: &mut Lab, apdu: &str) -> String {
    to_hex(&lab.card.transmit(&from_hex(apdu).unwrap(), NOW))
}

/// Sends a command of ES10; gives response and status word.
fn es10(lab: &mut Lab, command: &str) -> (String, u16) {
    let (data, sw) = lab.es10_in(&from_hex(command).unwrap(), 255);
    (to_hex(&data), sw)
}

fn enabled(lab: &Lab) -> Option<String> {
    let profiles = lab.card.profiles();
    profiles.iter().find(|profile| profile.state == ProfileState::Enabled).map(|profile| profile.iccid.to_string())
}

fn events(lab: &Lab) -> usize {
    lab.card.notifications().len()
}

#[test]
fn a_switch_with_refresh_takes_effect_with_the_reset() {
    // proves: ES10c.EnableProfile (0, 5); ES10c.DisableProfile (5); EUICC.Refresh
    let mut lab = lab();
    assert_eq!(basic(&mut lab, KNOWS_REFRESH), "9000");
    assert_eq!(es10(&mut lab, ENABLE_B), ("BF3103800100".to_owned(), 0x910B));
    // The state in between: nothing has changed, and the announcement stays until it is fetched.
    assert_eq!((enabled(&lab).as_deref(), events(&lab)), (Some(A), 0));
    assert_eq!(basic(&mut lab, "80F2000C"), "910B");
    assert_eq!(es10(&mut lab, "BF3E035C015A").1, 0x910B);
    assert_eq!(basic(&mut lab, "8012000000"), "6C0B");
    assert_eq!(basic(&mut lab, "801200000B"), "D0098103010104820281829000");
    assert_eq!(basic(&mut lab, "80F2000C"), "9000");
    // Neither another switch nor a memory reset is possible now, and the one that is to come is no longer deleted.
    assert_eq!(es10(&mut lab, ENABLE_A).0, "BF3103800102");
    assert_eq!(es10(&mut lab, DISABLE_A).0, "BF3203800105");
    assert_eq!(es10(&mut lab, &ENABLE_B.replace("8101FF", "810100")).0, "BF3103800105");
    assert_eq!(es10(&mut lab, "BF340482020780").0, "BF3403800105");
    assert_eq!(es10(&mut lab, "BF330C5A0A988842070011713618F1").0, "BF3303800102");
    assert_eq!((enabled(&lab).as_deref(), events(&lab)), (Some(A), 0));
    lab.card.drain_events();
    lab.open();
    assert_eq!((enabled(&lab).as_deref(), events(&lab)), (Some(B), 2));
    let happened = lab.card.drain_events();
    assert!(matches!(happened[..3], [CardEvent::Reset, CardEvent::ProfileDisabled(_), CardEvent::ProfileEnabled(_)]));
    // The new profile is what a terminal finds.
    assert_eq!(basic(&mut lab, "00A4000C022FE2"), "9000");
    assert_eq!(basic(&mut lab, "00B000000A"), "988842070011713618F19000");
}

#[test]
fn a_switch_with_refresh_takes_effect_with_the_terminals_response() {
    // proves: ES10c.EnableProfile (0, 5); ES10c.DisableProfile (5); EUICC.Refresh
    let mut config = two_profiles();
    config.refresh_mode = RefreshMode::ProfileStateChange;
    let mut lab = Lab::with(config, Curve::P256);
    basic(&mut lab, KNOWS_REFRESH);
    basic(&mut lab, "00A4000C022FE2");
    es10(&mut lab, ENABLE_B);
    assert_eq!(basic(&mut lab, "801200000B"), "D0098103010109820281829000");
    assert_eq!(basic(&mut lab, &terminal_response("09", "00")), "9000");
    assert_eq!((enabled(&lab).as_deref(), events(&lab)), (Some(B), 2));
    // What was selected in the old profile is selected no more.
    assert_eq!(basic(&mut lab, "00B000000A"), "6986");
    // The ISD-R stays selected, and everything may begin again.
    assert_eq!(es10(&mut lab, ENABLE_A), ("BF3103800100".to_owned(), 0x910B));
}

#[test]
fn a_terminal_that_does_not_refresh() {
    // proves: EUICC.Refresh
    let mut lab = lab();
    basic(&mut lab, KNOWS_REFRESH);
    es10(&mut lab, DISABLE_A);
    // Not now: it is asked again. Never: the profile stays as it is.
    basic(&mut lab, "801200000B");
    assert_eq!(basic(&mut lab, &terminal_response("04", "20")), "910B");
    assert_eq!((enabled(&lab).as_deref(), events(&lab)), (Some(A), 0));
    basic(&mut lab, "801200000B");
    assert_eq!(basic(&mut lab, &terminal_response("04", "32")), "9000");
    lab.card.drain_events();
    lab.open();
    assert_eq!((enabled(&lab).as_deref(), events(&lab)), (Some(A), 0));
    // Responses that are none.
    assert_eq!(basic(&mut lab, &terminal_response("04", "00")), "6985");
    assert_eq!(basic(&mut lab, "801200000B"), "6985");
}

#[test]
fn a_terminal_that_does_not_know_refresh_has_the_switch_at_once() {
    // proves: ES10c.EnableProfile (0); ES10c.DisableProfile (0)
    let mut lab = lab();
    basic(&mut lab, KNOWS_NOTHING);
    assert_eq!(es10(&mut lab, ENABLE_B), ("BF3103800100".to_owned(), 0x9000));
    assert_eq!((enabled(&lab).as_deref(), events(&lab)), (Some(B), 2));
    // A reset makes the card forget what the last terminal knew.
    basic(&mut lab, KNOWS_REFRESH);
    lab.open();
    assert_eq!(es10(&mut lab, ENABLE_A), ("BF3103800100".to_owned(), 0x9000));
    assert_eq!(enabled(&lab).as_deref(), Some(A));
}

#[test]
fn a_switch_without_refresh_is_at_once_whatever_the_terminal_knows() {
    // proves: ES10c.EnableProfile (0); ES10c.DisableProfile (0)
    let mut lab = lab();
    basic(&mut lab, KNOWS_REFRESH);
    assert_eq!(es10(&mut lab, &DISABLE_A.replace("8101FF", "810100")), ("BF3203800100".to_owned(), 0x9000));
    assert_eq!((enabled(&lab), events(&lab)), (None, 1));
    assert_eq!(es10(&mut lab, DISABLE_A).0, "BF3203800102");
    assert_eq!(es10(&mut lab, ENABLE_A).1, 0x910B);
    lab.open();
    assert_eq!(enabled(&lab).as_deref(), Some(A));
    basic(&mut lab, KNOWS_REFRESH);
    assert_eq!(es10(&mut lab, DISABLE_A), ("BF3203800100".to_owned(), 0x910B));
    lab.open();
    assert_eq!(enabled(&lab), None);
}

#[test]
fn a_memory_reset_of_the_enabled_profile_asks_for_a_refresh() {
    // proves: ES10c.eUICCMemoryReset (0, 5); EUICC.Refresh
    let mut lab = lab();
    basic(&mut lab, KNOWS_REFRESH);
    assert_eq!(es10(&mut lab, "BF340482020780"), ("BF3403800100".to_owned(), 0x910B));
    assert!(lab.card.profiles().is_empty());
    basic(&mut lab, "801200000B");
    assert_eq!(basic(&mut lab, &terminal_response("04", "00")), "9000");
    // Of disabled profiles nobody has to take notice.
    let mut lab = Lab::new(Curve::P256);
    lab.install(&order(A));
    basic(&mut lab, KNOWS_REFRESH);
    assert_eq!(es10(&mut lab, "BF340482020780"), ("BF3403800100".to_owned(), 0x9000));
}

#[test]
fn a_download_is_not_disturbed_by_a_switch_that_waits() {
    // proves: EUICC.Refresh
    let mut lab = lab();
    basic(&mut lab, KNOWS_REFRESH);
    assert_eq!(es10(&mut lab, ENABLE_B).1, 0x910B);
    basic(&mut lab, "801200000B");
    lab.install(&order("8988247000111763812"));
    assert_eq!(enabled(&lab).as_deref(), Some(A));
}

// What some cards do.

fn with_quirks(quirks: Quirks) -> Lab {
    let mut config = two_profiles();
    config.quirks = quirks;
    Lab::with(config, Curve::P256)
}

#[test]
fn a_card_that_is_locked_until_the_reset() {
    // proves: Cards as data - quirk 22
    let mut lab = with_quirks(Quirks { locked_until_reset: true, ..Quirks::default() });
    basic(&mut lab, KNOWS_REFRESH);
    assert_eq!(es10(&mut lab, ENABLE_B), ("BF3103800100".to_owned(), 0x910B));
    basic(&mut lab, "801200000B");
    for command in ["BF2800", "BF3E035C015A", "BF2D00", "BF2E00"] {
        assert_eq!(es10(&mut lab, command), (String::new(), 0x6985));
    }
    lab.open();
    assert_eq!(es10(&mut lab, "BF2800").1, 0x9000);
    assert_eq!(enabled(&lab).as_deref(), Some(B));
}

#[test]
fn a_card_that_is_busy_until_the_reset() {
    // proves: Cards as data - quirk 23; ES10c.EnableProfile (5); ES10c.DisableProfile (5)
    let mut lab = with_quirks(Quirks { busy_until_reset: true, ..Quirks::default() });
    assert_eq!(es10(&mut lab, ENABLE_B).0, "BF3103800105");
    assert_eq!(es10(&mut lab, DISABLE_A).0, "BF3203800105");
    lab.open();
    assert_eq!(es10(&mut lab, ENABLE_B).0, "BF3103800100");
}

#[test]
fn cards_that_want_their_switches_in_one_form() {
    // proves: Cards as data - quirk 18; ES10c.EnableProfile (127); ES10c.DisableProfile (127)
    let with = |switch_form| with_quirks(Quirks { switch_form, ..Quirks::default() });
    let by_aid = "BF3117A0124F10A0000005591010FFFFFFFF89000011008101FF";
    let mut lab = with(SwitchForm::WithoutRefresh);
    assert_eq!(es10(&mut lab, ENABLE_B).0, "BF310380017F");
    assert_eq!(es10(&mut lab, &ENABLE_B.replace("8101FF", "810100")).0, "BF3103800100");
    let mut lab = with(SwitchForm::AidAndRefresh);
    assert_eq!(es10(&mut lab, ENABLE_B).0, "BF310380017F");
    assert_eq!(es10(&mut lab, DISABLE_A).0, "BF320380017F");
    assert_eq!(es10(&mut lab, &by_aid.replace("8101FF", "810100")).0, "BF310380017F");
    assert_eq!(es10(&mut lab, by_aid).0, "BF3103800100");
}

#[test]
fn a_card_that_hides_its_isdr() {
    // proves: Cards as data - quirk 14
    let mut config = two_profiles();
    config.quirks.hidden_until_terminal_capability = true;
    let mut card = crate::Euicc::new(config, Box::new(rsp::crypto::SeededRandom::new(1, "card")));
    let mut send = |apdu: &str| to_hex(&card.transmit(&from_hex(apdu).unwrap(), NOW));
    let select = "00A4040C10A0000005591010FFFFFFFF8900000100";
    assert_eq!(send(select), "6A82");
    // The terminal of an LPA without tag 83, and lpac.
    assert_eq!(send("80AA000007A9058100820101"), "9000");
    assert_eq!(send(select), "6A82");
    assert_eq!(send("80AA00000AA9088100820101830107"), "9000");
    assert_eq!(send(select), "9000");
    card.reset();
    assert_eq!(to_hex(&card.transmit(&from_hex(select).unwrap(), NOW)), "6A82");
}

#[test]
fn a_card_that_loses_responses_without_le() {
    // proves: Cards as data - quirk 17
    let mut lab = with_quirks(Quirks { no_data_without_le: true, ..Quirks::default() });
    assert_eq!(es10(&mut lab, "BF3E035C015A"), (String::new(), 0x9000));
    let (data, sw) = lab.send(&from_hex("80E2910006BF3E035C015A00").unwrap());
    assert_eq!((to_hex(&data).as_str(), sw), ("BF3E125A1089049032123451234512345678901235", 0x9000));
}

#[test]
fn a_card_that_does_not_take_long_blocks() {
    // proves: Cards as data - quirk 20
    let mut lab = with_quirks(Quirks { longest_block: Some(120), ..Quirks::default() });
    let challenge = lab.challenge();
    let request = lab.authenticate_request(challenge);
    assert_eq!(lab.es10_in(&request, 121), (Vec::new(), 0x6601));
    assert_eq!(lab.es10_in(&request, 120).1, 0x9000);
}

#[test]
fn what_a_card_without_profile_tells() {
    // proves: Cards as data - quirks 32 and 40
    let mut quirks = Quirks::default();
    let blank = |quirks: &Quirks| {
        let mut config = config(&[Curve::P256]);
        config.quirks = quirks.clone();
        let mut lab = Lab::with(config, Curve::P256);
        (basic(&mut lab, "00A4080C022FE2"), basic(&mut lab, "00B000000A"))
    };
    assert_eq!(blank(&quirks), ("6A82".to_owned(), "6986".to_owned()));
    quirks.default_iccid = Some(rsp::Iccid::parse("89000000000000000000").unwrap());
    assert_eq!(blank(&quirks), ("9000".to_owned(), "980000000000000000009000".to_owned()));
    // With a profile it is the profile's.
    let mut lab = with_quirks(quirks);
    basic(&mut lab, "00A4080C022FE2");
    assert_eq!(basic(&mut lab, "00B000000A"), "988842070011713618F09000");
}

#[test]
fn another_aid_of_the_isdr() {
    // proves: Cards as data - quirk 19
    let mut config = two_profiles();
    config.isdr_aid = rsp::Aid::parse("A0000005591010000000008900000300").unwrap();
    let mut card = crate::Euicc::new(config, Box::new(rsp::crypto::SeededRandom::new(1, "card")));
    let mut send = |apdu: &str| to_hex(&card.transmit(&from_hex(apdu).unwrap(), NOW));
    assert_eq!(send("00A4040010A0000005591010FFFFFFFF8900000100"), "6A82");
    assert_eq!(send("00A4040010A0000005591010000000008900000300"), "6121");
    assert_eq!(send("00C0000021"), "6F1F8410A0000005591010000000008900000300A5049F6501FFE00582030205009000");
}

#[test]
fn a_card_that_is_no_euicc() {
    // proves: Cards as data - a plain USIM
    let mut config = two_profiles();
    config.is_euicc = false;
    let mut card = crate::Euicc::new(config, Box::new(rsp::crypto::SeededRandom::new(1, "card")));
    let atr = card.reset();
    assert_eq!((atr[9], atr[1..].iter().fold(0, |sum, byte| sum ^ byte)), (0x80, 0));
    let mut send = |apdu: &str| to_hex(&card.transmit(&from_hex(apdu).unwrap(), NOW));
    assert_eq!(send("00A4040010A0000005591010FFFFFFFF8900000100"), "6A82");
    assert_eq!(send("80E2910003BF2000"), "6D00");
    assert_eq!(send("00A4080C022FE2"), "9000");
    assert_eq!(send("00B000000A"), "988842070011713618F09000");
}

// ES6.

/// UpdateMetadata with this content.
fn update(lab: &mut Lab, content: &str) -> u16 {
    lab.card.update_metadata(&rsp::tlv::encode(0xBF2Au32, &from_hex(content).unwrap()))
}

#[test]
fn the_operator_changes_names_and_icon() {
    // proves: ES6.UpdateMetadata
    let mut lab = lab();
    assert_eq!(update(&mut lab, "9103414243"), 0x9000);
    assert_eq!(update(&mut lab, "920244459301009403112233"), 0x9000);
    let profile = &lab.card.profiles()[0];
    assert_eq!((profile.service_provider_name.as_str(), profile.profile_name.as_str()), ("ABC", "DE"));
    let info = lab.hex("BF2D14A00C5A0A988842070011713618F05C0491929394");
    assert_eq!(info, "BF2D15A013E3119103414243920244459301009403112233");
    assert!(lab.card.drain_events().iter().any(|event| matches!(event, CardEvent::MetadataUpdated(_))));
    // Nothing to change is no mistake; no other profile is touched.
    assert_eq!(update(&mut lab, ""), 0x9000);
    assert_eq!(lab.card.profiles()[1].profile_name, "Profile A");
}

#[test]
fn the_operator_lifts_rules_and_sets_none() {
    // proves: ES6.UpdateMetadata; EUICC.ProfilePolicyRules
    let mut config = config(&[Curve::P256]);
    let mut metadata = metadata(A);
    metadata.profile_policy_rules = Some(NamedBits::of(&[1, 2]));
    config.preinstalled.push(PreinstalledProfile::new(&metadata.encode(), &elements(A).concat(), true).unwrap());
    let mut lab = Lab::with(config, Curve::P256);
    let rules = |lab: &mut Lab| lab.hex("BF2D035C0199").split_off(10);
    assert_eq!(es10(&mut lab, DISABLE_A).0, "BF3203800103");
    // PPR2 alone is kept; PPR1 cannot be set again.
    assert_eq!(update(&mut lab, "99020520"), 0x9000);
    assert_eq!(rules(&mut lab), "E30499020520");
    assert_eq!(update(&mut lab, "99020560"), 0x9000);
    assert_eq!(rules(&mut lab), "E30499020520");
    assert_eq!(es10(&mut lab, DISABLE_A).0, "BF3203800100");
    assert_eq!(es10(&mut lab, "BF330C5A0A988842070011713618F0").0, "BF3303800103");
    // No profile is enabled now: there is nobody to take it.
    assert_eq!(update(&mut lab, "990100"), 0x6985);
    assert_eq!(es10(&mut lab, ENABLE_A).0, "BF3103800100");
    assert_eq!(update(&mut lab, "990100"), 0x9000);
    assert_eq!(rules(&mut lab), "E300");
    // pprUpdateControl is for a later version.
    assert_eq!(update(&mut lab, "99020780"), 0x6A80);
}

#[test]
fn updates_that_cannot_be() {
    // proves: ES6.UpdateMetadata
    let mut lab = lab();
    let long = |tag: &str, length: usize| format!("{tag}{length:02X}{}", "41".repeat(length));
    for wrong in [
        long("91", 33),
        long("92", 65),
        "9101FF".to_owned(),
        "930101".to_owned(),
        "940101".to_owned(),
        "930102940101".to_owned(),
        format!("93010194820401{}", "00".repeat(1025)),
        "9105".to_owned(),
        "99".to_owned(),
    ] {
        assert_eq!(update(&mut lab, &wrong), 0x6A80, "{wrong}");
    }
    assert_eq!(lab.card.update_metadata(&[0xBF, 0x2B, 0x00]), 0x6A80);
    assert_eq!(lab.card.profiles()[0].profile_name, "Profile A");
}
