//! Runs and their vectors: what was sent, which session came of it, and what its outcome was.

use super::deliveries::{self, Parcel};
use super::{Pending, Store, StoreError, now};
use crate::model::{ActionId, Environment, InputHash, Outcome, ProblemKind, RunId, SessionId, Vector};
use rusqlite::{OptionalExtension as _, Row, named_params, params};

/// How far a vector has come.
#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// It certainly has not been processed.
    NotSent,
    /// It was sent and no answer was recorded: the action may have run.
    Sent,
    /// It runs or ran under a session.
    Submitted(SessionId),
    /// Its outcome, as it was told.
    Done(Box<Outcome>),
}

/// What the journal knows of a vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// Its name, action, environment and the hash of its input, to tell whether the file still has the same one there.
    pub is: (String, String, String, String),
    /// How far it has come.
    pub stage: Stage,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// Its id.
    pub id: RunId,
    /// When it began, in milliseconds since 1970.
    pub began: i64,
    /// Whether every vector has its outcome.
    pub finished: bool,
    /// How many vectors it has.
    pub vectors: usize,
    /// A digest of where it runs, and as whom.
    pub platform: String,
    /// Its vector files.
    pub files: Vec<String>,
    /// How many attempts each vector has.
    pub attempts: usize,
    /// The run whose failures it runs again.
    pub parent: Option<RunId>,
    /// The filters and shares by which its vectors were picked, as they were written.
    pub filters: Vec<String>,
    /// See `filters`.
    pub shards: Vec<String>,
}

/// What an outcome is among those of its vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// The one that counts.
    Last,
    /// That of an attempt that is followed by another.
    Superseded,
}

/// A run with counts of its vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The run.
    pub run: RunRow,
    /// How many have their outcome.
    pub done: usize,
    /// How many of these are ambiguous.
    pub ambiguous: usize,
    /// How many were sent, with or without an answer, and have no outcome.
    pub under_way: usize,
}

/// A vector of a run, as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorRow {
    /// Its place among all, from 0.
    pub place: usize,
    /// Whether another attempt followed it.
    pub superseded: bool,
    /// What is known of it.
    pub known: Known,
}

/// How many vectors are read at a time.
const PAGE: usize = 1_000;

impl RunRow {
    /// A run that begins now, of these vectors.
    #[must_use]
    pub fn new(id: RunId, vectors: usize) -> Self {
        let (platform, files, filters, shards) = (String::new(), Vec::new(), Vec::new(), Vec::new());
        Self { id, began: now(), finished: false, vectors, platform, files, attempts: 1, parent: None, filters, shards }
    }
}

