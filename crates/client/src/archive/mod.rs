//! The person's archive on the server (`docs/decisions/0110-archive.md`): what this device has read goes there, sealed for
//! the person's devices, segment by segment; those that come later read it back ([`history`]).
//!
//! What is in the archive is a set of segments that share no place of a log. Any of the person's devices adds what is
//! missing; the server takes a segment only where there is none, so that two devices cannot double anything, and who comes
//! second looks at what is there.

mod blank;
mod history;
mod keys;
mod segment;
mod share;
mod write;

use crate::client::Client;
use crate::database::{archive, conversation};
use crate::session::Work;
use crate::turn::Turn;
use crate::{Error, Event};
use std::collections::{BTreeMap, HashMap, HashSet};
use wire::request::{self, KeepOut, Places};
use wire::{ConversationId, Refusal, UnixMillis};

/// So long after something new was read it is looked for what the archive misses, and by chance up to twice as long.
const REST_MS: u64 = 20_000;
/// What could not be archived is tried again after so long.
const AGAIN_MS: u64 = 300_000;

/// What a request about the archive is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum ArchiveWork {
    /// A day is begun.
    OpenDay(u32),
    /// A segment: its first and last place, and its day.
    PutSegment(ConversationId, u64, u64, u32),
    /// What is there of a conversation.
    ListSegments(ConversationId),
    /// What is there from just before this device came.
    Hole(ConversationId),
    /// The segment that holds what was taken back at this place.
    FetchToBlank(ConversationId, u64),
    /// That segment without it.
    PutBlanked(ConversationId, u64, u64),
    /// What is there of a conversation before a place.
    History(ConversationId, u64),
    /// A conversation is kept out, or let in.
    KeepOut(ConversationId, bool),
    /// Keys of days, to be sealed anew.
    Days,
    /// They are; the last of them, and whether there are more.
    RewrapDays(Option<u32>, bool),
    /// Never on its way: only a time to look at what is missing.
    Look,
}

/// What is known of the archive beside the disk.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    /// A request that changes it is on its way.
    busy: bool,
    /// Nothing was missing when it was last looked at.
    rested: bool,
    /// Conversations that are left alone for now.
    passed: HashSet<ConversationId>,
    /// Places that the archive has, of conversations where another device was faster.
    there: HashMap<ConversationId, Vec<Places>>,
    /// Conversations whose history is wanted, before which place.
    wanted: BTreeMap<ConversationId, u64>,
    /// It was asked with this connection whether more was archived from before this device came.
    looked: bool,
    /// The last day whose key was sealed anew under the newest archive key.
    rewrapped: Option<u32>,
}

impl Archive {
    /// What is wanted is asked for again with the next connection.
    pub(crate) fn end_connection(&mut self) {
        *self = Self { wanted: std::mem::take(&mut self.wanted), ..Self::default() };
    }
}

impl Client {
    /// Keeps a conversation out of the person's archive, and has what is there of it destroyed; or lets it in again. It
    /// reaches the server with the next connection.
    ///
    /// # Errors
    /// [`Error::UnknownConversation`], [`Error::Database`].
    pub fn keep_out_of_archive(&mut self, id: ConversationId, out: bool, now: UnixMillis) -> Result<(), Error> {
        self.account()?;
        self.turn(now, |turn| {
            turn.conversation(id)?;
            archive::choose(turn.db, id, out, false)?;
            turn.archive_at_once();
            turn.tell(Event::ConversationChanged(id));
            Ok(())
        })
    }
}

