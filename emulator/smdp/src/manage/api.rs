//! The calls of the management API.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use rsp::Eid;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc};

use super::{Manage, code_as_png, code_as_svg, done, refusal};
use crate::front::{FaultSpec, timestamp};
use crate::order::{Order, OrderId, OrderSpec, OrderState};
use crate::profile::{Profile, ProfileSpec};
use crate::server::{Function, Smdp};
use crate::status::StatusError;

type Shared = State<Arc<Manage>>;

/// An order as it is given to the management API.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewOrder {
    profile: String,
    #[serde(default)]
    number: Option<u32>,
    #[serde(default)]
    matching_id: Option<String>,
    #[serde(default)]
    eid: Option<String>,
    #[serde(default)]
    confirmation_code: Option<String>,
    #[serde(default)]
    state: OrderState,
    #[serde(default)]
    expires: Option<i64>,
    #[serde(default)]
    max_attempts: Option<u32>,
    #[serde(default)]
    replace_session_keys: Option<bool>,
}

fn bad(message: impl std::fmt::Display) -> Response {
    refusal(StatusCode::BAD_REQUEST, &message.to_string())
}

/// The store has failed: nothing of the caller's is wrong, and trying again may help.
fn unkept(status: &StatusError) -> Response {
    refusal(StatusCode::SERVICE_UNAVAILABLE, &status.message)
}

/// Why a call was not even begun.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        refusal(self.0, &self.1)
    }
}

fn parse<T: serde::de::DeserializeOwned>(body: &Bytes) -> Result<T, Refused> {
    serde_json::from_slice(body)
        .map_err(|error| Refused(StatusCode::BAD_REQUEST, format!("the body cannot be read: {error}")))
}

fn order_number(text: &str) -> Result<OrderId, Refused> {
    let number = text.parse().ok().and_then(OrderId::from_number);
    number.ok_or_else(|| Refused(StatusCode::NOT_FOUND, "orders have numbers from 1 on".to_owned()))
}

fn json_of(order: &Order, address: &str) -> Value {
    let spec = order.spec();
    let code = order.activation_code(address);
    json!({
        "number": order.id().number(),
        "state": order.state(),
        "matching_id": order.matching_id(),
        "eid": order.eid().map(|eid| eid.to_string()),
        "bound_to": order.bound_to().map(|eid| eid.to_string()),
        "iccid": order.profile().iccid().to_string(),
        "profile": order.profile().name(),
        "profile_type": spec.profile_type,
        "needs_confirmation_code": order.needs_confirmation_code(),
        "expires": spec.expires,
        "max_attempts": spec.max_attempts,
        "attempts": order.attempts(),
        "wrong_codes": order.wrong_codes(),
        "activation_code": format!("LPA:{code}"),
        "events": order
            .events()
            .iter()
            .map(|event| json!({ "at": timestamp(event.at), "to": event.to, "cause": event.cause }))
            .collect::<Vec<_>>(),
    })
}

pub(super) async fn show_document(State(manage): Shared) -> Response {
    let profiles: Vec<&str> = manage.options.catalog.keys().map(String::as_str).collect();
    done(StatusCode::OK, document(&profiles))
}

pub(super) async fn list_orders(State(manage): Shared) -> Response {
    let address = &manage.options.address;
    let list =
        manage.server.change(|smdp, _| smdp.orders().iter().map(|order| json_of(order, address)).collect::<Vec<_>>());
    match list.await {
        Ok(list) => done(StatusCode::OK, json!(list)),
        Err(status) => unkept(&status),
    }
}

/// A profile by its name: the one with this number, or the first whose ICCID nobody has ordered.
fn next_profile(smdp: &Smdp, spec: &ProfileSpec, number: Option<u32>) -> Result<Profile, String> {
    let build = |number| Profile::build(&spec.numbered(number)).map_err(|error| error.to_string());
    if let Some(number) = number {
        return build(number);
    }
    let taken: std::collections::HashSet<_> = smdp.orders().iter().map(|order| order.profile().iccid()).collect();
    let last = u32::try_from(taken.len()).unwrap_or(u32::MAX);
    for number in 0..=last {
        let profile = build(number)?;
        if !taken.contains(&profile.iccid()) {
            return Ok(profile);
        }
    }
    Err("every number of this profile is taken".to_owned())
}

