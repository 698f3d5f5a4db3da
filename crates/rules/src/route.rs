//! Who may call which operation. Every operation has a rule, or this file does not compile.

use wire::{ErrorCode, Op, limits};

/// What a connection has proved so far. It only ever moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Standing {
    /// Nothing: not even which tenant it is for.
    Stranger,
    /// It said hello to a tenant.
    Guest,
    /// A person has proved a password.
    Person,
    /// A device has signed the challenge.
    Device,
}

impl Standing {
    /// Every standing.
    pub const ALL: &'static [Self] = &[Self::Stranger, Self::Guest, Self::Person, Self::Device];

    /// The largest frame that a connection of this standing may send, in bytes.
    pub const fn frame_max_bytes(self) -> usize {
        match self {
            Self::Stranger | Self::Guest | Self::Person => limits::ANONYMOUS_FRAME_MAX_BYTES,
            Self::Device => limits::FRAME_MAX_BYTES,
        }
    }
}

/// Which standing an operation asks for, exactly: a device cannot say hello again, nor redeem an invite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A connection that has not said hello.
    Stranger,
    /// A connection that has said hello and nothing more.
    Guest,
    /// A person who has proved a password, on a device that is not linked yet.
    Person,
    /// A device that has signed the challenge.
    Device,
}

/// What a request costs, and from which bucket it is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RateClass {
    /// Signs, verifies or stretches a key for a stranger.
    Session,
    /// Changes something, or looks somebody up.
    Control,
    /// Records a message, or carries a whisper.
    Message,
    /// Reads what the device may read anyway, or moves a cursor.
    Read,
}

/// What is declared of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Who may call it.
    pub who: Who,
    /// From which bucket it is paid.
    pub rate: RateClass,
    /// Whether its success writes an audit row in its own transaction. The conversation log is the record of what it holds.
    pub audited: bool,
}

/// The rule of an operation.
pub const fn rule(op: Op) -> Rule {
    use RateClass::{Control, Message, Read, Session};
    use Who::{Device, Guest, Person, Stranger};
    let (who, rate, audited) = match op {
        Op::Hello => (Stranger, Session, false),
        Op::JoinStart => (Guest, Session, false),
        Op::JoinFinish => (Guest, Session, true),
        Op::Authenticate => (Guest, Session, true),
        Op::LoginStart => (Guest, Session, true),
        Op::LoginFinish => (Guest, Session, true),
        Op::PublishKeyPackages => (Device, Control, true),
        Op::ClaimKeyPackages => (Device, Control, true),
        Op::FindUser => (Device, Control, true),
        Op::FetchChain => (Device, Read, false),
        Op::CreateConversation => (Device, Control, true),
        Op::Commit => (Device, Control, false),
        Op::Send => (Device, Message, false),
        Op::Fetch => (Device, Read, false),
        Op::Acknowledge => (Device, Read, false),
        Op::Sync => (Device, Read, false),
        Op::FetchWelcomes => (Device, Read, false),
        Op::AcceptWelcome => (Device, Control, false),
        Op::FetchTree => (Device, Read, false),
        Op::FetchGroupInfo => (Device, Read, false),
        Op::Whisper => (Device, Message, false),
        Op::Propose => (Device, Control, false),
        Op::Succeed => (Device, Control, true),
        Op::FetchRestored => (Device, Read, false),
        // As many as messages were sent.
        Op::Resupply => (Device, Message, false),
        Op::RenewGroupInfo => (Device, Control, false),
        Op::FetchOwnChain => (Person, Session, false),
        Op::OfferLink => (Person, Session, true),
        Op::CollectLink => (Person, Session, false),
        Op::FetchOffer => (Device, Control, true),
        Op::AnswerLink => (Device, Control, true),
        Op::RevokeDevice => (Device, Control, true),
        Op::FetchChainChanges => (Device, Read, false),
        Op::FetchJoinable => (Device, Read, false),
        Op::FetchStay => (Device, Read, false),
        Op::BeginBlob => (Device, Control, true),
        // As many as a file has parts.
        Op::PutPart => (Device, Message, false),
        Op::FinishBlob => (Device, Control, true),
        Op::FetchPart => (Device, Read, false),
        Op::DeleteBlob => (Device, Control, true),
        Op::OpenArchiveDay => (Device, Control, true),
        Op::FetchArchiveDays => (Device, Read, false),
        Op::RewrapArchiveDays => (Device, Control, true),
        // As many as messages were read.
        Op::PutSegment => (Device, Message, false),
        Op::FetchSegments => (Device, Read, false),
        Op::ListSegments => (Device, Read, false),
        Op::KeepOut => (Device, Control, true),
    };
    Rule { who, rate, audited }
}

