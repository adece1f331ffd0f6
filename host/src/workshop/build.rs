//! A project built to a component: by the tools of its language, then encoded, described and looked at. Nothing of WASI may creep in.

use super::cases::beside;
use super::pack::{describe, pack};
use super::project::{Project, Source};
use super::test::example;
use super::trial::Trial;
use super::world::WIT;
use super::{WorkshopError, write_whole};
use crate::plugin::{Loader, Sight};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tracejury_regex::pack::Field;
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

const WORLD: &str = "classifier";
const TRIPLE: &str = "wasm32-unknown-unknown";

/// A component that was built.
#[derive(Debug)]
pub struct Built {
    /// Where it lies.
    pub file: PathBuf,
    /// Its size in bytes.
    pub bytes: usize,
    /// Why it fails on a first trace, if it does: it was built all the same.
    pub fails: Option<String>,
}

/// Builds the project in `dir`, to `output` or to `NAME.wasm` in it.
///
/// # Errors
/// There is no project, a tool is missing or fails, or what it built asks for what no classifier gets.
pub fn build(loader: &Loader, dir: &Path, output: Option<&Path>) -> Result<Built, WorkshopError> {
    let project = Project::of(dir)?;
    let file = output.map_or_else(|| dir.join(format!("{}.wasm", project.name)), Path::to_owned);
    let bytes = match &project.source {
        Source::Text(text) => pack(loader, text, beside(text).as_deref(), None, None)?,
        source => {
            let mut bytes = component(&project, source)?;
            describe(&mut bytes, &project.about)?;
            bytes
        }
    };
    // Looked at before it has its name: what is refused must not take the place of what was good.
    if let Err(refused) = loader.inspect_bytes(&file.display().to_string(), &bytes) {
        let refused = WorkshopError::from(refused);
        return Err(WorkshopError { help: remedy(&project.source).unwrap_or(&refused.help).to_owned(), ..refused });
    }
    write_whole(&file, &bytes).map_err(|e| WorkshopError::file(&file, &e))?;
    let fails = Trial::of(loader, &file, Sight::AsGranted)?.answer(&example(Field::Message, "a first trace")).err();
    let fails = fails.map(|why| match &project.source {
        Source::JavaScript(main) => format!("{why}; in {main} an export may be missing, or a field be of another type than the contract's"),
        _ => why.to_string(),
    });
    Ok(Built { file, bytes: bytes.len(), fails })
}

fn component(project: &Project, source: &Source) -> Result<Vec<u8>, WorkshopError> {
    let scratch = tempfile::tempdir().map_err(|e| WorkshopError::file(&std::env::temp_dir(), &e))?;
    let (wit, out) = (scratch.path().join("classifier.wit"), scratch.path().join("out.wasm"));
    std::fs::write(&wit, WIT).map_err(|e| WorkshopError::file(&wit, &e))?;
    let (wit, out) = (wit.as_os_str(), out.as_os_str());
    let word = OsStr::new;
    match source {
        Source::Rust => encode(&read(&rust(project)?)?, source),
        Source::JavaScript(main) => {
            let help = "run `npm install` in the project, or `npm install -g componentize-qjs`";
            let tool = tool(project, "componentize-qjs", &["node_modules/.bin"], help)?;
            let args = [
                word("--wit"),
                wit,
                word("--js"),
                word(main),
                word("--world"),
                word(WORLD),
                word("--sync"),
                word("--stub-wasi"),
                word("--output"),
                out,
            ];
            run(Command::new(tool).args(args).current_dir(&project.dir))?;
            read(Path::new(out))
        }
        Source::Python => {
            let help = "run `python3 -m venv .venv && .venv/bin/pip install componentize-py==0.25.1` in the project";
            let tool = tool(project, "componentize-py", &[".venv/bin", ".venv/Scripts"], help)?;
            let args = [word("-d"), wit, word("-w"), word(WORLD), word("componentize"), word("-s"), word("app"), word("-o"), out];
            run(Command::new(tool).args(args).current_dir(&project.dir))?;
            read(Path::new(out))
        }
        Source::C => {
            c(project, Path::new(out))?;
            encode(&read(Path::new(out))?, source)
        }
        Source::Text(_) => Ok(Vec::new()),
    }
}

