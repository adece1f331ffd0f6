//! Hostile plugins: the host stays up, the other plugins' verdicts and the exit code stand, and what was done is said. A case is
//! `tests/guests/base.wat` with code in one of its hooks, a component of its own, or bytes that are none. The guests with a file
//! of their own (`loop`, `trap`, `deep`, `memory-hog`, `wasi`, …) are in `guests.rs`.
//!
//! | # | what it does | what is said |
//! |---|---|---|
//! | 1 | loops in `classify` | stopped after 300 ms |
//! | 2–4 | loops in `configure`, `describe`, the start section | not loaded: … stopped after 400 ms |
//! | 5 | loops in `cabi_realloc` | stopped after 300 ms |
//! | 6 | loops after its answer was read | stopped after 300 ms |
//! | 7–11 | traps in `configure`, `describe`, start, `cabi_realloc`, after its answer | trapped: … |
//! | 12 | recurses without end | used more than 512 KiB of stack |
//! | 13 | grows its memory to the cap and over | wanted more than 16 MiB of memory |
//! | 14 | is born with 4 GiB | not loaded: … wanted more than 16 MiB of memory |
//! | 15–16 | grows a table; is born with a large one | wanted more than 1000 table elements |
//! | 17 | is made of more core instances than it may be | not loaded: … wanted more than 2 core instances … |
//! | 18 | answers with a list of 2³¹ verdicts | trapped: … |
//! | 19–20 | points out of its memory; gets the host to write there | trapped: … |
//! | 21 | gives the host a crooked pointer | trapped: … not aligned |
//! | 22–23 | says what is no UTF-8; lets its texts overlap the verdict | trapped: …; no harm |
//! | 24–26 | explains in 10 MB; in 5 kB; gives a million verdicts | answered with more than … KiB; invalid answer: … |
//! | 27 | gives 17 verdicts | invalid answer: 17 verdicts, more than 16 |
//! | 28–31 | is NaN, infinitely, minus half, seven times sure | invalid answer: confidence … |
//! | 32–33 | names a step, evidence that is not there | invalid answer: … |
//! | 34 | points at a step's input that it may not see | invalid answer: … does not exist |
//! | 35–37 | writes escapes into its explanation, classification, reason | no escape reaches the terminal |
//! | 38–39 | writes escapes into its name; has a name of 100 kB | not loaded: describes itself wrongly: … |
//! | 40 | floods the log | cut, and said to be |
//! | 41 | keeps state between calls | answers 1 each time |
//! | 42–44 | imports WASI, a socket, something unknown | not loaded: asks for what no classifier gets: … |
//! | 45–46 | lacks an export; has one of another type | not loaded: is not of the world … |
//! | 47–50 | is a core module, cut off, empty, random bytes | not loaded: … |
//! | 51 | is a file of 200 MB | not loaded: is larger than 64 MiB |
//! | 52 | nests its types ten thousand deep | not loaded: is not a valid component … |
//! | 53–54 | takes long to compile; takes much memory | not loaded: was not compiled within …; wanted more than … MiB to be compiled |
//! | 55–57 | is a link out of the folder, a fifo, a folder | not loaded: is … |
//! | 58 | is replaced while it loads, again and again | one version or the other, whole |
//! | 59 | bears the name of another | not loaded: is named … like … |

use crate::driver::{Bench, Done, failed, recorded, root};
use crate::guests::{component, encoded};
use serde_json::json;
use std::fmt::Write as _;

const SETTINGS: &str = "[plugins]\ndeadline_ms = 300\nload_deadline_ms = 400\nmemory_mib = 16\nmax_table_elements = 1000\n";
const LOOP: &str = "(loop $forever (br $forever))";
const TRAP: &str = "(unreachable)";
const LOG: &str = "(import \"tracejury:classifier/host@0.1.0\" \"log\" (func $log (param i32 i32 i32)))";

/// The base guest with code in these hooks.
pub fn base(hooks: &[(&str, &str)]) -> Vec<u8> {
    let mut text = std::fs::read_to_string(root().join("tests/guests/base.wat")).unwrap();
    for (hook, code) in hooks {
        let place = format!(";;@{hook}\n");
        assert!(text.contains(&place), "there is no hook {hook}");
        text = text.replace(&place, &format!("{code}\n"));
    }
    encoded("base", &text)
}

