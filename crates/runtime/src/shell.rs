//! The loop between the brain and the world. It fits on one screen: write what the brain wants written, tell what it has to
//! tell, wait for a frame or for time to pass, hand that in, again.

use crate::connect::{ConnectError, Server, Socket};
use crate::now;
use client::{Client, Event};
use futures_util::{SinkExt, StreamExt};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_tungstenite::tungstenite::{self, Message};

/// A server that says nothing for so long, not even to a ping, is gone. A stopped process still acknowledges TCP, so only a
/// deadline of our own notices.
const SILENCE_MAX: Duration = Duration::from_secs(45);
const PING_AFTER: Duration = Duration::from_secs(20);
/// When the brain names no time of its own.
const IDLE: Duration = Duration::from_secs(60);

/// Runs one client.
pub struct Shell {
    client: Client,
    server: Server,
    socket: Option<Connection>,
    connecting: Option<Connecting>,
    last_failure: Option<ConnectError>,
}

struct Connection {
    socket: Socket,
    heard: Instant,
    pinged: bool,
    ping_due: bool,
    unflushed: bool,
}

type Connecting = Pin<Box<dyn Future<Output = Result<Socket, ConnectError>> + Send>>;

/// Whether the loop goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next<T> {
    /// It does.
    Wait,
    /// It ends with this.
    Done(T),
}

