//! Memberships, power and invitations by address that another server sends, and the rules do not allow: whoever checks them
//! last is this server (security.md B, T05 to T13).

use gatehouse_events::{NewEvent, SigningKey, authorise::auth_types};
use ruma::{CanonicalJsonObject, OwnedEventId, OwnedUserId, UserId, signatures::sign_json};
use serde_json::{Value, json};

use super::{
    neighbours::raw,
    world::{World, admin, levels, member, new_event, user},
};
use crate::receive::Received;

const VERSIONS: [&str; 7] = ["1", "3", "6", "8", "10", "11", "12"];

/// Has server `b` send an event of a user, with what should authorise it as far as that can be told.
async fn hand_in(world: &World, sender: &UserId, new: NewEvent) -> (OwnedEventId, Received) {
    let head = world.head(0).await;
    let at = (head.extremities.clone(), head.depth + 1);
    let known = auth_types(
        world.version,
        &new.kind,
        sender,
        new.state_key.as_deref(),
        &new.content,
    );
    let built = if known.is_ok() {
        world.craft_at(0, sender, new, at, &[]).await
    } else {
        let mut keys = vec![("m.room.power_levels", ""), ("m.room.member", sender.as_str())];
        if !world
            .version
            .rules()
            .authorization
            .room_create_event_id_as_room_id
        {
            keys.push(("m.room.create", ""));
        }
        let ids = keys
            .into_iter()
            .filter_map(|(kind, key)| head.state_event_id(kind, key).cloned());
        let at = (at.0, ids.collect(), at.1);
        world.craft_with(0, sender, new, at).await
    };
    (built.event.event_id, world.hand(1, 0, &raw(&built.pdu)).await)
}

async fn is_rejected(world: &World, sender: &UserId, new: NewEvent, what: &str) {
    let before = world.state(0).await;
    let text = format!("{new:?}");
    let (_, outcome) = hand_in(world, sender, new).await;
    let version = world.version;
    assert!(
        matches!(outcome, Received::Rejected(_)),
        "{version}, {what}: {outcome:?} {text}"
    );
    assert_eq!(world.state(0).await, before, "{version}, {what}");
}

/// As [`is_rejected`], where it may be so malformed that it is no event at all.
async fn is_refused(world: &World, sender: &UserId, new: NewEvent, what: &str) {
    let before = world.head(0).await;
    let (_, outcome) = hand_in(world, sender, new).await;
    let version = world.version;
    assert!(
        matches!(outcome, Received::Rejected(_) | Received::Dropped(_)),
        "{version}, {what}: {outcome:?}"
    );
    let after = world.head(0).await;
    assert_eq!(
        (&after.state, &after.members),
        (&before.state, &before.members),
        "{version}, {what}"
    );
}

/// Besides the first users: a moderator here, one there who has as much power, and somebody there who is banned.
struct Room {
    world: World,
    here: OwnedUserId,
    there: OwnedUserId,
    banned: OwnedUserId,
    stranger: OwnedUserId,
}

/// The levels of the room; `more` is written over them.
fn powers(world: &World, more: &Value) -> NewEvent {
    let mut content =
        serde_json::to_value(levels(world.version, &[(user("mod", 0), 50), (admin(1), 50)]).content);
    let content = content.as_mut().unwrap();
    for (field, value) in more.as_object().unwrap() {
        content[field] = value.clone();
    }
    new_event("m.room.power_levels", Some(""), content)
}

impl Room {
    async fn new(version: &str, more: &Value) -> Self {
        let world = World::new(version, 2).await;
        let (here, banned) = (user("mod", 0), user("banned", 1));
        world.act(0, &here, member(&here, "join")).await.unwrap();
        world.act(0, &admin(0), member(&banned, "ban")).await.unwrap();
        world.act(0, &admin(0), powers(&world, more)).await.unwrap();
        Self {
            world,
            here,
            there: admin(1),
            banned,
            stranger: user("stranger", 1),
        }
    }

    async fn rejects(&self, sender: &UserId, new: NewEvent, what: &str) {
        is_rejected(&self.world, sender, new, what).await;
    }
}

