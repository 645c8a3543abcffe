//! What a person's client does at an identity server, whoever wrote that.

use gatehouse_test_mailbox::Mailbox;
use serde_json::{Value, json};

use super::person::Person;
use crate::process::request;

/// An identity server as one person knows it: with an account there, or through the legacy API, which has none.
pub(super) struct IdentityAccount {
    server: String,
    pub(super) token: Option<String>,
}

/// An address that was proven.
pub(super) struct Proof {
    pub(super) sid: String,
    pub(super) client_secret: String,
}

impl IdentityAccount {
    /// Registers the person with the server at this URL.
    pub(super) async fn register(server: &str, person: &Person) -> Self {
        let newcomer = Self {
            server: server.to_owned(),
            token: None,
        };
        let path = "/_matrix/identity/v2/account/register";
        let registered = newcomer.post(path, person.openid().await).await;
        Self {
            token: Some(registered["token"].as_str().unwrap().to_owned()),
            ..newcomer
        }
    }

    /// Speaks the legacy API.
    pub(super) fn legacy(server: &str) -> Self {
        Self {
            server: server.to_owned(),
            token: None,
        }
    }

    fn path(&self, path: &str) -> String {
        match self.token {
            Some(_) => format!("/_matrix/identity/v2{path}"),
            None => format!("/_matrix/identity/api/v1{path}"),
        }
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let token = self.token.as_deref();
        let (status, answer) = request(&self.server, "POST", path, token, Some(body))
            .await
            .unwrap();
        assert_eq!(status, 200, "POST {path}: {answer}");
        answer
    }

    /// Agrees to the terms that stand there.
    pub(super) async fn agree(&self, terms: &str) {
        let body = json!({ "user_accepts": [terms] });
        self.post("/_matrix/identity/v2/terms", body).await;
    }

    /// Asks for a mail to the address, and hands in what it says.
    pub(super) async fn prove(&self, mailbox: &Mailbox, address: &str) -> Proof {
        // One session, one secret.
        let client_secret = format!("s3cret_of_{}", address.replace('@', "_at_"));
        let asked = json!({ "client_secret": client_secret, "email": address, "send_attempt": 1 });
        let answer = self.post(&self.path("/validate/email/requestToken"), asked).await;
        let sid = answer["sid"].as_str().unwrap().to_owned();
        let mail = mailbox.next_to(address).await.unwrap();
        let token = parameter(mail.link().unwrap(), "token");
        let submitted = json!({ "sid": sid, "client_secret": client_secret, "token": token });
        let answer = self
            .post(&self.path("/validate/email/submitToken"), submitted)
            .await;
        assert_eq!(answer["success"], true, "{answer}");
        Proof { sid, client_secret }
    }

    /// Binds the address to the person without a word to their homeserver.
    pub(super) async fn bind(&self, proof: &Proof, person: &Person) {
        let body = json!({ "sid": proof.sid, "client_secret": proof.client_secret, "mxid": person.id });
        self.post(&self.path("/3pid/bind"), body).await;
    }

    /// Has the acceptance of an invitation signed, with what its mail says.
    pub(super) async fn sign(&self, link: &str, person: &Person) -> Value {
        let body = json!({
            "mxid": person.id,
            "token": parameter(link, "token"),
            "private_key": parameter(link, "private_key"),
        });
        self.post(&self.path("/sign-ed25519"), body).await
    }
}

/// A parameter of a link, decoded.
pub(super) fn parameter(link: &str, name: &str) -> String {
    let link = reqwest::Url::parse(link).unwrap();
    let mut found = link.query_pairs().filter(|(found, _)| found == name);
    found.next().unwrap().1.into_owned()
}
