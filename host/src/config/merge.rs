//! The `[merge]` table: how verdicts become one answer. It knows names and ranges, not how any of it is done.

use super::Count;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// The `[merge]` table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct Merge {
    pub policy: Policy,
    /// The file of the calibration; none where it is empty.
    pub calibration: PathBuf,
    /// What plugins count in `pooled`, by name; 1 for those that are not named.
    #[serde(deserialize_with = "weights")]
    pub weights: BTreeMap<String, f64>,
    /// Plugins that are no evidence independent of each other.
    pub correlated: Vec<Vec<String>>,
    /// How many must agree in `quorum`.
    pub quorum: Count,
    /// How sure each of them must be.
    #[serde(deserialize_with = "share")]
    pub quorum_confidence: f64,
}

impl Default for Merge {
    fn default() -> Self {
        let two = NonZeroUsize::MIN.saturating_add(1).into();
        Self {
            policy: Policy::Highest,
            calibration: PathBuf::new(),
            weights: BTreeMap::new(),
            correlated: Vec::new(),
            quorum: two,
            quorum_confidence: 0.5,
        }
    }
}

/// How verdicts become one answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// The most confident verdict.
    #[default]
    Highest,
    /// All verdicts together, as evidence.
    Pooled,
    /// What enough of them agree on.
    Quorum,
}

impl Policy {
    /// The name, as settings have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Highest => "highest",
            Self::Pooled => "pooled",
            Self::Quorum => "quorum",
        }
    }
}

fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let share = f64::deserialize(deserializer)?;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err(D::Error::custom("must be a number from 0 to 1")) }
}

fn weights<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f64>, D::Error> {
    let weights: BTreeMap<String, f64> = BTreeMap::deserialize(deserializer)?;
    match weights.iter().find(|(_, weight)| !(0.0..=100.0).contains(*weight)) {
        Some((name, _)) => Err(D::Error::custom(format!("the weight of {name} must be a number from 0 to 100"))),
        None => Ok(weights),
    }
}
