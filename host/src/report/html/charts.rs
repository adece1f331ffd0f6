//! Charts and tables of the page. Each says in words and numbers what it shows by length or colour.

use super::gathered::{Course, Took, class_of, phases};
use super::seconds;
use crate::model::{Outcome, printable};
use maud::{Markup, html};
use std::collections::{BTreeMap, BTreeSet};

/// How many actions and sessions are listed.
const ACTIONS: usize = 15;
const SESSIONS: usize = 60;
/// The size of the chart of sessions over time.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 160.0;

/// How executions ended.
pub(super) fn ends(ends: &BTreeMap<String, usize>) -> Markup {
    let mut rows: Vec<_> = ends.iter().collect();
    rows.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let total: usize = ends.values().sum();
    html! {
        div { h3 { "How executions ended" }
            table.bars { tbody { @for (name, count) in rows { (bar(&printable(name), *count, total, class_of(name))) } } }
        }
    }
}

/// Outcomes by tenths of confidence.
pub(super) fn confidence(tenths: &[usize; 10]) -> Markup {
    let most = tenths.iter().copied().max().unwrap_or_default();
    html! {
        div { h3 { "Confidence of failures" }
            @if most == 0 { p { "No execution failed." } } @else {
                table.bars { tbody { @for (i, count) in tenths.iter().enumerate().rev() {
                    (bar(&format!("{:.1}–{:.1}", i as f64 / 10.0, (i + 1) as f64 / 10.0), *count, most, "external"))
                } } }
            }
        }
    }
}

fn bar(name: &str, count: usize, of: usize, class: &str) -> Markup {
    let percent = 100.0 * count as f64 / of.max(1) as f64;
    html! { tr { th scope="row" { (name) } td.n { (count) } td.track { @if count > 0 { span.fill.(class) style=(format!("width:{percent:.1}%")) {} } } } }
}

/// How many sessions were queued, running and throttled, on average in each part of the run's time.
pub(super) fn course(course: &Course) -> Markup {
    if course.parts.is_empty() {
        return html! { p { "No session was under way." } };
    }
    let width = course.width() as f64;
    let stacked: Vec<[f64; 3]> =
        course.parts.iter().map(|part| [part.running, part.throttled, part.queued].map(|ms| ms as f64 / width)).collect();
    let most = stacked.iter().map(|parts| parts.iter().sum::<f64>()).fold(1.0_f64, f64::max);
    let step = WIDTH / stacked.len() as f64;
    let columns = stacked.iter().enumerate().flat_map(|(i, parts)| {
        let mut top = HEIGHT;
        ["running", "throttled", "queued"].iter().zip(parts).map(move |(class, value)| {
            let height = value / most * HEIGHT;
            top -= height;
            (*class, i as f64 * step, top, height)
        })
    });
    let polls: u64 = course.parts.iter().map(|part| part.polls).sum();
    let took = seconds(course.parts.len() as u64 * course.width());
    let label = format!("Sessions under way over {took}: {most:.0} at most, {polls} polls");
    html! {
        figure {
            svg viewBox=(format!("0 0 {WIDTH} {}", HEIGHT + 18.0)) role="img" aria-label=(label) preserveAspectRatio="none" {
                @for (class, x, y, height) in columns.filter(|(.., height)| *height > 0.05) {
                    rect class=(class) x=(format!("{x:.1}")) y=(format!("{y:.1}")) width=(format!("{:.1}", (step - 0.4).max(0.5))) height=(format!("{height:.1}")) {}
                }
                line x1="0" x2=(WIDTH) y1=(HEIGHT) y2=(HEIGHT) stroke="currentColor" {}
            }
            figcaption { (label) ". " (legend()) }
        }
    }
}

fn legend() -> Markup {
    html! { @for (class, word) in [("queued", "queued"), ("running", "running"), ("throttled", "throttled"), ("polled", "a poll")] { span.key { i.fill.(class) {} " " (word) } " " } }
}

/// The sessions of the vectors that are shown, each on a line of its own.
pub(super) fn sessions(shown: &[Outcome]) -> Markup {
    let mut timed: Vec<_> = shown.iter().filter(|outcome| outcome.timeline.ended > 0).collect();
    timed.sort_by_key(|outcome| outcome.timeline.begun);
    let end = timed.iter().map(|outcome| outcome.timeline.ended).max().unwrap_or(1).max(1);
    let style = |from: u64, to: u64| {
        format!("left:{:.2}%;width:{:.2}%", 100.0 * from as f64 / end as f64, 100.0 * to.saturating_sub(from) as f64 / end as f64)
    };
    html! {
        @if !timed.is_empty() {
            details { summary { "Each session" }
                ol.sessions { @for outcome in timed.iter().take(SESSIONS) {
                    @let line = &outcome.timeline;
                    @let (throttled, running) = phases(outcome);
                    li {
                        span.name { (printable(&outcome.full_name())) }
                        span.track role="img" aria-label=(format!("begun at {}, ended at {}", seconds(line.begun), seconds(line.ended))) {
                            span.fill.queued style=(style(line.begun, line.submitted.unwrap_or(line.ended))) {}
                            @for (from, to) in &running { span.fill.running style=(style(*from, *to)) {} }
                            @for (from, to) in &throttled { span.fill.throttled style=(style(*from, *to)) {} }
                            @for (at, _) in &line.polls { span.tick style=(format!("left:{:.2}%", 100.0 * *at as f64 / end as f64)) {} }
                        }
                        span.n.muted { (seconds(line.ended.saturating_sub(line.begun))) }
                    }
                } }
                @if timed.len() > SESSIONS { p.muted { "And " (timed.len() - SESSIONS) " more." } }
            }
        }
    }
}

/// How often two plugins that both spoke said the same.
pub(super) fn agreement(agreement: &BTreeMap<(String, String), (usize, usize)>) -> Markup {
    let plugins: BTreeSet<&str> = agreement.keys().flat_map(|(a, b)| [a.as_str(), b.as_str()]).collect();
    let of = |a: &str, b: &str| {
        let key = if a < b { (a.to_owned(), b.to_owned()) } else { (b.to_owned(), a.to_owned()) };
        agreement.get(&key).map_or_else(|| "–".to_owned(), |(both, same)| format!("{same} of {both}"))
    };
    html! {
        @if plugins.is_empty() { p { "On no failure two plugins spoke." } } @else {
            div.scroll { table {
                caption { "How often two plugins that both spoke said the same" }
                thead { tr { th scope="col" { "" } @for name in &plugins { th.n scope="col" { (printable(name)) } } } }
                tbody { @for a in &plugins { tr { th scope="row" { (printable(a)) } @for b in &plugins { td.n { @if a == b { "" } @else { (of(a, b)) } } } } } }
            } }
        }
    }
}

/// The actions whose executions took longest.
pub(super) fn actions(actions: &BTreeMap<String, Took>) -> Markup {
    let mut rows: Vec<_> = actions.iter().collect();
    rows.sort_by_key(|(_, took)| std::cmp::Reverse(took.longest));
    html! {
        @if rows.is_empty() { p { "No execution was timed." } } @else {
            div.scroll { table {
                thead { tr { th scope="col" { "Action and environment" } th.n scope="col" { "Executions" } th.n scope="col" { "On average" } th.n scope="col" { "Longest" } } }
                tbody { @for (id, took) in rows.iter().take(ACTIONS) { tr {
                    th scope="row" { code { (id) } } td.n { (took.count) } td.n { (seconds(took.sum / took.count.max(1) as u64)) } td.n { (seconds(took.longest)) }
                } } }
            } }
        }
    }
}
