//! Mail, sent to a real mail server and read as a mail reader reads it.

use std::{path::PathBuf, time::Duration};

use gatehouse_events::Clock;
use gatehouse_mail::{
    CannotSend, Carriers, Letter, Outbox, OutboxConfig, SmtpConfig, SmtpTls, Templates, Threepid,
};
use gatehouse_store::Batch;
use gatehouse_test_mailbox::{Mailbox, MailboxOptions, MailboxTls};

use crate::{NOW_MS, embedded, enqueue, memory, outbox, retried, running, smtp};

#[tokio::test]
async fn a_letter_arrives_as_a_mail_reader_wants_it() {
    let mailbox = Mailbox::start().await.unwrap();
    let (store, clock) = (memory(), Clock::manual(NOW_MS));
    let outbox = outbox(&store, &clock, &smtp(mailbox.port()));
    let _running = running(&outbox);
    enqueue(&store, &outbox, "Käse & \"Brot\"").await;
    let mail = mailbox.next().await.unwrap();
    assert_eq!(mail.recipients, ["bob@mail.example"]);
    assert_eq!(mail.subject, "Alice invites you to Käse & \"Brot\"");
    assert_eq!(mail.link(), Some("https://hs.example/i/abc?x=1&y=2"));
    assert!(
        mail.html
            .contains("href=\"https://hs.example/i/abc?x=1&amp;y=2\"")
            || mail.html.contains("&#x2f;")
    );
    assert_eq!(mail.header("Auto-Submitted"), Some("auto-generated"));
    assert!(mail.header("Message-ID").unwrap().ends_with("@hs.example>"));
    assert!(mail.defects.is_empty(), "{:?}", mail.defects);
}

#[tokio::test]
async fn everybody_gets_their_own_code() {
    let mailbox = Mailbox::start().await.unwrap();
    let (store, clock) = (memory(), Clock::manual(NOW_MS));
    let outbox = outbox(&store, &clock, &smtp(mailbox.port()));
    let _running = running(&outbox);
    for (address, code) in [
        ("bob@mail.example", "123456"),
        ("carol@b\u{fc}cher.example", "654321"),
    ] {
        let letter = Letter::Validation {
            link: "https://hs.example/v/abc".to_owned(),
            code: Some(code.to_owned()),
        };
        let to = Threepid::parse("email", address).unwrap();
        let mut batch = Batch::new();
        outbox.enqueue(&mut batch, &to, &letter).unwrap();
        store.commit(batch).await.unwrap();
    }
    let carols = mailbox.next_to("carol@xn--bcher-kva.example").await.unwrap();
    assert_eq!(carols.code(), Some("654321"));
    let bobs = mailbox.next_to("bob@mail.example").await.unwrap();
    assert_eq!(
        (bobs.code(), bobs.link()),
        (Some("123456"), Some("https://hs.example/v/abc"))
    );
    assert!(bobs.html.contains("123456"));
}

#[tokio::test]
async fn w11_a_rooms_name_adds_no_header_and_no_recipient() {
    let mailbox = Mailbox::start().await.unwrap();
    let (store, clock) = (memory(), Clock::manual(NOW_MS));
    let outbox = outbox(&store, &clock, &smtp(mailbox.port()));
    let _running = running(&outbox);
    enqueue(&store, &outbox, "x\r\nBcc: e@evil.example\r\n\r\n<b>").await;
    let mail = mailbox.next().await.unwrap();
    assert_eq!(mail.recipients, ["bob@mail.example"]);
    assert_eq!(mail.header("Bcc"), None);
    assert!(mail.subject.contains("x Bcc:"));
}

#[tokio::test]
async fn r30_what_is_refused_for_now_is_sent_again_and_arrives_once() {
    let options = MailboxOptions {
        refuse: vec!["451 later".to_owned(), "421 busy".to_owned()],
        ..MailboxOptions::default()
    };
    let mailbox = Mailbox::with(options).await.unwrap();
    let (store, clock) = (memory(), Clock::manual(NOW_MS));
    let outbox = outbox(&store, &clock, &smtp(mailbox.port()));
    let running = running(&outbox);
    enqueue(&store, &outbox, "One").await;
    retried(&outbox, 1).await;
    clock.advance(Duration::from_secs(30));
    retried(&outbox, 2).await;
    clock.advance(Duration::from_mins(1));
    mailbox.refused().await.unwrap();
    mailbox.refused().await.unwrap();
    assert!(mailbox.next().await.unwrap().subject.contains("One"));
    enqueue(&store, &outbox, "Two").await;
    assert!(
        mailbox.next().await.unwrap().subject.contains("Two"),
        "the first came twice"
    );
    drop(running);
    assert_eq!(outbox.counts().retried, 2);
}

#[tokio::test]
async fn what_is_refused_for_good_is_not_sent_again() {
    let options = MailboxOptions {
        refuse: vec!["550 no such user".to_owned()],
        ..MailboxOptions::default()
    };
    let mailbox = Mailbox::with(options).await.unwrap();
    let (store, clock) = (memory(), Clock::manual(NOW_MS));
    let outbox = outbox(&store, &clock, &smtp(mailbox.port()));
    let _running = running(&outbox);
    enqueue(&store, &outbox, "One").await;
    mailbox.refused().await.unwrap();
    clock.advance(Duration::from_hours(1));
    enqueue(&store, &outbox, "Two").await;
    assert!(mailbox.next().await.unwrap().subject.contains("Two"));
    assert_eq!(outbox.counts().given_up, 1);
}

