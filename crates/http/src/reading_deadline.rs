//! Clients that ask and then do not read: a connection that takes nothing for too long is given up.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// How long a client may take nothing of what is sent to it. As long as it may take to send a body.
const READING_TIME: Duration = Duration::from_mins(1);

/// A connection whose writes end with an error when the other side takes nothing for [`READING_TIME`].
pub(crate) struct ReadingDeadline<S> {
    stream: S,
    /// Made when the first write has to wait, as few ever do.
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl<S> ReadingDeadline<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            timer: None,
            waiting: false,
        }
    }

    /// What a write came to, or the error when such waits have taken too long.
    fn limited<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = false;
            return written;
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(READING_TIME)));
        if !self.waiting {
            self.waiting = true;
            timer.as_mut().reset(Instant::now() + READING_TIME);
        }
        ready!(timer.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadingDeadline<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadingDeadline<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.limited(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.limited(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.limited(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.limited(shut, context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_is_given_up_after_a_minute() {
        let (_client, stream) = duplex(10);
        let mut stream = ReadingDeadline::new(stream);
        let began = Instant::now();
        let error = stream.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), READING_TIME.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_slowly_is_waited_for() {
        let (mut client, stream) = duplex(10);
        let mut stream = ReadingDeadline::new(stream);
        let written = tokio::spawn(async move { stream.write_all(&[0; 100]).await });
        let mut piece = [0; 10];
        for _ in 0..10 {
            sleep(READING_TIME.mul_f64(0.9)).await;
            client.read_exact(&mut piece).await.unwrap();
        }
        written.await.unwrap().unwrap();
    }
}
