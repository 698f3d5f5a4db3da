//! What the client knows without asking the disk. All of it can be dropped and read again.

use crate::archive::Archive;
use crate::database::account::Account;
use crate::files::Files;
use crate::link::{Linking, Opening};
use crate::restore::Comparison;
use crate::session::Session;
use crate::succession::{Arrival, Attempt};
use crate::typing::Typing;
use e2ee::Group;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use trust::DeviceChain;
use wire::request::{CurrentGroup, Cursor, KeyPackagesHeld, PendingWelcome};
use wire::{ConversationId, UnixMillis, UserId};
use zeroize::Zeroizing;

/// An invite that is being redeemed, before anything of it is on the disk.
pub(crate) struct Joining {
    pub(crate) tenant: String,
    pub(crate) code: Zeroizing<String>,
    pub(crate) handle: String,
    pub(crate) password: Zeroizing<Vec<u8>>,
    pub(crate) registration: Option<vault::password::Registration>,
    /// A registration that was made elsewhere; there is no password then.
    pub(crate) upload: Option<Vec<u8>>,
}

/// What the client knows without asking the disk.
pub(crate) struct Memory {
    pub(crate) session: Session,
    pub(crate) account: Option<Arc<Account>>,
    pub(crate) joining: Option<Joining>,
    /// This profile is being linked as a further device.
    pub(crate) linking: Option<Linking>,
    /// A link code that the person has given to this device.
    pub(crate) opening: Option<Opening>,
    pub(crate) groups: HashMap<ConversationId, Group>,
    pub(crate) chains: RefCell<HashMap<UserId, Arc<DeviceChain>>>,
    /// Users whose chain was fetched on this connection and has not grown since, whether or not there was one.
    pub(crate) fresh: HashSet<UserId>,
    /// How far the logs go, as the server says.
    pub(crate) heads: HashMap<ConversationId, Cursor>,
    /// Conversations that may have something to do.
    pub(crate) attention: BTreeSet<ConversationId>,
    /// Conversations that wait for somebody's device chain.
    pub(crate) waiting: BTreeSet<ConversationId>,
    /// Device chains to fetch.
    pub(crate) wanted: BTreeSet<UserId>,
    /// Handles that somebody looks up: until an answer has come, by whichever connection.
    pub(crate) lookups: BTreeSet<String>,
    /// Conversations whose log lost entries before this device saw them.
    pub(crate) gaps: HashSet<ConversationId>,
    /// Refusals for a stale epoch in a row, without an entry in between.
    pub(crate) stale: HashMap<ConversationId, u32>,
    /// After which entry what is on its way was asked for.
    pub(crate) asked_after: HashMap<ConversationId, u64>,
    pub(crate) repairs: HashMap<ConversationId, CurrentGroup>,
    /// Rejoins in a row that led nowhere.
    pub(crate) failed_rejoins: HashMap<ConversationId, u32>,
    /// Conversations that have gone on in a group into which this device has found no way so far.
    pub(crate) left_behind: HashSet<ConversationId>,
    /// Successions that wait in the log for what they need.
    pub(crate) arrivals: HashMap<ConversationId, Arrival>,
    /// When this device is to put another group in the place of a conversation's.
    pub(crate) attempts: HashMap<ConversationId, Attempt>,
    /// Conversations whose group has the suite that it should have.
    pub(crate) settled: HashSet<ConversationId>,
    /// Logs of another generation, as far as they were compared with this device's.
    pub(crate) comparisons: HashMap<ConversationId, Comparison>,
    /// How long the person's own chain is by the server's word.
    pub(crate) chain_len_there: Option<u32>,
    /// Whose chains have grown is asked from the beginning on this connection, because the server was restored.
    pub(crate) chains_anew: bool,
    /// Conversations of which the person was told that somebody is back in them who was removed.
    pub(crate) told_returned: HashSet<ConversationId>,
    pub(crate) ask_for_welcomes: bool,
    /// Conversations of the person's other devices are to be asked for.
    pub(crate) ask_for_joinable: bool,
    /// It was asked a second time on this connection.
    pub(crate) asked_for_joinable_again: bool,
    /// Whose chains have grown is to be asked for.
    pub(crate) ask_for_changes: bool,
    /// Users whose chains have grown while this device was away, and which have not come yet. `None`: not known yet. Until
    /// then nothing is sent: it could be sealed to a device that is gone.
    pub(crate) behind_on: Option<BTreeSet<UserId>>,
    /// When the chains that are wanted have been fetched, all changes up to here are known.
    pub(crate) chain_mark: Option<u64>,
    /// Conversations whose member this device is, as the server says, and which it does not know.
    pub(crate) unknown: BTreeSet<ConversationId>,
    pub(crate) welcomes: VecDeque<PendingWelcome>,
    pub(crate) held: Option<KeyPackagesHeld>,
    pub(crate) unacknowledged: BTreeSet<ConversationId>,
    pub(crate) acknowledge_at: UnixMillis,
    /// It was told that nothing is left to fetch.
    pub(crate) caught_up: bool,
    pub(crate) typing: Typing,
    pub(crate) files: Files,
    pub(crate) archive: Archive,
    /// When the next message expires.
    pub(crate) expires_at: Option<UnixMillis>,
    /// Something was wiped whose old pages are to be dropped at once.
    pub(crate) wiped: bool,
    /// When old pages are to be dropped.
    pub(crate) erase_at: Option<UnixMillis>,
}

