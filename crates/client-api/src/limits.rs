//! What counts against which rate limit. One bucket for a thing, by whatever path it is asked for (T32).

use gatehouse_http::{ApiError, ClientAddress, Limit, Requester, account_key, threepid_key};
use gatehouse_mail::Threepid;
use gatehouse_rooms::AddressInvite;
use ruma::{OwnedUserId, RoomId, UserId};

use crate::{ClientApi, errors};

/// How an account counts, however its name is written.
pub(crate) fn account(api: &ClientApi, name: &str) -> String {
    account_key(api.accounts.server_name(), name)
}

/// How somebody counts who is not logged in and has not said who they are.
pub(crate) fn network(address: ClientAddress) -> String {
    gatehouse_http::address_key(address.0)
}

/// One change of a room that is neither a join nor an invite.
pub(crate) fn message(api: &ClientApi, requester: &Requester) -> Result<(), ApiError> {
    api.http
        .rate_limits
        .check(Limit::Message, requester.user_id.as_str())
}

/// One join.
pub(crate) async fn join(api: &ClientApi, requester: &Requester, room_id: &RoomId) -> Result<(), ApiError> {
    let limits = &api.http.rate_limits;
    let user = requester.user_id.as_str();
    if !api.rooms.is_here(room_id).await.map_err(errors::write)? {
        return limits.check(Limit::JoinsRemote, user);
    }
    // Looked at first, so that a room that is busy costs the user nothing.
    limits.peek(Limit::JoinsPerRoom, room_id.as_str())?;
    limits.check(Limit::JoinsLocal, user)?;
    limits.check(Limit::JoinsPerRoom, room_id.as_str())
}

/// One invite.
pub(crate) fn invite(
    api: &ClientApi,
    requester: &Requester,
    room_id: &RoomId,
    target: &UserId,
) -> Result<(), ApiError> {
    let limits = &api.http.rate_limits;
    limits.peek(Limit::InvitesPerRoom, room_id.as_str())?;
    limits.peek(Limit::InvitesPerUser, target.as_str())?;
    limits.check(Limit::InvitesPerIssuer, requester.user_id.as_str())?;
    limits.check(Limit::InvitesPerRoom, room_id.as_str())?;
    limits.check(Limit::InvitesPerUser, target.as_str())
}

/// All invites of a new room, as a whole and before there is a room (T01, T03).
pub(crate) fn invites_of_new_room(
    api: &ClientApi,
    requester: &Requester,
    targets: &[OwnedUserId],
) -> Result<(), ApiError> {
    let limits = &api.http.rate_limits;
    for target in targets {
        limits.peek(Limit::InvitesPerUser, target.as_str())?;
    }
    let count = u32::try_from(targets.len()).unwrap_or(u32::MAX);
    limits.check_many(Limit::InvitesPerIssuer, requester.user_id.as_str(), count)?;
    for target in targets {
        limits.check(Limit::InvitesPerUser, target.as_str())?;
    }
    Ok(())
}

/// One invite by address (security.md T04), of somebody who may. Asked before any identity server is.
pub(crate) fn invite_by_address(
    api: &ClientApi,
    requester: &Requester,
    room_id: &RoomId,
    address: &Threepid,
) -> Result<(), ApiError> {
    let limits = &api.http.rate_limits;
    let address = threepid_key(address);
    limits.peek(Limit::ThirdPartyInvitesPerAddress, &address)?;
    limits.peek(Limit::ThirdPartyInvitesPerRoom, room_id.as_str())?;
    limits.check(Limit::ThirdPartyInvites, requester.user_id.as_str())?;
    limits.check(Limit::ThirdPartyInvitesPerRoom, room_id.as_str())?;
    limits.check(Limit::ThirdPartyInvitesPerAddress, &address)
}

/// All invites by address of a new room, as a whole and before there is a room (T03, T04).
pub(crate) fn address_invites_of_new_room(
    api: &ClientApi,
    requester: &Requester,
    invites: &[AddressInvite],
) -> Result<(), ApiError> {
    let limits = &api.http.rate_limits;
    let addresses: Vec<_> = invites
        .iter()
        .map(|invite| threepid_key(&invite.address))
        .collect();
    for address in &addresses {
        limits.peek(Limit::ThirdPartyInvitesPerAddress, address)?;
    }
    let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    limits.check_many(Limit::ThirdPartyInvites, requester.user_id.as_str(), count)?;
    for address in &addresses {
        limits.check(Limit::ThirdPartyInvitesPerAddress, address)?;
    }
    Ok(())
}
