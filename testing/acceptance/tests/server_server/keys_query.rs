//! `keys_query.yaml`

use gatehouse_test_peers::Authority;
use gatehouse_testkit::user::escaped;
use serde_json::json;

use crate::visitor::{Visitor, host};

#[tokio::test]
async fn keys_of_other_servers_are_told_with_our_signature_below_theirs() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let name = visitor.home.name();
    let path = format!("/_matrix/key/v2/query/{}", escaped(name));
    let one = server.request("GET", &path, None).await.ok();
    let body = json!({ "server_keys": { name: {} } });
    let many = server
        .request("POST", "/_matrix/key/v2/query", Some(&body))
        .await
        .ok();
    // As servers of old ask.
    let keys = one["server_keys"][0]["verify_keys"].as_object().unwrap();
    let of_old = format!("{path}/{}", escaped(keys.keys().next().unwrap()));
    let of_old = server.request("GET", &of_old, None).await.ok();
    for keys in [one, many, of_old] {
        let keys = &keys["server_keys"][0];
        assert_eq!(keys["server_name"], name);
        assert!(keys["signatures"][name].is_object());
        assert!(keys["signatures"]["test.example"].is_object());
    }
}

#[tokio::test]
async fn our_own_keys_are_told_and_those_of_nobody_are_not() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let own = server
        .request("GET", "/_matrix/key/v2/query/test.example", None)
        .await
        .ok();
    assert_eq!(own["server_keys"][0]["server_name"], "test.example");
    let nobody = server
        .request("GET", "/_matrix/key/v2/query/127.0.0.1:1", None)
        .await
        .ok();
    assert_eq!(nobody, json!({ "server_keys": [] }));
    let wrong = server
        .request(
            "POST",
            "/_matrix/key/v2/query",
            Some(&json!({ "server_keys": 1 })),
        )
        .await;
    wrong.refused(400, "M_BAD_JSON");
}

#[tokio::test]
async fn a_server_that_said_no_is_asked_for_its_keys_again() {
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let name = visitor.home.name();
    let ask = async |until: u64| {
        let path = format!(
            "/_matrix/key/v2/query/{}?minimum_valid_until_ts={until}",
            escaped(name)
        );
        let answer = server.request("GET", &path, None).await.ok();
        answer["server_keys"].as_array().unwrap().len()
    };
    visitor.home.refuse_keys(true);
    assert_eq!(ask(0).await, 0);
    visitor.home.refuse_keys(false);
    assert_eq!(ask(0).await, 1);
}
