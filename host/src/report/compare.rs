//! Two runs side by side: what fails only since, what is mended, what is flaky, whose confidence changed, what takes longer. Pure.

use super::human::plural;
use super::kinds::{Kind, kind_of};
use super::markdown::code;
use crate::model::{Outcome, printable};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;

/// By how much a confidence must differ to be told.
const CONFIDENCE: f64 = 0.1;
/// How much longer a vector must take to be told: by half, and by so many milliseconds, since polls are far between.
const SLOWER: f64 = 1.5;
const SLOWER_MS: u64 = 1_000;
/// How many vectors are listed under each heading.
const LISTED: usize = 50;

/// What is kept of one vector of a run: all its repetitions.
#[derive(Debug, Default, Clone)]
struct Seen {
    right: usize,
    wrong: usize,
    /// As expected only at another attempt.
    flaky: bool,
    said: String,
    confidence: Option<f64>,
    /// The sum and the count of the times it took.
    took: (u64, u64),
}

/// A vector by its file and its name: names may be the same in two files.
type Key = (String, String);
/// How many vectors have a name, and one of them.
type Names<'a> = HashMap<&'a str, (usize, &'a Key)>;

/// What is kept of a run.
#[derive(Debug, Default)]
pub struct Side(HashMap<Key, Seen>);

impl Side {
    /// Takes an outcome.
    pub fn add(&mut self, outcome: &Outcome) {
        let file = outcome.at.as_deref().and_then(|at| at.rsplit_once(':')).map_or_else(String::new, |(file, _)| file.to_owned());
        let seen = self.0.entry((file, outcome.vector.clone())).or_default();
        let wrong = matches!(kind_of(outcome), Kind::Unexpected | Kind::CouldNot | Kind::NotRun);
        seen.right += usize::from(!wrong);
        seen.wrong += usize::from(wrong);
        seen.flaky |= outcome.flaky;
        // Of several repetitions the one that went wrong says more.
        if wrong || seen.said.is_empty() {
            seen.said = super::causes::title(outcome);
            seen.confidence = outcome.confidence.map(crate::model::Confidence::get);
        }
        if let Some(ms) = outcome.execution_duration_ms {
            seen.took = (seen.took.0 + ms, seen.took.1 + 1);
        }
    }
}

impl Side {
    /// Takes a vector that has no outcome.
    pub fn unfinished(&mut self, name: &str) {
        let seen = self.0.entry((String::new(), name.to_owned())).or_default();
        seen.wrong += 1;
        "not finished".clone_into(&mut seen.said);
    }
}

impl Side {
    /// How many vectors have each name, and one of them.
    fn names(&self) -> Names<'_> {
        let mut names: Names<'_> = HashMap::new();
        for key in self.0.keys() {
            names.entry(key.1.as_str()).or_insert((0, key)).0 += 1;
        }
        names
    }

    /// The same vector here: by file and name, else by its name, where in both runs there is only one of it. Files may be named otherwise
    /// from another folder.
    fn find(&self, key: &Key, here: &Names<'_>, there: &Names<'_>) -> Option<(&Key, &Seen)> {
        let only = |names: &Names<'_>| names.get(key.1.as_str()).filter(|(count, _)| *count == 1).map(|(_, key)| (*key).clone());
        self.0.get_key_value(key).or_else(|| only(there).and(only(here)).and_then(|own| self.0.get_key_value(&own)))
    }
}

/// A vector's name, with its file where the name alone does not tell it.
fn shown((file, name): &Key, names: &Names<'_>) -> String {
    if names.get(name.as_str()).is_some_and(|(count, _)| *count == 1) || file.is_empty() {
        name.clone()
    } else {
        format!("{name} ({file})")
    }
}

impl Seen {
    fn is_flaky(&self) -> bool {
        self.flaky || (self.right > 0 && self.wrong > 0)
    }

    fn failed(&self) -> bool {
        self.wrong > 0 && self.right == 0
    }

    fn average_ms(&self) -> Option<u64> {
        self.took.0.checked_div(self.took.1)
    }
}

