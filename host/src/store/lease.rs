//! Who is at a run: a lock that ends with the process, however it ends. Two that resume one run would submit its vectors twice.

use super::StoreError;
use crate::model::RunId;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// The right to go on with a run, for as long as it is held.
#[derive(Debug)]
pub struct Lease {
    file: Option<(File, PathBuf)>,
}

impl Lease {
    /// Takes the lease of a run; none where another process has it. A journal in memory has no other process.
    ///
    /// # Errors
    /// [`StoreError`], where no lock can be made beside the journal.
    pub fn take(journal: &Path, run: &RunId) -> Result<Option<Self>, StoreError> {
        if journal.as_os_str().is_empty() {
            return Ok(Some(Self { file: None }));
        }
        let path = lock_of(journal, run);
        let failed = |e: std::io::Error| StoreError::Unusable { path: path.clone(), why: e.to_string() };
        loop {
            let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
            match file.try_lock() {
                // Who had it before may have removed it since it was opened: then the next one would find another.
                Ok(()) if is_still_there(&file, &path) => return Ok(Some(Self { file: Some((file, path)) })),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(e)) => return Err(failed(e)),
            }
        }
    }
}

/// Whether a path still leads to a file that was opened there.
#[cfg(unix)]
#[must_use]
pub fn is_still_there(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let own = file.metadata().map(|m| (m.dev(), m.ino()));
    own.is_ok_and(|own| std::fs::metadata(path).is_ok_and(|there| own == (there.dev(), there.ino())))
}

/// Whether a path still leads to a file that was opened there.
#[cfg(not(unix))]
#[must_use]
pub fn is_still_there(_: &File, path: &Path) -> bool {
    path.exists()
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some((file, path)) = self.file.take() {
            let _ = std::fs::remove_file(path);
            let _ = file.unlock();
        }
    }
}

/// Whether a process is at a run.
#[must_use]
pub fn is_live(journal: &Path, run: &RunId) -> bool {
    let Ok(file) = File::open(lock_of(journal, run)) else { return false };
    // Shared: two who look at once must not take each other for the one who runs it.
    match file.try_lock_shared() {
        Ok(()) => file.unlock().is_err(),
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(_)) => false,
    }
}

fn lock_of(journal: &Path, run: &RunId) -> PathBuf {
    journal.with_file_name(format!("{run}.lock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, run) = (dir.path().join("journal.db"), RunId::new());
        assert!(!is_live(&journal, &run));
        let held = Lease::take(&journal, &run).unwrap().unwrap();
        assert!(is_live(&journal, &run) && Lease::take(&journal, &run).unwrap().is_none());
        drop(held);
        assert!(!is_live(&journal, &run) && Lease::take(&journal, &run).unwrap().is_some());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
    }
}
