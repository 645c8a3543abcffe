//! Invitations by address that three servers take part in: the inviter's, the invitee's, and the identity server.

use gatehouse_test_mailbox::Mailbox;
use serde_json::json;

use super::{
    super::{
        identity_account::IdentityAccount,
        invitation::{assert_invited_by, the_invitation},
    },
    world::World,
};

#[tokio::test]
async fn whoever_binds_an_address_is_invited_into_the_other_servers_room() {
    let world = World::begin().await;
    let mailbox = Mailbox::start().await.unwrap();
    let identity = world.identity_server(&format!(
        "[email]\nsmtp_host = \"127.0.0.1\"\nsmtp_port = {}\nsmtp_tls = \"none\"\n\
         from = \"Gatehouse <gatehouse@id.example>\"\n",
        mailbox.port()
    ));
    world
        .tell(async |pair| {
            let (host, guest) = (&pair.host, &pair.guest);
            let name = guest.id[1..].split(':').next().unwrap();
            let address = format!("{name}@mail.example");
            let account = IdentityAccount::register(identity.url(), host).await;
            let room = pair.room(json!({ "preset": "private_chat", "name": "Tea party" })).await;
            let invite = json!({ "id_server": identity.name, "id_access_token": account.token, "medium": "email",
                "address": address });
            host.invite(&room, invite).await;
            let invitation = the_invitation(host, &room, &address).await;
            let mail = mailbox.next_to(&address).await.unwrap();
            assert!(mail.text.contains("Tea party"), "{}", mail.text);
            let account = IdentityAccount::register(identity.url(), guest).await;
            let proof = account.prove(&mailbox, &address).await;
            let bind = json!({ "id_server": identity.name, "id_access_token": account.token, "sid": proof.sid,
                "client_secret": proof.client_secret });
            guest.done("POST", "/v3/account/3pid/bind", Some(bind)).await;
            guest.sees_room_as("invite", &room).await;
            let member = host.sees_member(&room, &guest.id, "invite").await;
            assert_invited_by(&invitation, &member, guest, &identity.name);
            guest.join(&room).await;
            host.sees_member(&room, &guest.id, "join").await;
            pair.agree(&room).await;
        })
        .await;
    world.end();
}