/// A bench with one plugin, and the outcome of a trace that the default classifier knows: its verdict and the exit code stand.
fn beside(bytes: &[u8]) -> (Bench, Done) {
    let bench = Bench::new();
    bench.file("tracejury.toml", SETTINGS);
    bench.file("plugins/guest.wasm", bytes);
    let done = judged(&bench, &[]);
    (bench, done)
}

fn judged(bench: &Bench, flags: &[&str]) -> Done {
    let args = [&["classify", "--format", "json"], flags].concat();
    let done = bench.piped(&args, &recorded("s", &failed("getaddrinfo ENOTFOUND x")));
    let outcome = done.outcome();
    assert_eq!((done.code, &outcome["reason"], &outcome["confidence"]), (0, &json!("dns"), &json!(0.95)), "{done:?}");
    done
}

/// Why the one plugin beside the default classifier abstains.
fn why_of(done: &Done) -> String {
    let outcome = done.outcome();
    let abstained = outcome["abstained"].as_array().unwrap();
    assert_eq!(abstained.len(), 1, "{outcome}");
    abstained[0]["why"].as_str().unwrap().to_owned()
}

fn why(bytes: &[u8]) -> String {
    why_of(&beside(bytes).1)
}

/// What is said of the base guest with this code in this hook.
fn hooked(hook: &str, code: &str) -> String {
    why(&base(&[(hook, code)]))
}

#[test]
fn loops_are_stopped_wherever_they_are() {
    assert_eq!(hooked("classify", LOOP), "stopped after 300 ms");
    assert_eq!(hooked("post", LOOP), "stopped after 300 ms");
    // Only once it is loaded: `configure` is handed its settings by the same allocator.
    let later = format!("(if (i32.gt_u (local.get 3) (i32.const 0)) (then {LOOP}))");
    assert_eq!(hooked("realloc", &later), "stopped after 300 ms");
    assert_eq!(hooked("configure", LOOP), "not loaded: cannot be configured: stopped after 400 ms");
    assert_eq!(hooked("describe", LOOP), "not loaded: does not describe itself: stopped after 400 ms");
    let start = format!("(func $start {LOOP}) (start $start)");
    assert!(hooked("parts", &start).ends_with(": stopped after 400 ms"));
}

#[test]
fn traps_are_abstentions_wherever_they_are() {
    let unreachable = "trapped: wasm trap: wasm `unreachable` instruction executed";
    assert_eq!(hooked("classify", TRAP), unreachable);
    assert_eq!(hooked("post", TRAP), unreachable);
    assert_eq!(hooked("realloc", &format!("(if (i32.gt_u (local.get 3) (i32.const 0)) (then {TRAP}))")), unreachable);
    assert_eq!(hooked("configure", TRAP), format!("not loaded: cannot be configured: {unreachable}"));
    assert_eq!(hooked("describe", TRAP), format!("not loaded: does not describe itself: {unreachable}"));
    assert!(hooked("parts", &format!("(func $start {TRAP}) (start $start)")).ends_with(unreachable));
}

#[test]
fn stack_memory_and_tables_have_a_cap() {
    let deep = "(func $down (param i32) (result i32) (call $down (i32.add (local.get 0) (i32.const 1))))";
    assert_eq!(why(&base(&[("parts", deep), ("classify", "(drop (call $down (i32.const 0)))")])), "used more than 512 KiB of stack");
    let grow = "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)";
    assert_eq!(hooked("classify", grow), "wanted more than 16 MiB of memory");
    let table = "(table $t 10 funcref)";
    let grow = "(loop $more (br_if $more (i32.ne (table.grow $t (ref.null func) (i32.const 100)) (i32.const -1)))) (unreachable)";
    assert_eq!(why(&base(&[("parts", table), ("classify", grow)])), "wanted more than 1000 table elements");
}

#[test]
fn what_is_born_too_large_is_refused_by_number() {
    let why_of_memory = why(&encoded(
        "base",
        &std::fs::read_to_string(root().join("tests/guests/base.wat")).unwrap().replace("\"memory\") 4", "\"memory\") 65536"),
    ));
    assert!(why_of_memory.starts_with("not loaded: ") && why_of_memory.ends_with("wanted more than 16 MiB of memory"), "{why_of_memory}");
    let of_table = hooked("parts", "(table $t 5000 funcref)");
    assert!(of_table.starts_with("not loaded: ") && of_table.ends_with("wanted more than 1000 table elements"), "{of_table}");
}

