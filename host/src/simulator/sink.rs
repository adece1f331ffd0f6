//! A receiver of webhooks: checks that a delivery is complete and appends it to a file, one JSON object a line.

use super::Asked;
use super::answer::{Answer, json, reply};
use serde_json::{Value, json as object};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;

/// Where it listens.
pub(super) const PATH: &str = "/webhook";

pub(super) struct Sink {
    file: Option<PathBuf>,
    writing: Mutex<()>,
}

impl Sink {
    pub(super) fn new(file: Option<PathBuf>) -> Self {
        Self { file, writing: Mutex::new(()) }
    }

    /// Takes a delivery: 204 where it was kept, 400 where it is none.
    pub(super) fn receive(&self, asked: &Asked) -> Answer {
        if asked.method != hyper::Method::POST {
            return Answer::Reply(json(405, &object!({"title": "Method Not Allowed", "status": 405})));
        }
        let body: Option<Value> = serde_json::from_slice(&asked.body).ok();
        let (Some(body), Some(id)) = (body, asked.header("webhook-id")) else {
            return Answer::Reply(json(
                400,
                &object!({"title": "Bad Request", "status": 400, "detail": "webhook-id and a JSON body are needed"}),
            ));
        };
        let line = object!({
            "webhook-id": id, "webhook-timestamp": asked.header("webhook-timestamp"), "webhook-signature": asked.header("webhook-signature"), "body": body,
        });
        match self.append(&line) {
            Ok(()) => Answer::Reply(reply(204, "text/plain", Vec::new())),
            Err(e) => Answer::Reply(json(500, &object!({"title": "Internal Server Error", "status": 500, "detail": e.to_string()}))),
        }
    }

    fn append(&self, line: &Value) -> std::io::Result<()> {
        let Some(path) = &self.file else { return Ok(()) };
        let _one_at_a_time = self.writing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
        writeln!(file, "{line}")
    }
}
