//! The rows of the graph of a room's events.

use gatehouse_store::{
    DecodeError, Position, Value,
    key::{Encoder, KeyPart},
    value::versioned,
};
use ruma::OwnedEventId;

/// The events before one that are not here, and where they are put when they come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BackwardRow {
    /// Which events are not here.
    pub(crate) missing: Vec<OwnedEventId>,
    /// The first of the positions that were kept free for them.
    pub(crate) first: Position,
    /// They go before this position.
    pub(crate) before: Position,
}

impl Value for BackwardRow {
    fn encode_value(&self, out: &mut Encoder) {
        out.byte(1);
        self.first.encode_part(out);
        self.before.encode_part(out);
        for event_id in &self.missing {
            event_id.encode_part(out);
        }
    }

    fn decode_value(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = versioned(bytes)?;
        let (first, before) = (
            Position::decode_part(&mut input)?,
            Position::decode_part(&mut input)?,
        );
        let mut missing = Vec::new();
        while !input.is_empty() {
            missing.push(OwnedEventId::decode_part(&mut input)?);
        }
        Ok(Self {
            missing,
            first,
            before,
        })
    }
}

/// A state that another is described by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StateBase {
    /// The room's state just before the event came.
    Own,
    /// The room's state just after this position.
    Line(Position),
    /// The state just after the event at this position, which is off the line itself.
    After(Position),
}

/// The state before an event: a base, and what differs from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StateBeforeRow {
    /// What it is built on.
    pub(crate) base: StateBase,
    /// How many such rows one has to read to know it.
    pub(crate) length: u8,
    /// Type, state key, and the event; `None`: there is no such state.
    pub(crate) delta: Vec<(String, String, Option<OwnedEventId>)>,
}

impl StateBeforeRow {
    /// What differs from the room's state just before the event came.
    pub(crate) fn own(delta: Vec<(String, String, Option<OwnedEventId>)>) -> Self {
        Self {
            base: StateBase::Own,
            length: 1,
            delta,
        }
    }
}

impl Value for StateBeforeRow {
    fn encode_value(&self, out: &mut Encoder) {
        out.byte(1);
        match self.base {
            StateBase::Own => out.byte(0),
            StateBase::Line(position) => {
                out.byte(1);
                position.encode_part(out);
            }
            StateBase::After(position) => {
                out.byte(2);
                position.encode_part(out);
            }
        }
        out.byte(self.length);
        for (kind, state_key, event_id) in &self.delta {
            out.byte(u8::from(event_id.is_some()));
            kind.encode_part(out);
            state_key.encode_part(out);
            if let Some(event_id) = event_id {
                event_id.encode_part(out);
            }
        }
    }

    fn decode_value(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = versioned(bytes)?;
        let base = match u8::decode_part(&mut input)? {
            0 => StateBase::Own,
            1 => StateBase::Line(Position::decode_part(&mut input)?),
            2 => StateBase::After(Position::decode_part(&mut input)?),
            _ => return Err(DecodeError::Invalid("base of a state")),
        };
        let length = u8::decode_part(&mut input)?;
        let mut delta = Vec::new();
        while !input.is_empty() {
            let is_some = u8::decode_part(&mut input)? != 0;
            let (kind, state_key) = (String::decode_part(&mut input)?, String::decode_part(&mut input)?);
            let event_id = if is_some {
                Some(OwnedEventId::decode_part(&mut input)?)
            } else {
                None
            };
            delta.push((kind, state_key, event_id));
        }
        Ok(Self { base, length, delta })
    }
}
