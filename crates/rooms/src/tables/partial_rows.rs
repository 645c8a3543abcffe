//! Rooms of which not all members are known yet.

use gatehouse_store::{
    DecodeError, Position, Table, Value,
    key::{Encoder, KeyPart},
    value::versioned,
};
use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName};

/// Rooms that were taken in without all of their members, which are being fetched. Written with the join, and deleted when
/// the room is whole. Where the last of our users leaves before that it stays: what is known of the room is not the room.
pub(crate) const PARTIAL: Table<(OwnedRoomId,), PartialRow> = Table::new("rooms.partial");
/// The servers that were in such a room when we joined.
pub(crate) const PARTIAL_SERVERS: Table<(OwnedRoomId,), ServersRow> = Table::new("rooms.partial_servers");
/// Users of such a room whose membership at the ground was taken from an event that somebody sent, or was other than
/// thought: what was judged by it is judged again. See [`Doubt`].
pub(crate) const DOUBTS: Table<(OwnedRoomId, String), Doubt> = Table::new("rooms.partial_doubts");
/// Where such a room became whole. Clients that synced before are told all of its state anew.
pub(crate) const FILLED: Table<(OwnedRoomId,), (Position,)> = Table::new("rooms.filled");

/// A room of which not all members are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartialRow {
    /// The join with which we came in.
    pub(crate) join: OwnedEventId,
    /// Just before the join. What is found out later of the state that we joined holds since then.
    pub(crate) ground: Position,
    /// The server that let us in.
    pub(crate) let_in_by: OwnedServerName,
}

impl Value for PartialRow {
    fn encode_value(&self, out: &mut Encoder) {
        out.byte(1);
        self.join.encode_part(out);
        self.ground.encode_part(out);
        self.let_in_by.encode_part(out);
    }

    fn decode_value(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = versioned(bytes)?;
        let row = Self {
            join: OwnedEventId::decode_part(&mut input)?,
            ground: Position::decode_part(&mut input)?,
            let_in_by: OwnedServerName::decode_part(&mut input)?,
        };
        input.finish()?;
        Ok(row)
    }
}

/// Names of servers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ServersRow(pub(crate) Vec<OwnedServerName>);

impl Value for ServersRow {
    fn encode_value(&self, out: &mut Encoder) {
        out.byte(1);
        for server in &self.0 {
            server.encode_part(out);
        }
    }

    fn decode_value(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = versioned(bytes)?;
        let mut servers = Vec::new();
        while !input.is_empty() {
            servers.push(OwnedServerName::decode_part(&mut input)?);
        }
        Ok(Self(servers))
    }
}

/// What is doubted of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// Their membership was learned from an event that somebody sent.
    Learned,
    /// It was found to be another than events were judged by.
    Mistaken,
}

impl Value for Doubt {
    fn encode_value(&self, out: &mut Encoder) {
        out.byte(1);
        out.byte(match self {
            Self::Learned => 0,
            Self::Mistaken => 1,
        });
    }

    fn decode_value(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = versioned(bytes)?;
        let doubt = match u8::decode_part(&mut input)? {
            0 => Self::Learned,
            1 => Self::Mistaken,
            _ => return Err(DecodeError::Invalid("doubt of a member")),
        };
        input.finish()?;
        Ok(doubt)
    }
}
