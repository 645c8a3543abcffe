use http::Method;
use serde_json::{Value, json};

use crate::house::{House, house};

async fn store(house: &House, token: &str, change: impl FnOnce(&mut Value)) -> crate::house::Answer {
    let mut body = json!({
        "medium": "email",
        "address": "bob@b.test",
        "room_id": "!room:house.test",
        "sender": "@alice:house.test",
        "room_name": "The Room",
        "sender_display_name": "Alice",
        "room_alias": 5,
        "org.example.other": {},
    });
    change(&mut body);
    house.post("/store-invite", token, body).await
}

#[tokio::test]
async fn an_invitation_is_stored_and_told_to_the_address() {
    let house = house();
    let token = house.token("alice").await;
    let stored = store(&house, &token, |_| ()).await.ok();
    let letter = house.letter().await;
    assert!(
        letter.contains("Alice") && letter.contains("The Room"),
        "{letter}"
    );
    let shown = stored["display_name"].as_str().unwrap();
    assert!(!shown.contains("bob") && !shown.contains("b.test"), "{shown}");
    let keys = stored["public_keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2);
    for key in keys {
        let url = key["key_validity_url"].as_str().unwrap();
        let path = url.strip_prefix("https://id.test/_matrix/identity/v2").unwrap();
        let public_key = key["public_key"].as_str().unwrap().replace('+', "%2B");
        let path = format!("{path}?public_key={public_key}");
        assert_eq!(
            house.ask(Method::GET, &path, None, None).await.ok(),
            json!({ "valid": true })
        );
    }
}

#[tokio::test]
async fn invitations_are_refused_for_what_is_wrong_with_them() {
    let house = house();
    let token = house.token("alice").await;
    let refused = async |name: &'static str, value: Value, status: u16, errcode: &str| {
        store(&house, &token, |body| body[name] = value)
            .await
            .refused(status, errcode)
    };
    refused("sender", json!("@mallory:house.test"), 403, "M_FORBIDDEN").await;
    refused("medium", json!("carrier pigeon"), 400, "M_UNRECOGNIZED").await;
    refused("address", json!("bob"), 400, "M_INVALID_EMAIL").await;
    refused("room_id", json!("#room:house.test"), 400, "M_INVALID_PARAM").await;
    refused("room_id", Value::Null, 400, "M_MISSING_PARAM").await;
    let bobs = house.token("bob").await;
    house.bind(&bobs, "bob", "bob@b.test").await;
    let in_use = refused("address", json!("Bob@B.test"), 400, "M_THREEPID_IN_USE").await;
    assert_eq!(in_use["mxid"], "@bob:house.test");
}

#[tokio::test]
async fn t22_nothing_is_signed_without_the_key_of_the_invitation() {
    let house = house();
    let token = house.token("alice").await;
    let stored = store(&house, &token, |_| ()).await.ok();
    let sign = async |invitation: &Value, private_key: &str, mxid: &str| {
        let body = json!({ "mxid": mxid, "token": invitation, "private_key": private_key });
        house.post("/sign-ed25519", &token, body).await
    };
    let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    sign(&stored["token"], key, "@bob:b.test")
        .await
        .refused(404, "M_UNRECOGNIZED");
    sign(&json!("nonsense"), key, "@bob:b.test")
        .await
        .refused(404, "M_UNRECOGNIZED");
    sign(&stored["token"], key, "bob")
        .await
        .refused(400, "M_INVALID_PARAM");
}
