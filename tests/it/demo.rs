//! The demo and the simulator as a newcomer meets them.

use crate::driver::{Bench, Simulator, completed, scenario, vector};
use serde_json::{Value, json};

#[test]
fn the_demo_shows_every_scenario_and_ends_well() {
    let bench = Bench::new();
    let done = bench.tracejury(&["demo", "--format", "json"]);
    assert_eq!(done.code, 0, "{done:?}");
    let script: Value = serde_json::from_str(include_str!("../../host/src/simulator/built_in.json")).unwrap();
    let mut expected: Vec<_> = script["scenarios"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap().to_owned()).collect();
    let outcomes = done.outcomes();
    let mut shown: Vec<_> = outcomes.iter().map(|o| o["vector"].as_str().unwrap().to_owned()).collect();
    expected.sort();
    shown.sort();
    assert_eq!(shown, expected);
    assert!(outcomes.iter().all(|o| o["expected"] == true), "{done:?}");
    let path = |label: &str| {
        let line = done.stderr.lines().find(|l| l.trim_start().starts_with(label)).unwrap();
        line.trim_start().trim_start_matches(label).trim().to_owned()
    };
    // The log's first entry says what it continues.
    let lines = |path: String| std::fs::read_to_string(path).unwrap().lines().filter(|line| !line.contains("\"kind\":\"segment\"")).count();
    assert_eq!(lines(path("webhook deliveries")), outcomes.len());
    assert_eq!(lines(path("audit log  ")), outcomes.len());
}

#[test]
fn the_simulator_takes_webhooks_too() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({})));
    let mut bench = Bench::against(&simulator);
    bench.env("WEBHOOK_URL", &simulator.webhook);
    assert_eq!(bench.run(&vector()).code, 0);
    assert_eq!(simulator.deliveries()[0]["body"]["event"], "data_action_debug_complete");
}

#[test]
fn the_simulator_takes_loopback_addresses_and_sound_scripts_only() {
    let bench = Bench::new();
    let done = bench.tracejury(&["simulate", "--listen", "0.0.0.0:0"]);
    assert!(done.code == 3 && done.stderr.contains("loopback addresses only"), "{done:?}");
    bench.file("s.json", "{\"version\": 1,\n \"scenarios\": [{}]}");
    let done = bench.tracejury(&["simulate", "--scenario", "s.json"]);
    assert!(done.code == 2 && done.stderr.starts_with("error: s.json:2:"), "{done:?}");
}
