//! E-mail, by SMTP.

use std::{
    path::PathBuf,
    time::{Duration, UNIX_EPOCH},
};

use futures_util::{FutureExt, future::BoxFuture};
use lettre::{
    address::Envelope,
    message::{Mailbox, MultiPart, header},
    transport::smtp::{
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, Certificate, Tls, TlsParameters},
        extension::ClientId,
    },
};
use thiserror::Error;

use crate::{
    Carrier, DeliveryError, Message, Threepid,
    helo::{self, HeloError},
};

/// How long connecting to the mail server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a mail may take altogether. Long, since some servers look at a mail for viruses before they say that they
/// have it, and would get it again.
const TIMEOUT: Duration = Duration::from_mins(2);

/// How long it may take to see whether mail could be handed over.
const CHECK_TIMEOUT: Duration = Duration::from_secs(20);

/// How long the farewell may take.
const FAREWELL: Duration = Duration::from_secs(5);

/// How the way to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpTls {
    /// Not at all: for a server on the same machine.
    None,
    /// From the start of the conversation on (RFC 3207); never without.
    Starttls,
    /// From the first byte (RFC 8314).
    Tls,
}

/// Where mail goes out.
#[derive(Clone)]
pub struct SmtpConfig {
    /// The mail server.
    pub host: String,
    /// Its port; unset: 465 with TLS, 587 otherwise.
    pub port: Option<u16>,
    /// How the way there is protected.
    pub tls: SmtpTls,
    /// Name and password there.
    pub login: Option<(String, String)>,
    /// The sender: an address, or `Name <address>`.
    pub from: String,
    /// Certificate authorities besides the system's, in PEM.
    pub extra_ca_files: Vec<PathBuf>,
}

/// Why mail cannot be set up.
#[derive(Debug, Error)]
pub enum SmtpSetupError {
    /// Nobody can be the sender.
    #[error("`[email] from` is not an address; write `name@example.org` or `Name <name@example.org>`")]
    From,
    /// A file with certificate authorities cannot be used.
    #[error("cannot use the certificates in {path}: {reason}")]
    Certificates {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS to the mail server: {0}")]
    Tls(String),
}

/// Sends by SMTP, with a connection for each mail: a conversation that was broken off must not be taken up by the next.
pub struct SmtpCarrier {
    host: String,
    port: u16,
    tls: Tls,
    login: Option<Credentials>,
    timeout: Duration,
    from: Mailbox,
    /// What stands after the `@` of message ids.
    domain: String,
}

impl SmtpCarrier {
    /// A carrier to this server. Its certificate must be good for its name (security.md I05).
    pub fn new(config: &SmtpConfig) -> Result<Self, SmtpSetupError> {
        let from: Mailbox = config.from.parse().map_err(|_| SmtpSetupError::From)?;
        let domain = from.email.domain().to_owned();
        let tls = match config.tls {
            SmtpTls::None => Tls::None,
            SmtpTls::Starttls => Tls::Required(parameters(config)?),
            SmtpTls::Tls => Tls::Wrapper(parameters(config)?),
        };
        let port = config.port.unwrap_or(match config.tls {
            SmtpTls::Tls => 465,
            SmtpTls::None | SmtpTls::Starttls => 587,
        });
        let login = config.login.clone();
        Ok(Self {
            host: config.host.clone(),
            port,
            tls,
            login: login.map(|(user, password)| Credentials::new(user, password)),
            timeout: TIMEOUT,
            from,
            domain,
        })
    }

    /// The same, which waits for so long at most.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    async fn send(&self, message: &Message) -> Result<(), DeliveryError> {
        let mail = self
            .mail(message)
            .ok_or(DeliveryError::Never("no mail can be made of it"))?;
        let sent = tokio::time::timeout(self.timeout, self.hand_over(mail)).await;
        sent.unwrap_or(Err(DeliveryError::Later("the mail server takes too long")))
    }

    async fn hand_over(&self, mail: lettre::Message) -> Result<(), DeliveryError> {
        let envelope = mail.envelope().clone();
        let mail = mail.formatted();
        let Err(error) = self.speak(&envelope, &mail).await else {
            return Ok(());
        };
        if !self.goes_on_with_helo(&error) {
            return Err(failure(&error));
        }
        helo::send((&self.host, self.port), &self.domain, &envelope, &mail)
            .await
            .map_err(|error| match error {
                HeloError::Reply(code) => refusal(code),
                HeloError::Broken => DeliveryError::Later("the mail server broke off the conversation"),
            })
    }

    /// The conversation, up to the answer that the mail is taken: a server that then says no more has it all the same, and
    /// must not get it twice (reliability.md R30).
    async fn speak(&self, envelope: &Envelope, mail: &[u8]) -> Result<(), lettre::transport::smtp::Error> {
        let mut connection = self.connect().await?;
        connection.send(envelope, mail).await?;
        tokio::spawn(farewell(connection));
        Ok(())
    }

