//! A pepper takes over from another without a stop.
//!
//! The next generation is announced in the store first, so that every change of an association goes into it as well;
//! then the associations that were there before are hashed in pages, each in a commit that expects them unchanged and
//! says how far it came. With the last page the next pepper becomes the current one, in the same commit. A machine that
//! stops anywhere goes on from the last page. The previous pepper stays good for a while, for those who have just asked
//! for it, and is then deleted in pages too.

use gatehouse_store::{Batch, Range, backend::Lease};
use thiserror::Error;

use crate::{
    Identity, Unavailable,
    pepper::{Generation, PEPPER_KEY, PepperRow, Previous},
    tables::{ASSOCIATIONS, HASHES, PEPPER, REHASHED},
};

/// The name of the lease: one node at a time.
const LEASE: &str = "identity.pepper";

/// Associations hashed in one commit: one in a page that changes meanwhile has the page done again, and other commits
/// wait for the disk behind it. So small in tests that a few rows make several.
const PAGE: usize = if cfg!(test) { 4 } else { 2_000 };

/// The smallest page that is tried after conflicts.
const SMALLEST_PAGE: usize = 1;

/// Why the pepper was not rotated.
#[derive(Debug, Clone, Error)]
pub enum RotatePepperError {
    /// Another node, or another task, is at it.
    #[error("The pepper is being rotated already. Wait until that is done.")]
    UnderWay,
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Identity {
    /// Makes a new pepper, hashes all addresses with it, and gives it out. Goes on with a rotation that was interrupted.
    /// Dropping the future interrupts it.
    pub async fn rotate_pepper(&self) -> Result<(), RotatePepperError> {
        let Some(lease) = self.pepper_lease().await? else {
            return Err(RotatePepperError::UnderWay);
        };
        Ok(self.rotate_under(&lease).await?)
    }

    /// What is due of the pepper: goes on with an interrupted rotation, begins one when the pepper is old, and ends the
    /// previous pepper.
    pub(crate) async fn tend_pepper(&self) -> Result<(), Unavailable> {
        let Some(lease) = self.pepper_lease().await? else {
            return Ok(());
        };
        let peppers = self.peppers().await?;
        let now_ms = self.now_ms();
        if peppers
            .previous
            .as_ref()
            .is_some_and(|it| it.retired || now_ms >= it.until_ms)
        {
            self.end_previous(&lease).await?;
        }
        let lifetime = self.config().lookup.pepper_lifetime;
        let lifetime_ms = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        let is_old = now_ms >= peppers.current.since_ms.saturating_add(lifetime_ms);
        if is_old || peppers.next.is_some() {
            self.rotate_under(&lease).await?;
        }
        Ok(())
    }

    async fn pepper_lease(&self) -> Result<Option<Lease>, Unavailable> {
        Ok(self.store().lease(LEASE).await?)
    }

    pub(crate) async fn rotate_under(&self, lease: &Lease) -> Result<(), Unavailable> {
        let peppers = self.peppers().await?;
        let (peppers, next) = match peppers.next.clone() {
            Some(next) => (peppers, next),
            None => self.announce_next(lease).await?,
        };
        let mut page = PAGE;
        loop {
            check(lease)?;
            match self.rehash_page(&peppers, &next, page).await? {
                Page::Done => page = PAGE,
                Page::Last => return Ok(()),
                Page::Changed => {
                    // Somebody else rotates: the lease was lost, and nobody has told us yet.
                    if self.peppers().await? != peppers {
                        return Err(Unavailable::Contended);
                    }
                    page = (page / 4).max(SMALLEST_PAGE);
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// From here on, every change of an association goes into the next generation too.
    async fn announce_next(&self, lease: &Lease) -> Result<(PepperRow, Generation), Unavailable> {
        // There is room for two generations with hashes in them.
        self.end_previous(lease).await?;
        let peppers = self.peppers().await?;
        let number = peppers.current.number.saturating_add(1);
        let next = Generation::new(number, self.now_ms())?;
        let announced = PepperRow {
            next: Some(next.clone()),
            ..peppers.clone()
        };
        self.replace_peppers(Batch::new(), &peppers, &announced).await?;
        Ok((announced, next))
    }

    async fn rehash_page(
        &self,
        peppers: &PepperRow,
        next: &Generation,
        size: usize,
    ) -> Result<Page, Unavailable> {
        let mark = (next.number,);
        let done = self.get(&REHASHED, &mark).await?;
        let range = match &done {
            Some(last) => Range::all().after(last),
            None => Range::all(),
        };
        let rows = self.scan(&ASSOCIATIONS, &range, size).await?;
        let mut batch = Batch::new();
        batch.expect(&REHASHED, &mark, done.as_ref());
        batch.expect(&PEPPER, &PEPPER_KEY, Some(peppers));
        for (key, row) in &rows {
            batch.expect(&ASSOCIATIONS, key, Some(row));
            let (medium, address) = key;
            let hash = next.hash(medium, address);
            batch.put(&HASHES, &(next.number, hash), &(row.mxid.clone(),));
        }
        match rows.last() {
            Some((last, _)) if rows.len() == size => {
                batch.put(&REHASHED, &mark, last);
                let committed = self.commit(batch).await?;
                Ok(committed.map_or(Page::Changed, |_| Page::Done))
            }
            _ => {
                batch.delete(&REHASHED, &mark);
                let took_over = self.take_over(batch, peppers, next).await?;
                Ok(if took_over { Page::Last } else { Page::Changed })
            }
        }
    }

    /// Commits the last page, and that the next pepper is the one that is given out.
    async fn take_over(
        &self,
        mut batch: Batch,
        peppers: &PepperRow,
        next: &Generation,
    ) -> Result<bool, Unavailable> {
        let now_ms = self.now_ms();
        let grace_ms = u64::try_from(self.config().lookup.pepper_grace.as_millis()).unwrap_or(u64::MAX);
        let after = PepperRow {
            current: Generation {
                since_ms: now_ms,
                ..next.clone()
            },
            next: None,
            previous: Some(Previous {
                generation: peppers.current.clone(),
                until_ms: now_ms.saturating_add(grace_ms),
                retired: false,
            }),
        };
        batch.put(&PEPPER, &PEPPER_KEY, &after);
        Ok(self.commit(batch).await?.is_some())
    }

    /// Takes the previous pepper out of force and deletes its hashes.
    async fn end_previous(&self, lease: &Lease) -> Result<(), Unavailable> {
        let mut peppers = self.peppers().await?;
        let Some(previous) = peppers.previous.clone() else {
            return Ok(());
        };
        let generation = previous.generation.number;
        if !previous.retired {
            // From here on nobody adds to it, so that it can be deleted to the end.
            let retired = PepperRow {
                previous: Some(Previous {
                    retired: true,
                    ..previous
                }),
                ..peppers.clone()
            };
            self.replace_peppers(Batch::new(), &peppers, &retired).await?;
            peppers = retired;
        }
        loop {
            check(lease)?;
            let rows = self.scan(&HASHES, &Range::prefix(&(generation,)), PAGE).await?;
            let mut batch = Batch::new();
            for (key, _) in &rows {
                batch.delete(&HASHES, key);
            }
            if rows.len() < PAGE {
                let ended = PepperRow {
                    previous: None,
                    ..peppers.clone()
                };
                return self.replace_peppers(batch, &peppers, &ended).await;
            }
            self.commit(batch).await?;
        }
    }

    /// Under the lease, nobody else changes the row; when somebody did, the lease was lost.
    async fn replace_peppers(
        &self,
        mut batch: Batch,
        before: &PepperRow,
        after: &PepperRow,
    ) -> Result<(), Unavailable> {
        batch.expect(&PEPPER, &PEPPER_KEY, Some(before));
        batch.put(&PEPPER, &PEPPER_KEY, after);
        self.commit(batch)
            .await?
            .ok_or(Unavailable::Contended)
            .map(|_| ())
    }
}

/// What became of a page.
enum Page {
    Done,
    /// An association in it, or the peppers, changed meanwhile; nothing was written.
    Changed,
    /// There are no more, and the next pepper is the current one.
    Last,
}

fn check(lease: &Lease) -> Result<(), Unavailable> {
    if lease.is_lost() {
        return Err(Unavailable::Contended);
    }
    Ok(())
}
