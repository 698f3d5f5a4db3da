//! What people say beside plain words: what disappears, whom it names, what it is about, and what they have compared.

mod common;

use common::{Person, Server, wait};
use serde_json::Value;
use std::time::Duration;

fn first(person: &Person, arguments: &[&str]) -> Value {
    person.run(arguments).success().swap_remove(0)
}

/// What a device has without asking the server.
fn here(person: &Person) -> Vec<String> {
    let lines = person.run(&["tail", "--offline", "-n", "100"]).success();
    lines.iter().filter_map(|line| line["text"].as_str().map(str::to_owned)).collect()
}

#[test]
fn messages_disappear_on_both_sides_after_reading() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    alice.run(&["send", "@bob", "burn this", "--expires", "3s"]).success();
    alice.run(&["send", "@bob", "keep this"]).success();
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(here(&alice), ["keep this"], "its author's time began when the server had it");
    assert_eq!(bob.texts(), ["burn this", "keep this"], "bob has not read it before");
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(here(&bob), ["keep this"]);
    assert!(bob.run(&["search", "burn"]).success().is_empty());
    let (status, error) = alice.run(&["send", "@bob", "x", "--expires", "soon"]).failure_text();
    assert!(status == 2 && error.contains("30s"), "{error}");
}

#[test]
fn a_timer_applies_to_what_is_said_after_it_and_everybody_sees_it() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    alice.say("@bob", "before");
    alice.run(&["timer", "@bob", "1d"]).success();
    alice.say("@bob", "after");
    bob.lines();
    bob.say("@alice", "answer");
    alice.run(&["timer", "@bob", "off"]).success();
    alice.say("@bob", "at last");
    let expiry: Vec<Value> = bob.lines().iter().map(|line| line["expiry"]["seconds"].clone()).collect();
    assert_eq!(expiry, [Value::Null, Value::Null, 86_400.into(), 86_400.into(), Value::Null, Value::Null]);
    let kinds: Vec<_> = bob.lines().iter().map(|line| line["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["text", "timer", "text", "text", "timer", "text"]);
    assert_eq!(first(&bob, &["timer", "@alice"])["timer_seconds"], 0);
}

#[test]
fn people_are_named_and_topics_set() {
    let server = Server::start();
    let (alice, bob, carol) = (server.joined("alice"), server.joined("bob"), server.joined("carol"));
    alice.run(&["group", "lab", "@bob", "@carol"]).success();
    alice.run(&["topic", "lab", "Antarctica"]).success();
    alice.run(&["send", "--markdown", "lab", "**look**, @bob and @nobody"]).success();
    let chat = first(&bob, &["chats"]);
    assert_eq!((&chat["unread_mentions"], &chat["topic"]), (&1.into(), &"Antarctica".into()));
    assert_eq!(first(&carol, &["chats"])["unread_mentions"], 0);
    let lines = bob.run(&["tail", "lab"]).success();
    let line = lines.last().unwrap();
    let bobs = first(&bob, &["status"])["user"].clone();
    assert_eq!((&line["mentions"], &line["kind"]), (&vec![bobs].into(), &"markdown".into()));
    assert_eq!(first(&bob, &["chats"])["unread_mentions"], 0);
    wait("the others have read", || {
        alice.lines();
        let readers = first(&alice, &["chats"])["read_by"].as_array().unwrap().clone();
        readers.iter().any(|reader| reader["handle"] == "bob").then_some(())
    });
}

#[test]
fn a_comparison_is_remembered_until_it_is_taken_back() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    let safety = |person: &Person, arguments: &[&str]| first(person, &[&["safety"], arguments].concat());
    let number = safety(&alice, &["@bob"])["safety_number"].clone();
    assert_eq!(safety(&bob, &["@alice"])["safety_number"], number);
    assert_eq!(safety(&alice, &["@bob"])["verification"], "unverified");
    assert_eq!(safety(&alice, &["@bob", "--verify"])["verification"], "verified");
    assert_eq!(first(&alice, &["whois", "bob"])["verification"], "verified");
    assert_eq!(safety(&alice, &["@bob", "--unverify"])["verification"], "unverified");
}

#[test]
fn settings_are_kept_and_who_wants_no_receipts_sends_none() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    assert_eq!(first(&bob, &["settings"])["receipts"], true);
    assert_eq!(first(&bob, &["settings", "--receipts", "off", "--typing", "off"])["receipts"], false);
    let kept = first(&bob, &["settings"]);
    assert_eq!((&kept["receipts"], &kept["typing"]), (&false.into(), &false.into()));
    alice.say("@bob", "did you read this?");
    bob.lines();
    alice.lines();
    assert_eq!(first(&alice, &["chats"])["read_by"], serde_json::json!([]));
    bob.run(&["settings", "--receipts", "on"]).success();
    alice.say("@bob", "and this?");
    bob.lines();
    wait("the control: with receipts it is told", || {
        alice.lines();
        (first(&alice, &["chats"])["read_by"][0]["handle"] == "bob").then_some(())
    });
}
