//! One connection: how far it has come, and what is on its way. All of it is dropped with the connection.

use crate::archive::ArchiveWork;
use std::collections::{BTreeMap, HashMap};
use vault::Entropy;
use wire::request::{Cursor, Greeting};
use wire::{BlobId, ConversationId, DeviceId, MessageId, UnixMillis, UserId};

/// An answer that takes longer means that the connection is dead.
const ANSWER_DEADLINE_MS: u64 = 30_000;
const BACK_OFF_FIRST_MS: u64 = 250;
/// Pauses between attempts to connect grow up to this.
pub(crate) const BACK_OFF_MAX_MS: u64 = 60_000;

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// There is none.
    Offline {
        /// Connect at this time.
        retry_at: UnixMillis,
    },
    /// Hello is on its way.
    Greeting,
    /// An invite is being redeemed.
    Joining,
    /// This profile is being linked: the person proves the password, then waits for another device.
    Linking,
    /// The device proves itself.
    Authenticating,
    /// It asked what there is.
    Syncing,
    /// Everything flows.
    Live,
    /// It is to be closed.
    Closing,
}

/// What a request is for, and so what its answer means.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Work {
    Hello,
    JoinStart,
    JoinFinish,
    Authenticate,
    Sync,
    /// Key packages up to this row.
    Publish(i64),
    FindUser(String),
    FetchChain(UserId),
    FetchWelcomes,
    WelcomeTree,
    Decline(ConversationId),
    Claim(ConversationId),
    /// Key packages of a person whom a wish in the outbox adds.
    ClaimFor(ConversationId, MessageId, UserId),
    Outbox(ConversationId, MessageId),
    Fetch(ConversationId),
    GroupInfo(ConversationId),
    RejoinTree(ConversationId),
    Acknowledge(Vec<(ConversationId, u32, u64)>),
    LoginStart,
    LoginFinish,
    OwnChain,
    OfferLink,
    CollectLink,
    FetchOffer,
    AnswerLink,
    Revoke(DeviceId),
    /// A revocation that the server has lost.
    Republish,
    ChainChanges,
    Joinable,
    Stay(ConversationId),
    /// The Welcome into the group that takes another one's place.
    SuccessorWelcome(ConversationId),
    /// Its tree.
    SuccessorTree(ConversationId),
    /// What survived a restore of the server.
    Restored(ConversationId),
    /// Entries to be held against those of this device.
    Compare(ConversationId),
    /// Whether the server takes this device for a member, when it gives it nothing.
    Confirm(ConversationId),
    /// An entry that the server has lost.
    Supply(ConversationId),
    /// Whether the server still misses something of a log that is whole again.
    Missing(ConversationId),
    /// A GroupInfo that it misses.
    RenewInfo(ConversationId),
    /// A file of this number sets out.
    BeginBlob(i64),
    /// A part of it.
    PutPart(i64, u32),
    /// It has arrived.
    FinishBlob(i64),
    /// A part of a file comes here.
    FetchPart(i64, u32),
    /// A blob that nobody needs any more.
    DeleteBlob(BlobId),
    /// The person's archive.
    Archive(ArchiveWork),
    /// Never on its way: only a time to come back to a conversation.
    Succession(ConversationId),
    /// Never on its way: only a time to come back to a conversation.
    Sweep(ConversationId),
    /// Typing: whatever becomes of it, it is not repeated.
    Whisper,
    /// Never on its way: only a time to come back to a conversation.
    Renew(ConversationId),
}

#[derive(Debug)]
struct InFlight {
    work: Work,
    deadline: UnixMillis,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) phase: Phase,
    pub(crate) greeting: Option<Greeting>,
    next_request: u32,
    in_flight: BTreeMap<u32, InFlight>,
    not_before: HashMap<Work, UnixMillis>,
    attempts: u32,
}

