//! Compiled components kept on disk, private to the user: compiling takes a second, loading back a few milliseconds. Any
//! failure here is a miss; the cache can be deleted at any time.

use super::engine::Engine;
use crate::model::Digest;
use std::hash::{Hash as _, Hasher};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use wasmtime::component::Component;

/// What is kept of a component: its code as it stands, or as it is after `configure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Instances have to be configured.
    Plain,
    /// Instances start configured.
    Snapshot,
}

/// The component that was made of the file with `digest`, where it is kept, and its kind.
pub(super) fn find(engine: &Engine, digest: Digest) -> Option<(Component, Kind)> {
    let dir = engine.cache.as_ref()?;
    [Kind::Snapshot, Kind::Plain].into_iter().find_map(|kind| Some((load(engine, &dir.join(entry_name(engine, digest, kind)))?, kind)))
}

/// Keeps a component; where that fails the next start compiles again.
pub(super) fn keep(engine: &Engine, digest: Digest, kind: Kind, component: &Component) {
    if let (Some(dir), Ok(code)) = (&engine.cache, component.serialize())
        && let Err(why) = store(&dir.join(entry_name(engine, digest, kind)), &code)
    {
        tracing::debug!("compiled code is not kept: {why}");
    }
}

/// Named by what the code was made from and for whom: another wasm, another wasmtime or other settings of it never meet.
fn entry_name(engine: &Engine, digest: Digest, kind: Kind) -> String {
    let mut hasher = Sha(Vec::new());
    engine.wasm.precompile_compatibility_hash().hash(&mut hasher);
    let engine_hash: String = Digest::of(&hasher.0).hex().chars().take(16).collect();
    let kind = if kind == Kind::Snapshot { "snapshot" } else { "plain" };
    format!("{}-{kind}-{engine_hash}.cwasm", digest.hex())
}

fn load(engine: &Engine, entry: &Path) -> Option<Component> {
    let code = std::fs::read(entry).ok()?;
    // Behind the code stands its own digest: a file cut off or overwritten in part is a miss.
    let (code, digest) = code.split_at_checked(code.len().checked_sub(64)?)?;
    if !is_private(entry) || Digest::of(code).hex().as_bytes() != digest {
        return None;
    }
    // SAFETY: wasmtime asks that the bytes come from `Component::serialize`. They lie in a folder only this user can write,
    // under a name made of the digest of their source and of the engine, and carry their own digest. Whoever can forge that
    // runs as this user already.
    #[allow(unsafe_code)]
    unsafe { Component::deserialize(&engine.wasm, code) }.ok()
}

fn store(entry: &Path, code: &[u8]) -> std::io::Result<()> {
    let dir = entry.parent().map_or_else(PathBuf::new, Path::to_owned);
    create_private(&dir)?;
    // A temporary name, then a rename: whoever reads at the same time sees the whole entry or none.
    let mut file = tempfile::NamedTempFile::new_in(&dir)?;
    file.write_all(code)?;
    file.write_all(Digest::of(code).hex().as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(entry)?;
    Ok(())
}

#[cfg(unix)]
fn create_private(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(not(unix))]
fn create_private(dir: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)
}

/// Whether the entry and its folder are this user's and nobody else can write them. Links are not followed.
#[cfg(unix)]
fn is_private(entry: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    static OWN: OnceLock<Option<u32>> = OnceLock::new();
    // The standard library does not say who we are; a file we make does.
    let own = *OWN.get_or_init(|| Some(tempfile::tempfile().ok()?.metadata().ok()?.uid()));
    let closed =
        |path: &Path| std::fs::symlink_metadata(path).is_ok_and(|m| !m.is_symlink() && m.mode() & 0o022 == 0 && Some(m.uid()) == own);
    closed(entry) && entry.parent().is_some_and(closed)
}

#[cfg(not(unix))]
fn is_private(_: &Path) -> bool {
    true
}

/// Collects what is hashed, so that a digest which is the same in every process can be made of it.
struct Sha(Vec<u8>);

impl Hasher for Sha {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Plugins;

    fn engine(dir: &Path) -> Engine {
        Engine::new(&Plugins { cache_dir: dir.to_owned(), ..Plugins::default() }).unwrap()
    }

    /// An engine with one component kept, and where.
    fn kept(dir: &Path) -> (Engine, Digest, PathBuf) {
        let engine = engine(dir);
        let wasm = wat::parse_str("(component)").unwrap();
        let digest = Digest::of(&wasm);
        keep(&engine, digest, Kind::Plain, &Component::from_binary(&engine.wasm, &wasm).unwrap());
        let entry = dir.join(entry_name(&engine, digest, Kind::Plain));
        (engine, digest, entry)
    }

    #[test]
    fn a_damaged_entry_is_a_miss() {
        let dir = tempfile::tempdir().unwrap();
        let (engine, digest, entry) = kept(&dir.path().join("c"));
        assert_eq!(find(&engine, digest).map(|(_, kind)| kind), Some(Kind::Plain));
        assert!(find(&engine, Digest::of(b"another")).is_none());
        let good = std::fs::read(&entry).unwrap();
        for bad in [&good[..good.len() / 2], &[], b"x", &[&good[..70], b"!", &good[71..]].concat()] {
            std::fs::write(&entry, bad).unwrap();
            assert!(find(&engine, digest).is_none());
        }
    }

    #[cfg(unix)]
    #[test]
    fn an_entry_others_can_write_is_a_miss() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let (engine, digest, entry) = kept(&dir.path().join("c"));
        std::fs::set_permissions(&entry, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(find(&engine, digest).is_none());
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_done_without() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let (engine, digest, _) = kept(&file);
        assert!(find(&engine, digest).is_none());
    }
}
