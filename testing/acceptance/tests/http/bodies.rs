//! Bodies: how large they may be, and what is wrong with them.

use gatehouse_testkit::{TestServer, User, started};
use serde_json::json;

use crate::raw::{RawAnswer, send};

/// A request with this head and body, and the server hangs up.
async fn ask(user: &User<'_>, server: &TestServer, line: &str, headers: &str, body: &[u8]) -> RawAnswer {
    let head = format!(
        "{line} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nConnection: close\r\n{headers}\r\n",
        user.token
    );
    send(server, [head.as_bytes(), body].concat()).await
}

/// A whole body of known length.
async fn sized(user: &User<'_>, server: &TestServer, line: &str, body: &[u8]) -> RawAnswer {
    ask(
        user,
        server,
        line,
        &format!("Content-Length: {}\r\n", body.len()),
        body,
    )
    .await
}

/// The same body in chunks.
async fn chunked(user: &User<'_>, server: &TestServer, line: &str, body: &[u8]) -> RawAnswer {
    let mut chunks = Vec::new();
    for chunk in body.chunks(10_000) {
        chunks.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunks.extend_from_slice(chunk);
        chunks.extend_from_slice(b"\r\n");
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    ask(user, server, line, "Transfer-Encoding: chunked\r\n", &chunks).await
}

#[tokio::test]
async fn each_class_of_requests_has_its_limit_announced_or_not() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice.create_room(json!({})).await;
    for (line, kib) in [
        ("POST /_matrix/client/v3/login".to_owned(), 64),
        ("POST /_matrix/client/v3/register".to_owned(), 64),
        ("POST /_matrix/client/v3/account/password".to_owned(), 64),
        (
            format!("PUT /_matrix/client/v3/rooms/{room}/send/m.room.message/1"),
            128,
        ),
        (
            format!("PUT /_matrix/client/v3/rooms/{room}/state/m.room.topic"),
            128,
        ),
        (
            format!("POST /_matrix/client/api/v1/rooms/{room}/send/m.room.message"),
            128,
        ),
        (
            "POST /_matrix/client/v3/user/@alice:test.example/filter".to_owned(),
            256,
        ),
        (
            "PUT /_matrix/client/v3/user/@alice:test.example/account_data/a".to_owned(),
            1024,
        ),
    ] {
        let mut body = b"{}".to_vec();
        body.resize(kib << 10, b' ');
        let answer = sized(&alice, &server, &line, &body).await;
        assert!(
            answer.status != 413 && answer.status < 500,
            "{line} takes {kib} KiB: {answer:?}"
        );
        body.push(b' ');
        // Refused before any of it has been sent.
        let announced = format!("Content-Length: {}\r\n", body.len());
        let early = ask(&alice, &server, &line, &announced, b"").await;
        let late = chunked(&alice, &server, &line, &body).await;
        for answer in [early, late] {
            assert_eq!(
                (answer.status, answer.errcode().as_str()),
                (413, "M_TOO_LARGE"),
                "{line}: {answer:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_told_apart() {
    let server = started().await;
    let alice = server.user("alice").await;
    let room = alice.create_room(json!({})).await;
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100), "]".repeat(100));
    let deeper = format!("{{\"a\":{}", "[".repeat(60_000));
    let cases: [(&[u8], &str); 9] = [
        (b"{", "M_NOT_JSON"),
        (b"{} {}", "M_NOT_JSON"),
        (b"{\"a\":NaN}", "M_NOT_JSON"),
        (b"{\"a\":\"\xff\"}", "M_NOT_JSON"),
        (b"{\"a\":\"\\ud800\"}", "M_NOT_JSON"),
        (b"\xef\xbb\xbf{}", "M_NOT_JSON"),
        (deep.as_bytes(), "M_BAD_JSON"),
        (deeper.as_bytes(), "M_BAD_JSON"),
        (b"[]", "M_BAD_JSON"),
    ];
    for line in [
        format!("PUT /_matrix/client/v3/rooms/{room}/send/m.room.message/1"),
        format!("PUT /_matrix/client/v3/rooms/{room}/state/m.room.topic"),
        format!("POST /_matrix/client/api/v1/rooms/{room}/send/m.room.message"),
        "PUT /_matrix/client/v3/user/@alice:test.example/account_data/a".to_owned(),
        "POST /_matrix/client/v3/user/@alice:test.example/filter".to_owned(),
        "POST /_matrix/client/v3/register".to_owned(),
    ] {
        for (body, errcode) in cases {
            let answer = sized(&alice, &server, &line, body).await;
            let shown = String::from_utf8_lossy(body).chars().take(30).collect::<String>();
            assert_eq!(
                (answer.status, answer.errcode().as_str()),
                (400, errcode),
                "{line} {shown}: {answer:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_value_of_the_wrong_type_is_bad_json() {
    let server = started().await;
    let alice = server.user("alice").await;
    for (method, path, body) in [
        ("POST", "/login", json!({ "type": 5 })),
        (
            "POST",
            "/login",
            json!({ "type": "m.login.password", "identifier": [], "password": "x" }),
        ),
        ("POST", "/register", json!({ "username": {} })),
        ("POST", "/createRoom", json!({ "invite": "@bob:test.example" })),
        ("POST", "/createRoom", json!({ "name": 5 })),
        ("PUT", "/profile/@alice:test.example/displayname", json!([])),
        ("POST", "/user/@alice:test.example/filter", json!({ "room": 5 })),
        ("POST", "/account/password", json!({ "new_password": 5 })),
    ] {
        let answer = alice
            .request(method, &format!("/_matrix/client/v3{path}"), Some(&body))
            .await;
        answer.refused(400, "M_BAD_JSON");
    }
}

#[tokio::test]
async fn the_content_type_does_not_matter() {
    let server = started().await;
    let alice = server.user("alice").await;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "nonsense"] {
        let headers = format!("Content-Type: {kind}\r\nContent-Length: 2\r\n");
        let answer = ask(
            &alice,
            &server,
            "POST /_matrix/client/v3/createRoom",
            &headers,
            b"{}",
        )
        .await;
        assert_eq!(answer.status, 200, "{kind}: {answer:?}");
    }
}