/// What differs; schema 1.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    schema: u32,
    before: String,
    after: String,
    /// How many vectors both have.
    both: usize,
    new_failures: BTreeMap<String, [String; 2]>,
    fixed: BTreeMap<String, [String; 2]>,
    still_failing: BTreeMap<String, [String; 2]>,
    flaky: Vec<String>,
    confidence: BTreeMap<String, [Option<f64>; 2]>,
    slower: BTreeMap<String, [u64; 2]>,
    only_before: Vec<String>,
    only_after: Vec<String>,
}

impl Comparison {
    /// Compares two runs.
    #[must_use]
    pub fn of(before: (&str, &Side), after: (&str, &Side)) -> Self {
        let mut found = Self { schema: 1, before: before.0.to_owned(), after: after.0.to_owned(), ..Self::default() };
        let ((_, then), (_, now)) = (before, after);
        let (names_then, names_now) = (then.names(), now.names());
        let mut met = HashSet::new();
        for (key, new) in &now.0 {
            let name = &shown(key, &names_now);
            if new.is_flaky() {
                found.flaky.push(name.clone());
            }
            let Some((same, old)) = then.find(key, &names_then, &names_now) else {
                found.only_after.push(name.clone());
                if new.failed() {
                    found.new_failures.insert(name.clone(), ["–".to_owned(), new.said.clone()]);
                }
                continue;
            };
            found.both += 1;
            met.insert(same);
            let said = [old.said.clone(), new.said.clone()];
            match (old.failed(), new.failed()) {
                (false, true) => _ = found.new_failures.insert(name.clone(), said),
                (true, false) => _ = found.fixed.insert(name.clone(), said),
                (true, true) => _ = found.still_failing.insert(name.clone(), said),
                (false, false) => {}
            }
            let changed = match (old.confidence, new.confidence) {
                (Some(a), Some(b)) => (a - b).abs() >= CONFIDENCE,
                _ => false,
            };
            if changed {
                found.confidence.insert(name.clone(), [old.confidence, new.confidence]);
            }
            if let (Some(a), Some(b)) = (old.average_ms(), new.average_ms())
                && b as f64 >= a as f64 * SLOWER
                && b >= a + SLOWER_MS
            {
                found.slower.insert(name.clone(), [a, b]);
            }
        }
        found.only_before = then.0.keys().filter(|key| !met.contains(key)).map(|key| shown(key, &names_then)).collect();
        for list in [&mut found.flaky, &mut found.only_before, &mut found.only_after] {
            list.sort();
        }
        found
    }

    /// Whether something fails that did not.
    #[must_use]
    pub fn is_worse(&self) -> bool {
        !self.new_failures.is_empty()
    }

    /// As one line of JSON.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// For people on a terminal.
    #[must_use]
    pub fn human(&self) -> String {
        let mut text = format!("{} → {}: {}\n", self.before, self.after, self.in_short());
        for (title, rows) in self.sections() {
            let _ = writeln!(text, "\n{title} ({})", rows.len());
            for row in rows.iter().take(LISTED) {
                let _ = writeln!(text, "    {}", printable(row));
            }
            if rows.len() > LISTED {
                let _ = writeln!(text, "    and {} more", rows.len() - LISTED);
            }
        }
        text
    }

    /// For a pull request.
    #[must_use]
    pub fn markdown(&self) -> String {
        let sign = if self.is_worse() { "❌" } else { "✅" };
        let mut text = format!("### {sign} tracejury: {}\n\n{} → {}\n", self.in_short(), code(&self.before), code(&self.after));
        for (title, rows) in self.sections() {
            let _ = writeln!(text, "\n<details{}><summary>{title} ({})</summary>\n", if title == NEW { " open" } else { "" }, rows.len());
            for row in rows.iter().take(LISTED) {
                let _ = writeln!(text, "- {}", code(row));
            }
            if rows.len() > LISTED {
                let _ = writeln!(text, "- and {} more", rows.len() - LISTED);
            }
            text.push_str("\n</details>\n");
        }
        text
    }

    fn in_short(&self) -> String {
        format!(
            "{} in both: {}, {} fixed, {} still failing",
            plural(self.both, "vector"),
            plural(self.new_failures.len(), "new failure"),
            self.fixed.len(),
            self.still_failing.len()
        )
    }

