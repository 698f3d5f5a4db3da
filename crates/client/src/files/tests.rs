//! Files, against a server that is played by hand.

use super::*;
use crate::content::{FileDetails, Preview};
use crate::testing::{CONVERSATION, live_in_conversation, reconnect, request};
use std::collections::BTreeMap;
use wire::request::{
    BeginBlob, BlobProgress, DeleteBlob, Done, FetchPart, FinishBlob, Part, PutPart, RecordedAt, Send,
};
use wire::{ErrorCode, Op, Parts, Refusal, frame, limits};

/// What a server keeps of blobs.
#[derive(Default)]
struct Server {
    begun: BTreeMap<BlobId, BeginBlob>,
    parts: BTreeMap<(BlobId, u32), Vec<u8>>,
    finished: Vec<BlobId>,
    deleted: Vec<BlobId>,
    sent: Vec<Send>,
}

impl Server {
    /// Answers what the client asks until it asks nothing more, or so many requests.
    fn serve(&mut self, client: &mut Client, mut requests: usize) {
        while let Some(bytes) = (requests > 0).then(|| client.poll_transmit()).flatten() {
            requests -= 1;
            let asked = frame::read_request(&bytes).unwrap();
            let answer = match asked.known().unwrap() {
                Op::BeginBlob => {
                    let begin: BeginBlob = wire::decode(asked.body).unwrap();
                    self.begun.insert(begin.blob, begin);
                    let held = (0..).take_while(|part| self.parts.contains_key(&(begin.blob, *part))).count() as u32;
                    frame::answer(asked.id, &BlobProgress { parts: held })
                }
                Op::PutPart => {
                    let put: PutPart = wire::decode(asked.body).unwrap();
                    let parts = Parts::of(self.begun[&put.blob].bytes).unwrap();
                    assert_eq!(parts.len(put.part), Some(put.bytes.len()));
                    self.parts.insert((put.blob, put.part), put.bytes);
                    frame::answer(asked.id, &Done {})
                }
                Op::FinishBlob => {
                    let finish: FinishBlob = wire::decode(asked.body).unwrap();
                    let parts = Parts::of(self.begun[&finish.blob].bytes).unwrap().count();
                    assert!((0..parts).all(|part| self.parts.contains_key(&(finish.blob, part))));
                    self.finished.push(finish.blob);
                    frame::answer(asked.id, &Done {})
                }
                Op::FetchPart => {
                    let fetch: FetchPart = wire::decode(asked.body).unwrap();
                    match self.parts.get(&(fetch.blob, fetch.part)) {
                        Some(bytes) => frame::answer(asked.id, &Part { bytes: bytes.clone() }),
                        None => frame::refused(asked.id, &ErrorCode::NotFound.into()),
                    }
                }
                Op::DeleteBlob => {
                    self.deleted.push(wire::decode::<DeleteBlob>(asked.body).unwrap().blob);
                    frame::answer(asked.id, &Done {})
                }
                Op::Send => {
                    self.sent.push(wire::decode(asked.body).unwrap());
                    let seq = self.sent.len() as u64;
                    frame::answer(asked.id, &RecordedAt { seq, at: 3_000, generation: 0 })
                }
                Op::Acknowledge => frame::answer(asked.id, &Done {}),
                other => panic!("{other:?} was asked for"),
            };
            client.handle_frame(&answer, 3_000).unwrap();
        }
    }
}

fn bytes(size: usize) -> Vec<u8> {
    (0..size).map(|place| (place % 251) as u8).collect()
}

fn prepare(client: &mut Client, content: &[u8]) -> BlobId {
    let blob = client.begin_file(content.len() as u64, 2_000).unwrap();
    content.chunks(FILE_PART_BYTES).for_each(|part| client.add_to_file(blob, part, 2_000).unwrap());
    blob
}

fn details(name: &str) -> FileDetails {
    FileDetails { name: name.into(), media_type: Some("text/plain".into()), ..FileDetails::default() }
}

fn send(client: &mut Client, content: &[u8]) -> (BlobId, MessageId) {
    let blob = prepare(client, content);
    (blob, client.send_file(CONVERSATION, blob, details("plan.txt"), None, 2_000).unwrap())
}

