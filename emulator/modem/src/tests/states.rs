//! What the modem says when there is no card, no profile or no power, after a restart, and to an observer.

use std::sync::{Arc, Mutex};

use super::{ISD_R, READY, brief, modem, say};
use crate::model::Model;
use crate::testing::{Script, Sketch};
use crate::{Modem, ModemEvent, Observer};

#[test]
fn without_card_and_without_power() {
    let (mut modem, sketch) = modem("RM500Q-GL");
    say(&mut modem, "AT+CMEE=1");
    assert_eq!(say(&mut modem, "AT+CFUN=0"), "\r\nOK\r\n");
    for line in ["AT+CPIN?", "AT+CIMI", "AT+QCCID", "AT+CSIM=10,0070000001", "AT+CCHO=A0000005591010"] {
        assert_eq!(say(&mut modem, line), "\r\n+CME ERROR: 13\r\n", "{line}");
    }
    assert_eq!(say(&mut modem, r#"AT+QESIM="eid""#), "\r\nERROR\r\n");
    assert_eq!(say(&mut modem, "AT+CFUN=1;+CFUN?"), format!("\r\n+CFUN: 1\r\n\r\nOK\r\n{READY}"));
    let output = modem.set_card(None);
    assert_eq!(output.for_port(0), b"\r\n+CPIN: NOT READY\r\n");
    for line in [
        "AT+CPIN?",
        "AT+CIMI",
        "AT+CNUM",
        "AT+CSIM=10,0070000001",
        "AT+CRSM=176,12258,0,0,10",
        "AT+CCHO=A0000005591010",
        "AT+CGLA=1,8,80F20000",
        "AT+CPINR",
        "AT+CLCK=\"SC\",2",
        "AT+CPBR=1",
        "AT+COPS=?",
        "AT+CPOL?",
    ] {
        assert_eq!(say(&mut modem, line), "\r\n+CME ERROR: 10\r\n", "{line}");
    }
    assert_eq!(say(&mut modem, "AT+CMGL=4"), "\r\n+CMS ERROR: 310\r\n");
    assert_eq!(
        say(&mut modem, "AT+CREG?;+COPS?;+CSQ"),
        "\r\n+CREG: 0,0\r\n\r\n+COPS: 0\r\n\r\n+CSQ: 99,99\r\n\r\nOK\r\n"
    );
    assert_eq!(modem.set_card(Some(sketch.card())).for_port(0), READY.as_bytes());
    assert!(say(&mut modem, r#"AT+QESIM="eid""#).ends_with("OK\r\n"));
    for bad in ["AT+CFUN=2", "AT+CFUN=1,2", "AT+CFUN=1,1,1", "AT+CFUN=0,1"] {
        assert_eq!(say(&mut modem, bad), "\r\n+CME ERROR: 50\r\n", "{bad}");
    }
}

/// With no profile enabled there is no USIM: what needs one says so, and the LPA works.
#[test]
fn without_profile() {
    let mut modem = Modem::new(Model::named("RM500Q-GL").unwrap(), Sketch::blank().card());
    say(&mut modem, "ATE0+CMEE=1");
    for line in ["AT+CPIN?", "AT+CIMI", "AT+QCCID", "AT+CNUM", "AT+CPINR", "AT+CPBS=\"SM\"", "AT+COPS=?"] {
        assert_eq!(say(&mut modem, line), "\r\n+CME ERROR: 13\r\n", "{line}");
    }
    assert_eq!(say(&mut modem, "AT+CMGS=10"), "\r\n+CMS ERROR: 313\r\n");
    assert_eq!(say(&mut modem, "AT+CRSM=176,12258,0,0,10"), "\r\n+CRSM: 106,130\r\n\r\nOK\r\n");
    assert_eq!(say(&mut modem, "AT+QINISTAT;+CEREG?"), "\r\n+QINISTAT: 0\r\n\r\n+CEREG: 0,0\r\n\r\nOK\r\n");
    assert_eq!(say(&mut modem, r#"AT+QESIM="profile_brief""#), "\r\n+QESIM: \"profile_brief\",0\r\n\r\nOK\r\n");
    assert!(say(&mut modem, "AT+CSIM=10,\"0070000001\"").ends_with("OK\r\n"), "hosts get to the card");
}

#[test]
fn restart() {
    let (mut modem, sketch) = modem("RM500Q-GL");
    say(&mut modem, &format!("AT+QESIM=\"lpa_enable\",0;+CCHO={ISD_R};+CMEE=2"));
    assert_eq!(sketch.open_channels(), 1);
    let output = modem.receive(0, b"AT+CFUN=1,1\r");
    let boot = format!("\r\nRDY\r\n\r\n+CFUN: 1\r\n{READY}");
    assert_eq!(output.for_port(0), format!("\r\nOK\r\n{boot}").as_bytes());
    assert_eq!(output.for_port(1), boot.as_bytes());
    assert_eq!(sketch.open_channels(), 0);
    assert_eq!(
        say(&mut modem, "ATE0+CMEE?;+QESIM=\"lpa_enable\""),
        "ATE0+CMEE?;+QESIM=\"lpa_enable\"\r\r\n+CMEE: 0\r\n\r\n+QESIM: \"lpa_enable\",0\r\n\r\nOK\r\n"
    );
    assert_eq!(modem.reset().for_port(0), boot.as_bytes());
    // Switched off it is silent, until it is switched on.
    assert_eq!(modem.receive(1, b"ATE0+QPOWD\r").for_port(1), b"ATE0+QPOWD\r\r\nOK\r\n\r\nPOWERED DOWN\r\n");
    assert!(modem.receive(0, b"AT\r").writes.is_empty());
    assert_eq!(modem.reset().for_port(0), boot.as_bytes());
    assert!(say(&mut modem, "AT").ends_with("OK\r\n"));
}

#[test]
fn what_is_read_from_the_files_of_the_card() {
    let (mut modem, _) = modem("RM500Q-GL");
    assert_eq!(say(&mut modem, "AT+QCCID"), "\r\n+QCCID: 8944476500008878576F\r\n\r\nOK\r\n");
    assert_eq!(say(&mut modem, "AT+CIMI"), "\r\n001010123456789\r\n\r\nOK\r\n");
    assert_eq!(say(&mut modem, "AT+CNUM"), "\r\n+CNUM: \"Me\",\"+1234567\",145\r\n\r\nOK\r\n");
    let states = [("9000", "READY"), ("63C3", "SIM PIN"), ("63C0", "SIM PUK"), ("6983", "SIM PUK")];
    for (status, text) in states {
        // Tries that are left do not tell whether the PIN is asked for: the USIM does.
        let ask = [("0020000100", status), ("00A4040407A0000000871002", "620BC60990018083010183010A9000")];
        let ask = &ask[..if status == "63C3" { 2 } else { 1 }];
        let exchanges = [ask, ask].concat();
        let mut modem = Modem::new(brief(), Script::new(&exchanges).card());
        assert!(say(&mut modem, "AT+CPIN?").contains(&format!("\r\n+CPIN: {text}\r\n\r\nOK\r\n")));
    }
}

#[test]
fn observed() {
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<String>>>);
    impl Observer for Log {
        fn event(&mut self, event: ModemEvent<'_>) {
            self.0.lock().unwrap().push(format!("{event:?}"));
        }
    }
    let log = Log::default();
    let script = Script::new(&[("0020000100", "6A88"), ("0070000001", "6A81")]);
    let mut modem = Modem::observed(brief(), Some(script.card()), Box::new(log.clone()));
    let _ = modem.receive(1, b"AT+CSIM=10,0070000001\r");
    let _ = modem.set_card(None);
    insta::assert_snapshot!(log.0.lock().unwrap().join("\n"), @r#"
    CardReset { atr: [59, 0] }
    Apdu { command: [0, 32, 0, 1, 0], response: [106, 136] }
    Command { port: 1, line: "AT+CSIM=10,0070000001" }
    Apdu { command: [0, 112, 0, 0, 1], response: [106, 129] }
    Response { port: 1, text: "\r\n+CSIM: 4,\"6A81\"\r\n\r\nOK\r\n" }
    Urc { line: "+CPIN: NOT READY" }
    "#);
}
