//! The run as one page that needs nothing else: no script, no network. It knows markup; `maud` escapes every text, so that what stands
//! in a trace stays text, and `printable` takes the escapes out that a terminal would obey.

mod charts;
mod gathered;
mod vector;

use super::Summary;
use super::files::{About, Sink, Writer};
use super::human::plural;
use super::kinds::{Kind, kind_of};
use crate::model::{Outcome, Vector, printable};
use gathered::Gathered;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::io::Result;

const STYLE: &str = include_str!("html/style.css");
/// Nothing is fetched and nothing runs, whatever stands in the page.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";
/// How many causes, actions and not-run vectors are listed.
const LISTED: usize = 50;

/// The page.
#[derive(Default)]
pub(super) struct Page {
    about: Option<About>,
    gathered: Gathered,
    not_run: Vec<String>,
}

impl Writer for Page {
    fn begin(&mut self, _: &mut dyn Sink, about: &About) -> Result<()> {
        self.about = Some(about.clone());
        Ok(())
    }

    fn outcome(&mut self, _: &mut dyn Sink, outcome: &Outcome) -> Result<()> {
        self.gathered.add(outcome);
        Ok(())
    }

    fn not_run(&mut self, _: &mut dyn Sink, vector: &Vector) -> Result<()> {
        *self.gathered.kinds.entry(Kind::NotRun).or_default() += 1;
        if self.not_run.len() < LISTED {
            self.not_run.push(vector.full_name());
        }
        Ok(())
    }

    fn end(&mut self, out: &mut dyn Sink, _: &Summary, took_ms: u64) -> Result<()> {
        out.write_all(self.page(took_ms).into_string().as_bytes())?;
        out.flush()
    }
}

impl Page {
    fn page(&self, took_ms: u64) -> Markup {
        let (run, began) = self.about.as_ref().map_or(("", ""), |about| (about.run.as_str(), about.began.as_str()));
        let wrong: usize = [Kind::Unexpected, Kind::CouldNot].iter().filter_map(|kind| self.gathered.kinds.get(kind)).sum();
        let total: usize = self.gathered.kinds.values().sum();
        let verdict = if wrong == 0 { "all as expected".to_owned() } else { format!("{wrong} not as expected") };
        let sections = [
            ("causes", "Failures by cause"),
            ("ends", "Outcomes"),
            ("course", "Sessions over time"),
            ("plugins", "Plugins"),
            ("actions", "Slowest actions"),
            ("vectors", "Vectors"),
        ];
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (verdict) " – tracejury " (run) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    a.skip href="#main" { "Skip to the results" }
                    header {
                        h1 { "tracejury: " (plural(total, "vector")) ", " (verdict) }
                        p.muted { "Run " code { (run) } ", begun " time datetime=(began) { (began) } ", took " (seconds(took_ms)) }
                        nav aria-label="Sections" { ul { @for (id, name) in sections { li { a href=(format!("#{id}")) { (name) } } } } }
                    }
                    main id="main" {
                        ul.figures { @for (kind, count) in &self.gathered.kinds { li class=(class_of(*kind)) { b { (count) } span { (kind.mark()) " " (kind.as_str()) } } } }
                        (self.causes())
                        section id="ends" {
                            h2 { "Outcomes" }
                            div.pair {
                                (charts::ends(&self.gathered.ends))
                                (charts::confidence(&self.gathered.confidence))
                            }
                        }
                        section id="course" { h2 { "Sessions over time" } (charts::course(&self.gathered.course)) (charts::sessions(&self.gathered.shown)) }
                        section id="plugins" { h2 { "Plugins" } (charts::agreement(&self.gathered.agreement)) }
                        section id="actions" { h2 { "Slowest actions" } (charts::actions(&self.gathered.actions)) }
                        (self.vectors())
                    }
                }
            }
        }
    }

    fn causes(&self) -> Markup {
        let failures = self.gathered.causes.failures();
        html! {
            section id="causes" {
                h2 { "Failures by cause" }
                @if failures.is_empty() { p { "There is none." } }
                ol.causes { @for cause in failures.iter().take(LISTED) {
                    li class=(class_of(cause.kind)) {
                        h3 { (cause.kind.mark()) " " (plural(cause.count, "vector")) ": " (cause.title) }
                        p.muted { (cause.vectors()) }
                        ul { @for line in &cause.lines { li { (line) } } }
                        @if let Some(excerpt) = &cause.excerpt { pre { (excerpt) } }
                        @if !cause.next.is_empty() { p { strong { "Next: " } (cause.next) } }
                    }
                } }
                @if failures.len() > LISTED { p { "And " (plural(failures.len() - LISTED, "cause")) " more." } }
            }
        }
    }

    fn vectors(&self) -> Markup {
        let mut shown: Vec<_> = self.gathered.shown.iter().collect();
        shown.sort_by(|a, b| kind_of(b).cmp(&kind_of(a)).then_with(|| a.full_name().cmp(&b.full_name())));
        html! {
            section id="vectors" {
                h2 { "Vectors" }
                p { input type="checkbox" id="only"; label for="only" { " Only those that are not as expected" } }
                @if self.gathered.hidden > 0 { p.muted { (self.gathered.hidden) " are not shown here, those as expected first of all; the JSON report has them all." } }
                @for outcome in shown { (vector::details(outcome)) }
                @if !self.not_run.is_empty() {
                    h3 { "Not run" }
                    ul { @for name in &self.not_run { li { (printable(name)) } } }
                }
            }
        }
    }
}

