//! What a scripted server answers: what it should, or what wears out whoever asks.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use serde_json::Value;
use tokio::time::{Sleep, sleep};

/// What is answered.
#[derive(Debug, Clone)]
pub struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Content,
}

/// What comes after the head, if anything comes at all.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Whole(Bytes),
    /// The connection stays open and nothing comes, not even a head.
    Silence,
    /// The connection is closed.
    HangUp,
    /// This again and again, with a pause before each.
    Endless(Bytes, Duration),
}

impl Reply {
    /// A status and JSON.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::bytes(status, body.to_string()).header("content-type", "application/json")
    }

    /// A status and bytes.
    pub fn bytes(status: u16, body: impl Into<Bytes>) -> Self {
        Self::with(status, Content::Whole(body.into()))
    }

    /// The connection stays open and nothing comes.
    pub fn silence() -> Self {
        Self::with(200, Content::Silence)
    }

    /// The connection is closed instead of an answer.
    pub fn hang_up() -> Self {
        Self::with(200, Content::HangUp)
    }

    /// A body that has no end: this part again and again, as fast as it is read.
    pub fn endless(part: impl Into<Bytes>) -> Self {
        Self::trickle(part, Duration::ZERO)
    }

    /// A body that has no end and comes slowly: this part again and again, so long after each other.
    pub fn trickle(part: impl Into<Bytes>, pause: Duration) -> Self {
        Self::with(200, Content::Endless(part.into(), pause))
    }

    /// The same JSON in gzip, though nobody said that it is understood.
    pub fn gzip(body: &Value) -> Self {
        Self::bytes(200, gzip(body.to_string().as_bytes()))
            .header("content-type", "application/json")
            .header("content-encoding", "gzip")
    }

    /// Go elsewhere.
    pub fn redirect(to: &str) -> Self {
        Self::bytes(302, "").header("location", to)
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn with(status: u16, body: Content) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body,
        }
    }
}

impl Content {
    /// The body as it is sent, once there is one.
    pub(crate) async fn begin(self) -> io::Result<ReplyBody> {
        match self {
            Self::Whole(bytes) => Ok(ReplyBody::Whole(Some(bytes))),
            Self::Silence => std::future::pending().await,
            Self::HangUp => Err(io::ErrorKind::ConnectionReset.into()),
            Self::Endless(part, pause) => Ok(ReplyBody::Endless(part, pause, Box::pin(sleep(pause)))),
        }
    }
}

/// A body on its way.
pub(crate) enum ReplyBody {
    Whole(Option<Bytes>),
    Endless(Bytes, Duration, Pin<Box<Sleep>>),
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Endless(part, pause, until) => {
                if !pause.is_zero() {
                    ready!(until.as_mut().poll(context));
                    *until = Box::pin(sleep(*pause));
                }
                Poll::Ready(Some(Ok(Frame::data(part.clone()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or_default())
            }
            Self::Endless(..) => SizeHint::default(),
        }
    }
}

/// The bytes as a gzip stream that stores them as they are (RFC 1951, 3.2.4; RFC 1952).
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = bytes.chunks(usize::from(u16::MAX)).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        stream.push(u8::from(blocks.peek().is_none()));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(block);
    }
    stream.extend(crc32(bytes).to_le_bytes());
    stream.extend(u32::try_from(bytes.len()).unwrap_or_default().to_le_bytes());
    stream
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1));
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_sum_is_that_of_the_standard() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }
}
