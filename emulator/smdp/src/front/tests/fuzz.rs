//! Requests that nobody would send, by the million: valid ones of every endpoint, changed at random on every level
//! (HTTP body, JSON, Base64, DER), against one server in this process.
//!
//! A few thousand with every test run; ten million by
//! `cargo test --release -p smdp -- --ignored ten_million --nocapture`.

use rsp::crypto::{Random, SeededRandom};
use rsp::es10::download::CancelSessionReason;
use rsp::tlv::Writer;

use super::*;
use crate::front::es2::PeerFunction;
use crate::order::OrderSpec;
use crate::server::SmdpConfig;
use crate::smds::{DsCredentials, SmdsConfig};

/// Random numbers, fast and repeatable (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % sides.max(1)
    }
}

/// Bytes that mean something somewhere.
const WORDS: [&[u8]; 14] = [
    b"\"",
    b"{",
    b"null",
    b"\\u0000",
    b"=",
    b"\x80",
    b"\x30\x80",
    b"\x84\xFF\xFF\xFF\xFF",
    b"\xBF\x38\x00",
    b"\xA0\x00",
    b"\x81\x01\x7F",
    b"\x1F\x81",
    b"\xFF\xFF",
    b"-1",
];

/// Changes bytes in one to four places.
fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(bytes.len() + 1);
        match dice.roll(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.roll(8),
            1 if at < bytes.len() => bytes[at] = dice.roll(256) as u8,
            2 => bytes.truncate(at),
            3 => {
                let end = (at + dice.roll(20)).min(bytes.len());
                bytes.drain(at..end);
            }
            4 => {
                let word = WORDS[dice.roll(WORDS.len())];
                bytes.splice(at..at, word.iter().copied());
            }
            5 => {
                let end = (at + dice.roll(20)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                let to = dice.roll(bytes.len() + 1);
                bytes.splice(to..to, copy);
            }
            _ if at < bytes.len() => bytes[at] = bytes[at].wrapping_add(1),
            _ => {}
        }
    }
}

