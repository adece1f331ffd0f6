//! JUnit XML as CI systems read it: one `testcase` a vector and repetition, named alike in every run. What is not as expected is a
//! failure, what could not be run an error, what was not run is skipped; attempts before one that was as expected are `flakyFailure`s, as
//! Maven Surefire writes them. The totals stand in the file's head, for which room is left until they are known.

use super::Summary;
use super::files::{About, Sink, Writer};
use super::kinds::{Kind, kind_of};
use crate::model::{Outcome, Vector, printable};
use quick_xml::Writer as Xml;
use quick_xml::events::{BytesStart, BytesText, Event};
use std::io::{Error, Result, SeekFrom, Write as _};

/// How much room the head has, in bytes: enough for the largest totals.
const HEAD: usize = 512;

#[derive(Default)]
pub(super) struct Junit {
    began: String,
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
}

impl Junit {
    fn head(&self, took_ms: u64) -> String {
        let seconds = took_ms as f64 / 1000.0;
        let totals = format!(
            "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{seconds:.3}\"",
            self.tests, self.failures, self.errors, self.skipped
        );
        // The schema wants a time without an offset.
        let began = self.began.get(..19).unwrap_or("1970-01-01T00:00:00");
        let head = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"tracejury\" tests=\"{}\" failures=\"{}\" errors=\"{}\" time=\"{seconds:.3}\">\n<testsuite name=\"tracejury\" timestamp=\"{began}\" {totals}",
            self.tests, self.failures, self.errors
        );
        // Between attributes and the end of a tag blanks mean nothing.
        format!("{head:<width$}>\n", width = HEAD - 2)
    }
}

impl Writer for Junit {
    fn begin(&mut self, out: &mut dyn Sink, about: &About) -> Result<()> {
        self.began.clone_from(&about.began);
        out.write_all(self.head(0).as_bytes())
    }

    fn outcome(&mut self, out: &mut dyn Sink, outcome: &Outcome) -> Result<()> {
        self.tests += 1;
        let seconds = outcome.execution_duration_ms.unwrap_or_default() as f64 / 1000.0;
        let name = outcome.full_name();
        let kind = kind_of(outcome);
        let element = match kind {
            Kind::AsExpected | Kind::Flaky => None,
            Kind::Unexpected => Some("failure"),
            Kind::CouldNot => Some("error"),
            Kind::NotRun => Some("skipped"),
        };
        match element {
            Some("failure") => self.failures += 1,
            Some("error") => self.errors += 1,
            Some(_) => self.skipped += 1,
            None => {}
        }
        case(out, outcome.at.as_deref(), &name, seconds, |xml| {
            if element == Some("skipped") {
                skipped(xml, &said(outcome))?;
            } else if let Some(element) = element {
                let kind = outcome
                    .classification
                    .as_ref()
                    .map(ToString::to_string)
                    .or_else(|| outcome.problem.as_ref().map(|p| p.kind.as_str().to_owned()));
                note(xml, element, kind.as_deref(), &said(outcome), &lines(outcome))?;
            }
            let element = if kind == Kind::Flaky { "flakyFailure" } else { "rerunFailure" };
            for attempt in &outcome.earlier {
                let kind = attempt.classification.as_ref().map_or("unexpected", |c| c.as_str());
                let session = attempt.session_id.as_ref().map_or_else(String::new, |id| format!("session {id}\n"));
                note(xml, element, Some(kind), &attempt.mismatch.join("; "), &session)?;
            }
            let session = session(outcome);
            if !session.is_empty() {
                xml.create_element("system-out").write_text_content(BytesText::new(&text_of(&session)))?;
            }
            Ok(())
        })
    }

    fn not_run(&mut self, out: &mut dyn Sink, vector: &Vector) -> Result<()> {
        self.tests += 1;
        self.skipped += 1;
        let at = vector.source.as_ref().map(|source| source.place());
        let name = vector.full_name();
        case(out, at.as_deref(), &name, 0.0, |xml| skipped(xml, "not run: the run had ended before its turn"))
    }

    fn end(&mut self, out: &mut dyn Sink, _: &Summary, took_ms: u64) -> Result<()> {
        out.write_all(b"</testsuite>\n</testsuites>\n")?;
        let head = self.head(took_ms);
        if head.len() != HEAD {
            return Err(Error::other("the totals do not fit"));
        }
        out.seek(SeekFrom::Start(0))?;
        out.write_all(head.as_bytes())?;
        out.flush()
    }
}

type Inner<'a> = Xml<&'a mut dyn Sink>;

