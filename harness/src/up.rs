//! `esimlab up`: a lab to work with by hand or from any program.
//!
//! It wires one modem, one card and one SM-DP+ with a few orders, tells where everything is, and stays until it is
//! ended by Ctrl-C or a signal. Then everything it has made is gone: terminals, ports, the link, the CI file.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use euicc::spec::{CardSpec, ProfileSource};
use modem::HostNetwork;
use pki::{Pki, PkiSpec};
use rsp::Eid;
use rsp::crypto::{Curve, SystemRandom};
use serde::Serialize;
use smdp::{OrderSpec, Profile};

use crate::cli::{Abort, Ended, runtime};
use crate::control::{Access, ControlPort};
use crate::lab::{Lab, LabError, card_profile, system_time};
use crate::runner::result::exit;
use crate::timeline::Timeline;
use crate::toml_file;

/// How many events of a lab that stays up are kept.
const KEPT_EVENTS: usize = 10_000;

/// The confirmation code of the order that asks for one.
const CONFIRMATION_CODE: &str = "12345678";

/// The arguments of `esimlab up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// The model of the modem; `esimlab models` lists them. A file describes one's own
    #[arg(long, value_name = "NAME|FILE", default_value = crate::lab::DEFAULT_MODEL)]
    model: String,

    /// Have the modem take the time of a real one
    #[arg(long)]
    realistic: bool,

    /// Make a symbolic link to the AT port here, so that its path stays the same
    #[arg(long, value_name = "PATH")]
    link: Option<PathBuf>,

    /// The kind of card: the file of one, or the name of a built-in one; `esimlab cards` lists them
    #[arg(long, value_name = "FILE|NAME")]
    card: Option<String>,

    /// The mobile network around the modem: a file with its operators and subscriptions. Without one every card is let in
    #[arg(long, value_name = "FILE")]
    network: Option<PathBuf>,

    /// Keep what is on the card and in the module in this folder, and find it there the next time, with the
    /// certificates in `pki`
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,

    /// Certificates and keys: a folder laid out like SGP.26. One that is empty or not there is filled with new ones
    #[arg(long, value_name = "DIR")]
    pki: Option<PathBuf>,

    /// The curve of all certificates and keys
    #[arg(long, value_name = "CURVE", default_value = "p256", value_parser = parse_curve)]
    curve: Curve,

    /// The EID of the card; the first one of the PKI when not given
    #[arg(long, value_name = "EID", value_parser = |text: &str| Eid::parse(text))]
    eid: Option<Eid>,

    /// Where the SM-DP+ listens
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// Where the control port listens, on loopback: orders, faults, timeline, modem and card for test programs
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    control: SocketAddr,

    /// Give a name an address for the modem's own sockets; what is looked up elsewhere comes after these
    #[arg(long = "name", value_name = "NAME=ADDRESS", value_parser = parse_name)]
    names: Vec<(String, IpAddr)>,

    /// Let the modem's own sockets reach every address, not this machine only
    #[arg(long)]
    reach_anywhere: bool,

    /// Print one line of JSON when all is ready, and nothing else
    #[arg(long)]
    json: bool,

    /// Print everything that is seen, as it happens, to standard error
    #[arg(short, long)]
    verbose: bool,
}

/// A name and its address.
fn parse_name(text: &str) -> Result<(String, IpAddr), String> {
    let (name, address) =
        text.split_once('=').ok_or("write the name, `=`, and its address: `server.example=127.0.0.1`")?;
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
        return Err(format!("{name:?} is no name of a host"));
    }
    let address = address.parse().map_err(|_| format!("{address:?} is no IP address"))?;
    Ok((name.to_owned(), address))
}

pub(crate) fn parse_curve(text: &str) -> Result<Curve, String> {
    match text.to_ascii_lowercase().as_str() {
        "p256" | "p-256" | "nist" => Ok(Curve::P256),
        "brainpool" | "brainpoolp256r1" | "brp" => Ok(Curve::BrainpoolP256r1),
        _ => Err("the curves are p256 and brainpool".to_owned()),
    }
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Ready<'a> {
    modems: [ReadyModem<'a>; 1],
    smdp: ReadySmdp<'a>,
    orders: Vec<ReadyOrder>,
    control: &'a Access,
}

#[derive(Debug, Serialize)]
struct ReadyModem<'a> {
    model: &'a str,
    ttys: Vec<&'a Path>,
    eid: String,
}

