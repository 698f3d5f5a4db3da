//! Processes die at any moment; what was acknowledged is there, once.

mod common;

use common::{Person, Server};
use std::collections::BTreeSet;
use std::time::Duration;

/// Both have the same lines, none twice, none unreadable.
#[track_caller]
fn agree(alice: &Person, bob: &Person) -> Vec<String> {
    alice.lines();
    let (one, other) = (alice.texts(), bob.texts());
    assert_eq!(one, other);
    let distinct: BTreeSet<_> = one.iter().collect();
    assert_eq!(distinct.len(), one.len(), "nothing is doubled: {one:?}");
    assert!(one.iter().all(|text| !text.contains("undecryptable") && !text.contains("refused")), "{one:?}");
    one
}

#[test]
fn a_server_killed_in_the_middle_loses_and_doubles_nothing() {
    let mut server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    alice.say("@bob", "before");
    let listening = bob.follow();
    let mut acknowledged = vec![String::from("before")];
    for round in 0..4 {
        // One message is on its way while the server dies; the client holds on until it is back.
        let text = format!("during {round}");
        let mut sending =
            alice.command().args(["send", "@bob", &text]).stdout(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(40 * round));
        server.kill();
        std::thread::sleep(Duration::from_millis(100));
        server.serve();
        assert!(sending.wait().unwrap().success(), "the server came back, and the message arrived");
        acknowledged.push(text);
        let text = format!("after {round}");
        alice.say("@bob", &text);
        acknowledged.push(text);
    }
    // Long enough for the listener's longest pause between attempts so far.
    std::thread::sleep(Duration::from_secs(3));
    let heard = listening.end();
    assert_eq!(agree(&alice, &bob), acknowledged);
    let heard: Vec<_> = heard.iter().filter_map(|line| line["text"].as_str().map(str::to_owned)).collect();
    let distinct: BTreeSet<_> = heard.iter().collect();
    assert_eq!(distinct.len(), heard.len(), "a listener is told once: {heard:?}");
}

#[test]
fn a_client_killed_in_the_middle_of_sending_loses_and_doubles_nothing() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    alice.say("@bob", "before");
    let mut killed = 0;
    for step in 0..24_u64 {
        let text = format!("message {step}");
        killed += u32::from(alice.killed(&["send", "@bob", &text], Duration::from_millis(4 + 6 * step)));
    }
    assert!(killed >= 8, "the fault fired only {killed} times");
    alice.say("@bob", "after");
    let texts = agree(&alice, &bob);
    assert_eq!((texts.first().unwrap().as_str(), texts.last().unwrap().as_str()), ("before", "after"));
    let steps: Vec<u32> = texts.iter().filter_map(|text| text.strip_prefix("message ")?.parse().ok()).collect();
    assert!(steps.is_sorted(), "in the order in which they were written: {steps:?}");
}

#[test]
fn a_client_killed_while_joining_joins_once() {
    let server = Server::start();
    for step in 0..6_u64 {
        let person = server.person(&format!("person{step}"));
        let link = server.invite("1h");
        let arguments = ["join", &link, "--handle", &person.handle];
        person.killed(&arguments, Duration::from_millis(60 + 130 * step));
        // Once more with the same line: either it goes on, or it had joined.
        let again = person.run(&arguments);
        if !again.is_success() {
            let (status, error) = again.failure();
            assert_eq!((status, &error["kind"]), (2, &"usage".into()), "{error}");
        }
        assert_eq!(person.run(&["status"]).success()[0]["handle"], person.handle.as_str());
        // Whatever joining did not come to, the next connection does: now others can reach this device.
        person.lines();
    }
    let sender = server.joined("sender");
    for step in 0..6 {
        sender.say(&format!("@person{step}"), "you can be reached");
        assert_eq!(server.person(&format!("person{step}")).texts(), ["you can be reached"]);
    }
}

#[test]
fn a_client_killed_while_starting_a_conversation_goes_on() {
    let server = Server::start();
    let alice = server.joined("alice");
    for step in 0..6_u64 {
        let other = server.joined(&format!("person{step}"));
        let chat = format!("@person{step}");
        alice.killed(&["send", &chat, "first"], Duration::from_millis(20 + 50 * step));
        alice.say(&chat, "second");
        let texts = other.texts();
        assert_eq!(texts.last().unwrap(), "second");
        assert!(texts == ["second"] || texts == ["first", "second"], "{texts:?}");
        assert_eq!(other.run(&["chats"]).success().len(), 1);
    }
}

#[test]
fn a_receiver_killed_while_catching_up_shows_everything_once() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    for step in 0..12_u64 {
        alice.say("@bob", &format!("message {step}"));
        bob.killed(&["tail"], Duration::from_millis(10 + 15 * step));
    }
    assert_eq!(agree(&alice, &bob).len(), 12);
}

#[test]
fn a16_a_copied_profile_is_noticed_and_the_leaf_replaced() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    alice.say("@bob", "before");
    let copy = server.person("copy");
    std::fs::create_dir(&copy.profile).unwrap();
    for file in std::fs::read_dir(&alice.profile).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), copy.profile.join(file.file_name())).unwrap();
    }
    copy.say("@bob", "from the copy");
    alice.say("@bob", "from the original");
    assert_eq!(bob.texts(), ["before", "from the copy", "from the original"], "no key was used twice");
    let noticed = alice.lines();
    assert!(
        noticed.iter().any(|line| line["reason"].as_str().is_some_and(|why| why.contains("copied"))),
        "{noticed:?}"
    );
    bob.say("@alice", "I read you");
    assert_eq!(alice.texts().last().unwrap(), "I read you");
}

/// Commits (the renewal after joining), messages of both sides and the server's death, all at once.
#[test]
fn both_talk_at_once_and_agree_on_one_history() {
    let mut server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    alice.say("@bob", "alice: begin");
    let talk = |person: &Person, chat: &str| {
        for step in 0..14 {
            person.say(chat, &format!("{}: {step}", person.handle));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| talk(&alice, "@bob"));
        scope.spawn(|| {
            bob.lines();
            talk(&bob, "@alice");
        });
        std::thread::sleep(Duration::from_millis(2_500));
        server.kill();
        server.serve();
    });
    let texts = agree(&alice, &bob);
    for person in [&alice, &bob] {
        let own =
            texts.iter().filter_map(|text| text.strip_prefix(&format!("{}: ", person.handle))?.parse::<u32>().ok());
        assert_eq!(own.collect::<Vec<_>>(), (0..14).collect::<Vec<_>>());
    }
}

/// A stopped process still acknowledges TCP, so that only the client's own patience ends.
#[test]
fn a_paused_server_costs_time_and_no_message() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    alice.say("@bob", "before");
    server.signal("STOP");
    let (status, error) = alice.run(&["--timeout", "2", "send", "@bob", "meanwhile"]).failure();
    assert_eq!((status, &error["kind"]), (3, &"offline".into()));
    server.signal("CONT");
    alice.say("@bob", "after");
    assert_eq!(agree(&alice, &bob), ["before", "meanwhile", "after"]);
}
