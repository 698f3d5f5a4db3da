//! Fetches what the internal listener tells about the server.

use super::tls::Plane;
use anyhow::{Result, bail};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The name in the internal listener's certificate, wherever it listens.
const SERVER_NAME: &str = "internal.mifeng.internal";
const TIMEOUT: Duration = Duration::from_secs(10);

/// `GET /metrics` with the internal client certificate of the server's data directory; head and body as they came.
pub(crate) async fn fetch(data: &Path, address: SocketAddr) -> Result<Vec<u8>> {
    let answer = tokio::time::timeout(TIMEOUT, call(data, address)).await??;
    if answer.starts_with(b"HTTP/1.1 200 ") {
        Ok(answer)
    } else {
        bail!("the metrics were refused: {}", String::from_utf8_lossy(answer.get(..30).unwrap_or(&answer)))
    }
}

async fn call(data: &Path, address: SocketAddr) -> Result<Vec<u8>> {
    let connector = TlsConnector::from(Plane::internal(data).caller()?);
    let stream = TcpStream::connect(address).await?;
    let mut stream = connector.connect(SERVER_NAME.try_into()?, stream).await?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {SERVER_NAME}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer).await {
        // A server that closes without TLS's own farewell has still answered.
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(error.into()),
        _ => Ok(answer),
    }
}
