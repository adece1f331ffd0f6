//! What was asked of the simulated platform: every request in order, and how often what was executed.

use super::Asked;
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};
use tokio::time::Instant;

/// The journal; it grows with every request.
pub(super) struct Journal {
    began: Instant,
    requests: Vec<Value>,
    executed: HashMap<String, usize>,
    inputs: HashSet<(String, String)>,
    duplicates: usize,
    throttled: usize,
    in_flight: usize,
    in_flight_most: usize,
}

impl Journal {
    pub(super) fn new() -> Self {
        let (requests, executed, inputs) = (Vec::new(), HashMap::new(), HashSet::new());
        Self { began: Instant::now(), requests, executed, inputs, duplicates: 0, throttled: 0, in_flight: 0, in_flight_most: 0 }
    }

    /// A request has arrived; its number.
    pub(super) fn arrived(&mut self, asked: &Asked) -> usize {
        // How a client signed in is worth knowing; its secret and tokens are not written down, not even here.
        let scheme = asked.header("authorization").and_then(|h| h.split(' ').next());
        let body = match serde_json::from_slice(&asked.body) {
            Ok(_) if asked.path.ends_with("/oauth/token") => Value::from("JSON"),
            Ok(body) => body,
            Err(_) => without_secrets(&String::from_utf8_lossy(&asked.body)),
        };
        let query = asked.query.as_deref().map(without_secrets);
        self.requests.push(json!({
            "atMs": u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX), "method": asked.method.as_str(), "path": asked.path,
            "query": query, "authorization": scheme, "contentType": asked.header("content-type"),
            "workspace": asked.header("x-nice-workspace-id"), "body": body, "status": null,
        }));
        self.requests.len() - 1
    }

    /// With what status it is answered; 0 where the connection is cut. It stays null where the client does not wait for the answer.
    pub(super) fn answered(&mut self, number: usize, status: u16) {
        self.throttled += usize::from(status == 429);
        if let Some(Value::Object(request)) = self.requests.get_mut(number) {
            request.insert("status".to_owned(), status.into());
        }
    }

    /// An execution has started.
    pub(super) fn executed(&mut self, action: &str, input: &Map<String, Value>) -> usize {
        let executions = self.executed.entry(action.to_owned()).or_default();
        let before = *executions;
        *executions += 1;
        let input = serde_json_canonicalizer::to_string(input).unwrap_or_default();
        self.duplicates += usize::from(!self.inputs.insert((action.to_owned(), input)));
        self.in_flight += 1;
        self.in_flight_most = self.in_flight_most.max(self.in_flight);
        before
    }

    /// The client was told how an execution ended.
    pub(super) fn told(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// All of it: `requests` in order; `executed`, how often each action was; `duplicates`, how many executions had action and
    /// input of an earlier one; `throttled`, how many requests were answered with 429.
    pub(super) fn whole(&self) -> Value {
        json!({"requests": self.requests, "executed": self.executed, "duplicates": self.duplicates, "throttled": self.throttled})
    }

    /// The counts without the requests, and how many executions were in flight at most: started, and their end not told.
    pub(super) fn counts(&self) -> Value {
        json!({
            "requests": self.requests.len(), "executed": self.executed, "duplicates": self.duplicates, "throttled": self.throttled,
            "inFlightMost": self.in_flight_most,
        })
    }
}

/// A form body without its client secret.
fn without_secrets(form: &str) -> Value {
    let pairs = form.split('&').map(|pair| if pair.starts_with("client_secret=") { "client_secret=***" } else { pair });
    Value::from(pairs.collect::<Vec<_>>().join("&"))
}
