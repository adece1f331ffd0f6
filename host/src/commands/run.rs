//! `tracejury run`: the main job.

use super::drive::{View, drive, notes};
use super::runs::no_such;
use super::suite::{Picked, files_of, load, plan, secrets};
use super::unclassified::Collector;
use super::{Court, Hold, court, settings, terms, trust};
use crate::audit::AuditLog;
use crate::classify::{Keep, Terms};
use crate::cli::RunArgs;
use crate::config::Settings;
use crate::debug_api::DebugApi;
use crate::exit::{Exit, Failure};
use crate::model::{Digest, RunId};
use crate::outbox::Outbox;
use crate::report::{self, About, Files, Format, ReportKind, Summary, Target, append_markdown};
use crate::run::{Patience, Resume, Run, catch_up};
use crate::store::{DeliveryState, Lease, Listed, Pick, RunRow, Store, is_live, now, timestamp};
use crate::vectors::{Prod, Suite};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

pub(super) async fn execute(args: RunArgs) -> Result<Exit, Failure> {
    let began = Instant::now();
    let mut settings = settings(&args.common)?;
    if let Some(concurrency) = args.concurrency {
        settings.api.concurrency = concurrency.into();
    }
    if args.rate.is_some() {
        settings.api.requests_per_minute = args.rate.map(Into::into);
    }
    if let Some(schemas) = &args.schemas {
        settings.api.schemas.clone_from(schemas);
    }
    let before = match &args.resume {
        None => None,
        Some(run) => Some(unfinished(&super::journal(&settings)?, run.as_ref(), &args).await?),
    };
    let failed = match &args.selection.rerun_failed {
        None => None,
        Some(run) => Some(latest(&super::journal(&settings)?, run.as_ref()).await?),
    };
    let files = match (&before, &failed) {
        (Some(listed), _) if args.vectors.is_empty() => files_of(listed, "--resume ")?,
        (_, Some(listed)) if args.vectors.is_empty() => files_of(listed, "--rerun-failed=")?,
        _ => args.vectors.clone(),
    };
    let picked = Picked::of(&args, before.as_ref(), failed.as_ref());
    let suite = load(&files, &args, &settings, &picked).await?;
    if !args.allow_prod {
        refuse_prod(suite.prod())?;
    }
    if let Some(listed) = &before {
        is_the_same(listed, &suite, &args, &settings)?;
    }
    let attempts = attempts(&args);
    if args.selection.dry_run {
        return dry_run(suite, &args, &settings).await;
    }
    let resume = match (&before, args.resubmit_ambiguous) {
        (None, _) => Resume::No,
        (Some(_), false) => Resume::Careful,
        (Some(_), true) => Resume::Resubmit,
    };
    let id = before.map_or_else(RunId::new, |listed| listed.run.id);
    let about = About { run: id.to_string(), began: timestamp(), vectors: suite.count() };
    let job = JobSummary::wanted()?;
    let targets = targets(&args, &files, job.as_ref())?;
    let reports = Files::begin(&targets, &about)
        .map_err(|what| Failure::new(Exit::Usage, what, "give --report a file that can be written; nothing was submitted"))?;
    if suite.count() == 0 {
        return nothing_to_run(failed.as_ref(), reports, job);
    }
    let (mut run, _court) = assemble(&settings, id, resume, Hold::of(args.locked)).await?;
    hide_secrets(&mut run, &args, Files::show_steps(&targets))?;
    run.patience = Patience {
        attempts,
        fail_fast: args.selection.fail_fast.map(Into::into),
        until: args.selection.max_duration.and_then(|longest| began.checked_add(longest)).map(Into::into),
    };
    let _lease = begin(&run, &suite, &files, picked, &settings).await?;
    let notes = notes(&settings, &run, Some(again(&run, &args)));
    let collector = Collector::new(&settings.plugins);
    let view = View { format: args.common.format, progress: args.progress, files: reports };
    let summary = drive(run, suite, view, &notes, &collector).await?;
    if let Some(job) = job {
        job.add()?;
    }
    Ok(Exit::of(&summary))
}

