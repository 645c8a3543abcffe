//! The rows of the room's state. A version of a state key holds *since* a position; its event is at a *place*. The two
//! differ when state resolution chose an event that had come before, or when a room's state came with a join.

use gatehouse_store::{
    DecodeError, Position, Value,
    key::{Decoder, Encoder, KeyPart},
    value::versioned,
};
use ruma::OwnedEventId;

/// What a state key is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CurrentStateRow {
    /// The event that set it.
    pub(crate) event_id: OwnedEventId,
    /// Where that is.
    pub(crate) place: Position,
    /// Since when it holds.
    pub(crate) since: Position,
    /// For members: what it says. Else empty.
    pub(crate) membership: String,
}

impl Value for CurrentStateRow {
    fn encode_value(&self, out: &mut Encoder) {
        out.byte(1);
        self.event_id.encode_part(out);
        self.place.encode_part(out);
        self.since.encode_part(out);
        self.membership.encode_part(out);
    }

    fn decode_value(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = versioned(bytes)?;
        let row = Self {
            event_id: OwnedEventId::decode_part(&mut input)?,
            place: Position::decode_part(&mut input)?,
            since: Position::decode_part(&mut input)?,
            membership: String::decode_part(&mut input)?,
        };
        input.finish()?;
        Ok(row)
    }
}

/// A version of a state key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StateVersionRow {
    /// The event and its place; `None`: state resolution left the key without any.
    pub(crate) event: Option<(OwnedEventId, Position)>,
}

impl Value for StateVersionRow {
    fn encode_value(&self, out: &mut Encoder) {
        out.byte(1);
        encode_placed(self.event.as_ref(), out);
    }

    fn decode_value(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = versioned(bytes)?;
        let event = decode_placed(&mut input)?;
        input.finish()?;
        Ok(Self { event })
    }
}

/// One change of a room's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StateChangeRow {
    /// The type of the state.
    pub(crate) kind: String,
    /// Its key.
    pub(crate) state_key: String,
    /// The event that it is now and its place; `None`: it is nothing now.
    pub(crate) event: Option<(OwnedEventId, Position)>,
    /// What it was before. No position: of an event whose commit is still under way nobody knows it yet.
    pub(crate) replaced: Option<OwnedEventId>,
}

impl Value for StateChangeRow {
    fn encode_value(&self, out: &mut Encoder) {
        out.byte(1);
        self.kind.encode_part(out);
        self.state_key.encode_part(out);
        encode_placed(self.event.as_ref(), out);
        if let Some(event_id) = &self.replaced {
            event_id.encode_part(out);
        }
    }

    fn decode_value(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = versioned(bytes)?;
        let (kind, state_key) = (String::decode_part(&mut input)?, String::decode_part(&mut input)?);
        let event = decode_placed(&mut input)?;
        let replaced = if input.is_empty() {
            None
        } else {
            Some(OwnedEventId::decode_part(&mut input)?)
        };
        input.finish()?;
        Ok(Self {
            kind,
            state_key,
            event,
            replaced,
        })
    }
}

fn encode_placed(event: Option<&(OwnedEventId, Position)>, out: &mut Encoder) {
    out.byte(u8::from(event.is_some()));
    if let Some((event_id, place)) = event {
        event_id.encode_part(out);
        place.encode_part(out);
    }
}

fn decode_placed(input: &mut Decoder<'_>) -> Result<Option<(OwnedEventId, Position)>, DecodeError> {
    if u8::decode_part(input)? == 0 {
        return Ok(None);
    }
    Ok(Some((
        OwnedEventId::decode_part(input)?,
        Position::decode_part(input)?,
    )))
}
