//! `tracejury plugin update`: what newer versions would change, and whether anything is against them.

use super::admission::{Admitted, admit, file_of};
use super::backtest::{self, compare};
use super::shelf::{fetched, open};
use super::{loader, settings};
use crate::cli::share::{TakeArgs, UpdateArgs};
use crate::config::Settings;
use crate::eval::Backtest;
use crate::exit::{Exit, Failure};
use crate::model::printable;
use crate::plugin::Sight;
use crate::report::{self, Format, plain_table, plural};
use crate::share::{Changes, Lock, Locked, Reference, Trusted, Version};
use crate::workshop::Trial;
use serde_json::json;
use std::path::{Path, PathBuf};

pub(super) async fn execute(args: UpdateArgs) -> Result<Exit, Failure> {
    let settings = settings(&args.common)?;
    let lock = Lock::read(&settings.share.lock)?;
    if let Some(name) = args.names.iter().find(|name| lock.find(name).is_none_or(|locked| locked.reference.is_none())) {
        let what = format!("{}: nothing of that name came from a registry", printable(name));
        return Err(Failure::new(Exit::Usage, what, &format!("{} says what did", settings.share.lock.display())));
    }
    let wanted = |locked: &&Locked| args.names.is_empty() || args.names.contains(&locked.name);
    let mut exit = Exit::AsExpected;
    for locked in lock.plugins.iter().filter(wanted) {
        let Some(reference) = &locked.reference else { continue };
        // One that cannot be asked about keeps nobody from asking about the others.
        if let Err(failure) = looked_after(&settings, &args, locked, reference).await {
            report::fail(&format!("{} stays at {}: {:#}", locked.name, locked.version, failure.error), &failure.help);
            exit = exit.max(failure.exit);
        }
    }
    Ok(exit)
}

async fn looked_after(settings: &Settings, args: &UpdateArgs, locked: &Locked, reference: &Reference) -> Result<(), Failure> {
    match newer(settings, locked, reference).await? {
        Some(next) => update(settings, args, locked, &next).await,
        None => {
            report::to_stderr(&format!("{} {} is current", printable(&locked.name), printable(&locked.version)));
            Ok(())
        }
    }
}

/// Where a newer version is: the highest tag above this one; or the same tag, where it is another manifest now.
async fn newer(settings: &Settings, locked: &Locked, reference: &Reference) -> Result<Option<Reference>, Failure> {
    Trusted::read(&settings.trust)?.admits(reference)?;
    let registry = open(settings, reference).await?;
    let now = semver::Version::parse(&locked.version).ok();
    let tags = registry.tags(reference).await?;
    let versions = tags.iter().filter_map(|tag| Some((semver::Version::parse(tag).ok()?, tag)));
    let above = versions.filter(|(version, _)| version.pre.is_empty() && now.as_ref().is_none_or(|now| version > now)).max();
    if let Some((_, tag)) = above {
        return Ok(Some(reference.with_tag(tag)));
    }
    let same = registry.digest(reference).await?;
    Ok((Some(same) != locked.digest).then(|| reference.clone()))
}

async fn update(settings: &Settings, args: &UpdateArgs, locked: &Locked, next: &Reference) -> Result<(), Failure> {
    let take = TakeArgs { no_verify: false, allow_downgrade: false };
    let admitted = admit(settings, fetched(settings, next).await?, &take)?;
    if admitted.locked.name != locked.name {
        let what = format!("{next} is named {} now", printable(&admitted.locked.name));
        return Err(Failure::new(Exit::Unexpected, what, "ask its author; `tracejury plugin pull` takes it as another plugin"));
    }
    let loader = loader(&settings.plugins)?;
    let file = file_of(settings, &locked.name);
    if !file.is_file() {
        let what = format!("{}: is not there, and nothing can be compared with it", file.display());
        return Err(Failure::new(Exit::Usage, what, "`tracejury plugin pull` fetches what is locked"));
    }
    let version = |file: &Path| Trial::of(&loader, file, Sight::AsGranted).map(|trial| version_of(&trial));
    let changes = Changes::between(&version(&file)?, &version(&admitted.written.file)?);
    let test = tried(settings, args, &admitted).await?;
    shown(args.common.format, locked, next, &changes, test.as_ref());
    if let (Some(most), Some(test)) = (args.max_flips, test)
        && test.flips.len() > most
    {
        let what = format!("{} of {} would change, more than --max-flips {most}", test.flips.len(), plural(test.traces, "outcome"));
        return Err(Failure::new(Exit::Unexpected, what, "look at the outcomes above; if they are right, allow as many"));
    }
    if args.apply {
        let file = admitted.take(settings)?;
        report::to_stderr(&format!("in use as {}, and in {}", file.display(), settings.share.lock.display()));
    } else {
        report::to_stderr("nothing was changed; --apply takes it");
    }
    Ok(())
}

/// What would change on recorded traces; nothing where there is no archive to try it on.
async fn tried(settings: &Settings, args: &UpdateArgs, admitted: &Admitted) -> Result<Option<Backtest>, Failure> {
    let archive = Some(settings.plugins.archive.clone()).filter(|path| path.is_file());
    let against: Vec<PathBuf> = if args.against.is_empty() { archive.into_iter().collect() } else { args.against.clone() };
    if against.is_empty() {
        if args.max_flips.is_some() {
            let help = "name recorded traces with --against, or set plugins.archive so that `run` collects them";
            return Err(Failure::new(Exit::Usage, "--max-flips has nothing to count on", help));
        }
        return Ok(None);
    }
    let compared = compare(settings, &admitted.written.file, &against).await?;
    Ok(Some(compared.test))
}

fn version_of(trial: &Trial) -> Version {
    let profile = trial.profile();
    let rules = trial.pack().into_iter().flat_map(|pack| &pack.rules);
    Version {
        version: profile.version.clone(),
        imports: profile.imports.iter().cloned().collect(),
        reads: profile.reads.iter().cloned().collect(),
        // The line on which a rule stands is none of what it is.
        rules: rules.map(|rule| (rule.id.clone(), format!("{:?}", tracejury_regex::pack::Rule { line: 0, ..rule.clone() }))).collect(),
    }
}

fn shown(format: Format, locked: &Locked, next: &Reference, changes: &Changes, test: Option<&Backtest>) {
    if format == Format::Json {
        let line = json!({"schema": 1, "plugin": locked.name, "reference": next, "changes": changes, "backtest": test});
        return report::to_stdout(&line.to_string());
    }
    let mut rows = vec![["plugin".to_owned(), locked.name.clone()], ["from".to_owned(), next.to_string()]];
    rows.extend(changes.rows());
    let told = |test: &Backtest| format!("{} of {} would change", test.flips.len(), test.traces);
    rows.push(["outcomes".to_owned(), test.map_or_else(|| "not tried: there is no archive".to_owned(), told)]);
    report::to_stdout(&plain_table(&[], rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect())));
    if let Some(test) = test.filter(|test| !test.flips.is_empty()) {
        report::to_stdout(&format!("\n{}", backtest::flips(test)));
    }
}
