//! JSON into a tree.
//!
//! The syntax is judged by serde_json, whose messages are exact; a scanner
//! then reads the text it accepted and notes where everything stands.

use serde::de::IgnoredAny;

use crate::text::build::Builder;
use crate::text::finding::{Finding, Findings};
use crate::text::location::{Location, Locator};
use crate::text::node::{Node, Value};

/// Reads a JSON document.
pub(crate) fn read(text: &str, locator: &Locator<'_>) -> Result<Node, Findings> {
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        return Err(syntax(text, locator, &error).into());
    }
    let mut scanner = Scanner { text, position: 0, locator, builder: Builder::new() };
    match scanner.run() {
        Ok(()) => {
            let whole = locator.at(0..text.len());
            Ok(scanner.builder.finish()?.unwrap_or(Node { value: Value::Null, at: whole }))
        }
        Err(finding) => Err(scanner.builder.fail(finding)),
    }
}

/// The refusal of a text that is not JSON.
fn syntax(text: &str, locator: &Locator<'_>, error: &serde_json::Error) -> Finding {
    // serde_json counts columns in bytes from 1, and points behind the last one read.
    let line_start = locator.offset(error.line(), 0);
    let mut start = (line_start + error.column().saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let message = error.to_string();
    let mut message = message.split(" at line ").next().unwrap_or("it cannot be read");
    // What serde_json misses there is a value or a key; what its author has too much is a comma.
    let before = text[..start].trim_end();
    if text[start..].starts_with(['}', ']']) && before.ends_with(',') {
        (message, start) = ("trailing comma", before.len() - 1);
    }
    let rest = &text[start..];
    let help = if rest.starts_with('#') || rest.starts_with("//") {
        Some("JSON has no comments; YAML and TOML have")
    } else if message.contains("trailing comma") {
        Some("remove the comma before the closing bracket")
    } else if rest.starts_with('\'') {
        Some("texts stand in double quotes")
    } else {
        None
    };
    Finding::error("text/json", format!("this is not JSON: {message}"))
        .at(locator.at(start..start + rest.chars().next().map_or(0, char::len_utf8)))
        .maybe_help(help.map(String::from))
}

/// Reads JSON that is known to be well-formed.
struct Scanner<'a> {
    text: &'a str,
    position: usize,
    locator: &'a Locator<'a>,
    builder: Builder,
}

impl Scanner<'_> {
    fn run(&mut self) -> Result<(), Finding> {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.position) {
            let start = self.position;
            self.position += 1;
            match byte {
                b'{' => self.builder.open_map(self.locator.at(start..start + 1))?,
                b'[' => self.builder.open_list(self.locator.at(start..start + 1))?,
                b'}' | b']' => {
                    let end = self.locator.at(start..start + 1).end;
                    self.builder.close(end);
                }
                b'"' => self.string(start)?,
                b't' => self.word(start, "true", Value::Bool(true))?,
                b'f' => self.word(start, "false", Value::Bool(false))?,
                b'n' => self.word(start, "null", Value::Null)?,
                b'-' | b'0'..=b'9' => self.number(start)?,
                // Commas, colons and white space: their order has been judged.
                _ => {}
            }
        }
        Ok(())
    }

    fn word(&mut self, start: usize, word: &str, value: Value) -> Result<(), Finding> {
        self.position = start + word.len();
        self.builder.scalar(value, self.locator.at(start..self.position)).map(drop)
    }

    fn number(&mut self, start: usize) -> Result<(), Finding> {
        let rest = &self.text[start..];
        let length = rest
            .find(|c: char| !c.is_ascii_digit() && !matches!(c, '-' | '+' | '.' | 'e' | 'E'))
            .unwrap_or(rest.len());
        let number = &rest[..length];
        self.position = start + length;
        let value = match number.parse::<i64>() {
            Ok(number) => Value::Int(number),
            Err(_) => Value::Float(number.parse().unwrap_or(f64::NAN)),
        };
        self.builder.scalar(value, self.locator.at(start..self.position)).map(drop)
    }

    fn string(&mut self, start: usize) -> Result<(), Finding> {
        let bytes = self.text.as_bytes();
        let mut plain = true;
        while let Some(byte) = bytes.get(self.position) {
            match byte {
                b'"' => break,
                b'\\' => {
                    plain = false;
                    self.position += 2;
                }
                _ => self.position += 1,
            }
        }
        let content = self.text.get(start + 1..self.position).unwrap_or_default();
        self.position += 1;
        let at = self.locator.at(start..self.position);
        if plain {
            return self.place(content.into(), at);
        }
        let literal = self.text.get(start..self.position).unwrap_or_default();
        match serde_json::from_str::<String>(literal) {
            Ok(text) => self.place(text.into(), at),
            Err(_) => Err(Finding::error("text/json", "the text has an escape that stands for no character")
                .at(at)
                .help("a surrogate such as \\ud83d must be followed by its second half")),
        }
    }

    fn place(&mut self, text: Box<str>, at: Location) -> Result<(), Finding> {
        if self.builder.wants_key() {
            self.builder.key(&text, at);
            return Ok(());
        }
        self.builder.scalar(Value::Text(text), at).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Node, Findings> {
        read(text, &Locator::new(text))
    }

    fn first_error(text: &str) -> Finding {
        parse(text).expect_err(text).iter().next().expect("one finding").clone()
    }

    #[test]
    fn values_know_where_they_stand() {
        let text = "{\n  \"a\": [1, -2.5, true, null],\n  \"b\": \"x\\u00e9\\n\"\n}";
        let root = parse(text).expect("valid");
        let list = root.get("a").expect("a");
        assert_eq!((list.at.line, list.at.column), (2, 8));
        assert_eq!(&text[list.at.bytes()], "[1, -2.5, true, null]");
        assert_eq!(list.elements()[1].value, Value::Float(-2.5));
        assert_eq!(root.get("b").and_then(Node::text), Some("xé\n"));
        assert_eq!(&text[root.at.bytes()], text);
    }

    #[test]
    fn a_comma_too_many_is_named_and_pointed_at() {
        for (text, line, column) in
            [("[1, 2,]", 1, 6), ("{\"a\": 1,\n}", 1, 8), ("{\"a\": [\n  1,\n  2,\n]}", 3, 4)]
        {
            let finding = first_error(text);
            assert_eq!(finding.message, "this is not JSON: trailing comma", "{text}");
            assert_eq!(finding.help.as_deref(), Some("remove the comma before the closing bracket"));
            assert_eq!(finding.at.map(|at| (at.line, at.column)), Some((line, column)), "{text}");
        }
    }

    #[test]
    fn hostile_documents_are_refused_without_harm() {
        assert_eq!(first_error(&"[".repeat(100_000)).code, "text/json");
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(first_error(&deep).code, "text/limit");
        assert_eq!(first_error("\"\\ud800\"").code, "text/json");
        assert_eq!(first_error("[1,]").code, "text/json");
        assert_eq!(first_error("{\"a\":1,\"b\":2,\"a\":3}").code, "text/duplicate-key");
        assert!(
            matches!(parse("1e999").expect("a number").value, Value::Float(number) if number.is_infinite())
        );
        assert!(matches!(parse("9223372036854775808").expect("a number").value, Value::Float(_)));
    }
}
