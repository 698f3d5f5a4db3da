//! One person with several devices: linked, used side by side, revoked, closed; and killed in between.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use common::linking::{Linking, confirm};
use common::{Person, Server, wait};
use serde_json::Value;
use std::process::Stdio;
use std::time::{Duration, Instant};

fn devices(person: &Person) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    person.run(&["devices"]).success().iter().map(|line| (text(&line["device"]), text(&line["state"]))).collect()
}

/// The devices of a person in a conversation, as another sees it.
fn leaves(seen_by: &Person, chat: &str, handle: &str) -> usize {
    let members = seen_by.run(&["members", chat]).success();
    members.iter().find(|m| m["handle"] == handle).map_or(0, |member| member["devices"].as_array().unwrap().len())
}

#[test]
fn both_devices_get_everything_in_order() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    alice.say("@bob", "before");
    alice.run(&["group", "lab", "@bob"]).success();
    bob.lines();
    let laptop = server.linked(&alice, "laptop");
    assert_eq!(laptop.run(&["chats"]).success().len(), 2, "in both conversations, by name");
    bob.say("@alice", "one");
    laptop.say("@bob", "two");
    alice.say("@bob", "three");
    laptop.say("lab", "four");
    let direct = |texts: Vec<String>| {
        texts.into_iter().filter(|text| text != "-" && !text.starts_with("\"notice\"")).collect::<Vec<_>>()
    };
    for person in [&alice, &laptop, &bob] {
        let mut texts = direct(person.texts());
        texts.sort();
        assert_eq!(texts, ["before", "four", "one", "three", "two"], "{}", person.profile.display());
    }
    let order = |person: &Person, with: &str| {
        let lines = person.run(&["tail", with, "-n", "1000"]).success();
        lines.iter().map(|line| line["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(order(&laptop, "@bob"), ["before", "one", "two", "three"]);
    assert_eq!(order(&alice, "@bob"), order(&laptop, "@bob"));
    assert_eq!(order(&bob, "@alice"), order(&alice, "@bob"));
    let authors: Vec<_> = bob.run(&["tail", "@alice"]).success().iter().map(|line| line["author"].clone()).collect();
    assert_eq!(authors, ["alice", "bob", "alice", "alice"], "the devices speak for one person");
    let number = |person: &Person| person.run(&["whois", "bob"]).success()[0]["safety_number"].clone();
    assert_eq!(number(&alice), number(&laptop), "the new device pins what the old one had pinned");
}

#[test]
fn who_starts_something_later_reaches_every_device() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    let laptop = server.linked(&alice, "laptop");
    bob.say("@alice", "hello");
    bob.run(&["group", "lab", "@alice"]).success();
    bob.say("lab", "hello lab");
    for person in [&alice, &laptop] {
        let texts = person.texts();
        assert!(texts.contains(&"hello".into()) && texts.contains(&"hello lab".into()), "{texts:?}");
    }
    assert_eq!((leaves(&bob, "@alice", "alice"), leaves(&bob, "lab", "alice")), (2, 2));
}

#[test]
fn what_one_device_begins_the_other_reads_from_the_first_word() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    let laptop = server.linked(&alice, "laptop");
    alice.say("@bob", "begun on the phone");
    alice.run(&["group", "lab", "@bob"]).success();
    alice.say("lab", "lab begun on the phone");
    laptop.run(&["group", "desk", "@bob"]).success();
    laptop.say("desk", "desk begun on the laptop");
    bob.say("@alice", "heard");
    for person in [&alice, &laptop, &bob] {
        let texts = person.texts();
        for text in ["begun on the phone", "lab begun on the phone", "desk begun on the laptop", "heard"] {
            assert!(texts.iter().any(|line| line == text), "{}: {text} in {texts:?}", person.profile.display());
        }
    }
    for chat in ["lab", "desk"] {
        assert_eq!(leaves(&bob, chat, "alice"), 2, "{chat}");
    }
}

