use super::*;
use crate::content::{Body, Content, MessageView, Plaintext, SharedKey};
use crate::database::conversation::ConversationRow;
use crate::database::{MessageRow, MessageState, archive, message};
use crate::testing::{ALICE, BOB, CONVERSATION, Counter, TENANT, live_in_conversation};
use e2ee::LeafView;
use tempfile::TempDir;
use trust::{Aad, Action, DeviceChain, DevicePublicKey, LeafIdentity};
use vault::{ArchiveKey, DeviceKey};
use wire::request::*;
use wire::{DeviceId, Entry, EntryKind, ErrorCode, MessageId, Op, Operation, UserId, frame};

const DAY: u64 = 86_400_000;
const NOW: u64 = 3 * DAY + 1_000;

/// The server's part, as far as archives go.
#[derive(Default)]
struct Shelf {
    days: Vec<ArchiveDay>,
    segments: Vec<Segment>,
}

impl Shelf {
    /// Answers everything that a client asks.
    fn serve(&mut self, client: &mut Client) {
        while let Some(bytes) = client.poll_transmit() {
            let request = frame::read_request(&bytes).unwrap();
            let (id, op) = (request.id, request.known().unwrap());
            let answer = match op {
                Op::OpenArchiveDay => {
                    let asked = of::<OpenArchiveDay>(request.body).day;
                    if self.days.iter().all(|day| day.day != asked.day) {
                        self.days.push(asked.clone());
                    }
                    frame::answer(id, self.days.iter().find(|day| day.day == asked.day).unwrap())
                }
                Op::PutSegment => self.put(id, of::<PutSegment>(request.body).segment),
                Op::ListSegments => {
                    let places = self.segments.iter().map(|s| Places { first: s.first, last: s.last }).collect();
                    frame::answer(id, &SegmentList { places, more: false, kept_out: false })
                }
                Op::FetchSegments => {
                    let before = of::<FetchSegments>(request.body).before;
                    let mut segments: Vec<_> = self.segments.iter().filter(|s| s.first < before).cloned().collect();
                    segments.sort_by_key(|segment| std::cmp::Reverse(segment.first));
                    // One at a time, so that a client has to ask again.
                    let earlier = segments.len() > 1;
                    segments.truncate(1);
                    frame::answer(id, &Segments { segments, days: self.days.clone(), earlier })
                }
                Op::FetchArchiveDays => frame::answer(id, &ArchiveDays { days: self.days.clone(), more: false }),
                Op::RewrapArchiveDays => {
                    self.days = of::<RewrapArchiveDays>(request.body).days;
                    frame::answer(id, &Done {})
                }
                Op::KeepOut => {
                    self.segments.clear();
                    frame::answer(id, &Done {})
                }
                Op::PublishKeyPackages => frame::answer(id, &KeyPackagesHeld { one_time: 50, last_resort_used: false }),
                // What else it asks for waits.
                _ => continue,
            };
            client.handle_frame(&answer, NOW).unwrap();
        }
    }

    fn put(&mut self, id: u32, new: Segment) -> Vec<u8> {
        let overlaps = |there: &&mut Segment| there.first <= new.last && new.first <= there.last;
        match self.segments.iter_mut().find(overlaps) {
            None => self.segments.push(new),
            Some(there) if there.revision + 1 == new.revision => *there = new,
            Some(_) => return frame::refused(id, &ErrorCode::AlreadyExists.into()),
        }
        frame::answer(id, &Done {})
    }

    fn places(&self) -> Vec<(u64, u64)> {
        let mut places: Vec<_> = self.segments.iter().map(|segment| (segment.first, segment.last)).collect();
        places.sort_unstable();
        places
    }
}

fn of<O: Operation>(body: &[u8]) -> O {
    wire::decode(body).unwrap()
}

/// A device of Alice's that knows her chain: all of them have her keys.
fn device() -> (TempDir, Client) {
    let (folder, mut client) = live_in_conversation();
    client
        .turn(NOW, |turn| {
            let account = turn.account()?;
            let entry = account.account_key.open_chain(TENANT, ALICE, account.device, &account.device_key);
            assert!(turn.pin(ALICE, "alice", &[entry])?);
            Ok(())
        })
        .unwrap();
    (folder, client)
}

