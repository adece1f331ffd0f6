//! Attacks by registries, by those who write to them, and on the way: each is refused with words that say why, and changes nothing.

use crate::driver::{failed, recorded};
use crate::guests::component;
use crate::registry::{Fake, Registry, Reply, Team, another_client, answer, saved};
use crate::ten_minutes::skipped;
use std::io::Write as _;
use std::path::PathBuf;

/// A, with a signed pack in a file; B, who trusts A.
fn two() -> (Team, Team, PathBuf) {
    let a = Team::new();
    a.does(&["keygen", "acme"]);
    let file = a.saved("1.0.0", "ACME", &["--key", "acme.key"]);
    let b = Team::trusting(&a, &["acme"], "", "[plugins]\nmax_file_mib = 3\n");
    (a, b, file)
}

impl Team {
    /// A pack of this version in a file that `plugin save` wrote.
    fn saved(&self, version: &str, pattern: &str, more: &[&str]) -> PathBuf {
        let (pack, reference) = (self.pack("acme-rules", version, pattern, ""), format!("r.example.com/acme/rules:{version}"));
        let file = format!("{version}.tar");
        self.does(&[&["save", &pack, "--as", &reference, "--output", &file], more].concat());
        self.bench.dir.path().join(file)
    }
}

/// The largest blob of the file: the component.
fn component_of(file: &std::path::Path) -> (String, Vec<u8>) {
    saved(file).into_iter().max_by_key(|(_, bytes)| bytes.len()).unwrap()
}

#[test]
fn an_honest_registry_is_believed() {
    let (_a, b, file) = two();
    let fake = Fake::serving(&file, |_, _| Reply::Honest);
    b.does(&["pull", &format!("{}/acme/rules:1.0.0", fake.host)]);
}

#[test]
fn other_bytes_than_those_named_are_refused() {
    let (_a, b, file) = two();
    let (name, mut bytes) = component_of(&file);
    let name = name.rsplit('/').next().unwrap().to_owned();
    let at = bytes.len() - 3;
    bytes[at] ^= 1;
    let changed = move |path: &str, _: &Fake| if path.contains(&name) { Reply::Bytes(answer("200 OK", "", &bytes)) } else { Reply::Honest };
    let fake = Fake::serving(&file, changed);
    b.refuses(&["pull", &format!("{}/acme/rules:1.0.0", fake.host)], "the bytes are not those that were named");
}

#[test]
fn a_layer_that_is_cut_off_is_refused() {
    let (_a, b, file) = two();
    let (name, bytes) = component_of(&file);
    let name = name.rsplit('/').next().unwrap().to_owned();
    let cut = move |path: &str, _: &Fake| {
        let whole = answer("200 OK", "", &bytes);
        if path.contains(&name) { Reply::Bytes(whole[..whole.len() / 2].to_vec()) } else { Reply::Honest }
    };
    let fake = Fake::serving(&file, cut);
    b.refuses(&["pull", &format!("{}/acme/rules:1.0.0", fake.host)], "acme/rules:1.0.0: ");
}

#[test]
fn what_never_ends_ends() {
    let (_a, b, file) = two();
    let component = component_of(&file).0.rsplit('/').next().unwrap().to_owned();
    for (part, words) in [(component.as_str(), "bytes that were named"), ("/manifests/1.0.0", "sends more than 11534336 bytes")] {
        let part = part.to_owned();
        let endless = move |path: &str, _: &Fake| match path.ends_with(&part) {
            true => Reply::Endless("HTTP/1.1 200 OK\r\n\r\n".into()),
            false => Reply::Honest,
        };
        let fake = Fake::serving(&file, endless);
        b.refuses(&["pull", &format!("{}/acme/rules:1.0.0", fake.host)], words);
    }
}

