//! `tracejury audit …`: the log checked, signed, proved, pruned, compared and exported.

use super::{journal, records};
use crate::audit::{self, AuditError, AuditLog, Checkpoint, Keys, Location, Verified, check_proof};
use crate::cli::{AuditCommand, AuditVerifyArgs, EntryArgs, ExportArgs, OutputArgs, ProveArgs, PruneArgs, ReconcileArgs};
use crate::config::{self, Settings};
use crate::exit::{Exit, Failure};
use crate::model::printable;
use crate::report::{self, Format, plural};
use crate::run::catch_up;
use serde_json::json;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

pub(super) async fn execute(command: AuditCommand) -> Result<Exit, Failure> {
    match command {
        AuditCommand::Reconcile(args) => reconcile(&args).await,
        other => tokio::task::spawn_blocking(move || on_the_log(other))
            .await
            .map_err(|e| Failure::new(Exit::CouldNotRun, format!("the command broke off: {e}"), "please report this"))?,
    }
}

fn on_the_log(command: AuditCommand) -> Result<Exit, Failure> {
    match command {
        AuditCommand::Verify(args) => verify(&args),
        AuditCommand::Show(args) => show(&args),
        AuditCommand::Checkpoint(args) => checkpoint(&args),
        AuditCommand::Prove(args) => prove(&args),
        AuditCommand::Prune(args) => prune(&args),
        AuditCommand::Export(args) => export(&args),
        AuditCommand::Reconcile(_) => Ok(Exit::Usage),
    }
}

fn location(settings: &Settings) -> Result<Location, Failure> {
    match settings.audit.path.as_os_str().is_empty() {
        true => Err(Failure::new(Exit::Usage, "audit.path is not set", "set AUDIT_LOG_PATH, or [audit] in tracejury.toml")),
        false => Ok(Location::of(&settings.audit.path)),
    }
}

fn failed(error: AuditError) -> Failure {
    let (exit, help) = match &error {
        AuditError::Io { .. } => (Exit::CouldNotRun, "check AUDIT_LOG_PATH and the permissions of the folder"),
        AuditError::Broken { .. } => {
            (Exit::Unexpected, "keep the files as they are; a checkpoint kept elsewhere says up to where the log held")
        }
        AuditError::TooOld { .. } => (Exit::Unexpected, "compare with a newer checkpoint"),
        AuditError::Unusable(_) => (Exit::Usage, "README, section Audit log, says what is needed"),
    };
    Failure { exit, error: error.into(), help: help.to_owned() }
}

fn read(file: &Path) -> Result<String, Failure> {
    super::read(file).map(|(_, text)| text)
}

/// The public key to check by: one given, as it is or in a file, or that of the settings' key.
fn public(given: Option<&str>, settings: &Settings) -> Result<String, Failure> {
    match given {
        Some(text) if Keys::is_public(text) => Ok(text.to_owned()),
        Some(file) => read(Path::new(file)),
        None => Ok(keys(settings)?.public),
    }
}

fn keys(settings: &Settings) -> Result<Keys, Failure> {
    let file = &settings.audit.key_file;
    if file.as_os_str().is_empty() {
        return Err(Failure::new(Exit::Usage, "audit.key_file is not set", "`tracejury init` makes a key, and settings that name it"));
    }
    Keys::read(file).map_err(failed)
}

