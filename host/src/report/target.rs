//! Which reports a run writes, and where: as `--report FORMAT=FILE` has it.

use std::path::PathBuf;
use std::str::FromStr;

/// One report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What is written.
    pub kind: Kind,
    /// Where to.
    pub file: PathBuf,
    /// Whether it is told in the end.
    pub listed: bool,
}

/// The formats of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// JUnit XML, which every CI system reads.
    Junit,
    /// One JSON document.
    Json,
    /// Outcome lines.
    Ndjson,
    /// A summary in Markdown.
    Markdown,
    /// Internal faults as SARIF 2.1.0.
    Sarif,
    /// One page that needs nothing else.
    Html,
}

impl Kind {
    const ALL: [(&'static str, Self); 6] = [
        ("junit", Self::Junit),
        ("json", Self::Json),
        ("ndjson", Self::Ndjson),
        ("markdown", Self::Markdown),
        ("sarif", Self::Sarif),
        ("html", Self::Html),
    ];
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, file) =
            text.split_once('=').filter(|(_, file)| !file.is_empty()).ok_or("is not FORMAT=FILE, such as junit=report.xml")?;
        let known = Kind::ALL.iter().find(|(name, _)| *name == kind);
        let known = known.ok_or_else(|| format!("{kind} is none of {}", Kind::ALL.map(|(name, _)| name).join(", ")))?;
        Ok(Self { kind: known.1, file: file.into(), listed: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_format_and_a_file() {
        assert_eq!("html=a=b.html".parse(), Ok(Target { kind: Kind::Html, file: "a=b.html".into(), listed: true }));
        assert_eq!("xml=a".parse::<Target>().unwrap_err(), "xml is none of junit, json, ndjson, markdown, sarif, html");
        assert!("junit".parse::<Target>().is_err() && "junit=".parse::<Target>().is_err());
    }
}
