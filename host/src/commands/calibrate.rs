//! `tracejury label` and `tracejury calibrate`: what failures really were, and what plugins' confidences are worth by that.

use super::{Hold, at, court, eval, journal, records, settings, terms};
use crate::cli::{CalibrateArgs, LabelArgs};
use crate::config::Settings;
use crate::eval::{Judged, Truth, without_label};
use crate::exit::{Exit, Failure};
use crate::merge::{Calibration, Labelled};
use crate::model::{Classification, Confidence, printable};
use crate::report::{self, Format, plain_table, plural};
use crate::store::Label;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// With fewer labels than this a line is mostly the prior.
const FEW: usize = 20;

pub(super) async fn label(args: LabelArgs) -> Result<Exit, Failure> {
    let settings = records(&args.records)?;
    let store = journal(&settings)?;
    let Some(classification) = args.classification else {
        return match store.unlabel(&args.session).await? {
            true => {
                report::to_stderr(&format!("{} has no label any more", args.session));
                Ok(Exit::AsExpected)
            }
            false => Err(Failure::new(Exit::Usage, format!("session {} has no label", args.session), "check the id")),
        };
    };
    let Some(outcome) = store.outcome_of(&args.session).await? else {
        let what = format!("the journal knows no outcome of session {}", args.session);
        return Err(Failure::new(Exit::Usage, what, "`tracejury runs show RUN --format json` shows the sessions of a run"));
    };
    let said = outcome.classification.as_ref().map_or_else(|| "nothing, since it did not fail".to_owned(), ToString::to_string);
    if outcome.classification.is_none() {
        return Err(Failure::new(Exit::Usage, format!("session {} did not fail", args.session), "only failures have a classification"));
    }
    let base = [Classification::EXTERNAL, Classification::INTERNAL, Classification::UNKNOWN];
    if !base.contains(&classification.as_str()) && !outcome.verdicts.iter().any(|verdict| verdict.classification == classification) {
        let what = format!("{classification} is none of {}, and no plugin has said it of this session", base.join(", "));
        report::warn(&what, "label it again if that was a slip");
    }
    store.label(&Label { session: args.session.clone(), classification: classification.clone(), reason: args.reason.clone() }).await?;
    match args.records.format {
        Format::Json => {
            let line = json!({"schema": 1, "session": args.session, "classification": classification, "reason": args.reason, "said": outcome.classification});
            report::to_stdout(&line.to_string());
        }
        Format::Human => report::to_stdout(&format!("{}: {classification}; the classifiers said {said}", args.session)),
    }
    Ok(Exit::AsExpected)
}

pub(super) async fn execute(args: CalibrateArgs) -> Result<Exit, Failure> {
    let mut settings = settings(&args.common)?;
    let output = args.output.unwrap_or_else(|| settings.merge.calibration.clone());
    // What is fitted is what plugins say of themselves: an earlier calibration has no part in it, and may be broken.
    settings.merge.calibration = PathBuf::new();
    let (mut judged, forgotten) = of_journal(&settings).await?;
    let sessions = judged.len();
    if forgotten > 0 {
        report::warn(
            &format!("{} passed over: the journal has forgotten the outcomes", plural(forgotten, "labelled session")),
            "journal.keep_days says for how long it keeps them; name an archive with labels as a file",
        );
    }
    if !args.corpus.is_empty() {
        let (records, _) = without_label(eval::labelled(&args.corpus)?);
        let court = court(&settings, Hold::AsTrusted).await?;
        judged.extend(eval::judged(&court.jury, &records, &terms(&settings)?).0);
    }
    if judged.is_empty() {
        let help = "label sessions with `tracejury label SESSION CLASSIFICATION`, or name files of labelled failures";
        return Err(Failure::new(Exit::Usage, "nothing has a label yet", help));
    }
    let fitted = Calibration::fit(&by_plugin(&judged));
    let text = written(&fitted, judged.len());
    if !args.dry_run {
        if output.as_os_str().is_empty() {
            return Err(Failure::new(Exit::Usage, "merge.calibration names no file", "name one with --output"));
        }
        replace(&output, &text)
            .map_err(|e| Failure::new(Exit::Usage, format!("{}: {e}", output.display()), "choose another file with --output"))?;
    }
    match args.common.format {
        Format::Json => {
            report::to_stdout(&json!({"schema": 1, "calibration": fitted, "sessions": sessions, "labels": judged.len()}).to_string())
        }
        Format::Human => report::to_stdout(&table(&fitted)),
    }
    for (name, line) in fitted.plugins.iter().filter(|(_, line)| line.labels < FEW) {
        let what = format!("{}: {} only, which may be right or wrong by chance", printable(name), plural(line.labels, "labelled verdict"));
        report::warn(&what, "label more sessions, right ones as well as wrong ones");
    }
    let done = if args.dry_run {
        "nothing was written".to_owned()
    } else {
        format!("written to {}; merging reads it where merge.calibration names it", output.display())
    };
    report::to_stderr(&format!(
        "{} labelled sessions of the journal, {} in all; {done}",
        sessions,
        plural(judged.len(), "labelled failure")
    ));
    Ok(Exit::AsExpected)
}

