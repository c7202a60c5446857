//! Packet data contexts, by the commands of TS 27.007 and by those of the module's own stack.

use super::{modem, say, transcript};

#[test]
fn contexts_of_the_specification() {
    let (mut modem, _) = modem("RM500Q-GL");
    say(&mut modem, "AT+CMEE=1");
    insta::assert_snapshot!(transcript(
        &mut modem,
        [
            "AT+CGDCONT=?",
            "AT+CGDCONT?",
            "AT+CGDCONT=2,\"IP\",\"iot.example\"",
            "AT+CGDCONT=2,\"PPP\",\"x\"",
            "AT+CGDCONT=16,\"IP\",\"x\"",
            "AT+CGDCONT=2,\"IP\",\"not an apn\"",
            "AT+CGDCONT?",
            "AT+CGATT=?;+CGATT?",
            "AT+CGEREP=?;+CGEREP?",
            "AT+CGEREP=2,1",
            "AT+CGAUTH=2,1,\"me\",\"secret\"",
            "AT+CGAUTH?",
            "AT+CGAUTH=2,0,\"me\"",
            "AT+CGAUTH=9,1,\"me\",\"x\"",
            "AT+CGACT=?;+CGACT?",
            "AT+CGACT=1,2",
            "AT+CGACT?",
            "AT+CGACT=1,9",
            "AT+CGPADDR=?",
            "AT+CGPADDR",
            "AT+CGPADDR=2",
            "AT+CGCONTRDP=?",
            "AT+CGCONTRDP=2",
            "AT+CGDCONT=2",
            "AT+CGACT=0,2",
            "AT+CGDCONT=2",
            "AT+CGDCONT?",
            "AT+CGACT=1,1",
            "AT+CGCONTRDP",
            "AT+CGATT=0",
            "AT+CGACT?",
            "AT+CGACT=1,1",
            "AT+CGATT=1",
            "AT+CGACT=1,1",
            "AT+CFUN=4",
            "AT+CGACT?;+CGATT?",
        ]
    ));
}

/// EC200U&EG915U SSL AN 1.1 §3.1.
#[test]
fn contexts_of_the_note() {
    let (mut modem, _) = modem("EC200U");
    insta::assert_snapshot!(transcript(
        &mut modem,
        [
            "AT+QICSGP=1,1,\"UNINET\",\"\",\"\",1",
            "AT+QIACT=1",
            "AT+QIACT?",
            "AT+QIDEACT=1",
        ]
    ), @r#"
    > AT+QICSGP=1,1,"UNINET","","",1
    < \r\n
    < OK\r\n
    > AT+QIACT=1
    < \r\n
    < OK\r\n
    > AT+QIACT?
    < \r\n
    < +QIACT: 1,1,1,"10.7.157.1"\r\n
    < \r\n
    < OK\r\n
    > AT+QIDEACT=1
    < \r\n
    < OK\r\n
    "#);
}

#[test]
fn contexts_of_the_stack() {
    let (mut modem, _) = modem("EC200U");
    insta::assert_snapshot!(transcript(
        &mut modem,
        [
            "AT+QICSGP=?",
            "AT+QICSGP=1",
            "AT+QICSGP=1,3,\"iot\",\"me\",\"secret\",2",
            "AT+QICSGP=1",
            "AT+QICSGP=8,1,\"x\"",
            "AT+QIGETERROR",
            "AT+QICSGP=1,4,\"x\"",
            "AT+QICSGP=1,1",
            "AT+QIACT=?",
            "AT+QIACT?",
            "AT+QIACT=2",
            "AT+QIGETERROR",
            "AT+QIDNSCFG=?",
            "AT+QIDNSCFG=1",
            "AT+QIGETERROR",
            "AT+QIACT=1",
            "AT+QIGETERROR",
            "AT+QIACT?",
            "AT+QIDNSCFG=1",
            "AT+QIDNSCFG=1,\"192.0.2.1\"",
            "AT+QIDNSCFG=1",
            "AT+QIDNSCFG=1,\"name\"",
            "AT+QIDEACT=?",
            "AT+QIDEACT=1",
            "AT+QIACT?",
            "AT+CGDCONT?",
            "AT+CFUN=4",
            "AT+QIACT=1",
            "AT+QIGETERROR",
        ]
    ));
}

#[test]
fn dialling_packet_data() {
    let (mut modem, _) = modem("RM500Q-GL");
    assert_eq!(say(&mut modem, "ATD*99***2#"), "\r\nNO CARRIER\r\n");
    assert_eq!(say(&mut modem, "ATD*99***1#"), "\r\nCONNECT 115200\r\n");
    assert!(modem.is_in_data_mode(0));
    let _ = modem.drop_line(0);
    assert!(say(&mut modem, "AT+CGACT?").contains("+CGACT: 1,1"));
    assert!(say(&mut modem, "AT+CGACT=0,1;+CGACT?").contains("+CGACT: 1,0"));
}

/// The link behind the dial string answers, ends on request, and goes with its context.
#[test]
fn a_link_over_packet_data() {
    let (mut modem, _) = modem("RM500Q-GL");
    let dial = "ATD*99***1#";
    assert_eq!(say(&mut modem, dial), "\r\nCONNECT 115200\r\n");
    // LCP: a Configure-Request without options (RFC 1661 §5.1). An echo is not answered before the link is open (§5.8).
    let request = b"\x7E\xFF\x7D\x23\xC0\x21\x7D\x21\x7D\x21\x7D\x20\x7D\x24";
    let sum = [0xFF, 0x03, 0xC0, 0x21, 1, 1, 0, 4].iter().fold(0xFFFFu16, |sum, byte| {
        (0..8).fold(sum ^ byte, |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0x8408 } else { sum >> 1 })
    });
    let mut frame = request.to_vec();
    for byte in (!sum).to_le_bytes() {
        frame.extend([0x7D, byte ^ 0x20]);
    }
    frame.push(0x7E);
    let answer = modem.receive(0, &frame).for_port(0);
    assert!(answer.starts_with(&[0x7E, 0xFF]) && answer.ends_with(&[0x7E]), "{answer:02X?}");
    // The context goes, and the connection with it.
    let output = modem.receive(1, b"AT+CGACT=0,1\r");
    assert_eq!(output.for_port(0), b"\r\nNO CARRIER\r\n");
    assert!(!modem.is_in_data_mode(0));
}
