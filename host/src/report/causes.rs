//! Failures by their cause: what is the same but for numbers is said once, with how many vectors it befell. Pure.

use super::kinds::{Kind, end_of, kind_of};
use super::next::{next_step, problem_step};
use crate::model::{Outcome, printable};
use std::collections::HashMap;

/// How many vectors of a cause are named.
const NAMED: usize = 3;
/// How much of an error is shown, in characters.
const EXCERPT: usize = 240;
/// How many causes are told apart; a run has some dozens.
const CAUSES: usize = 2_000;

/// What kept some vectors from being as expected.
#[derive(Debug, Clone)]
pub(super) struct Cause {
    pub(super) kind: Kind,
    /// How many vectors.
    pub(super) count: usize,
    /// The first of them, with session and place.
    pub(super) named: Vec<String>,
    /// What it is, in one line.
    pub(super) title: String,
    /// Differences, problems and dissent, each with its place where it has one.
    pub(super) lines: Vec<String>,
    /// The error's own words.
    pub(super) excerpt: Option<String>,
    /// What to do.
    pub(super) next: &'static str,
}

/// All causes of a run, in the order in which they were met.
#[derive(Debug, Default, Clone)]
pub(super) struct Causes {
    causes: Vec<Cause>,
    places: HashMap<(Kind, String), usize>,
}

impl Causes {
    /// Takes an outcome, where there is anything to be said of it.
    pub(super) fn count(&mut self, outcome: &Outcome) {
        let kind = kind_of(outcome);
        let said = said(outcome);
        if said.is_empty() && matches!(kind, Kind::AsExpected) {
            return;
        }
        let title = title(outcome);
        let key = (kind, without_numbers(&format!("{title}\n{}\n{}", said.join("\n"), outcome.matched().unwrap_or_default())));
        let full = self.causes.len() >= CAUSES;
        let place = match self.places.get(&key) {
            Some(place) => *place,
            None if full => return,
            None => {
                self.places.insert(key, self.causes.len());
                let next = outcome.problem.as_ref().map_or_else(
                    || outcome.classification.as_ref().map_or("", |classification| next_step(classification.as_str())),
                    |problem| problem_step(problem.kind.as_str()),
                );
                let next = if outcome.classification.is_none() && outcome.problem.is_none() && kind == Kind::Unexpected {
                    "compare what the action gave back with what the vector expects"
                } else {
                    next
                };
                let placed = |(i, line): (usize, String)| match outcome.mismatch_at.get(i) {
                    Some(at) => format!("{}: {line}", printable(at)),
                    None => line,
                };
                let excerpt = excerpt(outcome);
                let lines = said.into_iter().enumerate().map(placed).collect();
                self.causes.push(Cause { kind, count: 0, named: Vec::new(), title, lines, excerpt, next });
                self.causes.len() - 1
            }
        };
        if let Some(cause) = self.causes.get_mut(place) {
            cause.count += 1;
            if cause.named.len() < NAMED {
                cause.named.push(named(outcome));
            }
        }
    }

    /// The causes, failures last, of these the one that befell most vectors last.
    pub(super) fn sorted(&self) -> Vec<&Cause> {
        let mut causes: Vec<_> = self.causes.iter().collect();
        causes.sort_by(|a, b| (a.kind, a.count, &a.title, &a.lines).cmp(&(b.kind, b.count, &b.title, &b.lines)));
        causes
    }

    /// Those that kept vectors from being as expected, the one that befell most first.
    pub(super) fn failures(&self) -> Vec<&Cause> {
        let failure = |cause: &&Cause| matches!(cause.kind, Kind::CouldNot | Kind::Unexpected);
        self.sorted().into_iter().rev().filter(failure).collect()
    }
}

impl Cause {
    /// The vectors it befell.
    pub(super) fn vectors(&self) -> String {
        let more = self.count - self.named.len();
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        format!("{}{more}", self.named.join(", "))
    }
}

/// What it is, in one line: the classification with reason and step, or the problem, or that a result is another one.
pub(super) fn title(outcome: &Outcome) -> String {
    let end = printable(&end_of(outcome).unwrap_or_default());
    if outcome.problem.is_some() || outcome.classification.is_none() {
        return end;
    }
    let reason = outcome.reason.as_deref().map_or_else(String::new, |reason| format!(" {}", printable(reason)));
    let step = outcome.failing_step();
    let step = step.map_or_else(String::new, |step| format!(" at {}", printable(step)));
    format!("{end}{reason}{step}")
}

