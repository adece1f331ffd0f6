//! What must not change a classification: how a failure is printed, whose hosts and ids stand in it, what wraps it. Each corpus record is
//! put through every such change and must keep its class.

use crate::driver::root;
use std::sync::LazyLock;
use tracejury::eval;
use tracejury::model::{Fault, Trace};
use tracejury::workshop::as_engine_sees;
use tracejury_regex::view::Classifier;

static RULES: LazyLock<Classifier> = LazyLock::new(|| Classifier::new("").unwrap());

/// The class of a fault as the default classifier tells it.
fn class(fault: &Fault) -> String {
    let mut trace = eval::read(&record("x")).unwrap().remove(0).trace;
    let put = |slot: &mut Option<Fault>| *slot = Some(fault.clone());
    put(&mut trace.error);
    put(&mut trace.steps[1].error);
    class_of(&trace)
}

fn class_of(trace: &Trace) -> String {
    RULES.verdicts(&as_engine_sees(trace)).pop().map_or_else(|| "UNKNOWN".to_owned(), |verdict| verdict.classification)
}

fn record(message: &str) -> String {
    serde_json::json!({"id": "x", "message": message, "category": "UNKNOWN"}).to_string()
}

fn corpus() -> Vec<(String, Fault)> {
    let text = std::fs::read_to_string(root().join("tests/corpus/dev.jsonl")).unwrap();
    eval::read(&text).unwrap().into_iter().map(|record| (record.id, record.trace.error.unwrap())).collect()
}

/// Applies a change of texts to message and stack.
fn texts(change: impl Fn(&str) -> String) -> impl Fn(&Fault) -> Fault {
    move |fault| Fault { message: change(&fault.message), stack: fault.stack.as_deref().map(&change), code: fault.code.clone() }
}

#[track_caller]
fn keeps_every_class(change: impl Fn(&Fault) -> Fault) {
    let mut moved = Vec::new();
    for (id, fault) in corpus() {
        let changed = change(&fault);
        let (before, after) = (class(&fault), class(&changed));
        if before != after {
            moved.push(format!("{id}: {before} became {after}: {:?}", changed.message.chars().take(160).collect::<String>()));
        }
    }
    assert!(moved.is_empty(), "{} of the corpus moved:\n{}", moved.len(), moved.join("\n"));
}

fn replaced(pattern: &str, by: impl Fn(&regex::Captures<'_>) -> String) -> impl Fn(&Fault) -> Fault {
    let pattern = regex::Regex::new(pattern).unwrap();
    texts(move |text| pattern.replace_all(text, |found: &regex::Captures<'_>| by(found)).into_owned())
}

const HOST: &str = r"\b[a-z0-9-]+\.(?:example\.(?:com|net|org)|amazonaws\.com|googleapis\.com)\b";

#[test]
fn other_ids() {
    keeps_every_class(replaced(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", |_| {
        "0b7c1e52-94a3-4f0e-8d11-6f2a9c30d5e8".into()
    }));
}

#[test]
fn other_hosts() {
    keeps_every_class(replaced(HOST, |_| "ledger.acme.test".into()));
}

#[test]
fn other_letter_case_of_hosts() {
    keeps_every_class(replaced(HOST, |found| found[0].to_uppercase()));
}

#[test]
fn other_numbers() {
    // Long numbers are ids and sizes; short ones may be a status, a port or an error's number.
    keeps_every_class(replaced(r"\b[1-9][0-9]{5,}\b", |found| "7".repeat(found[0].len())));
    keeps_every_class(replaced(r":[0-9]+:[0-9]+\)", |_| ":17:29)".into()));
}

#[test]
fn more_frames_on_a_stack() {
    let frames = "\n    at Object.handleTimeout (/srv/action/retryOnECONNRESET.js:8:2)\n    at validateSchema (/srv/action/TypeError.js:3:1)\n    at async Promise.all (index 0)";
    keeps_every_class(|fault| Fault {
        stack: Some(format!("{}{frames}", fault.stack.as_deref().unwrap_or(&fault.message))),
        ..fault.clone()
    });
    let java = "\n\tat com.example.TimeoutException.of(NullPointerException.java:17)\n\tat com.example.Retry.onConnectionRefused(Retry.java:4)\n\t... 14 more";
    keeps_every_class(|fault| Fault {
        stack: Some(format!("{}{java}", fault.stack.as_deref().unwrap_or(&fault.message))),
        ..fault.clone()
    });
}

#[test]
fn ansi_colours() {
    keeps_every_class(texts(|text| format!("\u{1b}[31m{}\u{1b}[0m", text.replacen(": ", ":\u{1b}[0m \u{1b}[1;33m", 1))));
}

#[test]
fn crlf() {
    keeps_every_class(texts(|text| text.replace('\n', "\r\n")));
}

#[test]
fn a_json_wrapper() {
    keeps_every_class(|fault| {
        let message = serde_json::json!({"errorType": "Error", "errorMessage": fault.message}).to_string();
        Fault { message, ..fault.clone() }
    });
}

#[test]
fn a_wrapper_exception() {
    keeps_every_class(|fault| Fault {
        message: format!("The action could not be completed; nested exception is {}", fault.message),
        ..fault.clone()
    });
    keeps_every_class(|fault| {
        let stack = fault.stack.as_deref().unwrap_or(&fault.message);
        Fault {
            message: "Step failed".into(),
            stack: Some(format!("Error: Step failed\n    at run (/srv/action/flow.js:4:2)\n  [cause]: {}\n{stack}", fault.message)),
            ..fault.clone()
        }
    });
}
