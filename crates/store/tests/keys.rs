//! Keys: what is encoded is read back, the order of bytes is the order of parts, and ranges follow the parts.

use std::cmp::Ordering;

use gatehouse_store::{
    DecodeError, Key, Position, Range,
    key::{Decoder, Encoder, KeyPart},
};
use proptest::prelude::*;
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};

fn encode<K: Key>(key: &K) -> Vec<u8> {
    let mut out = Encoder::new();
    key.encode_key(&mut out);
    out.finish().0
}

fn inside<K>(range: &Range<K>, key: &[u8]) -> bool {
    let (start, end) = range.bytes();
    start <= key && end.is_none_or(|end| key < end)
}

/// Bytes in which the ones that the encoding treats specially are common.
fn tricky_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(
        prop_oneof![Just(0_u8), Just(1), Just(0xFE), Just(0xFF), any::<u8>()],
        0..6,
    )
}

fn tricky_text() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof![Just('\0'), Just('\u{1}'), Just('a'), any::<char>()],
        0..6,
    )
    .prop_map(String::from_iter)
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(1),
        Just(255),
        Just(256),
        Just(u64::MAX),
        any::<u64>()
    ]
}

fn position() -> impl Strategy<Value = Position> {
    number().prop_map(|number| Position::new(number >> 1).unwrap_or_default())
}

fn signed() -> impl Strategy<Value = i64> {
    prop_oneof![
        Just(i64::MIN),
        Just(-1),
        Just(0),
        Just(1),
        Just(i64::MAX),
        any::<i64>()
    ]
}

proptest! {
    #[test]
    fn keys_round_trip(
        key in (tricky_text(), tricky_bytes(), position(), signed()),
        tail in (any::<u8>(), any::<u16>(), any::<u32>(), number(), any::<[u8; 32]>()),
    ) {
        prop_assert_eq!(Key::decode_key(&encode(&key)), Ok(key));
        prop_assert_eq!(Key::decode_key(&encode(&tail)), Ok(tail));
    }

    #[test]
    fn the_order_of_bytes_is_the_order_of_parts(
        a in (tricky_bytes(), tricky_text(), position(), signed(), tricky_bytes()),
        b in (tricky_bytes(), tricky_text(), position(), signed(), tricky_bytes()),
        same in 0_usize..5,
    ) {
        let mut b = b;
        // Otherwise only the first part would ever decide.
        if same > 0 { b.0 = a.0.clone(); }
        if same > 1 { b.1 = a.1.clone(); }
        if same > 2 { b.2 = a.2; }
        if same > 3 { b.3 = a.3; }
        prop_assert_eq!(encode(&a).cmp(&encode(&b)), a.cmp(&b));
    }

    #[test]
    fn a_prefix_takes_in_exactly_the_keys_that_begin_with_it(
        first in tricky_bytes(), second in tricky_bytes(), key in (tricky_bytes(), tricky_bytes(), number()), same in 0_usize..3,
    ) {
        let mut key = key;
        if same > 0 { key.0.clone_from(&first); }
        if same > 1 { key.1.clone_from(&second); }
        let bytes = encode(&key);
        let one: Range<(Vec<u8>, Vec<u8>, u64)> = Range::prefix(&(first.clone(),));
        prop_assert_eq!(inside(&one, &bytes), key.0 == first);
        let two: Range<(Vec<u8>, Vec<u8>, u64)> = Range::prefix(&(first.clone(), second.clone()));
        prop_assert_eq!(inside(&two, &bytes), key.0 == first && key.1 == second);
    }

    #[test]
    fn bounds_mean_parts(bound in (tricky_bytes(), number()), key in (tricky_bytes(), number()), same in any::<bool>()) {
        let mut key = key;
        if same { key.0.clone_from(&bound.0); }
        let bytes = encode(&key);
        let order = key.cmp(&bound);
        prop_assert_eq!(inside(&Range::<(Vec<u8>, u64)>::all().from(&bound), &bytes), order != Ordering::Less);
        prop_assert_eq!(inside(&Range::<(Vec<u8>, u64)>::all().after(&bound), &bytes), order == Ordering::Greater);
        prop_assert_eq!(inside(&Range::<(Vec<u8>, u64)>::all().before(&bound), &bytes), order == Ordering::Less);
        prop_assert_eq!(inside(&Range::<(Vec<u8>, u64)>::all().through(&bound), &bytes), order != Ordering::Greater);
        let first = (bound.0.clone(),);
        prop_assert_eq!(inside(&Range::<(Vec<u8>, u64)>::all().after(&first), &bytes), key.0 > bound.0);
        prop_assert_eq!(inside(&Range::<(Vec<u8>, u64)>::all().through(&first), &bytes), key.0 <= bound.0);
    }

    #[test]
    fn any_bytes_decode_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        type Mixed = (String, Position, OwnedUserId);
        // Neither panics, nor reads two encodings as one key.
        if let Ok(key) = Mixed::decode_key(&bytes) {
            prop_assert_eq!(encode(&key), bytes);
        }
    }
}

#[test]
fn cut_and_long_keys_are_refused() {
    type Pair = (String, u64);
    let bytes = encode(&("a\0b".to_owned(), 7_u64));
    for end in 0..bytes.len() {
        assert_eq!(
            Pair::decode_key(&bytes[..end]),
            Err(DecodeError::Short),
            "cut at {end}"
        );
    }
    assert_eq!(
        Pair::decode_key(&[&bytes[..], &[0]].concat()),
        Err(DecodeError::Long)
    );
}

#[test]
fn identifiers_are_checked_when_read() {
    let key = ("not a room id".to_owned(),);
    assert_eq!(
        <(OwnedRoomId,)>::decode_key(&encode(&key)),
        Err(DecodeError::Invalid("room id"))
    );
    let event: OwnedEventId = "$abc".try_into().unwrap();
    assert_eq!(Key::decode_key(&encode(&(event.clone(),))), Ok((event,)));
}

#[test]
fn parts_of_numbers_keep_their_order() {
    let numbers = [i64::MIN, -256, -1, 0, 1, 255, 256, i64::MAX];
    let encoded: Vec<_> = numbers
        .iter()
        .map(|number| {
            let mut out = Encoder::new();
            number.encode_part(&mut out);
            out.finish().0
        })
        .collect();
    assert!(encoded.is_sorted());
    for (number, bytes) in numbers.iter().zip(&encoded) {
        assert_eq!(i64::decode_part(&mut Decoder::new(bytes)), Ok(*number));
    }
}
