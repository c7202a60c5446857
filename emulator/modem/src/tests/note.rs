//! AT+QESIM as the note has it (eSIM LPA AN 1.1, chapter 2): its examples, then every function in every form.
//!
//! What the examples expect is typed from the note, with the delimiters of its §2.1.2: each information response and
//! each result code begins and ends with CR LF.

use super::{ISD_R, modem, say, transcript};
use crate::Modem;
use crate::model::Model;
use crate::testing::{Sketch, SketchProfile};

/// An example: what a modem without echo on the card of the note answers to these lines.
fn example<'a>(lines: impl IntoIterator<Item = &'a str>) -> String {
    let (mut modem, _) = modem("RM500Q-GL");
    transcript(&mut modem, lines)
}

/// eSIM LPA AN 1.1 §2.3.2.
#[test]
fn example_of_lpa_enable_as_printed() {
    let (mut modem, _) = modem("RM500Q-GL");
    assert_eq!(say(&mut modem, r#"AT+QESIM="lpa_enable",0"#), "\r\nOK\r\n");
    insta::assert_snapshot!(transcript(&mut modem, [r#"AT+QESIM="Ipa_enable""#, r#"AT+QESIM="Ipa_enable",1"#, r#"AT+QESIM="Ipa_enable""#]), @r#"
    > AT+QESIM="Ipa_enable"
    < \r\n
    < +QESIM: "Ipa_enable",0\r\n
    < \r\n
    < OK\r\n
    > AT+QESIM="Ipa_enable",1
    < \r\n
    < OK\r\n
    > AT+QESIM="Ipa_enable"
    < \r\n
    < +QESIM: "Ipa_enable",1\r\n
    < \r\n
    < OK\r\n
    "#);
}

/// eSIM LPA AN 1.1 §2.3.2.
#[test]
fn example_of_lpa_enable_as_meant() {
    let (mut modem, _) = modem("RM500Q-GL");
    assert_eq!(say(&mut modem, r#"AT+QESIM="lpa_enable",0"#), "\r\nOK\r\n");
    insta::assert_snapshot!(transcript(&mut modem, [r#"AT+QESIM="lpa_enable""#, r#"AT+QESIM="lpa_enable",1"#, r#"AT+QESIM="lpa_enable""#]), @r#"
    > AT+QESIM="lpa_enable"
    < \r\n
    < +QESIM: "lpa_enable",0\r\n
    < \r\n
    < OK\r\n
    > AT+QESIM="lpa_enable",1
    < \r\n
    < OK\r\n
    > AT+QESIM="lpa_enable"
    < \r\n
    < +QESIM: "lpa_enable",1\r\n
    < \r\n
    < OK\r\n
    "#);
}

/// eSIM LPA AN 1.1 §2.3.3.
#[test]
fn example_of_profile_brief() {
    insta::assert_snapshot!(example([r#"AT+QESIM="profile_brief""#]), @r#"
    > AT+QESIM="profile_brief"
    < \r\n
    < +QESIM: "profile_brief",4\r\n
    < \r\n
    < OK\r\n
    "#);
}

/// eSIM LPA AN 1.1 §2.3.4.
#[test]
fn example_of_profile_detail() {
    insta::assert_snapshot!(example([r#"AT+QESIM="profile_detail",1"#]), @r#"
    > AT+QESIM="profile_detail",1
    < \r\n
    < +QESIM: "profile_detail",8988247000111763810F,0,"Profile1","Transatel","TSL_0131",2\r\n
    < \r\n
    < OK\r\n
    "#);
}

/// eSIM LPA AN 1.1 §2.3.5.
#[test]
fn example_of_eid() {
    insta::assert_snapshot!(example([r#"AT+QESIM="eid""#]), @r#"
    > AT+QESIM="eid"
    < \r\n
    < +QESIM: "eid",89033023424310000000001251649628\r\n
    < \r\n
    < OK\r\n
    "#);
}

/// eSIM LPA AN 1.1 §2.3.6.
#[test]
fn example_of_delete_profile() {
    insta::assert_snapshot!(example([r#"AT+QESIM="profile_brief""#, r#"AT+QESIM="delete_profile",2"#, r#"AT+QESIM="profile_brief""#]), @r#"
    > AT+QESIM="profile_brief"
    < \r\n
    < +QESIM: "profile_brief",4\r\n
    < \r\n
    < OK\r\n
    > AT+QESIM="delete_profile",2
    < \r\n
    < OK\r\n
    > AT+QESIM="profile_brief"
    < \r\n
    < +QESIM: "profile_brief",3\r\n
    < \r\n
    < OK\r\n
    "#);
}

/// eSIM LPA AN 1.1 §2.3.7.
#[test]
fn example_of_nickname() {
    insta::assert_snapshot!(example([r#"AT+QESIM="nickname",3,"Quectel""#, r#"AT+QESIM="profile_detail",3"#]), @r#"
    > AT+QESIM="nickname",3,"Quectel"
    < \r\n
    < OK\r\n
    > AT+QESIM="profile_detail",3
    < \r\n
    < +QESIM: "profile_detail",8988247000111761996F,0,"Quectel","Transatel","TSL_0131",2\r\n
    < \r\n
    < OK\r\n
    "#);
}

/// eSIM LPA AN 1.1 §2.3.8.
#[test]
fn example_of_def_svr_addr() {
    insta::assert_snapshot!(example([r#"AT+QESIM="def_svr_addr","esim.wo.com.cn""#, r#"AT+QESIM="def_svr_addr""#]), @r#"
    > AT+QESIM="def_svr_addr","esim.wo.com.cn"
    < \r\n
    < OK\r\n
    > AT+QESIM="def_svr_addr"
    < \r\n
    < +QESIM: "def_svr_addr","esim.wo.com.cn"\r\n
    < \r\n
    < OK\r\n
    "#);
}

/// eSIM LPA AN 1.1 §2.3.9.
#[test]
fn example_of_enable_profile() {
    insta::assert_snapshot!(example([r#"AT+QESIM="enable_profile",2"#, r#"AT+QESIM="profile_detail",2"#]), @r#"
    > AT+QESIM="enable_profile",2
    < \r\n
    < OK\r\n
    < \r\n
    < +CPIN: READY\r\n
    < \r\n
    < +QUSIM: 1\r\n
    < \r\n
    < +QIND: SMS DONE\r\n
    < \r\n
    < +QIND: PB DONE\r\n
    > AT+QESIM="profile_detail",2
    < \r\n
    < +QESIM: "profile_detail",89886970000000003873,1,"Profile2","GCKOEM","DummyProfile",2\r\n
    < \r\n
    < OK\r\n
    "#);
}

/// eSIM LPA AN 1.1 §2.3.9.
#[test]
fn enable_as_its_syntax_has_it() {
    insta::assert_snapshot!(example([r#"AT+QESIM="enable",2"#, r#"AT+QESIM="profile_detail",2"#]), @r#"
    > AT+QESIM="enable",2
    < \r\n
    < OK\r\n
    < \r\n
    < +CPIN: READY\r\n
    < \r\n
    < +QUSIM: 1\r\n
    < \r\n
    < +QIND: SMS DONE\r\n
    < \r\n
    < +QIND: PB DONE\r\n
    > AT+QESIM="profile_detail",2
    < \r\n
    < +QESIM: "profile_detail",89886970000000003873,1,"Profile2","GCKOEM","DummyProfile",2\r\n
    < \r\n
    < OK\r\n
    "#);
}

/// eSIM LPA AN 1.1 §2.3.10.
#[test]
fn example_of_disable_profile() {
    let (mut modem, _) = modem("RM500Q-GL");
    assert!(say(&mut modem, r#"AT+QESIM="enable_profile",2"#).starts_with("\r\nOK\r\n"));
    insta::assert_snapshot!(transcript(&mut modem, [r#"AT+QESIM="disable_profile",2"#, r#"AT+QESIM="profile_detail",2"#]), @r#"
    > AT+QESIM="disable_profile",2
    < \r\n
    < OK\r\n
    > AT+QESIM="profile_detail",2
    < \r\n
    < +QESIM: "profile_detail",89886970000000003873,0,"Profile2","GCKOEM","DummyProfile",2\r\n
    < \r\n
    < OK\r\n
    "#);
}

/// eSIM LPA AN 1.1 §2.3.1 and §2.3.2.
#[test]
fn lpa_enable_forms() {
    let (mut modem, _) = modem("RM500Q-GL");
    insta::assert_snapshot!(transcript(
        &mut modem,
        [
            r#"AT+QESIM=?"#,
            r#"AT+QESIM="lpa_enable",0"#,
            r#"AT+QESIM="lpa_enable""#,
            r#"AT+QESIM="eid""#,
            r#"AT+QESIM="lpa_enable",1"#,
            r#"AT+QESIM="lpa_enable""#,
            r#"AT+QESIM="ipa_enable""#,
            r#"AT+QESIM="Ipa_enable""#,
            r#"AT+QESIM="lpa_enable",2"#,
            r#"AT+QESIM="lpa_enable",1,1"#,
            r#"AT+QESIM="lpa_enable","#,
            r#"AT+QESIM=lpa_enable"#,
        ]
    ));
}

/// eSIM LPA AN 1.1 §2.3.3 to §2.3.5.
#[test]
fn queries_forms() {
    let (mut modem, sketch) = modem("RM500Q-GL");
    insta::assert_snapshot!(transcript(
        &mut modem,
        [
            r#"AT+QESIM="profile_brief""#,
            r#"AT+QESIM="profile_detail",1"#,
            r#"AT+QESIM="profile_detail",2"#,
            r#"AT+QESIM="profile_detail",4"#,
            r#"AT+QESIM="eid""#,
            r#"at+qesim="EID""#,
            r#"AT+QESIM="profile_detail""#,
            r#"AT+QESIM="profile_detail",0"#,
            r#"AT+QESIM="profile_detail",5"#,
            r#"AT+QESIM="profile_detail",9"#,
            r#"AT+QESIM="profile_detail",1,2"#,
            r#"AT+QESIM="profile_detail","1""#,
            r#"AT+QESIM="profile_brief",1"#,
            r#"AT+QESIM="download""#,
            r#"AT+QESIM"#,
            r#"AT+QESIM?"#,
        ]
    ));
    assert_eq!(sketch.open_channels(), 0);
}

/// eSIM LPA AN 1.1 §2.3.6 to §2.3.8.
#[test]
fn changes_forms() {
    let (mut modem, sketch) = modem("RM500Q-GL");
    let long = "a".repeat(256);
    insta::assert_snapshot!(transcript(
        &mut modem,
        [
            r#"AT+QESIM="profile_brief""#,
            r#"AT+QESIM="delete_profile",2"#,
            r#"AT+QESIM="profile_brief""#,
            r#"AT+QESIM="delete_profile",3"#,
            r#"AT+QESIM="nickname",2,"Quectel""#,
            r#"AT+QESIM="profile_detail",2"#,
            r#"AT+QESIM="nickname",2,"""#,
            r#"AT+QESIM="nickname",2"#,
            r#"AT+QESIM="nickname",7,"x""#,
            r#"AT+QESIM="def_svr_addr""#,
            r#"AT+QESIM="def_svr_addr","esim.wo.com.cn""#,
            r#"AT+QESIM="def_svr_addr""#,
        ]
    ));
    assert_eq!(say(&mut modem, &format!("AT+QESIM=\"def_svr_addr\",\"{long}\"")), "\r\nERROR\r\n");
    assert_eq!(say(&mut modem, &format!("AT+QESIM=\"def_svr_addr\",\"{}\"", &long[1..])), "\r\nOK\r\n");
    assert_eq!(say(&mut modem, &format!("AT+QESIM=\"nickname\",1,\"{}\"", &long[..65])), "\r\nERROR\r\n");
    assert_eq!(sketch.open_channels(), 0);
}

/// eSIM LPA AN 1.1 §2.3.9 and §2.3.10.
#[test]
fn switches_forms() {
    let (mut modem, sketch) = modem("RM500Q-GL");
    insta::assert_snapshot!(transcript(
        &mut modem,
        [
            r#"AT+QESIM="enable_profile",2"#,
            r#"AT+QESIM="profile_detail",2"#,
            r#"AT+QESIM="enable_profile",2"#,
            r#"AT+QESIM="disable_profile",2"#,
            r#"AT+QESIM="profile_detail",2"#,
            r#"AT+QESIM="disable_profile",2"#,
            r#"AT+QESIM="enable",1"#,
        ]
    ));
    assert_eq!(sketch.0.lock().unwrap().resets, 4, "one at the start, one for each switch");
}

#[test]
fn a_switch_closes_sessions_and_is_told_on_every_port() {
    let (mut modem, sketch) = modem("RM500Q-GL");
    say(&mut modem, &format!("AT+CCHO=\"{ISD_R}\""));
    let output = modem.receive(0, b"AT+QESIM=\"enable_profile\",1\rAT\r");
    let urcs = "\r\n+CPIN: READY\r\n\r\n+QUSIM: 1\r\n\r\n+QIND: SMS DONE\r\n\r\n+QIND: PB DONE\r\n";
    assert_eq!(String::from_utf8(output.for_port(0)).unwrap(), format!("\r\nOK\r\n{urcs}\r\nOK\r\n"));
    assert_eq!(String::from_utf8(output.for_port(1)).unwrap(), urcs);
    assert_eq!(sketch.open_channels(), 0);
    assert_eq!(say(&mut modem, "AT+CMEE=1;+CGLA=1,8,80F20000"), "\r\n+CME ERROR: 21\r\n");
    let _ = modem.receive(1, b"ATE0Q1\r");
    assert!(modem.receive(0, b"AT+QESIM=\"enable_profile\",2\r").for_port(1).is_empty(), "Q1");
}

#[test]
fn no_text_of_a_card_can_feign_a_line() {
    let (mut modem, sketch) = modem("RM500Q-GL");
    sketch.0.lock().unwrap().profiles[0].nickname = "x\"\r\nOK\r\n".to_owned();
    let answer = say(&mut modem, r#"AT+QESIM="profile_detail",1"#);
    assert!(answer.contains(r#","x\22\0D\0AOK\0D\0A","Transatel","#), "{answer}");
    assert_eq!(answer.matches("OK\r\n").count(), 1);
}

/// eSIM LPA AN 1.1 §2.3.2: while the LPA is disabled, every command but the one that enables it is answered ERROR, and
/// changes nothing.
#[test]
fn nothing_works_while_the_lpa_is_disabled() {
    let (mut modem, sketch) = modem("RM500Q-GL");
    say(&mut modem, "AT+QESIM=\"lpa_enable\",0");
    let resets = sketch.0.lock().unwrap().resets;
    for line in [
        r#"AT+QESIM="profile_brief""#,
        r#"AT+QESIM="profile_detail",1"#,
        r#"AT+QESIM="eid""#,
        r#"AT+QESIM="delete_profile",1"#,
        r#"AT+QESIM="nickname",1,"x""#,
        r#"AT+QESIM="def_svr_addr""#,
        r#"AT+QESIM="def_svr_addr","x.example""#,
        r#"AT+QESIM="enable_profile",2"#,
        r#"AT+QESIM="enable",2"#,
        r#"AT+QESIM="disable_profile",4"#,
    ] {
        assert_eq!(say(&mut modem, line), "\r\nERROR\r\n", "{line}");
    }
    let state = sketch.0.lock().unwrap();
    assert_eq!((state.profiles.len(), state.resets, state.default_address.as_str()), (4, resets, ""));
    assert_eq!(state.profiles[0].nickname, "Profile1");
    assert!(state.profiles[3].enabled);
}

/// "The configuration is saved automatically" (eSIM LPA AN 1.1 §2.3.2, §2.3.7 to §2.3.10): it is there after a restart,
/// by a command and by the power switch.
#[test]
fn what_is_saved_automatically() {
    let (mut modem, _) = modem("RM500Q-GL");
    for line in [
        r#"AT+QESIM="nickname",3,"Quectel""#,
        r#"AT+QESIM="def_svr_addr","esim.wo.com.cn""#,
        r#"AT+QESIM="enable_profile",2"#,
        r#"AT+QESIM="disable_profile",2"#,
        r#"AT+QESIM="enable_profile",3"#,
        r#"AT+QESIM="lpa_enable",0"#,
        "AT+CFUN=1,1",
    ] {
        assert!(say(&mut modem, line).contains("\r\nOK\r\n"), "{line}");
    }
    say(&mut modem, "ATE0");
    assert_eq!(say(&mut modem, r#"AT+QESIM="lpa_enable""#), "\r\n+QESIM: \"lpa_enable\",0\r\n\r\nOK\r\n");
    say(&mut modem, r#"AT+QESIM="lpa_enable",1"#);
    let _ = modem.reset();
    say(&mut modem, "ATE0");
    assert_eq!(say(&mut modem, r#"AT+QESIM="lpa_enable""#), "\r\n+QESIM: \"lpa_enable\",1\r\n\r\nOK\r\n");
    let detail = say(&mut modem, r#"AT+QESIM="profile_detail",3"#);
    assert!(detail.contains("8988247000111761996F,1,\"Quectel\""), "{detail}");
    let address = say(&mut modem, r#"AT+QESIM="def_svr_addr""#);
    assert!(address.contains("\"esim.wo.com.cn\""), "{address}");
}

/// eSIM LPA AN 1.1 §2.3.4: profile ids go from 1 to 8. A card may hold more; the ninth has no number.
#[test]
fn eight_profiles_have_numbers() {
    let sketch = Sketch::of_the_note();
    {
        let mut state = sketch.0.lock().unwrap();
        let one = state.profiles[0].clone();
        for iccid in [
            "8900000000000000011F",
            "8900000000000000029F",
            "8900000000000000037F",
            "8900000000000000045F",
            "8900000000000000052F",
        ] {
            state.profiles.push(SketchProfile { iccid, ..one.clone() });
        }
    }
    let mut modem = Modem::new(Model::named("RM500Q-GL").unwrap(), sketch.card());
    say(&mut modem, "ATE0");
    assert!(say(&mut modem, r#"AT+QESIM="profile_brief""#).contains("\"profile_brief\",9\r\n"));
    assert!(say(&mut modem, r#"AT+QESIM="profile_detail",8"#).ends_with("OK\r\n"));
    assert_eq!(say(&mut modem, r#"AT+QESIM="profile_detail",9"#), "\r\nERROR\r\n");
}
