//! Our own refusals against the authorisation rules: we refuse nothing that they allow, but for what is listed here.

use gatehouse_events::{NewEvent, RoomVersion};
use gatehouse_store::Store;
use ruma::{
    CanonicalJsonObject, OwnedRoomId, OwnedUserId,
    events::{TimelineEventType, room::member::MembershipState},
};

use super::house::{content, room, rooms, user};
use crate::{
    Join, MembershipRequest, Refusal, Rooms, WriteError,
    create::Preset,
    room_transaction::{AppendError, Beside},
    send::StateUpdate,
};

/// Numbers that a seed decides.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

const JOIN_RULES: [&str; 5] = ["public", "invite", "knock", "private", "knock_restricted"];

#[tokio::test]
async fn e13_we_refuse_what_the_rules_refuse_and_nothing_else() {
    for version in RoomVersion::all() {
        for seed in 0..12 {
            let rooms = rooms(&Store::in_memory());
            let people: Vec<_> = ["alice", "bob", "carol", "dave"].into_iter().map(user).collect();
            let room = room(&rooms, &people[0], version, Preset::PublicChat).await;
            let mut dice = Dice(seed * 977 + 13);
            for step in 0..40 {
                let place = format!("version {version}, seed {seed}, step {step}");
                act(&rooms, &room, &people, &mut dice, &place).await;
            }
        }
    }
}

async fn act(rooms: &Rooms, room: &OwnedRoomId, people: &[OwnedUserId], dice: &mut Dice, place: &str) {
    let (sender, target) = (&people[dice.roll(people.len())], &people[dice.roll(people.len())]);
    let plain = MembershipRequest::default();
    let (membership, subject, outcome) = match dice.roll(9) {
        0 | 1 => ("join", sender, rooms.join(sender, room, &Join::default()).await),
        2 => (
            "invite",
            target,
            rooms.invite(sender, target, room, &plain).await.map(drop),
        ),
        3 => ("leave", sender, rooms.leave(sender, room, &plain).await.map(drop)),
        // Taking oneself out is leaving, whatever it is called.
        4 | 6 if sender == target => return,
        4 => (
            "leave",
            target,
            rooms.kick(sender, target, room, &plain).await.map(drop),
        ),
        5 => (
            "ban",
            target,
            rooms.ban(sender, target, room, &plain).await.map(drop),
        ),
        6 => (
            "leave",
            target,
            rooms.unban(sender, target, room, &plain).await.map(drop),
        ),
        7 => ("knock", sender, rooms.knock(sender, room, &plain, &[]).await),
        _ => return change_rules(rooms, room, people, dice).await,
    };
    match outcome {
        Ok(()) => {}
        Err(WriteError::Refused(Refusal::Rules(rule))) => {
            panic!("{place}: no sentence of our own for: {rule}")
        }
        Err(WriteError::Refused(refusal)) => {
            if !is_stricter(&refusal) {
                let allowed = rules_allow(rooms, room, sender, subject, membership).await;
                assert!(
                    !allowed,
                    "{place}: {sender} may {membership} {subject}, but: {refusal}"
                );
            }
        }
        Err(WriteError::UnsupportedByVersion(_)) => {
            assert!(
                !rules_allow(rooms, room, sender, subject, membership).await,
                "{place}: knock"
            );
        }
        Err(other) => panic!("{place}: {other:?}"),
    }
}

/// Where the rules would allow it and we do not (security, B13, B16, B17).
fn is_stricter(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::TargetBanned(_) | Refusal::TargetNotInRoom(_) | Refusal::TargetNotBanned(_)
    )
}

/// What the rules alone say.
async fn rules_allow(
    rooms: &Rooms,
    room: &OwnedRoomId,
    sender: &OwnedUserId,
    target: &OwnedUserId,
    membership: &str,
) -> bool {
    let mut transaction = rooms.begin(room).await.unwrap().unwrap();
    let new = NewEvent {
        kind: TimelineEventType::RoomMember,
        state_key: Some(target.to_string()),
        content: content(&format!(r#"{{"membership":"{membership}"}}"#)),
        redacts: None,
    };
    match transaction.append(sender, new, Beside::default()).await {
        Ok(_) => true,
        Err(AppendError::Denied(_)) => false,
        Err(other) => panic!("{other:?}"),
    }
}

/// The creator changes the join rule or somebody's power; refusals are the version's own affair.
async fn change_rules(rooms: &Rooms, room: &OwnedRoomId, people: &[OwnedUserId], dice: &mut Dice) {
    let head = rooms.head(room).await.unwrap().unwrap();
    if head.membership(&people[0]) != MembershipState::Join {
        return;
    }
    let (kind, text) = if dice.roll(2) == 0 {
        let rule = JOIN_RULES[dice.roll(JOIN_RULES.len())];
        ("m.room.join_rules", format!(r#"{{"join_rule":"{rule}"}}"#))
    } else {
        let creator = if head.power_levels().is_privileged_creator(&people[0]) {
            ""
        } else {
            r#""@alice:s":100,"#
        };
        let (bob, carol) = (dice.roll(3) * 50, dice.roll(3) * 50);
        let (invite, kick, ban) = (dice.roll(3) * 50, dice.roll(3) * 50, dice.roll(3) * 50);
        let users = format!(r#"{{{creator}"@bob:s":{bob},"@carol:s":{carol}}}"#);
        (
            "m.room.power_levels",
            format!(r#"{{"users":{users},"invite":{invite},"kick":{kick},"ban":{ban}}}"#),
        )
    };
    let content: CanonicalJsonObject = content(&text);
    let update = StateUpdate {
        kind: kind.into(),
        state_key: String::new(),
        content,
        is_guest: false,
    };
    // Somebody with as much power cannot be put down again; then it stays as it is.
    _ = rooms.set_state(&people[0], room, &update).await;
}
