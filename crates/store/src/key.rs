//! Keys: tuples under one order-preserving encoder.
//!
//! A string or byte part is written with `0x00` escaped as `0x00 0xFF` and ended by `0x00 0x00`, so that no key is
//! a prefix of another part's and order by bytes is order by parts. Numbers are big-endian.

use ruma::{OwnedDeviceId, OwnedEventId, OwnedRoomAliasId, OwnedRoomId, OwnedServerName, OwnedUserId};

use crate::{DecodeError, Position};

/// Collects encoded parts, and remembers where pending positions stand.
#[derive(Debug, Default, Clone)]
pub struct Encoder {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
}

/// Where in encoded bytes a pending position is to be filled in: eight bytes, big-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Offset of the first of the eight bytes.
    pub offset: usize,
    /// Which of the commit's positions, from 0.
    pub index: u32,
}

impl Encoder {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends raw bytes, with no terminator.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends a byte.
    pub fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Appends a position; a pending one leaves a slot.
    pub fn position(&mut self, position: Position) {
        if let Some(index) = position.pending_index() {
            self.slots.push(Slot {
                offset: self.bytes.len(),
                index,
            });
            self.bytes.extend_from_slice(&[0; 8]);
        } else {
            self.bytes.extend_from_slice(&position.number().to_be_bytes());
        }
    }

    /// Appends bytes escaped and terminated, so that order is kept.
    pub fn terminated(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.bytes.push(byte);
            if byte == 0 {
                self.bytes.push(0xFF);
            }
        }
        self.bytes.extend_from_slice(&[0, 0]);
    }

    /// The encoded bytes and the slots in them.
    pub fn finish(self) -> (Vec<u8>, Vec<Slot>) {
        (self.bytes, self.slots)
    }
}

/// Reads parts back.
#[derive(Debug)]
pub struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Reads from these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(DecodeError::Short)?;
        self.rest = rest;
        Ok(*head)
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(DecodeError::Short)?;
        self.rest = rest;
        Ok(head)
    }

    /// A position.
    pub fn position(&mut self) -> Result<Position, DecodeError> {
        Position::new(u64::from_be_bytes(self.array()?)).ok_or(DecodeError::Invalid("position"))
    }

    /// Bytes written by [`Encoder::terminated`].
    pub fn terminated(&mut self) -> Result<Vec<u8>, DecodeError> {
        let mut bytes = Vec::new();
        loop {
            match self.rest {
                [0, 0, rest @ ..] => {
                    self.rest = rest;
                    return Ok(bytes);
                }
                [0, 0xFF, rest @ ..] => {
                    bytes.push(0);
                    self.rest = rest;
                }
                [0, ..] | [] => return Err(DecodeError::Short),
                [byte, rest @ ..] => {
                    bytes.push(*byte);
                    self.rest = rest;
                }
            }
        }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// All that is left.
    pub fn remaining(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Errs when bytes are left over.
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Long)
        }
    }
}

