//! A real client: chat of pppd, whose dialogues by expectation are in a generation of dial-up scripts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::File;

use e2e::client::{Client, Ended, installed};
use e2e::{dialogue, two_profiles};
use esimlab::lab::Lab;

/// Runs a script on the lab's terminal.
async fn chat(lab: &Lab, script: &[&str]) -> Option<Ended> {
    let program = installed("chat")?;
    let tty = || File::options().read(true).write(true).open(lab.tty()).unwrap();
    let ended = Client::run(&program, |command| {
        // It gives up by itself long before the test does, and says where.
        command.args(["-v", "-s", "-S", "-t", "60"]).args(script).stdin(tty()).stdout(tty());
    });
    Some(ended.await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chat_finds_what_it_expects() {
    let lab = two_profiles().start().unwrap();
    let script = [
        ["ABORT", "ERROR"],
        ["", "ATZ"],
        ["OK", "AT+CPIN?"],
        ["READY-AT+CPIN?-READY", "\\c"],
        ["OK", "AT+CMGF=1"],
        ["OK", "AT+CMGS=\"+15551000101\""],
        ["> ", "Hello from chat^Z\\c"],
        ["+CMGS:", "\\c"],
        ["OK", "\\c"],
    ];
    let Some(ended) = chat(&lab, script.as_flattened()).await else { return };
    assert!(ended.status.success(), "{}", ended.text);
    let said = dialogue(&lab);
    assert!(said.contains(&"< +CMGS: 0".to_owned()), "{said:#?}");

    // The first of its words that ends a dialogue gives the status 4.
    let script = ["ABORT", "ERROR", "ABORT", "NO CARRIER", "", "AT+NOSUCH", "OK", "\\c"];
    let ended = chat(&lab, &script).await.unwrap();
    assert_eq!(ended.status.code(), Some(4), "{}", ended.text);
}
