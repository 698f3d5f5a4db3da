//! What our groups have in common: the cipher suites, the capabilities of every leaf, the two extensions of the group
//! context (`docs/decisions/0002-mls.md`, `0003-group-policy.md`).

use crate::Refused;
use openmls::prelude::{
    Capabilities, Ciphersuite, CredentialType, Extension, ExtensionType, Extensions, GroupContext, GroupId, LeafNode,
    ProposalType, ProtocolVersion, RequiredCapabilitiesExtension, UnknownExtension,
};
use trust::GroupPolicy;
use trust::registry::{GROUP_POLICY_EXTENSION, SUITE_CLASSICAL, SUITE_XWING};
use wire::sabotage::{Defence, stands};

/// A cipher suite that Mifeng speaks; there is no other (RFC 9420 §17.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suite {
    /// X-Wing hybrid post-quantum KEM, AES-256-GCM, SHA-384, Ed25519: the default.
    XWing,
    /// X25519, AES-128-GCM, SHA-256, Ed25519: by tenant policy.
    Classical,
}

impl Suite {
    /// Every suite.
    pub const ALL: [Self; 2] = [Self::XWing, Self::Classical];

    /// Its code point.
    pub const fn code(self) -> u16 {
        match self {
            Self::XWing => SUITE_XWING,
            Self::Classical => SUITE_CLASSICAL,
        }
    }

    /// The suite with this code point, if it is one of ours.
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.code() == code)
    }

    /// As OpenMLS calls it.
    pub const fn ciphersuite(self) -> Ciphersuite {
        match self {
            Self::XWing => Ciphersuite::MLS_128_MLKEM768X25519_AES256GCM_SHA384_Ed25519,
            Self::Classical => Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519,
        }
    }

    /// The suite that OpenMLS calls so.
    ///
    /// # Errors
    /// [`Refused::Suite`] when it is not one of ours.
    pub fn of(ciphersuite: Ciphersuite) -> Result<Self, Refused> {
        Self::from_code(ciphersuite.into()).ok_or(Refused::Suite)
    }
}

const POLICY: ExtensionType = ExtensionType::Unknown(GROUP_POLICY_EXTENSION);

/// What every leaf of ours says that it can do (RFC 9420 §7.2). It names every suite, so that a conversation can move to
/// another one.
pub fn capabilities() -> Capabilities {
    Capabilities::builder()
        .versions(vec![ProtocolVersion::Mls10])
        .ciphersuites(Suite::ALL.map(Suite::ciphersuite).to_vec())
        .extensions(vec![POLICY, ExtensionType::LastResort])
        .proposals(vec![ProposalType::SelfRemove])
        .credentials(vec![CredentialType::Basic])
        .build()
}

fn required() -> RequiredCapabilitiesExtension {
    RequiredCapabilitiesExtension::new(&[POLICY], &[ProposalType::SelfRemove], &[CredentialType::Basic])
}

/// The extensions of a group context with this policy.
///
/// # Errors
/// [`Refused::Policy`] when the policy contradicts itself.
pub fn extensions(policy: &GroupPolicy) -> Result<Extensions<GroupContext>, Refused> {
    policy.validate()?;
    let content = UnknownExtension(policy.to_bytes());
    let list = vec![Extension::RequiredCapabilities(required()), Extension::Unknown(GROUP_POLICY_EXTENSION, content)];
    Extensions::from_vec(list).map_err(Refused::invalid)
}

/// The policy in a group context. It and the required capabilities are all that a context of ours may hold: external
/// senders, for one, would let a server propose.
///
/// # Errors
/// [`Refused::Context`] or [`Refused::Policy`].
pub fn policy(extensions: &Extensions<GroupContext>) -> Result<GroupPolicy, Refused> {
    let content = extensions.unknown(GROUP_POLICY_EXTENSION).ok_or(Refused::Context)?;
    let has_no_more = extensions.iter().count() == 2 && extensions.required_capabilities() == Some(&required());
    if stands(Defence::GroupContext) && !has_no_more {
        return Err(Refused::Context);
    }
    Ok(GroupPolicy::from_bytes(&content.0)?)
}

/// The group's id, 16 bytes.
///
/// # Errors
/// [`Refused::Context`] when it has another length.
pub fn group_id(id: &GroupId) -> Result<wire::GroupId, Refused> {
    wire::GroupId::try_from(id.as_slice()).map_err(|_| Refused::Context)
}

/// Whether a leaf says nothing beyond what every leaf of ours says: no extensions, and the capabilities that our groups
/// require. A leaf extension would be a place for names, which the server must not see.
pub fn leaf_is_plain(node: &LeafNode) -> bool {
    let capabilities = node.capabilities();
    node.extensions().iter().next().is_none()
        && capabilities.extensions().contains(&POLICY)
        && capabilities.proposals().contains(&ProposalType::SelfRemove)
        && capabilities.credentials().contains(&CredentialType::Basic)
}
