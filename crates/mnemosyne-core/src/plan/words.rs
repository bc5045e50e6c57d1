//! The words of a plan file, as tables.
//!
//! These tables are the only place that knows the words: the decoder checks a
//! document against them, errors suggest from them, and the JSON Schema is
//! made of them.

use crate::plan::limits::{
    AGENTS_PER_ITEM_MAX, ARGV_MAX, ATTEMPTS_MAX, BACKOFF_MAX, CAPABILITIES_MAX, ENV_MAX, FOREACH_MAX,
    ITEMS_MAX, KEY_BYTES_MAX, LIST_MAX, NAME_BYTES_MAX, NEEDS_PER_ITEM_MAX, PARALLEL_MAX, PATH_BYTES_MAX,
    TEXT_BYTES_MAX, VARS_MAX,
};
use crate::text::{Field, Object, Shape, TextRule, Word};
use crate::time::Span;
use crate::work::spec::PRIORITY_MAX;

/// A plan file.
pub static PLAN: Shape = Shape::Object(&Object { noun: "a plan", groups: &[PLAN_WORDS] });

const NAME: Shape = Shape::Text(TextRule { noun: "a name", min: 1, max: NAME_BYTES_MAX });
const TEXT: Shape = Shape::Text(TextRule { noun: "a text", min: 0, max: TEXT_BYTES_MAX });
const FULL_TEXT: Shape =
    Shape::Text(TextRule { noun: "a text that is not empty", min: 1, max: TEXT_BYTES_MAX });
const PATH: Shape = Shape::Text(TextRule { noun: "a path", min: 1, max: PATH_BYTES_MAX });
const SCALAR: Shape = Shape::Scalar(TextRule { noun: "a text", min: 0, max: TEXT_BYTES_MAX });
const CAPABILITY: Shape = Shape::Scalar(TextRule { noun: "a word", min: 1, max: NAME_BYTES_MAX });
const ANY_SPAN: Shape = Shape::Span { min: Span::ZERO };
const SOME_SPAN: Shape = Shape::Span { min: Span::from_millis(1) };
const PARALLEL: Shape = Shape::Int { min: 1, max: PARALLEL_MAX };
const ENV: Shape = Shape::Map { noun: "environment variable", of: &SCALAR, max: ENV_MAX };
const CAPABILITIES: Shape = Shape::Map { noun: "capability", of: &CAPABILITY, max: CAPABILITIES_MAX };

/// A limit on time, or the word that lifts it.
const LIMIT: Shape = Shape::Either(&[
    Shape::Word(&[Word { name: "none", doc: "No limit, also where the defaults have one." }]),
    SOME_SPAN,
]);
const LIMIT_HELP: &str = "for no limit write `none` or remove the key";

const PLAN_WORDS: &[Field] = &[
    Field::with_help(
        "version",
        Shape::Int { min: 1, max: 1 },
        "Version of the plan format.",
        "this version of the program reads plans of version 1",
    ),
    Field::new("name", NAME, "Name of the plan; by default that of its file."),
    Field::new("namespace", NAME, "Tenant or project the run belongs to."),
    Field::new("description", TEXT, "What the plan is for."),
    Field::with_help(
        "vars",
        Shape::Map { noun: "variable", of: &Shape::Either(&[Shape::Object(&VAR), Shape::Any]), max: VARS_MAX },
        "Variables, read by `${{ vars.NAME }}`: a value, or a declaration.",
        "a map as a value is written `{ default: { … } }`",
    ),
    Field::new(
        "defaults",
        Shape::Object(&Object { noun: "defaults", groups: &[SHARED_WORDS] }),
        "Settings of all items that have none of their own.",
    ),
    Field::new("env", ENV, "Environment variables of all items."),
    Field::new("max_parallel", PARALLEL, "Items of the plan that may run at the same time."),
    Field::new(
        "items",
        Shape::Map { noun: "item", of: &Shape::Object(&ITEM), max: ITEMS_MAX },
        "The work items by name.",
    ),
    Field::new(
        "phases",
        Shape::Either(&[Shape::List { of: &Shape::Word(PHASES), min: 1, max: 4 }]),
        "Phases the run goes through, each closed by the reviewer's approval.",
    ),
];

const VAR: Object = Object {
    noun: "a variable",
    groups: &[&[
        Field::new("default", Shape::Any, "The value where none is given."),
        Field::new("required", Shape::Bool, "Whether a value must be given (`--var NAME=VALUE`)."),
        Field::new("description", TEXT, "What the variable is for."),
    ]],
};

const ITEM: Object = Object { noun: "an item", groups: &[ITEM_WORDS, SHARED_WORDS] };

