//! `tracejury runs …`: what the journal knows of earlier runs.

use super::{at, journal, records};
use crate::cli::{CompareArgs, CompareFormat, Records, RunArg, RunsCommand};
use crate::exit::{Exit, Failure};
use crate::model::{RunId, printable};
use crate::report::{self, Comparison, Format, Side, plain_table};
use crate::store::{Listed, Stage, Store, VectorRow, is_live};
use serde_json::json;

pub(super) async fn execute(command: RunsCommand) -> Result<Exit, Failure> {
    match command {
        RunsCommand::List(own) => list(&journal(&records(&own)?)?, own.format).await,
        RunsCommand::Compare(args) => compare(&args).await,
        RunsCommand::Show(args) => show(&journal(&records(&args.records)?)?, &args).await,
    }
}

/// How a run stands.
pub(super) fn state(store: &Store, listed: &Listed) -> &'static str {
    match (is_live(store.path(), &listed.run.id), listed.run.finished) {
        (true, _) => "running",
        (false, true) => "finished",
        (false, false) => "interrupted",
    }
}

async fn list(store: &Store, format: Format) -> Result<Exit, Failure> {
    let runs = store.runs().await?;
    match format {
        Format::Json => {
            for listed in &runs {
                let run = &listed.run;
                let line = json!({
                    "schema": 1, "run": run.id, "began": at(run.began), "state": state(store, listed), "vectors": run.vectors,
                    "done": listed.done, "ambiguous": listed.ambiguous, "underWay": listed.under_way, "files": run.files,
                });
                report::to_stdout(&line.to_string());
            }
        }
        Format::Human if runs.is_empty() => report::to_stderr("no run yet"),
        Format::Human => {
            let row = |listed: &Listed| {
                let done = format!("{} of {}", listed.done, listed.run.vectors);
                let ambiguous = if listed.ambiguous == 0 { "–".to_owned() } else { listed.ambiguous.to_string() };
                vec![
                    listed.run.id.to_string(),
                    at(listed.run.began),
                    state(store, listed).to_owned(),
                    done,
                    ambiguous,
                    listed.run.files.join(" "),
                ]
            };
            report::to_stdout(&plain_table(&["RUN", "BEGAN", "STATE", "DONE", "AMBIGUOUS", "FILES"], runs.iter().map(row)));
        }
    }
    Ok(Exit::AsExpected)
}

async fn show(store: &Store, args: &RunArg) -> Result<Exit, Failure> {
    let run = named(store, &args.run).await?;
    let listed = store.runs().await?.into_iter().find(|listed| listed.run.id == run).ok_or_else(|| no_such(&run))?;
    let mut rows = Vec::new();
    let take = |vector: VectorRow| match (&vector.known.stage, args.records.format) {
        (Stage::Done(outcome), Format::Json) if !vector.superseded => {
            report::to_stdout(&serde_json::to_string(outcome).unwrap_or_default())
        }
        (_, Format::Json) => {}
        (_, Format::Human) => rows.push(row(&vector, listed.run.attempts)),
    };
    store.each_vector(&run, take).await?;
    if args.records.format == Format::Human {
        report::to_stdout(&plain_table(&["#", "VECTOR", "STAGE", "OUTCOME", "SESSION"], rows.into_iter()));
        report::to_stdout(&format!("\n{run}: {}, {} of {} vectors done", state(store, &listed), listed.done, listed.run.vectors));
        if listed.ambiguous > 0 {
            report::to_stdout("ambiguous ones may have run; `--resubmit-ambiguous` with --resume submits them again");
        }
        if !listed.run.finished && !is_live(store.path(), &run) {
            report::to_stdout(&format!("next: `tracejury run --resume {run}`"));
        }
    }
    Ok(Exit::AsExpected)
}

async fn compare(args: &CompareArgs) -> Result<Exit, Failure> {
    let store = journal(&records(&Records { config: args.config.clone(), format: Format::Human })?)?;
    let (before, after) = (named(&store, &args.before).await?, named(&store, &args.after).await?);
    let (then, now) = (side(&store, &before).await?, side(&store, &after).await?);
    let found = Comparison::of((before.as_str(), &then), (after.as_str(), &now));
    let text = match args.format {
        CompareFormat::Human => found.human(),
        CompareFormat::Markdown => found.markdown(),
        CompareFormat::Json => found.json(),
    };
    report::to_stdout(text.trim_end());
    Ok(if found.is_worse() { Exit::Unexpected } else { Exit::AsExpected })
}

/// A run by its id, or by its place among the latest.
async fn named(store: &Store, name: &str) -> Result<RunId, Failure> {
    let place = match name {
        "latest" => 0,
        "previous" => 1,
        id => {
            let id: RunId = id.parse().map_err(|e| {
                Failure::new(Exit::Usage, format!("{id} {e}"), "`tracejury runs list` shows ids; latest and previous are known too")
            })?;
            return if store.runs().await?.iter().any(|listed| listed.run.id == id) { Ok(id) } else { Err(no_such(&id)) };
        }
    };
    let found = store.runs().await?.into_iter().nth(place).map(|listed| listed.run.id);
    found.ok_or_else(|| Failure::new(Exit::Usage, format!("there is no {name} run"), "`tracejury runs list` shows what there is"))
}

/// The outcomes of a run.
async fn side(store: &Store, run: &RunId) -> Result<Side, Failure> {
    let mut side = Side::default();
    let take = |row: VectorRow| match &row.known.stage {
        _ if row.superseded => {}
        Stage::Done(outcome) => side.add(outcome),
        _ => side.unfinished(&row.known.is.0),
    };
    store.each_vector(run, take).await?;
    Ok(side)
}

pub(super) fn no_such(run: &RunId) -> Failure {
    Failure::new(Exit::Usage, format!("the journal knows of no run {run}"), "`tracejury runs list` shows those it knows")
}

fn row(vector: &VectorRow, attempts: usize) -> Vec<String> {
    let none = || "–".to_owned();
    let known = &vector.known;
    let (stage, said, session) = match &known.stage {
        Stage::NotSent => ("not sent", none(), none()),
        Stage::Sent => ("sent", "no answer was recorded: it may have run".to_owned(), none()),
        Stage::Submitted(session) => ("submitted", none(), session.to_string()),
        Stage::Done(outcome) => {
            let said = match (&outcome.problem, &outcome.classification, &outcome.status) {
                (Some(problem), ..) => problem.to_string(),
                (None, Some(classification), _) => classification.to_string(),
                (None, None, status) => status.as_ref().map_or_else(none, ToString::to_string),
            };
            ("done", printable(&said), outcome.session_id.as_ref().map_or_else(none, ToString::to_string))
        }
    };
    let attempt = vector.place % attempts.max(1);
    let attempt = if attempt == 0 { String::new() } else { format!(" (attempt {})", attempt + 1) };
    vec![(vector.place / attempts.max(1) + 1).to_string(), format!("{}{attempt}", printable(&known.is.0)), stage.to_owned(), said, session]
}
