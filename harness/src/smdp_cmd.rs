//! `esimlab smdp`: the SM-DP+ alone, for people who bring their own modem and LPA. [`esimlab order`](crate::order_cmd)
//! talks to one that runs.
//!
//! Configuration and certificates → SM-DP+ (and SM-DS, where one is configured) with its orders from the store →
//! fronts and management API → a signal → what is under way is finished.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Args;
use pki::{Pki, PkiSpec};
use rsp::Eid;
use rsp::cert::Certificate;
use rsp::crypto::{Curve, Random, SystemRandom};
use rsp::ids::to_hex;
use serde::{Deserialize, Serialize};
use serde_json::json;
use smdp::front::{ClientOptions, FaultError, FaultSpec};
use smdp::manage::{ManageOptions, ManageServer, Watch};
use smdp::profile::ProfileSpec;
use smdp::server::ProfileType;
use smdp::smds::DsCredentials;
use smdp::{
    Credentials, Identity, OrderSpec, OrderState, Profile, Server, Smdp, SmdpConfig, Smds, SmdsConfig, SmdsServer,
    Store,
};

use crate::cli::{Abort, Ended};
use crate::lab::{cannot_listen, flawed_identities, own_host, system_time};
use crate::order_cmd::{Control, default_control};
use crate::profile::refused;
use crate::runner::result::exit;
use crate::scenario::error::Mistakes;
use crate::toml_file::{self, Wrong};

/// How long a server that is to end waits for what is under way.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// The arguments of `esimlab smdp`.
#[derive(Debug, Args)]
pub struct SmdpArgs {
    /// What the server is and what it has: a TOML file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Where it listens
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,

    /// Where the management API listens, on loopback
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    manage: SocketAddr,

    /// The host name it answers to, as it stands in activation codes; the listening address when not given
    #[arg(long, value_name = "HOST[:PORT]")]
    host: Option<String>,

    /// Certificates and keys: a folder laid out like SGP.26. One that is empty or not there is filled with new ones
    #[arg(long, value_name = "DIR")]
    pki: Option<PathBuf>,

    /// The curve of the TLS certificate; on both, where the folder has them, cards are served
    #[arg(long, value_name = "CURVE", default_value = "p256", value_parser = crate::up::parse_curve)]
    curve: Curve,

    /// Keep the orders in this file
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,

    /// The file that tells `esimlab order` where the management API is, and its token
    #[arg(long, value_name = "FILE")]
    control: Option<PathBuf>,

    /// Print one line of JSON when all is ready, and nothing else
    #[arg(long)]
    json: bool,

    /// Print what happens, as it happens, to standard error
    #[arg(short, long)]
    verbose: bool,
}

