//! The modem as a core: bytes of a port in, bytes for the ports out. No I/O, no clock, no tasks.
//!
//! ```text
//! bytes of port n -> LineEditor -> Parser -> command table -> card slot -> Card
//!                 -> prompt (a message)          |
//!                 -> Connection (data mode)      |
//!             Output <- result codes, information responses, URCs
//! ```
//!
//! All ports share one [`State`]; each has its own editor, settings and mode. A response is put together whole before
//! it goes out. URCs follow it: they never split one, and they wait while a port is in data mode or at a prompt.
//!
//! The time is handed in: [`Modem::receive_at`] and [`Modem::tick`] take it, [`Modem::deadline`] tells when something
//! is due without input: the end of an escape sequence, or a response that takes the time of a real module.

use std::time::Duration;

use crate::card::{Card, Uicc};
use crate::commands::{self, Exec, Next};
use crate::connection::{Pause, Peer, Sent};
use crate::entry::{Interruption, Purpose, Taken};
use crate::event::{ModemEvent, Observer, Tap};
use crate::files::FileStore;
use crate::ip_error::IpError;
use crate::line::{Input, Line};
use crate::model::{Model, UrcPort};
use crate::network::{Change, ConsoleError, Network, NetworkView, Operators};
use crate::nvm::{Nvm, NvmStore};
use crate::output::{Output, WriteKind};
use crate::parse::Parser;
use crate::port::{Mode, Pending, Port, Told, Waiting};
use crate::prompt::{Entered, Prompt};
use crate::result::{Failure, ResultCode, write_information};
use crate::service::PowerChange;
use crate::state::State;

/// Input that is kept while a command is being executed.
const TYPED_AHEAD: usize = 64 * 1024;

/// A modem.
pub struct Modem {
    pub(crate) state: State,
    pub(crate) ports: Vec<Port>,
    /// Switched off by AT+QPOWD: nothing but [`Modem::reset`] wakes it.
    is_off: bool,
    /// A restart takes until then.
    booting: Option<Duration>,
    /// Where the non-volatile memory is kept, and what is there.
    kept: Option<(Box<dyn NvmStore>, Nvm)>,
}

impl Modem {
    /// A modem with a card, switched on.
    pub fn new(model: Model, card: Box<dyn Card>) -> Self {
        Modem::switched_on(model, Some(card), Tap::default())
    }

    /// A modem that is watched from its first moment, with or without a card.
    pub fn observed(model: Model, card: Option<Box<dyn Card>>, observer: Box<dyn Observer>) -> Self {
        Modem::switched_on(model, card, Tap(Some(observer)))
    }

    /// A modem in a network that is described, watched from its first moment.
    pub fn in_network(
        model: Model,
        card: Option<Box<dyn Card>>,
        network: impl Into<Operators>,
        observer: Option<Box<dyn Observer>>,
    ) -> Self {
        Modem::set_up(model, card, network.into(), Tap(observer), None)
    }

    /// The same with a non-volatile memory that outlives it: what is in it already, and who is told of every change. Power
    /// saving may be among it, so the time since the epoch is told at once.
    pub fn with_nvm(
        model: Model,
        card: Option<Box<dyn Card>>,
        network: impl Into<Operators>,
        observer: Option<Box<dyn Observer>>,
        (store, nvm): (Box<dyn NvmStore>, Option<Nvm>),
        now: Duration,
    ) -> Self {
        Modem::set_up(model, card, network.into(), Tap(observer), Some((store, nvm, now)))
    }

    fn switched_on(model: Model, card: Option<Box<dyn Card>>, tap: Tap) -> Self {
        Modem::set_up(model, card, Operators::default(), tap, None)
    }

    fn set_up(
        model: Model,
        card: Option<Box<dyn Card>>,
        network: Operators,
        tap: Tap,
        memory: Option<(Box<dyn NvmStore>, Option<Nvm>, Duration)>,
    ) -> Self {
        let mut ports: Vec<Port> = (0..model.ports.at).map(|_| Port::new(&model)).collect();
        let network = Network::new(network, model.radio.lte_m_access);
        let mut state = State::new(model, Uicc::new(card), network, tap);
        let kept = memory.map(|(store, nvm, now)| {
            state.now = now;
            if let Some(nvm) = &nvm {
                nvm.apply(&mut state, &mut ports);
            }
            (store, nvm.unwrap_or_else(|| Nvm::of(&state, &ports)))
        });
        state.start_card();
        // Nobody was there to hear it.
        state.urcs.clear();
        let mut modem = Modem { state, ports, is_off: false, booting: None, kept };
        modem.keep();
        modem
    }

