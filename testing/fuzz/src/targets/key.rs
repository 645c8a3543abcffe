//! The tuple keys of `gatehouse_store`.

use std::fmt::Debug;

use gatehouse_store::{
    Key, Position, Range,
    key::{Encoder, KeyPart, Prefix},
};
use ruma::{OwnedDeviceId, OwnedEventId, OwnedRoomAliasId, OwnedRoomId, OwnedServerName, OwnedUserId};

use super::halves;

pub(super) const CORPUS: &[&[u8]] = &[
    b"!r:s\0\0\0\0\0\0\0\0\0\x07",
    b"text\0\0bytes \0\xFF in them\0\0\0\0\0\x01",
    b"@a:s\0\0DEVICE\0\0",
    b"#a:s\0\0$e:s\0\0s:8448\0\0",
    b"\x80\0\0\0\0\0\0\x01\x01\x02",
    b"one\xFFother",
    b"one\0\xFFone\0\0",
    b"\0\0\xFF\0",
];

/// What is decoded is encoded to the same bytes; what is encoded is decoded the same; order of bytes is order of parts.
pub fn key(data: &[u8]) -> bool {
    let decoded = [
        decodes::<(OwnedRoomId, Position)>(data),
        decodes::<(String, Vec<u8>, u32)>(data),
        decodes::<(OwnedUserId, OwnedDeviceId)>(data),
        decodes::<(OwnedRoomAliasId, OwnedEventId, OwnedServerName)>(data),
        decodes::<(i64, u8, u8)>(data),
        decodes::<([u8; 32],)>(data),
    ];
    let (left, right) = halves(data);
    pair(&(left.to_vec(), number(right)), &(right.to_vec(), number(left)));
    pair(
        &(number(left).cast_signed(), left.to_vec()),
        &(number(right).cast_signed(), right.to_vec()),
    );
    if let (Ok(left), Ok(right)) = (std::str::from_utf8(left), std::str::from_utf8(right)) {
        pair(
            &(left.to_owned(), right.to_owned()),
            &(right.to_owned(), left.to_owned()),
        );
    }
    decoded.contains(&true)
}

fn encoded<K: Key>(key: &K) -> Vec<u8> {
    let mut out = Encoder::new();
    key.encode_key(&mut out);
    out.finish().0
}

/// Whether the bytes are a key of this shape.
fn decodes<K: Key>(data: &[u8]) -> bool {
    let Ok(key) = K::decode_key(data) else {
        return false;
    };
    assert_eq!(encoded(&key), data, "two encodings of one key");
    true
}

fn pair<A, B>(left: &(A, B), right: &(A, B))
where
    A: KeyPart + Ord + Debug + Clone,
    B: KeyPart + Ord + Debug,
    (A,): Prefix<(A, B)>,
{
    let (left_bytes, right_bytes) = (encoded(left), encoded(right));
    assert_eq!(<(A, B)>::decode_key(&left_bytes).ok().as_ref(), Some(left));
    assert_eq!(
        left_bytes.cmp(&right_bytes),
        left.cmp(right),
        "{left:?} {right:?}"
    );
    let range = Range::<(A, B)>::prefix(&(left.0.clone(),));
    let (start, end) = range.bytes();
    let within = |key: &[u8]| start <= key && end.is_none_or(|end| key < end);
    assert!(within(&left_bytes));
    assert_eq!(within(&right_bytes), left.0 == right.0, "{left:?} {right:?}");
}

/// The last eight bytes as a number.
fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, &byte| (number << 8) | u64::from(byte))
}
