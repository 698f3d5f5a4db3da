//! The other side of the admin listener: how `mifengd tenant` and `mifengd invite` talk to the running server.

use super::{Endpoint, Problem};
use crate::{
    process::Addresses,
    tls::{Plane, load},
};
use anyhow::{Context, anyhow, bail};
use axum::{
    body::{Body, to_bytes},
    http::{Request, header},
};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const TIMEOUT: Duration = Duration::from_secs(30);
const ANSWER_MAX_BYTES: usize = 4 << 20;

/// Calls the server of a data directory with the administrator's certificate that lies there.
pub struct Caller {
    data: PathBuf,
    address: SocketAddr,
    tls: Arc<ClientConfig>,
}

impl Caller {
    /// For the server of this data directory.
    ///
    /// # Errors
    /// When the certificate cannot be used, or no server has run there.
    pub fn of(data: &Path) -> anyhow::Result<Self> {
        let tls = load::client(data, Plane::Admin)?;
        let address = Addresses::read(data).map_err(|_| no_server(data))?.admin;
        Ok(Self { data: data.into(), address, tls })
    }

    /// Calls and waits for the answer.
    ///
    /// # Errors
    /// When no server runs there, or it refuses.
    pub fn call<E: Endpoint>(&self, request: &E) -> anyhow::Result<E::Answer> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            tokio::time::timeout(TIMEOUT, self.call_async(request))
                .await
                .map_err(|_| anyhow!("the server did not answer"))?
        })
    }

    /// As [`Caller::call`], for who has a runtime already.
    ///
    /// # Errors
    /// As [`Caller::call`].
    pub async fn call_async<E: Endpoint>(&self, request: &E) -> anyhow::Result<E::Answer> {
        let stream = TcpStream::connect(self.address).await.map_err(|_| no_server(&self.data))?;
        let name = ServerName::try_from(Plane::Admin.server_name())?;
        let stream = TlsConnector::from(Arc::clone(&self.tls))
            .connect(name, stream)
            .await
            .with_context(|| format!("{} is not this data directory's server", self.address))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = Request::post(format!("/v1/{}", E::OP.as_str()))
            .header(header::HOST, Plane::Admin.server_name())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(serde_json::to_vec(request)?))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let bytes = to_bytes(Body::new(response.into_body()), ANSWER_MAX_BYTES).await?;
        if status.is_success() {
            return serde_json::from_slice(&bytes).context("the server's answer cannot be read");
        }
        match serde_json::from_slice::<Problem>(&bytes) {
            Ok(Problem { code, detail: Some(detail) }) => bail!("refused ({code}): {detail}"),
            Ok(Problem { code, detail: None }) => bail!("refused ({code})"),
            Err(_) => bail!("the server answered {status}"),
        }
    }
}

fn no_server(data: &Path) -> anyhow::Error {
    anyhow!("no server runs on {}: start it with `mifengd serve --data {0}`", data.display())
}
