//! What the simulated platform plays: a script of scenarios, chosen by the action's id. The format (version 1, JSON or YAML) is the
//! one `simulate --scenario` reads; the built-in script is written in it.

use crate::model::{ActionId, Secret, without_place};
use base64::Engine as _;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::HashSet;

/// The longest time that a script may speak of, in seconds.
const YEAR: u64 = 366 * 24 * 3600;
/// The built-in script: an action for every way to fail that the demo shows.
const BUILT_IN: &str = include_str!("built_in.json");

/// All that a simulated platform knows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Script {
    /// The version of this format; 1.
    pub version: u32,
    /// Where chance begins: two runs of one script and seed draw the same durations and faults, in the order of requests.
    #[serde(default)]
    pub seed: u64,
    /// Whose API is simulated.
    #[serde(default)]
    pub profile: Vendor,
    /// Who may ask for tokens.
    #[serde(default)]
    pub client: Client,
    /// What the platform allows, and how it keeps time.
    #[serde(default)]
    pub limits: Limits,
    /// Answers given to the first token requests in place of the real one.
    #[serde(default)]
    pub token: Vec<Fault>,
    /// Faults that happen by chance.
    #[serde(default)]
    pub chances: Vec<Chance>,
    /// The actions.
    pub scenarios: Vec<Scenario>,
}

/// Whose API is simulated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Vendor {
    /// NICE CXone Data Actions: sessions that are polled.
    #[default]
    Cxone,
    /// Genesys Cloud data actions: tests that are answered at once.
    Genesys,
}

/// The one OAuth client of the simulated platform.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Client {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: Secret,
    /// How it must prove who it is: by HTTP Basic, or in the body.
    pub authentication: Authentication,
    /// The scopes it may be granted, separated by blanks.
    pub scopes: String,
    /// How long its tokens live, in seconds.
    pub token_lifetime_secs: u64,
    /// After how many calls a token is revoked; never where it is absent.
    pub token_calls: Option<usize>,
}

/// How a client proves who it is (RFC 6749 §2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Authentication {
    /// By HTTP Basic.
    Basic,
    /// By `client_id` and `client_secret` in the body.
    Body,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            id: "demo-client".to_owned(),
            secret: Secret::new("demo-secret".to_owned()),
            authentication: Authentication::Basic,
            scopes: "data:execute data:read trace:read".to_owned(),
            token_lifetime_secs: 3600,
            token_calls: None,
        }
    }
}

/// What the platform allows, and how it keeps time.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Limits {
    /// So many requests in each window of time; a window begins when the one before has ended.
    pub fixed_window: Option<FixedWindow>,
    /// A bucket that each request takes a token from.
    pub token_bucket: Option<TokenBucket>,
    /// Whether `Retry-After` is written as a date, not in seconds.
    pub retry_after_date: bool,
    /// How long after its submit a session is unknown.
    pub visible_after_ms: u64,
    /// How long a step may take before the platform ends the execution.
    pub step_ceiling_ms: u64,
    /// How long after its submit a session is forgotten.
    pub purge_after_ms: u64,
    /// How far the platform's clock, as its answers' `Date` has it, is ahead, in seconds.
    pub clock_skew_secs: i64,
}

/// So many requests in each window.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FixedWindow {
    /// The requests.
    pub requests: u32,
    /// The window's length.
    pub window_ms: u64,
}

/// A bucket of requests.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TokenBucket {
    /// How many it holds, and starts with.
    pub capacity: u32,
    /// How many flow in.
    pub per_second: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            fixed_window: None,
            token_bucket: None,
            retry_after_date: false,
            visible_after_ms: 0,
            step_ceiling_ms: 30_000,
            purge_after_ms: 24 * 3_600_000,
            clock_skew_secs: 0,
        }
    }
}

/// One action and how its executions go.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// The action that plays it.
    pub data_action_id: ActionId,
    /// Where the demo runs it.
    #[serde(default)]
    pub environment_id: Option<String>,
    /// Where the action is to be found; everywhere where it is absent.
    #[serde(default)]
    pub environments: Option<Vec<String>>,
    /// The input the demo gives it.
    #[serde(default)]
    pub input_parameters: Map<String, Value>,
    /// What the demo expects of it, as a vector writes it.
    #[serde(default)]
    pub expect: Option<Value>,
    /// How long an execution is queued and runs, in milliseconds: a number, or two to draw from.
    #[serde(default)]
    pub running_ms: Span,
    /// How long each step of the trace takes, in place of `runningMs`.
    #[serde(default)]
    pub steps_ms: Vec<u64>,
    /// Answers given to the first submits in place of the real one.
    #[serde(default)]
    pub submit: Vec<Fault>,
    /// Answers given to the first polls of each session in place of the real one.
    #[serde(default)]
    pub poll: Vec<Fault>,
    /// What the first executions end with, in turn, in place of `answer`.
    #[serde(default)]
    pub first: Vec<Value>,
    /// What a poll answers in the end: `status`, `result`, `trace`. Null, which must be written: the execution never ends.
    #[serde(deserialize_with = "Option::deserialize")]
    pub answer: Option<Value>,
}

