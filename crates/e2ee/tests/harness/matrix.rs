//! Every kind of commit by every role: one rogue member, one honest witness, and what the policy says.

use super::rogue::{self, Builder, Rogue};
use super::{GROUP, Phone, Recorded, World, direct, group, user};
use e2ee::{Created, KeyPackageUse, Proposed, Suite};
use openmls::prelude::{
    CredentialWithKey, Extension, Extensions, ExternalSender, GroupContext, KeyPackage, LeafNodeParameters,
    RequiredCapabilitiesExtension, UnknownExtension,
};
use trust::{GroupPolicy, Kind, WhoMayAdd};

/// Calls `judge` for each case of the matrix: what is tried, whether it is allowed, and the commit. Where OpenMLS itself
/// would not make a forbidden commit there is nothing to judge; the number of cases judged is returned.
pub fn run(suite: Suite, judge: &dyn Fn(&World, &Case, &str, bool, &Recorded)) -> usize {
    let setups = [(false, group()), (true, group()), (false, direct()), (false, open_group()), (true, open_group())];
    setups
        .into_iter()
        .map(|(admin, policy)| {
            let world = World::new(suite);
            Case::new(&world, admin, policy).run(&world, judge)
        })
        .sum()
}

pub fn open_group() -> GroupPolicy {
    GroupPolicy { who_may_add: WhoMayAdd::Members, ..group() }
}

pub struct Case {
    pub rogue: Rogue,
    pub witness: Phone,
    pub policy: GroupPolicy,
    pub admin: bool,
    /// How the group came about, for the server.
    pub created: Created,
    pub history: Vec<Recorded>,
}

type Build<'a> = Box<dyn FnOnce(Builder<'_>) -> Builder<'_> + 'a>;

impl Case {
    /// The rogue is Bob and Alice the witness; or the rogue is a second device of Alice, the admin, and Bob the witness.
    pub fn new(world: &World, admin: bool, policy: GroupPolicy) -> Self {
        let (alice, bob) = (world.phone(b'a', 1), world.phone(b'b', 1));
        let mut rogue = Rogue::new(&if admin { world.phone(b'a', 2) } else { world.phone(b'b', 1) });
        let created = world.create(&alice, &policy);
        let rogue_package = rogue.key_package(world.suite.ciphersuite(), |builder| builder);
        let mut add = vec![rogue_package];
        if admin {
            add.push(bob.key_package(world.suite, KeyPackageUse::Once));
        }
        let recorded = world.commit(&alice, &Proposed { add, ..Proposed::default() }).unwrap();
        rogue.join(&recorded);
        if admin {
            bob.join(world, &recorded).unwrap();
        }
        let witness = if admin { bob } else { alice };
        Self { rogue, witness, policy, admin, created, history: vec![recorded] }
    }

    fn run(mut self, world: &World, judge: &dyn Fn(&World, &Self, &str, bool, &Recorded)) -> usize {
        let mut judged = 0;
        let cases = self.leaves(world).into_iter().chain(self.contexts()).chain(self.paths());
        for (what, allowed, build) in cases.collect::<Vec<_>>() {
            match self.rogue.commit(world, build) {
                Ok(recorded) => {
                    judge(world, &self, what, allowed, &recorded);
                    judged += 1;
                }
                Err(refused) => assert!(!allowed, "{what}: {refused}"),
            }
        }
        let identity = self.rogue.identity;
        let recorded = self.rogue.commit_with_key(world, &rogue::other_key(), &identity);
        judge(world, &self, "take another key", false, &recorded);
        judged + 1
    }

