//! Access tokens in requests (W02).

use gatehouse_testkit::started;

use crate::raw::send;

#[tokio::test]
async fn w02_an_empty_token_is_a_missing_token() {
    let server = started().await;
    let alice = server.user("alice").await;
    let path = "/_matrix/client/v3/account/whoami";
    let token = &alice.token;
    for (query, header, status, errcode) in [
        ("", String::new(), 401, "M_MISSING_TOKEN"),
        (
            "",
            "Authorization: Bearer \r\n".to_owned(),
            401,
            "M_MISSING_TOKEN",
        ),
        ("", "Authorization: Bearer\r\n".to_owned(), 401, "M_MISSING_TOKEN"),
        ("", "Authorization: \r\n".to_owned(), 401, "M_MISSING_TOKEN"),
        (
            "",
            "Authorization: Basic YTpi\r\n".to_owned(),
            401,
            "M_MISSING_TOKEN",
        ),
        ("?access_token=", String::new(), 401, "M_MISSING_TOKEN"),
        ("?access_token", String::new(), 401, "M_MISSING_TOKEN"),
        ("", "Authorization: Bearer \0\r\n".to_owned(), 400, ""),
        (
            "",
            "Authorization: Bearer x\r\n".to_owned(),
            401,
            "M_UNKNOWN_TOKEN",
        ),
        (
            "",
            format!("Authorization: Bearer {token}x\r\n"),
            401,
            "M_UNKNOWN_TOKEN",
        ),
        (
            "",
            format!("Authorization: Bearer {}\r\n", token.to_lowercase()),
            401,
            "M_UNKNOWN_TOKEN",
        ),
        ("", format!("Authorization: bearer {token}\r\n"), 200, ""),
    ] {
        let request = format!("GET {path}{query} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{header}\r\n");
        let answer = send(&server, &request).await;
        assert_eq!(
            (answer.status, answer.errcode().as_str()),
            (status, errcode),
            "{request}: {answer:?}"
        );
    }
    let by_query = format!("{path}?access_token={token}");
    server.request("GET", &by_query, None).await.ok();
}
