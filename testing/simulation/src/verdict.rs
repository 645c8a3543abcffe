//! What must hold when all is well again.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, anyhow, bail, ensure};
use gatehouse_rooms::{StoredEvent, filter::RoomEventFilter, messages::MessagesQuery, present::Viewer};
use gatehouse_store::{Direction, Position};
use ruma::{OwnedEventId, OwnedUserId, ServerName};

use crate::{
    plan::Mood,
    world::{Ack, World},
};

/// More than there are.
const ALL: usize = 10_000;

/// What a server has of the room.
struct View {
    server: usize,
    state: BTreeMap<(String, String), OwnedEventId>,
    members: BTreeMap<OwnedUserId, String>,
    ends: BTreeSet<OwnedEventId>,
    shown: Vec<StoredEvent>,
}

impl View {
    fn shown_ids(&self) -> BTreeSet<OwnedEventId> {
        self.shown
            .iter()
            .map(|event| event.event_id().to_owned())
            .collect()
    }

    /// How deep what it was let in with is: what is deeper was sent since.
    fn floor(&self) -> u64 {
        let gaps = self.shown.iter().filter(|event| event.is_after_gap());
        gaps.map(|event| event.event.depth).max().unwrap_or(0)
    }
}

impl World {
    /// The honest servers that are in the room, as the founder's and they themselves see it. State resolution of the versions
    /// before 12 can undo a join that was let in; then those who are in the room tell the server nothing more, and nothing
    /// can make it agree.
    pub async fn present(&self) -> Result<Vec<usize>> {
        let mut present = Vec::new();
        let founders = self.house(0)?.name.clone();
        for server in self.plan.honest() {
            let name = self.house(server)?.name.clone();
            let is_seen = self.sees(0, &name).await?;
            let sees = self.sees(server, &founders).await? && self.sees(server, &name).await?;
            if is_seen && sees {
                present.push(server);
            }
        }
        Ok(present)
    }

    async fn sees(&self, server: usize, other: &ServerName) -> Result<bool> {
        let head = self.running(server)?.rooms.head(&self.room).await?;
        Ok(head.is_some_and(|head| head.has_server(other)))
    }

    /// A user of the server who is in the room, as their own server sees it.
    pub async fn speaker(&self, server: usize) -> Result<Option<usize>> {
        let Some(head) = self.running(server)?.rooms.head(&self.room).await? else {
            return Ok(None);
        };
        for user in 0..crate::house::USERS.len() {
            if head.is_joined(&self.person((server, user))?) {
                return Ok(Some(user));
            }
        }
        Ok(None)
    }

    async fn view(&self, server: usize) -> Result<View> {
        let rooms = self.running(server)?.rooms;
        let head = rooms.head(&self.room).await?;
        let head = head.ok_or_else(|| anyhow!("server {server} does not know the room"))?;
        let all = (Position::ZERO, Position::MAX);
        let rows = rooms.timeline(&self.room, all, Direction::Forward, ALL).await?;
        let members = head.members.iter();
        Ok(View {
            server,
            state: head.room_state().to_map().into_iter().collect(),
            members: members
                .map(|(user, member)| (user.clone(), member.membership.to_string()))
                .collect(),
            ends: head.extremities.iter().cloned().collect(),
            shown: rows.events,
        })
    }

    /// Whether the servers have the same state and the same ends.
    pub async fn agree(&self) -> Result<()> {
        let mut views = Vec::new();
        for server in self.present().await? {
            views.push(self.view(server).await?);
        }
        let Some((first, others)) = views.split_first() else {
            bail!("nobody is in the room");
        };
        for other in others {
            let (one, two) = (first.server, other.server);
            if first.state != other.state {
                bail!(
                    "servers {one} and {two} have another state: {}; {}",
                    difference(&first.state, &other.state),
                    self.where_they_part(one, two).await?
                );
            }
            ensure!(
                first.members == other.members,
                "servers {one} and {two} have other members"
            );
            ensure!(
                first.ends == other.ends,
                "servers {one} and {two} have other ends: {:?} and {:?}",
                first.ends,
                other.ends
            );
        }
        Ok(())
    }

