//! Small damage to inputs that were good.

use crate::random::Random;

/// Inputs do not grow beyond this, so that rounds stay cheap; it is above the largest limit of any parser here.
pub const MAX_INPUT: usize = 72 << 10;

/// A part repeated is this many times as long at most.
const MAX_REPEATS: usize = 300;

/// What parsers stumble over: syntax, terminators, ends of number ranges, halves of characters.
const INTERESTING: &[&[u8]] = &[
    b"",
    b"\0",
    b"\0\0",
    b"\0\xFF",
    b"\xFF",
    b"\xC3",
    b"\xED\xA0\x80",
    b"\xF4\x90\x80\x80",
    b"\xE2\x98\x95",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"\\ud83d\\ude00",
    b"{",
    b"}",
    b"[",
    b"]",
    b"{\"a\":",
    b",",
    b":",
    b"null",
    b"true",
    b"-0",
    b"-1",
    b"1e400",
    b"1.0",
    b"9007199254740991",
    b"9007199254740992",
    b"9223372036854775807",
    b"9223372036854775808",
    b"18446744073709551616",
    b"*",
    b".",
    b"@",
    b"!",
    b"#",
    b"$",
    b"@:s",
    b":[::1]",
    b":65536",
    b"%",
    b"_",
    b"+",
    b" ",
    b"\n",
    b"\x7F",
    b"\xEF\xBB\xBF",
];

/// One of the inputs with one to four pieces of damage. One in sixteen stays as it is.
pub fn mutated(random: &mut Random, corpus: &[&[u8]]) -> Vec<u8> {
    let mut input = random
        .pick(corpus)
        .map(|input| input.to_vec())
        .unwrap_or_default();
    if random.below(16) == 0 {
        return input;
    }
    for _ in 0..=random.below(4) {
        damage(random, &mut input, corpus);
        input.truncate(MAX_INPUT);
    }
    input
}

fn damage(random: &mut Random, input: &mut Vec<u8>, corpus: &[&[u8]]) {
    let (start, end) = stretch(random, input.len());
    match random.below(7) {
        0 => flip(random, input),
        1 => {
            input.drain(start..end);
        }
        2 => repeat(random, input, start, end),
        3 => {
            let other = random.pick(corpus).copied().unwrap_or_default();
            let (from, to) = stretch(random, other.len());
            let part = other.get(from..to).unwrap_or_default().to_vec();
            input.splice(start..end, part);
        }
        4 => {
            let interesting = random.pick(INTERESTING).copied().unwrap_or_default();
            input.splice(start..start, interesting.iter().copied());
        }
        5 => {
            let interesting = random.pick(INTERESTING).copied().unwrap_or_default();
            input.splice(start..end, interesting.iter().copied());
        }
        _ => {
            let byte = random.byte();
            input.splice(start..start, [byte]);
        }
    }
}

/// A part of what is so long: mostly short, sometimes anything.
fn stretch(random: &mut Random, length: usize) -> (usize, usize) {
    let start = random.below(length + 1);
    let rest = length - start;
    let count = if random.below(4) == 0 {
        random.below(rest + 1)
    } else {
        random.below(rest.min(8) + 1)
    };
    (start, start + count)
}

fn flip(random: &mut Random, input: &mut [u8]) {
    let at = random.below(input.len());
    let bit = random.below(8);
    if let Some(byte) = input.get_mut(at) {
        *byte ^= 1 << bit;
    }
}

fn repeat(random: &mut Random, input: &mut Vec<u8>, start: usize, end: usize) {
    let part = input.get(start..end).unwrap_or_default();
    let fits = MAX_INPUT / part.len().max(1);
    let times = random.below(MAX_REPEATS.min(fits) + 1);
    let repeated = part.repeat(times);
    input.splice(start..end, repeated);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_repeats_what_it_did() {
        let corpus: &[&[u8]] = &[b"one", b"another"];
        let of = |round| mutated(&mut Random::of_round(7, round), corpus);
        assert!((0..100).all(|round| of(round) == of(round)));
        assert!((0..100).any(|round| of(round) != of(round + 1)));
    }

    #[test]
    fn inputs_stay_bounded() {
        let long = vec![b'['; MAX_INPUT];
        let corpus: &[&[u8]] = &[&long];
        for round in 0..200 {
            assert!(mutated(&mut Random::of_round(1, round), corpus).len() <= MAX_INPUT);
        }
    }
}
