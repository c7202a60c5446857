//! The card beside a model of it: random sequences of right messages in any order, with what has to come of each.

use proptest::prelude::*;
use rsp::bpp;
use rsp::crypto::{Curve, PublicKey};
use rsp::es10::auth::{AuthenticateErrorCode, AuthenticateServerResponse};
use rsp::es10::download::{
    CancelSessionReason, CancelSessionRequest, CancelSessionResponse, DownloadErrorCode, ErrorReason, FinalResult,
    PrepareDownloadResponse,
};
use rsp::es10::profiles::{
    ProfileClass, ProfileId, ProfileState, SwitchRequest, TAG_DELETE_PROFILE, TAG_DISABLE_PROFILE, TAG_ENABLE_PROFILE,
    encode_delete_request, parse_result,
};
use rsp::tlv::NamedBits;
use rsp::{Iccid, ids::from_hex};

use super::lab::*;
use crate::PreinstalledProfile;

/// What an LPA may do in a download.
#[derive(Debug, Clone, Copy)]
enum Step {
    Challenge,
    Authenticate,
    Prepare,
    /// The next piece of the package, or another one.
    Next,
    Piece(usize),
    Cancel,
    Reset,
}

/// How far the session is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Session {
    None,
    Challenged,
    Authenticated,
    Prepared,
    Loading(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Challenge),
        3 => Just(Step::Authenticate),
        3 => Just(Step::Prepare),
        12 => Just(Step::Next),
        1 => (0..8usize).prop_map(Step::Piece),
        1 => Just(Step::Cancel),
        1 => Just(Step::Reset),
    ]
}

/// The LPA and the server: what they know of the session.
struct Peer {
    lab: Lab,
    challenge: [u8; 16],
    signature1: [u8; 64],
    pieces: Vec<Vec<u8>>,
}

impl Peer {
    fn new() -> Self {
        let mut lab = Lab::new(Curve::P256);
        let otpk: PublicKey = lab.otsk.public().clone();
        let pieces = pieces(&mut lab, &otpk);
        Peer { lab, challenge: [0; 16], signature1: [1; 64], pieces }
    }

    /// Takes a step and gives the state that the session is in then, by what the card has answered.
    fn take(&mut self, step: Step, before: Session) -> Session {
        match step {
            Step::Challenge => {
                self.challenge = self.lab.challenge();
                Session::Challenged
            }
            Step::Authenticate => {
                let response = self.lab.es10(&self.lab.authenticate_request(self.challenge));
                match AuthenticateServerResponse::parse(&response).unwrap() {
                    AuthenticateServerResponse::Ok(ok) => {
                        self.signature1 = ok.euicc_signature1.try_into().unwrap();
                        Session::Authenticated
                    }
                    AuthenticateServerResponse::Error { code, .. } => {
                        assert_eq!(code, AuthenticateErrorCode::NoSessionContext);
                        before
                    }
                }
            }
            Step::Prepare => {
                let by = self.lab.server.pb.clone();
                let request = self.lab.prepare_request(&self.lab.smdp_signed2(), &self.signature1, None, &by);
                let response = self.lab.es10(&request);
                match PrepareDownloadResponse::parse(&response).unwrap() {
                    PrepareDownloadResponse::Ok { euicc_signed2, .. } => {
                        let otpk = PublicKey::from_point(Curve::P256, &euicc_signed2.euicc_otpk).unwrap();
                        self.pieces = pieces(&mut self.lab, &otpk);
                        Session::Prepared
                    }
                    PrepareDownloadResponse::Error { code, .. } => {
                        assert_eq!(code, DownloadErrorCode::NoSessionContext);
                        before
                    }
                }
            }
            Step::Next => {
                let next = if let Session::Loading(next) = before { next } else { 0 };
                self.send(next, before)
            }
            Step::Piece(piece) => self.send(piece.min(self.pieces.len() - 1), before),
            Step::Cancel => {
                let transaction_id = self.lab.transaction_id.clone();
                let request = CancelSessionRequest { transaction_id, reason: CancelSessionReason::Postponed };
                let response = self.lab.es10(&request.encode());
                match CancelSessionResponse::parse(&response).unwrap() {
                    CancelSessionResponse::Ok { .. } => Session::None,
                    CancelSessionResponse::Error(code) => {
                        assert_eq!(code, 5);
                        before
                    }
                }
            }
            Step::Reset => {
                self.lab.open();
                Session::None
            }
        }
    }

