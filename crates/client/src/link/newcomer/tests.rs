use super::*;
use crate::testing::{ALICE, BOB, Chain, Counter, TENANT};
use crate::{Database, DatabaseKey};
use tempfile::TempDir;
use vault::link::LinkedConversation;
use wire::ConversationId;

const NOW: u64 = 1_000;

/// A profile that is nobody's, whose person has proved the password, with its offer made on this chain.
fn offering(person: &Chain) -> (TempDir, Client) {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&folder.path().join("device.db"), &DatabaseKey::generate(&mut Counter(7))).unwrap();
    let mut client = Client::open(database, Box::new(Counter(9_000))).unwrap();
    client.link("acme", "alice", b"password", "laptop", NOW).unwrap();
    client
        .turn(NOW, |turn| {
            let greeting = Greeting { tenant: TENANT, challenge: [0; 32], now: NOW, suite: 1 };
            turn.memory.session.greeting = Some(greeting);
            turn.memory.session.phase = Phase::Linking;
            turn.logged_in(LoggedIn { user: ALICE })?;
            turn.own_chain(&OwnChain { handle: "alice".into(), entries: person.entries.clone() })?;
            turn.offered()
        })
        .unwrap();
    while client.poll_transmit().is_some() {}
    while client.poll_event().is_some() {}
    (folder, client)
}

/// What comes of an answer: the events, and whether the profile is somebody's.
fn collect(client: &mut Client, answer: Vec<u8>) -> (Vec<Event>, bool) {
    let collected = CollectedLink { answer: Some(answer), chain_len: 2 };
    client.turn(NOW, |turn| turn.collected(&collected)).unwrap();
    (std::iter::from_fn(|| client.poll_event()).collect(), client.account_view().is_some())
}

/// The answer of a device that confirms, before it is changed.
fn answer(person: &Chain, link: &Link, change: impl FnOnce(&mut AccountKey, &mut LinkPackage)) -> Vec<u8> {
    let chain = DeviceChain::verify(TENANT, ALICE, &person.entries, None).unwrap();
    let offer = keys(link).unwrap().open_offer(&link.offer).unwrap();
    let entry = person.account.accept(&chain, &offer.entry).unwrap();
    let mut package = LinkPackage::new("alice".into(), [person.entries.clone(), vec![entry]].concat(), None);
    let mut account = AccountKey::from_sealed_storage(&person.account.to_sealed_storage());
    change(&mut account, &mut package);
    keys(link).unwrap().seal_answer(&link.offer, &account, &[], &package, &mut Counter(50)).unwrap()
}

fn stored(client: &Client) -> Option<Link> {
    link::load(client.reader()).unwrap()
}

#[test]
fn a_confirmed_device_is_the_persons_and_knows_what_its_sibling_knew() {
    let (alice, bob) = (Chain::new(ALICE, 1_000), Chain::new(BOB, 5_000));
    let (_folder, mut client) = offering(&alice);
    let conversation = ConversationId::from_bytes([6; 16]);
    let answer = answer(&alice, &stored(&client).unwrap(), |_, package| {
        package.contacts = vec![LinkedContact { user: BOB, handle: "bob".into(), chain: bob.entries.clone() }];
        let (kind, peer, name) = (trust::Kind::Direct, Some(BOB), None);
        package.conversations = vec![LinkedConversation { id: conversation, kind, peer, name, topic: None }];
    });
    let (events, is_somebodys) = collect(&mut client, answer);
    assert!(is_somebodys && events.contains(&Event::Linked { user: ALICE, handle: "alice".into() }), "{events:?}");
    assert_eq!(client.contact("bob").unwrap().unwrap().user, BOB);
    assert_eq!(client.devices().unwrap().iter().filter(|device| device.this).count(), 1);
    let there = client.conversation(conversation).unwrap().unwrap();
    assert_eq!((there.state, there.title.as_str()), (ConversationState::Joining, "bob"));
    assert!(stored(&client).is_none(), "the code is worth nothing any more");
    // Another chain of Bob's is not believed: he was not met for the first time.
    let other = Chain::new(BOB, 9_000).entries;
    assert!(!client.turn(NOW, |turn| turn.pin(BOB, "bob", &other)).unwrap());
}

