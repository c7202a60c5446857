//! Keys are wiped: once a profile is deleted, or has not been installed, its keys are nowhere in the memory of the
//! card's process.
//!
//! The card is in a process of its own, this test once more, where neither server nor LPA can leave a copy. It takes
//! APDUs line by line, and looks for the keys itself, in all of its memory that can be written. It knows them masked.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};

use rsp::bpp;
use rsp::crypto::{Curve, PublicKey, SeededRandom, sha256};
use rsp::es10::auth::{AuthenticateServerResponse, parse_euicc_challenge};
use rsp::es10::download::{PrepareDownloadResponse, ProfileInstallationResult};
use rsp::ids::{from_hex, to_hex};

use super::lab::*;
use crate::Euicc;

/// Set for the process of the card.
const IS_CARD: &str = "EUICC_TEST_IS_CARD";

const MASK: u8 = 0xA5;

/// K and OPc of the profile, masked.
fn masked_keys() -> [[u8; 16]; 2] {
    let digest = sha256(&[b"the keys that are to be wiped"]);
    [std::array::from_fn(|index| digest[index]), std::array::from_fn(|index| digest[16 + index])]
}

/// Whether these are K or OPc.
pub(super) fn is_key(bytes: &[u8]) -> bool {
    masked_keys().iter().any(|key| key.iter().zip(bytes).all(|(masked, byte)| *masked == *byte ^ MASK))
}

/// A profile with these keys.
pub(super) fn order_with_keys() -> Order {
    let [key, opc] = masked_keys().map(|masked| masked.map(|byte| byte ^ MASK));
    let mut elements = elements(ICCID);
    elements[3] = element(0xA4, true, 3, |w| {
        w.nested(0xA1, |w| w.nested(0xA1, |w| w.integer(0x80, 1).put(0x81, &[1]).put(0x82, &key).put(0x83, &opc)))
    });
    Order { package: elements.concat(), ..order(ICCID) }
}

/// How often a key is found in the memory of this process that can be written.
fn count_keys() -> usize {
    const OVERLAP: usize = 15;
    let keys = masked_keys();
    let memory = File::open("/proc/self/mem").unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut buffer = vec![0; 1 << 16];
    let own = buffer.as_ptr() as u64..buffer.as_ptr() as u64 + buffer.len() as u64;
    let mut found = 0;
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw"))) {
        let (start, end) = line.split(' ').next().and_then(|range| range.split_once('-')).unwrap();
        let [start, end] = [start, end].map(|address| u64::from_str_radix(address, 16).unwrap());
        // What has been read stands in the buffer: that is no place of the card's.
        for part in [start..end.min(own.start.max(start)), own.end.clamp(start, end)..end] {
            let mut at = part.start;
            while at < part.end {
                let length = buffer.len().min((part.end - at) as usize);
                let Ok(read @ 1..) = memory.read_at(&mut buffer[..length], at) else { break };
                let is_key = |window: &[u8]| {
                    keys.iter().any(|key| key.iter().zip(window).all(|(masked, byte)| *masked == *byte ^ MASK))
                };
                found += buffer[..read].windows(16).filter(|window| is_key(window)).count();
                at += if read > OVERLAP && at + (read as u64) < part.end { read - OVERLAP } else { read } as u64;
            }
        }
    }
    found
}

/// The process of the card: a line of hexadecimal digits is an APDU, `count` asks for the keys. Answers go to the
/// standard error, which the test runner leaves alone.
fn be_card() {
    let mut card = Euicc::new(config(&[Curve::P256]), Box::new(SeededRandom::new(7, "card")));
    card.reset();
    for line in std::io::stdin().lines() {
        let answer = match line.unwrap().as_str() {
            "reset" => to_hex(&card.reset()),
            "count" => count_keys().to_string(),
            apdu => to_hex(&card.transmit(&from_hex(apdu).unwrap(), NOW)),
        };
        eprintln!("{answer}");
    }
}

/// The card in the other process.
struct Remote {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStderr>,
}

