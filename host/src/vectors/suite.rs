//! All vectors of a run: checked whole before the first of them is given out, and made again as they are needed, so that a million rows
//! take no more memory than ten.

use super::data::Data;
use super::entry::Format;
use super::files::{meant, opened};
use super::part::{Part, Reader};
use super::{Schemas, Selection, Variables};
use crate::model::{Environment, Vector};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

/// Files of less than this are held, in bytes: thousands of small ones must not be open all at once.
const HELD: u64 = 1 << 20;
/// How many problems are listed.
const MAX_PROBLEMS: usize = 100;
/// How many names are kept of vectors for production.
const SOME: usize = 10;

/// How files are read.
#[derive(Debug, Default)]
pub struct Reading {
    /// What inputs must be.
    pub schemas: Schemas,
    /// What stands in place of `{{name}}`.
    pub variables: Variables,
    /// Rows that feed each vector.
    pub data: Option<PathBuf>,
    /// Which vectors are wanted.
    pub selection: Selection,
    /// How often each is run, where not once.
    pub repeat: Option<NonZeroU32>,
}

/// What all parts of a suite are read by.
#[derive(Debug, Default)]
pub(super) struct Terms {
    pub(super) schemas: Arc<Schemas>,
    pub(super) variables: Variables,
    pub(super) data: Option<Data>,
    pub(super) selection: Selection,
}

/// Vectors that were checked.
pub struct Suite {
    parts: Vec<(Part, usize)>,
    terms: Arc<Terms>,
    repeat: Option<NonZeroU32>,
    count: usize,
    left_out: usize,
    prod: Prod,
}

/// What would run in production.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Prod {
    /// How many vectors.
    pub count: usize,
    /// The names of some of them.
    pub names: Vec<String>,
}

impl Suite {
    /// Reads and checks files, folders and patterns; `-` is stdin, which is kept in a file of its own meanwhile.
    ///
    /// # Errors
    /// All problems of all files, the first of them in full.
    pub fn read(named: &[PathBuf], reading: Reading) -> Result<Self, Vec<String>> {
        Self::read_holding(named, reading, HELD)
    }

    /// The same; files of less than `held` bytes are held in memory, whatever they look like.
    fn read_holding(named: &[PathBuf], reading: Reading, held: u64) -> Result<Self, Vec<String>> {
        let data = reading.data.as_deref().map(Data::open).transpose().map_err(|what| vec![what])?;
        let terms = Terms { schemas: Arc::new(reading.schemas), variables: reading.variables, data, selection: reading.selection };
        let mut suite = Self { terms: Arc::new(terms), repeat: reading.repeat, ..Self::empty() };
        let mut problems = Problems::default();
        for path in meant(named)? {
            let part = opened(&path).map_err(|what| vec![what]).and_then(|(name, file)| Part::open(&name, &path, file, held, &suite.terms));
            match part {
                Ok(part) => suite.add(part, &mut problems),
                Err(found) => found.into_iter().for_each(|problem| problems.add(problem)),
            }
        }
        if problems.count == 0 { Ok(suite) } else { Err(problems.listed()) }
    }

    /// Vectors that are in memory already, as JSON.
    ///
    /// # Errors
    /// All problems.
    pub fn of_text(name: &str, text: &str) -> Result<Self, Vec<String>> {
        let (mut suite, mut problems) = (Self::empty(), Problems::default());
        suite.add(Part::of_text(name, text, Format::Json, &suite.terms)?, &mut problems);
        if problems.count == 0 { Ok(suite) } else { Err(problems.listed()) }
    }

    fn empty() -> Self {
        Self { parts: Vec::new(), terms: Arc::default(), repeat: None, count: 0, left_out: 0, prod: Prod::default() }
    }

    /// How many there are, each as often as it is run.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.saturating_mul(self.times())
    }

    /// How many vectors of the files are not wanted.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// What of them would run in production.
    #[must_use]
    pub fn prod(&self) -> &Prod {
        &self.prod
    }

    /// The vectors, in order, each as often as it is run.
    #[must_use]
    pub fn vectors(self) -> Vectors {
        let times = self.repeat.map(NonZeroU32::get).filter(|times| *times > 1);
        Vectors {
            parts: self.parts.into_iter(),
            terms: self.terms,
            part: None,
            prod: self.prod.count > 0,
            times,
            again: None,
            broken: false,
        }
    }

    fn times(&self) -> usize {
        self.repeat.map_or(1, |times| usize::try_from(times.get()).unwrap_or(usize::MAX))
    }

    fn add(&mut self, part: Part, problems: &mut Problems) {
        let before = self.count;
        part.wrong().iter().for_each(|problem| problems.add(problem.clone()));
        match part.reader(&self.terms) {
            Err(found) => found.into_iter().for_each(|problem| problems.add(problem)),
            Ok(mut reader) => {
                for vector in &mut reader {
                    match vector {
                        Ok(vector) => self.note(&vector),
                        Err(found) => found.into_iter().for_each(|problem| problems.add(problem)),
                    }
                }
                self.left_out += reader.left_out();
            }
        }
        self.parts.push((part, self.count - before));
    }

    fn note(&mut self, vector: &Vector) {
        self.count += 1;
        if vector.environment == Environment::Prod {
            self.prod.count += 1;
            if self.prod.names.len() < SOME {
                self.prod.names.push(vector.name.clone());
            }
        }
    }
}

