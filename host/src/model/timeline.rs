//! When things happened to a vector, in milliseconds since its run began.

/// The course of one vector.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timeline {
    /// When its turn came.
    pub begun: u64,
    /// When the submit that was accepted was sent.
    pub submitted: Option<u64>,
    /// What each poll saw.
    pub polls: Vec<(u64, Sighting)>,
    /// When its outcome was there.
    pub ended: u64,
}

/// What a poll saw of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sighting {
    /// It had not ended; the platform's word for how it stood.
    Running(String),
    /// The platform asked to wait.
    Throttled,
    /// No answer that says anything.
    Nothing,
    /// It had ended.
    Ended,
}
