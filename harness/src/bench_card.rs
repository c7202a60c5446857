//! `esimlab bench card`: how long the card takes for its commands, beside the bare cost of the cryptography in them,
//! measured in turn in the same run. What is measured is printed, never judged.
//!
//! The card is driven by APDUs in this process, with blocks of 255 bytes and GET RESPONSE; the server's part is played
//! here and is not in the times.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

use clap::Args;
use euicc::{CardConfig, Euicc, PreinstalledProfile};
use pki::{Pki, PkiSpec, SmdpCredentials};
use rsp::bpp::{self, MAX_ENCRYPTED_PLAINTEXT, MAX_MAC_ONLY_DATA, SecureChannel, SessionKeys, signature_element};
use rsp::cert::Certificate;
use rsp::crypto::{CryptoError, Curve, PrivateKey, PublicKey, SeededRandom};
use rsp::es10::auth::{
    AuthenticateServerRequest, AuthenticateServerResponse, CtxParams1, DeviceInfo, ServerSigned1, parse_euicc_challenge,
};
use rsp::es10::download::{InitialiseSecureChannel, PrepareDownloadRequest, PrepareDownloadResponse, SmdpSigned2};
use rsp::es10::profiles::encode_delete_request;
use rsp::ids::Eid;
use rsp::tlv::{Reader, TlvError, Writer};
use rsp::{TransactionId, es10};
use smdp::{Profile, ProfileSpec};

use crate::cli::Abort;
use crate::lab::{DEFAULT_EID, system_time};
use crate::runner::result::exit;

/// The arguments of `esimlab bench card`.
#[derive(Debug, Args)]
pub struct CardArgs {
    /// How many times everything is measured
    #[arg(short = 'n', long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    runs: u32,

    /// The curve of all certificates and keys
    #[arg(long, default_value = "p256", value_parser = crate::up::parse_curve)]
    curve: Curve,

    /// The built-in profile that is downloaded
    #[arg(long, value_name = "NAME", default_value = "operator-a")]
    profile: String,
}

/// How many profiles are on the card while it is measured.
const PROFILES: u32 = 8;

const ADDRESS: &str = "smdp.example.com";
const HOST_ID: &[u8] = b"bench";

/// A failure of the bench itself.
#[derive(Debug, thiserror::Error)]
enum BenchError {
    #[error("the card answers {0:04X}")]
    Status(u16),
    #[error("the card refuses: {0}")]
    Refused(String),
    #[error("the card's answer cannot be read: {0}")]
    Tlv(#[from] TlvError),
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    #[error(transparent)]
    Pki(#[from] pki::PkiError),
    #[error("{0}")]
    Other(String),
}

/// The times of one thing, measured again and again.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    fn median(&self) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }

    fn measure<T>(&mut self, act: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let result = act();
        self.0.push(began.elapsed());
        result
    }
}

#[derive(Default)]
struct Measured {
    select: Times,
    profiles: Times,
    challenge: Times,
    authenticate: Times,
    prepare: Times,
    package: Times,
    bare_authenticate: Times,
    bare_prepare: Times,
    bare_package: Times,
    /// AUTHENTICATE, when the card has a USIM to do it, and the status word it ends with.
    aka: Option<(Times, u16)>,
    package_bytes: usize,
    apdus: usize,
}

/// Runs the benchmark.
pub(crate) fn run(args: &CardArgs) -> Result<u8, Abort> {
    let measured = measure(args).map_err(|error| Abort::lab(error.to_string()))?;
    let mut text = String::new();
    if cfg!(debug_assertions) {
        text += "This is a debug build: `cargo run --release -- bench card` measures what users get.\n\n";
    }
    text += &measured.words(args);
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(exit::PASSED)
}

impl Measured {
    fn words(&self, args: &CardArgs) -> String {
        let mut text = format!(
            "medians of {} runs, {}, {PROFILES} profiles on the card, in microseconds\n\n{:<34} {:>9} {:>9} {:>7}\n",
            args.runs, args.curve, "", "card", "bare", "ratio"
        );
        let mut line = |name: &str, times: &Times, bare: Option<&Times>| {
            let card = times.median().as_secs_f64() * 1e6;
            let _ = match bare.map(|bare| bare.median().as_secs_f64() * 1e6) {
                Some(bare) => writeln!(text, "{name:<34} {card:>9.1} {bare:>9.1} {:>7.2}", card / bare.max(0.001)),
                None => writeln!(text, "{name:<34} {card:>9.1}"),
            };
        };
        line("SELECT of the ISD-R", &self.select, None);
        line("GetProfilesInfo", &self.profiles, None);
        line("GetEUICCChallenge", &self.challenge, None);
        line("AuthenticateServer", &self.authenticate, Some(&self.bare_authenticate));
        line("PrepareDownload", &self.prepare, Some(&self.bare_prepare));
        line("LoadBoundProfilePackage, whole", &self.package, Some(&self.bare_package));
        let total = |times: [&Times; 3]| Times(vec![times.iter().map(|times| times.median()).sum()]);
        line(
            "the three together",
            &total([&self.authenticate, &self.prepare, &self.package]),
            Some(&total([&self.bare_authenticate, &self.bare_prepare, &self.bare_package])),
        );
        match &self.aka {
            Some((times, sw)) => line(&format!("AUTHENTICATE, ending in {sw:04X}"), times, None),
            None => text += "AUTHENTICATE: the profile has no USIM that could do it\n",
        }
        let _ = writeln!(text, "\nthe package: {} bytes in {} APDUs", self.package_bytes, self.apdus);
        text += "bare: the same signatures, verifications, key agreement and segments, and nothing else\n";
        text
    }
}

/// The card on its basic channel.
struct Host {
    card: Euicc,
    now: i64,
}

impl Host {
    /// One APDU and what GET RESPONSE fetches after it.
    fn send(&mut self, apdu: &[u8]) -> (Vec<u8>, u16) {
        let mut data = Vec::new();
        let mut response = self.card.transmit(apdu, self.now);
        loop {
            let at = response.len().saturating_sub(2);
            let sw = response[at..].iter().fold(0, |sw, byte| sw << 8 | u16::from(*byte));
            data.extend_from_slice(&response[..at]);
            if sw >> 8 != 0x61 {
                return (data, sw);
            }
            response = self.card.transmit(&[0x80, 0xC0, 0, 0, sw as u8], self.now);
        }
    }

