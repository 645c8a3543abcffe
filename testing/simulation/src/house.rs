//! One server: what survives when it is killed, and what runs.

use std::sync::{Arc, OnceLock, atomic::AtomicBool};

use anyhow::Result;
use axum::Router;
use gatehouse_accounts::{Accounts, NewUser};
use gatehouse_directory::{Directory, NoRemoteDirectories};
use gatehouse_events::{Clock, SigningKey};
use gatehouse_federation::{Federation, FederationConfig, Inbox, Randomness};
use gatehouse_federation_api::{AtOnce, FederationApi};
use gatehouse_http::{HttpContext, Metrics, RateLimitConfig, RateLimits};
use gatehouse_outbound::Outbound;
use gatehouse_rooms::{Config, NoIdentityServers, Rooms};
use gatehouse_store::Store;
use parking_lot::Mutex;
use ruma::{OwnedServerName, OwnedUserId};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    dice::Dice,
    disk::{Disk, Mount, Temper},
    network::{Network, Port},
};

/// The users of each server. The first stays wherever they are.
pub const USERS: [&str; 3] = ["steady", "one", "two"];

/// A server that is up or down.
pub struct House {
    /// Its name.
    pub name: OwnedServerName,
    /// Its number.
    pub number: usize,
    key: Arc<SigningKey>,
    clock: Clock,
    disk: Arc<Disk>,
    temper: Temper,
    is_good: Arc<AtomicBool>,
    dice: Mutex<Dice>,
    running: Mutex<Option<Running>>,
}

/// What runs. Cheap to clone.
#[derive(Clone)]
pub struct Running {
    /// Its rooms.
    pub rooms: Rooms,
    /// Its sending queue and signatures.
    pub federation: Federation,
    /// Cancelled when it is killed.
    pub gone: CancellationToken,
    mount: Arc<Mount>,
    _sending: Arc<AbortOnDropHandle<()>>,
}

/// What a server answers from, as the network sees it.
#[derive(Clone)]
pub struct Endpoint {
    /// Made for the first request: it costs more than the rest of a start.
    router: Arc<OnceLock<Router>>,
    api: FederationApi,
    pub(crate) gone: CancellationToken,
}

impl Endpoint {
    /// Answers others.
    pub(crate) fn router(&self) -> Router {
        let make = || gatehouse_federation_api::router(self.api.clone());
        self.router.get_or_init(make).clone()
    }
}

/// The name of a server: with a port, so that nobody asks where it is.
pub fn name_of(number: usize) -> Result<OwnedServerName> {
    let letter = char::from(b"abcdefgh".get(number).copied().unwrap_or(b'x'));
    Ok(OwnedServerName::try_from(format!("{letter}.sim:1"))?)
}

impl House {
    /// A server that has never run.
    pub fn new(
        number: usize,
        clock: Clock,
        temper: Temper,
        is_good: Arc<AtomicBool>,
        dice: Dice,
    ) -> Result<Self> {
        let seed = u8::try_from(number).unwrap_or(u8::MAX).wrapping_add(1);
        Ok(Self {
            name: name_of(number)?,
            number,
            key: Arc::new(SigningKey::from_seed([seed; 32], "sim")?),
            clock,
            disk: Arc::default(),
            temper,
            is_good,
            dice: Mutex::new(dice),
            running: Mutex::new(None),
        })
    }

    /// The id of its key.
    pub fn key_id(&self) -> String {
        self.key.key_id()
    }

    /// One of its users.
    pub fn user(&self, number: usize) -> Result<OwnedUserId> {
        let name = USERS.get(number).copied().unwrap_or("nobody");
        Ok(OwnedUserId::try_from(format!("@{name}:{}", self.name))?)
    }

    /// What runs, if it does.
    pub fn running(&self) -> Option<Running> {
        self.running.lock().clone()
    }

    /// Makes its users. It must run.
    pub async fn make_users(&self) -> Result<()> {
        let Some(running) = self.running() else {
            return Ok(());
        };
        let store = Store::new(running.mount);
        let accounts = Accounts::new(
            store,
            gatehouse_accounts::Config::new(self.name.clone()),
            self.clock.clone(),
        );
        for username in USERS {
            let new = NewUser {
                username,
                password: None,
                is_admin: false,
            };
            accounts.create_user(&new, None).await?;
        }
        Ok(())
    }

