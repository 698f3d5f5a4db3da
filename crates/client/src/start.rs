//! Starting a direct conversation: claim key packages, make the group, make it known, add the devices. Every step is on the
//! disk before the next one, so that a crash between any two goes on where it was.

use crate::client::Client;
use crate::contacts;
use crate::database::conversation::{self, ConversationRow};
use crate::database::outbox::{self, OutboxKind};
use crate::database::{contact, local, message};
use crate::session::Work;
use crate::turn::{Turn, is_transient};
use crate::{ConversationState, Error, Event};
use e2ee::Suite;
use std::sync::Arc;
use trust::{DeviceChain, DeviceState, GroupPolicy, Kind, registry};
use wire::request::{ClaimKeyPackages, ClaimedKeyPackages, CreateConversation};
use wire::{ConversationId, ErrorCode, GroupId, MessageId, Refusal, UnixMillis, UserId};

/// A person without a usable key package is asked for again after this.
const CLAIM_AGAIN_MS: u32 = 30_000;

impl Client {
    /// The direct conversation with a person, started if there is none. Messages can be sent at once; they wait until it
    /// stands.
    ///
    /// # Errors
    /// [`Error::UnknownContact`] before the person was looked up, [`Error::Alone`], [`Error::NotJoined`], [`Error::Database`].
    pub fn start_direct(&mut self, user: UserId, now: UnixMillis) -> Result<ConversationId, Error> {
        if self.account()?.user == user {
            return Err(Error::Alone);
        }
        self.turn(now, |turn| {
            if let Some(row) = conversation::find_direct(turn.db, user)? {
                return Ok(row.id);
            }
            contact::find(turn.db, user)?.ok_or(Error::UnknownContact)?;
            let id = ConversationId::from_bytes(turn.entropy.array());
            let row = ConversationRow {
                peer: Some(user),
                claim_key: Some(turn.entropy.array()),
                ..ConversationRow::new(id, Kind::Direct, ConversationState::Claiming)
            };
            conversation::save(turn.db, &row)?;
            turn.memory.attention.insert(id);
            turn.tell(Event::ConversationAdded(id));
            Ok(id)
        })
    }
}

