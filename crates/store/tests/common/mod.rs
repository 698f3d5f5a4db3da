//! What the tests of the store begin with.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    unused_macros,
    clippy::unwrap_used,
    reason = "each test file uses a part of it, and fails by panicking"
)]

pub mod archive;
pub mod cluster;

use cluster::{Base, Cluster, OWNER, SERVER};
use keyring::{Passphrase, RootKey};
use mifeng_store::{
    Database, Location, Login, NewConversation, NewEntry, NewTenant, NewUser, OpenError, Postgres, Settings, Store, Tx,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use trust::{AccountPublicKey, AuthorityPublicKey, DevicePublicKey, Kind};
use wire::{ConversationId, DeviceId, EntryKind, GroupId, MessageId, TenantId, UnixMillis, UserId};

pub type Outcome = Result<(), mifeng_store::Error>;

pub const NOW: UnixMillis = 1_800_000_000_000;
pub const TENANT: TenantId = TenantId::from_bytes([1; 16]);
pub const OTHER: TenantId = TenantId::from_bytes([2; 16]);
pub const MEI: UserId = UserId::from_bytes([11; 16]);
pub const TOM: UserId = UserId::from_bytes([12; 16]);
pub const MEI_PHONE: DeviceId = DeviceId::from_bytes([21; 16]);
pub const MEI_LAPTOP: DeviceId = DeviceId::from_bytes([22; 16]);
pub const TOM_PHONE: DeviceId = DeviceId::from_bytes([23; 16]);
pub const TALK: ConversationId = ConversationId::from_bytes([31; 16]);
/// The group of that conversation.
pub const GROUP: GroupId = GroupId::from_bytes([41; 16]);

/// Makes two tests of each function: one on each database.
macro_rules! on_both {
    ($($(#[$attribute:meta])* $name:ident;)*) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread")]
            $(#[$attribute])*
            async fn sqlite() {
                super::$name(super::On::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            $(#[$attribute])*
            async fn postgres() {
                super::$name(super::On::Postgres).await;
            }
        }
    )*};
}
pub(crate) use on_both;

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    Sqlite,
    Postgres,
}

/// A database with two tenants.
pub struct World {
    pub database: Database,
    pub store: Store,
    pub other: Store,
    pub place: Place,
}

/// Where a database is; it can be opened again.
#[derive(Clone)]
pub struct Place {
    /// SQLite's, and that of the root key.
    pub directory: PathBuf,
    /// PostgreSQL's.
    pub base: Option<Base>,
    _guard: Option<Arc<tempfile::TempDir>>,
}

impl On {
    pub async fn world(self) -> World {
        world_at(self.place(), RootKey::ephemeral().unwrap()).await
    }

    /// A world whose database can be opened again.
    pub async fn lasting_world(self) -> World {
        let place = self.place();
        let root = root(&place.directory);
        world_at(place, root).await
    }

    pub fn place(self) -> Place {
        match self {
            Self::Sqlite => Place::new(None),
            Self::Postgres => Place::new(Some(Cluster::shared().base())),
        }
    }
}

impl Place {
    pub fn new(base: Option<Base>) -> Self {
        let guard = tempfile::tempdir().unwrap();
        Self { directory: guard.path().to_owned(), base, _guard: Some(Arc::new(guard)) }
    }

    pub fn location(&self) -> Location {
        match &self.base {
            None => self.directory.as_path().into(),
            Some(base) => postgres(base).into(),
        }
    }

    pub fn open(&self) -> Result<Database, OpenError> {
        Database::open(self.location(), root(&self.directory), Settings::default())
    }

    /// Changes rows behind the program's back; says how many.
    pub fn change(&self, text: &str) -> usize {
        match &self.base {
            None => rusqlite::Connection::open(self.file()).unwrap().execute(text, []).unwrap(),
            // Blobs are written differently.
            Some(base) => {
                let text = text.replace("x'", "'\\x");
                base.sql(&format!("with changed as ({text} returning 1) select count(*) from changed"))
                    .trim()
                    .parse()
                    .unwrap()
            }
        }
    }

    /// Changes the schema behind the program's back.
    pub fn run(&self, text: &str) {
        match &self.base {
            None => rusqlite::Connection::open(self.file()).unwrap().execute_batch(text).unwrap(),
            Some(base) => drop(base.sql(text)),
        }
    }

    pub fn file(&self) -> PathBuf {
        self.directory.join("mifeng.db")
    }

    /// For another process, which opens it.
    pub fn to_line(&self) -> String {
        let base = self.base.as_ref().map(|base| format!("\t{}\t{}", base.cluster.directory().display(), base.name));
        format!("{}{}", self.directory.display(), base.unwrap_or_default())
    }

    pub fn from_stdin() -> Self {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
        let mut parts = line.trim_end().split('\t');
        let directory = parts.next().unwrap().into();
        let base = parts.next().map(|cluster| Base {
            cluster: Cluster::in_directory(Path::new(cluster)),
            name: parts.next().unwrap().to_owned(),
        });
        Self { directory, base, _guard: None }
    }
}

/// A database as a server is configured to use it.
pub fn postgres(base: &Base) -> Postgres {
    let password = Some(base.cluster.password().into());
    let migration = Some(Login { user: OWNER.into(), password: password.clone() });
    Postgres { url: base.url(SERVER), password, ca_file: None, certificate: None, migration }
}

pub fn passphrase() -> Passphrase {
    Passphrase::new("tulip-granite-oyster-7").unwrap()
}

/// The root key of a directory, made at the first call.
pub fn root(directory: &Path) -> RootKey {
    let path = directory.join("root.key");
    match RootKey::open(&path, &passphrase()) {
        Ok(root) => root,
        Err(_) => RootKey::create(&path, &passphrase()).unwrap(),
    }
}

pub async fn world_at(place: Place, root: RootKey) -> World {
    let database = Database::open(place.location(), root, Settings::default()).unwrap();
    for (tenant, name) in [(TENANT, "tulip-works"), (OTHER, "other-works")] {
        create_tenant(&database, tenant, name).await;
    }
    let (store, other) = (database.tenant(TENANT), database.tenant(OTHER));
    World { database, store, other, place }
}

pub async fn create_tenant(database: &Database, tenant: TenantId, name: &'static str) {
    let new = NewTenant { tenant, name, suite: 0x004e, authority_key: AuthorityPublicKey::from_bytes([9; 32]) };
    let made = database.operator().write(move |tx| tx.create_tenant(new, NOW)).await;
    assert!(made.unwrap());
}

pub fn new_user(user: UserId, handle: &str) -> NewUser<'_> {
    let account_key =
        AccountPublicKey::from_bytes(*[user.as_bytes().as_slice(), user.as_bytes()].concat().first_chunk().unwrap());
    NewUser { user, handle, normalised_handle: handle, account_key, opaque_record: b"opaque record" }
}

/// Mei with two devices and Tom with one.
/// Holds the writer inside a batch until what is returned is sent to: all that is asked for meanwhile is one batch, the next.
pub fn held_writer(store: &Store) -> std::sync::mpsc::SyncSender<()> {
    let (release, hold) = std::sync::mpsc::sync_channel::<()>(0);
    let (running, runs) = std::sync::mpsc::sync_channel::<()>(0);
    let job = move |_: &mut Tx<'_>| {
        running.send(()).unwrap();
        hold.recv().map_err(|_| mifeng_store::Error::Overloaded)
    };
    store.submit(job, |_| ());
    runs.recv().unwrap();
    release
}

pub fn add_people(tx: &mut Tx<'_>) -> Outcome {
    tx.create_user(new_user(MEI, "mei"), NOW)?;
    tx.create_user(new_user(TOM, "tom"), NOW)?;
    for (device, user) in [(MEI_PHONE, MEI), (MEI_LAPTOP, MEI), (TOM_PHONE, TOM)] {
        assert!(tx.add_device(device, user, DevicePublicKey::from_bytes([3; 32]), NOW)?);
    }
    Ok(())
}

pub fn new_talk<'a>() -> NewConversation<'a> {
    NewConversation {
        conversation: TALK,
        kind: Kind::Direct,
        pair: Some([MEI, TOM]),
        group: GROUP,
        creator: MEI_PHONE,
        creator_user: MEI,
        group_info: b"group info 0",
        policy: b"policy 0",
        tree: b"tree 0",
        public_group: Some(b"public group 0"),
    }
}

/// People, and a conversation that Mei's phone has made.
pub fn add_talk(tx: &mut Tx<'_>) -> Outcome {
    add_people(tx)?;
    tx.create_conversation(new_talk(), NOW)?;
    Ok(())
}

pub fn message(epoch: u64, id: u64, payload: &[u8]) -> NewEntry {
    NewEntry {
        conversation: TALK,
        group: GROUP,
        epoch,
        kind: EntryKind::Application,
        sender: MEI_PHONE,
        message_id: message_id(id),
        payload: payload.to_vec(),
        supplied: None,
        at: NOW + id,
    }
}

pub fn message_id(number: u64) -> MessageId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    MessageId::from_bytes(bytes)
}
