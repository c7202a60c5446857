//! Requests: path, method, headers and body to a function, and what it comes to back into a response, with the faults
//! around it (SGP.22 §6.5, §6.6).

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use axum::response::Response;

use super::body::BodyError;
use rsp::TransactionId;

use super::call::{Backend, Front};
use super::es2::PeerFunction;
use super::fault::{Action, Occasion, Sought};
use super::{ADMIN_PROTOCOL, ADMIN_PROTOCOL_NAME, Exchange, FaultFired, Function, asn1, body, json};
use crate::server::{Answer, Request as Call};
use crate::status::{Status, StatusError};

/// Where the functions are (SGP.22 §6.5.2).
const ES9PLUS: &str = "/gsma/rsp2/es9plus/";
const ES11: &str = "/gsma/rsp2/es11/";
const ASN1: &str = "/gsma/rsp2/asn1";
/// The content type of the ASN.1 binding (SGP.22 §6.6.1).
const ASN1_TYPE: &str = "application/x-gsma-rsp-asn1";

/// What a path leads to.
#[derive(Debug, Clone, Copy)]
enum Place {
    Json(Function),
    Asn1,
    Peer(PeerFunction),
}

impl Place {
    fn of(path: &str, smds: bool) -> Option<Self> {
        if path == ASN1 {
            return Some(Place::Asn1);
        }
        if let Some(function) = PeerFunction::at(path, smds) {
            return Some(Place::Peer(function));
        }
        if !smds {
            return path.strip_prefix(ES9PLUS).and_then(Function::named).map(Place::Json);
        }
        // Clients call an SM-DS by the path of ES11, or by that of ES9+.
        let name = path.strip_prefix(ES11).or_else(|| path.strip_prefix(ES9PLUS))?;
        let function = Function::named(name)?;
        matches!(function, Function::InitiateAuthentication | Function::AuthenticateClient)
            .then_some(Place::Json(function))
    }
}

/// What a function has come to, as HTTP.
struct Reply {
    status: StatusCode,
    body: Vec<u8>,
    kind: &'static str,
    refused: Option<StatusError>,
    /// What is wrong with how it is sent.
    flaw: Option<Action>,
}

const JSON_TYPE: &str = "application/json;charset=UTF-8";
pub(super) const TEXT_TYPE: &str = "text/plain;charset=UTF-8";

impl Reply {
    fn of(answer: Result<Answer, StatusError>, function: Function) -> Self {
        let status = match (&answer, function) {
            // SGP.22 §6.5.1.4: a notification is answered by an empty body.
            (Ok(Answer::Notified(_)), _) => StatusCode::NO_CONTENT,
            // That has no room for a status; the LPA must not take the notification for delivered.
            (Err(_), Function::HandleNotification) => StatusCode::BAD_REQUEST,
            _ => StatusCode::OK,
        };
        let body = json::encode(&answer).unwrap_or_default();
        Reply { status, body, kind: JSON_TYPE, refused: answer.err(), flaw: None }
    }

    fn asn1(answer: Result<Answer, StatusError>, function: Function, smds: bool) -> Self {
        let status = match (&answer, function) {
            (Err(_), Function::HandleNotification) => StatusCode::BAD_REQUEST,
            (Ok(_), Function::HandleNotification) => StatusCode::NO_CONTENT,
            _ => StatusCode::OK,
        };
        let body = asn1::encode(function, smds, &answer).unwrap_or_default();
        Reply { status, body, kind: ASN1_TYPE, refused: answer.err(), flaw: None }
    }

    fn plain(status: StatusCode, text: &str) -> Self {
        Reply { status, body: text.as_bytes().to_vec(), kind: TEXT_TYPE, refused: None, flaw: None }
    }
}

