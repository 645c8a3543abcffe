//! `third_party_invite.yaml`

use gatehouse_testkit::{started, user::escaped};
use serde_json::{Value, json};

const ON_BIND: &str = "/_matrix/federation/v1/3pid/onbind";

#[tokio::test]
async fn t18_whatever_is_wrong_with_bound_addresses_the_answer_is_the_same_and_nothing_is_written() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let room = alice.create_room(json!({})).await;
    let before = alice.whole_state(&room).await;
    let invite = |room: &str, sender: &str, mxid: &str| {
        json!({ "mxid": mxid, "medium": "email", "address": "a@b.example", "invites": [{
            "room_id": room, "sender": sender, "mxid": mxid,
            "signed": { "mxid": mxid, "token": "t", "signatures": { "id.example": { "ed25519:0": "AAAA" } } },
        }] })
    };
    for method in ["PUT", "POST"] {
        for (room, sender, mxid) in [
            (room.as_str(), alice.id.as_str(), bob.id.as_str()),
            (&room, &bob.id, &alice.id),
            ("!nowhere:test.example", &alice.id, &bob.id),
            (&room, &alice.id, "@nobody:test.example"),
            (&room, &alice.id, "@bob:elsewhere.example"),
        ] {
            let body = invite(room, sender, mxid);
            let told = server.request(method, ON_BIND, Some(&body)).await;
            told.forbidden("Not all of these invitations were accepted");
        }
    }
    for nonsense in [
        json!({}),
        json!({ "mxid": "bob" }),
        json!({ "mxid": bob.id, "invites": [1] }),
    ] {
        let answer = server.request("PUT", ON_BIND, Some(&nonsense)).await;
        answer.refused(400, "M_INVALID_PARAM");
    }
    assert_eq!(alice.whole_state(&room).await, before);
}

#[tokio::test]
async fn t19_an_exchange_that_no_server_signed_is_refused() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let before = alice.whole_state(&room).await;
    let path = format!(
        "/_matrix/federation/v1/exchange_third_party_invite/{}",
        escaped(&room)
    );
    let event: Value = json!({ "type": "m.room.member", "room_id": room, "sender": alice.id,
        "state_key": "@bob:elsewhere.example", "content": { "membership": "invite" } });
    server
        .request("PUT", &path, Some(&event))
        .await
        .refused(401, "M_UNAUTHORIZED");
    server
        .request_with(&alice.token, "PUT", &path, Some(&event))
        .await
        .refused(401, "M_UNAUTHORIZED");
    assert_eq!(alice.whole_state(&room).await, before);
}
