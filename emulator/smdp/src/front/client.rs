//! The server as a client of others: ES12 and ES15 at an SM-DS, ES2+ at an operator (SGP.22 §6.5).

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode, SslVersion};
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;
use rsp::cert::Certificate;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use super::{ADMIN_PROTOCOL, ADMIN_PROTOCOL_NAME};
use crate::server::Identity;
use crate::status::StatusError;

/// How the server calls others.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// The CIs under which others are trusted.
    pub trust: Vec<Certificate>,
    /// The certificate that it shows.
    pub identity: Option<Identity>,
    /// What it calls itself (`functionRequesterIdentifier`).
    pub requester: String,
    /// Addresses of names, asked before the name service.
    pub resolve: Vec<(String, SocketAddr)>,
    /// How long one call may take.
    pub patience: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        ClientOptions {
            trust: Vec::new(),
            identity: None,
            requester: "esimlab".to_owned(),
            resolve: Vec::new(),
            patience: Duration::from_secs(10),
        }
    }
}

/// A call that has not come to success.
#[derive(Debug)]
pub(super) enum CallError {
    /// Nobody answered, or not in the way of the protocol.
    Unreachable(String),
    /// The other side refused.
    Refused(StatusError),
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CallError::Unreachable(text) => f.write_str(text),
            CallError::Refused(status) => write!(f, "{status}"),
        }
    }
}

impl ClientOptions {
    /// The header of a request (SGP.22 §6.5.1.3).
    pub(super) fn header(&self, call: u64) -> Value {
        json!({
            "functionRequesterIdentifier": self.requester,
            "functionCallIdentifier": format!("call-{call}"),
        })
    }

    /// Calls a function of another server. `now` decides whether its certificate is valid.
    pub(super) async fn call(&self, address: &str, path: &str, body: &Value, now: i64) -> Result<Value, CallError> {
        match tokio::time::timeout(self.patience, self.exchange(address, path, body, now)).await {
            Ok(Ok((status, answer))) => understood(address, status, &answer),
            Ok(Err(text)) => Err(CallError::Unreachable(format!("{address}: {text}"))),
            Err(_) => Err(CallError::Unreachable(format!("{address} does not answer"))),
        }
    }

    async fn exchange(
        &self,
        address: &str,
        path: &str,
        body: &Value,
        now: i64,
    ) -> Result<(StatusCode, Vec<u8>), String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|error| text(&error))?),
            None => (address, 443),
        };
        let known = self.resolve.iter().find(|(name, _)| name.eq_ignore_ascii_case(host));
        let stream = match known {
            Some((_, address)) => TcpStream::connect(address).await,
            None => TcpStream::connect((host, port)).await,
        };
        let stream = stream.map_err(|error| text(&error))?;
        let ssl = self.ssl(host, now).map_err(|error| text(&error))?;
        let mut stream = SslStream::new(ssl, stream).map_err(|error| text(&error))?;
        Pin::new(&mut stream).connect().await.map_err(|error| text(&error))?;
        let (mut sender, connection) =
            http1::handshake::<_, Body>(TokioIo::new(stream)).await.map_err(|error| text(&error))?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::HOST, address)
            .header(header::CONTENT_TYPE, "application/json")
            .header(ADMIN_PROTOCOL_NAME, ADMIN_PROTOCOL)
            .body(Body::from(body.to_string()))
            .map_err(|error| text(&error))?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|error| text(&error))?;
            let status = response.status();
            let body = to_bytes(Body::new(response.into_body()), 64 * 1024).await.map_err(|error| text(&error))?;
            Ok((status, body.to_vec()))
        };
        tokio::pin!(exchange);
        tokio::pin!(connection);
        tokio::select! {
            answer = &mut exchange => answer,
            // The connection may end as soon as the answer is there: that is read next.
            ended = &mut connection => match ended {
                Ok(()) => exchange.await,
                Err(error) => Err(text(&error)),
            },
        }
    }

    fn ssl(&self, host: &str, now: i64) -> Result<openssl::ssl::Ssl, openssl::error::ErrorStack> {
        let mut builder = SslConnector::builder(SslMethod::tls_client())?;
        let mut store = X509StoreBuilder::new()?;
        for ci in &self.trust {
            store.add_cert(X509::from_der(ci.der())?)?;
        }
        builder.set_cert_store(store.build());
        builder.set_verify(SslVerifyMode::PEER);
        builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
        builder.set_groups_list("P-256:brainpoolP256r1:X25519")?;
        if let Some(identity) = &self.identity {
            builder.set_certificate(&*X509::from_der(identity.certificate.der())?)?;
            builder.set_private_key(identity.key.as_pkey())?;
        }
        builder.verify_param_mut().set_time(now);
        builder.build().configure()?.into_ssl(host.trim_start_matches('[').trim_end_matches(']'))
    }
}

fn understood(address: &str, status: StatusCode, answer: &[u8]) -> Result<Value, CallError> {
    if status == StatusCode::NO_CONTENT {
        return Ok(Value::Null);
    }
    let answer: Option<Value> = serde_json::from_slice(answer).ok().filter(|_| status == StatusCode::OK);
    let execution = answer.as_ref().map(|answer| &answer["header"]["functionExecutionStatus"]);
    match execution.and_then(|execution| execution["status"].as_str()) {
        Some("Executed-Success" | "Executed-WithWarning") => Ok(answer.unwrap_or_default()),
        Some(_) => {
            let data = execution.map(|execution| &execution["statusCodeData"]);
            let text = |name: &str| data.and_then(|data| data[name].as_str()).unwrap_or_default().to_owned();
            let message = text("message");
            Err(CallError::Refused(StatusError::new(text("subjectCode"), text("reasonCode"), &message)))
        }
        None => Err(CallError::Unreachable(format!("{address} answers with HTTP status {status} and no status"))),
    }
}
