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
//! inotify may still fold two opens of the same instant into one; the count is then too small. Input at a port where
//! nobody should be corrects it: somebody is there.
//!
//! Nothing here waits for a host: what does not fit into the terminal is kept up to a limit, and dropped and counted
//! beyond.
//!
//! One more task sleeps until the modem has something due. A pseudo-terminal has no circuit 108/2: while a port is in
//! data mode that task also looks whether the host has set the rate to 0, by which hosts hang up.

use std::future::poll_fn;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::termios;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::engine::Modem;
use crate::host::{Core, HostNetwork, HostSockets};
use crate::output::{Output, WriteKind};
use crate::socket::{SocketEvent, SocketId};

mod terminal;
mod watch;

pub use terminal::Dropped;
use terminal::{Input, Port, Room};
use watch::Watch;

/// How often the rate of a port in data mode is looked at.
const LINE_CHECK: Duration = Duration::from_millis(100);

/// An answer that takes less was given at once.
const AT_ONCE: Duration = Duration::from_millis(1);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves plain data behind; the other ports go on.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Something on the line between the terminals and the modem: a fault, say. It hands on to the modem what the host
/// writes, and gives back what comes to the host.
pub trait Line: Send {
    /// A host has written to a port, at this time since the epoch.
    fn receive(&mut self, modem: &mut Modem, port: usize, bytes: &[u8], now: Duration) -> Output;

    /// Something may be due, of the line or of the modem.
    fn tick(&mut self, modem: &mut Modem, now: Duration) -> Output;

    /// When something of the line's own is due.
    fn deadline(&self) -> Option<Duration>;
}

/// A modem that runs on pseudo-terminals. It stops when this is dropped.
pub struct RunningModem {
    shared: Arc<Shared>,
    ttys: Vec<PathBuf>,
    /// The timekeeper.
    keeper: JoinHandle<()>,
    /// Those that serve the ports, while there are ports.
    servers: Mutex<Vec<JoinHandle<()>>>,
}

impl RunningModem {
    /// Opens a terminal for each port and serves them on the current tokio runtime.
    pub fn start(modem: Modem) -> io::Result<Self> {
        RunningModem::start_on(modem, HostNetwork::loopback(), None)
    }

    /// The same, with a network that its sockets reach.
    pub fn start_in(modem: Modem, network: HostNetwork) -> io::Result<Self> {
        RunningModem::start_on(modem, network, None)
    }

    /// The same with something on the line.
    pub fn start_on(modem: Modem, network: HostNetwork, line: Option<Box<dyn Line>>) -> io::Result<Self> {
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|error| io::Error::other(format!("a modem is started inside a tokio runtime: {error}")))?;
        let opened = (0..modem.port_count()).map(|_| Port::open()).collect::<io::Result<Vec<_>>>()?;
        let (ports, inputs): (Vec<_>, Vec<_>) = opened.into_iter().unzip();
        let ttys = ports.iter().map(|port| port.path.clone()).collect();
        let shared = Arc::new_cyclic(|this| Shared {
            this: Weak::clone(this),
            sockets: Arc::new(HostSockets::new(network, runtime.clone())),
            flow: Notify::new(),
            modem: Mutex::new(modem),
            line: Mutex::new(line),
            ports: Mutex::new(ports),
            started: Instant::now(),
            ahead: Mutex::default(),
            epoch: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            due: Mutex::new(None),
            sooner: Notify::new(),
        });
        let mut modem = lock(&shared.modem);
        modem.set_time(shared.now());
        shared.arm(&modem);
        drop(modem);
        let servers = Mutex::new(Shared::serve_all(&shared, &runtime, inputs));
        let keeper = runtime.spawn(keep_time(Arc::clone(&shared)));
        Ok(RunningModem { shared, ttys, keeper, servers })
    }

    /// Takes the terminals away, as a USB device that leaves does: hosts that have them open are told that they are
    /// gone. The modem goes on.
    pub fn unplug(&self) {
        lock(&self.servers).drain(..).for_each(|server| server.abort());
        let gone = std::mem::take(&mut *lock(&self.shared.ports));
        let mut modem = lock(&self.shared.modem);
        for index in 0..gone.len() {
            // There is nobody to be told.
            let _ = modem.hang_up(index);
        }
    }

    /// Brings the terminals back; their paths are others, see [`RunningModem::current_ttys`]. Has to be called inside a
    /// tokio runtime.
    pub fn plug_in(&self) -> io::Result<()> {
        let runtime = tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        let count = lock(&self.shared.modem).port_count();
        let opened = (0..count).map(|_| Port::open()).collect::<io::Result<Vec<_>>>()?;
        let (ports, inputs): (Vec<_>, Vec<_>) = opened.into_iter().unzip();
        *lock(&self.shared.ports) = ports;
        *lock(&self.servers) = Shared::serve_all(&self.shared, &runtime, inputs);
        Ok(())
    }

    /// The paths of the terminals that are there now.
    pub fn current_ttys(&self) -> Vec<PathBuf> {
        lock(&self.shared.ports).iter().map(|port| port.path.clone()).collect()
    }

    /// The paths of the terminals that it was started with, in the order of the ports.
    pub fn ttys(&self) -> &[PathBuf] {
        &self.ttys
    }

    /// Does something to the modem (takes its card out, restarts it) and sends what it has to say.
    pub fn apply(&self, change: impl FnOnce(&mut Modem) -> Output) {
        self.shared.with(|modem| ((), change(modem)));
    }

    /// A handle for somebody who works beside the hosts, on a thread of his own.
    pub fn handle(&self) -> ModemHandle {
        ModemHandle(Arc::downgrade(&self.shared))
    }

    /// Lets the time go on by so much at once, and does on the way what is due, each thing at its time.
    pub fn advance(&self, by: Duration) {
        /// A modem that has more due is one that asks for the same again and again.
        const MOST: usize = 100_000;
        let shared = &self.shared;
        shared.watched();
        let mut modem = lock(&shared.modem);
        let end = shared.now() + by;
        for _ in 0..MOST {
            let Some(due) = modem.deadline().filter(|due| *due < end) else { break };
            let output = modem.tick(due);
            shared.deliver(output, None);
        }
        *lock(&shared.ahead) += by;
        let output = modem.tick(end);
        shared.deliver(output, None);
        shared.arm(&modem);
    }

    /// The same for something that gives an answer.
    pub fn with<T>(&self, act: impl FnOnce(&mut Modem) -> (T, Output)) -> T {
        self.shared.with(act)
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
        self.shared.port(port).is_some_and(|port| lock(&port.line).is_open())
    }

    /// What did not reach the host at a port.
    pub fn dropped(&self, port: usize) -> Dropped {
        self.shared.port(port).map(|port| lock(&port.line).dropped).unwrap_or_default()
    }

    /// Stops the modem and waits until its terminals are gone.
    pub async fn stop(mut self) {
        self.shared.sockets.abort_all();
        self.keeper.abort();
        let servers = std::mem::take(&mut *lock(&self.servers));
        for task in servers {
            task.abort();
            // The task was aborted: that is the only error there can be.
            let _ = task.await;
        }
        let _ = (&mut self.keeper).await;
    }
}