#[test]
fn a1_an_answer_that_is_not_the_persons_links_nothing() {
    let alice = Chain::new(ALICE, 1_000);
    let stranger = Chain::new(ALICE, 70_000);
    type Spoil = fn(&Chain, &Chain, &Link) -> Vec<u8>;
    let cases: [(&str, Spoil); 6] = [
        ("made without the code", |_, _, _| vec![1; 200]),
        ("changed", |alice, _, link| {
            let mut bytes = answer(alice, link, |_, _| {});
            if let Some(byte) = bytes.last_mut() {
                *byte ^= 1;
            }
            bytes
        }),
        ("the answer to another offer", |alice, _, link| {
            let (keys, other) = (keys(link).unwrap(), [link.offer.clone(), vec![0]].concat());
            let package = LinkPackage::new("alice".into(), alice.entries.clone(), None);
            keys.seal_answer(&other, &alice.account, &[], &package, &mut Counter(1)).unwrap()
        }),
        ("without this device in the chain", |alice, _, link| {
            answer(alice, link, |_, package| drop(package.chain.pop()))
        }),
        ("with another account key", |alice, stranger, link| {
            let key = AccountKey::from_sealed_storage(&stranger.account.to_sealed_storage());
            answer(alice, link, |account, _| *account = key)
        }),
        ("with another person's chain", |alice, stranger, link| {
            answer(alice, link, |_, package| package.chain = stranger.entries.clone())
        }),
    ];
    for (what, spoil) in cases {
        let (_folder, mut client) = offering(&alice);
        let bytes = spoil(&alice, &stranger, &stored(&client).unwrap());
        let (events, is_somebodys) = collect(&mut client, bytes);
        assert!(matches!(events[..], [Event::LinkFailed { .. }]) && !is_somebodys, "{what}: {events:?}");
        assert!(stored(&client).is_none(), "{what}: the code is dropped");
    }
}

#[test]
fn a_chain_that_moves_gets_a_new_offer_under_the_same_code() {
    let mut alice = Chain::new(ALICE, 1_000);
    let (_folder, mut client) = offering(&alice);
    let before = stored(&client).unwrap();
    client.turn(NOW, |turn| turn.collected(&CollectedLink { answer: None, chain_len: 2 })).unwrap();
    let (_, FetchOwnChain {}) = crate::testing::request(&mut client);
    let entries = alice.grown();
    client.turn(NOW, |turn| turn.own_chain(&OwnChain { handle: "alice".into(), entries: entries.clone() })).unwrap();
    let after = stored(&client).unwrap();
    assert_eq!((before.device, before.secret.to_code()), (after.device, after.secret.to_code()));
    assert_ne!(keys(&before).unwrap().number(&before.offer), keys(&after).unwrap().number(&after.offer));
    let offer = keys(&after).unwrap().open_offer(&after.offer).unwrap();
    let chain = DeviceChain::verify(TENANT, ALICE, &entries, None).unwrap();
    assert!(alice.account.accept(&chain, &offer.entry).is_ok());
    let late = NOW + CODE_LIFE_MS;
    client.turn(late, |turn| turn.own_chain(&OwnChain { handle: "alice".into(), entries })).unwrap();
    assert_ne!(stored(&client).unwrap().secret.to_code(), after.secret.to_code(), "an old code is not shown again");
}

#[test]
fn whose_answer_is_gone_begins_anew_as_another_device() {
    let mut alice = Chain::new(ALICE, 1_000);
    let (_folder, mut client) = offering(&alice);
    let before = stored(&client).unwrap();
    let offer = keys(&before).unwrap().open_offer(&before.offer).unwrap();
    let chain = DeviceChain::verify(TENANT, ALICE, &alice.entries, None).unwrap();
    alice.entries.push(alice.account.accept(&chain, &offer.entry).unwrap());
    let own = OwnChain { handle: "alice".into(), entries: alice.entries.clone() };
    client.turn(NOW, |turn| turn.own_chain(&own)).unwrap();
    assert_eq!(stored(&client).unwrap().device, before.device, "the answer may be there");
    let _offer = crate::testing::request::<OfferLink>(&mut client);
    client.turn(NOW, |turn| turn.offered()).unwrap();
    assert_eq!(client.poll_event(), None, "it is not shown as a code that waits");
    let (_, FetchOwnChain {}) = crate::testing::request(&mut client);
    client.turn(NOW, |turn| turn.own_chain(&own)).unwrap();
    client.turn(NOW, |turn| turn.offered()).unwrap();
    let after = stored(&client).unwrap();
    assert_ne!((before.device, before.secret.to_code()), (after.device, after.secret.to_code()));
    assert!(matches!(client.poll_event(), Some(Event::LinkCode { .. })));
}

#[test]
fn a_wrong_password_and_an_expired_code_end_it() {
    for (refusal, kept) in [(ErrorCode::WrongCredentials, true), (ErrorCode::NotFound, false)] {
        let (_folder, mut client) = offering(&Chain::new(ALICE, 1_000));
        client.turn(NOW, |turn| turn.link_refused(&refusal.into())).unwrap();
        let told: Vec<_> = std::iter::from_fn(|| client.poll_event()).collect();
        assert_eq!(told, [Event::LinkRefused(refusal.into())]);
        assert_eq!((stored(&client).is_some(), client.wants_connection(NOW)), (kept, false));
    }
}
