//! Variables, and what stands where `{{name}}` is written. Pure. A text that is nothing but `{{name}}` becomes the variable's value with its
//! type; inside a longer text it is written out. `\{{` is two braces that are meant.

use crate::model::Secret;
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// The variables of a run.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    /// By name, with their types.
    pub values: Map<String, Value>,
    /// By name: allowed in inputs only, since everything else is shown.
    pub secrets: BTreeMap<String, Secret>,
}

/// What a name may stand for: the innermost that has it counts.
pub(super) struct Scope<'a> {
    /// The values of a data row and of the matrix, the innermost first.
    pub(super) layers: [&'a Map<String, Value>; 2],
    pub(super) outer: &'a Variables,
    /// Names that were used of each layer.
    used: [RefCell<BTreeSet<String>>; 2],
}

impl<'a> Scope<'a> {
    pub(super) fn new(layers: [&'a Map<String, Value>; 2], outer: &'a Variables) -> Self {
        Self { layers, outer, used: Default::default() }
    }

    /// Which variables of a layer were asked for so far.
    pub(super) fn used(&self, layer: usize) -> BTreeSet<String> {
        self.used.get(layer).map(|used| used.borrow().clone()).unwrap_or_default()
    }

    fn find(&self, name: &str, secrets: Secrets) -> Result<Value, String> {
        for (layer, used) in self.layers.iter().zip(&self.used) {
            if let Some(value) = layer.get(name) {
                used.borrow_mut().insert(name.to_owned());
                return Ok(value.clone());
            }
        }
        match (self.outer.secrets.get(name), secrets) {
            (Some(secret), Secrets::Allowed) => return Ok(secret.expose().into()),
            (Some(_), Secrets::Shown) => return Err(format!("{{{{{name}}}}} is a secret, which may stand in inputParameters only")),
            (None, _) => {}
        }
        self.outer.values.get(name).cloned().ok_or_else(|| {
            let all = self.layers.iter().flat_map(|layer| layer.keys()).chain(self.outer.values.keys()).chain(self.outer.secrets.keys());
            let known: BTreeSet<&str> = all.map(String::as_str).collect();
            let known = known.into_iter().take(20).collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "there is no variable at all".to_owned() } else { format!("there are {known}") };
            format!("{{{{{name}}}}} is not defined; {known}; --var {name}=… gives it a value, and \\{{{{ is two braces that are meant")
        })
    }
}

/// Whether secrets may stand there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrets {
    /// What stands there goes to the platform and nowhere else.
    Allowed,
    /// What stands there is shown.
    Shown,
}

/// What is wrong, and the path to it.
pub(super) type Wrong = (Vec<String>, String);

/// Fills in every text of a value.
pub(super) fn fill(value: &mut Value, path: &mut Vec<String>, scope: &Scope<'_>, wrong: &mut Vec<Wrong>) {
    match value {
        Value::String(text) if text.contains("{{") => {
            let secrets = if path.first().is_some_and(|field| field == INPUT) { Secrets::Allowed } else { Secrets::Shown };
            match filled(text, scope, secrets) {
                Ok(filled) => *value = filled,
                Err(what) => wrong.push((path.clone(), what)),
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter_mut().enumerate() {
                path.push(i.to_string());
                fill(item, path, scope, wrong);
                path.pop();
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                path.push(name.clone());
                fill(field, path, scope, wrong);
                path.pop();
            }
        }
        _ => {}
    }
}

/// The one field that secrets may stand in.
const INPUT: &str = "inputParameters";

/// A text with its variables filled in.
pub(super) fn filled(text: &str, scope: &Scope<'_>, secrets: Secrets) -> Result<Value, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        if let Some(before) = before.strip_suffix('\\') {
            out.push_str(before);
            out.push_str("{{");
            rest = after;
            continue;
        }
        let (name, after) = after.split_once("}}").ok_or("{{ has no }}; \\{{ is two braces that are meant")?;
        let name = name.trim();
        if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')) {
            return Err(format!(
                "{{{{{name}}}}} is no name of a variable, which has letters, digits, _, - and . only; \\{{{{ is two braces that are meant"
            ));
        }
        let value = scope.find(name, secrets)?;
        if before.is_empty() && after.is_empty() && out.is_empty() && rest.len() == text.len() {
            return Ok(value);
        }
        out.push_str(before);
        match value {
            Value::String(text) => out.push_str(&text),
            other => out.push_str(&other.to_string()),
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out.into())
}

