//! One request to the platform: after its turn, within the budget. What its answer does to the budget is decided here, what it
//! means by the caller.

use super::budget::{Budget, Call};
use super::grant::forms_of_secret;
use super::retry::{self, Retries};
use crate::config::Api;
use crate::http::{CallError, Http, Reply};
use crate::model::Secret;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How many tokens are remembered, so that they can be taken out of what the platform says.
const REMEMBERED: usize = 4;

/// What all requests of one client share.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) http: Http,
    pub(super) settings: Api,
    pub(super) budget: Budget,
    retries: Retries,
    /// The latest tokens.
    secrets: Mutex<VecDeque<Arc<Secret>>>,
    /// The client's own secret, in all its forms.
    own: Vec<Secret>,
}

impl Caller {
    pub(super) fn new(http: Http, settings: Api, per_minute: usize) -> Self {
        let own = forms_of_secret(&settings.client_id, settings.client_secret.expose());
        Self { own, http, settings, budget: Budget::new(per_minute), retries: Retries::new(), secrets: Mutex::default() }
    }

    /// Waits for a turn and sends.
    ///
    /// # Errors
    /// [`CallError`].
    pub(super) async fn call(&self, call: Call, request: reqwest::RequestBuilder, timeout: Duration) -> Result<Reply, CallError> {
        self.budget.turn(call).await;
        self.send(request, timeout).await
    }

    /// Sends, for one whose turn it is. An answer of 429 makes everybody wait; how long is in its `retry_after` from then on.
    ///
    /// # Errors
    /// [`CallError`].
    pub(super) async fn send(&self, request: reqwest::RequestBuilder, timeout: Duration) -> Result<Reply, CallError> {
        let sent = Instant::now();
        let mut reply = self.http.send(request, timeout).await?;
        if !reply.is_success() {
            self.conceal_in(&mut reply.body);
        }
        match reply.status {
            429 => {
                let asked = reply.retry_after;
                reply.retry_after = Some(self.budget.throttled(sent, |strikes| retry::pause(&self.settings, asked, strikes)));
            }
            500.. => {}
            _ => {
                self.budget.went_through();
                self.retries.went_through();
            }
        }
        Ok(reply)
    }

    /// The wait before attempt `attempt + 1` of a request that failed on the way; none where so many fail that it is not to be made.
    pub(super) fn retry(&self, asked: Option<Duration>, attempt: u32) -> Option<Duration> {
        let granted = self.retries.take();
        if granted {
            self.budget.retried();
        }
        granted.then(|| retry::wait(&self.settings, asked, attempt))
    }

    /// A token from now on, which some platforms repeat in what they say of it.
    pub(super) fn conceal(&self, token: Arc<Secret>) {
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.push_front(token);
        secrets.truncate(REMEMBERED);
    }

    /// Takes secrets out of what the platform says went wrong. Of JSON the texts are looked at, not the bytes: escapes would hide one.
    fn conceal_in(&self, body: &mut Vec<u8>) {
        let tokens = self.secrets.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // A shorter one stands in texts by chance.
        let secrets = tokens.iter().map(AsRef::as_ref).chain(&self.own).filter(|secret| secret.expose().len() >= 6);
        let secrets: Vec<&str> = secrets.map(Secret::expose).collect();
        *body = match serde_json::from_slice(body) {
            Ok(json) => concealed(json, &secrets).to_string().into_bytes(),
            Err(_) => without(&String::from_utf8_lossy(body), &secrets).into_bytes(),
        };
    }
}

fn concealed(value: Value, secrets: &[&str]) -> Value {
    match value {
        Value::String(text) => Value::String(without(&text, secrets)),
        Value::Array(items) => items.into_iter().map(|item| concealed(item, secrets)).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, concealed(value, secrets))).collect(),
        other => other,
    }
}

fn without(text: &str, secrets: &[&str]) -> String {
    secrets.iter().fold(text.to_owned(), |text, secret| if text.contains(secret) { text.replace(secret, "***") } else { text })
}
