//! The line: editing, settings, data mode, held URCs, times, and several ports.

use std::time::Duration;

use super::{NOW, modem, say, transcript};
use crate::model::{Model, Timing};
use crate::testing::Sketch;
use crate::{Modem, Output};

fn at(modem: &mut Modem, milliseconds: u64, bytes: &[u8]) -> String {
    text(&modem.receive_at(0, bytes, NOW + Duration::from_millis(milliseconds)), 0)
}

fn text(output: &Output, port: usize) -> String {
    String::from_utf8(output.for_port(port)).unwrap()
}

fn tick(modem: &mut Modem, milliseconds: u64) -> String {
    text(&modem.tick(NOW + Duration::from_millis(milliseconds)), 0)
}

#[test]
fn data_mode_and_the_escape_from_it() {
    let (mut modem, _) = modem("RM500Q-GL");
    assert_eq!(at(&mut modem, 0, b"ATD123\r"), "\r\nCONNECT 115200\r\n");
    assert!(modem.is_in_data_mode(0));
    // AT is data, a URC waits, and the other port takes commands.
    assert_eq!(at(&mut modem, 10, b"AT+CGMI\r\n"), "AT+CGMI\r\n");
    let output = modem.deliver_message("1", "x").unwrap();
    assert_eq!((text(&output, 0).as_str(), text(&output, 1).as_str()), ("", "\r\n+CMTI: \"ME\",0\r\n"));
    assert_eq!(modem.deadline(), None);
    assert_eq!(at(&mut modem, 2000, b"+++"), "");
    assert_eq!(modem.deadline(), Some(NOW + Duration::from_secs(3)));
    assert_eq!(tick(&mut modem, 2999), "");
    assert_eq!(tick(&mut modem, 3000), "\r\nOK\r\n\r\n+CMTI: \"ME\",0\r\n");
    // The connection stands: back to it, and end it.
    assert_eq!(at(&mut modem, 3100, b"ATD9\r"), "\r\nNO CARRIER\r\n");
    assert_eq!(at(&mut modem, 3200, b"ATX0O\r"), "\r\nCONNECT\r\n");
    assert_eq!(at(&mut modem, 3300, b"+++"), "+++", "no pause before it");
    assert_eq!(at(&mut modem, 5000, b"++"), "");
    assert_eq!(tick(&mut modem, 6000), "++", "two are data");
    assert_eq!(at(&mut modem, 8000, b"+++"), "");
    assert_eq!(tick(&mut modem, 9000), "\r\nOK\r\n");
    assert_eq!(at(&mut modem, 9100, b"ATH\r"), "\r\nOK\r\n");
    assert_eq!(at(&mut modem, 9200, b"ATO\r"), "\r\nNO CARRIER\r\n");
}

#[test]
fn a_line_that_drops() {
    for (setting, answer, stays) in [(0, "", true), (1, "\r\nOK\r\n", false), (2, "\r\nNO CARRIER\r\n", false)] {
        let (mut modem, _) = modem("RM500Q-GL");
        assert!(say(&mut modem, &format!("AT&D{setting}D123")).contains("CONNECT"));
        assert_eq!(text(&modem.drop_line(0), 0), answer);
        assert_eq!(modem.is_in_data_mode(0), stays);
        if setting > 0 {
            assert_eq!(say(&mut modem, "ATO").contains("CONNECT"), setting == 1);
        }
    }
    // V0, and a dial string that cannot be.
    let (mut modem, _) = modem("RM500Q-GL");
    assert_eq!(say(&mut modem, "ATV0D*99***9#"), "3\r");
    assert_eq!(say(&mut modem, "ATD12&3"), "4\r");
    assert_eq!(say(&mut modem, "ATD 1 2-3T"), "1\r");
    let _ = modem.drop_line(0);
    assert_eq!(say(&mut modem, "ATV1D123;"), "\r\nNO CARRIER\r\n", "no voice");
    assert_eq!(say(&mut modem, "AT+COPS=2;D123"), "\r\nNO CARRIER\r\n");
    assert!(say(&mut modem, "AT+CEER").contains("No network service"));
}

