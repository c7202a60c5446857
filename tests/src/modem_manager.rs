//! ModemManager on the terminals of a modem, and its command mmcli.
//!
//! ```text
//! mmcli ── bus ── ModemManager ── ttyUSB2, ttyUSB3 = /dev/pts/N ── modem
//!          └─ in mount and PID namespaces of its own (modem_manager.sh)
//! ```
//!
//! When this is dropped the namespaces are gone with everything in them.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::ChildStdin;

use crate::client::{Client, Ended, installed};

const WORLD: &str = include_str!("modem_manager.sh");

/// A ModemManager that runs.
pub struct ModemManager {
    /// What it logs.
    pub log: Client,
    mmcli: PathBuf,
    address: String,
    /// The namespaces end with their input: even when nobody is left to kill them.
    input: Option<ChildStdin>,
    _folder: tempfile::TempDir,
}

impl ModemManager {
    /// Starts it on these terminals, which it takes for the ports of a USB device with this product number. `None`,
    /// with a message, where it is not installed or namespaces may not be made.
    pub async fn start(ttys: &[PathBuf], product: &str, model: &str) -> Option<Self> {
        installed("ModemManager")?;
        installed("dbus-daemon")?;
        let mmcli = installed("mmcli")?;
        let unshare = installed("unshare")?;
        // Others than root may make mount namespaces inside user namespaces only.
        let mut options = vec!["--mount", "--pid", "--fork", "--kill-child"];
        if !rustix::process::geteuid().is_root() {
            options.insert(0, "--map-root-user");
        }
        let allowed = Client::run(&unshare, |command| {
            command.args(&options).args(["sh", "-c", "mount --make-rprivate / && mount -t tmpfs tmpfs /sys"]);
        })
        .await;
        if !allowed.status.success() {
            eprintln!("skipped: mount namespaces cannot be made here: {}", allowed.text);
            return None;
        }
        let folder = tempfile::Builder::new().prefix("modem-manager-").tempdir().expect("a folder");
        let mut log = Client::start(&unshare, |command| {
            command.args(&options).args(["sh", "-c", WORLD, "world"]);
            command.arg(folder.path()).args([product, model]).args(ttys).stdin(Stdio::piped());
            // Root's PATH, for the daemons.
            command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        });
        let input = log.input();
        log.line("service name 'org.freedesktop.ModemManager1' was acquired").await;
        let address = format!("unix:path={}", folder.path().join("bus").display());
        Some(ModemManager { log, mmcli, address, input, _folder: folder })
    }

    /// A program that talks to it on the bus.
    pub fn client(&self, program: &Path, arguments: &[&str]) -> Client {
        Client::start(program, |command| {
            command.args(arguments).env("DBUS_SYSTEM_BUS_ADDRESS", &self.address);
        })
    }

    /// mmcli, left running: one of its monitors.
    pub fn monitor(&self, arguments: &[&str]) -> Client {
        self.client(&self.mmcli, arguments)
    }

    /// All signals of an interface, as they come.
    pub async fn signals(&self, interface: &str) -> Client {
        let program = installed("dbus-monitor").expect("it comes with dbus-daemon");
        let what = format!("type='signal',interface='{interface}'");
        let mut monitor = self.client(&program, &["--address", &self.address, &what]);
        // It listens when it has been given its name.
        monitor.line("member=NameAcquired").await;
        monitor
    }

    /// Runs mmcli.
    pub async fn try_mmcli(&self, arguments: &[&str]) -> Ended {
        self.monitor(arguments).end().await
    }

    /// What mmcli prints.
    ///
    /// # Panics
    /// When it fails.
    pub async fn mmcli(&self, arguments: &[&str]) -> String {
        let ended = self.try_mmcli(arguments).await;
        assert!(ended.status.success(), "mmcli {arguments:?}: {}", ended.text);
        ended.text
    }

    /// One value of `mmcli --output-keyvalue`.
    ///
    /// # Panics
    /// When it is not there.
    pub async fn value(&self, arguments: &[&str], key: &str) -> String {
        let text = self.mmcli(&[arguments, &["--output-keyvalue"]].concat()).await;
        let value = text.lines().filter_map(|line| line.split_once(':')).find(|(name, _)| name.trim() == key);
        value.unwrap_or_else(|| panic!("there is no {key}:\n{text}")).1.trim().to_owned()
    }

    /// Ends it, and waits until its terminals are free: a PID namespace is gone when everything in it is.
    pub async fn stop(mut self) {
        self.input = None;
        self.log.ended().await;
    }
}

impl Drop for ModemManager {
    /// When a test has failed, what went over the terminals tells why.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log.text();
            let lines: Vec<&str> =
                log.lines().filter(|line| ["--> '", "<-- '"].iter().any(|mark| line.contains(mark))).collect();
            eprintln!("{}", lines.split_at(lines.len().saturating_sub(60)).1.join("\n"));
        }
    }
}
