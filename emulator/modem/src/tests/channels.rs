//! The card behind AT+CCHO, AT+CGLA, AT+CCHC and AT+CSIM: what hosts exchange with it, in every dialect.

use super::{ISD_R, brief, modem, say, transcript};
use crate::Modem;
use crate::model::{CchoAnswer, HostAccess, Model};
use crate::testing::{Script, Sketch};

/// The exchange that an LPA has with the card through AT+CCHO and AT+CGLA, and what the modem makes of it.
#[test]
fn channels() {
    let fci = "6F1F8410A0000005591010FFFFFFFF8900000100A5049F6501FFE00582030202009000";
    let script = Script::new(&[
        ("0020000100", "6A88"),
        ("0020000100", "6A88"),
        ("0070000001", "029000"),
        ("02A4040010A0000005591010FFFFFFFF8900000100", "6121"),
        ("02C0000021", fci),
        ("82E2910006BF3E035C015A", "6115"),
        ("82C0000015", "BF3E125A10890490321234512345123456789012359000"),
        ("0070800200", "9000"),
    ]);
    let mut modem = Modem::new(brief(), script.card());
    say(&mut modem, "ATE0+CMEE=1");
    insta::assert_snapshot!(transcript(
        &mut modem,
        [
            "AT+CPIN?",
            "AT+CCHO=?",
            "AT+CGLA=?",
            "AT+CCHC=?",
            r#"AT+CCHO="a0000005591010ffffffff8900000100""#,
            r#"AT+CGLA=2,22,"81e2910006bf3e035c015a""#,
            r#"AT+CGLA=2,10,81C0000015"#,
            r#"AT+CGLA=2,12,"81C0000015""#,
            r#"AT+CGLA=2,9,"81C000001""#,
            r#"AT+CGLA=2,6,"81C000""#,
            r#"AT+CGLA=2,10,"81C00000XY""#,
            r#"AT+CGLA=1,10,"81C0000015""#,
            r#"AT+CGLA=2,10"#,
            r#"AT+CGLA=2,10,"81C0000015",1"#,
            r#"AT+CGLA=x,10,"81C0000015""#,
            r#"AT+CGLA"#,
            r#"AT+CGLA?"#,
            r#"AT+CCHC=1"#,
            r#"AT+CCHC=2"#,
            r#"AT+CCHC=2"#,
            r#"AT+CCHC="#,
            r#"AT+CCHO="""#,
            r#"AT+CCHO="A0000005591010FFFFFFFF890000010000""#,
            r#"AT+CCHO="A0000"#,
        ]
    ));
    assert!(script.is_done());
}

#[test]
fn applications_that_cannot_be_had() {
    let script = Script::new(&[
        ("0020000100", "6A88"),
        ("0070000001", "019000"),
        ("01A4040007A0000000871002", "6A82"),
        ("0070800100", "9000"),
        ("0070000001", "6A81"),
    ]);
    let mut modem = Modem::new(brief(), script.card());
    say(&mut modem, "ATE0+CMEE=1");
    assert_eq!(say(&mut modem, "AT+CCHO=A0000000871002"), "\r\n+CME ERROR: 13\r\n");
    assert_eq!(say(&mut modem, "AT+CMEE=0;+CCHO=A0000000871002"), "\r\nERROR\r\n");
    assert!(script.is_done());
}

/// AT+CSIM as an LPA uses it: channels by hand, the class byte as it is.
#[test]
fn csim() {
    let script = Script::new(&[
        ("0020000100", "6A88"),
        ("0070000001", "019000"),
        ("01A4040010A0000005591010FFFFFFFF8900000100", "6121"),
        ("81E2910006BF3E035C015A", "6115"),
        ("A0A40000023F00", "6E00"),
        ("0070800100", "9000"),
    ]);
    let mut modem = Modem::new(brief(), script.card());
    say(&mut modem, "ATE0+CMEE=1");
    insta::assert_snapshot!(transcript(
        &mut modem,
        [
            "AT+CSIM=?",
            r#"AT+CSIM=10,"0070000001""#,
            r#"AT+CSIM=42,"01a4040010a0000005591010ffffffff8900000100""#,
            r#"AT+CSIM=22,81E2910006BF3E035C015A"#,
            r#"AT+CSIM=14,"A0A40000023F00""#,
            r#"AT+CSIM=10,"0070800100""#,
            r#"AT+CSIM=12,"0070800100""#,
            r#"AT+CSIM="0070800100""#,
        ]
    ));
    assert!(script.is_done());
}

