use std::path::Path;

use gatehouse_store_embedded::{EmbeddedBackend, EmbeddedConfig};
use ruma::CanonicalJsonObject;
use serde_json::json;
use tempfile::TempDir;

use super::*;

fn later() -> HomeserverError {
    HomeserverError::Later("away".to_owned())
}

fn never() -> HomeserverError {
    HomeserverError::Never("no".to_owned())
}

impl House {
    async fn deliver(&self) -> Vec<(OwnedServerName, Value)> {
        self.identity.deliver_due().await.unwrap();
        self.homeservers.take_told()
    }
}

#[tokio::test]
async fn whoever_binds_an_address_gets_every_invitation_that_waits_for_it() {
    let house = house();
    let address = email("bob@example.org");
    let (first, _) = house.invited(&address).await;
    house.clock.advance(Duration::from_mins(1));
    let (second, _) = house.invited(&address).await;
    house.invited(&email("other@example.org")).await;
    house.bound(bob(), &address, "secret").await;
    let told = house.deliver().await;
    assert_eq!(told.len(), 1);
    let (server, body) = &told[0];
    assert_eq!(server, "two.test");
    assert_eq!(body["medium"], "email");
    assert_eq!(body["address"], "bob@example.org");
    assert_eq!(body["mxid"], "@bob:two.test");
    let mut tokens = Vec::new();
    for invite in body["invites"].as_array().unwrap() {
        assert_eq!(invite["room_id"], "!room:one.test");
        assert_eq!(invite["sender"], "@alice:one.test");
        assert_eq!(invite["mxid"], "@bob:two.test");
        assert_eq!(invite["signed"]["mxid"], "@bob:two.test");
        assert_eq!(invite["signed"]["token"], invite["token"]);
        let keys = json!({ "id.test": { "ed25519:0": first.public_keys[0].public_key } });
        let signed: CanonicalJsonObject = serde_json::from_value(invite["signed"].clone()).unwrap();
        ruma::signatures::verify_json(&serde_json::from_value(keys).unwrap(), &signed).unwrap();
        tokens.push(invite["token"].as_str().unwrap().to_owned());
    }
    tokens.sort();
    let mut expected = [first.token, second.token];
    expected.sort();
    assert_eq!(tokens, expected);
    assert!(house.deliver().await.is_empty(), "once");
    assert!(house.all(&tables::ONBIND_QUEUE).await.is_empty());
}

#[tokio::test]
async fn nobody_is_told_of_no_invitations() {
    let house = house();
    house.bound(bob(), &email("bob@example.org"), "secret").await;
    assert!(house.deliver().await.is_empty());
    assert!(house.all(&tables::ONBIND_QUEUE).await.is_empty());
}

#[tokio::test]
async fn an_invitation_is_signed_with_the_key_that_its_room_knows() {
    let house = house();
    let address = email("bob@example.org");
    let (stored, _) = house.invited(&address).await;
    house.identity.rotate_key().await.unwrap();
    house.bound(bob(), &address, "secret").await;
    let told = house.deliver().await;
    let signed = told[0].1["invites"][0]["signed"].clone();
    let keys = json!({ "id.test": { "ed25519:0": stored.public_keys[0].public_key } });
    let signed: CanonicalJsonObject = serde_json::from_value(signed).unwrap();
    ruma::signatures::verify_json(&serde_json::from_value(keys).unwrap(), &signed).unwrap();
}

#[tokio::test]
async fn a_homeserver_that_is_away_is_told_later_and_less_and_less_often() {
    let house = house();
    let address = email("bob@example.org");
    house.invited(&address).await;
    house.bound(bob(), &address, "secret").await;
    for pause in [5, 10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 3_600, 3_600] {
        house.homeservers.fail_next(later());
        assert_eq!(house.deliver().await.len(), 1);
        house.clock.advance(Duration::from_millis(pause * 1_000 - 1));
        assert!(house.deliver().await.is_empty(), "not before {pause} s");
        house.tick();
    }
    assert_eq!(house.deliver().await.len(), 1);
    house.clock.advance(Duration::from_hours(48));
    assert!(house.deliver().await.is_empty(), "it was delivered");
}

