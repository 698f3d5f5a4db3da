//! The archive: what was said before a device came is there for it, and for nobody who should not have it.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use common::{Person, Server};
use serde_json::Value;

/// Every line of a conversation as a device has it: text, and whether it was taken back.
fn lines(person: &Person, chat: &str) -> Vec<String> {
    let lines = person.run(&["tail", chat, "-n", "10000"]).success();
    lines.iter().map(shown).collect()
}

fn id_of(sent: &Value) -> String {
    sent["message"].as_str().unwrap().to_owned()
}

fn shown(line: &Value) -> String {
    let text = line["text"].as_str().unwrap_or("-");
    let reactions = line["reactions"].as_array().map_or(0, Vec::len);
    format!("{}: {text} {} {reactions} {}", line["author"], line["deleted"], line["history"])
}

#[test]
fn a_new_device_has_everything_that_was_said_before() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    alice.say("@bob", "before anything");
    alice.run(&["group", "lab", "@bob"]).success();
    bob.say("lab", "明天下午开会");
    let id = id_of(&bob.say("@alice", "to be corrected"));
    bob.run(&["edit", "@alice", &id, "corrected"]).success();
    alice.lines();
    alice.run(&["react", "@bob", &id, "👍"]).success();
    let gone = id_of(&alice.say("@bob", "to be taken back"));
    alice.run(&["delete", "@bob", &gone]).success();
    alice.run(&["timer", "@bob", "1h"]).success();
    bob.lines();
    bob.say("@alice", "this disappears");
    alice.run(&["timer", "@bob", "off"]).success();
    bob.lines();
    bob.say("@alice", "this stays");
    alice.lines();

    let laptop = server.linked(&alice, "laptop");
    let of_phone: Vec<_> = lines(&alice, "@bob").into_iter().filter(|line| !line.contains("disappears")).collect();
    assert_eq!(lines(&laptop, "@bob"), of_phone, "but for what disappears");
    assert_eq!(lines(&laptop, "lab"), lines(&alice, "lab"));
    assert_eq!(laptop.run(&["search", "开会"]).success().len(), 1);
    assert_eq!(laptop.run(&["chats"]).success()[0]["unread"], 0);
    let more = laptop.run(&["history"]).success();
    assert!(more.len() == 2 && more.iter().all(|chat| chat["lines"] == 0), "nothing is left: {more:?}");
}

#[test]
fn devices_come_and_go_and_all_that_stay_have_everything() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    bob.say("@alice", "one");
    let laptop = server.linked(&alice, "laptop");
    bob.say("@alice", "two");
    assert_eq!(lines(&laptop, "@bob").len(), 2);
    alice.lines();
    // The third is linked by the second.
    let tablet = server.linked(&laptop, "tablet");
    bob.say("@alice", "three");
    assert_eq!(lines(&tablet, "@bob"), lines(&alice, "@bob"));
    assert_eq!(lines(&tablet, "@bob").len(), 3);
}

#[test]
fn what_is_said_after_a_device_was_removed_goes_on_into_the_archive() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    bob.say("@alice", "one");
    let laptop = server.linked(&alice, "laptop");
    bob.say("@alice", "two");
    laptop.lines();
    alice.run(&["devices", "revoke", "laptop"]).success();
    bob.say("@alice", "three");
    alice.lines();
    let next = server.linked(&alice, "next");
    assert_eq!(lines(&next, "@bob"), lines(&alice, "@bob"));
    assert_eq!(lines(&next, "@bob").len(), 3);
}

#[test]
fn those_who_stay_agree_on_a_new_key_and_go_on() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    bob.say("@alice", "one");
    let laptop = server.linked(&alice, "laptop");
    let tablet = server.linked(&laptop, "tablet");
    bob.say("@alice", "two");
    for device in [&alice, &laptop, &tablet] {
        assert_eq!(lines(device, "@bob").len(), 2);
        assert_eq!(device.run(&["chats"]).success().len(), 1, "their own group is not shown");
    }
    alice.run(&["devices", "revoke", &id_of_device(&laptop)]).success();
    bob.say("@alice", "three");
    for device in [&tablet, &alice, &tablet] {
        assert_eq!(lines(device, "@bob").len(), 3);
    }
    // Who was not the one to revoke links the next.
    let next = server.linked(&tablet, "next");
    assert_eq!(lines(&next, "@bob"), lines(&alice, "@bob"));
    assert_eq!(lines(&next, "@bob").len(), 3);
    bob.say("@alice", "four");
    alice.run(&["devices", "revoke", &id_of_device(&tablet)]).success();
    bob.say("@alice", "five");
    next.lines();
    let last = server.linked(&next, "last");
    assert_eq!(lines(&last, "@bob").len(), 5);
}

fn id_of_device(person: &Person) -> String {
    person.run(&["status"]).success()[0]["device"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_kept_out_of_the_archive_is_not_there() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    bob.say("@alice", "not for the archive");
    alice.run(&["group", "lab", "@bob"]).success();
    bob.say("lab", "for the archive");
    alice.lines();
    // It was archived already when the person thinks of it.
    alice.run(&["chats"]).success();
    let answer = alice.run(&["history", "@bob", "--keep-out"]).success();
    assert_eq!(answer[0]["kept_out"], true);
    let laptop = server.linked(&alice, "laptop");
    assert_eq!(lines(&laptop, "@bob"), Vec::<String>::new());
    assert_eq!(lines(&laptop, "lab"), lines(&alice, "lab"));
    alice.run(&["history", "@bob", "--keep-in"]).success();
    let tablet = server.linked(&alice, "tablet");
    assert_eq!(lines(&tablet, "@bob"), lines(&alice, "@bob"), "it is let in again");
}

#[test]
fn a_server_that_is_killed_or_restored_from_a_backup_has_everything_again() {
    let mut server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    for number in 0..5 {
        bob.say("@alice", &format!("early {number}"));
    }
    alice.lines();
    alice.run(&["chats"]).success();
    server.kill();
    server.back_up();
    server.serve();
    for number in 0..5 {
        bob.say("@alice", &format!("late {number}"));
    }
    alice.lines();
    alice.run(&["chats"]).success();
    server.kill();
    server.restore();
    server.serve();
    for person in [&alice, &bob] {
        person.lines();
    }
    // While devices give back what the backup did not have, the archive takes nothing.
    let seconds: u64 = common::RESUPPLY_SECONDS.parse().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(seconds + 1));
    alice.lines();
    let laptop = server.linked(&alice, "laptop");
    assert_eq!(lines(&laptop, "@bob"), lines(&alice, "@bob"));
    assert_eq!(lines(&laptop, "@bob").len(), 10);
}
