//! The threads on which cryptography is done, apart from those that serve connections.
//!
//! A job waits in line, a thread takes it, and who has given it is told what came of it. There are as many threads as
//! processors at most: more would only make all of it later. They are started when they are needed first, and end with
//! the [`Workers`].

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Line {
    jobs: VecDeque<Job>,
    threads: usize,
    /// Threads that wait for a job, and how many of them were called and have not come yet.
    idle: usize,
    called: usize,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    line: Mutex<Line>,
    call: Condvar,
}

impl Shared {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread does until there is nothing more to do for ever.
    fn work(&self) {
        let mut line = self.line();
        loop {
            if let Some(job) = line.jobs.pop_front() {
                drop(line);
                // Who has given it finds that nothing came of it; the thread goes on.
                let _ = catch_unwind(AssertUnwindSafe(job));
                line = self.line();
            } else if line.closed {
                return;
            } else {
                line.idle += 1;
                line = self.call.wait(line).unwrap_or_else(PoisonError::into_inner);
                line.idle -= 1;
                line.called = line.called.saturating_sub(1);
            }
        }
    }
}

/// The threads.
pub(super) struct Workers {
    shared: Arc<Shared>,
    most: usize,
}

impl Workers {
    pub(super) fn new() -> Self {
        Workers::of(std::thread::available_parallelism().map_or(1, usize::from))
    }

    fn of(most: usize) -> Self {
        Workers { shared: Arc::default(), most }
    }

    /// Has a job done. What is received is an error when the job has panicked.
    pub(super) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
        let (done, told) = oneshot::channel();
        let job = Box::new(move || {
            // Who has stopped waiting has stopped waiting.
            let _ = done.send(job());
        });
        let mut line = self.shared.line();
        line.jobs.push_back(job);
        if line.idle > line.called {
            line.called += 1;
            // Not before the lock is free: who is woken needs it at once.
            drop(line);
            self.shared.call.notify_one();
        } else if line.threads < self.most {
            line.threads += 1;
            drop(line);
            let shared = self.shared.clone();
            let started = std::thread::Builder::new().name("smdp-crypto".to_owned()).spawn(move || shared.work());
            if started.is_err() {
                self.without_a_thread();
            }
        }
        told
    }

    /// No thread can be had: the others do it, or, where there is none, this one.
    fn without_a_thread(&self) {
        let mut line = self.shared.line();
        line.threads -= 1;
        let job = if line.threads == 0 { line.jobs.pop_front() } else { None };
        drop(line);
        if let Some(job) = job {
            job();
        }
    }
}

impl Drop for Workers {
    /// What is in line is still done. Nobody waits for it: the last to hold this may be one of the threads.
    fn drop(&mut self) {
        self.shared.line().closed = true;
        self.shared.call.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn every_job_is_done_by_no_more_threads_than_there_may_be() {
        let workers = Workers::of(2);
        let told: Vec<_> = (0..100).map(|number| workers.run(move || (number, std::thread::current().id()))).collect();
        let done: Vec<_> = told.into_iter().map(|told| told.blocking_recv().unwrap()).collect();
        assert!(done.iter().map(|(number, _)| *number).eq(0..100));
        let threads: std::collections::HashSet<_> = done.iter().map(|(_, thread)| *thread).collect();
        assert!((1..=2).contains(&threads.len()));
    }

    #[test]
    fn a_job_that_panics_takes_nothing_with_it() {
        let workers = Workers::of(1);
        let panicked = workers.run(|| -> u8 { panic!("on purpose") });
        assert!(panicked.blocking_recv().is_err());
        assert_eq!(workers.run(|| 7).blocking_recv(), Ok(7));
    }

    #[test]
    fn what_is_in_line_is_done_when_the_workers_end() {
        let workers = Workers::of(1);
        let (go, wait) = mpsc::channel::<()>();
        let first = workers.run(move || wait.recv().is_ok());
        let second = workers.run(|| 2);
        let (shared, called) = (workers.shared.clone(), go);
        drop(workers);
        called.send(()).unwrap();
        assert_eq!((first.blocking_recv(), second.blocking_recv()), (Ok(true), Ok(2)));
        // The thread ends, and with it its hold on what is shared.
        while Arc::strong_count(&shared) > 1 {
            std::thread::yield_now();
        }
    }

    /// Jobs that are given while the threads come and go to rest are never left lying.
    #[test]
    fn no_job_is_forgotten_between_two_rests() {
        let workers = Arc::new(Workers::of(2));
        let givers: Vec<_> = (0..4)
            .map(|_| {
                let workers = workers.clone();
                std::thread::spawn(move || (0..500).all(|n| workers.run(move || n).blocking_recv() == Ok(n)))
            })
            .collect();
        assert!(givers.into_iter().all(|giver| giver.join().unwrap()));
    }
}
