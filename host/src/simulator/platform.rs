//! The simulated API itself: tokens, sessions, limits. It checks requests as the real one would; what is said in the words of one
//! vendor alone is in `cxone` and `genesys`.

use super::answer::{Answer, Response, broken, json, of_fault};
use super::journal::Journal;
use super::scenario::{Authentication, Call, Fault, Scenario, Script, Vendor};
use super::throttle::Throttle;
use super::timeline::Timeline;
use super::{Asked, cxone, genesys};
use base64::Engine as _;
use hyper::header::{DATE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::{Map, Value, json as object};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// The simulator's own paths: what was asked (all of it, or the counts), its clock, its tokens.
const JOURNAL: &str = "/_simulator/journal";
const COUNTS: &str = "/_simulator/counts";
const CLOCK: &str = "/_simulator/clock";
const REVOKE: &str = "/_simulator/revoke";

pub(super) struct Platform {
    pub(super) script: Script,
    state: Mutex<State>,
}

pub(super) struct State {
    /// How far the platform's clock was put forward.
    ahead: Duration,
    random: fastrand::Rng,
    throttle: Throttle,
    tokens: HashMap<String, Grant>,
    token_requests: usize,
    pub(super) submits: HashMap<String, usize>,
    pub(super) sessions: HashMap<String, Session>,
    pub(super) journal: Journal,
}

struct Grant {
    scopes: String,
    until: Instant,
    calls: usize,
}

pub(super) struct Session {
    pub(super) action: String,
    pub(super) environment: String,
    pub(super) started: Instant,
    pub(super) polls: usize,
    pub(super) timeline: Timeline,
    /// Whether the client was told how it ended.
    pub(super) told: bool,
}

/// An error answer: status, title, detail.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) u16, pub(super) &'static str, pub(super) String);

/// A request that was handled: what befalls its answer, and the answer.
pub(super) struct Handled {
    pub(super) fault: Option<Fault>,
    /// How long the answer takes.
    pub(super) takes: Duration,
    pub(super) response: Response,
}

impl Platform {
    pub(super) fn new(script: Script) -> Self {
        let state = State {
            ahead: Duration::ZERO,
            random: fastrand::Rng::with_seed(script.seed),
            throttle: Throttle::new(&script.limits),
            tokens: HashMap::new(),
            token_requests: 0,
            submits: HashMap::new(),
            sessions: HashMap::new(),
            journal: Journal::new(),
        };
        Self { script, state: Mutex::new(state) }
    }

    pub(super) async fn answer(&self, asked: &Asked) -> Answer {
        if let Some(response) = self.own(asked) {
            return Answer::Reply(response);
        }
        let number = self.state().journal.arrived(asked);
        let handled = match self.handle(asked) {
            Ok(handled) => handled,
            Err(refusal) => Handled::of(self.refused(&refusal)),
        };
        tokio::time::sleep(handled.takes).await;
        let Some(fault) = handled.fault else { return self.done(number, handled.response) };
        tokio::time::sleep(Duration::from_millis(fault.delay_ms)).await;
        if fault.cut || fault.reset {
            self.state().journal.answered(number, 0);
            return if fault.reset { Answer::Reset } else { Answer::Cut };
        }
        let response = if fault.replaces() { of_fault(&fault) } else { handled.response };
        self.done(number, broken(response, &fault).await)
    }

    /// Writes down how the request is answered, and dates the answer.
    fn done(&self, number: usize, mut response: Response) -> Answer {
        self.state().journal.answered(number, response.status().as_u16());
        let skew = Duration::from_secs(self.script.limits.clock_skew_secs.unsigned_abs());
        let now = SystemTime::now();
        let date = if self.script.limits.clock_skew_secs < 0 { now.checked_sub(skew) } else { now.checked_add(skew) };
        if let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(date.unwrap_or(now))) {
            response.headers_mut().insert(DATE, date);
        }
        Answer::Reply(response)
    }

    /// Everything that was asked so far.
    pub(super) fn journal(&self) -> Value {
        self.state().journal.whole()
    }

    /// What no real platform has: the journal, a clock to put forward, tokens to revoke.
    fn own(&self, asked: &Asked) -> Option<Response> {
        match (asked.path.as_str(), asked.method.as_str()) {
            (JOURNAL, "GET") => Some(json(200, &self.journal())),
            (COUNTS, "GET") => Some(json(200, &self.state().journal.counts())),
            (CLOCK, "POST") => {
                let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
                let Some(ms) = body.get("advanceMs").and_then(Value::as_u64) else {
                    return Some(json(400, &object!({"title": "Bad Request", "status": 400, "detail": "advanceMs is needed"})));
                };
                self.advance(Duration::from_millis(ms));
                Some(json(200, &object!({})))
            }
            (REVOKE, "POST") => {
                self.revoke();
                Some(json(200, &object!({})))
            }
            _ => None,
        }
    }

    /// Revokes all tokens.
    pub(super) fn revoke(&self) {
        self.state().tokens.clear();
    }

    /// Puts the platform's clock forward.
    pub(super) fn advance(&self, by: Duration) {
        self.state().ahead += by;
    }

    fn handle(&self, asked: &Asked) -> Result<Handled, Refusal> {
        {
            let mut state = self.state();
            let now = state.now();
            if let Err(wait) = state.throttle.take(now) {
                return Ok(Handled::of(self.throttled(wait)));
            }
        }
        match self.script.profile {
            Vendor::Cxone => cxone::route(self, asked),
            Vendor::Genesys => genesys::route(self, asked),
        }
    }

    /// The token endpoint.
    pub(super) fn token(&self, asked: &Asked) -> Result<Handled, Refusal> {
        let mut state = self.state();
        let scripted = self.script.token.get(state.token_requests).cloned();
        let fault = scripted.or_else(|| self.by_chance(&mut state, Call::Token));
        state.token_requests += 1;
        if fault.as_ref().is_some_and(Fault::prevents) {
            return Ok(Handled::instead(fault));
        }
        let scopes = self.grant(asked)?;
        let token = format!("tok-{}", uuid::Uuid::new_v4().simple());
        let lifetime = self.script.client.token_lifetime_secs;
        let until = state.now() + Duration::from_secs(lifetime);
        state.tokens.insert(token.clone(), Grant { scopes: scopes.clone(), until, calls: 0 });
        let body = object!({"access_token": token, "token_type": "Bearer", "expires_in": lifetime, "scope": scopes});
        Ok(Handled { fault, ..Handled::of(json(200, &body)) })
    }

    /// The scopes a token request is granted (RFC 6749 §4.4.2, errors of §5.2).
    fn grant(&self, asked: &Asked) -> Result<String, Refusal> {
        let client = &self.script.client;
        if asked.query.is_some() {
            return Err(Refusal(400, "invalid_request", "parameters belong into the body".to_owned()));
        }
        if asked.header("content-type") != Some("application/x-www-form-urlencoded") {
            return Err(Refusal(415, "Unsupported Media Type", "application/x-www-form-urlencoded is needed".to_owned()));
        }
        let form: HashMap<_, _> = match reqwest::Url::parse(&format!("x:/?{}", String::from_utf8_lossy(&asked.body))) {
            Ok(url) => url.query_pairs().into_owned().collect(),
            Err(_) => HashMap::new(),
        };
        let field = |name: &str| form.get(name).map(String::as_str);
        let known = match client.authentication {
            Authentication::Basic => asked.header("authorization") == Some(&basic(&client.id, client.secret.expose())),
            Authentication::Body => {
                let pair = (field("client_id"), field("client_secret"));
                asked.header("authorization").is_none() && pair == (Some(client.id.as_str()), Some(client.secret.expose()))
            }
        };
        if !known {
            return Err(Refusal(401, "invalid_client", "client authentication failed".to_owned()));
        }
        if field("grant_type") != Some("client_credentials") {
            return Err(Refusal(400, "unsupported_grant_type", "client_credentials is needed".to_owned()));
        }
        let wanted = field("scope").unwrap_or(&client.scopes);
        let granted: Vec<_> = wanted.split_whitespace().filter(|scope| client.scopes.split_whitespace().any(|s| s == *scope)).collect();
        if granted.is_empty() {
            return Err(Refusal(400, "invalid_scope", "none of these scopes can be granted".to_owned()));
        }
        Ok(granted.join(" "))
    }

    /// Checks the token, and that it has this scope, if one is needed.
    pub(super) fn authorised(&self, state: &mut State, asked: &Asked, scope: Option<&str>) -> Result<(), Refusal> {
        let unauthorised = |what: &str| Refusal(401, "Unauthorized", what.to_owned());
        let token = asked.header("authorization").and_then(|h| h.strip_prefix("Bearer "));
        let token = token.ok_or_else(|| unauthorised("a bearer token is needed"))?;
        let now = state.now();
        let grant = state.tokens.get_mut(token).filter(|grant| now < grant.until);
        let grant = grant.ok_or_else(|| unauthorised("invalid_token: the token is unknown or has expired"))?;
        grant.calls += 1;
        if self.script.client.token_calls.is_some_and(|most| grant.calls > most) {
            return Err(unauthorised("invalid_token: the token was revoked"));
        }
        match scope {
            Some(scope) if !grant.scopes.split_whitespace().any(|s| s == scope) => {
                Err(Refusal(403, "Forbidden", format!("insufficient_scope: {scope} is needed")))
            }
            _ => Ok(()),
        }
    }

    /// The scenario of an action, where it is to be found in this environment.
    pub(super) fn scenario(&self, action: &str, environment: Option<&str>) -> Result<&Scenario, Refusal> {
        let here = |s: &Scenario| s.environments.as_ref().zip(environment).is_none_or(|(there, here)| there.iter().any(|e| e == here));
        let found = self.script.scenarios.iter().find(|s| s.data_action_id.to_string() == action && here(s));
        found.ok_or_else(|| Refusal(404, "Not Found", format!("there is no data action {action}")))
    }

    /// Starts an execution.
    pub(super) fn execute(&self, state: &mut State, scenario: &Scenario, input: &Map<String, Value>) -> Timeline {
        let before = state.journal.executed(&scenario.data_action_id.to_string(), input);
        let timeline = Timeline::of(scenario, &self.script.limits, &mut state.random);
        match scenario.first.get(before) {
            Some(answer) => Timeline { answer: Some(answer.clone()), ..timeline },
            None => timeline,
        }
    }

    /// What befalls the next submit of an action.
    pub(super) fn submit_fault(&self, state: &mut State, scenario: &Scenario) -> Option<Fault> {
        let tries = state.submits.entry(scenario.data_action_id.to_string()).or_default();
        let fault = scenario.submit.get(*tries).cloned();
        *tries += 1;
        fault.or_else(|| self.by_chance(state, Call::Submit))
    }

    /// What befalls a call by chance.
    pub(super) fn by_chance(&self, state: &mut State, call: Call) -> Option<Fault> {
        self.script.chances.iter().filter(|c| c.call == call).find(|c| state.random.f64() < c.chance).map(|c| c.fault.clone())
    }

    fn refused(&self, refusal: &Refusal) -> Response {
        let Refusal(status, title, detail) = refusal;
        // Token errors have the shape of RFC 6749 §5.2, all others that of the vendor.
        let oauth = title.contains('_');
        let body = match self.script.profile {
            _ if oauth => object!({"error": title, "error_description": detail}),
            Vendor::Cxone => object!({"type": "about:blank", "title": title, "status": status, "detail": detail}),
            Vendor::Genesys => genesys::problem(*status, detail),
        };
        let mut response = json(*status, &body);
        if *status == 401 {
            let scheme = if oauth { "Basic" } else { "Bearer" };
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
        }
        response
    }

    fn throttled(&self, wait: Duration) -> Response {
        let mut response = self.refused(&Refusal(429, "Too Many Requests", "the limit of requests is reached".to_owned()));
        if let Ok(value) = HeaderValue::from_str(&self.retry_after(wait)) {
            response.headers_mut().insert(RETRY_AFTER, value);
        }
        response
    }

    fn retry_after(&self, wait: Duration) -> String {
        // Whole seconds, and never too few.
        let seconds = wait.as_millis().div_ceil(1000);
        if self.script.limits.retry_after_date {
            let seconds = Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX) + 1);
            return SystemTime::now().checked_add(seconds).map(httpdate::fmt_http_date).unwrap_or_default();
        }
        seconds.to_string()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The time by the platform's clock.
    pub(super) fn now(&self) -> Instant {
        Instant::now() + self.ahead
    }
}

impl Handled {
    /// An answer that nothing befalls.
    pub(super) fn of(response: Response) -> Self {
        Self { fault: None, takes: Duration::ZERO, response }
    }

    /// Where a fault answers in place of what was asked for.
    pub(super) fn instead(fault: Option<Fault>) -> Self {
        Self { fault, ..Self::of(json(500, &object!({}))) }
    }
}

/// The header of a client by RFC 6749 §2.3.1: id and secret are form-encoded before they are joined.
fn basic(id: &str, secret: &str) -> String {
    let encode = |text: &str| {
        text.bytes()
            .map(|b| if b.is_ascii_alphanumeric() || b"-_.*".contains(&b) { char::from(b).to_string() } else { format!("%{b:02X}") })
            .collect::<String>()
    };
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", encode(id), encode(secret))))
}
