//! What the simulated platform plays: a script of scenarios, chosen by the action's id. The format (version 1, JSON) is the one
//! `simulate --scenario` reads; the built-in script is written in it.

use crate::model::{ActionId, Secret};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The built-in script: an action for every way to fail that the demo shows.
const BUILT_IN: &str = include_str!("built_in.json");

/// All that a simulated platform knows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Script {
    /// The version of this format; 1.
    pub version: u32,
    /// Who may ask for tokens.
    #[serde(default)]
    pub client: Client,
    /// Answers given to the first token requests in place of the real one.
    #[serde(default)]
    pub token: Vec<Fault>,
    /// The actions.
    pub scenarios: Vec<Scenario>,
}

/// The one OAuth client of the simulated platform.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Client {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: Secret,
    /// The scopes it may be granted, separated by blanks.
    pub scopes: String,
    /// How long its tokens live, in seconds.
    pub token_lifetime_secs: u64,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            id: "demo-client".to_owned(),
            secret: Secret::new("demo-secret".to_owned()),
            scopes: "data:execute data:read trace:read".to_owned(),
            token_lifetime_secs: 3600,
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
    #[serde(deserialize_with = "action_id")]
    pub data_action_id: ActionId,
    /// Where the demo runs it.
    #[serde(default)]
    pub environment_id: Option<String>,
    /// The input the demo gives it.
    #[serde(default)]
    pub input_parameters: Map<String, Value>,
    /// What the demo expects of it, as a vector writes it.
    #[serde(default)]
    pub expect: Option<Value>,
    /// How long an execution is queued and runs, in milliseconds.
    #[serde(default)]
    pub running_ms: u64,
    /// Answers given to the first submits in place of the real one.
    #[serde(default)]
    pub submit: Vec<Fault>,
    /// Answers given to the first polls of each session in place of the real one.
    #[serde(default)]
    pub poll: Vec<Fault>,
    /// What a poll answers in the end: `status`, `result`, `trace`. Null: the execution never ends.
    pub answer: Option<Value>,
}

/// An answer that is not the one asked for.
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
    /// Do what was asked, but cut the connection in place of the answer.
    pub cut: bool,
    /// How long to wait before answering, in milliseconds.
    pub delay_ms: u64,
}

impl Script {
    /// The built-in script.
    ///
    /// # Errors
    /// As [`Script::parse`]; a test holds that there are none.
    pub fn built_in() -> Result<Self, String> {
        Self::parse(BUILT_IN)
    }

    /// Reads a script.
    ///
    /// # Errors
    /// Line, column and what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let script: Self = serde_json::from_str(text).map_err(|e| format!("{}:{}: {e}", e.line(), e.column()))?;
        if script.version != 1 {
            return Err(format!("version: {} is not known; this tracejury reads 1", script.version));
        }
        Ok(script)
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

fn action_id<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<ActionId, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
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
    }
}
