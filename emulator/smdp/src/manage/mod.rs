//! The management API: orders, sessions, faults, events and metrics over plain HTTP on loopback, for whoever has its
//! token.
//!
//! `GET /openapi.json` says what there is. Requests without `Authorization: Bearer <token>` are refused. What is
//! changed here is changed as a function would: kept in the store, and told as an event.

mod api;
mod document;
mod picture;
mod watch;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use rsp::crypto::equal_in_constant_time;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::front::{Handle, Server, StartError};
use crate::profile::ProfileSpec;

pub use api::event_stream;
pub use picture::{CodeError, code_as_png, code_as_svg};
pub use watch::Watch;

/// What the management API needs beside the server.
#[derive(Clone)]
pub struct ManageOptions {
    /// The token that callers have to show.
    pub token: String,
    /// The address in activation codes.
    pub address: String,
    /// The profiles that can be ordered, by name.
    pub catalog: BTreeMap<String, ProfileSpec>,
    /// What has been seen: it has to watch the front too.
    pub watch: Arc<Watch>,
}

/// Calls beside those of the SM-DP+, at the same address and for the same token: what a lab adds to its server.
#[derive(Default)]
pub struct Extra {
    /// The routes.
    pub router: Router,
    /// What the document says about them: the members of `paths` in OpenAPI.
    pub paths: serde_json::Map<String, Value>,
}

/// What the handlers share.
struct Manage {
    server: Handle,
    options: ManageOptions,
    extra_paths: serde_json::Map<String, Value>,
}

/// A management API that runs. It stops when it is dropped.
pub struct ManageServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl std::fmt::Debug for ManageServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ManageServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for ManageServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ManageServer {
    /// Serves the management API of a server. Has to be called inside a tokio runtime with I/O and time.
    pub fn start(listener: TcpListener, server: &Server, options: ManageOptions) -> Result<Self, StartError> {
        ManageServer::start_with(listener, server, options, Extra::default())
    }

    /// The same with more calls.
    pub fn start_with(
        listener: TcpListener,
        server: &Server,
        options: ManageOptions,
        extra: Extra,
    ) -> Result<Self, StartError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let address = listener.local_addr()?;
        // SGP.22 knows nothing of this: what it can do is for this machine only.
        if !address.ip().is_loopback() {
            let error = format!("{address} can be reached from outside; the management API listens on loopback only");
            return Err(StartError::Listener(std::io::Error::other(error)));
        }
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let router =
            router(Arc::new(Manage { server: server.handle(), options, extra_paths: extra.paths }), extra.router);
        let task = runtime.spawn(async move {
            // It serves until it is dropped; single connections that fail do not end it.
            let _ = axum::serve(listener, router).await;
        });
        Ok(ManageServer { address, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn router(manage: Arc<Manage>, extra: Router) -> Router {
    Router::new()
        .route("/openapi.json", get(api::show_document))
        .route("/orders", get(api::list_orders).post(api::add_order))
        .route("/orders/{number}", get(api::show_order))
        .route("/orders/{number}/release", post(api::release_order))
        .route("/orders/{number}/cancel", post(api::cancel_order))
        .route("/orders/{number}/state", post(api::set_state))
        .route("/orders/{number}/expiry", post(api::set_expiry))
        .route("/orders/{number}/code.txt", get(api::code_text))
        .route("/orders/{number}/code.svg", get(api::code_svg))
        .route("/orders/{number}/code.png", get(api::code_png))
        .route("/sessions", get(api::list_sessions))
        .route("/faults", get(api::list_faults).post(api::add_fault).put(api::set_faults).delete(api::clear_faults))
        .route("/events", get(api::events))
        .route("/metrics", get(api::metrics))
        .with_state(manage.clone())
        .merge(extra)
        .fallback(async || refusal(StatusCode::NOT_FOUND, "there is no such path; see /openapi.json"))
        .method_not_allowed_fallback(async || {
            refusal(StatusCode::METHOD_NOT_ALLOWED, "this path has other methods; see /openapi.json")
        })
        .layer(middleware::from_fn_with_state(manage, guard))
}

/// Nobody without the token gets anything.
async fn guard(State(manage): State<Arc<Manage>>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = shown.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    let right = token.is_some_and(|token| equal_in_constant_time(token.as_bytes(), manage.options.token.as_bytes()));
    if right {
        return next.run(request).await;
    }
    let mut response = refusal(StatusCode::UNAUTHORIZED, "the management API needs its token: Authorization: Bearer …");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// A refusal, as JSON.
pub fn refusal(status: StatusCode, message: &str) -> Response {
    (status, axum::Json(json!({ "error": message }))).into_response()
}

/// What came of a call, as JSON.
pub fn done(status: StatusCode, value: Value) -> Response {
    (status, axum::Json(value)).into_response()
}

#[cfg(test)]
mod tests;