#[test]
fn nobody_is_waited_for_forever() {
    let (_a, b, file) = two();
    b.bench.file("tracejury.toml", format!("{}\n[share]\ntimeout_ms = 250\n", b.bench.read("tracejury.toml")));
    for (pause, words) in [(5, "did not come within 5 s"), (600_000, "acme/rules:1.0.0: ")] {
        let fake = Fake::serving(&file, move |path, _| match path.ends_with("/manifests/1.0.0") {
            true => Reply::Dripping("HTTP/1.1 200 OK\r\n\r\n".into(), pause),
            false => Reply::Honest,
        });
        assert_eq!(b.refuses(&["pull", &format!("{}/acme/rules:1.0.0", fake.host)], words).code, 3);
    }
}

#[test]
fn a_layer_that_is_said_to_be_huge_is_not_asked_for() {
    let (_a, b, file) = two();
    b.bench.file("tracejury.toml", b.bench.read("tracejury.toml").replace("max_file_mib = 3", "max_file_mib = 1"));
    let fake = Fake::serving(&file, |_, _| Reply::Honest);
    b.refuses(&["pull", &format!("{}/acme/rules:1.0.0", fake.host)], "more than 1048576");
    assert_eq!(fake.asked_for("/blobs/"), 0);
}

#[test]
fn a_registry_that_sends_us_elsewhere_is_not_followed() {
    let elsewhere = Fake::elsewhere();
    let host = elsewhere.host.clone();
    let on = move |path: &str, _: &Fake| match path.contains("/blobs/") {
        true => Reply::Bytes(answer("307 Temporary Redirect", &format!("Location: http://{host}{path}\r\n"), b"")),
        false => Reply::Honest,
    };
    let (_a, mut b, file) = two();
    // Not even where somebody has said that there is no proxy on the way to it.
    b.bench.env("NO_PROXY", "*").env("no_proxy", "127.0.0.1");
    let fake = Fake::serving(&file, on);
    let words = format!("sends us on to {} in clear text, which is not among its hosts", elsewhere.host);
    b.refuses(&["pull", &format!("{}/acme/rules:1.0.0", fake.host)], &words);
    assert_eq!(elsewhere.asked_for(""), 0);
}

#[test]
fn credentials_are_for_the_registry_they_are_for() {
    let (_a, mut b, file) = two();
    let elsewhere = Fake::elsewhere();
    let challenge = format!("WWW-Authenticate: Bearer realm=\"http://{}/token\",service=\"s\"\r\n", elsewhere.host);
    let fake = Fake::serving(&file, move |_, _| Reply::Bytes(answer("401 Unauthorized", &challenge, b"")));
    b.bench.env("TRACEJURY_REGISTRY", &fake.host).env("TRACEJURY_REGISTRY_USER", "b").env("TRACEJURY_REGISTRY_PASSWORD", "s3cret");
    b.refuses(&["pull", &format!("{}/acme/rules:1.0.0", fake.host)], &format!("sends us on to {}", elsewhere.host));
    assert_eq!((elsewhere.asked_for(""), fake.asked_for("uthorization")), (0, 0));
    // The host is named as one that belongs to it: then it is asked, and whoever has another name still gets nothing.
    let settings = b.bench.read("tracejury.toml");
    b.bench.file(
        "tracejury.toml",
        format!("{settings}\n[share.also]\n'{}' = ['{}']\n[share.scheme]\n'{}' = 'http'\n", fake.host, elsewhere.host, elsewhere.host),
    );
    b.refuses(&["pull", &format!("{}/acme/rules:1.0.0", fake.host)], "acme/rules:1.0.0: ");
    assert_eq!(elsewhere.asked_for("/token"), 1);
}

#[test]
fn another_manifest_than_the_one_pinned_is_refused() {
    let (_a, b, file) = two();
    let fake = Fake::serving(&file, |path, fake| {
        if path.contains("/manifests/sha256:") {
            Reply::Bytes(answer(
                "307 Temporary Redirect",
                &format!("Location: http://{}/v2/acme/rules/manifests/1.0.0\r\n", fake.host),
                b"",
            ))
        } else {
            Reply::Honest
        }
    });
    let pinned = format!("{}/acme/rules@sha256:{}", fake.host, "0".repeat(64));
    b.refuses(&["pull", &pinned], "the bytes are not those that were named");
}

