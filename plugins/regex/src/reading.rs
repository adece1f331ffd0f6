//! How a text of an error is read: which lines are frames of a stack and which say something, how deep in the chain of causes each
//! stands, and what in it is quoted. It knows how runtimes print errors, not what any error means.

use crate::normal::has_drive;
use crate::quoted;
use std::ops::Range;

/// What announces the cause of what stands before it, in lower case.
const CAUSES: [&str; 14] = [
    "caused by",
    "[cause]",
    "cause:",
    "cause\":",
    "cause=",
    "--->",
    "nested exception is",
    "root cause",
    "inner exception",
    "innerexception",
    "[errors]",
    "wrapped=",
    "underlying error",
    "original error",
];
/// What stands in Python between a cause and the error that came of it: here the cause is the one before.
const FOLLOWS: [&str; 2] = ["during handling of the above exception", "the above exception was the direct cause"];
/// The word for `at` before a frame of .NET, in the languages it is translated to.
const AT: [&str; 12] = ["at", "bei", "à", "en", "em", "in", "w", "в", "på", "konum:", "在", "場所"];
/// Within so many bytes two marks are one.
const NEAR: usize = 16;
/// More causes than these are not told apart: a text may be made of nothing else.
const MOST_CAUSES: usize = 16;
/// Deeper than this is no deeper.
const DEEPEST: i32 = 2;

/// A text, read.
#[derive(Debug, Default)]
pub struct Reading {
    /// Stretches of the text that hold no frame, each with its depth; one after the other.
    said: Vec<(Range<usize>, i32)>,
    /// What is quoted in it; one after the other.
    quoted: Vec<Range<usize>>,
    /// How many causes were found.
    causes: usize,
}

/// How a rule looks at a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lens {
    /// At all of it.
    Whole,
    /// At what is said in its own words: neither frames nor what is quoted.
    Said,
    /// As `Said`, and at what is quoted.
    Quoted,
    /// At frames.
    Frames,
}

impl Reading {
    /// Reads a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let lines: Vec<_> = lines(text).collect();
        let mut reading = Self::default();
        let mut depth = 0;
        for (i, (range, line)) in lines.iter().enumerate() {
            let next = lines.get(i + 1).map(|(_, next)| *next);
            let before = i.checked_sub(1).and_then(|i| lines.get(i)).map(|(_, line)| *line);
            if is_frame(line, before, next) {
                continue;
            }
            reading.say(range.clone(), line, &mut depth);
        }
        reading.quoted = quoted::ranges(text);
        reading
    }

    /// Takes in a line that is no frame.
    fn say(&mut self, range: Range<usize>, line: &str, depth: &mut i32) {
        let marks = Marks(line);
        if self.causes < MOST_CAUSES && marks.any() {
            if let Some(at) = marks.find(&FOLLOWS, 0) {
                self.causes += 1;
                self.push(range.start..range.start + at, *depth);
                *depth -= 1;
                self.push(range.start + at..range.end, *depth);
                return;
            }
            let mut start = 0;
            let mut mark = marks.find(&CAUSES, 0);
            while let Some(at) = mark {
                self.push(range.start + start..range.start + at, *depth);
                self.causes += 1;
                *depth += 1;
                start = at;
                // Two words for one cause, such as `Inner exception, caused by`, stand near each other.
                mark = marks.find(&CAUSES, at + NEAR).filter(|_| self.causes < MOST_CAUSES);
            }
            self.push(range.start + start..range.end, *depth);
            return;
        }
        self.push(range, *depth);
    }

    fn push(&mut self, range: Range<usize>, depth: i32) {
        if range.is_empty() {
            return;
        }
        match self.said.last_mut() {
            // One stretch as long as nothing but the end of a line lies between.
            Some((last, known)) if *known == depth && range.start <= last.end + 2 => last.end = range.end,
            _ => self.said.push((range, depth)),
        }
    }

    /// The stretches in which a rule looks, each with its depth: as many as there are changes of depth, frames and all.
    pub fn scopes(&self) -> Vec<(Range<usize>, i32)> {
        let mut scopes: Vec<(Range<usize>, i32)> = Vec::new();
        for (range, depth) in &self.said {
            let depth = (*depth).clamp(-DEEPEST, DEEPEST);
            match scopes.last_mut().filter(|(_, known)| *known == depth) {
                Some((last, _)) => last.end = range.end,
                None => scopes.push((range.clone(), depth)),
            }
        }
        scopes
    }

    /// Whether a hit counts when one looks through `lens`; where not, from where to go on.
    ///
    /// # Errors
    /// The place behind what does not count.
    pub fn admits(&self, lens: Lens, hit: &Range<usize>) -> Result<(), usize> {
        let said = self.said.get(self.said.partition_point(|(said, _)| said.end <= hit.start));
        match (lens, said) {
            (Lens::Whole, _) => Ok(()),
            (Lens::Frames, Some((said, _))) if said.start <= hit.start => Err(said.end),
            (Lens::Frames, _) => Ok(()),
            (_, Some((said, _))) if said.start > hit.start => Err(said.start),
            (_, None) => Err(usize::MAX),
            (Lens::Quoted, _) => Ok(()),
            (Lens::Said, _) => {
                let quoted = self.quoted.get(self.quoted.partition_point(|quoted| quoted.end < hit.end));
                match quoted.filter(|quoted| quoted.start <= hit.start) {
                    Some(quoted) => Err(quoted.end),
                    None => Ok(()),
                }
            }
        }
    }
}

