//! One model for each oddity reported from the field, and what a host sees of it.

use super::{lines, modem, say};
use crate::Modem;
use crate::model::{Model, Timing};
use crate::testing::Sketch;
use std::time::Duration;

const OPEN: &str = "AT+CCHO=\"A0000005591010FFFFFFFF8900000100\"";
const EID: &str = "\"81E2910006BF3E035C015A\"";

fn answer(model: &str, line: &str) -> String {
    let (mut modem, _) = modem(model);
    say(&mut modem, "AT+CMEE=2");
    lines(&say(&mut modem, line)).join(" / ")
}

#[test]
fn sessions() {
    assert_eq!(answer("MC7455", OPEN), "+CCHO: 00000000038aa32f / OK");
    for model in ["FM350-GL", "FM350-GL-silent"] {
        assert_eq!(answer(model, OPEN), "1 / OK");
    }
    assert_eq!(answer("FM350-GL", "AT+CCHC=2"), "+CME ERROR: invalid index");
    assert_eq!(answer("FM350-GL", "AT+CCHO=?"), "OK");
    assert_eq!(answer("FM350-GL-silent", "AT+CCHO=?"), "");
    assert_eq!(answer("EM9191", OPEN), "+CME ERROR: Parameters error");
    assert_eq!(answer("EM9191", "AT+CCHC=1"), "ERROR");
    assert_eq!(answer("MS2372h-517", OPEN), "ERROR");
    assert_eq!(answer("MS2372h-517", "AT+CCHO=?"), "OK");
    assert_eq!(answer("A7908E", "AT+CSIM=10,\"0020000100\""), "+CSIM:4,\"63C3\" / OK");
    for line in [OPEN, "AT+CCHO=?", "AT+CGLA=?", "AT+CCHC=1"] {
        assert_eq!(answer("DW5821e", line), "ERROR");
    }
    assert_eq!(answer("DW5821e", "AT+CSIM=10,\"0070000001\""), "+CSIM: 6,\"019000\" / OK");
}

#[test]
fn tests_of_commands() {
    assert_eq!(answer("EM7590", "AT+CGLA=?"), "ERROR");
    assert_eq!(answer("EM7590", "AT+CCHO=?"), "OK");
    for model in ["FG132-GL", "EM05-G"] {
        for line in ["AT+CCHO=?", "AT+CCHC=?", "AT+CGLA=?"] {
            assert_eq!(answer(model, line), "ERROR");
        }
        assert_eq!(answer(model, OPEN), "+CCHO: 1 / OK");
    }
    assert_eq!(answer("telling-tests", "AT+CCHO=?"), "+CCHO: <dfname> / OK");
    assert_eq!(answer("MC7455", "AT+QESIM=?"), "ERROR");
}

#[test]
fn applications_that_are_not_there() {
    let other = "AT+CCHO=\"A000000003000000\"";
    assert_eq!(answer("EG25-G", other), "ERROR");
    let (mut modem, _) = modem("EG916Q-GL");
    assert_eq!(say(&mut modem, other), "\r\n+CME ERROR: 13\r\n");
}

#[test]
fn isd_r_after_disable() {
    let (mut modem, _) = modem("EM061K-GL");
    assert!(say(&mut modem, OPEN).contains("+CCHO: 1"));
    assert!(say(&mut modem, "AT+CCHC=1").contains("OK"));
    assert!(say(&mut modem, "AT+QESIM=\"disable_profile\",4").contains("OK"));
    assert!(say(&mut modem, OPEN).contains("ERROR"));
    say(&mut modem, "AT+CFUN=1,1");
    assert!(say(&mut modem, OPEN).contains("+CCHO: 1"));
    // By the LPA of the host, too: the command goes through AT+CGLA.
    let (mut modem, _) = super::modem("EM061K-GL");
    assert!(say(&mut modem, OPEN).contains("+CCHO: 1"));
    let disable = "AT+CGLA=1,50,\"81E2910014BF3211A00C5A0A984474560000888775F68101FF\"";
    assert!(say(&mut modem, disable).contains("OK"));
    say(&mut modem, "AT+CCHC=1");
    assert!(say(&mut modem, OPEN).contains("ERROR"));
}

#[test]
fn lpa_and_host() {
    let (mut modem, _) = modem("RG650E");
    assert!(say(&mut modem, OPEN).contains("ERROR"));
    say(&mut modem, "AT+QESIM=\"lpa_enable\",0");
    assert!(say(&mut modem, OPEN).contains("ERROR"));
    say(&mut modem, "AT+CFUN=1,1");
    say(&mut modem, "ATE0");
    assert!(say(&mut modem, OPEN).contains("+CCHO: 1"));
    assert!(say(&mut modem, &format!("AT+CGLA=1,22,{}", EID.replace('"', ""))).contains("ERROR"));
    assert!(say(&mut modem, &format!("AT+CGLA=1,22,{EID}")).contains("+CGLA: 4,\"6115\""));
    let (mut modem, _) = super::modem("lpa-first");
    assert!(say(&mut modem, OPEN).contains("ERROR"));
    say(&mut modem, "AT+QESIM=\"lpa_enable\",1");
    assert!(say(&mut modem, OPEN).contains("+CCHO: 1"));
}

