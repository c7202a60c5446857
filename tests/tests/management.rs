//! Every management function that lpac and lpad offer, on the card of a lab: what they say and what is on the card
//! afterwards. lpac is taken from PATH (or from `$LPAC`) and skipped, with a message, where it is not installed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::ffi::OsString;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use esimlab::lab::{Lab, Preinstalled};
use rsp::es10::profiles::ProfileState;
use serde_json::Value;
use smdp::profile::{Profile, built_in_named};

/// One test after the other: lpad runs in this process, and what locks its terminal is for a moment also lpac's, between
/// the fork that makes that process and its beginning.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn profile(number: u32) -> Profile {
    Profile::build(&built_in_named("operator-a").unwrap().numbered(number)).unwrap()
}

/// A lab whose card has two profiles, the first one enabled.
fn lab() -> Lab {
    let wanted = |number| Preinstalled { profile: profile(number), enabled: number == 0, nickname: None };
    Lab::builder().profile(wanted(0)).profile(wanted(1)).start().unwrap()
}

fn states(lab: &Lab) -> Vec<bool> {
    lab.profiles().iter().map(|profile| profile.state == ProfileState::Enabled).collect()
}

fn numbers(lab: &Lab) -> Vec<u32> {
    lab.notifications().iter().map(|notification| notification.metadata.sequence_number).collect()
}

