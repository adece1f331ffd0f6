//! What a run looks like: outcomes to stdout, words for people to stderr. Besides `main` the only room that prints.

mod causes;
mod compare;
mod files;
mod html;
mod human;
mod json;
mod junit;
mod kinds;
mod live;
mod markdown;
mod next;
mod sarif;
mod summary;
mod target;

pub use compare::{Comparison, Side};
pub use files::{About, Files, append_markdown};
pub use human::plural;
pub use live::{Pace, Progress, REDRAW};
pub use summary::Summary;
pub use target::{Kind as ReportKind, Target};

use crate::model::{Outcome, Vector, printable};
use causes::Causes;
use indicatif::ProgressBar;
use kinds::{Kind, kind_of};
use live::Live;
use std::io::Write as _;
use std::time::Instant;

/// How outcomes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Human,
    /// JSON, one result a line, as it is done; words for people go to stderr.
    Json,
}

/// Outcomes made ready to be reported, by whoever made them: on as many threads as there are.
pub struct Batch {
    format: Format,
    text: String,
    rows: Vec<Outcome>,
    summary: Summary,
}

impl Batch {
    /// An empty batch for a report in this format.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self { format, text: String::new(), rows: Vec::new(), summary: Summary::default() }
    }

    /// Adds an outcome.
    pub fn add(&mut self, outcome: Outcome) {
        self.summary.count(&outcome);
        match self.format {
            Format::Json => {
                self.text.push_str(&serde_json::to_string(&outcome).unwrap_or_default());
                self.text.push('\n');
            }
            Format::Human => self.rows.push(outcome),
        }
    }
}

/// Says on a terminal that something takes a while.
pub struct Busy(ProgressBar);

impl Busy {
    /// Silent until something starts.
    #[must_use]
    pub fn new() -> Self {
        let spinner = ProgressBar::new_spinner();
        spinner.set_draw_target(indicatif::ProgressDrawTarget::hidden());
        Self(spinner)
    }

    /// Something starts.
    pub fn start(&self, what: &str) {
        self.0.set_draw_target(indicatif::ProgressDrawTarget::stderr());
        self.0.set_message(printable(what));
        self.0.enable_steady_tick(std::time::Duration::from_millis(120));
    }

    /// It is done.
    pub fn stop(&self) {
        self.0.disable_steady_tick();
        self.0.finish_and_clear();
        self.0.reset();
    }
}

impl Default for Busy {
    fn default() -> Self {
        Self::new()
    }
}

/// Takes outcomes as they come and writes them in the format asked for.
pub struct Report {
    format: Format,
    live: Live,
    /// Outcomes and their place in the order of the vectors; only the table needs them.
    rows: Vec<(usize, Outcome)>,
    causes: Causes,
    files: Files,
    /// Whether there are so many that the table shows those only that are not as expected, and not more than [`MANY`] of them.
    many: bool,
    /// How many it does not show.
    unlisted: usize,
    summary: Summary,
    began: Instant,
}

/// A table of more vectors than this is one that nobody reads, and that has to be kept until the end.
const MANY: usize = 1_000;

impl Report {
    /// A report on `total` vectors, where that is known.
    #[must_use]
    pub fn new(format: Format, total: Option<usize>, progress: Progress, files: Files) -> Self {
        let (live, many) = (Live::new(total, progress), total.is_some_and(|total| total > MANY));
        Self {
            format,
            live,
            rows: Vec::new(),
            causes: Causes::default(),
            files,
            many,
            unlisted: 0,
            summary: Summary::default(),
            began: Instant::now(),
        }
    }

    /// How many outcomes there are so far.
    #[must_use]
    pub fn outcomes(&self) -> usize {
        self.summary.vectors
    }

    /// A vector's turn has come.
    pub fn begun(&mut self, place: usize, name: String) {
        self.live.begun(place, name);
    }

    /// A vector is not run.
    pub fn not_run(&mut self, vector: &Vector) {
        self.summary.not_run += 1;
        self.files.not_run(vector);
    }

    /// Shows how it stands.
    pub fn tick(&mut self, pace: Pace) {
        self.live.tick(&self.summary, pace);
    }

    /// Takes one outcome, and its place among the vectors.
    pub fn outcome(&mut self, place: usize, outcome: Outcome) {
        self.summary.count(&outcome);
        self.live.done(place);
        self.files.outcome(&outcome);
        match self.format {
            Format::Json => to_stdout(&serde_json::to_string(&outcome).unwrap_or_default()),
            Format::Human => {
                self.causes.count(&outcome);
                if self.many && (outcome.expected == Some(true) || self.rows.len() == MANY) {
                    self.unlisted += 1;
                } else {
                    self.rows.push((place, outcome));
                }
            }
        }
    }

