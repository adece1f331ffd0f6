//! All classifiers on one trace. It knows what a classifier is, not how one runs.

mod breaker;

use crate::config::Plugins;
use crate::model::{Abstained, Abstention, Digest, Opinion, Trace, Verdict};
use breaker::Breaker;
use std::sync::Arc;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

/// What comes of a call.
type Answer = Result<Vec<Verdict>, Abstention>;

/// A classifier: gives its opinions on a trace, or says why not. May take its time and a processor: never called on a thread
/// that others wait for.
pub trait Classifier: Send + Sync {
    /// Who it is.
    fn identity(&self) -> &Identity;

    /// Its opinions.
    ///
    /// # Errors
    /// Why it abstains. Whatever goes wrong inside is an abstention.
    fn classify(&self, trace: &Trace) -> Result<Vec<Verdict>, Abstention>;
}

/// Who a classifier is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its name.
    pub name: String,
    /// Its version; empty where it could not say.
    pub version: String,
    /// The digest of its file.
    pub digest: Digest,
    /// The higher number wins a tie.
    pub priority: i32,
}

/// What the jury says of one trace.
#[derive(Debug, Default)]
pub struct Hearing {
    /// All opinions, in no order that matters.
    pub opinions: Vec<Opinion>,
    /// Who gave none, and why.
    pub abstained: Vec<Abstained>,
}

/// The classifiers of a run.
pub struct Jury {
    jurors: Vec<Juror>,
    /// Calls use a processor each: more at a time than there are would only make each of them slower and time out.
    seats: Arc<tokio::sync::Semaphore>,
}

/// A classifier and its breaker.
#[derive(Clone)]
struct Juror {
    classifier: Arc<dyn Classifier>,
    breaker: Arc<Breaker>,
}

impl Juror {
    fn call(&self, trace: &Trace) -> Answer {
        self.breaker.admit(Instant::now()).map_err(Abstention::BreakerOpen)?;
        let answer = self.classifier.classify(trace);
        self.breaker.note(answer.as_ref().is_err_and(Abstention::is_failure), Instant::now());
        answer
    }
}

impl Jury {
    /// A jury that makes at most `at_once` calls at a time.
    #[must_use]
    pub fn new(classifiers: Vec<Arc<dyn Classifier>>, settings: &Plugins, at_once: usize) -> Self {
        let breaker = || Arc::new(Breaker::new(settings.breaker_failures.get(), settings.breaker_pause.duration()));
        let jurors = classifiers.into_iter().map(|classifier| Juror { classifier, breaker: breaker() }).collect();
        Self { jurors, seats: Arc::new(tokio::sync::Semaphore::new(at_once.max(1))) }
    }

    /// The identity of a juror.
    #[must_use]
    pub fn identity(&self, juror: usize) -> Option<&Identity> {
        self.jurors.get(juror).map(|j| j.classifier.identity())
    }

    /// Nobody is asked, and everybody abstains for the same reason.
    #[must_use]
    pub fn excused(&self, why: &Abstention) -> Hearing {
        let abstained = self.jurors.iter().map(|j| Abstained { plugin: j.classifier.identity().name.clone(), why: why.to_string() });
        Hearing { opinions: Vec::new(), abstained: abstained.collect() }
    }

    /// Hears every classifier on `trace`. None can silence another: each is called whatever the others do.
    pub async fn hear(&self, trace: &Arc<Trace>) -> Hearing {
        let calls: Vec<_> = self.jurors.iter().map(|j| self.call(j.clone(), Arc::clone(trace))).collect();
        let mut hearing = Hearing::default();
        for (juror, (call, seated)) in calls.into_iter().zip(&self.jurors).enumerate() {
            let identity = seated.classifier.identity();
            let answer = match call.await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) | Err(_) => Err(Abstention::Trapped("the host's side of the call failed".to_owned())),
            };
            match answer.and_then(|verdicts| if verdicts.is_empty() { Err(Abstention::NoOpinion) } else { Ok(verdicts) }) {
                Ok(verdicts) => hearing.opinions.extend(verdicts.into_iter().map(|verdict| Opinion {
                    classifier: identity.name.clone(),
                    juror,
                    priority: identity.priority,
                    verdict,
                })),
                Err(why) => hearing.abstained.push(Abstained { plugin: identity.name.clone(), why: why.to_string() }),
            }
        }
        hearing
    }

    fn call(&self, juror: Juror, trace: Arc<Trace>) -> JoinHandle<Result<Answer, JoinError>> {
        let seats = Arc::clone(&self.seats);
        tokio::spawn(async move {
            // The semaphore is never closed; without a seat the call would still be right, only slower.
            let _seat = seats.acquire_owned().await.ok();
            tokio::task::spawn_blocking(move || juror.call(&trace)).await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Classification, Confidence, Environment, Status};

    struct Fixed(Identity, Box<dyn Fn() -> Result<Vec<Verdict>, Abstention> + Send + Sync>);

    impl Classifier for Fixed {
        fn identity(&self) -> &Identity {
            &self.0
        }
        fn classify(&self, _: &Trace) -> Result<Vec<Verdict>, Abstention> {
            (self.1)()
        }
    }

    fn juror(name: &str, answer: impl Fn() -> Result<Vec<Verdict>, Abstention> + Send + Sync + 'static) -> Arc<dyn Classifier> {
        let identity = Identity { name: name.into(), version: "1".into(), digest: Digest::of(b""), priority: 0 };
        Arc::new(Fixed(identity, Box::new(answer)))
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
        assert_eq!(hearing.opinions.iter().map(|o| o.classifier.as_str()).collect::<Vec<_>>(), ["good"]);
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
