//! Every command in every form: good, missing, surplus, out of range, malformed.

use super::{modem, say, say_raw, transcript};
use crate::{Modem, commands};

/// Every extended command once in each form, and with parameters that no command takes as they are. The good ones of
/// each are in the tests below.
#[test]
fn every_command_in_every_form() {
    let (mut modem, _) = modem("RM500Q-GL");
    say(&mut modem, "AT+CMEE=1");
    // They change what the others see, and have tests of their own.
    let apart = ["+QPOWD", "+CMEE", "+CFUN"];
    let mut lines: Vec<String> = Vec::new();
    for name in commands::names().filter(|name| !apart.contains(name)) {
        for form in ["", "?", "=?", "=", "=99999", "=-1", "=x", "=\"x\"", "=1,2,3,4,5,6,7,8,9", "=\"open"] {
            // A prompt would take the next line for its text.
            lines.push(format!("AT{name}{form}"));
        }
    }
    insta::assert_snapshot!(transcript(&mut modem, lines.iter().map(String::as_str)));
}

#[test]
fn line_settings() {
    let (mut modem, _) = modem("RM500Q-GL");
    insta::assert_snapshot!(transcript(
        &mut modem,
        [
            "AT&V",
            "ATS0=1S3?S4?S5?S6=3S7=30S8=4S10=20S12=10S2=43",
            "AT&V",
            "ATS1?",
            "ATS6=1",
            "ATS99=1",
            "AT&W",
            "AT&F",
            "ATS0?",
            "ATZ",
            "ATS0?",
            "ATL3M0P",
            "ATL4",
            "ATA",
            "ATH0",
            "ATH1",
            "AT+IPR=?",
            "AT+IPR?",
            "AT+IPR=921600",
            "AT+IPR?",
            "AT+IPR=1",
            "AT+IFC=2,2",
            "AT+IFC?",
            "AT+IFC=1",
            "AT+ICF=3,1",
            "AT+ICF?",
            "AT+ICF=2",
            "AT+GCAP",
            "AT+CMEE=2",
            "AT+CMEE?",
            "AT+CMEE=3",
            "AT+CMEE=",
            "AT+CMEE=1,1",
        ]
    ));
}

#[test]
fn identity_clock_and_character_set() {
    let (mut modem, _) = modem("RM500Q-GL");
    insta::assert_snapshot!(transcript(
        &mut modem,
        [
            "AT+CGSN=0;+CGSN=1;+CGSN=2;+CGSN=3",
            "AT+QGMR",
            "AT+CIMI;+QCCID",
            "AT+CNUM",
            "AT+CSCS?",
            "AT+CSCS=\"UCS2\"",
            "AT+CSCS?",
            "AT+CNUM",
            "AT+COPS?",
            "AT+CSCS=\"IRA\"",
            "AT+CSCS=\"UTF-8\"",
            "AT+CCLK?",
            "AT+CCLK=\"27/01/02,03:04:05+08\"",
            "AT+CCLK?",
            "AT+CCLK=\"27/02/30,03:04:05+08\"",
            "AT+CCLK=1",
            "AT+CTZU=3",
            "AT+CTZU?",
            "AT+CTZU=2",
            "AT+CTZR=2",
            "AT+CTZR?",
            "AT+CPAS",
            "AT+CIND?",
            "AT+CEER",
            "AT+CFUN?",
            "AT+CFUN=4",
            "AT+CFUN?;+CREG?",
            "AT+CFUN=1",
            "AT+CREG?",
        ]
    ));
}

