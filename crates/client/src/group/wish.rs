//! What a person wants of a group's membership, and what is to be done about it now. A wish waits in the outbox; when its
//! turn comes it is held against the group as it is then, so that whatever others did in between is taken into account.

use e2ee::Proposed;
use minicbor::{Decode, Encode};
use trust::{GroupPolicy, LeafIdentity, WhoMayAdd};
use wire::request::ClaimedKeyPackage;
use wire::{DeviceId, UserId};

/// A wish, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Wish {
    /// Add every device of these people.
    #[n(0)]
    Add {
        /// Who, and with which key packages.
        #[n(0)]
        claims: Vec<Claim>,
        /// The conversation's name is told again when it is done: those who join later have not heard it.
        #[n(1)]
        announce: bool,
    },
    /// Remove every device of these people.
    #[n(1)]
    Remove {
        /// Who.
        #[n(0)]
        users: Vec<UserId>,
    },
    /// Make somebody an admin, or no longer.
    #[n(2)]
    Admin {
        /// Who.
        #[n(0)]
        user: UserId,
        /// Whether they are to be one.
        #[n(1)]
        admin: bool,
    },
    /// Leave.
    #[n(3)]
    Leave,
    /// Remove devices that do not speak for anybody any more. Every member may.
    #[n(4)]
    Expel {
        /// Which.
        #[n(0)]
        devices: Vec<DeviceId>,
    },
    /// Add the person's other devices. Every member may.
    #[n(5)]
    Siblings {
        /// With which key packages.
        #[n(0)]
        claim: Claim,
    },
}

/// Key packages of one person.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Claim {
    /// Whose.
    #[n(0)]
    pub(crate) user: UserId,
    /// Idempotency key of the request.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) key: [u8; 16],
    /// What was claimed; empty when the person cannot be added now, absent when it was not asked yet.
    #[n(2)]
    pub(crate) packages: Option<Vec<ClaimedKeyPackage>>,
}

/// Why a wish cannot be fulfilled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// Only admins do this.
    #[error("only an admin of the group may do this")]
    NotAdmin,
    /// A group keeps an admin.
    #[error("this is the only admin of the group: make somebody else an admin first")]
    LastAdmin,
    /// The person is not in the group.
    #[error("this person is not a member of the group")]
    NotInGroup,
    /// Nobody removes themselves: they leave.
    #[error("you cannot remove yourself: leave instead")]
    Oneself,
}

/// What is to be done about a wish.
#[derive(Debug, Clone)]
pub(crate) enum Plan {
    /// Nothing: it is so already.
    Done,
    /// Commit this.
    Commit(Proposed),
    /// Say that this device leaves; somebody else commits it.
    Propose,
    /// Nobody else is there: forget the group.
    Forget,
}

/// The group as a wish meets it.
#[derive(Debug, Clone)]
pub(crate) struct Situation {
    pub(crate) members: Vec<LeafIdentity>,
    pub(crate) policy: GroupPolicy,
    pub(crate) own: UserId,
    pub(crate) device: DeviceId,
}

impl Wish {
    /// The first person whose key packages were not asked for.
    pub(crate) fn unclaimed(&self) -> Option<&Claim> {
        match self {
            Self::Add { claims, .. } => claims.iter().find(|claim| claim.packages.is_none()),
            Self::Siblings { claim } => Some(claim).filter(|claim| claim.packages.is_none()),
            _ => None,
        }
    }

    /// Keeps what was claimed for a person.
    pub(crate) fn claimed(&mut self, user: UserId, packages: Vec<ClaimedKeyPackage>) {
        let of_user = self.claims_mut().iter_mut().filter(|claim| claim.user == user);
        of_user.for_each(|claim| claim.packages = Some(packages.clone()));
    }

    /// Whose key packages it needs.
    pub(crate) fn claims_mut(&mut self) -> &mut [Claim] {
        match self {
            Self::Add { claims, .. } => claims,
            Self::Siblings { claim } => std::slice::from_mut(claim),
            _ => &mut [],
        }
    }

    /// What is to be done now.
    ///
    /// # Errors
    /// [`Obstacle`].
    pub(crate) fn plan(&self, now: &Situation) -> Result<Plan, Obstacle> {
        match self {
            Self::Add { claims, .. } => now.add(claims),
            Self::Remove { users } => now.remove(users),
            Self::Admin { user, admin } => now.set_admin(*user, *admin),
            Self::Leave => now.leave(),
            Self::Expel { devices } => Ok(now.expel(devices)),
            Self::Siblings { claim } => Ok(now.add_packages(std::slice::from_ref(claim))),
        }
    }
}

