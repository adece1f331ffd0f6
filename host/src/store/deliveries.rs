//! What is to be told to endpoints: parcels wait, are claimed by whoever delivers them, and end delivered or as dead letters. What an
//! endpoint answered is kept as a status, never its body.

use super::{Store, StoreError, now};
use crate::model::RunId;
use rusqlite::{Connection, Row, named_params, params};
use std::time::Duration;

/// Something to be told to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// The webhook-id: one per outcome, over all attempts and endpoints.
    pub id: String,
    /// The endpoint's name in the settings.
    pub endpoint: String,
    /// The body, the same for all attempts.
    pub body: String,
}

/// A parcel that somebody has claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The parcel.
    pub parcel: Parcel,
    /// How many attempts were made since it was made, or last asked to be replayed.
    pub attempts: usize,
}

/// How an attempt went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// When it began, in milliseconds since 1970.
    pub began: i64,
    /// How long it took.
    pub took: Duration,
    /// The HTTP status, where there was one.
    pub status: Option<u16>,
    /// What went wrong; none where it was delivered.
    pub why: Option<String>,
    /// When the next attempt is due, in milliseconds since 1970; none where there is none.
    pub next: Option<i64>,
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// To be tried, or tried again.
    Waiting,
    /// The endpoint has it.
    Delivered,
    /// All attempts are used up.
    Dead,
}

impl DeliveryState {
    /// All there are, in the order of their numbers.
    const ALL: [Self; 3] = [Self::Waiting, Self::Delivered, Self::Dead];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }
}

/// A delivery as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The parcel.
    pub parcel: Parcel,
    /// The run it came of.
    pub run: String,
    /// When it was made, in milliseconds since 1970.
    pub made: i64,
    /// How it stands.
    pub state: DeliveryState,
    /// How many attempts were made at it in all.
    pub attempts: usize,
    /// When it is due, in milliseconds since 1970; of no account unless it waits.
    pub due: i64,
    /// What the last attempt ended with, where it failed.
    pub why: Option<String>,
}

/// Which deliveries are meant.
#[derive(Debug, Clone, Default)]
pub struct Pick {
    /// Those of this id.
    pub id: Option<String>,
    /// Those of this endpoint.
    pub endpoint: Option<String>,
    /// Those that stand so.
    pub states: Vec<DeliveryState>,
    /// Those made before then, in milliseconds since 1970.
    pub before: Option<i64>,
}

/// Why nothing is delivered to whoever said so.
const DISABLED: &str = "the endpoint is disabled: it answered 410";

pub(super) fn put(connection: &Connection, run: &str, parcels: &[Parcel]) -> rusqlite::Result<()> {
    // For whoever is disabled it is a dead letter from the start: it can be replayed, and does not wait for ever.
    let mut insert = connection.prepare_cached(
        "INSERT OR IGNORE INTO delivery (id, endpoint, run, made, body, due, state, why)
         SELECT ?1, ?2, ?3, ?4, ?5, ?4, CASE WHEN off THEN 2 ELSE 0 END, CASE WHEN off THEN ?6 END
         FROM (SELECT EXISTS (SELECT 1 FROM disabled WHERE endpoint = ?2) AS off)",
    )?;
    parcels.iter().try_for_each(|p| insert.execute(params![p.id, p.endpoint, run, now(), p.body, DISABLED]).map(drop))
}

