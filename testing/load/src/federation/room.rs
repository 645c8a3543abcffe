//! A room of a server that is played: one line of events, each after the one before.

use std::collections::{HashMap, HashSet};

use anyhow::{Context as _, Result, ensure};
use gatehouse_events::{Built, EventBuilder, NewEvent, Parents, Pdu, RoomVersion, SigningKey};
use ruma::{CanonicalJsonObject, OwnedRoomId, OwnedServerName, OwnedUserId, ServerName, UserId};
use serde_json::{Value, json, value::RawValue};

/// A version that all servers of today know.
const VERSION: &str = "11";
/// When the first event is said to have been sent, in milliseconds since 1970.
const BEGAN_MS: u64 = 1_700_000_000_000;

/// Who signs events.
#[derive(Clone, Copy)]
pub(super) struct Signer<'a> {
    pub(super) name: &'a ServerName,
    pub(super) key: &'a SigningKey,
}

/// An event of the room.
struct Stored {
    id: String,
    pdu: String,
    /// Type and state key.
    state: Option<(String, String)>,
    /// Where those are that authorise it.
    auth: Vec<usize>,
}

/// A room.
pub(super) struct Room {
    pub(super) id: OwnedRoomId,
    pub(super) version: RoomVersion,
    events: Vec<Stored>,
    places: HashMap<String, usize>,
    servers: Vec<OwnedServerName>,
    creator: OwnedUserId,
}

impl Room {
    /// One that anybody may join, with a name, and nobody in it but its creator.
    pub(super) fn new(creator: &UserId, signer: Signer<'_>, localpart: &str) -> Result<Self> {
        let mut room = Self {
            id: OwnedRoomId::try_from(format!("!{localpart}:{}", signer.name))?,
            version: VERSION.parse()?,
            events: Vec::new(),
            places: HashMap::new(),
            servers: Vec::new(),
            creator: creator.to_owned(),
        };
        room.state(signer, "m.room.create", "", &json!({ "room_version": VERSION }))?;
        room.join(creator, signer)?;
        let levels = json!({ "users": { creator.as_str(): 100 }, "events": {}, "users_default": 0 });
        room.state(signer, "m.room.power_levels", "", &levels)?;
        room.state(signer, "m.room.join_rules", "", &json!({ "join_rule": "public" }))?;
        let shared = json!({ "history_visibility": "shared" });
        room.state(signer, "m.room.history_visibility", "", &shared)?;
        room.state(signer, "m.room.name", "", &json!({ "name": localpart }))?;
        Ok(room)
    }

    /// A user joins.
    pub(super) fn join(&mut self, user: &UserId, signer: Signer<'_>) -> Result<String> {
        if !self.servers.iter().any(|server| server == signer.name) {
            self.servers.push(signer.name.to_owned());
        }
        let content = json!({ "membership": "join", "displayname": user.localpart() });
        self.append(signer, user, "m.room.member", Some(user.as_str()), &content)
    }

    /// The creator says something.
    pub(super) fn say(&mut self, signer: Signer<'_>, text: &str) -> Result<String> {
        let creator = self.creator.clone();
        let content = json!({ "msgtype": "m.text", "body": text });
        self.append(signer, &creator, "m.room.message", None, &content)
    }

    fn state(&mut self, signer: Signer<'_>, kind: &str, key: &str, content: &Value) -> Result<String> {
        let creator = self.creator.clone();
        self.append(signer, &creator, kind, Some(key), content)
    }

    /// An event after the last one. Gives its id.
    fn append(
        &mut self,
        signer: Signer<'_>,
        sender: &UserId,
        kind: &str,
        state_key: Option<&str>,
        content: &Value,
    ) -> Result<String> {
        let builder = EventBuilder {
            version: self.version,
            server_name: signer.name,
            key: signer.key,
        };
        let content: CanonicalJsonObject = serde_json::from_value(content.clone())?;
        let new = NewEvent {
            kind: kind.into(),
            state_key: state_key.map(ToOwned::to_owned),
            content,
            redacts: None,
        };
        let auth = self.authorising(sender, kind);
        let now = BEGAN_MS + u64::try_from(self.events.len())?;
        let built = builder.build(&self.id, sender, new, self.parents(&auth)?, now)?;
        self.store(&built, auth);
        Ok(built.event.event_id.to_string())
    }

    fn store(&mut self, built: &Built, auth: Vec<usize>) {
        let event = &built.event;
        let state_key = event.state_key.clone();
        self.places.insert(event.event_id.to_string(), self.events.len());
        self.events.push(Stored {
            id: event.event_id.to_string(),
            pdu: built.pdu.clone(),
            state: state_key.map(|key| (event.kind.to_string(), key)),
            auth,
        });
    }

    /// The events that authorise one of this sender, which are always where they were made: create, power levels, the join
    /// rule for those who join, and the creator's membership.
    fn authorising(&self, sender: &UserId, kind: &str) -> Vec<usize> {
        let wanted = match (kind, *sender == *self.creator) {
            ("m.room.member", _) => [Some(0), Some(2), Some(3)],
            (_, true) => [Some(0), Some(1), Some(2)],
            (_, false) => [Some(0), Some(2), None],
        };
        let wanted = wanted.into_iter().flatten();
        wanted.filter(|place| *place < self.events.len()).collect()
    }

