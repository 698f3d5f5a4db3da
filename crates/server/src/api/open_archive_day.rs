//! `open_archive_day`: a device is about to put segments of a day; of several that begin it, the first one's key counts.

use super::archive;
use crate::{
    gateway::{failure::Failure, state::Session},
    node::Node,
};
use rules::archive::admit_key;
use store::{Actor, OpenedDay, Tx};
use wire::{
    Op,
    request::{ArchiveDay, OpenArchiveDay},
};

pub(crate) async fn handle(node: &Node, session: &Session, open: OpenArchiveDay) -> Result<ArchiveDay, Failure> {
    session.may_record()?;
    let (now, user, device, day) = (session.clock.now(), session.user, session.device, open.day);
    admit_key(&day)?;
    let terms = node.config.archive.terms();
    let opened = session.tenant.store.write(move |tx: &mut Tx<'_>| {
        archive::by_active(tx, user, device)?;
        // One that is there is answered as it is, however old.
        if let Some(there) = tx.archive_day(user, day.day)? {
            return Ok(there);
        }
        terms.admit_day(day.day, now)?;
        match tx.open_day(user, &day)? {
            OpenedDay::New => {
                super::audit(tx, now, Actor::Device(device), Op::OpenArchiveDay, "ok", &[*user.as_bytes()])?;
                Ok::<_, Failure>(day)
            }
            OpenedDay::There(there) => Ok(there),
        }
    });
    opened.await
}