#[derive(Debug, Serialize)]
struct ReadySmdp<'a> {
    address: &'a str,
    ci: &'a Path,
}

#[derive(Debug, Serialize)]
struct ReadyOrder {
    activation_code: String,
    matching_id: String,
    profile: String,
    confirmation_code: Option<&'static str>,
}

/// Runs `esimlab up` until it is ended.
pub(crate) fn run(args: &UpArgs) -> Result<u8, Abort> {
    let mut model = crate::cli::model(&args.model)?;
    if args.realistic {
        model.timing = modem::Timing::Realistic;
    }
    let card = args.card.as_deref().map(read_card).transpose()?;
    let own_eid = args.eid.or_else(|| card.as_ref().and_then(|card| card.eid));
    let folder = args.pki.clone().or_else(|| args.state.as_ref().map(|state| state.join("pki")));
    let pki = folder.as_deref().map(|folder| open_pki(folder, args.curve, own_eid)).transpose()?;
    if let (Some(pki), Some(eid), Some(_)) = (&pki, own_eid, &args.state)
        && pki.euicc(args.curve, &eid).is_none()
    {
        // One issued anew each time would be another card each time.
        let problem = "its certificates are those of other cards; give one of their EIDs, or another folder";
        return Err(Abort::usage(format!("the state of the eUICC {eid} cannot be kept: {problem}")));
    }
    // Without it a lab works just as well; after a `kill -9` the next start tidies up.
    let guard = crate::tidy::Guard::start().ok();
    let runtime = runtime()?;
    runtime.block_on(async {
        let timeline = Timeline::keeping(KEPT_EVENTS);
        let mut builder =
            Lab::builder().model(model).curve(args.curve).listen(args.listen).default_smdp().timeline(timeline);
        let mut reach = HostNetwork::loopback();
        for (name, address) in &args.names {
            reach = reach.name(name, *address);
        }
        if args.reach_anywhere {
            reach = reach.anywhere();
        }
        builder = builder.reach(reach);
        if let Some(pki) = pki {
            builder = builder.pki(pki);
        }
        if let Some(eid) = args.eid {
            builder = builder.eid(eid);
        }
        if let Some(card) = card {
            builder = builder.card(card);
        }
        if let Some(state) = &args.state {
            builder = builder.state(state);
        }
        if let Some(path) = &args.network {
            builder = builder.network(read_network(path)?);
        }
        let lab = Arc::new(builder.start().map_err(failed)?);
        for order in orders(&lab).map_err(|error| Abort::lab(error.to_string()))? {
            lab.add_order(order).map_err(failed)?;
        }
        let control = ControlPort::open(&lab, args.control)
            .map_err(|error| Abort::usage(format!("the control port {}: {error}", args.control)))?;
        let control_file = lab.folder().join("control.json");
        crate::smdp_cmd::write_control(&control_file, control.access())?;
        let link = args.link.as_deref().map(|path| Link::make(path, lab.tty())).transpose()?;
        if let (Some(link), Some(guard)) = (&link, &guard) {
            // Where it cannot be noted it stays after a `kill -9`, and the next lab replaces it.
            let _ = guard.nest().note_link(&link.path, &link.target);
        }
        let tty = link.as_ref().map_or(lab.tty(), |link| &link.path);
        let mut ended = Ended::listen();
        let text = if args.json { json_line(&lab, tty, control.access())? } else { words(&lab, tty, &control_file) };
        // The reader may be gone at once, `| head -1`: the lab stays for whoever has read it.
        let _ = std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush());
        if args.verbose {
            tokio::select! {
                () = print_events(lab.timeline()) => {}
                _ = ended.come() => {}
            }
        } else {
            ended.come().await;
        }
        drop(link);
        drop(control);
        drop(lab);
        Ok(exit::PASSED)
    })
}

fn failed(error: LabError) -> Abort {
    match error {
        LabError::Listen { .. } => Abort::usage(error.to_string()),
        _ => Abort::lab(error.to_string()),
    }
}

