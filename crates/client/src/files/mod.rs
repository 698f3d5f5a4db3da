//! Files. A person's device seals one part by part, sends the parts, and then the message that says where they are and what
//! opens them; the others fetch them when somebody wants to see it (`docs/decisions/0100-files.md`).
//!
//! The order of calls for sending: [`Client::begin_file`], [`Client::add_to_file`] for each part of [`vault::FILE_PART_BYTES`],
//! [`Client::send_file`]. From then on it is durable, and goes by itself.

mod draft;
mod transfer;

use crate::client::Client;
use crate::content::{Attachment, Body, Content};
use crate::database::file::{self, Announced, FileRow};
use crate::database::outbox;
use crate::database::{MessageRow, MessageState, expiry, message, part};
use crate::turn::Turn;
use crate::{ConversationState, Database, DatabaseError, Error, Event};
use draft::Draft;
use std::collections::HashMap;
use transfer::Moving;
use vault::{FILE_PART_BYTES, FilePart};
use wire::sabotage::{Defence, stands};
use wire::{BlobId, ConversationId, MessageId, UnixMillis};
use zeroize::Zeroizing;

pub use crate::database::file::FileState;

/// How far a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileView {
    /// Where it is; `None`: with the server, as far as this device knows.
    pub state: Option<FileState>,
    /// It waits until the person wants it to go on.
    pub paused: bool,
    /// Parts that have arrived at where it goes.
    pub parts: u32,
    /// Parts that it has.
    pub of_parts: u32,
    /// Why it did not arrive.
    pub reason: Option<String>,
}

/// What is known of files without asking the disk.
#[derive(Default)]
pub(crate) struct Files {
    drafts: HashMap<BlobId, Draft>,
    sending: Option<Moving>,
    fetching: Option<Moving>,
}

impl Files {
    /// Drops what belongs to a connection.
    pub(crate) fn end_connection(&mut self) {
        self.sending = None;
        self.fetching = None;
    }
}

impl Client {
    /// Fetches the file of a message to this device, unless it is here or on its way; one that is paused or has failed goes
    /// on, in either direction.
    ///
    /// # Errors
    /// [`Error::FileNotHere`] when the message has none, [`Error::UnknownMessage`].
    pub fn fetch_file(
        &mut self,
        conversation: ConversationId,
        message: MessageId,
        now: UnixMillis,
    ) -> Result<(), Error> {
        self.account()?;
        self.turn(now, |turn| turn.want_file(Announced { conversation, message }))
    }

    /// Has a file wait on its way, until [`Client::fetch_file`].
    ///
    /// # Errors
    /// [`Error::FileNotHere`] when none is on its way.
    pub fn pause_file(
        &mut self,
        conversation: ConversationId,
        message: MessageId,
        now: UnixMillis,
    ) -> Result<(), Error> {
        self.turn(now, |turn| {
            let of = Announced { conversation, message };
            let row = file::of(turn.db, of)?.ok_or(Error::FileNotHere)?;
            if matches!(row.state, FileState::Sending | FileState::Fetching) {
                file::set_paused(turn.db, row.id, true)?;
                turn.tell_file(row.id)?;
            }
            Ok(())
        })
    }

    /// How far the file of a message is; `None` when the message has none.
    ///
    /// # Errors
    /// [`Error::UnknownMessage`], [`Error::Database`].
    pub fn file(&self, conversation: ConversationId, message: MessageId) -> Result<Option<FileView>, Error> {
        let of = Announced { conversation, message };
        let Some(attachment) = attachment(self.reader(), of)? else { return Ok(None) };
        let row = file::of(self.reader(), of)?;
        let moving = row.as_ref().and_then(|row| self.memory().files.moving(row.id));
        Ok(Some(view(self.reader(), row, moving, attachment.parts().count())?))
    }

