//! So many clients at a time, each with its own connection, working through a list.

use std::{
    cell::Cell,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::Result;
use futures_util::future::try_join_all;

use crate::connection::Connection;

/// How long each operation took, and all together.
pub(crate) struct Timing {
    pub(crate) each: Vec<Duration>,
    pub(crate) all: Duration,
}

/// Do `work` for 0 to `count`, `at_once` at a time; the connections are opened before the clock starts.
pub(crate) async fn crowd<Work>(
    address: SocketAddr,
    at_once: usize,
    count: usize,
    work: Work,
) -> Result<Timing>
where
    Work: AsyncFn(&mut Connection, usize) -> Result<()>,
{
    let mut connections = Vec::new();
    for _ in 0..at_once.min(count) {
        connections.push(Connection::open(address).await?);
    }
    let next = Rc::new(Cell::new(0));
    let begin = Instant::now();
    let workers = connections.into_iter().map(|mut connection| {
        let next = Rc::clone(&next);
        let work = &work;
        async move {
            let mut each = Vec::new();
            while next.get() < count {
                let index = next.replace(next.get() + 1);
                let begin = Instant::now();
                work(&mut connection, index).await?;
                each.push(begin.elapsed());
            }
            anyhow::Ok(each)
        }
    });
    let each = try_join_all(workers).await?.into_iter().flatten().collect();
    Ok(Timing {
        each,
        all: begin.elapsed(),
    })
}
