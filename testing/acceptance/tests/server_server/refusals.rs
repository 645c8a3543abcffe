//! What an operator is told of events of other servers that were refused.

use std::{
    io,
    sync::{Arc, Mutex},
};

use gatehouse_test_peers::Authority;
use gatehouse_testkit::TestServer;
use serde_json::{Value, json};

use crate::{
    transactions::public_room,
    visitor::{Visitor, host, message},
};

/// Log lines in memory.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// The line about this event.
    fn about(&self, event_id: &str) -> Value {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let about = |line: &&Value| {
            line["event"]
                .as_str()
                .is_some_and(|event| event.contains(event_id))
        };
        let found = lines
            .iter()
            .find(|line| about(line) && line.get("rule").is_some());
        found.unwrap_or_else(|| panic!("{event_id}: {text}")).clone()
    }
}

async fn metric(server: &TestServer, name: &str) -> String {
    let url = format!("{}/metrics", server.base());
    let text = server.http().get(url).send().await.unwrap().text().await.unwrap();
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let found = lines.find(|(found, _)| *found == name);
    found.unwrap_or_else(|| panic!("{name}: {text}")).1.to_owned()
}

#[tokio::test]
async fn the_log_names_the_step_and_the_rule_by_which_an_event_was_refused_and_metrics_count_it() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_writer(move || writer.clone())
        .finish();
    // The server runs on this thread.
    let _guard = tracing::subscriber::set_default(subscriber);
    let authority = Authority::new().unwrap();
    let server = host(&authority).await;
    let visitor = Visitor::new(&authority, &server).await;
    let alice = server.user("alice").await;
    let bob = visitor.home.user("bob");
    let room = public_room(&alice, "11").await;
    let mut visited = visitor.join(&room, &bob).await;
    // Bob has no power to name the room.
    let name = json!({ "name": "Bob's" });
    let event = visitor.build(&visited, &bob, "m.room.name", Some(""), &name);
    let named = visitor.home.sign(visited.version, &visited.id, &event).unwrap();
    assert_eq!(visitor.send(&[named.pdu]).await, json!({ &named.id: {} }));
    let line = lines.about(&named.id);
    assert_eq!(
        (&line["step"], &line["room"], &line["level"]),
        (&json!("auth events"), &json!(room), &json!("INFO"))
    );
    assert_eq!(line["origin"], json!(visitor.home.name()));
    assert!(
        line["rule"].as_str().is_some_and(|rule| rule.len() > 10),
        "{line}"
    );
    // Somebody has changed the signature on the way.
    let forged = visitor.next(&mut visited, &bob, "m.room.message", &message("forged"));
    let mut pdu = forged.pdu.clone();
    for signature in pdu["signatures"][visitor.home.name()]
        .as_object_mut()
        .unwrap()
        .values_mut()
    {
        *signature = json!("A".repeat(86));
    }
    let told = visitor.send(&[pdu]).await;
    assert!(told[&forged.id]["error"].is_string(), "{told}");
    let line = lines.about(&forged.id);
    assert_eq!(line["step"], json!("signatures"), "{line}");
    assert!(line["rule"].is_string(), "{line}");
    for (name, value) in [
        ("gatehouse_federation_events_rejected_total", "1"),
        ("gatehouse_federation_events_refused_total", "1"),
    ] {
        assert_eq!(metric(&server, name).await, value, "{name}");
    }
}
