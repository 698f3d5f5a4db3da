//! A group that takes the place of another one, as the server checks it.

use crate::reading::{self, LeafView, Strictness};
use crate::{PublicTree, Refused, Vouch};
use openmls::messages::group_info::VerifiableGroupInfo;
use openmls::prelude::{LeafNodeIndex, MlsMessageBodyIn, Verifiable as _};
use trust::{LeafIdentity, SuccessionViolation};

impl PublicTree {
    /// Opens the group that is to take the place of this one: in its first epoch, in which its maker has added everybody
    /// else.
    ///
    /// The GroupInfo is checked by its signature, which is the maker's; the tree by its hash; the leaves as those of any
    /// group; the rest by [`trust::succession::check`]. The Welcome is counted: what is in it, only those who get it can see,
    /// and whom it does not let in rejoins.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn successor(
        &self,
        group_info: &[u8],
        tree: &[u8],
        welcome: Option<&[u8]>,
        maker: &LeafIdentity,
        vouch: Vouch<'_>,
    ) -> Result<Self, Refused> {
        let (next, members) = self.followed_by(group_info, tree, maker, vouch, Strictness::Recording)?;
        next.check_welcomed(welcome, members - 1)?;
        Ok(next)
    }

    /// The same for one that was recorded once and lost: its Welcome was lost with it, and members of it may be gone by now.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn supplied_successor(
        &self,
        group_info: &[u8],
        tree: &[u8],
        maker: &LeafIdentity,
        vouch: Vouch<'_>,
    ) -> Result<Self, Refused> {
        self.followed_by(group_info, tree, maker, vouch, Strictness::Following).map(|(next, _)| next)
    }

    fn followed_by(
        &self,
        group_info: &[u8],
        tree: &[u8],
        maker: &LeafIdentity,
        vouch: Vouch<'_>,
        strictness: Strictness,
    ) -> Result<(Self, usize), Refused> {
        let (next, info) = Self::open(group_info, tree)?;
        let members = next.members()?;
        let plain =
            |leaf: &LeafView| next.group.leaf(LeafNodeIndex::new(leaf.index)).is_some_and(reading::leaf_is_plain);
        if next.epoch() != 1 || !members.iter().all(plain) {
            return Err(Refused::Context);
        }
        reading::judge_succession(&self.group, &next.group, maker, vouch)?;
        reading::admit(&members, vouch, strictness)?;
        next.check_signer(&info, &members, maker)?;
        Ok((next, members.len()))
    }

    /// The signature is valid for the leaf that the GroupInfo names: this must be the maker's.
    fn check_signer(
        &self,
        info: &VerifiableGroupInfo,
        members: &[LeafView],
        maker: &LeafIdentity,
    ) -> Result<(), Refused> {
        let leaf = members.iter().find(|leaf| leaf.identity == *maker).ok_or(SuccessionViolation::Maker)?;
        let by_maker = VerifiableGroupInfo::new(
            info.group_context().clone(),
            info.extensions().clone(),
            self.group.confirmation_tag().clone(),
            LeafNodeIndex::new(leaf.index),
            info.signature().clone(),
        );
        if by_maker == *info { Ok(()) } else { Err(SuccessionViolation::Maker.into()) }
    }

    fn check_welcomed(&self, welcome: Option<&[u8]>, others: usize) -> Result<(), Refused> {
        let welcomed = match welcome.map(reading::message).transpose()? {
            None => 0,
            Some(MlsMessageBodyIn::Welcome(welcome)) if welcome.ciphersuite() == self.suite().ciphersuite() => {
                welcome.secrets().len()
            }
            Some(_) => return Err(Refused::Welcome),
        };
        if welcomed == others && welcome.is_some() != (others == 0) { Ok(()) } else { Err(Refused::Welcome) }
    }
}