/// The configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Config {
    /// Other names that the server answers to.
    aliases: Vec<String>,
    session_lifetime: Option<i64>,
    max_sessions: Option<usize>,
    max_wrong_codes: Option<u32>,
    max_attempts: Option<u32>,
    replace_session_keys: Option<bool>,
    rebind: Option<bool>,
    eligibility: Option<bool>,
    /// Profiles beside the built-in ones.
    profiles: BTreeMap<String, ProfileSpec>,
    #[serde(rename = "order")]
    orders: Vec<OrderConfig>,
    #[serde(rename = "fault")]
    faults: Vec<FaultSpec>,
    es2plus: Es2Config,
    smds: Option<SmdsFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct OrderConfig {
    profile: String,
    #[serde(default)]
    number: u32,
    #[serde(default)]
    matching_id: Option<String>,
    #[serde(default)]
    eid: Option<String>,
    #[serde(default)]
    confirmation_code: Option<String>,
    #[serde(default)]
    state: OrderState,
    #[serde(default)]
    expires: Option<i64>,
    #[serde(default)]
    max_attempts: Option<u32>,
    #[serde(default)]
    replace_session_keys: Option<bool>,
    #[serde(default)]
    owner: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Es2Config {
    /// Whether operators have to show a client certificate of the lab's CIs.
    client_certificate: bool,
    /// Files with more CIs for client certificates.
    client_ca: Vec<PathBuf>,
    /// The operator that is told of the progress of downloads: host and port.
    operator: Option<String>,
    /// What can be ordered by type.
    types: BTreeMap<String, TypeConfig>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct TypeConfig {
    profile: String,
    #[serde(default)]
    owner: Option<String>,
    #[serde(default)]
    stock: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SmdsFile {
    listen: SocketAddr,
    #[serde(default)]
    host: Option<String>,
    /// The root SM-DS, when this is an alternative one.
    #[serde(default)]
    root: Option<String>,
}

fn usage(error: impl std::fmt::Display) -> Abort {
    Abort::usage(error.to_string())
}

fn lab(error: impl std::fmt::Display) -> Abort {
    Abort::lab(error.to_string())
}

impl Config {
    /// Reads a file; tells all that is wrong with it.
    fn read(file: &str, text: &str) -> Result<Self, Mistakes> {
        toml_file::read(file, text, |text| {
            let config: Config = toml::from_str(text)?;
            match config.mistake() {
                None => Ok(config),
                Some(wrong) => Err(wrong),
            }
        })
    }

    /// What is wrong beside single values.
    fn mistake(&self) -> Option<Wrong> {
        let mut catalog = smdp::profile::built_in();
        for (name, spec) in &self.profiles {
            if let Err(error) = Profile::build(spec) {
                return Some(refused(&["profiles", name], error));
            }
        }
        catalog.extend(self.profiles.clone());
        for (index, order) in self.orders.iter().enumerate() {
            if !catalog.contains_key(&order.profile) {
                let path = ["order", &index.to_string(), "profile"];
                return Some(Wrong::word(path, &order.profile, catalog.keys().map(String::as_str)));
            }
            if let Some(Err(error)) = order.eid.as_deref().map(Eid::parse) {
                return Some(Wrong::at(["order", &index.to_string(), "eid"], error.to_string()));
            }
        }
        for (name, kind) in &self.es2plus.types {
            if !catalog.contains_key(&kind.profile) {
                let path = ["es2plus", "types", name, "profile"];
                return Some(Wrong::word(path, &kind.profile, catalog.keys().map(String::as_str)));
            }
        }
        for (index, fault) in self.faults.iter().enumerate() {
            let index = index.to_string();
            match fault.fault() {
                Ok(_) => {}
                Err(FaultError::Word { layer, word, known }) if layer != "refuse" => {
                    return Some(Wrong::word(["fault", &index, layer], &word, known.split(", ")));
                }
                Err(error) => {
                    let path = match &error {
                        FaultError::Word { layer, .. } => vec!["fault", &index, layer],
                        _ => vec!["fault", &index],
                    };
                    return Some(Wrong::at(path, error.to_string()));
                }
            }
        }
        None
    }
}

/// Runs `esimlab smdp` until it is ended.
pub(crate) fn run(args: &SmdpArgs) -> Result<u8, Abort> {
    let config = match &args.config {
        None => Config::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| Abort::usage(format!("cannot read {}: {error}", path.display())))?;
            Config::read(&path.display().to_string(), &text)?
        }
    };
    let pki = match &args.pki {
        Some(folder) => crate::up::open_pki(folder, args.curve, None)?,
        None => Pki::generate(&PkiSpec::default(), &mut SystemRandom, system_time()).map_err(lab)?,
    };
    serving()?.block_on(serve(args, config, &Arc::new(pki)))
}

/// A runtime for connections alone, on half of the processors: the functions' cryptography has threads of its own, and
/// the fewer threads hand work to each other, the less of it is lost on the way.
fn serving() -> Result<tokio::runtime::Runtime, Abort> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads((processors / 2).max(1))
        .enable_all()
        .build()
        .map_err(|error| Abort::lab(format!("cannot start: {error}")))
}

