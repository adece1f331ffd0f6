//! `tracejury eval`: how right the jury is.

use super::{Hold, calibrate, court, loader, read, settings, terms};
use crate::classify::{Asked, Terms, judge_here};
use crate::cli::EvalArgs;
use crate::eval::figure::{known, percent, summary, three};
use crate::eval::{Judged, Labelled, Scores, halves, page, without_label};
use crate::exit::{Exit, Failure};
use crate::jury::Jury;
use crate::merge::{Calibration, Policy};
use crate::model::{Outcome, printable};
use crate::report::{self, Format, plain_table, plural};
use serde_json::json;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

pub(super) async fn execute(args: EvalArgs) -> Result<Exit, Failure> {
    let settings = settings(&args.common)?;
    let terms = terms(&settings)?;
    if let Some(file) = args.html.as_ref().filter(|file| args.corpus.iter().chain(&args.baseline).any(|read| is_same(read, file))) {
        let what = format!("{}: is read, and would be written over; nothing was done", file.display());
        return Err(Failure::new(Exit::Usage, what, "choose another file with --html"));
    }
    let mut records = labelled(&args.corpus)?;
    with_labels(&mut records, &settings).await?;
    let (records, left) = without_label(records);
    if records.is_empty() {
        let help = "a corpus record has `category`, a recorded trace `expect.classification`; README, section How right it is";
        return Err(Failure::new(Exit::Usage, "there is no labelled failure to measure by", help));
    }
    if left > 0 {
        report::warn(
            &format!("{} without a label left out", plural(left, "trace")),
            "give them `expect.classification`, or label their sessions; what did not fail has none",
        );
    }
    let court = court(&settings, Hold::AsTrusted).await?;
    let (judged, micros) = judged(&court.jury, &records, &terms);
    let scores = Scores::of(&judged);
    let baseline = match &args.baseline {
        None => None,
        Some(pack) => {
            let classifier = loader(&settings.plugins)?.judge(pack)?.into_classifier();
            let alone = Jury::new(vec![classifier], &settings.plugins, 1);
            let (judged, micros) = self::judged(&alone, &records, &terms);
            Some((name_of(pack), Scores::of(&judged), micros))
        }
    };
    let crossed = args.cross_validate.then(|| cross_validated(&court.jury, &records, judged.clone(), &settings.merge, terms));
    if let Some(file) = &args.html {
        let title = args.corpus.iter().map(|path| name_of(path)).collect::<Vec<_>>().join(", ");
        std::fs::write(file, page(&title, &scores, micros))
            .map_err(|e| Failure::new(Exit::Usage, format!("{}: {e}", file.display()), "choose another file with --html"))?;
    }
    let broken = broken(&args, &scores);
    match args.common.format {
        Format::Json => {
            let baseline =
                baseline.as_ref().map(|(name, scores, micros)| json!({"name": name, "scores": scores, "microsPerTrace": rounded(*micros)}));
            let halves = crossed.as_ref().map(|halves| json!(halves));
            let line = json!({
                "schema": 1, "scores": scores, "microsPerTrace": rounded(micros), "unlabelled": left, "baseline": baseline, "halves": halves,
                "broken": broken,
            });
            report::to_stdout(&line.to_string());
        }
        Format::Human => {
            report::to_stdout(&figures(&scores, micros, baseline.as_ref()));
            report::to_stdout(&told(&scores, args.reasons));
            if let Some(halves) = &crossed {
                report::to_stdout(&halves_table(halves));
            }
        }
    }
    broken.iter().for_each(|what| report::warn(what, "look at the mistakes above; --html has all of it on a page"));
    Ok(if broken.is_empty() { Exit::AsExpected } else { Exit::Unexpected })
}

fn is_same(a: &Path, b: &Path) -> bool {
    a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b))
}

