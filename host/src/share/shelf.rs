//! The shelf: local copies by content, for all projects of a user. Bounded; whatever is read from it is checked, so that it matters to
//! nobody who else can write there. Two processes at a time are kept apart by a lock on a file.

use super::artifact::Blob;
use super::layout::{self, BLOBS, INDEX_FILE, MARK, MARK_FILE};
use super::{Artifact, Reference, ShareError, Signatures};
use crate::config::Share;
use crate::model::Digest;
use chrono::{DateTime, SecondsFormat, Utc};
use etcetera::BaseStrategy as _;
use oci_client::manifest::{ImageIndexEntry, OciImageIndex};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

const NAME: &str = "tracejury.name";
const VERSION: &str = "tracejury.version";
const SIGNERS: &str = "tracejury.signers";
const USED: &str = "tracejury.used";
/// How files begin that are being written.
const UNFINISHED: &str = ".tracejury-";

/// The folder.
#[derive(Debug, Clone)]
pub struct Shelf {
    dir: PathBuf,
    /// How large it may become, in bytes.
    most: u64,
}

/// What is known of one copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// Where it came from.
    pub reference: Reference,
    /// The digest of its manifest.
    pub digest: Digest,
    /// The plugin's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whose signatures counted when it came.
    pub signers: Vec<String>,
    /// When it was last taken.
    pub used: String,
}

impl Shelf {
    /// The shelf of the settings.
    ///
    /// # Errors
    /// This user has no folder of data.
    pub fn of(settings: &Share) -> Result<Self, ShareError> {
        let own = || etcetera::choose_base_strategy().map(|base| base.data_dir().join("tracejury").join("shelf"));
        let dir = if settings.shelf.as_os_str().is_empty() { own().ok() } else { Some(settings.shelf.clone()) };
        let dir = dir.ok_or_else(|| ShareError::failed("there is no folder for the shelf", "name one: share.shelf, or TRACEJURY_SHELF"))?;
        Ok(Self { dir, most: settings.shelf_max_mib.mib() as u64 })
    }

    /// Keeps an artifact; what was not used for longest makes room.
    ///
    /// # Errors
    /// It cannot be written, or is larger than the whole shelf.
    pub fn put(&self, kept: &Kept, artifact: &Artifact, signatures: &Signatures) -> Result<(), ShareError> {
        let parts = layout::parts(artifact, signatures);
        let size: usize = parts.values().map(Vec::len).sum();
        if size as u64 > self.most {
            return Err(ShareError::refused(format!("{size} bytes are more than the whole shelf"), "raise share.shelf_max_mib"));
        }
        self.changed(|index| {
            for (digest, bytes) in &parts {
                self.write(&format!("{BLOBS}/{}", digest.hex()), bytes)?;
            }
            let entries = layout::entries(&kept.reference, artifact, signatures, kept.annotations());
            let places: Vec<_> = entries.iter().filter_map(layout::reference_of).collect();
            index.manifests.retain(|entry| layout::reference_of(entry).is_none_or(|reference| !places.contains(&reference)));
            index.manifests.extend(entries);
            self.make_room(index, &kept.reference)
        })
    }

    /// The copy of this digest, or else under this reference, with its signatures.
    ///
    /// # Errors
    /// It is not there, or its bytes are not what they were.
    pub fn get(&self, reference: &Reference, digest: Option<Digest>, most: u64) -> Result<(Reference, Artifact, Signatures), ShareError> {
        let wanted = digest.or(reference.digest());
        let fits = |entry: &&ImageIndexEntry| {
            let place = layout::reference_of(entry);
            match wanted {
                Some(digest) => entry.digest == digest.to_string(),
                None => place.as_ref() == Some(reference),
            }
        };
        let absent = || ShareError::Absent(reference.to_string());
        let mut found = Err(absent());
        self.changed(|index| {
            // Of several places with one digest the one that was named: its signatures are those that are meant.
            let named = index
                .manifests
                .iter()
                .filter(fits)
                .find(|entry| layout::reference_of(entry).is_some_and(|it| it.place() == reference.place()));
            let entry = named.or_else(|| index.manifests.iter().find(fits)).cloned().ok_or_else(absent)?;
            found = layout::assembled(index, &entry, most, |blob| self.blob(blob));
            for entry in index.manifests.iter_mut().filter(|entry| fits(&&**entry)) {
                entry.annotations.get_or_insert_default().insert(USED.to_owned(), now());
            }
            Ok(())
        })?;
        found
    }

