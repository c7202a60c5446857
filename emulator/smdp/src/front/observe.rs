//! What the HTTPS front tells whoever watches it.

use std::time::Duration;

use axum::body::Bytes;

use super::fault::Action;
use super::json::Function;
use crate::server::SmdpEvent;
use crate::status::StatusError;

/// One HTTP request and its response.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The path of the request.
    pub path: String,
    /// The function, when the path is one's.
    pub function: Option<Function>,
    /// The body of the request; empty when it was too long to be read.
    pub request: Bytes,
    /// The body of the response.
    pub response: Bytes,
    /// How long the body of the request was.
    pub request_length: usize,
    /// The HTTP status; `None` when the connection was closed without a response.
    pub http_status: Option<u16>,
    /// How long the body of the response was.
    pub response_length: usize,
    /// The function execution status, when it is `Failed`.
    pub refused: Option<StatusError>,
    /// From the request read to the response ready.
    pub duration: Duration,
}

/// A fault that has fired.
#[derive(Debug, Clone)]
pub struct FaultFired {
    /// What went wrong.
    pub action: Action,
    /// At which function.
    pub function: Option<Function>,
}

/// Someone who watches a front. Called from the tasks that serve, so it must not block.
pub trait Observer: Send + Sync {
    /// A request was answered.
    fn exchange(&self, exchange: &Exchange) {
        let _ = exchange;
    }

    /// A fault has fired.
    fn fault(&self, fault: &FaultFired) {
        let _ = fault;
    }

    /// A client did not get through the TLS handshake, for this reason.
    fn handshake_failed(&self, reason: &str) {
        let _ = reason;
    }

    /// Something that was to be sent to another server was given up, for this reason.
    fn undelivered(&self, reason: &str) {
        let _ = reason;
    }

    /// Something has happened on the server.
    fn event(&self, event: &SmdpEvent) {
        let _ = event;
    }
}

/// Nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {}