impl Session {
    pub(crate) fn new() -> Self {
        Self {
            phase: Phase::Offline { retry_at: 0 },
            greeting: None,
            next_request: 1,
            in_flight: BTreeMap::new(),
            not_before: HashMap::new(),
            attempts: 0,
        }
    }

    /// Everything of the last connection is forgotten; the pauses between attempts grow.
    pub(crate) fn end(&mut self, now: UnixMillis, entropy: &mut dyn Entropy) -> UnixMillis {
        let retry_at = now.saturating_add(back_off(self.attempts, entropy));
        let attempts = self.attempts.saturating_add(1);
        *self = Self { phase: Phase::Offline { retry_at }, attempts, ..Self::new() };
        retry_at
    }

    /// The server let the device in: the next failure is a first one.
    pub(crate) const fn succeeded(&mut self) {
        self.attempts = 0;
    }

    pub(crate) fn begin(&mut self, work: Work, now: UnixMillis) -> u32 {
        let id = self.next_request;
        self.next_request = self.next_request.checked_add(1).unwrap_or(1);
        self.in_flight.insert(id, InFlight { work, deadline: now.saturating_add(ANSWER_DEADLINE_MS) });
        id
    }

    pub(crate) fn finish(&mut self, id: u32) -> Option<Work> {
        self.in_flight.remove(&id).map(|in_flight| in_flight.work)
    }

    /// Whether something is on its way, or has to wait.
    pub(crate) fn is_busy(&self, work: &Work, now: UnixMillis) -> bool {
        self.in_flight.values().any(|in_flight| in_flight.work == *work)
            || self.not_before.get(work).is_some_and(|at| *at > now)
    }

    /// Whether something of a conversation is on its way, or has to wait.
    pub(crate) fn is_conversation_busy(&self, conversation: ConversationId, now: UnixMillis) -> bool {
        let in_flight = self.in_flight.values().any(|in_flight| in_flight.work.conversation() == Some(conversation));
        let waits = |(work, at): (&Work, &UnixMillis)| work.conversation() == Some(conversation) && *at > now;
        in_flight || self.not_before.iter().any(waits)
    }

    pub(crate) fn delay(&mut self, work: Work, until: UnixMillis) {
        self.not_before.insert(work, until);
    }

    /// What was to wait does not.
    pub(crate) fn hurry(&mut self, work: &Work) {
        self.not_before.remove(work);
    }

    /// Conversations whose pause is over.
    pub(crate) fn resume(&mut self, now: UnixMillis) -> Vec<ConversationId> {
        let over: Vec<Work> =
            self.not_before.iter().filter(|(_, at)| **at <= now).map(|(work, _)| work.clone()).collect();
        self.not_before.retain(|_, at| *at > now);
        over.iter().filter_map(Work::resumes).collect()
    }

    /// Whether an answer is overdue.
    pub(crate) fn is_overdue(&self, now: UnixMillis) -> bool {
        self.in_flight.values().any(|in_flight| in_flight.deadline <= now)
    }

    /// Whether anything is on its way that may bring news from others.
    pub(crate) fn is_fetching(&self) -> bool {
        self.in_flight.values().any(|in_flight| in_flight.work.fetches())
    }

    /// When time alone changes something.
    pub(crate) fn next_timeout(&self) -> Option<UnixMillis> {
        let retry = match self.phase {
            Phase::Offline { retry_at } => Some(retry_at),
            _ => None,
        };
        let deadlines = self.in_flight.values().map(|in_flight| in_flight.deadline);
        deadlines.chain(self.not_before.values().copied()).chain(retry).min()
    }
}

impl Work {
    pub(crate) const fn conversation(&self) -> Option<ConversationId> {
        match self {
            Self::ClaimFor(id, _, _)
            | Self::Claim(id)
            | Self::Outbox(id, _)
            | Self::Fetch(id)
            | Self::GroupInfo(id)
            | Self::RejoinTree(id)
            | Self::Stay(id)
            | Self::Restored(id)
            | Self::Compare(id)
            | Self::Confirm(id)
            | Self::Supply(id)
            | Self::Missing(id)
            | Self::RenewInfo(id)
            | Self::SuccessorWelcome(id)
            | Self::SuccessorTree(id) => Some(*id),
            _ => None,
        }
    }

