//! `v2_auth.yaml`, `v2_terms.yaml`

use gatehouse_server::config::PolicyConfig;
use serde_json::json;

use crate::identity_server::{identity_server, identity_server_with};

#[tokio::test]
async fn a_user_of_the_homeserver_gets_an_account() {
    let here = identity_server().await;
    let alice = here.server.user("alice").await;
    let token = here.token(&alice).await;
    let account = here.get(&token, "/account").await.ok();
    assert_eq!(account, json!({ "user_id": alice.id }));
    alice.get("/account/whoami").await.ok();
    let at_the_homeserver = here
        .server
        .request_with(&token, "GET", "/_matrix/client/v3/account/whoami", None)
        .await;
    at_the_homeserver.refused(401, "M_UNKNOWN_TOKEN");
    here.get(&alice.token, "/account")
        .await
        .refused(401, "M_UNKNOWN_TOKEN");
    here.post(&token, "/account/logout", json!({})).await.ok();
    here.get(&token, "/account").await.refused(401, "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn a_token_that_the_homeserver_did_not_give_is_refused() {
    let here = identity_server().await;
    let alice = here.server.user("alice").await;
    for token in ["invented", &alice.token] {
        let body = json!({
            "access_token": token, "token_type": "Bearer", "matrix_server_name": "test.example", "expires_in": 60,
        });
        let answer = here
            .server
            .request("POST", "/_matrix/identity/v2/account/register", Some(&body))
            .await;
        answer.refused(401, "M_UNAUTHORIZED");
    }
}

fn policy(id: &str, language: &str) -> PolicyConfig {
    PolicyConfig {
        id: id.to_owned(),
        version: "1".to_owned(),
        name: format!("{id} in {language}"),
        url: format!("https://test.example/{id}-1-{language}"),
        language: language.to_owned(),
    }
}

#[tokio::test]
async fn a_policy_has_all_its_languages_and_is_agreed_to_in_any() {
    let here = identity_server_with(|config| {
        config.identity_service.policies = vec![
            policy("privacy", "en"),
            policy("terms", "en"),
            policy("privacy", "de"),
        ];
    })
    .await;
    let alice = here.server.user("alice").await;
    let token = here.token(&alice).await;
    let terms = here
        .server
        .request("GET", "/_matrix/identity/v2/terms", None)
        .await
        .ok();
    let privacy = &terms["policies"]["privacy"];
    assert_eq!(privacy["en"]["name"], "privacy in en");
    assert_eq!(privacy["de"]["name"], "privacy in de");
    let both =
        json!({ "user_accepts": ["https://test.example/privacy-1-de", "https://test.example/terms-1-en"] });
    here.post(&token, "/terms", both).await.ok();
    here.get(&token, "/account").await.ok();
}

#[tokio::test]
async fn terms_are_agreed_to_once_and_remembered_over_a_restart() {
    let mut here = identity_server_with(|config| {
        config.identity_service.policies = vec![policy("privacy_policy", "en")];
    })
    .await;
    let alice = here.server.user("alice").await;
    let token = here.token(&alice).await;
    here.get(&token, "/hash_details")
        .await
        .refused(403, "M_TERMS_NOT_SIGNED");
    let terms = here
        .server
        .request("GET", "/_matrix/identity/v2/terms", None)
        .await
        .ok();
    let url = &terms["policies"]["privacy_policy"]["en"]["url"];
    here.post(&token, "/terms", json!({ "user_accepts": [url] }))
        .await
        .ok();
    here.get(&token, "/hash_details").await.ok();
    drop(alice);
    here.server.restart().await.unwrap();
    here.get(&token, "/hash_details").await.ok();
}
