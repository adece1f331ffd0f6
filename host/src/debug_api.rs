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
mod sightings;
mod submit;
mod template;
mod token;
mod wire;

pub use budget::Traffic;
pub use look::Visible;
pub use recorded::{Recorded, parse as parse_recorded, record};
pub use sightings::Sightings;
pub use submit::{Stops, Witness, stopped};

use crate::config::{Count, Settings};
use crate::http::{CallError, Http, Reply, Trust};
use crate::model::{ActionId, Environment, Problem, ProblemKind, SessionId, Status, Trace, Vector};
use budget::Call;
use caller::Caller;
use grant::Grants;
use hosts::Directory;
use profile::Profile;
use reqwest::Method;
use schedule::{Schedule, Ticket};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use template::{Place, Template};
use token::{Got, Token, Tokens};
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
    /// That it would be submitted could not be written down, so it was not.
    #[error("not submitted, since that could not be written down: {0}")]
    NotRecorded(String),
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
            ApiError::NotRecorded(_) => ProblemKind::Journal,
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
    /// What polls see of it.
    pub sightings: Sightings,
    course: Course,
}

impl Session {
    /// Whether its end is still to be asked for.
    #[must_use]
    pub fn is_polled(&self) -> bool {
        matches!(self.course, Course::Polled(_))
    }
}

/// How the end of an execution becomes known.
#[derive(Debug)]
enum Course {
    /// The submit was answered with the trace.
    Answered(Box<Trace>),
    /// By asking.
    Polled(Polled),
}

/// What there is to know of a session that is polled.
#[derive(Debug)]
struct Polled {
    /// When the submit was answered: the execution began somewhere between its sending and this.
    accepted: Instant,
    ticket: Ticket,
    /// How long the execution may take by its vector's word: then is a good time to ask.
    expected_within: Option<Duration>,
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

    /// Submits a vector: at most one execution comes of it, whatever happens. Waiting for a turn ends when nothing more is to be begun. The witness is told
    /// before it is sent, and when it certainly was not processed.
    ///
    /// # Errors
    /// [`ApiError`]; after [`ApiError::Ambiguous`] the action may have run.
    pub async fn submit(&self, vector: &Vector, stops: &mut Stops, witness: &impl Witness) -> Result<Session, ApiError> {
        submit::submit(self, vector, stops, witness).await
    }

    /// A session that was submitted before, by another process perhaps. It is asked about at once, and from now on as long as any other.
    ///
    /// # Errors
    /// [`ApiError::Gone`], on a platform that gives a trace only in answer to the submit.
    pub fn attach(&self, vector: &Vector, id: SessionId) -> Result<Session, ApiError> {
        if self.profile.poll.is_none() {
            return Err(ApiError::Gone("this platform tells of a session only in answer to its submit".to_owned()));
        }
        let (action, environment, now) = (vector.action, vector.environment, Instant::now());
        let ticket = self.schedule.late(action, environment, &self.caller.settings);
        let course = Course::Polled(Polled { accepted: now, ticket, expected_within: None });
        Ok(Session { id, action, environment, since: now, sightings: Sightings::default(), course })
    }

    /// Waits until a session has ended and brings its trace.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn trace(&self, session: Session) -> Result<Ended, ApiError> {
        let Session { id, action, environment, since, sightings, course } = session;
        match course {
            Course::Answered(trace) => Ok(Ended { trace: *trace, ran_at_least: None }),
            Course::Polled(polled) => poll::until_ended(poll::Poller::new(self, id, action, environment, since, sightings), polled).await,
        }
    }

    /// How many requests a minute are sent at most.
    #[must_use]
    pub fn requests_per_minute(&self) -> usize {
        self.per_minute
    }

    /// Until when the platform has asked all to wait, where it has.
    #[must_use]
    pub fn throttled_until(&self) -> Option<Instant> {
        self.caller.budget.paused_until()
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

    /// A request about an action, with all headers it carries: the profile's, filled in, and those of every request.
    async fn request(&self, method: Method, form: Form<'_>, about: About<'_>, token: &Token) -> Result<reqwest::RequestBuilder, ApiError> {
        let hosts = self.directory.get(&self.caller).await?;
        let fill = |place| -> &dyn std::fmt::Display {
            match (place, &about.session) {
                (Place::Base, _) => &hosts.base,
                (Place::Login, _) => &hosts.login,
                (Place::Action, _) => &about.action,
                (Place::Environment, _) => &about.environment,
                (Place::Session, Some(id)) => id,
                // The profile was checked: only a call about a session has this place.
                (Place::Session, None) => &"",
            }
        };
        let (url, headers) = form;
        let mut request = self.caller.http.request(method, &url.filled(fill));
        for (name, value) in headers {
            request = request.header(name, value.filled(fill));
        }
        Ok(request.bearer_auth(token.text()).header("accept", "application/json"))
    }
}

/// A call of the profile: its address and headers.
type Form<'a> = (&'a Template, &'a BTreeMap<String, Template>);

/// What a request is about.
#[derive(Clone, Copy)]
struct About<'a> {
    action: ActionId,
    environment: Environment,
    session: Option<&'a SessionId>,
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
