//! Adding to the archive what it misses.

use super::ArchiveWork;
use super::segment::{Contents, Record};
use crate::database::archive::{self, Archivable};
use crate::database::conversation;
use crate::session::Work;
use crate::turn::{Turn, is_transient};
use crate::{Error, Event, MessageState};
use vault::{ArchiveKey, DayKey, SegmentPlace};
use wire::request::{ListSegments, Places, PutSegment, Segment, SegmentList};
use wire::{ConversationId, ErrorCode, Refusal, limits};

/// A segment is closed when its messages are so many, or so large together: a device that scrolls back fetches whole ones.
const RECORDS_MAX: usize = 200;
const CONTENT_BYTES: usize = 32 << 10;
/// Messages that are looked at for one segment.
const LOOKED_AT: u32 = 400;

impl Turn<'_> {
    /// Archives the next part of a conversation that is not there, if there is one.
    pub(super) fn archive_next(&mut self, key: &ArchiveKey) -> Result<(), Error> {
        let mut after = None;
        while let Some((id, seq)) = archive::first_missing(self.db, after)? {
            if self.memory.archive.passed.contains(&id) {
                after = Some(id);
                continue;
            }
            let records = self.draft(id, seq)?;
            let Some(day) = records.first().map(Record::day) else {
                self.memory.archive.passed.insert(id);
                continue;
            };
            return match archive::day(self.db, day)? {
                Some(day_key) => self.put_segment(key, &day_key, id, records),
                None => self.open_day(key, day),
            };
        }
        if self.memory.archive.passed.is_empty() {
            self.memory.archive.rested = true;
        } else {
            self.memory.archive.passed.clear();
            self.archive_later(super::AGAIN_MS);
        }
        Ok(())
    }

    /// Messages of one day from a place on, as far as this device knows all that there is between them.
    fn draft(&self, id: ConversationId, seq: u64) -> Result<Vec<Record>, Error> {
        let there = self.memory.archive.there.get(&id);
        let end = there.into_iter().flatten().map(|places| places.first).filter(|first| *first > seq).min();
        let (mut records, mut bytes, mut previous) = (Vec::<Record>::new(), 0, seq.saturating_sub(1));
        for message in archive::from(self.db, id, seq, LOOKED_AT)? {
            let Some(seq) = message.row.seq else { continue };
            let is_over = end.is_some_and(|end| seq >= end) || records.len() == RECORDS_MAX;
            if is_over || is_elsewhere(&message) || !archive::has_processed(self.db, id, previous, seq)? {
                break;
            }
            previous = seq;
            let Some(record) = Record::of(&message).filter(|_| message.worthy) else { continue };
            bytes += record.content.len();
            let is_full = bytes > CONTENT_BYTES && !records.is_empty();
            if is_full || records.first().is_some_and(|first| first.day() != record.day()) {
                break;
            }
            records.push(record);
        }
        Ok(records)
    }

    fn put_segment(
        &mut self,
        key: &ArchiveKey,
        day_key: &DayKey,
        id: ConversationId,
        records: Vec<Record>,
    ) -> Result<(), Error> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(()) };
        let (first, last, day) = (first.seq, last.seq, first.day());
        let place = SegmentPlace { conversation: id, first, last, day, revision: 0 };
        let content = Contents::new(records).to_bytes();
        let bytes = day_key.seal(key, self.archive_owner()?, place, &content, self.entropy);
        if bytes.len() > limits::SEGMENT_MAX_BYTES {
            // No message is as large as that.
            self.memory.archive.passed.insert(id);
            return Ok(());
        }
        let generation = self.conversation(id)?.generation;
        let segment = Segment { first, last, day, revision: 0, bytes };
        self.memory.archive.busy = true;
        self.request(
            Work::Archive(ArchiveWork::PutSegment(id, first, last, day)),
            &PutSegment { conversation: id, generation, segment },
        );
        Ok(())
    }

    pub(crate) fn segment_put(&mut self, id: ConversationId, first: u64, last: u64) -> Result<(), Error> {
        self.memory.archive.busy = false;
        Ok(archive::set_archived(self.db, id, first, last)?)
    }

    pub(crate) fn segment_refused(
        &mut self,
        id: ConversationId,
        first: u64,
        day: u32,
        refusal: &Refusal,
    ) -> Result<(), Error> {
        self.memory.archive.busy = false;
        match refusal.code() {
            // Another device of the person was faster, here or there.
            Some(ErrorCode::AlreadyExists) => {
                self.memory.archive.there.remove(&id);
                self.list_segments(id, first.saturating_sub(1));
            }
            Some(ErrorCode::KeptOut) => self.stays_out(id)?,
            Some(ErrorCode::QuotaExceeded) => {
                self.tell(Event::ArchiveFull);
                self.archive_refused(refusal);
            }
            // The day was destroyed, or the conversation is not this person's any more, or of another generation by now.
            code if !is_transient(refusal) || code == Some(ErrorCode::GenerationChanged) => {
                archive::forget_day(self.db, day)?;
                self.memory.archive.passed.insert(id);
            }
            _ => self.archive_refused(refusal),
        }
        Ok(())
    }

    fn list_segments(&mut self, id: ConversationId, after: u64) {
        self.memory.archive.busy = true;
        self.request(Work::Archive(ArchiveWork::ListSegments(id)), &ListSegments { conversation: id, after });
    }

    pub(crate) fn segments_listed(&mut self, id: ConversationId, list: SegmentList) -> Result<(), Error> {
        self.memory.archive.busy = false;
        if conversation::find(self.db, id)?.is_none() {
            return Ok(());
        }
        if list.kept_out {
            return self.stays_out(id);
        }
        for Places { first, last } in &list.places {
            archive::set_archived(self.db, id, *first, *last)?;
        }
        let last = list.places.last().map(|places| places.last);
        let there = self.memory.archive.there.entry(id).or_default();
        there.extend(list.places);
        match last {
            Some(last) if list.more => self.list_segments(id, last),
            // It said that there is something, and now that there is nothing.
            None if there.is_empty() => {
                self.memory.archive.passed.insert(id);
            }
            _ => {}
        }
        Ok(())
    }
}

/// The archive has it, or another device may have what this one could not read.
fn is_elsewhere(message: &Archivable) -> bool {
    message.archived || message.row.state == MessageState::Undecryptable
}
