//! `tracejury doctor`: everything a run needs, looked at from the settings to the plugins.

use super::suite::variables;
use super::{IN_VAIN, in_vain, loader, lock, plugins_in, privacy, trust};
use crate::cli::DoctorArgs;
use crate::config::{self, Found, Settings};
use crate::debug_api::DebugApi;
use crate::doctor::{self, Check, Wanted, Went};
use crate::exit::{Exit, Failure};
use crate::http::Trust;
use crate::model::printable;
use crate::outbox::Outbox;
use crate::plugin::{PluginError, Profile};
use crate::report::{self, Format, plural};
use crate::store::Store;
use crate::vectors::{Reading, Schemas, Suite};
use std::path::Path;

pub(super) async fn execute(args: DoctorArgs) -> Result<Exit, Failure> {
    let mut doctor = Doctor { format: args.common.format, failures: 0, warnings: 0 };
    let mut found = match config::find(args.common.config.as_deref(), |name| std::env::var(name).ok()) {
        Ok(found) => found,
        Err(error) => {
            // Without settings there is nothing else to look at.
            doctor.tell(Check::failure("settings", error.to_string(), "README, section Settings, has every name and default"));
            return Ok(doctor.done());
        }
    };
    if let Some(dir) = &args.common.plugins {
        plugins_in(&mut found.settings, dir)?;
    }
    doctor.tell(found_where(&found));
    let settings = &found.settings;
    doctor.tell(schemas(&settings.api.schemas));
    let wanted = wanted(&args, settings, &mut doctor);
    match trust(settings) {
        Ok(trust) => {
            platform(settings, &trust, &wanted, &mut doctor).await;
            match Outbox::new(&settings.webhook, &trust.anonymous()) {
                Ok(_) => doctor.tell_all(doctor::webhooks(&settings.webhook, &trust).await),
                Err(error) => doctor.tell(Check::failure("webhook", error.to_string(), "check WEBHOOK_URL and WEBHOOK_SECRET")),
            }
        }
        Err(failure) => {
            let found = format!("{}; hosts are not looked at", failure.error);
            doctor.tell(Check::failure("tls", found, &failure.help));
        }
    }
    doctor.tell(journal(settings));
    doctor.tell(doctor::audit(&settings.audit.path));
    doctor.tell(inputs(settings));
    doctor.tell_all(plugins(settings).await);
    Ok(doctor.done())
}

/// Tells findings as they come, and counts them.
struct Doctor {
    format: Format,
    failures: usize,
    warnings: usize,
}

impl Doctor {
    fn tell_all(&mut self, checks: Vec<Check>) {
        checks.into_iter().for_each(|check| self.tell(check));
    }

    fn tell(&mut self, check: Check) {
        let word = match check.result {
            Went::Ok => "ok",
            Went::Warning => "warning",
            Went::Failure => "failure",
        };
        self.failures += usize::from(check.result == Went::Failure);
        self.warnings += usize::from(check.result == Went::Warning);
        match self.format {
            Format::Json => report::to_stdout(&serde_json::to_string(&check).unwrap_or_default()),
            Format::Human => {
                report::to_stdout(&format!("{word:<8} {}: {}", printable(&check.check), printable(&check.found)));
                if let Some(next) = check.next {
                    report::to_stdout(&format!("           next: {}", printable(&next)));
                }
            }
        }
    }

    fn done(&self) -> Exit {
        let end = match (self.failures, self.warnings) {
            (0, 0) => "all is well".to_owned(),
            (0, warnings) => format!("nothing failed; {}", plural(warnings, "warning")),
            (failures, warnings) => format!("{}, {}", plural(failures, "failure"), plural(warnings, "warning")),
        };
        match self.format {
            Format::Json => report::to_stderr(&end),
            Format::Human => report::to_stdout(&format!("\n{end}")),
        }
        if self.failures == 0 { Exit::AsExpected } else { Exit::CouldNotRun }
    }
}

/// The actions that vectors and flags name, and where they want them.
fn wanted(args: &DoctorArgs, settings: &Settings, doctor: &mut Doctor) -> Wanted {
    let mut wanted: Wanted = args.actions.iter().map(|action| (*action, Default::default())).collect();
    if args.vectors.is_empty() {
        return wanted;
    }
    // Schemas that cannot be read have been told of; the vectors are read all the same.
    let schemas = Schemas::read(&settings.api.schemas).unwrap_or_default();
    let variables = match variables(&args.values, settings) {
        Ok(variables) => variables,
        Err(failure) => {
            doctor.tell(Check::failure("vectors", failure.error.to_string(), &failure.help));
            return wanted;
        }
    };
    let reading = Reading { schemas, variables, data: args.values.data.clone(), ..Reading::default() };
    match Suite::read(&args.vectors, reading) {
        Ok(suite) => {
            doctor.tell(Check::ok("vectors", format!("{} in order", suite.count())));
            for vector in suite.vectors().flatten() {
                wanted.entry(vector.action).or_default().insert(vector.environment);
            }
        }
        Err(problems) => {
            for problem in problems {
                doctor.tell(Check::failure("vectors", problem, "README, section Vectors, has the format"));
            }
        }
    }
    wanted
}