/// Words of an item that cannot have defaults.
const ITEM_WORDS: &[Field] = &[
    Field::new("description", TEXT, "What the item is for."),
    Field::new(
        "needs",
        Shape::Either(&[
            NAME,
            Shape::List { of: &NAME, min: 0, max: NEEDS_PER_ITEM_MAX },
            Shape::Map { noun: "condition", of: &Shape::Word(CONDITIONS), max: NEEDS_PER_ITEM_MAX },
        ]),
        "Items that must have ended before: a name, a list, or a map from names to conditions.",
    )
    .called(&["depends_on", "dependencies", "depends", "dependsOn", "after"]),
    Field::new(
        "run",
        Shape::Either(&[FULL_TEXT, Shape::List { of: &TEXT, min: 1, max: ARGV_MAX }]),
        "A command: a text is a shell line for `/bin/sh -c`, a list is a program and its arguments.",
    )
    .called(&["command", "cmd", "script", "shell", "exec"]),
    Field::new("prompt", FULL_TEXT, "What an agent is asked to do."),
    Field::new("prompt_file", PATH, "File that holds the prompt, relative to the plan."),
    Field::new("phase", Shape::Word(PHASES), "Phase the item belongs to."),
    Field::new(
        "foreach",
        Shape::Either(&[
            Shape::List { of: &Shape::Any, min: 0, max: FOREACH_MAX },
            Shape::Text(TextRule { noun: "a reference such as ${{ vars.list }}", min: 1, max: TEXT_BYTES_MAX }),
        ]),
        "One instance of the item for each value, read by `${{ item }}`.",
    ),
    Field::new("max_parallel", PARALLEL, "Instances of `foreach` that may run at the same time."),
    Field::new(
        "key",
        Shape::Text(TextRule { noun: "a text that is not empty", min: 1, max: KEY_BYTES_MAX }),
        "Idempotency key: one key, one piece of work in a namespace.",
    ),
    Field::new(
        "outputs",
        Shape::Either(&[Shape::Bool, Shape::Map { noun: "schema keyword", of: &Shape::Any, max: LIST_MAX }]),
        "JSON Schema of the outputs, or `{ schema: … }` around it; an attempt whose outputs are missing or do not meet it fails. Outputs have at most 4 MiB.",
    ),
    Field::new(
        "gate",
        Shape::Word(&[Word { name: "human", doc: "A person approves or rejects." }]),
        "The item is a gate that someone opens.",
    ),
    Field::new(
        "adds_to",
        NAME,
        "The item's outputs are a plan, whose items join the run; the item named here waits for all of them.",
    ),
    Field::new(
        "paths",
        Shape::List { of: &PATH, min: 1, max: LIST_MAX },
        "Paths that the item has for itself while it runs.",
    ),
];

/// Words that items and `defaults` have in common.
const SHARED_WORDS: &[Field] = &[
    Field::new(
        "agent",
        Shape::Either(&[NAME, Shape::List { of: &NAME, min: 1, max: AGENTS_PER_ITEM_MAX }]),
        "Agent for prompts, or several in order of preference.",
    ),
    Field::new(
        "role",
        Shape::Word(ROLES),
        "Pool of agents that serves the item; by default that of its agent, or else the executors.",
    ),
    Field::new(
        "priority",
        Shape::Int { min: 0, max: PRIORITY_MAX as i64 },
        "0 to 10; higher is sooner. The default is 5.",
    ),
    Field::new("requires", CAPABILITIES, "Capabilities that the agent or its node must have."),
    Field::new("prefers", CAPABILITIES, "Capabilities that make a node the better choice."),
    Field::new("retry", Shape::Object(&RETRY), "When and how often a failed attempt is repeated."),
    Field::new("timeouts", Shape::Object(&TIMEOUTS), "Limits on time.").called(&["timeout"]),
    Field::with_help("deadline", LIMIT, "Time after submission by which the item must have ended.", LIMIT_HELP),
    Field::new("delay", ANY_SPAN, "Time after submission before which the item does not start."),
    Field::new("grace", ANY_SPAN, "Time between the polite signal and the kill when the item is stopped."),
    Field::new("estimate", SOME_SPAN, "Expected duration, for the critical path."),
    Field::new("env", ENV, "Environment variables."),
    Field::new("workdir", PATH, "Working directory, relative to the plan's folder.").called(&[
        "cwd",
        "working_directory",
        "working-directory",
        "dir",
    ]),
    Field::new("workspace", Shape::Word(WORKSPACES), "Where the item works."),
    Field::new("on_failure", Shape::Word(ON_FAILURE), "What a failure means for the run."),
    Field::new("review", Shape::Object(&REVIEW), "Checks and a reviewer that judge the result."),
];

