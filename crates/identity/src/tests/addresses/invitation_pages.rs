use super::*;
use crate::{AcceptError, InvitationPageError, InvitationState};

#[tokio::test]
async fn the_link_says_who_invites_whom_into_what() {
    let house = house();
    let address = email("bob@example.org");
    let (stored, code) = house.invited(&address).await;
    let page = house.identity.invitation_by_code(&code).await.unwrap();
    assert_eq!(page.token, stored.token);
    assert!(page.threepid == address);
    assert_eq!(page.room_id, "!room:one.test");
    assert_eq!(page.sender, alice());
    assert_eq!(page.facts.room_name.as_deref(), Some("Tea"));
    assert_eq!(page.state, InvitationState::Open);
    for bad in ["", "guess", stored.token.as_str(), "ä", &"a".repeat(1_000)] {
        let outcome = house.identity.invitation_by_code(bad).await;
        assert!(matches!(outcome, Err(InvitationPageError::NotFound)));
        let outcome = house.identity.accept_by_code(bad, bob()).await;
        assert!(matches!(outcome, Err(AcceptError::NotFound)));
    }
}

#[tokio::test]
async fn accepting_by_the_link_binds_the_address_and_delivers_the_invitation() {
    let house = house();
    let address = email("bob@example.org");
    let (stored, code) = house.invited(&address).await;
    house.identity.accept_by_code(&code, bob()).await.unwrap();
    let owner = house.identity.lookup_one(alice(), &address).await.unwrap();
    assert_eq!(owner.as_deref(), Some(bob()));
    house.identity.deliver_due().await.unwrap();
    let told = house.homeservers.take_told();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].0, "two.test");
    assert_eq!(told[0].1["invites"][0]["token"], stored.token);
    let page = house.identity.invitation_by_code(&code).await.unwrap();
    assert_eq!(page.state, InvitationState::Accepted(bob().to_owned()));
}

#[tokio::test]
async fn a_link_is_used_once() {
    let house = house();
    let (_, code) = house.invited(&email("bob@example.org")).await;
    house.identity.accept_by_code(&code, bob()).await.unwrap();
    house.identity.accept_by_code(&code, bob()).await.unwrap();
    let before = house.rows().await;
    let outcome = house.identity.accept_by_code(&code, alice()).await;
    assert!(matches!(outcome, Err(AcceptError::Used)));
    assert_eq!(house.rows().await, before);
}

#[tokio::test]
async fn of_two_who_accept_at_once_one_does() {
    let house = house();
    let (_, code) = house.invited(&email("bob@example.org")).await;
    let (first, second) = tokio::join!(
        house.identity.accept_by_code(&code, bob()),
        house.identity.accept_by_code(&code, alice()),
    );
    assert!(first.is_ok() != second.is_ok());
}

#[tokio::test]
async fn a_link_does_not_take_a_bound_address_away() {
    let house = house();
    let address = email("bob@example.org");
    let (_, code) = house.invited(&address).await;
    house.bound(bob(), &address, "secret").await;
    let page = house.identity.invitation_by_code(&code).await.unwrap();
    assert_eq!(page.state, InvitationState::Bound(bob().to_owned()));
    let outcome = house.identity.accept_by_code(&code, alice()).await;
    assert!(matches!(outcome, Err(AcceptError::Used)));
    house.identity.accept_by_code(&code, bob()).await.unwrap();
}

#[tokio::test]
async fn an_old_link_proves_nothing() {
    let house = house();
    let address = email("bob@example.org");
    let (_, code) = house.invited(&address).await;
    house.clock.advance(Duration::from_hours(30 * 24));
    let page = house.identity.invitation_by_code(&code).await.unwrap();
    assert_eq!(page.state, InvitationState::Expired);
    let before = house.rows().await;
    let outcome = house.identity.accept_by_code(&code, bob()).await;
    assert!(matches!(outcome, Err(AcceptError::Expired)));
    assert_eq!(house.rows().await, before);

    house.bound(bob(), &address, "secret").await;
    house.identity.deliver_due().await.unwrap();
    assert_eq!(
        house.homeservers.take_told().len(),
        1,
        "but the invitation waits on"
    );
}
