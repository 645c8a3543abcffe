//! What a server answered.

use serde_json::Value;

/// A response: status, headers, and the body as JSON, or null when it is none.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Which request it answers, for messages of failed tests.
    pub request: String,
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body.
    pub body: Value,
}

impl Answer {
    /// The body of a success.
    ///
    /// # Panics
    ///
    /// When it is none.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!(
            self.status == 200,
            "{}: {} {}",
            self.request,
            self.status,
            self.body
        );
        self.body
    }

    /// The body of a refusal with this status and errcode, and a sentence.
    ///
    /// # Panics
    ///
    /// When it is none.
    #[track_caller]
    pub fn refused(self, status: u16, errcode: &str) -> Value {
        let found = self.body.get("errcode").and_then(Value::as_str);
        assert!(
            self.status == status && found == Some(errcode),
            "{}: expected {status} {errcode}, got {} {}",
            self.request,
            self.status,
            self.body
        );
        let sentence = self.body.get("error").and_then(Value::as_str).unwrap_or_default();
        assert!(
            !sentence.is_empty(),
            "{}: {errcode} says nothing to people",
            self.request
        );
        self.body
    }

    /// A 403 `M_FORBIDDEN` whose sentence holds this.
    ///
    /// # Panics
    ///
    /// When it is none.
    #[track_caller]
    pub fn forbidden(self, because: &str) {
        let request = self.request.clone();
        let body = self.refused(403, "M_FORBIDDEN");
        let sentence = body.get("error").and_then(Value::as_str).unwrap_or_default();
        assert!(
            sentence.to_lowercase().contains(&because.to_lowercase()),
            "{request}: {sentence:?} does not say {because:?}"
        );
    }
}

/// Sends a request and reads the whole answer.
pub(crate) async fn send(
    http: &reqwest::Client,
    base: &str,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> Answer {
    let name = format!("{method} {path}");
    #[expect(clippy::expect_used, reason = "tests name their methods themselves")]
    let verb = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
    let mut request = http.request(verb, format!("{base}{path}"));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    #[expect(clippy::panic, reason = "a server that does not answer fails the test")]
    let response = request
        .send()
        .await
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap_or_default();
    Answer {
        request: name,
        status,
        headers,
        body: serde_json::from_str(&text).unwrap_or(Value::Null),
    }
}
