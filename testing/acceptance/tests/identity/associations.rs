//! `v2_associations.yaml`

use serde_json::{Value, json};

use crate::identity_server::identity_server;

#[tokio::test]
async fn a_proven_address_is_found_until_it_is_taken_back() {
    let mut here = identity_server().await;
    let alice = here.server.user("alice").await;
    let (token, mxid) = (here.token(&alice).await, json!(alice.id));
    assert_eq!(here.owner(&token, "alice@mail.example").await, Value::Null);
    let bound = here.bind(&token, &alice, "alice@mail.example").await;
    assert_eq!(bound["mxid"], mxid);
    assert_eq!(here.owner(&token, "alice@mail.example").await, mxid);
    let before = here.pepper(&token).await;
    drop(alice);
    here.server.restart().await.unwrap();
    assert_eq!(here.pepper(&token).await, before);
    assert_eq!(here.owner(&token, "alice@mail.example").await, mxid);
    let sid = here
        .request_token(&token, "alice@mail.example", "leaving", 1)
        .await;
    assert_eq!(here.follow(&here.link_to("alice@mail.example").await).await, 200);
    let body = json!({
        "sid": sid,
        "client_secret": "leaving",
        "mxid": mxid,
        "threepid": { "medium": "email", "address": "alice@mail.example" },
    });
    here.post(&token, "/3pid/unbind", body).await.ok();
    assert_eq!(here.owner(&token, "alice@mail.example").await, Value::Null);
}

#[tokio::test]
async fn t24_nobody_binds_the_address_of_another() {
    let here = identity_server().await;
    let (alice, mallory) = (here.server.user("alice").await, here.server.user("mallory").await);
    let (alices, mallorys) = (here.token(&alice).await, here.token(&mallory).await);
    let sid = here
        .request_token(&alices, "alice@mail.example", "secret", 1)
        .await;
    let bind = async |token: &str, mxid: &str| {
        let body = json!({ "sid": sid, "client_secret": "secret", "mxid": mxid });
        here.post(token, "/3pid/bind", body).await
    };
    bind(&alices, &alice.id)
        .await
        .refused(400, "M_SESSION_NOT_VALIDATED");
    assert_eq!(here.follow(&here.link_to("alice@mail.example").await).await, 200);
    bind(&mallorys, &mallory.id).await.refused(403, "M_FORBIDDEN");
    bind(&mallorys, &alice.id).await.refused(403, "M_FORBIDDEN");
    bind(&alices, &mallory.id).await.refused(403, "M_FORBIDDEN");
    assert_eq!(here.owner(&alices, "alice@mail.example").await, Value::Null);
    bind(&alices, &alice.id).await.ok();
}

#[tokio::test]
async fn t24_a_homeserver_that_has_not_signed_takes_nothing_back() {
    let here = identity_server().await;
    let alice = here.server.user("alice").await;
    let token = here.token(&alice).await;
    here.bind(&token, &alice, "alice@mail.example").await;
    let body = json!({
        "mxid": alice.id,
        "threepid": { "medium": "email", "address": "alice@mail.example" },
    });
    let url = format!("{}/_matrix/identity/v2/3pid/unbind", here.server.base());
    for signature in [
        "X-Matrix",
        "X-Matrix origin=\"test.example\"",
        "X-Matrix origin=\"test.example\",key=\"ed25519:a\",sig=\"AAAA\"",
    ] {
        let request = here
            .server
            .http()
            .post(&url)
            .header("authorization", signature)
            .json(&body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 403, "{signature}");
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["errcode"], "M_FORBIDDEN");
    }
    assert_eq!(here.owner(&token, "alice@mail.example").await, json!(alice.id));
}
