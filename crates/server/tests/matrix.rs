//! Every operation by everyone on everything: only what is declared gets past (ATTACKS B14, B15). The match in [`request`]
//! is exhaustive: a new operation does not compile until it is in the matrix.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's help fails the test")]

mod harness;

use harness::{
    Server,
    line::{Frame, Line},
    phone::{PASSWORD, Pair, Phone, random},
};
use mifeng_server::{admin::Suite, config::Rate};
use rules::route::{Standing, permit};
use trust::GroupPolicy;
use wire::{
    BlobId, ConversationId, DeviceId, Entry, EntryKind, ErrorCode, GroupId, MessageId, Op, Refusal, UserId, frame,
    request::*,
};

/// What the requests name.
#[derive(Clone)]
struct Objects {
    conversation: ConversationId,
    group: GroupId,
    user: UserId,
    device: DeviceId,
    handle: String,
    payload: Vec<u8>,
    epoch: u64,
    blob: BlobId,
}

fn request(op: Op, id: u32, on: &Objects) -> Vec<u8> {
    let conversation = on.conversation;
    let message_id = MessageId::from_bytes(random());
    match op {
        Op::Hello => frame::request(id, &Hello { version: 1, tenant: "acme".into(), agent: "matrix".into() }),
        Op::JoinStart => {
            let start = JoinStart { invite: "x".into(), handle: on.handle.clone(), registration_request: vec![1; 32] };
            frame::request(id, &start)
        }
        Op::JoinFinish => {
            let chain_entry = SignedEntry { payload: vec![], signature: [0; 64], possession: None };
            let registration_upload = vec![];
            frame::request(
                id,
                &JoinFinish { invite: "x".into(), handle: on.handle.clone(), registration_upload, chain_entry },
            )
        }
        Op::Authenticate => frame::request(id, &Authenticate { device: on.device, signature: [0; 64] }),
        Op::LoginStart => frame::request(id, &LoginStart { handle: on.handle.clone(), ke1: vec![0; 96] }),
        Op::LoginFinish => frame::request(id, &LoginFinish { ke3: vec![0; 64] }),
        Op::PublishKeyPackages => frame::request(id, &PublishKeyPackages { one_time: vec![], last_resort: None }),
        Op::ClaimKeyPackages => {
            frame::request(id, &ClaimKeyPackages { user: on.user, devices: vec![], idempotency_key: random() })
        }
        Op::FindUser => frame::request(id, &FindUser { handle: on.handle.clone() }),
        Op::FetchChain => frame::request(id, &FetchChain { user: on.user, skip: 0 }),
        Op::CreateConversation => {
            frame::request(id, &CreateConversation { conversation, group_info: vec![], tree: vec![] })
        }
        Op::Commit => {
            frame::request(id, &Commit { conversation, message_id, commit: vec![], group_info: vec![], welcome: None })
        }
        Op::Send => {
            frame::request(id, &Send { conversation, epoch: on.epoch, message_id, payload: on.payload.clone() })
        }
        Op::Fetch => frame::request(id, &Fetch { conversation, after: 0, limit: 10 }),
        Op::Acknowledge => {
            frame::request(id, &Acknowledge { cursors: vec![Cursor { conversation, generation: 0, seq: 1 }] })
        }
        Op::Sync => frame::request(id, &Sync {}),
        Op::FetchWelcomes => frame::request(id, &FetchWelcomes {}),
        Op::AcceptWelcome => frame::request(id, &AcceptWelcome { conversation, seq: 1 }),
        Op::FetchTree => frame::request(id, &FetchTree { conversation, epoch: on.epoch, group: None }),
        Op::FetchGroupInfo => frame::request(id, &FetchGroupInfo { conversation }),
        Op::Propose => {
            frame::request(id, &Propose { conversation, epoch: on.epoch, message_id, payload: on.payload.clone() })
        }
        Op::Succeed => {
            let (predecessor, epoch) = (on.group, on.epoch);
            let (group_info, tree, welcome) = (vec![], vec![], None);
            let succeed = Succeed { conversation, message_id, predecessor, epoch, group_info, tree, welcome };
            frame::request(id, &succeed)
        }
        Op::FetchRestored => frame::request(id, &FetchRestored { conversation, generation: 0 }),
        Op::Resupply => {
            let (kind, sender, payload) = (EntryKind::Application, on.device, on.payload.clone());
            let (seq, epoch, at, generation) = (9, on.epoch, 0, 0);
            let entry = Entry { seq, kind, epoch, sender, message_id, at, payload, generation };
            frame::request(id, &Resupply { conversation, entry, tree: None })
        }
        Op::RenewGroupInfo => frame::request(id, &RenewGroupInfo { conversation, group_info: vec![] }),
        Op::FetchOwnChain => frame::request(id, &FetchOwnChain {}),
        Op::OfferLink => frame::request(id, &OfferLink { lookup: random().into(), offer: vec![1] }),
        Op::CollectLink => frame::request(id, &CollectLink { lookup: random().into() }),
        Op::FetchOffer => frame::request(id, &FetchOffer { lookup: random().into() }),
        Op::AnswerLink => {
            let entry = SignedEntry { payload: vec![], signature: [0; 64], possession: None };
            frame::request(id, &AnswerLink { lookup: random().into(), entry, answer: vec![1] })
        }
        Op::RevokeDevice => {
            let entry = SignedEntry { payload: vec![], signature: [0; 64], possession: None };
            frame::request(id, &RevokeDevice { entry })
        }
        Op::FetchChainChanges => frame::request(id, &FetchChainChanges { after: 0 }),
        Op::FetchJoinable => frame::request(id, &FetchJoinable {}),
        Op::FetchStay => frame::request(id, &FetchStay { conversation }),
        Op::Whisper => frame::request(id, &Whisper { conversation, epoch: on.epoch, payload: vec![1] }),
        Op::BeginBlob => frame::request(id, &begin_blob(on.blob, conversation)),
        Op::PutPart => frame::request(id, &PutPart { blob: on.blob, part: 0, bytes: vec![1; 5] }),
        Op::FinishBlob => frame::request(id, &FinishBlob { blob: on.blob }),
        Op::FetchPart => frame::request(id, &FetchPart { blob: on.blob, part: 0 }),
        Op::DeleteBlob => frame::request(id, &DeleteBlob { blob: on.blob }),
        Op::OpenArchiveDay => frame::request(id, &OpenArchiveDay { day: archive_day(1) }),
        Op::FetchArchiveDays => frame::request(id, &FetchArchiveDays { after: None }),
        Op::RewrapArchiveDays => frame::request(id, &RewrapArchiveDays { days: vec![archive_day(2)] }),
        Op::PutSegment => {
            let segment = Segment { first: 1, last: 1, day: DAY, revision: 0, bytes: vec![1; 5] };
            frame::request(id, &PutSegment { conversation, generation: 0, segment })
        }
        Op::FetchSegments => frame::request(id, &FetchSegments { conversation, before: u64::MAX }),
        Op::ListSegments => frame::request(id, &ListSegments { conversation, after: 0 }),
        Op::KeepOut => frame::request(id, &KeepOut { conversation, out: true }),
    }
}

