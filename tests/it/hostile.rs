//! Hostile plugins, by their code: the host stays up, the other plugins' verdicts and the exit code stand, and what was done is said.
//! A case is `tests/guests/base.wat` with code in one of its hooks. `hostile_files.rs` has those that are hostile as files, `guests.rs`
//! those with a file of their own in `tests/guests`.
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
//! | 14 | asks for 4 GiB; is born with them | wanted more than 16 MiB of memory |
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

use crate::driver::{Bench, Done, compile_default, failed, recorded, root};
use crate::guests::encoded;
use serde_json::json;

const SETTINGS: &str = "[plugins]\ndeadline_ms = 300\nload_deadline_ms = 400\nmemory_mib = 16\nmax_table_elements = 1000\n";
const LOOP: &str = "(loop $forever (br $forever))";
const TRAP: &str = "(unreachable)";
const UNREACHABLE: &str = "trapped: wasm trap: wasm `unreachable` instruction executed";
const BAD_NAME: &str = "not loaded: describes itself wrongly: name: is not kebab-case of at most 64 characters";
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
pub fn beside(bytes: &[u8]) -> (Bench, Done) {
    compile_default();
    let bench = Bench::new();
    bench.file("tracejury.toml", SETTINGS);
    bench.file("plugins/guest.wasm", bytes);
    let done = judged(&bench, &[]);
    (bench, done)
}

pub fn judged(bench: &Bench, flags: &[&str]) -> Done {
    let args = [&["classify", "--format", "json"], flags].concat();
    let done = bench.piped(&args, &recorded("s", &failed("getaddrinfo ENOTFOUND x")));
    let outcome = done.outcome();
    assert_eq!((done.code, &outcome["reason"], &outcome["confidence"]), (0, &json!("dns"), &json!(0.95)), "{done:?}");
    done
}

/// Why the one plugin beside the default classifier abstains.
pub fn why_of(done: &Done) -> String {
    let outcome = done.outcome();
    let abstained = outcome["abstained"].as_array().unwrap();
    assert_eq!(abstained.len(), 1, "{outcome}");
    abstained[0]["why"].as_str().unwrap().to_owned()
}

pub fn why(bytes: &[u8]) -> String {
    why_of(&beside(bytes).1)
}

/// What is said of the base guest with this code in this hook.
fn hooked(hook: &str, code: &str) -> String {
    why(&base(&[(hook, code)]))
}

/// Code for the allocator that runs where it is asked for something.
fn where_something_is_asked_for(code: &str) -> String {
    format!("(if (i32.gt_u (local.get 3) (i32.const 0)) (then {code}))")
}

/// The base guest with so many pages of memory from the start.
fn born_with(pages: u32) -> Vec<u8> {
    let text = std::fs::read_to_string(root().join("tests/guests/base.wat")).unwrap();
    encoded("base", &text.replace("    ;;@pages\n    4)", &format!("{pages})")))
}

/// A start section of this code.
fn at_the_start(code: &str) -> String {
    format!("(func $start {code}) (start $start)")
}

// Time.

#[test]
fn a_loop_in_classify() {
    assert_eq!(hooked("classify", LOOP), "stopped after 300 ms");
}

#[test]
fn a_loop_after_the_answer_was_read() {
    assert_eq!(hooked("post", LOOP), "stopped after 300 ms");
}

#[test]
fn a_loop_in_the_allocator() {
    // Not where nothing is asked for: `configure` is handed its empty settings by the same allocator.
    assert_eq!(hooked("realloc", &where_something_is_asked_for(LOOP)), "stopped after 300 ms");
}

#[test]
fn a_loop_in_configure() {
    assert_eq!(hooked("configure", LOOP), "not loaded: cannot be configured: stopped after 400 ms");
}

#[test]
fn a_loop_in_describe() {
    assert_eq!(hooked("describe", LOOP), "not loaded: does not describe itself: stopped after 400 ms");
}

#[test]
fn a_loop_in_the_start_section() {
    assert_eq!(hooked("parts", &at_the_start(LOOP)), "not loaded: cannot be configured: stopped after 400 ms");
}

// Traps.

#[test]
fn a_trap_in_classify() {
    assert_eq!(hooked("classify", TRAP), UNREACHABLE);
}

#[test]
fn a_trap_after_the_answer_was_read() {
    assert_eq!(hooked("post", TRAP), UNREACHABLE);
}

