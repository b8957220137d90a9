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
    already_clean(text, max_chars).unwrap_or_else(|| cleaned(text, max_chars))
}

/// The same, character by character.
fn cleaned(text: &str, max_chars: usize) -> String {
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

/// The same of text that is plain as far as it is looked at: printable ASCII with single blanks within. Most is,
/// and goes through at once.
fn already_clean(text: &str, max_chars: usize) -> Option<String> {
    let bytes = text.as_bytes();
    let is_cut = bytes.len() > max_chars;
    // One more shows that something follows.
    let seen = bytes.get(..bytes.len().min(max_chars.saturating_add(1)))?;
    let is_blank = |byte: Option<&u8>| byte == Some(&b' ');
    let plain = seen.iter().all(|byte| matches!(byte, b' '..=b'~'));
    if !plain
        || is_blank(seen.first())
        || (is_blank(seen.last()) && !is_cut)
        || seen.windows(2).any(|pair| pair == b"  ")
    {
        return None;
    }
    let kept = text.get(..text.len().min(max_chars))?;
    let mut out = String::with_capacity(kept.len() + if is_cut { '…'.len_utf8() } else { 0 });
    out.push_str(kept);
    if is_cut {
        out.push('…');
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Of blanks at either end and within, at and beyond the cut, of tabs and of what is no ASCII.
        #[test]
        fn the_short_way_gives_what_the_long_one_does(
            text in "[ -~]{0,12}[ a]{0,6}[ -~é\\t]{0,6}",
            max in 0_usize..24,
        ) {
            prop_assert_eq!(clean(&text, max), cleaned(&text, max));
        }
    }

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
