//! What a value must look like, as tables.
//!
//! One table of words drives everything that knows them: the check of a
//! document, the suggestions for misspelt words, the JSON Schema, the
//! reference, and the names of environment variables.

use crate::text::plural;
use crate::time::Span;

/// What a value must look like.
#[derive(Debug)]
pub enum Shape {
    /// Anything.
    Any,
    /// `true` or `false`.
    Bool,
    /// A text.
    Text(TextRule),
    /// A whole number within bounds.
    Int {
        /// Smallest value.
        min: i64,
        /// Largest value.
        max: i64,
    },
    /// A number within bounds.
    Number {
        /// Smallest value.
        min: f64,
        /// Largest value.
        max: f64,
    },
    /// A duration such as `90s`.
    Span {
        /// Shortest one.
        min: Span,
    },
    /// A number of bytes such as `64k`.
    Size {
        /// Smallest one.
        min: u64,
        /// Largest one.
        max: u64,
    },
    /// One of some words.
    Word(&'static [Word]),
    /// A text, or a plain number or truth value that is taken as text.
    Scalar(TextRule),
    /// Values of one shape in order.
    List {
        /// The shape of each.
        of: &'static Shape,
        /// Fewest elements.
        min: usize,
        /// Most elements.
        max: usize,
    },
    /// Values of one shape under names that the author chooses.
    Map {
        /// What the names are: "item", "variable".
        noun: &'static str,
        /// The shape of each value.
        of: &'static Shape,
        /// Most entries.
        max: usize,
    },
    /// Known words with values of their own shapes.
    Object(&'static Object),
    /// One of several shapes, told apart by the type of the value.
    Either(&'static [Shape]),
}

/// Bounds of a text.
#[derive(Clone, Copy, Debug)]
pub struct TextRule {
    /// What it is, with its article: "a name".
    pub noun: &'static str,
    /// Fewest bytes.
    pub min: usize,
    /// Most bytes.
    pub max: usize,
}

/// One of the values that a [`Shape::Word`] accepts.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// The word.
    pub name: &'static str,
    /// What it means.
    pub doc: &'static str,
}

/// A map with known words.
#[derive(Debug)]
pub struct Object {
    /// What it is, with its article: "an item".
    pub noun: &'static str,
    /// The words it knows, in groups that several objects may share.
    pub groups: &'static [&'static [Field]],
}

/// A word of an [`Object`].
#[derive(Debug)]
pub struct Field {
    /// The word.
    pub name: &'static str,
    /// What its value must look like.
    pub shape: Shape,
    /// What it means, as a sentence.
    pub doc: &'static str,
    /// The way out when the value is refused.
    pub help: Option<&'static str>,
    /// What others call it. These words are not accepted; whoever writes one is told this one.
    pub elsewhere: &'static [&'static str],
}

impl Field {
    /// A word without particular help.
    #[must_use]
    pub const fn new(name: &'static str, shape: Shape, doc: &'static str) -> Self {
        Self { name, shape, doc, help: None, elsewhere: &[] }
    }

    /// A word with a way out for refused values.
    #[must_use]
    pub const fn with_help(name: &'static str, shape: Shape, doc: &'static str, help: &'static str) -> Self {
        Self { name, shape, doc, help: Some(help), elsewhere: &[] }
    }
}

impl Field {
    /// The word, with what others call it.
    #[must_use]
    pub const fn called(mut self, elsewhere: &'static [&'static str]) -> Self {
        self.elsewhere = elsewhere;
        self
    }
}

impl Object {
    /// The field that others call by this name.
    #[must_use]
    pub fn meant_by(&self, name: &str) -> Option<&'static Field> {
        self.fields().find(|field| field.elsewhere.contains(&name))
    }

    /// The field of a name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields().find(|field| field.name == name)
    }

    /// All words it knows.
    pub fn fields(&self) -> impl Iterator<Item = &'static Field> + use<> {
        self.groups.iter().copied().flatten()
    }
}

impl Shape {
    /// The shape in words, for messages: "a whole number from 0 to 10".
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Any => "any value".into(),
            Self::Bool => "true or false".into(),
            Self::Text(rule) | Self::Scalar(rule) => rule.noun.into(),
            Self::Int { min, max } if min == max => min.to_string(),
            Self::Int { min, max } if *max == i64::MAX => format!("a whole number from {min}"),
            Self::Int { min, max } => format!("a whole number from {min} to {max}"),
            Self::Number { min, max } if max.is_infinite() => format!("a number from {min}"),
            Self::Number { min, max } => format!("a number from {min} to {max}"),
            Self::Span { .. } => "a duration such as 90s or 1h30m".into(),
            Self::Size { .. } => "a size such as 64k or 1G".into(),
            Self::Word(words) => {
                let names: Vec<String> = words.iter().map(|word| format!("`{}`", word.name)).collect();
                match names.as_slice() {
                    [only] => only.clone(),
                    _ => format!("one of {}", names.join(", ")),
                }
            }
            Self::List { of, .. } => format!("a list ({} each)", of.describe()),
            Self::Map { noun, .. } => format!("a map of {}", plural(noun)),
            Self::Object(object) => format!("a map ({})", object.noun),
            Self::Either(shapes) => {
                let each: Vec<String> = shapes.iter().map(Self::describe).collect();
                each.join(", or ")
            }
        }
    }
}
