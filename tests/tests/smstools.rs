//! A real client: smsd of the SMS Server Tools, which sends what it finds in a folder and puts what comes into another.

use e2e::client::{Client, installed};
use e2e::two_profiles;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn smsd_sends_and_receives() {
    let Some(program) = installed("smsd") else { return };
    let lab = two_profiles().start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    for name in ["outgoing", "checked", "incoming", "sent", "failed"] {
        std::fs::create_dir(place(name)).unwrap();
    }
    let folders: String = ["outgoing", "checked", "incoming", "sent", "failed", "infofile", "pidfile"]
        .map(|name| format!("{name} = {}\n", place(name).display()))
        .concat();
    // The modem counts its places from 0.
    let configuration = format!(
        "devices = GSM1\nlogfile = 1\nloglevel = 7\ndelaytime = 1\n{folders}\n[GSM1]\ndevice = {}\nincoming = yes\n\
         memory_start = 0\nbaudrate = 115200\n",
        lab.tty().display()
    );
    std::fs::write(place("smsd.conf"), configuration).unwrap();
    std::fs::write(place("outgoing/first"), "To: 15551000101\n\nHello from smsd").unwrap();
    let mut smsd = Client::start(&program, |command| {
        command.args(["-t", "-c"]).arg(place("smsd.conf"));
    });
    smsd.line("IMEI: 001015010000013").await;
    smsd.line("IMSI: 001010000000101").await;
    smsd.line("SMS sent, Message_id: 0, To: 15551000101").await;
    // The message centre has handed it back.
    smsd.line("SMS received, From: 15551000101").await;
    let file = smsd.line("Wrote an incoming message file: ").await;
    let received = std::fs::read_to_string(file.rsplit(' ').next().unwrap()).unwrap();
    assert!(received.ends_with("\n\nHello from smsd"), "{received}");
    assert!(place("sent/first").is_file());

    lab.modem().try_apply(|modem| modem.deliver_message("+4915112345678", "Hello, smsd")).unwrap();
    smsd.line("SMS received, From: 4915112345678").await;
    let file = smsd.line("Wrote an incoming message file: ").await;
    let received = std::fs::read_to_string(file.rsplit(' ').next().unwrap()).unwrap();
    assert!(received.ends_with("\n\nHello, smsd"), "{received}");
    // What has been received is gone from the modem.
    smsd.line("-> AT+CMGD=").await;
    smsd.line("Used memory is 0 of 255").await;
}
