//! The API in the words of NICE CXone: a submit gives a session, which is polled.

use super::Asked;
use super::answer::json;
use super::platform::{Handled, Platform, Refusal, Session};
use super::scenario::{Call, Fault};
use serde_json::{Map, Value, json as object};
use std::time::Duration;

pub(super) fn route(platform: &Platform, asked: &Asked) -> Result<Handled, Refusal> {
    let segments: Vec<_> = asked.path.split('/').skip(1).collect();
    let method = asked.method.as_str();
    match (segments.as_slice(), method) {
        (["api", "v2", "oauth", "token"], "POST") => platform.token(asked),
        ([".well-known", "cxone-configuration"], "GET") => {
            let fault = platform.by_chance(&mut platform.state(), Call::Discovery);
            Ok(Handled { fault, ..Handled::of(json(200, &discovery(asked))) })
        }
        (["api", "v2", "data-actions", action], "GET") => probe(platform, asked, action),
        (["api", "v2", "data-actions", action, "debug"], "POST") => submit(platform, asked, action),
        (["api", "v2", "data-actions", action, "debug-sessions", session], "GET") => poll(platform, asked, action, session),
        (
            ["api", "v2", "oauth", "token"]
            | [".well-known", "cxone-configuration"]
            | ["api", "v2", "data-actions", _]
            | ["api", "v2", "data-actions", _, "debug"]
            | ["api", "v2", "data-actions", _, "debug-sessions", _],
            _,
        ) => Err(Refusal(405, "Method Not Allowed", format!("{method} is not allowed here"))),
        _ => Err(Refusal(404, "Not Found", format!("there is nothing at {}", asked.path))),
    }
}

/// The document that names a tenant's hosts.
fn discovery(asked: &Asked) -> Value {
    let here = format!("http://{}", asked.header("host").unwrap_or("localhost"));
    object!({"private": false, "area": "na1", "domain": "example.com", "api_endpoint": here})
}

fn probe(platform: &Platform, asked: &Asked, action: &str) -> Result<Handled, Refusal> {
    let mut state = platform.state();
    platform.authorised(&mut state, asked, Some("data:read"))?;
    let scenario = platform.scenario(action, Some(workspace(asked)?))?;
    Ok(Handled::of(json(200, &object!({"dataActionId": action, "name": scenario.name}))))
}

fn submit(platform: &Platform, asked: &Asked, action: &str) -> Result<Handled, Refusal> {
    let mut state = platform.state();
    platform.authorised(&mut state, asked, Some("data:execute"))?;
    let environment = workspace(asked)?.to_owned();
    let input = input(asked)?;
    let scenario = platform.scenario(action, Some(&environment))?;
    let fault = platform.submit_fault(&mut state, scenario);
    if fault.as_ref().is_some_and(Fault::prevents) {
        return Ok(Handled::instead(fault));
    }
    let timeline = platform.execute(&mut state, scenario, &input);
    let id = uuid::Uuid::new_v4().to_string();
    let started = state.now();
    state.sessions.insert(id.clone(), Session { action: action.to_owned(), environment, started, polls: 0, timeline, told: false });
    Ok(Handled { fault, ..Handled::of(json(202, &object!({"sessionId": id}))) })
}

fn poll(platform: &Platform, asked: &Asked, action: &str, id: &str) -> Result<Handled, Refusal> {
    let mut state = platform.state();
    platform.authorised(&mut state, asked, Some("trace:read"))?;
    let environment = workspace(asked)?;
    let scenario = platform.scenario(action, Some(environment))?;
    let (now, limits) = (state.now(), &platform.script.limits);
    let there = |session: &&mut Session| {
        let age = now.saturating_duration_since(session.started);
        let visible = age >= Duration::from_millis(limits.visible_after_ms) && age < Duration::from_millis(limits.purge_after_ms);
        session.action == action && session.environment == environment && visible
    };
    let Some(session) = state.sessions.get_mut(id).filter(there) else {
        return Err(Refusal(404, "Not Found", "no such debug session".to_owned()));
    };
    let scripted = scenario.poll.get(session.polls).cloned();
    session.polls += 1;
    let age = now.saturating_duration_since(session.started);
    let (seen, ended) = (session.timeline.seen(age), session.timeline.ended(age));
    let first = ended && !std::mem::replace(&mut session.told, ended);
    if first {
        state.journal.told();
    }
    let fault = scripted.or_else(|| platform.by_chance(&mut state, Call::Poll));
    Ok(Handled { fault, ..Handled::of(json(200, &seen)) })
}

fn workspace(asked: &Asked) -> Result<&str, Refusal> {
    match asked.header("x-nice-workspace-id") {
        Some(environment @ ("dev" | "test" | "prod")) => Ok(environment),
        Some(_) => Err(Refusal(400, "Bad Request", "x-nice-workspace-id is not one of dev, test, prod".to_owned())),
        None => Err(Refusal(400, "Bad Request", "the header x-nice-workspace-id is missing".to_owned())),
    }
}

/// The input of a submit, which must be written as documented.
fn input(asked: &Asked) -> Result<Map<String, Value>, Refusal> {
    let wrong = |what: &str| Err(Refusal(422, "Unprocessable Content", what.to_owned()));
    let mut body = super::object_of(asked)?;
    let Some(Value::Object(input)) = body.remove("inputParameters") else { return wrong("inputParameters: must be an object") };
    if body.get("trace") != Some(&Value::Bool(true)) {
        return wrong("trace: must be true");
    }
    if body.get("versionConstraint") != Some(&Value::from("strict")) {
        return wrong("versionConstraint: must be strict");
    }
    Ok(input)
}