#[test]
fn urcs_wait_for_a_prompt_and_are_forgotten_with_the_host() {
    let (mut modem, _) = modem("RM500Q-GL");
    assert_eq!(say(&mut modem, "AT+CMGS=23"), "\r\n> ");
    let output = modem.deliver_message("1", "x").unwrap();
    assert_eq!(text(&output, 0), "");
    assert_eq!(text(&modem.receive(0, b"\x1B"), 0), "\r\nOK\r\n\r\n+CMTI: \"ME\",0\r\n");
    assert_eq!(say(&mut modem, "AT+CMGS=23"), "\r\n> ");
    let _ = modem.deliver_message("1", "x").unwrap();
    let _ = modem.hang_up(0);
    assert_eq!(say(&mut modem, "AT"), "\r\nOK\r\n");
}

#[test]
fn realistic_times() {
    let sketch = Sketch::of_the_note();
    let model = Model { timing: Timing::Realistic, ..Model::named("RM500Q-GL").unwrap() };
    let mut modem = Modem::new(model, sketch.card());
    modem.set_time(NOW);
    // The echo comes at once, the response when it is due; what is typed ahead waits.
    assert_eq!(at(&mut modem, 0, b"ATE0\rAT\r"), "ATE0\r");
    assert_eq!(modem.deadline(), Some(NOW + Duration::from_millis(4)));
    assert_eq!(tick(&mut modem, 4), "\r\nOK\r\n");
    assert_eq!(tick(&mut modem, 8), "\r\nOK\r\n");
    // Each exchange with the card takes its time.
    assert_eq!(at(&mut modem, 100, b"AT+CSIM=10,\"0020000100\"\r"), "");
    assert_eq!(tick(&mut modem, 121), "");
    assert_eq!(tick(&mut modem, 122), "\r\n+CSIM: 4,\"63C3\"\r\n\r\nOK\r\n");
    // V.250 §5.6.1: what can be aborted is, by any character; that one is lost.
    assert_eq!(at(&mut modem, 1000, b"AT+COPS=?\r"), "");
    assert_eq!(at(&mut modem, 9000, b"x"), "\r\nOK\r\n");
    assert_eq!(at(&mut modem, 10_000, b"ATD123\r"), "");
    assert_eq!(at(&mut modem, 10_500, b" "), "\r\nNO CARRIER\r\n");
    assert!(!modem.is_in_data_mode(0));
    assert_eq!(at(&mut modem, 11_000, b"AT+COPS=?\r"), "");
    assert!(tick(&mut modem, 36_000).contains("+COPS: (2,\"Test\""));
    // URCs do not split a response that is pending.
    assert_eq!(at(&mut modem, 40_000, b"AT+CFUN=4\r"), "");
    assert_eq!(tick(&mut modem, 40_700), "\r\nOK\r\n");
    // A restart: silence, then what the module says.
    assert_eq!(at(&mut modem, 50_000, b"AT+CFUN=1,1\r"), "");
    assert_eq!(tick(&mut modem, 50_700), "\r\nOK\r\n");
    assert_eq!(at(&mut modem, 51_000, b"AT\r"), "", "nobody is at home");
    assert!(tick(&mut modem, 59_700).starts_with("\r\nRDY\r\n"));
}

