//! The control port of a lab: the management API of its SM-DP+, with modem, card and timeline besides.
//!
//! ```text
//! test program ── HTTP, bearer token ──> /orders /faults ...     the SM-DP+'s own, see `smdp::manage`
//!                                        /lab                    what there is and what state it is in
//!                                        /card/* /modem/*        what no host can do to them
//!                                        /network                the operator's console of the mobile network
//!                                        /timeline               what was seen, and what comes
//! ```
//!
//! It listens on loopback only. `GET /openapi.json` says what there is. Nobody has to sleep: `/timeline/wait` answers
//! when something has happened, `/timeline/events` tells of everything as it happens (server-sent events).

mod network;
mod timeline;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use rsp::crypto::{Random, SystemRandom};
use rsp::ids::to_hex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use smdp::front::StartError;
use smdp::manage::{Extra, ManageOptions, ManageServer, done, refusal};

use crate::lab::Lab;

type Shared = State<Arc<Lab>>;

/// Where a control port is, and what it wants to be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Its address, `http://127.0.0.1:4567`.
    pub url: String,
    /// The token for `Authorization: Bearer`.
    pub token: String,
}

/// A control port that runs. It stops when it is dropped, and keeps its lab until then.
#[derive(Debug)]
pub struct ControlPort {
    access: Access,
    _server: ManageServer,
}

impl ControlPort {
    /// Opens a control port for a lab, with a token of its own. Has to be called inside a tokio runtime.
    pub fn open(lab: &Arc<Lab>, listen: SocketAddr) -> Result<Self, StartError> {
        let listener = TcpListener::bind(listen)?;
        let mut token = [0; 24];
        SystemRandom.fill(&mut token);
        let token = to_hex(&token);
        let options = ManageOptions {
            token: token.clone(),
            address: lab.smdp_address().to_owned(),
            catalog: smdp::profile::built_in().clone(),
            watch: Arc::clone(lab.watch()),
        };
        let outside = || StartError::Listener(std::io::Error::other("the server is not one of this lab"));
        let front = lab.front().ok_or_else(outside)?;
        let extra = Extra { router: router(Arc::clone(lab)), paths: paths() };
        let server = ManageServer::start_with(listener, front, options, extra)?;
        Ok(ControlPort { access: Access { url: format!("http://{}", server.address()), token }, _server: server })
    }

    /// Where it is, and what it wants to be shown.
    pub fn access(&self) -> &Access {
        &self.access
    }
}

fn router(lab: Arc<Lab>) -> Router {
    Router::new()
        .route("/lab", get(show_lab))
        .route("/card/remove", post(remove_card))
        .route("/card/insert", post(insert_card))
        .route("/modem/reset", post(reset_modem))
        .route("/modem/message", post(send_message))
        .route("/modem/urc", post(say))
        .route("/network", get(network::show).post(network::act))
        .route("/timeline", get(timeline::list))
        .route("/timeline/wait", get(timeline::wait))
        .route("/timeline/events", get(timeline::events))
        .with_state(lab)
}

fn bad(message: impl std::fmt::Display) -> Response {
    refusal(StatusCode::BAD_REQUEST, &message.to_string())
}

fn state_of(lab: &Lab) -> Value {
    let profiles = lab.profiles().into_iter().map(|profile| {
        json!({
            "iccid": profile.iccid.to_string(),
            "state": profile.state.name(),
            "nickname": profile.nickname,
        })
    });
    let notifications = lab.notifications().into_iter().map(|notification| {
        json!({
            "number": notification.metadata.sequence_number,
            "event": notification.metadata.event().map(crate::scenario::ast::Word::word),
            "address": notification.metadata.address,
            "iccid": notification.metadata.iccid.map(|iccid| iccid.to_string()),
        })
    });
    let ports = lab.ttys().iter().enumerate();
    json!({
        "modem": {
            "model": lab.model(),
            "ports": ports.map(|(index, tty)| json!({ "tty": tty, "open": lab.modem().is_open(index) })).collect::<Vec<_>>(),
        },
        "card": {
            "eid": lab.eid().to_string(),
            "profiles": profiles.collect::<Vec<_>>(),
            "notifications": notifications.collect::<Vec<_>>(),
            "open_channels": lab.open_channels(),
        },
        "smdp": { "address": lab.smdp_address(), "ci": lab.ci_file() },
        "timeline": lab.timeline().len(),
    })
}

/// The lab as it is after something has been done to it.
fn shown(lab: &Lab) -> Response {
    done(StatusCode::OK, state_of(lab))
}

async fn show_lab(State(lab): Shared) -> Response {
    shown(&lab)
}

async fn remove_card(State(lab): Shared) -> Response {
    lab.remove_card();
    shown(&lab)
}

