//! Taking out of the archive what was taken back: the segment is replaced by one without the words.

use super::ArchiveWork;
use super::segment::Contents;
use crate::Error;
use crate::database::archive;
use crate::session::Work;
use crate::turn::Turn;
use wire::request::{FetchSegments, PutSegment, Segment, Segments};
use wire::{ConversationId, ErrorCode, Refusal};

/// When another device has replaced the segment, it is looked at again after so long.
const AGAIN_MS: u64 = 5_000;

impl Turn<'_> {
    /// Asks for the next segment that holds what was taken back. Whether there is one.
    pub(super) fn blank_next(&mut self) -> Result<bool, Error> {
        let Some((id, seq)) = archive::first_blank(self.db)? else { return Ok(false) };
        self.memory.archive.busy = true;
        let before = seq.saturating_add(1);
        self.request(Work::Archive(ArchiveWork::FetchToBlank(id, seq)), &FetchSegments { conversation: id, before });
        Ok(true)
    }

    pub(crate) fn fetched_to_blank(&mut self, id: ConversationId, seq: u64, fetched: &Segments) -> Result<(), Error> {
        self.memory.archive.busy = false;
        let Some(segment) = fetched.segments.iter().find(|segment| segment.first <= seq && seq <= segment.last) else {
            // It is not in the archive, or not any more.
            return Ok(archive::blanked(self.db, id, seq, seq)?);
        };
        let (first, last) = (segment.first, segment.last);
        let Some(mut contents) = self.open_segment(id, segment, &fetched.days)? else {
            self.archive_later(super::AGAIN_MS);
            return Ok(());
        };
        let blanks = archive::blanks(self.db, id, first, last)?;
        let mut changed = false;
        for record in contents.records.iter_mut().filter(|record| blanks.contains(&record.seq)) {
            changed |= !record.content.is_empty();
            record.content.clear();
        }
        if !changed {
            return Ok(archive::blanked(self.db, id, first, last)?);
        }
        self.replace_segment(id, segment, &fetched.days, &contents)
    }

    fn replace_segment(
        &mut self,
        id: ConversationId,
        old: &Segment,
        days: &[wire::request::ArchiveDay],
        contents: &Contents,
    ) -> Result<(), Error> {
        let (Some(key), Some(day)) = (self.archive_key()?, days.iter().find(|day| day.day == old.day)) else {
            return Ok(());
        };
        let Some(day_key) = self.day_key(day)? else { return Ok(()) };
        let revision = old.revision.saturating_add(1);
        let place = super::history::place(id, &Segment { revision, bytes: Vec::new(), ..*old });
        let bytes = day_key.seal(&key, self.archive_owner()?, place, &contents.to_bytes(), self.entropy);
        let generation = self.conversation(id)?.generation;
        let segment = Segment { revision, bytes, ..*old };
        self.memory.archive.busy = true;
        let work = Work::Archive(ArchiveWork::PutBlanked(id, old.first, old.last));
        self.request(work, &PutSegment { conversation: id, generation, segment });
        Ok(())
    }

    pub(crate) fn blanked_put(&mut self, id: ConversationId, first: u64, last: u64) -> Result<(), Error> {
        self.memory.archive.busy = false;
        Ok(archive::blanked(self.db, id, first, last)?)
    }

    pub(crate) fn blank_refused(&mut self, refusal: &Refusal) {
        self.archive_refused(refusal);
        if refusal.code() == Some(ErrorCode::AlreadyExists) {
            self.archive_later(AGAIN_MS);
        }
    }
}
