//! `gatehouse init`

use std::{fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use anyhow::{Context, Result};
use gatehouse_server::signing_key_file;

use crate::arguments::InitOptions;

/// Writes `gatehouse.toml` and `signing.key`; what is there stays as it is, and is an error.
pub(crate) fn run(options: &InitOptions) -> Result<()> {
    ruma::ServerName::parse(&options.server_name).with_context(|| {
        format!(
            "{:?} is not a server name; it looks like example.org",
            options.server_name
        )
    })?;
    std::fs::create_dir_all(&options.dir)
        .with_context(|| format!("cannot make {}", options.dir.display()))?;
    let config = options.dir.join("gatehouse.toml");
    let key = options.dir.join("signing.key");
    for file in [&config, &key] {
        anyhow::ensure!(
            !file.exists(),
            "{} exists already; it was left as it is",
            file.display()
        );
    }
    let text = text(options, &key)?;
    let mut written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&config)
        .with_context(|| format!("cannot write {}", config.display()))?;
    written.write_all(text.as_bytes())?;
    written.sync_all()?;
    signing_key_file::create(&key)?;
    println!("Wrote {} and {}.", config.display(), key.display());
    println!(
        "Start the server with: gatehouse serve --config {}",
        config.display()
    );
    Ok(())
}

/// As TOML writes a string.
fn quoted(path: &Path) -> Result<toml::Value> {
    let text = path
        .to_str()
        .with_context(|| format!("{} is not UTF-8; choose another --dir", path.display()))?;
    Ok(text.into())
}

fn text(options: &InitOptions, key: &Path) -> Result<String> {
    Ok(format!(
        r#"# Gatehouse. Every key and its default is in docs/configuration.md.

# The name in every user and room id. It can never be changed.
server_name = {}

# Where everything is stored. Back this up, and the signing key.
data_dir = {}
signing_key_file = {}

[[listener]]
address = "127.0.0.1"
port = 8008
# With both of these the listener speaks TLS; they are read again when they change.
# tls_cert = "fullchain.pem"
# tls_key = "privkey.pem"

[database]
# Empty: embedded, in data_dir. Or: postgres://user:password@host/database
url = ""

[registration]
# Whether anybody who can reach the server may make an account.
open = false
# guests = false
# token_required = false
# shared_secret_file = "registration.secret"

[log]
level = "info"
"#,
        toml::Value::from(options.server_name.as_str()),
        quoted(&options.dir.join("gatehouse-data"))?,
        quoted(key)?
    ))
}
