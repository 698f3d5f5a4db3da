//! Making the group that takes another one's place: key packages are claimed, one person at a time; then the group is made
//! with everybody in it, and recorded, or not.

use super::FIRST_MS;
use crate::database::conversation::{self, ConversationRow};
use crate::database::outbox::{self, OutboxKind, OutboxRow};
use crate::database::raw;
use crate::group::Claim;
use crate::session::Work;
use crate::turn::{Turn, is_transient};
use crate::{ConversationState, Error};
use e2ee::{Group, Suite};
use minicbor::{Decode, Encode};
use trust::Kind;
use wire::request::{ClaimKeyPackages, ClaimedKeyPackage, Cursor, Succeed};
use wire::{DeviceId, Entry, EntryKind, ErrorCode, GroupId, MessageId, Refusal, UnixMillis, UserId};

/// Pauses after attempts that did not succeed grow up to this.
const AGAIN_MAX_MS: u64 = 3_600_000;

/// When to try next, and how often it was tried in vain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    pub(crate) at: UnixMillis,
    pub(crate) tried: u32,
}

/// The group that is to be, as the outbox keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct Intention {
    /// Whose devices are to be in it.
    #[n(0)]
    claims: Vec<Claim>,
    /// The epoch of the group that is to end, if this device cannot follow it there.
    #[n(1)]
    epoch: Option<u64>,
}