impl Drop for RunningModem {
    fn drop(&mut self) {
        self.shared.sockets.abort_all();
        self.keeper.abort();
        lock(&self.servers).iter().for_each(JoinHandle::abort);
    }
}

/// A modem on pseudo-terminals, for as long as it is there.
#[derive(Clone)]
pub struct ModemHandle(Weak<Shared>);

impl ModemHandle {
    /// Does something to the modem, sends what it has to say, and gives what came of it. `None` when the modem is gone.
    pub fn with<T>(&self, act: impl FnOnce(&mut Modem) -> (T, Output)) -> Option<T> {
        let shared = self.0.upgrade()?;
        Some(shared.with(act))
    }
}

/// What the tasks of one modem share. The modem is locked before a line, and never the other way round.
struct Shared {
    /// Itself, for the tasks of sockets.
    this: Weak<Shared>,
    sockets: Arc<HostSockets>,
    /// Tells that somebody has taken something, so that sockets may be read again.
    flow: Notify,
    modem: Mutex<Modem>,
    /// What is on the line. It is locked after the modem.
    line: Mutex<Option<Box<dyn Line>>>,
    /// None while the terminals are gone. Not held while anything else is done.
    ports: Mutex<Vec<Arc<Port>>>,
    started: Instant,
    /// By how much the time has been let go on.
    ahead: Mutex<Duration>,
    /// The time since the epoch when it was started.
    epoch: Duration,
    /// When the modem has to be looked at next.
    due: Mutex<Option<Duration>>,
    /// Tells that `due` has changed.
    sooner: Notify,
}

impl Shared {
    /// The terminal of a port, if it is there.
    fn port(&self, index: usize) -> Option<Arc<Port>> {
        lock(&self.ports).get(index).cloned()
    }

    /// Starts a task for each terminal.
    fn serve_all(shared: &Arc<Shared>, runtime: &tokio::runtime::Handle, inputs: Vec<Input>) -> Vec<JoinHandle<()>> {
        let serve = |(index, input)| runtime.spawn(serve(Arc::clone(shared), index, input));
        inputs.into_iter().enumerate().map(serve).collect()
    }

    /// The time since the epoch. It never goes back.
    fn now(&self) -> Duration {
        self.since_epoch(Instant::now())
    }

    fn since_epoch(&self, moment: Instant) -> Duration {
        self.epoch + moment.duration_since(self.started) + *lock(&self.ahead)
    }

    /// Does something to the modem and sends what it has to say.
    fn with<T>(&self, act: impl FnOnce(&mut Modem) -> (T, Output)) -> T {
        self.watched();
        let mut modem = lock(&self.modem);
        modem.set_time(self.now());
        let (result, output) = act(&mut modem);
        self.arm(&modem);
        self.deliver(output, None);
        result
    }

