//! Checkpoints: what a log came to at one time, signed, to be kept where whoever can change the log cannot. The form is that of C2SP
//! (<https://c2sp.org/tlog-checkpoint>, <https://c2sp.org/signed-note>): origin, number of entries and RFC 6962 root, signed by Ed25519.
//! And proofs that one entry is in a log, without the others (<https://c2sp.org/tlog-proof>).

use super::chain::{self, Hash};
use super::segments::Location;
use super::tree::{self, Tree};
use super::{AuditError, verify};
use crate::model::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use signed_note::{Note, Signer as _, StandardSigner, StandardVerifier, Verifier as _, VerifierList};
use std::path::Path;

/// What a log came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whose log it is: the name of the key.
    pub origin: String,
    /// How many entries it had.
    pub size: u64,
    /// The root of their tree.
    pub(super) root: Hash,
}

/// A key pair for checkpoints.
pub struct Keys {
    signer: StandardSigner,
    origin: String,
    /// What others check by, as text: name, id and public key.
    pub public: String,
}

/// The first line of a proof.
const PROOF: &str = "c2sp.org/tlog-proof@v1";

fn unusable(what: impl std::fmt::Display) -> AuditError {
    AuditError::Unusable(what.to_string())
}

impl Keys {
    /// Makes a key for a log of this name: its text, to be kept secret, and the key.
    ///
    /// # Errors
    /// [`AuditError`], where the name cannot be one.
    pub fn make(origin: &str) -> Result<(Secret, Self), AuditError> {
        if !signed_note::is_key_name_valid(origin) {
            return Err(unusable(format!("{origin:?} cannot be the name of a key: it must hold no blank and no +")));
        }
        let (private, _) = signed_note::generate_key(&mut rand_core::OsRng, origin);
        let keys = Self::parse(&private).ok_or_else(|| unusable("the key cannot be used"))?;
        Ok((Secret::new(private), keys))
    }

    /// Reads a key that was made by [`Keys::make`].
    ///
    /// # Errors
    /// [`AuditError`].
    pub fn read(file: &Path) -> Result<Self, AuditError> {
        let text = std::fs::read_to_string(file).map_err(|e| AuditError::io(file, e))?;
        Self::parse(text.trim())
            .ok_or_else(|| unusable(format!("{}: is no key for checkpoints; `tracejury init` makes one", file.display())))
    }

    fn parse(text: &str) -> Option<Self> {
        let signer = StandardSigner::new(text).ok()?;
        // PRIVATE+KEY+name+id+key, the last of it base64, which may hold a + itself.
        let bytes = STANDARD.decode(text.splitn(5, '+').nth(4)?).ok()?;
        let seed: [u8; 32] = bytes.get(1..)?.try_into().ok()?;
        let key = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key();
        let origin = signer.name().to_owned();
        Some(Self { public: signed_note::new_ed25519_verifier_key(&origin, &key), origin, signer })
    }

    /// Whether a text is a public key.
    #[must_use]
    pub fn is_public(text: &str) -> bool {
        StandardVerifier::new(text.trim()).is_ok()
    }

    /// Checks a log and signs what it comes to.
    ///
    /// # Errors
    /// [`AuditError`]: what does not hold is not signed.
    pub fn checkpoint(&self, location: &Location) -> Result<String, AuditError> {
        self.sign(&verify(location, None)?.end.tree)
    }

    fn sign(&self, tree: &Tree) -> Result<String, AuditError> {
        let text = format!("{}\n{}\n{}\n", self.origin, tree.size(), STANDARD.encode(tree.root()));
        let mut note = Note::new(text.as_bytes(), &[]).map_err(unusable)?;
        note.add_sigs(&[&self.signer]).map_err(unusable)?;
        String::from_utf8(note.to_bytes()).map_err(unusable)
    }

    /// Proves that the entry of an index is in the log, without showing others: a text that can be checked by [`check_proof`].
    ///
    /// # Errors
    /// [`AuditError`]; where there is no such entry too.
    pub fn prove(&self, location: &Location, index: u64) -> Result<String, AuditError> {
        let proof = verify::prove(location, index)?;
        let verify::Proof { path, tree, line } =
            proof.ok_or_else(|| unusable(format!("there is no entry {index} in the log any more, or yet")))?;
        let path: String = path.iter().map(|hash| format!("{}\n", STANDARD.encode(hash))).collect();
        Ok(format!("{PROOF}\nextra {}\nindex {index}\n{path}\n{}", STANDARD.encode(line), self.sign(&tree)?))
    }
}

impl Checkpoint {
    /// Reads a checkpoint and checks its signature by a public key.
    ///
    /// # Errors
    /// [`AuditError`].
    pub fn read(note: &str, public: &str) -> Result<Self, AuditError> {
        let verifier = StandardVerifier::new(public.trim()).map_err(|_| unusable("the public key cannot be read"))?;
        let name = verifier.name().to_owned();
        let note = Note::from_bytes(note.as_bytes()).map_err(|_| unusable("is no signed checkpoint"))?;
        let known = VerifierList::new(vec![Box::new(verifier)]);
        note.verify(&known).map_err(|_| unusable(format!("was not signed by {name}, or changed since")))?;
        let text = String::from_utf8(note.text().to_vec()).map_err(|_| unusable("is no checkpoint"))?;
        let parsed = match text.lines().collect::<Vec<_>>().as_slice() {
            [origin, size, root, ..] => STANDARD
                .decode(root)
                .ok()
                .and_then(|root| Some(Self { origin: (*origin).to_owned(), size: size.parse().ok()?, root: root.try_into().ok()? })),
            _ => None,
        };
        parsed.filter(|checkpoint| checkpoint.origin == name).ok_or_else(|| unusable("is signed, but no checkpoint of this log"))
    }
}

/// Checks a proof by a public key, and gives the entry's line, its index, and how many entries the log had.
///
/// # Errors
/// [`AuditError`].
pub fn check_proof(proof: &str, public: &str) -> Result<(String, u64, u64), AuditError> {
    let wrong = || unusable("is no proof");
    let (head, note) = proof.split_once("\n\n").ok_or_else(wrong)?;
    let checkpoint = Checkpoint::read(note, public)?;
    let mut lines = head.lines();
    let extra = lines.next().filter(|line| *line == PROOF).and_then(|_| lines.next()).and_then(|line| line.strip_prefix("extra "));
    let line = extra.and_then(|extra| STANDARD.decode(extra).ok()).ok_or_else(wrong)?;
    let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(|n| n.parse().ok()).ok_or_else(wrong)?;
    let hash = |line: &str| STANDARD.decode(line).ok().and_then(|bytes| Hash::try_from(bytes).ok());
    let path: Vec<Hash> = lines.map(hash).collect::<Option<_>>().ok_or_else(wrong)?;
    let entry = chain::read(&line).map_err(unusable)?;
    if entry.index != index || tree::root_by(&entry.hash, index, checkpoint.size, &path) != Some(checkpoint.root) {
        return Err(unusable("does not lead to the checkpoint's root: the entry is not in that log"));
    }
    Ok((String::from_utf8_lossy(&line).into_owned(), index, checkpoint.size))
}