#[tokio::test]
async fn r30_what_was_enqueued_is_sent_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let open = || embedded(dir.path());
    let clock = Clock::manual(NOW_MS);
    let mailbox = Mailbox::start().await.unwrap();
    let store = open();
    enqueue(&store, &outbox(&store, &clock, &smtp(mailbox.port())), "One").await;
    store.close().await.unwrap();
    drop(store);
    let store = open();
    let outbox = outbox(&store, &clock, &smtp(mailbox.port()));
    let _running = running(&outbox);
    assert!(mailbox.next().await.unwrap().subject.contains("One"));
}

struct Certificate {
    _dir: tempfile::TempDir,
    cert: PathBuf,
    key: PathBuf,
}

fn certificate(name: &str) -> Certificate {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    Certificate { _dir: dir, cert, key }
}

async fn with_tls(certificate: &Certificate, from_the_start: bool) -> Mailbox {
    let options = MailboxOptions {
        tls: Some(MailboxTls {
            cert: certificate.cert.clone(),
            key: certificate.key.clone(),
            from_the_start,
        }),
        ..MailboxOptions::default()
    };
    Mailbox::with(options).await.unwrap()
}

#[tokio::test]
async fn mail_goes_by_tls_from_the_start_or_later() {
    let certificate = certificate("localhost");
    for (from_the_start, tls) in [(true, SmtpTls::Tls), (false, SmtpTls::Starttls)] {
        let mailbox = with_tls(&certificate, from_the_start).await;
        let (store, clock) = (memory(), Clock::manual(NOW_MS));
        let mut config = smtp(mailbox.port());
        config.tls = tls;
        config.extra_ca_files.push(certificate.cert.clone());
        let outbox = outbox(&store, &clock, &config);
        let _running = running(&outbox);
        enqueue(&store, &outbox, "Secret").await;
        let mail = mailbox.next().await.unwrap();
        assert!(mail.secure && mail.subject.contains("Secret"));
    }
}

/// Waits until a try has failed, and sees that nothing was sent.
async fn is_not_sent(config: &SmtpConfig) {
    let (store, clock) = (memory(), Clock::manual(NOW_MS));
    let outbox = outbox(&store, &clock, config);
    let _running = running(&outbox);
    enqueue(&store, &outbox, "Secret").await;
    retried(&outbox, 1).await;
    assert_eq!((outbox.counts().sent, outbox.counts().given_up), (0, 0));
}

#[tokio::test]
async fn i05_mail_goes_to_no_server_whose_certificate_is_not_good() {
    let (good, other) = (certificate("localhost"), certificate("other.example"));
    for (from_the_start, tls) in [(true, SmtpTls::Tls), (false, SmtpTls::Starttls)] {
        // Not known, and known but of another name.
        let mailbox = with_tls(&good, from_the_start).await;
        let mut config = smtp(mailbox.port());
        config.tls = tls;
        is_not_sent(&config).await;
        let mailbox = with_tls(&other, from_the_start).await;
        let mut config = smtp(mailbox.port());
        config.tls = tls;
        config.extra_ca_files.push(other.cert.clone());
        is_not_sent(&config).await;
    }
    // A server that offers no STARTTLS, when it is asked for.
    let mailbox = Mailbox::start().await.unwrap();
    let mut config = smtp(mailbox.port());
    config.tls = SmtpTls::Starttls;
    is_not_sent(&config).await;
}

#[tokio::test]
async fn the_server_logs_in_where_it_must() {
    let certificate = certificate("localhost");
    let options = MailboxOptions {
        tls: Some(MailboxTls {
            cert: certificate.cert.clone(),
            key: certificate.key.clone(),
            from_the_start: false,
        }),
        login: Some(("gatehouse".to_owned(), "secret".to_owned())),
        ..MailboxOptions::default()
    };
    let mailbox = Mailbox::with(options).await.unwrap();
    let mut config = smtp(mailbox.port());
    config.tls = SmtpTls::Starttls;
    config.extra_ca_files.push(certificate.cert.clone());
    config.login = Some(("gatehouse".to_owned(), "wrong".to_owned()));
    is_not_sent(&config).await;
    config.login = Some(("gatehouse".to_owned(), "secret".to_owned()));
    let (store, clock) = (memory(), Clock::manual(NOW_MS));
    let outbox = outbox(&store, &clock, &config);
    let _running = running(&outbox);
    enqueue(&store, &outbox, "In").await;
    assert!(mailbox.next().await.unwrap().subject.contains("In"));
}

#[tokio::test]
async fn without_a_carrier_nothing_is_promised() {
    let (store, clock) = (memory(), Clock::manual(NOW_MS));
    let outbox = Outbox::new(
        store,
        clock,
        Carriers::default(),
        OutboxConfig {
            server_name: "hs.example".to_owned(),
        },
        Templates::built_in().unwrap(),
    );
    let to = Threepid::parse("email", "bob@mail.example").unwrap();
    let refused = outbox.enqueue(&mut Batch::new(), &to, &Letter::NoAccount);
    assert!(matches!(refused, Err(CannotSend::NoEmail)));
}
