//! The simulated API itself: tokens, sessions, and a journal of what was asked. It checks requests as the real one would.

use super::{Answer, Asked, Fault, Scenario, Script, json, reply};
use base64::Engine as _;
use serde_json::{Value, json as object};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Where the journal can be read: every request in order, and how often each action was executed.
const JOURNAL: &str = "/_simulator/journal";

pub(super) struct Platform {
    script: Script,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tokens: HashMap<String, Grant>,
    token_requests: usize,
    submits: HashMap<String, usize>,
    sessions: HashMap<String, Session>,
    journal: Vec<Value>,
    executed: HashMap<String, usize>,
}

struct Grant {
    scopes: String,
    until: Instant,
}

struct Session {
    action: String,
    environment: String,
    started: Instant,
    polls: usize,
}

/// An error answer: status, title, detail.
struct Refusal(u16, &'static str, String);

type Handled = Result<hyper::Response<http_body_util::Full<hyper::body::Bytes>>, Refusal>;

impl Platform {
    pub(super) fn new(script: Script) -> Self {
        Self { script, state: Mutex::default() }
    }

    pub(super) async fn answer(&self, asked: &Asked) -> Answer {
        if asked.path == JOURNAL {
            let state = self.state();
            return Answer::Reply(json(200, &object!({"requests": state.journal, "executed": state.executed})));
        }
        let (fault, handled) = self.route(asked);
        if let Some(fault) = &fault {
            tokio::time::sleep(Duration::from_millis(fault.delay_ms)).await;
        }
        let response = match fault {
            Some(Fault { cut: true, .. }) => {
                self.write_down(asked, 0);
                return Answer::Cut;
            }
            Some(fault) if fault.status.is_some() || fault.body.is_some() => faulty(&fault),
            _ => handled.unwrap_or_else(|Refusal(status, title, detail)| refused(status, title, &detail)),
        };
        self.write_down(asked, response.status().as_u16());
        Answer::Reply(response)
    }

    /// The scripted fault for this request, and the answer it would get without.
    fn route(&self, asked: &Asked) -> (Option<Fault>, Handled) {
        let segments: Vec<_> = asked.path.split('/').skip(1).collect();
        let method = asked.method.as_str();
        match (segments.as_slice(), method) {
            (["api", "v2", "oauth", "token"], "POST") => self.token(asked),
            (["api", "v2", "data-actions", action, "debug"], "POST") => self.submit(asked, action),
            (["api", "v2", "data-actions", action, "debug-sessions", session], "GET") => self.poll(asked, action, session),
            (
                ["api", "v2", "oauth", "token"]
                | ["api", "v2", "data-actions", _, "debug"]
                | ["api", "v2", "data-actions", _, "debug-sessions", _],
                _,
            ) => (None, Err(Refusal(405, "Method Not Allowed", format!("{method} is not allowed here")))),
            _ => (None, Err(Refusal(404, "Not Found", format!("there is nothing at {}", asked.path)))),
        }
    }

    fn token(&self, asked: &Asked) -> (Option<Fault>, Handled) {
        let mut state = self.state();
        let fault = self.script.token.get(state.token_requests).cloned();
        state.token_requests += 1;
        let handled = self.grant(asked).map(|scopes| {
            let token = format!("tok-{}", uuid::Uuid::new_v4().simple());
            let lifetime = self.script.client.token_lifetime_secs;
            state.tokens.insert(token.clone(), Grant { scopes: scopes.clone(), until: Instant::now() + Duration::from_secs(lifetime) });
            json(200, &object!({"access_token": token, "token_type": "Bearer", "expires_in": lifetime, "scope": scopes}))
        });
        (fault, handled)
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
        let encode = |text: &str| {
            text.bytes()
                .map(|b| if b.is_ascii_alphanumeric() || b"-_.*".contains(&b) { char::from(b).to_string() } else { format!("%{b:02X}") })
                .collect::<String>()
        };
        let pair = format!("{}:{}", encode(&client.id), encode(client.secret.expose()));
        if asked.header("authorization") != Some(&format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))) {
            return Err(Refusal(401, "invalid_client", "client authentication failed".to_owned()));
        }
        let form: HashMap<_, _> = match reqwest::Url::parse(&format!("x:/?{}", String::from_utf8_lossy(&asked.body))) {
            Ok(url) => url.query_pairs().into_owned().collect(),
            Err(_) => HashMap::new(),
        };
        if form.get("grant_type").map(String::as_str) != Some("client_credentials") {
            return Err(Refusal(400, "unsupported_grant_type", "client_credentials is needed".to_owned()));
        }
        let wanted = form.get("scope").map_or(client.scopes.as_str(), String::as_str);
        let granted: Vec<_> = wanted.split_whitespace().filter(|scope| client.scopes.split_whitespace().any(|s| s == *scope)).collect();
        if granted.is_empty() {
            return Err(Refusal(400, "invalid_scope", "none of these scopes can be granted".to_owned()));
        }
        Ok(granted.join(" "))
    }

    fn submit(&self, asked: &Asked, action: &str) -> (Option<Fault>, Handled) {
        let mut state = self.state();
        let checked = self.authorised(&state, asked, "data:execute").and_then(|environment| {
            check_submit(asked)?;
            Ok((environment, self.scenario(action)?))
        });
        let (environment, scenario) = match checked {
            Ok(checked) => checked,
            Err(refusal) => return (None, Err(refusal)),
        };
        let tries = state.submits.entry(action.to_owned()).or_default();
        let fault = scenario.submit.get(*tries).cloned();
        *tries += 1;
        // A fault that answers says that nothing was started; one that cuts or delays comes after the start.
        if fault.as_ref().is_some_and(|f| f.status.is_some()) {
            return (fault, Err(Refusal(500, "Internal Server Error", String::new())));
        }
        let id = uuid::Uuid::new_v4().to_string();
        *state.executed.entry(action.to_owned()).or_default() += 1;
        let session = Session { action: action.to_owned(), environment, started: Instant::now(), polls: 0 };
        state.sessions.insert(id.clone(), session);
        (fault, Ok(json(202, &object!({"sessionId": id}))))
    }

    fn poll(&self, asked: &Asked, action: &str, id: &str) -> (Option<Fault>, Handled) {
        let mut state = self.state();
        let checked = self.authorised(&state, asked, "trace:read").and_then(|environment| Ok((environment, self.scenario(action)?)));
        let (environment, scenario) = match checked {
            Ok(checked) => checked,
            Err(refusal) => return (None, Err(refusal)),
        };
        let Some(session) = state.sessions.get_mut(id).filter(|s| s.action == action && s.environment == environment) else {
            return (None, Err(Refusal(404, "Not Found", "no such debug session".to_owned())));
        };
        let fault = scenario.poll.get(session.polls).cloned();
        session.polls += 1;
        let (elapsed, running) = (session.started.elapsed(), Duration::from_millis(scenario.running_ms));
        let answer = match &scenario.answer {
            Some(answer) if elapsed >= running => answer.clone(),
            _ if elapsed < running / 3 => object!({"status": "QUEUED"}),
            _ => object!({"status": "RUNNING"}),
        };
        (fault, Ok(json(200, &answer)))
    }

    /// Checks token, scope and workspace; answers with the environment.
    fn authorised(&self, state: &State, asked: &Asked, scope: &str) -> Result<String, Refusal> {
        let token = asked.header("authorization").and_then(|h| h.strip_prefix("Bearer "));
        let token = token.ok_or_else(|| Refusal(401, "Unauthorized", "a bearer token is needed".to_owned()))?;
        let grant = state.tokens.get(token).filter(|grant| Instant::now() < grant.until);
        let grant = grant.ok_or_else(|| Refusal(401, "Unauthorized", "invalid_token: the token is unknown or has expired".to_owned()))?;
        if !grant.scopes.split_whitespace().any(|s| s == scope) {
            return Err(Refusal(403, "Forbidden", format!("insufficient_scope: {scope} is needed")));
        }
        match asked.header("x-nice-workspace-id") {
            Some(environment @ ("dev" | "test" | "prod")) => Ok(environment.to_owned()),
            Some(_) => Err(Refusal(400, "Bad Request", "x-nice-workspace-id is not one of dev, test, prod".to_owned())),
            None => Err(Refusal(400, "Bad Request", "the header x-nice-workspace-id is missing".to_owned())),
        }
    }

    fn scenario(&self, action: &str) -> Result<&Scenario, Refusal> {
        let found = self.script.scenarios.iter().find(|s| s.data_action_id.to_string() == action);
        found.ok_or_else(|| Refusal(404, "Not Found", format!("there is no data action {action}")))
    }

    fn write_down(&self, asked: &Asked, status: u16) {
        // How a client signed in is worth knowing; its secret and tokens are not written down, not even here.
        let scheme = asked.header("authorization").and_then(|h| h.split(' ').next());
        let body: Value = serde_json::from_slice(&asked.body).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&asked.body)));
        let line = object!({
            "method": asked.method.as_str(), "path": asked.path, "query": asked.query, "authorization": scheme,
            "contentType": asked.header("content-type"), "workspace": asked.header("x-nice-workspace-id"), "body": body, "status": status,
        });
        self.state().journal.push(line);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check_submit(asked: &Asked) -> Result<(), Refusal> {
    if asked.header("content-type") != Some("application/json") {
        return Err(Refusal(415, "Unsupported Media Type", "application/json is needed".to_owned()));
    }
    let body: Value = serde_json::from_slice(&asked.body).map_err(|_| Refusal(400, "Bad Request", "the body is not JSON".to_owned()))?;
    let wrong = |what: &str| Err(Refusal(422, "Unprocessable Content", what.to_owned()));
    if !body.get("inputParameters").is_some_and(Value::is_object) {
        return wrong("inputParameters: must be an object");
    }
    if body.get("trace") != Some(&Value::Bool(true)) {
        return wrong("trace: must be true");
    }
    if body.get("versionConstraint") != Some(&Value::from("strict")) {
        return wrong("versionConstraint: must be strict");
    }
    Ok(())
}