    /// All copies.
    ///
    /// # Errors
    /// The shelf cannot be read.
    pub fn list(&self) -> Result<Vec<Kept>, ShareError> {
        if !self.dir.join(INDEX_FILE).exists() {
            return Ok(Vec::new());
        }
        let mut kept = Vec::new();
        self.changed(|index| {
            kept = index.manifests.iter().filter(|entry| !layout::is_signatures(entry)).filter_map(Kept::of).collect();
            Ok(())
        })?;
        kept.sort_by_key(|kept: &Kept| kept.reference.to_string());
        Ok(kept)
    }

    /// Takes a copy away, and the blobs that nothing else needs.
    ///
    /// # Errors
    /// It is not there.
    pub fn remove(&self, reference: &Reference) -> Result<(), ShareError> {
        self.changed(|index| {
            let entry = index.manifests.iter().find(|entry| layout::reference_of(entry).as_ref() == Some(reference)).cloned();
            let entry = entry.ok_or_else(|| ShareError::Absent(reference.to_string()))?;
            Self::drop_entry(index, &entry);
            self.sweep(index)
        })
    }

    /// Does something while no other process of this user does any such thing.
    ///
    /// # Errors
    /// The shelf cannot be locked.
    pub fn alone<T>(&self, act: impl FnOnce() -> T) -> Result<T, ShareError> {
        let failed = |e: std::io::Error| ShareError::file(&self.dir, &e);
        std::fs::create_dir_all(self.dir.join(BLOBS)).map_err(failed)?;
        if self.dir.join(INDEX_FILE).exists() && !self.dir.join(".lock").exists() {
            let what = format!("{}: is somebody else's image layout, of which things would be cleared away", self.dir.display());
            return Err(ShareError::refused(what, "name another folder: share.shelf, or TRACEJURY_SHELF"));
        }
        let guard = File::options().create(true).append(true).open(self.dir.join(".lock")).map_err(failed)?;
        guard.lock().map_err(failed)?;
        Ok(act())
    }

    /// Changes the index while nobody else does.
    fn changed(&self, change: impl FnOnce(&mut OciImageIndex) -> Result<(), ShareError>) -> Result<(), ShareError> {
        self.alone(|| self.change(change))?
    }

