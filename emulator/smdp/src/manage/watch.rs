//! What the management API has seen: counters, and a stream of events.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::front::{Exchange, FaultFired, Observer};
use crate::server::SmdpEvent;

/// How many events a reader may be behind.
const BEHIND: usize = 1024;

/// The upper bounds of the histogram, in seconds.
const BOUNDS: [f64; 9] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0];

#[derive(Debug, Default)]
struct Durations {
    counts: [u64; BOUNDS.len()],
    count: u64,
    sum: Duration,
}

impl Durations {
    fn note(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        for (bound, count) in BOUNDS.iter().zip(&mut self.counts) {
            *count += u64::from(seconds <= *bound);
        }
        self.count += 1;
        self.sum += duration;
    }
}

#[derive(Debug, Default)]
struct Counters {
    /// By function and outcome.
    exchanges: BTreeMap<(Cow<'static, str>, Cow<'static, str>), u64>,
    durations: BTreeMap<Cow<'static, str>, Durations>,
    faults: u64,
    handshakes_failed: u64,
    undelivered: u64,
}

/// Watches a front, counts, and passes on what it sees.
#[derive(Debug)]
pub struct Watch {
    counters: Mutex<Counters>,
    events: broadcast::Sender<String>,
}

impl Default for Watch {
    fn default() -> Self {
        Watch { counters: Mutex::default(), events: broadcast::channel(BEHIND).0 }
    }
}

impl Watch {
    /// What is seen from now on, a JSON object each.
    pub fn subscribe(&self) -> broadcast::Receiver<String> {
        self.events.subscribe()
    }

    fn counters(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells those who listen; what nobody hears is not even put into words.
    fn tell(&self, kind: &str, event: impl FnOnce() -> Value) {
        if self.events.receiver_count() > 0 {
            let mut event = event();
            event["kind"] = json!(kind);
            // Nobody may be left to hear it.
            let _ = self.events.send(event.to_string());
        }
    }

    /// The counters in the text format of Prometheus.
    pub(super) fn metrics(&self) -> String {
        let counters = self.counters();
        let mut text = String::new();
        let head = |text: &mut String, name: &str, kind: &str, help: &str| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        };
        head(&mut text, "esimlab_smdp_requests_total", "counter", "Requests by function and outcome.");
        for ((function, outcome), count) in &counters.exchanges {
            let _ =
                writeln!(text, "esimlab_smdp_requests_total{{function=\"{function}\",outcome=\"{outcome}\"}} {count}");
        }
        let name = "esimlab_smdp_request_duration_seconds";
        head(&mut text, name, "histogram", "From the request read to the response ready.");
        for (function, durations) in &counters.durations {
            for (bound, count) in BOUNDS.iter().zip(durations.counts) {
                let _ = writeln!(text, "{name}_bucket{{function=\"{function}\",le=\"{bound}\"}} {count}");
            }
            let count = durations.count;
            let _ = writeln!(text, "{name}_bucket{{function=\"{function}\",le=\"+Inf\"}} {count}");
            let _ = writeln!(text, "{name}_sum{{function=\"{function}\"}} {}", durations.sum.as_secs_f64());
            let _ = writeln!(text, "{name}_count{{function=\"{function}\"}} {count}");
        }
        for (name, help, value) in [
            ("esimlab_smdp_faults_total", "Faults that have fired.", counters.faults),
            ("esimlab_smdp_handshakes_failed_total", "TLS handshakes that failed.", counters.handshakes_failed),
            ("esimlab_smdp_undelivered_total", "Messages to other servers that were given up.", counters.undelivered),
        ] {
            head(&mut text, name, "counter", help);
            let _ = writeln!(text, "{name} {value}");
        }
        text
    }
}

impl Observer for Watch {
    fn exchange(&self, exchange: &Exchange) {
        let peer = exchange.path.strip_prefix("/gsma/rsp2/").and_then(|path| path.split_once('/'));
        let function = match (exchange.function, peer) {
            (Some(function), _) => Cow::Borrowed(function.name()),
            // Whatever a client calls must not become a metric of its own.
            (None, Some(("es2plus" | "es12" | "es15", name))) if exchange.http_status == Some(200) => {
                Cow::Owned(name.to_owned())
            }
            _ => Cow::Borrowed("other"),
        };
        let refused = exchange.refused.as_ref().map(|status| format!("{}/{}", status.subject, status.reason));
        let outcome = match (&refused, exchange.http_status) {
            (Some(codes), _) => Cow::Owned(codes.clone()),
            (None, Some(200 | 204)) => Cow::Borrowed("success"),
            (None, Some(status)) => Cow::Owned(format!("http-{status}")),
            (None, None) => Cow::Borrowed("no-reply"),
        };
        let mut counters = self.counters();
        *counters.exchanges.entry((function.clone(), outcome)).or_default() += 1;
        counters.durations.entry(function.clone()).or_default().note(exchange.duration);
        drop(counters);
        self.tell("exchange", || {
            json!({
                "path": exchange.path,
                "function": function,
                "http_status": exchange.http_status,
                "refused": refused,
                "message": exchange.refused.as_ref().map(|status| status.message.clone()),
                "request_bytes": exchange.request_length,
                "response_bytes": exchange.response_length,
                "milliseconds": exchange.duration.as_secs_f64() * 1e3,
            })
        });
    }

    fn fault(&self, fault: &FaultFired) {
        self.counters().faults += 1;
        let function = fault.function.map(|function| function.name());
        self.tell("fault", || json!({ "text": fault.action.to_string(), "function": function }));
    }

    fn handshake_failed(&self, reason: &str) {
        self.counters().handshakes_failed += 1;
        self.tell("handshake-failed", || json!({ "text": reason }));
    }

    fn undelivered(&self, reason: &str) {
        self.counters().undelivered += 1;
        self.tell("undelivered", || json!({ "text": reason }));
    }

    fn event(&self, event: &SmdpEvent) {
        self.tell("event", || json!({ "at": crate::front::timestamp(event.at), "text": event.kind.to_string() }));
    }
}