    /// Takes a batch; it comes after those before it.
    pub fn batch(&mut self, batch: Batch) {
        if !batch.text.is_empty() {
            // One write for all of it. What is written is JSON, in which no escape sequence can stand raw.
            let _ = std::io::stdout().write_all(batch.text.as_bytes());
        }
        self.summary.add(batch.summary);
        let before = self.rows.len();
        for (i, row) in batch.rows.into_iter().enumerate() {
            self.causes.count(&row);
            self.rows.push((before + i, row));
        }
    }

    /// The counts so far, to add what happens beside the outcomes.
    pub fn summary(&mut self) -> &mut Summary {
        &mut self.summary
    }

    /// Writes the table, once every outcome is there: what is delivered later must not keep it waiting. Its rows stand in the order
    /// of the vectors, those that are not as expected last.
    pub fn table(&mut self) {
        self.live.end();
        let mut rows = std::mem::take(&mut self.rows);
        if self.format == Format::Human && !rows.is_empty() {
            rows.sort_by_key(|(place, outcome)| (kind_of(outcome) >= Kind::CouldNot, *place));
            let rows: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
            to_stdout(&human::table(&rows, terminal_width()));
        }
        if self.format == Format::Human && self.many {
            to_stdout(&format!("{} are not listed, those as expected first of all; --format json has a line for each\n", self.unlisted));
            self.many = false;
        }
    }

    /// Writes the summary, `notes`, and failures by cause; ends the reports in files, and says what kept any of them from being written.
    #[must_use]
    pub fn finish(mut self, notes: &[String]) -> (Summary, Vec<String>) {
        self.live.end();
        let mut end = human::summary(&self.summary);
        for note in notes {
            end.push_str(note);
            end.push('\n');
        }
        let took = u64::try_from(self.began.elapsed().as_millis()).unwrap_or_default();
        let (written, failed) = self.files.end(&self.summary, took);
        for target in written.iter().filter(|target| target.listed) {
            end.push_str(&format!("report: {}\n", target.file.display()));
        }
        end.push_str(&human::causes(&self.causes));
        match self.format {
            Format::Json => to_stderr(end.trim_end()),
            Format::Human => to_stdout(end.trim_end()),
        }
        (self.summary, failed)
    }
}

/// Cells in columns, fit to the terminal.
#[must_use]
pub fn plain_table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    human::plain_table(header, rows, terminal_width()).trim_end().to_owned()
}

/// None where there is no terminal, or one that does not know its width and says 0.
fn terminal_width() -> Option<u16> {
    comfy_table::Table::new().width().filter(|width| *width > 0)
}

/// Writes a line to stdout. A reader that has gone away (`| head`) must not stop a run whose sessions are under way.
pub fn to_stdout(text: &str) {
    let _ = writeln!(anstream::stdout(), "{text}");
}

/// Writes a line for people to stderr.
pub fn to_stderr(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// An `error:` with its `help:`, to stderr. The text may hold line breaks of ours.
pub fn fail(what: &str, help: &str) {
    let bold = anstyle::Style::new().bold().fg_color(Some(anstyle::AnsiColor::Red.into()));
    let lines: Vec<_> = what.lines().map(printable).collect();
    to_stderr(&format!("{bold}error:{bold:#} {}\n  help: {}", lines.join("\n"), printable(help)));
}

/// Has panics told by their place alone: what a panic says may quote what must not be seen.
pub fn tell_of_panics() {
    std::panic::set_hook(Box::new(|panic| {
        fail(&of_panic(panic), "please report this place; what was under way is in the journal, `tracejury run --resume` goes on");
    }));
}

fn of_panic(panic: &std::panic::PanicHookInfo<'_>) -> String {
    let place = panic.location().map_or_else(|| "an unknown place".to_owned(), |at| format!("{}:{}", at.file(), at.line()));
    format!("tracejury failed at {place}")
}

/// A `warning:` with its `help:`, to stderr.
pub fn warn(what: &str, help: &str) {
    let bold = anstyle::Style::new().bold().fg_color(Some(anstyle::AnsiColor::Yellow.into()));
    to_stderr(&format!("{bold}warning:{bold:#} {}\n  help: {}", printable(what), printable(help)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[test]
    fn a_panic_tells_its_place_alone() {
        let (said, own) = (Arc::new(Mutex::new(String::new())), std::thread::current().id());
        let keep = Arc::clone(&said);
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            // Other tests may panic on purpose meanwhile.
            if std::thread::current().id() == own {
                *keep.lock().unwrap() = of_panic(panic);
            }
        }));
        let secret = "hunter2";
        assert!(std::panic::catch_unwind(|| panic!("cannot read {secret}")).is_err());
        std::panic::set_hook(before);
        let said = said.lock().unwrap();
        assert!(said.starts_with("tracejury failed at ") && said.contains("report.rs:") && !said.contains(secret), "{said}");
    }
}
