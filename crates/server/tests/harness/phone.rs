//! A person with one device: real keys, real OPAQUE, real MLS.

use super::{Server, line::Line};
use e2ee::{
    Changed, Created, Device, Entries, Group, Invitation, KeyPackageUse, Pending, Proposed, StorageFailure, Suite,
    Vouched, WriteSet,
};
use std::{cell::RefCell, collections::BTreeMap};
use trust::{Aad, DevicePublicKey, GroupPolicy, LeafIdentity};
use vault::{
    AccountKey, DeviceKey, Entropy,
    password::{Login, Registration},
};
use wire::{
    ConversationId, DeviceId, Entry, GroupId, MessageId, Refusal, TenantId, UserId, invite_link::InviteLink, request::*,
};
use zeroize::Zeroizing;

pub const PASSWORD: &str = "correct-pony-battery-9";

pub struct Random;

impl Entropy for Random {
    fn fill(&mut self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).unwrap();
    }
}

pub fn random<const N: usize>() -> [u8; N] {
    (&mut Random as &mut dyn Entropy).array()
}

#[derive(Default)]
struct Memory(RefCell<BTreeMap<Vec<u8>, Vec<u8>>>);

impl Entries for Memory {
    fn entry(&self, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StorageFailure> {
        Ok(self.0.borrow().get(key).cloned().map(Zeroizing::new))
    }
}

pub struct Phone {
    pub tenant: TenantId,
    pub tenant_name: String,
    pub user: UserId,
    pub device: DeviceId,
    pub handle: String,
    pub suite: Suite,
    pub account: AccountKey,
    pub key: DeviceKey,
    memory: Memory,
}

impl Phone {
    /// Joins by a fresh invite.
    pub async fn join(server: &Server, tenant: &str, handle: &str) -> Self {
        let invite = server.invite(tenant, 1, 60_000).await;
        Self::join_by(server, &invite, handle).await.unwrap()
    }

    pub async fn join_by(server: &Server, invite: &InviteLink, handle: &str) -> Result<Self, Refusal> {
        let (mut line, greeting) = Line::hello(server, &invite.tenant).await;
        let phone = Self::new(&greeting, &invite.tenant, handle);
        let finish = phone.register(&mut line, &invite.code).await?;
        line.call(&finish).await?;
        line.close().await;
        Ok(phone)
    }

    pub fn new(greeting: &Greeting, tenant_name: &str, handle: &str) -> Self {
        Self {
            tenant: greeting.tenant,
            tenant_name: tenant_name.into(),
            user: UserId::from_bytes(random()),
            device: DeviceId::from_bytes(random()),
            handle: handle.into(),
            suite: Suite::from_code(greeting.suite).unwrap(),
            account: AccountKey::generate(&mut Random),
            key: DeviceKey::generate(&mut Random),
            memory: Memory::default(),
        }
    }

    /// The first half of joining; the second is what is returned.
    pub async fn register(&self, line: &mut Line, code: &str) -> Result<JoinFinish, Refusal> {
        let (registration, request) = Registration::start(PASSWORD.as_bytes(), &mut Random).unwrap();
        let start = JoinStart { invite: code.into(), handle: self.handle.clone(), registration_request: request };
        let response = line.call(&start).await?.registration_response;
        let (upload, _) = registration.finish(PASSWORD.as_bytes(), &response, &mut Random).unwrap();
        Ok(JoinFinish {
            invite: code.into(),
            handle: self.handle.clone(),
            registration_upload: upload,
            chain_entry: self.account.open_chain(self.tenant, self.user, self.device, &self.key),
        })
    }

    pub async fn connect(&self, server: &Server) -> Line {
        let (mut line, greeting) = Line::hello(server, &self.tenant_name).await;
        line.call(&self.prove(&greeting)).await.unwrap();
        line
    }

    pub fn prove(&self, greeting: &Greeting) -> Authenticate {
        let signature = self.key.sign_login(&greeting.challenge, greeting.tenant, self.device);
        Authenticate { device: self.device, signature }
    }

    pub async fn log_in(&self, line: &mut Line, handle: &str, password: &str) -> Result<LoggedIn, Refusal> {
        let (login, ke1) = Login::start(password.as_bytes(), &mut Random).unwrap();
        let ke2 = line.call(&LoginStart { handle: handle.into(), ke1 }).await?.ke2;
        let ke3 = match login.finish(self.tenant, password.as_bytes(), &ke2, &mut Random) {
            Ok((ke3, _)) => ke3,
            Err(_) => vec![0; 64],
        };
        line.call(&LoginFinish { ke3 }).await
    }

    pub fn identity(&self) -> LeafIdentity {
        LeafIdentity { tenant: self.tenant, user: self.user, device: self.device }
    }

