//! Files on their way: the smallest first, in each direction one at a time, some parts of it at once. What a connection that
//! ends leaves open is derived anew from what is here and what the server says that it has.

use super::{Announced, FilePart, FileState, Files, attachment, file, is_named, message, part};
use crate::Error;
use crate::database::file::FileRow;
use crate::database::outbox::{self, OutboxKind};
use crate::session::Work;
use crate::turn::{Turn, is_transient};
use std::collections::BTreeSet;
use vault::part_digest;
use wire::request::{BeginBlob, BlobProgress, DeleteBlob, FetchPart, FinishBlob, Part, PutPart};
use wire::{BlobId, ConversationId, ErrorCode, Refusal};

/// Parts of a file that are on their way at once.
const WINDOW: usize = 4;
/// Days for which the server keeps a file whose message disappears.
const DISAPPEARING_DAYS: u16 = 30;

/// A file that moves on this connection.
pub(super) struct Moving {
    file: i64,
    /// The server has said how far it is.
    begun: bool,
    /// The next part to ask for or to send.
    next: u32,
    /// Parts that are on their way.
    open: BTreeSet<u32>,
}

impl Moving {
    const fn new(file: i64) -> Self {
        Self { file, begun: false, next: 0, open: BTreeSet::new() }
    }

    /// Parts before the first that has not arrived.
    pub(super) fn arrived(&self) -> u32 {
        self.open.first().copied().unwrap_or(self.next)
    }
}

impl Files {
    pub(super) fn moving(&self, file: i64) -> Option<&Moving> {
        [&self.sending, &self.fetching].into_iter().flatten().find(|moving| moving.file == file)
    }

    /// Whether parts of a file are on their way to this device.
    pub(crate) const fn is_fetching(&self) -> bool {
        self.fetching.is_some()
    }

    fn sending(&mut self, file: i64) -> Option<&mut Moving> {
        self.sending.as_mut().filter(|moving| moving.file == file)
    }

    fn fetching(&mut self, file: i64) -> Option<&mut Moving> {
        self.fetching.as_mut().filter(|moving| moving.file == file)
    }
}

/// Takes up the file that is to move next, unless parts of another are still on their way.
fn take_up(moving: &mut Option<Moving>, wanted: Option<&FileRow>) -> bool {
    match (moving.as_ref(), wanted) {
        (Some(now), Some(wanted)) if now.file == wanted.id => true,
        (Some(now), _) if !now.open.is_empty() => false,
        (_, Some(wanted)) => {
            *moving = Some(Moving::new(wanted.id));
            true
        }
        (_, None) => {
            *moving = None;
            false
        }
    }
}

