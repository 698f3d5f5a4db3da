//! A store that was put back from a backup (`docs/decisions/0070-restored-logs.md`): every log gets another generation, and
//! remembers up to where it survived. For a while devices give back what was lost; each entry goes the way that it went when
//! it was new, but that it has its place and generation already ([`Supplied`]).

use super::append::Head;
use super::audit::{Actor, NewAuditEntry};
use crate::sql::{sql, values};
use crate::{Error, OperatorTx, Tx};
use trust::EntryHash;
use wire::sabotage::{Defence, stands};
use wire::{ConversationId, TenantId, UnixMillis};

/// The place that an entry had in the log before the restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Supplied {
    /// Its sequence number: the one after the head.
    pub seq: u64,
    /// The generation in which it was recorded: lower than the log's, and not lower than that of the entry before.
    pub generation: u32,
}

/// What marking a tenant as restored did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marked {
    /// Conversations whose generation was raised.
    pub conversations: usize,
    /// One-time key packages that were deleted.
    pub key_packages: usize,
    /// Invites that were deleted.
    pub invites: usize,
    /// Offers of new devices that were deleted.
    pub links: usize,
}

/// Where a log broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Survived {
    /// The generation of the log now.
    pub generation: u32,
    /// Everything up to here survived.
    pub seq: u64,
    /// `EntryHash(seq)`.
    pub hash: EntryHash,
    /// The last entry.
    pub head: u64,
    /// `EntryHash(head)`.
    pub head_hash: EntryHash,
}

impl OperatorTx<'_> {
    /// Says that what there is of a tenant was put back from a backup. Doing it twice does no harm: the generation is raised
    /// once more.
    ///
    /// What may have been handed out since the backup is deleted: one-time key packages, invites, offers of new devices.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn mark_restored(&mut self, tenant: TenantId, now: UnixMillis) -> Result<Marked, Error> {
        self.on(tenant);
        let change = |text, values: &[crate::sql::Value<'_>]| self.session.execute(text, values);
        let conversations =
            change(sql!("update conversations set generation = generation + 1 where tenant = $1"), values![tenant])?;
        change(
            sql!(
                "insert into restored_logs (tenant, conversation, generation, seq, hash) \
                 select tenant, conversation, generation, head_seq, head_hash from conversations where tenant = $1"
            ),
            values![tenant],
        )?;
        change(
            sql!(
                "insert into restores (tenant, restored_at, held_until) values ($1, $2, null) \
                 on conflict (tenant) do update set restored_at = excluded.restored_at, held_until = null"
            ),
            values![tenant, now],
        )?;
        let key_packages = if stands(Defence::ClaimOnce) {
            change(sql!("delete from key_packages where tenant = $1 and last_resort = 0"), values![tenant])?
        } else {
            0
        };
        change(sql!("delete from key_package_claims where tenant = $1"), values![tenant])?;
        let invites = change(sql!("delete from invites where tenant = $1"), values![tenant])?;
        let links = change(sql!("delete from link_offers where tenant = $1"), values![tenant])?;
        self.inside(tenant).record_audit(NewAuditEntry {
            at: now,
            actor: Actor::Operator,
            operation: "restored",
            outcome: "ok",
            objects: &[],
        })?;
        Ok(Marked { conversations, key_packages, invites, links })
    }
}

impl Tx<'_> {
    /// Until when only what a restore has lost is recorded. `None` when nothing was restored; the end is set when this is
    /// asked first, by `end`.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn hold(&mut self, end: UnixMillis) -> Result<Option<UnixMillis>, Error> {
        let text = sql!("update restores set held_until = $2 where tenant = $1 and held_until is null");
        self.session.execute(text, values![self.tenant, end])?;
        let text = sql!("select held_until from restores where tenant = $1");
        self.session.row(text, values![self.tenant], |row| row.number(0))
    }

    /// Whether the tenant was ever restored: most were not, and for those nothing is written.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn was_restored(&self) -> Result<bool, Error> {
        let text = sql!("select 1 from restores where tenant = $1");
        Ok(self.session.row(text, values![self.tenant], |_| Ok(()))?.is_some())
    }

    /// Whether devices still give back what a restore has lost, or have not begun to.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn is_held(&self, now: UnixMillis) -> Result<bool, Error> {
        let text = sql!("select 1 from restores where tenant = $1 and (held_until is null or held_until > $2)");
        Ok(self.session.row(text, values![self.tenant, now], |_| Ok(()))?.is_some())
    }

    /// Up to where a log is the one that a device knew in this generation: the earliest place at which a later restore broke
    /// it off, or the head. `None` when there is no such conversation.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn survived(&self, conversation: ConversationId, generation: u32) -> Result<Option<Survived>, Error> {
        let Some(head) = self.head(conversation)? else { return Ok(None) };
        let text = sql!(
            "select seq, hash from restored_logs where tenant = $1 and conversation = $2 and generation > $3 \
             order by seq, generation limit 1"
        );
        let broken = self.session.row(text, values![self.tenant, conversation, generation], |row| {
            Ok((row.number(0)?, EntryHash(row.array(1)?)))
        })?;
        let (seq, hash) = broken.unwrap_or((head.seq, head.hash));
        Ok(Some(Survived { generation: head.generation, seq, hash, head: head.seq, head_hash: head.hash }))
    }

    /// Whether an entry may take the place after the head. One that is new always may.
    pub(super) fn may_follow(
        &self,
        conversation: ConversationId,
        head: &Head,
        supplied: Option<Supplied>,
    ) -> Result<bool, Error> {
        let Some(Supplied { seq, generation }) = supplied else { return Ok(true) };
        if !stands(Defence::SupplyInOrder) {
            return Ok(true);
        }
        let text = sql!("select generation from log_entries where tenant = $1 and conversation = $2 and seq = $3");
        let last = self.session.row(text, values![self.tenant, conversation, head.seq], |row| row.number::<u32>(0))?;
        Ok(seq == head.seq + 1 && last.unwrap_or(0) <= generation && generation < head.generation)
    }

    /// Puts another GroupInfo of this epoch in the place of one that a restore has lost. `false` when it is not lost, or the
    /// epoch another one by now.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn renew_group_info(
        &mut self,
        conversation: ConversationId,
        epoch: u64,
        group_info: &[u8],
    ) -> Result<bool, Error> {
        let Some(head) = self.lock_head(conversation)? else { return Ok(false) };
        let lost = self.current_group(conversation)?.is_some_and(|current| current.group_info.is_empty());
        if head.epoch != epoch || !lost {
            return Ok(false);
        }
        let key = self.conversation_key(conversation)?;
        self.put_group(&key, conversation, epoch, group_info, None)?;
        Ok(true)
    }
}
