//! A plugin's tests: the examples of its rules, and its cases.

use super::cases::Cases;
use super::trial::{Heard, State, Trial};
use super::{WorkshopError, write_whole};
use crate::model::{Fault, Step, Trace};
use std::time::{Duration, Instant};
use tracejury_regex::pack::{Field, Rule};

/// What came of all tests of a plugin.
#[derive(Debug, Default)]
pub struct Tests {
    /// The tests, in the order of the file.
    pub tests: Vec<Tested>,
    /// Cases about which nothing is said.
    pub unsaid: usize,
    /// What was heard of every case, for those who count.
    pub(super) heard: Vec<Heard>,
}

/// What came of one test.
#[derive(Debug)]
pub struct Tested {
    /// Its name: a rule's example, or a case.
    pub name: String,
    /// Its file and line, where it has one.
    pub place: String,
    /// What is not as it should be.
    pub wrong: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

impl Tests {
    /// The tests that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Tested> {
        self.tests.iter().filter(|test| !test.wrong.is_empty())
    }
}

/// Runs the examples of a plugin's own rules, and cases.
#[must_use]
pub fn test(trial: &Trial, cases: &[Cases]) -> Tests {
    let mut tests = Tests::default();
    for rule in trial.own_rules() {
        let place = format!("{}:{}", trial.file.display(), rule.line);
        let examples = rule.matches.iter().map(|text| (text, true)).chain(rule.rejects.iter().map(|text| (text, false)));
        for (text, must_match) in examples {
            let started = Instant::now();
            let heard = trial.hear(&example(rule.example_field(), text));
            let wrong = wrong_of_example(rule, &heard, must_match);
            let word = if must_match { "matches" } else { "rejects" };
            tests.tests.push(Tested {
                name: format!("rule {}: {word} {text:?}", rule.id),
                place: place.clone(),
                wrong: wrong.into_iter().collect(),
                took: started.elapsed(),
            });
            tests.heard.push(heard);
        }
    }
    for case in cases.iter().flat_map(|cases| &cases.cases) {
        let started = Instant::now();
        let heard = trial.hear(&case.trace);
        let wrong = match &heard.answer {
            Ok(verdict) => case.differences(verdict.as_ref()).iter().map(|wrong| case.redactor.mask(wrong).0).collect(),
            Err(why) => vec![why.to_string()],
        };
        if case.expects_something() || !wrong.is_empty() {
            let took = started.elapsed();
            tests.tests.push(Tested { name: format!("case {}", case.name), place: case.place.clone(), wrong, took });
        } else {
            tests.unsaid += 1;
        }
        tests.heard.push(heard);
    }
    tests
}

/// Writes what the plugin says now into its cases.
///
/// # Errors
/// There is no file to write to, it cannot be written, or the plugin failed on a case: a failure is no snapshot.
pub fn update(trial: &Trial, cases: &Cases) -> Result<usize, WorkshopError> {
    let Some(file) = &cases.file else {
        return Err(WorkshopError::new("there is no file of cases to update", "name it: `tracejury plugin test F CASES --update`"));
    };
    let mut said = Vec::new();
    for case in &cases.cases {
        let wrong = |why: String| WorkshopError::new(format!("{}: {why}", case.place), "mend that first; nothing was written");
        let verdict = trial.answer(&case.trace).map_err(|why| wrong(why.to_string()))?;
        said.push(case.updated(verdict.as_ref()).map_err(wrong)?);
    }
    write_whole(file, cases.with_verdicts(&said).as_bytes()).map_err(|e| WorkshopError::file(file, &e))?;
    Ok(said.len())
}

fn wrong_of_example(rule: &Rule, heard: &Heard, must_match: bool) -> Option<String> {
    if let Err(why) = &heard.answer {
        return Some(why.to_string());
    }
    let own = heard.rules.iter().find(|heard| heard.id == rule.id)?;
    match (must_match, own.state) {
        (true, State::Speaks) | (false, State::Silent) => None,
        (true, _) => Some(format!("does not speak: needs {}", own.needs)),
        (false, _) => Some("matches all the same".to_owned()),
    }
}

/// A trace of one step that failed with this text.
pub(super) fn example(field: Field, text: &str) -> Trace {
    let mut step = Step { id: "example".to_owned(), ..Step::default() };
    let mut fault = Fault::default();
    match field {
        Field::Message | Field::Error | Field::Quoted | Field::Frames => text.clone_into(&mut fault.message),
        Field::Code => fault.code = Some(text.to_owned()),
        Field::Stack => fault.stack = Some(text.to_owned()),
        Field::Output => step.output = Some(text.to_owned()),
        Field::Input => step.input = Some(text.to_owned()),
    }
    step.error = Some(fault);
    Trace::made_up(vec![step])
}