    /// Has the timekeeper wait for what the modem has due.
    fn arm(&self, modem: &Modem) {
        let in_data_mode = (0..modem.port_count()).any(|port| modem.is_in_data_mode(port));
        let check = in_data_mode.then(|| self.now() + LINE_CHECK);
        let of_line = lock(&self.line).as_ref().and_then(|line| line.deadline());
        let due = modem.deadline().into_iter().chain(check).chain(of_line).min();
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
        let output = match &mut *lock(&self.line) {
            Some(line) => line.tick(&mut modem, self.now()),
            None => modem.tick(self.now()),
        };
        self.deliver(output, None);
        let ports = lock(&self.ports).clone();
        for (index, port) in ports.iter().enumerate() {
            // V.250 §6.2.9 for a line without circuit 108/2: a rate of 0 hangs up (POSIX, B0).
            let hung_up = modem.is_in_data_mode(index)
                && termios::tcgetattr(&port.master).is_ok_and(|attributes| attributes.output_speed() == 0);
            if hung_up {
                let output = modem.drop_line(index);
                self.deliver(output, None);
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
        let Some(port) = self.port(index) else { return };
        self.watched();
        let began = Instant::now();
        let mut modem = lock(&self.modem);
        let (visit, another) = port.begin_input();
        if another {
            let output = modem.hang_up(index);
            self.deliver(Output { writes: Vec::new(), ..output }, None);
        }
        let now = self.since_epoch(began);
        let output = match &mut *lock(&self.line) {
            Some(line) => line.receive(&mut modem, index, bytes, now),
            None => modem.receive_at(index, bytes, now),
        };
        self.arm(&modem);
        // The card may have taken its time: the host that asked may be gone by now. After less than this it may be gone as
        // well before the answer is written, and what nobody has read is thrown away when it goes.
        if began.elapsed() >= AT_ONCE {
            self.watched();
        }
        self.deliver(output, Some(visit));
        drop(modem);
        self.flow.notify_waiters();
    }

    /// There is no input at the moment. When the last host has gone, that was all it had to say.
    fn settle(&self, index: usize) {
        let Some(port) = self.port(index) else { return };
        if !lock(&port.line).left {
            return;
        }
        // The runtime may not know yet of bytes that were written just before the terminal was closed.
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = rustix::io::read(&port.master, &mut buffer) {
            self.receive(index, &buffer[..count]);
        }
        if std::mem::take(&mut lock(&port.line).left) {
            let mut modem = lock(&self.modem);
            let output = modem.hang_up(index);
            // Nobody is there to be told anything, but sockets are closed.
            self.deliver(Output { writes: Vec::new(), ..output }, None);
        }
    }

    /// Writes what the modem says. Answers are for the visit that asked; what comes unasked is for anybody.
    fn deliver(&self, output: Output, visit: Option<u64>) {
        for write in &output.writes {
            if let Some(port) = self.port(write.port) {
                port.write(&write.bytes, visit.filter(|_| write.kind == WriteKind::Response));
            }
        }
        for request in output.requests {
            if let Some(this) = self.this.upgrade() {
                self.sockets.perform(&this, request);
            }
        }
    }
}

impl Core for Shared {
    fn event(&self, event: SocketEvent) {
        // Whether somebody is at the terminal decides what becomes of the answer.
        self.watched();
        let is_sent = matches!(event, SocketEvent::Sent { .. });
        let mut modem = lock(&self.modem);
        let output = modem.socket_event(event, self.now());
        self.arm(&modem);
        self.deliver(output, None);
        drop(modem);
        if is_sent {
            // A port that had to wait may be read again.
            lock(&self.ports).iter().for_each(|port| lock(&port.line).wake());
        }
    }

    async fn room(&self, id: SocketId) -> usize {
        loop {
            // Before the look, so that nothing is missed in between.
            let mut taken = pin!(self.flow.notified());
            taken.as_mut().enable();
            let flow = lock(&self.modem).flow(id);
            let port = flow.port.and_then(|port| self.port(port));
            let room = port.map_or(flow.room, |port| flow.room.min(port.room()));
            if room > 0 {
                return room;
            }
            taken.await;
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
async fn serve(shared: Arc<Shared>, index: usize, input: Input) {
    let Some(port) = shared.port(index) else { return };
    let mut room = Room::default();
    let mut buffer = vec![0; 4096];
    loop {
        let read = poll_fn(|context| {
            if port.poll_backlog(context, &mut room)? {
                shared.flow.notify_waiters();
            }
            // Woken when what was sent has gone. The host waits for as long, as it would for circuit 106.
            if lock(&shared.modem).is_congested(index) {
                return Poll::Pending;
            }
            let read = input.poll_read(context, &mut buffer);
            if read.is_pending() {
                shared.settle(index);
            }
            read
        });
        match read.await {
            Ok(count @ 1..) => shared.receive(index, buffer.get(..count).unwrap_or_default()),
            // The terminal has been hung up (vhangup); there is no way back.
            Ok(0) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests;