async fn insert_card(State(lab): Shared) -> Response {
    lab.insert_card();
    shown(&lab)
}

async fn reset_modem(State(lab): Shared) -> Response {
    lab.reset_modem();
    shown(&lab)
}

/// A body, or why it is none.
fn parse<T: serde::de::DeserializeOwned>(body: &Bytes) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("the body cannot be read: {error}"))
}

async fn send_message(State(lab): Shared, body: Bytes) -> Response {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Message {
        from: String,
        text: String,
    }
    let message: Message = match parse(&body) {
        Ok(message) => message,
        Err(error) => return bad(error),
    };
    match lab.modem().try_apply(|modem| modem.send_message(&message.from, &message.text)) {
        Ok(()) => shown(&lab),
        Err(error) => refusal(StatusCode::CONFLICT, &error.to_string()),
    }
}

async fn say(State(lab): Shared, body: Bytes) -> Response {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Urc {
        line: String,
    }
    let urc: Urc = match parse(&body) {
        Ok(urc) => urc,
        Err(error) => return bad(error),
    };
    if urc.line.is_empty() || urc.line.chars().any(char::is_control) {
        return bad("a URC is one line of text, without control characters");
    }
    lab.modem().apply(|modem| modem.announce(&urc.line));
    shown(&lab)
}

/// What the document says about the calls beside those of the SM-DP+.
fn paths() -> serde_json::Map<String, Value> {
    let text = json!({ "type": "string" });
    let content = |schema: Value| json!({ "application/json": { "schema": schema } });
    let answer = |text: &str, schema: Value| json!({ "description": text, "content": content(schema) });
    let error = |text: &str| answer(text, json!({ "$ref": "#/components/schemas/Error" }));
    let lab = || answer("The lab as it is", json!({ "type": "object" }));
    let does = |summary: &str| json!({ "post": { "summary": summary, "responses": { "200": lab(), "401": error("No token") } } });
    let takes = |summary: &str, members: &[&str]| {
        let properties: serde_json::Map<String, Value> =
            members.iter().map(|name| ((*name).to_owned(), text.clone())).collect();
        let schema = json!({
            "type": "object",
            "properties": properties,
            "required": members,
            "additionalProperties": false,
        });
        json!({ "post": {
            "summary": summary,
            "requestBody": { "required": true, "content": content(schema) },
            "responses": {
                "200": lab(),
                "400": error("A body that cannot be read"),
                "401": error("No token"),
                "409": error("The modem cannot take it now"),
            },
        }})
    };
    let from = json!({
        "name": "from", "in": "query",
        "description": "The number of the first event; 0 when not given",
        "schema": { "type": "integer", "minimum": 0 },
    });
    let query = |name: &str, description: &str, schema: Value| json!({ "name": name, "in": "query", "description": description, "schema": schema });
    let paths = json!({
        "/lab": {
            "get": { "summary": "What there is", "responses": { "200": lab(), "401": error("No token") } },
        },
        "/card/remove": does("Take the card out"),
        "/card/insert": does("Put the card in"),
        "/modem/reset": does("Restart the modem"),
        "/modem/message": takes("Have the network deliver a text message", &["from", "text"]),
        "/modem/urc": takes("Have the modem say a line unasked", &["line"]),
        "/network": network::paths(&lab(), &error),
        "/timeline": {
            "parameters": [from],
            "get": {
                "summary": "What was seen; `next` is where to go on",
                "responses": {
                    "200": answer("The events", json!({
                        "type": "object",
                        "properties": {
                            "next": { "type": "integer" },
                            "events": { "type": "array", "items": { "type": "object" } },
                        },
                    })),
                    "400": error("A query that cannot be read"),
                    "401": error("No token"),
                },
            },
        },
        "/timeline/wait": {
            "parameters": [
                from,
                query("text", "What the event has to have in it, as `esimlab up --verbose` shows it", text.clone()),
                query("role", "Whose it has to be: assistant, modem, card, server, network, lab", text.clone()),
                query("seconds", "How long to wait at most; 30 when not given", json!({ "type": "number" })),
            ],
            "get": {
                "summary": "The first event that is so; waits until there is one",
                "responses": {
                    "200": answer("The event", json!({ "type": "object" })),
                    "400": error("A query that cannot be read"),
                    "401": error("No token"),
                    "408": error("There was none in this time"),
                },
            },
        },
        "/timeline/events": {
            "parameters": [from],
            "get": {
                "summary": "What was seen and what comes, as server-sent events; their ids are numbers of events",
                "responses": {
                    "200": { "description": "Events", "content": { "text/event-stream": {} } },
                    "400": error("A query that cannot be read"),
                    "401": error("No token"),
                },
            },
        },
    });
    match paths {
        Value::Object(paths) => paths,
        _ => serde_json::Map::new(),
    }
}
