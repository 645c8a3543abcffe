use std::time::Duration;

use super::addresses::{email, sending_house};
use crate::{AddThreepidError, ThreepidError, threepids::MAX_THREEPIDS};

#[tokio::test]
async fn an_address_belongs_to_one_account_and_may_move() {
    let house = sending_house();
    let (alice, bob) = (house.user("alice").await.user_id, house.user("bob").await.user_id);
    let address = email("a@example.org");
    let accounts = &house.accounts;
    accounts
        .add_threepid_proven_elsewhere(&alice, &address, 1)
        .await
        .unwrap();
    accounts
        .add_threepid_proven_elsewhere(&alice, &address, 2)
        .await
        .unwrap();
    assert_eq!(accounts.threepids(&alice).await.unwrap().len(), 1);
    let error = accounts
        .add_threepid_proven_elsewhere(&bob, &address, 1)
        .await
        .unwrap_err();
    assert!(matches!(error, AddThreepidError::Threepid(ThreepidError::InUse)));
    accounts.delete_threepid(&bob, &address, None).await.unwrap();
    assert_eq!(
        accounts.threepid_owner(&address).await.unwrap(),
        Some(alice.clone()),
        "bob cannot take it away"
    );
    accounts.delete_threepid(&alice, &address, None).await.unwrap();
    assert_eq!(accounts.threepid_owner(&address).await.unwrap(), None);
    accounts
        .add_threepid_proven_elsewhere(&bob, &address, 1)
        .await
        .unwrap();
    assert_eq!(accounts.threepid_owner(&address).await.unwrap(), Some(bob));
}

#[tokio::test]
async fn an_account_has_twenty_addresses_at_most() {
    let house = sending_house();
    let alice = house.user("alice").await.user_id;
    for number in 0..MAX_THREEPIDS {
        let address = email(&format!("a{number}@example.org"));
        house
            .accounts
            .add_threepid_proven_elsewhere(&alice, &address, 1)
            .await
            .unwrap();
    }
    let one_more = email("more@example.org");
    let error = house
        .accounts
        .add_threepid_proven_elsewhere(&alice, &one_more, 1)
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        AddThreepidError::Threepid(ThreepidError::TooMany)
    ));
    assert_eq!(house.accounts.threepid_owner(&one_more).await.unwrap(), None);
}

#[tokio::test]
async fn what_is_deleted_is_unbound_where_it_was_bound() {
    let house = sending_house();
    let alice = house.user("alice").await.user_id;
    let (address, other) = (email("a@example.org"), email("b@example.org"));
    let accounts = &house.accounts;
    for server in ["one.example", "two.example"] {
        accounts.note_binding(&alice, &address, server).await.unwrap();
    }
    accounts
        .note_binding(&alice, &other, "one.example")
        .await
        .unwrap();
    assert!(accounts.pending_unbindings(10).await.unwrap().is_empty());
    let servers = accounts
        .delete_threepid(&alice, &address, Some("two.example"))
        .await
        .unwrap();
    assert_eq!(servers, ["two.example"]);
    let servers = accounts
        .delete_threepid(&alice, &address, Some("unheard.example"))
        .await
        .unwrap();
    assert_eq!(servers, ["unheard.example"], "bound without us");
    let pending = accounts.pending_unbindings(10).await.unwrap();
    assert_eq!(pending.len(), 1);
    assert_eq!(
        (pending[0].id_server.as_str(), &pending[0].threepid),
        ("two.example", &address)
    );
    accounts.unbound(&alice, &address, "two.example").await.unwrap();
    assert!(accounts.pending_unbindings(10).await.unwrap().is_empty());
    assert_eq!(accounts.bindings(&alice).await.unwrap().len(), 2);
}

#[tokio::test]
async fn w16_deactivation_forgets_addresses_and_unbinds_them() {
    let house = sending_house();
    let (alice, bob) = (house.user("alice").await.user_id, house.user("bob").await.user_id);
    let address = email("a@example.org");
    let accounts = &house.accounts;
    accounts
        .add_threepid_proven_elsewhere(&alice, &address, 1)
        .await
        .unwrap();
    accounts
        .note_binding(&alice, &address, "id.example")
        .await
        .unwrap();
    accounts.deactivate_user(&alice).await.unwrap();
    assert!(accounts.threepids(&alice).await.unwrap().is_empty());
    let pending = accounts.pending_unbindings(10).await.unwrap();
    assert_eq!(pending.len(), 1);
    let error = accounts
        .add_threepid_proven_elsewhere(&alice, &address, 1)
        .await
        .unwrap_err();
    assert!(matches!(error, AddThreepidError::Deactivated));
    accounts
        .add_threepid_proven_elsewhere(&bob, &address, 1)
        .await
        .unwrap();
    accounts
        .note_binding(&alice, &email("late@example.org"), "id.example")
        .await
        .unwrap();
    assert_eq!(
        accounts.pending_unbindings(10).await.unwrap().len(),
        2,
        "bound while it was being closed"
    );
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_asked_again_later_and_given_up_after_a_month() {
    let house = sending_house();
    let alice = house.user("alice").await.user_id;
    let address = email("a@example.org");
    let accounts = &house.accounts;
    accounts
        .note_binding(&alice, &address, "id.example")
        .await
        .unwrap();
    accounts.delete_threepid(&alice, &address, None).await.unwrap();
    let mut asked = 0;
    let mut days = 0;
    loop {
        let pending = accounts.pending_unbindings(10).await.unwrap();
        if let [pending] = pending.as_slice() {
            asked += 1;
            if !accounts.postpone_unbinding(pending).await.unwrap() {
                break;
            }
            assert!(accounts.pending_unbindings(10).await.unwrap().is_empty());
        }
        house.clock.advance(Duration::from_hours(24));
        days += 1;
    }
    assert_eq!((asked, days), (40, 39));
    assert!(accounts.bindings(&alice).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_bound_again_is_not_unbound() {
    let house = sending_house();
    let alice = house.user("alice").await.user_id;
    let address = email("a@example.org");
    house
        .accounts
        .note_binding(&alice, &address, "id.example")
        .await
        .unwrap();
    house
        .accounts
        .delete_threepid(&alice, &address, None)
        .await
        .unwrap();
    house
        .accounts
        .note_binding(&alice, &address, "id.example")
        .await
        .unwrap();
    assert!(house.accounts.pending_unbindings(10).await.unwrap().is_empty());
}
