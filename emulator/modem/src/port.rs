//! One AT port: its editor, its settings, and what it is doing at the moment.

use std::collections::VecDeque;
use std::time::Duration;

use crate::commands::Next;
use crate::connection::Connection;
use crate::entry::Entry;
use crate::line::LineEditor;
use crate::model::Model;
use crate::prompt::Prompt;
use crate::result::ResultCode;
use crate::settings::Settings;
use crate::socket::SocketId;

/// URCs that are kept for a port that cannot take them.
const HELD: usize = 64;

/// What a port is doing.
pub(crate) enum Mode {
    /// It takes command lines.
    Command,
    /// A command waits for text.
    Prompt(Box<Prompt>),
    /// A command waits for data.
    Entry(Box<Entry>),
    /// Bytes go to the other side.
    Data,
}

/// A message of a socket for the port that has opened it, with the data that it brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) line: String,
    pub(crate) data: Option<Vec<u8>>,
}

/// A command that waits for a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) socket: SocketId,
    /// It waits for the end of it; else for its beginning.
    pub(crate) closes: bool,
}

/// A response that is not due yet.
pub(crate) struct Pending {
    pub(crate) due: Duration,
    pub(crate) response: Vec<u8>,
    pub(crate) next: Next,
    /// What the port answers when the host does not wait (V.250 §5.6.1).
    pub(crate) abort: Option<ResultCode>,
}

/// One AT port.
pub(crate) struct Port {
    pub(crate) editor: LineEditor,
    pub(crate) settings: Settings,
    pub(crate) stored: Settings,
    /// The body of the last line, for `A/`.
    pub(crate) last: Vec<u8>,
    pub(crate) mode: Mode,
    pub(crate) connection: Option<Connection>,
    pub(crate) pending: Option<Box<Pending>>,
    /// Input that came while a response was pending.
    pub(crate) ahead: Vec<u8>,
    /// URCs that wait until the port takes command lines again.
    pub(crate) held: VecDeque<String>,
    /// Messages of sockets that wait likewise.
    pub(crate) told: VecDeque<Told>,
    /// A command that waits for a socket.
    pub(crate) waiting: Option<Waiting>,
}

impl Port {
    /// A port of this model, as it leaves the factory.
    pub(crate) fn new(model: &Model) -> Self {
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
            told: VecDeque::new(),
            waiting: None,
        }
    }

    /// Keeps a URC until the port can take it. The oldest go when there are too many.
    pub(crate) fn hold(&mut self, urcs: &VecDeque<String>) {
        self.held.extend(urcs.iter().cloned());
        let surplus = self.held.len().saturating_sub(HELD);
        self.held.drain(..surplus);
    }

    /// Whether a URC can go out now.
    pub(crate) fn is_listening(&self) -> bool {
        matches!(self.mode, Mode::Command) && self.pending.is_none() && self.waiting.is_none()
    }

    /// What is left of a port after a restart of the module.
    pub(crate) fn restart(&mut self) {
        self.editor.clear();
        self.last.clear();
        self.settings = self.stored.clone();
        self.mode = Mode::Command;
        self.connection = None;
        self.pending = None;
        self.ahead.clear();
        self.held.clear();
        self.told.clear();
        self.waiting = None;
    }

    /// How many bytes wait in messages of sockets.
    pub(crate) fn told_bytes(&self) -> usize {
        self.told.iter().filter_map(|told| told.data.as_ref()).map(Vec::len).sum()
    }
}
