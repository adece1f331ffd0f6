//! All classifiers on one trace. It knows what a classifier is, not how one runs.

mod breaker;

use crate::config::Plugins;
use crate::log;
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
    /// Hears every classifier on each of `traces`, on this thread. None can silence another: each is called whatever the others
    /// do. One classifier takes all traces before the next one does: its code and memory are then at hand.
    fn hear(&self, traces: &[&Trace]) -> Vec<Hearing> {
        let mut hearings: Vec<_> = traces.iter().map(|_| Hearing::default()).collect();
        for juror in &self.0 {
            for (trace, hearing) in traces.iter().zip(&mut hearings) {
                match juror.call(trace) {
                    Ok(verdicts) => {
                        let opinion = |verdict| Opinion { classifier: Arc::clone(juror.classifier.identity()), verdict };
                        hearing.opinions.extend(verdicts.into_iter().map(opinion));
                    }
                    Err(why) => hearing.abstained.push(juror.abstains(&why)),
                }
            }
        }
        hearings
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
        let (panel, own, mask) = (self.panel(), Arc::clone(trace), log::current());
        let heard = tokio::task::spawn_blocking(move || {
            // What classifiers log may quote the trace.
            let hearing = log::masked_here(mask, || panel.hear(&[&own]).pop());
            drop(seat);
            hearing
        });
        let failed = || self.excused(&Abstention::Trapped("the host's side of the call failed".to_owned()));
        heard.await.ok().flatten().unwrap_or_else(failed)
    }

    /// Hears every classifier on each of `traces`, on this thread: for those who bring threads of their own. The hearings stand
    /// in the order of the traces.
    #[must_use]
    pub fn hear_here(&self, traces: &[&Trace]) -> Vec<Hearing> {
        self.panel().hear(traces)
    }

    fn panel(&self) -> Arc<Panel> {
        Arc::clone(&self.panel.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Classification, Confidence, Digest, Environment, Status};
    use std::sync::atomic::{AtomicUsize, Ordering};

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
            attributes: Vec::new(),
        }
    }

    fn jury(failures: usize, classifiers: Vec<Arc<dyn Classifier>>) -> Jury {
        let settings = format!("breaker_failures = {failures}\nbreaker_pause_ms = 3600000");
        Jury::new(classifiers, &toml::from_str(&settings).unwrap(), 2)
    }

    fn trace() -> Arc<Trace> {
        Arc::new(Trace {
            session: "s".parse().unwrap(),
            action: "a1b2c3d4-e5f6-7890-abcd-ef1234567890".parse().unwrap(),
            environment: Environment::Test,
            status: Status("FAILED".into()),
            error: None,
            steps: vec![],
            result: None,
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

    #[tokio::test]
    async fn who_has_begun_to_hear_a_trace_ends_with_those_it_began_with() {
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
        let (begun, may_go_on) = (std::sync::Mutex::new(begun), std::sync::Mutex::new(may_go_on));
        let old = juror("old", move || {
            begun.lock().unwrap().send(()).unwrap();
            may_go_on.lock().unwrap().recv().unwrap();
            Ok(vec![verdict()])
        });
        let jury = Arc::new(jury(9, vec![old]));
        let own = Arc::clone(&jury);
        let hearing = tokio::spawn(async move { own.hear(&trace()).await });
        tokio::task::spawn_blocking(move || has_begun.recv().unwrap()).await.unwrap();
        jury.replace(vec![juror("new", || Ok(vec![verdict()]))]);
        let names = |hearing: &Hearing| hearing.opinions.iter().map(|o| o.classifier.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&jury.hear(&trace()).await), ["new"]);
        go_on.send(()).unwrap();
        assert_eq!(names(&hearing.await.unwrap()), ["old"]);
    }

    #[tokio::test]
    async fn a_thousand_traces_before_a_hundred_classifiers_take_turns() {
        static NOW: AtomicUsize = AtomicUsize::new(0);
        static MOST: AtomicUsize = AtomicUsize::new(0);
        let busy = || {
            MOST.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            NOW.fetch_sub(1, Ordering::SeqCst);
            Ok(vec![verdict()])
        };
        let jury = Arc::new(jury(9, (0..100).map(|i| juror(&format!("j{i}"), busy)).collect()));
        let hearings: Vec<_> = (0..1000)
            .map(|_| {
                let jury = Arc::clone(&jury);
                tokio::spawn(async move { jury.hear(&trace()).await.opinions.len() })
            })
            .collect();
        for hearing in hearings {
            assert_eq!(hearing.await.unwrap(), 100);
        }
        assert!((1..=2).contains(&MOST.load(Ordering::SeqCst)), "{MOST:?} at once on two seats");
    }
}
