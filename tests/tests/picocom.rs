//! A real client: picocom, as somebody uses it who types commands and reads what the modem says.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::os::fd::AsFd;
use std::path::Path;
use std::process::Stdio;

use e2e::client::{Client, DEADLINE, installed};
use e2e::two_profiles;
use pty_process::Pty;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A terminal with picocom in it.
struct Screen {
    keyboard: Pty,
    shown: String,
    client: Client,
}

impl Screen {
    fn open(program: &Path, tty: &Path) -> Self {
        let (keyboard, terminal) = pty_process::open().unwrap();
        let end = || Stdio::from(terminal.as_fd().try_clone_to_owned().unwrap());
        let client = Client::start(program, |command| {
            // The key Backspace of a terminal sends DEL; V.250 takes characters back on BS.
            command.args(["-b", "115200", "--omap", "delbs"]).arg(tty).stdin(end()).stdout(end()).stderr(end());
        });
        Screen { keyboard, shown: String::new(), client }
    }

    /// Waits until this is shown, and forgets what was shown before.
    async fn shows(&mut self, text: &str) {
        let Screen { keyboard, shown, .. } = self;
        let found = tokio::time::timeout(DEADLINE, async {
            let mut buffer = [0; 1024];
            while !shown.contains(text) {
                let count = keyboard.read(&mut buffer).await.unwrap();
                shown.push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        });
        let found = found.await.is_ok();
        assert!(found, "picocom does not show {text:?}: {shown:?}");
        let end = shown.find(text).unwrap() + text.len();
        shown.drain(..end);
    }

    async fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn picocom_shows_echo_and_edits_lines() {
    let Some(program) = installed("picocom") else { return };
    let lab = two_profiles().start().unwrap();
    // Twice: the first one's exclusive use of the terminal ends with it.
    for _ in 0..2 {
        let mut screen = Screen::open(&program, lab.tty());
        screen.shows("Terminal ready").await;
        screen.types("ATI\r").await;
        screen.shows("ATI\r\r\nQuectel\r\nRM500Q-GL\r\nRevision: RM500QGLABR11A06M4G\r\n\r\nOK\r\n").await;
        screen.types("at+cx\x7fsq\r").await;
        screen.shows("at+cx\x08 \x08sq\r\r\n+CSQ: 22,99\r\n\r\nOK\r\n").await;
        screen.types("A/").await;
        screen.shows("A/\r\n+CSQ: 22,99\r\n\r\nOK\r\n").await;
        // What comes unasked is shown as it comes.
        screen.types("AT+CMGF=1;+CNMI=2,2\r").await;
        screen.shows("\r\nOK\r\n").await;
        lab.modem().try_apply(|modem| modem.deliver_message("+4915112345678", "Hello")).unwrap();
        screen.shows("\r\n+CMT: \"+4915112345678\",").await;
        screen.shows("\r\nHello\r\n").await;
        screen.types("AT&F\r").await;
        screen.shows("\r\nOK\r\n").await;
        // CTRL-A CTRL-X.
        screen.types("\x01\x18").await;
        screen.shows("Thanks for using picocom").await;
        assert!(screen.client.end().await.status.success());
    }
}