/// SGP.22 v2.5 §5.7.16: after a switch the card asks for a REFRESH; the modem fetches it, resets the card, and tells.
#[test]
fn a_switch_by_the_lpa_of_the_host() {
    let ready = "\r\n+CPIN: READY\r\n\r\n+QUSIM: 1\r\n\r\n+QIND: SMS DONE\r\n\r\n+QIND: PB DONE\r\n";
    let (mut modem, sketch) = modem("RM500Q-GL");
    sketch.0.lock().unwrap().proactive = true;
    say(&mut modem, "AT+CCHO=\"A0000005591010FFFFFFFF8900000100\"");
    let resets = sketch.0.lock().unwrap().resets;
    let answer = say(&mut modem, "AT+CGLA=1,50,\"81E2910014BF3111A00C5A0A988896070000000083378101FF\"");
    assert_eq!(answer, format!("\r\n+CGLA: 16,\"BF3103800100910B\"\r\n\r\nOK\r\n{ready}"));
    assert_eq!(sketch.0.lock().unwrap().resets, resets + 1);
    assert_eq!(say(&mut modem, "AT+QCCID"), "\r\n+QCCID: 89886970000000003873\r\n\r\nOK\r\n");
    assert_eq!(say(&mut modem, "AT+CCHC=1"), "\r\nERROR\r\n", "the session went with the card's channels");
    // By the modem's own LPA, the card is reset once.
    let answer = say(&mut modem, "AT+QESIM=\"enable_profile\",1");
    assert_eq!(answer, format!("\r\nOK\r\n{ready}"));
    assert_eq!(sketch.0.lock().unwrap().resets, resets + 2);
}

#[test]
fn identity_and_v250() {
    let (mut modem, _) = modem("RM500Q-GL");
    insta::assert_snapshot!(transcript(
        &mut modem,
        [
            "AT",
            "ATI",
            "AT+CGMI;+CGMM;+CGMR;+CGSN",
            "AT+GMI;+GMM;+GMR;+GSN",
            "AT+CGMI=?",
            "ATS3?S4?S5?S0?",
            "ATS0=2S0?",
            "ATS7?",
            "ATS3=128",
            "ATX4&C1&D2H",
            "ATE2",
            "ATI1",
            "ATO",
            "ATD*99***9#",
            "AT+CMEE=?;+CMEE?",
            "AT+CMEE=3",
            "AT+CMEE=2",
            "AT+CMEE=7",
            "AT+NOSUCH",
            "ATV0",
            "ATI",
            "AT+CMEE?",
            "AT+CMEE=7",
            "ATO",
            "ATV1&WQ1",
            "AT",
            "ATZ",
            "AT+CMEE?",
            "AT&FE0",
            "AT+CMEE?",
        ]
    ));
}

#[test]
fn a_failure_ends_the_line() {
    let (mut modem, _) = modem("RM500Q-GL");
    assert_eq!(say(&mut modem, "AT+CMEE=1;+CGMI;+NOSUCH;+CMEE=2"), "\r\nQuectel\r\n\r\nERROR\r\n");
    assert_eq!(say(&mut modem, "AT+CMEE?"), "\r\n+CMEE: 1\r\n\r\nOK\r\n");
}

#[test]
fn echo_fragments_and_pipelines() {
    let mut modem = Modem::new(Model::named("RM500Q-GL").unwrap(), Sketch::of_the_note().card());
    assert_eq!(modem.receive(0, b"AT+C").for_port(0), b"AT+C");
    assert_eq!(modem.receive(0, b"GMI\r\n").for_port(0), b"GMI\r\r\nQuectel\r\n\r\nOK\r\n");
    assert_eq!(
        modem.receive(0, b"AT\rA/ATE0\rAT\r").for_port(0),
        b"AT\r\r\nOK\r\nA/\r\nOK\r\nATE0\r\r\nOK\r\n\r\nOK\r\n"
    );
    let line = format!("AT{}\rAT\r", "I".repeat(2049));
    assert_eq!(modem.receive(0, line.as_bytes()).for_port(0), b"\r\nERROR\r\n\r\nOK\r\n");
    let _ = modem.receive(0, b"AT+C");
    let _ = modem.hang_up(0);
    assert_eq!(say(&mut modem, "AT"), "\r\nOK\r\n");
    assert!(modem.receive(7, b"AT\r").writes.is_empty());
}
