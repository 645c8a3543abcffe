//! Tests of what addresses go through: proven, bound, invited, told to homeservers. On the store in memory; those of
//! what survives a stop, on the embedded one.

mod associations;
mod invitation_pages;
mod invitations;
mod onbind_queue;
mod sign;
mod validation;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use gatehouse_events::Clock;
use gatehouse_mail::{
    Carrier, Carriers, DeliveryError, Letter, Medium, Message, Outbox, OutboxConfig, Templates, Threepid,
};
use gatehouse_store::{Batch, Direction, Range, Store, Table, memory::MemoryBackend};
use parking_lot::Mutex;
use ruma::{OwnedServerName, OwnedUserId, ServerName, UserId, server_name, user_id};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    Config, HomeserverError, Homeservers, Identity, RoomFacts, SignedRequest, StoreInvite, StoredInvite,
    TokenSubmission, ValidationRequest, tables,
};

/// An arbitrary moment.
const START_MS: u64 = 1_750_000_000_000;

/// An engine, its clock, its store, and the homeservers that it talks to.
struct House {
    identity: Identity,
    clock: Clock,
    outbox: Outbox,
    postbox: Arc<Postbox>,
    store: Store,
    homeservers: Arc<Homes>,
}

/// Homeservers in memory. They take everything unless told otherwise, and sign with their names.
#[derive(Default)]
struct Homes {
    failures: Mutex<VecDeque<HomeserverError>>,
    told: Mutex<Vec<(OwnedServerName, Value)>>,
}

impl Homes {
    /// What they were told, and forget.
    fn take_told(&self) -> Vec<(OwnedServerName, Value)> {
        std::mem::take(&mut self.told.lock())
    }

    fn fail_next(&self, error: HomeserverError) {
        self.failures.lock().push_back(error);
    }
}

impl Homeservers for Homes {
    fn openid_user<'a>(
        &'a self,
        _: &'a ServerName,
        _: &'a str,
    ) -> BoxFuture<'a, Result<OwnedUserId, HomeserverError>> {
        Box::pin(async { Err(HomeserverError::Never("nobody registers here".to_owned())) })
    }

    fn onbind<'a>(
        &'a self,
        server: &'a ServerName,
        body: &'a Value,
    ) -> BoxFuture<'a, Result<(), HomeserverError>> {
        self.told.lock().push((server.to_owned(), body.clone()));
        let failure = self.failures.lock().pop_front();
        Box::pin(async { failure.map_or(Ok(()), Err) })
    }

    fn verify_request<'a>(
        &'a self,
        request: &'a SignedRequest,
    ) -> BoxFuture<'a, Result<OwnedServerName, HomeserverError>> {
        let signer = request.authorization.first().map(ServerName::parse);
        Box::pin(async {
            match signer {
                Some(Ok(name)) => Ok(name),
                _ => Err(HomeserverError::Never("no valid signature".to_owned())),
            }
        })
    }
}

/// What arrived, by e-mail and by text message, the oldest first.
struct Postbox(watch::Sender<Vec<Arrived>>);

#[derive(Clone)]
struct Arrived {
    to: Threepid,
    written_ms: u64,
    text: String,
}

impl Carrier for Postbox {
    fn deliver<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), DeliveryError>> {
        let arrived = Arrived {
            to: message.to.clone(),
            written_ms: message.written_ms,
            text: message.text.clone(),
        };
        self.0.send_modify(|all| all.push(arrived));
        Box::pin(async { Ok(()) })
    }
}

fn house() -> House {
    house_with(|_| ())
}

fn house_with(change: impl FnOnce(&mut Config)) -> House {
    house_on(
        Store::new(Arc::new(MemoryBackend::new())),
        Clock::manual(START_MS),
        change,
    )
}

fn house_on(store: Store, clock: Clock, change: impl FnOnce(&mut Config)) -> House {
    let mut config = Config::new(server_name!("id.test").to_owned(), "https://id.test");
    config.pages_base_url = "https://pages.test".to_owned();
    change(&mut config);
    let postbox = Arc::new(Postbox(watch::Sender::default()));
    let carriers = Carriers {
        email: Some(postbox.clone()),
        sms: Some(postbox.clone()),
    };
    let outbox_config = OutboxConfig {
        server_name: "id.test".to_owned(),
    };
    let templates = Templates::built_in().unwrap();
    let outbox = Outbox::new(store.clone(), clock.clone(), carriers, outbox_config, templates);
    let sending = outbox.clone();
    tokio::spawn(async move { sending.run(CancellationToken::new()).await });
    let homeservers = Arc::new(Homes::default());
    House {
        identity: Identity::new(
            store.clone(),
            config,
            clock.clone(),
            outbox.clone(),
            homeservers.clone(),
        ),
        clock,
        outbox,
        postbox,
        store,
        homeservers,
    }
}

/// As often as one likes.
fn without_limits(config: &mut Config) {
    config.rates.enabled = false;
}

fn email(address: &str) -> Threepid {
    Threepid::parse("email", address).unwrap()
}

fn msisdn(number: &str) -> Threepid {
    Threepid::parse("msisdn", number).unwrap()
}

fn alice() -> &'static UserId {
    user_id!("@alice:one.test")
}

fn bob() -> &'static UserId {
    user_id!("@bob:two.test")
}

