//! `tracejury plugin backtest`: what a plugin would change on recorded traces.

use super::eval::{labelled, outcomes, rounded, with_labels};
use super::{settings, terms};
use crate::cli::BacktestArgs;
use crate::config::Settings;
use crate::eval::Backtest;
use crate::exit::{Exit, Failure};
use crate::jury::Jury;
use crate::model::printable;
use crate::report::{self, Format, plain_table, plural};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many flips are listed for people.
const LISTED: usize = 20;

pub(super) async fn execute(mut args: BacktestArgs) -> Result<Exit, Failure> {
    args.common.plugins = args.current.take().or(args.common.plugins);
    let settings = settings(&args.common)?;
    let compared = compare(&settings, &args.plugin, &args.against).await?;
    let Compared { name, takes_a_seat, test, micros } = &compared;
    match args.common.format {
        Format::Json => {
            let line = json!({"schema": 1, "plugin": name, "replaces": takes_a_seat, "backtest": test, "microsPerTrace": rounded(*micros)});
            report::to_stdout(&line.to_string());
        }
        Format::Human => report::to_stdout(&flips(test)),
    }
    let seat = if *takes_a_seat { "in the place of the one of that name" } else { "beside those there are" };
    report::to_stderr(&format!(
        "{} {seat}: {} of {} would change; of {} with a label {} would be wrong that are right, {} right that are wrong; {micros:.1} µs per trace alone",
        printable(name),
        test.flips.len(),
        plural(test.traces, "outcome"),
        test.labelled,
        test.new_mistakes,
        test.mended,
    ));
    match args.max_flips.filter(|most| test.flips.len() > *most) {
        None => Ok(Exit::AsExpected),
        Some(most) => {
            report::warn(
                &format!("{} would change, more than --max-flips {most}", plural(test.flips.len(), "outcome")),
                "look at the flips above",
            );
            Ok(Exit::Unexpected)
        }
    }
}

/// What a plugin would change.
pub(super) struct Compared {
    pub(super) name: String,
    /// Whether it stands in for one of its name.
    pub(super) takes_a_seat: bool,
    pub(super) test: Backtest,
    /// How long it takes for a trace, alone.
    pub(super) micros: f64,
}

/// Judges recorded traces with the plugins in use, and again with this one among them.
pub(super) async fn compare(settings: &Settings, plugin: &Path, against: &[PathBuf]) -> Result<Compared, Failure> {
    let terms = terms(settings)?;
    let mut records: Vec<_> = labelled(against)?.into_iter().filter(|record| record.trace.status.is_failed()).collect();
    if records.is_empty() {
        return Err(Failure::new(Exit::Usage, "there is no failed trace to try it on", "set plugins.archive, so that `run` collects them"));
    }
    with_labels(&mut records, settings).await?;
    let (loader, loaded) = super::loaded(&settings.plugins).await?;
    let candidate = loader.judge(plugin)?.into_classifier();
    let current = loaded.classifiers();
    let mut changed = current.clone();
    let name = candidate.identity().name.clone();
    let takes_a_seat = changed.iter().any(|classifier| classifier.identity().name == name);
    changed.retain(|classifier| classifier.identity().name != name);
    changed.push(Arc::clone(&candidate));
    let jury = |classifiers| Jury::new(classifiers, &settings.plugins, 1);
    let ((before, _), (after, _)) = (outcomes(&jury(current), &records, &terms), outcomes(&jury(changed), &records, &terms));
    let (_, micros) = outcomes(&jury(vec![candidate]), &records, &terms);
    let mut test = Backtest::default();
    for ((record, before), after) in records.iter().zip(&before).zip(&after) {
        test.add(&record.id, record.truth.as_ref(), before, after);
    }
    Ok(Compared { name, takes_a_seat, test: test.done(), micros })
}

/// The flips as tables.
pub(super) fn flips(test: &Backtest) -> String {
    if test.flips.is_empty() {
        return "no outcome would change its classification".to_owned();
    }
    let counts = test.by_classification.iter().map(|(was, would_be, count)| vec![was.to_string(), would_be.to_string(), count.to_string()]);
    let mut text = plain_table(&["IS", "WOULD BE", "TRACES"], counts) + "\n\n";
    let rows = test.flips.iter().take(LISTED).map(|f| {
        let label = f.truth.as_ref().map_or("–", |truth| {
            if *truth == f.before {
                "now wrong"
            } else if *truth == f.after {
                "now right"
            } else {
                "wrong still"
            }
        });
        vec![
            printable(&f.id),
            f.before.to_string(),
            f.after.to_string(),
            label.to_owned(),
            format!("{:.2}", f.confidence),
            printable(&f.by),
            printable(&f.text),
        ]
    });
    text += &plain_table(&["TRACE", "IS", "WOULD BE", "BY ITS LABEL", "SURE", "BY", "BECAUSE OF"], rows);
    if test.flips.len() > LISTED {
        text += &format!("\n{} more; --format json has all of them", test.flips.len() - LISTED);
    }
    text
}
