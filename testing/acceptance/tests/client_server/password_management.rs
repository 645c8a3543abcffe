//! `password_management.yaml`

use gatehouse_testkit::{Answer, TestServer, User, started};
use serde_json::{Value, json};

use crate::uia::{challenged, password, password_of, within};

const PASSWORD: &str = "m.login.password";
const NEW: &str = "a new password of hers";

async fn change(user: &User<'_>, body: &Value) -> Answer {
    user.post("/account/password", body.clone()).await
}

async fn log_in(server: &TestServer, name: &str, password: &str) -> Answer {
    let body = json!({
        "type": PASSWORD, "identifier": { "type": "m.id.user", "user": name }, "password": password,
    });
    server
        .request("POST", "/_matrix/client/v3/login", Some(&body))
        .await
}

#[tokio::test]
async fn a_password_is_changed_by_who_has_the_old_one() {
    let server = started().await;
    let alice = server.user("alice").await;
    let mut body = json!({ "new_password": NEW });
    let session = challenged(&change(&alice, &body).await, &[PASSWORD]);
    log_in(&server, "alice", NEW).await.refused(403, "M_FORBIDDEN");
    body["auth"] = within(&session, password_of(&alice));
    assert_eq!(change(&alice, &body).await.ok(), json!({}));
    log_in(&server, "alice", NEW).await.ok();
    log_in(&server, "alice", "password of alice")
        .await
        .refused(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn other_devices_are_logged_out_unless_they_shall_not_be() {
    for (logout_devices, ended) in [(None, true), (Some(true), true), (Some(false), false)] {
        let server = started().await;
        let alice = server.user("alice").await;
        let phone = alice.log_in_again().await;
        let mut body = json!({ "new_password": NEW, "auth": password_of(&alice) });
        if let Some(logout_devices) = logout_devices {
            body["logout_devices"] = logout_devices.into();
        }
        change(&alice, &body).await.ok();
        alice.get("/account/whoami").await.ok();
        let whoami = phone.get("/account/whoami").await;
        if ended {
            whoami.refused(401, "M_UNKNOWN_TOKEN");
        } else {
            whoami.ok();
        }
    }
}

#[tokio::test]
async fn w03_only_the_password_of_the_user_changes_it() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let id = alice.id.as_str();
    for auth in [
        Value::Null,
        json!([]),
        json!("x"),
        json!({}),
        json!({ "type": "m.login.dummy" }),
        json!({ "type": "m.login.registration_token", "token": "x" }),
        json!({ "type": PASSWORD }),
        json!({ "type": PASSWORD, "identifier": {}, "password": "password of alice" }),
        json!({ "type": PASSWORD, "session": "guessed" }),
        password(id, "wrong"),
        password(id, ""),
        within("guessed", password_of(&alice)),
    ] {
        let answer = change(&alice, &json!({ "new_password": NEW, "auth": auth })).await;
        challenged(&answer, &[PASSWORD]);
    }
    for auth in [
        password_of(&bob),
        password("nobody", ""),
        password("@alice:elsewhere.example", "password of alice"),
    ] {
        change(&alice, &json!({ "new_password": NEW, "auth": auth }))
            .await
            .refused(403, "M_FORBIDDEN");
    }
    log_in(&server, "alice", NEW).await.refused(403, "M_FORBIDDEN");
    alice.log_in_again().await;
}

#[tokio::test]
async fn w03_a_session_is_good_for_one_change_of_one_user() {
    let server = started().await;
    let (alice, bob) = (server.user("alice").await, server.user("bob").await);
    let new = |auth: Value| json!({ "new_password": NEW, "logout_devices": false, "auth": auth });
    let session = challenged(
        &change(&alice, &json!({ "new_password": NEW })).await,
        &[PASSWORD],
    );
    let stolen = new(within(&session, password_of(&bob)));
    change(&bob, &stolen).await.refused(403, "M_FORBIDDEN");
    let elsewhere = json!({ "auth": within(&session, password_of(&alice)) });
    alice
        .post("/account/deactivate", elsewhere)
        .await
        .refused(403, "M_FORBIDDEN");
    change(&alice, &new(within(&session, password_of(&alice))))
        .await
        .ok();
    for auth in [
        json!({ "session": session }),
        within(&session, password(&alice.id, NEW)),
    ] {
        let again = json!({ "new_password": "yet another", "auth": auth });
        challenged(&change(&alice, &again).await, &[PASSWORD]);
    }
    log_in(&server, "alice", NEW).await.ok();
    log_in(&server, "bob", "password of bob").await.ok();
}

#[tokio::test]
async fn a_new_password_has_1_to_512_bytes_and_a_refusal_changes_nothing() {
    let server = started().await;
    let alice = server.user("alice").await;
    for (new, errcode) in [
        (json!(""), "M_INVALID_PARAM"),
        (json!("x".repeat(513)), "M_INVALID_PARAM"),
        (Value::Null, "M_MISSING_PARAM"),
        (json!(5), "M_BAD_JSON"),
    ] {
        let body = json!({ "new_password": new, "auth": password_of(&alice) });
        change(&alice, &body).await.refused(400, errcode);
    }
    alice.log_in_again().await;
    let path = "/_matrix/client/v3/account/password";
    let body = json!({ "new_password": NEW, "auth": password_of(&alice) });
    server
        .request("POST", path, Some(&body))
        .await
        .refused(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn w04_no_answer_and_no_file_holds_a_password() {
    let mut server = started().await;
    let known = "a name that is no secret";
    let (challenge, wrong) = {
        let alice = server.user("alice").await;
        let name = format!("/profile/{}/displayname", alice.id);
        alice.put(&name, json!({ "displayname": known })).await.ok();
        let mut body = json!({ "new_password": NEW });
        let challenge = change(&alice, &body).await;
        let session = challenged(&challenge, &[PASSWORD]);
        body["auth"] = within(&session, password(&alice.id, "a wrong password"));
        let wrong = change(&alice, &body).await;
        body["auth"] = within(&session, password_of(&alice));
        change(&alice, &body).await.ok();
        (challenge, wrong)
    };
    for answer in [challenge, wrong] {
        assert!(!answer.body.to_string().contains("password of"), "{answer:?}");
        assert!(!answer.body.to_string().contains("a wrong"), "{answer:?}");
    }
    server.stop().await;
    let mut files = vec![server.config().data_dir.clone()];
    let mut found_known = false;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(
                std::fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        found_known |= holds(known);
        for secret in [NEW, "password of alice", "a wrong password"] {
            assert!(!holds(secret), "{}: {secret}", path.display());
        }
    }
    // Elsewhere than in files of its own, the store is not for this test to read.
    let is_embedded = server.config().database.url.is_empty();
    assert!(found_known || !is_embedded, "text could be read in the files");
}
