//! Entries of the audit log as the journal has them: what is to be in the log, and whether it is. What they say is the log's business.

use super::{Store, StoreError};

/// An entry that is to be in the audit log and, by the journal, is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The run it came of.
    pub run: String,
    /// The entry's id.
    pub audit_id: String,
    /// When it was made, in milliseconds since 1970.
    pub made: i64,
    /// Its own fields, as JSON.
    pub body: String,
}

impl Store {
    /// Entries that are not in the audit log by the journal's word, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unwritten(&self) -> Result<Vec<Pending>, StoreError> {
        self.read_entries("SELECT run, audit_id, made, body FROM entry WHERE written = 0 ORDER BY made, audit_id").await
    }

    /// All entries, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn entries(&self) -> Result<Vec<Pending>, StoreError> {
        self.read_entries("SELECT run, audit_id, made, body FROM entry ORDER BY made, audit_id").await
    }

    async fn read_entries(&self, sql: &'static str) -> Result<Vec<Pending>, StoreError> {
        self.look(move |c| {
            let mut select = c.prepare(sql)?;
            let rows = select
                .query_map([], |row| Ok(Pending { run: row.get(0)?, audit_id: row.get(1)?, made: row.get(2)?, body: row.get(3)? }))?;
            rows.collect()
        })
        .await
    }

    /// Writes down that entries are in the audit log.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn written(&self, audit_ids: Vec<String>) -> Result<(), StoreError> {
        self.update_entries("UPDATE entry SET written = 1 WHERE audit_id = ?1", audit_ids).await
    }

    /// Takes back that entries are in the audit log: it was looked, and they are not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unwrite(&self, audit_ids: Vec<String>) -> Result<(), StoreError> {
        self.update_entries("UPDATE entry SET written = 0 WHERE audit_id = ?1", audit_ids).await
    }

    async fn update_entries(&self, sql: &'static str, audit_ids: Vec<String>) -> Result<(), StoreError> {
        self.act(move |c| {
            let mut update = c.prepare_cached(sql)?;
            audit_ids.iter().try_for_each(|id| update.execute([id]).map(drop))
        })
        .await
    }
}