/// Puts a file in the place of another, whole: a run that begins meanwhile reads the one or the other.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

/// The file, with a word on what it is.
fn written(fitted: &Calibration, labels: usize) -> String {
    let now = at(crate::store::now());
    let day = now.split(' ').next().unwrap_or_default();
    let head = format!(
        "# What the plugins' confidences are worth, fitted by `tracejury calibrate` to {labels} labelled failures on {day}.\n# right = σ(slope · logit(said) + intercept)\n"
    );
    // A struct of numbers by names is always TOML.
    head + &toml::to_string(fitted).unwrap_or_default()
}

fn table(fitted: &Calibration) -> String {
    let worth = |name: &str, said: f64| {
        Confidence::new(said).map_or_else(|_| String::new(), |said| format!("{:.2}", fitted.apply(name, said).get()))
    };
    let row = |(name, line): (&String, &crate::merge::Line)| {
        let share = |value: f64| format!("{value:.2}");
        vec![
            printable(name),
            line.labels.to_string(),
            share(line.said),
            share(line.right),
            worth(name, 0.6),
            worth(name, 0.8),
            worth(name, 0.95),
        ]
    };
    plain_table(&["PLUGIN", "LABELS", "SAID", "RIGHT", "0.60 →", "0.80 →", "0.95 →"], fitted.plugins.iter().map(row))
}

/// What each plugin said of labelled failures, and whether it was right.
pub(super) fn by_plugin(judged: &[Judged]) -> BTreeMap<String, Vec<Labelled>> {
    let mut all: BTreeMap<String, Vec<Labelled>> = BTreeMap::new();
    for one in judged {
        for (plugin, said, confidence) in &one.each {
            if let Ok(confidence) = Confidence::new(*confidence) {
                all.entry(plugin.clone()).or_default().push((confidence, *said == one.truth.classification));
            }
        }
    }
    all
}

/// The labelled sessions of the journal, and how many of them it has no outcome of any more.
async fn of_journal(settings: &Settings) -> Result<(Vec<Judged>, usize), Failure> {
    let labels = labels(settings).await?;
    let (mut judged, mut forgotten) = (Vec::new(), 0);
    if labels.is_empty() {
        return Ok((judged, forgotten));
    }
    let store = journal(settings)?;
    for label in labels {
        let Some(outcome) = store.outcome_of(&label.session).await? else {
            forgotten += 1;
            continue;
        };
        let source = label.session.clone();
        judged.push(Judged::of(&outcome.vector, source.as_str(), &truth(label), &outcome));
    }
    Ok((judged, forgotten))
}

/// What a label says the failure was.
pub(super) fn truth(label: Label) -> Truth {
    Truth { classification: label.classification, reason: label.reason, hard: false }
}

/// All labels; none where there is no journal yet.
pub(super) async fn labels(settings: &Settings) -> Result<Vec<Label>, Failure> {
    if settings.journal.path.as_os_str().is_empty() || !settings.journal.path.exists() {
        return Ok(Vec::new());
    }
    Ok(journal(settings)?.labels().await?)
}
