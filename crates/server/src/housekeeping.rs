//! What has to be done now and then.

use std::time::Duration;

use gatehouse_identity::Identity;
use gatehouse_identity_client::IdentityClient;
use gatehouse_mail::Outbox;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::open::Engines;

/// How often devices' last use is written down.
const LAST_SEEN_EVERY: Duration = Duration::from_mins(1);
/// How often old transaction ids are forgotten.
const TRANSACTIONS_EVERY: Duration = Duration::from_mins(10);

/// How often it is tried to take the deactivated out of rooms that they could not leave.
const DEACTIVATIONS_EVERY: Duration = Duration::from_mins(10);
/// How often it is looked for rooms whose members are missing and that nobody fills, as when another node has stopped.
const FILLING_EVERY: Duration = Duration::from_mins(10);

/// Starts the tasks.
pub(crate) fn spawn(tasks: &mut JoinSet<()>, engines: &Engines, stop: &CancellationToken) {
    let (accounts, stopped) = (engines.accounts.clone(), stop.clone());
    tasks.spawn(async move {
        while wait(LAST_SEEN_EVERY, &stopped).await {
            if let Err(error) = accounts.flush_last_seen().await {
                tracing::warn!(%error, "cannot write down when devices were seen");
            }
        }
    });
    let (rooms, stopped) = (engines.rooms.clone(), stop.clone());
    tasks.spawn(async move {
        while wait(TRANSACTIONS_EVERY, &stopped).await {
            while let Ok(true) = rooms.forget_old_transactions().await {}
        }
    });
    let (inbox, stopped) = (engines.inbox.clone(), stop.clone());
    tasks.spawn(async move {
        while wait(TRANSACTIONS_EVERY, &stopped).await {
            while let Ok(true) = inbox.forget_old().await {}
        }
    });
    let (rooms, stopped) = (engines.rooms.clone(), stop.clone());
    tasks.spawn(async move {
        loop {
            match rooms.resume_filling().await {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "rooms are being filled whose members are missing"),
                Err(error) => tracing::warn!(%error, "cannot go on filling rooms whose members are missing"),
            }
            if !wait(FILLING_EVERY, &stopped).await {
                return;
            }
        }
    });
    let (rooms, stopped) = (engines.rooms.clone(), stop.clone());
    tasks.spawn(async move {
        loop {
            if let Err(error) = rooms.finish_deactivations().await {
                tracing::warn!(%error, "a deactivated user could not be taken out of a room");
            }
            if !wait(DEACTIVATIONS_EVERY, &stopped).await {
                return;
            }
        }
    });
}

/// Starts what sends events to other servers.
pub(crate) fn spawn_sending(tasks: &mut JoinSet<()>, engines: &Engines, stop: &CancellationToken) {
    let (federation, rooms, stopped) = (engines.federation.clone(), engines.rooms.clone(), stop.clone());
    tasks.spawn(async move { federation.run_sending(rooms, stopped).await });
}

/// Starts what undoes bindings at identity servers.
pub(crate) fn spawn_unbinding(tasks: &mut JoinSet<()>, client: &IdentityClient, stop: &CancellationToken) {
    let (client, stopped) = (client.clone(), stop.clone());
    tasks.spawn(async move { client.run_unbinding(stopped).await });
}

/// Starts what sends mail and text messages.
pub(crate) fn spawn_outbox(tasks: &mut JoinSet<()>, outbox: &Outbox, stop: &CancellationToken) {
    let (outbox, stopped) = (outbox.clone(), stop.clone());
    tasks.spawn(async move { outbox.run(stopped).await });
}

/// Starts what tells homeservers of bound addresses, and keeps the identity service's house.
pub(crate) fn spawn_identity(tasks: &mut JoinSet<()>, identity: &Identity, stop: &CancellationToken) {
    let (queue, stopped) = (identity.clone(), stop.clone());
    tasks.spawn(async move { queue.run_onbind_queue(stopped).await });
    let (identity, stopped) = (identity.clone(), stop.clone());
    tasks.spawn(async move { identity.run_housekeeping(stopped).await });
}

/// Lets this node know what other nodes on its database change: whom they log out above all.
pub(crate) fn follow_other_nodes(tasks: &mut JoinSet<()>, engines: &Engines, stop: &CancellationToken) {
    let (accounts, stopped) = (engines.accounts.clone(), stop.clone());
    tasks.spawn(async move {
        tokio::select! {
            () = stopped.cancelled() => {}
            () = accounts.follow_other_nodes() => {}
        }
    });
}

/// `false`: the server is stopping.
async fn wait(time: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = tokio::time::sleep(time) => true,
    }
}