fn refused(status: u16, title: &str, detail: &str) -> hyper::Response<http_body_util::Full<hyper::body::Bytes>> {
    // Token errors have the shape of RFC 6749 §5.2, all others that of RFC 9457.
    let oauth = title.contains('_');
    let body = if oauth {
        object!({"error": title, "error_description": detail})
    } else {
        object!({"type": "about:blank", "title": title, "status": status, "detail": detail})
    };
    let mut response = json(status, &body);
    if status == 401 {
        let scheme = if oauth { "Basic" } else { "Bearer" };
        response.headers_mut().insert(hyper::header::WWW_AUTHENTICATE, hyper::header::HeaderValue::from_static(scheme));
    }
    response
}

fn faulty(fault: &Fault) -> hyper::Response<http_body_util::Full<hyper::body::Bytes>> {
    let status = fault.status.unwrap_or(200);
    let problem = || object!({"type": "about:blank", "title": "scripted", "status": status}).to_string();
    let mut response =
        reply(status, fault.content_type.as_deref().unwrap_or("application/problem+json"), fault.body.clone().unwrap_or_else(problem));
    if let Some(value) = fault.retry_after.as_deref().and_then(|v| v.parse().ok()) {
        response.headers_mut().insert(hyper::header::RETRY_AFTER, value);
    }
    response
}