#[test]
fn registration_and_operators() {
    let (mut modem, _) = modem("RM500Q-GL");
    say(&mut modem, "AT+CMEE=1");
    insta::assert_snapshot!(transcript(
        &mut modem,
        [
            "AT+CREG=1;+CGREG=2;+CEREG=2;+C5GREG=2",
            "AT+CREG?;+CGREG?;+CEREG?;+C5GREG?",
            "AT+COPS=?",
            "AT+COPS?",
            "AT+COPS=3,2",
            "AT+COPS?",
            "AT+COPS=3,0",
            "AT+COPS=2",
            "AT+COPS?;+CSQ;+CESQ;+QNWINFO",
            "AT+COPS=0",
            "AT+COPS=1,2,\"00199\"",
            "AT+CEER",
            "AT+COPS?",
            "AT+COPS=1,2,\"00101\"",
            "AT+COPS?",
            "AT+COPS=1,0,\"Test\"",
            "AT+COPS=4,2,\"00199\"",
            "AT+COPS=1",
            "AT+COPS=1,0,\"Nobody\"",
            "AT+COPS=5",
            "AT+COPS=0,0,\"x\"",
            "AT+COPS=0",
            "AT+CSQ;+CESQ",
            "AT+CSQ=?;+CESQ=?",
            "AT+WS46?",
            "AT+WS46=28",
            "AT+WS46?",
            "AT+WS46=12",
            "AT+CPOL=?",
            "AT+CPOL?",
            "AT+CPOL=2,2,\"310410\",0,0,0,1",
            "AT+CPOL?",
            "AT+CPOL=1",
            "AT+CPOL?",
            "AT+CPOL=3",
            "AT+CPOL=,2",
            "AT+CPOL=1,2,\"3104\"",
            "AT+CUSD=?;+CUSD?",
            "AT+CUSD=1,\"*100#\",15",
            "AT+CUSD=0,\"*100#\"",
            "AT+CUSD=2",
            "AT+CUSD=1,\"\"",
            "AT+CUSD=3",
            "AT+QNWINFO",
            "AT+QENG=\"servingcell\"",
            "AT+QENG=\"neighbourcell\"",
        ]
    ));
}

#[test]
fn pins() {
    let (mut modem, sketch) = modem("RM500Q-GL");
    say(&mut modem, "AT+CMEE=1");
    let before = transcript(
        &mut modem,
        [
            "AT+CPIN?",
            "AT+CPIN=\"1234\"",
            "AT+CLCK=\"SC\",2",
            "AT+CLCK=\"SC\",1,\"9999\"",
            "AT+CPINR",
            "AT+CPINR=\"SIM PIN*\"",
            "AT+CPINR=\"SIM PUK\"",
            "AT+CPINR=\"PH-SIM\"",
            "AT+QPINC?",
            "AT+QPINC=\"P2\"",
            "AT+CLCK=\"SC\",1,\"1234\"",
            "AT+CLCK=\"SC\",2",
            "AT+CPWD=\"SC\",\"1234\",\"5678\"",
            "AT+CPWD=\"P2\",\"1234\",\"5678\"",
            "AT+CPWD=\"SC\",\"12\",\"5678\"",
            "AT+CPWD=\"AO\",\"1234\",\"5678\"",
            "AT+CLCK=\"PN\",2",
            "AT+CLCK=\"PN\",1,\"1234\"",
            "AT+CLCK=\"XX\",2",
            "AT+CLCK=\"SC\",3",
            "AT+CFUN=1,1",
        ],
    );
    say(&mut modem, "ATE0+CMEE=1");
    let after = transcript(
        &mut modem,
        [
            "AT+CPIN?",
            "AT+CIMI",
            "AT+CREG?",
            "AT+CMGL=4",
            "AT+CRSM=176,28423,0,0,9",
            "AT+CPIN=\"5678\",\"1111\"",
            "AT+CPIN=\"123\"",
            "AT+CPIN=\"0000\"",
            "AT+CPIN=\"0000\"",
            "AT+CPIN=\"0000\"",
            "AT+CPIN?",
            "AT+CPIN=\"5678\"",
            "AT+CPIN=\"00000000\",\"1234\"",
            "AT+CPIN=\"12345678\",\"1234\"",
            "AT+CPIN?",
            "AT+CIMI",
            "AT+CLCK=\"SC\",0,\"5678\"",
            "AT+CLCK=\"SC\",2",
        ],
    );
    assert!(!sketch.0.lock().unwrap().pin_enabled);
    insta::assert_snapshot!(format!("{before}{after}"));
}

