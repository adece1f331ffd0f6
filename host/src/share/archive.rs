//! An artifact in one file, to be carried by hand: an OCI image layout in a tar, as `skopeo` and `oras` write and read it. What is in it
//! was written by strangers: names are compared, never used as paths.

use super::artifact::{Blob, with_rest};
use super::layout::{self, BLOBS, INDEX_FILE, MARK, MARK_FILE};
use super::{Artifact, Reference, ShareError, Signatures};
use crate::model::Digest;
use oci_client::manifest::OciImageIndex;
use std::collections::BTreeMap;
use std::io::Read;

/// The most files an archive is made of: an artifact and its signatures are some forty.
const MOST_FILES: usize = 256;

/// The bytes of an archive of an artifact and its signatures.
///
/// # Errors
/// It cannot be written.
pub fn save(reference: &Reference, artifact: &Artifact, signatures: &Signatures) -> Result<Vec<u8>, ShareError> {
    let mut index = layout::empty();
    index.manifests = layout::entries(reference, artifact, signatures, BTreeMap::new());
    let index = serde_json::to_vec(&index).unwrap_or_default();
    let blobs = layout::parts(artifact, signatures).into_iter().map(|(digest, bytes)| (format!("{BLOBS}/{}", digest.hex()), bytes));
    let files = [(MARK_FILE.to_owned(), MARK.as_bytes().to_vec()), (INDEX_FILE.to_owned(), index)].into_iter().chain(blobs);
    let mut archive = tar::Builder::new(Vec::new());
    let failed = |e: std::io::Error| ShareError::failed(format!("the archive cannot be written: {e}"), "please report this");
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // No time, no owner: the same artifact gives the same archive.
        header.set_cksum();
        archive.append_data(&mut header, name, bytes.as_slice()).map_err(failed)?;
    }
    archive.into_inner().map_err(failed)
}

/// Reads an archive with a component of no more than `most` bytes.
///
/// # Errors
/// It is none, or holds what has no place in one.
pub fn load(archive: impl Read, most: u64) -> Result<(Reference, Artifact, Signatures), ShareError> {
    let help = "have it written again with `tracejury plugin save`";
    let wrong = |what: String| ShareError::refused(format!("the archive {what}"), help);
    let limit = with_rest(most);
    let (mut index, mut blobs, mut read) = (None, BTreeMap::new(), 0_u64);
    let mut archive = tar::Archive::new(archive.take(limit + 1));
    let entries = archive.entries().map_err(|e| wrong(format!("is none: {e}")))?;
    for (i, entry) in entries.enumerate() {
        let mut entry = entry.map_err(|e| wrong(format!("is none, or was cut off: {e}")))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if i >= MOST_FILES {
            return Err(wrong(format!("holds more than {MOST_FILES} files")));
        }
        match entry.header().entry_type() {
            tar::EntryType::Directory if ["blobs", BLOBS].contains(&name.trim_end_matches('/').trim_start_matches("./")) => continue,
            tar::EntryType::Regular => {}
            other => return Err(wrong(format!("holds {name:?}, which is no file ({other:?})"))),
        }
        read = read.saturating_add(entry.size());
        if read > limit {
            return Err(wrong(format!("is larger than {limit} bytes")));
        }
        let mut bytes = Vec::new();
        let size = entry.size();
        entry.by_ref().take(limit).read_to_end(&mut bytes).map_err(|e| wrong(format!("was cut off: {e}")))?;
        if bytes.len() as u64 != size {
            return Err(wrong("was cut off".to_owned()));
        }
        let name = name.trim_start_matches("./");
        match name.strip_prefix(BLOBS).and_then(|rest| format!("sha256:{}", rest.strip_prefix('/')?).parse::<Digest>().ok()) {
            Some(digest) => drop(blobs.insert(digest, bytes)),
            None if name == INDEX_FILE => index = Some(bytes),
            None if name == MARK_FILE => {}
            None => return Err(wrong(format!("holds {name:?}, which has no place in one"))),
        }
    }
    let index = index.ok_or_else(|| wrong(format!("has no {INDEX_FILE}")))?;
    let index: OciImageIndex = serde_json::from_slice(&index).map_err(|e| wrong(format!("has an {INDEX_FILE} that is none: {e}")))?;
    let mut artifacts = index.manifests.iter().filter(|entry| !layout::is_signatures(entry));
    let (Some(entry), None) = (artifacts.next(), artifacts.next()) else {
        return Err(wrong("holds none or several artifacts, and should hold one".to_owned()));
    };
    let read = |blob: Blob| blobs.get(&blob.digest).cloned().ok_or_else(|| wrong(format!("lacks {}", blob.digest)));
    layout::assembled(&index, entry, most, read)
}

