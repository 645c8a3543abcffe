//! `administrative_contact.yaml`

use std::time::Duration;

use gatehouse_testkit::{rate, started};
use serde_json::{Value, json};

use crate::mail::{Mailed, mailed, mailed_with, password};

/// The bundled identity server, as clients name it.
const BUNDLED: &str = "matrix.test.example";

/// A session at the bundled identity server, in which the address was proven as clients of 2016 have it done.
async fn proven_there(mailed: &Mailed, email: &str) -> Value {
    let body = json!({ "client_secret": "there", "email": email, "send_attempt": 1 });
    let path = "/_matrix/identity/api/v1/validate/email/requestToken";
    let answer = mailed.server.request("POST", path, Some(&body)).await.ok();
    let link = mailed.link_to(email).await;
    assert_eq!(mailed.server.request("GET", &link, None).await.status, 200);
    json!({ "sid": answer["sid"], "client_secret": "there", "id_server": BUNDLED })
}

#[tokio::test]
async fn an_address_is_proven_added_listed_and_deleted() {
    let mailed = mailed().await;
    let alice = mailed.server.user("alice").await;
    mailed.add(&alice, "Alice@Example.org").await;
    let known = alice.get("/account/3pid").await.ok();
    let now = mailed.server.clock().now_ms();
    assert_eq!(
        known,
        json!({ "threepids": [
            { "medium": "email", "address": "alice@example.org", "validated_at": now, "added_at": now }
        ] })
    );
    let body = json!({ "medium": "email", "address": "ALICE@example.org" });
    let deleted = alice.post("/account/3pid/delete", body).await.ok();
    assert!(deleted["id_server_unbind_result"].is_string());
    assert_eq!(alice.get("/account/3pid").await.ok(), json!({ "threepids": [] }));
}

#[tokio::test]
async fn the_deprecated_way_adds_what_was_proven_here() {
    let mailed = mailed().await;
    let alice = mailed.server.user("alice").await;
    let sid = mailed.proven("account/3pid", "a@example.org", "secret").await;
    let creds = |secret: &str| json!({ "three_pid_creds": { "sid": sid, "client_secret": secret, "id_server": "id.example" } });
    let wrong = json!({ "three_pid_creds": { "sid": sid, "client_secret": "other" } });
    let wrong = alice.post("/account/3pid", wrong).await;
    wrong.refused(403, "M_THREEPID_AUTH_FAILED");
    alice.post("/account/3pid", creds("secret")).await.ok();
    assert_eq!(
        alice.get("/account/3pid").await.ok()["threepids"][0]["address"],
        "a@example.org"
    );
}

#[tokio::test]
async fn w03_adding_needs_the_password_and_w07_a_proof_serves_once() {
    let mailed = mailed().await;
    let (alice, bob) = (mailed.server.user("alice").await, mailed.server.user("bob").await);
    let sid = mailed.proven("account/3pid", "a@example.org", "secret").await;
    let body = json!({ "sid": sid, "client_secret": "secret" });
    let left = alice.post("/account/3pid/add", body.clone()).await;
    assert_eq!(left.status, 401);
    assert_eq!(left.body["flows"], json!([{ "stages": ["m.login.password"] }]));
    let with = |auth: Value| json!({ "sid": sid, "client_secret": "secret", "auth": auth });
    alice
        .post("/account/3pid/add", with(password(&bob)))
        .await
        .refused(403, "M_FORBIDDEN");
    alice.post("/account/3pid/add", with(password(&alice))).await.ok();
    bob.post("/account/3pid/add", with(password(&bob)))
        .await
        .refused(403, "M_THREEPID_AUTH_FAILED");
    assert_eq!(bob.get("/account/3pid").await.ok(), json!({ "threepids": [] }));
}

#[tokio::test]
async fn w06_a_client_secret_is_good_for_one_address() {
    let mailed = mailed().await;
    let sid = mailed.proven("account/3pid", "mine@example.org", "secret").await;
    let other = mailed
        .request("account/3pid", "victim@example.org", "secret", 2)
        .await;
    other.refused(400, "M_INVALID_PARAM");
    // Whatever was asked for later comes later: the victim got nothing.
    mailed
        .request("account/3pid", "marker@example.org", "marker", 1)
        .await
        .ok();
    let next = mailed.mailbox.next().await.unwrap().recipients;
    assert_eq!(next, ["marker@example.org"]);
    let alice = mailed.server.user("alice").await;
    let body = json!({ "sid": sid, "client_secret": "secret", "auth": password(&alice) });
    alice.post("/account/3pid/add", body).await.ok();
    assert_eq!(
        alice.get("/account/3pid").await.ok()["threepids"][0]["address"],
        "mine@example.org"
    );
}

