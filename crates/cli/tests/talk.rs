//! Two people talk through a server that cannot read them.

mod common;

use common::{Server, TENANT};
use std::time::Duration;

#[test]
fn two_people_talk_both_ways() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    alice.say("@bob", "hello 你好");
    assert_eq!(bob.texts(), ["hello 你好"]);
    bob.say("@alice", "hi back");
    alice.say("@bob", "and on");
    let expected = ["hello 你好", "hi back", "and on"];
    assert_eq!(alice.texts(), expected);
    assert_eq!(bob.texts(), expected);
    let authors: Vec<_> = bob.lines().iter().map(|line| line["author"].as_str().unwrap().to_owned()).collect();
    assert_eq!(authors, ["alice", "bob", "alice"]);
    let number = |done: common::Done| done.success()[0]["safety_number"].clone();
    assert_eq!(number(alice.run(&["whois", "bob"])), number(bob.run(&["whois", "alice"])));
}

#[test]
fn who_listens_hears_at_once() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    alice.say("@bob", "first");
    let listening = bob.follow();
    std::thread::sleep(Duration::from_millis(1_500));
    alice.say("@bob", "second");
    alice.say("@bob", "third");
    std::thread::sleep(Duration::from_millis(1_500));
    let heard: Vec<_> = listening.end().iter().map(|line| line["text"].as_str().unwrap().to_owned()).collect();
    assert_eq!(heard, ["first", "second", "third"]);
}

#[test]
fn messages_are_answered_edited_deleted_and_reacted_to() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    let first = alice.say("@bob", "我们明天去北京")["message"].as_str().unwrap().to_owned();
    let second = alice.say("@bob", "never mind")["message"].as_str().unwrap().to_owned();
    bob.lines();
    bob.run(&["reply", "@alice", &first, "good"]).success();
    bob.run(&["react", "@alice", &first, "👍"]).success();
    alice.run(&["edit", "@bob", &first, "我们后天去北京"]).success();
    alice.run(&["delete", "@bob", &second]).success();
    for person in [&alice, &bob] {
        let lines = person.lines();
        assert_eq!(lines[0]["text"], "我们后天去北京");
        assert_eq!(lines[0]["history"][0], "我们明天去北京");
        assert_eq!(lines[0]["reactions"][0]["symbol"], "👍");
        assert_eq!((&lines[1]["deleted"], &lines[1]["text"]), (&true.into(), &serde_json::Value::Null));
        assert_eq!((&lines[2]["text"], lines[2]["in_reply_to"].as_str().unwrap()), (&"good".into(), first.as_str()));
        let found = person.run(&["search", "后天"]).success();
        assert_eq!((found.len(), &found[0]["text"]), (1, &"我们后天去北京".into()));
        assert!(person.run(&["search", "never"]).success().is_empty(), "what is deleted is not found");
    }
    let (status, error) = bob.run(&["edit", "@alice", &first, "forged"]).failure();
    assert_eq!((status, &error["kind"]), (2, &"usage".into()));
}

#[test]
fn what_is_queued_offline_is_delivered_later() {
    let mut server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    alice.say("@bob", "one");
    bob.lines();
    server.kill();
    alice.run(&["send", "--queue", "@bob", "two"]).success();
    let (status, error) = alice.run(&["--timeout", "1", "send", "@bob", "three"]).failure();
    assert_eq!((status, &error["kind"]), (3, &"offline".into()));
    assert_eq!(alice.run(&["status"]).success()[0]["unsent"], 2);
    server.serve();
    alice.run(&["tail"]).success();
    assert_eq!(alice.run(&["status"]).success()[0]["unsent"], 0);
    assert_eq!(bob.texts(), ["one", "two", "three"]);
}

#[test]
fn two_who_start_at_once_end_in_one_conversation() {
    let mut server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    alice.run(&["whois", "bob"]).success();
    bob.run(&["whois", "alice"]).success();
    server.kill();
    alice.run(&["send", "--queue", "@bob", "from alice"]).success();
    bob.run(&["send", "--queue", "@alice", "from bob"]).success();
    server.serve();
    let mut both = [&alice, &bob]
        .map(|person| person.command().args(["tail"]).stdout(std::process::Stdio::null()).spawn().unwrap());
    both.iter_mut().for_each(|child| assert!(child.wait().unwrap().success()));
    let mut texts = common::wait("both messages arrive", || {
        let (mut one, mut other) = (alice.texts(), bob.texts());
        assert!(one.len() <= 2 && other.len() <= 2, "{one:?} {other:?}");
        one.sort();
        other.sort();
        (one.len() == 2 && one == other).then_some(one)
    });
    texts.sort();
    assert_eq!(texts, ["from alice", "from bob"]);
    for person in [&alice, &bob] {
        assert_eq!(person.run(&["chats"]).success().len(), 1, "{}", person.handle);
    }
}