    /// The queues are empty: so every server has what was acknowledged while it was in the room, before anybody speaks again
    /// and makes it ask for what is missing. Not where a server could not keep what it was sent, or somebody lies.
    pub async fn all_is_delivered(&self) -> Result<()> {
        if self.plan.mood == Mood::Stormy || self.plan.has_liar || self.network.refusals() > 0 {
            return Ok(());
        }
        let acks: Vec<Ack> = self.acks.lock().clone();
        for server in self.present().await? {
            let name = self.house(server)?.name.clone();
            let rooms = self.running(server)?.rooms;
            // Others may have let it in before it knew.
            let floor = self.view(server).await?.floor();
            for ack in acks.iter().filter(|ack| ack.goes_to.contains(&name)) {
                let ids = [ack.event_id.clone()];
                let there = self
                    .running(ack.server)?
                    .rooms
                    .events_in_room(&self.room, &ids)
                    .await?;
                if there.first().is_none_or(|event| event.event.depth <= floor) {
                    continue;
                }
                let here = rooms.events_in_room(&self.room, &ids).await?;
                ensure!(
                    !here.is_empty(),
                    "server {server} was never sent {} of {}",
                    ack.event_id,
                    ack.sender
                );
            }
        }
        Ok(())
    }

    /// Everything that was acknowledged is where it has to be.
    pub async fn nothing_is_missing(&self) -> Result<()> {
        let present = self.present().await?;
        let acks: Vec<Ack> = self.acks.lock().clone();
        let honest = acks.iter().filter(|ack| self.plan.honest().contains(&ack.server));
        let honest: Vec<&Ack> = honest.collect();
        for server in present {
            let view = self.view(server).await?;
            self.own_acks(&view, &honest).await?;
            self.acks_since(&view, &honest).await?;
            once(&view)?;
        }
        Ok(())
    }

    /// A server shows what it has acknowledged itself. Whoever sets what is set already is told of the event that did it,
    /// which may be older than the server's time in the room.
    async fn own_acks(&self, view: &View, acks: &[&Ack]) -> Result<()> {
        let shown = view.shown_ids();
        let rooms = self.running(view.server)?.rooms;
        for ack in acks.iter().filter(|ack| ack.server == view.server) {
            let ids = [ack.event_id.clone()];
            let here = rooms.events_in_room(&self.room, &ids).await?;
            let is_of_sender = here.first().map(|event| *event.sender() == *ack.sender);
            let is_there = match is_of_sender {
                None => false,
                Some(false) => true,
                Some(true) => shown.contains(&ack.event_id),
            };
            ensure!(
                is_there,
                "server {} has lost {} of {}",
                view.server,
                ack.event_id,
                ack.sender
            );
        }
        Ok(())
    }

    /// A server has what others have acknowledged since it was let in. Where somebody lies about what comes before, it may
    /// have rejected some of it.
    async fn acks_since(&self, view: &View, acks: &[&Ack]) -> Result<()> {
        if self.plan.has_liar {
            return Ok(());
        }
        let rooms = self.running(view.server)?.rooms;
        let floor = view.floor();
        for ack in acks.iter().filter(|ack| ack.server != view.server) {
            let ids = [ack.event_id.clone()];
            let there = self
                .running(ack.server)?
                .rooms
                .events_in_room(&self.room, &ids)
                .await?;
            let depth = there.first().map_or(0, |event| event.event.depth);
            if depth <= floor {
                continue;
            }
            let here = rooms.events_in_room(&self.room, &ids).await?;
            ensure!(
                !here.is_empty(),
                "server {} does not have {} of {}, which server {} acknowledged",
                view.server,
                ack.event_id,
                ack.sender,
                ack.server
            );
        }
        Ok(())
    }

    /// When somebody has paged back, servers show the same of what honest ones sent since both of them were let in; where
    /// nobody takes rights away, that is. What is no deeper than the join of one of them is history to it.
    pub async fn history_is_whole(&self) -> Result<()> {
        let mut seen = Vec::new();
        let mut floor = 0;
        for server in self.present().await? {
            floor = floor.max(self.view(server).await?.floor());
            self.page_back(server).await?;
            let view = self.view(server).await?;
            once(&view)?;
            seen.push(view);
        }
        let Some((first, others)) = seen.split_first() else {
            return Ok(());
        };
        if self.plan.mood == Mood::Stormy {
            return Ok(());
        }
        for other in others {
            let (here, there) = (self.shown_above(first, floor), self.shown_above(other, floor));
            ensure!(
                here == there,
                "servers {} and {} show another history: {}",
                first.server,
                other.server,
                difference(&here, &there)
            );
        }
        Ok(())
    }

