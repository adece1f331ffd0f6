//! Who writes the audit log while a run goes on: whatever waits is written together, and each outcome is reported only when its entry is
//! as safe as the settings want it.

use crate::audit::AuditLog;
use crate::config::Durability;
use crate::store::{Pending, Store};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep_until};

/// The most entries that are written together.
const BATCH: usize = 256;

/// Takes entries to the log. Cheap to clone; it ends when all its copies have.
#[derive(Clone)]
pub(super) struct Scribe(mpsc::Sender<(Pending, oneshot::Sender<Result<(), String>>)>);

impl Scribe {
    /// Begins; the handle ends when everything is written, and synced where that is wanted.
    pub(super) fn start(log: Arc<AuditLog>, store: Store, group: Duration) -> (Self, JoinHandle<()>) {
        let (entries, waiting) = mpsc::channel(BATCH);
        (Self(entries), tokio::spawn(write(log, store, group, waiting)))
    }

    /// Has an entry written.
    pub(super) async fn write(&self, entry: Pending) -> Result<(), String> {
        let (done, written) = oneshot::channel();
        let gone = || "the writer has ended".to_owned();
        self.0.send((entry, done)).await.map_err(|_| gone())?;
        written.await.map_err(|_| gone())?
    }
}

async fn write(
    log: Arc<AuditLog>,
    store: Store,
    group: Duration,
    mut waiting: mpsc::Receiver<(Pending, oneshot::Sender<Result<(), String>>)>,
) {
    let mut batch = Vec::new();
    let mut unsynced: Vec<String> = Vec::new();
    let mut sync_at: Option<Instant> = None;
    loop {
        let more = tokio::select! {
            more = waiting.recv_many(&mut batch, BATCH) => more,
            () = due(sync_at) => {
                sync_at = None;
                synced(&log, &store, &mut unsynced).await;
                continue;
            }
        };
        if more == 0 {
            break;
        }
        let (entries, tell): (Vec<Pending>, Vec<_>) = batch.drain(..).unzip();
        let (own, bodies) = (Arc::clone(&log), entries.iter().map(|entry| entry.body.clone()).collect::<Vec<_>>());
        let done = spawn_blocking(move || own.append(&bodies).map_err(|e| e.to_string())).await;
        let done = done.unwrap_or_else(|_| Err("the writer failed".to_owned()));
        if done.is_ok() {
            let ids: Vec<_> = entries.into_iter().map(|entry| entry.audit_id).collect();
            if log.durability() == Durability::Group {
                unsynced.extend(ids);
                sync_at.get_or_insert_with(|| Instant::now() + group);
            } else {
                note(&store, ids).await;
            }
        }
        tell.into_iter().for_each(|tell| _ = tell.send(done.clone()));
    }
    synced(&log, &store, &mut unsynced).await;
}

async fn synced(log: &Arc<AuditLog>, store: &Store, unsynced: &mut Vec<String>) {
    if unsynced.is_empty() {
        return;
    }
    let own = Arc::clone(log);
    match spawn_blocking(move || own.sync()).await {
        Ok(Ok(())) => note(store, std::mem::take(unsynced)).await,
        Ok(Err(error)) => tracing::warn!("audit log: {error}; what was written last may not be on disk"),
        Err(_) => {}
    }
}

/// Where this fails the next run finds the entries in the log.
async fn note(store: &Store, ids: Vec<String>) {
    if let Err(error) = store.written(ids).await {
        tracing::debug!("journal: {error}");
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