    fn select(&mut self) -> Result<(), BenchError> {
        match self.send(&[&[0x00, 0xA4, 0x04, 0x00, 0x10][..], &rsp::ISD_R_AID].concat()) {
            (_, 0x9000) => Ok(()),
            (_, sw) => Err(BenchError::Status(sw)),
        }
    }

    fn send_all(&mut self, blocks: &[Vec<u8>]) -> Result<Vec<u8>, BenchError> {
        let mut data = Vec::new();
        for block in blocks {
            match self.send(block) {
                (answer, 0x9000) => data = answer,
                (_, sw) => return Err(BenchError::Status(sw)),
            }
        }
        Ok(data)
    }

    fn es10(&mut self, command: &[u8]) -> Result<Vec<u8>, BenchError> {
        self.send_all(&blocks(command))
    }
}

/// A command of ES10 as STORE DATA with blocks of 255 bytes.
fn blocks(command: &[u8]) -> Vec<Vec<u8>> {
    let count = command.len().div_ceil(255);
    (0..)
        .zip(command.chunks(255))
        .map(|(number, block): (u8, _)| {
            let p1 = if usize::from(number) + 1 == count { 0x91 } else { 0x11 };
            [&[0x80, 0xE2, p1, number, block.len() as u8], block].concat()
        })
        .collect()
}

fn measure(args: &CardArgs) -> Result<Measured, BenchError> {
    let curve = args.curve;
    let now = system_time();
    let mut random = SeededRandom::new(1, "bench card");
    let eid = Eid::parse(DEFAULT_EID).map_err(|error| BenchError::Other(error.to_string()))?;
    let pki = Pki::generate(&PkiSpec { curves: vec![curve], eids: vec![eid], ..PkiSpec::default() }, &mut random, now)?;
    let own = pki.euicc(curve, &eid).ok_or_else(|| BenchError::Other("the PKI has no eUICC".to_owned()))?;
    let mut config = CardConfig::new(
        eid,
        vec![euicc::Credentials {
            ci: own.ci.clone(),
            eum: own.eum.clone(),
            euicc: own.euicc.certificate.clone(),
            key: own.euicc.key.clone(),
        }],
    );
    let spec = smdp::profile::built_in_named(&args.profile)
        .ok_or_else(|| BenchError::Other(format!("the profile {} is not built in", args.profile)))?;
    for number in 0..PROFILES {
        let profile = build(&spec, number)?;
        let preinstalled =
            PreinstalledProfile::new(&profile.metadata(ADDRESS).encode(), profile.package(), number == 0);
        config.preinstalled.push(preinstalled.map_err(|error| BenchError::Other(error.to_string()))?);
    }
    let profile = build(&spec, PROFILES)?;
    let mut host = Host { card: Euicc::new(config, Box::new(SeededRandom::new(2, "bench card"))), now };
    host.card.reset();

    let mut measured = Measured::default();
    let parts = Parts { curve, eid, server: pki.smdp(curve)?, ci: pki.ci(curve)?, profile: &profile };
    measured.aka = authenticate_3g(&mut host, args.runs);
    for run in 0..args.runs {
        measured.select.measure(|| host.select())?;
        let list = blocks(&[0xBF, 0x2D, 0x00]);
        measured.profiles.measure(|| host.send_all(&list))?;
        one_download(&mut host, &parts, run, &mut random, &mut measured)?;
        let delete = encode_delete_request(&es10::profiles::ProfileId::Iccid(profile.iccid()));
        if host.es10(&delete)? != [0xBF, 0x33, 0x03, 0x80, 0x01, 0x00] {
            return Err(BenchError::Refused("the profile is not deleted".to_owned()));
        }
        for notification in host.card.notifications() {
            host.es10(&es10::notification::encode_remove_request(notification.metadata.sequence_number))?;
        }
        host.card.drain_events();
    }
    Ok(measured)
}

fn build(spec: &ProfileSpec, number: u32) -> Result<Profile, BenchError> {
    Profile::build(&spec.numbered(number)).map_err(|error| BenchError::Other(error.to_string()))
}

struct Parts<'a> {
    curve: Curve,
    eid: Eid,
    server: &'a SmdpCredentials,
    ci: &'a Certificate,
    profile: &'a Profile,
}

