//! The operator's console of a lab: the device as the operator of its mobile network sees it, and what can be done
//! about it there.
//!
//! ```no_run
//! # async fn on_a_bench() -> Result<(), Box<dyn std::error::Error>> {
//! use modem::network::{Change, Connectivity, SubscriptionState};
//! let lab = esimlab::lab::Lab::builder().start()?;
//! let console = lab.console();
//! assert_eq!(console.device().state, Connectivity::Offline);   // there is no profile on the card
//! console.change(&Change::State(SubscriptionState::Blocked))?;
//! # Ok(())
//! # }
//! ```

use modem::network::{Change, ConsoleError, NetworkView};
use modem::{MessageError, RunningModem};

use crate::timeline::{Event, Kind, Role, Timeline};

/// The operator's console.
#[derive(Clone, Copy)]
pub struct Console<'a> {
    modem: &'a RunningModem,
    timeline: &'a Timeline,
}

impl<'a> Console<'a> {
    pub(crate) fn new(modem: &'a RunningModem, timeline: &'a Timeline) -> Self {
        Console { modem, timeline }
    }

    /// The device: connectivity state, IMSI, network, data sessions.
    pub fn device(&self) -> NetworkView {
        self.modem.with(|modem| (modem.network(), modem::Output::default()))
    }

    /// The events of the device, as far as the timeline keeps them: notes of the role [`Role::Network`].
    pub fn events(&self) -> Vec<Event> {
        self.timeline.snapshot().into_iter().filter(|event| event.role == Role::Network).collect()
    }

    /// What the events are called: `Update Location`, `Create PDP context rejected`.
    pub fn titles(&self) -> Vec<String> {
        let title = |event: Event| match event.kind {
            Kind::Note { text, .. } => Some(text),
            _ => None,
        };
        self.events().into_iter().filter_map(title).collect()
    }

    /// Changes a policy, the state of the SIM, or what is received of an operator; or has the device register anew.
    pub fn change(&self, change: &Change) -> Result<(), ConsoleError> {
        self.modem.try_apply(|modem| modem.change_network(change))
    }

    /// Sends the device a text message. When it cannot be reached the message waits.
    pub fn send_message(&self, from: &str, text: &str) -> Result<(), MessageError> {
        self.modem.try_apply(|modem| modem.send_message(from, text))
    }

    /// Presses the power key of a device that sleeps (PSM).
    pub fn wake(&self) {
        self.modem.apply(modem::Modem::wake);
    }
}
