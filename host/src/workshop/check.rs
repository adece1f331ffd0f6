//! Whether a plugin is fit to be given to others: its world, what it says about itself, its limits, its tests, how it takes traces of
//! every kind, and whether the same trace gets the same answer.

use super::cases::{Cases, short};
use super::pack::describe;
use super::test::test;
use super::trial::Trial;
use super::{WorkshopError, world};
use crate::config::Read;
use crate::model::{Abstention, Classification, Fault, Status, Step, Trace, Verdict};
use crate::plugin::{BUILT_IN_NAME, Kind, Loader, Packed, Profile, Sight};
use std::collections::BTreeSet;
use std::path::Path;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// How it is.
    pub mark: Mark,
    /// What was looked at.
    pub subject: &'static str,
    /// What was found.
    pub text: String,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// As it should be.
    Good,
    /// It works, but those who get the plugin will miss something.
    Warning,
    /// It must not stay so.
    Bad,
}

/// Looks at a plugin from all sides.
///
/// # Errors
/// The file cannot be read, or the machine cannot run plugins at all. A plugin that is refused is a finding.
pub fn check(loader: &Loader, file: &Path, cases: Option<&Cases>) -> Result<Vec<Finding>, WorkshopError> {
    let mut findings = Vec::new();
    let trial = match Trial::of(loader, file, Sight::AsAsked) {
        Ok(trial) => trial,
        Err(refused) => {
            // What cannot be read as a component at all differs in nothing that could be named; nor does what breaks the reader.
            let read = || loader.bytes(file).ok().and_then(|bytes| world::differences(&bytes).ok());
            let differences = std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).ok().flatten().unwrap_or_default().1;
            findings.push(bad("loads", format!("{}; {}", refused.what, refused.help)));
            findings.extend(differences.into_iter().map(|difference| bad("world", difference)));
            return Ok(findings);
        }
    };
    let profile = trial.profile().clone();
    findings.push(good("loads", format!("{} {}", profile.name, profile.version)));
    findings.push(good("world", format!("{}; imports {}", profile.world, or_nothing(&profile.imports.join(" ")))));
    metadata(file, &profile, &mut findings);
    limits(&profile, &mut findings);
    tests(&trial, cases, &mut findings)?;
    let heard = conformance(&trial, &mut findings);
    determinism(loader, &trial, file, &heard, &mut findings)?;
    consumer(&profile, &mut findings);
    Ok(findings)
}

fn good(subject: &'static str, text: impl Into<String>) -> Finding {
    Finding { mark: Mark::Good, subject, text: text.into() }
}

fn warning(subject: &'static str, text: impl Into<String>) -> Finding {
    Finding { mark: Mark::Warning, subject, text: text.into() }
}

fn bad(subject: &'static str, text: impl Into<String>) -> Finding {
    Finding { mark: Mark::Bad, subject, text: text.into() }
}

fn or_nothing(words: &str) -> &str {
    if words.is_empty() { "nothing" } else { words }
}

/// What people want to know before they use it.
fn metadata(file: &Path, profile: &Profile, findings: &mut Vec<Finding>) {
    let before = findings.len();
    let mut warn = |text: String| findings.push(warning("metadata", text));
    let said = [("name", &profile.metadata.name, &profile.name), ("version", &profile.metadata.version, &profile.version)];
    for (what, section, described) in said {
        // What tools for WebAssembly made without our help may bear any name.
        if section.as_ref().is_some_and(|section| section != described) && profile.metadata.version.is_some() {
            warn(format!("its file says {what} {}, `describe` says {described}", section.clone().unwrap_or_default()));
        }
    }
    if profile.version == "0.0.0" {
        warn("it says no version: write exports.describe".to_owned());
    } else if !is_semantic(&profile.version) {
        warn(format!("version {} is not of the form 1.2.3", profile.version));
    }
    if profile.summary.is_empty() {
        warn("`describe` has no summary".to_owned());
    }
    if file.file_stem().is_none_or(|stem| *stem != *profile.name) {
        warn(format!("the file is not named after the plugin: in a folder with another {} neither would be used", profile.name));
    }
    if profile.name == BUILT_IN_NAME {
        findings.push(bad("metadata", "the name regex is that of the default classifier: in a folder it would abstain; choose another"));
        return;
    }
    let known = Read::ALL.map(Read::as_str);
    for read in profile.reads.iter().filter(|read| !known.contains(&read.as_str())) {
        findings.push(bad("metadata", format!("reads: {read} cannot be granted; there are {}", known.join(", "))));
    }
    if profile.kind == Some(Kind::Script) && profile.packed == Packed::No {
        if findings.len() == before {
            findings
                .push(good("metadata", format!("version {} and summary; licence and source are given to `plugin pack`", profile.version)));
        }
        return;
    }
    for (what, there) in [("licence", &profile.metadata.licenses), ("source", &profile.metadata.source)] {
        if there.is_none() {
            findings.push(warning("metadata", format!("no {what} is given; whoever gets it will ask")));
        }
    }
    if let Err(error) = describe(&mut Vec::new(), &profile.metadata) {
        findings.push(bad("metadata", format!("{}; {}", error.what, error.help)));
    }
    if findings.len() == before {
        findings.push(good("metadata", format!("version {}, summary, licence and source", profile.version)));
    }
}

