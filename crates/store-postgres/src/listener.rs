//! Learning of commits, one's own among them, in the order in which they were made.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::BoxStream};
use gatehouse_store::{Notice, Position};
use tokio::time::{sleep, timeout};
use tokio_postgres::{AsyncMessage, Client};

use crate::{
    connect::Connector,
    failure::Fault,
    payload,
    shared::{Shared, position_of},
};

/// After so long without a word, the position is asked for; that also finds a dead connection.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// How long an answer may take before the connection is given up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Between two tries to connect.
const PAUSE: Duration = Duration::from_millis(200);

type Messages = BoxStream<'static, Result<AsyncMessage, tokio_postgres::Error>>;

/// A connection that has begun to listen.
pub(crate) struct Listening {
    client: Client,
    messages: Messages,
    /// The position when it began; everything after is told.
    position: Position,
}

/// Connects and listens.
pub(crate) async fn listen(connector: &Connector, shared: &Shared) -> Result<Listening, Fault> {
    let (client, mut messages) = connector.connect_listening().await?;
    let position = ask(&mut messages, shared, async {
        client
            .batch_execute(&format!("LISTEN \"{}\"", shared.channel.replace('"', "\"\"")))
            .await?;
        current_position(&client).await
    })
    .await?;
    Ok(Listening {
        client,
        messages,
        position,
    })
}

async fn current_position(client: &Client) -> Result<Position, Fault> {
    let row = client
        .query_one("SELECT position FROM gatehouse_sequence", &[])
        .await?;
    position_of(row.try_get(0)?).ok_or(Fault::Foreign("a position"))
}

/// Waits for an answer, while passing on what comes in between.
async fn ask<T>(
    messages: &mut Messages,
    shared: &Shared,
    question: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let answered = async {
        tokio::pin!(question);
        loop {
            tokio::select! {
                answer = &mut question => return answer,
                message = messages.next() => pass_on(message, shared)?,
            }
        }
    };
    timeout(ANSWER_TIMEOUT, answered)
        .await
        .map_err(|_| Fault::Timeout)?
}

fn pass_on(
    message: Option<Result<AsyncMessage, tokio_postgres::Error>>,
    shared: &Shared,
) -> Result<(), Fault> {
    let Some(message) = message else {
        return Err(Fault::Pool("the connection was closed".to_owned()));
    };
    let AsyncMessage::Notification(notification) = message? else {
        return Ok(());
    };
    if let Some((last, notices)) = payload::decode(notification.payload()) {
        shared.advance(last);
        for notice in notices {
            shared.notifier.notify(notice);
        }
        shared.told.send_replace(last);
    } else {
        tracing::warn!("a node of another version tells of its commits in a way that this one does not know");
        shared.notifier.notify(Notice::Everything);
    }
    Ok(())
}

/// Passes on what it hears for ever; connects again when the connection is lost.
pub(crate) async fn run(connector: Connector, shared: Arc<Shared>, mut listening: Listening) {
    loop {
        let fault = loop {
            if let ControlFlow::Break(fault) = hear(&mut listening, &shared).await {
                break fault;
            }
        };
        tracing::warn!(%fault, "the connection that tells of commits is lost");
        listening = loop {
            sleep(PAUSE).await;
            match listen(&connector, &shared).await {
                Ok(listening) => break listening,
                Err(fault) => tracing::debug!(%fault, "still no connection that tells of commits"),
            }
        };
        shared.advance(listening.position);
        shared.notifier.notify(Notice::Everything);
        shared.told.send_replace(listening.position);
    }
}

async fn hear(listening: &mut Listening, shared: &Shared) -> ControlFlow<Fault> {
    let heard = match timeout(POLL_INTERVAL, listening.messages.next()).await {
        Ok(message) => pass_on(message, shared),
        Err(_) => ask(
            &mut listening.messages,
            shared,
            current_position(&listening.client),
        )
        .await
        .map(|position| shared.advance(position)),
    };
    match heard {
        Ok(()) => ControlFlow::Continue(()),
        Err(fault) => ControlFlow::Break(fault),
    }
}
