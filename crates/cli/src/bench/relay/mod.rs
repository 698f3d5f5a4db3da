//! The bare relay: the floor under every server that does this work. The same TLS, the same WebSocket library and buffers, a
//! log on the disk that is synced before anybody is told, once for all that waits. It knows no accounts, checks nothing,
//! seals nothing, and cannot be asked for what it has stored.
//!
//! A frame is the receiver's number (4 bytes, [`EVERYONE`] for all others) and a body, delivered as it came. The first frame
//! of a connection is its own number; it comes back. A sender is told how many of its frames are stored since it was last
//! told: a frame of 8 bytes, [`STORED`] and the number.

mod log;
mod process;

pub(super) use process::Relay;

use super::machine;
use crate::daemon::tls::Plane;
use anyhow::{Context, Result};
use bytes::Bytes;
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use log::{Appended, Log};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::spawn_local;
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// All who are connected, but for the sender.
pub(super) const EVERYONE: u32 = u32::MAX;
/// Begins the frame that tells how many are stored.
pub(super) const STORED: u32 = u32::MAX - 1;

/// Batches on their way back from the disk.
const BATCHES: usize = 64;

/// Run the bare relay that `bench` compares with, until standard input ends.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Data directory of a mifengd, whose authority makes the relay's certificate.
    #[arg(long)]
    data: PathBuf,
    /// The log to append to.
    #[arg(long)]
    log: PathBuf,
}

/// Who is connected, by number.
type Connected = Rc<RefCell<HashMap<u32, Rc<Outbox>>>>;

/// What waits to be written to one connection.
#[derive(Default)]
struct Outbox {
    frames: RefCell<VecDeque<Bytes>>,
    stored: Cell<u32>,
    filled: Notify,
}

impl Args {
    /// Serves until standard input ends. The first line of output is where.
    pub(super) fn serve(self) -> Result<()> {
        std::thread::spawn(|| {
            // Whoever started it holds the other end, and with them it goes.
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            std::process::exit(0);
        });
        machine::raise_open_files()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        tokio::task::LocalSet::new().block_on(&runtime, accept(&self.data, &self.log))
    }
}

async fn accept(data: &Path, log: &Path) -> Result<()> {
    let acceptor = TlsAcceptor::from(Plane::clients(data).stand_in(super::line::SERVER_NAME)?);
    let connected = Connected::default();
    let (tell, told) = mpsc::channel(BATCHES);
    let log = Log::open(log, tell)?;
    spawn_local(pass_on(told, Rc::clone(&connected)));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let (acceptor, connected, log) = (acceptor.clone(), Rc::clone(&connected), log.clone());
        spawn_local(async move {
            // A connection that breaks is its own affair; who drives the load notices.
            let _ = session(stream, &acceptor, &connected, &log).await;
        });
    }
}

/// What is stored goes to its receivers, and its senders are told, each once.
async fn pass_on(mut told: mpsc::Receiver<Vec<Appended>>, connected: Connected) {
    while let Some(batch) = told.recv().await {
        let connected = connected.borrow();
        for Appended { from, frame } in batch {
            let to = frame.first_chunk().map_or(EVERYONE, |to| u32::from_be_bytes(*to));
            match connected.get(&to) {
                Some(outbox) => outbox.put(frame),
                None if to == EVERYONE => {
                    connected.iter().filter(|(other, _)| **other != from).for_each(|(_, box_)| box_.put(frame.clone()));
                }
                None => {}
            }
            if let Some(outbox) = connected.get(&from) {
                outbox.stored.set(outbox.stored.get() + 1);
                outbox.filled.notify_one();
            }
        }
    }
}

async fn session(stream: TcpStream, acceptor: &TlsAcceptor, connected: &Connected, log: &Log) -> Result<()> {
    stream.set_nodelay(true)?;
    let stream = acceptor.accept(stream).await?;
    // As mifengd's.
    let config = WebSocketConfig::default().read_buffer_size(4 << 10).write_buffer_size(16 << 10);
    let socket = tokio_tungstenite::accept_async_with_config(stream, Some(config)).await?;
    let (mut sink, mut stream) = socket.split();
    let hello = stream.next().await.context("no first frame")??.into_data();
    let own = u32::from_be_bytes(*hello.first_chunk().context("no number in the first frame")?);
    let outbox = Rc::new(Outbox::default());
    connected.borrow_mut().insert(own, Rc::clone(&outbox));
    sink.send(Message::Binary(hello)).await?;
    spawn_local(async move { outbox.write_to(sink).await });
    while let Some(Ok(Message::Binary(frame))) = stream.next().await {
        log.append(Appended { from: own, frame })?;
    }
    connected.borrow_mut().remove(&own);
    Ok(())
}

impl Outbox {
    fn put(&self, frame: Bytes) {
        self.frames.borrow_mut().push_back(frame);
        self.filled.notify_one();
    }

    /// Writes all that waits, then flushes once. Ends with the connection.
    async fn write_to(&self, mut sink: SplitSink<WebSocketStream<TlsStream<TcpStream>>, Message>) -> Option<()> {
        loop {
            self.filled.notified().await;
            loop {
                let frames = self.frames.take();
                let stored = self.stored.take();
                if frames.is_empty() && stored == 0 {
                    break;
                }
                for frame in frames {
                    sink.feed(Message::Binary(frame)).await.ok()?;
                }
                if stored > 0 {
                    let told = [STORED.to_be_bytes(), stored.to_be_bytes()].concat();
                    sink.feed(Message::Binary(told.into())).await.ok()?;
                }
            }
            sink.flush().await.ok()?;
        }
    }
}
