//! All classifiers on one trace. It knows what a classifier is, not how one runs.

mod breaker;

use crate::config::Plugins;
use crate::model::{Abstained, Abstention, Identity, Opinion, Trace, Verdict};
use breaker::Breaker;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// What comes of a call.
type Answer = Result<Vec<Verdict>, Abstention>;

/// A classifier: gives its opinions on a trace, or says why not. May take its time and a processor: never called on a thread
/// that others wait for.
pub trait Classifier: Send + Sync {
    /// Who it is.
    fn identity(&self) -> &Arc<Identity>;

    /// Its opinions.
    ///
    /// # Errors
    /// Why it abstains. Whatever goes wrong inside is an abstention.
    fn classify(&self, trace: &Trace) -> Result<Vec<Verdict>, Abstention>;
}

/// What the jury says of one trace.
#[derive(Debug, Default)]
pub struct Hearing {
    /// All opinions, in no order that matters.
    pub opinions: Vec<Opinion>,
    /// Who gave none, and why.
    pub abstained: Vec<Abstained>,
}

/// The classifiers of a run. They can be replaced while it goes on: who has begun to hear a trace ends with those it began with.
pub struct Jury {
    panel: RwLock<Arc<Panel>>,
    settings: Plugins,
    /// Calls use a processor each: more at a time than there are would only make each of them slower and time out, and what is
    /// alive at once would grow with the number of traces in flight.
    seats: Arc<Semaphore>,
}

/// Classifiers that hear a trace together.
struct Panel(Vec<Juror>);

/// A classifier and its breaker.
struct Juror {
    classifier: Arc<dyn Classifier>,
    breaker: Arc<Breaker>,
}

impl Juror {
    fn call(&self, trace: &Trace) -> Answer {
        self.breaker.admit(Instant::now()).map_err(Abstention::BreakerOpen)?;
        // Nothing of ours outlives the call but the breaker, which is noted below.
        let answer = catch_unwind(AssertUnwindSafe(|| self.classifier.classify(trace)))
            .unwrap_or_else(|_| Err(Abstention::Trapped("the host's side of the call failed".to_owned())));
        self.breaker.note(answer.as_ref().is_err_and(Abstention::is_failure), Instant::now());
        answer.and_then(|verdicts| if verdicts.is_empty() { Err(Abstention::NoOpinion) } else { Ok(verdicts) })
    }

    fn abstains(&self, why: &Abstention) -> Abstained {
        Abstained { plugin: self.classifier.identity().name.clone(), why: why.to_string() }
    }
}

impl Panel {
    /// Hears every classifier on `trace`, on this thread. None can silence another: each is called whatever the others do.
    fn hear(&self, trace: &Trace) -> Hearing {
        let mut hearing = Hearing::default();
        for juror in &self.0 {
            match juror.call(trace) {
                Ok(verdicts) => {
                    let opinion = |verdict| Opinion { classifier: Arc::clone(juror.classifier.identity()), verdict };
                    hearing.opinions.extend(verdicts.into_iter().map(opinion));
                }
                Err(why) => hearing.abstained.push(juror.abstains(&why)),
            }
        }
        hearing
    }
}

impl Jury {
    /// A jury that hears at most `at_once` traces at a time.
    #[must_use]
    pub fn new(classifiers: Vec<Arc<dyn Classifier>>, settings: &Plugins, at_once: usize) -> Self {
        let seats = Arc::new(Semaphore::new(at_once.max(1)));
        let jury = Self { panel: RwLock::new(Arc::new(Panel(Vec::new()))), settings: settings.clone(), seats };
        jury.replace(classifiers);
        jury
    }

    /// Puts these classifiers in the place of those there are, for all traces that are heard from now on. Who stays keeps its
    /// breaker.
    pub fn replace(&self, classifiers: Vec<Arc<dyn Classifier>>) {
        let before = self.panel();
        let juror = |classifier: Arc<dyn Classifier>| {
            let identity = classifier.identity();
            let stays = before.0.iter().find(|juror| juror.classifier.identity() == identity);
            let breaker = stays.map_or_else(
                || {
                    let limits = self.settings.limits(&identity.name);
                    Arc::new(Breaker::new(limits.breaker_failures, limits.breaker_pause))
                },
                |juror| Arc::clone(&juror.breaker),
            );
            Juror { classifier, breaker }
        };
        let panel = Arc::new(Panel(classifiers.into_iter().map(juror).collect()));
        *self.panel.write().unwrap_or_else(PoisonError::into_inner) = panel;
    }

