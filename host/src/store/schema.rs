//! The tables of the journal (format 3), and how an older file becomes one of them.

use rusqlite::{Connection, TransactionBehavior};

/// The format this program writes; it stands in the file as `user_version`.
pub(super) const VERSION: i64 = 3;

/// One step from each format to the next. A step that has been released is never changed.
const STEPS: [&str; 3] = [
    "
CREATE TABLE run (
    id TEXT PRIMARY KEY,
    began INTEGER NOT NULL,             -- milliseconds since 1970, as all times here
    ended INTEGER,                      -- of the latest process that came to an end
    finished INTEGER NOT NULL DEFAULT 0,-- every vector has its outcome
    vectors INTEGER NOT NULL,
    platform TEXT NOT NULL,             -- a digest of where it runs, and as whom
    files TEXT NOT NULL                 -- JSON: the vector files
) WITHOUT ROWID;

CREATE TABLE vector (
    run TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    place INTEGER NOT NULL,             -- among the run's vectors, from 0
    name TEXT NOT NULL,
    action TEXT NOT NULL,
    environment TEXT NOT NULL,
    input_hash TEXT NOT NULL,
    stage INTEGER NOT NULL,             -- 0 not sent, 1 sent and not answered, 2 submitted, 3 done
    submission INTEGER NOT NULL,        -- how often it was sent on the user's word
    sent INTEGER,
    session TEXT,
    ended INTEGER,
    outcome TEXT,                       -- the outcome line
    PRIMARY KEY (run, place)
) WITHOUT ROWID;
CREATE INDEX vector_by_session ON vector (session) WHERE session IS NOT NULL;

CREATE TABLE entry (
    audit_id TEXT PRIMARY KEY,
    run TEXT NOT NULL,
    place INTEGER NOT NULL,
    made INTEGER NOT NULL,
    body TEXT NOT NULL,                 -- the entry's own fields
    written INTEGER NOT NULL DEFAULT 0  -- it is in the audit log
) WITHOUT ROWID;
CREATE INDEX entry_by_run ON entry (run);
CREATE INDEX entry_unwritten ON entry (made) WHERE written = 0;

CREATE TABLE delivery (
    id TEXT NOT NULL,                   -- the webhook-id
    endpoint TEXT NOT NULL,
    run TEXT NOT NULL,
    made INTEGER NOT NULL,
    body TEXT NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,   -- 0 waiting, 1 delivered, 2 dead
    attempts INTEGER NOT NULL DEFAULT 0,
    round INTEGER NOT NULL DEFAULT 0,   -- of these, before it was last asked to be replayed
    due INTEGER NOT NULL,
    claimed INTEGER NOT NULL DEFAULT 0, -- until when somebody is at it
    claimer TEXT,                       -- who: the id of a lease
    ended INTEGER,
    why TEXT,                           -- what the last attempt ended with
    PRIMARY KEY (id, endpoint)
) WITHOUT ROWID;
CREATE INDEX delivery_claimed ON delivery (endpoint, claimed) WHERE state = 0 AND claimed > 0;
CREATE INDEX delivery_due ON delivery (endpoint, due) WHERE state = 0;

CREATE TABLE attempt (
    id TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    number INTEGER NOT NULL,
    began INTEGER NOT NULL,
    took_ms INTEGER NOT NULL,
    status INTEGER,                     -- the HTTP status, where there was one
    why TEXT,                           -- none where it was delivered
    PRIMARY KEY (id, endpoint, number),
    FOREIGN KEY (id, endpoint) REFERENCES delivery (id, endpoint) ON DELETE CASCADE
) WITHOUT ROWID;

CREATE TABLE disabled (
    endpoint TEXT PRIMARY KEY,
    address TEXT NOT NULL,              -- a digest of its address: under another one it is another
    since INTEGER NOT NULL
) WITHOUT ROWID;
",
    "
CREATE TABLE label (
    session TEXT PRIMARY KEY,
    classification TEXT NOT NULL,       -- what its failure really was, on somebody's word
    reason TEXT,
    made INTEGER NOT NULL
) WITHOUT ROWID;
",
    "
-- How many attempts each vector has: their places follow each other.
ALTER TABLE run ADD COLUMN attempts INTEGER NOT NULL DEFAULT 1;
-- Which vectors of its files it has: a run whose failures it is of, filters and shares, each as JSON.
ALTER TABLE run ADD COLUMN parent TEXT;
ALTER TABLE run ADD COLUMN filters TEXT NOT NULL DEFAULT '[]';
ALTER TABLE run ADD COLUMN shards TEXT NOT NULL DEFAULT '[]';
-- An outcome that was not as expected and was followed by another attempt.
ALTER TABLE vector ADD COLUMN superseded INTEGER NOT NULL DEFAULT 0;
",
];

/// Why a file cannot be brought to this format.
pub(super) enum Unmet {
    Newer(i64),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Unmet {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Brings a file to this format, in one transaction: of two processes that find an old file one does it.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Unmet> {
    let version = |c: &Connection| c.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    if version(connection)? == VERSION {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    if found > VERSION {
        return Err(Unmet::Newer(found));
    }
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or_default()) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_first_format_is_brought_to_this_one() {
        let mut file = Connection::open_in_memory().unwrap();
        file.execute_batch(STEPS[0]).unwrap();
        file.pragma_update(None, "user_version", 1).unwrap();
        file.execute("INSERT INTO run (id, began, vectors, platform, files) VALUES ('r', 1, 1, 'p', '[]')", []).unwrap();
        assert!(migrate(&mut file).is_ok());
        let count = |table: &str| file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!((count("run"), count("label")), (1, 0), "what was there stays");
    }
}
