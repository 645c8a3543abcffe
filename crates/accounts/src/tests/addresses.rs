//! What tests of addresses share: a carrier that keeps what it takes.

use futures_util::future::{BoxFuture, ready};
use gatehouse_events::Clock;
use gatehouse_mail::{
    Carrier, Carriers, DeliveryError, Medium, Message, Outbox, OutboxConfig, Templates, Threepid,
};
use gatehouse_store::{Store, memory::MemoryBackend};
use parking_lot::Mutex;
use ruma::server_name;
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

use super::{House, START_MS};
use crate::{
    Accounts, Config, Purpose, RequestValidationError, RequestedValidation, TokenSubmission,
    ValidationRequest,
};

/// What a test waits for at most.
const PATIENCE: Duration = Duration::from_secs(10);

struct Kept(UnboundedSender<(String, String)>);

impl Carrier for Kept {
    fn deliver<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), DeliveryError>> {
        let _ = self
            .0
            .send((message.to.address().to_owned(), message.text.clone()));
        Box::pin(ready(Ok(())))
    }
}

/// A house that sends, and what it has sent.
pub(super) struct SendingHouse {
    pub(super) house: House,
    sent: Mutex<UnboundedReceiver<(String, String)>>,
    _stop: tokio_util::sync::DropGuard,
}

impl std::ops::Deref for SendingHouse {
    type Target = House;
    fn deref(&self) -> &House {
        &self.house
    }
}

pub(super) fn sending_house() -> SendingHouse {
    sending_house_with(|_| ())
}

pub(super) fn sending_house_with(change: impl FnOnce(&mut Config)) -> SendingHouse {
    let mut config = Config::new(server_name!("house.test").to_owned());
    config.registration.open = true;
    config.registration.cheap_password_hash = true;
    config.public_baseurl = "https://house.test/".to_owned();
    change(&mut config);
    let backend = Arc::new(MemoryBackend::new());
    let (store, clock) = (Store::new(backend.clone()), Clock::manual(START_MS));
    let (to_sent, sent) = unbounded_channel();
    let carriers = Carriers {
        email: Some(Arc::new(Kept(to_sent.clone()))),
        sms: Some(Arc::new(Kept(to_sent))),
    };
    let outbox_config = OutboxConfig {
        server_name: "house.test".to_owned(),
    };
    let templates = Templates::overridden(None).unwrap();
    let outbox = Outbox::new(store.clone(), clock.clone(), carriers, outbox_config, templates);
    let stop = CancellationToken::new();
    let (running, told) = (outbox.clone(), stop.clone());
    tokio::spawn(async move { running.run(told).await });
    let accounts = Accounts::sending(store.clone(), config, clock.clone(), outbox);
    SendingHouse {
        house: House {
            accounts,
            clock,
            store,
            backend,
        },
        sent: Mutex::new(sent),
        _stop: stop.drop_guard(),
    }
}

pub(super) fn email(address: &str) -> Threepid {
    Threepid::email(address).unwrap()
}

impl SendingHouse {
    /// The next message, waited for: to whom, and what it says.
    #[expect(clippy::await_holding_lock, reason = "a test waits for one message at a time")]
    pub(super) async fn next_message(&self) -> (String, String) {
        tokio::time::timeout(PATIENCE, self.sent.lock().recv())
            .await
            .unwrap()
            .unwrap()
    }

    /// Fails when something was sent that was not waited for.
    pub(super) async fn nothing_more_was_sent(&self) {
        // The queue goes by time, so that whatever else waits is sent before this.
        self.clock.advance(Duration::from_millis(1));
        let probe = email("probe@house.test");
        self.request(Purpose::Add, &probe, "probe", 1).await.unwrap();
        assert_eq!(self.next_message().await.0, "probe@house.test");
    }

    pub(super) async fn request(
        &self,
        purpose: Purpose,
        threepid: &Threepid,
        client_secret: &str,
        send_attempt: u64,
    ) -> Result<RequestedValidation, RequestValidationError> {
        let request = ValidationRequest {
            purpose,
            threepid,
            client_secret,
            send_attempt,
            next_link: None,
        };
        self.accounts.request_validation(&request).await
    }

    /// The token in the next message, by medium.
    pub(super) async fn next_token(&self, medium: Medium) -> String {
        let (_, text) = self.next_message().await;
        match medium {
            Medium::Email => {
                let link = text
                    .split_whitespace()
                    .find(|word| word.starts_with("https://"))
                    .unwrap();
                link.split_once("token=").unwrap().1.to_owned()
            }
            Medium::Msisdn => text
                .split(|c: char| !c.is_ascii_digit())
                .find(|word| word.len() == 6)
                .unwrap()
                .to_owned(),
        }
    }

    pub(super) async fn submit(
        &self,
        sid: &str,
        client_secret: Option<&str>,
        token: &str,
    ) -> Result<crate::Submitted, crate::SubmitValidationError> {
        self.accounts
            .submit_validation(&TokenSubmission {
                sid,
                client_secret,
                token,
            })
            .await
    }

    /// A session in which the address is proven.
    pub(super) async fn proven(&self, purpose: Purpose, threepid: &Threepid, client_secret: &str) -> String {
        let sid = self
            .request(purpose, threepid, client_secret, 1)
            .await
            .unwrap()
            .sid;
        let token = self.next_token(threepid.medium()).await;
        self.submit(&sid, Some(client_secret), &token).await.unwrap();
        sid
    }
}
