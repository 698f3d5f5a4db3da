//! The chain of groups: making the group that takes another's place, and following it
//! (`docs/decisions/0060-successor-groups.md`).

use crate::device::{Device, Provider};
use crate::group::{Changed, Group};
use crate::join::{Invitation, Joined};
use crate::{Error, Refused};
use openmls::prelude::{KeyPackage, MlsMessageBodyIn, OpenMlsProvider};
use roster::reading::{self, Suite};
use roster::{Vouch, key_package};
use trust::{Aad, SuccessionViolation, registry};
use wire::sabotage::{Defence, stands};
use wire::{DeviceId, GroupId, UnixMillis};

/// The group that is to take another's place, in its first epoch: everybody who could be added is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Succession {
    /// `MLSMessage` holding its GroupInfo, without the tree.
    pub group_info: Vec<u8>,
    /// Its ratchet tree.
    pub tree: Vec<u8>,
    /// `MLSMessage` holding the Welcome, unless this device is alone.
    pub welcome: Option<Vec<u8>>,
}

/// The group that a GroupInfo is of. Nothing of it is checked.
///
/// # Errors
/// [`Refused::Malformed`] when it is none.
pub fn group_of(group_info: &[u8]) -> Result<GroupId, Refused> {
    match reading::message(group_info)? {
        MlsMessageBodyIn::GroupInfo(info) => reading::group_id(info.group_id()),
        _ => Err(Refused::Malformed),
    }
}

impl Group {
    /// Makes the group that is to take the place of this one, with the devices of these key packages in it. Both are stored
    /// from then on: when the new one is recorded, [forget](Group::forget) this one; if it is refused, forget that one.
    ///
    /// # Errors
    /// [`Error::Refused`] when a key package is unusable, or the new group may not take the place of this one;
    /// [`Error::NeedsIdentities`].
    #[expect(clippy::too_many_arguments, reason = "what a new group is made of")]
    pub fn succeed(
        &self,
        device: &Device<'_>,
        suite: Suite,
        id: GroupId,
        add: &[Vec<u8>],
        aad: &Aad,
        now: UnixMillis,
        vouch: Vouch<'_>,
    ) -> Result<Changed<Succession>, Error> {
        let policy = self.policy.successor(self.id);
        let open = |bytes: &Vec<u8>| key_package::open(bytes, now, suite).map(|(package, _)| package);
        let added = add.iter().map(open).collect::<Result<Vec<KeyPackage>, _>>()?;
        device.change(|provider| {
            let mut next = device.found(provider, suite, id, &policy, now)?;
            let first = next.stage(device, provider, added, Vec::new(), None, aad)?;
            let (_, next) = next.merge_own(provider)?;
            reading::judge_succession(self.mls.public_group(), next.mls.public_group(), &device.identity(), vouch)?;
            let (group_info, welcome) = (first.group_info, first.welcome);
            Ok((Succession { group_info, tree: next.tree()?, welcome }, Some(next)))
        })
    }

    /// Gives way to a group further on in its chain: of the same conversation under the same protection, and of no weaker
    /// suite.
    pub(crate) fn give_way(mut self, provider: &Provider<'_>, next: &Self) -> Result<(), Error> {
        if !next.policy.descends_from(&self.policy) && stands(Defence::Succession) {
            return Err(refused(SuccessionViolation::Policy));
        }
        if !registry::is_as_strong(next.suite.code(), self.suite.code()) && stands(Defence::Succession) {
            return Err(refused(SuccessionViolation::Suite));
        }
        Ok(self.mls.delete(provider.storage())?)
    }
}

impl Device<'_> {
    /// Follows a succession: joins the new group by its Welcome, and lets go of the old one, if the new one may take its
    /// place. The log entry says which group it is and who made it.
    ///
    /// # Errors
    /// As [`Device::join`]; [`Refused::Succession`] when it may not take its place, [`Error::Envelope`] when it is not the
    /// one that the entry names. Nothing has changed then.
    pub fn follow(
        &self,
        mut before: Group,
        next: GroupId,
        maker: DeviceId,
        invitation: &Invitation<'_>,
        vouch: Vouch<'_>,
    ) -> Result<Changed<Joined>, Error> {
        self.change(|provider| {
            let (joined, group) = self.enter(provider, invitation, vouch)?;
            let inviter = joined.inviter.identity;
            if (group.id, inviter.device) != (next, maker) && stands(Defence::Succession) {
                return Err(Error::Envelope);
            }
            reading::judge_succession(before.mls.public_group(), group.mls.public_group(), &inviter, vouch)?;
            before.mls.delete(provider.storage())?;
            Ok((joined, Some(group)))
        })
    }
}

fn refused(violation: SuccessionViolation) -> Error {
    Error::Refused(Refused::Succession(violation))
}
