//! The load itself: senders that always have so many messages under way, each to its own receivers, and the count of what
//! became of them. A message is under way until all of its receivers have it.

use super::dialect::{Dialect, Heard};
use super::line::Socket;
use super::meter::Latencies;
use anyhow::{Context, Result, anyhow, bail, ensure};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_local};
use tokio_tungstenite::tungstenite::Message;

/// What is on its way when the load stops arrives within this time, or is lost.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a receiver says how far it has come; as clients do.
const ACKNOWLEDGE_EVERY: Duration = Duration::from_secs(1);

/// One sender and its receivers, connected and logged in.
pub(super) struct Flow<D> {
    pub(super) dialect: D,
    pub(super) sender: Socket,
    pub(super) receivers: Vec<Socket>,
}

/// Flows under one command.
pub(super) struct Traffic {
    shared: Rc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

/// What one window counted.
pub(super) struct Counted {
    /// Messages that all of their receivers have, and how long that took.
    pub(super) complete: Latencies,
    /// Messages that came, counted once for each receiver.
    pub(super) deliveries: u64,
}

/// What became of all messages. Nothing is forgiven: a run in which any of these differs is no measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Totals {
    /// Sent.
    pub(super) sent: u64,
    /// Sent, times the number of their receivers.
    pub(super) expected: u64,
    /// Arrived.
    pub(super) delivered: u64,
    /// Answered: durable.
    pub(super) stored: u64,
}

struct Shared {
    window: Cell<usize>,
    flowing: Cell<bool>,
    changed: Notify,
    meter: RefCell<Option<Counted>>,
    totals: Cell<Totals>,
    failure: RefCell<Option<anyhow::Error>>,
}

/// What is known of one flow's messages.
struct Progress<D> {
    dialect: D,
    receivers: usize,
    has_room: Notify,
    /// Messages under way, from the oldest: when each was sent, and how many have it.
    under_way: RefCell<VecDeque<(Instant, usize)>>,
    oldest: Cell<u64>,
}

impl Traffic {
    /// Nothing flows yet.
    pub(super) fn new<D: Dialect>(flows: Vec<Flow<D>>, window: usize) -> Self {
        let shared = Rc::new(Shared {
            window: Cell::new(window),
            flowing: Cell::new(false),
            changed: Notify::new(),
            meter: RefCell::new(None),
            totals: Cell::default(),
            failure: RefCell::new(None),
        });
        let tasks = flows.into_iter().flat_map(|flow| start(flow, &shared)).collect();
        Self { shared, tasks }
    }

    /// How many messages each sender has under way from here on.
    pub(super) fn set_window(&self, window: usize) {
        self.shared.window.set(window);
    }

    /// Lets everything flow until so many messages were sent, in all.
    pub(super) async fn fill(&self, messages: u64) -> Result<()> {
        while self.shared.totals.get().sent < messages {
            self.flow(true);
            tokio::time::sleep(Duration::from_millis(20)).await;
            ensure!(self.shared.failure.borrow().is_none(), "the load broke off: {:?}", self.shared.failure.take());
        }
        self.rest().await.map(drop)
    }

    /// Lets everything flow for a while, and counts what arrives between the calls of `begin` and `end`.
    pub(super) async fn window<T, U>(
        &self,
        warm_up: Duration,
        length: Duration,
        begin: impl FnOnce() -> Result<T>,
        end: impl FnOnce(T) -> Result<U>,
    ) -> Result<(Counted, U)> {
        self.flow(true);
        tokio::time::sleep(warm_up).await;
        let begun = begin()?;
        self.shared.meter.replace(Some(Counted { complete: Latencies::new()?, deliveries: 0 }));
        tokio::time::sleep(length).await;
        let counted = self.shared.meter.take().context("nobody counts")?;
        let ended = end(begun)?;
        self.rest().await?;
        ensure!(counted.complete.count() > 0, "nothing was delivered in a window");
        Ok((counted, ended))
    }