#[test]
fn a_signature_of_another_artifact_is_none() {
    let (a, b, good) = two();
    let evil = a.saved("1.1.0", "EVIL", &[]);
    // The signature of the good one, put where that of the evil one would lie.
    let (good, served) = (saved(&good), saved(&evil));
    let index: serde_json::Value = serde_json::from_slice(&good["index.json"]).unwrap();
    let signatures =
        good[&format!("blobs/sha256/{}", index["manifests"][1]["digest"].as_str().unwrap().trim_start_matches("sha256:"))].clone();
    let blobs: Vec<_> = good.into_iter().collect();
    let fake = Fake::serving(&evil, move |path, _| {
        if path.ends_with(".sig") {
            return Reply::Bytes(answer("200 OK", "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n", &signatures));
        }
        let name = path.rsplit('/').next().unwrap().trim_start_matches("sha256:");
        match blobs.iter().find(|(file, _)| path.contains("/blobs/") && file.ends_with(name) && !served.contains_key(file)) {
            Some((_, bytes)) => Reply::Bytes(answer("200 OK", "", bytes)),
            None => Reply::Honest,
        }
    });
    b.refuses(&["pull", &format!("{}/acme/rules:1.1.0", fake.host)], "a signature by acme is of sha256:");
}

#[test]
fn keys_that_expired_or_were_revoked_count_for_nothing() {
    let (_a, b, file) = two();
    let (file, settings) = (file.to_str().unwrap(), b.bench.read("tracejury.toml"));
    for (more, words) in
        [("expires = '2026-11-01'", "that key expired on 2026-11-01"), ("revoked = 'laptop stolen'", "that key is revoked (laptop stolen)")]
    {
        b.bench.file("tracejury.toml", format!("{settings}{more}\n"));
        b.refuses(&["load", file], words);
        b.refuses(&["verify", file], words);
    }
    b.bench.file("tracejury.toml", format!("{settings}expires = '2999-01-01'\n"));
    b.does(&["load", file]);
}

#[test]
fn an_older_version_and_other_bytes_of_the_same_are_refused() {
    let Some(registry) = Registry::start() else { return };
    let (a, b, _) = two();
    let push = |version: &str, tag: &str, pattern: &str| {
        let reference = registry.at(&format!("acme/rules:{tag}"));
        a.does(&["push", &a.pack("acme-rules", version, pattern, ""), &reference, "--key", "acme.key"]);
        reference
    };
    let (old, moved) = (push("1.0.0", "1.0.0", "ACME"), push("1.1.0", "stable", "ACME"));
    b.does(&["pull", &moved]);
    b.refuses(&["pull", &old], "acme-rules 1.0.0 is older than 1.1.0");
    // The tag is moved to other bytes that call themselves the same.
    push("1.1.0", "stable", "EVIL");
    b.refuses(&["pull", &moved], "acme-rules 1.1.0 is other bytes than before");
    b.refuses(&["update", "--apply"], "acme-rules stays at 1.1.0: acme-rules 1.1.0 is other bytes than before");
    assert_eq!(b.bench.piped(&["classify", "--locked"], &recorded("s", &failed("ACME-503"))).code, 0);
    b.does(&["pull", &old, "--allow-downgrade"]);
    // Whoever pushes is told before others are.
    a.refuses(&["push", &a.pack("acme-rules", "1.0.0", "EVIL", ""), &old], "is there already");
}

