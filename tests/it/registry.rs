//! Registries for tests: Debian's `docker-registry` on loopback, and one that does as it likes with what it was given.

use crate::driver::{Bench, Done, root};
use crate::ten_minutes::skipped;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

/// A registry that is real; it ends with the test.
pub struct Registry {
    /// Its host and port.
    pub host: String,
    child: Child,
    _data: tempfile::TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Registry {
    /// One without anything in it; none where the program is missing.
    pub fn start() -> Option<Self> {
        Self::with("")
    }

    /// One with more of `http` and further tables in its settings.
    pub fn with(more: &str) -> Option<Self> {
        // Another test may take the port in between.
        (0..8).find_map(|_| Self::tried(more)).unwrap_or_else(|| panic!("no registry would start"))
    }

    /// None where the port was taken; a registry that is none where the program is missing.
    fn tried(more: &str) -> Option<Option<Self>> {
        let data = tempfile::tempdir().unwrap();
        // Taken and given back: the registry cannot say which port it took.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = format!(
            "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n{more}",
            data.path().join("data").display()
        );
        std::fs::write(data.path().join("settings.yml"), settings).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(data.path().join("settings.yml")).stdout(Stdio::null()).stderr(Stdio::piped());
        let Ok(mut child) = command.spawn() else {
            skipped("docker-registry is not installed");
            return Some(None);
        };
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("listening on") {
            line.clear();
            if log.read_line(&mut line).unwrap() == 0 {
                child.wait().unwrap();
                return None;
            }
        }
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Some(Some(Self { host: format!("localhost:{port}"), child, _data: data }))
    }

    /// A reference to what lies there.
    pub fn at(&self, what: &str) -> String {
        format!("{}/{what}", self.host)
    }
}

/// An organisation: a folder of its own, a shelf, keys, and nobody's logins.
pub struct Team {
    pub bench: Bench,
}

impl Team {
    pub fn new() -> Self {
        let mut bench = Bench::new();
        let here = bench.dir.path().to_owned();
        for (name, value) in [("TRACEJURY_SHELF", here.join("shelf")), ("DOCKER_CONFIG", here.join("docker"))] {
            bench.env(name, value.to_str().unwrap());
        }
        bench.env("TRACEJURY_KEY_PASSWORD", "a password of a test");
        Self { bench }
    }

    /// One that trusts what `keys` of the other have signed, wherever it comes from; with `more` in its settings, which stand first.
    pub fn trusting(other: &Self, keys: &[&str], rule: &str, more: &str) -> Self {
        let team = Self::new();
        team.trust(other, keys, rule, more);
        team
    }

    pub fn trust(&self, other: &Self, keys: &[&str], rule: &str, more: &str) {
        let mut text = format!("{more}\n[[trust.from]]\nreferences = ['**']\nkeys = {keys:?}\n{rule}\n");
        for key in keys {
            self.bench.file(&format!("keys/{key}.pub"), other.bench.read(&format!("{key}.pub")));
            text += &format!("[trust.keys.{key}]\nfile = 'keys/{key}.pub'\n");
        }
        self.bench.file("tracejury.toml", text);
    }

    pub fn plugin(&self, args: &[&str]) -> Done {
        self.bench.tracejury(&[&["plugin"], args].concat())
    }

    /// The same, which must go well.
    pub fn does(&self, args: &[&str]) -> Done {
        let done = self.plugin(args);
        assert_eq!(done.code, 0, "{args:?}: {done:?}");
        done
    }

    /// The same, which must be refused with these words, and change nothing.
    pub fn refuses(&self, args: &[&str], words: &str) -> Done {
        let before = self.state();
        let done = self.plugin(args);
        assert!(done.code != 0 && done.stderr.contains(words) && done.stderr.contains("help: "), "{words:?}: {done:?}");
        assert!(!done.stderr.contains('\u{1b}'), "{done:?}");
        assert_eq!(self.state(), before, "something was changed");
        done
    }

    /// All that taking a plugin into use changes: every file of the folder, the lock and the shelf.
    fn state(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        fn add(path: &Path, all: &mut BTreeMap<PathBuf, Vec<u8>>) {
            for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
                if entry.path().is_dir() {
                    add(&entry.path(), all);
                } else {
                    all.insert(entry.path(), std::fs::read(entry.path()).unwrap());
                }
            }
        }
        let mut all = BTreeMap::new();
        let here = self.bench.dir.path();
        for dir in ["plugins", "shelf"] {
            add(&here.join(dir), &mut all);
        }
        all.insert("plugins.lock".into(), std::fs::read(here.join("plugins.lock")).unwrap_or_default());
        // That somebody looked.
        all.retain(|path, _| !path.ends_with("shelf/.lock"));
        all
    }

    /// Writes a rule pack with one rule, whose pattern matches `pattern` with a digit or two behind it.
    pub fn pack(&self, name: &str, version: &str, pattern: &str, more: &str) -> String {
        let file = format!("{name}-{version}.toml");
        let text = format!(
            "schema = 1\nname = '{name}'\nversion = '{version}'\nsummary = 'what {name} knows'\nlicense = 'Apache-2.0'\n[[rule]]\nid = 'down'\nclassification = 'EXTERNAL_DEPENDENCY_OUTAGE'\nreason = 'upstream-error'\nconfidence = 0.97\nany = ['{pattern}-\\d+']\nexplain = 'it says so'\nmatches = ['{pattern}-503']\nrejects = ['all is well']\n{more}"
        );
        self.bench.file(&file, text);
        file
    }
}

