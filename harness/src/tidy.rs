//! Leaving nothing behind, whatever ends the program.
//!
//! Everything that a process of esimlab makes on disk is in one folder, its [`Nest`]. The nest is locked for as long
//! as its process lives; the kernel lifts the lock when the process is gone, `kill -9` included. So a nest whose lock
//! can be had is one that was left behind:
//!
//! ```text
//! esimlab run ── pipe ──> watcher ── end of file: the run is gone ──> sweep
//!      │                                                                ^
//!      └── $TMPDIR/esimlab-x/.lock, links, lab-*/        the next start ┘
//! ```
//!
//! A sweep takes away the processes that carry the nest in their environment, the symbolic links that are noted in
//! it, and the folder itself. The watcher is a second process that waits for the end of the first one; where it has
//! been killed too, the next start does the same.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::FlockOperation;
use rustix::process::{Pid, PidfdFlags, Signal};

/// The variable by which processes are known that were started from a nest.
pub const MARKER: &str = "ESIMLAB_NEST";

/// How the folder of a nest begins.
const PREFIX: &str = "esimlab-";

/// The file that is locked.
const LOCK: &str = ".lock";

/// The file with the symbolic links, a path and its target in turn, each ended by a zero byte.
const LINKS: &str = "links";

/// The folder of this process. It goes when the last one who holds it is dropped.
#[derive(Debug)]
pub struct Nest {
    folder: tempfile::TempDir,
    // Locked for as long as this lives.
    _lock: File,
}

static CURRENT: Mutex<Weak<Nest>> = Mutex::new(Weak::new());

impl Nest {
    /// The nest of this process, made if there is none at the moment. What earlier processes left behind is taken
    /// away the first time.
    pub fn of_process() -> io::Result<Arc<Nest>> {
        static SWEPT: Once = Once::new();
        SWEPT.call_once(|| sweep(&std::env::temp_dir()));
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(nest) = current.upgrade() {
            return Ok(nest);
        }
        let folder = std::env::temp_dir();
        let told = |error: io::Error| {
            let problem =
                format!("{error}; set TMPDIR to one that can be written to, in place of {}", folder.display());
            io::Error::new(error.kind(), problem)
        };
        if folder.to_str().is_none() {
            // Its name goes into command lines, JSON and descriptions of LPAs.
            return Err(told(io::Error::new(io::ErrorKind::InvalidInput, "its name is no UTF-8")));
        }
        let nest = Arc::new(Nest::make(&folder).map_err(told)?);
        *current = Arc::downgrade(&nest);
        Ok(nest)
    }

