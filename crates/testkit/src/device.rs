//! One device of one person: the real client, its database, its connection, and what an operating system would do for it.

use crate::dice::Dice;
use crate::linking::Code;
use crate::server::Server;
use anyhow::Result;
use client::{Client, Database, DatabaseKey, Event};
use mifeng_server::gateway::embedded::Line;
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use wire::{ConversationId, DeviceId, UnixMillis, UserId};

/// The user of a device that is not linked yet.
const NOBODY: UserId = UserId::from_bytes([0; 16]);

/// A device, alive or not.
pub struct Device {
    /// Which user of the world has it.
    pub person: usize,
    /// The user's handle.
    pub handle: String,
    /// The user's id.
    pub user: UserId,
    /// Its own.
    pub id: DeviceId,
    /// The brain; absent while the device is down.
    pub client: Option<Client>,
    /// The connection.
    pub link: Option<Link>,
    /// How much its clock is ahead.
    pub skew_ms: i64,
    /// It is to be linked, or is being linked.
    pub linking: bool,
    /// The code that it shows.
    pub code: Option<Code>,
    /// Copies of its database that were put aside.
    pub copies: Vec<Copy>,
    /// What it has told since somebody last looked.
    pub told: Vec<Event>,
    /// What it has told before.
    pub heard: Vec<Event>,
    file: PathBuf,
    key: [u8; 32],
    dice: Dice,
    lives: u64,
    files: u64,
}

/// A copy of a device's database.
#[derive(Debug, Clone)]
pub struct Copy {
    /// Where it is.
    pub file: PathBuf,
    /// How far it had come in each conversation.
    pub cursors: HashMap<ConversationId, u64>,
}

/// A connection, with what is on its way.
pub struct Link {
    /// The server's end; absent when the server has closed it.
    pub line: Option<Line>,
    /// To the server.
    pub up: VecDeque<Vec<u8>>,
    /// To the device.
    pub down: VecDeque<Vec<u8>>,
}

impl Device {
    /// A device over a database file, which is down.
    pub fn new(person: usize, handle: &str, file: PathBuf, key: [u8; 32], dice: Dice) -> Self {
        Self {
            person,
            handle: handle.into(),
            user: NOBODY,
            id: DeviceId::from_bytes([0; 16]),
            client: None,
            link: None,
            skew_ms: 0,
            linking: false,
            code: None,
            copies: Vec::new(),
            told: Vec::new(),
            heard: Vec::new(),
            file,
            key,
            dice,
            lives: 0,
            files: 0,
        }
    }

    /// Starts from the file.
    ///
    /// # Errors
    /// When the database cannot be opened.
    pub fn start(&mut self) -> Result<()> {
        let database = Database::open(&self.file, &DatabaseKey::from_bytes(self.key))?;
        // A life of its own: no id is drawn twice, not even by a device that was put back.
        let entropy = self.dice.apart(self.lives);
        self.lives += 1;
        let client = Client::open(database, Box::new(entropy))?;
        if let Some(account) = client.account_view() {
            (self.user, self.id) = (account.user, account.device);
        }
        self.client = Some(client);
        Ok(())
    }

    /// Dies. The disk is as the last commit left it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn crash(&mut self) -> Result<()> {
        let next = self.next_file();
        copy_file(&self.file, &next)?;
        self.client = None;
        remove_file(&self.file);
        self.file = next;
        Ok(())
    }

    /// Puts a copy of the database aside.
    ///
    /// # Errors
    /// What the file system says.
    pub fn put_aside(&mut self) -> Result<()> {
        let Some(client) = &mut self.client else { return Ok(()) };
        let cursors = client.standings()?.into_iter().map(|standing| (standing.id, standing.cursor)).collect();
        let file = self.file.with_extension(format!("aside{}", self.copies.len()));
        copy_file(&self.file, &file)?;
        self.copies.push(Copy { file, cursors });
        self.collect();
        Ok(())
    }

    /// Dies, and its database is put back to a copy.
    ///
    /// # Errors
    /// What the file system says.
    pub fn restore(&mut self, copy: &Path) -> Result<()> {
        let next = self.next_file();
        copy_file(copy, &next)?;
        self.client = None;
        remove_file(&self.file);
        self.file = next;
        Ok(())
    }

    /// Whether it speaks for somebody, or did before it was revoked.
    pub fn is_linked(&self) -> bool {
        self.user != NOBODY
    }

    /// What its clock says.
    pub const fn now(&self, now: UnixMillis) -> UnixMillis {
        now.saturating_add_signed(self.skew_ms)
    }

    /// Puts what the client wants written on its way, and keeps what it tells.
    pub fn collect(&mut self) {
        let Some(client) = &mut self.client else { return };
        while let Some(frame) = client.poll_transmit() {
            if let Some(link) = &mut self.link {
                link.up.push_back(frame);
            }
        }
        while let Some(event) = client.poll_event() {
            self.told.push(event);
        }
    }

    /// The device notices the end of its connection. The server's end is returned, to be closed or left alone.
    pub fn disconnect(&mut self, now: UnixMillis) -> Option<Line> {
        let link = self.link.take()?;
        let at = self.now(now);
        if let Some(client) = &mut self.client {
            client.handle_disconnected(at);
        }
        self.collect();
        link.line
    }

    /// Puts what the server has queued for this device on its way, and returns it too.
    pub fn drain(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let Some(link) = &mut self.link else { return frames };
        let Some(line) = &link.line else { return frames };
        if Server::take(line, &mut frames).is_some() {
            link.line = None;
        }
        link.down.extend(frames.iter().cloned());
        frames
    }

    fn next_file(&mut self) -> PathBuf {
        self.files += 1;
        self.file.with_extension(format!("file{}", self.files))
    }
}

fn wal(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// Copies a database and its write-ahead log, open or not.
///
/// # Errors
/// What the file system says.
pub fn copy_file(from: &Path, to: &Path) -> Result<()> {
    std::fs::copy(from, to)?;
    if wal(from).exists() {
        std::fs::copy(wal(from), wal(to))?;
    }
    Ok(())
}

fn remove_file(file: &Path) {
    // Already gone is as good.
    let _ = std::fs::remove_file(file);
    let _ = std::fs::remove_file(wal(file));
}
