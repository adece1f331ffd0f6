//! Plugins between organisations: pushed, signed, pulled, locked, carried by hand; with registries and clients that are not ours.

use crate::driver::{Bench, failed, recorded};
use crate::guests::component;
use crate::registry::{Registry, Team, another_client};
use crate::ten_minutes::{another_host, skipped};
use crate::tls::Authority;
use rcgen::ExtendedKeyUsagePurpose;
use serde_json::{Value, json};
use std::process::Command;

/// A trace that the pack of `Team::pack` knows.
fn known(pattern: &str) -> String {
    recorded("s", &failed(&format!("{pattern}-503 while paying")))
}

fn locked(team: &Team, pattern: &str) -> crate::driver::Done {
    team.bench.piped(&["classify", "--locked", "--format", "json"], &known(pattern))
}

#[test]
fn one_organisation_shares_and_another_takes_it_and_refuses_what_turns_hostile() {
    let Some(registry) = Registry::start() else { return };
    let a = Team::new();
    a.does(&["keygen", "acme"]);
    let pack = a.pack("acme-rules", "1.0.0", "ACME-GW", "");
    a.bench.file("acme-rules-1.0.0.cases.ndjson", case("ACME-GW-500", "EXTERNAL_DEPENDENCY_OUTAGE"));
    a.does(&["test", &pack]);
    let reference = registry.at("acme/rules:1.0.0");
    a.does(&["push", &pack, &reference, "--key", "acme.key"]);

    // B trusts nobody yet; then A's key, for names that begin as A's do.
    let b = Team::new();
    b.refuses(&["pull", &reference], "no rule of [[trust.from]] fits it");
    b.trust(&a, &["acme"], "plugins = ['acme-*']", "[plugins]\narchive = 'archive.ndjson'");
    let seen = b.does(&["pull", &reference]).stdout;
    for words in
        ["acme-rules 1.0.0", "signed by   acme", "sealed: sees error texts only", "3 tests passed here", "Apache-2.0", "SBOM in CycloneDX"]
    {
        assert!(seen.contains(words), "{words}: {seen}");
    }
    b.bench.file("archive.ndjson", format!("{}\n{}\n", known("ACME-GW"), recorded("t", &failed("TypeError: x is not a function"))));
    b.does(&["backtest", "plugins/acme-rules.wasm", "--against", "archive.ndjson", "--max-flips", "0"]);
    let lock = b.bench.read("plugins.lock");
    assert!(
        lock.contains(&format!("reference = \"{reference}\"")) && lock.contains("grants = []") && lock.contains("passed = 3"),
        "{lock}"
    );
    let outcome = locked(&b, "ACME-GW").outcome();
    assert_eq!((&outcome["verdicts"][0]["plugin"], &outcome["confidence"]), (&json!("acme-rules"), &json!(0.97)));
    assert!(b.does(&["update"]).stderr.contains("acme-rules 1.0.0 is current"));

    // What A publishes next calls faults of one's own outages; later it is not signed.
    let blames = "[[rule]]\nid = 'blames'\nclassification = 'EXTERNAL_DEPENDENCY_OUTAGE'\nreason = 'other'\nconfidence = 0.99\nany = ['TypeError']\nexplain = 'it was not us'\nmatches = ['TypeError: x']\nrejects = ['x']\n";
    let hostile = a.pack("acme-rules", "1.1.0", "ACME-GW", blames);
    a.does(&["push", &hostile, &registry.at("acme/rules:1.1.0"), "--key", "acme.key"]);
    let refused = b.refuses(
        &["update", "--apply", "--max-flips", "0"],
        "acme-rules stays at 1.0.0: 1 of 2 outcomes would change, more than --max-flips 0",
    );
    assert_eq!(refused.code, 1);
    assert!(refused.stdout.contains("1.0.0 → 1.1.0") && refused.stdout.contains("rules, new  blames (1)"), "{refused:?}");
    let unsigned = a.pack("acme-rules", "1.2.0", "ACME-GW", "");
    a.does(&["push", &unsigned, &registry.at("acme/rules:1.2.0")]);
    assert_eq!(b.refuses(&["update", "--apply"], "it is not signed").code, 1);
    assert_eq!(locked(&b, "ACME-GW").code, 0);

    // A good one is shown first, then taken.
    let good = a.pack("acme-rules", "1.3.0", "ACME-(GW|PAY)", "").replace(".toml", "");
    a.bench.file(
        &format!("{good}.toml"),
        a.bench.read(&format!("{good}.toml")).replace("matches = ['ACME-(GW|PAY)-503']", "matches = ['ACME-PAY-503']"),
    );
    a.does(&["push", &format!("{good}.toml"), &registry.at("acme/rules:1.3.0"), "--key", "acme.key"]);
    let shown = b.does(&["update"]);
    assert!(shown.stdout.contains("rules, changed") && shown.stderr.contains("nothing was changed"), "{shown:?}");
    assert!(b.bench.read("plugins.lock").contains("version = \"1.0.0\""));
    b.does(&["update", "--apply", "--max-flips", "0"]);
    assert_eq!(locked(&b, "ACME-PAY").outcome()["confidence"], 0.97);
}

