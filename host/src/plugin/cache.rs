//! Components made ready, kept on disk, private to the user: making one ready takes a second, loading it back a millisecond. Any
//! failure here is a miss; the cache can be deleted at any time, and used by several processes at once.

use super::engine::Engine;
use super::prepare::{About, Prepared, Start};
use crate::config::Plugins;
use crate::model::Digest;
use std::hash::{Hash as _, Hasher};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};
use wasmtime::component::Component;

/// The end of an entry: behind the code stand what is known about it as JSON, then lengths and checksum of both, in this many
/// bytes, then [`MAGIC`]. The code comes first and as it is, so that it can be mapped into memory rather than copied.
const TRAILER: usize = 16;
const MAGIC: &[u8; 8] = b"tjcache1";
/// After how long an unfinished entry is taken for one that nobody will finish.
const LEFT: Duration = Duration::from_secs(3600);

/// The folder, and how much may lie in it.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    dir: PathBuf,
    most: u64,
}

/// What a component is made ready from: the same key, the same code.
#[derive(Debug, Clone)]
pub(super) struct Key(String);

impl Key {
    /// Of a component with this digest, started like this, for this engine, by this version of the host, with this limit on a
    /// snapshot's size: where any of them differs another entry is meant.
    pub(super) fn new(engine: &Engine, settings: &Plugins, wasm: Digest, start: &Start) -> Self {
        let mut hasher = Sha(Vec::new());
        engine.compatibility().hash(&mut hasher);
        env!("CARGO_PKG_VERSION").hash(&mut hasher);
        settings.max_file_mib.get().hash(&mut hasher);
        let short = |digest: Digest| digest.hex().chars().take(16).collect::<String>();
        let started = match start {
            // Whole: the text may be somebody's who looks for two of one digest.
            Start::Captured(configure) => Digest::of(configure.as_bytes()).hex(),
            Start::Configured => "configured".to_owned(),
        };
        Self(format!("{}-{}-{}.cwasm", wasm.hex(), started, short(Digest::of(&hasher.0))))
    }
}

impl Cache {
    /// The cache of the settings; none where the user has no folder for it.
    pub(super) fn new(settings: &Plugins) -> Option<Self> {
        use etcetera::BaseStrategy as _;
        let dir = match settings.cache_dir.as_os_str().is_empty() {
            true => etcetera::choose_base_strategy().ok()?.cache_dir().join("tracejury"),
            false => settings.cache_dir.clone(),
        };
        Some(Self { dir, most: settings.cache_max_mib.mib() as u64 })
    }

    /// A component that was made ready before, and what is known about it.
    pub(super) fn find(&self, engine: &Engine, key: &Key) -> Option<(Component, About)> {
        let entry = self.dir.join(&key.0);
        let about = read(&entry)?;
        // SAFETY: the file holds what was compiled, and stays as it is: it lies in a folder only
        // this user can write, under a name made of the digest of its source and of the engine, with its checksum; entries are
        // replaced by renaming and never written to. Whoever can forge that runs as this user already.
        #[allow(unsafe_code)]
        let component = unsafe { engine.load_file(&entry) }.ok()?;
        // Says that it was used; where that cannot be written it only goes sooner.
        let _ = std::fs::File::options().append(true).open(&entry).and_then(|file| file.set_modified(SystemTime::now()));
        Some((component, about))
    }

    /// Keeps what was made ready, and lets go of what was not used for longest. Where that fails the next start does it again.
    pub(super) fn keep(&self, key: &Key, prepared: &Prepared) {
        if let Err(why) = self.store(key, prepared).and_then(|()| self.shrink(key)) {
            tracing::debug!("compiled code is not kept: {why}");
        }
    }

    fn store(&self, key: &Key, prepared: &Prepared) -> std::io::Result<()> {
        create_private(&self.dir)?;
        let about = serde_json::to_vec(&prepared.about)?;
        let length = u32::try_from(about.len()).map_err(std::io::Error::other)?;
        // A temporary name, then a rename: whoever reads at the same time sees the whole entry or none.
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        file.write_all(&prepared.code)?;
        file.write_all(&about)?;
        file.write_all(&length.to_le_bytes())?;
        file.write_all(&checksum(&prepared.code, &about).to_le_bytes())?;
        file.write_all(MAGIC)?;
        file.as_file().sync_all()?;
        file.persist(self.dir.join(&key.0))?;
        Ok(())
    }

    /// Removes the entries that were not used for longest until the rest fits. The newest stays even where it alone is too large.
    fn shrink(&self, newest: &Key) -> std::io::Result<()> {
        let entries = std::fs::read_dir(&self.dir)?.flatten();
        let entries = entries.filter_map(|entry| entry.metadata().ok().map(|m| (m.modified().ok(), m.len(), entry.path())));
        let (mut entries, begun): (Vec<_>, Vec<_>) = entries.partition(|(.., path)| path.extension().is_some_and(|e| e == "cwasm"));
        entries.sort();
        // What a process began to write an hour ago and never named was left by one that died.
        let left = begun.iter().filter(|(modified, ..)| modified.and_then(|m| m.elapsed().ok()).is_some_and(|age| age > LEFT));
        left.for_each(|(.., path)| drop(std::fs::remove_file(path)));
        let mut total: u64 = entries.iter().map(|(_, length, _)| length).sum();
        for (_, length, path) in entries {
            if total <= self.most {
                break;
            }
            // Another process may have removed it already; whoever has it mapped keeps it until it is done.
            if !path.ends_with(&newest.0) && std::fs::remove_file(path).is_ok() {
                total -= length;
            }
        }
        Ok(())
    }
}

