//! Hostile plugins, by their files: what is no classifier, or no file that should be read. As in `hostile.rs`, the host stays up, the
//! other plugins' verdicts and the exit code stand, and what was found is said.
//!
//! | # | what it does | what is said |
//! |---|---|---|
//! | 42–44 | imports WASI, a socket, something unknown | not loaded: asks for what no classifier gets: … |
//! | 45–46 | lacks an export; has one of another type | not loaded: is not of the world … |
//! | 47–50 | is a core module, cut off, empty, random bytes | not loaded: … |
//! | 51 | is a file of 200 MB | not loaded: is larger than 64 MiB |
//! | 52 | nests its types ten thousand deep | not loaded: is not a valid component … |
//! | 53–54 | takes long to compile; takes much memory | not loaded: was not compiled within …; wanted more than … MiB to be compiled |
//! | 55–57 | is a link out of the folder, a fifo, a folder | not loaded: is … |
//! | 58 | is replaced while it loads, again and again | one version or the other, whole |

use crate::driver::{Bench, compile_default, failed, recorded};
use crate::guests::component;
use crate::hostile::{base, judged, why, why_of};
use std::fmt::Write as _;

/// What is said of a component that imports an instance of this name.
fn importing(name: &str) -> String {
    why(&wat::parse_str(format!("(component (import \"{name}\" (instance)))")).unwrap())
}

#[test]
fn a_socket_is_wanted() {
    assert_eq!(importing("wasi:sockets/tcp@0.2.0"), "not loaded: asks for what no classifier gets: wasi:sockets/tcp@0.2.0");
}

#[test]
fn the_environment_is_wanted() {
    assert_eq!(importing("wasi:cli/environment@0.2.0"), "not loaded: asks for what no classifier gets: wasi:cli/environment@0.2.0");
}

#[test]
fn something_unknown_is_wanted() {
    assert_eq!(importing("acme:private/thing"), "not loaded: asks for what no classifier gets: acme:private/thing");
}

#[test]
fn a_bare_function_is_wanted() {
    let bytes = wat::parse_str("(component (import \"ask-me\" (func)))").unwrap();
    assert_eq!(why(&bytes), "not loaded: asks for what no classifier gets: ask-me");
}

#[test]
fn very_much_is_wanted() {
    let names: String = (0..200).map(|i| format!("(import \"wasi:w{i}/{}@0.2.0\" (instance))", "x".repeat(1000))).collect();
    let said = why(&wat::parse_str(format!("(component {names})")).unwrap());
    assert!(said.starts_with("not loaded: asks for what no classifier gets: wasi:w0/xxx") && said.chars().count() < 350, "{said}");
}

#[test]
fn every_export_is_missing() {
    let said = why(&wat::parse_str("(component)").unwrap());
    assert!(said.starts_with("not loaded: is not of the world tracejury:classifier@0.1.0: "), "{said}");
}

#[test]
fn one_export_is_missing() {
    // All but `classify`, of which the component keeps the name only.
    let bytes = component("team", |text| text);
    let name = b"classify";
    let mut renamed = bytes.clone();
    let at: Vec<_> = bytes.windows(name.len()).enumerate().filter(|(_, window)| window == name).map(|(at, _)| at).collect();
    at.iter().for_each(|at| renamed[*at..*at + name.len()].copy_from_slice(b"classifi"));
    let said = why(&renamed);
    assert!(said.starts_with("not loaded: is not of the world tracejury:classifier@0.1.0: "), "{said}");
}

#[test]
fn an_empty_file() {
    assert_eq!(why(b""), "not loaded: is empty");
}

#[test]
fn random_bytes() {
    assert_eq!(why(&noise()), "not loaded: is not WebAssembly");
}

#[test]
fn random_bytes_behind_a_good_beginning() {
    let said = why(&[&component("team", |text| text)[..8], &noise()].concat());
    assert!(said.starts_with("not loaded: is not a valid component: "), "{said}");
}

#[test]
fn a_core_module() {
    assert_eq!(why(&wat::parse_str("(module)").unwrap()), "not loaded: is a core module, not a component");
}

#[test]
fn a_version_from_the_future() {
    assert_eq!(why(b"\0asm\x0d\0\x02\0"), "not loaded: is WebAssembly of an unknown version");
}

#[test]
fn a_file_cut_off() {
    let good = component("team", |text| text);
    let said = why(&good[..good.len() / 2]);
    assert!(said.starts_with("not loaded: is not a valid component: "), "{said}");
}

/// Bytes that are nothing, the same each time.
fn noise() -> Vec<u8> {
    let mut noise = vec![0_u8; 4096];
    fastrand::Rng::with_seed(7).fill(&mut noise);
    noise
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

/// What is said of a component that is hard to compile, under these settings.
fn compiled_under(settings: &str) -> String {
    let bench = Bench::new();
    compile_default();
    bench.file("tracejury.toml", format!("[plugins]\n{settings}"));
    bench.file("plugins/guest.wasm", slow_to_compile(6000));
    why_of(&judged(&bench, &[]))
}

#[test]
fn a_component_that_takes_long_to_compile() {
    assert_eq!(compiled_under("compile_deadline_ms = 150"), "not loaded: was not compiled within 0.15 s");
}

#[test]
fn a_component_that_takes_much_memory_to_compile() {
    assert_eq!(compiled_under("compile_memory_mib = 48"), "not loaded: wanted more than 48 MiB to be compiled");
}

/// What is said of a plugin made by `make`, which is handed the plugin's path and that of a good component elsewhere.
#[cfg(unix)]
fn placed(make: impl FnOnce(&std::path::Path, &std::path::Path)) -> String {
    let bench = Bench::new();
    let outside = bench.file("elsewhere.wasm", component("team", |text| text));
    std::fs::create_dir(bench.dir.path().join("plugins")).unwrap();
    make(&bench.dir.path().join("plugins/guest.wasm"), &outside);
    why_of(&judged(&bench, &[]))
}

#[cfg(unix)]
#[test]
fn a_link_out_of_the_folder() {
    let said = placed(|plugin, outside| std::os::unix::fs::symlink(outside, plugin).unwrap());
    assert_eq!(said, "not loaded: is a link to a file outside of the folder");
}

#[cfg(unix)]
#[test]
fn a_fifo_without_a_writer() {
    let made = |plugin: &std::path::Path| std::process::Command::new("mkfifo").arg(plugin).status().unwrap().success();
    assert_eq!(placed(|plugin, _| assert!(made(plugin))), "not loaded: is not a regular file");
}

#[cfg(unix)]
#[test]
fn a_folder() {
    assert_eq!(placed(|plugin, _| std::fs::create_dir(plugin).unwrap()), "not loaded: is not a regular file");
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
