//! Values: one version byte, then the fields.

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    DecodeError, Position,
    key::{Decoder, Encoder, KeyPart},
};

/// What a row holds. Hot rows implement it by hand with [`KeyPart`]s; documents use [`crate::json_value!`].
pub trait Value: Sized {
    /// Appends the version byte and the fields. Pending positions are allowed.
    fn encode_value(&self, out: &mut Encoder);
    /// Reads it back.
    fn decode_value(bytes: &[u8]) -> Result<Self, DecodeError>;
}

impl Value for () {
    fn encode_value(&self, out: &mut Encoder) {
        out.byte(1);
    }
    fn decode_value(bytes: &[u8]) -> Result<Self, DecodeError> {
        versioned(bytes)?.finish()
    }
}

macro_rules! tuple_values {
    ($(($($part:ident . $index:tt),+))*) => {$(
        impl<$($part: KeyPart),+> Value for ($($part,)+) {
            fn encode_value(&self, out: &mut Encoder) {
                out.byte(1);
                $(self.$index.encode_part(out);)+
            }
            fn decode_value(bytes: &[u8]) -> Result<Self, DecodeError> {
                let mut input = versioned(bytes)?;
                let value = ($($part::decode_part(&mut input)?,)+);
                input.finish()?;
                Ok(value)
            }
        }
    )*};
}
tuple_values! { (A.0) (A.0, B.1) (A.0, B.1, C.2) (A.0, B.1, C.2, D.3) (A.0, B.1, C.2, D.3, E.4) }

/// A decoder past the version byte, which must be 1.
pub fn versioned(bytes: &[u8]) -> Result<Decoder<'_>, DecodeError> {
    let mut input = Decoder::new(bytes);
    let [version] = input.array()?;
    if version == 1 {
        Ok(input)
    } else {
        Err(DecodeError::Version(version))
    }
}

/// Writes a document: version byte 1, then JSON.
pub fn encode_json<T: Serialize>(value: &T, out: &mut Encoder) {
    out.byte(1);
    // Serialising our own row types cannot fail: no maps with non-string keys, no fallible `Serialize`.
    if let Ok(bytes) = serde_json::to_vec(value) {
        out.raw(&bytes);
    }
}

/// Reads a document.
pub fn decode_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    serde_json::from_slice(versioned(bytes)?.remaining()).map_err(|_| DecodeError::Invalid("JSON document"))
}

/// Makes a serde type a [`Value`], stored as JSON behind a version byte. For rows that are not on an event's way.
/// Such a type must not hold a pending [`Position`].
#[macro_export]
macro_rules! json_value {
    ($($type:ty),+ $(,)?) => {$(
        impl $crate::Value for $type {
            fn encode_value(&self, out: &mut $crate::key::Encoder) {
                $crate::value::encode_json(self, out);
            }
            fn decode_value(bytes: &[u8]) -> Result<Self, $crate::DecodeError> {
                $crate::value::decode_json(bytes)
            }
        }
    )+};
}

impl Serialize for Position {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.pending_index().is_some() {
            return Err(serde::ser::Error::custom(
                "a pending position cannot stand in a document",
            ));
        }
        serializer.serialize_u64(self.number())
    }
}

impl<'de> serde::Deserialize<'de> for Position {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = <u64 as serde::Deserialize>::deserialize(deserializer)?;
        Self::new(number).ok_or_else(|| serde::de::Error::custom("position out of range"))
    }
}
