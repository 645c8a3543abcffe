//! A gateway for text messages that keeps what it gets.

use std::time::Duration;

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use serde_json::Value;
use tokio::sync::{
    Mutex,
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

/// A message that has not come by then never will.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running gateway. It stops with the test.
pub(super) struct SmsGateway {
    /// Where messages are posted.
    pub(super) url: String,
    messages: Mutex<UnboundedReceiver<Value>>,
}

impl SmsGateway {
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/send", listener.local_addr().unwrap());
        let (sender, messages) = unbounded_channel();
        let router = Router::new().route("/send", post(keep)).with_state(sender);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            url,
            messages: Mutex::new(messages),
        }
    }

    /// The code in the next message, which is to this number.
    pub(super) async fn code_to(&self, number: &str) -> String {
        let mut messages = self.messages.lock().await;
        let message = tokio::time::timeout(PATIENCE, messages.recv()).await;
        let message = message.expect("no message came").unwrap();
        assert_eq!(message["to"], number);
        let text = message["text"].as_str().unwrap();
        let mut words = text.split(|c: char| !c.is_ascii_digit());
        let code = words.find(|word| word.len() >= 4);
        code.unwrap_or_else(|| panic!("no code in {text:?}")).to_owned()
    }
}

async fn keep(State(sender): State<UnboundedSender<Value>>, Json(message): Json<Value>) -> StatusCode {
    sender.send(message).unwrap();
    StatusCode::OK
}
