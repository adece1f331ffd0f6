//! The tables on what is kept and told of a run: journal, webhooks, audit log, privacy.

use super::{Count, Millis};
use crate::model::{Classification, Environment, Secret};
use serde::{Deserialize, Deserializer, de::Error as _};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The `[journal]` table.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Journal {
    pub path: PathBuf,
    pub keep_days: Count,
}

/// The `[webhook]` table.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Webhook {
    pub url: String,
    pub secret: Secret,
    pub previous_secrets: Vec<Secret>,
    pub format: Form,
    #[serde(deserialize_with = "parsed")]
    pub classifications: Vec<Classification>,
    pub min_confidence: f64,
    pub environments: Vec<Environment>,
    #[serde(rename = "timeout_ms")]
    pub timeout: Millis,
    #[serde(rename = "schedule_ms")]
    pub schedule: Vec<Millis>,
    #[serde(rename = "grace_ms")]
    pub grace: Millis,
    pub allow_http: bool,
    pub allow_private_targets: bool,
    pub endpoints: BTreeMap<String, Endpoint>,
}

/// One endpoint, as in `[webhook.endpoints.NAME]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Endpoint {
    pub url: String,
    pub secret: Secret,
    pub previous_secrets: Vec<Secret>,
    /// None: that of `[webhook]`.
    pub format: Option<Form>,
    #[serde(deserialize_with = "parsed")]
    pub classifications: Vec<Classification>,
    pub min_confidence: f64,
    pub environments: Vec<Environment>,
}

/// What a delivery's body looks like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// The event alone.
    #[default]
    Plain,
    /// The event as the data of a CloudEvent in structured mode.
    CloudEvents,
}

impl Webhook {
    /// The name of the endpoint that `webhook.url` is.
    pub const MAIN: &'static str = "main";

    /// All endpoints: that of `[webhook]` itself, where it has a URL, and those with a name.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, Endpoint> {
        let mut all = self.endpoints.clone();
        if !self.url.is_empty() {
            let main = Endpoint {
                url: self.url.clone(),
                secret: self.secret.clone(),
                previous_secrets: self.previous_secrets.clone(),
                format: Some(self.format),
                classifications: self.classifications.clone(),
                min_confidence: self.min_confidence,
                environments: self.environments.clone(),
            };
            all.insert(Self::MAIN.to_owned(), main);
        }
        all
    }
}

/// The `[audit]` table.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Audit {
    pub path: PathBuf,
    pub retention_days: u32,
    pub durability: Durability,
    #[serde(rename = "group_ms")]
    pub group: Millis,
    pub key_file: PathBuf,
}

/// When entries of the audit log are on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Before the outcome is reported.
    #[default]
    Always,
    /// At most `group_ms` after it was written.
    Group,
    /// When the operating system likes.
    Os,
}

/// The `[privacy]` table.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Privacy {
    pub key: Secret,
    pub key_file: PathBuf,
    pub detectors: Vec<Detector>,
    /// Regular expressions of one's own, by name.
    pub rules: BTreeMap<String, String>,
}

/// What is found in texts by its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Detector {
    Email,
    Phone,
    Card,
    Iban,
    Token,
    Key,
    Jwt,
    UrlPassword,
}

impl Detector {
    /// Its name in settings and flags.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Card => "card",
            Self::Iban => "iban",
            Self::Token => "token",
            Self::Key => "key",
            Self::Jwt => "jwt",
            Self::UrlPassword => "url-password",
        }
    }
}

fn parsed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Classification>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    names.into_iter().map(|name| name.parse().map_err(|e| D::Error::custom(format!("{name} {e}")))).collect()
}