impl Memory {
    pub(crate) fn new(account: Option<Account>) -> Self {
        Self {
            session: Session::new(),
            account: account.map(Arc::new),
            joining: None,
            linking: None,
            opening: None,
            groups: HashMap::new(),
            chains: RefCell::default(),
            fresh: HashSet::new(),
            heads: HashMap::new(),
            attention: BTreeSet::new(),
            waiting: BTreeSet::new(),
            wanted: BTreeSet::new(),
            lookups: BTreeSet::new(),
            gaps: HashSet::new(),
            stale: HashMap::new(),
            asked_after: HashMap::new(),
            repairs: HashMap::new(),
            failed_rejoins: HashMap::new(),
            left_behind: HashSet::new(),
            arrivals: HashMap::new(),
            attempts: HashMap::new(),
            settled: HashSet::new(),
            comparisons: HashMap::new(),
            chain_len_there: None,
            chains_anew: false,
            told_returned: HashSet::new(),
            ask_for_welcomes: false,
            ask_for_joinable: false,
            asked_for_joinable_again: false,
            ask_for_changes: false,
            behind_on: None,
            chain_mark: None,
            unknown: BTreeSet::new(),
            welcomes: VecDeque::new(),
            held: None,
            unacknowledged: BTreeSet::new(),
            acknowledge_at: 0,
            caught_up: false,
            typing: Typing::default(),
            files: Files::default(),
            archive: Archive::default(),
            expires_at: None,
            wiped: false,
            erase_at: None,
        }
    }

    /// Drops what belongs to a connection.
    pub(crate) fn end_connection(&mut self) {
        self.fresh.clear();
        self.heads.clear();
        self.attention.clear();
        self.waiting.clear();
        self.wanted.clear();
        self.gaps.clear();
        self.stale.clear();
        self.asked_after.clear();
        self.repairs.clear();
        self.failed_rejoins.clear();
        self.arrivals.clear();
        self.attempts.clear();
        self.settled.clear();
        self.comparisons.clear();
        self.chain_len_there = None;
        self.chains_anew = false;
        self.told_returned.clear();
        self.archive.end_connection();
        self.ask_for_welcomes = false;
        self.ask_for_joinable = false;
        self.asked_for_joinable_again = false;
        self.ask_for_changes = false;
        self.behind_on = None;
        self.chain_mark = None;
        self.opening = None;
        self.unknown.clear();
        self.welcomes.clear();
        self.held = None;
        self.unacknowledged.clear();
        self.caught_up = false;
        self.files.end_connection();
    }

    /// Drops what mirrors the disk.
    pub(crate) fn forget(&mut self) {
        self.groups.clear();
        self.chains.borrow_mut().clear();
    }
}
