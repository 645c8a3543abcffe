//! Building our own events: format, hash, sign.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, EventId, Int, OwnedEventId, OwnedRoomId, RoomId, ServerName,
    UserId,
    events::TimelineEventType,
    room_version_rules::{EventIdFormatVersion, EventsReferenceFormatVersion, RoomIdFormatVersion},
    signatures::{content_hash, reference_hash, sign_event},
};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::{Event, RoomVersion, SigningKey};

/// The most bytes that an event may have as canonical JSON, signatures included (client-server API, size limits).
pub const MAX_PDU_BYTES: usize = 65_536;
/// The most bytes of a type, a state key or an id (client-server API, size limits).
pub const MAX_FIELD_BYTES: usize = 255;

/// What the author of an event decides.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// Its type.
    pub kind: TimelineEventType,
    /// Makes it state.
    pub state_key: Option<String>,
    /// Its content.
    pub content: CanonicalJsonObject,
    /// What it redacts; put where the room version wants it.
    pub redacts: Option<OwnedEventId>,
}

/// Where an event stands in the room's graph. `Default`: at its root.
#[derive(Debug, Clone, Default)]
pub struct Parents {
    /// The room's forward extremities, at most 20.
    pub prev_events: Vec<OwnedEventId>,
    /// The events that authorise it, at most 10.
    pub auth_events: Vec<OwnedEventId>,
    /// One more than the deepest of `prev_events`.
    pub depth: u64,
    /// The reference hashes of both lists, which versions 1 and 2 put beside the ids. Unpadded base64; an id that is
    /// not here goes without.
    pub hashes: Vec<(OwnedEventId, String)>,
}

/// An event just built, and its PDU.
#[derive(Debug, Clone)]
pub struct Built {
    /// The event.
    pub event: Event,
    /// Its canonical JSON, hashed and signed: what is stored and sent to other servers.
    pub pdu: String,
    /// Its reference hash in unpadded base64.
    pub reference_hash: String,
}

/// Why no event can be built. The sentences are for the author.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BuildError {
    /// More than [`MAX_PDU_BYTES`].
    #[error("the event is too large: with its signatures it may have 65,536 bytes at most")]
    TooLarge,
    /// A field is longer than [`MAX_FIELD_BYTES`].
    #[error("the event's {0} is too long: it may have 255 bytes at most")]
    FieldTooLong(&'static str),
    /// The event cannot be hashed or signed.
    #[error("the event cannot be signed: {0}")]
    Unsignable(String),
    /// The operating system gave no randomness for an id.
    #[error("the operating system gave no randomness")]
    Randomness,
}

/// Builds events of one room in the name of this server.
#[derive(Debug, Clone, Copy)]
pub struct EventBuilder<'a> {
    /// The room's version.
    pub version: RoomVersion,
    /// This server's name.
    pub server_name: &'a ServerName,
    /// This server's key.
    pub key: &'a SigningKey,
}

