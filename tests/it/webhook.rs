//! Webhooks: complete, signed, without the input, tried again under one id, and never in the way of a run.

use crate::driver::{ACTION, Bench, Done, Simulator, completed, failed, scenario, vector};
use crate::receiver::Receiver;
use serde_json::{Value, json};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// SHA-256 of `{"currency":"USD","customerId":"CUST-998877","orderAmount":150.75}`, by sha256sum.
const INPUT_HASH: &str = "9bbb1b996ff8981af7010e7cfb5c32f8377c0b53bfbb0224fd1c9c8f49eec8d6";

fn run_with(message: &str, receiver: &Receiver) -> (Done, Bench) {
    let simulator = Simulator::of(&scenario(&failed(message), &json!({})));
    let mut bench = Bench::against(&simulator);
    bench
        .settings("[webhook]\nretry_first_ms = 10\n")
        .env("WEBHOOK_URL", &receiver.url)
        .env("WEBHOOK_SECRET", SECRET)
        .env("AUDIT_LOG_PATH", "a/audit.jsonl");
    let done = bench.run(&vector());
    (done, bench)
}

#[test]
fn an_event_is_complete_and_signed() {
    let receiver = Receiver::answering(&["204 No Content"]);
    let (done, _) = run_with("connect ECONNREFUSED 10.0.0.1:443", &receiver);
    let outcome = done.outcome();
    let got = receiver.got().remove(0);
    let mut headers = http::HeaderMap::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        headers.insert(name, got.headers[name].parse().unwrap());
    }
    standardwebhooks::Webhook::new(SECRET).unwrap().verify(got.body.as_bytes(), &headers).unwrap();
    let event: Value = serde_json::from_str(&got.body).unwrap();
    assert_eq!(event["event"], "data_action_debug_complete");
    for field in ["sessionId", "status", "executionDurationMs", "classification", "confidence", "verdicts", "actionId"] {
        assert_eq!(event[field], outcome[field], "{field}");
        assert!(!event[field].is_null(), "{field}");
    }
    let correlation = &event["correlationContext"];
    assert_eq!((&correlation["failingStepId"], &correlation["failingStepName"]), (&json!("two"), &json!("Call out")));
    assert_eq!((&correlation["inputHash"], &correlation["timestamp"]), (&json!(INPUT_HASH), &json!("2026-01-01T00:00:00Z")));
    assert_eq!(correlation["rawError"], "connect ECONNREFUSED 10.0.0.1:443");
    assert!(correlation["stackTrace"].as_str().unwrap().contains("at x.js:1:1"));
    assert!(event["timestamp"].is_string());
}

#[test]
fn the_input_never_leaves_not_even_inside_an_error() {
    let receiver = Receiver::answering(&["200 OK"]);
    let (done, bench) =
        run_with("customer cust-998877 cannot pay 150.75 USD: Cannot read properties of undefined (reading 'CUST-998877')", &receiver);
    let got = &receiver.got()[0].body;
    let event: Value = serde_json::from_str(got).unwrap();
    assert_eq!(
        event["correlationContext"]["rawError"],
        "customer [masked] cannot pay [masked] [masked]: Cannot read properties of undefined (reading '[masked]')"
    );
    let audit = bench.read("a/audit.jsonl");
    for (name, text) in [("webhook", got), ("audit", &audit), ("stdout", &done.stdout), ("stderr", &done.stderr)] {
        for value in ["998877", "150.75", "USD", "customerId", "inputParameters"] {
            assert!(!text.contains(value), "{value} in {name}: {text}");
        }
    }
    assert_eq!(done.outcome()["inputHash"], INPUT_HASH);
    let entry: Value = serde_json::from_str(&audit).unwrap();
    assert_eq!(entry["complianceFlags"], json!({"dataMasked": true, "piiExcluded": true, "retentionDays": 90}));
}

