//! The door: parse, start logging, call, turn the result into an exit code.

use clap::Parser as _;
use std::process::ExitCode;
use tracejury::cli::Cli;
use tracejury::{commands, report};

fn main() -> ExitCode {
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
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(colour).with_max_level(level).without_time().with_target(false).init();
}
