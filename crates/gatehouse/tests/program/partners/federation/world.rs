//! One Gatehouse and one Synapse, which know each other, and the rooms of both.

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use futures_util::{FutureExt as _, StreamExt as _, stream};
use tempfile::TempDir;

use super::{
    super::{
        authority::Authority,
        gatehouse::{Gatehouse, Role},
        partner::free_port,
        person::Person,
        synapse::Synapse,
    },
    gate::Gate,
    pair::Pair,
};

/// So many rooms are worked on side by side. Synapse has one thread, but there is much waiting.
const AT_ONCE: usize = 24;

/// When this is set in the environment, what the servers have written stays where it is.
const KEEP: &str = "GATEHOUSE_KEEP_PARTNERS";

/// Whose a room is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Gatehouse,
    Synapse,
}

impl Whose {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Gatehouse => Self::Synapse,
            Self::Synapse => Self::Gatehouse,
        }
    }
}

/// Both servers.
pub(super) struct World {
    pub(super) gatehouse: Gatehouse,
    pub(super) synapse: Synapse,
    gates: Vec<Gate>,
    people: AtomicUsize,
    authority: Authority,
    dir: TempDir,
}

impl World {
    pub(super) async fn begin() -> Self {
        let [ours, theirs] = [free_port(), free_port()];
        Self::begin_behind([ours, theirs], [ours, theirs], Vec::new()).await
    }

    /// With a gate before each, through which the other comes.
    pub(super) async fn begin_with_gates() -> Self {
        let known = [free_port(), free_port()];
        let ports = [free_port(), free_port()];
        let mut gates = Vec::new();
        for (known, behind) in known.into_iter().zip(ports) {
            gates.push(Gate::build(known, behind).await);
        }
        Self::begin_behind(known, ports, gates).await
    }

    async fn begin_behind(known: [u16; 2], ports: [u16; 2], gates: Vec<Gate>) -> Self {
        let mut dir = TempDir::new().unwrap();
        if std::env::var_os(KEEP).is_some() {
            dir.disable_cleanup(true);
            println!("kept: {}", dir.path().display());
        }
        let authority = Authority::found(dir.path());
        // Another host than Synapse's, so that access control lists can tell them apart.
        let name = format!("127.0.0.1:{}", known[0]);
        let gatehouse = Gatehouse::start_named(dir.path(), &authority, Role::Homeserver, &name, ports[0], "");
        let synapse = Synapse::start_behind(dir.path(), &authority, known[1], ports[1], "").await;
        Self {
            gatehouse,
            synapse,
            gates,
            people: AtomicUsize::new(0),
            authority,
            dir,
        }
    }

    /// A third server, for identities alone, with these settings.
    pub(super) fn identity_server(&self, settings: &str) -> Gatehouse {
        let dir = self.dir.path().join("identity");
        std::fs::create_dir(&dir).unwrap();
        Gatehouse::start(&dir, &self.authority, Role::IdentityServer, settings)
    }

    /// Keeps the servers apart.
    pub(super) fn part(&self) {
        self.gates.iter().for_each(Gate::shut);
    }

    /// Lets them reach each other again.
    pub(super) fn reunite(&self) {
        self.gates.iter().for_each(Gate::open);
    }

    /// Somebody new on this server.
    pub(super) async fn person(&self, whose: Whose, name: &str) -> Person {
        let url = match whose {
            Whose::Gatehouse => self.gatehouse.url(),
            Whose::Synapse => &self.synapse.url,
        };
        let number = self.people.fetch_add(1, Ordering::Relaxed);
        Person::register(url, &format!("{name}{number}")).await
    }

    /// The room versions that a server of these knows as stable.
    async fn versions(&self, whose: Whose) -> Vec<String> {
        let somebody = self.person(whose, "somebody").await;
        let answer = somebody.done("GET", "/v3/capabilities", None).await;
        let versions = &answer["capabilities"]["m.room_versions"]["available"];
        let versions = versions.as_object().unwrap().iter();
        let stable = versions.filter(|(_, stability)| stability.as_str() == Some("stable"));
        let mut stable: Vec<_> = stable.map(|(version, _)| version.clone()).collect();
        stable.sort_by_key(|version| version.parse::<u32>().unwrap_or(u32::MAX));
        stable
    }

