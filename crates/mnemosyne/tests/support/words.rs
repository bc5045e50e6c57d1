//! What a user reads, with everything that differs from run to run replaced.

use super::Scene;

/// `text` with the folder of the scene as `FOLDER`, run ids as `RUN`, times
/// of day as `TIME`, and how long something took as `SPAN`.
pub(crate) fn settled(scene: &Scene, text: &str) -> String {
    let folder = scene.path().to_str().expect("the folder has a plain name");
    let text = text.replace(folder, "FOLDER").replace(super::scene::fake_agent(), "fake-agent");
    let mut settled = String::new();
    let mut word = String::new();
    for character in text.chars().chain(['\0']) {
        if character.is_ascii_alphanumeric() || (character == ':' && !word.is_empty()) {
            word.push(character);
            continue;
        }
        let bare = word.trim_end_matches(':');
        let measured = [" in ", "after ", "  "].iter().any(|before| settled.ends_with(before));
        settled.push_str(match bare {
            time if is_time(time) => "TIME",
            run if is_run(run) => "RUN",
            span if measured && is_span(span) => "SPAN",
            other => other,
        });
        settled.push_str(&word[bare.len()..]);
        word.clear();
        settled.push(character);
    }
    settled.truncate(settled.len() - 1);
    settled
}

/// `12:30:59`.
fn is_time(word: &str) -> bool {
    let parts: Vec<&str> = word.split(':').collect();
    parts.len() == 3
        && parts.iter().all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Nine or thirteen digits of base 32, beginning with those of the years around now.
fn is_run(word: &str) -> bool {
    let digits = word.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase());
    matches!(word.len(), 9 | 13) && word.starts_with('1') && digits
}

/// `25ms`, `1s200ms`, `2s`.
fn is_span(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_digit()) && word.ends_with('s')
}
