//! The timeline over the control port: what was seen, the first event that is so, and all of it as it happens.

use std::collections::HashMap;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};
use smdp::manage::{done, event_stream, refusal};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Shared, bad};
use crate::timeline::Event;

/// How long is waited for an event when nothing is said.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest wait that can be asked for: one that holds a connection for ever helps nobody.
const LONGEST: Duration = Duration::from_secs(3600);

/// The parameters of a query. A `%` stands before the two digits of a byte, a `+` for a space.
struct Query(HashMap<String, String>);

impl Query {
    fn parse(query: Option<&str>, known: &[&str]) -> Result<Self, String> {
        let mut values = HashMap::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decoded(name)?, decoded(value)?);
            if !known.contains(&name.as_str()) {
                return Err(format!("there is no parameter {name:?}; there are {}", known.join(", ")));
            }
            values.insert(name, value);
        }
        Ok(Query(values))
    }

    /// A number, or another one when it is not given.
    fn number<T: std::str::FromStr>(&self, name: &str, otherwise: T) -> Result<T, String> {
        match self.0.get(name) {
            None => Ok(otherwise),
            Some(text) => text.parse().map_err(|_| format!("{name}={text} is no number")),
        }
    }
}

fn decoded(text: &str) -> Result<String, String> {
    let wrong = || format!("{text:?} is no text of a query");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
                bytes.extend(digits.and_then(rsp::ids::from_hex).ok_or_else(wrong)?);
                rest = &rest[2..];
            }
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

/// An event with its number.
fn numbered(number: usize, event: &Event) -> Value {
    let mut value = serde_json::to_value(event).unwrap_or_default();
    value["number"] = json!(number);
    value["words"] = json!(event.to_string());
    value
}

pub(super) async fn list(State(lab): Shared, RawQuery(query): RawQuery) -> Response {
    let from = Query::parse(query.as_deref(), &["from"]).and_then(|query| query.number("from", 0));
    let from: usize = match from {
        Ok(from) => from,
        Err(error) => return bad(error),
    };
    let (first, events) = lab.timeline().numbered_since(from);
    let events: Vec<Value> = events.iter().zip(first..).map(|(event, number)| numbered(number, event)).collect();
    done(StatusCode::OK, json!({ "next": first + events.len(), "events": events }))
}

pub(super) async fn wait(State(lab): Shared, RawQuery(query): RawQuery) -> Response {
    let read = || {
        let query = Query::parse(query.as_deref(), &["from", "text", "role", "seconds"])?;
        let seconds = query.number("seconds", PATIENCE.as_secs_f64())?;
        let patience = Duration::try_from_secs_f64(seconds).map_err(|error| format!("seconds={seconds}: {error}"))?;
        Ok::<_, String>((query.number::<usize>("from", 0)?, patience.min(LONGEST), query))
    };
    let (from, patience, query) = match read() {
        Ok(read) => read,
        Err(error) => return bad(error),
    };
    let (text, role) = (query.0.get("text"), query.0.get("role"));
    let wanted = |event: &Event| {
        role.is_none_or(|role| event.role.name() == role)
            && text.is_none_or(|text| event.kind.to_string().contains(text.as_str()))
    };
    match timeout(patience, lab.timeline().wait_for(from, wanted)).await {
        Ok((number, event)) => done(StatusCode::OK, numbered(number, &event)),
        Err(_) => refusal(StatusCode::REQUEST_TIMEOUT, &format!("there was no such event in {patience:?}")),
    }
}

pub(super) async fn events(State(lab): Shared, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let from = Query::parse(query.as_deref(), &["from"]).and_then(|query| query.number("from", 0));
    let from: usize = match from {
        Ok(from) => from,
        Err(error) => return bad(error),
    };
    // A reader that connects again says what it has seen last (HTML Living Standard §9.2.4).
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse::<usize>().ok());
    let mut next = last.map_or(from, |last| last.saturating_add(1));
    // The lab is not kept by a reader: it ends when its owner ends it.
    let timeline = lab.timeline().clone();
    drop(lab);
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        let begin = Bytes::from_static(b": events of the timeline\n\n");
        if sender.send(begin).await.is_err() {
            return;
        }
        loop {
            let (number, event) = tokio::select! {
                found = timeline.wait_for(next, |_| true) => found,
                () = sender.closed() => return,
            };
            next = number + 1;
            let piece = format!("id: {number}\ndata: {}\n\n", numbered(number, &event));
            if sender.send(Bytes::from(piece)).await.is_err() {
                return;
            }
        }
    });
    event_stream(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_strictly() {
        let query = Query::parse(Some("text=profile+installed%3A%C3%A9&from=3"), &["from", "text"]).unwrap();
        assert_eq!(query.0["text"], "profile installed:é");
        assert_eq!(query.number::<usize>("from", 0), Ok(3));
        assert_eq!(query.number("seconds", 2.5), Ok(2.5));
        assert!(query.number::<usize>("text", 0).is_err());
        for wrong in ["form=1", "text=%", "text=%zz", "text=%FF"] {
            assert!(Query::parse(Some(wrong), &["from", "text"]).is_err(), "{wrong}");
        }
        assert!(Query::parse(None, &[]).unwrap().0.is_empty());
    }
}
