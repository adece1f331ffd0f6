//! `tracejury plugin new`, `build`, `check`, `test`, `explain`, `bench` and `pack`: what those who write classifiers ask for.

use super::{loader, plugins, recorded, settings};
use crate::cli::{BenchArgs, BuildArgs, CheckArgs, ExplainArgs, NewArgs, PackArgs, TestArgs, WorkshopCommand};
use crate::exit::{Exit, Failure};
use crate::model::printable;
use crate::plugin::{Loader, Sight, Stamp, stamp};
use crate::redact::{Redactor, Rules};
use crate::report::{self, Format};
use crate::workshop::{self, Cases, Every, Mark, Tests, Trial};
use notify_debouncer_mini::new_debouncer;
use notify_debouncer_mini::notify::RecursiveMode;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

pub(super) fn execute(command: WorkshopCommand) -> Result<Exit, Failure> {
    match command {
        WorkshopCommand::New(args) => new(args),
        WorkshopCommand::Build(args) => build(args),
        WorkshopCommand::Check(args) => check(args),
        WorkshopCommand::Test(args) => test(args),
        WorkshopCommand::Explain(args) => explain(args),
        WorkshopCommand::Bench(args) => bench(args),
        WorkshopCommand::Pack(args) => pack(args),
    }
}

fn new(args: NewArgs) -> Result<Exit, Failure> {
    let dir = args.dir.unwrap_or_else(|| PathBuf::from(&args.name));
    for file in workshop::new(&args.name, args.lang, &dir)? {
        report::to_stdout(&file.display().to_string());
    }
    report::to_stderr(&format!("{} says how to go on", dir.join("README.md").display()));
    Ok(Exit::AsExpected)
}

fn build(args: BuildArgs) -> Result<Exit, Failure> {
    let loader = loader(&settings(&args.common)?.plugins)?;
    let built = workshop::build(&loader, &args.dir, args.output.as_deref())?;
    report::to_stdout(&built.file.display().to_string());
    if let Some(why) = &built.fails {
        report::warn(
            &format!("{}: fails on a first trace: {why}", built.file.display()),
            "`tracejury plugin check` tries it on more of them",
        );
    }
    report::to_stderr(&format!("{} KiB; `tracejury plugin check {}` looks at it from all sides", built.bytes >> 10, built.file.display()));
    Ok(Exit::AsExpected)
}

fn pack(args: PackArgs) -> Result<Exit, Failure> {
    let loader = loader(&settings(&args.common)?.plugins)?;
    let output = args.output.unwrap_or_else(|| args.file.with_extension("wasm"));
    let cases = args.cases.or_else(|| workshop::beside(&args.file));
    let bytes = workshop::pack(&loader, &args.file, cases.as_deref(), args.license.as_deref(), args.source.as_deref())?;
    write(&output, &bytes, &args.file, "choose another file with --output")?;
    report::to_stdout(&output.display().to_string());
    let with = cases.map_or("without cases".to_owned(), |cases| format!("with the cases of {}", cases.display()));
    report::to_stderr(&format!("{} KiB, {with}; it needs no other file", bytes.len() >> 10));
    Ok(Exit::AsExpected)
}

/// Writes what was made, but not over what it was made of; folders on the way are made too.
fn write(path: &Path, bytes: &[u8], source: &Path, help: &str) -> Result<(), Failure> {
    let same = path.canonicalize().is_ok_and(|path| source.canonicalize().is_ok_and(|source| source == path));
    if same {
        return Err(Failure::new(Exit::Usage, format!("{}: is the plugin itself; nothing was written", path.display()), help));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let made = folder.map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(path, bytes));
    made.map_err(|e| Failure::new(Exit::Usage, format!("{}: {e}", path.display()), help))
}

/// The plugin that is meant: a file, or one of the folder by its name.
fn located(loader: &Loader, plugin: &Path) -> Result<PathBuf, Failure> {
    if plugin.exists() || plugin.extension().is_some() {
        return Ok(plugin.to_owned());
    }
    let loaded = loader.all()?;
    let named = plugins::find(&loaded, &plugin.to_string_lossy()).map(|profile| PathBuf::from(&profile.file));
    named.ok_or_else(|| plugins::nobody(&plugin.display().to_string()))
}

