//! Sessions that nobody could classify: collected while commands go on, and `tracejury plugin unclassified`, which makes proposals of
//! them.

use super::{Hold, court, recorded, settings, terms};
use crate::classify::{Asked, judge_here};
use crate::cli::UnclassifiedArgs;
use crate::config::Plugins;
use crate::debug_api::record;
use crate::exit::{Exit, Failure};
use crate::model::{Classification, Outcome, Trace, printable};
use crate::report::{self, Format};
use crate::workshop;
use serde_json::json;
use std::collections::{BTreeSet, HashSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// How large the file of collected traces may grow.
const MOST_BYTES: u64 = 256 << 20;

/// Where traces are kept, masked, one a line: those that nobody could classify, and where the user wants an archive all that failed.
pub(super) struct Collector {
    unclassified: Option<PathBuf>,
    archive: Option<PathBuf>,
}

impl Collector {
    /// A collector for the files of the settings.
    pub(super) fn new(settings: &Plugins) -> Self {
        let named = |file: &Path| (!file.as_os_str().is_empty()).then(|| file.to_owned());
        Self { unclassified: named(&settings.unclassified), archive: named(&settings.archive) }
    }

    /// The same while these files are read: what is read must not grow by being read, and is archived as it is.
    pub(super) fn while_reading(self, files: &[PathBuf]) -> Self {
        let is = |own: &Path, file: &Path| file.canonicalize().is_ok_and(|file| own.canonicalize().is_ok_and(|own| own == file));
        Self { unclassified: self.unclassified.filter(|own| !files.iter().any(|file| is(own, file))), archive: None }
    }

    /// Takes what some outcomes have for it, and keeps it. A failure to write is told and costs nothing else.
    pub(super) fn collect<'a>(&self, outcomes: impl IntoIterator<Item = &'a mut Outcome>) {
        let (mut unclassified, mut archived) = (String::new(), String::new());
        for outcome in outcomes {
            let unknown = is_unknown(outcome);
            let wanted = self.archive.is_some() || (unknown && self.unclassified.is_some());
            let Some(trace) = outcome.kept.take().filter(|_| wanted) else { continue };
            // A session whose id had to be replaced must not go by it as its name.
            let own_id = Some(&trace.session) == outcome.session_id.as_ref();
            let name = if own_id { outcome.vector.as_str() } else { trace.session.as_str() };
            let line = record(name, &trace) + "\n";
            archived.push_str(&line);
            if unknown {
                unclassified.push_str(&line);
            }
        }
        keep(self.unclassified.as_deref(), &unclassified, "unclassified sessions are not kept", "check plugins.unclassified");
        keep(self.archive.as_deref(), &archived, "traces are not archived", "check plugins.archive");
    }
}

fn is_unknown(outcome: &Outcome) -> bool {
    outcome.classification.as_ref().is_some_and(|c| c.as_str() == Classification::UNKNOWN)
}

fn keep(file: Option<&Path>, lines: &str, so: &str, help: &str) {
    let Some(file) = file.filter(|_| !lines.is_empty()) else { return };
    if let Err(e) = append(file, lines) {
        report::warn(&format!("{}: {e}; {so}", file.display()), help);
    }
}

/// One write of whole lines: several processes may append to one file.
fn append(path: &Path, lines: &str) -> std::io::Result<()> {
    let mut options = std::fs::File::options();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    if file.metadata()?.len() > MOST_BYTES {
        return Err(std::io::Error::other(format!(
            "is larger than {} MiB; look at it with `tracejury plugin unclassified` or `plugin backtest`, then set it aside",
            MOST_BYTES >> 20
        )));
    }
    file.write_all(lines.as_bytes())
}

pub(super) async fn execute(args: UnclassifiedArgs) -> Result<Exit, Failure> {
    let settings = settings(&args.common)?;
    let files = match (args.traces.is_empty(), settings.plugins.unclassified.as_os_str().is_empty()) {
        (false, _) => args.traces,
        (true, false) => vec![settings.plugins.unclassified.clone()],
        (true, true) => {
            let help = "name files with recorded traces, or set plugins.unclassified, so that `run` and `classify` collect them";
            return Err(Failure::new(Exit::Usage, "there is nothing to look at", help));
        }
    };
    let (court, terms) = (court(&settings, Hold::AsTrusted).await?, terms(&settings)?);
    let mut cases = Vec::new();
    let mut successes = Vec::new();
    let mut seen = HashSet::new();
    // A session that was looked at twice is one session.
    for recorded in recorded(&files)?.into_iter().filter(|recorded| seen.insert(recorded.trace.session.clone())) {
        match recorded.trace.status.is_failed() {
            true => cases.push((recorded.trace, recorded.input)),
            false => successes.push(recorded.trace),
        }
    }
    let total = cases.len();
    let judged = cases.iter().map(|(trace, input)| {
        let outcome = Outcome::of(trace.session.to_string(), trace.action, trace.environment);
        (trace.clone(), Asked { input: input.as_ref(), expect: None, terms: &terms }, outcome)
    });
    // What a rule written since then classifies is no part of it any more.
    let outcomes = judge_here(&court.jury, judged.collect());
    let left: Vec<Trace> = outcomes.into_iter().filter(is_unknown).filter_map(|outcome| outcome.kept.map(|trace| *trace)).collect();
    let groups = workshop::groups(&left);
    let mut taken = BTreeSet::new();
    for group in &groups {
        show(args.common.format, group, &successes, &mut taken);
    }
    let last = match groups.len() {
        0 => format!("{total} failed sessions, all of them classified"),
        count => format!(
            "# {} of {total} failed sessions nobody could classify, in {count} groups; put what makes sense into a rule pack",
            left.len()
        ),
    };
    report::to_stderr(&last);
    Ok(Exit::AsExpected)
}

fn show(format: Format, group: &workshop::Group, successes: &[Trace], taken: &mut BTreeSet<String>) {
    let proposal = workshop::proposal(group, taken);
    let matched = proposal.as_ref().map_or(Some(0), |rule| workshop::matched(rule, successes));
    match format {
        Format::Json => {
            let line = json!({"shape": group.shape, "count": group.count, "examples": group.examples, "rule": proposal, "matchedSuccesses": matched});
            report::to_stdout(&line.to_string());
        }
        Format::Human => {
            let none = || format!("# {} of {}: too little text for a rule\n", group.count, group.shape);
            let mut text = proposal.unwrap_or_else(none);
            match matched {
                Some(0) => {}
                Some(count) => text = format!("# matches {count} executions that went well: too wide as it is\n{text}"),
                None => text = format!("# could not be tried on executions that went well\n{text}"),
            }
            text.lines().for_each(|line| report::to_stdout(&printable(line)));
            report::to_stdout("");
        }
    }
}
