//! Answers that are large, broken or none: each is read within bounds of time and memory, or said to be what it is.

use crate::driver::{Bench, Done, Simulator, completed, failed, scenario, vector};
use base64::Engine as _;
use serde_json::{Value, json};

/// The outcome of a vector whose polls are answered so.
fn polled(answer: &Value, faults: &Value, settings: &str) -> Done {
    let simulator = Simulator::of(&scenario(answer, &json!({"poll": faults})));
    let mut bench = Bench::against(&simulator);
    bench.settings(settings);
    bench.run(&vector())
}

fn always(fault: &Value, settings: &str) -> Done {
    polled(&completed(), &Value::Array(vec![fault.clone(); 200]), settings)
}

#[test]
fn fifty_megabytes_are_read_and_no_more_than_some_times_that_is_used() {
    let mut answer = failed("connect ECONNREFUSED 10.0.0.1:443");
    answer["trace"][0]["output"] = json!("x".repeat(50_000_000));
    answer["trace"][0]["more"] = json!([[[{"deep": true}]]]);
    let simulator = Simulator::of(&scenario(&answer, &json!({})));
    let mut bench = Bench::against(&simulator);
    bench.settings("poll_timeout_ms = 30000\n");
    bench.file("vectors.json", vector().to_string());
    let mut child = bench.command(&["run", "vectors.json", "--format", "json"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        peak = peak.max(crate::driver::peak_memory(child.id()).unwrap_or(peak));
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let done = Done::of(&child.wait_with_output().unwrap());
    assert_eq!(done.outcome()["reason"], "connection-refused", "{:.2000}", done.stderr);
    // The answer, the trace made of it, and a copy while it is judged.
    assert!(peak < 400 << 20, "{} MiB", peak >> 20);
}

#[test]
fn ten_thousand_steps_are_read_and_the_one_that_failed_is_found() {
    let mut steps: Vec<Value> = (0..10_000).map(|i| json!({"stepId": i.to_string(), "output": {"n": i}})).collect();
    steps[9_990]["error"] = json!({"message": "Cannot read properties of undefined (reading 'a')"});
    let done = polled(&json!({"status": "FAILED", "trace": steps}), &json!([]), "");
    assert_eq!(
        (&done.outcome()["failingStepId"], &done.outcome()["reason"]),
        (&json!("9990"), &json!("type-error")),
        "{:.2000}",
        done.stderr
    );
}

#[test]
fn deep_json_and_a_byte_that_is_no_text_lose_no_trace() {
    let deep = format!("{}1{}", "[".repeat(50_000), "]".repeat(50_000));
    let body = format!(
        r#"{{"status":"FAILED","more":{deep},"trace":[{{"stepId":"a","output":{deep},"error":{{"message":"caf# connect ECONNREFUSED 10.0.0.1:443","more":{deep}}}}}]}}"#
    );
    let bytes: Vec<u8> = body.bytes().map(|b| if b == b'#' { 0xe9 } else { b }).collect();
    let body = base64::engine::general_purpose::STANDARD.encode(bytes);
    let done = always(&json!({"bodyBase64": body, "contentType": "application/json"}), "");
    assert_eq!(done.outcome()["reason"], "connection-refused", "{done:?}");
}

#[test]
fn a_compressed_answer_and_one_of_the_wrong_type_are_read() {
    let answer = failed("connect ECONNREFUSED 10.0.0.1:443");
    assert_eq!(polled(&answer, &json!(vec![json!({"gzip": true}); 50]), "").outcome()["reason"], "connection-refused");
    let done = always(&json!({"body": answer.to_string(), "contentType": "text/html"}), "");
    assert_eq!(done.outcome()["reason"], "connection-refused");
}

#[test]
fn what_is_no_answer_is_said_to_be_none() {
    let problem = |done: Done| {
        assert_eq!((done.code, &done.outcome()["classification"]), (3, &Value::Null), "{done:?}");
        done.outcome()["problem"].as_str().unwrap().to_owned()
    };
    let html = problem(always(&json!({"body": "<html>Sign in</html>", "contentType": "text/html; charset=utf-8"}), "attempts = 3\n"));
    assert_eq!(
        html,
        "unreadable: the platform answered 200 with something that is no session (text/html): expected value; so it was 3 times"
    );
    let cut = problem(always(&json!({"body": "{\"status\":\"FAILED\",\"trace\":[{", "contentType": "application/json"}), "attempts = 2\n"));
    assert!(cut.contains("(application/json): EOF while parsing"), "{cut}");
    let endless = problem(always(&json!({"body": "{", "endless": true}), "max_answer_mib = 2\n"));
    assert_eq!(endless, "unreadable: poll: the answer is larger than 2 MiB");
    // A megabyte of nothing, compressed to a thousandth.
    let bomb = polled(
        &json!({"status": "COMPLETED", "pad": " ".repeat(3 << 20)}),
        &json!(vec![json!({"gzip": true}); 50]),
        "max_answer_mib = 2\n",
    );
    assert_eq!(problem(bomb), "unreadable: poll: the answer is larger than 2 MiB");
}

#[test]
fn a_body_that_drips_or_breaks_off_ends_at_the_deadline() {
    let problem =
        |fault: Value| always(&fault, "deadline_ms = 1500\npoll_timeout_ms = 300\n").outcome()["problem"].as_str().unwrap().to_owned();
    assert_eq!(problem(json!({"slowMs": 60_000})), "deadline: no result after 1.5 s: poll: no answer in time");
    assert!(problem(json!({"truncate": 10})).starts_with("deadline: no result after 1.5 s: poll: "));
}
