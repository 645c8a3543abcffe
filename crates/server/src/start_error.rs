use std::path::PathBuf;

use gatehouse_events::SigningKeyError;
use thiserror::Error;

/// Why a server does not start. The sentences tell what to do.
#[derive(Debug, Error)]
pub enum StartError {
    /// `server_name` is none.
    #[error("{0:?} is not a server name; it looks like example.org or example.org:8448")]
    ServerName(String),
    /// A room version is unknown.
    #[error("{0:?} is not a room version that this server knows; take one of 1 to 12")]
    RoomVersion(String),
    /// An address is none.
    #[error("{0:?} is not an IP address or `unix:/path`")]
    Address(String),
    /// Only one of certificate and key is named.
    #[error("a listener has tls_cert or tls_key but not both; name both for TLS, or neither")]
    HalfTls,
    /// The data directory cannot be made.
    #[error("cannot make the data directory {path}: {source}; choose another with --data-dir")]
    DataDir {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No key can be made.
    #[error(transparent)]
    Key(SigningKeyError),
    /// The signing key cannot be used.
    #[error(transparent)]
    KeyFile(#[from] crate::signing_key_file::SigningKeyFileError),
    /// The embedded store cannot be opened.
    #[error(transparent)]
    Embedded(#[from] gatehouse_store_embedded::OpenError),
    /// Opening the store panicked.
    #[error("the program crashed while it opened the store; report this with the lines above")]
    Crashed,
    /// `PostgreSQL` cannot be used.
    #[error(transparent)]
    Postgres(#[from] gatehouse_store_postgres::OpenError),
    /// The data belongs to another server.
    #[error(transparent)]
    Identity(#[from] crate::identity::IdentityError),
    /// It cannot listen.
    #[error(transparent)]
    Listen(#[from] gatehouse_http::ListenError),
    /// The requests that the server makes cannot be set up.
    #[error(transparent)]
    Outbound(#[from] gatehouse_outbound::OutboundSetupError),
    /// Mail cannot be set up.
    #[error(transparent)]
    Mail(#[from] gatehouse_mail::SmtpSetupError),
    /// Text messages cannot be set up.
    #[error(transparent)]
    Sms(#[from] gatehouse_mail::SmsSetupError),
    /// The fields of a form are texts.
    #[error("`[sms] body`: with `format = \"form\"` each field is a text, and `{0}` is not")]
    SmsField(String),
    /// A mail template cannot be used.
    #[error(transparent)]
    Template(#[from] gatehouse_mail::TemplateError),
    /// The identity service has no name.
    #[error(
        "{0:?} is not a name for the identity server; set `[identity_service] server_name` to the host where it is reached"
    )]
    IdentityName(String),
    /// Nobody could reach the identity service.
    #[error(
        "no `[[listener]]` serves the identity API; add it to `serve` of one, such as `serve = [\"identity\"]`"
    )]
    NoIdentityListener,
    /// An identity service without a homeserver knows users by asking theirs.
    #[error(
        "an identity server alone asks homeservers who their users are; set `[federation] enabled = true`, or leave it \
         out"
    )]
    IdentityWithoutFederation,
    /// Tokens cannot be kept.
    #[error("the signing key cannot protect tokens; make another with `gatehouse init`")]
    Seal,
    /// The pages cannot be shown.
    #[error("the pages cannot be shown: {0}")]
    Pages(String),
    /// Nobody could register.
    #[error(
        "`[registration] email_required` is set, but no mail can be sent; set `[email] smtp_host` and `from`"
    )]
    MailRequired,
    /// A captcha could not be checked.
    #[error(
        "`[recaptcha]` has no {0}; set verify_url, public_key and private_key, or leave all of them and `required` out"
    )]
    Recaptcha(&'static str),
    /// Nobody could be asked about a captcha.
    #[error("`[recaptcha] verify_url` is not a URL that begins with https:// or http://")]
    RecaptchaUrl,
    /// Mail has no sender.
    #[error("`[email] smtp_host` is set but `from` is not; say from which address mail is sent")]
    MailFrom,
    /// Only one of user and password is set.
    #[error("`[email]` has smtp_user or smtp_password but not both; set both, or neither")]
    HalfLogin,
}
