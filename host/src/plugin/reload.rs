//! New versions of plugins while a command goes on: the folder is watched, a changed file is loaded beside its older version and
//! takes its seat when it is ready. A broken one leaves the last good one where it is. It knows files and seats, not components.

use super::seats::{Candidate, Loaded, Seat};
use super::{DEFAULT_FILE, Loader, PluginError, source};
use crate::jury::Jury;
use notify_debouncer_mini::notify::{Error, RecommendedWatcher, RecursiveMode};
use notify_debouncer_mini::{DebounceEventResult, Debouncer, new_debouncer};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a folder must be left alone before it is looked at: who copies a file writes it in pieces.
const QUIET: Duration = Duration::from_millis(200);

/// What a change of the folder came to.
#[derive(Debug)]
pub enum Change {
    /// A plugin, by name, version and file, has its seat from now on; calls under way end on the version they began with.
    Took(String, String, PathBuf),
    /// A file is gone, and its plugin with it.
    Left(PathBuf),
    /// A new file is refused.
    Refused(Arc<PluginError>),
    /// A changed file is refused; the version loaded before goes on.
    Kept(PluginError),
}

/// Watches until it is dropped.
pub struct Watch {
    _watcher: Debouncer<RecommendedWatcher>,
}

impl Watch {
    /// Watches the folder of plugins, and seats what changes in `jury`, whose members are `loaded` now.
    ///
    /// # Errors
    /// The system does not let the folder be watched; what is loaded goes on as it is.
    pub fn start(
        loader: Arc<Loader>,
        mut loaded: Loaded,
        jury: Arc<Jury>,
        mut tell: impl FnMut(Change) + Send + 'static,
    ) -> Result<Self, PluginError> {
        let dir = loader.settings.dir.clone();
        let failed = |why: Error| PluginError::Folder { dir: dir.clone(), why: std::io::Error::other(why) };
        let look = move || {
            loaded.look_again(&loader, |now, change| {
                jury.replace(now.classifiers());
                tell(change);
            });
        };
        let look = Arc::new(Mutex::new(look));
        // Whatever is told, the folder itself is looked at: events name links rather than what they lead to, and some get lost.
        let own = Arc::clone(&look);
        let mut watcher =
            new_debouncer(QUIET, move |_: DebounceEventResult| (own.lock().unwrap_or_else(PoisonError::into_inner))()).map_err(failed)?;
        watcher.watcher().watch(&dir, RecursiveMode::NonRecursive).map_err(failed)?;
        // What changed while all was loaded, before anyone watched.
        (look.lock().unwrap_or_else(PoisonError::into_inner))();
        Ok(Self { _watcher: watcher })
    }
}

impl Loaded {
    /// Looks at every file of the folder that is not as it was, and tells of each change with what is loaded then.
    fn look_again(&mut self, loader: &Loader, mut tell: impl FnMut(&Self, Change)) {
        // A folder that cannot be listed now may be there again the next time.
        let Ok(files) = source::list(&loader.settings.dir) else { return };
        let gone = |seat: &Seat| seat.file != Path::new(DEFAULT_FILE) && !files.contains(&seat.file);
        let mut changed = false;
        // First who leaves: a name may be free for another file then.
        for file in self.seats.iter().filter(|seat| gone(seat)).map(|seat| seat.file.clone()).collect::<Vec<_>>() {
            self.seats.retain(|seat| seat.file != file);
            changed = true;
            tell(self, Change::Left(file));
        }
        for file in &files {
            if let Some(change) = self.refresh(loader, file) {
                changed = true;
                tell(self, change);
            }
        }
        let namesakes: Vec<_> = self.seats.iter().filter(|seat| seat.namesake && changed).map(|seat| seat.file.clone()).collect();
        for file in namesakes {
            let candidate = loader.candidate(file);
            let free = candidate.plugin.as_ref().is_ok_and(|plugin| self.bearer(&plugin.profile.name, &candidate.file).is_none());
            if let Some(change) = free.then(|| self.take_seat(candidate)).flatten() {
                tell(self, change);
            }
        }
    }

    /// Looks at one file; none where nothing came of it.
    fn refresh(&mut self, loader: &Loader, file: &Path) -> Option<Change> {
        let seat = self.seats.iter().position(|seat| seat.file == file);
        let before = seat.and_then(|seat| self.seats.get_mut(seat));
        if before.as_ref().is_some_and(|before| before.stamps == source::stamps(file, &before.parts)) {
            return None;
        }
        let candidate = loader.candidate(file.to_owned());
        let Some(before) = before else { return self.take_seat(candidate) };
        before.stamps.clone_from(&candidate.stamps);
        before.parts.clone_from(&candidate.parts);
        let digest = candidate.plugin.as_ref().ok().map(|plugin| plugin.identity.digest);
        if digest.is_some() && before.profile.digest == digest {
            return None;
        }
        if before.refused.is_some() {
            return self.take_seat(candidate);
        }
        self.replace(candidate)
    }

    /// A new version in the seat of one that is good: it must be better than nothing.
    fn replace(&mut self, candidate: Candidate) -> Option<Change> {
        let Candidate { file, stamps, parts, plugin } = candidate;
        let other = plugin.as_ref().ok().and_then(|plugin| Some((plugin.profile.name.clone(), self.bearer(&plugin.profile.name, &file)?)));
        match (plugin, other) {
            (Err(error), _) => Some(Change::Kept(error)),
            (Ok(_), Some((name, other))) => Some(Change::Kept(super::seats::like(&file, &name, &other))),
            (Ok(plugin), None) => self.take_seat(Candidate { file, stamps, parts, plugin: Ok(plugin) }),
        }
    }

    /// Gives a file its seat, and says what came of it.
    fn take_seat(&mut self, candidate: Candidate) -> Option<Change> {
        self.seat(candidate, None);
        self.seats.last().map(Change::of)
    }
}

impl Change {
    fn of(seat: &Seat) -> Self {
        match &seat.refused {
            Some(error) => Self::Refused(Arc::clone(error)),
            None => Self::Took(seat.profile.name.clone(), seat.profile.version.clone(), seat.file.clone()),
        }
    }
}