/// A day that is over.
const DAY: u32 = 20_000;

fn archive_day(version: u32) -> ArchiveDay {
    ArchiveDay { day: DAY, version, wrapped: vec![1; 60] }
}

const fn begin_blob(blob: BlobId, conversation: ConversationId) -> BeginBlob {
    BeginBlob { blob, conversation, bytes: 5, days: None }
}

async fn try_op(line: &mut Line, op: Op, on: &Objects) -> Result<Vec<u8>, ErrorCode> {
    let id = 1_000 + u32::from(op.number());
    line.raw(request(op, id, on)).await;
    loop {
        match line.frame().await.unwrap() {
            Frame::Answer(got, body) if got == id => return Ok(body),
            Frame::Refused(got, refusal) if got == id => return Err(refusal.code().unwrap()),
            Frame::Event(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn acme() -> Server {
    let server = Server::with(|config| {
        let rate = Rate { burst: 100_000, per_second: 100_000 };
        (config.limits.session_rate, config.limits.control_rate) = (rate, rate);
    })
    .await;
    server.tenant("acme", Suite::Classical).await;
    server
}

async fn standing(server: &Server, alice: &Phone, standing: Standing) -> Line {
    match standing {
        Standing::Stranger => Line::connect(server).await,
        Standing::Guest => Line::hello(server, "acme").await.0,
        Standing::Person => {
            let (mut line, _) = Line::hello(server, "acme").await;
            alice.log_in(&mut line, "alice", PASSWORD).await.unwrap();
            line
        }
        Standing::Device => alice.connect(server).await,
    }
}

async fn objects(pair: &mut Pair) -> Objects {
    let blob = BlobId::from_bytes(random());
    pair.to_alice.call(&begin_blob(blob, pair.conversation)).await.unwrap();
    pair.to_alice.call(&PutPart { blob, part: 0, bytes: vec![2; 5] }).await.unwrap();
    pair.to_alice.call(&FinishBlob { blob }).await.unwrap();
    let payload = pair.alice.seal(pair.conversation, pair.group, b"matrix").payload;
    let (conversation, user, device) = (pair.conversation, pair.bob.user, pair.alice.device);
    Objects { conversation, group: pair.group, user, device, handle: "bob".into(), payload, epoch: 1, blob }
}

#[tokio::test(flavor = "multi_thread")]
async fn b14_every_operation_in_every_standing_gets_past_only_where_it_is_declared() {
    let server = acme().await;
    let mut pair = Pair::meet(&server, "acme").await;
    let on = objects(&mut pair).await;
    let (mut open, mut closed) = (0, 0);
    for who in Standing::ALL {
        let mut line = standing(&server, &pair.alice, *who).await;
        for op in Op::ALL {
            match permit(*op, *who) {
                Err(declared) => {
                    assert_eq!(try_op(&mut line, *op, &on).await, Err(declared), "{op:?} by {who:?}");
                    closed += 1;
                }
                Ok(()) => {
                    // What it leads to is another test's; here it must not be the gate that stops it. A connection of its
                    // own, because some operations change what it is.
                    let mut own = standing(&server, &pair.alice, *who).await;
                    let result = try_op(&mut own, *op, &on).await;
                    let gate = matches!(result, Err(ErrorCode::Unauthenticated | ErrorCode::Forbidden));
                    assert!(!gate, "{op:?} by {who:?}: {result:?}");
                    open += 1;
                    if *who == Standing::Device {
                        line = own;
                    }
                }
            }
        }
    }
    println!("matrix: {} operations x {} standings, {open} open, {closed} closed", Op::ALL.len(), Standing::ALL.len());
    assert_eq!((open, open + closed), (Op::ALL.len(), Op::ALL.len() * Standing::ALL.len()));
}

/// What an operation says to somebody who has nothing to do with its object.
fn to_an_outsider(op: Op, same_tenant: bool) -> Option<ErrorCode> {
    match op {
        Op::Commit
        | Op::Send
        | Op::Fetch
        | Op::FetchTree
        | Op::FetchGroupInfo
        | Op::Whisper
        | Op::Propose
        | Op::Succeed
        | Op::FetchRestored
        | Op::Resupply
        | Op::RenewGroupInfo
        | Op::BeginBlob => Some(ErrorCode::Forbidden),
        Op::FetchOffer | Op::FetchStay => Some(ErrorCode::NotFound),
        Op::PutPart | Op::FinishBlob | Op::FetchPart | Op::DeleteBlob => Some(ErrorCode::NotFound),
        Op::PutSegment | Op::KeepOut => Some(ErrorCode::NotFound),
        Op::ClaimKeyPackages | Op::FindUser | Op::FetchChain if !same_tenant => Some(ErrorCode::NotFound),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b15_no_operation_reaches_anothers_conversation_or_another_tenant() {
    let server = acme().await;
    server.tenant("evil", Suite::Classical).await;
    let mut pair = Pair::meet(&server, "acme").await;
    let on = objects(&mut pair).await;
    let (eve, mallory) = (Phone::join(&server, "acme", "eve").await, Phone::join(&server, "evil", "mallory").await);
    let (mut cells, mut wrong) = (0, Vec::new());
    for (who, same_tenant) in [(&eve, true), (&mallory, false)] {
        let mut line = who.connect(&server).await;
        for op in Op::ALL.iter().filter(|op| permit(**op, Standing::Device).is_ok()) {
            let result = try_op(&mut line, *op, &on).await;
            if let Some(expected) = to_an_outsider(*op, same_tenant) {
                if result != Err(expected) {
                    wrong.push((*op, same_tenant, result));
                }
                let nobodys = Objects {
                    conversation: ConversationId::from_bytes(random()),
                    user: UserId::from_bytes(random()),
                    handle: "nobody".into(),
                    blob: BlobId::from_bytes(random()),
                    ..on.clone()
                };
                assert_eq!(try_op(&mut line, *op, &nobodys).await, Err(expected), "{op:?}: as if it did not exist");
            }
            cells += 1;
        }
        let synced = line.call(&Sync {}).await.unwrap();
        assert_eq!((synced.heads.len(), synced.welcomes), (0, 0));
    }
    println!("matrix: {cells} operations on others' objects");
    assert!(wrong.is_empty(), "operation, same tenant, what came of it: {wrong:?}");
    nothing_has_changed(&server, &mut pair, on.blob).await;
}

async fn nothing_has_changed(server: &Server, pair: &mut Pair, blob: BlobId) {
    let part = pair.to_bob.call(&FetchPart { blob, part: 0 }).await.unwrap();
    assert_eq!(part.bytes, [2; 5], "the file is as it was");
    assert_eq!(pair.to_bob.call(&Sync {}).await.unwrap().heads[0].seq, 1, "nothing was recorded");
    let store = server.node().database.tenant(pair.alice.tenant);
    let conversation = pair.conversation;
    let members = store.read(move |tx| tx.members(conversation)).await.unwrap();
    assert_eq!(members.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn b15_a_device_of_one_tenant_cannot_authenticate_in_another() {
    let server = acme().await;
    server.tenant("evil", Suite::Classical).await;
    let mallory = Phone::join(&server, "evil", "mallory").await;
    let (mut line, greeting) = Line::hello(&server, "acme").await;
    let refusal: Refusal = line.call(&mallory.prove(&greeting)).await.unwrap_err();
    assert_eq!(refusal.code(), Some(ErrorCode::InvalidSignature));
}

#[tokio::test(flavor = "multi_thread")]
async fn b14_a_commit_or_message_in_anothers_name_is_refused() {
    let server = acme().await;
    let mut pair = Pair::meet(&server, "acme").await;
    let by_bob = pair.bob.commit(pair.conversation, pair.group, &e2ee::Proposed::default(), 1);
    let refusal = pair.to_alice.call(&by_bob).await.unwrap_err();
    assert_eq!(refusal.code(), Some(ErrorCode::InvalidCommit), "another's commit");
    let other_id = Commit { message_id: MessageId::from_bytes(random()), ..by_bob.clone() };
    assert_eq!(pair.to_bob.call(&other_id).await.unwrap_err().code(), Some(ErrorCode::InvalidCommit), "another id");
    let sent = pair.alice.seal(pair.conversation, pair.group, b"x");
    let other_id = Send { message_id: MessageId::from_bytes(random()), ..sent.clone() };
    assert_eq!(pair.to_alice.call(&other_id).await.unwrap_err().code(), Some(ErrorCode::Malformed), "another id");
    assert!(pair.to_bob.call(&by_bob).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn b14_a_conversation_is_created_in_ones_own_name_and_place_only() {
    let server = acme().await;
    let (mut alice, bob) = (Phone::join(&server, "acme", "alice").await, Phone::join(&server, "acme", "bob").await);
    let mut line = alice.connect(&server).await;
    let fresh = || (ConversationId::from_bytes(random()), GroupId::from_bytes(random()));
    let policy = |conversation, other| GroupPolicy::direct(alice.tenant, conversation, alice.user, other);

    let (conversation, group) = fresh();
    let mut cases =
        vec![("another's leaf", bob.create(&policy(conversation, bob.user), group), ErrorCode::InvalidCommit)];
    let (conversation, group) = fresh();
    let elsewhere =
        CreateConversation { conversation: fresh().0, ..alice.create(&policy(conversation, bob.user), group) };
    cases.push(("another conversation's policy", elsewhere, ErrorCode::InvalidCommit));
    let (conversation, group) = fresh();
    let successor = GroupPolicy { ordinal: 1, predecessor: Some(fresh().1), ..policy(conversation, bob.user) };
    cases.push(("a successor without a predecessor here", alice.create(&successor, group), ErrorCode::InvalidCommit));
    let (conversation, group) = fresh();
    let nobody = alice.create(&policy(conversation, UserId::from_bytes(random())), group);
    cases.push(("with a user who does not exist", nobody, ErrorCode::NotFound));
    let (conversation, group) = fresh();
    let right = policy(conversation, bob.user);
    alice.suite = e2ee::Suite::XWing;
    cases.push(("of another suite", alice.create(&right, group), ErrorCode::UnsupportedSuite));
    for (what, create, expected) in cases {
        assert_eq!(line.call(&create).await.unwrap_err().code(), Some(expected), "{what}");
    }
    alice.suite = e2ee::Suite::Classical;
    assert!(line.call(&alice.create(&right, fresh().1)).await.is_ok(), "the control");
}
