//! A mail server for tests that keeps what it gets: `aiosmtpd`, from the scratch environment that `cargo xtask test`
//! makes. Mails are parsed by Python's `email` package, as a mail reader would parse them.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    sync::Mutex,
};

/// How long a test waits for a mail before it fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the mail server behaves.
#[derive(Debug, Clone, Default)]
pub struct MailboxOptions {
    /// Certificate and key, in PEM files, and whether TLS is there from the first byte.
    pub tls: Option<MailboxTls>,
    /// Name and password, without which nothing is taken.
    pub login: Option<(String, String)>,
    /// What the first mails are answered, one each; such as `451 later`.
    pub refuse: Vec<String>,
}

/// TLS of the mail server.
#[derive(Debug, Clone)]
pub struct MailboxTls {
    /// The certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// From the first byte; else by STARTTLS.
    pub from_the_start: bool,
}

/// A mail, as a mail reader shows it.
#[derive(Debug, Clone, Deserialize)]
pub struct Mail {
    /// From the envelope.
    pub sender: String,
    /// From the envelope.
    pub recipients: Vec<String>,
    /// Whether it came by TLS.
    pub secure: bool,
    /// All headers, decoded.
    pub headers: Vec<(String, String)>,
    /// The subject.
    pub subject: String,
    /// The text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
    /// What is wrong with it.
    pub defects: Vec<String>,
}

/// What the mail server told.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Told {
    Mail(Box<Mail>),
    Other(Value),
}

/// A running mail server. It stops when dropped.
pub struct Mailbox {
    _child: Child,
    lines: Mutex<Lines<BufReader<ChildStdout>>>,
    /// What came while a mail to somebody else was waited for.
    kept: Mutex<VecDeque<Mail>>,
    port: u16,
}

impl Mailbox {
    /// One that takes everything, without TLS.
    pub async fn start() -> Result<Self> {
        Self::with(MailboxOptions::default()).await
    }

    /// One that behaves so.
    pub async fn with(options: MailboxOptions) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let python = root.join("target/scratch/python/bin/python");
        ensure!(
            python.exists(),
            "{} is missing: `cargo xtask test` makes it",
            python.display()
        );
        let mut command = Command::new(python);
        command.arg(root.join("testing/mailbox/catcher.py"));
        if let Some(tls) = &options.tls {
            let kind = if tls.from_the_start { "tls" } else { "starttls" };
            command
                .args(["--tls", kind])
                .arg("--cert")
                .arg(&tls.cert)
                .arg("--key")
                .arg(&tls.key);
        }
        if let Some((name, password)) = &options.login {
            command.arg("--login").arg(format!("{name}:{password}"));
        }
        for answer in &options.refuse {
            command.arg("--refuse").arg(answer);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().context("the mail server has no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let first = lines
            .next_line()
            .await?
            .context("the mail server does not start")?;
        let told: Value = serde_json::from_str(&first)?;
        let port = told
            .get("port")
            .and_then(Value::as_u64)
            .context("the mail server names no port")?;
        Ok(Self {
            _child: child,
            lines: Mutex::new(lines),
            kept: Mutex::default(),
            port: u16::try_from(port)?,
        })
    }

    /// The port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The next mail to this address, waited for. Mails to others are kept for their own calls.
    pub async fn next_to(&self, address: &str) -> Result<Mail> {
        let is_to = |mail: &Mail| mail.recipients.iter().any(|to| to == address);
        let mut kept = self.kept.lock().await;
        if let Some(mail) = kept.iter().position(is_to).and_then(|at| kept.remove(at)) {
            return Ok(mail);
        }
        loop {
            let mail = self.arrived().await?;
            if is_to(&mail) {
                return Ok(mail);
            }
            kept.push_back(mail);
        }
    }

    /// The next mail, waited for.
    pub async fn next(&self) -> Result<Mail> {
        match self.kept.lock().await.pop_front() {
            Some(mail) => Ok(mail),
            None => self.arrived().await,
        }
    }

    async fn arrived(&self) -> Result<Mail> {
        match self.told().await? {
            Told::Mail(mail) => Ok(*mail),
            Told::Other(other) => bail!("expected a mail, got {other}"),
        }
    }

    /// Waits until a mail has been refused.
    pub async fn refused(&self) -> Result<()> {
        match self.told().await? {
            Told::Other(_) => Ok(()),
            Told::Mail(mail) => bail!("expected a refusal, got {mail:?}"),
        }
    }

    async fn told(&self) -> Result<Told> {
        let mut lines = self.lines.lock().await;
        let line = tokio::time::timeout(PATIENCE, lines.next_line())
            .await
            .context("no mail came")??
            .context("the mail server has stopped")?;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Mail {
    /// The first link in the text part.
    pub fn link(&self) -> Option<&str> {
        let start = self.text.find("http")?;
        self.text.get(start..)?.split_whitespace().next()
    }

    /// The code in the text part: the first line's end that is made of digits.
    pub fn code(&self) -> Option<&str> {
        let words = self
            .text
            .lines()
            .filter_map(|line| line.split_whitespace().last());
        let mut codes = words.filter(|word| word.len() >= 4 && word.bytes().all(|b| b.is_ascii_digit()));
        codes.next()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }
}