fn is_semantic(version: &str) -> bool {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    core.split('.').count() == 3 && core.split('.').all(number)
}

fn limits(profile: &Profile, findings: &mut Vec<Finding>) {
    let most = profile.limits.as_ref().map_or(0, |limits| limits.memory_mib);
    let text = match profile.memory_bytes {
        Some(bytes) => format!("{} KiB of memory at the start, of {most} MiB; file of {} bytes", bytes >> 10, profile.bytes),
        None => format!("file of {} bytes", profile.bytes),
    };
    findings.push(good("limits", text));
}

fn tests(trial: &Trial, cases: Option<&Cases>, findings: &mut Vec<Finding>) -> Result<(), WorkshopError> {
    let inside = match (cases, trial.cases()) {
        (None, Some(text)) => Some(Cases::parse("the cases inside it", text)?),
        _ => None,
    };
    let tests = test(trial, cases.or(inside.as_ref()).map(std::slice::from_ref).unwrap_or_default());
    let failed: Vec<_> =
        tests.failed().map(|test| bad("tests", format!("{}: {}: {}", test.place, test.name, test.wrong.join("; ")))).collect();
    if tests.tests.is_empty() {
        findings.push(warning("tests", "there are neither examples nor cases"));
    } else if failed.is_empty() {
        findings.push(good("tests", format!("{} examples and cases hold", tests.tests.len())));
    }
    findings.extend(failed);
    Ok(())
}

