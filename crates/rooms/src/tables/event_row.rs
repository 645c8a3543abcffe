//! The row of an event.

use gatehouse_store::{
    DecodeError, Value,
    key::{Encoder, KeyPart},
    value::versioned,
};
use ruma::{OwnedDeviceId, OwnedEventId};

/// What an event is to its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Part of the timeline.
    Accepted,
    /// Part of the timeline, fetched later and put before what was there. The state at it is not known.
    Backfilled,
    /// Allowed where it stands in the graph, but not by the room's state when it came. Shown to nobody, and what this
    /// server's users send does not follow it.
    SoftFailed,
    /// A redaction that nothing was redacted by. Shown to nobody: clients would hide what it names.
    Withheld,
    /// Kept for its state, or because it authorises others. Not part of the timeline; the state at it is not known.
    Outlier,
    /// Failed the checks on receipt. Shown to nobody, part of no state, for good.
    Rejected,
}

impl Standing {
    /// Whether it is part of what clients see as the room's history.
    pub(crate) fn is_shown(self) -> bool {
        matches!(self, Self::Accepted | Self::Backfilled)
    }

    fn number(self) -> u8 {
        match self {
            Self::Accepted => 0,
            Self::Backfilled => 1,
            Self::SoftFailed => 2,
            Self::Withheld => 3,
            Self::Outlier => 4,
            Self::Rejected => 5,
        }
    }

    fn of_number(number: u8) -> Result<Self, DecodeError> {
        Ok(match number {
            0 => Self::Accepted,
            1 => Self::Backfilled,
            2 => Self::SoftFailed,
            3 => Self::Withheld,
            4 => Self::Outlier,
            5 => Self::Rejected,
            _ => return Err(DecodeError::Invalid("standing of an event")),
        })
    }
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventRow {
    /// Its id.
    pub(crate) event_id: OwnedEventId,
    /// Its PDU as canonical JSON; what is left of it when it is redacted.
    pub(crate) pdu: String,
    /// What it is to the room.
    pub(crate) standing: Standing,
    /// Whether the state before it is another than the room's just before it came
    /// ([`STATE_BEFORE`](super::STATE_BEFORE) says which).
    pub(crate) off_line: bool,
    /// Whether it follows events that are not here ([`BACKWARD`](super::BACKWARD) says which).
    pub(crate) after_gap: bool,
    /// The redaction that applied to it.
    pub(crate) redacted_by: Option<OwnedEventId>,
    /// The device that sent it and its transaction id.
    pub(crate) transaction: Option<(OwnedDeviceId, String)>,
}

const OFF_LINE: u8 = 1;
const REDACTED: u8 = 2;
const TRANSACTION: u8 = 4;
const AFTER_GAP: u8 = 8;

impl EventRow {
    /// An event just come in.
    pub(crate) fn new(event_id: OwnedEventId, pdu: String, standing: Standing) -> Self {
        Self {
            event_id,
            pdu,
            standing,
            off_line: false,
            after_gap: false,
            redacted_by: None,
            transaction: None,
        }
    }

    /// Whether the state before it is the room's just before its place.
    pub(crate) fn is_on_line(&self) -> bool {
        !self.off_line && matches!(self.standing, Standing::Accepted | Standing::Withheld)
    }
}

impl Value for EventRow {
    fn encode_value(&self, out: &mut Encoder) {
        out.byte(1);
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        out.byte(
            flag(self.off_line, OFF_LINE)
                | flag(self.redacted_by.is_some(), REDACTED)
                | flag(self.transaction.is_some(), TRANSACTION)
                | flag(self.after_gap, AFTER_GAP),
        );
        out.byte(self.standing.number());
        self.event_id.encode_part(out);
        if let Some(redaction) = &self.redacted_by {
            redaction.encode_part(out);
        }
        if let Some((device, id)) = &self.transaction {
            device.encode_part(out);
            id.encode_part(out);
        }
        out.raw(self.pdu.as_bytes());
    }

    fn decode_value(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = versioned(bytes)?;
        let flags = u8::decode_part(&mut input)?;
        let standing = Standing::of_number(u8::decode_part(&mut input)?)?;
        let event_id = OwnedEventId::decode_part(&mut input)?;
        let redacted_by = if flags & REDACTED != 0 {
            Some(OwnedEventId::decode_part(&mut input)?)
        } else {
            None
        };
        let transaction = if flags & TRANSACTION != 0 {
            Some((
                OwnedDeviceId::decode_part(&mut input)?,
                String::decode_part(&mut input)?,
            ))
        } else {
            None
        };
        let pdu = std::str::from_utf8(input.remaining())
            .map_err(|_| DecodeError::Invalid("PDU"))?
            .to_owned();
        Ok(Self {
            event_id,
            pdu,
            standing,
            off_line: flags & OFF_LINE != 0,
            after_gap: flags & AFTER_GAP != 0,
            redacted_by,
            transaction,
        })
    }
}
