//! Any text as a plan: it is refused with a report that can be shown, or the
//! state machine does not call what it was compiled to invalid.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mnemosyne_core::command::{Command, OnExisting, Submission};
use mnemosyne_core::plan::{Explanation, dot, mermaid, tree};
use mnemosyne_core::reply::{Refusal, Reply};
use mnemosyne_core::text::Format;
use mnemosyne_fuzz::{apply, load_plan, machine};

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let format = [Format::Yaml, Format::Json, Format::Toml][usize::from(*first) % 3];
    match load_plan(text, format) {
        Err(report) => assert!(report.has_errors() && !report.to_string().is_empty()),
        Ok(loaded) => {
            let shown = [
                loaded.warnings.to_string(),
                Explanation::new(&loaded.spec, 10).to_string(),
                tree(&loaded.spec, 10),
                dot(&loaded.spec),
                mermaid(&loaded.spec),
            ];
            assert!(shown[1..].iter().all(|text| !text.is_empty()));
            let submission = Submission { spec: loaded.spec, existing: OnExisting::New };
            let replies = apply(&mut machine(), 2_000, vec![Command::Submit(submission)]);
            assert!(!matches!(replies[..], [Reply::Refused(Refusal::Invalid { .. })]), "{replies:?}");
        }
    }
});
