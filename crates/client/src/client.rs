//! The door: what a shell calls. Each call is one turn: work, then whatever has become possible, then one commit.

use crate::database::account::{self, Account};
use crate::database::{archive, device, expiry, file, outbox};
use crate::files;
use crate::memory::{Joining, Memory};
use crate::session::{BACK_OFF_MAX_MS, Phase};
use crate::turn::Turn;
use crate::{Database, DatabaseError, Error, Event};
use std::collections::VecDeque;
use vault::Entropy;
use wire::frame::{self, ServerFrame};
use wire::{Refusal, UnixMillis};
use zeroize::Zeroizing;

/// Deleted keys stay in the write-ahead log for no longer than this.
const ERASE_AFTER_MS: u64 = 1_000;

/// One device of one person. The crate's first page has the order of calls.
pub struct Client {
    database: Database,
    entropy: Box<dyn Entropy + Send>,
    memory: Memory,
    transmit: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("phase", &self.memory.session.phase).finish_non_exhaustive()
    }
}

impl Client {
    /// A client over this database. `entropy` is the only source of randomness of the client's own code.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn open(mut database: Database, mut entropy: Box<dyn Entropy + Send>) -> Result<Self, Error> {
        database.seal_plain(&mut *entropy)?;
        let account = account::load(database.reader())?;
        let mut memory = Memory::new(account);
        memory.expires_at = expiry::next(database.reader())?;
        files::sweep(&mut database)?;
        Ok(Self { database, entropy, memory, transmit: VecDeque::new(), events: VecDeque::new() })
    }

    /// Redeems an invite with the next connection. An attempt whose outcome is unknown is taken up again as it was, whatever
    /// is said here.
    ///
    /// # Errors
    /// [`Error::AlreadyJoined`].
    pub fn join(
        &mut self,
        tenant: &str,
        code: &str,
        handle: &str,
        password: &[u8],
        now: UnixMillis,
    ) -> Result<(), Error> {
        self.redeem(tenant, code, handle, now)?.password = Zeroizing::new(password.to_vec());
        Ok(())
    }

    /// As [`Client::join`], with an OPAQUE `RegistrationUpload` that was made before, so that no password is stretched here:
    /// for whoever makes many accounts that nobody will log in to by password.
    ///
    /// # Errors
    /// [`Error::AlreadyJoined`].
    pub fn join_registered(
        &mut self,
        tenant: &str,
        code: &str,
        handle: &str,
        registration_upload: &[u8],
        now: UnixMillis,
    ) -> Result<(), Error> {
        self.redeem(tenant, code, handle, now)?.upload = Some(registration_upload.to_vec());
        Ok(())
    }

    fn redeem(&mut self, tenant: &str, code: &str, handle: &str, now: UnixMillis) -> Result<&mut Joining, Error> {
        if self.memory.account.as_ref().is_some_and(|account| account.join_finish.is_none()) {
            return Err(Error::AlreadyJoined);
        }
        if let Phase::Offline { retry_at } = &mut self.memory.session.phase {
            *retry_at = now;
        }
        Ok(self.memory.joining.insert(Joining {
            tenant: tenant.into(),
            code: Zeroizing::new(code.into()),
            handle: handle.into(),
            password: Zeroizing::default(),
            registration: None,
            upload: None,
        }))
    }

    /// Whether there should be a connection now: make one, or keep the one there is.
    pub fn wants_connection(&self, now: UnixMillis) -> bool {
        match self.memory.session.phase {
            Phase::Offline { retry_at } => {
                // A clock that was set back keeps nobody away for longer than the longest pause.
                let is_time = retry_at <= now || retry_at > now.saturating_add(BACK_OFF_MAX_MS);
                let has_purpose =
                    self.memory.account.is_some() || self.memory.joining.is_some() || self.memory.linking.is_some();
                is_time && has_purpose
            }
            Phase::Closing => false,
            _ => true,
        }
    }

    /// A connection is open.
    ///
    /// # Errors
    /// [`Error`]; close the connection.
    pub fn handle_connected(&mut self, now: UnixMillis) -> Result<(), Error> {
        self.turn(now, |turn| turn.hello())
    }

    /// The connection ended, or could not be made.
    pub fn handle_disconnected(&mut self, now: UnixMillis) {
        let retry_at = self.memory.session.end(now, self.entropy.as_mut());
        self.memory.end_connection();
        self.transmit.clear();
        self.erase(now);
        self.events.push_back(Event::Disconnected { retry_at });
    }

    /// One binary WebSocket message came.
    ///
    /// # Errors
    /// [`Error`]; close the connection. What the frame brought is asked for again.
    pub fn handle_frame(&mut self, bytes: &[u8], now: UnixMillis) -> Result<(), Error> {
        match self.hear(bytes, now) {
            // The frame is lost, and with it the connection; what it brought is asked for again.
            Err(Error::Database(DatabaseError::Full)) if self.memory.files.is_fetching() => {
                self.turn(now, |turn| turn.no_room_to_fetch())
            }
            heard => heard,
        }
    }

    fn hear(&mut self, bytes: &[u8], now: UnixMillis) -> Result<(), Error> {
        self.turn(now, |turn| match frame::read_server(bytes).map_err(|_| Error::Protocol("a frame is malformed"))? {
            ServerFrame::Answer { id, body } => {
                let work = turn.finish(id)?;
                turn.answer(work, body)
            }
            ServerFrame::Refused { id, body } => {
                let work = turn.finish(id)?;
                let refusal: Refusal = wire::decode(body).map_err(|_| Error::Protocol("a refusal is malformed"))?;
                turn.refused(work, &refusal)
            }
            ServerFrame::Event { kind, body } => {
                let event = wire::Event::decode(kind, body).map_err(|_| Error::Protocol("an event is malformed"))?;
                event.map_or(Ok(()), |event| turn.happened(event))
            }
        })
    }

    /// The time that [`Client::poll_timeout`] gave has come, or the client was just opened: what expired meanwhile goes.
    ///
    /// # Errors
    /// [`Error`]; close the connection.
    pub fn handle_timeout(&mut self, now: UnixMillis) -> Result<(), Error> {
        if self.memory.expires_at.is_some_and(|at| at <= now) {
            self.turn(now, |turn| turn.expire())?;
        }
        if self.memory.erase_at.is_some_and(|at| at <= now) {
            self.erase(now);
        }
        if matches!(self.memory.session.phase, Phase::Offline { .. } | Phase::Closing) {
            return Ok(());
        }
        if self.memory.session.is_overdue(now) {
            self.memory.session.phase = Phase::Closing;
            return Ok(());
        }
        self.turn(now, |turn| {
            turn.resume();
            Ok(())
        })
    }

    /// The next frame to write, in order. It is durable already.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmit.pop_front()
    }

    /// The next thing to tell the person.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Client::handle_timeout`] is to be called, or a connection to be tried again. `None`: time changes nothing.
    pub fn poll_timeout(&self) -> Option<UnixMillis> {
        let acknowledge = (self.memory.session.phase == Phase::Live && !self.memory.unacknowledged.is_empty())
            .then_some(self.memory.acknowledge_at);
        let own = [self.memory.expires_at, self.memory.erase_at, acknowledge];
        own.into_iter().chain([self.memory.session.next_timeout()]).flatten().min()
    }

    /// How many things wait to reach the server.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn unsent(&self) -> Result<u64, Error> {
        let db = self.database.reader();
        Ok(outbox::len(db)? + device::revocations(db)? + file::sending(db)? + u64::from(archive::untold(db)?.is_some()))
    }

    pub(crate) fn account(&self) -> Result<&Account, Error> {
        self.memory.account.as_deref().filter(|account| account.join_finish.is_none()).ok_or(Error::NotJoined)
    }

    pub(crate) const fn reader(&self) -> &rusqlite::Connection {
        self.database.reader()
    }

    pub(crate) const fn memory(&self) -> &Memory {
        &self.memory
    }

    pub(crate) const fn chains(&self) -> &crate::contacts::Chains {
        &self.memory.chains
    }

    pub(crate) fn may_say(&self, conversation: wire::ConversationId, now: UnixMillis) -> bool {
        self.memory.typing.may_say(conversation, now)
    }

    #[cfg(test)]
    pub(crate) const fn database_mut(&mut self) -> &mut Database {
        &mut self.database
    }

    #[cfg(test)]
    pub(crate) const fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }

    /// Whether the device is logged in.
    pub const fn is_live(&self) -> bool {
        matches!(self.memory.session.phase, Phase::Live)
    }

    /// Whether the device is logged in and has everything that the server has for it.
    pub const fn is_caught_up(&self) -> bool {
        self.is_live() && self.memory.caught_up
    }

    /// Does the work and what has become possible by it, in one transaction. Only when that is durable is anything given
    /// out. After a failure nothing in memory is believed.
    pub(crate) fn turn<T>(
        &mut self,
        now: UnixMillis,
        work: impl FnOnce(&mut Turn<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let transaction = self.database.begin()?;
        let changes = transaction.total_changes();
        let (mut transmit, mut events) = (Vec::new(), Vec::new());
        let result = {
            let mut turn = Turn {
                db: &transaction,
                memory: &mut self.memory,
                entropy: self.entropy.as_mut(),
                now,
                transmit: &mut transmit,
                events: &mut events,
            };
            let worked = work(&mut turn).map_err(|error| (error.is_usage(), error));
            worked.and_then(|value| {
                turn.pump().and_then(|()| turn.drop_wiped_files()).map(|()| value).map_err(|error| (false, error))
            })
        };
        let expires_at = expiry::next(&transaction);
        let has_changed = transaction.total_changes() > changes;
        let result =
            result.and_then(|value| transaction.commit().map(|()| value).map_err(|error| (false, error.into())));
        match result {
            Ok(value) => {
                self.transmit.extend(transmit);
                self.events.extend(events);
                self.memory.expires_at = expires_at?;
                if has_changed {
                    self.erase_later(now);
                }
                Ok(value)
            }
            Err((is_usage, error)) => {
                self.recover(is_usage);
                Err(error)
            }
        }
    }

    /// What a turn has deleted or replaced, keys above all, still stands in the old pages. While much happens they are
    /// dropped once in a while; what a person wants to be gone, and what is done without a connection, goes at once.
    fn erase_later(&mut self, now: UnixMillis) {
        let is_offline = matches!(self.memory.session.phase, Phase::Offline { .. });
        self.memory.erase_at.get_or_insert(now.saturating_add(ERASE_AFTER_MS));
        if self.memory.wiped || is_offline {
            self.erase(now);
        }
    }

    fn erase(&mut self, now: UnixMillis) {
        if self.memory.erase_at.is_none() {
            return;
        }
        let dropped = self.database.drop_old_pages().unwrap_or(false);
        self.memory.wiped &= !dropped;
        self.memory.erase_at = if dropped { None } else { Some(now.saturating_add(ERASE_AFTER_MS)) };
    }

    /// The transaction is rolled back: what mirrors the disk is dropped, and unless it was only a person's mistake, what
    /// was learnt on this connection too.
    fn recover(&mut self, is_usage: bool) {
        self.memory.forget();
        if is_usage {
            return;
        }
        self.memory.account = account::load(self.database.reader()).ok().flatten().map(std::sync::Arc::new);
        if !matches!(self.memory.session.phase, Phase::Offline { .. }) {
            self.memory.session.phase = Phase::Closing;
        }
    }
}
