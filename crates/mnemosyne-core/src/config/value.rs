//! Types that settings have: from a checked tree, and back to text.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use crate::role::AgentRole;
use crate::text::{Bytes, Node, Value};
use crate::time::Span;

/// A type of settings.
pub(crate) trait SettingValue: Sized {
    /// Reads a value whose shape has been checked; `None` when it does not fit.
    fn read(node: &Node) -> Option<Self>;

    /// The value as JSON, in the spelling of the file.
    fn shown(&self) -> Json;
}

macro_rules! numbers {
    ($($type:ty),*) => { $(
        impl SettingValue for $type {
            fn read(node: &Node) -> Option<Self> {
                <$type>::try_from(node.int()?).ok()
            }

            fn shown(&self) -> Json {
                (*self).into()
            }
        }
    )* };
}

numbers!(u16, u32, u64);

impl SettingValue for bool {
    fn read(node: &Node) -> Option<Self> {
        node.bool()
    }

    fn shown(&self) -> Json {
        (*self).into()
    }
}

impl SettingValue for f64 {
    fn read(node: &Node) -> Option<Self> {
        node.number()
    }

    fn shown(&self) -> Json {
        (*self).into()
    }
}

impl SettingValue for String {
    fn read(node: &Node) -> Option<Self> {
        match &node.value {
            Value::Text(text) => Some(String::from(&**text)),
            Value::Int(number) => Some(number.to_string()),
            Value::Bool(value) => Some(value.to_string()),
            _ => None,
        }
    }

    fn shown(&self) -> Json {
        self.as_str().into()
    }
}

impl SettingValue for Span {
    fn read(node: &Node) -> Option<Self> {
        match &node.value {
            Value::Text(text) => Self::parse(text).ok(),
            Value::Int(0) => Some(Self::ZERO),
            _ => None,
        }
    }

    fn shown(&self) -> Json {
        self.to_string().into()
    }
}

impl SettingValue for Bytes {
    fn read(node: &Node) -> Option<Self> {
        match &node.value {
            Value::Text(text) => Self::parse(text).ok(),
            Value::Int(number) => u64::try_from(*number).ok().map(Self::new),
            _ => None,
        }
    }

    fn shown(&self) -> Json {
        self.to_string().into()
    }
}

impl SettingValue for AgentRole {
    fn read(node: &Node) -> Option<Self> {
        let word = node.text()?;
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }

    fn shown(&self) -> Json {
        self.as_str().into()
    }
}

impl<T: SettingValue> SettingValue for Option<T> {
    fn read(node: &Node) -> Option<Self> {
        T::read(node).map(Some)
    }

    fn shown(&self) -> Json {
        self.as_ref().map_or(Json::Null, SettingValue::shown)
    }
}

impl<T: SettingValue> SettingValue for Vec<T> {
    fn read(node: &Node) -> Option<Self> {
        match &node.value {
            Value::List(elements) => elements.iter().map(T::read).collect(),
            _ => T::read(node).map(|value| vec![value]),
        }
    }

    fn shown(&self) -> Json {
        self.iter().map(SettingValue::shown).collect()
    }
}

impl<T: SettingValue + Ord> SettingValue for BTreeSet<T> {
    fn read(node: &Node) -> Option<Self> {
        Vec::read(node).map(|values| values.into_iter().collect())
    }

    fn shown(&self) -> Json {
        self.iter().map(SettingValue::shown).collect()
    }
}

impl<T: SettingValue> SettingValue for BTreeMap<String, T> {
    fn read(node: &Node) -> Option<Self> {
        node.entries().iter().map(|(key, node)| Some((String::from(&*key.text), T::read(node)?))).collect()
    }

    fn shown(&self) -> Json {
        Json::Object(self.iter().map(|(key, value)| (key.clone(), value.shown())).collect())
    }
}
