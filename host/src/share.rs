//! Plugins between organisations: what an artifact is, whose word counts, what was taken into use. The only room that knows OCI
//! (<https://github.com/opencontainers/image-spec>, <https://github.com/opencontainers/distribution-spec>) and signatures as cosign
//! makes them. It knows nothing of how a plugin runs.

mod archive;
mod artifact;
mod changes;
mod credentials;
mod guard;
mod layout;
mod lock;
mod names;
mod proof;
mod reference;
mod registry;
mod shelf;
mod signature;
mod trust;

pub use archive::{load, save};
pub use artifact::{About, Artifact};
pub use changes::{Changes, Version};
pub use lock::{Lock, Locked, Older, Tested};
pub use names::alike;
pub use proof::{Budget, Proof, attach};
pub use reference::Reference;
pub use registry::Registry;
pub use shelf::{Kept, Shelf};
pub use signature::{PublicKey, Signature, Signatures, SigningKey};
pub use trust::{Came, Trusted, Vouched};

/// Why something is not shared, by what the caller may do next.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ShareError {
    /// It is refused, and would be again: what, and the way out.
    #[error("{what}")]
    Refused {
        /// What is refused, and by which rule.
        what: String,
        /// The way out.
        help: String,
    },
    /// The other side, or this machine, could not do it now: it may be tried again.
    #[error("{what}")]
    Failed {
        /// What failed.
        what: String,
        /// What to do about it.
        help: String,
    },
    /// It is not there.
    #[error("{0}: is not there")]
    Absent(String),
}

impl ShareError {
    fn refused(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Refused { what: what.into(), help: help.into() }
    }

    fn failed(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Failed { what: what.into(), help: help.into() }
    }

    fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::failed(format!("{}: {error}", path.display()), "check the file, its folder and its permissions")
    }

    /// What to do next.
    #[must_use]
    pub fn help(&self) -> &str {
        match self {
            Self::Refused { help, .. } | Self::Failed { help, .. } => help,
            Self::Absent(_) => "check the reference",
        }
    }
}