impl Turn<'_> {
    pub(crate) fn claim(&mut self, row: ConversationRow) -> Result<(), Error> {
        if row.group.is_some() && self.is_complete(&row)? {
            return self.is_claimed(row);
        }
        let (Some(user), Some(idempotency_key)) = (row.peer, row.claim_key) else { return Ok(()) };
        self.request(Work::Claim(row.id), &ClaimKeyPackages { user, devices: Vec::new(), idempotency_key });
        Ok(())
    }

    /// Another device of this person has added the other half meanwhile.
    pub(crate) fn is_claimed(&mut self, row: ConversationRow) -> Result<(), Error> {
        outbox::delete_kind(self.db, row.id, OutboxKind::Add)?;
        let row = ConversationRow { state: ConversationState::Active, claim_key: None, ..row };
        conversation::save(self.db, &row)?;
        self.tell(Event::ConversationChanged(row.id));
        self.deliver(row)
    }

    pub(crate) fn claimed(&mut self, id: ConversationId, claimed: ClaimedKeyPackages) -> Result<(), Error> {
        // Its Welcome may have come first, and the other person's conversation taken its place.
        let claiming = conversation::find(self.db, id)?.filter(|row| row.state == ConversationState::Claiming);
        let Some(row) = claiming else { return Ok(()) };
        if claimed.packages.is_empty() {
            return self.claim_again(row);
        }
        if self.move_alone(row.clone())? {
            return Ok(());
        }
        let row = if row.group.is_some() { row } else { self.create_direct(row)? };
        let add = MessageId::from_bytes(self.entropy.array());
        outbox::insert(self.db, id, OutboxKind::Add, add, Some(&wire::encode(&claimed)), None)?;
        let row = ConversationRow { state: ConversationState::Creating, claim_key: None, ..row };
        conversation::save(self.db, &row)?;
        self.add_siblings(&row)
    }

    pub(crate) fn create_direct(&mut self, row: ConversationRow) -> Result<ConversationRow, Error> {
        let account = self.account()?;
        let peer = row.peer.ok_or(Error::UnknownContact)?;
        let policy = GroupPolicy::direct(account.tenant, row.id, account.user, peer);
        self.create_group(row, &policy)
    }

    /// Makes the MLS group, with this device alone in it, and queues making it known.
    pub(crate) fn create_group(
        &mut self,
        row: ConversationRow,
        policy: &GroupPolicy,
    ) -> Result<ConversationRow, Error> {
        let account = self.account()?;
        let suite = Suite::from_code(account.suite).ok_or(Error::Protocol("unknown cipher suite"))?;
        let (group_id, now) = (GroupId::from_bytes(self.entropy.array()), self.now);
        let (created, group) = self.act(|device, _| {
            let changed = device.create(suite, group_id, policy, now)?;
            Ok(((changed.output, changed.group), changed.writes))
        })??;
        self.keep(row.id, group);
        let create = CreateConversation { conversation: row.id, group_info: created.group_info, tree: created.tree };
        let key = MessageId::from_bytes(self.entropy.array());
        outbox::insert(self.db, row.id, OutboxKind::Create, key, None, Some(&wire::encode(&create)))?;
        Ok(ConversationRow { group: Some(group_id), ..row })
    }

    /// Whether the server has yet to say that it took the group that this device has made.
    pub(crate) fn is_unheard_of(&self, row: &ConversationRow) -> Result<bool, Error> {
        let is_new = row.state == ConversationState::Creating;
        Ok(is_new && outbox::find_kind(self.db, row.id, OutboxKind::Create)?.is_some())
    }

    /// The tenant's suite has changed since the group was made, and the server has not heard of the group.
    pub(crate) fn create_anew(&mut self, mut row: ConversationRow) -> Result<(), Error> {
        let suite = self.account()?.suite;
        let made = self.peek(&row, |group| Ok((group.suite().code(), group.policy().clone())))?;
        let Some((_, policy)) = made.filter(|(made_in, _)| *made_in != suite) else {
            self.leave(&mut row)?;
            return Ok(conversation::save(self.db, &row)?);
        };
        self.forget_group(&row)?;
        outbox::delete_kind(self.db, row.id, OutboxKind::Create)?;
        let mut row = self.create_group(row, &policy)?;
        outbox::unseal(self.db, row.id)?;
        self.claim_wishes_anew(row.id)?;
        if outbox::find_kind(self.db, row.id, OutboxKind::Add)?.is_some() {
            self.go_on_claiming(&mut row)?;
        }
        conversation::save(self.db, &row)?;
        self.memory.attention.insert(row.id);
        Ok(())
    }

    /// The other half of a direct conversation is yet to be added; the caller saves the row.
    pub(crate) fn go_on_claiming(&mut self, row: &mut ConversationRow) -> Result<(), Error> {
        outbox::delete_kind(self.db, row.id, OutboxKind::Add)?;
        row.state = ConversationState::Claiming;
        row.claim_key = Some(self.entropy.array());
        Ok(())
    }

    /// The last device that somebody had in a direct conversation was revoked, and they have others: these are added. The
    /// caller saves the row.
    pub(crate) fn bring_back_peer(&mut self, row: &mut ConversationRow) -> Result<(), Error> {
        let Some(peer) = row.peer.filter(|_| row.state == ConversationState::Active) else { return Ok(()) };
        if self.is_complete(row)? {
            return Ok(());
        }
        let account = self.account()?;
        let chain = contacts::chain(self.db, &self.memory.chains, &account, peer)?;
        let is_active =
            |chain: Arc<DeviceChain>| chain.devices().any(|(_, device)| device.state == DeviceState::Active);
        if chain.is_some_and(is_active) { self.go_on_claiming(row) } else { Ok(()) }
    }

    /// Who is alone in a group of a weaker suite than the tenant's cannot add anybody there: another group comes first.
    fn move_alone(&mut self, mut row: ConversationRow) -> Result<bool, Error> {
        let Some(suite) = self.peek(&row, |group| Ok(group.suite().code()))? else { return Ok(false) };
        if registry::is_as_strong(suite, self.account()?.suite) {
            return Ok(false);
        }
        row.state = ConversationState::Creating;
        conversation::save(self.db, &row)?;
        self.begin_succession(&row, None)?;
        Ok(true)
    }

    pub(crate) fn claim_refused(&mut self, id: ConversationId, refusal: &Refusal) -> Result<(), Error> {
        if is_transient(refusal) && refusal.code() != Some(ErrorCode::NoKeyPackage) {
            self.later(Work::Claim(id), refusal);
            return Ok(());
        }
        conversation::find(self.db, id)?.map_or(Ok(()), |row| self.claim_again(row))
    }

    /// The packages were none, or not usable: others are asked for after a while.
    pub(crate) fn claim_again(&mut self, row: ConversationRow) -> Result<(), Error> {
        outbox::delete_kind(self.db, row.id, OutboxKind::Add)?;
        let claim_key = Some(self.entropy.array());
        conversation::save(self.db, &ConversationRow { state: ConversationState::Claiming, claim_key, ..row })?;
        self.later(Work::Claim(row.id), &Refusal::retry_after(ErrorCode::NoKeyPackage, CLAIM_AGAIN_MS));
        self.tell(Event::NoKeyPackage(row.id));
        Ok(())
    }

    /// Another conversation of the two came first. What is unsent here moves there, now or when its Welcome comes. It may be one
    /// that this device has given up: the server has it still, and the device goes back to it.
    pub(crate) fn supersede(&mut self, row: ConversationRow, other: ConversationId) -> Result<(), Error> {
        if conversation::find(self.db, other)?.is_some_and(|other| other.state == ConversationState::Left) {
            self.memory.unknown.insert(other);
        }
        self.forget_group(&row)?;
        let row = ConversationRow { state: ConversationState::Superseded, group: None, ..row };
        conversation::save(self.db, &row)?;
        self.memory.ask_for_welcomes = true;
        self.settle_superseded(&row)
    }

    pub(crate) fn settle_superseded(&mut self, row: &ConversationRow) -> Result<(), Error> {
        let Some(peer) = row.peer else { return Ok(()) };
        match conversation::find_direct(self.db, peer)?.filter(|other| other.state == ConversationState::Active) {
            Some(other) => self.replace(row.id, other.id),
            None => Ok(()),
        }
    }

    pub(crate) fn replace(&mut self, from: ConversationId, to: ConversationId) -> Result<(), Error> {
        self.renew_blobs(from)?;
        outbox::move_messages(self.db, from, to)?;
        local::inherit(self.db, from, to)?;
        conversation::delete(self.db, from)?;
        self.memory.attention.insert(to);
        self.tell(Event::ConversationReplaced { from, to });
        Ok(())
    }

    /// The device is not a member any more: nothing of it can be sent.
    pub(crate) fn leave(&mut self, row: &mut ConversationRow) -> Result<(), Error> {
        row.state = ConversationState::Left;
        row.group = None;
        self.drop_unsent(row.id)?;
        // Whoever removed the device may have added it again.
        self.memory.ask_for_welcomes = true;
        self.tell(Event::ConversationChanged(row.id));
        Ok(())
    }

    /// Says of everything unsent that it will not be sent.
    pub(crate) fn drop_unsent(&mut self, id: ConversationId) -> Result<(), Error> {
        let reason = "this device is not a member of the conversation any more";
        self.drop_unsent_files(id, reason)?;
        while let Some(unsent) = outbox::first(self.db, id)? {
            outbox::delete(self.db, id, unsent.message_id)?;
            match unsent.kind {
                OutboxKind::Message => self.fail(id, unsent.message_id, reason)?,
                OutboxKind::Wish | OutboxKind::Propose => {
                    let (conversation, change) = (id, unsent.message_id);
                    self.tell(Event::GroupUnchanged { conversation, change, reason: reason.into() });
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(crate) fn fail(&mut self, conversation: ConversationId, message: MessageId, reason: &str) -> Result<(), Error> {
        message::set_failed(self.db, conversation, message, reason)?;
        self.tell(Event::Failed { conversation, message, reason: reason.into() });
        Ok(())
    }
}
