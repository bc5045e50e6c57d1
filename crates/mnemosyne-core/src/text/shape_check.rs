//! Checks a tree against a shape and says everything that does not fit.

use crate::text::bytes::Bytes;
use crate::text::counted;
use crate::text::finding::{Finding, Findings};
use crate::text::location::Location;
use crate::text::node::{Key, Node, Value};
use crate::text::shape::{Field, Object, Shape, TextRule, Word};
use crate::text::shown::{join, name, quote, shorten};
use crate::text::suggest::did_you_mean;
use crate::time::Span;

/// Checks a tree against a shape. `area` begins the codes of the findings.
///
/// The recursion follows the shape, which is a constant, not the document.
pub fn check_shape(area: Area, node: &Node, shape: &'static Shape, findings: &mut Findings) {
    let mut check = Check { area, path: Vec::new(), help: Vec::new(), findings };
    check.node(node, shape);
}

/// The documents that have shapes; it begins the codes of their findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// Plan files.
    Plan,
    /// Configuration.
    Config,
}

struct Codes {
    unknown_key: &'static str,
    wrong_type: &'static str,
    out_of_range: &'static str,
    unknown_word: &'static str,
    limit: &'static str,
}

impl Area {
    fn root_help(self) -> &'static str {
        match self {
            Self::Plan => "a plan begins like this: items: { hello: { run: \"echo hello\" } }",
            Self::Config => "settings stand in tables: [node]",
        }
    }

    fn codes(self) -> Codes {
        match self {
            Self::Plan => Codes {
                unknown_key: "plan/unknown-key",
                wrong_type: "plan/wrong-type",
                out_of_range: "plan/out-of-range",
                unknown_word: "plan/unknown-word",
                limit: "plan/limit",
            },
            Self::Config => Codes {
                unknown_key: "config/unknown-key",
                wrong_type: "config/wrong-type",
                out_of_range: "config/out-of-range",
                unknown_word: "config/unknown-word",
                limit: "config/limit",
            },
        }
    }
}

struct Check<'a> {
    area: Area,
    path: Vec<String>,
    help: Vec<Option<&'static str>>,
    findings: &'a mut Findings,
}

