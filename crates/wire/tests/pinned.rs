//! The encodings, pinned: a change that breaks old clients shows up here as a changed snapshot.

#![cfg(test)]

use mifeng_wire::event::{Archived, ChainChanged, Recorded, WelcomeWaiting, Whispered};
use mifeng_wire::request::*;
use mifeng_wire::{
    BlobId, ConversationId, DeviceId, Entry, EntryKind, ErrorCode, Event, GroupId, MessageId, Op, Operation, Refusal,
    TenantId, UserId, frame,
};
use std::collections::BTreeSet;
use std::fmt::Write;

const DEVICE: DeviceId = DeviceId::from_bytes([0xd0; 16]);
const CONVERSATION: ConversationId = ConversationId::from_bytes([0xc0; 16]);
const MESSAGE: MessageId = MessageId::from_bytes([0xe0; 16]);
const USER: UserId = UserId::from_bytes([0xa0; 16]);
const GROUP: GroupId = GroupId::from_bytes([0x90; 16]);

#[derive(Default)]
struct Pinned {
    text: String,
    seen: BTreeSet<Op>,
}

impl Pinned {
    fn request<O: Operation + PartialEq + std::fmt::Debug>(&mut self, operation: O, answer: O::Answer) {
        let bytes = frame::request(1, &operation);
        let body = frame::read_request(&bytes).unwrap().body;
        assert_eq!(mifeng_wire::decode::<O>(body), Ok(operation));
        writeln!(self.text, "{} > {}", O::OP.as_str(), hex(&bytes)).unwrap();
        writeln!(self.text, "{} < {}", O::OP.as_str(), hex(&frame::answer(1, &answer))).unwrap();
        self.seen.insert(O::OP);
    }

