//! Delivering what is due: one courier for each endpoint, so that a slow one keeps no other waiting. Each attempt is written down before
//! the next is made.

use super::Outbox;
use super::endpoint::{Endpoint, Told};
use super::retry;
use crate::model::RunId;
use crate::store::{Due, Store, StoreError, Tried, now};
use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// How many attempts at one endpoint are under way at once.
const AT_ONCE: usize = 16;
/// How much longer than an attempt may take it is claimed for.
const SLACK: Duration = Duration::from_secs(10);

/// Delivers to all endpoints while a run goes on.
pub struct Courier {
    more: watch::Sender<Orders>,
    couriers: JoinSet<Counts>,
}

/// What couriers are told.
#[derive(Debug, Clone, Copy)]
struct Orders {
    /// Raised whenever there may be something new.
    news: u64,
    /// When to stop, once it is known.
    until: Option<Instant>,
}

/// What couriers did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// How many deliveries were made.
    pub delivered: usize,
    /// How many attempts failed.
    pub failed: usize,
}

impl Courier {
    /// Sets out, and tells `told` of every delivery that is made. `claimer` is the id of a lease that is held as long as it goes on.
    #[must_use]
    pub fn start(outbox: &Outbox, store: &Store, claimer: &RunId, told: Option<mpsc::Sender<()>>) -> Self {
        let (more, orders) = watch::channel(Orders { news: 0, until: None });
        let mut couriers = JoinSet::new();
        for endpoint in &outbox.endpoints {
            let way = Way {
                endpoint: Arc::clone(endpoint),
                schedule: Arc::clone(&outbox.schedule),
                store: store.clone(),
                claimer: claimer.clone(),
            };
            couriers.spawn(go(way, orders.clone(), told.clone()));
        }
        Self { more, couriers }
    }

    /// There may be something new.
    pub fn look(&self) {
        self.more.send_modify(|orders| orders.news += 1);
    }

    /// Delivers what is due, and what becomes due within `grace` and before `early` ends, and ends; attempts that are under way are
    /// waited for.
    pub async fn finish(mut self, grace: Duration, early: impl Future<Output = ()>) -> Counts {
        let end = |until| self.more.send_modify(|orders: &mut Orders| orders.until = Some(until));
        end(Instant::now() + grace);
        let mut sum = Counts::default();
        tokio::pin!(early);
        let mut hurried = false;
        loop {
            tokio::select! {
                counts = self.couriers.join_next() => match counts {
                    Some(counts) => {
                        let counts = counts.unwrap_or_default();
                        sum = Counts { delivered: sum.delivered + counts.delivered, failed: sum.failed + counts.failed };
                    }
                    None => return sum,
                },
                () = &mut early, if !hurried => {
                    hurried = true;
                    end(Instant::now());
                }
            }
        }
    }
}

/// What one courier needs.
#[derive(Clone)]
struct Way {
    endpoint: Arc<Endpoint>,
    schedule: Arc<Vec<Duration>>,
    store: Store,
    claimer: RunId,
}

async fn go(way: Way, mut orders: watch::Receiver<Orders>, told: Option<mpsc::Sender<()>>) -> Counts {
    let mut counts = Counts::default();
    let mut under_way = JoinSet::new();
    // What a process that was killed had claimed need not wait until its hold ends.
    let ready = way.store.free(&way.claimer).await;
    let ready = ready.and(way.store.is_disabled(&way.endpoint.name, &way.endpoint.address).await);
    if let Err(error) = ready {
        tracing::warn!("webhook {}: nothing is delivered: {error}", way.endpoint.name);
        return counts;
    }
    loop {
        let until = orders.borrow_and_update().until;
        let over = until.is_some_and(|until| Instant::now() >= until);
        let mut next = None;
        if !over {
            match way.claim(AT_ONCE - under_way.len()).await {
                Ok((due, later)) => {
                    for due in due {
                        let way = way.clone();
                        under_way.spawn(async move { way.try_one(&due).await });
                    }
                    next = later;
                }
                Err(error) => tracing::warn!("webhook {}: {error}", way.endpoint.name),
            }
        }
        if under_way.is_empty() && (over || (until.is_some() && next.is_none_or(|next| until.is_some_and(|until| next > until)))) {
            return counts;
        }
        tokio::select! {
            Some(done) = under_way.join_next(), if !under_way.is_empty() => match done {
                Ok(Ok(true)) => {
                    counts.delivered += 1;
                    if let Some(told) = &told {
                        let _ = told.send(()).await;
                    }
                }
                Ok(Ok(false)) => counts.failed += 1,
                Ok(Err(error)) => tracing::warn!("webhook {}: an attempt could not be written down, and will be made again: {error}", way.endpoint.name),
                Err(_) => counts.failed += 1,
            },
            () = wake(next), if !over && under_way.len() < AT_ONCE => {}
            () = wake(until), if until.is_some() && !over => {}
            changed = orders.changed() => if changed.is_err() {
                // Whoever sent us has gone without a word: nothing is begun any more.
                while under_way.join_next().await.is_some() {}
                return counts;
            },
        }
    }
}

async fn wake(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

impl Way {
    /// What is due, and when more will be, where there is room for it.
    async fn claim(&self, room: usize) -> Result<(Vec<Due>, Option<Instant>), StoreError> {
        if room == 0 {
            return Ok((Vec::new(), None));
        }
        let name = &self.endpoint.name;
        let due = self.store.claim(&self.claimer, name, room, self.endpoint.timeout + SLACK).await?;
        // With all room taken there is nothing to wait for but an attempt's end.
        let next = if due.len() < room { self.store.next_due(name).await? } else { None };
        let next = next.map(|next| Instant::now() + Duration::from_millis(u64::try_from(next - now()).unwrap_or_default().max(1)));
        Ok((due, next))
    }

    /// One attempt, written down; whether it was delivered.
    async fn try_one(&self, due: &Due) -> Result<bool, StoreError> {
        let (began, clock) = (now(), Instant::now());
        let told = self.endpoint.tell(&due.parcel.id, &due.parcel.body).await;
        let after = |wait: Duration| now() + i64::try_from(wait.as_millis()).unwrap_or(i64::MAX / 2);
        let (status, why, next) = match told {
            Told::Yes(status) => (Some(status), None, None),
            Told::No { status, why, wait } => {
                let wait = retry::wait(&self.schedule, due.attempts + 1, wait, fastrand::f64());
                (status, Some(why), wait.map(after))
            }
            Told::Never { why } => (None, Some(why), None),
            Told::Gone => {
                self.store.disable(&self.endpoint.name, &self.endpoint.address).await?;
                (Some(410), Some("the endpoint answered 410: it wants nothing any more, and is disabled".to_owned()), None)
            }
        };
        if let Some(why) = &why {
            tracing::debug!(id = due.parcel.id, attempts = due.attempts + 1, "webhook {}: {why}", self.endpoint.name);
        }
        let delivered = why.is_none();
        self.store.tried(&due.parcel, &Tried { began, took: clock.elapsed(), status, why, next }).await?;
        Ok(delivered)
    }
}