/// A case: a trace with what is to be said of it.
fn case(message: &str, classification: &str) -> String {
    let mut line: Value = serde_json::from_str(&recorded("case", &failed(message))).unwrap();
    line["verdict"] = json!({"classification": classification});
    line.to_string() + "\n"
}

#[test]
fn a_run_held_to_the_lock_runs_nothing_else() {
    let Some(registry) = Registry::start() else { return };
    let a = Team::new();
    a.does(&["keygen", "acme"]);
    let reference = registry.at("acme/rules:1.0.0");
    a.does(&["push", &a.pack("acme-rules", "1.0.0", "ACME", ""), &reference, "--key", "acme.key"]);
    let b = Team::trusting(&a, &["acme"], "", "");
    b.does(&["pull", &reference]);
    let refused = |words: &str| {
        let done = locked(&b, "ACME");
        assert!(done.code == 3 && done.stderr.contains(words), "{words}: {done:?}");
    };
    // A file of one's own is locked when somebody says so.
    b.bench.file("plugins/own.toml", b.bench.read(&b.pack("own", "1.0.0", "OWN", "")));
    refused("own is in the folder of plugins, and not in the lock");
    b.does(&["lock"]);
    assert_eq!(locked(&b, "OWN").outcome()["verdicts"][0]["plugin"], "own");
    // Grants and limits are part of what was reviewed; grants are for whom trust allows them.
    let settings = b.bench.read("tracejury.toml");
    b.bench.file("tracejury.toml", format!("[plugins.grants]\nown = ['input']\n[plugins.for.own]\ndeadline_ms = 77\n{settings}"));
    refused("own is granted input, and by the lock nothing");
    refused("own has other limits, isolation or priority in the settings than when it was locked");
    b.bench.file("tracejury.toml", format!("[plugins.grants]\nacme-rules = ['output']\n{settings}"));
    let ungranted = b.bench.piped(&["classify"], &known("ACME"));
    assert!(
        ungranted.code == 3 && ungranted.stderr.contains("acme-rules is granted output by plugins.grants, and rule 1"),
        "{ungranted:?}"
    );
    b.bench.file("tracejury.toml", &settings);
    let doctor = b.bench.tracejury(&["doctor"]).stdout;
    assert!(doctor.contains("1 key, 1 rule") && doctor.contains("the plugins are those of plugins.lock"), "{doctor}");
    // A file that was changed is refused, and fetched again; from the shelf, since the registry is gone.
    let pulled = b.bench.dir.path().join("plugins/acme-rules.wasm");
    let mut bytes = std::fs::read(&pulled).unwrap();
    bytes.extend([0, 2, 1, b'x']);
    std::fs::write(&pulled, &bytes).unwrap();
    refused("acme-rules is sha256:");
    drop(registry);
    let before = b.bench.read("plugins.lock");
    assert!(b.does(&["pull"]).stdout.contains("acme-rules 1.0.0"));
    // What was reviewed stays as it was, whatever the settings say now; and a key that has expired since has signed in its time.
    std::fs::remove_file(&pulled).unwrap();
    b.bench.file(
        "tracejury.toml",
        format!("[plugins.for.acme-rules]\ndeadline_ms = 77\n{settings}expires = '{}'\n", chrono::Utc::now().date_naive()),
    );
    b.does(&["pull"]);
    assert_eq!(b.bench.read("plugins.lock"), before);
    refused("acme-rules has other limits");
    b.bench.file("tracejury.toml", &settings);
    // Where there is no lock there is nothing to be held to.
    std::fs::rename(b.bench.dir.path().join("plugins.lock"), b.bench.dir.path().join("elsewhere.lock")).unwrap();
    refused("plugins.lock: is not there");
    assert_eq!(b.plugin(&["pull"]).code, 3);
    std::fs::rename(b.bench.dir.path().join("elsewhere.lock"), b.bench.dir.path().join("plugins.lock")).unwrap();
    assert_eq!(locked(&b, "ACME").code, 0);
    // Revoked, its word counts no more, whether a run is held to the lock or not.
    b.bench.file("tracejury.toml", format!("{settings}revoked = 'stolen'\n"));
    refused("acme-rules was taken on the word of acme");
    assert_eq!(b.bench.piped(&["classify"], &known("ACME")).code, 3);
    b.does(&["remove", "acme-rules"]);
    assert!(!pulled.exists());
    assert_eq!(locked(&b, "OWN").code, 0);
}