impl Store {
    /// Claims up to `many` parcels of an endpoint that are due, for `hold`: until then nobody else takes them, and whoever did not come
    /// back by then is taken for dead. `claimer` is the id of a lease that is held meanwhile.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim(&self, claimer: &RunId, endpoint: &str, many: usize, hold: Duration) -> Result<Vec<Due>, StoreError> {
        let (endpoint, hold) = (endpoint.to_owned(), i64::try_from(hold.as_millis()).unwrap_or(i64::MAX));
        let claimer = claimer.to_string();
        self.act(move |c| {
            let mut update = c.prepare_cached(
                "UPDATE delivery SET claimed = :now + :hold, claimer = :claimer WHERE (id, endpoint) IN (
                     SELECT id, endpoint FROM delivery
                     WHERE state = 0 AND endpoint = :endpoint AND due <= :now AND claimed <= :now
                         AND NOT EXISTS (SELECT 1 FROM disabled WHERE disabled.endpoint = :endpoint)
                     ORDER BY due LIMIT :many)
                 RETURNING id, endpoint, body, attempts - round",
            )?;
            let rows = update.query_map(
                named_params! {":now": now(), ":hold": hold, ":claimer": claimer, ":endpoint": endpoint, ":many": many},
                |row| Ok(Due { parcel: Parcel { id: row.get(0)?, endpoint: row.get(1)?, body: row.get(2)? }, attempts: row.get(3)? }),
            )?;
            rows.collect()
        })
        .await
    }

    /// Frees what was claimed by those who are no more, as their leases tell; `own` is the caller's lease.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn free(&self, own: &RunId) -> Result<(), StoreError> {
        let (path, own) = (self.path().to_owned(), own.to_string());
        self.act(move |c| {
            let mut select = c.prepare("SELECT DISTINCT claimer FROM delivery WHERE state = 0 AND claimed > ?1 AND claimer IS NOT NULL")?;
            let claimers: Vec<String> = select.query_map([now()], |row| row.get(0))?.collect::<Result<_, _>>()?;
            let gone = |id: &&String| **id == own || id.parse().is_ok_and(|id| !super::is_live(&path, &id));
            claimers
                .iter()
                .filter(gone)
                .try_for_each(|id| c.execute("UPDATE delivery SET claimed = 0 WHERE state = 0 AND claimer = ?1", [id]).map(drop))
        })
        .await
    }

    /// Writes down how an attempt at a claimed parcel went. What another has delivered meanwhile is not undone by one that failed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tried(&self, parcel: &Parcel, tried: &Tried) -> Result<(), StoreError> {
        let (id, endpoint, tried) = (parcel.id.clone(), parcel.endpoint.clone(), tried.clone());
        self.act(move |c| {
            let state = match (&tried.why, tried.next) {
                (None, _) => 1,
                (Some(_), Some(_)) => 0,
                (Some(_), None) => 2,
            };
            c.prepare_cached(
                "UPDATE delivery SET state = :state, attempts = attempts + 1, claimed = 0, due = coalesce(:next, due), why = :why,
                     ended = CASE WHEN :state = 0 THEN NULL ELSE :now END
                 WHERE id = :id AND endpoint = :endpoint AND (state = 0 OR :why IS NULL)",
            )?
            .execute(named_params! {
                ":state": state, ":next": tried.next, ":why": tried.why, ":now": now(), ":id": id, ":endpoint": endpoint,
            })?;
            c.prepare_cached(
                "INSERT INTO attempt SELECT id, endpoint, attempts, ?3, ?4, ?5, ?6 FROM delivery WHERE id = ?1 AND endpoint = ?2",
            )?
            .execute(params![id, endpoint, tried.began, u64::try_from(tried.took.as_millis()).unwrap_or(u64::MAX), tried.status, tried.why])
            .map(drop)
        })
        .await
    }

    /// Disables an endpoint at an address: it said that it wants nothing any more. What waits for it is dead.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn disable(&self, endpoint: &str, address: &str) -> Result<(), StoreError> {
        let (endpoint, address) = (endpoint.to_owned(), address.to_owned());
        self.act(move |c| {
            c.execute("INSERT OR REPLACE INTO disabled VALUES (?1, ?2, ?3)", params![endpoint, address, now()])?;
            let mut update =
                c.prepare("UPDATE delivery SET state = 2, ended = ?2, why = ?3 WHERE state = 0 AND endpoint = ?1 AND claimed <= ?2")?;
            update.execute(params![endpoint, now(), DISABLED]).map(drop)
        })
        .await
    }

    /// Whether an endpoint is disabled. At another address than it was disabled at it is not, and never was.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_disabled(&self, endpoint: &str, address: &str) -> Result<bool, StoreError> {
        let (endpoint, address) = (endpoint.to_owned(), address.to_owned());
        self.act(move |c| {
            c.execute("DELETE FROM disabled WHERE endpoint = ?1 AND address <> ?2", params![endpoint, address])?;
            c.query_row("SELECT EXISTS (SELECT 1 FROM disabled WHERE endpoint = ?1)", [&endpoint], |row| row.get(0))
        })
        .await
    }

    /// When the next parcel of an endpoint can be claimed, in milliseconds since 1970; none where none waits.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn next_due(&self, endpoint: &str) -> Result<Option<i64>, StoreError> {
        let endpoint = endpoint.to_owned();
        self.act(move |c| {
            // Two questions that an index answers each; the lesser of max(due, claimed) over all would be looked for in every row.
            let mut select = c.prepare_cached(
                "SELECT min(at) FROM (
                     SELECT * FROM (SELECT due AS at FROM delivery WHERE state = 0 AND endpoint = ?1 AND claimed <= ?2 ORDER BY due LIMIT 1)
                     UNION ALL
                     SELECT * FROM (SELECT claimed AS at FROM delivery
                         WHERE state = 0 AND endpoint = ?1 AND claimed > 0 AND claimed > ?2 ORDER BY claimed LIMIT 1))
                 WHERE NOT EXISTS (SELECT 1 FROM disabled WHERE disabled.endpoint = ?1)",
            )?;
            select.query_row(params![endpoint, now()], |row| row.get(0))
        })
        .await
    }

    /// Deliveries, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn deliveries(&self, pick: &Pick) -> Result<Vec<Delivery>, StoreError> {
        let (wanted, values) = condition(pick);
        self.look(move |c| {
            let mut select = c.prepare(&format!("SELECT * FROM delivery WHERE {wanted} ORDER BY made, id, endpoint"))?;
            let rows = select.query_map(rusqlite::params_from_iter(values), delivery)?;
            rows.collect()
        })
        .await
    }

    /// Deliveries of a run that were not made: how they stand, what the last attempt ended with, and how many are so.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn left(&self, run: &RunId) -> Result<Vec<(DeliveryState, Option<String>, usize)>, StoreError> {
        let run = run.to_string();
        self.look(move |c| {
            let mut select = c.prepare("SELECT state, why, count(*) FROM delivery WHERE run = ?1 AND state <> 1 GROUP BY state, why")?;
            let rows = select.query_map([run], |row| {
                let state: usize = row.get(0)?;
                Ok((DeliveryState::ALL.get(state).copied().unwrap_or(DeliveryState::Dead), row.get(1)?, row.get(2)?))
            })?;
            rows.collect()
        })
        .await
    }

    /// How many deliveries wait.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn waiting(&self) -> Result<usize, StoreError> {
        self.look(|c| c.query_row("SELECT count(*) FROM delivery WHERE state = 0", [], |row| row.get(0))).await
    }

    /// How the attempts at one delivery went, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn attempts(&self, parcel: &Parcel) -> Result<Vec<Tried>, StoreError> {
        let (id, endpoint) = (parcel.id.clone(), parcel.endpoint.clone());
        self.look(move |c| {
            let mut select =
                c.prepare("SELECT began, took_ms, status, why FROM attempt WHERE id = ?1 AND endpoint = ?2 ORDER BY number")?;
            let rows = select.query_map([id, endpoint], |row| {
                let took = Duration::from_millis(row.get(1)?);
                Ok(Tried { began: row.get(0)?, took, status: row.get(2)?, why: row.get(3)?, next: None })
            })?;
            rows.collect()
        })
        .await
    }

    /// Makes deliveries due at once, their schedule from its start, and takes back that their endpoints were disabled; gives how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn replay(&self, pick: &Pick) -> Result<usize, StoreError> {
        let (wanted, values) = condition(pick);
        self.act(move |c| {
            let values = || rusqlite::params_from_iter(values.iter());
            c.execute(&format!("DELETE FROM disabled WHERE endpoint IN (SELECT endpoint FROM delivery WHERE {wanted})"), values())?;
            c.execute(
                &format!("UPDATE delivery SET state = 0, round = attempts, due = {}, claimed = 0, ended = NULL WHERE {wanted}", now()),
                values(),
            )
        })
        .await
    }

    /// Makes what waits due at once, without giving it more attempts; gives how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn hasten(&self) -> Result<usize, StoreError> {
        self.act(|c| c.execute("UPDATE delivery SET due = min(due, ?1) WHERE state = 0", [now()])).await
    }

    /// Forgets deliveries; gives how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_deliveries(&self, pick: &Pick) -> Result<usize, StoreError> {
        let (wanted, values) = condition(pick);
        self.act(move |c| c.execute(&format!("DELETE FROM delivery WHERE {wanted}"), rusqlite::params_from_iter(values))).await
    }
}