impl Store {
    /// Writes down that a run begins.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin(&self, run: &RunRow) -> Result<(), StoreError> {
        let json = |texts: &[String]| serde_json::to_string(texts).unwrap_or_default();
        let (run, files, filters, shards) = (run.clone(), json(&run.files), json(&run.filters), json(&run.shards));
        self.act(move |c| {
            c.execute(
                "INSERT INTO run (id, began, vectors, attempts, platform, files, parent, filters, shards) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                params![
                    run.id.as_str(),
                    run.began,
                    run.vectors,
                    run.attempts,
                    run.platform,
                    files,
                    run.parent.as_ref().map(RunId::as_str),
                    filters,
                    shards
                ],
            )
            .map(drop)
        })
        .await
    }

    /// Writes down that a run goes on: until it has come to its end again it is not finished.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn go_on(&self, id: &RunId) -> Result<(), StoreError> {
        let id = id.to_string();
        self.act(move |c| c.execute("UPDATE run SET ended = NULL, finished = 0 WHERE id = ?1", [id]).map(drop)).await
    }

    /// Writes down that a process has come to the end of a run; whether all its vectors have their outcome is looked up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end(&self, id: &RunId) -> Result<bool, StoreError> {
        let id = id.to_string();
        self.act(move |c| {
            c.execute(
                "UPDATE run SET ended = ?2, finished = (SELECT count(*) FROM vector WHERE run = ?1 AND stage = 3 AND superseded = 0) >= vectors WHERE id = ?1",
                params![id, now()],
            )?;
            c.query_row("SELECT finished FROM run WHERE id = ?1", [&id], |row| row.get(0))
        })
        .await
    }

    /// Writes down that a vector is about to be sent. It is on disk when this ends.
    ///
    /// # Errors
    /// [`StoreError`]: then it must not be sent.
    pub async fn sending(&self, run: &RunId, place: usize, vector: &Vector, input: &InputHash) -> Result<(), StoreError> {
        let (run, name, action, environment) =
            (run.to_string(), vector.name.clone(), vector.action.to_string(), vector.environment.as_str());
        let input = input.to_string();
        self.act(move |c| {
            c.prepare_cached(
                "INSERT INTO vector (run, place, name, action, environment, input_hash, stage, submission, sent)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, 1, ?7)
                 ON CONFLICT (run, place) DO UPDATE SET stage = 1, sent = ?7, session = NULL, outcome = NULL,
                     submission = submission + (stage <> 0)",
            )?
            .execute(params![run, place, name, action, environment, input, now()])
            .map(drop)
        })
        .await
    }

    /// Writes down that what was sent was certainly not processed. An earlier submit of the same vector, of which nobody knows, stays one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unprocessed(&self, run: &RunId, place: usize) -> Result<(), StoreError> {
        let run = run.to_string();
        self.act(move |c| {
            let mut update = c.prepare_cached("UPDATE vector SET stage = submission > 1 WHERE run = ?1 AND place = ?2 AND stage = 1")?;
            update.execute(params![run, place]).map(drop)
        })
        .await
    }

    /// Writes down the session of a vector.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn submitted(&self, run: &RunId, place: usize, session: &SessionId) -> Result<(), StoreError> {
        let (run, session) = (run.to_string(), session.to_string());
        self.act(move |c| {
            let mut update = c.prepare_cached("UPDATE vector SET stage = 2, session = ?3 WHERE run = ?1 AND place = ?2")?;
            update.execute(params![run, place, session]).map(drop)
        })
        .await
    }

    /// Writes down an outcome together with what is to be told of it: all of it, or nothing; an outcome that is there
    /// already stays. An outcome of a vector that was never sent has a row from now on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn done(
        &self,
        run: &RunId,
        place: usize,
        outcome: &Outcome,
        told: Told,
        entry: Option<Pending>,
        parcels: Vec<Parcel>,
    ) -> Result<(), StoreError> {
        let (run, outcome) = (run.to_string(), outcome.clone());
        self.act(move |c| {
            let line = serde_json::to_string(&outcome).unwrap_or_default();
            let input = outcome.input_hash.as_ref().map(ToString::to_string).unwrap_or_default();
            let written = c
                .prepare_cached(
                    "INSERT INTO vector (run, place, name, action, environment, input_hash, stage, submission, session, ended, outcome, superseded)
                 VALUES (:run, :place, :name, :action, :environment, :input, 3, 0, :session, :ended, :outcome, :superseded)
                 ON CONFLICT (run, place) DO UPDATE SET stage = 3, session = coalesce(:session, session), ended = :ended, outcome = :outcome, superseded = :superseded
                     WHERE stage <> 3",
                )?
                .execute(named_params! {
                    ":run": run, ":place": place, ":name": outcome.vector, ":action": outcome.action_id.to_string(),
                    ":environment": outcome.environment_id.as_str(), ":input": input,
                    ":session": outcome.session_id.as_ref().map(SessionId::as_str), ":ended": now(), ":outcome": line, ":superseded": told == Told::Superseded,
                })?;
            if written == 0 {
                return Ok(());
            }
            if let Some(entry) = entry {
                c.prepare_cached("INSERT INTO entry (audit_id, run, place, made, body) VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
                    entry.audit_id,
                    run,
                    place,
                    entry.made,
                    entry.body
                ])?;
            }
            deliveries::put(c, &run, &parcels)
        })
        .await
    }

    /// Writes down that an outcome is followed by another attempt.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn supersede(&self, run: &RunId, place: usize) -> Result<(), StoreError> {
        let run = run.to_string();
        self.act(move |c| c.execute("UPDATE vector SET superseded = 1 WHERE run = ?1 AND place = ?2", params![run, place]).map(drop)).await
    }

    /// What is known of a vector of a run; none where it was never sent.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn known(&self, run: &RunId, place: usize) -> Result<Option<Known>, StoreError> {
        let run = run.to_string();
        self.act(move |c| {
            let mut select = c.prepare_cached(&format!("SELECT {KNOWN} FROM vector WHERE run = ?1 AND place = ?2"))?;
            select.query_row(params![run, place], known).optional()
        })
        .await
    }

    /// Vectors of a run from a place on, in order: at most `many`.
    async fn vectors(&self, run: &RunId, from: usize, many: usize) -> Result<Vec<VectorRow>, StoreError> {
        let run = run.to_string();
        self.look(move |c| {
            let mut select =
                c.prepare_cached(&format!("SELECT {KNOWN} FROM vector WHERE run = ?1 AND place >= ?2 ORDER BY place LIMIT ?3"))?;
            let rows = select.query_map(params![run, from, many], |row| {
                Ok(VectorRow { place: row.get("place")?, superseded: row.get("superseded")?, known: known(row)? })
            })?;
            rows.collect()
        })
        .await
    }

    /// Gives each vector of a run in order; what is in memory at once does not grow with their number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn each_vector(&self, run: &RunId, mut each: impl FnMut(VectorRow)) -> Result<(), StoreError> {
        let mut from = 0;
        loop {
            let page = self.vectors(run, from, PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            from = last.place + 1;
            page.into_iter().for_each(&mut each);
        }
    }

    /// All runs, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn runs(&self) -> Result<Vec<Listed>, StoreError> {
        self.look(|c| {
            let mut select = c.prepare(
                "SELECT run.*, count(CASE WHEN stage = 3 AND superseded = 0 THEN 1 END) AS done, count(CASE WHEN stage IN (1, 2) THEN 1 END) AS under_way,
                     count(CASE WHEN stage = 3 AND session IS NULL AND json_extract(outcome, '$.problem') LIKE 'ambiguous: %' THEN 1 END) AS ambiguous
                 FROM run LEFT JOIN vector ON vector.run = run.id GROUP BY run.id ORDER BY began DESC, id DESC",
            )?;
            let rows = select.query_map([], |row| {
                Ok(Listed { run: run(row)?, done: row.get("done")?, ambiguous: row.get("ambiguous")?, under_way: row.get("under_way")? })
            })?;
            rows.collect()
        })
        .await
    }

    /// Forgets runs that began before then, but none that is live and none that still has an entry to be logged, or something submitted
    /// without an outcome; gives how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_runs(&self, before: i64) -> Result<usize, StoreError> {
        let path = self.path().to_owned();
        self.act(move |c| {
            let mut old = c.prepare(
                "SELECT id FROM run WHERE began < ?1 AND NOT EXISTS (SELECT 1 FROM entry WHERE entry.run = run.id AND written = 0)
                     AND NOT EXISTS (SELECT 1 FROM vector WHERE vector.run = run.id AND stage IN (1, 2))",
            )?;
            let ids: Vec<String> = old.query_map([before], |row| row.get(0))?.collect::<Result<_, _>>()?;
            let is_live = |id: &str| id.parse().is_ok_and(|id| super::is_live(&path, &id));
            let mut forgotten = 0;
            for id in ids.iter().filter(|id| !is_live(id)) {
                c.execute("DELETE FROM entry WHERE run = ?1", [id])?;
                forgotten += c.execute("DELETE FROM run WHERE id = ?1", [id])?;
            }
            Ok(forgotten)
        })
        .await
    }
}

