//! Tests of the engine on the store in memory.

mod account_data;
mod addresses;
mod devices;
mod filters;
mod hanging_up;
mod login;
mod openid;
mod profile;
mod proven_registration;
mod pushers;
mod races;
mod refresh;
mod registration;
mod shared_secret;
mod threepids;
mod user_interactive;
mod users;
mod validation;

use std::sync::Arc;

use gatehouse_events::Clock;
use gatehouse_store::{Store, memory::MemoryBackend};
use ruma::{OwnedUserId, UserId, server_name};
use serde_json::{Map, Value, json};

use crate::{Accounts, Config, DeviceRequest, LoggedIn, NewUser, Registered, RegistrationRequest, Secret};

/// An arbitrary moment.
const START_MS: u64 = 1_750_000_000_000;

/// An engine with everything allowed, its clock and its store.
struct House {
    accounts: Accounts,
    clock: Clock,
    store: Store,
    backend: Arc<MemoryBackend>,
}

fn house() -> House {
    house_with(|_| ())
}

fn house_with(change: impl FnOnce(&mut Config)) -> House {
    let mut config = Config::new(server_name!("house.test").to_owned());
    config.registration.open = true;
    config.registration.guests = true;
    config.registration.cheap_password_hash = true;
    config.registration.shared_secret = Some(Secret::new("reg_secret"));
    change(&mut config);
    let backend = Arc::new(MemoryBackend::new());
    let (store, clock) = (Store::new(backend.clone()), Clock::manual(START_MS));
    House {
        accounts: Accounts::new(store.clone(), config, clock.clone()),
        clock,
        store,
        backend,
    }
}

impl House {
    /// A user with the password "secret", and a session.
    async fn user(&self, name: &str) -> LoggedIn {
        let password = Secret::new("secret");
        let user = NewUser {
            username: name,
            password: Some(&password),
            is_admin: false,
        };
        let device = DeviceRequest::default();
        let registered = self.accounts.create_user(&user, Some(&device)).await.unwrap();
        registered.login.unwrap()
    }

    async fn login(&self, name: &str, device: &DeviceRequest) -> LoggedIn {
        let password = Secret::new("secret");
        self.accounts
            .login_with_password(name, &password, device)
            .await
            .unwrap()
    }

    async fn is_valid(&self, login: &LoggedIn) -> bool {
        self.accounts
            .authenticate(login.access_token.expose())
            .await
            .is_ok()
    }

    /// Registers as a client does, from a JSON body.
    async fn register(&self, body: Value) -> Result<Registered, crate::RegistrationError> {
        let body = object(body);
        let text = |key: &str| body.get(key).and_then(Value::as_str).map(ToOwned::to_owned);
        let request = RegistrationRequest {
            username: text("username"),
            password: text("password").map(Secret::new),
            guest_access_token: text("guest_access_token").map(Secret::new),
            device: DeviceRequest {
                device_id: text("device_id").map(Into::into),
                ..DeviceRequest::default()
            },
            inhibit_login: body.get("inhibit_login") == Some(&json!(true)),
            address: None,
        };
        self.accounts.register(&body, request).await
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is not an object"),
    }
}

fn id(localpart: &str) -> OwnedUserId {
    UserId::parse(format!("@{localpart}:house.test")).unwrap()
}
