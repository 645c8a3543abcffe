//! Addresses by which people are known outside Matrix ("third-party identifiers").

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::Host;

use crate::phone;

/// The longest e-mail address (RFC 5321, 4.5.3.1.3; limits.md).
const MAX_EMAIL_BYTES: usize = 254;

/// Longer texts are not looked at (security.md X08).
const MAX_WRITTEN_BYTES: usize = 500;

/// The longest label of a domain (RFC 1035, 2.3.4).
const MAX_LABEL_BYTES: usize = 63;

/// The longest local part of one (RFC 5321, 4.5.3.1.1).
const MAX_LOCAL_PART_BYTES: usize = 64;

/// What may stand in a local part besides letters and digits (RFC 5322, `atext`) and single dots.
const ATOM_SPECIALS: &[u8] = b"!#$%&'*+-/=?^_`{|}~";

/// What kind of address it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Medium {
    /// E-mail.
    Email,
    /// A phone number.
    Msisdn,
}

impl Medium {
    /// Its name in the specification.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Msisdn => "msisdn",
        }
    }

    /// The medium of this name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "email" => Some(Self::Email),
            "msisdn" => Some(Self::Msisdn),
            _ => None,
        }
    }
}

/// An address in its one canonical form. Neither `Debug` nor `Display` shows it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Threepid {
    medium: Medium,
    address: String,
}

/// Why a text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidThreepid {
    /// Another medium.
    #[error("The medium must be `email` or `msisdn`.")]
    Medium,
    /// Not an e-mail address.
    #[error("This is not an e-mail address. It looks like name@example.org.")]
    Email,
    /// Not a phone number.
    #[error("This is not a phone number. Write it with its country code, as in 447700900123.")]
    Phone,
}

impl Threepid {
    /// From a medium's name and an address, in any case and, for phones, with or without `+`.
    pub fn parse(medium: &str, address: &str) -> Result<Self, InvalidThreepid> {
        match Medium::parse(medium) {
            Some(Medium::Email) => Self::email(address),
            Some(Medium::Msisdn) => Self::msisdn(address),
            None => Err(InvalidThreepid::Medium),
        }
    }

    /// An e-mail address: one addr-spec and nothing around it (security.md I04). The domain may be written in any
    /// script; upper and lower case are the same (client-server API, "Third-party invites").
    pub fn email(address: &str) -> Result<Self, InvalidThreepid> {
        if address.len() > MAX_WRITTEN_BYTES {
            return Err(InvalidThreepid::Email);
        }
        let (local, domain) = address.split_once('@').ok_or(InvalidThreepid::Email)?;
        let domain = canonical_domain(domain).ok_or(InvalidThreepid::Email)?;
        if !is_local_part(local) {
            return Err(InvalidThreepid::Email);
        }
        let address = format!("{}@{domain}", local.to_ascii_lowercase());
        if address.len() > MAX_EMAIL_BYTES {
            return Err(InvalidThreepid::Email);
        }
        Ok(Self {
            medium: Medium::Email,
            address,
        })
    }

    /// A phone number with its country code: digits alone, or with a `+` before them.
    pub fn msisdn(number: &str) -> Result<Self, InvalidThreepid> {
        let digits = number.strip_prefix('+').unwrap_or(number);
        if !phone::is_msisdn(digits) {
            return Err(InvalidThreepid::Phone);
        }
        Ok(Self {
            medium: Medium::Msisdn,
            address: digits.to_owned(),
        })
    }

    /// A phone number as people write it in a country, which is given by its two letters.
    pub fn phone(country: &str, number: &str) -> Result<Self, InvalidThreepid> {
        let digits = phone::canonical(country, number).ok_or(InvalidThreepid::Phone)?;
        Self::msisdn(&digits)
    }

    /// What kind of address it is.
    pub fn medium(&self) -> Medium {
        self.medium
    }

    /// The address itself: for storing, sending to and hashing; never for logs.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl fmt::Debug for Threepid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threepid")
            .field("medium", &self.medium)
            .finish_non_exhaustive()
    }
}

fn is_local_part(local: &str) -> bool {
    let atom = |atom: &str| {
        !atom.is_empty()
            && atom
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || ATOM_SPECIALS.contains(&b))
    };
    local.len() <= MAX_LOCAL_PART_BYTES && local.split('.').all(atom)
}