#[test]
fn an_old_version_under_the_tag_of_a_new_one_is_refused() {
    let (_a, b, file) = two();
    let fake = Fake::serving(&file, |path, fake| match path.ends_with("/manifests/1.3.0") {
        true => Reply::Bytes(answer(
            "307 Temporary Redirect",
            &format!("Location: http://{}/v2/acme/rules/manifests/1.0.0\r\n", fake.host),
            b"",
        )),
        false => Reply::Honest,
    });
    let reference = format!("{}/acme/rules:1.3.0", fake.host);
    b.refuses(&["pull", &reference], "the plugin says that it is 1.0.0, and its tag says 1.3.0");
}

#[test]
fn what_is_packed_is_not_unpacked_without_end() {
    let (_a, b, file) = two();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    (0..64).for_each(|_| packer.write_all(&[b' '; 1 << 20]).unwrap());
    let bomb = packer.finish().unwrap();
    let fake = Fake::serving(&file, move |path, _| match path.ends_with("/manifests/1.0.0") {
        true => Reply::Bytes(answer("200 OK", "Content-Encoding: gzip\r\n", &bomb)),
        false => Reply::Honest,
    });
    // It is what came, some kilobytes, that is no manifest.
    b.refuses(&["pull", &format!("{}/acme/rules:1.0.0", fake.host)], "the manifest is none");
}