/// What a registry that does as it likes answers a request with.
pub enum Reply {
    /// What was asked for.
    Honest,
    /// These bytes, head and all, and then nothing more.
    Bytes(Vec<u8>),
    /// This head, and then more of the same without end, until the other side has had enough.
    Endless(String),
    /// The same, but a byte at a time, with so many milliseconds between them.
    Dripping(String, u64),
}

/// A registry that answers as a test likes, with the contents of a file that `plugin save` wrote.
pub struct Fake {
    pub host: String,
    /// The requests: method, path and, where there is one, the authorization.
    pub asked: Arc<Mutex<Vec<String>>>,
}

type Answer = Box<dyn Fn(&str, &Fake) -> Reply + Send + Sync>;

/// What lies in a file that `plugin save` wrote, by its name there.
pub fn saved(file: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(std::fs::File::open(file).unwrap());
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().to_str().unwrap().to_owned(), bytes)
    });
    entries.collect()
}

impl Fake {
    /// Serves what is in the file, by its tags and digests.
    pub fn serving(file: &Path, answer: impl Fn(&str, &Self) -> Reply + Send + Sync + 'static) -> Self {
        Self::of(saved(file), Box::new(answer))
    }

    /// Serves nothing, and remembers who came.
    pub fn elsewhere() -> Self {
        Self::of(BTreeMap::new(), Box::new(|_, _| Reply::Honest))
    }

    fn of(files: BTreeMap<String, Vec<u8>>, answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fake = Self { host: listener.local_addr().unwrap().to_string(), asked: Arc::default() };
        let served = Self { host: fake.host.clone(), asked: Arc::clone(&fake.asked) };
        let (served, files, answer) = (Arc::new(served), Arc::new(files), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (served, files, answer) = (Arc::clone(&served), Arc::clone(&files), Arc::clone(&answer));
                std::thread::spawn(move || served.serve(stream, &files, &answer));
            }
        });
        fake
    }

    fn serve(&self, stream: TcpStream, files: &BTreeMap<String, Vec<u8>>, answer: &Answer) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        loop {
            let (mut request, mut line) = (String::new(), String::new());
            while reader.read_line(&mut line).is_ok_and(|read| read > 0) && line.trim() != "" {
                if request.is_empty() || line.to_ascii_lowercase().starts_with("authorization:") {
                    request += line.trim();
                    request.push(' ');
                }
                line.clear();
            }
            let Some(path) = request.split(' ').nth(1).map(str::to_owned) else { return };
            self.asked.lock().unwrap().push(request);
            let sent = match answer(&path, self) {
                Reply::Honest => stream.write_all(&honest(&path, files)),
                Reply::Bytes(bytes) => {
                    let _ = stream.write_all(&bytes);
                    return;
                }
                Reply::Dripping(head, pause) => {
                    let _ = stream.write_all(head.as_bytes());
                    while stream.write_all(b" ").is_ok() {
                        std::thread::sleep(std::time::Duration::from_millis(pause));
                    }
                    return;
                }
                Reply::Endless(head) => {
                    let _ = stream.write_all(head.as_bytes());
                    while stream.write_all(&[b' '; 1 << 16]).is_ok() {}
                    return;
                }
            };
            if sent.is_err() {
                return;
            }
        }
    }

    /// How often the path of a request had this in it.
    pub fn asked_for(&self, words: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|request| request.contains(words)).count()
    }
}

/// Has a client of another language do something in the team's folder; false where there is none.
pub fn another_client(team: &Team, args: &[&str]) -> bool {
    let script = root().join("tests/guests/another_client.py");
    let Ok(done) = Command::new("python3").arg(script).args(args).current_dir(team.bench.dir.path()).output() else { return false };
    assert!(done.status.success() || done.status.code() == Some(77), "{done:?}");
    done.status.success()
}

/// A whole answer.
pub fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn honest(path: &str, files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let index: Value = files.get("index.json").map_or(Value::Null, |bytes| serde_json::from_slice(bytes).unwrap());
    let name = path.rsplit('/').next().unwrap();
    let tagged = index["manifests"].as_array().into_iter().flatten().find(|entry| {
        entry["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap().rsplit_once(':').is_some_and(|(_, tag)| tag == name)
    });
    let digest = tagged.map_or(name, |entry| entry["digest"].as_str().unwrap());
    match files.get(&format!("blobs/sha256/{}", digest.trim_start_matches("sha256:"))) {
        _ if path == "/v2/" => answer("200 OK", "", b"{}"),
        Some(bytes) => answer("200 OK", "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n", bytes),
        None => answer("404 Not Found", "", br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"unknown"}]}"#),
    }
}
