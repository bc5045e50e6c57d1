//! A document as it was handed in: its name, its text, its format.

use crate::text::location::Location;

/// The format of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// YAML 1.2, core schema.
    Yaml,
    /// JSON.
    Json,
    /// TOML.
    Toml,
}

impl Format {
    /// The format that a file name promises.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let (_, extension) = name.rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "yaml" | "yml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            "toml" => Some(Self::Toml),
            _ => None,
        }
    }

    /// The format that a text without a telling name looks like.
    ///
    /// A brace before a quote is JSON, a table header or `key = value` in the
    /// first line that says anything is TOML, all else is YAML.
    #[must_use]
    pub fn of_content(text: &str) -> Self {
        let text = text.trim_start_matches('\u{feff}').trim_start();
        if let Some(rest) = text.strip_prefix(['{', '[']) {
            let rest = rest.trim_start();
            if rest.starts_with(['"', '{']) && !text.starts_with("[[") || rest.starts_with('}') {
                return Self::Json;
            }
        }
        let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
        if line.is_some_and(looks_like_toml) { Self::Toml } else { Self::Yaml }
    }
}

/// Whether a line is a table header or an assignment.
fn looks_like_toml(line: &str) -> bool {
    let is_key = |key: &str| {
        !key.trim().is_empty()
            && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '"' | '\'' | ' '))
    };
    let header = line.strip_prefix('[').map(|rest| rest.trim_start_matches('['));
    match header {
        Some(rest) => rest.split_once(']').is_some_and(|(key, _)| is_key(key)),
        None => line.split_once('=').is_some_and(|(key, _)| is_key(key)),
    }
}

/// A document to be read: what it is called in messages, and its text.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    name: &'a str,
    text: &'a str,
    format: Format,
}

impl<'a> Source<'a> {
    /// A document whose format follows from its name, else from its content.
    #[must_use]
    pub fn new(name: &'a str, text: &'a str) -> Self {
        let format = Format::of_name(name).unwrap_or_else(|| Format::of_content(text));
        Self::with_format(name, text, format)
    }

    /// A document of a known format.
    #[must_use]
    pub fn with_format(name: &'a str, text: &'a str, format: Format) -> Self {
        // A byte order mark is not part of the document in any of the formats.
        Self { name, text: text.strip_prefix('\u{feff}').unwrap_or(text), format }
    }

    /// What the document is called in messages.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Its text, without a byte order mark.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Its format.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The line that a place starts in.
    #[must_use]
    pub(crate) fn line_of(&self, at: Location) -> &'a str {
        let start = at.bytes().start.min(self.text.len());
        let (Some(before), Some(after)) = (self.text.get(..start), self.text.get(start..)) else {
            return "";
        };
        let first = before.rfind(['\n', '\r']).map_or(0, |index| index + 1);
        let end = after.find(['\n', '\r']).map_or(self.text.len(), |index| start + index);
        &self.text[first..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_decide_before_contents() {
        assert_eq!(Source::new("a.YML", "{}").format(), Format::Yaml);
        assert_eq!(Source::new("a.b.json", "a: 1").format(), Format::Json);
        assert_eq!(Source::new("dir.toml/plan", "a: 1").format(), Format::Yaml);
    }

    #[test]
    fn contents_are_recognised() {
        for (text, format) in [
            ("{\"items\": {}}", Format::Json),
            ("\u{feff} [\"a\"]", Format::Json),
            ("{}", Format::Json),
            ("{version: 1}", Format::Yaml),
            ("# hello\nversion: 1", Format::Yaml),
            ("version = 1", Format::Toml),
            ("# x\n\n[items.a]\nrun = 'true'", Format::Toml),
            ("[[items]]", Format::Toml),
            ("items: { a: { run: \"x=1\" } }", Format::Yaml),
            ("", Format::Yaml),
        ] {
            assert_eq!(Format::of_content(text), format, "{text}");
        }
    }
}
