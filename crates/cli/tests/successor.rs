//! Another group takes the place of a conversation's group, with the real programs.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use common::{Person, Server, wait};
use serde_json::Value;

/// The cipher suite of a person's conversation, as it is on this device.
fn suite(person: &Person, title: &str) -> Value {
    let chats = person.run(&["chats"]).success();
    chats.iter().find(|chat| chat["title"] == title).map_or(Value::Null, |chat| chat["suite"].clone())
}

fn texts(person: &Person, chat: &str) -> Vec<String> {
    let lines = person.run(&["tail", chat, "-n", "1000"]).success();
    let said = lines.iter().filter(|line| line["state"] == "recorded" || line["state"] == "pending");
    said.filter_map(|line| line["text"].as_str().map(str::to_owned)).collect()
}

#[test]
fn a19_a_group_moves_to_the_tenants_stronger_suite_and_everybody_goes_on_talking() {
    let server = Server::start_in_suite("classical");
    let (alice, bob, carol) = (server.joined("alice"), server.joined("bob"), server.joined("carol"));
    let laptop = server.linked(&bob, "laptop");
    alice.run(&["group", "lab", "@bob", "@carol"]).success();
    alice.say("lab", "in the old group");
    for person in [&bob, &laptop, &carol] {
        assert_eq!(
            (texts(person, "lab").as_slice(), suite(person, "lab")),
            (&["in the old group".into()][..], "classical".into())
        );
    }

    assert!(server.set_suite("post-quantum").status.success());
    // Each publishes key packages of the new suite when it comes; then Alice, the admin, moves the group.
    for person in [&bob, &laptop, &carol] {
        person.run(&["chats"]).success();
    }
    carol.run(&["send", "--queue", "lab", "written offline"]).success();
    let moving = alice.follow();
    wait("the group to move", || (suite(&bob, "lab") == "post-quantum").then_some(()));
    moving.end();

    bob.say("lab", "in the new group");
    laptop.say("lab", "from the laptop");
    carol.say("lab", "from carol");
    let expected = ["in the old group", "in the new group", "from the laptop", "written offline", "from carol"];
    for person in [&alice, &bob, &laptop, &carol] {
        assert_eq!(texts(person, "lab"), expected, "{}", person.profile.display());
        assert_eq!(suite(person, "lab"), "post-quantum", "{}", person.profile.display());
    }
    let weaker = server.set_suite("classical");
    assert!(!weaker.status.success(), "a tenant's suite only becomes stronger");
    assert!(String::from_utf8_lossy(&weaker.stderr).contains("unsupported_suite"), "{weaker:?}");
}

#[test]
fn what_waits_offline_while_the_group_moves_is_delivered_once_and_a_device_that_was_left_out_comes_back() {
    let mut server = Server::start_in_suite("classical");
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    let laptop = server.linked(&bob, "laptop");
    alice.run(&["group", "lab", "@bob"]).success();
    alice.say("lab", "one");
    assert_eq!((texts(&bob, "lab"), texts(&laptop, "lab")), (vec!["one".into()], vec!["one".into()]));
    server.kill();
    bob.run(&["send", "--queue", "lab", "two"]).success();
    laptop.run(&["send", "--queue", "lab", "three"]).success();
    server.serve();
    assert!(server.set_suite("post-quantum").status.success());

    // Bob's phone has no key package of the new suite before it has been here: nobody is thrown out.
    let waiting = alice.follow();
    std::thread::sleep(std::time::Duration::from_secs(5));
    waiting.end();
    assert_eq!(suite(&alice, "lab"), "classical", "nobody moves without Bob");

    // Bob's phone comes, the laptop stays away: the group moves without it.
    bob.run(&["chats"]).success();
    let moving = alice.follow();
    wait("the group to move", || (suite(&bob, "lab") == "post-quantum").then_some(()));
    moving.end();
    wait("the laptop to come back", || {
        let lines = laptop.run(&["tail", "lab"]);
        lines.is_success().then_some(())?;
        (suite(&laptop, "lab") == "post-quantum").then_some(())
    });
    wait("the laptop's message", || texts(&alice, "lab").contains(&"three".into()).then_some(()));
    alice.say("lab", "four");
    for person in [&alice, &bob] {
        assert_eq!(texts(person, "lab"), ["one", "two", "three", "four"], "{}", person.profile.display());
    }
    assert_eq!(texts(&laptop, "lab").last().map(String::as_str), Some("four"));
}
