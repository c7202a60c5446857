//! Telling of each request to a server, for whoever puts a server to the test and cannot see its traffic.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::http::{Http, HttpError, HttpReply};

/// Requests that are told of on standard output, one JSON object per line, if that is wanted.
#[derive(Debug)]
pub(super) struct Told<H> {
    inner: H,
    told: bool,
}

impl<H> Told<H> {
    pub(super) fn new(inner: H, told: bool) -> Self {
        Told { inner, told }
    }
}

impl<H: Http> Http for Told<H> {
    fn post(&mut self, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<HttpReply, HttpError> {
        let result = self.inner.post(url, headers, body);
        if self.told {
            // Nobody may be reading: that is no reason to fail.
            let _ = writeln!(std::io::stdout(), "{}", object(url, &result));
        }
        result
    }
}

/// What came of a request: the last part of its path is the function (SGP.22 §6.5.1).
fn object(url: &str, result: &Result<HttpReply, HttpError>) -> Value {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let (server, path) = rest.split_once('/').unwrap_or((rest, ""));
    let function = path.rsplit('/').next().unwrap_or_default();
    let mut object = json!({ "request": function, "server": server });
    match result {
        Ok(reply) => object["http"] = json!(reply.status),
        Err(error) => {
            if let Some(code) = error.curl {
                object["curl"] = json!(code);
            }
            object["message"] = json!(error.message);
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_told_by_its_function() {
        let url = "https://smdp.example.com:8443/gsma/rsp2/es9plus/authenticateClient";
        let reply = Ok(HttpReply { status: 200, body: Vec::new() });
        assert_eq!(
            object(url, &reply),
            json!({ "request": "authenticateClient", "server": "smdp.example.com:8443", "http": 200 })
        );
        let error = Err(HttpError { curl: Some(7), message: "cannot connect".to_owned(), hint: None });
        assert_eq!(
            object(url, &error),
            json!({
                "request": "authenticateClient", "server": "smdp.example.com:8443", "curl": 7, "message": "cannot connect",
            })
        );
    }
}
