//! `tracejury completions` and `tracejury man`: the command line, told to shells and to `man`.

use crate::cli::{Cli, CompletionsArgs, ManArgs};
use crate::exit::{Exit, Failure};
use crate::report::{self, plural};
use clap::CommandFactory as _;

pub(super) fn completions(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tracejury", &mut script);
    report::to_stdout(String::from_utf8_lossy(&script).trim_end());
    Ok(Exit::AsExpected)
}

/// A page for the program and one for each command, `tracejury-plugin-pull.1` for `tracejury plugin pull`.
pub(super) fn pages(args: &ManArgs) -> Result<Exit, Failure> {
    let failed = |e: std::io::Error| Failure::new(Exit::CouldNotRun, format!("{}: {e}", args.dir.display()), "choose another folder");
    std::fs::create_dir_all(&args.dir).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), &args.dir).map_err(failed)?;
    let listed = std::fs::read_dir(&args.dir).map_err(failed)?.flatten();
    let pages = listed.filter(|entry| entry.file_name().to_string_lossy().starts_with("tracejury")).count();
    report::to_stdout(&args.dir.join("tracejury.1").display().to_string());
    report::to_stderr(&format!("{} written", plural(pages, "page")));
    Ok(Exit::AsExpected)
}