/// All records of the files, with the file and line of one that is none.
pub(super) fn labelled(files: &[PathBuf]) -> Result<Vec<Labelled>, Failure> {
    let mut all = Vec::new();
    for file in files {
        let (place, text) = read(file)?;
        let wrong =
            |(line, what)| Failure::new(Exit::Usage, format!("{place}:{line}: {what}"), "README, section How right it is, has the formats");
        all.extend(crate::eval::read(&text).map_err(wrong)?);
    }
    Ok(all)
}

/// What a jury says of each record, and how long one took, in microseconds.
pub(super) fn judged<'r>(jury: &Jury, records: impl IntoIterator<Item = &'r Labelled>, terms: &Terms) -> (Vec<Judged>, f64) {
    let records: Vec<_> = records.into_iter().collect();
    let (outcomes, micros) = outcomes(jury, records.iter().copied(), terms);
    let judged = records.iter().zip(&outcomes);
    let judged =
        judged.filter_map(|(record, outcome)| Some(Judged::of(&record.id, &record.source, record.truth.as_ref()?, outcome))).collect();
    (judged, micros)
}

/// The outcome of each record, and how long one took, in microseconds.
pub(super) fn outcomes<'r>(jury: &Jury, records: impl IntoIterator<Item = &'r Labelled>, terms: &Terms) -> (Vec<Outcome>, f64) {
    let began = Instant::now();
    let cases = records.into_iter().map(|record| {
        let outcome = Outcome::of(record.id.clone(), record.trace.action, record.trace.environment);
        (record.trace.clone(), Asked { input: record.input.as_ref(), expect: None, terms }, outcome)
    });
    let outcomes = judge_here(jury, cases.collect());
    let micros = began.elapsed().as_secs_f64() * 1e6 / outcomes.len().max(1) as f64;
    (outcomes, micros)
}

/// Each half, judged with confidences that were calibrated on the other.
fn cross_validated(jury: &Jury, records: &[Labelled], judged: Vec<Judged>, merge: &crate::config::Merge, terms: Terms) -> Vec<Scores> {
    let [a, b] = halves(judged);
    let mut terms = terms;
    let mut scores = Vec::new();
    for (own, other) in [(&a, &b), (&b, &a)] {
        terms.policy = Policy::new(merge.clone(), Calibration::fit(&calibrate::by_plugin(other)));
        let ids: HashSet<_> = own.iter().map(|judged| (&judged.id, &judged.source)).collect();
        let of_own = |record: &&Labelled| ids.contains(&(&record.id, &record.source));
        let (again, _) = self::judged(jury, records.iter().filter(of_own), &terms);
        scores.push(Scores::of(&again));
    }
    scores
}