#[cfg(test)]
mod tests {
    use super::super::signature::tests::pair;
    use super::*;
    use crate::share::About;
    use chrono::DateTime;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    fn saved() -> (Vec<u8>, Artifact, Signatures) {
        let dir = tempfile::tempdir().unwrap();
        let artifact = Artifact::of(
            b"\0asm-component".to_vec(),
            &About { name: "a".into(), version: "1.0.0".into(), ..About::default() },
            DateTime::UNIX_EPOCH,
        );
        let signatures = Signatures(vec![pair(dir.path(), "k").0.sign("r.example.com/a", artifact.digest).unwrap()]);
        (save(&"r.example.com/a:1.0.0".parse().unwrap(), &artifact, &signatures).unwrap(), artifact, signatures)
    }

    /// The archive with one more file in it.
    fn with(name: &str, kind: tar::EntryType) -> Vec<u8> {
        let (bytes, ..) = saved();
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_cksum();
        [header.as_bytes().as_slice(), &bytes].concat()
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let (bytes, artifact, signatures) = saved();
        let (reference, loaded, signed) = load(bytes.as_slice(), 1000).unwrap();
        assert_eq!((reference.to_string().as_str(), loaded, signed), ("r.example.com/a:1.0.0", artifact, signatures));
    }

    #[test]
    fn what_has_no_place_in_an_archive_is_refused() {
        let refused = |bytes: &[u8]| load(bytes, 1000).unwrap_err().to_string();
        for name in ["../../etc/passwd", "/etc/passwd", "blobs/sha256/../../x", "plugins/x.wasm", "blobs\\sha256\\x"] {
            assert!(refused(&with(name, tar::EntryType::Regular)).contains("has no place in one"), "{name}");
        }
        assert!(refused(&with("blobs/sha256/link", tar::EntryType::Symlink)).contains("which is no file"));
        let (bytes, ..) = saved();
        for cut in (0..bytes.len() - 1024).step_by(97) {
            assert!(load(&bytes[..cut], 1000).is_err(), "cut off at {cut}");
        }
        assert!(load(bytes.as_slice(), 3).unwrap_err().to_string().contains("more than 3"));
        let at = bytes.windows(14).position(|window| window == b"\0asm-component").unwrap();
        let mut changed = bytes.clone();
        changed[at + 6] ^= 1;
        assert!(refused(&changed).contains("the bytes are not those that were named"));
    }

    proptest! {
        /// Whatever is changed in an archive on its way: it is refused, or nothing of what counts was changed.
        #[test]
        fn a_changed_archive_is_refused_or_is_the_same(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
            static SAVED: LazyLock<(Vec<u8>, Artifact, Signatures)> = LazyLock::new(saved);
            let mut bytes = SAVED.0.clone();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Ok((_, artifact, _)) = load(bytes.as_slice(), 1000) {
                prop_assert_eq!(&artifact.component, &SAVED.1.component);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
            prop_assert!(load(bytes.as_slice(), 1000).is_err());
            let _ = (Artifact::read(bytes.clone(), Vec::new(), Vec::new()), Signatures::read(&bytes, Vec::new()));
        }
    }

    #[test]
    fn an_endless_archive_ends() {
        assert!(load(std::io::repeat(0), 1000).is_err());
        assert!(load(std::io::repeat(b'x'), 1000).is_err());
    }
}