    /// Has the non-volatile memory kept, when it has changed.
    pub(crate) fn keep(&mut self) {
        let Some((store, kept)) = &mut self.kept else { return };
        let nvm = Nvm::of(&self.state, &self.ports);
        if nvm != *kept {
            store.save(&nvm.to_text());
            *kept = nvm;
        }
    }

    /// Keeps the files of the module in a store, and finds those that are there.
    pub fn keep_files(&mut self, store: Box<dyn FileStore>) {
        self.state.files.keep_in(store);
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.state.model
    }

    /// What all ports share.
    pub(crate) fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    /// How many AT ports there are.
    pub fn port_count(&self) -> usize {
        self.ports.len()
    }

    /// Whether a port is in data mode.
    pub fn is_in_data_mode(&self, port: usize) -> bool {
        self.ports.get(port).is_some_and(|port| matches!(port.mode, Mode::Data))
    }

    /// Tells the modem the time, as it has passed since the epoch.
    pub fn set_time(&mut self, now: Duration) {
        self.state.now = now;
    }

    /// Takes bytes that a host has written to a port, in whatever pieces they come, at the time that was told last. An
    /// unknown port is ignored.
    pub fn receive(&mut self, port: usize, bytes: &[u8]) -> Output {
        self.receive_at(port, bytes, self.state.now)
    }

    /// The same, at this time since the epoch.
    pub fn receive_at(&mut self, port: usize, bytes: &[u8], now: Duration) -> Output {
        let mut output = self.tick(now);
        self.feed(port, bytes, &mut output);
        self.keep();
        output
    }

    /// When something is due without input.
    pub fn deadline(&self) -> Option<Duration> {
        let of_ports = self.ports.iter().flat_map(|port| {
            let guard = port.settings.guard_time();
            let escape = match (&port.mode, &port.connection) {
                (Mode::Data, Some(connection)) => connection.deadline(guard),
                (Mode::Entry(entry), _) => entry.deadline(guard),
                _ => None,
            };
            [port.pending.as_ref().map(|pending| pending.due), escape]
        });
        of_ports.chain([self.booting, self.state.deadline(), self.state.sockets.deadline()]).flatten().min()
    }

    /// Does what is due at this time since the epoch. A time that lies before the last one is not believed.
    pub fn tick(&mut self, now: Duration) -> Output {
        self.state.now = self.state.now.max(now);
        let mut output = Output::default();
        if self.deadline().is_none_or(|due| due > self.state.now) {
            return output;
        }
        if self.booting.is_some_and(|due| due <= self.state.now) {
            self.booting = None;
            self.state.come_up();
            self.flush(&mut output);
        }
        self.state.tick();
        self.expire_sockets(&mut output);
        self.flush(&mut output);
        match self.state.tick_network() {
            Some(PowerChange::Sleep) => self.fall_asleep(&mut output),
            Some(PowerChange::Wake) => self.wake_up(&mut output),
            None => self.flush(&mut output),
        }
        for index in 0..self.ports.len() {
            self.tick_port(index, &mut output);
        }
        self.keep();
        output
    }

