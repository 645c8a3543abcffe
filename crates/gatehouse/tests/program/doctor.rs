//! `gatehouse doctor`, beside servers that run and that do not.

use std::{net::TcpListener, path::Path};

use gatehouse_test_mailbox::{Mailbox, MailboxOptions, MailboxTls};
use gatehouse_testkit::neighbours::Neighbours;
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Server, program, run};

/// A server that others can reach, as far as loopback is the world.
struct House {
    dir: TempDir,
    /// Its name: the address at which it speaks TLS.
    name: String,
}

const SECRETS: [&str; 2] = ["the shared secret", "the mail server's password"];

impl House {
    fn new(neighbours: &Neighbours, more: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let (cert, key) = neighbours.certificate("127.0.0.1").unwrap();
        let (plain, secure) = (free_port(), free_port());
        let name = format!("127.0.0.1:{secure}");
        let ca = neighbours.ca_file();
        let settings = format!(
            r#"
server_name = "{name}"
public_baseurl = "https://{name}"
data_dir = {data:?}
[[listener]]
port = {plain}
[[listener]]
port = {secure}
tls_cert = {cert:?}
tls_key = {key:?}
[federation]
extra_ca_files = [{ca:?}]
deny_ip_ranges = []
[outbound_http]
extra_ca_files = [{ca:?}]
[registration]
shared_secret = "{secret}"
{more}"#,
            data = dir.path().join("data"),
            secret = SECRETS[0],
        );
        std::fs::write(dir.path().join("gatehouse.toml"), settings).unwrap();
        Self { dir, name }
    }

    fn start(&self) -> Server {
        let arguments = ["serve", "--config", "gatehouse.toml"];
        Server::run(program(self.path()).args(arguments), self.path())
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// What the doctor says, and whether all is well; nothing of what it says is a secret.
    #[track_caller]
    fn doctor(&self, server: &[&str]) -> (bool, Value) {
        let arguments = [&["doctor", "--config", "gatehouse.toml", "--json"], server].concat();
        let output = run(self.path(), &arguments, "");
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        for secret in SECRETS {
            assert!(
                !text.contains(secret) && !errors.contains(secret),
                "{text}{errors}"
            );
        }
        let said: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{errors}"));
        assert_eq!(said["fine"], output.status.success(), "{said:#}");
        (output.status.success(), said)
    }
}

fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

/// The faults' steps.
fn faults(said: &Value) -> Vec<&str> {
    let findings = said["findings"].as_array().unwrap().iter();
    findings
        .filter(|finding| finding["verdict"] == "fault")
        .map(|finding| {
            assert!(finding["advice"].is_string(), "{finding}");
            finding["step"].as_str().unwrap()
        })
        .collect()
}

fn finding<'a>(said: &'a Value, step: &str) -> &'a Value {
    let mut findings = said["findings"].as_array().unwrap().iter();
    let found = findings.find(|finding| finding["step"] == step);
    found.unwrap_or_else(|| panic!("{step}: {said:#}"))
}

#[tokio::test]
async fn a_server_that_is_well_is_told_so_while_it_runs_and_not_when_it_is_stopped() {
    let neighbours = Neighbours::new();
    let house = House::new(&neighbours, "");
    let server = house.start();
    let (fine, said) = house.doctor(&[]);
    assert!(fine, "{said:#}");
    assert_eq!(said["server_name"], house.name);
    for step in [
        "configuration",
        "signing key",
        "server",
        "listener",
        "TLS",
        "signing keys",
        "federation",
        "well-known (client)",
        "client API",
        "public address",
        "identity server",
    ] {
        assert_eq!(finding(&said, step)["verdict"], "good", "{said:#}");
    }
    for step in ["seen from outside", "mail"] {
        assert_eq!(finding(&said, step)["verdict"], "note", "{said:#}");
    }
    let plain = run(house.path(), &["doctor", "--config", "gatehouse.toml"], "");
    let text = String::from_utf8(plain.stdout).unwrap();
    let last = format!("{} is well; worth knowing: 2.", house.name);
    assert_eq!(text.lines().last(), Some(last.as_str()), "{text}");
    drop(server);
    let (fine, said) = house.doctor(&[]);
    assert!(!fine);
    let expected = [
        "server",
        "listener",
        "listener",
        "TLS",
        "public address",
        "identity server",
    ];
    assert_eq!(faults(&said), expected, "{said:#}");
}

