//! One turn: a call of the shell or the person, within one transaction.

use crate::database::account::Account;
use crate::database::conversation::ConversationRow;
use crate::database::{conversation, mls};
use crate::memory::Memory;
use crate::session::{Phase, Work};
use crate::{Error, Event, contacts};
use e2ee::{Changed, Device, Entries, Group, StorageFailure, Vouch, WriteSet};
use rusqlite::Connection;
use std::sync::Arc;
use trust::{Aad, LeafIdentity};
use vault::Entropy;
use wire::{
    ConversationId, ErrorCode, Fault, GroupId, MessageId, Operation, Refusal, UnixMillis, UserId, frame, request,
};
use zeroize::Zeroizing;

/// One turn. What it transmits and tells leaves only when its transaction is durable.
pub(crate) struct Turn<'a> {
    pub(crate) db: &'a Connection,
    pub(crate) memory: &'a mut Memory,
    pub(crate) entropy: &'a mut dyn Entropy,
    pub(crate) now: UnixMillis,
    pub(crate) transmit: &'a mut Vec<Vec<u8>>,
    pub(crate) events: &'a mut Vec<Event>,
}

/// MLS reads what this very transaction has written.
struct Stored<'a>(&'a Connection);

impl Entries for Stored<'_> {
    fn entry(&self, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StorageFailure> {
        let value = mls::read(self.0, key).map_err(|error| StorageFailure::Read(Box::new(error)))?;
        Ok(value)
    }
}

