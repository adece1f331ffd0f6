//! One endpoint: what it wants to be told, and one attempt at telling it.

use super::signature::Signer;
use super::{MAX_ANSWER, OutboxError, event, guard};
use crate::config::{self, Form, Webhook};
use crate::http::{CallError, Http, Trust};
use crate::model::{Classification, Digest, Environment, Outcome};
use std::time::Duration;

pub(super) struct Endpoint {
    pub(super) name: String,
    /// Scheme, host and port.
    pub(super) host: String,
    /// A digest of its address: what is written down of it.
    pub(super) address: String,
    pub(super) form: Form,
    pub(super) timeout: Duration,
    url: String,
    http: Http,
    signer: Option<Signer>,
    classifications: Vec<Classification>,
    min_confidence: f64,
    environments: Vec<Environment>,
}

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// It has it.
    Yes(u16),
    /// It has it not, for now.
    No { status: Option<u16>, why: String, wait: Option<Duration> },
    /// It can never have it.
    Never { why: String },
    /// It wants nothing any more (410).
    Gone,
}

impl Endpoint {
    pub(super) fn new(name: String, own: config::Endpoint, settings: &Webhook, trust: &Trust) -> Result<Self, OutboxError> {
        let place =
            if name == Webhook::MAIN && !settings.url.is_empty() { "webhook".to_owned() } else { format!("webhook.endpoints.{name}") };
        let invalid = |what: &str| OutboxError(format!("{place}.{what}"));
        let url = reqwest::Url::parse(&own.url).map_err(|_| invalid("url is not a URL such as https://dashboard.example.com/hook"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(invalid("url must begin with https:// or http://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("url must not hold a user name or password"));
        }
        if !(0.0..=1.0).contains(&own.min_confidence) {
            return Err(invalid("min_confidence is not a number from 0 to 1"));
        }
        Ok(Self {
            host: url.origin().ascii_serialization(),
            address: Digest::of(own.url.as_bytes()).hex(),
            http: guard::client(&url, settings, trust, MAX_ANSWER).map_err(|what| invalid(&what))?,
            signer: Signer::new(&own.secret, &own.previous_secrets).map_err(|what| invalid(&what))?,
            form: own.format.unwrap_or(settings.format),
            timeout: settings.timeout.duration(),
            url: own.url,
            classifications: own.classifications,
            min_confidence: own.min_confidence,
            environments: own.environments,
            name,
        })
    }

    /// Whether it is to be told of an outcome.
    pub(super) fn wants(&self, outcome: &Outcome) -> bool {
        let among = self.classifications.is_empty() || outcome.classification.as_ref().is_some_and(|c| self.classifications.contains(c));
        let sure = self.min_confidence <= outcome.confidence.map_or(0.0, crate::model::Confidence::get);
        among && sure && (self.environments.is_empty() || self.environments.contains(&outcome.environment_id))
    }

    /// One attempt. The signature is of now, the id and the body are those of all attempts.
    pub(super) async fn tell(&self, id: &str, body: &str) -> Told {
        let now = chrono::Utc::now().timestamp();
        // By the body, which may be of a time when the settings were others.
        let media_type = if event::is_cloud_event(body) { "application/cloudevents+json" } else { "application/json" };
        let mut request = self
            .http
            .post(&self.url)
            .header("content-type", media_type)
            .header("webhook-id", id)
            .header("webhook-timestamp", now.to_string())
            .body(body.to_owned());
        if let Some(signer) = &self.signer {
            match signer.header(id, now, body.as_bytes()) {
                Ok(signature) => request = request.header("webhook-signature", signature),
                Err(e) => return Told::Never { why: format!("cannot be signed: {e}") },
            }
        }
        match self.http.send(request, self.timeout).await {
            Ok(reply) if reply.is_success() => Told::Yes(reply.status),
            // It was taken; what the receiver says of it is not looked at.
            Err(CallError::TooLarge(_)) => Told::Yes(200),
            Ok(reply) if reply.status == 410 => Told::Gone,
            Ok(reply) => {
                let why = format!("the endpoint answered {}", reply.status);
                Told::No { status: Some(reply.status), why, wait: reply.retry_after }
            }
            Err(CallError::Fatal(why)) => Told::Never { why },
            // A receiver tells repeated deliveries by their id, so an ambiguous failure is repeated too: at least once.
            Err(CallError::Retryable(why) | CallError::Ambiguous(why)) => Told::No { status: None, why, wait: None },
        }
    }
}
