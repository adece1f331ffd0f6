//! A test vector: one input for one action.

use super::{ActionId, Environment, Expect};
use serde_json::{Map, Value};
use std::sync::Arc;

/// One input to run an action with. Its file format is read by the room `vectors`.
#[derive(Debug, Clone, PartialEq)]
pub struct Vector {
    /// The author's name for it, or the file's name and the position in it.
    pub name: String,
    /// The action to run.
    pub action: ActionId,
    /// The input. It goes to the platform and nowhere else.
    pub input: Map<String, Value>,
    /// Where to run it.
    pub environment: Environment,
    /// Free words to select by.
    pub tags: Vec<String>,
    /// What its author expects; without it, `COMPLETED`.
    pub expect: Option<Expect>,
    /// Which repetition it is, from 1, where it is run several times.
    pub repetition: Option<u32>,
    /// Where it was written; none where it was not read from a file.
    pub source: Option<Arc<Source>>,
}

impl Vector {
    /// Its name, with its repetition where there are several: what tells it from all others of its run.
    #[must_use]
    pub fn full_name(&self) -> String {
        full_name(&self.name, self.repetition)
    }
}

/// A name with the repetition.
pub(super) fn full_name(name: &str, repetition: Option<u32>) -> String {
    repetition.map_or_else(|| name.to_owned(), |number| format!("{name} (repetition {number})"))
}

/// Where a vector was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The file as the user named it.
    pub file: Arc<str>,
    /// The line of the vector, from 1.
    pub line: u32,
    /// The line of each expectation, by its field.
    pub expected: Vec<(String, u32)>,
}

impl Source {
    /// The place of the expectation that a mismatch, `field: what`, is about.
    #[must_use]
    pub fn of_mismatch(&self, mismatch: &str) -> String {
        let field = mismatch.split_once(": ").map_or(mismatch, |(field, _)| field);
        let line = self.expected.iter().find(|(own, _)| own == field).map_or(self.line, |(_, line)| *line);
        format!("{}:{line}", self.file)
    }

    /// The place of the vector.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }
}
