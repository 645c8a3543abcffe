//! `gatehouse serve`

use anyhow::{Context, Result};
use gatehouse_events::Clock;
use gatehouse_server::{Config, Running, Storage, start};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{arguments::ServeOptions, configuration, logging};

/// Runs until SIGINT or SIGTERM; a second one stops at once.
pub(crate) fn run(options: &ServeOptions) -> Result<()> {
    let config = configuration::read(&options.config, options.listen.as_deref())?;
    logging::start(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(serve(&config));
    // Whatever still blocks, such as a password being hashed, is of no use to anybody now.
    runtime.shutdown_background();
    outcome
}

async fn serve(config: &Config) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let running = start(config, Storage::Configured, Clock::system()).await?;
    welcome(config, &running);
    any(&mut interrupt, &mut terminate).await;
    tracing::info!("stopping; a second signal stops at once");
    tokio::select! {
        () = running.stop() => {}
        () = any(&mut interrupt, &mut terminate) => tracing::warn!("stopped at once"),
    }
    Ok(())
}

async fn any(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

/// Says where it listens, and what a newcomer may type next.
fn welcome(config: &Config, running: &Running) {
    let urls = running.urls();
    tracing::info!(server_name = %config.server_name, urls = ?urls, "ready");
    if config.registration.cheap_password_hash {
        tracing::warn!("passwords are hashed with next to no work: this is for tests only");
    }
    let Some(url) = urls.first().filter(|url| url.starts_with("http")) else {
        return;
    };
    println!("Gatehouse serves {} at {}\n", config.server_name, urls.join(", "));
    if config.registration.open == Some(true) {
        println!("Make an account:\n");
        println!(
            "  curl -s {url}/_matrix/client/v3/register -d '{{\"username\":\"alice\",\"password\":\"wonderland\",\
             \"auth\":{{\"type\":\"m.login.dummy\"}}}}'\n"
        );
    } else {
        println!("Make an account:\n\n  gatehouse user add alice\n");
        println!("Log in:\n");
        println!(
            "  curl -s {url}/_matrix/client/v3/login -d '{{\"type\":\"m.login.password\",\
             \"identifier\":{{\"type\":\"m.id.user\",\"user\":\"alice\"}},\"password\":\"…\"}}'\n"
        );
    }
    println!("Make a room, with the access_token of the answer:\n");
    println!(
        "  curl -s {url}/_matrix/client/v3/createRoom -H 'Authorization: Bearer ACCESS_TOKEN' \
         -d '{{\"name\":\"Tea party\",\"preset\":\"public_chat\"}}'\n"
    );
    println!("Stop with Ctrl-C.");
}
