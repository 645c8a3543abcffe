//! Invitations by address that are not what they say: each is refused, and nothing is written.

use gatehouse_testkit::{Answer, TestServer, User, configured, rate};
use serde_json::{Value, json};

use crate::{
    hostile::{FOR_AN_INVITE, Hostile, invite, join},
    mail::password,
};

/// Alice's private room, into which an address is invited; Bob, whose address it is; and Carol.
struct World<'a> {
    server: &'a TestServer,
    hostile: &'a Hostile,
    alice: User<'a>,
    bob: User<'a>,
    carol: User<'a>,
    room: String,
}

impl<'a> World<'a> {
    async fn new(server: &'a TestServer, hostile: &'a Hostile) -> Self {
        let alice = server.user("alice").await;
        let room = alice.create_room(json!({})).await;
        invite(&alice, &room, hostile).await.ok();
        Self {
            bob: server.user("bob").await,
            carol: server.user("carol").await,
            server,
            hostile,
            alice,
            room,
        }
    }

    /// What the identity server signs for this user.
    fn block(&self, mxid: &str) -> Value {
        self.hostile.signed(&json!({ "mxid": mxid, "token": "token" }))
    }

    /// The user comes in by a plain invite.
    async fn let_in(&self, user: &User<'_>) {
        self.alice.act_on("invite", &self.room, &user.id).await.ok();
        user.join(&self.room).await.ok();
    }

    /// What `3pid/onbind` is told: true, but for what is changed.
    fn bound(&self, change: impl FnOnce(&mut Value)) -> Value {
        let mxid = &self.bob.id;
        let mut body = json!({
            "mxid": mxid, "medium": "email", "address": "bob@mail.example",
            "invites": [{
                "room_id": self.room, "sender": self.alice.id, "mxid": mxid, "medium": "email",
                "address": "bob@mail.example", "signed": self.block(mxid),
            }],
        });
        change(&mut body);
        body
    }

    async fn tell(&self, method: &str, body: &Value) -> Answer {
        let path = "/_matrix/federation/v1/3pid/onbind";
        self.server.request(method, path, Some(body)).await
    }

    /// Neither joining with the block nor being told of the address lets Bob in, and nothing is written.
    async fn keeps_bob_out(&self, because: &str) {
        let before = self.alice.whole_state(&self.room).await;
        join(&self.bob, &self.room, &self.block(&self.bob.id))
            .await
            .forbidden(because);
        self.tell("PUT", &self.bound(|_| ()))
            .await
            .refused(403, "M_FORBIDDEN");
        assert_eq!(self.alice.whole_state(&self.room).await, before);
    }

    async fn membership(&self, user: &User<'_>) -> Value {
        let state = self.alice.whole_state(&self.room).await;
        let events = state.as_array().unwrap().iter();
        let mut members = events.filter(|event| event["type"] == "m.room.member");
        let member = members.find(|event| event["state_key"] == user.id.as_str());
        member.map_or(Value::Null, |member| member["content"]["membership"].clone())
    }
}

