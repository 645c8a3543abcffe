//! What tests with mail share: a server that sends to a mailbox, and what one finds there.

use gatehouse_server::Config;
use gatehouse_server::config::SmtpTls;
use gatehouse_test_mailbox::Mailbox;
use gatehouse_testkit::{Answer, TestServer, User, configured};
use serde_json::{Value, json};

/// Where the links in mails lead; tests ask the server itself instead.
const PUBLIC: &str = "https://matrix.test.example";

/// A server that sends mail, and who gets it.
pub(crate) struct Mailed {
    pub(crate) server: TestServer,
    pub(crate) mailbox: Mailbox,
}

pub(crate) async fn mailed() -> Mailed {
    mailed_with(|_| ()).await
}

pub(crate) async fn mailed_with(change: impl FnOnce(&mut Config)) -> Mailed {
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
    Mailed { server, mailbox }
}

impl Mailed {
    /// `POST …/requestToken`, answered with a session.
    pub(crate) async fn request(&self, page: &str, email: &str, secret: &str, attempt: u64) -> Answer {
        let body = json!({ "client_secret": secret, "email": email, "send_attempt": attempt });
        let path = format!("/_matrix/client/v3/{page}/email/requestToken");
        self.server.request("POST", &path, Some(&body)).await
    }

    /// The path and query of the link in the next mail to the address.
    pub(crate) async fn link_to(&self, email: &str) -> String {
        let mail = self.mailbox.next_to(&email.to_lowercase()).await.unwrap();
        assert!(mail.defects.is_empty(), "{:?}", mail.defects);
        let word = mail
            .text
            .split_whitespace()
            .find(|word| word.starts_with("http"))
            .unwrap();
        assert!(
            mail.html
                .replace("&amp;", "&")
                .replace("&#x2f;", "/")
                .contains(word),
            "both parts lead to the same place"
        );
        word.strip_prefix(PUBLIC).unwrap().to_owned()
    }

    /// Follows a link: status and text of the page.
    pub(crate) async fn follow(&self, link: &str) -> (u16, String) {
        let url = format!("{}{link}", self.server.base());
        let page = self.server.http().get(url).send().await.unwrap();
        let headers = page.headers().clone();
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert_eq!(headers["cache-control"], "no-store");
        let text = page.status().as_u16();
        let page = page.text().await.unwrap();
        assert!(!page.contains("<script"));
        (text, page)
    }

    /// A session in which the address was proven by following the link.
    pub(crate) async fn proven(&self, page: &str, email: &str, secret: &str) -> String {
        let answer = self.request(page, email, secret, 1).await.ok();
        let link = self.link_to(email).await;
        assert_eq!(self.follow(&link).await.0, 200);
        answer["sid"].as_str().unwrap().to_owned()
    }

    /// Has the user add the address.
    pub(crate) async fn add(&self, user: &User<'_>, email: &str) {
        let sid = self.proven("account/3pid", email, "adding").await;
        let body = json!({ "sid": sid, "client_secret": "adding", "auth": password(user) });
        user.post("/account/3pid/add", body).await.ok();
    }
}

/// The stage that proves a user by password.
pub(crate) fn password(user: &User<'_>) -> Value {
    let name = user.id.trim_start_matches('@').split(':').next().unwrap();
    json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": name },
        "password": format!("password of {name}"),
    })
}

/// The stage that proves an address.
pub(crate) fn email_identity(sid: &str, secret: &str) -> Value {
    json!({ "type": "m.login.email.identity", "threepid_creds": { "sid": sid, "client_secret": secret } })
}