/// A trace by its name, and what was said of it.
type Told = (&'static str, Trace, Result<Option<Verdict>, Abstention>);

/// After how many failures it is not asked further: one that never ends would take minutes.
const ENOUGH: usize = 3;

/// Lets it hear traces of every kind; each must be answered or abstained from, and nothing may fail.
fn conformance(trial: &Trial, findings: &mut Vec<Finding>) -> Vec<Told> {
    let declared = trial.profile().classifications.clone();
    let before = findings.len();
    let (mut answered, mut undeclared, mut told_of) = (0, BTreeSet::new(), Vec::new());
    for (name, trace) in conformance_set() {
        let answer = trial.answer(&trace);
        match &answer {
            Err(why) => findings.push(bad("conformance", format!("{name}: {why}"))),
            Ok(Some(said)) if !trace.status.is_failed() => {
                findings.push(bad("conformance", format!("{name}: answers {}; of what did not fail there is nothing to say", short(said))));
            }
            Ok(Some(said)) => {
                answered += 1;
                if !declared.iter().any(|known| known == said.classification.as_str()) {
                    undeclared.insert(said.classification.to_string());
                }
            }
            Ok(None) => {}
        }
        if answer.is_ok() {
            told_of.push((name, trace, answer));
        }
        if findings.len() - before == ENOUGH {
            findings.push(bad("conformance", "and so on: it was not asked further"));
            break;
        }
    }
    for classification in undeclared {
        findings.push(warning("conformance", format!("answers {classification}, which `describe` does not list under classifications")));
    }
    if findings.len() == before {
        findings
            .push(good("conformance", format!("{} traces of every kind heard, {answered} of them answered with a verdict", told_of.len())));
    }
    rules(trial, findings);
    told_of
}

/// Rules that are not finished.
fn rules(trial: &Trial, findings: &mut Vec<Finding>) {
    for rule in trial.own_rules() {
        if rule.explain.fill(&[]).trim().is_empty() {
            findings.push(warning("rules", format!("{}: explain says nothing", rule.id)));
        }
        if rule.classification == Classification::UNKNOWN {
            findings.push(warning("rules", format!("{}: classification is UNKNOWN, which is what is said without it too", rule.id)));
        }
        if rule.matches.is_empty() {
            findings.push(warning("rules", format!("{}: has no example that it matches", rule.id)));
        }
    }
}

/// The same answer again, in the same instance, in others, and after it was loaded anew.
fn determinism(loader: &Loader, trial: &Trial, file: &Path, heard: &[Told], findings: &mut Vec<Finding>) -> Result<(), WorkshopError> {
    let again = Trial::of(loader, file, Sight::AsAsked)?;
    let before = findings.len();
    for (name, trace, first) in heard {
        if trial.answer(trace) != *first {
            findings.push(bad("determinism", format!("{name}: a second time the answer is another")));
        } else if again.answer(trace) != *first {
            findings.push(bad("determinism", format!("{name}: after a new start the answer is another")));
        }
    }
    if findings.len() == before {
        findings.push(good("determinism", "the same answers a second time and after a new start"));
    }
    Ok(())
}

/// What those who take it into use will see.
fn consumer(profile: &Profile, findings: &mut Vec<Finding>) {
    let sees = match profile.reads.as_slice() {
        [] => "sealed: it sees error texts only".to_owned(),
        reads => format!("reading: it asks for {} of steps, which the user has to grant", reads.join(" and ")),
    };
    let answers = or_nothing(&profile.classifications.join(", ")).to_owned();
    findings.push(good("consumer", format!("{} {} – {}; answers {answers}; {sees}", profile.name, profile.version, profile.summary)));
}

/// Traces of every kind: of every classification, and of every form that a platform may give them.
pub(super) fn conformance_set() -> Vec<(&'static str, Trace)> {
    let fault = |message: &str| Fault { message: message.to_owned(), ..Fault::default() };
    let step = |id: &str, error: Option<Fault>| Step { id: id.to_owned(), error, ..Step::default() };
    let failed = |message: &str| Trace::made_up(vec![step("one", None), step("two", Some(fault(message))), step("three", None)]);
    let full = Step {
        name: Some("Look up customer".to_owned()),
        timestamp: Some("2026-01-01T00:00:00Z".to_owned()),
        input: Some(r#"{"id":1}"#.to_owned()),
        output: Some(r#"{"error":"boom"}"#.to_owned()),
        error: Some(Fault {
            message: "fetch failed".to_owned(),
            stack: Some("TypeError: fetch failed\n    at main.js:1:1\n  [cause]: Error: connect ECONNREFUSED 10.0.0.1:443".to_owned()),
            code: Some("ECONNREFUSED".to_owned()),
        }),
        ..step("full", None)
    };
    let many = (0..10_000).map(|i| step(&format!("s{i}"), (i == 9_999).then(|| fault("the last of many")))).collect();
    let mut session_only = Trace::made_up(vec![step("only", None)]);
    session_only.error = Some(fault("getaddrinfo ENOTFOUND api.example.com"));
    let mut completed = failed("a step that failed and was caught");
    completed.status = Status(Status::COMPLETED.to_owned());
    vec![
        ("an empty trace", Trace::made_up(Vec::new())),
        ("a step without anything", Trace::made_up(vec![Step::default()])),
        ("no error anywhere", Trace::made_up(vec![step("one", None)])),
        ("an error of the session alone", session_only),
        ("an error that says nothing", failed("")),
        ("all fields", Trace::made_up(vec![full])),
        ("an execution that went well", completed),
        ("10,000 steps", Trace::made_up(many)),
        ("a message of 1 MB", failed(&"all work and no play ".repeat(50_000))),
        ("one line of 1 MB without a space", failed(&"x".repeat(1 << 20))),
        ("scripts and emoji", failed("Zeitüberschreitung 超时 مهلة 🏴\u{e0067}\u{e0062} e\u{301}\u{202e}")),
        ("control characters", failed("a\0b\u{1b}[31mc\r\n\t\u{7f}\u{85}\u{2028}")),
        ("braces, quotes and percent signs", failed(r#"{{%s}} "${x}" \u0000 '); DROP TABLE --"#)),
        ("a dependency that is down", failed("getaddrinfo ENOTFOUND api.example.com")),
        ("a provider's error page", failed("Request failed with status code 503: <html><h1>Service Unavailable</h1></html>")),
        ("a fault of the action", failed("Cannot read properties of undefined (reading 'total')")),
        ("a rule of the business", failed("insufficient funds")),
        ("what nobody can tell", failed("Something went wrong")),
    ]
}
