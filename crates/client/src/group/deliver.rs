//! From a wish to a commit: key packages are claimed, one person at a time, then one commit is made in the epoch of that
//! moment. A commit that loses its epoch is dropped, and the wish is held against what won.

use super::wish::{Plan, Wish};
use crate::content::{Body, Content};
use crate::database::conversation::{self, ConversationRow};
use crate::database::outbox::{self, OutboxKind, OutboxRow};
use crate::departure::Departure;
use crate::session::Work;
use crate::turn::{Turn, is_transient};
use crate::{ConversationState, Error, Event};
use e2ee::{Committed, Proposed, Suite};
use trust::Change;
use wire::request::{ClaimKeyPackages, ClaimedKeyPackage, ClaimedKeyPackages, Propose};
use wire::{ConversationId, ErrorCode, MessageId, Refusal, UserId};

/// Members who see that somebody leaves wait by chance up to so long, so that not all of them commit it at once.
const JITTER_MS: u64 = 1_000;

impl Turn<'_> {
    /// Does what is next for a wish.
    pub(crate) fn deliver_wish(&mut self, row: ConversationRow, unsent: OutboxRow) -> Result<(), Error> {
        let epoch = self.epoch(&row)?;
        if unsent.parameters.is_some() && unsent.epoch == epoch {
            return self.transmit::<wire::request::Commit>(&unsent);
        }
        let wish = stored(&unsent)?;
        if let Some(claim) = wish.unclaimed() {
            let (user, idempotency_key) = (claim.user, claim.key);
            let work = Work::ClaimFor(row.id, unsent.message_id, user);
            let is_own = user == self.account()?.user;
            // All of another person's devices; of one's own, those that are missing by now.
            let devices = if is_own { self.missing_siblings(&row)? } else { Vec::new() };
            if is_own && devices.is_empty() {
                return self.fulfil(row, &unsent);
            }
            self.request(work, &ClaimKeyPackages { user, devices, idempotency_key });
            return Ok(());
        }
        // Who leaves is gone before anything else is decided: one commit cannot do two things to a leaf.
        if self.has_leavers(&row)? {
            self.carry_out_leaving(row.id)?;
            return self.deliver(row);
        }
        let Some(situation) = self.situation(&row)? else { return self.start_repair(row) };
        match wish.plan(&situation) {
            Ok(Plan::Done) => self.fulfil(row, &unsent),
            Ok(Plan::Commit(proposed)) => self.commit(row, unsent, &proposed),
            Ok(Plan::Propose) => self.propose(row, &unsent),
            Ok(Plan::Forget) => self.leave_for_good(row, &unsent),
            Err(obstacle) => self.give_up(row, &unsent, &obstacle.to_string()),
        }
    }

    /// The key packages of one person came.
    pub(crate) fn claimed_for(
        &mut self,
        work: (ConversationId, MessageId, UserId),
        claimed: ClaimedKeyPackages,
    ) -> Result<(), Error> {
        let account = self.account()?;
        let (id, message_id, user) = work;
        let suite = Suite::from_code(account.suite).ok_or(Error::Protocol("unknown cipher suite"))?;
        // The server could hand out the package of somebody else, whose device chain would vouch for it.
        let belongs = |package: &ClaimedKeyPackage| {
            e2ee::check_key_package(&package.bytes, self.now, suite).is_ok_and(|facts| {
                let leaf = facts.identity;
                leaf.tenant == account.tenant && leaf.user == user && leaf.device == package.device
            })
        };
        let packages: Vec<_> = claimed.packages.into_iter().filter(belongs).collect();
        let reason = if packages.is_empty() { "no usable key package" } else { "" };
        self.keep_claim(id, message_id, user, packages, reason)
    }

    pub(crate) fn claim_for_refused(
        &mut self,
        work: (ConversationId, MessageId, UserId),
        refusal: &Refusal,
    ) -> Result<(), Error> {
        let (id, message_id, user) = work;
        if is_transient(refusal) && refusal.code() != Some(ErrorCode::NoKeyPackage) {
            self.later(Work::ClaimFor(id, message_id, user), refusal);
            return Ok(());
        }
        self.keep_claim(id, message_id, user, Vec::new(), &refusal.to_string())
    }

    fn keep_claim(
        &mut self,
        id: ConversationId,
        message_id: MessageId,
        user: UserId,
        packages: Vec<ClaimedKeyPackage>,
        reason: &str,
    ) -> Result<(), Error> {
        let Some(unsent) = outbox::find(self.db, id, message_id)? else { return Ok(()) };
        if unsent.kind == OutboxKind::Succeed {
            return self.claimed_for_group(&unsent, user, packages);
        }
        if packages.is_empty() && user != self.account()?.user {
            self.tell(Event::NotAdded { conversation: id, user, reason: reason.into() });
        }
        let mut wish = stored(&unsent)?;
        wish.claimed(user, packages);
        outbox::set_input(self.db, unsent.id, &wire::encode(&wish))?;
        Ok(())
    }

    /// What was claimed for wishes was for a group that serves the conversation no more, perhaps of another suite.
    pub(crate) fn claim_wishes_anew(&mut self, id: ConversationId) -> Result<(), Error> {
        for kind in [OutboxKind::Wish, OutboxKind::Upkeep] {
            for unsent in outbox::all_of_kind(self.db, id, kind)? {
                let mut wish = stored(&unsent)?;
                wish.claims_mut().iter_mut().for_each(|claim| {
                    (claim.key, claim.packages) = (self.entropy.array(), None);
                });
                outbox::set_input(self.db, unsent.id, &wire::encode(&wish))?;
            }
        }
        Ok(())
    }

    /// The commit of a wish is in the log and merged.
    pub(crate) fn wish_recorded(
        &mut self,
        row: &mut ConversationRow,
        unsent: &OutboxRow,
        commit: &Committed,
    ) -> Result<(), Error> {
        let wish = stored(unsent)?;
        if wish == Wish::Leave {
            // That was a step on the way. The next one is another commit, and has an id of its own.
            return self.wish_to_leave(row.id);
        }
        let added = commit.changes.iter().any(|change| matches!(change, Change::Add(_)));
        if matches!(wish, Wish::Add { announce: true, .. }) && added {
            let timer = (row.timer > 0).then_some(Body::Timer { seconds: row.timer });
            let repeat = [row.name.clone().map(Body::Name), row.topic.clone().map(Body::Topic), timer];
            for body in repeat.into_iter().flatten() {
                self.enqueue(row.id, &Content::new(body, self.now))?;
            }
        }
        self.tell_outcome(row.id, unsent, None);
        Ok(())
    }

    /// What a person has wished for has an outcome that they are told; what the device does by itself has not.
    fn tell_outcome(&mut self, conversation: ConversationId, unsent: &OutboxRow, failure: Option<&str>) {
        let change = unsent.message_id;
        match failure {
            _ if unsent.kind == OutboxKind::Upkeep => {}
            None => self.tell(Event::GroupChanged { conversation, change }),
            Some(reason) => self.tell(Event::GroupUnchanged { conversation, change, reason: reason.into() }),
        }
    }

    /// The server refuses a wish for good, or it has become impossible.
    pub(crate) fn give_up(&mut self, row: ConversationRow, unsent: &OutboxRow, reason: &str) -> Result<(), Error> {
        self.change(&row, |group, device, _| group.discard_pending(device))??;
        if is_leave(unsent) {
            // The person's other devices, which may be out already, come back.
            self.add_siblings(&row)?;
        }
        self.tell_outcome(row.id, unsent, Some(reason));
        self.settle_wish(row, unsent)
    }

    fn fulfil(&mut self, row: ConversationRow, unsent: &OutboxRow) -> Result<(), Error> {
        self.tell_outcome(row.id, unsent, None);
        self.settle_wish(row, unsent)
    }

    fn settle_wish(&mut self, row: ConversationRow, unsent: &OutboxRow) -> Result<(), Error> {
        outbox::delete(self.db, row.id, unsent.message_id)?;
        // A new group stands even if nobody could be added.
        if row.state == ConversationState::Creating {
            conversation::save(self.db, &ConversationRow { state: ConversationState::Active, ..row })?;
            self.tell(Event::ConversationChanged(row.id));
            return self.deliver(self.conversation(row.id)?);
        }
        self.deliver(row)
    }

    /// Whether members wait to leave whom this device can carry out.
    pub(crate) fn has_leavers(&mut self, row: &ConversationRow) -> Result<bool, Error> {
        Ok(self.peek(row, |group| Ok(group.has_pending_proposals()))?.unwrap_or_default())
    }

    /// Queues the commit that carries out what leavers have proposed, before everything else that is to be sent.
    pub(crate) fn carry_out_leaving(&mut self, id: ConversationId) -> Result<MessageId, Error> {
        if let Some(waiting) = outbox::find_kind(self.db, id, OutboxKind::Add)? {
            return Ok(waiting.message_id);
        }
        let key = MessageId::from_bytes(self.entropy.array());
        outbox::insert(self.db, id, OutboxKind::Add, key, None, None)?;
        self.memory.attention.insert(id);
        Ok(key)
    }

    /// Somebody has said that they leave.
    pub(crate) fn somebody_leaves(&mut self, row: &ConversationRow) -> Result<(), Error> {
        if row.state == ConversationState::Leaving {
            return Ok(());
        }
        let key = self.carry_out_leaving(row.id)?;
        let chance = u64::from(u16::from_le_bytes(self.entropy.array()));
        let pause = JITTER_MS * chance / u64::from(u16::MAX);
        self.memory.session.delay(Work::Outbox(row.id, key), self.now.saturating_add(pause));
        Ok(())
    }

    fn propose(&mut self, row: ConversationRow, wish: &OutboxRow) -> Result<(), Error> {
        let Some(epoch) = self.epoch(&row)? else { return self.start_repair(row) };
        let message_id = MessageId::from_bytes(self.entropy.array());
        let aad = Self::aad(&row, message_id, [0; 32]);
        match self.change(&row, |group, device, _| group.leave(device, &aad))? {
            Ok(payload) => {
                outbox::delete(self.db, row.id, wish.message_id)?;
                let propose = Propose { conversation: row.id, epoch, message_id, payload };
                let parameters = wire::encode(&propose);
                outbox::insert(self.db, row.id, OutboxKind::Propose, message_id, None, Some(&parameters))?;
                if let Some(unsent) = outbox::find(self.db, row.id, message_id)? {
                    outbox::set_sealed(self.db, unsent.id, Some(&parameters), Some(epoch))?;
                }
                self.request(Work::Outbox(row.id, message_id), &propose);
                Ok(())
            }
            Err(_) => self.start_repair(row),
        }
    }

    /// A proposal counts in its epoch only: after it, the wish is held against the group again.
    pub(crate) fn deliver_proposal(&mut self, row: ConversationRow, unsent: &OutboxRow) -> Result<(), Error> {
        if unsent.parameters.is_some() && unsent.epoch == self.epoch(&row)? {
            return self.transmit::<Propose>(unsent);
        }
        outbox::delete(self.db, row.id, unsent.message_id)?;
        self.wish_to_leave(row.id)?;
        self.deliver(row)
    }

    pub(crate) fn wish_to_leave(&mut self, id: ConversationId) -> Result<(), Error> {
        let key = MessageId::from_bytes(self.entropy.array());
        outbox::insert(self.db, id, OutboxKind::Wish, key, Some(&wire::encode(&Wish::Leave)), None)?;
        self.memory.attention.insert(id);
        Ok(())
    }

    fn leave_for_good(&mut self, mut row: ConversationRow, unsent: &OutboxRow) -> Result<(), Error> {
        outbox::delete(self.db, row.id, unsent.message_id)?;
        self.forget_group(&row)?;
        self.leave(&mut row)?;
        self.depart(row.id, Departure::Alone)?;
        Ok(conversation::save(self.db, &row)?)
    }

    fn commit(&mut self, row: ConversationRow, unsent: OutboxRow, proposed: &Proposed) -> Result<(), Error> {
        match self.make_commit(&row, &unsent, proposed)? {
            Ok(()) => Ok(()),
            Err(e2ee::Error::NeedsIdentities(users)) => {
                self.wait_for(row.id, users);
                Ok(())
            }
            Err(e2ee::Error::Refused(refused)) => self.give_up(row, &unsent, &refused.to_string()),
            Err(_) => self.start_repair(row),
        }
    }
}

/// Whether a person means to leave by it.
pub(crate) fn is_leave(unsent: &OutboxRow) -> bool {
    unsent.input.as_deref().is_some_and(|input| wire::decode(input) == Ok(Wish::Leave))
}

fn stored(unsent: &OutboxRow) -> Result<Wish, Error> {
    wire::decode(unsent.input.as_deref().unwrap_or_default())
        .map_err(|_| Error::Database(crate::DatabaseError::Damaged))
}
