//! Text written by strangers: questions, descriptions, names, comments.

/// Longest question that is kept.
pub const MAX_QUESTION: usize = 500;
/// Longest description that is kept.
pub const MAX_DESCRIPTION: usize = 4_000;
/// Longest name or label that is kept.
pub const MAX_NAME: usize = 200;

/// Makes untrusted text safe to carry: control and invisible direction characters become spaces,
/// runs of blanks one blank, and more than `max_chars` characters are cut with an ellipsis.
///
/// It does not make the text true, nor an instruction harmless: it travels in fields that the
/// schema marks as untrusted.
#[must_use]
pub fn clean(text: &str, max_chars: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max_chars * 4));
    let mut count = 0;
    let mut blank = true;
    for character in text.chars() {
        let hidden = character.is_control()
            || matches!(character, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{E0000}'..='\u{E007F}');
        let character = if hidden || character.is_whitespace() {
            ' '
        } else {
            character
        };
        if character == ' ' && blank {
            continue;
        }
        blank = character == ' ';
        if count == max_chars {
            out.push('…');
            return out;
        }
        out.push(character);
        count += 1;
    }
    while out.ends_with(' ') {
        out.pop();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_overlong_text_do_not_pass() {
        assert_eq!(
            clean("  Will\u{0007} it\n\n rain\u{202E}? ", 100),
            "Will it rain ?"
        );
        assert_eq!(clean("abcdef", 3), "abc…");
        assert_eq!(clean("", 3), "");
    }
}
