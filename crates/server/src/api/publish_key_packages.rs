//! `publish_key_packages`: what others need to add the device to a group.

use super::membership;
use crate::gateway::{failure::Failure, state::Session};
use roster::{KeyPackageFault, Refused, Suite, key_package};
use store::{Actor, NewKeyPackage};
use trust::DevicePublicKey;
use wire::{
    DeviceId, ErrorCode, Op, UnixMillis, limits,
    request::{KeyPackagesHeld, PublishKeyPackages},
};

pub(crate) async fn handle(session: &Session, publish: PublishKeyPackages) -> Result<KeyPackagesHeld, Failure> {
    if publish.one_time.len() > limits::KEY_PACKAGES_MAX {
        return Err(ErrorCode::QuotaExceeded.into());
    }
    let suite =
        Suite::from_code(session.tenant.suite).ok_or_else(|| Failure::internal("a tenant has no suite of ours"))?;
    let (now, device) = (session.clock.now(), session.device);
    let known = session.tenant.store.read(move |tx| Ok::<_, Failure>(tx.device(device)?)).await?;
    let key = known.ok_or_else(|| Failure::internal("a session's device does not exist"))?.key;
    let owner = Owner { session: (session.tenant.id, session.user, device), key, suite, now };
    let checked = membership::blocking(move || check_all(&owner, &publish)).await?;
    let (one_time, last_resort) = checked.map_err(|error| membership::refused(&error))?;
    let held = session.tenant.store.write(move |tx| {
        if tx.tenant()?.is_none_or(|tenant| tenant.suite != suite.code()) {
            // It was changed while these were on their way.
            return Err(ErrorCode::UnsupportedSuite.into());
        }
        tx.publish_key_packages(device, &one_time, now)?;
        if let Some(last_resort) = &last_resort {
            tx.publish_last_resort(device, last_resort, now)?;
        }
        super::audit(tx, now, Actor::Device(device), Op::PublishKeyPackages, "ok", &[])?;
        Ok::<_, Failure>(tx.key_packages_held(device, now)?)
    });
    held.await
}

/// Whose packages they must be.
struct Owner {
    session: (wire::TenantId, wire::UserId, DeviceId),
    key: DevicePublicKey,
    suite: Suite,
    now: UnixMillis,
}

type Checked = (Vec<NewKeyPackage>, Option<NewKeyPackage>);

fn check_all(owner: &Owner, publish: &PublishKeyPackages) -> Result<Checked, Refused> {
    let one_time = publish.one_time.iter().map(|bytes| check(owner, bytes, false)).collect::<Result<_, _>>()?;
    let last_resort = publish.last_resort.as_ref().map(|bytes| check(owner, bytes, true)).transpose()?;
    Ok((one_time, last_resort))
}

fn check(owner: &Owner, bytes: &[u8], last_resort: bool) -> Result<NewKeyPackage, Refused> {
    let facts = key_package::check(bytes, owner.now, owner.suite)?;
    let identity = facts.identity;
    let is_own = (identity.tenant, identity.user, identity.device) == owner.session && facts.key == owner.key;
    if !is_own || facts.last_resort != last_resort {
        return Err(KeyPackageFault::Credential.into());
    }
    let not_after = facts.not_after_s.saturating_mul(1_000);
    Ok(NewKeyPackage { reference: facts.reference, package: bytes.to_vec(), not_after })
}
