//! LPAs on every model of the modem: lpad, and lpac where it is installed, do what the table `models.toml` says, on all
//! of them. Where they fail they fail as users of the real ones have reported.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use e2e::client::{Client, DEADLINE, Ended, installed, soon};
use e2e::{dialogue, profile, test_pki};
use esimlab::lab::{Lab, Preinstalled};
use euicc::spec::CardSpec;
use modem::Model;
use serde::Deserialize;
use smdp::OrderSpec;
use tokio::sync::Semaphore;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    row: Vec<Row>,
}

/// See the head of the table.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Row {
    model: String,
    #[serde(default)]
    report: String,
    card: Option<String>,
    #[serde(default)]
    profile: bool,
    #[serde(default)]
    setup: Vec<String>,
    #[serde(default)]
    restarts: bool,
    lpad: Option<Fails>,
    lpac: Option<Fails>,
    lpac_csim: Option<Fails>,
    #[serde(rename = "lpac-2_3")]
    lpac_2_3: Option<Fails>,
}

#[derive(Deserialize, Clone)]
#[serde(untagged, deny_unknown_fields)]
enum Fails {
    Says { at: String, says: String },
    Hangs { at: String, hangs_after: String },
}

impl Fails {
    fn at(&self) -> &str {
        match self {
            Fails::Says { at, .. } | Fails::Hangs { at, .. } => at,
        }
    }
}

fn table() -> Vec<Row> {
    let table: Table = toml::from_str(include_str!("models.toml")).unwrap_or_else(|error| panic!("{error}"));
    table.row
}

/// The profile that is downloaded.
const ICCID: &str = "8999901000000000013";

/// What every LPA is asked to do, in this order.
const OPERATIONS: [&str; 5] = ["info", "download", "enable", "disable", "delete"];

