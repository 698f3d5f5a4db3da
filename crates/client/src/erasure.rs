//! Attack A17 of the table: whoever gets the device's files and the key that opens them looks for keys that MLS has deleted.
//! Everything that MLS has stored in the course of a story, and every key that it was sealed under, is written down, and looked
//! for in the files after it.

use crate::content::Content;
use crate::database::conversation::{self, ConversationRow};
use crate::database::mls;
use crate::session::Work;
use crate::testing::pages::{database_pages, log_pages, pages};
use crate::testing::scene::{NEXT, Scene, all, now};
use crate::testing::{BOB, CONVERSATION, Counter, TENANT, alice};
use crate::turn::Turn;
use crate::{Client, ConversationState, Database, DatabaseKey, Event};
use e2ee::{Pending, Proposed, Suite};
use minicbor::data::Type;
use minicbor::decode::Decoder;
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use tempfile::TempDir;
use trust::GroupPolicy;
use vault::DeviceKey;
use wire::request::{
    Commit, CurrentGroup, FetchGroupInfo, FetchTree, KeyPackagesHeld, PendingWelcome, PublishKeyPackages, RecordedAt,
    Send, Tree,
};
use wire::{ConversationId, GroupId};

/// Rows of these hold secrets, beside public keys.
const SECRET_ROWS: [&str; 6] = ["epoch", "messages", "path keys", "leaf key", "key package", "resumption"];
/// Shorter ones are nonces; longer ones, as they are encoded, public keys and contexts of groups.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 16..=128;
/// A key that a page's end cuts in two is found by one of its halves.
const PIECE: usize = 20;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn rows(client: &Client) -> Rows {
    rows_of(client, |_| true)
}

fn rows_of(client: &Client, is_wanted: impl Fn(&[u8]) -> bool) -> Rows {
    let db = client.reader();
    let mut statement = db.prepare("SELECT key FROM mls_entry").unwrap();
    let names = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap().map(Result::unwrap);
    let wanted = names.filter(|name| is_wanted(name));
    wanted.map(|name| (name.clone(), mls::read(db, &name).unwrap().unwrap().to_vec())).collect()
}