/// Another device of hers, that came into the conversation after this place and has the keys of that one.
fn newcomer(of: &Client, begins: u64) -> (TempDir, Client) {
    let (folder, mut client) = device();
    let keys = archive::keys(of.reader()).unwrap();
    client
        .turn(NOW, |turn| {
            turn.take_archive_keys(&keys)?;
            let row = turn.conversation(CONVERSATION)?;
            let row = ConversationRow { begins, cursor: begins, read_up_to: begins, ..row };
            Ok(conversation::save(turn.db, &row)?)
        })
        .unwrap();
    (folder, client)
}

/// Has somebody say something, as the next entry of the log.
fn say(client: &mut Client, user: UserId, content: &Content, at: u64) -> MessageId {
    let plaintext = Plaintext::wrap(&content.to_bytes(), &mut Counter::default());
    let identity = LeafIdentity { tenant: TENANT, user, device: DeviceId::from_bytes([8; 16]) };
    let sender = LeafView { index: 1, identity, key: DevicePublicKey::from_bytes([0; 32]) };
    client
        .turn(NOW, |turn| {
            let mut row = turn.conversation(CONVERSATION)?;
            let (seq, kind) = (row.cursor + 1, EntryKind::Application);
            let message_id = MessageId::from_bytes([u8::try_from(seq).unwrap(); 16]);
            let (sender_device, payload) = (identity.device, Vec::new());
            let entry = Entry { seq, kind, epoch: 1, sender: sender_device, message_id, at, payload, generation: 0 };
            let aad =
                Aad { version: 1, message_id, commitment: plaintext.commitment(), seen_seq: 0, seen_hash: [0; 32] };
            turn.receive(&mut row, &entry, &sender, &aad, &plaintext.to_bytes())?;
            row.cursor = seq;
            conversation::save(turn.db, &row)?;
            turn.archive_at_once();
            Ok(message_id)
        })
        .unwrap()
}

fn text(words: &str) -> Content {
    Content::text(words, NOW)
}

fn words(client: &Client) -> Vec<String> {
    let of = |line: &MessageView| match (&line.body, line.deleted) {
        (_, true) => String::from("(taken back)"),
        (Some(body), _) => body.words().unwrap_or("-").to_owned(),
        (None, _) => format!("{:?}", line.state),
    };
    client.lines(CONVERSATION, 100).unwrap().iter().map(of).collect()
}

fn events(client: &mut Client) -> Vec<Event> {
    std::iter::from_fn(|| client.poll_event()).collect()
}

/// Fetches all that the archive has.
fn scroll_back(client: &mut Client, shelf: &mut Shelf) {
    while client.has_earlier_history(CONVERSATION).unwrap() {
        client.fetch_history(CONVERSATION, NOW).unwrap();
        shelf.serve(client);
    }
}

#[test]
fn what_was_read_comes_back_on_another_device_and_what_disappears_does_not() {
    let ((_folder, mut phone), mut shelf) = (device(), Shelf::default());
    say(&mut phone, BOB, &text("yesterday"), NOW - DAY);
    say(&mut phone, BOB, &text("today"), NOW);
    say(&mut phone, BOB, &Content::new(Body::Receipt { read_up_to: 1 }, NOW), NOW);
    let expiry = Some(crate::content::Expiry::after_reading(60));
    say(&mut phone, BOB, &Content { expiry, ..text("disappears") }, NOW);
    let target = say(&mut phone, ALICE, &text("as it was"), NOW);
    say(&mut phone, ALICE, &Content::new(Body::Edit { target, text: "as it is".into() }, NOW), NOW);
    shelf.serve(&mut phone);
    assert_eq!(shelf.places(), [(1, 1), (2, 6)], "a day for each, and nothing at the ends that does not belong there");
    assert!(shelf.segments.iter().all(|segment| !segment.bytes.windows(5).any(|bytes| bytes == b"today")));

    let (_other, mut laptop) = newcomer(&phone, 7);
    scroll_back(&mut laptop, &mut shelf);
    assert_eq!(words(&laptop), ["yesterday", "today", "as it is"]);
    assert_eq!(laptop.search("yesterday", 9).unwrap().len(), 1);
    assert_eq!(laptop.conversations().unwrap()[0].unread, 0);
    // What came from the archive is not put there again.
    let before = shelf.segments.clone();
    archive_now(&mut laptop);
    shelf.serve(&mut laptop);
    assert_eq!(shelf.segments, before);
}

