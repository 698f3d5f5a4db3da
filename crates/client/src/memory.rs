//! What the client knows without asking the disk. All of it can be dropped and read again.

use crate::database::account::Account;
use crate::session::Session;
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
}

/// What the client knows without asking the disk.
pub(crate) struct Memory {
    pub(crate) session: Session,
    pub(crate) account: Option<Arc<Account>>,
    pub(crate) joining: Option<Joining>,
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
    /// Conversations whose log lost entries before this device saw them.
    pub(crate) gaps: HashSet<ConversationId>,
    /// Refusals for a stale epoch in a row, without an entry in between.
    pub(crate) stale: HashMap<ConversationId, u32>,
    pub(crate) repairs: HashMap<ConversationId, CurrentGroup>,
    pub(crate) ask_for_welcomes: bool,
    /// Conversations whose member this device is, as the server says, and which it does not know.
    pub(crate) unknown: BTreeSet<ConversationId>,
    pub(crate) welcomes: VecDeque<PendingWelcome>,
    pub(crate) held: Option<KeyPackagesHeld>,
    pub(crate) unacknowledged: BTreeSet<ConversationId>,
    pub(crate) acknowledge_at: UnixMillis,
    /// It was told that nothing is left to fetch.
    pub(crate) caught_up: bool,
}

impl Memory {
    pub(crate) fn new(account: Option<Account>) -> Self {
        Self {
            session: Session::new(),
            account: account.map(Arc::new),
            joining: None,
            groups: HashMap::new(),
            chains: RefCell::default(),
            fresh: HashSet::new(),
            heads: HashMap::new(),
            attention: BTreeSet::new(),
            waiting: BTreeSet::new(),
            wanted: BTreeSet::new(),
            gaps: HashSet::new(),
            stale: HashMap::new(),
            repairs: HashMap::new(),
            ask_for_welcomes: false,
            unknown: BTreeSet::new(),
            welcomes: VecDeque::new(),
            held: None,
            unacknowledged: BTreeSet::new(),
            acknowledge_at: 0,
            caught_up: false,
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
        self.repairs.clear();
        self.ask_for_welcomes = false;
        self.unknown.clear();
        self.welcomes.clear();
        self.held = None;
        self.unacknowledged.clear();
        self.caught_up = false;
    }

    /// Drops what mirrors the disk.
    pub(crate) fn forget(&mut self) {
        self.groups.clear();
        self.chains.borrow_mut().clear();
    }
}
