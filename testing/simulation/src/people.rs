//! What users do, as clients do it: they try again until they are answered.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use gatehouse_events::json::canonical_object;
use gatehouse_rooms::{
    Join, MembershipRequest, Rooms, Transaction, WriteError,
    create::{CreateRoom, Preset},
    membership::invite::Directness,
    redact::Redaction,
    send::{Message, StateUpdate},
};
use ruma::{CanonicalJsonObject, OwnedEventId, OwnedUserId, RoomId};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    dice::Dice,
    house::Running,
    plan::{Deed, Mood, Person, Plan, STORM_MS, What},
    world::{Ack, World},
};

/// A client gives up after so many attempts, and after waiting for so long for one.
const ATTEMPTS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(100);

/// Of a thousand answers so many are lost on their way to the client.
const UNHEARD: u64 = 150;

/// What came of an attempt.
enum Answer {
    /// It is done.
    Done(Option<OwnedEventId>),
    /// It is refused for good.
    Refused(WriteError),
    /// Nobody knows.
    None,
}

impl World {
    /// The founder makes the room, before anything goes wrong.
    pub async fn found(&mut self) -> Result<()> {
        let running = self.running(0)?;
        let mut levels = json!({});
        if self.plan.mood == Mood::Calm {
            levels = json!({ "state_default": 0 });
        }
        let chosen = self.plan.version.rules().room_id_format;
        let request = CreateRoom {
            room_id: matches!(chosen, ruma::room_version_rules::RoomIdFormatVersion::V1)
                .then(|| self.room.clone()),
            version: self.plan.version,
            preset: Preset::PublicChat,
            name: None,
            topic: None,
            alias: None,
            invite: Vec::new(),
            invite_3pid: Vec::new(),
            directness: Directness::Ordinary,
            creation_content: CanonicalJsonObject::new(),
            initial_state: Vec::new(),
            power_level_content_override: content(&levels)?,
        };
        self.room = running
            .rooms
            .create(&self.person((0, 0))?, &request, None)
            .await?;
        Ok(())
    }

    /// Everybody does what they do, each at their time.
    pub async fn live(self: &Arc<Self>) -> Result<()> {
        let mut deeds = JoinSet::new();
        for (number, deed) in self.plan.deeds.iter().cloned().enumerate() {
            let world = Arc::clone(self);
            deeds.spawn(async move {
                world.until(deed.at_ms).await;
                world.perform(number, &deed).await
            });
        }
        self.until(STORM_MS).await;
        self.end_storm()?;
        while let Some(done) = deeds.join_next().await {
            done??;
        }
        Ok(())
    }