    pub fn key_package(&self, usage: KeyPackageUse) -> Vec<u8> {
        let now = mifeng_server::clock::now();
        let package = self.as_device(|device| device.key_package(self.suite, usage, now).unwrap());
        self.apply(&package.writes);
        package.bytes
    }

    pub async fn publish(&self, line: &mut Line, one_time: usize) -> KeyPackagesHeld {
        let one_time = (0..one_time).map(|_| self.key_package(KeyPackageUse::Once).into()).collect();
        let last_resort = Some(self.key_package(KeyPackageUse::LastResort).into());
        line.call(&PublishKeyPackages { one_time, last_resort }).await.unwrap()
    }

    pub fn create(&self, policy: &GroupPolicy, group: GroupId) -> CreateConversation {
        let now = mifeng_server::clock::now();
        let made: Changed<Created> = self.as_device(|device| device.create(self.suite, group, policy, now).unwrap());
        self.apply(&made.writes);
        let Created { group_info, tree } = made.output;
        CreateConversation { conversation: policy.conversation, group_info, tree }
    }

    /// Makes a commit, which is then pending.
    pub fn commit(&self, conversation: ConversationId, group: GroupId, proposed: &Proposed, seen: u64) -> Commit {
        let aad = aad(seen);
        let now = mifeng_server::clock::now();
        let made: Changed<Pending> =
            self.as_device(|device| self.load(device, group).commit(device, proposed, &aad, now, &trusting).unwrap());
        self.apply(&made.writes);
        let Pending { commit, group_info, welcome } = made.output;
        Commit { conversation, message_id: aad.message_id, commit, group_info, welcome }
    }

    /// Makes a group that is to take the place of another one, and asks nobody whether it may.
    pub fn succeed(&self, before: GroupId, next: GroupId, policy: &GroupPolicy, add: &[&Self]) -> Succeed {
        let add = add.iter().map(|phone| Phone::key_package(phone, KeyPackageUse::Once)).collect();
        let CreateConversation { conversation, .. } = self.create(policy, next);
        let first = self.commit(conversation, next, &Proposed { add, ..Proposed::default() }, 0);
        self.merge(next);
        let (tree, epoch) = self.as_device(|device| (self.load(device, next).tree().unwrap(), self.epoch(before)));
        let Commit { message_id, group_info, welcome, .. } = first;
        Succeed { conversation, message_id, predecessor: before, epoch, group_info, tree, welcome }
    }

    /// Follows a succession.
    pub fn follow(&self, before: GroupId, entry: &Entry, pending: &PendingWelcome, tree: &[u8]) {
        let (tenant, conversation, epoch) = (self.tenant, pending.conversation, pending.epoch);
        let invitation = Invitation { tenant, conversation, epoch, message: &pending.welcome, tree };
        let next = e2ee::group_of(&entry.payload).unwrap();
        let followed = self.as_device(|device| {
            device.follow(self.load(device, before), next, entry.sender, &invitation, &trusting).unwrap()
        });
        self.apply(&followed.writes);
    }

    pub fn policy(&self, group: GroupId) -> GroupPolicy {
        self.as_device(|device| self.load(device, group).policy().clone())
    }

    pub fn merge(&self, group: GroupId) {
        let merged = self.as_device(|device| self.load(device, group).merge_pending(device).unwrap());
        self.apply(&merged.writes);
    }

    pub fn discard(&self, group: GroupId) {
        let discarded = self.as_device(|device| self.load(device, group).discard_pending(device).unwrap());
        self.apply(&discarded.writes);
    }

    pub fn join_group(&self, pending: &PendingWelcome, tree: &[u8]) {
        let invitation = Invitation {
            tenant: self.tenant,
            conversation: pending.conversation,
            epoch: pending.epoch,
            message: &pending.welcome,
            tree,
        };
        let joined = self.as_device(|device| device.join(&invitation, &trusting).unwrap());
        self.apply(&joined.writes);
    }

    /// Comes in from outside: the commit to send.
    pub fn rejoin(&self, conversation: ConversationId, current: &CurrentGroup, tree: &[u8]) -> Commit {
        let invitation =
            Invitation { tenant: self.tenant, conversation, epoch: current.epoch, message: &current.group_info, tree };
        let aad = aad(0);
        let rejoined = self.as_device(|device| device.rejoin(&invitation, None, &aad, &trusting).unwrap());
        self.apply(&rejoined.writes);
        let e2ee::Rejoined { commit, group_info, .. } = rejoined.output;
        Commit { conversation, message_id: aad.message_id, commit, group_info, welcome: None }
    }

    pub fn seal(&self, conversation: ConversationId, group: GroupId, text: &[u8]) -> Send {
        let aad = aad(0);
        let (sealed, epoch) = self.as_device(|device| {
            let loaded = self.load(device, group);
            let epoch = loaded.epoch();
            (loaded.seal(device, &aad, text).unwrap(), epoch)
        });
        self.apply(&sealed.writes);
        Send { conversation, epoch, message_id: aad.message_id, payload: sealed.output }
    }

