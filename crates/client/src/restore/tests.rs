use super::*;
use crate::content::Content;
use crate::database::message;
use crate::database::raw::Removed;
use crate::testing::CONVERSATION;
use crate::testing::scene::{Scene, now};
use crate::{MessageState, Position};
use wire::request::Send;
use wire::{Entry, MessageId, Op, frame};

/// Bob says something at 2, Alice at 3. Alice's message is returned.
fn talked() -> (Scene, MessageId) {
    let mut scene = Scene::new();
    let entry = scene.said(scene.group, 2, "from bob");
    scene.tell(CONVERSATION, entry);
    let message = scene.alice.send(CONVERSATION, &Content::text("from alice", 1), now()).unwrap();
    let (id, _) = scene.want::<Send>();
    scene.answer::<Send>(id, &RecordedAt { seq: 3, at: now(), generation: 0 });
    scene.events();
    (scene, message)
}

impl Scene {
    /// The server says that it was restored, and what it has.
    fn restore(&mut self, change: impl FnOnce(&mut Restored)) {
        let (seq, head) = (2, 2);
        let entry_hash = self.hash(seq);
        self.notice(head);
        let (id, fetch) = self.want::<FetchRestored>();
        assert_eq!((fetch.conversation, fetch.generation), (CONVERSATION, 0));
        let mut restored = Restored {
            generation: 1,
            seq,
            entry_hash,
            head,
            held_ms: Some(60_000),
            wants_group_info: false,
            head_hash: entry_hash,
        };
        change(&mut restored);
        self.answer::<FetchRestored>(id, &restored);
    }

    fn notice(&mut self, seq: u64) {
        let head = Cursor { conversation: CONVERSATION, generation: 1, seq };
        let notice = |turn: &mut crate::turn::Turn<'_>| {
            turn.notice_head(head);
            Ok(())
        };
        self.alice.turn(now(), notice).unwrap();
    }

    fn hash(&self, seq: u64) -> [u8; 32] {
        raw::hash_at(self.alice.reader(), CONVERSATION, seq).unwrap().unwrap().0
    }

    fn position(&mut self) -> Position {
        self.alice.position(CONVERSATION, now()).unwrap().unwrap()
    }

    fn place(&mut self) -> (u32, u64) {
        let position = self.position();
        (position.generation, position.cursor)
    }

    fn kept(&self, seq: u64) -> Entry {
        raw::find(self.alice.reader(), CONVERSATION, seq).unwrap().unwrap().0
    }
}

#[test]
fn what_is_missing_is_given_back_in_order_and_then_nothing_has_happened() {
    let (mut scene, _) = talked();
    let before = scene.position().hash;
    scene.restore(|restored| (restored.seq, restored.head, restored.entry_hash) = (1, 1, [0; 32]));
    for seq in 2..=3 {
        let (id, resupply) = scene.want::<Resupply>();
        assert_eq!((resupply.entry.seq, &resupply.entry), (seq, &scene.kept(seq)), "verbatim");
        scene.answer::<Resupply>(id, &RecordedAt { seq, at: now(), generation: 0 });
    }
    let (id, fetch) = scene.want::<FetchRestored>();
    assert_eq!(fetch.generation, 1, "what else is missing");
    let entry_hash = scene.hash(3);
    let whole = Restored {
        generation: 1,
        seq: 3,
        entry_hash,
        head: 3,
        held_ms: Some(9),
        wants_group_info: true,
        head_hash: entry_hash,
    };
    scene.answer::<FetchRestored>(id, &whole);
    scene.want::<RenewGroupInfo>();
    assert_eq!((scene.place(), scene.position().hash), ((1, 3), before));
    assert_eq!(scene.events(), [Event::CaughtUp], "nobody notices anything");
    let next = scene.said(scene.group, 4, "on");
    scene.tell(CONVERSATION, Entry { generation: 1, ..next });
}

#[test]
fn what_others_have_given_back_is_compared_and_not_given_back_again() {
    let (mut scene, _) = talked();
    scene.restore(|restored| restored.head = 3);
    let (id, fetch) = scene.want::<Fetch>();
    assert_eq!(fetch.after, 2);
    let entries = vec![scene.kept(3)];
    scene.answer::<Fetch>(id, &Fetched { entries, head: 3, generation: 1 });
    scene.want::<FetchRestored>();
    assert_eq!((scene.place(), scene.wants()), ((1, 3), Vec::new()));
}

#[test]
fn while_somebody_else_gives_back_it_is_looked_at_again_and_what_is_new_waits() {
    let (mut scene, _) = talked();
    scene.restore(|_| {});
    let (id, _) = scene.want::<Resupply>();
    let refusal = ErrorCode::AlreadyExists.into();
    scene.alice.handle_frame(&frame::refused(id, &refusal), now()).unwrap();
    let message = scene.alice.send(CONVERSATION, &Content::text("new", 1), now()).unwrap();
    assert_eq!(scene.wants(), [], "not before the two agree");
    let at = scene.alice.poll_timeout().unwrap().max(now() + 10_000);
    scene.alice.handle_timeout(at).unwrap();
    scene.want::<FetchRestored>();
    let kept = message::find(scene.alice.reader(), CONVERSATION, message).unwrap().unwrap();
    assert_eq!(kept.state, MessageState::Pending);
}