/// A time, or two between which one is drawn.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "is neither a number of milliseconds nor two to draw from")]
pub enum Span {
    /// This time.
    Of(u64),
    /// A time between these, both included.
    Between(u64, u64),
}

impl Default for Span {
    fn default() -> Self {
        Self::Of(0)
    }
}

/// A fault that happens by chance.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Chance {
    /// To which call.
    pub call: Call,
    /// How likely, from 0 to 1.
    pub chance: f64,
    /// What happens.
    pub fault: Fault,
}

/// The calls there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Call {
    /// For the document that names the hosts.
    Discovery,
    /// For a token.
    Token,
    /// That starts an execution.
    Submit,
    /// That asks about a session.
    Poll,
}

/// An answer that is not the one asked for. With a `status` or a body of its own nothing is done that was asked for, unless `done` says so;
/// all else befalls the real answer, after it was done.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Fault {
    /// The status; 200 where it is absent.
    pub status: Option<u16>,
    /// The header `Retry-After`.
    pub retry_after: Option<String>,
    /// The media type; `application/problem+json` where it is absent.
    pub content_type: Option<String>,
    /// The body; a problem document where it is absent.
    pub body: Option<String>,
    /// The body, in base64, where it is no text.
    pub body_base64: Option<String>,
    /// Do what was asked for all the same, or leave it undone all the same.
    pub done: Option<bool>,
    /// Close the connection in place of the answer.
    pub cut: bool,
    /// Reset the connection in place of the answer.
    pub reset: bool,
    /// How long to wait before answering, in milliseconds.
    pub delay_ms: u64,
    /// Send the body in small pieces over this time.
    pub slow_ms: u64,
    /// Close the connection after so many bytes of the body.
    pub truncate: Option<usize>,
    /// After the body send blanks without end.
    pub endless: bool,
    /// Compress the body.
    pub gzip: bool,
}

impl Span {
    fn longest(self) -> u64 {
        match self {
            Self::Of(ms) => ms,
            Self::Between(from, to) => from.max(to),
        }
    }
}

impl Fault {
    fn check(&self) -> Result<(), String> {
        if let Some(status) = self.status.filter(|status| !(200..=599).contains(status)) {
            return Err(format!("a fault's status {status} is not between 200 and 599"));
        }
        match &self.body_base64 {
            Some(text) if base64::engine::general_purpose::STANDARD.decode(text).is_err() => {
                Err(format!("a fault's bodyBase64 {text} is no base64"))
            }
            _ => Ok(()),
        }
    }

    /// Whether it has an answer of its own.
    pub(super) fn replaces(&self) -> bool {
        self.status.is_some() || self.body.is_some() || self.body_base64.is_some()
    }

    /// Whether what was asked for is not done.
    pub(super) fn prevents(&self) -> bool {
        !self.done.unwrap_or(!self.replaces())
    }
}

impl Script {
    /// The built-in script.
    ///
    /// # Errors
    /// As [`Script::parse`]; a test holds that there are none.
    pub fn built_in() -> Result<Self, String> {
        Self::parse(BUILT_IN)
    }

