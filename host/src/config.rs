//! Settings: defaults < file < environment; flags are laid over them by the face that reads them. It knows names, types and
//! ranges of settings, not what they are for.

mod merge;
mod plugins;
mod records;
mod share;

pub use merge::{Merge, Policy};
pub use plugins::{Grants, Isolation, Limits, Own, PageScan, Plugins, Read};
pub use records::{Audit, Detector, Durability, Endpoint, Form, Journal, Privacy, Webhook};
pub use share::{Key, Origin, Scheme, Share, Trust};

use crate::model::Secret;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The text of the default settings: also the reference of all there are.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// The file that is read where none is named.
pub const FILE: &str = "tracejury.toml";

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's word.
        why: std::io::Error,
    },
    /// Something in the file is wrong.
    #[error("{place}: {what}")]
    Invalid {
        /// File, line and field, or the environment variable.
        place: String,
        /// What is wrong with it.
        what: String,
    },
}

/// What vectors may take from outside.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Vectors {
    pub env: Vec<String>,
}

/// All settings. See `config.default.toml` for what each means.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Settings {
    pub version: u32,
    pub api: Api,
    pub vectors: Vectors,
    pub plugins: Plugins,
    pub merge: Merge,
    pub journal: Journal,
    pub webhook: Webhook,
    pub audit: Audit,
    pub privacy: Privacy,
    pub tls: Tls,
    pub share: Share,
    pub trust: Trust,
    /// Platforms of one's own, as the room that speaks to them reads them.
    pub profiles: BTreeMap<String, toml::Table>,
}

/// The `[api]` table.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Api {
    pub profile: String,
    pub base_url: String,
    pub login_url: String,
    pub discovery_url: String,
    pub client_id: String,
    pub client_secret: Secret,
    pub scopes: String,
    #[serde(rename = "token_timeout_ms")]
    pub token_timeout: Millis,
    #[serde(rename = "submit_timeout_ms")]
    pub submit_timeout: Millis,
    #[serde(rename = "poll_timeout_ms")]
    pub poll_timeout: Millis,
    #[serde(rename = "connect_timeout_ms")]
    pub connect_timeout: Millis,
    #[serde(rename = "poll_first_ms")]
    pub poll_first: Millis,
    #[serde(rename = "poll_max_ms")]
    pub poll_max: Millis,
    #[serde(rename = "deadline_ms")]
    pub deadline: Millis,
    #[serde(rename = "visible_within_ms")]
    pub visible_within: Millis,
    pub concurrency: Count,
    /// None: what the profile says.
    pub requests_per_minute: Option<Count>,
    pub attempts: Count,
    #[serde(rename = "retry_first_ms")]
    pub retry_first: Millis,
    #[serde(rename = "retry_after_max_ms")]
    pub retry_after_max: Millis,
    pub max_answer_mib: Count,
    pub schemas: PathBuf,
}

/// The `[tls]` table.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Tls {
    pub ca_file: PathBuf,
    pub client_certificate: PathBuf,
    pub client_key: PathBuf,
}

/// A span of time written as a whole number of milliseconds, at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Millis(NonZeroU32);

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = positive(deserializer)?;
        u32::try_from(number.get()).ok().and_then(NonZeroU32::new).map(Self).ok_or_else(|| D::Error::custom("is longer than 49 days"))
    }
}

/// A whole number from 1. Serde's own words for what is none are those of a programmer.
fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NonZeroUsize, D::Error> {
    let wrong = || D::Error::custom("must be a whole number, at least 1");
    let number = i64::deserialize(deserializer).map_err(|_| wrong())?;
    usize::try_from(number).ok().and_then(NonZeroUsize::new).ok_or_else(wrong)
}

impl From<NonZeroU32> for Millis {
    fn from(millis: NonZeroU32) -> Self {
        Self(millis)
    }
}

impl Millis {
    /// The span.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_millis(u64::from(self.0.get()))
    }
}

impl Default for Millis {
    fn default() -> Self {
        Self(NonZeroU32::MIN)
    }
}

/// A whole number, at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Count(NonZeroUsize);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        positive(deserializer).map(Self)
    }
}

impl Count {
    /// The number.
    #[must_use]
    pub fn get(self) -> usize {
        self.0.get()
    }

    /// The number taken as KiB, in bytes.
    #[must_use]
    pub fn kib(self) -> usize {
        self.get().saturating_mul(1 << 10)
    }

    /// The number taken as MiB, in bytes.
    #[must_use]
    pub fn mib(self) -> usize {
        self.get().saturating_mul(1 << 20)
    }
}

impl Default for Count {
    fn default() -> Self {
        Self(NonZeroUsize::MIN)
    }
}

