//! What a user interface shows. Reading changes nothing and needs no connection.

use crate::client::Client;
use crate::contacts;
use crate::content::{Content, MessageView, fold};
use crate::database::contact::{self, ContactRow};
use crate::database::conversation::{self, ConversationRow};
use crate::database::local::{self, Local};
use crate::database::{MessageRow, archive, expiry, message, outbox, page, search};
use crate::{ConversationState, Error, Verification};
use trust::safety_number::safety_number;
use trust::{DeviceState, EntryHash, Kind};
use wire::{ConversationId, DeviceId, GroupId, MessageId, TenantId, UnixMillis, UserId};

/// Who this device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountView {
    /// The tenant.
    pub tenant: TenantId,
    /// Its name.
    pub tenant_name: String,
    /// The person.
    pub user: UserId,
    /// The person's handle.
    pub handle: String,
    /// This device.
    pub device: DeviceId,
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactView {
    /// Who.
    pub user: UserId,
    /// The handle.
    pub handle: String,
    /// To be compared with the person, out of band. The same on both sides.
    pub safety_number: String,
    /// Devices that speak for the person.
    pub devices: Vec<DeviceId>,
    /// Why the server's last word about the person was refused, if it was.
    pub refused: Option<String>,
    /// Whether the safety number was compared.
    pub verification: Verification,
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationView {
    /// Its id.
    pub id: ConversationId,
    /// Where it stands.
    pub state: ConversationState,
    /// Two people, or a group.
    pub kind: Kind,
    /// What to call it: its name, or the handle of the other person.
    pub title: String,
    /// The other person of a direct conversation.
    pub peer: Option<UserId>,
    /// What it is about.
    pub topic: Option<String>,
    /// Everything up to this place was read.
    pub read_up_to: u64,
    /// Lines of others that were not read.
    pub unread: u64,
    /// Those of them that name this person.
    pub unread_mentions: u64,
    /// Seconds after reading that new messages live; 0: for ever.
    pub timer: u32,
    /// Entries that could not be decrypted.
    pub undecryptable: u64,
    /// The server showed this device and another different histories.
    pub forked: bool,
    /// The last line.
    pub last: Option<MessageView>,
    /// How far others have read.
    pub read_by: Vec<(UserId, u64)>,
    /// It stands above those that are not.
    pub pinned: bool,
    /// It asks for attention only where it names the person.
    pub muted: bool,
    /// What was begun to be written; empty: nothing.
    pub draft: String,
    /// It is kept out of the person's archive.
    pub kept_out: bool,
}

/// Which conversation it is, and how far this device has come in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The conversation.
    pub id: ConversationId,
    /// Where the device stands towards it.
    pub state: ConversationState,
    /// The generation of the log that it follows.
    pub generation: u32,
    /// The last entry that was processed.
    pub cursor: u64,
}

/// Where this device stands in a conversation's log and group: two devices at the same place have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The generation of the log.
    pub generation: u32,
    /// The last entry that was processed.
    pub cursor: u64,
    /// The hash of the log up to it.
    pub hash: EntryHash,
    /// The MLS group; absent when the device is in none.
    pub group: Option<GroupId>,
    /// The epoch of that group.
    pub epoch: Option<u64>,
}

/// How things stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Who this device is.
    pub account: AccountView,
    /// Things that wait to reach the server.
    pub unsent: u64,
    /// Conversations.
    pub conversations: u64,
}

impl ConversationView {
    /// Unread lines that ask for attention.
    pub const fn loud(&self) -> u64 {
        if self.muted { self.unread_mentions } else { self.unread }
    }

    /// Who has told that they have read up to this place, or further.
    pub fn readers(&self, seq: u64) -> impl Iterator<Item = UserId> {
        self.read_by.iter().filter(move |(_, up_to)| *up_to >= seq).map(|(user, _)| *user)
    }
}

