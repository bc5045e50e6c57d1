//! The elements of the configuration, each with the table of its keys.

use crate::config::origin::Origin;
use crate::config::resolve::Origins;
use crate::text::{Finding, Findings};

/// Makes a type of settings out of the table of its keys:
/// `key: type = default, shape;`, each with its doc comment.
macro_rules! element {
    (
        $(#[$meta:meta])*
        $name:ident ($noun:literal) {
            $( $(#[doc = $doc:literal])+ $key:ident: $type:ty = $default:expr, $shape:expr; )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $( $(#[doc = $doc])+ pub $key: $type, )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $key: $default, )* }
            }
        }

        impl $name {
            /// The keys.
            pub(crate) const WORDS: &'static [$crate::text::Field] = &[
                $( $crate::text::Field::new(stringify!($key), $shape, concat!($($doc),+)), )*
            ];
            /// The table as a shape.
            pub(crate) const OBJECT: $crate::text::Object =
                $crate::text::Object { noun: $noun, groups: &[Self::WORDS] };

            /// Takes over what is said in a tree.
            pub(crate) fn overlay(&mut self, node: Option<&$crate::text::Node>) {
                let Some(node) = node else { return };
                $(
                    let given = node.get(stringify!($key));
                    if let Some(value) = given.and_then($crate::config::value::SettingValue::read) {
                        self.$key = value;
                    }
                )*
            }

            /// Every key with its value.
            pub(crate) fn values(&self) -> Vec<(&'static str, serde_json::Value)> {
                vec![ $( (stringify!($key), $crate::config::value::SettingValue::shown(&self.$key)), )* ]
            }
        }
    };
}

/// Makes an enum of words: `Variant = "word"`, each with its doc comment. The
/// first one is the default.
macro_rules! words {
    (
        $(#[$meta:meta])*
        $name:ident {
            #[doc = $first_doc:literal] $first:ident = $first_word:literal,
            $( #[doc = $doc:literal] $variant:ident = $word:literal, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            #[doc = $first_doc]
            #[default]
            $first,
            $( #[doc = $doc] $variant, )*
        }

        impl $name {
            pub(crate) const WORDS: &'static [$crate::text::Word] =
                &[
                    $crate::text::Word { name: $first_word, doc: $first_doc },
                    $( $crate::text::Word { name: $word, doc: $doc }, )*
                ];

            /// The word of the configuration.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    Self::$first => $first_word,
                    $( Self::$variant => $word, )*
                }
            }
        }

        impl $crate::config::value::SettingValue for $name {
            fn read(node: &$crate::text::Node) -> Option<Self> {
                match node.text()? {
                    $first_word => Some(Self::$first),
                    $( $word => Some(Self::$variant), )*
                    _ => None,
                }
            }

            fn shown(&self) -> serde_json::Value {
                self.as_str().into()
            }
        }
    };
}

mod agents;
mod distributed;
mod node;
mod observability;
mod optimizer;
mod persistence;
mod presets;
mod scaling;
mod scheduling;
mod shim;
mod storage;

pub use agents::{AgentDefinition, AgentKind, CostSource, Dialect, PermissionWord, PromptPassing};
pub use distributed::{Distributed, DistributionWord};
pub use node::{NodeSettings, Slots};
pub use observability::{DashboardType, Observability};
pub use optimizer::Optimizer;
pub use persistence::Persistence;
pub use presets::Preset;
pub use scaling::{LoadBalancingWord, PolicyWord, Pool, Scaling};
pub use scheduling::Scheduling;
pub use shim::Shim;
pub use storage::Storage;

/// What validation of an element sees: where values came from, and where to complain.
pub(crate) struct Validation<'a> {
    pub(crate) section: String,
    pub(crate) origins: &'a Origins,
    pub(crate) findings: &'a mut Findings,
}

impl Validation<'_> {
    /// Complains about a key of the section, at the place its value came from.
    pub(crate) fn fail(&mut self, key: &str, message: &str, help: &str) {
        self.fail_one_of(&[key], message, help);
    }

    /// Complains about keys that do not fit each other, at the first of them
    /// that somebody has set.
    pub(crate) fn fail_one_of(&mut self, keys: &[&str], message: &str, help: &str) {
        let mut keys = keys.iter().map(|key| format!("{}.{key}", self.section));
        let Some(first) = keys.next() else { return };
        let is_set = |key: &String| self.origins.of_setting(key) != Origin::Default;
        let key = if is_set(&first) { first } else { keys.find(is_set).unwrap_or(first) };
        let finding = Finding::error("config/contradiction", format!("`{key}` {message}")).help(help);
        self.findings.push(placed(finding, &self.origins.of(&key)));
    }

    /// Complains when one value is larger than another that bounds it.
    pub(crate) fn at_most<T: Copy + PartialOrd + std::fmt::Display>(
        &mut self,
        low: (&str, T),
        high: (&str, T),
    ) {
        if low.1 > high.1 {
            let message = format!("does not fit: `{}` is {}, `{}` is {}", low.0, low.1, high.0, high.1);
            self.fail_one_of(
                &[high.0, low.0],
                &message,
                &format!("`{}` must not be larger than `{}`", low.0, high.0),
            );
        }
    }
}

/// A finding at the place where a value came from.
pub(crate) fn placed(finding: Finding, origin: &Origin) -> Finding {
    match origin {
        Origin::File { at, .. } => finding.at(*at),
        Origin::Default => finding,
        Origin::Environment { .. } | Origin::Flag { .. } => finding.from_outside(origin.to_string()),
    }
}
