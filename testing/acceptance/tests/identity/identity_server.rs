//! A server with its identity service, and a mailbox.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use gatehouse_server::{Config, config::SmtpTls};
use gatehouse_test_mailbox::Mailbox;
use gatehouse_testkit::{Answer, TestServer, User, configured, user::escaped};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Where the links in mails lead; tests ask the server itself instead.
const PUBLIC: &str = "https://matrix.test.example";

pub(crate) struct IdentityServer {
    pub(crate) server: TestServer,
    pub(crate) mailbox: Mailbox,
}

pub(crate) async fn identity_server() -> IdentityServer {
    identity_server_with(|_| ()).await
}

pub(crate) async fn identity_server_with(change: impl FnOnce(&mut Config)) -> IdentityServer {
    let mailbox = Mailbox::start().await.unwrap();
    let server = configured(|config| {
        config.public_baseurl = Some(PUBLIC.to_owned());
        config.email.smtp_host = Some("127.0.0.1".to_owned());
        config.email.smtp_port = Some(mailbox.port());
        config.email.smtp_tls = SmtpTls::None;
        config.email.from = Some("Test <matrix@test.example>".to_owned());
        change(config);
    })
    .await;
    IdentityServer { server, mailbox }
}

impl IdentityServer {
    pub(crate) async fn get(&self, token: &str, path: &str) -> Answer {
        let path = format!("/_matrix/identity/v2{path}");
        self.server.request_with(token, "GET", &path, None).await
    }

    pub(crate) async fn post(&self, token: &str, path: &str, body: Value) -> Answer {
        let path = format!("/_matrix/identity/v2{path}");
        self.server.request_with(token, "POST", &path, Some(&body)).await
    }

    /// The user's access token for the identity service, got as clients do.
    pub(crate) async fn token(&self, user: &User<'_>) -> String {
        let path = format!("/user/{}/openid/request_token", escaped(&user.id));
        let openid = user.post(&path, json!({})).await.ok();
        let registered = self
            .server
            .request("POST", "/_matrix/identity/v2/account/register", Some(&openid))
            .await
            .ok();
        registered["token"].as_str().unwrap().to_owned()
    }

    /// Asks for a validation message: the session's id.
    pub(crate) async fn request_token(&self, token: &str, email: &str, secret: &str, attempt: u64) -> String {
        let body = json!({ "email": email, "client_secret": secret, "send_attempt": attempt });
        let answer = self.post(token, "/validate/email/requestToken", body).await.ok();
        answer["sid"].as_str().unwrap().to_owned()
    }

    /// The path and query of the link in the next mail to the address.
    pub(crate) async fn link_to(&self, email: &str) -> String {
        let mail = self.mailbox.next_to(email).await.unwrap();
        let mut words = mail.text.split_whitespace();
        let link = words.find_map(|word| word.strip_prefix(PUBLIC));
        link.unwrap().to_owned()
    }

    /// Follows a link: its status.
    pub(crate) async fn follow(&self, link: &str) -> u16 {
        let url = format!("{}{link}", self.server.base());
        let page = self.server.http().get(url).send().await.unwrap();
        page.status().as_u16()
    }

    /// Has the user prove the address and bind it.
    pub(crate) async fn bind(&self, token: &str, user: &User<'_>, email: &str) -> Value {
        let sid = self.request_token(token, email, "binding", 1).await;
        assert_eq!(self.follow(&self.link_to(email).await).await, 200);
        let body = json!({ "sid": sid, "client_secret": "binding", "mxid": user.id });
        self.post(token, "/3pid/bind", body).await.ok()
    }

    pub(crate) async fn pepper(&self, token: &str) -> String {
        let details = self.get(token, "/hash_details").await.ok();
        details["lookup_pepper"].as_str().unwrap().to_owned()
    }

    /// Who has bound the address; null when nobody has.
    pub(crate) async fn owner(&self, token: &str, email: &str) -> Value {
        let pepper = self.pepper(token).await;
        let hash = hash(email, &pepper);
        let body = json!({ "algorithm": "sha256", "pepper": pepper, "addresses": [hash] });
        self.post(token, "/lookup", body).await.ok()["mappings"][&hash].clone()
    }
}

/// As a client hashes an e-mail address.
pub(crate) fn hash(email: &str, pepper: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{email} email {pepper}")))
}