#[test]
fn card_access() {
    let (mut modem, sketch) = modem("RM500Q-GL");
    say(&mut modem, "AT+CMEE=1");
    insta::assert_snapshot!(transcript(
        &mut modem,
        [
            "AT+CRSM=?",
            "AT+CRSM=176,12258,0,0,10",
            "AT+CRSM=176,28423,0,0,9",
            "AT+CRSM=192,28423",
            "AT+CRSM=192,28423,0,0,15",
            "AT+CRSM=176,28486,0,0,17",
            "AT+CRSM=178,28480,1,4,22",
            "AT+CRSM=178,28480,9,4,22",
            "AT+CRSM=178,28474,1,4,24,,\"3F007F10\"",
            "AT+CRSM=220,28474,1,4,24,\"414243FFFFFFFFFFFFFF0381214365FFFFFFFFFFFFFFFFFF\",\"3F007F10\"",
            "AT+CRSM=178,28474,1,4,24,,\"7F10\"",
            "AT+CRSM=176,28423,0,0,9,,\"3F007FFF\"",
            "AT+CRSM=176,1,0,0,1",
            "AT+CRSM=214,28486,0,1,4,\"41424344\"",
            "AT+CRSM=176,28486,0,0,8",
            "AT+CRSM=242",
            "AT+CRSM=177,1",
            "AT+CRSM=176",
            "AT+CRSM=176,99999",
            "AT+CRSM=214,28486,0,0,1",
            "AT+CRSM=176,28486,0,0,256",
            "AT+CRSM=176,28486,0,0,1,\"0\"",
            "AT+CSIM=10,\"0020000100\"",
            "AT+CSIM=10,\"002C000100\"",
        ]
    ));
    assert_eq!(sketch.open_channels(), 0);
}

#[test]
fn phone_books() {
    let (mut modem, _) = modem("RM500Q-GL");
    say(&mut modem, "AT+CMEE=1");
    insta::assert_snapshot!(transcript(
        &mut modem,
        [
            "AT+CPBS=?",
            "AT+CPBS?",
            "AT+CPBR=?",
            "AT+CPBW=?",
            "AT+CPBR=1,5",
            "AT+CPBW=1,\"+441234\",145,\"Ann\"",
            "AT+CPBW=,\"112#\",129,\"Bo\"",
            "AT+CPBR=1,5",
            "AT+CPBS?",
            "AT+CPBW=1",
            "AT+CPBR=1",
            "AT+CPBR=0",
            "AT+CPBR=6",
            "AT+CPBR=2,1",
            "AT+CPBW=9,\"1\"",
            "AT+CPBW=1,\"12x\"",
            "AT+CPBW=1,\"123456789012345678901\"",
            "AT+CPBW=1,\"1\",129,\"far too long a name\"",
            "AT+CPBW=1,\"1\",1",
            "AT+CPBW=",
            "AT+CPBS=\"ME\"",
            "AT+CPBS?",
            "AT+CPBW=100,\"123\",129,\"Last\"",
            "AT+CPBW=101,\"123\"",
            "AT+CPBR=1,100",
            "AT+CPBS=\"ON\"",
            "AT+CPBR=1",
            "AT+CPBS=\"EN\"",
            "AT+CPBR=1,2",
            "AT+CPBW=1,\"113\"",
            "AT+CPBS=\"LD\"",
            "AT+CPBS?",
            "AT+CPBR=1,10",
            "AT+CPBW=1,\"1\"",
            "AT+CPBS=\"EN\";+CPBW=1,\"999\",129,\"x\"",
            "AT+CPBS=\"ME\";+CPBR=?;+CPBW=?",
            "AT+CPBW=100,\"12345678901234567890\",129,\"thirty characters of a name .x.\"",
            "AT+CPBW=100,\"12345678901234567890\",129,\"thirty characters of a name ..\"",
            "AT+CPBR=100",
            "AT+CPBS=\"FD\"",
            "AT+CPBS?",
            "AT+CPBR=?",
            "AT+CPBW=1,\"1\"",
            "AT+CPBS=\"XX\"",
        ]
    ));
}

