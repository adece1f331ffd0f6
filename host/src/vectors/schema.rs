//! What an action's input must be: a JSON Schema per action. Schemas are read from files alone; what they refer to elsewhere is not
//! fetched.

use crate::model::ActionId;
use jsonschema::Validator;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::path::Path;

/// Some of these a schema has that says anything.
const KEYWORDS: [&str; 22] = [
    "$schema",
    "$id",
    "id",
    "$ref",
    "$defs",
    "definitions",
    "type",
    "properties",
    "patternProperties",
    "additionalProperties",
    "propertyNames",
    "required",
    "minProperties",
    "maxProperties",
    "dependentRequired",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "enum",
    "const",
];

/// The schemas there are.
#[derive(Debug, Default)]
pub struct Schemas {
    by_action: HashMap<ActionId, Schema>,
    for_all: Option<Schema>,
}

/// A schema, and the types that it has for parameters.
#[derive(Debug)]
struct Schema {
    validator: Validator,
    types: HashMap<String, String>,
}

impl Schemas {
    /// Reads a folder of `ACTION-ID.json`, a file of schemas by action id, or one schema for all actions. No path, no schemas.
    ///
    /// # Errors
    /// The file, and what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, String> {
        let mut schemas = Self::default();
        if path.as_os_str().is_empty() {
            return Ok(schemas);
        }
        if !path.is_dir() {
            return Self::of_file(path);
        }
        let unreadable = |e: std::io::Error| format!("{}: cannot be read: {e}", path.display());
        let mut files = Vec::new();
        for entry in std::fs::read_dir(path).map_err(unreadable)? {
            files.push(entry.map_err(unreadable)?.path());
        }
        files.sort();
        for file in files.iter().filter(|file| file.extension().is_some_and(|e| e == "json")) {
            let stem = file.file_stem().unwrap_or_default().to_string_lossy();
            // A name that is none would leave an action unchecked without a word.
            let action = stem.parse().map_err(|e| format!("{}: the name {e}", file.display()))?;
            schemas.by_action.insert(action, compiled(&value(file)?).map_err(|e| format!("{}: {e}", file.display()))?);
        }
        if schemas.by_action.is_empty() { Err(format!("{}: holds no ACTION-ID.json", path.display())) } else { Ok(schemas) }
    }

    fn of_file(file: &Path) -> Result<Self, String> {
        let whole = value(file)?;
        let place = |e: String| format!("{}: {e}", file.display());
        let by_action = whole.as_object().and_then(|fields| {
            let ids = fields.iter().map(|(name, schema)| Some((name.parse::<ActionId>().ok()?, schema)));
            ids.collect::<Option<Vec<_>>>().filter(|ids| !ids.is_empty())
        });
        let Some(by_action) = by_action else {
            let fields: Vec<_> = whole.as_object().map(|fields| fields.keys().map(String::as_str).collect()).unwrap_or_default();
            if !fields.is_empty() && !fields.iter().any(|field| KEYWORDS.contains(field)) {
                // As a schema it would allow everything; a slip in an action's id must not do that.
                return Err(place(format!("is neither a JSON Schema nor schemas by action id, which {} is not", fields.join(", "))));
            }
            return Ok(Self { for_all: Some(compiled(&whole).map_err(place)?), ..Self::default() });
        };
        let named = |(action, schema): (ActionId, &Value)| Ok((action, compiled(schema).map_err(|e| format!("{action}: {e}"))?));
        let by_action = by_action.into_iter().map(named).collect::<Result<_, String>>().map_err(place)?;
        Ok(Self { by_action, for_all: None })
    }

    /// How many there are, for people.
    #[must_use]
    pub fn described(&self) -> String {
        match self.by_action.len() {
            0 => "one for all actions".to_owned(),
            1 => "for 1 action".to_owned(),
            number => format!("for {number} actions"),
        }
    }

    /// What is wrong with an input: each violation's pointer, and it as `/pointer: what`, without the value, which is nobody's but the
    /// author's.
    pub(super) fn violations(&self, action: ActionId, input: &Map<String, Value>) -> Vec<(String, String)> {
        let Some(schema) = self.of(action) else { return Vec::new() };
        let input = Value::Object(input.clone());
        let violations = schema.validator.iter_errors(&input).map(|error| {
            let pointer = error.instance_path().as_str().to_owned();
            let what = if pointer.is_empty() { error.masked().to_string() } else { format!("{pointer}: {}", error.masked()) };
            (pointer, what)
        });
        violations.collect()
    }

    /// The type that an action's schema has for a parameter, where it has one.
    pub(super) fn kind(&self, action: ActionId, parameter: &str) -> Option<&str> {
        self.of(action)?.types.get(parameter).map(String::as_str)
    }

    fn of(&self, action: ActionId) -> Option<&Schema> {
        self.by_action.get(&action).or(self.for_all.as_ref())
    }
}

