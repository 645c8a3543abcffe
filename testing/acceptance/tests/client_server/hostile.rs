//! An identity server on this machine that does as it is told.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    body::Body,
    extract::State,
    http::{Response, StatusCode, Uri, header},
};
use gatehouse_events::SigningKey;
use gatehouse_testkit::{TestServer, User, configured, user::escaped};
use ruma::{CanonicalJsonObject, signatures::sign_json};
use serde_json::{Value, json};

/// What an identity server may do to us.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Says(Value),
    Slow,
    /// Answers rightly, after three seconds.
    Sluggish,
    Huge,
    Redirects,
    Html,
    HalfJson,
    DeepJson,
    Breaks,
    Lies(Value),
}

/// An identity server on this machine, which the operator named, and which answers as told.
#[derive(Clone)]
pub(crate) struct Hostile {
    pub(crate) name: String,
    key: Arc<SigningKey>,
    /// Which path it answers how; all others as the specification says.
    spoilt: Arc<Mutex<Option<(&'static str, Answer)>>>,
    asked: Arc<Mutex<Vec<String>>>,
    /// Whose every address is.
    owner: Arc<Mutex<Option<String>>>,
}

impl Hostile {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hostile = Self {
            name: listener.local_addr().unwrap().to_string(),
            key: Arc::new(SigningKey::from_seed([3; 32], "0").unwrap()),
            spoilt: Arc::default(),
            asked: Arc::default(),
            owner: Arc::default(),
        };
        let router = axum::Router::new().fallback(answer).with_state(hostile.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        hostile
    }

    /// A homeserver whose operator named it.
    pub(crate) async fn trusted(&self) -> TestServer {
        configured(|config| config.identity_servers.trusted = vec![format!("http://{}", self.name)]).await
    }

    /// The same, somewhere where nobody is.
    pub(crate) fn gone(&self) -> Self {
        Self {
            name: "127.0.0.1:9".to_owned(),
            ..self.clone()
        }
    }

    pub(crate) fn answers(&self, path: &'static str, answer: Answer) {
        *self.spoilt.lock().unwrap() = Some((path, answer));
    }

    /// How often anything was asked.
    pub(crate) fn times_asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// From now on every address is this user's.
    pub(crate) fn knows(&self, mxid: &str) {
        *self.owner.lock().unwrap() = Some(mxid.to_owned());
    }

    pub(crate) fn behaves(&self) {
        *self.spoilt.lock().unwrap() = None;
    }

    pub(crate) fn was_asked(&self, path: &str) -> bool {
        self.asked.lock().unwrap().iter().any(|asked| asked == path)
    }

    /// What it signs for whoever has proven the address.
    pub(crate) fn signed(&self, block: &Value) -> Value {
        let mut block: CanonicalJsonObject = serde_json::from_value(block.clone()).unwrap();
        sign_json(&self.name, &*self.key, &mut block).unwrap();
        serde_json::to_value(block).unwrap()
    }

    pub(crate) fn good(&self, path: &str) -> Value {
        match path {
            "/_matrix/identity/v2/account/register" => json!({ "token": "t" }),
            "/_matrix/identity/v2/hash_details" => json!({ "algorithms": ["sha256"], "lookup_pepper": "p" }),
            // Of an address that is somebody's, `store-invite` says whose; nothing is hashed here.
            "/_matrix/identity/v2/lookup" => json!({ "mappings": {} }),
            "/_matrix/identity/v2/store-invite" => json!({
                "token": "token",
                "display_name": "b...",
                "public_keys": [{
                    "public_key": self.key.public_key_base64(),
                    "key_validity_url": format!("http://{}{IS_VALID}", self.name),
                }],
            }),
            IS_VALID => json!({ "valid": true }),
            _ => json!({ "errcode": "M_UNRECOGNIZED" }),
        }
    }
}

pub(crate) const IS_VALID: &str = "/_matrix/identity/v2/pubkey/isvalid";

/// All that it is asked for an invite.
pub(crate) const FOR_AN_INVITE: [&str; 4] = [
    "/_matrix/identity/v2/account/register",
    "/_matrix/identity/v2/hash_details",
    "/_matrix/identity/v2/lookup",
    "/_matrix/identity/v2/store-invite",
];

async fn answer(State(hostile): State<Hostile>, uri: Uri) -> Response<Body> {
    let path = uri.path();
    hostile.asked.lock().unwrap().push(path.to_owned());
    let spoilt = hostile.spoilt.lock().unwrap().clone();
    let answer = match spoilt {
        Some((spoilt, answer)) if spoilt == path => answer,
        _ => Answer::Says(hostile.good(path)),
    };
    let json = |text: String| {
        Response::builder()
            .header(header::CONTENT_TYPE, "application/json")
            .body(text.into())
            .unwrap()
    };
    let with = |status: StatusCode, name, value: &str, text: &str| {
        Response::builder()
            .status(status)
            .header(name, value)
            .body(text.to_owned().into())
            .unwrap()
    };
    let owner = hostile.owner.lock().unwrap().clone();
    if let Some(mxid) = owner.filter(|_| path == FOR_AN_INVITE[3]) {
        let body = json!({ "errcode": "M_THREEPID_IN_USE", "error": "in use", "mxid": mxid });
        return with(
            StatusCode::BAD_REQUEST,
            header::CONTENT_TYPE,
            "application/json",
            &body.to_string(),
        );
    }
    match answer {
        Answer::Says(value) | Answer::Lies(value) => json(value.to_string()),
        Answer::Slow => {
            tokio::time::sleep(Duration::from_mins(1)).await;
            json(hostile.good(path).to_string())
        }
        Answer::Sluggish => {
            tokio::time::sleep(Duration::from_secs(3)).await;
            json(hostile.good(path).to_string())
        }
        Answer::Huge => json(format!("{{\"x\":\"{}\",\"valid\":true}}", "x".repeat(1 << 20))),
        Answer::Redirects => with(
            StatusCode::TEMPORARY_REDIRECT,
            header::LOCATION,
            "/elsewhere",
            "{}",
        ),
        Answer::Html => with(
            StatusCode::OK,
            header::CONTENT_TYPE,
            "text/html",
            "<p>{\"valid\":true}</p>",
        ),
        Answer::HalfJson => json("{\"valid\":true".to_owned()),
        Answer::DeepJson => json(format!("{{\"valid\":true,\"x\":{}", "[".repeat(30_000))),
        Answer::Breaks => with(
            StatusCode::INTERNAL_SERVER_ERROR,
            header::CONTENT_TYPE,
            "application/json",
            "{}",
        ),
    }
}

pub(crate) fn misbehaviours() -> [Answer; 7] {
    [
        Answer::Huge,
        Answer::Redirects,
        Answer::Html,
        Answer::HalfJson,
        Answer::DeepJson,
        Answer::Breaks,
        Answer::Lies(json!([])),
    ]
}

pub(crate) async fn invite(user: &User<'_>, room: &str, hostile: &Hostile) -> gatehouse_testkit::Answer {
    let body = json!({ "id_server": hostile.name, "medium": "email", "address": "bob@mail.example" });
    user.post(&format!("/rooms/{}/invite", escaped(room)), body).await
}

pub(crate) async fn join(user: &User<'_>, room: &str, block: &Value) -> gatehouse_testkit::Answer {
    let path = format!("/rooms/{}/join", escaped(room));
    user.post(&path, json!({ "third_party_signed": block })).await
}
