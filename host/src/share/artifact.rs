//! An artifact: a component as registries keep it, after the convention for WebAssembly (CNCF TAG Runtime, "Wasm OCI Artifact layout":
//! a config of type `application/vnd.wasm.config.v0+json`, one layer of type `application/wasm`). Pure; whatever is read here was
//! written by strangers.

use super::ShareError;
use crate::model::Digest;
use chrono::{DateTime, SecondsFormat, Utc};
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest};
use serde_json::json;
use std::collections::BTreeMap;

/// The type of the config.
const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
/// The type of the one layer.
const LAYER_TYPE: &str = "application/wasm";
/// The largest manifest, config or payload of a signature, in bytes: registries allow four times as much, nobody needs it.
pub(super) const MOST_JSON: u64 = 1 << 20;

/// How much may come with a component of so many bytes, itself included: manifests, configs, signatures.
pub(super) fn with_rest(component: u64) -> u64 {
    component + 8 * MOST_JSON
}

/// A component with its manifest and config, their digests checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The digest of the manifest: what a reference pins and a signature is of.
    pub digest: Digest,
    /// The manifest, byte by byte as it was signed.
    pub manifest: Vec<u8>,
    /// Its config.
    pub config: Vec<u8>,
    /// The component.
    pub component: Vec<u8>,
}

/// What people want to know of it; it becomes annotations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The plugin's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it does.
    pub summary: String,
    /// Under which licence, as an SPDX expression.
    pub licenses: Option<String>,
    /// Where it is developed.
    pub source: Option<String>,
    /// What it asks to see.
    pub reads: Vec<String>,
    /// What it imports.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
}

/// A blob that a manifest names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Blob {
    pub(super) digest: Digest,
    pub(super) size: u64,
}

/// The blobs that an artifact is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Blobs {
    pub(super) config: Blob,
    pub(super) component: Blob,
}

impl Artifact {
    /// An artifact of a component, made at this time.
    #[must_use]
    pub fn of(component: Vec<u8>, about: &About, created: DateTime<Utc>) -> Self {
        let created = created.to_rfc3339_opts(SecondsFormat::Secs, true);
        let layer = Digest::of(&component);
        let config = json!({
            "created": created,
            "architecture": "wasm",
            "os": "wasip2",
            "layerDigests": [layer],
            "component": {"imports": about.imports, "exports": about.exports, "target": null},
        });
        let config = config.to_string().into_bytes();
        let mut annotations = BTreeMap::from([
            ("org.opencontainers.image.created".to_owned(), created),
            ("org.opencontainers.image.title".to_owned(), about.name.clone()),
            ("org.opencontainers.image.version".to_owned(), about.version.clone()),
        ]);
        let mut tell = |name: &str, text: &str| {
            if !text.is_empty() {
                annotations.insert(name.to_owned(), text.to_owned());
            }
        };
        tell("org.opencontainers.image.description", &about.summary);
        tell("org.opencontainers.image.licenses", about.licenses.as_deref().unwrap_or_default());
        tell("org.opencontainers.image.source", about.source.as_deref().unwrap_or_default());
        tell("tracejury.reads", &about.reads.join(" "));
        let layer = OciDescriptor {
            annotations: Some(BTreeMap::from([("org.opencontainers.image.title".to_owned(), format!("{}.wasm", about.name))])),
            ..descriptor(LAYER_TYPE, &component)
        };
        let manifest = manifest(descriptor(CONFIG_TYPE, &config), vec![layer], Some(annotations));
        Self { digest: Digest::of(&manifest), manifest, config, component }
    }

    /// An artifact of bytes that came from somewhere, whatever they are.
    ///
    /// # Errors
    /// Which of them are not what the manifest says.
    pub fn read(manifest: Vec<u8>, config: Vec<u8>, component: Vec<u8>) -> Result<Self, ShareError> {
        // Whoever has read a component has kept to a limit of its own.
        let blobs = blobs(&manifest, u64::MAX)?;
        check(&config, blobs.config)?;
        check(&component, blobs.component)?;
        Ok(Self { digest: Digest::of(&manifest), manifest, config, component })
    }
}

/// What a manifest is made of, with a component of no more than `most` bytes.
///
/// # Errors
/// It is no manifest of a component.
pub(super) fn blobs(manifest: &[u8], most: u64) -> Result<Blobs, ShareError> {
    let wrong = |what: &str| {
        ShareError::refused(
            format!("the manifest {what}"),
            "ask its author for a WebAssembly component: one layer of type application/wasm",
        )
    };
    let manifest = parsed(manifest)?;
    let [layer] = manifest.layers.as_slice() else {
        return Err(wrong(&format!("has {} layers, and a component is one", manifest.layers.len())));
    };
    if layer.media_type != LAYER_TYPE {
        return Err(wrong(&format!("has a layer of type {:?}", cut(&layer.media_type))));
    }
    Ok(Blobs { config: blob(&manifest.config, MOST_JSON)?, component: blob(layer, most)? })
}

