//! What may be shown of an address to those who do not know it (security.md T20).

use gatehouse_mail::{Medium, Threepid};

/// How many leading characters of a part may be shown: enough for whoever invited to recognise it, useless to others.
const LEADING_CHARS: usize = 2;

/// How many of a number's last digits may be shown.
const TRAILING_DIGITS: usize = 2;

/// A name for whoever has the address that does not give it away: `al...@ex...` or `...01`.
///
/// At least half of every part stays hidden, so that a short one is never shown whole.
pub(crate) fn obscured(address: &Threepid) -> String {
    match address.medium() {
        Medium::Email => match address.address().rsplit_once('@') {
            Some((local, domain)) => format!("{}...@{}...", leading(local), leading(domain)),
            None => "...".to_owned(),
        },
        Medium::Msisdn => format!("...{}", trailing(address.address())),
    }
}

fn leading(part: &str) -> String {
    let shown = LEADING_CHARS.min(part.chars().count() / 2);
    part.chars().take(shown).collect()
}

fn trailing(number: &str) -> String {
    let chars = number.chars().count();
    let shown = TRAILING_DIGITS.min(chars / 2);
    number.chars().skip(chars - shown).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn email(address: &str) -> String {
        obscured(&Threepid::parse("email", address).unwrap())
    }

    #[test]
    fn t20_an_address_is_hinted_at_and_not_shown() {
        assert_eq!(email("alice@example.org"), "al...@ex...");
        assert_eq!(email("bob@example.org"), "b...@ex...");
        assert_eq!(email("a@b.io"), "...@b....");
        let number = Threepid::parse("msisdn", "447700900001").unwrap();
        assert_eq!(obscured(&number), "...01");
    }

    proptest! {
        #[test]
        fn t20_no_part_of_an_address_is_ever_shown_whole(local in "[a-z]{1,20}", domain in "[a-z]{1,9}\\.[a-z]{2,5}") {
            let shown = email(&format!("{local}@{domain}"));
            let (left, right) = shown.split_once('@').unwrap();
            let (left, right) = (left.strip_suffix("...").unwrap(), right.strip_suffix("...").unwrap());
            prop_assert!(left.len() <= LEADING_CHARS && left.len() < local.len() && local.starts_with(left));
            prop_assert!(right.len() <= LEADING_CHARS && right.len() < domain.len() && domain.starts_with(right));
        }
    }
}
