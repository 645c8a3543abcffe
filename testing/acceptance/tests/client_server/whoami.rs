//! `whoami.yaml`

use gatehouse_testkit::{User, started};
use serde_json::json;

#[tokio::test]
async fn each_token_is_known_by_its_user_and_device() {
    let server = started().await;
    let alice = server.user("alice").await;
    let (phone, guest) = (alice.log_in_again().await, server.guest().await);
    for (user, is_guest) in [(&alice, false), (&phone, false), (&guest, true)] {
        let whoami = user.get("/account/whoami").await.ok();
        let expected = json!({ "user_id": user.id, "device_id": user.device, "is_guest": is_guest });
        assert_eq!(whoami, expected);
    }
    assert_ne!(alice.device, phone.device);
}

#[tokio::test]
async fn a_token_outlives_a_restart_and_a_revoked_one_stays_revoked() {
    let mut server = started().await;
    let (kept, revoked) = {
        let alice = server.user("alice").await;
        let phone = alice.log_in_again().await;
        phone.post("/logout", json!({})).await.ok();
        (alice.token, phone.token)
    };
    server.restart().await.unwrap();
    let with = |token: &str| User::from_login(&server, &json!({ "access_token": token }));
    let whoami = with(&kept).get("/account/whoami").await.ok();
    assert_eq!(whoami["user_id"], "@alice:test.example");
    with(&revoked)
        .get("/account/whoami")
        .await
        .refused(401, "M_UNKNOWN_TOKEN");
}
