//! Joining over another server.

use ruma::events::room::member::MembershipState;
use serde_json::json;

use super::town::{Lies, Town, content, lie, name, plain, raw, update, user};
use crate::{
    Join, Refusal, WriteError,
    create::Preset,
    remote_servers::{RemoteError, SentJoin, Template},
};

const VERSIONS: [&str; 12] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"];

fn forbidden(error: &WriteError) -> bool {
    matches!(error, WriteError::Remote(RemoteError::Refused { errcode, .. }) if errcode == "M_FORBIDDEN")
}

#[tokio::test]
async fn a_user_joins_over_another_server_in_every_version_and_both_agree() {
    for version in VERSIONS {
        let town = Town::new().await;
        let room = town.room(version, Preset::PublicChat).await;
        town.join("b", &room).await.unwrap();
        assert_eq!(
            town.membership("a", &room, &user("b")).await,
            MembershipState::Join
        );
        town.agree(&room, &["a", "b"]).await;
        let answer = town.say("b", &room, "thank you").await;
        let received = town.deliver("b", "a", &room).await;
        let here = town.rooms("a").event_in_room(&room, &answer).await.unwrap();
        assert!(here.is_some(), "version {version}: {received:?}");
        let again = town.say("a", &room, "welcome").await;
        let received = town.deliver("a", "b", &room).await;
        let there = town.rooms("b").event_in_room(&room, &again).await.unwrap();
        assert!(there.is_some(), "version {version}: {received:?}");
        town.agree(&room, &["a", "b"]).await;
    }
}

#[tokio::test]
async fn a_second_user_of_a_server_joins_without_asking_others() {
    let town = Town::new().await;
    let room = town.room("12", Preset::PublicChat).await;
    town.join("b", &room).await.unwrap();
    let asked = town.wire.asked.lock().len();
    let other: ruma::OwnedUserId = "@other:b".try_into().unwrap();
    let rooms = town.rooms("b");
    rooms.join(&other, &room, &Join::default()).await.unwrap();
    assert_eq!(town.wire.asked.lock().len(), asked);
    assert_eq!(town.membership("b", &room, &other).await, MembershipState::Join);
}

#[tokio::test]
async fn b01_b02_whoever_is_not_let_in_there_is_not_let_in_from_here() {
    let town = Town::new().await;
    let closed = town.room("12", Preset::PrivateChat).await;
    assert!(forbidden(&town.join("b", &closed).await.unwrap_err()));
    let room = town.room("12", Preset::PublicChat).await;
    let rooms = town.rooms("a");
    rooms.ban(&user("a"), &user("b"), &room, &plain()).await.unwrap();
    assert!(forbidden(&town.join("b", &room).await.unwrap_err()));
    for room in [&closed, &room] {
        assert!(!town.knows("b", room).await);
        assert_eq!(town.own("b", room).await, None);
    }
}

#[tokio::test]
async fn b25_a_room_that_keeps_to_its_server_lets_nobody_of_another_in() {
    let town = Town::new().await;
    let mut asked = super::town::request("11", Preset::PublicChat);
    asked.creation_content = content(&json!({ "m.federate": false }));
    let room = town.rooms("a").create(&user("a"), &asked, None).await.unwrap();
    assert!(forbidden(&town.join("b", &room).await.unwrap_err()));
    let invited = town
        .rooms("a")
        .invite(&user("a"), &user("b"), &room, &plain())
        .await;
    assert!(matches!(invited, Err(WriteError::Refused(_))), "{invited:?}");
    assert_eq!(town.asked("invite"), 0);
}

#[tokio::test]
async fn a_room_that_no_server_knows_is_not_found() {
    let town = Town::new().await;
    let nowhere: ruma::OwnedRoomId = "!nowhere:a".try_into().unwrap();
    let refused = town.join("b", &nowhere).await.unwrap_err();
    assert!(
        matches!(&refused, WriteError::Remote(RemoteError::Refused { errcode, .. }) if errcode == "M_NOT_FOUND"),
        "{refused:?}"
    );
    let own: ruma::OwnedRoomId = "!nowhere:b".try_into().unwrap();
    let refused = town.rooms("b").join(&user("b"), &own, &Join::default()).await;
    assert!(matches!(refused, Err(WriteError::NoSuchRoom)), "{refused:?}");
    town.wire.down.lock().insert(name("a"));
    let refused = town.join("b", &nowhere).await.unwrap_err();
    assert!(matches!(refused, WriteError::Remote(RemoteError::Unreachable)));
}

