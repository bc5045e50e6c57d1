//! What an item executes, with templates replaced as far as they can be.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::plan::limits::{EXPANDED_BYTES_MAX, TEXT_BYTES_MAX};
use crate::plan::model::{Placed, Work};
use crate::plan::template::{Part, Template, TemplateError};
use crate::plan::vars::Scope;
use crate::text::{Finding, Findings, Key, Location, name};
use crate::work::task::{Action, Workspace};

/// An item that reads outputs of another one.
pub(crate) struct OutputRead {
    /// The item of the plan that reads.
    pub(crate) reader: usize,
    /// The name of the item whose outputs it reads.
    pub(crate) read: String,
    /// Where that is written.
    pub(crate) at: Location,
}

/// Replaces templates and notes which outputs are read.
pub(crate) struct Expander<'a> {
    files: &'a dyn Fn(&str) -> Result<String, String>,
    /// Prompt files that have been read.
    contents: BTreeMap<String, Option<Rc<str>>>,
    /// The item that is at work.
    reader: usize,
    /// Whether outputs that are read are to be noted: once for all instances.
    notes: bool,
    /// Outputs that are read.
    pub(crate) outputs_read: Vec<OutputRead>,
}

impl<'a> Expander<'a> {
    pub(crate) fn new(files: &'a dyn Fn(&str) -> Result<String, String>) -> Self {
        Self { files, contents: BTreeMap::new(), reader: 0, notes: true, outputs_read: Vec::new() }
    }

    /// Turns to an item, or to another instance of it.
    pub(crate) fn begin(&mut self, reader: usize, is_first: bool) {
        self.reader = reader;
        self.notes = is_first;
    }

    /// The command or prompt of an item.
    pub(crate) fn action(
        &mut self,
        item: &Key,
        work: &Placed<Work>,
        scope: &Scope<'_>,
        findings: &mut Findings,
    ) -> Option<Action> {
        match &work.value {
            Work::Shell(line) if Template::is_in(line) => {
                findings.push(template_in_shell(item, work.at));
                None
            }
            Work::Shell(line) => Some(Action::Shell(String::from(&**line))),
            Work::Argv(arguments) => {
                // All of them, so that all that is wrong is said.
                let each: Vec<Option<String>> =
                    arguments.iter().map(|argument| self.launch(argument, scope, findings)).collect();
                let argv: Vec<String> = each.into_iter().collect::<Option<_>>()?;
                if argv.first().is_some_and(|program| program.trim().is_empty()) {
                    findings.push(
                        Finding::error(
                            "plan/empty-command",
                            format!("the command of {} has no program", name(&item.text)),
                        )
                        .at(work.at)
                        .help("the first element of the list is the program"),
                    );
                }
                Some(Action::Argv(argv))
            }
            Work::Prompt(text) => self.expand(text, (work.at, None), scope, findings).map(Action::Prompt),
            Work::PromptFile(path) => self.prompt_file(path, work.at, scope, findings).map(Action::Prompt),
            // It does nothing.
            Work::HumanGate | Work::PhaseGate => None,
        }
    }

    /// A text that is used before any item has run.
    pub(crate) fn plain(
        &mut self,
        text: &Placed<Box<str>>,
        scope: &Scope<'_>,
        findings: &mut Findings,
    ) -> Option<String> {
        if !Template::is_in(&text.value) {
            return Some(String::from(&*text.value));
        }
        let parsed = Template::parse_all(&text.value);
        let template = without_problems(parsed, (text.at, None), (scope, true), findings)?;
        keep(template.resolve_plain(scope).and_then(refuse_nul), text.at, None, findings)
    }

    /// A text in which outputs are left for the start of the attempt.
    pub(crate) fn launch(
        &mut self,
        text: &Placed<Box<str>>,
        scope: &Scope<'_>,
        findings: &mut Findings,
    ) -> Option<String> {
        self.expand(&text.value, (text.at, None), scope, findings)
    }

    /// A text that stands at a place, or in a file that is named there.
    fn expand(
        &mut self,
        text: &str,
        (at, file): (Location, Option<&str>),
        scope: &Scope<'_>,
        findings: &mut Findings,
    ) -> Option<String> {
        if !Template::is_in(text) {
            return Some(text.into());
        }
        let (template, errors) = Template::parse_all(text);
        self.note_outputs(&template, at);
        let template = without_problems((template, errors), (at, file), (scope, false), findings)?;
        keep(template.resolve(scope).and_then(refuse_nul), at, file, findings)
    }

