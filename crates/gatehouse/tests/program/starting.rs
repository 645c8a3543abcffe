//! Starting: with nothing, and with what cannot work.

use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Server, configure, program, refusal};

/// Runs a command as a shell would, and gives its answer.
fn shell(command: &str) -> Value {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{command}: {error}: {text}"))
}

#[test]
fn with_no_configuration_it_serves_and_the_commands_that_it_prints_work() {
    let dir = TempDir::new().unwrap();
    let server = Server::run(
        program(dir.path()).args(["serve", "--listen", "127.0.0.1:0"]),
        dir.path(),
    );
    assert!(
        server
            .greeting
            .starts_with("Gatehouse serves localhost at http://127.0.0.1:"),
        "{}",
        server.greeting
    );
    let commands: Vec<&str> = server
        .greeting
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("curl "))
        .collect();
    assert_eq!(commands.len(), 2, "{}", server.greeting);
    let account = shell(commands[0]);
    assert_eq!(account["user_id"], "@alice:localhost", "{account}");
    let room = shell(&commands[1].replace("ACCESS_TOKEN", account["access_token"].as_str().unwrap()));
    assert!(
        room["room_id"].as_str().is_some_and(|id| id.starts_with('!')),
        "{room}"
    );
    assert!(dir.path().join("gatehouse-data/signing.key").exists());
}

#[test]
fn a_used_port_is_refused_with_advice() {
    let dir = TempDir::new().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let sentence = refusal(dir.path(), &["serve", "--listen", &address]);
    assert!(
        sentence.contains(&address) && sentence.contains("choose another address"),
        "{sentence}"
    );
}

#[test]
fn data_that_another_process_uses_is_refused_with_advice() {
    let dir = TempDir::new().unwrap();
    let _first = Server::start(dir.path());
    let config = configure(dir.path(), "");
    let sentence = refusal(
        dir.path(),
        &["serve", "--config", &config, "--listen", "127.0.0.1:0"],
    );
    assert!(sentence.contains("stop the other server"), "{sentence}");
}

#[test]
fn data_of_a_server_with_another_name_is_refused_with_advice() {
    let dir = TempDir::new().unwrap();
    drop(Server::start(dir.path()));
    let config = configure(dir.path(), "");
    let arguments = [
        "serve",
        "--config",
        &config,
        "--listen",
        "127.0.0.1:0",
        "--server-name",
        "b.example",
    ];
    let sentence = refusal(dir.path(), &arguments);
    assert!(sentence.contains("set server_name to a.example"), "{sentence}");
}

#[test]
fn a_bad_key_a_bad_name_and_a_bad_setting_are_refused_with_advice() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("bad.key"), "ed25519 a_1 tooshort\n").unwrap();
    let config = configure(dir.path(), "");
    let mut text = std::fs::read_to_string(&config).unwrap();
    text = format!("signing_key_file = \"bad.key\"\n{text}");
    std::fs::write(&config, &text).unwrap();
    let sentence = refusal(dir.path(), &["serve", "--config", &config]);
    assert!(
        sentence.contains("bad.key") && !sentence.contains("tooshort"),
        "{sentence}"
    );
    let sentence = refusal(dir.path(), &["serve", "--server-name", "not a name"]);
    assert!(sentence.contains("not a server name"), "{sentence}");
    let sentence = refusal(dir.path(), &["serve", "--listen", "8008"]);
    assert!(sentence.contains("such as 127.0.0.1:8008"), "{sentence}");
    std::fs::write(&config, "[registraton]\nopen = true\n").unwrap();
    let sentence = refusal(dir.path(), &["serve", "--config", &config]);
    assert!(
        sentence.contains("line 1") && sentence.contains("`registration`"),
        "{sentence}"
    );
    let sentence = refusal(dir.path(), &["serve", "--config", "nowhere.toml"]);
    assert!(sentence.contains("nowhere.toml"), "{sentence}");
}