/// Looks for marks whatever the case of their letters, where there may be any.
struct Marks<'a>(&'a str);

impl Marks<'_> {
    /// A quick look: without one of these no mark is there in small letters, in capitals, or with a capital first.
    fn any(&self) -> bool {
        const PARTS: [&str; 17] = [
            "ause", "AUSE", "--->", "ested e", "ESTED E", "nner e", "NNER E", "nnere", "nnerE", "NNERE", "rrors]", "RRORS]", "rapped=",
            "RAPPED=", "derlying", "DERLYING", "bove e",
        ];
        PARTS.iter().chain(&["BOVE E", "riginal e", "RIGINAL E"]).any(|part| self.0.contains(part))
    }

    fn find(&self, marks: &[&str], from: usize) -> Option<usize> {
        let rest = self.0.as_bytes().get(from..)?;
        // Not within a word: `because:` announces nothing.
        let begins = |at: usize| at.checked_sub(1).and_then(|before| rest.get(before)).is_none_or(|b| !b.is_ascii_alphabetic());
        let at = |mark: &&str| {
            let is = |(at, window): (usize, &[u8])| window.eq_ignore_ascii_case(mark.as_bytes()) && begins(at);
            rest.windows(mark.len()).enumerate().position(is)
        };
        marks.iter().filter_map(at).min().map(|at| from + at)
    }
}

/// The lines of a text and where they stand. The two characters `\n`, as JSON has them, end a line too.
fn lines(text: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    let written_ends = !has_drive(text);
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = text.get(start..).filter(|rest| !rest.is_empty())?;
        let real = rest.find('\n');
        // Looked for on this line only: else each line of a long text would be searched to the text's end.
        let line = rest.get(..real.unwrap_or(rest.len())).unwrap_or_default();
        let written = line.find("\\n").filter(|_| written_ends);
        let (end, skip) = written.map_or_else(|| (line.len(), usize::from(real.is_some())), |written| (written, 2));
        let range = start..start + end;
        start += end + skip;
        Some((range, rest.get(..end).unwrap_or_default()))
    })
}

/// Whether a line is a frame of a stack, or code that a runtime prints beside one.
fn is_frame(line: &str, before: Option<&str>, next: Option<&str>) -> bool {
    let text = line.trim();
    let Some(first) = text.chars().next() else { return false };
    let carets = |line: &str| line.contains(['^', '~']) && line.trim().chars().all(|c| matches!(c, '^' | '~' | '-' | ' '));
    if carets(line) || next.is_some_and(|next| carets(next) && !says_error(text)) {
        return true;
    }
    match first {
        '#' => text.chars().nth(1).is_some_and(|c| c.is_ascii_digit()),
        '.' => text.starts_with("... ") && text.len() < 80,
        '-' if text.starts_with("---") => text.ends_with("---") || is_numbered(text.trim_start_matches('-').trim_start_matches('>')),
        'F' if text.starts_with("File \"") => text.contains(", line ") && !says_error(text),
        'g' if text.starts_with("goroutine ") => text.ends_with(':'),
        'c' if text.starts_with("created by ") => next.is_some_and(|next| next.contains(".go:")),
        'C' if text.starts_with("Class.") => text.contains(": line "),
        'f' if text.starts_with("from ") => text.contains(":in "),
        'T' | 'S' if text.eq_ignore_ascii_case("stack trace:") || text.starts_with("Traceback (most recent") => true,
        _ => {
            is_named(text)
                || is_placed(text)
                || is_code(line, before)
                || (line.starts_with("    ") && is_numbered(text) && text.contains("    "))
                || next.is_some_and(|next| is_go_call(text, next))
        }
    }
}