/// The vectors of a suite, in order. An error is one of a file that was changed since it was checked; nothing follows it.
pub struct Vectors {
    parts: std::vec::IntoIter<(Part, usize)>,
    terms: Arc<Terms>,
    /// The part that is read, and how many vectors of it are still to come.
    part: Option<(Reader, usize)>,
    /// Whether there was anything for production among what was checked.
    prod: bool,
    /// How often each is run, where that is more than once.
    times: Option<u32>,
    /// The vector that is still to be run again, and how often it was given.
    again: Option<(Vector, u32)>,
    broken: bool,
}

impl Iterator for Vectors {
    type Item = Result<Vector, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some((vector, given)) = self.again.take() {
            let next = Vector { repetition: Some(given + 1), ..vector.clone() };
            self.again = Some((vector, given + 1)).filter(|(_, given)| self.times.is_some_and(|times| *given < times));
            return Some(Ok(next));
        }
        if self.broken {
            return None;
        }
        match self.following()? {
            Ok(vector) if self.times.is_some() => {
                self.again = Some((vector.clone(), 1));
                Some(Ok(Vector { repetition: Some(1), ..vector }))
            }
            Ok(vector) => Some(Ok(vector)),
            Err(found) => {
                self.broken = true;
                Some(Err(format!("{} (the file was changed while it was run)", found.join("; "))))
            }
        }
    }
}

impl Vectors {
    /// The next vector of the files.
    fn following(&mut self) -> Option<Result<Vector, Vec<String>>> {
        loop {
            let Some((reader, left)) = &mut self.part else {
                let (part, count) = self.parts.next()?;
                match part.reader(&self.terms) {
                    Ok(reader) => self.part = Some((reader, count)),
                    Err(found) => return Some(Err(found)),
                }
                continue;
            };
            match (reader.next(), *left) {
                (None, 0) => self.part = None,
                (None, _) => return Some(Err(vec![format!("{}: ends earlier than it did", reader.file())])),
                (Some(_), 0) => return Some(Err(vec![format!("{}: is longer than it was", reader.file())])),
                (Some(Ok(vector)), _) if vector.environment == Environment::Prod && !self.prod => {
                    return Some(Err(vec![format!("{}: {}: would run in production", reader.file(), vector.name)]));
                }
                (Some(next), _) => {
                    *left -= 1;
                    return Some(next);
                }
            }
        }
    }
}

/// Problems, of which the first are kept.
#[derive(Default)]
struct Problems {
    first: Vec<String>,
    count: usize,
}

impl Problems {
    fn add(&mut self, problem: String) {
        self.count += 1;
        if self.first.len() < MAX_PROBLEMS {
            self.first.push(problem);
        }
    }

    fn listed(mut self) -> Vec<String> {
        if self.count > self.first.len() {
            self.first.push(format!("and {} more", self.count - self.first.len()));
        }
        self.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    const LINE: &str = r#"{"dataActionId":"a1b2c3d4-e5f6-7890-abcd-ef1234567890","inputParameters":{"n":1},"environmentId":"prod"}"#;

    fn suite(text: impl AsRef<[u8]>) -> Result<Suite, Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("v.ndjson");
        std::fs::write(&path, text).unwrap();
        let found = Suite::read_holding(&[path], Reading::default(), 0);
        found.map_err(|list| list.iter().map(|e| e.replace(&format!("{}/", dir.path().display()), "")).collect())
    }

    #[test]
    fn lines_are_counted_checked_and_read_again() {
        let suite = suite(format!("\u{feff}{LINE}\n\n{LINE}\r\n{LINE}")).unwrap();
        assert!(suite.parts[0].0.is_streamed());
        assert_eq!((suite.count(), suite.prod().count, suite.prod().names.len()), (3, 3, 3));
        let names: Vec<_> = suite.vectors().map(|v| v.unwrap().name).collect();
        assert_eq!(names, ["v#1", "v#2", "v#3"]);
    }

