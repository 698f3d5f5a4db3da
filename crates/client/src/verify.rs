//! Whether a person's safety number was compared, and what has changed since.

use crate::Error;
use crate::client::Client;
use crate::contacts;
use crate::database::contact;
use crate::database::verified::{self, Verified};
use trust::AccountPublicKey;
use wire::{UnixMillis, UserId};

/// What this person knows about another's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// The safety number was not compared.
    Unverified,
    /// It was compared, and nothing has changed since.
    Verified {
        /// When.
        at: UnixMillis,
    },
    /// It was compared, and the person's devices have changed since, by the same account key.
    DevicesChanged {
        /// When it was compared.
        at: UnixMillis,
        /// Entries that the device chain has grown by.
        changes: u64,
    },
    /// It was compared, and the account key is another now: another safety number.
    KeyChanged {
        /// When it was compared.
        at: UnixMillis,
    },
}

impl Client {
    /// Notes that the person has compared a contact's safety number, or takes that back.
    ///
    /// # Errors
    /// [`Error::UnknownContact`], [`Error::NotJoined`], [`Error::Database`].
    pub fn set_verified(&mut self, user: UserId, verified: bool, now: UnixMillis) -> Result<(), Error> {
        self.account()?;
        self.turn(now, |turn| {
            if !verified {
                return Ok(verified::delete(turn.db, user)?);
            }
            let account = turn.account()?;
            let chain = contacts::chain(turn.db, &turn.memory.chains, &account, user)?.ok_or(Error::UnknownContact)?;
            let chain_len = contact::chain(turn.db, user)?.len() as u64;
            let account_key = chain.account_key().as_bytes().to_vec();
            Ok(verified::save(turn.db, user, &Verified { account_key, chain_len, at: now })?)
        })
    }

    pub(crate) fn verification(&self, user: UserId, account_key: &AccountPublicKey) -> Result<Verification, Error> {
        let Some(Verified { account_key: compared, chain_len, at }) = verified::find(self.reader(), user)? else {
            return Ok(Verification::Unverified);
        };
        let now = contact::chain(self.reader(), user)?.len() as u64;
        Ok(match now.saturating_sub(chain_len) {
            _ if compared != account_key.as_bytes() => Verification::KeyChanged { at },
            0 => Verification::Verified { at },
            changes => Verification::DevicesChanged { at, changes },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{BOB, Chain, alice};

    #[test]
    fn a4_what_changes_after_a_comparison_is_told() {
        let (_folder, mut client) = alice();
        let mut bob = Chain::new(BOB, 1_000);
        assert!(matches!(client.set_verified(BOB, true, 5), Err(Error::UnknownContact)));
        client.turn(1, |turn| turn.pin(BOB, "bob", &bob.entries)).unwrap();
        let shown = |client: &Client| client.contact("bob").unwrap().unwrap().verification;
        assert_eq!(shown(&client), Verification::Unverified);
        client.set_verified(BOB, true, 5).unwrap();
        assert_eq!(shown(&client), Verification::Verified { at: 5 });
        let grown = bob.grown();
        client.turn(6, |turn| turn.pin(BOB, "bob", &grown)).unwrap();
        assert_eq!(shown(&client), Verification::DevicesChanged { at: 5, changes: 1 });
        client.set_verified(BOB, true, 7).unwrap();
        assert_eq!(shown(&client), Verification::Verified { at: 7 });

        // Another account key is not pinned; if it came to be all the same, it would show.
        client
            .turn(8, |turn| {
                Ok(verified::save(turn.db, BOB, &Verified { account_key: vec![0; 32], chain_len: 2, at: 7 })?)
            })
            .unwrap();
        assert_eq!(shown(&client), Verification::KeyChanged { at: 7 });
        client.set_verified(BOB, false, 9).unwrap();
        assert_eq!(shown(&client), Verification::Unverified);
    }
}
