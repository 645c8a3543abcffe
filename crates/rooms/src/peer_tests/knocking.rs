//! Knocking over another server.

use ruma::events::room::member::MembershipState;
use serde_json::json;

use super::town::{Lies, Town, lie, name, plain, raw, user};
use crate::{
    Join, Refusal, WriteError,
    create::Preset,
    remote_servers::{RawPdu, RemoteError},
};

async fn knockable(town: &Town, version: &str) -> ruma::OwnedRoomId {
    let state = [
        ("m.room.join_rules", json!({ "join_rule": "knock" })),
        ("m.room.name", json!({ "name": "Tea" })),
    ];
    town.room_with(version, Preset::PrivateChat, &state).await
}

#[tokio::test]
async fn one_who_knocks_over_another_server_is_let_in() {
    for version in ["7", "11", "12"] {
        let town = Town::new().await;
        let room = knockable(&town, version).await;
        let b = town.rooms("b");
        b.knock(&user("b"), &room, &plain(), &[name("a")]).await.unwrap();
        assert_eq!(
            town.membership("a", &room, &user("b")).await,
            MembershipState::Knock
        );
        assert_eq!(town.own("b", &room).await, Some(MembershipState::Knock));
        let all = b.current_memberships(&user("b")).await.unwrap();
        assert!(
            all[0]
                .stripped_state
                .iter()
                .any(|event| event.get().contains("Tea"))
        );
        town.rooms("a")
            .invite(&user("a"), &user("b"), &room, &plain())
            .await
            .unwrap();
        assert_eq!(town.own("b", &room).await, Some(MembershipState::Invite));
        let again = b.knock(&user("b"), &room, &plain(), &[name("a")]).await;
        assert!(matches!(again, Err(WriteError::Refused(Refusal::AlreadyInvited))));
        b.join(&user("b"), &room, &Join::default()).await.unwrap();
        town.agree(&room, &["a", "b"]).await;
    }
}

#[tokio::test]
async fn a_knock_is_taken_back_or_turned_down() {
    let town = Town::new().await;
    let room = knockable(&town, "12").await;
    let (a, b) = (town.rooms("a"), town.rooms("b"));
    b.knock(&user("b"), &room, &plain(), &[name("a")]).await.unwrap();
    b.leave(&user("b"), &room, &plain()).await.unwrap();
    assert_eq!(
        town.membership("a", &room, &user("b")).await,
        MembershipState::Leave
    );
    b.knock(&user("b"), &room, &plain(), &[name("a")]).await.unwrap();
    let kick = a.kick(&user("a"), &user("b"), &room, &plain()).await.unwrap();
    let kick = a.raw_pdus(&room, &[kick]).await.unwrap();
    b.receive(&name("a"), &room, &kick).await.unwrap();
    assert_eq!(town.own("b", &room).await, Some(MembershipState::Leave));
}

#[tokio::test]
async fn b19_a_room_that_takes_no_knocks_takes_none_from_elsewhere() {
    let town = Town::new().await;
    let closed = town.room("12", Preset::PrivateChat).await;
    let old = town.room("6", Preset::PrivateChat).await;
    let open = town.room("12", Preset::PublicChat).await;
    let banned = knockable(&town, "12").await;
    town.rooms("a")
        .ban(&user("a"), &user("b"), &banned, &plain())
        .await
        .unwrap();
    for room in [&closed, &old, &open, &banned] {
        let refused = town
            .rooms("b")
            .knock(&user("b"), room, &plain(), &[name("a")])
            .await;
        let refused = refused.unwrap_err();
        assert!(
            matches!(&refused, WriteError::Remote(RemoteError::Refused { .. })),
            "{refused:?}"
        );
        assert_eq!(town.own("b", room).await, None);
    }
    assert_eq!(town.asked("send_knock"), 0);
}

#[tokio::test]
async fn x01_what_is_shown_of_a_room_is_bounded_and_has_the_right_form() {
    let junk: [fn(&mut Vec<RawPdu>); 4] = [
        |shown| *shown = vec![raw("1"), raw("[]"), raw("null"), raw("{}")],
        |shown| {
            let name = raw(r#"{"type":"m.room.name","state_key":"","sender":"@a:a","content":{}}"#);
            *shown = vec![name; 1_000];
        },
        |shown| *shown = vec![raw(&format!("\"{}\"", "x".repeat(600 << 10)))],
        |shown| *shown = vec![raw(r#"{"type":1,"state_key":"","sender":"@a:a","content":[]}"#)],
    ];
    for told in junk {
        let town = Town::new().await;
        let room = knockable(&town, "12").await;
        town.lie(Lies {
            knocked: lie(told),
            ..Lies::default()
        });
        let b = town.rooms("b");
        b.knock(&user("b"), &room, &plain(), &[name("a")]).await.unwrap();
        let all = b.current_memberships(&user("b")).await.unwrap();
        assert_eq!(all[0].membership, MembershipState::Knock);
        assert!(all[0].stripped_state.is_empty());
    }
}
