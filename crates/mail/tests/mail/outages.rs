//! What becomes of letters when mail servers, stores and nodes fail (reliability.md R30).

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use gatehouse_events::Clock;
use gatehouse_mail::{Carrier, Carriers, Counts, DeliveryError, Message, SmtpCarrier};
use gatehouse_store::{
    Backend, Batch, CommitError, Direction, Position, Store, StoreError, Watch,
    backend::{Lease, Row},
    memory::MemoryBackend,
};
use gatehouse_test_mailbox::{Mailbox, MailboxOptions};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    sync::Notify,
};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    NOW_MS, embedded, enqueue, enqueue_text, memory, nothing_waits, outbox, outbox_by, outbox_with, retried,
    running, running_until, smtp,
};

/// Takes everything, when it is let.
#[derive(Default)]
struct Gate {
    taken: AtomicU64,
    came: Notify,
    open: Notify,
}

impl Carrier for Gate {
    fn deliver<'a>(&'a self, _: &'a Message) -> BoxFuture<'a, Result<(), DeliveryError>> {
        async {
            self.came.notify_one();
            self.open.notified().await;
            self.taken.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
        .boxed()
    }
}

/// Sends, and never gets to say so.
struct Killed(SmtpCarrier);

impl Carrier for Killed {
    fn deliver<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), DeliveryError>> {
        async {
            self.0.deliver(message).await?;
            std::future::pending().await
        }
        .boxed()
    }
}

#[tokio::test]
async fn r30_a_mail_that_may_have_been_sent_is_sent_again_as_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (store, clock) = (embedded(dir.path()), Clock::manual(NOW_MS));
    let mailbox = Mailbox::start().await.unwrap();
    let carrier = SmtpCarrier::new(&smtp(mailbox.port())).unwrap();
    let killed = outbox_by(&store, &clock, Arc::new(Killed(carrier)));
    let at_work = running(&killed);
    enqueue(&store, &killed, "One").await;
    let first = mailbox.next().await.unwrap();
    at_work.abort();
    assert!(at_work.await.unwrap_err().is_cancelled());
    store.close().await.unwrap();
    drop((store, killed));

    let store = embedded(dir.path());
    clock.advance(Duration::from_hours(1));
    let outbox = outbox(&store, &clock, &smtp(mailbox.port()));
    let _running = running(&outbox);
    let second = mailbox.next().await.unwrap();
    assert!(first.header("Message-ID").unwrap().ends_with("@hs.example>"));
    assert_eq!(first.header("Message-ID"), second.header("Message-ID"));
    assert_eq!(first.header("Date"), second.header("Date"));
    nothing_waits(&outbox).await;
}

#[tokio::test]
async fn r30_a_mail_server_that_says_nothing_holds_up_nothing_else() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let (store, clock) = (memory(), Clock::manual(NOW_MS));
    let texts = Arc::new(Gate::default());
    let carriers = Carriers {
        email: Some(Arc::new(SmtpCarrier::new(&smtp(port)).unwrap())),
        sms: Some(texts.clone()),
    };
    let outbox = outbox_with(&store, &clock, carriers);
    let _running = running(&outbox);
    enqueue(&store, &outbox, "One").await;
    let _connection = silent.accept().await.unwrap();
    enqueue_text(&store, &outbox, "123456").await;
    texts.open.notify_one();
    while outbox.counts().sent < 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(texts.taken.load(Ordering::Relaxed), 1);
    assert_eq!(outbox.counts().retried, 0, "the mail server was not waited for");
}

#[tokio::test]
async fn r30_a_mail_server_that_says_nothing_is_left_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let (store, clock) = (memory(), Clock::manual(NOW_MS));
    let carrier = SmtpCarrier::new(&smtp(port)).unwrap();
    let carrier = carrier.with_timeout(Duration::from_millis(100));
    let outbox = outbox_by(&store, &clock, Arc::new(carrier));
    let _running = running(&outbox);
    enqueue(&store, &outbox, "One").await;
    retried(&outbox, 1).await;
    assert_eq!(outbox.waiting().await.unwrap(), 1);
}

