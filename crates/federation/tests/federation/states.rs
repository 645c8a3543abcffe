//! State that is read as it comes.

use gatehouse_rooms::remote_servers::{
    MAX_STATE_PART, RawPdu, RemoteError, RemoteServers as _, SentJoin, StatePart, WantedState,
};
use gatehouse_test_peers::Reply;
use ruma::{event_id, room_id};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::house::House;

/// The parts that come of an answer, and how it ends.
async fn parts_of(answer: String) -> (Vec<StatePart>, Result<(), RemoteError>) {
    let house = House::new().await;
    let (_peer, server) = house.peer(move |_| Reply::bytes(200, answer.clone())).await;
    let (sender, mut parts) = mpsc::channel(1);
    let asking = house
        .federation
        .state(&server, room_id!("!a:x"), event_id!("$e"), sender);
    let taking = async {
        let mut taken = Vec::new();
        while let Some(part) = parts.recv().await {
            taken.push(part);
        }
        taken
    };
    let (ended, taken) = tokio::join!(asking, taking);
    (taken, ended)
}

fn pdus(part: &StatePart) -> &[RawPdu] {
    let (StatePart::State(pdus) | StatePart::AuthChain(pdus)) = part;
    pdus
}

#[tokio::test]
async fn a_state_comes_in_parts_of_bounded_size_and_in_order() {
    // Events of all lengths, so that some parts are full for their number, and others for their length.
    let event = |number: usize| {
        let length = if number < 3_000 { 20 } else { 60_000 };
        json!({ "number": number, "text": "x".repeat(length) })
    };
    let numbers = |range: std::ops::Range<usize>| range.map(event).collect::<Vec<Value>>();
    let answer = json!({ "auth_chain": numbers(0..2_500), "pdus": numbers(2_500..3_200) });
    let (parts, ended) = parts_of(answer.to_string()).await;
    assert_eq!(ended, Ok(()));
    let mut next = 0;
    for part in &parts {
        let length: usize = pdus(part).iter().map(|pdu| pdu.get().len()).sum();
        assert!(
            pdus(part).len() <= MAX_STATE_PART && length <= 4 << 20,
            "{length}"
        );
        assert_eq!(matches!(part, StatePart::State(_)), next >= 2_500);
        for pdu in pdus(part) {
            let pdu: Value = serde_json::from_str(pdu.get()).unwrap();
            assert_eq!(pdu["number"], json!(next));
            next += 1;
        }
    }
    assert_eq!(next, 3_200);
    assert!(parts.len() >= 3 + 3, "{}", parts.len());
}

#[tokio::test]
async fn t30_a_state_that_is_not_whole_is_no_state() {
    let many = vec![json!({ "a": 1 }); MAX_STATE_PART + 1];
    let whole = json!({ "pdus": many, "auth_chain": [] }).to_string();
    let cut = whole[..whole.len() - 1].to_owned();
    let (parts, ended) = parts_of(cut).await;
    // What came before the end is worth what it is worth.
    assert_eq!((parts.len(), ended), (1, Err(RemoteError::BadAnswer)));
    let (parts, ended) = parts_of(whole).await;
    assert_eq!((parts.len(), ended), (2, Ok(())));
    let long = json!({ "pdus": [{ "a": "x".repeat(256 << 10) }], "auth_chain": [] }).to_string();
    for answer in ["{\"pdus\":[]}", "[]", "{}", "<html>", &long] {
        let (parts, ended) = parts_of(answer.to_owned()).await;
        assert_eq!((parts.len(), ended), (0, Err(RemoteError::BadAnswer)));
    }
}

#[tokio::test]
async fn whoever_takes_no_more_of_a_state_ends_the_question() {
    let house = House::new().await;
    let answer = json!({ "pdus": vec![json!({ "a": 1 }); 100 * MAX_STATE_PART], "auth_chain": [] });
    let (_peer, server) = house.peer(move |_| Reply::json(200, &answer)).await;
    let (sender, mut parts) = mpsc::channel(1);
    let asking = house
        .federation
        .state(&server, room_id!("!a:x"), event_id!("$e"), sender);
    let taking = async move { parts.recv().await.is_some() };
    let (ended, taken) = tokio::join!(asking, taking);
    assert_eq!((ended, taken), (Ok(()), true));
}

/// What is made of an answer to a join.
async fn joined(answer: Value) -> Result<SentJoin, RemoteError> {
    let house = House::new().await;
    let (_peer, server) = house.peer(move |_| Reply::json(200, &answer)).await;
    let (room_id, event_id) = (room_id!("!a:x"), event_id!("$e"));
    let wanted = WantedState::WithoutMembers;
    house
        .federation
        .send_join(&server, room_id, event_id, "{}", wanted)
        .await
}

#[tokio::test]
async fn the_answer_to_a_join_says_what_is_left_out_of_it() {
    let answer = json!({
        "event": { "e": 1 }, "state": [{ "s": 1 }, { "s": 2 }], "auth_chain": [{ "a": 1 }],
        "members_omitted": true, "servers_in_room": ["a.example", "no name", "b.example:1"], "origin": "x",
    });
    let sent = joined(answer).await.unwrap();
    assert_eq!(sent.event.unwrap().get(), "{\"e\":1}");
    assert_eq!((sent.state.len(), sent.auth_chain.len()), (2, 1));
    assert!(sent.members_omitted);
    assert_eq!(sent.servers_in_room, ["a.example", "b.example:1"]);

    let whole = json!({ "event": null, "state": [], "auth_chain": [], "members_omitted": null, "servers_in_room": null });
    let sent = joined(whole).await.unwrap();
    assert!(!sent.members_omitted && sent.event.is_none() && sent.servers_in_room.is_empty());
    for answer in [
        json!({ "state": [] }),
        json!({ "state": [], "auth_chain": [], "members_omitted": "yes" }),
        json!({ "state": [], "auth_chain": [], "servers_in_room": [1] }),
        json!([200, { "state": [], "auth_chain": [] }]),
    ] {
        assert_eq!(joined(answer).await.map(|_| ()), Err(RemoteError::BadAnswer));
    }
}
