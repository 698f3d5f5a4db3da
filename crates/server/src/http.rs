//! What the listeners answer over HTTP: health, metrics, and the upgrade to a WebSocket.

use crate::{gateway, listen::Peer, metrics::Gauges, node::Node, tls, web::Assets};
use axum::{
    Extension, Router,
    extract::{State, WebSocketUpgrade},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use rules::route::{self, Door, Who};
use std::sync::Arc;
use store::Health;
use wire::limits;

/// Read buffers are small because most connections are idle; a large frame only takes more reads.
const READ_BUFFER_BYTES: usize = 4 << 10;
const WRITE_BUFFER_BYTES: usize = 16 << 10;

/// For devices, and for browsers that become one. Each door is open by its declared rule.
pub fn clients(node: &Arc<Node>, assets: &Arc<Assets>) -> Router {
    let open = Door::ALL.iter().filter(|door| route::door(**door) == Who::Stranger);
    open.fold(Router::new(), |router, door| {
        router.merge(match door {
            Door::Health => health().with_state(Arc::clone(node)),
            Door::Connect => Router::new().route("/v1/connect", any(connect)).with_state(Arc::clone(node)),
            Door::Web => Arc::clone(assets).routes(),
        })
    })
}

/// For operators and other nodes.
pub fn internal(node: Arc<Node>) -> Router {
    health().route("/metrics", get(metrics)).with_state(node)
}

fn health() -> Router<Arc<Node>> {
    Router::new().route("/healthz", get(async || "ok\n")).route("/readyz", get(ready))
}

async fn ready(State(node): State<Arc<Node>>) -> (StatusCode, &'static str) {
    let unavailable = StatusCode::SERVICE_UNAVAILABLE;
    match node.database.health() {
        _ if node.is_draining() => (unavailable, "draining\n"),
        Health::Ready => (StatusCode::OK, "ready\n"),
        Health::Full => (unavailable, "the storage is full\n"),
        Health::Failed => (unavailable, "the storage failed\n"),
        Health::Lost => (unavailable, "the database is out of reach\n"),
    }
}

async fn metrics(State(node): State<Arc<Node>>) -> Response {
    let tenants = match node.tenants.names().await {
        Ok(tenants) => tenants,
        Err(failure) => {
            return (StatusCode::INTERNAL_SERVER_ERROR, failure.into_refusal("metrics").to_string()).into_response();
        }
    };
    let expires = |plane| tls::inspect::expires_at_s(&node.data, plane).map(|at_s| (plane, at_s));
    let gauges = Gauges {
        devices_online: node.hub.online(),
        connections: node.caps.taken(),
        tenants,
        store: node.database.counters(),
        certificates: tls::Plane::ALL.into_iter().filter_map(expires).collect(),
    };
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], node.metrics.render(&gauges)).into_response()
}

async fn connect(
    State(node): State<Arc<Node>>,
    Extension(peer): Extension<Peer>,
    upgrade: WebSocketUpgrade,
) -> Response {
    if node.is_draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response();
    }
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(limits::FRAME_MAX_BYTES * 2)
        .max_message_size(limits::FRAME_MAX_BYTES)
        .max_frame_size(limits::FRAME_MAX_BYTES)
        .on_upgrade(move |socket| gateway::serve(socket, node, peer))
}
