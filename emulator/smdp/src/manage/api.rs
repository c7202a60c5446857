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

use super::document::document;
use super::{Manage, code_as_png, code_as_svg, done, refusal};
use crate::front::{FaultSpec, timestamp};
use crate::order::{Order, OrderId, OrderSpec, OrderState};
use crate::profile::{Profile, ProfileSpec};
use crate::server::Smdp;
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
    let mut value: Value = serde_json::from_slice(body).map_err(unreadable)?;
    make_whole(&mut value);
    serde_json::from_value(value).map_err(unreadable)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn unreadable(error: serde_json::Error) -> Refused {
    Refused(StatusCode::BAD_REQUEST, format!("the body cannot be read: {error}"))
}

/// An integer may be written with a fraction of zero (JSON Schema 2020-12 §6.1.1), which serde takes for another type.
fn make_whole(value: &mut Value) {
    /// From here on not every whole number has a form of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) if number.is_f64() => {
            if let Some(float) = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < EXACT) {
                *value = json!(float as i64);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(make_whole),
        Value::Object(members) => members.values_mut().for_each(make_whole),
        _ => {}
    }
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
    let mut document = document(&profiles);
    if let Some(paths) = document["paths"].as_object_mut() {
        paths.extend(manage.extra_paths.clone());
    }
    done(StatusCode::OK, document)
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
    match fault.and_then(|fault| manage.server.add_fault(fault)) {
        Ok(()) => faults(&manage, StatusCode::CREATED),
        Err(error) => bad(error),
    }
}

pub(super) async fn set_faults(State(manage): Shared, body: Bytes) -> Response {
    let specs = match parse::<Vec<FaultSpec>>(&body) {
        Ok(specs) => specs,
        Err(refused) => return refused.into_response(),
    };
    let all: Result<Vec<_>, _> = specs.iter().map(FaultSpec::fault).collect();
    match all.and_then(|all| manage.server.set_faults(all)) {
        Ok(()) => faults(&manage, StatusCode::OK),
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
    event_stream(receiver)
}

/// A response of server-sent events: the pieces as they come, for as long as somebody sends and somebody reads.
pub fn event_stream(pieces: mpsc::Receiver<Bytes>) -> Response {
    let mut response = Body::new(Stream(pieces)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
