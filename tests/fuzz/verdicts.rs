//! Feeds arbitrary answers to the checker, and what passes to the merger: what comes out is within its ranges, fit for a terminal,
//! and in an order that does not depend on the order in which it came.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, LazyLock};
use tracejury::config::{self, Grants, Limits, Read};
use tracejury::merge::Policy;
use tracejury::model::{Digest, Environment, Fault, Identity, Opinion, Status, Step, Trace};
use tracejury::plugin::{SaidEvidence, SaidVerdict, check_verdicts};

#[derive(Debug, Arbitrary)]
struct Said {
    classification: String,
    /// Whether the name is made to fit, so that what lies behind is reached too.
    fits: bool,
    confidence: f64,
    reason: Option<String>,
    rule: Option<String>,
    failing_step: Option<u8>,
    explanation: String,
    evidence: Vec<(String, u8, u32, u32)>,
    attributes: Vec<(String, String)>,
}

static LIMITS: LazyLock<Limits> = LazyLock::new(|| config::load(None, |_| None).unwrap().plugins.limits("fuzzed"));

static TRACE: LazyLock<Trace> = LazyLock::new(|| {
    let fault = Fault { message: "naïve ECONNREFUSED ✓".into(), stack: Some("at x".into()), code: Some("E".into()) };
    let step = Step { id: "a".into(), output: Some("{\"ü\":1}".into()), input: Some("{}".into()), error: Some(fault.clone()), ..Step::default() };
    Trace {
        session: "s".parse().unwrap(),
        action: "a1b2c3d4-e5f6-7890-abcd-ef1234567890".parse().unwrap(),
        environment: Environment::Test,
        status: Status("FAILED".into()),
        error: Some(fault),
        steps: vec![step.clone(), step],
        result: None,
    }
});

const PLACES: [&str; 6] =
    ["error.message", "steps[0].error.message", "steps[1].error.stack", "steps[1].output", "steps[0].input", "steps[9].error.code"];

fn said(said: Said) -> SaidVerdict {
    let evidence = |(location, known, start, end): (String, u8, u32, u32)| {
        let location = PLACES.get(usize::from(known)).map_or(location, ToString::to_string);
        SaidEvidence { location, start: start % 40, end: end % 40 }
    };
    SaidVerdict {
        classification: if said.fits { "OURS".into() } else { said.classification },
        confidence: if said.fits { said.confidence.abs().fract() } else { said.confidence },
        reason: said.reason.filter(|_| !said.fits),
        rule: said.rule,
        failing_step: said.failing_step.map(u32::from),
        explanation: said.explanation,
        evidence: said.evidence.into_iter().map(evidence).collect(),
        attributes: said.attributes,
    }
}

fuzz_target!(|answer: Vec<Said>| {
    let grants = Grants::from([Read::Output]);
    let Ok(verdicts) = check_verdicts(answer.into_iter().map(said).collect(), &TRACE, &LIMITS, &grants) else { return };
    assert!(verdicts.len() <= LIMITS.verdicts);
    for verdict in &verdicts {
        assert!((0.0..=1.0).contains(&verdict.confidence.get()));
        assert!(verdict.failing_step.is_none_or(|step| step < TRACE.steps.len()));
        assert!(!verdict.explanation.chars().any(char::is_control) && verdict.explanation.len() <= 4 * LIMITS.text_bytes);
        for evidence in &verdict.evidence {
            assert!(!evidence.location.ends_with(".input"), "that was not granted");
            let text = TRACE.text_at(&evidence.location).unwrap();
            assert!(text.get(evidence.start as usize..evidence.end as usize).is_some());
        }
    }
    let who = Arc::new(Identity { name: "fuzzed".into(), version: "1".into(), digest: Digest::of(b""), priority: 0 });
    let opinions: Vec<_> = verdicts.into_iter().map(|verdict| Opinion { classifier: Arc::clone(&who), verdict }).collect();
    let merged = Policy::default().merge(opinions.clone());
    assert!(merged.ranked.iter().all(|w| w.worth <= merged.ranked[0].worth));
    let reversed = Policy::default().merge(opinions.into_iter().rev().collect());
    assert_eq!((merged.classification, merged.confidence), (reversed.classification, reversed.confidence));
});
