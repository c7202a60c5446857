//! A real client: lpac, unmodified, on the terminal of a lab, with each of its AT drivers.
//!
//! It is taken from PATH (or from `$LPAC`) and skipped, with a message, where it is not installed or was built without
//! the driver. What it is asked to do is what its users do: download, list, enable, disable, delete, notifications.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use esimlab::lab::Lab;
use rsp::es10::profiles::ProfileState;
use serde_json::Value;
use smdp::profile::{Profile, built_in_named};
use smdp::{OrderSpec, OrderState};

/// lpac on the terminal of a lab.
struct Lpac<'a> {
    driver: &'static str,
    lab: &'a Lab,
}

impl Lpac<'_> {
    /// The final object that it prints: `code`, `message`, `data`. `None` when it cannot be run like this.
    async fn run(&self, arguments: &[&str]) -> Option<Value> {
        let program = std::env::var_os("LPAC").unwrap_or_else(|| OsString::from("lpac"));
        let output = tokio::process::Command::new(&program)
            .args(arguments)
            .env("LPAC_APDU", self.driver)
            .env("LPAC_HTTP", "curl")
            // The second name is the one of releases up to 2.3.0.
            .env("LPAC_APDU_AT_DEVICE", self.lab.tty())
            .env("AT_DEVICE", self.lab.tty())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        // lpac has no deadline of its own: a modem that it does not understand would hold up the test for ever.
        let output = match tokio::time::timeout(Duration::from_secs(60), output).await.expect("lpac hangs") {
            Ok(output) => output,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                eprintln!("skipped: lpac is not installed (looked for {})", program.display());
                return None;
            }
            Err(error) => panic!("{}: {error}", program.display()),
        };
        let errors = String::from_utf8_lossy(&output.stderr);
        if errors.contains("No APDU driver found") {
            eprintln!("skipped: this lpac has no driver {}", self.driver);
            return None;
        }
        let text = String::from_utf8(output.stdout).unwrap();
        let last = text.lines().rev().find_map(|line| {
            let object: Value = serde_json::from_str(line).ok()?;
            (object["type"] == "lpa").then(|| object["payload"].clone())
        });
        Some(last.unwrap_or_else(|| panic!("lpac {arguments:?} has no result: {text}\n{errors}")))
    }

    async fn succeeds(&self, arguments: &[&str]) -> Value {
        let result = self.run(arguments).await.expect("lpac ran before");
        assert_eq!(result["code"], 0, "lpac {arguments:?}: {result}");
        result["data"].clone()
    }
}

async fn whole_life_of_a_profile(driver: &'static str) {
    let profile = |number| Profile::build(&built_in_named("operator-a").unwrap().numbered(number)).unwrap();
    let lab = Lab::builder()
        .order(OrderSpec::new("PLAIN", profile(0)))
        .order(OrderSpec { confirmation_code: Some("12345678".to_owned()), ..OrderSpec::new("CODE", profile(1)) })
        .start()
        .unwrap();
    let lpac = Lpac { driver, lab: &lab };
    let Some(info) = lpac.run(&["chip", "info"]).await else { return };
    assert_eq!(info["data"]["eidValue"], lab.eid().to_string());

    let code = |token: &str| format!("LPA:1${}${token}", lab.smdp_address());
    lpac.succeeds(&["profile", "download", "-a", &code("PLAIN")]).await;
    lpac.succeeds(&["profile", "download", "-a", &code("CODE"), "-c", "12345678"]).await;
    let list = lpac.succeeds(&["profile", "list"]).await;
    let iccid = profile(0).iccid().to_string();
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert_eq!((&list[0]["iccid"], &list[0]["profileState"]), (&iccid.as_str().into(), &"disabled".into()));
    assert_eq!(list[0]["profileName"], "Operator A");

    lpac.succeeds(&["profile", "enable", &iccid]).await;
    assert_eq!(lab.enabled_profile().unwrap().iccid.to_string(), iccid);
    lpac.succeeds(&["profile", "nickname", &iccid, "Office"]).await;
    assert_eq!(lab.profiles()[0].nickname.as_deref(), Some("Office"));
    lpac.succeeds(&["profile", "disable", &iccid]).await;
    assert!(lab.profiles().iter().all(|profile| profile.state == ProfileState::Disabled));
    lpac.succeeds(&["profile", "delete", &iccid]).await;
    assert_eq!(lab.profiles().len(), 1);

    // The notifications of all this are on the card, and reach the server.
    lpac.succeeds(&["notification", "process", "-a", "-r"]).await;
    assert!(lab.notifications().is_empty());
    assert!(lab.orders().iter().all(|order| order.state == OrderState::Installed), "{:?}", lab.orders());
    assert_eq!(lab.open_channels(), 0);

    // A used code is refused; lpac names the function, and hands the server's words on.
    let refused = lpac.run(&["profile", "download", "-a", &code("PLAIN")]).await.unwrap();
    assert_eq!(refused["code"], -1);
    assert_eq!(refused["message"], "es9p_authenticate_client", "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lpac_by_cgla() {
    whole_life_of_a_profile("at").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lpac_by_csim() {
    whole_life_of_a_profile("at_csim").await;
}