impl Turn<'_> {
    /// Sends and asks for what there is to.
    pub(crate) fn move_files(&mut self) -> Result<(), Error> {
        self.send_parts()?;
        self.fetch_parts()?;
        if let Some(blob) = file::unwanted(self.db)?
            && !self.memory.session.is_busy(&Work::DeleteBlob(blob), self.now)
        {
            self.request(Work::DeleteBlob(blob), &DeleteBlob { blob });
        }
        Ok(())
    }

    fn send_parts(&mut self) -> Result<(), Error> {
        let wanted = file::next_to_send(self.db)?;
        if !take_up(&mut self.memory.files.sending, wanted.as_ref()) {
            return Ok(());
        }
        let Some(row) = wanted else { return Ok(()) };
        let begin = Work::BeginBlob(row.id);
        if self.memory.session.is_busy(&begin, self.now) {
            return Ok(());
        }
        if !self.memory.files.sending(row.id).is_some_and(|moving| moving.begun) {
            return self.begin_blob(&row);
        }
        while let Some(index) = self.memory.files.sending(row.id).and_then(|moving| next(moving, &row)) {
            let Some(bytes) = part::get(self.db, row.id, index)? else {
                return self.sending_failed(&row, "the file is not on this device any more");
            };
            self.request(Work::PutPart(row.id, index), &PutPart { blob: row.blob, part: index, bytes });
        }
        let is_through = self.memory.files.sending(row.id).is_some_and(|moving| moving.open.is_empty());
        if is_through && !self.memory.session.is_busy(&Work::FinishBlob(row.id), self.now) {
            self.request(Work::FinishBlob(row.id), &FinishBlob { blob: row.blob });
        }
        Ok(())
    }

    fn begin_blob(&mut self, row: &FileRow) -> Result<(), Error> {
        let Some(of) = file::announced(self.db, row.id)? else { return Ok(()) };
        let content = message::find(self.db, of.conversation, of.message)?.map(|message| message.content);
        let content = content.and_then(|content| crate::content::Content::from_bytes(&content).ok());
        let disappears = content.is_some_and(|content| content.expiry.is_some_and(|expiry| !expiry.is_never()));
        let begin = BeginBlob {
            blob: row.blob,
            conversation: of.conversation,
            bytes: row.parts.bytes(),
            days: disappears.then_some(DISAPPEARING_DAYS),
        };
        self.request(Work::BeginBlob(row.id), &begin);
        Ok(())
    }

    pub(crate) fn began_blob(&mut self, id: i64, progress: BlobProgress) -> Result<(), Error> {
        if let Some(moving) = self.memory.files.sending(id) {
            moving.begun = true;
            moving.next = progress.parts;
            return self.tell_file(id);
        }
        Ok(())
    }

    pub(crate) fn put_part(&mut self, id: i64, index: u32) -> Result<(), Error> {
        if let Some(moving) = self.memory.files.sending(id) {
            moving.open.remove(&index);
            return self.tell_file(id);
        }
        Ok(())
    }

    /// The server has all of it: the message may say so.
    pub(crate) fn finished_blob(&mut self, id: i64) -> Result<(), Error> {
        let Some(row) = file::by_id(self.db, id)?.filter(|row| row.state == FileState::Sending) else { return Ok(()) };
        let Some(Announced { conversation, message }) = file::announced(self.db, id)? else { return Ok(()) };
        self.memory.files.sending = None;
        file::set_state(self.db, row.id, FileState::Here, None)?;
        outbox::insert(self.db, conversation, OutboxKind::Message, message, None, None)?;
        self.memory.attention.insert(conversation);
        self.tell_file(id)
    }

    /// The server takes a file, or a part of it, not now or not at all. What was asked before it was taken up again does not
    /// count.
    pub(crate) fn sending_refused(&mut self, work: &Work, id: i64, refusal: &Refusal) -> Result<(), Error> {
        let is_current = self.memory.files.sending(id).is_some_and(|moving| match work {
            Work::PutPart(_, part) => moving.open.contains(part),
            Work::FinishBlob(_) => moving.begun,
            _ => !moving.begun,
        });
        let Some(row) = file::by_id(self.db, id)?.filter(|row| is_current && row.state == FileState::Sending) else {
            return Ok(());
        };
        let code = refusal.code();
        // What it had begun it does not know any more, or misses a part of: it says how far it is.
        let has_begun = !matches!(work, Work::BeginBlob(_));
        let is_lost = has_begun && matches!(code, Some(ErrorCode::NotFound | ErrorCode::Malformed));
        if !is_transient(refusal) && !is_lost {
            return self.sending_failed(&row, &refusal.to_string());
        }
        self.memory.files.sending = None;
        self.later(Work::BeginBlob(id), refusal);
        Ok(())
    }

    /// This device is not a member any more: nothing goes into the conversation.
    pub(crate) fn drop_unsent_files(&mut self, conversation: ConversationId, reason: &str) -> Result<(), Error> {
        for (row, _) in file::unsent(self.db, conversation)? {
            if row.state == FileState::Sending {
                self.sending_failed(&row, reason)?;
            }
        }
        Ok(())
    }

    fn sending_failed(&mut self, row: &FileRow, reason: &str) -> Result<(), Error> {
        self.memory.files.sending.take_if(|moving| moving.file == row.id);
        file::set_state(self.db, row.id, FileState::Failed, Some(reason))?;
        let Some(Announced { conversation, message }) = file::announced(self.db, row.id)? else { return Ok(()) };
        self.fail(conversation, message, reason)?;
        self.tell_file(row.id)
    }

    fn fetch_parts(&mut self) -> Result<(), Error> {
        let wanted = file::next_to_fetch(self.db)?;
        if !take_up(&mut self.memory.files.fetching, wanted.as_ref()) {
            return Ok(());
        }
        let Some(row) = wanted else { return Ok(()) };
        // What was refused for now stands at its first part.
        if self.memory.session.is_busy(&Work::FetchPart(row.id, u32::MAX), self.now) {
            return Ok(());
        }
        loop {
            let Some(moving) = self.memory.files.fetching(row.id) else { return Ok(()) };
            moving.next = part::missing_from(self.db, row.id, moving.next)?;
            let Some(index) = next(moving, &row) else { return Ok(()) };
            self.request(Work::FetchPart(row.id, index), &FetchPart { blob: row.blob, part: index });
        }
    }

    pub(crate) fn fetched_part(&mut self, id: i64, index: u32, fetched: &Part) -> Result<(), Error> {
        let Some(moving) = self.memory.files.fetching(id) else { return Ok(()) };
        moving.open.remove(&index);
        let Some(row) = file::by_id(self.db, id)?.filter(|row| row.state == FileState::Fetching) else { return Ok(()) };
        let Some(of) = file::announced(self.db, id)? else { return Ok(()) };
        let Some(attachment) = attachment(self.db, of)? else { return Ok(()) };
        let place = FilePart { index, is_last: index + 1 == row.parts.count() };
        if attachment.key().open(place, &fetched.bytes).is_none() {
            return self.fetching_failed(&row, "what came is not what was sent");
        }
        part::put(self.db, id, index, &part_digest(&fetched.bytes), &fetched.bytes)?;
        if part::count(self.db, id)? == row.parts.count() {
            if !is_named(self.db, id, &attachment)? {
                return self.fetching_failed(&row, "what came is not what the message names");
            }
            self.memory.files.fetching = None;
            file::set_state(self.db, id, FileState::Here, None)?;
        }
        self.tell_file(id)
    }

    pub(crate) fn fetching_refused(&mut self, id: i64, part: u32, refusal: &Refusal) -> Result<(), Error> {
        let is_current = self.memory.files.fetching(id).is_some_and(|moving| moving.open.contains(&part));
        let Some(row) = file::by_id(self.db, id)?.filter(|row| is_current && row.state == FileState::Fetching) else {
            return Ok(());
        };
        if is_transient(refusal) {
            self.memory.files.fetching = None;
            self.later(Work::FetchPart(id, u32::MAX), refusal);
            return Ok(());
        }
        let gone = matches!(refusal.code(), Some(ErrorCode::NotFound | ErrorCode::Forbidden));
        let reason = refusal.to_string();
        self.fetching_failed(&row, if gone { "the server does not have it any more" } else { &reason })
    }

    /// The disk is full: the file that takes up more and more of it gives way, so that there is room for what people say.
    pub(crate) fn no_room_to_fetch(&mut self) -> Result<(), Error> {
        let id = self.memory.files.fetching.as_ref().map(|moving| moving.file);
        match id.map(|id| file::by_id(self.db, id)).transpose()?.flatten() {
            Some(row) => self.fetching_failed(&row, "there is no room for it on this device"),
            None => Ok(()),
        }
    }

    /// What came of it so far goes: the next attempt begins anew.
    fn fetching_failed(&mut self, row: &FileRow, reason: &str) -> Result<(), Error> {
        self.memory.files.fetching = None;
        part::delete(self.db, row.id)?;
        file::set_state(self.db, row.id, FileState::Failed, Some(reason))?;
        self.tell_file(row.id)
    }

    pub(crate) fn deleted_blob(&mut self, blob: BlobId) -> Result<(), Error> {
        Ok(file::forget_unwanted(self.db, blob)?)
    }

    pub(crate) fn delete_blob_refused(&mut self, blob: BlobId, refusal: &Refusal) -> Result<(), Error> {
        if is_transient(refusal) {
            self.later(Work::DeleteBlob(blob), refusal);
            return Ok(());
        }
        self.deleted_blob(blob)
    }
}

/// The next part to set on its way, if there is one and room for it.
fn next(moving: &mut Moving, row: &FileRow) -> Option<u32> {
    if moving.open.len() >= WINDOW || moving.next >= row.parts.count() {
        return None;
    }
    let index = moving.next;
    moving.open.insert(index);
    moving.next += 1;
    Some(index)
}
