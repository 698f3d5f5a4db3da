//! Several devices of one person at the server: linking, revoking, closing, and who tries to get in between.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's help fails the test")]

mod harness;

use harness::{
    Server,
    line::{Gone, Line},
    phone::{PASSWORD, Pair, Phone, Random, random},
};
use mifeng_server::admin::{CloseUser, Suite};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use trust::{Action, AuthorityPublicKey, ChainError, DeviceChain, DeviceState};
use vault::AccountKey;
use vault::link::{LinkKeys, LinkOffer, LinkPackage, LinkSecret};
use wire::{DeviceId, ErrorCode, Event, GroupId, MessageId, Refusal, TenantId, UserId, request::*};

/// Revoked means out, on the whole server, within so long.
const PROMISE: Duration = Duration::from_secs(5);

async fn acme() -> Server {
    let server = Server::start().await;
    server.tenant("acme", Suite::Classical).await;
    server
}

fn code(refused: Result<impl std::fmt::Debug, Refusal>) -> ErrorCode {
    refused.unwrap_err().code().unwrap()
}

/// A new device that has proved the password and left its offer.
struct Newcomer {
    phone: Phone,
    line: Line,
    keys: LinkKeys,
    sealed: Vec<u8>,
}

impl Newcomer {
    async fn offer(server: &Server, of: &Phone) -> Self {
        let (mut line, greeting) = Line::hello(server, &of.tenant_name).await;
        of.log_in(&mut line, &of.handle, PASSWORD).await.unwrap();
        let mut phone = Phone::new(&greeting, &of.tenant_name, &of.handle);
        phone.user = of.user;
        phone.account = AccountKey::from_sealed_storage(&of.account.to_sealed_storage());
        let own = line.call(&FetchOwnChain {}).await.unwrap();
        let chain = DeviceChain::verify(of.tenant, of.user, &own.entries, None).unwrap();
        let keys = LinkSecret::generate(&mut Random).keys(of.tenant, of.user).unwrap();
        let offer = LinkOffer::new("laptop".into(), phone.key.offer_itself(&chain, phone.device));
        let sealed = keys.seal_offer(&offer, &mut Random).unwrap();
        line.call(&OfferLink { lookup: keys.lookup().into(), offer: sealed.clone() }).await.unwrap();
        Self { phone, line, keys, sealed }
    }

    fn lookup(&self) -> LinkLookup {
        self.keys.lookup().into()
    }

    /// What the confirming device answers.
    async fn answer(&self, by: &Phone, line: &mut Line) -> AnswerLink {
        let fetched = line.call(&FetchOffer { lookup: self.lookup() }).await.unwrap();
        let offer = self.keys.open_offer(&fetched.offer).unwrap();
        let chain = chain(by, line).await;
        let entry = by.account.accept(&chain, &offer.entry).unwrap();
        let package = LinkPackage::new(by.handle.clone(), vec![entry.clone()], None);
        let answer = self.keys.seal_answer(&fetched.offer, &by.account, &[], &package, &mut Random).unwrap();
        AnswerLink { lookup: self.lookup(), entry, answer }
    }
}

async fn chain(of: &Phone, line: &mut Line) -> DeviceChain {
    let fetched = line.call(&FetchChain { user: of.user, skip: 0 }).await.unwrap();
    DeviceChain::verify(of.tenant, of.user, &fetched.entries, None).unwrap()
}

async fn linked(server: &Server, of: &Phone, line: &mut Line) -> Phone {
    let newcomer = Newcomer::offer(server, of).await;
    let answer = newcomer.answer(of, line).await;
    line.call(&answer).await.unwrap();
    newcomer.phone
}

async fn revocation(of: &Phone, line: &mut Line, device: DeviceId) -> RevokeDevice {
    let chain = chain(of, line).await;
    RevokeDevice { entry: of.account.continue_chain(&chain, Action::Revoke { device }, None) }
}

