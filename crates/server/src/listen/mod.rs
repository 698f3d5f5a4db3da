//! The accept loop: from a TCP connection to HTTP over TLS, with a deadline and a cap on everything before a word is read.

mod allowance;
mod caps;

pub use allowance::{Allowance, Metered};
pub use caps::{Caps, Place, source};

use crate::{
    metrics::{Lost, Metrics},
    tls::{Plane, reload::Reloading},
};
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// Bytes that a connection may send before its device has authenticated: the upgrade, a hello, joining, logging in.
const ANONYMOUS_BYTES: u64 = 64 << 10;
/// Bytes that a request's head may have.
const HEAD_MAX_BYTES: usize = 16 << 10;
/// After an error of `accept`, such as no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// One listener: where, with which certificates, for whom how many.
pub struct Listener {
    /// Bound already, so that its address can be told.
    pub socket: TcpListener,
    /// Whose.
    pub plane: Plane,
    /// What a new connection gets.
    pub tls: Arc<Reloading>,
    /// Who may still come in.
    pub caps: Arc<Caps>,
    /// For the TLS handshake, and again for the head of a request.
    pub handshake_timeout: Duration,
    /// What answers.
    pub router: Router,
    /// Counts what is lost.
    pub metrics: Arc<Metrics>,
}

/// Who is on the other end. An extension of every request.
#[derive(Clone)]
pub struct Peer {
    /// The source address.
    pub address: IpAddr,
    /// How much it may still send before it has authenticated.
    pub allowance: Allowance,
    /// Counts against the caps as long as anyone holds it.
    pub place: Arc<Place>,
}

/// Accepts until `stop` turns true. Connections that are open then go on.
pub async fn serve(listener: Listener, mut stop: watch::Receiver<bool>) {
    let listener = Arc::new(listener);
    loop {
        let accepted = tokio::select! {
            accepted = listener.socket.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok((stream, address)) => accept(&listener, stream, address),
            Err(error) => {
                tracing::warn!(plane = listener.plane.as_str(), %error, "cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn accept(listener: &Arc<Listener>, stream: TcpStream, address: SocketAddr) {
    let Some(place) = listener.caps.take(address.ip()) else {
        // Dropped without a word: a reply would cost more than the refusal saves.
        listener.metrics.lost(listener.plane, Lost::NoPlace);
        return;
    };
    let listener = Arc::clone(listener);
    tokio::spawn(async move {
        if let Err(lost) = connection(&listener, stream, address.ip(), place).await {
            listener.metrics.lost(listener.plane, lost);
            tracing::debug!(plane = listener.plane.as_str(), ?lost, "connection lost");
        }
    });
}

async fn connection(listener: &Listener, stream: TcpStream, ip: IpAddr, place: Place) -> Result<(), Lost> {
    stream.set_nodelay(true).map_err(|_| Lost::Handshake)?;
    let handshake = TlsAcceptor::from(listener.tls.current()).accept(stream);
    let stream = tokio::time::timeout(listener.handshake_timeout, handshake)
        .await
        .map_err(|_| Lost::HandshakeTimeout)?
        .map_err(|_| Lost::Handshake)?;
    let allowance = match listener.plane {
        Plane::Clients => Allowance::new(ANONYMOUS_BYTES),
        Plane::Admin | Plane::Internal => Allowance::unlimited(),
    };
    let peer = Peer { address: ip, allowance: allowance.clone(), place: Arc::new(place) };
    let router = listener.router.clone().map_request(move |mut request: axum::http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer.clone());
        request
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(listener.handshake_timeout)
        .max_buf_size(HEAD_MAX_BYTES)
        .serve_connection(TokioIo::new(Metered::new(stream, allowance)), TowerToHyperService::new(router))
        .with_upgrades()
        .await
        .map_err(|_| Lost::Http)
}
