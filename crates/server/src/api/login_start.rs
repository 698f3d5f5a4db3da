//! `login_start`: a person begins to prove a password. The guess is counted, durably, before it is answered, and whether
//! anybody has the handle shows in nothing.

use crate::{
    gateway::{
        failure::Failure,
        state::{Guest, OpenLogin},
    },
    password::PasswordError,
    tenants::FAKE_OPAQUE_RECORD,
};
use rules::{attempts::Verdict, handle::Handle};
use store::{Actor, Tx, UserState};
use wire::sabotage::{Defence, stands};
use wire::{
    ErrorCode, Op, Refusal, UnixMillis, UserId,
    request::{LoginChallenge, LoginStart},
};
use zeroize::Zeroizing;

/// Whose record it is; nobody's for a handle that does not exist.
struct Record {
    user: Option<UserId>,
    bytes: Zeroizing<Vec<u8>>,
}

pub(crate) async fn handle(guest: &mut Guest, start: LoginStart) -> Result<LoginChallenge, Failure> {
    let handle = super::handle(&start.handle)?;
    let (now, asked) = (guest.clock.now(), handle.clone());
    let (verdict, record) = guest.tenant.store.write(move |tx| count(tx, now, &asked)).await?;
    if let Verdict::Wait { ms } = verdict {
        return Err(Refusal::retry_after(ErrorCode::RateLimited, u32::try_from(ms).unwrap_or(u32::MAX)).into());
    }
    match guest.tenant.passwords.login(&handle, &record.bytes, &start.ke1) {
        Ok((pending, ke2)) => {
            guest.login = Some(OpenLogin { handle, user: record.user, pending });
            Ok(LoginChallenge { ke2 })
        }
        Err(PasswordError::Protocol) => Err(ErrorCode::Malformed.into()),
        Err(error) => Err(Failure::internal(error)),
    }
}

/// Counts and records the guess, whatever comes of it: the transaction is kept even when the answer is to wait.
fn count(tx: &mut Tx<'_>, now: UnixMillis, handle: &Handle) -> Result<(Verdict, Record), Failure> {
    let verdict = tx.count_guess(handle.as_str(), now)?;
    let record = record(tx, handle)?;
    let outcome = match verdict {
        Verdict::Allowed(_) => "ok",
        Verdict::Wait { .. } => ErrorCode::RateLimited.as_str(),
    };
    let objects: Vec<_> = record.user.iter().map(|user| *user.as_bytes()).collect();
    super::audit(tx, now, Actor::Anonymous, Op::LoginStart, outcome, &objects)?;
    Ok((verdict, record))
}

/// Three rows are read and two values opened in either case, so that time does not tell who exists.
fn record(tx: &Tx<'_>, handle: &Handle) -> Result<Record, Failure> {
    let user = tx.user_by_handle(handle.as_str())?;
    if user.is_none() {
        tx.secret(FAKE_OPAQUE_RECORD)?;
    }
    if user.is_none() && !stands(Defence::FakeRecord) {
        return Err(ErrorCode::NotFound.into());
    }
    let user = user.filter(|user| user.state == UserState::Active).map(|user| user.user);
    let bytes = match user {
        Some(user) => tx.opaque_record(user)?,
        None => tx.secret(FAKE_OPAQUE_RECORD)?,
    };
    Ok(Record { user, bytes: bytes.ok_or_else(|| Failure::internal("an OPAQUE record is gone"))? })
}
