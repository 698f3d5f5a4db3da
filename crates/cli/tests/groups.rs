//! Groups of people through the real programs: who comes, who goes, and what each of them can read.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]

mod common;

use common::{Person, Server, wait};
use serde_json::Value;
use std::process::Stdio;

const TEAM: &str = "Team 北京";

/// What people said in the conversations of a person, in order; unreadable lines would show.
fn said(person: &Person) -> Vec<String> {
    let lines = person.lines().into_iter();
    let shown = lines.filter(|line| line["state"] != "notice" && line["kind"] != "name");
    shown
        .map(|line| match line["state"].as_str() {
            Some("recorded") => line["text"].as_str().unwrap_or("-").to_owned(),
            _ => format!("{}: {}", line["state"], line["reason"]),
        })
        .collect()
}

/// What happened to the members, as `who did what`.
fn deeds(person: &Person) -> Vec<String> {
    let mut deeds = Vec::new();
    for line in person.lines().iter().filter(|line| line["state"] == "notice") {
        for (what, users) in line["notice"].as_object().unwrap() {
            for user in users.as_array().unwrap() {
                deeds.push(format!("{} {what} {}", line["author"].as_str().unwrap(), user.as_str().unwrap()));
            }
        }
    }
    deeds
}

/// The members as a person's device has them; admins with a star.
fn members(person: &Person) -> Vec<String> {
    let star = |member: &Value| if member["admin"] == true { "*" } else { "" };
    let members = person.run(&["members", TEAM]).success();
    members.iter().map(|member| format!("{}{}", member["handle"].as_str().unwrap(), star(member))).collect()
}

fn state(person: &Person) -> String {
    person.run(&["chats"]).success()[0]["state"].as_str().unwrap().to_owned()
}

#[test]
fn a_group_talks_grows_and_shrinks() {
    let mut server = Server::start();
    let [alice, bob, carol, dave] = ["alice", "bob", "carol", "dave"].map(|handle| server.joined(handle));
    let made = alice.run(&["group", TEAM, "@bob", "@carol"]).success();
    assert_eq!((made[0]["members"].as_array().unwrap().len(), &made[0]["not_added"]), (3, &serde_json::json!([])));
    alice.say(TEAM, "one");
    // Whoever has not connected since finds the group by its name.
    bob.say(TEAM, "two");
    server.kill();
    server.serve();
    carol.say(TEAM, "three");
    for person in [&alice, &bob, &carol] {
        assert_eq!(said(person), ["one", "two", "three"], "{}", person.handle);
        assert_eq!(members(person), ["alice*", "bob", "carol"], "{}", person.handle);
    }

    alice.run(&["add", TEAM, "@dave"]).success();
    alice.say(TEAM, "four");
    dave.say(TEAM, "five");
    assert_eq!(said(&dave), ["four", "five"], "who comes later reads nothing earlier");
    assert_eq!(deeds(&dave), ["alice added dave"]);

    alice.run(&["remove", TEAM, "@bob"]).success();
    alice.say(TEAM, "six");
    dave.say(TEAM, "seven");
    assert_eq!(said(&bob), ["one", "two", "three", "four", "five"], "who was removed reads nothing later");
    assert_eq!(deeds(&bob).last().unwrap(), "alice removed bob");
    assert_eq!(state(&bob), "left");
    let (status, error) = bob.run(&["send", TEAM, "let me in"]).failure();
    assert_eq!((status, &error["kind"]), (2, &"usage".into()));
    for person in [&alice, &carol] {
        assert_eq!(said(person), ["one", "two", "three", "four", "five", "six", "seven"], "{}", person.handle);
        assert_eq!(members(person), ["alice*", "carol", "dave"]);
    }
    assert_eq!(deeds(&carol), ["alice added carol", "alice added dave", "alice removed bob"]);

    // Back again: with what is said from now on, and with what was there before.
    alice.run(&["add", TEAM, "@bob"]).success();
    alice.say(TEAM, "eight");
    assert_eq!(said(&bob), ["one", "two", "three", "four", "five", "eight"]);
    bob.say(TEAM, "nine");
    assert_eq!(said(&dave), ["four", "five", "six", "seven", "eight", "nine"]);
}

