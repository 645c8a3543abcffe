//! The two servers, the mail server, and what people do with them.

use std::{net::TcpListener, path::Path};

use gatehouse_test_mailbox::Mailbox;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Server, program, request};

/// A homeserver, an identity server, and the mail server that the latter has.
pub(super) struct World {
    pub(super) identity: Server,
    pub(super) mailbox: Mailbox,
    homeserver: Option<Server>,
    names: Names,
    homeserver_dir: TempDir,
    identity_dir: TempDir,
}

/// Host and port of each.
struct Names {
    homeserver: String,
    identity: String,
}

/// Somebody with an account at the homeserver.
pub(super) struct Person {
    pub(super) id: String,
    token: String,
}

/// A session at the identity server in which somebody has proven an address.
pub(super) struct Proven {
    token: String,
    sid: String,
}

/// A port that is free now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn path_in(dir: &TempDir, name: &str) -> String {
    dir.path().join(name).display().to_string()
}

/// Homeservers speak TLS with each other, and identity servers with them.
fn make_certificate(dir: &TempDir) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(path_in(dir, "cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(path_in(dir, "key.pem"), made.signing_key.serialize_pem()).unwrap();
}

fn homeserver_settings(dir: &TempDir, names: &Names) -> String {
    let Names { homeserver, identity } = names;
    let port = homeserver.rsplit_once(':').unwrap().1;
    format!(
        "server_name = \"{homeserver}\"\ndata_dir = {:?}\n\
         [[listener]]\nport = {}\n\
         [[listener]]\nport = {port}\ntls_cert = {:?}\ntls_key = {:?}\nserve = [\"federation\"]\n\
         [registration]\nopen = true\ncheap_password_hash = true\n\
         [rate_limits]\nenabled = false\n\
         [identity_service]\nenabled = false\n\
         [identity_servers]\ndefault = \"http://{identity}\"\ntrusted = [\"http://{identity}\"]\n",
        path_in(dir, "data"),
        free_port(),
        path_in(dir, "cert.pem"),
        path_in(dir, "key.pem"),
    )
}

fn identity_settings(dir: &TempDir, names: &Names, authority: &str, smtp_port: u16) -> String {
    let Names { homeserver, identity } = names;
    let port = identity.rsplit_once(':').unwrap().1;
    format!(
        "server_name = \"{homeserver}\"\ndata_dir = {:?}\npublic_baseurl = \"http://{identity}\"\n\
         [[listener]]\nport = {port}\nserve = [\"identity\"]\n\
         [rate_limits]\nenabled = false\n\
         [federation]\ndeny_ip_ranges = []\nextra_ca_files = [{authority:?}]\n\
         [email]\nsmtp_host = \"127.0.0.1\"\nsmtp_port = {smtp_port}\nsmtp_tls = \"none\"\n\
         from = \"Identity <id@test.example>\"\n",
        path_in(dir, "data"),
    )
}

fn start(dir: &Path, command: &[&str]) -> Server {
    let config = dir.join("gatehouse.toml").display().to_string();
    Server::run(program(dir).args(command).args(["--config", &config]), dir)
}

impl World {
    pub(super) async fn start() -> Self {
        let (homeserver_dir, identity_dir) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let mailbox = Mailbox::start().await.unwrap();
        let names = Names {
            homeserver: format!("127.0.0.1:{}", free_port()),
            identity: format!("127.0.0.1:{}", free_port()),
        };
        make_certificate(&homeserver_dir);
        let authority = path_in(&homeserver_dir, "cert.pem");
        let settings = identity_settings(&identity_dir, &names, &authority, mailbox.port());
        std::fs::write(path_in(&identity_dir, "gatehouse.toml"), settings).unwrap();
        let settings = homeserver_settings(&homeserver_dir, &names);
        std::fs::write(path_in(&homeserver_dir, "gatehouse.toml"), settings).unwrap();
        Self {
            identity: start(identity_dir.path(), &["identity", "serve"]),
            homeserver: Some(start(homeserver_dir.path(), &["serve"])),
            mailbox,
            names,
            homeserver_dir,
            identity_dir,
        }
    }

    pub(super) fn stop_homeserver(&mut self) {
        let mut homeserver = self.homeserver.take().unwrap();
        homeserver.signal("TERM");
        assert_eq!(homeserver.wait().code(), Some(0));
    }

    pub(super) fn kill_identity_server(&mut self) {
        self.identity.signal("KILL");
        self.identity.wait();
    }

    /// Both, over what they had.
    pub(super) fn start_again(&mut self) {
        self.homeserver = Some(start(self.homeserver_dir.path(), &["serve"]));
        self.identity = start(self.identity_dir.path(), &["identity", "serve"]);
    }

    pub(super) fn homeserver_name(&self) -> &str {
        &self.names.homeserver
    }

    /// As users call it.
    pub(super) fn identity_name(&self) -> &str {
        &self.names.identity
    }

    fn homeserver(&self) -> &Server {
        self.homeserver.as_ref().unwrap()
    }

    pub(super) async fn register(&self, name: &str) -> Person {
        Person {
            token: self.homeserver().register(name).await,
            id: format!("@{name}:{}", self.homeserver_name()),
        }
    }

    /// A request to the homeserver that must do what it is asked.
    async fn ask(&self, method: &str, by: &Person, path: &str, body: Option<Value>) -> Value {
        let path = format!("/_matrix/client/v3{path}");
        let answer = self
            .homeserver()
            .request(method, &path, Some(&by.token), body)
            .await;
        let (status, answer) = answer.unwrap();
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    pub(super) async fn post(&self, by: &Person, path: &str, body: Value) -> Value {
        self.ask("POST", by, path, Some(body)).await
    }

    /// A request to the identity server that must do what it is asked.
    async fn ask_identity(&self, token: Option<&str>, path: &str, body: Value) -> Value {
        let path = format!("/_matrix/identity/v2{path}");
        let answer = self.identity.request("POST", &path, token, Some(body)).await;
        let (status, answer) = answer.unwrap();
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    pub(super) async fn create_room(&self, by: &Person, name: &str) -> String {
        let room = self.post(by, "/createRoom", json!({ "name": name })).await;
        room["room_id"].as_str().unwrap().to_owned()
    }

    pub(super) async fn invite(&self, by: &Person, room: &str, address: &str) {
        let body = json!({ "id_server": self.identity_name(), "medium": "email", "address": address });
        self.post(by, &format!("/rooms/{room}/invite"), body).await;
    }

    pub(super) async fn join(&self, by: &Person, room: &str) {
        self.post(by, &format!("/rooms/{room}/join"), json!({})).await;
    }

    pub(super) async fn third_party_invites(&self, by: &Person, room: &str) -> Vec<Value> {
        let state = self.ask("GET", by, &format!("/rooms/{room}/state"), None).await;
        let events = state.as_array().unwrap().iter();
        let invites = events.filter(|event| event["type"] == "m.room.third_party_invite");
        invites.cloned().collect()
    }

    /// Follows a link to the identity server, and gives the page.
    pub(super) async fn page(&self, link: &str) -> String {
        let path = link
            .strip_prefix(&self.identity.url)
            .expect("it leads to the identity server");
        let (status, page) = request(&self.identity.url, "GET", path, None, None)
            .await
            .unwrap();
        assert_eq!(status, 200, "{page}");
        page.as_str().unwrap().to_owned()
    }

    /// The person proves the address to the identity server.
    pub(super) async fn proven(&self, by: &Person, address: &str) -> Proven {
        let path = format!("/user/{}/openid/request_token", by.id);
        let openid = self.post(by, &path, json!({})).await;
        let account = self.ask_identity(None, "/account/register", openid).await;
        let token = account["token"].as_str().unwrap().to_owned();
        let body = json!({ "client_secret": "s3cret", "email": address, "send_attempt": 1 });
        let path = "/validate/email/requestToken";
        let session = self.ask_identity(Some(&token), path, body).await;
        loop {
            let mail = self.mailbox.next_to(address).await.unwrap();
            let link = mail.link().unwrap().to_owned();
            // The other mail is the invitation.
            if link.contains("/validate/email/submitToken") {
                self.page(&link).await;
                let sid = session["sid"].as_str().unwrap().to_owned();
                return Proven { token, sid };
            }
        }
    }

    /// The person proves the address, and has the homeserver bind it.
    pub(super) async fn bind(&self, by: &Person, address: &str) {
        let proven = self.proven(by, address).await;
        let body = json!({
            "id_server": self.identity_name(), "id_access_token": proven.token,
            "sid": proven.sid, "client_secret": "s3cret",
        });
        self.post(by, "/account/3pid/bind", body).await;
    }

    /// Waits until the person is invited.
    pub(super) async fn invited(&self, person: &Person, room: &str) {
        let mut since = String::new();
        for _ in 0..40 {
            let path = format!("/sync?timeout=2000{since}");
            let sync = self.ask("GET", person, &path, None).await;
            if sync["rooms"]["invite"].get(room).is_some() {
                return;
            }
            since = format!("&since={}", sync["next_batch"].as_str().unwrap());
        }
        panic!("{} is not invited; {}", person.id, self.identity.log());
    }
}

impl Proven {
    /// Binds the address, as clients do that speak with the identity server themselves.
    pub(super) async fn bind(&self, world: &World, to: &Person) {
        let body = json!({ "sid": self.sid, "client_secret": "s3cret", "mxid": to.id });
        world.ask_identity(Some(&self.token), "/3pid/bind", body).await;
    }
}
