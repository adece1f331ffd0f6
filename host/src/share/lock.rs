//! `plugins.lock`: what was taken into use, from where and by whose word, in a form that people read in a review. Format version 1. It
//! knows what was, and what differs; not where anything is fetched from.

use super::names::alike;
use super::{Reference, ShareError};
use crate::config::Grants;
use crate::model::{Digest, printable};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::path::Path;
use tracejury_regex::pack::kebab;

const HEADING: &str = "\
# What tracejury runs, from where, and by whose signature. Written by `tracejury plugin pull`, `load`, `lock` and `update`; it belongs into
# version control. `tracejury run --locked` runs nothing else.
";

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    /// The plugins, by name.
    #[serde(default, rename = "plugin")]
    pub plugins: Vec<Locked>,
}

/// One plugin that was taken into use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it comes from; none for a file of one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// The digest of its manifest there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The digest of its file, as `plugin inspect` shows it.
    pub file: Digest,
    /// Whose signatures counted when it came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signers: Vec<String>,
    /// The SHA-256 of their keys, in the same order: a name may get another key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Digest>,
    /// What it may see beside errors.
    pub grants: Grants,
    /// The digest of the settings it runs with: limits, isolation, priority.
    pub settings: Digest,
    /// What its own tests came to here; none where nobody ran them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tested: Option<Tested>,
}

/// What a plugin's tests came to on this side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tested {
    /// How many passed; none failed.
    pub passed: usize,
    /// The longest of its answers, and the memory it was held to while they ran.
    pub deadline_ms: u64,
    /// The memory it was held to, in MiB.
    pub memory_mib: u64,
    /// The version of tracejury that ran them.
    pub tracejury: String,
    /// When.
    pub on: NaiveDate,
}

impl Default for Lock {
    fn default() -> Self {
        Self { version: 1, plugins: Vec::new() }
    }
}