/// Answers every request, whatever its path and method, so that every one is observed. Without a response the
/// connection is to be closed instead. `certificate` says whether the client has shown one that was verified.
pub(super) async fn answer<B>(front: Arc<Front>, certificate: bool, request: Request<B>) -> Option<Response>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
{
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let place = Place::of(&path, front.is_smds());
    // A body that never ends must not hold its connection for ever.
    let body = tokio::time::timeout(front.options.patience, body::whole(body, front.options.body_limit)).await;
    let began = Instant::now();
    let request = body.iter().flatten().next().cloned().unwrap_or_default();
    let mut function = match place {
        Some(Place::Json(function)) => Some(function),
        _ => None,
    };

    let reply = match (place, body) {
        (None, _) => Some(Reply::plain(StatusCode::NOT_FOUND, "this is no function of this server\n")),
        (Some(_), _) if parts.method != Method::POST => {
            Some(Reply::plain(StatusCode::METHOD_NOT_ALLOWED, "functions are called by POST\n"))
        }
        (_, Err(_)) => Some(Reply::plain(StatusCode::REQUEST_TIMEOUT, "the body does not come\n")),
        (_, Ok(Err(BodyError::TooLong))) => Some(Reply::plain(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long\n")),
        (_, Ok(Err(BodyError::Broken))) => Some(Reply::plain(StatusCode::BAD_REQUEST, "the body cannot be read\n")),
        (Some(Place::Json(function)), Ok(Ok(body))) => perform_json(&front, function, &parts.headers, &body).await,
        (Some(Place::Asn1), Ok(Ok(body))) => perform_asn1(&front, &parts.headers, &body, &mut function).await,
        (Some(Place::Peer(function)), Ok(Ok(body))) => {
            Some(perform_peer(&front, function, &parts.headers, certificate, &body).await)
        }
    };
    let (sent, reply) = match reply {
        Some(mut reply) => (Bytes::from(std::mem::take(&mut reply.body)), Some(reply)),
        None => (Bytes::new(), None),
    };
    front.options.observer.exchange(&Exchange {
        path,
        function,
        request_length: request.len(),
        request,
        response: sent.clone(),
        http_status: reply.as_ref().map(|reply| reply.status.as_u16()),
        response_length: sent.len(),
        refused: reply.as_ref().and_then(|reply| reply.refused.clone()),
        duration: began.elapsed(),
    });
    reply.map(|reply| respond(reply, sent))
}

/// The response with this body: the reply's own is empty by now.
fn respond(reply: Reply, sent: Bytes) -> Response {
    let mut location = None;
    let mut length = None;
    let body = match reply.flaw {
        Some(Action::HttpCut { after }) => {
            length = Some(sent.len());
            body::Pieces::cut(&sent, after)
        }
        Some(Action::HttpDrip { size, pause }) => {
            length = Some(sent.len());
            body::Pieces::slowly(&sent, size, pause)
        }
        Some(Action::HttpRedirect(to)) => {
            location = HeaderValue::from_str(&to).ok();
            Body::empty()
        }
        _ => Body::from(sent),
    };
    let mut response = Response::new(body);
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    headers.insert(ADMIN_PROTOCOL_NAME, ADMIN_PROTOCOL);
    if reply.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
    }
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    if let Some(location) = location {
        headers.insert(header::LOCATION, location);
    }
    if reply.status != StatusCode::NO_CONTENT {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(reply.kind));
    }
    response
}

/// What a fault at a request makes of it.
enum Broken {
    /// The client gets this, or nothing.
    Instead(Option<Reply>),
    /// The function comes to this.
    Refused(StatusError),
    /// It goes on, and the response is sent in this way.
    Sent(Action),
}

/// The fault at a request, before its function is called.
fn request_fault(front: &Front, sought: Sought<'_>, session: Option<&TransactionId>) -> Option<Broken> {
    Some(match front.fault(Occasion::Request, sought)? {
        Action::HttpStatus { status, body } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            Broken::Instead(Some(Reply::plain(status, &body)))
        }
        Action::HttpNoReply => Broken::Instead(None),
        Action::Refuse(status) => Broken::Refused(status),
        Action::Flaw(flaw) => {
            // Of this session only: others may be at the same function now.
            if let (Backend::Smdp(smdp), Some(session)) = (&front.backend, session) {
                smdp.lock().unwrap_or_else(PoisonError::into_inner).spoil_package(session, flaw);
            }
            return None;
        }
        action => Broken::Sent(action),
    })
}

/// What a fault does to the response of a function.
fn response_fault(front: &Front, sought: Sought<'_>, answer: &mut Answer) {
    let earlier = front.faults.recorded(sought.function, answer);
    if let Some(action) = front.faults.fire(Occasion::Response, sought) {
        if let (Action::Replay, Some(mut earlier)) = (&action, earlier) {
            // Whoever plays it again puts this session's id on it, or the client would not even look inside.
            if let (Some(old), Some(new)) = (earlier.transaction_id_mut(), answer.transaction_id_mut()) {
                old.clone_from(new);
            }
            *answer = earlier;
            return front.options.observer.fault(&FaultFired { action, function: sought.function });
        }
        // A segment that the package does not have, say, is not altered: then nothing has fired.
        if action.alter(answer, &front.backend) {
            front.options.observer.fault(&FaultFired { action, function: sought.function });
        }
    }
}

