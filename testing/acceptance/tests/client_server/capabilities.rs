//! `capabilities.yaml`

use gatehouse_testkit::started;
use serde_json::json;

#[tokio::test]
async fn capabilities_tell_what_is_so() {
    let server = started().await;
    let alice = server.user("alice").await;
    let answer = alice.get("/capabilities").await.ok();
    let capabilities = &answer["capabilities"];
    for name in [
        "m.change_password",
        "m.set_displayname",
        "m.set_avatar_url",
        "m.profile_fields",
    ] {
        assert_eq!(capabilities[name]["enabled"], true, "{name}");
    }
    let versions = &capabilities["m.room_versions"];
    let default = versions["default"].as_str().unwrap();
    assert_eq!(versions["available"][default], "stable");
    let room = alice.create_room(json!({})).await;
    let create = alice.state(&room, "m.room.create", "").await.ok();
    assert_eq!(create["room_version"], default);
    for version in versions["available"].as_object().unwrap().keys() {
        assert!(
            !alice
                .create_room(json!({ "room_version": version }))
                .await
                .is_empty()
        );
    }
}

#[tokio::test]
async fn capabilities_are_for_users_and_moderation_for_administrators() {
    let server = started().await;
    server
        .request("GET", "/_matrix/client/v3/capabilities", None)
        .await
        .refused(401, "M_MISSING_TOKEN");
    let bob = server.user("bob").await;
    let answer = bob.get("/capabilities").await.ok();
    assert!(answer["capabilities"].get("m.account_moderation").is_none());
}
