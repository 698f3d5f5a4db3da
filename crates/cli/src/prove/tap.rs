//! A tap between clients and server: it ends the clients' TLS, speaks TLS to the server, and keeps every byte of both
//! directions as it was between the two.

use super::websocket::Unmask;
use crate::daemon::tls::Plane;
use anyhow::{Context, Result, bail};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A running tap. Dropping it ends it.
pub(super) struct Tap {
    /// Where clients connect, on 127.0.0.1.
    pub(super) port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    server: SocketAddr,
    host: ServerName<'static>,
    folder: PathBuf,
    /// What kept the record from being whole.
    failures: Mutex<Vec<String>>,
}

impl Tap {
    /// Listens on a free port. `data` is the server's data directory, `host` the name by which devices know the server;
    /// the record goes into `folder`: for each connection what the client sent, the same without the WebSocket mask, and
    /// what the server sent.
    pub(super) async fn start(data: &Path, server: SocketAddr, host: &str, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let plane = Plane::clients(data);
        let (show, call): (Arc<ServerConfig>, Arc<ClientConfig>) = (plane.stand_in(host)?, plane.caller()?);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            acceptor: show.into(),
            connector: call.into(),
            server,
            host: ServerName::try_from(host.to_owned())?,
            folder: folder.to_owned(),
            failures: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Ok(Self { port, shared, accepting })
    }

    /// The files of the record so far.
    ///
    /// # Errors
    /// When the record is not whole.
    pub(super) fn record(&self) -> Result<Vec<PathBuf>> {
        let failures = self.shared.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = failures.first() {
            bail!("the record of the traffic is not whole: {failure}");
        }
        let mut files: Vec<PathBuf> = fs::read_dir(&self.shared.folder)?.flatten().map(|entry| entry.path()).collect();
        files.sort();
        Ok(files)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    for number in 0.. {
        match listener.accept().await {
            Ok((client, _)) => drop(tokio::spawn(connection(client, number, shared.clone()))),
            Err(error) => return shared.fail(&format!("accepting: {error}")),
        }
    }
}

/// Carries one connection. That either side ends it, in whatever way, is their affair; what they said before is recorded.
async fn connection(client: TcpStream, number: u32, shared: Arc<Shared>) {
    let Ok(client) = shared.acceptor.accept(client).await else { return };
    let Ok(server) = TcpStream::connect(shared.server).await else { return };
    let Ok(server) = shared.connector.connect(shared.host.clone(), server).await else { return };
    let (from_client, to_client) = split(client);
    let (from_server, to_server) = split(server);
    let record = |name: &str| File::create_new(shared.folder.join(format!("{number:04}-{name}")));
    let files = (|| {
        Ok::<_, std::io::Error>((record("from-client")?, record("from-client-unmasked")?, record("from-server")?))
    })();
    let (sent, unmasked, answered) = match files {
        Ok(files) => files,
        Err(error) => return shared.fail(&error.to_string()),
    };
    let up = carry(from_client, to_server, Recorder { raw: sent, unmasked: Some((Unmask::new(), unmasked)) }, &shared);
    let down = carry(from_server, to_client, Recorder { raw: answered, unmasked: None }, &shared);
    tokio::join!(up, down);
}

/// Carries one direction until it ends. Recorded first, sent on after: nothing passes unrecorded.
async fn carry<R, W>(mut from: ReadHalf<R>, mut to: WriteHalf<W>, mut recorder: Recorder, shared: &Shared)
where
    R: AsyncRead + AsyncWrite,
    W: AsyncRead + AsyncWrite,
{
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let bytes = buffer.get(..read).unwrap_or_default();
        if let Err(error) = recorder.record(bytes) {
            shared.fail(&format!("{error:#}"));
            break;
        }
        if to.write_all(bytes).await.is_err() || to.flush().await.is_err() {
            break;
        }
    }
    // The other side may be gone already; then there is nobody to tell.
    let _ = to.shutdown().await;
}

struct Recorder {
    raw: File,
    unmasked: Option<(Unmask, File)>,
}

impl Recorder {
    fn record(&mut self, bytes: &[u8]) -> Result<()> {
        self.raw.write_all(bytes).context("writing the record")?;
        if let Some((unmask, file)) = &mut self.unmasked {
            let mut plain = Vec::with_capacity(bytes.len());
            unmask.feed(bytes, &mut plain)?;
            file.write_all(&plain).context("writing the record")?;
        }
        Ok(())
    }
}

impl Shared {
    fn fail(&self, what: &str) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(what.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::tls::testing;

    const HEAD: &[u8] = b"GET / HTTP/1.1\r\n\r\n";
    /// `secret`, masked with 0x01020304.
    const MASKED: &[u8] = &[0x82, 0x86, 1, 2, 3, 4, b's' ^ 1, b'e' ^ 2, b'c' ^ 3, b'r' ^ 4, b'e' ^ 1, b't' ^ 2];

    /// A server that answers what it received backwards, behind TLS, until the tap hangs up.
    async fn echo(plane: &Plane) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(plane.stand_in("localhost").unwrap());
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            let mut buffer = vec![0; HEAD.len() + MASKED.len()];
            stream.read_exact(&mut buffer).await.unwrap();
            buffer.reverse();
            stream.write_all(&buffer).await.unwrap();
            stream.shutdown().await.unwrap();
        });
        address
    }

    /// A server that takes all that comes, and says nothing.
    async fn listener(plane: &Plane) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(plane.stand_in("localhost").unwrap());
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
        address
    }

    async fn through_the_tap(tap: &Tap, plane: &Plane, words: &[u8]) -> Vec<u8> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, tap.port)).await.unwrap();
        let connector = TlsConnector::from(plane.caller().unwrap());
        let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
        stream.write_all(words).await.unwrap();
        let mut answer = Vec::new();
        // The server may hang up without a farewell when the tap does.
        let _ = stream.read_to_end(&mut answer).await;
        answer
    }

    #[tokio::test]
    async fn both_directions_pass_and_are_recorded_after_tls_and_without_mask() {
        let folder = tempfile::tempdir().unwrap();
        let plane = testing::plane(folder.path(), "clients");
        let server = echo(&plane).await;
        let tap = Tap::start(folder.path(), server, "localhost", &folder.path().join("record")).await.unwrap();
        let words = [HEAD, MASKED].concat();
        let mut backwards = words.clone();
        backwards.reverse();
        assert_eq!(through_the_tap(&tap, &plane, &words).await, backwards);

        let files = tap.record().unwrap();
        let [client, unmasked, answer] = files.as_slice() else { panic!("{files:?}") };
        assert_eq!(fs::read(client).unwrap(), words);
        assert_eq!(fs::read(answer).unwrap(), backwards);
        assert!(fs::read(unmasked).unwrap().ends_with(b"secret"));
    }

    #[tokio::test]
    async fn traffic_that_cannot_be_unmasked_makes_the_record_worthless() {
        let folder = tempfile::tempdir().unwrap();
        let plane = testing::plane(folder.path(), "clients");
        let server = listener(&plane).await;
        let tap = Tap::start(folder.path(), server, "localhost", &folder.path().join("record")).await.unwrap();
        through_the_tap(&tap, &plane, &vec![b'x'; 70 << 10]).await;
        assert!(tap.record().is_err());
    }
}
