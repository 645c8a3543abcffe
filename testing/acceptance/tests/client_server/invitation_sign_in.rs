//! Accepting an invitation by e-mail with an account that one has, on the page that the mail leads to.

use gatehouse_testkit::{TestServer, User, rate, user::escaped};
use serde_json::{Value, json};

use crate::{
    invitation_page::{BOB, Page, hidden_pass, invited, open, read, send},
    mail::{Mailed, mailed, mailed_with},
    shared_secret::administrator,
};

const PASSWORD: &str = "password of bob";

async fn sign_in(server: &TestServer, link: &str, name: &str, password: &str) -> Page {
    let fields = [("name", name), ("password", password)];
    send(server, &format!("{link}/sign-in"), &fields).await
}

/// What the user is in the room, as somebody in it sees it.
async fn membership(member: &User<'_>, room: &str, user: &str) -> Value {
    let answer = member.state(room, "m.room.member", user).await;
    answer.body.get("membership").cloned().unwrap_or_default()
}

/// Invites Bob's address into a new room, and gives it.
async fn invite_again(alice: &User<'_>) -> String {
    let room = alice.create_room(json!({ "name": "Dogs" })).await;
    let body = json!({ "id_server": "matrix.test.example", "medium": "email", "address": BOB });
    let path = format!("/rooms/{}/invite", escaped(&room));
    alice.post(&path, body).await.ok();
    room
}

/// Nothing came of a form: Bob is not in the room, and nobody is found by his address.
async fn nothing_happened(mailed: &Mailed, alice: &User<'_>, room: &str, before: &Value) {
    assert_eq!(alice.whole_state(room).await, *before);
    let other = invite_again(alice).await;
    mailed.mailbox.next_to(BOB).await.unwrap();
    let state = alice.whole_state(&other).await;
    let kinds = state.as_array().unwrap().iter().map(|event| &event["type"]);
    assert!(
        kinds.clone().any(|kind| kind == "m.room.third_party_invite"),
        "{kinds:?}"
    );
}

#[tokio::test]
async fn whoever_has_an_account_signs_in_and_is_in_the_room() {
    let mailed = mailed().await;
    let server = &mailed.server;
    let bob = server.user("bob").await;
    let (alice, room, link) = invited(&mailed, "Cats").await;
    let page = open(server, &link).await;
    assert!(page.text.contains("Sign in and join") && page.text.contains("Create the account"));
    let page = sign_in(server, &link, " Bob ", PASSWORD).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(
        page.text.contains("You are in") && page.text.contains("Cats"),
        "{}",
        page.text
    );
    assert_eq!(membership(&alice, &room, &bob.id).await, "join");
    assert_eq!(page.headers["cache-control"], "no-store");
    // The form once more, as by a second click: the same page again.
    let again = sign_in(server, &link, "bob", PASSWORD).await;
    assert!(
        again.status == 200 && again.text.contains("You are in"),
        "{}",
        again.text
    );
    // No device was made, and Bob is found by his address.
    let devices = bob.get("/devices").await.ok();
    assert_eq!(devices["devices"].as_array().unwrap().len(), 1);
    let other = invite_again(&alice).await;
    assert_eq!(membership(&alice, &other, &bob.id).await, "invite");
    // Nobody else can use the link any more.
    server.user("eve").await;
    let stolen = sign_in(server, &link, "eve", "password of eve").await;
    assert!(
        stolen.status == 409 && stolen.text.contains("accepted already"),
        "{}",
        stolen.text
    );
    assert_eq!(membership(&alice, &room, "@eve:test.example").await, Value::Null);
}

#[tokio::test]
async fn an_account_has_several_names() {
    let mailed = mailed().await;
    let server = &mailed.server;
    let bob = server.user("bob").await;
    mailed.add(&bob, "robert@mail.example").await;
    let alice = server.user("alice").await;
    for (number, name) in ["@bob:test.example", "Robert@mail.example", "BOB"]
        .into_iter()
        .enumerate()
    {
        let room = alice.create_room(json!({ "name": "Cats" })).await;
        let address = format!("b{number}@mail.example");
        let body = json!({ "id_server": "matrix.test.example", "medium": "email", "address": address });
        let path = format!("/rooms/{}/invite", escaped(&room));
        alice.post(&path, body).await.ok();
        let link = mailed.link_to(&address).await;
        let page = sign_in(server, &link, name, PASSWORD).await;
        assert_eq!(page.status, 200, "{name}: {}", page.text);
        assert_eq!(membership(&alice, &room, &bob.id).await, "join", "{name}");
    }
}