#[test]
fn admins_decide_and_a_plain_member_does_not() {
    let server = Server::start();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|handle| server.joined(handle));
    alice.run(&["group", TEAM, "@bob"]).success();
    bob.lines();
    for refused in [["add", TEAM, "@carol"], ["remove", TEAM, "@alice"], ["admin", TEAM, "@bob"]] {
        let (status, error) = bob.run(&refused).failure();
        assert_eq!((status, &error["kind"]), (2, &"usage".into()), "{error}");
    }
    for refused in
        [vec!["admin", TEAM, "@alice", "--revoke"], vec!["admin", TEAM, "@carol"], vec!["remove", TEAM, "@alice"]]
    {
        let (status, error) = alice.run(&refused).failure();
        assert_eq!((status, &error["kind"]), (2, &"usage".into()), "{error}");
    }
    alice.run(&["admin", TEAM, "@bob"]).success();
    bob.run(&["add", TEAM, "@carol"]).success();
    bob.run(&["admin", TEAM, "@alice", "--revoke"]).success();
    assert_eq!(members(&carol), ["alice", "bob*", "carol"]);
    assert_eq!(deeds(&alice), ["alice added bob", "alice promoted bob", "bob added carol", "bob demoted alice"]);
    carol.run(&["rename", TEAM, "Crew"]).success();
    alice.say("Crew", "the new name is known");
    assert_eq!(said(&bob), ["the new name is known"]);
    assert_eq!(bob.run(&["chats"]).success()[0]["title"], "Crew");
}

#[test]
fn of_two_admins_who_add_at_once_both_get_their_way() {
    let mut server = Server::start();
    let [alice, bob] = ["alice", "bob"].map(|handle| server.joined(handle));
    let others = ["carol", "dave", "erin", "frank"].map(|handle| server.joined(handle));
    alice.run(&["group", TEAM, "@bob"]).success();
    alice.run(&["admin", TEAM, "@bob"]).success();
    bob.lines();
    for (round, pair) in others.chunks(2).enumerate() {
        let wishes = [(&alice, &pair[0]), (&bob, &pair[1])];
        let mut running = wishes.map(|(admin, other)| {
            let handle = format!("@{}", other.handle);
            admin.command().args(["add", TEAM, &handle]).stdout(Stdio::null()).spawn().unwrap()
        });
        if round == 1 {
            std::thread::sleep(std::time::Duration::from_millis(60));
            server.kill();
            server.serve();
        }
        running.iter_mut().for_each(|child| assert!(child.wait().unwrap().success()));
    }
    for person in [&alice, &bob].into_iter().chain(&others) {
        assert_eq!(members(person), ["alice*", "bob*", "carol", "dave", "erin", "frank"], "{}", person.handle);
    }
    others[3].say(TEAM, "all here");
    assert_eq!(said(&others[0]), ["all here"]);
}

#[test]
fn a_client_killed_while_making_a_group_goes_on() {
    let server = Server::start();
    let [alice, bob] = ["alice", "bob"].map(|handle| server.joined(handle));
    alice.run(&["whois", "bob"]).success();
    let mut begun = 0;
    for step in 0..5_u64 {
        let name = format!("group {step}");
        alice.killed(&["group", &name, "@bob"], std::time::Duration::from_millis(30 + 50 * step));
        let there = alice.run(&["chats", "--offline"]).success().iter().any(|chat| chat["title"] == name.as_str());
        if !there {
            continue;
        }
        begun += 1;
        alice.say(&name, &name);
        wait("the message arrives", || said(&bob).contains(&name).then_some(()));
    }
    assert!(begun > 0, "no group was begun before the process was killed");
}

#[test]
fn who_leaves_is_gone_for_all() {
    let mut server = Server::start();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|handle| server.joined(handle));
    alice.run(&["group", TEAM, "@bob", "@carol"]).success();
    bob.say(TEAM, "before");
    let (status, error) = alice.run(&["leave", TEAM]).failure();
    assert_eq!((status, &error["kind"]), (2, &"usage".into()), "the only admin: {error}");
    bob.run(&["leave", TEAM]).success();
    // The server knows the proposal only from its log now.
    server.kill();
    server.serve();
    carol.say(TEAM, "after");
    assert_eq!(said(&bob), ["before"]);
    assert_eq!(state(&bob), "left");
    assert_eq!(said(&alice), ["before", "after"]);
    assert_eq!(members(&alice), ["alice*", "carol"]);
    assert_eq!(deeds(&alice).last().unwrap(), "carol left bob");

    alice.run(&["admin", TEAM, "@carol"]).success();
    alice.run(&["leave", TEAM]).success();
    // Whoever connects next carries it out.
    carol.lines();
    assert_eq!(members(&carol), ["carol*"]);
    carol.run(&["leave", TEAM]).success();
    assert_eq!(state(&carol), "left");
}
