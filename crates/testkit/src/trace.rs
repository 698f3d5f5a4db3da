//! A schedule written down: the seed it came from, and every decision. A file of them is what a finding is replayed from.

use crate::decision::Decision;
use crate::template::Shape;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// One schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// What it found, or once found.
    pub about: String,
    /// Where it came from.
    pub seed: u64,
    /// Who is there.
    pub shape: Shape,
    /// What happens.
    pub decisions: Vec<Decision>,
}

impl Trace {
    /// Reads one.
    ///
    /// # Errors
    /// When the file cannot be read, or is none.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }

    /// Writes it, a decision on each line.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let line = |decision| serde_json::to_string(decision).map(|text| format!("    {text}"));
        let decisions = self.decisions.iter().map(line).collect::<Result<Vec<_>, _>>()?.join(",\n");
        let (about, shape) = (serde_json::to_string(&self.about)?, serde_json::to_string(&self.shape)?);
        let seed = self.seed;
        let text = format!(
            "{{\n  \"about\": {about},\n  \"seed\": {seed},\n  \"shape\": {shape},\n  \"decisions\": [\n{decisions}\n  ]\n}}\n"
        );
        std::fs::write(path, text).with_context(|| path.display().to_string())
    }
}

/// The schedules that once found something, in the order of their names.
///
/// # Errors
/// When one cannot be read.
pub fn known() -> Result<Vec<(PathBuf, Trace)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?.map(|file| Ok(file?.path())).collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|ending| ending == "json"));
    files.sort();
    files.into_iter().map(|file| Trace::read(&file).map(|trace| (file, trace))).collect()
}
