//! The module's own LPA downloads through the module's own data session (`AT+QESIM="download"` of older firmware).

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::time::Duration;

use esimlab::lab::{Lab, LabBuilder, Preinstalled};
use esimlab::timeline::{Direction, Kind};
use modem::network::{Change, Connectivity, Dns, NetworkSpec};
use modem::{Model, Output};
use rsp::es10::profiles::ProfileState;
use smdp::OrderSpec;
use smdp::profile::{Profile, built_in_named};

fn profile(name: &str) -> Profile {
    Profile::build(&built_in_named(name).unwrap()).unwrap()
}

/// A lab with a module that downloads by itself, and an order that waits.
fn builder() -> LabBuilder {
    Lab::builder()
        .seed(7)
        .server_name("smdp.lab".to_owned())
        .model(Model::named("EG21-G-old").unwrap())
        .order(OrderSpec::new("TOKEN-1", profile("operator-a")))
}

fn with_bootstrap(builder: LabBuilder) -> LabBuilder {
    builder.profile(Preinstalled { profile: profile("provisioning"), enabled: true, nickname: None })
}

fn say(lab: &Lab, line: &str) -> String {
    let answer = lab.modem().with(|modem| {
        let output = modem.receive(0, format!("{line}\r").as_bytes());
        (output.for_port(0), Output::default())
    });
    String::from_utf8(answer).unwrap()
}

/// Waits for a line that the modem says by itself.
async fn told(lab: &Lab, from: usize, start: &str) -> String {
    let is_it =
        |kind: &Kind| matches!(kind, Kind::At { direction: Direction::Response, text, .. } if text.starts_with(start));
    let waited =
        tokio::time::timeout(Duration::from_secs(60), lab.timeline().wait_for(from, |event| is_it(&event.kind)));
    match waited.await.expect("nothing was told").1.kind {
        Kind::At { text, .. } => text,
        other => unreachable!("{other:?}"),
    }
}

fn order(lab: &Lab, function: &str) -> String {
    say(lab, &format!("AT+QESIM=\"{function}\",\"1${}$TOKEN-1\"", lab.smdp_address()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_with_a_bootstrap_profile_fetches_another_one() {
    let lab = with_bootstrap(builder()).start().unwrap();
    say(&lab, "ATE0");
    assert_eq!(order(&lab, "download"), "\r\nERROR\r\n", "without a data session there is no way");
    assert_eq!(say(&lab, "AT+CGACT=1,1"), "\r\nOK\r\n");
    assert_eq!(lab.console().device().state, Connectivity::Online);
    let from = lab.timeline().len();
    assert_eq!(order(&lab, "download"), "\r\nOK\r\n");
    assert_eq!(told(&lab, from, "+QESIM: \"download\",254,100").await, "+QESIM: \"download\",254,100");
    assert_eq!(told(&lab, from, "+QESIM: \"download\",0").await, "+QESIM: \"download\",0");
    let names: Vec<_> = lab.profiles().into_iter().map(|p| (p.profile_name, p.state)).collect();
    assert_eq!(
        names,
        [("Bootstrap".to_owned(), ProfileState::Enabled), ("Operator A".to_owned(), ProfileState::Disabled)]
    );
    assert_eq!(lab.open_channels(), 0);
    assert!(lab.notifications().is_empty(), "the notification is delivered, too");
    // The same again is refused by the server.
    let from = lab.timeline().len();
    assert_eq!(order(&lab, "ota"), "\r\nOK\r\n");
    assert_eq!(told(&lab, from, "+QESIM: \"ota\"").await, "+QESIM: \"ota\",3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_chicken_and_the_egg() {
    let lab = builder().start().unwrap();
    say(&lab, "ATE0");
    assert_eq!(lab.console().device().state, Connectivity::Offline);
    assert!(say(&lab, "AT+CGACT=1,1").contains("ERROR"));
    assert_eq!(order(&lab, "download"), "\r\nERROR\r\n");
    assert!(lab.profiles().is_empty() && lab.console().events().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_passes_by_the_network() {
    let network = NetworkSpec::from_toml("[[operator]]\nhome = true\n[[subscription]]\ndns = \"blocked\"\n").unwrap();
    let lab = with_bootstrap(builder()).network(network).start().unwrap();
    say(&lab, "ATE0+CGACT=1,1");
    let from = lab.timeline().len();
    assert_eq!(order(&lab, "download"), "\r\nOK\r\n");
    assert_eq!(told(&lab, from, "+QESIM: \"download\"").await, "+QESIM: \"download\",2");
    let codes: Vec<String> = lab
        .timeline()
        .since(from)
        .into_iter()
        .filter_map(|event| match event.kind {
            Kind::Note { fields, .. } => fields.get("curl").cloned(),
            Kind::Http(http) => Some(http.function),
            _ => None,
        })
        .collect();
    assert_eq!(codes, ["6"], "the server has not been reached");
    // The operator lets names resolve again, and it works.
    lab.console().change(&Change::Dns(Dns::Allowed)).unwrap();
    let from = lab.timeline().len();
    assert_eq!(order(&lab, "download"), "\r\nOK\r\n");
    assert_eq!(told(&lab, from, "+QESIM: \"download\",0").await, "+QESIM: \"download\",0");
}