    /// A part of a file that is on this device, opened: [`vault::FILE_PART_BYTES`] of it, or what is left, or nothing after
    /// its end.
    ///
    /// # Errors
    /// [`Error::FileNotHere`], [`Error::FileDamaged`].
    pub fn file_part(
        &self,
        conversation: ConversationId,
        message: MessageId,
        index: u32,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let of = Announced { conversation, message };
        let attachment = attachment(self.reader(), of)?.ok_or(Error::FileNotHere)?;
        let begin = u64::from(index) * FILE_PART_BYTES as u64;
        if begin >= attachment.size {
            return Ok(Zeroizing::default());
        }
        let row = file::of(self.reader(), of)?.filter(FileRow::is_whole).ok_or(Error::FileNotHere)?;
        let sealed = part::get(self.reader(), row.id, index)?.ok_or(Error::FileNotHere)?;
        let is_last = index + 1 == attachment.parts().count();
        let mut opened = attachment.key().open(FilePart { index, is_last }, &sealed).ok_or(Error::FileDamaged)?;
        opened.truncate(usize::try_from(attachment.size - begin).unwrap_or(usize::MAX));
        Ok(opened)
    }
}

impl FileRow {
    /// Whether all of it is on this device: it has come, or is of this device.
    fn is_whole(&self) -> bool {
        matches!(self.state, FileState::Here | FileState::Sending)
    }
}

impl Turn<'_> {
    fn want_file(&mut self, of: Announced) -> Result<(), Error> {
        let attachment = attachment(self.db, of)?.ok_or(Error::FileNotHere)?;
        let parts = attachment.parts();
        match file::of(self.db, of)? {
            Some(row) if row.state == FileState::Here => {
                if part::count(self.db, row.id)? < row.parts.count() {
                    // The database of parts was lost.
                    file::fetch(self.db, of, attachment.blob, parts)?;
                }
            }
            Some(row) if row.state != FileState::Failed => file::set_paused(self.db, row.id, false)?,
            Some(row) if self.is_unsent(of)? => {
                if matches!(
                    self.conversation(of.conversation)?.state,
                    ConversationState::Left | ConversationState::Leaving
                ) {
                    return Err(Error::NotMember);
                }
                message::set_pending(self.db, of.conversation, of.message)?;
                file::set_state(self.db, row.id, FileState::Sending, None)?;
                self.tell_line(of.conversation, of.message)?;
            }
            _ => file::fetch(self.db, of, attachment.blob, parts)?,
        }
        match file::of(self.db, of)? {
            Some(row) => self.tell_file(row.id),
            None => Err(Error::UnknownMessage),
        }
    }

    /// Whether a message has not reached the server.
    fn is_unsent(&self, of: Announced) -> Result<bool, Error> {
        let row = message::find(self.db, of.conversation, of.message)?;
        Ok(row.is_some_and(|row| row.seq.is_none()))
    }

    /// A message whose file has not reached the server is taken back: nobody has heard of it, and nothing is left of it.
    pub(crate) fn take_back_unsent(&mut self, conversation: ConversationId, message: MessageId) -> Result<bool, Error> {
        let of = Announced { conversation, message };
        let Some(row) = file::of(self.db, of)? else { return Ok(false) };
        let waits = matches!(row.state, FileState::Sending | FileState::Failed) && self.is_unsent(of)?;
        if !waits {
            return Ok(false);
        }
        file::unwant(self.db, row.blob)?;
        expiry::forget(self.db, conversation, message)?;
        self.drop_file(row.id)?;
        self.memory.wiped = true;
        self.tell(Event::Expired(conversation));
        Ok(true)
    }

    /// This device has taken a message back: the server is to destroy its file.
    pub(crate) fn unwant_file(
        &mut self,
        conversation: ConversationId,
        deletion: &MessageRow,
        message: MessageId,
    ) -> Result<(), Error> {
        let account = self.account()?;
        if deletion.device != account.device {
            return Ok(());
        }
        let of = Announced { conversation, message };
        let is_own = message::find(self.db, conversation, message)?.is_some_and(|row| row.author == Some(account.user));
        if let Some(attachment) = attachment(self.db, of)?.filter(|_| is_own) {
            file::unwant(self.db, attachment.blob)?;
        }
        Ok(())
    }

    /// A conversation is about to take this one's place: what was not sent here is sent there, as another blob, because this one
    /// is for the members of this conversation.
    pub(crate) fn renew_blobs(&mut self, conversation: ConversationId) -> Result<(), Error> {
        for (row, message) in file::unsent(self.db, conversation)? {
            let of = Announced { conversation, message };
            let Some(mut content) = message_content(self.db, of)? else { continue };
            let Body::File(attachment) = &mut content.body else { continue };
            file::unwant(self.db, row.blob)?;
            attachment.blob = BlobId::from_bytes(self.entropy.array());
            file::set_blob(self.db, row.id, attachment.blob)?;
            message::set_content(self.db, conversation, message, &content.to_bytes())?;
            outbox::delete(self.db, conversation, message)?;
        }
        Ok(())
    }

    /// Messages that a restored server has lost are sent again; those of them that have a file, after it. The others are given
    /// back.
    pub(crate) fn send_files_again(
        &self,
        conversation: ConversationId,
        messages: &[MessageId],
    ) -> Result<Vec<MessageId>, Error> {
        let mut others = Vec::new();
        for message in messages {
            match file::of(self.db, Announced { conversation, message: *message })?.filter(FileRow::is_whole) {
                Some(row) => file::set_state(self.db, row.id, FileState::Sending, None)?,
                None => others.push(*message),
            }
        }
        Ok(others)
    }

    /// Files of messages that were wiped go with them.
    pub(crate) fn drop_wiped_files(&mut self) -> Result<(), Error> {
        if self.memory.wiped && file::sweep(self.db, false)? {
            part::sweep(self.db)?;
        }
        Ok(())
    }

    fn drop_file(&mut self, id: i64) -> Result<(), Error> {
        file::delete(self.db, id)?;
        Ok(part::delete(self.db, id)?)
    }

    /// Tells how far a file is.
    fn tell_file(&mut self, id: i64) -> Result<(), Error> {
        let (Some(row), Some(of)) = (file::by_id(self.db, id)?, file::announced(self.db, id)?) else { return Ok(()) };
        let of_parts = row.parts.count();
        let file = view(self.db, Some(row), self.memory.files.moving(id), of_parts)?;
        self.tell(Event::File { conversation: of.conversation, message: of.message, file });
        Ok(())
    }
}

