//! Paths are taken as they are written: nothing is folded, cut off or decoded twice (W13).

use gatehouse_testkit::started;

use crate::raw::{get, send};

#[tokio::test]
async fn w13_what_only_looks_like_a_path_is_unrecognized() {
    let server = started().await;
    assert_eq!(get(&server, "/_matrix/client/versions").await.status, 200);
    for path in [
        "/_matrix/x/client/v3/account/whoami",
        "/x/_matrix/client/versions",
        "//_matrix/client/versions",
        "/_matrix//client/versions",
        "/_matrix/client//versions",
        "/_matrix/client/versions/",
        "/_matrix/client/versions/x",
        "/_matrix/client/versionsx",
        "/_matrix/client/versions;x",
        "/_matrix/client/versions%20",
        "/_matrix/client/versions%00",
        "/_matrix/client/v3/../versions",
        "/_matrix/client/./versions",
        "/_matrix/client/v3/%2e%2e/versions",
        "/_matrix/client%2fversions",
        "/_matrix%2Fclient/versions",
        "/_matrix/client/v3%2faccount/whoami",
        "/_matrix/client/%76ersions",
        "/_MATRIX/client/versions",
        "/_matrix/client/V3/account/whoami",
        "/_matrix/client/v4/account/whoami",
        "/_matrix/client",
        "/",
    ] {
        let answer = get(&server, path).await;
        assert_eq!(
            (answer.status, answer.errcode().as_str()),
            (404, "M_UNRECOGNIZED"),
            "{path}: {answer:?}"
        );
        assert!(
            answer.head.contains("access-control-allow-origin: *"),
            "{path}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn a_slash_that_is_escaped_belongs_to_the_parameter() {
    let server = started().await;
    server.user("alice").await;
    let profile = "/_matrix/client/v3/profile/@alice:test.example";
    assert_eq!(get(&server, profile).await.status, 200);
    let answer = get(&server, &format!("{profile}%2Fdisplayname")).await;
    assert!(
        answer.status >= 400 && answer.errcode() != "M_UNRECOGNIZED",
        "{answer:?}"
    );
}

#[tokio::test]
async fn strange_targets_are_answered() {
    let server = started().await;
    for (line, status) in [
        ("GET http://other.example/_matrix/client/versions", 200),
        ("OPTIONS *", 204),
        ("CONNECT other.example:443", 404),
        ("TRACE /_matrix/client/versions", 405),
        ("GARBAGE /_matrix/client/versions", 405),
        ("PRI /_matrix/client/versions", 405),
    ] {
        let answer = send(
            &server,
            format!("{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
        )
        .await;
        assert_eq!(answer.status, status, "{line}: {answer:?}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_405_and_head_is_as_get() {
    let server = started().await;
    server
        .request("DELETE", "/_matrix/client/versions", None)
        .await
        .refused(405, "M_UNRECOGNIZED");
    server
        .request("GET", "/_matrix/client/v3/createRoom", None)
        .await
        .refused(405, "M_UNRECOGNIZED");
    let head = "HEAD /_matrix/client/versions HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = send(&server, head).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert!(!answer.head.contains("content-length: 0"), "{}", answer.head);
}
