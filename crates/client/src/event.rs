//! What the user interface is told.

use crate::content::MessageView;
use crate::{FileView, LinkCode};
use trust::ChainError;
use wire::{ConversationId, DeviceId, MessageId, Refusal, UnixMillis, UserId};

/// Something that a person may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The invite was redeemed: this device belongs to this user now.
    Joined {
        /// Who.
        user: UserId,
        /// As the person chose it.
        handle: String,
    },
    /// The invite, the handle or the password was refused; the profile is as if it had not been tried.
    JoinRefused(Refusal),
    /// This device waits to be linked: the person gives the code to one of their devices and compares the number.
    LinkCode {
        /// For the person's other device, and nobody else.
        code: LinkCode,
        /// What the other device must show too; below a million.
        number: u32,
    },
    /// This device is linked: it belongs to this user now.
    Linked {
        /// Who.
        user: UserId,
        /// As it is written.
        handle: String,
    },
    /// A device waits under the code that was given: it is the person's if both show the same number.
    LinkOffered {
        /// Its id.
        device: DeviceId,
        /// What it calls itself.
        name: String,
        /// What it must show too; below a million.
        number: u32,
    },
    /// The device that waited is linked.
    LinkConfirmed {
        /// Its id.
        device: DeviceId,
        /// What it calls itself.
        name: String,
    },
    /// The server refuses a step of linking, on whichever of the two devices; nothing was changed by it.
    LinkRefused(Refusal),
    /// Linking ended, because what the server holds is not what the other device has made.
    LinkFailed {
        /// Why.
        reason: String,
    },
    /// A device that the person wanted to revoke is revoked.
    DeviceRevoked(DeviceId),
    /// A device that the person wanted to revoke stays.
    RevokeRefused {
        /// Which.
        device: DeviceId,
        /// Why.
        refusal: Refusal,
    },
    /// The person's archive has given what was said before: so many lines came, and whether there is more.
    History {
        /// Of which conversation.
        conversation: ConversationId,
        /// Lines that are new here.
        lines: u32,
        /// There may be earlier ones.
        earlier: bool,
    },
    /// A part of the archive of a conversation does not open with the keys of this device: it was changed, or is of a later
    /// version.
    HistoryUnreadable(ConversationId),
    /// The server takes no more into the person's archive: what they may keep there is used up.
    ArchiveFull,
    /// Somebody's devices have changed: their chain says so, and it continues the one that was pinned.
    DevicesChanged {
        /// Whose; perhaps this person's own.
        user: UserId,
        /// Devices that speak for them from now on.
        added: Vec<DeviceId>,
        /// Devices that do not any more.
        removed: Vec<DeviceId>,
        /// The person has left the tenant.
        closed: bool,
    },
    /// The server does not let this device in. Trying again may not help.
    LoginRefused(Refusal),
    /// The device is logged in and about to catch up.
    Live,
    /// Nothing is left to fetch: what is on the server is on this device.
    CaughtUp,
    /// The connection ended; the next attempt is made at this time.
    Disconnected {
        /// Not before.
        retry_at: UnixMillis,
    },
    /// A person was looked up, and their device chain verified and pinned.
    ContactFound {
        /// Who.
        user: UserId,
        /// As it is written.
        handle: String,
    },
    /// Nobody has this handle, or nobody whom this person may find.
    ContactUnknown {
        /// As it was asked for.
        handle: String,
    },
    /// The server does not say now whether anybody has this handle: too many were asked for, or it cannot.
    LookupRefused {
        /// As it was asked for.
        handle: String,
        /// Why.
        refusal: Refusal,
    },
    /// What the server says about a person contradicts what it said before, or does not verify. The old chain stays in use.
    ContactRefused {
        /// Who.
        user: UserId,
        /// Why.
        reason: ChainError,
    },
    /// A conversation is new on this device.
    ConversationAdded(ConversationId),
    /// Something about a conversation changed: its state, its name, its members, how far others have read.
    ConversationChanged(ConversationId),
    /// A Welcome was refused: it does not lead where it says, or into a conversation that there is already.
    WelcomeRefused {
        /// Where it claims to lead.
        conversation: ConversationId,
        /// Why.
        reason: String,
    },
    /// A group took the place of a conversation's group that may not: it was made under a weaker policy or suite, or lets
    /// somebody in, or leaves somebody out. It is not followed.
    SuccessorRefused {
        /// Where.
        conversation: ConversationId,
        /// Who made it.
        by: DeviceId,
        /// Why.
        reason: String,
    },
    /// A member has made a commit that this device cannot follow, although the server could not see anything wrong with it:
    /// its signature says that nobody else has. The device repairs itself.
    CommitPoisoned {
        /// Where.
        conversation: ConversationId,
        /// Its place in the log.
        seq: u64,
        /// Who made it.
        user: UserId,
        /// With which device.
        device: DeviceId,
    },
    /// Starting a conversation waits: the other person has no device that can be added now.
    NoKeyPackage(ConversationId),
    /// The unsent messages of a conversation moved to the one that the other person had started first.
    ConversationReplaced {
        /// The one that is no more.
        from: ConversationId,
        /// The one in use.
        to: ConversationId,
    },
    /// A change to a group that this person asked for has happened, or was so already.
    GroupChanged {
        /// Where.
        conversation: ConversationId,
        /// Which, as the call returned it.
        change: MessageId,
    },
    /// A change to a group that this person asked for cannot be.
    GroupUnchanged {
        /// Where.
        conversation: ConversationId,
        /// Which, as the call returned it.
        change: MessageId,
        /// Why.
        reason: String,
    },
    /// A person could not be added to a group: no device of theirs can be added now. The others are.
    NotAdded {
        /// Where.
        conversation: ConversationId,
        /// Who.
        user: UserId,
        /// Why.
        reason: String,
    },
    /// A line of a conversation is new.
    Line {
        /// Where.
        conversation: ConversationId,
        /// What.
        line: MessageView,
    },
    /// A line was edited, deleted or reacted to.
    LineChanged {
        /// Where.
        conversation: ConversationId,
        /// What it is now.
        line: MessageView,
    },
    /// Lines of a conversation are gone: their time was over.
    Expired(ConversationId),
    /// Somebody is writing. Until when, if nothing else is heard of them.
    Typing {
        /// Where.
        conversation: ConversationId,
        /// Who.
        user: UserId,
        /// By this device's clock.
        until: UnixMillis,
    },
    /// The server has recorded a message of this device.
    Sent {
        /// Where.
        conversation: ConversationId,
        /// Which.
        message: MessageId,
        /// Its place in the log.
        seq: u64,
    },
    /// A message was refused for good.
    Failed {
        /// Where.
        conversation: ConversationId,
        /// Which.
        message: MessageId,
        /// Why.
        reason: String,
    },
    /// A file moves, or does no longer.
    File {
        /// Where.
        conversation: ConversationId,
        /// Of which message.
        message: MessageId,
        /// How far it is.
        file: FileView,
    },
    /// An entry could not be opened. It is counted and shown, and the device repairs itself.
    Undecryptable {
        /// Where.
        conversation: ConversationId,
        /// Its place in the log.
        seq: u64,
        /// Why.
        reason: String,
    },
    /// The device has rejoined a conversation.
    Repaired(ConversationId),
    /// The server showed two devices different histories of a conversation.
    Forked(ConversationId),
    /// The server says that it was restored from a backup, and contradicts itself: nothing of the conversation is processed
    /// until it does not.
    GenerationChanged(ConversationId),
    /// The server was restored from a backup, and a part of the conversation did not come back. What is here stays readable;
    /// others may not have seen it.
    LogBranched {
        /// Where.
        conversation: ConversationId,
        /// How many entries did not come back.
        entries: u64,
        /// How many messages of this device among them are sent again.
        again: u64,
    },
    /// People who were removed are members again by the word of a restored server. The device stays away, and sends nothing
    /// there, until they are gone.
    Returned {
        /// Where.
        conversation: ConversationId,
        /// Who.
        users: Vec<UserId>,
    },
}
