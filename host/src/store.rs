//! The journal: one SQLite file that knows of every run what was sent, what came of it, and what is still to be told to whom. What is
//! in it survives a kill at any instruction and, since each transaction is on disk before it is answered, a power cut. It knows rows and
//! transactions, not how a vector is run, delivered or logged.
//!
//! All work goes through one writer that takes whatever waits into one transaction: with many vectors in flight they share a sync.

mod deliveries;
mod entries;
mod labels;
mod lease;
mod runs;
mod schema;

pub use deliveries::{Delivery, DeliveryState, Due, Parcel, Pick, Tried};
pub use entries::Pending;
pub use labels::Label;
pub use lease::{Lease, is_live, is_still_there};
pub use runs::{Known, Listed, RunRow, Stage, Told, VectorRow};

use rusqlite::{Connection, ErrorCode};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long another process may hold the file before we give up.
const BUSY: Duration = Duration::from_secs(10);
/// The most work that goes into one transaction.
const BATCH: usize = 512;

/// The journal cannot be used, by what may be done about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It was written by a newer program.
    #[error("{path}: was written by a newer tracejury (format {found}; this one knows {known})", path = path.display(), known = schema::VERSION)]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
    },
    /// It is not a journal, or no longer.
    #[error("{path}: is damaged: {why}", path = shown(path))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// SQLite's word.
        why: String,
    },
    /// It cannot be read or written: permissions, a full disk, another process that holds it.
    #[error("{path}: {why}", path = shown(path))]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The system's word, or SQLite's.
        why: String,
    },
}

/// Work on the journal inside a transaction, where there is one; what it gives is called when the transaction is on disk, or is not.
type Job = Box<dyn FnOnce(Option<&Connection>) -> Answer + Send>;
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// An open journal. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    path: PathBuf,
    jobs: mpsc::Sender<Job>,
}

/// What stands for the path of a journal that is kept in memory only.
const IN_MEMORY: &str = "";

impl Store {
    /// Opens a journal, making it and its folder where they are missing, readable by its owner only; with an empty path it is kept in
    /// memory and gone with the process. Must be called within a runtime.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = connect(path)?;
        let (jobs, waiting) = mpsc::channel(BATCH);
        tokio::spawn(write(waiting, connection, path.to_owned()));
        Ok(Self { path: path.to_owned(), jobs })
    }

    /// Opens a journal that must exist already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn existing(path: &Path) -> Result<Self, StoreError> {
        if path.as_os_str() != IN_MEMORY && !path.exists() {
            return Err(StoreError::Unusable { path: path.to_owned(), why: "there is no journal; `tracejury run` makes one".to_owned() });
        }
        Self::open(path)
    }

    /// The file; empty where it is kept in memory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether nothing of it outlives the process.
    #[must_use]
    pub fn is_in_memory(&self) -> bool {
        self.path.as_os_str() == IN_MEMORY
    }

    /// Does some work in a transaction, and gives what it gave once the transaction is on disk.
    async fn act<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (tell, told) = oneshot::channel();
        let path = self.path.clone();
        let job: Job = Box::new(move |connection| {
            let done = connection.map(|connection| apart(connection, work).map_err(|e| sort(&path, &e)));
            Box::new(move |committed| _ = tell.send(committed.and(done.unwrap_or_else(|| Err(gone(&path))))))
        });
        self.jobs.send(job).await.map_err(|_| gone(&self.path))?;
        told.await.map_err(|_| gone(&self.path))?
    }
}

impl Store {
    /// Only looks: on a connection of its own, so that a long look keeps nobody from writing. What is in memory has one connection.
    async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.is_in_memory() {
            return self.act(work).await;
        }
        let path = self.path.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let connection = Connection::open(&path).and_then(|c| c.busy_timeout(BUSY).map(|()| c));
            connection.and_then(|c| c.pragma_update(None, "query_only", true).and_then(|()| work(&c))).map_err(|e| sort(&path, &e))
        });
        looked.await.unwrap_or_else(|_| Err(gone(&self.path)))
    }
}

/// The writer: as much as waits goes into one transaction. While it is written the next gathers.
async fn write(mut waiting: mpsc::Receiver<Job>, connection: Connection, path: PathBuf) {
    let mut connection = Some(connection);
    let mut batch = Vec::new();
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        let (jobs, own, path) = (std::mem::take(&mut batch), connection.take(), path.clone());
        let written = tokio::task::spawn_blocking(move || {
            if let Some(connection) = &own {
                commit(connection, jobs, &path);
            }
            own
        });
        match written.await {
            Ok(Some(own)) => connection = Some(own),
            // A job that panicked takes the connection with it; those who wait learn that the writer has ended.
            _ => return,
        }
    }
}

fn commit(connection: &Connection, jobs: Vec<Job>, path: &Path) {
    let begun = connection.execute_batch("BEGIN IMMEDIATE");
    let answers: Vec<Answer> = match &begun {
        // Where SQLite has ended the transaction by itself (a full disk, for one), nothing more may be done as if there were one.
        Ok(()) => jobs.into_iter().map(|job| job(Some(connection).filter(|c| !c.is_autocommit()))).collect(),
        Err(_) => jobs.into_iter().map(|job| job(None)).collect(),
    };
    let done = begun.and_then(|()| connection.execute_batch("COMMIT")).map_err(|e| sort(path, &e));
    if done.is_err() && !connection.is_autocommit() {
        let _ = connection.execute_batch("ROLLBACK");
    }
    answers.into_iter().for_each(|answer| answer(done.clone()));
}