#[tokio::test]
async fn where_one_server_is_down_the_next_is_asked() {
    let town = Town::new().await;
    let room = town.room("12", Preset::PublicChat).await;
    town.join("b", &room).await.unwrap();
    town.wire.down.lock().insert(name("a"));
    let join = Join {
        via: vec![name("a"), name("b")],
        ..Join::default()
    };
    town.rooms("c").join(&user("c"), &room, &join).await.unwrap();
    town.agree(&room, &["b", "c"]).await;
}

#[tokio::test]
async fn who_asks_twice_joins_once() {
    let town = Town::new().await;
    let room = town.room("12", Preset::PublicChat).await;
    let (first, second) = tokio::join!(town.join("b", &room), town.join("b", &room));
    first.unwrap();
    second.unwrap();
    assert_eq!(town.asked("send_join"), 1);
}

#[tokio::test]
async fn who_has_left_comes_back_over_others_and_sees_what_is_new() {
    let town = Town::new().await;
    let room = town.room("12", Preset::PublicChat).await;
    town.join("b", &room).await.unwrap();
    town.rooms("b").leave(&user("b"), &room, &plain()).await.unwrap();
    town.deliver("b", "a", &room).await;
    let named = town
        .set("a", &room, "m.room.name", json!({ "name": "Meanwhile" }))
        .await;
    town.join("b", &room).await.unwrap();
    assert_eq!(town.asked("send_join"), 2);
    let head = town.rooms("b").head(&room).await.unwrap().unwrap();
    assert_eq!(head.state_event_id("m.room.name", ""), Some(&named));
    town.agree(&room, &["a", "b"]).await;
}

#[tokio::test]
async fn b26_events_of_a_room_that_we_left_are_not_taken_in() {
    let town = Town::new().await;
    let room = town.room("12", Preset::PublicChat).await;
    town.join("b", &room).await.unwrap();
    town.rooms("b").leave(&user("b"), &room, &plain()).await.unwrap();
    town.deliver("b", "a", &room).await;
    let said = town.say("a", &room, "they are gone").await;
    let named = town
        .set("a", &room, "m.room.name", json!({ "name": "Meanwhile" }))
        .await;
    town.deliver("a", "b", &room).await;
    let rooms = town.rooms("b");
    assert!(rooms.event_in_room(&room, &said).await.unwrap().is_none());
    let head = rooms.head(&room).await.unwrap().unwrap();
    assert_ne!(head.state_event_id("m.room.name", ""), Some(&named));
}

#[tokio::test]
async fn t30_a_join_that_fails_leaves_no_half_room() {
    let lies = [
        // No create event.
        Lies {
            joined: lie(|sent: &mut SentJoin| {
                sent.state
                    .retain(|event| !event.get().contains("\"m.room.create\""));
                sent.auth_chain
                    .retain(|event| !event.get().contains("\"m.room.create\""));
            }),
            ..Lies::default()
        },
        // Nothing at all.
        Lies {
            joined: lie(|sent: &mut SentJoin| *sent = SentJoin::default()),
            ..Lies::default()
        },
        // Nothing, and members are missing from it.
        Lies {
            joined: lie(|sent: &mut SentJoin| {
                *sent = SentJoin {
                    members_omitted: true,
                    ..SentJoin::default()
                };
            }),
            ..Lies::default()
        },
        // A state that does not allow the join.
        Lies {
            joined: lie(|sent: &mut SentJoin| {
                sent.state
                    .retain(|event| !event.get().contains("\"m.room.join_rules\""));
            }),
            ..Lies::default()
        },
        // Two create events, as of another room.
        Lies {
            joined: lie(|sent: &mut SentJoin| {
                let other = sent
                    .state
                    .iter()
                    .find(|event| event.get().contains("\"m.room.create\""));
                let other = other.unwrap().get().replace("\"depth\":1", "\"depth\":2");
                sent.auth_chain.push(raw(&other));
                sent.state
                    .retain(|event| !event.get().contains("\"m.room.create\""));
            }),
            ..Lies::default()
        },
    ];
    for (number, lies) in lies.into_iter().enumerate() {
        for version in ["6", "11", "12"] {
            let town = Town::new().await;
            let room = town.room(version, Preset::PublicChat).await;
            town.lie(lies.clone());
            let refused = town.join("b", &room).await.unwrap_err();
            assert!(
                matches!(refused, WriteError::Remote(RemoteError::BadAnswer)),
                "{number}: {refused:?}"
            );
            assert!(!town.knows("b", &room).await, "{number}");
            assert_eq!(town.own("b", &room).await, None, "{number}");
            town.lie(Lies::default());
            town.join("b", &room).await.unwrap();
            town.agree(&room, &["a", "b"]).await;
        }
    }
}

