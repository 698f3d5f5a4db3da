//! Siblings: the person's other devices belong into every conversation that this one begins, or comes into without them.

use crate::Error;
use crate::database::conversation::ConversationRow;
use crate::database::outbox::{self, OutboxKind};
use crate::group::{Claim, Wish};
use crate::turn::Turn;
use trust::DeviceState;
use wire::{DeviceId, MessageId};

impl Turn<'_> {
    /// Queues the commit that adds the person's devices which have no leaf in the group.
    pub(crate) fn add_siblings(&mut self, row: &ConversationRow) -> Result<(), Error> {
        if self.missing_siblings(row)?.is_empty() {
            return Ok(());
        }
        let claim = Claim { user: self.account()?.user, key: self.entropy.array(), packages: None };
        let key = MessageId::from_bytes(self.entropy.array());
        let wish = wire::encode(&Wish::Siblings { claim });
        outbox::insert(self.db, row.id, OutboxKind::Upkeep, key, Some(&wish), None)?;
        self.memory.attention.insert(row.id);
        Ok(())
    }

    /// The person's other devices that have no leaf in the group.
    pub(crate) fn missing_siblings(&mut self, row: &ConversationRow) -> Result<Vec<DeviceId>, Error> {
        let account = self.account()?;
        let Some(chain) = crate::contacts::chain(self.db, &self.memory.chains, &account, account.user)? else {
            return Ok(Vec::new());
        };
        let active = chain.devices().filter(|(_, device)| device.state == DeviceState::Active).map(|(id, _)| id);
        let others: Vec<DeviceId> = active.filter(|id| *id != account.device).collect();
        if others.is_empty() {
            return Ok(others);
        }
        let leaves = self.peek(row, e2ee::Group::members)?.unwrap_or_default();
        let has_leaf = |id: &DeviceId| leaves.iter().any(|leaf| leaf.identity.device == *id);
        Ok(others.into_iter().filter(|id| !has_leaf(id)).collect())
    }
}
