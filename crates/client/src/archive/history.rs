//! Reading the archive: what was said before this device came.

use super::ArchiveWork;
use super::segment::{Contents, Record};
use crate::client::Client;
use crate::content::Content;
use crate::database::conversation::{self, ConversationRow};
use crate::database::{archive, expiry, message, search};
use crate::session::Work;
use crate::turn::{Turn, is_transient};
use crate::{Error, Event};
use vault::{DayKey, SegmentPlace};
use wire::request::{ArchiveDay, FetchSegments, ListSegments, Segment, SegmentList, Segments};
use wire::{ConversationId, Refusal, UnixMillis};

/// So long after it has come, a device looks whether more of what was before has been archived.
const HOLES_MS: u64 = 24 * 3_600_000;

impl Client {
    /// Fetches what the person's archive has from before what is here of a conversation. [`Event::History`] says what came.
    /// Without a connection nothing happens until there is one.
    ///
    /// # Errors
    /// [`Error::UnknownConversation`], [`Error::Database`].
    pub fn fetch_history(&mut self, id: ConversationId, now: UnixMillis) -> Result<(), Error> {
        self.account()?;
        self.turn(now, |turn| {
            let row = turn.conversation(id)?;
            match next_before(&row, archive::read_before(turn.db, id)?) {
                0 => turn.tell(Event::History { conversation: id, lines: 0, earlier: false }),
                before => turn.want_history(id, before),
            }
            Ok(())
        })
    }

    /// Whether the archive may have more of a conversation than is here.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn has_earlier_history(&self, id: ConversationId) -> Result<bool, Error> {
        let db = self.reader();
        let Some(row) = conversation::find(db, id)? else { return Ok(false) };
        Ok(next_before(&row, archive::read_before(db, id)?) > 0 && !archive::keys(db)?.is_empty())
    }
}

/// Before which place the archive is read next; 0: there is nothing before.
fn next_before(row: &ConversationRow, read_before: Option<u64>) -> u64 {
    match (row.begins, read_before) {
        (0, _) => 0,
        (_, Some(before)) => before,
        (begins, None) => begins.saturating_add(1),
    }
}

pub(super) const fn place(conversation: ConversationId, segment: &Segment) -> SegmentPlace {
    let Segment { first, last, day, revision, .. } = *segment;
    SegmentPlace { conversation, first, last, day, revision }
}

