//! The command line: one operation per call, in the manner of the note's tool (eSIM LPA AN 1.1 chapter 3) and its
//! peers.
//!
//! Results go to standard output, everything else to standard error. Exit codes: 0 success, 1 failure, 2 wrong usage.
//!
//! With `--json` standard output has one object per line. A step is `{"step":NAME,"ok":true}` with facts of its own,
//! or `{"step":NAME,"ok":false,"message":TEXT}` with the keys of a failure; a failed step need not end the operation.
//! The last line is the result: `{"outcome":"success"}` with `iccid`, `profiles`, `notifications` or what else the
//! operation is about (and `"pending":true` when a switch waits for a restart of the modem), or `{"outcome":"failure","step":NAME,"message":TEXT}` with whichever apply of
//!
//! - `curl`: libcurl's code, and `http`: the HTTP status;
//! - `subject` and `reason`: the codes with which the server refused, as text (SGP.22 v2.5 §5.2.6);
//! - `euicc`: what the card said: `function`, `command` (`BppCommandId`) and `reason` as numbers, `status_word` as
//!   four hexadecimal digits;
//! - `hint`: what to try.
//!
//! With `--requests` there is an object for each request to a server besides, when its answer has come or it has
//! failed: `{"request":FUNCTION,"server":ADDRESS,"http":STATUS}`, or `"curl":CODE` in the place of `http`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use clap::{ArgGroup, Parser, ValueEnum};
use rsp::cert::RevocationList;
use rsp::{ActivationCode, Aid};

use crate::download::{DownloadRequest, Source};
use crate::es10::Card;
use crate::failure::{Failure, Outcome, Step};
use crate::http::{CurlHttp, HttpOptions, Trust};
use crate::imei::Imei;
use crate::link::others::others;
use crate::link::{ApduLink, AutoLink, CsimLink, LinkOptions, Tty};
use crate::log::Log;
use crate::lpa::Lpa;
use crate::profiles::ProfileRef;
use crate::report::Details;

mod output;
mod requests;

use output::{Output, Success};
use requests::Told;

/// The word in place of an activation code that means the default SM-DP+ (eSIM LPA AN 1.1 §3.6.2).
const USE_SMDP: &str = "UseSMDP";

/// The operations that are no download, and with which the options of a download mean nothing.
const NO_DOWNLOAD: [&str; 10] = [
    "remove",
    "list",
    "enable",
    "disable",
    "nickname",
    "info",
    "notifications",
    "default_address",
    "discover",
    "load_crl",
];

/// Installs, lists and manages eSIM profiles on an eUICC behind a modem.
#[derive(Debug, Clone, Parser)]
#[command(name = "lpad", version, max_term_width = 110)]
#[command(group = ArgGroup::new("operation").required(true).multiple(false))]
#[command(after_help = "\
Examples:
  lpad -d /dev/ttyUSB2 -A '1$smdp.example.com$TOKEN'          install a profile (mind the single quotes)
  lpad -d /dev/ttyUSB2 -A '1$smdp.example.com$TOKEN' -C 1234  the same with a confirmation code
  lpad -d /dev/ttyUSB2 -A UseSMDP                             install from the default SM-DP+ of the eUICC
  lpad -d /dev/ttyUSB2 --list                                 show the profiles and their numbers
  lpad -d /dev/ttyUSB2 -R 2                                   delete profile 2 and tell its server")]
pub struct Args {
    /// The AT port of the modem
    #[arg(short, long, value_name = "TTY")]
    pub device: PathBuf,

    /// Install a profile: an activation code, or UseSMDP for the default SM-DP+ of the eUICC
    #[arg(short = 'A', long, value_name = "CODE", group = "operation")]
    pub activation_code: Option<String>,

    /// The confirmation code that belongs to the activation code
    #[arg(short = 'C', long, value_name = "CODE", conflicts_with_all = NO_DOWNLOAD)]
    pub confirmation_code: Option<String>,

    /// Delete a profile and tell its server; ID is its number in the list, its ICCID or its AID
    #[arg(short = 'R', long, value_name = "ID", group = "operation")]
    pub remove: Option<ProfileRef>,

