//! The token: one request however many ask, Basic and a form, renewed when it is rejected, fatal when the client is.

use crate::driver::{Bench, Simulator, completed, scenario, vector};
use crate::paused;
use serde_json::{Value, json};

fn script(client: &Value, faults: &Value) -> Simulator {
    Simulator::script(&json!({"version": 1, "client": client, "token": faults, "scenarios": [scenario(&completed(), &json!({}))]}))
}

fn client() -> Value {
    json!({"id": "demo-client", "secret": "demo-secret"})
}

#[test]
fn twenty_vectors_need_one_token() {
    let simulator = script(&client(), &json!([]));
    let vectors: Value = (0..20).map(|_| vector()).collect();
    let done = Bench::against(&simulator).run(&vectors);
    assert_eq!((done.code, done.outcomes().len()), (0, 20));
    let requests = simulator.requests("/oauth/token");
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert_eq!(requests[0]["method"], "POST");
    assert_eq!(requests[0]["query"], Value::Null, "grant_type must not travel in the query");
    assert_eq!(requests[0]["authorization"], "Basic");
    assert_eq!(requests[0]["body"], "grant_type=client_credentials&scope=data%3Aexecute+data%3Aread+trace%3Aread");
}

#[test]
fn a_token_that_ends_mid_run_is_renewed() {
    // It lives two seconds and the session takes three: the client renews it ahead of its end.
    let lives_short = json!({"id": "demo-client", "secret": "demo-secret", "tokenLifetimeSecs": 2});
    let simulator = Simulator::script(&json!({"version": 1, "client": lives_short,
        "scenarios": [scenario(&completed(), &json!({"runningMs": 2500}))]}));
    let done = Bench::against(&simulator).run(&vector());
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(simulator.requests("/oauth/token").len(), 2);
    assert_eq!(simulator.executed(), 1);
}

#[test]
fn a_rejected_token_is_dropped_and_the_call_made_once_more() {
    // The second vector's submit meets a token that the first one fetched and the platform has forgotten, and so does a poll.
    let simulator = script(&json!({"tokenCalls": 3}), &json!([]));
    let mut bench = Bench::against(&simulator);
    bench.settings("concurrency = 1\n");
    let done = bench.run(&json!([vector(), vector(), vector()]));
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!((simulator.requests("/oauth/token").len() >= 2, simulator.executed()), (true, 3));
    let rejected = simulator.journal()["requests"].as_array().unwrap().iter().filter(|r| r["status"] == 401).count();
    assert_eq!(simulator.requests("/oauth/token").len(), 1 + rejected, "each rejected token is replaced once");
}

#[test]
fn a_fresh_token_that_is_rejected_ends_it_without_a_loop() {
    // A token of the wrong audience or scope is no better for being fetched again.
    let rejected = |submit: Value| {
        let simulator = Simulator::of(&scenario(&completed(), &json!({"submit": submit})));
        let done = Bench::against(&simulator).run(&vector());
        assert_eq!(done.code, 3, "{done:?}");
        assert!(done.outcome()["problem"].as_str().unwrap().starts_with("credentials: a fresh token was rejected"));
        (simulator.requests("/oauth/token").len(), simulator.requests("/debug").len(), simulator.executed())
    };
    assert_eq!(rejected(json!([{"status": 401}])), (1, 1, 0));
}

#[test]
fn a_wrong_secret_is_asked_once_and_never_shown() {
    let simulator = script(&client(), &json!([]));
    let mut bench = Bench::against(&simulator);
    bench.env("CXONE_CLIENT_SECRET", "hunter2-hunter2");
    let vectors: Value = (0..5).map(|_| vector()).collect();
    bench.file("vectors.json", vectors.to_string());
    let done = bench.tracejury(&["run", "vectors.json", "-vv"]);
    assert_eq!(done.code, 3, "{done:?}");
    assert!(
        done.stdout.contains(
            "credentials: invalid_client: the platform does not know this client id or secret; check api.client_id and api.client_secret"
        ),
        "{}",
        done.stdout
    );
    assert!(done.stdout.contains("check client id, secret and scopes"), "{}", done.stdout);
    assert_eq!(simulator.requests("/oauth/token").len(), 1);
    assert!(!format!("{done:?}").contains("hunter2"));
}