#[test]
fn messages_as_pdus() {
    let (mut modem, _) = modem("RM500Q-GL");
    say(&mut modem, "AT+CMEE=1");
    insta::assert_snapshot!(transcript(
        &mut modem,
        [
            "AT+CSMS?;+CSMS=1;+CMGF?;+CPMS?",
            "AT+CPMS=\"ME\",\"ME\",\"ME\"",
            "AT+CNMI=2,1,0,2,0",
            "AT+CNMI?",
            "AT+CMGS=23",
            "0011000B916407281553F80000AA0AE8329BFD4697D9EC37␚",
            "AT+CMGL=4",
            "AT+CMGR=0",
            "AT+CMGR=0",
            "AT+CMGR=1",
            "AT+CMGS=22",
            "0011000B916407281553F80000AA0AE8329BFD4697D9EC37␚",
            "AT+CMGS=5",
            "0011␚",
            "AT+CMGS=4",
            "nonsense␚",
            "AT+CMGW=23",
            "0031000B916407281553F80000AA0AE8329BFD4697D9EC37␚",
            "AT+CMGL=2",
            "AT+CMSS=1",
            "AT+CMGL=3",
            "AT+CPMS=\"SR\"",
            "AT+CMGL=4",
            "AT+CPMS=\"ME\"",
            "AT+CMSS=1,\"+4912345\"",
            "AT+CMSS=0",
            "AT+CMSS=9",
            "AT+CMGD=?",
            "AT+CMGD=1",
            "AT+CMGD=1",
            "AT+CMGD=999",
            "AT+CMGD=1,4",
            "AT+CMGL=4",
            "AT+CMGD=1,5",
            "AT+CPMS=\"SM\",\"SM\",\"SM\"",
            "AT+CMGS=23",
            "0011000B916407281553F80000AA0AE8329BFD4697D9EC37␚",
            "AT+CMGR=1",
            "AT+CMGR=1",
            "AT+CPMS?",
            "AT+CMGD=1",
            "AT+CPMS?",
            "AT+CMGD=0",
            "AT+CMGD=4",
            "AT+CPMS=\"XX\"",
            "AT+CPMS=\"ME\",\"SR\"",
            "AT+CMGS=165",
            "AT+CMGS=0",
            "AT+CMGS=",
            "AT+CMGS=23;+CMGF=1",
            "AT+CSCA?",
            "AT+CSCA=\"+4912345\"",
            "AT+CSCA?",
            "AT+CSCA=\"x\"",
            "AT+CMMS=2",
            "AT+CMMS?",
            "AT+CNMA",
            "AT+CNMI=2,2",
            "AT+CMGS=23",
            "0011000B916407281553F80000AA0AE8329BFD4697D9EC37␚",
            "AT+CNMA",
            "AT+CNMA",
            "AT+CNMI=2,0",
            "AT+CNMI=9",
            "AT+CPMS=\"ME\",\"ME\",\"ME\";+CFUN=4",
            "AT+CMGS=23",
            "0011000B916407281553F80000AA0AE8329BFD4697D9EC37␚",
        ]
    ));
}

#[test]
fn messages_as_text() {
    let (mut modem, _) = modem("RM500Q-GL");
    say(&mut modem, "AT+CMEE=2;+CMGF=1");
    insta::assert_snapshot!(transcript(
        &mut modem,
        [
            "AT+CMGF?",
            "AT+CSMP?",
            "AT+CSDH?",
            "AT+CMGS=\"+46708251358\"",
            "hello␚",
            "AT+CMGL=\"ALL\"",
            "AT+CSDH=1",
            "AT+CMGR=0",
            "AT+CMGW=\"123\"",
            "stored␚",
            "AT+CMGW",
            "no number␚",
            "AT+CMGL=\"STO UNSENT\"",
            "AT+CMSS=1",
            "AT+CMSS=2",
            "AT+CMGL=\"REC UNREAD\"",
            "AT+CMGL",
            "AT+CMGL=\"NONE\"",
            "AT+CMGL=?",
            "AT+CSMP=49,167,0,8",
            "AT+CSMP?",
            "AT+CSMP=2",
            "AT+CSMP=17,999",
            "AT+CNMI=2,2,0,1",
            "AT+CMGS=\"123\"",
            "wide␚",
            "AT+CMGS=\"123\"",
            "00480069␚",
            "AT+CSCS=\"UCS2\";+CSMP=17,167,0,0",
            "AT+CMGS=\"003100320033\"",
            "041F0440␚",
            "AT+CNMI=2,1;+CMGS=\"123\"",
            "AT+CMGS=\"123\"",
            "zz␚",
            "AT+CMGS=\"\"",
            "AT+CMGS=12",
            "AT+CMGD=0,4",
        ]
    ));
    // ESC gives the message up; several lines have a prompt each; what is too long for one is refused.
    say(&mut modem, "AT+CSCS=\"GSM\"");
    assert_eq!(say(&mut modem, "AT+CMGS=\"123\""), "\r\n> ");
    assert_eq!(say_raw(&mut modem, b"one\rtwo\x1B"), "\r\n> \r\nOK\r\n");
    say(&mut modem, "AT+CMGS=\"123\"");
    let long = say_raw(&mut modem, &[&[b'a'; 161][..], b"\x1A"].concat());
    assert_eq!(long, "\r\n+CMS ERROR: invalid text mode parameter\r\n");
    say(&mut modem, "AT+CMGS=\"123\"");
    assert!(say_raw(&mut modem, &[&[b'a'; 5000][..], b"\x1A"].concat()).contains("+CMS ERROR"));
    // With echo the text comes back.
    say(&mut modem, "ATE1+CMGS=\"123\"");
    assert_eq!(say_raw(&mut modem, b"ab\x08c\x1B"), "ab\x08 \x08c\r\nOK\r\n");
}