    fn make(folder: &Path) -> io::Result<Nest> {
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(folder)?;
        // Locked before it has its name: a nest without a locked file of that name is never swept.
        let beside = folder.path().join("lock.new");
        let lock = File::options().write(true).create_new(true).open(&beside)?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        std::fs::rename(&beside, folder.path().join(LOCK))?;
        Ok(Nest { folder, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A folder inside it, which goes when it is dropped.
    pub fn folder(&self, prefix: &str) -> io::Result<tempfile::TempDir> {
        tempfile::Builder::new().prefix(prefix).tempdir_in(self.path())
    }

    /// Notes a symbolic link, which is outside of it and has to go with it.
    pub fn note_link(&self, path: &Path, target: &Path) -> io::Result<()> {
        let path = std::path::absolute(path)?;
        let mut file = File::options().append(true).create(true).open(self.path().join(LINKS))?;
        let mut text = Vec::new();
        for path in [path.as_path(), target] {
            text.extend_from_slice(path.as_os_str().as_encoded_bytes());
            text.push(0);
        }
        file.write_all(&text)
    }
}

/// What a process that is started has to carry in its environment: name and value.
pub fn marker() -> Option<(&'static str, PathBuf)> {
    let nest = CURRENT.lock().unwrap_or_else(PoisonError::into_inner).upgrade()?;
    Some((MARKER, nest.path().to_owned()))
}

/// The nest of this process with a watcher beside it.
#[derive(Debug)]
pub struct Guard {
    nest: Arc<Nest>,
    watcher: Option<Child>,
}

impl Guard {
    /// Starts the watcher; where that is not possible the next start has to do.
    pub fn start() -> io::Result<Guard> {
        let nest = Nest::of_process()?;
        let watcher = std::env::current_exe().and_then(|program| {
            Command::new(program)
                .args([WATCHER.as_ref(), nest.path().as_os_str()])
                // In a group of its own: Ctrl-C is for the program, which then takes down what it has itself.
                .process_group(0)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
        });
        Ok(Guard { nest, watcher: watcher.ok() })
    }

    /// The nest.
    pub fn nest(&self) -> &Nest {
        &self.nest
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(mut watcher) = self.watcher.take() {
            // All is taken down in order: it has nothing to do any more.
            let _ = watcher.kill();
            let _ = watcher.wait();
        }
    }
}

/// The name of the hidden command that the watcher is.
pub const WATCHER: &str = "tidy-up-after";

/// The watcher: waits until the process at the other end of standard input is gone, and takes away its nest.
pub fn watch(nest: &Path) {
    // Out of the session too, so that the end of a terminal does not end this before it has done its work.
    let _ = rustix::process::setsid();
    let _ = io::stdin().lock().read_to_end(&mut Vec::new());
    // A process that ends closes its files one after the other: the pipe is closed a moment before the lock is lifted.
    take_away_if_left(nest, FlockOperation::LockExclusive);
}

/// Takes away every nest in a folder that was left behind.
pub fn sweep(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            take_away_if_left(&entry.path(), FlockOperation::NonBlockingLockExclusive);
        }
    }
}

/// Takes a nest away when its process is gone, which is when the lock can be had: at once, or as soon as it is lifted.
fn take_away_if_left(nest: &Path, locking: FlockOperation) {
    // A real folder, and our own: others may put anything into the folder of temporary files.
    let own = std::fs::symlink_metadata(nest)
        .is_ok_and(|found| found.is_dir() && found.uid() == rustix::process::geteuid().as_raw());
    if !own {
        return;
    }
    let Ok(lock) = File::options().write(true).open(nest.join(LOCK)) else { return };
    if rustix::io::retry_on_intr(|| rustix::fs::flock(&lock, locking)).is_err() {
        return;
    }
    end_processes_of(nest);
    remove_links(nest);
    let _ = std::fs::remove_dir_all(nest);
}

/// How often processes are looked for: each that is ended may just have started another one.
const PASSES: usize = 50;

/// Ends the processes that carry the nest in their environment, and those that these have started.
fn end_processes_of(nest: &Path) {
    let mut wanted = format!("{MARKER}=").into_bytes();
    wanted.extend_from_slice(nest.as_os_str().as_encoded_bytes());
    for _ in 0..PASSES {
        if !end_those_that_carry(&wanted) {
            break;
        }
    }
}

/// Ends the processes with this variable in their environment that there are at the moment, and waits for their end;
/// tells whether there was any.
fn end_those_that_carry(wanted: &[u8]) -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else { return false };
    let mut ended = Vec::new();
    for entry in processes.flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else { continue };
        // Held before it is looked at: what is ended is what was looked at, not a later process of the same number.
        let Ok(process) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else { continue };
        let environment = environment_of(&entry.path());
        if environment.split(|byte| *byte == 0).any(|variable| variable == wanted)
            && rustix::process::pidfd_send_signal(&process, Signal::KILL).is_ok()
        {
            ended.push(process);
        }
    }
    for process in &ended {
        let patience = Timespec { tv_sec: 1, tv_nsec: 0 };
        let _ = rustix::event::poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&patience));
    }
    !ended.is_empty()
}

/// How often the environment of a process is read that seems to be starting a program.
const READINGS: usize = 10_000;

