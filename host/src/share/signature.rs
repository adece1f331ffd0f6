//! Signatures by key as cosign makes and stores them: over a "simple signing" payload (containers/image,
//! `docs/containers-signature.5.md`) that names the digest of a manifest; payload and signature lie in a manifest of their own beside the
//! artifact (sigstore/cosign, `specs/SIGNATURE_SPEC.md`). All cryptography is sigstore's.

use super::ShareError;
use super::artifact::{self, MOST_JSON, blob, descriptor, manifest, parsed};
use crate::model::{Digest, Secret};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use oci_client::manifest::{IMAGE_CONFIG_MEDIA_TYPE, OciDescriptor};
use serde::Deserialize;
use serde_json::json;
use sigstore::crypto::signing_key::SigStoreKeyPair;
use sigstore::crypto::{CosignVerificationKey, Signature as Raw, SigningScheme};
use std::collections::BTreeMap;
use std::path::Path;

const PAYLOAD_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const KIND: &str = "cosign container image signature";
/// The most signatures that are looked at: each costs a check by every key.
const MOST: usize = 32;

/// A private key. It prints as `***`.
pub struct SigningKey(SigStoreKeyPair);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// A public key.
#[derive(Debug, Clone)]
pub struct PublicKey {
    key: CosignVerificationKey,
    /// The SHA-256 of the key (of its SubjectPublicKeyInfo): one key under two names is one.
    pub id: Digest,
}

/// One signature, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    payload: Vec<u8>,
    annotations: BTreeMap<String, String>,
}

/// All signatures of one artifact.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signatures(pub Vec<Signature>);

/// What one signature is, to one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// Of this artifact, by this key.
    ThisOne,
    /// By this key, but of another.
    Another(String),
    /// By another key.
    Nothing,
}

impl SigningKey {
    /// A new key (ECDSA on P-256, as cosign's).
    ///
    /// # Errors
    /// Where the machine has no randomness.
    pub fn generate() -> Result<Self, ShareError> {
        let signer = SigningScheme::ECDSA_P256_SHA256_ASN1.create_signer().and_then(|signer| signer.to_sigstore_keypair());
        signer.map(Self).map_err(|e| ShareError::failed(format!("no key could be made: {e}"), "please report this"))
    }

    /// Reads a file with a private key, in the form cosign writes, encrypted with `password`.
    ///
    /// # Errors
    /// It is none, or the password is another.
    pub fn read(file: &Path, password: &Secret) -> Result<Self, ShareError> {
        let pem = zeroize::Zeroizing::new(std::fs::read(file).map_err(|e| ShareError::file(file, &e))?);
        let pair = SigStoreKeyPair::from_encrypted_pem(&pem, password.expose().as_bytes());
        let wrong = |_| {
            let help = "name the .key file that `tracejury plugin keygen` or `cosign generate-key-pair` wrote, and its password in TRACEJURY_KEY_PASSWORD";
            ShareError::refused(format!("{}: is no private key, or the password is another", file.display()), help)
        };
        pair.map(Self).map_err(wrong)
    }

    /// The private key, encrypted, and the public key, each in PEM form.
    ///
    /// # Errors
    /// The key cannot be written.
    pub fn to_pem(&self, password: &Secret) -> Result<(zeroize::Zeroizing<String>, String), ShareError> {
        let failed = |e| ShareError::failed(format!("the key cannot be written: {e}"), "please report this");
        let private = self.0.private_key_to_encrypted_pem(password.expose().as_bytes()).map_err(failed)?;
        Ok((private, self.0.public_key_to_pem().map_err(failed)?))
    }