async fn changed(line: &mut Line) -> (UserId, u32) {
    match line.event().await {
        Event::ChainChanged(changed) => (changed.user, changed.len),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_device_is_linked_and_everybody_concerned_is_told() {
    let server = acme().await;
    let mut pair = Pair::meet(&server, "acme").await;
    let mut newcomer = Newcomer::offer(&server, &pair.alice).await;
    let waiting = newcomer.line.call(&CollectLink { lookup: newcomer.lookup() }).await.unwrap();
    assert_eq!((waiting.answer, waiting.chain_len), (None, 1));

    let answer = newcomer.answer(&pair.alice, &mut pair.to_alice).await;
    pair.to_alice.call(&answer).await.unwrap();
    assert_eq!(changed(&mut pair.to_alice).await, (pair.alice.user, 2));
    assert_eq!(changed(&mut pair.to_bob).await, (pair.alice.user, 2));
    let collected = newcomer.line.call(&CollectLink { lookup: newcomer.lookup() }).await.unwrap();
    let key = newcomer.keys.open_answer(&newcomer.sealed, &collected.answer.unwrap()).unwrap().account;
    assert_eq!(key.public(), pair.alice.account.public());

    let mut laptop = newcomer.phone.connect(&server).await;
    let gone = newcomer.line.call(&CollectLink { lookup: newcomer.lookup() }).await;
    assert_eq!(code(gone), ErrorCode::NotFound, "what was left for it goes with its first login");
    assert_eq!(laptop.call(&FetchJoinable {}).await.unwrap().conversations, [pair.conversation]);
    assert_eq!(pair.to_bob.call(&FetchChainChanges { after: 0 }).await.unwrap().users, [pair.alice.user]);
    // Whoever starts something with the person from now on reaches both devices.
    for (phone, line) in [(&pair.alice, &mut pair.to_alice), (&newcomer.phone, &mut laptop)] {
        phone.publish(line, 1).await;
    }
    let claim = ClaimKeyPackages { user: pair.alice.user, devices: vec![], idempotency_key: random() };
    assert_eq!(pair.to_bob.call(&claim).await.unwrap().packages.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a22_an_offer_is_found_by_its_own_users_devices_only_and_answered_once() {
    let server = acme().await;
    server.tenant("evil", Suite::Classical).await;
    let (alice, bob) = (Phone::join(&server, "acme", "alice").await, Phone::join(&server, "acme", "bob").await);
    let mallory = Phone::join(&server, "evil", "alice").await;
    let mut to_alice = alice.connect(&server).await;
    let newcomer = Newcomer::offer(&server, &alice).await;
    let lookup = newcomer.lookup();
    for other in [&bob, &mallory] {
        let mut line = other.connect(&server).await;
        assert_eq!(code(line.call(&FetchOffer { lookup }).await), ErrorCode::NotFound, "{}", other.user);
        let (mut person, _) = Line::hello(&server, &other.tenant_name).await;
        other.log_in(&mut person, &other.handle, PASSWORD).await.unwrap();
        assert_eq!(code(person.call(&CollectLink { lookup }).await), ErrorCode::NotFound);
        // An offer of one's own under the same id changes nothing of the other's.
        person.call(&OfferLink { lookup, offer: b"swapped".to_vec() }).await.unwrap();
    }
    let answer = newcomer.answer(&alice, &mut to_alice).await;
    to_alice.call(&answer).await.unwrap();
    to_alice.call(&answer).await.unwrap();
    assert_eq!(chain(&alice, &mut to_alice).await.head().len, 2, "a replay adds nothing");

    let again = Newcomer::offer(&server, &alice).await.answer(&alice, &mut to_alice).await;
    let elsewhere = AnswerLink { lookup, ..again.clone() };
    assert_eq!(code(to_alice.call(&elsewhere).await), ErrorCode::AlreadyExists, "a second device by the same code");
    let unknown = AnswerLink { lookup: random().into(), ..again };
    assert_eq!(code(to_alice.call(&unknown).await), ErrorCode::NotFound, "without an offer");
    assert_eq!(chain(&alice, &mut to_alice).await.head().len, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a22_an_expired_offer_links_nothing() {
    let server = acme().await;
    let alice = Phone::join(&server, "acme", "alice").await;
    let mut to_alice = alice.connect(&server).await;
    let mut newcomer = Newcomer::offer(&server, &alice).await;
    let answer = newcomer.answer(&alice, &mut to_alice).await;
    let store = server.node().database.tenant(alice.tenant);
    let late = mifeng_server::clock::now() + rules::link::OFFER_LIFE_MS;
    assert_eq!(store.write(move |tx| tx.expire_links(late)).await.unwrap(), 1);
    assert_eq!(code(to_alice.call(&answer).await), ErrorCode::NotFound);
    let collect = CollectLink { lookup: newcomer.lookup() };
    assert_eq!(code(newcomer.line.call(&collect).await), ErrorCode::NotFound);
    assert_eq!(chain(&alice, &mut to_alice).await.head().len, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a1_nobody_but_the_account_key_adds_or_revokes() {
    let server = acme().await;
    let (alice, bob) = (Phone::join(&server, "acme", "alice").await, Phone::join(&server, "acme", "bob").await);
    let (mut to_alice, mut to_bob) = (alice.connect(&server).await, bob.connect(&server).await);
    let newcomer = Newcomer::offer(&server, &alice).await;
    let good = newcomer.answer(&alice, &mut to_alice).await;
    let chain_now = chain(&alice, &mut to_alice).await;

    // A stolen session of Alice's without her account key.
    let action = Action::Add { device: newcomer.phone.device, device_key: newcomer.phone.key.public() };
    let forged = bob.account.continue_chain(&chain_now, action, Some(&newcomer.phone.key));
    let forged = AnswerLink { entry: forged, ..good.clone() };
    assert_eq!(code(to_alice.call(&forged).await), ErrorCode::InvalidSignature, "another account's signature");
    let revoke = revocation(&alice, &mut to_alice, alice.device).await;
    let wrong_door = AnswerLink { entry: revoke.entry.clone(), ..good.clone() };
    assert_eq!(code(to_alice.call(&wrong_door).await), ErrorCode::Forbidden, "a revocation as a link");
    let add = RevokeDevice { entry: good.entry.clone() };
    assert_eq!(code(to_alice.call(&add).await), ErrorCode::Forbidden, "a link as a revocation");
    let closing = alice.account.continue_chain(&chain_now, Action::Close, None);
    assert_eq!(code(to_alice.call(&RevokeDevice { entry: closing }).await), ErrorCode::InvalidSignature);
    assert_eq!(code(to_bob.call(&good).await), ErrorCode::InvalidSignature, "for another user's chain");
    assert_eq!(code(to_bob.call(&revoke).await), ErrorCode::InvalidSignature);
    assert_eq!(chain(&alice, &mut to_alice).await.head().len, 1);
    to_alice.call(&good).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_a_revoked_device_is_out_at_once_and_for_good() {
    let server = acme().await;
    let mut pair = Pair::meet(&server, "acme").await;
    let laptop = linked(&server, &pair.alice, &mut pair.to_alice).await;
    let mut to_laptop = laptop.connect(&server).await;
    laptop.publish(&mut to_laptop, 2).await;
    let revoke = revocation(&pair.alice, &mut pair.to_alice, laptop.device).await;

    let start = Instant::now();
    pair.to_alice.call(&revoke).await.unwrap();
    assert_eq!(to_laptop.gone().await, Gone(Some(4003)));
    assert!(start.elapsed() < PROMISE, "{:?}", start.elapsed());

    let (mut line, greeting) = Line::hello(&server, "acme").await;
    assert_eq!(code(line.call(&laptop.prove(&greeting)).await), ErrorCode::Revoked);
    let claim = ClaimKeyPackages { user: pair.alice.user, devices: vec![laptop.device], idempotency_key: random() };
    assert_eq!(code(pair.to_bob.call(&claim).await), ErrorCode::NoKeyPackage);
    pair.to_alice.call(&revoke).await.unwrap();
    assert_eq!(chain(&pair.alice, &mut pair.to_alice).await.head().len, 3, "a repeat changes nothing");
    assert!(pair.to_alice.call(&Sync {}).await.is_ok(), "the control: the other device is in");
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_a_request_that_was_under_way_does_not_slip_in_behind_the_revocation() {
    let server = acme().await;
    let mut pair = Pair::meet(&server, "acme").await;
    let laptop = linked(&server, &pair.alice, &mut pair.to_alice).await;
    let mut to_laptop = laptop.connect(&server).await;
    // What the thief of the laptop does with its account key while the revocation is on its way.
    let strangers = Newcomer::offer(&server, &pair.alice).await;
    let theirs = strangers.answer(&laptop, &mut to_laptop).await;
    let revoke = revocation(&pair.alice, &mut pair.to_alice, laptop.device).await;
    pair.to_alice.call(&revoke).await.unwrap();
    if let Some(id) = to_laptop.try_begin(&theirs).await
        && let Ok(answer) = to_laptop.answer::<AnswerLink>(id).await
    {
        assert!(matches!(code(answer), ErrorCode::Revoked | ErrorCode::ChainMoved));
    }
    let after = chain(&pair.alice, &mut pair.to_alice).await;
    assert!(after.device(strangers.phone.device).is_none());
    assert_eq!(after.device(laptop.device).unwrap().state, DeviceState::Revoked);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_device_stays_and_a_chain_that_has_moved_is_told() {
    let server = acme().await;
    let alice = Phone::join(&server, "acme", "alice").await;
    let mut to_alice = alice.connect(&server).await;
    let only = revocation(&alice, &mut to_alice, alice.device).await;
    assert_eq!(code(to_alice.call(&only).await), ErrorCode::Forbidden);
    let laptop = linked(&server, &alice, &mut to_alice).await;
    assert_eq!(code(to_alice.call(&only).await), ErrorCode::ChainMoved, "signed before the laptop was linked");
    let now = revocation(&alice, &mut to_alice, laptop.device).await;
    to_alice.call(&now).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn b10_a_leaver_is_out_at_once_and_the_password_opens_nothing() {
    let server = acme().await;
    let mut pair = Pair::meet(&server, "acme").await;
    let laptop = linked(&server, &pair.alice, &mut pair.to_alice).await;
    let mut to_laptop = laptop.connect(&server).await;
    let newcomer = Newcomer::offer(&server, &pair.alice).await;
    assert_eq!(changed(&mut pair.to_bob).await, (pair.alice.user, 2));

    let start = Instant::now();
    let close = CloseUser { tenant: "acme".into(), handle: "ALICE".into() };
    assert_eq!(server.admin().call_async(&close).await.unwrap().devices, 2);
    assert_eq!(to_laptop.gone().await, Gone(Some(4003)));
    assert_eq!(pair.to_alice.gone().await, Gone(Some(4003)));
    assert!(start.elapsed() < PROMISE, "{:?}", start.elapsed());
    assert_eq!(changed(&mut pair.to_bob).await, (pair.alice.user, 3));

    for phone in [&pair.alice, &laptop] {
        let (mut line, greeting) = Line::hello(&server, "acme").await;
        assert_eq!(code(line.call(&phone.prove(&greeting)).await), ErrorCode::Revoked);
    }
    let (mut line, _) = Line::hello(&server, "acme").await;
    let refused = pair.alice.log_in(&mut line, "alice", PASSWORD).await;
    assert_eq!(code(refused), ErrorCode::WrongCredentials, "as if there were no such person");
    let mut waiting = newcomer.line;
    let lookup = newcomer.keys.lookup().into();
    assert_eq!(code(waiting.call(&CollectLink { lookup }).await), ErrorCode::NotFound);
    assert_eq!(code(waiting.call(&OfferLink { lookup, offer: vec![1] }).await), ErrorCode::Revoked);
    assert_eq!(server.admin().call_async(&close).await.unwrap().devices, 0, "closing twice changes nothing");
    let nobody = CloseUser { tenant: "acme".into(), handle: "nobody".into() };
    assert!(server.admin().call_async(&nobody).await.unwrap_err().to_string().contains("not_found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a1_a_closing_entry_is_believed_under_the_tenants_own_authority_only() {
    let server = acme().await;
    server.tenant("evil", Suite::Classical).await;
    let (mut pair, mut keys) = (Pair::meet(&server, "acme").await, Vec::new());
    for tenant in ["acme", "evil"] {
        let invite = server.invite(tenant, 1, 60_000).await;
        let (mut line, greeting) = Line::hello(&server, tenant).await;
        let phone = Phone::new(&greeting, tenant, "carol");
        let (_, registration_request) = vault::password::Registration::start(PASSWORD.as_bytes(), &mut Random).unwrap();
        let start = JoinStart { invite: invite.code, handle: phone.handle.clone(), registration_request };
        keys.push(AuthorityPublicKey::from_bytes(line.call(&start).await.unwrap().authority_key));
    }
    let close = CloseUser { tenant: "acme".into(), handle: "alice".into() };
    server.admin().call_async(&close).await.unwrap();
    let entries = pair.to_bob.call(&FetchChain { user: pair.alice.user, skip: 0 }).await.unwrap().entries;
    let verify = |authority| DeviceChain::verify(pair.alice.tenant, pair.alice.user, &entries, authority);
    let closed = verify(Some(&keys[0])).unwrap();
    assert!(closed.devices().all(|(_, device)| device.state == DeviceState::Closed));
    assert_eq!(verify(Some(&keys[1])).unwrap_err(), ChainError::Signature, "another tenant's authority");
    assert_eq!(verify(None).unwrap_err(), ChainError::Signature);
    let other_tenant = DeviceChain::verify(TenantId::from_bytes(random()), pair.alice.user, &entries, Some(&keys[0]));
    assert!(other_tenant.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_came_in_from_outside_is_told_where_its_log_begins() {
    let server = acme().await;
    let mut pair = Pair::meet(&server, "acme").await;
    let laptop = linked(&server, &pair.alice, &mut pair.to_alice).await;
    let mut line = laptop.connect(&server).await;
    let conversation = pair.conversation;
    assert_eq!(code(line.call(&FetchStay { conversation }).await), ErrorCode::NotFound);
    assert_eq!(code(line.call(&Fetch { conversation, after: 0, limit: 9 }).await), ErrorCode::Forbidden);
    let current = line.call(&FetchGroupInfo { conversation }).await.unwrap();
    let tree = line.call(&FetchTree { conversation, epoch: current.epoch, group: None }).await.unwrap().tree;
    let commit = laptop.rejoin(conversation, &current, &tree);
    let message_id: MessageId = commit.message_id;
    let at = line.call(&commit).await.unwrap();
    let stay = line.call(&FetchStay { conversation }).await.unwrap();
    assert_eq!((stay.seq, stay.generation), (at.seq, at.generation));
    let now = line.call(&FetchGroupInfo { conversation }).await.unwrap();
    assert_eq!((now.seq, now.entry_hash), (stay.seq, stay.entry_hash));
    let before = FetchTree { conversation, epoch: current.epoch, group: None };
    assert_eq!(code(line.call(&before).await), ErrorCode::StaleEpoch, "a commit came between");
    assert_eq!(line.call(&commit).await.unwrap(), at, "a repeat of {message_id} answers the same");
    assert!(line.call(&FetchJoinable {}).await.unwrap().conversations.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_audited_operation_leaves_a_row_and_no_other_does() {
    let server = acme().await;
    let mut pair = Pair::meet(&server, "acme").await;
    let sent = pair.alice.seal(pair.conversation, pair.group, b"x");
    pair.to_alice.call(&sent).await.unwrap();
    let blob = wire::BlobId::from_bytes(random());
    let begin = BeginBlob { blob, conversation: pair.conversation, bytes: 1, days: None };
    pair.to_alice.call(&begin).await.unwrap();
    pair.to_alice.call(&PutPart { blob, part: 0, bytes: vec![1] }).await.unwrap();
    pair.to_alice.call(&FinishBlob { blob }).await.unwrap();
    pair.to_alice.call(&DeleteBlob { blob }).await.unwrap();
    let day = |version| ArchiveDay { day: 20_000, version, wrapped: vec![1; 60] };
    pair.to_alice.call(&OpenArchiveDay { day: day(1) }).await.unwrap();
    pair.to_alice.call(&RewrapArchiveDays { days: vec![day(2)] }).await.unwrap();
    let segment = Segment { first: 1, last: 1, day: 20_000, revision: 0, bytes: vec![1] };
    pair.to_alice.call(&PutSegment { conversation: pair.conversation, generation: 0, segment }).await.unwrap();
    pair.to_alice.call(&KeepOut { conversation: pair.conversation, out: true }).await.unwrap();
    let next = GroupId::from_bytes(random());
    let policy = pair.alice.policy(pair.group).successor(pair.group);
    pair.to_alice.call(&pair.alice.succeed(pair.group, next, &policy, &[&pair.bob])).await.unwrap();
    let laptop = linked(&server, &pair.alice, &mut pair.to_alice).await;
    let revoke = revocation(&pair.alice, &mut pair.to_alice, laptop.device).await;
    pair.to_alice.call(&revoke).await.unwrap();
    let store = server.node().database.tenant(pair.alice.tenant);
    let rows = store.read(|tx| tx.audit_entries(0, 1_000)).await.unwrap();
    let found: BTreeSet<_> = rows.iter().map(|row| row.operation.as_str()).collect();
    let declared = wire::Op::ALL.iter().filter(|op| rules::route::rule(**op).audited).map(|op| op.as_str());
    let expected: BTreeSet<_> = declared.chain(["create_invite"]).collect();
    assert_eq!(found, expected);
    assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), (1..=rows.len() as u64).collect::<Vec<_>>());
}
