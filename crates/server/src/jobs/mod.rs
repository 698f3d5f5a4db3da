//! What the server does by itself. Each job may run on one node at a time; with several nodes each will hold a fencing
//! epoch that the database checks.

mod archive;
mod blobs;
mod prune;

use crate::{gateway::failure::Failure, node::Node};
use std::sync::Arc;
use tokio::sync::watch;
use wire::UnixMillis;

/// Begins all jobs; they end when `stopped` turns true.
pub fn start(node: &Arc<Node>, stopped: watch::Receiver<bool>) {
    tokio::spawn(prune::run(Arc::clone(node), stopped));
}

/// Prunes once, now.
///
/// # Errors
/// When the store fails.
pub async fn prune(node: &Node) -> Result<(), Failure> {
    prune_at(node, node.clock.now()).await
}

/// Prunes once, as if it were this time.
///
/// # Errors
/// As [`prune`].
pub async fn prune_at(node: &Node, now: UnixMillis) -> Result<(), Failure> {
    prune::all(node, now).await
}