    /// A signature of the manifest of this digest, which is said to lie at `place`.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn sign(&self, place: &str, digest: Digest) -> Result<Signature, ShareError> {
        let payload = json!({
            "critical": {"identity": {"docker-reference": place}, "image": {"docker-manifest-digest": digest}, "type": KIND},
            "optional": {"creator": concat!("tracejury/", env!("CARGO_PKG_VERSION"))},
        });
        let payload = payload.to_string().into_bytes();
        let failed = |e| ShareError::refused(format!("the key cannot sign: {e}"), "use a key that `tracejury plugin keygen` made");
        let signer = self.0.to_sigstore_signer(&SigningScheme::ECDSA_P256_SHA256_ASN1).map_err(failed)?;
        let signature = BASE64_STANDARD.encode(signer.sign(&payload).map_err(failed)?);
        Ok(Signature { payload, annotations: BTreeMap::from([(SIGNATURE.to_owned(), signature)]) })
    }
}

impl PublicKey {
    /// Reads a file with a public key in PEM form.
    ///
    /// # Errors
    /// It is none.
    pub fn read(file: &Path) -> Result<Self, ShareError> {
        let pem = std::fs::read(file).map_err(|e| ShareError::file(file, &e))?;
        let key = CosignVerificationKey::try_from_pem(&pem);
        let wrong = |e| {
            let help = "name the .pub file that `tracejury plugin keygen` or `cosign generate-key-pair` wrote";
            ShareError::refused(format!("{}: is no public key in PEM form: {e}", file.display()), help)
        };
        let key = key.map_err(wrong)?;
        let id = match &key {
            CosignVerificationKey::RSA_PSS_SHA256(der)
            | CosignVerificationKey::RSA_PKCS1_SHA256(der)
            | CosignVerificationKey::ECDSA_P256_SHA256_ASN1(der)
            | CosignVerificationKey::ECDSA_P384_SHA384_ASN1(der)
            | CosignVerificationKey::ECDSA_P521_SHA512_ASN1(der)
            | CosignVerificationKey::ED25519(der) => Digest::of(der),
        };
        Ok(Self { key, id })
    }

    /// What a signature says of the manifest of this digest. The reference in its payload does not count, as with cosign: a mirror has the
    /// same artifact at another place.
    pub(super) fn check(&self, signature: &Signature, digest: Digest) -> Said {
        let verified = |raw: &String| self.key.verify_signature(Raw::Base64Encoded(raw.as_bytes()), &signature.payload).is_ok();
        if !signature.annotations.get(SIGNATURE).is_some_and(verified) {
            return Said::Nothing;
        }
        match serde_json::from_slice::<Payload>(&signature.payload) {
            Ok(payload) if payload.critical.kind != KIND => Said::Another("something that is no artifact".to_owned()),
            Ok(payload) if payload.critical.image.digest == digest => Said::ThisOne,
            Ok(payload) => Said::Another(payload.critical.image.digest.to_string()),
            Err(_) => Said::Another("something that is no artifact".to_owned()),
        }
    }
}

#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: Digest,
}

impl Signatures {
    /// Adds one, unless it is there already.
    pub fn add(&mut self, signature: Signature) {
        if !self.0.contains(&signature) {
            self.0.push(signature);
        }
    }

    /// The manifest under which registries keep them, and its config.
    #[must_use]
    pub fn to_manifest(&self) -> (Vec<u8>, Vec<u8>) {
        let layer = |signature: &Signature| OciDescriptor {
            annotations: Some(signature.annotations.clone()),
            ..descriptor(PAYLOAD_TYPE, &signature.payload)
        };
        let layers: Vec<_> = self.0.iter().map(layer).collect();
        let diffs: Vec<_> = layers.iter().map(|layer| &layer.digest).collect();
        // Cosign writes an image's config, and registries that check one take it.
        let config = json!({
            "architecture": "", "os": "", "config": {}, "rootfs": {"type": "layers", "diff_ids": diffs},
            "created": "0001-01-01T00:00:00Z", "history": [{"created": "0001-01-01T00:00:00Z"}],
        });
        let config = config.to_string().into_bytes();
        let manifest = manifest(descriptor(IMAGE_CONFIG_MEDIA_TYPE, &config), layers, None);
        (manifest, config)
    }

