//! What must never be logged nor counted by name: addresses, and what is in the links of mails (security.md T21).

use gatehouse_test_mailbox::Mailbox;
use gatehouse_testkit::user::escaped;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Server, configure, program};

/// The bundled identity server, as clients name it.
const ID_SERVER: &str = "matrix.a.example";

/// What stands in the addresses of this test, and nowhere else.
const NAMES: [&str; 4] = ["inviteesname", "provensname", "accountsname", "strangersname"];

fn address(name: &str) -> String {
    format!("{name}@mail.example")
}

/// Somebody who asks, and what secrets they have seen.
struct Story<'a> {
    server: &'a Server,
    mailbox: &'a Mailbox,
    secrets: Vec<String>,
}

impl Story<'_> {
    async fn ask(&self, method: &str, path: &str, token: Option<&str>, body: Value) -> (u16, Value) {
        let body = Some(body).filter(|body| !body.is_null());
        self.server.request(method, path, token, body).await.unwrap()
    }

    async fn ok(&self, method: &str, path: &str, token: Option<&str>, body: Value) -> Value {
        let (status, answer) = self.ask(method, path, token, body).await;
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    }

    /// The path of the link in the next mail to the address, which is a secret, as is all that stands in its query.
    async fn link(&mut self, name: &str) -> String {
        let mail = self.mailbox.next_to(&address(name)).await.unwrap();
        let link = mail.link().unwrap().replace(&format!("https://{ID_SERVER}"), "");
        let (path, query) = link.split_once('?').unwrap_or((&link, ""));
        let in_path = path.rsplit('/').next().filter(|part| part.len() > 20);
        self.secrets.extend(in_path.map(ToOwned::to_owned));
        let values = query.split('&').filter_map(|pair| pair.split_once('='));
        self.secrets.extend(values.map(|(_, value)| value.to_owned()));
        link
    }

    /// Alice invites an address; its link is looked at, rightly and wrongly, and an account made behind it.
    async fn invitation(&mut self, alice: &str) {
        let room = self
            .ok("POST", "/_matrix/client/v3/createRoom", Some(alice), json!({}))
            .await;
        let room = escaped(room["room_id"].as_str().unwrap());
        for version in ["v3", "r0", "api/v1"] {
            let path = format!("/_matrix/client/{version}/rooms/{room}/invite");
            let body = json!({ "id_server": ID_SERVER, "medium": "email", "address": address(NAMES[0]) });
            self.ok("POST", &path, Some(alice), body).await;
        }
        let link = self.link(NAMES[0]).await;
        self.ask("GET", &link, None, Value::Null).await;
        self.ask("GET", &format!("{link}x"), None, Value::Null).await;
        self.ask("GET", &format!("{link}/nowhere"), None, Value::Null)
            .await;
        self.ask("POST", &format!("{link}/account"), None, json!({}))
            .await;
        self.ask("DELETE", &link, None, Value::Null).await;
    }

    /// Somebody proves an address to the identity service in both of its APIs, binds it, and is looked up.
    async fn proof(&mut self, token: &str, mxid: &str) {
        let secret = "clientssecret1";
        let body = json!({ "email": address(NAMES[1]), "client_secret": secret, "send_attempt": 1 });
        let path = "/_matrix/identity/api/v1/validate/email/requestToken";
        let session = self.ok("POST", path, None, body).await;
        let link = self.link(NAMES[1]).await;
        self.ask("GET", &format!("{link}x"), None, Value::Null).await;
        self.ask("GET", &link, None, Value::Null).await;
        let query = format!("sid={}&client_secret={secret}", session["sid"].as_str().unwrap());
        for api in ["v2", "api/v1"] {
            let path = format!("/_matrix/identity/{api}/3pid/getValidated3pid?{query}");
            self.ask("GET", &path, None, Value::Null).await;
        }
        let creds = json!({ "sid": session["sid"], "client_secret": secret, "id_server": ID_SERVER });
        self.ok("POST", "/_matrix/client/v3/account/3pid/bind", Some(token), creds)
            .await;
        for name in [NAMES[1], NAMES[3]] {
            let path = format!(
                "/_matrix/identity/api/v1/lookup?medium=email&address={}",
                escaped(&address(name))
            );
            self.ok("GET", &path, None, Value::Null).await;
        }
        let body = json!({ "mxid": mxid, "medium": "email", "address": address(NAMES[3]), "invites": [] });
        self.ask("POST", "/_matrix/federation/v1/3pid/onbind", None, body)
            .await;
    }

    /// Somebody adds an address to their account, and forgets their password.
    async fn account(&mut self, token: &str) {
        for (page, secret) in [
            ("account/3pid", "clientssecret2"),
            ("account/password", "clientssecret3"),
        ] {
            let body = json!({ "email": address(NAMES[2]), "client_secret": secret, "send_attempt": 1 });
            let path = format!("/_matrix/client/v3/{page}/email/requestToken");
            let session = self.ok("POST", &path, None, body).await;
            let link = self.link(NAMES[2]).await;
            self.ask("GET", &link, None, Value::Null).await;
            let creds = json!({ "sid": session["sid"], "client_secret": secret });
            if page == "account/3pid" {
                let body = json!({ "three_pid_creds": creds });
                self.ok("POST", "/_matrix/client/v3/account/3pid", Some(token), body)
                    .await;
            }
            self.secrets.push(secret.to_owned());
        }
    }
}