    /// Adds and removes.
    fn leaves(&mut self, world: &World) -> Vec<(&'static str, bool, Build<'static>)> {
        let is_group = self.policy.kind == Kind::Group;
        let may_add = is_group && (self.admin || self.policy.who_may_add == WhoMayAdd::Members);
        let name = self.rogue.identity.user.as_bytes()[0];
        let witness = self.rogue.index_of(&self.witness.identity);
        let package = |name, device| {
            let phone = world.phone(name, device);
            rogue::package(&phone.key_package(world.suite, KeyPackageUse::Once))
        };
        let odd = |name, device| {
            let rogue = Rogue::new(&world.phone(name, device));
            let extension = Extension::Unknown(0xf000, UnknownExtension(b"my name".to_vec()));
            let bytes = rogue.key_package(world.suite.ciphersuite(), |builder| {
                let mut extensions = roster::reading::capabilities().extensions().to_vec();
                extensions.push(extension.extension_type());
                let capabilities = openmls::prelude::Capabilities::builder()
                    .versions(roster::reading::capabilities().versions().to_vec())
                    .ciphersuites(Suite::ALL.map(Suite::ciphersuite).to_vec())
                    .extensions(extensions)
                    .proposals(roster::reading::capabilities().proposals().to_vec())
                    .credentials(roster::reading::capabilities().credentials().to_vec())
                    .build();
                builder
                    .leaf_node_capabilities(capabilities)
                    .leaf_node_extensions(Extensions::single(extension).unwrap())
            });
            rogue::package(&bytes)
        };
        let adds = |package: KeyPackage| -> Build<'static> { Box::new(|commit| commit.propose_adds([package])) };
        let (without_path, named) = (package(name, 6), odd(name, 7));
        vec![
            ("renew", true, Box::new(|commit| commit)),
            ("add an own device", true, adds(package(name, 5))),
            ("add a stranger", may_add, adds(package(b's', 1))),
            ("add a device with a name", false, adds(named)),
            (
                "commit without a path",
                false,
                Box::new(|commit| commit.force_self_update(false).propose_adds([without_path])),
            ),
            (
                "remove another's device",
                is_group && self.admin,
                Box::new(move |commit| commit.propose_removals([witness])),
            ),
        ]
    }

    /// New group contexts.
    fn contexts(&self) -> Vec<(&'static str, bool, Build<'static>)> {
        let with = |change: &dyn Fn(&mut GroupPolicy)| {
            let mut policy = self.policy.clone();
            change(&mut policy);
            rogue::extensions_unchecked(&policy)
        };
        let ours: Vec<Extension> = rogue::extensions_unchecked(&self.policy).iter().cloned().collect();
        // Devices without SelfRemove could then be added, and nobody could leave by it.
        let requires_less: Vec<Extension> = ours
            .iter()
            .map(|extension| match extension {
                Extension::RequiredCapabilities(required) => Extension::RequiredCapabilities(
                    RequiredCapabilitiesExtension::new(required.extension_types(), &[], required.credential_types()),
                ),
                other => other.clone(),
            })
            .collect();
        let mut senders = ours.clone();
        let CredentialWithKey { credential, signature_key } = self.rogue.credential();
        senders.push(Extension::ExternalSenders(vec![ExternalSender::new(signature_key, credential)]));
        let is_admin = self.policy.kind == Kind::Group && self.admin;
        let other_adders = |policy: &mut GroupPolicy| {
            policy.who_may_add =
                if policy.who_may_add == WhoMayAdd::Admins { WhoMayAdd::Members } else { WhoMayAdd::Admins };
        };
        let successor = |policy: &mut GroupPolicy| (policy.ordinal, policy.predecessor) = (1, Some(GROUP));
        let absent_admin = |policy: &mut GroupPolicy| {
            (policy.kind, policy.users, policy.admins) = (Kind::Group, vec![], vec![user(b'z')]);
        };
        let cases: Vec<(&'static str, bool, Extensions<GroupContext>)> = vec![
            ("change who may add", is_admin, with(&other_adders)),
            ("promote", is_admin, with(&|policy| policy.admins = vec![user(b'a'), user(b'b')])),
            (
                "another conversation",
                false,
                with(&|policy| policy.conversation = wire::ConversationId::from_bytes([1; 16])),
            ),
            ("another tenant", false, with(&|policy| policy.tenant = wire::TenantId::from_bytes([1; 16]))),
            ("another ordinal", false, with(&successor)),
            ("another version", false, with(&|policy| policy.version = 2)),
            ("an invalid policy", false, with(&|policy| (policy.users, policy.admins) = (vec![user(b'z')], vec![]))),
            ("an admin who is no member", false, with(&absent_admin)),
            ("no policy", false, Extensions::from_vec(ours.iter().take(1).cloned().collect()).unwrap()),
            ("requires less of a device", false, Extensions::from_vec(requires_less).unwrap()),
            ("external senders", false, Extensions::from_vec(senders).unwrap()),
        ];
        let build = |extensions: Extensions<GroupContext>| -> Build<'static> {
            Box::new(|commit| commit.propose_group_context_extensions(extensions).unwrap())
        };
        cases.into_iter().map(|(what, allowed, extensions)| (what, allowed, build(extensions))).collect()
    }

    /// What the rogue's own leaf becomes.
    fn paths(&self) -> Vec<(&'static str, bool, Build<'static>)> {
        let signature_key = self.rogue.credential().signature_key;
        let credential = roster::reading::credential(&self.witness.identity);
        let as_witness = LeafNodeParameters::builder()
            .with_credential_with_key(CredentialWithKey { credential, signature_key })
            .build();
        vec![("take another's credential", false, Box::new(|commit| commit.leaf_node_parameters(as_witness)))]
    }
}
