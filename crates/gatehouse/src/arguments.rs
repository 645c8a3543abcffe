//! What the command line takes.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// A Matrix homeserver.
#[derive(Parser)]
#[command(name = "gatehouse", version, about)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the homeserver in the foreground
    Serve(ServeOptions),
    /// Write a commented gatehouse.toml and a signing key; never overwrites
    Init(InitOptions),
    /// Make, list and change accounts, whether the server runs or not
    User(UserOptions),
    /// Run the identity server alone, and look after the identity service's keys
    Identity(IdentityOptions),
    /// Say step by step whether this server, or another, can be reached, and what to do about it
    Doctor(DoctorOptions),
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Where the configuration is.
#[derive(Args, Clone)]
pub(crate) struct ConfigOptions {
    /// The configuration file
    #[arg(long, env = "GATEHOUSE_CONFIG", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// The name in every user and room id
    #[arg(long, global = true)]
    pub(crate) server_name: Option<String>,
    /// Where everything is stored
    #[arg(long, global = true)]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct ServeOptions {
    #[command(flatten)]
    pub(crate) config: ConfigOptions,
    /// Where to listen, such as 127.0.0.1:8008
    #[arg(long)]
    pub(crate) listen: Option<String>,
}

#[derive(Args)]
pub(crate) struct InitOptions {
    /// The name in every user and room id
    #[arg(long, default_value = "localhost")]
    pub(crate) server_name: String,
    /// Where to write
    #[arg(long, default_value = ".")]
    pub(crate) dir: PathBuf,
}

#[derive(Args)]
pub(crate) struct DoctorOptions {
    #[command(flatten)]
    pub(crate) config: ConfigOptions,
    /// The server to look at; none: this one
    pub(crate) server: Option<String>,
    /// Print one JSON object, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct UserOptions {
    #[command(flatten)]
    pub(crate) config: ConfigOptions,
    #[command(subcommand)]
    pub(crate) command: UserSubcommand,
}

#[derive(Subcommand)]
pub(crate) enum UserSubcommand {
    /// Make an account; the password is read from standard input
    Add {
        /// The name, such as `alice`
        name: String,
        /// Let the user use the administration API
        #[arg(long)]
        admin: bool,
    },
    /// List accounts
    List,
    /// Show one account
    Show {
        /// The name, such as `alice`
        name: String,
    },
    /// Set a password, read from standard input, and log all devices out
    SetPassword {
        /// The name, such as `alice`
        name: String,
    },
    /// Deactivate an account for good
    Deactivate {
        /// The name, such as `alice`
        name: String,
    },
    /// Let a user use the administration API
    MakeAdmin {
        /// The name, such as `alice`
        name: String,
    },
}

#[derive(Args)]
pub(crate) struct IdentityOptions {
    #[command(flatten)]
    pub(crate) config: ConfigOptions,
    #[command(subcommand)]
    pub(crate) command: IdentitySubcommand,
}

#[derive(Subcommand)]
pub(crate) enum IdentitySubcommand {
    /// Run the identity server alone, in the foreground
    Serve {
        /// Where to listen, such as 127.0.0.1:8090
        #[arg(long)]
        listen: Option<String>,
    },
    /// List the identity service's signing keys, the oldest first
    ListKeys,
    /// Make a new signing key; the earlier ones stay good for what they signed
    RotateKey,
    /// Revoke a signing key that others may have: what it signed counts for nothing
    RevokeKey {
        /// Such as `ed25519:0`
        key_id: String,
    },
    /// Make a new pepper for lookups, and hash all bound addresses with it
    RotatePepper,
}
