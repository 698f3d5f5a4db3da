//! `join_finish`: the invite is used, and there is one more user with one device. All of it, or nothing.

use crate::{
    gateway::{failure::Failure, state::Guest},
    password::Passwords,
};
use rules::handle::Handle;
use store::{Actor, CreateUser, NewUser, Tx};
use trust::{DeviceChain, DevicePublicKey, chain};
use wire::{
    DeviceId, ErrorCode, Op, UnixMillis, UserId,
    request::{Done, JoinFinish, SignedEntry},
};

/// Everything about the newcomer, checked.
struct Newcomer {
    handle: Handle,
    record: Vec<u8>,
    chain: DeviceChain,
    device: DeviceId,
    device_key: DevicePublicKey,
    entry: SignedEntry,
}

pub(crate) async fn handle(guest: &Guest, finish: JoinFinish) -> Result<Done, Failure> {
    let handle = super::handle(&finish.handle)?;
    let record = Passwords::record(&finish.registration_upload).map_err(|_| ErrorCode::Malformed)?;
    let claimed = chain::decode(&finish.chain_entry).map_err(|_| ErrorCode::Malformed)?;
    let chain = DeviceChain::open(guest.tenant.id, claimed.user, &finish.chain_entry)
        .map_err(|_| ErrorCode::InvalidSignature)?;
    let (device, device_key) =
        chain.devices().map(|(id, device)| (id, device.key)).next().ok_or(ErrorCode::InvalidSignature)?;
    let newcomer = Newcomer { handle, record, chain, device, device_key, entry: finish.chain_entry };
    let (now, code) = (guest.clock.now(), finish.invite);
    let user = newcomer.chain.user();
    let joined = guest.tenant.store.write(move |tx| join(tx, now, &code, &newcomer)).await?;
    if joined {
        tracing::info!(tenant = %guest.tenant.id, %user, "joined");
    }
    Ok(Done {})
}

/// `false` for a repeat, which changes nothing.
fn join(tx: &mut Tx<'_>, now: UnixMillis, code: &str, newcomer: &Newcomer) -> Result<bool, Failure> {
    let user = newcomer.chain.user();
    if is_repeat(tx, user, newcomer)? {
        return Ok(false);
    }
    if !tx.redeem_invite(code, now)? {
        return Err(ErrorCode::InvalidInvite.into());
    }
    let new = NewUser {
        user,
        handle: newcomer.handle.as_str(),
        normalised_handle: newcomer.handle.as_str(),
        account_key: *newcomer.chain.account_key(),
        opaque_record: &newcomer.record,
    };
    match tx.create_user(new, now)? {
        CreateUser::Created => {}
        CreateUser::HandleTaken | CreateUser::IdTaken => return Err(ErrorCode::AlreadyExists.into()),
    }
    if !tx.add_device(newcomer.device, user, newcomer.device_key, now)? {
        return Err(ErrorCode::AlreadyExists.into());
    }
    if !tx.append_chain_entry(user, 0, &newcomer.entry)? {
        return Err(Failure::internal("a new user has a chain already"));
    }
    let objects = [*user.as_bytes(), *newcomer.device.as_bytes()];
    super::audit(tx, now, Actor::Anonymous, Op::JoinFinish, "ok", &objects)?;
    Ok(true)
}

/// The same first entry is there already: the answer was lost, the joining was not.
fn is_repeat(tx: &Tx<'_>, user: UserId, newcomer: &Newcomer) -> Result<bool, Failure> {
    let Some(known) = tx.user(user)? else { return Ok(false) };
    let same_entry = tx.chain(user, 0)?.first() == Some(&newcomer.entry);
    Ok(same_entry && known.handle == newcomer.handle.as_str())
}
