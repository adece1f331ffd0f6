//! All classifiers on one trace. It knows what a classifier is, not how one runs.

use crate::model::{Abstained, Abstention, Digest, Opinion, Trace, Verdict};
use std::sync::Arc;

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
    classifiers: Vec<Arc<dyn Classifier>>,
    /// Calls use a processor each: more at a time than there are would only make each of them slower and time out.
    seats: Arc<tokio::sync::Semaphore>,
}

impl Jury {
    /// A jury that makes at most `at_once` calls at a time.
    #[must_use]
    pub fn new(classifiers: Vec<Arc<dyn Classifier>>, at_once: usize) -> Self {
        Self { classifiers, seats: Arc::new(tokio::sync::Semaphore::new(at_once.max(1))) }
    }

    /// The identity of a juror.
    #[must_use]
    pub fn identity(&self, juror: usize) -> Option<&Identity> {
        self.classifiers.get(juror).map(|c| c.identity())
    }

    /// Nobody is asked, and everybody abstains for the same reason.
    #[must_use]
    pub fn excused(&self, why: &Abstention) -> Hearing {
        let abstained = self.classifiers.iter().map(|c| Abstained { plugin: c.identity().name.clone(), why: why.to_string() });
        Hearing { opinions: Vec::new(), abstained: abstained.collect() }
    }

    /// Hears every classifier on `trace`. None can silence another: each is called whatever the others do.
    pub async fn hear(&self, trace: &Arc<Trace>) -> Hearing {
        let calls: Vec<_> = self.classifiers.iter().map(|c| self.call(Arc::clone(c), Arc::clone(trace))).collect();
        let mut hearing = Hearing::default();
        for (juror, (call, classifier)) in calls.into_iter().zip(&self.classifiers).enumerate() {
            let identity = classifier.identity();
            let answer = call.await.unwrap_or_else(|_| Err(Abstention::Trapped("the host's side of the call failed".to_owned())));
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

    fn call(&self, classifier: Arc<dyn Classifier>, trace: Arc<Trace>) -> tokio::task::JoinHandle<Result<Vec<Verdict>, Abstention>> {
        let seats = Arc::clone(&self.seats);
        tokio::spawn(async move {
            // The semaphore is never closed; without a seat the call would still be right, only slower.
            let _seat = seats.acquire_owned().await.ok();
            let call = tokio::task::spawn_blocking(move || classifier.classify(&trace));
            call.await.unwrap_or_else(|_| Err(Abstention::Trapped("the host's side of the call failed".to_owned())))
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

    #[tokio::test]
    async fn a_failing_classifier_costs_its_own_vote_and_nothing_else() {
        let jury = Jury::new(
            vec![
                juror("empty", || Ok(vec![])),
                juror("panics", || std::panic::panic_any(())),
                juror("late", || Err(Abstention::Deadline(200))),
                juror("good", || Ok(vec![verdict()])),
            ],
            2,
        );
        let trace = Arc::new(Trace {
            session: "s".parse().unwrap(),
            action: "a1b2c3d4-e5f6-7890-abcd-ef1234567890".parse().unwrap(),
            environment: Environment::Test,
            status: Status("FAILED".into()),
            error: None,
            steps: vec![],
        });
        let hearing = jury.hear(&trace).await;
        assert_eq!(hearing.opinions.iter().map(|o| o.classifier.as_str()).collect::<Vec<_>>(), ["good"]);
        let why: Vec<_> = hearing.abstained.iter().map(|a| format!("{}: {}", a.plugin, a.why)).collect();
        assert_eq!(why, ["empty: no opinion", "panics: trapped: the host's side of the call failed", "late: stopped after 200 ms"]);
    }
}