    /// A GroupInfo of the epoch in which this device is.
    pub fn group_info(&self, group: GroupId) -> Vec<u8> {
        self.as_device(|device| self.load(device, group).group_info(device).unwrap())
    }

    /// Says that this device leaves.
    pub fn leave(&self, conversation: ConversationId, group: GroupId) -> Propose {
        let aad = aad(0);
        let (left, epoch) = self.as_device(|device| {
            let loaded = self.load(device, group);
            let epoch = loaded.epoch();
            (loaded.leave(device, &aad).unwrap(), epoch)
        });
        self.apply(&left.writes);
        Propose { conversation, epoch, message_id: aad.message_id, payload: left.output }
    }

    pub fn open(&self, group: GroupId, entry: &Entry) -> e2ee::Opened {
        let opened = self.as_device(|device| self.load(device, group).open(device, entry, &trusting).unwrap());
        self.apply(&opened.writes);
        opened.output
    }

    pub fn epoch(&self, group: GroupId) -> u64 {
        self.as_device(|device| self.load(device, group).epoch())
    }

    fn load(&self, device: &Device<'_>, group: GroupId) -> Group {
        Group::load(device, group).unwrap().unwrap()
    }

    fn as_device<T>(&self, act: impl FnOnce(&Device<'_>) -> T) -> T {
        act(&Device::new(self.identity(), &self.key, &self.memory))
    }

    fn apply(&self, writes: &WriteSet) {
        let mut memory = self.memory.0.borrow_mut();
        for (key, value) in writes.iter() {
            match value {
                Some(value) => drop(memory.insert(key.to_vec(), value.to_vec())),
                None => drop(memory.remove(key)),
            }
        }
    }
}

fn aad(seen_seq: u64) -> Aad {
    Aad { version: 1, message_id: MessageId::from_bytes(random()), commitment: [0; 32], seen_seq, seen_hash: [0; 32] }
}

/// The chains are not what these tests are about; the server asks its own.
fn trusting(_: &LeafIdentity, _: &DevicePublicKey) -> Vouched {
    Vouched::Yes
}

/// Two phones in a direct conversation, both joined.
pub struct Pair {
    pub alice: Phone,
    pub bob: Phone,
    pub to_alice: Line,
    pub to_bob: Line,
    pub conversation: ConversationId,
    pub group: GroupId,
}

impl Pair {
    pub async fn meet(server: &Server, tenant: &str) -> Self {
        let alice = Phone::join(server, tenant, "alice").await;
        let bob = Phone::join(server, tenant, "bob").await;
        let (mut to_alice, mut to_bob) = (alice.connect(server).await, bob.connect(server).await);
        bob.publish(&mut to_bob, 2).await;
        let found = to_alice.call(&FindUser { handle: "BOB".into() }).await.unwrap();
        assert_eq!((found.user, found.entries.len()), (bob.user, 1));
        let (conversation, group) = (ConversationId::from_bytes(random()), GroupId::from_bytes(random()));
        let policy = GroupPolicy::direct(alice.tenant, conversation, alice.user, bob.user);
        to_alice.call(&alice.create(&policy, group)).await.unwrap();
        let claim = ClaimKeyPackages { user: bob.user, devices: vec![], idempotency_key: random() };
        let claimed = to_alice.call(&claim).await.unwrap();
        let add = claimed.packages.into_iter().map(|package| package.bytes).collect();
        let commit = alice.commit(conversation, group, &Proposed { add, ..Proposed::default() }, 0);
        assert_eq!(to_alice.call(&commit).await.unwrap().seq, 1);
        alice.merge(group);
        let wire::Event::WelcomeWaiting(waiting) = to_bob.event().await else { panic!("no welcome") };
        assert_eq!(waiting.conversation, conversation);
        let pair = Self { alice, bob, to_alice, to_bob, conversation, group };
        pair.welcomed().await
    }

    async fn welcomed(mut self) -> Self {
        let welcomes = self.to_bob.call(&FetchWelcomes {}).await.unwrap().welcomes;
        let [pending] = welcomes.as_slice() else { panic!("{} welcomes", welcomes.len()) };
        let (conversation, epoch) = (pending.conversation, pending.epoch);
        let fetch = FetchTree { conversation, epoch, group: Some(pending.group) };
        let tree = self.to_bob.call(&fetch).await.unwrap().tree;
        self.bob.join_group(pending, &tree);
        let accept = AcceptWelcome { conversation: pending.conversation, seq: pending.seq };
        self.to_bob.call(&accept).await.unwrap();
        self
    }
}