/// What a message says about its file, if it has one.
fn attachment(db: &rusqlite::Connection, of: Announced) -> Result<Option<Attachment>, Error> {
    match message_content(db, of)?.map(|content| content.body) {
        Some(Body::File(attachment)) => Ok(Some(attachment)),
        _ => Ok(None),
    }
}

fn message_content(db: &rusqlite::Connection, of: Announced) -> Result<Option<Content>, Error> {
    let row = message::find(db, of.conversation, of.message)?.ok_or(Error::UnknownMessage)?;
    let can_be_shown = !matches!(row.state, MessageState::Refused | MessageState::Notice);
    Ok(Content::from_bytes(&row.content).ok().filter(|_| can_be_shown))
}

fn view(
    db: &rusqlite::Connection,
    row: Option<FileRow>,
    moving: Option<&Moving>,
    of_parts: u32,
) -> Result<FileView, Error> {
    let Some(row) = row else {
        return Ok(FileView { state: None, paused: false, parts: 0, of_parts, reason: None });
    };
    let parts = match row.state {
        FileState::Sending => moving.map_or(0, Moving::arrived),
        _ => part::count(db, row.id)?,
    };
    Ok(FileView { state: Some(row.state), paused: row.paused, parts, of_parts, reason: row.reason })
}

/// What a program that ended has left: drafts, whose keys are gone, and parts of what is no more.
pub(crate) fn sweep(database: &mut Database) -> Result<(), DatabaseError> {
    let transaction = database.begin()?;
    file::sweep(&transaction, true)?;
    part::sweep(&transaction)?;
    Ok(transaction.commit()?)
}

/// Whether the parts of a file are those that its message names.
fn is_named(db: &rusqlite::Connection, id: i64, attachment: &Attachment) -> Result<bool, Error> {
    let digest = vault::file_digest(part::digests(db, id)?);
    Ok(digest == attachment.digest || !stands(Defence::FileDigest))
}

#[cfg(test)]
mod tests;