    fn change(&self, change: impl FnOnce(&mut OciImageIndex) -> Result<(), ShareError>) -> Result<(), ShareError> {
        let failed = |e: std::io::Error| ShareError::file(&self.dir, &e);
        let path = self.dir.join(INDEX_FILE);
        let before = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(failed(e)),
        };
        let mut index = if before.is_empty() { layout::empty() } else { self.parsed(&before)? };
        change(&mut index)?;
        let after = serde_json::to_vec(&index).unwrap_or_default();
        if after != before {
            self.write(MARK_FILE, MARK.as_bytes())?;
            self.write(INDEX_FILE, &after)?;
        }
        Ok(())
    }

    fn parsed(&self, index: &[u8]) -> Result<OciImageIndex, ShareError> {
        let wrong = |e| {
            let what = format!("{}: is no index: {e}", self.dir.join(INDEX_FILE).display());
            ShareError::failed(what, "remove the folder; what was in it is fetched again")
        };
        serde_json::from_slice(index).map_err(wrong)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), ShareError> {
        let path = self.dir.join(name);
        let failed = |e: std::io::Error| ShareError::file(&path, &e);
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.dir).map_err(failed)?;
        file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        file.persist(&path).map_err(|e| failed(e.error)).map(drop)
    }

    /// The bytes of a blob: not more of them than there should be, and one to tell.
    fn blob(&self, blob: Blob) -> Result<Vec<u8>, ShareError> {
        let path = self.path(blob.digest);
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(blob.size + 1).read_to_end(&mut bytes));
        read.map_err(|e| ShareError::file(&path, &e))?;
        Ok(bytes)
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.dir.join(BLOBS).join(digest.hex())
    }

    /// Takes away what was not used for longest, until the rest fits; never what was just put.
    fn make_room(&self, index: &mut OciImageIndex, latest: &Reference) -> Result<(), ShareError> {
        while self.size(index) > self.most {
            let others = index
                .manifests
                .iter()
                .filter(|entry| !layout::is_signatures(entry) && layout::reference_of(entry).as_ref() != Some(latest));
            let used = |entry: &&ImageIndexEntry| entry.annotations.as_ref().and_then(|all| all.get(USED)).cloned();
            let Some(oldest) = others.min_by_key(used).cloned() else { break };
            Self::drop_entry(index, &oldest);
        }
        self.sweep(index)
    }

    fn drop_entry(index: &mut OciImageIndex, entry: &ImageIndexEntry) {
        let place = layout::reference_of(entry);
        index.manifests.retain(|other| layout::reference_of(other) != place);
        Self::drop_orphans(index);
    }

    /// Takes away signatures of what is there no more.
    fn drop_orphans(index: &mut OciImageIndex) {
        let tags: BTreeSet<_> = index.manifests.iter().map(|entry| format!("{}.sig", entry.digest.replace(':', "-"))).collect();
        let signs = |entry: &ImageIndexEntry| layout::reference_of(entry).is_some_and(|it| it.tag().is_some_and(|tag| tags.contains(tag)));
        index.manifests.retain(|entry| !layout::is_signatures(entry) || signs(entry));
    }

    fn used_blobs(&self, index: &OciImageIndex) -> BTreeSet<Digest> {
        let needed = |entry: &ImageIndexEntry| {
            let manifest = layout::manifest_of(entry).and_then(|blob| self.blob(blob)).unwrap_or_default();
            layout::needed(entry, &manifest)
        };
        index.manifests.iter().flat_map(needed).collect()
    }

    fn size(&self, index: &OciImageIndex) -> u64 {
        self.used_blobs(index).into_iter().filter_map(|digest| std::fs::metadata(self.path(digest)).ok()).map(|about| about.len()).sum()
    }

    /// Takes away signatures of what is there no more, blobs that no entry needs, and what a process that died left behind.
    fn sweep(&self, index: &mut OciImageIndex) -> Result<(), ShareError> {
        Self::drop_orphans(index);
        let needed: BTreeSet<_> = self.used_blobs(index).into_iter().map(|digest| digest.hex()).collect();
        let listed = |dir: &Path| std::fs::read_dir(dir).map_err(|e| ShareError::file(dir, &e));
        for entry in listed(&self.dir.join(BLOBS))?.flatten().filter(|entry| !needed.contains(&*entry.file_name().to_string_lossy())) {
            let _ = std::fs::remove_file(entry.path());
        }
        for entry in listed(&self.dir)?.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(UNFINISHED)) {
            let _ = std::fs::remove_file(entry.path());
        }
        Ok(())
    }
}

impl Kept {
    /// What is known of a copy that is being put.
    #[must_use]
    pub fn new(reference: Reference, digest: Digest, name: &str, version: &str, signers: &[String]) -> Self {
        Self { reference, digest, name: name.to_owned(), version: version.to_owned(), signers: signers.to_vec(), used: now() }
    }

    fn of(entry: &ImageIndexEntry) -> Option<Self> {
        let said = |name: &str| entry.annotations.as_ref().and_then(|all| all.get(name)).cloned().unwrap_or_default();
        Some(Self {
            reference: layout::reference_of(entry)?,
            digest: entry.digest.parse().ok()?,
            name: said(NAME),
            version: said(VERSION),
            signers: said(SIGNERS).split_whitespace().map(str::to_owned).collect(),
            used: said(USED),
        })
    }

