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
        .settings("[webhook]\nschedule_ms = [10, 10, 10]\n")
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
    let audit = bench.log("a/audit.jsonl").join("\n");
    for (name, text) in [("webhook", got), ("audit", &audit), ("stdout", &done.stdout), ("stderr", &done.stderr)] {
        for value in ["998877", "150.75", "USD", "customerId", "inputParameters"] {
            assert!(!text.contains(value), "{value} in {name}: {text}");
        }
    }
    assert_eq!(done.outcome()["inputHash"], INPUT_HASH);
    let flags = bench.entries("a/audit.jsonl").remove(0)["complianceFlags"].clone();
    assert_eq!((&flags["dataMasked"], &flags["piiExcluded"], &flags["retentionDays"]), (&json!(true), &json!(true), &json!(90)));
    assert!(flags["masked"]["input"].as_u64().unwrap() > 3, "{flags}");
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
fn a_refusal_and_a_redirect_are_failures_like_others() {
    for head in ["400 Bad Request", "302 Found\r\nlocation: http://127.0.0.1:1/"] {
        let receiver = Receiver::answering(&[head]);
        let (done, bench) = run_with("ENOTFOUND", &receiver);
        assert_eq!(receiver.got().len(), 4, "the first attempt and three by the schedule");
        assert!(done.stderr.contains(&format!("webhook: 1 dead letter: the endpoint answered {}", &head[..3])), "{}", done.stderr);
        let shown = bench.tracejury(&["webhook", "list", "--format", "json"]).outcome();
        assert_eq!((&shown["state"], &shown["attempts"]), (&json!("dead"), &json!(4)));
    }
}

#[test]
fn who_is_gone_is_disabled_until_asked_for_again() {
    let receiver = Receiver::answering(&["410 Gone", "204 No Content"]);
    let (done, bench) = run_with("ENOTFOUND", &receiver);
    assert!(
        done.stderr.contains("1 dead letter: the endpoint answered 410: it wants nothing any more, and is disabled"),
        "{}",
        done.stderr
    );
    bench.tracejury(&["webhook", "flush", "--now"]);
    assert_eq!(receiver.got().len(), 1);
    assert_eq!(
        bench.tracejury(&["webhook", "replay", "--dead"]).stdout,
        "1 delivery due now; `tracejury webhook flush` or the next run tries\n"
    );
    let flushed = bench.tracejury(&["webhook", "flush"]);
    assert_eq!((flushed.code, flushed.stdout.as_str()), (0, "1 delivered, 0 attempts failed, 0 waiting\n"), "{flushed:?}");
    let got = receiver.got();
    assert_eq!((got.len(), &got[0].headers["webhook-id"], &got[0].body), (2, &got[1].headers["webhook-id"], &got[1].body));
}

#[test]
fn a_dashboard_that_is_down_neither_stops_the_run_nor_is_forgotten() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let simulator = Simulator::of(&scenario(&crate::driver::completed(), &json!({})));
    let mut bench = Bench::against(&simulator);
    // The next attempt is due long after the grace.
    bench.settings("[webhook]\ngrace_ms = 100\n").env("WEBHOOK_URL", &format!("http://{free}/key-in-path"));
    let done = bench.run(&json!([vector(), vector()]));
    assert_eq!((done.code, done.outcomes().len()), (0, 2), "{done:?}");
    assert!(done.stderr.contains("webhook: 2 outcomes not delivered yet: "), "{}", done.stderr);
    assert!(!done.stderr.contains("key-in-path"), "{}", done.stderr);
    let listed = bench.tracejury(&["webhook", "list"]);
    assert_eq!(listed.stdout.matches(" waiting ").count(), 2, "{listed:?}");
    // It comes back, and the next run tells it what it missed.
    let receiver = Receiver::answering(&["204 No Content"]);
    bench.env("WEBHOOK_URL", &receiver.url);
    assert_eq!(bench.tracejury(&["webhook", "flush", "--now"]).stdout, "2 delivered, 0 attempts failed, 0 waiting\n");
    let ids: std::collections::BTreeSet<_> = receiver.got().iter().map(|got| got.headers["webhook-id"].clone()).collect();
    assert_eq!(ids.len(), 2);
    assert!(bench.tracejury(&["webhook", "list"]).stderr.contains("nothing waits"));
    let shown = bench.tracejury(&["webhook", "show", ids.first().unwrap()]);
    assert!(shown.stdout.contains("data_action_debug_complete") && shown.stdout.contains(" ms  delivered"), "{shown:?}");
    assert_eq!(bench.tracejury(&["webhook", "purge", "--older-than", "0s"]).stdout, "2 deliveries forgotten\n");
}

#[test]
fn a_slow_or_resetting_endpoint_keeps_no_other_waiting() {
    use std::io::Read as _;
    // One never answers, one resets each connection.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let resetting = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (slow, reset) = (silent.local_addr().unwrap(), resetting.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in resetting.incoming() {
            let _ = stream.unwrap().read(&mut [0; 10]);
        }
    });
    let good = Receiver::answering(&["204 No Content"]);
    let simulator = Simulator::of(&scenario(&failed("ENOTFOUND"), &json!({})));
    let mut bench = Bench::against(&simulator);
    bench.settings(&format!(
        "[webhook]\nurl = '{}'\ntimeout_ms = 300\ngrace_ms = 500\n[webhook.endpoints.slow]\nurl = 'http://{slow}/'\n[webhook.endpoints.reset]\nurl = 'http://{reset}/'\n",
        good.url
    ));
    let done = bench.run(&vector());
    assert_eq!(good.got().len(), 1, "{done:?}");
    let listed: Vec<_> = bench.tracejury(&["webhook", "list", "--format", "json"]).outcomes();
    let mut waiting: Vec<_> = listed.iter().map(|d| (d["endpoint"].as_str().unwrap(), d["state"].as_str().unwrap())).collect();
    waiting.sort_unstable();
    assert_eq!(waiting, [("reset", "waiting"), ("slow", "waiting")], "{listed:?}");
    assert!(listed.iter().any(|d| d["last"] == "no answer in time"), "{listed:?}");
}