/// A vector's own fields laid over its file's defaults: objects field by field (RFC 7396 without its deletions: a null is a value here).
pub(super) fn lay_over(defaults: &Map<String, Value>, own: &Map<String, Value>) -> Map<String, Value> {
    let mut merged = defaults.clone();
    for (name, value) in own {
        let value = match (merged.get(name), value) {
            (Some(Value::Object(below)), Value::Object(above)) => Value::Object(lay_over(below, above)),
            _ => value.clone(),
        };
        merged.insert(name.clone(), value);
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn filled_in(mut value: Value) -> Result<Value, Vec<String>> {
        let map = |value: Value| value.as_object().unwrap().clone();
        let (row, matrix) = (map(json!({"n": 7, "who": "row"})), map(json!({"who": "matrix", "flag": true})));
        let outer = Variables {
            values: map(json!({"who": "outer", "far": [1]})),
            secrets: BTreeMap::from([("token".to_owned(), Secret::new("hunter2".into()))]),
        };
        let mut wrong = Vec::new();
        fill(&mut value, &mut Vec::new(), &Scope::new([&row, &matrix], &outer), &mut wrong);
        if wrong.is_empty() {
            Ok(value)
        } else {
            Err(wrong.into_iter().map(|(path, what)| format!("{}: {what}", path.join("/"))).collect())
        }
    }

    #[test]
    fn a_variable_alone_keeps_its_type_and_the_innermost_counts() {
        let given =
            json!({"a": "{{n}}", "b": "no {{ n }}, {{who}}", "c": ["{{flag}}", "{{far}}"], "d": "\\{{n}} {{n}}", "e": "{{n}}{{n}}"});
        let want = json!({"a": 7, "b": "no 7, row", "c": [true, [1]], "d": "{{n}} 7", "e": "77"});
        assert_eq!(filled_in(given), Ok(want));
    }

    #[test]
    fn a_secret_stands_in_inputs_only() {
        assert_eq!(
            filled_in(json!({"inputParameters": {"t": "Bearer {{token}}"}})),
            Ok(json!({"inputParameters": {"t": "Bearer hunter2"}}))
        );
        assert_eq!(
            filled_in(json!({"name": "{{token}}"})).unwrap_err(),
            ["name: {{token}} is a secret, which may stand in inputParameters only"]
        );
    }

    #[test]
    fn what_is_not_defined_is_an_error_with_its_path() {
        let wrong = filled_in(json!({"x": ["{{nobody}}", "{{#if}}", "{{open"]})).unwrap_err();
        assert!(wrong[0].starts_with("x/0: {{nobody}} is not defined; there are far, flag, n, token, who; --var nobody=…"), "{wrong:?}");
        assert!(wrong[1].starts_with("x/1: {{#if}} is no name of a variable") && wrong[2].starts_with("x/2: {{ has no }}"), "{wrong:?}");
    }

    proptest! {
        #[test]
        fn a_text_without_braces_stays_and_none_makes_it_panic(text in "[{}a\\\\ü ]{0,20}") {
            let outer = Variables::default();
            let none = Map::new();
            let done = filled(&text, &Scope::new([&none, &none], &outer), Secrets::Shown);
            if !text.contains("{{") {
                prop_assert_eq!(done, Ok(Value::from(text)));
            }
        }
    }
}