async fn serve(args: &SmdpArgs, config: Config, pki: &Arc<Pki>) -> Result<u8, Abort> {
    let now = system_time();
    let listener = TcpListener::bind(args.listen).map_err(|error| Abort::usage(cannot_listen(args.listen, &error)))?;
    let listening = listener.local_addr().map_err(lab)?;
    let address = address(args.host.as_deref(), listening);
    let host = host_of(&address).to_owned();
    let tls = tls_identity(pki, args.curve, &host, listening.ip(), now)?;

    let mut catalog = smdp::profile::built_in();
    catalog.extend(config.profiles.clone());
    let (store, records) = match &args.state {
        None => (None, Vec::new()),
        Some(path) => {
            let (store, records) =
                Store::open(path).map_err(|error| Abort::usage(format!("{}: {error}", path.display())))?;
            (Some(Arc::new(store)), records)
        }
    };
    let mut server = Smdp::new(settings(&config, &catalog, pki, &address)?, Box::new(SystemRandom)).map_err(lab)?;
    let found = !records.is_empty();
    server.restore(records).map_err(usage)?;
    // The orders of the configuration are taken once; those in the store are the truth afterwards.
    if !found {
        for order in &config.orders {
            let spec = order_spec(order, &catalog)?;
            server.add_order(spec, now).map_err(|error| Abort::usage(format!("an order: {error}")))?;
        }
    }
    if let Some(store) = &store {
        server.keep_changes();
        let ticket = store.keep(server.drain_changes());
        ticket.await.map_err(lab)?.map_err(lab)?;
    }
    server.drain_events();

    let watch = Arc::new(Watch::default());
    let cis: Vec<Certificate> = pki.curves().filter_map(|curve| pki.ci(curve).ok().cloned()).collect();
    let client = ClientOptions {
        trust: cis.clone(),
        identity: Some(tls.clone()),
        requester: server.config().oid.to_string(),
        ..ClientOptions::default()
    };
    let mut client_ca = Vec::new();
    if config.es2plus.client_certificate || !config.es2plus.client_ca.is_empty() {
        client_ca.clone_from(&cis);
        for path in &config.es2plus.client_ca {
            let told = |error: &dyn std::fmt::Display| Abort::usage(format!("{}: {error}", path.display()));
            let bytes = std::fs::read(path).map_err(|error| told(&error))?;
            client_ca.push(Certificate::from_pem_or_der(&bytes).map_err(|error| told(&error))?);
        }
    }
    let faults = config.faults.iter().map(FaultSpec::fault).collect::<Result<Vec<_>, _>>().map_err(usage)?;
    let names = vec![host, "localhost".to_owned(), "127.0.0.1".to_owned()];
    let options = smdp::front::Options {
        observer: watch.clone(),
        faults,
        flawed: flawed_identities(pki, args.curve, names, |_| Box::new(SystemRandom), now),
        store,
        client_ca,
        client: client.clone(),
        operator: config.es2plus.operator.clone(),
        ..smdp::front::Options::default()
    };
    let orders = server.orders().len();
    let server = Server::start(listener, Arc::new(Mutex::new(server)), &tls, options).map_err(lab)?;
    let smds = config.smds.as_ref().map(|file| start_smds(file, pki, args.curve, client, now)).transpose()?;
    // The SM-DS keeps its events in memory: what waits is announced to it again.
    if found {
        server.change(|smdp, _| smdp.announce_again()).await.map_err(lab)?;
    }

    let manage = TcpListener::bind(args.manage).map_err(|error| Abort::usage(cannot_listen(args.manage, &error)))?;
    let mut token = [0; 24];
    SystemRandom.fill(&mut token);
    let token = to_hex(&token);
    let manage_options =
        ManageOptions { token: token.clone(), address: address.clone(), catalog, watch: watch.clone() };
    let manage = ManageServer::start(manage, &server, manage_options).map_err(usage)?;
    let control = Control { url: format!("http://{}", manage.address()), token };
    let control_path = args.control.clone().unwrap_or_else(default_control);
    let control_file = ControlFile::write(&control_path, &control)?;
    let guard = crate::tidy::Guard::start().map_err(|error| lab(format!("a folder for temporary files: {error}")))?;
    let folder = guard.nest().folder("smdp-").map_err(lab)?;
    let ci = folder.path().join("ci.pem");
    let pem: Vec<String> = cis.iter().map(Certificate::to_pem).collect();
    std::fs::write(&ci, pem.concat()).map_err(lab)?;

    let ready = Ready { args, address: &address, listening, control: &control, control_path: &control_path, ci: &ci };
    let mut ended = Ended::listen();
    let text = ready.text(orders, smds.as_ref().map(|(_, address)| address.as_str()));
    // The reader may be gone at once: the server stays for whoever has read it.
    let _ = std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush());
    if args.verbose {
        let mut seen = watch.subscribe();
        tokio::select! {
            _ = ended.come() => {}
            () = async {
                while let Ok(event) = seen.recv().await {
                    let _ = writeln!(std::io::stderr(), "{event}");
                }
            } => {}
        }
    } else {
        ended.come().await;
    }
    drop(control_file);
    drop(manage);
    if let Some((smds, _)) = smds {
        smds.shut_down(LAST_WORDS).await;
    }
    server.shut_down(LAST_WORDS).await;
    Ok(exit::PASSED)
}