/// Performs a function in the JSON binding. `None` is a client that gets no answer.
async fn perform_json(front: &Arc<Front>, function: Function, headers: &HeaderMap, body: &[u8]) -> Option<Reply> {
    let request = check_headers(headers, "application/json").and_then(|()| json::parse(function, body));
    perform(front, function, request, |answer| Reply::of(answer, function)).await
}

/// The same in the ASN.1 binding.
async fn perform_asn1(
    front: &Arc<Front>,
    headers: &HeaderMap,
    body: &[u8],
    found: &mut Option<Function>,
) -> Option<Reply> {
    if let Err(status) = check_headers(headers, ASN1_TYPE) {
        return Some(Reply::plain(StatusCode::BAD_REQUEST, &format!("{status}\n")));
    }
    let (function, request) = match asn1::parse(body) {
        Ok(parsed) => parsed,
        // Without a function there is no response that could carry a status.
        Err(error) => return Some(Reply::plain(StatusCode::BAD_REQUEST, &format!("no request of ES9+: {error}\n"))),
    };
    *found = Some(function);
    perform(front, function, request, |answer| Reply::asn1(answer, function, front.is_smds())).await
}

/// Calls a function with the faults around it, and forms its response.
async fn perform(
    front: &Arc<Front>,
    function: Function,
    request: Result<Call, StatusError>,
    form: impl FnOnce(Result<Answer, StatusError>) -> Reply,
) -> Option<Reply> {
    // The order is looked for only where a fault asks for it.
    let order = match &request {
        Ok(request) if front.faults.any_for_an_order() => front.order_of(request),
        _ => None,
    };
    let sought = Sought { function: Some(function), order: order.as_deref() };
    let mut flaw = None;
    let session = request.as_ref().ok().and_then(Call::transaction_id);
    let answer = match request_fault(front, sought, session) {
        Some(Broken::Instead(reply)) => return reply,
        Some(Broken::Refused(status)) => Err(status),
        other => {
            if let Some(Broken::Sent(action)) = other {
                flaw = Some(action);
            }
            match request {
                Ok(request) => front.call(request).await,
                Err(status) => Err(status),
            }
        }
    };
    let answer = answer.map(|mut answer| {
        response_fault(front, sought, &mut answer);
        answer
    });
    let mut reply = form(answer);
    if let Some(action) = flaw {
        action.spoil(&mut reply.body, &mut reply.kind);
        if let Action::HttpRedirect(_) = action {
            (reply.status, reply.body) = (StatusCode::FOUND, Vec::new());
        }
        reply.flaw = Some(action);
    }
    Some(reply)
}

/// A function of ES2+ or ES12, for those who may call it.
async fn perform_peer(
    front: &Arc<Front>,
    function: PeerFunction,
    headers: &HeaderMap,
    certificate: bool,
    body: &[u8],
) -> Reply {
    if !front.options.client_ca.is_empty() && !certificate {
        return Reply::plain(StatusCode::FORBIDDEN, "a client certificate is needed (SGP.22 §2.6.6.2)\n");
    }
    let answer = match check_headers(headers, "application/json") {
        Ok(()) => front.peer(function, body).await,
        Err(status) => Err(status),
    };
    let text = match &answer {
        Ok(answer) => answer.to_string(),
        Err(status) => json::failure(status).to_string(),
    };
    Reply { status: StatusCode::OK, body: text.into_bytes(), kind: JSON_TYPE, refused: answer.err(), flaw: None }
}

/// SGP.22 §6.5.1.1: the content type of the binding, and a version of the protocol of the same kind.
fn check_headers(headers: &HeaderMap, expected: &str) -> Result<(), StatusError> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case(expected) {
        return Err(Status::ContentType.with(format!("Content-Type is {content_type:?}")));
    }
    let Some(protocol) = headers.get(ADMIN_PROTOCOL_NAME) else {
        return Err(Status::AdminProtocol.with("X-Admin-Protocol is missing"));
    };
    if protocol.to_str().ok().and_then(|text| text.strip_prefix("gsma/rsp/v")).and_then(major_version).is_none() {
        return Err(Status::AdminProtocol.with("X-Admin-Protocol is to be gsma/rsp/v2.x.y"));
    }
    Ok(())
}

/// The first number of a version, 2 or higher: a later release speaks this one too.
fn major_version(text: &str) -> Option<u32> {
    text.split('.').next()?.parse().ok().filter(|major| *major >= 2)
}