    const fn resumes(&self) -> Option<ConversationId> {
        match self {
            Self::Renew(id) | Self::Sweep(id) | Self::Succession(id) => Some(*id),
            work => work.conversation(),
        }
    }

    const fn fetches(&self) -> bool {
        // Key packages count too: without them nobody can bring this device anything.
        let brings =
            matches!(self, Self::Sync | Self::FetchChain(_) | Self::FetchWelcomes | Self::WelcomeTree | Self::Fetch(_));
        let leads = matches!(self, Self::SuccessorWelcome(_) | Self::SuccessorTree(_));
        let recalls = matches!(self, Self::Archive(ArchiveWork::History(..) | ArchiveWork::Hole(_)));
        // What is new comes only when they are through.
        let compares = matches!(
            self,
            Self::Restored(_) | Self::Compare(_) | Self::Supply(_) | Self::Confirm(_) | Self::Missing(_)
        );
        brings || leads || recalls || compares || matches!(self, Self::Publish(_) | Self::ChainChanges | Self::Joinable)
    }

    pub(crate) fn acknowledge(cursors: &[Cursor]) -> Self {
        Self::Acknowledge(cursors.iter().map(|cursor| (cursor.conversation, cursor.generation, cursor.seq)).collect())
    }
}

/// Doubles from a quarter of a second to a minute; half of it by chance, so that devices do not return all at once.
pub(crate) fn back_off(attempts: u32, entropy: &mut dyn Entropy) -> u64 {
    let whole =
        BACK_OFF_FIRST_MS.saturating_mul(1_u64.checked_shl(attempts.min(16)).unwrap_or(u64::MAX)).min(BACK_OFF_MAX_MS);
    let chance = u64::from(u16::from_le_bytes(entropy.array()));
    whole / 2 + (whole / 2).saturating_mul(chance) / u64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Counter;

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let mut entropy = Counter::default();
        for attempts in 0..40 {
            let pause = back_off(attempts, &mut entropy);
            let whole = (250_u64 << attempts.min(20)).min(60_000);
            assert!((whole / 2..=whole).contains(&pause), "{attempts}: {pause}");
        }
    }

    #[test]
    fn a_missing_answer_is_overdue_and_an_answer_is_not() {
        let mut session = Session::new();
        let id = session.begin(Work::Sync, 1_000);
        assert_eq!((session.is_overdue(30_999), session.is_overdue(31_000)), (false, true));
        assert_eq!(session.finish(id), Some(Work::Sync));
        assert!(!session.is_overdue(u64::MAX));
        assert_eq!(session.finish(id), None, "an answer counts once");
    }

    #[test]
    fn a_conversation_has_one_request_at_a_time() {
        let (one, other) = (ConversationId::from_bytes([1; 16]), ConversationId::from_bytes([2; 16]));
        let mut session = Session::new();
        session.begin(Work::Fetch(one), 0);
        session.delay(Work::Claim(other), 500);
        assert!(session.is_conversation_busy(one, 600));
        assert!(session.is_conversation_busy(other, 499));
        assert_eq!(session.resume(500), [other]);
        assert!(!session.is_conversation_busy(other, 500));
    }

    #[test]
    fn the_end_of_a_connection_forgets_what_was_on_its_way() {
        let mut session = Session::new();
        session.begin(Work::Sync, 0);
        let retry_at = session.end(1_000, &mut Counter::default());
        assert_eq!(session.phase, Phase::Offline { retry_at });
        assert!(retry_at > 1_000 && !session.is_busy(&Work::Sync, 1_000));
    }
}