/// The keys under which something is sealed now.
fn row_keys(db: &Connection) -> BTreeSet<Vec<u8>> {
    let mut statement = db.prepare_cached("SELECT key FROM erasure_slot WHERE free = 0").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Every byte string of a value, as it stands there: of bytes, or of numbers that are bytes.
fn strings(value: &[u8]) -> BTreeSet<Vec<u8>> {
    let (mut found, mut decoder) = (BTreeSet::new(), Decoder::new(value));
    walk(value, &mut decoder, &mut found).expect("what MLS keeps is CBOR");
    found
}

fn walk(value: &[u8], decoder: &mut Decoder<'_>, found: &mut BTreeSet<Vec<u8>>) -> Result<(), minicbor::decode::Error> {
    match decoder.datatype()? {
        Type::Bytes => drop(found.insert(decoder.bytes()?.to_vec())),
        Type::Array => {
            let items = decoder.array()?.unwrap_or_default();
            let (begins, mut all_bytes) = (decoder.position(), items as usize >= *SECRET_BYTES.start());
            for _ in 0..items {
                all_bytes &= decoder.datatype()? == Type::U8;
                walk(value, decoder, found)?;
            }
            if all_bytes {
                found.insert(value[begins..decoder.position()].to_vec());
            }
        }
        Type::Map => {
            for _ in 0..2 * decoder.map()?.unwrap_or_default() {
                walk(value, decoder, found)?;
            }
        }
        _ => decoder.skip()?,
    }
    Ok(())
}

/// What kind of row it is.
fn label(key: &[u8]) -> &str {
    let label = key.split(|byte| *byte == 0).next().unwrap_or_default();
    std::str::from_utf8(label).unwrap()
}

/// The secrets in some rows: what stands in rows of secrets, but for the public keys that stand in others too.
fn secrets(rows: &Rows) -> BTreeSet<Vec<u8>> {
    let strings_of = |is_secret: bool| {
        let chosen = rows.iter().filter(move |(key, _)| SECRET_ROWS.contains(&label(key)) == is_secret);
        chosen.flat_map(|(_, value)| strings(value))
    };
    let public: BTreeSet<Vec<u8>> = strings_of(false).collect();
    strings_of(true).filter(|secret| SECRET_BYTES.contains(&secret.len()) && !public.contains(secret)).collect()
}

/// The beginning and the end of each secret that stand somewhere in the pages, as how many secrets.
fn found(pages: &[u8], secrets: &BTreeSet<Vec<u8>>) -> usize {
    let mut pieces: HashMap<&[u8], Vec<usize>> = HashMap::new();
    for (number, secret) in secrets.iter().enumerate() {
        let length = PIECE.min(secret.len());
        for piece in [&secret[..length], &secret[secret.len() - length..]] {
            pieces.entry(&piece[..*SECRET_BYTES.start()]).or_default().push(number);
        }
    }
    let begins: HashSet<[u8; 2]> = pieces.keys().map(|piece| [piece[0], piece[1]]).collect();
    let may_be = |window: &&[u8]| begins.contains(&[window[0], window[1]]);
    let hits = pages.windows(*SECRET_BYTES.start()).filter(may_be).filter_map(|window| pieces.get(window)).flatten();
    hits.collect::<BTreeSet<_>>().len()
}

/// A device's life, every secret that it has had, and every key under which one was sealed.
struct Life {
    scene: Scene,
    had: BTreeSet<Vec<u8>>,
    keys: BTreeSet<Vec<u8>>,
    seq: u64,
}

/// A further conversation, which Alice is brought into and thrown out of.
const OTHER: ConversationId = ConversationId::from_bytes([0x0c; 16]);
const OTHER_GROUP: GroupId = GroupId::from_bytes([0x0d; 16]);

impl Life {
    fn new() -> Self {
        Self { scene: Scene::new(), had: BTreeSet::new(), keys: BTreeSet::new(), seq: 2 }
    }

    fn note(&mut self) {
        self.had.extend(self.group_secrets());
        self.keys.extend(row_keys(self.scene.alice.reader()));
    }

    fn group_secrets(&self) -> BTreeSet<Vec<u8>> {
        secrets(&rows_of(&self.scene.alice, |name| label(name) != "key package"))
    }

    fn next(&mut self) -> u64 {
        self.note();
        self.seq += 1;
        self.seq
    }

    /// Key packages are made and published; one of them.
    fn publishes(&mut self) -> Vec<u8> {
        let nothing = KeyPackagesHeld { one_time: 0, last_resort_used: false };
        self.scene.alice.memory_mut().held = Some(nothing);
        self.scene.alice.handle_timeout(now()).unwrap();
        let (id, mut published) = self.scene.want::<PublishKeyPackages>();
        self.scene.answer::<PublishKeyPackages>(id, &KeyPackagesHeld { one_time: 50, last_resort_used: false });
        self.had.extend(secrets(&rows(&self.scene.alice)));
        self.note();
        published.one_time.pop().unwrap().to_vec()
    }

    /// Another group takes the place of the first one.
    fn moves(&mut self) {
        self.note();
        let policy = self.scene.policy();
        let made = self.scene.make(&policy);
        self.note();
        self.scene.hear(&made, true);
        assert_eq!(self.scene.state(), (ConversationState::Active, Some(NEXT)));
    }

    /// Alice replaces the keys of her leaf.
    fn renews(&mut self) {
        let seq = self.next();
        let now = now();
        let due = |turn: &mut Turn<'_>| {
            let row = turn.conversation(CONVERSATION)?;
            conversation::save(turn.db, &ConversationRow { renew_at: Some(now), ..row })?;
            turn.memory.session.delay(Work::Renew(CONVERSATION), now);
            turn.resume();
            Ok(())
        };
        self.scene.alice.turn(now, due).unwrap();
        let (id, commit) = self.scene.want::<Commit>();
        self.note();
        self.scene.answer::<Commit>(id, &RecordedAt { seq, at: now, generation: 0 });
        self.bob_follows(&commit, seq);
    }

    fn bob_follows(&self, commit: &Commit, seq: u64) {
        let entry = self.scene.entry_of_alice(commit, self.scene.bobs(NEXT).epoch(), seq);
        self.scene.act(NEXT, |group, device| group.open(device, &entry, &all));
    }

    fn reads(&mut self, messages: u64) {
        for _ in 0..messages {
            let seq = self.next();
            self.scene.tell(CONVERSATION, self.scene.said(NEXT, seq, "words"));
        }
    }

    fn says(&mut self, messages: u64) {
        for _ in 0..messages {
            let seq = self.next();
            self.scene.alice.send(CONVERSATION, &Content::text("words", 1), now()).unwrap();
            let (id, _) = self.scene.want::<Send>();
            self.note();
            self.scene.answer::<Send>(id, &RecordedAt { seq, at: now(), generation: 0 });
        }
    }

    /// Bob replaces the keys of his leaf.
    fn follows(&mut self) -> Pending {
        let seq = self.next();
        let (entry, pending) = self.scene.committed(NEXT, seq, &Proposed::default());
        self.scene.tell(CONVERSATION, entry);
        pending
    }

    /// Alice's device does not trust its copy of the group any more.
    fn rejoins(&mut self, before: Pending) {
        let seq = self.next();
        let alice = &mut self.scene.alice;
        alice.turn(now(), |turn| turn.conversation(CONVERSATION).and_then(|row| turn.start_repair(row))).unwrap();
        let (id, _) = self.scene.want::<FetchGroupInfo>();
        let group = self.scene.bobs(NEXT);
        let (group_info, epoch) = (before.group_info, group.epoch());
        let current = CurrentGroup { group_info, epoch, seq: seq - 1, generation: 0, entry_hash: [2; 32] };
        self.scene.answer::<FetchGroupInfo>(id, &current);
        let (id, _) = self.scene.want::<FetchTree>();
        self.scene.answer::<FetchTree>(id, &Tree { tree: group.tree().unwrap() });
        let (id, commit) = self.scene.want::<Commit>();
        self.scene.answer::<Commit>(id, &RecordedAt { seq, at: now(), generation: 0 });
        self.bob_follows(&commit, seq);
        assert!(self.scene.events().contains(&Event::Repaired(CONVERSATION)));
    }

    /// Bob brings Alice into another conversation by one of her key packages, and throws her out again.
    fn comes_and_goes(&mut self, package: Vec<u8>) {
        self.note();
        let policy = GroupPolicy::group(TENANT, OTHER, BOB);
        let created = self.scene.device().create(Suite::Classical, OTHER_GROUP, &policy, now()).unwrap();
        self.scene.disk.apply(&created.writes);
        let (_, pending) =
            self.scene.committed(OTHER_GROUP, 1, &Proposed { add: vec![package], ..Proposed::default() });
        let tree = Tree { tree: self.scene.bobs(OTHER_GROUP).tree().unwrap() };
        let welcome = PendingWelcome {
            conversation: OTHER,
            sender: self.scene.bob.device,
            seq: 1,
            generation: 0,
            entry_hash: [1; 32],
            epoch: 1,
            welcome: pending.welcome.unwrap(),
            group: OTHER_GROUP,
        };
        let joins = |turn: &mut Turn<'_>| {
            turn.memory.welcomes.push_back(welcome);
            turn.fetched_welcome_tree(&tree)
        };
        self.scene.alice.turn(now(), joins).unwrap();
        self.note();
        self.scene.tell(OTHER, self.scene.said(OTHER_GROUP, 2, "welcome"));
        self.note();
        let out = Proposed { remove: vec![self.scene.alice_leaf()], ..Proposed::default() };
        let (entry, _) = self.scene.committed(OTHER_GROUP, 3, &out);
        self.scene.tell(OTHER, entry);
        let state = self.scene.alice.conversation(OTHER).unwrap().unwrap().state;
        assert_eq!(state, ConversationState::Left);
    }

    /// Nobody can use what was published long ago.
    fn forgets_key_packages(&mut self) {
        self.note();
        let later = now() + 300 * 86_400_000;
        self.scene.alice.turn(later, |turn| turn.forget_key_packages()).unwrap();
    }

    /// The client's own timer fires once more, as it does when nothing happens.
    fn rests(&mut self) {
        let at = self.scene.alice.memory_mut().erase_at.expect("something is to be erased");
        assert!(at <= now() + 1_000 && self.scene.alice.poll_timeout() <= Some(at));
        self.scene.alice.handle_timeout(at).unwrap();
    }
}

