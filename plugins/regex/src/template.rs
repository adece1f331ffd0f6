//! Texts with names in braces, such as `the refund of {amount} is too high`, that a match fills in. `{{` and `}}` stand for braces.

/// The longest text that a name is replaced by, in characters: what stands in an error may be of any length.
const CAPTURED: usize = 200;
/// The longest text that comes of all, in characters.
const FILLED: usize = 1000;

/// A text with names in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Name(String),
}

impl Template {
    /// Reads a text.
    ///
    /// # Errors
    /// A brace that is not closed, or what is in it is no name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            plain.push_str(before);
            if let Some(after) = from.strip_prefix("{{") {
                plain.push('{');
                rest = after;
            } else if let Some(after) = from.strip_prefix("}}") {
                plain.push('}');
                rest = after;
            } else if let Some((name, after)) = from.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
                let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
                if name.is_empty() || !name.chars().all(word) {
                    return Err(format!("{{{name}}} is no name of a group; write {{{{ for a brace"));
                }
                parts.push(Part::Text(std::mem::take(&mut plain)));
                parts.push(Part::Name(name.to_owned()));
                rest = after;
            } else {
                return Err("a brace stands alone; write {{ or }} for one".to_owned());
            }
        }
        plain.push_str(rest);
        parts.push(Part::Text(plain));
        parts.retain(|part| *part != Part::Text(String::new()));
        Ok(Self(parts))
    }

    /// The names in it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| if let Part::Name(name) = part { Some(name.as_str()) } else { None })
    }

    /// How long it is, names not counted.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|part| if let Part::Text(text) = part { text.len() } else { 0 }).sum()
    }

    /// The text with each name replaced by what was captured under it; by a question mark where nothing was.
    #[must_use]
    pub fn fill(&self, captured: &[(String, String)]) -> String {
        if let [Part::Text(text)] = self.0.as_slice() {
            return text.clone();
        }
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Name(name) => captured.iter().find(|(known, _)| known == name).map_or_else(|| "?".to_owned(), |(_, text)| short(text)),
        };
        let mut text: String = self.0.iter().map(part).collect();
        text.truncate(text.char_indices().nth(FILLED).map_or(text.len(), |(end, _)| end));
        text
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(CAPTURED) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_filled_in() {
        let template = Template::parse("{who} asked for {{{amount}}} of {nothing}").unwrap();
        assert_eq!(template.names().collect::<Vec<_>>(), ["who", "amount", "nothing"]);
        let captured = [("who".to_owned(), "A".repeat(300)), ("amount".to_owned(), "5".to_owned())];
        assert_eq!(template.fill(&captured), format!("{}… asked for {{5}} of ?", "A".repeat(200)));
    }

    #[test]
    fn a_brace_alone_is_an_error() {
        for bad in ["{", "}", "a { b", "{}", "{a b}", "{a", "{{}"] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_holds_no_brace_stays_as_it_is(text in "[^{}]{0,40}") {
            prop_assert_eq!(Template::parse(&text).unwrap().fill(&[]), text);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[{}a-b ]{0,20}") {
            let _ = Template::parse(&text).map(|template| template.fill(&[]));
        }
    }
}
