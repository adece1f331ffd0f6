//! Entries as events of the Open Cybersecurity Schema Framework, class API Activity (6003), version 1.6.0 (<https://schema.ocsf.io>), for
//! SIEMs. Everything of an entry that the schema has no place for stands under `unmapped`.

use super::AuditError;
use super::entry::braced;
use super::segments::Location;
use super::verify::walk;
use serde_json::{Value, json};

/// The version of the schema.
pub const VERSION: &str = "1.6.0";

/// Gives each session of a log, in order, as an event.
///
/// # Errors
/// [`AuditError`]; what came before the place where the log is broken was given.
pub fn export(location: &Location, mut give: impl FnMut(&Value)) -> Result<u64, AuditError> {
    let mut count = 0;
    walk(location, |_, seen| {
        if seen.fields.starts_with(b"\"kind\":\"session\"")
            && let Ok(entry) = serde_json::from_slice::<Value>(&braced(seen.fields))
        {
            count += 1;
            give(&event(&entry, seen.index));
        }
    })?;
    Ok(count)
}

fn event(entry: &Value, index: u64) -> Value {
    let text = |field: &str| entry.get(field).and_then(Value::as_str);
    let failed = text("status") == Some("FAILED");
    let problem = text("problem");
    // Success, failure, or neither that the schema has a number for.
    let (status_id, status) = match (text("status"), problem) {
        (_, Some(_)) => (99, "Other"),
        (Some("COMPLETED"), None) => (1, "Success"),
        (Some("FAILED"), None) => (2, "Failure"),
        _ => (0, "Unknown"),
    };
    let time = text("loggedAt").and_then(|at| chrono::DateTime::parse_from_rfc3339(at).ok()).map_or(0, |at| at.timestamp_millis());
    let code = text("classification").or(problem.and_then(|p| p.split(':').next()));
    let mut event = json!({
        "activity_id": 99, "activity_name": "Debug", "category_uid": 6, "category_name": "Application Activity",
        "class_uid": 6003, "class_name": "API Activity", "type_uid": 600_399, "type_name": "API Activity: Other",
        "severity_id": if failed || problem.is_some() { 3 } else { 1 }, "severity": if failed || problem.is_some() { "Medium" } else { "Informational" },
        "status_id": status_id, "status": status, "status_code": code, "status_detail": problem,
        "time": time, "duration": entry.get("executionDurationMs"),
        "metadata": {
            "version": VERSION, "uid": text("auditId"), "sequence": index, "original_time": text("loggedAt"), "log_name": "tracejury audit",
            "product": {"name": "tracejury", "vendor_name": "tracejury", "version": env!("CARGO_PKG_VERSION")},
        },
        "actor": {"app_name": "tracejury"},
        "src_endpoint": {"name": "tracejury"},
        "api": {"operation": "debug", "service": {"name": "data-actions"}, "request": {"uid": text("sessionId")}},
        "resources": [{"uid": text("actionId"), "type": "Data Action", "data": {"environmentId": text("environmentId")}}],
        "unmapped": entry,
    });
    without_nulls(&mut event);
    event
}

/// What is absent has no place in an event.
fn without_nulls(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, value| !value.is_null());
        fields.values_mut().for_each(without_nulls);
    }
}
