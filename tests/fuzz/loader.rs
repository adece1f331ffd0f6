//! Feeds bytes to the loader: as they are, or as changes to a component that is good. Whatever they are, the answer is a plugin or
//! a refusal; never a crash, and never a run without end.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;
use tracejury::config::{self, Plugins};
use tracejury::plugin::{Compiler, Loader};

/// What is fed.
#[derive(Debug, Arbitrary)]
enum Input<'a> {
    Bytes(&'a [u8]),
    /// Each change overwrites one byte.
    Changed(Vec<(u16, u8)>),
    /// One stretch is cut out, and another put in.
    Spliced { at: u16, cut: u8, put: &'a [u8] },
}

static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut module = wat::parse_str(include_str!("../guests/base.wat")).unwrap();
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_str("classifier.wit", include_str!("../../wit/classifier.wit")).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    wit_component::embed_component_metadata(&mut module, &resolve, world, wit_component::StringEncoding::UTF8).unwrap();
    wit_component::ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
});

static LOADER: LazyLock<Loader> = LazyLock::new(|| {
    let settings = "[plugins]\ndeadline_ms = 100\nload_deadline_ms = 100\nmemory_mib = 16\n";
    let file = std::env::temp_dir().join(format!("tracejury-fuzz-{}.toml", std::process::id()));
    std::fs::write(&file, settings).unwrap();
    let settings = config::load(Some(&file), |_| None).unwrap().plugins;
    // No cache: each input is compiled.
    let settings = Plugins { cache_dir: "/dev/null/none".into(), ..settings };
    Loader::new(&settings, Compiler::Here, |_| ()).unwrap()
});

impl Input<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = GOOD.clone();
        match self {
            Self::Bytes(raw) => return raw.to_vec(),
            Self::Changed(changes) => {
                for (at, byte) in changes {
                    let at = usize::from(*at) % bytes.len();
                    bytes[at] = *byte;
                }
            }
            Self::Spliced { at, cut, put } => {
                let at = usize::from(*at) % bytes.len();
                let end = (at + usize::from(*cut)).min(bytes.len());
                bytes.splice(at..end, put.iter().copied());
            }
        }
        bytes
    }
}

fuzz_target!(
    init: {
        // The rewriting for snapshots panics on some forms, which the loader contains; only what gets out of it counts.
        std::panic::set_hook(Box::new(|_| ()));
    },
    |input: Input<'_>| {
        if catch_unwind(AssertUnwindSafe(|| LOADER.inspect_bytes("fuzzed.wasm", &input.bytes()).is_ok())).is_err() {
            eprintln!("a panic got out of the loader");
            std::process::abort();
        }
    }
);