impl Situation {
    fn add(&self, claims: &[Claim]) -> Result<Plan, Obstacle> {
        if !self.is_admin(self.own) && self.policy.who_may_add == WhoMayAdd::Admins {
            return Err(Obstacle::NotAdmin);
        }
        Ok(self.add_packages(claims))
    }

    fn add_packages(&self, claims: &[Claim]) -> Plan {
        let is_new = |package: &&ClaimedKeyPackage| self.members.iter().all(|leaf| leaf.device != package.device);
        let packages = claims.iter().filter_map(|claim| claim.packages.as_ref()).flatten();
        let add: Vec<_> = packages.filter(is_new).map(|package| package.bytes.clone()).collect();
        if add.is_empty() {
            return Plan::Done;
        }
        // An admin who is no member would be one again as soon as somebody adds them.
        let policy = self.policy_with(|_| {}, &[]);
        Plan::Commit(Proposed { add, policy, ..Proposed::default() })
    }

    fn remove(&self, users: &[UserId]) -> Result<Plan, Obstacle> {
        if users.contains(&self.own) {
            return Err(Obstacle::Oneself);
        }
        self.admins_only()?;
        let remove: Vec<_> = self.members.iter().filter(|leaf| users.contains(&leaf.user)).copied().collect();
        if remove.is_empty() {
            return Ok(Plan::Done);
        }
        let policy = self.policy_with(|_| {}, users);
        Ok(Plan::Commit(Proposed { remove, policy, ..Proposed::default() }))
    }

    /// An admin whose last leaf goes is no admin any more, as far as this member may say so.
    fn expel(&self, devices: &[DeviceId]) -> Plan {
        let (remove, stay): (Vec<_>, Vec<_>) =
            self.members.iter().copied().partition(|leaf| devices.contains(&leaf.device));
        if remove.is_empty() {
            return Plan::Done;
        }
        let leaving: Vec<UserId> =
            remove.iter().map(|leaf| leaf.user).filter(|user| stay.iter().all(|leaf| leaf.user != *user)).collect();
        let policy = self.policy_with(|_| {}, &leaving);
        Plan::Commit(Proposed { remove, policy, ..Proposed::default() })
    }

    fn set_admin(&self, user: UserId, admin: bool) -> Result<Plan, Obstacle> {
        self.admins_only()?;
        if !self.is_member(user) {
            return Err(Obstacle::NotInGroup);
        }
        if self.is_admin(user) == admin {
            return Ok(Plan::Done);
        }
        if !admin && !self.has_other_admin(user) {
            return Err(Obstacle::LastAdmin);
        }
        Ok(Plan::Commit(Proposed {
            policy: self.policy_with(|admins| set(admins, user, admin), &[]),
            ..Proposed::default()
        }))
    }

    /// An admin steps down first, so that of two who leave at once the second finds out that it is the last. Then the person
    /// takes their other devices out: a leaver's proposal is for its own leaf only.
    fn leave(&self) -> Result<Plan, Obstacle> {
        if !self.is_member(self.own) {
            return Ok(Plan::Done);
        }
        let is_alone = self.members.iter().all(|leaf| leaf.user == self.own);
        if !is_alone && self.is_admin(self.own) {
            return self.set_admin(self.own, false);
        }
        let is_sibling = |leaf: &&LeafIdentity| leaf.user == self.own && leaf.device != self.device;
        let remove: Vec<_> = self.members.iter().filter(is_sibling).copied().collect();
        Ok(match (remove.is_empty(), is_alone) {
            (false, _) => Plan::Commit(Proposed { remove, ..Proposed::default() }),
            (true, true) => Plan::Forget,
            (true, false) => Plan::Propose,
        })
    }

    /// The policy after an edit of its admins, without those who are not, or no longer, members. `None`: it stays.
    fn policy_with(&self, edit: impl FnOnce(&mut Vec<UserId>), leaving: &[UserId]) -> Option<GroupPolicy> {
        if !self.is_admin(self.own) {
            return None;
        }
        let mut next = self.policy.clone();
        edit(&mut next.admins);
        next.admins.retain(|admin| self.is_member(*admin) && !leaving.contains(admin));
        (next != self.policy).then_some(next)
    }

    fn admins_only(&self) -> Result<(), Obstacle> {
        if self.is_admin(self.own) { Ok(()) } else { Err(Obstacle::NotAdmin) }
    }