#[tokio::test]
async fn a_homeserver_that_is_away_does_not_hold_up_the_others() {
    let house = house_with(without_limits);
    for number in 0..40 {
        let address = email(&format!("bob{number}@example.org"));
        house.invited(&address).await;
        house.bound(bob(), &address, &format!("secret{number}")).await;
    }
    let address = email("alice@example.org");
    house.invited(&address).await;
    house.bound(alice(), &address, "secret").await;
    house.homeservers.fail_next(later());
    let told = house.deliver().await;
    assert_eq!(told.first().unwrap().0, "two.test");
    assert_eq!(told.last().unwrap().0, "one.test");
    let asked = told.iter().filter(|(server, _)| server == "two.test").count();
    assert!(asked <= 8, "asked {asked} times");
}

#[tokio::test]
async fn a_homeserver_that_refuses_is_not_asked_again() {
    let house = house();
    let address = email("bob@example.org");
    house.invited(&address).await;
    house.bound(bob(), &address, "secret").await;
    house.homeservers.fail_next(never());
    assert_eq!(house.deliver().await.len(), 1);
    house.clock.advance(Duration::from_hours(48));
    assert!(house.deliver().await.is_empty());
    assert!(house.all(&tables::ONBIND_QUEUE).await.is_empty());
}

#[tokio::test]
async fn a_homeserver_that_never_comes_back_is_given_up_after_a_month() {
    let house = house();
    let address = email("bob@example.org");
    house.invited(&address).await;
    house.bound(bob(), &address, "secret").await;
    for _ in 0..31 {
        house.homeservers.fail_next(later());
        house.deliver().await;
        house.clock.advance(Duration::from_hours(24));
    }
    assert!(house.all(&tables::ONBIND_QUEUE).await.is_empty());
    assert!(house.deliver().await.is_empty());
}

#[tokio::test]
async fn many_invitations_are_told_in_several_requests() {
    let house = house_with(without_limits);
    let address = email("bob@example.org");
    for number in 0..120 {
        let (_, batch) = house
            .identity
            .store_invite(alice(), invite_into(number, &address))
            .await
            .unwrap();
        house.identity.commit_invite(&address, batch).await.unwrap();
    }
    house.bound(bob(), &address, "secret").await;
    let told = house.deliver().await;
    let counts: Vec<usize> = told
        .iter()
        .map(|(_, body)| body["invites"].as_array().unwrap().len())
        .collect();
    assert_eq!(counts, [50, 50, 20]);
}

#[tokio::test]
async fn an_address_that_was_taken_back_is_not_told_of_and_its_invitations_wait_for_the_next_owner() {
    let house = house();
    let address = email("shared@example.org");
    house.invited(&address).await;
    house.bound(bob(), &address, "secret").await;
    house.homeservers.fail_next(later());
    assert_eq!(house.deliver().await.len(), 1);
    house.bound(alice(), &address, "other").await;
    house.clock.advance(Duration::from_mins(1));
    let told = house.deliver().await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].0, "one.test");
    assert!(house.all(&tables::ONBIND_QUEUE).await.is_empty());
}

#[tokio::test]
async fn the_worker_delivers_when_an_address_is_bound_and_leaves_off_when_stopped() {
    let house = house();
    let address = email("bob@example.org");
    house.invited(&address).await;
    let stop = CancellationToken::new();
    let working = tokio::spawn({
        let (identity, stop) = (house.identity.clone(), stop.clone());
        async move { identity.run_onbind_queue(stop).await }
    });
    house.bound(bob(), &address, "secret").await;
    while house.homeservers.told.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    working.await.unwrap();
    assert!(house.store.lease("identity.onbind").await.unwrap().is_some());
}

/// An engine on the disk.
fn on_disk(folder: &Path, clock: &Clock) -> House {
    let backend = EmbeddedBackend::open(folder, &EmbeddedConfig::default()).unwrap();
    house_on(Store::new(Arc::new(backend)), clock.clone(), |_| ())
}