/// A mail server that takes mail and says no word after that; it tells how often it was given one.
async fn without_farewell() -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let taken = Arc::new(AtomicU64::new(0));
    let counted = taken.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let counted = counted.clone();
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                stream.write_all(b"220 hello\r\n").await.unwrap();
                let (mut line, mut in_mail) = (String::new(), false);
                while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
                    let said = std::mem::take(&mut line);
                    let answer = match said.trim_end() {
                        "." => {
                            in_mail = false;
                            counted.fetch_add(1, Ordering::Relaxed);
                            "250 I have it\r\n"
                        }
                        "DATA" => {
                            in_mail = true;
                            "354 go on\r\n"
                        }
                        "QUIT" => "",
                        _ if in_mail => "",
                        _ => "250 ok\r\n",
                    };
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    (port, taken)
}

#[tokio::test]
async fn r30_a_mail_server_that_says_no_farewell_gets_a_mail_once() {
    let (port, taken) = without_farewell().await;
    let (store, clock) = (memory(), Clock::manual(NOW_MS));
    let carrier = SmtpCarrier::new(&smtp(port)).unwrap();
    let carrier = carrier.with_timeout(Duration::from_secs(2));
    let outbox = outbox_by(&store, &clock, Arc::new(carrier));
    let _running = running(&outbox);
    enqueue(&store, &outbox, "One").await;
    while outbox.counts() == Counts::default() {
        tokio::task::yield_now().await;
    }
    let sent = Counts {
        sent: 1,
        ..Counts::default()
    };
    assert_eq!(outbox.counts(), sent);
    nothing_waits(&outbox).await;
    assert_eq!(taken.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn r30_a_letter_is_given_up_after_a_day_and_not_before() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    let (store, clock) = (memory(), Clock::manual(NOW_MS));
    let outbox = outbox(&store, &clock, &smtp(port));
    let _running = running(&outbox);
    enqueue(&store, &outbox, "One").await;
    retried(&outbox, 1).await;
    clock.advance(Duration::from_hours(23));
    retried(&outbox, 2).await;
    assert_eq!(
        (outbox.waiting().await.unwrap(), outbox.counts().given_up),
        (1, 0)
    );
    clock.advance(Duration::from_hours(1));
    nothing_waits(&outbox).await;
    assert_eq!((outbox.counts().sent, outbox.counts().given_up), (0, 1));
}

#[tokio::test]
async fn of_several_nodes_one_sends_until_it_stops() {
    let (store, clock) = (memory(), Clock::manual(NOW_MS));
    let mailbox = Mailbox::start().await.unwrap();
    let nodes = [(); 2].map(|()| outbox(&store, &clock, &smtp(mailbox.port())));
    let stop = CancellationToken::new();
    let first = running_until(&nodes[0], stop.clone());
    enqueue(&store, &nodes[0], "One").await;
    mailbox.next().await.unwrap();
    let _second = running(&nodes[1]);
    for _ in 0..20 {
        enqueue(&store, &nodes[1], "More").await;
    }
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(
            mailbox
                .next()
                .await
                .unwrap()
                .header("Message-ID")
                .unwrap()
                .to_owned(),
        );
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 20);
    nothing_waits(&nodes[0]).await;
    assert_eq!([nodes[0].counts().sent, nodes[1].counts().sent], [21, 0]);
    stop.cancel();
    first.await.unwrap();
    enqueue(&store, &nodes[0], "Last").await;
    assert!(mailbox.next().await.unwrap().subject.contains("Last"));
    nothing_waits(&nodes[0]).await;
    assert_eq!([nodes[0].counts().sent, nodes[1].counts().sent], [21, 1]);
}

