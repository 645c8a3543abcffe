//! From a mail into the room, in a browser, as people go: the mail is caught, its link opened, the forms filled and sent.
//! The browser runs no scripts. `chromium` and `chromium-driver` of Debian are needed.

mod webdriver;

use std::net::{Ipv4Addr, TcpListener};

use gatehouse_test_mailbox::{Mail, Mailbox};
use gatehouse_testkit::user::escaped;
use serde_json::{Value, json};
use tempfile::TempDir;

use self::webdriver::Browser;
use crate::process::{Server, configure, program};

const BOB: &str = "bob@mail.example";
const PASSWORD: &str = "correct horse battery";

/// A server whose mails are caught, and Alice, who uses it.
struct World {
    server: Server,
    mailbox: Mailbox,
    alice: String,
    _dir: TempDir,
}

impl World {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let mailbox = Mailbox::start().await.unwrap();
        let mut config = configure(
            dir.path(),
            &format!(
                "[email]\nsmtp_host = \"127.0.0.1\"\nsmtp_port = {}\nsmtp_tls = \"none\"\n\
                 from = \"A <matrix@a.example>\"\n",
                mailbox.port()
            ),
        );
        // Links lead to where the server listens, so that it has to know beforehand.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let settings = std::fs::read_to_string(&config).unwrap();
        config = dir.path().join("browser.toml").display().to_string();
        std::fs::write(
            &config,
            format!("public_baseurl = \"http://{address}\"\n{settings}"),
        )
        .unwrap();
        let mut command = program(dir.path());
        command
            .args(["serve", "--config", &config, "--listen", &address])
            .env("RUST_LOG", "trace");
        let server = Server::run(&mut command, dir.path());
        let alice = server.register("alice").await;
        let world = Self {
            server,
            mailbox,
            alice,
            _dir: dir,
        };
        world.call_alice("Alice").await;
        world
    }

    async fn call_alice(&self, name: &str) {
        let path = format!(
            "/_matrix/client/v3/profile/{}/displayname",
            escaped("@alice:a.example")
        );
        self.ask("PUT", &path, json!({ "displayname": name })).await;
    }

    /// What Alice asks, and is not refused.
    async fn ask(&self, method: &str, path: &str, body: Value) -> Value {
        let answer = self
            .server
            .request(method, path, Some(&self.alice), Some(body))
            .await;
        let (status, answer) = answer.unwrap();
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    }

    /// Has Bob's address invited into a new room, and gives the room and his mail.
    async fn invite(&self, name: &str) -> (String, Mail) {
        let room = self
            .ask("POST", "/_matrix/client/v3/createRoom", json!({ "name": name }))
            .await;
        let room = room["room_id"].as_str().unwrap().to_owned();
        let id_server = self.server.url.trim_start_matches("http://");
        let body = json!({ "id_server": id_server, "medium": "email", "address": BOB });
        let path = format!("/_matrix/client/v3/rooms/{}/invite", escaped(&room));
        self.ask("POST", &path, body).await;
        (room, self.mail().await)
    }

    async fn mail(&self) -> Mail {
        self.mailbox.next_to(BOB).await.unwrap()
    }

    async fn bob_is_in(&self, room: &str) {
        let (room, bob) = (escaped(room), escaped("@bob:a.example"));
        let path = format!("/_matrix/client/v3/rooms/{room}/state/m.room.member/{bob}");
        let (status, member) = self
            .server
            .request("GET", &path, Some(&self.alice), None)
            .await
            .unwrap();
        assert_eq!((status, &member["membership"]), (200, &json!("join")), "{member}");
    }

    /// Nothing that opens anything is in the log, which tells everything.
    fn log_keeps_secrets(&self, link: &str) {
        let log = self.server.log();
        assert!(log.lines().count() > 20, "a log at this level is long: {log}");
        let code = link.rsplit('/').next().unwrap();
        for secret in [code, PASSWORD, &PASSWORD.replace(' ', "+"), "wonderland", BOB] {
            assert!(!log.contains(secret), "{secret} is in the log");
        }
    }
}

/// Shows a mail as a mail reader would.
async fn read(browser: &Browser, mail: &Mail, name: &str) {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("mail.html");
    std::fs::write(&file, &mail.html).unwrap();
    browser.open(&format!("file://{}", file.display())).await;
    browser.look(name).await;
}

#[tokio::test]
async fn from_the_mail_into_the_room_with_a_new_account() {
    let (world, browser) = tokio::join!(World::new(), Browser::start());
    let (room, mail) = world.invite("Cats").await;
    read(&browser, &mail, "mail-invitation").await;
    assert!(browser.text().await.contains("Alice invites you to Cats"));
    // The link in what is read is the link of the text.
    browser.follow("a").await;
    let link = mail.link().unwrap().to_owned();
    assert_eq!(browser.address().await, link);
    let text = browser.text().await;
    assert!(
        text.contains("Alice invites you to Cats") && text.contains("@alice:a.example"),
        "{text}"
    );
    browser.look("invitation").await;
    browser.write("#username", "alice").await;
    browser.write("#new-password", PASSWORD).await;
    browser.follow("form[action$='/account'] button").await;
    assert!(
        browser.text().await.contains("This username is taken"),
        "{}",
        browser.text().await
    );
    browser.look("invitation-name-taken").await;
    assert_eq!(browser.value("#new-password").await, "");
    for _ in 0.."alice".len() {
        browser.write("#username", "\u{e003}").await;
    }
    browser.write("#username", "bob").await;
    browser.write("#new-password", PASSWORD).await;
    browser.follow("form[action$='/account'] button").await;
    let text = browser.text().await;
    assert!(
        text.contains("Welcome, @bob:a.example") && text.contains("Cats"),
        "{text}"
    );
    browser.look("account").await;
    browser.follow("form button").await;
    let text = browser.text().await;
    assert!(text.contains("You are in Cats"), "{text}");
    browser.look("joined").await;
    world.bob_is_in(&room).await;
    let address = browser.address().await;
    assert!(address.ends_with("/_gatehouse/invitation/join"), "{address}");
    browser.open(&link).await;
    assert!(browser.text().await.contains("This invitation has been accepted"));
    browser.look("accepted").await;
    world.log_keeps_secrets(&link);
    browser.close().await;
}