#[test]
fn a_scope_that_was_not_granted_is_named() {
    let simulator = script(&json!({"id": "demo-client", "secret": "demo-secret", "scopes": "data:execute data:read"}), &json!([]));
    let done = Bench::against(&simulator).run(&vector());
    assert_eq!(done.code, 3);
    assert_eq!(done.outcome()["problem"], "credentials: the client was not granted: trace:read");
    assert_eq!(simulator.executed(), 0);
}

#[test]
fn a_token_endpoint_in_trouble_is_asked_again() {
    let simulator = script(&client(), &json!([{"status": 503}, {"status": 429, "retryAfter": "0"}, {"cut": true}]));
    let done = Bench::against(&simulator).run(&vector());
    assert_eq!((done.code, simulator.requests("/oauth/token").len()), (0, 4), "{done:?}");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_in_the_background_and_nobody_waits_for_it() {
    // It lives ten minutes, and after nine of them another is fetched, which takes twenty seconds.
    let slow = json!({"client": {"tokenLifetimeSecs": 600}, "token": [{}, {"delayMs": 20_000}]});
    let came =
        paused::run(&paused::script(1_000, &slow), "requests_per_minute = 60\ntoken_timeout_ms = 30000\n", paused::vectors(320)).await;
    assert_eq!(came.problems(), (vec![], 320));
    let all = came.requests("");
    assert!(all.iter().all(|r| r["status"] != 401), "no request met its end");
    let tokens: Vec<_> = came.requests("/oauth/token").iter().map(|r| r["atMs"].as_u64().unwrap()).collect();
    assert_eq!(tokens.len(), 2, "{tokens:?}");
    assert!((540_000..580_000).contains(&tokens[1]), "{tokens:?}");
    let meanwhile = all.iter().filter(|r| (tokens[1] - 19_000..tokens[1]).contains(&r["atMs"].as_u64().unwrap())).count();
    assert!(meanwhile >= 17, "{meanwhile} requests went out while it was fetched");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_is_tried_again_while_the_old_token_serves() {
    let trouble = json!({"client": {"tokenLifetimeSecs": 600}, "token": [{}, {"status": 503}, {"cut": true}, {"status": 500}]});
    let came = paused::run(&paused::script(1_000, &trouble), "requests_per_minute = 60\n", paused::vectors(320)).await;
    assert_eq!((came.problems(), came.duplicates()), ((vec![], 320), 0));
    assert!(came.requests("").iter().all(|r| r["status"] != 401));
}

#[test]
fn a_client_may_prove_itself_in_the_body() {
    let simulator = script(&json!({"authentication": "body"}), &json!([]));
    let mut bench = Bench::against(&simulator);
    bench.settings("profile = 'ours'\n[profiles.ours]\nextends = 'cxone'\n[profiles.ours.token]\nauthentication = 'body'\n");
    let done = bench.run(&vector());
    assert_eq!(done.code, 0, "{done:?}");
    let request = &simulator.requests("/oauth/token")[0];
    assert_eq!(request["authorization"], Value::Null);
    let body = request["body"].as_str().unwrap();
    assert!(body.contains("client_id=demo-client") && body.contains("client_secret=***"), "{body}");
    assert_eq!(Bench::against(&simulator).run(&vector()).code, 3, "by Basic it is unknown there");
}

#[test]
fn a_client_without_the_grant_or_the_scopes_is_told_what_to_do() {
    let told = |error: &str| {
        let body = json!({"error": error}).to_string();
        let simulator = script(&client(), &json!([{"status": 400, "body": body}]));
        Bench::against(&simulator).run(&vector()).outcome()["problem"].as_str().unwrap().to_owned()
    };
    assert!(told("unauthorized_client").ends_with("allow it where the client is registered"));
    assert!(told("invalid_scope").ends_with("check api.scopes, and what the client is granted"));
}