pub(super) async fn add_order(State(manage): Shared, body: Bytes) -> Response {
    let new: NewOrder = match parse(&body) {
        Ok(new) => new,
        Err(refused) => return refused.into_response(),
    };
    let Some(spec) = manage.options.catalog.get(&new.profile) else {
        let known = manage.options.catalog.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        return bad(format!("there is no profile {:?}; there are {known}", new.profile));
    };
    let eid = match new.eid.as_deref().map(Eid::parse).transpose() {
        Ok(eid) => eid,
        // It has the form of one, or not: either way it is of no card.
        Err(error) => return refusal(StatusCode::CONFLICT, &error.to_string()),
    };
    let address = &manage.options.address;
    let added = manage.server.change(|smdp, now| {
        let profile = next_profile(smdp, spec, new.number)?;
        let order = OrderSpec {
            matching_id: new.matching_id,
            eid,
            confirmation_code: new.confirmation_code.filter(|code| !code.is_empty()),
            state: new.state,
            expires: new.expires,
            max_attempts: new.max_attempts,
            replace_session_keys: new.replace_session_keys,
            profile_type: Some(new.profile),
            ..OrderSpec::inventory(profile)
        };
        let id = smdp.add_order(order, now).map_err(|error| error.to_string())?;
        smdp.order(id).map(|order| json_of(order, address)).ok_or_else(|| "the order is gone".to_owned())
    });
    match added.await {
        Ok(Ok(order)) => done(StatusCode::CREATED, order),
        Ok(Err(message)) => refusal(StatusCode::CONFLICT, &message),
        Err(status) => unkept(&status),
    }
}

/// Does something with an order, and shows it.
async fn with_order(
    manage: &Manage,
    number: &str,
    act: impl FnOnce(&mut Smdp, OrderId, i64) -> Result<(), String>,
) -> Response {
    let id = match order_number(number) {
        Ok(id) => id,
        Err(refused) => return refused.into_response(),
    };
    let address = &manage.options.address;
    let shown = manage.server.change(|smdp, now| {
        smdp.order(id)?;
        let acted = act(smdp, id, now);
        smdp.order(id).map(|order| acted.map(|()| json_of(order, address)))
    });
    match shown.await {
        Ok(Some(Ok(order))) => done(StatusCode::OK, order),
        Ok(Some(Err(message))) => refusal(StatusCode::CONFLICT, &message),
        Ok(None) => refusal(StatusCode::NOT_FOUND, "there is no order with this number"),
        Err(status) => unkept(&status),
    }
}

pub(super) async fn show_order(State(manage): Shared, Path(number): Path<String>) -> Response {
    with_order(&manage, &number, |_, _, _| Ok(())).await
}

pub(super) async fn release_order(State(manage): Shared, Path(number): Path<String>) -> Response {
    with_order(&manage, &number, |smdp, id, now| {
        let Some(order) = smdp.order(id) else { return Ok(()) };
        match order.state() {
            OrderState::Available | OrderState::Allocated | OrderState::Linked | OrderState::Confirmed => {}
            state => return Err(format!("the order is {state}, and only one that waits can be released")),
        }
        if order.matching_id().is_none() && order.eid().is_none() {
            return Err("the order has neither a matching id nor an EID: nobody could ask for it".to_owned());
        }
        smdp.set_order_state(id, OrderState::Released, "released by hand", now);
        Ok(())
    })
    .await
}

pub(super) async fn cancel_order(State(manage): Shared, Path(number): Path<String>) -> Response {
    with_order(&manage, &number, |smdp, id, now| match smdp.order(id).map(Order::state) {
        Some(OrderState::Installed) => Err("the order is installed: the profile is on a card".to_owned()),
        _ => {
            smdp.set_order_state(id, OrderState::Unavailable, "cancelled by hand", now);
            Ok(())
        }
    })
    .await
}

pub(super) async fn set_state(State(manage): Shared, Path(number): Path<String>, body: Bytes) -> Response {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        state: OrderState,
    }
    match parse::<Wanted>(&body) {
        Ok(Wanted { state }) => {
            with_order(&manage, &number, |smdp, id, now| {
                smdp.set_order_state(id, state, "set by hand", now);
                Ok(())
            })
            .await
        }
        Err(refused) => refused.into_response(),
    }
}

pub(super) async fn set_expiry(State(manage): Shared, Path(number): Path<String>, body: Bytes) -> Response {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        expires: Option<i64>,
    }
    match parse::<Wanted>(&body) {
        Ok(Wanted { expires }) => {
            with_order(&manage, &number, |smdp, id, _| {
                smdp.set_order_expiry(id, expires);
                Ok(())
            })
            .await
        }
        Err(refused) => refused.into_response(),
    }
}

