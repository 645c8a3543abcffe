//! Reading the configuration: defaults, then the file, then the environment, then the command line.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;
use toml::Table;

use super::{Config, ListenerConfig, environment, nearest::nearest, secret_file};

/// What the command line says.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--server-name`
    pub server_name: Option<String>,
    /// `--data-dir`
    pub data_dir: Option<PathBuf>,
    /// `--listen`: `ADDR:PORT`, or `unix:/path`
    pub listen: Option<String>,
}

/// Why a configuration cannot be used. The sentences tell what to change.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {file}: {source}")]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file, or a variable of the environment, has something wrong.
    #[error("{place}: {problem}")]
    Wrong {
        /// File and line, or the environment.
        place: String,
        /// What is wrong and what may have been meant.
        problem: String,
    },
    /// A value makes no sense.
    #[error("{0}")]
    Invalid(String),
}

/// Reads it. No file: the defaults, for one machine.
pub fn load(
    file: Option<&Path>,
    variables: impl Iterator<Item = (String, String)>,
    overrides: &Overrides,
) -> Result<Config, ConfigError> {
    let mut table = match file {
        None => Table::new(),
        Some(file) => read_file(file)?,
    };
    let used = environment::merge(&mut table, variables);
    let place = match (file, used.is_empty()) {
        (Some(file), true) => file.display().to_string(),
        _ => "the environment (GATEHOUSE__…)".to_owned(),
    };
    let mut config = Config::deserialize(table).map_err(|error| ConfigError::Wrong {
        place,
        problem: explain(error.message()),
    })?;
    apply(&mut config, overrides)?;
    take_secrets(&mut config)?;
    if config.registration.open.is_none() {
        // Nobody but this machine's own users can reach it, and nobody has said anything else.
        config.registration.open = Some(file.is_none() && config.is_loopback_only());
    }
    Ok(config)
}

/// Reads a file and checks it by itself, so that what is wrong with it can be named by its line.
fn read_file(file: &Path) -> Result<Table, ConfigError> {
    let text = std::fs::read_to_string(file).map_err(|source| ConfigError::Unreadable {
        file: file.to_owned(),
        source,
    })?;
    let wrong = |error: &toml::de::Error| {
        let line = error.span().map_or(1, |span| {
            text.get(..span.start).unwrap_or_default().lines().count().max(1)
        });
        let line = match error.span() {
            Some(span)
                if text
                    .get(..span.start)
                    .is_some_and(|before| before.ends_with('\n')) =>
            {
                line + 1
            }
            _ => line,
        };
        ConfigError::Wrong {
            place: format!("{}, line {line}", file.display()),
            problem: explain(error.message()),
        }
    };
    toml::from_str::<Config>(&text).map_err(|error| wrong(&error))?;
    toml::from_str::<Table>(&text).map_err(|error| wrong(&error))
}

/// Serde's words, with the nearest known key when a key is unknown.
fn explain(message: &str) -> String {
    let Some(rest) = message.strip_prefix("unknown field `") else {
        return message.to_owned();
    };
    let Some((key, known)) = rest.split_once('`') else {
        return message.to_owned();
    };
    let mut words = known.split('`').skip(1).step_by(2).collect::<Vec<_>>();
    words.sort_unstable();
    match nearest(key, words.iter().copied()) {
        Some(near) => format!("unknown key `{key}`; did you mean `{near}`?"),
        None => format!("unknown key `{key}`; known here are: {}", words.join(", ")),
    }
}

fn apply(config: &mut Config, overrides: &Overrides) -> Result<(), ConfigError> {
    if let Some(server_name) = &overrides.server_name {
        config.server_name.clone_from(server_name);
    }
    if let Some(data_dir) = &overrides.data_dir {
        config.data_dir.clone_from(data_dir);
    }
    if let Some(listen) = &overrides.listen {
        let mut listener = config.listeners().into_iter().next().unwrap_or_default();
        set_address(&mut listener, listen)?;
        config.listener = vec![listener];
    }
    Ok(())
}

