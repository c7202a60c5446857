//! Programs that are not ours: found, run with deadlines, watched line by line, and gone when the test is.
//!
//! A [`Client`] runs in a process group of its own, which is killed when the value is dropped, however the test ends.
//! What it prints (standard output and standard error together) is kept as lines; [`Client::line`] waits for one.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// How long a test waits for anything. No client takes so long, even on a machine that does much else: whoever comes
/// to this has hung.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// Where a program is; `None`, with a message, where it is not installed.
pub fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Daemons are found by root only, by way of PATH.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin", "/usr/bin"].map(PathBuf::from));
    let found = folders.map(|folder| folder.join(name)).find(|file| file.is_file());
    if found.is_none() {
        eprintln!("skipped: {name} is not installed");
    }
    found
}

/// Waits for something that has to happen.
///
/// # Panics
/// When it does not within [`DEADLINE`].
pub async fn soon<T>(what: &str, happens: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, happens).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {} s", DEADLINE.as_secs()),
    }
}

/// What a program has printed so far.
#[derive(Default)]
struct Printed {
    state: Mutex<State>,
    more: Notify,
}

#[derive(Default)]
struct State {
    lines: Vec<String>,
    /// Streams that may bring more.
    open: usize,
}

impl Printed {
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let value = change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.more.notify_waiters();
        value
    }

    /// The lines from this one on, and whether there may be more.
    fn from(&self, first: usize) -> (Vec<String>, bool) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.lines.get(first..).unwrap_or_default().to_vec(), state.open > 0)
    }
}

/// A program that runs.
pub struct Client {
    name: String,
    child: Child,
    group: Option<Pid>,
    printed: Arc<Printed>,
    readers: Vec<JoinHandle<()>>,
    /// The lines before this one have been looked at.
    next: usize,
}

/// How a program has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its status.
    pub status: ExitStatus,
    /// What it printed.
    pub text: String,
}

impl Client {
    /// Starts a program, its input empty or open to [`Client::input`].
    pub fn start(program: &Path, prepare: impl FnOnce(&mut std::process::Command)) -> Self {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut command = std::process::Command::new(program);
        // English, so that it can be read.
        command.env("LC_ALL", "C.UTF-8").process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        prepare(&mut command);
        let mut child =
            Command::from(command).kill_on_drop(true).spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let printed = Arc::<Printed>::default();
        printed.change(|state| state.open = 2);
        let readers = vec![
            tokio::spawn(read(child.stdout.take(), Arc::clone(&printed))),
            tokio::spawn(read(child.stderr.take(), Arc::clone(&printed))),
        ];
        Client { name, child, group, printed, readers, next: 0 }
    }

    /// Runs a program to its end.
    pub async fn run(program: &Path, prepare: impl FnOnce(&mut std::process::Command)) -> Ended {
        Client::start(program, prepare).end().await
    }

    /// The program's input, when it was asked for with [`Stdio::piped`]. It is closed when this is dropped.
    pub fn input(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Its process, until it has been waited for.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// What it has printed so far.
    pub fn text(&self) -> String {
        self.printed.from(0).0.join("\n")
    }

    /// The end of what it has printed, for a test that has failed.
    fn last_words(&self) -> String {
        let (lines, _) = self.printed.from(0);
        lines.split_at(lines.len().saturating_sub(40)).1.join("\n")
    }

    /// Waits for the next line with this in it. Lines before it are passed over for good.
    ///
    /// # Panics
    /// When the program ends, or the deadline passes, without it.
    pub async fn line(&mut self, with: &str) -> String {
        let found = tokio::time::timeout(DEADLINE, self.next_line(with)).await;
        match found {
            Ok(Some(line)) => line,
            Ok(None) => panic!("{} ended without {with:?}:\n{}", self.name, self.last_words()),
            Err(_) => panic!("{} has no {with:?} within {} s:\n{}", self.name, DEADLINE.as_secs(), self.last_words()),
        }
    }

    async fn next_line(&mut self, with: &str) -> Option<String> {
        loop {
            // Asked for before the lines are looked at, so that none can come unseen in between.
            let more = self.printed.more.notified();
            let (lines, goes_on) = self.printed.from(self.next);
            for line in lines {
                self.next += 1;
                if line.contains(with) {
                    return Some(line);
                }
            }
            if !goes_on {
                return None;
            }
            more.await;
        }
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it goes on beyond the deadline.
    pub async fn end(mut self) -> Ended {
        self.ended().await
    }

    /// The same for a program that is kept for what it has printed.
    ///
    /// # Panics
    /// When it goes on beyond the deadline.
    pub async fn ended(&mut self) -> Ended {
        let name = self.name.clone();
        let ended = tokio::time::timeout(DEADLINE, async {
            let status = self.child.wait().await.unwrap_or_else(|error| panic!("{name}: {error}"));
            for reader in &mut self.readers {
                reader.await.unwrap_or_else(|error| panic!("{name}: {error}"));
            }
            status
        });
        let Ok(status) = ended.await else {
            panic!("{name} does not end within {} s:\n{}", DEADLINE.as_secs(), self.last_words())
        };
        Ended { status, text: self.text() }
    }

    /// Kills it and all that it has started, and waits until it is gone.
    pub async fn stop(mut self) {
        self.kill();
        let name = self.name.clone();
        soon(&format!("the end of {name}"), self.child.wait()).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    fn kill(&self) {
        // Once it has been waited for, its number may be another's.
        if let (Some(group), Some(_)) = (self.group, self.child.id()) {
            // It may have ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Keeps the lines of a stream as they come.
async fn read(stream: Option<impl AsyncRead + Unpin>, printed: Arc<Printed>) {
    if let Some(stream) = stream {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        // A stream that fails has ended.
        while stream.read_until(b'\n', &mut line).await.is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            printed.change(|state| state.lines.push(text));
            line.clear();
        }
    }
    printed.change(|state| state.open -= 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Client {
        Client::start(Path::new("/bin/sh"), |command| {
            command.args(["-c", script]);
        })
    }

    #[tokio::test]
    async fn lines_are_seen_in_turn_and_once() {
        let mut client = shell("echo one; echo two >&2; echo two; exit 3");
        assert_eq!(client.line("one").await, "one");
        let ended = client.end().await;
        assert_eq!(ended.status.code(), Some(3));
        assert_eq!(ended.text.matches("two").count(), 2);
    }

    /// What a client has started goes with it, also when the client itself has gone before.
    #[tokio::test]
    async fn nothing_is_left_behind() {
        let mut client = shell("sleep 1000 & echo $!; wait");
        let child: i32 = client.line("").await.parse().unwrap();
        client.stop().await;
        // Killed, it may be a zombie for a moment, until it is reaped.
        let state = || std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        soon("the end of the child", async {
            while !(state().is_empty() || state().contains(") Z ")) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}