#[tokio::test]
async fn b01_to_b03_nobody_of_another_server_joins_uninvited_banned_or_for_others() {
    for version in VERSIONS {
        let room = Room::new(version, &json!({})).await;
        let (join, banned, stranger) = (|user: &UserId| member(user, "join"), &room.banned, &room.stranger);
        room.rejects(banned, join(banned), "B02").await;
        room.rejects(&room.there, join(stranger), "B03: a stranger").await;
        room.rejects(&room.there, join(&user("somebody", 0)), "B03: one of ours")
            .await;
        let closed = new_event("m.room.join_rules", Some(""), &json!({ "join_rule": "invite" }));
        room.world.act(0, &admin(0), closed).await.unwrap();
        room.rejects(stranger, join(stranger), "B01").await;
        for rule in [json!("nonsense"), json!(7), json!("private")] {
            let odd = new_event("m.room.join_rules", Some(""), &json!({ "join_rule": rule }));
            if room.world.act(0, &admin(0), odd).await.is_some() {
                room.rejects(stranger, join(stranger), "B01: a rule that is none")
                    .await;
            }
        }
    }
}

#[tokio::test]
async fn b04_b05_nobody_is_let_in_by_a_server_that_did_not_sign() {
    for version in ["8", "10", "11", "12"] {
        let room = Room::new(version, &json!({ "invite": 50 })).await;
        let rule = json!({ "join_rule": "restricted", "allow": [{ "type": "m.room_membership", "room_id": "!x:a" }] });
        let rule = new_event("m.room.join_rules", Some(""), &rule);
        room.world.act(0, &admin(0), rule).await.unwrap();
        let stranger = &room.stranger;
        room.rejects(stranger, member(stranger, "join"), "B04: nobody let them in")
            .await;
        let by = |via: &str| {
            let content = json!({ "membership": "join", "join_authorised_via_users_server": via });
            new_event("m.room.member", Some(stranger.as_str()), &content)
        };
        // It takes the signature of their server, which it does not have.
        for via in [admin(0).as_str(), "@nobody:a", "@admin:c"] {
            let (_, outcome) = hand_in(&room.world, stranger, by(via)).await;
            assert!(
                matches!(outcome, Received::Dropped(_) | Received::Rejected(_)),
                "{via}: {outcome:?}"
            );
            assert_eq!(
                room.world.head(0).await.membership(stranger).as_str(),
                "leave",
                "{via}"
            );
        }
        // And power, which one who has the signature may lack.
        room.rejects(
            stranger,
            by(user("other", 1).as_str()),
            "B05: one who is not there",
        )
        .await;
    }
}

#[tokio::test]
async fn b06_to_b10_nobody_is_invited_by_those_who_may_not() {
    for version in VERSIONS {
        let room = Room::new(version, &json!({ "invite": 75 })).await;
        let (there, stranger) = (&room.there, &room.stranger);
        let invite = |user: &UserId| member(user, "invite");
        room.rejects(stranger, invite(&user("somebody", 0)), "B06").await;
        room.rejects(there, invite(&user("somebody", 0)), "B09").await;
        let open = powers(&room.world, &json!({ "invite": 0 }));
        room.world.act(0, &admin(0), open).await.unwrap();
        room.rejects(there, invite(&room.here), "B07").await;
        room.rejects(there, invite(&room.banned), "B08").await;
        room.rejects(there, invite(there), "B10").await;
        let (_, taken) = hand_in(&room.world, there, invite(&user("somebody", 0))).await;
        assert_eq!(taken, Received::Accepted, "{version}");
    }
}

#[tokio::test]
async fn b13_to_b18_nobody_is_sent_away_or_taken_back_by_those_who_may_not() {
    for version in VERSIONS {
        let room = Room::new(version, &json!({ "ban": 75 })).await;
        let (here, there, banned, stranger) = (&room.here, &room.there, &room.banned, &room.stranger);
        let leave = |user: &UserId| member(user, "leave");
        let ban = |user: &UserId| member(user, "ban");
        room.rejects(stranger, leave(stranger), "B13").await;
        room.rejects(banned, leave(banned), "B14").await;
        room.rejects(there, leave(here), "B15: an equal").await;
        room.rejects(there, leave(&admin(0)), "B15: one above").await;
        room.rejects(stranger, leave(here), "B15: by a stranger").await;
        room.rejects(there, leave(banned), "B16, B17: who may kick and not ban")
            .await;
        room.rejects(there, ban(stranger), "B18: without the power").await;
        room.rejects(stranger, ban(here), "B18: by a stranger").await;
        let easy = powers(&room.world, &json!({ "ban": 50 }));
        room.world.act(0, &admin(0), easy).await.unwrap();
        room.rejects(there, ban(here), "B18: an equal").await;
        room.rejects(there, ban(&admin(0)), "B18: one above").await;
        let (_, taken) = hand_in(&room.world, there, ban(stranger)).await;
        assert_eq!(taken, Received::Accepted, "{version}");
    }
}