#[test]
fn a_device_is_linked_while_messages_flow() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    alice.say("@bob", "first");
    let (linking, laptop) = Linking::begin(&server, &alice, "laptop");
    let shown = linking.shown();
    let talking = std::thread::spawn({
        let bob = Person { profile: bob.profile.clone(), handle: "bob".into() };
        move || (0..12).for_each(|number| drop(bob.say("@alice", &format!("flow {number}"))))
    });
    confirm(&alice, &shown).success();
    linking.end();
    talking.join().unwrap();
    bob.say("@alice", "last");
    let on_phone = alice.texts();
    assert_eq!(on_phone.len(), 14, "{on_phone:?}");
    // What was said between the confirmation and the coming of the laptop, the phone has archived since.
    alice.run(&["chats"]).success();
    assert_eq!(wait("all is there", || Some(laptop.texts()).filter(|texts| texts.len() == 14)), on_phone);
}

#[test]
fn a_link_goes_on_after_either_device_was_killed() {
    let mut server = Server::start();
    let alice = server.joined("alice");
    let (linking, laptop) = Linking::begin(&server, &alice, "laptop");
    let first = linking.shown();
    linking.kill();
    let linking = Linking::on(&alice, &laptop);
    let again = linking.shown();
    assert_eq!((again.code.as_str(), again.number), (first.code.as_str(), first.number), "the same code after a crash");
    for after_ms in [60, 150, 300, 450] {
        let arguments = ["devices", "confirm", &again.code, "--yes"];
        assert!(alice.killed(&arguments, Duration::from_millis(after_ms)) || devices(&alice).len() == 2);
    }
    server.kill();
    server.serve();
    confirm(&alice, &again).success();
    linking.end();
    assert_eq!(devices(&alice).len(), 2, "linked once");
    assert_eq!(devices(&laptop).len(), 2);
}

#[test]
fn a_new_device_that_was_killed_after_the_confirmation_gets_its_answer_later() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    alice.say("@bob", "before");
    let (linking, laptop) = Linking::begin(&server, &alice, "laptop");
    let shown = linking.shown();
    linking.kill();
    confirm(&alice, &shown).success();
    let linking = Linking::on(&alice, &laptop);
    linking.end();
    bob.say("@alice", "after");
    assert_eq!(laptop.texts(), ["before", "after"]);
}

#[test]
fn a22_wrong_numbers_codes_and_people_link_nothing() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    let (linking, laptop) = Linking::begin(&server, &alice, "laptop");
    let shown = linking.shown();

    let wrong = format!("{:06}", (shown.number + 1) % 1_000_000);
    let (status, error) = alice.run(&["devices", "confirm", &shown.code, "--number", &wrong]).failure();
    assert_eq!((status, &error["kind"]), (4, &"refused".into()));
    let (status, error) = alice.run(&["devices", "confirm", &shown.code]).failure();
    assert_eq!((status, &error["kind"]), (2, &"usage".into()), "nobody is there to compare");
    let (status, error) = confirm(&bob, &shown).failure();
    assert_eq!((status, &error["code"]), (4, &"not_found".into()), "another person's code");
    let invite = server.invite("1h");
    let (status, error) = alice.run(&["devices", "confirm", &invite, "--yes"]).failure();
    assert_eq!((status, &error["kind"]), (2, &"usage".into()), "an invite as a link code");
    let (status, error) = server.person("eve").run(&["join", &shown.code, "--handle", "eve"]).failure();
    assert_eq!((status, &error["kind"]), (2, &"usage".into()), "a link code as an invite");
    assert_eq!(devices(&alice).len(), 1);

    let eve = server.person("eve");
    let line = alice.run(&["devices", "link"]).success()[0]["line"].as_str().unwrap().to_owned();
    let mut command = eve.command();
    command.env("MIFENG_PASSWORD", "not the password at all").args(["link", &line, "--handle", "alice"]);
    assert_eq!(
        command.stdout(Stdio::null()).status().unwrap().code(),
        Some(4),
        "without the password there is no code"
    );

    confirm(&alice, &shown).success();
    linking.end();
    assert_eq!(devices(&laptop).len(), 2, "the control");
    let (_, error) = alice.run(&["devices", "confirm", &shown.code, "--yes"]).failure();
    assert_eq!(error["code"], "not_found", "a code is good once");
}

