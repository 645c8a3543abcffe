//! The identity service alone, over the store that the configuration names.

use std::sync::Arc;

use gatehouse_events::Clock;
use gatehouse_federation::Federation;
use gatehouse_identity::Identity;
use gatehouse_mail::Outbox;
use gatehouse_store::Store;
use ruma::{OwnedServerName, owned_server_name};

use crate::{
    config::Config,
    identity_service,
    open::{Ground, Storage, StoreFailure},
    other_homeservers::OtherHomeservers,
    outside,
    start_error::StartError,
};

/// The identity service and what it stands on.
#[derive(Clone)]
pub struct IdentityEngines {
    /// The store below it.
    pub store: Store,
    /// The service.
    pub identity: Identity,
    /// Mail and text messages that wait.
    pub(crate) outbox: Outbox,
}

/// Opens the store and the identity service over it, without listening.
pub async fn open_identity(
    config: &Config,
    storage: Storage,
    clock: Clock,
) -> Result<IdentityEngines, StartError> {
    open_identity_watched(config, storage, clock)
        .await
        .map(|(engines, _)| engines)
}

/// As [`open_identity`], with what tells that the store has failed.
pub(crate) async fn open_identity_watched(
    config: &Config,
    storage: Storage,
    clock: Clock,
) -> Result<(IdentityEngines, StoreFailure), StartError> {
    let ground = Ground::open(config, storage).await?;
    let settings = identity_service::settings(config, &ground.key)?;
    let outbox = outside::outbox(config, &ground.store, &clock)?;
    let federation = Federation::new(
        ground.store.clone(),
        nobody(),
        Arc::new(ground.key),
        clock.clone(),
        outside::federation_outbound(config)?,
        outside::federation_config(config)?,
    );
    let homeservers = Arc::new(OtherHomeservers::new(
        federation,
        identity_service::signed_for(&settings),
    ));
    let identity = Identity::new(ground.store.clone(), settings, clock, outbox.clone(), homeservers);
    let engines = IdentityEngines {
        store: ground.store,
        identity,
        outbox,
    };
    Ok((engines, ground.store_failure))
}

/// Among homeservers it is none, whatever `server_name` says: it may be that of a homeserver which runs elsewhere, and
/// whose keys and users only that one knows. No homeserver can have this name (RFC 2606).
fn nobody() -> OwnedServerName {
    owned_server_name!("no-homeserver.invalid")
}
