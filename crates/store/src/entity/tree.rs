//! Ratchet trees for joiners, and the server's view of a group.

use super::conversation::row;
use crate::schema::{SealedColumn, sealed};
use crate::sql::{Row, sql, values};
use crate::{Error, Tx};
use keyring::{DataKey, KeyUse};
use wire::{ConversationId, GroupId};

const TREE: SealedColumn = sealed("trees", "tree");
const STATE: SealedColumn = sealed("public_groups", "state");

/// A snapshot of `roster`'s view of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicGroupState {
    /// The commit after which it was taken; later commits are replayed on it ([`Tx::commits_after`]).
    pub seq: u64,
    /// `roster`'s own encoding.
    pub state: Vec<u8>,
}

impl Tx<'_> {
    /// The ratchet tree of an epoch, if it is kept: that of the current epoch when its commit brought one, and those that
    /// waiting Welcomes need. Who may have it is decided before ([`Tx::awaits_tree`], [`Tx::is_member`]).
    ///
    /// # Errors
    /// [`Error::Sealed`] when it was tampered with, [`Error`] of the storage.
    pub fn tree(&self, conversation: ConversationId, group: GroupId, epoch: u64) -> Result<Option<Vec<u8>>, Error> {
        let text =
            sql!("select tree from trees where tenant = $1 and conversation = $2 and epoch = $3 and group_id = $4");
        let values = values![self.tenant, conversation, epoch, group];
        let found = self.session.row(text, values, |row| Ok(row.bytes(0)?.to_vec()))?;
        let Some(sealed) = found else { return Ok(None) };
        let key = self.key(KeyUse::Conversation, conversation.as_bytes())?;
        self.open(&key, TREE, &row(conversation, epoch), &sealed).map(Some)
    }

    /// The last snapshot of `roster`'s view.
    ///
    /// # Errors
    /// [`Error::Sealed`] when it was tampered with, [`Error`] of the storage.
    pub fn public_group(&self, conversation: ConversationId) -> Result<Option<PublicGroupState>, Error> {
        let text = sql!("select seq, state from public_groups where tenant = $1 and conversation = $2");
        let read = |row: &Row<'_>| Ok((row.number(0)?, row.bytes(1)?.to_vec()));
        let Some((seq, sealed)) = self.session.row(text, values![self.tenant, conversation], read)? else {
            return Ok(None);
        };
        let key = self.key(KeyUse::Conversation, conversation.as_bytes())?;
        let state = self.open(&key, STATE, &row(conversation, seq), &sealed)?;
        Ok(Some(PublicGroupState { seq, state }))
    }

    /// Puts a snapshot in the place of the one before.
    ///
    /// # Errors
    /// [`Error::KeyGone`] when there is no such conversation, [`Error`] of the storage.
    pub fn put_public_group(&mut self, conversation: ConversationId, seq: u64, state: &[u8]) -> Result<(), Error> {
        let key = self.key(KeyUse::Conversation, conversation.as_bytes())?;
        let state = self.seal(&key, STATE, &row(conversation, seq), state)?;
        let text = sql!(
            "insert into public_groups (tenant, conversation, seq, state) values ($1, $2, $3, $4) \
             on conflict (tenant, conversation) do update set seq = excluded.seq, state = excluded.state"
        );
        self.session.execute(text, values![self.tenant, conversation, seq, state]).map(drop)
    }

    pub(super) fn put_tree(
        &mut self,
        key: &DataKey,
        conversation: ConversationId,
        (group, epoch): (GroupId, u64),
        tree: &[u8],
    ) -> Result<(), Error> {
        let tree = self.seal(key, TREE, &row(conversation, epoch), tree)?;
        let text = sql!("insert into trees (tenant, conversation, group_id, epoch, tree) values ($1, $2, $3, $4, $5)");
        self.session.execute(text, values![self.tenant, conversation, group, epoch, tree]).map(drop)
    }

    /// Deletes the trees that neither the current epoch nor a waiting Welcome needs.
    pub(super) fn drop_unneeded_trees(
        &mut self,
        conversation: ConversationId,
        (group, epoch): (GroupId, u64),
    ) -> Result<(), Error> {
        let text = sql!(
            "delete from trees where tenant = $1 and conversation = $2 and (epoch <> $3 or group_id <> $4) \
             and not exists (select 1 from welcomes w where w.tenant = $1 and w.conversation = $2 \
             and w.epoch = trees.epoch and w.group_id = trees.group_id)"
        );
        self.session.execute(text, values![self.tenant, conversation, epoch, group]).map(drop)
    }
}
