//! The vectors of a run as the flags have them: variables, secrets, data, selection. Nothing is known here of what becomes of a vector.

use crate::cli::{RunArgs, ValueArgs};
use crate::config::Settings;
use crate::exit::{Exit, Failure};
use crate::model::{RunId, Secret};
use crate::report::{self, plural};
use crate::store::{Listed, Stage, Store, VectorRow};
use crate::vectors::{Reading, Schemas, Selection, Suite, Variables, name_key, read_variables};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The shortest secret: a shorter one could not be kept from showing without hiding all else.
const SHORTEST_SECRET: usize = 4;

/// Which vectors of its files a run has: written down, so that who goes on with it, or runs its failures again, has the same.
#[derive(Debug, Default)]
pub(super) struct Picked {
    /// The run whose failures they are.
    pub(super) parent: Option<RunId>,
    pub(super) filters: Vec<String>,
    pub(super) shards: Vec<String>,
}

impl Picked {
    /// By the flags, and by how they were picked before for the run that is gone on with (`before`) or whose failures are wanted (`failed`).
    pub(super) fn of(args: &RunArgs, before: Option<&Listed>, failed: Option<&Listed>) -> Self {
        let earlier = before.or(failed).map(|listed| &listed.run);
        let mut filters = earlier.map(|run| run.filters.clone()).unwrap_or_default();
        let mut shards = earlier.map(|run| run.shards.clone()).unwrap_or_default();
        let own = args.selection.filter.as_ref().map(|filter| filter.as_str().to_owned());
        filters.extend(own.filter(|own| !filters.contains(own)));
        let own = args.selection.shard.map(|shard| shard.to_string());
        shards.extend(own.filter(|own| !shards.contains(own)));
        let parent = failed.map(|listed| listed.run.id.clone()).or_else(|| before.and_then(|listed| listed.run.parent.clone()));
        Self { parent, filters, shards }
    }

    async fn selection(&self, settings: &Settings) -> Result<Selection, Failure> {
        let damaged = |what: String| Failure::new(Exit::CouldNotRun, format!("the journal: {what}"), "start a new run");
        let without = match &self.parent {
            None => None,
            Some(parent) => Some(Arc::new(as_expected(&super::journal(settings)?, parent).await?)),
        };
        Ok(Selection {
            filters: self.filters.iter().map(|text| text.parse()).collect::<Result<_, _>>().map_err(damaged)?,
            shards: self.shards.iter().map(|text| text.parse()).collect::<Result<_, _>>().map_err(damaged)?,
            without,
        })
    }
}

/// All vectors of all files, checked, or all problems of all files.
pub(super) async fn load(files: &[PathBuf], args: &RunArgs, settings: &Settings, picked: &Picked) -> Result<Suite, Failure> {
    let schemas = Schemas::read(&settings.api.schemas)
        .map_err(|what| Failure::new(Exit::Usage, format!("api.schemas: {what}"), "README, section Vectors, says what goes there"))?;
    let reading = Reading {
        schemas,
        variables: variables(&args.values, settings)?,
        data: args.values.data.clone(),
        selection: picked.selection(settings).await?,
        repeat: args.selection.repeat,
    };
    let suite = Suite::read(files, reading).map_err(|problems| {
        let count = plural(problems.len(), "problem");
        let what = format!("{count} in vector files; nothing was submitted\n  {}", problems.join("\n  "));
        Failure::new(Exit::Usage, what, "README, section Vectors, has the format")
    })?;
    if suite.count() > MOST {
        let what = format!("that is {} vectors; {MOST} are the most of one run", suite.count());
        return Err(Failure::new(Exit::Usage, what, "a smaller --repeat, matrix or --data, and several runs"));
    }
    // A share or a repetition of nothing is how a pipeline of many jobs ends well; a filter that fits nothing is a slip.
    if let (0, Some(filter)) = (suite.count(), &args.selection.filter)
        && args.selection.shard.is_none()
        && args.selection.rerun_failed.is_none()
    {
        let what = format!("the filter {} leaves none of {}", filter.as_str(), plural(suite.left_out(), "vector"));
        return Err(Failure::new(Exit::Usage, what, "--dry-run prints names, tags, actions and environments of those there are"));
    }
    Ok(suite)
}

/// The most vectors of one run, each as often as it is run: more are a slip of a flag.
const MOST: usize = 10_000_000;

/// The variables of the flags, the file and the environment: a flag counts before the file, the file before the environment.
pub(super) fn variables(given: &ValueArgs, settings: &Settings) -> Result<Variables, Failure> {
    let wrong = wrong_value;
    let mut values = Map::new();
    for name in settings.vectors.env.iter().chain(&given.env_vars) {
        let value = std::env::var(name).ok();
        if value.is_none() && given.env_vars.contains(name) {
            return Err(wrong(format!("--env-var {name}: the environment has no such variable")));
        }
        values.extend(value.map(|value| (name.clone(), value.into())));
    }
    if let Some(file) = &given.vars_file {
        values.extend(of_file(file).map_err(wrong)?);
    }
    for text in &given.vars {
        let (name, value) = text.split_once('=').ok_or_else(|| wrong(format!("--var {text}: is not NAME=VALUE")))?;
        let (name, value) = match name.strip_suffix(':') {
            Some(name) => {
                (name, serde_json::from_str(value).map_err(|_| wrong(format!("--var {name}: is not JSON; {name}=… takes a text")))?)
            }
            None => (name, Value::from(value)),
        };
        values.insert(name.to_owned(), value);
    }
    Ok(Variables { values, secrets: secrets(given)? })
}

