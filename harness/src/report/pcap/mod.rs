//! A run as a packet capture (pcapng) that Wireshark shows as it is: nothing has to be captured beside it, and no
//! preference to be set.
//!
//! ```text
//! APDUs                       GSMTAP, as from a tracer between modem and card     gsm_sim
//! AT lines, events, faults    GSMTAP, as lines of a log                           gsmtap_log
//! connections to the server   TCP as recorded at the server's end, TLS in it      tcp, tls, http, json
//! their secrets               a block before all packets (decryption secrets)
//! ```
//!
//! Every scenario has an interface of its own, named by its id (`frame.interface_name` in Wireshark), and its packets
//! stand together, in the order of their times. Where the connections were not recorded, time counts from the Unix
//! epoch.

mod blocks;
mod packets;

use std::time::Duration;

use blocks::File;
use packets::Level;

use super::html::Named;
use crate::runner::result::ScenarioResult;
use crate::timeline::{Direction, Event, Kind};

/// The capture as the bytes of a file.
pub fn render(runs: &[Named]) -> Vec<u8> {
    let mut file = File::new();
    let secrets = key_log(runs);
    if !secrets.is_empty() {
        file.secrets(&secrets);
    }
    let scenarios = runs.iter().flat_map(|named| named.run.scenarios.iter().map(move |scenario| (named, scenario)));
    for (named, scenario) in scenarios {
        let packets = packets_of(scenario);
        if packets.is_empty() {
            continue;
        }
        let name = if runs.len() == 1 { scenario.id.clone() } else { format!("{}: {}", named.name, scenario.id) };
        let comment = match &scenario.reason {
            Some(reason) => format!("{}: {reason}", scenario.verdict.words()),
            None => scenario.verdict.words().to_owned(),
        };
        file.interface(&name, &scenario.title, &comment);
        let began = scenario.traffic.as_ref().map_or(Duration::ZERO, |traffic| traffic.began);
        packets.iter().for_each(|(at, packet)| file.packet(began.saturating_add(*at), packet));
    }
    file.into_bytes()
}

/// The secrets of all TLS sessions, as the text of a key log (`SSLKEYLOGFILE`).
pub fn key_log(runs: &[Named]) -> String {
    let scenarios = runs.iter().flat_map(|named| &named.run.scenarios);
    scenarios
        .filter_map(|scenario| scenario.traffic.as_ref())
        .flat_map(|traffic| &traffic.secrets)
        .map(|line| format!("{line}\n"))
        .collect()
}

/// The packets of a scenario, in the order of their times.
fn packets_of(scenario: &ScenarioResult) -> Vec<(Duration, Vec<u8>)> {
    let began = scenario.traffic.as_ref().map_or(Duration::ZERO, |traffic| traffic.began);
    let mut packets: Vec<(Duration, Vec<u8>)> = scenario
        .timeline
        .iter()
        .filter_map(|event| Some((event.at, packet_of(event, began, scenario.traffic.is_some())?)))
        .collect();
    packets.extend(scenario.traffic.iter().flat_map(|traffic| &traffic.connections).flat_map(packets::segments));
    // Stable: what has the same time stays in its order.
    packets.sort_by_key(|(at, _)| *at);
    packets
}