/// The cases that are named, else those beside the plugin.
fn cases_beside(plugin: &Path, named: Option<PathBuf>) -> Result<Option<Cases>, Failure> {
    Ok(named.or_else(|| workshop::beside(plugin)).map(|path| Cases::read(&path)).transpose()?)
}

fn check(mut args: CheckArgs) -> Result<Exit, Failure> {
    let loader = loader(&settings(&args.common)?.plugins)?;
    args.file = located(&loader, &args.file)?;
    let cases = cases_beside(&args.file, args.cases)?;
    let findings = workshop::check(&loader, &args.file, cases.as_ref())?;
    match args.common.format {
        Format::Json => findings.iter().for_each(|finding| report::to_stdout(&serde_json::to_string(finding).unwrap_or_default())),
        Format::Human => {
            let mark = |mark| match mark {
                Mark::Good => "✓",
                Mark::Warning => "!",
                Mark::Bad => "✗",
            };
            let rows = findings.iter().map(|f| vec![mark(f.mark).to_owned(), f.subject.to_owned(), printable(&f.text)]);
            report::to_stdout(&report::plain_table(&[], rows));
        }
    }
    let worst = findings.iter().map(|finding| finding.mark).max();
    let count = |mark| findings.iter().filter(|finding| finding.mark == mark).count();
    report::to_stderr(&match worst {
        Some(Mark::Bad) => format!("{} must be mended, {}", count(Mark::Bad), warnings(count(Mark::Warning))),
        _ => format!("fit to be given to others, {}", warnings(count(Mark::Warning))),
    });
    Ok(if worst == Some(Mark::Bad) { Exit::Unexpected } else { Exit::AsExpected })
}

fn warnings(count: usize) -> String {
    match count {
        0 => "no warnings".to_owned(),
        1 => "1 warning".to_owned(),
        more => format!("{more} warnings"),
    }
}

fn test(mut args: TestArgs) -> Result<Exit, Failure> {
    let loader = loader(&settings(&args.common)?.plugins)?;
    args.file = located(&loader, &args.file)?;
    if args.watch {
        return watch(&loader, &args);
    }
    let trial = Trial::of(&loader, &args.file, Sight::AsAsked)?;
    let cases = cases(&args, &trial)?;
    if args.update {
        let updated = cases.iter().map(|cases| workshop::update(&trial, cases)).sum::<Result<usize, _>>()?;
        report::to_stdout(&format!("{updated} cases written; `tracejury plugin test` says what still fails"));
        return Ok(Exit::AsExpected);
    }
    let tests = workshop::test(&trial, &cases);
    if let Some(path) = &args.junit {
        write(path, workshop::junit(&trial, &tests).as_bytes(), &args.file, "choose another file with --junit")?;
    }
    show(&args, &trial, &tests);
    Ok(if tests.failed().next().is_some() { Exit::Unexpected } else { Exit::AsExpected })
}

/// The cases asked for, else those beside the plugin, else those inside it.
fn cases(args: &TestArgs, trial: &Trial) -> Result<Vec<Cases>, Failure> {
    let beside = || workshop::beside(&args.file).into_iter().collect();
    let files: Vec<PathBuf> = if args.cases.is_empty() { beside() } else { args.cases.clone() };
    let read = files.iter().map(|path| Cases::read(path)).collect::<Result<Vec<_>, _>>()?;
    match trial.cases() {
        Some(text) if read.is_empty() => Ok(vec![Cases::parse("the cases inside it", text)?]),
        _ => Ok(read),
    }
}

