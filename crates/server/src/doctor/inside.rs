//! What can be seen on this machine: the settings, the key, the listeners.

use std::{io::ErrorKind, time::Duration};

use gatehouse_events::SigningKey;
use gatehouse_federation::Finding;
use tokio::net::{TcpStream, UnixStream};

use crate::{
    config::{Api, Config, ListenerConfig},
    signing_key_file,
    start::ADMIN_SOCKET,
};

const SETTINGS: &str = "configuration";
const KEY: &str = "signing key";
const PROGRAM: &str = "server";
const LISTENER: &str = "listener";

/// How long a listener of our own may take.
const CONNECT: Duration = Duration::from_secs(3);

/// Looks around, and gives the key if there is one.
pub(super) async fn examine(config: &Config, findings: &mut Vec<Finding>) -> Option<SigningKey> {
    findings.push(settings(config));
    let (finding, key) = signing_key(config);
    findings.push(finding);
    findings.push(program(config).await);
    for listener in config.listeners() {
        findings.push(is_listened_to(&listener).await);
    }
    key
}

/// What no setting alone is wrong with, and nobody can be reached by.
fn settings(config: &Config) -> Finding {
    let tried = format!("the settings of {}", config.server_name);
    if !config.federation.enabled {
        let came = "`[federation] enabled` is off: this server talks to no other.";
        return Finding::fault(
            SETTINGS,
            tried,
            came,
            "Set `[federation] enabled = true`, or leave it out.",
        );
    }
    if config.server_name == "localhost" {
        let came = "The server is called localhost, which every machine means itself by.";
        let advice = "Choose a `server_name` that you own, such as example.org, before there are users: it stands in \
                      every id and cannot be changed.";
        return Finding::fault(SETTINGS, tried, came, advice);
    }
    let is_served = |listener: &ListenerConfig| listener.serve.contains(&Api::Federation);
    if !config.listeners().iter().any(is_served) {
        let came = "No `[[listener]]` serves the federation API.";
        return Finding::fault(SETTINGS, tried, came, "Add `\"federation\"` to `serve` of one.");
    }
    let Some(public) = &config.public_baseurl else {
        let came = "`public_baseurl` is not set, so that no file tells where this server is.";
        let advice =
            "Set `public_baseurl` to where clients reach the server, such as https://matrix.example.org.";
        return Finding::note(SETTINGS, tried, came, advice);
    };
    if !public.starts_with("https://") {
        let came = "`public_baseurl` does not begin with https://, and other servers speak TLS only.";
        let advice =
            "Let a proxy speak TLS, or set `tls_cert` and `tls_key`, and name the address with https://.";
        return Finding::note(SETTINGS, tried, came, advice);
    }
    Finding::good(SETTINGS, tried, "They can be read, and fit each other.")
}

fn signing_key(config: &Config) -> (Finding, Option<SigningKey>) {
    let path = config.signing_key_path();
    let tried = path.display().to_string();
    match signing_key_file::load(&path) {
        Ok(Some(key)) => (Finding::good(KEY, tried, format!("{}.", key.key_id())), Some(key)),
        Ok(None) => {
            let came = "There is none yet; the first start makes one.";
            let advice =
                "Start the server. If it had a key before, put that back instead: rooms know it by the key.";
            (Finding::note(KEY, tried, came, advice), None)
        }
        Err(error) => {
            let advice = "Put the file right, or the copy of it from a backup in its place.";
            (Finding::fault(KEY, tried, format!("{error}."), advice), None)
        }
    }
}

async fn program(config: &Config) -> Finding {
    let socket = config.data_dir.join(ADMIN_SOCKET);
    let tried = socket.display().to_string();
    if UnixStream::connect(&socket).await.is_ok() {
        Finding::good(PROGRAM, tried, "It runs over this data.")
    } else {
        let came = "No server runs over this data.";
        Finding::fault(PROGRAM, tried, came, "Start it with `gatehouse serve`.")
    }
}

async fn is_listened_to(listener: &ListenerConfig) -> Finding {
    let place = match listener.address.strip_prefix("unix:") {
        Some(path) => path.to_owned(),
        None if listener.address.contains(':') => format!("[{}]:{}", listener.address, listener.port),
        None => format!("{}:{}", listener.address, listener.port),
    };
    let connecting = async {
        match listener.address.strip_prefix("unix:") {
            Some(path) => UnixStream::connect(path).await.map(drop),
            None => TcpStream::connect(&place).await.map(drop),
        }
    };
    let connected = tokio::time::timeout(CONNECT, connecting)
        .await
        .unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
    match connected {
        Ok(()) => Finding::good(LISTENER, place, "It is listened to."),
        Err(error) => {
            let advice = "Start the server. If it runs, compare its `[[listener]]` with this one.";
            let came = format!("Nothing listens there ({}).", error.kind());
            Finding::fault(LISTENER, place, came, advice)
        }
    }
}
