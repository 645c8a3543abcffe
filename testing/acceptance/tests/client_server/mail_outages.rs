//! Inviting and proving addresses while the mail server is away, slow or unwilling: whoever asks does not wait for it,
//! and each mail comes once (reliability.md R30, security.md I05).

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use gatehouse_server::config::SmtpTls;
use gatehouse_test_mailbox::{Mailbox, MailboxOptions};
use gatehouse_testkit::{TestServer, User, configured, user::escaped};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// An answer has to come by then, whatever the mail server does.
const SOON: Duration = Duration::from_secs(10);

/// How long half a minute of the server's clock takes.
const STEP: Duration = Duration::from_millis(100);

/// A mail server that can fall silent: it takes connections, and says nothing.
#[derive(Clone)]
struct Silent {
    port: u16,
    says_nothing: Arc<AtomicBool>,
    heard: Arc<AtomicUsize>,
    hangs_up: Arc<Notify>,
    came: Arc<Notify>,
}

impl Silent {
    /// In front of this mailbox.
    async fn before(mailbox: &Mailbox) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let silent = Self {
            port: listener.local_addr().unwrap().port(),
            says_nothing: Arc::new(AtomicBool::new(true)),
            heard: Arc::default(),
            hangs_up: Arc::default(),
            came: Arc::default(),
        };
        let (shared, behind) = (silent.clone(), mailbox.port());
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let shared = shared.clone();
                tokio::spawn(async move {
                    shared.heard.fetch_add(1, Ordering::SeqCst);
                    shared.came.notify_one();
                    if shared.says_nothing.load(Ordering::SeqCst) {
                        shared.hangs_up.notified().await;
                        return;
                    }
                    let mut mailbox = TcpStream::connect(("127.0.0.1", behind)).await.unwrap();
                    _ = tokio::io::copy_bidirectional(&mut socket, &mut mailbox).await;
                });
            }
        });
        silent
    }

    /// Waits until somebody wants to hand a mail over.
    async fn is_called(&self) {
        while self.heard.load(Ordering::SeqCst) == 0 {
            self.came.notified().await;
        }
    }

    /// Speaks again; whoever has waited till now is hung up on.
    fn recovers(&self) {
        self.says_nothing.store(false, Ordering::SeqCst);
        self.hangs_up.notify_waiters();
    }
}

async fn sending_to(port: u16, tls: Option<SmtpTls>) -> TestServer {
    configured(|config| {
        config.public_baseurl = Some("https://matrix.test.example".to_owned());
        config.email.smtp_host = Some("127.0.0.1".to_owned());
        config.email.smtp_port = Some(port);
        if let Some(tls) = tls {
            config.email.smtp_tls = tls;
        }
        config.email.from = Some("Test <matrix@test.example>".to_owned());
    })
    .await
}

/// Invites the address, and sees that it is done at once: one event.
async fn invited(user: &User<'_>, address: &str) -> String {
    let room = user.create_room(json!({ "name": address })).await;
    let path = format!("/rooms/{}/invite", escaped(&room));
    let body = json!({ "id_server": "matrix.test.example", "medium": "email", "address": address });
    let begun = Instant::now();
    user.post(&path, body).await.ok();
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    let state = user.whole_state(&room).await;
    let events = state.as_array().unwrap().iter();
    let invitations: Vec<&Value> = events
        .filter(|event| event["type"] == "m.room.third_party_invite")
        .collect();
    assert_eq!(invitations.len(), 1);
    invitations[0]["state_key"].as_str().unwrap().to_owned()
}

/// `POST …/requestToken`: the session.
async fn request_token(server: &TestServer, address: &str, attempt: u64) -> Value {
    let body = json!({ "client_secret": "secret", "email": address, "send_attempt": attempt });
    let path = "/_matrix/client/v3/register/email/requestToken";
    let begun = Instant::now();
    let answer = server.request("POST", path, Some(&body)).await.ok();
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    answer["sid"].clone()
}

/// Waits for this while time goes by, so that whatever is to be tried again is.
async fn as_time_goes_by<T>(server: &TestServer, awaited: impl Future<Output = T>) -> T {
    let mut awaited = pin!(awaited);
    loop {
        tokio::select! {
            came = &mut awaited => return came,
            () = tokio::time::sleep(STEP) => server.clock().advance(Duration::from_secs(30)),
        }
    }
}

/// The room's state: which events.
async fn events(user: &User<'_>, room: &str) -> Vec<Value> {
    let state = user.whole_state(room).await;
    let events = state.as_array().unwrap().iter();
    events.map(|event| event["event_id"].clone()).collect()
}

/// Who gets mail next, so many.
async fn next(mailbox: &Mailbox, count: usize) -> Vec<String> {
    let mut recipients = Vec::new();
    for _ in 0..count {
        recipients.extend(mailbox.next().await.unwrap().recipients);
    }
    recipients.sort();
    recipients
}

