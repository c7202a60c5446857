//! A real client: gammu, which sends several commands at once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use e2e::client::{Client, installed};
use e2e::two_profiles;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gammu_identifies_sends_and_reads() {
    let Some(program) = installed("gammu") else { return };
    let lab = two_profiles().start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let configuration = folder.path().join("gammurc");
    let text = format!("[gammu]\nport = {}\nconnection = at115200\ngammucoding = utf8\n", lab.tty().display());
    std::fs::write(&configuration, text).unwrap();
    let gammu = async |arguments: &[&str]| {
        let ended = Client::run(&program, |command| {
            command.arg("-c").arg(&configuration).args(arguments);
        });
        let ended = ended.await;
        assert!(ended.status.success(), "gammu {arguments:?}: {}", ended.text);
        ended.text
    };

    let identity = gammu(&["identify"]).await;
    for told in ["Quectel", "RM500Q-GL", "RM500QGLABR11A06M4G", "001015010000013", "001010000000101"] {
        assert!(identity.contains(told), "{told}: {identity}");
    }
    assert!(gammu(&["getsecuritystatus"]).await.contains("Nothing to enter"));
    let sent = gammu(&["sendsms", "TEXT", "+15551000101", "-text", "Hello from gammu"]).await;
    assert!(sent.contains("OK, message reference="), "{sent}");
    lab.modem().try_apply(|modem| modem.deliver_message("+4915112345678", "Привет, Ω")).unwrap();
    let messages = gammu(&["getallsms"]).await;
    for told in
        ["Hello from gammu", "+15551000101", "+15551000000", "Привет, Ω", "+4915112345678", "2 SMS parts in 2 SMS"]
    {
        assert!(messages.contains(told), "{told}: {messages}");
    }
    gammu(&["deleteallsms", "3"]).await;
    assert!(gammu(&["getallsms"]).await.contains("0 SMS parts in 0 SMS"));
}