#[test]
fn two_devices_double_nothing_and_fill_in_what_the_other_could_not_read() {
    let ((_a, mut phone), (_b, mut laptop), mut shelf) = (device(), device(), Shelf::default());
    for number in 1..=5 {
        say(&mut phone, BOB, &text(&format!("{number}")), NOW);
        say(&mut laptop, BOB, &text(&format!("{number}")), NOW);
    }
    // The laptop has the same keys, and the phone could not read one of the messages.
    phone.turn(NOW, |turn| Ok(unreadable(turn, 3)?)).unwrap();
    shelf.serve(&mut phone);
    assert_eq!(shelf.places(), [(1, 2), (4, 5)]);
    let keys = archive::keys(phone.reader()).unwrap();
    laptop.turn(NOW, |turn| turn.take_archive_keys(&keys)).unwrap();
    shelf.serve(&mut laptop);
    assert_eq!(shelf.places(), [(1, 2), (3, 3), (4, 5)]);
    // And the phone is told, and reads what it could not.
    let told = wire::Event::Archived(wire::event::Archived { conversation: CONVERSATION, first: 3, last: 3 });
    phone.handle_frame(&frame::event(&told), NOW).unwrap();
    shelf.serve(&mut phone);
    assert_eq!(words(&phone), ["1", "2", "3", "4", "5"]);
}

fn unreadable(turn: &Turn<'_>, seq: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE message SET state = 3, content = x'', message_id = NULL WHERE seq = ?";
    turn.db.execute(sql, [seq]).map(drop)
}

#[test]
fn c11_what_the_server_changes_or_moves_is_not_taken_and_the_rest_is() {
    let ((_folder, mut phone), mut shelf) = (device(), Shelf::default());
    for day in 0..3 {
        say(&mut phone, BOB, &text(&format!("{day}")), NOW - (2 - day) * DAY);
    }
    shelf.serve(&mut phone);
    assert_eq!(shelf.segments.len(), 3);
    let honest = shelf.segments.clone();
    let changes: [fn(&mut Segment); 4] = [
        |segment| segment.bytes[40] ^= 1,
        |segment| segment.last = 9,
        |segment| segment.revision += 1,
        |segment| segment.bytes.truncate(3),
    ];
    for change in changes {
        shelf.segments = honest.clone();
        change(&mut shelf.segments[1]);
        let (_other, mut laptop) = newcomer(&phone, 10);
        scroll_back(&mut laptop, &mut shelf);
        assert_eq!(words(&laptop), ["0", "2"]);
        assert!(events(&mut laptop).contains(&Event::HistoryUnreadable(CONVERSATION)));
    }
    shelf.segments = honest;
    let (_other, mut laptop) = newcomer(&phone, 10);
    scroll_back(&mut laptop, &mut shelf);
    assert_eq!(words(&laptop), ["0", "1", "2"], "the control");
}

#[test]
fn what_is_taken_back_leaves_the_archive() {
    let ((_folder, mut phone), mut shelf) = (device(), Shelf::default());
    let target = say(&mut phone, BOB, &text(&"a secret ".repeat(200)), NOW);
    say(&mut phone, BOB, &Content::new(Body::Edit { target, text: "a secret still".into() }, NOW), NOW);
    say(&mut phone, BOB, &text("no secret"), NOW);
    shelf.serve(&mut phone);
    let (before, length) = (shelf.segments[0].revision, shelf.segments[0].bytes.len());
    say(&mut phone, BOB, &Content::new(Body::Delete { target }, NOW), NOW);
    shelf.serve(&mut phone);
    let blanked = shelf.segments[0].clone();
    assert_eq!((before, blanked.revision), (0, 1));
    assert!(blanked.bytes.len() < length);
    assert!(archive::first_blank(phone.reader()).unwrap().is_none());
    let opened = phone.turn(NOW, |turn| turn.open_segment(CONVERSATION, &blanked, &shelf.days)).unwrap().unwrap();
    let held: Vec<_> = opened.records.iter().map(|record| record.content.is_empty()).collect();
    assert_eq!(held, [true, true, false]);
    let (_other, mut laptop) = newcomer(&phone, 9);
    scroll_back(&mut laptop, &mut shelf);
    assert_eq!(words(&laptop), ["(taken back)", "no secret"]);
}