    fn event(&mut self, event: Event) {
        let bytes = frame::event(&event);
        let frame::ServerFrame::Event { kind, body } = frame::read_server(&bytes).unwrap() else { panic!("{event:?}") };
        assert_eq!(Event::decode(kind, body), Ok(Some(event)));
        writeln!(self.text, "event {kind} {}", hex(&bytes)).unwrap();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn entry() -> Entry {
    let (kind, payload) = (EntryKind::Application, b"sealed".to_vec());
    Entry { seq: 1, kind, epoch: 2, sender: DEVICE, message_id: MESSAGE, at: 3, payload, generation: 0 }
}

fn signed_entry() -> SignedEntry {
    SignedEntry { payload: b"entry".to_vec(), signature: [1; 64], possession: Some([2; 64]) }
}

#[test]
fn every_operation_and_event_is_pinned() {
    let mut pinned = Pinned::default();
    sessions(&mut pinned);
    identities(&mut pinned);
    devices(&mut pinned);
    conversations(&mut pinned);
    blobs(&mut pinned);
    archive(&mut pinned);
    assert_eq!(pinned.seen, Op::ALL.iter().copied().collect(), "every operation has a sample");
    pinned.event(Event::Recorded(Recorded { conversation: CONVERSATION, generation: 0, entry: entry() }));
    pinned.event(Event::WelcomeWaiting(WelcomeWaiting { conversation: CONVERSATION }));
    pinned.event(Event::ChainChanged(ChainChanged { user: USER, len: 2 }));
    let payload = b"sealed".to_vec();
    pinned.event(Event::Whispered(Whispered { conversation: CONVERSATION, epoch: 2, sender: DEVICE, payload }));
    pinned.event(Event::Draining);
    pinned.event(Event::Archived(Archived { conversation: CONVERSATION, first: 1, last: 9 }));
    let refusal = Refusal { detail: Some("why".into()), ..Refusal::retry_after(ErrorCode::RateLimited, 250) };
    writeln!(pinned.text, "refused {}", hex(&frame::refused(1, &refusal))).unwrap();
    for code in ErrorCode::ALL {
        writeln!(pinned.text, "code {} {code}", *code as u16).unwrap();
    }
    insta::assert_snapshot!(pinned.text);
}

fn sessions(pinned: &mut Pinned) {
    let (invite, handle) = (String::from("code"), String::from("alice"));
    let tenant = TenantId::from_bytes([0xb0; 16]);
    pinned.request(
        Hello { version: 1, tenant: "acme".into(), agent: "mifeng/1".into() },
        Greeting { tenant, challenge: [7; 32], now: 3, suite: 0x4e },
    );
    pinned.request(
        JoinStart { invite: invite.clone(), handle: handle.clone(), registration_request: b"request".to_vec() },
        JoinChallenge { registration_response: b"response".to_vec(), authority_key: [9; 32] },
    );
    let registration_upload = b"upload".to_vec();
    pinned.request(
        JoinFinish { invite, handle: handle.clone(), registration_upload, chain_entry: signed_entry() },
        Done {},
    );
    pinned.request(Authenticate { device: DEVICE, signature: [3; 64] }, Authenticated { user: USER, chain_len: 1 });
    pinned.request(LoginStart { handle, ke1: b"ke1".to_vec() }, LoginChallenge { ke2: b"ke2".to_vec() });
    pinned.request(LoginFinish { ke3: b"ke3".to_vec() }, LoggedIn { user: USER });
}

fn identities(pinned: &mut Pinned) {
    let package = || b"package".to_vec();
    pinned.request(
        PublishKeyPackages { one_time: vec![package().into()], last_resort: Some(package().into()) },
        KeyPackagesHeld { one_time: 1, last_resort_used: false },
    );
    pinned.request(
        ClaimKeyPackages { user: USER, devices: vec![DEVICE], idempotency_key: [4; 16] },
        ClaimedKeyPackages { packages: vec![ClaimedKeyPackage { device: DEVICE, bytes: package() }] },
    );
    let handle = String::from("alice");
    pinned.request(
        FindUser { handle: handle.clone() },
        FoundUser { user: USER, handle: handle.clone(), entries: vec![signed_entry()] },
    );
    pinned.request(FetchChain { user: USER, skip: 1 }, Chain { handle, entries: vec![] });
}

fn devices(pinned: &mut Pinned) {
    let (lookup, entry, conversation) = (LinkLookup::from([6; 32]), signed_entry(), CONVERSATION);
    let (offer, answer) = (b"offer".to_vec(), b"answer".to_vec());
    pinned.request(FetchOwnChain {}, OwnChain { handle: "alice".into(), entries: vec![entry.clone()] });
    pinned.request(OfferLink { lookup, offer: offer.clone() }, Done {});
    pinned.request(CollectLink { lookup }, CollectedLink { answer: Some(answer.clone()), chain_len: 2 });
    pinned.request(FetchOffer { lookup }, FetchedOffer { offer });
    pinned.request(AnswerLink { lookup, entry: entry.clone(), answer }, Done {});
    pinned.request(RevokeDevice { entry }, Done {});
    pinned.request(FetchChainChanges { after: 7 }, ChainChanges { users: vec![USER], mark: 8, more: false });
    pinned.request(FetchJoinable {}, Joinable { conversations: vec![conversation] });
    pinned.request(FetchStay { conversation }, Stay { seq: 1, generation: 0, entry_hash: [5; 32] });
}

fn blobs(pinned: &mut Pinned) {
    let (blob, part) = (BlobId::from_bytes([0xb0; 16]), 3);
    let begin = BeginBlob { blob, conversation: CONVERSATION, bytes: 1_000_000, days: Some(30) };
    pinned.request(begin, BlobProgress { parts: 2 });
    pinned.request(PutPart { blob, part, bytes: b"sealed".to_vec() }, Done {});
    pinned.request(FinishBlob { blob }, Done {});
    pinned.request(FetchPart { blob, part }, Part { bytes: b"sealed".to_vec() });
    pinned.request(DeleteBlob { blob }, Done {});
}

fn archive(pinned: &mut Pinned) {
    let (conversation, day) = (CONVERSATION, ArchiveDay { day: 20_000, version: 1, wrapped: b"wrapped".to_vec() });
    let segment = Segment { first: 1, last: 9, day: 20_000, revision: 0, bytes: b"sealed".to_vec() };
    let days = || vec![day.clone()];
    pinned.request(OpenArchiveDay { day: day.clone() }, day.clone());
    pinned.request(FetchArchiveDays { after: Some(19_999) }, ArchiveDays { days: days(), more: false });
    pinned.request(RewrapArchiveDays { days: days() }, Done {});
    pinned.request(PutSegment { conversation, generation: 0, segment: segment.clone() }, Done {});
    pinned.request(
        FetchSegments { conversation, before: 10 },
        Segments { segments: vec![segment], days: days(), earlier: true },
    );
    let places = vec![Places { first: 1, last: 9 }];
    pinned.request(ListSegments { conversation, after: 0 }, SegmentList { places, more: true, kept_out: false });
    pinned.request(KeepOut { conversation, out: true }, Done {});
}

fn conversations(pinned: &mut Pinned) {
    let (conversation, message_id, epoch, generation, seq, at) = (CONVERSATION, MESSAGE, 2, 0, 1, 3);
    let (group_info, tree, payload) = (b"info".to_vec(), b"tree".to_vec(), b"sealed".to_vec());
    let recorded = || RecordedAt { seq, at, generation };
    let cursor = Cursor { conversation, generation, seq };
    pinned.request(CreateConversation { conversation, group_info: group_info.clone(), tree: tree.clone() }, Done {});
    let (commit, welcome) = (b"commit".to_vec(), Some(b"welcome".to_vec()));
    pinned.request(Commit { conversation, message_id, commit, group_info: group_info.clone(), welcome }, recorded());
    pinned.request(Send { conversation, epoch, message_id, payload: payload.clone() }, recorded());
    pinned.request(
        Fetch { conversation, after: 0, limit: 500 },
        Fetched { entries: vec![entry()], head: seq, generation },
    );
    pinned.request(Acknowledge { cursors: vec![cursor] }, Done {});
    let key_packages = KeyPackagesHeld { one_time: 1, last_resort_used: true };
    pinned.request(Sync {}, Synced { heads: vec![cursor], welcomes: 1, key_packages });
    let (sender, entry_hash, welcome) = (DEVICE, [5; 32], b"welcome".to_vec());
    let pending = PendingWelcome { conversation, sender, seq, generation, entry_hash, epoch, welcome, group: GROUP };
    pinned.request(FetchWelcomes {}, Welcomes { welcomes: vec![pending] });
    pinned.request(AcceptWelcome { conversation, seq }, Done {});
    pinned.request(FetchTree { conversation, epoch, group: Some(GROUP) }, Tree { tree: tree.clone() });
    pinned.request(
        FetchGroupInfo { conversation },
        CurrentGroup { group_info: group_info.clone(), epoch, seq, generation, entry_hash },
    );
    pinned.request(Whisper { conversation, epoch, payload: payload.clone() }, Done {});
    pinned.request(Propose { conversation, epoch, message_id, payload }, recorded());
    pinned.request(
        FetchRestored { conversation, generation },
        Restored {
            generation: 1,
            seq,
            entry_hash,
            head: 2,
            held_ms: Some(600_000),
            wants_group_info: true,
            head_hash: [6; 32],
        },
    );
    pinned.request(Resupply { conversation, entry: entry(), tree: Some(tree.clone()) }, recorded());
    pinned.request(RenewGroupInfo { conversation, group_info: group_info.clone() }, Done {});
    let welcome = Some(b"welcome".to_vec());
    pinned.request(
        Succeed { conversation, message_id, predecessor: GROUP, epoch, group_info, tree, welcome },
        recorded(),
    );
}
