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
            if let Some(element) = element {
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
            let about = [("system-out", session(outcome))];
            for (name, text) in about.iter().filter(|(_, text)| !text.is_empty()) {
                xml.create_element(*name).write_text_content(BytesText::new(&text_of(text)))?;
            }
            Ok(())
        })
    }

    fn not_run(&mut self, out: &mut dyn Sink, vector: &Vector) -> Result<()> {
        self.tests += 1;
        self.skipped += 1;
        let at = vector.source.as_ref().map(|source| source.place());
        let name = vector.full_name();
        case(out, at.as_deref(), &name, 0.0, |xml| note(xml, "skipped", None, "not run: the run had ended before its turn", ""))
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
    let (file, line) = at.and_then(|at| at.rsplit_once(':')).unwrap_or(("tracejury", ""));
    let mut xml = Xml::new(out);
    let mut start = BytesStart::new("testcase");
    start.push_attribute(("name", text_of(name).as_str()));
    start.push_attribute(("classname", text_of(file).as_str()));
    start.push_attribute(("time", format!("{seconds:.3}").as_str()));
    if !line.is_empty() {
        start.push_attribute(("file", text_of(file).as_str()));
        start.push_attribute(("line", line));
    }
    let end = start.to_end().into_owned();
    xml.write_event(Event::Start(start.borrow()))?;
    inside(&mut xml)?;
    xml.write_event(Event::End(end))?;
    xml.get_mut().write_all(b"\n")
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
