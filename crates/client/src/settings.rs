//! What a person wants of this device. Local: nobody else learns it but by what is not sent.

use crate::Error;
use crate::client::Client;
use crate::database::conversation::ConversationRow;
use crate::database::setting;
use crate::turn::Turn;
use rusqlite::Connection;
use std::collections::BTreeSet;
use wire::{UnixMillis, UserId};

/// Above so many members nobody is told who has read and who is typing: each would cost everybody a message.
const LARGE_ABOVE_MEMBERS: usize = 100;
const TYPING: &str = "setting.typing";
const RECEIPTS: &str = "setting.receipts";

/// What a person wants of this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Tell others that this person is writing, and show who else is. On at first.
    pub typing: bool,
    /// Tell others how far this person has read. On at first.
    pub receipts: bool,
}

impl Client {
    /// What the person wants of this device.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn settings(&self) -> Result<Settings, Error> {
        load(self.reader())
    }

    /// Changes what the person wants of this device.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn set_settings(&mut self, settings: Settings, now: UnixMillis) -> Result<(), Error> {
        self.turn(now, |turn| {
            setting::save(turn.db, TYPING, settings.typing)?;
            Ok(setting::save(turn.db, RECEIPTS, settings.receipts)?)
        })
    }
}

pub(crate) fn load(db: &Connection) -> Result<Settings, Error> {
    let is_on = |name| Ok::<bool, Error>(setting::load(db, name)?.unwrap_or(true));
    Ok(Settings { typing: is_on(TYPING)?, receipts: is_on(RECEIPTS)? })
}

impl Turn<'_> {
    /// Whether a conversation has so many members that receipts and typing are off.
    pub(crate) fn is_large(&mut self, row: &ConversationRow) -> Result<bool, Error> {
        let leaves = self.peek(row, |group| group.members())?.unwrap_or_default();
        Ok(are_many(leaves.iter().map(|leaf| leaf.identity.user)))
    }
}

/// Whether these are more than a hundred people, however many devices each has.
fn are_many(users: impl Iterator<Item = UserId>) -> bool {
    users.collect::<BTreeSet<_>>().len() > LARGE_ABOVE_MEMBERS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_counted_and_not_devices() {
        let users = |people: u8| (0..people).flat_map(|user| [UserId::from_bytes([user; 16]); 2]);
        assert!(!are_many(users(100)));
        assert!(are_many(users(101)));
    }
}
