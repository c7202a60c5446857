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

use std::collections::VecDeque;
use std::time::Duration;

use crate::card::{Card, Uicc};
use crate::commands::{self, Exec, Next};
use crate::connection::{Connection, Pause, Sent};
use crate::event::{ModemEvent, Observer, Tap};
use crate::line::{Input, Line, LineEditor};
use crate::model::{Model, UrcPort};
use crate::parse::Parser;
use crate::prompt::{Entered, Prompt};
use crate::result::{Failure, ResultCode, write_information};
use crate::settings::Settings;
use crate::state::State;

/// URCs that are kept for a port that cannot take them.
const HELD: usize = 64;

/// Input that is kept while a command is being executed.
const TYPED_AHEAD: usize = 64 * 1024;

/// Why bytes go to a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteKind {
    /// Echo, information responses and result codes: the answer to what came in at this port. Data, too.
    Response,
    /// Unsolicited: to be dropped when nobody listens.
    Urc,
}

/// Bytes for one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The port, counted from 0.
    pub port: usize,
    /// Why they go there.
    pub kind: WriteKind,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// What goes to the ports, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "the bytes have to be written to the ports"]
pub struct Output {
    /// The writes.
    pub writes: Vec<Write>,
}

impl Output {
    fn push(&mut self, port: usize, kind: WriteKind, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.writes.push(Write { port, kind, bytes });
        }
    }

    /// All bytes for one port.
    pub fn for_port(&self, port: usize) -> Vec<u8> {
        self.writes.iter().filter(|write| write.port == port).flat_map(|write| write.bytes.clone()).collect()
    }
}

/// What a port is doing.
enum Mode {
    /// It takes command lines.
    Command,
    /// A command waits for text.
    Prompt(Box<Prompt>),
    /// Bytes go to the other side.
    Data,
}

/// A response that is not due yet.
struct Pending {
    due: Duration,
    response: Vec<u8>,
    next: Next,
    /// What the port answers when the host does not wait (V.250 §5.6.1).
    abort: Option<ResultCode>,
}

/// One AT port.
struct Port {
    editor: LineEditor,
    settings: Settings,
    stored: Settings,
    /// The body of the last line, for `A/`.
    last: Vec<u8>,
    mode: Mode,
    connection: Option<Connection>,
    pending: Option<Box<Pending>>,
    /// Input that came while a response was pending.
    ahead: Vec<u8>,
    /// URCs that wait until the port takes command lines again.
    held: VecDeque<String>,
}

impl Port {
    fn new(model: &Model) -> Self {
        let settings = Settings::factory(&model.defaults);
        Port {
            editor: LineEditor::new(model.ports.line_length),
            stored: settings.clone(),
            settings,
            last: Vec::new(),
            mode: Mode::Command,
            connection: None,
            pending: None,
            ahead: Vec::new(),
            held: VecDeque::new(),
        }
    }

    /// Whether a URC can go out now.
    fn is_listening(&self) -> bool {
        matches!(self.mode, Mode::Command) && self.pending.is_none()
    }

    fn restart(&mut self) {
        self.editor.clear();
        self.last.clear();
        self.settings = self.stored.clone();
        self.mode = Mode::Command;
        self.connection = None;
        self.pending = None;
        self.ahead.clear();
        self.held.clear();
    }
}

/// A modem.
pub struct Modem {
    state: State,
    ports: Vec<Port>,
    /// Switched off by AT+QPOWD: nothing but [`Modem::reset`] wakes it.
    is_off: bool,
    /// A restart takes until then.
    booting: Option<Duration>,
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

    fn switched_on(model: Model, card: Option<Box<dyn Card>>, tap: Tap) -> Self {
        let ports = (0..model.ports.at).map(|_| Port::new(&model)).collect();
        let mut state = State::new(model, Uicc::new(card), tap);
        state.start_card();
        // Nobody was there to hear it.
        state.urcs.clear();
        Modem { state, ports, is_off: false, booting: None }
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.state.model
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
        output
    }

    /// When something is due without input.
    pub fn deadline(&self) -> Option<Duration> {
        let of_ports = self.ports.iter().flat_map(|port| {
            let escape = match (&port.mode, &port.connection) {
                (Mode::Data, Some(connection)) => connection.deadline(port.settings.guard_time()),
                _ => None,
            };
            [port.pending.as_ref().map(|pending| pending.due), escape]
        });
        of_ports.chain([self.booting, self.state.deadline()]).flatten().min()
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
        self.flush(&mut output);
        for index in 0..self.ports.len() {
            self.tick_port(index, &mut output);
        }
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
        let (Mode::Data, Some(connection)) = (&port.mode, &mut port.connection) else { return };
        match connection.pause(now, port.settings.guard_time()) {
            Pause::Nothing => {}
            Pause::Data(bytes) => output.push(index, WriteKind::Response, bytes),
            Pause::Escape => {
                port.mode = Mode::Command;
                let mut response = Vec::new();
                ResultCode::Ok.write(&port.settings, &mut response);
                output.push(index, WriteKind::Response, response);
                self.flush(output);
            }
        }
    }

