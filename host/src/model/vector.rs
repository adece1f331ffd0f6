//! A test vector: one input for one action.

use super::{ActionId, Environment, Expect};
use serde_json::{Map, Value};

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
}
