//! `doctor` looks at everything a run needs, says what to do next, and runs nothing.

use crate::driver::{ACTION, Bench, Done, Simulator, completed, scenario, vector};
use serde_json::{Value, json};

fn checks(done: &Done) -> Vec<Value> {
    let checks = done.outcomes();
    assert!(checks.iter().all(|c| c["schema"] == 1 && (c["result"] == "ok") == c["next"].is_null()), "{checks:?}");
    checks
}

fn find<'a>(checks: &'a [Value], name: &str) -> &'a Value {
    checks.iter().find(|c| c["check"] == name).unwrap_or_else(|| panic!("{name}: {checks:?}"))
}

#[test]
fn all_is_well_and_nothing_is_run() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({})));
    let mut bench = Bench::against(&simulator);
    bench
        .env("WEBHOOK_URL", &simulator.webhook)
        .env("WEBHOOK_SECRET", "whsec_dHJhY2VqdXJ5LWRlbW8tc2VjcmV0LTAwMDE=")
        .env("AUDIT_LOG_PATH", "audit.jsonl")
        .env("TRACEJURY_PRIVACY_KEY", "0123456789abcdef0123456789abcdef");
    bench.file("vectors.json", vector().to_string());
    let done = bench.tracejury(&["doctor", "vectors.json", "--format", "json"]);
    assert_eq!(done.code, 0, "{done:?}");
    let checks = checks(&done);
    for name in [
        "api.base_url DNS",
        "api.base_url TCP",
        "api.base_url HTTP",
        "api.base_url clock",
        "token",
        "webhook HTTP",
        "audit log",
        "plugin regex",
    ] {
        assert_eq!(find(&checks, name)["result"], "ok");
    }
    let settings = find(&checks, "settings")["found"].as_str().unwrap();
    assert!(settings.starts_with("tracejury.toml; CXONE_BASE_URL, CXONE_CLIENT_ID, CXONE_CLIENT_SECRET, WEBHOOK_URL"), "{settings}");
    assert_eq!(find(&checks, &format!("action {ACTION} in test"))["found"], "is there");
    assert_eq!((simulator.executed(), simulator.requests("/debug").len(), bench.dir.path().join("audit.lock").exists()), (0, 0, false));
    assert!(simulator.requests("/webhook").is_empty());
    let human = bench.tracejury(&["doctor"]);
    assert!(
        human.stdout.ends_with("\nall is well\n") && human.stdout.contains("\nok       token: granted, with the scopes data:execute"),
        "{}",
        human.stdout
    );
}

#[test]
fn each_failure_says_what_to_do_next_and_ends_with_3() {
    let simulator = Simulator::script(&json!({"version": 1, "limits": {"clockSkewSecs": -400},
        "client": {"scopes": "data:execute data:read"},
        "scenarios": [scenario(&completed(), &json!({"environments": ["dev"]}))]}));
    let mut bench = Bench::against(&simulator);
    let done = bench.tracejury(&["doctor", "--format", "json"]);
    assert_eq!(done.code, 3, "{done:?}");
    let found = checks(&done);
    assert_eq!(find(&found, "token")["found"], "the client was not granted: trace:read");
    assert_eq!(find(&found, "api.base_url clock")["result"], "failure");
    assert!(find(&found, "api.base_url clock")["next"].as_str().unwrap().contains("NTP"));
    // With scopes that are granted, the action is found in one environment, and a vector wants it in another.
    bench.settings("scopes = 'data:execute data:read'\n");
    bench.file("vectors.json", vector().to_string());
    let found = checks(&bench.tracejury(&["doctor", "vectors.json", "--format", "json"]));
    let result = |environment: &str| find(&found, &format!("action {ACTION} in {environment}"))["result"].clone();
    assert_eq!(result("test"), json!("failure"));
    assert!(found.iter().all(|c| !c["check"].as_str().unwrap().ends_with(" in prod")), "no vector wants it there");
    let found = checks(&bench.tracejury(&["doctor", "--action", ACTION, "--format", "json"]));
    let found_in = |environment: &str| find(&found, &format!("action {ACTION} in {environment}"))["found"].clone();
    assert_eq!((found_in("dev"), found_in("test"), found_in("prod")), (json!("is there"), json!("is not there"), json!("is not there")));
    let found = checks(&bench.tracejury(&["doctor", "--action", "00000000-0000-4000-8000-000000000000", "--format", "json"]));
    assert_eq!(find(&found, "action 00000000-0000-4000-8000-000000000000")["found"], "is in no environment");
}