    fn parents(&self, auth: &[usize]) -> Result<Parents> {
        let id = |event: &Stored| event.id.as_str().try_into().context("an id");
        let prev_events = self.events.last().map(id).transpose()?.into_iter().collect();
        let auth = auth.iter().filter_map(|place| self.events.get(*place));
        Ok(Parents {
            prev_events,
            auth_events: auth.map(id).collect::<Result<_>>()?,
            depth: u64::try_from(self.events.len())? + 1,
            hashes: Vec::new(),
        })
    }

    /// An event of another server that follows what is here.
    pub(super) fn take(&mut self, raw: &RawValue) -> Result<String> {
        let pdu = Pdu::parse(raw.get(), &self.id, self.version)?;
        let id = pdu.event.event_id.to_string();
        if !self.places.contains_key(&id) {
            let auth = pdu.event.auth_events.iter();
            let auth = auth
                .filter_map(|id| self.places.get(id.as_str()).copied())
                .collect();
            let built = Built {
                event: pdu.event,
                pdu: pdu.json,
                reference_hash: pdu.reference_hash,
            };
            self.store(&built, auth);
        }
        Ok(id)
    }

    /// A proposal to join.
    pub(super) fn proposal(&self, user: &UserId) -> Result<Value> {
        let parents = self.parents(&self.authorising(user, "m.room.member"))?;
        Ok(json!({ "room_version": VERSION, "event": {
            "type": "m.room.member", "room_id": self.id, "sender": user, "state_key": user,
            "content": { "membership": "join" }, "depth": parents.depth, "origin_server_ts": BEGAN_MS,
            "prev_events": parents.prev_events, "auth_events": parents.auth_events,
        }}))
    }

    /// The PDU of an event.
    pub(super) fn event(&self, id: &str) -> Option<&str> {
        let place = self.places.get(id)?;
        self.events.get(*place).map(|event| event.pdu.as_str())
    }

    /// The state before an event, as places.
    pub(super) fn state_before(&self, id: &str) -> Result<Vec<usize>> {
        let place = *self.places.get(id).context("no such event")?;
        let mut state = HashMap::new();
        for (index, event) in self.events.iter().enumerate().take(place) {
            if let Some(key) = &event.state {
                state.insert(key, index);
            }
        }
        let mut places: Vec<usize> = state.into_values().collect();
        places.sort_unstable();
        Ok(places)
    }

    /// Only those that are no memberships.
    pub(super) fn without_members(&self, mut places: Vec<usize>) -> Vec<usize> {
        places.retain(|place| {
            let event = self.events.get(*place);
            let state = event.and_then(|event| event.state.as_ref());
            state.is_some_and(|(kind, _)| kind != "m.room.member")
        });
        places
    }

    /// The auth chain of events, without those themselves.
    pub(super) fn auth_chain(&self, of: &[usize]) -> Vec<usize> {
        let mut seen: HashSet<usize> = of.iter().copied().collect();
        let mut next: Vec<usize> = of.to_vec();
        let mut chain = Vec::new();
        while let Some(place) = next.pop() {
            for cited in self.events.get(place).map_or(&[][..], |event| &event.auth) {
                if seen.insert(*cited) {
                    chain.push(*cited);
                    next.push(*cited);
                }
            }
        }
        chain
    }

    /// Where an event is.
    pub(super) fn place(&self, id: &str) -> Option<usize> {
        self.places.get(id).copied()
    }

    /// The id of the last event.
    pub(super) fn last(&self) -> Option<&str> {
        self.events.last().map(|event| event.id.as_str())
    }

    /// How many events there are.
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// PDUs as the inside of a JSON list.
    pub(super) fn pdus(&self, places: &[usize]) -> String {
        self.list(places, |event| event.pdu.clone())
    }

    /// Ids as the inside of a JSON list.
    pub(super) fn ids(&self, places: &[usize]) -> String {
        self.list(places, |event| format!("\"{}\"", event.id))
    }

    fn list(&self, places: &[usize], text: impl Fn(&Stored) -> String) -> String {
        let events = places.iter().filter_map(|place| self.events.get(*place));
        events.map(text).collect::<Vec<_>>().join(",")
    }

    /// The servers in the room.
    pub(super) fn servers(&self) -> &[OwnedServerName] {
        &self.servers
    }

    /// Some more members, all of one server.
    pub(super) fn fill(&mut self, members: usize, signer: Signer<'_>) -> Result<()> {
        ensure!(self.events.len() == 6, "the room has members already");
        for number in 0..members {
            let user = UserId::parse(format!("@member{number}:{}", signer.name))?;
            self.join(&user, signer)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_of_many_members_is_made_and_told_apart() -> Result<()> {
        let key = SigningKey::from_seed([1; 32], "a")?;
        let name = ServerName::parse("127.0.0.1:1")?;
        let signer = Signer {
            name: &name,
            key: &key,
        };
        let creator = UserId::parse("@creator:127.0.0.1:1")?;
        let mut room = Room::new(&creator, signer, "room")?;
        room.fill(20, signer)?;
        let last = room.say(signer, "well")?;
        let state = room.state_before(&last)?;
        assert_eq!(state.len(), 6 + 20);
        assert_eq!(
            room.auth_chain(&state),
            Vec::<usize>::new(),
            "all of it is in the state"
        );
        let bare = room.without_members(state);
        assert_eq!(bare.len(), 5);
        assert_eq!(room.auth_chain(&bare), [1], "the creator's join");
        let pdus: Value = serde_json::from_str(&format!("[{}]", room.pdus(&bare)))?;
        assert_eq!(pdus.as_array().map(Vec::len), Some(5));
        Ok(())
    }
}
