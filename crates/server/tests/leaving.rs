//! `propose` over real sockets: only one's own leaving is recorded, once, and it outlives the process.

mod harness;

use e2ee::Proposed;
use harness::{Server, phone::Pair};
use mifeng_server::admin::Suite;
use wire::{EntryKind, ErrorCode, request::*};

#[tokio::test(flavor = "multi_thread")]
async fn a2_nobody_makes_another_leave() {
    let server = Server::start().await;
    server.tenant("acme", Suite::Classical).await;
    let mut pair = Pair::meet(&server, "acme").await;
    let propose = pair.bob.leave(pair.conversation, pair.group);
    let refused = pair.to_alice.call(&propose).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::InvalidCommit), "another's");
    let other_id = Propose { message_id: wire::MessageId::from_bytes([7; 16]), ..propose.clone() };
    assert_eq!(pair.to_bob.call(&other_id).await.unwrap_err().code(), Some(ErrorCode::InvalidCommit), "another id");
    let old = Propose { epoch: 0, ..propose.clone() };
    assert_eq!(pair.to_bob.call(&old).await.unwrap_err().code(), Some(ErrorCode::StaleEpoch));
    let rubbish = Propose { payload: vec![1; 40], ..propose.clone() };
    assert_eq!(pair.to_bob.call(&rubbish).await.unwrap_err().code(), Some(ErrorCode::Malformed));

    let recorded = pair.to_bob.call(&propose).await.unwrap();
    assert_eq!(recorded.seq, 2);
    assert_eq!(pair.to_bob.call(&propose).await.unwrap(), recorded, "a repeat gets the first answer");
    let wire::Event::Recorded(told) = pair.to_alice.event().await else { panic!("not told") };
    assert_eq!((told.entry.kind, told.entry.seq), (EntryKind::Proposal, 2));
    pair.alice.open(pair.group, &told.entry);
    let commit = pair.alice.commit(pair.conversation, pair.group, &Proposed::default(), 2);
    assert_eq!(pair.to_alice.call(&commit).await.unwrap().seq, 3);
    assert_eq!(pair.to_bob.call(&propose).await.unwrap_err().code(), Some(ErrorCode::Forbidden), "gone");
    let send = Send { conversation: pair.conversation, epoch: 2, message_id: propose.message_id, payload: vec![1] };
    assert_eq!(pair.to_bob.call(&send).await.unwrap_err().code(), Some(ErrorCode::Forbidden), "gone");
}
