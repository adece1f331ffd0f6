//! The figures as one page that needs nothing else: no script, no network. It knows markup; `maud` escapes every text, so that what stands
//! in a trace stays text.

use super::figure::{summary, three};
use super::{Row, Scores};
use crate::model::printable;
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8886; --good: #2a7d4f; --bad: #b3382c; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; color: GrayText; padding-bottom: .4rem; }
th, td { text-align: left; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.figures { display: flex; flex-wrap: wrap; gap: .8rem; padding: 0; list-style: none; }
.figures li { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .9rem; } .figures b { display: block; font-size: 1.3rem; }
.right { font-weight: 600; } code { font-size: .85em; } .scroll { overflow-x: auto; }
svg { max-width: 26rem; width: 100%; height: auto; } svg text { font: 11px system-ui, sans-serif; fill: currentColor; }
@media print { body { margin: 0; max-width: none; } }
";

/// The page: a title, the figures, and µs per trace.
#[must_use]
pub fn page(title: &str, scores: &Scores, micros: f64) -> String {
    let figures = summary(scores).into_iter().chain([("µs per trace", format!("{micros:.1}"))]);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "tracejury eval: " (printable(title)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { "How right the classifiers are: " (printable(title)) }
                    ul.figures { @for (name, value) in figures { li { b { (value) } (name) } } }
                    h2 { "What was so, and what was said" }
                    (confusion(scores))
                    h2 { "Classifications" }
                    (rows("Each classification", &scores.classifications))
                    h2 { "How sure, and how often right" }
                    (reliability(scores))
                    @if !scores.reasons.is_empty() {
                        h2 { "Reasons" }
                        (rows("Each reason that occurs", &scores.reasons))
                    }
                    h2 { "The most confident mistakes" }
                    (mistakes(scores))
                }
            }
        }
    };
    page.into_string()
}

fn rows(caption: &str, rows: &[Row]) -> Markup {
    html! {
        div.scroll { table {
            caption { (caption) }
            thead { tr { th scope="col" { "Name" } th.n scope="col" { "Records" } th.n scope="col" { "Precision" } th.n scope="col" { "Recall" } th.n scope="col" { "F1" } } }
            tbody { @for row in rows { tr { th scope="row" { (printable(&row.name)) } td.n { (row.records) } td.n { (three(row.precision)) } td.n { (three(row.recall)) } td.n { (three(row.f1)) } } } }
        } }
    }
}

fn confusion(scores: &Scores) -> Markup {
    let names: Vec<_> = scores.classifications.iter().map(|row| row.name.as_str()).collect();
    let count = |was: &str, said: &str| scores.confusion.iter().find(|(a, b, _)| a == was && b == said).map_or(0, |(_, _, count)| *count);
    html! {
        div.scroll { table {
            caption { "Rows: what was so. Columns: what was said." }
            thead { tr { th scope="col" { "" } @for name in &names { th.n scope="col" { (printable(name)) } } } }
            tbody { @for was in &names { tr { th scope="row" { (printable(was)) } @for said in &names { td.n.right[was == said] { (count(was, said)) } } } } }
        } }
    }
}

fn reliability(scores: &Scores) -> Markup {
    let place = |value: f64| format!("{:.1}", 20.0 + value * 200.0);
    let up = |value: f64| format!("{:.1}", 220.0 - value * 200.0);
    html! {
        div.scroll { table {
            caption { "Confidences by tenths" }
            thead { tr { th scope="col" { "Confidence" } th.n scope="col" { "Outcomes" } th.n scope="col" { "Said on average" } th.n scope="col" { "Right" } } }
            tbody { @for bin in &scores.reliability { tr { th scope="row" { (format!("{:.1}–{:.1}", bin.from, bin.from + 0.1)) } td.n { (bin.count) } td.n { (three(bin.said)) } td.n { (three(bin.right)) } } } }
        } }
        svg viewBox="0 0 240 240" role="img" aria-label="Share that was right by confidence; on the line they are the same" {
            line x1="20" y1="220" x2="220" y2="20" stroke="currentColor" stroke-dasharray="4 4" opacity="0.5" {}
            rect x="20" y="20" width="200" height="200" fill="none" stroke="currentColor" opacity="0.4" {}
            @for bin in &scores.reliability { circle cx=(place(bin.said)) cy=(up(bin.right)) r=(format!("{:.1}", 3.0 + (bin.count as f64).sqrt() / 3.0)) fill="var(--good)" opacity="0.8" {} }
            text x="150" y="236" { "confidence" } text x="24" y="14" { "right" }
        }
    }
}

fn mistakes(scores: &Scores) -> Markup {
    if scores.mistakes.is_empty() {
        return html! { p { "There is none." } };
    }
    html! {
        div.scroll { table {
            thead { tr { th scope="col" { "Record" } th scope="col" { "Was" } th scope="col" { "Said" } th.n scope="col" { "Confidence" } th scope="col" { "By" } th scope="col" { "Because of" } } }
            tbody { @for m in &scores.mistakes { tr { th scope="row" { (printable(&m.id)) } td { (printable(&m.was)) } td { (printable(&m.said)) } td.n { (format!("{:.2}", m.confidence)) } td { (printable(&m.by)) } td { code { (printable(&m.text)) } } } } }
        } }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Judged, Truth};
    use super::*;

    #[test]
    fn what_stands_in_a_trace_stays_text() {
        let hostile = "<script>alert(1)</script><img src=x onerror=y>\u{1b}[2J";
        let truth = Truth { classification: "X".parse().unwrap(), reason: Some("r".into()), hard: false };
        let judged = Judged {
            id: hostile.into(),
            source: "s".into(),
            truth,
            said: "Y".parse().unwrap(),
            reason: None,
            confidence: Some(0.7),
            by: "p/r".into(),
            text: hostile.into(),
            each: Vec::new(),
        };
        let page = page(hostile, &Scores::of(&[judged]), 1.0);
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains('\u{1b}'), "{page}");
        assert!(page.contains("&lt;script&gt;"));
        for outside in ["http://", "https://", "src=\"", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}
