//! Writes inputs made of real objects, for the fuzzer to begin with: `seeds FOLDER` makes a folder in it for every target.

use anyhow::{Context, Result};
use mifeng_testkit::fuzz::TARGETS;
use std::fs;
use std::path::PathBuf;

#[derive(clap::Parser)]
struct Arguments {
    /// Where.
    folder: PathBuf,
}

fn main() -> Result<()> {
    let Arguments { folder } = clap::Parser::parse();
    for target in TARGETS {
        let folder = folder.join(target.name);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        for (number, seed) in target.seeds().iter().enumerate() {
            fs::write(folder.join(format!("seed-{number:03}")), seed)?;
        }
    }
    Ok(())
}
