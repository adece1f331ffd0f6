//! Looking at the platform without running anything: is it there, does it know the client, does it know an action.

use super::budget::Call;
use super::template::Place;
use super::{About, ApiError, DebugApi, call_text, described};
use crate::http::{Found, Http};
use crate::model::{ActionId, Environment};
use reqwest::Method;

/// Whether an action is to be found somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Visible {
    /// It is.
    Yes,
    /// It is not, in the platform's words.
    No(String),
    /// The client may not look there.
    Forbidden(String),
    /// The profile has no way to see it without running it.
    Unknown,
}

impl DebugApi {
    /// The addresses that are known so far, with their settings' names.
    #[must_use]
    pub fn addresses(&self) -> Vec<(&'static str, String)> {
        self.directory.known().into_iter().map(|(name, url)| (name, url.to_owned())).collect()
    }

    /// Tries to reach a host, stage by stage, by the client that all calls go through.
    pub async fn reach(&self, url: &reqwest::Url) -> Found {
        let http: &Http = &self.caller.http;
        http.probe(url, self.caller.settings.poll_timeout.duration()).await
    }

    /// Asks for the hosts, where a document names them, and for a token; the scopes it was granted.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn sign_in(&self) -> Result<String, ApiError> {
        self.tokens.get().await.map(|_| self.tokens.scopes().to_owned())
    }

    /// Whether the platform tells environments apart when it is asked for an action.
    #[must_use]
    pub fn tells_environments_apart(&self) -> bool {
        let apart = |probe: &super::profile::Call| {
            probe.url.has(Place::Environment) || probe.headers.values().any(|value| value.has(Place::Environment))
        };
        self.profile.probe.as_ref().is_some_and(apart)
    }

    /// Whether an action is to be found in an environment; it is not run.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn visible(&self, action: ActionId, environment: Environment) -> Result<Visible, ApiError> {
        let Some(probe) = &self.profile.probe else { return Ok(Visible::Unknown) };
        let got = self.signed_in(Call::Poll, None).await?;
        let about = About { action, environment, session: None };
        let request = self.request(Method::GET, probe.parts(), about, &got.token).await?;
        let sent = self.caller.send(request, self.caller.settings.poll_timeout.duration()).await;
        let reply = sent.map_err(|e| ApiError::Unreachable(call_text("probe", &e)))?;
        let text = described(&reply);
        match reply.status {
            200..300 => Ok(Visible::Yes),
            404 => Ok(Visible::No(text)),
            403 => Ok(Visible::Forbidden(text)),
            401 => Err(ApiError::Credentials(text)),
            429 | 500.. => Err(ApiError::Unreachable(text)),
            _ => Err(ApiError::Refused(text)),
        }
    }
}