#[test]
fn ways_to_the_card() {
    let status = "AT+CSIM=10,\"81F2000000\"";
    let (mut modem, _) = modem("EG25-G");
    say(&mut modem, "AT+CSIM=10,\"0070000001\"");
    assert_eq!(say(&mut modem, status), "\r\nERROR\r\n");
    assert!(say(&mut modem, "AT+CSIM=10,\"80F2000000\"").contains("9000"));

    // Without Le the answer is lost, with Le it comes whole.
    let (mut modem, _) = super::modem("MBIM-bridge");
    say(&mut modem, OPEN);
    assert!(say(&mut modem, &format!("AT+CGLA=1,22,{EID}")).contains("+CGLA: 4,\"9000\""));
    let with_le = say(&mut modem, "AT+CGLA=1,24,\"81E2910006BF3E035C015A00\"");
    assert!(with_le.contains("BF3E125A10890330234243100000000012516496289000"), "{with_le}");

    let (mut modem, _) = super::modem("fast-reader");
    say(&mut modem, OPEN);
    let segment =
        |length: usize| format!("AT+CGLA=1,{},\"81E21100{length:02X}{}\"", 10 + 2 * length, "00".repeat(length));
    assert!(say(&mut modem, &segment(255)).contains("9000"));
    say(&mut modem, "AT+IPR=460800");
    assert!(say(&mut modem, &segment(120)).contains("9000"));
    assert!(say(&mut modem, &segment(121)).contains("6601"));
}

#[test]
fn when_a_switch_is_noticed() {
    let enable = "AT+CGLA=1,50,\"81E2910014BF3111A00C5A0A988896070000000083378101FF\"";
    let switch = |model: &str| {
        let (mut modem, sketch) = modem(model);
        sketch.0.lock().unwrap().proactive = true;
        say(&mut modem, OPEN);
        let resets = sketch.0.lock().unwrap().resets;
        let answer = say(&mut modem, enable);
        let resets = sketch.0.lock().unwrap().resets - resets;
        (answer, resets)
    };
    let (answer, resets) = switch("SIM7600");
    assert!(answer.ends_with("910B\"\r\n\r\nOK\r\n") && resets == 0, "{answer}");
    // The module leaves and comes back.
    let (answer, resets) = switch("EG25-G");
    assert!(answer.contains("\r\nOK\r\n\r\nRDY\r\n") && resets == 1, "{answer}");
}

#[test]
fn the_older_lpa() {
    let (mut modem, _) = modem("EG21-G-old");
    let said = |modem: &mut Modem, line: &str| lines(&say(modem, line)).join(" / ");
    let list = said(&mut modem, "AT+QESIM=\"list\"");
    assert!(list.starts_with("+QESIM: 1,8988247000111763810F,0,\"Profile1\""), "{list}");
    assert!(said(&mut modem, "AT+QESIM=\"enable\",\"89886970000000003873\"").starts_with("OK / +CPIN: READY"));
    assert_eq!(said(&mut modem, "AT+QESIM=\"delete\",\"89886970000000003873\""), "ERROR");
    assert_eq!(said(&mut modem, "AT+QESIM=\"disable\",\"89886970000000003873\""), "OK");
    assert_eq!(said(&mut modem, "AT+QESIM=\"delete\",\"89886970000000003873\""), "OK");
    for line in ["AT+QESIM=\"download\",\"1$x$y\"", "AT+QESIM=\"eid\"", "AT+QESIM=\"enable\",2", "AT+QESIM=\"list\",1"]
    {
        assert_eq!(said(&mut modem, line), "ERROR");
    }
}

#[test]
fn no_terminal_capability() {
    let model = Model::named("no-terminal-capability").unwrap();
    let steps = Model::named("RM500Q-GL").unwrap().card.startup;
    let without: Vec<_> = steps.into_iter().filter(|step| *step != crate::StartupStep::TerminalCapability).collect();
    assert_eq!(model.card.startup, without);
}

#[test]
fn a_blank_card_is_powered_again_and_again() {
    let sketch = Sketch::blank();
    let mut modem = Modem::new(Model::named("power-cycler").unwrap(), sketch.card());
    let resets = || sketch.0.lock().unwrap().resets;
    assert_eq!(resets(), 1);
    for round in 2..5 {
        let due = modem.deadline().unwrap();
        let _ = modem.tick(due);
        assert_eq!(resets(), round);
    }
    // A profile ends it.
    sketch.0.lock().unwrap().profiles = Sketch::of_the_note().0.lock().unwrap().profiles.clone();
    let _ = modem.tick(modem.deadline().unwrap());
    assert_eq!(modem.deadline(), None);
}

/// A download through this one takes as long as was reported: 26 s at least, of some 150 exchanges.
#[test]
fn a_slow_one() {
    let model = Model { timing: Timing::Realistic, ..Model::named("FM350-GL").unwrap() };
    let mut modem = Modem::new(model, Sketch::of_the_note().card());
    let _ = modem.receive(0, b"AT+CSIM=10,\"0020000100\"\r");
    let exchange = modem.deadline().unwrap();
    assert!(exchange * 150 >= Duration::from_secs(26), "{exchange:?}");
}