impl Client {
    /// Who this device is; `None` before it has joined.
    pub fn account_view(&self) -> Option<AccountView> {
        self.account().ok().map(|account| AccountView {
            tenant: account.tenant,
            tenant_name: account.tenant_name.clone(),
            user: account.user,
            handle: account.handle.clone(),
            device: account.device,
        })
    }

    /// How things stand.
    ///
    /// # Errors
    /// [`Error::NotJoined`], [`Error::Database`].
    pub fn status(&self) -> Result<Status, Error> {
        let account = self.account_view().ok_or(Error::NotJoined)?;
        let conversations = conversation::all(self.reader())?.len() as u64;
        Ok(Status { account, unsent: outbox::len(self.reader())?, conversations })
    }

    /// Everybody known to this device, by handle; the person themselves among them.
    ///
    /// # Errors
    /// [`Error::NotJoined`], [`Error::Database`].
    pub fn contacts(&self) -> Result<Vec<ContactView>, Error> {
        contact::all(self.reader())?.into_iter().map(|row| self.contact_view(row)).collect()
    }

    /// A person by handle, as far as this device knows.
    ///
    /// # Errors
    /// [`Error::NotJoined`], [`Error::Database`].
    pub fn contact(&self, handle: &str) -> Result<Option<ContactView>, Error> {
        contact::find_by_handle(self.reader(), handle)?.map(|row| self.contact_view(row)).transpose()
    }

    /// A person, as far as this device knows.
    ///
    /// # Errors
    /// [`Error::NotJoined`], [`Error::Database`].
    pub fn contact_of(&self, user: UserId) -> Result<Option<ContactView>, Error> {
        contact::find(self.reader(), user)?.map(|row| self.contact_view(row)).transpose()
    }

