//! Answers that hold a state: they are written while they are read from the store.

use std::{io, time::Duration};

use axum::{
    body::{Body, Bytes},
    response::{IntoResponse, Response},
};
use gatehouse_rooms::{OutgoingPart, OutgoingState, PeerError};
use http::header::CONTENT_TYPE;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, timeout, timeout_at},
};

use crate::errors;
use gatehouse_http::ApiError;

/// Parts that are read ahead: the store and the network work side by side, and little is in memory.
const AHEAD: usize = 2;
/// How long the other server may take nothing.
const IDLE: Duration = Duration::from_secs(30);
/// How long it may take to take all of it.
const WHOLE: Duration = Duration::from_mins(10);

/// What stands around the lists: the state between the first two, its auth chain between the last two.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) before: String,
    /// Between the lists; `None`: there is no state, and what comes is the auth chain alone.
    pub(crate) between: Option<&'static str>,
    pub(crate) after: &'static str,
}

/// The answer, and the turn that its reader has until its end. What fails before its first byte is an error as any other;
/// what fails later breaks the connection off, so that nobody takes the beginning for the whole.
pub(crate) async fn answer(
    mut state: OutgoingState,
    frame: Frame,
    turn: OwnedSemaphorePermit,
) -> Result<Response, ApiError> {
    let first = state.next().await.map_err(errors::peer)?;
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        let _turn = turn;
        let until = Instant::now() + WHOLE;
        let writing = write(Writer::new(frame, sender.clone()), first, state);
        let Ok(Err(Broken::Store(error))) = timeout_at(until, writing).await else {
            return;
        };
        tracing::warn!(%error, "a state could not be handed out to its end");
    });
    let chunks = futures_util::stream::unfold(Some(receiver), next_chunk);
    let json = [(CONTENT_TYPE, "application/json")];
    Ok((json, Body::from_stream(chunks)).into_response())
}

/// What is written next; the last thing is an empty chunk, without which the answer is broken off.
async fn next_chunk(
    receiver: Option<mpsc::Receiver<Bytes>>,
) -> Option<(io::Result<Bytes>, Option<mpsc::Receiver<Bytes>>)> {
    let mut receiver = receiver?;
    match receiver.recv().await {
        Some(chunk) if chunk.is_empty() => None,
        Some(chunk) => Some((Ok(chunk), Some(receiver))),
        None => Some((Err(io::ErrorKind::BrokenPipe.into()), None)),
    }
}

/// Why an answer ends before its end.
enum Broken {
    /// The other server is gone, or does not read.
    Reader,
    Store(PeerError),
}

async fn write(
    mut writer: Writer,
    first: Option<OutgoingPart>,
    mut state: OutgoingState,
) -> Result<(), Broken> {
    let mut next = first;
    while let Some(part) = next {
        writer.part(part).await?;
        next = state.next().await.map_err(Broken::Store)?;
    }
    writer.end().await
}

struct Writer {
    sender: mpsc::Sender<Bytes>,
    text: String,
    between: Option<&'static str>,
    after: &'static str,
    /// Whether the list has an element already.
    has_element: bool,
}

impl Writer {
    fn new(frame: Frame, sender: mpsc::Sender<Bytes>) -> Self {
        Self {
            sender,
            text: frame.before,
            between: frame.between,
            after: frame.after,
            has_element: false,
        }
    }

    async fn part(&mut self, part: OutgoingPart) -> Result<(), Broken> {
        let pdus = match part {
            OutgoingPart::State(pdus) => pdus,
            OutgoingPart::AuthChain(pdus) => {
                self.end_state();
                pdus
            }
        };
        self.text.reserve(pdus.iter().map(|pdu| pdu.len() + 1).sum());
        for pdu in pdus {
            if self.has_element {
                self.text.push(',');
            }
            self.text.push_str(&pdu);
            self.has_element = true;
        }
        self.flush().await
    }

    fn end_state(&mut self) {
        if let Some(between) = self.between.take() {
            self.text.push_str(between);
            self.has_element = false;
        }
    }

    async fn end(&mut self) -> Result<(), Broken> {
        self.end_state();
        self.text.push_str(self.after);
        self.flush().await?;
        // The mark of the end.
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), Broken> {
        let chunk = Bytes::from(std::mem::take(&mut self.text));
        match timeout(IDLE, self.sender.send(chunk)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Broken::Reader),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        Frame {
            before: "{\"pdus\":[".to_owned(),
            between: Some("],\"auth_chain\":["),
            after: "]}",
        }
    }

    /// What a reader gets of these parts, and whether it is broken off.
    async fn read(frame: Frame, parts: Vec<OutgoingPart>, is_whole: bool) -> (String, bool) {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let writing = async move {
            let mut writer = Writer::new(frame, sender);
            for part in parts {
                writer.part(part).await.unwrap_or_default();
            }
            if is_whole {
                writer.end().await.unwrap_or_default();
            }
        };
        let reading = async {
            let (mut text, mut next) = (String::new(), Some(receiver));
            while let Some((chunk, after)) = next_chunk(next).await {
                match chunk {
                    Ok(chunk) => text.push_str(&String::from_utf8_lossy(&chunk)),
                    Err(_) => return (text, true),
                }
                next = after;
            }
            (text, false)
        };
        tokio::join!(writing, reading).1
    }

    fn of(pdus: &[&str]) -> Vec<String> {
        pdus.iter().map(|pdu| (*pdu).to_owned()).collect()
    }

    #[tokio::test]
    async fn lists_are_written_as_their_parts_come() {
        use OutgoingPart::{AuthChain, State};
        for (parts, expected) in [
            (vec![], r#"{"pdus":[],"auth_chain":[]}"#),
            (
                vec![State(of(&["1", "2"])), State(of(&["3"]))],
                r#"{"pdus":[1,2,3],"auth_chain":[]}"#,
            ),
            (
                vec![AuthChain(of(&["1"])), AuthChain(of(&["2"]))],
                r#"{"pdus":[],"auth_chain":[1,2]}"#,
            ),
            (
                vec![State(of(&["1"])), AuthChain(of(&["2"]))],
                r#"{"pdus":[1],"auth_chain":[2]}"#,
            ),
        ] {
            assert_eq!(read(frame(), parts, true).await, (expected.to_owned(), false));
        }
        let alone = Frame {
            before: "{\"auth_chain\":[".to_owned(),
            between: None,
            after: "]}",
        };
        let parts = vec![AuthChain(of(&["1"])), AuthChain(of(&["2"]))];
        assert_eq!(
            read(alone, parts, true).await,
            ("{\"auth_chain\":[1,2]}".to_owned(), false)
        );
    }

    #[tokio::test]
    async fn what_could_not_be_read_to_its_end_is_broken_off() {
        let parts = vec![OutgoingPart::State(of(&["1"]))];
        assert_eq!(
            read(frame(), parts, false).await,
            ("{\"pdus\":[1".to_owned(), true)
        );
        assert_eq!(read(frame(), vec![], false).await, (String::new(), true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_is_given_up() {
        let (sender, _receiver) = mpsc::channel(AHEAD);
        let mut writer = Writer::new(frame(), sender);
        let mut written = 0;
        while writer.part(OutgoingPart::State(of(&["1"]))).await.is_ok() {
            written += 1;
        }
        assert_eq!(written, AHEAD);
    }
}
