//! A real client: gammu, which sends several commands at once.

use e2e::client::{Client, installed};
use e2e::two_profiles;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gammu_identifies_sends_and_reads() {
    let Some(program) = installed("gammu") else { return };
    let lab = two_profiles().start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let configuration = folder.path().join("gammurc");
    let port = lab.tty().display();
    std::fs::write(&configuration, format!("[gammu]\nport = {port}\nconnection = at115200\n")).unwrap();
    // Several commands in one session: it takes its time to find out what it is connected to.
    let gammu = async |commands: &[&str]| {
        let batch = folder.path().join("batch");
        std::fs::write(&batch, commands.join("\n")).unwrap();
        let ended = Client::run(&program, |command| {
            command.arg("-c").arg(&configuration).arg("batch").arg(&batch);
        });
        let ended = ended.await;
        assert!(ended.status.success(), "gammu {commands:?}: {}", ended.text);
        ended.text
    };

    let send = "sendsms TEXT +15551000101 -text \"Hello from gammu\"";
    let said = gammu(&["identify", "getsecuritystatus", "networkinfo", send]).await;
    for told in [
        "Manufacturer         : Quectel",
        "Model                : unknown (RM500Q-GL)",
        "Firmware             : RM500QGLABR11A06M4G",
        "IMEI                 : 001015010000013",
        "SIM IMSI             : 001010000000101",
        "Nothing to enter",
        "Network state        : home network",
        "Packet network state : home network",
        "GPRS                 : attached",
        "OK, message reference=0",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    // The message centre hands it back; another comes from elsewhere.
    lab.modem().try_apply(|modem| modem.deliver_message("+4915112345678", "Привет, Ω")).unwrap();
    let said = gammu(&["getallsms", "deleteallsms 3", "getallsms"]).await;
    for told in [
        "Hello from gammu",
        "Remote number        : \"+15551000101\"",
        "SMSC number          : \"+15551000000\"",
        "Привет, Ω",
        "Remote number        : \"+4915112345678\"",
        "2 SMS parts in 2 SMS sequences",
        "0 SMS parts in 0 SMS sequences",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
}