#[tokio::test]
async fn t18_a_homeserver_that_lies_in_onbind_changes_nothing_and_the_truth_does() {
    let hostile = Hostile::start().await;
    let server = hostile.trusted().await;
    let world = World::new(&server, &hostile).await;
    let carol = world.carol.id.as_str();
    let other = world.alice.create_room(json!({})).await;
    let gone = server.user("gone").await;
    let deactivated = gone.post("/account/deactivate", json!({ "auth": password(&gone) }));
    deactivated.await.ok();
    let all = |mxid: &str| {
        world.bound(|body| {
            body["mxid"] = json!(mxid);
            body["invites"][0]["mxid"] = json!(mxid);
        })
    };
    let signed_for = |mxid: &str| {
        let mut body = all(mxid);
        body["invites"][0]["signed"] = world.block(mxid);
        body
    };
    let lies = [
        ("a block for another user", all(carol)),
        (
            "another sender",
            world.bound(|body| body["invites"][0]["sender"] = json!(carol)),
        ),
        (
            "another room",
            world.bound(|body| body["invites"][0]["room_id"] = json!(other)),
        ),
        (
            "no room",
            world.bound(|body| body["invites"][0]["room_id"] = json!("!no:test.example")),
        ),
        (
            "a block that was altered",
            world.bound(|body| body["invites"][0]["signed"]["more"] = json!(1)),
        ),
        (
            "another token",
            world.bound(|body| {
                let block = json!({ "mxid": world.bob.id, "token": "other" });
                body["invites"][0]["signed"] = hostile.signed(&block);
            }),
        ),
        (
            "a key that is not in the event",
            world.bound(|body| {
                let key = json!({ "ed25519:0": "A".repeat(86) });
                body["invites"][0]["signed"]["signatures"] = json!({ "id.example": key });
            }),
        ),
        ("nobody", signed_for("@nobody:test.example")),
        ("a user of another server", signed_for("@bob:elsewhere.example")),
        ("who is gone", signed_for(&gone.id)),
    ];
    let before = world.alice.whole_state(&world.room).await;
    for (lie, body) in &lies {
        for method in ["PUT", "POST"] {
            let told = world.tell(method, body).await;
            assert_eq!(told.status, 403, "{lie}: {}", told.body);
            told.forbidden("not all of these invitations were accepted");
        }
    }
    let many = world.bound(|body| {
        let one = body["invites"][0].clone();
        body["invites"] = json!(vec![one; 101]);
    });
    world.tell("PUT", &many).await.refused(400, "M_INVALID_PARAM");
    assert_eq!(world.alice.whole_state(&world.room).await, before);
    let invited = world.bob.sync("", 0).await["rooms"]["invite"].clone();
    assert!(invited.get(&world.room).is_none(), "{invited}");
    world.tell("POST", &world.bound(|_| ())).await.ok();
    assert_eq!(world.membership(&world.bob).await, "invite");
    // Identity servers say it again when they have not heard the answer.
    let after = world.alice.whole_state(&world.room).await;
    world.tell("PUT", &world.bound(|_| ())).await.ok();
    assert_eq!(world.alice.whole_state(&world.room).await, after);
}

#[tokio::test]
async fn t18_who_tells_of_bound_addresses_is_counted_by_network() {
    let hostile = Hostile::start().await;
    let server = configured(|config| {
        config.identity_servers.trusted = vec![format!("http://{}", hostile.name)];
        config.rate_limits.enabled = true;
        config.rate_limits.federation = Some(rate(0.001, 2));
    })
    .await;
    let world = World::new(&server, &hostile).await;
    let lie = world.bound(|body| body["invites"][0]["sender"] = json!("@eve:test.example"));
    for _ in 0..2 {
        world.tell("PUT", &lie).await.refused(403, "M_FORBIDDEN");
    }
    let before = world.alice.whole_state(&world.room).await;
    let truth = world.bound(|_| ());
    world.tell("PUT", &truth).await.refused(429, "M_LIMIT_EXCEEDED");
    assert_eq!(world.alice.whole_state(&world.room).await, before);
}

#[tokio::test]
async fn t09_what_was_taken_back_lets_nobody_in_whatever_is_left_of_it() {
    let hostile = Hostile::start().await;
    let server = hostile.trusted().await;
    let world = World::new(&server, &hostile).await;
    for left in [
        json!({}),
        json!({ "display_name": "b...", "public_keys": [] }),
        json!({ "display_name": "b...", "public_keys": "none", "public_key": 5 }),
        json!({ "display_name": 1, "public_keys": [1, null, {}] }),
    ] {
        let set = world
            .alice
            .set_state(&world.room, "m.room.third_party_invite", "token", left);
        set.await.ok();
        world.keeps_bob_out("taken back").await;
    }
}

#[tokio::test]
async fn t09_whoever_sent_an_invitation_takes_it_back_without_more_power_than_it_took() {
    let hostile = Hostile::start().await;
    let server = hostile.trusted().await;
    let world = World::new(&server, &hostile).await;
    world.let_in(&world.carol).await;
    let set = async |user: &User<'_>| {
        let event = json!({});
        user.set_state(&world.room, "m.room.third_party_invite", "token", event)
            .await
    };
    let levels = json!({ "invite": 50, "state_default": 0, "events": { "m.room.third_party_invite": 0 } });
    let raised = world
        .alice
        .set_state(&world.room, "m.room.power_levels", "", levels);
    raised.await.ok();
    set(&world.carol).await.forbidden("power level");
    let levels = json!({ "invite": 0, "state_default": 50, "events": { "m.room.third_party_invite": 50 } });
    let lowered = world
        .alice
        .set_state(&world.room, "m.room.power_levels", "", levels);
    lowered.await.ok();
    set(&world.carol).await.ok();
    world.keeps_bob_out("taken back").await;
}

