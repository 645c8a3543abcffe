//! Inviting users of other servers, and being invited by them.

use ruma::events::room::member::MembershipState;
use serde_json::{Value, json};

use super::town::{Lies, Town, lie, name, plain, raw, user};
use crate::{
    Join, Refusal, WriteError,
    create::Preset,
    remote_servers::{RawPdu, RemoteError},
};

/// What the user of a server is shown of a room from outside.
async fn shown(town: &Town, server: &str, room: &ruma::RoomId) -> Vec<Value> {
    let rooms = town.rooms(server);
    let all = rooms.current_memberships(&user(server)).await.unwrap();
    let found = all
        .into_iter()
        .find(|membership| membership.room_id == *room)
        .unwrap();
    let events = found.stripped_state;
    events
        .iter()
        .map(|event| serde_json::from_str(event.get()).unwrap())
        .collect()
}

#[tokio::test]
async fn a_user_of_another_server_is_invited_and_joins_in_every_version() {
    for version in ["1", "2", "3", "5", "6", "8", "10", "11", "12"] {
        let town = Town::new().await;
        let room = town
            .room_with(
                version,
                Preset::PrivateChat,
                &[("m.room.name", json!({ "name": "Tea" }))],
            )
            .await;
        let (a, b) = (town.rooms("a"), town.rooms("b"));
        let invited = a.invite(&user("a"), &user("b"), &room, &plain()).await.unwrap();
        let again = a.invite(&user("a"), &user("b"), &room, &plain()).await.unwrap();
        assert_eq!(invited, again, "B11");
        assert_eq!(town.asked("invite"), 1);
        assert_eq!(
            town.membership("a", &room, &user("b")).await,
            MembershipState::Invite
        );
        assert_eq!(town.own("b", &room).await, Some(MembershipState::Invite));
        assert!(!town.knows("b", &room).await);
        let shown = shown(&town, "b", &room).await;
        assert!(
            shown.iter().any(|event| event["content"]["name"] == "Tea"),
            "{shown:?}"
        );
        assert!(shown.iter().all(|event| event.get("signatures").is_none()));
        let timeline = b.visibility_timeline(&room, &user("b")).await.unwrap();
        let (since, _) = timeline.memberships()[0].clone();
        let own = b.own_events(&user("b"), &room, &[since]).await.unwrap();
        assert_eq!(own[0].event_id(), invited);
        // No `via`: the inviter's server is known.
        b.join(&user("b"), &room, &Join::default()).await.unwrap();
        town.agree(&room, &["a", "b"]).await;
        assert_eq!(town.own("b", &room).await, Some(MembershipState::Join));
    }
}

#[tokio::test]
async fn an_invite_into_a_room_that_the_server_is_in_comes_with_the_room() {
    let town = Town::new().await;
    let room = town.room("12", Preset::PublicChat).await;
    town.join("b", &room).await.unwrap();
    let other: ruma::OwnedUserId = "@other:b".try_into().unwrap();
    town.rooms("a")
        .invite(&user("a"), &other, &room, &plain())
        .await
        .unwrap();
    town.deliver("a", "b", &room).await;
    assert_eq!(town.membership("b", &room, &other).await, MembershipState::Invite);
    let all = town.rooms("b").current_memberships(&other).await.unwrap();
    assert_eq!(all[0].membership, MembershipState::Invite);
    assert!(!all[0].stripped_state.is_empty(), "what the room is");
}

#[tokio::test]
async fn an_invite_is_rejected_and_the_inviters_server_hears_of_it() {
    let town = Town::new().await;
    let room = town.room("12", Preset::PrivateChat).await;
    town.rooms("a")
        .invite(&user("a"), &user("b"), &room, &plain())
        .await
        .unwrap();
    let b = town.rooms("b");
    let left = b.leave(&user("b"), &room, &plain()).await.unwrap();
    assert_eq!(town.own("b", &room).await, Some(MembershipState::Leave));
    assert_eq!(
        town.membership("a", &room, &user("b")).await,
        MembershipState::Leave
    );
    let head = town.rooms("a").head(&room).await.unwrap().unwrap();
    assert_eq!(head.state_event_id("m.room.member", "@b:b"), Some(&left));
    let again = b.leave(&user("b"), &room, &plain()).await.unwrap();
    assert_eq!(left, again, "B13");
    assert_eq!(town.asked("send_leave"), 1);
    b.forget(&user("b"), &room).await.unwrap();
}

