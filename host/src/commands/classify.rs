//! `tracejury classify`: recorded traces in, outcomes out.

use super::{jury, read, settings};
use crate::classify::{Asked, judge};
use crate::cli::ClassifyArgs;
use crate::debug_api::parse_recorded;
use crate::exit::{Exit, Failure};
use crate::model::Outcome;
use crate::report::{Report, warn};
use std::path::PathBuf;

pub(super) async fn execute(args: ClassifyArgs) -> Result<Exit, Failure> {
    let settings = settings(&args.common)?;
    let jury = jury(&settings.plugins).await?;
    let files = if args.traces.is_empty() { vec![PathBuf::from("-")] } else { args.traces };
    let mut report = Report::new(args.common.format, None);
    let mut names = Vec::new();
    let mut bad = 0;
    for file in files {
        let (place, text) = read(&file)?;
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let recorded = match parse_recorded(line) {
                Ok(recorded) => recorded,
                Err(what) => {
                    bad += 1;
                    warn(
                        &format!("{place}:{}: {what}; the line is skipped", number + 1),
                        "README, section Recorded traces, has the format",
                    );
                    continue;
                }
            };
            let name = recorded.name.unwrap_or_else(|| recorded.trace.session.to_string());
            names.push(name.clone());
            let outcome = Outcome::of(name, recorded.trace.action, recorded.trace.environment);
            let asked = Asked { input: recorded.input.as_ref(), expect: recorded.expect.as_ref() };
            report.outcome(judge(&jury, recorded.trace, asked, outcome).await);
        }
    }
    let nothing = names.is_empty() && bad == 0;
    report.table(&names);
    let summary = report.finish(&[]);
    match (nothing, bad) {
        (true, _) => Err(Failure::new(Exit::Usage, "there is no trace to classify", "give a file with one recorded trace a line")),
        (false, 0) => Ok(Exit::of(&summary)),
        (false, _) => Ok(Exit::Usage),
    }
}
