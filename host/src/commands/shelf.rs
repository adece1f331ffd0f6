//! `tracejury plugin pull`, `load`, `remove` and `list --available`: what is taken into use, and what lies on the shelf.

use super::admission::{Admitted, Arrival, admit, file_of, today};
use super::{lock, settings};
use crate::cli::Common;
use crate::cli::share::{LoadArgs, PullArgs, RemoveArgs, TakeArgs};
use crate::config::Settings;
use crate::exit::{Exit, Failure};
use crate::model::{Digest, printable};
use crate::report::{self, Format, plain_table, plural};
use crate::share::{self, Came, Lock, Locked, Reference, Registry, ShareError, Shelf, Trusted};
use chrono::NaiveDate;

pub(super) async fn pull(args: PullArgs) -> Result<Exit, Failure> {
    let settings = settings(&args.common)?;
    let Some(reference) = args.reference else { return pull_locked(&settings, &args.take).await };
    let fetched = fetched(&settings, &reference).await?;
    taken(&settings, fetched, &args.take, args.common.format)
}

pub(super) fn load(args: LoadArgs) -> Result<Exit, Failure> {
    let settings = settings(&args.common)?;
    taken(&settings, loaded_from(&settings, &args.file)?, &args.take, args.common.format)
}

/// The artifact of a file that `save` wrote.
pub(super) fn loaded_from(settings: &Settings, file: &std::path::Path) -> Result<Arrival, Failure> {
    let opened = std::fs::File::open(file);
    let opened = opened
        .map_err(|e| Failure::new(Exit::Usage, format!("{}: {e}", file.display()), "name a file that `tracejury plugin save` wrote"))?;
    let (reference, artifact, signatures) = share::load(std::io::BufReader::new(opened), most(settings))?;
    Ok(Arrival { reference, artifact, signatures, came: Came::ByHand, on: today() })
}

/// The largest component that is taken, in bytes.
pub(super) fn most(settings: &Settings) -> u64 {
    settings.plugins.max_file_mib.mib() as u64
}

/// What lies under a reference now. Whether anything may come from there is asked first.
pub(super) async fn fetched(settings: &Settings, reference: &Reference) -> Result<Arrival, Failure> {
    Trusted::read(&settings.trust)?.admits(reference)?;
    let registry = open(settings, reference).await?;
    let (artifact, signatures) = registry.pull(reference).await?;
    Ok(Arrival { reference: reference.clone(), artifact, signatures, came: Came::FromRegistry, on: today() })
}

pub(super) async fn open(settings: &Settings, reference: &Reference) -> Result<Registry, ShareError> {
    Registry::open(&settings.share, &settings.tls.ca_file, reference, most(settings)).await
}

fn taken(settings: &Settings, fetched: Arrival, take: &TakeArgs, format: Format) -> Result<Exit, Failure> {
    let admitted = admit(settings, fetched, take)?;
    let file = admitted.take(settings)?;
    match format {
        Format::Json => report::to_stdout(&admitted.line(&file).to_string()),
        Format::Human => {
            show(&admitted);
            report::to_stderr(&format!("in use as {}, and in {}", file.display(), settings.share.lock.display()));
        }
    }
    Ok(Exit::AsExpected)
}

pub(super) fn show(admitted: &Admitted) {
    report::to_stdout(&plain_table(&[], admitted.told().into_iter().map(|(name, value)| vec![name.to_owned(), value])));
}