/// TS 27.005 §3.1, `<data>`: with UCS2, 8-bit data or a header the body is octets in hexadecimal digits both ways,
/// whatever +CSCS says. A report has fields of its own, and no body. A list has fewer details than a reading.
#[test]
fn text_mode_as_the_specification_has_it() {
    let (mut modem, _) = modem("RM500Q-GL");
    say(&mut modem, "AT+CMEE=2;+CMGF=1;+CNMI=2,1,0,2");
    insta::assert_snapshot!(transcript(
        &mut modem,
        [
            "AT+CSMP=17,167,0,8;+CMGS=\"123\"",
            "04120430␚",
            "AT+CSMP=17,167,0,4;+CMGS=\"123\"",
            "00ff7e␚",
            "AT+CSMP=81,167,0,0;+CMGS=\"123\"",
            "050003010201C834␚",
            "AT+CSMP=49,167,0,0;+CMGS=\"123\"",
            "plain␚",
            "AT+CMGL=\"ALL\"",
            "AT+CSDH=1;+CMGL=\"ALL\"",
            "AT+CMGR=1",
            "AT+CPMS=\"SR\";+CMGL=\"ALL\"",
            "AT+CMGR=0",
            "AT+CPMS=\"ME\";+CMGD=0,4",
            "AT+CSMP=1,167,0,0;+CMGW=\"123\"",
            "no validity␚",
            "AT+CSMP=17;+CMGW=\"123\",129,\"REC READ\"",
            "as received␚",
            "AT+CMGR=0",
            "AT+CMGR=1",
            "AT+CMGL=\"ALL\"",
            "AT+CMGF=0;+CMGL=4",
        ]
    ));
}

/// TS 27.007 §7.15: octets are octets, as many as TS 24.090 lets through.
#[test]
fn ussd_in_octets() {
    let (mut modem, _) = modem("RM500Q-GL");
    let answer = |modem: &mut Modem, asked: &str, coding: u8| say(modem, &format!("AT+CUSD=1,\"{asked}\",{coding}"));
    for coding in [72, 17, 68, 0xF4] {
        assert_eq!(answer(&mut modem, "002a00410", coding), "\r\nERROR\r\n");
        assert_eq!(answer(&mut modem, "*100#", coding), "\r\nERROR\r\n");
        let asked = "00e9".repeat(80);
        let told = format!("\r\nOK\r\n\r\n+CUSD: 0,\"{}\",{coding}\r\n", asked.to_uppercase());
        assert_eq!(answer(&mut modem, &asked, coding), told);
        assert_eq!(answer(&mut modem, &"00".repeat(161), coding), "\r\nERROR\r\n");
    }
    assert_eq!(answer(&mut modem, "*100#", 15), "\r\nOK\r\n\r\n+CUSD: 0,\"*100#\",15\r\n");
    assert_eq!(answer(&mut modem, &"1".repeat(183), 15), "\r\nERROR\r\n");
}

