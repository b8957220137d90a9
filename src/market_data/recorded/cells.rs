//! Text cells of CSV files that people open in spreadsheets.

/// What makes a spreadsheet take a cell for a formula.
fn is_formula(first: u8) -> bool {
    matches!(first, b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r')
}

/// Untrusted text as a cell: a text that a spreadsheet would run as a formula gets a `'` before it,
/// which spreadsheets take for "this is text".
pub(super) fn guarded(text: &str) -> String {
    match text.as_bytes() {
        [first, ..] if is_formula(*first) => format!("'{text}"),
        // So that what is read again is what was written.
        [b'\'', first, ..] if is_formula(*first) => format!("'{text}"),
        [b'\'', b'\'', ..] => format!("'{text}"),
        _ => text.to_owned(),
    }
}

/// The text of a cell that [`guarded`] made; any other cell stays as it is.
pub(super) fn unguarded(cell: &[u8]) -> &[u8] {
    match cell {
        [b'\'', rest @ ..] => match rest {
            [first, ..] if is_formula(*first) || *first == b'\'' => rest,
            _ => cell,
        },
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_become_text_and_everything_comes_back() {
        assert_eq!(guarded("=1+2"), "'=1+2");
        assert_eq!(guarded("@SUM(A1)"), "'@SUM(A1)");
        assert_eq!(guarded("Will it rain?"), "Will it rain?");
        assert_eq!(guarded("'Twas"), "'Twas");
        for text in [
            "",
            "=cmd|'/c calc'!A1",
            "+1",
            "-1",
            "@x",
            "'",
            "''",
            "'=1",
            "''=1",
            "'Twas",
            "''Twas",
            "plain",
            "é",
        ] {
            let cell = guarded(text);
            assert_eq!(unguarded(cell.as_bytes()), text.as_bytes(), "{text}");
            assert!(!cell.bytes().next().is_some_and(is_formula), "{text}");
        }
    }
}
