//! The identity API of 2015.

use crate::identity_server::{identity_server, identity_server_with};

const LOOKUP: &str = "/_matrix/identity/api/v1/lookup?medium=email&address=alice%40mail.example";

#[tokio::test]
async fn an_address_is_looked_up_as_in_2015() {
    let here = identity_server().await;
    let alice = here.server.user("alice").await;
    let token = here.token(&alice).await;
    let bound = here.bind(&token, &alice, "alice@mail.example").await;
    assert_eq!(here.server.request("GET", LOOKUP, None).await.ok(), bound);
}

#[tokio::test]
async fn the_old_api_can_be_switched_off() {
    let here = identity_server_with(|config| config.identity_service.legacy_api = false).await;
    let answer = here.server.request("GET", LOOKUP, None).await;
    answer.refused(404, "M_UNRECOGNIZED");
    here.server
        .request("GET", "/_matrix/identity/v2", None)
        .await
        .ok();
}
