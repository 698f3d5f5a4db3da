//! The relay's log: one thread that takes all that waits, writes it, syncs once and only then gives it back.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use tokio::sync::mpsc;

/// Frames that may wait: more than any window of the load generator.
const WAITING: usize = 1 << 17;
/// Frames of one sync.
const BATCH: usize = 1_024;

/// A frame, and from whom it came.
pub(super) struct Appended {
    pub(super) from: u32,
    pub(super) frame: Bytes,
}

/// The way into the log.
#[derive(Clone)]
pub(super) struct Log(SyncSender<Appended>);

impl Log {
    /// Opens the file, and gives back through `stored` what is durable.
    pub(super) fn open(path: &Path, stored: mpsc::Sender<Vec<Appended>>) -> Result<Self> {
        let file =
            OpenOptions::new().create(true).append(true).open(path).with_context(|| path.display().to_string())?;
        let (appends, waiting) = sync_channel(WAITING);
        std::thread::Builder::new().name("log".into()).spawn(move || write(file, &waiting, &stored))?;
        Ok(Self(appends))
    }

    /// Queues a frame.
    pub(super) fn append(&self, appended: Appended) -> Result<()> {
        match self.0.try_send(appended) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => bail!("too much waits for the disk"),
            Err(TrySendError::Disconnected(_)) => bail!("the log has failed"),
        }
    }
}

fn write(mut file: File, waiting: &Receiver<Appended>, stored: &mpsc::Sender<Vec<Appended>>) -> Result<()> {
    let mut bytes = Vec::new();
    while let Ok(first) = waiting.recv() {
        let mut batch = vec![first];
        batch.extend(waiting.try_iter().take(BATCH - 1));
        bytes.clear();
        for Appended { frame, .. } in &batch {
            bytes.extend_from_slice(&(frame.len() as u64).to_be_bytes());
            bytes.extend_from_slice(frame);
        }
        file.write_all(&bytes)?;
        file.sync_data()?;
        if stored.blocking_send(batch).is_err() {
            break;
        }
    }
    Ok(())
}
