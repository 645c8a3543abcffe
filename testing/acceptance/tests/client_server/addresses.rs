//! Registering with an address, logging in by it, and setting a forgotten password: `registration.yaml`, `login.yaml`
//! and `password_management.yaml` where they speak of addresses.

use serde_json::{Value, json};

use crate::mail::{Mailed, email_identity, mailed, mailed_with, password};

async fn post(mailed: &Mailed, path: &str, body: Value) -> gatehouse_testkit::Answer {
    mailed
        .server
        .request("POST", &format!("/_matrix/client/v3{path}"), Some(&body))
        .await
}

#[tokio::test]
async fn an_open_server_with_mail_takes_an_address_or_none() {
    let mailed = mailed().await;
    let left = post(
        &mailed,
        "/register",
        json!({ "username": "alice", "password": "pass" }),
    )
    .await;
    assert_eq!(
        left.body["flows"],
        json!([{ "stages": ["m.login.dummy"] }, { "stages": ["m.login.email.identity"] }])
    );
    let session = left.body["session"].clone();
    let sid = mailed.proven("register", "a@example.org", "secret").await;
    let mut auth = email_identity(&sid, "secret");
    auth["session"] = session;
    let body = json!({ "username": "alice", "password": "pass", "auth": auth });
    let registered = post(&mailed, "/register", body.clone()).await.ok();
    assert_eq!(registered["user_id"], "@alice:test.example");
    let again = post(&mailed, "/register", body).await.ok();
    assert_eq!(
        again["user_id"], "@alice:test.example",
        "a lost answer can be asked for again"
    );
    let alice = gatehouse_testkit::User::from_login(&mailed.server, &registered);
    assert_eq!(
        alice.get("/account/3pid").await.ok()["threepids"][0]["address"],
        "a@example.org"
    );
}

#[tokio::test]
async fn where_an_address_is_required_nobody_registers_without() {
    let mailed = mailed_with(|config| config.registration.email_required = true).await;
    let dummy = json!({ "username": "alice", "password": "pass", "auth": { "type": "m.login.dummy" } });
    let left = post(&mailed, "/register", dummy)
        .await
        .refused(401, "M_UNRECOGNIZED");
    assert_eq!(left["flows"], json!([{ "stages": ["m.login.email.identity"] }]));
    let sid = mailed
        .request("register", "a@example.org", "secret", 1)
        .await
        .ok()["sid"]
        .clone();
    let auth = email_identity(sid.as_str().unwrap(), "secret");
    let body = json!({ "username": "alice", "password": "pass", "auth": auth });
    post(&mailed, "/register", body.clone())
        .await
        .refused(401, "M_THREEPID_AUTH_FAILED");
    let link = mailed.link_to("a@example.org").await;
    mailed.follow(&link).await;
    post(&mailed, "/register", body.clone()).await.ok();
    let mut second = body;
    second["username"] = json!("bob");
    post(&mailed, "/register", second)
        .await
        .refused(401, "M_THREEPID_AUTH_FAILED");
    let free = mailed
        .server
        .request("GET", "/_matrix/client/v3/register/available?username=bob", None)
        .await;
    assert_eq!(
        free.ok()["available"],
        true,
        "w07: a refused registration makes nobody"
    );
}

#[tokio::test]
async fn t26_an_address_with_an_account_gets_a_mail_and_the_client_the_same_answer() {
    let mailed = mailed().await;
    let alice = mailed.server.user("alice").await;
    mailed.add(&alice, "a@example.org").await;
    let known = mailed.request("register", "a@example.org", "one", 1).await.ok();
    let unknown = mailed.request("register", "b@example.org", "two", 1).await.ok();
    let shape = |answer: &Value| {
        let keys: Vec<_> = answer.as_object().unwrap().keys().cloned().collect();
        (keys, answer["sid"].as_str().unwrap().len())
    };
    assert_eq!(shape(&known), shape(&unknown));
    let mail = mailed.mailbox.next_to("a@example.org").await.unwrap();
    assert!(mail.text.contains("belongs to one already") && !mail.text.contains("/_gatehouse/"));
    let unknown = mailed
        .request("account/password", "nobody@example.org", "three", 1)
        .await
        .ok();
    assert_eq!(shape(&known), shape(&unknown));
    let mail = mailed.mailbox.next_to("nobody@example.org").await.unwrap();
    assert!(!mail.text.contains("/_gatehouse/"), "{}", mail.text);
}

#[tokio::test]
async fn t26_an_operator_may_have_clients_told() {
    let mailed = mailed_with(|config| config.registration.hide_known_addresses = false).await;
    let alice = mailed.server.user("alice").await;
    mailed.add(&alice, "a@example.org").await;
    mailed
        .request("register", "a@example.org", "one", 1)
        .await
        .refused(400, "M_THREEPID_IN_USE");
    mailed
        .request("account/3pid", "a@example.org", "one", 1)
        .await
        .refused(400, "M_THREEPID_IN_USE");
    let unknown = mailed
        .request("account/password", "b@example.org", "two", 1)
        .await;
    unknown.refused(400, "M_THREEPID_NOT_FOUND");
}