#[test]
fn a17_no_key_of_before_is_left_in_the_files() {
    let mut life = Life::new();
    let packages: Vec<Vec<u8>> = (0..3).map(|_| life.publishes()).collect();
    life.moves();
    let begun = life.group_secrets();
    life.renews();
    life.reads(260);
    life.says(60);
    let renewed = life.follows();
    let kept: BTreeSet<_> = begun.intersection(&life.group_secrets()).cloned().collect();
    assert_eq!((begun.is_empty(), kept), (false, BTreeSet::new()), "both have renewed their keys");
    life.rejoins(renewed);
    packages.into_iter().take(1).for_each(|package| life.comes_and_goes(package));
    life.forgets_key_packages();

    let (folder, killed) = (&life.scene.folder, tempfile::tempdir().unwrap());
    let rows = rows(&life.scene.alice);
    assert_eq!(life.scene.groups(), 1);
    let packages = rows.keys().filter(|key| label(key) == "key package").count();
    assert_eq!(packages, 1, "only the last resort that was made then");
    life.had.extend(secrets(&rows));
    assert!(life.had.len() >= 1_000, "{} secrets", life.had.len());
    let live = row_keys(life.scene.alice.reader());
    let old: BTreeSet<_> = life.keys.difference(&live).cloned().collect();
    assert!(live.len() >= rows.len() && old.len() >= 500, "{} live, {} old", live.len(), old.len());
    let (in_log, in_pages) = (found(&log_pages(folder), &old), found(&database_pages(folder), &old));
    assert!(in_log > 50 && in_pages > 50, "the control: {in_log} and {in_pages}");
    assert_eq!(found(&pages(folder), &life.had), 0, "what MLS keeps is sealed before it is stored");
    for file in ["device.db", "device.db-wal"] {
        std::fs::copy(folder.path().join(file), killed.path().join(file)).unwrap();
    }

    life.rests();
    none_is_left(&life.scene.folder, &live, &old);
    let key = DatabaseKey::generate(&mut Counter::at(7));
    let opened = Database::open(&killed.path().join("device.db"), &key).unwrap();
    none_is_left(&killed, &live, &old);
    drop(opened);
}