#[test]
fn a_token_that_is_none_ends_no_program() {
    let (_a, b, file) = two();
    let fake = Fake::serving(&file, |path, fake| match path {
        path if path.starts_with("/token") => Reply::Bytes(answer("200 OK", "", br#"{"token":"a\nb"}"#)),
        _ => Reply::Bytes(answer(
            "401 Unauthorized",
            &format!("WWW-Authenticate: Bearer realm=\"http://{}/token\",service=\"s\"\r\n", fake.host),
            b"",
        )),
    });
    let refused = b.refuses(&["pull", &format!("{}/acme/rules:1.0.0", fake.host)], "answered with what no client can read");
    assert_eq!(refused.code, 3);
}

#[test]
fn newer_versions_are_found_however_few_tags_come_at_a_time() {
    let (_a, b, file) = two();
    let fake = Fake::serving(&file, |path, _| {
        let tags = |tags: &str| Reply::Bytes(answer("200 OK", "", format!(r#"{{"name":"acme/rules","tags":[{tags}]}}"#).as_bytes()));
        match path.split_once("/tags/list") {
            None => Reply::Honest,
            Some((_, query)) if query.contains("last=1.1.0") => tags(r#""1.2.0""#),
            Some((_, query)) if query.contains("last=1.2.0") => tags(""),
            Some(_) => tags(r#""1.0.0","1.1.0""#),
        }
    });
    b.does(&["pull", &format!("{}/acme/rules:1.0.0", fake.host)]);
    let looked = b.plugin(&["update"]);
    assert!(looked.code == 3 && looked.stderr.contains("acme/rules:1.2.0: is not there"), "{looked:?}");
}

#[test]
fn names_that_look_alike_or_are_taken_are_refused() {
    let (a, b, file) = two();
    b.does(&["load", file.to_str().unwrap()]);
    let saved = |name: &str, place: &str| {
        let pack = a.pack(name, "2.0.0", "ACME", "");
        let file = format!("{name}-{}.tar", place.len());
        a.does(&["save", &pack, "--as", &format!("{place}/{name}:2.0.0"), "--key", "acme.key", "--output", &file]);
        a.bench.dir.path().join(file).to_str().unwrap().to_owned()
    };
    b.refuses(&["load", &saved("acrne-rules", "r.example.com/acme")], "acrne-rules looks like acme-rules");
    b.refuses(
        &["load", &saved("acme-rules", "r.evil.example/acme")],
        "acme-rules is in the lock from r.example.com/acme/rules, and this is another of that name",
    );
    b.refuses(&["load", &saved("re-gex", "r.example.com/acme")], "as the default classifier, or looks like it");
}

#[test]
fn a_component_that_asks_for_more_than_any_classifier_gets_is_refused() {
    // Pushed by a client that does not ask what it is.
    let Some(registry) = Registry::start() else { return };
    let a = Team::new();
    a.does(&["keygen", "acme"]);
    let reference = registry.at("acme/wasi:1.0.0");
    a.bench.file("wasi.wasm", component("wasi", |text| text));
    a.refuses(&["push", "wasi.wasm", &reference, "--license", "MIT"], "asks for what no classifier gets");
    if !another_client(&a, &["push", &reference, "wasi.wasm"]) {
        return skipped("oras is not installed for python3");
    }
    a.does(&["sign", &reference, "--key", "acme.key"]);
    Team::trusting(&a, &["acme"], "", "").refuses(&["pull", &reference], "asks for what no classifier gets: wasi:clocks");
}

#[test]
fn what_brings_no_tests_or_fails_them_here_is_refused_unless_somebody_insists() {
    let (a, b, _) = two();
    a.bench.file("team.wasm", component("team", |text| text));
    a.refuses(&["save", "team.wasm", "--as", "r.example.com/acme/team:1.0.0", "-o", "t.tar", "--license", "MIT"], "brings no tests");
    // A budget that its tests do not fit into here: more than the settings give it.
    let pack = a.pack("acme-rules", "1.0.0", "ACME", "");
    a.does(&["save", &pack, "--as", "r.example.com/acme/rules:1.0.0", "-o", "big.tar", "--key", "acme.key", "--memory-mib", "9999"]);
    let big = a.bench.dir.path().join("big.tar");
    b.refuses(&["load", big.to_str().unwrap()], "and the settings give it");
    let insisted = b.does(&["load", big.to_str().unwrap(), "--no-verify"]);
    assert!(
        insisted.stderr.contains("warning: acme-rules: its tests were NOT run here") && insisted.stdout.contains("NOT run here"),
        "{insisted:?}"
    );
    assert!(!b.bench.read("plugins.lock").contains("[plugin.tested]"));
}

#[test]
fn an_archive_with_names_that_lead_out_is_refused() {
    let (a, b, file) = two();
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..16].copy_from_slice(b"../../etc/passwd");
    header.set_size(4);
    header.set_cksum();
    archive.append(&header, &b"evil"[..]).unwrap();
    let evil = [archive.into_inner().unwrap()[..1024].to_vec(), std::fs::read(file).unwrap()].concat();
    let evil = a.bench.file("evil.tar", evil);
    b.refuses(&["load", evil.to_str().unwrap()], "\"../../etc/passwd\", which has no place in one");
}

#[test]
fn escapes_in_what_strangers_wrote_stay_text() {
    let (a, b, _) = two();
    let pack = a.pack("acme-rules", "1.0.0", "ACME", "");
    let text = a.bench.read(&pack).replace("summary = 'what acme-rules knows'", "summary = \"\\u001b[2J\\u001b]0;owned\\u0007 nice\"");
    a.bench.file(&pack, text);
    let saved = a.plugin(&["save", &pack, "--as", "r.example.com/acme/rules:1.0.0", "-o", "e.tar", "--key", "acme.key"]);
    assert_eq!(saved.code, 0, "{saved:?}");
    let shown = b.does(&["load", a.bench.dir.path().join("e.tar").to_str().unwrap()]);
    assert!(shown.stdout.contains("nice") && !shown.stdout.contains(['\u{1b}', '\u{7}']), "{shown:?}");
    for args in [&["list"][..], &["list", "--available"], &["inspect", "acme-rules"]] {
        assert!(!b.does(args).stdout.contains(['\u{1b}', '\u{7}']), "{args:?}");
    }
    // What a registry answers is shown as little.
    let fake = Fake::serving(&a.bench.dir.path().join("e.tar"), |_, _| Reply::Bytes(answer("500 Oops", "", b"\x1b[2J\x1b]0;owned\x07")));
    b.refuses(&["pull", &format!("{}/acme/rules:1.0.0", fake.host)], "acme/rules:1.0.0: ");
}