    /// What there is to be told, the worst last: next to the prompt.
    fn sections(&self) -> Vec<(&'static str, Vec<String>)> {
        let changed = |map: &BTreeMap<String, [String; 2]>| {
            let row =
                |(name, [a, b]): (&String, &[String; 2])| if a == b { format!("{name}: {a}") } else { format!("{name}: {a} → {b}") };
            map.iter().map(row).collect::<Vec<_>>()
        };
        let two = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"));
        let sections = [
            ("Only in the first", self.only_before.clone()),
            ("Only in the second", self.only_after.clone()),
            ("Slower", self.slower.iter().map(|(name, [a, b])| format!("{name}: {a} ms → {b} ms")).collect()),
            ("Confidence changed", self.confidence.iter().map(|(name, [a, b])| format!("{name}: {} → {}", two(*a), two(*b))).collect()),
            ("Flaky", self.flaky.clone()),
            ("Still failing", changed(&self.still_failing)),
            ("Fixed", changed(&self.fixed)),
            (NEW, changed(&self.new_failures)),
        ];
        sections.into_iter().filter(|(_, rows)| !rows.is_empty()).collect()
    }
}

const NEW: &str = "New failures";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Classification, Confidence, Environment, Status};

    fn outcome(name: &str, expected: bool, ms: u64, confidence: f64) -> Outcome {
        let outcome = Outcome::of(name.into(), "a1b2c3d4-e5f6-7890-abcd-ef1234567890".parse().unwrap(), Environment::Test);
        let classification = (!expected).then(|| Classification::EXTERNAL.parse().unwrap());
        Outcome {
            expected: Some(expected),
            status: Some(Status(if expected { "COMPLETED" } else { "FAILED" }.into())),
            classification,
            confidence: Confidence::new(confidence).ok(),
            execution_duration_ms: Some(ms),
            ..outcome
        }
    }

    fn side(outcomes: &[Outcome]) -> Side {
        let mut side = Side::default();
        outcomes.iter().for_each(|outcome| side.add(outcome));
        side
    }

    #[test]
    fn what_changed_is_told_by_its_kind() {
        let then = side(&[
            outcome("breaks", true, 100, 0.9),
            outcome("mends", false, 100, 0.9),
            outcome("stays", false, 100, 0.95),
            outcome("slow", true, 1_000, 0.9),
            outcome("gone", true, 1, 0.9),
        ]);
        let now = side(&[
            outcome("breaks", false, 120, 0.9),
            outcome("mends", true, 100, 0.9),
            outcome("stays", false, 100, 0.7),
            outcome("slow", true, 2_500, 0.9),
            outcome("new", false, 1, 0.9),
            outcome("twice", true, 1, 0.9),
            outcome("twice", false, 1, 0.9),
        ]);
        let found = Comparison::of(("a", &then), ("b", &now));
        assert!(found.is_worse());
        let titles: Vec<_> = found.sections().into_iter().map(|(title, rows)| format!("{title}: {}", rows.join("|"))).collect();
        assert_eq!(
            titles,
            [
                "Only in the first: gone",
                "Only in the second: new|twice",
                "Slower: slow: 1000 ms → 2500 ms",
                "Confidence changed: stays: 0.95 → 0.70",
                "Flaky: twice",
                "Still failing: stays: EXTERNAL_DEPENDENCY_OUTAGE",
                "Fixed: mends: EXTERNAL_DEPENDENCY_OUTAGE → COMPLETED",
                "New failures: breaks: COMPLETED → EXTERNAL_DEPENDENCY_OUTAGE|new: – → EXTERNAL_DEPENDENCY_OUTAGE",
            ]
        );
        let in_file = |file: &str, expected| Outcome { at: Some(format!("{file}:1")), ..outcome("v#1", expected, 1, 0.9) };
        let twice = side(&[in_file("x.json", true), in_file("y.json", false)]);
        let same = Comparison::of(("a", &twice), ("b", &twice));
        assert_eq!((same.both, same.flaky.len(), same.still_failing.len()), (2, 0, 1), "one name in two files is two vectors");
        assert_eq!(same.sections()[0].1, ["v#1 (y.json): EXTERNAL_DEPENDENCY_OUTAGE"]);
        assert!(found.markdown().contains("- `breaks: COMPLETED → EXTERNAL_DEPENDENCY_OUTAGE`\n"));
        assert!(!Comparison::of(("a", &then), ("a", &then)).is_worse());
    }
}
