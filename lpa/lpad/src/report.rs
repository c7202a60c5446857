//! What is told of a procedure while it runs: each step when it is done or has failed, and the progress of a download.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use crate::failure::{Failure, Step};

/// Named facts in an order of their own: about a step, a profile, a result.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Details(Vec<(&'static str, Value)>);

impl Details {
    /// No facts.
    pub fn new() -> Self {
        Details::default()
    }

    /// The same with one more fact.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.0.push((key, value.into()));
        self
    }

    /// The same with one more fact, when there is one.
    #[must_use]
    pub fn with_some(self, key: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// The same with all facts of another.
    #[must_use]
    pub fn and(mut self, others: Details) -> Self {
        self.0.extend(others.0);
        self
    }
}

impl From<Details> for Value {
    fn from(details: Details) -> Value {
        Value::Object(details.0.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }
}

impl Serialize for Details {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// Listens to a procedure.
pub trait Report {
    /// A step is done.
    fn done(&mut self, step: Step, details: Details);

    /// A step has failed. The procedure may go on, where the step was not essential.
    fn failed(&mut self, failure: &Failure);

    /// So many of so many bytes of a profile package have been sent to the card.
    fn progress(&mut self, sent: usize, total: usize);
}

/// Listens to nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Report for Silent {
    fn done(&mut self, _: Step, _: Details) {}

    fn failed(&mut self, _: &Failure) {}

    fn progress(&mut self, _: usize, _: usize) {}
}
