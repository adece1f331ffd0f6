//! One request to the platform: after its turn, within the budget. What its answer does to the budget is decided here, what it
//! means by the caller.

use super::budget::{Budget, Call};
use super::retry::{self, Retries};
use crate::config::Api;
use crate::http::{CallError, Http, Reply};
use std::time::Duration;

/// What all requests of one client share.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) http: Http,
    pub(super) settings: Api,
    pub(super) budget: Budget,
    retries: Retries,
}

impl Caller {
    pub(super) fn new(http: Http, settings: Api, per_minute: usize) -> Self {
        Self { http, settings, budget: Budget::new(per_minute), retries: Retries::new() }
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
        let mut reply = self.http.send(request, timeout).await?;
        match reply.status {
            429 => {
                let asked = reply.retry_after;
                reply.retry_after = Some(self.budget.throttled(|strikes| retry::wait(&self.settings, asked, strikes)));
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
}