impl Remote {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::wiped::keys_are_wiped_on_delete", "--nocapture"])
            .env(IS_CARD, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stderr.take().unwrap()));
        Remote { child, input, output }
    }

    fn ask(&mut self, line: &str) -> String {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        answer.trim().to_owned()
    }

    /// How often a key is in the card's memory.
    fn count(&mut self) -> usize {
        self.ask("count").parse().unwrap()
    }

    /// One APDU, and what GET RESPONSE fetches; without the status word at the end.
    fn send(&mut self, apdu: &str) -> (Vec<u8>, u16) {
        let mut data = Vec::new();
        let mut answer = self.ask(apdu);
        loop {
            let mut response = from_hex(&answer).unwrap_or_else(|| panic!("{answer}"));
            let sw = response.split_off(response.len() - 2);
            data.extend(response);
            if sw[0] != 0x61 {
                return (data, u16::from_be_bytes([sw[0], sw[1]]));
            }
            answer = self.ask(&format!("80C00000{:02X}", sw[1]));
        }
    }

    fn select_isdr(&mut self) {
        assert_eq!(self.send("00A4040C10A0000005591010FFFFFFFF8900000100").1, 0x9000);
    }

    fn es10(&mut self, command: &[u8]) -> Vec<u8> {
        let count = command.len().div_ceil(255);
        let mut data = Vec::new();
        for (number, block) in command.chunks(255).enumerate() {
            let p1 = if number + 1 == count { 0x91 } else { 0x11 };
            let (answer, sw) = self.send(&format!("80E2{p1:02X}{number:02X}{:02X}{}", block.len(), to_hex(block)));
            assert_eq!(sw, 0x9000);
            data = answer;
        }
        data
    }

    /// A download up to the package, in the pieces of an LPA.
    fn prepared(&mut self, lab: &mut Lab) -> Vec<Vec<u8>> {
        self.select_isdr();
        let challenge = parse_euicc_challenge(&self.es10(&from_hex("BF2E00").unwrap())).unwrap();
        let response = self.es10(&lab.authenticate_request(challenge));
        let AuthenticateServerResponse::Ok(ok) = AuthenticateServerResponse::parse(&response).unwrap() else {
            panic!("not authenticated")
        };
        let signature1 = ok.euicc_signature1.try_into().unwrap();
        let request = lab.prepare_request(&lab.smdp_signed2(), &signature1, None, &lab.server.pb.clone());
        let response = self.es10(&request);
        let PrepareDownloadResponse::Ok { euicc_signed2, .. } = PrepareDownloadResponse::parse(&response).unwrap()
        else {
            panic!("not prepared")
        };
        let otpk = PublicKey::from_point(Curve::P256, &euicc_signed2.euicc_otpk).unwrap();
        let package = lab.bind(&order_with_keys(), &otpk);
        bpp::load_commands(&package).unwrap().into_iter().map(<[u8]>::to_vec).collect()
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

#[test]
fn keys_are_wiped_on_delete() {
    // proves: Robust - keys are wiped on delete
    if std::env::var_os(IS_CARD).is_some() {
        return be_card();
    }
    if !cfg!(target_os = "linux") {
        eprintln!("skipped: the memory of a process is read from /proc/self/mem");
        return;
    }
    let mut lab = Lab::new(Curve::P256);
    let mut card = Remote::start();
    assert_eq!(card.count(), 0);

    // Installed, enabled and used, the profile is in the memory; deleted, it is not.
    let pieces = card.prepared(&mut lab);
    let mut result = Vec::new();
    for piece in &pieces {
        result = card.es10(piece);
    }
    assert!(ProfileInstallationResult::parse(&result).is_ok());
    assert!(card.count() >= 2);
    assert_eq!(to_hex(&card.es10(&from_hex("BF3111A00C5A0A988842070011713618F0810100").unwrap())), "BF3103800100");
    assert_eq!(card.send("00A4040C0CA0000000871002FF49FF0589").1, 0x9000);
    let challenge = format!("0088008122 10{} 10{}00", "23".repeat(16), "55".repeat(16));
    assert_eq!(card.send(&challenge.replace(' ', "")).1, 0x9862);
    card.select_isdr();
    assert_eq!(to_hex(&card.es10(&from_hex("BF3211A00C5A0A988842070011713618F0810100").unwrap())), "BF3203800100");
    assert_eq!(to_hex(&card.es10(&from_hex("BF330C5A0A988842070011713618F0").unwrap())), "BF3303800100");
    assert_eq!(card.count(), 0, "after the profile was deleted");

    // A download that is cut off before its last piece, and one that fails with it.
    let pieces = card.prepared(&mut lab);
    for piece in &pieces[..pieces.len() - 1] {
        assert!(card.es10(piece).is_empty());
    }
    assert!(card.count() >= 2);
    card.ask("reset");
    assert_eq!(card.count(), 0, "after a reset in the middle");
    let mut pieces = card.prepared(&mut lab);
    *pieces.last_mut().and_then(|piece| piece.last_mut()).unwrap() ^= 1;
    for piece in &pieces {
        result = card.es10(piece);
    }
    assert!(ProfileInstallationResult::parse(&result).is_ok());
    assert_eq!(card.count(), 0, "after an installation that has failed");
}
