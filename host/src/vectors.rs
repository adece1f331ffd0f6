//! Reads vector files: JSON, NDJSON, YAML and CSV, with defaults, a matrix, variables and rows of a data file, and picks the vectors that are
//! wanted. It collects every problem of a file, each with its place, and knows nothing of what becomes of a vector.

mod build;
mod data;
mod entry;
mod files;
mod part;
mod place;
mod schema;
mod select;
mod suite;
mod template;

pub use place::Place;
pub use schema::Schemas;
pub use select::{Filter, Selection, Shard, name_key};
pub use suite::{Prod, Reading, Suite, Vectors};
pub use template::Variables;

use crate::model::printable;
use std::fmt;

/// One thing wrong with a file: `file:line:column: vector 2 (name): field: what`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct VectorError {
    /// The file as the user named it.
    pub file: String,
    /// None where the whole file is meant.
    pub place: Option<Place>,
    /// The vector's number in the file, from 1, and its name.
    pub vector: Option<(usize, Option<String>)>,
    /// The field.
    pub field: Option<String>,
    /// What is wrong.
    pub what: String,
}

/// The variables of a file: an object in YAML, or in JSON, which YAML reads too.
///
/// # Errors
/// What is wrong with it, with its places.
pub fn read_variables(file: &str, text: &str) -> Result<serde_json::Map<String, serde_json::Value>, String> {
    let (value, tree) =
        entry::yaml::value(file, text).map_err(|wrong| wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    serde_json::from_value(value).map_err(|_| format!("{file}:{}: is no object of variables", tree.place))
}

impl VectorError {
    /// Something wrong with a file rather than with one of its vectors.
    fn of_file(file: &str, place: Option<Place>, what: String) -> Self {
        Self { file: file.to_owned(), place, vector: None, field: None, what }
    }
}

impl fmt::Display for VectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", printable(&self.file))?;
        if let Some(place) = self.place {
            write!(f, ":{place}")?;
        }
        match &self.vector {
            Some((number, Some(name))) => write!(f, ": vector {number} ({})", printable(name))?,
            Some((number, None)) => write!(f, ": vector {number}")?,
            None => {}
        }
        if let Some(field) = &self.field {
            write!(f, ": {}", printable(field))?;
        }
        write!(f, ": {}", printable(&self.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Vector;
    use proptest::prelude::*;

    const ORIGINAL: &str = r#"{"dataActionId":"a1b2c3d4-e5f6-7890-abcd-ef1234567890","inputParameters":{"customerId":"CUST-998877","orderAmount":150.75,"currency":"USD"},"environmentId":"test"}"#;

    fn parse(name: &str, text: &str) -> Result<Vec<Vector>, Vec<String>> {
        Suite::of_text(name, text).map(|suite| suite.vectors().map(Result::unwrap).collect())
    }

    fn errors(text: &str) -> Vec<String> {
        parse("dir/v.json", text).unwrap_err()
    }

    #[test]
    fn an_object_an_array_and_lines_are_read() {
        assert_eq!(parse("dir/v.json", ORIGINAL).unwrap()[0].name, "v#1");
        assert_eq!(parse("v", &format!("\u{feff}[{ORIGINAL},\n{ORIGINAL}]")).unwrap().len(), 2);
        assert_eq!(parse("v", &format!("{ORIGINAL}\n\n{ORIGINAL}\r\n{ORIGINAL}")).unwrap().len(), 3);
        assert_eq!(parse("v", &ORIGINAL.replace(',', ",\n  ")).unwrap().len(), 1);
        let nested = ORIGINAL.replace("\"CUST-998877\"", "[\n{\"a\":1}\n]");
        assert_eq!(parse("v", &nested).unwrap().len(), 1);
    }

    #[test]
    fn all_problems_are_named_with_their_place() {
        let text = "[\n  {\"name\": \"a\", \"dataActionId\": \"x\",\n   \"inputParameters\": [],\n   \"environmentId\": \"live\", \"trace\": false},\n  7,\n  {\"dataActionID\": 1, \"expect\": {\"status\": \"OK\", \"problem\": \"?\"}}\n]";
        assert_eq!(
            errors(text),
            [
                "dir/v.json:2:33: vector 1 (a): dataActionId: is not a UUID such as a1b2c3d4-e5f6-7890-abcd-ef1234567890",
                "dir/v.json:3:23: vector 1 (a): inputParameters: is not an object",
                "dir/v.json:4:21: vector 1 (a): environmentId: is not one of dev, test, prod",
                "dir/v.json:4:38: vector 1 (a): trace: must be true or absent: without a trace nothing can be classified",
                "dir/v.json:5:3: vector 2: is not an object",
                "dir/v.json:6:20: vector 3: dataActionID: is not a field of a vector; there are name, dataActionId, inputParameters, environmentId, trace, tags, expect",
                "dir/v.json:6:3: vector 3: dataActionId: is missing",
                "dir/v.json:6:3: vector 3: inputParameters: is missing",
                "dir/v.json:6:3: vector 3: environmentId: is missing",
                "dir/v.json:6:44: vector 3: expect: status: is neither COMPLETED nor FAILED",
                "dir/v.json:6:61: vector 3: expect: problem: is not one of deadline, session-gone, ambiguous, unreachable, unreadable, refused, credentials, settings, interrupted, journal",
            ]
        );
    }

    #[test]
    fn broken_json_names_line_and_column() {
        assert_eq!(errors("[\n{\"a\": }]"), ["dir/v.json:2:7: is not JSON: expected value"]);
        assert_eq!(errors("{\n\"a\": 1,\n}"), ["dir/v.json:3:1: is not JSON: key must be a string"]);
        assert_eq!(errors(&format!("{ORIGINAL}\n{{\"a\"\n{ORIGINAL}")), ["dir/v.json:2:4: is not JSON: EOF while parsing an object"]);
        assert_eq!(errors(&format!("{{\"a\"\n{ORIGINAL}\n{{}}")).len(), 4, "a broken first line hides nothing");
        assert_eq!(errors(" \n"), ["dir/v.json: holds no vector"]);
        assert_eq!(errors("[]"), ["dir/v.json: holds no vector"]);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}|[\\[{}\\],:\"a1 \n]{0,40}") {
            let _ = parse("v", &text);
        }
    }
}
