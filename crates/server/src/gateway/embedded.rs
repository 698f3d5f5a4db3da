//! A connection without a socket: frames are handed in and taken out. They go the same way as those that come over the
//! network, from the first check to the last limit, so that a server can be run, and stopped, inside another program.

use super::{
    queue::{Closed, Queue, Waiting},
    state::{Connection, State},
};
use crate::{
    listen::{Allowance, Caps, Peer},
    node::Node,
};
use bytes::Bytes;
use std::{net::IpAddr, sync::Arc};
use wire::limits;

/// One connection.
pub struct Line {
    connection: Connection,
    queue: Arc<Queue>,
}

impl Line {
    /// Opens one; `None` when there is no place for this address.
    pub fn open(node: &Arc<Node>, address: IpAddr) -> Option<Self> {
        let place = Arc::new(Caps::take(&node.caps, address)?);
        let peer = Peer { address, allowance: Allowance::unlimited(), place };
        let queue = Arc::new(Queue::new(node.config.limits.queue_frames, node.config.limits.queue_bytes));
        Some(Self { connection: Connection::new(Arc::clone(node), peer, Arc::clone(&queue)), queue })
    }

    /// Hands one frame in, and returns when all that comes of it is durable and queued.
    ///
    /// # Errors
    /// Why the connection is over.
    pub async fn frame(&mut self, bytes: Bytes) -> Result<(), Closed> {
        self.connection.frame(bytes).await?;
        // A message is answered from the store's thread, which gives its permit back last.
        let all = u32::try_from(limits::REQUESTS_IN_FLIGHT_MAX).unwrap_or(u32::MAX);
        let idle = self.connection.in_flight.acquire_many(all).await;
        idle.map(drop).map_err(|_| Closed::Gone)
    }

    /// Takes what waits to be written, oldest first, or why nothing more will come.
    pub fn take(&self) -> Option<Waiting> {
        self.queue.take()
    }

    /// Writes the cursors that the device has acknowledged, as happens once a second.
    pub async fn flush(&self) {
        if let State::Device(session) = &self.connection.state {
            session.acknowledgements.flush(&session.tenant.store, session.device).await;
        }
    }

    /// Ends the connection.
    pub async fn close(self) {
        self.connection.end().await;
        self.queue.close(Closed::Gone);
    }
}
