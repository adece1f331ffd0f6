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
    let read: Spanned<Node> = serde_saphyr::from_str(text).map_err(|e| {
        let place = e.location().map(|at| place(&at));
        let what = e.without_snippet().to_string();
        vec![VectorError::of_file(file, place, format!("is not YAML: {}", without_place(&what)))]
    })?;
    let (value, tree) = apart(read);
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

fn apart(node: Spanned<Node>) -> (Value, Tree) {
    let place = place(&node.referenced);
    let mut children = Vec::new();
    let value = match node.value {
        Node::Leaf(value) => value,
        Node::List(items) => {
            let items = items.into_iter().enumerate().map(|(i, item)| {
                let (value, tree) = apart(item);
                children.push((i.to_string(), tree));
                value
            });
            Value::Array(items.collect())
        }
        Node::Fields(fields) => {
            let fields = fields.into_iter().map(|(name, field)| {
                let (value, tree) = apart(field);
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
