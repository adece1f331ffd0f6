//! What travels inside a component beside its code, so that it passes through every registry and client: what it needs to run (budget)
//! and what it is made of (SBOM). Its cases and the examples of its rules are there already. Sections are custom sections of the
//! component (component model, binary format), each with the version of its format in its name.

use super::{About, ShareError};
use crate::model::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use wasm_encoder::{ComponentSection as _, CustomSection};
use wasmparser::{Parser, Payload};

const BUDGET_SECTION: &str = "tracejury:budget@1";
const SBOM_SECTION: &str = "tracejury:sbom@1";
/// The largest section that is read, in bytes.
const MOST: usize = 4 << 20;

/// What a plugin needs: within it its tests pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Budget {
    /// The longest of its answers may take this long, in milliseconds.
    pub deadline_ms: u32,
    /// The memory of one instance, in MiB.
    pub memory_mib: u32,
}

/// What a component brings along.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Proof {
    /// What it needs.
    pub budget: Option<Budget>,
    /// What it is made of, in the form of CycloneDX or SPDX (JSON).
    pub sbom: Option<Value>,
}

impl Proof {
    /// Reads it from a component. What is not of the form is not there.
    #[must_use]
    pub fn read(component: &[u8]) -> Self {
        let mut proof = Self::default();
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(component) {
            match payload {
                Ok(Payload::ModuleSection { .. } | Payload::ComponentSection { .. }) => depth += 1,
                Ok(Payload::End(_)) => depth = depth.saturating_sub(1),
                Ok(Payload::CustomSection(section)) if depth == 0 && section.data().len() <= MOST => match section.name() {
                    BUDGET_SECTION => proof.budget = serde_json::from_slice(section.data()).ok(),
                    SBOM_SECTION => proof.sbom = serde_json::from_slice(section.data()).ok(),
                    _ => {}
                },
                Ok(_) => {}
                Err(_) => break,
            }
        }
        proof
    }
}

/// Adds what is not there yet. The SBOM is the author's own, or says what is known of a component: itself, its licence, where it comes from.
///
/// # Errors
/// The author's SBOM is none.
pub fn attach(component: &mut Vec<u8>, about: &About, budget: Budget, sbom: Option<&[u8]>) -> Result<(), ShareError> {
    let own = sbom.map(|bytes| {
        let parsed: Option<Value> = serde_json::from_slice(bytes).ok().filter(|value: &Value| bytes.len() <= MOST && is_sbom(value));
        parsed.ok_or_else(|| {
            ShareError::refused(
                "the SBOM is neither CycloneDX nor SPDX in JSON",
                "make one with a tool for your language, or leave --sbom out",
            )
        })
    });
    let own = own.transpose()?;
    let there = Proof::read(component);
    if there.sbom.is_none() || own.is_some() {
        let sbom = own.unwrap_or_else(|| described(about, Digest::of(component)));
        append(component, SBOM_SECTION, sbom.to_string().as_bytes());
    }
    if there.budget.is_none() {
        append(component, BUDGET_SECTION, json!(budget).to_string().as_bytes());
    }
    Ok(())
}

fn append(component: &mut Vec<u8>, name: &str, data: &[u8]) {
    CustomSection { name: name.into(), data: data.into() }.append_to_component(component);
}

fn is_sbom(value: &Value) -> bool {
    value["bomFormat"] == "CycloneDX" || value["spdxVersion"].is_string()
}

/// A bill of one item (CycloneDX 1.6): the component, before anything was added to it.
fn described(about: &About, digest: Digest) -> Value {
    let licences = about.licenses.iter().map(|licence| json!({"expression": licence}));
    let sources = about.source.iter().map(|source| json!({"type": "vcs", "url": source}));
    let component = json!({
        "type": "library", "name": about.name, "version": about.version, "description": about.summary,
        "hashes": [{"alg": "SHA-256", "content": digest.hex()}],
        "licenses": licences.collect::<Vec<_>>(), "externalReferences": sources.collect::<Vec<_>>(),
    });
    let tool = json!({"type": "application", "name": "tracejury", "version": env!("CARGO_PKG_VERSION")});
    json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "metadata": {"component": component, "tools": {"components": [tool]}}, "components": []})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_read_again_and_added_once() {
        let mut component = wat::parse_str("(component (core module))").unwrap();
        let about = About { name: "acme".into(), version: "1.0.0".into(), licenses: Some("MIT".into()), ..About::default() };
        let budget = Budget { deadline_ms: 50, memory_mib: 16 };
        assert_eq!(Proof::read(&component), Proof::default());
        attach(&mut component, &about, budget, None).unwrap();
        let proof = Proof::read(&component);
        assert_eq!(proof.budget, Some(budget));
        assert_eq!(proof.sbom.unwrap()["metadata"]["component"]["licenses"][0]["expression"], "MIT");
        let before = component.clone();
        attach(&mut component, &about, Budget { deadline_ms: 1, memory_mib: 1 }, None).unwrap();
        assert_eq!(component, before);
        assert!(attach(&mut component, &about, budget, Some(b"{}")).is_err());
        assert!(attach(&mut component, &about, budget, Some(br#"{"spdxVersion":"SPDX-2.3"}"#)).is_ok());
        assert_eq!(Proof::read(&component).sbom.unwrap()["spdxVersion"], "SPDX-2.3");
        assert_eq!(Proof::read(b"no component"), Proof::default());
    }
}
