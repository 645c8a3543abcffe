//! The directory of published rooms: which rooms are in it, and who may change that.

use gatehouse_store::{Batch, CommitError, Topic};
use ruma::{RoomId, ServerName};

use crate::{
    Directory,
    aliases::Actor,
    error::{AliasError, PublicationError},
    public_list::{PublicRoomsPage, PublicRoomsQuery},
    tables::{PUBLISHED, PublishedRow},
};

/// Whether a room is in the published directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomVisibility {
    /// It is.
    Public,
    /// It is not.
    Private,
}

impl Directory {
    /// Whether a room is published.
    pub async fn visibility(&self, room_id: &RoomId) -> Result<RoomVisibility, PublicationError> {
        if !self.rooms.exists(room_id).await? {
            return Err(PublicationError::NoSuchRoom);
        }
        let row = self.store.get(&PUBLISHED, &(room_id.to_owned(),)).await?;
        Ok(match row {
            Some(_) => RoomVisibility::Public,
            None => RoomVisibility::Private,
        })
    }

    /// Publishes a room or takes it out. For joined members who may set the canonical alias, and administrators.
    pub async fn set_visibility(
        &self,
        actor: Actor<'_>,
        room_id: &RoomId,
        visibility: RoomVisibility,
    ) -> Result<(), PublicationError> {
        if !self.rooms.exists(room_id).await? {
            return Err(PublicationError::NoSuchRoom);
        }
        if let Actor::User(user) = actor {
            if visibility == RoomVisibility::Public && !self.config.anyone_may_publish {
                return Err(PublicationError::AdministratorsOnly);
            }
            if !self.may_set_canonical_alias(user, room_id).await? {
                return Err(PublicationError::NotAllowed);
            }
        }
        if self.visibility(room_id).await? == visibility {
            return Ok(());
        }
        let mut batch = Batch::new();
        match visibility {
            RoomVisibility::Public => self.publish(&mut batch, room_id),
            RoomVisibility::Private => {
                batch.delete(&PUBLISHED, &(room_id.to_owned(),));
                batch.touch(Topic::Room(room_id.to_owned()));
            }
        }
        self.commit(batch).await?;
        Ok(())
    }

    /// Adds to a batch that the room is published, as `createRoom` does.
    pub fn publish(&self, batch: &mut Batch, room_id: &RoomId) {
        let row = PublishedRow {
            since_ms: self.clock.now_ms(),
        };
        batch.put(&PUBLISHED, &(room_id.to_owned(),), &row);
        // The list in memory learns of it by this.
        batch.touch(Topic::Room(room_id.to_owned()));
    }

    /// Whether users who are no administrators may publish rooms.
    pub fn anyone_may_publish(&self) -> bool {
        self.config.anyone_may_publish
    }

    /// Whether the list is shown to those who are not logged in.
    pub fn public_without_auth(&self) -> bool {
        self.config.public_without_auth
    }

    /// A page of the published rooms of this server; `server` names another.
    pub async fn public_rooms(
        &self,
        server: Option<&ServerName>,
        query: &PublicRoomsQuery,
    ) -> Result<PublicRoomsPage, PublicationError> {
        if let Some(server) = server.filter(|server| **server != *self.server_name) {
            let page = self.remote.public_rooms(server, query).await;
            return page.ok_or(PublicationError::OtherServer);
        }
        Ok(self.published_rooms().await?.page(query)?)
    }

    pub(crate) async fn move_publication(&self, old: &RoomId, new: &RoomId) -> Result<(), AliasError> {
        let key = (old.to_owned(),);
        let Some(row) = self.store.get(&PUBLISHED, &key).await? else {
            return Ok(());
        };
        let mut batch = Batch::new();
        batch.delete(&PUBLISHED, &key);
        batch.put(&PUBLISHED, &(new.to_owned(),), &row);
        batch.touch(Topic::Room(old.to_owned()));
        batch.touch(Topic::Room(new.to_owned()));
        Ok(self.commit(batch).await?)
    }

    async fn commit(&self, batch: Batch) -> Result<(), gatehouse_store::StoreError> {
        match self.store.commit(batch).await {
            Ok(_) => Ok(()),
            Err(CommitError::Store(error)) => Err(error),
            // Such a batch expects nothing.
            Err(CommitError::Conflict { table }) => Err(gatehouse_store::StoreError::Unavailable(format!(
                "unexpected conflict in {table}"
            ))),
        }
    }
}