const RETRY: Object = Object {
    noun: "a retry rule",
    groups: &[&[
        Field::with_help(
            "max_attempts",
            Shape::Int { min: 1, max: ATTEMPTS_MAX },
            "Attempts in all. The default is 1 for `run`, 3 for prompts.",
            "an item has at least one attempt, and at most 1000",
        )
        .called(&["attempts", "max_retries", "retries"]),
        Field::new("initial_interval", ANY_SPAN, "Wait before the second attempt."),
        Field::new(
            "backoff",
            Shape::Number { min: 1.0, max: BACKOFF_MAX },
            "Factor by which each further wait grows.",
        ),
        Field::new("max_interval", ANY_SPAN, "Longest wait."),
    ]],
};

const TIMEOUTS: Object = Object {
    noun: "timeouts",
    groups: &[&[
        Field::with_help("queue", LIMIT, "From ready to started.", LIMIT_HELP),
        Field::with_help("run", LIMIT, "From start to end of one attempt.", LIMIT_HELP),
        Field::with_help("idle", LIMIT, "Without output and without use of CPU.", LIMIT_HELP),
    ]],
};

const GATES: &[Word] = &[
    Word { name: "intent", doc: "It does what was asked for." },
    Word { name: "tests", doc: "It is tested, and the tests can fail." },
    Word { name: "documentation", doc: "It is documented where its users look." },
    Word { name: "anti-patterns", doc: "It pretends nothing." },
    Word { name: "constraints", doc: "It keeps within what was required or forbidden beside the task." },
    Word { name: "completeness", doc: "Nothing that was asked for is left out." },
    Word { name: "correctness", doc: "It works, also at the edges." },
    Word { name: "principled", doc: "It is done for reasons that are given and hold." },
];

const ON_TIMEOUT: &[Word] = &[
    Word { name: "reject", doc: "The result is rejected, and the item fails. This is the default." },
    Word { name: "approve", doc: "The result is accepted." },
];

const REVIEW: Object = Object {
    noun: "a review",
    groups: &[&[
        Field::new(
            "by",
            NAME,
            "Agent that reviews; by default the first one that is defined with role `reviewer`.",
        ),
        Field::new(
            "checks",
            Shape::List { of: &FULL_TEXT, min: 0, max: LIST_MAX },
            "Shell lines that must succeed before anyone is asked.",
        ),
        Field::new(
            "gates",
            Shape::List { of: &Shape::Word(GATES), min: 1, max: 8 },
            "What the agent that reviews looks at; by default all of these.",
        ),
        Field::new(
            "requirements",
            Shape::List { of: &FULL_TEXT, min: 1, max: LIST_MAX },
            "What the result has to meet; the agent that reviews gives each a status and evidence.",
        ),
        Field::new(
            "max_rounds",
            Shape::Int { min: 1, max: 100 },
            "Rounds before a person is asked. The default is 3.",
        ),
        Field::new("human", Shape::Bool, "Whether a person has to approve after that."),
        Field::new("wait", ANY_SPAN, "How long a person is waited for; without it, as long as it takes."),
        Field::new("on_timeout", Shape::Word(ON_TIMEOUT), "What is done when that has passed."),
    ]],
};

/// What must have become of a dependency.
pub(crate) const CONDITIONS: &[Word] = &[
    Word { name: "success", doc: "It succeeded, or failed softly." },
    Word { name: "failure", doc: "It failed or expired, and not softly." },
    Word { name: "done", doc: "It ran to an end, well or badly." },
    Word { name: "always", doc: "It came to any end at all." },
];

const ROLES: &[Word] = &[
    Word { name: "orchestrator", doc: "Coordinates." },
    Word { name: "optimizer", doc: "Prepares the context of an attempt." },
    Word { name: "reviewer", doc: "Judges results." },
    Word { name: "executor", doc: "Does the work. This is the default." },
];

pub(crate) const PHASES: &[Word] = &[
    Word { name: "prompt_to_spec", doc: "From the prompt to a specification." },
    Word { name: "spec_to_full_spec", doc: "From the specification to a full one." },
    Word { name: "full_spec_to_plan", doc: "From the full specification to a plan." },
    Word { name: "plan_to_artifacts", doc: "From the plan to the artifacts." },
];

const WORKSPACES: &[Word] = &[
    Word { name: "none", doc: "In the plan's folder, shared with other items. This is the default." },
    Word { name: "folder", doc: "In a folder of its own." },
    Word {
        name: "worktree",
        doc: "In a git worktree and on a branch of its own, from the commit that the plan's folder is at.",
    },
];

const ON_FAILURE: &[Word] = &[
    Word { name: "fail", doc: "The item fails. This is the default." },
    Word { name: "soft_fail", doc: "For dependents and for the run it counts as success." },
];