    fn send(&mut self, piece: usize, before: Session) -> Session {
        let (response, sw) = self.lab.es10_in(&self.pieces[piece].clone(), 255);
        match (sw, before) {
            (0x9000, _) if !response.is_empty() => {
                self.lab.verified_result(&response);
                Session::None
            }
            (0x9000, Session::Prepared) => Session::Loading(1),
            (0x9000, Session::Loading(next)) => Session::Loading(next + 1),
            (0x6985 | 0x6A88, _) => before,
            other => panic!("{other:?}"),
        }
    }
}

fn pieces(lab: &mut Lab, otpk: &PublicKey) -> Vec<Vec<u8>> {
    let package = lab.bind(&order(ICCID), otpk);
    bpp::load_commands(&package).unwrap().into_iter().map(<[u8]>::to_vec).collect()
}

/// The state after a step, by the specification; and whether a profile is installed or an installation has failed.
fn after(step: Step, before: Session, pieces: usize) -> (Session, Option<bool>) {
    use Session::{Authenticated, Challenged, Loading, None as Nothing, Prepared};
    let piece = match (step, before) {
        (Step::Next, Loading(next)) => Some(next),
        (Step::Next, _) => Some(0),
        (Step::Piece(piece), _) => Some(piece.min(pieces - 1)),
        _ => None,
    };
    let interrupted = matches!(before, Loading(_)).then_some(false);
    match (step, before, piece) {
        (Step::Challenge, ..) => (Challenged, interrupted),
        (Step::Reset, ..) => (Nothing, interrupted),
        (Step::Authenticate, Challenged, _) => (Authenticated, None),
        (Step::Prepare, Authenticated | Prepared, _) => (Prepared, None),
        (Step::Cancel, Authenticated | Prepared | Loading(_), _) => (Nothing, None),
        (_, Prepared, Some(0)) => (Loading(1), None),
        (_, Loading(next), Some(piece)) if piece != next => (Nothing, Some(false)),
        (_, Loading(next), Some(_)) if next + 1 == pieces => (Nothing, Some(true)),
        (_, Loading(next), Some(_)) => (Loading(next + 1), None),
        _ => (before, None),
    }
}

/// What a user may do with the profiles.
#[derive(Debug, Clone, Copy)]
enum Operation {
    Enable(usize),
    Disable(usize),
    Delete(usize),
}

