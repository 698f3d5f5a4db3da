//! Telling the person's other devices of a new archive key, when a device that has the old one is gone.
//!
//! They talk in a group of their own, which nobody sees: the first device makes it when it links the second, every further one
//! comes into it as into any conversation, and who is removed is out of it before anything more is said there. Its id comes of
//! the account key, which only the person's devices have, so that all of them know it and nobody can take it first.

use crate::content::{Body, Content, SharedKey};
use crate::database::conversation::{self, ConversationRow};
use crate::database::{archive, message};
use crate::group::Wish;
use crate::turn::Turn;
use crate::{ConversationState, Error};
use trust::{GroupPolicy, Kind};
use vault::ArchiveKey;
use wire::{ConversationId, UserId};

impl Turn<'_> {
    /// The group of the person's own devices.
    pub(crate) fn own_group(&self) -> Result<ConversationId, Error> {
        Ok(self.account()?.own_group())
    }

    /// Makes the group, before there is a second device: two could not agree who makes it.
    pub(crate) fn make_own_group(&mut self) -> Result<(), Error> {
        let id = self.own_group()?;
        let is_alone = self.own_device_counts()?.is_some_and(|(active, _)| active == 1);
        if !is_alone || conversation::find(self.db, id)?.is_some() {
            return Ok(());
        }
        let account = self.account()?;
        let row = ConversationRow::new(id, Kind::Group, ConversationState::Creating);
        conversation::save(self.db, &row)?;
        let row = self.create_group(row, &GroupPolicy::group(account.tenant, id, account.user))?;
        conversation::save(self.db, &row)?;
        // It stands when what is wished for is done: nothing.
        self.wish(id, &Wish::Add { claims: Vec::new(), announce: false })?;
        self.attend(id)
    }

    /// Makes a new archive key and says it to the person's other devices. It seals nothing before it is in the log of their
    /// group: then all who stay have it, or will. If several do this at once, all have all their keys.
    pub(super) fn share_archive_key(&mut self) -> Result<(), Error> {
        self.memory.archive.rested = true;
        let id = self.own_group()?;
        let Some((_, removed)) = self.own_device_counts()? else { return Ok(()) };
        let is_in = conversation::find(self.db, id)?.is_some_and(|row| row.state == ConversationState::Active);
        if !is_in || message::is_waiting(self.db, id)? {
            return Ok(());
        }
        let version = archive::keys(self.db)?.last().map_or(0, ArchiveKey::version).saturating_add(1);
        let key = ArchiveKey::generate(version, removed, self.entropy);
        self.enqueue(id, &Content::new(Body::ArchiveKey(SharedKey::of(&key)), self.now))?;
        self.attend(id)
    }

    /// Why a key is not believed: it comes from somebody else, or is said where others hear it.
    pub(crate) fn objection_to_key(&self, id: ConversationId, author: Option<UserId>) -> Result<Option<String>, Error> {
        let is_own = id == self.own_group()? && author == Some(self.account()?.user);
        Ok((!is_own).then(|| "only a person's own devices say such a thing, among themselves".into()))
    }

    /// A device of the person, perhaps this one, has said a new archive key.
    pub(crate) fn take_shared_key(&mut self, key: &SharedKey) -> Result<(), Error> {
        archive::save_key(self.db, &key.to_key())?;
        self.archive_at_once();
        Ok(())
    }
}
