//! `room_summary.yaml`

use gatehouse_testkit::{started, user::escaped};
use serde_json::json;

#[tokio::test]
async fn a_summary_is_given_to_those_who_may_come_in() {
    let server = started().await;
    let (alice, stranger) = (server.user("alice").await, server.user("stranger").await);
    let open = alice
        .create_room(
            json!({ "preset": "public_chat", "name": "Open", "topic": "Tea", "room_alias_name": "open" }),
        )
        .await;
    let alias = escaped("#open:test.example");
    for path in [
        format!("/_matrix/client/v1/room_summary/{}", escaped(&open)),
        format!("/_matrix/client/v1/room_summary/{alias}"),
        format!("/_matrix/client/unstable/im.nheko.summary/summary/{alias}"),
        format!("/_matrix/client/unstable/im.nheko.summary/rooms/{alias}/summary"),
    ] {
        let summary = server.request("GET", &path, None).await.ok();
        assert_eq!(
            (&summary["room_id"], &summary["name"]),
            (&json!(open), &json!("Open"))
        );
        assert_eq!(
            (&summary["topic"], &summary["join_rule"]),
            (&json!("Tea"), &json!("public"))
        );
        assert_eq!(
            (&summary["num_joined_members"], &summary["room_version"]),
            (&json!(1), &json!("12"))
        );
        assert_eq!(summary.get("membership"), None);
        let summary = alice.request("GET", &path, None).await.ok();
        assert_eq!(summary["membership"], "join");
    }

    let closed = alice.create_room(json!({ "preset": "private_chat" })).await;
    let path = format!("/_matrix/client/v1/room_summary/{}", escaped(&closed));
    let hidden = stranger
        .request("GET", &path, None)
        .await
        .refused(404, "M_NOT_FOUND");
    let missing = "/_matrix/client/v1/room_summary/%21nothing%3Atest.example";
    assert_eq!(
        stranger
            .request("GET", missing, None)
            .await
            .refused(404, "M_NOT_FOUND"),
        hidden
    );
    alice.act_on("invite", &closed, &stranger.id).await.ok();
    let summary = stranger.request("GET", &path, None).await.ok();
    assert_eq!(summary["membership"], "invite");
    let unknown = "/_matrix/client/v1/room_summary/%23nothing%3Atest.example";
    stranger
        .request("GET", unknown, None)
        .await
        .refused(404, "M_NOT_FOUND");
}
