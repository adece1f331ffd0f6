//! The platform's debug API: a vector goes in, a trace comes out. The only room that knows the vendor's paths, headers and JSON,
//! and which profile of them is in use.

mod budget;
mod caller;
mod grant;
mod hosts;
mod look;
mod poll;
mod profile;
mod recorded;
mod retry;
mod schedule;
mod submit;
mod template;
mod token;
mod wire;

pub use budget::Traffic;
pub use look::Visible;
pub use recorded::{Recorded, parse as parse_recorded, record};
pub use submit::stopped;

use crate::config::{Count, Settings};
use crate::http::{CallError, Http, Reply, Trust};
use crate::model::{ActionId, Environment, Problem, ProblemKind, SessionId, Status, Trace, Vector};
use budget::Call;
use caller::Caller;
use grant::Grants;
use hosts::Directory;
use profile::Profile;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use schedule::{Schedule, Ticket};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use template::{Place, Template};
use token::{Got, Token, Tokens};
use tokio::sync::watch;
use tokio::time::Instant;
use wire::Answer;

/// Why a vector could not be finished. None of these says anything about the action.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// Fatal for the run: the platform does not accept the client, or not for this.
    #[error("{0}")]
    Credentials(String),
    /// Fatal for the run: an address or a profile leads nowhere.
    #[error("{0}")]
    Settings(String),
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
    /// The platform answers, but with something that cannot be read, and did so again.
    #[error("{0}")]
    Unreadable(String),
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
            ApiError::Settings(_) => ProblemKind::Settings,
            ApiError::Ambiguous(_) => ProblemKind::Ambiguous,
            ApiError::Unreachable(_) => ProblemKind::Unreachable,
            ApiError::Gone(_) => ProblemKind::SessionGone,
            ApiError::Unreadable(_) => ProblemKind::Unreadable,
            ApiError::Stopped => ProblemKind::Interrupted,
            ApiError::Deadline { .. } => ProblemKind::Deadline,
        };
        Self { kind, text: error.to_string() }
    }
}

/// An execution under way on the platform.
#[derive(Debug)]
pub struct Session {
    /// The platform's id.
    pub id: SessionId,
    /// The action.
    pub action: ActionId,
    /// Where it runs.
    pub environment: Environment,
    /// When the submit that was accepted was sent.
    pub since: Instant,
    /// When it was answered: the execution began somewhere between the two.
    accepted: Instant,
    ticket: Option<Ticket>,
    /// How long the execution may take by its vector's word: then is a good time to ask.
    expected_within: Option<Duration>,
    /// What the submit was answered with, on a platform that answers with the trace.
    answer: Option<Box<Trace>>,
}

/// An execution that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its trace.
    pub trace: Trace,
    /// How long it ran at least: until a poll last found it running. How long after that it ended nobody was told. None on a platform that
    /// answers with the trace.
    pub ran_at_least: Option<Duration>,
}

/// The API as one client sees it. Share it between all vectors: it holds the token, the budget of requests, and what was learned
/// of actions.
#[derive(Debug)]
pub struct DebugApi {
    profile: Arc<Profile>,
    caller: Arc<Caller>,
    directory: Arc<Directory>,
    tokens: Arc<Tokens>,
    schedule: Schedule,
    per_minute: usize,
}

impl DebugApi {
    /// Checks the settings; no request is made yet.
    ///
    /// # Errors
    /// The setting that is missing or unusable, by name.
    pub fn new(settings: &Settings, trust: &Trust) -> Result<Self, ApiError> {
        let api = &settings.api;
        // Those that are not in use too: what is wrong with them should not wait until they are.
        for name in settings.profiles.keys() {
            Profile::named(name, &settings.profiles).map_err(ApiError::Settings)?;
        }
        let profile = Profile::named(&api.profile, &settings.profiles).map_err(ApiError::Settings)?;
        let directory = Arc::new(Directory::new(api, &profile)?);
        for (value, name) in [(api.client_id.as_str(), "client_id"), (api.client_secret.expose(), "client_secret")] {
            if value.is_empty() {
                let variable = name.to_uppercase();
                return Err(ApiError::Credentials(format!("api.{name} is not set (CXONE_{variable} or TRACEJURY_{variable})")));
            }
        }
        let http = Http::new(api.connect_timeout.duration(), api.max_answer_mib.mib(), trust)
            .map_err(|e| ApiError::Settings(format!("tls: the certificates cannot be used: {e}")))?;
        let per_minute = api.requests_per_minute.map_or(profile.requests_per_minute.get(), Count::get);
        let caller = Arc::new(Caller::new(http, api.clone(), per_minute));
        let grants = Grants::new(Arc::clone(&caller), Arc::clone(&directory), profile.token.clone());
        let tokens = Arc::new(Tokens::new(grants));
        Ok(Self { profile: Arc::new(profile), caller, directory, tokens, schedule: Schedule::default(), per_minute })
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
    pub async fn trace(&self, mut session: Session) -> Result<Ended, ApiError> {
        match (session.answer.take(), session.ticket.take()) {
            (Some(trace), _) => Ok(Ended { trace: *trace, ran_at_least: None }),
            (None, ticket) => {
                let ticket = ticket.unwrap_or_else(|| self.schedule.ticket(session.action, session.environment, &self.caller.settings));
                poll::until_ended(self, &session, ticket).await
            }
        }
    }

    /// How many requests a minute are sent at most.
    #[must_use]
    pub fn requests_per_minute(&self) -> usize {
        self.per_minute
    }

    /// What went over the wire so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.caller.budget.traffic()
    }