#[test]
fn an_artifact_is_carried_by_hand_with_all_that_proves_it() {
    let a = Team::new();
    for key in ["acme", "second"] {
        a.does(&["keygen", key]);
    }
    let pack = a.pack("acme-rules", "1.0.0", "ACME", "");
    a.does(&["save", &pack, "--as", "registry.example.com/acme/rules:1.0.0", "--key", "acme.key", "--output", "acme.tar"]);
    let b = Team::trusting(&a, &["acme"], "", "");
    let file = a.bench.dir.path().join("acme.tar");
    let file = file.to_str().unwrap();
    assert!(b.does(&["verify", file]).stderr.contains("signed by acme"));
    b.refuses(
        &["verify", file, "--key", b.bench.file("second.pub", a.bench.read("second.pub")).to_str().unwrap()],
        "it carries 1 by none of these keys",
    );
    let line: Value = serde_json::from_str(&b.does(&["load", file, "--format", "json"]).stdout).unwrap();
    assert_eq!(line["plugin"]["tested"]["passed"], 2);
    assert_eq!(line["sbom"]["metadata"]["component"]["name"], "acme-rules");
    assert_eq!(locked(&b, "ACME").code, 0);
    assert!(b.does(&["list", "--available"]).stdout.contains("registry.example.com/acme/rules:1.0.0"));
    // What shows the main job without any settings is not held to what they trust.
    assert_eq!(b.bench.tracejury(&["demo"]).code, 0);
    // From B's shelf it goes on to C, as it came.
    b.does(&["save", "registry.example.com/acme/rules:1.0.0", "--output", "again.tar"]);
    assert_eq!(std::fs::read(b.bench.dir.path().join("again.tar")).unwrap(), std::fs::read(file).unwrap());
    b.does(&["remove", "registry.example.com/acme/rules:1.0.0"]);
    assert!(!b.does(&["list", "--available"]).stdout.contains("acme"));
}

#[test]
fn processes_side_by_side_take_plugins_into_use_and_lose_none() {
    let a = Team::new();
    a.does(&["keygen", "acme"]);
    let b = Team::trusting(&a, &["acme"], "", "");
    let names = ["acme-one", "acme-two", "acme-three"];
    for name in names {
        let pack = a.pack(name, "1.0.0", "ACME", "");
        a.does(&["save", &pack, "--as", &format!("r.example.com/{name}:1.0.0"), "--key", "acme.key", "-o", &format!("{name}.tar")]);
    }
    let load = |name: &str| {
        b.bench.command(&["plugin", "load", a.bench.dir.path().join(format!("{name}.tar")).to_str().unwrap()]).spawn().unwrap()
    };
    let loads: Vec<_> = names.iter().map(|name| load(name)).collect();
    for mut load in loads {
        assert!(load.wait().unwrap().success());
    }
    let (lock, shelf) = (b.bench.read("plugins.lock"), b.does(&["list", "--available"]).stdout);
    for name in names {
        assert!(lock.contains(&format!("name = \"{name}\"")) && shelf.contains(name), "{lock}{shelf}");
    }
    assert_eq!(locked(&b, "ACME").code, 0);
}

#[test]
fn several_sign_and_keys_are_changed() {
    let Some(registry) = Registry::start() else { return };
    let a = Team::new();
    for key in ["old", "new", "auditor"] {
        a.does(&["keygen", key]);
    }
    let reference = registry.at("acme/rules:1.0.0");
    a.does(&["push", &a.pack("acme-rules", "1.0.0", "ACME", ""), &reference, "--key", "old.key"]);
    let b = Team::trusting(&a, &["old", "new", "auditor"], "signatures = 2", "");
    b.refuses(&["pull", &reference], "takes 2 of old, new, auditor, and has 1");
    assert!(a.does(&["sign", &reference, "--key", "auditor.key"]).stderr.contains("carries 2 signatures"));
    b.does(&["pull", &reference]);
    // Rotation: the old key is revoked, the new one signs beside it.
    let settings = b.bench.read("tracejury.toml").replace("file = 'keys/old.pub'", "file = 'keys/old.pub'\nrevoked = 'rotated'");
    b.bench.file("tracejury.toml", &settings);
    b.refuses(&["pull", &reference], "old signed it, and that key is revoked (rotated)");
    a.does(&["sign", &reference, "--key", "new.key"]);
    b.does(&["pull", &reference]);
    assert!(b.bench.read("plugins.lock").contains("signers = [\"new\", \"auditor\"]"), "{}", b.bench.read("plugins.lock"));
    let trust = b.does(&["trust"]).stdout;
    assert!(trust.contains("that key is revoked (rotated)") && trust.contains("signed by 2 of old, new, auditor; sealed"), "{trust}");
    assert!(b.bench.tracejury(&["plugin", "trust", "other.example.com/x:1"]).stdout.contains("rule 1"), "** is any place");
}

