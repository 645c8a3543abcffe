//! The phases in their order. Each leaves rooms that a later one uses.

mod idle;
mod inviting_addresses;
mod joining;
mod reading;
mod sending;

use std::{cell::RefCell, net::SocketAddr, time::Duration};

use anyhow::{Context, Result};

use crate::{
    connection::Connection,
    crowd::crowd,
    process::Process,
    report::Report,
    world::{self, User},
};

/// No phase runs longer than this, however slow the server.
const PHASE_LIMIT: Duration = Duration::from_mins(15);

/// Requests for the floor.
const VERSIONS: usize = 20_000;

/// Users who invite addresses: one alone would use up the lookups that an account has in a day.
const INVITERS: usize = 50;

/// How much of everything.
pub(crate) struct Scale {
    pub(crate) users: usize,
    pub(crate) large_room: usize,
    pub(crate) messages: usize,
    pub(crate) idle: usize,
    pub(crate) fill: usize,
}

/// What the phases share.
struct Stage<'run> {
    address: SocketAddr,
    process: &'run Process,
    scale: &'run Scale,
    users: Vec<User>,
    report: RefCell<Report>,
}

impl Stage<'_> {
    /// A user by number; numbers past the last start again.
    fn user(&self, index: usize) -> Result<&User> {
        let index = index.checked_rem(self.users.len()).unwrap_or_default();
        self.users.get(index).context("nobody is registered")
    }

    /// Do something `count` times, `at_once` at a time, and write down what it took.
    async fn measure<Work>(&self, name: &str, at_once: usize, count: usize, work: Work) -> Result<()>
    where
        Work: AsyncFn(&mut Connection, usize) -> Result<()>,
    {
        let before = self.process.cpu_seconds()?;
        let timing = tokio::time::timeout(PHASE_LIMIT, crowd(self.address, at_once, count, work))
            .await
            .with_context(|| format!("{name}: given up after {PHASE_LIMIT:?}"))??;
        let used = self.process.cpu_seconds()? - before;
        self.report.borrow_mut().phase(name, at_once, timing, used)
    }

    fn figure(&self, name: &str, value: f64, unit: &'static str) {
        self.report.borrow_mut().figure(name, value, unit);
    }
}

pub(crate) async fn run(address: SocketAddr, process: &Process, scale: &Scale) -> Result<Report> {
    let mut stage = Stage {
        address,
        process,
        scale,
        users: Vec::new(),
        report: RefCell::default(),
    };
    stage.figure("memory idle, at start", process.resident_mib()?, "MiB");
    versions(&stage).await?;
    stage.users = register(&stage).await?;
    let rooms = joining::run(&stage).await?;
    sending::run(&stage, &rooms).await?;
    reading::run(&stage, &rooms).await?;
    stage.figure("memory after the load", process.resident_mib()?, "MiB");
    idle::run(&stage).await?;
    sending::fill(&stage).await?;
    Ok(stage.report.into_inner())
}

/// Invitations by address alone: other homeservers have no identity server to send them to.
pub(crate) async fn invite_addresses(
    address: SocketAddr,
    process: &Process,
    id_server: &str,
    count: usize,
) -> Result<Report> {
    let scale = Scale {
        users: INVITERS,
        large_room: 0,
        messages: 0,
        idle: 0,
        fill: 0,
    };
    let mut stage = Stage {
        address,
        process,
        scale: &scale,
        users: Vec::new(),
        report: RefCell::default(),
    };
    stage.users = register(&stage).await?;
    inviting_addresses::run(&stage, id_server, count).await?;
    Ok(stage.report.into_inner())
}

/// The floor: what the HTTP stack alone does.
async fn versions(stage: &Stage<'_>) -> Result<()> {
    for (at_once, count) in [(1, VERSIONS / 10), (16, VERSIONS), (64, VERSIONS)] {
        let work = async |connection: &mut Connection, _| {
            connection.get("/_matrix/client/versions", "").await.map(drop)
        };
        stage
            .measure("versions (the floor)", at_once, count, work)
            .await?;
    }
    Ok(())
}

async fn register(stage: &Stage<'_>) -> Result<Vec<User>> {
    let count = stage.scale.users;
    let users = RefCell::new(vec![None; count]);
    let work = async |connection: &mut Connection, index| {
        let user = world::register(connection, index).await?;
        if let Some(place) = users.borrow_mut().get_mut(index) {
            *place = Some(user);
        }
        Ok(())
    };
    stage.measure("register", 16, count, work).await?;
    Ok(users.into_inner().into_iter().flatten().collect())
}