fn named(outcome: &Outcome) -> String {
    let session = outcome.session_id.as_ref().map_or_else(String::new, |id| format!(" (session {id})"));
    format!("{}{session}", printable(&outcome.full_name()))
}

/// Differences first: they have places.
fn said(outcome: &Outcome) -> Vec<String> {
    let mut lines: Vec<String> = outcome.mismatch.iter().map(|m| printable(m)).collect();
    lines.extend(outcome.problem.as_ref().filter(|_| outcome.expected != Some(true)).map(|p| printable(&p.to_string())));
    let dissent = outcome
        .dissent()
        .map(|v| format!("dissent: {} says {} ({:.2}): {}", v.plugin, v.classification, v.confidence.get(), printable(&v.explanation)));
    lines.extend(dissent);
    if outcome.flaky {
        let earlier = outcome.earlier.first().map(|attempt| attempt.mismatch.join("; ")).unwrap_or_default();
        lines.push(format!("flaky: as expected at attempt {}; at first {}", outcome.earlier.len() + 1, printable(&earlier)));
    }
    lines
}

/// The error's own words; without them what was matched.
fn excerpt(outcome: &Outcome) -> Option<String> {
    let fault = outcome.fault.as_ref().map(|fault| fault.message.as_str()).filter(|message| !message.trim().is_empty());
    let text: String = fault.or_else(|| outcome.matched())?.chars().take(EXCERPT).collect();
    Some(printable(&text))
}

/// The text with every number as one sign, whatever its digits: ids and durations differ where the cause is the same.
fn without_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let between = |c: char| !c.is_alphanumeric() && c != '-';
    for word in text.split_inclusive(between) {
        let bare = word.trim_end_matches(between);
        let hex = |b: u8| b.is_ascii_hexdigit() || b == b'-';
        let id = bare.len() >= 8 && bare.bytes().all(hex) && bare.bytes().any(|b| b.is_ascii_digit());
        for c in word.chars() {
            let c = if c.is_ascii_digit() || (id && !between(c)) { '#' } else { c };
            if c != '#' || !out.ends_with('#') {
                out.push(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Environment, Problem, ProblemKind};

    fn outcome(vector: &str, mismatch: &str) -> Outcome {
        let outcome = Outcome::of(vector.into(), "a1b2c3d4-e5f6-7890-abcd-ef1234567890".parse().unwrap(), Environment::Test);
        Outcome { expected: Some(false), mismatch: vec![mismatch.into()], mismatch_at: vec!["v.yaml:7".into()], ..outcome }
    }

    #[test]
    fn what_is_the_same_but_for_numbers_is_one_cause() {
        let mut causes = Causes::default();
        for i in 0..40 {
            causes.count(&outcome(&format!("v{i}"), &format!("result /id: expected 7, got {}", i * 1000)));
        }
        causes.count(&outcome("other", "result /name: expected 7, got 1"));
        let mut stuck = outcome("stuck", "");
        (stuck.expected, stuck.mismatch, stuck.problem) =
            (None, vec![], Some(Problem { kind: ProblemKind::Deadline, text: "no result after 3 s".into() }));
        causes.count(&stuck);
        let sorted = causes.sorted();
        assert_eq!(sorted.iter().map(|cause| cause.count).collect::<Vec<_>>(), [1, 1, 40], "the largest is nearest to the prompt");
        let most = sorted.last().unwrap();
        assert_eq!(
            (most.vectors().as_str(), most.lines[0].as_str()),
            ("v0, v1, v2 and 37 more", "v.yaml:7: result /id: expected 7, got 0")
        );
        assert_eq!(sorted[0].kind, Kind::CouldNot);
    }

    #[test]
    fn numbers_and_ids_do_not_tell_causes_apart() {
        let same = |a: &str, b: &str| without_numbers(a) == without_numbers(b);
        assert!(same("took 12 ms at 10.0.0.1", "took 7300 ms at 172.16.0.254"));
        assert!(same("order 3fa85f64-5717-4562-b3fc-2c963f66afa6!", "order 9be11d20-88a1-4d3e-8f00-00aa11bb22cc!"));
        assert!(!same("step pay", "step play") && !same("deadbeef", "feedbeef"));
    }
}