#[test]
fn each_stage_of_the_way_is_told_apart() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut bench = Bench::new();
    bench.env("CXONE_BASE_URL", &format!("http://{free}")).env("CXONE_CLIENT_ID", "a").env("CXONE_CLIENT_SECRET", "b");
    bench.env("WEBHOOK_URL", "https://dashboard.invalid/hook").file("plugins/bad.wasm", "no component");
    let done = bench.tracejury(&["doctor", "--format", "json"]);
    assert_eq!(done.code, 3);
    let checks = checks(&done);
    assert_eq!(
        (&find(&checks, "api.base_url DNS")["result"], &find(&checks, "api.base_url TCP")["result"]),
        (&json!("ok"), &json!("failure"))
    );
    assert!(checks.iter().all(|c| c["check"] != "token"), "where the host is not there nothing else is asked for");
    assert_eq!(find(&checks, "webhook DNS")["result"], "failure");
    assert_eq!(find(&checks, "webhook signature")["result"], "warning");
    assert!(find(&checks, "plugins")["found"].as_str().unwrap().contains("bad.wasm"));
    let nothing = Bench::new().tracejury(&["doctor"]);
    assert!(nothing.code == 3 && nothing.stdout.contains("failure  platform: api.base_url is not set"), "{}", nothing.stdout);
    assert!(nothing.stdout.contains("           next: set it in the environment"), "{}", nothing.stdout);
    let mut wrong = Bench::new();
    wrong.env("WEBHOOK_URL", "http://127.0.0.1:1/x").env("WEBHOOK_SECRET", "whsec_%%%");
    wrong.file("vectors.json", "[{}]");
    wrong.file("tracejury.toml", "[api]\nschemas = 'nowhere'\n[tls]\nclient_key = 'nowhere'\n");
    let told = wrong.tracejury(&["doctor", "vectors.json"]).stdout;
    for start in [
        "failure  schemas: nowhere: cannot be read",
        "failure  vectors: vectors.json:1:2: vector 1: dataActionId: is missing",
        "failure  tls: tls: ",
    ] {
        assert!(told.contains(start), "{start}: {told}");
    }
    wrong.file("tracejury.toml", "[webhook]\nallow_private_targets = true\n");
    assert!(wrong.tracejury(&["doctor"]).stdout.contains("failure  webhook: webhook.secret is not base64 after whsec_"));
    wrong.file("tracejury.toml", "[api]\nbase = 1");
    assert!(wrong.tracejury(&["doctor"]).stdout.starts_with("failure  settings: tracejury.toml:2: base: unknown field"));
}

#[test]
fn a_platform_without_environments_is_asked_once() {
    let simulator = Simulator::script(&json!({"version": 1, "profile": "genesys", "scenarios": [scenario(&completed(), &json!({}))]}));
    let mut bench = Bench::against(&simulator);
    bench.env("TRACEJURY_LOGIN_URL", &simulator.url).settings("profile = 'genesys'\n");
    let found = checks(&bench.tracejury(&["doctor", "--action", ACTION, "--format", "json"]));
    assert_eq!(find(&found, &format!("action {ACTION}"))["found"], "is there");
    assert_eq!(simulator.requests(ACTION).len(), 1);
}
