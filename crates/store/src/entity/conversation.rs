//! Conversations and the MLS group that serves each.

use crate::schema::{SealedColumn, sealed};
use crate::sql::{Row, sql, values};
use crate::{Error, Tx};
use keyring::{DataKey, KeyUse};
use trust::{EntryHash, Kind};
use wire::request::CurrentGroup;
use wire::{ConversationId, DeviceId, GroupId, UnixMillis, UserId};

const GROUP_INFO: SealedColumn = sealed("mls_groups", "group_info");
const POLICY: SealedColumn = sealed("mls_groups", "policy");

/// A conversation, as far as everybody who runs the server may see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conversation {
    /// Id.
    pub conversation: ConversationId,
    /// Direct or group.
    pub kind: Kind,
    /// The device that made it.
    pub creator: DeviceId,
    /// The MLS group that serves it.
    pub group: GroupId,
    /// Raised by every restore.
    pub generation: u32,
    /// Of the group.
    pub epoch: u64,
    /// The last entry of the log.
    pub head_seq: u64,
    /// `EntryHash(head_seq)`.
    pub head_hash: EntryHash,
    /// The commit that began the epoch; 0 for the first.
    pub commit_seq: u64,
    /// `EntryHash(commit_seq)`.
    pub commit_hash: EntryHash,
}

/// A conversation to be made, with its first group at epoch 0.
#[derive(Debug, Clone, Copy)]
pub struct NewConversation<'a> {
    /// Id.
    pub conversation: ConversationId,
    /// Direct or group.
    pub kind: Kind,
    /// The two users of a direct conversation, in any order.
    pub pair: Option<[UserId; 2]>,
    /// The MLS group.
    pub group: GroupId,
    /// The device that makes it, its first and only member.
    pub creator: DeviceId,
    /// Whose device that is.
    pub creator_user: UserId,
    /// `MLSMessage` holding the GroupInfo.
    pub group_info: &'a [u8],
    /// The group's policy, encoded.
    pub policy: &'a [u8],
    /// The ratchet tree of epoch 0.
    pub tree: &'a [u8],
    /// What `roster` needs to go on from here, if that is more than GroupInfo and tree.
    pub public_group: Option<&'a [u8]>,
}

/// What came of making a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateConversation {
    /// There is one more.
    Created,
    /// The same device has made it before, with the same group.
    Repeated,
    /// The two users have a direct conversation: this one.
    PairTaken(ConversationId),
    /// Another conversation has the id.
    IdTaken,
}

