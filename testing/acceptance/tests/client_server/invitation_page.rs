//! The page that an invitation's mail leads to: not in the specification, but where people come in.

use std::time::Duration;

use gatehouse_testkit::{TestServer, User, user::escaped};
use serde_json::{Value, json};

use crate::{
    mail::{Mailed, mailed, mailed_with},
    shared_secret::administrator,
};

pub(crate) const BOB: &str = "bob@mail.example";

/// A page: its status, and what a browser shows.
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) text: String,
    pub(crate) headers: reqwest::header::HeaderMap,
}

pub(crate) async fn read(response: reqwest::Response) -> Page {
    Page {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: response.text().await.unwrap(),
    }
}

pub(crate) async fn open(server: &TestServer, path: &str) -> Page {
    let url = format!("{}{path}", server.base());
    read(server.http().get(url).send().await.unwrap()).await
}

pub(crate) async fn send(server: &TestServer, path: &str, fields: &[(&str, &str)]) -> Page {
    let url = format!("{}{path}", server.base());
    let form: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", escaped(value)))
        .collect();
    let request = server.http().post(url).body(form.join("&"));
    let request = request.header("Content-Type", "application/x-www-form-urlencoded");
    read(request.send().await.unwrap()).await
}

/// A private room of Alice's, into which the address is invited, and the path of the link in the mail.
pub(crate) async fn invited<'a>(mailed: &'a Mailed, name: &str) -> (User<'a>, String, String) {
    let alice = mailed.server.user("alice").await;
    let room = alice.create_room(json!({ "name": name })).await;
    let body = json!({ "id_server": "matrix.test.example", "medium": "email", "address": BOB });
    let path = format!("/rooms/{}/invite", escaped(&room));
    alice.post(&path, body).await.ok();
    let link = mailed.link_to(BOB).await;
    (alice, room, link)
}

pub(crate) fn hidden_pass(page: &Page) -> &str {
    let after = page.text.split_once("name=\"pass\" value=\"").unwrap().1;
    after.split_once('"').unwrap().0
}

#[tokio::test]
async fn whoever_follows_the_link_makes_an_account_and_is_in_the_room() {
    let mailed = mailed_with(|config| {
        config.registration.open = Some(false);
        config.registration.invited_addresses = true;
    })
    .await;
    let server = &mailed.server;
    let admin = administrator(server).await;
    let room = admin.create_room(json!({ "name": "Cats" })).await;
    let body = json!({ "id_server": "matrix.test.example", "medium": "email", "address": BOB });
    admin
        .post(&format!("/rooms/{}/invite", escaped(&room)), body)
        .await
        .ok();
    let link = mailed.link_to(BOB).await;
    let page = open(server, &link).await;
    assert_eq!(page.status, 200);
    assert!(
        page.text.contains("Cats") && page.text.contains("Create the account"),
        "{}",
        page.text
    );
    let fields = [("username", "bob"), ("password", "correct horse battery")];
    let page = send(server, &format!("{link}/account"), &fields).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.text.contains("@bob:test.example"));
    let page = send(
        server,
        "/_gatehouse/invitation/join",
        &[("pass", hidden_pass(&page))],
    )
    .await;
    assert_eq!(page.status, 200, "{}", page.text);
    let member = admin
        .state(&room, "m.room.member", "@bob:test.example")
        .await
        .ok();
    assert_eq!(member["membership"], "join");
    let login = json!({ "type": "m.login.password", "password": "correct horse battery",
        "identifier": { "type": "m.id.thirdparty", "medium": "email", "address": BOB } });
    let login = server
        .request("POST", "/_matrix/client/v3/login", Some(&login))
        .await
        .ok();
    assert_eq!(login["user_id"], "@bob:test.example");
    // The link has served.
    let again = send(
        server,
        &format!("{link}/account"),
        &[("username", "eve"), ("password", "x".repeat(12).as_str())],
    )
    .await;
    assert!(again.text.contains("has been accepted"), "{}", again.text);
    assert!(open(server, &link).await.text.contains("has been accepted"));
}

#[tokio::test]
async fn what_is_wrong_is_said_on_the_page_and_changes_nothing() {
    let mailed = mailed().await;
    let (alice, room, link) = invited(&mailed, "Cats").await;
    let server = &mailed.server;
    let before = alice.whole_state(&room).await;
    for (name, password, because) in [
        ("alice", "correct horse battery", "taken"),
        ("Not a name", "correct horse battery", "name"),
        ("bob", "", "assword"),
    ] {
        let fields = [("username", name), ("password", password)];
        let page = send(server, &format!("{link}/account"), &fields).await;
        assert_eq!(page.status, 400, "{}", page.text);
        assert!(page.text.contains(because), "{because}: {}", page.text);
        assert!(
            page.text.contains(&format!("value=\"{name}\"")),
            "the name is to be written again"
        );
        assert!(
            !page.text.contains("correct horse"),
            "the password is on the page"
        );
    }
    for path in ["/_gatehouse/invitation/nonsense", "/_gatehouse/invitation/%20"] {
        assert_eq!(open(server, path).await.status, 404);
    }
    let page = send(server, "/_gatehouse/invitation/join", &[("pass", "nonsense")]).await;
    assert_eq!(page.status, 403);
    assert_eq!(alice.whole_state(&room).await, before);
}

