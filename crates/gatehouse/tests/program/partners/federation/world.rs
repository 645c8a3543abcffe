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
    pair::Pair,
};

/// So many rooms are worked on side by side: Synapse has one thread.
const AT_ONCE: usize = 8;

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
    people: AtomicUsize,
    _dir: TempDir,
}

impl World {
    pub(super) async fn begin() -> Self {
        let mut dir = TempDir::new().unwrap();
        if std::env::var_os(KEEP).is_some() {
            dir.disable_cleanup(true);
            println!("kept: {}", dir.path().display());
        }
        let authority = Authority::found(dir.path());
        // Another host than Synapse's, so that access control lists can tell them apart.
        let port = free_port();
        let name = format!("127.0.0.1:{port}");
        let gatehouse = Gatehouse::start_named(dir.path(), &authority, Role::Homeserver, &name, port, "");
        let synapse = Synapse::start(dir.path(), &authority, "").await;
        Self {
            gatehouse,
            synapse,
            people: AtomicUsize::new(0),
            _dir: dir,
        }
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
        let (ours, theirs) = (
            self.versions(Whose::Gatehouse).await,
            self.versions(Whose::Synapse).await,
        );
        let both: Vec<_> = ours
            .iter()
            .filter(|version| {
                theirs.contains(version) && version.parse().is_ok_and(|number: u32| number >= first)
            })
            .collect();
        assert_eq!(both.len(), 13 - usize::try_from(first).unwrap(), "{both:?}");
        let rooms = both
            .into_iter()
            .flat_map(|version| [(Whose::Gatehouse, version), (Whose::Synapse, version)]);
        let (began, story) = (Instant::now(), &story);
        let failures: Vec<String> = stream::iter(rooms)
            .map(|(whose, version)| {
                let told = async move {
                    let pair = Pair::new(self, whose, version).await;
                    story(&pair).await;
                };
                AssertUnwindSafe(told).catch_unwind().map(move |told| {
                    let failure = told.err()?;
                    Some(format!(
                        "version {version}, room of {whose:?}: {}",
                        said(&*failure)
                    ))
                })
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
