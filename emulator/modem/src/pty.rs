//! A modem on pseudo-terminals: one per AT port, each served by one task.
//!
//! ```text
//! host <-> /dev/pts/N <-> master -> Port task -> Modem::receive -> Port::write -> master
//!              |                                       |
//!           inotify -> Watch -> Port::opened, closed   +-> other ports, for URCs
//! ```
//!
//! A port keeps its slave open for as long as it lives, so that the line survives hosts that come and go. The kernel
//! then tells nobody when a host opens or closes the terminal, and would keep what is written in between for the next
//! one. So the terminal is watched by inotify: URCs and late answers are dropped while nobody is there, what a host
//! left unread is thrown away when it goes, and its exclusive mode is lifted, as are reads that do not wait.
//!
//! The count of hosts is brought up to date before input is taken, because the kernel reports an open before any byte
//! that was written after it. An answer therefore never goes to the host before, nor is it lost for the one that asked.
//! inotify folds two opens that follow each other at once into one; the count may then be too small. Input at a port
//! where nobody should be corrects it: somebody is there.
//!
//! Nothing here waits for a host: what does not fit into the terminal is kept up to a limit, and dropped and counted
//! beyond.
//!
//! One more task sleeps until the modem has something due. A pseudo-terminal has no circuit 108/2: while a port is in
//! data mode that task also looks whether the host has set the rate to 0, by which hosts hang up.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pty_process::{OwnedWritePty, Pts, Pty};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use rustix::termios::{self, OptionalActions, QueueSelector, SpecialCodeIndex};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::engine::Modem;
use crate::output::{Output, WriteKind};

/// What is kept for a host that does not read, beside the 15 kB of the kernel.
const BACKLOG: usize = 64 * 1024;

/// How often the rate of a port in data mode is looked at.
const LINE_CHECK: Duration = Duration::from_millis(100);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves plain data behind; the other ports go on.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes that did not reach a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// Nobody had the terminal open, or not the one who had asked.
    pub idle: u64,
    /// The host did not read, and the backlog was full.
    pub overrun: u64,
    /// The host went without reading them, as far as the modem still held them.
    pub unread: u64,
}

/// A modem that runs on pseudo-terminals. It stops when this is dropped.
pub struct RunningModem {
    shared: Arc<Shared>,
    ttys: Vec<PathBuf>,
    tasks: Vec<JoinHandle<()>>,
}

impl RunningModem {
    /// Opens a terminal for each port and serves them on the current tokio runtime.
    pub fn start(modem: Modem) -> io::Result<Self> {
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|error| io::Error::other(format!("a modem is started inside a tokio runtime: {error}")))?;
        let opened = (0..modem.port_count()).map(|_| Port::open()).collect::<io::Result<Vec<_>>>()?;
        let (ports, masters): (Vec<_>, Vec<_>) = opened.into_iter().unzip();
        let ttys = ports.iter().map(|port| port.path.clone()).collect();
        let shared = Arc::new(Shared {
            modem: Mutex::new(modem),
            ports,
            started: Instant::now(),
            epoch: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            due: Mutex::new(None),
            sooner: Notify::new(),
        });
        let mut modem = lock(&shared.modem);
        modem.set_time(shared.now());
        shared.arm(&modem);
        drop(modem);
        let tasks = masters
            .into_iter()
            .enumerate()
            .map(|(index, master)| runtime.spawn(serve(Arc::clone(&shared), index, master)))
            .chain([runtime.spawn(keep_time(Arc::clone(&shared)))])
            .collect();
        Ok(RunningModem { shared, ttys, tasks })
    }

    /// The paths of the terminals, in the order of the ports.
    pub fn ttys(&self) -> &[PathBuf] {
        &self.ttys
    }

    /// Does something to the modem (takes its card out, restarts it) and sends what it has to say.
    pub fn apply(&self, change: impl FnOnce(&mut Modem) -> Output) {
        self.shared.watched();
        let mut modem = lock(&self.shared.modem);
        modem.set_time(self.shared.now());
        let output = change(&mut modem);
        self.shared.arm(&modem);
        self.shared.deliver(&output, None);
    }

    /// The same for something that can fail.
    pub fn try_apply<E>(&self, change: impl FnOnce(&mut Modem) -> Result<Output, E>) -> Result<(), E> {
        let mut failure = None;
        self.apply(|modem| match change(modem) {
            Ok(output) => output,
            Err(error) => {
                failure = Some(error);
                Output::default()
            }
        });
        failure.map_or(Ok(()), Err)
    }

    /// Whether a host has the terminal of a port open.
    pub fn is_open(&self, port: usize) -> bool {
        self.shared.watched();
        self.shared.ports.get(port).is_some_and(|port| lock(&port.line).is_open())
    }

    /// What did not reach the host at a port.
    pub fn dropped(&self, port: usize) -> Dropped {
        self.shared.ports.get(port).map(|port| lock(&port.line).dropped).unwrap_or_default()
    }

    /// Stops the modem and waits until its terminals are gone.
    pub async fn stop(mut self) {
        for task in std::mem::take(&mut self.tasks) {
            task.abort();
            // The task was aborted: that is the only error there can be.
            let _ = task.await;
        }
    }
}