fn set_address(listener: &mut ListenerConfig, listen: &str) -> Result<(), ConfigError> {
    if listen.starts_with("unix:") {
        listen.clone_into(&mut listener.address);
        return Ok(());
    }
    let address: std::net::SocketAddr = listen.parse().map_err(|_| {
        ConfigError::Invalid(format!(
            "--listen {listen}: give an address and a port, such as 127.0.0.1:8008"
        ))
    })?;
    listener.address = address.ip().to_string();
    listener.port = address.port();
    Ok(())
}

fn take_secrets(config: &mut Config) -> Result<(), ConfigError> {
    let registration = &mut config.registration;
    let file = registration.shared_secret_file.clone();
    secret_file::take(
        "registration.shared_secret",
        &mut registration.shared_secret,
        file.as_ref(),
    )?;
    let file = config.sms.token_file.clone();
    secret_file::take("sms.token", &mut config.sms.token, file.as_ref())?;
    let file = config.email.smtp_password_file.clone();
    secret_file::take(
        "email.smtp_password",
        &mut config.email.smtp_password,
        file.as_ref(),
    )?;
    let file = config.recaptcha.private_key_file.clone();
    secret_file::take(
        "recaptcha.private_key",
        &mut config.recaptcha.private_key,
        file.as_ref(),
    )?;
    let file = config.turn.shared_secret_file.clone();
    secret_file::take(
        "turn.shared_secret",
        &mut config.turn.shared_secret,
        file.as_ref(),
    )?;
    if let Some(file) = config.database.url_file.clone() {
        let mut url = Some(std::mem::take(&mut config.database.url)).filter(|url| !url.is_empty());
        secret_file::take("database.url", &mut url, Some(&file))?;
        config.database.url = url.unwrap_or_default();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("gatehouse.toml");
        std::fs::write(&file, text).unwrap();
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        load(Some(&file), variables, &Overrides::default())
    }

    fn refused(text: &str, variables: &[(&str, &str)]) -> ConfigError {
        loaded(text, variables).err().expect("refused")
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_line_and_nearest_key() {
        let error = refused("server_name = \"a.example\"\n\n[registraton]\nopen = true\n", &[]);
        let text = error.to_string();
        assert!(
            text.contains("line 3") && text.contains("`registraton`") && text.contains("`registration`"),
            "{text}"
        );
        let error = refused("[rooms]\ndefault_versoin = \"11\"\n", &[]);
        let text = error.to_string();
        assert!(
            text.contains("line 2") && text.contains("`default_version`"),
            "{text}"
        );
    }

    #[test]
    fn the_environment_goes_over_the_file() {
        let config = loaded(
            "server_name = \"a.example\"\n[registration]\nopen = false\n",
            &[
                ("GATEHOUSE__SERVER_NAME", "b.example"),
                ("GATEHOUSE__REGISTRATION__OPEN", "true"),
                ("PATH", "/bin"),
            ],
        )
        .ok()
        .unwrap();
        assert_eq!(config.server_name, "b.example");
        assert_eq!(config.registration.open, Some(true));
        let error = refused("", &[("GATEHOUSE__ROOMS__DEFALT_VERSION", "11")]);
        assert!(error.to_string().contains("default_version"), "{error}");
    }

    #[test]
    fn registration_is_open_only_where_nobody_else_can_come_and_nothing_is_configured() {
        let nothing = load(None, std::iter::empty(), &Overrides::default())
            .ok()
            .unwrap();
        assert_eq!(nothing.registration.open, Some(true));
        let listen = Overrides {
            listen: Some("0.0.0.0:8008".to_owned()),
            ..Overrides::default()
        };
        assert_eq!(
            load(None, std::iter::empty(), &listen)
                .ok()
                .unwrap()
                .registration
                .open,
            Some(false)
        );
        assert_eq!(loaded("", &[]).ok().unwrap().registration.open, Some(false));
    }
}
