//! A mifengd of our own, for `prove` and `bench`: its own data directory, its own ports, its logs in a file.

mod folder;
pub(crate) mod metrics;
pub(crate) mod tls;

pub(crate) use folder::Folder;

use crate::prove::canary::random_text;
use anyhow::{Context, Result, anyhow, bail};
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
pub(crate) struct Addresses {
    pub(crate) clients: SocketAddr,
    admin: SocketAddr,
    pub(crate) internal: SocketAddr,
}

/// A mifengd of our own. Dropping it kills it.
pub(crate) struct Daemon {
    program: PathBuf,
    pub(crate) data: PathBuf,
    /// Everything that it wrote to its standard output and error, over all its lives.
    pub(crate) log: PathBuf,
    passphrase: String,
    child: Option<Child>,
    addresses: Option<Addresses>,
    settings: Vec<(String, String)>,
}

impl Daemon {
    /// Makes its data directory in `folder` (`mifengd init`, with these further arguments).
    pub(crate) fn init(program: &Path, folder: &Path, arguments: &[&str]) -> Result<Self> {
        let log = folder.join("mifengd.log");
        let program = program.to_owned();
        let daemon = Self {
            program,
            data: folder.join("data"),
            log,
            passphrase: random_text()?,
            child: None,
            addresses: None,
            settings: Vec::new(),
        };
        daemon.command(&[&["init"], arguments].concat())?;
        Ok(daemon)
    }

    /// Overrides a key of its configuration, by the name of its environment variable, from the next start on.
    pub(crate) fn set(&mut self, variable: impl Into<String>, value: impl Into<String>) {
        self.settings.push((variable.into(), value.into()));
    }

    /// Starts it, on free ports the first time and on the same ones later, and returns when it is ready.
    pub(crate) fn start(&mut self) -> Result<Addresses> {
        self.launch()?;
        let file = self.data.join("addresses.json");
        let child = self.child.as_mut().context("mifengd is not running")?;
        let ready = wait_for(|| match child.try_wait()? {
            Some(status) => Err(anyhow!("mifengd ended ({status})")),
            None => Ok(fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok())),
        });
        let ready = ready.with_context(|| format!("its last words:\n{}", self.last_words()))?;
        let addresses = ready.context("mifengd was not ready in time")?;
        self.addresses = Some(addresses);
        Ok(addresses)
    }

    /// Starts it as [`Daemon::start`] does, and does not wait.
    pub(crate) fn launch(&mut self) -> Result<()> {
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
        command.envs(self.settings.iter().map(|(variable, value)| (variable, value)));
        let command = command.stdin(Stdio::null()).stdout(log()?).stderr(log()?);
        self.child = Some(command.spawn().context("starting mifengd")?);
        Ok(())
    }

    /// Where it listens.
    pub(crate) fn addresses(&self) -> Result<Addresses> {
        self.addresses.context("mifengd was not started")
    }

    /// Asks it to stop (SIGTERM), and waits until it has.
    pub(crate) fn stop(&mut self) -> Result<()> {
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
    pub(crate) fn frozen<T>(&self, work: impl FnOnce(u32) -> Result<T>) -> Result<T> {
        let pid = self.pid()?;
        self.signal(Signal::STOP)?;
        let stopped = wait_for(|| Ok(is_stopped(pid)?.then_some(())));
        let result =
            stopped.and_then(|stopped| stopped.context("mifengd did not stand still")).and_then(|()| work(pid));
        self.signal(Signal::CONT)?;
        result
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Result<u32> {
        Ok(self.child.as_ref().context("mifengd is not running")?.id())
    }

    /// `mifengd tenant create NAME --suite SUITE`.
    pub(crate) fn create_tenant(&self, name: &str, suite: &str) -> Result<()> {
        self.command(&["tenant", "create", name, "--suite", suite]).map(drop)
    }

    /// `mifengd tenant delete NAME`.
    pub(crate) fn delete_tenant(&self, name: &str) -> Result<()> {
        self.command(&["tenant", "delete", name, "--yes"]).map(drop)
    }

    /// `mifengd invite create`, for one person.
    pub(crate) fn invite(&self, tenant: &str) -> Result<InviteLink> {
        self.invite_many(tenant, 1)
    }

    /// `mifengd invite create`, for so many people.
    pub(crate) fn invite_many(&self, tenant: &str, uses: u32) -> Result<InviteLink> {
        let words = self.command(&["invite", "create", "--tenant", tenant, "--uses", &uses.to_string()])?;
        let line = words.lines().next().unwrap_or_default();
        line.parse().context("mifengd gave no invite that can be read")
    }

    /// The database file; the write-ahead log stands beside it.
    pub(crate) fn database(&self) -> PathBuf {
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
pub(crate) fn find(named: Option<PathBuf>) -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding this program")?;
    let program = named.unwrap_or_else(|| own.with_file_name("mifengd"));
    match File::open(&program) {
        Ok(_) => Ok(program),
        Err(error) => {
            bail!("there is no mifengd at {} ({error}): name it with --mifengd PATH or MIFENGD", program.display())
        }
    }
}
