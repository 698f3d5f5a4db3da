//! A connection to the clients' listener, frame by frame.

use super::Server;
use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::ServerName;
use std::{collections::VecDeque, time::Duration};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, protocol::CloseFrame},
};
use wire::{
    Event, Operation, Refusal,
    frame::{self, ServerFrame},
    request::{Greeting, Hello},
};

const PATIENCE: Duration = Duration::from_secs(20);

pub struct Line {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    next: u32,
    pub events: VecDeque<Event>,
}

/// What came instead of a frame.
#[derive(Debug, PartialEq, Eq)]
pub struct Gone(pub Option<u16>);

impl Line {
    pub async fn connect(server: &Server) -> Self {
        Self::try_connect(server).await.unwrap()
    }

    pub async fn try_connect(server: &Server) -> Result<Self, Box<dyn std::error::Error>> {
        let stream = TcpStream::connect(server.addresses.clients).await?;
        stream.set_nodelay(true)?;
        let stream = TlsConnector::from(server.tls()).connect(ServerName::try_from("localhost")?, stream).await?;
        let url = format!("wss://localhost:{}/v1/connect", server.addresses.clients.port());
        let (socket, _) = client_async(url, stream).await?;
        Ok(Self { socket, next: 0, events: VecDeque::new() })
    }

    /// Connects and says hello.
    pub async fn hello(server: &Server, tenant: &str) -> (Self, Greeting) {
        let mut line = Self::connect(server).await;
        let greeting = line.call(&Hello { version: 1, tenant: tenant.into(), agent: "test".into() }).await.unwrap();
        (line, greeting)
    }

    pub async fn call<O: Operation>(&mut self, operation: &O) -> Result<O::Answer, Refusal> {
        let id = self.begin(operation).await;
        self.answer::<O>(id).await.unwrap()
    }

    /// Sends a request without waiting for its answer.
    pub async fn begin<O: Operation>(&mut self, operation: &O) -> u32 {
        self.next += 1;
        self.raw(frame::request(self.next, operation)).await;
        self.next
    }

    /// As [`Line::begin`], for a connection that may be broken.
    pub async fn try_begin<O: Operation>(&mut self, operation: &O) -> Option<u32> {
        self.next += 1;
        let sent = self.try_raw(Message::Binary(frame::request(self.next, operation).into())).await;
        sent.then_some(self.next)
    }

    pub async fn answer<O: Operation>(&mut self, id: u32) -> Result<Result<O::Answer, Refusal>, Gone> {
        loop {
            match self.frame().await? {
                Frame::Event(event) => self.events.push_back(event),
                Frame::Answer(got, body) if got == id => return Ok(Ok(wire::decode(&body).unwrap())),
                Frame::Refused(got, refusal) if got == id => return Ok(Err(refusal)),
                other => panic!("not the answer to {id}: {other:?}"),
            }
        }
    }

    pub async fn event(&mut self) -> Event {
        if let Some(event) = self.events.pop_front() {
            return event;
        }
        match self.frame().await.unwrap() {
            Frame::Event(event) => event,
            other => panic!("not an event: {other:?}"),
        }
    }

    pub async fn raw(&mut self, bytes: Vec<u8>) {
        self.socket.send(Message::Binary(bytes.into())).await.unwrap();
    }

    pub async fn try_raw(&mut self, message: Message) -> bool {
        self.socket.send(message).await.is_ok()
    }

    pub async fn frame(&mut self) -> Result<Frame, Gone> {
        loop {
            let message =
                tokio::time::timeout(PATIENCE, self.socket.next()).await.unwrap_or_else(|_| panic!("nothing came"));
            match message {
                Some(Ok(Message::Binary(bytes))) => return Ok(Frame::read(&bytes)),
                Some(Ok(Message::Close(Some(CloseFrame { code, .. })))) => return Err(Gone(Some(code.into()))),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => return Err(Gone(None)),
            }
        }
    }

    /// Waits for the connection to end.
    pub async fn gone(&mut self) -> Gone {
        loop {
            if let Err(gone) = self.frame().await {
                return gone;
            }
        }
    }

    pub async fn close(mut self) {
        let _ = self.socket.close(None).await;
    }
}

#[derive(Debug)]
pub enum Frame {
    Answer(u32, Vec<u8>),
    Refused(u32, Refusal),
    Event(Event),
}

impl Frame {
    fn read(bytes: &[u8]) -> Self {
        match frame::read_server(bytes).unwrap() {
            ServerFrame::Answer { id, body } => Self::Answer(id, body.into()),
            ServerFrame::Refused { id, body } => Self::Refused(id, wire::decode(body).unwrap()),
            ServerFrame::Event { kind, body } => Self::Event(Event::decode(kind, body).unwrap().unwrap()),
        }
    }
}
