use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
    task::{Context, Waker},
    time::Duration,
};

use gatehouse_store::{Range, backend::Lease, memory::Held};
use proptest::prelude::*;

use super::{House, bind, house, id, owners_by};
use crate::{
    Identity, LookupError, LookupRequest, RotatePepperError, Unavailable, lookup::SHA256, tables::HASHES,
};

pub(super) const GRACE: Duration = Duration::from_mins(10);

pub(super) fn address(number: u8) -> String {
    format!("user{number:03}@a.test")
}

pub(super) async fn pepper(identity: &Identity) -> String {
    identity.hash_details().await.unwrap().lookup_pepper
}

/// Whose the first `count` addresses are, by this pepper.
pub(super) async fn all_by(identity: &Identity, pepper: &str, count: u8) -> BTreeMap<String, String> {
    let addresses: Vec<_> = (0..count).map(address).collect();
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    let found = owners_by(identity, pepper, &addresses).await;
    found
        .into_iter()
        .map(|(address, user)| (address, user.localpart().to_owned()))
        .collect()
}

async fn is_refused(identity: &Identity, pepper: &str) -> bool {
    let request = LookupRequest {
        algorithm: SHA256,
        pepper,
        addresses: &[],
    };
    let outcome = identity.lookup(&id("x"), &request).await;
    matches!(outcome, Err(LookupError::InvalidPepper { .. }))
}

