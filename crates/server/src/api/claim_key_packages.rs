//! `claim_key_packages`: one package of each of a user's devices, each handed out once (ATTACKS A8).

use crate::gateway::{failure::Failure, state::Session};
use store::{Actor, Claim, Claimed, Tx};
use wire::{
    ErrorCode, Op, limits,
    request::{ClaimKeyPackages, ClaimedKeyPackages},
};

pub(crate) async fn handle(session: &Session, claim: ClaimKeyPackages) -> Result<ClaimedKeyPackages, Failure> {
    if claim.devices.len() > limits::USER_MAX_DEVICES {
        return Err(ErrorCode::Malformed.into());
    }
    let (now, device, claimer) = (session.clock.now(), session.device, session.user);
    let claimed = session.tenant.store.write(move |tx: &mut Tx<'_>| {
        if tx.user(claim.user)?.is_none() {
            return Err(Failure::from(ErrorCode::NotFound));
        }
        let asked = Claim { claimer, device, target: claim.user, devices: &claim.devices, key: claim.idempotency_key };
        let claimed = tx.claim_key_packages(asked, now)?;
        super::audit(
            tx,
            now,
            Actor::Device(device),
            Op::ClaimKeyPackages,
            outcome(&claimed),
            &[*claim.user.as_bytes()],
        )?;
        Ok(claimed)
    });
    match claimed.await? {
        Claimed::Packages(packages) if packages.is_empty() => Err(ErrorCode::NoKeyPackage.into()),
        Claimed::Packages(packages) => Ok(ClaimedKeyPackages { packages }),
        Claimed::QuotaExceeded => Err(ErrorCode::QuotaExceeded.into()),
        Claimed::KeyReused => Err(ErrorCode::KeyReused.into()),
    }
}

const fn outcome(claimed: &Claimed) -> &'static str {
    match claimed {
        Claimed::Packages(_) => "ok",
        Claimed::QuotaExceeded => ErrorCode::QuotaExceeded.as_str(),
        Claimed::KeyReused => ErrorCode::KeyReused.as_str(),
    }
}
