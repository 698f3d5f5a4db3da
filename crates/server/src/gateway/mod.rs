//! A device's connection: one WebSocket, one reader, one writer.
//!
//! The reader takes one frame at a time through [`dispatch`]; only messages are pipelined. The writer drains the queue
//! before it flushes, so that many frames cost one system call.

mod dispatch;
pub mod embedded;
pub mod failure;
pub mod queue;
pub mod state;

use crate::{listen::Peer, metrics::Metrics, node::Node};
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::{SinkExt, StreamExt, stream::SplitSink};
use queue::{Closed, Queue, Waiting};
use state::Connection;
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, MissedTickBehavior};

/// Carries one connection from its upgrade to its end.
pub async fn serve(socket: WebSocket, node: Arc<Node>, peer: Peer) {
    let limits = &node.config.limits;
    let queue = Arc::new(Queue::new(limits.queue_frames, limits.queue_bytes));
    let heard = Arc::new(AtomicBool::new(true));
    let (sink, stream) = socket.split();
    let writer = Writer {
        sink,
        queue: Arc::clone(&queue),
        heard: Arc::clone(&heard),
        metrics: Arc::clone(&node.metrics),
        idle_timeout: Duration::from_millis(limits.idle_timeout_ms),
        slow_timeout: Duration::from_millis(limits.slow_reader_timeout_ms),
    };
    let deadline = Instant::now() + Duration::from_millis(limits.authenticate_timeout_ms);
    let alive = node.connections.token();
    let writer = tokio::spawn(writer.run());
    let mut connection = Connection::new(node, peer, Arc::clone(&queue));
    let reason = read(stream, &mut connection, &heard, deadline).await;
    connection.end().await;
    queue.close(reason);
    // The writer says goodbye; it ends by its own deadlines, and cannot fail in a way that matters to anyone.
    let _ = writer.await;
    drop(alive);
}

async fn read(
    mut stream: futures_util::stream::SplitStream<WebSocket>,
    connection: &mut Connection,
    heard: &AtomicBool,
    deadline: Instant,
) -> Closed {
    let queue = connection.queue();
    let closed = queue.until_closed();
    tokio::pin!(closed);
    let expired = tokio::time::sleep_until(deadline);
    tokio::pin!(expired);
    // A person waits for another of their devices to confirm this one.
    let lingered = tokio::time::sleep_until(deadline + Duration::from_millis(rules::link::OFFER_LIFE_MS));
    tokio::pin!(lingered);
    let node = Arc::clone(&connection.node);
    let draining = node.until_draining();
    tokio::pin!(draining);
    loop {
        let message = tokio::select! {
            // What has come is taken first, and the others are not asked. They have their turn all the same: the runtime lets no
            // task read without end.
            biased;
            message = stream.next() => message,
            reason = &mut closed => return reason,
            () = &mut expired, if !connection.is_proved() => return Closed::Silent,
            () = &mut lingered, if !connection.is_device() => return Closed::Silent,
            // A device's queue is closed for it, after the event that says why.
            () = &mut draining, if !connection.is_device() => return Closed::Draining,
        };
        heard.store(true, Ordering::Relaxed);
        match message {
            Some(Ok(Message::Binary(bytes))) => {
                if let Err(reason) = connection.frame(bytes).await {
                    return reason;
                }
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Close(_))) | None => return Closed::Gone,
            Some(Ok(Message::Text(_)) | Err(_)) => return Closed::Misbehaved,
        }
    }
}

struct Writer {
    sink: SplitSink<WebSocket, Message>,
    queue: Arc<Queue>,
    heard: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
    idle_timeout: Duration,
    slow_timeout: Duration,
}

/// The other side does not take what is written.
struct Stuck;

impl Writer {
    async fn run(mut self) {
        let mut tick = tokio::time::interval(self.idle_timeout / 3);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick.reset();
        let mut silent = 0;
        let reason = loop {
            tokio::select! {
                waiting = self.queue.wait() => match waiting {
                    Waiting::Frames(frames) => {
                        if self.write(frames).await.is_err() {
                            break Closed::Slow;
                        }
                    }
                    Waiting::Closed(reason) => break reason,
                },
                _ = tick.tick() => {
                    silent = if self.heard.swap(false, Ordering::Relaxed) { 0 } else { silent + 1 };
                    if silent >= 3 {
                        break Closed::Silent;
                    }
                    if self.send(Message::Ping(bytes::Bytes::new())).await.is_err() {
                        break Closed::Slow;
                    }
                }
            }
        };
        self.queue.close(reason);
        if reason == Closed::Slow {
            self.metrics.slow_reader();
        }
        let (code, text) = reason.code();
        let goodbye = Message::Close(Some(CloseFrame { code, reason: text.into() }));
        // Nobody may be listening any more.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.sink.send(goodbye)).await;
        let _ = tokio::time::timeout(Duration::from_secs(1), self.sink.close()).await;
    }

    /// Writes what waits, and what arrives meanwhile, and only then flushes.
    async fn write(&mut self, mut frames: VecDeque<bytes::Bytes>) -> Result<(), Stuck> {
        let sink = &mut self.sink;
        let queue = &self.queue;
        let all = async {
            loop {
                for frame in frames.drain(..) {
                    sink.feed(Message::Binary(frame)).await.map_err(|_| Stuck)?;
                }
                match queue.take() {
                    Some(Waiting::Frames(more)) => frames = more,
                    _ => return sink.flush().await.map_err(|_| Stuck),
                }
            }
        };
        tokio::time::timeout(self.slow_timeout, all).await.unwrap_or(Err(Stuck))
    }

    async fn send(&mut self, message: Message) -> Result<(), Stuck> {
        let sent = tokio::time::timeout(self.slow_timeout, self.sink.send(message)).await;
        if matches!(sent, Ok(Ok(()))) { Ok(()) } else { Err(Stuck) }
    }
}
