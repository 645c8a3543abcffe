//! Users who do all kinds of things in rooms, allowed or not.

use std::rc::Rc;

use ruma::OwnedRoomId;
use serde_json::json;

use super::random::Random;
use crate::tests::world::{User, World};

/// Rooms of every history visibility; the first user made them all, everybody may set state and invite.
pub(crate) async fn make_rooms(
    world: &World,
    users: &[User],
    random: &mut Random,
    count: usize,
) -> Vec<OwnedRoomId> {
    let mut rooms = Vec::new();
    for _ in 0..count {
        let room = world.public_room(&users[0]).await;
        let levels = json!({
            "users": {users[0].id.as_str(): 100}, "users_default": 50, "state_default": 0,
            "events": {"m.room.power_levels": 100, "m.room.history_visibility": 50},
        });
        world
            .set(&users[0], &room, ("m.room.power_levels", ""), levels)
            .await
            .unwrap();
        let visibility = *random.pick(&["joined", "invited", "shared", "world_readable"]);
        world.set_visibility(&users[0], &room, visibility).await;
        rooms.push(room);
    }
    rooms
}

pub(crate) struct Writer {
    world: Rc<World>,
    users: Vec<User>,
    rooms: Vec<OwnedRoomId>,
    random: Random,
}

impl Writer {
    pub(crate) fn new(world: Rc<World>, users: Vec<User>, rooms: Vec<OwnedRoomId>, random: Random) -> Self {
        Self {
            world,
            users,
            rooms,
            random,
        }
    }

    pub(crate) async fn write(&mut self, steps: usize) {
        for step in 0..steps {
            self.act(step).await;
            for _ in 0..self.random.below(10) {
                tokio::task::yield_now().await;
            }
        }
    }

    /// One thing. Much of it is refused, which must change nothing for anybody.
    async fn act(&mut self, step: usize) {
        let random = &mut self.random;
        let room = random.pick(&self.rooms).clone();
        let user = random.pick(&self.users).clone();
        let target = random.pick(&self.users).clone();
        let creator = &self.users[0];
        let world = &self.world;
        let outcome = match random.below(20) {
            0..=3 => world.join(&user, &room).await,
            4..=5 => world.leave(&user, &room).await.map(drop),
            6 => world.invite(&user, &room, &target).await.map(drop),
            7 if target.id != creator.id => world.kick(creator, &room, &target).await.map(drop),
            8 if target.id != creator.id => world.ban(creator, &room, &target).await.map(drop),
            9..=10 => world.unban(creator, &room, &target).await.map(drop),
            11 => {
                let name = json!({"name": format!("name {step}")});
                world.set(&user, &room, ("m.room.name", ""), name).await.map(drop)
            }
            12 => {
                let topic = json!({"topic": format!("topic {step}")});
                world
                    .set(&user, &room, ("m.room.topic", ""), topic)
                    .await
                    .map(drop)
            }
            13 => {
                let key = random.below(3).to_string();
                world
                    .set(&user, &room, ("org.example.state", &key), json!({"step": step}))
                    .await
                    .map(drop)
            }
            14 => {
                let visibility = *random.pick(&["joined", "invited", "shared", "world_readable"]);
                let value = json!({"history_visibility": visibility});
                let key = ("m.room.history_visibility", "");
                world.set(&user, &room, key, value).await.map(drop)
            }
            15 => {
                let profile = json!({"membership": "join", "displayname": format!("{step}")});
                let key = ("m.room.member", user.id.as_str());
                if world.rooms().membership_of(&user.id, &room).await.unwrap()
                    == Some(ruma::events::room::member::MembershipState::Join)
                {
                    world.set(&user, &room, key, profile).await.map(drop)
                } else {
                    Ok(())
                }
            }
            _ => world
                .send(&user, &room, &format!("message {step}"))
                .await
                .map(drop),
        };
        // Whether it was allowed is the rooms engine's business; here it only matters that readers agree.
        drop(outcome);
    }
}