impl Lock {
    /// Reads the file; an absent one has no plugins.
    ///
    /// # Errors
    /// It cannot be read, or something in it is wrong.
    pub fn read(path: &Path) -> Result<Self, ShareError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(ShareError::file(path, &e)),
        };
        let wrong = |line: usize, what: &str| {
            ShareError::refused(
                format!("{}:{line}: {what}", path.display()),
                "take the file from version control again; `tracejury plugin` writes it",
            )
        };
        let lock: Self = toml::from_str(&text).map_err(|e| {
            let before = e.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            wrong(before.matches('\n').count() + 1, e.message())
        })?;
        if lock.version != 1 {
            return Err(wrong(1, "version: is not known; this tracejury reads 1"));
        }
        for (i, locked) in lock.plugins.iter().enumerate() {
            // Names become files, and a merge by hand may leave one twice.
            let line = text.lines().position(|line| line.starts_with("name") && line.contains(&locked.name)).map_or(1, |at| at + 1);
            if !kebab(&locked.name) {
                return Err(wrong(line, "name: is not kebab-case"));
            }
            if lock.plugins.iter().take(i).any(|other| other.name == locked.name) {
                return Err(wrong(line, &format!("name: {} stands here twice", locked.name)));
            }
        }
        Ok(lock)
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ShareError> {
        let failed = |e: std::io::Error| ShareError::file(path, &e);
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(dir).map_err(failed)?;
        let text = toml::to_string(self).map_err(|e| ShareError::failed(format!("{}: {e}", path.display()), "please report this"))?;
        let mut file = tempfile::NamedTempFile::new_in(dir).map_err(failed)?;
        file.write_all(format!("{HEADING}{text}").as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            // As any file of a project: a temporary one is its owner's alone.
            file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644)).map_err(failed)?;
        }
        file.persist(path).map_err(|e| failed(e.error)).map(drop)
    }

    /// The plugin of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Locked> {
        self.plugins.iter().find(|locked| locked.name == name)
    }

    /// Adds a plugin, in the place of the one of its name.
    pub fn put(&mut self, locked: Locked) {
        self.remove(&locked.name);
        self.plugins.push(locked);
        self.plugins.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// Takes a plugin out.
    pub fn remove(&mut self, name: &str) -> Option<Locked> {
        let at = self.plugins.iter().position(|locked| locked.name == name)?;
        Some(self.plugins.remove(at))
    }

    /// Whether what `next` is may take its place beside, or instead of, what is locked.
    ///
    /// # Errors
    /// Its name is another's or looks like it, its tag was moved, or it is older.
    pub fn admits(&self, next: &Locked, older: Older) -> Result<(), ShareError> {
        let name = printable(&next.name);
        if let Some(other) = self.plugins.iter().find(|locked| alike(&locked.name, &next.name)) {
            let what = format!("{name} looks like {}, which is in the lock and is another plugin", printable(&other.name));
            return Err(ShareError::refused(what, "ask its author for another name, or remove the other one first"));
        }
        let Some(now) = self.find(&next.name) else { return Ok(()) };
        let place = |locked: &Locked| locked.reference.as_ref().map(Reference::place);
        if place(now) != place(next) {
            let is = place(now).unwrap_or_else(|| "a file of your own".to_owned());
            let what =
                format!("{name} is in the lock from {is}, and this is another of that name, from {}", place(next).unwrap_or_default());
            return Err(ShareError::refused(what, format!("`tracejury plugin remove {name}` first, if this one shall take its place")));
        }
        let tag = |locked: &Locked| locked.reference.as_ref().and_then(Reference::tag).map(str::to_owned);
        // A tag that is a version stands for one artifact, whatever that calls itself; others, such as `stable`, are made to be moved.
        let fixed = tag(now).filter(|tag| semver::Version::parse(tag).is_ok());
        if now.file != next.file && (now.version == next.version || (fixed.is_some() && fixed == tag(next))) {
            let what = format!(
                "{name} {} is other bytes than before: the lock has {}, and {} is {} now",
                printable(&now.version),
                now.file,
                tag(next).map_or_else(|| "it".to_owned(), |tag| format!("the tag {tag}")),
                next.file
            );
            return Err(ShareError::refused(
                what,
                "a version never changes: ask its author what happened; a new version is what you should get",
            ));
        }
        if older == Older::Refused && is_older(&next.version, &now.version) {
            let what = format!("{name} {} is older than {}, which is in the lock", printable(&next.version), printable(&now.version));
            return Err(ShareError::refused(what, "--allow-downgrade takes it all the same"));
        }
        Ok(())
    }

    /// What differs between the lock and what is there now, a line each.
    #[must_use]
    pub fn differences(&self, now: &[Locked]) -> Vec<String> {
        let mut lines = Vec::new();
        for present in now {
            let name = printable(&present.name);
            let Some(locked) = self.find(&present.name) else {
                lines.push(format!("{name} is in the folder of plugins, and not in the lock"));
                continue;
            };
            if locked.file != present.file {
                lines.push(format!("{name} is {}, and the lock has {}", present.file, locked.file));
            }
            if locked.grants != present.grants {
                let words = |grants: &Grants| match grants.is_empty() {
                    true => "nothing".to_owned(),
                    false => grants.iter().map(|read| read.as_str()).collect::<Vec<_>>().join(" and "),
                };
                lines.push(format!("{name} is granted {}, and by the lock {}", words(&present.grants), words(&locked.grants)));
            }
            if locked.settings != present.settings {
                lines.push(format!("{name} has other limits, isolation or priority in the settings than when it was locked"));
            }
        }
        let absent = self.plugins.iter().filter(|locked| !now.iter().any(|present| present.name == locked.name));
        lines.extend(absent.map(|locked| format!("{} is in the lock, and not in the folder of plugins", printable(&locked.name))));
        lines
    }
}

/// Whether an older version may take the place of a newer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Older {
    /// On the user's word.
    Allowed,
    /// As ever.
    Refused,
}