#[test]
fn a_crowd_of_core_instances_is_refused() {
    // One that logs is made of three: itself, and two that tie it to the host's function.
    let bench = Bench::new();
    bench.file("tracejury.toml", "[plugins]\nmax_instances = 2\n");
    bench.file("plugins/guest.wasm", base(&[("imports", LOG), ("classify", "(call $log (i32.const 2) (i32.const 576) (i32.const 16))")]));
    let said = why_of(&judged(&bench, &[]));
    assert!(said.starts_with("not loaded: ") && said.ends_with("wanted more than 2 core instances, memories or tables"), "{said}");
}

#[test]
fn answers_that_are_not_there_are_not_read() {
    let many = "(i32.store (i32.const 264) (i32.const 0x7fffffff))";
    assert!(hooked("classify", many).starts_with("trapped: "));
    let outside = "(i32.store (i32.const 260) (i32.const 0x7ffffff0))";
    assert!(hooked("classify", outside).starts_with("trapped: "), "{}", hooked("classify", outside));
    let text_outside = "(i32.store (i32.const 368) (i32.const -16))";
    assert!(hooked("classify", text_outside).starts_with("trapped: "));
    let result_outside = "(return (i32.const -8))";
    assert!(hooked("classify", result_outside).starts_with("trapped: "));
}

#[test]
fn the_host_writes_only_where_there_is_memory() {
    assert!(hooked("realloc", "(return (i32.const -8))").contains("realloc"));
    assert!(hooked("realloc", "(return (i32.const 65537))").contains("not aligned"));
}

#[test]
fn texts_that_are_none_are_not_believed() {
    let bytes = "(i32.store (i32.const 576) (i32.const 0xfffefdfc))";
    assert!(hooked("classify", bytes).starts_with("trapped: "), "{}", hooked("classify", bytes));
    // Its explanation is the verdict itself: zeros and pointers, all of it ASCII control characters or letters.
    let (_, done) = beside(&base(&[("classify", "(i32.store (i32.const 368) (i32.const 376)) (i32.store (i32.const 372) (i32.const 8))")]));
    assert_eq!(done.outcome()["verdicts"][1]["explanation"], " ".repeat(8), "{done:?}");
}

#[test]
fn answers_have_a_size() {
    // 10 MB of zeros, which are UTF-8.
    let long = "(drop (memory.grow (i32.const 170))) (i32.store (i32.const 368) (i32.const 65536)) (i32.store (i32.const 372) (i32.const 10000000))";
    assert_eq!(hooked("classify", long), "answered with more than 1024 KiB");
    let longish = "(i32.store (i32.const 368) (i32.const 131072)) (i32.store (i32.const 372) (i32.const 5000))";
    assert_eq!(hooked("classify", longish), "invalid answer: a text of 5000 bytes, more than 4096");
    let million = "(drop (memory.grow (i32.const 180))) (i32.store (i32.const 264) (i32.const 100000))";
    assert_eq!(hooked("classify", million), "answered with more than 1024 KiB");
    // Seventeen times the verdict at 320, which takes 72 bytes.
    let some = "(i32.store (i32.const 260) (i32.const 131072)) (i32.store (i32.const 264) (i32.const 17))
        (loop $more (memory.copy (i32.add (i32.const 131072) (i32.mul (local.get $i) (i32.const 72))) (i32.const 320) (i32.const 72))
          (local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if $more (i32.lt_u (local.get $i) (i32.const 17))))";
    let with_local = base(&[("classify", some)]);
    assert_eq!(why(&with_local), "invalid answer: 17 verdicts, more than 16");
}

#[test]
fn numbers_out_of_range_are_named() {
    for (number, shown) in [("nan", "NaN"), ("inf", "inf"), ("-0.5", "-0.5"), ("7", "7")] {
        let code = format!("(f64.store (i32.const 328) (f64.const {number}))");
        assert_eq!(hooked("classify", &code), format!("invalid answer: confidence: {shown} is not a number from 0 to 1"));
    }
    let step = "(i32.store8 (i32.const 360) (i32.const 1)) (i32.store (i32.const 364) (i32.const 9))";
    assert_eq!(hooked("classify", step), "invalid answer: failing-step: 9 of 3 steps");
}

/// One piece of evidence at 800: a location, from byte 0 to `end`.
fn evidence(location: (u32, u32), end: u32) -> String {
    let (at, length) = location;
    format!(
        "(i32.store (i32.const 800) (i32.const {at})) (i32.store (i32.const 804) (i32.const {length})) (i32.store (i32.const 812) (i32.const {end}))
         (i32.store (i32.const 376) (i32.const 800)) (i32.store (i32.const 380) (i32.const 1))"
    )
}