#[test]
fn b10_a_revoked_device_is_out_reads_nothing_new_and_keeps_what_it_has() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    alice.say("@bob", "before");
    let laptop = server.linked(&alice, "laptop");
    bob.say("@alice", "for both");
    assert_eq!(laptop.texts(), ["before", "for both"]);
    let id = devices(&laptop).into_iter().map(|(id, _)| id).find(|id| {
        let status = laptop.run(&["status"]).success();
        status[0]["device"] == id.as_str()
    });
    let id = id.unwrap();
    let (status, error) = laptop.run(&["devices", "revoke", &id]).failure();
    assert_eq!((status, &error["kind"]), (2, &"usage".into()), "not itself");

    let following = laptop.follow();
    std::thread::sleep(Duration::from_millis(1_500));
    alice.run(&["devices", "revoke", "laptop"]).success();
    bob.say("@alice", "not for the laptop");
    assert_eq!(leaves(&bob, "@alice", "alice"), 1, "its leaf is gone");
    let heard: Vec<_> = following.end().iter().map(|line| line["text"].clone()).collect();
    assert_eq!(heard, ["before", "for both"]);

    let (status, error) = laptop.run(&["send", "@bob", "still here?"]).failure();
    assert_eq!((status, &error["code"]), (4, &"revoked".into()));
    let kept = laptop.run(&["tail", "--offline"]).success();
    assert!(
        kept.iter().any(|line| line["text"] == "for both") && kept.iter().all(|l| l["text"] != "not for the laptop")
    );
    assert_eq!(alice.texts(), ["before", "for both", "not for the laptop"]);
    assert!(bob.texts().iter().all(|text| text != "still here?"));
    assert!(devices(&alice).contains(&(id, "revoked".into())));
}

#[test]
fn b10_others_remove_a_revoked_device_when_its_person_is_offline() {
    let mut server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    alice.say("@bob", "before");
    let laptop = server.linked(&alice, "laptop");
    laptop.say("@bob", "from the laptop");
    bob.lines();
    assert_eq!(leaves(&bob, "@alice", "alice"), 2);
    // Alice revokes, and the server dies before her phone can commit: only the chain has changed.
    let start = Instant::now();
    while devices(&bob).is_empty() && start.elapsed() < Duration::from_secs(1) {}
    let phone =
        alice.command().args(["devices", "revoke", "laptop"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut phone = phone.unwrap();
    wait("the revocation is recorded", || server.log().contains("device revoked").then_some(()));
    server.kill();
    phone.kill().unwrap();
    phone.wait().unwrap();
    server.serve();
    // Bob alone: what he sends is not sealed to the laptop.
    bob.say("@alice", "only for the phone");
    assert_eq!(leaves(&bob, "@alice", "alice"), 1);
    assert!(alice.texts().contains(&"only for the phone".into()));
}

#[test]
fn b10_a_leaver_is_removed_everywhere_by_the_others() {
    let server = Server::start();
    let (alice, bob, carol) = (server.joined("alice"), server.joined("bob"), server.joined("carol"));
    alice.run(&["group", "lab", "@bob", "@carol"]).success();
    alice.say("lab", "all three");
    carol.lines();
    bob.lines();
    server.close("carol");
    let (status, error) = carol.run(&["send", "lab", "one more thing"]).failure();
    assert_eq!((status, &error["code"]), (4, &"revoked".into()));
    bob.say("lab", "without carol");
    assert_eq!((leaves(&bob, "lab", "carol"), leaves(&alice, "lab", "carol")), (0, 0));
    assert!(alice.texts().contains(&"without carol".into()));
    assert!(carol.run(&["tail", "--offline"]).success().iter().all(|line| line["text"] != "without carol"));
    let line = alice.run(&["devices", "link"]).success()[0]["line"].as_str().unwrap().to_owned();
    let (status, error) = server.person("carol2").run(&["link", &line, "--handle", "carol"]).failure();
    assert_eq!((status, &error["code"]), (4, &"wrong_credentials".into()), "the password opens nothing");
}
