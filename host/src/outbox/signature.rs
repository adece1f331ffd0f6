//! Signatures of deliveries by the Standard Webhooks scheme (<https://www.standardwebhooks.com>, version 1): made for receivers, and checked
//! for those who are one.

use crate::config::Webhook;
use crate::model::Secret;
use base64::Engine as _;

/// How far a delivery's time may be from now, in seconds (the scheme's own libraries say five minutes).
const TOLERANCE: u64 = 300;

/// Signs by the secret in use and, while receivers change over, by those it takes the place of.
pub(super) struct Signer(Vec<standardwebhooks::Webhook>);

impl Signer {
    /// None where there is no secret.
    ///
    /// # Errors
    /// The secret that cannot be used.
    pub(super) fn new(secret: &Secret, previous: &[Secret]) -> Result<Option<Self>, String> {
        let previous = previous.iter().map(|secret| (secret, "previous_secrets"));
        let all = std::iter::once((secret, "secret")).chain(previous).filter(|(secret, _)| !secret.expose().is_empty());
        let keys = all.map(|(secret, setting)| key(secret, setting)).collect::<Result<Vec<_>, _>>()?;
        Ok((!keys.is_empty()).then_some(Self(keys)))
    }

    /// The header: one signature for each secret, so that a receiver who knows any of them is content.
    pub(super) fn header(&self, id: &str, time: i64, body: &[u8]) -> Result<String, String> {
        let signatures = self.0.iter().map(|key| key.sign(id, time, body).map_err(|e| e.to_string()));
        Ok(signatures.collect::<Result<Vec<_>, _>>()?.join(" "))
    }

    /// Whether one of the signatures in a header is one of ours.
    fn made(&self, header: &str, id: &str, time: i64, body: &[u8]) -> bool {
        self.0.iter().filter_map(|key| key.sign(id, time, body).ok()).any(|ours| header.split(' ').any(|theirs| same(theirs, &ours)))
    }
}

/// What came with a delivery, as a receiver has it.
#[derive(Debug, Clone)]
pub struct Received<'a> {
    /// The header `webhook-id`.
    pub id: &'a str,
    /// The header `webhook-timestamp`: seconds since 1970.
    pub timestamp: &'a str,
    /// The header `webhook-signature`.
    pub signature: &'a str,
    /// The body, byte for byte as it came.
    pub body: &'a [u8],
}

/// Checks a delivery as a receiver should: signed by a secret that is known, and not long ago; `now` is in seconds since 1970.
///
/// # Errors
/// What is wrong with it, or with the settings.
pub fn verify(settings: &Webhook, received: &Received<'_>, now: i64) -> Result<(), Unverified> {
    let signer =
        Signer::new(&settings.secret, &settings.previous_secrets).map_err(|what| Unverified::Settings(format!("webhook.{what}")))?;
    let signer = signer.ok_or_else(|| Unverified::Settings("webhook.secret is not set (WEBHOOK_SECRET)".to_owned()))?;
    let time: i64 = received.timestamp.parse().map_err(|_| Unverified::Delivery("the timestamp is no number of seconds".to_owned()))?;
    if !signer.made(received.signature, received.id, time, received.body) {
        return Err(Unverified::Delivery("no signature was made with this secret over this id, time and body".to_owned()));
    }
    match now.abs_diff(time) {
        ..=TOLERANCE => Ok(()),
        off => Err(Unverified::Delivery(format!(
            "the signature is right, but {off} s old or ahead; more than {TOLERANCE} may be a repetition"
        ))),
    }
}

/// Why a delivery is not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// The settings cannot be used to check it.
    #[error("{0}")]
    Settings(String),
    /// It is not what it says.
    #[error("{0}")]
    Delivery(String),
}

/// Compares in a time that does not tell how much is alike.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

/// Standard Webhooks secrets are base64, with or without `whsec_`; its libraries decode both, so a text that happens to be
/// base64 is decoded here too. A text that is no base64 is used as it is.
fn key(secret: &Secret, setting: &str) -> Result<standardwebhooks::Webhook, String> {
    let wrong = |what: &str| format!("{setting} {what}");
    let text = secret.expose();
    let encoded = text.strip_prefix("whsec_");
    let bytes = match base64::engine::general_purpose::STANDARD.decode(encoded.unwrap_or(text)) {
        Ok(bytes) => bytes,
        Err(_) if encoded.is_some() => return Err(wrong("is not base64 after whsec_")),
        Err(_) => text.as_bytes().to_vec(),
    };
    if bytes.is_empty() {
        return Err(wrong("holds no key after whsec_"));
    }
    standardwebhooks::Webhook::from_bytes(bytes).map_err(|_| wrong("cannot be used"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const OLD: &str = "whsec_dHJhY2VqdXJ5LWRlbW8tc2VjcmV0LTAwMDE=";

    fn settings(secret: &str, previous: &[&str]) -> Webhook {
        let previous_secrets = previous.iter().map(|secret| Secret::new((*secret).to_owned())).collect();
        Webhook { secret: Secret::new(secret.to_owned()), previous_secrets, ..Webhook::default() }
    }

    fn signer(settings: &Webhook) -> Result<Option<Signer>, String> {
        Signer::new(&settings.secret, &settings.previous_secrets)
    }

    fn header(secret: &str, previous: &[&str]) -> String {
        signer(&settings(secret, previous)).unwrap().unwrap().header("msg_1", 1_000, b"x").unwrap()
    }

    #[test]
    fn secrets_are_read_as_the_standard_has_them() {
        assert_eq!(header(NEW, &[]), header("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &[]));
        assert!(header("not base64!", &[]).starts_with("v1,"));
        assert!(signer(&settings("", &[])).unwrap().is_none());
        assert!(signer(&settings("whsec_!", &[])).is_err() && signer(&settings("whsec_", &[])).is_err());
        let previous = signer(&settings(NEW, &["whsec_!"])).err().unwrap();
        assert_eq!(previous, "previous_secrets is not base64 after whsec_");
    }

    #[test]
    fn while_receivers_change_over_either_secret_will_do() {
        assert_eq!(header(NEW, &[OLD]), format!("{} {}", header(NEW, &[]), header(OLD, &[])));
        let both = header(NEW, &[OLD]);
        let received = Received { id: "msg_1", timestamp: "1000", signature: &both, body: b"x" };
        for known in [NEW, OLD] {
            assert_eq!(verify(&settings(known, &[]), &received, 1_000), Ok(()));
        }
    }

    #[test]
    fn what_is_not_as_it_was_signed_is_refused() {
        let signature = header(NEW, &[]);
        let good = Received { id: "msg_1", timestamp: "1000", signature: &signature, body: b"x" };
        let check = |received: Received<'_>, now| verify(&settings(NEW, &[]), &received, now).map_err(|e| e.to_string());
        assert!(check(good.clone(), 1_300).is_ok() && check(good.clone(), 700).is_ok());
        assert!(check(good.clone(), 1_301).unwrap_err().contains("301 s old or ahead"));
        for bad in [
            Received { id: "msg_2", ..good.clone() },
            Received { timestamp: "1001", ..good.clone() },
            Received { body: b"y", ..good.clone() },
            Received { signature: "v1,", ..good.clone() },
            Received { signature: "", ..good.clone() },
        ] {
            assert!(check(bad.clone(), 1_000).unwrap_err().starts_with("no signature"), "{bad:?}");
        }
        assert!(check(Received { timestamp: "now", ..good.clone() }, 1_000).unwrap_err().contains("no number of seconds"));
        assert!(matches!(verify(&Webhook::default(), &good, 1_000), Err(Unverified::Settings(_))));
    }
}