    /// Tells a story in a room of each server in each version that both know.
    pub(super) async fn tell(&self, story: impl AsyncFn(&Pair<'_>)) {
        self.tell_from(1, story).await;
    }

    /// As [`Self::tell`], from this version on.
    pub(super) async fn tell_from(&self, first: u32, story: impl AsyncFn(&Pair<'_>)) {
        let pairs = self.pairs(first).await;
        self.tell_to(&pairs, story).await;
    }

    /// Two people for each version from this one on, and for either server as the one whose the rooms are.
    pub(super) async fn pairs(&self, first: u32) -> Vec<Pair<'_>> {
        let (ours, theirs) = (
            self.versions(Whose::Gatehouse).await,
            self.versions(Whose::Synapse).await,
        );
        let mut pairs = Vec::new();
        for version in ours.iter().filter(|version| theirs.contains(version)) {
            if version.parse::<u32>().is_ok_and(|number| number >= first) {
                for whose in [Whose::Gatehouse, Whose::Synapse] {
                    pairs.push(Pair::new(self, whose, version).await);
                }
            }
        }
        assert_eq!(pairs.len(), 2 * (13 - usize::try_from(first).unwrap()));
        pairs
    }

    /// Tells a story, or a part of one, to all of these.
    pub(super) async fn tell_to(&self, pairs: &[Pair<'_>], story: impl AsyncFn(&Pair<'_>)) {
        let (began, story) = (Instant::now(), &story);
        let failures: Vec<String> = stream::iter(pairs)
            .map(|pair| async move {
                let told = AssertUnwindSafe(story(pair)).catch_unwind().await;
                let (version, whose) = (&pair.version, pair.whose);
                let failure = told.err()?;
                Some(format!(
                    "version {version}, room of {whose:?}: {}",
                    said(&*failure)
                ))
            })
            .buffer_unordered(AT_ONCE)
            .filter_map(async |failure| failure)
            .collect()
            .await;
        println!("told in {:?}", began.elapsed());
        assert!(
            failures.is_empty(),
            "{} failed:\n{}\n{}",
            failures.len(),
            failures.join("\n"),
            self.complaints().join("\n")
        );
    }

    /// What either complains about in its log.
    fn complaints(&self) -> Vec<String> {
        let (ours, theirs) = (self.gatehouse.log(), self.synapse.log());
        let ours = complaints("Gatehouse", &ours, &["\"level\":\"WARN\"", "\"level\":\"ERROR\""]);
        ours.into_iter()
            .chain(complaints(
                "Synapse",
                &theirs,
                &[" WARNING ", " ERROR ", " CRITICAL "],
            ))
            .collect()
    }

    /// Ends both, neither of which may have had anything to complain about.
    pub(super) fn end(self) {
        self.end_despite(&[]);
    }

    /// As [`Self::end`], but for these words, which the story is about.
    pub(super) fn end_despite(self, words: &[&str]) {
        let mut complaints = self.complaints();
        complaints.retain(|line| !words.iter().any(|expected| line.contains(expected)));
        assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    }
}

/// What somebody who panicked said.
fn said(failure: &(dyn Any + Send)) -> &str {
    let text = failure.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| failure.downcast_ref::<&str>().copied())
        .unwrap_or("?")
}

/// What they say of themselves, and not of each other.
const ABOUT_THEMSELVES: [&str; 3] = [
    "passwords are hashed with next to no work",
    // What its own users may not do.
    "synapse.handlers.message",
    "Error retrieving alias",
];

fn complaints(who: &str, log: &str, levels: &[&str]) -> Vec<String> {
    log.lines()
        .filter(|line| levels.iter().any(|level| line.contains(level)))
        .filter(|line| !ABOUT_THEMSELVES.iter().any(|usual| line.contains(usual)))
        .map(|line| format!("{who} complains: {line}"))
        .collect()
}
