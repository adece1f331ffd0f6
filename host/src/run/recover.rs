//! What a process that was killed left undone in the audit log: entries that the journal has and perhaps the log has not.

use crate::audit::AuditLog;
use crate::model::RunId;
use crate::store::{Lease, Pending, Store};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Writes into the log what is missing there of `own`, whose lease the caller holds, and of runs that nobody is at; gives how many.
///
/// # Errors
/// What kept it from being done.
pub async fn catch_up(store: &Store, log: &Arc<AuditLog>, own: Option<&RunId>) -> Result<usize, String> {
    let mut by_run: BTreeMap<String, Vec<Pending>> = BTreeMap::new();
    for entry in store.unwritten().await.map_err(|e| e.to_string())? {
        by_run.entry(entry.run.clone()).or_default().push(entry);
    }
    let mut written = 0;
    for (run, entries) in by_run {
        let Ok(run) = run.parse::<RunId>() else { continue };
        // Whoever is at a run writes its entries; two who would catch up with the same one must not both do so.
        let lease = if own == Some(&run) { None } else { Lease::take(store.path(), &run).map_err(|e| e.to_string())? };
        if lease.is_none() && own != Some(&run) {
            continue;
        }
        let ids: Vec<_> = entries.iter().map(|entry| entry.audit_id.clone()).collect();
        let log = Arc::clone(log);
        let append = move || {
            let written = log.append_missing(&entries)?;
            // They are noted as written for good: so they must be.
            log.sync().map(|()| written)
        };
        let done = tokio::task::spawn_blocking(append).await.map_err(|e| e.to_string())?;
        written += done.map_err(|e| e.to_string())?;
        store.written(ids).await.map_err(|e| e.to_string())?;
    }
    Ok(written)
}
