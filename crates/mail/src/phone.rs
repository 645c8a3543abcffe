//! Phone numbers: from how they are written to E.164.
//!
//! Whether a number is in use is not looked at: whoever claims one must read what is sent to it.

use crate::calling_codes::{Plan, plan};

/// The longest number (E.164), and one that no network is shorter than.
const DIGITS: std::ops::RangeInclusive<usize> = 5..=15;

/// The fewest digits after a country's code.
const MIN_NATIONAL_DIGITS: usize = 4;

/// Longer texts are not looked at.
const MAX_WRITTEN_BYTES: usize = 64;

/// What people write between digits.
const SEPARATORS: [char; 7] = [' ', '-', '.', '/', '(', ')', '\u{a0}'];

/// Whether this is a number with its country code, and nothing else.
pub(crate) fn is_msisdn(digits: &str) -> bool {
    DIGITS.contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit())
}

/// The digits of a number as it is written in a country, with its country code.
pub(crate) fn canonical(country: &str, number: &str) -> Option<String> {
    if number.len() > MAX_WRITTEN_BYTES {
        return None;
    }
    let plan = plan(&country.to_ascii_uppercase())?;
    let written: String = number.chars().filter(|c| !SEPARATORS.contains(c)).collect();
    let (national, digits) = match international(plan, &written) {
        // "+44 (0)7700 900123" is how many write it.
        Some(abroad) => match abroad.strip_prefix(plan.code) {
            Some(national) => (true, national),
            None => (false, abroad),
        },
        None => (true, written.as_str()),
    };
    if !digits.bytes().all(|b| b.is_ascii_digit()) || digits.len() < MIN_NATIONAL_DIGITS {
        return None;
    }
    let digits = if national {
        format!("{}{}", plan.code, without_trunk(plan, digits))
    } else {
        digits.to_owned()
    };
    is_msisdn(&digits).then_some(digits)
}

/// What follows `+`, or what most of the country dials for it.
fn international(plan: Plan, written: &str) -> Option<&str> {
    let dialled = match plan.trunk {
        "1" => "011",
        "8" | "80" => "810",
        _ => "00",
    };
    written
        .strip_prefix('+')
        .or_else(|| written.strip_prefix(dialled))
}

fn without_trunk(plan: Plan, digits: &str) -> &str {
    // Numbers of these two plans have ten digits, of which the first may look like a trunk prefix.
    if matches!(plan.code, "1" | "7") && digits.len() <= 10 {
        return digits;
    }
    digits.strip_prefix(plan.trunk).unwrap_or(digits)
}
