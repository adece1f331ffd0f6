//! The door: parse, start logging, call, turn the result into an exit code.

use clap::Parser as _;
use std::process::ExitCode;
use tracejury::cli::Cli;
use tracejury::{commands, log, redact, report};

fn main() -> ExitCode {
    report::tell_of_panics();
    let cli = Cli::parse();
    start_logging(cli.verbose);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            report::fail(&format!("the program cannot start: {error}"), "free some memory or threads");
            return ExitCode::from(3);
        }
    };
    let code = match runtime.block_on(commands::execute(cli.command)) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            report::fail(&format!("{:#}", failure.error), &failure.help);
            failure.exit.into()
        }
    };
    // A classifier that is still running is stopped with the process, not waited for.
    runtime.shutdown_background();
    code
}

/// Warnings always; -vv adds each answer, each retry and what plugins log. Lines of ours hold no header and no body.
fn start_logging(verbose: u8) {
    use std::io::IsTerminal as _;
    use tracing_subscriber::filter::LevelFilter;
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    // What the libraries below tell of their own is of no use to anybody here.
    let ours = tracing_subscriber::filter::Targets::new().with_target("tracejury", level).with_default(LevelFilter::WARN);
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let masked = log::Lines::new(std::sync::Arc::new(redact::rules_only));
    let lines = tracing_subscriber::fmt::layer().with_writer(masked).with_ansi(colour).without_time().with_target(false);
    tracing_subscriber::registry().with(lines).with(ours).init();
}