const KNOWN: &str = "place, name, action, environment, input_hash, stage, session, outcome, superseded";

fn known(row: &Row<'_>) -> rusqlite::Result<Known> {
    let session: Option<String> = row.get("session")?;
    let outcome: Option<String> = row.get("outcome")?;
    let outcome = outcome.and_then(|line| serde_json::from_str(&line).ok());
    let session: Option<SessionId> = session.and_then(|id| id.parse().ok());
    let stage = match (row.get::<_, i64>("stage")?, session, outcome) {
        (0, ..) => Stage::NotSent,
        (2, Some(session), _) => Stage::Submitted(session),
        (3, _, Some(outcome)) => Stage::Done(Box::new(outcome)),
        // To call it sent would close it a second time.
        (3, _, None) => return Err(rusqlite::Error::InvalidColumnName("an outcome cannot be read".to_owned())),
        // A row that says more than it holds was written by nobody we know: the careful reading is that it was sent.
        _ => Stage::Sent,
    };
    Ok(Known { is: (row.get("name")?, row.get("action")?, row.get("environment")?, row.get("input_hash")?), stage })
}

impl Known {
    /// Whether it is this vector.
    #[must_use]
    pub fn is(&self, name: &str, action: ActionId, environment: Environment, input: &InputHash) -> bool {
        self.is == (name.to_owned(), action.to_string(), environment.to_string(), input.to_string())
    }

