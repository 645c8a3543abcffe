//! Argon2id, off the async threads and never more of it at a time than there are cores.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use argon2::{
    Argon2, Params, PasswordVerifier,
    password_hash::{PasswordHasher, phc::PasswordHash},
};
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::{Secret, Unavailable, random};

/// The longest password, in bytes (limits.md §2). Longer ones only cost time.
pub const MAX_PASSWORD_BYTES: usize = 512;

/// How many hashings may wait for their turn; a second or so of work. More is refused with [`HashError::Busy`].
const MAX_WAITING: usize = 32;

/// 19 MiB and two passes: OWASP's figure for Argon2id.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
/// The least that Argon2 allows: tests hash thousands of passwords.
const CHEAP_MEMORY_KIB: u32 = 8;
const CHEAP_PASSES: u32 = 1;

/// Why a password was not hashed or compared.
#[derive(Debug, Clone, Error)]
pub enum HashError {
    /// Too many others are waiting.
    #[error("Too many people are logging in at once; try again in a moment.")]
    Busy,
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Whether a password is the one that was hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is another one, or there is none.
    Wrong,
    /// It is.
    Right,
    /// It is, and the hash was made with other parameters than today's.
    RightButOutdated,
}

/// Hashes and compares passwords.
#[derive(Debug)]
pub(crate) struct Hasher {
    params: Params,
    /// Without a pool: hashing is so cheap that a thread would cost more.
    cheap: bool,
    running: Arc<Semaphore>,
    admitted: Arc<AtomicUsize>,
    max_admitted: usize,
}

impl Hasher {
    pub(crate) fn new(cheap: bool, threads: usize) -> Self {
        let (memory, passes) = if cheap {
            (CHEAP_MEMORY_KIB, CHEAP_PASSES)
        } else {
            (MEMORY_KIB, PASSES)
        };
        let threads = threads.max(1);
        Self {
            params: Params::new(memory, passes, 1, None).unwrap_or(Params::DEFAULT),
            cheap,
            running: Arc::new(Semaphore::new(threads)),
            admitted: Arc::new(AtomicUsize::new(0)),
            max_admitted: threads + MAX_WAITING,
        }
    }

    /// The password's hash with a new salt, as a PHC string.
    pub(crate) async fn hash(&self, password: &Secret) -> Result<String, HashError> {
        let (argon2, password) = (Argon2::from(&self.params), password.clone());
        self.run(move || hash_with(&argon2, &password))
            .await?
            .map_err(HashError::from)
    }

    /// Compares. `None` for the hash (no such user, no password) takes as long and is always wrong.
    pub(crate) async fn verify(&self, password: &Secret, hash: Option<String>) -> Result<Verdict, HashError> {
        if password.expose().len() > MAX_PASSWORD_BYTES {
            return Ok(Verdict::Wrong);
        }
        let (params, password) = (self.params.clone(), password.clone());
        self.run(move || verify_with(&params, &password, hash.as_deref()))
            .await?
            .map_err(HashError::from)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashError> {
        if self.cheap {
            return Ok(work());
        }
        let admission = Admission::new(&self.admitted, self.max_admitted).ok_or(HashError::Busy)?;
        let turn = Arc::clone(&self.running).acquire_owned().await;
        // Both are given back when the work is done, even if nobody waits for it any more.
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop((turn, admission));
            result
        });
        done.await.map_err(|_| Unavailable::Randomness.into())
    }
}

struct Admission(Arc<AtomicUsize>);

impl Admission {
    fn new(admitted: &Arc<AtomicUsize>, max: usize) -> Option<Self> {
        admitted
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
                (now < max).then_some(now + 1)
            })
            .ok()?;
        Some(Self(Arc::clone(admitted)))
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn hash_with(argon2: &Argon2<'_>, password: &Secret) -> Result<String, Unavailable> {
    let salt = random::bytes::<16>()?;
    argon2
        .hash_password_with_salt(password.expose().as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(|_| Unavailable::Randomness)
}

fn verify_with(params: &Params, password: &Secret, hash: Option<&str>) -> Result<Verdict, Unavailable> {
    let argon2 = Argon2::from(params);
    let Some(hash) = hash.and_then(|hash| PasswordHash::new(hash).ok()) else {
        hash_with(&argon2, password)?;
        return Ok(Verdict::Wrong);
    };
    if argon2
        .verify_password(password.expose().as_bytes(), &hash)
        .is_err()
    {
        return Ok(Verdict::Wrong);
    }
    let same = Params::try_from(&hash).is_ok_and(|used| {
        (used.m_cost(), used.t_cost(), used.p_cost()) == (params.m_cost(), params.t_cost(), params.p_cost())
    });
    Ok(if same {
        Verdict::Right
    } else {
        Verdict::RightButOutdated
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only() {
        let hasher = Hasher::new(true, 1);
        let hash = hasher.hash(&Secret::new("right")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{hash}");
        let verdict = |password: &'static str, hash: Option<String>| {
            let hasher = &hasher;
            async move { hasher.verify(&Secret::new(password), hash).await.unwrap() }
        };
        assert_eq!(verdict("right", Some(hash.clone())).await, Verdict::Right);
        assert_eq!(verdict("wrong", Some(hash)).await, Verdict::Wrong);
        assert_eq!(verdict("right", None).await, Verdict::Wrong);
    }

    #[tokio::test]
    async fn a_hash_of_other_parameters_is_right_but_outdated() {
        let cheap = Hasher::new(true, 1);
        let hash = cheap.hash(&Secret::new("right")).await.unwrap();
        let dear = Hasher::new(false, 1);
        let verdict = dear.verify(&Secret::new("right"), Some(hash)).await.unwrap();
        assert_eq!(verdict, Verdict::RightButOutdated);
    }

    #[tokio::test]
    async fn hashing_beyond_the_queue_is_busy() {
        let hasher = Hasher::new(false, 1);
        hasher.admitted.store(1 + MAX_WAITING, Ordering::Release);
        let refused = hasher.hash(&Secret::new("x")).await;
        assert!(matches!(refused, Err(HashError::Busy)), "{refused:?}");
    }
}
