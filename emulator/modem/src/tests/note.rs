//! AT+QESIM as the note has it (eSIM LPA AN 1.1, chapter 2).

use super::{ISD_R, modem, say, transcript};

/// eSIM LPA AN 1.1 §2.3.1 and §2.3.2.
#[test]
fn note_lpa_enable() {
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
fn note_queries() {
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
fn note_changes() {
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
fn note_switches() {
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
