//! `tracejury runs …`: what the journal knows of earlier runs.

use super::{at, journal, records};
use crate::cli::{RunArg, RunsCommand};
use crate::exit::{Exit, Failure};
use crate::model::{RunId, printable};
use crate::report::{self, Format, plain_table};
use crate::store::{Known, Listed, Stage, Store, is_live};
use serde_json::json;

/// How many vectors are read at a time.
const PAGE: usize = 1_000;

pub(super) async fn execute(command: RunsCommand) -> Result<Exit, Failure> {
    match command {
        RunsCommand::List(own) => list(&journal(&records(&own)?)?, own.format).await,
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
    let listed = store.runs().await?.into_iter().find(|listed| listed.run.id == args.run);
    let listed = listed.ok_or_else(|| no_such(&args.run))?;
    let mut rows = Vec::new();
    let mut from = 0;
    loop {
        let page = store.vectors(&args.run, from, PAGE).await?;
        let Some(last) = page.last() else { break };
        from = last.place + 1;
        for vector in &page {
            match (&vector.known.stage, args.records.format) {
                (Stage::Done(outcome), Format::Json) => report::to_stdout(&serde_json::to_string(outcome).unwrap_or_default()),
                (_, Format::Json) => {}
                (_, Format::Human) => rows.push(row(vector.place, &vector.known)),
            }
        }
    }
    if args.records.format == Format::Human {
        report::to_stdout(&plain_table(&["#", "VECTOR", "STAGE", "OUTCOME", "SESSION"], rows.into_iter()));
        report::to_stdout(&format!("\n{}: {}, {} of {} vectors done", args.run, state(store, &listed), listed.done, listed.run.vectors));
        if listed.ambiguous > 0 {
            report::to_stdout("ambiguous ones may have run; `--resubmit-ambiguous` with --resume submits them again");
        }
        if !listed.run.finished && !is_live(store.path(), &args.run) {
            report::to_stdout(&format!("next: `tracejury run --resume {}`", args.run));
        }
    }
    Ok(Exit::AsExpected)
}

pub(super) fn no_such(run: &RunId) -> Failure {
    Failure::new(Exit::Usage, format!("the journal knows of no run {run}"), "`tracejury runs list` shows those it knows")
}

fn row(place: usize, known: &Known) -> Vec<String> {
    let none = || "–".to_owned();
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
    vec![(place + 1).to_string(), printable(&known.is.0), stage.to_owned(), said, session]
}