/// What stands in the capture for an event of the timeline.
fn packet_of(event: &Event, began: Duration, recorded: bool) -> Option<Vec<u8>> {
    let role = event.role.name();
    let line = |program: &str, subject: &str, level, text: &str| {
        Some(packets::log(began.saturating_add(event.at), program, subject, level, text))
    };
    match &event.kind {
        Kind::Apdu { command, response } => Some(packets::apdu(command, response)),
        Kind::At { port, direction, text } => {
            let arrow = match direction {
                Direction::Command => '>',
                Direction::Response => '<',
            };
            line(&format!("port {port}"), "AT", Level::Info, &format!("{arrow} {text}"))
        }
        // The request itself is there.
        Kind::Http(_) if recorded => None,
        Kind::Fault { layer, .. } => line("fault", layer, Level::Error, &event.kind.to_string()),
        Kind::Lpa { step } => line(role, "LPA", Level::Info, &step.to_string()),
        Kind::Http(_) | Kind::Note { .. } | Kind::Process { .. } => {
            line(role, role, Level::Notice, &event.kind.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use smdp::front::End;

    use super::blocks::{INTERFACE, PACKET, SECRETS, SECTION_HEADER};
    use super::*;
    use crate::runner::result::tests::run;
    use crate::timeline::Role;
    use crate::traffic::{Connection, Deed, Moment, Recording};

    fn captured() -> [Named; 1] {
        let mut run = run();
        run.scenarios[0].timeline.push(Event {
            at: Duration::from_micros(1_500_000),
            role: Role::Card,
            kind: Kind::Apdu { command: vec![0, 0xA4, 0, 4, 2, 0x3F, 0], response: vec![0x90, 0] },
        });
        run.scenarios[0].timeline.push(Event {
            at: Duration::from_micros(2_000_000),
            role: Role::Lab,
            kind: Kind::Fault { layer: "tcp".into(), text: "TCP connection reset".to_owned() },
        });
        run.scenarios.truncate(1);
        [Named { name: "lpad".to_owned(), run }]
    }

    /// The same with a connection that is reset by the server, before the APDU.
    fn with_traffic() -> [Named; 1] {
        let mut runs = captured();
        let at = Duration::from_micros;
        let connection = Connection {
            client: "127.0.0.1:40000".parse().unwrap(),
            server: "127.1.2.3:50000".parse().unwrap(),
            accepted: at(1_000_000),
            moments: vec![
                Moment { at: at(1_000_100), end: End::Client, deed: Deed::Bytes(b"hello".to_vec()) },
                Moment { at: at(1_000_200), end: End::Server, deed: Deed::Reset },
            ],
        };
        runs[0].run.scenarios[0].traffic = Some(Box::new(Recording {
            began: Duration::from_secs(1_700_000_000),
            connections: vec![connection],
            secrets: vec!["CLIENT_RANDOM 00 11".to_owned()],
        }));
        runs
    }

    /// The types of the blocks of a file, whose lengths are looked at.
    fn kinds(file: &[u8]) -> Vec<u32> {
        let (mut rest, mut kinds) = (file, vec![]);
        while !rest.is_empty() {
            let word = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
            let length = word(4) as usize;
            assert_eq!(length % 4, 0);
            assert_eq!(word(length - 4) as usize, length);
            kinds.push(word(0));
            rest = &rest[length..];
        }
        kinds
    }

    #[test]
    fn blocks_tell_their_lengths_at_both_ends() {
        assert_eq!(kinds(&render(&captured())), [SECTION_HEADER, INTERFACE, PACKET, PACKET]);
        let with_traffic = kinds(&render(&with_traffic()));
        assert_eq!(with_traffic[..3], [SECTION_HEADER, SECRETS, INTERFACE]);
        // SYN, SYN and ACK, ACK, the data, RST; the APDU and the fault.
        assert_eq!(with_traffic[3..], [PACKET; 7]);
        assert_eq!(key_log(&super::tests::with_traffic()), "CLIENT_RANDOM 00 11\n");
    }

    #[test]
    fn wireshark_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.pcapng");
        std::fs::write(&path, render(&with_traffic())).unwrap();
        let fields = [
            "frame.interface_name",
            "frame.time_epoch",
            "_ws.col.Protocol",
            "tcp.flags.str",
            "gsm_sim.apdu.ins",
            "gsm_sim.apdu.sw",
            "gsmtap_log.string",
            "_ws.malformed",
            "ip.checksum.status",
            "tcp.checksum.status",
        ];
        let mut command = std::process::Command::new("tshark");
        command.arg("-r").arg(&path).args(["-T", "fields", "-E", "separator=|"]);
        command.args(["-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE"]);
        for field in fields {
            command.args(["-e", field]);
        }
        let output = match command.output() {
            Ok(output) => output,
            Err(error) => return eprintln!("skipped: tshark cannot be run: {error}"),
        };
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "download/plain|1700000001.000000000|TCP|··········S·|||||1|1",
                "download/plain|1700000001.000000000|TCP|·······A··S·|||||1|1",
                "download/plain|1700000001.000000000|TCP|·······A····|||||1|1",
                "download/plain|1700000001.000100000|TCP|·······AP···|||||1|1",
                "download/plain|1700000001.000200000|TCP|·······A·R··|||||1|1",
                "download/plain|1700000001.500000000|GSM SIM||0xa4|0x9000|||1|",
                "download/plain|1700000002.000000000|GSMTAP||||FAULT tcp: TCP connection reset||1|",
            ],
            "{text}{errors}"
        );
    }
}
