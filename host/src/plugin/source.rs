//! Where components come from: the files of a folder. It reads bytes and knows no wasmtime.

use super::{PluginError, refused};
use crate::config::Count;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What a plugin's name ends in.
const ENDINGS: [&str; 3] = ["wasm", "toml", "js"];

/// The plugins of `dir`, by their files' names. A folder that does not exist holds none.
pub(super) fn list(dir: &Path) -> Result<Vec<PathBuf>, PluginError> {
    let failed = |why| PluginError::Folder { dir: dir.to_owned(), why };
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(why) => return Err(failed(why)),
    };
    let mut files = entries
        .map(|entry| entry.map(|e| e.path()))
        .filter(|path| path.as_ref().map_or(true, |p| p.extension().is_some_and(|e| ENDINGS.iter().any(|ending| e == *ending))))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    files.sort();
    Ok(files)
}

/// By what a file is seen to have changed without reading it: when it was written to, its length, and where the system tells which
/// file it is.
pub type Stamp = (SystemTime, u64, u64);

/// The stamp of a file as it is now; none where it cannot be asked.
#[must_use]
pub fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len(), number(&metadata)))
}

/// The stamps of a file, and of further ones that it is made of.
pub(super) fn stamps(file: &Path, parts: &[PathBuf]) -> Vec<Option<Stamp>> {
    std::iter::once(stamp(file)).chain(parts.iter().map(|part| stamp(part))).collect()
}

#[cfg(unix)]
fn number(metadata: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn number(_: &std::fs::Metadata) -> u64 {
    0
}

/// The bytes of a plugin's file: of a regular one that lies in its folder, and of no more than the limit. All is asked of the one
/// file that was opened: what happens to its name meanwhile is of no matter.
pub(super) fn read(path: &Path, limit: Count) -> Result<Vec<u8>, PluginError> {
    let file = path.display().to_string();
    let unreadable = |e: std::io::Error| refused(&file, format!("cannot be read: {e}"), "check the file and its permissions");
    if leads_out(path).map_err(unreadable)? {
        return Err(refused(&file, "is a link to a file outside of the folder", "put the component itself here"));
    }
    let opened = open(path).map_err(unreadable)?;
    if !opened.metadata().map_err(unreadable)?.is_file() {
        return Err(refused(&file, "is not a regular file", "put the component itself here"));
    }
    let mut bytes = Vec::new();
    let most = limit.mib() as u64;
    opened.take(most + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > most {
        return Err(refused(&file, format!("is larger than {} MiB", limit.get()), "raise plugins.max_file_mib if you trust it"));
    }
    Ok(bytes)
}

/// Whether a link leads out of the folder in which it lies: who shares a folder should not share what it points at.
fn leads_out(path: &Path) -> std::io::Result<bool> {
    let Some(dir) = path.parent().filter(|_| path.is_symlink()) else { return Ok(false) };
    Ok(!path.canonicalize()?.starts_with(dir.canonicalize()?))
}

/// Opens without waiting: a fifo would wait for its writer.
#[cfg(unix)]
fn open(path: &Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    std::fs::File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

#[cfg(not(unix))]
fn open(path: &Path) -> std::io::Result<std::fs::File> {
    std::fs::File::open(path)
}

/// What can be told from the first eight bytes (component model, binary format: magic, version, layer).
pub(super) fn looks_like_component(bytes: &[u8]) -> Result<(), (&'static str, &'static str)> {
    match bytes.first_chunk::<8>() {
        Some([0, b'a', b's', b'm', _, _, 1, 0]) => Ok(()),
        Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => {
            Err(("is a core module, not a component", "encode it with the wit-component crate or `wasm-tools component new`"))
        }
        Some([0, b'a', b's', b'm', ..]) => Err(("is WebAssembly of an unknown version", "build it with current tools")),
        _ if bytes.is_empty() => Err(("is empty", "build it again")),
        _ => Err(("is not WebAssembly", "put compiled components here, or remove it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_a_component() {
        assert!(looks_like_component(&wat::parse_str("(component)").unwrap()).is_ok());
        assert_eq!(looks_like_component(&wat::parse_str("(module)").unwrap()).unwrap_err().0, "is a core module, not a component");
        assert_eq!(looks_like_component(b"").unwrap_err().0, "is empty");
        assert_eq!(looks_like_component(b"#!/bin/sh\n").unwrap_err().0, "is not WebAssembly");
        assert_eq!(looks_like_component(b"\0asm").unwrap_err().0, "is not WebAssembly");
    }

    #[test]
    fn a_folder_that_is_not_there_holds_nothing() {
        assert!(list(Path::new("/nowhere/at/all")).unwrap().is_empty());
        assert!(list(Path::new("/dev/null")).is_err());
    }

    #[test]
    fn a_file_over_the_limit_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.wasm");
        std::fs::write(&path, vec![0; (1 << 20) + 1]).unwrap();
        let error = read(&path, std::num::NonZeroUsize::MIN.into()).unwrap_err().to_string();
        assert!(error.ends_with("is larger than 1 MiB"), "{error}");
        assert!(read(dir.path(), std::num::NonZeroUsize::MIN.into()).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_within_the_folder_is_followed_and_one_out_of_it_is_not() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let link = |name: &str, to: &Path| {
            let link = inside.path().join(name);
            std::os::unix::fs::symlink(to, &link).unwrap();
            read(&link, std::num::NonZeroUsize::MIN.into()).map_err(|e| e.to_string())
        };
        for dir in [&inside, &outside] {
            std::fs::write(dir.path().join("team"), "bytes").unwrap();
        }
        assert_eq!(link("in.wasm", Path::new("team")).unwrap(), b"bytes");
        assert!(link("out.wasm", &outside.path().join("team")).unwrap_err().ends_with("is a link to a file outside of the folder"));
        assert!(link("nowhere.wasm", Path::new("gone")).unwrap_err().contains("cannot be read"));
    }
}
