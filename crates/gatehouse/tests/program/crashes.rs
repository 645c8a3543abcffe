//! `kill -9` under load (R01, small; the soak has a thousand kills).

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::process::{Server, request};

const WRITERS: usize = 4;
const EACH_SENDS: usize = 60;
/// The server is killed each time that so many more have been acknowledged.
const KILL_EVERY: usize = 40;
const KILLS: usize = 5;
/// Between tries while the server is away.
const PAUSE: Duration = Duration::from_millis(20);

/// What everybody knows of the run.
struct Run {
    url: String,
    token: String,
    room: String,
    acknowledged: AtomicUsize,
    progress: Notify,
}

impl Run {
    /// Tries until there is an answer.
    async fn insist(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        loop {
            match request(&self.url, method, path, Some(&self.token), body.clone()).await {
                Ok((200, answer)) => return answer,
                Ok((503, _)) | Err(_) => tokio::time::sleep(PAUSE).await,
                Ok((status, answer)) => panic!("{method} {path}: {status} {answer}"),
            }
        }
    }

    /// Sends in order, each with its own transaction id until it is acknowledged; gives event ids by text.
    async fn write(self: Arc<Self>, writer: usize) -> Vec<(String, String)> {
        let mut sent = Vec::new();
        for number in 0..EACH_SENDS {
            let text = format!("{writer}-{number}");
            let path = format!(
                "/_matrix/client/v3/rooms/{}/send/m.room.message/{text}",
                self.room
            );
            let body = json!({ "msgtype": "m.text", "body": text });
            let answer = self.insist("PUT", &path, Some(body)).await;
            sent.push((text, answer["event_id"].as_str().unwrap().to_owned()));
            self.acknowledged.fetch_add(1, Ordering::SeqCst);
            self.progress.notify_one();
        }
        sent
    }

    /// Follows the room until it has seen this many messages; gives text and event id of each, in order.
    async fn follow(self: Arc<Self>, mut since: String, count: usize) -> Vec<(String, String)> {
        let filter = "%7B%22room%22%3A%7B%22timeline%22%3A%7B%22limit%22%3A100%7D%7D%7D";
        let mut seen = Vec::new();
        while seen.len() < count {
            let path = format!("/_matrix/client/v3/sync?timeout=2000&filter={filter}&since={since}");
            let answer = self.insist("GET", &path, None).await;
            since = answer["next_batch"].as_str().unwrap().to_owned();
            let timeline = &answer["rooms"]["join"][&self.room]["timeline"];
            assert_ne!(timeline["limited"], true, "a gap: {timeline}");
            seen.extend(messages(&timeline["events"]));
        }
        seen
    }

    /// The whole room, oldest first.
    async fn history(&self) -> Vec<(String, String)> {
        let path = format!("/_matrix/client/v3/rooms/{}/messages?dir=f&limit=1000", self.room);
        messages(&self.insist("GET", &path, None).await["chunk"]).collect()
    }
}

fn messages(events: &Value) -> impl Iterator<Item = (String, String)> {
    let events = events.as_array().cloned().unwrap_or_default().into_iter();
    events
        .filter(|event| event["type"] == "m.room.message")
        .map(|event| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&event["content"]["body"]), text(&event["event_id"]))
        })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r01_what_was_acknowledged_survives_kill_9_once_and_in_order() {
    let dir = TempDir::new().unwrap();
    let mut server = Server::start(dir.path());
    let token = server.register("alice").await;
    let (_, room) = server
        .request(
            "POST",
            "/_matrix/client/v3/createRoom",
            Some(&token),
            Some(json!({})),
        )
        .await
        .unwrap();
    let (_, first) = server
        .request("GET", "/_matrix/client/v3/sync", Some(&token), None)
        .await
        .unwrap();
    let run = Arc::new(Run {
        url: server.url.clone(),
        token,
        room: room["room_id"].as_str().unwrap().to_owned(),
        acknowledged: AtomicUsize::new(0),
        progress: Notify::new(),
    });
    let since = first["next_batch"].as_str().unwrap().to_owned();
    let follower = tokio::spawn(Arc::clone(&run).follow(since, WRITERS * EACH_SENDS));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(Arc::clone(&run).write(writer)))
        .collect();
    for kill in 1..=KILLS {
        while run.acknowledged.load(Ordering::SeqCst) < kill * KILL_EVERY {
            run.progress.notified().await;
        }
        server.signal("KILL");
        server.wait();
        server = Server::start_again(dir.path(), &run.url);
    }
    let mut acknowledged = BTreeMap::new();
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    assert_eq!(acknowledged.len(), WRITERS * EACH_SENDS);
    let synced = tokio::time::timeout(Duration::from_mins(1), follower)
        .await
        .expect("the sync missed something")
        .unwrap();
    let history = run.history().await;
    assert_eq!(
        synced, history,
        "/sync and /messages tell the same, each once, in the same order"
    );
    assert_eq!(history.len(), acknowledged.len(), "nothing twice");
    assert_eq!(
        history.into_iter().collect::<BTreeMap<_, _>>(),
        acknowledged,
        "nothing lost"
    );
}