#[test]
fn a_delivery_is_tried_again_under_the_same_id() {
    let receiver = Receiver::answering(&["503 Service Unavailable\r\nretry-after: 0", "500 Internal Server Error", "200 OK"]);
    let (done, _) = run_with("ENOTFOUND", &receiver);
    assert_eq!(done.code, 1);
    let got = receiver.got();
    assert_eq!(got.len(), 3);
    assert!(got.iter().all(|g| g.headers["webhook-id"] == got[0].headers["webhook-id"] && g.body == got[0].body));
    assert!(done.stderr.contains("webhook: 1 delivered to http://127.0.0.1:"), "{}", done.stderr);
}

#[test]
fn a_refusal_and_a_redirect_are_final_and_told() {
    for head in ["410 Gone", "302 Found\r\nlocation: http://127.0.0.1:1/"] {
        let receiver = Receiver::answering(&[head]);
        let (done, _) = run_with("ENOTFOUND", &receiver);
        assert_eq!(receiver.got().len(), 1);
        assert!(
            done.stderr.contains(&format!("webhook: 1 outcome lost: not delivered after 1 attempt: the endpoint answered {}", &head[..3])),
            "{}",
            done.stderr
        );
    }
}

#[test]
fn a_dashboard_that_is_down_neither_stops_the_run_nor_goes_unreported() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let simulator = Simulator::of(&scenario(&crate::driver::completed(), &json!({})));
    let mut bench = Bench::against(&simulator);
    bench.settings("[webhook]\nretry_first_ms = 10\nattempts = 2\n").env("WEBHOOK_URL", &format!("http://{free}/key-in-path"));
    let done = bench.run(&json!([vector(), vector()]));
    assert_eq!((done.code, done.outcomes().len()), (0, 2), "{done:?}");
    assert!(done.stderr.contains("webhook: 2 outcomes lost: not delivered after 2 attempts: "), "{}", done.stderr);
    assert!(!done.stderr.contains("key-in-path"), "{}", done.stderr);
}

#[test]
fn without_a_secret_nothing_is_signed() {
    let receiver = Receiver::answering(&["200 OK"]);
    let simulator = Simulator::of(&scenario(&crate::driver::completed(), &json!({})));
    let mut bench = Bench::against(&simulator);
    bench.env("WEBHOOK_URL", &receiver.url);
    assert_eq!(bench.run(&vector()).code, 0);
    let got = receiver.got().remove(0);
    assert!(!got.headers.contains_key("webhook-signature") && got.headers["webhook-id"].starts_with("msg_"));
    assert_eq!(serde_json::from_str::<Value>(&got.body).unwrap()["actionId"], ACTION);
}

#[test]
fn a_part_of_an_input_value_is_not_shown_as_evidence() {
    // The rule matches `sale is not defined`: half of the campaign's name.
    let simulator = Simulator::of(&scenario(&failed("summer-sale is not defined"), &json!({})));
    let mut named = vector();
    named["inputParameters"] = json!({"campaign": "summer-sale"});
    let done = Bench::against(&simulator).run(&named);
    assert_eq!(done.outcome()["verdicts"][0]["evidence"][0]["text"], "[masked] is not defined");
    assert!(!done.stdout.contains("sale"), "{}", done.stdout);
}

