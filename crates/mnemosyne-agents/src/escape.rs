//! What an agent printed, made safe for a terminal.
//!
//! Terminals obey what they are sent: they move the cursor over earlier lines,
//! set titles, write to the clipboard, and show text in another order than it
//! stands. So everything but plain text, line feeds and tabs is shown as an
//! escape. The result is for eyes; it cannot be turned back.

use std::fmt::Write as _;

/// `bytes` as text in which nothing controls a terminal. Control characters,
/// those that change the direction or order of text or are invisible, and bytes
/// that are not UTF-8 are written as `\x1b` or `\u{202e}`.
#[must_use]
pub fn escape_control(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            push(&mut text, character);
        }
        for byte in chunk.invalid() {
            write!(text, "\\x{byte:02x}").expect("writing to a string cannot fail");
        }
    }
    text
}

fn push(text: &mut String, character: char) {
    match character {
        '\n' | '\t' => text.push(character),
        '\r' => text.push_str("\\r"),
        '\0'..='\x1f' | '\x7f' => {
            write!(text, "\\x{:02x}", u32::from(character)).expect("writing to a string cannot fail");
        }
        _ if is_deceptive(character) => {
            write!(text, "\\u{{{:x}}}", u32::from(character)).expect("writing to a string cannot fail");
        }
        _ => text.push(character),
    }
}

/// C1 controls, and what changes the order of text or hides in it. Joiners
/// (U+200C, U+200D) stay: scripts and emoji are made with them.
fn is_deceptive(character: char) -> bool {
    matches!(character,
        '\u{80}'..='\u{9f}'                         // C1: one-character forms of escape sequences
        | '\u{ad}' | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{180e}' // invisible
        | '\u{61c}' | '\u{200e}' | '\u{200f}'       // direction marks
        | '\u{2028}'..='\u{202e}'                   // line separators, embeddings and overrides
        | '\u{2066}'..='\u{206f}'                   // isolates
        | '\u{fff9}'..='\u{fffb}'                   // annotations
        | '\u{e0000}'..='\u{e007f}'                 // tags
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_of_any_script_stays_as_it_is() {
        for text in ["a line\nand\tanother", "žluťoučký kůň", "日本語", "👩‍💻 done ✓", "\\x1b is only text"]
        {
            assert_eq!(escape_control(text.as_bytes()), text);
        }
    }

    #[test]
    fn what_controls_a_terminal_is_shown_instead_of_obeyed() {
        for (bytes, shown) in [
            (b"\x1b[2J\x1b]0;pwn\x07".as_slice(), r"\x1b[2J\x1b]0;pwn\x07"),
            (b"\x1b]52;c;aGk=\x07", r"\x1b]52;c;aGk=\x07"),
            (b"\x1b]8;;http://evil\x1b\\click\x1b]8;;\x1b\\", r"\x1b]8;;http://evil\x1b\click\x1b]8;;\x1b\"),
            (b"\x9b31m", r"\x9b31m"),
            ("\u{9b}31m".as_bytes(), r"\u{9b}31m"),
            (b"all is well\rrm -rf /", r"all is well\rrm -rf /"),
            ("\u{202e}txt.exe".as_bytes(), r"\u{202e}txt.exe"),
            ("\u{2066}a\u{2069}".as_bytes(), r"\u{2066}a\u{2069}"),
            (b"nul\0del\x7fback\x08", r"nul\x00del\x7fback\x08"),
            (b"\xff\xfe\xed\xa0\x80", r"\xff\xfe\xed\xa0\x80"),
            (b"cut \xe2\x82", r"cut \xe2\x82"),
        ] {
            assert_eq!(escape_control(bytes), shown);
        }
    }

    #[test]
    fn no_input_yields_a_control_character() {
        let every_byte: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
        let every_char: String = (0..0x1_1000).filter_map(char::from_u32).collect();
        for text in [escape_control(&every_byte), escape_control(every_char.as_bytes())] {
            assert!(!text.chars().any(|c| c.is_control() && c != '\n' && c != '\t'));
        }
    }
}