    /// Reads a script: JSON where it begins with a brace, else YAML.
    ///
    /// # Errors
    /// Line, column and what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let script: Self = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|e| format!("{}:{}: {}", e.line(), e.column(), without_place(&e.to_string())))?
        } else {
            serde_saphyr::from_str(text).map_err(|e| {
                let place = e.location().map_or(String::new(), |at| format!("{}:{}: ", at.line(), at.column()));
                format!("{place}{}", without_place(&e.without_snippet().to_string()))
            })?
        };
        if script.version != 1 {
            return Err(format!("version: {} is not known; this tracejury reads 1", script.version));
        }
        script.check()?;
        Ok(script)
    }

    /// What can be written and means nothing.
    fn check(&self) -> Result<(), String> {
        if let Some(chance) = self.chances.iter().find(|c| !(0.0..=1.0).contains(&c.chance)) {
            return Err(format!("chances: {} is not between 0 and 1", chance.chance));
        }
        let limits = &self.limits;
        if limits.fixed_window.is_some_and(|window| window.requests == 0 || window.window_ms == 0) {
            return Err("limits.fixedWindow: a window takes at least one request, and some time".to_owned());
        }
        if limits.token_bucket.is_some_and(|bucket| bucket.capacity == 0 || !(bucket.per_second > 0.0 && bucket.per_second.is_finite())) {
            return Err("limits.tokenBucket: holds at least one request, and some flow in".to_owned());
        }
        if limits.clock_skew_secs.unsigned_abs() > YEAR || self.client.token_lifetime_secs > YEAR {
            return Err("limits.clockSkewSecs, client.tokenLifetimeSecs: are a year at most".to_owned());
        }
        if limits.purge_after_ms.max(limits.visible_after_ms).max(limits.step_ceiling_ms) > 1_000 * YEAR {
            return Err("limits: times are a year at most".to_owned());
        }
        let mut ids = HashSet::new();
        for scenario in &self.scenarios {
            let name = &scenario.name;
            if !ids.insert(scenario.data_action_id) {
                return Err(format!("scenario {name}: dataActionId: another scenario has it too"));
            }
            if scenario.running_ms.longest() > 1_000 * YEAR || scenario.steps_ms.iter().any(|ms| *ms > 1_000 * YEAR) {
                return Err(format!("scenario {name}: runningMs, stepsMs: are a year at most"));
            }
            if scenario.answer.iter().chain(&scenario.first).any(|answer| !answer.get("status").is_some_and(Value::is_string)) {
                return Err(format!("scenario {name}: answer, first: has no status; null is one that never ends"));
            }
        }
        let faults = self.token.iter().chain(self.chances.iter().map(|chance| &chance.fault));
        faults.chain(self.scenarios.iter().flat_map(|s| s.submit.iter().chain(&s.poll))).try_for_each(Fault::check)
    }

    /// The script's actions as a vector file.
    #[must_use]
    pub fn vectors(&self) -> Value {
        let vector = |s: &Scenario| {
            serde_json::json!({
                "name": s.name, "dataActionId": s.data_action_id, "inputParameters": s.input_parameters,
                "environmentId": s.environment_id.as_deref().unwrap_or("test"), "expect": s.expect.clone().unwrap_or_else(|| Value::Object(Map::new())),
            })
        };
        self.scenarios.iter().map(vector).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_script_is_sound() {
        let script = Script::built_in().unwrap();
        let mut ids: Vec<_> = script.scenarios.iter().map(|s| s.data_action_id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), script.scenarios.len(), "an action id is used twice");
        assert!(script.scenarios.iter().all(|s| s.expect.is_some()));
    }

    #[test]
    fn a_bad_script_is_named() {
        assert!(Script::parse("{\"version\":1,\n\"scenario\":[]}").unwrap_err().starts_with("2:10: unknown field `scenario`"));
        assert!(Script::parse(r#"{"version":2,"scenarios":[]}"#).unwrap_err().starts_with("version: 2"));
        let yaml = Script::parse("version: 1\nscenario: []\n").unwrap_err();
        assert!(yaml.starts_with("2:1: ") && yaml.contains("scenario"), "{yaml}");
        let chance = "version: 1\nscenarios: []\nchances: [{call: poll, chance: 2, fault: {status: 500}}]\n";
        assert_eq!(Script::parse(chance).unwrap_err(), "chances: 2 is not between 0 and 1");
        let error = |more: &str, scenario: &str| {
            let scenario = format!(r#"{{"name":"a","dataActionId":"a1b2c3d4-e5f6-7890-abcd-ef1234567890"{scenario}}}"#);
            Script::parse(&format!(r#"{{"version":1,"scenarios":[{scenario}]{more}}}"#)).unwrap_err()
        };
        let ends = r#","answer":{"status":"COMPLETED"}"#;
        assert!(error("", "").contains("missing field `answer`"));
        assert!(error("", r#","answer":{"state":1}"#).starts_with("scenario a: answer, first: has no status"));
        assert!(error(r#","limits":{"fixedWindow":{"requests":0,"windowMs":1}}"#, ends).starts_with("limits.fixedWindow: "));
        assert!(error(r#","limits":{"tokenBucket":{"capacity":1,"perSecond":-1}}"#, ends).starts_with("limits.tokenBucket: "));
        assert!(error(r#","limits":{"clockSkewSecs":-99999999999}"#, ends).contains("a year at most"));
        assert!(error(r#","token":[{"status":42}]"#, ends).contains("42 is not between"));
        assert!(error(r#","token":[{"bodyBase64":"%%%"}]"#, ends).contains("is no base64"));
        assert!(error("", &format!(r#"{ends},"runningMs":18446744073709551615"#)).starts_with("scenario a: runningMs"));
    }

    #[test]
    fn json_and_yaml_say_the_same() {
        let yaml = "version: 1\nseed: 7\nlimits: {fixedWindow: {requests: 3, windowMs: 1000}}\nscenarios:\n  - name: a\n    dataActionId: a1b2c3d4-e5f6-7890-abcd-ef1234567890\n    runningMs: [10, 20]\n    answer: {status: COMPLETED}\n";
        let json = r#"{"version":1,"seed":7,"limits":{"fixedWindow":{"requests":3,"windowMs":1000}},"scenarios":[{"name":"a","dataActionId":"a1b2c3d4-e5f6-7890-abcd-ef1234567890","runningMs":[10,20],"answer":{"status":"COMPLETED"}}]}"#;
        assert_eq!(format!("{:?}", Script::parse(yaml).unwrap()), format!("{:?}", Script::parse(json).unwrap()));
    }

    #[test]
    fn a_fault_says_whether_the_deed_is_done() {
        let fault = |json: &str| serde_json::from_str::<Fault>(json).unwrap();
        assert!(fault(r#"{"status":502}"#).prevents() && !fault(r#"{"cut":true}"#).prevents());
        assert!(!fault(r#"{"status":502,"done":true}"#).prevents() && fault(r#"{"cut":true,"done":false}"#).prevents());
    }
}