    /// List the profiles
    #[arg(short, long, group = "operation")]
    pub list: bool,

    /// Enable a profile
    #[arg(long, value_name = "ID", group = "operation")]
    pub enable: Option<ProfileRef>,

    /// Disable a profile
    #[arg(long, value_name = "ID", group = "operation")]
    pub disable: Option<ProfileRef>,

    /// Give a profile a nickname; an empty one takes it away
    #[arg(long, num_args = 2, value_names = ["ID", "NAME"], group = "operation")]
    pub nickname: Option<Vec<String>>,

    /// Show the EID and what else the eUICC says of itself
    #[arg(long, group = "operation")]
    pub info: bool,

    /// Notifications that wait on the eUICC: send them, list them, or remove them without sending
    #[arg(long, value_enum, value_name = "ACTION", num_args = 0..=1, require_equals = true, default_missing_value = "send", group = "operation")]
    pub notifications: Option<NotificationAction>,

    /// Ask the root SM-DS of the eUICC, or the one given, for profiles that wait for it
    #[arg(long, value_name = "SM-DS", num_args = 0..=1, require_equals = true, default_missing_value = "", group = "operation")]
    pub discover: Option<String>,

    /// Set the default SM-DP+ address of the eUICC; an empty one takes it away
    #[arg(long, value_name = "ADDRESS", group = "operation")]
    pub default_address: Option<String>,

    /// Load a certificate revocation list (PEM or DER) into the eUICC, which refuses servers that it names
    #[arg(long, value_name = "FILE", group = "operation")]
    pub load_crl: Option<PathBuf>,

    /// Trust the certificate issuers in this file (PEM or DER) and no others; may be given more than once
    #[arg(long, value_name = "FILE")]
    pub ci: Vec<PathBuf>,

    /// Reach the card by AT+CSIM. Otherwise it is AT+CCHO and AT+CGLA, and AT+CSIM where the modem does not have them
    #[arg(long)]
    pub csim: bool,

    /// Print a JSON object per step, and one for the result
    #[arg(long)]
    pub json: bool,

    /// With --json, print an object for each request to a server as well
    #[arg(long, requires = "json")]
    pub requests: bool,

    /// Bytes per STORE DATA command
    #[arg(long, value_name = "N", default_value_t = 120, value_parser = RangedU64ValueParser::<u8>::new().range(1..=255))]
    pub segment: u8,

    /// The longest wait in seconds for one answer of the card (default 120) or of a server (default 60)
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,

    /// Take this address for a server's name, without asking the name service; may be given more than once
    #[arg(long, value_name = "HOST:PORT:ADDRESS", value_parser = resolve_entry)]
    pub resolve: Vec<String>,

    /// Tell the server this IMEI; without it only the device type (TAC) of the modem's own is told
    #[arg(long, value_name = "DIGITS", conflicts_with_all = NO_DOWNLOAD)]
    pub imei: Option<Imei>,

    /// The AID of the ISD-R, for cards that have another
    #[arg(long, value_name = "AID", value_parser = Aid::parse)]
    pub isd_r: Option<Aid>,

    /// Enable or disable without a REFRESH of the card; the modem may need a restart to notice
    #[arg(long)]
    pub no_refresh: bool,

    /// Agree to policy rules of the profile that forbid to disable or delete it
    #[arg(long, conflicts_with_all = NO_DOWNLOAD)]
    pub accept_rules: bool,

    /// Log the AT dialogue and the HTTP exchanges on standard error
    #[arg(short, long)]
    pub verbose: bool,
}

/// What to do with the notifications on the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NotificationAction {
    /// Send each and remove it once it is acknowledged
    Send,
    /// Show them
    List,
    /// Remove them without sending
    Remove,
}

/// A time that something may wait: seconds, with or without a fraction, from a hundredth to a day.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.01..=86_400.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "it has to be seconds from 0.01 to 86400".to_owned())
}

fn resolve_entry(text: &str) -> Result<String, String> {
    let mut parts = text.splitn(3, ':');
    let (host, port, address) = (parts.next(), parts.next(), parts.next());
    let port_is_one = port.and_then(|port| port.parse::<u16>().ok()).is_some_and(|port| port > 0);
    match (host, address) {
        (Some(host), Some(address)) if !host.is_empty() && !address.is_empty() && port_is_one => Ok(text.to_owned()),
        _ => Err("it has to be HOST:PORT:ADDRESS, as in smdp.example.com:443:127.0.0.1".to_owned()),
    }
}

