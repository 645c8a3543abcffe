//! Getting the state that we joined from a server that knows it.

use std::{collections::BTreeSet, time::Duration};

use futures_util::{StreamExt as _, stream};
use gatehouse_events::Pdu;
use ruma::{OwnedEventId, OwnedServerName};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};

use super::held::Held;
use crate::{
    RoomHead, Rooms,
    remote_servers::{Fetch, RawPdu, RemoteError, StatePart},
    tables::{EVENT_INDEX, PartialRow},
    write_error::WriteError,
};

/// When more events than this are missing, the whole state is fetched.
const MAX_ONE_BY_ONE: usize = 100;
/// Events asked for at the same time.
const AT_ONCE: usize = 8;
/// Time for the ids, and for one event.
const PATIENCE: Duration = Duration::from_mins(1);
/// Time for the whole state.
const PATIENCE_WITH_STATE: Duration = Duration::from_mins(10);
/// Events of a state and its auth chain that are looked at. The largest rooms have some 300,000.
const MAX_STATE: usize = 500_000;
/// Times that the state is fetched, where not all of it could be wanted at once.
const MAX_PASSES: usize = 8;
/// Events that are checked and written together.
const CHUNK: usize = 1_000;
/// Rows read at once.
const BATCH: usize = 1_000;

/// The state before our join.
#[derive(Debug)]
pub(super) struct StateOfJoin {
    pub(super) ids: Vec<OwnedEventId>,
    /// So many of its events, and of those that authorise it, are not here.
    pub(super) missing: usize,
}

impl Rooms {
    /// The ids of the state before our join, whose events are here now as far as they can be trusted. `None`: the server
    /// does not give it.
    pub(super) async fn get_state_of_join(
        &self,
        server: &OwnedServerName,
        head: &RoomHead,
        row: &PartialRow,
    ) -> Result<Option<StateOfJoin>, WriteError> {
        let asked = self.shared.remote.state_ids(server, &head.room_id, &row.join);
        let ids = match timeout(PATIENCE, asked).await {
            Ok(Ok(ids)) => ids,
            outcome => {
                tracing::info!(room = %head.room_id, %server, ?outcome, "a server does not give the state of a join");
                return Ok(None);
            }
        };
        let create = head.hot_event("m.room.create");
        let is_ours = create.is_some_and(|create| ids.state.contains(&create.event_id));
        if !is_ours || ids.state.len() + ids.auth_chain.len() > MAX_STATE {
            tracing::info!(room = %head.room_id, %server, "the state of a join is of another room, or too large");
            return Ok(None);
        }
        let missing = self.not_kept(&ids.auth_chain, &ids.state).await?;
        let mut wanted = Held::new(missing);
        if wanted.missing() > MAX_ONE_BY_ONE {
            for _ in 0..MAX_PASSES {
                let before = wanted.missing();
                if !self.stream_state(server, head, row, &mut wanted).await? {
                    return Ok(None);
                }
                if std::mem::take(&mut wanted.left_out) == 0 || wanted.missing() == before {
                    break;
                }
            }
        } else if !self.get_one_by_one(server, head, &mut wanted).await? {
            return Ok(None);
        }
        Ok(Some(StateOfJoin {
            ids: ids.state,
            missing: wanted.missing(),
        }))
    }

    /// Those of these events that are not here.
    async fn not_kept(
        &self,
        auth_chain: &[OwnedEventId],
        state: &[OwnedEventId],
    ) -> Result<BTreeSet<OwnedEventId>, WriteError> {
        let mut missing = BTreeSet::new();
        for ids in auth_chain.chunks(BATCH).chain(state.chunks(BATCH)) {
            let keys: Vec<_> = ids.iter().map(|id| (id.clone(),)).collect();
            let places = self.store.get_many(&EVENT_INDEX, &keys).await?;
            for (id, place) in ids.iter().zip(places) {
                if place.is_none() {
                    missing.insert(id.clone());
                }
            }
        }
        Ok(missing)
    }

    /// `false`: the server did not answer all of it. What is lost on the way is not what it does not have.
    async fn get_one_by_one(
        &self,
        server: &OwnedServerName,
        head: &RoomHead,
        wanted: &mut Held,
    ) -> Result<bool, WriteError> {
        let ids: Vec<OwnedEventId> = wanted.missing_ids().cloned().collect();
        let answers = stream::iter(ids.into_iter().map(|event_id| async move {
            let fetch = Fetch::Event { event_id: &event_id };
            let asked = self.shared.remote.fetch(server, fetch);
            match timeout(PATIENCE, asked).await {
                Err(_) | Ok(Err(RemoteError::Unreachable)) => None,
                Ok(answer) => Some(answer.unwrap_or_default()),
            }
        }));
        let mut answers = answers.buffered(AT_ONCE);
        let mut is_answered = true;
        while let Some(raws) = answers.next().await {
            is_answered &= raws.is_some();
            offer(head, wanted, &raws.unwrap_or_default());
        }
        drop(answers);
        self.keep_ready(head, wanted.take_ready(0)).await?;
        Ok(is_answered)
    }

    /// `false`: the server did not give all of it.
    async fn stream_state(
        &self,
        server: &OwnedServerName,
        head: &RoomHead,
        row: &PartialRow,
        wanted: &mut Held,
    ) -> Result<bool, WriteError> {
        let (parts, mut taken) = mpsc::channel(1);
        let asked = self.shared.remote.state(server, &head.room_id, &row.join, parts);
        let deadline = Instant::now() + PATIENCE_WITH_STATE;
        let take = async move {
            while let Some(StatePart::State(raws) | StatePart::AuthChain(raws)) = taken.recv().await {
                offer(head, wanted, &raws);
                self.keep_ready(head, wanted.take_ready(CHUNK)).await?;
            }
            self.keep_ready(head, wanted.take_ready(0)).await
        };
        let (answered, kept) = tokio::join!(timeout_at(deadline, asked), take);
        kept?;
        if let Ok(Err(error)) = &answered {
            tracing::info!(room = %head.room_id, %server, %error, "a server does not give the state of a join");
        }
        Ok(matches!(answered, Ok(Ok(()))))
    }

    /// Checks events and keeps them; those of a chunk come after those that authorise them.
    async fn keep_ready(&self, head: &RoomHead, ready: Vec<RawPdu>) -> Result<(), WriteError> {
        for raws in ready.chunks(CHUNK) {
            let checked = self.check_pdus(head.version, &head.room_id, raws).await;
            let pdus = checked.into_iter().flatten().collect();
            let create = head.hot_event("m.room.create");
            self.keep_outliers(&head.room_id, head.version, create, pdus)
                .await?;
        }
        Ok(())
    }
}

/// Takes those of the events that are wanted.
fn offer(head: &RoomHead, wanted: &mut Held, raws: &[RawPdu]) {
    for raw in raws {
        if let Ok(pdu) = Pdu::parse(raw.get(), &head.room_id, head.version)
            && wanted.wants(&pdu.event.event_id)
        {
            wanted.offer(pdu.event.event_id, &pdu.event.auth_events, raw);
        }
    }
}
