//! Names that strangers chose, in mails that we send and on pages (security.md W11): short, of one line, and no links.

/// How much of a name is shown before it is cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length(pub(crate) usize);

/// Of an inviter's name.
pub(crate) const INVITER: Length = Length(20);

/// Of a room's name.
pub(crate) const ROOM: Length = Length(30);

/// The name as it may be shown in a mail.
pub(crate) fn shown(name: &str, Length(most): Length) -> String {
    defused(&one_line(name, most))
}

/// A name that a stranger chose, on one line of at most `most` characters, without what turns or hides other text.
pub fn one_line(name: &str, most: usize) -> String {
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { ' ' }).collect();
    let words = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    let words = without_towers(&words);
    if words.chars().count() <= most {
        return words;
    }
    let mut short: String = words.chars().take(most.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Marks on top of one another grow over the lines around them.
fn without_towers(name: &str) -> String {
    let mut marks = 0;
    name.chars()
        .filter(|c| {
            marks = if is_mark(*c) { marks + 1 } else { 0 };
            marks <= MAX_MARKS
        })
        .collect()
}

/// As many as any language puts on a letter.
const MAX_MARKS: usize = 3;

fn is_mark(c: char) -> bool {
    matches!(
        c,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
            | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}'
    )
}

/// Control characters would break lines and headers; those that turn the direction of text would hide what it says.
fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// With dots and slashes that look alike but make no link in a mail reader.
fn defused(name: &str) -> String {
    let mut defused = String::with_capacity(name.len());
    let mut rest = name.chars().peekable();
    while let Some(c) = rest.next() {
        let before_word = rest.peek().is_some_and(|next| next.is_alphanumeric());
        defused.push(match c {
            '.' if before_word => '\u{2024}',
            '/' => '\u{2215}',
            '@' => '\u{ff20}',
            c => c,
        });
    }
    defused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w11_names_are_short_and_of_one_line() {
        assert_eq!(shown("Alice", INVITER), "Alice");
        assert_eq!(shown("a\r\nBcc: x", INVITER), "a Bcc: x");
        assert_eq!(shown(&"x".repeat(21), INVITER), format!("{}…", "x".repeat(19)));
        assert_eq!(shown(&"ä".repeat(31), ROOM), format!("{}…", "ä".repeat(29)));
        assert_eq!(shown("a\u{202e}b\u{200b}c", ROOM), "a b c");
        let tower = format!("z{}o", "\u{301}".repeat(20));
        assert_eq!(shown(&tower, ROOM), "z\u{301}\u{301}\u{301}o");
    }

    #[test]
    fn w11_names_make_no_links() {
        for name in [
            "http://evil.example/x",
            "www.evil.example",
            "evil.example",
            "win@evil.example",
        ] {
            let shown = shown(name, ROOM);
            assert!(!shown.contains("://") && !shown.contains('@'), "{shown}");
            assert!(!shown.contains(".e") && !shown.contains(".evil"), "{shown}");
        }
        assert_eq!(shown("Mr. Smith", INVITER), "Mr. Smith");
    }
}
