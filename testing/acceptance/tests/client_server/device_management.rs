//! `device_management.yaml`

use gatehouse_testkit::{User, started};
use serde_json::{Value, json};

use crate::uia::{challenged, password, password_of, within};

fn ids(devices: &Value) -> Vec<&str> {
    let list = devices["devices"].as_array().unwrap();
    let mut ids: Vec<&str> = list
        .iter()
        .map(|device| device["device_id"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    ids
}

fn path(device: &User<'_>) -> String {
    format!("/devices/{}", device.device)
}

async fn delete(user: &User<'_>, path: &str, body: Value) -> gatehouse_testkit::Answer {
    user.request("DELETE", &format!("/_matrix/client/v3{path}"), Some(&body))
        .await
}

#[tokio::test]
async fn devices_are_listed_and_renamed() {
    let server = started().await;
    let alice = server.user("alice").await;
    let second = alice.log_in_again().await;
    let devices = alice.get("/devices").await.ok();
    let mut expected = [alice.device.as_str(), second.device.as_str()];
    expected.sort_unstable();
    assert_eq!(ids(&devices), expected);
    alice
        .put(&path(&second), json!({ "display_name": "Phone" }))
        .await
        .ok();
    let device = alice.get(&path(&second)).await.ok();
    assert_eq!(
        (&device["device_id"], &device["display_name"]),
        (&json!(second.device), &json!("Phone"))
    );
    // Without a name the request changes nothing.
    alice.put(&path(&second), json!({})).await.ok();
    assert_eq!(
        alice.get(&path(&second)).await.ok()["display_name"],
        json!("Phone")
    );
}

#[tokio::test]
async fn names_of_devices_are_bounded_text() {
    let server = started().await;
    let alice = server.user("alice").await;
    let name = "ü".repeat(100);
    alice
        .put(&path(&alice), json!({ "display_name": name }))
        .await
        .ok();
    let long = json!({ "display_name": format!("{name}x") });
    alice.put(&path(&alice), long).await.refused(400, "M_TOO_LARGE");
    alice
        .put(&path(&alice), json!({ "display_name": 1 }))
        .await
        .refused(400, "M_BAD_JSON");
    assert_eq!(alice.get(&path(&alice)).await.ok()["display_name"], json!(name));
}

#[tokio::test]
async fn anothers_device_is_not_found() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    alice.get(&path(&bob)).await.refused(404, "M_NOT_FOUND");
    alice
        .put(&path(&bob), json!({ "display_name": "mine" }))
        .await
        .refused(404, "M_NOT_FOUND");
    // To delete what one does not have is no error, and does nothing.
    let auth = json!({ "auth": password_of(&alice) });
    delete(&alice, &path(&bob), auth).await.ok();
    let both = json!({ "devices": [bob.device], "auth": password_of(&alice) });
    alice.post("/delete_devices", both).await.ok();
    bob.get("/account/whoami").await.ok();
    let device = bob.get(&path(&bob)).await.ok();
    assert_ne!(device["display_name"], "mine");
}

#[tokio::test]
async fn deleting_a_device_takes_a_proof_and_kills_its_token() {
    let server = started().await;
    let alice = server.user("alice").await;
    let second = alice.log_in_again().await;
    let challenge = delete(&alice, &path(&second), json!({})).await;
    let session = challenged(&challenge, &["m.login.password"]);
    let wrong = within(&session, password(&alice.id, "wrong"));
    let answer = delete(&alice, &path(&second), json!({ "auth": wrong })).await;
    assert_eq!(
        (answer.status, &answer.body["errcode"]),
        (401, &json!("M_FORBIDDEN"))
    );
    second.get("/account/whoami").await.ok();

    let right = within(&session, password_of(&alice));
    delete(&alice, &path(&second), json!({ "auth": right }))
        .await
        .ok();
    second
        .get("/account/whoami")
        .await
        .refused(401, "M_UNKNOWN_TOKEN");
    alice.get(&path(&second)).await.refused(404, "M_NOT_FOUND");
    alice.get("/account/whoami").await.ok();
}

#[tokio::test]
async fn proof_of_another_user_deletes_nothing() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let second = alice.log_in_again().await;
    let answer = delete(&alice, &path(&second), json!({ "auth": password_of(&bob) })).await;
    assert!(matches!(answer.status, 401 | 403), "{}", answer.body);
    second.get("/account/whoami").await.ok();
}

#[tokio::test]
async fn several_devices_are_deleted_at_once() {
    let server = started().await;
    let alice = server.user("alice").await;
    let (second, third) = (alice.log_in_again().await, alice.log_in_again().await);
    let list = json!([second.device, third.device, "NEVER_WAS"]);
    let challenge = alice.post("/delete_devices", json!({ "devices": list })).await;
    let session = challenged(&challenge, &["m.login.password"]);
    let auth = within(&session, password_of(&alice));
    alice
        .post("/delete_devices", json!({ "devices": list, "auth": auth }))
        .await
        .ok();
    for device in [&second, &third] {
        device
            .get("/account/whoami")
            .await
            .refused(401, "M_UNKNOWN_TOKEN");
    }
    assert_eq!(ids(&alice.get("/devices").await.ok()), [alice.device.as_str()]);
}