/// The address in activation codes: what was given, with the port unless that is the usual one.
fn address(host: Option<&str>, listening: SocketAddr) -> String {
    match host {
        None => format!("{}:{}", own_host(listening), listening.port()),
        Some(host) if host.contains(':') || listening.port() == 443 => host.to_owned(),
        Some(host) => format!("{host}:{}", listening.port()),
    }
}

fn host_of(address: &str) -> &str {
    match address.rsplit_once(':') {
        Some((host, _)) => host.trim_start_matches('[').trim_end_matches(']'),
        None => address,
    }
}

fn identity(identity: &pki::Identity) -> Identity {
    Identity { certificate: identity.certificate.clone(), key: identity.key.clone() }
}

/// The TLS certificate: one for this host where the CI's key is at hand, else the one in the folder.
fn tls_identity(pki: &Pki, curve: Curve, host: &str, ip: IpAddr, now: i64) -> Result<Identity, Abort> {
    if pki.ci_key(curve).is_err() {
        return pki.tls(curve).map(identity).map_err(usage);
    }
    let mut names = vec![host.to_owned()];
    for name in ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned(), ip.to_string()] {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    pki.issue_tls(curve, &names, &mut SystemRandom, now).map(|made| identity(&made)).map_err(usage)
}

fn settings(
    config: &Config,
    catalog: &BTreeMap<String, ProfileSpec>,
    pki: &Pki,
    address: &str,
) -> Result<SmdpConfig, Abort> {
    let mut credentials = Vec::new();
    let mut oid = None;
    for curve in pki.curves() {
        // A folder may have a CI on a curve without a server below it.
        let Ok(own) = pki.smdp(curve) else { continue };
        if oid.get_or_insert_with(|| own.oid.clone()) != &own.oid {
            continue;
        }
        let ci = pki.ci(curve).map_err(usage)?.clone();
        credentials.push(Credentials { ci, auth: identity(&own.auth), pb: identity(&own.pb) });
    }
    let oid = oid.ok_or_else(|| Abort::usage("the certificates have no SM-DP+ (DPauth and DPpb)"))?;
    let mut settings = SmdpConfig::new(address, oid, credentials);
    settings.aliases = config.aliases.clone();
    settings.aliases.extend(["localhost".to_owned(), "127.0.0.1".to_owned()]);
    settings.session_lifetime = config.session_lifetime.unwrap_or(settings.session_lifetime);
    settings.max_sessions = config.max_sessions.unwrap_or(settings.max_sessions);
    settings.max_wrong_codes = config.max_wrong_codes.unwrap_or(settings.max_wrong_codes);
    settings.max_attempts = config.max_attempts;
    settings.replace_session_keys = config.replace_session_keys.unwrap_or(settings.replace_session_keys);
    settings.rebind = config.rebind.unwrap_or(settings.rebind);
    settings.eligibility = config.eligibility.unwrap_or(settings.eligibility);
    settings.progress = config.es2plus.operator.is_some();
    for (name, kind) in &config.es2plus.types {
        let template = profile_named(&kind.profile, catalog)?.clone();
        let kind = ProfileType { template, owner: kind.owner.clone(), stock: kind.stock };
        settings.profile_types.insert(name.clone(), kind);
    }
    Ok(settings)
}