fn show(args: &TestArgs, trial: &Trial, tests: &Tests) {
    if args.common.format == Format::Json {
        for test in &tests.tests {
            let line = json!({"name": test.name, "place": test.place, "passed": test.wrong.is_empty(), "wrong": test.wrong});
            report::to_stdout(&line.to_string());
        }
    } else {
        for test in tests.failed() {
            report::to_stdout(&printable(&format!("✗ {}: {}", test.place, test.name)));
            test.wrong.iter().for_each(|wrong| report::to_stdout(&printable(&format!("    {wrong}"))));
        }
    }
    if args.coverage {
        report::to_stdout(&coverage(trial, tests));
    }
    let failed = tests.failed().count();
    let profile = trial.profile();
    let unsaid = if tests.unsaid == 0 { String::new() } else { format!(", {} cases say nothing (--update writes them)", tests.unsaid) };
    let nothing = if tests.tests.is_empty() { "; there are no tests: add `matches` to rules, or a cases.ndjson" } else { "" };
    let end = format!("{} {}: {} passed, {failed} failed{unsaid}{nothing}", profile.name, profile.version, tests.tests.len() - failed);
    match args.common.format {
        Format::Json => report::to_stderr(&end),
        Format::Human => report::to_stdout(&end),
    }
}

/// What the tests know of each rule; in the end the rules that none of them matched.
fn coverage(trial: &Trial, tests: &Tests) -> String {
    // Of rules that are taken over only those are of interest that get in between.
    let counts: Vec<_> = workshop::coverage(trial, tests).into_iter().filter(|count| count.from.is_none() || count.matched > 0).collect();
    if counts.is_empty() {
        return "coverage: it has no rules that could be counted".to_owned();
    }
    let row = |count: &workshop::RuleCount| {
        let overlaps: Vec<_> = count.overlaps.iter().map(|(rule, times)| format!("{rule} ({times})")).collect();
        let name = count.from.as_ref().map_or_else(|| count.id.clone(), |from| format!("{} ({from})", count.id));
        vec![name, count.matched.to_string(), count.spoke.to_string(), overlaps.join(", ")]
    };
    let table = report::plain_table(&["RULE", "MATCHED", "SPOKE", "ALSO MATCHED BY"], counts.iter().map(row));
    let never: Vec<_> = counts.iter().filter(|count| count.matched == 0).map(|count| count.id.as_str()).collect();
    match never.is_empty() {
        true => format!("{table}\nevery rule is matched by some test"),
        false => format!("{table}\nnever matched: {}", never.join(", ")),
    }
}

/// How long files must be left alone before they are looked at: an editor writes in pieces.
const QUIET: Duration = Duration::from_millis(50);

/// Tests whenever a file in one of the folders changes, until the process is stopped.
fn watch(loader: &Loader, args: &TestArgs) -> Result<Exit, Failure> {
    let failed =
        |e: notify_debouncer_mini::notify::Error| Failure::new(Exit::CouldNotRun, format!("cannot watch: {e}"), "run without --watch");
    let folder = |path: &PathBuf| match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let (told, changes) = channel();
    let mut watcher = new_debouncer(QUIET, told).map_err(failed)?;
    let folders: BTreeSet<_> = std::iter::once(&args.file).chain(&args.cases).map(folder).collect();
    for folder in &folders {
        watcher.watcher().watch(folder, RecursiveMode::NonRecursive).map_err(failed)?;
    }
    loop {
        // Before anything is read: what is saved meanwhile is seen as a change.
        let seen = stamps(&folders);
        let tested = Trial::of(loader, &args.file, Sight::AsAsked).map_err(Failure::from).and_then(|trial| {
            let cases = cases(args, &trial)?;
            show(args, &trial, &workshop::test(&trial, &cases));
            Ok(())
        });
        if let Err(failure) = tested {
            report::fail(&format!("{:#}", failure.error), &failure.help);
        }
        report::to_stderr("waiting for a change; Ctrl-C ends");
        while stamps(&folders) == seen {
            if changes.recv().is_err() {
                return Ok(Exit::AsExpected);
            }
        }
    }
}

/// The plugins and cases of some folders, as they are now.
fn stamps(folders: &BTreeSet<PathBuf>) -> Vec<(PathBuf, Option<Stamp>)> {
    let entries = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    let wanted = |path: &Path| path.extension().is_some_and(|ending| ["toml", "js", "wasm", "ndjson"].iter().any(|known| ending == *known));
    let stamped = |path: PathBuf| {
        let stamp = stamp(&path);
        (path, stamp)
    };
    let mut stamps: Vec<_> = entries.map(|entry| entry.path()).filter(|path| wanted(path)).map(stamped).collect();
    stamps.sort();
    stamps
}