impl Turn<'_> {
    pub(crate) fn account(&self) -> Result<Arc<Account>, Error> {
        self.memory.account.clone().ok_or(Error::NotJoined)
    }

    pub(crate) fn conversation(&self, id: ConversationId) -> Result<ConversationRow, Error> {
        conversation::find(self.db, id)?.ok_or(Error::UnknownConversation)
    }

    /// Sends a request with this connection.
    pub(crate) fn request<O: Operation>(&mut self, work: Work, operation: &O) {
        let id = self.memory.session.begin(work, self.now);
        self.transmit.push(frame::request(id, operation));
    }

    pub(crate) fn finish(&mut self, id: u32) -> Result<Work, Error> {
        let work = self.memory.session.finish(id).ok_or(Error::Protocol("an answer without a request"))?;
        self.memory.attention.extend(work.conversation());
        Ok(work)
    }

    /// What an answer holds.
    pub(crate) fn decoded<O: Operation>(body: &[u8]) -> Result<O::Answer, Error> {
        wire::decode(body).map_err(|_| Error::Protocol("an answer is malformed"))
    }

    /// Whether a request was about a conversation that is no more: another took its place while the answer was on its way.
    fn is_moot(&self, work: &Work) -> Result<bool, Error> {
        let Some(id) = work.conversation() else { return Ok(false) };
        Ok(conversation::find(self.db, id)?.is_none())
    }

    /// What a success means.
    pub(crate) fn answer(&mut self, work: Work, body: &[u8]) -> Result<(), Error> {
        if self.is_moot(&work)? {
            return Ok(());
        }
        match work {
            Work::Hello => self.greeted(Self::decoded::<request::Hello>(body)?),
            Work::JoinStart => self.join_challenged(&Self::decoded::<request::JoinStart>(body)?),
            Work::JoinFinish => Self::decoded::<request::JoinFinish>(body).and_then(|_| self.joined()),
            Work::Authenticate => self.authenticated(Self::decoded::<request::Authenticate>(body)?),
            Work::Sync => self.synced(Self::decoded::<request::Sync>(body)?),
            Work::Publish(row) => self.published(row, Self::decoded::<request::PublishKeyPackages>(body)?),
            Work::FindUser(handle) => self.found_user(&handle, Self::decoded::<request::FindUser>(body)?),
            Work::FetchChain(user) => self.fetched_chain(user, Self::decoded::<request::FetchChain>(body)?),
            Work::FetchWelcomes => self.fetched_welcomes(Self::decoded::<request::FetchWelcomes>(body)?),
            Work::WelcomeTree => self.fetched_welcome_tree(&Self::decoded::<request::FetchTree>(body)?),
            Work::Claim(id) => self.claimed(id, Self::decoded::<request::ClaimKeyPackages>(body)?),
            Work::ClaimFor(id, wish, user) => {
                self.claimed_for((id, wish, user), Self::decoded::<request::ClaimKeyPackages>(body)?)
            }
            Work::Outbox(id, message) => self.delivered(id, message, body),
            Work::Fetch(id) => self.fetched(id, Self::decoded::<request::Fetch>(body)?),
            Work::GroupInfo(id) => self.fetched_group(id, Self::decoded::<request::FetchGroupInfo>(body)?),
            Work::RejoinTree(id) => self.fetched_rejoin_tree(id, &Self::decoded::<request::FetchTree>(body)?),
            Work::Acknowledge(cursors) => self.acknowledged(&cursors),
            Work::LoginStart => self.login_challenged(&Self::decoded::<request::LoginStart>(body)?),
            Work::LoginFinish => self.logged_in(Self::decoded::<request::LoginFinish>(body)?),
            Work::OwnChain => self.own_chain(&Self::decoded::<request::FetchOwnChain>(body)?),
            Work::OfferLink => Self::decoded::<request::OfferLink>(body).and_then(|_| self.offered()),
            Work::CollectLink => self.collected(&Self::decoded::<request::CollectLink>(body)?),
            Work::FetchOffer => self.fetched_offer(Self::decoded::<request::FetchOffer>(body)?),
            Work::AnswerLink => Self::decoded::<request::AnswerLink>(body).and_then(|_| self.answered_link()),
            Work::Revoke(_) => Self::decoded::<request::RevokeDevice>(body).and_then(|_| self.own_chain_moved()),
            Work::Republish => Self::decoded::<request::RevokeDevice>(body).and_then(|_| self.republished()),
            Work::ChainChanges => self.chains_changed(&Self::decoded::<request::FetchChainChanges>(body)?),
            Work::Joinable => self.joinable(Self::decoded::<request::FetchJoinable>(body)?),
            Work::Stay(id) => self.stays(id, Self::decoded::<request::FetchStay>(body)?),
            Work::SuccessorWelcome(id) => {
                self.successor_welcome(id, Self::decoded::<request::FetchWelcomes>(body)?);
                Ok(())
            }
            Work::SuccessorTree(id) => {
                self.successor_tree(id, Self::decoded::<request::FetchTree>(body)?);
                Ok(())
            }
            Work::Restored(id) => self.restored(id, &Self::decoded::<request::FetchRestored>(body)?),
            Work::Compare(id) => self.compared(id, &Self::decoded::<request::Fetch>(body)?),
            Work::Supply(id) => self.supplied(id, &Self::decoded::<request::Resupply>(body)?),
            Work::Confirm(id) => self.confirmed(id, &Self::decoded::<request::Sync>(body)?),
            Work::Missing(id) => self.missing(id, &Self::decoded::<request::FetchRestored>(body)?),
            Work::BeginBlob(file) => self.began_blob(file, Self::decoded::<request::BeginBlob>(body)?),
            Work::PutPart(file, part) => self.put_part(file, part),
            Work::FinishBlob(file) => self.finished_blob(file),
            Work::FetchPart(file, part) => self.fetched_part(file, part, &Self::decoded::<request::FetchPart>(body)?),
            Work::DeleteBlob(blob) => self.deleted_blob(blob),
            Work::Archive(work) => self.archive_answered(work, body),
            Work::Decline(_) | Work::Whisper | Work::Renew(_) | Work::Sweep(_) | Work::Succession(_) => Ok(()),
            // Another member's may have come first: then nothing was missing.
            Work::RenewInfo(_) => Ok(()),
        }
    }

    /// What a refusal means.
    pub(crate) fn refused(&mut self, work: Work, refusal: &Refusal) -> Result<(), Error> {
        if self.is_moot(&work)? {
            return Ok(());
        }
        match work {
            Work::Hello | Work::Authenticate | Work::Sync => self.login_refused(refusal),
            Work::JoinStart | Work::JoinFinish => self.join_refused(refusal),
            Work::FindUser(handle) => {
                self.user_refused(handle, refusal);
                Ok(())
            }
            Work::FetchChain(user) => self.chain_refused(user, refusal),
            Work::Claim(id) => self.claim_refused(id, refusal),
            Work::ClaimFor(id, wish, user) => self.claim_for_refused((id, wish, user), refusal),
            Work::Outbox(id, message) => self.undelivered(id, message, refusal),
            Work::GroupInfo(id) => self.repair_refused(id, refusal),
            Work::RejoinTree(id) => {
                self.rejoin_tree_refused(id, refusal);
                Ok(())
            }
            Work::WelcomeTree => self.welcome_tree_refused(refusal),
            Work::LoginStart | Work::LoginFinish | Work::OwnChain | Work::CollectLink => self.link_refused(refusal),
            Work::OfferLink => self.offer_refused(refusal),
            Work::FetchOffer | Work::AnswerLink => self.answer_refused(refusal),
            Work::Revoke(device) => self.revoke_refused(device, refusal),
            Work::Stay(id) => self.stay_refused(id, refusal),
            // The server offers the Welcome again; it is declined again.
            Work::Decline(_) | Work::Whisper | Work::Renew(_) | Work::Sweep(_) | Work::Succession(_) => Ok(()),
            Work::Confirm(id) => {
                self.later(Work::Fetch(id), refusal);
                Ok(())
            }
            // It is tried again with the next connection.
            Work::Republish => Ok(()),
            // The next commit brings what is missing.
            Work::Missing(_) | Work::RenewInfo(_) => Ok(()),
            Work::Restored(id) | Work::Compare(id) => self.restored_refused(id, refusal),
            Work::Supply(id) => {
                self.supply_refused(id, refusal);
                Ok(())
            }
            Work::Fetch(id) if !is_transient(refusal) => {
                self.doubt(id);
                Ok(())
            }
            work @ (Work::SuccessorWelcome(id) | Work::SuccessorTree(id)) => {
                self.successor_refused(work, id, refusal);
                Ok(())
            }
            work @ (Work::BeginBlob(file) | Work::PutPart(file, _) | Work::FinishBlob(file)) => {
                self.sending_refused(&work, file, refusal)
            }
            Work::FetchPart(file, part) => self.fetching_refused(file, part, refusal),
            Work::DeleteBlob(blob) => self.delete_blob_refused(blob, refusal),
            Work::Archive(work) => self.archive_work_refused(work, refusal),
            Work::ChainChanges => {
                self.changes_refused();
                Ok(())
            }
            Work::Joinable => Ok(()),
            work @ (Work::Publish(_) | Work::FetchWelcomes | Work::Fetch(_) | Work::Acknowledge(_)) => {
                self.later(work, refusal);
                Ok(())
            }
        }
    }

    /// What an event means.
    pub(crate) fn happened(&mut self, event: wire::Event) -> Result<(), Error> {
        match event {
            wire::Event::Recorded(recorded) => self.recorded(&recorded)?,
            wire::Event::WelcomeWaiting(_) => self.memory.ask_for_welcomes = true,
            wire::Event::ChainChanged(changed) => {
                self.memory.fresh.remove(&changed.user);
                self.memory.wanted.insert(changed.user);
            }
            wire::Event::Archived(archived) => self.archived_elsewhere(&archived)?,
            wire::Event::Draining => self.memory.session.phase = Phase::Closing,
            wire::Event::Whispered(whispered) => self.whispered(&whispered)?,
        }
        Ok(())
    }

    /// Tries again after what the refusal asks for, or a moment.
    pub(crate) fn later(&mut self, work: Work, refusal: &Refusal) {
        let pause = refusal.retry_after_ms.map_or(5_000, u64::from).clamp(50, 300_000);
        let chance = u64::from(u8::from_le_bytes(self.entropy.array()));
        self.memory.session.delay(work, self.now.saturating_add(pause + pause * chance / 1_024));
    }

    /// Pauses that are over.
    pub(crate) fn resume(&mut self) {
        let conversations = self.memory.session.resume(self.now);
        self.memory.attention.extend(conversations);
    }

    pub(crate) fn tell(&mut self, event: Event) {
        self.events.push(event);
    }

    /// What a message or commit made now authenticates.
    pub(crate) const fn aad(row: &ConversationRow, message_id: MessageId, commitment: [u8; 32]) -> Aad {
        Aad { version: 1, message_id, commitment, seen_seq: row.cursor, seen_hash: row.entry_hash.0 }
    }

    /// Lets this device act in MLS, and stores what it did. A refusal by MLS is the inner error: nothing was written, and
    /// nothing in memory was touched.
    pub(crate) fn act<T>(
        &mut self,
        work: impl FnOnce(&Device<'_>, Vouch<'_>) -> Result<(T, WriteSet), e2ee::Error>,
    ) -> Result<Result<T, e2ee::Error>, Error> {
        match self.rehearse(work)? {
            Ok((output, writes)) => self.apply(&writes).map(|()| Ok(output)),
            Err(refused) => Ok(Err(refused)),
        }
    }

    /// The same, but that nothing is stored: what it would write is given back.
    pub(crate) fn rehearse<T>(
        &self,
        work: impl FnOnce(&Device<'_>, Vouch<'_>) -> Result<(T, WriteSet), e2ee::Error>,
    ) -> Result<Result<(T, WriteSet), e2ee::Error>, Error> {
        let account = self.account()?;
        let stored = Stored(self.db);
        let device = Device::new(identity(&account), &account.device_key, &stored);
        let failure = std::cell::RefCell::new(None);
        let outcome = work(&device, &|leaf, key| {
            contacts::vouch(self.db, &self.memory.chains, &self.memory.fresh, &account, leaf, key).unwrap_or_else(
                |error| {
                    failure.replace(Some(error));
                    e2ee::Vouched::No
                },
            )
        });
        if let Some(error) = failure.into_inner() {
            return Err(error);
        }
        match outcome {
            Err(e2ee::Error::Storage(failure)) => Err(failure.into()),
            outcome => Ok(outcome),
        }
    }

    /// The same for a change to a conversation's group. If it is refused, the group is read again before it is used.
    pub(crate) fn change<T>(
        &mut self,
        row: &ConversationRow,
        work: impl FnOnce(Group, &Device<'_>, Vouch<'_>) -> Result<Changed<T>, e2ee::Error>,
    ) -> Result<Result<T, e2ee::Error>, Error> {
        let loaded = self.memory.groups.remove(&row.id);
        let outcome = self.act(|device, vouch| {
            let group = match (loaded, row.group) {
                (Some(group), _) => group,
                (None, Some(id)) => Group::load(device, id)?.ok_or(e2ee::Error::NotMember)?,
                (None, None) => return Err(e2ee::Error::NotMember),
            };
            let Changed { output, writes, group } = work(group, device, vouch)?;
            Ok(((output, group), writes))
        })?;
        Ok(outcome.map(|(output, group)| {
            self.keep(row.id, group);
            output
        }))
    }

    /// Keeps a group at hand until the transaction fails.
    pub(crate) fn keep(&mut self, id: ConversationId, group: Option<Group>) {
        match group {
            Some(group) => drop(self.memory.groups.insert(id, group)),
            None => drop(self.memory.groups.remove(&id)),
        }
    }

    /// The epoch of a conversation's group; `None` without a group.
    pub(crate) fn epoch(&mut self, row: &ConversationRow) -> Result<Option<u64>, Error> {
        if let Some(group) = self.memory.groups.get(&row.id) {
            return Ok(Some(group.epoch()));
        }
        let Some(id) = row.group else { return Ok(None) };
        let group = self.act(|device, _| Ok((Group::load(device, id)?, WriteSet::default())))??;
        let epoch = group.as_ref().map(Group::epoch);
        self.keep(row.id, group);
        Ok(epoch)
    }

    /// Looks at a conversation's group; `None` without a group.
    pub(crate) fn peek<T>(
        &mut self,
        row: &ConversationRow,
        look: impl FnOnce(&Group) -> Result<T, e2ee::Error>,
    ) -> Result<Option<T>, Error> {
        self.epoch(row)?;
        Ok(self.memory.groups.get(&row.id).map(look).transpose()?)
    }

    /// Asks for device chains before a conversation goes on.
    pub(crate) fn wait_for(&mut self, id: ConversationId, users: Vec<UserId>) {
        self.memory.wanted.extend(users);
        self.memory.waiting.insert(id);
    }

    /// Deletes everything that MLS has stored of a conversation's group, if there is one.
    pub(crate) fn forget_group(&mut self, row: &ConversationRow) -> Result<(), Error> {
        self.memory.groups.remove(&row.id);
        row.group.map_or(Ok(()), |group| self.forget_keys(group))
    }

    /// As [`Turn::forget_group`], for a group that serves no conversation.
    pub(crate) fn forget_keys(&mut self, group: GroupId) -> Result<(), Error> {
        self.act(|device, _| {
            let group = Group::load(device, group)?;
            let writes = group.map_or_else(|| Ok(WriteSet::default()), |group| group.forget(device));
            writes.map(|writes| ((), writes))
        })??;
        Ok(())
    }

    fn apply(&mut self, writes: &WriteSet) -> Result<(), Error> {
        writes.iter().try_for_each(|(key, value)| self.put(key, value))
    }

    /// Stores one change of what MLS keeps.
    pub(crate) fn put(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), Error> {
        match value {
            Some(value) => mls::write(self.db, key, value, self.entropy)?,
            None => mls::delete(self.db, key)?,
        }
        Ok(())
    }
}

pub(crate) fn identity(account: &Account) -> LeafIdentity {
    LeafIdentity { tenant: account.tenant, user: account.user, device: account.device }
}

/// Whether the same request can succeed later. A code that this version does not know says nothing: it is tried again.
pub(crate) fn is_transient(refusal: &Refusal) -> bool {
    match refusal.code() {
        Some(ErrorCode::AlreadyExists | ErrorCode::Revoked | ErrorCode::QuotaExceeded) => false,
        Some(code) => code.fault() != Fault::Caller,
        None => true,
    }
}