impl Drop for RunningModem {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// What the tasks of one modem share. The modem is locked before a line, and never the other way round.
struct Shared {
    modem: Mutex<Modem>,
    ports: Vec<Arc<Port>>,
    started: Instant,
    /// The time since the epoch when it was started.
    epoch: Duration,
    /// When the modem has to be looked at next.
    due: Mutex<Option<Duration>>,
    /// Tells that `due` has changed.
    sooner: Notify,
}

impl Shared {
    /// The time since the epoch. It never goes back.
    fn now(&self) -> Duration {
        self.epoch + self.started.elapsed()
    }

    /// Has the timekeeper wait for what the modem has due.
    fn arm(&self, modem: &Modem) {
        let in_data_mode = (0..self.ports.len()).any(|port| modem.is_in_data_mode(port));
        let check = in_data_mode.then(|| self.now() + LINE_CHECK);
        let due = modem.deadline().into_iter().chain(check).min();
        let mut known = lock(&self.due);
        if *known != due {
            *known = due;
            self.sooner.notify_one();
        }
    }

    /// Does what is due.
    fn tick(&self) {
        self.watched();
        let mut modem = lock(&self.modem);
        let output = modem.tick(self.now());
        self.deliver(&output, None);
        for (index, port) in self.ports.iter().enumerate() {
            // V.250 §6.2.9 for a line without circuit 108/2: a rate of 0 hangs up (POSIX, B0).
            let hung_up = modem.is_in_data_mode(index)
                && termios::tcgetattr(&port.master).is_ok_and(|attributes| attributes.output_speed() == 0);
            if hung_up {
                let output = modem.drop_line(index);
                self.deliver(&output, None);
            }
        }
        self.arm(&modem);
    }

    /// Brings the count of hosts up to date.
    fn watched(&self) {
        if let Ok(watch) = Watch::of_process() {
            watch.drain();
        }
    }

    /// Takes what a host has written.
    fn receive(&self, index: usize, bytes: &[u8]) {
        let Some(port) = self.ports.get(index) else { return };
        self.watched();
        let mut modem = lock(&self.modem);
        let (visit, another) = port.begin_input();
        if another {
            let _ = modem.hang_up(index);
        }
        let output = modem.receive_at(index, bytes, self.now());
        self.arm(&modem);
        // The card may have taken its time: the host that asked may be gone by now.
        self.watched();
        self.deliver(&output, Some(visit));
    }

    /// There is no input at the moment. When the last host has gone, that was all it had to say.
    fn settle(&self, index: usize) {
        let Some(port) = self.ports.get(index) else { return };
        if !lock(&port.line).left {
            return;
        }
        // The runtime may not know yet of bytes that were written just before the terminal was closed.
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = rustix::io::read(&port.master, &mut buffer) {
            self.receive(index, &buffer[..count]);
        }
        if std::mem::take(&mut lock(&port.line).left) {
            let _ = lock(&self.modem).hang_up(index);
        }
    }