fn verify(args: &AuditVerifyArgs) -> Result<Exit, Failure> {
    let settings = records(&args.records)?;
    if let Some(proof) = &args.proof {
        let (line, index, size) = check_proof(&read(proof)?, &public(args.key.as_deref(), &settings)?).map_err(failed)?;
        report::to_stdout(&line);
        report::to_stderr(&format!("this is entry {index} of a log of {size} entries, by its signed checkpoint"));
        return Ok(Exit::AsExpected);
    }
    let location = location(&settings)?;
    let checkpoint = args.checkpoint.as_ref().map(|file| {
        let public = public(args.key.as_deref(), &settings)?;
        Checkpoint::read(&read(file)?, &public).map_err(|e| {
            let failure = failed(e);
            Failure { error: failure.error.context(file.display().to_string()), ..failure }
        })
    });
    let checkpoint = checkpoint.transpose()?;
    let verified = match audit::verify(&location, checkpoint.as_ref()) {
        Err(error @ (AuditError::Broken { .. } | AuditError::TooOld { .. })) if args.records.format == Format::Json => {
            report::to_stdout(&json!({"schema": 1, "holds": false, "why": error.to_string()}).to_string());
            return Ok(Exit::Unexpected);
        }
        done => done.map_err(failed)?,
    };
    if verified.segments == 0 {
        let what = format!("{}: there is no log", location.pattern().display());
        return Err(Failure::new(Exit::CouldNotRun, what, "check AUDIT_LOG_PATH, or the folder you are in"));
    }
    tell(&verified, checkpoint.as_ref(), args.records.format);
    Ok(Exit::AsExpected)
}

fn tell(verified: &Verified, checkpoint: Option<&Checkpoint>, format: Format) {
    let Verified { first, size, segments, last, days, recovered, .. } = verified;
    let since = checkpoint.map(|checkpoint| checkpoint.size);
    if format == Format::Json {
        let line = json!({
            "schema": 1, "holds": true, "from": first, "entries": size, "segments": segments, "last": last, "checkpoint": since, "recovered": recovered,
        });
        return report::to_stdout(&line.to_string());
    }
    let Some((from, to)) = days else { return };
    let count = usize::try_from(size - first).unwrap_or(usize::MAX);
    report::to_stdout(&format!("holds: {} in {}, from {from} to {to}", plural(count, "entry"), plural(*segments, "segment")));
    if *first > 0 {
        report::to_stdout(&format!("from entry {first} on; the {first} before it were pruned, as the log says itself"));
    }
    if *recovered > 0 {
        let times = if *recovered == 1 { "once".to_owned() } else { format!("{recovered} times") };
        report::to_stdout(&format!("{times} a torn end was moved into quarantine, as the log says itself"));
    }
    match since {
        Some(since) => report::to_stdout(&format!("it leads to the {since} entries of the checkpoint, with {} since", size - since)),
        None => report::to_stdout("without a checkpoint nobody can tell whether its end was cut off"),
    }
    report::to_stdout(&format!("last hash {last}"));
}

fn show(args: &EntryArgs) -> Result<Exit, Failure> {
    let found = find(&location(&records(&args.records)?)?, &args.entry)?;
    let shown = match args.records.format {
        Format::Json => found.line,
        Format::Human => {
            let entry: serde_json::Value = serde_json::from_str(&found.line).unwrap_or_default();
            serde_json::to_string_pretty(&entry).unwrap_or_default().lines().map(printable).collect::<Vec<_>>().join("\n")
        }
    };
    report::to_stdout(&shown);
    Ok(Exit::AsExpected)
}

fn find(location: &Location, what: &str) -> Result<audit::Found, Failure> {
    let none = || {
        Failure::new(
            Exit::Usage,
            format!("no entry has the index, audit id or session id {}", printable(what)),
            "each entry holds all three",
        )
    };
    audit::find(location, what).map_err(failed)?.ok_or_else(none)
}

fn checkpoint(args: &OutputArgs) -> Result<Exit, Failure> {
    let settings = records(&args.records)?;
    write(args, &keys(&settings)?.checkpoint(&location(&settings)?).map_err(failed)?)
}

fn prove(args: &ProveArgs) -> Result<Exit, Failure> {
    let settings = records(&args.to.records)?;
    let location = location(&settings)?;
    let found = find(&location, &args.entry)?;
    write(&args.to, &keys(&settings)?.prove(&location, found.index).map_err(failed)?)
}

fn write(args: &OutputArgs, text: &str) -> Result<Exit, Failure> {
    match &args.output {
        Some(file) => std::fs::File::create(file)
            .and_then(|mut to| to.write_all(text.as_bytes()).and_then(|()| to.sync_all()))
            .map_err(|e| Failure::new(Exit::CouldNotRun, format!("{}: {e}", file.display()), "check the folder and its permissions"))?,
        None => report::to_stdout(text.trim_end()),
    }
    Ok(Exit::AsExpected)
}