fn case(out: &mut dyn Sink, at: Option<&str>, name: &str, seconds: f64, inside: impl FnOnce(&mut Inner<'_>) -> Result<()>) -> Result<()> {
    // The file without its line: a vector must not be another one because lines were added above it.
    let file = at.and_then(|at| at.rsplit_once(':')).map_or("tracejury", |(file, _)| file);
    let mut xml = Xml::new(out);
    let mut start = BytesStart::new("testcase");
    start.push_attribute(("name", text_of(name).as_str()));
    start.push_attribute(("classname", text_of(file).as_str()));
    start.push_attribute(("time", format!("{seconds:.3}").as_str()));
    let end = start.to_end().into_owned();
    xml.write_event(Event::Start(start.borrow()))?;
    inside(&mut xml)?;
    xml.write_event(Event::End(end))?;
    xml.get_mut().write_all(b"\n")
}

/// The oldest schema that is in use knows no attribute of it.
fn skipped(xml: &mut Inner<'_>, why: &str) -> Result<()> {
    xml.create_element("skipped").write_text_content(BytesText::new(&text_of(why))).map(drop)
}

fn note(xml: &mut Inner<'_>, element: &str, kind: Option<&str>, message: &str, text: &str) -> Result<()> {
    let mut start = BytesStart::new(element);
    start.push_attribute(("message", text_of(message).as_str()));
    if let Some(kind) = kind {
        start.push_attribute(("type", text_of(kind).as_str()));
    }
    if text.is_empty() {
        return xml.write_event(Event::Empty(start));
    }
    let end = start.to_end().into_owned();
    xml.write_event(Event::Start(start.borrow()))?;
    xml.write_event(Event::Text(BytesText::new(&text_of(text))))?;
    xml.write_event(Event::End(end))
}

/// In one line, what is the matter.
fn said(outcome: &Outcome) -> String {
    match (outcome.mismatch.as_slice(), &outcome.problem) {
        ([], Some(problem)) => problem.to_string(),
        (mismatch, _) => mismatch.join("; "),
    }
}

/// All that helps: where it was expected, the matched text, who said what.
fn lines(outcome: &Outcome) -> String {
    let mut lines: Vec<String> = Vec::new();
    for (i, mismatch) in outcome.mismatch.iter().enumerate() {
        let at = outcome.mismatch_at.get(i).map_or_else(String::new, |at| format!("{at}: "));
        lines.push(format!("{at}{mismatch}"));
    }
    lines.extend(outcome.problem.as_ref().map(ToString::to_string));
    lines.extend(outcome.fault.as_ref().map(|fault| format!("error: {}", fault.message)));
    for verdict in &outcome.verdicts {
        lines.push(format!(
            "{} says {} ({:.2}): {}",
            verdict.plugin,
            verdict.classification,
            verdict.confidence.get(),
            verdict.explanation
        ));
    }
    lines.join("\n")
}

fn session(outcome: &Outcome) -> String {
    let id = outcome.session_id.as_ref().map(|id| format!("session {id}"));
    let classified =
        outcome.classification.as_ref().map(|c| format!("{c}{}", outcome.reason.as_ref().map_or_else(String::new, |r| format!(" {r}"))));
    id.into_iter().chain(classified).collect::<Vec<_>>().join("\n")
}

/// A text that XML can hold, and a terminal that shows the file.
fn text_of(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n").replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Environment, Problem, ProblemKind, Vector};
    use proptest::prelude::*;
    use quick_xml::Reader;
    use std::io::Cursor;

    fn outcome(kind: usize, name: &str) -> Outcome {
        let outcome = Outcome::of(name.into(), "a1b2c3d4-e5f6-7890-abcd-ef1234567890".parse().unwrap(), Environment::Test);
        let problem = |kind| Some(Problem { kind, text: name.into() });
        match kind {
            0 => Outcome { expected: Some(true), ..outcome },
            1 => Outcome { expected: Some(false), mismatch: vec![name.into()], ..outcome },
            2 => Outcome { problem: problem(ProblemKind::Unreachable), ..outcome },
            3 => Outcome { problem: problem(ProblemKind::Interrupted), ..outcome },
            _ => Outcome { expected: Some(true), flaky: true, repetition: Some(2), ..outcome },
        }
    }

    /// How often each element is there, and the attributes of the suite.
    fn read(xml: &str) -> (std::collections::BTreeMap<String, usize>, Vec<String>) {
        let (mut reader, mut counts, mut totals) = (Reader::from_str(xml), std::collections::BTreeMap::new(), Vec::new());
        loop {
            match reader.read_event().unwrap() {
                Event::Start(tag) | Event::Empty(tag) => {
                    let name = String::from_utf8(tag.name().as_ref().to_vec()).unwrap();
                    if name == "testsuite" {
                        let value = |name: &str| tag.try_get_attribute(name).unwrap().unwrap().value;
                        let value = |name: &str| String::from_utf8(value(name).into_owned()).unwrap();
                        totals = ["tests", "failures", "errors", "skipped"].map(value).to_vec();
                    }
                    *counts.entry(name).or_default() += 1;
                }
                Event::Eof => return (counts, totals),
                _ => {}
            }
        }
    }

    proptest! {
        #[test]
        fn there_is_a_case_for_each_vector_and_the_totals_are_right(kinds in proptest::collection::vec((0_usize..6, "\\PC{0,12}|[<&\"'\\]\u{1b}\u{0}\u{fffe}]{0,6}"), 0..40)) {
            let (mut junit, mut out) = (Junit::default(), Cursor::new(Vec::new()));
            junit.begin(&mut out, &About { run: "r".into(), began: "2026-01-01T00:00:00Z".into(), vectors: kinds.len() }).unwrap();
            for (kind, name) in &kinds {
                if *kind == 5 {
                    let action = "a1b2c3d4-e5f6-7890-abcd-ef1234567890".parse().unwrap();
                    let (input, environment) = (serde_json::Map::new(), Environment::Test);
                    let vector = Vector { name: name.clone(), action, input, environment, tags: vec![], expect: None, repetition: None, source: None };
                    junit.not_run(&mut out, &vector).unwrap();
                } else {
                    junit.outcome(&mut out, &outcome(*kind, name)).unwrap();
                }
            }
            junit.end(&mut out, &Summary::default(), 1_234_567).unwrap();
            let (counts, totals) = read(std::str::from_utf8(out.get_ref()).unwrap());
            let of = |wanted: &[usize]| kinds.iter().filter(|(kind, _)| wanted.contains(kind)).count();
            let count = |name: &str| counts.get(name).copied().unwrap_or_default();
            prop_assert_eq!(count("testcase"), kinds.len());
            prop_assert_eq!((count("failure"), count("error"), count("skipped")), (of(&[1]), of(&[2]), of(&[3, 5])));
            prop_assert_eq!(totals, [kinds.len(), of(&[1]), of(&[2]), of(&[3, 5])].map(|n| n.to_string()).to_vec());
        }
    }
}