/// The SQL of a pick, and the values in it.
fn condition(pick: &Pick) -> (String, Vec<rusqlite::types::Value>) {
    let mut wanted = vec!["1".to_owned()];
    let mut values: Vec<rusqlite::types::Value> = Vec::new();
    let mut only = |what: &str, value: rusqlite::types::Value| {
        values.push(value);
        wanted.push(format!("{what} ?{}", values.len()));
    };
    if let Some(id) = &pick.id {
        only("id =", id.clone().into());
    }
    if let Some(endpoint) = &pick.endpoint {
        only("endpoint =", endpoint.clone().into());
    }
    if let Some(before) = pick.before {
        only("made <", before.into());
    }
    if !pick.states.is_empty() {
        let number = |state: &DeliveryState| DeliveryState::ALL.iter().position(|s| s == state).unwrap_or_default().to_string();
        wanted.push(format!("state IN ({})", pick.states.iter().map(number).collect::<Vec<_>>().join(", ")));
    }
    (wanted.join(" AND "), values)
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let state: usize = row.get("state")?;
    Ok(Delivery {
        parcel: Parcel { id: row.get("id")?, endpoint: row.get("endpoint")?, body: row.get("body")? },
        run: row.get("run")?,
        made: row.get("made")?,
        state: DeliveryState::ALL.get(state).copied().unwrap_or(DeliveryState::Dead),
        attempts: row.get("attempts")?,
        due: row.get("due")?,
        why: row.get("why")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const HOLD: Duration = Duration::from_secs(60);

    async fn with(ids: &[&str]) -> Store {
        let store = Store::open(Path::new("")).unwrap();
        let parcels: Vec<_> = ids.iter().map(|id| Parcel { id: (*id).into(), endpoint: "e".into(), body: "{}".into() }).collect();
        store.act(move |c| put(c, "r", &parcels)).await.unwrap();
        store
    }

    fn tried(why: Option<&str>, next: Option<i64>) -> Tried {
        Tried { began: now(), took: HOLD, status: Some(500), why: why.map(str::to_owned), next }
    }

    #[tokio::test]
    async fn what_is_claimed_is_nobody_elses_until_the_hold_ends() {
        let store = with(&["a", "b", "c"]).await;
        assert_eq!(store.claim(&RunId::new(), "e", 2, HOLD).await.unwrap().len(), 2);
        assert_eq!(store.claim(&RunId::new(), "e", 9, HOLD).await.unwrap().len(), 1);
        assert_eq!(store.claim(&RunId::new(), "e", 9, HOLD).await.unwrap(), []);
        assert!(store.next_due("e").await.unwrap().unwrap() > now(), "claimed ones may come back");
        let lost = with(&["a"]).await;
        assert_eq!(lost.claim(&RunId::new(), "e", 9, Duration::ZERO).await.unwrap().len(), 1);
        assert_eq!(lost.claim(&RunId::new(), "e", 9, HOLD).await.unwrap().len(), 1, "who held it has died");
        assert_eq!(store.claim(&RunId::new(), "another", 9, HOLD).await.unwrap(), []);
    }

    #[tokio::test]
    async fn what_the_dead_have_claimed_is_free_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("journal.db")).unwrap();
        let parcel = Parcel { id: "a".into(), endpoint: "e".into(), body: "{}".into() };
        store.act(move |c| put(c, "r", &[parcel])).await.unwrap();
        let (live, own) = (RunId::new(), RunId::new());
        let lease = crate::store::Lease::take(store.path(), &live).unwrap();
        assert_eq!(store.claim(&live, "e", 1, HOLD).await.unwrap().len(), 1);
        store.free(&own).await.unwrap();
        assert_eq!(store.claim(&own, "e", 1, HOLD).await.unwrap(), []);
        drop(lease);
        store.free(&own).await.unwrap();
        assert_eq!(store.claim(&own, "e", 1, HOLD).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn attempts_are_counted_and_end_delivered_or_dead() {
        let store = with(&["a"]).await;
        let due = store.claim(&RunId::new(), "e", 1, HOLD).await.unwrap().remove(0);
        store.tried(&due.parcel, &tried(Some("500"), Some(now()))).await.unwrap();
        let again = store.claim(&RunId::new(), "e", 1, HOLD).await.unwrap().remove(0);
        assert_eq!((again.attempts, &again.parcel), (1, &due.parcel));
        store.tried(&due.parcel, &tried(Some("410"), None)).await.unwrap();
        let dead = Pick { states: vec![DeliveryState::Dead], ..Pick::default() };
        assert_eq!(store.deliveries(&dead).await.unwrap()[0].why.as_deref(), Some("410"));
        assert_eq!((store.claim(&RunId::new(), "e", 1, HOLD).await.unwrap().len(), store.replay(&dead).await), (0, Ok(1)));
        assert_eq!(store.claim(&RunId::new(), "e", 1, HOLD).await.unwrap()[0].attempts, 0, "its schedule begins anew");
        store.tried(&due.parcel, &tried(None, None)).await.unwrap();
        let all = store.deliveries(&Pick::default()).await.unwrap();
        assert_eq!((all[0].state, all[0].attempts, &all[0].why), (DeliveryState::Delivered, 3, &None));
        let whys: Vec<_> = store.attempts(&due.parcel).await.unwrap().into_iter().map(|t| t.why).collect();
        assert_eq!(whys, [Some("500".to_owned()), Some("410".to_owned()), None]);
        assert_eq!((store.forget_deliveries(&Pick::default()).await, store.attempts(&due.parcel).await), (Ok(1), Ok(vec![])));
    }

    #[tokio::test]
    async fn a_disabled_endpoint_gets_nothing_until_it_moves_or_is_asked_again() {
        let store = with(&["a"]).await;
        store.disable("e", "old").await.unwrap();
        assert_eq!(store.deliveries(&Pick::default()).await.unwrap()[0].state, DeliveryState::Dead);
        assert_eq!((store.is_disabled("e", "old").await, store.claim(&RunId::new(), "e", 1, HOLD).await), (Ok(true), Ok(vec![])));
        assert_eq!(store.next_due("e").await, Ok(None));
        assert_eq!((store.is_disabled("e", "new").await, store.is_disabled("e", "old").await), (Ok(false), Ok(false)));
        store.disable("e", "new").await.unwrap();
        assert_eq!(store.replay(&Pick { id: Some("a".into()), ..Pick::default() }).await, Ok(1));
        assert_eq!(store.claim(&RunId::new(), "e", 1, HOLD).await.unwrap().len(), 1);
    }
}