fn says_error(text: &str) -> bool {
    ["Error: ", "Exception: ", "Error:\n"].iter().any(|word| text.contains(word))
}

/// `at f (file:1:2)`, and as .NET says it in other languages.
fn is_named(text: &str) -> bool {
    let Some((word, rest)) = text.split_once(' ') else { return false };
    if !AT.contains(&word) {
        return false;
    }
    let rest = rest.trim_start();
    // What goes on behind the place is a sentence.
    if rest.contains("): ") && !rest.contains(" in ") {
        return false;
    }
    let called = rest.strip_prefix("async ").unwrap_or(rest).split('(').next().unwrap_or_default();
    let is_call = rest.contains('(') && (called.contains(['.', '<', '/']) || !called.trim_end().contains(' '));
    if word == "at" {
        is_call || has_position(rest) || rest.contains("<anonymous>")
    } else {
        is_call && called.contains('.') && !called.trim().contains(' ')
    }
}

/// Lines that name a place in a file, as Ruby, PHP, Go, Elixir and Firefox have them.
fn is_placed(text: &str) -> bool {
    let after = |mark: &str| text.split_once(mark).map(|(_, rest)| rest);
    let digits = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    let ruby = after(":in ")
        .is_some_and(|rest| text.split(":in ").next().is_some_and(ends_in_digit) && !rest.contains(": ") && !rest.contains('('));
    let php = after(".php:").is_some_and(|rest| digits(rest) && rest.contains(" - "));
    let go = after(".go:").is_some_and(digits) && text.starts_with(['/', '.']) && !text.contains(": ");
    let elixir = text.starts_with('(') && after(".ex:").is_some_and(digits);
    let firefox = text.contains('@') && text.contains("://") && !text.contains(' ') && has_position(text);
    // `f (/file.js:1:2)`, as JSON has it in a list.
    let listed = text.trim_end_matches([',', '"', ' ']).ends_with(')')
        && text.trim_end_matches([',', '"', ' ', ')']).ends_with(|c: char| c.is_ascii_digit());
    ruby || php || go || elixir || firefox || (listed && has_position(text) && text.contains("(/") && !says_error(text))
}

fn ends_in_digit(text: &str) -> bool {
    text.ends_with(|c: char| c.is_ascii_digit())
}

/// Whether it ends like `:12` or `:12:3`.
fn has_position(text: &str) -> bool {
    let text = text.trim_end_matches([')', ',', '"', ' ']);
    let Some((before, last)) = text.rsplit_once(':') else { return false };
    !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()) && (ends_in_digit(before) || before.contains(['/', '.']))
}

/// The line of code that Python prints under a place.
fn is_code(line: &str, before: Option<&str>) -> bool {
    let indent = |line: &str| line.len() - line.trim_start().len();
    before.is_some_and(|before| {
        let place = before.trim_start().starts_with("File \"") && before.contains(", line ");
        place && indent(line) > indent(before)
    })
}

/// Whether it begins with the number of a line.
fn is_numbered(text: &str) -> bool {
    let text = text.trim_start();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (1..=5).contains(&digits) && text.as_bytes().get(digits).is_none_or(|b| *b == b' ')
}

