//! A user joins a room with many members on another server.

use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use http::Method;
use ruma::RoomId;

use super::{
    Stage,
    client::{Client, escaped},
    resident::Resident,
    room::Room,
};
use crate::connection::Connection;

/// A server that takes longer for all of it is given up.
const LIMIT: Duration = Duration::from_mins(20);

pub(super) async fn run(stage: &mut Stage, members: usize) -> Result<()> {
    let resident = Resident::start(&stage.files).await?;
    let creator = resident.user("creator")?;
    let mut room = Room::new(&creator, resident.signer(), "big")?;
    let begin = Instant::now();
    room.fill(members, resident.signer())?;
    eprintln!("  made {members} members in {:?}", begin.elapsed());
    let id = room.id.clone();
    resident.host(room);

    let mut client = Client::register(stage.address, LIMIT).await?;
    client.warm_up().await?;
    stage
        .report
        .figure("memory before", stage.process.resident_mib()?, "MiB");
    let cpu = stage.process.cpu_seconds()?;
    let begin = Instant::now();
    client.join(&id, resident.name()).await?;
    let joined = begin.elapsed();
    client.say("hello").await?;
    let sent = begin.elapsed();
    let arrived = resident.arrivals().of("hello", LIMIT).await? - begin;
    // The creator, and who joined.
    client.until_members(members + 2, LIMIT).await?;
    let whole = begin.elapsed();
    for (what, time) in [
        ("the join is answered", joined),
        ("a message is sent", sent),
        ("it has come to the other server", arrived),
        ("all members are there", whole),
    ] {
        let name = format!("join, {members} members: {what} after");
        stage.report.figure(&name, time.as_secs_f64(), "s");
    }
    let name = |what: &str| format!("join, {members} members: {what}");
    let used = stage.process.cpu_seconds()? - cpu;
    stage.report.figure(&name("server CPU"), used, "s");
    stage
        .report
        .figure(&name("most memory"), stage.process.peak_mib()?, "MiB");
    stage
        .report
        .figure(&name("memory afterwards"), stage.process.resident_mib()?, "MiB");
    let (bytes, took) = ask_back(stage, &resident, &id).await?;
    let rate = bytes / took.as_secs_f64();
    stage
        .report
        .figure(&name("the state as others get it, all of it"), bytes, "MB");
    stage
        .report
        .figure(&name("the state as others get it, a second"), rate, "MB");
    stage
        .report
        .figure(&name("most memory, with that"), stage.process.peak_mib()?, "MiB");
    Ok(())
}

/// The other server asks for the state that it gave: how many megabytes it gets, and how long that takes.
async fn ask_back(stage: &Stage, resident: &Resident, room: &RoomId) -> Result<(f64, Duration)> {
    let at = escaped(&resident.last(room)?);
    let path = format!(
        "/_matrix/federation/v1/state/{}?event_id={at}",
        escaped(room.as_str())
    );
    let authorization = resident.authorization(&stage.name, "GET", &path, None);
    let mut connection = Connection::open(stage.address).await?.patient(LIMIT);
    let begin = Instant::now();
    let answer = connection
        .signed(Method::GET, &path, &authorization, Bytes::new())
        .await?;
    Ok((f64::from(u32::try_from(answer.len())?) / 1e6, begin.elapsed()))
}
