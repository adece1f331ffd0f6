//! The run as JSON: outcome lines, or one document around them (schema 1, `run.schema.json`). What stands in the midst is written as it
//! comes, the sums at the end.

use super::Summary;
use super::files::{About, Sink, Writer};
use super::kinds::{Kind, kind_of};
use crate::model::{Outcome, Vector};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Result;

/// Outcome lines.
pub(super) struct Lines;

impl Writer for Lines {
    fn outcome(&mut self, out: &mut dyn Sink, outcome: &Outcome) -> Result<()> {
        serde_json::to_writer(&mut *out, outcome)?;
        out.write_all(b"\n")
    }

    fn end(&mut self, out: &mut dyn Sink, _: &Summary, _: u64) -> Result<()> {
        out.flush()
    }
}

/// One document.
#[derive(Default)]
pub(super) struct Document {
    outcomes: usize,
    not_run: Vec<Value>,
    kinds: BTreeMap<&'static str, usize>,
}

/// How many names are kept of vectors that were not run.
const NAMED: usize = 10_000;

impl Writer for Document {
    fn begin(&mut self, out: &mut dyn Sink, about: &About) -> Result<()> {
        let (run, began) = (json!(about.run), json!(about.began));
        write!(
            out,
            "{{\"schema\":1,\"tool\":{},\"run\":{run},\"began\":{began},\"vectors\":{},\"outcomes\":[",
            json!(tool()),
            about.vectors
        )
    }

    fn outcome(&mut self, out: &mut dyn Sink, outcome: &Outcome) -> Result<()> {
        out.write_all(if self.outcomes == 0 { b"\n" } else { b",\n" })?;
        self.outcomes += 1;
        *self.kinds.entry(kind_of(outcome).as_str()).or_default() += 1;
        Ok(serde_json::to_writer(&mut *out, outcome)?)
    }

    fn not_run(&mut self, _: &mut dyn Sink, vector: &Vector) -> Result<()> {
        *self.kinds.entry(Kind::NotRun.as_str()).or_default() += 1;
        if self.not_run.len() < NAMED {
            self.not_run.push(vector.full_name().into());
        }
        Ok(())
    }

    fn end(&mut self, out: &mut dyn Sink, summary: &Summary, took_ms: u64) -> Result<()> {
        let count = |kind: Kind| self.kinds.get(kind.as_str()).copied().unwrap_or_default();
        let sums = json!({
            "asExpected": count(Kind::AsExpected), "flaky": count(Kind::Flaky), "unexpected": count(Kind::Unexpected),
            "couldNotRun": count(Kind::CouldNot), "notRun": count(Kind::NotRun), "completed": summary.completed,
            "classified": summary.classified, "problems": summary.problems,
        });
        write!(out, "\n],\"notRun\":{},\"tookMs\":{took_ms},\"summary\":{sums}}}\n", json!(self.not_run))?;
        out.flush()
    }
}

/// The name and version of this program.
fn tool() -> String {
    format!("tracejury {}", env!("CARGO_PKG_VERSION"))
}