#[test]
fn messages_from_outside() {
    let (mut modem, _) = modem("RM500Q-GL");
    let output = modem.deliver_message("+4912345", "Grüße").unwrap();
    assert_eq!(output.for_port(1), b"\r\n+CMTI: \"ME\",0\r\n");
    let text = say(&mut modem, "AT+CMGF=1;+CMGR=0");
    assert!(text.starts_with("\r\n+CMGR: \"REC UNREAD\",\"+4912345\",,\"26/11/20,10:31:45+00\"\r\n"), "{text}");
    assert!(modem.deliver_message("nobody", "x").is_err());
    assert!(modem.deliver_message("1", &"x".repeat(161)).is_err());
    say(&mut modem, "AT+CFUN=4");
    assert!(modem.deliver_message("1", "x").is_err());
}

#[test]
fn makers_own() {
    let (mut modem, _) = modem("RM500Q-GL");
    say(&mut modem, "AT+CMEE=1");
    insta::assert_snapshot!(transcript(
        &mut modem,
        [
            "AT+QINISTAT",
            "AT+QSIMSTAT?",
            "AT+QSIMSTAT=1",
            "AT+QSIMSTAT?",
            "AT+QSIMSTAT=2",
            "AT+QSIMDET?",
            "AT+QSIMDET=1,0",
            "AT+QSIMDET?",
            "AT+QSIMDET=1",
            "AT+QUIMSLOT?",
            "AT+QUIMSLOT=2",
            "AT+CPIN?",
            "AT+QESIM=\"eid\"",
            "AT+QINISTAT",
            "AT+QUIMSLOT=1",
            "AT+CPIN?",
            "AT+QUIMSLOT=3",
            "AT+QINDCFG=?",
            "AT+QINDCFG=\"csq\"",
            "AT+QINDCFG=\"csq\",1,1",
            "AT+QINDCFG=\"csq\"",
            "AT+QINDCFG=\"x\"",
            "AT+QINDCFG=\"csq\",2",
            "AT+QCFG=?",
            "AT+QCFG=\"usbnet\"",
            "AT+QCFG=\"usbnet\",2",
            "AT+QCFG=\"usbnet\"",
            "AT+QCFG=\"usbnet\",9",
            "AT+QCFG=\"x\"",
            "AT+QURCCFG=?",
            "AT+QURCCFG=\"urcport\"",
            "AT+QURCCFG=\"urcport\",\"x\"",
            "AT+QURCCFG=\"x\"",
            "AT+QNWPREFCFG=?",
            "AT+QNWPREFCFG=\"mode_pref\"",
            "AT+QNWPREFCFG=\"mode_pref\",LTE:NR5G",
            "AT+QNWPREFCFG=\"mode_pref\"",
            "AT+QNWPREFCFG=\"mode_pref\",GSM",
            "AT+QNWPREFCFG=\"lte_band\",1:3:7",
            "AT+QNWPREFCFG=\"lte_band\"",
            "AT+QNWPREFCFG=\"lte_band\",1:99",
            "AT+QNWPREFCFG=\"x\"",
            "AT+QTEMP",
            "AT+QPOWD=2",
            "AT+QPOWD=?",
        ]
    ));
}

/// Unsolicited result codes go where AT+QURCCFG sends them.
#[test]
fn where_urcs_go() {
    let (mut modem, _) = modem("RM500Q-GL");
    for (port, expected) in
        [("usbat", [true, false]), ("usbmodem", [false, true]), ("uart1", [false; 2]), ("all", [true; 2])]
    {
        say(&mut modem, &format!("AT+QURCCFG=\"urcport\",\"{port}\""));
        let output = modem.deliver_message("1", "x").unwrap();
        assert_eq!([0, 1].map(|port| !output.for_port(port).is_empty()), expected, "{port}");
    }
}

/// eSIM LPA AN 1.1: 300 ms for all of its commands.
#[test]
fn maximum_response_times() {
    let within = |name| crate::maximum_response_time(name).map(|time| time.as_millis());
    assert_eq!(within("+qesim"), Some(300));
    assert_eq!((within("+COPS"), within("+CFUN"), within("+NONE")), (Some(180_000), Some(15_000), None));
}