#[tokio::test]
async fn what_is_being_sent_when_the_server_stops_is_sent_and_noted() {
    let (store, clock) = (memory(), Clock::manual(NOW_MS));
    let gate = Arc::new(Gate::default());
    let outbox = outbox_by(&store, &clock, gate.clone());
    let stop = CancellationToken::new();
    let running = running_until(&outbox, stop.clone());
    enqueue(&store, &outbox, "One").await;
    gate.came.notified().await;
    stop.cancel();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!running.is_finished(), "it did not wait for what is being sent");
    gate.open.notify_one();
    running.await.unwrap();
    assert_eq!(gate.taken.load(Ordering::Relaxed), 1);
    assert_eq!(outbox.waiting().await.unwrap(), 0);
}

/// A store that can be kept from writing.
struct Sticking {
    inner: MemoryBackend,
    is_stuck: AtomicBool,
    refused: AtomicU64,
}

impl Backend for Sticking {
    fn get<'a>(
        &'a self,
        table: &'static str,
        key: &'a [u8],
    ) -> BoxFuture<'a, Result<Option<Bytes>, StoreError>> {
        self.inner.get(table, key)
    }
    fn get_many<'a>(
        &'a self,
        table: &'static str,
        keys: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<Vec<Option<Bytes>>, StoreError>> {
        self.inner.get_many(table, keys)
    }
    fn scan<'a>(
        &'a self,
        table: &'static str,
        start: &'a [u8],
        end: Option<&'a [u8]>,
        direction: Direction,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        self.inner.scan(table, start, end, direction, limit)
    }
    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Position, CommitError>> {
        if self.is_stuck.load(Ordering::Relaxed) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            let full = StoreError::Unavailable("the disk is full".to_owned());
            return std::future::ready(Err(full.into())).boxed();
        }
        self.inner.commit(batch)
    }
    fn position(&self) -> Position {
        self.inner.position()
    }
    fn watch(&self) -> Watch {
        self.inner.watch()
    }
    fn lease<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Lease>, StoreError>> {
        self.inner.lease(name)
    }
    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.close()
    }
}

#[tokio::test]
async fn while_the_store_does_not_write_nothing_is_sent_twice() {
    let backend = Arc::new(Sticking {
        inner: MemoryBackend::new(),
        is_stuck: AtomicBool::new(false),
        refused: AtomicU64::new(0),
    });
    let (store, clock) = (Store::new(backend.clone()), Clock::manual(NOW_MS));
    let gate = Arc::new(Gate::default());
    let outbox = outbox_by(&store, &clock, gate.clone());
    let _running = running(&outbox);
    enqueue(&store, &outbox, "One").await;
    gate.came.notified().await;
    backend.is_stuck.store(true, Ordering::Relaxed);
    gate.open.notify_one();
    // Every message that is added has the queue looked at again.
    while backend.refused.load(Ordering::Relaxed) < 10 {
        let to = gatehouse_mail::Threepid::parse("email", "bob@mail.example").unwrap();
        let letter = gatehouse_mail::Letter::NoAccount;
        outbox.enqueue(&mut Batch::new(), &to, &letter).unwrap();
        gate.open.notify_one();
        tokio::task::yield_now().await;
    }
    assert_eq!(gate.taken.load(Ordering::Relaxed), 1);
    backend.is_stuck.store(false, Ordering::Relaxed);
    enqueue(&store, &outbox, "Two").await;
    gate.open.notify_one();
    nothing_waits(&outbox).await;
    assert_eq!(gate.taken.load(Ordering::Relaxed), 2);
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn t21_no_address_and_no_link_reaches_the_log() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let options = MailboxOptions {
        refuse: vec![
            "451 bob@mail.example later".to_owned(),
            "550 no such user: bob@mail.example".to_owned(),
        ],
        ..MailboxOptions::default()
    };
    let mailbox = Mailbox::with(options).await.unwrap();
    let (store, clock) = (memory(), Clock::manual(NOW_MS));
    let outbox = outbox(&store, &clock, &smtp(mailbox.port()));
    let _running = running(&outbox);
    enqueue(&store, &outbox, "One").await;
    retried(&outbox, 1).await;
    clock.advance(Duration::from_hours(1));
    nothing_waits(&outbox).await;
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("ERROR") && log.contains("given up"), "{log}");
    assert!(!log.contains("bob") && !log.contains("/i/abc"), "{log}");
}
