//! Asking for a token. OAuth 2.0 client credentials (RFC 6749 §4.4). How long one serves, and for whom, is `token`'s to know.

use super::budget::Call;
use super::caller::Caller;
use super::hosts::Directory;
use super::profile::{Authentication, TokenCall};
use super::template::Place;
use super::{ApiError, call_text, described, retry, wire};
use crate::http::{CallError, Reply};
use crate::model::Secret;
use base64::Engine as _;
use reqwest::header::HeaderValue;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

/// The life of a token whose answer names none (RFC 6749 §5.1 leaves it to documentation).
const DEFAULT_LIFE: u64 = 300;
/// The longest life a token is believed to have; some platforms write "never" as a very large number.
const LONGEST_LIFE: u64 = 24 * 3600;

/// A token that was just given out.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) text: Secret,
    /// When it was asked for: its life began no earlier.
    pub(super) asked: Instant,
    pub(super) life: Duration,
}

/// Where and how tokens are asked for.
#[derive(Debug)]
pub(super) struct Grants {
    pub(super) caller: Arc<Caller>,
    directory: Arc<Directory>,
    form: TokenCall,
    scopes: String,
}

/// Why one request brought no token.
enum Trouble {
    /// Everybody waits, and it is part of the next turn.
    Throttled(String),
    /// May work later: after the wait that was asked for, or one of ours.
    Later(String, Option<Duration>),
    Fatal(ApiError),
}

impl Grants {
    pub(super) fn new(caller: Arc<Caller>, directory: Arc<Directory>, form: TokenCall) -> Self {
        let set = &caller.settings.scopes;
        let scopes = if set.is_empty() { form.scopes.clone() } else { set.clone() };
        Self { caller, directory, form, scopes }
    }

    /// The scopes asked for, and needed.
    pub(super) fn scopes(&self) -> &str {
        &self.scopes
    }

    /// Asks until there is a token, the client is refused, or all attempts are used up. Only one asks at a time, so that its attempts
    /// need no budget of retries.
    pub(super) async fn fetch(&self) -> Result<Granted, ApiError> {
        let (mut attempt, began) = (0, Instant::now());
        loop {
            let trouble = match self.once().await {
                Ok(granted) => return Ok(granted),
                Err(Trouble::Fatal(error)) => return Err(error),
                Err(trouble) => trouble,
            };
            let settings = &self.caller.settings;
            let (text, wait) = match trouble {
                Trouble::Later(text, asked) => {
                    attempt += 1;
                    (text, retry::wait(settings, asked, attempt))
                }
                // To be told to wait is no failure; patience with it ends all the same.
                Trouble::Throttled(text) if began.elapsed() < settings.deadline.duration() => (text, Duration::ZERO),
                Trouble::Throttled(text) => {
                    return Err(ApiError::Unreachable(format!("no token after {} s: {text}", began.elapsed().as_secs())));
                }
                Trouble::Fatal(error) => return Err(error),
            };
            if attempt as usize >= settings.attempts.get() {
                return Err(ApiError::Unreachable(format!("no token after {attempt} attempts: {text}")));
            }
            tracing::debug!(attempt, "token: trying again: {text}");
            self.caller.budget.retried();
            sleep(wait).await;
        }
    }

    async fn once(&self) -> Result<Granted, Trouble> {
        let caller = &self.caller;
        let hosts = self.directory.get(caller).await.map_err(|error| match error {
            ApiError::Unreachable(text) => Trouble::Later(text, None),
            other => Trouble::Fatal(other),
        })?;
        let url = self.form.url.filled(|place| if place == Place::Base { &hosts.base } else { &hosts.login });
        caller.budget.turn(Call::Token).await;
        let asked = Instant::now();
        match caller.send(self.request(&url), caller.settings.token_timeout.duration()).await {
            Ok(reply) if reply.is_success() => self.read(reply, asked),
            Ok(reply) if reply.status == 429 => Err(Trouble::Throttled(described(&reply))),
            Ok(reply) if retry::is_transient(reply.status) => Err(Trouble::Later(described(&reply), reply.retry_after)),
            Ok(reply) => Err(Trouble::Fatal(refusal(&reply))),
            Err(CallError::Fatal(text)) => Err(Trouble::Fatal(ApiError::Settings(format!("token: {text}")))),
            // Asking for a token twice does no harm, so an ambiguous failure is repeated too.
            Err(error) => Err(Trouble::Later(call_text("token", &error), None)),
        }
    }