const PROFILES: [(&str, ProfileClass, &[u8]); 4] = [
    ("8988247000111763810", ProfileClass::Operational, &[1, 2]),
    ("8988247000111763811", ProfileClass::Operational, &[]),
    ("8988247000111763812", ProfileClass::Test, &[]),
    ("8988247000111763813", ProfileClass::Provisioning, &[]),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn steps_of_a_download_in_any_order(steps in proptest::collection::vec(step(), 1..60)) {
        // proves: EUICC.Procedures
        let mut peer = Peer::new();
        let free_memory = peer.lab.card.free_memory();
        let mut session = Session::None;
        let mut results = 0;
        for step in steps {
            let (expected, ended) = after(step, session, peer.pieces.len());
            session = peer.take(step, session);
            prop_assert_eq!(session, expected, "after {:?}", step);
            results += usize::from(ended.is_some());
            let notifications = peer.lab.card.notifications();
            prop_assert_eq!(notifications.len(), results);
            prop_assert_eq!(peer.lab.card.profiles().len(), usize::from(ended == Some(true)));
            if let (Some(installed), Some(last)) = (ended, notifications.last()) {
                let result = peer.lab.verified_result(&last.signed);
                match result.final_result {
                    FinalResult::Success { .. } => prop_assert!(installed),
                    FinalResult::Error { reason, .. } => {
                        prop_assert!(!installed);
                        let interrupted = matches!(step, Step::Challenge | Step::Reset);
                        prop_assert_eq!(interrupted, reason == ErrorReason::InstallFailedDueToInterruption);
                    }
                }
            }
            if ended == Some(true) {
                // Out of the way for the next one; its deletion is notified as its metadata wants.
                peer.lab.hex("BF330C5A0A988842070011713618F0");
                results += 1;
            }
            if !matches!(session, Session::Loading(_)) {
                prop_assert_eq!(peer.lab.card.free_memory(), free_memory);
            }
        }
    }

    #[test]
    fn operations_on_profiles_in_any_order(operations in proptest::collection::vec((0..3usize, 0..4usize), 1..40)) {
        // proves: EUICC.Procedures; EUICC.ProfilePolicyRules; EUICC.TestProfiles
        let mut config = config(&[Curve::P256]);
        for (iccid, class, rules) in PROFILES {
            let mut metadata = metadata(iccid);
            metadata.profile_class = class;
            metadata.profile_policy_rules = (!rules.is_empty()).then(|| NamedBits::of(rules));
            let mut elements = elements(iccid);
            elements[3] = aka(3, 1, [0; 16]);
            config.preinstalled.push(PreinstalledProfile::new(&metadata.encode(), &elements.concat(), false).unwrap());
        }
        let mut lab = Lab::with(config, Curve::P256);
        let (mut present, mut enabled, mut before_test) = ([true; 4], None::<usize>, None::<usize>);
        let mut notified = 0;
        for (kind, index) in operations {
            let operation = [Operation::Enable(index), Operation::Disable(index), Operation::Delete(index)][kind];
            let is_test = |profile: usize| PROFILES[profile].1 == ProfileClass::Test;
            let has_rule = |profile: usize, rule: u8| PROFILES[profile].2.contains(&rule);
            let (expected, events) = match operation {
                _ if !present[index] => (1, 0),
                Operation::Enable(_) if enabled == Some(index) => (2, 0),
                Operation::Enable(target) => match enabled {
                    Some(current) if is_test(current) && !is_test(target) && before_test != Some(target) => (4, 0),
                    Some(current) if has_rule(current, 1) && PROFILES[target].1 == ProfileClass::Operational => (3, 0),
                    current => {
                        before_test = if is_test(target) { current.or(before_test) } else { None };
                        enabled = Some(target);
                        (0, 1 + usize::from(current.is_some()))
                    }
                },
                Operation::Disable(target) if enabled != Some(target) => (2, 0),
                Operation::Disable(target) if has_rule(target, 1) => (3, 0),
                Operation::Disable(_) => {
                    enabled = before_test.take();
                    (0, 1 + usize::from(enabled.is_some()))
                }
                Operation::Delete(target) if enabled == Some(target) => (2, 0),
                Operation::Delete(target) if has_rule(target, 2) => (3, 0),
                Operation::Delete(target) => {
                    present[target] = false;
                    before_test = before_test.filter(|before| *before != target);
                    (0, 1)
                }
            };
            let profile = ProfileId::Iccid(Iccid::parse(PROFILES[index].0).unwrap());
            let switch = |tag| SwitchRequest { profile: profile.clone(), refresh: false }.encode(tag);
            let (tag, request) = match operation {
                Operation::Enable(_) => (TAG_ENABLE_PROFILE, switch(TAG_ENABLE_PROFILE)),
                Operation::Disable(_) => (TAG_DISABLE_PROFILE, switch(TAG_DISABLE_PROFILE)),
                Operation::Delete(_) => (TAG_DELETE_PROFILE, encode_delete_request(&profile)),
            };
            prop_assert_eq!(parse_result(tag, &lab.es10(&request)).unwrap(), expected, "{:?}", operation);
            notified += events;

            let profiles = lab.card.profiles();
            prop_assert_eq!(profiles.len(), present.iter().filter(|present| **present).count());
            let on: Vec<String> = profiles
                .iter()
                .filter(|profile| profile.state == ProfileState::Enabled)
                .map(|profile| profile.iccid.to_string())
                .collect();
            prop_assert_eq!(on, enabled.map(|index| PROFILES[index].0.to_owned()).into_iter().collect::<Vec<_>>());
            let numbers: Vec<u32> =
                lab.card.notifications().iter().map(|notification| notification.metadata.sequence_number).collect();
            prop_assert_eq!(numbers, (1..=notified as u32).collect::<Vec<_>>());
        }
        // EF_ICCID is there as long as a profile is enabled, and no longer.
        let found = lab.card.transmit(&from_hex("00A4000C022FE2").unwrap(), NOW);
        prop_assert_eq!(found, if enabled.is_some() { vec![0x90, 0x00] } else { vec![0x6A, 0x82] });
    }
}
