//! Vectors in JSON: one object, an array, an object with `vectors`, or an object a line.

use super::{Entry, Whole, is_shared, shared, whole};
use crate::model::without_place;
use crate::vectors::VectorError;
use crate::vectors::place::{Marks, Place, Text};
use serde_json::Value;
use serde_json::value::RawValue;
use std::sync::Arc;

pub(super) fn read(file: &str, text: &str) -> Result<Whole, Vec<VectorError>> {
    if text.trim().is_empty() {
        return Ok(Whole::of(Vec::new()));
    }
    let held = Arc::new(Text::new(text.to_owned(), 0));
    let own = held.text.as_str();
    let marks = |raw: &RawValue| {
        // Raw values borrow from the text, so the distance between the two is the offset.
        let start = raw.get().as_ptr() as usize - own.as_ptr() as usize;
        Marks::Json(Arc::clone(&held), start..start + raw.get().len())
    };
    if own.trim_start().starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(own).map_err(|e| vec![syntax(file, 0, &e)])?;
        let mut read = Whole::of(Vec::new());
        for (i, raw) in items.into_iter().enumerate() {
            match entry(file, i + 1, raw, marks(raw)) {
                Ok(entry) => read.entries.push(entry),
                Err(wrong) => read.wrong.push(*wrong),
            }
        }
        return Ok(read);
    }
    let whole_text = match serde_json::from_str::<&RawValue>(own) {
        Ok(one) => {
            let only = entry(file, 1, one, marks(one)).map_err(|wrong| vec![*wrong])?;
            if !is_shared(&only.value) {
                return Ok(Whole::of(vec![only]));
            }
            let vectors = list(one, "vectors");
            return whole(file, only.value, only.marks, |i| vectors.get(i).map_or_else(|| marks(one), |raw| marks(raw)));
        }
        Err(error) => error,
    };
    // No one object: where any line is an object of its own, lines are meant, and those that are not are what is wrong.
    let is_object = |line: &str| line.trim_start().starts_with('{') && serde_json::from_str::<&RawValue>(line).is_ok();
    if !own.lines().any(is_object) {
        return Err(vec![syntax(file, 0, &whole_text)]);
    }
    let mut read = Whole::of(Vec::new());
    for (i, line) in own.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str::<&RawValue>(line) {
            Err(e) => read.wrong.push(syntax(file, i, &e)),
            Ok(raw) => {
                let one = match entry(file, read.entries.len() + 1, raw, marks(raw)) {
                    Ok(one) => one,
                    Err(wrong) => {
                        read.wrong.push(*wrong);
                        continue;
                    }
                };
                match one.value {
                    // What stands first speaks of all.
                    Value::Object(fields) if read.entries.is_empty() && read.shared.is_none() && is_shared_line(&fields) => {
                        read.shared = Some(Arc::new(shared(file, fields, &one.marks)?));
                    }
                    _ => read.entries.push(one),
                }
            }
        }
    }
    Ok(read)
}

/// The vector of one line, or what its file says of all its vectors where it stands first.
///
/// # Errors
/// What is wrong with it.
pub(in crate::vectors) fn lines_entry(file: &str, line: &str, lines_before: usize, number: usize) -> Result<Whole, Vec<VectorError>> {
    let text = Arc::new(Text::new(line.to_owned(), lines_before));
    let value: Value = serde_json::from_str(line).map_err(|e| vec![syntax(file, lines_before, &e)])?;
    let start = line.len() - line.trim_start().len();
    let marks = Marks::Json(text, start..line.trim_end().len());
    match value {
        Value::Object(fields) if number == 1 && is_shared_line(&fields) => {
            Ok(Whole { shared: Some(Arc::new(shared(file, fields, &marks)?)), ..Whole::of(Vec::new()) })
        }
        value => Ok(Whole::of(vec![Entry { number, value, marks }])),
    }
}

fn is_shared_line(fields: &serde_json::Map<String, Value>) -> bool {
    !fields.is_empty() && fields.keys().all(|name| matches!(name.as_str(), "defaults" | "matrix"))
}

/// An entry; none of what is JSON and more than can be held, such as `1e999`.
fn entry(file: &str, number: usize, raw: &RawValue, marks: Marks) -> Result<Entry, Box<VectorError>> {
    match serde_json::from_str(raw.get()) {
        Ok(value) => Ok(Entry { number, value, marks }),
        Err(error) => {
            let what = format!("cannot be read as JSON: {}", without_place(&error.to_string()));
            Err(Box::new(VectorError::of_file(file, Some(marks.of(&[])), what)))
        }
    }
}

/// The items of the list under a name.
fn list<'a>(raw: &'a RawValue, name: &str) -> Vec<&'a RawValue> {
    let fields: std::collections::BTreeMap<String, &RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
    fields.get(name).and_then(|list| serde_json::from_str(list.get()).ok()).unwrap_or_default()
}

fn syntax(file: &str, lines_before: usize, error: &serde_json::Error) -> VectorError {
    let text = error.to_string();
    let place = Place { line: lines_before + error.line().max(1), column: Some(error.column()) };
    VectorError::of_file(file, Some(place), format!("is not JSON: {}", without_place(&text)))
}
