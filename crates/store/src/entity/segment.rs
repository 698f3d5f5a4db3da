//! The parts of users' archives. No two of a conversation share a place, so that their order by the first place is their
//! order by the last.

use super::archive::object;
use crate::schema::{SealedColumn, sealed};
use crate::sql::{Row, sql, values};
use crate::{Error, Tx};
use keyring::KeyUse;
use rules::archive::Terms;
use std::collections::BTreeSet;
use wire::request::{Places, Segment, SegmentList, Segments};
use wire::{ConversationId, UserId};

const SEALED: SealedColumn = sealed("archive_segments", "sealed");

/// Segments of one answer: they may be small, and each brings the key of its day.
const SEGMENTS_MAX: u32 = 512;
/// Segments looked at for each range of an answer: they may all be neighbours.
const NEIGHBOURS: u32 = 8;

/// What came of putting a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentOutcome {
    /// It is there now.
    Stored,
    /// It was there before.
    Repeated,
    /// Places of it are another segment's.
    Overlaps,
    /// Its day was not begun, or is destroyed.
    NoDay,
    /// The user keeps the conversation out of their archive.
    KeptOut,
    /// It is not the next revision of a segment that is there.
    StaleRevision,
    /// The user's quota is used up.
    Full,
}

/// Where a segment is, and what it is.
struct Place {
    first: u64,
    last: u64,
    day: u32,
    revision: u32,
    bytes: u64,
}