/// A request that is right: its function, and the parts of its body.
#[derive(Clone)]
enum Seed {
    Rsp(Function, Vec<(&'static str, Part)>),
    Peer(PeerFunction, Value),
}

#[derive(Clone)]
enum Part {
    Text(String),
    Binary(Vec<u8>),
}

/// What was sent, and how it was answered.
#[derive(Debug, Default)]
struct Tally {
    requests: u64,
    accepted: u64,
    refused: BTreeMap<String, u64>,
    unreadable: u64,
}

use std::collections::BTreeMap;

struct Fuzzer {
    front: Arc<Front>,
    ds: Arc<Front>,
    runtime: tokio::runtime::Runtime,
    card: Card,
    dice: Dice,
    seeds: Vec<Seed>,
    tally: Tally,
}

fn front(backend: Backend) -> Arc<Front> {
    // Nothing of this goes into the network.
    let client = ClientOptions { patience: Duration::ZERO, ..ClientOptions::default() };
    let options = Options { clock: Arc::new(|| NOW), client, ..Options::default() };
    Arc::new(Front::new(backend, options, None))
}

impl Fuzzer {
    fn new(seed: u64) -> Self {
        let mut random = SeededRandom::new(seed, "fuzz");
        let own = pki().smds(Curve::P256).unwrap();
        let own = DsCredentials { ci: pki().ci(Curve::P256).unwrap().clone(), auth: identity(&own.auth) };
        let smds = Smds::new(SmdsConfig::new("smds.example.com", vec![own]), Box::new(random.clone())).unwrap();
        let mut fuzzer = Fuzzer {
            front: front(Backend::Smdp(Arc::new(Mutex::new(Fuzzer::smdp())))),
            ds: front(Backend::Smds(Arc::new(Mutex::new(smds)))),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            card: Card::on(Curve::P256),
            dice: Dice(
                u64::from_be_bytes({
                    let mut bytes = [0; 8];
                    random.fill(&mut bytes);
                    bytes
                }) | 1,
            ),
            seeds: Vec::new(),
            tally: Tally::default(),
        };
        fuzzer.renew();
        fuzzer
    }

    fn smdp() -> Smdp {
        let config = SmdpConfig { max_sessions: 100, ..config(pki()) };
        let mut smdp = Smdp::new(config, Box::new(SeededRandom::new(9, "fuzz"))).unwrap();
        smdp.add_order(OrderSpec::new("AC-1", profile()), NOW).unwrap();
        let spec = OrderSpec { profile_type: Some("Stock".to_owned()), ..OrderSpec::inventory(profile()) };
        smdp.add_order(spec, NOW).unwrap();
        smdp
    }

    /// New sessions at each stage, and the requests that would follow.
    fn renew(&mut self) {
        let Backend::Smdp(shared) = &self.front.backend else { return };
        let mut smdp = shared.lock().unwrap();
        *smdp = Fuzzer::smdp();
        let card = &self.card;
        let text = |text: &str| Part::Text(text.to_owned());
        let mut seeds = vec![Seed::Rsp(
            Function::InitiateAuthentication,
            vec![
                ("euiccChallenge", Part::Binary(card.challenge.to_vec())),
                ("smdpAddress", text(ADDRESS)),
                ("euiccInfo1", Part::Binary(card.info1())),
            ],
        )];
        for matching_id in ["AC-1", ""] {
            let ok = card.initiate(&mut smdp).unwrap();
            let id = ok.transaction_id.to_string();
            let response = card.authenticate(&ok, Some(matching_id));
            let parts = vec![("transactionId", text(&id)), ("authenticateServerResponse", Part::Binary(response))];
            seeds.push(Seed::Rsp(Function::AuthenticateClient, parts));
        }
        let client = card.authenticate_client(&mut smdp, Some("AC-1")).unwrap();
        let id = client.transaction_id.to_string();
        let response = card.prepare(&client, None);
        let parts = vec![("transactionId", text(&id)), ("prepareDownloadResponse", Part::Binary(response))];
        seeds.push(Seed::Rsp(Function::GetBoundProfilePackage, parts));
        let cancel = card.cancel(&client.transaction_id, CancelSessionReason::Postponed);
        let parts = vec![("transactionId", text(&id)), ("cancelSessionResponse", Part::Binary(cancel))];
        seeds.push(Seed::Rsp(Function::CancelSession, parts));
        let (_, package) = card.download(&mut smdp, Some("AC-1"), None).unwrap();
        for notification in [
            card.installation(&package.transaction_id, profile().iccid(), false),
            card.other(2, NotificationEvent::Enable, profile().iccid()),
        ] {
            let parts = vec![("pendingNotification", Part::Binary(notification))];
            seeds.push(Seed::Rsp(Function::HandleNotification, parts));
        }
        let header = json!({ "functionRequesterIdentifier": "2.999.1", "functionCallIdentifier": "1" });
        let (iccid, eid) = (profile().iccid().padded(), eid().to_string());
        for (function, body) in [
            (PeerFunction::DownloadOrder, json!({ "profileType": "Stock", "eid": eid })),
            (PeerFunction::DownloadOrder, json!({ "iccid": iccid })),
            (
                PeerFunction::ConfirmOrder,
                json!({ "iccid": iccid, "matchingId": "M", "smdsAddress": "127.0.0.1:1", "releaseFlag": true }),
            ),
            (PeerFunction::ReleaseProfile, json!({ "iccid": iccid })),
            (PeerFunction::CancelOrder, json!({ "iccid": iccid, "finalProfileStatusIndicator": "Available" })),
            (
                PeerFunction::RegisterEvent,
                json!({ "eid": eid, "rspServerAddress": ADDRESS, "eventId": "E", "forwardingIndicator": true }),
            ),
            (PeerFunction::DeleteEvent, json!({ "eid": eid, "eventId": "E" })),
        ] {
            let mut body = body;
            body["header"] = header.clone();
            seeds.push(Seed::Peer(function, body));
        }
        self.seeds = seeds;
    }

    /// A body that comes near to a request: changed inside of one of its parts, or as a whole.
    fn body(&mut self, seed: &Seed, binding_asn1: bool) -> Vec<u8> {
        let dice = &mut self.dice;
        let mut body = match seed {
            Seed::Peer(_, body) => body.to_string().into_bytes(),
            Seed::Rsp(function, parts) => {
                let mut parts = parts.clone();
                if dice.roll(4) > 0 {
                    let which = dice.roll(parts.len());
                    match &mut parts[which].1 {
                        Part::Binary(bytes) => mutate(bytes, dice),
                        Part::Text(text) => {
                            let mut bytes = std::mem::take(text).into_bytes();
                            mutate(&mut bytes, dice);
                            *text = String::from_utf8_lossy(&bytes).into_owned();
                        }
                    }
                }
                if binding_asn1 { in_asn1(*function, &parts) } else { in_json(&parts) }
            }
        };
        if dice.roll(3) == 0 {
            mutate(&mut body, dice);
        }
        body
    }

    fn note(&mut self, result: Result<(), StatusError>) {
        self.tally.requests += 1;
        match result {
            Ok(()) => self.tally.accepted += 1,
            Err(status) => {
                assert_ne!(status.subject, "8", "an error of the server itself: {status}");
                *self.tally.refused.entry(format!("{}/{}", status.subject, status.reason)).or_default() += 1;
            }
        }
    }

    fn one(&mut self) {
        let seed = self.seeds[self.dice.roll(self.seeds.len())].clone();
        let binding_asn1 = self.dice.roll(2) == 0;
        let body = self.body(&seed, binding_asn1);
        match seed {
            Seed::Peer(function, _) => {
                let events = matches!(function, PeerFunction::RegisterEvent | PeerFunction::DeleteEvent);
                let front = if events { &self.ds } else { &self.front };
                let answer = self.runtime.block_on(front.peer(function, &body));
                // An SM-DS that cannot be reached is one of the answers.
                self.note(answer.map(|_| ()));
            }
            Seed::Rsp(function, _) => {
                let smds = self.dice.roll(8) == 0
                    && matches!(function, Function::InitiateAuthentication | Function::AuthenticateClient);
                let front = if smds { self.ds.clone() } else { self.front.clone() };
                let (function, request) = if binding_asn1 {
                    match asn1::parse(&body) {
                        Ok(parsed) => parsed,
                        Err(_) => {
                            self.tally.requests += 1;
                            self.tally.unreadable += 1;
                            return;
                        }
                    }
                } else {
                    (function, json::parse(function, &body))
                };
                let answer = request.and_then(|request| front.drive(request).0);
                if binding_asn1 {
                    let _ = asn1::encode(function, smds, &answer);
                } else {
                    let _ = json::encode(&answer);
                }
                self.note(answer.map(|_| ()));
            }
        }
    }

    fn run(&mut self, count: u64) {
        for number in 0..count {
            // Sessions are used up by what is refused in them.
            if number % 200 == 199 {
                self.renew();
            }
            self.one();
        }
    }
}

fn in_json(parts: &[(&'static str, Part)]) -> Vec<u8> {
    let members = parts.iter().map(|(name, part)| {
        let value = match part {
            Part::Text(text) => json!(text),
            Part::Binary(bytes) => json!(BASE64_STANDARD.encode(bytes)),
        };
        ((*name).to_owned(), value)
    });
    Value::Object(members.collect()).to_string().into_bytes()
}

fn in_asn1(function: Function, parts: &[(&'static str, Part)]) -> Vec<u8> {
    let tag = match function {
        Function::InitiateAuthentication => 0xBF39u32,
        Function::AuthenticateClient => 0xBF3B,
        Function::GetBoundProfilePackage => 0xBF3A,
        Function::HandleNotification => 0xBF3D,
        Function::CancelSession => 0xBF41,
    };
    let write = |w: Writer, (name, part): &(&'static str, Part)| match (*name, part) {
        ("euiccChallenge", Part::Binary(bytes)) => w.put(0x81, bytes),
        ("smdpAddress", Part::Text(text)) => w.put(0x83, text.as_bytes()),
        ("transactionId", Part::Text(text)) => w.put(0x80, &rsp::ids::from_hex(text).unwrap_or_default()),
        ("pendingNotification", Part::Binary(bytes)) => w.put(0xA0, bytes),
        (_, Part::Binary(bytes)) => w.raw(bytes),
        (_, Part::Text(text)) => w.raw(text.as_bytes()),
    };
    Writer::new().nested(0xA2, |w| w.nested(tag, |w| parts.iter().fold(w, write))).into_vec()
}

#[test]
fn thousands_of_requests_that_nobody_would_send() {
    let mut fuzzer = Fuzzer::new(1);
    fuzzer.run(10_000);
    // The changes reach deep enough: there are refusals of every stage, and some are still right.
    let tally = &fuzzer.tally;
    assert!(tally.accepted > 100, "{tally:?}");
    for codes in ["1.3.1/2.1", "8.10.1/3.9", "8.1/6.1", "8.8.1/3.8", "8.2.1/3.9", "8.9.5/3.9"] {
        assert!(tally.refused.contains_key(codes), "{codes} is missing: {tally:?}");
    }
}

#[test]
#[ignore = "it takes minutes"]
fn ten_million_requests_without_a_panic() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let each = 10_000_000 / threads + 1;
    std::thread::scope(|scope| {
        for seed in 0..threads {
            scope.spawn(move || {
                let mut fuzzer = Fuzzer::new(seed + 2);
                fuzzer.run(each);
                println!("{:?}", fuzzer.tally);
            });
        }
    });
}