    /// Does it until there is an answer. What may be done twice is tried again; else there is one attempt. Says whether it is
    /// done.
    pub async fn perform(&self, number: usize, deed: &Deed) -> Result<bool> {
        let user = self.person(deed.who)?;
        let attempts = match deed.what {
            What::Say | What::Redact | What::Join | What::Topic => ATTEMPTS,
            _ => 1,
        };
        let mut dice = Dice::new(self.plan.seed ^ u64::try_from(number)?.wrapping_mul(0x9E37_79B9));
        for attempt in 0..attempts {
            let is_unheard = attempts > 1 && attempt < 2 && dice.happens(UNHEARD);
            let answer = self.attempt(number, deed, &user, is_unheard).await?;
            match answer {
                Answer::Done(event_id) => {
                    self.trace
                        .note(format_args!("{user} {:?}: done, {event_id:?}", deed.what));
                    if let Some(event_id) = event_id {
                        let body = (deed.what == What::Say).then(|| said(number));
                        let goes_to = self.receivers(deed.who.0).await?;
                        self.acks.lock().push(Ack {
                            server: deed.who.0,
                            sender: user,
                            event_id,
                            body,
                            goes_to,
                        });
                    }
                    return Ok(true);
                }
                Answer::Refused(error) => {
                    self.trace
                        .note(format_args!("{user} {:?}: refused, {error}", deed.what));
                    // Whoever is to stay asks until they are let in.
                    if deed.what != What::Join || deed.who.1 > 0 {
                        return Ok(false);
                    }
                }
                Answer::None => {
                    self.trace.note(format_args!("{user} {:?}: no answer", deed.what));
                }
            }
            let pause = u64::try_from(attempt)? * 1_500 + 500;
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        Ok(false)
    }

    /// Who is in the room, as a server sees it that is up.
    async fn receivers(&self, server: usize) -> Result<Vec<ruma::OwnedServerName>> {
        let Some(running) = self.house(server)?.running() else {
            return Ok(Vec::new());
        };
        let head = tokio::select! {
            biased;
            () = running.gone.cancelled() => return Ok(Vec::new()),
            head = running.rooms.head(&self.room) => head?,
        };
        Ok(head.map_or_else(Vec::new, |head| head.servers.keys().cloned().collect()))
    }

    /// One attempt, as long as the server is up and the client waits; an answer may be lost on its way to the client.
    async fn attempt(
        &self,
        number: usize,
        deed: &Deed,
        user: &OwnedUserId,
        is_unheard: bool,
    ) -> Result<Answer> {
        let Some(running) = self.house(deed.who.0)?.running() else {
            return Ok(Answer::None);
        };
        let Some(doing) = self.doing(number, deed, user, &running)? else {
            return Ok(Answer::Done(None));
        };
        let done = tokio::select! {
            biased;
            () = running.gone.cancelled() => return Ok(Answer::None),
            done = tokio::time::timeout(PATIENCE, doing) => done,
        };
        if is_unheard {
            return Ok(Answer::None);
        }
        Ok(match done {
            Ok(Ok(event_id)) => Answer::Done(event_id),
            Ok(Err(WriteError::Store(_) | WriteError::Contended | WriteError::Remote(_))) | Err(_) => {
                Answer::None
            }
            Ok(Err(error)) => Answer::Refused(error),
        })
    }

    fn doing<'a>(
        &'a self,
        number: usize,
        deed: &'a Deed,
        user: &'a OwnedUserId,
        running: &'a Running,
    ) -> Result<Option<Doing<'a>>> {
        let (rooms, room) = (&running.rooms, &*self.room);
        let transaction = Some(Transaction {
            device_id: "DEVICE".into(),
            id: format!("t{number}"),
            scope: "send".to_owned(),
        });
        Ok(Some(match &deed.what {
            What::Say => {
                let message = Message {
                    kind: "m.room.message".to_owned(),
                    content: content(&json!({ "msgtype": "m.text", "body": said(number) }))?,
                    transaction,
                };
                Box::pin(async move { Ok(Some(rooms.send(user, room, &message).await?)) })
            }
            What::Redact => {
                let own = |ack: &&Ack| ack.sender == *user && ack.body.is_some();
                let Some(target) = self.acks.lock().iter().find(own).map(|ack| ack.event_id.clone()) else {
                    return Ok(None);
                };
                let redaction = Redaction::because(target, None, transaction);
                Box::pin(async move { Ok(Some(rooms.redact(user, room, &redaction).await?)) })
            }
            What::Join => {
                let join = Join {
                    via: self.via(deed.who.0),
                    ..Join::default()
                };
                Box::pin(async move { rooms.join(user, room, &join).await.map(|()| None) })
            }
            What::Topic => set(
                rooms,
                (user, room),
                "m.room.topic",
                &json!({ "topic": format!("topic {number}") }),
            )?,
            What::JoinRule(rule) => set(
                rooms,
                (user, room),
                "m.room.join_rules",
                &json!({ "join_rule": rule }),
            )?,
            What::Empower(whom, level) => {
                let (whom, level) = (self.person(*whom)?, *level);
                Box::pin(async move {
                    let levels = levels_with(rooms, room, &whom, level).await?;
                    Ok(Some(rooms.set_state(user, room, &levels).await?))
                })
            }
            What::Leave => Box::pin(async move { Ok(Some(rooms.leave(user, room, &plain()).await?)) }),
            What::Invite(whom) => {
                let whom = self.person(*whom)?;
                Box::pin(async move { Ok(Some(rooms.invite(user, &whom, room, &plain()).await?)) })
            }
            What::Kick(whom) => {
                let whom = self.person(*whom)?;
                Box::pin(async move { Ok(Some(rooms.kick(user, &whom, room, &plain()).await?)) })
            }
            What::Ban(whom) => {
                let whom = self.person(*whom)?;
                Box::pin(async move { Ok(Some(rooms.ban(user, &whom, room, &plain()).await?)) })
            }
            What::Unban(whom) => {
                let whom = self.person(*whom)?;
                Box::pin(async move { Ok(Some(rooms.unban(user, &whom, room, &plain()).await?)) })
            }
        }))
    }

    /// The servers that somebody who joins asks: the founder's, and another.
    fn via(&self, server: usize) -> Vec<ruma::OwnedServerName> {
        let others = self.houses.iter().filter(|house| house.number != server);
        others.take(2).map(|house| house.name.clone()).collect()
    }
}

type Doing<'a> = futures_util::future::BoxFuture<'a, Result<Option<OwnedEventId>, WriteError>>;

fn set<'a>(
    rooms: &'a Rooms,
    (user, room): (&'a OwnedUserId, &'a RoomId),
    kind: &str,
    value: &Value,
) -> Result<Doing<'a>> {
    let update = StateUpdate {
        kind: kind.to_owned(),
        state_key: String::new(),
        content: content(value)?,
        is_guest: false,
    };
    Ok(Box::pin(async move {
        Ok(Some(rooms.set_state(user, room, &update).await?))
    }))
}

/// The power levels of now, with somebody else's in them.
async fn levels_with(
    rooms: &Rooms,
    room: &RoomId,
    whom: &OwnedUserId,
    level: i64,
) -> Result<StateUpdate, WriteError> {
    let head = rooms.head(room).await?.ok_or(WriteError::NoSuchRoom)?;
    let now = head.hot_event("m.room.power_levels");
    let mut levels: Value = now.and_then(|event| event.content_as()).unwrap_or_default();
    if let Some(levels) = levels.as_object_mut() {
        let users = levels.entry("users").or_insert_with(|| json!({}));
        if let Some(users) = users.as_object_mut() {
            users.insert(whom.to_string(), json!(level));
        }
    }
    let content = content(&levels).map_err(|error| WriteError::BadContent(error.to_string()))?;
    Ok(StateUpdate {
        kind: "m.room.power_levels".to_owned(),
        state_key: String::new(),
        content,
        is_guest: false,
    })
}

fn plain() -> MembershipRequest {
    MembershipRequest::default()
}

/// What is said with a deed.
pub fn said(number: usize) -> String {
    format!("words {number}")
}

fn content(value: &Value) -> Result<CanonicalJsonObject> {
    let object = value.as_object().cloned().unwrap_or_default();
    Ok(canonical_object(object)?)
}

/// A message that ties what the servers have together.
pub fn tie(plan: &Plan, who: Person, round: usize) -> (usize, Deed) {
    let number = plan.deeds.len() + round * plan.servers + who.0;
    let deed = Deed {
        at_ms: 0,
        who,
        what: What::Say,
    };
    (number, deed)
}