pub(super) fn parsed(manifest: &[u8]) -> Result<OciImageManifest, ShareError> {
    let help = "name another reference, or ask its author";
    if manifest.len() as u64 > MOST_JSON {
        return Err(ShareError::refused("the manifest is larger than 1 MiB", help));
    }
    let wrong = |what: String| ShareError::refused(format!("the manifest {what}"), help);
    let manifest: OciImageManifest = serde_json::from_slice(manifest).map_err(|e| wrong(format!("is none: {e}")))?;
    match manifest.media_type.as_deref() {
        Some(OCI_IMAGE_MEDIA_TYPE) | None if manifest.schema_version == 2 => Ok(manifest),
        other => Err(wrong(format!("is of type {:?}", cut(other.unwrap_or("none"))))),
    }
}

/// What a descriptor names.
pub(super) fn blob(descriptor: &OciDescriptor, most: u64) -> Result<Blob, ShareError> {
    let wrong =
        |what: String| ShareError::refused(format!("the manifest names a blob {what}"), "name another reference, or ask its author");
    let digest = descriptor.digest.parse().map_err(|e| wrong(format!("whose digest {e}")))?;
    let size = u64::try_from(descriptor.size).map_err(|_| wrong("of a negative size".to_owned()))?;
    if size > most {
        let help = "raise plugins.max_file_mib if you trust it";
        return Err(ShareError::refused(format!("the manifest names a blob of {size} bytes, more than {most}"), help));
    }
    Ok(Blob { digest, size })
}

/// Whether some bytes are what a manifest says.
pub(super) fn check(bytes: &[u8], blob: Blob) -> Result<(), ShareError> {
    let help = "it was cut off or changed on its way; try again, or ask its author";
    if bytes.len() as u64 != blob.size {
        return Err(ShareError::refused(format!("{} has {} bytes, and should have {}", blob.digest, bytes.len(), blob.size), help));
    }
    let is = Digest::of(bytes);
    if is != blob.digest {
        return Err(ShareError::refused(format!("{} is {is}: the bytes are not those that were named", blob.digest), help));
    }
    Ok(())
}

pub(super) fn descriptor(media_type: &str, bytes: &[u8]) -> OciDescriptor {
    OciDescriptor {
        media_type: media_type.to_owned(),
        digest: Digest::of(bytes).to_string(),
        size: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
        ..OciDescriptor::default()
    }
}

pub(super) fn manifest(config: OciDescriptor, layers: Vec<OciDescriptor>, annotations: Option<BTreeMap<String, String>>) -> Vec<u8> {
    let media_type = Some(OCI_IMAGE_MEDIA_TYPE.to_owned());
    let manifest = OciImageManifest { schema_version: 2, media_type, config, layers, annotations, ..OciImageManifest::default() };
    // It has neither maps with other keys than strings nor numbers that are none.
    serde_json::to_vec(&manifest).unwrap_or_default()
}

/// So much of a stranger's text as an error needs.
fn cut(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact() -> Artifact {
        let about = About { name: "acme-rules".into(), version: "1.2.0".into(), summary: "s".into(), ..About::default() };
        Artifact::of(b"\0asm".to_vec(), &about, DateTime::UNIX_EPOCH)
    }

    #[test]
    fn what_is_made_is_read_again() {
        let made = artifact();
        assert_eq!(Artifact::read(made.manifest.clone(), made.config.clone(), made.component.clone()).unwrap(), made);
        let manifest: serde_json::Value = serde_json::from_slice(&made.manifest).unwrap();
        assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
        assert_eq!(manifest["layers"][0]["mediaType"], "application/wasm");
        assert_eq!(manifest["annotations"]["org.opencontainers.image.version"], "1.2.0");
    }

    #[test]
    fn bytes_that_are_not_those_named_are_refused() {
        let made = artifact();
        let read = |config: &[u8], component: &[u8]| {
            Artifact::read(made.manifest.clone(), config.to_vec(), component.to_vec()).unwrap_err().to_string()
        };
        assert!(read(&made.config, b"\0as").contains("has 3 bytes, and should have 4"));
        assert!(read(&made.config, b"\0asn").contains("the bytes are not those that were named"));
        assert!(read(b"{}", b"\0asm").contains("has 2 bytes"));
    }

    #[test]
    fn a_manifest_of_something_else_is_refused() {
        let made = artifact();
        let refused = |change: fn(&mut serde_json::Value)| {
            let mut manifest: serde_json::Value = serde_json::from_slice(&made.manifest).unwrap();
            change(&mut manifest);
            blobs(manifest.to_string().as_bytes(), 1000).unwrap_err().to_string()
        };
        for (change, why) in [
            ((|m| m["layers"] = json!([])) as fn(&mut serde_json::Value), "has 0 layers"),
            (|m| m["layers"][0]["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar+gzip"), "has a layer of type"),
            (|m| m["layers"][0]["size"] = json!(1001), "more than 1000"),
            (|m| m["layers"][0]["size"] = json!(-1), "of a negative size"),
            (|m| m["layers"][0]["digest"] = json!("sha256:../../etc/passwd"), "whose digest"),
            (|m| m["layers"][0]["digest"] = json!("md5:0"), "whose digest"),
            (|m| m["mediaType"] = json!("application/vnd.oci.image.index.v1+json"), "is of type"),
            (|m| *m = json!([]), "is none"),
        ] {
            let error = refused(change);
            assert!(error.contains(why), "{why}: {error}");
        }
    }
}
