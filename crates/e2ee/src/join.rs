//! The ways into a group: making it, a Welcome, an external commit.

use crate::device::{Device, Provider, bytes};
use crate::group::{Changed, Group, mls_id};
use crate::storage::Failed;
use crate::{Error, Refused, config};
use openmls::messages::group_info::VerifiableGroupInfo;
use openmls::prelude::{
    CommitMessageBundle, JoinBuilder, LeafNodeIndex, LeafNodeParameters, MlsGroup, MlsMessageBodyIn, OpenMlsProvider,
    ProcessedWelcome, PublicGroup, RatchetTreeIn, Welcome, WelcomeError,
};
use roster::Vouch;
use roster::reading::{self, LeafView, Strictness, Suite};
use tls_codec::DeserializeBytes;
use trust::{Aad, GroupPolicy, Kind, LeafIdentity, PolicyViolation};
use wire::sabotage::{Defence, stands};
use wire::{ConversationId, GroupId, TenantId, UnixMillis, limits};

/// What the server needs to know of a new group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// `MLSMessage` holding the GroupInfo of epoch 0, without the tree.
    pub group_info: Vec<u8>,
    /// The ratchet tree of epoch 0.
    pub tree: Vec<u8>,
}

/// Where the server says that a Welcome or a GroupInfo leads. The group must say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invitation<'a> {
    /// The tenant.
    pub tenant: TenantId,
    /// The conversation.
    pub conversation: ConversationId,
    /// The epoch: the one that the Welcome's commit began, or the current one.
    pub epoch: u64,
    /// `MLSMessage` holding the Welcome, or the GroupInfo.
    pub message: &'a [u8],
    /// The ratchet tree of that epoch.
    pub tree: &'a [u8],
}

/// A Welcome that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Who added this device. Whether the person wants to be added by them is not MLS's to say.
    pub inviter: LeafView,
    /// Members that are revoked or whose users have left: remove them next.
    pub gone: Vec<LeafIdentity>,
}

/// An external commit, already merged: the group stands in the epoch that it begins. It is to be sent, and until it is
/// recorded no log entry may be opened; if it is refused, the group is joined anew from what the server has then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejoined {
    /// `MLSMessage` holding a `PublicMessage` commit.
    pub commit: Vec<u8>,
    /// `MLSMessage` holding the GroupInfo of the epoch that it begins, without the tree.
    pub group_info: Vec<u8>,
    /// Members that are revoked or whose users have left: remove them next.
    pub gone: Vec<LeafIdentity>,
}