    fn tick_port(&mut self, index: usize, output: &mut Output) {
        let now = self.state.now;
        let Some(port) = self.ports.get_mut(index) else { return };
        if let Some(pending) = port.pending.take_if(|pending| pending.due <= now) {
            let Pending { response, next, .. } = *pending;
            let ahead = std::mem::take(&mut port.ahead);
            output.push(index, WriteKind::Response, response);
            self.follow(index, next, output);
            self.flush(output);
            self.feed(index, &ahead, output);
        }
        let Some(port) = self.ports.get_mut(index) else { return };
        if let Mode::Entry(entry) = &mut port.mode
            && let Some(interruption) = entry.pause(now, port.settings.guard_time())
        {
            return self.entered(index, Some(interruption), Vec::new(), output);
        }
        let Some(port) = self.ports.get_mut(index) else { return };
        let (Mode::Data, Some(connection)) = (&port.mode, &mut port.connection) else { return };
        match connection.pause(now, port.settings.guard_time()) {
            Pause::Nothing => {}
            Pause::Data(bytes) => match connection.peer {
                Peer::Loop => output.push(index, WriteKind::Response, bytes),
                Peer::Packets(_) => self.link_received(index, &bytes, output),
                Peer::Socket(id) => {
                    self.state.sockets.send(id, bytes, None);
                    self.flush(output);
                }
            },
            Pause::Escape => {
                port.mode = Mode::Command;
                let mut response = Vec::new();
                ResultCode::Ok.write(&port.settings, &mut response);
                output.push(index, WriteKind::Response, response);
                self.flush(output);
            }
        }
    }