/// In lower case and, for other scripts, in its `xn--` form.
fn canonical_domain(domain: &str) -> Option<String> {
    // The parser is one for URLs and would take these apart.
    if domain.contains(['%', '[', ']', ':', '/', '\\', '@', '?', '#']) || domain.ends_with('.') {
        return None;
    }
    match Host::parse(domain).ok()? {
        Host::Domain(domain) => {
            let label = |label: &str| {
                !label.is_empty()
                    && label.len() <= MAX_LABEL_BYTES
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            };
            domain.split('.').all(label).then_some(domain)
        }
        Host::Ipv4(_) | Host::Ipv6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i04_only_a_bare_address_is_an_address() {
        for bad in [
            "",
            "a",
            "@b.example",
            "a@",
            "a@b@c.example",
            "a b@c.example",
            "a@b c.example",
            "\"a b\"@c.example",
            "A <a@b.example>",
            "a(comment)@b.example",
            "a@b.example\r\nBcc: x@y.example",
            "a@b.example\n",
            "a..b@c.example",
            ".a@b.example",
            "a.@b.example",
            "a@b..example",
            "a@-b.example",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "a@b.example.",
            "a@b%2eexample",
            "a@b:25",
            "a,c@b.example",
            "ä@b.example",
            "a@b/example",
            "a;c@b.example",
        ] {
            assert_eq!(
                Threepid::parse("email", bad),
                Err(InvalidThreepid::Email),
                "{bad}"
            );
        }
        let long = format!("{}@b.example", "a".repeat(65));
        assert!(Threepid::parse("email", &long).is_err());
        let long = format!("a@{}.example", "b.".repeat(125));
        assert!(Threepid::parse("email", &long).is_err());
        let long = format!("a@{}.example", "b".repeat(64));
        assert!(Threepid::parse("email", &long).is_err());
    }

    #[test]
    fn x08_long_texts_are_not_looked_at() {
        for medium in ["email", "msisdn"] {
            let long = format!("{}@b.example", "1".repeat(1 << 20));
            assert!(Threepid::parse(medium, &long).is_err());
        }
        let long = format!("a@{}", "ö.".repeat(1 << 20));
        assert_eq!(Threepid::parse("email", &long), Err(InvalidThreepid::Email));
        assert!(Threepid::phone("GB", &"1".repeat(1 << 20)).is_err());
    }

    #[test]
    fn one_address_has_one_form() {
        for (written, canonical) in [
            ("Alice@Example.ORG", "alice@example.org"),
            ("a.b+c@x.example", "a.b+c@x.example"),
            ("a@bücher.example", "a@xn--bcher-kva.example"),
            ("a@BÜCHER.example", "a@xn--bcher-kva.example"),
            ("a@localhost", "a@localhost"),
        ] {
            assert_eq!(Threepid::parse("email", written).unwrap().address(), canonical);
        }
        for (written, canonical) in [
            ("447700900123", "447700900123"),
            ("+447700900123", "447700900123"),
        ] {
            assert_eq!(Threepid::parse("msisdn", written).unwrap().address(), canonical);
        }
        for bad in [
            "",
            "+",
            "0447700900123",
            "44 7700 900123",
            "12",
            "1234567890123456",
            "44٣700900123",
        ] {
            assert_eq!(
                Threepid::parse("msisdn", bad),
                Err(InvalidThreepid::Phone),
                "{bad}"
            );
        }
        assert_eq!(Threepid::parse("fax", "1"), Err(InvalidThreepid::Medium));
    }

    #[test]
    fn phone_numbers_are_read_as_their_country_writes_them() {
        for (country, written, canonical) in [
            ("GB", "07700 900123", "447700900123"),
            ("gb", "+44 7700 900123", "447700900123"),
            ("US", "(201) 555-0123", "12015550123"),
            ("US", "1 201 555 0123", "12015550123"),
            ("IT", "06 1234 5678", "390612345678"),
            ("DE", "+49 (0)30 123456", "4930123456"),
            ("DE", "0044 7700 900123", "447700900123"),
            ("RU", "8 (912) 345-67-89", "79123456789"),
            ("RU", "800 555-35-35", "78005553535"),
            ("BY", "8 029 491-19-11", "375294911911"),
            ("HU", "06 20 123 4567", "36201234567"),
            ("NO", "40 61 23 45", "4740612345"),
        ] {
            assert_eq!(
                Threepid::phone(country, written).unwrap().address(),
                canonical,
                "{written}"
            );
        }
        for (country, bad) in [
            ("XX", "07700900123"),
            ("GB", ""),
            ("GB", "call me"),
            ("GB", "07700 90012x"),
            ("GB", "1"),
            ("", "1"),
        ] {
            assert_eq!(
                Threepid::phone(country, bad),
                Err(InvalidThreepid::Phone),
                "{bad}"
            );
        }
    }

    #[test]
    fn an_address_does_not_print_itself() {
        let address = Threepid::parse("email", "alice@example.org").unwrap();
        assert!(!format!("{address:?}").contains("alice"));
    }
}
