//! Waiting for something to happen.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use crate::{Request, Response, Sync, SyncError};
use gatehouse_store::Store;

use crate::tests::world::{User, World};

const LONG: Duration = Duration::from_secs(30);

async fn since_now(sync: &Sync, user: &User) -> Request {
    let initial = sync.sync(&user.request()).await.unwrap();
    Request {
        since: Some(initial.next_batch),
        timeout: LONG,
        ..user.request()
    }
}

/// Runs a request until it waits.
async fn wait_until_waiting(sync: &Sync, count: usize) {
    while sync.waiting() < count {
        tokio::task::yield_now().await;
    }
}

fn spawn(sync: &Sync, request: Request) -> tokio::task::JoinHandle<Result<Response, SyncError>> {
    let sync = sync.clone();
    tokio::spawn(async move { sync.sync(&request).await })
}

#[tokio::test(start_paused = true)]
async fn a_waiting_request_answers_when_something_happens_in_its_room() {
    let world = World::new(Store::in_memory());
    let [alice, bob] = world.two_users().await;
    let room = world.public_room(&alice).await;
    world.join(&bob, &room).await.unwrap();
    let sync = world.sync();
    let waiting = spawn(&sync, since_now(&sync, &bob).await);
    wait_until_waiting(&sync, 1).await;
    world.send(&alice, &room, "hello").await.unwrap();
    let response = waiting.await.unwrap().unwrap();
    assert_eq!(response.rooms.join[&room].timeline.events.len(), 1);
    assert_eq!(sync.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_happens_elsewhere_does_not_answer() {
    let world = World::new(Store::in_memory());
    let [alice, bob] = world.two_users().await;
    let room = world.public_room(&alice).await;
    let sync = world.sync();
    let request = since_now(&sync, &bob).await;
    let began = tokio::time::Instant::now();
    let waiting = spawn(&sync, request.clone());
    wait_until_waiting(&sync, 1).await;
    world.send(&alice, &room, "hello").await.unwrap();
    let response = waiting.await.unwrap().unwrap();
    assert!(began.elapsed() >= LONG);
    assert!(response.rooms.is_empty());
    assert!(response.next_batch >= request.since.unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_invite_answers_the_invited() {
    let world = World::new(Store::in_memory());
    let [alice, bob] = world.two_users().await;
    let room = world.private_room(&alice).await;
    let sync = world.sync();
    let waiting = spawn(&sync, since_now(&sync, &bob).await);
    wait_until_waiting(&sync, 1).await;
    world.invite(&alice, &room, &bob).await.unwrap();
    let response = waiting.await.unwrap().unwrap();
    assert!(response.rooms.invite.contains_key(&room));
}

#[tokio::test(start_paused = true)]
async fn what_the_filter_leaves_out_does_not_answer() {
    let world = World::new(Store::in_memory());
    let [alice, bob] = world.two_users().await;
    let room = world.public_room(&alice).await;
    world.join(&bob, &room).await.unwrap();
    let sync = world.sync();
    let mut request = since_now(&sync, &bob).await;
    request.filter.room.timeline.types = Some(vec!["m.room.topic".to_owned()]);
    let began = tokio::time::Instant::now();
    let waiting = spawn(&sync, request);
    wait_until_waiting(&sync, 1).await;
    world.send(&alice, &room, "hello").await.unwrap();
    assert!(waiting.await.unwrap().unwrap().rooms.is_empty());
    assert!(began.elapsed() >= LONG);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_request_leaves_nothing_behind() {
    let world = World::new(Store::in_memory());
    let [alice, bob] = world.two_users().await;
    let room = world.public_room(&alice).await;
    world.join(&bob, &room).await.unwrap();
    let sync = world.sync();
    let request = since_now(&sync, &bob).await;
    for _ in 0..100 {
        let waiting = spawn(&sync, request.clone());
        wait_until_waiting(&sync, 1).await;
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        assert_eq!(sync.waiting(), 0);
    }
    // And the token still works.
    world.send(&alice, &room, "hello").await.unwrap();
    let response = sync.sync(&request).await.unwrap();
    assert_eq!(response.rooms.join[&room].timeline.events.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stopping_server_answers_at_once_with_a_token_that_works() {
    let world = World::new(Store::in_memory());
    let [alice, bob] = world.two_users().await;
    let room = world.public_room(&alice).await;
    world.join(&bob, &room).await.unwrap();
    let sync = world.sync();
    let waiting = spawn(&sync, since_now(&sync, &bob).await);
    wait_until_waiting(&sync, 1).await;
    let began = tokio::time::Instant::now();
    sync.stop();
    let response = waiting.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(1));
    // Nobody waits any more, either.
    let again = Request {
        since: Some(response.next_batch),
        timeout: LONG,
        ..bob.request()
    };
    sync.sync(&again).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1));
    world.send(&alice, &room, "hello").await.unwrap();
    world.restart();
    let response = world.sync().sync(&again).await.unwrap();
    assert_eq!(response.rooms.join[&room].timeline.events.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_logged_out_stops_waiting() {
    let world = World::new(Store::in_memory());
    let [_, bob] = world.two_users().await;
    let sync = world.sync();
    let began = tokio::time::Instant::now();
    let waiting = spawn(&sync, since_now(&sync, &bob).await);
    wait_until_waiting(&sync, 1).await;
    world.log_out(&bob).await;
    assert!(matches!(waiting.await.unwrap(), Err(SyncError::LoggedOut)));
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn fifty_waiting_members_are_all_answered_by_one_event() {
    let world = World::new(Store::in_memory());
    let users = world.users(51).await;
    let room = world.public_room(&users[0]).await;
    let sync = world.sync();
    let mut waiting = Vec::new();
    for user in &users[1..] {
        world.join(user, &room).await.unwrap();
    }
    for user in &users[1..] {
        waiting.push(spawn(&sync, since_now(&sync, user).await));
    }
    wait_until_waiting(&sync, 50).await;
    world.send(&users[0], &room, "hello").await.unwrap();
    for waiting in waiting {
        let response = waiting.await.unwrap().unwrap();
        assert_eq!(response.rooms.join[&room].timeline.events.len(), 1);
    }
}

/// Ten thousand idle polls are to fit in 100 MB together with their connections: a request that waits must be small.
#[tokio::test(start_paused = true)]
async fn a_request_that_waits_is_small() {
    let world = World::new(Store::in_memory());
    let [alice, _] = world.two_users().await;
    let sync = world.sync();
    let request = since_now(&sync, &alice).await;
    let future = sync.sync(&request);
    assert!(size_of_val(&future) <= 1_024, "{} bytes", size_of_val(&future));
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(future.as_mut().poll(&mut context), Poll::Pending));
}
