use super::*;
use crate::content::{Mention, Plaintext, Reaction};
use crate::database::conversation;
use crate::testing::pages::{holds, pages};
use crate::testing::{ALICE, BOB, CONVERSATION, Counter, TENANT, followed, live_in_conversation, request};
use crate::{MessageState, Settings};
use e2ee::LeafView;
use trust::{Aad, DevicePublicKey, LeafIdentity};
use wire::request::{RecordedAt, Send};
use wire::{DeviceId, Entry, EntryKind, UserId};

const NOW: u64 = 1_000_000;
const DAY: u32 = 86_400;
const DAY_MS: u64 = 86_400_000;

/// A content of a person, as the next entry of the log.
fn receive(client: &mut Client, user: UserId, id: u8, content: &Content, now: u64) -> Vec<Event> {
    let plaintext = Plaintext::wrap(&content.to_bytes(), &mut Counter::default());
    let identity = LeafIdentity { tenant: TENANT, user, device: DeviceId::from_bytes([8; 16]) };
    let sender = LeafView { index: 1, identity, key: DevicePublicKey::from_bytes([0; 32]) };
    let message_id = MessageId::from_bytes([id; 16]);
    let commitment = plaintext.commitment();
    client
        .turn(now, |turn| {
            let mut row = turn.conversation(CONVERSATION)?;
            let (seq, sender_device, payload) = (row.cursor + 1, identity.device, Vec::new());
            let kind = EntryKind::Application;
            let entry =
                Entry { seq, kind, epoch: 1, sender: sender_device, message_id, at: now, payload, generation: 0 };
            let aad = Aad { version: 1, message_id, commitment, seen_seq: 5, seen_hash: [5; 32] };
            turn.receive(&mut row, &entry, &sender, &aad, &plaintext.to_bytes())?;
            row.cursor = seq;
            Ok(conversation::save(turn.db, &row)?)
        })
        .unwrap();
    events(client)
}

fn events(client: &mut Client) -> Vec<Event> {
    std::iter::from_fn(|| client.poll_event()).collect()
}

fn texts(client: &Client) -> Vec<String> {
    let words = |line: crate::content::MessageView| line.body.and_then(|body| body.words().map(str::to_owned));
    client.lines(CONVERSATION, 100).unwrap().into_iter().filter_map(words).collect()
}

fn short_lived(words: &str, seconds: u32) -> Content {
    Content::text(words, NOW).expiring(Expiry::after_reading(seconds))
}

