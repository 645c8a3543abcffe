//! What everybody in the room sees of an invitation by address.

use serde_json::{Value, json};

use super::person::Person;

/// The one invitation that the room remembers, with everything that it has to have (client-server API,
/// `m.room.third_party_invite`), and without the address.
pub(super) async fn the_invitation(inviter: &Person, room: &str, address: &str) -> Value {
    let invitations = inviter.invitations(room).await;
    let [invitation] = invitations.as_slice() else {
        panic!("expected one invitation: {invitations:?}");
    };
    assert_eq!(invitation["sender"], inviter.id, "{invitation}");
    let content = &invitation["content"];
    let name = content["display_name"].as_str().unwrap();
    assert!(!name.is_empty(), "{invitation}");
    assert!(
        !invitation.to_string().contains(address),
        "the address is in the event: {invitation}"
    );
    let keys = content["public_keys"].as_array().unwrap();
    assert_eq!(
        keys.len(),
        2,
        "one that lives long and one of its own: {invitation}"
    );
    for key in keys.iter().chain([content]) {
        let public_key = key["public_key"].as_str().unwrap();
        assert_eq!(public_key.len(), 43, "32 bytes in unpadded base64: {public_key}");
        let url = key["key_validity_url"].as_str().unwrap();
        assert!(url.ends_with("/isvalid"), "{url}");
    }
    assert_eq!(content["public_key"], keys[0]["public_key"]);
    invitation.clone()
}

/// That the person is invited by this invitation, as the identity server of this name signed.
pub(super) fn assert_invited_by(invitation: &Value, member: &Value, person: &Person, signer: &str) {
    assert_eq!(member["membership"], "invite", "{member}");
    let by = &member["third_party_invite"];
    assert_eq!(by["display_name"], invitation["content"]["display_name"]);
    assert_eq!(by["signed"]["mxid"], json!(person.id));
    assert_eq!(by["signed"]["token"], invitation["state_key"]);
    let signatures = by["signed"]["signatures"][signer].as_object();
    let signatures = signatures.unwrap_or_else(|| panic!("{signer} has not signed: {by}"));
    assert!(
        signatures.keys().all(|key| key.starts_with("ed25519:")) && !signatures.is_empty(),
        "{by}"
    );
}

/// That the person is in the room.
pub(super) async fn assert_joined(inviter: &Person, room: &str, person: &Person) {
    let member = inviter.member(room, &person.id).await;
    assert_eq!(member["membership"], "join", "{member}");
}