impl From<NonZeroUsize> for Count {
    fn from(number: NonZeroUsize) -> Self {
        Self(number)
    }
}

/// Settings, and where they were found.
#[derive(Debug)]
pub struct Found {
    /// The settings.
    pub settings: Settings,
    /// The file, where there is one.
    pub file: Option<PathBuf>,
    /// The environment variables that had a say.
    pub variables: Vec<&'static str>,
}

/// Reads the settings: the defaults, then `file` (or [`FILE`] where it exists), then the environment as `env` gives it.
///
/// # Errors
/// [`ConfigError`], with file, line and field.
pub fn load(file: Option<&Path>, env: impl Fn(&str) -> Option<String>) -> Result<Settings, ConfigError> {
    find(file, env).map(|found| found.settings)
}

/// As [`load`], with word of where the settings were found.
///
/// # Errors
/// [`ConfigError`], with file, line and field.
pub fn find(file: Option<&Path>, env: impl Fn(&str) -> Option<String>) -> Result<Found, ConfigError> {
    let mut table: toml::Table = parse("the default settings", DEFAULTS)?;
    let path = file.unwrap_or(Path::new(FILE));
    let found = match std::fs::read_to_string(path) {
        Ok(text) => {
            let place = path.display().to_string();
            // Read once alone: only then does an error know its line. What is absent gets a stand-in that is not used.
            parse::<Settings>(&place, &text)?;
            lay_over(&mut table, parse(&place, &text)?, &[]);
            Some(path.to_owned())
        }
        Err(why) if file.is_none() && why.kind() == std::io::ErrorKind::NotFound => None,
        Err(why) => return Err(ConfigError::Unreadable { path: path.to_owned(), why }),
    };
    let mut settings: Settings = table.try_into().map_err(|e: toml::de::Error| invalid("settings", e.message()))?;
    if settings.version != 1 {
        return Err(invalid(&format!("{}: version", path.display()), "is not known; this tracejury reads 1"));
    }
    let variables = from_environment(&mut settings, env);
    Ok(Found { settings, file: found, variables })
}

/// The name of a variable, and what sets its value.
type Variable = (&'static str, fn(&mut Settings, String));

/// The environment variables, and what each sets. Of two for one setting the later one counts.
const VARIABLES: [Variable; 14] = [
    ("CXONE_BASE_URL", |settings, value| settings.api.base_url = value),
    ("CXONE_CLIENT_ID", |settings, value| settings.api.client_id = value),
    ("CXONE_CLIENT_SECRET", |settings, value| settings.api.client_secret = Secret::new(value)),
    ("TRACEJURY_BASE_URL", |settings, value| settings.api.base_url = value),
    ("TRACEJURY_LOGIN_URL", |settings, value| settings.api.login_url = value),
    ("TRACEJURY_CLIENT_ID", |settings, value| settings.api.client_id = value),
    ("TRACEJURY_CLIENT_SECRET", |settings, value| settings.api.client_secret = Secret::new(value)),
    ("TRACEJURY_CACHE_DIR", |settings, value| settings.plugins.cache_dir = value.into()),
    ("TRACEJURY_SHELF", |settings, value| settings.share.shelf = value.into()),
    ("WEBHOOK_URL", |settings, value| settings.webhook.url = value),
    ("WEBHOOK_SECRET", |settings, value| settings.webhook.secret = Secret::new(value)),
    ("AUDIT_LOG_PATH", |settings, value| settings.audit.path = value.into()),
    ("TRACEJURY_JOURNAL", |settings, value| settings.journal.path = value.into()),
    ("TRACEJURY_PRIVACY_KEY", |settings, value| settings.privacy.key = Secret::new(value)),
];

/// Lays variables over settings; gives those that had a say.
fn from_environment(settings: &mut Settings, env: impl Fn(&str) -> Option<String>) -> Vec<&'static str> {
    let set = |(name, set): &Variable| {
        set(settings, env(name).filter(|value| !value.is_empty())?);
        Some(*name)
    };
    VARIABLES.iter().filter_map(set).collect()
}

/// Lays one table over another, key by key; those named in `whole` are replaced whole.
pub fn lay_over(below: &mut toml::Table, above: toml::Table, whole: &[&str]) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) if !whole.contains(&key.as_str()) => lay_over(below, above, whole),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