fn one_download(
    host: &mut Host,
    parts: &Parts<'_>,
    run: u32,
    random: &mut SeededRandom,
    measured: &mut Measured,
) -> Result<(), BenchError> {
    let refused = |what: &str| BenchError::Refused(what.to_owned());
    let challenge = blocks(&[0xBF, 0x2E, 0x00]);
    let challenge = parse_euicc_challenge(&measured.challenge.measure(|| host.send_all(&challenge))?)?;
    let transaction_id = TransactionId::from_bytes(&[&[0; 12][..], &run.to_be_bytes()].concat())
        .map_err(|error| BenchError::Other(error.to_string()))?;

    let signed1 = ServerSigned1 {
        transaction_id: transaction_id.clone(),
        euicc_challenge: challenge,
        server_address: ADDRESS.to_owned(),
        server_challenge: [0x22; 16],
    }
    .encode();
    let SmdpCredentials { auth, pb, .. } = parts.server;
    let signature1 = auth.key.sign(&[&signed1])?;
    let context = CtxParams1 {
        matching_id: Some("BENCH".to_owned()),
        device_info: DeviceInfo { tac: [0x35, 0x29, 0x06, 0x11], capabilities: Vec::new(), imei: None },
    };
    let key_id = parts.ci.subject_key_id().unwrap_or_default();
    let request = AuthenticateServerRequest::encode(&signed1, &signature1, key_id, auth.certificate.der(), &context);
    let request = blocks(&request);
    let response = measured.authenticate.measure(|| host.send_all(&request))?;
    let AuthenticateServerResponse::Ok(ok) = AuthenticateServerResponse::parse(&response)? else {
        return Err(refused("AuthenticateServer"));
    };

    let signed2 = SmdpSigned2 { transaction_id: transaction_id.clone(), cc_required: false, bpp_euicc_otpk: None };
    let signed2 = signed2.encode();
    let first = signature_element(ok.euicc_signature1);
    let signature2 = pb.key.sign(&[&signed2, &first])?;
    let request = blocks(&PrepareDownloadRequest::encode(&signed2, &signature2, None, pb.certificate.der()));
    let prepared = measured.prepare.measure(|| host.send_all(&request))?;
    let PrepareDownloadResponse::Ok { euicc_signed2, .. } = PrepareDownloadResponse::parse(&prepared)? else {
        return Err(refused("PrepareDownload"));
    };
    let otpk = PublicKey::from_point(parts.curve, &euicc_signed2.euicc_otpk)?;

    let one_time = PrivateKey::generate(parts.curve, random)?;
    let part = InitialiseSecureChannel::encode_signed_part(&transaction_id, HOST_ID, &one_time.public().point());
    let signed = Writer::new().raw(&part).put(es10::TAG_OTPK, &otpk.point()).into_vec();
    let initialise = InitialiseSecureChannel::encode(&part, &pb.key.sign(&[&signed])?);
    let mut channel = SecureChannel::new(SessionKeys::agree(&one_time, &otpk, HOST_ID, &parts.eid)?);
    let configure = channel.encrypt(bpp::TAG_SEGMENT_COMMAND, &[0xBF, 0x24, 0x00])?;
    let metadata = parts.profile.metadata(ADDRESS).encode();
    let metadata = metadata
        .chunks(MAX_MAC_ONLY_DATA)
        .map(|chunk| channel.mac_only(bpp::TAG_SEGMENT_METADATA, chunk))
        .collect::<Result<Vec<_>, _>>()?;
    let elements = parts
        .profile
        .package()
        .chunks(MAX_ENCRYPTED_PLAINTEXT)
        .map(|chunk| channel.encrypt(bpp::TAG_SEGMENT_PROFILE, chunk))
        .collect::<Result<Vec<_>, _>>()?;
    let package = bpp::encode_bound_profile_package(&initialise, &configure, &metadata, None, &elements);
    let commands: Vec<Vec<u8>> = bpp::load_commands(&package)?.into_iter().flat_map(blocks).collect();
    (measured.package_bytes, measured.apdus) = (package.len(), commands.len());
    let result = measured.package.measure(|| host.send_all(&commands))?;
    if !result.starts_with(&[0xBF, 0x37]) || host.card.profiles().len() != PROFILES as usize + 1 {
        return Err(refused("the package"));
    }

    // What each of them costs at least: verifications of a certificate and a signature, and a signature of the card's.
    let (key, message) = (&auth.key, &signed1);
    measured.bare_authenticate.measure(|| -> Result<(), BenchError> {
        for _ in 0..2 {
            key.public().verify(&[message], &signature1);
        }
        key.sign(&[message])?;
        Ok(())
    })?;
    // The same, and a one-time key.
    measured.bare_prepare.measure(|| -> Result<PrivateKey, BenchError> {
        for _ in 0..2 {
            pb.key.public().verify(&[&signed2, &first], &signature2);
        }
        key.sign(&[message])?;
        Ok(PrivateKey::generate(parts.curve, random)?)
    })?;
    // A verification, a key agreement, every segment, and the signatures of the result and of the notifications that
    // the profile wants of its installation.
    let signatures = host.card.notifications().len();
    let sealed: Vec<u8> = std::iter::once(&configure).chain(&metadata).chain(&elements).flatten().copied().collect();
    measured.bare_package.measure(|| -> Result<(), BenchError> {
        pb.key.public().verify(&[&signed2, &first], &signature2);
        let mut channel = SecureChannel::new(SessionKeys::agree(&one_time, &otpk, HOST_ID, &parts.eid)?);
        for segment in Reader::new(&sealed) {
            channel.open(&segment?).map_err(|error| BenchError::Other(error.to_string()))?;
        }
        for _ in 0..signatures {
            key.sign(&[message])?;
        }
        Ok(())
    })?;
    Ok(())
}

