//! One vector on the page: what was expected, the error with the matched text marked, its steps in time, each plugin's verdict and the
//! dissent.

use super::gathered::{class_of, end, phases};
use super::seconds;
use crate::model::{Evidence, Outcome, StepLine, VerdictLine, printable};
use crate::report::human::plural;
use crate::report::kinds::{Kind, kind_of};
use chrono::DateTime;
use maud::{Markup, html};

/// How much of an error is shown, in characters.
const ERROR: usize = 4_000;
/// How many steps are listed.
const STEPS: usize = 60;

pub(super) fn details(outcome: &Outcome) -> Markup {
    let kind = kind_of(outcome);
    let end = end(outcome);
    let confidence = outcome.confidence.map(|c| format!(" {:.2}", c.get())).unwrap_or_default();
    html! {
        details.vector.fine[matches!(kind, Kind::AsExpected | Kind::Flaky)] {
            summary {
                span.kind.(super::class_of(kind)) { (kind.mark()) " " (kind.as_str()) } " "
                b { (printable(&outcome.full_name())) } " "
                span.tag.(class_of(&end)) { (printable(&end)) (confidence) }
                @if let Some(reason) = &outcome.reason { " " span.muted { (printable(reason)) } }
            }
            dl {
                (term("Written at", outcome.at.as_deref()))
                (term("Session", outcome.session_id.as_ref().map(|id| id.as_str())))
                (term("Action", Some(&format!("{} in {}", outcome.action_id, outcome.environment_id))))
                (term("Took", outcome.execution_duration_ms.map(seconds).as_deref()))
                (term("Failing step", outcome.failing_step()))
                (term("Input", outcome.input_hash.as_ref().map(ToString::to_string).as_deref()))
                (term("Problem", outcome.problem.as_ref().map(ToString::to_string).as_deref()))
            }
            @if !outcome.mismatch.is_empty() {
                h4 { "Not as expected" }
                ul { @for (i, line) in outcome.mismatch.iter().enumerate() { li {
                    @if let Some(at) = outcome.mismatch_at.get(i) { code { (printable(at)) } " " }
                    (printable(line))
                } } }
            }
            @for (i, attempt) in outcome.earlier.iter().enumerate() {
                p { "Attempt " (i + 1) ": " (printable(&attempt.mismatch.join("; "))) }
            }
            @if let Some(fault) = &outcome.fault {
                h4 { "Error" }
                pre { (marked(&fault.message, outcome)) }
                @if let Some(stack) = &fault.stack { details { summary { "Stack" } pre { (marked(stack, outcome)) } } }
            }
            @if !outcome.steps.is_empty() { h4 { "Steps" } (steps(&outcome.steps)) }
            @if outcome.timeline.ended > 0 { (course(outcome)) }
            @if !outcome.verdicts.is_empty() { h4 { "Verdicts" } (verdicts(outcome)) }
            @if !outcome.abstained.is_empty() {
                h4 { "No verdict from" }
                ul { @for abstained in &outcome.abstained { li { (printable(&abstained.plugin)) ": " (printable(&abstained.why)) } } }
            }
        }
    }
}

fn term(name: &str, value: Option<&str>) -> Markup {
    html! { @if let Some(value) = value { div { dt { (name) } dd { (printable(value)) } } } }
}

/// A text in which what the deciding verdict rests on is marked.
fn marked(text: &str, outcome: &Outcome) -> Markup {
    let text: String = text.lines().map(printable).collect::<Vec<_>>().join("\n").chars().take(ERROR).collect();
    let evidence = outcome.verdicts.first().into_iter().flat_map(|verdict| &verdict.evidence);
    let found = evidence.map(|e| printable(&e.text)).filter(|e| !e.is_empty()).find_map(|e| text.find(&e).map(|at| at..at + e.len()));
    html! {
        @match found {
            Some(range) => {
                (text.get(..range.start).unwrap_or_default())
                mark { (text.get(range.clone()).unwrap_or_default()) }
                (text.get(range.end..).unwrap_or_default())
            }
            None => (text),
        }
    }
}

/// Steps as bars on the time between the first and the last, where the platform says when they ran.
fn steps(steps: &[StepLine]) -> Markup {
    let times: Vec<Option<i64>> =
        steps.iter().map(|step| DateTime::parse_from_rfc3339(step.timestamp.as_deref()?).ok().map(|at| at.timestamp_millis())).collect();
    let (first, last) = (times.iter().flatten().min().copied(), times.iter().flatten().max().copied());
    let span = first.zip(last).map(|(first, last)| (last - first).max(1));
    let place = |i: usize| {
        let at = times.get(i).copied().flatten()?;
        Some((at - first?, 100.0 * (at - first?) as f64 / span? as f64))
    };
    html! {
        ol.steps { @for (i, step) in steps.iter().enumerate().take(STEPS) {
            li.failed[step.error.is_some()] {
                span.name { @if step.error.is_some() { "✗ " } (printable(&step.name)) }
                @if let Some((ms, percent)) = place(i) {
                    span.track aria-hidden="true" { span.dot style=(format!("left:{percent:.1}%")) {} }
                    span.muted { "+" (ms) " ms" }
                }
                @if let Some(error) = &step.error { div.said { (printable(error)) } }
            }
        } }
        @if steps.len() > STEPS { p.muted { "And " (steps.len() - STEPS) " more." } }
    }
}

/// What the run did about it, in words.
fn course(outcome: &Outcome) -> Markup {
    let line = &outcome.timeline;
    let (throttled, _) = phases(outcome);
    let waited: u64 = throttled.iter().map(|(from, to)| to - from).sum();
    html! {
        p.muted {
            "Queued " (seconds(line.submitted.unwrap_or(line.ended).saturating_sub(line.begun)))
            @if let Some(submitted) = line.submitted { ", ran " (seconds(line.ended.saturating_sub(submitted))) ", " (plural(line.polls.len(), "poll")) }
            @if waited > 0 { ", throttled for " (seconds(waited)) }
            "."
        }
    }
}

fn verdicts(outcome: &Outcome) -> Markup {
    let dissents = |verdict: &VerdictLine| Some(&verdict.classification) != outcome.classification.as_ref();
    html! {
        div.scroll { table {
            thead { tr { th scope="col" { "Plugin" } th scope="col" { "Says" } th.n scope="col" { "Confidence" } th scope="col" { "Because" } } }
            tbody { @for verdict in &outcome.verdicts { tr {
                th scope="row" { (printable(&verdict.plugin)) " " span.muted { (printable(&verdict.version)) } }
                td {
                    (verdict.classification) @if let Some(reason) = &verdict.reason { " " (printable(reason)) }
                    @if dissents(verdict) { " " strong { "(dissent)" } }
                }
                td.n { (format!("{:.2}", verdict.confidence.get())) @if let Some(worth) = verdict.calibrated { " (worth " (format!("{:.2}", worth.get())) ")" } }
                td {
                    (printable(&verdict.explanation))
                    @if let Some(rule) = &verdict.rule { " " span.muted { "rule " (printable(rule)) } }
                    @for evidence in &verdict.evidence { (quoted(evidence)) }
                }
            } } }
        } }
    }
}

fn quoted(evidence: &Evidence) -> Markup {
    html! { div.said { code { (printable(&evidence.location)) } " " q { (printable(&evidence.text)) } } }
}
