//! The mifengd that is watched: its own data directory, its own ports, its logs in a file.

use super::canary::random_text;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use std::fs::{self, File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use wire::invite_link::InviteLink;

/// A server is ready, or gone, within this time, or something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// Where a server listens: `addresses.json` in its data directory.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Addresses {
    pub(super) clients: SocketAddr,
    admin: SocketAddr,
    pub(super) internal: SocketAddr,
}

/// A mifengd of our own. Dropping it kills it.
pub(super) struct Daemon {
    program: PathBuf,
    pub(super) data: PathBuf,
    /// Everything that it wrote to its standard output and error, over all its lives.
    pub(super) log: PathBuf,
    passphrase: String,
    child: Option<Child>,
    addresses: Option<Addresses>,
}

impl Daemon {
    /// Makes its data directory in `folder` (`mifengd init`).
    pub(super) fn init(program: &Path, folder: &Path) -> Result<Self> {
        let log = folder.join("mifengd.log");
        let program = program.to_owned();
        let daemon =
            Self { program, data: folder.join("data"), log, passphrase: random_text()?, child: None, addresses: None };
        daemon.command(&["init"])?;
        Ok(daemon)
    }

    /// Starts it, on free ports the first time and on the same ones later, and returns when it is ready.
    pub(super) fn start(&mut self) -> Result<Addresses> {
        let file = self.data.join("addresses.json");
        if file.exists() {
            fs::remove_file(&file)?;
        }
        let log = || OpenOptions::new().create(true).append(true).open(&self.log);
        let mut command = self.prepared(&["serve"]);
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let Addresses { clients, admin, internal } =
            self.addresses.unwrap_or(Addresses { clients: free, admin: free, internal: free });
        for (listener, address) in [("CLIENTS", clients), ("ADMIN", admin), ("INTERNAL", internal)] {
            command.env(format!("MIFENG_{listener}_LISTEN"), address.to_string());
        }
        // The most talkative it can be: what it must not say, it must not say even then.
        command.env("MIFENG_LOG_LEVEL", "debug");
        let mut child =
            command.stdin(Stdio::null()).stdout(log()?).stderr(log()?).spawn().context("starting mifengd")?;
        let ready = wait_for(|| match child.try_wait()? {
            Some(status) => bail!("mifengd ended ({status}); its last words:\n{}", self.last_words()),
            None => Ok(fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok())),
        });
        self.child = Some(child);
        let addresses = ready?.context("mifengd was not ready in time")?;
        self.addresses = Some(addresses);
        Ok(addresses)
    }

    /// Where it listens.
    pub(super) fn addresses(&self) -> Result<Addresses> {
        self.addresses.context("mifengd was not started")
    }

    /// Asks it to stop (SIGTERM), and waits until it has.
    pub(super) fn stop(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let ended = wait_for(|| Ok(child.try_wait()?));
        if !matches!(ended, Ok(Some(_))) {
            child.kill()?;
            child.wait()?;
        }
        match ended? {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("mifengd ended with {status}; its last words:\n{}", self.last_words()),
            None => bail!("mifengd did not stop in time"),
        }
    }

    /// Does something while the process stands still (SIGSTOP).
    pub(super) fn frozen<T>(&self, work: impl FnOnce(u32) -> Result<T>) -> Result<T> {
        let pid = self.child.as_ref().context("mifengd is not running")?.id();
        self.signal(Signal::STOP)?;
        let stopped = wait_for(|| Ok(is_stopped(pid)?.then_some(())));
        let result =
            stopped.and_then(|stopped| stopped.context("mifengd did not stand still")).and_then(|()| work(pid));
        self.signal(Signal::CONT)?;
        result
    }

    /// `mifengd tenant create NAME`.
    pub(super) fn create_tenant(&self, name: &str) -> Result<()> {
        self.command(&["tenant", "create", name]).map(drop)
    }

    /// `mifengd tenant delete NAME`.
    pub(super) fn delete_tenant(&self, name: &str) -> Result<()> {
        self.command(&["tenant", "delete", name, "--yes"]).map(drop)
    }

    /// `mifengd invite create`.
    pub(super) fn invite(&self, tenant: &str) -> Result<InviteLink> {
        let words = self.command(&["invite", "create", "--tenant", tenant])?;
        let line = words.lines().next().unwrap_or_default();
        line.parse().context("mifengd gave no invite that can be read")
    }

    /// The database file; the write-ahead log stands beside it.
    pub(super) fn database(&self) -> PathBuf {
        self.data.join("store/mifeng.db")
    }

    /// Runs a command of mifengd to its end; what it printed.
    fn command(&self, arguments: &[&str]) -> Result<String> {
        let what = || format!("mifengd {}", arguments.join(" "));
        let output = self.prepared(arguments).stdin(Stdio::null()).output().with_context(what)?;
        if !output.status.success() {
            bail!("{} failed: {}", what(), String::from_utf8_lossy(&output.stderr).trim());
        }
        String::from_utf8(output.stdout).with_context(what)
    }

    fn prepared(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        // Settings of a server that the person runs are not this one's.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MIFENG_")) {
            command.env_remove(name);
        }
        command.args(arguments).arg("--data").arg(&self.data).env("MIFENG_ROOT_PASSPHRASE", &self.passphrase);
        command
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.child.as_ref().and_then(|child| i32::try_from(child.id()).ok()).and_then(Pid::from_raw);
        kill_process(pid.context("mifengd is not running")?, signal).context("signalling mifengd")
    }

    fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(5)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It is ours and the run is over; if it is gone already, good.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The `State` of `/proc/PID/status` is `T`.
fn is_stopped(pid: u32) -> Result<bool> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok(status.lines().any(|line| line.starts_with("State:") && line.contains("T (stopped)")))
}

/// Asks until there is an answer; `None` when it took too long.
fn wait_for<T>(mut ask: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(answer) = ask()? {
            return Ok(Some(answer));
        }
        std::thread::sleep(POLL);
    }
    Ok(None)
}

/// The server's program: named, from the environment, or beside our own.
pub(super) fn find(named: Option<PathBuf>) -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding this program")?;
    let program = named.unwrap_or_else(|| own.with_file_name("mifengd"));
    match File::open(&program) {
        Ok(_) => Ok(program),
        Err(error) => {
            bail!("there is no mifengd at {} ({error}): name it with --mifengd PATH or MIFENGD", program.display())
        }
    }
}