fn gone(path: &Path) -> StoreError {
    StoreError::Unusable { path: path.to_owned(), why: "its writer has ended".to_owned() }
}

/// Some work whose failure takes back nothing but itself.
fn apart<T>(connection: &Connection, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    connection.execute_batch("SAVEPOINT job")?;
    let done = work(connection);
    if done.is_err() {
        connection.execute_batch("ROLLBACK TO job")?;
    }
    connection.execute_batch("RELEASE job")?;
    done
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let failed = |e: &rusqlite::Error| sort(path, e);
    let mut connection = if path.as_os_str() == IN_MEMORY {
        Connection::open_in_memory().map_err(|e| failed(&e))?
    } else {
        prepare(path).map_err(|e| StoreError::Unusable { path: path.to_owned(), why: e.to_string() })?;
        Connection::open(path).map_err(|e| failed(&e))?
    };
    connection.busy_timeout(BUSY).map_err(|e| failed(&e))?;
    connection.set_prepared_statement_cache_capacity(64);
    // FULL: a commit is on disk before it is answered (<https://sqlite.org/pragma.html#pragma_synchronous>); NORMAL could lose the record
    // of a submit in a power cut.
    connection
        // (On macOS a sync reaches the disk with `fullfsync` only.)
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON; PRAGMA fullfsync = ON;")
        .map_err(|e| failed(&e))?;
    match schema::migrate(&mut connection) {
        Ok(()) => Ok(connection),
        Err(schema::Unmet::Newer(found)) => Err(StoreError::Newer { path: path.to_owned(), found }),
        Err(schema::Unmet::Sqlite(e)) => Err(failed(&e)),
    }
}

/// Makes the file and its folder, for their owner only: SQLite would make it for everybody the umask lets in. What it makes beside it has
/// the file's own permissions.
fn prepare(path: &Path) -> std::io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()) {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
        // What lies in a folder of ours inside a project is no part of the project.
        std::fs::write(folder.join(".gitignore"), "*\n")?;
    }
    let mut options = std::fs::File::options();
    options.create(true).truncate(false).read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

fn sort(path: &Path, error: &rusqlite::Error) -> StoreError {
    let (path, why) = (path.to_owned(), error.to_string());
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Damaged { path, why },
        _ => StoreError::Unusable { path, why },
    }
}

/// A journal, for people.
fn shown(path: &Path) -> String {
    if path.as_os_str() == IN_MEMORY { "the journal in memory".to_owned() } else { path.display().to_string() }
}

/// Now, as it is written into what others read: RFC 3339 in UTC, with milliseconds.
#[must_use]
pub fn timestamp() -> String {
    chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// Milliseconds since 1970 by the wall clock: what is written down must mean the same to the next process.
#[must_use]
pub fn now() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_that_fails_takes_back_nothing_but_itself() {
        let store = Store::open(Path::new("")).unwrap();
        let make = store.act(|c| c.execute_batch("CREATE TABLE t (n INTEGER PRIMARY KEY)"));
        make.await.unwrap();
        let insert = |n: i64| store.act(move |c| c.execute("INSERT INTO t VALUES (?1)", [n]));
        let (first, again, second) = tokio::join!(insert(1), insert(1), insert(2));
        assert!(first.is_ok() && again.is_err() && second.is_ok());
        let count = store.act(|c| c.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)));
        assert_eq!(count.await, Ok(2));
    }

    #[tokio::test]
    async fn a_newer_one_a_damaged_one_and_one_that_is_none_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/journal.db");
        drop(Store::open(&path).unwrap());
        let raw = Connection::open(&path).unwrap();
        raw.pragma_update(None, "user_version", 99).unwrap();
        let newer = Store::open(&path).unwrap_err();
        assert!(newer.to_string().ends_with("was written by a newer tracejury (format 99; this one knows 3)"), "{newer}");
        std::fs::write(
            dir.path().join("text.db"),
            "this is no database, whatever its name says it is; it has a hundred bytes or more of text, all in vain",
        )
        .unwrap();
        assert!(matches!(Store::open(&dir.path().join("text.db")), Err(StoreError::Damaged { .. })));
        assert!(matches!(Store::open(dir.path()), Err(StoreError::Unusable { .. })));
        assert!(matches!(Store::existing(&dir.path().join("none.db")), Err(StoreError::Unusable { .. })));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn only_its_owner_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t/journal.db");
        let store = Store::open(&path).unwrap();
        store.act(|c| c.execute_batch("CREATE TABLE t (n)")).await.unwrap();
        for file in std::fs::read_dir(dir.path().join("t")).unwrap().map(Result::unwrap) {
            let private = file.metadata().unwrap().permissions().mode() & 0o77 == 0;
            assert!(private || file.file_name() == ".gitignore", "{:?}", file.path());
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn two_processes_on_one_file_are_safe() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.db");
        let stores = [Store::open(&path).unwrap(), Store::open(&path).unwrap()];
        stores[0].act(|c| c.execute_batch("CREATE TABLE t (n INTEGER)")).await.unwrap();
        let mut all = tokio::task::JoinSet::new();
        for n in 0..200_i64 {
            let store = stores[n as usize % 2].clone();
            all.spawn(async move { store.act(move |c| c.execute("INSERT INTO t VALUES (?1)", [n])).await.unwrap() });
        }
        while all.join_next().await.is_some() {}
        let count = stores[1].act(|c| c.query_row("SELECT count(DISTINCT n) FROM t", [], |row| row.get::<_, i64>(0)));
        assert_eq!(count.await, Ok(200));
    }
}