#[tokio::test]
async fn one_logs_in_by_address_in_every_form() {
    let mailed = mailed().await;
    let alice = mailed.server.user("alice").await;
    mailed.add(&alice, "a@example.org").await;
    let today =
        json!({ "identifier": { "type": "m.id.thirdparty", "medium": "email", "address": "A@Example.org" } });
    let legacy = json!({ "medium": "email", "address": "a@example.org" });
    for mut body in [today, legacy] {
        body["type"] = json!("m.login.password");
        body["password"] = json!("password of alice");
        let logged_in = post(&mailed, "/login", body.clone()).await.ok();
        assert_eq!(logged_in["user_id"], alice.id);
        body["password"] = json!("wrong");
        let wrong = post(&mailed, "/login", body.clone())
            .await
            .refused(403, "M_FORBIDDEN");
        if let Some(identifier) = body.get_mut("identifier") {
            identifier["address"] = json!("nobody@example.org");
        } else {
            body["address"] = json!("nobody@example.org");
        }
        let unknown = post(&mailed, "/login", body).await.refused(403, "M_FORBIDDEN");
        assert_eq!(wrong, unknown, "nobody learns which addresses have accounts");
    }
    let phone = json!({ "type": "m.login.password", "password": "x",
        "identifier": { "type": "m.id.phone", "country": "GB", "phone": "07700900123" } });
    post(&mailed, "/login", phone).await.refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn a_forgotten_password_is_set_by_mail() {
    let mailed = mailed().await;
    let alice = mailed.server.user("alice").await;
    mailed.add(&alice, "a@example.org").await;
    let left = post(&mailed, "/account/password", json!({ "new_password": "new" })).await;
    assert_eq!(left.status, 401);
    assert_eq!(
        left.body["flows"],
        json!([{ "stages": ["m.login.email.identity"] }])
    );
    let sid = mailed
        .request("account/password", "a@example.org", "secret", 1)
        .await
        .ok()["sid"]
        .clone();
    let auth = email_identity(sid.as_str().unwrap(), "secret");
    let body = json!({ "new_password": "new", "auth": auth });
    let link = mailed.link_to("a@example.org").await;
    let (status, page) = mailed.follow(&link).await;
    assert_eq!(status, 200);
    assert!(page.contains("<form method=\"post\""), "{page}");
    let unmoved = post(&mailed, "/account/password", body.clone()).await;
    unmoved.refused(401, "M_THREEPID_AUTH_FAILED");
    let query = link.split_once('?').unwrap().1.to_owned();
    let url = format!("{}/_gatehouse/allow_password", mailed.server.base());
    let pressed = mailed.server.http().post(url).body(query).send().await.unwrap();
    assert_eq!(pressed.status(), 200);
    post(&mailed, "/account/password", body.clone()).await.ok();
    post(&mailed, "/account/password", body)
        .await
        .refused(401, "M_THREEPID_AUTH_FAILED");
    alice.get("/account/whoami").await.refused(401, "M_UNKNOWN_TOKEN");
    let login = |password: &str| json!({ "type": "m.login.password", "user": "alice", "password": password });
    post(&mailed, "/login", login("password of alice"))
        .await
        .refused(403, "M_FORBIDDEN");
    post(&mailed, "/login", login("new")).await.ok();
}

#[tokio::test]
async fn a_proven_address_sets_the_password_of_its_own_account_only() {
    let mailed = mailed().await;
    let (alice, bob) = (mailed.server.user("alice").await, mailed.server.user("bob").await);
    mailed.add(&alice, "a@example.org").await;
    let sid = mailed
        .request("account/password", "a@example.org", "secret", 1)
        .await
        .ok()["sid"]
        .clone();
    let link = mailed.link_to("a@example.org").await;
    let query = link.split_once('?').unwrap().1.to_owned();
    let url = format!("{}/_gatehouse/allow_password", mailed.server.base());
    mailed.server.http().post(url).body(query).send().await.unwrap();
    let auth = email_identity(sid.as_str().unwrap(), "secret");
    let answer = bob
        .post(
            "/account/password",
            json!({ "new_password": "new", "auth": auth }),
        )
        .await;
    answer.refused(403, "M_FORBIDDEN");
    for user in [&alice, &bob] {
        user.get("/account/whoami").await.ok();
        user.post(
            "/account/password",
            json!({ "new_password": "x", "logout_devices": false, "auth": password(user) }),
        )
        .await
        .ok();
    }
}

#[tokio::test]
async fn without_mail_only_those_who_are_logged_in_change_passwords() {
    let server = gatehouse_testkit::started().await;
    let body = json!({ "new_password": "new" });
    let answer = server
        .request("POST", "/_matrix/client/v3/account/password", Some(&body))
        .await;
    answer.refused(401, "M_MISSING_TOKEN");
}
