//! What a run writes down of a vector before and while it is submitted.

use crate::debug_api::Witness;
use crate::model::{InputHash, RunId, SessionId, Vector};
use crate::store::Store;

/// The journal's side of one vector.
pub(super) struct Record<'a> {
    pub(super) store: &'a Store,
    pub(super) run: &'a RunId,
    pub(super) place: usize,
    pub(super) vector: &'a Vector,
    pub(super) input: InputHash,
}

impl Witness for Record<'_> {
    async fn sending(&self) -> Result<(), String> {
        self.store.sending(self.run, self.place, self.vector, &self.input).await.map_err(|e| e.to_string())
    }

    async fn unprocessed(&self) {
        // Where this cannot be written down it stays down as sent: a resumed run will call it ambiguous rather than send it twice.
        if let Err(error) = self.store.unprocessed(self.run, self.place).await {
            tracing::warn!("journal: {error}");
        }
    }
}

impl Record<'_> {
    /// The vector has a session, which a resumed run can find again.
    pub(super) async fn submitted(&self, session: &SessionId) {
        if let Err(error) = self.store.submitted(self.run, self.place, session).await {
            tracing::warn!("journal: {error}; a resumed run would call {} ambiguous", self.vector.name);
        }
    }
}
