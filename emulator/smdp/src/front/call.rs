//! What stands behind a front, and how its functions are called: each in steps, whose cryptography runs on threads of
//! its own, and what has changed is kept before anybody is told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use tokio::sync::{Semaphore, mpsc};

use super::fault::{self, Action, Faults, Occasion, Sought};
use super::workers::Workers;
use super::{FaultFired, Options, SharedSmdp, SharedSmds};
use crate::server::work::Step;
use crate::server::{Answer, Outgoing, Request, Smdp, SmdpEvent};
use crate::status::{Status, StatusError};
use crate::store::Ticket;

/// What stands behind a front.
pub(super) enum Backend {
    Smdp(SharedSmdp),
    Smds(SharedSmds),
}

/// What the tasks of a front share.
pub(super) struct Front {
    pub(super) backend: Backend,
    pub(super) faults: Faults,
    pub(super) options: Options,
    workers: Workers,
    /// Connections that may still come.
    pub(super) connections: Arc<Semaphore>,
    outgoing: Option<mpsc::Sender<Outgoing>>,
    calls: AtomicU64,
}

impl Front {
    /// A front before anything is served; what is to be sent to others goes to `outgoing`.
    pub(super) fn new(backend: Backend, mut options: Options, outgoing: Option<mpsc::Sender<Outgoing>>) -> Self {
        let faults = Faults::default();
        faults.set(std::mem::take(&mut options.faults));
        Front {
            backend,
            faults,
            workers: Workers::new(),
            connections: Arc::new(Semaphore::new(options.max_connections.clamp(1, Semaphore::MAX_PERMITS))),
            options,
            outgoing,
            calls: AtomicU64::new(0),
        }
    }

    /// The fault that fires at this occasion, told to the observer.
    pub(super) fn fault(&self, occasion: Occasion, sought: Sought<'_>) -> Option<Action> {
        let action = self.faults.fire(occasion, sought)?;
        self.options.observer.fault(&FaultFired { action: action.clone(), function: sought.function });
        Some(action)
    }

    pub(super) fn is_smds(&self) -> bool {
        matches!(self.backend, Backend::Smds(_))
    }

    pub(super) fn next_call(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The matching id of the order that a request is about, for faults that are set for one order.
    pub(super) fn order_of(&self, request: &Request) -> Option<String> {
        let Backend::Smdp(smdp) = &self.backend else { return None };
        if let Request::AuthenticateClient { response, .. } = request {
            return fault::matching_id_of(response);
        }
        let transaction_id = request.transaction_id()?;
        let smdp = smdp.lock().unwrap_or_else(PoisonError::into_inner);
        smdp.matching_id_of_session(transaction_id).map(str::to_owned)
    }

    /// All steps of a function; its cryptography without the lock of the server.
    pub(super) fn drive(&self, request: Request) -> (Result<Answer, StatusError>, Settled) {
        let now = (self.options.clock)();
        let mut settled = Settled::default();
        let answer = match &self.backend {
            Backend::Smdp(smdp) => {
                // A panic elsewhere while the lock was held leaves whole sessions and orders: each step of theirs is
                // one store.
                let lock = || smdp.lock().unwrap_or_else(PoisonError::into_inner);
                let mut server = lock();
                let mut step = server.begin(request, now);
                loop {
                    settled.add(Settled::of(self, &mut server));
                    drop(server);
                    let work = match step {
                        Step::Answer(answer) => break answer,
                        Step::Work(work) => work,
                    };
                    let finished = work.run();
                    server = lock();
                    step = server.resume(finished, now);
                }
            }
            Backend::Smds(smds) => {
                let lock = || smds.lock().unwrap_or_else(PoisonError::into_inner);
                let mut step = lock().begin(request, now);
                loop {
                    let work = match step {
                        Step::Answer(answer) => break answer,
                        Step::Work(work) => work,
                    };
                    let finished = work.run();
                    step = lock().resume(finished, now);
                }
            }
        };
        (answer, settled)
    }

    /// Calls a function: its cryptography off the threads that serve connections, and what has changed is kept before
    /// anybody is told.
    pub(super) async fn call(self: &Arc<Self>, request: Request) -> Result<Answer, StatusError> {
        let front = self.clone();
        let driven = self.workers.run(move || front.drive(request)).await;
        let (answer, settled) = driven.map_err(|_| Status::Internal.with("the function has broken off"))?;
        settled.finish(self).await?;
        answer
    }
}

/// What a step of the server leaves to be done.
#[derive(Default)]
pub(super) struct Settled {
    events: Vec<SmdpEvent>,
    tickets: Vec<Ticket>,
    outgoing: Vec<Outgoing>,
}

impl Settled {
    /// Takes it from the server, while it is locked: so changes go to the store in their order.
    pub(super) fn of(front: &Front, smdp: &mut Smdp) -> Self {
        let changes = smdp.drain_changes();
        let ticket = front.options.store.as_ref().filter(|_| !changes.is_empty()).map(|store| store.keep(changes));
        Settled { events: smdp.drain_events(), tickets: ticket.into_iter().collect(), outgoing: smdp.drain_outgoing() }
    }

    fn add(&mut self, mut other: Settled) {
        self.events.append(&mut other.events);
        self.outgoing.append(&mut other.outgoing);
        // Written in order: when the last one is safe, all are.
        if !other.tickets.is_empty() {
            self.tickets = other.tickets;
        }
    }

    pub(super) async fn finish(self, front: &Front) -> Result<(), StatusError> {
        for event in &self.events {
            front.options.observer.event(event);
        }
        for ticket in self.tickets {
            let written = ticket.await.unwrap_or_else(|_| Err("the store has stopped".to_owned()));
            written.map_err(|error| Status::Internal.with(format!("the order could not be kept: {error}")))?;
        }
        if let Some(queue) = &front.outgoing {
            for outgoing in self.outgoing {
                if queue.try_send(outgoing).is_err() {
                    front.options.observer.undelivered("too much is waiting to be sent");
                }
            }
        }
        Ok(())
    }
}