    fn note_outputs(&mut self, template: &Template, at: Location) {
        let read = template.parts().iter().filter_map(|part| match part {
            Part::Output(item, _) => Some(item),
            Part::Literal(_) | Part::Var(..) | Part::Each(_) => None,
        });
        if self.notes {
            let reader = self.reader;
            self.outputs_read.extend(read.map(|item| OutputRead { reader, read: item.clone(), at }));
        }
    }

    fn prompt_file(
        &mut self,
        path: &str,
        at: Location,
        scope: &Scope<'_>,
        findings: &mut Findings,
    ) -> Option<String> {
        let path = self.plain(&Placed { value: path.into(), at }, scope, findings)?;
        if !self.contents.contains_key(&path) {
            let content = match (self.files)(&path) {
                Ok(text) if text.trim().is_empty() => Err("it is empty".to_owned()),
                Ok(text) if text.len() > TEXT_BYTES_MAX => {
                    Err(format!("it has {} bytes; the limit is {TEXT_BYTES_MAX}", text.len()))
                }
                Ok(text) if text.contains('\0') => Err("it contains a NUL character".to_owned()),
                other => other,
            };
            if let Err(problem) = &content {
                findings.push(
                    Finding::error(
                        "plan/prompt-file",
                        format!(
                            "the prompt file {} cannot be used: {}",
                            name(&path),
                            crate::text::shorten(problem, 200)
                        ),
                    )
                    .at(at)
                    .help("the path is relative to the plan"),
                );
            }
            self.contents.insert(path.clone(), content.ok().map(Rc::from));
        }
        let content = self.contents.get(&path).cloned().flatten()?;
        self.expand(&content, (at, Some(&path)), scope, findings)
    }
}

/// Shell text is written by the plan's author alone; a value in it could be code.
fn template_in_shell(item: &Key, at: Location) -> Finding {
    Finding::error(
        "plan/template-in-shell",
        format!("`${{{{ … }}}}` cannot stand in the shell line of {}", name(&item.text)),
    )
    .at(at)
    .help(
        "hand the value over in the environment:  env: { VALUE: \"${{ … }}\" }, run: 'use \"$VALUE\"'\n\
             or write an argument list:  run: [\"program\", \"${{ … }}\"]",
    )
}

/// Checks a working directory: below the base folder, or absolute, which says
/// plainly that the item works elsewhere.
pub(crate) fn check_workdir(path: &str, workspace: Workspace, at: Location, findings: &mut Findings) {
    let problem = if path.trim().is_empty() {
        "is empty"
    } else if path.starts_with('/') && workspace != Workspace::None {
        "is absolute, but the item works in a folder of its own"
    } else if leaves_base(path) {
        "leaves the plan's folder"
    } else {
        return;
    };
    findings.push(
        Finding::error("plan/workdir", format!("the working directory {} {problem}", name(path)))
            .at(at)
            .help("give a path below the plan's folder, or an absolute one together with `workspace: none`"),
    );
}

fn leaves_base(path: &str) -> bool {
    let mut depth = 0_i64;
    if path.starts_with('/') {
        return false;
    }
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => depth -= 1,
            _ => depth += 1,
        }
        if depth < 0 {
            return true;
        }
    }
    false
}

/// Neither arguments nor environment values can hold a NUL.
fn refuse_nul(text: String) -> Result<String, TemplateError> {
    let problem = if text.contains('\0') {
        "a value that is put in contains a NUL character".to_owned()
    } else if text.len() > EXPANDED_BYTES_MAX {
        format!("the text has {} bytes; the limit is {EXPANDED_BYTES_MAX}", text.len())
    } else {
        return Ok(text);
    };
    Err(TemplateError { message: problem, help: None })
}

/// The template, if nothing is wrong with it; all that is wrong is reported. `plain`: it may not read outputs.
fn without_problems(
    (template, mut errors): (Template, Vec<TemplateError>),
    (at, file): (Location, Option<&str>),
    (scope, plain): (&Scope<'_>, bool),
    findings: &mut Findings,
) -> Option<Template> {
    errors.extend(template.problems(scope, plain));
    if errors.is_empty() {
        return Some(template);
    }
    for error in errors {
        keep::<()>(Err(error), at, file, findings);
    }
    None
}

fn keep<T>(
    result: Result<T, TemplateError>,
    at: Location,
    file: Option<&str>,
    findings: &mut Findings,
) -> Option<T> {
    result
        .map_err(|error| {
            let place = file.map(|file| format!(" (in the file {})", name(file))).unwrap_or_default();
            findings.push(
                Finding::error("plan/template", format!("{}{place}", error.message))
                    .at(at)
                    .maybe_help(error.help),
            );
        })
        .ok()
}
