//! Text messages, through a gateway on this machine.

use std::{sync::Arc, time::Duration};

use gatehouse_events::Clock;
use gatehouse_mail::{Carriers, Outbox, SmsBody, SmsCarrier, SmsConfig};
use gatehouse_outbound::{Outbound, OutboundConfig};
use gatehouse_store::Store;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};
use tokio_util::task::AbortOnDropHandle;

use crate::{NOW_MS, enqueue_text, memory, nothing_waits, outbox_with, retried, running};

/// A gateway that answers each request with the next status, and then with 200.
struct Gateway {
    url: String,
    host: String,
    requests: mpsc::UnboundedReceiver<String>,
    _running: AbortOnDropHandle<()>,
}

impl Gateway {
    async fn start(statuses: &'static [u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let (told, requests) = mpsc::unbounded_channel();
        let mut statuses = statuses.iter();
        let running = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !is_whole(&request) {
                    assert!(stream.read_buf(&mut request).await.unwrap() > 0);
                }
                told.send(String::from_utf8(request).unwrap()).unwrap();
                let status = statuses.next().unwrap_or(&200);
                let answer =
                    format!("HTTP/1.1 {status} x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Self {
            url: format!("http://{host}/send"),
            host,
            requests,
            _running: AbortOnDropHandle::new(running),
        }
    }

    fn carrier(&self, token: Option<&str>) -> SmsCarrier {
        let outbound = OutboundConfig {
            verify_tls: true,
            exempt: vec![self.host.clone()],
            ..OutboundConfig::default()
        };
        let config = SmsConfig {
            url: self.url.clone(),
            token: token.map(str::to_owned),
        };
        SmsCarrier::new(Outbound::new(&outbound).unwrap(), config)
    }

    /// The next request's head and body.
    async fn next(&mut self) -> (String, String) {
        let request = tokio::time::timeout(Duration::from_secs(30), self.requests.recv());
        let request = request.await.unwrap().unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        (head.to_lowercase(), body.to_owned())
    }
}

fn is_whole(request: &[u8]) -> bool {
    let request = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = request.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .and_then(|length| length.parse::<usize>().ok());
    length.is_none_or(|length| body.len() >= length)
}

fn outbox(store: &Store, clock: &Clock, carrier: SmsCarrier) -> Outbox {
    let carriers = Carriers {
        email: None,
        sms: Some(Arc::new(carrier)),
    };
    outbox_with(store, clock, carriers)
}

#[tokio::test]
async fn a_code_goes_through_the_gateway() {
    let mut gateway = Gateway::start(&[]).await;
    let (store, clock) = (memory(), Clock::manual(NOW_MS));
    let outbox = outbox(&store, &clock, gateway.carrier(Some("secret")));
    let _running = running(&outbox);
    enqueue_text(&store, &outbox, "123456").await;
    let (head, body) = gateway.next().await;
    assert!(head.starts_with("post /send "), "{head}");
    assert!(head.contains("authorization: bearer secret"), "{head}");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["to"], "+447700900123");
    assert_eq!(
        body["text"],
        "123456 is your code for hs.example. Tell it to nobody."
    );
    nothing_waits(&outbox).await;
}

#[tokio::test]
async fn a_gateway_is_spoken_to_in_its_own_words() {
    let mut gateway = Gateway::start(&[]).await;
    let (store, clock) = (memory(), Clock::manual(NOW_MS));
    let form = SmsBody::Form(vec![
        ("To".to_owned(), "{number}".to_owned()),
        ("Body".to_owned(), "{text}".to_owned()),
    ]);
    let carrier = gateway.carrier(None).with_body(form).unwrap();
    let carrier = carrier.with_header("X-Api-Key", "secret").unwrap();
    let outbox = outbox(&store, &clock, carrier);
    let _running = running(&outbox);
    enqueue_text(&store, &outbox, "123456").await;
    let (head, body) = gateway.next().await;
    assert!(head.contains("x-api-key: secret"), "{head}");
    assert!(
        head.contains("content-type: application/x-www-form-urlencoded"),
        "{head}"
    );
    assert!(
        body.starts_with("To=%2B447700900123&Body=123456+is+your+code"),
        "{body}"
    );
}

#[tokio::test]
async fn r30_a_text_message_is_sent_again_until_the_gateway_takes_it() {
    let mut gateway = Gateway::start(&[503, 401, 302]).await;
    let (store, clock) = (memory(), Clock::manual(NOW_MS));
    let outbox = outbox(&store, &clock, gateway.carrier(None));
    let _running = running(&outbox);
    enqueue_text(&store, &outbox, "123456").await;
    let mut ids = Vec::new();
    for tries in 1..=4 {
        let (_, body) = gateway.next().await;
        ids.push(serde_json::from_str::<Value>(&body).unwrap()["id"].clone());
        if tries < 4 {
            retried(&outbox, tries).await;
            clock.advance(Duration::from_hours(1));
        }
    }
    nothing_waits(&outbox).await;
    assert!(
        ids.iter().all(|id| *id == ids[0]) && ids[0] != json!(null),
        "{ids:?}"
    );
    assert_eq!((outbox.counts().sent, outbox.counts().given_up), (1, 0));
}

#[tokio::test]
async fn a_number_that_the_gateway_does_not_take_is_given_up() {
    let mut gateway = Gateway::start(&[400]).await;
    let (store, clock) = (memory(), Clock::manual(NOW_MS));
    let outbox = outbox(&store, &clock, gateway.carrier(None));
    let _running = running(&outbox);
    enqueue_text(&store, &outbox, "123456").await;
    gateway.next().await;
    nothing_waits(&outbox).await;
    assert_eq!((outbox.counts().sent, outbox.counts().given_up), (0, 1));
}