impl Tx<'_> {
    /// Makes a conversation with a data key of its own.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn create_conversation(
        &mut self,
        new: NewConversation<'_>,
        now: UnixMillis,
    ) -> Result<CreateConversation, Error> {
        if let Some(in_the_way) = self.in_the_way(&new)? {
            return Ok(in_the_way);
        }
        let pair_index = new.pair.map(|pair| self.pair_index(pair)).transpose()?;
        let text = sql!(
            "insert into conversations (tenant, conversation, kind, creator, pair_index, group_id, generation, epoch, \
             head_seq, head_hash, commit_seq, commit_hash, created_at) \
             values ($1, $2, $3, $4, $5, $6, 0, 0, 0, $7, 0, $7, $8) on conflict do nothing"
        );
        let kind = kind_number(new.kind);
        let genesis = EntryHash::GENESIS.0;
        let values = values![self.tenant, new.conversation, kind, new.creator, pair_index, new.group, genesis, now];
        if self.session.execute(text, values)? == 0 {
            // Made elsewhere at this moment, and there now.
            return self.in_the_way(&new)?.ok_or(Error::Malformed);
        }
        let key = self.key_or_new(KeyUse::Conversation, new.conversation.as_bytes())?;
        self.put_group(&key, new.conversation, 0, new.group_info, Some(new.policy))?;
        self.put_tree(&key, new.conversation, (new.group, 0), new.tree)?;
        if let Some(state) = new.public_group {
            self.put_public_group(new.conversation, 0, state)?;
        }
        self.insert_member(new.conversation, new.creator, new.creator_user, 0)?;
        Ok(CreateConversation::Created)
    }

    fn in_the_way(&self, new: &NewConversation<'_>) -> Result<Option<CreateConversation>, Error> {
        if let Some(there) = self.conversation(new.conversation)? {
            let same = there.creator == new.creator && there.group == new.group && there.kind == new.kind;
            return Ok(Some(if same { CreateConversation::Repeated } else { CreateConversation::IdTaken }));
        }
        let taken = new.pair.map(|pair| self.direct_conversation(pair)).transpose()?.flatten();
        Ok(taken.map(CreateConversation::PairTaken))
    }

    /// The conversation with this id.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn conversation(&self, conversation: ConversationId) -> Result<Option<Conversation>, Error> {
        let text = sql!(
            "select conversation, kind, creator, group_id, generation, epoch, head_seq, head_hash, commit_seq, commit_hash \
             from conversations where tenant = $1 and conversation = $2"
        );
        self.session.row(text, values![self.tenant, conversation], read)
    }

    /// Conversations in the order of their ids, after this one: a walk over all, part by part.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn conversations_after(&self, after: Option<ConversationId>, limit: u32) -> Result<Vec<Conversation>, Error> {
        let text = sql!(
            "select conversation, kind, creator, group_id, generation, epoch, head_seq, head_hash, commit_seq, commit_hash \
             from conversations where tenant = $1 and conversation > $2 order by conversation limit $3"
        );
        let after = after.as_ref().map_or(&[][..], |id| id.as_bytes().as_slice());
        self.session.rows(text, values![self.tenant, after, limit], |row| read(row).map(Some))
    }

    /// The direct conversation of two users, in any order.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn direct_conversation(&self, pair: [UserId; 2]) -> Result<Option<ConversationId>, Error> {
        let text = sql!("select conversation from conversations where tenant = $1 and pair_index = $2");
        self.session.row(text, values![self.tenant, self.pair_index(pair)?], |row| row.id(0))
    }

    /// The current epoch with its GroupInfo.
    ///
    /// # Errors
    /// [`Error::Sealed`] when it was tampered with, [`Error`] of the storage.
    pub fn current_group(&self, conversation: ConversationId) -> Result<Option<CurrentGroup>, Error> {
        let text = sql!("select epoch, group_info from mls_groups where tenant = $1 and conversation = $2");
        let read = |row: &Row<'_>| Ok((row.number(0)?, row.bytes(1)?.to_vec()));
        let Some((epoch, sealed)) = self.session.row(text, values![self.tenant, conversation], read)? else {
            return Ok(None);
        };
        let Some(there) = self.conversation(conversation)? else { return Ok(None) };
        let key = self.key(KeyUse::Conversation, conversation.as_bytes())?;
        let group_info = self.open(&key, GROUP_INFO, &row(conversation, epoch), &sealed)?;
        let (seq, generation, entry_hash) = (there.commit_seq, there.generation, there.commit_hash.0);
        Ok(Some(CurrentGroup { group_info, epoch, seq, generation, entry_hash }))
    }

    /// The group's policy, as it was given.
    ///
    /// # Errors
    /// [`Error::Sealed`] when it was tampered with, [`Error`] of the storage.
    pub fn group_policy(&self, conversation: ConversationId) -> Result<Option<Vec<u8>>, Error> {
        let text = sql!("select policy from mls_groups where tenant = $1 and conversation = $2");
        let found = self.session.row(text, values![self.tenant, conversation], |row| Ok(row.bytes(0)?.to_vec()))?;
        let Some(sealed) = found else { return Ok(None) };
        let key = self.key(KeyUse::Conversation, conversation.as_bytes())?;
        self.open(&key, POLICY, conversation.as_bytes(), &sealed).map(Some)
    }

    /// Puts the group's new epoch in the place of the one before; the policy stays when none is given.
    pub(super) fn put_group(
        &mut self,
        key: &DataKey,
        conversation: ConversationId,
        epoch: u64,
        group_info: &[u8],
        policy: Option<&[u8]>,
    ) -> Result<(), Error> {
        let group_info = self.seal(key, GROUP_INFO, &row(conversation, epoch), group_info)?;
        let Some(policy) = policy else {
            let text =
                sql!("update mls_groups set epoch = $3, group_info = $4 where tenant = $1 and conversation = $2");
            return self.session.execute(text, values![self.tenant, conversation, epoch, group_info]).map(drop);
        };
        let policy = self.seal(key, POLICY, conversation.as_bytes(), policy)?;
        let text = sql!(
            "insert into mls_groups (tenant, conversation, epoch, group_info, policy) values ($1, $2, $3, $4, $5) \
             on conflict (tenant, conversation) do update \
             set epoch = excluded.epoch, group_info = excluded.group_info, policy = excluded.policy"
        );
        self.session.execute(text, values![self.tenant, conversation, epoch, group_info, policy]).map(drop)
    }

    fn pair_index(&self, mut pair: [UserId; 2]) -> Result<[u8; 32], Error> {
        pair.sort_unstable();
        let [first, second] = pair;
        self.blind("conversations", "pair_index", &[*first.as_bytes(), *second.as_bytes()].concat())
    }
}

/// The key of a row that belongs to a place in a conversation: its id and a sequence number or epoch.
pub(super) fn row(conversation: ConversationId, number: u64) -> [u8; 24] {
    let mut row = [0; 24];
    let (id, place) = row.split_at_mut(16);
    id.copy_from_slice(conversation.as_bytes());
    place.copy_from_slice(&number.to_be_bytes());
    row
}

fn read(row: &Row<'_>) -> Result<Conversation, Error> {
    let kind = match row.number(1)? {
        0 => Kind::Direct,
        1 => Kind::Group,
        _ => return Err(Error::Malformed),
    };
    Ok(Conversation {
        conversation: row.id(0)?,
        kind,
        creator: row.id(2)?,
        group: row.id(3)?,
        generation: row.number(4)?,
        epoch: row.number(5)?,
        head_seq: row.number(6)?,
        head_hash: EntryHash(row.array(7)?),
        commit_seq: row.number(8)?,
        commit_hash: EntryHash(row.array(9)?),
    })
}

const fn kind_number(kind: Kind) -> u8 {
    match kind {
        Kind::Direct => 0,
        Kind::Group => 1,
    }
}