impl Check<'_> {
    fn node(&mut self, node: &Node, shape: &'static Shape) {
        match (shape, &node.value) {
            (Shape::Any, _) | (Shape::Bool, Value::Bool(_)) => {}
            (Shape::Text(rule), Value::Text(text)) => self.text(text, node.at, rule),
            (Shape::Scalar(rule), value) => self.scalar(value, node, rule, shape),
            (Shape::Int { min, max }, Value::Int(number)) => {
                if number < min || number > max {
                    self.out_of_range(node.at, &number.to_string(), shape);
                }
            }
            (Shape::Int { min, max }, Value::Float(number)) => {
                self.not_whole(*number, (*min, *max), node, shape);
            }
            (Shape::Number { min, max }, Value::Int(_) | Value::Float(_)) => {
                let number = node.number().unwrap_or(f64::NAN);
                if !(number >= *min && number <= *max) {
                    self.out_of_range(node.at, &number.to_string(), shape);
                }
            }
            (Shape::Span { min }, value) => self.span(value, node, *min, shape),
            (Shape::Size { min, max }, value) => self.size(value, node, (*min, *max), shape),
            (Shape::Word(words), Value::Text(text)) => self.word(text, node.at, words, shape),
            (Shape::List { of, min, max }, Value::List(elements)) => {
                self.count(elements.len(), *min, *max, node.at);
                for (index, element) in elements.iter().enumerate() {
                    self.within(format!("[{index}]"), None, |check| check.node(element, of));
                }
            }
            (Shape::Map { of, max, .. }, Value::Map(entries)) => {
                self.count(entries.len(), 0, *max, node.at);
                for (key, value) in entries {
                    self.within(String::from(&*key.text), None, |check| check.node(value, of));
                }
            }
            (Shape::Object(object), Value::Map(entries)) => self.object(entries, object),
            (Shape::Either(shapes), value) => match shapes.iter().find(|shape| accepts(shape, value)) {
                Some(fitting) => self.node(node, fitting),
                None => self.wrong_type(node, shape),
            },
            _ => self.wrong_type(node, shape),
        }
    }

    fn object(&mut self, entries: &[(Key, Node)], object: &'static Object) {
        for (key, value) in entries {
            match object.field(&key.text) {
                Some(field) => {
                    let Field { shape, help, doc, .. } = field;
                    self.within(String::from(&*key.text), help.or(Some(doc)), |check| check.node(value, shape));
                }
                None => self.unknown_key(key, object),
            }
        }
    }

    fn unknown_key(&mut self, key: &Key, object: &Object) {
        let known = || object.fields().map(|field| field.name);
        let help = match self.findings.is_full() {
            true => String::new(),
            false => object
                .meant_by(&key.text)
                .map(|field| format!("{} calls it {}", object.noun, name(field.name)))
                .or_else(|| did_you_mean(&key.text, known()))
                .unwrap_or_else(|| format!("{} knows {}", object.noun, join(known()))),
        };
        let place = if self.path.is_empty() { String::new() } else { format!(" in {}", self.shown_path()) };
        self.findings.push(
            Finding::error(self.area.codes().unknown_key, format!("unknown key {}{place}", name(&key.text)))
                .at(key.at)
                .help(help),
        );
    }

    fn text(&mut self, text: &str, at: Location, rule: &TextRule) {
        let problem = if text.len() < rule.min {
            "it is empty".to_owned()
        } else if text.len() > rule.max {
            format!("it has {}; the limit is {}", counted(text.len(), "byte"), rule.max)
        } else if text.contains('\0') {
            "it contains a NUL character".to_owned()
        } else {
            return;
        };
        let code = if text.len() > rule.max { self.area.codes().limit } else { self.area.codes().out_of_range };
        self.fail(code, at, format!("{} must be {}: {problem}", self.shown_path(), rule.noun), None);
    }

    fn scalar(&mut self, value: &Value, node: &Node, rule: &TextRule, shape: &'static Shape) {
        match value {
            Value::Text(text) => self.text(text, node.at, rule),
            Value::Bool(_) => {}
            // A number that is not written the usual way would lose its spelling.
            Value::Int(number) if number.to_string().len() == node.at.len() => {}
            Value::Int(_) | Value::Float(_) => {
                let message = format!("{} is a number whose spelling would be lost", self.shown_path());
                self.fail(self.area.codes().wrong_type, node.at, message, Some("put it in quotes".into()));
            }
            _ => self.wrong_type(node, shape),
        }
    }

    fn word(&mut self, text: &str, at: Location, words: &[Word], shape: &Shape) {
        if words.iter().any(|word| word.name == text) {
            return;
        }
        let message = format!("{} must be {}, not {}", self.shown_path(), shape.describe(), quote(text));
        let help = did_you_mean(text, words.iter().map(|word| word.name));
        self.fail(self.area.codes().unknown_word, at, message, help);
    }

    fn span(&mut self, value: &Value, node: &Node, min: Span, shape: &'static Shape) {
        let parsed = match value {
            Value::Text(text) => {
                Span::parse(text).map_err(|error| (quote(&error.text), error.problem.to_owned()))
            }
            Value::Int(0) => Ok(Span::ZERO),
            Value::Int(number) => Err((number.to_string(), "the unit is missing (ms, s, m, h, d)".to_owned())),
            _ => return self.wrong_type(node, shape),
        };
        let path = self.shown_path();
        match parsed {
            Ok(span) if span < min => {
                let message = format!("{path} is {span}; it must be at least {min}");
                self.fail(self.area.codes().out_of_range, node.at, message, None);
            }
            Ok(_) => {}
            Err((text, problem)) => {
                let message = format!("{path} must be a duration; {text} is not one: {problem}");
                self.fail(
                    self.area.codes().wrong_type,
                    node.at,
                    message,
                    Some("write 90s, 1h30m or 500ms".into()),
                );
            }
        }
    }

    fn size(&mut self, value: &Value, node: &Node, (min, max): (u64, u64), shape: &'static Shape) {
        let parsed = match value {
            Value::Text(text) => Bytes::parse(text).map_err(|error| error.to_string()),
            Value::Int(number) => {
                u64::try_from(*number).map(Bytes::new).map_err(|_| format!("{number} is negative"))
            }
            _ => return self.wrong_type(node, shape),
        };
        let path = self.shown_path();
        match parsed {
            Ok(size) if size.as_u64() < min || size.as_u64() > max => {
                let bounds = format!("from {} to {}", Bytes::new(min), Bytes::new(max));
                let message = format!("{path} is {size}; it must be {bounds}");
                self.fail(self.area.codes().out_of_range, node.at, message, None);
            }
            Ok(_) => {}
            Err(problem) => {
                let message = format!("{path} must be a size: {problem}");
                self.fail(self.area.codes().wrong_type, node.at, message, Some("write 64k, 8M or 1G".into()));
            }
        }
    }

    fn count(&mut self, count: usize, min: usize, max: usize, at: Location) {
        let path = self.shown_path();
        if count < min {
            self.fail(self.area.codes().out_of_range, at, format!("{path} is empty"), None);
        } else if count > max {
            let message = format!("{path} has {}; the limit is {max}", counted(count, "entry"));
            self.fail(self.area.codes().limit, at, message, None);
        }
    }

    /// A number with a fraction where a whole one belongs; 5.0 may be meant as 5.
    fn not_whole(&mut self, number: f64, (min, max): (i64, i64), node: &Node, shape: &'static Shape) {
        let whole = format!("{number:.0}").parse().ok().filter(|whole| (min..=max).contains(whole));
        let help = whole.filter(|_| number.fract() == 0.0).map(|whole| format!("write {whole}"));
        let message = format!("{} is {number:?}; it must be {}", self.shown_path(), shape.describe());
        self.fail(self.area.codes().out_of_range, node.at, message, help);
    }

    fn out_of_range(&mut self, at: Location, value: &str, shape: &Shape) {
        let message =
            format!("{} is {}; it must be {}", self.shown_path(), shorten(value, 40), shape.describe());
        self.fail(self.area.codes().out_of_range, at, message, None);
    }

    fn wrong_type(&mut self, node: &Node, shape: &'static Shape) {
        let message = format!("{} must be {}, not {}", self.shown_path(), shape.describe(), describe(node));
        let help = match (&node.value, shape) {
            (Value::Int(_) | Value::Float(_) | Value::Bool(_), Shape::Text(_)) => Some("put it in quotes"),
            (Value::Null, _) => Some("give it a value, or remove the key"),
            _ => None,
        };
        self.fail(self.area.codes().wrong_type, node.at, message, help.map(String::from));
    }

    /// Reports an error; the help of the nearest word comes first.
    fn fail(&mut self, code: &'static str, at: Location, message: String, help: Option<String>) {
        let own = self.help.iter().rev().flatten().next().copied().unwrap_or(self.area.root_help());
        self.findings
            .push(Finding::error(code, message).at(at).help(help.unwrap_or_else(|| own.trim().into())));
    }

    fn within(&mut self, segment: String, help: Option<&'static str>, visit: impl FnOnce(&mut Self)) {
        self.path.push(segment);
        self.help.push(help);
        visit(self);
        self.path.pop();
        self.help.pop();
    }

    /// The path as it is written in messages: `` `items.a.needs[0]` ``.
    fn shown_path(&self) -> String {
        if self.path.is_empty() {
            return "the document".into();
        }
        let mut out = String::new();
        for segment in &self.path {
            if !segment.starts_with('[') && !out.is_empty() {
                out.push('.');
            }
            out.push_str(&shorten(segment, 40));
        }
        format!("`{out}`")
    }
}