/// Why the loop ended without a result.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The time given is over. The last reason for being without a connection is told, if there is one.
    #[error("the server did not do it in time")]
    TimedOut(#[source] Option<ConnectError>),
    /// The brain failed, and would again: the device's own database, most likely.
    #[error(transparent)]
    Client(#[from] client::Error),
}

impl Shell {
    /// A shell around a client.
    pub const fn new(client: Client, server: Server) -> Self {
        Self { client, server, socket: None, connecting: None, last_failure: None }
    }

    /// The brain, for commands and questions. What they want written goes out with the next [`Shell::run`].
    pub const fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Whether there is a connection, if only to be greeted.
    pub const fn is_connected(&self) -> bool {
        self.socket.is_some()
    }

    /// Goes on until `done` says so, which is asked at the start and after everything that happened, or until `deadline`.
    ///
    /// It may be dropped at any time, for a user interface that has something better to do, and called again: nothing is
    /// lost or done twice by that, and an attempt to connect goes on where it was.
    ///
    /// # Errors
    /// [`ShellError`]; everything that was acknowledged before is durable.
    pub async fn run<T>(
        &mut self,
        deadline: Option<Duration>,
        mut done: impl FnMut(&mut Client, Option<Event>) -> Result<Next<T>, client::Error>,
    ) -> Result<T, ShellError> {
        let deadline = deadline.map(|after| Instant::now() + after);
        loop {
            self.transmit().await;
            while let Some(event) = self.client.poll_event() {
                if let Next::Done(value) = done(&mut self.client, Some(event))? {
                    self.transmit().await;
                    return Ok(value);
                }
            }
            if let Next::Done(value) = done(&mut self.client, None)? {
                self.transmit().await;
                return Ok(value);
            }
            let step = self.step();
            match deadline {
                None => step.await?,
                Some(at) => match timeout_at(at, step).await {
                    Ok(result) => result?,
                    Err(_) => return Err(ShellError::TimedOut(self.last_failure.take())),
                },
            }
        }
    }

    /// Closes the connection politely.
    pub async fn close(mut self) {
        if let Some(connection) = &mut self.socket {
            // Whatever a polite goodbye meets changes nothing: all that counts is durable.
            let _ = timeout_at(Instant::now() + Duration::from_secs(2), connection.socket.close(None)).await;
        }
    }

    /// Waits for one thing to happen and hands it to the brain.
    async fn step(&mut self) -> Result<(), ShellError> {
        let wanted = self.client.wants_connection(now());
        let due = until(self.client.poll_timeout()).min(IDLE);
        match &mut self.socket {
            Some(_) if !wanted => {
                self.disconnect();
                Ok(())
            }
            Some(connection) => {
                let wait = due.min(connection.until_ping());
                tokio::select! {
                    frame = connection.socket.next() => self.hear(frame),
                    () = sleep(wait) => self.tick(),
                }
            }
            None if wanted || self.connecting.is_some() => {
                let server = self.server.clone();
                let connecting = self.connecting.get_or_insert_with(|| Box::pin(async move { server.connect().await }));
                tokio::select! {
                    connected = connecting => self.connected(connected),
                    () = sleep(due), if !due.is_zero() => self.tick(),
                }
            }
            None => {
                sleep(due).await;
                self.tick()
            }
        }
    }

    fn connected(&mut self, connected: Result<Socket, ConnectError>) -> Result<(), ShellError> {
        self.connecting = None;
        match connected {
            Ok(socket) => {
                let heard = Instant::now();
                self.socket = Some(Connection { socket, heard, pinged: false, ping_due: false, unflushed: false });
                self.last_failure = None;
                let result = self.client.handle_connected(now());
                self.survive(result)
            }
            Err(error) => {
                tracing::debug!(%error, "no connection");
                self.last_failure = Some(error);
                self.client.handle_disconnected(now());
                Ok(())
            }
        }
    }

    fn hear(&mut self, frame: Option<Result<Message, tungstenite::Error>>) -> Result<(), ShellError> {
        if let Some(connection) = &mut self.socket {
            (connection.heard, connection.pinged) = (Instant::now(), false);
        }
        match frame {
            Some(Ok(Message::Binary(bytes))) => {
                let result = self.client.handle_frame(&bytes, now());
                self.survive(result)
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            Some(Ok(_)) | Some(Err(_)) | None => {
                self.disconnect();
                Ok(())
            }
        }
    }

    fn tick(&mut self) -> Result<(), ShellError> {
        if let Some(connection) = &mut self.socket {
            let silence = connection.heard.elapsed();
            if silence >= SILENCE_MAX {
                self.disconnect();
                return Ok(());
            }
            if silence >= PING_AFTER && !connection.pinged {
                (connection.pinged, connection.ping_due) = (true, true);
            }
        }
        let due = self.client.poll_timeout().is_some_and(|at| at <= now());
        let result = if due { self.client.handle_timeout(now()) } else { Ok(()) };
        self.survive(result)
    }

    /// Writes everything that waits, then flushes once. Frames leave the brain only when the socket has room for them, so
    /// that this can be dropped in between.
    async fn transmit(&mut self) {
        let (client, Some(connection)) = (&mut self.client, &mut self.socket) else { return };
        if connection.write(client).await.is_err() {
            self.disconnect();
        }
    }

    /// A server that breaks the protocol costs the connection, a broken database the loop.
    fn survive(&mut self, result: Result<(), client::Error>) -> Result<(), ShellError> {
        match result {
            Ok(()) => Ok(()),
            Err(error @ client::Error::Protocol(_)) => {
                tracing::warn!(%error, "connection given up");
                self.disconnect();
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn disconnect(&mut self) {
        (self.socket, self.connecting) = (None, None);
        self.client.handle_disconnected(now());
    }
}

impl Connection {
    async fn write(&mut self, client: &mut Client) -> Result<(), tungstenite::Error> {
        loop {
            poll_fn(|context| self.socket.poll_ready_unpin(context)).await?;
            let message = if std::mem::take(&mut self.ping_due) {
                Message::Ping(Default::default())
            } else {
                match client.poll_transmit() {
                    Some(frame) => Message::Binary(frame.into()),
                    None => break,
                }
            };
            self.socket.start_send_unpin(message)?;
            self.unflushed = true;
        }
        if self.unflushed {
            self.socket.flush().await?;
            self.unflushed = false;
        }
        Ok(())
    }

    fn until_ping(&self) -> Duration {
        let next = if self.pinged { SILENCE_MAX } else { PING_AFTER };
        next.saturating_sub(self.heard.elapsed())
    }
}

/// How long until a time on the wall clock.
fn until(at: Option<wire::UnixMillis>) -> Duration {
    at.map_or(IDLE, |at| Duration::from_millis(at.saturating_sub(now())))
}

impl fmt::Debug for Shell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shell").field("client", &self.client).field("connected", &self.is_connected()).finish()
    }
}