/// Somebody may send a link around that went to an address of their own. Whoever signs in there shares a room with them,
/// and keeps the account.
#[tokio::test]
async fn the_invited_address_does_not_open_the_account_that_accepts() {
    let mailed = mailed().await;
    let server = &mailed.server;
    let bob = server.user("bob").await;
    let (_, _, link) = invited(&mailed, "Cats").await;
    assert_eq!(sign_in(server, &link, "bob", PASSWORD).await.status, 200);
    let addresses = bob.get("/account/3pid").await.ok();
    assert_eq!(addresses["threepids"], json!([]));
    let login = json!({ "type": "m.login.password", "password": PASSWORD,
        "identifier": { "type": "m.id.thirdparty", "medium": "email", "address": BOB } });
    let login = server
        .request("POST", "/_matrix/client/v3/login", Some(&login))
        .await;
    login.refused(403, "M_FORBIDDEN");
    mailed.request("account/password", BOB, "secret", 1).await.ok();
    let mail = mailed.mailbox.next_to(BOB).await.unwrap();
    assert!(mail.subject.starts_with("No account"), "{}", mail.subject);
}

#[tokio::test]
async fn what_is_bound_from_a_page_goes_with_its_account() {
    let mailed = mailed().await;
    let server = &mailed.server;
    let bob = server.user("bob").await;
    let (alice, _, link) = invited(&mailed, "Cats").await;
    assert_eq!(sign_in(server, &link, "bob", PASSWORD).await.status, 200);
    let body = json!({ "auth": crate::mail::password(&bob) });
    let answer = bob.post("/account/deactivate", body).await.ok();
    assert_eq!(answer["id_server_unbind_result"], "success");
    let room = invite_again(&alice).await;
    mailed.mailbox.next_to(BOB).await.unwrap();
    assert_eq!(membership(&alice, &room, &bob.id).await, Value::Null);
}

#[tokio::test]
async fn a_wrong_name_or_password_is_said_on_the_page_and_changes_nothing() {
    let mailed = mailed().await;
    let server = &mailed.server;
    server.user("bob").await;
    let (alice, room, link) = invited(&mailed, "Cats").await;
    let before = alice.whole_state(&room).await;
    for (name, password, status, because) in [
        ("bob", "wrong password", 403, "do not belong together"),
        ("nobody", PASSWORD, 403, "do not belong together"),
        ("nobody@mail.example", PASSWORD, 403, "do not belong together"),
        (
            "@bob:elsewhere.example",
            PASSWORD,
            400,
            "no account of test.example",
        ),
        ("bob", "", 400, "and its password"),
        ("", PASSWORD, 400, "Enter the name"),
        ("\"><script>", PASSWORD, 403, "do not belong together"),
    ] {
        let page = sign_in(server, &link, name, password).await;
        assert_eq!(page.status, status, "{name}: {}", page.text);
        assert!(page.text.contains(because), "{because}: {}", page.text);
        assert!(page.text.contains("role=\"alert\"") && !page.text.contains("<script"));
        assert!(
            password.is_empty() || !page.text.contains(password),
            "the password is on the page"
        );
        assert!(name.contains('"') || page.text.contains(&format!("value=\"{name}\"")));
        assert!(
            page.headers["content-security-policy"]
                .to_str()
                .unwrap()
                .contains("default-src 'none'")
        );
    }
    let page = sign_in(server, "/_gatehouse/invitation/nonsense", "bob", PASSWORD).await;
    assert_eq!(page.status, 404);
    nothing_happened(&mailed, &alice, &room, &before).await;
}

#[tokio::test]
async fn t34_accounts_that_may_not_join_say_why_and_nothing_happens() {
    let mailed = mailed().await;
    let server = &mailed.server;
    let admin = administrator(server).await;
    for name in ["suspended", "locked", "gone"] {
        server.user(name).await;
    }
    let put = async |kind: &str, name: &str, body: Value| {
        let path = format!(
            "/_synapse/admin/v1/{kind}/{}",
            escaped(&format!("@{name}:test.example"))
        );
        admin.request("PUT", &path, Some(&body)).await.ok();
    };
    put("suspend", "suspended", json!({ "suspend": true })).await;
    let user = |name: &str| {
        format!(
            "/_synapse/admin/v2/users/{}",
            escaped(&format!("@{name}:test.example"))
        )
    };
    admin
        .request("PUT", &user("locked"), Some(&json!({ "locked": true })))
        .await
        .ok();
    let path = format!("/_synapse/admin/v1/deactivate/{}", escaped("@gone:test.example"));
    admin.request("POST", &path, Some(&json!({}))).await.ok();
    let (alice, room, link) = invited(&mailed, "Cats").await;
    let before = alice.whole_state(&room).await;
    for (name, because) in [
        ("suspended", "has been suspended"),
        ("locked", "has been locked"),
        ("gone", "An account that was closed cannot be used again"),
    ] {
        let page = sign_in(server, &link, name, &format!("password of {name}")).await;
        assert_eq!(page.status, 403, "{name}: {}", page.text);
        assert!(page.text.contains(because), "{name}: {}", page.text);
        let wrong = sign_in(server, &link, name, "wrong password").await;
        assert!(
            wrong.text.contains("do not belong together"),
            "{name} is told to strangers"
        );
    }
    nothing_happened(&mailed, &alice, &room, &before).await;
}