fn profile_named<'a>(name: &str, catalog: &'a BTreeMap<String, ProfileSpec>) -> Result<&'a ProfileSpec, Abort> {
    catalog.get(name).ok_or_else(|| {
        let known = catalog.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        Abort::usage(format!("there is no profile {name:?}; there are {known}"))
    })
}

fn order_spec(order: &OrderConfig, catalog: &BTreeMap<String, ProfileSpec>) -> Result<OrderSpec, Abort> {
    let spec = profile_named(&order.profile, catalog)?;
    let profile = Profile::build(&spec.numbered(order.number)).map_err(usage)?;
    Ok(OrderSpec {
        matching_id: order.matching_id.clone(),
        eid: order.eid.as_deref().map(Eid::parse).transpose().map_err(usage)?,
        confirmation_code: order.confirmation_code.clone(),
        state: order.state,
        expires: order.expires,
        max_attempts: order.max_attempts,
        replace_session_keys: order.replace_session_keys,
        owner: order.owner.clone(),
        profile_type: Some(order.profile.clone()),
        ..OrderSpec::inventory(profile)
    })
}

fn start_smds(
    file: &SmdsFile,
    pki: &Pki,
    curve: Curve,
    client: ClientOptions,
    now: i64,
) -> Result<(SmdsServer, String), Abort> {
    let listener = TcpListener::bind(file.listen)
        .map_err(|error| Abort::usage(format!("cannot listen on {}: {error}", file.listen)))?;
    let listening = listener.local_addr().map_err(lab)?;
    let address = address(file.host.as_deref(), listening);
    let own = pki.curves().filter_map(|curve| {
        let smds = pki.smds(curve).ok()?;
        Some(DsCredentials { ci: pki.ci(curve).ok()?.clone(), auth: identity(&smds.auth) })
    });
    let mut config = SmdsConfig::new(address.clone(), own.collect());
    config.aliases = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    config.root.clone_from(&file.root);
    let smds = Smds::new(config, Box::new(SystemRandom)).map_err(usage)?;
    let tls = tls_identity(pki, curve, host_of(&address), listening.ip(), now)?;
    let options = smdp::front::Options { client, ..smdp::front::Options::default() };
    let server = SmdsServer::start(listener, Arc::new(Mutex::new(smds)), &tls, options).map_err(lab)?;
    Ok((server, address))
}

/// The control file; it goes with the server, unless another one has written its own in this place.
struct ControlFile {
    path: PathBuf,
    token: String,
}

impl ControlFile {
    fn write(path: &Path, control: &Control) -> Result<Self, Abort> {
        write_control(path, control)?;
        Ok(ControlFile { path: path.to_owned(), token: control.token.clone() })
    }
}

/// Writes where a management API is, and its token, for this user only.
pub(crate) fn write_control(path: &Path, control: &impl Serialize) -> Result<(), Abort> {
    let told = |error: &dyn std::fmt::Display| Abort::usage(format!("cannot write {}: {error}", path.display()));
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| told(&error))?;
    }
    let text = serde_json::to_string(control).map_err(|error| told(&error))?;
    // Made anew beside it, for this user only, and moved into place.
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let _ = std::fs::remove_file(&beside);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .map_err(|error| told(&error))?;
    file.write_all(text.as_bytes()).map_err(|error| told(&error))?;
    std::fs::rename(&beside, path).map_err(|error| told(&error))
}

