//! Aliases that this server has given out: who may give, take back and list them.

use gatehouse_rooms::history_visibility::Standing;
use gatehouse_store::{Batch, CommitError, Direction, Range};
use ruma::{OwnedRoomAliasId, RoomAliasId, RoomId, UserId};

use crate::{
    Directory,
    alias_grammar::parse_alias,
    error::AliasError,
    remote_directories::ResolvedAlias,
    tables::{ALIAS_COUNTS, ALIASES, AliasRow, ROOM_ALIASES},
};

/// Local aliases that a room can have (limits, "aliases a room").
pub const MAX_ALIASES_A_ROOM: u32 = 100;
/// How often a change is tried again when others change the same aliases at the same time.
const MAX_ATTEMPTS: u32 = 5;

/// What somebody who changes an alias is to this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor<'a> {
    /// A user, bound by the rules of the room.
    User(&'a UserId),
    /// An administrator of the server, who may do it in every room.
    Administrator(&'a UserId),
}

impl<'a> Actor<'a> {
    /// Who it is.
    pub fn user(self) -> &'a UserId {
        match self {
            Self::User(user) | Self::Administrator(user) => user,
        }
    }
}

impl Directory {
    /// Where an alias of any server leads.
    pub async fn resolve(&self, alias: &str) -> Result<ResolvedAlias, AliasError> {
        let alias = parse_alias(alias)?;
        if alias.server_name() != &*self.server_name {
            return self.resolve_elsewhere(&alias).await;
        }
        let row = self
            .store
            .get(&ALIASES, &(alias.clone(),))
            .await?
            .ok_or(AliasError::NotFound)?;
        let mut servers = vec![self.server_name.clone()];
        servers.extend(row.servers);
        Ok(ResolvedAlias {
            room_id: row.room_id,
            servers,
        })
    }

    /// Adds to a batch that creates a room that the room has this alias. The batch's commit fails with a conflict in
    /// [`crate::ALIASES_TABLE`] when the alias was taken meanwhile.
    pub fn claim(&self, batch: &mut Batch, alias: &RoomAliasId, room_id: &RoomId, creator: &UserId) {
        batch.expect(&ALIASES, &(alias.to_owned(),), None);
        batch.put(&ALIAS_COUNTS, &(room_id.to_owned(),), &(1,));
        put(batch, alias, room_id, creator);
    }

    /// Errs with [`AliasError::InUse`] when somebody has the alias.
    pub async fn check_free(&self, alias: &RoomAliasId) -> Result<(), AliasError> {
        match self.store.get(&ALIASES, &(alias.to_owned(),)).await? {
            None => Ok(()),
            Some(_) => Err(AliasError::InUse),
        }
    }

    /// Gives an alias to a room that the actor is joined to.
    pub async fn add_alias(&self, actor: Actor<'_>, alias: &str, room_id: &RoomId) -> Result<(), AliasError> {
        let alias = self.local(alias)?;
        if let Actor::User(user) = actor
            && self.standing(room_id, user).await? != Standing::Joined
        {
            return Err(AliasError::NotInRoom);
        }
        if !self.rooms.exists(room_id).await? {
            return Err(AliasError::NoSuchRoom);
        }
        for _ in 0..MAX_ATTEMPTS {
            self.check_free(&alias).await?;
            let mut batch = Batch::new();
            batch.expect(&ALIASES, &(alias.clone(),), None);
            if self
                .count(&mut batch, room_id, |count| count.saturating_add(1))
                .await?
                > MAX_ALIASES_A_ROOM
            {
                return Err(AliasError::TooMany);
            }
            put(&mut batch, &alias, room_id, actor.user());
            if self.committed(batch).await? {
                return Ok(());
            }
        }
        Err(AliasError::Busy)
    }

    /// Takes an alias back: its creator may, whoever may set the room's canonical alias, and administrators. When the
    /// room's canonical alias event lists it, the actor also takes it out there, if they may.
    pub async fn remove_alias(&self, actor: Actor<'_>, alias: &str) -> Result<(), AliasError> {
        let alias = self.local(alias)?;
        for _ in 0..MAX_ATTEMPTS {
            let row = self
                .store
                .get(&ALIASES, &(alias.clone(),))
                .await?
                .ok_or(AliasError::NotFound)?;
            if !self.may_remove(actor, &row).await? {
                return Err(AliasError::NotYours);
            }
            let mut batch = Batch::new();
            batch.expect(&ALIASES, &(alias.clone(),), Some(&row));
            batch.delete(&ALIASES, &(alias.clone(),));
            batch.delete(&ROOM_ALIASES, &(row.room_id.clone(), alias.clone()));
            self.count(&mut batch, &row.room_id, |count| count.saturating_sub(1))
                .await?;
            if self.committed(batch).await? {
                self.unlist(actor.user(), &row.room_id, &alias).await;
                return Ok(());
            }
        }
        Err(AliasError::Busy)
    }