    /// Writes what the modem says. Answers are for the visit that asked; what comes unasked is for anybody.
    fn deliver(&self, output: &Output, visit: Option<u64>) {
        for write in &output.writes {
            if let Some(port) = self.ports.get(write.port) {
                port.write(&write.bytes, visit.filter(|_| write.kind == WriteKind::Response));
            }
        }
    }
}

/// One terminal.
struct Port {
    /// The master again, beside the one that the task of the port waits on: others write to it as well.
    master: OwnedFd,
    slave: Pts,
    path: PathBuf,
    /// The number by which the watch knows it.
    watch: OnceLock<i32>,
    line: Mutex<LineState>,
}

#[derive(Default)]
struct LineState {
    /// How many times the terminal is open.
    hosts: u32,
    /// Changes when the first host comes and when the last one goes: who asks now is not who asked before.
    visit: u64,
    /// Input came though nobody seems to be there: an open was not seen.
    presumed: bool,
    /// The last host has gone, and what it wrote may not have been read yet.
    left: bool,
    /// What the terminal did not take yet.
    backlog: Vec<u8>,
    dropped: Dropped,
    /// Wakes the task of the port.
    waker: Option<Waker>,
}

impl LineState {
    fn is_open(&self) -> bool {
        self.hosts > 0 || self.presumed
    }