    fn is_admin(&self, user: UserId) -> bool {
        self.policy.admins.contains(&user)
    }

    fn is_member(&self, user: UserId) -> bool {
        self.members.iter().any(|leaf| leaf.user == user)
    }

    fn has_other_admin(&self, than: UserId) -> bool {
        self.policy.admins.iter().any(|admin| *admin != than && self.is_member(*admin))
    }
}

/// The list stays sorted, as the policy wants it.
fn set(admins: &mut Vec<UserId>, user: UserId, admin: bool) {
    match (admins.binary_search(&user), admin) {
        (Err(place), true) => admins.insert(place, user),
        (Ok(place), false) => drop(admins.remove(place)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use trust::{Change, CommitView, Committer};
    use wire::{ConversationId, DeviceId, TenantId};

    const TENANT: TenantId = TenantId::from_bytes([9; 16]);
    const ALICE: UserId = user(1);
    const BOB: UserId = user(2);
    const CAROL: UserId = user(3);

    const fn user(number: u8) -> UserId {
        UserId::from_bytes([number; 16])
    }

    fn leaf(user: UserId) -> LeafIdentity {
        LeafIdentity { tenant: TENANT, user, device: DeviceId::from_bytes(*user.as_bytes()) }
    }

    fn situation(own: UserId, members: &[UserId], admins: &[UserId]) -> Situation {
        let mut policy = GroupPolicy::group(TENANT, ConversationId::from_bytes([8; 16]), own);
        policy.admins = admins.to_vec();
        Situation { members: members.iter().map(|user| leaf(*user)).collect(), policy, own, device: leaf(own).device }
    }

    fn add(users: &[UserId]) -> Wish {
        let package = |user: &UserId| ClaimedKeyPackage { device: leaf(*user).device, bytes: user.as_bytes().to_vec() };
        let claim = |user: &UserId| Claim { user: *user, key: [0; 16], packages: Some(vec![package(user)]) };
        Wish::Add { claims: users.iter().map(claim).collect(), announce: true }
    }

    fn commit(plan: Result<Plan, Obstacle>) -> Proposed {
        match plan {
            Ok(Plan::Commit(proposed)) => proposed,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn who_was_added_meanwhile_is_not_added_again() {
        let now = situation(ALICE, &[ALICE, BOB], &[ALICE]);
        assert!(matches!(add(&[BOB]).plan(&now), Ok(Plan::Done)));
        assert_eq!(commit(add(&[BOB, CAROL]).plan(&now)).add, [CAROL.as_bytes().to_vec()]);
        assert!(matches!(Wish::Remove { users: vec![CAROL] }.plan(&now), Ok(Plan::Done)));
    }

    #[test]
    fn only_admins_change_the_membership() {
        let now = situation(BOB, &[ALICE, BOB], &[ALICE]);
        let wishes = [add(&[CAROL]), Wish::Remove { users: vec![ALICE] }, Wish::Admin { user: BOB, admin: true }];
        for wish in wishes {
            assert_eq!(wish.plan(&now).unwrap_err(), Obstacle::NotAdmin, "{wish:?}");
        }
    }

    #[test]
    fn the_last_admin_stays_one() {
        let alone = situation(ALICE, &[ALICE, BOB], &[ALICE]);
        assert_eq!(Wish::Admin { user: ALICE, admin: false }.plan(&alone).unwrap_err(), Obstacle::LastAdmin);
        assert_eq!(Wish::Leave.plan(&alone).unwrap_err(), Obstacle::LastAdmin);
        // An admin who is not a member any more is none that counts.
        let left = situation(ALICE, &[ALICE, BOB], &[ALICE, CAROL]);
        assert_eq!(Wish::Leave.plan(&left).unwrap_err(), Obstacle::LastAdmin);
    }

    #[test]
    fn who_leaves_steps_down_first_then_proposes_and_the_last_forgets() {
        let admin = situation(ALICE, &[ALICE, BOB], &[ALICE, BOB]);
        assert_eq!(commit(Wish::Leave.plan(&admin)).policy.unwrap().admins, [BOB]);
        assert!(matches!(Wish::Leave.plan(&situation(ALICE, &[ALICE, BOB], &[BOB])), Ok(Plan::Propose)));
        assert!(matches!(Wish::Leave.plan(&situation(ALICE, &[ALICE], &[ALICE])), Ok(Plan::Forget)));
    }

    #[test]
    fn who_leaves_takes_their_other_devices_out_first() {
        let second = LeafIdentity { device: DeviceId::from_bytes([77; 16]), ..leaf(ALICE) };
        let mut admin = situation(ALICE, &[ALICE, BOB], &[ALICE, BOB]);
        admin.members.push(second);
        assert_eq!(commit(Wish::Leave.plan(&admin)).policy.unwrap().admins, [BOB]);
        for others in [&[ALICE, BOB][..], &[ALICE]] {
            let mut now = situation(ALICE, others, &[BOB]);
            now.members.push(second);
            let proposed = commit(Wish::Leave.plan(&now));
            assert_eq!((proposed.remove, proposed.policy), (vec![second], None));
        }
    }

    #[test]
    fn a_removed_admin_does_not_stay_in_the_policy() {
        let now = situation(ALICE, &[ALICE, BOB], &[ALICE, BOB]);
        let proposed = commit(Wish::Remove { users: vec![BOB] }.plan(&now));
        assert_eq!((proposed.remove, proposed.policy.unwrap().admins), (vec![leaf(BOB)], vec![ALICE]));
        assert_eq!(Wish::Remove { users: vec![ALICE] }.plan(&now).unwrap_err(), Obstacle::Oneself);
    }

    #[test]
    fn b10_every_member_expels_a_device_that_is_gone_and_an_admin_who_is_gone_is_none() {
        let now = situation(ALICE, &[ALICE, BOB, CAROL], &[ALICE, BOB]);
        let expel = Wish::Expel { devices: vec![leaf(BOB).device] };
        let proposed = commit(expel.plan(&now));
        assert_eq!((proposed.remove, proposed.policy.unwrap().admins), (vec![leaf(BOB)], vec![ALICE]));
        let by_carol = commit(expel.plan(&Situation { own: CAROL, ..now }));
        assert_eq!((by_carol.remove, by_carol.policy), (vec![leaf(BOB)], None), "she is no admin");
        let second = LeafIdentity { device: DeviceId::from_bytes([77; 16]), ..leaf(BOB) };
        let mut with_second = situation(ALICE, &[ALICE, BOB], &[ALICE, BOB]);
        with_second.members.push(second);
        assert_eq!(commit(expel.plan(&with_second)).policy, None, "Bob has another device");
        assert!(matches!(expel.plan(&situation(ALICE, &[ALICE], &[ALICE])), Ok(Plan::Done)));
    }

    #[test]
    fn a_wish_returns_from_its_encoding() {
        let unclaimed = Claim { user: BOB, key: [4; 16], packages: None };
        for wish in [
            add(&[BOB, CAROL]),
            Wish::Add { claims: vec![unclaimed], announce: false },
            Wish::Remove { users: vec![BOB] },
            Wish::Admin { user: BOB, admin: true },
            Wish::Leave,
            Wish::Expel { devices: vec![leaf(BOB).device] },
            Wish::Siblings { claim: Claim { user: BOB, key: [4; 16], packages: None } },
        ] {
            assert_eq!(wire::decode::<Wish>(&wire::encode(&wish)), Ok(wish));
        }
    }

    proptest! {
        /// Whatever is planned, the policy allows: a plan that the server refuses would be tried for ever.
        #[test]
        fn every_plan_is_allowed(
            own in 0u8..5, members in proptest::collection::btree_set(0u8..5, 1..5),
            admins in proptest::collection::btree_set(0u8..5, 1..5), kind in 0u8..3, target in 0u8..5, flag: bool,
        ) {
            let users = |numbers: std::collections::BTreeSet<u8>| numbers.into_iter().map(user).collect::<Vec<_>>();
            let now = situation(user(own), &users(members), &users(admins));
            prop_assume!(now.is_member(now.own));
            let wish = match kind {
                0 => add(&[user(target)]),
                1 => Wish::Remove { users: vec![user(target)] },
                _ => Wish::Admin { user: user(target), admin: flag },
            };
            if let Ok(Plan::Commit(proposed)) = wish.plan(&now) {
                let mut changes: Vec<Change> = proposed.remove.iter().copied().map(Change::Remove).collect();
                changes.extend(proposed.add.iter().map(|_| Change::Add(leaf(user(target)))));
                changes.extend(proposed.policy.map(Change::Policy));
                let committer = Committer::Member(leaf(now.own));
                let view = CommitView { committer, changes: &changes, members: &now.members };
                prop_assert_eq!(now.policy.check(&view, |_| false), Ok(()));
            }
        }
    }
}
