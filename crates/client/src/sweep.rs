//! Sweeping: a leaf whose device is revoked, or whose user has left, is removed from the group by whoever comes first. The
//! person's other devices do it at once; others wait a little, so that not all of them do the same. Nobody waits before a
//! message of their own: none is ever sealed to a device that its sender knows to be gone.

use crate::contacts;
use crate::database::conversation::{self, ConversationRow};
use crate::database::outbox::{self, OutboxKind};
use crate::group::Wish;
use crate::session::Work;
use crate::turn::Turn;
use crate::{ConversationState, Error};
use e2ee::Vouched;
use wire::{DeviceId, MessageId, UnixMillis, UserId};

/// The devices of others wait at least so long, and by chance up to three times as long.
const OTHERS_FIRST_MS: u64 = 5_000;

impl Turn<'_> {
    /// A user's devices have become fewer: every group is looked at.
    pub(crate) fn sweep_everywhere(&mut self, user: UserId) -> Result<(), Error> {
        for row in conversation::all(self.db)? {
            use ConversationState::{Active, Creating, Leaving, Repairing};
            let has_group = matches!(row.state, Active | Creating | Leaving | Repairing);
            if has_group && !self.gone(&row)?.is_empty() {
                let mut row = row;
                self.sweep_soon(&mut row, user)?;
                conversation::save(self.db, &row)?;
                self.memory.attention.insert(row.id);
            }
        }
        Ok(())
    }

    /// Leaves of this user are to be removed from a group; the caller saves the row.
    pub(crate) fn sweep_soon(&mut self, row: &mut ConversationRow, user: UserId) -> Result<(), Error> {
        let at = if self.account()?.user == user { self.now } else { self.others_first() };
        row.sweep_at = Some(row.sweep_at.map_or(at, |before| before.min(at)));
        self.watch_sweep(row);
        Ok(())
    }

    /// Looks for leaves that are gone: after coming in from outside they may have gone since the group was asked for, after an
    /// own commit while that was on its way. The caller saves the row.
    pub(crate) fn sweep_if_gone(&mut self, row: &mut ConversationRow) -> Result<(), Error> {
        let gone = self.gone(row)?;
        let leaves = self.peek(row, e2ee::Group::members)?.unwrap_or_default();
        let mut swept = leaves.into_iter().map(|leaf| leaf.identity).filter(|leaf| gone.contains(&leaf.device));
        swept.try_for_each(|leaf| self.sweep_soon(row, leaf.user))
    }

    /// Comes back to the conversation when it is time.
    pub(crate) fn watch_sweep(&mut self, row: &ConversationRow) {
        if let Some(at) = row.sweep_at {
            self.memory.session.delay(Work::Sweep(row.id), at);
        }
    }

    /// Queues the commit that removes who is gone, if it is time, or if something is to be sent.
    pub(crate) fn sweep(&mut self, row: ConversationRow) -> Result<ConversationRow, Error> {
        let Some(at) = row.sweep_at else { return Ok(row) };
        if at > self.now && outbox::first(self.db, row.id)?.is_none() {
            return Ok(row);
        }
        let row = ConversationRow { sweep_at: None, ..row };
        conversation::save(self.db, &row)?;
        let devices = self.gone(&row)?;
        if !devices.is_empty() {
            let key = MessageId::from_bytes(self.entropy.array());
            let wish = wire::encode(&Wish::Expel { devices });
            outbox::insert(self.db, row.id, OutboxKind::Upkeep, key, Some(&wish), None)?;
        }
        Ok(row)
    }

    /// Devices that have a leaf in the group and do not speak for anybody, as far as the chains at hand say.
    pub(crate) fn gone(&mut self, row: &ConversationRow) -> Result<Vec<DeviceId>, Error> {
        let leaves = self.peek(row, e2ee::Group::members)?.unwrap_or_default();
        let account = self.account()?;
        let mut gone = Vec::new();
        for leaf in leaves {
            let (chains, fresh) = (&self.memory.chains, &self.memory.fresh);
            let said = contacts::vouch(self.db, chains, fresh, &account, &leaf.identity, &leaf.key)?;
            if said == Vouched::Gone && leaf.identity.device != account.device {
                gone.push(leaf.identity.device);
            }
        }
        Ok(gone)
    }

    fn others_first(&mut self) -> UnixMillis {
        let chance = u64::from(u16::from_le_bytes(self.entropy.array()));
        self.now.saturating_add(OTHERS_FIRST_MS + 2 * OTHERS_FIRST_MS * chance / u64::from(u16::MAX))
    }
}