    #[test]
    fn one_object_and_an_array_are_held() {
        for text in [LINE.to_owned(), format!("{LINE}\n"), LINE.replace(',', ",\n"), format!("[{LINE}]")] {
            let suite = suite(&text).unwrap();
            assert!(suite.count() == 1 && !suite.parts[0].0.is_streamed(), "{text}");
        }
    }

    #[test]
    fn problems_have_their_lines_and_there_is_an_end_to_them() {
        let bad = LINE.replace("prod", "live");
        assert_eq!(
            suite(format!("{LINE}\n\n{bad}\n{{\n")).err().unwrap(),
            [
                "v.ndjson:3:98: vector 2: environmentId: is not one of dev, test, prod",
                "v.ndjson:4:1: is not JSON: EOF while parsing an object"
            ]
        );
        assert_eq!(suite([LINE.as_bytes(), b"\n\xff\n"].concat()).err().unwrap(), ["v.ndjson:2: is not UTF-8; save the file as UTF-8"]);
        let many = suite(format!("{LINE}\n{}", format!("{bad}\n").repeat(150))).err().unwrap();
        assert_eq!((many.len(), many.last().unwrap().as_str()), (101, "and 50 more"));
    }

    #[test]
    fn a_file_that_is_changed_meanwhile_ends_the_run() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("v.ndjson");
        std::fs::write(&path, format!("{LINE}\n{LINE}\n{LINE}\n")).unwrap();
        let changed = |text: &str| {
            std::fs::write(&path, format!("{LINE}\n{LINE}\n{LINE}\n")).unwrap();
            let mut vectors = Suite::read_holding(std::slice::from_ref(&path), Reading::default(), 0).unwrap().vectors();
            std::fs::OpenOptions::new().write(true).truncate(true).open(&path).unwrap().write_all(text.as_bytes()).unwrap();
            assert!(vectors.next().unwrap().is_ok());
            let error = vectors.find_map(Result::err).unwrap();
            assert!(error.ends_with("(the file was changed while it was run)") && vectors.next().is_none(), "{error}");
            error
        };
        assert!(changed(&format!("{LINE}\n[{LINE}\n{LINE}\n")).contains("is not JSON"));
        assert!(changed(&format!("{LINE}\n{LINE}\n")).contains("ends earlier"));
        assert!(changed(&format!("{LINE}\n{LINE}\n{LINE}\n{LINE}\n")).contains("is longer"));
    }

    #[test]
    fn what_was_changed_cannot_slip_into_production() {
        let dir = tempfile::tempdir().unwrap();
        let (path, test) = (dir.path().join("v.ndjson"), LINE.replace("prod", "test"));
        std::fs::write(&path, format!("{test}\n{test}\n")).unwrap();
        let mut vectors = Suite::read_holding(std::slice::from_ref(&path), Reading::default(), 0).unwrap().vectors();
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().write_all(format!("{test}\n{LINE}\n").as_bytes()).unwrap();
        assert!(vectors.next().unwrap().is_ok());
        assert!(vectors.next().unwrap().unwrap_err().contains("would run in production"));
    }

    const ACTION: &str = "a1b2c3d4-e5f6-7890-abcd-ef1234567890";

    /// Reads files of a folder; `v.*` is what is run.
    fn read(files: &[(&str, &str)], reading: impl FnOnce(&std::path::Path) -> Reading, held: u64) -> Result<Vec<Vector>, Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text.replace("ACTION", ACTION)).unwrap();
        }
        let named: Vec<_> = files.iter().map(|(name, _)| dir.path().join(name)).filter(|path| path.file_stem().unwrap() == "v").collect();
        let short = |text: &String| text.replace(&format!("{}/", dir.path().display()), "");
        let suite = Suite::read_holding(&named, reading(dir.path()), held).map_err(|list| list.iter().map(short).collect::<Vec<_>>())?;
        let count = suite.count();
        let vectors: Vec<_> = suite.vectors().map(Result::unwrap).collect();
        assert_eq!(vectors.len(), count);
        Ok(vectors)
    }

    fn names(vectors: &[Vector]) -> Vec<&str> {
        vectors.iter().map(|vector| vector.name.as_str()).collect()
    }

    const YAML: &str = "defaults:
  dataActionId: ACTION
  environmentId: test
  inputParameters: {currency: EUR, order: {lines: 1}}
  expect: {status: FAILED}
matrix:
  country: [de, fr]
  amount: [1, 2.5]