/// The figures that are not reached, or cannot be told.
fn broken(args: &EvalArgs, scores: &Scores) -> Vec<String> {
    type Figure = (&'static str, Option<f64>, Option<f64>);
    let least: [Figure; 3] = [
        ("macro-F1", args.min_macro_f1, Some(scores.macro_f1)),
        ("macro-F1 of the hard ones", args.min_hard_macro_f1, scores.macro_f1_hard),
        ("the share of right reasons", args.min_reason_right, scores.reason_right),
    ];
    let most: [Figure; 3] = [
        ("the share of internal faults called external", args.max_internal_as_external, scores.internal_as_external),
        ("the share of external outages called internal", args.max_external_as_internal, scores.external_as_internal),
        ("the calibration error", args.max_calibration_error, scores.calibration_error),
    ];
    let told = |(name, wanted, reached): Figure, fails: fn(f64, f64) -> bool, word: &str| match (wanted?, reached) {
        (wanted, Some(reached)) => fails(reached, wanted).then(|| format!("{name} is {reached:.3}, {word} {wanted}")),
        (wanted, None) => Some(format!("{name} cannot be told, {word} {wanted} or not: no record is there to measure it by")),
    };
    let below = least.into_iter().filter_map(|figure| told(figure, |reached, wanted| reached < wanted, "below"));
    let above = most.into_iter().filter_map(|figure| told(figure, |reached, wanted| reached > wanted, "above"));
    below.chain(above).collect()
}

pub(super) fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

type Beside = (String, Scores, f64);

fn figures(scores: &Scores, micros: f64, baseline: Option<&Beside>) -> String {
    let time = |micros: f64| ("µs per trace", format!("{micros:.1}"));
    let mut rows: Vec<_> = summary(scores).into_iter().chain([time(micros)]).map(|(name, figure)| vec![name.to_owned(), figure]).collect();
    let mut header = vec!["FIGURE", "JURY"];
    if let Some((name, scores, micros)) = baseline {
        header.push(name);
        for (row, (_, figure)) in rows.iter_mut().zip(summary(scores).into_iter().chain([time(*micros)])) {
            row.push(figure);
        }
    }
    plain_table(&header, rows.into_iter()) + "\n"
}

fn told(scores: &Scores, reasons: bool) -> String {
    let row = |row: &crate::eval::Row| {
        vec![printable(&row.name), row.records.to_string(), three(row.precision), three(row.recall), three(row.f1)]
    };
    let header = ["CLASSIFICATION", "RECORDS", "PRECISION", "RECALL", "F1"];
    let mut text = plain_table(&header, scores.classifications.iter().map(row)) + "\n\n";
    if reasons {
        text += &(plain_table(&["REASON", "RECORDS", "PRECISION", "RECALL", "F1"], scores.reasons.iter().map(row)) + "\n\n");
    }
    let wrong = scores.confusion.iter().filter(|(was, said, _)| was != said);
    let confused = wrong.map(|(was, said, count)| vec![printable(was), printable(said), count.to_string()]);
    text += &(plain_table(&["WAS", "SAID TO BE", "TIMES"], confused) + "\n\n");
    let bins = scores.reliability.iter();
    let bins = bins.map(|b| vec![format!("{:.1}–{:.1}", b.from, b.from + 0.1), b.count.to_string(), three(b.said), three(b.right)]);
    text += &(plain_table(&["CONFIDENCE", "OUTCOMES", "SAID", "RIGHT"], bins) + "\n");
    if !scores.mistakes.is_empty() {
        let mistakes = scores.mistakes.iter();
        let mistakes = mistakes.map(|m| {
            vec![
                printable(&m.id),
                printable(&m.was),
                printable(&m.said),
                format!("{:.2}", m.confidence),
                printable(&m.by),
                printable(&m.text),
            ]
        });
        text += &("\n".to_owned() + &plain_table(&["MISTAKE", "WAS", "SAID", "SURE", "BY", "BECAUSE OF"], mistakes) + "\n");
    }
    text
}

fn halves_table(halves: &[Scores]) -> String {
    let row = |(i, s): (usize, &Scores)| {
        vec![
            if i == 0 { "first" } else { "second" }.to_owned(),
            s.records.to_string(),
            three(s.macro_f1),
            known(s.macro_f1_hard, three),
            known(s.internal_as_external, percent),
            known(s.external_as_internal, percent),
            known(s.reason_right, three),
            known(s.calibration_error, three),
        ]
    };
    let header = ["HALF", "RECORDS", "MACRO-F1", "HARD", "INT→EXT", "EXT→INT", "REASON", "CALIBRATION ERROR"];
    plain_table(&header, halves.iter().enumerate().map(row))
}

/// Gives sessions the labels that the journal has for them, where their record has none of its own.
pub(super) async fn with_labels(records: &mut [Labelled], settings: &crate::config::Settings) -> Result<(), Failure> {
    let labels: BTreeMap<_, _> = calibrate::labels(settings).await?.into_iter().map(|label| (label.session.clone(), label)).collect();
    for record in records.iter_mut().filter(|record| record.truth.is_none()) {
        let label = labels.get(&record.trace.session);
        record.truth = label.cloned().map(calibrate::truth);
    }
    Ok(())
}