#[tokio::test]
async fn b19_b20_b21_odd_memberships_and_state_of_others_are_rejected() {
    for version in VERSIONS {
        let room = Room::new(version, &json!({ "state_default": 0 })).await;
        let (there, stranger) = (&room.there, &room.stranger);
        room.rejects(stranger, member(stranger, "knock"), "B19").await;
        for membership in [
            json!({}),
            json!({ "membership": "owner" }),
            json!({ "membership": 7 }),
            json!({ "membership": null }),
        ] {
            let odd = new_event("m.room.member", Some(there.as_str()), &membership);
            is_refused(&room.world, there, odd, "B20").await;
        }
        let no_user = new_event(
            "m.room.member",
            Some("everybody"),
            &json!({ "membership": "invite" }),
        );
        is_refused(&room.world, there, no_user, "B20: no user").await;
        let no_key = new_event("m.room.member", None, &json!({ "membership": "leave" }));
        is_refused(&room.world, there, no_key, "B20: no state").await;
        for key in [admin(0).as_str(), room.stranger.as_str()] {
            room.rejects(there, new_event("x.state", Some(key), &json!({})), "B21")
                .await;
        }
        let own = new_event("x.state", Some(there.as_str()), &json!({}));
        assert_eq!(
            hand_in(&room.world, there, own).await.1,
            Received::Accepted,
            "{version}"
        );
    }
}

#[tokio::test]
async fn b23_power_is_not_taken_from_another_server() {
    for version in VERSIONS {
        let room = Room::new(version, &json!({ "state_default": 50, "ban": 75 })).await;
        let (here, there) = (room.here.clone(), &room.there);
        let with = |of: &[(OwnedUserId, i64)]| {
            let mut users: serde_json::Map<String, Value> = of
                .iter()
                .map(|(user, level)| (user.to_string(), json!(level)))
                .collect();
            if !room
                .world
                .version
                .rules()
                .authorization
                .explicitly_privilege_room_creators
            {
                users.entry(admin(0).to_string()).or_insert(json!(100));
            }
            powers(
                &room.world,
                &json!({ "users": users, "state_default": 50, "ban": 75 }),
            )
        };
        room.rejects(
            there,
            with(&[(here.clone(), 50), (there.clone(), 51)]),
            "itself above its own",
        )
        .await;
        room.rejects(
            there,
            with(&[(here.clone(), 0), (there.clone(), 50)]),
            "an equal down",
        )
        .await;
        room.rejects(there, with(&[(there.clone(), 50)]), "an equal out")
            .await;
        let friend = user("friend", 1);
        let friends = with(&[(here.clone(), 50), (there.clone(), 50), (friend, 75)]);
        room.rejects(there, friends, "a friend above").await;
        for (field, value) in [
            ("ban", 50),
            ("ban", 0),
            ("kick", 75),
            ("users_default", 75),
            ("events_default", 100),
        ] {
            let mut levels = json!({ "state_default": 50, "ban": 75 });
            levels[field] = json!(value);
            room.rejects(there, powers(&room.world, &levels), field).await;
        }
        let alone = room
            .world
            .version
            .rules()
            .authorization
            .explicitly_privilege_room_creators;
        let owner = with(&[(admin(0), 0), (here, 50), (there.clone(), 50)]);
        let what = if alone {
            "E20: a creator in the levels"
        } else {
            "the one above down"
        };
        room.rejects(there, owner, what).await;
    }
}