    /// The handle of a person, or the id if it is not known.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn handle_of(&self, user: UserId) -> Result<String, Error> {
        Ok(contact::find(self.reader(), user)?.map_or_else(|| user.to_string(), |row| row.handle))
    }

    /// All conversations, in no order, without what is shown of them: for whoever looks often.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn standings(&self) -> Result<Vec<Standing>, Error> {
        let rows = conversation::all(self.reader())?.into_iter();
        let standing = |row: ConversationRow| Standing {
            id: row.id,
            state: row.state,
            generation: row.generation,
            cursor: row.cursor,
        };
        Ok(rows.map(standing).collect())
    }

    /// All conversations: those that are pinned, then the others, the one with the newest line first.
    ///
    /// # Errors
    /// [`Error::NotJoined`], [`Error::Database`].
    pub fn conversations(&self) -> Result<Vec<ConversationView>, Error> {
        // The person's devices talk in a group that is nothing to look at.
        let own = self.account()?.own_group();
        let rows = conversation::all(self.reader())?.into_iter().filter(|row| row.id != own);
        let mut views = rows.map(|row| self.conversation_view(row)).collect::<Result<Vec<_>, _>>()?;
        views.sort_by_key(|view| std::cmp::Reverse((view.pinned, view.last.as_ref().map(|line| line.at))));
        Ok(views)
    }

    /// Whether it is the group in which the person's own devices talk to each other, which is nothing to look at.
    pub fn is_own_group(&self, id: ConversationId) -> bool {
        self.account().is_ok_and(|account| account.own_group() == id)
    }

    /// One conversation.
    ///
    /// # Errors
    /// [`Error::NotJoined`], [`Error::Database`].
    pub fn conversation(&self, id: ConversationId) -> Result<Option<ConversationView>, Error> {
        conversation::find(self.reader(), id)?.map(|row| self.conversation_view(row)).transpose()
    }

    /// Where this device stands in a conversation; `None` when it does not know it.
    ///
    /// # Errors
    /// [`Error::NotJoined`], [`Error::Database`].
    pub fn position(&mut self, id: ConversationId, now: UnixMillis) -> Result<Option<Position>, Error> {
        self.account()?;
        self.turn(now, |turn| {
            let Some(row) = conversation::find(turn.db, id)? else { return Ok(None) };
            let epoch = turn.epoch(&row)?;
            let ConversationRow { generation, cursor, entry_hash: hash, group, .. } = row;
            Ok(Some(Position { generation, cursor, hash, group, epoch }))
        })
    }

    /// The last lines of a conversation, oldest first.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn lines(&self, id: ConversationId, limit: u32) -> Result<Vec<MessageView>, Error> {
        let lines = page::last(self.reader(), id, limit)?;
        lines.iter().map(|placed| self.line(id, &placed.line)).collect()
    }

    /// One message, with its changes.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn message(&self, id: ConversationId, message: MessageId) -> Result<Option<MessageView>, Error> {
        message::find(self.reader(), id, message)?.map(|row| self.line(id, &row)).transpose()
    }

    /// Lines that hold every part of the query, newest first.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn search(&self, query: &str, limit: u32) -> Result<Vec<(ConversationId, MessageView)>, Error> {
        let mut found: Vec<(ConversationId, MessageView)> = Vec::new();
        for row in search::find(self.reader(), query, limit)? {
            let Some((conversation, message)) = message::by_row(self.reader(), row)? else { continue };
            // The words of an edit belong to the line that it changes.
            let target = Content::from_bytes(&message.content).ok().and_then(|content| content.body.target());
            let line = match target {
                Some(target) => self.message(conversation, target)?,
                None => Some(self.line(conversation, &message)?),
            };
            let is_new = |line: &MessageView| found.iter().all(|(_, other)| other.id != line.id || line.id.is_none());
            found.extend(line.filter(|line| !line.deleted && is_new(line)).map(|line| (conversation, line)));
        }
        Ok(found)
    }

    pub(crate) fn line(&self, conversation: ConversationId, line: &MessageRow) -> Result<MessageView, Error> {
        let changes = match line.message_id {
            Some(id) => message::changes(self.reader(), conversation, id)?,
            None => Vec::new(),
        };
        Ok(fold(line, &changes))
    }

    fn contact_view(&self, row: ContactRow) -> Result<ContactView, Error> {
        let account = self.account()?;
        let chain = contacts::chain(self.reader(), self.chains(), account, row.user)?.ok_or(Error::UnknownContact)?;
        let own = (account.user, account.account_key.public());
        let active = chain.devices().filter(|(_, device)| device.state == DeviceState::Active);
        Ok(ContactView {
            user: row.user,
            handle: row.handle,
            safety_number: safety_number(own, (row.user, *chain.account_key())),
            devices: active.map(|(id, _)| id).collect(),
            refused: row.refused,
            verification: self.verification(row.user, chain.account_key())?,
        })
    }

    fn conversation_view(&self, row: ConversationRow) -> Result<ConversationView, Error> {
        let (db, own) = (self.reader(), self.account()?.user);
        // In a direct conversation no message decides what the other person is called.
        let title = match (row.peer, &row.name) {
            (Some(peer), _) => self.handle_of(peer)?,
            (None, Some(name)) => name.clone(),
            (None, None) => row.id.to_string(),
        };
        let Local { pinned, muted, draft } = local::find(db, row.id)?;
        let kept_out = archive::is_kept_out(db, row.id)?;
        Ok(ConversationView {
            id: row.id,
            state: row.state,
            kind: row.kind,
            title,
            peer: row.peer,
            read_up_to: row.read_up_to,
            unread: message::unread(db, &row, own)?,
            unread_mentions: message::unread_naming(db, &row)?,
            timer: expiry::timer(db, &row)?,
            undecryptable: message::undecryptable(db, row.id)?,
            forked: row.forked,
            last: self.lines(row.id, 1)?.pop(),
            read_by: conversation::receipts(db, row.id)?.into_iter().filter(|(user, _)| *user != own).collect(),
            topic: row.topic,
            pinned,
            muted,
            draft,
            kept_out,
        })
    }
}