/// AUTHENTICATE (TS 31.102 §7.1.2) with a made-up AUTN: everything up to the MAC that it is refused for is computed.
/// `None` when there is no USIM, or it does not know the command.
fn authenticate_3g(host: &mut Host, runs: u32) -> Option<(Times, u16)> {
    const USIM: [u8; 7] = [0xA0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x02];
    let (_, selected) = host.send(&[&[0x00, 0xA4, 0x04, 0x00, 0x07][..], &USIM].concat());
    if selected != 0x9000 {
        return None;
    }
    // A PIN that is in the way; built-in profiles have it disabled or 1234.
    host.send(&[&[0x00, 0x20, 0x00, 0x01, 0x08][..], b"1234\xFF\xFF\xFF\xFF"].concat());
    let apdu = [&[0x00, 0x88, 0x00, 0x81, 0x22, 0x10][..], &[0x23; 16], &[0x10], &[0x55; 16], &[0x00]].concat();
    let mut times = Times::default();
    let mut last = 0;
    for _ in 0..runs {
        last = times.measure(|| host.send(&apdu).1);
    }
    matches!(last, 0x9000 | 0x9862).then_some((times, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_measured() {
        let args = CardArgs { runs: 2, curve: Curve::P256, profile: "operator-a".to_owned() };
        let measured = measure(&args).unwrap();
        let text = measured.words(&args);
        for name in ["SELECT", "GetProfilesInfo", "AuthenticateServer", "PrepareDownload", "LoadBound", "AUTHENTICATE"]
        {
            assert!(text.contains(name), "{text}");
        }
        assert!(measured.package.median() > Duration::ZERO && measured.apdus > 5);
    }
}
