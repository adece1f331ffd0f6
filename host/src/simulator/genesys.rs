//! The API in the words of Genesys Cloud: the test of an action takes its input as the body, runs it, and answers with its operations.

use super::Asked;
use super::answer::json;
use super::platform::{Handled, Platform, Refusal};
use super::scenario::Fault;
use hyper::header::HeaderValue;
use serde_json::{Value, json as object};
use std::time::Duration;

pub(super) fn route(platform: &Platform, asked: &Asked) -> Result<Handled, Refusal> {
    let segments: Vec<_> = asked.path.split('/').skip(1).collect();
    let method = asked.method.as_str();
    match (segments.as_slice(), method) {
        (["oauth", "token"], "POST") => platform.token(asked),
        (["api", "v2", "integrations", "actions", action], "GET") => {
            platform.authorised(&mut platform.state(), asked, None)?;
            let scenario = platform.scenario(action, None)?;
            Ok(Handled::of(json(200, &object!({"id": action, "name": scenario.name, "secure": false}))))
        }
        (["api", "v2", "integrations", "actions", action, "test"], "POST") => test(platform, asked, action),
        (["oauth", "token"] | ["api", "v2", "integrations", "actions", _] | ["api", "v2", "integrations", "actions", _, "test"], _) => {
            Err(Refusal(405, "Method Not Allowed", format!("{method} is not allowed here")))
        }
        _ => Err(Refusal(404, "Not Found", format!("there is nothing at {}", asked.path))),
    }
}

fn test(platform: &Platform, asked: &Asked, action: &str) -> Result<Handled, Refusal> {
    let mut state = platform.state();
    platform.authorised(&mut state, asked, None)?;
    let input = super::object_of(asked)?;
    let scenario = platform.scenario(action, None)?;
    let fault = platform.submit_fault(&mut state, scenario);
    if fault.as_ref().is_some_and(Fault::prevents) {
        return Ok(Handled::instead(fault));
    }
    let timeline = platform.execute(&mut state, scenario, &input);
    // An execution that never ends is given up by the gateway, as the real one does.
    let (takes, mut response) = match &timeline.answer {
        Some(answer) => (timeline.takes, json(200, &operations(answer))),
        None => (Duration::from_secs(60), json(504, &problem(504, "the action did not answer in time"))),
    };
    if let Ok(id) = HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()) {
        response.headers_mut().insert("inin-correlation-id", id);
    }
    Ok(Handled { fault, takes, response })
}

/// A scenario's answer as the result of a test.
fn operations(answer: &Value) -> Value {
    let of = |value: &Value, name: &str| value.get(name).cloned().unwrap_or_default();
    let steps = answer.get("trace").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let operation = |(i, step): (usize, &Value)| {
        object!({
            "step": i + 1, "name": of(step, "stepName"), "success": of(step, "error").is_null(), "result": of(step, "output"), "error": of(step, "error"),
        })
    };
    let operations: Vec<_> = steps.iter().enumerate().map(operation).collect();
    object!({"operations": operations, "error": of(&of(answer, "result"), "error"), "finalResult": null, "success": of(answer, "status") == "COMPLETED"})
}

/// An error answer in the vendor's form.
pub(super) fn problem(status: u16, message: &str) -> Value {
    let code = match status {
        404 => "not.found",
        429 => "too.many.requests.retry.after",
        504 => "gateway.timeout",
        _ => "bad.request",
    };
    object!({"message": message, "code": code, "status": status, "contextId": uuid::Uuid::new_v4(), "details": [], "errors": []})
}