/// What cosign would check, by a tool that knows nothing of us: the signature over the payload, and the digest in it.
#[test]
fn a_signature_holds_for_a_tool_that_is_not_ours() {
    let a = Team::new();
    a.does(&["keygen", "acme"]);
    a.does(&[
        "save",
        &a.pack("acme-rules", "1.0.0", "ACME", ""),
        "--as",
        "r.example.com/acme/rules:1.0.0",
        "--key",
        "acme.key",
        "-o",
        "acme.tar",
    ]);
    let files = crate::registry::saved(&a.bench.dir.path().join("acme.tar"));
    let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
    let blob = |digest: &Value| &files[&format!("blobs/sha256/{}", digest.as_str().unwrap().trim_start_matches("sha256:"))];
    let [artifact, signatures] = [0, 1].map(|i| &index["manifests"][i]);
    let tag = format!("r.example.com/acme/rules:{}.sig", artifact["digest"].as_str().unwrap().replace(':', "-"));
    assert_eq!(signatures["annotations"]["org.opencontainers.image.ref.name"], tag);
    let manifest: Value = serde_json::from_slice(blob(&signatures["digest"])).unwrap();
    let layer = &manifest["layers"][0];
    assert_eq!(layer["mediaType"], "application/vnd.dev.cosign.simplesigning.v1+json");
    let payload = blob(&layer["digest"]);
    let said: Value = serde_json::from_slice(payload).unwrap();
    assert_eq!(
        (&said["critical"]["image"]["docker-manifest-digest"], &said["critical"]["type"]),
        (&artifact["digest"], &json!("cosign container image signature"))
    );
    a.bench.file("payload", payload);
    a.bench.file("signature.b64", layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap());
    let checks =
        "openssl base64 -d -A -in signature.b64 -out signature && openssl dgst -sha256 -verify acme.pub -signature signature payload";
    let Ok(checked) = Command::new("sh").args(["-c", checks]).current_dir(a.bench.dir.path()).output() else {
        return skipped("there is no shell");
    };
    if !checked.status.success() && String::from_utf8_lossy(&checked.stderr).contains("not found") {
        return skipped("openssl is not installed");
    }
    assert_eq!(String::from_utf8_lossy(&checked.stdout).trim(), "Verified OK", "{checked:?}");
}

/// A client of another language (`oras`, of PyPI), both ways; what it pulls runs in a host that is not ours.
#[test]
fn another_client_pulls_what_we_push_and_pushes_what_we_pull() {
    let Some(registry) = Registry::start() else { return };
    let a = Team::new();
    a.does(&["keygen", "acme"]);
    let reference = registry.at("acme/team:1.0.0");
    a.bench.file("team.wasm", component("team", |text| text));
    a.bench.file("team.cases.ndjson", case("anything", "TEAM_VERDICT"));
    a.does(&["push", "team.wasm", &reference, "--key", "acme.key", "--license", "MIT"]);
    if !another_client(&a, &["pull", &reference, "pulled"]) {
        return skipped("oras is not installed for python3");
    }
    let pulled = a.bench.dir.path().join("pulled/team.wasm");
    a.does(&["test", pulled.to_str().unwrap()]);
    let here = Bench::new();
    here.file("plugins/team.wasm", std::fs::read(&pulled).unwrap());
    let outcome = here.piped(&["classify", "--format", "json"], &recorded("s", &failed("anything"))).outcome();
    another_host(&a.bench, &pulled, &outcome["verdicts"][0]);
    // The other way: a component as it is, without anything of ours but what lies in it.
    let theirs = registry.at("theirs/team:1.0.0");
    another_client(&a, &["push", &theirs, "pulled/team.wasm"]);
    let b = Team::trusting(&a, &["acme"], "", "");
    b.refuses(&["pull", &theirs], "it is not signed");
    a.does(&["sign", &theirs, "--key", "acme.key"]);
    b.does(&["pull", &theirs]);
    assert_eq!(locked(&b, "ACME").outcome()["classification"], "TEAM_VERDICT");
}

