//! `${{ … }}`: values that are put into texts.
//!
//! ```text
//! ${{ vars.target }}             a variable of the plan      replaced when the plan is compiled
//! ${{ item.path }}               the value of `foreach`      replaced when the plan is compiled
//! ${{ items.spec.outputs.title }} an output of another item  replaced when the attempt starts
//! ${{ items['a.b'].outputs[0] }} names with dots, positions
//! ${{ '${{' }}                   a text as it is
//! ```
//!
//! There are paths and nothing else: no functions, no conditions, no code.
//! A value that is put in is never looked into again, so a variable or an
//! output that contains `${{` stays the text that it is.

use serde_json::Value;

use crate::plan::limits::{EXPANDED_BYTES_MAX, PATH_STEPS_MAX};
use crate::text::limits::FINDINGS_MAX;
use crate::text::{did_you_mean, name, shorten};

/// What begins an expression.
const OPEN: &str = "${{";
/// What ends it.
const CLOSE: &str = "}}";
/// An expression that stands for [`OPEN`].
const ESCAPED_OPEN: &str = "${{ '${{' }}";
/// Errors of one text that are told.
const ERRORS_MAX: usize = FINDINGS_MAX;
/// What paths begin with.
const ROOTS: [&str; 3] = ["vars", "item", "items"];

/// A text with expressions in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Text that stays.
    Literal(String),
    /// `vars.NAME…`
    Var(String, Vec<Step>),
    /// `item…`
    Each(Vec<Step>),
    /// `items.NAME.outputs…`
    Output(String, Vec<Step>),
}

/// A step from a value to a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `.name` or `['name']`
    Name(String),
    /// `[3]`
    Index(usize),
}

/// What is wrong with an expression or with what it refers to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// What is wrong.
    pub message: String,
    /// The way out, where one is known.
    pub help: Option<String>,
}

impl TemplateError {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl Template {
    /// Whether a text has an expression in it.
    #[must_use]
    pub fn is_in(text: &str) -> bool {
        text.contains(OPEN)
    }

    /// A template that stands for exactly this text.
    #[must_use]
    pub fn literal(text: &str) -> String {
        text.replace(OPEN, ESCAPED_OPEN)
    }

    /// Reads a text.
    ///
    /// # Errors
    /// When what stands between `${{` and `}}` is not an expression.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let (template, errors) = Self::parse_all(text);
        errors.into_iter().next().map_or(Ok(template), Err)
    }

    /// Reads a text as far as it can be read, and says everything that is wrong with it, up to a limit.
    pub(crate) fn parse_all(text: &str) -> (Self, Vec<TemplateError>) {
        let (mut parts, mut errors) = (Vec::new(), Vec::new());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(OPEN) {
            if !before.is_empty() {
                parts.push(Part::Literal(before.into()));
            }
            let mut expression = Expression { start: after, rest: after };
            match expression.part() {
                Ok(part) => {
                    parts.push(part);
                    rest = expression.rest;
                }
                Err(error) => {
                    errors.push(error);
                    // What follows is judged on its own.
                    let next = if errors.len() < ERRORS_MAX { after.split_once(CLOSE) } else { None };
                    rest = next.map_or("", |(_, next)| next);
                }
            }
        }
        if !rest.is_empty() || parts.is_empty() {
            parts.push(Part::Literal(rest.into()));
        }
        (Self { parts }, errors)
    }

    /// Everything that keeps its values from being put in, up to a limit. `plain`: it may not read outputs.
    pub(crate) fn problems(&self, values: &dyn Values, plain: bool) -> Vec<TemplateError> {
        let known_later = |part: &&Part| !plain && matches!(part, Part::Output(..));
        let parts = self.parts.iter().filter(|part| !known_later(part));
        parts.filter_map(|part| text_of(part, values).err()).take(ERRORS_MAX).collect()
    }

    /// Its pieces in order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Replaces variables and the value of `foreach`. The result is a template
    /// again, in which only outputs are left.
    ///
    /// # Errors
    /// When a value is not there, or the text becomes too long.
    pub fn resolve(&self, values: &dyn Values) -> Result<String, TemplateError> {
        let mut out = String::new();
        // Texts are collected first: `$` at the end of one and `{{` at the
        // beginning of the next must not become an expression.
        let mut literal = String::new();
        for part in &self.parts {
            match part {
                Part::Output(item, steps) => {
                    out.push_str(&Self::literal(&literal));
                    literal.clear();
                    out.push_str(&format!("{OPEN} {} {CLOSE}", output_path(item, steps)));
                }
                other => push(&mut literal, &text_of(other, values)?, out.len())?,
            }
        }
        out.push_str(&Self::literal(&literal));
        Ok(out)
    }

