//! Nobody has the identity service contact what is in its own network (security.md I03).

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use gatehouse_testkit::user::escaped;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::identity_server::{IdentityServer, identity_server};

/// Something on this machine that nobody is to reach: where it is, and how often somebody did.
async fn private() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    (port, connections)
}

const HOSTS: [&str; 4] = ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f.1"];

async fn legacy(here: &IdentityServer, path: &str, body: Value) -> gatehouse_testkit::Answer {
    let path = format!("/_matrix/identity/api/v1{path}");
    here.server.request("POST", &path, Some(&body)).await
}

/// Has the address proven and bound to this user, who needs no account for it.
async fn bind_without_account(here: &IdentityServer, email: &str, mxid: &str) -> gatehouse_testkit::Answer {
    let secret = email.replace('@', ".");
    let body = json!({ "email": email, "client_secret": secret, "send_attempt": 1 });
    let sid = legacy(here, "/validate/email/requestToken", body).await.ok()["sid"].clone();
    assert_eq!(here.follow(&here.link_to(email).await).await, 200);
    let body = json!({ "sid": sid, "client_secret": secret, "mxid": mxid });
    legacy(here, "/3pid/bind", body).await
}

#[tokio::test]
async fn i03_no_homeserver_in_a_private_network_is_asked_whose_a_token_is() {
    let (port, connections) = private().await;
    let here = identity_server().await;
    for host in HOSTS {
        let body = json!({
            "access_token": "secret", "token_type": "Bearer", "expires_in": 3_600,
            "matrix_server_name": format!("{host}:{port}"),
        });
        let path = "/_matrix/identity/v2/account/register";
        let refused = here.server.request("POST", path, Some(&body)).await;
        assert!(
            refused.status >= 400 && refused.status != 500,
            "{host}: {}",
            refused.body
        );
        assert!(refused.body["errcode"].is_string(), "{}", refused.body);
        assert_eq!(refused.body.get("token"), None);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn i03_no_homeserver_in_a_private_network_is_told_of_invitations() {
    let (port, connections) = private().await;
    let here = identity_server().await;
    let (alice, bob) = (here.server.user("alice").await, here.server.user("bob").await);
    let room = alice.create_room(json!({})).await;
    let invite = async |address: &str| {
        let path = format!("/rooms/{}/invite", escaped(&room));
        let body = json!({ "id_server": "matrix.test.example", "medium": "email", "address": address });
        alice.post(&path, body).await.ok();
        here.mailbox.next_to(address).await.unwrap();
    };
    for mxid in [
        "bob",
        "@bob",
        "@bob:",
        "@bob:a.example/../b",
        "@bob:a b",
        "@bob:[::1",
    ] {
        let body = json!({ "sid": "sid", "client_secret": "secret", "mxid": mxid });
        legacy(&here, "/3pid/bind", body)
            .await
            .refused(400, "M_INVALID_PARAM");
    }
    for (number, host) in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"]
        .into_iter()
        .enumerate()
    {
        let email = format!("eve{number}@mail.example");
        invite(&email).await;
        bind_without_account(&here, &email, &format!("@eve:{host}:{port}"))
            .await
            .ok();
    }
    // What is bound later is told later: when Bob has his invite, the others were tried.
    invite("bob@mail.example").await;
    bind_without_account(&here, "bob@mail.example", &bob.id)
        .await
        .ok();
    let mut since = String::new();
    loop {
        let sync = bob.sync(&since, 5_000).await;
        if sync["rooms"]["invite"].get(&room).is_some() {
            break;
        }
        since = sync["next_batch"].as_str().unwrap().to_owned();
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn i03_no_homeserver_in_a_private_network_is_asked_for_its_keys() {
    let (port, connections) = private().await;
    let here = identity_server().await;
    let email = "eve@mail.example";
    let mxid = format!("@eve:127.0.0.1:{port}");
    bind_without_account(&here, email, &mxid).await.ok();
    let url = format!("{}/_matrix/identity/v2/3pid/unbind", here.server.base());
    let origin = format!("127.0.0.1:{port}");
    let signature = format!(
        "X-Matrix origin=\"{origin}\",key=\"ed25519:a\",sig=\"{}\"",
        "A".repeat(86)
    );
    let body = json!({ "mxid": mxid, "threepid": { "medium": "email", "address": email } });
    let request = here
        .server
        .http()
        .post(url)
        .header("authorization", signature)
        .json(&body);
    let refused = request.send().await.unwrap();
    assert!(
        [403, 502].contains(&refused.status().as_u16()),
        "{}",
        refused.status()
    );
    let path = format!(
        "/_matrix/identity/api/v1/lookup?medium=email&address={}",
        escaped(email)
    );
    let found = here.server.request("GET", &path, None).await.ok();
    assert_eq!(found["mxid"], json!(mxid), "it is still bound");
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}