/// The secrets of the flags.
pub(super) fn secrets(given: &ValueArgs) -> Result<BTreeMap<String, Secret>, Failure> {
    let wrong = wrong_value;
    let mut secrets = BTreeMap::new();
    for text in given.secrets.iter().map(Secret::expose) {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => (text, std::env::var(text).map_err(|_| wrong(format!("--secret {text}: the environment has no such variable")))?),
        };
        if value.chars().count() < SHORTEST_SECRET {
            return Err(wrong(format!(
                "--secret {name}: is shorter than {SHORTEST_SECRET} characters, and could not be kept from showing"
            )));
        }
        secrets.insert(name.to_owned(), Secret::new(value));
    }
    Ok(secrets)
}

fn wrong_value(what: String) -> Failure {
    Failure::new(Exit::Usage, what, "README, section Variables and secrets, says how they are given")
}

fn of_file(file: &Path) -> Result<Map<String, Value>, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: cannot be read: {e}", file.display()))?;
    read_variables(&file.display().to_string(), text.trim_start_matches('\u{feff}'))
}

/// What a run found as expected, each time it ran, and what the runs had found so whose failures it ran again.
async fn as_expected(store: &Store, run: &RunId) -> Result<HashSet<u64>, Failure> {
    let runs = store.runs().await?;
    let (mut all, mut next) = (HashSet::new(), Some(run.clone()));
    while let Some(id) = next {
        let Some(listed) = runs.iter().find(|listed| listed.run.id == id) else { break };
        let (mut right, mut wrong) = (HashSet::new(), HashSet::new());
        let sort = |row: VectorRow| {
            let well = matches!(&row.known.stage, Stage::Done(outcome) if outcome.expected == Some(true));
            if !row.superseded {
                if well { &mut right } else { &mut wrong }.insert(name_key(&row.known.is.0));
            }
        };
        store.each_vector(&id, sort).await?;
        right.retain(|name| !wrong.contains(name));
        all.extend(right);
        next = listed.run.parent.clone();
    }
    Ok(all)
}

/// The vector files of an earlier run.
pub(super) fn files_of(listed: &Listed, flag: &str) -> Result<Vec<PathBuf>, Failure> {
    let here = std::env::current_dir().unwrap_or_default();
    // As the user would name them from here: names of files stand in reports.
    let near = |file: &String| Path::new(file).strip_prefix(&here).map_or_else(|_| PathBuf::from(file), Path::to_path_buf);
    let files: Vec<_> = listed.run.files.iter().map(near).collect();
    match files.iter().any(|file| file == Path::new("-")) {
        false => Ok(files),
        true => Err(Failure::new(
            Exit::Usage,
            format!("run {} was given vectors on stdin", listed.run.id),
            &format!("give them again: tracejury run - {flag}{}", listed.run.id),
        )),
    }
}

/// Prints what would be run.
pub(super) fn plan(suite: Suite, args: &RunArgs, per_minute: usize) {
    let (count, left_out) = (suite.count(), suite.left_out());
    let mut actions = HashSet::new();
    let mut rows = Vec::new();
    for vector in suite.vectors().flatten() {
        actions.insert((vector.action, vector.environment));
        let place = vector.source.as_ref().map(|source| source.place()).unwrap_or_default();
        if args.common.format == report::Format::Json {
            let line = serde_json::json!({
                "schema": 1, "vector": vector.name, "repetition": vector.repetition, "actionId": vector.action,
                "environmentId": vector.environment, "tags": vector.tags, "at": place,
            });
            report::to_stdout(&line.to_string());
        } else if rows.len() < SHOWN {
            rows.push(vec![vector.full_name(), vector.environment.to_string(), vector.action.to_string(), vector.tags.join(" "), place]);
        }
    }
    let more = count.saturating_sub(rows.len());
    if args.common.format == report::Format::Human && !rows.is_empty() {
        report::to_stdout(&report::plain_table(&["VECTOR", "ENV", "ACTION", "TAGS", "AT"], rows.into_iter()));
        if more > 0 {
            report::to_stdout(&format!("and {more} more; --format json has a line for each"));
        }
    }
    let (requests, seconds) = super::drive::estimate(count, per_minute);
    let left_out = if left_out == 0 { String::new() } else { format!(", {left_out} left out") };
    let time = if seconds == 0 { String::new() } else { format!(", {seconds} s or more") };
    report::to_stderr(&format!(
        "plan: {}{left_out}, {} of actions and environments; about {requests} requests at {per_minute} a minute{time}; nothing was submitted",
        plural(count, "vector"),
        plural(actions.len(), "pair"),
    ));
}

/// How many vectors the plan lists for people.
const SHOWN: usize = 1_000;