impl Drop for ControlFile {
    fn drop(&mut self) {
        if std::fs::read_to_string(&self.path).is_ok_and(|text| text.contains(&self.token)) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// What is told once all is ready.
struct Ready<'a> {
    args: &'a SmdpArgs,
    address: &'a str,
    listening: SocketAddr,
    control: &'a Control,
    control_path: &'a Path,
    ci: &'a Path,
}

impl Ready<'_> {
    fn text(&self, orders: usize, smds: Option<&str>) -> String {
        if self.args.json {
            let line = json!({
                "smdp": { "address": self.address, "listening": self.listening, "ci": self.ci },
                "smds": smds,
                "manage": { "url": self.control.url, "token": self.control.token, "control": self.control_path },
                "orders": orders,
            });
            return format!("{line}\n");
        }
        let mut text = format!("SM-DP+             {}\n", self.address);
        if let Some(smds) = smds {
            text += &format!("SM-DS              {smds}\n");
        }
        text += &format!("CI certificates    {}\n", self.ci.display());
        text += &format!("management API     {}, token in {}\n", self.control.url, self.control_path.display());
        text += &format!("orders             {orders}\n\n");
        if !self.listening.ip().is_loopback() {
            text += "It can be reached from outside this machine.\n\n";
        }
        text += "Try it\n  esimlab order add operator-a TOKEN-1\n  esimlab order list\n\n\
                 Ctrl-C ends it, once what is under way is finished.\n";
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_a_server() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert_eq!(address(None, at("127.0.0.1:8443")), "127.0.0.1:8443");
        assert_eq!(address(None, at("0.0.0.0:8443")), "localhost:8443");
        assert_eq!(address(None, at("[::1]:8443")), "[::1]:8443");
        assert_eq!(address(Some("smdp.example.com"), at("127.0.0.1:8443")), "smdp.example.com:8443");
        assert_eq!(address(Some("smdp.example.com"), at("127.0.0.1:443")), "smdp.example.com");
        assert_eq!(address(Some("smdp.example.com:1"), at("127.0.0.1:8443")), "smdp.example.com:1");
        assert_eq!(host_of("[::1]:8443"), "::1");
        assert_eq!(host_of("smdp.example.com"), "smdp.example.com");
    }

    #[test]
    fn a_configuration_is_read_whole() {
        let config: Config = toml::from_str(
            r#"
            aliases = ["smdp.example.com"]
            max-attempts = 5
            rebind = false

            [[order]]
            profile = "operator-a"
            matching-id = "with_under score"
            state = "confirmed"

            [[fault]]
            refuse = "8.8.5/4.10"
            order = "A"

            [es2plus]
            client-certificate = true
            operator = "127.0.0.1:9"
            [es2plus.types.Basic]
            profile = "operator-b"
            stock = 7

            [smds]
            listen = "127.0.0.1:0"
            "#,
        )
        .unwrap();
        let catalog = smdp::profile::built_in();
        let spec = order_spec(&config.orders[0], &catalog).unwrap();
        assert_eq!((spec.matching_id.as_deref(), spec.state), (Some("with_under score"), OrderState::Confirmed));
        let pki = Pki::generate(&PkiSpec::default(), &mut SystemRandom, system_time()).unwrap();
        let settings = settings(&config, &catalog, &pki, "a.example.com").unwrap();
        assert_eq!((settings.max_attempts, settings.rebind, settings.credentials.len()), (Some(5), false, 2));
        assert_eq!(settings.profile_types["Basic"].stock, Some(7));
        assert!(settings.progress);
        let unknown = OrderConfig { profile: "none".to_owned(), ..toml::from_str("profile = 'x'").unwrap() };
        assert!(order_spec(&unknown, &catalog).is_err());
    }

    #[test]
    fn mistakes_in_a_configuration_are_told_at_their_places() {
        let text = r#"
rebnd = true
max-attempts = "many"

[profiles.mine]
name = "Mine"
provider = "Me"
iccid = "8944"
imsi = "00101"
ki = "000102030405060708090A0B0C0D0E0F"
opc = "000102030405060708090A0B0C0D0E0F"

[[order]]
profile = "operater-a"
state = "instaled"

[[order]]
profile = "operator-a"
eid = "89049032123451234512345678901236"

[[fault]]
tcp = "rest"

[[fault]]
refuse = "8.8/x"

[es2plus.types.Basic]
profile = "nobody"
"#;
        insta::assert_snapshot!(Config::read("server.toml", text).unwrap_err().render(false, 100));
    }
}