    /// Replaces variables and the value of `foreach` in a text that is used
    /// before any item has run.
    ///
    /// # Errors
    /// Also when the text refers to outputs.
    pub fn resolve_plain(&self, values: &dyn Values) -> Result<String, TemplateError> {
        let mut out = String::new();
        for part in &self.parts {
            push(&mut out, &text_of(part, values)?, 0)?;
        }
        Ok(out)
    }

    /// The value of a template that is one single expression and nothing else.
    ///
    /// # Errors
    /// When there is other text around it, or the value is not there.
    pub fn single_value(&self, values: &dyn Values) -> Result<Value, TemplateError> {
        match self.parts.as_slice() {
            [Part::Var(var, steps)] => follow(values.var(var)?, steps, &format!("vars.{var}")).cloned(),
            [Part::Each(steps)] => follow(values.each()?, steps, "item").cloned(),
            _ => {
                Err(TemplateError::new("a list is given by one reference alone")
                    .help("write `${{ vars.NAME }}`"))
            }
        }
    }
}

/// Values that are known when a plan is compiled.
pub trait Values {
    /// The value of a variable.
    ///
    /// # Errors
    /// When there is none.
    fn var(&self, name: &str) -> Result<&Value, TemplateError>;

    /// The value of `foreach`.
    ///
    /// # Errors
    /// When the item has no `foreach`.
    fn each(&self) -> Result<&Value, TemplateError>;
}

/// Replaces what is left for the start of an attempt: outputs of other items.
/// `lookup` gives the outputs of an item by its name.
///
/// # Errors
/// When an item has no outputs, or not the one that is asked for.
pub fn expand_outputs<'a>(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<&'a Value>,
) -> Result<String, TemplateError> {
    if !Template::is_in(text) {
        return Ok(text.into());
    }
    let mut out = String::new();
    for part in Template::parse(text)?.parts() {
        match part {
            Part::Literal(literal) => push(&mut out, literal, 0)?,
            Part::Output(item, steps) => {
                let outputs = lookup(item)
                    .ok_or_else(|| TemplateError::new(format!("the item {} has no outputs", name(item))))?;
                push(&mut out, &shown(follow(outputs, steps, &output_path(item, &[]))?), 0)?;
            }
            Part::Var(..) | Part::Each(_) => {
                return Err(TemplateError::new(
                    "only outputs of items are left to be read when an attempt starts",
                ));
            }
        }
    }
    Ok(out)
}

/// A text without variables and `foreach`, or the value of those.
fn text_of<'a>(part: &'a Part, values: &'a dyn Values) -> Result<std::borrow::Cow<'a, str>, TemplateError> {
    match part {
        Part::Literal(literal) => Ok(literal.into()),
        Part::Var(var, steps) => Ok(shown(follow(values.var(var)?, steps, &format!("vars.{var}"))?)),
        Part::Each(steps) => Ok(shown(follow(values.each()?, steps, "item")?)),
        Part::Output(item, steps) => Err(TemplateError::new(format!(
            "`{}` is not known before the item has run",
            shorten(&output_path(item, steps), 60)
        ))
        .help("outputs can be read in prompts, arguments and environment values")),
    }
}

/// Texts as they are, everything else as JSON.
fn shown(value: &Value) -> std::borrow::Cow<'_, str> {
    match value {
        Value::String(text) => text.into(),
        other => other.to_string().into(),
    }
}

fn push(out: &mut String, text: &str, before: usize) -> Result<(), TemplateError> {
    if before + out.len() + text.len() > EXPANDED_BYTES_MAX {
        return Err(TemplateError::new(format!("the text grows over the limit of {EXPANDED_BYTES_MAX} bytes"))
            .help("hand large texts over in files"));
    }
    out.push_str(text);
    Ok(())
}

/// Follows a path into a value.
fn follow<'a>(mut value: &'a Value, steps: &[Step], start: &str) -> Result<&'a Value, TemplateError> {
    let mut path = String::from(start);
    for step in steps {
        let next = match step {
            Step::Name(name) => value.get(name),
            Step::Index(index) => value.get(index),
        };
        let Some(next) = next else {
            let known = value.as_object().into_iter().flat_map(|map| map.keys()).map(String::as_str);
            let help = match step {
                Step::Name(name) => did_you_mean(name, known),
                Step::Index(_) => None,
            };
            push_step(&mut path, step);
            return Err(TemplateError { help, ..TemplateError::new(format!("there is no {}", name(&path))) });
        };
        push_step(&mut path, step);
        value = next;
    }
    Ok(value)
}

