//! An identity server in memory, and somebody to ask it.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Router, body::Body, response::Response};
use futures_util::future::BoxFuture;
use gatehouse_events::Clock;
use gatehouse_http::{RateLimitConfig, RateLimits};
use gatehouse_identity::{Config, HomeserverError, Homeservers, Identity, Policy, PolicyText, SignedRequest};
use gatehouse_identity_api::{IdentityApi, router};
use gatehouse_mail::{Carrier, Carriers, DeliveryError, Message, Outbox, OutboxConfig, Templates};
use gatehouse_store::Store;
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use ruma::{OwnedServerName, OwnedUserId, ServerName, UserId, server_name};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

const START_MS: u64 = 1_750_000_000_000;

pub(crate) struct House {
    router: Router,
    pub(crate) clock: Clock,
    letters: tokio::sync::Mutex<mpsc::UnboundedReceiver<String>>,
    stop: CancellationToken,
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{} {}", self.status, self.text))
    }

    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        self.json()
    }

    pub(crate) fn refused(&self, status: u16, errcode: &str) -> Value {
        let body = self.json();
        assert_eq!(
            (self.status.as_u16(), body["errcode"].as_str()),
            (status, Some(errcode)),
            "{body}"
        );
        let sentence = body["error"].as_str().unwrap();
        assert!(sentence.len() > 10, "{sentence}");
        body
    }
}

pub(crate) fn house() -> House {
    house_with(|_| ())
}

pub(crate) fn house_with(change: impl FnOnce(&mut Config)) -> House {
    let (store, clock) = (Store::in_memory(), Clock::manual(START_MS));
    let mut config = Config::new(server_name!("id.test").to_owned(), "https://id.test");
    config.rates.enabled = false;
    config.next_link_hosts = vec!["app.test".to_owned()];
    change(&mut config);
    let (sender, letters) = mpsc::unbounded_channel();
    let carrier: Arc<dyn Carrier> = Arc::new(Letters(sender));
    let carriers = Carriers {
        email: Some(carrier.clone()),
        sms: Some(carrier),
    };
    let settings = OutboxConfig {
        server_name: "id.test".to_owned(),
    };
    let templates = Templates::built_in().unwrap();
    let outbox = Outbox::new(store.clone(), clock.clone(), carriers, settings, templates);
    let stop = CancellationToken::new();
    tokio::spawn({
        let (outbox, stop) = (outbox.clone(), stop.clone());
        async move { outbox.run(stop).await }
    });
    let identity = Identity::new(store, config, clock.clone(), outbox, Arc::new(Homes));
    let rate_limits = Arc::new(RateLimits::new(RateLimitConfig {
        enabled: false,
        ..RateLimitConfig::default()
    }));
    House {
        router: router(IdentityApi {
            identity,
            rate_limits,
            is_legacy_served: true,
        }),
        clock,
        letters: tokio::sync::Mutex::new(letters),
        stop,
    }
}

pub(crate) fn policies() -> Vec<Policy> {
    let text = PolicyText {
        name: "Terms".to_owned(),
        url: "https://id.test/terms-1-en".to_owned(),
    };
    vec![Policy {
        id: "terms".to_owned(),
        version: "1".to_owned(),
        languages: BTreeMap::from([("en".to_owned(), text)]),
    }]
}

impl House {
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response: Response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// With a body of JSON, below `/_matrix/identity/v2`.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/_matrix/identity/v2{path}"));
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.send(request.body(body).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        self.ask(Method::GET, path, Some(token), None).await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: Value) -> Answer {
        self.ask(Method::POST, path, Some(token), Some(body)).await
    }

    /// Below `/_matrix/identity/api/v1`, where nobody has a token.
    pub(crate) async fn ask_legacy(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let uri = format!("/_matrix/identity/api/v1{path}");
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        self.send(Request::builder().method(method).uri(uri).body(body).unwrap())
            .await
    }

    /// An access token of `@name:house.test`.
    pub(crate) async fn token(&self, name: &str) -> String {
        let body = json!({
            "access_token": format!("@{name}:house.test"),
            "token_type": "Bearer",
            "matrix_server_name": "house.test",
            "expires_in": 3_600,
        });
        let answer = self
            .ask(Method::POST, "/account/register", None, Some(body))
            .await
            .ok();
        answer["token"].as_str().unwrap().to_owned()
    }

    /// The text of the next letter.
    pub(crate) async fn letter(&self) -> String {
        self.letters.lock().await.recv().await.unwrap()
    }

    /// A session that has proven the address: its id.
    pub(crate) async fn proven(&self, token: &str, email: &str, client_secret: &str) -> String {
        let body = json!({ "email": email, "client_secret": client_secret, "send_attempt": 1 });
        let sid = self.post("/validate/email/requestToken", token, body).await.ok();
        let link = link_in(&self.letter().await);
        let answer = self.send(Request::get(link).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        sid["sid"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn bind(&self, token: &str, name: &str, email: &str) -> Value {
        let sid = self.proven(token, email, "secret").await;
        let body = json!({ "sid": sid, "client_secret": "secret", "mxid": format!("@{name}:house.test") });
        self.post("/3pid/bind", token, body).await.ok()
    }
}

/// The link to this server in a letter, from its path on.
pub(crate) fn link_in(letter: &str) -> String {
    let at = letter.find("https://id.test/").expect("a link");
    let link = letter[at..].split_whitespace().next().unwrap();
    link.strip_prefix("https://id.test").unwrap().to_owned()
}

/// Hands over the text of everything.
struct Letters(mpsc::UnboundedSender<String>);

impl Carrier for Letters {
    fn deliver<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), DeliveryError>> {
        // An error means that the test is over.
        _ = self.0.send(message.text.clone());
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Homeservers whose OpenID tokens are the user ids, and whose signatures are `X-Matrix` and their name.
struct Homes;

impl Homeservers for Homes {
    fn openid_user<'a>(
        &'a self,
        _: &'a ServerName,
        token: &'a str,
    ) -> BoxFuture<'a, Result<OwnedUserId, HomeserverError>> {
        let answer = match token {
            "away" => Err(HomeserverError::Later("away".to_owned())),
            token => UserId::parse(token).map_err(|_| HomeserverError::Never("unknown".to_owned())),
        };
        Box::pin(std::future::ready(answer))
    }

    fn onbind<'a>(&'a self, _: &'a ServerName, _: &'a Value) -> BoxFuture<'a, Result<(), HomeserverError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn verify_request<'a>(
        &'a self,
        request: &'a SignedRequest,
    ) -> BoxFuture<'a, Result<OwnedServerName, HomeserverError>> {
        let is_whole = request.method == "POST"
            && request.uri == "/_matrix/identity/v2/3pid/unbind"
            && request
                .body
                .as_ref()
                .is_some_and(|body| body.get("mxid").is_some());
        let signer = request
            .authorization
            .first()
            .and_then(|value| value.strip_prefix("X-Matrix "));
        let signer = signer
            .and_then(|name| ServerName::parse(name).ok())
            .filter(|_| is_whole);
        let answer = signer.ok_or_else(|| HomeserverError::Never("not signed".to_owned()));
        Box::pin(std::future::ready(answer))
    }
}