/// Runs lpac on the lab's terminal; gives its last object, or nothing when there is no lpac.
async fn lpac(lab: &Lab, arguments: &[&str]) -> Option<Value> {
    let program = std::env::var_os("LPAC").unwrap_or_else(|| OsString::from("lpac"));
    let output = tokio::process::Command::new(&program)
        .args(arguments)
        .env("LPAC_APDU", "at")
        .env("LPAC_HTTP", "curl")
        .env("LPAC_APDU_AT_DEVICE", lab.tty())
        .env("AT_DEVICE", lab.tty())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = match tokio::time::timeout(Duration::from_secs(60), output).await.expect("lpac hangs") {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: lpac is not installed (looked for {})", program.display());
            return None;
        }
        Err(error) => panic!("{}: {error}", program.display()),
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = text.lines().rev().find_map(|line| {
        let object: Value = serde_json::from_str(line).ok()?;
        (object["type"] == "lpa").then(|| object["payload"].clone())
    });
    Some(last.unwrap_or_else(|| panic!("lpac {arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr))))
}

async fn lpac_succeeds(lab: &Lab, arguments: &[&str]) -> Value {
    let result = lpac(lab, arguments).await.expect("lpac ran before");
    assert_eq!(result["code"], 0, "lpac {arguments:?}: {result}");
    result["data"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lpac_manages_the_card() {
    let _alone = ALONE.lock().await;
    let lab = lab();
    let Some(info) = lpac(&lab, &["chip", "info"]).await else { return };
    let data = &info["data"];
    assert_eq!(data["eidValue"], lab.eid().to_string());
    assert_eq!(data["EUICCInfo2"]["svn"], "2.5.0", "{data}");
    assert_eq!(data["EuiccConfiguredAddresses"]["rootDsAddress"], "lpa.ds.gsma.com");
    assert_eq!(data["rulesAuthorisationTable"][0]["pprFlags"][0], "consentRequired", "{data}");

    lpac_succeeds(&lab, &["chip", "defaultsmdp", "smdp.example.com"]).await;
    let info = lpac_succeeds(&lab, &["chip", "info"]).await;
    assert_eq!(info["EuiccConfiguredAddresses"]["defaultDpAddress"], "smdp.example.com");

    let [first, second] = [0, 1].map(|number| profile(number).iccid().to_string());
    let list = lpac_succeeds(&lab, &["profile", "list"]).await;
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert_eq!(list[0]["profileState"], "enabled");
    let aid = list[1]["isdpAid"].as_str().unwrap().to_owned();

    // A switch by AID, which disables the other one; back by ICCID; with refreshFlag, and without.
    lpac_succeeds(&lab, &["profile", "enable", &aid, "1"]).await;
    assert_eq!(states(&lab), [false, true]);
    lpac_succeeds(&lab, &["profile", "enable", &first, "0"]).await;
    assert_eq!(states(&lab), [true, false]);
    let refused = lpac(&lab, &["profile", "enable", &first]).await.unwrap();
    assert_eq!((&refused["code"], &refused["data"]), (&Value::from(-1), &"profile not in disabled state".into()));
    let refused = lpac(&lab, &["profile", "delete", &first]).await.unwrap();
    assert_eq!(refused["code"], -1);
    lpac_succeeds(&lab, &["profile", "disable", &first]).await;
    assert_eq!(states(&lab), [false, false]);
    lpac_succeeds(&lab, &["profile", "nickname", &second, "Büro"]).await;
    assert_eq!(lab.profiles()[1].nickname.as_deref(), Some("Büro"));
    lpac_succeeds(&lab, &["profile", "nickname", &second]).await;
    assert_eq!(lab.profiles()[1].nickname, None);

    // The notifications of all this: listed, one removed, the rest told to the server.
    let waiting = numbers(&lab);
    let list = lpac_succeeds(&lab, &["notification", "list"]).await;
    let listed: Vec<u64> = list.as_array().unwrap().iter().map(|entry| entry["seqNumber"].as_u64().unwrap()).collect();
    assert_eq!(listed, waiting.iter().copied().map(u64::from).collect::<Vec<_>>());
    lpac_succeeds(&lab, &["notification", "remove", &waiting[0].to_string()]).await;
    assert_eq!(numbers(&lab), waiting[1..]);
    lpac_succeeds(&lab, &["profile", "delete", &second]).await;
    assert_eq!(lab.profiles().len(), 1);
    lpac_succeeds(&lab, &["notification", "process", "-a", "-r"]).await;
    assert_eq!(numbers(&lab), [0; 0]);

    lpac_succeeds(&lab, &["chip", "purge", "yes"]).await;
    assert_eq!(lab.profiles(), []);
    assert_eq!(lab.open_channels(), 0);
}

/// Runs lpad on the lab's terminal; true when it has succeeded.
async fn lpad(lab: &Lab, arguments: &[&str]) -> bool {
    let mut line: Vec<OsString> = vec!["lpad".into(), "-d".into(), lab.tty().into(), "--json".into()];
    line.extend(["--ci".into(), lab.ci_file().into()]);
    line.extend(arguments.iter().map(OsString::from));
    let done = tokio::task::spawn_blocking(move || lpad::main_with(line)).await.unwrap();
    format!("{done:?}") == format!("{:?}", ExitCode::SUCCESS)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lpad_manages_the_card() {
    let _alone = ALONE.lock().await;
    let lab = lab();
    assert!(lpad(&lab, &["--info"]).await && lpad(&lab, &["--list"]).await);
    assert!(lpad(&lab, &["--enable", "2"]).await);
    assert_eq!(states(&lab), [false, true]);
    let first = profile(0).iccid().to_string();
    assert!(lpad(&lab, &["--enable", &first, "--no-refresh"]).await);
    assert_eq!(states(&lab), [true, false]);
    assert!(!lpad(&lab, &["--enable", &first]).await);
    assert!(!lpad(&lab, &["--remove", &first]).await);
    assert!(lpad(&lab, &["--disable", &first]).await);
    assert_eq!(states(&lab), [false, false]);
    assert!(lpad(&lab, &["--nickname", "2", "Büro"]).await);
    assert_eq!(lab.profiles()[1].nickname.as_deref(), Some("Büro"));
    assert!(lpad(&lab, &["--nickname", "2", ""]).await);
    assert_eq!(lab.profiles()[1].nickname, None);
    assert!(lpad(&lab, &["--default-address", "smdp.example.com"]).await);
    assert!(lpad(&lab, &["--notifications=list"]).await);
    assert!(lpad(&lab, &["--notifications"]).await);
    assert_eq!(numbers(&lab), [0; 0]);
    assert!(lpad(&lab, &["--remove", "2"]).await);
    assert_eq!(lab.profiles().len(), 1);
    assert!(lpad(&lab, &["--notifications=remove"]).await);
    assert_eq!((numbers(&lab), lab.open_channels()), (Vec::new(), 0));
}
