//! Other platforms, by profile: Genesys Cloud, one of a team's own, and hosts that are discovered.

use crate::driver::{ACTION, Bench, Simulator, completed, failed, scenario, vector};
use serde_json::{Value, json};

fn genesys(scenario: &Value) -> Simulator {
    Simulator::script(&json!({"version": 1, "profile": "genesys", "scenarios": [scenario]}))
}

fn bench(simulator: &Simulator) -> Bench {
    let mut bench = Bench::against(simulator);
    bench.env("TRACEJURY_LOGIN_URL", &simulator.url);
    bench.settings("profile = 'genesys'\n");
    bench
}

#[test]
fn a_test_is_answered_with_its_operations() {
    let simulator = genesys(&scenario(&failed("getaddrinfo ENOTFOUND crm.example.com"), &json!({})));
    let done = bench(&simulator).run(&vector());
    let outcome = done.outcome();
    assert_eq!((&outcome["classification"], &outcome["reason"]), (&json!("EXTERNAL_DEPENDENCY_OUTAGE"), &json!("dns")), "{done:?}");
    assert_eq!((&outcome["failingStepId"], &outcome["failingStepName"]), (&json!("2"), &json!("Call out")));
    assert_eq!(uuid::Uuid::parse_str(outcome["sessionId"].as_str().unwrap()).unwrap().get_version_num(), 4, "the platform's own");
    let test = &simulator.requests("/test")[0];
    assert_eq!(test["path"], format!("/api/v2/integrations/actions/{ACTION}/test"));
    assert_eq!((&test["body"], &test["workspace"]), (&vector()["inputParameters"], &Value::Null));
    assert_eq!(simulator.requests("/oauth/token")[0]["path"], "/oauth/token");
    assert_eq!(simulator.requests("/oauth/token")[0]["body"], "grant_type=client_credentials");
    assert_eq!(simulator.journal()["requests"].as_array().unwrap().len(), 2, "there is nothing to poll");
}

#[test]
fn an_action_of_ones_own_bears_a_prefix_there() {
    let id = format!("custom_-_{ACTION}");
    let simulator = genesys(&scenario(&completed(), &json!({"dataActionId": id})));
    let mut own = vector();
    own["dataActionId"] = json!(id);
    let done = bench(&simulator).run(&own);
    assert_eq!((done.code, &done.outcome()["actionId"]), (0, &json!(id)), "{done:?}");
}

#[test]
fn a_test_without_an_answer_is_not_repeated() {
    for fault in [json!({"cut": true}), json!({"status": 504, "done": true}), json!({"body": "<html>"})] {
        let simulator = genesys(&scenario(&completed(), &json!({"submit": [fault]})));
        let done = bench(&simulator).run(&vector());
        assert!(done.outcome()["problem"].as_str().unwrap().starts_with("ambiguous: "), "{done:?}");
        assert_eq!(simulator.requests("/test").len(), 1);
    }
    let throttled = genesys(&scenario(&completed(), &json!({"submit": [{"status": 429, "retryAfter": "1"}]})));
    assert_eq!((bench(&throttled).run(&vector()).code, throttled.executed()), (0, 1));
}

#[test]
#[cfg(unix)]
fn a_stopped_run_lets_go_of_a_test_under_way() {
    use std::io::{BufRead as _, BufReader};
    let simulator = genesys(&scenario(&completed(), &json!({"runningMs": 50_000})));
    let bench = bench(&simulator);
    bench.file("vectors.json", vector().to_string());
    let mut command = bench.command(&["run", "vectors.json", "--format", "json"]);
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    while simulator.executed() == 0 {
        std::thread::yield_now();
    }
    crate::driver::signal(&child, "INT");
    let line = BufReader::new(child.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    let outcome: Value = serde_json::from_str(&line).unwrap();
    assert!(outcome["problem"].as_str().unwrap().starts_with("ambiguous: stopped while the action was running"), "{outcome}");
    child.wait().unwrap();
}

#[test]
fn the_host_of_tokens_must_be_named_where_it_is_another() {
    let simulator = genesys(&scenario(&completed(), &json!({})));
    let mut bench = Bench::against(&simulator);
    bench.settings("profile = 'genesys'\n");
    let done = bench.run(&vector());
    assert!(done.code == 2 && done.stderr.starts_with("error: api.login_url is not set (TRACEJURY_LOGIN_URL)"), "{done:?}");
}

#[test]
fn a_profile_of_ones_own_says_what_differs() {
    // The same simulator by a profile that spells out another way to the same paths.
    let simulator = Simulator::of(&scenario(&completed(), &json!({})));
    let mut bench = Bench::against(&simulator);
    bench.settings(
        "profile = 'ours'\n[profiles.ours]\nextends = 'cxone'\nrequests_per_minute = 600\n[profiles.ours.trace]\ncompleted = ['DONE', 'COMPLETED']\n",
    );
    assert_eq!(bench.run(&vector()).code, 0);
    bench.settings("profile = 'theirs'\n");
    let done = bench.run(&vector());
    assert_eq!(
        (done.code, done.stderr.lines().next()),
        (2, Some("error: api.profile: no profile is named theirs; there are cxone, genesys"))
    );
    bench.settings("profile = 'ours'\n[profiles.ours]\nextends = 'cxone'\n[profiles.ours.poll]\nurl = '{host}/x'\n");
    let done = bench.run(&vector());
    assert!(done.code == 2 && done.stderr.contains("profiles.ours") && done.stderr.contains("{host} is not known"), "{}", done.stderr);
    assert!(done.stderr.contains("help: README, section Platforms"), "{}", done.stderr);
}

#[test]
fn hosts_may_be_discovered() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({})));
    let mut bench = Bench::against(&simulator);
    bench.env("CXONE_BASE_URL", "");
    bench.settings(&format!("discovery_url = '{}/.well-known/cxone-configuration?tenantId=7'\n", simulator.url));
    let done = bench.run(&json!([vector(), vector(), vector()]));
    assert_eq!((done.code, simulator.requests("/cxone-configuration").len()), (0, 1), "{done:?}");
    bench.settings(&format!("discovery_url = '{}/nowhere'\n", simulator.url));
    let done = bench.run(&vector());
    assert!(done.code == 3 && done.outcome()["problem"].as_str().unwrap().starts_with("settings: api.discovery_url: "), "{done:?}");
}

#[test]
fn a_secret_goes_to_no_host_without_tls() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({})));
    for (name, setting) in [("CXONE_BASE_URL", "api.base_url"), ("TRACEJURY_LOGIN_URL", "api.login_url")] {
        let mut bench = Bench::against(&simulator);
        bench.env(name, "http://platform.example.com");
        let done = bench.run(&vector());
        assert!(done.code == 2 && done.stderr.starts_with(&format!("error: {setting} is plain http")), "{done:?}");
    }
}