/// Whether the type of a value is one that the shape is made for.
fn accepts(shape: &Shape, value: &Value) -> bool {
    match shape {
        Shape::Any => true,
        Shape::Bool => matches!(value, Value::Bool(_)),
        Shape::Text(_) | Shape::Span { .. } | Shape::Size { .. } => {
            matches!(value, Value::Text(_))
                || matches!((shape, value), (Shape::Span { .. } | Shape::Size { .. }, Value::Int(_)))
        }
        Shape::Word(words) => {
            matches!(value, Value::Text(text) if words.iter().any(|word| word.name == &**text))
        }
        Shape::Scalar(_) => matches!(value, Value::Text(_) | Value::Bool(_) | Value::Int(_) | Value::Float(_)),
        Shape::Int { .. } | Shape::Number { .. } => matches!(value, Value::Int(_) | Value::Float(_)),
        Shape::List { .. } => matches!(value, Value::List(_)),
        Shape::Map { .. } | Shape::Object(_) => matches!(value, Value::Map(_)),
        Shape::Either(shapes) => shapes.iter().any(|shape| accepts(shape, value)),
    }
}

/// A value in words, for messages: "the number 3".
fn describe(node: &Node) -> String {
    match &node.value {
        Value::Null => "nothing".into(),
        Value::Bool(value) => format!("`{value}`"),
        Value::Int(number) => format!("the number {number}"),
        Value::Float(number) => format!("the number {number}"),
        Value::Text(text) => format!("the text {}", quote(text)),
        Value::List(_) => "a list".into(),
        Value::Map(_) => "a map".into(),
    }
}
