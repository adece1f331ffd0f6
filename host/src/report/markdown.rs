//! The run in Markdown, for a pull request or a job's summary: the counts, and failures by cause. Whatever a trace says stands in code
//! spans, in which nothing is markup.

use super::Summary;
use super::causes::Causes;
use super::files::{About, Sink, Writer};
use super::human::plural;
use super::kinds::{Kind, kind_of};
use crate::model::{Outcome, Vector, printable};
use std::collections::BTreeMap;
use std::io::Result;

/// How many causes are listed.
const LISTED: usize = 25;

#[derive(Default)]
pub(super) struct Markdown {
    run: String,
    causes: Causes,
    kinds: BTreeMap<Kind, usize>,
}

impl Writer for Markdown {
    fn begin(&mut self, _: &mut dyn Sink, about: &About) -> Result<()> {
        self.run.clone_from(&about.run);
        Ok(())
    }

    fn outcome(&mut self, _: &mut dyn Sink, outcome: &Outcome) -> Result<()> {
        *self.kinds.entry(kind_of(outcome)).or_default() += 1;
        self.causes.count(outcome);
        Ok(())
    }

    fn not_run(&mut self, _: &mut dyn Sink, _: &Vector) -> Result<()> {
        *self.kinds.entry(Kind::NotRun).or_default() += 1;
        Ok(())
    }

    fn end(&mut self, out: &mut dyn Sink, summary: &Summary, took_ms: u64) -> Result<()> {
        let failures = self.causes.failures();
        let vectors: usize = self.kinds.values().sum();
        let sign = if failures.is_empty() { "✅" } else { "❌" };
        writeln!(out, "## {sign} tracejury: {} in {:.1} s\n", plural(vectors, "vector"), took_ms as f64 / 1000.0)?;
        writeln!(out, "| | vectors |\n|---|---:|")?;
        for (kind, count) in &self.kinds {
            writeln!(out, "| {} {} | {count} |", kind.mark(), kind.as_str())?;
        }
        let classified = summary.classified.iter().map(|(name, count)| (name.as_str(), *count));
        let rows: Vec<_> = Some(("COMPLETED", summary.completed)).filter(|(_, count)| *count > 0).into_iter().chain(classified).collect();
        if !rows.is_empty() {
            writeln!(out, "\n| outcome | vectors |\n|---|---:|")?;
            for (name, count) in rows {
                writeln!(out, "| {} | {count} |", code(name))?;
            }
        }
        if !failures.is_empty() {
            writeln!(out, "\n### Not as expected, by cause\n")?;
        }
        for cause in failures.iter().take(LISTED) {
            writeln!(out, "- **{}** {}: {}", plural(cause.count, "vector"), code(&cause.title), code(&cause.vectors()))?;
            for line in cause.lines.iter().chain(&cause.excerpt) {
                writeln!(out, "  - {}", code(line))?;
            }
            if !cause.next.is_empty() {
                writeln!(out, "  - next: {}", cause.next)?;
            }
        }
        if failures.len() > LISTED {
            writeln!(out, "- and {} more", plural(failures.len() - LISTED, "cause"))?;
        }
        writeln!(out, "\nRun {}; `tracejury runs show {}` shows each vector.\n", code(&self.run), self.run)?;
        out.flush()
    }
}

/// A text as a code span that it cannot end (CommonMark 0.31, 6.1), nor the cell of a table that it stands in.
pub(super) fn code(text: &str) -> String {
    let text = printable(text).replace('|', "¦");
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') || text.is_empty() { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_trace_says_stays_code() {
        assert_eq!(code("a"), "`a`");
        assert_eq!(code("`<b>`` | \u{1b}[2J"), format!("``` `<b>`` ¦ {} ```", printable("\u{1b}[2J")));
    }
}
