//! Following a succession: the device's Welcome into the new group and its tree are fetched, and the new group is held
//! against the old one before that is let go. Who is not welcomed, or cannot open what it got, rejoins from outside.

use crate::database::conversation::ConversationRow;
use crate::database::meta;
use crate::database::outbox::{self, OutboxKind};
use crate::database::raw;
use crate::receive::Step;
use crate::session::Work;
use crate::turn::{Turn, is_transient};
use crate::{ConversationState, Error, Event};
use e2ee::{Group, Invitation, Refused};
use rusqlite::Connection;
use wire::request::{AcceptWelcome, FetchTree, FetchWelcomes, PendingWelcome, Tree, Welcomes};
use wire::{ConversationId, Entry, ErrorCode, GroupId, MessageId, Refusal};

/// A succession that waits in the log until what it needs is here.
#[derive(Debug)]
pub(crate) struct Arrival {
    seq: u64,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The Welcome is to be asked for.
    Welcome,
    /// The tree is to be asked for.
    Tree(Box<PendingWelcome>),
    /// Both are here.
    Here(Box<PendingWelcome>, Vec<u8>),
    /// There is no Welcome for this device.
    Nothing,
}

impl Turn<'_> {
    /// The next entry says that another group takes the place of the one that this device follows.
    pub(crate) fn succession(&mut self, row: &mut ConversationRow, entry: &Entry) -> Result<Step, Error> {
        let arrival = self.memory.arrivals.remove(&row.id).filter(|arrival| arrival.seq == entry.seq);
        match arrival.map_or(Stage::Welcome, |arrival| arrival.stage) {
            Stage::Here(welcome, tree) => self.succeed_to(row, entry, welcome, tree),
            Stage::Nothing => self.left_behind(row).map(|()| Step::Done),
            stage => {
                self.memory.arrivals.insert(row.id, Arrival { seq: entry.seq, stage });
                self.memory.attention.insert(row.id);
                Ok(Step::Wait)
            }
        }
    }

    /// Asks for what a succession needs; `false` when nothing is missing.
    pub(crate) fn fetch_succession(&mut self, id: ConversationId) -> bool {
        match self.memory.arrivals.get(&id).map(|arrival| &arrival.stage) {
            Some(Stage::Welcome) => self.request(Work::SuccessorWelcome(id), &FetchWelcomes {}),
            Some(Stage::Tree(welcome)) => {
                let tree = FetchTree { conversation: id, epoch: welcome.epoch, group: Some(welcome.group) };
                self.request(Work::SuccessorTree(id), &tree);
            }
            Some(Stage::Here(..) | Stage::Nothing) | None => return false,
        }
        true
    }

    pub(crate) fn successor_welcome(&mut self, id: ConversationId, welcomes: Welcomes) {
        let Some(arrival) = self.memory.arrivals.get_mut(&id) else { return };
        let is_asked = |welcome: &PendingWelcome| welcome.conversation == id && welcome.seq == arrival.seq;
        let found = welcomes.welcomes.into_iter().find(is_asked);
        arrival.stage = found.map_or(Stage::Nothing, |welcome| Stage::Tree(Box::new(welcome)));
    }

    pub(crate) fn successor_tree(&mut self, id: ConversationId, tree: Tree) {
        if let Some(Arrival { seq, stage: Stage::Tree(welcome) }) = self.memory.arrivals.remove(&id) {
            self.memory.arrivals.insert(id, Arrival { seq, stage: Stage::Here(welcome, tree.tree) });
        }
    }

    pub(crate) fn successor_refused(&mut self, work: Work, id: ConversationId, refusal: &Refusal) {
        if is_transient(refusal) && refusal.code() != Some(ErrorCode::StaleEpoch) {
            self.later(work, refusal);
        } else if let Some(arrival) = self.memory.arrivals.get_mut(&id) {
            arrival.stage = Stage::Nothing;
        }
    }

    fn succeed_to(
        &mut self,
        row: &mut ConversationRow,
        entry: &Entry,
        welcome: Box<PendingWelcome>,
        tree: Vec<u8>,
    ) -> Result<Step, Error> {
        let (conversation, before) = (row.id, row.group);
        let (tenant, epoch) = (self.account()?.tenant, welcome.epoch);
        let invitation = Invitation { tenant, conversation, epoch, message: &welcome.welcome, tree: &tree };
        self.memory.groups.remove(&conversation);
        let followed = self.act(|device, vouch| {
            let next = e2ee::group_of(&entry.payload)?;
            let before = before.map(|id| Group::load(device, id)).transpose()?.flatten();
            let before = before.ok_or(e2ee::Error::NotMember)?;
            let changed = device.follow(before, next, entry.sender, &invitation, vouch)?;
            Ok(((changed.output, changed.group, next), changed.writes))
        })?;
        match followed {
            Ok((joined, group, next)) => {
                raw::keep_tree(self.db, conversation, entry.seq, &tree)?;
                self.moved_to(row, next)?;
                self.keep(conversation, group);
                joined.gone.iter().try_for_each(|leaf| self.sweep_soon(row, leaf.user))?;
                self.accept_successor(row, entry)?;
            }
            Err(e2ee::Error::NeedsIdentities(users)) => {
                let stage = Stage::Here(welcome, tree);
                self.memory.arrivals.insert(conversation, Arrival { seq: entry.seq, stage });
                self.wait_for(conversation, users);
                return Ok(Step::Wait);
            }
            Err(error) if is_objection(&error) && !is_outdated(row, &error) => {
                self.refuse_successor(row, entry, &error.to_string())?
            }
            Err(_) => self.left_behind(row)?,
        }
        Ok(Step::Done)
    }

    fn accept_successor(&mut self, row: &mut ConversationRow, entry: &Entry) -> Result<(), Error> {
        if row.state == ConversationState::Repairing {
            row.state = ConversationState::Active;
        }
        // Its key package may have been a last resort.
        row.renew_at = Some(self.soon());
        self.watch_renewal(row);
        let accept = AcceptWelcome { conversation: row.id, seq: entry.seq };
        let key = MessageId::from_bytes(self.entropy.array());
        outbox::insert(self.db, row.id, OutboxKind::Accept, key, None, Some(&wire::encode(&accept)))?;
        self.tell(Event::ConversationChanged(row.id));
        Ok(())
    }

    /// There is no way into the new group by a Welcome. The old one is kept, to hold the new one against it.
    fn left_behind(&mut self, row: &mut ConversationRow) -> Result<(), Error> {
        row.state = ConversationState::Repairing;
        row.repaired_at = Some(self.now);
        // Whoever was removed from it before coming in may have been added again.
        self.memory.left_behind.insert(row.id);
        self.memory.ask_for_welcomes = true;
        self.memory.attention.insert(row.id);
        self.tell(Event::ConversationChanged(row.id));
        Ok(())
    }

    /// Somebody has put a group in the place of the old one that may not be there. It is not followed.
    fn refuse_successor(&mut self, row: &mut ConversationRow, entry: &Entry, reason: &str) -> Result<(), Error> {
        if let Ok(group) = e2ee::group_of(&entry.payload) {
            meta::set_number(self.db, &refusal_of(group), 1)?;
        }
        self.tell(Event::SuccessorRefused { conversation: row.id, by: entry.sender, reason: reason.into() });
        self.left_behind(row)
    }
}

