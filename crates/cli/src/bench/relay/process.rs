//! The relay as a process of its own, beside the server that is compared with it.

use crate::bench::machine::{SERVER_CORE, on_core};
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A relay that runs. Dropping it ends it.
pub(crate) struct Relay {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Relay {
    /// Starts one on the server's core. `data` is a mifengd's data directory, whose authority makes the certificate.
    pub(crate) fn start(data: &Path, log: &Path) -> Result<Self> {
        let program = std::env::current_exe().context("finding this program")?;
        let mut command = Command::new(program);
        command.args(["bench", "relay", "--data"]).arg(data).arg("--log").arg(log);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = on_core(SERVER_CORE, || command.spawn().context("starting the relay"))?;
        let output = child.stdout.take().context("the relay has no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        match line.trim().parse() {
            Ok(address) => Ok(Self { child, address }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error).context("the relay did not say where it listens")
            }
        }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // Ours; if it is gone already, good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