/// Ends a run of no vector at all: an empty share, or failures of a run that had none. Reports that a pipeline waits for are written.
fn nothing_to_run(failed: Option<&Listed>, reports: Files, job: Option<JobSummary>) -> Result<Exit, Failure> {
    let why = failed.map_or_else(String::new, |listed| format!(": run {} found all of these vectors as expected", listed.run.id));
    report::to_stderr(&format!("there is nothing to run{why}"));
    let (_, unwritten) = reports.end(&Summary::default(), 0);
    if let Some(what) = unwritten.first() {
        return Err(Failure::new(
            Exit::CouldNotRun,
            format!("a report was not written: {what}"),
            "make room, or give --report another file",
        ));
    }
    job.map_or(Ok(()), JobSummary::add)?;
    Ok(Exit::AsExpected)
}

/// How many attempts each vector has.
fn attempts(args: &RunArgs) -> usize {
    usize::try_from(args.selection.retries).unwrap_or(usize::MAX).saturating_add(1)
}

/// Whether a run that is gone on with has the vectors it had, and goes to where it went.
fn is_the_same(listed: &Listed, suite: &Suite, args: &RunArgs, settings: &Settings) -> Result<(), Failure> {
    let run = &listed.run;
    if run.vectors != suite.count() {
        let what = format!("the files hold {} vectors; when run {} was begun they held {}", suite.count(), run.id, run.vectors);
        return Err(Failure::new(
            Exit::Usage,
            what,
            "put the files back as they were and give the flags you gave then, or start a new run",
        ));
    }
    if run.attempts != attempts(args) {
        let what = format!("run {} was begun with --retries {}", run.id, run.attempts - 1);
        return Err(Failure::new(Exit::Usage, what, "give the same number again, or start a new run"));
    }
    if run.platform != platform(settings) {
        let what = format!("run {} was begun on another platform, or as another client: its sessions are not to be found here", run.id);
        return Err(Failure::new(Exit::Usage, what, "set api.profile, api.base_url, api.discovery_url and api.client_id as they were"));
    }
    Ok(())
}

/// Checks all that a run needs but the network, and prints the plan.
async fn dry_run(suite: Suite, args: &RunArgs, settings: &Settings) -> Result<Exit, Failure> {
    let trust = trust(settings)?;
    let api = DebugApi::new(settings, &trust)?;
    Outbox::new(&settings.webhook, &trust.anonymous())?;
    terms(settings)?;
    court(settings, Hold::of(args.locked)).await?;
    plan(suite, args, api.requests_per_minute());
    Ok(Exit::AsExpected)
}

/// The reports that are wanted, and one more where a job's summary is.
fn targets(args: &RunArgs, files: &[PathBuf], summary: Option<&JobSummary>) -> Result<Vec<Target>, Failure> {
    let mut targets = args.reports.clone();
    let whole = |file: &Path| std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    for (i, target) in targets.iter().enumerate() {
        let wrong = |what: &str, help| Err(Failure::new(Exit::Usage, format!("--report: {} {what}", target.file.display()), help));
        if target.file == Path::new("-") {
            return wrong("is no file", "name a file; results on stdout come by --format json");
        }
        if targets.iter().skip(i + 1).any(|other| whole(&other.file) == whole(&target.file)) {
            return wrong("is named twice", "give each report a file of its own");
        }
        if files.iter().any(|file| whole(file) == whole(&target.file)) {
            return wrong("is a file of vectors", "give the report a file of its own");
        }
    }
    targets.extend(summary.map(|summary| Target { kind: ReportKind::Markdown, file: summary.own.to_path_buf(), listed: false }));
    Ok(targets)
}

/// What GitHub Actions shows of a job: a file that several steps add to.
struct JobSummary {
    /// What is written first; it goes when it was added.
    own: tempfile::TempPath,
    shared: PathBuf,
}