#[test]
fn what_cannot_be_is_said_with_a_code_and_a_hint() {
    let server = Server::start();
    let alice = server.joined("alice");
    let refused = |handle: &str, link: &str| server.person(handle).join(link).failure();

    let short = server.invite("1s");
    std::thread::sleep(Duration::from_millis(1_500));
    let (status, error) = refused("late", &short);
    assert_eq!((status, &error["code"]), (4, &"invalid_invite".into()));
    assert!(error["hint"].as_str().unwrap().contains("new invite"));

    let good = server.invite("1h");
    let (status, error) = refused("lost", &good.replace(&format!("/{TENANT}#"), "/nobody#"));
    assert_eq!((status, &error["code"]), (4, &"unknown_tenant".into()));
    let (status, error) = refused("alice2", &good.replace('#', "#x"));
    assert_eq!((status, &error["code"]), (4, &"invalid_invite".into()));
    let (status, error) = server.person("other").run(&["join", &good, "--handle", "ALICE"]).failure();
    assert_eq!((status, &error["code"]), (4, &"already_exists".into()));
    let (status, error) = server.person("odd").run(&["join", &good, "--handle", "no spaces"]).failure();
    assert_eq!((status, &error["code"]), (4, &"invalid_handle".into()));

    // What was refused used nothing up, and left nothing behind.
    let other = server.person("other");
    other.join(&good).success();
    let (status, error) = refused("second", &good);
    assert_eq!((status, &error["code"]), (4, &"invalid_invite".into()));
    let (status, error) = other.join(&server.invite("1h")).failure();
    assert_eq!((status, &error["kind"]), (2, &"usage".into()));
    other.say("@alice", "still here");

    let (status, error) = alice.run(&["send", "@nobody", "hello"]).failure();
    assert_eq!((status, &error["kind"]), (2, &"usage".into()));
    let (status, _) = alice.run(&["join", "https://example.org", "--handle", "x"]).failure();
    assert_eq!(status, 2);
}

#[test]
fn c9_a_server_with_another_authority_is_not_believed() {
    let server = Server::start();
    let link = server.invite("1h");
    let (front, fingerprint) = link.split_at(link.len() - 64);
    let changed: String = fingerprint.chars().map(|digit| if digit == '0' { '1' } else { '0' }).collect();
    let person = server.person("alice");
    let (status, error) =
        person.run(&["--timeout", "3", "join", &format!("{front}{changed}"), "--handle", "alice"]).failure();
    assert_eq!((status, &error["kind"]), (3, &"offline".into()));
    assert!(error["message"].as_str().unwrap().contains("certificate"), "{error}");
    // The control: the line as it was works.
    person.join(&link).success();
}

#[test]
fn a_sealed_profile_opens_with_its_passphrase_only() {
    let server = Server::start();
    let (alice, bob) = (server.person("alice"), server.joined("bob"));
    let with = |passphrase: &str, arguments: &[&str]| {
        let output = alice.command().env("MIFENG_PASSPHRASE", passphrase).args(arguments).output().unwrap();
        output.status.code().unwrap()
    };
    assert_eq!(with("one passphrase", &["join", &server.invite("1h"), "--handle", "alice"]), 0);
    assert_eq!(with("one passphrase", &["send", "@bob", "sealed"]), 0);
    assert_eq!(with("another", &["tail"]), 2);
    assert_eq!(alice.run(&["tail"]).failure().0, 2);
    assert_eq!(bob.texts(), ["sealed"]);
}

#[test]
fn who_was_added_renews_its_keys_and_nobody_notices() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    let first = alice.say("@bob", "one")["seq"].as_u64().unwrap();
    bob.run(&["chats"]).success();
    // The renewal is due a few seconds after joining; it goes before what is said next.
    std::thread::sleep(Duration::from_secs(7));
    let second = bob.say("@alice", "two")["seq"].as_u64().unwrap();
    assert_eq!(second, first + 2, "a commit is between them");
    alice.say("@bob", "three");
    assert_eq!(alice.texts(), ["one", "two", "three"]);
    assert_eq!(bob.texts(), ["one", "two", "three"]);
}
