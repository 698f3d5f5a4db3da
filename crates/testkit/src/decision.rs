//! What can happen next. A decision names devices and choices by number; what it cannot be applied to, it leaves alone, so
//! that a trace from which some are removed still means something.

use serde::{Deserialize, Serialize};

/// One step of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The device connects.
    Connect(usize),
    /// The next frame of the device reaches the server, which handles it to its end.
    Up(usize),
    /// The next frame for the device reaches it.
    Down(usize),
    /// The device's timer fires, if it is due.
    Tick(usize),
    /// Time passes.
    Pass(u64),
    /// A person does something; the numbers choose among what there is.
    Act(usize, Verb, u16, u16),
    /// A crashed device starts again.
    Start(usize),
    /// A copy of the device's database is put aside.
    PutAside(usize),
    /// A person carries the code that their new device shows to this one.
    Carry(usize),
    /// Something goes wrong.
    Fault(Fault),
    /// The operator gives the tenant the strongest cipher suite.
    Strengthen,
    /// The operator takes a backup of the server's database.
    Backup,
}

/// What a person does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Starts a direct conversation.
    Direct,
    /// Starts a group.
    Group,
    /// Says something.
    Say,
    /// Answers a message.
    Reply,
    /// Edits a message of their own.
    Edit,
    /// Takes a message of their own back.
    Delete,
    /// Reacts to a message.
    React,
    /// Reads a conversation.
    Read,
    /// Searches.
    Search,
    /// Adds a person to a group.
    Add,
    /// Removes a person from a group.
    Remove,
    /// Makes a member an admin.
    Promote,
    /// Makes an admin a plain member.
    Demote,
    /// Leaves a group.
    Leave,
    /// Renames a group.
    Rename,
    /// Makes a new device theirs.
    Link,
    /// Revokes another device of theirs.
    Revoke,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The connection breaks, with all that is on its way.
    Cut(usize),
    /// The device notices that the connection broke, the server does not.
    HalfOpen(usize),
    /// A frame to the server is lost.
    LoseUp(usize),
    /// A frame to the device is lost.
    LoseDown(usize),
    /// A frame to the server comes twice.
    RepeatUp(usize),
    /// A frame to the device comes twice.
    RepeatDown(usize),
    /// Two frames to the server change places.
    SwapUp(usize),
    /// Two frames to the device change places.
    SwapDown(usize),
    /// The device dies between two turns; what it had not written to the wire is gone.
    Crash(usize),
    /// The device dies before the turn that its next frame begins is durable.
    CrashBefore(usize),
    /// The device dies when the turn that its next frame begins is durable, and nothing of it has left.
    CrashAfter(usize),
    /// The server dies; its disk is as the last commit left it.
    CrashServer,
    /// The server dies when it has recorded the device's next frame, and before anybody hears of it.
    CrashServerAfter(usize),
    /// The device's database is put back to a copy of some while ago.
    Restore(usize),
    /// The server is put back to its last backup, and the operator says so (`mifengd restored`).
    RestoreServer,
    /// The server deletes what every device has acknowledged.
    Prune,
    /// The device's clock is set forward, or back.
    Skew(usize, i32),
}

impl Fault {
    /// The kind, for counting.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Cut(_) => "cut",
            Self::HalfOpen(_) => "half_open",
            Self::LoseUp(_) => "lose_up",
            Self::LoseDown(_) => "lose_down",
            Self::RepeatUp(_) => "repeat_up",
            Self::RepeatDown(_) => "repeat_down",
            Self::SwapUp(_) => "swap_up",
            Self::SwapDown(_) => "swap_down",
            Self::Crash(_) => "crash",
            Self::CrashBefore(_) => "crash_before_commit",
            Self::CrashAfter(_) => "crash_after_commit",
            Self::CrashServer => "crash_server",
            Self::CrashServerAfter(_) => "crash_server_after_commit",
            Self::Restore(_) => "restore_old_copy",
            Self::RestoreServer => "restore_server",
            Self::Prune => "prune",
            Self::Skew(..) => "clock_skew",
        }
    }
}
