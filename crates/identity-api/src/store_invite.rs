//! Storing invitations for addresses that are nobody's yet.

use axum::{Json, Router, extract::State, routing::post};
use gatehouse_http::{ApiError, ClientAddress, Limit};
use gatehouse_identity::{RoomFacts, StoreInvite, StoredInvite};
use gatehouse_mail::{Medium, Threepid};
use ruma::{RoomId, UserId};

use crate::{IdentityApi, errors, fields::Fields, requester::Requester};

pub(crate) fn routes() -> Router<IdentityApi> {
    Router::new().route("/store-invite", post(store_invite))
}

/// `POST /_matrix/identity/v2/store-invite`
async fn store_invite(
    State(api): State<IdentityApi>,
    Requester(user_id): Requester,
    ClientAddress(asker): ClientAddress,
    fields: Fields,
) -> Result<Json<StoredInvite>, ApiError> {
    if fields.text("sender")? != user_id.as_str() {
        return Err(ApiError::forbidden(
            "`sender` must be the user whose access token this is.",
        ));
    }
    // Accounts are easily made where one has a homeserver (limits, "Rate limits").
    api.rate_limits.check_address(Limit::ThirdPartyInvites, asker)?;
    let stored = store(&api, &user_id, &fields).await?;
    Ok(Json(stored))
}

/// Stores an invitation by this user.
pub(crate) async fn store(
    api: &IdentityApi,
    sender: &UserId,
    fields: &Fields,
) -> Result<StoredInvite, ApiError> {
    let invite = StoreInvite {
        threepid: threepid(fields)?,
        room_id: RoomId::parse(fields.text("room_id")?)
            .map_err(|_| ApiError::invalid_param("`room_id` must be a room id, such as !abc:example.org."))?,
        facts: facts(fields),
    };
    let stored = api.identity.store_and_commit_invite(sender, &invite).await;
    stored.map_err(errors::store_invite)
}

fn threepid(fields: &Fields) -> Result<Threepid, ApiError> {
    let medium = fields.text("medium")?;
    if Medium::parse(medium).is_none() {
        return Err(errors::unsupported_medium());
    }
    Threepid::parse(medium, fields.text("address")?).map_err(errors::threepid)
}

/// What else the homeserver says. It is for people to read, so that nothing of it is worth refusing.
fn facts(fields: &Fields) -> RoomFacts {
    let text = |name: &str| fields.optional_text(name).ok().flatten().map(ToOwned::to_owned);
    RoomFacts {
        room_alias: text("room_alias"),
        room_avatar_url: text("room_avatar_url"),
        room_join_rules: text("room_join_rules"),
        room_name: text("room_name"),
        room_type: text("room_type"),
        sender_display_name: text("sender_display_name"),
        sender_avatar_url: text("sender_avatar_url"),
    }
}