#[tokio::test]
async fn t21_no_address_and_nothing_of_a_link_is_logged_or_counted_whatever_the_level() {
    let dir = TempDir::new().unwrap();
    // The first mail is refused with a sentence that has the address in it.
    let options = gatehouse_test_mailbox::MailboxOptions {
        refuse: vec![format!("550 no such user: {}", address(NAMES[3]))],
        ..Default::default()
    };
    let mailbox = Mailbox::with(options).await.unwrap();
    let more = format!(
        "[email]\nsmtp_host = \"127.0.0.1\"\nsmtp_port = {}\nsmtp_tls = \"none\"\nfrom = \"Test <matrix@a.example>\"\n",
        mailbox.port()
    );
    let config = configure(dir.path(), &more);
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(
        &config,
        format!("public_baseurl = \"https://{ID_SERVER}\"\n{text}"),
    )
    .unwrap();
    let mut command = program(dir.path());
    command
        .args(["serve", "--config", &config, "--listen", "127.0.0.1:0"])
        .env("RUST_LOG", "trace");
    let mut server = Server::run(&mut command, dir.path());
    let alice = server.register("alice").await;
    let mut story = Story {
        server: &server,
        mailbox: &mailbox,
        secrets: NAMES.map(ToOwned::to_owned).to_vec(),
    };
    let refused = json!({ "email": address(NAMES[3]), "client_secret": "clientssecret0", "send_attempt": 1 });
    let path = "/_matrix/client/v3/register/email/requestToken";
    story.ok("POST", path, None, refused).await;
    mailbox.refused().await.unwrap();
    story.invitation(&alice).await;
    story.proof(&alice, "@alice:a.example").await;
    story.account(&alice).await;
    let mut secrets = story.secrets;
    secrets.push("clientssecret".to_owned());
    assert!(secrets.len() > 12, "only {} secrets", secrets.len());
    let (status, metrics) = server.request("GET", "/metrics", None, None).await.unwrap();
    assert_eq!(status, 200, "{metrics}");
    server.signal("TERM");
    server.wait();
    let log = server.log();
    assert!(log.lines().count() > 20, "a log at this level is long: {log}");
    for secret in &secrets {
        let found = log.lines().find(|line| line.contains(secret.as_str()));
        assert!(found.is_none(), "logged: {secret} in {found:?}");
        assert!(
            !metrics.to_string().contains(secret.as_str()),
            "counted: {secret}"
        );
    }
}
