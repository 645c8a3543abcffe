//! Inviting by address: who has it, and an invitation for whoever will. Two questions to an identity server, whichever
//! API it speaks.

use std::time::Duration;

use gatehouse_identity::RoomFacts;
use gatehouse_mail::Threepid;
use gatehouse_store::Batch;
use ruma::{OwnedUserId, RoomId, UserId};
use serde_json::{Map, Value, json};

use crate::{
    IdentityClient, IdentityServer,
    calls::CallError,
    error::IdentityClientError,
    lookup,
    store_invite::{self, Dialect, Stored},
    tokens::Next,
};

/// How long each question may take, with all its requests (reliability.md R30: an invite answers within 10 s).
const PATIENCE: Duration = Duration::from_millis(4_500);

/// Who asks, and whom.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// Our user.
    pub user: &'a UserId,
    /// The identity server, as the client names it.
    pub id_server: &'a str,
    /// The user's token there, if the client gave one.
    pub id_access_token: Option<&'a str>,
}

/// An invitation to be kept.
#[derive(Debug, Clone)]
pub struct Invitation<'a> {
    /// For whom.
    pub address: &'a Threepid,
    /// Into what.
    pub room_id: &'a RoomId,
    /// What the mail may say of room and sender.
    pub facts: RoomFacts,
}

/// What became of an invitation.
#[derive(Debug)]
pub enum Kept {
    /// It is kept, once the batch is committed: with the bundled server that is all there is to do.
    Waiting {
        /// As the room is to know it.
        stored: Stored,
        /// To be committed together with the room's event.
        beside: Batch,
    },
    /// The address is somebody's after all.
    Owned(OwnedUserId),
}

impl IdentityClient {
    /// Whose the address is.
    pub async fn lookup(
        &self,
        asker: Asker<'_>,
        address: &Threepid,
    ) -> Result<Option<OwnedUserId>, IdentityClientError> {
        let (name, base) = match self.server(asker.id_server)? {
            IdentityServer::Bundled => return self.lookup_here(asker, address).await,
            IdentityServer::Remote { name, base } => (name, base),
        };
        let server = (name.as_str(), base.as_str());
        let asking = async {
            let mut access = self.access(asker.user, asker.id_access_token, server).await?;
            loop {
                let caller = self.caller(&access, &base);
                let outcome = match access.dialect() {
                    Dialect::V2 => lookup::v2(&caller, address).await,
                    Dialect::V1 => lookup::v1(&caller, address).await,
                };
                match self.next(asker.user, server, &access, outcome).await? {
                    Next::Done(outcome) => return Ok(outcome),
                    Next::With(again) => access = again,
                }
            }
        };
        let found = in_time(asking).await?;
        found.map_err(|error| IdentityClientError::of(&error, &name))
    }

    /// Has an invitation kept for the address.
    pub async fn store_invite(
        &self,
        asker: Asker<'_>,
        invitation: Invitation<'_>,
    ) -> Result<Kept, IdentityClientError> {
        let (name, base) = match self.server(asker.id_server)? {
            IdentityServer::Bundled => return self.store_invite_here(asker, invitation).await,
            IdentityServer::Remote { name, base } => (name, base),
        };
        let facts = described(asker.user, invitation.room_id, &invitation.facts);
        let server = (name.as_str(), base.as_str());
        let asking = async {
            let mut access = self.access(asker.user, asker.id_access_token, server).await?;
            loop {
                let caller = self.caller(&access, &base);
                let stored =
                    store_invite::store_invite(&caller, access.dialect(), invitation.address, &facts).await;
                match self.next(asker.user, server, &access, stored).await? {
                    Next::Done(outcome) => return Ok(outcome),
                    Next::With(again) => access = again,
                }
            }
        };
        match in_time(asking).await? {
            Ok(stored) => Ok(Kept::Waiting {
                stored,
                beside: Batch::new(),
            }),
            Err(CallError::InUse(Some(owner))) => Ok(Kept::Owned(owner)),
            Err(error) => Err(IdentityClientError::of(&error, &name)),
        }
    }
}

async fn in_time<T>(
    asking: impl Future<Output = Result<T, IdentityClientError>>,
) -> Result<T, IdentityClientError> {
    tokio::time::timeout(PATIENCE, asking)
        .await
        .unwrap_or(Err(IdentityClientError::TimedOut))
}

/// What the server is told of room and sender (identity service API, `store-invite`).
fn described(sender: &UserId, room_id: &RoomId, facts: &RoomFacts) -> Map<String, Value> {
    // A struct of texts is always an object.
    let mut described = match serde_json::to_value(facts) {
        Ok(Value::Object(facts)) => facts,
        _ => Map::new(),
    };
    described.retain(|_, fact| !fact.is_null());
    // Sydent's mail would name nobody.
    described
        .entry("sender_display_name")
        .or_insert_with(|| json!(sender));
    described.insert("sender".to_owned(), json!(sender));
    described.insert("room_id".to_owned(), json!(room_id));
    described
}
