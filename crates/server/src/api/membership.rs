//! What several operations ask: who belongs to a conversation, its public tree, and what device chains say of a leaf.

use crate::{
    gateway::{failure::Failure, state::Session},
    groups::Membership,
    node::Node,
};
use roster::{PublicTree, Refused, Vouched};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};
use store::{Device, Store, Tx};
use trust::{DevicePublicKey, DeviceState, LeafIdentity};
use wire::{ConversationId, DeviceId, ErrorCode, GroupId, Refusal, TenantId, UserId};

/// Who belongs to the conversation: from memory, or else from the store. `None` when there is no such conversation.
pub(super) async fn of(
    node: &Node,
    session: &Session,
    conversation: ConversationId,
) -> Result<Option<Arc<Membership>>, Failure> {
    let tenant = &session.tenant;
    if let Some(membership) = node.groups.membership(tenant.id, conversation) {
        return Ok(Some(membership));
    }
    let Some(membership) = tenant.store.read(move |tx| load(tx, conversation)).await? else { return Ok(None) };
    let membership = Arc::new(membership);
    node.groups.keep(tenant.id, conversation, Arc::clone(&membership));
    Ok(Some(membership))
}

fn load(tx: &Tx<'_>, conversation: ConversationId) -> Result<Option<Membership>, Failure> {
    let Some(there) = tx.conversation(conversation)? else { return Ok(None) };
    let devices = tx.members(conversation)?.into_iter().map(|member| member.device);
    Ok(Some(membership(there.group, there.generation, (there.epoch, there.commit_seq), devices)))
}

pub(super) fn membership(
    group_id: GroupId,
    generation: u32,
    (epoch, since): (u64, u64),
    devices: impl IntoIterator<Item = DeviceId>,
) -> Membership {
    let mut devices: Vec<_> = devices.into_iter().collect();
    devices.sort_unstable();
    Membership { group_id, generation, epoch, since, devices }
}

/// The conversation's public tree in its current epoch: the one in memory, or one brought back from the store. It is the
/// caller's alone; put it back when it was not changed, or when what changed it was recorded.
pub(super) async fn tree(
    node: &Node,
    session: &Session,
    conversation: ConversationId,
) -> Result<Option<PublicTree>, Failure> {
    if let Some(tree) = node.groups.take_tree(session.tenant.id, conversation) {
        return Ok(Some(tree));
    }
    let stored = session.tenant.store.read(move |tx| {
        let Some(state) = tx.public_group(conversation)? else { return Ok(None) };
        let commits = tx.commits_after(conversation, state.seq)?;
        Ok::<_, Failure>(Some((state.state, commits)))
    });
    let Some((state, commits)) = stored.await? else { return Ok(None) };
    let restored = blocking(move || PublicTree::restore(&state, commits.iter().map(Vec::as_slice))).await?;
    restored.map(Some).map_err(Failure::internal)
}

/// Runs what takes milliseconds of computing away from the threads that serve.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(Failure::internal)
}

/// The refusal for what roster refuses.
pub(super) fn refused(refused: &Refused) -> Failure {
    Refusal::with_detail(refused.code(), refused.to_string()).into()
}

/// What the store knows of devices, for the check of leaves. A check that meets a user who is not known names it, and is
/// done again when the user has been looked up.
#[derive(Debug, Default, Clone)]
pub(super) struct Vouching {
    users: HashSet<UserId>,
    devices: HashMap<DeviceId, Device>,
    rounds: u8,
}

/// Rounds in which a check may ask for more users: the first names them all.
const ROUNDS: u8 = 3;

impl Vouching {
    /// Looks up the devices of these users.
    pub(super) async fn learn(&mut self, store: &Store, users: Vec<UserId>) -> Result<(), Failure> {
        self.rounds += 1;
        if self.rounds > ROUNDS {
            return Err(ErrorCode::InvalidCommit.into());
        }
        let asked = users.clone();
        let devices = store.read(move |tx| {
            let of_each = asked.iter().map(|user| tx.devices_of(*user));
            Ok::<_, Failure>(of_each.collect::<Result<Vec<_>, _>>()?)
        });
        self.devices.extend(devices.await?.into_iter().flatten().map(|device| (device.device, device)));
        self.users.extend(users);
        Ok(())
    }

    /// What the devices' chains say of a leaf.
    pub(super) fn vouch(&self, tenant: TenantId, leaf: &LeafIdentity, key: &DevicePublicKey) -> Vouched {
        if leaf.tenant != tenant {
            return Vouched::No;
        }
        if !self.users.contains(&leaf.user) {
            return Vouched::Unknown;
        }
        match self.devices.get(&leaf.device) {
            Some(device) if device.user == leaf.user && device.key == *key => match device.state {
                DeviceState::Active => Vouched::Yes,
                DeviceState::Revoked | DeviceState::Closed => Vouched::Gone,
            },
            _ => Vouched::No,
        }
    }
}