    /// Stops sending, waits for what is under way, and holds the accounts against each other.
    pub(super) async fn rest(&self) -> Result<Totals> {
        self.flow(false);
        let started = Instant::now();
        loop {
            if let Some(error) = self.shared.failure.take() {
                return Err(error);
            }
            let totals = self.shared.totals.get();
            if totals.delivered == totals.expected && totals.stored == totals.sent {
                return Ok(totals);
            }
            ensure!(started.elapsed() < PATIENCE, "messages are lost: {totals:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn flow(&self, flowing: bool) {
        self.shared.flowing.set(flowing);
        self.shared.changed.notify_waiters();
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn start<D: Dialect>(flow: Flow<D>, shared: &Rc<Shared>) -> Vec<JoinHandle<()>> {
    let progress = Rc::new(Progress {
        dialect: flow.dialect,
        receivers: flow.receivers.len(),
        has_room: Notify::new(),
        under_way: RefCell::default(),
        oldest: Cell::new(0),
    });
    let (sink, stream) = flow.sender.split();
    let mut tasks = vec![
        watched(shared, send(sink, Rc::clone(&progress), Rc::clone(shared))),
        watched(shared, hear_answers(stream, Rc::clone(&progress), Rc::clone(shared))),
    ];
    for receiver in flow.receivers {
        tasks.push(watched(shared, receive(receiver, Rc::clone(&progress), Rc::clone(shared))));
    }
    tasks
}

/// A part of the load that ends is a failure of the run.
fn watched(shared: &Rc<Shared>, part: impl Future<Output = Result<()>> + 'static) -> JoinHandle<()> {
    let shared = Rc::clone(shared);
    spawn_local(async move {
        let error = part.await.err().unwrap_or_else(|| anyhow!("a connection ended"));
        shared.failure.borrow_mut().get_or_insert(error);
    })
}

/// Each message is written by itself, as people write: batches are for the server to find.
async fn send<D: Dialect>(
    mut sink: SplitSink<Socket, Message>,
    progress: Rc<Progress<D>>,
    shared: Rc<Shared>,
) -> Result<()> {
    for number in 0.. {
        while !shared.flowing.get() {
            shared.changed.notified().await;
        }
        while progress.under_way.borrow().len() >= shared.window.get() {
            progress.has_room.notified().await;
        }
        let frame = progress.dialect.message(number);
        progress.under_way.borrow_mut().push_back((Instant::now(), 0));
        shared.count(|totals| {
            totals.sent += 1;
            totals.expected += progress.receivers as u64;
        });
        sink.send(Message::Binary(frame)).await?;
    }
    Ok(())
}

async fn hear_answers<D: Dialect>(
    mut stream: SplitStream<Socket>,
    progress: Rc<Progress<D>>,
    shared: Rc<Shared>,
) -> Result<()> {
    while let Some(frame) = next(&mut stream).await? {
        if let Heard::Stored(stored) = progress.dialect.heard(&frame)? {
            shared.count(|totals| totals.stored += stored);
        }
    }
    Ok(())
}

async fn receive<D: Dialect>(socket: Socket, progress: Rc<Progress<D>>, shared: Rc<Shared>) -> Result<()> {
    let (mut sink, mut stream) = socket.split();
    let mut expected = 0;
    let mut acknowledged = Instant::now();
    while let Some(frame) = next(&mut stream).await? {
        let Heard::Message { number, seq } = progress.dialect.heard(&frame)? else { continue };
        ensure!(number == expected, "message {number} came in the place of {expected}: lost, doubled or out of order");
        expected += 1;
        progress.has_arrived(number, &shared)?;
        if acknowledged.elapsed() >= ACKNOWLEDGE_EVERY
            && let Some(frame) = progress.dialect.acknowledge(seq)
        {
            acknowledged = Instant::now();
            sink.send(Message::Binary(frame)).await?;
        }
    }
    Ok(())
}

async fn next(stream: &mut SplitStream<Socket>) -> Result<Option<Bytes>> {
    loop {
        match stream.next().await.transpose()? {
            Some(Message::Binary(frame)) => return Ok(Some(frame)),
            Some(Message::Close(reason)) => bail!("the server closed a connection: {reason:?}"),
            Some(_) => {}
            None => return Ok(None),
        }
    }
}

impl<D> Progress<D> {
    fn has_arrived(&self, number: u64, shared: &Shared) -> Result<()> {
        let mut under_way = self.under_way.borrow_mut();
        let place = usize::try_from(number.checked_sub(self.oldest.get()).context("a message came once too often")?)?;
        let (sent_at, arrived) = under_way.get_mut(place).context("a message came that was not sent")?;
        *arrived += 1;
        shared.count(|totals| totals.delivered += 1);
        let is_complete = *arrived == self.receivers;
        if let Some(meter) = &mut *shared.meter.borrow_mut() {
            meter.deliveries += 1;
            if is_complete {
                meter.complete.record(sent_at.elapsed());
            }
        }
        while under_way.front().is_some_and(|(_, arrived)| *arrived == self.receivers) {
            under_way.pop_front();
            self.oldest.set(self.oldest.get() + 1);
            self.has_room.notify_one();
        }
        Ok(())
    }
}

impl Shared {
    fn count(&self, change: impl FnOnce(&mut Totals)) {
        let mut totals = self.totals.get();
        change(&mut totals);
        self.totals.set(totals);
    }
}