fn class_of(kind: Kind) -> &'static str {
    match kind {
        Kind::AsExpected => "good",
        Kind::Flaky | Kind::NotRun => "unknown",
        Kind::CouldNot => "problem",
        Kind::Unexpected => "internal",
    }
}

/// A time for people.
fn seconds(ms: u64) -> String {
    if ms < 1_000 { format!("{ms} ms") } else { format!("{:.1} s", ms as f64 / 1_000.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Classification, Confidence, Environment, Evidence, Fault, StepLine, VerdictLine};

    #[test]
    fn what_stands_in_a_trace_stays_text() {
        let hostile = "<script>alert(1)</script><img src=x onerror=y> \" onload=\"z \u{1b}[2J";
        let mut outcome = Outcome::of(hostile.into(), "a1b2c3d4-e5f6-7890-abcd-ef1234567890".parse().unwrap(), Environment::Test);
        outcome.expected = Some(false);
        outcome.mismatch = vec![hostile.into()];
        outcome.classification = Some(Classification::INTERNAL.parse().unwrap());
        outcome.reason = Some(hostile.into());
        outcome.failing_step_name = Some(hostile.into());
        outcome.at = Some(hostile.into());
        outcome.fault = Some(Fault { message: hostile.into(), stack: Some(hostile.into()), code: None });
        outcome.steps = vec![StepLine { name: hostile.into(), timestamp: Some(hostile.into()), error: Some(hostile.into()) }];
        outcome.verdicts = vec![VerdictLine {
            plugin: hostile.into(),
            version: hostile.into(),
            digest: crate::model::Digest::of(b""),
            classification: Classification::INTERNAL.parse().unwrap(),
            confidence: Confidence::new(0.9).unwrap(),
            calibrated: None,
            reason: None,
            rule: Some(hostile.into()),
            explanation: hostile.into(),
            evidence: vec![Evidence { location: hostile.into(), start: 0, end: 1, text: "alert".into() }],
            attributes: Default::default(),
        }];
        let mut page = Page { not_run: vec![hostile.into()], ..Page::default() };
        page.gathered.add(&outcome);
        let page = page.page(1).into_string();
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("\" onload=") && !page.contains('\u{1b}'), "{page}");
        assert!(page.contains("<mark>alert</mark>"), "{page}");
        for outside in ["http://", "https://", "src=\"", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}
