//! The tree that all formats are read into.

use crate::text::location::Location;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it stands.
    pub at: Location,
}

/// A value of any of the formats.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, or nothing at all.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction, or a whole one that needs more than 64 bits.
    Float(f64),
    /// A text; the dates of TOML are texts.
    Text(Box<str>),
    /// Values in order.
    List(Vec<Node>),
    /// Named values in the order of the document. Names are unique.
    Map(Vec<(Key, Node)>),
}

/// The name of a value in a map and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The name.
    pub text: Box<str>,
    /// Where it stands.
    pub at: Location,
}

impl Node {
    /// The value of a name in a map.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        self.entries().iter().find(|(key, _)| &*key.text == name).map(|(_, node)| node)
    }

    /// The entries of a map; none for other values.
    #[must_use]
    pub fn entries(&self) -> &[(Key, Self)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The elements of a list; none for other values.
    #[must_use]
    pub fn elements(&self) -> &[Self] {
        match &self.value {
            Value::List(elements) => elements,
            _ => &[],
        }
    }

    /// The text, if the value is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, if the value is one.
    #[must_use]
    pub fn int(&self) -> Option<i64> {
        match self.value {
            Value::Int(number) => Some(number),
            _ => None,
        }
    }

    /// The number, whole or not, if the value is one.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self.value {
            #[expect(clippy::cast_precision_loss, reason = "a factor or a ratio; no one counts with it")]
            Value::Int(number) => Some(number as f64),
            Value::Float(number) => Some(number),
            _ => None,
        }
    }

    /// The truth value, if the value is one.
    #[must_use]
    pub fn bool(&self) -> Option<bool> {
        match self.value {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The value as JSON. Numbers that JSON cannot hold become `null`.
    ///
    /// The recursion is bounded by the depth that the readers accept.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Int(number) => (*number).into(),
            Value::Float(number) => (*number).into(),
            Value::Text(text) => (&**text).into(),
            Value::List(elements) => elements.iter().map(Self::to_json).collect(),
            Value::Map(entries) => serde_json::Value::Object(
                entries.iter().map(|(key, node)| (String::from(&*key.text), node.to_json())).collect(),
            ),
        }
    }

    /// The named values of a map, to be taken one by one.
    #[must_use]
    pub fn into_fields(self) -> Fields {
        match self.value {
            Value::Map(entries) => Fields { entries },
            _ => Fields { entries: Vec::new() },
        }
    }
}

/// Entries of a map from which a decoder takes the ones it knows.
#[derive(Debug, Default)]
pub struct Fields {
    entries: Vec<(Key, Node)>,
}

impl Fields {
    /// Takes the value of a name out.
    pub fn take(&mut self, name: &str) -> Option<Node> {
        self.take_entry(name).map(|(_, node)| node)
    }

    /// Takes a name and its value out.
    pub fn take_entry(&mut self, name: &str) -> Option<(Key, Node)> {
        let index = self.entries.iter().position(|(key, _)| &*key.text == name)?;
        Some(self.entries.remove(index))
    }

    /// Whether there is a value of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(key, _)| &*key.text == name)
    }
}

impl IntoIterator for Fields {
    type Item = (Key, Node);
    type IntoIter = std::vec::IntoIter<(Key, Node)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}
