//! The command line as shells and `man` are told of it.

use crate::driver::Bench;
use std::process::Command;

#[test]
fn every_shell_is_told_of_the_commands() {
    let bench = Bench::new();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let done = bench.tracejury(&["completions", shell]);
        assert!(done.code == 0 && done.stderr.is_empty(), "{done:?}");
        for word in ["classify", "backtest", "allow-prod"] {
            assert!(done.stdout.contains(word), "{shell} is not told of {word}");
        }
        bench.file(&format!("completions.{shell}"), &done.stdout);
    }
    assert_eq!(bench.tracejury(&["completions", "tcsh"]).code, 2);
}

/// Completes with bash itself what somebody has typed.
#[test]
fn bash_completes_with_what_it_is_told() {
    let bench = Bench::new();
    bench.file("completions.bash", bench.tracejury(&["completions", "bash"]).stdout);
    let typed =
        "source completions.bash; COMP_WORDS=(tracejury plugin ba); COMP_CWORD=2; _tracejury tracejury ba plugin; echo \"${COMPREPLY[@]}\"";
    let Ok(done) = Command::new("bash").args(["-c", typed]).current_dir(bench.dir.path()).output() else {
        return crate::ten_minutes::skipped("bash is not installed");
    };
    assert_eq!(String::from_utf8_lossy(&done.stdout).trim(), "backtest", "{done:?}");
}

#[test]
fn there_is_a_page_for_every_command() {
    let bench = Bench::new();
    let done = bench.tracejury(&["man", "pages"]);
    assert_eq!(done.code, 0, "{done:?}");
    let page = |name: &str| bench.read(&format!("pages/{name}.1"));
    assert!(page("tracejury").contains(".TH tracejury 1") && page("tracejury").contains("classify"));
    assert!(page("tracejury-run").contains("Exit codes") && page("tracejury-run").contains("130"));
    assert!(page("tracejury-plugin-pull").contains("no\\-verify"), "{}", page("tracejury-plugin-pull"));
}
