//! What other servers send: how fast.

use gatehouse_federation::{Inbox, PduPace, ReceivedTransaction};
use serde_json::{json, value::RawValue};

use crate::{house::name, town::Town};

fn transaction(room_id: &str, events: usize) -> ReceivedTransaction {
    let pdu = |number| {
        let pdu = json!({ "room_id": room_id, "number": number });
        RawValue::from_string(pdu.to_string()).unwrap()
    };
    ReceivedTransaction {
        pdus: (0..events).map(pdu).collect(),
        edus: Vec::new(),
    }
}

#[tokio::test]
async fn a_server_that_floods_a_room_is_slowed_down_after_all_that_it_sent_is_here() {
    let town = Town::new().await;
    let pace = PduPace {
        per_second: 10,
        burst: 5,
    };
    let federation = town.house.restarted(|config| config.pdu_pace = Some(pace));
    let inbox = Inbox::new(&federation, town.rooms.clone());
    let flood = name("flood.example");
    let sending = {
        let (inbox, flood) = (inbox.clone(), flood.clone());
        let sent = transaction("!a:flood.example", 35);
        tokio::spawn(async move { inbox.receive(&flood, "1", sent).await })
    };
    let counts = || federation.received_counts();
    while counts().slowed == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        counts().dropped,
        35,
        "what was sent is dealt with before the wait"
    );
    assert!(!sending.is_finished());
    // Nobody else waits: neither another server nor, when its turn comes, another room.
    let other = name("other.example");
    inbox
        .receive(&other, "1", transaction("!a:flood.example", 5))
        .await
        .unwrap();
    assert!(!sending.is_finished(), "three seconds are not over");
    sending.await.unwrap().unwrap();
    inbox
        .receive(&flood, "2", transaction("!b:flood.example", 5))
        .await
        .unwrap();
    assert_eq!(counts().slowed, 1);
    // The same transaction again is answered as before, and costs nothing.
    inbox
        .receive(&flood, "1", transaction("!a:flood.example", 35))
        .await
        .unwrap();
    assert_eq!((counts().dropped, counts().slowed), (45, 1));
}