vectors:
  - name: refund-{{country}}
    inputParameters: {amount: '{{amount}}', order: {id: O}}
  - name: plain
    expect:
      reason: [dns, tls]
      result:
        /total: {equals: '{{amount}}'}
";

    #[test]
    fn defaults_and_a_matrix_make_vectors_of_their_own() {
        let vectors = read(&[("v.yaml", YAML)], |_| Reading::default(), HELD).unwrap();
        assert_eq!(
            names(&vectors),
            [
                "refund-de [amount=1]",
                "refund-de [amount=2.5]",
                "refund-fr [amount=1]",
                "refund-fr [amount=2.5]",
                "plain [country=de, amount=1]",
                "plain [country=de, amount=2.5]",
                "plain [country=fr, amount=1]",
                "plain [country=fr, amount=2.5]"
            ]
        );
        let input = serde_json::to_value(&vectors[1].input).unwrap();
        assert_eq!(input, serde_json::json!({"currency": "EUR", "order": {"lines": 1, "id": "O"}, "amount": 2.5}));
        let source = vectors[4].source.as_ref().unwrap();
        let lines = ["status", "reason", "result /total"]
            .map(|field| source.of_mismatch(&format!("{field}: x")).rsplit(':').next().unwrap().to_owned());
        assert_eq!((lines, source.line), (["5", "14", "16"].map(str::to_owned), 12), "defaults have their own lines");
    }

    #[test]
    fn a_data_file_feeds_a_template() {
        let template =
            r#"{"name":"order {{id}}","dataActionId":"ACTION","environmentId":"test","inputParameters":{"id":"{{id}}","n":"{{n}}"}}"#;
        let data = |dir: &std::path::Path| Reading { data: Some(dir.join("rows.csv")), ..Reading::default() };
        let rows = "id,n\n,integer\nA,1\nB,2\n";
        for held in [0, HELD] {
            let vectors = read(&[("v.json", template), ("rows.csv", rows)], data, held).unwrap();
            assert_eq!((names(&vectors), &vectors[1].input["n"]), (vec!["order A", "order B"], &serde_json::json!(2)));
        }
        let plain = template.replace("order {{id}}", "order");
        assert_eq!(names(&read(&[("v.json", &plain), ("rows.csv", rows)], data, HELD).unwrap()), ["order [row 1]", "order [row 2]"]);
        let wrong = read(&[("v.json", template), ("rows.csv", "id\nA\n")], data, HELD).unwrap_err();
        assert!(
            wrong[0].starts_with("v.json:1:138: vector 1 (order A): inputParameters.n: {{n}} is not defined; there are id; "),
            "{wrong:?}"
        );
    }

    #[test]
    fn a_table_is_read_row_by_row_and_typed_by_the_schema() {
        let table = "name,dataActionId,environmentId,amount,expect.status\na,ACTION,test,007,\nb,ACTION,dev,8.5,FAILED\n";
        let typed = |dir: &std::path::Path| {
            std::fs::write(dir.join("schema.json"), r#"{"properties":{"amount":{"type":["null","number"]}}}"#).unwrap();
            Reading { schemas: Schemas::read(&dir.join("schema.json")).unwrap(), ..Reading::default() }
        };
        for held in [0, HELD] {
            let vectors = read(&[("v.csv", table)], |_| Reading::default(), held).unwrap();
            assert_eq!((&vectors[0].input["amount"], vectors[1].source.as_ref().unwrap().line), (&serde_json::json!("007"), 3));
            assert_eq!(read(&[("v.csv", table)], typed, held).unwrap_err(), ["v.csv:2: column amount: is no number"]);
            let right = table.replace("007", "7");
            assert_eq!(read(&[("v.csv", &right)], typed, held).unwrap()[0].input["amount"], serde_json::json!(7));
        }
    }

    #[test]
    fn what_is_wrong_in_yaml_has_its_line() {
        let wrong = |text: &str| read(&[("v.yaml", text)], |_| Reading::default(), HELD).unwrap_err();
        assert_eq!(
            wrong("- name: a\n  dataActionId: ACTION\n  environmentId: live\n  inputParameters:\n    x: '{{y}}'\n"),
            [
                "v.yaml:5:8: vector 1 (a): inputParameters.x: {{y}} is not defined; there is no variable at all; --var y=… gives it a value, and \\{{ is two braces that are meant"
            ]
        );
        assert_eq!(
            wrong("- name: a\n  dataActionId: ACTION\n  environmentId: live\n  inputParameters: {}\n"),
            ["v.yaml:3:18: vector 1 (a): environmentId: is not one of dev, test, prod"]
        );
        assert_eq!(wrong("vectors: 3\n"), ["v.yaml:1:10: vectors: is not a list of vectors"]);
        assert_eq!(wrong("matrix: {a: 1}\nvector: []\nvectors: []\n").len(), 2);
        assert!(wrong("a: [\n")[0].starts_with("v.yaml:"), "{:?}", wrong("a: [\n"));
        assert_eq!(wrong("# nothing\n"), ["v.yaml: holds no vector"]);
    }

    #[test]
    fn the_first_line_may_speak_of_all_lines() {
        let lines = format!(
            "{{\"defaults\":{{\"dataActionId\":\"ACTION\",\"environmentId\":\"test\"}},\"matrix\":{{\"n\":[1,2]}}}}\n{0}\n{0}\n",
            r#"{"inputParameters":{"n":"{{n}}"}}"#
        );
        for held in [0, HELD] {
            let vectors = read(&[("v.ndjson", &lines)], |_| Reading::default(), held).unwrap();
            assert_eq!(names(&vectors), ["v#1 [n=1]", "v#1 [n=2]", "v#2 [n=1]", "v#2 [n=2]"], "{held}");
        }
    }

    #[test]
    fn only_what_is_selected_is_counted_and_each_as_often_as_it_is_run() {
        let selected = |_: &std::path::Path| Reading {
            selection: Selection { filters: vec!["name(~de)".parse().unwrap()], ..Selection::default() },
            repeat: NonZeroU32::new(2),
            ..Reading::default()
        };
        let vectors = read(&[("v.yaml", YAML)], selected, HELD).unwrap();
        let repetitions: Vec<_> = vectors.iter().map(|vector| vector.repetition.unwrap()).collect();
        assert_eq!(
            (names(&vectors)[..3].to_vec(), repetitions),
            (vec!["refund-de [amount=1]", "refund-de [amount=1]", "refund-de [amount=2.5]"], vec![1, 2, 1, 2, 1, 2, 1, 2])
        );
    }

    #[test]
    fn a_name_is_filled_in_once_and_tells_no_secret() {
        let vector = |name: &str| format!("- {{name: '{name}', dataActionId: ACTION, environmentId: test, inputParameters: {{}}}}\n");
        let variables = |_: &std::path::Path| {
            let text = |text: &str| serde_json::Value::from(text);
            let values = [("n".to_owned(), text("{{q}}")), ("q".to_owned(), text("x")), ("open".to_owned(), text("my hunter22"))];
            let secrets = [("token".to_owned(), crate::model::Secret::new("hunter22".into()))];
            Reading { variables: Variables { values: values.into_iter().collect(), secrets: secrets.into() }, ..Reading::default() }
        };
        let named = |name: &str| read(&[("v.yaml", &vector(name))], variables, HELD);
        assert_eq!((names(&named("a {{n}}").unwrap()), names(&named("\\{{n}}").unwrap())), (vec!["a {{q}}"], vec!["{{n}}"]));
        let wrong = named("a {{open}}").unwrap_err();
        assert_eq!(wrong, ["v.yaml:1:10: vector 1: name: holds the value of the secret token, and is shown"]);
    }

    #[test]
    fn what_json_and_yaml_cannot_hold_is_an_error_and_not_another_value() {
        let input = |text: &str| format!("- dataActionId: ACTION\n  environmentId: test\n  inputParameters: {{a: {text}}}\n");
        let yaml = |text: &str| read(&[("v.yaml", &input(text))], |_| Reading::default(), HELD).map(|v| v[0].input["a"].clone());
        for lossy in ["0123", "017", "1_000", "123456789012345678901234567890", "-007"] {
            let wrong = yaml(lossy).unwrap_err();
            assert_eq!(wrong, ["v.yaml:3:24: is a number that would lose digits as they are written; in quotes it is a text"], "{lossy}");
        }
        for (text, value) in
            [("'0123'", serde_json::json!("0123")), ("no", "no".into()), ("0", 0.into()), ("0.5", 0.5.into()), ("true", true.into())]
        {
            assert_eq!(yaml(text).unwrap(), value, "{text}");
        }
        let json = |text: &str| read(&[("v.json", text)], |_| Reading::default(), HELD).unwrap_err();
        assert_eq!(json("[\n {\"a\": 1e999}]"), ["v.json:2:2: cannot be read as JSON: number out of range"]);
        let many =
            "  - {dataActionId: ACTION, environmentId: test, inputParameters: {a: 1, b: 2, c: 3, d: 4, e: 5, f: 6}}\n".repeat(20_000);
        assert_eq!(read(&[("v.yaml", &format!("vectors:\n{many}"))], |_| Reading::default(), HELD).unwrap().len(), 20_000);
    }
}
