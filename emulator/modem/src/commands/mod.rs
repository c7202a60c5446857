//! The command table: which commands there are, in which forms, and what carries each out.
//!
//! A handler works on an [`Exec`]: it reads and changes the state of the modem and of the port the command came from,
//! and leaves lines for the information response. What the table does not hold is answered `ERROR`.

mod access;
mod general;
mod qesim;
mod v250;

use crate::card::Uicc;
use crate::event::Tap;
use crate::model::Model;
use crate::parse::{Command, Form, Params, RegisterAction};
use crate::result::Failure;
use crate::settings::Settings;

/// What all ports share.
pub(crate) struct State {
    pub(crate) model: Model,
    pub(crate) uicc: Uicc,
    pub(crate) tap: Tap,
    /// `+CFUN`: 0 minimum, 1 full, 4 without radio.
    pub(crate) functionality: u32,
    /// `AT+QESIM="lpa_enable"`.
    pub(crate) lpa_enabled: bool,
    /// The same, as it was at the last restart.
    pub(crate) lpa_enabled_at_restart: bool,
}

/// A command in execution.
pub(crate) struct Exec<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) settings: &'a mut Settings,
    /// The profile that `&W` writes and `Z` reads.
    pub(crate) stored: &'a mut Settings,
    /// The information response.
    pub(crate) lines: Vec<String>,
    /// Unsolicited result codes that follow the final result code.
    pub(crate) urcs: Vec<String>,
    /// The module restarts after the final result code.
    pub(crate) restart: bool,
}

/// How a command ended.
pub(crate) type Outcome = Result<(), Failure>;

type Handler = fn(&mut Exec<'_>) -> Outcome;
type WriteHandler = fn(&mut Exec<'_>, &Params) -> Outcome;

/// What a test command (`=?`) answers.
#[derive(Clone, Copy)]
enum Test {
    /// `OK` alone.
    Ok,
    /// One line, then `OK`.
    Text(&'static str),
    /// Something that depends on the modem.
    Call(Handler),
}

/// An extended command and its forms. A form that is `None` is answered `ERROR`.
struct Entry {
    name: &'static str,
    execute: Option<Handler>,
    read: Option<Handler>,
    test: Test,
    write: Option<WriteHandler>,
}

/// A basic command: its name, the greatest value it takes (a missing one counts as 0), and what carries it out.
struct BasicEntry {
    name: &'static str,
    greatest: u32,
    run: fn(&mut Exec<'_>, u32),
}

/// A basic command that answers something.
struct BasicAction {
    name: &'static str,
    run: fn(&mut Exec<'_>, u32) -> Outcome,
}

const fn entry(name: &'static str) -> Entry {
    Entry { name, execute: None, read: None, test: Test::Ok, write: None }
}

/// The extended commands.
const EXTENDED: &[Entry] = &[
    Entry { execute: Some(general::manufacturer), ..entry("+CGMI") },
    Entry { execute: Some(general::manufacturer), ..entry("+GMI") },
    Entry { execute: Some(general::model), ..entry("+CGMM") },
    Entry { execute: Some(general::model), ..entry("+GMM") },
    Entry { execute: Some(general::revision), ..entry("+CGMR") },
    Entry { execute: Some(general::revision), ..entry("+GMR") },
    Entry { execute: Some(general::imei), ..entry("+CGSN") },
    Entry { execute: Some(general::imei), ..entry("+GSN") },
    Entry {
        read: Some(general::read_cmee),
        test: Test::Text("+CMEE: (0-2)"),
        write: Some(general::write_cmee),
        ..entry("+CMEE")
    },
    Entry {
        read: Some(general::read_cfun),
        test: Test::Text("+CFUN: (0,1,4),(0,1)"),
        write: Some(general::write_cfun),
        ..entry("+CFUN")
    },
    Entry { read: Some(general::read_cpin), ..entry("+CPIN") },
    Entry { execute: Some(general::imsi), ..entry("+CIMI") },
    Entry { execute: Some(general::iccid), ..entry("+QCCID") },
    Entry { write: Some(access::csim), ..entry("+CSIM") },
    Entry { test: Test::Call(access::test_ccho), write: Some(access::ccho), ..entry("+CCHO") },
    Entry { test: Test::Call(access::test_cchc), write: Some(access::cchc), ..entry("+CCHC") },
    Entry { test: Test::Call(access::test_cgla), write: Some(access::cgla), ..entry("+CGLA") },
    Entry { test: Test::Call(qesim::test), write: Some(qesim::write), ..entry("+QESIM") },
];

/// The basic commands that set a value.
const BASIC: &[BasicEntry] = &[
    BasicEntry { name: "E", greatest: 1, run: v250::echo },
    BasicEntry { name: "Q", greatest: 1, run: v250::quiet },
    BasicEntry { name: "V", greatest: 1, run: v250::verbose },
    BasicEntry { name: "X", greatest: 4, run: v250::progress },
    BasicEntry { name: "&C", greatest: 2, run: v250::carrier_detect },
    BasicEntry { name: "&D", greatest: 2, run: v250::terminal_ready },
    BasicEntry { name: "&F", greatest: 0, run: v250::factory },
    BasicEntry { name: "&W", greatest: 0, run: v250::store },
    BasicEntry { name: "Z", greatest: 0, run: v250::restore },
];

/// The basic commands that do something.
const BASIC_ACTIONS: &[BasicAction] = &[
    BasicAction { name: "I", run: general::identify },
    // V.250 §6.3.6 and §6.3.7.
    BasicAction { name: "H", run: v250::hook },
    BasicAction { name: "O", run: v250::online },
];

/// The names of the extended commands.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    EXTENDED.iter().map(|entry| entry.name)
}

/// Carries out one command.
pub(crate) fn run(exec: &mut Exec<'_>, command: Command) -> Outcome {
    match command {
        Command::Basic { name, value } => {
            let value = value.unwrap_or(0);
            if let Some(entry) = BASIC.iter().find(|entry| entry.name == name) {
                if value > entry.greatest {
                    return Err(Failure::Error);
                }
                (entry.run)(exec, value);
                return Ok(());
            }
            let action = BASIC_ACTIONS.iter().find(|entry| entry.name == name).ok_or(Failure::Error)?;
            (action.run)(exec, value)
        }
        Command::Register { index, action: RegisterAction::Read } => v250::read_register(exec, index),
        Command::Register { index, action: RegisterAction::Write(value) } => v250::write_register(exec, index, value),
        Command::Extended { name, form } => {
            let entry = EXTENDED.iter().find(|entry| entry.name == name).ok_or(Failure::Error)?;
            let dialect = &exec.state.model.dialect;
            if dialect.missing_commands.contains(&name) || (form == Form::Test && dialect.missing_tests.contains(&name))
            {
                return Err(Failure::Error);
            }
            match form {
                Form::Execute => entry.execute.ok_or(Failure::Error)?(exec),
                Form::Read => entry.read.ok_or(Failure::Error)?(exec),
                Form::Write(params) => entry.write.ok_or(Failure::Error)?(exec, &params),
                Form::Test => match entry.test {
                    Test::Ok => Ok(()),
                    Test::Text(line) => {
                        exec.line(line);
                        Ok(())
                    }
                    Test::Call(handler) => handler(exec),
                },
            }
        }
    }
}

impl Exec<'_> {
    /// Adds a line to the information response.
    pub(crate) fn line(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }
}
