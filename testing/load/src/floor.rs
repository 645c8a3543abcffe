//! The floor: the work of an event without HTTP and without a room. Parse, hash, sign, encode, and commit one event of
//! about 900 bytes with ten small rows beside it, which is what a send writes.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use gatehouse_events::{EventBuilder, NewEvent, Parents, RoomVersion, SigningKey};
use gatehouse_store::{Batch, Position, Store, Table};
use gatehouse_store_embedded::{EmbeddedBackend, EmbeddedConfig};
use ruma::{CanonicalJsonObject, OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId};

use crate::{crowd::Timing, process::Process, report::Report};

/// The event itself.
const EVENTS: Table<(String,), (Vec<u8>,)> = Table::new("load.events");
/// The small rows beside it.
const ROWS: Table<(String, u64, Position), (u64,)> = Table::new("load.rows");

/// Small rows with each event.
const SMALL_ROWS: u64 = 10;

/// As a client sends it.
const BODY: &str = r#"{"msgtype":"m.text","body":"Stand and unfold yourself. Long live the king! You come most carefully upon your hour."}"#;

struct Bench {
    store: Store,
    key: SigningKey,
    server_name: OwnedServerName,
    room: OwnedRoomId,
    sender: OwnedUserId,
    parent: OwnedEventId,
    version: RoomVersion,
}

pub(crate) fn run(folder: &Path, events: usize) -> Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let backend = EmbeddedBackend::open(folder, &EmbeddedConfig::default())?;
    let bench = Arc::new(Bench {
        store: Store::new(Arc::new(backend)),
        key: SigningKey::generate()?,
        server_name: "localhost".try_into()?,
        room: "!abcdefghijklmnopqr:localhost".try_into()?,
        sender: "@load:localhost".try_into()?,
        parent: "$Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg".try_into()?,
        version: "11".parse()?,
    });
    let process = Process::own(folder.to_owned());
    let mut report = Report::default();
    let built = (0..events)
        .map(|number| timed(|| bench.build(number).map(drop)))
        .collect::<Result<Vec<_>>>()?;
    let all = built.iter().sum();
    report.phase(
        "floor: parse, hash, sign, encode",
        1,
        Timing { each: built, all },
        0.0,
    )?;
    for at_once in [1, 16, 64] {
        let before = process.cpu_seconds()?;
        let timing = runtime.block_on(commits(&bench, at_once, events))?;
        let used = process.cpu_seconds()? - before;
        report.phase("floor: the same, and commit", at_once, timing, used)?;
    }
    runtime.block_on(bench.store.close())?;
    Ok(report)
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let begin = Instant::now();
    work()?;
    Ok(begin.elapsed())
}

async fn commits(bench: &Arc<Bench>, at_once: usize, events: usize) -> Result<Timing> {
    let next = Arc::new(AtomicUsize::new(0));
    let begin = Instant::now();
    let workers: Vec<_> = (0..at_once)
        .map(|_| {
            let (bench, next) = (Arc::clone(bench), Arc::clone(&next));
            tokio::spawn(async move {
                let mut each = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= events {
                        break;
                    }
                    let begin = Instant::now();
                    bench.commit(number).await?;
                    each.push(begin.elapsed());
                }
                anyhow::Ok(each)
            })
        })
        .collect();
    let mut each = Vec::new();
    for worker in workers {
        each.extend(worker.await??);
    }
    Ok(Timing {
        each,
        all: begin.elapsed(),
    })
}

impl Bench {
    fn build(&self, number: usize) -> Result<(OwnedEventId, String)> {
        let content: CanonicalJsonObject = serde_json::from_str(BODY)?;
        let new = NewEvent {
            kind: "m.room.message".into(),
            state_key: None,
            content,
            redacts: None,
        };
        let parents = Parents {
            prev_events: vec![self.parent.clone()],
            auth_events: vec![self.parent.clone(); 3],
            depth: 1000,
            ..Parents::default()
        };
        let builder = EventBuilder {
            version: self.version,
            server_name: &self.server_name,
            key: &self.key,
        };
        let built = builder.build(
            &self.room,
            &self.sender,
            new,
            parents,
            1_700_000_000_000 + u64::try_from(number)?,
        )?;
        Ok((built.event.event_id, built.pdu))
    }

    async fn commit(&self, number: usize) -> Result<()> {
        let (event_id, pdu) = self.build(number)?;
        let mut batch = Batch::new();
        let position = batch.next_position();
        batch.put(&EVENTS, &(event_id.to_string(),), &(pdu.into_bytes(),));
        for row in 0..SMALL_ROWS {
            batch.put(&ROWS, &(self.room.to_string(), row, position), &(row,));
        }
        self.store.commit(batch).await?;
        Ok(())
    }
}
