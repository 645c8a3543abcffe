//! Heads of requests: what is ambiguous or too large (W15; limits, "Body sizes in").

use gatehouse_testkit::started;

use crate::raw::send;

const LOGIN: &str = "POST /_matrix/client/v3/login HTTP/1.1\r\nHost: a\r\n";
const VERSIONS: &str = "GET /_matrix/client/versions HTTP/1.1\r\nHost: a\r\n";

#[tokio::test]
async fn w15_a_head_that_can_be_read_in_two_ways_is_refused_and_the_connection_closed() {
    let server = started().await;
    // What would be a second request to who read the first in another way.
    let smuggled = format!("{VERSIONS}\r\n");
    for head in [
        "Content-Length: 2\r\nContent-Length: 3\r\n",
        "Content-Length: 2, 3\r\n",
        "Content-Length: +2\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x2\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "X: a\rY: b\r\n",
        "X: a\r\rY: b\r\n",
        "Bad Name: a\r\n",
        "Name : a\r\n",
        "X: a\0b\r\n",
        "no colon\r\n",
    ] {
        let answer = send(&server, format!("{LOGIN}{head}\r\n{{}}{smuggled}")).await;
        assert_eq!(answer.status, 400, "{head:?}: {answer:?}");
        assert!(
            !answer.body.contains("HTTP/1.1"),
            "{head:?}: two answers: {answer:?}"
        );
    }
}

#[tokio::test]
async fn w15_a_length_beside_chunks_is_ignored_and_nothing_can_follow() {
    let server = started().await;
    for head in [
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
    ] {
        let answer = send(&server, format!("{LOGIN}{head}\r\n0\r\n\r\n{VERSIONS}\r\n")).await;
        assert_eq!(answer.status, 400, "{head:?}: {answer:?}");
        assert!(answer.head.contains("connection: close"), "{answer:?}");
        assert!(
            !answer.body.contains("HTTP/1.1"),
            "{head:?}: two answers: {answer:?}"
        );
    }
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let server = started().await;
    let many =
        |count: usize| (0..count).fold(String::new(), |head, number| head + &format!("X-{number}: a\r\n"));
    let end = "Connection: close\r\n\r\n";
    let large = |bytes: usize| format!("X: {}\r\n", "a".repeat(bytes));
    for (headers, status) in [
        (many(98), 200),
        (many(99), 431),
        (many(5_000), 431),
        (large(32_000), 200),
        (large(33_000), 431),
        (format!("{}{}", large(20_000), large(20_000)), 431),
        (large(500_000), 431),
    ] {
        let answer = send(&server, format!("{VERSIONS}{headers}{end}")).await;
        assert_eq!(answer.status, status, "{} bytes: {answer:?}", headers.len());
    }
    for (length, status) in [(16_000, 200), (17_000, 414), (40_000, 414)] {
        let query = "a".repeat(length);
        let request = format!("GET /_matrix/client/versions?{query} HTTP/1.1\r\nHost: a\r\n{end}");
        let answer = send(&server, request).await;
        assert_eq!(answer.status, status, "{length}: {answer:?}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let server = started().await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..],
        b"hello\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ] {
        let answer = send(&server, bytes).await;
        assert!(matches!(answer.status, 0 | 400 | 505), "{bytes:?}: {answer:?}");
    }
    assert_eq!(
        send(&server, format!("{VERSIONS}Connection: close\r\n\r\n"))
            .await
            .status,
        200
    );
}
