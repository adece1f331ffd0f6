//! The table and the summary, made to be read. Pure: texts in, text out. Whatever a trace or a plugin wrote is shown without
//! control characters.

use super::Summary;
use super::causes::Causes;
use super::kinds::{Kind, end_of, kind_of};
use super::next::{next_step, problem_step};
use crate::model::{Outcome, Status, printable};
use comfy_table::{ContentArrangement, Table, presets};
use std::fmt::Write as _;

/// How much of a matched text the table shows, in characters.
const MATCHED_CHARS: usize = 48;

/// One row a vector, in lines of at most `width` characters where that can be: the last columns make room first, since a
/// classification broken over two lines is harder to read than a missing excerpt.
pub(super) fn table(outcomes: &[Outcome], width: Option<u16>) -> String {
    let rows: Vec<_> = outcomes.iter().map(row).collect();
    let columns = columns_that_fit(&rows, width.map_or(usize::MAX, usize::from));
    let shown = rows.iter().map(|row| row.iter().take(columns).cloned().collect());
    plain_table(HEADER.get(..columns).unwrap_or(&HEADER), shown, width)
}

/// Cells in columns without lines between them.
pub(super) fn plain_table(header: &[&str], rows: impl Iterator<Item = Vec<String>>, width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(width.unwrap_or(u16::MAX));
    if !header.is_empty() {
        table.set_header(header.iter());
    }
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    // The library pads the last column: blanks at a line's end get in the way when a row is copied.
    table.to_string().lines().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{}", line.trim_end());
        text
    })
}

const HEADER: [&str; 7] = ["", "VECTOR", "OUTCOME", "CONF", "REASON", "FAILING STEP", "MATCHED"];

/// How many columns fit into a line unbroken; the first three always stay.
fn columns_that_fit(rows: &[[String; 7]], width: usize) -> usize {
    let widest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(HEADER.get(column).map(|header| header.len())).max().unwrap_or_default() + 2
    };
    (3..=HEADER.len()).rev().find(|columns| (0..*columns).map(widest).sum::<usize>() <= width).unwrap_or(3)
}

fn row(outcome: &Outcome) -> [String; 7] {
    let matched = outcome.matched().map(|text| text.chars().take(MATCHED_CHARS).collect::<String>());
    let or_dash = |text: Option<&str>| text.map_or_else(|| "–".to_owned(), printable);
    [
        mark(outcome).to_owned(),
        printable(&outcome.full_name()),
        printable(&end_of(outcome).unwrap_or_default()),
        outcome.confidence.map_or_else(|| "–".to_owned(), |c| format!("{:.2}", c.get())),
        or_dash(outcome.reason.as_deref()),
        or_dash(outcome.failing_step()),
        or_dash(matched.as_deref()),
    ]
}

/// A vector of which nothing was expected, a recorded trace, has no mark.
fn mark(outcome: &Outcome) -> &'static str {
    if outcome.expected.is_none() && outcome.problem.is_none() { " " } else { kind_of(outcome).mark() }
}

/// Failures by cause, the one that befell most vectors last, next to the prompt.
pub(super) fn causes(causes: &Causes) -> String {
    let mut text = String::new();
    for cause in causes.sorted() {
        let many = if cause.count > 1 { format!("{}, one cause: ", plural(cause.count, "vector")) } else { String::new() };
        let _ = writeln!(text, "\n{} {many}{}", cause.kind.mark(), cause.vectors());
        if !cause.title.is_empty() && cause.kind != Kind::AsExpected {
            let _ = writeln!(text, "    {}", cause.title);
        }
        for line in &cause.lines {
            let _ = writeln!(text, "    {line}");
        }
        if cause.kind >= Kind::CouldNot {
            if let Some(excerpt) = &cause.excerpt {
                let _ = writeln!(text, "    excerpt: {excerpt}");
            }
            if !cause.next.is_empty() {
                let _ = writeln!(text, "    next: {}", cause.next);
            }
        }
    }
    text
}