impl Device<'_> {
    /// Makes a group with this device as its only member. The id is random.
    ///
    /// # Errors
    /// [`Error::Refused`] when the policy contradicts itself; [`Error::AlreadyMember`] when the id is taken.
    pub fn create(
        &self,
        suite: Suite,
        id: GroupId,
        policy: &GroupPolicy,
        now: UnixMillis,
    ) -> Result<Changed<Created>, Error> {
        self.change(|provider| {
            let group = self.found(provider, suite, id, policy, now)?;
            let info = group.mls.export_group_info(self.crypto(), &self.signer(), false).map_err(Error::invalid)?;
            Ok((Created { group_info: bytes(&info)?, tree: group.tree()? }, Some(group)))
        })
    }

    pub(crate) fn found(
        &self,
        provider: &Provider<'_>,
        suite: Suite,
        id: GroupId,
        policy: &GroupPolicy,
        now: UnixMillis,
    ) -> Result<Group, Error> {
        let (join, extensions) = (config::join(), reading::extensions(policy)?);
        if MlsGroup::load(provider.storage(), &mls_id(id))?.is_some() {
            return Err(Error::AlreadyMember);
        }
        let mls = MlsGroup::builder()
            .with_group_id(mls_id(id))
            .ciphersuite(suite.ciphersuite())
            .with_wire_format_policy(join.wire_format_policy())
            .padding_size(config::PADDING_BYTES)
            .max_past_epochs(0)
            .number_of_resumption_psks(0)
            .use_ratchet_tree_extension(false)
            .sender_ratchet_configuration(config::ratchets())
            .lifetime(config::lifetime(now))
            .with_capabilities(reading::capabilities())
            .with_group_context_extensions(extensions)
            .build(provider, &self.signer(), self.credential())
            .map_err(Error::invalid)?;
        Group::of(mls)
    }

    /// Joins by a Welcome. Checked are: the suite, the tree's hash and signatures, that tenant, conversation and epoch are
    /// those of the invitation, the policy, that every leaf is one of ours and vouched for.
    ///
    /// A key package that was handed out once is deleted with this. Lifetimes of members' leaves are not compared with the
    /// clock: a member need not have committed lately.
    ///
    /// # Errors
    /// [`Error::NoKeyPackage`], [`Error::AlreadyMember`], [`Error::NeedsIdentities`], [`Error::Refused`].
    pub fn join(&self, invitation: &Invitation<'_>, vouch: Vouch<'_>) -> Result<Changed<Joined>, Error> {
        self.change(|provider| {
            let (joined, group) = self.enter(provider, invitation, vouch)?;
            Ok((joined, Some(group)))
        })
    }

    /// As [`Device::join`], for a device that follows a group whose place another one has taken: the new one must be further on
    /// in its chain, as for [`Device::rejoin`].
    ///
    /// # Errors
    /// As [`Device::join`]; [`Refused::Succession`].
    pub fn join_after(
        &self,
        before: Group,
        invitation: &Invitation<'_>,
        vouch: Vouch<'_>,
    ) -> Result<Changed<Joined>, Error> {
        self.change(|provider| {
            let (joined, group) = self.enter(provider, invitation, vouch)?;
            before.give_way(provider, &group)?;
            Ok((joined, Some(group)))
        })
    }

    pub(crate) fn enter(
        &self,
        provider: &Provider<'_>,
        invitation: &Invitation<'_>,
        vouch: Vouch<'_>,
    ) -> Result<(Joined, Group), Error> {
        let MlsMessageBodyIn::Welcome(welcome) = reading::message(invitation.message)? else {
            return Err(Refused::Malformed.into());
        };
        Suite::of(welcome.ciphersuite())?;
        let tree = ratchet_tree(invitation.tree)?;
        let processed = process_welcome(provider, welcome)?;
        let id = reading::group_id(processed.unverified_group_info().group_id())?;
        drop_older(provider, id, processed.unverified_group_info().epoch().as_u64())?;
        let staged = JoinBuilder::new(provider, processed)
            .with_ratchet_tree(tree)
            .skip_lifetime_validation()
            .build()
            .map_err(welcome_error)?;
        let sender = staged.welcome_sender_index();
        let group = Group::of(staged.into_group(provider).map_err(welcome_error)?)?;
        let inviter = group.leaf(sender)?;
        let gone = self.check_joined(&group, invitation, invitation.epoch, vouch)?;
        Ok((Joined { inviter, gone }, group))
    }

    /// Joins again by an external commit, which removes the device's old leaf if it has one. What is stored of the group
    /// is replaced. `before` is the group that the device has followed so far: another one must be further on in its chain,
    /// and takes its place.
    ///
    /// # Errors
    /// [`Error::NeedsIdentities`], [`Error::Refused`].
    pub fn rejoin(
        &self,
        invitation: &Invitation<'_>,
        before: Option<Group>,
        aad: &Aad,
        vouch: Vouch<'_>,
    ) -> Result<Changed<Rejoined>, Error> {
        let MlsMessageBodyIn::GroupInfo(info) = reading::message(invitation.message)? else {
            return Err(Refused::Malformed.into());
        };
        check_outside(&info, 1)?;
        Suite::of(info.ciphersuite())?;
        let id = reading::group_id(info.group_id())?;
        if info.epoch().as_u64() != invitation.epoch {
            return Err(Error::Envelope);
        }
        let tree = ratchet_tree(invitation.tree)?;
        self.change(|provider| {
            if let Some(mut old) = MlsGroup::load(provider.storage(), &mls_id(id))? {
                old.delete(provider.storage())?;
            }
            let (mls, bundle) = self.commit_externally(provider, info, tree, aad)?;
            let group = Group::of(mls)?;
            let gone = self.check_joined(&group, invitation, invitation.epoch.saturating_add(1), vouch)?;
            if let Some(before) = before.filter(|before| before.id != group.id) {
                before.give_way(provider, &group)?;
            }
            let (commit, _, group_info) = bundle.into_messages();
            let group_info = bytes(&group_info.ok_or(Refused::GroupInfo)?)?;
            Ok((Rejoined { commit: bytes(&commit)?, group_info, gone }, Some(group)))
        })
    }

    fn commit_externally(
        &self,
        provider: &Provider<'_>,
        info: VerifiableGroupInfo,
        tree: RatchetTreeIn,
        aad: &Aad,
    ) -> Result<(MlsGroup, CommitMessageBundle), Error> {
        let leaf = LeafNodeParameters::builder().with_capabilities(reading::capabilities()).build();
        MlsGroup::external_commit_builder()
            .with_ratchet_tree(tree)
            .with_config(config::join())
            .with_aad(wire::encode(aad))
            .skip_lifetime_validation()
            .build_group(provider, info, self.credential())
            .map_err(Error::invalid)?
            .leaf_node_parameters(leaf)
            .load_psks(provider.storage())
            .map_err(Error::invalid)?
            .create_group_info(true)
            .build(provider.rand(), provider.crypto(), &self.signer(), |_| true)
            .map_err(Error::invalid)?
            .finalize(provider)
            .map_err(Error::invalid)
    }

    fn check_joined(
        &self,
        group: &Group,
        invitation: &Invitation<'_>,
        epoch: u64,
        vouch: Vouch<'_>,
    ) -> Result<Vec<LeafIdentity>, Error> {
        let (policy, members) = (group.policy(), group.members()?);
        let said = (policy.tenant, policy.conversation, group.epoch());
        if said != (invitation.tenant, invitation.conversation, epoch) && stands(Defence::InvitationAgrees) {
            return Err(Error::Envelope);
        }
        check_members(group.mls.public_group(), policy, &members)?;
        let own = members.iter().find(|leaf| leaf.index == group.mls.own_leaf_index().u32());
        if own.is_none_or(|leaf| leaf.identity != self.identity()) {
            return Err(Refused::Context.into());
        }
        let others: Vec<LeafView> = members.into_iter().filter(|leaf| leaf.identity != self.identity()).collect();
        Ok(reading::admit(&others, vouch, Strictness::Following)?)
    }
}

