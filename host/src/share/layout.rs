//! Artifacts as files, after the OCI image layout (<https://github.com/opencontainers/image-spec/blob/main/image-layout.md>): an index
//! of manifests by reference, and blobs by digest. The shelf and archives are of this form, so that other tools read both. Pure.

use super::artifact::{Blob, MOST_JSON, blobs, check, descriptor};
use super::{Artifact, Reference, ShareError, Signatures};
use crate::model::Digest;
use oci_client::manifest::{ImageIndexEntry, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE, OciImageIndex};
use std::collections::BTreeMap;

pub(super) const MARK_FILE: &str = "oci-layout";
pub(super) const MARK: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
pub(super) const INDEX_FILE: &str = "index.json";
pub(super) const BLOBS: &str = "blobs/sha256";
const REFERENCE: &str = "org.opencontainers.image.ref.name";

/// An index without manifests.
pub(super) fn empty() -> OciImageIndex {
    let media_type = Some(OCI_IMAGE_INDEX_MEDIA_TYPE.to_owned());
    OciImageIndex { schema_version: 2, media_type, manifests: Vec::new(), artifact_type: None, annotations: None }
}

/// An entry of an index.
pub(super) fn entry(reference: &Reference, manifest: &[u8], more: BTreeMap<String, String>) -> ImageIndexEntry {
    let descriptor = descriptor(OCI_IMAGE_MEDIA_TYPE, manifest);
    let mut annotations = more;
    annotations.insert(REFERENCE.to_owned(), reference.to_string());
    ImageIndexEntry {
        media_type: descriptor.media_type,
        digest: descriptor.digest,
        size: descriptor.size,
        platform: None,
        annotations: Some(annotations),
        artifact_type: None,
    }
}

/// Under which reference an entry stands.
pub(super) fn reference_of(entry: &ImageIndexEntry) -> Option<Reference> {
    entry.annotations.as_ref()?.get(REFERENCE)?.parse().ok()
}

/// The manifest of an entry.
pub(super) fn manifest_of(entry: &ImageIndexEntry) -> Result<Blob, ShareError> {
    let wrong = || {
        ShareError::refused("the index has an entry that is none", "it was changed, or is of another tool; take it from its source again")
    };
    let size = u64::try_from(entry.size).ok().filter(|size| *size <= MOST_JSON).ok_or_else(wrong)?;
    Ok(Blob { digest: entry.digest.parse().map_err(|_| wrong())?, size })
}

/// All blobs of an artifact and its signatures, by digest.
pub(super) fn parts(artifact: &Artifact, signatures: &Signatures) -> BTreeMap<Digest, Vec<u8>> {
    let mut all = vec![artifact.manifest.clone(), artifact.config.clone(), artifact.component.clone()];
    if !signatures.0.is_empty() {
        let (manifest, config) = signatures.to_manifest();
        all.extend([manifest, config]);
        all.extend(signatures.payloads().map(<[u8]>::to_vec));
    }
    all.into_iter().map(|bytes| (Digest::of(&bytes), bytes)).collect()
}

/// The entries of an artifact and its signatures.
pub(super) fn entries(
    reference: &Reference,
    artifact: &Artifact,
    signatures: &Signatures,
    more: BTreeMap<String, String>,
) -> Vec<ImageIndexEntry> {
    let mut entries = vec![entry(reference, &artifact.manifest, more)];
    if !signatures.0.is_empty() {
        entries.push(entry(&reference.signatures_of(artifact.digest), &signatures.to_manifest().0, BTreeMap::new()));
    }
    entries
}

/// An artifact with its signatures, by the entry of its manifest. Each blob is checked when it has been read.
pub(super) fn assembled(
    index: &OciImageIndex,
    entry: &ImageIndexEntry,
    most: u64,
    read: impl Fn(Blob) -> Result<Vec<u8>, ShareError>,
) -> Result<(Reference, Artifact, Signatures), ShareError> {
    let read = |blob: Blob| {
        let bytes = read(blob)?;
        check(&bytes, blob).map(|()| bytes)
    };
    let reference = reference_of(entry)
        .ok_or_else(|| ShareError::refused("an entry of the index has no reference", "write it with `tracejury plugin save`"))?;
    let manifest = read(manifest_of(entry)?)?;
    let blobs = blobs(&manifest, most)?;
    let artifact = Artifact::read(manifest, read(blobs.config)?, read(blobs.component)?)?;
    let place = reference.signatures_of(artifact.digest);
    let signed = index.manifests.iter().find(|entry| reference_of(entry).is_some_and(|other| other == place));
    let signatures = match signed {
        None => Signatures::default(),
        Some(entry) => {
            let manifest = read(manifest_of(entry)?)?;
            let payloads = Signatures::blobs(&manifest)?.into_iter().map(read).collect::<Result<_, _>>()?;
            Signatures::read(&manifest, payloads)?
        }
    };
    Ok((reference, artifact, signatures))
}

/// Whether an entry is of signatures.
pub(super) fn is_signatures(entry: &ImageIndexEntry) -> bool {
    reference_of(entry).is_some_and(|reference| reference.tag().is_some_and(|tag| tag.starts_with("sha256-") && tag.ends_with(".sig")))
}

/// The blobs that an entry needs beside its manifest, as far as they can be told from it.
pub(super) fn needed(entry: &ImageIndexEntry, manifest: &[u8]) -> Vec<Digest> {
    let parsed = super::artifact::parsed(manifest);
    let named = parsed.map(|manifest| {
        manifest.layers.iter().map(|layer| layer.digest.clone()).chain([manifest.config.digest.clone()]).collect::<Vec<_>>()
    });
    let digests = named.unwrap_or_default().into_iter().chain([entry.digest.clone()]);
    digests.filter_map(|digest| digest.parse().ok()).collect()
}
