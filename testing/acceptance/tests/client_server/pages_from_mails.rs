//! The pages that links in mails lead to: they run nothing, show nobody's words as theirs, and keep their own address to
//! themselves (security.md W09, T21).

use gatehouse_server::Config;
use serde_json::json;

use crate::mail::{Mailed, mailed_with};

/// A page as a browser gets it, without following anything.
struct Page {
    status: u16,
    headers: reqwest::header::HeaderMap,
    text: String,
}

impl Page {
    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.unwrap_or_else(|| panic!("no {name}")).to_str().unwrap()
    }

    /// Whether nothing can be done with it but reading it.
    fn is_guarded(&self, link: &str) {
        let policy = self.header("content-security-policy");
        for rule in ["default-src 'none'", "frame-ancestors 'none'"] {
            assert!(policy.contains(rule), "{link}: {policy}");
        }
        assert!(!policy.contains("script-src"), "{link}: {policy}");
        assert_eq!(self.header("x-content-type-options"), "nosniff", "{link}");
        assert_eq!(self.header("x-frame-options"), "DENY", "{link}");
        assert_eq!(self.header("referrer-policy"), "no-referrer", "{link}");
        assert_eq!(self.header("cache-control"), "no-store", "{link}");
        assert!(!self.text.contains("<script"), "{link}: {}", self.text);
        assert!(!self.text.contains("mail.example"), "{link}: an address is shown");
    }
}

async fn read(response: reqwest::Response) -> Page {
    Page {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        text: response.text().await.unwrap(),
    }
}

async fn open(mailed: &Mailed, link: &str) -> Page {
    let http = gatehouse_testkit::http::client()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let url = format!("{}{link}", mailed.server.base());
    read(http.get(url).send().await.unwrap()).await
}

fn with_next_links(config: &mut Config) {
    config.identity_service.next_link_hosts = vec!["app.example".to_owned()];
}

/// A link to the identity service, in a mail to the address.
async fn identity_link(mailed: &Mailed, address: &str, next_link: Option<&str>) -> String {
    let mut body = json!({ "client_secret": address.replace('@', "."), "email": address, "send_attempt": 1 });
    if let Some(next_link) = next_link {
        body["next_link"] = json!(next_link);
    }
    let path = "/_matrix/identity/api/v1/validate/email/requestToken";
    mailed.server.request("POST", path, Some(&body)).await.ok();
    mailed.link_to(address).await
}

const NONSENSE: &str =
    "sid=%3Cscript%3Ealert(1)%3C%2Fscript%3E&client_secret=%22%3E%3Cscript%3E&token=%3Cscript%3E";

#[tokio::test]
async fn w09_t21_every_page_that_a_mail_leads_to_is_guarded() {
    let mailed = mailed_with(with_next_links).await;
    mailed
        .request("register", "a@mail.example", "secret", 1)
        .await
        .ok();
    let register = mailed.link_to("a@mail.example").await;
    let alice = mailed.server.user("alice").await;
    mailed.add(&alice, "b@mail.example").await;
    mailed
        .request("account/password", "b@mail.example", "forgotten", 1)
        .await
        .ok();
    let password = mailed.link_to("b@mail.example").await;
    let identity = identity_link(&mailed, "c@mail.example", None).await;
    let mut links = vec![(register, 200), (password.clone(), 200), (identity, 200)];
    for path in [
        "/_gatehouse/validate",
        "/_matrix/identity/v2/validate/email/submitToken",
        "/_matrix/identity/api/v1/validate/msisdn/submitToken",
    ] {
        links.push((format!("{path}?{NONSENSE}"), 400));
    }
    links.push((format!("/_gatehouse/allow_password?{NONSENSE}"), 200));
    links.push(("/_gatehouse/invitation/%3Cscript%3E".to_owned(), 404));
    for (link, status) in links {
        let page = open(&mailed, &link).await;
        assert_eq!(page.status, status, "{link}: {}", page.text);
        page.is_guarded(&link);
    }
    let url = format!("{}/_gatehouse/allow_password", mailed.server.base());
    let form = password.split_once('?').unwrap().1.to_owned();
    for form in [form, NONSENSE.to_owned()] {
        let pressed = mailed.server.http().post(&url).body(form).send().await.unwrap();
        read(pressed).await.is_guarded("the button");
    }
}

#[tokio::test]
async fn t21_whoever_is_sent_on_takes_no_secret_along() {
    let mailed = mailed_with(with_next_links).await;
    let next_link = "https://app.example/done?a=b";
    let link = identity_link(&mailed, "a@mail.example", Some(next_link)).await;
    let page = open(&mailed, &link).await;
    assert!((300..400).contains(&page.status), "{}", page.status);
    assert_eq!(page.header("location"), next_link);
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(!page.text.contains("token="), "{}", page.text);
}

#[tokio::test]
async fn w11_names_that_strangers_chose_make_no_links_no_headers_and_no_html_in_mails() {
    let mailed = mailed_with(|_| ()).await;
    let alice = mailed.server.user("alice").await;
    let name = "Your bank https://evil.example/login <b>now</b>";
    alice
        .put(
            &format!(
                "/profile/{}/displayname",
                gatehouse_testkit::user::escaped(&alice.id)
            ),
            json!({ "displayname": name }),
        )
        .await
        .ok();
    let room = alice
        .create_room(json!({ "name": "x\r\nBcc: eve@mail.example\r\n\r\n<img src=https://evil.example/>" }))
        .await;
    let path = format!("/rooms/{}/invite", gatehouse_testkit::user::escaped(&room));
    let body =
        json!({ "id_server": "matrix.test.example", "medium": "email", "address": "bob@mail.example" });
    alice.post(&path, body).await.ok();
    let mail = mailed.mailbox.next().await.unwrap();
    assert_eq!(mail.recipients, ["bob@mail.example"]);
    assert_eq!(mail.header("Bcc"), None);
    assert!(mail.defects.is_empty(), "{:?}", mail.defects);
    for part in [&mail.subject, &mail.text, &mail.html] {
        assert!(!part.contains("https://evil.example"), "{part}");
        assert!(!part.contains("evil.example/"), "{part}");
    }
    assert!(
        !mail.html.contains("<img") && !mail.html.contains("<b>now"),
        "{}",
        mail.html
    );
    let links = |part: &str| part.matches("://").count();
    let ours = |part: &str| part.matches("https://matrix.test.example/_gatehouse/").count();
    let html = mail.html.replace("&#x2f;", "/");
    for part in [&mail.text, &html] {
        assert!(links(part) > 0 && links(part) == ours(part), "{part}");
    }
}