fn parse<T: serde::de::DeserializeOwned>(place: &str, text: &str) -> Result<T, ConfigError> {
    toml::from_str(text).map_err(|e| {
        let line = e.span().map(|span| text.get(..span.start).unwrap_or(text).matches('\n').count() + 1);
        let field = e.span().and_then(|span| key_at(text, span.start));
        // Never the error's own display: it shows the line of the file, which may hold a secret.
        let place = [Some(place.to_owned()), line.map(|l| l.to_string()), field].into_iter().flatten().collect::<Vec<_>>().join(":");
        invalid(&place, e.message())
    })
}

/// The key on the line around `offset`, as ` key`.
fn key_at(text: &str, offset: usize) -> Option<String> {
    let start = text.get(..offset)?.rfind('\n').map_or(0, |i| i + 1);
    let (key, _) = text.get(start..)?.lines().next()?.split_once('=')?;
    Some(format!(" {}", key.trim()))
}

fn invalid(place: &str, what: &str) -> ConfigError {
    ConfigError::Invalid { place: place.to_owned(), what: what.replace('\n', " ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none(_: &str) -> Option<String> {
        None
    }

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.toml");
        std::fs::write(&path, text).unwrap();
        (dir, path)
    }

    fn error(text: &str) -> String {
        let (dir, path) = file(text);
        load(Some(&path), none).unwrap_err().to_string().replace(&format!("{}/", dir.path().display()), "")
    }

    #[test]
    fn defaults_then_file_then_environment() {
        let (_dir, path) = file("[api]\nbase_url = 'https://a.example'\nclient_id = 'file'\n[plugins.priority]\nmine = 7\n");
        let settings = load(Some(&path), |name| (name == "CXONE_CLIENT_ID").then(|| "env".to_owned())).unwrap();
        assert_eq!((settings.api.base_url.as_str(), settings.api.client_id.as_str()), ("https://a.example", "env"));
        assert_eq!(settings.api.deadline.duration(), Duration::from_secs(120));
        assert_eq!(settings.plugins.priority, BTreeMap::from([("mine".to_owned(), 7), ("regex".to_owned(), 0)]));
    }

    #[test]
    fn an_empty_variable_is_an_unset_one() {
        let (_dir, path) = file("[audit]\npath = 'a'");
        assert_eq!(load(Some(&path), |_| Some(String::new())).unwrap().audit.path, PathBuf::from("a"));
    }

    #[test]
    fn errors_name_file_line_and_field() {
        assert_eq!(error("[api]\n\nconcurrency = 0"), "t.toml:3: concurrency: must be a whole number, at least 1");
        assert!(error("[api]\ntimeout = 3").starts_with("t.toml:2: timeout: unknown field `timeout`, expected one of `profile`"));
        assert!(error("[plugins.grants]\nteam = ['errors']").starts_with("t.toml:2: team: unknown variant `errors`"));
        assert_eq!(error("[api]\npoll_first_ms = 1.5"), "t.toml:2: poll_first_ms: must be a whole number, at least 1");
        assert_eq!(error("[api]\ndeadline_ms = 5000000000"), "t.toml:2: deadline_ms: is longer than 49 days");
        assert!(error("[api\n").starts_with("t.toml:1: "), "{}", error("[api\n"));
        assert!(error("version = 2").starts_with("t.toml: version: is not known"));
        assert!(load(Some(Path::new("/nowhere.toml")), none).unwrap_err().to_string().starts_with("/nowhere.toml: cannot be read"));
    }

    #[test]
    fn it_says_where_settings_were_found() {
        let (_dir, path) = file("");
        let found = find(Some(&path), |name| name.ends_with("BASE_URL").then(|| format!("https://{}.example", name.len()))).unwrap();
        assert_eq!((found.file, found.variables), (Some(path), vec!["CXONE_BASE_URL", "TRACEJURY_BASE_URL"]));
        assert_eq!(found.settings.api.base_url, "https://18.example", "the later one counts");
    }

    #[test]
    fn an_error_never_shows_a_secret() {
        let shown = error("[api]\nclient_secret = 4711");
        assert!(!shown.contains("4711") && shown.contains("client_secret"), "{shown}");
        let (_dir, path) = file("[webhook]\nsecret = 'hunter2'");
        assert!(!format!("{:?}", load(Some(&path), none).unwrap()).contains("hunter2"));
    }

    #[test]
    fn every_default_is_in_the_file() {
        // With a stand-in for each absent field, an absent one would go unnoticed: ask the file itself.
        let table: toml::Table = DEFAULTS.parse().unwrap();
        let keys = |name: &str| table[name].as_table().unwrap().len();
        assert_eq!((keys("api"), keys("plugins"), keys("webhook"), keys("audit"), keys("tls")), (21, 27, 13, 5, 3));
        assert_eq!((keys("journal"), keys("privacy"), keys("merge")), (2, 4, 6));
    }
}