impl EventBuilder<'_> {
    /// Builds, hashes and signs an event.
    pub fn build(
        &self,
        room_id: &RoomId,
        sender: &UserId,
        new: NewEvent,
        parents: Parents,
        origin_server_ts: u64,
    ) -> Result<Built, BuildError> {
        self.finish(Some(room_id), sender, new, parents, origin_server_ts)
    }

    /// The same event before it has hashes, a signature and an id: what another server is asked to sign (server-server
    /// API, `make_join` and the like).
    pub fn template(
        &self,
        room_id: &RoomId,
        sender: &UserId,
        new: NewEvent,
        parents: &Parents,
        origin_server_ts: u64,
    ) -> Result<CanonicalJsonObject, BuildError> {
        check_lengths(&new)?;
        self.object(Some(room_id), sender, new, parents, origin_server_ts)
    }

    /// A new room's id, where the room version lets one choose it: up to version 11.
    pub fn new_room_id(&self) -> Result<Option<OwnedRoomId>, BuildError> {
        match self.version.rules().room_id_format {
            RoomIdFormatVersion::V1 => self.random_room_id().map(Some),
            _ => Ok(None),
        }
    }

    /// Builds the `m.room.create` event of a new room. From version 12 on, its hash is the room's id; before, the id is
    /// `chosen`, or a new one.
    pub fn build_create(
        &self,
        chosen: Option<OwnedRoomId>,
        sender: &UserId,
        content: CanonicalJsonObject,
        origin_server_ts: u64,
    ) -> Result<Built, BuildError> {
        let new = NewEvent {
            kind: TimelineEventType::RoomCreate,
            state_key: Some(String::new()),
            content,
            redacts: None,
        };
        let room_id = match chosen {
            Some(chosen) => Some(chosen),
            None => self.new_room_id()?,
        };
        let parents = Parents {
            depth: 1,
            ..Parents::default()
        };
        self.finish(room_id.as_deref(), sender, new, parents, origin_server_ts)
    }

    /// `!random:server`, the form of ids up to version 11.
    fn random_room_id(&self) -> Result<OwnedRoomId, BuildError> {
        let id = format!("!{}:{}", random_name()?, self.server_name);
        OwnedRoomId::try_from(id).map_err(|error| BuildError::Unsignable(error.to_string()))
    }

    /// `room_id`: `None` for the create event of a room whose id is its hash.
    fn finish(
        &self,
        room_id: Option<&RoomId>,
        sender: &UserId,
        mut new: NewEvent,
        parents: Parents,
        origin_server_ts: u64,
    ) -> Result<Built, BuildError> {
        check_lengths(&new)?;
        let rules = self.version.rules();
        if let (Some(redacts), true) = (&new.redacts, rules.redaction.content_field_redacts) {
            new.content.insert("redacts".to_owned(), text(redacts.as_str()));
        }
        let content = serialised(&new.content)?;
        let (kind, state_key, redacts) = (new.kind.clone(), new.state_key.clone(), new.redacts.clone());
        let mut object = self.object(room_id, sender, new, &parents, origin_server_ts)?;
        // A name that no other event has: what later versions use as the whole id.
        let own_id = match rules.event_id_format {
            EventIdFormatVersion::V1 => {
                let hash = content_hash(&object).map_err(unsignable)?;
                let name = URL_SAFE_NO_PAD.encode(hash.as_bytes());
                Some(format!("${name}:{}", self.server_name))
            }
            _ => None,
        };
        if let Some(id) = &own_id {
            object.insert("event_id".to_owned(), text(id));
        }
        let hash = content_hash(&object).map_err(unsignable)?.encode();
        let hashes = CanonicalJsonObject::from([("sha256".to_owned(), CanonicalJsonValue::String(hash))]);
        object.insert("hashes".to_owned(), CanonicalJsonValue::Object(hashes));
        let reference_hash = reference_hash(&object, rules).map_err(unsignable)?;
        sign_event(self.server_name.as_str(), self.key, &mut object, &rules.redaction).map_err(unsignable)?;
        let event_id = EventId::parse(own_id.unwrap_or_else(|| format!("${reference_hash}")))
            .map_err(|error| BuildError::Unsignable(error.to_string()))?;
        let room_id = match room_id {
            Some(room_id) => room_id.to_owned(),
            None => OwnedRoomId::try_from(format!("!{reference_hash}"))
                .map_err(|error| BuildError::Unsignable(error.to_string()))?,
        };
        let pdu =
            serde_json::to_string(&object).map_err(|error| BuildError::Unsignable(error.to_string()))?;
        if pdu.len() > MAX_PDU_BYTES {
            return Err(BuildError::TooLarge);
        }
        let event = Event {
            event_id,
            room_id,
            sender: sender.to_owned(),
            kind,
            state_key,
            content,
            origin_server_ts,
            depth: parents.depth,
            prev_events: parents.prev_events,
            auth_events: parents.auth_events,
            redacts,
            rejected: false,
        };
        Ok(Built {
            event,
            pdu,
            reference_hash,
        })
    }

    /// The PDU's fields before hashes and signatures.
    fn object(
        &self,
        room_id: Option<&RoomId>,
        sender: &UserId,
        new: NewEvent,
        parents: &Parents,
        origin_server_ts: u64,
    ) -> Result<CanonicalJsonObject, BuildError> {
        let rules = self.version.rules();
        let mut object = CanonicalJsonObject::new();
        if let (Some(redacts), false) = (&new.redacts, rules.redaction.content_field_redacts) {
            object.insert("redacts".to_owned(), text(redacts.as_str()));
        }
        object.insert(
            "auth_events".to_owned(),
            self.references(&parents.auth_events, parents),
        );
        object.insert("content".to_owned(), CanonicalJsonValue::Object(new.content));
        object.insert("depth".to_owned(), integer(parents.depth)?);
        object.insert("origin_server_ts".to_owned(), integer(origin_server_ts)?);
        object.insert(
            "prev_events".to_owned(),
            self.references(&parents.prev_events, parents),
        );
        if let Some(room_id) = room_id {
            object.insert("room_id".to_owned(), text(room_id.as_str()));
        }
        object.insert("sender".to_owned(), text(sender.as_str()));
        if let Some(state_key) = new.state_key {
            object.insert("state_key".to_owned(), CanonicalJsonValue::String(state_key));
        }
        object.insert(
            "type".to_owned(),
            CanonicalJsonValue::String(new.kind.to_string()),
        );
        Ok(object)
    }

    fn references(&self, ids: &[OwnedEventId], parents: &Parents) -> CanonicalJsonValue {
        let with_hashes = matches!(
            self.version.rules().events_reference_format,
            EventsReferenceFormatVersion::V1
        );
        let reference = |id: &OwnedEventId| {
            if !with_hashes {
                return text(id.as_str());
            }
            let hash = parents
                .hashes
                .iter()
                .find(|(of, _)| of == id)
                .map(|(_, hash)| hash.clone());
            let hashes = hash.map(|hash| ("sha256".to_owned(), CanonicalJsonValue::String(hash)));
            CanonicalJsonValue::Array(vec![
                text(id.as_str()),
                CanonicalJsonValue::Object(hashes.into_iter().collect()),
            ])
        };
        CanonicalJsonValue::Array(ids.iter().map(reference).collect())
    }
}