#[test]
fn a_trap_in_the_allocator() {
    assert_eq!(hooked("realloc", &where_something_is_asked_for(TRAP)), UNREACHABLE);
}

#[test]
fn a_trap_in_configure() {
    assert_eq!(hooked("configure", TRAP), format!("not loaded: cannot be configured: {UNREACHABLE}"));
}

#[test]
fn a_trap_in_describe() {
    assert_eq!(hooked("describe", TRAP), format!("not loaded: does not describe itself: {UNREACHABLE}"));
}

#[test]
fn a_trap_in_the_start_section() {
    assert_eq!(hooked("parts", &at_the_start(TRAP)), format!("not loaded: cannot be configured: {UNREACHABLE}"));
}

// Room.

#[test]
fn recursion_without_end() {
    let deep = "(func $down (param i32) (result i32) (call $down (i32.add (local.get 0) (i32.const 1))))";
    assert_eq!(why(&base(&[("parts", deep), ("classify", "(drop (call $down (i32.const 0)))")])), "used more than 512 KiB of stack");
}

#[test]
fn memory_grown_to_the_cap_and_over() {
    let grow = "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)";
    assert_eq!(hooked("classify", grow), "wanted more than 16 MiB of memory");
}

#[test]
fn four_gigabytes_at_once() {
    assert_eq!(
        hooked("classify", "(if (i32.eq (memory.grow (i32.const 65000)) (i32.const -1)) (then (unreachable)))"),
        "wanted more than 16 MiB of memory"
    );
}

#[test]
fn a_memory_born_with_four_gigabytes() {
    assert_eq!(why(&born_with(65536)), "not loaded: wanted more than 16 MiB of memory");
}

#[test]
fn a_table_grown_over_the_cap() {
    let grow = "(loop $more (br_if $more (i32.ne (table.grow $t (ref.null func) (i32.const 100)) (i32.const -1)))) (unreachable)";
    assert_eq!(why(&base(&[("parts", "(table $t 10 funcref)"), ("classify", grow)])), "wanted more than 1000 table elements");
}