    /// Starts it over what its disk holds.
    pub fn start(&self, network: &Arc<Network>) -> Result<()> {
        let gone = CancellationToken::new();
        let (disk_dice, luck) = {
            let mut dice = self.dice.lock();
            (dice.apart(), dice.number())
        };
        let mount = Mount::new(
            Arc::clone(&self.disk),
            self.temper,
            disk_dice,
            Arc::clone(&self.is_good),
            gone.clone(),
        );
        let store = Store::new(mount.clone());
        let accounts = Accounts::new(
            store.clone(),
            gatehouse_accounts::Config::new(self.name.clone()),
            self.clock.clone(),
        );
        let port = Port::new(Arc::clone(network), self.number, gone.clone());
        let federation = Federation::new(
            store.clone(),
            self.name.clone(),
            Arc::clone(&self.key),
            self.clock.clone(),
            Some(Outbound::carried_by(Arc::new(port))),
            FederationConfig {
                randomness: Randomness::seeded(luck),
                ..FederationConfig::default()
            },
        );
        let rooms = Rooms::new(
            store.clone(),
            accounts.clone(),
            Arc::clone(&self.key),
            Arc::new(federation.clone()),
            Arc::new(NoIdentityServers),
            rooms_config()?,
            self.clock.clone(),
        );
        let api = self.api(&store, accounts, &rooms, &federation);
        let (sender, sent, stop) = (federation.clone(), rooms.clone(), gone.clone());
        let sending = tokio::spawn(async move { sender.run_sending(sent, stop).await });
        let (filled, stop) = (rooms.clone(), gone.clone());
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = fill(&filled) => {}
            }
        });
        network.plug_in(
            self.number,
            Endpoint {
                router: Arc::default(),
                api,
                gone: gone.clone(),
            },
        );
        *self.running.lock() = Some(Running {
            rooms,
            federation,
            gone,
            mount,
            _sending: Arc::new(AbortOnDropHandle::new(sending)),
        });
        Ok(())
    }

    fn api(
        &self,
        store: &Store,
        accounts: Accounts,
        rooms: &Rooms,
        federation: &Federation,
    ) -> FederationApi {
        let directory = Directory::new(
            store.clone(),
            rooms.clone(),
            self.clock.clone(),
            gatehouse_directory::Config::default(),
            Arc::new(NoRemoteDirectories),
        );
        FederationApi {
            http: HttpContext {
                accounts,
                rate_limits: Arc::new(RateLimits::new(RateLimitConfig {
                    enabled: false,
                    ..RateLimitConfig::default()
                })),
                metrics: Arc::new(Metrics::default()),
                shutdown: CancellationToken::new(),
            },
            federation: federation.clone(),
            inbox: Inbox::new(federation, rooms.clone()),
            rooms: rooms.clone(),
            directory,
            at_once: AtOnce::default(),
            public_rooms: true,
        }
    }

    /// Kills it, wherever it is: nothing that it was doing goes on, and what was not on the disk is lost, or not.
    pub fn kill(&self) {
        if let Some(running) = self.running.lock().take() {
            running.mount.cut_power();
        }
    }

    /// Its disk fails. Somebody has to kill it and start it again.
    pub fn fail_disk(&self) {
        if let Some(running) = self.running() {
            running.mount.fail();
        }
    }

    /// Whether it runs, over a disk that has not failed.
    pub fn is_sound(&self) -> bool {
        self.running().is_some_and(|running| !running.mount.has_failed())
    }
}

/// Goes on filling rooms that were joined without all of their members, as the server's housekeeping does.
async fn fill(rooms: &Rooms) {
    loop {
        // What cannot be read now is looked at again.
        _ = rooms.resume_filling().await;
        tokio::time::sleep(std::time::Duration::from_mins(10)).await;
    }
}

fn rooms_config() -> Result<Config> {
    Ok(Config {
        default_version: "12".parse()?,
        legacy_default_version: "11".parse()?,
        cached_rooms: 10,
        event_cache_bytes: 1 << 20,
    })
}