fn found_where(found: &Found) -> Check {
    let file = match &found.file {
        Some(file) => file.display().to_string(),
        None => format!("defaults, no {} here", config::FILE),
    };
    let variables = if found.variables.is_empty() { "no variable set".to_owned() } else { found.variables.join(", ") };
    Check::ok("settings", format!("{file}; {variables}"))
}

fn journal(settings: &Settings) -> Check {
    let path = &settings.journal.path;
    if path.as_os_str().is_empty() {
        return Check::warning("journal", "is kept in memory: a run that is cut off cannot be resumed", "set journal.path");
    }
    match path.exists().then(|| Store::open(path)) {
        None => Check::ok("journal", format!("{}: will be made", path.display())),
        Some(Ok(_)) => Check::ok("journal", format!("{}: can be used", path.display())),
        Some(Err(error)) => {
            Check::failure("journal", error.to_string(), "check journal.path (TRACEJURY_JOURNAL); a damaged one can be moved aside")
        }
    }
}

/// How inputs are hashed and what is masked.
fn inputs(settings: &Settings) -> Check {
    match privacy(settings) {
        Err(failure) => Check::failure("privacy", failure.error.to_string(), &failure.help),
        Ok(privacy) => match privacy.hasher.key_id() {
            Some(id) => Check::ok("privacy", format!("inputs are hashed with the key {id}")),
            None => {
                Check::warning("privacy", "inputs are hashed without a key: who guesses one can check it", "`tracejury init` makes a key")
            }
        },
    }
}

fn schemas(path: &Path) -> Check {
    if path.as_os_str().is_empty() {
        return Check::ok("schemas", "not set: inputs are not checked before they are submitted");
    }
    match Schemas::read(path) {
        Ok(schemas) => Check::ok("schemas", format!("{}: {}", path.display(), schemas.described())),
        Err(what) => Check::failure("schemas", what, "README, section Vectors, says what goes there"),
    }
}

async fn platform(settings: &Settings, trust: &Trust, wanted: &Wanted, doctor: &mut Doctor) {
    match DebugApi::new(settings, trust) {
        Ok(api) => {
            doctor.tell(Check::ok("platform", format!("spoken to by the profile {}", settings.api.profile)));
            doctor::platform(&api, wanted, &mut |check| doctor.tell(check)).await;
        }
        Err(error) => {
            let text = error.to_string();
            let next = match text.contains("is not set") {
                true => "set it in the environment or in [api] of tracejury.toml; `tracejury simulate` has values to try with",
                false => "README, section Platforms, says which addresses are needed, what profiles there are, and how to write one",
            };
            doctor.tell(Check::failure("platform", text, next));
        }
    }
}

async fn plugins(settings: &Settings) -> Vec<Check> {
    let own = settings.plugins.clone();
    let loaded = tokio::task::spawn_blocking(move || loader(&own)?.all()).await;
    let loaded = match loaded.map_err(|e| PluginError::Engine(e.to_string())).and_then(|loaded| loaded) {
        Ok(loaded) => loaded,
        Err(error) => return vec![Check::failure("plugins", error.to_string(), "check plugins.dir and its permissions")],
    };
    let used = loaded.profiles().into_iter().filter(|profile| profile.refused.is_none());
    let described = |profile: &Profile| Check::ok(format!("plugin {}", profile.name), format!("{}, {}", profile.version, profile.file));
    let mut checks: Vec<_> = used.map(described).collect();
    for error in loaded.refused() {
        let next = if let PluginError::Refused { help, .. } = error { help } else { "check the plugins folder" };
        checks.push(Check::failure("plugins", error.to_string(), next));
    }
    for name in &loaded.named_in_vain {
        let found = format!("plugins.grants, plugins.for: no plugin is named {name}");
        checks.push(Check::warning("plugins", found, "check the name; `tracejury plugin list` shows them"));
    }
    checks.extend(lock::checks(settings, &loaded));
    checks.extend(in_vain(&settings.merge, &loaded).into_iter().map(|found| Check::warning("merge", found, IN_VAIN)));
    checks
}
