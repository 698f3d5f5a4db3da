//! Users. What is personal is sealed under the user's own key; a blind index finds a user by handle.

use crate::schema::{SealedColumn, sealed};
use crate::sql::{Row, sql, values};
use crate::{Error, Tx};
use keyring::KeyUse;
use trust::AccountPublicKey;
use wire::{UnixMillis, UserId};
use zeroize::Zeroizing;

const HANDLE: SealedColumn = sealed("users", "handle");
const OPAQUE_RECORD: SealedColumn = sealed("users", "opaque_record");

/// A user.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// Id.
    pub user: UserId,
    /// The handle as it is written.
    pub handle: String,
    /// The account identity key.
    pub account_key: AccountPublicKey,
    /// Active or closed.
    pub state: UserState,
    /// When the user joined.
    pub created_at: UnixMillis,
}

/// Whether a user belongs to the tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserState {
    /// Yes.
    Active,
    /// The user has left.
    Closed,
}

/// A user to be made.
#[derive(Clone, Copy)]
pub struct NewUser<'a> {
    /// Id.
    pub user: UserId,
    /// The handle as the person wrote it.
    pub handle: &'a str,
    /// The same, as `rules::handle` normalises it.
    pub normalised_handle: &'a str,
    /// The account identity key.
    pub account_key: AccountPublicKey,
    /// The OPAQUE record (RFC 9807).
    pub opaque_record: &'a [u8],
}

/// What came of making a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateUser {
    /// There is one more.
    Created,
    /// Another user has the handle.
    HandleTaken,
    /// There is a user with this id.
    IdTaken,
}

impl Tx<'_> {
    /// Makes a user with a key of its own.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn create_user(&mut self, new: NewUser<'_>, now: UnixMillis) -> Result<CreateUser, Error> {
        if self.user_row_exists(new.user)? {
            return Ok(CreateUser::IdTaken);
        }
        if self.user_id_by_handle(new.normalised_handle)?.is_some() {
            return Ok(CreateUser::HandleTaken);
        }
        let key = self.key_or_new(KeyUse::User, new.user.as_bytes())?;
        let handle = self.seal(&key, HANDLE, new.user.as_bytes(), new.handle.as_bytes())?;
        let opaque_record = self.seal(&key, OPAQUE_RECORD, new.user.as_bytes(), new.opaque_record)?;
        let handle_index = self.handle_index(new.normalised_handle)?;
        let text = sql!(
            "insert into users (tenant, user_id, handle, handle_index, account_key, opaque_record, state, created_at) \
             values ($1, $2, $3, $4, $5, $6, 0, $7) on conflict do nothing"
        );
        let values = values![self.tenant, new.user, handle, handle_index, new.account_key, opaque_record, now];
        // Nobody had the handle a moment ago: then somebody was made with it elsewhere.
        let made = self.session.execute(text, values)? > 0;
        Ok(if made { CreateUser::Created } else { CreateUser::HandleTaken })
    }

    /// The user with this id.
    ///
    /// # Errors
    /// [`Error::Sealed`] when the row was tampered with, [`Error`] of the storage.
    pub fn user(&self, user: UserId) -> Result<Option<User>, Error> {
        let text = sql!("select handle, account_key, state, created_at from users where tenant = $1 and user_id = $2");
        let read = |row: &Row<'_>| {
            let account_key = AccountPublicKey::from_bytes(row.array(1)?);
            Ok((row.bytes(0)?.to_vec(), account_key, state(row.number(2)?)?, row.number(3)?))
        };
        let Some((handle, account_key, state, created_at)) =
            self.session.row(text, values![self.tenant, user], read)?
        else {
            return Ok(None);
        };
        let key = self.key(KeyUse::User, user.as_bytes())?;
        let handle =
            String::from_utf8(self.open(&key, HANDLE, user.as_bytes(), &handle)?).map_err(|_| Error::Malformed)?;
        Ok(Some(User { user, handle, account_key, state, created_at }))
    }

    /// The user with this normalised handle.
    ///
    /// # Errors
    /// As [`Tx::user`].
    pub fn user_by_handle(&self, normalised_handle: &str) -> Result<Option<User>, Error> {
        match self.user_id_by_handle(normalised_handle)? {
            Some(user) => self.user(user),
            None => Ok(None),
        }
    }

    /// The OPAQUE record of a user.
    ///
    /// # Errors
    /// As [`Tx::user`].
    pub fn opaque_record(&self, user: UserId) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let text = sql!("select opaque_record from users where tenant = $1 and user_id = $2");
        let Some(sealed) = self.session.row(text, values![self.tenant, user], |row| Ok(row.bytes(0)?.to_vec()))? else {
            return Ok(None);
        };
        let key = self.key(KeyUse::User, user.as_bytes())?;
        self.open(&key, OPAQUE_RECORD, user.as_bytes(), &sealed).map(|record| Some(Zeroizing::new(record)))
    }

    /// Changes whether a user belongs to the tenant. `false` when there is no such user.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn set_user_state(&mut self, user: UserId, state: UserState) -> Result<bool, Error> {
        let number: u8 = match state {
            UserState::Active => 0,
            UserState::Closed => 1,
        };
        let text = sql!("update users set state = $3 where tenant = $1 and user_id = $2");
        Ok(self.session.execute(text, values![self.tenant, user, number])? > 0)
    }

    fn user_id_by_handle(&self, normalised_handle: &str) -> Result<Option<UserId>, Error> {
        let index = self.handle_index(normalised_handle)?;
        let text = sql!("select user_id from users where tenant = $1 and handle_index = $2");
        self.session.row(text, values![self.tenant, index], |row| row.id(0))
    }

    fn user_row_exists(&self, user: UserId) -> Result<bool, Error> {
        let text = sql!("select 1 from users where tenant = $1 and user_id = $2");
        Ok(self.session.row(text, values![self.tenant, user], |_| Ok(()))?.is_some())
    }

    fn handle_index(&self, normalised_handle: &str) -> Result<[u8; 32], Error> {
        self.blind("users", "handle_index", normalised_handle.as_bytes())
    }
}

fn state(number: u8) -> Result<UserState, Error> {
    match number {
        0 => Ok(UserState::Active),
        1 => Ok(UserState::Closed),
        _ => Err(Error::Malformed),
    }
}

impl std::fmt::Debug for User {
    /// Without the handle, which is personal.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("user", &self.user).field("state", &self.state).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for NewUser<'_> {
    /// Without the handle and the record.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewUser").field("user", &self.user).finish_non_exhaustive()
    }
}