/// The text form of a reference to outputs.
fn output_path(item: &str, steps: &[Step]) -> String {
    let mut path = String::from("items");
    push_step(&mut path, &Step::Name(item.into()));
    path.push_str(".outputs");
    steps.iter().for_each(|step| push_step(&mut path, step));
    path
}

fn push_step(path: &mut String, step: &Step) {
    match step {
        Step::Index(index) => path.push_str(&format!("[{index}]")),
        Step::Name(name) if !name.is_empty() && name.chars().all(is_name_character) => {
            path.push('.');
            path.push_str(name);
        }
        Step::Name(name) => path.push_str(&format!("['{}']", name.replace('\'', "''"))),
    }
}

fn is_name_character(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}

/// A reader of what stands between `${{` and `}}`.
struct Expression<'a> {
    start: &'a str,
    rest: &'a str,
}

impl Expression<'_> {
    fn part(&mut self) -> Result<Part, TemplateError> {
        self.skip_blanks();
        let part =
            if self.rest.starts_with(['\'', '"']) { Part::Literal(self.quoted()?) } else { self.path()? };
        self.skip_blanks();
        match self.rest.strip_prefix(CLOSE) {
            Some(rest) => {
                self.rest = rest;
                Ok(part)
            }
            None if !self.start.contains(CLOSE) => Err(self
                .error("it is not closed")
                .help("end it with `}}`, or write `${{ '${{' }}` for the text `${{`")),
            None => Err(self
                .error("only a path such as vars.name, item.name or items.NAME.outputs.name can stand there")),
        }
    }

    fn path(&mut self) -> Result<Part, TemplateError> {
        let root = self.word().to_owned();
        if !ROOTS.contains(&root.as_str()) {
            let shown = if root.is_empty() {
                "it does not begin with a word".to_owned()
            } else {
                format!("{} is not known", name(&root))
            };
            let help = did_you_mean(&root, ROOTS).unwrap_or_else(|| {
                "it begins with vars, item or items; write `${{ '${{' }}` for the text `${{`".into()
            });
            return Err(self.error(&shown).help(help));
        }
        let mut steps = Vec::new();
        loop {
            self.skip_blanks();
            if let Some(rest) = self.rest.strip_prefix('.') {
                self.rest = rest;
                self.skip_blanks();
                match self.word() {
                    "" => return Err(self.error("a name is missing after the dot")),
                    word => steps.push(Step::Name(word.into())),
                }
            } else if let Some(rest) = self.rest.strip_prefix('[') {
                self.rest = rest;
                steps.push(self.bracket()?);
            } else {
                break;
            }
            if steps.len() > PATH_STEPS_MAX {
                return Err(self.error(&format!("the path has more than {PATH_STEPS_MAX} steps")));
            }
        }
        let mut steps = steps.into_iter();
        match root.as_str() {
            "item" => Ok(Part::Each(steps.collect())),
            "vars" => match steps.next() {
                Some(Step::Name(var)) => Ok(Part::Var(var, steps.collect())),
                _ => Err(self.error("the name of a variable is missing: vars.NAME")),
            },
            _ => match (steps.next(), steps.next()) {
                (Some(Step::Name(item)), Some(Step::Name(word))) if word == "outputs" => {
                    Ok(Part::Output(item, steps.collect()))
                }
                _ => Err(self.error("of items, only outputs can be read: items.NAME.outputs")
                    .help("a name with other characters than letters, digits, `_` and `-` is written items['NAME'].outputs")),
            },
        }
    }

    /// What stands in brackets, after the opening one.
    fn bracket(&mut self) -> Result<Step, TemplateError> {
        self.skip_blanks();
        let step = if self.rest.starts_with(['\'', '"']) {
            Step::Name(self.quoted()?)
        } else {
            let digits = self.rest.len() - self.rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, rest) = self.rest.split_at(digits);
            self.rest = rest;
            Step::Index(
                number.parse().map_err(|_| self.error("a position or a name in quotes stands in brackets"))?,
            )
        };
        self.skip_blanks();
        self.rest = self.rest.strip_prefix(']').ok_or_else(|| self.error("the bracket is not closed"))?;
        Ok(step)
    }

    /// A text in quotes; the quote itself is doubled in it.
    fn quoted(&mut self) -> Result<String, TemplateError> {
        let mut characters = self.rest.char_indices();
        let Some((_, quote)) = characters.next() else {
            return Ok(String::new());
        };
        let mut text = String::new();
        let mut closed = None;
        for (index, character) in characters {
            match (closed.is_some(), character == quote) {
                (false, true) => closed = Some(index),
                (false, false) => text.push(character),
                (true, true) => {
                    text.push(quote);
                    closed = None;
                }
                (true, false) => break,
            }
        }
        let end = closed.ok_or_else(|| self.error("the quote is not closed"))?;
        self.rest = &self.rest[end + quote.len_utf8()..];
        Ok(text)
    }

    fn word(&mut self) -> &str {
        let length = self.rest.len() - self.rest.trim_start_matches(is_name_character).len();
        let (word, rest) = self.rest.split_at(length);
        self.rest = rest;
        word
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn error(&self, problem: &str) -> TemplateError {
        let end = self.start.find(CLOSE).unwrap_or(self.start.len());
        TemplateError::new(format!("`${{{{{}}}}}` cannot be read: {problem}", shorten(&self.start[..end], 60)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Fixed(Value, Option<Value>);

    impl Values for Fixed {
        fn var(&self, name: &str) -> Result<&Value, TemplateError> {
            self.0.get(name).ok_or_else(|| TemplateError::new("no such variable"))
        }

        fn each(&self) -> Result<&Value, TemplateError> {
            self.1.as_ref().ok_or_else(|| TemplateError::new("no foreach"))
        }
    }

    fn resolve(text: &str) -> Result<String, TemplateError> {
        let values = Fixed(
            json!({ "a": "A", "n": 3, "evil": "${{ items.x.outputs }}", "open": "{{ vars.a }}" }),
            Some(json!({ "p": [1, "x"] })),
        );
        Template::parse(text)?.resolve(&values)
    }

    fn expand(text: &str) -> Result<String, TemplateError> {
        let outputs = json!({ "title": "T", "list": [1, 2] });
        expand_outputs(text, &|item| if item == "a.b" || item == "x" { Some(&outputs) } else { None })
    }

    #[test]
    fn values_are_put_in() {
        for (text, expected) in [
            ("none", "none"),
            ("", ""),
            ("${{vars.a}}${{ vars.n }}", "A3"),
            ("$${{ vars.n }}", "$3"),
            ("${{ item.p[1] }} ${{ item['p'] }} ${{ item }}", "x [1,\"x\"] {\"p\":[1,\"x\"]}"),
            ("${{ 'it''s' }}", "it's"),
            ("$ { {", "$ { {"),
        ] {
            assert_eq!(resolve(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_put_in_is_never_read_again() {
        let first =
            resolve("${{ vars.evil }} $${{ vars.open }} ${{ items['a.b'].outputs.title }}").expect("resolved");
        assert_eq!(expand(&first).as_deref(), Ok("${{ items.x.outputs }} ${{ vars.a }} T"));
    }

    #[test]
    fn a_literal_text_stays_as_it_is() {
        for text in ["${{ vars.a }}", "$${{{{ }} ${{", "${{ '${{' }}", "plain"] {
            let first = resolve(&Template::literal(text)).expect("resolved");
            assert_eq!(expand(&first).as_deref(), Ok(text));
        }
    }

    #[test]
    fn outputs_wait_for_the_start() {
        assert_eq!(resolve("${{items.x.outputs.list[1]}}").as_deref(), Ok("${{ items.x.outputs.list[1] }}"));
        assert_eq!(expand("${{ items.x.outputs.list }}").as_deref(), Ok("[1,2]"));
        let error = expand("${{ items.x.outputs.titel }}").expect_err("no such output");
        assert_eq!(error.to_string(), "there is no `items.x.outputs.titel`");
        assert_eq!(error.help.as_deref(), Some("did you mean `title`?"));
        assert!(expand("${{ items.y.outputs }}").is_err());
        assert!(
            Template::parse("${{ items.x.outputs }}")
                .expect("fine")
                .resolve_plain(&Fixed(json!({}), None))
                .is_err()
        );
    }

    #[test]
    fn what_is_not_an_expression_says_why() {
        for (text, part) in [
            ("${{ vars.a", "not closed"),
            ("${{ var.a }}", "`var` is not known"),
            ("${{ }}", "does not begin with a word"),
            ("${{ vars }}", "name of a variable"),
            ("${{ vars. }}", "after the dot"),
            ("${{ items.a }}", "only outputs"),
            ("${{ items.a.state }}", "only outputs"),
            ("${{ vars.a || 'x' }}", "only a path"),
            ("${{ item[x] }}", "in brackets"),
            ("${{ item['x }}", "quote is not closed"),
            ("${{ item[99999999999999999999999] }}", "in brackets"),
            ("${{ item[1 }}", "bracket is not closed"),
        ] {
            let error = Template::parse(text).expect_err(text);
            assert!(error.message.contains(part), "{text}: {error}");
        }
        assert!(Template::parse(&format!("${{{{ item{} }}}}", ".a".repeat(10_000))).is_err());
    }
}