/// Whether this device has refused the group, or the one before it: it is not let in by another door.
pub(crate) fn was_refused(db: &Connection, group: &Group) -> Result<bool, rusqlite::Error> {
    let ids = [Some(group.id()), group.policy().predecessor];
    ids.into_iter().flatten().try_fold(false, |found, id| Ok(found || meta::number(db, &refusal_of(id))? != 0))
}

fn refusal_of(group: GroupId) -> String {
    format!("refused group {group}")
}

/// Whether the new group was held against a copy of the old one that was not current: who is in repair has not followed what
/// was committed since, such as that somebody is removed. It comes in from outside, which looks at the chain of policies.
const fn is_outdated(row: &ConversationRow, error: &e2ee::Error) -> bool {
    matches!(row.state, ConversationState::Repairing) && matches!(error, e2ee::Error::Refused(Refused::Succession(_)))
}

/// Whether the group was opened and is not one to be followed; else there was no way to open it.
const fn is_objection(error: &e2ee::Error) -> bool {
    matches!(
        error,
        e2ee::Error::Envelope
            | e2ee::Error::Refused(
                Refused::Succession(_)
                    | Refused::Policy(_)
                    | Refused::Context
                    | Refused::Suite
                    | Refused::NotVouched(_)
            )
    )
}
