//! How far each device has come, and what can be deleted when all have.

use crate::sql::{sql, values};
use crate::{Error, Tx};
use rules::retention::{GRACE_MS, Retention};
use wire::request::Cursor;
use wire::{ConversationId, DeviceId, UnixMillis};

impl Tx<'_> {
    /// Moves a device's cursors forward. Cursors of other generations, of conversations where the device has no leaf, and
    /// beyond the end of a log are passed over or cut to it: a cursor never says more than the log holds.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn acknowledge(&mut self, device: DeviceId, cursors: &[Cursor]) -> Result<(), Error> {
        let text = sql!(
            "insert into cursors (tenant, conversation, device, generation, seq) \
             select c.tenant, c.conversation, m.device, c.generation, case when $5 < c.head_seq then $5 else c.head_seq end \
             from conversations c join members m \
             on m.tenant = c.tenant and m.conversation = c.conversation and m.device = $3 and m.removed_seq is null \
             where c.tenant = $1 and c.conversation = $2 and c.generation = $4 \
             on conflict (tenant, conversation, device) do update set generation = excluded.generation, seq = excluded.seq \
             where excluded.generation > cursors.generation \
             or excluded.generation = cursors.generation and excluded.seq > cursors.seq"
        );
        for cursor in cursors {
            let values = values![self.tenant, cursor.conversation, device, cursor.generation, cursor.seq];
            self.session.execute(text, values)?;
        }
        Ok(())
    }

    /// How far a device has come in a conversation.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn cursor(&self, conversation: ConversationId, device: DeviceId) -> Result<Option<Cursor>, Error> {
        let text = sql!("select generation, seq from cursors where tenant = $1 and conversation = $2 and device = $3");
        self.session.row(text, values![self.tenant, conversation, device], |row| {
            Ok(Cursor { conversation, generation: row.number(0)?, seq: row.number(1)? })
        })
    }

    /// Deletes the entries that `rules::retention` lets go, from the beginning of the log up to the first that must stay.
    /// Numbers are never used again. Commits after the last snapshot of the group stay, because it needs them. Returns how
    /// many entries went.
    ///
    /// # Errors
    /// [`Error`] of the storage.
    pub fn prune(
        &mut self,
        conversation: ConversationId,
        retention: Retention,
        now: UnixMillis,
    ) -> Result<usize, Error> {
        let acknowledged = self.acknowledged(conversation)?;
        let snapshot = sql!("select seq from public_groups where tenant = $1 and conversation = $2");
        let replayed_after =
            self.session.row(snapshot, values![self.tenant, conversation], |row| row.number::<u64>(0))?;
        let replayed_after = replayed_after.unwrap_or(u64::MAX);
        // The negation of `rules::retention::may_delete`, and the commits that are still needed.
        let text = sql!(
            "select min(seq) from log_entries where tenant = $1 and conversation = $2 \
             and ((not (seq <= $3 and recorded_at <= $4) and recorded_at > $5) or (kind <> 0 and seq > $6))"
        );
        // Before the epoch of the clock nothing is old: numbers are at least 0, so compare with less than that.
        let past = |time: Option<u64>| time.map_or(-1, |time| i64::try_from(time).unwrap_or(i64::MAX));
        let grace_over = past(now.checked_sub(GRACE_MS));
        let time_over = past(now.checked_sub(retention.keep_ms));
        let values = values![self.tenant, conversation, acknowledged, grace_over, time_over, replayed_after];
        let first_kept = self.session.row(text, values, |row| row.optional(0, |row| row.number::<u64>(0)))?.flatten();
        let text = sql!("delete from log_entries where tenant = $1 and conversation = $2 and seq < $3");
        self.session.execute(text, values![self.tenant, conversation, first_kept.unwrap_or(u64::MAX)])
    }

    /// What every device that has a leaf now has. A device that has acknowledged nothing has what came before it.
    fn acknowledged(&self, conversation: ConversationId) -> Result<u64, Error> {
        let text = sql!(
            "select min(case when k.seq > m.joined_seq then k.seq else m.joined_seq end) from members m \
             join conversations c on c.tenant = m.tenant and c.conversation = m.conversation \
             left join cursors k on k.tenant = m.tenant and k.conversation = m.conversation and k.device = m.device \
             and k.generation = c.generation \
             where m.tenant = $1 and m.conversation = $2 and m.removed_seq is null"
        );
        let least =
            self.session.row(text, values![self.tenant, conversation], |row| row.optional(0, |row| row.number(0)))?;
        Ok(least.flatten().unwrap_or(0))
    }
}
