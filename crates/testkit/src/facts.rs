//! What the devices hold at the end, as plain data: so that the check can be shown falsified facts too.

use crate::world::World;
use client::content::Body;
use client::{ConversationState, MessageState, Position};
use std::collections::BTreeMap;
use trust::Kind;
use wire::{ConversationId, DeviceId, MessageId, UserId};

/// Everything that is checked.
#[derive(Debug, Clone)]
pub struct Facts {
    /// By device.
    pub devices: Vec<DeviceFacts>,
}

/// One device.
#[derive(Debug, Clone)]
pub struct DeviceFacts {
    /// Its id.
    pub device: DeviceId,
    /// Whose.
    pub user: UserId,
    /// What it has not sent.
    pub unsent: u64,
    /// Its conversations.
    pub conversations: BTreeMap<ConversationId, ConversationFacts>,
}

/// One conversation on one device.
#[derive(Debug, Clone)]
pub struct ConversationFacts {
    /// Where it stands.
    pub state: ConversationState,
    /// Two people, or a group.
    pub kind: Kind,
    /// Where in log and group.
    pub position: Position,
    /// The cipher suite of the group.
    pub suite: Option<u16>,
    /// Devices in the group, as MLS has it here.
    pub members: Vec<DeviceId>,
    /// Admins, as the group says here.
    pub admins: Vec<UserId>,
    /// The device was told of two histories.
    pub forked: bool,
    /// Every line, in the order in which it is shown.
    pub lines: Vec<Line>,
    /// Messages that the oracle asked for, and where they are: also those that are no lines.
    pub held: BTreeMap<MessageId, Option<u64>>,
}

/// A line as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its id.
    pub id: Option<MessageId>,
    /// Its place in the log.
    pub seq: Option<u64>,
    /// Who wrote it.
    pub author: Option<UserId>,
    /// Where it is.
    pub state: MessageState,
    /// Its words, after edits; absent when it was taken back.
    pub text: Option<String>,
}

impl Facts {
    /// Asks every device.
    ///
    /// # Errors
    /// When a device's database fails.
    pub fn of(world: &mut World) -> anyhow::Result<Self> {
        let now = world.now;
        let oracle = &world.oracle;
        let mut devices = Vec::new();
        for device in &mut world.devices {
            let is_linked = device.is_linked();
            let Some(client) = device.client.as_mut().filter(|_| is_linked) else { continue };
            let mut conversations = BTreeMap::new();
            for view in client.conversations()? {
                let Some(position) = client.position(view.id, now)? else { continue };
                let members = client.members(view.id, now)?;
                let suite = client.suite(view.id, now)?.map(e2ee::Suite::code);
                let lines = client.lines(view.id, u32::MAX)?.into_iter().map(|line| Line {
                    id: line.id,
                    seq: line.seq,
                    author: line.author,
                    state: line.state,
                    text: line.body.as_ref().and_then(Body::words).map(str::to_owned).filter(|_| !line.deleted),
                });
                let mut held = BTreeMap::new();
                let entries = oracle.logs.get(&view.id).into_iter().flat_map(|log| log.entries.values());
                for entry in entries {
                    if let Some(message) = client.message(view.id, entry.message_id)?
                        && matches!(message.state, MessageState::Recorded)
                    {
                        held.insert(entry.message_id, message.seq);
                    }
                }
                let facts = ConversationFacts {
                    state: view.state,
                    kind: view.kind,
                    position,
                    suite,
                    admins: members.iter().filter(|member| member.admin).map(|member| member.user).collect(),
                    members: members.into_iter().flat_map(|member| member.devices).collect(),
                    forked: view.forked,
                    lines: lines.collect(),
                    held,
                };
                conversations.insert(view.id, facts);
            }
            devices.push(DeviceFacts { device: device.id, user: device.user, unsent: client.unsent()?, conversations });
        }
        Ok(Self { devices })
    }
}