#[tokio::test]
async fn one_attempt_is_one_mail() {
    let mailed = mailed().await;
    let request = async |address, secret, attempt| {
        mailed
            .request("account/3pid", address, secret, attempt)
            .await
            .ok()
    };
    let next = async || mailed.mailbox.next().await.unwrap().recipients;
    let first = request("a@example.org", "secret", 1).await;
    assert_eq!(next().await, ["a@example.org"]);
    assert_eq!(request("a@example.org", "secret", 1).await, first);
    request("b@example.org", "other", 1).await;
    assert_eq!(next().await, ["b@example.org"]);
    assert_eq!(request("a@example.org", "secret", 2).await, first);
    assert_eq!(next().await, ["a@example.org"]);
    assert_eq!(request("a@example.org", "secret", 1).await, first);
    request("c@example.org", "third", 1).await;
    assert_eq!(next().await, ["c@example.org"]);
}

#[tokio::test]
async fn x08_i04_what_is_malformed_is_refused() {
    let mailed = mailed().await;
    for (email, secret) in [
        ("a@b@example.org", "secret"),
        ("A <a@example.org>", "secret"),
        ("a@example.org\r\nBcc: b@example.org", "secret"),
        ("a@example.org", "sec ret"),
        ("a@example.org", ""),
        ("a@example.org", &"a".repeat(256)),
    ] {
        mailed
            .request("account/3pid", email, secret, 1)
            .await
            .refused(400, "M_INVALID_PARAM");
    }
    let path = "/_matrix/client/v3/account/3pid/email/requestToken";
    for body in [
        json!({ "email": "a@example.org", "send_attempt": 1 }),
        json!({ "client_secret": "secret", "send_attempt": 1 }),
        json!({ "client_secret": "secret", "email": "a@example.org" }),
    ] {
        let answer = mailed.server.request("POST", path, Some(&body)).await;
        answer.refused(400, "M_MISSING_PARAM");
    }
}

#[tokio::test]
async fn i04_the_identity_server_that_a_client_names_is_not_asked() {
    let mailed = mailed().await;
    let body = json!({ "client_secret": "secret", "email": "a@example.org", "send_attempt": 1,
        "id_server": "127.0.0.1:1", "id_access_token": "token" });
    let path = "/_matrix/client/v3/account/3pid/email/requestToken";
    mailed.server.request("POST", path, Some(&body)).await.ok();
    mailed.link_to("a@example.org").await;
}

#[tokio::test]
async fn t04_t25_messages_are_limited_by_address_and_by_client() {
    let mailed = mailed_with(|config| {
        config.rate_limits.enabled = true;
        config.rate_limits.threepid_validation = Some(rate(0.001, 2));
    })
    .await;
    mailed.request("register", "a@example.org", "one", 1).await.ok();
    let same = mailed.request("account/3pid", "a@example.org", "two", 1).await;
    same.ok();
    let refused = mailed.request("account/3pid", "b@example.org", "three", 1).await;
    refused.refused(429, "M_LIMIT_EXCEEDED");
}

#[tokio::test]
async fn t33_guests_have_no_addresses() {
    let mailed = mailed().await;
    let guest = mailed.server.guest().await;
    let creds = json!({ "sid": "a", "client_secret": "b" });
    let delete = json!({ "medium": "email", "address": "a@example.org" });
    for (path, body) in [
        ("/account/3pid/add", creds.clone()),
        ("/account/3pid", json!({ "three_pid_creds": creds })),
        ("/account/3pid/delete", delete),
    ] {
        guest
            .post(path, body)
            .await
            .refused(403, "M_GUEST_ACCESS_FORBIDDEN");
    }
}

#[tokio::test]
async fn a_server_without_mail_says_so() {
    let server = started().await;
    let alice = server.user("alice").await;
    let body = json!({ "client_secret": "secret", "email": "a@example.org", "send_attempt": 1 });
    for page in ["account/3pid", "register", "account/password"] {
        let path = format!("/_matrix/client/v3/{page}/email/requestToken");
        let answer = server.request("POST", &path, Some(&body)).await;
        answer.refused(400, "M_THREEPID_MEDIUM_NOT_SUPPORTED");
    }
    let capabilities = alice.get("/capabilities").await.ok();
    assert_eq!(
        capabilities["capabilities"]["m.3pid_changes"],
        json!({ "enabled": false })
    );
    let body = json!({ "client_secret": "secret", "country": "GB", "phone_number": "07700900123", "send_attempt": 1 });
    let path = "/_matrix/client/v3/account/3pid/msisdn/requestToken";
    server
        .request("POST", path, Some(&body))
        .await
        .refused(400, "M_THREEPID_MEDIUM_NOT_SUPPORTED");
}

#[tokio::test]
async fn w16_whoever_is_gone_has_no_address() {
    let mailed = mailed().await;
    let alice = mailed.server.user("alice").await;
    mailed.add(&alice, "a@example.org").await;
    alice
        .post("/account/deactivate", json!({ "auth": password(&alice) }))
        .await
        .ok();
    let login = json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.thirdparty", "medium": "email", "address": "a@example.org" },
        "password": "password of alice",
    });
    let answer = mailed
        .server
        .request("POST", "/_matrix/client/v3/login", Some(&login))
        .await;
    answer.refused(403, "M_FORBIDDEN");
    let bob = mailed.server.user("bob").await;
    let sid = mailed
        .request("account/3pid", "a@example.org", "again", 1)
        .await
        .ok()["sid"]
        .clone();
    let link = mailed.link_to("a@example.org").await;
    mailed.follow(&link).await;
    let body = json!({ "sid": sid, "client_secret": "again", "auth": password(&bob) });
    bob.post("/account/3pid/add", body).await.ok();
}