impl Turn<'_> {
    pub(crate) fn begin_succession(&mut self, row: &ConversationRow, epoch: Option<u64>) -> Result<(), Error> {
        if outbox::find_kind(self.db, row.id, OutboxKind::Succeed)?.is_some() {
            return Ok(());
        }
        let mut users: Vec<UserId> = self.staying(row)?.into_iter().map(|(user, _)| user).collect();
        users.sort_unstable();
        users.dedup();
        let claim = |user| Claim { user, key: self.entropy.array(), packages: None };
        let intention = Intention { claims: users.into_iter().map(claim).collect(), epoch };
        let key = MessageId::from_bytes(self.entropy.array());
        outbox::insert(self.db, row.id, OutboxKind::Succeed, key, Some(&wire::encode(&intention)), None)?;
        self.memory.attention.insert(row.id);
        Ok(())
    }

    /// Does what is next for it.
    pub(crate) fn deliver_succession(&mut self, row: ConversationRow, unsent: OutboxRow) -> Result<(), Error> {
        let intention = stored(&unsent)?;
        let epoch = match intention.epoch {
            Some(epoch) => Some(epoch),
            None => self.epoch(&row)?,
        };
        if unsent.parameters.is_some() {
            // If the group has gone on meanwhile, it could only be refused.
            return if unsent.epoch == epoch { self.transmit::<Succeed>(&unsent) } else { self.give_up_group(&unsent) };
        }
        let Some(epoch) = epoch else { return self.give_up_group(&unsent) };
        match intention.claims.iter().find(|claim| claim.packages.is_none()) {
            Some(claim) => self.claim_for_group(&row, &unsent, claim),
            None => self.make_group(&row, &unsent, &intention, epoch),
        }
    }

    fn claim_for_group(&mut self, row: &ConversationRow, unsent: &OutboxRow, claim: &Claim) -> Result<(), Error> {
        let (user, idempotency_key) = (claim.user, claim.key);
        let staying = self.staying(row)?;
        let devices: Vec<DeviceId> =
            staying.into_iter().filter(|(owner, _)| *owner == user).map(|(_, device)| device).collect();
        if devices.is_empty() {
            // None would mean all.
            return self.claimed_for_group(unsent, user, Vec::new());
        }
        let work = Work::ClaimFor(row.id, unsent.message_id, user);
        self.request(work, &ClaimKeyPackages { user, devices, idempotency_key });
        Ok(())
    }

    /// The key packages of one person came, or cannot be had.
    pub(crate) fn claimed_for_group(
        &mut self,
        unsent: &OutboxRow,
        user: UserId,
        packages: Vec<ClaimedKeyPackage>,
    ) -> Result<(), Error> {
        let row = self.conversation(unsent.conversation)?;
        if packages.is_empty() && self.staying(&row)?.iter().any(|(owner, _)| *owner == user) {
            // Nobody is thrown out, no device of this person either: it waits until they can come along.
            return self.give_up_group(unsent);
        }
        let mut intention = stored(unsent)?;
        let of_user = intention.claims.iter_mut().filter(|claim| claim.user == user);
        of_user.for_each(|claim| claim.packages = Some(packages.clone()));
        outbox::set_input(self.db, unsent.id, &wire::encode(&intention))?;
        self.memory.attention.insert(unsent.conversation);
        Ok(())
    }

    fn make_group(
        &mut self,
        row: &ConversationRow,
        unsent: &OutboxRow,
        intention: &Intention,
        epoch: u64,
    ) -> Result<(), Error> {
        let account = self.account()?;
        let suite = Suite::from_code(account.suite).ok_or(Error::Protocol("unknown cipher suite"))?;
        let staying = self.staying(row)?;
        let stays = |package: &&ClaimedKeyPackage| staying.iter().any(|(_, device)| *device == package.device);
        let packages = intention.claims.iter().filter_map(|claim| claim.packages.as_ref()).flatten();
        let add: Vec<Vec<u8>> = packages.filter(stays).map(|package| package.bytes.clone()).collect();
        let (id, now) = (GroupId::from_bytes(self.entropy.array()), self.now);
        let aad = Self::aad(row, unsent.message_id, [0; 32]);
        let Some(predecessor) = row.group else { return self.give_up_group(unsent) };
        let made = self.act(|device, vouch| {
            let before = Group::load(device, predecessor)?.ok_or(e2ee::Error::NotMember)?;
            let made = before.succeed(device, suite, id, &add, &aad, now, vouch)?;
            Ok((made.output, made.writes))
        })?;
        match made {
            Ok(e2ee::Succession { group_info, tree, welcome }) => {
                let (conversation, message_id) = (row.id, unsent.message_id);
                let succeed = Succeed { conversation, message_id, predecessor, epoch, group_info, tree, welcome };
                outbox::set_sealed(self.db, unsent.id, Some(&wire::encode(&succeed)), Some(epoch))?;
                self.request(Work::Outbox(conversation, message_id), &succeed);
                Ok(())
            }
            Err(e2ee::Error::NeedsIdentities(users)) => {
                self.wait_for(row.id, users);
                Ok(())
            }
            Err(_) => self.give_up_group(unsent),
        }
    }

    /// The server does not want it.
    pub(crate) fn group_refused(
        &mut self,
        row: &ConversationRow,
        unsent: &OutboxRow,
        refusal: &Refusal,
    ) -> Result<(), Error> {
        if matches!(refusal.code(), Some(ErrorCode::EpochTaken | ErrorCode::StaleEpoch)) {
            self.notice_head(Cursor { conversation: row.id, generation: row.generation, seq: row.cursor + 1 });
        } else if is_transient(refusal) {
            self.later(Work::Outbox(row.id, unsent.message_id), refusal);
            return Ok(());
        }
        self.give_up_group(unsent)
    }

    /// The group of this device is the one that serves the conversation now.
    pub(crate) fn own_group_recorded(
        &mut self,
        row: &mut ConversationRow,
        unsent: &OutboxRow,
        entry: &Entry,
    ) -> Result<bool, Error> {
        let Some(group) = candidate(unsent).filter(|group| names(entry, *group)) else { return Ok(false) };
        outbox::delete(self.db, row.id, unsent.message_id)?;
        if let Some(Ok(succeed)) = unsent.parameters.as_deref().map(wire::decode::<Succeed>) {
            raw::keep_tree(self.db, row.id, entry.seq, &succeed.tree)?;
        }
        if let Some(before) = row.group {
            self.forget_keys(before)?;
        }
        self.moved_to(row, group)?;
        row.renew_at = Some(self.some_day());
        self.watch_renewal(row);
        Ok(true)
    }

    /// Not now: what goes on without it goes on.
    fn give_up_group(&mut self, unsent: &OutboxRow) -> Result<(), Error> {
        let id = unsent.conversation;
        self.drop_candidate(unsent)?;
        let mut row = self.conversation(id)?;
        if row.state == ConversationState::Creating && row.kind == Kind::Direct {
            self.go_on_claiming(&mut row)?;
            conversation::save(self.db, &row)?;
        }
        let tried = self.memory.attempts.get(&id).map_or(0, |attempt| attempt.tried);
        let pause = FIRST_MS.saturating_mul(1_u64.checked_shl(tried + 1).unwrap_or(u64::MAX)).min(AGAIN_MAX_MS);
        self.attempt(id, pause, tried.saturating_add(1).min(32));
        self.memory.attention.insert(id);
        Ok(())
    }

    /// Who is to be in the next group beside this device: the leaves of this one, but for those that are gone.
    fn staying(&mut self, row: &ConversationRow) -> Result<Vec<(UserId, DeviceId)>, Error> {
        let (own, gone) = (self.account()?.device, self.gone(row)?);
        let leaves = self.peek(row, Group::members)?.unwrap_or_default();
        let others = leaves.into_iter().map(|leaf| leaf.identity).filter(|leaf| leaf.device != own);
        Ok(others.filter(|leaf| !gone.contains(&leaf.device)).map(|leaf| (leaf.user, leaf.device)).collect())
    }
}

/// The group that waits to be recorded, once it is made.
pub(super) fn candidate(unsent: &OutboxRow) -> Option<GroupId> {
    let succeed: Succeed = wire::decode(unsent.parameters.as_deref()?).ok()?;
    e2ee::group_of(&succeed.group_info).ok()
}

fn names(entry: &Entry, group: GroupId) -> bool {
    entry.kind == EntryKind::Succession && e2ee::group_of(&entry.payload).is_ok_and(|named| named == group)
}

fn stored(unsent: &OutboxRow) -> Result<Intention, Error> {
    wire::decode(unsent.input.as_deref().unwrap_or_default())
        .map_err(|_| Error::Database(crate::DatabaseError::Damaged))
}
