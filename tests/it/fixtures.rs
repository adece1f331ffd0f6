//! Behaviours of the command line, a folder each in `tests/fixtures/cli`: what goes in (`in/`, and `simulator.json` where a platform is
//! needed), the command for a shell (`cmd`), and what must come out (`stdout`, `stderr`, `code`). What differs from run to run stands as
//! `[WORD]`. With `SNAPSHOTS=overwrite` what comes out is written down: read it before it is committed.

use crate::driver::{Bench, Simulator, root};
use snapbox::{Assert, Data, Redactions};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<_> = std::fs::read_dir(root().join("tests/fixtures/cli")).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

/// What differs from run to run.
fn redactions(dir: &Path, url: Option<&str>) -> Redactions {
    let mut all = Redactions::new();
    let mut word = |placeholder: &'static str, pattern: &str| {
        all.insert(placeholder, regex::Regex::new(pattern).unwrap()).unwrap();
    };
    let uuid = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";
    word("[SESSION]", &format!(r#"(?:session |"sessionId":"|"tracejury/v1/)(?<redacted>{uuid})"#));
    word("[RUN]", r"\d{8}-\d{6}-[a-z0-9]{4}");
    word("[TIME]", r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?Z?");
    word("[MS]", r#"(?:"executionDurationMs":|"tookMs":)(?<redacted>\d+)"#);
    word("[SECONDS]", r#"(?: time="| in )(?<redacted>\d+\.\d+)"#);
    word("[DIGEST]", r#""digest":"(?<redacted>[0-9a-f]{64})"#);
    word("[VERSION]", r#"(?:"tool":"tracejury |"semanticVersion":")(?<redacted>\d+\.\d+\.\d+)"#);
    word("[KEY]", r"checks them: (?<redacted>\S+)");
    all.insert("[DIR]", dir.display().to_string()).unwrap();
    if let Some(url) = url {
        all.insert("[URL]", url.to_owned()).unwrap();
    }
    all
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir_all(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn play(folder: &Path) {
    let script = folder.join("simulator.json");
    let simulator = script.exists().then(|| Simulator::file("script.json", &std::fs::read_to_string(&script).unwrap()));
    let bench = simulator.as_ref().map_or_else(Bench::new, Bench::against);
    if folder.join("in").exists() {
        copy(&folder.join("in"), bench.dir.path());
    }
    let command = std::fs::read_to_string(folder.join("cmd")).unwrap();
    let mut shell = bench.shell(&command);
    let output = shell.output().unwrap();
    let assert = Assert::new()
        .action_env("SNAPSHOTS")
        .normalize_paths(false)
        .redact_with(redactions(bench.dir.path(), simulator.as_ref().map(|simulator| simulator.url.as_str())));
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let expected = |name: &str| Data::read_from(&folder.join(name), None);
    assert.eq(text(&output.stdout), expected("stdout"));
    assert.eq(text(&output.stderr), expected("stderr"));
    assert.eq(format!("{}\n", output.status.code().unwrap_or(-1)), expected("code"));
}

#[cfg(unix)]
#[test]
fn every_behaviour_is_as_it_is_written_down() {
    let failed: Vec<_> = folders()
        .into_iter()
        .filter_map(|folder| {
            let name = folder.file_name().unwrap().to_string_lossy().into_owned();
            std::panic::catch_unwind(|| play(&folder)).err().map(|_| name)
        })
        .collect();
    assert!(failed.is_empty(), "{failed:?}; SNAPSHOTS=overwrite writes down what came out");
}

#[test]
fn no_folder_lacks_a_part() {
    for folder in folders() {
        for part in ["cmd", "stdout", "stderr", "code"] {
            assert!(folder.join(part).is_file(), "{} has no {part}", folder.display());
        }
    }
}

/// A flag that nobody ever gives is one that may long be broken.
#[test]
fn every_flag_of_a_run_is_given_in_some_folder() {
    let commands: String = folders().iter().map(|folder| std::fs::read_to_string(folder.join("cmd")).unwrap()).collect();
    let bench = Bench::new();
    for command in [vec!["run"], vec!["runs", "compare"], vec!["runs", "show"], vec!["init"]] {
        let help = bench.tracejury(&[command.clone(), vec!["--help"]].concat()).stdout;
        let flags: BTreeSet<_> = help
            .split_whitespace()
            .map(|word| word.trim_start_matches('[').trim_end_matches([',', ']', '.', '`']).split(['=', '[']).next().unwrap())
            .filter(|word| word.starts_with("--") && word.len() > 2)
            .collect();
        let elsewhere = ["--help", "--version", "--verbose"];
        // What needs an unfinished run, a lock or a platform of its own is told in stories.
        let stories = ["--resume", "--resubmit-ambiguous", "--locked", "--rate", "--concurrency", "--plugins", "--config", "--log"];
        for flag in flags.into_iter().filter(|flag| !elsewhere.contains(flag) && !stories.contains(flag)) {
            assert!(commands.contains(flag), "{} {flag} is in no cmd", command.join(" "));
        }
    }
}