/// The activation code of an order, in some form.
async fn code(
    manage: &Manage,
    number: &str,
    kind: &'static str,
    draw: impl FnOnce(&str) -> Result<Vec<u8>, super::CodeError>,
) -> Response {
    let id = match order_number(number) {
        Ok(id) => id,
        Err(refused) => return refused.into_response(),
    };
    let address = &manage.options.address;
    let text = manage.server.change(|smdp, _| smdp.order(id).map(|order| order.activation_code(address)));
    match text.await {
        Ok(Some(text)) => match draw(&format!("LPA:{text}")) {
            Ok(picture) => ([(header::CONTENT_TYPE, kind)], picture).into_response(),
            Err(error) => refusal(StatusCode::CONFLICT, &error.to_string()),
        },
        Ok(None) => refusal(StatusCode::NOT_FOUND, "there is no order with this number"),
        Err(status) => unkept(&status),
    }
}

pub(super) async fn code_text(State(manage): Shared, Path(number): Path<String>) -> Response {
    code(&manage, &number, "text/plain;charset=UTF-8", |text| Ok(format!("{text}\n").into_bytes())).await
}

pub(super) async fn code_svg(State(manage): Shared, Path(number): Path<String>) -> Response {
    code(&manage, &number, "image/svg+xml", |text| code_as_svg(text).map(String::into_bytes)).await
}

pub(super) async fn code_png(State(manage): Shared, Path(number): Path<String>) -> Response {
    code(&manage, &number, "image/png", code_as_png).await
}

pub(super) async fn list_sessions(State(manage): Shared) -> Response {
    let list = manage.server.change(|smdp, _| {
        let list = smdp.sessions().into_iter().map(|session| {
            json!({
                "transaction_id": session.transaction_id.to_string(),
                "opened": timestamp(session.opened),
                "eid": session.eid.map(|eid| eid.to_string()),
                "order": session.order.map(OrderId::number),
                "stage": session.stage,
            })
        });
        list.collect::<Vec<_>>()
    });
    match list.await {
        Ok(list) => done(StatusCode::OK, json!(list)),
        Err(status) => unkept(&status),
    }
}

fn faults(manage: &Manage, status: StatusCode) -> Response {
    let list = manage.server.faults().list().into_iter().map(|armed| {
        let fault = armed.fault;
        json!({
            "text": fault.action.to_string(),
            "function": fault.function.map(|function| function.name()),
            "order": fault.order,
            "nth": fault.nth,
            "count": fault.count,
            "seen": armed.seen,
            "fired": armed.fired,
        })
    });
    done(status, json!(list.collect::<Vec<_>>()))
}

pub(super) async fn list_faults(State(manage): Shared) -> Response {
    faults(&manage, StatusCode::OK)
}

pub(super) async fn add_fault(State(manage): Shared, body: Bytes) -> Response {
    let fault = match parse::<FaultSpec>(&body) {
        Ok(spec) => spec.fault(),
        Err(refused) => return refused.into_response(),
    };
    match fault {
        Ok(fault) => {
            manage.server.faults().add(fault);
            faults(&manage, StatusCode::CREATED)
        }
        Err(error) => bad(error),
    }
}

pub(super) async fn set_faults(State(manage): Shared, body: Bytes) -> Response {
    let specs = match parse::<Vec<FaultSpec>>(&body) {
        Ok(specs) => specs,
        Err(refused) => return refused.into_response(),
    };
    match specs.iter().map(FaultSpec::fault).collect() {
        Ok(all) => {
            manage.server.faults().set(all);
            faults(&manage, StatusCode::OK)
        }
        Err(error) => bad(error),
    }
}

pub(super) async fn clear_faults(State(manage): Shared) -> Response {
    manage.server.faults().set(Vec::new());
    faults(&manage, StatusCode::OK)
}