#[tokio::test]
async fn e04_an_event_of_the_state_whose_signature_is_wrong_is_left_out() {
    let town = Town::new().await;
    let room = town
        .room_with(
            "11",
            Preset::PublicChat,
            &[("m.room.name", json!({ "name": "Tea" }))],
        )
        .await;
    town.lie(Lies {
        joined: lie(|sent: &mut SentJoin| {
            for event in &mut sent.state {
                if event.get().contains("\"type\":\"m.room.name\"") {
                    *event = raw(&event
                        .get()
                        .replace("\"origin_server_ts\":1", "\"origin_server_ts\":2"));
                }
            }
        }),
        ..Lies::default()
    });
    town.join("b", &room).await.unwrap();
    let head = town.rooms("b").head(&room).await.unwrap().unwrap();
    assert_eq!(head.state_event_id("m.room.name", ""), None);
    assert!(head.is_joined(&user("a")));
}

#[tokio::test]
async fn e02_e03_of_a_proposal_nothing_is_signed_but_its_place() {
    let town = Town::new().await;
    let room = town.room("11", Preset::PublicChat).await;
    let wrong = [
        ("type", json!("m.room.power_levels")),
        ("sender", json!("@a:a")),
        ("state_key", json!("@a:a")),
        ("room_id", json!("!other:a")),
        ("content", json!({ "membership": "ban" })),
        ("content", json!({})),
        ("prev_events", json!([])),
        ("prev_events", json!(vec!["$x"; 21])),
        ("auth_events", json!(vec!["$x"; 11])),
        ("prev_events", json!(7)),
        ("depth", json!("deep")),
    ];
    for (field, value) in wrong {
        let set = value.clone();
        town.lie(Lies {
            template: lie(move |template: &mut Template| {
                let set = ruma::CanonicalJsonValue::try_from(set.clone()).unwrap();
                template.event.insert(field.to_owned(), set);
            }),
            ..Lies::default()
        });
        let refused = town.join("b", &room).await.unwrap_err();
        assert!(
            matches!(refused, WriteError::Remote(RemoteError::BadAnswer)),
            "{field} {value}: {refused:?}"
        );
    }
    assert_eq!(town.asked("send_join"), 0, "nothing was signed");
    // Further fields are not taken over.
    town.lie(Lies {
        template: lie(|template: &mut Template| {
            let text = |text: &str| ruma::CanonicalJsonValue::String(text.to_owned());
            template.event.insert("redacts".to_owned(), text("$x"));
            let content = ruma::CanonicalJsonValue::try_from(
                json!({ "membership": "join", "displayname": "theirs", "join_authorised_via_users_server": "@c:c" }),
            );
            template.event.insert("content".to_owned(), content.unwrap());
            template.event.insert("origin_server_ts".to_owned(), ruma::CanonicalJsonValue::Integer(7_i32.into()));
        }),
        ..Lies::default()
    });
    town.join("b", &room).await.unwrap();
    let rooms = town.rooms("b");
    let head = rooms.head(&room).await.unwrap().unwrap();
    let id = head.state_event_id("m.room.member", "@b:b").unwrap().clone();
    let pdu = rooms.raw_pdus(&room, &[id]).await.unwrap().remove(0);
    let event: serde_json::Value = serde_json::from_str(pdu.get()).unwrap();
    assert_eq!(event["content"], json!({ "membership": "join" }));
    assert_eq!(event.get("redacts"), None);
    assert_ne!(event["origin_server_ts"], 7);
}

#[tokio::test]
async fn a_room_of_an_unknown_version_is_not_joined() {
    let town = Town::new().await;
    let room = town.room("11", Preset::PublicChat).await;
    for (version, unknown) in [("99", true), ("10", false)] {
        town.lie(Lies {
            template: lie(move |template: &mut Template| template.room_version = Some(version.to_owned())),
            ..Lies::default()
        });
        let refused = town.join("b", &room).await.unwrap_err();
        assert_eq!(
            matches!(refused, WriteError::UnknownRoomVersion(_)),
            unknown,
            "{refused:?}"
        );
        assert!(!town.knows("b", &room).await);
    }
}

