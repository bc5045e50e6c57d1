//! Rust source with comments and literals blanked out, so that a rule about
//! code is not misled by what is written about code.
//!
//! This is a lexer of just what is needed: comments, strings in all their
//! forms, characters and lifetimes. Every byte that is blanked out becomes a
//! space and lines stay lines, so offsets and line numbers hold.

/// Blanks out comments and the content of literals.
pub(super) fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => line_end(bytes, at),
            b'/' if bytes[at..].starts_with(b"/*") => block_comment_end(bytes, at),
            b'"' => string_end(bytes, at),
            b'r' if !follows_word(bytes, at) => raw_string_end(bytes, at).unwrap_or(at),
            b'b' | b'c' if !follows_word(bytes, at) && bytes.get(at + 1) == Some(&b'r') => {
                raw_string_end(bytes, at + 1).unwrap_or(at)
            }
            b'\'' => char_end(bytes, at).unwrap_or(at),
            _ => at,
        };
        code[at..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        at = end.max(at + 1);
    }
    String::from_utf8(code).expect("only whole characters are blanked out")
}

/// The attributes of a code-only text: line and content between the brackets.
pub(super) fn attributes(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut rest = 0;
    while let Some(start) = code[rest..].find('#').map(|offset| rest + offset) {
        rest = start + 1;
        let inside = code[rest..].trim_start_matches('!').trim_start();
        let Some(content) = inside.strip_prefix('[') else { continue };
        if let Some(end) = closing_bracket(content) {
            found.push((line_of(code, start), &content[..end]));
        }
    }
    found
}

/// The line, counted from 1, of the byte at `offset`.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].bytes().filter(|byte| *byte == b'\n').count() + 1
}

/// Where `word` stands in `code` as a word of its own.
pub(super) fn word_offsets<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_part = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let bytes = code.as_bytes();
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        !is_part(before) && !is_part(bytes.get(at + word.len()))
    })
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |offset| at + offset)
}

/// Block comments nest.
fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0_usize);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The end of a raw string whose `r` is at `start`; none when it is a name.
fn raw_string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let hashes = bytes[start + 1..].iter().take_while(|byte| **byte == b'#').count();
    let open = start + 1 + hashes;
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.resize(1 + hashes, b'#');
    let content = open + 1;
    let found = bytes[content..].windows(close.len()).position(|window| window == close);
    Some(found.map_or(bytes.len(), |offset| content + offset + close.len()))
}

/// The end of a character literal; none when it is a lifetime.
fn char_end(bytes: &[u8], start: usize) -> Option<usize> {
    let first = *bytes.get(start + 1)?;
    let content = if first == b'\\' { 2 } else { char_bytes(first) };
    let from = start + 1 + content;
    if first == b'\\' {
        let close = bytes.get(from..)?.iter().position(|byte| *byte == b'\'')?;
        return Some(from + close + 1);
    }
    (bytes.get(from) == Some(&b'\'')).then_some(from + 1)
}

/// Bytes of the UTF-8 character that starts with `first`.
fn char_bytes(first: u8) -> usize {
    match first.leading_ones() {
        0 => 1,
        ones => usize::try_from(ones).unwrap_or(1),
    }
}

fn follows_word(bytes: &[u8], at: usize) -> bool {
    at.checked_sub(1).is_some_and(|before| bytes[before].is_ascii_alphanumeric() || bytes[before] == b'_')
}

fn closing_bracket(content: &str) -> Option<usize> {
    let mut depth = 1_usize;
    for (at, byte) in content.bytes().enumerate() {
        match byte {
            b'[' => depth += 1,
            b']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blanked(text: &str) -> String {
        let code = code_only(text);
        assert_eq!(code.len(), text.len());
        assert_eq!(code.lines().count(), text.lines().count());
        code.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_go_and_code_stays() {
        assert_eq!(blanked("let a = 1; // todo!()\nlet b;"), "let a = 1; let b;");
        assert_eq!(blanked("a /* x /* y */ z */ b"), "a b");
    }

    #[test]
    fn literals_go_whatever_their_quotes() {
        assert_eq!(blanked(r#"f("a // \" b", c)"#), "f( , c)");
        assert_eq!(blanked("f(r#\"a \" b\"#, br\"x\\\", c)"), "f( , , c)");
        assert_eq!(blanked(r"f('\'', '/', '→', '\u{7f}', c)"), "f( , , , , c)");
    }

    #[test]
    fn lifetimes_and_raw_names_are_no_literals() {
        assert_eq!(blanked("fn f<'a>(x: &'a str) {}"), "fn f<'a>(x: &'a str) {}");
        assert_eq!(blanked("let r#type = var;"), "let r#type = var;");
    }

    #[test]
    fn attributes_are_found_with_their_lines() {
        let code = "#![a]\nfn f() {}\n#[b(c[1], d)]\nfn g() {}";
        assert_eq!(attributes(code), [(1, "a"), (3, "b(c[1], d)")]);
    }

    #[test]
    fn words_stand_alone() {
        assert_eq!(word_offsets("allow disallow allowed allow(", "allow").collect::<Vec<_>>(), [0, 23]);
    }
}
