//! `kill -9` of a run or of a lab leaves nothing behind.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, PidfdFlags};

/// Waits until a process is gone. The watcher takes a moment: it is waited for by what it does, not for a time.
fn wait_for_the_end_of(pid: Pid) {
    let Ok(process) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else { return };
    let mut events = [rustix::event::PollFd::new(&process, rustix::event::PollFlags::IN)];
    let patience = rustix::event::Timespec { tv_sec: 60, tv_nsec: 0 };
    assert_eq!(rustix::event::poll(&mut events, Some(&patience)).unwrap(), 1, "the process {pid:?} goes on");
}

/// Waits until there is no file of this name, with the look of inotify at the folder.
fn wait_until_empty(folder: &Path) {
    use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
    let watch = init(CreateFlags::CLOEXEC).unwrap();
    add_watch(&watch, folder, WatchFlags::DELETE | WatchFlags::MOVED_FROM).unwrap();
    while std::fs::read_dir(folder).unwrap().next().is_some() {
        let mut events = [rustix::event::PollFd::new(&watch, rustix::event::PollFlags::IN)];
        let patience = rustix::event::Timespec { tv_sec: 60, tv_nsec: 0 };
        let left = || std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
        assert_eq!(rustix::event::poll(&mut events, Some(&patience)).unwrap(), 1, "left behind: {:?}", left());
        rustix::io::read(&watch, &mut [0; 4096]).unwrap();
    }
}

fn killed(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// A run whose LPA has started another process and waits for it; the LPA's process id, and that of the other.
fn run_that_hangs(folder: &Path, temporary: &Path) -> (Child, [Pid; 2]) {
    let scenario = folder.join("hang.toml");
    let text = "format = 1\ntitle = 'x'\n[[step]]\nlpa = { list = true }\noutcome = 'success'\n";
    std::fs::write(&scenario, text).unwrap();
    // A named pipe tells when all of it runs.
    let started = folder.join("started");
    assert!(Command::new("mkfifo").arg(&started).status().unwrap().success());
    let lpa = folder.join("lpa");
    let script = format!("#!/bin/sh\nsleep 600 &\necho $$ $! > {}\nwait\n", started.display());
    std::fs::write(&lpa, script).unwrap();
    std::fs::set_permissions(&lpa, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_esimlab"))
        .args(["run".as_ref(), scenario.as_os_str(), "--lpa".as_ref(), lpa.as_os_str()])
        .env("TMPDIR", temporary)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pids = std::fs::read_to_string(&started).unwrap();
    let mut pids = pids.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap());
    (run, [pids.next().unwrap(), pids.next().unwrap()])
}

fn folders() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let temporary = folder.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    (folder, temporary)
}

#[test]
fn a_run_that_is_killed_leaves_no_process_and_no_file() {
    let (folder, temporary) = folders();
    let (run, pids) = run_that_hangs(folder.path(), &temporary);
    killed(run);
    pids.into_iter().for_each(wait_for_the_end_of);
    wait_until_empty(&temporary);
}

/// The watchers of a process: its children that are called so.
fn watchers_of(parent: &Child) -> Vec<Pid> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
    pids.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        // The parent's number is the second field after the name (proc(5)).
        let parent_of = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        parent_of == Some(parent.id()) && line.contains("tidy-up-after")
    })
    .filter_map(Pid::from_raw)
    .collect()
}

#[test]
fn a_run_that_is_killed_with_its_watcher_is_tidied_up_after_by_the_next_one() {
    let (folder, temporary) = folders();
    let (run, pids) = run_that_hangs(folder.path(), &temporary);
    let watchers = watchers_of(&run);
    assert_eq!(watchers.len(), 1);
    // The watcher first: it could be faster than this test.
    rustix::process::kill_process(watchers[0], rustix::process::Signal::KILL).unwrap();
    killed(run);
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 1, "there is something to tidy up");
    let scenario = folder.path().join("plain.toml");
    std::fs::write(&scenario, "format = 1\ntitle = 'x'\n[[step]]\nat = 'AT'\nreply = ['OK']\n").unwrap();
    let next = Command::new(env!("CARGO_BIN_EXE_esimlab"))
        .args(["run".as_ref(), scenario.as_os_str()])
        .env("TMPDIR", &temporary)
        .output()
        .unwrap();
    assert!(next.status.success(), "{}", String::from_utf8_lossy(&next.stderr));
    pids.into_iter().for_each(wait_for_the_end_of);
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
}

#[test]
fn a_server_that_is_killed_leaves_no_file_but_its_control_file() {
    let (folder, temporary) = folders();
    let control = folder.path().join("control.json");
    let mut server = Command::new(env!("CARGO_BIN_EXE_esimlab"))
        .args(["smdp", "--json", "--listen", "127.0.0.1:0", "--control", control.to_str().unwrap()])
        .env("TMPDIR", &temporary)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert!(Path::new(ready["smdp"]["ci"].as_str().unwrap()).starts_with(&temporary));
    killed(server);
    wait_until_empty(&temporary);
    // What it was reached by tells that it is not there.
    let order = Command::new(env!("CARGO_BIN_EXE_esimlab"))
        .args(["order", "list", "--control", control.to_str().unwrap()])
        .output()
        .unwrap();
    let words = String::from_utf8(order.stderr).unwrap();
    assert!(!order.status.success() && words.contains("esimlab smdp"), "{words}");
}

#[test]
fn a_lab_that_is_killed_leaves_no_link() {
    let (folder, temporary) = folders();
    let links = folder.path().join("links");
    std::fs::create_dir(&links).unwrap();
    let mut up = Command::new(env!("CARGO_BIN_EXE_esimlab"))
        .args(["up".as_ref(), "--json".as_ref(), "--link".as_ref(), links.join("modem").as_os_str()])
        .env("TMPDIR", &temporary)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(up.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    let tty = std::fs::read_link(links.join("modem")).unwrap();
    assert_eq!(ready["modems"][0]["ttys"][0], links.join("modem").to_str().unwrap());
    killed(up);
    assert_eq!(output.read_to_end(&mut Vec::new()).unwrap(), 0);
    wait_until_empty(&links);
    wait_until_empty(&temporary);
    // The terminal is gone with the process; its number may belong to another one by now.
    assert!(!tty.exists() || std::fs::symlink_metadata(links.join("modem")).is_err());
}
