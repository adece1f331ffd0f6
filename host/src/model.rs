//! What the rooms pass to each other: vectors in, outcomes out. It knows no wire format but the outcome line's and imports
//! nothing of the crate.

mod digest;
mod expect;
mod ids;
mod outcome;
mod placeless;
mod printable;
mod secret;
mod timeline;
mod trace;
mod utf8;
mod vector;
mod verdict;

pub use digest::{Digest, InputHash, InputHasher, from_hex, to_hex};
pub use expect::{Expect, ExpectLine};
pub use ids::{ActionId, Environment, Malformed, RunId, SessionId};
pub use outcome::{Abstained, Decision, Earlier, Evidence, Outcome, Pivot, Problem, ProblemKind, StepLine, VerdictLine};
pub use placeless::without_place;
pub use printable::printable;
pub use secret::Secret;
pub use timeline::{Sighting, Timeline};
pub use trace::{Fault, Status, Step, Trace};
pub use utf8::utf8;
pub use vector::{Source, Vector};
pub use verdict::{Abstention, Classification, Confidence, Excerpt, Identity, Opinion, Verdict};
