//! The loop between the brain and the browser. Nothing waits: after everything that happened the shell writes what the
//! brain wants written, connects or disconnects as it wants, and sets one timer.

use super::socket::{Happened, Socket};
use super::timer::Timer;
use crate::now;
use client::{Client, Error, Event};
use std::cell::RefCell;
use std::fmt;
use std::rc::{Rc, Weak};

/// When the brain names no time of its own.
const IDLE_MS: u64 = 60_000;

/// Hears what the brain tells. It may call the shell.
pub type Listener = Box<dyn Fn(Result<Event, Error>)>;

/// Runs one client in a worker.
pub struct Shell(Rc<Inner>);

struct Inner {
    state: RefCell<State>,
    url: String,
    listener: Listener,
}

struct State {
    client: Client,
    socket: Option<Socket>,
    /// Which socket it is: what an earlier one still says is not heard.
    generation: u64,
    timer: Option<Timer>,
    /// The device's own database fails: nothing is done any more.
    failed: bool,
}

impl Shell {
    /// A shell around a client, which connects to this `wss:` address. It starts with [`Shell::start`].
    pub fn new(client: Client, url: String, listener: Listener) -> Self {
        let state = State { client, socket: None, generation: 0, timer: None, failed: false };
        Self(Rc::new(Inner { state: RefCell::new(state), url, listener }))
    }

    /// Begins to do what the brain wants.
    pub fn start(&self) {
        self.0.after(|state| state.client.handle_timeout(now()));
    }

    /// A command or a question; what it wants written goes out before this returns.
    ///
    /// # Errors
    /// Those of the call.
    pub fn call<T>(&self, call: impl FnOnce(&mut Client) -> Result<T, Error>) -> Result<T, Error> {
        let result = call(&mut self.0.state.borrow_mut().client);
        self.0.settle();
        result
    }

    /// A question that changes nothing.
    ///
    /// # Errors
    /// Those of the call.
    pub fn ask<T>(&self, ask: impl FnOnce(&Client) -> Result<T, Error>) -> Result<T, Error> {
        ask(&self.0.state.borrow().client)
    }

    /// Whether there is a connection, if only to be greeted.
    pub fn is_connected(&self) -> bool {
        self.0.state.borrow().socket.as_ref().is_some_and(Socket::is_open)
    }
}

impl Inner {
    /// Does something, then what it has made possible. What goes wrong underneath ends the loop; what the server does
    /// wrong, the connection.
    fn after(self: &Rc<Self>, work: impl FnOnce(&mut State) -> Result<(), Error>) {
        let failure = {
            let mut state = self.state.borrow_mut();
            match work(&mut state) {
                Ok(()) => None,
                Err(Error::Protocol(_)) => {
                    state.disconnect();
                    None
                }
                Err(error) => {
                    state.disconnect();
                    state.failed = true;
                    Some(error)
                }
            }
        };
        self.settle();
        if let Some(error) = failure {
            (self.listener)(Err(error));
        }
    }

    /// Brings the world to what the brain wants, then tells.
    fn settle(self: &Rc<Self>) {
        let mut events = Vec::new();
        {
            let mut state = self.state.borrow_mut();
            if !state.failed {
                state.transmit();
                let wanted = state.client.wants_connection(now());
                match &state.socket {
                    Some(_) if !wanted => state.disconnect(),
                    None if wanted => self.connect(&mut state),
                    _ => {}
                }
                state.timer = self.next_timer(&state);
            }
            events.extend(std::iter::from_fn(|| state.client.poll_event()));
        }
        for event in events {
            (self.listener)(Ok(event));
        }
    }

    fn connect(self: &Rc<Self>, state: &mut State) {
        state.generation += 1;
        let (shell, generation) = (Rc::downgrade(self), state.generation);
        match Socket::open(&self.url, move |happened| Self::happened(&shell, generation, happened)) {
            Ok(socket) => state.socket = Some(socket),
            Err(_) => state.client.handle_disconnected(now()),
        }
    }

    fn happened(shell: &Weak<Self>, generation: u64, happened: Happened) {
        let Some(shell) = shell.upgrade() else { return };
        shell.after(|state| match happened {
            _ if state.generation != generation || state.socket.is_none() || state.failed => Ok(()),
            Happened::Opened => state.client.handle_connected(now()),
            Happened::Frame(bytes) => state.client.handle_frame(&bytes, now()),
            Happened::Closed => {
                state.disconnect();
                Ok(())
            }
        });
    }

    fn next_timer(self: &Rc<Self>, state: &State) -> Option<Timer> {
        let wait = state.client.poll_timeout().map_or(IDLE_MS, |at| at.saturating_sub(now()));
        let shell = Rc::downgrade(self);
        Timer::start(wait, move || {
            if let Some(shell) = shell.upgrade() {
                shell.after(State::tick);
            }
        })
    }
}

impl State {
    fn tick(&mut self) -> Result<(), Error> {
        let due = self.client.poll_timeout().is_some_and(|at| at <= now());
        if due && !self.failed { self.client.handle_timeout(now()) } else { Ok(()) }
    }

    fn transmit(&mut self) {
        let Some(socket) = self.socket.as_ref().filter(|socket| socket.is_open()) else { return };
        while let Some(frame) = self.client.poll_transmit() {
            if socket.send(&frame).is_err() {
                self.disconnect();
                return;
            }
        }
    }

    fn disconnect(&mut self) {
        self.socket = None;
        self.client.handle_disconnected(now());
    }
}

impl fmt::Debug for Shell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shell").field("connected", &self.is_connected()).finish_non_exhaustive()
    }
}