#[tokio::test]
async fn r30_a_silent_mail_server_delays_nobody_and_every_mail_comes_once() {
    let mailbox = Mailbox::start().await.unwrap();
    let silent = Silent::before(&mailbox).await;
    let mut server = sending_to(silent.port, Some(SmtpTls::None)).await;
    let alice = server.user("alice").await;
    invited(&alice, "bob@mail.example").await;
    silent.is_called().await;
    let sid = request_token(&server, "dave@mail.example", 1).await;
    for _ in 0..3 {
        assert_eq!(request_token(&server, "dave@mail.example", 1).await, sid);
    }
    drop(alice);
    // What waits survives a stop in good order, too.
    silent.recovers();
    server.restart().await.unwrap();
    let came = as_time_goes_by(&server, next(&mailbox, 2)).await;
    assert_eq!(came, ["bob@mail.example", "dave@mail.example"]);
    request_token(&server, "dave@mail.example", 1).await;
    request_token(&server, "dave@mail.example", 2).await;
    server.clock().advance(Duration::from_hours(2));
    assert_eq!(next(&mailbox, 1).await, ["dave@mail.example"]);
    let marker = json!({ "client_secret": "marker", "email": "marker@mail.example", "send_attempt": 1 });
    let path = "/_matrix/client/v3/register/email/requestToken";
    server.request("POST", path, Some(&marker)).await.ok();
    assert_eq!(
        next(&mailbox, 1).await,
        ["marker@mail.example"],
        "something came twice"
    );
}

#[tokio::test]
async fn r30_a_mail_server_that_refuses_for_now_is_tried_again_and_for_good_is_not() {
    let options = MailboxOptions {
        refuse: ["451 later", "421 busy", "550 no such user"]
            .map(ToOwned::to_owned)
            .to_vec(),
        ..MailboxOptions::default()
    };
    let mailbox = Mailbox::with(options).await.unwrap();
    let server = sending_to(mailbox.port(), Some(SmtpTls::None)).await;
    let alice = server.user("alice").await;
    // Twice for now, and once for good: nobody gets a mail, and the invitation stands.
    let token = invited(&alice, "bob@mail.example").await;
    for _ in 0..3 {
        as_time_goes_by(&server, mailbox.refused()).await.unwrap();
    }
    server.clock().advance(Duration::from_hours(2));
    // Whoever invites once more sends a mail of its own.
    let again = invited(&alice, "bob@mail.example").await;
    assert_ne!(again, token);
    assert_eq!(next(&mailbox, 1).await, ["bob@mail.example"]);
    invited(&alice, "marker@mail.example").await;
    assert_eq!(
        next(&mailbox, 1).await,
        ["marker@mail.example"],
        "something came twice"
    );
}

#[tokio::test]
async fn b11_r30_the_same_invitation_within_a_minute_is_one_event_and_one_mail() {
    let mailbox = Mailbox::start().await.unwrap();
    let server = sending_to(mailbox.port(), Some(SmtpTls::None)).await;
    let alice = server.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let path = format!("/rooms/{}/invite", escaped(&room));
    let body =
        |address: &str| json!({ "id_server": "matrix.test.example", "medium": "email", "address": address });
    alice.post(&path, body("bob@mail.example")).await.ok();
    let before = events(&alice, &room).await;
    server.clock().advance(Duration::from_secs(59));
    alice.post(&path, body("Bob@Mail.example")).await.ok();
    assert_eq!(events(&alice, &room).await, before);
    invited(&alice, "marker@mail.example").await;
    assert_eq!(
        next(&mailbox, 2).await,
        ["bob@mail.example", "marker@mail.example"]
    );
    // A minute later it is a reminder.
    server.clock().advance(Duration::from_secs(1));
    alice.post(&path, body("bob@mail.example")).await.ok();
    assert_eq!(next(&mailbox, 1).await, ["bob@mail.example"]);
}

#[tokio::test]
async fn i05_unless_told_otherwise_no_mail_goes_without_tls() {
    // A mail server that offers no TLS: it is called, and gets no mail.
    let mailbox = Mailbox::start().await.unwrap();
    let silent = Silent::before(&mailbox).await;
    silent.recovers();
    let server = sending_to(silent.port, None).await;
    let alice = server.user("alice").await;
    invited(&alice, "bob@mail.example").await;
    silent.is_called().await;
    drop(alice);
    drop(server);
    // The next that the same mailbox gets is from one that may do without.
    let careless = sending_to(mailbox.port(), Some(SmtpTls::None)).await;
    invited(&careless.user("carol").await, "marker@mail.example").await;
    assert_eq!(next(&mailbox, 1).await, ["marker@mail.example"]);
}
