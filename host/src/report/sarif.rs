//! Internal faults as SARIF 2.1.0 (OASIS), for tools that show findings beside code: a result for each vector whose action is at fault, at
//! the line of its vector file, with the failing step as its logical location.

use super::Summary;
use super::files::{About, Sink, Writer};
use crate::model::{Classification, Outcome, printable};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Result;

#[derive(Default)]
pub(super) struct Sarif {
    results: usize,
    /// The rules that were met, with what each says first.
    rules: BTreeMap<String, String>,
}

impl Writer for Sarif {
    fn begin(&mut self, out: &mut dyn Sink, _: &About) -> Result<()> {
        out.write_all(b"{\"$schema\":\"https://json.schemastore.org/sarif-2.1.0.json\",\"version\":\"2.1.0\",\"runs\":[{\"results\":[")
    }

    fn outcome(&mut self, out: &mut dyn Sink, outcome: &Outcome) -> Result<()> {
        if outcome.classification.as_ref().is_none_or(|c| c.as_str() != Classification::INTERNAL) {
            return Ok(());
        }
        out.write_all(if self.results == 0 { b"\n" } else { b",\n" })?;
        self.results += 1;
        let best = outcome.verdicts.first();
        let rule = outcome.reason.clone().unwrap_or_else(|| "internal-logic-fault".to_owned());
        let why = best.map_or_else(|| "the action's own logic is at fault".to_owned(), |verdict| printable(&verdict.explanation));
        self.rules.entry(rule.clone()).or_insert_with(|| why.clone());
        let error = outcome.fault.as_ref().map(|fault| printable(&fault.message)).unwrap_or_default();
        let step = outcome.failing_step().map(printable);
        let (file, line) = outcome.at.as_deref().and_then(|at| at.rsplit_once(':')).unwrap_or(("vectors", "1"));
        let mut logical = vec![json!({"name": outcome.action_id.to_string(), "kind": "module"})];
        logical.extend(step.as_ref().map(|step| json!({"name": step, "kind": "function"})));
        let text = [why, error].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n");
        let result = json!({
            "ruleId": rule,
            "level": if outcome.expected == Some(true) { "note" } else { "error" },
            "message": {"text": format!("{}: {text}", printable(&outcome.full_name()))},
            "locations": [{
                "physicalLocation": {
                    "artifactLocation": {"uri": uri(file)},
                    "region": {"startLine": line.parse::<u32>().unwrap_or(1).max(1)},
                },
                "logicalLocations": logical,
            }],
            // The same finding in the next run: lines move, names and steps seldom do.
            "partialFingerprints": {"tracejury/v1": format!("{}/{}/{}/{}", outcome.action_id, outcome.vector, rule, step.unwrap_or_default())},
            "properties": {"sessionId": outcome.session_id, "environmentId": outcome.environment_id, "confidence": outcome.confidence},
        });
        Ok(serde_json::to_writer(&mut *out, &result)?)
    }

    fn end(&mut self, out: &mut dyn Sink, _: &Summary, _: u64) -> Result<()> {
        let rules: Vec<_> = self.rules.iter().map(|(id, why)| json!({"id": id, "shortDescription": {"text": why}})).collect();
        let driver = json!({"name": "tracejury", "semanticVersion": env!("CARGO_PKG_VERSION"), "rules": rules});
        writeln!(out, "\n],\"tool\":{{\"driver\":{driver}}},\"columnKind\":\"unicodeCodePoints\"}}]}}")?;
        out.flush()
    }
}

/// A path as a URI reference (RFC 3986): with forward slashes, and all that is no part of a segment escaped.
fn uri(file: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=@".contains(&b);
    let escaped = |b: u8| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    file.replace('\\', "/").bytes().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_reference() {
        assert_eq!(uri("vectors\\größe 1.yaml"), "vectors/gr%C3%B6%C3%9Fe%201.yaml");
    }
}
