//! Outcomes on their way to dashboards: what each endpoint wants is put into the journal together with the outcome, and delivered from
//! there, signed, at least once, and never in the way of a run.

mod deliver;
mod endpoint;
mod event;
mod guard;
mod retry;
mod signature;

pub use deliver::{Counts, Courier};
pub use signature::{Received, Unverified, verify};

use crate::config::Webhook;
use crate::http::Trust;
use crate::model::Outcome;
use crate::store::Parcel;
use endpoint::Endpoint;
use std::sync::Arc;
use std::time::Duration;

/// The largest answer of a receiver that is read; its content is not looked at.
const MAX_ANSWER: usize = 64 << 10;

/// Why the settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OutboxError(String);

/// All endpoints.
pub struct Outbox {
    endpoints: Vec<Arc<Endpoint>>,
    schedule: Arc<Vec<Duration>>,
    grace: Duration,
}

impl Outbox {
    /// An outbox; one without endpoints where none is set.
    ///
    /// # Errors
    /// The setting that cannot be used.
    pub fn new(settings: &Webhook, trust: &Trust) -> Result<Self, OutboxError> {
        let endpoints = settings.all().into_iter().map(|(name, own)| Endpoint::new(name, own, settings, trust).map(Arc::new));
        let schedule = settings.schedule.iter().map(|wait| wait.duration()).collect();
        Ok(Self { endpoints: endpoints.collect::<Result<_, _>>()?, schedule: Arc::new(schedule), grace: settings.grace.duration() })
    }

    /// Whether there is anybody to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// The names of the endpoints, and where they are: scheme, host and port. Paths often hold a key and are not shown.
    pub fn endpoints(&self) -> impl Iterator<Item = (&str, &str)> {
        self.endpoints.iter().map(|endpoint| (endpoint.name.as_str(), endpoint.host.as_str()))
    }

    /// For how long, after the last outcome, what is due is still tried.
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.grace
    }

    /// What is to be told of an outcome, to whom. What never got a session id has nothing that a dashboard could tie it to, and is left to
    /// the run's own report.
    #[must_use]
    pub fn parcels(&self, outcome: &Outcome) -> Vec<Parcel> {
        let Some(session) = &outcome.session_id else { return Vec::new() };
        let id = event::id(session);
        let wanted = self.endpoints.iter().filter(|endpoint| endpoint.wants(outcome));
        let parcel = |endpoint: &Arc<Endpoint>| Parcel {
            id: id.clone(),
            endpoint: endpoint.name.clone(),
            body: event::body(outcome, session, &id, endpoint.form),
        };
        wanted.map(parcel).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Environment;

    fn outbox(settings: &str) -> Result<Outbox, String> {
        Outbox::new(&toml::from_str(settings).unwrap(), &Trust::default()).map_err(|e| e.to_string())
    }

    fn told(outbox: &Outbox, change: impl Fn(&mut Outcome)) -> Vec<String> {
        let mut outcome = Outcome::of("v".into(), "a1b2c3d4-e5f6-7890-abcd-ef1234567890".parse().unwrap(), Environment::Test);
        outcome.session_id = Some("s".parse().unwrap());
        change(&mut outcome);
        outbox.parcels(&outcome).into_iter().map(|parcel| parcel.endpoint).collect()
    }

    #[test]
    fn endpoints_are_checked_and_shown_without_their_paths() {
        let one = outbox("url = 'https://hooks.example.com/T0/KEY'").unwrap();
        assert_eq!(one.endpoints().collect::<Vec<_>>(), [("main", "https://hooks.example.com")]);
        assert!(outbox("").unwrap().is_empty());
        for bad in ["url = 'hooks.example.com'", "url = 'ftp://x'", "url = 'https://u:p@x'"] {
            assert!(outbox(bad).is_err(), "{bad}");
        }
        assert_eq!(
            outbox("[endpoints.on-call]\nurl = ''").err().unwrap(),
            "webhook.endpoints.on-call.url is not a URL such as https://dashboard.example.com/hook"
        );
        assert_eq!(
            outbox("[endpoints.a]\nurl = 'https://x'\nmin_confidence = 2.0").err().unwrap(),
            "webhook.endpoints.a.min_confidence is not a number from 0 to 1"
        );
        assert!(
            outbox("[endpoints.a]\nurl = 'https://x'\nsecret = 'whsec_!'")
                .err()
                .unwrap()
                .starts_with("webhook.endpoints.a.secret is not base64")
        );
    }

    #[test]
    fn each_endpoint_gets_what_it_wants_under_one_id() {
        let outbox = outbox(
            "url = 'https://x'\n[endpoints.outages]\nurl = 'https://y'\nclassifications = ['EXTERNAL_DEPENDENCY_OUTAGE']\nmin_confidence = 0.8\n
             [endpoints.live]\nurl = 'https://z'\nenvironments = ['prod']",
        )
        .unwrap();
        assert_eq!(told(&outbox, |_| ()), ["main"]);
        let outage = |confidence: f64| {
            move |o: &mut Outcome| {
                o.classification = Some("EXTERNAL_DEPENDENCY_OUTAGE".parse().unwrap());
                o.confidence = Some(crate::model::Confidence::new(confidence).unwrap());
            }
        };
        assert_eq!(told(&outbox, outage(0.9)), ["main", "outages"]);
        assert_eq!(told(&outbox, outage(0.7)), ["main"]);
        assert_eq!(told(&outbox, |o| o.environment_id = Environment::Prod), ["live", "main"]);
        assert!(told(&outbox, |o| o.session_id = None).is_empty());
    }
}