    fn annotations(&self) -> BTreeMap<String, String> {
        let all =
            [(NAME, self.name.clone()), (VERSION, self.version.clone()), (SIGNERS, self.signers.join(" ")), (USED, self.used.clone())];
        all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// Now, so that texts are in the order of times.
fn now() -> String {
    DateTime::<Utc>::from(std::time::SystemTime::now()).to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests {
    use super::super::signature::tests::pair;
    use super::*;
    use crate::share::About;

    fn artifact(bytes: &[u8]) -> Artifact {
        Artifact::of(bytes.to_vec(), &About { name: "a".into(), version: "1.0.0".into(), ..About::default() }, DateTime::UNIX_EPOCH)
    }

    fn kept(reference: &str, artifact: &Artifact) -> Kept {
        Kept::new(reference.parse().unwrap(), artifact.digest, "a", "1.0.0", &["k".to_owned()])
    }

    fn files(shelf: &Shelf) -> usize {
        std::fs::read_dir(shelf.dir.join(BLOBS)).unwrap().count()
    }

    #[test]
    fn what_is_put_is_found_by_reference_and_digest_until_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf { dir: dir.path().join("s"), most: 1 << 20 };
        assert!(shelf.list().unwrap().is_empty());
        let one = artifact(b"one");
        let signatures = Signatures(vec![pair(dir.path(), "k").0.sign("r.example.com/a", one.digest).unwrap()]);
        let about = kept("r.example.com/a:1", &one);
        shelf.put(&about, &one, &signatures).unwrap();
        let (_, found, signed) = shelf.get(&about.reference, None, 1000).unwrap();
        assert_eq!((found, signed), (one.clone(), signatures));
        let other = "mirror.example.com/b:2".parse().unwrap();
        assert_eq!(shelf.get(&other, Some(one.digest), 1000).unwrap().1, one);
        assert!(matches!(shelf.get(&other, None, 1000), Err(ShareError::Absent(_))));
        assert_eq!(shelf.list().unwrap()[0].signers, ["k"]);
        shelf.remove(&about.reference).unwrap();
        assert_eq!((files(&shelf), shelf.list().unwrap().len()), (0, 0));
    }

    #[test]
    fn what_was_changed_on_the_disk_is_not_given_out() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf { dir: dir.path().to_owned(), most: 1 << 20 };
        let one = artifact(b"one");
        let about = kept("r.example.com/a:1", &one);
        shelf.put(&about, &one, &Signatures::default()).unwrap();
        std::fs::write(shelf.path(Digest::of(b"one")), b"two").unwrap();
        assert!(shelf.get(&about.reference, None, 1000).unwrap_err().to_string().contains("the bytes are not those that were named"));
    }

    #[test]
    fn what_was_not_used_for_longest_makes_room() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf { dir: dir.path().to_owned(), most: 9000 };
        for name in ["a", "b", "c"] {
            let one = artifact(&name.as_bytes().repeat(2000));
            shelf.put(&kept(&format!("r.example.com/{name}:1"), &one), &one, &Signatures::default()).unwrap();
        }
        let first = "r.example.com/a:1".parse().unwrap();
        shelf.get(&first, None, 5000).unwrap();
        let one = artifact(&b"d".repeat(2500));
        shelf.put(&kept("r.example.com/d:1", &one), &one, &Signatures::default()).unwrap();
        let left: Vec<_> = shelf.list().unwrap().into_iter().map(|kept| kept.reference.to_string()).collect();
        assert_eq!(left, ["r.example.com/a:1", "r.example.com/c:1", "r.example.com/d:1"], "b was used before a");
        assert_eq!(files(&shelf), 9);
    }

    #[test]
    fn many_at_a_time_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf { dir: dir.path().to_owned(), most: 1 << 20 };
        std::thread::scope(|scope| {
            for i in 0..8 {
                let shelf = &shelf;
                scope.spawn(move || {
                    let one = artifact(format!("bytes {i}").as_bytes());
                    shelf.put(&kept(&format!("r.example.com/p{i}:1"), &one), &one, &Signatures::default()).unwrap();
                });
            }
        });
        assert_eq!((shelf.list().unwrap().len(), files(&shelf)), (8, 24));
    }
}