/// All that the lock names: from the shelf, else from where it came, and nothing but what is locked. The lock stays as it was reviewed;
/// of what is there already the signatures are checked.
async fn pull_locked(settings: &Settings, take: &TakeArgs) -> Result<Exit, Failure> {
    let lock = Lock::read(lock::there(settings)?)?;
    let (mut taken, mut there) = (0, 0);
    for locked in &lock.plugins {
        let (Some(reference), Some(digest)) = (&locked.reference, locked.digest) else { continue };
        let file = file_of(settings, &locked.name);
        let present = std::fs::read(&file).is_ok_and(|bytes| Digest::of(&bytes) == locked.file);
        let admitted = match on_the_shelf(settings, locked, reference, digest).map(|arrival| admit(settings, arrival, take)) {
            Some(Ok(admitted)) => admitted,
            // It may have been signed anew since.
            _ => {
                let arrival = fetched(settings, &reference.pinned(digest)).await?;
                admit(settings, Arrival { reference: reference.clone(), on: taken_on(locked), ..arrival }, take)?
            }
        };
        same(locked, &admitted.locked)?;
        if present {
            there += 1;
            continue;
        }
        let file = admitted.take_again(settings)?;
        report::to_stdout(&printable(&format!("{} {} {}", locked.name, locked.version, file.display())));
        taken += 1;
    }
    report::to_stderr(&format!("{} taken, as locked; {there} there already, and signed as they should be", plural(taken, "plugin")));
    Ok(Exit::AsExpected)
}

fn on_the_shelf(settings: &Settings, locked: &Locked, reference: &Reference, digest: Digest) -> Option<Arrival> {
    let (_, artifact, signatures) = Shelf::of(&settings.share).ok()?.get(reference, Some(digest), most(settings)).ok()?;
    Some(Arrival { reference: reference.clone(), artifact, signatures, came: Came::FromRegistry, on: taken_on(locked) })
}

/// The day whose keys count for what is locked: one that has expired since changes nothing about what it signed in its time.
fn taken_on(locked: &Locked) -> NaiveDate {
    locked.tested.as_ref().map_or_else(today, |tested| tested.on)
}

fn same(locked: &Locked, now: &Locked) -> Result<(), Failure> {
    if (&locked.name, locked.file, locked.digest) == (&now.name, now.file, now.digest) {
        return Ok(());
    }
    let what = format!("{}: what came is {} {}, and the lock has {} {}", locked.name, now.name, now.file, locked.name, locked.file);
    Err(Failure::new(Exit::Unexpected, printable(&what), "ask the registry's operator what happened"))
}

pub(super) async fn remove(args: RemoveArgs) -> Result<Exit, Failure> {
    let settings = settings(&args.common)?;
    if args.plugin.contains('/') {
        let reference: Reference = args.plugin.parse()?;
        Shelf::of(&settings.share)?.remove(&reference)?;
        report::to_stderr(&format!("{reference} is off the shelf; what is in use stays"));
        return Ok(Exit::AsExpected);
    }
    let locked = Shelf::of(&settings.share)?.alone(|| taken_out(&settings, &args.plugin))??;
    report::to_stderr(&format!("{} is out of use; its copy stays on the shelf", printable(&locked.name)));
    Ok(Exit::AsExpected)
}

fn taken_out(settings: &Settings, name: &str) -> Result<Locked, Failure> {
    let mut lock = Lock::read(&settings.share.lock)?;
    let locked = lock.remove(name).ok_or_else(|| {
        let what = format!("{}: no plugin of {} has this name", printable(name), settings.share.lock.display());
        Failure::new(Exit::Usage, what, "a file of your own that is not in the lock you can simply delete")
    })?;
    let file = file_of(settings, &locked.name);
    match std::fs::remove_file(&file) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(Failure::new(Exit::CouldNotRun, format!("{}: {e}", file.display()), "check the folder's permissions"));
        }
        _ => lock.write(&settings.share.lock)?,
    }
    Ok(locked)
}

/// What lies on the shelf.
pub(super) fn available(common: Common) -> Result<Exit, Failure> {
    let kept = Shelf::of(&settings(&common)?.share)?.list()?;
    match common.format {
        Format::Json => kept.iter().for_each(|kept| report::to_stdout(&serde_json::to_string(kept).unwrap_or_default())),
        Format::Human => {
            let rows = kept.iter().map(|kept| {
                let digest = kept.digest.hex().chars().take(12).collect();
                let cells = [kept.name.clone(), kept.version.clone(), digest, kept.signers.join(" "), kept.reference.to_string()];
                cells.iter().map(|cell: &String| if cell.is_empty() { "–".to_owned() } else { printable(cell) }).collect()
            });
            report::to_stdout(&plain_table(&["NAME", "VERSION", "SHA-256", "SIGNED BY", "REFERENCE"], rows));
        }
    }
    Ok(Exit::AsExpected)
}
