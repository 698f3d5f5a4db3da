//! The loop between the brain and the world. It fits on one screen: write what the brain wants written, tell what it has to
//! tell, wait for a frame or for time to pass, hand that in, again.

use crate::connect::{ConnectError, Server, Socket};
use crate::now;
use client::{Client, Event};
use futures_util::{SinkExt, StreamExt};
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
#[derive(Debug)]
pub struct Shell {
    client: Client,
    server: Server,
    socket: Option<Connection>,
    last_failure: Option<ConnectError>,
}

#[derive(Debug)]
struct Connection {
    socket: Socket,
    heard: Instant,
    pinged: bool,
}

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
        Self { client, server, socket: None, last_failure: None }
    }

    /// The brain, for commands and questions. What they want written goes out with the next [`Shell::run`].
    pub const fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Goes on until `done` says so, which is asked at the start and after everything that happened, or until `deadline`.
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
        match &mut self.socket {
            Some(_) if !wanted => self.disconnect(),
            Some(connection) => {
                let wait = until(self.client.poll_timeout()).min(connection.until_ping());
                tokio::select! {
                    frame = connection.socket.next() => self.hear(frame)?,
                    () = sleep(wait) => self.tick().await?,
                }
            }
            None if wanted => self.connect().await?,
            None => sleep(until(self.client.poll_timeout()).min(IDLE)).await,
        }
        Ok(())
    }

    async fn connect(&mut self) -> Result<(), ShellError> {
        match self.server.connect().await {
            Ok(socket) => {
                self.socket = Some(Connection { socket, heard: Instant::now(), pinged: false });
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

    async fn tick(&mut self) -> Result<(), ShellError> {
        if let Some(connection) = &mut self.socket {
            let silence = connection.heard.elapsed();
            if silence >= SILENCE_MAX {
                self.disconnect();
                return Ok(());
            }
            if silence >= PING_AFTER && !connection.pinged {
                connection.pinged = true;
                if connection.socket.send(Message::Ping(Default::default())).await.is_err() {
                    self.disconnect();
                    return Ok(());
                }
            }
        }
        let due = self.client.poll_timeout().is_some_and(|at| at <= now());
        let result = if due { self.client.handle_timeout(now()) } else { Ok(()) };
        self.survive(result)
    }

    /// Writes everything that waits, then flushes once.
    async fn transmit(&mut self) {
        let Some(connection) = &mut self.socket else { return };
        let mut failed = false;
        let mut wrote = false;
        while let (false, Some(frame)) = (failed, self.client.poll_transmit()) {
            failed = connection.socket.feed(Message::Binary(frame.into())).await.is_err();
            wrote = true;
        }
        if failed || (wrote && connection.socket.flush().await.is_err()) {
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
        self.socket = None;
        self.client.handle_disconnected(now());
    }
}

impl Connection {
    fn until_ping(&self) -> Duration {
        let next = if self.pinged { SILENCE_MAX } else { PING_AFTER };
        next.saturating_sub(self.heard.elapsed())
    }
}

/// How long until a time on the wall clock.
fn until(at: Option<wire::UnixMillis>) -> Duration {
    at.map_or(IDLE, |at| Duration::from_millis(at.saturating_sub(now())))
}