#[tokio::test]
async fn an_invite_of_a_server_that_is_gone_is_rejected_all_the_same() {
    for version in ["1", "11", "12"] {
        let town = Town::new().await;
        let room = town.room(version, Preset::PrivateChat).await;
        town.rooms("a")
            .invite(&user("a"), &user("b"), &room, &plain())
            .await
            .unwrap();
        town.wire.down.lock().insert(name("a"));
        let b = town.rooms("b");
        let left = b.leave(&user("b"), &room, &plain()).await.unwrap();
        assert_eq!(town.own("b", &room).await, Some(MembershipState::Leave));
        let timeline = b.visibility_timeline(&room, &user("b")).await.unwrap();
        let positions: Vec<_> = timeline.memberships().iter().map(|(since, _)| *since).collect();
        let own = b.own_events(&user("b"), &room, &positions).await.unwrap();
        assert_eq!(own.len(), 2);
        assert_eq!(own[1].event_id(), left);
        assert_eq!(own[1].membership(), Some(MembershipState::Leave));
    }
}

#[tokio::test]
async fn an_invite_is_taken_back_by_those_who_were_in_the_room_and_by_nobody_else() {
    let town = Town::new().await;
    let room = town.room("12", Preset::PublicChat).await;
    town.join("c", &room).await.unwrap();
    town.deliver("a", "c", &room).await;
    let a = town.rooms("a");
    a.invite(&user("a"), &user("b"), &room, &plain()).await.unwrap();
    let kick = a.kick(&user("a"), &user("b"), &room, &plain()).await.unwrap();
    let kick = a.raw_pdus(&room, &[kick]).await.unwrap();
    let b = town.rooms("b");
    // Signed by nobody who had to do with it.
    let forged = kick[0]
        .get()
        .replace("\"sender\":\"@a:a\"", "\"sender\":\"@c:c\"");
    b.receive(&name("c"), &room, &[raw(&forged)]).await.unwrap();
    assert_eq!(town.own("b", &room).await, Some(MembershipState::Invite));
    b.receive(&name("a"), &room, &kick).await.unwrap();
    assert_eq!(town.own("b", &room).await, Some(MembershipState::Leave));
    assert!(!town.knows("b", &room).await);
}

#[tokio::test]
async fn b06_to_b10_what_is_refused_here_is_asked_of_nobody() {
    let town = Town::new().await;
    let room = town.room("11", Preset::PublicChat).await;
    town.join("b", &room).await.unwrap();
    let (a, b) = (town.rooms("a"), town.rooms("b"));
    let other: ruma::OwnedUserId = "@other:a".try_into().unwrap();
    let refused = a.invite(&other, &user("c"), &room, &plain()).await;
    assert!(
        matches!(refused, Err(WriteError::Refused(Refusal::InviterNotInRoom))),
        "B06"
    );
    let refused = a.invite(&user("a"), &user("b"), &room, &plain()).await;
    assert!(
        matches!(refused, Err(WriteError::Refused(Refusal::AlreadyJoined(_)))),
        "B07"
    );
    a.ban(&user("a"), &user("c"), &room, &plain()).await.unwrap();
    let refused = a.invite(&user("a"), &user("c"), &room, &plain()).await;
    assert!(
        matches!(refused, Err(WriteError::Refused(Refusal::TargetBanned(_)))),
        "B08"
    );
    a.unban(&user("a"), &user("c"), &room, &plain()).await.unwrap();
    town.set(
        "a",
        &room,
        "m.room.power_levels",
        json!({ "users": { "@a:a": 100 }, "invite": 50 }),
    )
    .await;
    town.deliver("a", "b", &room).await;
    let refused = b.invite(&user("b"), &user("c"), &room, &plain()).await;
    assert!(
        matches!(refused, Err(WriteError::Refused(Refusal::PowerTooLow { .. }))),
        "B09"
    );
    let refused = b.invite(&user("b"), &user("b"), &room, &plain()).await;
    assert!(
        matches!(refused, Err(WriteError::Refused(Refusal::AlreadyJoined(_)))),
        "B10"
    );
    assert_eq!(town.asked("invite"), 0);
}

#[tokio::test]
async fn b12_t02_only_those_who_want_no_invites_are_not_invited_there() {
    let town = Town::new().await;
    let room = town.room("12", Preset::PrivateChat).await;
    let (a, b) = (town.rooms("a"), town.rooms("b"));
    let nobody: ruma::OwnedUserId = "@nobody:b".try_into().unwrap();
    let gone: ruma::OwnedUserId = "@other:b".try_into().unwrap();
    b.shared.accounts.deactivate_user(&gone).await.unwrap();
    // B12: nothing tells them from those who are there, and nothing is kept for them.
    for target in [&nobody, &gone] {
        a.invite(&user("a"), target, &room, &plain()).await.unwrap();
        assert_eq!(town.membership("a", &room, target).await, MembershipState::Invite);
        assert!(b.current_memberships(target).await.unwrap().is_empty());
    }
    let content = super::town::content(&json!({ "default_action": "block" }));
    let content = serde_json::value::to_raw_value(&content).unwrap();
    let accounts = &b.shared.accounts;
    accounts
        .set_account_data(&user("b"), None, "m.invite_permission_config", &content)
        .await
        .unwrap();
    let refused = a
        .invite(&user("a"), &user("b"), &room, &plain())
        .await
        .unwrap_err();
    assert!(matches!(refused, WriteError::InviteBlocked(_)), "{refused:?}");
    town.wire.down.lock().insert(name("c"));
    let refused = a
        .invite(&user("a"), &user("c"), &room, &plain())
        .await
        .unwrap_err();
    assert!(matches!(refused, WriteError::Remote(RemoteError::Unreachable)));
    for target in [&user("b"), &user("c")] {
        assert_eq!(town.membership("a", &room, target).await, MembershipState::Leave);
    }
}