pub(super) async fn metrics(State(manage): Shared) -> Response {
    let state = manage.server.change(|smdp, _| {
        let mut orders = std::collections::BTreeMap::new();
        for order in smdp.orders() {
            *orders.entry(order.state().to_string()).or_insert(0u64) += 1;
        }
        (smdp.open_sessions(), orders)
    });
    let (sessions, orders) = match state.await {
        Ok(state) => state,
        Err(status) => return unkept(&status),
    };
    let mut text = manage.options.watch.metrics();
    text += "# HELP esimlab_smdp_open_sessions Sessions that are open.\n# TYPE esimlab_smdp_open_sessions gauge\n";
    text += &format!("esimlab_smdp_open_sessions {sessions}\n");
    text += "# HELP esimlab_smdp_orders Orders by state.\n# TYPE esimlab_smdp_orders gauge\n";
    for state in OrderState::ALL {
        let count = orders.get(&state.to_string()).copied().unwrap_or(0);
        text += &format!("esimlab_smdp_orders{{state=\"{state}\"}} {count}\n");
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

/// A body that goes on for as long as somebody reads it.
struct Stream(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Stream {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

pub(super) async fn events(State(manage): Shared) -> Response {
    let mut seen = manage.options.watch.subscribe();
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        let mut line = ": events from now on\n\n".to_owned();
        // It ends when nobody reads any more, or nobody is left to tell anything.
        while sender.send(Bytes::from(line)).await.is_ok() {
            line = tokio::select! {
                event = seen.recv() => match event {
                    Ok(event) => format!("data: {event}\n\n"),
                    Err(broadcast::error::RecvError::Lagged(count)) => format!(": {count} events were lost\n\n"),
                    Err(broadcast::error::RecvError::Closed) => break,
                },
                () = sender.closed() => break,
            };
        }
    });
    let mut response = Body::new(Stream(receiver)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What the management API can do, as OpenAPI 3.1.
pub(super) fn document(profiles: &[&str]) -> Value {
    let text = json!({ "type": "string" });
    let maybe = |kind: &str| json!({ "type": [kind, "null"] });
    let states: Vec<String> = OrderState::ALL.iter().map(OrderState::to_string).collect();
    let content = |schema: Value| json!({ "application/json": { "schema": schema } });
    let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let answer = |text: &str, schema: Value| json!({ "description": text, "content": content(schema) });
    let list = |name: &str| json!({ "type": "array", "items": reference(name) });
    let error = |text: &str| answer(text, reference("Error"));
    let number = json!({
        "name": "number", "in": "path", "required": true,
        "schema": { "type": "integer", "minimum": 1, "maximum": 1_000_000_000 },
    });
    let of_order = |summary: &str, body: Option<Value>| {
        let mut call = json!({
            "summary": summary,
            "responses": {
                "200": answer("The order", reference("Order")),
                "401": error("No token"),
                "404": error("No such order"),
                "409": error("Not in this state"),
                "503": error("The store has failed"),
            },
        });
        if let Some(schema) = body {
            call["requestBody"] = json!({ "required": true, "content": content(schema) });
            call["responses"]["400"] = error("A body that cannot be read");
        }
        call
    };
    let picture = |kind: &str| {
        json!({
            "parameters": [number],
            "get": {
                "summary": "The activation code of an order",
                "responses": {
                    "200": { "description": "The code", "content": { kind: {} } },
                    "401": error("No token"),
                    "404": error("No such order"),
                    "409": error("A code that cannot be drawn"),
                },
            },
        })
    };
    let with_body = |summary: &str, schema: Value, status: &str, result: Value| {
        json!({
            "summary": summary,
            "requestBody": { "required": true, "content": content(schema) },
            "responses": {
                status: answer("Done", result),
                "400": error("A body that cannot be read"),
                "401": error("No token"),
                "409": error("It cannot be taken"),
                "503": error("The store has failed"),
            },
        })
    };
    let plain = |summary: &str, result: Value| {
        json!({
            "summary": summary,
            "responses": { "200": result, "401": error("No token"), "503": error("The store has failed") },
        })
    };
    let stream = |kind: &str| json!({ "description": "A text", "content": { kind: {} } });
    // Exactly one key says what goes wrong; the others say when.
    let words = |words: &[&str]| json!({ "type": "string", "enum": words });
    let number_to = |most: u32| json!({ "type": ["integer", "null"], "minimum": 0, "maximum": most });
    let codes = "^[0-9]{1,4}(\\.[0-9]{1,4}){0,5}/[0-9]{1,4}(\\.[0-9]{1,4}){0,5}$";
    let functions: Vec<Option<&str>> =
        Function::ALL.iter().map(|function| Some(function.name())).chain([None]).collect();
    let kinds = [
        ("tcp", words(&["close", "reset"])),
        (
            "tls",
            words(&[
                "close",
                "garbage",
                "hang",
                "alert",
                "untrusted",
                "expired",
                "wrong-name",
                "wrong-role",
                "old-version",
            ]),
        ),
        ("http", words(&["no-reply", "cut", "drip", "content-type", "garbage", "huge"])),
        ("http-status", json!({ "type": "integer", "minimum": 200, "maximum": 599 })),
        ("redirect", text.clone()),
        ("missing", text.clone()),
        ("refuse", json!({ "type": "string", "pattern": codes })),
        (
            "es9plus",
            words(&["wrong-transaction-id", "bad-signature", "wrong-certificate", "tamper-segment", "tamper-mac"]),
        ),
    ];
    let kinds: Vec<Value> = kinds
        .into_iter()
        .map(|(name, schema)| {
            json!({
                "type": "object",
                "properties": {
                    name: schema,
                    "segment": number_to(1_000_000),
                    "bytes": number_to(1_000_000),
                    "function": { "type": ["string", "null"], "enum": functions },
                    "order": maybe("string"),
                    "nth": number_to(1_000_000),
                    "count": number_to(1_000_000),
                },
                "required": [name],
                "additionalProperties": false,
            })
        })
        .collect();
    let time =
        json!({ "type": ["integer", "null"], "minimum": -1_000_000_000_000i64, "maximum": 1_000_000_000_000i64 });
    json!({
        "openapi": "3.1.0",
        "info": { "title": "esimlab SM-DP+ management", "version": env!("CARGO_PKG_VERSION") },
        "security": [{ "token": [] }],
        "paths": {
            "/openapi.json": { "get": plain("This document", answer("The document", json!({ "type": "object" }))) },
            "/orders": {
                "get": plain("All orders", answer("The orders", list("Order"))),
                "post": with_body("Take an order", reference("NewOrder"), "201", reference("Order")),
            },
            "/orders/{number}": { "parameters": [number], "get": of_order("An order", None) },
            "/orders/{number}/release": { "parameters": [number], "post": of_order("Release an order", None) },
            "/orders/{number}/cancel": { "parameters": [number], "post": of_order("Take an order back", None) },
            "/orders/{number}/state": {
                "parameters": [number],
                "post": of_order("Put an order into a state", Some(json!({
                    "type": "object",
                    "properties": { "state": reference("State") },
                    "required": ["state"],
                    "additionalProperties": false,
                }))),
            },
            "/orders/{number}/expiry": {
                "parameters": [number],
                "post": of_order("Set when an order expires, Unix seconds", Some(json!({
                    "type": "object",
                    "properties": { "expires": time },
                    "additionalProperties": false,
                }))),
            },
            "/orders/{number}/code.txt": picture("text/plain"),
            "/orders/{number}/code.svg": picture("image/svg+xml"),
            "/orders/{number}/code.png": picture("image/png"),
            "/sessions": {
                "get": plain("Open sessions", answer("The sessions", json!({
                    "type": "array", "items": { "type": "object" },
                }))),
            },
            "/faults": {
                "get": plain("The faults that are set", answer("The faults", list("ArmedFault"))),
                "post": with_body("Set one more fault", reference("Fault"), "201", list("ArmedFault")),
                "put": with_body("Replace all faults", list("Fault"), "200", list("ArmedFault")),
                "delete": plain("Take all faults away", answer("None", list("ArmedFault"))),
            },
            "/events": { "get": plain("What happens, as server-sent events", stream("text/event-stream")) },
            "/metrics": { "get": plain("Counters for Prometheus", stream("text/plain")) },
        },
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": {
                "State": { "type": "string", "enum": states },
                "Error": {
                    "type": "object", "properties": { "error": text }, "required": ["error"],
                },
                "NewOrder": {
                    "type": "object",
                    "properties": {
                        "profile": { "type": "string", "enum": profiles, "description": "The name of a profile" },
                        "number": { "type": ["integer", "null"], "minimum": 0, "maximum": 999_999_999 },
                        "matching_id": maybe("string"),
                        "eid": { "type": ["string", "null"], "pattern": "^[0-9]{32}$" },
                        "confirmation_code": maybe("string"),
                        "state": reference("State"),
                        "expires": time,
                        "max_attempts": { "type": ["integer", "null"], "minimum": 0, "maximum": 1_000_000 },
                        "replace_session_keys": maybe("boolean"),
                    },
                    "required": ["profile"],
                    "additionalProperties": false,
                },
                "Order": {
                    "type": "object",
                    "properties": {
                        "number": { "type": "integer" },
                        "state": reference("State"),
                        "matching_id": maybe("string"),
                        "eid": maybe("string"),
                        "bound_to": maybe("string"),
                        "iccid": text,
                        "profile": text,
                        "profile_type": maybe("string"),
                        "needs_confirmation_code": { "type": "boolean" },
                        "expires": maybe("integer"),
                        "max_attempts": maybe("integer"),
                        "attempts": { "type": "integer" },
                        "wrong_codes": { "type": "integer" },
                        "activation_code": text,
                        "events": { "type": "array", "items": { "type": "object" } },
                    },
                    "required": ["number", "state", "iccid", "activation_code"],
                },
                "Fault": {
                    "description": "What goes wrong, and when",
                    "oneOf": kinds,
                },
                "ArmedFault": {
                    "type": "object",
                    "properties": { "text": text, "seen": { "type": "integer" }, "fired": { "type": "integer" } },
                    "required": ["text", "seen", "fired"],
                },
            },
        },
    })
}
