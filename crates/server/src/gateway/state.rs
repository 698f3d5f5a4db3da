//! What a connection has proved, and the path that every request takes: parse, authenticate, authorise, rate-limit, act.

use super::{
    dispatch,
    queue::{Closed, Queue},
};
use crate::{
    api::acknowledge::Acknowledgements, clock::Clock, listen::Peer, metrics::Outcome, node::Node,
    password::PendingLogin, rates::DeviceRates, tenants::Tenant,
};
use bytes::Bytes;
use rules::{
    handle::Handle,
    route::{self, Standing},
};
use std::sync::Arc;
use tokio::sync::Semaphore;
use wire::sabotage::{Defence, stands};
use wire::{DeviceId, ErrorCode, Op, Refusal, UserId, frame, limits};

/// While a restore is made good, it is worth asking again so often.
const HELD_RETRY_MS: u32 = 15_000;

/// One connection.
pub(super) struct Connection {
    pub(super) node: Arc<Node>,
    pub(super) peer: Peer,
    queue: Arc<Queue>,
    pub(super) state: State,
    pub(super) in_flight: Arc<Semaphore>,
}

/// What the connection has proved; it only ever moves forward.
pub(super) enum State {
    Stranger,
    Guest(Guest),
    Person(Person),
    Device(Arc<Session>),
}

/// A connection that said hello to a tenant.
pub struct Guest {
    /// Which tenant.
    pub tenant: Arc<Tenant>,
    /// The node's.
    pub clock: Clock,
    /// To be signed by the device, once.
    pub challenge: Option<[u8; 32]>,
    /// A login between its halves.
    pub login: Option<OpenLogin>,
}

/// A person who has proved a password, on a device that is not linked yet.
pub struct Person {
    /// Of which tenant.
    pub tenant: Arc<Tenant>,
    /// Who.
    pub user: UserId,
    /// The node's.
    pub clock: Clock,
}

/// A login that waits for its second half.
pub struct OpenLogin {
    /// Of which handle.
    pub handle: Handle,
    /// Whose it is; nobody's for a handle that does not exist.
    pub user: Option<UserId>,
    /// The protocol's state.
    pub pending: PendingLogin,
}

/// A device that has proved its key.
pub struct Session {
    /// Of which tenant.
    pub tenant: Arc<Tenant>,
    /// Whose.
    pub user: UserId,
    /// Which.
    pub device: DeviceId,
    /// The node's.
    pub clock: Clock,
    /// What it may ask for.
    pub rates: Arc<DeviceRates>,
    /// What waits for it.
    pub queue: Arc<Queue>,
    /// How far it has read, as far as that is not written yet.
    pub acknowledgements: Acknowledgements,
}

impl Session {
    /// Whether something new may be recorded: not while devices give back what a restore has lost.
    ///
    /// # Errors
    /// [`ErrorCode::Restoring`], with the time until that is over, or until it is worth asking again.
    pub(crate) fn may_record(&self) -> Result<(), Refusal> {
        match self.tenant.held_ms(self.clock.now()) {
            Some(left) => Err(Refusal::retry_after(ErrorCode::Restoring, left.min(HELD_RETRY_MS))),
            None => Ok(()),
        }
    }

    /// The refusal for what is not there, or not for this device: after a restore it may come back.
    pub(crate) fn unknown(&self) -> Refusal {
        self.may_record().err().unwrap_or_else(|| ErrorCode::Forbidden.into())
    }
}

impl Connection {
    pub(super) fn new(node: Arc<Node>, peer: Peer, queue: Arc<Queue>) -> Self {
        let in_flight = Arc::new(Semaphore::new(limits::REQUESTS_IN_FLIGHT_MAX));
        Self { node, peer, queue, state: State::Stranger, in_flight }
    }

    pub(super) fn queue(&self) -> Arc<Queue> {
        Arc::clone(&self.queue)
    }

    pub(super) const fn is_device(&self) -> bool {
        matches!(self.state, State::Device(_))
    }

    /// Whether anybody has proved anything.
    pub(super) const fn is_proved(&self) -> bool {
        matches!(self.state, State::Person(_) | State::Device(_))
    }

    /// Takes one frame. An error ends the connection; a refusal does not.
    pub(super) async fn frame(&mut self, bytes: Bytes) -> Result<(), Closed> {
        let request = frame::read_request(&bytes).map_err(|_| Closed::Misbehaved)?;
        let Some(op) = request.known() else {
            self.node.metrics.unknown_operation();
            self.queue.push(frame::refused(request.id, &ErrorCode::UnknownOperation.into()).into());
            return Ok(());
        };
        let answer = match self.admit(op, bytes.len()) {
            Ok(()) => dispatch::run(self, op, request.id, request.body).await,
            Err(refusal) => Some(Err(refusal.into())),
        };
        match answer {
            None => {}
            Some(Ok(answer)) => {
                self.node.metrics.request(op, Outcome::Answered);
                self.queue.push(answer.into());
                if let (Op::Authenticate, State::Device(session)) = (op, &self.state) {
                    // After the answer, so that no event comes before it.
                    self.node.hub.connect(session.tenant.id, session.device, Arc::clone(&session.queue));
                    // Who was greeted before the tenant changed is greeted again.
                    if self.node.is_draining() || !self.node.tenants.is_current(&session.tenant) {
                        self.queue.close(Closed::Draining);
                    }
                }
            }
            Some(Err(failure)) => refuse(&self.node, &self.queue, op, request.id, failure),
        }
        Ok(())
    }

    /// Whether the request may be acted upon: by whom it is made, how large it is, how many there were.
    fn admit(&self, op: Op, bytes: usize) -> Result<(), Refusal> {
        let standing = self.standing();
        route::permit(op, standing).or_else(|code| if stands(Defence::Standing) { Err(code) } else { Ok(()) })?;
        if self.node.is_draining() {
            return Err(ErrorCode::Draining.into());
        }
        if bytes > standing.frame_max_bytes() {
            return Err(ErrorCode::TooLarge.into());
        }
        let paid = match &self.state {
            State::Device(session) => {
                let class = route::rule(op).rate;
                self.node.rates.request(session.tenant.id, &session.rates, class, self.node.clock.now())
            }
            _ => self.node.rates.session(self.peer.address, self.node.clock.now()),
        };
        if !stands(Defence::RateLimit) {
            return Ok(());
        }
        paid.map_err(|empty| Refusal::retry_after(ErrorCode::RateLimited, empty.retry_after_ms))
    }

    const fn standing(&self) -> Standing {
        match self.state {
            State::Stranger => Standing::Stranger,
            State::Guest(_) => Standing::Guest,
            State::Person(_) => Standing::Person,
            State::Device(_) => Standing::Device,
        }
    }

    /// The connection has ended: writes what waits, forgets the device.
    pub(super) async fn end(self) {
        if let State::Device(session) = self.state {
            self.node.hub.disconnect(session.tenant.id, session.device, &session.queue);
            session.acknowledgements.flush(&session.tenant.store, session.device).await;
        }
    }
}

/// Answers with a refusal, and counts it.
pub(crate) fn refuse(node: &Node, queue: &Queue, op: Op, id: u32, failure: super::failure::Failure) {
    let refusal = failure.into_refusal(op.as_str());
    let failed = matches!(refusal.code(), Some(ErrorCode::Internal | ErrorCode::StorageUnavailable));
    node.metrics.request(op, if failed { Outcome::Failed } else { Outcome::Refused });
    queue.push(frame::refused(id, &refusal).into());
}
