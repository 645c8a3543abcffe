//! `wellknown.yaml`, and its two neighbours

use gatehouse_testkit::{configured, started};
use serde_json::json;

#[tokio::test]
async fn clients_find_the_public_address_also_from_a_browser() {
    let server = configured(|config| {
        config.public_baseurl = Some("https://matrix.test.example".to_owned());
    })
    .await;
    let answer = server.request("GET", "/.well-known/matrix/client", None).await;
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    let url = answer.ok()["m.homeserver"]["base_url"].clone();
    assert_eq!(
        url.as_str().unwrap().trim_end_matches('/'),
        "https://matrix.test.example"
    );
}

#[tokio::test]
async fn support_is_not_found_unless_somebody_is_named() {
    let server = started().await;
    server
        .request("GET", "/.well-known/matrix/support", None)
        .await
        .refused(404, "M_NOT_FOUND");
    let server = configured(|config| {
        config.support.page = Some("https://test.example/help".to_owned());
    })
    .await;
    let answer = server.request("GET", "/.well-known/matrix/support", None).await;
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    assert_eq!(
        answer.ok(),
        json!({ "support_page": "https://test.example/help" })
    );
}

#[tokio::test]
async fn servers_find_the_public_address() {
    for (public, address) in [
        ("https://matrix.test.example", "matrix.test.example:443"),
        ("https://matrix.test.example:8443/", "matrix.test.example:8443"),
        ("https://[2001:db8::1]/", "[2001:db8::1]:443"),
    ] {
        let server = configured(|config| config.public_baseurl = Some(public.to_owned())).await;
        let answer = server.request("GET", "/.well-known/matrix/server", None).await;
        assert_eq!(answer.ok(), json!({ "m.server": address }));
    }
}

#[tokio::test]
async fn servers_are_told_of_no_address_without_tls() {
    let server = started().await;
    server
        .request("GET", "/.well-known/matrix/server", None)
        .await
        .refused(404, "M_NOT_FOUND");
}
