//! `kill -9` while addresses are invited, proven and bound, and people come in (R30): each invitation is stored, mailed,
//! delivered and accepted once, however often the server is killed on the way.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use gatehouse_events::Clock;
use gatehouse_test_mailbox::{Mail, Mailbox};
use gatehouse_testkit::user::escaped;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::process::{Server, configure, program, request};

/// How many addresses are invited, and how many are on their way at once.
const PEOPLE: usize = 40;
const AT_ONCE: usize = 8;
/// The server is killed so often at most, after it has run for up to so long.
const KILLS: usize = 30;
const LONGEST_RUN_MS: u64 = 250;
/// Fewer kills would say little.
const FEWEST_KILLS: usize = 8;
/// Between tries while the server is away.
const PAUSE: Duration = Duration::from_millis(10);
/// All of it takes no longer.
const PATIENCE: Duration = Duration::from_secs(100);

/// The bundled identity server, as clients name it.
const ID_SERVER: &str = "matrix.a.example";

/// Numbers that a seed decides.
struct Dice(u64);

impl Dice {
    /// As `GATEHOUSE_KILL_SEED` says, or as the time does.
    fn new() -> Self {
        let given = std::env::var("GATEHOUSE_KILL_SEED").ok();
        let seed = given.map_or_else(|| Clock::system().now_ms(), |seed| seed.parse().unwrap());
        println!("GATEHOUSE_KILL_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, most: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// Over the data in this folder, with mail to this port.
fn serve(dir: &TempDir, mailbox: &Mailbox, address: &str) -> Server {
    let more = format!(
        "[email]\nsmtp_host = \"127.0.0.1\"\nsmtp_port = {}\nsmtp_tls = \"none\"\nfrom = \"Test <matrix@a.example>\"\n",
        mailbox.port()
    );
    let config = configure(dir.path(), &more);
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(
        &config,
        format!("public_baseurl = \"https://{ID_SERVER}\"\n{text}"),
    )
    .unwrap();
    let mut command = program(dir.path());
    command.args(["serve", "--config", &config, "--listen", address]);
    Server::run(&mut command, dir.path())
}

/// Every mail that came, in order.
struct Letters {
    all: watch::Sender<Vec<Mail>>,
}

impl Letters {
    /// Reads the mailbox as long as mail comes.
    fn read(mailbox: Arc<Mailbox>) -> Arc<Self> {
        let letters = Arc::new(Self {
            all: watch::Sender::default(),
        });
        let reader = Arc::clone(&letters);
        tokio::spawn(async move {
            while let Ok(mail) = mailbox.next().await {
                reader.all.send_modify(|all| all.push(mail));
            }
        });
        letters
    }

    /// The link in the first mail to the address that has one with this in it.
    async fn link(&self, address: &str, part: &str) -> String {
        let find = |all: &Vec<Mail>| {
            let mut links = all
                .iter()
                .filter(|mail| mail.recipients == [address])
                .filter_map(Mail::link);
            links.find(|link| link.contains(part)).map(ToOwned::to_owned)
        };
        let mut all = self.all.subscribe();
        let all = all.wait_for(|all| find(all).is_some()).await.unwrap();
        find(&all).unwrap()
    }

    /// The `Message-ID`s of the mails to the address: those that invite, and those that ask for a proof.
    fn ids(&self, address: &str) -> [BTreeSet<String>; 2] {
        let all = self.all.borrow();
        let ids = |part: &str| {
            all.iter()
                .filter(|mail| mail.recipients == [address])
                .filter(|mail| mail.link().is_some_and(|link| link.contains(part)))
                .map(|mail| mail.header("Message-ID").unwrap().to_owned())
                .collect()
        };
        [ids("/_gatehouse/invitation/"), ids("/submitToken")]
    }
}

/// What somebody waits for at the moment.
const STEPS: [&str; 6] = ["stored", "mailed", "proven", "bound", "invited", "joined"];

/// How many people wait for each step, and how many did when the server was killed.
#[derive(Default)]
struct Steps {
    /// What was begun last.
    begun_last: watch::Sender<Option<usize>>,
    now: Mutex<[usize; STEPS.len()]>,
    killed: Mutex<[usize; STEPS.len()]>,
}

impl Steps {
    fn begin(&self, step: usize) {
        let mut now = self.now.lock().unwrap();
        now[step] += 1;
        if let Some(last) = step.checked_sub(1) {
            now[last] -= 1;
        }
        drop(now);
        self.begun_last.send_replace(Some(step));
    }

    /// Waits until somebody begins to wait for this step, or one after it.
    async fn begun(&self, step: usize) {
        let mut begun_last = self.begun_last.subscribe();
        begun_last
            .wait_for(|at| at.is_some_and(|at| at >= step))
            .await
            .unwrap();
    }

    fn end(&self) {
        self.now.lock().unwrap()[STEPS.len() - 1] -= 1;
    }

    fn kill(&self) {
        let now = *self.now.lock().unwrap();
        for (killed, now) in self.killed.lock().unwrap().iter_mut().zip(now) {
            *killed += now;
        }
    }
}

/// A client that asks until there is an answer.
#[derive(Clone)]
struct Client {
    url: String,
    token: String,
}

impl Client {
    async fn insist_as(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> Value {
        loop {
            match request(&self.url, method, path, Some(token), body.clone()).await {
                Ok((200, answer)) => return answer,
                Ok((503, _)) | Err(_) => tokio::time::sleep(PAUSE).await,
                Ok((status, answer)) => panic!("{method} {path}: {status} {answer}"),
            }
        }
    }

    async fn insist(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        self.insist_as(&self.token, method, path, body).await
    }

    /// A token of the identity service.
    async fn identity_token(&self, mxid: &str) -> String {
        let path = format!("/_matrix/client/v3/user/{}/openid/request_token", escaped(mxid));
        let openid = self.insist("POST", &path, Some(json!({}))).await;
        let path = "/_matrix/identity/v2/account/register";
        let registered = self.insist("POST", path, Some(openid)).await;
        registered["token"].as_str().unwrap().to_owned()
    }

    async fn is_invited(&self, room: &str) {
        let mut since = String::new();
        loop {
            let path = format!("/_matrix/client/v3/sync?timeout=5000{since}");
            let sync = self.insist("GET", &path, None).await;
            if sync["rooms"]["invite"].get(room).is_some() {
                return;
            }
            since = format!("&since={}", sync["next_batch"].as_str().unwrap());
        }
    }
}

fn address(number: usize) -> String {
    format!("person{number}@mail.example")
}

/// From the invitation to the room: Alice invites the address, and whoever has it proves and binds it, waits for the
/// invite and joins.
async fn whole_way(run: Arc<Run>, person: Client, mxid: String) {
    let Run {
        alice,
        room,
        letters,
        steps,
        ..
    } = &*run;
    let address = person_address(&mxid);
    let body = json!({ "id_server": ID_SERVER, "medium": "email", "address": address });
    let path = format!("/_matrix/client/v3/rooms/{}/invite", escaped(room));
    steps.begin(0);
    alice.insist("POST", &path, Some(body)).await;
    steps.begin(1);
    letters.link(&address, "/_gatehouse/invitation/").await;
    steps.begin(2);
    let token = person.identity_token(&mxid).await;
    let body = json!({ "client_secret": address.replace('@', "."), "email": address, "send_attempt": 1 });
    let path = "/_matrix/identity/v2/validate/email/requestToken";
    let session = person.insist_as(&token, "POST", path, Some(body)).await;
    let link = letters.link(&address, "/submitToken").await;
    let link = link.strip_prefix(&format!("https://{ID_SERVER}")).unwrap();
    person.insist("GET", link, None).await;
    let creds = json!({
        "sid": session["sid"], "client_secret": address.replace('@', "."),
        "id_server": ID_SERVER, "id_access_token": token,
    });
    let path = "/_matrix/client/v3/account/3pid/bind";
    steps.begin(3);
    person.insist("POST", path, Some(creds)).await;
    steps.begin(4);
    person.is_invited(room).await;
    let path = format!("/_matrix/client/v3/rooms/{}/join", escaped(room));
    steps.begin(5);
    person.insist("POST", &path, Some(json!({}))).await;
    steps.end();
}

/// The address of `@personN:…`.
fn person_address(mxid: &str) -> String {
    let number = mxid.trim_start_matches("@person").split(':').next().unwrap();
    address(number.parse().unwrap())
}

/// Everything that happened in the room, by what it is and to whom.
async fn happened(alice: &Client, room: &str) -> BTreeMap<(String, String), usize> {
    let path = format!(
        "/_matrix/client/v3/rooms/{}/messages?dir=f&limit=1000",
        escaped(room)
    );
    let history = alice.insist("GET", &path, None).await;
    let mut counts = BTreeMap::new();
    for event in history["chunk"].as_array().unwrap() {
        let kind = event["type"].as_str().unwrap();
        let key = match kind {
            "m.room.member" => {
                let membership = event["content"]["membership"].as_str().unwrap();
                (
                    membership.to_owned(),
                    event["state_key"].as_str().unwrap().to_owned(),
                )
            }
            kind => (kind.to_owned(), String::new()),
        };
        *counts.entry(key).or_default() += 1;
    }
    counts
}

/// Alice's room, and the people who will be invited to it by their addresses.
async fn people(server: &Server, count: usize) -> (Client, String, Vec<(String, Client)>) {
    let client = async |name: &str| Client {
        url: server.url.clone(),
        token: server.register(name).await,
    };
    let alice = client("alice").await;
    let path = "/_matrix/client/v3/createRoom";
    let room = alice
        .insist("POST", path, Some(json!({ "name": "Kittens" })))
        .await;
    let mut people = Vec::new();
    for number in 0..count {
        let name = format!("person{number}");
        people.push((format!("@{name}:a.example"), client(&name).await));
    }
    (alice, room["room_id"].as_str().unwrap().to_owned(), people)
}

/// What must be so when everybody has come in.
async fn each_came_in_once(alice: &Client, room: &str, people: &[String], letters: &Letters) {
    let counts = happened(alice, room).await;
    let count = |kind: &str, key: &str| counts.get(&(kind.to_owned(), key.to_owned())).copied();
    assert_eq!(
        count("m.room.third_party_invite", ""),
        Some(people.len()),
        "one event for each address"
    );
    for mxid in people {
        assert_eq!(count("invite", mxid), Some(1), "{mxid}: {counts:?}");
        assert_eq!(count("join", mxid), Some(1), "{mxid}: {counts:?}");
        let [invitations, proofs] = letters.ids(&person_address(mxid));
        assert_eq!(invitations.len(), 1, "{mxid} was mailed by {invitations:?}");
        assert_eq!(proofs.len(), 1, "{mxid} was mailed by {proofs:?}");
    }
}

/// What everybody knows of the run.
struct Run {
    alice: Client,
    room: String,
    letters: Arc<Letters>,
    steps: Steps,
    left: Mutex<Vec<(String, Client)>>,
    done: AtomicUsize,
}

impl Run {
    /// Takes one after the other of the people through the whole way.
    async fn work(self: Arc<Self>) {
        loop {
            let next = self.left.lock().unwrap().pop();
            let Some((mxid, person)) = next else { return };
            whole_way(Arc::clone(&self), person, mxid).await;
            self.done.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// How many mails came twice: sent, and the server killed before it could note that.
    fn twice(&self) -> usize {
        let all = self.letters.all.borrow();
        let ids: BTreeSet<_> = all.iter().map(|mail| mail.header("Message-ID")).collect();
        all.len() - ids.len()
    }

    fn is_over(&self) -> bool {
        self.done.load(Ordering::SeqCst) == PEOPLE
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r30_every_invitation_survives_kill_9_at_any_moment_once() {
    let mut dice = Dice::new();
    let dir = TempDir::new().unwrap();
    let mailbox = Arc::new(Mailbox::start().await.unwrap());
    let mut server = serve(&dir, &mailbox, "127.0.0.1:0");
    let (alice, room, people) = people(&server, PEOPLE).await;
    let names: Vec<String> = people.iter().map(|(mxid, _)| mxid.clone()).collect();
    let run = Arc::new(Run {
        alice,
        room,
        letters: Letters::read(Arc::clone(&mailbox)),
        steps: Steps::default(),
        left: Mutex::new(people),
        done: AtomicUsize::new(0),
    });
    let address = run.alice.url.trim_start_matches("http://").to_owned();
    let workers: Vec<_> = (0..AT_ONCE)
        .map(|_| tokio::spawn(Arc::clone(&run).work()))
        .collect();
    let mut kills = 0;
    while kills < KILLS && !run.is_over() {
        tokio::time::sleep(Duration::from_millis(dice.below(LONGEST_RUN_MS))).await;
        server.signal("KILL");
        run.steps.kill();
        server.wait();
        kills += 1;
        server = serve(&dir, &mailbox, &address);
    }
    for worker in workers {
        let worked = tokio::time::timeout(PATIENCE, worker).await;
        worked.expect("an invitation was lost").unwrap();
    }
    let waited: Vec<_> = STEPS.iter().zip(*run.steps.killed.lock().unwrap()).collect();
    println!("{kills} kills, {PEOPLE} addresses; when killed they waited to be: {waited:?}");
    println!("mails that came twice, as the same: {}", run.twice());
    assert!(kills >= FEWEST_KILLS, "killed {kills} times only");
    each_came_in_once(&run.alice, &run.room, &names, &run.letters).await;
    // What was not finished would be done again now.
    server.signal("KILL");
    server.wait();
    let _server = serve(&dir, &mailbox, &address);
    let body = json!({ "id_server": ID_SERVER, "medium": "email", "address": "marker@mail.example" });
    let path = format!("/_matrix/client/v3/rooms/{}/invite", escaped(&run.room));
    let before = happened(&run.alice, &run.room).await;
    run.alice.insist("POST", &path, Some(body)).await;
    run.letters
        .link("marker@mail.example", "/_gatehouse/invitation/")
        .await;
    let mut after = happened(&run.alice, &run.room).await;
    *after
        .get_mut(&("m.room.third_party_invite".to_owned(), String::new()))
        .unwrap() -= 1;
    assert_eq!(after, before);
    for mxid in &names {
        let [invitations, proofs] = run.letters.ids(&person_address(mxid));
        assert_eq!([invitations.len(), proofs.len()], [1, 1], "{mxid}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r30_a_kill_after_each_step_loses_and_doubles_nothing() {
    let dir = TempDir::new().unwrap();
    let mailbox = Arc::new(Mailbox::start().await.unwrap());
    let mut server = serve(&dir, &mailbox, "127.0.0.1:0");
    let (alice, room, people) = people(&server, STEPS.len()).await;
    let names: Vec<String> = people.iter().map(|(mxid, _)| mxid.clone()).collect();
    let run = Arc::new(Run {
        alice,
        room,
        letters: Letters::read(Arc::clone(&mailbox)),
        steps: Steps::default(),
        left: Mutex::default(),
        done: AtomicUsize::new(0),
    });
    let address = run.alice.url.trim_start_matches("http://").to_owned();
    for (step, (mxid, person)) in people.into_iter().enumerate() {
        run.steps.begun_last.send_replace(None);
        let way = tokio::spawn(whole_way(Arc::clone(&run), person, mxid));
        run.steps.begun(step).await;
        server.signal("KILL");
        server.wait();
        server = serve(&dir, &mailbox, &address);
        let gone = tokio::time::timeout(PATIENCE, way).await;
        gone.unwrap_or_else(|_| panic!("lost before it was {}", STEPS[step]))
            .unwrap();
    }
    each_came_in_once(&run.alice, &run.room, &names, &run.letters).await;
}