/// Runs the command line: the arguments with the program's name in front.
pub fn main_with(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
    match Args::try_parse_from(args) {
        Ok(args) => run(&args),
        Err(error) => {
            // Help and version are no mistakes: clap knows which stream and which code.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}

fn run(args: &Args) -> ExitCode {
    let mut output = Output::new(args.json);
    let result = operate(args, &mut output).map_err(|failure| name_rivals(failure, args));
    output.finish(&result);
    if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Says which other programs have the terminal open, when that may be the cause.
fn name_rivals(mut failure: Box<Failure>, args: &Args) -> Box<Failure> {
    let rivals = if failure.may_be_a_rival { others(&args.device) } else { Vec::new() };
    if !rivals.is_empty() {
        let device = args.device.display();
        let (its, it_has) = if rivals.len() == 1 { ("its", "it has") } else { ("their", "they have") };
        let rivals = rivals.join(" and ");
        failure.hint = Some(format!(
            "stop {rivals} or wait for {its} end: {it_has} {device} open too, and two at a time take each other's answers"
        ));
    }
    failure
}

fn operate(args: &Args, output: &mut Output) -> Outcome<Success> {
    // What the user has given is read before anything is touched.
    let download = args.activation_code.as_deref().map(|code| download_request(args, code)).transpose()?;
    if let Some(address) = args.default_address.as_deref().filter(|address| !address.is_empty()) {
        let fail =
            |error: rsp::activation_code::AddressError| Failure::new(Step::SetDefaultDpAddress, error.to_string());
        rsp::ServerAddress::parse(address).map_err(fail)?;
    }
    if let Some(smds) = args.discover.as_deref().filter(|address| !address.is_empty()) {
        rsp::ServerAddress::parse(smds).map_err(|error| Failure::new(Step::Discover, error.to_string()))?;
    }
    let list = args.load_crl.as_deref().map(revocation_list).transpose()?;
    let log = if args.verbose { Log::to_stderr() } else { Log::default() };
    let http = Told::new(CurlHttp::new(http_options(args)?, log.clone()), args.requests);
    let link = open_link(args, log).map_err(|error| Failure::of_link(Step::OpenCard, &error))?;
    output.step_done(Step::OpenCard, Details::new().with("device", args.device.display().to_string()));
    let mut lpa = Lpa::new(Card::new(link, args.segment), http, output);
    if let Some(list) = list {
        let missing = lpa.load_crl(&list)?.len();
        return Ok(Success::CrlLoaded { number: list.number(), missing });
    }
    perform(args, download, &mut lpa)
}

fn perform(
    args: &Args,
    download: Option<DownloadRequest>,
    lpa: &mut Lpa<'_, Box<dyn ApduLink>, Told<CurlHttp>>,
) -> Outcome<Success> {
    let refresh = !args.no_refresh;
    if let Some(request) = download {
        return lpa.download(&request).map(Success::Installed);
    }
    if let Some(id) = &args.remove {
        return lpa.delete(id).map(Success::Deleted);
    }
    if let Some(id) = &args.enable {
        return lpa.enable(id, refresh).map(Success::Enabled);
    }
    if let Some(id) = &args.disable {
        return lpa.disable(id, refresh).map(Success::Disabled);
    }
    if let Some([id, nickname]) = args.nickname.as_deref() {
        let id: ProfileRef = id.parse().map_err(|problem: String| Failure::new(Step::SetNickname, problem))?;
        return lpa
            .set_nickname(&id, nickname)
            .map(|profile| Success::Named { profile, taken_away: nickname.is_empty() });
    }
    if let Some(address) = &args.default_address {
        return lpa.set_default_address(address).map(|()| Success::AddressSet { taken_away: address.is_empty() });
    }
    if let Some(smds) = &args.discover {
        let smds = Some(smds.as_str()).filter(|text| !text.is_empty());
        let smds = smds.map(rsp::ServerAddress::parse).transpose();
        let smds = smds.map_err(|error| Failure::new(Step::Discover, error.to_string()))?;
        return lpa.discover(smds.as_ref()).map(Success::Discovered);
    }
    if args.info {
        return lpa.card_info().map(|info| Success::Info(Box::new(info)));
    }
    match args.notifications {
        None => lpa.profiles().map(Success::Profiles),
        Some(NotificationAction::List) => lpa.notifications().map(Success::Notifications),
        Some(NotificationAction::Send) => {
            let deliveries = lpa.send_notifications()?;
            match deliveries.iter().find_map(|delivery| delivery.failure.clone()) {
                Some(failure) => Err(failure),
                None => Ok(Success::Sent(deliveries.len())),
            }
        }
        Some(NotificationAction::Remove) => {
            let list = lpa.notifications()?;
            for notification in &list {
                lpa.forget_notification(notification.sequence_number)?;
            }
            Ok(Success::Removed(list.len()))
        }
    }
}

/// Reads the file of a revocation list.
fn revocation_list(path: &Path) -> Outcome<RevocationList> {
    let fail = |problem: &dyn std::fmt::Display| Failure::new(Step::LoadCrl, format!("{}: {problem}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| fail(&error))?;
    RevocationList::from_pem_or_der(&bytes).map_err(|error| fail(&error))
}

fn download_request(args: &Args, code: &str) -> Outcome<DownloadRequest> {
    // Codes are copied from mails and web pages, with blanks and line ends around them.
    let code = code.trim();
    let source = if code.eq_ignore_ascii_case(USE_SMDP) {
        Source::DefaultSmdp
    } else {
        let code = ActivationCode::parse(code).map_err(|error| {
            Failure::new(Step::ActivationCode, error.to_string())
                .with_hint("an activation code looks like '1$smdp.example.com$TOKEN', in single quotes")
        })?;
        Source::ActivationCode(code)
    };
    // The server would count it as a wrong one, and those are limited.
    if args.confirmation_code.as_deref().is_some_and(|code| code.trim().is_empty()) {
        let failure = Failure::new(Step::Configure, "the confirmation code is blank");
        return Err(failure.with_hint("give the code from your operator with -C, or leave -C away when there is none"));
    }
    Ok(DownloadRequest {
        source,
        confirmation_code: args.confirmation_code.clone(),
        imei: args.imei,
        accept_rules: args.accept_rules,
    })
}

fn http_options(args: &Args) -> Outcome<HttpOptions> {
    let mut options = HttpOptions { resolve: args.resolve.clone(), ..HttpOptions::default() };
    options.trust = Trust::from_files(&args.ci).map_err(|error| {
        Failure::new(Step::Configure, error.to_string()).with_hint(
            "--ci takes the file of a certificate issuer's certificate; without it those of this machine count",
        )
    })?;
    if let Some(timeout) = given_timeout(args) {
        options.timeout = timeout;
        options.connect_timeout = options.connect_timeout.min(timeout);
    }
    Ok(options)
}

fn given_timeout(args: &Args) -> Option<Duration> {
    args.timeout
}

fn open_link(args: &Args, log: Log) -> Result<Box<dyn ApduLink>, crate::link::LinkError> {
    let mut options = LinkOptions::default();
    if let Some(aid) = &args.isd_r {
        options.aid = aid.clone();
    }
    if let Some(timeout) = given_timeout(args) {
        options.apdu_timeout = timeout;
        options.command_timeout = options.command_timeout.min(timeout);
    }
    let tty = Tty::open(&args.device)?;
    Ok(if args.csim {
        Box::new(CsimLink::open(tty, options, log)?)
    } else {
        Box::new(AutoLink::open(tty, options, log)?)
    })
}

impl Output {
    fn step_done(&mut self, step: Step, facts: Details) {
        crate::report::Report::done(self, step, facts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, String> {
        let args = ["lpad", "-d", "/dev/ttyUSB2"].iter().chain(args);
        Args::try_parse_from(args).map_err(|error| error.to_string())
    }

    #[test]
    fn the_definition_is_consistent() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn commands_of_the_note() {
        let args = parse(&["-A", "1$esim.quectel.com$0123456789ABCDEFGHIJKLMNPQRSTUVWXYZ$", "-C", "1234"]).unwrap();
        assert_eq!(args.confirmation_code.as_deref(), Some("1234"));
        let request = download_request(&args, args.activation_code.as_deref().unwrap()).unwrap();
        assert!(matches!(request.source, Source::ActivationCode(code) if code.smdp.as_str() == "esim.quectel.com"));
        let args = parse(&["-A", "UseSMDP"]).unwrap();
        assert_eq!(download_request(&args, "UseSMDP").unwrap().source, Source::DefaultSmdp);
        assert_eq!(parse(&["-R", "2"]).unwrap().remove, Some(ProfileRef::Number(2)));
    }

    #[test]
    fn one_operation_at_a_time() {
        assert!(parse(&[]).unwrap_err().contains("required"));
        assert!(parse(&["--list", "--info"]).unwrap_err().contains("cannot be used with"));
        assert!(parse(&["--list", "-C", "1"]).is_err());
        assert!(Args::try_parse_from(["lpad", "--list"]).is_err(), "a device is needed");
        assert_eq!(parse(&["--notifications"]).unwrap().notifications, Some(NotificationAction::Send));
        assert_eq!(parse(&["--notifications=list"]).unwrap().notifications, Some(NotificationAction::List));
        let args = parse(&["--nickname", "1", "My phone"]).unwrap();
        assert_eq!(args.nickname.unwrap(), ["1", "My phone"]);
    }

    #[test]
    fn values_out_of_range() {
        for bad in [
            &["--list", "--segment", "0"][..],
            &["--list", "--segment", "256"],
            &["--list", "--timeout", "0"],
            &["--list", "--resolve", "host:443"],
            &["--list", "--resolve", "host:0:127.0.0.1"],
            &["--list", "--isd-r", "A0"],
            &["--enable", "first"],
            &["-A", "UseSMDP", "--imei", "1"],
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(parse(&["--list", "--resolve", "h:443:::1"]).unwrap().resolve, ["h:443:::1"]);
        assert_eq!(parse(&["--list"]).unwrap().segment, 120);
    }

    #[test]
    fn a_code_that_a_shell_has_cut() {
        let args = parse(&["-A", "1.example.com"]).unwrap();
        let failure = download_request(&args, "1").unwrap_err();
        assert_eq!(failure.step, Step::ActivationCode);
        assert!(failure.to_string().contains("single quotes"), "{failure}");
    }

    #[test]
    fn blanks_around_a_code_are_none_of_it_and_a_blank_confirmation_code_costs_no_try() {
        let args = parse(&["-A", "x"]).unwrap();
        let request = download_request(&args, " LPA:1$smdp.example.com$TOKEN\r\n").unwrap();
        assert!(matches!(request.source, Source::ActivationCode(code) if code.matching_id.as_str() == "TOKEN"));
        for blank in ["", " ", "\n"] {
            let args = parse(&["-A", "x", "-C", blank]).unwrap();
            let failure = download_request(&args, "1$smdp.example.com$TOKEN").unwrap_err();
            assert!(failure.message.contains("blank"), "{failure}");
        }
    }

    #[test]
    fn addresses_are_read_before_anything_is_touched() {
        for args in [&["--default-address", "no address"][..], &["--discover=https://x"]] {
            let args = parse(args).unwrap();
            let Err(failure) = operate(&args, &mut Output::new(true)) else { panic!("{args:?}") };
            assert!(failure.message.contains("host name"), "{failure}");
        }
    }

    #[test]
    fn exit_codes() {
        let code = |args: &[&str]| format!("{:?}", main_with(args));
        assert_eq!(code(&["lpad", "--version"]), format!("{:?}", ExitCode::SUCCESS));
        assert_eq!(code(&["lpad", "--nonsense"]), format!("{:?}", ExitCode::from(2)));
        assert_eq!(code(&["lpad", "-d", "/dev/null", "--json", "--list"]), format!("{:?}", ExitCode::from(1)));
    }

    #[test]
    fn help() {
        let help = <Args as clap::CommandFactory>::command().term_width(110).render_long_help().to_string();
        insta::assert_snapshot!(help);
    }
}
