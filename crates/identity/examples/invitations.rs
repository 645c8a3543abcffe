//! Measures how fast invitations are stored, with their mails queued, in the embedded store.
//!
//! `cargo run --release -p gatehouse-identity --example invitations -- [INVITATIONS] [AT ONCE] [DIRECTORY]`
#![expect(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a tool for developers"
)]

use std::{path::PathBuf, sync::Arc, time::Instant};

use futures_util::{StreamExt, future::BoxFuture, stream};
use gatehouse_events::Clock;
use gatehouse_identity::{
    Config, HomeserverError, Homeservers, Identity, RoomFacts, SignedRequest, StoreInvite,
};
use gatehouse_mail::{Carrier, Carriers, DeliveryError, Message, Outbox, OutboxConfig, Templates, Threepid};
use gatehouse_store::Store;
use gatehouse_store_embedded::{EmbeddedBackend, EmbeddedConfig};
use ruma::{OwnedServerName, OwnedUserId, ServerName, room_id, server_name, user_id};
use serde_json::Value;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| {
        arguments
            .next()
            .map_or(default, |text: String| text.parse().unwrap())
    };
    let (count, at_once): (usize, usize) = (number(20_000), number(64));
    let folder = arguments.next().map_or_else(
        || std::env::temp_dir().join(format!("gatehouse-invitations-{}", std::process::id())),
        PathBuf::from,
    );
    let backend = EmbeddedBackend::open(&folder, &EmbeddedConfig::default()).unwrap();
    let store = Store::new(Arc::new(backend));
    let identity = identity(&store);
    let began = Instant::now();
    stream::iter(0..count)
        .map(|number| {
            let identity = identity.clone();
            async move { tokio::spawn(async move { invite(&identity, number).await }).await }
        })
        .buffer_unordered(at_once)
        .for_each(|outcome| async { outcome.unwrap() })
        .await;
    let took = began.elapsed().as_secs_f64();
    println!(
        "{count} invitations into one room, {at_once} at once: {took:.1} s, {:.0} a second, their mails queued",
        count as f64 / took
    );
    store.close().await.unwrap();
    drop((identity, store));
    std::fs::remove_dir_all(folder).unwrap();
}

async fn invite(identity: &Identity, number: usize) {
    let threepid = Threepid::parse("email", &format!("somebody{number}@example.org")).unwrap();
    let invite = StoreInvite {
        threepid: threepid.clone(),
        room_id: room_id!("!room:example.org").to_owned(),
        facts: RoomFacts {
            room_name: Some("Tea".to_owned()),
            sender_display_name: Some("Alice".to_owned()),
            ..RoomFacts::default()
        },
    };
    let sender = user_id!("@alice:example.org");
    let (_, batch) = identity.store_invite(sender, invite).await.unwrap();
    identity.commit_invite(&threepid, batch).await.unwrap();
}

fn identity(store: &Store) -> Identity {
    let mut config = Config::new(server_name!("id.test").to_owned(), "https://id.test");
    config.rates.enabled = false;
    let carriers = Carriers {
        email: Some(Arc::new(NoCarrier)),
        sms: None,
    };
    let outbox_config = OutboxConfig {
        server_name: "id.test".to_owned(),
    };
    let templates = Templates::built_in().unwrap();
    let outbox = Outbox::new(store.clone(), Clock::system(), carriers, outbox_config, templates);
    Identity::new(
        store.clone(),
        config,
        Clock::system(),
        outbox,
        Arc::new(NoHomeservers),
    )
}

/// Nothing is sent here, only queued.
struct NoCarrier;

impl Carrier for NoCarrier {
    fn deliver<'a>(&'a self, _: &'a Message) -> BoxFuture<'a, Result<(), DeliveryError>> {
        Box::pin(async { Err(DeliveryError::Later("nothing is sent")) })
    }
}

/// Nobody is asked here.
struct NoHomeservers;

fn nobody<'a, T: Send + 'a>() -> BoxFuture<'a, Result<T, HomeserverError>> {
    Box::pin(std::future::ready(Err(HomeserverError::Never(
        "nobody".to_owned(),
    ))))
}

impl Homeservers for NoHomeservers {
    fn openid_user<'a>(
        &'a self,
        _: &'a ServerName,
        _: &'a str,
    ) -> BoxFuture<'a, Result<OwnedUserId, HomeserverError>> {
        nobody()
    }

    fn onbind<'a>(&'a self, _: &'a ServerName, _: &'a Value) -> BoxFuture<'a, Result<(), HomeserverError>> {
        nobody()
    }

    fn verify_request<'a>(
        &'a self,
        _: &'a SignedRequest,
    ) -> BoxFuture<'a, Result<OwnedServerName, HomeserverError>> {
        nobody()
    }
}