impl Turn<'_> {
    /// What a success means.
    pub(crate) fn archive_answered(&mut self, work: ArchiveWork, body: &[u8]) -> Result<(), Error> {
        match work {
            ArchiveWork::OpenDay(day) => self.opened_day(day, &Self::decoded::<request::OpenArchiveDay>(body)?),
            ArchiveWork::PutSegment(id, first, last, _) => self.segment_put(id, first, last),
            ArchiveWork::ListSegments(id) => self.segments_listed(id, Self::decoded::<request::ListSegments>(body)?),
            ArchiveWork::Hole(id) => self.hole_listed(id, &Self::decoded::<request::ListSegments>(body)?),
            ArchiveWork::FetchToBlank(id, seq) => {
                self.fetched_to_blank(id, seq, &Self::decoded::<request::FetchSegments>(body)?)
            }
            ArchiveWork::PutBlanked(id, first, last) => self.blanked_put(id, first, last),
            ArchiveWork::History(id, before) => {
                self.history_came(id, before, &Self::decoded::<request::FetchSegments>(body)?)
            }
            ArchiveWork::KeepOut(id, out) => self.kept_out(id, out),
            ArchiveWork::Days => self.fetched_days(&Self::decoded::<request::FetchArchiveDays>(body)?),
            ArchiveWork::RewrapDays(last, more) => self.rewrapped_days(last, more),
            ArchiveWork::Look => Ok(()),
        }
    }

    /// What a refusal means.
    pub(crate) fn archive_work_refused(&mut self, work: ArchiveWork, refusal: &Refusal) -> Result<(), Error> {
        match work {
            ArchiveWork::PutSegment(id, first, _, day) => return self.segment_refused(id, first, day, refusal),
            ArchiveWork::PutBlanked(..) | ArchiveWork::FetchToBlank(..) => self.blank_refused(refusal),
            ArchiveWork::History(id, before) => self.history_refused(id, before, refusal),
            ArchiveWork::Days | ArchiveWork::RewrapDays(..) => self.days_refused(refusal),
            ArchiveWork::OpenDay(_) | ArchiveWork::ListSegments(_) | ArchiveWork::KeepOut(..) => {
                self.archive_refused(refusal);
            }
            ArchiveWork::Hole(_) | ArchiveWork::Look => {}
        }
        Ok(())
    }

    /// Does what is next for the archive: one request that changes it at a time, after everything else was fetched.
    pub(crate) fn keep_archive(&mut self) -> Result<(), Error> {
        self.fetch_wanted_history()?;
        let Archive { busy, rested, .. } = self.memory.archive;
        let waits = busy || rested || self.memory.session.is_busy(&Work::Archive(ArchiveWork::Look), self.now);
        if waits || self.memory.session.is_fetching() || !self.memory.behind_on.as_ref().is_some_and(|on| on.is_empty())
        {
            return Ok(());
        }
        if let Some((conversation, out)) = archive::untold(self.db)? {
            self.memory.archive.busy = true;
            self.request(Work::Archive(ArchiveWork::KeepOut(conversation, out)), &KeepOut { conversation, out });
            return Ok(());
        }
        let Some(key) = self.archive_key()? else {
            return self.share_archive_key();
        };
        if self.rewrap_days(&key)? || self.blank_next()? {
            return Ok(());
        }
        self.archive_next(&key)
    }

    /// Something new was read: it is archived in a while, with what comes until then.
    pub(crate) fn something_to_archive(&mut self) {
        if std::mem::take(&mut self.memory.archive.rested) {
            let chance = u64::from(u8::from_le_bytes(self.entropy.array()));
            self.archive_later(REST_MS + REST_MS * chance / 256);
        }
    }

    /// Another device of the person is about to come, or has come: it should find everything.
    pub(crate) fn archive_at_once(&mut self) {
        self.memory.archive.rested = false;
        self.memory.session.hurry(&Work::Archive(ArchiveWork::Look));
    }

    /// Whether something is about to be archived.
    pub(crate) fn is_archiving(&self) -> bool {
        let Archive { busy, rested, .. } = self.memory.archive;
        busy || !(rested || self.memory.session.is_busy(&Work::Archive(ArchiveWork::Look), self.now))
    }

    fn archive_later(&mut self, pause_ms: u64) {
        self.memory.session.delay(Work::Archive(ArchiveWork::Look), self.now.saturating_add(pause_ms));
    }

    /// Another device of the person has archived this part of a conversation.
    pub(crate) fn archived_elsewhere(&mut self, archived: &wire::event::Archived) -> Result<(), Error> {
        let wire::event::Archived { conversation: id, first, last } = *archived;
        let Some(row) = conversation::find(self.db, id)? else { return Ok(()) };
        if archive::is_kept_out(self.db, id)? {
            // The person has let it in again, there.
            archive::choose(self.db, id, false, true)?;
        }
        archive::set_archived(self.db, id, first, last)?;
        // What was before this device came, or what it could not read, is news for it.
        if first <= row.begins || archive::has_unreadable(self.db, id, first, last)? {
            self.memory.archive.wanted.insert(id, last.saturating_add(1));
        }
        Ok(())
    }

    pub(crate) fn kept_out(&mut self, id: ConversationId, out: bool) -> Result<(), Error> {
        self.memory.archive.busy = false;
        // The person may have thought better of it meanwhile.
        if archive::is_kept_out(self.db, id)? != out {
            return Ok(());
        }
        if out { self.stays_out(id) } else { Ok(archive::choose(self.db, id, false, true)?) }
    }

    /// Nothing of a conversation is in the archive.
    fn stays_out(&mut self, id: ConversationId) -> Result<(), Error> {
        archive::choose(self.db, id, true, true)?;
        Ok(archive::forget_archived(self.db, id)?)
    }

    /// The server takes nothing of the kind now, or for good.
    pub(crate) fn archive_refused(&mut self, refusal: &Refusal) {
        self.memory.archive.busy = false;
        let pause = refusal.retry_after_ms.map_or(AGAIN_MS, u64::from);
        self.archive_later(pause.clamp(1_000, AGAIN_MS));
    }
}

#[cfg(test)]
mod tests;