    /// Whether the action may have run without anybody knowing of its session.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        match &self.stage {
            Stage::Sent => true,
            // With a session it can be asked about.
            Stage::Done(outcome) => {
                outcome.session_id.is_none() && outcome.problem.as_ref().is_some_and(|p| p.kind == ProblemKind::Ambiguous)
            }
            _ => false,
        }
    }
}

fn run(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    let (id, files): (String, String) = (row.get("id")?, row.get("files")?);
    let id = id.parse().map_err(|e| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(e)))?;
    let texts = |text: &str| serde_json::from_str(text).unwrap_or_default();
    let parent: Option<String> = row.get("parent")?;
    Ok(RunRow {
        id,
        began: row.get("began")?,
        finished: row.get("finished")?,
        vectors: row.get("vectors")?,
        platform: row.get("platform")?,
        files: texts(&files),
        attempts: row.get("attempts")?,
        parent: parent.and_then(|id| id.parse().ok()),
        filters: texts(&row.get::<_, String>("filters")?),
        shards: texts(&row.get::<_, String>("shards")?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{InputHasher, Problem};
    use std::path::Path;

    fn vector() -> Vector {
        let action = "a1b2c3d4-e5f6-7890-abcd-ef1234567890".parse().unwrap();
        Vector {
            name: "v".into(),
            action,
            input: serde_json::Map::new(),
            environment: Environment::Test,
            tags: vec![],
            expect: None,
            repetition: None,
            source: None,
        }
    }

    async fn begun() -> (Store, RunId, InputHash) {
        let (store, run) = (Store::open(Path::new("")).unwrap(), RunId::new());
        store.begin(&RunRow { platform: "p".into(), files: vec!["v.json".to_owned()], ..RunRow::new(run.clone(), 2) }).await.unwrap();
        (store, run, InputHasher::default().hash(&serde_json::Map::new()))
    }

    fn outcome(problem: Option<ProblemKind>) -> Outcome {
        let problem = problem.map(|kind| Problem { kind, text: "x".into() });
        Outcome { problem, input_hash: None, ..Outcome::of("v".into(), vector().action, Environment::Test) }
    }

    #[tokio::test]
    async fn a_vector_goes_from_stage_to_stage() {
        let (store, run, input) = begun().await;
        assert_eq!(store.known(&run, 0).await.unwrap(), None);
        store.sending(&run, 0, &vector(), &input).await.unwrap();
        let stage = async || store.known(&run, 0).await.unwrap().unwrap();
        assert!(stage().await.stage == Stage::Sent && stage().await.is_ambiguous());
        store.unprocessed(&run, 0).await.unwrap();
        assert_eq!(stage().await.stage, Stage::NotSent);
        store.sending(&run, 0, &vector(), &input).await.unwrap();
        store.submitted(&run, 0, &"s-1".parse().unwrap()).await.unwrap();
        assert!(matches!(stage().await.stage, Stage::Submitted(session) if session.as_str() == "s-1"));
        assert!(stage().await.is("v", vector().action, Environment::Test, &input));
        assert!(!stage().await.is("w", vector().action, Environment::Test, &input));
        let done = Outcome { session_id: Some("s-1".parse().unwrap()), ..outcome(None) };
        let entry = Pending { run: run.to_string(), audit_id: "a".into(), made: 1, body: "{}".into() };
        store.done(&run, 0, &done, Told::Last, Some(entry.clone()), vec![]).await.unwrap();
        assert!(matches!(stage().await.stage, Stage::Done(_)) && !stage().await.is_ambiguous());
        assert_eq!(store.unwritten().await.unwrap(), std::slice::from_ref(&entry));
        store.done(&run, 0, &done, Told::Last, Some(Pending { audit_id: "b".into(), ..entry.clone() }), vec![]).await.unwrap();
        assert_eq!(store.unwritten().await.unwrap().len(), 1, "an outcome is written down once");
        store.written(vec!["a".into()]).await.unwrap();
        assert_eq!(store.unwritten().await.unwrap(), []);
        assert!(!store.end(&run).await.unwrap());
    }

    #[tokio::test]
    async fn runs_are_listed_with_what_is_left_to_do() {
        let (store, run, input) = begun().await;
        store.sending(&run, 0, &vector(), &input).await.unwrap();
        store.submitted(&run, 0, &"s-1".parse().unwrap()).await.unwrap();
        let let_go = Outcome { session_id: Some("s-1".parse().unwrap()), ..outcome(Some(ProblemKind::Interrupted)) };
        assert!(
            !let_go.is_final() && !outcome(Some(ProblemKind::Credentials)).is_final() && outcome(Some(ProblemKind::Refused)).is_final()
        );
        store.done(&run, 1, &outcome(Some(ProblemKind::Ambiguous)), Told::Last, None, vec![]).await.unwrap();
        let listed = store.runs().await.unwrap().remove(0);
        assert_eq!((listed.done, listed.ambiguous, listed.under_way, listed.run.vectors), (1, 1, 1, 2));
        assert_eq!(store.forget_runs(now() + 1).await, Ok(0), "something of it is still under way");
    }

    #[tokio::test]
    async fn what_may_have_run_stays_so_when_its_second_submit_certainly_did_not() {
        let (store, run, input) = begun().await;
        store.sending(&run, 0, &vector(), &input).await.unwrap();
        store.done(&run, 0, &outcome(Some(ProblemKind::Ambiguous)), Told::Last, None, vec![]).await.unwrap();
        store.go_on(&run).await.unwrap();
        store.sending(&run, 0, &vector(), &input).await.unwrap();
        store.unprocessed(&run, 0).await.unwrap();
        assert!(store.known(&run, 0).await.unwrap().unwrap().is_ambiguous());
    }

    #[tokio::test]
    async fn old_runs_are_forgotten_but_none_whose_entry_waits() {
        let (store, run, _) = begun().await;
        let entry = Pending { run: run.to_string(), audit_id: "a".into(), made: 1, body: "{}".into() };
        store.done(&run, 0, &outcome(None), Told::Last, Some(entry), vec![]).await.unwrap();
        assert_eq!(store.forget_runs(now() + 1).await, Ok(0));
        store.written(vec!["a".into()]).await.unwrap();
        assert_eq!(store.forget_runs(now() - 60_000).await, Ok(0), "it is young");
        assert_eq!((store.forget_runs(now() + 1).await, store.vectors(&run, 0, 9).await), (Ok(1), Ok(vec![])));
    }
}