    /// What honest servers sent and the server shows that is deeper than this, and whether it is redacted. A redaction that
    /// came before what it redacts is shown to nobody, and works all the same.
    fn shown_above(&self, view: &View, floor: u64) -> BTreeMap<OwnedEventId, bool> {
        let is_honest = |event: &&StoredEvent| {
            let server = event.sender().server_name();
            let number = self.houses.iter().position(|house| house.name == *server);
            number.is_some_and(|number| self.plan.honest().contains(&number))
        };
        let is_redacted = |event: &StoredEvent| event.redacted_by.is_some() || event.content().get() == "{}";
        let events = view.shown.iter().filter(is_honest);
        events
            .filter(|event| event.kind() != "m.room.redaction" && event.event.depth > floor)
            .map(|event| (event.event_id().to_owned(), is_redacted(event)))
            .collect()
    }

    async fn page_back(&self, server: usize) -> Result<()> {
        let rooms = self.running(server)?.rooms;
        let Some(speaker) = self.speaker(server).await? else {
            return Ok(());
        };
        let user = self.person((server, speaker))?;
        let viewer = Viewer {
            user: &user,
            device: None,
        };
        let mut from = None;
        for _ in 0..50 {
            let query = MessagesQuery {
                from,
                to: None,
                direction: Direction::Backward,
                limit: Some(100),
                filter: RoomEventFilter::default(),
            };
            let page = rooms.messages(viewer, &self.room, &query).await;
            let page = page.map_err(|error| anyhow!("server {server} shows no history: {error}"))?;
            from = page.end;
            if from.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// A server that is started again finds what it had.
    pub async fn restarts_change_nothing(&self) -> Result<()> {
        for server in self.present().await? {
            let before = self.view(server).await?;
            let house = self.house(server)?;
            house.kill();
            house.start(&self.network)?;
            let after = self.view(server).await?;
            ensure!(
                before.state == after.state,
                "server {server} has another state after a restart: {}",
                difference(&before.state, &after.state)
            );
            ensure!(
                before.members == after.members,
                "server {server} has other members after a restart"
            );
            ensure!(
                before.ends == after.ends,
                "server {server} has other ends after a restart"
            );
            self.memberships_are_the_rooms(server, &after).await?;
        }
        Ok(())
    }

    /// What users of a server see of their own memberships is what the room says.
    async fn memberships_are_the_rooms(&self, server: usize, view: &View) -> Result<()> {
        let rooms = self.running(server)?.rooms;
        for number in 0..crate::house::USERS.len() {
            let user = self.person((server, number))?;
            let current = rooms.current_memberships(&user).await?;
            let own = current
                .iter()
                .find(|current| current.room_id == self.room)
                .map(|current| current.membership.to_string());
            let own = own.filter(|own| own != "leave");
            let of_room = view
                .members
                .get(&user)
                .cloned()
                .filter(|of_room| of_room != "leave");
            ensure!(
                own == of_room,
                "server {server} tells {user} {own:?}, and the room says {of_room:?}"
            );
        }
        Ok(())
    }
}

/// No event is there twice, and no message was sent twice.
fn once(view: &View) -> Result<()> {
    let mut ids = BTreeSet::new();
    let mut said = BTreeSet::new();
    for event in &view.shown {
        ensure!(
            ids.insert(event.event_id()),
            "server {} shows {} twice",
            view.server,
            event.event_id()
        );
        let is_lie = event.content_text("lie").is_some() || event.content().get().contains("\"lie\"");
        if let Some(body) = event.content_text("body").filter(|_| !is_lie) {
            ensure!(
                said.insert(body.clone()),
                "server {} shows `{body}` twice",
                view.server
            );
        }
    }
    Ok(())
}

fn difference<K: std::fmt::Debug + Ord, V: std::fmt::Debug + PartialEq>(
    one: &BTreeMap<K, V>,
    other: &BTreeMap<K, V>,
) -> String {
    let keys: BTreeSet<&K> = one.keys().chain(other.keys()).collect();
    let differing = keys.into_iter().filter(|key| one.get(key) != other.get(key));
    let lines: Vec<String> = differing
        .map(|key| format!("{key:?}: {:?} and {:?}", one.get(key), other.get(key)))
        .collect();
    lines.join("; ")
}