#[test]
fn evidence_must_exist_and_be_visible() {
    let (_, done) = beside(&base(&[("classify", &evidence((704, 22), 11))]));
    assert_eq!(done.outcome()["verdicts"][1]["evidence"][0]["text"], "getaddrinfo", "{done:?}");
    assert_eq!(hooked("classify", &evidence((704, 22), 500)), "invalid answer: evidence: steps[1].error.message[0..500] does not exist");
    // `steps[1]` and then `.output`, which nobody granted.
    let pointing = format!("(i64.store (i32.const 712) (i64.const 0x74757074756f2e)) {}", evidence((704, 15), 2));
    assert_eq!(hooked("classify", &pointing), "invalid answer: evidence: steps[1].output[0..2] does not exist");
}

/// Stores an escape sequence over the first bytes at `at`.
fn escape(at: u32) -> String {
    format!("(i32.store (i32.const {at}) (i32.const 0x31335b1b))")
}

#[test]
fn no_escape_reaches_the_terminal() {
    let (bench, done) = beside(&base(&[("classify", &escape(576))]));
    assert!(done.outcome()["verdicts"][1]["explanation"].as_str().unwrap().starts_with(" [31"));
    let reason = format!(
        "{} (i32.store8 (i32.const 336) (i32.const 1)) (i32.store (i32.const 340) (i32.const 640)) (i32.store (i32.const 344) (i32.const 8))",
        escape(640)
    );
    assert_eq!(hooked("classify", &reason), "invalid answer: reason:  [31ason is not kebab-case");
    assert!(hooked("classify", &escape(512)).starts_with("invalid answer: classification: "));
    for format in ["human", "json"] {
        let done = bench.piped(&["classify", "--format", format, "-vv"], &recorded("s", &failed("x")));
        assert!(!done.stdout.contains('\u{1b}') && !done.stderr.contains('\u{1b}'), "{done:?}");
    }
    assert_eq!(hooked("describe", &escape(128)), "not loaded: describes itself wrongly: name: is not kebab-case of at most 64 characters");
    let long =
        "(drop (memory.grow (i32.const 4))) (i32.store (i32.const 16) (i32.const 65536)) (i32.store (i32.const 20) (i32.const 100000))";
    assert_eq!(hooked("describe", long), "not loaded: describes itself wrongly: name: is not kebab-case of at most 64 characters");
}

#[test]
fn a_flood_of_log_lines_is_cut() {
    let flood = "(loop $more (call $log (i32.const 2) (i32.const 576) (i32.const 16))
        (local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if $more (i32.lt_u (local.get $i) (i32.const 5000))))";
    let (bench, done) = beside(&base(&[("imports", LOG), ("classify", flood)]));
    assert_eq!(done.outcome()["verdicts"][1]["plugin"], "base", "{done:?}");
    assert!(!done.stderr.contains("the team says so"));
    let shown = judged(&bench, &["-vv"]).stderr;
    assert_eq!(shown.matches("base: info: the team says so").count(), 32, "{shown}");
    assert_eq!(shown.matches("base: nothing more is shown of this trace after 32 lines").count(), 1);
}

#[test]
fn capabilities_are_refused_by_name() {
    for import in ["wasi:sockets/tcp@0.2.0", "wasi:cli/environment@0.2.0", "acme:private/thing"] {
        let bytes = wat::parse_str(format!("(component (import \"{import}\" (instance)))")).unwrap();
        assert_eq!(why(&bytes), format!("not loaded: asks for what no classifier gets: {import}"));
    }
    let function = wat::parse_str("(component (import \"ask-me\" (func)))").unwrap();
    assert_eq!(why(&function), "not loaded: asks for what no classifier gets: ask-me");
}

#[test]
fn another_world_is_explained() {
    let empty = wat::parse_str("(component)").unwrap();
    assert!(why(&empty).starts_with("not loaded: is not of the world tracejury:classifier@0.1.0: "), "{}", why(&empty));
}

#[test]
fn files_that_are_no_component_are_refused_by_what_they_are() {
    let good = component("team", |text| text);
    let mut noise = vec![0_u8; 4096];
    fastrand::Rng::with_seed(7).fill(&mut noise);
    let cases: [(&[u8], &str); 6] = [
        (b"", "not loaded: is empty"),
        (&noise, "not loaded: is not WebAssembly"),
        (&wat::parse_str("(module)").unwrap(), "not loaded: is a core module, not a component"),
        (&good[..good.len() / 2], "not loaded: is not a valid component: "),
        (&[&good[..8], &noise].concat(), "not loaded: is not a valid component: "),
        (b"\0asm\x0d\0\x02\0", "not loaded: is WebAssembly of an unknown version"),
    ];
    for (bytes, expected) in cases {
        assert!(why(bytes).starts_with(expected), "{}", why(bytes));
    }
}

