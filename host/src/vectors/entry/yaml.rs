//! Vectors in YAML: one mapping, a sequence, or a mapping with `vectors`.

use super::{Entry, Whole, is_shared, whole};
use crate::model::without_place;
use crate::vectors::VectorError;
use crate::vectors::place::{Marks, Place, Tree};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Location, Spanned};
use std::fmt;
use std::sync::Arc;

pub(super) fn read(file: &str, text: &str) -> Result<Whole, Vec<VectorError>> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Whole::of(Vec::new()));
    }
    let (value, tree) = value(file, text)?;
    match value {
        Value::Array(items) => {
            let trees = tree.children.into_iter().map(|(_, tree)| Marks::Yaml(Arc::new(tree)));
            let entries = items.into_iter().zip(trees).enumerate().map(|(i, (value, marks))| Entry { number: i + 1, value, marks });
            Ok(Whole::of(entries.collect()))
        }
        value if is_shared(&value) => {
            let tree = Arc::new(tree);
            let child = |i: usize| {
                Marks::Yaml(Arc::new(Tree {
                    place: Marks::Yaml(Arc::clone(&tree)).of(&["vectors", &i.to_string()]),
                    children: copy(&tree, i),
                }))
            };
            whole(file, value, Marks::Yaml(Arc::clone(&tree)), child)
        }
        value => Ok(Whole::of(vec![Entry { number: 1, value, marks: Marks::Yaml(Arc::new(tree)) }])),
    }
}

/// A text whole, with its places: nothing of it becomes another value than was written.
///
/// # Errors
/// What is no YAML, or cannot be held as it is written.
pub(in crate::vectors) fn value(file: &str, text: &str) -> Result<(Value, Tree), Vec<VectorError>> {
    let read: Spanned<Node> = serde_saphyr::from_str_with_options(text, options(text)).map_err(|e| {
        let place = e.location().map(|at| place(&at));
        let what = e.without_snippet().to_string();
        vec![VectorError::of_file(file, place, format!("is not YAML: {}", without_place(&what)))]
    })?;
    let mut source = Source { lines: text.lines().collect(), file, wrong: Vec::new() };
    let read = apart(read, &mut source);
    if source.wrong.is_empty() { Ok(read) } else { Err(source.wrong) }
}

/// The places within a vector of the list `vectors`.
fn copy(tree: &Tree, number: usize) -> Vec<(String, Tree)> {
    let vectors = tree.children.iter().find(|(name, _)| name == "vectors");
    let vector = vectors.and_then(|(_, list)| list.children.get(number));
    vector.map(|(_, vector)| cloned(&vector.children)).unwrap_or_default()
}

fn cloned(children: &[(String, Tree)]) -> Vec<(String, Tree)> {
    children.iter().map(|(name, tree)| (name.clone(), Tree { place: tree.place, children: cloned(&tree.children) })).collect()
}

fn place(at: &Location) -> Place {
    Place { line: usize::try_from(at.line()).unwrap_or_default(), column: usize::try_from(at.column()).ok() }
}

/// A value whose parts have their places.
enum Node {
    Leaf(Value),
    List(Vec<Spanned<Node>>),
    Fields(Vec<(String, Spanned<Node>)>),
}

/// `no` and `on` are texts, as in YAML 1.2; a file may have as many nodes as it has bytes: it is held as text anyway, and what comes of
/// its aliases is bounded by the same number.
fn options(text: &str) -> serde_saphyr::Options {
    let mut budget = serde_saphyr::Budget::default();
    budget.max_nodes = budget.max_nodes.max(text.len());
    budget.max_events = budget.max_events.max(text.len().saturating_mul(2));
    let mut options = serde_saphyr::Options::default();
    options.strict_booleans = true;
    options.budget = Some(budget);
    options
}

/// The text, to see how a number was written.
struct Source<'a> {
    lines: Vec<&'a str>,
    file: &'a str,
    wrong: Vec<VectorError>,
}

impl Source<'_> {
    /// A number that would lose something of what was written: `007`, `1_000`, more digits than can be held.
    fn check(&mut self, place: Place, value: &Value) {
        let Value::Number(number) = value else { return };
        let line = self.lines.get(place.line.saturating_sub(1)).copied().unwrap_or_default();
        let rest = line.chars().skip(place.column.unwrap_or(1).saturating_sub(1));
        let written: String = rest.take_while(|c| !c.is_whitespace() && !",]}#".contains(*c)).collect();
        let digits = written.trim_start_matches(['-', '+']);
        let leading = digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit() || b == b'_');
        let long = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) && number.is_f64();
        if leading || long || (digits.contains('_') && digits.starts_with(|c: char| c.is_ascii_digit())) {
            let what = "is a number that would lose digits as they are written; in quotes it is a text".to_owned();
            self.wrong.push(VectorError::of_file(self.file, Some(place), what));
        }
    }
}

fn apart(node: Spanned<Node>, source: &mut Source<'_>) -> (Value, Tree) {
    let place = place(&node.referenced);
    let mut children = Vec::new();
    let value = match node.value {
        Node::Leaf(value) => {
            source.check(place, &value);
            value
        }
        Node::List(items) => {
            let items = items.into_iter().enumerate().map(|(i, item)| {
                let (value, tree) = apart(item, source);
                children.push((i.to_string(), tree));
                value
            });
            Value::Array(items.collect())
        }
        Node::Fields(fields) => {
            let fields = fields.into_iter().map(|(name, field)| {
                let (value, tree) = apart(field, source);
                children.push((name.clone(), tree));
                (name, value)
            });
            Value::Object(fields.collect::<Map<_, _>>())
        }
    };
    (value, Tree { place, children })
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON can hold")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Leaf(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Leaf(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Leaf(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        Number::from_f64(value).map(|number| Node::Leaf(number.into())).ok_or_else(|| E::custom("a number that JSON cannot hold"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Leaf(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Leaf(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Node::Fields(fields))
    }
}
