//! What the brain tells, for JavaScript. What a screen shows is asked for anew; an event only says that it changed.

use client::Event as Told;
use serde::Serialize;
use tsify::Tsify;

/// Something that a person may want to know.
#[derive(Debug, Serialize, Tsify)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// This device belongs to this person now.
    Joined {
        /// The handle.
        handle: String,
    },
    /// Joining or logging in was refused.
    Refused {
        /// A stable code.
        code: String,
        /// For people, in English.
        reason: String,
    },
    /// This device waits to be linked: the person gives the code to one of their devices and compares the number.
    LinkCode {
        /// For the person's other device, and nobody else.
        code: String,
        /// Six digits, shown on both.
        number: String,
    },
    /// A device waits under the code that was given.
    LinkOffered {
        /// What it calls itself.
        name: String,
        /// Six digits, shown on both.
        number: String,
    },
    /// The device that waited is linked.
    LinkConfirmed {
        /// What it calls itself.
        name: String,
    },
    /// The connection has come up or gone.
    Connection,
    /// A person was looked up.
    Contact {
        /// As it is written.
        handle: String,
        /// Who, if there is anybody.
        user: Option<String>,
        /// Why it is not known whether there is.
        refused: Option<String>,
    },
    /// Conversations have changed: the list, or a line of one of them.
    Changed {
        /// Which.
        conversation: String,
    },
    /// A line of somebody else is new.
    Line {
        /// Where.
        conversation: String,
    },
    /// A file moves, or does no longer. It comes with every part: what is shown of the conversation is the same.
    File {
        /// Where.
        conversation: String,
        /// The message.
        message: String,
    },
    /// Somebody is writing.
    Typing {
        /// Where.
        conversation: String,
        /// Who.
        user: String,
        /// By this device's clock, in milliseconds.
        until: f64,
    },
    /// Somebody's devices are others; perhaps this person's.
    Devices,
    /// Something that a person should read.
    Notice {
        /// Where.
        conversation: Option<String>,
        /// For people, in English.
        reason: String,
    },
    /// The device's own database fails. Nothing goes on until the page is loaded anew.
    Failed {
        /// For people, in English.
        reason: String,
    },
}

impl Event {
    /// What JavaScript is told of an event.
    pub(crate) fn of(told: Told) -> Self {
        let changed = |conversation: wire::ConversationId| Self::Changed { conversation: conversation.to_string() };
        match told {
            Told::Joined { handle, .. } | Told::Linked { handle, .. } => Self::Joined { handle },
            Told::JoinRefused(refusal) | Told::LoginRefused(refusal) | Told::LinkRefused(refusal) => {
                Self::refused(&refusal)
            }
            Told::LinkFailed { reason } => Self::Refused { code: "link_failed".into(), reason },
            Told::LinkCode { code, number } => Self::LinkCode { code: code.expose().into(), number: digits(number) },
            Told::LinkOffered { name, number, .. } => Self::LinkOffered { name, number: digits(number) },
            Told::LinkConfirmed { name, .. } => Self::LinkConfirmed { name },
            Told::Live | Told::CaughtUp | Told::Disconnected { .. } => Self::Connection,
            Told::ContactFound { user, handle } => {
                Self::Contact { handle, user: Some(user.to_string()), refused: None }
            }
            Told::ContactUnknown { handle } => Self::Contact { handle, user: None, refused: None },
            Told::LookupRefused { handle, refusal } => {
                Self::Contact { handle, user: None, refused: Some(refusal.to_string()) }
            }
            Told::Line { conversation, .. } => Self::Line { conversation: conversation.to_string() },
            Told::ConversationAdded(id)
            | Told::ConversationChanged(id)
            | Told::Expired(id)
            | Told::Repaired(id)
            | Told::Forked(id)
            | Told::GenerationChanged(id)
            | Told::NoKeyPackage(id) => changed(id),
            Told::ConversationReplaced { to, .. } => changed(to),
            Told::LineChanged { conversation, .. }
            | Told::Sent { conversation, .. }
            | Told::Failed { conversation, .. }
            | Told::Undecryptable { conversation, .. }
            | Told::CommitPoisoned { conversation, .. }
            | Told::History { conversation, .. }
            | Told::GroupChanged { conversation, .. } => changed(conversation),
            Told::HistoryUnreadable(id) => {
                let reason = "a part of the archive does not open with the keys of this device";
                Self::Notice { conversation: Some(id.to_string()), reason: reason.into() }
            }
            Told::ArchiveFull => {
                let reason = "your archive is full: what is said from now on is on your devices only";
                Self::Notice { conversation: None, reason: reason.into() }
            }
            Told::File { conversation, message, .. } => {
                Self::File { conversation: conversation.to_string(), message: message.to_string() }
            }
            Told::Typing { conversation, user, until } => Self::typing(conversation, user, until),
            Told::GroupUnchanged { conversation, reason, .. }
            | Told::NotAdded { conversation, reason, .. }
            | Told::WelcomeRefused { conversation, reason }
            | Told::SuccessorRefused { conversation, reason, .. } => {
                Self::Notice { conversation: Some(conversation.to_string()), reason }
            }
            Told::LogBranched { conversation, entries, again } => {
                let reason = format!(
                    "the server was restored from a backup: {entries} entries did not come back, {again} messages are sent again"
                );
                Self::Notice { conversation: Some(conversation.to_string()), reason }
            }
            Told::Returned { conversation, .. } => {
                let reason =
                    "the restored server has people here again who were removed: nothing is sent until they are gone";
                Self::Notice { conversation: Some(conversation.to_string()), reason: reason.into() }
            }
            Told::RevokeRefused { refusal, .. } => Self::Notice { conversation: None, reason: refusal.to_string() },
            Told::ContactRefused { reason, .. } => Self::Notice { conversation: None, reason: reason.to_string() },
            Told::DeviceRevoked(_) | Told::DevicesChanged { .. } => Self::Devices,
        }
    }

    fn refused(refusal: &wire::Refusal) -> Self {
        let code = refusal.code().map_or_else(|| format!("error_{}", refusal.number), |code| code.as_str().into());
        Self::Refused { code, reason: refusal.to_string() }
    }

    #[expect(clippy::cast_precision_loss, reason = "a time in milliseconds fits into 53 bits")]
    fn typing(conversation: wire::ConversationId, user: wire::UserId, until: u64) -> Self {
        Self::Typing { conversation: conversation.to_string(), user: user.to_string(), until: until as f64 }
    }
}

fn digits(number: u32) -> String {
    format!("{number:06}")
}
