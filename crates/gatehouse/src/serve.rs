//! `gatehouse serve`

use std::{fmt::Write as _, io::Write as _, process};

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
    let mut signals = Signals::listen()?;
    let mut running = tokio::select! {
        running = start(config, Storage::Configured, Clock::system()) => running?,
        () = signals.next() => end_at_once(0),
    };
    welcome(config, &running);
    tokio::select! {
        reason = running.failed() => {
            eprintln!("gatehouse: {reason}; see to that and start the server again");
            end_at_once(1);
        }
        () = signals.next() => tracing::info!("stopping; a second signal stops at once"),
    }
    tokio::select! {
        () = running.stop() => {}
        () = signals.next() => end_at_once(0),
    }
    tracing::info!("stopped");
    Ok(())
}

/// Ends without finishing anything: what was acknowledged is on disk, and what is left may never come to an end.
fn end_at_once(status: i32) -> ! {
    process::exit(status)
}

/// What asks the server to stop.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Says where it listens, and what a newcomer may type next.
fn welcome(config: &Config, running: &Running) {
    let urls = running.urls();
    tracing::info!(server_name = %config.server_name, urls = ?urls, "ready");
    if config.registration.cheap_password_hash {
        tracing::warn!("passwords are hashed with next to no work: this is for tests only");
    }
    // Nobody may be reading, and the server serves all the same.
    _ = std::io::stdout().write_all(greeting(config, &urls).as_bytes());
}

fn greeting(config: &Config, urls: &[String]) -> String {
    let mut text = format!("Gatehouse serves {} at {}\n", config.server_name, urls.join(", "));
    let Some(url) = urls.iter().find(|url| url.starts_with("http")) else {
        return text;
    };
    // Writing into a `String` cannot fail.
    _ = match config.registration.open {
        Some(true) => write!(
            text,
            "\nMake an account:\n\n  curl -s {url}/_matrix/client/v3/register -d '{{\"username\":\"alice\",\
             \"password\":\"wonderland\",\"auth\":{{\"type\":\"m.login.dummy\"}}}}'\n"
        ),
        _ => write!(
            text,
            "\nMake an account:\n\n  gatehouse user add alice\n\nLog in:\n\n  \
             curl -s {url}/_matrix/client/v3/login -d '{{\"type\":\"m.login.password\",\
             \"identifier\":{{\"type\":\"m.id.user\",\"user\":\"alice\"}},\"password\":\"…\"}}'\n"
        ),
    };
    _ = write!(
        text,
        "\nMake a room, with the access_token of the answer:\n\n  curl -s {url}/_matrix/client/v3/createRoom \
         -H 'Authorization: Bearer ACCESS_TOKEN' -d '{{\"name\":\"Tea party\",\"preset\":\"public_chat\"}}'\n\n\
         Stop with Ctrl-C.\n"
    );
    text
}
