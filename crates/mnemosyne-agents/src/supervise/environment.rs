//! The environment an agent starts with: ours, cleared, then an allow-list.

use std::collections::BTreeMap;
use std::ffi::OsString;

/// What every agent gets of the parent's environment; `*` stands for any ending.
pub const ALWAYS_ALLOWED: [&str; 8] = ["PATH", "HOME", "LANG", "LC_*", "TZ", "TMPDIR", "TERM", "USER"];
/// Our own variables: never passed on by a pattern, only by their full name.
const OWN_PREFIX: &str = "MNEMOSYNE_";
/// Of our own variables, those whose name contains one of these are never passed on at all.
const NEVER_PASSED: [&str; 4] = ["TOKEN", "COOKIE", "SECRET", "SHIM"];

/// Those variables of `parent_env` that an agent may have: the names of
/// [`ALWAYS_ALLOWED`] and of `allow`, where `AWS_*` stands for all names with
/// that beginning. Variables that are not text are left out, since what an
/// agent gets is written down in its spec.
#[must_use]
pub fn environment(
    parent_env: impl IntoIterator<Item = (OsString, OsString)>,
    allow: &[String],
) -> BTreeMap<String, String> {
    let pass = |name: &str| {
        let mut patterns = ALWAYS_ALLOWED.into_iter().chain(allow.iter().map(String::as_str));
        patterns.any(|pattern| allows(pattern, name))
    };
    parent_env
        .into_iter()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| pass(name))
        .collect()
}

fn allows(pattern: &str, name: &str) -> bool {
    let own = name.starts_with(OWN_PREFIX);
    if own && NEVER_PASSED.iter().any(|word| name.contains(word)) {
        return false;
    }
    match pattern.strip_suffix('*') {
        Some(beginning) => !own && name.starts_with(beginning),
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: [&str; 12] = [
        "PATH",
        "HOME",
        "LC_ALL",
        "LC_CTYPE",
        "LCX",
        "ANTHROPIC_API_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION",
        "MNEMOSYNE_TOKEN",
        "MNEMOSYNE_API_TOKEN",
        "MNEMOSYNE_DATA_DIR",
        "MNEMOSYNE_COOKIE",
    ];

    fn names(allow: &[&str]) -> Vec<String> {
        let parent = PARENT.map(|name| (OsString::from(name), OsString::from("value")));
        let allow: Vec<String> = allow.iter().map(|name| (*name).to_owned()).collect();
        environment(parent, &allow).into_keys().collect()
    }

    #[test]
    fn without_a_word_of_the_user_an_agent_gets_no_secret() {
        assert_eq!(names(&[]), ["HOME", "LC_ALL", "LC_CTYPE", "PATH"]);
    }

    #[test]
    fn names_and_patterns_add_what_they_say() {
        assert_eq!(names(&["ANTHROPIC_API_KEY"]), ["ANTHROPIC_API_KEY", "HOME", "LC_ALL", "LC_CTYPE", "PATH"]);
        assert!(names(&["AWS_*"]).contains(&"AWS_REGION".to_owned()));
        assert!(!names(&["AWS"]).contains(&"AWS_REGION".to_owned()));
    }

    #[test]
    fn our_own_variables_pass_by_full_name_only_and_tokens_never() {
        for pattern in ["*", "M*", "MNEMOSYNE_*"] {
            assert!(!names(&[pattern]).iter().any(|name| name.starts_with(OWN_PREFIX)), "{pattern}");
        }
        assert!(names(&["MNEMOSYNE_DATA_DIR"]).contains(&"MNEMOSYNE_DATA_DIR".to_owned()));
        let asked = names(&["MNEMOSYNE_TOKEN", "MNEMOSYNE_API_TOKEN", "MNEMOSYNE_COOKIE"]);
        assert!(!asked.iter().any(|name| name.starts_with(OWN_PREFIX)));
    }
}
