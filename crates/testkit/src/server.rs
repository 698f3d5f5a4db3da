//! The real server in this thread: its node, its database, its request path; only the sockets are missing.

use anyhow::{Context, Result};
use bytes::Bytes;
use keyring::RootKey;
use mifeng_server::clock::Clock;
use mifeng_server::config::{Config, Rate};
use mifeng_server::gateway::embedded::Line;
use mifeng_server::gateway::queue::{Closed, Waiting};
use mifeng_server::listen::Caps;
use mifeng_server::node::Node;
use mifeng_server::{DATABASE_FOLDER, admin, jobs, restored};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{NewInvite, Tx};
use tokio::runtime::Runtime;
use trust::GroupPolicy;
use wire::{ConversationId, DeviceId, GroupId, InviteId, TenantId, UnixMillis};

/// The tenant of every world.
pub const TENANT: &str = "acme";

/// One life of the server, from a start to a crash.
pub struct Server {
    // Dropped first: what still runs in it holds the node.
    node: Arc<Node>,
    runtime: Runtime,
    folder: PathBuf,
    root: RootKey,
    clock: Clock,
    lives: u32,
}

/// A conversation as the server has it after a commit or a succession.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The group that serves it.
    pub group: GroupId,
    /// Its cipher suite.
    pub suite: u16,
    /// Its epoch.
    pub epoch: u64,
    /// Devices with a leaf, sorted.
    pub members: Vec<DeviceId>,
    /// The group's policy.
    pub policy: GroupPolicy,
}

impl Server {
    /// Starts on a folder, at this time.
    ///
    /// # Errors
    /// What keeps the server from starting.
    pub fn start(folder: &Path, root: RootKey, now: UnixMillis) -> Result<Self> {
        Self::live(folder.into(), root, Clock::standing_at(now), 0)
    }