impl JobSummary {
    /// Where there is one.
    fn wanted() -> Result<Option<Self>, Failure> {
        let Some(shared) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|file| !file.is_empty()) else { return Ok(None) };
        let own = tempfile::Builder::new().prefix("tracejury-summary-").suffix(".md").tempfile();
        let own =
            own.map_err(|e| Failure::new(Exit::CouldNotRun, format!("a temporary file cannot be made: {e}"), "check the folder for them"))?;
        Ok(Some(Self { own: own.into_temp_path(), shared: shared.into() }))
    }

    fn add(self) -> Result<(), Failure> {
        append_markdown(&self.shared, &self.own)
            .map_err(|e| Failure::new(Exit::CouldNotRun, format!("{}: {e}", self.shared.display()), "check GITHUB_STEP_SUMMARY"))
    }
}

/// Has secrets masked wherever anything is, and steps brought where a report shows them.
fn hide_secrets(run: &mut Run, args: &RunArgs, show_steps: bool) -> Result<(), Failure> {
    let secrets = secrets(&args.values)?;
    let Some(terms) = Arc::get_mut(&mut run.terms) else {
        return Err(Failure::new(Exit::CouldNotRun, "secrets cannot be hidden any more; nothing was submitted", "please report this"));
    };
    let rules = std::mem::take(&mut terms.privacy.rules);
    terms.privacy.rules = rules.hiding(secrets.values().map(crate::model::Secret::expose));
    terms.show_steps = show_steps;
    Ok(())
}

/// Where runs go, and as whom, in a form that tells nothing but whether it is the same.
fn platform(settings: &Settings) -> String {
    let api = &settings.api;
    Digest::of(format!("{}\n{}\n{}\n{}", api.profile, api.base_url, api.discovery_url, api.client_id).as_bytes()).hex()
}

fn refuse_prod(prod: &Prod) -> Result<(), Failure> {
    if prod.count == 0 {
        return Ok(());
    }
    let more = prod.count - prod.names.len();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let what = format!("these vectors would run in production: {}{more}; nothing was submitted", prod.names.join(", "));
    Err(Failure::new(Exit::Usage, what, "add --allow-prod if you mean it"))
}

/// The run to go on with: the one named, or the latest that has something left to do.
async fn unfinished(store: &Store, named: Option<&RunId>, args: &RunArgs) -> Result<Listed, Failure> {
    let left = |listed: &Listed| !listed.run.finished || (args.resubmit_ambiguous && listed.ambiguous > 0);
    let mut runs = store.runs().await?.into_iter();
    let Some(named) = named else {
        let none = || Failure::new(Exit::Usage, "there is no run to go on with", "`tracejury runs list` shows what there is");
        return runs.find(|listed| left(listed) && !is_live(store.path(), &listed.run.id)).ok_or_else(none);
    };
    runs.find(|listed| listed.run.id == *named).ok_or_else(|| no_such(named))
}

/// The run that is named, or the latest that is over.
async fn latest(store: &Store, named: Option<&RunId>) -> Result<Listed, Failure> {
    let mut runs = store.runs().await?.into_iter();
    match named {
        Some(named) => runs.find(|listed| listed.run.id == *named).ok_or_else(|| no_such(named)),
        None => runs.find(|listed| !is_live(store.path(), &listed.run.id)).ok_or_else(|| {
            Failure::new(Exit::Usage, "there is no run whose failures could be run again", "`tracejury runs list` shows what there is")
        }),
    }
}

/// All that a run needs, and what must live as long as it goes on.
pub(super) async fn assemble(settings: &Settings, id: RunId, resume: Resume, hold: Hold) -> Result<(Run, Court), Failure> {
    let keep = if settings.plugins.archive.as_os_str().is_empty() { Keep::Unclassified } else { Keep::Failed };
    let terms = Arc::new(Terms { keep, ..terms(settings)? });
    let trust = trust(settings)?;
    let (api, outbox) = (DebugApi::new(settings, &trust)?, Outbox::new(&settings.webhook, &trust.anonymous())?);
    let store = Store::open(&settings.journal.path)?;
    let audit = match settings.audit.path.as_os_str().is_empty() {
        true => None,
        false => Some(Arc::new(AuditLog::open(&settings.audit)?)),
    };
    let court = court(settings, hold).await?;
    let run = Run {
        id,
        store,
        resume,
        api,
        outbox,
        jury: Arc::clone(&court.jury),
        terms,
        audit,
        audit_group: settings.audit.group.duration(),
        concurrency: settings.api.concurrency.get(),
        patience: Patience::default(),
    };
    Ok((run, court))
}

