//! `rewrap_archive_days`: keys of days, sealed under a newer archive key, which a device that was revoked does not have.

use super::archive;
use crate::gateway::{failure::Failure, state::Session};
use rules::archive::admit_key;
use store::{Actor, Tx};
use wire::{
    ErrorCode, Op, limits,
    request::{Done, RewrapArchiveDays},
};

pub(crate) async fn handle(session: &Session, rewrap: RewrapArchiveDays) -> Result<Done, Failure> {
    session.may_record()?;
    if rewrap.days.len() > limits::ARCHIVE_DAYS_MAX {
        return Err(ErrorCode::TooLarge.into());
    }
    rewrap.days.iter().try_for_each(admit_key)?;
    let (now, user, device) = (session.clock.now(), session.user, session.device);
    let rewrapped = session.tenant.store.write(move |tx: &mut Tx<'_>| {
        archive::by_active(tx, user, device)?;
        let mut any = false;
        for day in &rewrap.days {
            any |= tx.rewrap_day(user, day)?;
        }
        if any {
            super::audit(tx, now, Actor::Device(device), Op::RewrapArchiveDays, "ok", &[*user.as_bytes()])?;
        }
        Ok::<_, Failure>(Done {})
    });
    rewrapped.await
}