/// The environment of a process, by its folder in `/proc`; empty where there is none or it is another user's.
///
/// While a process starts a program it has no environment for a moment (`fs/proc/base.c`, `environ_read`): on a busy
/// machine it can be caught there, and it must not get away by that.
fn environment_of(process: &Path) -> Vec<u8> {
    for _ in 0..READINGS {
        let Ok(environment) = std::fs::read(process.join("environ")) else { break };
        if !environment.is_empty() {
            return environment;
        }
        match std::fs::read_to_string(process.join("stat")).ok().as_deref().and_then(Memory::of) {
            Some(memory) if !memory.has_no_environment() => std::thread::yield_now(),
            _ => break,
        }
    }
    Vec::new()
}

/// What `/proc/PID/stat` tells of the memory of a process, see proc_pid_stat(5).
struct Memory {
    size: u64,
    environment: std::ops::Range<u64>,
}

impl Memory {
    /// From the line; the fields are counted behind the name, which may contain anything.
    fn of(line: &str) -> Option<Memory> {
        // The name is field 2.
        let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse().ok();
        Some(Memory { size: field(23)?, environment: field(50)?..field(51)? })
    }

    /// A kernel thread, a process that has ended and was not waited for, or one that was started without any.
    fn has_no_environment(&self) -> bool {
        self.size == 0 || self.environment.start != 0 && self.environment.is_empty()
    }
}

/// Removes the links that are noted, as far as they still lead where they did.
fn remove_links(nest: &Path) {
    use std::os::unix::ffi::OsStrExt;
    let noted = std::fs::read(nest.join(LINKS)).unwrap_or_default();
    let texts: Vec<&[u8]> = noted.split(|byte| *byte == 0).collect();
    for [path, target] in texts.as_chunks::<2>().0 {
        let [path, target] = [path, target].map(|text| Path::new(std::ffi::OsStr::from_bytes(text)));
        if std::fs::read_link(path).is_ok_and(|found| found == target) {
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A nest as a process leaves it that was killed: everything is there but the lock.
    fn left_behind(folder: &Path) -> PathBuf {
        let mut nest = Nest::make(folder).unwrap();
        nest.folder.disable_cleanup(true);
        nest.path().to_owned()
    }

    #[test]
    fn a_nest_is_swept_only_when_its_process_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let living = Nest::make(folder.path()).unwrap();
        let dead = left_behind(folder.path());
        // What is no nest, though it is called like one, is nobody's to take away.
        let other = folder.path().join("esimlab-notes");
        std::fs::create_dir(&other).unwrap();
        std::os::unix::fs::symlink(&dead, folder.path().join("esimlab-link")).unwrap();
        sweep(folder.path());
        assert!(living.path().join(LOCK).exists());
        assert!(!dead.exists());
        assert!(other.exists());
    }

    #[test]
    fn links_go_with_it_as_far_as_they_are_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let link = |name: &str| folder.path().join(name);
        let nest = Nest::make(folder.path()).unwrap();
        nest.note_link(&link("own"), Path::new("/dev/pts/4711")).unwrap();
        nest.note_link(&link("another's by now"), Path::new("/dev/pts/4711")).unwrap();
        std::os::unix::fs::symlink("/dev/pts/4711", link("own")).unwrap();
        std::os::unix::fs::symlink("/dev/pts/4712", link("another's by now")).unwrap();
        let mut nest = nest;
        nest.folder.disable_cleanup(true);
        drop(nest);
        sweep(folder.path());
        assert!(std::fs::symlink_metadata(link("own")).is_err());
        assert!(std::fs::symlink_metadata(link("another's by now")).is_ok());
    }

    #[test]
    fn processes_go_with_it_with_what_they_have_started() {
        let folder = tempfile::tempdir().unwrap();
        let nest = left_behind(folder.path());
        // A shell that waits for another process; both are told by their end, not by a time.
        let mut shell = Command::new("/bin/sh")
            .args(["-c", "sleep 600; true"])
            .env(MARKER, &nest)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = shell.stdout.take().unwrap();
        sweep(folder.path());
        assert!(!shell.wait().unwrap().success());
        // Whoever held the pipe is gone. The shell may have been ended before it started anything.
        assert_eq!(output.read_to_end(&mut Vec::new()).unwrap(), 0);
    }
}
