//! The operator's console at the control port: `/network`.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use modem::network::{Change, Dns, SubscriptionState, Technology};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Shared, bad, done, parse};
use crate::lab::Lab;
use crate::scenario::ast::{DEEDS, Word};

/// What the operator does, as a step of a scenario has it: `{"sim": "blocked"}`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Deed {
    Sim(SubscriptionState),
    Data(bool),
    Messages(bool),
    Roaming(bool),
    Dns(Dns),
    Apns(Vec<String>),
    Blacklist(Vec<String>),
    Technologies(Option<Vec<Technology>>),
    Coverage(Coverage),
    Sms(TextMessage),
    Reset(bool),
    Wake(bool),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Coverage {
    operator: String,
    technology: Technology,
    signal: Option<i16>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TextMessage {
    from: String,
    text: String,
}

fn device(lab: &Lab) -> Value {
    let device = lab.console().device();
    json!({
        "state": device.state.word(),
        "imsi": device.imsi,
        "operator": device.operator.map(|(plmn, name)| json!({ "plmn": plmn, "name": name })),
        "technology": device.technology.map(Word::word),
        "roaming": device.roaming,
        "sessions": device.sessions.iter().map(|session| json!({
            "cid": session.cid,
            "apn": session.apn,
            "address": session.address.to_string(),
        })).collect::<Vec<_>>(),
        "waiting_messages": device.waiting,
        "resolves": device.resolves,
        "asleep": device.asleep,
        "events": lab.console().events(),
    })
}

/// `GET /network`: the device, and its events.
pub(super) async fn show(State(lab): Shared) -> Response {
    done(StatusCode::OK, device(&lab))
}

/// `POST /network`: one deed; gives the device as it is afterwards.
pub(super) async fn act(State(lab): Shared, body: Bytes) -> Response {
    let deed: Deed = match parse(&body) {
        Ok(deed) => deed,
        Err(error) => return bad(error),
    };
    let console = lab.console();
    let change = match deed {
        Deed::Sim(state) => Change::State(state),
        Deed::Data(allowed) => Change::Data(allowed),
        Deed::Messages(allowed) => Change::Sms(allowed),
        Deed::Roaming(allowed) => Change::Roaming(allowed),
        Deed::Dns(dns) => Change::Dns(dns),
        Deed::Apns(apns) => Change::Apns(apns),
        Deed::Blacklist(plmns) => Change::Blacklist(plmns),
        Deed::Technologies(technologies) => Change::Technologies(technologies),
        Deed::Coverage(Coverage { operator, technology, signal }) => match signal {
            None | Some(-140..=-40) => Change::Coverage { operator, technology, signal },
            Some(_) => return bad("a signal is -140 to -40 (dBm); leave it out where nothing is received"),
        },
        Deed::Sms(TextMessage { from, text }) => {
            return match console.send_message(&from, &text) {
                Ok(()) => done(StatusCode::OK, device(&lab)),
                Err(error) => bad(error),
            };
        }
        Deed::Wake(true) => {
            console.wake();
            return done(StatusCode::OK, device(&lab));
        }
        Deed::Reset(true) => Change::Reset,
        Deed::Wake(false) | Deed::Reset(false) => return bad("`false` does nothing: leave it out"),
    };
    match console.change(&change) {
        Ok(()) => done(StatusCode::OK, device(&lab)),
        Err(error) => bad(error),
    }
}

/// What `/openapi.json` says of it.
pub(super) fn paths(answer: &Value, error: &dyn Fn(&str) -> Value) -> Value {
    let properties: serde_json::Map<String, Value> = DEEDS.iter().map(|deed| ((*deed).to_owned(), json!({}))).collect();
    let schema = json!({
        "description": "one deed, as in the step `network` of a scenario",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "minProperties": 1,
        "maxProperties": 1,
    });
    let unauthorized = error("No token");
    json!({
        "get": {
            "summary": "The device as the operator of its mobile network sees it, with its events",
            "responses": { "200": answer, "401": unauthorized },
        },
        "post": {
            "summary": "The operator of the mobile network does something",
            "requestBody": { "required": true, "content": { "application/json": { "schema": schema } } },
            "responses": { "200": answer, "400": error("A body that cannot be read"), "401": unauthorized },
        },
    })
}
