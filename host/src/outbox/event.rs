//! The webhook's body (event `data_action_debug_complete`, schema 1) and its id. It holds the input's hash, never the input.

use crate::config::Form;
use crate::model::{Abstained, Classification, Confidence, Digest, InputHash, Outcome, Problem, SessionId, Status, VerdictLine};
use crate::store::timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

/// What a dashboard is told.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    schema: u32,
    event: &'static str,
    session_id: &'a SessionId,
    action_id: String,
    environment_id: &'static str,
    status: &'a Option<Status>,
    execution_duration_ms: Option<u64>,
    classification: &'a Option<Classification>,
    confidence: Option<Confidence>,
    reason: &'a Option<String>,
    correlation_context: Correlation<'a>,
    problem: &'a Option<Problem>,
    verdicts: &'a [VerdictLine],
    abstained: &'a [Abstained],
    timestamp: String,
}

/// What ties the event to other systems' records.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Correlation<'a> {
    failing_step_id: &'a Option<String>,
    failing_step_name: &'a Option<String>,
    input_hash: &'a Option<InputHash>,
    timestamp: &'a Option<String>,
    raw_error: Option<&'a str>,
    stack_trace: Option<&'a str>,
}

/// The event as the data of a CloudEvent 1.0, structured mode (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>).
#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: &'a str,
    source: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    subject: &'a SessionId,
    time: String,
    datacontenttype: &'static str,
    data: Box<RawValue>,
}

/// The body, as it is sent and signed.
pub(super) fn body(outcome: &Outcome, session: &SessionId, id: &str, form: Form) -> String {
    let event = event(outcome, session);
    let data = match form {
        Form::Plain => return event,
        Form::CloudEvents => RawValue::from_string(event),
    };
    let wrapped = data.and_then(|data| {
        serde_json::to_string(&CloudEvent {
            specversion: "1.0",
            id,
            source: "/tracejury",
            kind: "tracejury.data_action_debug_complete.v1",
            subject: session,
            time: timestamp(),
            datacontenttype: "application/json",
            data,
        })
    });
    wrapped.unwrap_or_default()
}

/// Whether a body of ours is a CloudEvent: an event alone begins with its schema.
pub(super) fn is_cloud_event(body: &str) -> bool {
    body.starts_with("{\"specversion\":")
}

fn event(outcome: &Outcome, session: &SessionId) -> String {
    let fault = outcome.fault.as_ref();
    let event = Event {
        schema: 1,
        event: "data_action_debug_complete",
        session_id: session,
        action_id: outcome.action_id.to_string(),
        environment_id: outcome.environment_id.as_str(),
        status: &outcome.status,
        execution_duration_ms: outcome.execution_duration_ms,
        classification: &outcome.classification,
        confidence: outcome.confidence,
        reason: &outcome.reason,
        correlation_context: Correlation {
            failing_step_id: &outcome.failing_step_id,
            failing_step_name: &outcome.failing_step_name,
            input_hash: &outcome.input_hash,
            timestamp: &outcome.failing_step_timestamp,
            raw_error: fault.map(|f| f.message.as_str()),
            stack_trace: fault.and_then(|f| f.stack.as_deref()),
        },
        problem: &outcome.problem,
        verdicts: &outcome.verdicts,
        abstained: &outcome.abstained,
        timestamp: timestamp(),
    };
    // Every field has a plain JSON form; there is nothing in it that can fail.
    serde_json::to_string(&event).unwrap_or_default()
}

/// The delivery's id: the same for every attempt at one outcome, on this machine or another, so that a receiver can tell
/// repeated deliveries. Made of the session's digest, since Standard Webhooks ids hold no dot.
pub(super) fn id(session: &SessionId) -> String {
    let hex: String = Digest::of(session.to_string().as_bytes()).hex().chars().take(32).collect();
    format!("msg_{hex}")
}
