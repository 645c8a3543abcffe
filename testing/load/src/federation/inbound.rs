//! Another server sends events: into one room, and over fifty.

use std::time::{Duration, Instant};

use anyhow::Result;
use http::Method;
use ruma::OwnedRoomId;

use super::{Stage, client::Client, resident::Resident, room::Room};
use crate::{connection::Connection, crowd::Timing};

/// PDUs in a transaction: as many as there may be.
const IN_TRANSACTION: usize = 50;
/// Rooms of the second part.
const ROOMS: usize = 50;
/// A server that takes longer for all of it is given up.
const LIMIT: Duration = Duration::from_mins(10);

pub(super) async fn run(stage: &mut Stage, pdus: usize) -> Result<()> {
    let resident = Resident::start(&stage.files).await?;
    let mut client = Client::register(stage.address, LIMIT).await?;
    let mut rooms = Vec::new();
    for number in 0..ROOMS {
        let creator = resident.user("creator")?;
        let room = Room::new(&creator, resident.signer(), &format!("room{number}"))?;
        rooms.push(room.id.clone());
        resident.host(room);
    }
    for room in &rooms {
        client.join(room, resident.name()).await?;
    }
    let (one, fifty) = (rooms.get(..1).unwrap_or_default(), rooms.as_slice());
    for (name, rooms) in [
        ("inbound PDUs, one room", one),
        ("inbound PDUs, fifty rooms", fifty),
    ] {
        let sender = Sender {
            stage,
            resident: &resident,
            rooms,
        };
        let (timing, used) = sender.send(name, pdus, &mut client).await?;
        stage.report.phase(name, 1, timing, used)?;
    }
    Ok(())
}

struct Sender<'a> {
    stage: &'a Stage,
    resident: &'a Resident,
    rooms: &'a [OwnedRoomId],
}

impl Sender<'_> {
    /// Sends so many, in one transaction after the other, and waits until the last are shown.
    async fn send(&self, name: &str, pdus: usize, client: &mut Client) -> Result<(Timing, f64)> {
        let transactions = pdus.div_ceil(IN_TRANSACTION);
        let made: Vec<Transaction> = (0..transactions)
            .map(|number| self.transaction(name, number))
            .collect::<Result<_>>()?;
        let mut connection = Connection::open(self.stage.address).await?.patient(LIMIT);
        let cpu = self.stage.process.cpu_seconds()?;
        let begin = Instant::now();
        let mut each = Vec::new();
        for transaction in &made {
            let sent = Instant::now();
            let body = transaction.body.clone().into();
            connection
                .signed(Method::PUT, &transaction.path, &transaction.authorization, body)
                .await?;
            each.extend([sent.elapsed(); IN_TRANSACTION]);
        }
        for (room, id) in made.iter().rev().take(1).flat_map(|last| &last.ids) {
            client.until_event(room, id, LIMIT).await?;
        }
        let all = begin.elapsed();
        Ok((Timing { each, all }, self.stage.process.cpu_seconds()? - cpu))
    }

    fn transaction(&self, name: &str, number: usize) -> Result<Transaction> {
        let (mut ids, mut pdus) = (Vec::new(), Vec::new());
        for index in 0..IN_TRANSACTION {
            let room = self.rooms.iter().cycle().nth(index);
            let Some(room) = room else { continue };
            let (id, pdu) = self.resident.say(room, &format!("{name} {number} {index}"))?;
            ids.push((room.clone(), id));
            pdus.push(pdu);
        }
        let resident = self.resident.name();
        let body = format!(
            "{{\"origin\":\"{resident}\",\"origin_server_ts\":1700000000000,\"pdus\":[{}]}}",
            pdus.join(",")
        );
        let path = format!(
            "/_matrix/federation/v1/send/{}-{number}",
            name.replace([' ', ','], "_")
        );
        let authorization = self
            .resident
            .authorization(&self.stage.name, "PUT", &path, Some(&body));
        Ok(Transaction {
            path,
            authorization,
            body,
            ids,
        })
    }
}

struct Transaction {
    path: String,
    authorization: String,
    body: String,
    ids: Vec<(OwnedRoomId, String)>,
}