/// The counts, and what to do next.
pub(super) fn summary(summary: &Summary) -> String {
    let mut text = String::new();
    let flaky = if summary.flaky == 0 { String::new() } else { format!(", {} flaky", summary.flaky) };
    let not_run = if summary.not_run == 0 { String::new() } else { format!(", {} not run", summary.not_run) };
    let finished = if summary.vectors == 0 {
        "nothing was run".to_owned()
    } else if summary.unexpected == 0 && summary.undecided == 0 {
        "all as expected".to_owned()
    } else {
        format!("{} not as expected", summary.unexpected + summary.undecided)
    };
    let _ = writeln!(text, "{}: {finished}{flaky}{not_run}", plural(summary.vectors, "vector"));
    count(&mut text, summary.completed, Status::COMPLETED, "");
    for (classification, number) in &summary.classified {
        count(&mut text, *number, classification, next_step(classification));
    }
    for (kind, number) in &summary.problems {
        count(&mut text, *number, &format!("not finished: {kind}"), problem_step(kind));
    }
    for ((plugin, why), number) in &summary.abstained {
        let _ = writeln!(text, "abstained: {} from {}: {}", printable(plugin), plural(*number, "vector"), printable(why));
    }
    for (why, number) in &summary.waiting {
        let next = "`tracejury webhook flush` or the next run tries again";
        let _ = writeln!(text, "webhook: {} not delivered yet: {}; {next}", plural(*number, "outcome"), printable(why));
    }
    for (why, number) in &summary.dead {
        let next = "`tracejury webhook replay --dead` tries again";
        let _ = writeln!(text, "webhook: {}: {}; {next}", plural(*number, "dead letter"), printable(why));
    }
    for (why, number) in &summary.not_recorded {
        let _ = writeln!(text, "journal: {} not written down: {}", plural(*number, "outcome"), printable(why));
    }
    for (why, number) in &summary.not_audited {
        let _ = writeln!(text, "audit log: {} not written: {}", plural(*number, "entry"), printable(why));
    }
    text
}

fn count(text: &mut String, number: usize, what: &str, next: &str) {
    if number > 0 {
        let _ = writeln!(text, "{}", format!("{number:>5}  {what:<28} {next}").trim_end());
    }
}

/// A number of things, as `1 entry` and `2 entries`.
#[must_use]
pub fn plural(number: usize, what: &str) -> String {
    match (number, what.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'o', 'u']))) {
        (1, _) => format!("1 {what}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        _ => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Classification, Environment, Problem, ProblemKind};

    fn outcome(vector: &str) -> Outcome {
        Outcome::of(vector.into(), "a1b2c3d4-e5f6-7890-abcd-ef1234567890".parse().unwrap(), Environment::Test)
    }

    #[test]
    fn hostile_text_is_tamed() {
        let mut bad = outcome("\u{1b}[2Jv\r\n\u{202e}x");
        bad.failing_step_name = Some("\u{7}step\u{9b}31m".into());
        let text = table(&[bad], None);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }

    #[test]
    fn differences_and_problems_are_spelled_out() {
        let mut bad = outcome("a");
        bad.expected = Some(false);
        bad.mismatch = vec!["status: expected COMPLETED, got FAILED".into()];
        let mut stuck = outcome("b");
        stuck.problem = Some(Problem { kind: ProblemKind::Deadline, text: "no result after 3 s".into() });
        let mut all = Causes::default();
        all.count(&bad);
        all.count(&stuck);
        assert_eq!(
            causes(&all),
            "\n? b\n    not finished: deadline\n    deadline: no result after 3 s\n    next: it may still be running; raise api.deadline_ms\n\n✗ a\n    status: expected COMPLETED, got FAILED\n    next: compare what the action gave back with what the vector expects\n"
        );
    }

    #[test]
    fn narrow_terminals_lose_columns_not_words() {
        let mut failed = outcome("a vector");
        failed.classification = Some(Classification::EXTERNAL.parse().unwrap());
        failed.reason = Some("connection-refused".into());
        let header = |width| table(&[failed.clone()], Some(width)).lines().next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(header(120), "VECTOR OUTCOME CONF REASON FAILING STEP MATCHED");
        assert_eq!(header(70), "VECTOR OUTCOME CONF REASON");
        assert_eq!(header(45), "VECTOR OUTCOME");
        assert!(table(&[failed.clone()], Some(70)).contains(Classification::EXTERNAL));
    }

    #[test]
    fn counts_come_with_the_next_step() {
        let mut counted = Summary::default();
        let mut failed = outcome("a");
        failed.classification = Some(Classification::unknown());
        failed.expected = Some(false);
        counted.count(&failed);
        counted.not_audited.insert("disk full".into(), 2);
        assert_eq!(
            summary(&counted),
            "1 vector: 1 not as expected\n    1  UNKNOWN                      read the trace; a rule of your own in plugins/ can tell next time\naudit log: 2 entries not written: disk full\n"
        );
    }
}
