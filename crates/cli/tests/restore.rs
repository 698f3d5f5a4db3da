//! The server's database is lost and put back from a backup: what the backup does not have comes back from the devices.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]

mod common;

use common::{Person, Server};

/// What everybody has, and has alike.
fn alike(people: &[&Person]) -> Vec<String> {
    let texts: Vec<Vec<String>> = people.iter().map(|person| person.texts()).collect();
    assert!(texts.windows(2).all(|pair| pair[0] == pair[1]), "{texts:?}");
    texts[0].clone()
}

/// A server that goes on after its backup was made, and two people; one thing was said before.
fn backed_up() -> (Server, Person, Person) {
    let mut server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    alice.say("@bob", "in the backup");
    assert_eq!(bob.texts(), ["in the backup"]);
    server.kill();
    server.back_up();
    server.serve();
    (server, alice, bob)
}

#[test]
fn what_the_backup_did_not_have_comes_back_from_the_devices() {
    let (mut server, alice, bob) = backed_up();
    alice.say("@bob", "after it");
    bob.say("@alice", "an answer");
    alice.say("@bob", "nobody but its author has read this");
    server.kill();
    let said = server.restore();
    assert!(said.contains("another generation"), "{said}");
    server.serve();
    // Alice's device gives back what is missing, and waits until new things are recorded again.
    alice.say("@bob", "as if nothing had been");
    let before = ["in the backup", "after it", "an answer", "nobody but its author has read this"];
    let expected: Vec<&str> = before.into_iter().chain(["as if nothing had been"]).collect();
    assert_eq!(alike(&[&alice, &bob]), expected);
    bob.say("@alice", "and on");
    assert_eq!(alike(&[&alice, &bob]).len(), 6);
}

#[test]
fn what_nobody_gives_back_in_time_its_authors_say_again() {
    let (mut server, alice, bob) = backed_up();
    alice.say("@bob", "read by both");
    assert_eq!(bob.texts().len(), 2);
    alice.say("@bob", "read by nobody");
    server.kill();
    server.restore();
    server.serve();
    // Bob comes in time and gives back what he has; Alice does not.
    bob.say("@alice", "meanwhile");
    alice.say("@bob", "and on");
    let texts = alike(&[&alice, &bob]);
    assert_eq!(texts, ["in the backup", "read by both", "meanwhile", "read by nobody", "and on"]);
}