impl Turn<'_> {
    /// This device has come into a conversation, again or for the first time: what was said while it was not there is
    /// fetched, as much as a screen shows.
    pub(crate) fn want_history(&mut self, id: ConversationId, before: u64) {
        self.memory.archive.wanted.insert(id, before);
    }

    pub(super) fn fetch_wanted_history(&mut self) -> Result<(), Error> {
        self.look_for_holes()?;
        if self.memory.archive.wanted.is_empty() || archive::keys(self.db)?.is_empty() {
            return Ok(());
        }
        for (conversation, before) in self.memory.archive.wanted.clone() {
            let work = Work::Archive(ArchiveWork::History(conversation, before));
            if !self.memory.session.is_busy(&work, self.now) {
                self.request(work, &FetchSegments { conversation, before });
            }
        }
        Ok(())
    }

    /// What was said between the last segment and the coming of this device may be archived since: once with each connection
    /// it is asked, for a day.
    fn look_for_holes(&mut self) -> Result<(), Error> {
        if std::mem::replace(&mut self.memory.archive.looked, true) {
            return Ok(());
        }
        for (conversation, after) in archive::holes(self.db, self.now.saturating_sub(HOLES_MS))? {
            self.request(Work::Archive(ArchiveWork::Hole(conversation)), &ListSegments { conversation, after });
        }
        Ok(())
    }

    pub(crate) fn hole_listed(&mut self, id: ConversationId, list: &SegmentList) -> Result<(), Error> {
        let Some(row) = conversation::find(self.db, id)? else { return Ok(()) };
        let before_own = list.places.iter().filter(|places| places.first <= row.begins);
        if let Some(last) = before_own.map(|places| places.last).max() {
            self.want_history(id, last.saturating_add(1));
        }
        Ok(())
    }

    /// Segments came, the newest first.
    pub(crate) fn history_came(&mut self, id: ConversationId, before: u64, came: &Segments) -> Result<(), Error> {
        if self.memory.archive.wanted.get(&id) == Some(&before) {
            self.memory.archive.wanted.remove(&id);
        }
        let Some(row) = conversation::find(self.db, id)? else { return Ok(()) };
        let (mut lines, mut unreadable) = (0, false);
        for segment in &came.segments {
            match self.open_segment(id, segment, &came.days)? {
                Some(contents) => {
                    for record in &contents.records {
                        lines += u32::from(self.take_record(&row, record)?);
                    }
                    archive::set_archived(self.db, id, segment.first, segment.last)?;
                    contents.records.iter().try_for_each(|record| self.take_back(id, record))?;
                }
                None => unreadable = true,
            }
        }
        let first = came.segments.last().map_or(0, |segment| segment.first);
        let reached = if came.earlier { first } else { 0 };
        // What was asked for from further up is here down to where it had come before, or leaves a stretch out.
        let is_next = before == next_before(&row, archive::read_before(self.db, id)?);
        if is_next {
            archive::set_read_before(self.db, id, reached, self.now)?;
        }
        let before_own = came.segments.iter().filter(|segment| segment.first <= row.begins);
        archive::raise_top(self.db, id, before_own.map(|segment| segment.last).max().unwrap_or_default())?;
        if unreadable {
            self.tell(Event::HistoryUnreadable(id));
        }
        if is_next && lines == 0 && reached > 0 && reached < before {
            self.want_history(id, reached);
        } else {
            self.tell(Event::History { conversation: id, lines, earlier: reached > 0 });
        }
        Ok(())
    }

    pub(crate) fn history_refused(&mut self, id: ConversationId, before: u64, refusal: &Refusal) {
        if is_transient(refusal) {
            self.later(Work::Archive(ArchiveWork::History(id, before)), refusal);
        } else {
            self.memory.archive.wanted.remove(&id);
        }
    }

    /// What a segment holds, if it opens: it is of the person's devices then, and stands where it was put.
    pub(super) fn open_segment(
        &self,
        id: ConversationId,
        segment: &Segment,
        days: &[ArchiveDay],
    ) -> Result<Option<Contents>, Error> {
        let Some(day) = days.iter().find(|day| day.day == segment.day) else { return Ok(None) };
        let Some(day_key) = self.day_key(day)? else { return Ok(None) };
        let Ok(version) = DayKey::version_of(&segment.bytes) else { return Ok(None) };
        let keys = archive::keys(self.db)?;
        let (owner, place) = (self.archive_owner()?, place(id, segment));
        let mut keys = keys.iter().filter(|key| key.version() == version);
        let opened = keys.find_map(|key| day_key.open(key, owner, place, &segment.bytes).ok());
        Ok(opened.and_then(|bytes| Contents::from_bytes(&bytes).ok()))
    }

    /// Stores a message of the archive, if it is not here. Whether that makes a line.
    fn take_record(&mut self, row: &ConversationRow, record: &Record) -> Result<bool, Error> {
        // What the log has yet to bring comes from there.
        if record.seq > row.cursor || archive::is_here(self.db, row.id, record.message, record.seq)? {
            return Ok(false);
        }
        archive::drop_unreadable(self.db, row.id, record.seq)?;
        let generation = archive::generation_at(self.db, row.id, record.seq)?;
        let (message, place) = record.to_message();
        let number = message::insert(self.db, &ConversationRow { generation, ..row.clone() }, &message, place)?;
        let content = Content::from_bytes(&record.content).ok();
        if let Some(words) = content.as_ref().and_then(|content| content.body.words()) {
            search::index(self.db, number, words)?;
        }
        Ok(place.line)
    }

    /// A message, or the one that it edits, may have been taken back after it was archived: what it says goes, there too.
    fn take_back(&mut self, id: ConversationId, record: &Record) -> Result<(), Error> {
        let Some(author) = record.author else { return Ok(()) };
        for message in [record.message, record.target].into_iter().flatten() {
            if archive::is_taken_back(self.db, id, message, author)? && !record.content.is_empty() {
                archive::blank(self.db, id, message, author)?;
                self.memory.wiped |= expiry::wipe_deleted(self.db, id, message, author)?;
                self.memory.archive.rested = false;
            }
        }
        Ok(())
    }
}
