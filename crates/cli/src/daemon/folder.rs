//! A folder of the run's own.

use crate::prove::canary::random_text;
use anyhow::{Context, Result};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A folder that nobody else may read, removed with all that is in it when this is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// A new one, among the system's temporary files.
    pub(crate) fn new(purpose: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("mifeng-{purpose}-{}", random_text()?));
        std::fs::DirBuilder::new().mode(0o700).create(&path).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is in the temporary folder and holds keys of nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
