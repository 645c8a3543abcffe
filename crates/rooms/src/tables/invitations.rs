//! Memberships in rooms that this server is not in.

use gatehouse_store::{
    DecodeError, Position, Table, Value,
    key::{Encoder, KeyPart},
    value::versioned,
};
use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, events::room::member::MembershipState};

/// What users of this server became in a room while this server was not in it: invited, knocking, turned down. The
/// events are nowhere else. Written together with [`super::MEMBERSHIPS`], at the same position.
pub(crate) const INVITATIONS: Table<(OwnedUserId, OwnedRoomId, Position), InvitationRow> =
    Table::new("rooms.invitations");

/// A membership that came about while this server was not in the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InvitationRow {
    /// The event's id.
    pub(crate) event_id: OwnedEventId,
    /// What it says.
    pub(crate) membership: MembershipState,
    /// The name of the room's version.
    pub(crate) version: String,
    /// Servers that are in the room, as far as this server knows; the one that it heard from first.
    pub(crate) servers: Vec<OwnedServerName>,
    /// The event as canonical JSON.
    pub(crate) pdu: String,
}

impl Value for InvitationRow {
    fn encode_value(&self, out: &mut Encoder) {
        out.byte(1);
        self.event_id.encode_part(out);
        self.membership.to_string().encode_part(out);
        self.version.encode_part(out);
        (self.servers.len() as u64).encode_part(out);
        for server in &self.servers {
            server.encode_part(out);
        }
        out.raw(self.pdu.as_bytes());
    }

    fn decode_value(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = versioned(bytes)?;
        let event_id = OwnedEventId::decode_part(&mut input)?;
        let membership = MembershipState::from(String::decode_part(&mut input)?);
        let version = String::decode_part(&mut input)?;
        let mut servers = Vec::new();
        for _ in 0..u64::decode_part(&mut input)? {
            servers.push(OwnedServerName::decode_part(&mut input)?);
        }
        let pdu = std::str::from_utf8(input.remaining())
            .map_err(|_| DecodeError::Invalid("PDU"))?
            .to_owned();
        Ok(Self {
            event_id,
            membership,
            version,
            servers,
            pdu,
        })
    }
}
