//! What a person sees while a run goes on: a few lines that are drawn anew on a terminal, and a plain line now and then elsewhere. It
//! knows counts and names, not where they come from.

use super::Summary;
use super::human::plural;
use crate::model::{Classification, printable};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

/// How often the lines are drawn where nothing happens.
pub const REDRAW: Duration = Duration::from_millis(250);
/// How often a plain line is written.
const PLAIN: Duration = Duration::from_secs(30);
/// How many of the slowest vectors are named.
const SLOWEST: usize = 3;
/// From when on a vector is slow.
const SLOW: Duration = Duration::from_secs(2);

/// How progress is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Progress {
    /// Live on a terminal, plain lines elsewhere.
    #[default]
    Auto,
    /// A few lines that are drawn anew.
    Live,
    /// A line every half a minute, which a screen reader and a log can follow.
    Plain,
    /// Not at all.
    None,
}

/// What the run knows beside its outcomes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    /// How many requests a minute are sent at most.
    pub per_minute: usize,
    /// How long the platform still asks all to wait.
    pub throttled: Option<Duration>,
}

/// The view.
pub(super) struct Live {
    bar: ProgressBar,
    progress: Progress,
    total: usize,
    began: Instant,
    told: Instant,
    /// Vectors under way, with the time when their turn came.
    under_way: HashMap<usize, (String, Instant)>,
}

impl Live {
    /// A view of `total` vectors; without that there is none.
    pub(super) fn new(total: Option<usize>, progress: Progress) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let progress = match progress {
            _ if total.is_none() => Progress::None,
            Progress::Auto if std::io::stderr().is_terminal() && !dumb => Progress::Live,
            Progress::Auto => Progress::Plain,
            asked => asked,
        };
        let bar = ProgressBar::with_draw_target(Some(total.unwrap_or_default() as u64), ProgressDrawTarget::hidden());
        if progress == Progress::Live {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos} of {len}{msg}") {
            bar.set_style(style.progress_chars("█▌░"));
        }
        let now = Instant::now();
        Self { bar, progress, total: total.unwrap_or_default(), began: now, told: now, under_way: HashMap::new() }
    }

    pub(super) fn begun(&mut self, place: usize, name: String) {
        if self.progress != Progress::None {
            self.under_way.insert(place, (name, Instant::now()));
        }
    }

    pub(super) fn done(&mut self, place: usize) {
        self.under_way.remove(&place);
        self.bar.inc(1);
    }

    /// Shows how it stands.
    pub(super) fn tick(&mut self, summary: &Summary, pace: Pace) {
        match self.progress {
            Progress::Live => self.bar.set_message(self.lines(summary, pace)),
            Progress::Plain if self.told.elapsed() >= PLAIN => {
                self.told = Instant::now();
                super::to_stderr(&self.plain(summary, pace));
            }
            _ => {}
        }
    }

    pub(super) fn end(&mut self) {
        self.bar.finish_and_clear();
        self.progress = Progress::None;
    }

    /// The lines below the bar, none longer than the terminal is wide.
    fn lines(&self, summary: &Summary, pace: Pace) -> String {
        let width = super::terminal_width().map_or(80, usize::from).saturating_sub(1);
        let mut lines = vec![self.left(summary, pace), counts(summary), self.flight(pace)];
        let slowest = self.slowest();
        if !slowest.is_empty() {
            lines.push(format!("slowest: {}", slowest.join(", ")));
        }
        let first = lines.remove(0);
        let rest = lines.iter().map(|line| format!("\n{}", line.chars().take(width).collect::<String>()));
        // The bar takes 30 columns, and the numbers beside it.
        let beside = width.saturating_sub(32 + 2 * self.total.to_string().len() + 4);
        let first: String = first.chars().take(beside).collect();
        std::iter::once(first).chain(rest).collect()
    }

    fn plain(&self, summary: &Summary, pace: Pace) -> String {
        format!(
            "{} of {}{}; {}; {}",
            summary.vectors,
            plural(self.total, "vector"),
            self.left(summary, pace),
            counts(summary),
            self.flight(pace)
        )
    }

    fn flight(&self, pace: Pace) -> String {
        let throttled = pace.throttled.map_or_else(|| "not throttled".to_owned(), |wait| format!("throttled for {}", whole(wait)));
        format!("{} under way, {throttled}, {} requests a minute at most", self.under_way.len(), pace.per_minute)
    }

    /// How long it still takes: at the pace so far, and no less than the requests that are still to be sent take.
    fn left(&self, summary: &Summary, pace: Pace) -> String {
        let done = summary.vectors;
        let waiting = self.total.saturating_sub(done + self.under_way.len());
        let requests = 2 * waiting + self.under_way.len();
        let by_budget = Duration::from_secs_f64(requests as f64 * 60.0 / pace.per_minute.max(1) as f64);
        let by_pace = (done > 0).then(|| self.began.elapsed().mul_f64((self.total - done.min(self.total)) as f64 / done as f64));
        format!(", {} left", whole(by_pace.unwrap_or_default().max(by_budget)))
    }

    fn slowest(&self) -> Vec<String> {
        let mut slow: Vec<_> =
            self.under_way.values().map(|(name, since)| (since.elapsed(), name)).filter(|(took, _)| *took >= SLOW).collect();
        slow.sort_by(|a, b| b.cmp(a));
        slow.into_iter().take(SLOWEST).map(|(took, name)| format!("{} {}", printable(name), whole(took))).collect()
    }
}

/// What came of those that are done, in words.
fn counts(summary: &Summary) -> String {
    let of = |name: &str| summary.classified.get(name).copied().unwrap_or_default();
    let (external, internal, unknown) = (of(Classification::EXTERNAL), of(Classification::INTERNAL), of(Classification::UNKNOWN));
    let own = summary.classified.values().sum::<usize>() - external - internal - unknown;
    let own = if own == 0 { String::new() } else { format!(", {own} of your own") };
    let wrong = summary.unexpected + summary.undecided;
    format!("{} completed, {external} external, {internal} internal, {unknown} unknown{own}; {wrong} not as expected", summary.completed)
}

/// A time in whole seconds.
fn whole(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_follows_the_budget_of_requests() {
        let mut live = Live::new(Some(100), Progress::Plain);
        live.begun(0, "a\u{1b}[2J".into());
        let pace = Pace { per_minute: 60, throttled: Some(Duration::from_secs(7)) };
        let line = live.plain(&Summary::default(), pace);
        assert_eq!(
            line,
            "0 of 100 vectors, 4 min left; 0 completed, 0 external, 0 internal, 0 unknown; 0 not as expected; 1 under way, throttled for 7 s, 60 requests a minute at most"
        );
        assert!(!live.lines(&Summary::default(), pace).contains('\u{1b}'));
    }

    #[test]
    fn times_are_short() {
        assert_eq!([5, 119, 121, 7_300].map(|s| whole(Duration::from_secs(s))), ["5 s", "119 s", "3 min", "2 h 1 min"]);
    }
}
