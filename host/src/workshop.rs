//! Where classifiers are written: made, built, tried, checked, measured and packed. It knows plugins from their author's side; how one
//! runs is left to `plugin`, how things are shown to `commands`.

mod bench;
mod build;
mod cases;
mod check;
mod coverage;
mod explain;
mod junit;
mod native;
mod new;
mod pack;
mod project;
mod shape;
mod test;
mod trial;
mod unclassified;
mod world;

pub use bench::{Figures, as_engine_sees, bench};
pub use build::{Built, build};
pub use cases::{Case, Cases, beside};
pub use check::{Finding, Mark, check};
pub use coverage::{RuleCount, coverage};
pub use explain::{Every, explain};
pub use junit::junit;
pub use new::{Language, new};
pub use pack::{carry, describe, pack};
pub use test::{Tested, Tests, test, update};
pub use trial::{Heard, RuleHeard, State, Trial};
pub use unclassified::{Group, groups, matched, proposal};

use std::io::Write as _;
use std::path::Path;

/// Why the workshop cannot do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct WorkshopError {
    /// What failed, and where.
    pub what: String,
    /// What to do next.
    pub help: String,
}

impl WorkshopError {
    fn new(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { what: what.into(), help: help.into() }
    }

    fn file(path: &Path, error: &std::io::Error) -> Self {
        Self::new(format!("{}: {error}", path.display()), "check the file's name and permissions")
    }
}

/// Writes a file under another name first: who reads it meanwhile, or watches its folder, sees the whole of it or what was there.
///
/// # Errors
/// It cannot be written.
pub fn write_whole(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(dir)?;
    let mut new = tempfile::Builder::new();
    // As any new file would be; a temporary one is for its owner alone.
    #[cfg(unix)]
    new.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut new = new.suffix(".part").tempfile_in(dir)?;
    new.write_all(bytes)?;
    if let Ok(before) = std::fs::metadata(file) {
        new.as_file().set_permissions(before.permissions())?;
    }
    new.persist(file)?;
    Ok(())
}