    pub(crate) fn feed(&mut self, index: usize, bytes: &[u8], output: &mut Output) {
        let mut response = Vec::new();
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            if self.is_deaf() {
                break;
            }
            let now = self.state.now;
            let Some(port) = self.ports.get_mut(index) else { break };
            if let Some(pending) = &mut port.pending {
                // V.250 §5.6.1: a command that can be aborted is, by any character. The character is lost.
                if let Some(code) = pending.abort.take() {
                    port.pending = None;
                    code.write(&port.settings, &mut response);
                    output.push(index, WriteKind::Response, std::mem::take(&mut response));
                    self.flush(output);
                    rest = after;
                    continue;
                }
                let room = TYPED_AHEAD.saturating_sub(port.ahead.len());
                port.ahead.extend(rest.iter().take(room));
                break;
            }
            if port.waiting.is_some() {
                let room = TYPED_AHEAD.saturating_sub(port.ahead.len());
                port.ahead.extend(rest.iter().take(room));
                break;
            }
            match (&mut port.mode, &mut port.connection) {
                (Mode::Data, Some(connection)) => {
                    let guard = port.settings.guard_time();
                    let escape = port.settings.register(2).unwrap_or(b'+');
                    let Sent { echoed } = connection.send(rest, now, escape, guard);
                    match connection.peer {
                        Peer::Loop => output.push(index, WriteKind::Response, echoed),
                        Peer::Packets(_) => self.link_received(index, &echoed, output),
                        Peer::Socket(id) => {
                            self.state.sockets.send(id, echoed, None);
                            self.flush(output);
                        }
                    }
                    break;
                }
                // A mode without its connection cannot be; the port is in command mode then.
                (Mode::Data, None) => port.mode = Mode::Command,
                (Mode::Entry(entry), _) => {
                    let (used, taken) = entry.push(rest, now, &port.settings, &mut response);
                    rest = rest.get(used..).unwrap_or_default();
                    match taken {
                        Taken::Pending => {}
                        Taken::Complete => self.entered(index, None, std::mem::take(&mut response), output),
                        Taken::Cancelled => self.cancelled(index, std::mem::take(&mut response), output),
                    }
                    continue;
                }
                (Mode::Prompt(prompt), _) => match prompt.push(*byte, &port.settings, &mut response) {
                    Entered::Pending => {}
                    Entered::Cancelled => {
                        port.mode = Mode::Command;
                        ResultCode::Ok.write(&port.settings, &mut response);
                        output.push(index, WriteKind::Response, std::mem::take(&mut response));
                        self.flush(output);
                    }
                    Entered::Complete => {
                        let Mode::Prompt(prompt) = std::mem::replace(&mut port.mode, Mode::Command) else { break };
                        self.complete(index, *prompt, std::mem::take(&mut response), output);
                    }
                },
                (Mode::Command, _) => {
                    let plain = port.editor.push_plain(rest, &port.settings, &mut response);
                    if plain > 0 {
                        rest = rest.get(plain..).unwrap_or_default();
                        continue;
                    }
                    if let Input::Line(line) = port.editor.push(*byte, &port.settings, &mut response) {
                        self.execute(index, line, &mut response, output);
                    }
                }
            }
            rest = after;
        }
        output.push(index, WriteKind::Response, response);
    }

    /// The host at a port has gone: an unfinished line is forgotten, as is what was kept for it, and the line has
    /// dropped.
    pub fn hang_up(&mut self, port: usize) -> Output {
        let mut output = self.drop_line(port);
        if let Some(port) = self.ports.get_mut(port) {
            port.editor.clear();
            port.ahead.clear();
            port.held.clear();
            port.told.clear();
            if let Some(waiting) = port.waiting.take() {
                self.state.sockets.abort(waiting.socket);
            }
            if matches!(port.mode, Mode::Prompt(_) | Mode::Entry(_)) {
                port.mode = Mode::Command;
            }
        }
        self.flush(&mut output);
        output
    }

    /// The host has dropped circuit 108/2, or has set the rate to 0, which says the same on a line without it
    /// (V.250 §6.2.9): `&D0` ignores it, `&D1` goes back to command mode, `&D2` ends the connection.
    pub fn drop_line(&mut self, port: usize) -> Output {
        let mut output = Output::default();
        let index = port;
        let Some(port) = self.ports.get_mut(index) else { return output };
        let code = match (port.settings.terminal_ready, port.connection.is_some()) {
            (0, _) | (_, false) => return output,
            (1, true) if matches!(port.mode, Mode::Data) => ResultCode::Ok,
            (1, true) => return output,
            _ => {
                self.state.end_connection(&mut port.connection);
                ResultCode::Failed(Failure::NoCarrier)
            }
        };
        port.mode = Mode::Command;
        let mut response = Vec::new();
        code.write(&port.settings, &mut response);
        output.push(index, WriteKind::Urc, response);
        self.flush(&mut output);
        output
    }

    /// Restarts the module, as its power switch does: sessions are gone, each port has its stored settings. A module
    /// that was switched off is on again.
    pub fn reset(&mut self) -> Output {
        let mut output = Output::default();
        self.state.functionality = 1;
        self.is_off = false;
        self.restart(&mut output);
        self.keep();
        output
    }

    /// Puts another card in, or takes it out. Sessions are gone.
    pub fn set_card(&mut self, card: Option<Box<dyn Card>>) -> Output {
        let mut output = Output::default();
        let was_present = self.state.uicc.is_present();
        self.state.uicc.replace(card);
        self.state.sim = crate::sim::Sim::default();
        if was_present {
            let urcs = self.state.model.urc.card_gone.clone();
            self.state.urcs.extend(urcs);
        }
        self.state.tell_card_status(was_present);
        if self.is_deaf() {
            return output;
        }
        if self.state.functionality != 0 {
            self.state.start_card();
        }
        self.flush(&mut output);
        self.keep();
        output
    }

    /// Says a line unasked, as a network or a module does. It goes where URCs go, and waits while they have to wait.
    pub fn announce(&mut self, line: &str) -> Output {
        let mut output = Output::default();
        if !self.is_deaf() {
            self.state.urcs.push_back(line.to_owned());
            self.flush(&mut output);
        }
        output
    }

    /// Has the network deliver a text message from this number. It is refused when the number is none, or the text
    /// too long for one message.
    pub fn deliver_message(&mut self, from: &str, text: &str) -> Result<Output, MessageError> {
        let message = commands::incoming(from, text)?;
        let mut output = Output::default();
        if !self.state.network.is_registered() {
            return Err(MessageError::NotReachable);
        }
        self.state.send_message(message);
        self.flush(&mut output);
        self.keep();
        Ok(output)
    }

    /// Has the network send a text message from this number, when the device can be reached: a device that sleeps, or is
    /// paged at intervals, or is out of coverage gets it later. It is refused when the number is none, or the text too
    /// long for one message, or when no SIM has been seen yet.
    pub fn send_message(&mut self, from: &str, text: &str) -> Result<Output, MessageError> {
        let message = commands::incoming(from, text)?;
        let mut output = Output::default();
        if !self.state.send_message(message) {
            return Err(MessageError::NotReachable);
        }
        self.flush(&mut output);
        self.keep();
        Ok(output)
    }

    /// What the operator's console shows of the device.
    pub fn network(&self) -> NetworkView {
        self.state.network.view()
    }

    /// The operator changes something about the subscription, or about what is received.
    pub fn change_network(&mut self, change: &Change) -> Result<Output, ConsoleError> {
        let mut output = Output::default();
        self.state.change_network(change)?;
        if !self.is_deaf() {
            self.flush(&mut output);
        }
        self.keep();
        Ok(output)
    }

    /// Wakes a module that sleeps (PSM), as its power key or its wake-up pin does. Nothing happens to one that is awake.
    pub fn wake(&mut self) -> Output {
        let mut output = Output::default();
        if self.state.network.power.is_asleep() && !self.is_off {
            self.wake_up(&mut output);
        }
        self.keep();
        output
    }

    /// Whether nothing that comes in is heard: it is off, starting, or asleep.
    fn is_deaf(&self) -> bool {
        self.is_off || self.booting.is_some() || self.state.network.power.is_asleep()
    }

    /// Falls asleep, unless somebody is using it.
    fn fall_asleep(&mut self, output: &mut Output) {
        let busy = |port: &Port| port.connection.is_some() || port.pending.is_some() || !port.is_listening();
        if self.ports.iter().any(busy) || self.is_deaf() {
            self.state.network.traffic(self.state.now);
            return;
        }
        let urcs = self.state.model.radio.sleep.clone();
        self.state.urcs.extend(urcs);
        self.flush(output);
        self.ports.iter_mut().for_each(Port::restart);
        self.state.fall_asleep();
    }

    fn wake_up(&mut self, output: &mut Output) {
        self.state.network.power.wake(self.state.now);
        self.boot(output);
    }

    fn restart(&mut self, output: &mut Output) {
        for port in &mut self.ports {
            port.restart();
        }
        self.state.shut_down();
        self.state.urcs.clear();
        self.state.count_sent();
        output.requests.append(&mut self.state.sockets.requests);
        self.boot(output);
    }

    /// The module starts, at once or in the time of a real one.
    fn boot(&mut self, output: &mut Output) {
        if self.state.is_realistic() {
            self.booting = Some(self.state.now + Duration::from_millis(self.state.model.times.boot.into()));
            return;
        }
        self.booting = None;
        self.state.come_up();
        self.flush(output);
    }

    /// What follows a response.
    pub(crate) fn follow(&mut self, index: usize, next: Next, output: &mut Output) {
        let Some(port) = self.ports.get_mut(index) else { return };
        match next {
            Next::Nothing => {}
            Next::Prompt(prompt) => port.mode = Mode::Prompt(prompt),
            Next::Entry(mut entry) => {
                entry.begin(self.state.now);
                port.mode = Mode::Entry(entry);
            }
            Next::Connect => {
                let connection = port.connection.get_or_insert_default();
                connection.resume(self.state.now);
                port.mode = Mode::Data;
                if let Peer::Socket(id) = connection.peer {
                    self.release(index, id, output);
                }
            }
            Next::Await { socket, closes } => port.waiting = Some(Waiting { socket, closes }),
            Next::Restart => self.restart(output),
            Next::PowerDown => {
                self.state.shut_down();
                self.state.urcs.clear();
                self.state.tell("POWERED DOWN");
                self.flush(output);
                self.ports.iter_mut().for_each(Port::restart);
                self.is_off = true;
            }
        }
    }

    /// Sends what the modem has to tell: to the ports of `AT+QURCCFG`, and first what was kept for them.
    pub(crate) fn flush(&mut self, output: &mut Output) {
        self.end_lost(output);
        self.end_links(output);
        for (index, told) in std::mem::take(&mut self.state.told) {
            self.state.tap.event(ModemEvent::Urc { line: &told.line });
            if let Some(port) = self.ports.get_mut(index) {
                port.told.push_back(told);
            }
        }
        let restart = std::mem::take(&mut self.state.restart);
        let urcs = std::mem::take(&mut self.state.urcs);
        for urc in &urcs {
            self.state.tap.event(ModemEvent::Urc { line: urc });
        }
        let last = self.ports.len().saturating_sub(1);
        let is_for = |index: usize| match self.state.options.urc_port {
            UrcPort::All => true,
            UrcPort::Usbat => index == 0,
            UrcPort::Usbmodem => index == last.min(1),
            UrcPort::Uart1 => false,
        };
        for (index, port) in self.ports.iter_mut().enumerate() {
            if is_for(index) {
                port.hold(&urcs);
            }
            if (port.held.is_empty() && port.told.is_empty()) || !port.is_listening() {
                continue;
            }
            let held = std::mem::take(&mut port.held);
            let told = std::mem::take(&mut port.told);
            // V.250 §6.2.5: Q1 holds back unsolicited result codes as well.
            if !port.settings.quiet {
                let mut bytes = Vec::new();
                for urc in held {
                    write_information(&[urc], &port.settings, &mut bytes);
                }
                for Told { line, data } in told {
                    write_information(&[line], &port.settings, &mut bytes);
                    if let Some(data) = data {
                        bytes.extend(data);
                        bytes.extend_from_slice(&[port.settings.s3, port.settings.s4]);
                    }
                }
                output.push(index, WriteKind::Urc, bytes);
            }
        }
        self.state.count_sent();
        output.requests.append(&mut self.state.sockets.requests);
        if restart && !self.is_off {
            self.restart(output);
        }
    }

    /// Executes one command line. Its response goes behind what is in `response` already.
    fn execute(&mut self, index: usize, line: Line, response: &mut Vec<u8>, output: &mut Output) {
        let Some(port) = self.ports.get_mut(index) else { return };
        let start = response.len();
        let mut code = ResultCode::Ok;
        let mut next = Next::Nothing;
        let mut abort = None;
        let mut delay = Duration::ZERO;
        match line {
            Line::Body(body) => port.last = body,
            Line::Repeat => {}
            Line::TooLong => code = ResultCode::Failed(Failure::Error),
        }
        if code == ResultCode::Ok {
            if self.state.tap.0.is_some() {
                let body = String::from_utf8_lossy(&port.last);
                self.state.tap.event(ModemEvent::Command { port: index, line: &format!("AT{body}") });
            }
            let mut parser = Parser::new(&port.last);
            let exchanges = self.state.uicc.exchanges();
            while let Some(command) = parser.next() {
                let mut exec = Exec {
                    state: &mut self.state,
                    settings: &mut port.settings,
                    stored: &mut port.stored,
                    connection: &mut port.connection,
                    is_last: parser.is_at_end(),
                    port: index,
                    framed: None,
                    lines: Vec::new(),
                    data: None,
                    next: Next::Nothing,
                    code: None,
                    abort: None,
                    delay: 0,
                };
                let outcome = command.map_err(|_| Failure::Error).and_then(|command| commands::run(&mut exec, command));
                let Exec { framed, lines, data, next: follows, code: own_code, abort: aborts, delay: takes, .. } = exec;
                delay += Duration::from_millis(takes.into());
                abort = abort.or(aborts);
                if let Err(failure) = outcome {
                    // V.250 §5.6: a command that fails ends the line; what came before it stays done.
                    code = ResultCode::Failed(failure);
                    break;
                }
                let ends = [port.settings.s3, port.settings.s4];
                if let Some((header, data)) = framed {
                    write_information(&[header], &port.settings, response);
                    response.extend(data);
                }
                write_information(&lines, &port.settings, response);
                if let Some(data) = data {
                    response.extend(data);
                    response.extend(ends);
                }
                if !matches!(follows, Next::Nothing) {
                    next = follows;
                }
                if let Some(own) = own_code {
                    code = own;
                    break;
                }
            }
            if self.state.is_realistic() {
                let apdu = Duration::from_millis(self.state.model.times.apdu.into());
                let count = self.state.uicc.exchanges() - exchanges;
                delay += apdu.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX));
                // A line without any command is answered as fast as the fastest.
                delay = delay.max(Duration::from_millis(self.state.model.times.command.into()));
            }
        }
        match &next {
            // TS 27.005 §3.5.1: the prompt stands in the place of a result code.
            Next::Entry(entry) if entry.is_prompted() => {
                response.extend_from_slice(&[port.settings.s3, port.settings.s4, b'>', b' ']);
            }
            Next::Prompt(_) => response.extend_from_slice(&[port.settings.s3, port.settings.s4, b'>', b' ']),
            _ => code.write(&port.settings, response),
        }
        if self.state.tap.0.is_some() {
            let text = String::from_utf8_lossy(response.get(start..).unwrap_or_default());
            self.state.tap.event(ModemEvent::Response { port: index, text: &text });
        }
        self.state.serve_card();
        self.state.follow_network();
        // What waits for a socket takes the time of that.
        if !delay.is_zero() && !matches!(next, Next::Await { .. }) {
            let due = self.state.now + delay;
            // What came before, the echo above all, does not wait.
            let late = response.split_off(start);
            port.pending = Some(Box::new(Pending { due, response: late, next, abort }));
            return;
        }
        // Links of other ports: this one is in command mode.
        self.end_links(output);
        let is_told = !self.state.urcs.is_empty() || !self.state.told.is_empty() || !self.state.lost.is_empty();
        let is_asked = !self.state.sockets.requests.is_empty();
        if !matches!(next, Next::Nothing) || is_told || is_asked || self.state.restart {
            output.push(index, WriteKind::Response, std::mem::take(response));
            self.follow(index, next, output);
            self.flush(output);
        }
    }

    /// Data that were asked for are there, or will not come any more.
    fn entered(&mut self, index: usize, early: Option<Interruption>, mut response: Vec<u8>, output: &mut Output) {
        let Some(port) = self.ports.get_mut(index) else { return };
        let Mode::Entry(entry) = std::mem::replace(&mut port.mode, Mode::Command) else { return };
        let start = response.len();
        let outcome = match entry.purpose {
            Purpose::Send { .. } => self.state.send_entered(*entry).map(|sent| (Vec::new(), ResultCode::Sent(sent))),
            _ => commands::entered(&mut self.state, *entry, early).map(|lines| (lines, ResultCode::Ok)),
        };
        let (lines, code) = outcome.unwrap_or_else(|failure| (Vec::new(), ResultCode::Failed(failure)));
        let Some(port) = self.ports.get_mut(index) else { return };
        write_information(&lines, &port.settings, &mut response);
        code.write(&port.settings, &mut response);
        self.answered(index, start, response, output);
    }

    /// The host has given up entering data (EC200U&EG915U SSL AN 1.1, table 4: cancel send).
    fn cancelled(&mut self, index: usize, mut response: Vec<u8>, output: &mut Output) {
        let Some(port) = self.ports.get_mut(index) else { return };
        port.mode = Mode::Command;
        let start = response.len();
        self.state.last_ip_error = Some(IpError::SendCancelled);
        ResultCode::Failed(Failure::Error).write(&port.settings, &mut response);
        self.answered(index, start, response, output);
    }

    /// A response that does not belong to a command line goes out.
    fn answered(&mut self, index: usize, start: usize, response: Vec<u8>, output: &mut Output) {
        if self.state.tap.0.is_some() {
            let text = String::from_utf8_lossy(response.get(start..).unwrap_or_default());
            self.state.tap.event(ModemEvent::Response { port: index, text: &text });
        }
        output.push(index, WriteKind::Response, response);
        self.flush(output);
    }

    /// The text of a prompt is complete.
    fn complete(&mut self, index: usize, prompt: Prompt, mut response: Vec<u8>, output: &mut Output) {
        let Some(port) = self.ports.get_mut(index) else { return };
        let start = response.len();
        let outcome = commands::complete(&mut self.state, &port.settings, prompt);
        let code = match outcome {
            Ok(lines) => {
                write_information(&lines, &port.settings, &mut response);
                ResultCode::Ok
            }
            Err(failure) => ResultCode::Failed(failure),
        };
        code.write(&port.settings, &mut response);
        if self.state.tap.0.is_some() {
            let text = String::from_utf8_lossy(response.get(start..).unwrap_or_default());
            self.state.tap.event(ModemEvent::Response { port: index, text: &text });
        }
        output.push(index, WriteKind::Response, response);
        self.flush(output);
    }
}

/// Why a message could not be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The originator is no number.
    #[error("the originator is no number: it has 1 to 20 digits, with a + in front or not")]
    NoNumber,
    /// The text does not fit into one message.
    #[error("the text is too long for one message: 160 characters of the GSM alphabet fit, or 70 of any other")]
    TooLong,
    /// The modem is not in the network.
    #[error("the modem is not registered in a network: it needs full functionality and a card that is ready")]
    NotReachable,
}