impl Tx<'_> {
    /// Puts a segment into a user's archive. Whether its places are of the conversation's log, and whose conversation that is,
    /// is decided before (`rules::archive`).
    ///
    /// # Errors
    /// [`Error::Sealed`] when what is there was tampered with, [`Error`] of the storage.
    pub fn put_segment(
        &mut self,
        user: UserId,
        conversation: ConversationId,
        segment: &Segment,
        terms: Terms,
    ) -> Result<SegmentOutcome, Error> {
        let Some(used) = self.lock_archive(user)? else { return Ok(SegmentOutcome::NoDay) };
        if self.is_kept_out(user, conversation)? {
            return Ok(SegmentOutcome::KeptOut);
        }
        let there = self.last_segment_up_to(user, conversation, segment.last)?;
        let there = there.filter(|there| there.last >= segment.first);
        let others = match there {
            None if segment.revision == 0 => used,
            None => return Ok(SegmentOutcome::StaleRevision),
            Some(there) if (there.first, there.last) != (segment.first, segment.last) => {
                return Ok(SegmentOutcome::Overlaps);
            }
            Some(there) if there.revision.checked_add(1) == Some(segment.revision) => used.saturating_sub(there.bytes),
            Some(there) => return self.compared(user, conversation, segment, &there),
        };
        if self.archive_day(user, segment.day)?.is_none() {
            return Ok(SegmentOutcome::NoDay);
        }
        let bytes = segment.bytes.len() as u64;
        if terms.admit_bytes(bytes, others).is_err() {
            return Ok(SegmentOutcome::Full);
        }
        self.write_segment(user, conversation, segment)?;
        let text = sql!("update archives set bytes = $3 where tenant = $1 and user_id = $2");
        self.session.execute(text, values![self.tenant, user, others.saturating_add(bytes)])?;
        Ok(SegmentOutcome::Stored)
    }

    /// The segments of a conversation whose first place is before this one, the newest first, with their days: together up to
    /// `max_bytes`, but one at least.
    ///
    /// # Errors
    /// [`Error::Sealed`] when one was tampered with, [`Error`] of the storage.
    pub fn segments_before(
        &self,
        user: UserId,
        conversation: ConversationId,
        before: u64,
        max_bytes: usize,
    ) -> Result<Segments, Error> {
        let (from, earlier) = self.first_that_fits(user, conversation, before, max_bytes as u64)?;
        let text = sql!(
            "select first, last, day, revision, bytes, sealed from archive_segments where tenant = $1 and user_id = $2 \
             and conversation = $3 and first >= $4 and first < $5 order by first desc"
        );
        let found = self.session.rows(text, values![self.tenant, user, conversation, from, before], |row| {
            Ok(Some((place(row)?, row.bytes(5)?.to_vec())))
        })?;
        let days: BTreeSet<_> = found.iter().map(|(place, _)| place.day).collect();
        let days = days.iter().map(|day| self.archive_day(user, *day)?.ok_or(Error::Malformed));
        let days = days.collect::<Result<_, _>>()?;
        let segments = found.iter().map(|(place, sealed)| self.open_segment(user, conversation, place, sealed));
        Ok(Segments { segments: segments.collect::<Result<_, _>>()?, days, earlier })
    }

    /// Which places after this one a user's archive has of a conversation: so many ranges at most.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn segment_places(
        &self,
        user: UserId,
        conversation: ConversationId,
        after: u64,
        limit: u32,
    ) -> Result<SegmentList, Error> {
        // From the last that begins up to there: it may go on after that.
        let text = sql!(
            "select first, last, day, revision, bytes from archive_segments where tenant = $1 and user_id = $2 \
             and conversation = $3 and last > $4 and first >= (select coalesce(max(s.first), 0) from archive_segments s \
             where s.tenant = $1 and s.user_id = $2 and s.conversation = $3 and s.first <= $4) order by first limit $5"
        );
        let looked_at = limit.saturating_mul(NEIGHBOURS);
        let and_one = looked_at.saturating_add(1);
        let values = values![self.tenant, user, conversation, after, and_one];
        let found = self.session.rows(text, values, |row| place(row).map(Some))?;
        let mut more = found.len() > looked_at as usize;
        let mut places: Vec<Places> = Vec::new();
        for next in found.iter().take(looked_at as usize) {
            if let Some(before) = places.last_mut().filter(|before| before.last.checked_add(1) == Some(next.first)) {
                before.last = next.last;
            } else if places.len() < limit as usize {
                places.push(Places { first: next.first.max(after.saturating_add(1)), last: next.last });
            } else {
                more = true;
                break;
            }
        }
        Ok(SegmentList { places, more, kept_out: self.is_kept_out(user, conversation)? })
    }

    /// What is said of a segment that cannot take the place of the one that is there.
    fn compared(
        &self,
        user: UserId,
        conversation: ConversationId,
        segment: &Segment,
        there: &Place,
    ) -> Result<SegmentOutcome, Error> {
        if (segment.day, segment.revision) == (there.day, there.revision) {
            let text = sql!(
                "select sealed from archive_segments \
                 where tenant = $1 and user_id = $2 and conversation = $3 and first = $4"
            );
            let values = values![self.tenant, user, conversation, there.first];
            let sealed = self.session.row(text, values, |row| Ok(row.bytes(0)?.to_vec()))?.ok_or(Error::Malformed)?;
            if self.open_segment(user, conversation, there, &sealed)? == *segment {
                return Ok(SegmentOutcome::Repeated);
            }
        }
        Ok(if segment.revision == 0 { SegmentOutcome::Overlaps } else { SegmentOutcome::StaleRevision })
    }

    fn write_segment(&mut self, user: UserId, conversation: ConversationId, segment: &Segment) -> Result<(), Error> {
        let Segment { first, last, day, revision, .. } = *segment;
        let bytes = segment.bytes.len() as u64;
        let key = self.key(KeyUse::Archive, &object(user, day))?;
        let row = row(user, conversation, &Place { first, last, day, revision, bytes });
        let sealed = self.seal(&key, SEALED, &row, &segment.bytes)?;
        let text = sql!(
            "insert into archive_segments \
             (tenant, user_id, conversation, first, last, day, revision, bytes, sealed) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (tenant, user_id, conversation, first) do update \
             set day = excluded.day, revision = excluded.revision, bytes = excluded.bytes, sealed = excluded.sealed"
        );
        let values = values![self.tenant, user, conversation, first, last, day, revision, bytes, sealed];
        self.session.execute(text, values).map(drop)
    }

    /// The last segment that begins at or before a place: the only one that can share a place with one that ends there.
    fn last_segment_up_to(
        &self,
        user: UserId,
        conversation: ConversationId,
        last: u64,
    ) -> Result<Option<Place>, Error> {
        let text = sql!(
            "select first, last, day, revision, bytes from archive_segments \
             where tenant = $1 and user_id = $2 and conversation = $3 and first <= $4 order by first desc limit 1"
        );
        self.session.row(text, values![self.tenant, user, conversation, last], place)
    }

    /// Where the oldest segment begins that still fits, and whether there are earlier ones. PostgreSQL sends all rows before
    /// the first is looked at: these are small.
    fn first_that_fits(
        &self,
        user: UserId,
        conversation: ConversationId,
        before: u64,
        max_bytes: u64,
    ) -> Result<(u64, bool), Error> {
        let text = sql!(
            "select first, last, day, revision, bytes from archive_segments where tenant = $1 and user_id = $2 \
             and conversation = $3 and first < $4 order by first desc limit $5"
        );
        let values = values![self.tenant, user, conversation, before, SEGMENTS_MAX + 1];
        let found = self.session.rows(text, values, |row| place(row).map(Some))?;
        let (mut from, mut taken, mut bytes) = (before, 0, 0u64);
        for place in found.iter().take(SEGMENTS_MAX as usize) {
            bytes = bytes.saturating_add(place.bytes);
            if taken > 0 && bytes > max_bytes {
                break;
            }
            (from, taken) = (place.first, taken + 1);
        }
        Ok((from, taken < found.len()))
    }

    fn open_segment(
        &self,
        user: UserId,
        conversation: ConversationId,
        place: &Place,
        sealed: &[u8],
    ) -> Result<Segment, Error> {
        let Place { first, last, day, revision, .. } = *place;
        let key = self.key(KeyUse::Archive, &object(user, day))?;
        let bytes = self.open(&key, SEALED, &row(user, conversation, place), sealed)?;
        Ok(Segment { first, last, day, revision, bytes })
    }
}

/// What a segment is sealed for: its row with all that stands there of it in the clear.
fn row(user: UserId, conversation: ConversationId, place: &Place) -> Vec<u8> {
    let Place { first, last, day, revision, bytes } = place;
    let numbers = [first.to_be_bytes(), last.to_be_bytes(), bytes.to_be_bytes()].concat();
    let small = [day.to_be_bytes(), revision.to_be_bytes()].concat();
    [user.as_bytes().as_slice(), conversation.as_bytes(), &numbers, &small].concat()
}

fn place(row: &Row<'_>) -> Result<Place, Error> {
    Ok(Place {
        first: row.number(0)?,
        last: row.number(1)?,
        day: row.number(2)?,
        revision: row.number(3)?,
        bytes: row.number(4)?,
    })
}
