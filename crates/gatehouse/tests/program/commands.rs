//! The commands beside `serve`.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Server, configure, program, refusal, run};

/// Runs a `user` command and gives its lines.
#[track_caller]
fn user(dir: &Path, arguments: &[&str], input: &str) -> Vec<Value> {
    let config = dir.join("gatehouse.toml").display().to_string();
    let arguments = [&["user", "--config", &config][..], arguments].concat();
    let output = run(dir, &arguments, input);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

async fn login(server: &Server, name: &str, password: &str) -> (u16, Value) {
    let body = json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": name },
        "password": password,
    });
    server
        .request("POST", "/_matrix/client/v3/login", None, Some(body))
        .await
        .unwrap()
}

#[test]
fn init_writes_what_a_server_runs_with_and_never_overwrites() {
    let dir = TempDir::new().unwrap();
    let made = run(
        dir.path(),
        &["init", "--server-name", "c.example", "--dir", "here"],
        "",
    );
    assert!(made.status.success(), "{made:?}");
    let read = |name: &str| std::fs::read_to_string(dir.path().join("here").join(name)).unwrap();
    let before = (read("gatehouse.toml"), read("signing.key"));
    let sentence = refusal(
        dir.path(),
        &["init", "--server-name", "d.example", "--dir", "here"],
    );
    assert!(sentence.contains("exists already"), "{sentence}");
    assert_eq!((read("gatehouse.toml"), read("signing.key")), before);
    let arguments = [
        "serve",
        "--config",
        "here/gatehouse.toml",
        "--listen",
        "127.0.0.1:0",
    ];
    let server = Server::run(program(dir.path()).args(arguments), dir.path());
    assert!(
        server.greeting.starts_with("Gatehouse serves c.example"),
        "{}",
        server.greeting
    );
    assert!(
        server.greeting.contains("gatehouse user add"),
        "registration is closed"
    );
    assert_eq!(read("signing.key"), before.1);
}

#[test]
fn init_beside_a_key_of_old_leaves_everything_as_it_is() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("signing.key"), "precious").unwrap();
    let sentence = refusal(dir.path(), &["init"]);
    assert!(sentence.contains("signing.key exists already"), "{sentence}");
    assert_eq!(
        std::fs::read_to_string(dir.path().join("signing.key")).unwrap(),
        "precious"
    );
    assert!(!dir.path().join("gatehouse.toml").exists());
}

/// The same commands, on the store and through a running server.
fn manage(dir: &Path) {
    assert_eq!(
        user(dir, &["add", "ann"], "first\n")[0]["user_id"],
        "@ann:a.example"
    );
    assert_eq!(
        user(dir, &["add", "bob", "--admin"], "second\n")[0]["admin"],
        true
    );
    assert_eq!(user(dir, &["add", "cat"], "third\n")[0]["admin"], false);
    assert_eq!(user(dir, &["show", "@bob:a.example"], "")[0]["admin"], true);
    assert_eq!(user(dir, &["make-admin", "ann"], "")[0]["admin"], true);
    user(dir, &["set-password", "ann"], "another\n");
    assert_eq!(user(dir, &["deactivate", "cat"], "")[0]["deactivated"], true);
    let names: Vec<Value> = user(dir, &["list"], "")
        .into_iter()
        .map(|line| line["user_id"].clone())
        .collect();
    assert_eq!(names, ["@ann:a.example", "@bob:a.example", "@cat:a.example"]);
    for (arguments, reason) in [
        (
            &["user", "show", "nobody", "--config", "gatehouse.toml"][..],
            "no user @nobody:a.example",
        ),
        (&["user", "add", "NOT A NAME", "--config", "gatehouse.toml"], ""),
        (
            &["user", "make-admin", "@x:b.example", "--config", "gatehouse.toml"],
            "not a user of this server",
        ),
    ] {
        let sentence = refusal(dir, arguments);
        assert!(sentence.contains(reason), "{arguments:?}: {sentence}");
    }
    let twice = run(
        dir,
        &["user", "add", "ann", "--config", "gatehouse.toml"],
        "again\n",
    );
    assert_eq!(twice.status.code(), Some(1), "{twice:?}");
}

async fn check_accounts(server: &Server) {
    assert_eq!(login(server, "ann", "another").await.0, 200);
    assert_eq!(login(server, "ann", "first").await.0, 403);
    assert_eq!(login(server, "bob", "second").await.0, 200);
    assert_ne!(login(server, "cat", "third").await.0, 200);
}

#[tokio::test]
async fn accounts_are_managed_while_the_server_is_stopped() {
    let dir = TempDir::new().unwrap();
    configure(dir.path(), "");
    manage(dir.path());
    check_accounts(&Server::start(dir.path())).await;
}

#[tokio::test]
async fn accounts_are_managed_while_the_server_runs() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(dir.path());
    manage(dir.path());
    check_accounts(&server).await;
    let (_, session) = login(&server, "ann", "another").await;
    let token = session["access_token"].as_str().unwrap();
    user(dir.path(), &["set-password", "ann"], "yet another\n");
    let whoami = server
        .request("GET", "/_matrix/client/v3/account/whoami", Some(token), None)
        .await
        .unwrap();
    assert_eq!(
        (whoami.0, &whoami.1["errcode"]),
        (401, &json!("M_UNKNOWN_TOKEN")),
        "logged out at once"
    );
}

#[test]
fn completions_are_printed_for_the_usual_shells() {
    let dir = TempDir::new().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let output = run(dir.path(), &["completions", shell], "");
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && script.contains("set-password"),
            "{shell}: {script}"
        );
    }
}
