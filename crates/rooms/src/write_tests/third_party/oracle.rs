//! Our refusals against the authorisation rules: of invitations by address, too, we refuse nothing that the rules allow,
//! but for what is listed here, and nothing without a sentence of its own.

use gatehouse_events::{NewEvent, SigningKey};
use ruma::events::TimelineEventType;

use super::{identity_server::sign_with, *};
use crate::room_transaction::{AppendError, Beside};

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

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())].clone()
    }
}

/// What an invitation may have become. The keys are gone in all of them but the last.
const SPOILT: [&str; 5] = [
    "{}",
    r#"{"display_name":"x","public_keys":[]}"#,
    r#"{"display_name":"x","public_key":7}"#,
    r#"{"display_name":"x","public_keys":{"public_key":"x"}}"#,
    r#"{"display_name":"x","public_key":"AAAA","public_keys":[{"public_key":"AA-_"}]}"#,
];

#[tokio::test]
async fn e13_invitations_by_address_are_refused_as_the_rules_do_and_not_otherwise() {
    let (mut accepted, mut refused) = (0, 0);
    for version in RoomVersion::all() {
        for seed in 0..4 {
            let world = World::new(version).await;
            let people = [
                world.alice.clone(),
                world.bob.clone(),
                user("carol"),
                "@dave:elsewhere".try_into().unwrap(),
            ];
            let mut dice = Dice(seed * 977 + 5);
            for step in 0..60 {
                let place = format!("version {version}, seed {seed}, step {step}");
                match dice.roll(4) {
                    0 => change(&world, &people, &mut dice).await,
                    _ if show(&world, &people, &mut dice, &place).await => accepted += 1,
                    _ => refused += 1,
                }
            }
        }
    }
    assert!(accepted > 100 && refused > 100, "{accepted} {refused}");
}

/// Somebody does something to the room; what is refused is other tests' business.
async fn change(world: &World, people: &[OwnedUserId], dice: &mut Dice) {
    let (rooms, room, alice) = (&world.rooms, &world.room, &people[0]);
    let person = &people[dice.roll(3)];
    match dice.roll(8) {
        0..3 => _ = rooms.invite_by_address(person, room, &invite()).await,
        3 => {
            let token = token(world, dice);
            let content = content(dice.pick(&SPOILT));
            let update = StateUpdate {
                kind: "m.room.third_party_invite".into(),
                state_key: token,
                content,
                is_guest: false,
            };
            _ = rooms.set_state(person, room, &update).await;
        }
        4 => _ = rooms.kick(alice, &dice.pick(people), room, &plain()).await,
        5 => _ = rooms.ban(alice, &dice.pick(&people[1..]), room, &plain()).await,
        6 => _ = rooms.unban(alice, &dice.pick(people), room, &plain()).await,
        _ => {
            _ = rooms.invite(alice, person, room, &plain()).await;
            _ = rooms.join(person, room, &Join::default()).await;
        }
    }
}

/// A token of one of the invitations, or of none.
fn token(world: &World, dice: &mut Dice) -> String {
    let newest = world.identity.tokens();
    format!("token{}", dice.roll(newest + 1))
}

/// Somebody shows a block; whether it was taken.
async fn show(world: &World, people: &[OwnedUserId], dice: &mut Dice, place: &str) -> bool {
    // There is somebody to invite most of the time.
    if world.identity.tokens() == 0 || dice.roll(3) == 0 {
        _ = world
            .rooms
            .invite_by_address(&people[0], &world.room, &invite())
            .await;
    }
    let (mxid, token) = (dice.pick(people), token(world, dice));
    let signed = signed(&shown(world, &mxid, &token, dice));
    let sent_by = world.sender_of(&token).await;
    let sender = sent_by
        .filter(|_| dice.roll(8) != 0)
        .unwrap_or_else(|| people[dice.roll(3)].clone());
    let mxid = if dice.roll(8) == 0 {
        dice.pick(people)
    } else {
        mxid
    };
    let outcome = world
        .rooms
        .accept_third_party(&world.room, &sender, &mxid, &signed)
        .await;
    match outcome {
        Ok(()) => return true,
        Err(WriteError::Refused(Refusal::Rules(rule))) => {
            panic!("{place}: no sentence of our own for: {rule}")
        }
        Err(WriteError::Refused(refusal)) => {
            if !is_stricter(&refusal) {
                let allowed = rules_allow(world, &sender, &mxid, &signed).await;
                assert!(!allowed, "{place}: {mxid} may come in by {token}, but: {refusal}");
            }
        }
        // Everything is right, but for the other server, which has to sign and cannot be reached here.
        Err(WriteError::Remote(_)) if !world.rooms.is_local(&mxid) => {
            let allowed = rules_allow(world, &sender, &mxid, &signed).await;
            assert!(allowed, "{place}: {mxid} was let in by {token} against the rules");
        }
        Err(other) => panic!("{place}: {other:?}"),
    }
    false
}

/// A block, true or in one of the ways in which one may be false.
fn shown(world: &World, mxid: &UserId, token: &str, dice: &mut Dice) -> Value {
    let mut true_block = world.identity.sign(&block(mxid, token));
    match dice.roll(10) {
        0 => sign_with(&SigningKey::from_seed([1; 32], "0").unwrap(), &block(mxid, token)),
        1 => {
            true_block["added"] = json!("later");
            true_block
        }
        2 => {
            true_block["signatures"] = json!({});
            true_block
        }
        3 => {
            true_block["signatures"]["other.example"] = json!({ "ed25519:0": "AAAA", "nonsense": 5 });
            true_block
        }
        4 => {
            true_block["unsigned"] = json!({ "not": "covered" });
            true_block
        }
        5 => world
            .identity
            .sign(&json!({ "mxid": mxid, "token": token, "sender": world.alice, "more": [1] })),
        _ => true_block,
    }
}

/// Where the rules would allow it and we do not (security.md T10, T11, T12; who is in the room is not invited).
fn is_stricter(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::ThirdParty(ThirdPartyRefusal::Used | ThirdPartyRefusal::InviterBanned)
    )
}

/// What the rules alone say.
async fn rules_allow(world: &World, sender: &UserId, mxid: &UserId, signed: &SignedBlock) -> bool {
    let content_text = json!({
        "membership": "invite",
        "third_party_invite": { "display_name": "x", "signed": signed.object },
    });
    let mut transaction = world.rooms.begin(&world.room).await.unwrap().unwrap();
    let new = NewEvent {
        kind: TimelineEventType::RoomMember,
        state_key: Some(mxid.to_string()),
        content: content(&content_text.to_string()),
        redacts: None,
    };
    match transaction.append(sender, new, Beside::default()).await {
        Ok(_) => true,
        Err(AppendError::Denied(_)) => false,
        Err(other) => panic!("{other:?}"),
    }
}

impl World {
    async fn sender_of(&self, token: &str) -> Option<OwnedUserId> {
        let head = self.rooms.head(&self.room).await.unwrap().unwrap();
        let id = head.state_event_id("m.room.third_party_invite", token)?.clone();
        let event = self.rooms.events(&[id]).await.unwrap().remove(0)?;
        Some(event.sender.clone())
    }
}