#[tokio::test]
async fn t34_an_account_that_was_suspended_since_does_not_join_by_its_page() {
    let mailed = mailed().await;
    let server = &mailed.server;
    let admin = administrator(server).await;
    let (alice, room, link) = invited(&mailed, "Cats").await;
    let fields = [("username", "bob"), ("password", "correct horse battery")];
    let page = send(server, &format!("{link}/account"), &fields).await;
    let pass = hidden_pass(&page).to_owned();
    let path = format!("/_synapse/admin/v1/suspend/{}", escaped("@bob:test.example"));
    admin
        .request("PUT", &path, Some(&json!({ "suspend": true })))
        .await
        .ok();
    let page = send(server, "/_gatehouse/invitation/join", &[("pass", &pass)]).await;
    assert_eq!(page.status, 403);
    assert!(page.text.contains("has been suspended"), "{}", page.text);
    assert_ne!(membership(&alice, &room, "@bob:test.example").await, "join");
}

#[tokio::test]
async fn whose_address_has_an_account_here_is_asked_for_that_one() {
    let mailed = mailed().await;
    let server = &mailed.server;
    let bob = server.user("bob").await;
    mailed.add(&bob, BOB).await;
    let (alice, room, link) = invited(&mailed, "Cats").await;
    let page = open(server, &link).await;
    assert!(page.text.contains("belongs to an account here") && page.text.contains("Sign in and join"));
    assert!(!page.text.contains("Create the account"), "{}", page.text);
    assert!(!page.text.contains("@bob:"), "the page tells whose it is");
    let fields = [("username", "robert"), ("password", "correct horse battery")];
    let page = send(server, &format!("{link}/account"), &fields).await;
    assert!(
        page.status == 400 && page.text.contains("has an account here already"),
        "{}",
        page.text
    );
    let page = sign_in(server, &link, BOB, PASSWORD).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert_eq!(membership(&alice, &room, &bob.id).await, "join");
}

/// One bucket for a thing, by whatever path it is asked for (T32).
#[tokio::test]
async fn t32_passwords_are_guessed_no_faster_on_a_page() {
    let mailed = mailed_with(|config| {
        let limits = &mut config.rate_limits;
        limits.enabled = true;
        limits.registration = Some(rate(1_000.0, 1_000));
        limits.login = Some(rate(0.01, 4));
    })
    .await;
    let server = &mailed.server;
    server.user("bob").await;
    let (_, _, link) = invited(&mailed, "Cats").await;
    for _ in 0..4 {
        assert_eq!(sign_in(server, &link, "bob", "wrong password").await.status, 403);
    }
    let page = sign_in(server, &link, "bob", PASSWORD).await;
    assert_eq!(page.status, 429, "{}", page.text);
    assert!(page.text.contains("<h1>Not so fast</h1>") && page.headers.contains_key("retry-after"));
    let login = json!({ "type": "m.login.password", "password": PASSWORD,
        "identifier": { "type": "m.id.user", "user": "bob" } });
    let login = server
        .request("POST", "/_matrix/client/v3/login", Some(&login))
        .await;
    login.refused(429, "M_LIMIT_EXCEEDED");
}

#[tokio::test]
async fn w09_forms_of_other_sites_are_refused() {
    let mailed = mailed().await;
    let server = &mailed.server;
    server.user("bob").await;
    let (alice, room, link) = invited(&mailed, "Cats").await;
    let before = alice.whole_state(&room).await;
    for (path, form) in [
        ("sign-in", format!("name=bob&password={}", escaped(PASSWORD))),
        (
            "account",
            "username=bobby&password=correct+horse+battery".to_owned(),
        ),
    ] {
        for site in ["cross-site", "same-site"] {
            let url = format!("{}{link}/{path}", server.base());
            let request = server
                .http()
                .post(url)
                .body(form.clone())
                .header("Sec-Fetch-Site", site);
            let request = request.header("Content-Type", "application/x-www-form-urlencoded");
            let page = read(request.send().await.unwrap()).await;
            assert_eq!(page.status, 403, "{}", page.text);
            assert!(
                page.text.contains("not sent by a page of this server"),
                "{}",
                page.text
            );
        }
    }
    nothing_happened(&mailed, &alice, &room, &before).await;
}