fn read(client: &Client, message: MessageId) -> Vec<u8> {
    let mut whole = Vec::new();
    for index in 0.. {
        let part = client.file_part(CONVERSATION, message, index).unwrap();
        if part.is_empty() {
            break;
        }
        whole.extend_from_slice(&part);
    }
    whole
}

fn state(client: &Client, message: MessageId) -> Option<FileState> {
    client.file(CONVERSATION, message).unwrap().unwrap().state
}

/// Has this device know the file no longer, as one that has only got the message.
fn forget(client: &mut Client, message: MessageId) {
    let of = Announced { conversation: CONVERSATION, message };
    client
        .turn(3_000, |turn| {
            let id = file::of(turn.db, of)?.unwrap().id;
            turn.drop_file(id)
        })
        .unwrap();
}

#[test]
fn a_file_goes_before_its_message_and_returns_whole() {
    for size in [0, 1, 1_000, FILE_PART_BYTES - 1, FILE_PART_BYTES, FILE_PART_BYTES + 1, 5 * FILE_PART_BYTES + 77] {
        let (_folder, mut client) = live_in_conversation();
        let (mut server, content) = (Server::default(), bytes(size));
        let (blob, message) = send(&mut client, &content);
        assert_eq!(client.unsent().unwrap(), 1);
        let shown = client.message(CONVERSATION, message).unwrap().unwrap();
        assert_eq!((shown.state, shown.seq), (MessageState::Pending, None));
        assert_eq!(read(&client, message), content, "the sender has it at once");
        server.serve(&mut client, usize::MAX);
        assert_eq!((server.finished.as_slice(), server.sent.len()), ([blob].as_slice(), 1), "{size}");
        assert_eq!(client.message(CONVERSATION, message).unwrap().unwrap().state, MessageState::Recorded);
        assert_eq!((client.unsent().unwrap(), state(&client, message)), (0, Some(FileState::Here)));

        forget(&mut client, message);
        assert_eq!(state(&client, message), None);
        assert!(matches!(client.file_part(CONVERSATION, message, 0), Err(Error::FileNotHere)) || size == 0);
        client.fetch_file(CONVERSATION, message, 4_000).unwrap();
        server.serve(&mut client, usize::MAX);
        assert_eq!((state(&client, message), read(&client, message)), (Some(FileState::Here), content), "{size}");
    }
}

#[test]
fn what_is_sealed_is_padded_and_says_nothing() {
    let (_folder, mut client) = live_in_conversation();
    let mut server = Server::default();
    let (blob, _) = send(&mut client, &bytes(300_000));
    server.serve(&mut client, usize::MAX);
    assert_eq!(server.begun[&blob].bytes, vault::sealed_parts(300_000).bytes());
    let needle = &bytes(300_000)[..64];
    assert!(server.parts.values().all(|part| !part.windows(64).any(|window| window == needle)));
}

#[test]
fn a_connection_that_ends_anywhere_loses_nothing() {
    for requests in 0..12 {
        let (folder, mut client) = live_in_conversation();
        let (mut server, content) = (Server::default(), bytes(6 * FILE_PART_BYTES));
        let (blob, message) = send(&mut client, &content);
        server.serve(&mut client, requests);
        drop(client);
        let mut client = crate::testing::reopen(&folder);
        assert_eq!(client.message(CONVERSATION, message).unwrap().unwrap().seq.is_some(), requests > 9);
        reconnect(&mut client, 3_000);
        server.serve(&mut client, usize::MAX);
        assert_eq!(read(&client, message), content);
        assert_eq!((server.sent.len(), server.begun.len()), (1, 1), "after {requests} requests");
        assert!(server.finished.contains(&blob));
    }
}