/// What the listener for devices answers before there is a connection in this sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Whether the server works.
    Health,
    /// The upgrade to a connection.
    Connect,
    /// The browser's program: the same for everybody, and nobody's secret.
    Web,
}

impl Door {
    /// Every door.
    pub const ALL: &'static [Self] = &[Self::Health, Self::Connect, Self::Web];
}

/// Who may go through a door.
pub const fn door(door: Door) -> Who {
    match door {
        Door::Health | Door::Connect | Door::Web => Who::Stranger,
    }
}

/// Whether a connection of this standing may call the operation.
///
/// # Errors
/// [`ErrorCode::Unauthenticated`] when it has to prove more first, [`ErrorCode::Forbidden`] when it has moved past it.
pub const fn permit(op: Op, standing: Standing) -> Result<(), ErrorCode> {
    match (rule(op).who, standing) {
        (Who::Stranger, Standing::Stranger)
        | (Who::Guest, Standing::Guest)
        | (Who::Person, Standing::Person)
        | (Who::Device, Standing::Device) => Ok(()),
        (Who::Guest, Standing::Stranger)
        | (Who::Person, Standing::Stranger | Standing::Guest)
        | (Who::Device, Standing::Stranger | Standing::Guest | Standing::Person) => Err(ErrorCode::Unauthenticated),
        (Who::Stranger, _) | (Who::Guest, Standing::Person | Standing::Device) | (Who::Person, Standing::Device) => {
            Err(ErrorCode::Forbidden)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b14_every_operation_is_open_to_exactly_one_standing() {
        for op in Op::ALL {
            let open: Vec<_> = Standing::ALL.iter().filter(|standing| permit(*op, **standing).is_ok()).collect();
            assert_eq!(open.len(), 1, "{op:?} is open to {open:?}");
        }
    }

    #[test]
    fn b14_before_a_device_proves_itself_only_the_session_operations_are_open() {
        let open: Vec<_> = Op::ALL
            .iter()
            .filter(|op| Standing::ALL.iter().any(|s| *s < Standing::Device && permit(**op, *s).is_ok()))
            .map(|op| op.as_str())
            .collect();
        let joining = ["hello", "join_start", "join_finish", "authenticate", "login_start", "login_finish"];
        assert_eq!(open, [joining.as_slice(), &["fetch_own_chain", "offer_link", "collect_link"]].concat());
    }

    #[test]
    fn b14_what_is_open_before_a_connection_is_open_to_strangers_by_rule() {
        for door in Door::ALL {
            assert_eq!(
                super::door(*door),
                Who::Stranger,
                "{door:?}: the listener knows nobody yet, and would not open it"
            );
        }
    }

    #[test]
    fn strangers_pay_from_the_session_bucket() {
        for op in Op::ALL.iter().filter(|op| rule(**op).who != Who::Device) {
            assert_eq!(rule(*op).rate, RateClass::Session, "{op:?}");
        }
    }

    #[test]
    fn only_a_device_may_send_large_frames() {
        for standing in Standing::ALL.iter().filter(|standing| **standing != Standing::Device) {
            assert_eq!(standing.frame_max_bytes(), limits::ANONYMOUS_FRAME_MAX_BYTES);
        }
    }
}
