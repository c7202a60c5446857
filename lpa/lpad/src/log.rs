//! The protocol log that `-v` turns on: what goes over the AT line and over HTTP, one line each.
//!
//! Everything that may be logged has been on a wire already and is signed or encrypted there; no key passes
//! through an assistant in the clear. The confirmation code is hashed before it leaves this program
//! (SGP.22 v2.5 §3.1.3) and is not logged.

use std::fmt;
use std::rc::Rc;

/// Takes the lines.
type Sink = Rc<dyn Fn(&str)>;

/// Where log lines go; off by default. Cloning gives another handle to the same log.
#[derive(Clone, Default)]
pub struct Log(Option<Sink>);

impl Log {
    /// A log that hands each line to `sink`.
    pub fn to(sink: impl Fn(&str) + 'static) -> Self {
        Log(Some(Rc::new(sink)))
    }

    /// A log on standard error.
    pub fn to_stderr() -> Self {
        Log::to(|line| eprintln!("{line}"))
    }

    /// Writes a line; `line` is not called when the log is off.
    pub fn write(&self, line: impl FnOnce() -> String) {
        if let Some(sink) = &self.0 {
            sink(&line());
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Log({})", if self.0.is_some() { "on" } else { "off" })
    }
}