/// What a machine finds on its disk when it was killed now.
fn killed(folder: &Path) -> TempDir {
    fn copy(from: &Path, to: &Path) {
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                std::fs::create_dir(&target).unwrap();
                copy(&entry.path(), &target);
            } else {
                std::fs::copy(entry.path(), target).unwrap();
            }
        }
    }
    let image = TempDir::new().unwrap();
    copy(folder, image.path());
    image
}

#[tokio::test]
async fn an_invitation_is_delivered_whenever_the_machine_was_killed() {
    let folder = TempDir::new().unwrap();
    let clock = Clock::manual(START_MS);
    let address = email("bob@example.org");
    let house = on_disk(folder.path(), &clock);
    house.invited(&address).await;
    let stored = killed(folder.path());
    let sid = house.proven(bob(), &address, "secret").await;
    let proven = killed(folder.path());
    house
        .identity
        .bind(Some(bob()), &sid, "secret", bob())
        .await
        .unwrap();
    let bound = killed(folder.path());
    assert_eq!(house.deliver().await.len(), 1);
    let delivered = killed(folder.path());

    let house = on_disk(stored.path(), &clock);
    house.bound(bob(), &address, "another").await;
    assert_eq!(house.deliver().await.len(), 1, "killed after it was stored");
    let house = on_disk(proven.path(), &clock);
    house
        .identity
        .bind(Some(bob()), &sid, "secret", bob())
        .await
        .unwrap();
    assert_eq!(
        house.deliver().await.len(),
        1,
        "killed after the address was proven"
    );
    let house = on_disk(bound.path(), &clock);
    assert_eq!(house.deliver().await.len(), 1, "killed after it was bound");
    let house = on_disk(delivered.path(), &clock);
    house.clock.advance(Duration::from_hours(48));
    assert!(house.deliver().await.is_empty(), "killed after it was delivered");
}

#[tokio::test]
async fn a_kill_does_not_make_the_pauses_shorter() {
    let folder = TempDir::new().unwrap();
    let clock = Clock::manual(START_MS);
    let address = email("bob@example.org");
    let house = on_disk(folder.path(), &clock);
    house.invited(&address).await;
    house.bound(bob(), &address, "secret").await;
    for _ in 0..5 {
        house.homeservers.fail_next(later());
        assert_eq!(house.deliver().await.len(), 1);
        clock.advance(Duration::from_secs(80));
    }
    house.homeservers.fail_next(later());
    assert_eq!(house.deliver().await.len(), 1);
    let image = killed(folder.path());
    let house = on_disk(image.path(), &clock);
    clock.advance(Duration::from_secs(159));
    assert!(house.deliver().await.is_empty());
    clock.advance(Duration::from_secs(1));
    assert_eq!(house.deliver().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_invitation_is_lost_that_is_stored_while_its_address_is_bound() {
    let house = house_with(without_limits);
    for round in 0..50 {
        let address = email(&format!("bob{round}@example.org"));
        let secret = format!("secret{round}");
        let sid = house.proven(bob(), &address, &secret).await;
        let storing: Vec<_> = (0..8)
            .map(|number| {
                let (identity, address) = (house.identity.clone(), address.clone());
                tokio::spawn(async move {
                    let invite = invite_into(number, &address);
                    let (stored, batch) = identity.store_invite(alice(), invite).await.ok()?;
                    identity.commit_invite(&address, batch).await.ok()?;
                    Some(stored.token)
                })
            })
            .collect();
        let binding = tokio::spawn({
            let identity = house.identity.clone();
            async move {
                identity.bind(Some(bob()), &sid, &secret, bob()).await.unwrap();
                // At once: what is stored after this would wait for ever.
                identity.deliver_due().await.unwrap();
            }
        });
        let mut stored = Vec::new();
        for task in storing {
            stored.extend(task.await.unwrap());
        }
        binding.await.unwrap();
        let mut told = Vec::new();
        for (_, body) in house.homeservers.take_told() {
            for invite in body["invites"].as_array().unwrap() {
                told.push(invite["token"].as_str().unwrap().to_owned());
            }
        }
        stored.sort();
        told.sort();
        assert_eq!(told, stored);
    }
}