    /// Nobody is asked, and everybody abstains for the same reason.
    #[must_use]
    pub fn excused(&self, why: &Abstention) -> Hearing {
        Hearing { opinions: Vec::new(), abstained: self.panel().0.iter().map(|juror| juror.abstains(why)).collect() }
    }

    /// Hears every classifier on `trace`, on a thread where nobody waits.
    pub async fn hear(&self, trace: &Arc<Trace>) -> Hearing {
        // The semaphore is never closed; without a seat the call would still be right, only slower.
        let seat = Arc::clone(&self.seats).acquire_owned().await.ok();
        let (panel, own) = (self.panel(), Arc::clone(trace));
        let heard = tokio::task::spawn_blocking(move || {
            let hearing = panel.hear(&own);
            drop(seat);
            hearing
        });
        heard.await.unwrap_or_else(|_| self.excused(&Abstention::Trapped("the host's side of the call failed".to_owned())))
    }

    /// Hears every classifier on `trace`, on this thread: for those who bring threads of their own.
    #[must_use]
    pub fn hear_here(&self, trace: &Trace) -> Hearing {
        self.panel().hear(trace)
    }

    fn panel(&self) -> Arc<Panel> {
        Arc::clone(&self.panel.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Classification, Confidence, Digest, Environment, Status};

    struct Fixed(Arc<Identity>, Box<dyn Fn() -> Result<Vec<Verdict>, Abstention> + Send + Sync>);

    impl Classifier for Fixed {
        fn identity(&self) -> &Arc<Identity> {
            &self.0
        }
        fn classify(&self, _: &Trace) -> Result<Vec<Verdict>, Abstention> {
            (self.1)()
        }
    }

    fn juror(name: &str, answer: impl Fn() -> Result<Vec<Verdict>, Abstention> + Send + Sync + 'static) -> Arc<dyn Classifier> {
        let identity = Identity { name: name.into(), version: "1".into(), digest: Digest::of(b""), priority: 0 };
        Arc::new(Fixed(Arc::new(identity), Box::new(answer)))
    }

    fn verdict() -> Verdict {
        Verdict {
            classification: Classification::unknown(),
            confidence: Confidence::ZERO,
            reason: None,
            rule: None,
            failing_step: None,
            explanation: String::new(),
            evidence: Vec::new(),
        }
    }

    fn jury(failures: usize, classifiers: Vec<Arc<dyn Classifier>>) -> Jury {
        let failures = std::num::NonZeroUsize::new(failures).unwrap().into();
        Jury::new(classifiers, &Plugins { breaker_failures: failures, ..Plugins::default() }, 2)
    }

    fn trace() -> Arc<Trace> {
        Arc::new(Trace {
            session: "s".parse().unwrap(),
            action: "a1b2c3d4-e5f6-7890-abcd-ef1234567890".parse().unwrap(),
            environment: Environment::Test,
            status: Status("FAILED".into()),
            error: None,
            steps: vec![],
        })
    }

    fn why(hearing: &Hearing) -> Vec<String> {
        hearing.abstained.iter().map(|a| format!("{}: {}", a.plugin, a.why)).collect()
    }

    #[tokio::test]
    async fn a_failing_classifier_costs_its_own_vote_and_nothing_else() {
        let classifiers = vec![
            juror("empty", || Ok(vec![])),
            juror("panics", || std::panic::panic_any(())),
            juror("late", || Err(Abstention::Deadline(200))),
            juror("good", || Ok(vec![verdict()])),
        ];
        let hearing = jury(9, classifiers).hear(&trace()).await;
        assert_eq!(hearing.opinions.iter().map(|o| o.classifier.name.as_str()).collect::<Vec<_>>(), ["good"]);
        assert_eq!(
            why(&hearing),
            ["empty: no opinion", "panics: trapped: the host's side of the call failed", "late: stopped after 200 ms"]
        );
    }

    #[tokio::test]
    async fn a_classifier_that_keeps_failing_is_left_alone_and_one_without_opinion_is_not() {
        let jury = jury(2, vec![juror("empty", || Ok(vec![])), juror("late", || Err(Abstention::Deadline(200)))]);
        for _ in 0..2 {
            assert_eq!(why(&jury.hear(&trace()).await), ["empty: no opinion", "late: stopped after 200 ms"]);
        }
        assert_eq!(why(&jury.hear(&trace()).await), ["empty: no opinion", "late: left alone after 2 failures in a row"]);
    }
}