/// The core module of a crate.
fn rust(project: &Project) -> Result<PathBuf, WorkshopError> {
    let manifest = project.dir.join("Cargo.toml");
    let base = |cargo: &Path| {
        let mut command = Command::new(cargo);
        command.args(["build", "--release", "--target", TRIPLE, "--lib", "--message-format=json-render-diagnostics"]);
        // In its folder, where its own rust-toolchain.toml counts.
        command.current_dir(&project.dir);
        command
    };
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).current_dir(&project.dir).output().ok();
    let sysroot = sysroot.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let debian = [Path::new("/usr/bin/cargo"), Path::new("/usr/bin/rustc")];
    let mut command = if sysroot.is_some_and(|sysroot| sysroot.join("lib/rustlib").join(TRIPLE).is_dir()) {
        base(Path::new("cargo"))
    } else if debian.iter().all(|tool| tool.is_file()) && find("wasm-ld").is_some() {
        // Debian's packages hold no standard library for the target, but its source: it is built along.
        let mut command = base(debian[0]);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::iter::once(PathBuf::from("/usr/bin")).chain(std::env::split_paths(&path))).unwrap_or(path);
        command.env("PATH", path).env("RUSTC", debian[1]).env("RUSTC_BOOTSTRAP", "1");
        command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld").args(["-Z", "build-std=std,panic_abort"]);
        command
    } else {
        let help = "run `rustup target add wasm32-unknown-unknown`, or on Debian `apt-get install rustc-web cargo-web rust-web-src lld`";
        return Err(WorkshopError::new(format!("there is no Rust toolchain for {TRIPLE}"), help));
    };
    // A small stack: the linker's default of 1 MiB is memory that every instance would start with.
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    command.env("RUSTFLAGS", format!("{flags} -C link-arg=-zstack-size=131072").trim_start());
    let output = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|e| WorkshopError::new(format!("cargo: {e}"), "install Rust: https://rustup.rs"))?;
    if !output.status.success() {
        return Err(WorkshopError::new(format!("cargo: {}", output.status), "what it printed above says why"));
    }
    let made = String::from_utf8_lossy(&output.stdout).lines().filter_map(wasm_of_message).next_back();
    made.ok_or_else(|| {
        let what = format!("{}: no module was built", manifest.display());
        WorkshopError::new(what, "it needs `crate-type = [\"cdylib\", \"rlib\"]` in [lib]")
    })
}

/// The module that one of cargo's messages tells of.
fn wasm_of_message(line: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    let files = message.get("filenames")?.as_array()?;
    files.iter().filter_map(|file| file.as_str()).find(|file| file.ends_with(".wasm")).map(PathBuf::from)
}

/// The core module of C sources.
fn c(project: &Project, out: &Path) -> Result<(), WorkshopError> {
    let mut sources = Vec::new();
    for folder in ["src", "bindings"] {
        let Ok(entries) = std::fs::read_dir(project.dir.join(folder)) else { continue };
        let wanted = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "c" || ending == "o");
        sources.extend(entries.flatten().map(|entry| PathBuf::from(folder).join(entry.file_name())).filter(wanted));
    }
    sources.sort();
    let help = "install clang, lld and wasi-libc (Debian: `apt-get install clang lld wasi-libc libclang-rt-14-dev-wasm32`, or the number of your clang), or set WASI_SDK_PATH";
    let sdk = std::env::var_os("WASI_SDK_PATH").map(|sdk| PathBuf::from(sdk).join("bin/clang"));
    let clang = sdk.or_else(|| find("clang")).ok_or_else(|| WorkshopError::new("clang is not installed", help))?;
    let mut command = Command::new(clang);
    command.args([
        "--target=wasm32-wasi",
        "-mexec-model=reactor",
        "-O2",
        "-Wall",
        "-Wextra",
        "-Wl,--strip-all",
        "-Wl,-z,stack-size=131072",
    ]);
    command.args(["-Ibindings", "-Isrc", "-o"]).arg(out).args(sources).current_dir(&project.dir);
    run(&mut command).map_err(|e| WorkshopError { help: format!("{}; if headers or libraries are missing: {help}", e.help), ..e })
}

/// A core module as a component.
fn encode(module: &[u8], source: &Source) -> Result<Vec<u8>, WorkshopError> {
    let unwanted = unwanted(module);
    if !unwanted.is_empty() {
        let what = format!("the module asks for what no classifier gets: {}", unwanted.join(", "));
        return Err(WorkshopError::new(what, remedy(source).unwrap_or_default()));
    }
    let encoded = with_world(module).and_then(|module| ComponentEncoder::default().module(&module)?.validate(true).encode());
    encoded.map_err(|e| {
        WorkshopError::new(
            format!("the module is no classifier: {e:#}"),
            "it must export describe, configure and classify as wit/classifier.wit has them",
        )
    })
}