#[test]
fn a_table_born_over_the_cap() {
    assert_eq!(hooked("parts", "(table $t 5000 funcref)"), "not loaded: wanted more than 1000 table elements");
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

// Answers that are none.

#[test]
fn a_list_of_two_billion_verdicts() {
    assert!(hooked("classify", "(i32.store (i32.const 264) (i32.const 0x7fffffff))").starts_with("trapped: "));
}

#[test]
fn a_list_out_of_its_memory() {
    assert!(hooked("classify", "(i32.store (i32.const 260) (i32.const 0x7ffffff0))").starts_with("trapped: "));
}

#[test]
fn a_text_out_of_its_memory() {
    assert!(hooked("classify", "(i32.store (i32.const 368) (i32.const -16))").starts_with("trapped: "));
}

#[test]
fn an_answer_out_of_its_memory() {
    assert!(hooked("classify", "(return (i32.const -8))").starts_with("trapped: "));
}

#[test]
fn room_for_the_trace_out_of_its_memory() {
    assert!(hooked("realloc", "(return (i32.const -8))").contains("realloc"));
}

#[test]
fn crooked_room_for_the_trace() {
    assert!(hooked("realloc", "(return (i32.const 65537))").contains("not aligned"));
}

#[test]
fn a_text_that_is_no_utf_8() {
    assert!(hooked("classify", "(i32.store (i32.const 576) (i32.const 0xfffefdfc))").starts_with("trapped: "));
}

#[test]
fn a_text_that_overlaps_the_verdict() {
    // Its explanation is a part of the verdict itself: zeros.
    let (_, done) = beside(&base(&[("classify", "(i32.store (i32.const 368) (i32.const 376)) (i32.store (i32.const 372) (i32.const 8))")]));
    assert_eq!(done.outcome()["verdicts"][1]["explanation"], " ".repeat(8), "{done:?}");
}

// Too much.

#[test]
fn an_explanation_of_ten_megabytes() {
    // Of zeros, which are UTF-8.
    let long = "(drop (memory.grow (i32.const 170))) (i32.store (i32.const 368) (i32.const 65536)) (i32.store (i32.const 372) (i32.const 10000000))";
    assert_eq!(hooked("classify", long), "answered with more than 1024 KiB");
}

#[test]
fn an_explanation_of_five_kilobytes() {
    let longish = "(i32.store (i32.const 368) (i32.const 131072)) (i32.store (i32.const 372) (i32.const 5000))";
    assert_eq!(hooked("classify", longish), "invalid answer: a text of 5000 bytes, more than 4096");
}

#[test]
fn a_million_verdicts() {
    // As many as its memory holds: 72 bytes each.
    let million = "(drop (memory.grow (i32.const 180))) (i32.store (i32.const 264) (i32.const 150000))";
    assert_eq!(hooked("classify", million), "answered with more than 1024 KiB");
}

#[test]
fn seventeen_verdicts() {
    // Seventeen times the verdict at 320, which takes 72 bytes.
    let some = "(i32.store (i32.const 260) (i32.const 131072)) (i32.store (i32.const 264) (i32.const 17))
        (loop $more (memory.copy (i32.add (i32.const 131072) (i32.mul (local.get $i) (i32.const 72))) (i32.const 320) (i32.const 72))
          (local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if $more (i32.lt_u (local.get $i) (i32.const 17))))";
    assert_eq!(hooked("classify", some), "invalid answer: 17 verdicts, more than 16");
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

// Nonsense.

/// What is said of a verdict of this confidence.
fn confident(number: &str) -> String {
    hooked("classify", &format!("(f64.store (i32.const 328) (f64.const {number}))"))
}

#[test]
fn a_confidence_that_is_no_number() {
    assert_eq!(confident("nan"), "invalid answer: confidence: NaN is not a number from 0 to 1");
}

#[test]
fn a_confidence_without_end() {
    assert_eq!(confident("inf"), "invalid answer: confidence: inf is not a number from 0 to 1");
}

#[test]
fn a_confidence_below_zero() {
    assert_eq!(confident("-0.5"), "invalid answer: confidence: -0.5 is not a number from 0 to 1");
}

#[test]
fn a_failing_step_that_is_not_there() {
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
fn evidence_that_is_there_is_shown() {
    let (_, done) = beside(&base(&[("classify", &evidence((704, 22), 11))]));
    assert_eq!(done.outcome()["verdicts"][1]["evidence"][0]["text"], "getaddrinfo", "{done:?}");
}

#[test]
fn evidence_that_is_not_there() {
    assert_eq!(hooked("classify", &evidence((704, 22), 500)), "invalid answer: evidence: steps[1].error.message[0..500] does not exist");
}

#[test]
fn evidence_that_it_may_not_see() {
    // `steps[1]` and then `.output`, which nobody granted.
    let pointing = format!("(i64.store (i32.const 712) (i64.const 0x74757074756f2e)) {}", evidence((704, 15), 2));
    assert_eq!(hooked("classify", &pointing), "invalid answer: evidence: steps[1].output[0..2] does not exist");
}

// What a terminal would obey.

/// Stores an escape sequence over the first bytes at `at`.
fn escape(at: u32) -> String {
    format!("(i32.store (i32.const {at}) (i32.const 0x31335b1b))")
}

#[test]
fn an_escape_in_the_explanation() {
    let (bench, done) = beside(&base(&[("classify", &escape(576))]));
    assert!(done.outcome()["verdicts"][1]["explanation"].as_str().unwrap().starts_with(" [31"));
    for format in ["human", "json"] {
        let done = bench.piped(&["classify", "--format", format, "-vv"], &recorded("s", &failed("x")));
        assert!(!done.stdout.contains('\u{1b}') && !done.stderr.contains('\u{1b}'), "{done:?}");
    }
}

#[test]
fn an_escape_in_the_reason() {
    let code = format!(
        "{} (i32.store8 (i32.const 336) (i32.const 1)) (i32.store (i32.const 340) (i32.const 640)) (i32.store (i32.const 344) (i32.const 8))",
        escape(640)
    );
    assert_eq!(hooked("classify", &code), "invalid answer: reason:  [31ason is not kebab-case");
}

#[test]
fn an_escape_in_the_classification() {
    assert!(hooked("classify", &escape(512)).starts_with("invalid answer: classification: "));
}

#[test]
fn an_escape_in_the_name() {
    assert_eq!(hooked("describe", &escape(128)), BAD_NAME);
}

#[test]
fn a_name_of_a_hundred_kilobytes() {
    let long =
        "(drop (memory.grow (i32.const 4))) (i32.store (i32.const 16) (i32.const 65536)) (i32.store (i32.const 20) (i32.const 100000))";
    assert_eq!(hooked("describe", long), BAD_NAME);
}