    fn request(&self, url: &str) -> reqwest::RequestBuilder {
        let settings = &self.caller.settings;
        let mut form = vec![("grant_type", "client_credentials")];
        if !self.scopes.is_empty() {
            form.push(("scope", &self.scopes));
        }
        let request =
            self.caller.http.post(url).header("content-type", "application/x-www-form-urlencoded").header("accept", "application/json");
        match self.form.authentication {
            Authentication::Basic => {
                let basic = basic(&settings.client_id, settings.client_secret.expose());
                request.header("authorization", basic).body(encoded(&form).to_string())
            }
            Authentication::Body => {
                form.push(("client_id", &settings.client_id));
                form.push(("client_secret", settings.client_secret.expose()));
                request.body(encoded(&form).to_string())
            }
        }
    }

    fn read(&self, mut reply: Reply, asked: Instant) -> Result<Granted, Trouble> {
        let body = Zeroizing::new(std::mem::take(&mut reply.body));
        let odd = || "token: the answer is not what RFC 6749 asks for; is the address right?".to_owned();
        let answer: wire::TokenAnswer = serde_json::from_slice(&body).map_err(|_| Trouble::Later(odd(), None))?;
        let missing = missing_scopes(&self.scopes, answer.scope().as_deref());
        if !missing.is_empty() {
            return Err(Trouble::Fatal(ApiError::Credentials(format!("the client was not granted: {missing}"))));
        }
        // A life of nothing is written by those who do not know it.
        let life = answer.expires_in().filter(|seconds| *seconds > 0).unwrap_or(DEFAULT_LIFE).min(LONGEST_LIFE);
        let life = Duration::from_secs(life);
        Ok(Granted { text: answer.access_token, asked, life })
    }
}

/// The client's secret in all the forms that it travels in.
pub(super) fn forms_of_secret(id: &str, secret: &str) -> Vec<Secret> {
    [secret.to_owned(), form_encoded(secret).to_string(), credentials(id, secret).to_string()].map(Secret::new).into()
}

fn form_encoded(text: &str) -> Zeroizing<String> {
    Zeroizing::new(encoded(&[("", text)]).trim_start_matches('=').to_owned())
}

/// RFC 6749 §2.3.1: id and secret are form-encoded before they are joined, which reqwest's `basic_auth` leaves out.
fn credentials(id: &str, secret: &str) -> Zeroizing<String> {
    let pair = Zeroizing::new(format!("{}:{}", *form_encoded(id), *form_encoded(secret)));
    Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(pair.as_bytes()))
}