    /// The payloads, in the order of the manifest.
    pub fn payloads(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|signature| signature.payload.as_slice())
    }

    /// The blobs that a manifest of signatures names.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn blobs(manifest: &[u8]) -> Result<Vec<artifact::Blob>, ShareError> {
        let manifest = parsed(manifest)?;
        let payloads = manifest.layers.iter().filter(|layer| layer.media_type == PAYLOAD_TYPE);
        let blobs: Vec<_> = payloads.map(|layer| blob(layer, MOST_JSON)).collect::<Result<_, _>>()?;
        if blobs.len() > MOST {
            let what = format!("it carries {} signatures, more than {MOST}", blobs.len());
            return Err(ShareError::refused(what, "ask its author to sign it anew"));
        }
        Ok(blobs)
    }

    /// Signatures of a manifest and the payloads it names, in its order.
    ///
    /// # Errors
    /// The payloads are others.
    pub(super) fn read(manifest: &[u8], payloads: Vec<Vec<u8>>) -> Result<Self, ShareError> {
        let blobs = Self::blobs(manifest)?;
        let layers = parsed(manifest)?.layers.into_iter().filter(|layer| layer.media_type == PAYLOAD_TYPE);
        let all = layers.zip(blobs).zip(payloads).map(|((layer, blob), payload)| {
            artifact::check(&payload, blob)?;
            Ok(Signature { payload, annotations: layer.annotations.unwrap_or_default() })
        });
        all.collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A key pair, the public one in a file.
    pub(in crate::share) fn pair(dir: &Path, name: &str) -> (SigningKey, std::path::PathBuf) {
        let key = SigningKey::generate().unwrap();
        let file = dir.join(format!("{name}.pub"));
        std::fs::write(&file, key.to_pem(&Secret::new("pw".into())).unwrap().1).unwrap();
        (key, file)
    }

    #[test]
    fn what_is_signed_is_known_by_its_key_alone() {
        let dir = tempfile::tempdir().unwrap();
        let ((key, file), (_, other)) = (pair(dir.path(), "a"), pair(dir.path(), "b"));
        let digest = Digest::of(b"manifest");
        let signature = key.sign("localhost:5000/a", digest).unwrap();
        let (public, other) = (PublicKey::read(&file).unwrap(), PublicKey::read(&other).unwrap());
        assert_eq!(public.check(&signature, digest), Said::ThisOne);
        assert_eq!(public.check(&signature, Digest::of(b"another")), Said::Another(digest.to_string()));
        assert_eq!(other.check(&signature, digest), Said::Nothing);
        let mut changed = signature;
        changed.payload.push(b' ');
        assert_eq!(public.check(&changed, digest), Said::Nothing);
    }

    #[test]
    fn signatures_come_back_from_their_manifest() {
        let dir = tempfile::tempdir().unwrap();
        let (key, _) = pair(dir.path(), "a");
        let mut signatures = Signatures::default();
        for what in [b"x", b"y"] {
            signatures.add(key.sign("localhost:5000/a", Digest::of(what)).unwrap());
        }
        let (manifest, _) = signatures.to_manifest();
        let payloads: Vec<_> = signatures.payloads().map(<[u8]>::to_vec).collect();
        assert_eq!(Signatures::read(&manifest, payloads.clone()).unwrap(), signatures);
        let swapped = payloads.into_iter().rev().collect();
        assert!(Signatures::read(&manifest, swapped).is_err());
    }

    #[test]
    fn a_private_key_is_encrypted_and_prints_as_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let key = SigningKey::generate().unwrap();
        let (private, _) = key.to_pem(&Secret::new("pw".into())).unwrap();
        assert!(private.contains("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----"), "{}", private.lines().next().unwrap());
        let file = dir.path().join("k");
        std::fs::write(&file, private.as_bytes()).unwrap();
        assert!(SigningKey::read(&file, &Secret::new("pw".into())).is_ok());
        assert!(SigningKey::read(&file, &Secret::new("other".into())).is_err());
        assert_eq!(format!("{key:?}"), "***");
    }
}