#[test]
fn a_huge_file_is_not_read() {
    let bench = Bench::new();
    let path = bench.file("plugins/guest.wasm", component("team", |text| text));
    std::fs::File::options().write(true).open(path).unwrap().set_len(200 << 20).unwrap();
    assert_eq!(why_of(&judged(&bench, &[])), "not loaded: is larger than 64 MiB");
}

#[test]
fn types_nested_deep_are_refused() {
    let mut text = String::from("(component ");
    for i in 0..10_000 {
        let inner = if i == 0 { "u8".to_owned() } else { format!("$t{}", i - 1) };
        let _ = writeln!(text, "(type $t{i} (list {inner}))");
    }
    text.push_str("(import \"f\" (func (param \"x\" $t9999))))");
    let why = why(&wat::parse_str(text).unwrap());
    assert!(why.starts_with("not loaded: "), "{why}");
}

/// A classifier with a function that is hard on a compiler: one block after the other, all of them reading and writing many
/// locals.
fn slow_to_compile(blocks: usize) -> Vec<u8> {
    let mut body = String::from("(func $slow (param i32)");
    (0..200).for_each(|i| _ = write!(body, " (local $l{i} i64)"));
    for block in 0..blocks {
        let _ = write!(body, "(if (i32.and (local.get 0) (i32.const {block})) (then ");
        for i in 0..20 {
            let _ = write!(
                body,
                "(local.set $l{} (i64.mul (local.get $l{}) (i64.const {block})))",
                (block * 7 + i) % 200,
                (block * 13 + i * 3) % 200
            );
        }
        body.push_str("))");
    }
    body.push(')');
    base(&[("parts", &body), ("classify", "(call $slow (local.get 0))")])
}

#[test]
fn compiling_has_a_deadline_and_a_cap() {
    let slow = slow_to_compile(6000);
    let said = |settings: &str| {
        let bench = Bench::new();
        bench.file("tracejury.toml", format!("[plugins]\n{settings}"));
        bench.file("plugins/guest.wasm", &slow);
        why_of(&judged(&bench, &[]))
    };
    assert_eq!(said("compile_deadline_ms = 150"), "not loaded: was not compiled within 0.15 s");
    let capped = said("compile_memory_mib = 48");
    assert_eq!(capped, "not loaded: wanted more than 48 MiB to be compiled");
}

#[cfg(unix)]
#[test]
fn what_is_no_file_of_the_folder_is_not_opened() {
    let bench = Bench::new();
    let outside = bench.file("elsewhere.wasm", component("team", |text| text));
    std::fs::create_dir(bench.dir.path().join("plugins")).unwrap();
    let plugin = |name: &str| bench.dir.path().join("plugins").join(name);
    std::os::unix::fs::symlink(outside, plugin("link.wasm")).unwrap();
    std::fs::create_dir(plugin("folder.wasm")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(plugin("pipe.wasm")).status().unwrap().success());
    let outcome = judged(&bench, &[]).outcome();
    let said: Vec<_> = outcome["abstained"].as_array().unwrap().iter().map(|a| a["why"].as_str().unwrap()).collect();
    assert_eq!(
        said,
        ["not loaded: is not a regular file", "not loaded: is a link to a file outside of the folder", "not loaded: is not a regular file"]
    );
}

#[test]
fn a_file_replaced_while_it_loads_is_one_version_or_the_other() {
    let bench = Bench::new();
    let versions = ["1.0.0", "2.0.0"].map(|version| component("team", |text| text.replace("1.0.0", version)));
    let path = bench.file("plugins/team.wasm", &versions[0]);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let next = path.with_extension("next");
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                for version in &versions {
                    std::fs::write(&next, version).unwrap();
                    std::fs::rename(&next, &path).unwrap();
                }
            }
        });
        for _ in 0..10 {
            let done = bench.piped(&["classify", "--format", "json"], &recorded("s", &failed("x")));
            let verdict = done.outcome()["verdicts"][0].clone();
            let version = usize::from(verdict["version"] == "2.0.0");
            assert_eq!(verdict["digest"], tracejury::model::Digest::of(&versions[version]).to_string(), "{done:?}");
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