fn value(file: &Path) -> Result<Value, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: cannot be read: {e}", file.display()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    serde_json::from_str(text).map_err(|e| format!("{}:{}:{}: is not JSON", file.display(), e.line(), e.column()))
}

fn compiled(schema: &Value) -> Result<Schema, String> {
    let validator = jsonschema::validator_for(schema).map_err(|e| format!("is not a JSON Schema: {}: {e}", e.instance_path()))?;
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    // Of several types the first that is not null: `["string", "null"]` is how an optional one is often written.
    let one = |kind: &Value| match kind {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").map(str::to_owned),
        kind => kind.as_str().map(str::to_owned),
    };
    let types = properties.filter_map(|(name, property)| Some((name.clone(), one(property.get("type")?)?)));
    Ok(Schema { validator, types: types.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTION: &str = "a1b2c3d4-e5f6-7890-abcd-ef1234567890";
    const SCHEMA: &str = r#"{"type":"object","required":["customerId"],"additionalProperties":false,"properties":{"customerId":{"type":"string","pattern":"^CUST-"},"items":{"type":"array","items":{"type":"integer"}}}}"#;

    fn read(name: &str, text: &str) -> Result<Schemas, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        let given = if name.contains('/') { path.parent().unwrap() } else { &path };
        Schemas::read(given).map_err(|e| e.replace(&format!("{}/", dir.path().display()), ""))
    }

    fn violations(schemas: &Schemas, action: &str, input: &str) -> Vec<String> {
        schemas.violations(action.parse().unwrap(), &serde_json::from_str(input).unwrap()).into_iter().map(|(_, what)| what).collect()
    }

    #[test]
    fn a_folder_a_file_by_action_and_one_for_all_are_read() {
        let other = "00000000-0000-4000-8000-000000000000";
        let bad = r#"{"customerId":"x"}"#;
        for schemas in
            [read(&format!("schemas/{ACTION}.json"), SCHEMA).unwrap(), read("all.json", &format!(r#"{{"{ACTION}":{SCHEMA}}}"#)).unwrap()]
        {
            assert_eq!((violations(&schemas, ACTION, bad).len(), violations(&schemas, other, bad).len()), (1, 0));
        }
        assert_eq!(violations(&read("one.json", SCHEMA).unwrap(), other, bad).len(), 1);
        assert!(violations(&Schemas::read(Path::new("")).unwrap(), ACTION, bad).is_empty());
    }

    #[test]
    fn each_violation_has_its_pointer_and_shows_no_value() {
        let schemas = read("one.json", SCHEMA).unwrap();
        let mut found = violations(&schemas, ACTION, r#"{"customerId":"hunter2","items":[1,"hunter2"],"more":0}"#);
        found.sort();
        assert_eq!(
            found,
            [
                "/customerId: value does not match \"^CUST-\"",
                "/items/1: value is not of type \"integer\"",
                "Additional properties are not allowed ('more' was unexpected)"
            ]
        );
        assert_eq!(violations(&schemas, ACTION, "{}"), ["\"customerId\" is a required property"]);
    }

    #[test]
    fn what_is_no_schema_is_named() {
        assert_eq!(read("a.json", "{").unwrap_err(), "a.json:1:1: is not JSON");
        assert!(read("a.json", r#"{"type":"objekt"}"#).unwrap_err().starts_with("a.json: is not a JSON Schema: /type: "));
        let slip = format!(r#"{{"{}":{SCHEMA}}}"#, &ACTION[1..]);
        assert!(
            read("a.json", &slip).unwrap_err().starts_with("a.json: is neither a JSON Schema nor schemas by action id, which 1b2c3d4-")
        );
        assert!(read("schemas/orders.json", SCHEMA).unwrap_err().starts_with("schemas/orders.json: the name is not a UUID"));
        assert_eq!(read("schemas/readme.txt", "").unwrap_err(), "schemas: holds no ACTION-ID.json");
        assert!(Schemas::read(Path::new("/nowhere.json")).unwrap_err().starts_with("/nowhere.json: cannot be read"));
        let elsewhere = read("a.json", r#"{"$ref":"https://example.com/schema.json"}"#).unwrap_err();
        assert!(elsewhere.starts_with("a.json: is not a JSON Schema"), "nothing is fetched: {elsewhere}");
    }
}
