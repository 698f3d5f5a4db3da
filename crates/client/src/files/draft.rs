//! Preparing a file: it is sealed part by part, and then announced by a message.

use crate::Error;
use crate::client::Client;
use crate::content::{Attachment, Body, Content, FileDetails};
use crate::database::file::{self, Announced};
use crate::database::part;
use crate::turn::Turn;
use vault::{FILE_PART_BYTES, FileKey, FilePart, padded_bytes, part_digest, sealed_parts};
use wire::{BlobId, ConversationId, MessageId, UnixMillis, limits};
use zeroize::Zeroizing;

/// A file that is being sealed. Its key is nowhere else until a message holds it: who stops now starts anew.
pub(super) struct Draft {
    file: i64,
    key: FileKey,
    size: u64,
    /// Parts that are sealed.
    parts: u32,
}

impl Draft {
    fn of_parts(&self) -> u32 {
        sealed_parts(self.size).count()
    }

    fn lacks_only_padding(&self) -> bool {
        self.parts < self.of_parts() && self.next_len() == 0
    }

    /// How many bytes of the file the next part holds, without its padding.
    fn next_len(&self) -> usize {
        let left = self.size.saturating_sub(u64::from(self.parts) * FILE_PART_BYTES as u64);
        usize::try_from(left).unwrap_or(usize::MAX).min(FILE_PART_BYTES)
    }

    /// With how many the next part is sealed.
    fn next_padded_len(&self) -> usize {
        let left = padded_bytes(self.size).saturating_sub(u64::from(self.parts) * FILE_PART_BYTES as u64);
        usize::try_from(left).unwrap_or(usize::MAX).min(FILE_PART_BYTES)
    }
}

impl Client {
    /// Begins to prepare a file of this many bytes.
    ///
    /// # Errors
    /// [`Error::FileSize`], [`Error::NotJoined`], [`Error::Database`].
    pub fn begin_file(&mut self, size: u64, now: UnixMillis) -> Result<BlobId, Error> {
        self.account()?;
        if size > limits::FILE_MAX_BYTES {
            return Err(Error::FileSize);
        }
        self.turn(now, |turn| {
            let blob = BlobId::from_bytes(turn.entropy.array());
            let key = FileKey::generate(turn.entropy);
            let file = file::begin(turn.db, blob, sealed_parts(size))?;
            turn.memory.files.drafts.insert(blob, Draft { file, key, size, parts: 0 });
            Ok(blob)
        })
    }

    /// Seals and keeps the next part of a file: [`vault::FILE_PART_BYTES`] of it, or what is left. A file that is empty has
    /// no part to add.
    ///
    /// # Errors
    /// [`Error::UnknownFile`], [`Error::FileSize`] when it is not as long as it has to be, [`Error::Database`] when there is no
    /// room for it.
    pub fn add_to_file(&mut self, blob: BlobId, bytes: &[u8], now: UnixMillis) -> Result<(), Error> {
        let draft = self.memory().files.drafts.get(&blob).ok_or(Error::UnknownFile)?;
        if bytes.is_empty() || bytes.len() != draft.next_len() {
            return Err(Error::FileSize);
        }
        self.turn(now, |turn| turn.seal_next(blob, bytes))
    }

    /// Sends a file all of whose parts were added: its message is shown from now on, and follows the file.
    ///
    /// # Errors
    /// [`Error::UnknownFile`], [`Error::FileSize`] when parts are missing, [`Error::TooLarge`] when what is said about it is;
    /// as [`Client::send`].
    pub fn send_file(
        &mut self,
        conversation: ConversationId,
        blob: BlobId,
        details: FileDetails,
        in_reply_to: Option<MessageId>,
        now: UnixMillis,
    ) -> Result<MessageId, Error> {
        self.account()?;
        self.turn(now, |turn| turn.announce(conversation, blob, details, in_reply_to))
    }

    /// Gives up a file that was not sent.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn discard_file(&mut self, blob: BlobId, now: UnixMillis) -> Result<(), Error> {
        self.turn(now, |turn| match turn.memory.files.drafts.remove(&blob) {
            Some(draft) => turn.drop_file(draft.file),
            None => Ok(()),
        })
    }
}

impl Turn<'_> {
    fn seal_next(&mut self, blob: BlobId, bytes: &[u8]) -> Result<(), Error> {
        let draft = self.memory.files.drafts.get_mut(&blob).ok_or(Error::UnknownFile)?;
        let mut padded = Zeroizing::new(vec![0; draft.next_padded_len()]);
        padded.get_mut(..bytes.len()).ok_or(Error::FileSize)?.copy_from_slice(bytes);
        // Counted before it is sealed: what fails now is not sealed again under the same key and place.
        let index = draft.parts;
        draft.parts += 1;
        let sealed = draft.key.seal(FilePart { index, is_last: draft.parts == draft.of_parts() }, &padded);
        Ok(part::put(self.db, draft.file, index, &part_digest(&sealed), &sealed)?)
    }

    fn announce(
        &mut self,
        conversation: ConversationId,
        blob: BlobId,
        details: FileDetails,
        in_reply_to: Option<MessageId>,
    ) -> Result<MessageId, Error> {
        // What is padding only has no bytes to be added with.
        while self.memory.files.drafts.get(&blob).is_some_and(Draft::lacks_only_padding) {
            self.seal_next(blob, &[])?;
        }
        let draft = self.memory.files.drafts.get(&blob).ok_or(Error::UnknownFile)?;
        let digests = part::digests(self.db, draft.file)?;
        if draft.parts != draft.of_parts() || digests.len() != draft.of_parts() as usize {
            return Err(Error::FileSize);
        }
        let (file, digest) = (draft.file, vault::file_digest(digests));
        let body = Body::File(Attachment::new(details, draft.size, blob, &draft.key, digest));
        if !body.is_sound() {
            return Err(Error::TooLarge);
        }
        let content = Content { in_reply_to, ..Content::new(body, self.now) };
        let message = self.compose(conversation, &content)?;
        file::announce(self.db, file, Announced { conversation, message })?;
        self.memory.files.drafts.remove(&blob);
        Ok(message)
    }
}