    fn feed(&mut self, index: usize, bytes: &[u8], output: &mut Output) {
        let mut response = Vec::new();
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            if self.is_off || self.booting.is_some() {
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
            match (&mut port.mode, &mut port.connection) {
                (Mode::Data, Some(connection)) => {
                    let guard = port.settings.guard_time();
                    let escape = port.settings.register(2).unwrap_or(b'+');
                    let Sent { echoed } = connection.send(rest, now, escape, guard);
                    output.push(index, WriteKind::Response, echoed);
                    break;
                }
                // A mode without its connection cannot be; the port is in command mode then.
                (Mode::Data, None) => port.mode = Mode::Command,
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
        let output = self.drop_line(port);
        if let Some(port) = self.ports.get_mut(port) {
            port.editor.clear();
            port.ahead.clear();
            port.held.clear();
            if matches!(port.mode, Mode::Prompt(_)) {
                port.mode = Mode::Command;
            }
        }
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
                port.connection = None;
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
        if self.is_off || self.booting.is_some() {
            return output;
        }
        if self.state.functionality != 0 {
            self.state.start_card();
        }
        self.flush(&mut output);
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
        commands::deliver(&mut self.state, &message);
        self.flush(&mut output);
        Ok(output)
    }

    fn restart(&mut self, output: &mut Output) {
        for port in &mut self.ports {
            port.restart();
        }
        self.state.shut_down();
        self.state.urcs.clear();
        if self.state.is_realistic() {
            self.booting = Some(self.state.now + Duration::from_millis(self.state.model.times.boot.into()));
            return;
        }
        self.booting = None;
        self.state.come_up();
        self.flush(output);
    }

    /// What follows a response.
    fn follow(&mut self, index: usize, next: Next, output: &mut Output) {
        let Some(port) = self.ports.get_mut(index) else { return };
        match next {
            Next::Nothing => {}
            Next::Prompt(prompt) => port.mode = Mode::Prompt(prompt),
            Next::Connect => {
                port.connection.get_or_insert_default().resume(self.state.now);
                port.mode = Mode::Data;
            }
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
    fn flush(&mut self, output: &mut Output) {
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
                port.held.extend(urcs.iter().cloned());
                let surplus = port.held.len().saturating_sub(HELD);
                port.held.drain(..surplus);
            }
            if port.held.is_empty() || !port.is_listening() {
                continue;
            }
            let held = std::mem::take(&mut port.held);
            // V.250 §6.2.5: Q1 holds back unsolicited result codes as well.
            if !port.settings.quiet {
                let mut bytes = Vec::new();
                for urc in held {
                    write_information(&[urc], &port.settings, &mut bytes);
                }
                output.push(index, WriteKind::Urc, bytes);
            }
        }
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
                    lines: Vec::new(),
                    next: Next::Nothing,
                    code: None,
                    abort: None,
                    delay: 0,
                };
                let outcome = command.map_err(|_| Failure::Error).and_then(|command| commands::run(&mut exec, command));
                let Exec { lines, next: follows, code: own_code, abort: aborts, delay: takes, .. } = exec;
                delay += Duration::from_millis(takes.into());
                abort = abort.or(aborts);
                if let Err(failure) = outcome {
                    // V.250 §5.6: a command that fails ends the line; what came before it stays done.
                    code = ResultCode::Failed(failure);
                    break;
                }
                write_information(&lines, &port.settings, response);
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
            Next::Prompt(_) => response.extend_from_slice(&[port.settings.s3, port.settings.s4, b'>', b' ']),
            _ => code.write(&port.settings, response),
        }
        if self.state.tap.0.is_some() {
            let text = String::from_utf8_lossy(response.get(start..).unwrap_or_default());
            self.state.tap.event(ModemEvent::Response { port: index, text: &text });
        }
        self.state.serve_card();
        if !delay.is_zero() {
            let due = self.state.now + delay;
            // What came before, the echo above all, does not wait.
            let late = response.split_off(start);
            port.pending = Some(Box::new(Pending { due, response: late, next, abort }));
            return;
        }
        if !matches!(next, Next::Nothing) || !self.state.urcs.is_empty() || self.state.restart {
            output.push(index, WriteKind::Response, std::mem::take(response));
            self.follow(index, next, output);
            self.flush(output);
        }
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;

    use super::*;
    use crate::model::{CchoAnswer, HostAccess};
    use crate::testing::{Script, Sketch};

    const ISD_R: &str = "A0000005591010FFFFFFFF8900000100";

    fn model() -> Model {
        Model::named("RM500Q-GL").unwrap()
    }

    /// A model that only asks for the PIN when a card comes up.
    fn brief() -> Model {
        let mut model = model();
        model.card.startup = vec![crate::model::StartupStep::Pin];
        model
    }

    /// A modem without echo on the card of the note.
    fn of_the_note() -> (Modem, Sketch) {
        let sketch = Sketch::of_the_note();
        let mut modem = Modem::new(model(), sketch.card());
        assert_eq!(modem.receive(0, b"ATE0\r").for_port(0), b"ATE0\r\r\nOK\r\n");
        (modem, sketch)
    }

    fn say(modem: &mut Modem, line: &str) -> String {
        String::from_utf8(modem.receive(0, format!("{line}\r").as_bytes()).for_port(0)).unwrap()
    }

    /// What is said and answered, every byte of it.
    fn transcript(modem: &mut Modem, lines: &[&str]) -> String {
        let mut out = String::new();
        for line in lines {
            out.push_str(&format!("> {line}\n"));
            for answer in say(modem, line).split_inclusive('\n') {
                out.push_str(&format!("< {}\n", answer.replace('\r', "\\r").replace('\n', "\\n")));
            }
        }
        out
    }

    /// eSIM LPA AN 1.1 §2.3.1 and §2.3.2.
    #[test]
    fn note_lpa_enable() {
        let (mut modem, _) = of_the_note();
        insta::assert_snapshot!(transcript(
            &mut modem,
            &[
                r#"AT+QESIM=?"#,
                r#"AT+QESIM="lpa_enable",0"#,
                r#"AT+QESIM="lpa_enable""#,
                r#"AT+QESIM="eid""#,
                r#"AT+QESIM="lpa_enable",1"#,
                r#"AT+QESIM="lpa_enable""#,
                r#"AT+QESIM="ipa_enable""#,
                r#"AT+QESIM="Ipa_enable""#,
                r#"AT+QESIM="lpa_enable",2"#,
                r#"AT+QESIM="lpa_enable",1,1"#,
                r#"AT+QESIM="lpa_enable","#,
                r#"AT+QESIM=lpa_enable"#,
            ]
        ));
    }

    /// eSIM LPA AN 1.1 §2.3.3 to §2.3.5.
    #[test]
    fn note_queries() {
        let (mut modem, sketch) = of_the_note();
        insta::assert_snapshot!(transcript(
            &mut modem,
            &[
                r#"AT+QESIM="profile_brief""#,
                r#"AT+QESIM="profile_detail",1"#,
                r#"AT+QESIM="profile_detail",2"#,
                r#"AT+QESIM="profile_detail",4"#,
                r#"AT+QESIM="eid""#,
                r#"at+qesim="EID""#,
                r#"AT+QESIM="profile_detail""#,
                r#"AT+QESIM="profile_detail",0"#,
                r#"AT+QESIM="profile_detail",5"#,
                r#"AT+QESIM="profile_detail",9"#,
                r#"AT+QESIM="profile_detail",1,2"#,
                r#"AT+QESIM="profile_detail","1""#,
                r#"AT+QESIM="profile_brief",1"#,
                r#"AT+QESIM="download""#,
                r#"AT+QESIM"#,
                r#"AT+QESIM?"#,
            ]
        ));
        assert_eq!(sketch.open_channels(), 0);
    }

    /// eSIM LPA AN 1.1 §2.3.6 to §2.3.8.
    #[test]
    fn note_changes() {
        let (mut modem, sketch) = of_the_note();
        let long = "a".repeat(256);
        insta::assert_snapshot!(transcript(
            &mut modem,
            &[
                r#"AT+QESIM="profile_brief""#,
                r#"AT+QESIM="delete_profile",2"#,
                r#"AT+QESIM="profile_brief""#,
                r#"AT+QESIM="delete_profile",3"#,
                r#"AT+QESIM="nickname",2,"Quectel""#,
                r#"AT+QESIM="profile_detail",2"#,
                r#"AT+QESIM="nickname",2,"""#,
                r#"AT+QESIM="nickname",2"#,
                r#"AT+QESIM="nickname",7,"x""#,
                r#"AT+QESIM="def_svr_addr""#,
                r#"AT+QESIM="def_svr_addr","esim.wo.com.cn""#,
                r#"AT+QESIM="def_svr_addr""#,
            ]
        ));
        assert_eq!(say(&mut modem, &format!("AT+QESIM=\"def_svr_addr\",\"{long}\"")), "\r\nERROR\r\n");
        assert_eq!(say(&mut modem, &format!("AT+QESIM=\"def_svr_addr\",\"{}\"", &long[1..])), "\r\nOK\r\n");
        assert_eq!(say(&mut modem, &format!("AT+QESIM=\"nickname\",1,\"{}\"", &long[..65])), "\r\nERROR\r\n");
        assert_eq!(sketch.open_channels(), 0);
    }

    /// eSIM LPA AN 1.1 §2.3.9 and §2.3.10.
    #[test]
    fn note_switches() {
        let (mut modem, sketch) = of_the_note();
        insta::assert_snapshot!(transcript(
            &mut modem,
            &[
                r#"AT+QESIM="enable_profile",2"#,
                r#"AT+QESIM="profile_detail",2"#,
                r#"AT+QESIM="enable_profile",2"#,
                r#"AT+QESIM="disable_profile",2"#,
                r#"AT+QESIM="profile_detail",2"#,
                r#"AT+QESIM="disable_profile",2"#,
                r#"AT+QESIM="enable",1"#,
            ]
        ));
        assert_eq!(sketch.0.lock().unwrap().resets, 4, "one at the start, one for each switch");
    }

    #[test]
    fn a_switch_closes_sessions_and_is_told_on_every_port() {
        let (mut modem, sketch) = of_the_note();
        say(&mut modem, &format!("AT+CCHO=\"{ISD_R}\""));
        let output = modem.receive(0, b"AT+QESIM=\"enable_profile\",1\rAT\r");
        let urcs = "\r\n+CPIN: READY\r\n\r\n+QUSIM: 1\r\n\r\n+QIND: SMS DONE\r\n\r\n+QIND: PB DONE\r\n";
        assert_eq!(String::from_utf8(output.for_port(0)).unwrap(), format!("\r\nOK\r\n{urcs}\r\nOK\r\n"));
        assert_eq!(String::from_utf8(output.for_port(1)).unwrap(), urcs);
        assert_eq!(sketch.open_channels(), 0);
        assert_eq!(say(&mut modem, "AT+CMEE=1;+CGLA=1,8,80F20000"), "\r\n+CME ERROR: 21\r\n");
        let _ = modem.receive(1, b"ATE0Q1\r");
        assert!(modem.receive(0, b"AT+QESIM=\"enable_profile\",2\r").for_port(1).is_empty(), "Q1");
    }

    #[test]
    fn no_text_of_a_card_can_feign_a_line() {
        let (mut modem, sketch) = of_the_note();
        sketch.0.lock().unwrap().profiles[0].nickname = "x\"\r\nOK\r\n".to_owned();
        let answer = say(&mut modem, r#"AT+QESIM="profile_detail",1"#);
        assert!(answer.contains(r#","x\22\0D\0AOK\0D\0A","Transatel","#), "{answer}");
        assert_eq!(answer.matches("OK\r\n").count(), 1);
    }

    #[test]
    fn identity_and_v250() {
        let (mut modem, _) = of_the_note();
        insta::assert_snapshot!(transcript(
            &mut modem,
            &[
                "AT",
                "ATI",
                "AT+CGMI;+CGMM;+CGMR;+CGSN",
                "AT+GMI;+GMM;+GMR;+GSN",
                "AT+CGMI=?",
                "ATS3?S4?S5?S0?",
                "ATS0=2S0?",
                "ATS7?",
                "ATS3=128",
                "ATX4&C1&D2H",
                "ATE2",
                "ATI1",
                "ATO",
                "ATD*99#",
                "AT+CMEE=?;+CMEE?",
                "AT+CMEE=3",
                "AT+CMEE=2",
                "AT+CMEE=7",
                "AT+NOSUCH",
                "ATV0",
                "ATI",
                "AT+CMEE?",
                "AT+CMEE=7",
                "ATO",
                "ATV1&WQ1",
                "AT",
                "ATZ",
                "AT+CMEE?",
                "AT&FE0",
                "AT+CMEE?",
            ]
        ));
    }

    #[test]
    fn a_failure_ends_the_line() {
        let (mut modem, _) = of_the_note();
        assert_eq!(say(&mut modem, "AT+CMEE=1;+CGMI;+NOSUCH;+CMEE=2"), "\r\nQuectel\r\n\r\nERROR\r\n");
        assert_eq!(say(&mut modem, "AT+CMEE?"), "\r\n+CMEE: 1\r\n\r\nOK\r\n");
    }

    #[test]
    fn echo_fragments_and_pipelines() {
        let mut modem = Modem::new(model(), Sketch::of_the_note().card());
        assert_eq!(modem.receive(0, b"AT+C").for_port(0), b"AT+C");
        assert_eq!(modem.receive(0, b"GMI\r\n").for_port(0), b"GMI\r\r\nQuectel\r\n\r\nOK\r\n");
        assert_eq!(
            modem.receive(0, b"AT\rA/ATE0\rAT\r").for_port(0),
            b"AT\r\r\nOK\r\nA/\r\nOK\r\nATE0\r\r\nOK\r\n\r\nOK\r\n"
        );
        let line = format!("AT{}\rAT\r", "I".repeat(2049));
        assert_eq!(modem.receive(0, line.as_bytes()).for_port(0), b"\r\nERROR\r\n\r\nOK\r\n");
        let _ = modem.receive(0, b"AT+C");
        let _ = modem.hang_up(0);
        assert_eq!(say(&mut modem, "AT"), "\r\nOK\r\n");
        assert!(modem.receive(7, b"AT\r").writes.is_empty());
    }

    /// The exchange that an LPA has with the card through AT+CCHO and AT+CGLA, and what the modem makes of it.
    #[test]
    fn channels() {
        let fci = "6F1F8410A0000005591010FFFFFFFF8900000100A5049F6501FFE00582030202009000";
        let script = Script::new(&[
            ("0020000100", "6A88"),
            ("0020000100", "6A88"),
            ("0070000001", "029000"),
            ("02A4040010A0000005591010FFFFFFFF8900000100", "6121"),
            ("02C0000021", fci),
            ("82E2910006BF3E035C015A", "6115"),
            ("82C0000015", "BF3E125A10890490321234512345123456789012359000"),
            ("0070800200", "9000"),
        ]);
        let mut modem = Modem::new(brief(), script.card());
        say(&mut modem, "ATE0+CMEE=1");
        insta::assert_snapshot!(transcript(
            &mut modem,
            &[
                "AT+CPIN?",
                "AT+CCHO=?",
                "AT+CGLA=?",
                "AT+CCHC=?",
                r#"AT+CCHO="a0000005591010ffffffff8900000100""#,
                r#"AT+CGLA=2,22,"81e2910006bf3e035c015a""#,
                r#"AT+CGLA=2,10,81C0000015"#,
                r#"AT+CGLA=2,12,"81C0000015""#,
                r#"AT+CGLA=2,9,"81C000001""#,
                r#"AT+CGLA=2,6,"81C000""#,
                r#"AT+CGLA=2,10,"81C00000XY""#,
                r#"AT+CGLA=1,10,"81C0000015""#,
                r#"AT+CGLA=2,10"#,
                r#"AT+CGLA=2,10,"81C0000015",1"#,
                r#"AT+CGLA=x,10,"81C0000015""#,
                r#"AT+CGLA"#,
                r#"AT+CGLA?"#,
                r#"AT+CCHC=1"#,
                r#"AT+CCHC=2"#,
                r#"AT+CCHC=2"#,
                r#"AT+CCHC="#,
                r#"AT+CCHO="""#,
                r#"AT+CCHO="A0000005591010FFFFFFFF890000010000""#,
                r#"AT+CCHO="A0000"#,
            ]
        ));
        assert!(script.is_done());
    }

    #[test]
    fn applications_that_cannot_be_had() {
        let script = Script::new(&[
            ("0020000100", "6A88"),
            ("0070000001", "019000"),
            ("01A4040007A0000000871002", "6A82"),
            ("0070800100", "9000"),
            ("0070000001", "6A81"),
        ]);
        let mut modem = Modem::new(brief(), script.card());
        say(&mut modem, "ATE0+CMEE=1");
        assert_eq!(say(&mut modem, "AT+CCHO=A0000000871002"), "\r\n+CME ERROR: 13\r\n");
        assert_eq!(say(&mut modem, "AT+CMEE=0;+CCHO=A0000000871002"), "\r\nERROR\r\n");
        assert!(script.is_done());
    }

    /// AT+CSIM as an LPA uses it: channels by hand, the class byte as it is.
    #[test]
    fn csim() {
        let script = Script::new(&[
            ("0020000100", "6A88"),
            ("0070000001", "019000"),
            ("01A4040010A0000005591010FFFFFFFF8900000100", "6121"),
            ("81E2910006BF3E035C015A", "6115"),
            ("A0A40000023F00", "6E00"),
            ("0070800100", "9000"),
        ]);
        let mut modem = Modem::new(brief(), script.card());
        say(&mut modem, "ATE0+CMEE=1");
        insta::assert_snapshot!(transcript(
            &mut modem,
            &[
                "AT+CSIM=?",
                r#"AT+CSIM=10,"0070000001""#,
                r#"AT+CSIM=42,"01a4040010a0000005591010ffffffff8900000100""#,
                r#"AT+CSIM=22,81E2910006BF3E035C015A"#,
                r#"AT+CSIM=14,"A0A40000023F00""#,
                r#"AT+CSIM=10,"0070800100""#,
                r#"AT+CSIM=12,"0070800100""#,
                r#"AT+CSIM="0070800100""#,
            ]
        ));
        assert!(script.is_done());
    }

    #[test]
    fn without_card_and_without_power() {
        let (mut modem, sketch) = of_the_note();
        say(&mut modem, "AT+CMEE=1");
        assert_eq!(say(&mut modem, "AT+CFUN=0"), "\r\nOK\r\n");
        for line in ["AT+CPIN?", "AT+CIMI", "AT+QCCID", "AT+CSIM=10,0070000001", "AT+CCHO=A0000005591010"] {
            let answer = say(&mut modem, line);
            assert!(matches!(answer.as_str(), "\r\n+CME ERROR: 13\r\n" | "\r\n+CME ERROR: 10\r\n"), "{line}: {answer}");
        }
        assert_eq!(say(&mut modem, r#"AT+QESIM="eid""#), "\r\nERROR\r\n");
        assert_eq!(say(&mut modem, "AT+CFUN=1;+CFUN?"), format!("\r\n+CFUN: 1\r\n\r\nOK\r\n{READY}"));
        let output = modem.set_card(None);
        assert_eq!(output.for_port(0), b"\r\n+CPIN: NOT READY\r\n");
        for line in [
            "AT+CPIN?",
            "AT+CIMI",
            "AT+CNUM",
            "AT+CSIM=10,0070000001",
            "AT+CRSM=176,12258,0,0,10",
            "AT+CCHO=A0000005591010",
            "AT+CGLA=1,8,80F20000",
            "AT+CPINR",
            "AT+CLCK=\"SC\",2",
            "AT+CPBR=1",
            "AT+COPS=?",
            "AT+CPOL?",
        ] {
            assert_eq!(say(&mut modem, line), "\r\n+CME ERROR: 10\r\n", "{line}");
        }
        assert_eq!(say(&mut modem, "AT+CMGL=4"), "\r\n+CMS ERROR: 310\r\n");
        assert_eq!(
            say(&mut modem, "AT+CREG?;+COPS?;+CSQ"),
            "\r\n+CREG: 0,0\r\n\r\n+COPS: 0\r\n\r\n+CSQ: 99,99\r\n\r\nOK\r\n"
        );
        assert_eq!(modem.set_card(Some(sketch.card())).for_port(0), READY.as_bytes());
        assert!(say(&mut modem, r#"AT+QESIM="eid""#).ends_with("OK\r\n"));
        for bad in ["AT+CFUN=2", "AT+CFUN=1,2", "AT+CFUN=1,1,1", "AT+CFUN=0,1"] {
            assert_eq!(say(&mut modem, bad), "\r\n+CME ERROR: 50\r\n", "{bad}");
        }
    }

    /// With no profile enabled there is no USIM: what needs one says so, and the LPA works.
    #[test]
    fn without_profile() {
        let mut modem = Modem::new(model(), Sketch::blank().card());
        say(&mut modem, "ATE0+CMEE=1");
        for line in ["AT+CPIN?", "AT+CIMI", "AT+QCCID", "AT+CNUM", "AT+CPINR", "AT+CPBS=\"SM\"", "AT+COPS=?"] {
            assert_eq!(say(&mut modem, line), "\r\n+CME ERROR: 13\r\n", "{line}");
        }
        assert_eq!(say(&mut modem, "AT+CMGS=10"), "\r\n+CMS ERROR: 313\r\n");
        assert_eq!(say(&mut modem, "AT+CRSM=176,12258,0,0,10"), "\r\n+CRSM: 106,130\r\n\r\nOK\r\n");
        assert_eq!(say(&mut modem, "AT+QINISTAT;+CEREG?"), "\r\n+QINISTAT: 0\r\n\r\n+CEREG: 0,0\r\n\r\nOK\r\n");
        assert_eq!(say(&mut modem, r#"AT+QESIM="profile_brief""#), "\r\n+QESIM: \"profile_brief\",0\r\n\r\nOK\r\n");
        assert!(say(&mut modem, "AT+CSIM=10,\"0070000001\"").ends_with("OK\r\n"), "hosts get to the card");
    }

    /// What the model says when a card has become ready (eSIM LPA AN 1.1 §2.3.9).
    const READY: &str = "\r\n+CPIN: READY\r\n\r\n+QUSIM: 1\r\n\r\n+QIND: SMS DONE\r\n\r\n+QIND: PB DONE\r\n";

    #[test]
    fn restart() {
        let (mut modem, sketch) = of_the_note();
        say(&mut modem, &format!("AT+QESIM=\"lpa_enable\",0;+CCHO={ISD_R};+CMEE=2"));
        assert_eq!(sketch.open_channels(), 1);
        let output = modem.receive(0, b"AT+CFUN=1,1\r");
        let boot = format!("\r\nRDY\r\n\r\n+CFUN: 1\r\n{READY}");
        assert_eq!(output.for_port(0), format!("\r\nOK\r\n{boot}").as_bytes());
        assert_eq!(output.for_port(1), boot.as_bytes());
        assert_eq!(sketch.open_channels(), 0);
        assert_eq!(
            say(&mut modem, "ATE0+CMEE?;+QESIM=\"lpa_enable\""),
            "ATE0+CMEE?;+QESIM=\"lpa_enable\"\r\r\n+CMEE: 0\r\n\r\n+QESIM: \"lpa_enable\",0\r\n\r\nOK\r\n"
        );
        assert_eq!(modem.reset().for_port(0), boot.as_bytes());
        // Switched off it is silent, until it is switched on.
        assert_eq!(modem.receive(1, b"ATE0+QPOWD\r").for_port(1), b"ATE0+QPOWD\r\r\nOK\r\n\r\nPOWERED DOWN\r\n");
        assert!(modem.receive(0, b"AT\r").writes.is_empty());
        assert_eq!(modem.reset().for_port(0), boot.as_bytes());
        assert!(say(&mut modem, "AT").ends_with("OK\r\n"));
    }

    #[test]
    fn what_is_read_from_the_files_of_the_card() {
        let (mut modem, _) = of_the_note();
        assert_eq!(say(&mut modem, "AT+QCCID"), "\r\n+QCCID: 8944476500008878576F\r\n\r\nOK\r\n");
        assert_eq!(say(&mut modem, "AT+CIMI"), "\r\n001010123456789\r\n\r\nOK\r\n");
        assert_eq!(say(&mut modem, "AT+CNUM"), "\r\n+CNUM: \"Me\",\"+1234567\",145\r\n\r\nOK\r\n");
        let states = [("9000", "READY"), ("63C3", "SIM PIN"), ("63C0", "SIM PUK"), ("6983", "SIM PUK")];
        for (status, text) in states {
            // Tries that are left do not tell whether the PIN is asked for: the USIM does.
            let ask = [("0020000100", status), ("00A4040407A0000000871002", "620BC60990018083010183010A9000")];
            let ask = &ask[..if status == "63C3" { 2 } else { 1 }];
            let exchanges = [ask, ask].concat();
            let mut modem = Modem::new(brief(), Script::new(&exchanges).card());
            assert!(say(&mut modem, "AT+CPIN?").contains(&format!("\r\n+CPIN: {text}\r\n\r\nOK\r\n")));
        }
    }

    #[test]
    fn dialects() {
        let modem_with = |change: &dyn Fn(&mut Model)| {
            let mut model = model();
            change(&mut model);
            let mut modem = Modem::new(model, Sketch::of_the_note().card());
            say(&mut modem, "ATE0+CMEE=1");
            modem
        };
        let open = format!("AT+CCHO=\"{ISD_R}\"");
        let ok = |text: &str| format!("\r\n{text}\r\n\r\nOK\r\n");

        let mut modem = modem_with(&|model| model.dialect.ccho_answer = CchoAnswer::Handle);
        assert_eq!(say(&mut modem, &open), ok("+CCHO: 00000000038aa32f"));
        assert_eq!(say(&mut modem, "AT+CGLA=00000000038aa32f,8,80F20000"), ok("+CGLA: 4,\"9000\""));
        assert_eq!(say(&mut modem, "AT+CCHC=1"), "\r\n+CME ERROR: 50\r\n");
        assert_eq!(say(&mut modem, "AT+CCHC=00000000038aa32f"), "\r\nOK\r\n");

        let mut modem = modem_with(&|model| model.dialect.ccho_answer = CchoAnswer::Bare);
        assert_eq!(say(&mut modem, &open), ok("1"));

        let mut modem = modem_with(&|model| model.dialect.space_after_colon = false);
        assert_eq!(say(&mut modem, &open), ok("+CCHO:1"));
        assert_eq!(say(&mut modem, "AT+CGLA=1,8,80F20000"), ok("+CGLA:4,\"9000\""));

        let mut modem = modem_with(&|model| model.dialect.missing_tests = vec!["+CGLA".to_owned()]);
        assert_eq!(say(&mut modem, "AT+CCHO=?"), "\r\nOK\r\n");
        assert_eq!(say(&mut modem, "AT+CGLA=?"), "\r\nERROR\r\n");
        assert_eq!(say(&mut modem, &open), ok("+CCHO: 1"));
        assert_eq!(say(&mut modem, "AT+CGLA=1,8,80F20000"), ok("+CGLA: 4,\"9000\""));

        let mut modem = modem_with(&|model| model.dialect.missing_commands = vec!["+CCHO".to_owned()]);
        for line in ["AT+CCHO=?", "AT+CCHO", &open] {
            assert_eq!(say(&mut modem, line), "\r\nERROR\r\n");
        }

        let mut modem = modem_with(&|model| model.dialect.channel_tests_tell = true);
        assert_eq!(say(&mut modem, "AT+CCHO=?"), ok("+CCHO: <dfname>"));
        assert_eq!(say(&mut modem, "AT+CCHC=?"), ok("+CCHC: <sessionid>"));

        let mut modem = modem_with(&|model| model.dialect.quotes_required = true);
        assert_eq!(say(&mut modem, &open.replace('"', "")), "\r\n+CME ERROR: 50\r\n");
        assert_eq!(say(&mut modem, &open), ok("+CCHO: 1"));
        assert_eq!(say(&mut modem, "AT+CGLA=1,8,80F20000"), "\r\n+CME ERROR: 50\r\n");

        let mut modem = modem_with(&|model| model.dialect.host_isd_r = HostAccess::LpaEnabled);
        assert_eq!(say(&mut modem, &open), ok("+CCHO: 1"));
        say(&mut modem, "AT+QESIM=\"lpa_enable\",0");
        assert_eq!(say(&mut modem, &open), "\r\n+CME ERROR: 13\r\n");

        let mut modem = modem_with(&|model| model.dialect.host_isd_r = HostAccess::LpaDisabled);
        assert_eq!(say(&mut modem, &open), "\r\n+CME ERROR: 13\r\n");
        say(&mut modem, "AT+QESIM=\"lpa_enable\",0");
        assert_eq!(say(&mut modem, &open), "\r\n+CME ERROR: 13\r\n");
        say(&mut modem, "AT+CFUN=1,1");
        say(&mut modem, "ATE0");
        assert_eq!(say(&mut modem, &open), ok("+CCHO: 1"));
    }

    #[test]
    fn observed() {
        #[derive(Clone, Default)]
        struct Log(Arc<Mutex<Vec<String>>>);
        impl Observer for Log {
            fn event(&mut self, event: ModemEvent<'_>) {
                self.0.lock().unwrap().push(format!("{event:?}"));
            }
        }
        let log = Log::default();
        let script = Script::new(&[("0020000100", "6A88"), ("0070000001", "6A81")]);
        let mut modem = Modem::observed(brief(), Some(script.card()), Box::new(log.clone()));
        let _ = modem.receive(1, b"AT+CSIM=10,0070000001\r");
        let _ = modem.set_card(None);
        insta::assert_snapshot!(log.0.lock().unwrap().join("\n"), @r#"
        CardReset { atr: [59, 0] }
        Apdu { command: [0, 32, 0, 1, 0], response: [106, 136] }
        Command { port: 1, line: "AT+CSIM=10,0070000001" }
        Apdu { command: [0, 112, 0, 0, 1], response: [106, 129] }
        Response { port: 1, text: "\r\n+CSIM: 4,\"6A81\"\r\n\r\nOK\r\n" }
        Urc { line: "+CPIN: NOT READY" }
        "#);
    }

    #[test]
    fn channels_beyond_the_third() {
        let (mut modem, _) = of_the_note();
        for id in 1..=4 {
            assert_eq!(say(&mut modem, &format!("AT+CCHO={ISD_R}")), format!("\r\n+CCHO: {id}\r\n\r\nOK\r\n"));
        }
        let answer = say(&mut modem, "AT+CGLA=4,22,81E2910006BF3E035C015A");
        assert_eq!(answer, "\r\n+CGLA: 4,\"6115\"\r\n\r\nOK\r\n");
    }

    /// A card that answers anything.
    struct Wild(Vec<Vec<u8>>, usize);

    impl Card for Wild {
        fn reset(&mut self) -> Vec<u8> {
            Vec::new()
        }

        fn transmit(&mut self, _: &[u8]) -> Vec<u8> {
            self.1 += 1;
            self.0.get(self.1 % self.0.len().max(1)).cloned().unwrap_or_default()
        }
    }

    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..12),
            proptest::sample::select(vec![
                "AT",
                "at",
                "A/",
                "\r",
                "\r\n",
                "E0",
                "E1",
                "V0",
                "V1",
                "Q1",
                "Q0",
                "&F",
                "Z",
                "I",
                ";",
                "+CMEE=2",
                "+CCHO=\"A0000005591010FFFFFFFF8900000100\"",
                "+CGLA=1,10,\"81C0000005\"",
                "+CCHC=1",
                "+CFUN=1,1",
                "+CFUN=0",
                "+QESIM=\"eid\"",
                "+QESIM=\"profile_detail\",1",
                "+QESIM=\"enable_profile\",1",
                "+CIMI",
                "+QCCID",
                "+CPIN?",
                "+CSIM=10,\"0070000001\"",
                "=?",
                "?",
                ",",
                "\"",
                "S3=13",
                "S5=8",
                "\x08",
            ])
            .prop_map(|text| text.as_bytes().to_vec()),
        ]
    }

    proptest! {
        #[test]
        fn any_input_and_any_card(
            pieces in proptest::collection::vec((pieces(), 0usize..2), 0..40),
            answers in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..6),
        ) {
            let mut modem = Modem::new(model(), Box::new(Wild(answers, 0)));
            for (bytes, port) in pieces {
                for write in modem.receive(port, &bytes).writes {
                    prop_assert!(write.port < 2 && !write.bytes.is_empty());
                }
            }
            for port in 0..2 {
                // Whatever was set before, a line that ends on every terminator brings a known state back.
                let every: Vec<u8> = (0..=127).collect();
                let _ = modem.receive(port, &every);
                for terminator in 0..=127 {
                    let _ = modem.receive(port, &[b'A', b'T', b'&', b'F', terminator]);
                    let _ = modem.hang_up(port);
                }
                prop_assert_eq!(modem.receive(port, b"ATE0\rAT\r").for_port(port), b"ATE0\r\r\nOK\r\n\r\nOK\r\n");
            }
        }
    }
}