#[tokio::test]
async fn links_that_do_not_work_say_so() {
    let mailed = mailed().await;
    mailed
        .request("account/3pid", "a@example.org", "secret", 1)
        .await
        .ok();
    let link = mailed.link_to("a@example.org").await;
    let (before, token) = link.split_once("token=").unwrap();
    let wrong = format!("{before}token={}", token.chars().rev().collect::<String>());
    let (status, page) = mailed.follow(&wrong).await;
    assert_eq!(status, 400);
    assert!(page.contains("does not work"), "{page}");
    let (status, _) = mailed
        .follow("/_gatehouse/validate?sid=%22%3E%3Cscript%3E&token=x")
        .await;
    assert_eq!(status, 400);
    mailed.server.clock().advance(Duration::from_hours(1));
    let (status, page) = mailed.follow(&link).await;
    assert_eq!(status, 400);
    assert!(page.contains("no longer in force"), "{page}");
}

#[tokio::test]
async fn the_deprecated_way_adds_what_was_proven_to_a_server_that_the_operator_named_and_to_no_other() {
    let mailed = mailed().await;
    let alice = mailed.server.user("alice").await;
    let creds = proven_there(&mailed, "a@example.org").await;
    let mut elsewhere = creds.clone();
    elsewhere["id_server"] = json!("id.example.org");
    let refused = alice
        .post("/account/3pid", json!({ "three_pid_creds": elsewhere }))
        .await;
    refused.refused(403, "M_SERVER_NOT_TRUSTED");
    let mut wrong = creds.clone();
    wrong["client_secret"] = json!("other");
    let refused = alice
        .post("/account/3pid", json!({ "three_pid_creds": wrong }))
        .await;
    assert!(
        (400..500).contains(&refused.status),
        "{} {}",
        refused.status,
        refused.body
    );
    assert_eq!(alice.get("/account/3pid").await.ok(), json!({ "threepids": [] }));
    alice
        .post("/account/3pid", json!({ "three_pid_creds": creds }))
        .await
        .ok();
    assert_eq!(
        alice.get("/account/3pid").await.ok()["threepids"][0]["address"],
        "a@example.org"
    );
}

#[tokio::test]
async fn what_is_deleted_is_unbound_where_it_was_bound() {
    let mailed = mailed().await;
    let alice = mailed.server.user("alice").await;
    mailed.add(&alice, "a@example.org").await;
    let delete = json!({ "medium": "email", "address": "a@example.org" });
    let never_bound = alice.post("/account/3pid/delete", delete.clone()).await.ok();
    assert_eq!(never_bound["id_server_unbind_result"], "no-support");
    let creds = proven_there(&mailed, "a@example.org").await;
    // As clients of r0.5 have it.
    let path = "/_matrix/client/unstable/account/3pid/bind";
    alice.request("POST", path, Some(&creds)).await.ok();
    let looked_up = async || {
        let path = "/_matrix/identity/api/v1/lookup?medium=email&address=a@example.org";
        mailed.server.request("GET", path, None).await.ok()["mxid"].clone()
    };
    assert_eq!(looked_up().await, alice.id);
    let unbound = alice.post("/account/3pid/delete", delete).await.ok();
    assert_eq!(unbound["id_server_unbind_result"], "success");
    assert_eq!(looked_up().await, Value::Null);
}

#[tokio::test]
async fn w16_whoever_is_gone_is_unbound() {
    let mailed = mailed().await;
    let alice = mailed.server.user("alice").await;
    let creds = proven_there(&mailed, "a@example.org").await;
    alice.post("/account/3pid/bind", creds).await.ok();
    let gone = alice
        .post("/account/deactivate", json!({ "auth": password(&alice) }))
        .await
        .ok();
    assert_eq!(gone["id_server_unbind_result"], "success");
    let path = "/_matrix/identity/api/v1/lookup?medium=email&address=a@example.org";
    let found = mailed.server.request("GET", path, None).await.ok();
    assert_eq!(found["mxid"], Value::Null);
}

#[tokio::test]
async fn t26_whoever_proves_the_address_of_another_account_is_told_then() {
    let mailed = mailed().await;
    let (alice, bob) = (mailed.server.user("alice").await, mailed.server.user("bob").await);
    mailed.add(&alice, "a@example.org").await;
    let sid = mailed.proven("account/3pid", "a@example.org", "second").await;
    let body = json!({ "sid": sid, "client_secret": "second", "auth": password(&bob) });
    bob.post("/account/3pid/add", body)
        .await
        .refused(400, "M_THREEPID_IN_USE");
    assert_eq!(bob.get("/account/3pid").await.ok(), json!({ "threepids": [] }));
    assert_eq!(
        alice.get("/account/3pid").await.ok()["threepids"][0]["address"],
        "a@example.org"
    );
}
