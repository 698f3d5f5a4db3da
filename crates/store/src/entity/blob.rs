//! Blobs: who has sent them where, how far they are, and the keys that seal their parts. The parts themselves lie elsewhere.

use crate::schema::SealedColumn;
use crate::sql::{Row, sql, values};
use crate::{Error, Tx};
use keyring::KeyUse;
use wire::{BlobId, ConversationId, Parts, UnixMillis, UserId};

/// Not a column: what is sealed for it lies outside the database.
const PART: SealedColumn = SealedColumn { table: "blobs", column: "part" };

/// A blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    /// Whose members may fetch it.
    pub conversation: ConversationId,
    /// Who has sent it.
    pub user: UserId,
    /// How its bytes lie.
    pub parts: Parts,
    /// How far it is.
    pub state: BlobState,
    /// For how many days its sender wants it, if not for as long as it is kept.
    pub days: Option<u16>,
    /// When it is destroyed.
    pub expires_at: UnixMillis,
}

/// How far a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobState {
    /// Parts may be missing.
    Begun = 0,
    /// It is whole.
    Finished = 1,
    /// Its key is gone; its parts will be.
    Destroyed = 2,
}

/// A blob to be begun.
#[derive(Debug, Clone, Copy)]
pub struct NewBlob {
    /// Its id.
    pub blob: BlobId,
    /// Whose members may fetch it.
    pub conversation: ConversationId,
    /// Who sends it.
    pub user: UserId,
    /// How its bytes will lie.
    pub parts: Parts,
    /// For how many days it is wanted, if not for as long as it is kept.
    pub days: Option<u16>,
    /// When it is given up if it is not finished.
    pub expires_at: UnixMillis,
}

/// What came of beginning a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// It is new, with a key of its own.
    New,
    /// The same user has begun it before, with the same figures.
    Repeated(BlobState),
    /// The id is another blob's.
    IdTaken,
}

impl Tx<'_> {
    /// Begins a blob.
    ///
    /// # Errors
    /// [`Error::Constraint`] when there is no such conversation, [`Error`] of the storage.
    pub fn begin_blob(&mut self, new: NewBlob) -> Result<Begun, Error> {
        let text = sql!(
            "insert into blobs (tenant, blob, conversation, user_id, bytes, days, state, expires_at) \
             values ($1, $2, $3, $4, $5, $6, 0, $7) on conflict do nothing"
        );
        let NewBlob { blob, conversation, user, parts, days, expires_at } = new;
        let bytes = parts.bytes();
        let values = values![self.tenant, blob, conversation, user, bytes, days, expires_at];
        if self.session.execute(text, values)? > 0 {
            self.key_or_new(KeyUse::Blob, blob.as_bytes())?;
            return Ok(Begun::New);
        }
        let there = self.blob(blob)?.ok_or(Error::Malformed)?;
        let same = (there.conversation, there.user, there.parts) == (conversation, user, parts);
        Ok(if same { Begun::Repeated(there.state) } else { Begun::IdTaken })
    }

    /// The blob with this id.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn blob(&self, blob: BlobId) -> Result<Option<Blob>, Error> {
        let text = sql!(
            "select conversation, user_id, bytes, days, state, expires_at from blobs where tenant = $1 and blob = $2"
        );
        self.session.row(text, values![self.tenant, blob], |row| {
            Ok(Blob {
                conversation: row.id(0)?,
                user: row.id(1)?,
                parts: Parts::of(row.number(2)?).ok_or(Error::Malformed)?,
                days: row.optional(3, |row| row.number(3))?,
                state: state(row, 4)?,
                expires_at: row.number(5)?,
            })
        })
    }

    /// Bytes of the blobs of a user that are not destroyed.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn blob_bytes_of(&self, user: UserId) -> Result<u64, Error> {
        let text = sql!(
            "select cast(coalesce(sum(bytes), 0) as bigint) from blobs where tenant = $1 and user_id = $2 and state < 2"
        );
        self.session.row(text, values![self.tenant, user], |row| row.number(0))?.ok_or(Error::Malformed)
    }

    /// Ends a blob, which is whole.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn finish_blob(&mut self, blob: BlobId, expires_at: UnixMillis) -> Result<(), Error> {
        let text = sql!("update blobs set state = 1, expires_at = $3 where tenant = $1 and blob = $2 and state = 0");
        self.session.execute(text, values![self.tenant, blob, expires_at]).map(drop)
    }

    /// Destroys a blob: its key is overwritten, so that its parts, wherever they lie, can no longer be opened.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn destroy_blob(&mut self, blob: BlobId) -> Result<(), Error> {
        self.destroy_key(KeyUse::Blob, blob.as_bytes())?;
        let text = sql!("update blobs set state = 2 where tenant = $1 and blob = $2");
        self.session.execute(text, values![self.tenant, blob]).map(drop)
    }

    /// Blobs whose time is over.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn expired_blobs(&self, now: UnixMillis, limit: u32) -> Result<Vec<BlobId>, Error> {
        let text = sql!("select blob from blobs where tenant = $1 and state < 2 and expires_at <= $2 limit $3");
        self.session.rows(text, values![self.tenant, now, limit], |row| row.id(0).map(Some))
    }

    /// Blobs that are destroyed and whose parts may still lie where they lay.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn destroyed_blobs(&self, limit: u32) -> Result<Vec<BlobId>, Error> {
        let text = sql!("select blob from blobs where tenant = $1 and state = 2 limit $2");
        self.session.rows(text, values![self.tenant, limit], |row| row.id(0).map(Some))
    }

    /// Forgets a destroyed blob: its parts are gone.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn forget_blob(&mut self, blob: BlobId) -> Result<(), Error> {
        let text = sql!("delete from blobs where tenant = $1 and blob = $2 and state = 2");
        self.session.execute(text, values![self.tenant, blob]).map(drop)
    }

    /// Seals a part for the place where it will lie.
    ///
    /// # Errors
    /// [`Error::KeyGone`] when the blob is destroyed, [`Error`] of the storage.
    pub fn seal_part(&self, blob: BlobId, part: u32, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let key = self.key(KeyUse::Blob, blob.as_bytes())?;
        self.seal(&key, PART, &row(blob, part), bytes)
    }

    /// Opens a part that was sealed for this place.
    ///
    /// # Errors
    /// [`Error::KeyGone`] when the blob is destroyed, [`Error::Sealed`] when the part was tampered with, [`Error`] of the
    /// storage.
    pub fn open_part(&self, blob: BlobId, part: u32, sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let key = self.key(KeyUse::Blob, blob.as_bytes())?;
        self.open(&key, PART, &row(blob, part), sealed)
    }
}

/// What a part is sealed for: its blob and its place there.
fn row(blob: BlobId, part: u32) -> [u8; 20] {
    let mut row = [0; 20];
    let (id, place) = row.split_at_mut(16);
    id.copy_from_slice(blob.as_bytes());
    place.copy_from_slice(&part.to_be_bytes());
    row
}

fn state(row: &Row<'_>, column: usize) -> Result<BlobState, Error> {
    match row.number(column)? {
        0 => Ok(BlobState::Begun),
        1 => Ok(BlobState::Finished),
        2 => Ok(BlobState::Destroyed),
        _ => Err(Error::Malformed),
    }
}
