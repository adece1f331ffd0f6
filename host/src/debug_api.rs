//! The platform's debug API: a vector goes in, a trace comes out. The only room that knows the vendor's paths, headers and JSON.

mod poll;
mod recorded;
mod submit;
mod token;
mod wire;

pub use recorded::{Recorded, parse as parse_recorded, record};
pub use submit::stopped;

use crate::config::Api;
use crate::http::{CallError, Http};
use crate::model::{ActionId, Environment, Problem, ProblemKind, SessionId, Status, Trace, Vector};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Why a vector could not be finished. None of these says anything about the action.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// Fatal for the run: the platform does not accept the client, or not for this.
    #[error("{0}")]
    Credentials(String),
    /// Fatal for this vector: the platform refuses the request.
    #[error("{0}")]
    Refused(String),
    /// The submit may have been processed; it is not repeated.
    #[error("{0}")]
    Ambiguous(String),
    /// Tried again until patience ran out; may work later.
    #[error("{0}")]
    Unreachable(String),
    /// The session has expired or was purged.
    #[error("{0}")]
    Gone(String),
    /// The run was stopped before the vector was submitted.
    #[error("not submitted")]
    Stopped,
    /// The session did not end in time; its last status, where one was seen.
    #[error("{text}")]
    Deadline {
        /// What happened.
        text: String,
        /// The last status seen.
        last: Option<Status>,
    },
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        let kind = match &error {
            ApiError::Credentials(_) => ProblemKind::Credentials,
            ApiError::Refused(_) => ProblemKind::Refused,
            ApiError::Ambiguous(_) => ProblemKind::Ambiguous,
            ApiError::Unreachable(_) => ProblemKind::Unreachable,
            ApiError::Gone(_) => ProblemKind::SessionGone,
            ApiError::Stopped => ProblemKind::Interrupted,
            ApiError::Deadline { .. } => ProblemKind::Deadline,
        };
        Self { kind, text: error.to_string() }
    }
}

/// An execution under way on the platform.
#[derive(Debug, Clone)]
pub struct Session {
    /// The platform's id.
    pub id: SessionId,
    /// The action.
    pub action: ActionId,
    /// Where it runs.
    pub environment: Environment,
    /// When the submit that was accepted was sent.
    pub since: Instant,
}

/// The API as one client sees it. Share it between all vectors: it caches the token.
#[derive(Debug)]
pub struct DebugApi {
    http: Http,
    settings: Api,
    base: String,
    tokens: token::Tokens,
}

impl DebugApi {
    /// Checks the settings; no request is made yet.
    ///
    /// # Errors
    /// The setting that is missing or unusable, by name.
    pub fn new(settings: &Api) -> Result<Self, ApiError> {
        let base = checked_base(&settings.base_url)?;
        for (value, name) in [(settings.client_id.as_str(), "client_id"), (settings.client_secret.expose(), "client_secret")] {
            if value.is_empty() {
                return Err(ApiError::Credentials(format!("api.{name} is not set (CXONE_{})", name.to_uppercase())));
            }
        }
        let http = Http::new(settings.connect_timeout.duration(), settings.max_answer_mib.mib())
            .map_err(|e| ApiError::Unreachable(format!("the HTTP client cannot start: {e}")))?;
        Ok(Self { tokens: token::Tokens::new(http.clone(), settings.clone(), &base), http, settings: settings.clone(), base })
    }

    /// Submits a vector: at most one execution comes of it, whatever happens. Waiting ends when `stop` turns true.
    ///
    /// # Errors
    /// [`ApiError`]; after [`ApiError::Ambiguous`] the action may have run.
    pub async fn submit(&self, vector: &Vector, stop: &mut watch::Receiver<bool>) -> Result<Session, ApiError> {
        submit::submit(self, vector, stop).await
    }

    /// Waits until a session has ended and brings its trace.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn trace(&self, session: &Session) -> Result<Trace, ApiError> {
        poll::until_ended(self, session).await
    }

    fn url(&self, action: ActionId, rest: &str) -> String {
        format!("{}/api/v2/data-actions/{action}/{rest}", self.base)
    }

    /// The headers each request about an action carries.
    fn signed(&self, request: reqwest::RequestBuilder, token: &token::Token, environment: Environment) -> reqwest::RequestBuilder {
        request.bearer_auth(token.text()).header("x-nice-workspace-id", environment.as_str()).header("accept", "application/json")
    }
}

/// The wait after attempt number `attempt` (from 1) of any call: what the platform asked for, within the settings' bounds, or
/// a backoff of ours.
fn wait_asked_for(settings: &Api, asked: Option<Duration>, attempt: u32) -> Duration {
    let (first, cap) = (settings.retry_first.duration(), settings.retry_after_max.duration());
    // Never less than half a first wait: a `Retry-After` of 0 must not make a hammer of us.
    let backoff = crate::http::backoff(first, attempt, cap).max(first / 2);
    // A little jitter on top of what was asked, so that waiting vectors do not all come back in one instant.
    asked.map_or(backoff, |asked| asked.min(cap).max(backoff) + Duration::from_millis(fastrand::u64(0..50)))
}

fn checked_base(text: &str) -> Result<String, ApiError> {
    if text.is_empty() {
        return Err(ApiError::Credentials("api.base_url is not set (CXONE_BASE_URL)".to_owned()));
    }
    let refuse = |why: &str| Err(ApiError::Credentials(format!("api.base_url {why}")));
    let Ok(url) = reqwest::Url::parse(text) else { return refuse("is not a URL such as https://api.example.com") };
    if url.host_str().is_none() {
        return refuse("names no host");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("must not hold a user name or password");
    }
    match url.scheme() {
        "https" => {}
        "http" if crate::http::is_loopback(&url) => {}
        "http" => return refuse("is plain http: the client secret would be readable on the way; use https"),
        _ => return refuse("must begin with https://"),
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// An answer that was not expected, for people: the status and what the platform says of it.
fn described(status: u16, body: &[u8]) -> String {
    match wire::problem_text(body) {
        Some(text) => format!("the platform answered {status}: {text}"),
        None => format!("the platform answered {status}"),
    }
}

fn call_text(what: &str, error: &CallError) -> String {
    format!("{what}: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_https_or_loopback() {
        for good in
            ["https://api.example.com", "https://api.example.com/x/", "http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:1"]
        {
            assert!(checked_base(good).is_ok(), "{good}");
        }
        for bad in
            ["", "api.example.com", "http://api.example.com", "ftp://x", "https://user:pw@api.example.com", "http://127.0.0.1.example.com"]
        {
            let error = checked_base(bad).unwrap_err().to_string();
            assert!(error.starts_with("api.base_url") && !error.contains("pw@"), "{bad}: {error}");
        }
    }
}