/// How many hashes there are in each generation.
pub(super) async fn generations(identity: &Identity) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for ((generation, _), _) in identity.scan(&HASHES, &Range::all(), usize::MAX).await.unwrap() {
        *counts.entry(generation).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn t23_a_rotated_pepper_finds_what_the_last_one_found() {
    let house = house();
    for number in 0..30 {
        house
            .bind(&address(number), Some(&id(&format!("u{number}"))))
            .await;
    }
    let old = pepper(&house.identity).await;
    let before = all_by(&house.identity, &old, 32).await;
    assert_eq!(before.len(), 30);
    house.identity.rotate_pepper().await.unwrap();
    let new = pepper(&house.identity).await;
    assert_ne!(old, new);
    assert_eq!(all_by(&house.identity, &new, 32).await, before);
    assert_eq!(
        all_by(&house.identity, &old, 32).await,
        before,
        "for those who have just asked"
    );
    house.clock.advance(GRACE);
    house.identity.keep_house().await.unwrap();
    assert!(is_refused(&house.identity, &old).await);
    assert_eq!(all_by(&house.identity, &new, 32).await, before);
    assert_eq!(generations(&house.identity).await, BTreeMap::from([(1, 30)]));
}

#[tokio::test]
async fn t23_a_pepper_is_rotated_when_it_is_old() {
    let house = house();
    house.bind(&address(0), Some(&id("u"))).await;
    let old = pepper(&house.identity).await;
    house.identity.keep_house().await.unwrap();
    house
        .clock
        .advance(Duration::from_hours(7 * 24) - Duration::from_millis(1));
    house.identity.keep_house().await.unwrap();
    assert_eq!(pepper(&house.identity).await, old);
    house.clock.advance(Duration::from_millis(1));
    house.identity.keep_house().await.unwrap();
    assert_ne!(pepper(&house.identity).await, old);
}

#[tokio::test]
async fn one_node_rotates_at_a_time() {
    let house = house();
    house.backend.hold_commits();
    let mut first = Box::pin(house.identity.rotate_pepper());
    assert!(poll(first.as_mut()).is_none());
    let second = house.identity.rotate_pepper().await;
    assert!(matches!(second, Err(RotatePepperError::UnderWay)));
    house.backend.release_commits();
    first.await.unwrap();
    house.identity.rotate_pepper().await.unwrap();
}

#[tokio::test]
async fn a_node_that_has_lost_its_lease_without_knowing_stops() {
    let house = house();
    house.bind(&address(0), Some(&id("u"))).await;
    let (one, other) = (Lease::new(()), Lease::new(()));
    let mut rotation = Box::pin(house.identity.rotate_under(&one));
    let announcement = held(&house, rotation.as_mut()).unwrap();
    house.backend.commit_held(announcement);
    let page = held(&house, rotation.as_mut()).unwrap();
    house.identity.rotate_under(&other).await.unwrap();
    house.backend.commit_held(page);
    let outcome = tokio::time::timeout(Duration::from_secs(10), rotation).await;
    let outcome = outcome.expect("it does not go on for ever");
    assert!(matches!(outcome, Err(Unavailable::Contended)), "{outcome:?}");
    assert_eq!(
        generations(&house.identity).await,
        BTreeMap::from([(0, 1), (1, 1)])
    );
}

#[tokio::test]
async fn an_address_taken_back_while_its_page_is_hashed_is_not_found_later() {
    let house = house();
    house.bind(&address(0), Some(&id("u"))).await;
    let mut rotation = Box::pin(house.identity.rotate_pepper());
    // The next generation is announced; then the page has been read, and waits for its commit.
    let announcement = held(&house, rotation.as_mut()).unwrap();
    house.backend.commit_held(announcement);
    let page = held(&house, rotation.as_mut()).unwrap();
    house.bind(&address(0), None).await;
    house.backend.commit_held(page);
    rotation.await.unwrap();
    let new = pepper(&house.identity).await;
    assert!(all_by(&house.identity, &new, 1).await.is_empty());
    assert_eq!(generations(&house.identity).await, BTreeMap::new());
}

#[tokio::test]
async fn an_address_bound_while_a_pepper_is_announced_is_found_by_it() {
    let house = house();
    pepper(&house.identity).await;
    let user = id("u");
    let name = address(0);
    let mut binding = Box::pin(house.bind(&name, Some(&user)));
    let commit = held(&house, binding.as_mut()).unwrap();
    house.identity.rotate_pepper().await.unwrap();
    house.backend.commit_held(commit);
    binding.await;
    let new = pepper(&house.identity).await;
    assert_eq!(all_by(&house.identity, &new, 1).await.len(), 1);
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

/// Lets the future run until it waits for a commit, and takes that out; `None` when it has ended before.
fn held<F: Future + ?Sized>(house: &House, future: Pin<&mut F>) -> Option<Held> {
    house.backend.hold_commits();
    // Not by the runtime, which would have it take turns with others.
    let mut future = tokio::task::unconstrained(future);
    for _ in 0..10 {
        let ended = poll(Pin::new(&mut future)).is_some();
        if ended || house.backend.held_commits() > 0 {
            let held = house.backend.take_held_commits();
            return (!ended).then_some(held);
        }
    }
    panic!("it waits for something else");
}

/// What happens during a rotation.
#[derive(Debug, Clone)]
enum Step {
    /// The address becomes this user's, or nobody's.
    Bind(u8, Option<u8>),
    /// The same, but its commit waits until the next [`Step::FinishBinding`].
    BeginBinding(u8, Option<u8>),
    FinishBinding,
    /// The rotation goes on to where it waits for its next commit, or that commit is made.
    Rotate,
    /// The machine stops; the commit that waits has reached the disk or not.
    Kill(bool),
    /// Time for the previous pepper to end.
    Wait,
}

const ADDRESSES: u8 = 14;

fn step() -> impl Strategy<Value = Step> {
    let change = || {
        (
            0..ADDRESSES,
            prop_oneof![3 => (0_u8..3).prop_map(Some), 1 => Just(None)],
        )
    };
    prop_oneof![
        6 => change().prop_map(|(address, user)| Step::Bind(address, user)),
        1 => change().prop_map(|(address, user)| Step::BeginBinding(address, user)),
        1 => Just(Step::FinishBinding),
        10 => Just(Step::Rotate),
        1 => any::<bool>().prop_map(Step::Kill),
        1 => Just(Step::Wait),
    ]
}

type Running<T> = (Pin<Box<dyn Future<Output = T>>>, Option<Held>);

/// A house in which steps happen, and what ought to be found in it.
struct Story {
    house: House,
    model: BTreeMap<String, String>,
    rotation: Option<Running<Result<(), RotatePepperError>>>,
    binding: Option<(Running<()>, u8, Option<u8>)>,
}

impl Story {
    fn note(&mut self, number: u8, user: Option<u8>) {
        match user {
            Some(user) => self.model.insert(address(number), format!("u{user}")),
            None => self.model.remove(&address(number)),
        };
    }

    fn binding(&self, number: u8, user: Option<u8>) -> Pin<Box<dyn Future<Output = ()>>> {
        let identity = self.house.identity.clone();
        Box::pin(async move {
            let user = user.map(|user| id(&format!("u{user}")));
            bind(&identity, &address(number), user.as_deref()).await;
        })
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Bind(number, user) => {
                self.binding(number, user).await;
                self.note(number, user);
            }
            Step::BeginBinding(number, user) => {
                self.finish_binding().await;
                let mut binding = self.binding(number, user);
                let commit = held(&self.house, binding.as_mut());
                self.binding = Some(((binding, commit), number, user));
            }
            Step::FinishBinding => self.finish_binding().await,
            Step::Rotate => self.rotate(),
            Step::Kill(is_durable) => {
                if let Some((_, Some(commit))) = self.rotation.take()
                    && is_durable
                {
                    self.house.backend.commit_held(commit);
                }
            }
            Step::Wait => self.house.clock.advance(GRACE),
        }
    }

    async fn finish_binding(&mut self) {
        if let Some(((binding, commit), number, user)) = self.binding.take() {
            if let Some(commit) = commit {
                self.house.backend.commit_held(commit);
                binding.await;
            }
            self.note(number, user);
        }
    }

    fn rotate(&mut self) {
        match &mut self.rotation {
            None => {
                let identity = self.house.identity.clone();
                let rotation = Box::pin(async move { identity.rotate_pepper().await });
                self.rotation = Some((rotation, None));
            }
            Some((_, commit @ Some(_))) => {
                self.house.backend.commit_held(commit.take().unwrap());
            }
            Some((rotation, commit)) => {
                *commit = held(&self.house, rotation.as_mut());
                if commit.is_none() {
                    self.rotation = None;
                }
            }
        }
    }

    async fn check(&self) {
        let identity = &self.house.identity;
        let peppers = identity.peppers().await.unwrap();
        for generation in peppers.answered() {
            let found = all_by(identity, &generation.pepper, ADDRESSES).await;
            assert_eq!(found, self.model, "generation {}", generation.number);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Lookups are right at every moment, whatever is bound, taken back, rotated and interrupted meanwhile.
    #[test]
    fn t23_no_lookup_is_wrong_while_the_pepper_rotates(steps in proptest::collection::vec(step(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let house = super::house_with(|config| config.lookup.addresses_per_day = u32::MAX);
            let mut story = Story { house, model: BTreeMap::new(), rotation: None, binding: None };
            for step in steps {
                story.take(step).await;
                story.check().await;
            }
            story.take(Step::Kill(false)).await;
            story.finish_binding().await;
            let identity = story.house.identity.clone();
            identity.rotate_pepper().await.unwrap();
            story.house.clock.advance(GRACE);
            identity.keep_house().await.unwrap();
            story.check().await;
            let left: BTreeSet<_> = generations(&identity).await.into_iter().collect();
            let current = identity.peppers().await.unwrap().current.number;
            let expected = (current, story.model.len());
            assert!(left.is_empty() && story.model.is_empty() || left == BTreeSet::from([expected]), "{left:?}");
        });
    }
}