fn count(client: &Client, sql: &str) -> i64 {
    client.reader().query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn time_begins_with_reading_and_what_is_over_is_gone() {
    let (_folder, mut client) = followed();
    receive(&mut client, BOB, 1, &short_lived("burn after reading", DAY), NOW);
    receive(&mut client, BOB, 2, &Content::text("stays", NOW), NOW);
    client.handle_timeout(NOW + 30 * DAY_MS).unwrap();
    assert_eq!(texts(&client), ["burn after reading", "stays"], "it was not read yet");
    let read_at = NOW + 30 * DAY_MS;
    client.mark_read(CONVERSATION, read_at).unwrap();
    events(&mut client);
    assert_eq!(client.memory_mut().expires_at, Some(read_at + DAY_MS));
    client.handle_timeout(read_at + DAY_MS - 1).unwrap();
    assert_eq!(texts(&client).len(), 2);
    client.handle_timeout(read_at + DAY_MS).unwrap();
    assert_eq!(texts(&client), ["stays"]);
    assert_eq!(events(&mut client), [Event::Expired(CONVERSATION)]);
    assert!(client.search("burn", 9).unwrap().is_empty() && client.search("stays", 9).unwrap().len() == 1);
    assert_eq!(client.memory_mut().expires_at, None);
}

#[test]
fn what_expired_while_the_program_was_closed_is_gone_when_it_opens() {
    let (folder, mut client) = followed();
    receive(&mut client, BOB, 1, &short_lived("closed meanwhile", 60), NOW);
    client.mark_read(CONVERSATION, NOW).unwrap();
    drop(client);
    let key = crate::DatabaseKey::generate(&mut Counter::at(7));
    let database = crate::Database::open(&folder.path().join("device.db"), &key).unwrap();
    let mut client = Client::open(database, Box::new(Counter::default())).unwrap();
    assert_eq!(client.poll_timeout().map(|at| at.min(1)), Some(0), "a connection is wanted first of all");
    client.handle_timeout(NOW + 59_000).unwrap();
    assert_eq!(texts(&client), ["closed meanwhile"]);
    client.handle_timeout(NOW + 60_000).unwrap();
    assert!(texts(&client).is_empty());
}

#[test]
fn an_absolute_time_counts_whether_it_was_read_or_not() {
    let (_folder, mut client) = followed();
    let content = Content::text("until noon", NOW).expiring(Expiry::at_time(NOW + 60_000));
    receive(&mut client, BOB, 1, &content, NOW);
    assert_eq!(client.memory_mut().expires_at, Some(NOW + 60_000));
    client.handle_timeout(NOW + 60_000).unwrap();
    assert!(texts(&client).is_empty());
}

#[test]
fn edits_and_reactions_go_with_their_message_and_later_ones_are_not_kept() {
    let (_folder, mut client) = followed();
    let target = MessageId::from_bytes([1; 16]);
    receive(&mut client, BOB, 1, &short_lived("first wording", 60), NOW);
    let edit = |text: &str| Content::new(Body::Edit { target, text: text.into() }, NOW);
    let react = Content::new(Body::Reaction(Reaction { target, symbol: "👍".into(), removed: false }), NOW);
    receive(&mut client, BOB, 2, &edit("second wording"), NOW);
    receive(&mut client, ALICE, 3, &react, NOW);
    client.mark_read(CONVERSATION, NOW).unwrap();
    client.handle_timeout(NOW + 60_000).unwrap();
    receive(&mut client, BOB, 4, &edit("third wording"), NOW + 61_000);
    receive(&mut client, BOB, 5, &react, NOW + 61_000);
    assert!(texts(&client).is_empty() && client.search("wording", 9).unwrap().is_empty());
    assert_eq!(count(&client, "SELECT count(*) FROM message WHERE length(content) > 0 AND kind <> 6"), 0);
    let gone = client.message(CONVERSATION, target).unwrap().unwrap();
    assert_eq!((gone.state, gone.body, gone.author), (MessageState::Expired, None, Some(BOB)));
    assert!(matches!(client.send(CONVERSATION, &react, NOW), Err(Error::UnknownMessage)));
}

#[test]
fn a25_nobody_revives_or_takes_over_what_has_expired() {
    let (_folder, mut client) = followed();
    receive(&mut client, BOB, 1, &short_lived("mine", 60), NOW);
    client.mark_read(CONVERSATION, NOW).unwrap();
    client.handle_timeout(NOW + 60_000).unwrap();
    let mallory = UserId::from_bytes([9; 16]);
    receive(&mut client, mallory, 1, &Content::text("in its place", NOW), NOW);
    let states: Vec<_> = client.lines(CONVERSATION, 9).unwrap().iter().map(|line| line.state).collect();
    assert_eq!(states, [MessageState::Refused], "its id stays taken");
}

#[test]
fn what_was_refused_expires_too_and_harms_no_index() {
    let (_folder, mut client) = followed();
    receive(&mut client, BOB, 1, &Content::text("zebra stays", NOW), NOW);
    let target = MessageId::from_bytes([1; 16]);
    let forged = Content::new(Body::Edit { target, text: "zebra forged".into() }, NOW);
    receive(&mut client, ALICE, 2, &forged.expiring(Expiry::after_reading(60)), NOW);
    assert_eq!(client.lines(CONVERSATION, 9).unwrap()[1].state, MessageState::Refused);
    client.mark_read(CONVERSATION, NOW).unwrap();
    client.handle_timeout(NOW + 60_000).unwrap();
    assert_eq!(texts(&client), ["zebra stays"]);
    assert_eq!(count(&client, "SELECT count(*) FROM message WHERE instr(content, CAST('forged' AS BLOB)) > 0"), 0);
    assert_eq!(client.search("zebra", 9).unwrap().len(), 1);
}

#[test]
fn what_is_to_be_sent_lives_until_it_was_sent() {
    let (_folder, mut client) = live_in_conversation();
    client.set_timer(CONVERSATION, 60, NOW).unwrap();
    let (id, _) = request::<Send>(&mut client);
    let message = client.send(CONVERSATION, &Content::text("after the timer", NOW), NOW).unwrap();
    client.handle_timeout(NOW + 10_000).unwrap();
    assert_eq!(client.conversation(CONVERSATION).unwrap().unwrap().timer, 60, "shown before it is recorded");
    client.handle_frame(&wire::frame::answer(id, &RecordedAt { seq: 1, at: NOW, generation: 0 }), NOW).unwrap();
    let (id, send) = request::<Send>(&mut client);
    assert_eq!(send.message_id, message);
    let late = NOW + 20_000;
    client.handle_frame(&wire::frame::answer(id, &RecordedAt { seq: 2, at: NOW, generation: 0 }), late).unwrap();
    assert_eq!(texts(&client), ["after the timer"]);
    client.handle_timeout(late + 60_000).unwrap();
    assert!(texts(&client).is_empty());
    let timer = client.lines(CONVERSATION, 9).unwrap();
    assert_eq!(timer[0].body, Some(Body::Timer { seconds: 60 }), "the timer's own line stays");
}

#[test]
fn a_timer_is_a_line_applies_to_words_and_can_be_turned_off() {
    let (_folder, mut client) = followed();
    let timer = |seconds| Content::new(Body::Timer { seconds }, NOW);
    let told = receive(&mut client, BOB, 1, &timer(DAY), NOW);
    assert!(matches!(&told[..], [Event::Line { line, .. }] if line.body == Some(Body::Timer { seconds: DAY })));
    assert_eq!(receive(&mut client, BOB, 2, &timer(DAY), NOW), [], "told again for who joins, it is no line");
    let expiry = |client: &mut Client, content: &Content| {
        let row = conversation::find(client.reader(), CONVERSATION).unwrap().unwrap();
        client.turn(NOW, |turn| Ok(turn.timed(&row, content)?.expiry)).unwrap()
    };
    let words = Content::text("x", NOW);
    assert_eq!(expiry(&mut client, &words), Some(Expiry::after_reading(DAY)));
    assert_eq!(expiry(&mut client, &short_lived("x", 5)), Some(Expiry::after_reading(5)), "its own time counts");
    assert_eq!(expiry(&mut client, &Content::new(Body::Receipt { read_up_to: 1 }, NOW)), None);
    receive(&mut client, BOB, 3, &timer(0), NOW);
    assert_eq!(expiry(&mut client, &words), None);
}

#[test]
fn reading_on_another_device_of_the_person_counts() {
    let (_folder, mut client) = followed();
    receive(&mut client, BOB, 1, &short_lived("read on the phone", 60), NOW);
    assert_eq!(client.conversation(CONVERSATION).unwrap().unwrap().unread, 1);
    receive(&mut client, ALICE, 2, &Content::new(Body::Receipt { read_up_to: 6 }, NOW), NOW + 5_000);
    assert_eq!(client.conversation(CONVERSATION).unwrap().unwrap().unread, 0);
    client.handle_timeout(NOW + 65_000).unwrap();
    assert!(texts(&client).is_empty());
}

#[test]
fn receipts_are_told_only_if_the_person_wants_it() {
    for (receipts, told) in [(true, 1), (false, 0)] {
        let (_folder, mut client) = followed();
        client.set_settings(Settings { receipts, typing: true }, NOW).unwrap();
        receive(&mut client, BOB, 1, &Content::text("hello", NOW), NOW);
        client.mark_read(CONVERSATION, NOW).unwrap();
        assert_eq!(client.unsent().unwrap(), told);
        assert_eq!(client.conversation(CONVERSATION).unwrap().unwrap().unread, 0);
    }
}

#[test]
fn who_has_read_is_known_per_line() {
    let (_folder, mut client) = followed();
    let carol = UserId::from_bytes([7; 16]);
    receive(&mut client, BOB, 1, &Content::new(Body::Receipt { read_up_to: 4 }, NOW), NOW);
    receive(&mut client, carol, 2, &Content::new(Body::Receipt { read_up_to: 99 }, NOW), NOW);
    let view = client.conversation(CONVERSATION).unwrap().unwrap();
    let readers = |seq| view.readers(seq).collect::<Vec<_>>();
    assert_eq!(readers(4), [BOB, carol]);
    assert_eq!(readers(5), [carol]);
    assert_eq!(readers(7), [], "nobody has read what was not there yet");
}

#[test]
fn a25_a_person_is_not_called_what_a_message_says() {
    let (_folder, mut client) = followed();
    receive(&mut client, BOB, 1, &Content::new(Body::Name("alice's boss".into()), NOW), NOW);
    assert_eq!(client.conversation(CONVERSATION).unwrap().unwrap().title, client.handle_of(BOB).unwrap());
}

#[test]
fn unread_lines_that_name_this_person_are_counted() {
    let (_folder, mut client) = followed();
    let naming =
        |user| Content { mentions: vec![Mention { start: 0, end: 4, user }], ..Content::text("@who look", NOW) };
    receive(&mut client, BOB, 1, &naming(ALICE), NOW);
    receive(&mut client, BOB, 2, &naming(BOB), NOW);
    let view = client.conversation(CONVERSATION).unwrap().unwrap();
    assert_eq!((view.unread, view.unread_mentions), (2, 1));
    assert_eq!(view.last.unwrap().mentions[0].user, BOB);
    client.mark_read(CONVERSATION, NOW).unwrap();
    assert_eq!(client.conversation(CONVERSATION).unwrap().unwrap().unread_mentions, 0);
}

#[test]
fn what_expired_or_was_deleted_is_nowhere_in_the_file() {
    let (folder, mut client) = followed();
    let target = MessageId::from_bytes([2; 16]);
    let filler = |number: u8| Content::text(format!("filler{number} zebra{number}"), NOW);
    (20..60).for_each(|number| drop(receive(&mut client, BOB, number, &filler(number), NOW)));
    receive(&mut client, BOB, 1, &short_lived("quokkaexpired 鼬鼯 yes", 60), NOW);
    receive(&mut client, BOB, 2, &Content::text("wombatdeleted narwhal", NOW), NOW);
    receive(&mut client, BOB, 3, &Content::text("axolotlstays here", NOW), NOW);
    client.mark_read(CONVERSATION, NOW).unwrap();
    let secrets = ["quokkaexpired", "鼬鼯", "wombatdeleted", "narwhal"];
    client.database_mut().drop_old_pages().unwrap();
    let before = pages(&folder);
    assert!(secrets.iter().all(|secret| holds(&before, secret.as_bytes())), "the control: they were there");

    client.handle_timeout(NOW + 60_000).unwrap();
    receive(&mut client, BOB, 4, &Content::new(Body::Delete { target }, NOW), NOW);
    let after = pages(&folder);
    for secret in secrets {
        assert!(!holds(&after, secret.as_bytes()), "{secret} is still in the file");
        let halves = secret.char_indices().nth(secret.chars().count() / 2).unwrap().0;
        assert!(
            secret.len() < 10 || !holds(&after, &secret.as_bytes()[halves..]),
            "the end of {secret} is still in the file"
        );
    }
    assert!(holds(&after, b"axolotlstays"), "the control: what stays is found");
    let wal = std::fs::metadata(folder.path().join("device.db-wal")).map_or(0, |file| file.len());
    assert_eq!(wal, 0, "old pages are in no log");
}