/// What is known about the code of an entry, if the entry is whole and nobody else could have written it.
fn read(entry: &Path) -> Option<About> {
    if !is_private(entry) {
        return None;
    }
    let mut file = std::fs::File::open(entry).ok()?;
    let mut bytes = Vec::with_capacity(usize::try_from(file.seek(std::io::SeekFrom::End(0)).ok()?).ok()?);
    file.rewind().ok()?;
    file.read_to_end(&mut bytes).ok()?;
    let (rest, trailer) = bytes.split_last_chunk::<TRAILER>()?;
    let (numbers, magic) = trailer.split_first_chunk::<8>()?;
    let (length, sum) = numbers.split_first_chunk::<4>()?;
    let sum: [u8; 4] = sum.try_into().ok()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (code, about) = rest.split_at_checked(rest.len().checked_sub(length)?)?;
    if magic != MAGIC.as_slice() || sum != checksum(code, about).to_le_bytes() {
        return None;
    }
    serde_json::from_slice(about).ok()
}

/// Against damage, not against forgery: a file cut off or overwritten in part is a miss. A digest would take ten times as long,
/// which is the greater part of a start with many plugins.
fn checksum(code: &[u8], about: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(code);
    hasher.update(about);
    hasher.finalize()
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

    struct Kept {
        engine: Engine,
        settings: Plugins,
        cache: Cache,
        key: Key,
        entry: PathBuf,
    }

    impl Kept {
        /// A cache with one component in it.
        fn new(dir: &Path) -> Self {
            let cache = Cache { dir: dir.to_owned(), most: 1 << 30 };
            let settings = crate::config::load(None, |_| None).unwrap().plugins;
            let engine = Engine::new(&settings).unwrap();
            let key = Key::new(&engine, &settings, Digest::of(b"it"), &start(""));
            cache.keep(&key, &prepared(&engine));
            Self { entry: dir.join(&key.0), engine, settings, cache, key }
        }

        fn found(&self) -> bool {
            self.cache.find(&self.engine, &self.key).is_some()
        }
    }

    fn start(configure: &str) -> Start {
        Start::Captured(configure.to_owned())
    }

    fn prepared(engine: &Engine) -> Prepared {
        let about = About { name: "n".into(), version: "1".into(), ..About::default() };
        Prepared { about, code: engine.compile(&wat::parse_str("(component)").unwrap()).unwrap() }
    }

    #[test]
    fn a_damaged_or_foreign_entry_is_a_miss() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::new(&dir.path().join("c"));
        assert!(kept.found());
        let good = std::fs::read(&kept.entry).unwrap();
        let flipped = [&good[..70], b"!", &good[71..]].concat();
        let another = [&good[..good.len() - 8], b"otherone"].concat();
        for bad in [&good[..good.len() / 2], &good[1..], &[], b"x", &[0; 64], &flipped, &another] {
            std::fs::write(&kept.entry, bad).unwrap();
            assert!(!kept.found());
        }
        kept.cache.keep(&kept.key, &prepared(&kept.engine));
        assert!(kept.found());
    }

    #[test]
    fn other_settings_and_other_wasm_are_other_entries() {
        let dir = tempfile::tempdir().unwrap();
        let Kept { engine, settings, cache, .. } = Kept::new(&dir.path().join("c"));
        for key in [
            Key::new(&engine, &settings, Digest::of(b"other"), &start("")),
            Key::new(&engine, &settings, Digest::of(b"it"), &start("settings")),
        ] {
            assert!(cache.find(&engine, &key).is_none());
        }
    }

    #[cfg(unix)]
    #[test]
    fn an_entry_others_can_write_is_a_miss() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::new(&dir.path().join("c"));
        assert_eq!(std::fs::metadata(&kept.cache.dir).unwrap().permissions().mode() & 0o777, 0o700);
        std::fs::set_permissions(&kept.entry, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(!kept.found());
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_done_without() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(!Kept::new(&file).found());
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        let Kept { engine, settings, mut cache, key: first, entry } = Kept::new(&dir.path().join("c"));
        let keys = ["a", "b", "c"].map(|name| Key::new(&engine, &settings, Digest::of(name.as_bytes()), &start("")));
        let long_ago = |name: &Key, days: u64| {
            let then = SystemTime::now() - std::time::Duration::from_secs(days * 86_400);
            std::fs::File::options().append(true).open(cache.dir.join(&name.0)).unwrap().set_modified(then).unwrap();
        };
        keys.iter().take(2).for_each(|key| cache.keep(key, &prepared(&engine)));
        for (key, days) in [(&first, 3), (&keys[0], 2), (&keys[1], 1)] {
            long_ago(key, days);
        }
        // Used just now, the first is the last to go.
        assert!(cache.find(&engine, &first).is_some());
        cache.most = std::fs::metadata(entry).unwrap().len() * 5 / 2;
        cache.keep(&keys[2], &prepared(&engine));
        let there = [&first, &keys[0], &keys[1], &keys[2]].map(|key| cache.find(&engine, key).is_some());
        assert_eq!(there, [true, false, false, true]);
    }

    #[test]
    fn many_at_once_disturb_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let Kept { engine, cache, key, .. } = Kept::new(&dir.path().join("c"));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        cache.keep(&key, &prepared(&engine));
                        assert!(cache.find(&engine, &key).is_some());
                    }
                });
            }
        });
    }
}