fn prune(args: &PruneArgs) -> Result<Exit, Failure> {
    let settings = records(&args.records)?;
    location(&settings)?;
    let days = args.older_than.map_or(settings.audit.retention_days, |age| u32::try_from(age.as_secs() / 86_400).unwrap_or(u32::MAX));
    if days == 0 {
        return Err(Failure::new(Exit::Usage, "less than a day is no retention", "give --older-than a number of days, such as 90d"));
    }
    let removal = AuditLog::open(&settings.audit).and_then(|log| log.prune(days)).map_err(failed)?;
    let done = match removal.segments.len() {
        0 => format!("nothing is older than {}", plural(days as usize, "day")),
        count => format!(
            "{} with {} removed; an entry of the log says so",
            plural(count, "segment"),
            plural(usize::try_from(removal.entries).unwrap_or(usize::MAX), "entry")
        ),
    };
    report::to_stdout(&done);
    Ok(Exit::AsExpected)
}

fn export(args: &ExportArgs) -> Result<Exit, Failure> {
    let settings = config::load(args.config.as_deref(), |name| std::env::var(name).ok())?;
    audit::export(&location(&settings)?, |event| report::to_stdout(&event.to_string())).map_err(failed)?;
    Ok(Exit::AsExpected)
}

async fn reconcile(args: &ReconcileArgs) -> Result<Exit, Failure> {
    let settings = records(&args.records)?;
    let (location, store) = (location(&settings)?, journal(&settings)?);
    let entries = store.entries().await?;
    let compare = move || audit::reconcile(&location, entries);
    let found = tokio::task::spawn_blocking(compare).await.map_err(|e| Failure::new(Exit::CouldNotRun, e, "please report this"))?;
    let found = found.map_err(failed)?;
    let open: Vec<_> = store.runs().await?.into_iter().filter(|listed| listed.under_way > 0).collect();
    let mut written = 0;
    if args.write_missing && !found.missing.is_empty() {
        let log = Arc::new(AuditLog::open(&settings.audit).map_err(failed)?);
        store.unwrite(found.missing.iter().map(|entry| entry.audit_id.clone()).collect()).await?;
        written =
            catch_up(&store, &log, None).await.map_err(|e| Failure::new(Exit::CouldNotRun, e, "check AUDIT_LOG_PATH and journal.path"))?;
    }
    let missing = found.missing.len().saturating_sub(written);
    if args.records.format == Format::Json {
        let ids: Vec<_> = found.missing.iter().map(|entry| &entry.audit_id).collect();
        let runs: Vec<_> = open.iter().map(|listed| json!({"run": listed.run.id, "vectors": listed.under_way})).collect();
        let line = json!({
            "schema": 1, "both": found.both, "missing": ids, "written": written, "doubled": found.doubled, "unknown": found.unknown,
            "withoutOutcome": runs,
        });
        report::to_stdout(&line.to_string());
    } else {
        report::to_stdout(&format!("{} in both, {missing} missing in the log, {} there twice", found.both, found.doubled.len()));
        for entry in &found.missing {
            report::to_stdout(&format!(
                "  missing: {} of run {}{}",
                entry.audit_id,
                entry.run,
                if written > 0 { ", written now" } else { "" }
            ));
        }
        found.doubled.iter().for_each(|id| report::to_stdout(&format!("  twice: {id}")));
        for listed in &open {
            let what = plural(listed.under_way, "vector");
            report::to_stdout(&format!("  {what} submitted without an outcome: `tracejury run --resume {}`", listed.run.id));
        }
        if found.unknown > 0 {
            report::to_stdout(&format!("{} of the log are older than the journal, or another's", plural(found.unknown, "entry")));
        }
    }
    Ok(if missing == 0 && found.doubled.is_empty() { Exit::AsExpected } else { Exit::Unexpected })
}
