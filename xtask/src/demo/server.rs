//! The demo's server: started, killed, looked into.

use super::scene::{Actor, Scene, remark};
use crate::stage::paint;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const DATABASE: &str = "server/store/mifeng.db";
const PATIENCE: Duration = Duration::from_secs(30);

/// A mifengd of the demo's. Dropping it kills it.
pub(super) struct Server {
    child: Child,
    ports: [u16; 3],
}

impl Server {
    /// Starts it on three free ports.
    pub(super) fn start(scene: &Scene) -> Result<Self> {
        let free = || -> Result<u16> { Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port()) };
        Self::start_on(scene, [free()?, free()?, free()?])
    }

    fn start_on(scene: &Scene, ports: [u16; 3]) -> Result<Self> {
        let mut command = scene.mifengd(&["serve"]);
        let mut shown = String::new();
        for (name, port) in ["CLIENTS", "ADMIN", "INTERNAL"].into_iter().zip(ports) {
            let (variable, address) = (format!("MIFENG_{name}_LISTEN"), format!("127.0.0.1:{port}"));
            shown.push_str(&format!("{variable}={address} "));
            command.env(variable, address);
        }
        println!(
            "{} {} {}",
            paint("33", "operator"),
            paint("1", "$"),
            paint("1", &format!("{shown}mifengd serve --data server &"))
        );
        let ready = scene.path("server/addresses.json");
        if ready.exists() {
            fs::remove_file(&ready)?;
        }
        let log = || OpenOptions::new().create(true).append(true).open(scene.path("mifengd.log"));
        let child = command.stdin(Stdio::null()).stdout(log()?).stderr(log()?).spawn().context("starting mifengd")?;
        let mut server = Self { child, ports };
        server.wait_until_ready(scene, &ready)?;
        Ok(server)
    }

    fn wait_until_ready(&mut self, scene: &Scene, ready: &PathBuf) -> Result<()> {
        let started = Instant::now();
        while fs::read(ready).map_or(0, |bytes| bytes.len()) == 0 {
            if let Some(status) = self.child.try_wait()? {
                let log = fs::read_to_string(scene.path("mifengd.log")).unwrap_or_default();
                bail!("mifengd ended with {status}:\n{log}");
            }
            if started.elapsed() > PATIENCE {
                bail!("mifengd was not ready in time");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        remark(&format!("         process {}, ready after {} ms", self.child.id(), started.elapsed().as_millis()));
        Ok(())
    }

    /// SIGKILL: no farewell, no flush.
    pub(super) fn kill(&mut self) -> Result<()> {
        println!(
            "{} {} {}",
            paint("33", "operator"),
            paint("1", "$"),
            paint("1;31", &format!("kill -9 {}", self.child.id()))
        );
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// The same data directory, the same ports, another process.
    pub(super) fn start_again(&mut self, scene: &Scene) -> Result<()> {
        *self = Self::start_on(scene, self.ports)?;
        Ok(())
    }

    /// SIGTERM, and its status.
    pub(super) fn stop(&mut self, scene: &Scene) -> Result<()> {
        scene.run(Actor::Operator, Command::new("sh").args(["-c", &format!("kill -TERM {}", self.child.id())]))?;
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { bail!("mifengd ended with {status}") }
    }

    /// Waits until it ends, in whatever way.
    pub(super) fn wait(&mut self) -> Result<()> {
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Ours; if it is gone already, good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the server has, read from its database with another program than ours.
pub(super) fn show_what_it_sees(scene: &Scene) -> Result<()> {
    for (what, query) in [
        (
            "Tenants: their names are in the clear.",
            "select name, datetime(created_at / 1000, 'unixepoch') as made from tenants",
        ),
        (
            "People: their handles are sealed.",
            "select substr(hex(user_id), 1, 8) || '...' as user, length(handle) || ' bytes' as handle, \
             substr(hex(handle), 1, 40) || '...' as sealed from users",
        ),
        (
            "The conversation: order, time, device and size class are visible; words are not.",
            "select seq, case kind when 0 then 'message' when 1 then 'commit' else 'proposal' end as kind, epoch, \
             time(recorded_at / 1000, 'unixepoch') as at, substr(hex(sender), 1, 8) as device, \
             length(payload) || ' bytes' as size from log_entries \
             where conversation = (select conversation from conversations order by head_seq desc limit 1) \
             order by seq limit 8",
        ),
    ] {
        remark(what);
        let mut command = Command::new("sqlite3");
        command.args(["-readonly", "-header", "-column"]).arg(scene.path(DATABASE)).arg(query);
        scene.run(Actor::Anyone, &mut command)?;
    }
    Ok(())
}

/// The server's bytes of each entry of the longest log, which is that of the two who talked first: place, size, beginning in hexadecimal.
pub(super) fn sealed_entries(scene: &Scene) -> Result<BTreeMap<u64, (usize, String)>> {
    let query = "select seq, length(payload), substr(hex(payload), 1, 56) from log_entries \
                 where conversation = (select conversation from conversations order by head_seq desc limit 1)";
    let mut command = Command::new("sqlite3");
    let text = scene.must(command.arg("-readonly").arg(scene.path(DATABASE)).arg(query))?;
    let entry = |line: &str| -> Option<(u64, (usize, String))> {
        let mut cells = line.split('|');
        Some((cells.next()?.parse().ok()?, (cells.next()?.parse().ok()?, cells.next()?.to_owned())))
    };
    text.lines().map(|line| entry(line).with_context(|| format!("not an entry: {line}"))).collect()
}

/// How many entries the conversation's log has had.
pub(super) fn recorded(scene: &Scene) -> Result<usize> {
    let mut command = Command::new("sqlite3");
    let count = scene.must(
        command.arg("-readonly").arg(scene.path(DATABASE)).arg("select coalesce(max(head_seq), 0) from conversations"),
    )?;
    count.trim().parse().context("reading how far the log goes")
}