    /// The conversation up to where a mail would be handed over.
    async fn connect(&self) -> Result<AsyncSmtpConnection, lettre::transport::smtp::Error> {
        let hello = ClientId::Domain(self.domain.clone());
        let server = (self.host.as_str(), self.port);
        let from_the_start = match &self.tls {
            Tls::Wrapper(parameters) => Some(parameters.clone()),
            _ => None,
        };
        let timeout = Some(CONNECT_TIMEOUT);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, timeout, &hello, from_the_start, None).await?;
        if let Tls::Required(parameters) = &self.tls {
            connection.starttls(parameters.clone(), &hello).await?;
        }
        if let Some(login) = &self.login {
            connection.auth(DEFAULT_MECHANISMS, login).await?;
        }
        Ok(connection)
    }

    /// Whether mail could be handed over: greets, agrees on TLS and logs in, as far as the settings say so, and takes leave.
    pub async fn check(&self) -> Result<(), DeliveryError> {
        let checking = async {
            match self.connect().await {
                Ok(connection) => {
                    farewell(connection).await;
                    Ok(())
                }
                Err(error) if self.goes_on_with_helo(&error) => Ok(()),
                Err(error) => Err(failure(&error)),
            }
        };
        let checked = tokio::time::timeout(CHECK_TIMEOUT, checking).await;
        checked.unwrap_or(Err(DeliveryError::Later("the mail server takes too long")))
    }

    /// Where mail goes out, as it is shown to people.
    pub fn place(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Whether the server knows no EHLO, and none is needed.
    fn goes_on_with_helo(&self, error: &lettre::transport::smtp::Error) -> bool {
        let knows_no_ehlo = matches!(error.status().map(u16::from), Some(500 | 502));
        knows_no_ehlo && matches!(self.tls, Tls::None) && self.login.is_none()
    }

    fn mail(&self, message: &Message) -> Option<lettre::Message> {
        let to = mailbox(&message.to)?;
        // Header values are encoded by the library; a subject with a line break in it would not be one.
        let subject: String = message.subject.chars().filter(|c| !c.is_control()).collect();
        lettre::Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(subject)
            .message_id(Some(format!("<{}@{}>", message.id, self.domain)))
            .date(UNIX_EPOCH + Duration::from_millis(message.written_ms))
            .header(AutoSubmitted)
            .multipart(MultiPart::alternative_plain_html(
                message.text.clone(),
                message.html.clone(),
            ))
            .ok()
    }
}

impl Carrier for SmtpCarrier {
    fn deliver<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), DeliveryError>> {
        self.send(message).boxed()
    }
}

impl std::fmt::Debug for SmtpCarrier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SmtpCarrier")
    }
}

async fn farewell(mut connection: AsyncSmtpConnection) {
    // Whether they heard it does not matter.
    let _ = tokio::time::timeout(FAREWELL, connection.abort()).await;
}

fn mailbox(to: &Threepid) -> Option<Mailbox> {
    Some(Mailbox::new(None, to.address().parse().ok()?))
}

fn parameters(config: &SmtpConfig) -> Result<TlsParameters, SmtpSetupError> {
    let mut builder = TlsParameters::builder(config.host.clone());
    for path in &config.extra_ca_files {
        let failed = |reason: String| SmtpSetupError::Certificates {
            path: path.clone(),
            reason,
        };
        let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let certificate = Certificate::from_pem(&pem).map_err(|error| failed(error.to_string()))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder
        .build()
        .map_err(|error| SmtpSetupError::Tls(error.to_string()))
}

/// What a failure means for the message.
fn failure(error: &lettre::transport::smtp::Error) -> DeliveryError {
    match error.status() {
        Some(code) => refusal(code.into()),
        None if error.is_tls() => DeliveryError::Later("the mail server's certificate is not good"),
        None if error.is_client() => {
            DeliveryError::Later("the mail server does not offer what the settings ask for: TLS, or a login")
        }
        None if error.is_timeout() => DeliveryError::Later("the mail server takes too long"),
        None => DeliveryError::Later("the mail server cannot be reached"),
    }
}

/// What a reply means for the message. Settings that do not fit are the operator's to repair, and no reason to drop mail:
/// the replies 50x are about commands, 53x about the login.
fn refusal(code: u16) -> DeliveryError {
    match code {
        530..=539 => DeliveryError::Later("the mail server does not accept the login"),
        500..=509 => DeliveryError::Later("the mail server does not understand us"),
        510..=599 => DeliveryError::Never("the mail server refuses it for good"),
        _ => DeliveryError::Later("the mail server does not take it now"),
    }
}

/// Keeps holiday notices from answering (RFC 3834).
#[derive(Debug, Clone, Copy)]
struct AutoSubmitted;

impl header::Header for AutoSubmitted {
    fn name() -> header::HeaderName {
        header::HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> header::HeaderValue {
        header::HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}