#[tokio::test]
async fn from_the_mail_into_the_room_with_the_account_that_one_has() {
    let (world, browser) = tokio::join!(World::new(), Browser::start());
    world.server.register("bob").await;
    let (room, mail) = world.invite("Cats").await;
    let link = mail.link().unwrap().to_owned();
    browser.open(&link).await;
    browser.press("details:has(#name) > summary").await;
    browser.look("sign-in").await;
    browser.write("#name", "bob").await;
    browser.write("#password", "not his").await;
    browser.follow("form[action$='/sign-in'] button").await;
    let text = browser.text().await;
    assert!(text.contains("do not belong together"), "{text}");
    browser.look("sign-in-wrong").await;
    assert_eq!(browser.value("#name").await, "bob");
    assert_eq!(browser.value("#password").await, "");
    browser.write("#password", "wonderland").await;
    browser.follow("form[action$='/sign-in'] button").await;
    let text = browser.text().await;
    assert!(
        text.contains("You are in Cats") && text.contains("@bob:a.example"),
        "{text}"
    );
    assert_eq!(browser.address().await, format!("{link}/sign-in"));
    world.bob_is_in(&room).await;
    world.log_keeps_secrets(&link);
    browser.close().await;
}

#[tokio::test]
async fn links_that_prove_an_address_lead_to_pages_too() {
    let (world, browser) = tokio::join!(World::new(), Browser::start());
    let token = async |page: &str| {
        let body = json!({ "client_secret": "secret", "email": BOB, "send_attempt": 1 });
        world.ask("POST", page, body).await;
        world.mail().await
    };
    let mail = token("/_matrix/client/v3/account/3pid/email/requestToken").await;
    read(&browser, &mail, "mail-validation").await;
    browser.follow("a").await;
    assert!(browser.text().await.contains("Your address is confirmed"));
    browser.look("confirmed").await;
    browser.open(&format!("{}x", mail.link().unwrap())).await;
    assert!(browser.text().await.contains("This link does not work"));
    browser.look("confirmed-not").await;
    let mail = token("/_matrix/identity/api/v1/validate/email/requestToken").await;
    browser.open(mail.link().unwrap()).await;
    assert!(
        browser.text().await.contains("This address is yours"),
        "{}",
        browser.text().await
    );
    browser.look("identity-confirmed").await;
    browser.close().await;
}

#[tokio::test]
async fn a_forgotten_password_is_allowed_by_a_button() {
    let (world, browser) = tokio::join!(World::new(), Browser::start());
    // Bob comes in by invitation, so that his address is his account's.
    let (_, mail) = world.invite("Cats").await;
    browser.open(mail.link().unwrap()).await;
    browser.write("#username", "bob").await;
    browser.write("#new-password", PASSWORD).await;
    browser.follow("form[action$='/account'] button").await;
    let body = json!({ "client_secret": "secret", "email": BOB, "send_attempt": 1 });
    let path = "/_matrix/client/v3/account/password/email/requestToken";
    world.ask("POST", path, body).await;
    let mail = world.mail().await;
    read(&browser, &mail, "mail-password").await;
    browser.follow("a").await;
    assert!(browser.text().await.contains("A new password?"));
    browser.look("allow-password").await;
    browser.follow("form button").await;
    assert!(browser.text().await.contains("Allowed"));
    browser.look("allowed").await;
    browser.close().await;
}

#[tokio::test]
async fn w11_whatever_strangers_call_themselves_pages_fit_a_phone() {
    let (world, browser) = tokio::join!(World::new(), Browser::start());
    for (number, (inviter, room)) in [
        ("W".repeat(250), "x".repeat(500)),
        (
            "<b>\u{202e}ecilA</b>".to_owned(),
            format!("\u{2067}\u{202e}<h1>{}", "ض".repeat(200)),
        ),
        (format!("z{}", "\u{301}".repeat(100)), "🐈\u{200d}".repeat(200)),
    ]
    .into_iter()
    .enumerate()
    {
        world.call_alice(&inviter).await;
        let (_, mail) = world.invite(&room).await;
        read(&browser, &mail, &format!("mail-hostile-{number}")).await;
        browser.open(mail.link().unwrap()).await;
        assert!(browser.text().await.contains("invites you to"));
        browser.look(&format!("hostile-{number}")).await;
        browser.press("details:last-of-type > summary").await;
        browser.look(&format!("hostile-{number}-elsewhere")).await;
    }
    browser.close().await;
}
