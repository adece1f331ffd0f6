//! The live view as a person sees it: on a terminal that tmux draws, wide and narrow, and what is left there at the end.

use crate::driver::{ACTION, Bench, Simulator, completed, failed, vector};
use crate::ten_minutes::skipped;
use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, Instant};

/// A terminal of its own, ended with the test.
struct Terminal {
    socket: String,
}

impl Terminal {
    /// Runs a script in a terminal of this size; none where there is no tmux.
    fn start(bench: &Bench, columns: u32, script: &str) -> Option<Self> {
        bench.file("script.sh", script);
        let socket = bench.dir.path().join("tmux").display().to_string();
        // The window stays when the script has ended, so that its last words can be read.
        let kept = "sh script.sh; tmux wait-for -S done; sleep 600";
        let mut command = Command::new("tmux");
        command.args(["-S", &socket, "-f", "/dev/null", "new-session", "-d", "-x", &columns.to_string(), "-y", "24", kept]);
        let shell = bench.shell("");
        command
            .current_dir(bench.dir.path())
            .env("LC_ALL", "C.UTF-8")
            .envs(shell.get_envs().filter_map(|(name, value)| Some((name, value?))));
        match command.output() {
            Ok(output) if output.status.success() => Some(Self { socket }),
            Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
            Err(_) => None,
        }
    }

    fn shows(&self) -> String {
        let output = Command::new("tmux").args(["-S", &self.socket, "capture-pane", "-p", "-e"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// What is shown as soon as this is part of it.
    fn until(&self, wanted: &str) -> String {
        let begun = Instant::now();
        loop {
            let shown = self.shows();
            if shown.contains(wanted) {
                return shown;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{wanted} is not shown:\n{shown}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What is shown when the script has ended.
    fn ended(&self) -> String {
        assert!(Command::new("tmux").args(["-S", &self.socket, "wait-for", "done"]).status().unwrap().success());
        self.shows()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-S", &self.socket, "kill-server"]).output();
    }
}

/// Some vectors end at once, some take six seconds.
fn bench(simulator: &Simulator) -> Bench {
    let vectors: Value = (0..12)
        .map(|i| {
            let mut v = vector();
            v["name"] = json!(format!("vector-{i}"));
            v["dataActionId"] = json!(if i < 3 { ACTION } else { "00000000-0000-4000-8000-000000000001" });
            v
        })
        .collect();
    let bench = Bench::against(simulator);
    bench.file("vectors.json", vectors.to_string());
    bench
}

fn simulator() -> Simulator {
    Simulator::script(&json!({"version": 1, "scenarios": [
        {"name": "slow", "dataActionId": ACTION, "runningMs": 6_000, "answer": completed()},
        {"name": "quick", "dataActionId": "00000000-0000-4000-8000-000000000001", "runningMs": 20, "answer": failed("getaddrinfo ENOTFOUND x")}]}))
}

#[test]
fn a_terminal_shows_how_it_stands_and_in_the_end_failures_last() {
    let simulator = simulator();
    let bench = bench(&simulator);
    let Some(terminal) = Terminal::start(&bench, 100, "tracejury run vectors.json") else { return skipped("tmux is not installed") };
    terminal.until("9 external");
    let live = terminal.until("slowest: vector-");
    for part in [
        "9 of 12",
        " left",
        "0 completed, 9 external, 0 internal, 0 unknown; 9 not as expected",
        "3 under way, not throttled, 60000 requests a minute at most",
    ] {
        assert!(live.contains(part), "{part}:\n{live}");
    }
    let ended = terminal.ended();
    assert!(!ended.contains("under way"), "the view is gone:\n{ended}");
    let last = ended.trim_end().lines().next_back().unwrap();
    assert_eq!(last.trim(), "next: ask the owners of what was called, or wait and run again", "{ended}");
    assert!(ended.contains("✗ 9 vectors, one cause: "), "{ended}");
    if let Some(folder) = std::env::var_os("TRACEJURY_PICTURES") {
        std::fs::write(std::path::Path::new(&folder).join("live.txt"), live + "\n----\n" + &ended).unwrap();
    }
}

#[test]
fn a_narrow_terminal_without_colour_shows_the_same_in_shorter_lines() {
    let simulator = simulator();
    let bench = bench(&simulator);
    let Some(terminal) = Terminal::start(&bench, 44, "NO_COLOR=1 tracejury run vectors.json") else {
        return skipped("tmux is not installed");
    };
    terminal.until("9 external");
    let live = terminal.until("slowest: vector-");
    assert!(live.contains("0 completed, 9 external, 0 internal") && live.contains("3 under way, not throttled"), "{live}");
    assert!(!live.contains("\u{1b}["), "no colour:\n{live:?}");
    // The view has four lines, however narrow: none is broken over two.
    let first = live.lines().position(|line| line.contains(" of 12")).unwrap();
    assert!(live.lines().nth(first + 3).unwrap().starts_with("slowest: "), "{live}");
    let ended = terminal.ended();
    assert!(!ended.contains("\u{1b}[") && ended.lines().all(|line| line.chars().count() <= 44), "{ended}");
}
