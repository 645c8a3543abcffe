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
    in_foreground(serve(&config))
}

async fn serve(config: &Config) -> Result<()> {
    let mut signals = Signals::listen()?;
    let starting = start(config, Storage::Configured, Clock::system());
    let running = signals.unless_told(starting).await?;
    welcome(config, &running);
    signals
        .until_stopped(running, Running::failed, Running::stop)
        .await;
    Ok(())
}

/// Runs a server to its end.
pub(crate) fn in_foreground(serving: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(serving);
    // Whatever still blocks, such as a password being hashed, is of no use to anybody now.
    runtime.shutdown_background();
    outcome
}

/// Tells whoever started the server. Nobody may be reading, and the server serves all the same.
pub(crate) fn say(text: &str) {
    _ = std::io::stdout().write_all(text.as_bytes());
}

/// Ends without finishing anything: what was acknowledged is on disk, and what is left may never come to an end.
fn end_at_once(status: i32) -> ! {
    process::exit(status)
}

/// What asks the server to stop.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(crate) fn listen() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
        })
    }

    /// What this gives, unless the process is to end meanwhile.
    pub(crate) async fn unless_told<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            outcome = work => outcome,
            () = self.next() => end_at_once(0),
        }
    }

    /// Lets the server run until it is to stop, or cannot go on.
    pub(crate) async fn until_stopped<Server>(
        &mut self,
        mut running: Server,
        failed: impl AsyncFnOnce(&mut Server) -> String,
        stop: impl AsyncFnOnce(Server),
    ) {
        tokio::select! {
            reason = failed(&mut running) => {
                eprintln!("gatehouse: {reason}; see to that and start the server again");
                end_at_once(1);
            }
            () = self.next() => tracing::info!("stopping; a second signal stops at once"),
        }
        self.unless_told(stop(running)).await;
        tracing::info!("stopped");
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
    say(&greeting(config, &urls));
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