fn explain(args: ExplainArgs) -> Result<Exit, Failure> {
    let settings = settings(&args.common)?.plugins;
    let loader = loader(&settings)?;
    let trial = Trial::of(&loader, &located(&loader, Path::new(&args.plugin))?, Sight::AsGranted)?;
    let files = if args.traces.is_empty() { vec![PathBuf::from("-")] } else { args.traces.clone() };
    let every = if args.every_rule { Every::Rule } else { Every::RuleThatFound };
    for (i, recorded) in recorded(&files)?.into_iter().enumerate() {
        let (trace, redactor) = (&recorded.trace, Redactor::new(&recorded.input.unwrap_or_default(), Rules::built_in()));
        let name = recorded.name.unwrap_or_else(|| trace.session.to_string());
        let (answer, rows) = workshop::explain(&trial, trace, every, &redactor);
        if args.common.format == Format::Json {
            let keys = ["rule", "state", "confidence", "says", "matched", "needs"];
            let value = |(key, cell): (&&str, &String)| {
                let number = cell.parse::<f64>().ok().filter(|_| *key == "confidence").map(|number| json!(number));
                ((*key).to_owned(), number.unwrap_or_else(|| json!(cell)))
            };
            let rows: Vec<serde_json::Map<_, _>> = rows.iter().map(|row| keys.iter().zip(row).map(value).collect()).collect();
            report::to_stdout(&json!({"trace": name, "answer": answer, "rules": rows}).to_string());
            continue;
        }
        if i > 0 {
            report::to_stdout("");
        }
        report::to_stdout(&printable(&format!("{name}: {answer}")));
        if rows.is_empty() {
            if trial.pack().is_some() {
                report::to_stdout(" no pattern matched anything; --every-rule shows what each rule would need");
            }
            continue;
        }
        let rows = rows.into_iter().map(|row| row.iter().map(|cell| printable(cell)).collect());
        report::to_stdout(&report::plain_table(&["RULE", "STATE", "CONF", "SAYS", "MATCHED", "WOULD NEED"], rows));
    }
    Ok(Exit::AsExpected)
}

fn bench(mut args: BenchArgs) -> Result<Exit, Failure> {
    let loader = loader(&settings(&args.common)?.plugins)?;
    args.file = located(&loader, &args.file)?;
    let cases = cases_beside(&args.file, args.cases)?;
    let busy = report::Busy::new();
    busy.start("measuring");
    let figures = workshop::bench(&loader, &args.file, cases.as_ref(), args.native.as_deref());
    busy.stop();
    let figures = figures?;
    let first = figures.first().map(|figures| figures.p50.as_secs_f64());
    if args.common.format == Format::Json {
        for f in &figures {
            let micros = |time: Duration| time.as_secs_f64() * 1e6;
            let line = json!({"name": f.name, "p50Micros": micros(f.p50), "p99Micros": micros(f.p99), "startMicros": f.start.map(micros), "memoryBytes": f.memory});
            report::to_stdout(&line.to_string());
        }
        return Ok(Exit::AsExpected);
    }
    let row = |f: &workshop::Figures| {
        let micros = |time: Duration| format!("{:.2} µs", time.as_secs_f64() * 1e6);
        let ratio = first.map_or(String::new(), |first| format!("{:.2} ×", first / f.p50.as_secs_f64().max(1e-12)));
        let start = f.start.map_or("–".to_owned(), |start| format!("{:.2} ms", start.as_secs_f64() * 1e3));
        let memory = f.memory.map_or("–".to_owned(), |bytes| format!("{} KiB", bytes >> 10));
        vec![printable(&f.name), micros(f.p50), micros(f.p99), ratio, start, memory]
    };
    report::to_stdout(&report::plain_table(&["", "P50", "P99", "PLUGIN IS", "START", "MEMORY"], figures.iter().map(row)));
    Ok(Exit::AsExpected)
}