#[tokio::test]
async fn w09_names_that_strangers_chose_are_text_and_pages_run_nothing() {
    let mailed = mailed().await;
    let (_, _, link) = invited(&mailed, "<script>alert(1)</script>").await;
    let page = open(&mailed.server, &link).await;
    assert!(
        page.text.contains("b...@ma..."),
        "nobody sees to which address it went"
    );
    assert!(
        page.text.contains("&lt;script&gt;") && !page.text.contains("<script"),
        "{}",
        page.text
    );
    let header = |name: &str| page.headers.get(name).unwrap().to_str().unwrap().to_owned();
    assert!(header("content-security-policy").contains("default-src 'none'"));
    assert!(header("content-security-policy").contains("frame-ancestors 'none'"));
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("referrer-policy"), "no-referrer");
    assert_eq!(header("cache-control"), "no-store");
    assert!(!page.text.contains(BOB), "the address is on the page");
}

#[tokio::test]
async fn w11_names_of_strangers_stay_in_bounds_and_turn_nothing_around() {
    let mailed = mailed().await;
    let alice = mailed.server.user("alice").await;
    let name = format!("\u{202e}evil\u{2066}{}{}", "\u{301}".repeat(50), "W".repeat(50));
    let path = format!("/profile/{}/displayname", escaped(&alice.id));
    alice.put(&path, json!({ "displayname": name })).await.ok();
    let room = alice
        .create_room(json!({ "name": "Ж".repeat(40) + "\n" + &"x".repeat(440) }))
        .await;
    let body = json!({ "id_server": "matrix.test.example", "medium": "email", "address": BOB });
    let path = format!("/rooms/{}/invite", escaped(&room));
    alice.post(&path, body).await.ok();
    let page = open(&mailed.server, &mailed.link_to(BOB).await).await;
    assert_eq!(page.status, 200);
    for turning in ['\u{202e}', '\u{2066}'] {
        assert!(!page.text.contains(turning), "{}", page.text);
    }
    assert!(!page.text.contains(&"\u{301}".repeat(4)) && !page.text.contains(&"x".repeat(60)));
    assert!(page.text.contains(&"Ж".repeat(40)) && page.text.contains('…'));
    assert!(
        page.text.contains("@alice:test.example"),
        "the name alone says who it is"
    );
}

#[tokio::test]
async fn the_link_of_a_text_message_works_as_that_of_a_mail() {
    let (sent, mut messages) = tokio::sync::mpsc::unbounded_channel();
    let take = axum::routing::post(async move |axum::Json(message): axum::Json<Value>| {
        sent.send(message).unwrap();
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = format!("http://{}/", listener.local_addr().unwrap());
    let router = axum::Router::new().route("/", take);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mailed = mailed_with(|config| config.sms.url = Some(gateway)).await;
    let server = &mailed.server;
    let alice = server.user("alice").await;
    let room = alice.create_room(json!({ "name": "Cats" })).await;
    let body = json!({ "id_server": "matrix.test.example", "medium": "msisdn", "address": "447700900123" });
    alice
        .post(&format!("/rooms/{}/invite", escaped(&room)), body)
        .await
        .ok();
    let message = messages.recv().await.unwrap();
    let link = message["text"]
        .as_str()
        .unwrap()
        .split_once("https://matrix.test.example");
    let link = link.unwrap().1.split_whitespace().next().unwrap();
    let page = open(server, link).await;
    assert!(
        page.text.contains("Your phone number is proven") && page.text.contains("...23"),
        "{}",
        page.text
    );
    assert!(!page.text.contains("447700900123"), "the number is on the page");
    let fields = [("username", "bob"), ("password", "correct horse battery")];
    let page = send(server, &format!("{link}/account"), &fields).await;
    let fields = [("pass", hidden_pass(&page))];
    let page = send(server, "/_gatehouse/invitation/join", &fields).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let member = alice
        .state(&room, "m.room.member", "@bob:test.example")
        .await
        .ok();
    assert_eq!(member["membership"], "join");
}

#[tokio::test]
async fn an_old_link_says_so() {
    let mailed = mailed().await;
    let (_, _, link) = invited(&mailed, "Cats").await;
    mailed.server.clock().advance(Duration::from_hours(31 * 24));
    let page = open(&mailed.server, &link).await;
    assert_eq!(page.status, 410);
    let fields = [("username", "bob"), ("password", "correct horse battery")];
    let page = send(&mailed.server, &format!("{link}/account"), &fields).await;
    assert!(page.text.contains("too old"), "{}", page.text);
}

#[tokio::test]
async fn where_invitations_do_not_let_in_nobody_is_asked_for_a_name() {
    let mailed = mailed_with(|config| config.registration.token_required = true).await;
    let alice = administrator(&mailed.server).await;
    let room = alice.create_room(json!({})).await;
    let body = json!({ "id_server": "matrix.test.example", "medium": "email", "address": BOB });
    alice
        .post(&format!("/rooms/{}/invite", escaped(&room)), body)
        .await
        .ok();
    let link = mailed.link_to(BOB).await;
    let page = open(&mailed.server, &link).await;
    assert!(!page.text.contains("Create the account") && page.text.contains("matrix:roomid"));
    let fields = [("username", "bob"), ("password", "correct horse battery")];
    let page = send(&mailed.server, &format!("{link}/account"), &fields).await;
    assert!(page.text.contains("Registration is closed"), "{}", page.text);
}