#[tokio::test]
async fn an_invite_that_the_other_server_did_not_sign_or_changed_is_not_taken() {
    let lies: [fn(&mut RawPdu); 4] = [
        |pdu| *pdu = without_signature(pdu, "b"),
        |pdu| *pdu = raw(&pdu.get().replace("\"depth\":", "\"depth\":1")),
        |pdu| *pdu = raw("{}"),
        |pdu| {
            let mut event: Value = serde_json::from_str(pdu.get()).unwrap();
            let signature = event["signatures"]["a"]["ed25519:test"].clone();
            event["signatures"]["b"]["ed25519:test"] = signature;
            *pdu = raw(&event.to_string());
        },
    ];
    for (number, told) in lies.into_iter().enumerate() {
        let town = Town::new().await;
        let room = town.room("12", Preset::PrivateChat).await;
        town.lie(Lies {
            invited: lie(told),
            ..Lies::default()
        });
        let refused = town
            .rooms("a")
            .invite(&user("a"), &user("b"), &room, &plain())
            .await;
        assert!(
            matches!(refused, Err(WriteError::Remote(RemoteError::BadAnswer))),
            "{number}: {refused:?}"
        );
        assert_eq!(
            town.membership("a", &room, &user("b")).await,
            MembershipState::Leave
        );
    }
}

fn without_signature(pdu: &RawPdu, server: &str) -> RawPdu {
    let mut event: Value = serde_json::from_str(pdu.get()).unwrap();
    event["signatures"].as_object_mut().unwrap().remove(server);
    raw(&event.to_string())
}

#[tokio::test]
async fn a_new_room_invites_users_of_other_servers_and_is_made_though_one_is_gone() {
    let town = Town::new().await;
    town.wire.down.lock().insert(name("c"));
    let mut asked = super::town::request("12", Preset::PrivateChat);
    asked.invite = vec![user("b"), user("c"), "@other:a".try_into().unwrap()];
    asked.directness = crate::membership::invite::Directness::Direct;
    let room = town.rooms("a").create(&user("a"), &asked, None).await.unwrap();
    assert_eq!(
        town.membership("a", &room, &user("b")).await,
        MembershipState::Invite
    );
    assert_eq!(
        town.membership("a", &room, &user("c")).await,
        MembershipState::Leave
    );
    let other: ruma::OwnedUserId = "@other:a".try_into().unwrap();
    assert_eq!(town.membership("a", &room, &other).await, MembershipState::Invite);
    let b = town.rooms("b");
    let timeline = b.visibility_timeline(&room, &user("b")).await.unwrap();
    let own = b
        .own_events(&user("b"), &room, &[timeline.memberships()[0].0])
        .await
        .unwrap();
    assert!(own[0].content_is_true("is_direct"));
}

#[tokio::test]
async fn whoever_else_is_invited_is_still_shown_the_room_when_the_first_has_joined() {
    let town = Town::new().await;
    let room = town
        .room_with(
            "12",
            Preset::PrivateChat,
            &[("m.room.name", json!({ "name": "Tea" }))],
        )
        .await;
    let other: ruma::OwnedUserId = "@other:b".try_into().unwrap();
    let (a, b) = (town.rooms("a"), town.rooms("b"));
    a.invite(&user("a"), &user("b"), &room, &plain()).await.unwrap();
    a.invite(&user("a"), &other, &room, &plain()).await.unwrap();
    b.join(&user("b"), &room, &Join::default()).await.unwrap();
    let all = b.current_memberships(&other).await.unwrap();
    assert_eq!(all[0].membership, MembershipState::Invite);
    assert!(
        all[0]
            .stripped_state
            .iter()
            .any(|event| event.get().contains("Tea"))
    );
    b.leave(&other, &room, &plain()).await.unwrap();
    assert_eq!(town.membership("b", &room, &other).await, MembershipState::Leave);
}
