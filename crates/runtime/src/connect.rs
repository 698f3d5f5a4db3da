//! A WebSocket to the server, over TLS 1.3.

use crate::verify::PinnedAuthority;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// Longer than this, and a connection is not coming.
const CONNECT_DEADLINE: Duration = Duration::from_secs(15);
/// Room for the largest answer that a server gives: a page of entries or a ratchet tree.
const MESSAGE_MAX_BYTES: usize = 2 * wire::limits::FRAME_MAX_BYTES;

pub(crate) type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// Where a server is and how it is known.
#[derive(Clone)]
pub struct Server {
    host: String,
    port: u16,
    name: ServerName<'static>,
    tls: TlsConnector,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The host is neither a name nor an address.
    #[error("`{0}` is neither a host name nor an address")]
    Host(String),
    /// TLS could not be set up on this side.
    #[error("TLS is not available")]
    Setup(#[source] rustls::Error),
    /// The server cannot be reached, or is not who it should be.
    #[error("no connection to the server")]
    Io(#[from] std::io::Error),
    /// The server does not speak WebSocket.
    #[error("the server does not answer as one of ours")]
    Handshake(#[source] Box<tungstenite::Error>),
    /// It took too long.
    #[error("the server did not answer in time")]
    TimedOut,
}

impl Server {
    /// The server at `host`, whose certificate ends in the authority with this SHA-256 fingerprint.
    ///
    /// # Errors
    /// [`ConnectError::Host`] or [`ConnectError::Setup`].
    pub fn new(host: &str, port: u16, authority_sha256: [u8; 32]) -> Result<Self, ConnectError> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(|_| ConnectError::Host(host.into()))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = Arc::new(PinnedAuthority::new(authority_sha256, provider.clone()));
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(ConnectError::Setup)?
            // The pinned authority is stricter than the system's list, not looser: the verifier checks all that webpki does.
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Self { host: host.into(), port, name, tls: TlsConnector::from(Arc::new(config)) })
    }

    pub(crate) async fn connect(&self) -> Result<Socket, ConnectError> {
        timeout(CONNECT_DEADLINE, self.open()).await.map_err(|_| ConnectError::TimedOut)?
    }

    async fn open(&self) -> Result<Socket, ConnectError> {
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
        tcp.set_nodelay(true)?;
        let tls = self.tls.connect(self.name.clone(), tcp).await?;
        let authority = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let url = format!("wss://{authority}:{}/v1/connect", self.port);
        let config = WebSocketConfig::default()
            .read_buffer_size(16 << 10)
            .max_message_size(Some(MESSAGE_MAX_BYTES))
            .max_frame_size(Some(MESSAGE_MAX_BYTES));
        let opened = tokio_tungstenite::client_async_with_config(url, tls, Some(config)).await;
        opened.map(|(socket, _)| socket).map_err(|error| ConnectError::Handshake(Box::new(error)))
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Server({}:{})", self.host, self.port)
    }
}
