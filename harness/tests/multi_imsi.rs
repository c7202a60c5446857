//! A card with a multi-IMSI applet: it takes the IMSI that fits the country, and AT+CIMI shows it.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use esimlab::lab::Lab;
use esimlab::timeline::{Kind, Role};
use euicc::spec::CardSpec;
use modem::network::{Change, NetworkSpec, Technology};
use modem::{Model, Output};

fn say(lab: &Lab, line: &str) -> String {
    let answer = lab.modem().with(|modem| {
        let output = modem.receive(0, format!("{line}\r").as_bytes());
        (output.for_port(0), Output::default())
    });
    String::from_utf8(answer).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

const TWO_COUNTRIES: &str = "[[operator]]\nplmn = \"310410\"\nname = \"Overseas\"\n\
    [[operator]]\nplmn = \"26201\"\nname = \"Inland\"\ncoverage = { lte = \"none\", gsm = \"none\" }\n";

fn lab(network: &str) -> Lab {
    Lab::builder()
        .seed(1)
        .model(Model::named("EC200U").unwrap())
        .card(CardSpec::named("multi-imsi").unwrap())
        .network(NetworkSpec::from_toml(network).unwrap())
        .start()
        .unwrap()
}

fn receive(lab: &Lab, operator: &str, signal: Option<i16>) {
    let change = Change::Coverage { operator: operator.to_owned(), technology: Technology::Lte, signal };
    lab.console().change(&change).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_imsi_follows_the_country() {
    let lab = lab(TWO_COUNTRIES);
    say(&lab, "ATE0");
    assert_eq!(say(&lab, "AT+CIMI"), "001010000000101 OK");
    assert_eq!(say(&lab, "AT+COPS?"), "+COPS: 0,0,\"Overseas\",7 OK");
    // Over the border.
    receive(&lab, "310410", None);
    receive(&lab, "26201", Some(-90));
    assert_eq!(say(&lab, "AT+CIMI"), "999700000000303 OK");
    assert_eq!(lab.console().device().imsi.as_deref(), Some("999700000000303"));
    assert_eq!(say(&lab, "AT+COPS?;+CREG?"), "+COPS: 0,0,\"Inland\",7 +CREG: 0,5 OK");
    let switched: Vec<_> = lab
        .timeline()
        .snapshot()
        .into_iter()
        .filter_map(|event| match (event.role, event.kind) {
            (Role::Card, Kind::Note { text, fields }) if text == "IMSI switched" => fields.get("imsi").cloned(),
            _ => None,
        })
        .collect();
    assert_eq!(switched, ["999700000000303"]);
    // The first network saw the fallback, the second one both.
    let imsis: Vec<_> = lab
        .console()
        .events()
        .into_iter()
        .filter_map(|event| match event.kind {
            Kind::Note { text, fields } if text == "Update Location" => {
                Some((fields.get("operator").cloned().unwrap(), fields.get("imsi").cloned().unwrap()))
            }
            _ => None,
        })
        .collect();
    let expected = [
        ("Overseas (310410)", "001010000000101"),
        ("Inland (26201)", "001010000000101"),
        ("Inland (26201)", "999700000000303"),
    ];
    assert_eq!(imsis, expected.map(|(operator, imsi)| (operator.to_owned(), imsi.to_owned())));
    // And back.
    receive(&lab, "26201", None);
    receive(&lab, "310410", Some(-90));
    assert_eq!(say(&lab, "AT+CIMI"), "001010000000101 OK");
}

/// Where the preferred IMSI finds no service the card falls back, and stays so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fallback_is_taken_when_the_preferred_one_is_refused() {
    let lab = lab("[[operator]]\nplmn = \"26201\"\n[[subscription]]\nimsi = \"001010000000101\"\n");
    say(&lab, "ATE0");
    assert_eq!(say(&lab, "AT+CIMI"), "001010000000101 OK");
    assert_eq!(say(&lab, "AT+CREG?"), "+CREG: 0,5 OK");
    let titles = lab.console().titles();
    assert!(titles.iter().any(|title| title == "Update Location rejected"), "{titles:?}");
    assert_eq!(titles.last().map(String::as_str), Some("Update GPRS location"));
}
