use super::line::Socket;
use super::pairs::{prepare, prepare_bare};
use super::report::{Entry, Report};
use super::stage::Stage;
use super::trace::{self, Seen};
use super::traffic::Traffic;
use super::{dialect::Dialect, say, traffic::Flow};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Prove with strace that no answer leaves before the disk has been synced.
///
/// One pair, one message under way, both servers. Needs root and strace.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Messages.
    #[arg(long, default_value_t = 200)]
    messages: u64,
    /// The server's program [default: `mifengd` beside this one].
    #[arg(long, env = "MIFENGD", value_name = "PATH")]
    mifengd: Option<PathBuf>,
}

const PATIENCE: Duration = Duration::from_secs(30);

impl Args {
    pub(super) async fn run(self, report: &mut Report) -> Result<()> {
        let stage = Stage::open(self.mifengd.clone(), "post-quantum", None)?;
        let (relay, target) = stage.relay()?;
        let flows = prepare(&stage, 1, 512).await?;
        say("watching the server");
        let server = self.watch(stage.daemon.pid()?, flows, &stage.folder().join("server.trace")).await?;
        say("watching the relay");
        let flows = prepare_bare(&target, 1, 700).await?;
        let baseline = self.watch(relay.pid(), flows, &stage.folder().join("relay.trace")).await?;
        let mut entry = Entry::new("durable");
        entry.put("messages", json!(self.messages));
        entry.put("server_answers_before_sync", json!(server.too_early));
        entry.put("baseline_answers_before_sync", json!(baseline.too_early));
        entry.put("server", fields(server));
        entry.put("baseline", fields(baseline));
        report.line(entry)?;
        for seen in [server, baseline] {
            ensure!(seen.too_early == 0, "an answer left before its sync");
            // Two answers may share a write, when a sender was told late.
            let all = [seen.requests, 2 * seen.answers, seen.syncs];
            ensure!(all.iter().all(|count| *count >= self.messages), "the trace is not whole: {seen:?}");
        }
        Ok(())
    }

    async fn watch<D: Dialect>(&self, pid: u32, flows: Vec<Flow<D>>, file: &Path) -> Result<Seen> {
        let sender = flows.first().map(|flow| port(&flow.sender)).context("no sender")??;
        let strace = Strace::attach(pid, file)?;
        let traffic = Traffic::new(flows, 1);
        traffic.fill(self.messages).await?;
        strace.detach()?;
        Ok(trace::read(&std::fs::read_to_string(file)?, sender))
    }
}

fn fields(seen: Seen) -> Value {
    json!({"requests": seen.requests, "answers": seen.answers, "syncs": seen.syncs, "answers_before_sync": seen.too_early})
}

fn port(socket: &Socket) -> Result<u16> {
    Ok(socket.get_ref().get_ref().0.local_addr()?.port())
}

/// An strace that is attached to a process.
struct Strace(Child);

impl Strace {
    fn attach(pid: u32, file: &Path) -> Result<Self> {
        let calls = "trace=fsync,fdatasync,read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg";
        let mut command = Command::new("strace");
        command.args(["-f", "-yy", "-s", "4", "-e", calls, "-p", &pid.to_string(), "-o"]).arg(file);
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().context("starting strace")?;
        let started = Instant::now();
        // Every thread of the process must be watched before anything happens.
        while !is_traced(pid)? {
            if let Some(status) = child.try_wait()? {
                bail!("strace ended with {status}: it needs root");
            }
            ensure!(started.elapsed() < PATIENCE, "strace was not attached in time");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Self(child))
    }

    fn detach(mut self) -> Result<()> {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw).context("no process id")?;
        kill_process(pid, Signal::INT)?;
        self.0.wait()?;
        Ok(())
    }
}

/// Whether every thread has a tracer.
fn is_traced(pid: u32) -> Result<bool> {
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = std::fs::read_to_string(thread?.path().join("status"))?;
        if status.lines().any(|line| line.strip_prefix("TracerPid:").is_some_and(|tracer| tracer.trim() == "0")) {
            return Ok(false);
        }
    }
    Ok(true)
}