/// One component of a key.
pub trait KeyPart: Sized {
    /// Appends it, keeping its order.
    fn encode_part(&self, out: &mut Encoder);
    /// Reads it back.
    fn decode_part(input: &mut Decoder<'_>) -> Result<Self, DecodeError>;
}

/// A whole key: a tuple of [`KeyPart`]s, or one alone.
pub trait Key: Sized {
    /// Appends all parts.
    fn encode_key(&self, out: &mut Encoder);
    /// Reads all parts and nothing more.
    fn decode_key(bytes: &[u8]) -> Result<Self, DecodeError>;
}

/// The first parts of a key `K`: what one scans by.
pub trait Prefix<K> {
    /// Appends the parts.
    fn encode_prefix(&self, out: &mut Encoder);
}

macro_rules! big_endian {
    ($($number:ty),*) => {$(
        impl KeyPart for $number {
            fn encode_part(&self, out: &mut Encoder) {
                out.raw(&self.to_be_bytes());
            }
            fn decode_part(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                Ok(Self::from_be_bytes(input.array()?))
            }
        }
    )*};
}
big_endian!(u8, u16, u32, u64);

impl KeyPart for i64 {
    fn encode_part(&self, out: &mut Encoder) {
        out.raw(&(self.cast_unsigned() ^ (1 << 63)).to_be_bytes());
    }
    fn decode_part(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok((u64::from_be_bytes(input.array()?) ^ (1 << 63)).cast_signed())
    }
}

impl KeyPart for Position {
    fn encode_part(&self, out: &mut Encoder) {
        out.position(*self);
    }
    fn decode_part(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        input.position()
    }
}

impl KeyPart for Vec<u8> {
    fn encode_part(&self, out: &mut Encoder) {
        out.terminated(self);
    }
    fn decode_part(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        input.terminated()
    }
}

/// A digest, such as that of an access token.
impl KeyPart for [u8; 32] {
    fn encode_part(&self, out: &mut Encoder) {
        out.raw(self);
    }
    fn decode_part(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        input.array()
    }
}

impl KeyPart for String {
    fn encode_part(&self, out: &mut Encoder) {
        out.terminated(self.as_bytes());
    }
    fn decode_part(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Self::from_utf8(input.terminated()?).map_err(|_| DecodeError::Invalid("UTF-8 string"))
    }
}

macro_rules! identifiers {
    ($($id:ty => $name:literal),*) => {$(
        impl KeyPart for $id {
            fn encode_part(&self, out: &mut Encoder) {
                out.terminated(self.as_bytes());
            }
            fn decode_part(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                Self::try_from(String::decode_part(input)?).map_err(|_| DecodeError::Invalid($name))
            }
        }
    )*};
}
identifiers!(
    OwnedEventId => "event id",
    OwnedRoomAliasId => "room alias",
    OwnedRoomId => "room id",
    OwnedServerName => "server name",
    OwnedUserId => "user id"
);

impl KeyPart for OwnedDeviceId {
    fn encode_part(&self, out: &mut Encoder) {
        out.terminated(self.as_bytes());
    }
    fn decode_part(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self::from(String::decode_part(input)?))
    }
}

macro_rules! tuples {
    ($(($($part:ident . $index:tt),+))*) => {$(
        impl<$($part: KeyPart),+> Key for ($($part,)+) {
            fn encode_key(&self, out: &mut Encoder) {
                $(self.$index.encode_part(out);)+
            }
            fn decode_key(bytes: &[u8]) -> Result<Self, DecodeError> {
                let mut input = Decoder::new(bytes);
                let key = ($($part::decode_part(&mut input)?,)+);
                input.finish()?;
                Ok(key)
            }
        }
    )*};
}
tuples! { (A.0) (A.0, B.1) (A.0, B.1, C.2) (A.0, B.1, C.2, D.3) (A.0, B.1, C.2, D.3, E.4) }

macro_rules! prefixes {
    ($(($($part:ident . $index:tt),+) of ($($all:ident),+))*) => {$(
        impl<$($all: KeyPart),+> Prefix<($($all,)+)> for ($($part,)+) {
            fn encode_prefix(&self, out: &mut Encoder) {
                $(self.$index.encode_part(out);)+
            }
        }
    )*};
}
prefixes! {
    (A.0) of (A) (A.0) of (A, B) (A.0) of (A, B, C) (A.0) of (A, B, C, D) (A.0) of (A, B, C, D, E)
    (A.0, B.1) of (A, B) (A.0, B.1) of (A, B, C) (A.0, B.1) of (A, B, C, D) (A.0, B.1) of (A, B, C, D, E)
    (A.0, B.1, C.2) of (A, B, C) (A.0, B.1, C.2) of (A, B, C, D) (A.0, B.1, C.2) of (A, B, C, D, E)
    (A.0, B.1, C.2, D.3) of (A, B, C, D) (A.0, B.1, C.2, D.3) of (A, B, C, D, E)
}
