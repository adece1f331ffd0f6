//! `tracejury plugin lock`, and what holds a run to the lock and to what is trusted.

use super::Hold;
use super::admission::{present, today};
use crate::cli::Common;
use crate::config::Settings;
use crate::doctor::Check;
use crate::exit::{Exit, Failure};
use crate::model::printable;
use crate::plugin::{BUILT_IN_NAME, DEFAULT_FILE, Loaded};
use crate::report::{self, plural};
use crate::share::{Lock, Locked, ShareError, Shelf, Trusted};
use std::path::Path;

/// Holds the plugins of a run to the lock, or to what is trusted of those that came from others.
pub(super) fn hold(settings: &Settings, loaded: &Loaded, hold: Hold) -> Result<(), Failure> {
    // A run that is refused has not found anything out: that is no "not as expected".
    let could_not = |error: ShareError| Failure { exit: Exit::CouldNotRun, ..error.into() };
    let path = if hold == Hold::AsLocked { there(settings)? } else { &settings.share.lock };
    let lock = Lock::read(path).map_err(could_not)?;
    let now = in_use(loaded);
    if hold == Hold::AsLocked {
        if let Some(error) = loaded.refused().next() {
            return Err(Failure::new(Exit::CouldNotRun, format!("{error}; with --locked that ends the run"), "mend or remove it"));
        }
        let differences = lock.differences(&now);
        if !differences.is_empty() {
            let what = format!("the plugins are not those of {}: {}", settings.share.lock.display(), differences.join("; "));
            let help = "`tracejury plugin pull` fetches what is locked; `tracejury plugin lock` writes down what is there, for a review";
            return Err(Failure::new(Exit::CouldNotRun, what, help));
        }
    }
    let foreign: Vec<_> = lock.plugins.iter().filter(|locked| locked.reference.is_some()).collect();
    if foreign.is_empty() {
        return Ok(());
    }
    let trusted = Trusted::read(&settings.trust).map_err(could_not)?;
    for locked in foreign {
        let Some(present) = now.iter().find(|present| present.name == locked.name) else { continue };
        if let Some(reference) = &locked.reference {
            trusted.stands(reference, &locked.name, &locked.signers, &locked.keys).map_err(could_not)?;
            trusted.may_see(reference, &locked.name, &present.grants).map_err(could_not)?;
        }
        if present.file != locked.file {
            report::warn(
                &format!("{}: its file is not the one that was pulled from there", printable(&locked.name)),
                "`tracejury plugin pull` fetches it again; --locked would have refused it",
            );
        }
    }
    Ok(())
}

/// The lock, which must be there: one that is not would hold to nothing.
pub(super) fn there(settings: &Settings) -> Result<&Path, Failure> {
    let path = &settings.share.lock;
    if path.is_file() {
        return Ok(path);
    }
    let what = format!("{}: is not there", path.display());
    Err(Failure::new(Exit::CouldNotRun, what, "check the folder you are in, and share.lock; `tracejury plugin lock` writes one"))
}

/// Writes the plugins as they are now into the lock.
pub(super) async fn execute(common: Common) -> Result<Exit, Failure> {
    let settings = super::settings(&common)?;
    let (_, loaded) = super::loaded(&settings.plugins).await?;
    let lock = Shelf::of(&settings.share)?.alone(|| written(&settings, &loaded))??;
    for locked in &lock.plugins {
        let from = locked.reference.as_ref().map_or_else(|| "your own".to_owned(), ToString::to_string);
        report::to_stdout(&printable(&format!("{} {} {from}", locked.name, locked.version)));
    }
    report::to_stderr(&format!("{} in {}; as of {}", plural(lock.plugins.len(), "plugin"), settings.share.lock.display(), today()));
    Ok(Exit::AsExpected)
}

fn written(settings: &Settings, loaded: &Loaded) -> Result<Lock, Failure> {
    let path = &settings.share.lock;
    let before = Lock::read(path)?;
    let mut lock = Lock::default();
    for present in in_use(loaded) {
        match before.find(&present.name).filter(|locked| locked.reference.is_some()) {
            None => lock.put(present),
            Some(locked) if locked.file == present.file => {
                lock.put(Locked { grants: present.grants, settings: present.settings, ..locked.clone() });
            }
            Some(locked) => {
                let what = format!("{} is {}, and came as {}", printable(&locked.name), present.file, locked.file);
                let help = "`tracejury plugin pull` fetches what came; or remove it first, and lock the file as your own";
                return Err(Failure::new(Exit::Unexpected, what, help));
            }
        }
    }
    // What is locked and not there is for `pull` to fetch, not for this to forget.
    for locked in before.plugins {
        if locked.reference.is_some() && lock.find(&locked.name).is_none() {
            lock.put(locked);
        }
    }
    lock.write(path)?;
    Ok(lock)
}

/// What `doctor` has to say of trust and the lock; nothing where nobody uses them.
pub(super) fn checks(settings: &Settings, loaded: &Loaded) -> Vec<Check> {
    let mut checks = Vec::new();
    if !settings.trust.from.is_empty() || !settings.trust.keys.is_empty() {
        checks.push(match Trusted::read(&settings.trust) {
            Ok(trusted) => {
                Check::ok("trust", format!("{}, {}", plural(trusted.keys(today()).len(), "key"), plural(trusted.rules().len(), "rule")))
            }
            Err(error) => Check::failure("trust", error.to_string(), error.help()),
        });
    }
    if settings.share.lock.exists() {
        let path = settings.share.lock.display();
        checks.push(match Lock::read(&settings.share.lock).map(|lock| lock.differences(&in_use(loaded))) {
            Ok(none) if none.is_empty() => Check::ok("lock", format!("the plugins are those of {path}")),
            Ok(some) => Check::warning(
                "lock",
                format!("{path}: {}", some.join("; ")),
                "`tracejury plugin pull` fetches what is locked, `plugin lock` writes down what is there",
            ),
            Err(error) => Check::failure("lock", error.to_string(), error.help()),
        });
    }
    checks
}

/// What is in use, but for the default classifier: that comes with the program.
fn in_use(loaded: &Loaded) -> Vec<Locked> {
    let profiles = loaded.profiles().into_iter();
    let used = profiles.filter(|profile| profile.refused.is_none() && (profile.file != DEFAULT_FILE || profile.name != BUILT_IN_NAME));
    used.map(present).collect()
}