#[test]
fn a_refusal_because_of_a_restore_keeps_the_message_as_it_is() {
    let (mut scene, _) = talked();
    let message = scene.alice.send(CONVERSATION, &Content::text("waits", 1), now()).unwrap();
    let (id, sealed) = scene.want::<Send>();
    let refusal = Refusal::retry_after(ErrorCode::Restoring, 5_000);
    scene.alice.handle_frame(&frame::refused(id, &refusal), now()).unwrap();
    assert_eq!(scene.wants(), []);
    scene.alice.handle_timeout(now() + 20_000).unwrap();
    let (_, again) = scene.want::<Send>();
    assert_eq!((again.message_id, again.payload), (message, sealed.payload));
}

#[test]
fn what_did_not_come_back_in_time_is_said_again_under_its_id() {
    let (mut scene, message) = talked();
    scene.restore(|restored| restored.held_ms = None);
    let told = scene.events();
    assert!(told.contains(&Event::LogBranched { conversation: CONVERSATION, entries: 1, again: 1 }), "{told:?}");
    assert_eq!(scene.place(), (1, 2));
    let (id, again) = scene.want::<Send>();
    assert_eq!(again.message_id, message);
    scene.answer::<Send>(id, &RecordedAt { seq: 3, at: now(), generation: 1 });
    assert_eq!(scene.place(), (1, 3));
    assert_eq!(scene.alice.lines(CONVERSATION, 9).unwrap().len(), 2, "it is one message");
}

#[test]
fn a_message_of_another_that_comes_again_is_dropped_without_a_word() {
    let (mut scene, _) = talked();
    let (generation, group) = (1, scene.group);
    scene.restore(|restored| {
        (restored.seq, restored.head, restored.entry_hash, restored.held_ms) = (1, 1, [0; 32], None)
    });
    let told = scene.events();
    assert!(told.iter().any(|event| matches!(event, Event::LogBranched { again: 1, .. })), "{told:?}");
    let (id, _) = scene.want::<Send>();
    scene.answer::<Send>(id, &RecordedAt { seq: 2, at: now(), generation });
    scene.events();
    // Bob's, under the id that it had at 2.
    let again = Entry { seq: 3, generation, ..scene.said(group, 2, "from bob") };
    scene.tell_of(1, again);
    let lines = scene.alice.lines(CONVERSATION, 9).unwrap();
    assert_eq!(lines.iter().map(|line| line.seq).collect::<Vec<_>>(), [Some(2), Some(3)], "{lines:?}");
    assert!(!scene.events().iter().any(|event| matches!(event, Event::Line { .. })));
}

#[test]
fn a13_a_server_that_says_that_another_log_survived_is_caught_and_nothing_is_processed() {
    let (mut scene, _) = talked();
    scene.restore(|restored| restored.entry_hash = [9; 32]);
    let told = scene.events();
    assert!(told.contains(&Event::Forked(CONVERSATION)), "{told:?}");
    assert_eq!((scene.place(), scene.wants()), ((0, 3), Vec::new()));
    let entry = scene.said(scene.group, 4, "of another log");
    scene.tell_of(1, Entry { generation: 1, ..entry });
    assert_eq!(scene.place(), (0, 3));
}

#[test]
fn a13_what_was_given_back_falsely_is_a_branch_and_shows() {
    let (mut scene, message) = talked();
    scene.restore(|restored| restored.head = 3);
    let (id, _) = scene.want::<Fetch>();
    let entries = vec![Entry { payload: b"another".to_vec(), ..scene.kept(3) }];
    scene.answer::<Fetch>(id, &Fetched { entries, head: 3, generation: 1 });
    let told = scene.events();
    assert!(told.contains(&Event::LogBranched { conversation: CONVERSATION, entries: 1, again: 1 }), "{told:?}");
    let kept = message::find(scene.alice.reader(), CONVERSATION, message).unwrap().unwrap();
    assert_eq!(kept.state, MessageState::Pending);
}

#[test]
fn a13_a_lower_generation_moves_nothing() {
    let (mut scene, _) = talked();
    scene.restore(|restored| restored.generation = 0);
    assert_eq!(scene.place(), (0, 3));
    assert_eq!(scene.alice.unsent().unwrap(), 0);
}

#[test]
fn a1_nothing_is_sealed_to_somebody_who_is_back_although_they_were_removed() {
    let (mut scene, _) = talked();
    let bob = Removed::from(&scene.bob);
    scene.alice.turn(now(), |turn| Ok(raw::add_returned(turn.db, CONVERSATION, &[bob])?)).unwrap();
    scene.alice.send(CONVERSATION, &Content::text("not for him", 1), now()).unwrap();
    let wants = scene.wants();
    assert!(!wants.contains(&Op::Send), "{wants:?}");
    assert_eq!(scene.state().0, ConversationState::Repairing, "in the open");
    let returned = Event::Returned { conversation: CONVERSATION, users: vec![scene.bob.user] };
    assert!(scene.events().contains(&returned));
    assert_eq!(scene.alice.unsent().unwrap(), 1, "it waits");
}