#[tokio::test]
async fn t11_a_token_is_for_one_user() {
    let hostile = Hostile::start().await;
    let server = hostile.trusted().await;
    let world = World::new(&server, &hostile).await;
    join(&world.bob, &world.room, &world.block(&world.bob.id))
        .await
        .ok();
    let before = world.alice.whole_state(&world.room).await;
    join(&world.carol, &world.room, &world.block(&world.carol.id))
        .await
        .forbidden("has been used");
    assert_eq!(world.alice.whole_state(&world.room).await, before);
    // Bound to Carol since: she is not let in either, and the invitation is taken out of the room (T10).
    let hers = world.bound(|body| {
        body["mxid"] = json!(world.carol.id);
        body["invites"][0]["mxid"] = json!(world.carol.id);
        body["invites"][0]["signed"] = world.block(&world.carol.id);
    });
    world.tell("PUT", &hers).await.refused(403, "M_FORBIDDEN");
    let invitation = world
        .alice
        .state(&world.room, "m.room.third_party_invite", "token")
        .await;
    assert_eq!(invitation.ok(), json!({}));
    assert_eq!(world.membership(&world.carol).await, Value::Null);
}

#[tokio::test]
async fn t12_an_inviter_may_have_left_but_not_been_banned() {
    let hostile = Hostile::start().await;
    let server = hostile.trusted().await;
    let world = World::new(&server, &hostile).await;
    world.let_in(&world.carol).await;
    // The same token, so that it is Carol's invitation now.
    invite(&world.carol, &world.room, &hostile).await.ok();
    world.alice.act_on("ban", &world.room, &world.carol.id).await.ok();
    let before = world.alice.whole_state(&world.room).await;
    join(&world.bob, &world.room, &world.block(&world.bob.id))
        .await
        .forbidden("is banned");
    let hers = world.bound(|body| body["invites"][0]["sender"] = json!(world.carol.id));
    world.tell("PUT", &hers).await.refused(403, "M_FORBIDDEN");
    assert_eq!(world.alice.whole_state(&world.room).await, before);
    world
        .alice
        .act_on("unban", &world.room, &world.carol.id)
        .await
        .ok();
    join(&world.bob, &world.room, &world.block(&world.bob.id))
        .await
        .ok();
    assert_eq!(world.membership(&world.bob).await, "join");
}

#[tokio::test]
async fn t13_b08_whoever_is_banned_stays_out_by_block_and_by_address() {
    let hostile = Hostile::start().await;
    let server = hostile.trusted().await;
    let world = World::new(&server, &hostile).await;
    world.alice.act_on("ban", &world.room, &world.bob.id).await.ok();
    world.keeps_bob_out("banned").await;
    // And when the address is known to be theirs.
    let before = world.alice.whole_state(&world.room).await;
    hostile.knows(&world.bob.id);
    invite(&world.alice, &world.room, &hostile)
        .await
        .forbidden("is banned");
    assert_eq!(world.alice.whole_state(&world.room).await, before);
}

#[tokio::test]
async fn b06_b09_who_may_not_invite_is_told_before_the_identity_server_is_asked() {
    let hostile = Hostile::start().await;
    let server = hostile.trusted().await;
    let world = World::new(&server, &hostile).await;
    let asked = hostile.times_asked();
    invite(&world.bob, &world.room, &hostile)
        .await
        .forbidden("you are not in this room");
    world.let_in(&world.carol).await;
    let levels = json!({ "invite": 50 });
    let set = world
        .alice
        .set_state(&world.room, "m.room.power_levels", "", levels);
    set.await.ok();
    let before = world.alice.whole_state(&world.room).await;
    invite(&world.carol, &world.room, &hostile)
        .await
        .forbidden("power level");
    let event = json!({ "display_name": "b...", "public_keys": [] });
    world
        .carol
        .set_state(&world.room, "m.room.third_party_invite", "own", event)
        .await
        .refused(403, "M_FORBIDDEN");
    world.carol.leave(&world.room).await.ok();
    let after = world.alice.whole_state(&world.room).await;
    assert_ne!(after, before, "she has left, which is all that was written");
    invite(&world.carol, &world.room, &hostile)
        .await
        .forbidden("you are not in this room");
    assert_eq!(world.alice.whole_state(&world.room).await, after);
    assert_eq!(hostile.times_asked(), asked);
    assert!(hostile.was_asked(FOR_AN_INVITE[3]), "but it was for Alice");
}