/// All live keys are in the database, no old one is anywhere in it, and beside it there is nothing to search.
#[track_caller]
fn none_is_left(folder: &TempDir, live: &BTreeSet<Vec<u8>>, old: &BTreeSet<Vec<u8>>) {
    let pages = database_pages(folder);
    assert_eq!((found(&pages, live), found(&pages, old)), (live.len(), 0), "of {} and {}", live.len(), old.len());
    for file in std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap) {
        match file.file_name().to_str().unwrap() {
            "device.db" => {}
            "device-files.db" => assert_eq!(file.metadata().unwrap().len(), 0, "there was no file"),
            "device.db-wal" => assert_eq!(file.metadata().unwrap().len(), 0),
            // The index of the log: numbers and checksums of pages.
            "device.db-shm" => assert_eq!(found(&std::fs::read(file.path()).unwrap(), old), 0),
            other => panic!("{other} is not searched"),
        }
    }
}

/// Rows of every size that come, change and go leave nothing behind that opens them, wherever SQLite moves its cells.
#[test]
fn a17_what_was_replaced_or_deleted_is_in_no_page() {
    let (folder, mut client) = alice();
    let (mut values, mut keys) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..200 {
        let changes = |turn: &mut Turn<'_>| {
            for number in 10 * round..10 * (round + 1) {
                let secret = chance(2 * number).to_vec();
                let [key, action, size, ..] = chance(2 * number + 1);
                let row = format!("a row of which there are many, {key}");
                if action < 80 {
                    turn.put(row.as_bytes(), None)?;
                } else {
                    let size = [32, 100, 300, 1_000, 2_000, 6_000][usize::from(size) % 6];
                    let value: Vec<u8> = secret.iter().copied().cycle().take(size).collect();
                    turn.put(row.as_bytes(), Some(&value))?;
                    assert_eq!(mls::read(turn.db, row.as_bytes())?.unwrap().as_slice(), value);
                    values.insert(secret);
                }
                keys.extend(row_keys(turn.db));
            }
            Ok(())
        };
        client.turn(round, changes).unwrap();
    }
    assert_eq!(log_pages(&folder).len(), 0, "without a connection they are dropped at once");
    let live = row_keys(client.reader());
    assert_eq!(live.len(), rows(&client).len());
    assert!(keys.len() > 1_000 && live.len() > 100, "{} of {}", live.len(), keys.len());
    none_is_left(&folder, &live, &keys.difference(&live).cloned().collect());
    assert_eq!(found(&database_pages(&folder), &values), 0);
}

/// A database of before values were sealed is taken over, and nothing of what stood there in the clear is left.
#[test]
fn a17_what_an_earlier_version_stored_in_the_clear_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("device.db");
    let key = || DatabaseKey::generate(&mut Counter::at(7));
    let before: Rows = (0..500).map(|number| (number.to_string().into_bytes(), chance(number).repeat(20))).collect();
    let database = Database::of_version(&path, &key(), 5).unwrap();
    for (name, value) in &before {
        database.execute("INSERT INTO mls_entry (key, value) VALUES (?, ?)", [name, value]).unwrap();
    }
    database.execute("DELETE FROM mls_entry WHERE key > x'33'", []).unwrap();
    drop(database);
    let plain: BTreeSet<Vec<u8>> = (0..500).map(|number| chance(number).to_vec()).collect();
    assert!(found(&pages(&folder), &plain) > 100, "the control");

    let database = Database::open(&path, &key()).unwrap();
    let client = Client::open(database, Box::new(Counter::at(1_000))).unwrap();
    let kept: Rows = before.into_iter().filter(|(name, _)| name.as_slice() <= b"3".as_slice()).collect();
    assert_eq!(rows(&client), kept);
    none_is_left(&folder, &row_keys(client.reader()), &plain);
}

/// Bytes that look like chance, and are the same each time.
fn chance(number: u64) -> [u8; 32] {
    *DeviceKey::generate(&mut Counter::at(number)).public().as_bytes()
}
