//! Receiving, with a server that says what it likes.

use super::*;
use crate::testing::{CONVERSATION, followed, live_in_conversation, request};
use wire::MessageId;
use wire::request::{CurrentGroup, Fetch, FetchGroupInfo, FetchTree, Tree};

const NOW: u64 = 1_000;

#[test]
fn a13_another_history_is_noticed_and_told_once() {
    let (_folder, mut client) = followed();
    let seen = |seq, byte| Aad {
        version: 1,
        message_id: MessageId::from_bytes([1; 16]),
        commitment: [0; 32],
        seen_seq: seq,
        seen_hash: [byte; 32],
    };
    let forked = |client: &mut crate::Client, aad: Aad| {
        client.turn(NOW, |turn| {
            let mut row = turn.conversation(CONVERSATION)?;
            turn.check_seen(&mut row, &aad)?;
            conversation::save(turn.db, &row)?;
            Ok(row.forked)
        })
    };
    for (seq, byte) in [(5, 5), (1, 1), (0, 0)] {
        assert!(!forked(&mut client, seen(seq, byte)).unwrap(), "{seq} is as it was seen here");
    }
    for (seq, byte) in [(4, 5), (6, 6), (0, 1)] {
        let (_folder, mut client) = followed();
        assert!(forked(&mut client, seen(seq, byte)).unwrap(), "{seq} with another hash");
        assert!(forked(&mut client, seen(5, 5)).unwrap(), "it stays so");
        assert_eq!(std::iter::from_fn(|| client.poll_event()).collect::<Vec<_>>(), [Event::Forked(CONVERSATION)]);
    }
}

#[test]
fn a_call_that_fails_leaves_nothing_behind() {
    let (_folder, mut client) = followed();
    let failed: Result<(), Error> = client.turn(NOW, |turn| {
        let mut row = turn.conversation(CONVERSATION)?;
        row.cursor = 99;
        conversation::save(turn.db, &row)?;
        turn.tell(Event::Forked(CONVERSATION));
        Err(Error::UnknownMessage)
    });
    assert!(failed.is_err());
    assert_eq!(conversation::find(client.reader(), CONVERSATION).unwrap().unwrap().cursor, 5);
    assert_eq!(client.poll_event(), None);
}

fn rubbish(seq: u64) -> wire::Event {
    let entry = Entry {
        seq,
        kind: EntryKind::Application,
        epoch: 0,
        sender: wire::DeviceId::from_bytes([8; 16]),
        message_id: MessageId::from_bytes([seq as u8; 16]),
        at: NOW,
        payload: b"rubbish".to_vec(),
        generation: 0,
    };
    wire::Event::Recorded(Recorded { conversation: CONVERSATION, generation: 0, entry })
}

fn hear(client: &mut crate::Client, event: &wire::Event) -> Vec<Event> {
    client.handle_frame(&wire::frame::event(event), NOW).unwrap();
    std::iter::from_fn(|| client.poll_event()).filter(|event| *event != Event::CaughtUp).collect()
}

#[test]
fn a13_what_cannot_be_opened_is_shown_counted_and_repaired_and_a_repeat_is_dropped() {
    let (_folder, mut client) = live_in_conversation();
    let told = hear(&mut client, &rubbish(1));
    assert!(told.iter().any(|event| matches!(event, Event::Undecryptable { seq: 1, .. })), "{told:?}");
    let view = client.conversation(CONVERSATION).unwrap().unwrap();
    assert_eq!((view.undecryptable, view.state), (1, ConversationState::Repairing));
    request::<FetchGroupInfo>(&mut client);
    assert_eq!(hear(&mut client, &rubbish(1)), []);
    assert_eq!(client.lines(CONVERSATION, 10).unwrap().len(), 1);
}

#[test]
fn a13_an_entry_that_came_too_early_is_fetched_in_its_order() {
    let (_folder, mut client) = live_in_conversation();
    assert_eq!(hear(&mut client, &rubbish(3)), []);
    let (_, fetch) = request::<Fetch>(&mut client);
    assert_eq!((fetch.conversation, fetch.after), (CONVERSATION, 0));
    assert!(client.lines(CONVERSATION, 10).unwrap().is_empty());
}

#[test]
fn a_log_that_begins_too_late_is_a_gap_and_repaired() {
    let (_folder, mut client) = live_in_conversation();
    hear(&mut client, &rubbish(9));
    let (id, _) = request::<Fetch>(&mut client);
    let fetched = Fetched { entries: vec![entry_of(rubbish(9))], head: 9, generation: 0 };
    client.handle_frame(&wire::frame::answer(id, &fetched), NOW).unwrap();
    let (id, _) = request::<FetchGroupInfo>(&mut client);
    let current = CurrentGroup { group_info: b"x".to_vec(), epoch: 4, seq: 8, generation: 0, entry_hash: [8; 32] };
    client.handle_frame(&wire::frame::answer(id, &current), NOW).unwrap();
    let (id, tree) = request::<FetchTree>(&mut client);
    assert_eq!(tree.epoch, 4);
    client.handle_frame(&wire::frame::answer(id, &Tree { tree: b"x".to_vec() }), NOW).unwrap();
    let lines = client.lines(CONVERSATION, 10).unwrap();
    assert!(lines[0].reason.as_deref().unwrap().starts_with("8 entries were deleted"), "{lines:?}");
}

#[test]
fn another_generation_is_told_and_nothing_of_it_is_processed() {
    let (_folder, mut client) = followed();
    client
        .turn(NOW, |turn| {
            let row = ConversationRow { generation: 1, ..turn.conversation(CONVERSATION)? };
            conversation::save(turn.db, &row)?;
            for generation in [0, 2] {
                let entry = Entry { seq: 6, ..entry_of(rubbish(6)) };
                turn.recorded(&Recorded { conversation: CONVERSATION, generation, entry: entry.clone() })?;
                turn.fetched(CONVERSATION, Fetched { entries: vec![entry], head: 6, generation })?;
                assert_eq!(turn.conversation(CONVERSATION)?.cursor, row.cursor);
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(client.poll_event(), Some(Event::GenerationChanged(CONVERSATION)), "an older one is told at once");
    assert_eq!(client.poll_event(), None);
}

fn entry_of(event: wire::Event) -> Entry {
    match event {
        wire::Event::Recorded(recorded) => recorded.entry,
        other => panic!("{other:?}"),
    }
}
