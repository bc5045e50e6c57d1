//! Any text as a configuration file, any pairs as environment and flags: refused
//! with a report that can be shown, or resolved to settings that can be shown.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mnemosyne_core::config::{Override, resolve};
use mnemosyne_core::text::Source;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut parts = text.split('\0');
    let file = parts.next().unwrap_or_default();
    let (mut environment, mut flags) = (Vec::new(), Vec::new());
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        match key.strip_prefix("--") {
            Some(key) => flags.push(Override { key: key.into(), value: value.into(), flag: "--set".into() }),
            None => environment.push((format!("MNEMOSYNE__{key}"), value.to_owned())),
        }
    }
    match resolve(Some(Source::new("mnemosyne.toml", file)), environment, &flags) {
        Err(report) => assert!(report.has_errors() && !report.to_string().is_empty()),
        Ok(resolved) => assert!(!resolved.rows().is_empty()),
    }
});