#[test]
fn dialects() {
    let modem_with = |change: &dyn Fn(&mut Model)| {
        let mut model = Model::named("RM500Q-GL").unwrap();
        change(&mut model);
        let mut modem = Modem::new(model, Sketch::of_the_note().card());
        say(&mut modem, "ATE0+CMEE=1");
        modem
    };
    let open = format!("AT+CCHO=\"{ISD_R}\"");
    let ok = |text: &str| format!("\r\n{text}\r\n\r\nOK\r\n");

    let mut modem = modem_with(&|model| model.dialect.ccho_answer = CchoAnswer::Handle);
    assert_eq!(say(&mut modem, &open), ok("+CCHO: 00000000038aa32f"));
    assert_eq!(say(&mut modem, "AT+CGLA=00000000038aa32f,8,80F20000"), ok("+CGLA: 4,\"9000\""));
    assert_eq!(say(&mut modem, "AT+CCHC=1"), "\r\n+CME ERROR: 50\r\n");
    assert_eq!(say(&mut modem, "AT+CCHC=00000000038aa32f"), "\r\nOK\r\n");

    let mut modem = modem_with(&|model| model.dialect.ccho_answer = CchoAnswer::Bare);
    assert_eq!(say(&mut modem, &open), ok("1"));

    let mut modem = modem_with(&|model| model.dialect.space_after_colon = false);
    assert_eq!(say(&mut modem, &open), ok("+CCHO:1"));
    assert_eq!(say(&mut modem, "AT+CGLA=1,8,80F20000"), ok("+CGLA:4,\"9000\""));

    let mut modem = modem_with(&|model| model.dialect.missing_tests = vec!["+CGLA".to_owned()]);
    assert_eq!(say(&mut modem, "AT+CCHO=?"), "\r\nOK\r\n");
    assert_eq!(say(&mut modem, "AT+CGLA=?"), "\r\nERROR\r\n");
    assert_eq!(say(&mut modem, &open), ok("+CCHO: 1"));
    assert_eq!(say(&mut modem, "AT+CGLA=1,8,80F20000"), ok("+CGLA: 4,\"9000\""));

    let mut modem = modem_with(&|model| model.dialect.missing_commands = vec!["+CCHO".to_owned()]);
    for line in ["AT+CCHO=?", "AT+CCHO", &open] {
        assert_eq!(say(&mut modem, line), "\r\nERROR\r\n");
    }

    let mut modem = modem_with(&|model| model.dialect.channel_tests_tell = true);
    assert_eq!(say(&mut modem, "AT+CCHO=?"), ok("+CCHO: <dfname>"));
    assert_eq!(say(&mut modem, "AT+CCHC=?"), ok("+CCHC: <sessionid>"));

    let mut modem = modem_with(&|model| model.dialect.quotes_required = true);
    assert_eq!(say(&mut modem, &open.replace('"', "")), "\r\n+CME ERROR: 50\r\n");
    assert_eq!(say(&mut modem, &open), ok("+CCHO: 1"));
    assert_eq!(say(&mut modem, "AT+CGLA=1,8,80F20000"), "\r\n+CME ERROR: 50\r\n");

    let mut modem = modem_with(&|model| model.dialect.host_isd_r = HostAccess::LpaEnabled);
    assert_eq!(say(&mut modem, &open), ok("+CCHO: 1"));
    say(&mut modem, "AT+QESIM=\"lpa_enable\",0");
    assert_eq!(say(&mut modem, &open), "\r\n+CME ERROR: 13\r\n");

    let mut modem = modem_with(&|model| model.dialect.host_isd_r = HostAccess::LpaDisabled);
    assert_eq!(say(&mut modem, &open), "\r\n+CME ERROR: 13\r\n");
    say(&mut modem, "AT+QESIM=\"lpa_enable\",0");
    assert_eq!(say(&mut modem, &open), "\r\n+CME ERROR: 13\r\n");
    say(&mut modem, "AT+CFUN=1,1");
    say(&mut modem, "ATE0");
    assert_eq!(say(&mut modem, &open), ok("+CCHO: 1"));
}

#[test]
fn channels_beyond_the_third() {
    let (mut modem, _) = modem("RM500Q-GL");
    for id in 1..=4 {
        assert_eq!(say(&mut modem, &format!("AT+CCHO={ISD_R}")), format!("\r\n+CCHO: {id}\r\n\r\nOK\r\n"));
    }
    let answer = say(&mut modem, "AT+CGLA=4,22,81E2910006BF3E035C015A");
    assert_eq!(answer, "\r\n+CGLA: 4,\"6115\"\r\n\r\nOK\r\n");
}
