//! Where a conversation stands, and what is known of a person's keys, as JavaScript takes it.

use client::{ConversationState, Verification};
use serde::Serialize;
use tsify::Tsify;

/// Where a conversation stands.
#[derive(Debug, Serialize, Tsify)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is being made: what is written waits.
    Starting,
    /// Messages can be read and sent.
    Active,
    /// The device is coming in, or finding its way back.
    Entering,
    /// Nothing can be sent any more.
    Left,
}

/// What is known of a person's keys.
#[derive(Debug, Serialize, Tsify)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// The safety number was not compared.
    Unverified,
    /// It was compared, and nothing has changed since.
    Verified,
    /// It was compared, and the person's devices have changed since.
    DevicesChanged,
    /// It was compared, and is another now.
    KeyChanged,
}

impl From<ConversationState> for State {
    fn from(state: ConversationState) -> Self {
        match state {
            ConversationState::Claiming | ConversationState::Creating => Self::Starting,
            ConversationState::Active => Self::Active,
            ConversationState::Repairing | ConversationState::Superseded | ConversationState::Joining => Self::Entering,
            ConversationState::Left | ConversationState::Leaving => Self::Left,
        }
    }
}

impl From<Verification> for Trust {
    fn from(verification: Verification) -> Self {
        match verification {
            Verification::Unverified => Self::Unverified,
            Verification::Verified { .. } => Self::Verified,
            Verification::DevicesChanged { .. } => Self::DevicesChanged,
            Verification::KeyChanged { .. } => Self::KeyChanged,
        }
    }
}