#[test]
#[cfg(unix)]
fn an_interrupted_delivery_is_given_up_and_the_table_is_there_before() {
    use std::io::{BufRead as _, BufReader, Read as _};
    let receiver = Receiver::answering(&["503 Service Unavailable\r\nretry-after: 600"]);
    let simulator = Simulator::of(&scenario(&crate::driver::completed(), &json!({})));
    let mut bench = Bench::against(&simulator);
    bench.settings("[webhook]\ntimeout_ms = 200\n").env("WEBHOOK_URL", &receiver.url);
    bench.file("vectors.json", vector().to_string());
    let mut child =
        bench.command(&["run", "vectors.json"]).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let row = stdout.by_ref().lines().map(Result::unwrap).find(|line| line.contains("COMPLETED"));
    assert!(row.is_some_and(|row| row.starts_with(" ✓")));
    crate::driver::signal(&child, "INT");
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("webhook: 1 outcome lost: given up when the run was stopped"), "{rest}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn an_endpoint_in_the_own_network_needs_a_word() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({})));
    let receiver = Receiver::answering(&["204 No Content"]);
    let port = receiver.url.rsplit(':').next().unwrap().trim_end_matches("/hook").to_owned();
    let run = |url: String, settings: &str| {
        let mut bench = Bench::against(&simulator);
        bench.env("WEBHOOK_URL", &url);
        bench.file("tracejury.toml", format!("[api]\npoll_first_ms = 20\n[webhook]\n{settings}"));
        bench.run(&vector())
    };
    for host in ["127.0.0.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"] {
        let done = run(format!("http://{host}:{port}/"), "allow_http = true\n");
        assert!(
            done.code == 2 && done.stderr.contains("which is a loopback address; set webhook.allow_private_targets"),
            "{host}: {done:?}"
        );
    }
    // A name is looked at when it is resolved, and its delivery is not tried again.
    let done = run(format!("http://localhost:{port}/"), "allow_http = true\n");
    assert!(done.code == 0 && done.stderr.contains("webhook: 1 outcome lost: not delivered after 1 attempt"), "{done:?}");
    assert!(
        done.stderr.contains("localhost is at 127.0.0.1, which is a loopback address")
            || done.stderr.contains("localhost is at ::1, which is"),
        "{done:?}"
    );
    let done = run("http://dashboard.example.com/".to_owned(), "");
    assert!(done.code == 2 && done.stderr.contains("webhook.url is plain http"), "{done:?}");
    assert!(receiver.got().is_empty(), "nothing came through");
    assert_eq!(run(format!("http://127.0.0.1:{port}/"), "allow_private_targets = true\n").code, 0);
    assert_eq!(receiver.got().len(), 1);
}

#[test]
fn a_receiver_can_check_a_delivery_by_hand() {
    let receiver = Receiver::answering(&["204 No Content"]);
    run_with("ENOTFOUND", &receiver);
    let got = receiver.got().remove(0);
    let mut bench = Bench::new();
    bench.env("WEBHOOK_SECRET", SECRET);
    bench.file("body.json", &got.body);
    let header = |name: &str| got.headers[name].clone();
    let (id, timestamp, signature) = (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"));
    let verify = |bench: &Bench, id: &str| {
        bench.tracejury(&["webhook", "verify", "body.json", "--id", id, "--timestamp", &timestamp, "--signature", &signature])
    };
    let good = verify(&bench, &id);
    assert_eq!((good.code, good.stdout.as_str()), (0, "the delivery is what it says\n"), "{good:?}");
    let bad = verify(&bench, "msg_other");
    assert!(bad.code == 1 && bad.stdout.starts_with("not to be trusted: no signature was made with this secret"), "{bad:?}");
    bench.file("body.json", format!("{} ", got.body));
    assert_eq!(verify(&bench, &id).code, 1);
    bench.env("WEBHOOK_SECRET", "");
    assert!(verify(&bench, &id).stderr.starts_with("error: webhook.secret is not set"));
}

#[test]
fn while_a_secret_is_changed_deliveries_are_signed_by_both() {
    let receiver = Receiver::answering(&["204 No Content"]);
    let simulator = Simulator::of(&scenario(&failed("ENOTFOUND"), &json!({})));
    let mut bench = Bench::against(&simulator);
    bench.settings("[webhook]\nprevious_secrets = ['whsec_dHJhY2VqdXJ5LWRlbW8tc2VjcmV0LTAwMDE=']\n");
    bench.env("WEBHOOK_URL", &receiver.url).env("WEBHOOK_SECRET", SECRET);
    bench.run(&vector());
    let got = receiver.got().remove(0);
    let mut headers = http::HeaderMap::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        headers.insert(name, got.headers[name].parse().unwrap());
    }
    for secret in [SECRET, "whsec_dHJhY2VqdXJ5LWRlbW8tc2VjcmV0LTAwMDE="] {
        standardwebhooks::Webhook::new(secret).unwrap().verify(got.body.as_bytes(), &headers).unwrap();
    }
}
