//! Where in a vector file something stands. Places are looked up when they are needed: of a million rows most are never asked about.

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A line and, where it is known, a column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.column {
            Some(column) => write!(f, "{}:{column}", self.line),
            None => write!(f, "{}", self.line),
        }
    }
}

/// A JSON text, and how many lines of its file stand before it.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) text: String,
    lines_before: usize,
    /// Where each line after the first begins.
    starts: Vec<usize>,
}

impl Text {
    pub(super) fn new(text: String, lines_before: usize) -> Self {
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1).collect();
        Self { text, lines_before, starts }
    }

    fn place(&self, offset: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|before| self.starts.get(before)).copied().unwrap_or_default();
        let column = self.text.get(start..offset).map(|before| before.chars().count() + 1);
        Place { line: self.lines_before + line + 1, column }
    }
}

/// The places of one value and of all in it.
#[derive(Debug, Clone)]
pub(super) enum Marks {
    /// A stretch of a JSON text.
    Json(Arc<Text>, Range<usize>),
    /// As a YAML reader told them.
    Yaml(Arc<Tree>),
    /// A row of a table: its fields have no places of their own.
    Row(usize),
}

/// A place, and those of what is inside.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) place: Place,
    /// By name, of lists by number.
    pub(super) children: Vec<(String, Tree)>,
}

impl Marks {
    /// The place of what `path` leads to; where it leads out of what is there, of the last that is.
    pub(super) fn of(&self, path: &[&str]) -> Place {
        self.find(path).0
    }

    /// Whether the path leads to something.
    pub(super) fn has(&self, path: &[&str]) -> bool {
        self.find(path).1
    }

    fn find(&self, path: &[&str]) -> (Place, bool) {
        match self {
            Self::Row(line) => (Place { line: *line, column: None }, true),
            Self::Yaml(tree) => {
                let mut here = tree.as_ref();
                for name in path {
                    match here.children.iter().find(|(own, _)| own == name) {
                        Some((_, next)) => here = next,
                        None => return (here.place, false),
                    }
                }
                (here.place, true)
            }
            Self::Json(text, range) => {
                let Some(mut here) = text.text.get(range.clone()) else { return (text.place(range.start), false) };
                let mut whole = true;
                for name in path {
                    match child(here, name) {
                        Some(next) => here = next,
                        None => {
                            whole = false;
                            break;
                        }
                    }
                }
                // Both borrow from one text, so the distance between the two is the offset.
                (text.place(here.as_ptr() as usize - text.text.as_ptr() as usize), whole)
            }
        }
    }
}

/// What stands under a name, or a number, of a JSON text.
fn child<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    if text.starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
        return items.get(name.parse::<usize>().ok()?).map(|raw| raw.get());
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let fields = deserializer.deserialize_map(Fields).ok()?;
    fields.into_iter().rev().find(|(own, _)| own == name).map(|(_, raw)| raw.get())
}

/// The fields of an object, in order.
struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_its_place_or_as_far_as_there_is_one() {
        let text = "\n[ {\"a\": {\"ü\": [1,\n  {\"b\": 2}]}} ]";
        let marks = Marks::Json(Arc::new(Text::new(text.to_owned(), 10)), 1..text.len());
        assert_eq!(marks.of(&[]).to_string(), "12:1");
        assert_eq!(marks.of(&["0", "a", "ü", "0"]).to_string(), "12:16");
        assert_eq!(marks.of(&["0", "a", "ü", "1", "b"]).to_string(), "13:9");
        assert_eq!((marks.of(&["0", "x", "y"]).to_string().as_str(), marks.has(&["0", "x"])), ("12:3", false));
    }
}
