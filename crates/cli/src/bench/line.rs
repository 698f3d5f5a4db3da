//! A connection of the load generator's: TLS 1.3 without resumption, and a WebSocket.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use wire::frame::{self, ServerFrame};
use wire::{Operation, Refusal};

/// What everything of this module travels on.
pub(super) type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// The name in the certificates of both servers.
pub(super) const SERVER_NAME: &str = "localhost";

/// Where a server is and how to connect to it.
#[derive(Clone)]
pub(super) struct Target {
    address: SocketAddr,
    tls: TlsConnector,
}

impl Target {
    /// `caller` says whom to trust. Every connection makes a whole handshake.
    pub(super) fn new(address: SocketAddr, caller: &ClientConfig) -> Self {
        let mut config = caller.clone();
        config.resumption = Resumption::disabled();
        Self { address, tls: TlsConnector::from(Arc::new(config)) }
    }

    /// A TLS connection.
    pub(super) async fn handshake(&self) -> Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        Ok(self.tls.connect(ServerName::try_from(SERVER_NAME)?, tcp).await?)
    }

    /// A WebSocket.
    pub(super) async fn connect(&self) -> Result<Socket> {
        let stream = self.handshake().await?;
        let config = WebSocketConfig::default().read_buffer_size(16 << 10).write_buffer_size(16 << 10);
        let url = format!("wss://{SERVER_NAME}/v1/connect");
        let (socket, _) = tokio_tungstenite::client_async_with_config(url, stream, Some(config)).await?;
        Ok(socket)
    }
}

/// The next binary message.
pub(super) async fn receive(socket: &mut Socket) -> Result<Bytes> {
    loop {
        match socket.next().await.context("the server closed the connection")?? {
            Message::Binary(bytes) => return Ok(bytes),
            Message::Close(reason) => bail!("the server closed the connection: {reason:?}"),
            _ => {}
        }
    }
}

/// One request and its answer, with nothing else on its way but events.
pub(super) async fn ask<O: Operation>(socket: &mut Socket, operation: &O) -> Result<O::Answer> {
    socket.send(Message::Binary(frame::request(1, operation).into())).await?;
    loop {
        let bytes = receive(socket).await?;
        match frame::read_server(&bytes)? {
            ServerFrame::Answer { body, .. } => return Ok(wire::decode(body)?),
            ServerFrame::Refused { body, .. } => {
                let refusal: Refusal = wire::decode(body)?;
                bail!("{} was refused: {refusal}", O::OP.as_str());
            }
            ServerFrame::Event { .. } => {}
        }
    }
}
