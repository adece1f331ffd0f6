//! The audit log: one entry a session, with everything the entry needs, and flags that say what was done.

use crate::driver::{ACTION, Bench, Simulator, completed, failed, scenario, vector};
use serde_json::{Value, json};
use std::process::Command;

#[test]
fn each_session_has_one_entry() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({})));
    let mut bench = Bench::against(&simulator);
    bench.settings("[audit]\nretention_days = 30\n").env("AUDIT_LOG_PATH", "audit.jsonl");
    let vectors: Value = (0..5).map(|_| vector()).collect();
    let done = bench.run(&vectors);
    assert_eq!(bench.run(&vector()).code, 0, "a second run appends");
    let entries = bench.entries("audit.jsonl");
    assert_eq!(entries.len(), 6);
    let mut sessions: Vec<_> = entries.iter().map(|e| e["sessionId"].as_str().unwrap()).collect();
    sessions.sort_unstable();
    sessions.dedup();
    assert_eq!(sessions.len(), 6);
    for outcome in done.outcomes() {
        let entry = entries.iter().find(|e| e["sessionId"] == outcome["sessionId"]).unwrap();
        for field in ["actionId", "inputHash", "status", "classification", "confidence", "executionDurationMs"] {
            assert_eq!(entry[field], outcome[field], "{field}");
        }
        assert_eq!(entry["actionId"], ACTION);
        assert!(entry["auditId"].is_string() && entry["loggedAt"].is_string());
        let flags = &entry["complianceFlags"];
        assert_eq!(
            (&flags["dataMasked"], &flags["masked"], &flags["piiExcluded"], &flags["retentionDays"]),
            (&json!(false), &json!({}), &json!(true), &json!(30))
        );
        assert!(flags["ruleSet"].as_str().unwrap().starts_with("2-"));
    }
}

#[test]
fn an_input_that_stays_in_an_id_is_admitted() {
    // The step's id must stay as it is, and it holds the customer's number: the flag says so.
    let mut answer = failed("ENOTFOUND");
    answer["trace"][1]["stepId"] = json!("step-for-CUST-998877");
    let simulator = Simulator::of(&scenario(&answer, &json!({})));
    let mut bench = Bench::against(&simulator);
    bench.env("AUDIT_LOG_PATH", "audit.jsonl");
    bench.run(&vector());
    let entry = bench.entries("audit.jsonl").remove(0);
    assert_eq!(entry["complianceFlags"]["piiExcluded"], false);
}

#[test]
fn an_ambiguous_submit_is_logged_since_the_action_may_have_run() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({"submit": [{"cut": true}]})));
    let mut bench = Bench::against(&simulator);
    bench.env("AUDIT_LOG_PATH", "audit.jsonl");
    bench.run(&vector());
    let entry = bench.entries("audit.jsonl").remove(0);
    assert_eq!((&entry["sessionId"], &entry["actionId"]), (&Value::Null, &json!(ACTION)));
    assert!(entry["problem"].as_str().unwrap().starts_with("ambiguous: "));
}

/// A log of three sessions, with keys, and the settings that name them.
fn with_keys() -> (Bench, Simulator) {
    let simulator = Simulator::of(&scenario(&failed("getaddrinfo ENOTFOUND x"), &json!({})));
    let bench = Bench::against(&simulator);
    std::fs::remove_file(bench.dir.path().join("tracejury.toml")).unwrap();
    let made = bench.tracejury(&["init", "--log", "example.com/audit"]);
    assert_eq!(made.code, 0, "{made:?}");
    bench.run(&json!([vector(), vector(), vector()]));
    (bench, simulator)
}

fn public(bench: &Bench) -> String {
    let again = bench.tracejury(&["init"]).stdout;
    assert!(again.contains("kept ./.tracejury/audit.key as it is"), "{again}");
    again.lines().find_map(|line| line.trim().strip_prefix("its public key, to be given to whoever checks them: ")).unwrap().to_owned()
}

