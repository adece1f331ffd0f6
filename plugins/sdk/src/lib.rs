//! What a classifier for tracejury written in Rust needs: the types of the contract, how to look into a trace, and made-up traces for
//! tests. It knows the contract (`wit/classifier.wit`) and no classifier.
//!
//! ```ignore
//! struct Mine;
//! impl Classifier for Mine { … }
//! tracejury_classifier::export!(Mine);
//! ```

#[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all, clippy::restriction)]
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/classifier.wit",
        world: "classifier",
        pub_export_macro: true,
        export_macro_name: "export_component",
        default_bindings_module: "tracejury_classifier::bindings",
    });
}

#[cfg(not(target_arch = "wasm32"))]
pub mod native;

#[cfg(target_arch = "wasm32")]
pub use bindings::tracejury::classifier::host::{Level, log};
pub use bindings::tracejury::classifier::types::{Description, Evidence, Fault, Step, Trace, Verdict};

/// A classifier: who it is, and what it says of a trace.
pub trait Classifier {
    /// Who it is.
    fn describe() -> Description;

    /// Takes the settings before the first trace.
    ///
    /// # Errors
    /// Why it cannot be used with these.
    fn configure(_settings: &str) -> Result<(), String> {
        Ok(())
    }

    /// Its opinions on a trace; none where it cannot tell.
    ///
    /// # Errors
    /// Why it abstains.
    fn classify(trace: &Trace) -> Result<Vec<Verdict>, String>;
}

impl<T: Classifier> bindings::Guest for T {
    fn describe() -> Description {
        T::describe()
    }

    fn configure(settings: String) -> Result<(), String> {
        T::configure(&settings)
    }

    fn classify(trace: Trace) -> Result<Vec<Verdict>, String> {
        T::classify(&trace)
    }
}

/// Makes the component of a [`Classifier`].
#[macro_export]
macro_rules! export {
    ($classifier:ident) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
    $crate::bindings::export_component!($classifier with_types_in $crate::bindings);
        };
    };
}

/// A text of a trace, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<'a> {
    /// Its path, as evidence has it.
    pub location: String,
    /// The text.
    pub text: &'a str,
}

impl Trace {
    /// The failing step.
    #[must_use]
    pub fn failing(&self) -> Option<&Step> {
        self.steps.get(self.failing_step? as usize)
    }

    /// The failing step's message, code and stack, then those of the execution as a whole.
    #[must_use]
    pub fn texts(&self) -> Vec<Text<'_>> {
        let at = self.failing_step.map(|i| format!("steps[{i}].")).unwrap_or_default();
        let step = self.failing().and_then(|step| step.error.as_ref()).map(|fault| texts_of(fault, &at));
        let whole = self.error.as_ref().map(|fault| texts_of(fault, ""));
        step.into_iter().chain(whole).flatten().collect()
    }

    /// The first place where `wanted` stands in one of its texts.
    #[must_use]
    pub fn find(&self, wanted: &str) -> Option<Evidence> {
        self.texts().into_iter().find_map(|text| {
            let start = text.text.find(wanted)?;
            let end = start + wanted.len();
            Some(Evidence { location: text.location, start: u32::try_from(start).ok()?, end: u32::try_from(end).ok()? })
        })
    }

    /// A failed execution whose only step failed with `message`: for tests.
    #[must_use]
    pub fn failed(message: &str) -> Self {
        let error = Some(Fault { message: message.to_owned(), stack: None, code: None });
        let step = Step { id: "one".to_owned(), name: None, timestamp: None, input: None, output: None, error };
        Self {
            session_id: "test".to_owned(),
            action_id: "00000000-0000-4000-8000-000000000000".to_owned(),
            environment: "test".to_owned(),
            status: "FAILED".to_owned(),
            error: None,
            failing_step: Some(0),
            steps: vec![step],
            attributes: Vec::new(),
        }
    }
}

fn texts_of<'a>(fault: &'a Fault, at: &str) -> Vec<Text<'a>> {
    let fields = [("message", Some(&fault.message)), ("code", fault.code.as_ref()), ("stack", fault.stack.as_ref())];
    let text = |(name, text): (&str, Option<&'a String>)| Some(Text { location: format!("{at}error.{name}"), text: text? });
    fields.into_iter().filter_map(text).collect()
}

impl Verdict {
    /// A verdict of this classification, with the share of such verdicts that you expect to be right.
    #[must_use]
    pub fn new(classification: &str, confidence: f64) -> Self {
        Self {
            classification: classification.to_owned(),
            confidence,
            reason: None,
            rule: None,
            failing_step: None,
            explanation: String::new(),
            evidence: Vec::new(),
            attributes: Vec::new(),
        }
    }

    /// Something the action depends on was down.
    #[must_use]
    pub fn external(confidence: f64) -> Self {
        Self::new("EXTERNAL_DEPENDENCY_OUTAGE", confidence)
    }

    /// The action's own logic is wrong.
    #[must_use]
    pub fn internal(confidence: f64) -> Self {
        Self::new("INTERNAL_LOGIC_FAULT", confidence)
    }

    /// With the kind of cause, in kebab-case.
    #[must_use]
    pub fn reason(self, reason: &str) -> Self {
        Self { reason: Some(reason.to_owned()), ..self }
    }

    /// With why, in one sentence.
    #[must_use]
    pub fn because(self, explanation: impl Into<String>) -> Self {
        Self { explanation: explanation.into(), ..self }
    }

    /// With the text it rests on.
    #[must_use]
    pub fn seen(mut self, evidence: Evidence) -> Self {
        self.evidence.push(evidence);
        self
    }

    /// With a further name and value.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.attributes.push((name.to_owned(), value.into()));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_step_come_before_those_of_the_whole() {
        let mut trace = Trace::failed("größer boom");
        trace.error = Some(Fault { message: "boom".into(), stack: Some("at x".into()), code: None });
        let locations: Vec<_> = trace.texts().into_iter().map(|text| text.location).collect();
        assert_eq!(locations, ["steps[0].error.message", "error.message", "error.stack"]);
        let found = trace.find("boom").unwrap();
        assert_eq!((found.location.as_str(), found.start, found.end), ("steps[0].error.message", 9, 13));
        trace.steps.clear();
        assert_eq!(trace.find("boom").unwrap().location, "error.message");
        assert!(trace.find("bang").is_none());
    }

    #[test]
    fn a_verdict_is_put_together() {
        let verdict = Verdict::internal(0.9).reason("dns").because("so").with("a", "b");
        assert_eq!((verdict.classification.as_str(), verdict.reason.as_deref()), ("INTERNAL_LOGIC_FAULT", Some("dns")));
        assert_eq!((verdict.explanation.as_str(), verdict.attributes.len()), ("so", 1));
    }
}