/// Those in `lounge` may join `room`, both of `a`.
async fn restricted(town: &Town, version: &str) -> (ruma::OwnedRoomId, ruma::OwnedRoomId) {
    let lounge = town.room(version, Preset::PublicChat).await;
    let rule =
        json!({ "join_rule": "restricted", "allow": [{ "type": "m.room_membership", "room_id": lounge }] });
    let room = town
        .room_with(version, Preset::PrivateChat, &[("m.room.join_rules", rule)])
        .await;
    (lounge, room)
}

#[tokio::test]
async fn b04_b05_a_member_of_an_allowed_room_is_vouched_for_by_the_server_that_can() {
    for version in ["8", "11", "12"] {
        let town = Town::new().await;
        let (lounge, room) = restricted(&town, version).await;
        assert!(forbidden(&town.join("b", &room).await.unwrap_err()), "{version}");
        town.join("b", &lounge).await.unwrap();
        town.join("b", &room).await.unwrap();
        town.agree(&room, &["a", "b"]).await;
        let rooms = town.rooms("b");
        let head = rooms.head(&room).await.unwrap().unwrap();
        let id = head.state_event_id("m.room.member", "@b:b").unwrap().clone();
        let pdu = rooms.raw_pdus(&room, &[id]).await.unwrap().remove(0);
        let event: serde_json::Value = serde_json::from_str(pdu.get()).unwrap();
        assert_eq!(event["content"]["join_authorised_via_users_server"], "@a:a");
        assert!(
            event["signatures"]["a"].is_object() && event["signatures"]["b"].is_object(),
            "{event}"
        );
    }
}

#[tokio::test]
async fn b04_a_server_that_cannot_tell_or_cannot_sign_says_so() {
    let town = Town::new().await;
    let (lounge, room) = restricted(&town, "11").await;
    // `b` is in the room but not in the lounge, and its user may not invite.
    town.rooms("a")
        .invite(&user("a"), &user("b"), &room, &plain())
        .await
        .unwrap();
    town.join("b", &room).await.unwrap();
    town.join("c", &lounge).await.unwrap();
    let via_b = Join {
        via: vec![name("b")],
        ..Join::default()
    };
    town.wire.down.lock().insert(name("a"));
    let refused = town.rooms("c").join(&user("c"), &room, &via_b).await.unwrap_err();
    assert!(
        matches!(&refused, WriteError::Remote(RemoteError::Refused { errcode, .. }) if errcode == "M_UNABLE_TO_AUTHORISE_JOIN"),
        "{refused:?}"
    );
    town.wire.down.lock().clear();
    town.join("b", &lounge).await.unwrap();
    town.deliver("a", "b", &lounge).await;
    let levels = json!({ "users": { "@a:a": 100 }, "invite": 50 });
    town.set("a", &room, "m.room.power_levels", levels).await;
    town.deliver("a", "b", &room).await;
    town.wire.down.lock().insert(name("a"));
    let refused = town.rooms("c").join(&user("c"), &room, &via_b).await.unwrap_err();
    assert!(
        matches!(&refused, WriteError::Remote(RemoteError::Refused { errcode, .. }) if errcode == "M_UNABLE_TO_GRANT_JOIN"),
        "{refused:?}"
    );
    // Where one server cannot, another can.
    town.wire.down.lock().clear();
    let via_both = Join {
        via: vec![name("b"), name("a")],
        ..Join::default()
    };
    town.rooms("c").join(&user("c"), &room, &via_both).await.unwrap();
    town.agree(&room, &["a", "c"]).await;
}

#[tokio::test]
async fn somebody_on_another_server_lets_in_whom_nobody_here_may() {
    let town = Town::new().await;
    let (lounge, room) = restricted(&town, "11").await;
    let levels = json!({ "users": { "@a:a": 100 }, "invite": 50 });
    town.set("a", &room, "m.room.power_levels", levels).await;
    town.join("b", &lounge).await.unwrap();
    town.join("b", &room).await.unwrap();
    let other: ruma::OwnedUserId = "@other:b".try_into().unwrap();
    let rooms = town.rooms("b");
    rooms.join(&other, &lounge, &Join::default()).await.unwrap();
    town.deliver("b", "a", &lounge).await;
    rooms.join(&other, &room, &Join::default()).await.unwrap();
    assert_eq!(town.membership("b", &room, &other).await, MembershipState::Join);
    assert_eq!(town.membership("a", &room, &other).await, MembershipState::Join);
    town.agree(&room, &["a", "b"]).await;
}

