//! What to do next about a classification or a problem, in one line each.

use crate::model::Classification;

pub(super) fn next_step(classification: &str) -> &'static str {
    match classification {
        Classification::EXTERNAL => "ask the owners of what was called, or wait and run again",
        Classification::INTERNAL => "mend the action, at the failing step",
        Classification::UNKNOWN => "read the trace; a rule of your own in plugins/ can tell next time",
        _ => "",
    }
}

pub(super) fn problem_step(kind: &str) -> &'static str {
    match kind {
        "deadline" => "it may still be running; raise api.deadline_ms",
        "session-gone" => "the platform no longer has the trace; where it is always so, check the profile's poll",
        "ambiguous" => "the action may have run; look on the platform before running again",
        "unreachable" => "check the network and the platform, run again",
        "unreadable" => "look at what answers at api.base_url; a proxy or a limit may be in between",
        "refused" => "check dataActionId and environmentId",
        "credentials" => "check client id, secret and scopes",
        "journal" => "make room, or check journal.path and its permissions, and resume the run",
        "interrupted" => "`tracejury run --resume` goes on with it",
        "settings" => "check api.base_url, api.login_url, api.discovery_url and api.profile; `tracejury doctor` helps",
        _ => "run again",
    }
}