/// The module with the contract in it, where its bindings have not put it there.
fn with_world(module: &[u8]) -> Result<Vec<u8>, anyhow::Error> {
    let mut module = module.to_vec();
    let has_one = Parser::new(0).parse_all(&module).flatten().any(|payload| match payload {
        Payload::CustomSection(section) => section.name().starts_with("component-type"),
        _ => false,
    });
    if !has_one {
        let mut resolve = wit_parser::Resolve::default();
        let package = resolve.push_str("classifier.wit", WIT)?;
        let world = resolve.select_world(&[package], Some(WORLD))?;
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    }
    Ok(module)
}

/// What a core module imports beyond the contract.
fn unwanted(module: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(module).flatten() {
        let Payload::ImportSection(imports) = payload else { continue };
        for import in imports.into_imports().flatten().filter(|import| !import.module.starts_with("tracejury:classifier/")) {
            found.push(format!("{}::{}", import.module, import.name));
        }
    }
    found
}

/// What to do about imports that are not wanted.
fn remedy(source: &Source) -> Option<&'static str> {
    match source {
        Source::Rust => {
            Some("a crate it depends on wants a clock, files or randomness: leave it out or turn that feature off (`cargo tree` shows who)")
        }
        Source::C => Some("it calls something that needs a console, files or a clock, such as printf, fopen or time: leave that out"),
        Source::JavaScript(_) | Source::Python => {
            Some("build it with `tracejury plugin build`, which leaves WASI out, and with the tool's current version")
        }
        Source::Text(_) => None,
    }
}

/// A tool of the project, or on PATH.
fn tool(project: &Project, name: &str, folders: &[&str], help: &str) -> Result<PathBuf, WorkshopError> {
    let mut own = folders.iter().flat_map(|folder| programs(name).map(move |name| project.dir.join(folder).join(name)));
    // It is started in the project's folder, from where a relative path would lead elsewhere.
    let own = own.find(|path| path.is_file()).map(|path| std::path::absolute(&path).unwrap_or(path));
    own.or_else(|| find(name)).ok_or_else(|| WorkshopError::new(format!("{name} is not installed"), help))
}

/// A program on PATH.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).flat_map(|dir| programs(name).map(move |name| dir.join(name))).find(|path| path.is_file())
}

/// The names that a program's file may have on this system.
fn programs(name: &str) -> impl Iterator<Item = String> {
    let endings: &[&str] = if cfg!(windows) { &[".exe", ".cmd"] } else { &[""] };
    endings.iter().map(move |ending| format!("{name}{ending}"))
}

/// Runs a tool; what it prints goes to stderr, being for people.
fn run(command: &mut Command) -> Result<(), WorkshopError> {
    let name = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output();
    let output = output.map_err(|e| WorkshopError::new(format!("{name}: {e}"), "check that it runs"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    Err(WorkshopError::new(format!("{name}: {}\n{said}", output.status), "mend what it says"))
}

fn read(path: &Path) -> Result<Vec<u8>, WorkshopError> {
    std::fs::read(path).map_err(|e| WorkshopError::file(path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_creeps_in_is_named_with_its_remedy() {
        let module = wat::parse_str(
            r#"(module (import "wasi_snapshot_preview1" "fd_write" (func)) (import "tracejury:classifier/host@0.1.0" "log" (func)))"#,
        );
        let error = encode(&module.unwrap(), &Source::C).unwrap_err();
        assert_eq!(error.what, "the module asks for what no classifier gets: wasi_snapshot_preview1::fd_write");
        assert!(error.help.contains("printf"), "{}", error.help);
        let error = encode(&wat::parse_str("(module)").unwrap(), &Source::Rust).unwrap_err();
        assert!(error.what.starts_with("the module is no classifier"), "{}", error.what);
    }

    #[test]
    fn cargo_tells_where_the_module_lies() {
        let line = r#"{"reason":"compiler-artifact","filenames":["/t/libx.rlib","/t/x.wasm"]}"#;
        assert_eq!(wasm_of_message(line), Some(PathBuf::from("/t/x.wasm")));
        assert_eq!(wasm_of_message(r#"{"reason":"build-finished","success":true}"#), None);
    }
}