/// A call in a stack of Go: the file stands on the next line.
fn is_go_call(text: &str, next: &str) -> bool {
    let next = next.trim_start();
    text.ends_with(')') && text.contains('(') && !text.contains(": ") && next.starts_with('/') && next.contains(".go:")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said in a text, with its depth.
    fn said(text: &str) -> Vec<(&str, i32)> {
        Reading::of(text).said.into_iter().map(|(range, depth)| (text[range].trim(), depth)).filter(|(text, _)| !text.is_empty()).collect()
    }

    #[test]
    fn frames_say_nothing() {
        for frames in [
            "    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1611:16)",
            "    at /srv/action/handleTimeout.js:8:2",
            "    at async Promise.all (index 0)",
            "\tat com.example.TimeoutHandler.run(TimeoutHandler.java:17)\n\t... 14 more",
            "   at System.Net.HttpWebRequest.GetResponse()\n   --- End of inner exception stack trace ---",
            "   bei System.Net.HttpWebRequest.GetResponse()",
            "在 System.Net.HttpWebRequest.GetResponse()",
            "  File \"/srv/a.py\", line 3, in f\n    raise ConnectionError('reset')\n    ^^^^^",
            "#0 /srv/a.php(3): connect()\n#1 {main}",
            "app/a.php:12 - App\\Timeout::run",
            "\tfrom /srv/a.rb:3:in `timeout'",
            "/srv/a.rb:3:in `rescue in timeout'",
            "goroutine 1 [running]:\nmain.timeout(0x1)\n\t/srv/a.go:3 +0x1",
            "Class.Orders.timeout: line 3, column 1",
            "timeout@https://app.example.com/a.js:1:2",
            "const timeout = 3;\n      ^",
            "  \"Request.timeout (/srv/a.js:1:2)\",",
        ] {
            assert_eq!(said(frames), [], "{frames}");
        }
        for text in [
            "at least one item is required",
            "File not found: a.txt",
            "in order to connect (again) wait",
            "GET /a.php:12 failed",
            "from the host",
        ] {
            assert_eq!(said(text), [(text, 0)]);
        }
    }

    #[test]
    fn a_cause_lies_deeper_than_what_it_caused() {
        let node = "TypeError: fetch failed\n    at f (a.js:1:2) {\n  [cause]: Error: read ECONNRESET\n}";
        assert_eq!(said(node), [("TypeError: fetch failed", 0), ("[cause]: Error: read ECONNRESET\n}", 1)]);
        let dotnet = "A: a ---> B: it went wrong there ---> C: c";
        assert_eq!(said(dotnet), [("A: a", 0), ("---> B: it went wrong there", 1), ("---> C: c", 2)]);
        let python = "KeyError: 'a'\n\nDuring handling of the above exception, another exception occurred:\n\nValueError: b";
        assert_eq!(
            said(python),
            [("KeyError: 'a'", 0), ("During handling of the above exception, another exception occurred:\n\nValueError: b", -1)]
        );
        assert_eq!(said("x\\nCaused by: y"), [("x", 0), ("Caused by: y", 1)]);
        assert_eq!(said("it ended because: y"), [("it ended because: y", 0)]);
        for mark in CAUSES {
            for mark in [mark.to_owned(), mark.to_uppercase(), mark[..1].to_uppercase() + &mark[1..]] {
                assert_eq!(said(&format!("a {mark} b")).len(), 2, "{mark}");
            }
        }
    }

    #[test]
    fn a_lens_admits_what_it_is_for() {
        let text = "boom\n    at f (a.js:1:2)\nsee https://h/boom";
        let reading = Reading::of(text);
        let hits = |lens| text.match_indices(['b', 'f', 'h']).filter(|(at, t)| reading.admits(lens, &(*at..at + t.len())).is_ok()).count();
        assert_eq!((hits(Lens::Said), hits(Lens::Quoted), hits(Lens::Frames), hits(Lens::Whole)), (1, 4, 1, 5));
        assert_eq!(reading.admits(Lens::Said, &(12..13)), Err(25));
    }

    /// What would take hours if anything in here took quadratic time.
    #[test]
    fn a_long_text_is_read_in_time_with_its_length() {
        for part in ["cause: ", "\n    at f (a.js:1:2)\nx ", "value \"", "\"", "https://h/x ", "\\n", "Caused by: --->", "at ", "^\n"] {
            let text = part.repeat((1 << 17) / part.len());
            let reading = Reading::of(&text);
            for at in (0..text.len()).step_by(64) {
                let _ = reading.admits(Lens::Said, &(at..at + 1));
            }
            assert!(reading.scopes().len() <= MOST_CAUSES + 2, "{part}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(\\PC|\n|at |File \"|, line |Caused by: |--->|\\\\n|'|\"|http://|é){0,40}", at in 0_usize..80) {
            let reading = Reading::of(&text);
            for (range, _) in reading.scopes() {
                proptest::prop_assert!(text.get(range).is_some());
            }
            let _ = reading.admits(Lens::Said, &(at..at + 3));
        }
    }
}
