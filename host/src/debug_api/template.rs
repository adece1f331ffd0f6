//! Texts and bodies with places to be filled in, as profiles write them: `{action}` in an address or a header, `"{input}"` for
//! the whole input in a body.

use serde::de::Error as _;
use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// What may stand between braces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Base,
    Login,
    Action,
    Environment,
    Session,
}

impl Place {
    const ALL: [(&'static str, Self); 5] = [
        ("base", Self::Base),
        ("login", Self::Login),
        ("action", Self::Action),
        ("environment", Self::Environment),
        ("session", Self::Session),
    ];
}

/// A text with places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Place(Place),
}

impl Template {
    /// Reads a text with places.
    fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else { return Err(format!("{text}: a brace is not closed")) };
            let place = Place::ALL.iter().find(|(known, _)| *known == name).map(|(_, place)| *place);
            let known = || Place::ALL.map(|(name, _)| format!("{{{name}}}")).join(", ");
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Place(place.ok_or_else(|| format!("{{{name}}} is not known; there are {}", known()))?));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }

    /// Whether it has this place.
    pub(super) fn has(&self, place: Place) -> bool {
        self.0.contains(&Part::Place(place))
    }

    /// Whether it begins with this place.
    pub(super) fn begins_with(&self, place: Place) -> bool {
        matches!(self.0.as_slice(), [Part::Text(text), Part::Place(first), ..] if text.is_empty() && *first == place)
    }

    /// The text, with what `fill` has for each place.
    pub(super) fn filled<'a>(&self, fill: impl Fn(Place) -> &'a dyn std::fmt::Display) -> String {
        let mut text = String::new();
        for part in &self.0 {
            // Writing to a text cannot fail.
            let _ = match part {
                Part::Text(part) => text.write_str(part),
                Part::Place(place) => write!(text, "{}", fill(*place)),
            };
        }
        text
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A JSON body in which the text `"{input}"` stands for the whole input.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub(super) struct Body(Value);

/// The place of the input in a body.
const INPUT: &str = "{input}";

impl Body {
    /// Whether the input has a place in it.
    pub(super) fn has_input(&self) -> bool {
        fn within(value: &Value) -> bool {
            match value {
                Value::String(text) => text == INPUT,
                Value::Array(items) => items.iter().any(within),
                Value::Object(fields) => fields.values().any(within),
                _ => false,
            }
        }
        within(&self.0)
    }

    /// The body with `input` in its place, to be written without copying it.
    pub(super) fn filled<'a>(&'a self, input: &'a Map<String, Value>) -> impl Serialize + 'a {
        Filled { value: &self.0, input }
    }
}

struct Filled<'a> {
    value: &'a Value,
    input: &'a Map<String, Value>,
}

impl Serialize for Filled<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let of = |value| Filled { value, input: self.input };
        match self.value {
            Value::String(text) if text == INPUT => self.input.serialize(serializer),
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(&of(item)))?;
                list.end()
            }
            Value::Object(fields) => {
                let mut object = serializer.serialize_map(Some(fields.len()))?;
                fields.iter().try_for_each(|(name, value)| object.serialize_entry(name, &of(value)))?;
                object.end()
            }
            other => other.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_and_unknown_ones_named() {
        let template = Template::parse("{base}/actions/{action}/x").unwrap();
        let filled = template.filled(|place| match place {
            Place::Base => &"https://a.example",
            _ => &"7",
        });
        assert_eq!(filled, "https://a.example/actions/7/x");
        assert!(template.has(Place::Action) && !template.has(Place::Session));
        assert_eq!(
            Template::parse("{host}/x").unwrap_err(),
            "{host} is not known; there are {base}, {login}, {action}, {environment}, {session}"
        );
        assert!(Template::parse("{base").unwrap_err().contains("not closed"));
    }

    #[test]
    fn the_input_stands_where_the_body_has_its_place() {
        let input: Map<String, Value> = serde_json::from_str(r#"{"b":1,"a":"{input}"}"#).unwrap();
        let body: Body = serde_json::from_str(r#"{"x":[true,"{input}"],"y":"{input}!"}"#).unwrap();
        assert_eq!(serde_json::to_string(&body.filled(&input)).unwrap(), r#"{"x":[true,{"b":1,"a":"{input}"}],"y":"{input}!"}"#);
        let whole: Body = serde_json::from_str(r#""{input}""#).unwrap();
        assert_eq!(serde_json::to_string(&whole.filled(&input)).unwrap(), r#"{"b":1,"a":"{input}"}"#);
        assert!(body.has_input() && !serde_json::from_str::<Body>("{}").unwrap().has_input());
    }
}
