//! Where an artifact is: `REGISTRY/REPOSITORY:TAG`, or `@DIGEST` in place of the tag or beside it. It knows the form, not what is there.

use super::ShareError;
use crate::model::Digest;
use std::fmt;
use std::str::FromStr;

/// A reference that names its registry: one that is left out would mean another for everybody who reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference(oci_client::Reference);

impl FromStr for Reference {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        let wrong = |what: &str| ShareError::refused(format!("{text:?} {what}"), "write it as registry.example.com/team/plugin:1.0.0");
        if text.contains("://") {
            return Err(wrong("is a URL, not a reference"));
        }
        let registry = text.split_once('/').map_or("", |(registry, _)| registry);
        if !(registry.contains(['.', ':']) || registry == "localhost") {
            return Err(wrong("names no registry"));
        }
        let parsed: oci_client::Reference = text.parse().map_err(|e| wrong(&format!("is no reference: {e}")))?;
        // Its digest becomes the name of a file.
        match parsed.digest().map(str::parse::<Digest>) {
            Some(Err(e)) => Err(wrong(&format!("has a digest that {e}"))),
            _ => Ok(Self(parsed)),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.whole())
    }
}

impl serde::Serialize for Reference {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Reference {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(|e: ShareError| serde::de::Error::custom(e))
    }
}

impl Reference {
    /// The registry's host, with its port where one is named.
    #[must_use]
    pub fn registry(&self) -> &str {
        self.0.registry()
    }

    /// Registry and repository: what trust is put in.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}/{}", self.0.registry(), self.0.repository())
    }

    /// The tag.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.0.tag()
    }

    /// The digest of the manifest, where it is pinned.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.0.digest().and_then(|digest| digest.parse().ok())
    }

    /// The same place under another tag.
    #[must_use]
    pub fn with_tag(&self, tag: &str) -> Self {
        Self(oci_client::Reference::with_tag(self.0.registry().to_owned(), self.0.repository().to_owned(), tag.to_owned()))
    }

    /// The same place, with this manifest and no other.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Self {
        Self(oci_client::Reference::with_digest(self.0.registry().to_owned(), self.0.repository().to_owned(), digest.to_string()))
    }

    /// Where signatures of a manifest lie, by cosign's convention: `sha256-HEX.sig` beside it.
    #[must_use]
    pub fn signatures_of(&self, digest: Digest) -> Self {
        self.with_tag(&format!("sha256-{}.sig", digest.hex()))
    }

    pub(super) fn inner(&self) -> &oci_client::Reference {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_its_registry() {
        let good: Reference = "registry.example.com/acme/rules:1.2.0".parse().unwrap();
        assert_eq!(
            (good.registry(), good.place().as_str(), good.tag()),
            ("registry.example.com", "registry.example.com/acme/rules", Some("1.2.0"))
        );
        assert_eq!("localhost:5000/a:1".parse::<Reference>().unwrap().registry(), "localhost:5000");
        for (bad, why) in [
            ("acme/rules", "names no registry"),
            ("rules", "names no registry"),
            ("https://registry.example.com/acme/rules", "is a URL"),
            ("registry.example.com/Acme/rules", "is no reference"),
            ("registry.example.com/асме/rules", "is no reference"),
            ("registry.example.com/../../etc:1", "is no reference"),
            ("registry.example.com/a@sha256:12", "is no reference"),
        ] {
            let error = bad.parse::<Reference>().unwrap_err().to_string();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn signatures_lie_where_cosign_looks_for_them() {
        let digest = Digest::of(b"x");
        let reference: Reference = "localhost:5000/a:1".parse().unwrap();
        assert_eq!(reference.signatures_of(digest).to_string(), format!("localhost:5000/a:sha256-{}.sig", digest.hex()));
        assert_eq!(reference.pinned(digest).digest(), Some(digest));
    }
}
