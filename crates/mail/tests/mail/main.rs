//! Letters, from the commit that they are asked for in to those who read them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod outages;
mod sending;
mod text_messages;

use std::{path::Path, sync::Arc};

use gatehouse_events::Clock;
use gatehouse_mail::{
    Carrier, Carriers, Letter, Outbox, OutboxConfig, SmtpCarrier, SmtpConfig, SmtpTls, Templates, Threepid,
};
use gatehouse_store::{Batch, Store, memory::MemoryBackend};
use gatehouse_store_embedded::{EmbeddedBackend, EmbeddedConfig};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

const NOW_MS: u64 = 1_795_392_000_000;

fn smtp(port: u16) -> SmtpConfig {
    SmtpConfig {
        host: "localhost".to_owned(),
        port: Some(port),
        tls: SmtpTls::None,
        login: None,
        from: "Gatehouse <gatehouse@hs.example>".to_owned(),
        extra_ca_files: Vec::new(),
    }
}

fn memory() -> Store {
    Store::new(Arc::new(MemoryBackend::new()))
}

fn embedded(dir: &Path) -> Store {
    Store::new(Arc::new(
        EmbeddedBackend::open(dir, &EmbeddedConfig::default()).unwrap(),
    ))
}

fn outbox(store: &Store, clock: &Clock, smtp: &SmtpConfig) -> Outbox {
    outbox_by(store, clock, Arc::new(SmtpCarrier::new(smtp).unwrap()))
}

/// With this carrier for mail.
fn outbox_by(store: &Store, clock: &Clock, email: Arc<dyn Carrier>) -> Outbox {
    let carriers = Carriers {
        email: Some(email),
        sms: None,
    };
    outbox_with(store, clock, carriers)
}

fn outbox_with(store: &Store, clock: &Clock, carriers: Carriers) -> Outbox {
    let config = OutboxConfig {
        server_name: "hs.example".to_owned(),
    };
    let templates = Templates::built_in().unwrap();
    Outbox::new(store.clone(), clock.clone(), carriers, config, templates)
}

/// Runs until it is dropped: then it ends where it stands, as if it were killed.
fn running(outbox: &Outbox) -> AbortOnDropHandle<()> {
    running_until(outbox, CancellationToken::new())
}

fn running_until(outbox: &Outbox, stop: CancellationToken) -> AbortOnDropHandle<()> {
    let outbox = outbox.clone();
    AbortOnDropHandle::new(tokio::spawn(async move { outbox.run(stop).await }))
}

async fn enqueue(store: &Store, outbox: &Outbox, room: &str) {
    let mut batch = Batch::new();
    let letter = Letter::Invitation {
        inviter: "Alice".to_owned(),
        room: Some(room.to_owned()),
        link: "https://hs.example/i/abc?x=1&y=2".to_owned(),
    };
    let to = Threepid::parse("email", "bob@mail.example").unwrap();
    outbox.enqueue(&mut batch, &to, &letter).unwrap();
    store.commit(batch).await.unwrap();
}

async fn enqueue_text(store: &Store, outbox: &Outbox, code: &str) {
    let mut batch = Batch::new();
    let letter = Letter::Validation {
        link: String::new(),
        code: Some(code.to_owned()),
    };
    let to = Threepid::parse("msisdn", "447700900123").unwrap();
    outbox.enqueue(&mut batch, &to, &letter).unwrap();
    store.commit(batch).await.unwrap();
}

/// Waits until so many tries have failed.
async fn retried(outbox: &Outbox, tries: u64) {
    while outbox.counts().retried < tries {
        tokio::task::yield_now().await;
    }
}

/// Waits until nothing is waiting to be sent.
async fn nothing_waits(outbox: &Outbox) {
    while outbox.waiting().await.unwrap() > 0 {
        tokio::task::yield_now().await;
    }
}