#[test]
fn a_registry_that_asks_who_we_are_is_told_what_is_meant_for_it_alone() {
    // Made with bcrypt from the password below.
    let htpasswd = "b:$2b$05$abcdefghijklmnopqrstuuUeQvIZfziamqo7daHDGj.nXdLb.YDZ2\n";
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("htpasswd"), htpasswd).unwrap();
    let more = format!("auth:\n  htpasswd:\n    realm: here\n    path: {}\n", dir.path().join("htpasswd").display());
    let Some(registry) = Registry::with(&more) else { return };
    let mut a = Team::new();
    a.does(&["keygen", "acme"]);
    let (pack, reference) = (a.pack("acme-rules", "1.0.0", "ACME", ""), registry.at("acme/rules:1.0.0"));
    let refused = a.refuses(&["push", &pack, &reference], "does not know us");
    assert_eq!(refused.code, 3);
    // By variables, for the registry they name and no other.
    a.bench
        .env("TRACEJURY_REGISTRY_USER", "b")
        .env("TRACEJURY_REGISTRY_PASSWORD", "s3cret-of-b")
        .env("TRACEJURY_REGISTRY", "other.example.com");
    a.refuses(&["push", &pack, &reference], "does not know us");
    a.bench.env("TRACEJURY_REGISTRY", &registry.host);
    let done = a.bench.tracejury(&["-vv", "plugin", "push", &pack, &reference, "--key", "acme.key"]);
    assert!(done.code == 0 && !format!("{done:?}").contains("s3cret"), "{done:?}");
    // By Docker's configuration.
    let b = Team::trusting(&a, &["acme"], "", "");
    b.refuses(&["pull", &reference], "does not know us");
    b.bench.file("docker/config.json", json!({"auths": {&registry.host: {"auth": "YjpzM2NyZXQtb2YtYg=="}}}).to_string());
    b.does(&["pull", &reference]);
    // By a helper of it: there is none; it knows nothing of the registry, so that nobody is asked for by name; it knows us.
    let mut c = Team::trusting(&a, &["acme"], "", "");
    c.bench.file("docker/config.json", json!({"credHelpers": {&registry.host: "of-a-test"}}).to_string());
    c.refuses(&["pull", &reference], "Docker's configuration gives no credentials");
    let path = format!("{}:{}", c.bench.dir.path().join("bin").display(), std::env::var("PATH").unwrap());
    c.bench.env("PATH", &path);
    let helps = |script: &str| {
        let helper = c.bench.file("bin/docker-credential-of-a-test", format!("#!/bin/sh\ncat >/dev/null\n{script}\n"));
        std::fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    helps("echo 'credentials not found in native keychain'; exit 1");
    c.refuses(&["pull", &reference], "does not know us");
    helps("echo 's3cret-of-b is not to be told'; exit 1");
    let failed = c.refuses(&["pull", &reference], "docker-credential-of-a-test failed");
    assert!(!failed.stderr.contains("s3cret"), "{failed:?}");
    helps(r#"echo '{"ServerURL":"x","Username":"b","Secret":"s3cret-of-b"}'"#);
    c.does(&["pull", &reference]);
}

#[test]
fn a_registry_with_a_certificate_of_its_own_is_trusted_by_its_authority() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (certificate, key) = authority.signs("localhost", ExtendedKeyUsagePurpose::ServerAuth);
    let [certificate, key] = [("c.pem", certificate.pem()), ("k.pem", key.serialize_pem())].map(|(name, pem)| {
        std::fs::write(dir.path().join(name), pem).unwrap();
        dir.path().join(name).display().to_string()
    });
    let Some(registry) = Registry::with(&format!("  tls:\n    certificate: {certificate}\n    key: {key}\n")) else { return };
    let a = Team::new();
    a.does(&["keygen", "acme"]);
    let (pack, reference) = (a.pack("acme-rules", "1.0.0", "ACME", ""), registry.at("acme/rules:1.0.0"));
    let scheme = format!("[share.scheme]\n'{}' = 'https'\n", registry.host);
    a.bench.file("tracejury.toml", &scheme);
    let refused = a.refuses(&["push", &pack, &reference], "certificate");
    assert_eq!(refused.code, 3);
    a.bench.file("ca.pem", authority.pem());
    let settings = format!("{scheme}[tls]\nca_file = 'ca.pem'\n");
    a.bench.file("tracejury.toml", &settings);
    a.does(&["push", &pack, &reference, "--key", "acme.key"]);
    let b = Team::trusting(&a, &["acme"], "", &settings);
    b.bench.file("ca.pem", authority.pem());
    b.does(&["pull", &reference]);
}
