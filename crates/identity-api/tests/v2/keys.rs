use http::Method;
use serde_json::json;

use crate::house::house;

#[tokio::test]
async fn the_long_lived_key_is_published_and_valid() {
    let house = house();
    let get = async |path: &str| house.ask(Method::GET, path, None, None).await;
    let key = get("/pubkey/ed25519:0").await.ok()["public_key"]
        .as_str()
        .unwrap()
        .to_owned();
    let escaped = key.replace('+', "%2B").replace('/', "%2F");
    let url_safe = key.replace('+', "-").replace('/', "_");
    for form in [&escaped, &key, &url_safe] {
        let answer = get(&format!("/pubkey/isvalid?public_key={form}")).await.ok();
        assert_eq!(answer, json!({ "valid": true }), "{form}");
    }
    let ephemeral = get(&format!("/pubkey/ephemeral/isvalid?public_key={escaped}"))
        .await
        .ok();
    assert_eq!(ephemeral, json!({ "valid": false }), "it is not ephemeral");
    assert_eq!(
        get("/pubkey/isvalid?public_key=nonsense").await.ok(),
        json!({ "valid": false })
    );
    get("/pubkey/ed25519:1").await.refused(404, "M_NOT_FOUND");
    get("/pubkey/isvalid").await.refused(400, "M_MISSING_PARAM");
}
