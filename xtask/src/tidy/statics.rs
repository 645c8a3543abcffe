//! No statics with state: two servers with different names run in one process.

use crate::tidy::{Complaint, rust::Token, source::Source};

/// Types through which a static could change.
const CHANGEABLE: &[&str] = &[
    "Mutex",
    "RwLock",
    "OnceLock",
    "OnceCell",
    "RefCell",
    "Cell",
    "UnsafeCell",
    "DashMap",
    "Cache",
    "ArcSwap",
    "Sender",
];

pub(crate) fn check(sources: &[Source]) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| source.is_production()) {
        for (index, token) in source.tokens.iter().enumerate() {
            let broken = if token.is_word("static") {
                is_changeable(source.tokens.get(index..).unwrap_or_default())
            } else {
                token.is_word("thread_local")
            };
            if broken {
                complaints.push(Complaint::new(
                    source.place(token.line),
                    "a static with state: pass it in instead",
                ));
            }
        }
    }
    complaints
}

/// Looks at a static's type: what stands between `static` and its value.
fn is_changeable(declaration: &[Token]) -> bool {
    declaration
        .iter()
        .skip(1)
        .take_while(|token| !token.is_mark('=') && !token.is_mark(';'))
        .filter_map(Token::word)
        .any(|word| word == "mut" || word.starts_with("Atomic") || CHANGEABLE.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(text: &str) -> usize {
        check(&[Source::new(
            "rooms",
            "crates/rooms/src/a.rs",
            "src/a.rs",
            text.to_owned(),
        )])
        .len()
    }

    #[test]
    fn a_static_may_not_change() {
        assert_eq!(complaints("static A: Mutex<u8> = Mutex::new(0);"), 1);
        assert_eq!(complaints("static A: AtomicU64 = AtomicU64::new(0);"), 1);
        assert_eq!(
            complaints("thread_local! { static A: RefCell<u8> = RefCell::new(0); }"),
            2
        );
    }

    #[test]
    fn a_table_of_words_and_a_lifetime_are_no_state() {
        assert_eq!(
            complaints("static A: &[&str] = &[]; fn a(b: &'static Mutex<u8>) {}"),
            0
        );
    }
}
