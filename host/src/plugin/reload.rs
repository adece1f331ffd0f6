//! New versions of plugins while a command goes on: the folder is watched, a changed file is loaded beside its older version and
//! takes its seat when it is ready. A broken one leaves the last good one where it is. It knows files and seats, not components.

use super::{Loaded, Loader, PluginError, Seat};
use crate::jury::Jury;
use notify_debouncer_mini::notify::{RecommendedWatcher, RecursiveMode};
use notify_debouncer_mini::{DebounceEventResult, Debouncer, new_debouncer};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a file must be left alone before it is read: who copies a file writes it in pieces.
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
        let failed = |why: notify_debouncer_mini::notify::Error| PluginError::Folder { dir: dir.clone(), why: std::io::Error::other(why) };
        let own = dir.clone();
        let changed = move |events: DebounceEventResult| {
            // An error of the watcher is no change of a file; the next change is seen all the same.
            let paths = events.unwrap_or_default().into_iter().filter_map(|event| Some(own.join(event.path.file_name()?)));
            let files: BTreeSet<_> = paths.filter(|path| path.extension().is_some_and(|e| e == "wasm")).collect();
            let changes: Vec<_> = files.into_iter().filter_map(|file| loaded.refresh(&loader, &file)).collect();
            if !changes.is_empty() {
                jury.replace(loaded.classifiers());
                changes.into_iter().for_each(&mut tell);
            }
        };
        let mut watcher = new_debouncer(QUIET, changed).map_err(failed)?;
        watcher.watcher().watch(&dir, RecursiveMode::NonRecursive).map_err(failed)?;
        Ok(Self { _watcher: watcher })
    }
}

impl Loaded {
    /// Looks at one file again; none where nothing came of it.
    fn refresh(&mut self, loader: &Loader, file: &Path) -> Option<Change> {
        let seat = self.seats.iter().position(|seat| seat.file == file);
        if std::fs::symlink_metadata(file).is_err() {
            self.seats.remove(seat?);
            return Some(Change::Left(file.to_owned()));
        }
        let loaded = loader.file(file);
        let before = seat.and_then(|seat| self.seats.get(seat));
        if let (Ok(plugin), Some(before)) = (&loaded, before)
            && before.profile.digest == Some(plugin.identity.digest)
        {
            return None;
        }
        match (before.is_some_and(|seat| seat.refused.is_none()), self.unique(file, loaded)) {
            (true, Err(error)) => Some(Change::Kept(error)),
            (_, plugin) => {
                self.seats.retain(|seat| seat.file != file);
                self.seat(file.to_owned(), plugin);
                self.seats.last().map(Change::of)
            }
        }
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