/// An LPA to try.
#[derive(Clone)]
enum Lpa {
    Lpad,
    Lpac { program: PathBuf, driver: &'static str },
}

impl Lpa {
    fn start(&self, lab: &Lab, operation: &str) -> Client {
        let code = format!("1${}$ONE", lab.smdp_address());
        match self {
            Lpa::Lpad => Client::start(Path::new(env!("CARGO_BIN_EXE_lpad_under_test")), |command| {
                command.arg("-d").arg(lab.tty()).arg("--ci").arg(lab.ci_file());
                match operation {
                    "info" => command.arg("--info"),
                    "download" => command.args(["-A", &code]),
                    "enable" => command.args(["--enable", ICCID]),
                    "disable" => command.args(["--disable", ICCID]),
                    _ => command.args(["--remove", ICCID]),
                };
            }),
            Lpa::Lpac { program, driver } => Client::start(program, |command| {
                command.envs([("LPAC_APDU", *driver), ("LPAC_HTTP", "curl")]);
                // The second name is the one of releases up to 2.3.0.
                command.env("LPAC_APDU_AT_DEVICE", lab.tty()).env("AT_DEVICE", lab.tty());
                match operation {
                    "info" => command.args(["chip", "info"]),
                    "download" => command.args(["profile", "download", "-a", &format!("LPA:{code}")]),
                    other => command.args(["profile", other, ICCID]),
                };
            }),
        }
    }
}

/// A lab as a row wants it.
fn lab(row: &Row) -> Lab {
    let mut builder = Lab::builder()
        .model(Model::named(&row.model).unwrap())
        .pki(test_pki().clone())
        .order(OrderSpec::new("ONE", profile("operator-a")));
    if let Some(card) = &row.card {
        builder = builder.card(CardSpec::named(card).unwrap());
    }
    if row.profile {
        builder = builder.profile(Preinstalled { profile: profile("operator-b"), enabled: true, nickname: None });
    }
    let lab = builder.start().unwrap();
    for line in &row.setup {
        lab.modem().apply(|modem| modem.receive(0, format!("{line}\r").as_bytes()));
    }
    lab
}

/// Waits until a program does nothing but wait for its terminal, without limit, and the terminal has nothing for it.
async fn hangs(client: &Client, lab: &Lab) {
    let terminal = File::open(lab.tty()).unwrap();
    let process = PathBuf::from(format!("/proc/{}", client.id().unwrap()));
    let waits = || {
        // The number of the system call and its arguments; or "running".
        let call = std::fs::read_to_string(process.join("syscall")).unwrap();
        let arguments: Vec<&str> = call.split(' ').skip(1).collect();
        let in_system_call = match arguments[..] {
            // poll of one file with no limit, which is a null pointer to ppoll.
            [_, "0x1", "0xffffffff" | "0xffffffffffffffff" | "0x0", ..] => true,
            // read from the terminal.
            [file, ..] => {
                let file = file.strip_prefix("0x").and_then(|file| u32::from_str_radix(file, 16).ok());
                let file = file.and_then(|file| std::fs::read_link(process.join(format!("fd/{file}"))).ok());
                file.as_deref() == Some(lab.tty())
            }
            [] => false,
        };
        in_system_call && rustix::io::ioctl_fionread(&terminal).unwrap() == 0
    };
    soon("nothing but waiting", async {
        while !waits() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Has an LPA do everything, up to where it is to fail.
async fn try_all(lpa: &Lpa, row: &Row, fails: Option<&Fails>) {
    let lab = lab(row);
    for operation in OPERATIONS {
        let place = format!("{} ({}), {operation}", row.model, row.report);
        let mut client = lpa.start(&lab, operation);
        match fails.filter(|fails| fails.at() == operation) {
            Some(Fails::Hangs { hangs_after, .. }) => {
                let line = lab.timeline().wait_for(0, |event| {
                    use esimlab::timeline::{Direction, Kind};
                    match &event.kind {
                        Kind::At { direction: Direction::Command, text, .. } => format!("> {text}"),
                        Kind::At { direction: Direction::Response, text, .. } => format!("< {text}"),
                        _ => String::new(),
                    }
                    .starts_with(hangs_after)
                });
                let seen = tokio::time::timeout(DEADLINE, line).await;
                assert!(seen.is_ok(), "{place}: no {hangs_after:?}: {:#?}\n{}", dialogue(&lab), client.text());
                hangs(&client, &lab).await;
                client.stop().await;
                return;
            }
            Some(Fails::Says { says, .. }) => {
                let Ended { text, .. } = client.end().await;
                let expected = !text.contains("\"message\":\"success\"") && text.contains(says);
                assert!(expected, "{place} does not say {says:?}: {text}");
                return;
            }
            None => {
                let Ended { status, text } = client.ended().await;
                assert!(status.success(), "{place}: {text}\n{:#?}", dialogue(&lab));
                if row.restarts {
                    lab.modem().apply(|modem| modem.receive(0, b"AT+CFUN=1,1\r"));
                }
            }
        }
    }
    assert!(fails.is_none(), "{} does all of it", row.model);
    assert!(lab.profiles().iter().all(|profile| profile.iccid.to_string() != ICCID));
    assert_eq!(lab.open_channels(), 0, "{}", row.model);
}

#[test]
fn every_model_is_in_the_table() {
    let table = table();
    let there: BTreeSet<&str> = table.iter().map(|row| row.model.as_str()).collect();
    assert_eq!(there, Model::names().into_iter().collect());
    let operations = |row: &Row| [&row.lpad, &row.lpac, &row.lpac_csim, &row.lpac_2_3].map(Option::clone);
    for fails in table.iter().flat_map(operations).flatten() {
        assert!(OPERATIONS.contains(&fails.at()), "{}", fails.at());
    }
}

/// Tries all rows, some at a time, and tells of all that are not as they should be.
async fn try_table(lpa: &Lpa, fails: impl Fn(&Row) -> Option<Fails>) {
    let turns = Arc::new(Semaphore::new(3));
    let mut tasks = Vec::new();
    for row in table() {
        let (lpa, fails, turns) = (lpa.clone(), fails(&row), Arc::clone(&turns));
        tasks.push(tokio::spawn(async move {
            let _turn = turns.acquire().await.unwrap();
            try_all(&lpa, &row, fails.as_ref()).await;
        }));
    }
    let mut wrong = 0;
    for task in tasks {
        // Why is told by the panic.
        wrong += usize::from(task.await.is_err());
    }
    assert_eq!(wrong, 0, "rows of the table are not as they should be");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lpad_on_every_model() {
    try_table(&Lpa::Lpad, |row| row.lpad.clone()).await;
}

/// lpac, and whether it is the current one: releases have no driver `at_csim`.
async fn lpac() -> Option<(PathBuf, bool)> {
    let program = match std::env::var_os("LPAC") {
        Some(program) => PathBuf::from(program),
        None => installed("lpac")?,
    };
    let probe = Client::run(&program, |command| {
        command.args(["chip", "info"]).envs([("LPAC_APDU", "at_csim"), ("LPAC_HTTP", "curl")]);
        command.env("LPAC_APDU_AT_DEVICE", "/dev/null");
    });
    let is_current = !probe.await.text.contains("No APDU driver found");
    Some((program, is_current))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lpac_by_cgla_on_every_model() {
    let Some((program, is_current)) = lpac().await else { return };
    let lpac = Lpa::Lpac { program, driver: "at" };
    try_table(&lpac, |row| row.lpac_2_3.clone().filter(|_| !is_current).or(row.lpac.clone())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lpac_by_csim_on_every_model() {
    let Some((program, is_current)) = lpac().await else { return };
    if !is_current {
        return eprintln!("skipped: this lpac has no driver at_csim");
    }
    let lpac = Lpa::Lpac { program, driver: "at_csim" };
    try_table(&lpac, |row| row.lpac_csim.clone()).await;
}