#[test]
fn endpoints_get_what_they_ask_for_in_the_form_they_ask_for() {
    let (all, outages) = (Receiver::answering(&["204 No Content"]), Receiver::answering(&["204 No Content"]));
    let simulator = Simulator::of(&scenario(&failed("getaddrinfo ENOTFOUND x"), &json!({})));
    let mut bench = Bench::against(&simulator);
    let internal = "[webhook.endpoints.internal]\nurl = 'http://127.0.0.1:9/'\nclassifications = ['INTERNAL_LOGIC_FAULT']\n";
    bench.settings(&format!(
        "[webhook]\nurl = '{}'\n[webhook.endpoints.outages]\nurl = '{}'\nsecret = '{SECRET}'\nformat = 'cloudevents'\nclassifications = ['EXTERNAL_DEPENDENCY_OUTAGE']\nmin_confidence = 0.9\n{internal}",
        all.url, outages.url
    ));
    bench.run(&vector());
    let (plain, event) = (all.got().remove(0), outages.got().remove(0));
    assert_eq!(event.headers["webhook-id"], plain.headers["webhook-id"]);
    assert!(!plain.headers.contains_key("webhook-signature") && event.headers.contains_key("webhook-signature"));
    assert_eq!(
        (plain.headers["content-type"].as_str(), event.headers["content-type"].as_str()),
        ("application/json", "application/cloudevents+json")
    );
    let event: Value = serde_json::from_str(&event.body).unwrap();
    assert_eq!((&event["specversion"], &event["type"]), (&json!("1.0"), &json!("tracejury.data_action_debug_complete.v1")));
    assert_eq!((&event["data"]["reason"], event["id"].as_str()), (&json!("dns"), Some(plain.headers["webhook-id"].as_str())));
    assert!(bench.tracejury(&["webhook", "list"]).stderr.contains("nothing waits"), "who wants none gets none");
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
fn an_interrupted_delivery_is_left_for_later_and_the_table_is_there_before() {
    use std::io::{BufRead as _, BufReader, Read as _};
    let receiver = Receiver::answering(&["503 Service Unavailable\r\nretry-after: 600"]);
    let simulator = Simulator::of(&scenario(&crate::driver::completed(), &json!({})));
    let mut bench = Bench::against(&simulator);
    bench.settings("[webhook]\ntimeout_ms = 200\ngrace_ms = 60000\nschedule_ms = [30000]\n").env("WEBHOOK_URL", &receiver.url);
    bench.file("vectors.json", vector().to_string());
    let mut child =
        bench.command(&["run", "vectors.json"]).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let row = stdout.by_ref().lines().map(Result::unwrap).find(|line| line.contains("COMPLETED"));
    assert!(row.is_some_and(|row| row.starts_with(" ✓")));
    crate::driver::signal(&child, "INT");
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("webhook: 1 outcome not delivered yet: "), "{rest}");
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
    assert!(done.code == 0 && done.stderr.contains("webhook: 1 dead letter: "), "{done:?}");
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

/// The official library of another language takes our deliveries for what they are.
#[test]
fn a_receiver_that_nobody_here_wrote_verifies_deliveries() {
    let python = |code: &str, args: &[&str]| std::process::Command::new("python3").args(["-c", code]).args(args).output();
    if !python("import standardwebhooks", &[]).is_ok_and(|out| out.status.success()) {
        eprintln!("skipped: python3 has no standardwebhooks; `pip install standardwebhooks` brings it");
        assert!(std::env::var_os("TRACEJURY_SKIP_NOTHING").is_none());
        return;
    }
    let verify = "import sys, json; from standardwebhooks import Webhook; \
        print(json.dumps(Webhook(sys.argv[1]).verify(sys.argv[2], json.loads(sys.argv[3]))['event']))";
    for format in ["plain", "cloudevents"] {
        let receiver = Receiver::answering(&["204 No Content"]);
        let simulator = Simulator::of(&scenario(&failed("Zoë: ENOTFOUND"), &json!({})));
        let mut bench = Bench::against(&simulator);
        bench.settings(&format!("[webhook]\nformat = '{format}'\n")).env("WEBHOOK_URL", &receiver.url).env("WEBHOOK_SECRET", SECRET);
        bench.run(&vector());
        let got = receiver.got().remove(0);
        let headers = json!(got.headers).to_string();
        let code = if format == "plain" { verify.to_owned() } else { verify.replace("['event']", "['data']['event']") };
        let good = python(&code, &[SECRET, &got.body, &headers]).unwrap();
        assert_eq!(
            String::from_utf8(good.stdout).unwrap(),
            "\"data_action_debug_complete\"\n",
            "{}",
            String::from_utf8_lossy(&good.stderr)
        );
        let bad = python(&code, &[SECRET, &got.body.replace("ENOTFOUND", "ENOENT"), &headers]).unwrap();
        assert!(!bad.status.success() && String::from_utf8_lossy(&bad.stderr).contains("WebhookVerificationError"));
    }
}
