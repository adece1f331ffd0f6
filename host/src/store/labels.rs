//! What sessions' failures really were, on somebody's word. A label outlives its run: traces of it may be archived.

use super::{Store, StoreError, now};
use crate::model::{Classification, Outcome, SessionId};
use rusqlite::{OptionalExtension as _, params};

/// A label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Whose failure it is about.
    pub session: SessionId,
    /// What it really was.
    pub classification: Classification,
    /// The kind of cause, where it is known.
    pub reason: Option<String>,
}

impl Store {
    /// Writes down a label, in the place of an earlier one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn label(&self, label: &Label) -> Result<(), StoreError> {
        let Label { session, classification, reason, .. } = label.clone();
        self.act(move |c| {
            c.execute(
                "INSERT INTO label (session, classification, reason, made) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (session) DO UPDATE SET classification = ?2, reason = ?3, made = ?4",
                params![session.as_str(), classification.as_str(), reason, now()],
            )
            .map(drop)
        })
        .await
    }

    /// Takes a label away; whether there was one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unlabel(&self, session: &SessionId) -> Result<bool, StoreError> {
        let session = session.to_string();
        self.act(move |c| c.execute("DELETE FROM label WHERE session = ?1", [session]).map(|removed| removed > 0)).await
    }

    /// All labels, in the order of their sessions.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn labels(&self) -> Result<Vec<Label>, StoreError> {
        self.look(|c| {
            let mut select = c.prepare("SELECT session, classification, reason FROM label ORDER BY session")?;
            let rows = select.query_map([], |row| {
                let (session, classification): (String, String) = (row.get(0)?, row.get(1)?);
                // What is none was written by nobody we know, and counts for nothing.
                let known = session.parse().ok().zip(classification.parse().ok());
                Ok(known.map(|(session, classification)| (session, classification, row.get(2))))
            })?;
            let mut labels = Vec::new();
            for row in rows {
                if let Some((session, classification, reason)) = row? {
                    labels.push(Label { session, classification, reason: reason? });
                }
            }
            Ok(labels)
        })
        .await
    }

    /// The outcome of a session, where the journal has it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn outcome_of(&self, session: &SessionId) -> Result<Option<Outcome>, StoreError> {
        let session = session.to_string();
        self.look(move |c| {
            let mut select = c.prepare_cached("SELECT outcome FROM vector WHERE session = ?1 AND stage = 3 ORDER BY ended DESC LIMIT 1")?;
            let line: Option<Option<String>> = select.query_row([session], |row| row.get(0)).optional()?;
            Ok(line.flatten().and_then(|line| serde_json::from_str(&line).ok()))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[tokio::test]
    async fn a_label_takes_the_place_of_an_earlier_one() {
        let store = Store::open(Path::new("")).unwrap();
        let label = |reason: &str| Label {
            session: "s-1".parse().unwrap(),
            classification: "INTERNAL_LOGIC_FAULT".parse().unwrap(),
            reason: Some(reason.to_owned()),
        };
        store.label(&label("dns")).await.unwrap();
        store.label(&label("tls")).await.unwrap();
        let labels = store.labels().await.unwrap();
        assert_eq!((labels.len(), labels[0].reason.as_deref()), (1, Some("tls")));
        assert_eq!(store.outcome_of(&labels[0].session).await.unwrap(), None);
        assert!(store.unlabel(&labels[0].session).await.unwrap());
        assert!(!store.unlabel(&labels[0].session).await.unwrap());
    }
}