#[test]
fn small_files_and_words_overtake_large_ones() {
    let (_folder, mut client) = live_in_conversation();
    let mut server = Server::default();
    let (large, _) = send(&mut client, &bytes(9 * FILE_PART_BYTES));
    server.serve(&mut client, 3);
    let (small, _) = send(&mut client, b"small");
    client.send(CONVERSATION, &Content::text("words", 2_000), 2_000).unwrap();
    server.serve(&mut client, 12);
    assert_eq!((server.finished.as_slice(), server.sent.len()), ([small].as_slice(), 2));
    server.serve(&mut client, usize::MAX);
    assert_eq!((server.finished, server.sent.len()), (vec![small, large], 3));
}

#[test]
fn a_draft_that_is_not_sent_leaves_nothing() {
    let (folder, mut client) = live_in_conversation();
    let blob = prepare(&mut client, &bytes(1_000));
    client.discard_file(blob, 2_000).unwrap();
    assert!(matches!(client.send_file(CONVERSATION, blob, details("x"), None, 2_000), Err(Error::UnknownFile)));
    prepare(&mut client, &bytes(1_000));
    drop(client);
    let client = crate::testing::reopen(&folder);
    let left = "SELECT (SELECT count(*) FROM file) + (SELECT count(*) FROM files.part)";
    assert_eq!(client.reader().query_row(left, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}

#[test]
fn a_file_of_another_length_than_it_was_begun_with_is_not_sent() {
    let (_folder, mut client) = live_in_conversation();
    assert!(matches!(client.begin_file(limits::FILE_MAX_BYTES + 1, 2_000), Err(Error::FileSize)));
    let blob = client.begin_file(FILE_PART_BYTES as u64 + 5, 2_000).unwrap();
    for wrong in [0, 5, FILE_PART_BYTES - 1] {
        assert!(matches!(client.add_to_file(blob, &bytes(wrong), 2_000), Err(Error::FileSize)));
    }
    client.add_to_file(blob, &bytes(FILE_PART_BYTES), 2_000).unwrap();
    assert!(matches!(client.add_to_file(blob, &bytes(6), 2_000), Err(Error::FileSize)));
    assert!(matches!(client.send_file(CONVERSATION, blob, details("x"), None, 2_000), Err(Error::FileSize)));
    client.add_to_file(blob, &bytes(5), 2_000).unwrap();
    assert!(matches!(client.add_to_file(blob, &bytes(5), 2_000), Err(Error::FileSize)), "nothing comes after its end");
    let large = Preview { width: 1, height: 1, thumbnail: vec![0; 64 << 10] };
    let too_much = FileDetails { preview: Some(large), ..details("x") };
    assert!(matches!(client.send_file(CONVERSATION, blob, too_much, None, 2_000), Err(Error::TooLarge)));
    client.send_file(CONVERSATION, blob, details("x"), None, 2_000).unwrap();
}

#[test]
fn c11_what_the_server_changes_is_not_taken() {
    let (_folder, mut client) = live_in_conversation();
    let mut server = Server::default();
    let (blob, message) = send(&mut client, &bytes(2 * FILE_PART_BYTES));
    server.serve(&mut client, usize::MAX);
    let honest = server.parts.clone();
    let changes: [fn(&mut Server, BlobId); 3] = [
        |server, blob| server.parts.get_mut(&(blob, 0)).unwrap()[7] ^= 1,
        |server, blob| server.parts.get_mut(&(blob, 0)).unwrap().truncate(1_000),
        |server, blob| {
            let (first, second) = (server.parts[&(blob, 0)].clone(), server.parts[&(blob, 1)].clone());
            server.parts.insert((blob, 0), second);
            server.parts.insert((blob, 1), first);
        },
    ];
    for change in changes {
        forget(&mut client, message);
        change(&mut server, blob);
        client.fetch_file(CONVERSATION, message, 4_000).unwrap();
        server.serve(&mut client, usize::MAX);
        let view = client.file(CONVERSATION, message).unwrap().unwrap();
        assert_eq!((view.state, view.parts), (Some(FileState::Failed), 0), "{view:?}");
        assert!(client.file_part(CONVERSATION, message, 0).is_err());
        server.parts = honest.clone();
    }
    client.fetch_file(CONVERSATION, message, 5_000).unwrap();
    server.serve(&mut client, usize::MAX);
    assert_eq!(read(&client, message), bytes(2 * FILE_PART_BYTES), "it is asked for again, and is there");
}

/// Its sender knows the key, and can seal another file under it; with the server's help, some would get that one.
#[test]
fn c11_all_who_read_a_message_get_the_same_file() {
    let (_folder, mut client) = live_in_conversation();
    let mut server = Server::default();
    let (blob, message) = send(&mut client, &bytes(900));
    server.serve(&mut client, usize::MAX);
    let of = Announced { conversation: CONVERSATION, message };
    let key = attachment(client.reader(), of).unwrap().unwrap().key();
    let other = key.seal(FilePart { index: 0, is_last: true }, &[b'x'; 1_024]);
    server.parts.insert((blob, 0), other);
    forget(&mut client, message);
    client.fetch_file(CONVERSATION, message, 4_000).unwrap();
    server.serve(&mut client, usize::MAX);
    assert_eq!(state(&client, message), Some(FileState::Failed));
}

#[test]
fn what_the_server_refuses_fails_with_its_message_and_can_be_tried_again() {
    let (_folder, mut client) = live_in_conversation();
    let (_, message) = send(&mut client, &bytes(900));
    let (id, _) = request::<BeginBlob>(&mut client);
    let refusal = Refusal::new(ErrorCode::QuotaExceeded);
    client.handle_frame(&frame::refused(id, &refusal), 2_000).unwrap();
    assert_eq!(client.message(CONVERSATION, message).unwrap().unwrap().state, MessageState::Failed);
    assert_eq!((state(&client, message), client.unsent().unwrap()), (Some(FileState::Failed), 0));
    client.fetch_file(CONVERSATION, message, 4_000).unwrap();
    assert_eq!(client.message(CONVERSATION, message).unwrap().unwrap().state, MessageState::Pending);
    let mut server = Server::default();
    server.serve(&mut client, usize::MAX);
    assert_eq!((server.sent.len(), state(&client, message)), (1, Some(FileState::Here)));
}

#[test]
fn a_busy_server_is_asked_again_later_and_a_forgetful_one_gets_all_of_it() {
    let (_folder, mut client) = live_in_conversation();
    let (_, message) = send(&mut client, &bytes(3 * FILE_PART_BYTES));
    let (id, _) = request::<BeginBlob>(&mut client);
    client.handle_frame(&frame::refused(id, &Refusal::retry_after(ErrorCode::RateLimited, 400)), 2_000).unwrap();
    assert_eq!(client.poll_transmit(), None);
    client.handle_timeout(2_600).unwrap();
    let (id, begin) = request::<BeginBlob>(&mut client);
    client.handle_frame(&frame::answer(id, &BlobProgress { parts: 0 }), 2_600).unwrap();
    while let Some(put) = client.poll_transmit() {
        let put = frame::read_request(&put).unwrap();
        client.handle_frame(&frame::refused(put.id, &ErrorCode::NotFound.into()), 2_600).unwrap();
    }
    client.handle_timeout(60_000).unwrap();
    let mut server = Server::default();
    server.serve(&mut client, usize::MAX);
    assert_eq!((server.finished, server.sent.len()), (vec![begin.blob], 1));
    assert_eq!(client.message(CONVERSATION, message).unwrap().unwrap().state, MessageState::Recorded);
}

#[test]
fn a_file_that_is_paused_waits_until_it_is_wanted() {
    let (_folder, mut client) = live_in_conversation();
    let mut server = Server::default();
    let (_, message) = send(&mut client, &bytes(8 * FILE_PART_BYTES));
    server.serve(&mut client, 3);
    client.pause_file(CONVERSATION, message, 2_000).unwrap();
    server.serve(&mut client, usize::MAX);
    assert_eq!(client.unsent().unwrap(), 0, "nothing is waited for that waits for the person");
    assert!(server.finished.is_empty() && client.file(CONVERSATION, message).unwrap().unwrap().paused);
    client.fetch_file(CONVERSATION, message, 4_000).unwrap();
    server.serve(&mut client, usize::MAX);
    assert_eq!((server.finished.len(), server.sent.len()), (1, 1));
}

#[test]
fn a_file_that_is_taken_back_on_its_way_was_never_there() {
    let (_folder, mut client) = live_in_conversation();
    let mut server = Server::default();
    let (blob, message) = send(&mut client, &bytes(8 * FILE_PART_BYTES));
    server.serve(&mut client, 3);
    client.send(CONVERSATION, &Content::new(Body::Delete { target: message }, 2_000), 2_000).unwrap();
    server.serve(&mut client, usize::MAX);
    assert_eq!((server.deleted.as_slice(), server.sent.len()), ([blob].as_slice(), 0));
    assert!(client.message(CONVERSATION, message).unwrap().is_none());
    assert!(client.search("plan", 10).unwrap().is_empty());
    assert_eq!(client.unsent().unwrap(), 0);
}

#[test]
fn a_file_goes_with_its_message() {
    let (_folder, mut client) = live_in_conversation();
    let mut server = Server::default();
    let (blob, message) = send(&mut client, &bytes(900));
    server.serve(&mut client, usize::MAX);
    client.send(CONVERSATION, &Content::new(Body::Delete { target: message }, 2_000), 2_000).unwrap();
    server.serve(&mut client, usize::MAX);
    assert_eq!(server.deleted, [blob]);
    assert!(matches!(client.file(CONVERSATION, message), Ok(None)));
    let left = "SELECT (SELECT count(*) FROM file) + (SELECT count(*) FROM files.part)";
    assert_eq!(client.reader().query_row(left, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}

#[test]
fn a_file_for_which_there_is_no_room_fails_and_nothing_else_does() {
    let (folder, mut client) = live_in_conversation();
    let (mut server, content) = (Server::default(), bytes(6 * FILE_PART_BYTES));
    let (_, message) = send(&mut client, &content);
    server.serve(&mut client, usize::MAX);
    forget(&mut client, message);
    let pages = |client: &Client, most: u32| {
        let sql = format!("PRAGMA files.max_page_count = {most}");
        client.reader().query_row(&sql, [], |row| row.get::<_, u32>(0)).unwrap()
    };
    assert_eq!(pages(&client, 200), 200);
    client.fetch_file(CONVERSATION, message, 4_000).unwrap();
    server.serve(&mut client, usize::MAX);
    let view = client.file(CONVERSATION, message).unwrap().unwrap();
    assert_eq!((view.state, view.parts), (Some(FileState::Failed), 0), "{view:?}");
    assert!(view.reason.unwrap().contains("no room"));
    assert!(std::fs::metadata(folder.path().join("device-files.db")).unwrap().len() < 100_000, "it takes up none");
    assert!(!client.wants_connection(4_000), "what was lost is asked for again on another connection");
    client.handle_disconnected(4_000);
    reconnect(&mut client, 5_000);
    client.send(CONVERSATION, &Content::text("words", 5_000), 5_000).unwrap();
    server.serve(&mut client, usize::MAX);
    assert_eq!(server.sent.len(), 2);
    pages(&client, 100_000);
    client.fetch_file(CONVERSATION, message, 6_000).unwrap();
    server.serve(&mut client, usize::MAX);
    assert_eq!(read(&client, message), content);
}

/// Two people have begun to talk to each other at once, and one conversation takes the place of the other.
#[test]
fn what_was_not_sent_into_a_conversation_that_is_replaced_is_another_blob_in_the_other() {
    for requests in [0, 2, 4, 5] {
        let (_folder, mut client) = live_in_conversation();
        let other = ConversationId::from_bytes([7; 16]);
        let mut server = Server::default();
        let (before, message) = send(&mut client, &bytes(900));
        // Up to where the file is there and the message on its way, and not answered.
        server.serve(&mut client, requests.min(3));
        client.handle_disconnected(2_500);
        client
            .turn(3_000, |turn| {
                let row = turn.conversation(CONVERSATION)?;
                let row = crate::database::conversation::ConversationRow { id: other, ..row };
                crate::database::conversation::save(turn.db, &row)?;
                turn.replace(CONVERSATION, other)
            })
            .unwrap();
        let of = Announced { conversation: other, message };
        let renewed = attachment(client.reader(), of).unwrap().unwrap();
        assert_ne!(renewed.blob, before);
        let row = file::of(client.reader(), of).unwrap().unwrap();
        assert_eq!((row.blob, row.state), (renewed.blob, FileState::Sending), "after {requests}");
        assert_eq!(file::unwanted(client.reader()).unwrap(), Some(before));
        assert_eq!(client.file_part(other, message, 0).unwrap().as_slice(), bytes(900));
        let waits = outbox::find(client.reader(), other, message).unwrap();
        assert!(waits.is_none(), "the message waits for its file again");
    }
}

#[test]
fn what_a_restored_server_has_lost_is_sent_again_with_its_file() {
    let (_folder, mut client) = live_in_conversation();
    let mut server = Server::default();
    let (blob, message) = send(&mut client, &bytes(900));
    server.serve(&mut client, usize::MAX);
    let words = client.send(CONVERSATION, &Content::text("words", 2_000), 2_000).unwrap();
    server.serve(&mut client, usize::MAX);
    let others = client.turn(3_000, |turn| turn.send_files_again(CONVERSATION, &[message, words])).unwrap();
    assert_eq!(others, [words], "they wait for no file");
    assert_eq!(server.sent.len(), 2);
    let mut restored = Server::default();
    restored.serve(&mut client, usize::MAX);
    assert_eq!(restored.finished, [blob], "the server that knows nothing of it gets all of it");
}

#[test]
fn who_is_no_member_any_more_does_not_try_again() {
    let (_folder, mut client) = live_in_conversation();
    let (_, message) = send(&mut client, &bytes(900));
    client
        .turn(2_000, |turn| {
            let mut row = turn.conversation(CONVERSATION)?;
            turn.leave(&mut row)?;
            Ok(crate::database::conversation::save(turn.db, &row)?)
        })
        .unwrap();
    assert_eq!((state(&client, message), client.unsent().unwrap()), (Some(FileState::Failed), 0));
    assert!(matches!(client.fetch_file(CONVERSATION, message, 3_000), Err(Error::NotMember)));
}

#[test]
fn room_is_given_back() {
    let (folder, mut client) = live_in_conversation();
    let mut server = Server::default();
    let (_, message) = send(&mut client, &bytes(8 * FILE_PART_BYTES));
    server.serve(&mut client, usize::MAX);
    let room = || std::fs::metadata(folder.path().join("device-files.db")).unwrap().len();
    assert!(room() > 8 * FILE_PART_BYTES as u64);
    client.send(CONVERSATION, &Content::new(Body::Delete { target: message }, 2_000), 2_000).unwrap();
    server.serve(&mut client, usize::MAX);
    assert!(room() < 100_000, "{}", room());
}

#[test]
fn what_disappears_is_not_kept_for_long() {
    let (_folder, mut client) = live_in_conversation();
    client.set_timer(CONVERSATION, 60, 2_000).unwrap();
    let mut server = Server::default();
    server.serve(&mut client, usize::MAX);
    let (blob, message) = send(&mut client, &bytes(900));
    server.serve(&mut client, usize::MAX);
    assert_eq!(server.begun[&blob].days, Some(30));
    client.handle_timeout(70_000).unwrap();
    assert!(client.message(CONVERSATION, message).unwrap().is_none_or(|line| line.body.is_none()));
    let left = "SELECT (SELECT count(*) FROM file) + (SELECT count(*) FROM files.part)";
    assert_eq!(client.reader().query_row(left, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}

#[test]
fn what_has_no_file_has_none_to_fetch() {
    let (_folder, mut client) = live_in_conversation();
    let words = client.send(CONVERSATION, &Content::text("words", 2_000), 2_000).unwrap();
    assert!(matches!(client.file(CONVERSATION, words), Ok(None)));
    assert!(matches!(client.fetch_file(CONVERSATION, words, 2_000), Err(Error::FileNotHere)));
    assert!(matches!(client.file(CONVERSATION, MessageId::from_bytes([9; 16])), Err(Error::UnknownMessage)));
    assert!(matches!(client.add_to_file(BlobId::from_bytes([9; 16]), b"x", 2_000), Err(Error::UnknownFile)));
}