#[tokio::test]
async fn another_server_is_looked_at_and_has_to_be_able_to_check_what_this_one_signs() {
    let neighbours = Neighbours::new();
    let (here, there) = (House::new(&neighbours, ""), House::new(&neighbours, ""));
    let _other = there.start();
    let _own = here.start();
    let (fine, said) = here.doctor(&[&there.name]);
    assert!(fine, "{said:#}");
    assert_eq!(finding(&said, "our signature")["came"], "It was accepted.");
    // One that does not run, and that nobody has met while it did.
    let gone = House::new(&neighbours, "");
    drop(gone.start());
    let (_, said) = gone.doctor(&[&there.name]);
    assert_eq!(faults(&said), ["our signature"], "{said:#}");
    assert!(
        finding(&said, "our signature")["advice"]
            .as_str()
            .unwrap()
            .contains("Let this server run"),
        "{said:#}"
    );
}

#[tokio::test]
async fn a_certificate_for_another_name_is_found_by_whoever_looks() {
    let neighbours = Neighbours::new();
    let house = House::new(&neighbours, "");
    _ = neighbours.certificate("other.example").unwrap();
    let settings = house.path().join("gatehouse.toml");
    let text = std::fs::read_to_string(&settings).unwrap();
    let text = text
        .replace("127.0.0.1.cert.pem", "other.example.cert.pem")
        .replace("127.0.0.1.key.pem", "other.example.key.pem");
    std::fs::write(&settings, text).unwrap();
    let _server = house.start();
    let (_, said) = house.doctor(&[]);
    let tls = finding(&said, "TLS");
    assert_eq!(tls["verdict"], "fault", "{said:#}");
    assert!(tls["came"].as_str().unwrap().contains("other.example"), "{tls}");
}

#[tokio::test]
async fn the_mail_server_is_greeted_and_logged_in_to_and_gets_no_mail() {
    let neighbours = Neighbours::new();
    let (cert, key) = neighbours.certificate("localhost").unwrap();
    let mailbox = Mailbox::with(MailboxOptions {
        login: Some(("us".to_owned(), SECRETS[1].to_owned())),
        tls: Some(MailboxTls {
            cert,
            key,
            from_the_start: false,
        }),
        ..MailboxOptions::default()
    })
    .await
    .unwrap();
    let mail = |user: &str, port: u16| {
        format!(
            "[email]\nsmtp_host = \"localhost\"\nsmtp_port = {port}\nfrom = \"us@example.org\"\nsmtp_user = \
             \"{user}\"\nsmtp_password = \"{}\"\nextra_ca_files = [{:?}]\n",
            SECRETS[1],
            neighbours.ca_file()
        )
    };
    let (_, said) = House::new(&neighbours, &mail("us", mailbox.port())).doctor(&[]);
    assert_eq!(finding(&said, "mail")["verdict"], "good", "{said:#}");
    let (_, said) = House::new(&neighbours, &mail("them", mailbox.port())).doctor(&[]);
    let refused = finding(&said, "mail");
    assert_eq!(refused["verdict"], "fault", "{said:#}");
    assert!(refused["came"].as_str().unwrap().contains("login"), "{refused}");
    let (_, said) = House::new(&neighbours, &mail("us", free_port())).doctor(&[]);
    let dead = finding(&said, "mail");
    assert!(
        dead["came"].as_str().unwrap().contains("cannot be reached"),
        "{dead}"
    );
}

#[test]
fn without_any_settings_the_doctor_says_what_is_missing_and_makes_nothing() {
    let dir = TempDir::new().unwrap();
    let output = run(dir.path(), &["doctor"], "");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.starts_with("FAULT  configuration\n"), "{text}");
    assert!(text.contains("Choose a `server_name`"), "{text}");
    assert!(
        text.lines()
            .last()
            .unwrap()
            .starts_with("localhost is not well: "),
        "{text}"
    );
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        0,
        "nothing is made"
    );
    let output = run(dir.path(), &["doctor", "not a name"], "");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("is not a server name") && !output.status.success(),
        "{errors}"
    );
}