impl House {
    /// The messages of everything so far, the oldest first.
    async fn letters(&self) -> Vec<Arrived> {
        self.tick();
        let markers = [email("marker@marker.test"), msisdn("441632960961")];
        let mut batch = Batch::new();
        for marker in &markers {
            let letter = Letter::Invitation {
                inviter: "the tests".to_owned(),
                room: None,
                link: "https://marker.test".to_owned(),
            };
            self.outbox.enqueue(&mut batch, marker, &letter).unwrap();
        }
        self.store.commit(batch).await.unwrap();
        // In each medium, what was written later is sent later.
        let now_ms = self.clock.now_ms();
        let is_here =
            |all: &Vec<Arrived>, to: &Threepid| all.iter().any(|it| &it.to == to && it.written_ms == now_ms);
        let mut arrived = self.postbox.0.subscribe();
        let all = arrived
            .wait_for(|all| markers.iter().all(|to| is_here(all, to)))
            .await;
        let mut letters = all.unwrap().clone();
        letters.retain(|it| !markers.contains(&it.to));
        letters.sort_by_key(|it| it.written_ms);
        letters
    }

    /// The text of the last message.
    async fn last_letter(&self) -> String {
        self.letters().await.pop().unwrap().text
    }

    /// Messages of one moment have no order.
    fn tick(&self) {
        self.clock.advance(Duration::from_millis(1));
    }

    async fn request(
        &self,
        requester: &UserId,
        threepid: &Threepid,
        client_secret: &str,
        attempt: u64,
    ) -> String {
        self.tick();
        let request = request(threepid, client_secret, attempt);
        self.identity
            .request_token(Some(requester), &request)
            .await
            .unwrap()
    }

    /// A session in which this user has proven the address.
    async fn proven(&self, user: &UserId, threepid: &Threepid, client_secret: &str) -> String {
        let sid = self.request(user, threepid, client_secret, 1).await;
        let token = token_in(&self.last_letter().await);
        let submission = submission(threepid.medium(), &sid, client_secret, &token);
        self.identity.submit_token(&submission).await.unwrap();
        sid
    }

    /// Proves the address and binds it to this user.
    async fn bound(&self, user: &UserId, threepid: &Threepid, client_secret: &str) -> Value {
        let sid = self.proven(user, threepid, client_secret).await;
        let bound = self.identity.bind(Some(user), &sid, client_secret, user).await;
        bound.unwrap()
    }

    /// An invitation by Alice, stored; with the code that its message has.
    async fn invited(&self, threepid: &Threepid) -> (StoredInvite, String) {
        self.tick();
        let (stored, batch) = self
            .identity
            .store_invite(alice(), invite(threepid))
            .await
            .unwrap();
        self.identity.commit_invite(threepid, batch).await.unwrap();
        let code = code_in(&self.last_letter().await);
        (stored, code)
    }

    /// Every row that these operations write, for proofs that nothing was written.
    async fn rows(&self) -> Vec<(String, String)> {
        [
            self.all(&tables::VALIDATION_SESSIONS).await,
            self.all(&tables::INVITATIONS).await,
            self.all(&tables::INVITATIONS_BY_ADDRESS).await,
            self.all(&tables::LAST_INVITATIONS).await,
            self.all(&tables::ASSOCIATIONS).await,
            self.all(&tables::HASHES).await,
            self.all(&tables::ONBIND_QUEUE).await,
            self.letters()
                .await
                .into_iter()
                .map(|it| ("letter".to_owned(), it.text))
                .collect(),
        ]
        .concat()
    }

    async fn all<K, V>(&self, table: &Table<K, V>) -> Vec<(String, String)>
    where
        K: gatehouse_store::Key + std::fmt::Debug,
        V: gatehouse_store::Value + std::fmt::Debug,
    {
        let rows = self
            .store
            .scan(table, &Range::all(), Direction::Forward, usize::MAX)
            .await;
        rows.unwrap()
            .into_iter()
            .map(|(key, value)| (format!("{} {key:?}", table.name), format!("{value:?}")))
            .collect()
    }
}

fn request<'a>(threepid: &'a Threepid, client_secret: &'a str, send_attempt: u64) -> ValidationRequest<'a> {
    ValidationRequest {
        threepid,
        client_secret,
        send_attempt,
        next_link: None,
    }
}

fn submission<'a>(
    medium: Medium,
    sid: &'a str,
    client_secret: &'a str,
    token: &'a str,
) -> TokenSubmission<'a> {
    TokenSubmission {
        medium,
        sid,
        client_secret,
        token,
    }
}

fn invite(threepid: &Threepid) -> StoreInvite {
    StoreInvite {
        threepid: threepid.clone(),
        room_id: "!room:one.test".try_into().unwrap(),
        facts: RoomFacts {
            room_name: Some("Tea".to_owned()),
            sender_display_name: Some("Alice".to_owned()),
            ..RoomFacts::default()
        },
    }
}

/// As [`invite`], into a room of its own.
fn invite_into(number: usize, threepid: &Threepid) -> StoreInvite {
    StoreInvite {
        room_id: format!("!room{number}:one.test").try_into().unwrap(),
        ..invite(threepid)
    }
}

/// The token in a validation message.
fn token_in(text: &str) -> String {
    after(text, "token=")
}

/// The code in an invitation.
fn code_in(text: &str) -> String {
    after(text, "https://pages.test/_gatehouse/invitation/")
}

/// The letters and digits after the mark.
fn after(text: &str, mark: &str) -> String {
    let (_, rest) = text.split_once(mark).unwrap();
    rest.chars().take_while(char::is_ascii_alphanumeric).collect()
}

/// The code in a text message.
fn digits_in(text: &str) -> String {
    let mut words = text.split(|c: char| !c.is_ascii_digit());
    words.find(|word| word.len() == 6).unwrap().to_owned()
}
