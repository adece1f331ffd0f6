//! Outcomes on their way to a dashboard: signed, tried a few times, and never in the way of a run.

mod event;
mod guard;
mod retry;
mod signature;

pub use signature::{Received, Unverified, verify};

use crate::config::Webhook;
use crate::http::{CallError, Http, Trust};
use crate::model::Outcome;
use signature::Signer;
use std::time::Duration;
use tokio::time::sleep;

/// The largest answer of a receiver that is read; its content is not looked at.
const MAX_ANSWER: usize = 64 << 10;

/// Why an outcome is not delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutboxError {
    /// The settings cannot be used.
    #[error("webhook.{0}")]
    Settings(String),
    /// All attempts failed; may work later.
    #[error("not delivered after {attempts} {}: {why}", if *attempts == 1 { "attempt" } else { "attempts" })]
    Undelivered {
        /// How many were made.
        attempts: usize,
        /// What the last one ended with.
        why: String,
    },
}

/// Delivers to one endpoint.
pub struct Outbox {
    http: Http,
    settings: Webhook,
    host: String,
    signer: Option<Signer>,
}

impl Outbox {
    /// An outbox, or none where no endpoint is set.
    ///
    /// # Errors
    /// The setting that cannot be used.
    pub fn new(settings: &Webhook, trust: &Trust) -> Result<Option<Self>, OutboxError> {
        if settings.url.is_empty() {
            return Ok(None);
        }
        let invalid = |what: &str| OutboxError::Settings(what.to_owned());
        let url = reqwest::Url::parse(&settings.url).map_err(|_| invalid("url is not a URL such as https://dashboard.example.com/hook"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(invalid("url must begin with https:// or http://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("url must not hold a user name or password"));
        }
        let http = guard::client(&url, settings, trust)?;
        let signer = Signer::new(settings)?;
        Ok(Some(Self { http, settings: settings.clone(), host: url.origin().ascii_serialization(), signer }))
    }

    /// Where deliveries go: scheme, host and port. Paths often hold a key and are not shown.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.host
    }

    /// How long one attempt may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.settings.timeout.duration()
    }

    /// Delivers one outcome; `true` where there was something to deliver. What never got a session id has nothing that a
    /// dashboard could tie it to, and is left to the run's own report.
    ///
    /// # Errors
    /// [`OutboxError::Undelivered`] after the last attempt.
    pub async fn deliver(&self, outcome: &Outcome) -> Result<bool, OutboxError> {
        let Some(session) = &outcome.session_id else { return Ok(false) };
        let body = event::body(outcome, session);
        let id = event::id(session);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let why = match self.attempt(&id, &body).await {
                Ok(()) => return Ok(true),
                Err(why) => why,
            };
            tracing::debug!(%session, attempts, "webhook: {}", why.text);
            if !why.again || attempts >= self.settings.attempts.get() {
                return Err(OutboxError::Undelivered { attempts, why: why.text });
            }
            sleep(why.wait.unwrap_or_else(|| retry::wait(self.settings.retry_first.duration(), attempts, fastrand::f64()))).await;
        }
    }

    async fn attempt(&self, id: &str, body: &str) -> Result<(), Failure> {
        let now = chrono::Utc::now().timestamp();
        let mut request = self
            .http
            .post(&self.settings.url)
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", now.to_string())
            .body(body.to_owned());
        if let Some(signer) = &self.signer {
            let signature = signer.header(id, now, body.as_bytes()).map_err(|e| Failure::last(format!("cannot be signed: {e}")))?;
            request = request.header("webhook-signature", signature);
        }
        match self.http.send(request, self.settings.timeout.duration()).await {
            Ok(reply) if reply.is_success() => Ok(()),
            // It was taken; what the receiver says of it is not looked at.
            Err(CallError::TooLarge(_)) => Ok(()),
            Ok(reply) => Err(Failure {
                text: format!("the endpoint answered {}", reply.status),
                again: retry::worth_it(reply.status),
                wait: reply.retry_after.map(|asked| asked.min(retry::LONGEST)),
            }),
            Err(CallError::Fatal(text)) => Err(Failure::last(text)),
            // A receiver tells repeated deliveries by their id, so an ambiguous failure is repeated too: at least once.
            Err(CallError::Retryable(text) | CallError::Ambiguous(text)) => Err(Failure { text, again: true, wait: None }),
        }
    }
}

struct Failure {
    text: String,
    again: bool,
    wait: Option<Duration>,
}

impl Failure {
    fn last(text: String) -> Self {
        Self { text, again: false, wait: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_checked_and_shown_without_its_path() {
        let outbox = |url: &str| Outbox::new(&Webhook { url: url.into(), ..Webhook::default() }, &Trust::default());
        assert_eq!(outbox("https://hooks.example.com/T0/KEY").unwrap().unwrap().endpoint(), "https://hooks.example.com");
        assert!(outbox("").unwrap().is_none());
        for bad in ["hooks.example.com", "ftp://x", "https://u:p@x"] {
            assert!(outbox(bad).is_err(), "{bad}");
        }
    }
}