/// Whether one version is older (Semantic Versioning 2.0.0). Of versions that are none nobody knows; those count as older.
fn is_older(next: &str, now: &str) -> bool {
    match (semver::Version::parse(next), semver::Version::parse(now)) {
        (Ok(next), Ok(now)) => next < now,
        _ => next != now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Read;

    fn locked(name: &str, version: &str, reference: &str, bytes: &str) -> Locked {
        Locked {
            name: name.into(),
            version: version.into(),
            reference: Some(reference.parse().unwrap()),
            digest: Some(Digest::of(b"manifest")),
            file: Digest::of(bytes.as_bytes()),
            signers: vec!["acme".into()],
            keys: vec![Digest::of(b"key")],
            grants: Grants::from([Read::Output]),
            settings: Digest::of(b"settings"),
            tested: Some(Tested {
                passed: 3,
                deadline_ms: 50,
                memory_mib: 16,
                tracejury: "0.1.0".into(),
                on: NaiveDate::from_ymd_opt(2026, 11, 26).unwrap(),
            }),
        }
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plugins.lock");
        assert_eq!(Lock::read(&path).unwrap(), Lock::default());
        let mut lock = Lock::default();
        lock.put(locked("b", "1.0.0", "r.example.com/b:1", "b"));
        lock.put(Locked { reference: None, digest: None, tested: None, signers: vec![], ..locked("a", "1.0.0", "r.example.com/b:1", "a") });
        lock.write(&path).unwrap();
        assert_eq!(Lock::read(&path).unwrap(), lock);
        assert_eq!(lock.plugins[0].name, "a");
        std::fs::write(&path, "version = 1\n[[plugin]]\nname = 'x'\nfile = 'sha256:1'\n").unwrap();
        assert!(Lock::read(&path).unwrap_err().to_string().contains("plugins.lock:"), "{}", Lock::read(&path).unwrap_err());
        for (change, why) in [("name = \"a\"", "name: b stands here twice"), ("name = \"b\"", "name: is not kebab-case")] {
            lock.write(&path).unwrap();
            let text = std::fs::read_to_string(&path)
                .unwrap()
                .replace(change, if why.contains("twice") { "name = \"b\"" } else { "name = \"../b\"" });
            std::fs::write(&path, text).unwrap();
            assert!(Lock::read(&path).unwrap_err().to_string().contains(why), "{}", Lock::read(&path).unwrap_err());
        }
    }

    #[test]
    fn what_would_take_a_place_that_is_not_its_own_is_refused() {
        let mut lock = Lock::default();
        lock.put(locked("acme-rules", "1.2.0", "r.example.com/acme/rules:1.2.0", "old"));
        let admits = |next: &Locked| lock.admits(next, Older::Refused).map_err(|e| e.to_string());
        assert!(admits(&locked("acme-rules", "1.3.0", "r.example.com/acme/rules:1.3.0", "new")).is_ok());
        assert!(admits(&locked("acme-rules", "1.2.0", "r.example.com/acme/rules:1.2.0", "old")).is_ok());
        assert!(admits(&locked("other", "0.1.0", "r.example.com/acme/other:1", "x")).is_ok());
        for (next, why) in [
            (locked("acme-rules", "1.2.0", "r.example.com/acme/rules:1.2.0", "moved"), "is other bytes than before"),
            (locked("acme-rules", "1.2.1", "r.example.com/acme/rules:1.2.0", "moved"), "is other bytes than before"),
            (locked("acme-rules", "1.1.9", "r.example.com/acme/rules:1.1.9", "x"), "is older than 1.2.0"),
            (locked("acme-rules", "latest", "r.example.com/acme/rules:latest", "x"), "is older than 1.2.0"),
            (locked("acme-rules", "1.3.0", "r.evil.org/acme/rules:1.3.0", "x"), "this is another of that name"),
            (locked("acrne-rules", "1.3.0", "r.example.com/acme/x:1", "x"), "looks like acme-rules"),
        ] {
            assert!(admits(&next).unwrap_err().contains(why), "{why}: {:?}", admits(&next));
        }
        assert!(lock.admits(&locked("acme-rules", "1.1.9", "r.example.com/acme/rules:1.1.9", "x"), Older::Allowed).is_ok());
    }

    #[test]
    fn every_difference_is_told() {
        let mut lock = Lock::default();
        lock.put(locked("a", "1.0.0", "r.example.com/a:1", "a"));
        lock.put(locked("gone", "1.0.0", "r.example.com/gone:1", "gone"));
        let now = [
            Locked {
                file: Digest::of(b"z"),
                grants: Grants::new(),
                settings: Digest::of(b"z"),
                ..locked("a", "1.0.0", "r.example.com/a:1", "a")
            },
            locked("new", "1.0.0", "r.example.com/new:1", "new"),
        ];
        let lines = lock.differences(&now);
        assert_eq!(lines.len(), 5, "{lines:#?}");
        assert!(lock.differences(&lock.plugins).is_empty());
    }
}