/// A device that was removed and added again without seeing it still holds the old group. A Welcome into an epoch that is
/// not ahead of it is a fork or a replay.
fn drop_older(provider: &Provider<'_>, id: GroupId, epoch: u64) -> Result<(), Error> {
    let Some(mut old) = MlsGroup::load(provider.storage(), &mls_id(id))? else { return Ok(()) };
    if old.epoch().as_u64() >= epoch {
        return Err(Error::AlreadyMember);
    }
    Ok(old.delete(provider.storage())?)
}

/// Whether such a group could have come about under its policy.
fn check_members(group: &PublicGroup, policy: &GroupPolicy, members: &[LeafView]) -> Result<(), Error> {
    let mut devices: Vec<_> = members.iter().map(|leaf| leaf.identity.device).collect();
    devices.sort_unstable();
    devices.dedup();
    let belongs = |leaf: &LeafView| {
        let user = policy.kind != Kind::Direct || policy.users.contains(&leaf.identity.user);
        let plain = group.leaf(LeafNodeIndex::new(leaf.index)).is_some_and(reading::leaf_is_plain);
        user && plain && leaf.identity.tenant == policy.tenant
    };
    if members.len() > limits::GROUP_MAX_DEVICES {
        return Err(Refused::Policy(PolicyViolation::TooLarge).into());
    }
    let fits = devices.len() == members.len() && members.iter().all(belongs);
    if fits { Ok(()) } else { Err(Refused::Context.into()) }
}

fn process_welcome(provider: &Provider<'_>, welcome: Welcome) -> Result<ProcessedWelcome, Error> {
    let processed = ProcessedWelcome::new_from_welcome(provider, &config::join(), welcome).map_err(welcome_error)?;
    check_outside(processed.unverified_group_info(), 0)?;
    if processed.psks().is_empty() { Ok(processed) } else { Err(Refused::Policy(PolicyViolation::Other).into()) }
}

/// Outside its group context a GroupInfo of ours has nothing: in a Welcome, not even the external key. A tree in it would
/// be taken instead of the one that was fetched.
fn check_outside(info: &VerifiableGroupInfo, external_keys: usize) -> Result<(), Error> {
    let extensions = info.extensions();
    let keys = usize::from(extensions.external_pub().is_some());
    let plain = keys == external_keys && extensions.iter().count() == keys;
    if plain { Ok(()) } else { Err(Refused::GroupInfo.into()) }
}

fn ratchet_tree(bytes: &[u8]) -> Result<RatchetTreeIn, Error> {
    RatchetTreeIn::tls_deserialize_exact_bytes(bytes).map_err(|_| Refused::Malformed.into())
}

fn welcome_error(error: WelcomeError<Failed>) -> Error {
    match error {
        WelcomeError::NoMatchingKeyPackage => Error::NoKeyPackage,
        WelcomeError::GroupAlreadyExists => Error::AlreadyMember,
        WelcomeError::StorageError(failure) => failure.into(),
        cause => Error::invalid(cause),
    }
}
