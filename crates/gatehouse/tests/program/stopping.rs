//! Stopping: in good order, at once, and when the store has failed.

use std::{
    io::Write,
    net::TcpStream,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;
use tempfile::TempDir;

use crate::process::{Server, configure};

/// Well below the time that a request may hold up a stopping server.
const AT_ONCE: Duration = Duration::from_secs(4);

/// Waits until this many requests are in flight, the one that looks included.
async fn in_flight(server: &Server, count: u32) {
    let line = format!("gatehouse_http_requests_in_flight {count}");
    loop {
        let (_, metrics) = server.request("GET", "/metrics", None, None).await.unwrap();
        if metrics.as_str().unwrap().lines().any(|found| found == line) {
            return;
        }
    }
}

#[tokio::test]
async fn sigterm_answers_a_waiting_sync_and_ends_with_status_0() {
    for signal in ["TERM", "INT"] {
        let dir = TempDir::new().unwrap();
        let mut server = Server::start(dir.path());
        let token = server.register("alice").await;
        let (_, first) = server
            .request("GET", "/_matrix/client/v3/sync", Some(&token), None)
            .await
            .unwrap();
        let since = first["next_batch"].as_str().unwrap().to_owned();
        let (url, path) = (
            server.url.clone(),
            format!("/_matrix/client/v3/sync?timeout=60000&since={since}"),
        );
        let waiting =
            tokio::spawn(
                async move { crate::process::request(&url, "GET", &path, Some(&token), None).await },
            );
        in_flight(&server, 2).await;
        let began = Instant::now();
        server.signal(signal);
        let (status, answer) = waiting.await.unwrap().expect("answered, not cut off");
        assert_eq!(status, 200, "{answer}");
        assert!(answer["next_batch"].is_string(), "{answer}");
        assert_eq!(server.wait().code(), Some(0));
        assert!(began.elapsed() < AT_ONCE, "took {:?}", began.elapsed());
        assert!(
            !server.log().contains("did not finish in time"),
            "{}",
            server.log()
        );
    }
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let dir = TempDir::new().unwrap();
    let mut server = Server::start(dir.path());
    let mut stalled = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    stalled
        .write_all(b"POST /_matrix/client/v3/login HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{")
        .unwrap();
    in_flight(&server, 2).await;
    let began = Instant::now();
    server.signal("TERM");
    while TcpStream::connect(server.url.trim_start_matches("http://")).is_ok() {}
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert!(began.elapsed() < AT_ONCE, "took {:?}", began.elapsed());
}

#[tokio::test]
async fn r06_a_failed_store_ends_the_program_with_an_error_and_nothing_acknowledged_is_lost() {
    let dir = TempDir::new().unwrap();
    let config = configure(dir.path(), "");
    // That a file may not grow then fails a write and kills nobody, as on a disk that is broken. What collects the
    // errors holds on to standard output, so that waiting for the end of that waits for all errors.
    let script = format!(
        "trap '' XFSZ; exec {:?} serve --config {config:?} --listen 127.0.0.1:0 2>&1 2> >(cat >{:?})",
        env!("CARGO_BIN_EXE_gatehouse"),
        dir.path().join("errors"),
    );
    let mut server = Server::run(Command::new("bash").args(["-c", &script]), dir.path());
    let token = server.register("alice").await;
    let path = |name: u32| format!("/_matrix/client/v3/user/@alice:a.example/account_data/a{name}");
    let body = |name: u32| Some(json!({ "number": name }));
    let put = server
        .request("PUT", &path(0), Some(&token), body(0))
        .await
        .unwrap();
    assert_eq!(put.0, 200, "{}", put.1);
    let limited = Command::new("prlimit")
        .args(["--pid", &server.id(), "--fsize=1:1"])
        .status()
        .unwrap();
    assert!(limited.success());
    let began = Instant::now();
    // Not acknowledged: either the answer says so, or the connection breaks.
    if let Ok((status, answer)) = server.request("PUT", &path(1), Some(&token), body(1)).await {
        assert_ne!(status, 200, "{answer}");
    }
    assert_eq!(server.wait().code(), Some(1));
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "took {:?}",
        began.elapsed()
    );
    let errors = std::fs::read_to_string(dir.path().join("errors")).unwrap();
    let said = errors
        .lines()
        .filter(|line| line.starts_with("gatehouse: the store has failed"));
    assert_eq!(said.count(), 1, "{errors}");
    let server = Server::start(dir.path());
    let (status, kept) = server.request("GET", &path(0), Some(&token), None).await.unwrap();
    assert_eq!((status, &kept["number"]), (200, &json!(0)));
}