#[test]
fn a_log_is_checked_signed_and_proved() {
    let (bench, _simulator) = with_keys();
    let holds = bench.tracejury(&["audit", "verify"]);
    assert!(holds.code == 0 && holds.stdout.starts_with("holds: 4 entries in 1 segment, from "), "{holds:?}");
    assert_eq!(bench.tracejury(&["audit", "checkpoint", "-o", "kept.txt"]).code, 0);
    assert!(bench.read("kept.txt").starts_with("example.com/audit\n4\n"));
    bench.run(&vector());
    let with = bench.tracejury(&["audit", "verify", "--checkpoint", "kept.txt"]);
    assert!(with.stdout.contains("it leads to the 4 entries of the checkpoint, with 1 since"), "{with:?}");

    let entry = bench.entries("audit/audit.jsonl").remove(1);
    let session = entry["sessionId"].as_str().unwrap();
    assert_eq!(bench.tracejury(&["audit", "prove", session, "-o", "proof.txt"]).code, 0);
    let key = public(&bench);
    // Whoever checks it has neither the log nor the settings.
    let elsewhere = Bench::new();
    elsewhere.file("proof.txt", bench.read("proof.txt"));
    let proved = elsewhere.tracejury(&["audit", "verify", "--proof", "proof.txt", "--key", &key]);
    assert_eq!((proved.code, serde_json::from_str::<Value>(&proved.stdout).unwrap()), (0, entry), "{proved:?}");
    assert!(proved.stderr.contains("entry 2 of a log of 5 entries"), "{proved:?}");

    let segment = std::fs::read_dir(bench.dir.path().join("audit"))
        .unwrap()
        .map(|f| f.unwrap().path())
        .find(|f| f.extension().unwrap() == "jsonl")
        .unwrap();
    let text = std::fs::read_to_string(&segment).unwrap();
    std::fs::write(&segment, text.replacen("EXTERNAL", "INTERNAL", 1)).unwrap();
    let changed = bench.tracejury(&["audit", "verify"]);
    assert!(changed.code == 1 && changed.stderr.contains(".jsonl:2: was changed: its hash is another\n  help: "), "{changed:?}");
    assert!(bench.tracejury(&["audit", "checkpoint"]).stderr.contains("was changed"), "what does not hold is not signed");
    // Cut between two lines, the log alone does not tell.
    std::fs::write(&segment, text.lines().take(2).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    assert_eq!(bench.tracejury(&["audit", "verify"]).code, 0);
    let cut = bench.tracejury(&["audit", "verify", "--checkpoint", "kept.txt"]);
    assert!(cut.code == 1 && cut.stderr.contains("holds 2 entries, but the checkpoint was made of 4: the end is missing"), "{cut:?}");
}

#[test]
fn ten_lines_of_python_check_the_chain_as_the_readme_has_them() {
    let (bench, _simulator) = with_keys();
    let readme = std::fs::read_to_string(crate::driver::root().join("README.md")).unwrap();
    let script = readme.split("```python\n").map(|block| block.split("```").next().unwrap()).find(|code| code.contains("hashlib")).unwrap();
    assert!(script.lines().count() <= 10, "{script}");
    bench.file("check.py", script);
    let segment = bench.log("audit/audit.jsonl").join("\n") + "\n";
    bench.file("log.jsonl", &segment);
    let check = || Command::new("python3").args(["check.py", "log.jsonl"]).current_dir(bench.dir.path()).output();
    let Ok(good) = check() else {
        eprintln!("skipped: there is no python3");
        assert!(std::env::var_os("TRACEJURY_SKIP_NOTHING").is_none());
        return;
    };
    assert!(good.status.success() && String::from_utf8_lossy(&good.stdout).starts_with("4 entries hold"), "{good:?}");
    bench.file("log.jsonl", segment.replacen("EXTERNAL", "INTERNAL", 1));
    assert!(!check().unwrap().status.success());
    bench.file(
        "log.jsonl",
        segment.lines().filter(|line| !line.contains("\"index\":2,")).map(|line| format!("{line}\n")).collect::<String>(),
    );
    assert!(!check().unwrap().status.success());
}

#[test]
fn entries_are_exported_for_siems() {
    let (bench, _simulator) = with_keys();
    let exported = bench.tracejury(&["audit", "export", "--format", "ocsf"]);
    let events = exported.outcomes();
    assert_eq!(events.len(), 3, "{exported:?}");
    for (event, entry) in events.iter().zip(bench.entries("audit/audit.jsonl")) {
        // What the schema requires of API Activity 1.6.0.
        for field in
            ["activity_id", "actor", "api", "category_uid", "class_uid", "metadata", "severity_id", "src_endpoint", "time", "type_uid"]
        {
            assert!(!event[field].is_null(), "{field}");
        }
        assert_eq!(
            (&event["class_uid"], &event["type_uid"], &event["metadata"]["version"]),
            (&json!(6003), &json!(600399), &json!("1.6.0"))
        );
        assert_eq!(
            (&event["metadata"]["uid"], &event["status_id"], &event["status_code"]),
            (&entry["auditId"], &json!(2), &entry["classification"])
        );
        assert_eq!(
            event["time"].as_i64().unwrap() / 1000,
            chrono::DateTime::parse_from_rfc3339(entry["loggedAt"].as_str().unwrap()).unwrap().timestamp()
        );
    }
}

#[test]
fn hashes_of_inputs_are_macs_with_the_key_that_init_makes() {
    let (bench, _simulator) = with_keys();
    let hash = bench.entries("audit/audit.jsonl")[0]["inputHash"].as_str().unwrap().to_owned();
    assert!(hash.starts_with("hmac-sha256:") && hash.len() == 12 + 8 + 1 + 64, "{hash}");
    #[cfg(unix)]
    for name in ["audit.key", "privacy.key"] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(bench.dir.path().join(".tracejury").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let mut short = Bench::new();
    short.env("TRACEJURY_PRIVACY_KEY", "short");
    let done = short.piped(&["classify"], "");
    assert!(done.code == 2 && done.stderr.starts_with("error: privacy.key is too short"), "{done:?}");
}

#[test]
fn a_torn_line_is_moved_into_quarantine_and_told() {
    let (bench, _simulator) = with_keys();
    let folder = bench.dir.path().join("audit");
    let segment = std::fs::read_dir(&folder).unwrap().map(|f| f.unwrap().path()).find(|f| f.extension().unwrap() == "jsonl").unwrap();
    let whole = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, &whole[..whole.len() - 20]).unwrap();
    let torn = bench.tracejury(&["audit", "verify"]);
    assert!(torn.code == 1 && torn.stderr.contains("is torn; the next run moves it into quarantine"), "{torn:?}");
    let done = bench.run(&vector());
    assert!(done.stderr.contains("bytes were torn by a crash; they are kept in audit/audit.quarantine.jsonl"), "{done:?}");
    assert_eq!(bench.tracejury(&["audit", "verify"]).code, 0);
    assert_eq!(bench.read("audit/audit.quarantine.jsonl").lines().filter(|line| !line.is_empty()).count(), 1);
    // The journal knows what was lost with it.
    let missing = bench.tracejury(&["audit", "reconcile"]);
    assert!(missing.code == 1 && missing.stdout.contains("1 missing in the log"), "{missing:?}");
    assert_eq!(bench.tracejury(&["audit", "reconcile", "--write-missing"]).code, 0);
    assert_eq!((bench.tracejury(&["audit", "reconcile"]).code, bench.entries("audit/audit.jsonl").len()), (0, 4));
}

#[test]
fn each_durability_writes_the_same_log() {
    for durability in ["always", "group", "os"] {
        let simulator = Simulator::of(&scenario(&completed(), &json!({})));
        let mut bench = Bench::against(&simulator);
        bench.settings(&format!("[audit]\ndurability = '{durability}'\n")).env("AUDIT_LOG_PATH", "audit.jsonl");
        assert_eq!(bench.run(&json!([vector(), vector()])).code, 0);
        assert_eq!((bench.entries("audit.jsonl").len(), bench.tracejury(&["audit", "reconcile"]).code), (2, 0), "{durability}");
    }
}

#[test]
#[cfg(unix)]
fn a_log_that_cannot_be_written_is_told_before_anything_is_submitted() {
    let simulator = Simulator::of(&scenario(&completed(), &json!({})));
    let mut bench = Bench::against(&simulator);
    bench.env("AUDIT_LOG_PATH", "audit.jsonl");
    bench.run(&vector());
    // A folder where a file should be cannot be written even by root, who may write into what is read-only.
    let today =
        std::fs::read_dir(bench.dir.path()).unwrap().map(|f| f.unwrap().path()).find(|f| f.to_str().unwrap().contains("audit-")).unwrap();
    std::fs::remove_file(&today).unwrap();
    std::fs::create_dir(&today).unwrap();
    std::fs::write(today.join("x"), "").unwrap();
    let done = bench.run(&vector());
    assert!(done.code == 3 && done.stderr.starts_with("error: the audit log cannot be opened: "), "{done:?}");
    assert_eq!(simulator.executed(), 1);
}