    /// A token, and then a turn. Waiting for a token ends at `until`. The wait for the turn may be long: what is sent is the token there
    /// is then. Where there is none any more the turn is given back, or all who wait for a token would send at once when it comes; but only
    /// once, since there are tokens that live no longer than a turn takes.
    async fn signed_in(&self, call: Call, until: Option<Instant>) -> Result<Got, ApiError> {
        let mut got = self.token(until).await?;
        let mut given_back = false;
        loop {
            let turn = self.caller.budget.turn(call).await;
            match self.tokens.current() {
                Some(token) => return Ok(got.or_by_now(token)),
                None if given_back => return Ok(got),
                None => {
                    self.caller.budget.give_back(turn);
                    given_back = true;
                    got = self.token(until).await?;
                }
            }
        }
    }

    async fn token(&self, until: Option<Instant>) -> Result<Got, ApiError> {
        match until {
            None => self.tokens.get().await,
            Some(until) => match tokio::time::timeout_at(until, self.tokens.get()).await {
                Ok(got) => got,
                Err(_) => Err(ApiError::Unreachable("no token in time".to_owned())),
            },
        }
    }

    /// A submit, or with a session a poll of it, with all headers it carries.
    async fn request(
        &self,
        action: ActionId,
        environment: Environment,
        session: Option<&SessionId>,
        token: &Token,
    ) -> Result<reqwest::RequestBuilder, ApiError> {
        let (submit, poll) = (&self.profile.submit, self.profile.poll.as_ref().filter(|_| session.is_some()));
        let (url, headers) = poll.map_or((&submit.url, &submit.headers), |poll| (&poll.url, &poll.headers));
        let about = self.about(url, headers, action, environment, session).await?;
        let request = if poll.is_some() { self.caller.http.get(&about.url) } else { self.caller.http.post(&about.url) };
        Ok(request.headers(about.headers).bearer_auth(token.text()).header("accept", "application/json"))
    }

    /// An address and headers of the profile, filled in.
    async fn about(
        &self,
        url: &Template,
        headers: &BTreeMap<String, Template>,
        action: ActionId,
        environment: Environment,
        session: Option<&SessionId>,
    ) -> Result<About, ApiError> {
        let hosts = self.directory.get(&self.caller).await?;
        let fill = |place| -> &dyn std::fmt::Display {
            match (place, &session) {
                (Place::Base, _) => &hosts.base,
                (Place::Login, _) => &hosts.login,
                (Place::Action, _) => &action,
                (Place::Environment, _) => &environment,
                (Place::Session, Some(id)) => id,
                // The profile was checked: only a call about a session has this place.
                (Place::Session, None) => &"",
            }
        };
        let mut filled = HeaderMap::new();
        for (name, value) in headers {
            let named = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(&value.filled(fill)).ok());
            let (name, value) = named.ok_or_else(|| ApiError::Refused(format!("the profile's header {name} has a value that is none")))?;
            filled.insert(name, value);
        }
        Ok(About { url: url.filled(fill), headers: filled })
    }
}

/// Where a request about an action goes, and with what headers.
struct About {
    url: String,
    headers: HeaderMap,
}

/// What an answer says of a session.
struct Answered {
    status: Status,
    /// The trace, where the session has ended.
    ended: Option<Box<Trace>>,
}

/// Reads an answer about a session.
async fn read_apart(
    api: &DebugApi,
    reply: Reply,
    session: SessionId,
    action: ActionId,
    environment: Environment,
) -> Result<Answered, String> {
    let (profile, large) = (Arc::clone(&api.profile), reply.is_large());
    let read = move || {
        // A byte that is no UTF-8 costs a character, not the trace.
        let text = String::from_utf8_lossy(&reply.body);
        let kind = || {
            format!(
                "the platform answered {} with something that is no session ({})",
                reply.status,
                reply.content_type.as_deref().unwrap_or("no content type")
            )
        };
        let answer = Answer::read(&text, &profile.trace).map_err(|e| format!("{}: {e}", kind()))?;
        let status = answer.status.clone();
        let ended = if answer.ended() {
            Some(Box::new(answer.into_trace(&profile.trace.step, session, action, environment).map_err(|e| format!("{}: {e}", kind()))?))
        } else {
            None
        };
        Ok(Answered { status, ended })
    };
    // It would keep others waiting.
    if large { tokio::task::spawn_blocking(read).await.unwrap_or_else(|e| Err(e.to_string())) } else { read() }
}

/// An answer that was not expected, for people: the status and what the platform says of it.
fn described(reply: &Reply) -> String {
    match wire::problem_text(&reply.body) {
        Some(text) => format!("the platform answered {}: {text}", reply.status),
        None => format!("the platform answered {}", reply.status),
    }
}

fn call_text(what: &str, error: &CallError) -> String {
    format!("{what}: {error}")
}

fn no_more_retries(what: &str, why: &str) -> String {
    format!("{what}: {why}; so many requests fail that this one was not tried again")
}