#[tokio::test]
async fn guests_join_rooms_of_others_that_let_guests_in_and_no_others() {
    let town = Town::new().await;
    let welcome = [("m.room.guest_access", json!({ "guest_access": "can_join" }))];
    let open = town.room_with("12", Preset::PublicChat, &welcome).await;
    let closed = town.room("12", Preset::PublicChat).await;
    let unseen = town.room_with("12", Preset::PrivateChat, &welcome).await;
    let rooms = town.rooms("b");
    let guest = town.guest("b").await;
    let join = Join {
        via: vec![name("c"), name("a")],
        is_guest: true,
        ..Join::default()
    };
    for room in [&closed, &unseen] {
        let refused = rooms.join(&guest, room, &join).await;
        assert!(matches!(refused, Err(WriteError::GuestsForbidden)), "{refused:?}");
    }
    assert_eq!(town.asked("make"), 0);
    let join = Join {
        via: vec![name("a")],
        ..join
    };
    rooms.join(&guest, &open, &join).await.unwrap();
    assert_eq!(town.membership("a", &open, &guest).await, MembershipState::Join);
    // An invite opens the room to one who may know of it only then.
    let a = town.rooms("a");
    a.invite(&user("a"), &guest, &unseen, &plain()).await.unwrap();
    rooms.join(&guest, &unseen, &join).await.unwrap();
    assert_eq!(town.membership("a", &unseen, &guest).await, MembershipState::Join);
}

#[tokio::test]
async fn a_guest_leaves_a_room_that_another_server_said_was_open_to_guests() {
    let town = Town::new().await;
    let room = town.room("12", Preset::PublicChat).await;
    town.lie(Lies {
        welcome: lie(|welcome| *welcome = true),
        ..Lies::default()
    });
    let guest = town.guest("b").await;
    let join = Join {
        via: vec![name("a")],
        is_guest: true,
        ..Join::default()
    };
    let refused = town.rooms("b").join(&guest, &room, &join).await;
    assert!(matches!(refused, Err(WriteError::GuestsForbidden)), "{refused:?}");
    assert_eq!(town.membership("b", &room, &guest).await, MembershipState::Leave);
}

#[tokio::test]
async fn the_deactivated_do_not_join_rooms_of_others() {
    let town = Town::new().await;
    let room = town.room("12", Preset::PublicChat).await;
    let rooms = town.rooms("b");
    rooms.shared.accounts.deactivate_user(&user("b")).await.unwrap();
    let refused = town.join("b", &room).await;
    assert!(
        matches!(refused, Err(WriteError::Refused(Refusal::Deactivated))),
        "{refused:?}"
    );
    assert!(!town.knows("b", &room).await);
}

#[tokio::test]
async fn e30_a_server_that_the_acl_denies_is_given_nothing() {
    let town = Town::new().await;
    let room = town.room("12", Preset::PublicChat).await;
    let acl = update("m.room.server_acl", "", &json!({ "allow": ["*"], "deny": ["b"] }));
    town.rooms("a").set_state(&user("a"), &room, &acl).await.unwrap();
    assert!(forbidden(&town.join("b", &room).await.unwrap_err()));
    town.join("c", &room).await.unwrap();
}

#[tokio::test]
async fn kicks_and_bans_reach_the_other_server_and_who_was_kicked_comes_back() {
    for version in ["1", "6", "11", "12"] {
        let town = Town::new().await;
        let room = town.room(version, Preset::PublicChat).await;
        let a = town.rooms("a");
        town.join("b", &room).await.unwrap();
        a.kick(&user("a"), &user("b"), &room, &plain()).await.unwrap();
        town.deliver("a", "b", &room).await;
        assert_eq!(
            town.own("b", &room).await,
            Some(MembershipState::Leave),
            "version {version}"
        );
        town.join("b", &room).await.unwrap();
        assert_eq!(town.own("b", &room).await, Some(MembershipState::Join));
        a.ban(&user("a"), &user("b"), &room, &plain()).await.unwrap();
        let received = town.deliver("a", "b", &room).await;
        assert_eq!(
            town.own("b", &room).await,
            Some(MembershipState::Ban),
            "{received:?}"
        );
        assert!(forbidden(&town.join("b", &room).await.unwrap_err()));
        a.unban(&user("a"), &user("b"), &room, &plain()).await.unwrap();
        town.join("b", &room).await.unwrap();
        town.agree(&room, &["a", "b"]).await;
    }
}
