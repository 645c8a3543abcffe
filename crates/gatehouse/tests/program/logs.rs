//! What must never be logged.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Server, configure, program};

const PASSWORDS: [&str; 3] = ["sesame-open-1", "sesame-open-2", "sesame-wrong-3"];

/// Does what hands secrets around, and gives all that came back.
async fn scenario(server: &Server) -> Vec<String> {
    let mut secrets = Vec::new();
    let mut keep = |answer: &Value| {
        for key in ["access_token", "refresh_token"] {
            secrets.extend(answer[key].as_str().map(str::to_owned));
        }
        answer["access_token"].as_str().unwrap_or_default().to_owned()
    };
    let ask = async |method: &str, path: &str, token: Option<&str>, body: Value| {
        let body = Some(body).filter(|body| !body.is_null());
        server.request(method, path, token, body).await.unwrap()
    };
    let body = json!({
        "username": "alice", "password": PASSWORDS[0], "auth": { "type": "m.login.dummy" }, "refresh_token": true,
    });
    let (_, registered) = ask("POST", "/_matrix/client/v3/register", None, body).await;
    let token = keep(&registered);
    let login = |password: &str| json!({ "type": "m.login.password", "user": "alice", "password": password, "refresh_token": true });
    let (status, session) = ask("POST", "/_matrix/client/v3/login", None, login(PASSWORDS[0])).await;
    assert_eq!(status, 200, "{session}");
    keep(&session);
    assert_eq!(
        ask("POST", "/_matrix/client/r0/login", None, login(PASSWORDS[2]))
            .await
            .0,
        403
    );
    let body = json!({ "type": "m.login.password", "user": "alice", "password": PASSWORDS[0] });
    let (_, legacy) = ask("POST", "/_matrix/client/api/v1/login", None, body).await;
    keep(&legacy);
    let body = json!({ "refresh_token": session["refresh_token"] });
    let (status, refreshed) = ask("POST", "/_matrix/client/v3/refresh", None, body).await;
    assert_eq!(status, 200, "{refreshed}");
    keep(&refreshed);
    let by_query = [
        format!("/_matrix/client/api/v1/initialSync?access_token={token}"),
        format!("/_matrix/client/v3/sync?access_token={token}"),
        format!("/_matrix/client/v3/account/whoami?access_token={token}"),
        format!("/_matrix/client/v3/no/such/page?access_token={token}"),
    ];
    for path in &by_query {
        ask("GET", path, None, Value::Null).await;
    }
    let body = json!({
        "new_password": PASSWORDS[1],
        "auth": { "type": "m.login.password", "user": "alice", "password": PASSWORDS[0] },
    });
    let (status, challenge) = ask(
        "POST",
        "/_matrix/client/v3/account/password",
        Some(&token),
        body.clone(),
    )
    .await;
    if status == 401 {
        let mut body = body;
        body["auth"]["session"] = challenge["session"].clone();
        assert_eq!(
            ask("POST", "/_matrix/client/v3/account/password", Some(&token), body)
                .await
                .0,
            200
        );
    }
    let broken = json!({ "type": "m.login.password", "user": 5, "password": PASSWORDS[1] });
    assert_eq!(ask("POST", "/_matrix/client/v3/login", None, broken).await.0, 400);
    secrets.extend(PASSWORDS.map(str::to_owned));
    secrets
}

#[tokio::test]
async fn t32_no_token_and_no_password_is_ever_logged_whatever_the_level() {
    let dir = TempDir::new().unwrap();
    let config = configure(dir.path(), "");
    let mut command = program(dir.path());
    command
        .args(["serve", "--config", &config, "--listen", "127.0.0.1:0"])
        .env("RUST_LOG", "trace");
    let mut server = Server::run(&mut command, dir.path());
    let secrets = scenario(&server).await;
    assert!(
        secrets.len() >= 9,
        "the scenario handed only {} secrets around",
        secrets.len()
    );
    over_http2(&server.url, &secrets[0]).await;
    server.signal("TERM");
    server.wait();
    let log = server.log();
    assert!(log.lines().count() > 20, "a log at this level is long: {log}");
    for secret in &secrets {
        let found = log.lines().find(|line| line.contains(secret.as_str()));
        assert!(found.is_none(), "logged: {found:?}");
    }
}

/// Once more over HTTP/2, whose frames have a log of their own.
async fn over_http2(url: &str, token: &str) {
    let client = gatehouse_testkit::http::client()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let path = format!("{url}/_matrix/client/v3/account/whoami?access_token={token}");
    let response = client.get(path).bearer_auth(token).send().await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
}
