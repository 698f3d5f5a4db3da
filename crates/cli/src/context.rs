//! What every command needs: where the profile is, how to speak, how long to wait.

use crate::failure::Failure;
use crate::output::Output;
use crate::profile::Profile;
use crate::secret;
use runtime::Shell;
use std::path::PathBuf;
use std::time::Duration;
use time::UtcOffset;

/// Options that every command takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Directory of this person and device [default: $XDG_DATA_HOME/mifeng, or ~/.local/share/mifeng].
    #[arg(long, global = true, env = "MIFENG_PROFILE", value_name = "DIR")]
    profile: Option<PathBuf>,
    /// Print one JSON object per line; errors too, on standard error.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// File with the passphrase that seals this device's key [also: MIFENG_PASSPHRASE]. Without one, a new profile's key lies
    /// in a file that only you may read.
    #[arg(long, global = true, env = "MIFENG_PASSPHRASE_FILE", value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// How long to wait for the server.
    #[arg(long, global = true, default_value_t = 30, value_name = "SECONDS")]
    timeout: u64,
}

/// What every command needs.
#[derive(Debug)]
pub(crate) struct Context {
    options: Options,
    pub(crate) output: Output,
    utc_offset: UtcOffset,
}

impl Context {
    pub(crate) const fn new(options: Options, utc_offset: UtcOffset) -> Self {
        let output = Output { json: options.json };
        Self { options, output, utc_offset }
    }

    /// How far the clocks here are from UTC.
    pub(crate) const fn utc_offset(&self) -> UtcOffset {
        self.utc_offset
    }

    /// How long to wait for the server.
    pub(crate) const fn timeout(&self) -> Option<Duration> {
        Some(Duration::from_secs(self.options.timeout))
    }

    /// The profile, locked for this process.
    pub(crate) fn profile(&self) -> Result<Profile, Failure> {
        let directory = match &self.options.profile {
            Some(directory) => directory.clone(),
            None => {
                default_directory().ok_or_else(|| Failure::usage("no home directory").hint("give --profile DIR"))?
            }
        };
        Profile::open(&directory)
    }

    /// The client of a profile that has been prepared, in its shell.
    pub(crate) fn shell(&self, profile: &Profile) -> Result<Shell, Failure> {
        let passphrase = secret::read(self.options.passphrase_file.as_deref(), "MIFENG_PASSPHRASE", None)?;
        profile.shell(passphrase.as_ref().map(|passphrase| passphrase.as_bytes()))
    }
}

fn default_directory() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")))?;
    Some(data.join("mifeng"))
}