    fn live(folder: PathBuf, root: RootKey, clock: Clock, lives: u32) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let caps = Caps::new(1_000, 1_000);
        let node = runtime.block_on(Node::with_clock(&folder, config(), root.clone(), caps, clock.clone()))?;
        Ok(Self { node, runtime, folder, root, clock, lives })
    }

    /// Dies, and starts again from the disk as the last commit left it.
    ///
    /// # Errors
    /// What keeps the server from starting.
    pub fn crash(self) -> Result<Self> {
        let Self { node, runtime, folder, root, clock, lives } = self;
        let next = folder.with_file_name(format!("server-{}", lives + 1));
        // Copied while it is open: what a clean close would tidy up is not tidied up.
        copy_database(&folder.join(DATABASE_FOLDER), &next.join(DATABASE_FOLDER))?;
        drop(runtime);
        drop(node);
        std::fs::remove_dir_all(&folder)?;
        Self::live(next, root, clock, lives + 1)
    }

    /// Copies the database while it is in use, as a backup does.
    ///
    /// # Errors
    /// What the file system says.
    pub fn back_up(&self) -> Result<PathBuf> {
        let copy = self.folder.with_file_name(format!("backup-{}", self.clock.now()));
        copy_database(&self.folder.join(DATABASE_FOLDER), &copy.join(DATABASE_FOLDER))?;
        Ok(copy)
    }

    /// Dies, and starts again from a backup, of which the operator says that it is one.
    ///
    /// # Errors
    /// What keeps the server from starting.
    pub fn restore(self, backup: &Path) -> Result<Self> {
        let Self { node, runtime, folder, root, clock, lives } = self;
        let next = folder.with_file_name(format!("server-{}", lives + 1));
        copy_database(&backup.join(DATABASE_FOLDER), &next.join(DATABASE_FOLDER))?;
        drop(runtime);
        drop(node);
        std::fs::remove_dir_all(&folder)?;
        let server = Self::live(next, root, clock, lives + 1)?;
        server.runtime.block_on(restored::mark(&server.node.database, server.clock.now()))?;
        Ok(server)
    }

    /// The last place of a conversation's log.
    ///
    /// # Errors
    /// When the store fails.
    pub fn head(&self, tenant: TenantId, conversation: ConversationId) -> Result<Option<u64>> {
        let store = self.node.database.tenant(tenant);
        let there = self.runtime.block_on(store.read(move |tx| tx.conversation(conversation)))?;
        Ok(there.map(|there| there.head_seq))
    }

    /// Closes cleanly and leaves its files in the folder.
    pub fn stop(self) {
        self.node.database.close();
    }

    /// What time it is for the server from now on.
    pub fn set_clock(&self, now: UnixMillis) {
        self.clock.set(now);
    }

    /// A new connection.
    pub fn connect(&self) -> Option<Line> {
        Line::open(&self.node, IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// Hands a frame in and waits for all that comes of it.
    ///
    /// # Errors
    /// Why the connection is over.
    pub fn frame(&self, line: &mut Line, frame: Vec<u8>) -> Result<(), Closed> {
        self.runtime.block_on(line.frame(Bytes::from(frame)))
    }

    /// Takes what waits for a connection; the reason if it is over and nothing waits.
    pub fn take(line: &Line, into: &mut impl Extend<Vec<u8>>) -> Option<Closed> {
        loop {
            match line.take()? {
                Waiting::Frames(frames) => into.extend(frames.into_iter().map(|frame| frame.to_vec())),
                Waiting::Closed(reason) => return Some(reason),
            }
        }
    }

    /// Writes the cursors of a connection.
    pub fn flush(&self, line: &Line) {
        self.runtime.block_on(line.flush());
    }

    /// Ends a connection.
    pub fn close(&self, line: Line) {
        self.runtime.block_on(line.close());
    }

    /// Deletes what nobody needs any more.
    ///
    /// # Errors
    /// When the store fails.
    pub fn prune(&self) -> Result<()> {
        self.runtime.block_on(jobs::prune(&self.node)).map_err(|failure| anyhow::anyhow!("{failure:?}"))
    }

    /// Makes the tenant, and an invite for so many people.
    ///
    /// # Errors
    /// When the store fails.
    pub fn found_tenant(&self, suite: admin::Suite, people: u32, code: &'static str) -> Result<TenantId> {
        let now = self.clock.now();
        self.runtime.block_on(async {
            let request = admin::CreateTenant { name: TENANT.into(), suite };
            admin::create_tenant(&self.node, request).await.map_err(|failure| anyhow::anyhow!("{failure:?}"))?;
            let tenant = self.node.tenants.named(TENANT).await.map_err(|failure| anyhow::anyhow!("{failure:?}"))?;
            let tenant = tenant.context("the tenant was just made")?;
            let terms = rules::invite::terms(now, 24 * 3_600_000, people).context("terms of an invite")?;
            let invite = InviteId::from_bytes([1; 16]);
            let new = NewInvite { invite, code, terms, created_by: None };
            tenant.store.write(move |tx: &mut Tx<'_>| tx.create_invite(new, now)).await?;
            Ok(tenant.id)
        })
    }

    /// Gives the tenant the strongest suite. Says whether it had another one.
    ///
    /// # Errors
    /// When the store fails.
    pub fn strengthen(&self) -> Result<bool> {
        let request = admin::SetSuite { name: TENANT.into(), suite: admin::Suite::PostQuantum };
        let set = self.runtime.block_on(admin::set_suite(&self.node, request));
        set.map(|set| set.changed).map_err(|failure| anyhow::anyhow!("{failure:?}"))
    }

    /// A conversation as it is on the disk.
    ///
    /// # Errors
    /// When the store fails.
    pub fn snapshot(&self, tenant: TenantId, conversation: ConversationId) -> Result<Option<Snapshot>> {
        let store = self.node.database.tenant(tenant);
        let read = store.read(move |tx| {
            let Some(there) = tx.conversation(conversation)? else { return Ok(None) };
            let Some(current) = tx.current_group(conversation)? else { return Ok(None) };
            let members = tx.members(conversation)?.into_iter().map(|member| member.device).collect();
            let policy = tx.group_policy(conversation)?.unwrap_or_default();
            Ok::<_, store::Error>(Some((there, current.group_info, members, policy)))
        });
        let Some((there, group_info, members, policy)) = self.runtime.block_on(read)? else { return Ok(None) };
        let policy = GroupPolicy::from_bytes(&policy).map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let suite = suite_of(&group_info).context("a GroupInfo has a suite")?;
        Ok(Some(Snapshot { group: there.group, suite, epoch: there.epoch, members, policy }))
    }
}

/// `MLSMessage`: version, wire format, then the GroupContext: version, cipher suite (RFC 9420 §6, §8.1).
fn suite_of(group_info: &[u8]) -> Option<u16> {
    group_info.get(6..8)?.try_into().ok().map(u16::from_be_bytes)
}

/// As shipped, but that people who act as fast as a simulation are not taken for a flood.
fn config() -> Config {
    let mut config = Config::default();
    let rate = Rate { burst: 1_000_000, per_second: 1_000_000 };
    config.limits.session_rate = rate;
    config.limits.control_rate = rate;
    config.limits.message_rate = rate;
    config.limits.read_rate = rate;
    config.limits.tenant_rate = rate;
    (config.limits.lookups_per_user, config.limits.lookups_per_tenant) = (u32::MAX, u32::MAX);
    config
}

/// Copies a database's files. What only says who has it open stays behind.
///
/// # Errors
/// What the file system says.
pub fn copy_database(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for file in std::fs::read_dir(from)? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        if !name.ends_with("-shm") && !name.ends_with("lock") {
            std::fs::copy(file.path(), to.join(&name)).with_context(|| name.clone())?;
        }
    }
    Ok(())
}
