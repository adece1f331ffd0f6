//! The house rules of the code: who may import whom, headings, lengths, names.

use crate::driver::root;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Who may import whom, by top-level module of the host.
const MAY_IMPORT: [(&str, &[&str]); 24] = [
    // leaves
    ("model", &[]),
    ("config", &["model"]),
    ("http", &[]),
    ("log", &[]),
    // rooms
    ("vectors", LEAVES),
    ("debug_api", LEAVES),
    ("plugin", &["model", "config", "http", "jury"]),
    ("jury", LEAVES),
    ("merge", LEAVES),
    ("redact", LEAVES),
    ("store", LEAVES),
    ("outbox", &["model", "config", "http", "store"]),
    ("audit", &["model", "config", "store"]),
    ("report", LEAVES),
    // the flow
    ("classify", &["model", "config", "log", "jury", "merge", "redact"]),
    ("run", &["model", "config", "log", "classify", "debug_api", "jury", "redact", "store", "outbox", "audit"]),
    // faces
    ("simulator", LEAVES),
    ("doctor", &["model", "config", "http", "debug_api", "audit"]),
    ("eval", &["model", "debug_api"]),
    ("workshop", &["model", "config", "plugin", "jury", "debug_api", "redact"]),
    ("share", LEAVES),
    ("commands", &["*"]),
    ("cli", &["model", "report", "share", "simulator", "vectors", "workshop"]),
    ("exit", &["*"]),
];
const LEAVES: &[&str] = &["model", "config", "http", "log"];

/// Words that only one room may say.
const ONLY_IN: [(&str, &[&str]); 8] = [
    ("wasmtime::", &["plugin"]),
    ("rusqlite", &["store"]),
    ("oci_client", &["share"]),
    ("sigstore", &["share"]),
    ("inputParameters", &["debug_api", "vectors", "simulator"]),
    ("x-nice-workspace-id", &["debug_api", "simulator"]),
    ("std::process::exit", &["exit"]),
    ("anstream::std", &["report"]),
];

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            // The fuzz targets, being no part of the workspace, may be built in a folder of their own.
            files.extend(if path.ends_with("target") { Vec::new() } else { sources(&path) });
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files
}

/// The files of the host with their top-level module and their text without tests.
fn host() -> Vec<(PathBuf, String, String)> {
    let src = root().join("host/src");
    let files = sources(&src).into_iter().map(|path| {
        let first = path.strip_prefix(&src).unwrap().components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        (path, first.trim_end_matches(".rs").to_owned(), text.split("\n#[cfg(test)]\nmod tests").next().unwrap().to_owned())
    });
    files.filter(|(_, module, _)| !matches!(module.as_str(), "main" | "lib")).collect()
}

#[test]
fn the_import_table_holds() {
    let table: BTreeMap<_, _> = MAY_IMPORT.into_iter().collect();
    for (path, module, text) in host() {
        let allowed = table.get(module.as_str()).unwrap_or_else(|| panic!("{} is in no room of the table", path.display()));
        for imported in text.split("crate::").skip(1).map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap()) {
            assert!(imported == module || allowed.contains(&imported) || allowed.contains(&"*"), "{} imports {imported}", path.display());
        }
    }
}

#[test]
fn what_only_one_room_knows_is_said_in_no_other() {
    for (path, module, text) in host() {
        let code: String = text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        for (word, rooms) in ONLY_IN {
            assert!(rooms.contains(&module.as_str()) || !code.contains(word), "{} says {word}", path.display());
        }
    }
}

#[test]
fn pure_rooms_do_no_io() {
    for (path, module, text) in host() {
        if matches!(module.as_str(), "merge" | "redact") || path.ends_with("outbox/retry.rs") {
            for word in ["std::fs", "tokio", "Instant", "SystemTime", "std::env", "std::net"] {
                assert!(!text.contains(word), "{} says {word}", path.display());
            }
        }
    }
}

#[test]
fn files_have_a_heading_a_fit_length_and_a_telling_name() {
    let dirs = ["host/src", "host/benches", "plugins/regex/src", "plugins/regex/examples", "plugins/sdk/src", "tests/it", "tests/fuzz"];
    let files: Vec<_> = dirs.iter().flat_map(|dir| sources(&root().join(dir))).collect();
    let mut lengths = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(text.starts_with("//!"), "{} has no heading", path.display());
        assert!(!["mod", "utils", "util", "helpers", "common", "manager", "misc"].contains(&name.as_str()), "{}", path.display());
        let length = text.split("\n#[cfg(test)]\nmod tests").next().unwrap().lines().count();
        assert!(length <= 400, "{}: {length} lines", path.display());
        lengths.push(length);
    }
    lengths.sort_unstable();
    assert!(lengths[lengths.len() / 2] <= 150, "the median is {}", lengths[lengths.len() / 2]);
}

#[test]
fn the_glue_of_the_default_classifier_and_the_door_stay_small() {
    let lines = |path: &str| std::fs::read_to_string(root().join(path)).unwrap().lines().count();
    assert!(lines("plugins/regex/src/lib.rs") <= 40);
    assert!(lines("plugins/regex/src/component.rs") <= 40);
    assert!(lines("host/src/main.rs") <= 80);
}

#[test]
fn no_test_is_skipped_by_attribute() {
    // Put together here, so that this file does not find itself.
    let attribute = ["#[", "ignore"].concat();
    for dir in ["host", "plugins", "tests"] {
        for path in sources(&root().join(dir)) {
            assert!(!std::fs::read_to_string(&path).unwrap().contains(&attribute), "{}", path.display());
        }
    }
}

#[test]
fn the_default_classifier_names_no_folder_of_the_machine_that_built_it() {
    let component = std::fs::read(root().join("plugins/regex/regex.wasm")).unwrap();
    for folder in ["/.cargo/", "/root/", "/home/", "/Users/"] {
        assert!(!component.windows(folder.len()).any(|window| window == folder.as_bytes()), "it names {folder}");
    }
}
