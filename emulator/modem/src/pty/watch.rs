//! Hosts that open and close terminals, by inotify: the kernel tells the other end of a pseudo-terminal nothing of it.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use super::lock;
use super::terminal::Port;

/// The inotify instance of this process. There is one for all modems: a user may have 128 of them only.
pub(super) struct Watch {
    inotify: OwnedFd,
    ports: Mutex<HashMap<i32, Weak<Port>>>,
    /// Held while events are read and acted upon, so that whoever has it knows that all earlier ones are done.
    pub(super) reading: Mutex<()>,
}

impl Watch {
    pub(super) fn of_process() -> io::Result<&'static Watch> {
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

    pub(super) fn add(&self, port: &Arc<Port>) -> io::Result<i32> {
        let mut ports = lock(&self.ports);
        let flags = WatchFlags::OPEN | WatchFlags::CLOSE_WRITE | WatchFlags::CLOSE_NOWRITE;
        // Two equal events that follow each other are one to inotify. With the folder watched as well, what it tells
        // of each stands between them; nothing else is done with that. Without it the count is wrong at times, which
        // the port can live with.
        if let Some(folder) = port.path.parent() {
            let _ = inotify::add_watch(&self.inotify, folder, flags);
        }
        let number = inotify::add_watch(&self.inotify, port.path.as_path(), flags)?;
        ports.insert(number, Arc::downgrade(port));
        Ok(number)
    }

    pub(super) fn remove(&self, number: i32) {
        lock(&self.ports).remove(&number);
        // It fails when the terminal is gone already, and the watch with it.
        let _ = inotify::remove_watch(&self.inotify, number);
    }

    /// Reads all events that there are and acts upon them.
    pub(super) fn drain(&self) {
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