#[test]
fn a_segment_of_before_the_taking_back_is_emptied_by_who_reads_it() {
    let ((_folder, mut phone), mut shelf) = (device(), Shelf::default());
    let target = say(&mut phone, BOB, &text("a secret"), NOW);
    shelf.serve(&mut phone);
    let (_other, mut laptop) = newcomer(&phone, 1);
    say(&mut laptop, BOB, &Content::new(Body::Delete { target }, NOW), NOW);
    shelf.serve(&mut laptop);
    assert_eq!(shelf.segments[0].revision, 0, "the laptop does not know where it is");
    scroll_back(&mut laptop, &mut shelf);
    shelf.serve(&mut laptop);
    assert_eq!(words(&laptop), ["(taken back)"]);
    assert_eq!(shelf.segments[0].revision, 1);
}

/// One of Alice's devices is added and removed again; `stays`: another one is added and stays.
fn revoke_one(client: &mut Client, stays: bool) {
    client
        .turn(NOW, |turn| {
            let account = turn.account()?;
            let mut entries = crate::database::contact::chain(turn.db, ALICE)?;
            let mut next = |action: Action, key: Option<&DeviceKey>| {
                let chain = DeviceChain::verify(TENANT, ALICE, &entries, None).unwrap();
                entries.push(account.account_key.continue_chain(&chain, action, key));
            };
            for number in 1..=1 + u8::from(stays) {
                let (device, key) =
                    (DeviceId::from_bytes([number; 16]), DeviceKey::generate(&mut Counter(u64::from(number) << 32)));
                next(Action::Add { device, device_key: key.public() }, Some(&key));
            }
            next(Action::Revoke { device: DeviceId::from_bytes([1; 16]) }, None);
            assert!(turn.pin(ALICE, "alice", &entries)?);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a21_nothing_more_is_sealed_under_a_key_that_a_removed_device_has() {
    let ((_folder, mut phone), mut shelf) = (device(), Shelf::default());
    say(&mut phone, BOB, &text("before"), NOW);
    shelf.serve(&mut phone);
    let old = archive::keys(phone.reader()).unwrap().pop().unwrap();
    revoke_one(&mut phone, false);
    say(&mut phone, BOB, &text("after"), NOW);
    shelf.serve(&mut phone);
    assert_eq!(shelf.places(), [(1, 1), (2, 2)]);
    assert_eq!(vault::DayKey::version_of(&shelf.segments[0].bytes), Ok(1));
    assert_eq!(vault::DayKey::version_of(&shelf.segments[1].bytes), Ok(2));
    // The day's key was sealed anew: who has only the old archive key cannot even open what it had sealed.
    assert_eq!(shelf.days.iter().map(|day| day.version).collect::<Vec<_>>(), [2]);
    let owner = vault::ArchiveOwner { tenant: TENANT, user: ALICE };
    let posing = ArchiveDay { version: old.version(), ..shelf.days[0].clone() };
    assert!(old.open_day(owner, posing.day, &posing.wrapped).is_err());
    let (_other, mut laptop) = newcomer(&phone, 9);
    scroll_back(&mut laptop, &mut shelf);
    assert_eq!(words(&laptop), ["before", "after"]);
}

#[test]
fn a21_while_others_have_to_be_told_of_a_new_key_nothing_is_archived() {
    let ((_folder, mut phone), mut shelf) = (device(), Shelf::default());
    say(&mut phone, BOB, &text("before"), NOW);
    shelf.serve(&mut phone);
    revoke_one(&mut phone, true);
    say(&mut phone, BOB, &text("after"), NOW);
    shelf.serve(&mut phone);
    assert_eq!(shelf.places(), [(1, 1)]);
    // A key that another device has made under this chain.
    let key = ArchiveKey::generate(2, 1, &mut Counter(9));
    phone.turn(NOW, |turn| turn.take_shared_key(&SharedKey::of(&key))).unwrap();
    shelf.serve(&mut phone);
    assert_eq!(shelf.places(), [(1, 1), (2, 2)]);
}

#[test]
fn a23_a_key_from_somebody_else_or_elsewhere_is_not_believed() {
    let (_folder, mut phone) = device();
    let key = SharedKey::of(&ArchiveKey::generate(7, 0, &mut Counter(9)));
    let own = phone.account().unwrap().own_group();
    for author in [BOB, ALICE] {
        say(&mut phone, author, &Content::new(Body::ArchiveKey(key.clone()), NOW), NOW);
    }
    assert_eq!(words(&phone).len(), 2);
    assert!(phone.lines(CONVERSATION, 9).unwrap().iter().all(|line| line.state == MessageState::Refused));
    assert!(archive::keys(phone.reader()).unwrap().iter().all(|key| key.version() < 7));
    let believed = |turn: &mut Turn<'_>, author| Ok(turn.objection_to_key(own, Some(author))?.is_none());
    assert!(phone.turn(NOW, |turn| believed(turn, ALICE)).unwrap(), "the control");
    assert!(!phone.turn(NOW, |turn| believed(turn, BOB)).unwrap());
}

#[test]
fn what_is_kept_out_goes_and_nothing_more_comes() {
    let ((_folder, mut phone), mut shelf) = (device(), Shelf::default());
    say(&mut phone, BOB, &text("one"), NOW);
    shelf.serve(&mut phone);
    phone.keep_out_of_archive(CONVERSATION, true, NOW).unwrap();
    assert_eq!(phone.unsent().unwrap(), 1);
    shelf.serve(&mut phone);
    say(&mut phone, BOB, &text("two"), NOW);
    shelf.serve(&mut phone);
    assert_eq!((shelf.places(), phone.unsent().unwrap()), (vec![], 0));
    phone.keep_out_of_archive(CONVERSATION, false, NOW).unwrap();
    shelf.serve(&mut phone);
    assert_eq!(shelf.places(), [(1, 2)]);
}

#[test]
fn a_long_conversation_becomes_segments_that_a_screen_can_wait_for() {
    let ((_folder, mut phone), mut shelf) = (device(), Shelf::default());
    phone
        .turn(NOW, |turn| {
            let mut row = turn.conversation(CONVERSATION)?;
            for seq in 1..=1_000_u64 {
                let content = text(&format!("line {seq}"));
                let row_of = MessageRow {
                    seq: Some(seq),
                    message_id: Some(MessageId::from_bytes(u128::from(seq).to_be_bytes())),
                    author: Some(BOB),
                    device: DeviceId::from_bytes([8; 16]),
                    at: NOW,
                    state: MessageState::Recorded,
                    content: content.to_bytes(),
                    reason: None,
                };
                message::insert(turn.db, &row, &row_of, message::Place { kind: 1, line: true, target: None })?;
            }
            row.cursor = 1_000;
            turn.archive_at_once();
            Ok(conversation::save(turn.db, &row)?)
        })
        .unwrap();
    shelf.serve(&mut phone);
    assert_eq!(shelf.places().len(), 5);
    let (_other, mut laptop) = newcomer(&phone, 1_001);
    laptop.fetch_history(CONVERSATION, NOW).unwrap();
    shelf.serve(&mut laptop);
    assert_eq!(laptop.lines(CONVERSATION, 2_000).unwrap().len(), 200, "a part at a time");
    scroll_back(&mut laptop, &mut shelf);
    let all = laptop.lines(CONVERSATION, 2_000).unwrap();
    let seqs: Vec<_> = all.iter().filter_map(|line| line.seq).collect();
    assert_eq!(seqs, (1..=1_000).collect::<Vec<_>>());
}

fn archive_now(client: &mut Client) {
    client
        .turn(NOW, |turn| {
            turn.archive_at_once();
            Ok(())
        })
        .unwrap();
}