    /// The local aliases of a room, for its members, or for everybody when it is world readable.
    pub async fn aliases_of(
        &self,
        actor: Actor<'_>,
        room_id: &RoomId,
    ) -> Result<Vec<OwnedRoomAliasId>, AliasError> {
        if let Actor::User(user) = actor {
            let view = self.rooms.visibility_timeline(room_id, user).await?;
            if view.standing() != Standing::Joined && !view.world_readable() {
                return Err(AliasError::NotInRoom);
            }
        }
        self.local_aliases(room_id).await
    }

    /// Moves the aliases and the publication of a room that was upgraded. Only when the old room's tombstone names
    /// the new one (W01); otherwise nothing happens.
    pub async fn follow_upgrade(&self, old: &RoomId, new: &RoomId) -> Result<(), AliasError> {
        if self.rooms.replacement_of(old).await?.as_deref() != Some(new) {
            return Ok(());
        }
        for alias in self.local_aliases(old).await? {
            self.move_alias(&alias, old, new).await?;
        }
        self.move_publication(old, new).await
    }

    async fn move_alias(&self, alias: &RoomAliasId, old: &RoomId, new: &RoomId) -> Result<(), AliasError> {
        let key = (alias.to_owned(),);
        for _ in 0..MAX_ATTEMPTS {
            let Some(row) = self.store.get(&ALIASES, &key).await? else {
                return Ok(());
            };
            if row.room_id != old {
                return Ok(());
            }
            let mut batch = Batch::new();
            batch.expect(&ALIASES, &key, Some(&row));
            self.count(&mut batch, old, |count| count.saturating_sub(1))
                .await?;
            self.count(&mut batch, new, |count| count.saturating_add(1))
                .await?;
            batch.delete(&ROOM_ALIASES, &(old.to_owned(), alias.to_owned()));
            batch.put(&ROOM_ALIASES, &(new.to_owned(), alias.to_owned()), &());
            let moved = AliasRow {
                room_id: new.to_owned(),
                ..row
            };
            batch.put(&ALIASES, &key, &moved);
            if self.committed(batch).await? {
                return Ok(());
            }
        }
        Err(AliasError::Busy)
    }

    /// Adds the room's changed number of aliases to a batch.
    async fn count(
        &self,
        batch: &mut Batch,
        room_id: &RoomId,
        change: impl Fn(u32) -> u32,
    ) -> Result<u32, AliasError> {
        let key = (room_id.to_owned(),);
        let before = self.store.get(&ALIAS_COUNTS, &key).await?;
        batch.expect(&ALIAS_COUNTS, &key, before.as_ref());
        let after = change(before.map_or(0, |(count,)| count));
        batch.put(&ALIAS_COUNTS, &key, &(after,));
        Ok(after)
    }

    /// Whether the batch was committed; `false`: somebody else was first, so read again.
    async fn committed(&self, batch: Batch) -> Result<bool, AliasError> {
        match self.store.commit(batch).await {
            Ok(_) => Ok(true),
            Err(CommitError::Conflict { .. }) => Ok(false),
            Err(CommitError::Store(error)) => Err(error.into()),
        }
    }

    async fn local_aliases(&self, room_id: &RoomId) -> Result<Vec<OwnedRoomAliasId>, AliasError> {
        let range = Range::prefix(&(room_id.to_owned(),));
        let limit = usize::try_from(MAX_ALIASES_A_ROOM)
            .unwrap_or(usize::MAX)
            .saturating_mul(2);
        let rows = self
            .store
            .scan(&ROOM_ALIASES, &range, Direction::Forward, limit)
            .await?;
        Ok(rows.into_iter().map(|((_, alias), ())| alias).collect())
    }

    /// An alias of this server.
    fn local(&self, alias: &str) -> Result<OwnedRoomAliasId, AliasError> {
        let alias = parse_alias(alias)?;
        if alias.server_name() == &*self.server_name {
            Ok(alias)
        } else {
            Err(AliasError::Invalid(crate::InvalidAlias::OtherServer))
        }
    }

    async fn may_remove(&self, actor: Actor<'_>, row: &AliasRow) -> Result<bool, AliasError> {
        match actor {
            Actor::Administrator(_) => Ok(true),
            Actor::User(user) if row.creator == user => Ok(true),
            Actor::User(user) => Ok(self.may_set_canonical_alias(user, &row.room_id).await?),
        }
    }

    async fn standing(&self, room_id: &RoomId, user: &UserId) -> Result<Standing, AliasError> {
        Ok(self.rooms.visibility_timeline(room_id, user).await?.standing())
    }
}

fn put(batch: &mut Batch, alias: &RoomAliasId, room_id: &RoomId, creator: &UserId) {
    let row = AliasRow {
        room_id: room_id.to_owned(),
        creator: creator.to_owned(),
        servers: Vec::new(),
    };
    batch.put(&ALIASES, &(alias.to_owned(),), &row);
    batch.put(&ROOM_ALIASES, &(room_id.to_owned(), alias.to_owned()), &());
}