/// A built-in card, or the file of one, whose profiles are files beside it.
fn read_card(name: &str) -> Result<CardSpec, Abort> {
    let path = Path::new(name);
    if CardSpec::names().any(|known| known == name) || (!path.exists() && path.extension().is_none()) {
        return CardSpec::named(name).map_err(|error| Abort::usage(error.to_string()));
    }
    let refuse = |problem: String| Abort::usage(format!("{name}: {problem}"));
    let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
    let mut card = toml_file::card(name, &text)?;
    for index in 0..card.profiles.len() {
        let source = &mut card.profiles[index].source;
        if let ProfileSource::Package(file) = source {
            *file = path.parent().unwrap_or(Path::new("")).join(&file);
        }
        if let Err(problem) = card_profile(source) {
            let problem = format!("{source}: {problem}");
            let wrong = card.refuse_profile(&text, index, &problem).into();
            return Err(toml_file::refused(name, &text, &wrong).into());
        }
    }
    Ok(card)
}

/// A network file.
fn read_network(path: &Path) -> Result<modem::network::NetworkSpec, Abort> {
    let refuse = |problem: String| Abort::usage(format!("{}: {problem}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
    Ok(toml_file::network(&path.display().to_string(), &text)?)
}

/// Loads the folder, or fills it when there is nothing in it.
pub(crate) fn open_pki(folder: &Path, curve: Curve, eid: Option<Eid>) -> Result<Pki, Abort> {
    let is_new = match std::fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => return Err(Abort::usage(format!("cannot read {}: {error}", folder.display()))),
    };
    let pki = if is_new {
        let mut spec = PkiSpec::default();
        spec.eids.extend(eid.filter(|eid| !spec.eids.contains(eid)));
        let made = Pki::generate(&spec, &mut SystemRandom, system_time());
        made.and_then(|pki| pki.write(folder).map(|()| pki))
    } else {
        Pki::load(folder, system_time())
    };
    let pki = pki.map_err(|error| Abort::usage(error.to_string()))?;
    pki.ci(curve).map_err(|error| Abort::usage(format!("{}: {error}", folder.display())))?;
    Ok(pki)
}

/// The orders that wait: two plain ones, one with a confirmation code, one for the default SM-DP+ address.
fn orders(lab: &Lab) -> Result<Vec<OrderSpec>, smdp::profile::ProfileError> {
    let all = smdp::profile::built_in();
    let profile = |name: &str, number: u32| -> Result<Option<Profile>, _> {
        all.get(name).map(|spec| Profile::build(&spec.numbered(number))).transpose()
    };
    let mut orders = Vec::new();
    let plain = [("operator-a", 0, "OPERATOR-A"), ("operator-b", 0, "OPERATOR-B"), ("test", 0, "TEST-PROFILE")];
    for (name, number, matching_id) in plain {
        orders.extend(profile(name, number)?.map(|profile| OrderSpec::new(matching_id, profile)));
    }
    orders.extend(profile("operator-a", 1)?.map(|profile| OrderSpec {
        confirmation_code: Some(CONFIRMATION_CODE.to_owned()),
        ..OrderSpec::new("WITH-CODE", profile)
    }));
    orders.extend(profile("operator-a", 2)?.map(|profile| OrderSpec::for_eid(lab.eid(), profile)));
    Ok(orders)
}

fn ready_orders(lab: &Lab) -> Vec<ReadyOrder> {
    lab.orders()
        .into_iter()
        .map(|order| ReadyOrder {
            confirmation_code: order.activation_code.ends_with("$$1").then_some(CONFIRMATION_CODE),
            activation_code: format!("LPA:{}", order.activation_code),
            matching_id: order.matching_id.unwrap_or_default(),
            profile: order.profile,
        })
        .collect()
}

fn json_line(lab: &Lab, tty: &Path, control: &Access) -> Result<String, Abort> {
    let mut ttys: Vec<&Path> = lab.ttys().iter().map(PathBuf::as_path).collect();
    if let Some(first) = ttys.first_mut() {
        *first = tty;
    }
    let ready = Ready {
        modems: [ReadyModem { model: lab.model(), ttys, eid: lab.eid().to_string() }],
        smdp: ReadySmdp { address: lab.smdp_address(), ci: lab.ci_file() },
        orders: ready_orders(lab),
        control,
    };
    let text = serde_json::to_string(&ready).map_err(|error| Abort::lab(error.to_string()))?;
    Ok(text + "\n")
}

fn words(lab: &Lab, tty: &Path, control: &Path) -> String {
    let mut text = format!("An {} with eUICC {}\n\n  AT port          {}\n", lab.model(), lab.eid(), tty.display());
    for other in lab.ttys().iter().skip(1) {
        text += &format!("  second AT port   {}\n", other.display());
    }
    if let Some((plain, tls)) = lab.echo_ports() {
        let tls = tls.map(|port| format!(", with TLS at port {port}")).unwrap_or_default();
        text += &format!("  peer             {}, which sends everything back: port {plain}{tls}\n", crate::peer::NAME);
    }
    text += &format!("  SM-DP+           {}\n", lab.smdp_address());
    text += &format!("  CI certificate   {}\n", lab.ci_file().display());
    text += &format!("  control          {}\n\n", control.display());
    let orders = ready_orders(lab);
    let width = orders.iter().map(|order| order.activation_code.len()).max().unwrap_or(0);
    text += "Activation codes\n";
    for order in &orders {
        let remark = match (order.confirmation_code, order.matching_id.is_empty()) {
            (Some(code), _) => format!(", confirmation code {code}"),
            (None, true) => ", the order of this EID (default SM-DP+ address)".to_owned(),
            (None, false) => String::new(),
        };
        text += &format!("  {:<width$}   {}{remark}\n", order.activation_code, order.profile);
    }
    let Some(first) = orders.first() else { return text };
    if let Some(drawn) = crate::qr::drawn(&first.activation_code) {
        let indented: String = drawn.lines().map(|line| format!("  {line}\n")).collect();
        text += &format!("\n{indented}\n");
    }
    let (tty, ci, control) = (tty.display(), lab.ci_file().display(), control.display());
    // As it was called, so that the line works where the program is not on PATH.
    let esimlab = std::env::args().next().unwrap_or_else(|| "esimlab".to_owned());
    let plain = first.activation_code.trim_start_matches("LPA:");
    text += &format!(
        "Try it\n  \
         {esimlab} lpad -d {tty} --ci {ci} -A '{plain}'\n  \
         {esimlab} lpad -d {tty} --ci {ci} -A UseSMDP\n  \
         {esimlab} lpad -d {tty} --list\n  \
         {esimlab} order list --control {control}\n  \
         LPAC_APDU=at LPAC_APDU_AT_DEVICE={tty} LPAC_HTTP=curl lpac profile download -a '{}'\n\n\
         Ctrl-C ends it.\n",
        first.activation_code
    );
    text
}

/// Prints events for ever.
async fn print_events(timeline: &Timeline) {
    let mut next = 0;
    loop {
        let (number, event) = timeline.wait_for(next, |_| true).await;
        let _ = writeln!(std::io::stderr(), "{event}");
        next = number + 1;
    }
}

/// A symbolic link to a terminal; it goes when this is dropped.
pub(crate) struct Link {
    path: PathBuf,
    target: PathBuf,
}

impl Link {
    /// Makes the link in the place of an older link, but never of anything else.
    pub(crate) fn make(path: &Path, target: &Path) -> Result<Self, Abort> {
        let refuse = |why: String| Abort::usage(format!("cannot make the link {}: {why}", path.display()));
        match std::fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_symlink() => {
                return Err(refuse("there is something else of this name; choose another path".to_owned()));
            }
            _ => {}
        }
        // Made beside and moved into place: who opens the path finds the old link or the new one.
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", std::process::id()));
        let beside = PathBuf::from(beside);
        std::os::unix::fs::symlink(target, &beside)
            .and_then(|()| std::fs::rename(&beside, path))
            .map_err(|error| refuse(error.to_string()))?;
        Ok(Link { path: path.to_owned(), target: target.to_owned() })
    }
}

impl Link {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Another lab may have taken the path over in the meantime.
        if std::fs::read_link(&self.path).is_ok_and(|target| target == self.target) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_replace_links_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("modem");
        let first = Link::make(&path, Path::new("/dev/pts/1")).unwrap();
        let second = Link::make(&path, Path::new("/dev/pts/2")).unwrap();
        drop(first);
        assert_eq!(std::fs::read_link(&path).unwrap(), Path::new("/dev/pts/2"));
        drop(second);
        assert!(std::fs::symlink_metadata(&path).is_err());
        std::fs::write(&path, "precious").unwrap();
        assert!(Link::make(&path, Path::new("/dev/pts/1")).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn curves_go_by_several_names() {
        assert_eq!(parse_curve("NIST"), Ok(Curve::P256));
        assert_eq!(parse_curve("brainpool"), Ok(Curve::BrainpoolP256r1));
        assert!(parse_curve("curve25519").is_err());
    }
}
