//! Worlds at their beginning. Joining costs tenths of a second of password hashing, so that a world is founded once for each
//! shape, and every schedule begins with a copy of its files.

use crate::device::{Device, copy_file};
use crate::dice::Dice;
use crate::oracle::Oracle;
use crate::server::{Server, TENANT, copy_database};
use crate::world::World;
use anyhow::{Result, ensure};
use keyring::RootKey;
use mifeng_server::{DATABASE_FOLDER, admin, clock};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use wire::{TenantId, UnixMillis};

/// How many people with how many devices, and how they encrypt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Shape {
    /// People.
    pub people: usize,
    /// Devices of each.
    pub devices: usize,
    /// Suite 0x004E, or else 0x0001.
    pub post_quantum: bool,
    /// Further devices, one of each of the first people, that are not linked yet.
    #[serde(default)]
    pub spare: usize,
}

impl Shape {
    /// The shape of the template: what is not linked yet is not in it.
    pub const fn founded(self) -> Self {
        Self { spare: 0, ..self }
    }
}

/// A world's files at its beginning: everybody has joined, knows everybody, and has published key packages.
pub struct Template {
    folder: TempDir,
    root: RootKey,
    tenant: TenantId,
    now: UnixMillis,
    /// What has happened until then: devices of one person have made a group of their own.
    oracle: Oracle,
    /// Of what shape.
    pub shape: Shape,
}

const HANDLES: [&str; 8] = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"];
const INVITE: &str = "a-simulated-invite";
/// Everybody's.
pub const PASSWORD: &[u8] = b"correct-pony-battery-9";
/// Rounds in which everybody joins and catches up.
const ROUNDS: usize = 200;

impl Template {
    /// Founds a world of this shape.
    ///
    /// # Errors
    /// When it cannot be founded.
    pub fn found(shape: Shape) -> Result<Self> {
        ensure!((2..=HANDLES.len()).contains(&shape.people), "from 2 to {} people", HANDLES.len());
        let folder = scratch()?;
        let (root, now) = (RootKey::ephemeral()?, clock::now());
        let server = Server::start(&folder.path().join("server"), root.clone(), now)?;
        let suite = if shape.post_quantum { admin::Suite::PostQuantum } else { admin::Suite::Classical };
        let people = u32::try_from(shape.people)?;
        let tenant = server.found_tenant(suite, people, INVITE)?;
        let mut devices = devices(folder.path(), shape, &Dice::new(0xf0));
        for device in &mut devices {
            device.start()?;
        }
        for device in devices.iter_mut().step_by(shape.devices) {
            let client = device.client.as_mut().expect("it was started");
            client.join(TENANT, INVITE, &device.handle, PASSWORD, now)?;
        }
        let mut world = World::new(server, devices, tenant, now, Oracle::default());
        ensure!(world.settle(ROUNDS), "not everybody has joined: {}", world.unsettled());
        for number in 0..world.devices.len() {
            world.begin_link(number);
        }
        ensure!(world.settle(ROUNDS), "not every device was linked: {}", world.unsettled());
        world.everybody_looks_up_everybody();
        ensure!(world.settle(ROUNDS), "not everybody was found: {}", world.unsettled());
        let (now, oracle) = (world.now, std::mem::take(&mut world.oracle));
        world.stop();
        Ok(Self { folder, root, tenant, now, oracle, shape })
    }

    /// A world that begins there, in a folder of its own, with so many devices that are not linked yet. The seed decides what
    /// ids its devices draw.
    ///
    /// # Errors
    /// What the file system says.
    pub fn world(&self, folder: &Path, seed: u64, spare: usize) -> Result<World> {
        copy_database(
            &self.folder.path().join("server").join(DATABASE_FOLDER),
            &folder.join("server-0").join(DATABASE_FOLDER),
        )?;
        let server = Server::start(&folder.join("server-0"), self.root.clone(), self.now)?;
        let mut devices = devices(folder, Shape { spare, ..self.shape }, &Dice::new(seed));
        for (number, device) in devices.iter_mut().enumerate() {
            if number < self.shape.people * self.shape.devices {
                copy_file(&device_file(self.folder.path(), number), &device_file(folder, number))?;
            }
            device.start()?;
        }
        Ok(World::new(server, devices, self.tenant, self.now, self.oracle.clone()))
    }
}

fn devices(folder: &Path, shape: Shape, dice: &Dice) -> Vec<Device> {
    let linked = shape.people * shape.devices;
    let device = |number: usize| {
        let person = if number < linked { number / shape.devices } else { number - linked };
        let key = [u8::try_from(number + 1).unwrap_or(u8::MAX); 32];
        Device::new(person, HANDLES[person], device_file(folder, number), key, dice.apart(number as u64 + 1))
    };
    (0..linked + shape.spare).map(device).collect()
}

fn device_file(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("device-{number}.db"))
}

/// A folder in memory, where there is such a thing: thousands of worlds write and forget.
///
/// # Errors
/// What the file system says.
pub fn scratch() -> Result<TempDir> {
    let memory = Path::new("/dev/shm");
    let builder = || tempfile::Builder::new().prefix("mifeng-sim-").to_owned();
    Ok(if memory.is_dir() { builder().tempdir_in(memory)? } else { builder().tempdir()? })
}
