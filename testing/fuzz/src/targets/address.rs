//! E-mail addresses and phone numbers.

use gatehouse_mail::{Medium, Threepid};

use super::halves;

/// A medium or a country, and what was written.
pub(super) const CORPUS: &[&[u8]] = &[
    b"email\xFFAlice@Example.org",
    b"email\xFFa.b+c!#$%&'*/=?^_`{|}~-@x-y.example",
    b"email\xFFa@b\xC3\xBCcher.example",
    b"email\xFFa@b@c.example",
    b"email\xFF\"a b\"@c.example",
    b"email\xFFa@b.example\r\nBcc: c@d.example",
    b"email\xFFa@[127.0.0.1]",
    b"msisdn\xFF+447700900123",
    b"GB\xFF(07700) 900-123",
    b"US\xFF011 44 7700 900123",
    b"DE\xFF+49 (0)30 123456",
];

/// What is taken is its own canonical form, is one bare address, and can be written to.
pub fn address(data: &[u8]) -> bool {
    let (kind, written) = halves(data);
    let (Ok(kind), Ok(written)) = (std::str::from_utf8(kind), std::str::from_utf8(written)) else {
        return false;
    };
    let read = Threepid::parse(kind, written).or_else(|_| Threepid::phone(kind, written));
    let Ok(read) = read else { return false };
    let canonical = read.address();
    assert_eq!(
        Threepid::parse(read.medium().as_str(), canonical).as_ref(),
        Ok(&read)
    );
    match read.medium() {
        Medium::Email => {
            assert!(
                canonical
                    .bytes()
                    .all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase())
            );
            assert_eq!(canonical.matches('@').count(), 1, "{canonical}");
            assert!(canonical.len() <= 254, "{canonical}");
            assert!(canonical.parse::<lettre::Address>().is_ok(), "{canonical}");
        }
        Medium::Msisdn => {
            assert!(canonical.bytes().all(|b| b.is_ascii_digit()), "{canonical}");
            assert!((5..=15).contains(&canonical.len()), "{canonical}");
        }
    }
    true
}