    /// Has the task of the port look at this line again.
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Port {
    fn open() -> io::Result<(Arc<Self>, Pty)> {
        let (master, slave) = pty_process::open().map_err(|error| match error {
            pty_process::Error::Io(error) => error,
            pty_process::Error::Rustix(errno) => errno.into(),
            other => io::Error::other(other.to_string()),
        })?;
        // A new terminal is cooked and echoes: it must be raw before anybody can know its path.
        let mut attributes = termios::tcgetattr(&slave)?;
        attributes.make_raw();
        attributes.set_speed(115_200)?;
        termios::tcsetattr(&slave, OptionalActions::Now, &attributes)?;
        let name = rustix::pty::ptsname(&master, Vec::new())?;
        let path = PathBuf::from(OsStr::from_bytes(name.as_bytes()));
        let port = Arc::new(Port {
            master: master.as_fd().try_clone_to_owned()?,
            slave,
            path,
            watch: OnceLock::new(),
            line: Mutex::default(),
        });
        let number = Watch::of_process()?.add(&port)?;
        port.watch.get_or_init(|| number);
        Ok((port, master))
    }

    /// A host has opened the terminal.
    fn opened(&self) {
        let mut line = lock(&self.line);
        if line.hosts == 0 {
            self.clear(&mut line);
            line.visit += 1;
        }
        line.presumed = false;
        line.hosts = line.hosts.saturating_add(1);
    }

    /// A host has closed the terminal.
    fn closed(&self) {
        let mut line = lock(&self.line);
        line.presumed = false;
        line.hosts = line.hosts.saturating_sub(1);
        if line.hosts > 0 {
            return;
        }
        self.clear(&mut line);
        line.visit += 1;
        line.left = true;
        line.wake();
    }

    /// Takes back, when nobody is there, what a host has set for itself and would lock out the next one. It outlives
    /// the host while the slave is held open here.
    fn settle(&self) {
        if lock(&self.line).hosts > 0 {
            return;
        }
        // TIOCEXCL: the next one would get EBUSY.
        let _ = termios::ioctl_tiocnxcl(&self.slave);
        // Reads that do not wait (termios(3): MIN 0): one that reads through stdio would take each pause for the end.
        if let Ok(mut attributes) = termios::tcgetattr(&self.slave)
            && attributes.special_codes[SpecialCodeIndex::VMIN] == 0
        {
            attributes.special_codes[SpecialCodeIndex::VMIN] = 1;
            attributes.special_codes[SpecialCodeIndex::VTIME] = 0;
            let _ = termios::tcsetattr(&self.slave, OptionalActions::Now, &attributes);
        }
    }

    /// Events were lost: everything is possible.
    fn unknown(&self) {
        let mut line = lock(&self.line);
        line.hosts = 0;
        line.presumed = true;
    }

    /// Throws away what was written and not read.
    fn clear(&self, line: &mut LineState) {
        line.dropped.unread += line.backlog.len() as u64;
        line.backlog.clear();
        // What cannot be flushed will be read; there is nothing better to do.
        let _ = termios::tcflush(&self.slave, QueueSelector::IFlush);
    }

    /// Prepares for input: whose it is, and whether that is another host than the one before.
    fn begin_input(&self) -> (u64, bool) {
        let mut line = lock(&self.line);
        let another = line.is_open() && std::mem::take(&mut line.left);
        // Otherwise it is the last words of a host that has gone, unless they have been heard already.
        if !line.is_open() && !line.left {
            line.presumed = true;
        }
        (line.visit, another)
    }

    /// Writes to the host, or keeps what does not fit. With a visit, it is for the host of that visit only.
    fn write(&self, bytes: &[u8], visit: Option<u64>) {
        let mut line = lock(&self.line);
        if !line.is_open() || visit.is_some_and(|visit| visit != line.visit) {
            line.dropped.idle += bytes.len() as u64;
            return;
        }
        let written = if line.backlog.is_empty() { self.write_some(bytes) } else { 0 };
        let rest = bytes.get(written..).unwrap_or_default();
        if rest.is_empty() {
            return;
        }
        let room = BACKLOG.saturating_sub(line.backlog.len());
        let kept = rest.len().min(room);
        line.backlog.extend_from_slice(&rest[..kept]);
        line.dropped.overrun += (rest.len() - kept) as u64;
        line.wake();
    }

    /// Writes as much as the terminal takes.
    fn write_some(&self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match rustix::io::write(&self.master, rest) {
                Ok(0) => break,
                Ok(count) => written += count,
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
        written
    }

    /// Writes from the backlog as long as the terminal takes it, and has the task woken when it takes more.
    fn poll_backlog(&self, context: &mut Context<'_>, terminal: &mut OwnedWritePty) -> io::Result<()> {
        let mut line = lock(&self.line);
        line.waker = Some(context.waker().clone());
        while !line.backlog.is_empty() {
            match Pin::new(&mut *terminal).poll_write(context, &line.backlog) {
                Poll::Ready(written) => drop(line.backlog.drain(..written?)),
                Poll::Pending => break,
            }
        }
        Ok(())
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        if let (Some(number), Ok(watch)) = (self.watch.get(), Watch::of_process()) {
            watch.remove(*number);
        }
    }
}

/// Has the modem do what is due, when it is.
async fn keep_time(shared: Arc<Shared>) {
    loop {
        let due = *lock(&shared.due);
        let Some(due) = due else {
            shared.sooner.notified().await;
            continue;
        };
        let wait = due.saturating_sub(shared.now());
        tokio::select! {
            () = tokio::time::sleep(wait) => shared.tick(),
            () = shared.sooner.notified() => {}
        }
    }
}

/// Serves one port until its terminal fails or the task is aborted.
async fn serve(shared: Arc<Shared>, index: usize, master: Pty) {
    let Some(port) = shared.ports.get(index) else { return };
    let (mut input, mut output) = master.into_split();
    let mut buffer = vec![0; 4096];
    loop {
        let read = poll_fn(|context| {
            port.poll_backlog(context, &mut output)?;
            let mut read = ReadBuf::new(&mut buffer);
            match Pin::new(&mut input).poll_read(context, &mut read) {
                Poll::Ready(result) => Poll::Ready(result.map(|()| read.filled().len())),
                Poll::Pending => {
                    shared.settle(index);
                    Poll::Pending
                }
            }
        });
        match read.await {
            Ok(count @ 1..) => shared.receive(index, buffer.get(..count).unwrap_or_default()),
            // The terminal has been hung up (vhangup); there is no way back.
            Ok(0) | Err(_) => return,
        }
    }
}

/// The inotify instance of this process. There is one for all modems: a user may have 128 of them only.
struct Watch {
    inotify: OwnedFd,
    ports: Mutex<HashMap<i32, Weak<Port>>>,
    /// Held while events are read and acted upon, so that whoever has it knows that all earlier ones are done.
    reading: Mutex<()>,
}

impl Watch {
    fn of_process() -> io::Result<&'static Watch> {
        static WATCH: OnceLock<Result<Watch, Errno>> = OnceLock::new();
        static READER: OnceLock<bool> = OnceLock::new();
        let watch = WATCH.get_or_init(|| {
            let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
            Ok(Watch { inotify, ports: Mutex::default(), reading: Mutex::default() })
        });
        let watch = watch.as_ref().map_err(|errno| {
            let advice = "cannot watch terminals; if there are too many inotify instances, \
                          raise fs.inotify.max_user_instances";
            io::Error::new(io::Error::from(*errno).kind(), format!("{advice}: {errno}"))
        })?;
        let reads = READER.get_or_init(|| {
            let thread = std::thread::Builder::new().name("terminals".to_owned()).stack_size(128 * 1024);
            thread.spawn(|| watch.read_for_ever()).is_ok()
        });
        if *reads { Ok(watch) } else { Err(io::Error::other("cannot start the thread that watches terminals")) }
    }

    /// Events are acted upon at once, even when no port has input: a closed terminal is to be cleared for the next
    /// host before that one opens it.
    fn read_for_ever(&self) {
        loop {
            let mut events = [rustix::event::PollFd::new(&self.inotify, rustix::event::PollFlags::IN)];
            match rustix::event::poll(&mut events, None) {
                Ok(_) => self.drain(),
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    fn add(&self, port: &Arc<Port>) -> io::Result<i32> {
        let mut ports = lock(&self.ports);
        let flags = WatchFlags::OPEN | WatchFlags::CLOSE_WRITE | WatchFlags::CLOSE_NOWRITE;
        let number = inotify::add_watch(&self.inotify, port.path.as_path(), flags)?;
        ports.insert(number, Arc::downgrade(port));
        Ok(number)
    }

    fn remove(&self, number: i32) {
        lock(&self.ports).remove(&number);
        // It fails when the terminal is gone already, and the watch with it.
        let _ = inotify::remove_watch(&self.inotify, number);
    }

    /// Reads all events that there are and acts upon them.
    fn drain(&self) {
        let _reading = lock(&self.reading);
        let mut buffer = [MaybeUninit::uninit(); 1024];
        let mut events = inotify::Reader::new(&self.inotify, &mut buffer);
        let mut closed = Vec::new();
        while let Ok(event) = events.next() {
            let flags = event.events();
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                let ports: Vec<_> = lock(&self.ports).values().filter_map(Weak::upgrade).collect();
                ports.iter().for_each(|port| port.unknown());
                continue;
            }
            let port = lock(&self.ports).get(&event.wd()).and_then(Weak::upgrade);
            let Some(port) = port else { continue };
            if flags.contains(ReadFlags::OPEN) {
                port.opened();
            } else if flags.intersects(ReadFlags::CLOSE_WRITE | ReadFlags::CLOSE_NOWRITE) {
                port.closed();
                closed.push(port);
            }
        }
        // Last, so that a host that has come in the meantime keeps the mode that it has set.
        closed.iter().for_each(|port| port.settle());
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::path::Path;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::fs::{Mode, OFlags};

    use super::*;
    use crate::event::{ModemEvent, Observer};
    use crate::model::Model;
    use crate::testing::Sketch;

    /// How long something that must happen may take on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A host at a terminal, as programs are: blocking, knowing nothing of the modem.
    struct Host(File);

    impl Host {
        fn open(path: &Path) -> Self {
            Host(File::from(
                rustix::fs::open(path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap(),
            ))
        }

        fn send(&mut self, text: &str) {
            self.0.write_all(text.as_bytes()).unwrap();
        }

        fn await_input(&self) {
            let mut events = [PollFd::new(&self.0, PollFlags::IN)];
            let patience = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
            assert_eq!(poll(&mut events, Some(&patience)).unwrap(), 1, "nothing comes");
        }

        fn read(&mut self, count: usize) -> String {
            let mut bytes = vec![0; count];
            let mut filled = 0;
            while filled < count {
                self.await_input();
                filled += self.0.read(&mut bytes[filled..]).unwrap();
            }
            String::from_utf8(bytes).unwrap()
        }

        fn expect(&mut self, text: &str) {
            assert_eq!(self.read(text.len()), text);
        }
    }

    struct Responses(Sender<()>);

    impl Observer for Responses {
        fn event(&mut self, event: ModemEvent<'_>) {
            if let ModemEvent::Response { .. } = event {
                let _ = self.0.send(());
            }
        }
    }

    /// A running modem, and the count of the lines it has answered.
    fn start() -> (tokio::runtime::Runtime, RunningModem, Receiver<()>) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (sender, receiver) = channel();
        let model = Model::named("RM500Q-GL").unwrap();
        let modem = Modem::observed(model, Some(Sketch::of_the_note().card()), Box::new(Responses(sender)));
        let _entered = runtime.enter();
        let running = RunningModem::start(modem).unwrap();
        drop(_entered);
        (runtime, running, receiver)
    }

    /// Waits until something that happens by itself has happened.
    fn until(condition: impl Fn() -> bool) {
        let start = std::time::Instant::now();
        while !condition() {
            assert!(start.elapsed() < PATIENCE, "it does not happen");
            std::thread::yield_now();
        }
    }

    /// Waits until the host has gone and the task of the port knows it. (A process that another test starts may
    /// keep its terminal open for a moment.)
    fn until_left(running: &RunningModem) {
        until(|| !running.is_open(0) && !lock(&running.shared.ports[0].line).left);
    }

    #[test]
    fn hosts_come_and_go() {
        let (_runtime, running, _) = start();
        let tty = running.ttys()[0].clone();
        for round in 0..3 {
            let mut host = Host::open(&tty);
            for fragment in ["A", "T+C", "GMI", "\r", "\n"] {
                host.send(fragment);
            }
            // The settings of a port outlive a host.
            host.expect(if round == 0 { "AT+CGMI\r" } else { "" });
            host.expect("\r\nQuectel\r\n\r\nOK\r\n");
            host.send("ATE0\r\n");
            host.expect(if round == 0 { "ATE0\r" } else { "" });
            host.expect("\r\nOK\r\n");
            host.send("AT\r\nAT+CGMM\r\n");
            host.expect("\r\nOK\r\n\r\nRM500Q-GL\r\n\r\nOK\r\n");
            assert!(running.is_open(0));
            drop(host);
            until_left(&running);
        }
    }

    #[test]
    fn terminals_are_raw() {
        let (_runtime, running, _) = start();
        for tty in running.ttys() {
            let host = Host::open(tty);
            let attributes = termios::tcgetattr(&host.0).unwrap();
            assert!(!attributes.local_modes.intersects(termios::LocalModes::ECHO | termios::LocalModes::ICANON));
            assert!(!attributes.output_modes.contains(termios::OutputModes::OPOST));
            assert!(!attributes.input_modes.contains(termios::InputModes::ICRNL));
        }
    }

    #[test]
    fn nothing_stale_for_the_next_host() {
        let (_runtime, running, answered) = start();
        let tty = running.ttys()[0].clone();
        // An answer that was not read.
        let mut host = Host::open(&tty);
        host.send("ATI\r");
        host.await_input();
        answered.recv_timeout(PATIENCE).unwrap();
        drop(host);
        until_left(&running);
        // What comes unasked while nobody is there.
        running.apply(|modem| modem.set_card(None));
        assert_eq!(running.dropped(0).idle, "\r\n+CPIN: NOT READY\r\n".len() as u64);
        // A command by somebody who does not wait for the answer, as `echo AT >` does.
        let mut host = Host::open(&tty);
        host.send("AT+CGMI\r");
        drop(host);
        answered.recv_timeout(PATIENCE).unwrap();
        until(|| !running.is_open(0));
        let mut host = Host::open(&tty);
        host.send("AT+CGMM\r");
        host.expect("AT+CGMM\r\r\nRM500Q-GL\r\n\r\nOK\r\n");
    }

    #[test]
    fn an_unfinished_line_goes_with_its_host() {
        let (_runtime, running, _) = start();
        let mut host = Host::open(&running.ttys()[0]);
        host.send("AT+CG");
        drop(host);
        until_left(&running);
        let mut host = Host::open(&running.ttys()[0]);
        host.send("AT\r");
        host.expect("AT\r\r\nOK\r\n");
    }

    #[test]
    fn exclusive_mode_goes_with_its_host() {
        let (_runtime, running, _) = start();
        let tty = running.ttys()[0].clone();
        // Root may open an exclusive terminal: another user has to try.
        std::fs::set_permissions(&tty, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
        let open_by_another = || {
            let mut shell = std::process::Command::new("sh");
            shell.arg("-c").arg(": <> \"$0\"").arg(&tty).stderr(std::process::Stdio::null());
            if rustix::process::geteuid().is_root() {
                std::os::unix::process::CommandExt::uid(&mut shell, 65534);
            }
            shell.status().map(|status| status.success())
        };
        let Ok(true) = open_by_another() else {
            println!("skipped: no other process can open {}", tty.display());
            return;
        };
        until_left(&running);
        let host = Host::open(&tty);
        termios::ioctl_tiocexcl(&host.0).unwrap();
        assert!(!open_by_another().unwrap());
        drop(host);
        until_left(&running);
        assert!(open_by_another().unwrap());
    }

    #[test]
    fn reads_that_do_not_wait_go_with_their_host() {
        let (_runtime, running, _) = start();
        let host = Host::open(&running.ttys()[0]);
        let mut attributes = termios::tcgetattr(&host.0).unwrap();
        attributes.special_codes[SpecialCodeIndex::VMIN] = 0;
        attributes.input_modes.insert(termios::InputModes::IXON);
        termios::tcsetattr(&host.0, OptionalActions::Now, &attributes).unwrap();
        drop(host);
        until_left(&running);
        let host = Host::open(&running.ttys()[0]);
        let attributes = termios::tcgetattr(&host.0).unwrap();
        assert_eq!(attributes.special_codes[SpecialCodeIndex::VMIN], 1);
        // What else was set stays, as on a serial port.
        assert!(attributes.input_modes.contains(termios::InputModes::IXON));
    }

    #[test]
    fn a_host_that_does_not_read_hangs_nothing() {
        let (_runtime, running, answered) = start();
        let mut host = Host::open(&running.ttys()[0]);
        const COUNT: usize = 2000;
        let answer = "\r\nQuectel\r\nRM500Q-GL\r\nRevision: RM500QGLABR11A06M4G\r\n\r\nOK\r\n";
        host.send("ATE0\r");
        host.expect("ATE0\r\r\nOK\r\n");
        for _ in 0..COUNT {
            host.send("ATI\r");
        }
        for _ in 0..COUNT + 1 {
            answered.recv_timeout(PATIENCE).unwrap();
        }
        let mut other = Host::open(&running.ttys()[1]);
        other.send("AT\r");
        other.expect("AT\r\r\nOK\r\n");
        let overrun = running.dropped(0).overrun as usize;
        assert!(overrun > 0 && overrun < COUNT * answer.len());
        let kept = host.read(COUNT * answer.len() - overrun);
        assert!(kept.starts_with(&answer.repeat(100)));
        host.send("AT\r");
        host.expect("\r\nOK\r\n");
    }

    #[test]
    fn urcs_reach_every_port_that_is_open() {
        let (_runtime, running, _) = start();
        let mut first = Host::open(&running.ttys()[0]);
        let mut second = Host::open(&running.ttys()[1]);
        first.send("ATE0\r");
        first.expect("ATE0\r\r\nOK\r\n");
        first.send("AT+QESIM=\"enable_profile\",2\r");
        let urcs = "\r\n+CPIN: READY\r\n\r\n+QUSIM: 1\r\n\r\n+QIND: SMS DONE\r\n\r\n+QIND: PB DONE\r\n";
        first.expect(&format!("\r\nOK\r\n{urcs}"));
        second.expect(urcs);
    }

    #[test]
    fn several_hosts_at_one_terminal() {
        let (_runtime, running, _) = start();
        let mut host = Host::open(&running.ttys()[0]);
        assert!(running.is_open(0));
        let other = Host::open(&running.ttys()[0]);
        assert!(running.is_open(0));
        drop(other);
        host.send("AT\r");
        host.expect("AT\r\r\nOK\r\n");
        assert!(running.is_open(0));
        // Two opens that inotify made one of, and a close: whoever writes is there.
        running.shared.ports[0].closed();
        until_left(&running);
        host.send("AT\r");
        host.expect("AT\r\r\nOK\r\n");
        assert!(running.is_open(0));
        // And with events that were lost.
        running.shared.ports[0].unknown();
        host.send("AT\r");
        host.expect("AT\r\r\nOK\r\n");
    }

    #[test]
    fn stops() {
        let (runtime, running, _) = start();
        let shared = Arc::downgrade(&running.shared);
        let _still_there = Host::open(&running.ttys()[0]);
        runtime.block_on(running.stop());
        assert!(shared.upgrade().is_none(), "its terminals are gone with it");
        // Outside of a runtime there is nobody to serve it.
        let model = Model::named("RM500Q-GL").unwrap();
        assert!(RunningModem::start(Modem::new(model, Sketch::of_the_note().card())).is_err());
    }

    #[test]
    fn many_modems_in_one_process() {
        let (runtime, _, _) = start();
        let _entered = runtime.enter();
        let model = Model::named("RM500Q-GL").unwrap();
        let fleet: Vec<_> = (0..40)
            .map(|_| RunningModem::start(Modem::new(model.clone(), Sketch::of_the_note().card())).unwrap())
            .collect();
        for running in &fleet {
            let mut host = Host::open(&running.ttys()[0]);
            host.send("AT\r");
            host.expect("AT\r\r\nOK\r\n");
        }
    }
}