#[tokio::test]
async fn b24_levels_that_are_no_integers_are_rejected() {
    for version in VERSIONS {
        let room = Room::new(version, &json!({ "state_default": 50 })).await;
        let there = &room.there;
        let takes_text = !room.world.version.rules().authorization.integer_power_levels;
        let mut odd = vec![
            json!([]),
            json!({}),
            json!(null),
            json!("x"),
            json!("1.5"),
            json!(true),
        ];
        if !takes_text {
            odd.push(json!("50"));
        }
        for value in odd {
            for field in ["users_default", "kick", "state_default"] {
                let mut levels = json!({ "state_default": 50 });
                levels[field] = value.clone();
                room.rejects(there, powers(&room.world, &levels), "B24").await;
            }
        }
        for users in [
            json!([]),
            json!("x"),
            json!({ "nobody": 50 }),
            json!({ there.as_str(): [] }),
        ] {
            let levels = json!({ "users": users, "state_default": 50 });
            room.rejects(there, powers(&room.world, &levels), "B24: users")
                .await;
        }
    }
}

/// Who has an address, and what they show for it.
struct Block<'a> {
    key: &'a SigningKey,
    mxid: &'a UserId,
    token: &'a str,
}

impl Block<'_> {
    fn signed(&self) -> Value {
        let block = json!({ "mxid": self.mxid, "token": self.token });
        let mut object: CanonicalJsonObject = serde_json::from_value(block).unwrap();
        sign_json("id.example", self.key, &mut object).unwrap();
        serde_json::to_value(object).unwrap()
    }
}

fn invited_by(target: &UserId, signed: &Value) -> NewEvent {
    let content = json!({
        "membership": "invite", "third_party_invite": { "display_name": "s...@e...", "signed": signed },
    });
    new_event("m.room.member", Some(target.as_str()), &content)
}

fn invitation(token: &str, keys: &[&SigningKey]) -> NewEvent {
    let public_keys: Vec<Value> = keys
        .iter()
        .map(|key| json!({ "public_key": key.public_key_base64(), "key_validity_url": "https://id.example/x" }))
        .collect();
    let content = json!({ "display_name": "s...@e...", "public_keys": public_keys });
    new_event("m.room.third_party_invite", Some(token), &content)
}

#[tokio::test]
async fn t05_to_t09_t13_a_forged_block_in_an_event_of_another_server_invites_nobody() {
    let [key, other] = [[9; 32], [10; 32]].map(|seed| SigningKey::from_seed(seed, "0").unwrap());
    for version in VERSIONS {
        let room = Room::new(version, &json!({ "invite": 0 })).await;
        let (world, there, target) = (&room.world, &room.there, &room.stranger);
        for (token, keys) in [("token", vec![&key]), ("spoilt", vec![&key])] {
            let (_, taken) = hand_in(world, there, invitation(token, &keys)).await;
            assert_eq!(taken, Received::Accepted, "{version}");
        }
        world
            .act(0, &admin(0), invitation("ours", &[&key]))
            .await
            .unwrap();
        let block = |key, mxid, token| Block { key, mxid, token }.signed();
        let good = block(&key, target, "token");
        let mut unsigned = good.clone();
        unsigned["signatures"] = json!({});
        let mut changed = block(&key, there, "token");
        changed["mxid"] = json!(target);
        for (what, signed) in [
            ("T05: the attacker's key", block(&other, target, "token")),
            ("T05: no signature", unsigned),
            ("T05: changed since", changed),
            ("T05: no object", json!("signed")),
            ("T05: nothing", json!({})),
            ("T06: another user", block(&key, there, "token")),
            ("T07: of another inviter", block(&key, target, "ours")),
            ("T08: a token of elsewhere", block(&key, target, "elsewhere")),
        ] {
            room.rejects(there, invited_by(target, &signed), what).await;
        }
        room.rejects(&room.here, invited_by(target, &good), "T07: in another's name")
            .await;
        room.rejects(
            there,
            invited_by(&room.banned, &block(&key, &room.banned, "token")),
            "T13",
        )
        .await;
        let spoilt = new_event("m.room.third_party_invite", Some("spoilt"), &json!({}));
        assert_eq!(
            hand_in(world, there, spoilt).await.1,
            Received::Accepted,
            "{version}"
        );
        room.rejects(there, invited_by(target, &block(&key, target, "spoilt")), "T09")
            .await;
        assert_eq!(
            hand_in(world, there, invited_by(target, &good)).await.1,
            Received::Accepted,
            "{version}"
        );
        assert_eq!(world.head(0).await.membership(target).as_str(), "invite");
    }
}
