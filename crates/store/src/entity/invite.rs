//! Invites. The code is a bearer secret: only its keyed hash is kept.

use crate::sql::{Row, sql, values};
use crate::{Error, Tx};
use wire::{InviteId, UnixMillis, UserId};

/// An invite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invite {
    /// Names it to the operator.
    pub invite: InviteId,
    /// How long and how often it may be redeemed, and how often it was.
    pub terms: rules::invite::Invite,
    /// Who made it; absent for the operator.
    pub created_by: Option<UserId>,
    /// When.
    pub created_at: UnixMillis,
}

/// An invite to be made.
#[derive(Clone, Copy)]
pub struct NewInvite<'a> {
    /// Names it to the operator.
    pub invite: InviteId,
    /// The secret that redeems it.
    pub code: &'a str,
    /// From [`rules::invite::terms`].
    pub terms: rules::invite::Invite,
    /// Who makes it; absent for the operator.
    pub created_by: Option<UserId>,
}

impl Tx<'_> {
    /// Makes an invite. `false` when id or code are taken.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn create_invite(&mut self, new: NewInvite<'_>, now: UnixMillis) -> Result<bool, Error> {
        let code_index = self.code_index(new.code)?;
        let text = sql!(
            "insert into invites (tenant, invite, code_index, expires_at, uses, used, created_by, created_at) \
             values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict do nothing"
        );
        let terms = new.terms;
        let values =
            values![self.tenant, new.invite, code_index, terms.expires_at, terms.uses, terms.used, new.created_by, now];
        Ok(self.session.execute(text, values)? > 0)
    }

    /// The invite that this code redeems, whether or not it still may.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn invite_by_code(&self, code: &str) -> Result<Option<Invite>, Error> {
        let text = sql!(
            "select invite, expires_at, uses, used, created_by, created_at from invites \
             where tenant = $1 and code_index = $2"
        );
        self.session.row(text, values![self.tenant, self.code_index(code)?], invite)
    }

    /// Redeems an invite once. `false` when the code is unknown, the invite used up or expired.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn redeem_invite(&mut self, code: &str, now: UnixMillis) -> Result<bool, Error> {
        // The conditions of `rules::invite::redeemable`, in the statement that counts: two cannot share the last use.
        let text = sql!(
            "update invites set used = used + 1 \
             where tenant = $1 and code_index = $2 and expires_at > $3 and used < uses"
        );
        Ok(self.session.execute(text, values![self.tenant, self.code_index(code)?, now])? > 0)
    }

    /// Every invite, newest first.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn invites(&self) -> Result<Vec<Invite>, Error> {
        let text = sql!(
            "select invite, expires_at, uses, used, created_by, created_at from invites where tenant = $1 \
             order by created_at desc, invite"
        );
        self.session.rows(text, values![self.tenant], |row| invite(row).map(Some))
    }

    /// Deletes an invite. `false` when there is none.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn delete_invite(&mut self, invite: InviteId) -> Result<bool, Error> {
        let text = sql!("delete from invites where tenant = $1 and invite = $2");
        Ok(self.session.execute(text, values![self.tenant, invite])? > 0)
    }

    fn code_index(&self, code: &str) -> Result<[u8; 32], Error> {
        self.blind("invites", "code_index", code.as_bytes())
    }
}

fn invite(row: &Row<'_>) -> Result<Invite, Error> {
    let terms = rules::invite::Invite { expires_at: row.number(1)?, uses: row.number(2)?, used: row.number(3)? };
    let created_by = row.optional(4, |row| row.id(4))?;
    Ok(Invite { invite: row.id(0)?, terms, created_by, created_at: row.number(5)? })
}

impl std::fmt::Debug for NewInvite<'_> {
    /// Without the code.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewInvite").field("invite", &self.invite).finish_non_exhaustive()
    }
}
