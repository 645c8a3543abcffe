//! `v2_email_associations.yaml`

use std::time::Duration;

use serde_json::json;

use crate::identity_server::identity_server;

#[tokio::test]
async fn t25_five_wrong_tokens_end_a_session() {
    let here = identity_server().await;
    let alice = here.server.user("alice").await;
    let token = here.token(&alice).await;
    let sid = here
        .request_token(&token, "alice@mail.example", "secret", 1)
        .await;
    let link = here.link_to("alice@mail.example").await;
    let submit = async |guess: &str| {
        let body = json!({ "sid": sid, "client_secret": "secret", "token": guess });
        here.post(&token, "/validate/email/submitToken", body).await
    };
    for _ in 0..5 {
        submit("guess").await.refused(400, "M_TOKEN_INCORRECT");
    }
    submit("guess").await.refused(400, "M_SESSION_EXPIRED");
    assert_eq!(here.follow(&link).await, 400, "the right one comes too late");
}

#[tokio::test]
async fn t25_a_link_is_good_for_an_hour() {
    let here = identity_server().await;
    let alice = here.server.user("alice").await;
    let token = here.token(&alice).await;
    here.request_token(&token, "alice@mail.example", "secret", 1)
        .await;
    let link = here.link_to("alice@mail.example").await;
    here.server.clock().advance(Duration::from_hours(1));
    assert_eq!(here.follow(&link).await, 400);
    here.request_token(&token, "alice@mail.example", "secret", 2)
        .await;
    let link = here.link_to("alice@mail.example").await;
    assert_eq!(here.follow(&link).await, 200);
}

#[tokio::test]
async fn w06_a_session_of_one_address_is_not_one_of_another() {
    let here = identity_server().await;
    let alice = here.server.user("alice").await;
    let token = here.token(&alice).await;
    here.request_token(&token, "alice@mail.example", "secret", 1)
        .await;
    let body = json!({ "email": "other@mail.example", "client_secret": "secret", "send_attempt": 2 });
    let refused = here.post(&token, "/validate/email/requestToken", body).await;
    refused.refused(400, "M_INVALID_PARAM");
}

#[tokio::test]
async fn t25_a_link_has_served_when_its_address_is_bound() {
    let here = identity_server().await;
    let (alice, mallory) = (here.server.user("alice").await, here.server.user("mallory").await);
    let token = here.token(&alice).await;
    let sid = here
        .request_token(&token, "alice@mail.example", "secret", 1)
        .await;
    let link = here.link_to("alice@mail.example").await;
    assert_eq!(here.follow(&link).await, 200);
    let body = json!({ "sid": sid, "client_secret": "secret", "mxid": alice.id });
    here.post(&token, "/3pid/bind", body).await.ok();
    assert_eq!(here.follow(&link).await, 400, "the link has served");
    // Whoever has seen the link, and guesses the rest, gets nothing for it.
    let mallorys = here.token(&mallory).await;
    let body = json!({ "sid": sid, "client_secret": "secret", "mxid": mallory.id });
    here.post(&mallorys, "/3pid/bind", body)
        .await
        .refused(403, "M_FORBIDDEN");
    let owner = here.owner(&token, "alice@mail.example").await;
    assert_eq!(owner, json!(alice.id));
}