/// Takes the lease of a run and writes down that it begins; what is too old goes, and what an earlier process left undone in the audit log
/// is done. The lease must be held for as long as the run goes on.
pub(super) async fn begin(run: &Run, suite: &Suite, files: &[PathBuf], picked: Picked, settings: &Settings) -> Result<Lease, Failure> {
    let lease = lease(run).await?.ok_or_else(|| {
        Failure::new(
            Exit::CouldNotRun,
            format!("another process is at run {}", run.id),
            "wait until it ends; `tracejury runs list` shows it",
        )
    })?;
    if run.resume == Resume::No {
        let name = |file: &PathBuf| match file == Path::new("-") {
            true => "-".to_owned(),
            // Resumed from another folder it must find the same file.
            false => std::path::absolute(file).unwrap_or_else(|_| file.clone()).display().to_string(),
        };
        let row = RunRow {
            platform: platform(settings),
            files: files.iter().map(name).collect(),
            attempts: run.patience.attempts,
            parent: picked.parent,
            filters: picked.filters,
            shards: picked.shards,
            ..RunRow::new(run.id.clone(), suite.count())
        };
        run.store.begin(&row).await?;
    } else {
        run.store.go_on(&run.id).await?;
    }
    let oldest = now().saturating_sub(i64::try_from(settings.journal.keep_days.get()).unwrap_or(i64::MAX).saturating_mul(86_400_000));
    run.store.forget_runs(oldest).await?;
    let states = vec![DeliveryState::Delivered, DeliveryState::Dead];
    run.store.forget_deliveries(&Pick { states, before: Some(oldest), ..Pick::default() }).await?;
    if let Some(log) = &run.audit {
        let left = catch_up(&run.store, log, Some(&run.id)).await;
        let left =
            left.map_err(|what| Failure::new(Exit::CouldNotRun, what, "check AUDIT_LOG_PATH and journal.path; nothing was submitted"))?;
        if left > 0 {
            report::to_stderr(&format!("audit log: {} of a run that was cut off written now", report::plural(left, "entry")));
        }
    }
    Ok(lease)
}

/// The lease of a run. Others take it for a moment to see whether somebody has it, and for what was left undone of it.
async fn lease(run: &Run) -> Result<Option<Lease>, Failure> {
    for _ in 0..20 {
        if let Some(lease) = Lease::take(run.store.path(), &run.id)? {
            return Ok(Some(lease));
        }
        // A lock of a file tells nobody when it is free.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    Ok(None)
}

/// The command that goes on with a run.
fn again(run: &Run, args: &RunArgs) -> String {
    let mut words = vec!["tracejury run".to_owned()];
    if args.vectors.iter().any(|file| file == Path::new("-")) {
        words.push("-".to_owned());
    }
    words.push(format!("--resume {}", run.id));
    let mut flag = |name: &str, value: Option<String>| words.extend(value.map(|value| format!("--{name} {value}")));
    let own = &args.values;
    own.vars.iter().for_each(|var| flag("var", Some(quoted(var))));
    flag("vars-file", own.vars_file.as_deref().map(shown));
    own.env_vars.iter().for_each(|name| flag("env-var", Some(name.clone())));
    // Its value is not repeated: it comes from the environment, or is given again.
    own.secrets.iter().for_each(|secret| flag("secret", secret.expose().split('=').next().map(str::to_owned)));
    flag("data", own.data.as_deref().map(shown));
    flag("repeat", args.selection.repeat.map(|times| times.to_string()));
    flag("retries", Some(args.selection.retries).filter(|times| *times > 0).map(|times| times.to_string()));
    flag("config", args.common.config.as_deref().map(shown));
    flag("plugins", args.common.plugins.as_deref().map(shown));
    flag("schemas", args.schemas.as_deref().map(shown));
    flag("format", (args.common.format == Format::Json).then(|| "json".to_owned()));
    if args.allow_prod {
        words.push("--allow-prod".to_owned());
    }
    if args.locked {
        words.push("--locked".to_owned());
    }
    words.join(" ")
}

fn shown(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// A word for a POSIX shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./=:@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}