fn basic(id: &str, secret: &str) -> HeaderValue {
    let text = Zeroizing::new(format!("Basic {}", *credentials(id, secret)));
    // Base64 is always fit for a header.
    let mut value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

/// Names and values in `application/x-www-form-urlencoded` form.
fn encoded(pairs: &[(&str, &str)]) -> Zeroizing<String> {
    let query = reqwest::Url::parse_with_params("x:/", pairs).ok().and_then(|url| url.query().map(str::to_owned));
    Zeroizing::new(query.unwrap_or_default())
}

fn refusal(reply: &Reply) -> ApiError {
    let why = match wire::oauth_error(&reply.body).as_deref() {
        Some("invalid_client") => {
            "invalid_client: the platform does not know this client id or secret; check api.client_id and api.client_secret, or the variables that set them".to_owned()
        }
        Some("unauthorized_client") => {
            "unauthorized_client: the client may not use the grant client_credentials; allow it where the client is registered".to_owned()
        }
        Some("invalid_scope") => {
            "invalid_scope: the client may not ask for these scopes; check api.scopes, and what the client is granted".to_owned()
        }
        // An OAuth error, or none of OAuth's making: then it is hardly the endpoint of tokens that answers.
        Some(_) => described(reply),
        None if matches!(reply.status, 401 | 403) => described(reply),
        None => {
            let said = described(reply);
            return ApiError::Settings(format!("{said}; tokens are asked for elsewhere, or by another profile"));
        }
    };
    ApiError::Credentials(why)
}

/// The needed scopes that were not granted. An answer without `scope` grants what was asked for (RFC 6749 §5.1).
fn missing_scopes(needed: &str, granted: Option<&str>) -> String {
    let Some(granted) = granted else { return String::new() };
    needed.split_whitespace().filter(|need| !granted.split_whitespace().any(|got| got == *need)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::profile::Profile;
    use super::*;
    use crate::config::Api;
    use crate::http::{Http, Trust};
    use std::collections::BTreeMap;

    fn grants(settings: Api) -> Grants {
        let http = Http::new(Duration::from_secs(1), 1 << 20, &Trust::default()).unwrap();
        let profile = Profile::named("cxone", &BTreeMap::new()).unwrap();
        let settings = Api { base_url: "http://127.0.0.1:1".into(), profile: "cxone".into(), ..settings };
        let directory = Directory::new(&settings, &profile).unwrap();
        Grants::new(Arc::new(Caller::new(http, settings, 300)), Arc::new(directory), profile.token)
    }

    #[test]
    fn scopes_are_compared_as_words() {
        assert_eq!(missing_scopes("data:execute data:read", Some("data:read data:executed")), "data:execute");
        assert_eq!(missing_scopes("a b", Some("b a c")), "");
        assert_eq!(missing_scopes("a b", None), "");
    }

    #[tokio::test]
    async fn id_and_secret_are_encoded_before_they_are_joined() {
        let settings = Api { client_id: "a:b".into(), client_secret: Secret::new("p%w d".into()), scopes: "x y".into(), ..Api::default() };
        let request = grants(settings).request("http://127.0.0.1:1/t").build().unwrap();
        let expected = base64::engine::general_purpose::STANDARD.encode("a%3Ab:p%25w+d");
        assert_eq!(request.headers()["authorization"], format!("Basic {expected}"));
        assert!(request.headers()["authorization"].is_sensitive());
        assert_eq!(request.body().unwrap().as_bytes().unwrap(), b"grant_type=client_credentials&scope=x+y");
        assert_eq!(request.url().query(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_read_as_platforms_write_it() {
        let grants = grants(Api::default());
        let read = |rest: &str| {
            let body = format!(r#"{{"access_token":"t"{rest}}}"#);
            grants.read(Reply { status: 200, body: body.into_bytes(), ..Reply::default() }, Instant::now())
        };
        let life = |rest: &str| read(rest).map(|granted| granted.life.as_secs()).ok();
        assert_eq!((life(r#","expires_in":3600"#), life(r#","expires_in":"3600""#), life("")), (Some(3600), Some(3600), Some(300)));
        assert_eq!((life(r#","expires_in":0"#), life(r#","expires_in":0.4"#)), (Some(300), Some(300)));
        assert_eq!(life(r#","expires_in":18446744073709551615"#), Some(24 * 3600));
        assert_eq!(life(r#","scope":["trace:read","data:read","data:execute"],"expires_in":60.0"#), Some(60));
        assert!(
            matches!(read(r#","scope":"data:read trace:read""#), Err(Trouble::Fatal(ApiError::Credentials(text))) if text.ends_with(": data:execute"))
        );
        let html = grants.read(Reply { status: 200, body: b"<html>".to_vec(), ..Reply::default() }, Instant::now());
        assert!(matches!(html, Err(Trouble::Later(..))));
    }
}
