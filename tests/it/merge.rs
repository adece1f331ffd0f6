//! Several classifiers on one trace: the most confident wins whole, ties are decided, dissent is kept.

use crate::driver::{Bench, failed, recorded};
use crate::guests::component;
use serde_json::{Value, json};

/// The default classifier says dns with 0.95; the team's plugin says TEAM_VERDICT with `confidence`.
fn merged(confidence: &str, settings: &str) -> Value {
    let bench = Bench::new();
    bench.file("tracejury.toml", settings);
    bench.file("plugins/team.wasm", component("team", |text| text.replace("f64.const 0.95", &format!("f64.const {confidence}"))));
    let line = recorded("s", &failed("getaddrinfo ENOTFOUND x"));
    bench.piped(&["classify", "--format", "json"], &line).outcome()
}

fn decided(outcome: &Value) -> (&str, f64, &Value) {
    (outcome["classification"].as_str().unwrap(), outcome["confidence"].as_f64().unwrap(), &outcome["reason"])
}

#[test]
fn the_most_confident_wins_with_its_own_confidence_and_reason() {
    assert_eq!(decided(&merged("0.96", "")), ("TEAM_VERDICT", 0.96, &Value::Null));
    assert_eq!(decided(&merged("0.94", "")), ("EXTERNAL_DEPENDENCY_OUTAGE", 0.95, &json!("dns")));
}

#[test]
fn dissent_is_kept_behind_the_deciding_verdict() {
    let outcome = merged("0.94", "");
    let plugins: Vec<_> = outcome["verdicts"].as_array().unwrap().iter().map(|v| v["plugin"].as_str().unwrap()).collect();
    assert_eq!(plugins, ["regex", "team"]);
    assert_eq!(outcome["verdicts"][1]["classification"], "TEAM_VERDICT");
}

#[test]
fn a_tie_goes_to_the_teams_own_plugin_unless_settings_say_otherwise() {
    assert_eq!(decided(&merged("0.95", "")).0, "TEAM_VERDICT");
    assert_eq!(decided(&merged("0.95", "[plugins.priority]\nregex = 200")).0, "EXTERNAL_DEPENDENCY_OUTAGE");
    // Of equal priority, the name decides.
    assert_eq!(decided(&merged("0.95", "[plugins.priority]\nregex = 100")).0, "EXTERNAL_DEPENDENCY_OUTAGE");
}

#[test]
fn what_settings_of_merging_ask_for_in_vain_is_told() {
    let bench = Bench::new();
    let warnings = |settings: &str| {
        bench.file("tracejury.toml", settings);
        bench.piped(&["classify"], &recorded("s", &failed("getaddrinfo ENOTFOUND x"))).stderr
    };
    let pooled = warnings("[merge]\npolicy = 'pooled'\ncorrelated = [['regex', 'rgex']]\n[merge.weights]\nregx = 2.0");
    for named in ["merge.weights: no plugin is named regx", "merge.correlated: no plugin is named rgex"] {
        assert!(pooled.contains(named), "{pooled}");
    }
    let quorum = warnings("[merge]\npolicy = 'quorum'\nquorum = 3");
    assert!(quorum.contains("merge.quorum: 3 plugins must agree, and 1 can be heard"), "{quorum}");
    assert!(!warnings("[merge]\npolicy = 'quorum'\nquorum = 1").contains("merge."));
}