fn check_lengths(new: &NewEvent) -> Result<(), BuildError> {
    if new.kind.to_string().len() > MAX_FIELD_BYTES {
        return Err(BuildError::FieldTooLong("type"));
    }
    if new
        .state_key
        .as_ref()
        .is_some_and(|key| key.len() > MAX_FIELD_BYTES)
    {
        return Err(BuildError::FieldTooLong("state_key"));
    }
    Ok(())
}

fn serialised(content: &CanonicalJsonObject) -> Result<Box<RawValue>, BuildError> {
    serde_json::value::to_raw_value(content).map_err(|error| BuildError::Unsignable(error.to_string()))
}

fn text(text: &str) -> CanonicalJsonValue {
    CanonicalJsonValue::String(text.to_owned())
}

fn integer(number: u64) -> Result<CanonicalJsonValue, BuildError> {
    let number = i64::try_from(number).ok().and_then(Int::new);
    number
        .map(CanonicalJsonValue::Integer)
        .ok_or_else(|| BuildError::Unsignable("a number is out of range".to_owned()))
}

fn unsignable(error: ruma::signatures::JsonError) -> BuildError {
    match error {
        ruma::signatures::JsonError::PduTooLarge => BuildError::TooLarge,
        other => BuildError::Unsignable(other.to_string()),
    }
}

/// 18 random bytes as text: more than 128 bits, so that nobody guesses or repeats it.
fn random_name() -> Result<String, BuildError> {
    let mut bytes = [0; 18];
    getrandom::fill(&mut bytes).map_err(|_| BuildError::Randomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The reference hash of a PDU, in unpadded base64 (server-server API, calculating the reference hash). `None` when
/// it is not JSON.
pub fn reference_hash_of(pdu: &str, version: RoomVersion) -> Option<String> {
    let object: CanonicalJsonObject = serde_json::from_str(pdu).ok()?;
    reference_hash(&object, version.rules()).ok()
}
