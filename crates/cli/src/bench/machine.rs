//! The machine under the measurement: whose core is whose, and what a process has used of it. Read from `/proc`.

use anyhow::{Context, Result};
use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::fs;
use std::time::Duration;

/// The core of whoever is measured.
pub(super) const SERVER_CORE: usize = 0;
/// The core of who makes the load.
pub(super) const GENERATOR_CORE: usize = 1;
/// The kernel counts processor time in hundredths of a second for user space, whatever it uses inside (proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;

/// What a process holds of the machine's memory, in KiB.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    /// Pages that are in memory.
    pub(super) rss_kib: f64,
    /// The same, with pages shared among processes divided by their number.
    pub(super) pss_kib: f64,
}

/// Keeps this thread, and what it starts, on one core.
pub(super) fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("pinning to core {core}"))
}

/// Does something whose processes and threads are to stay on a core.
pub(super) fn on_core<T>(core: usize, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = sched_getaffinity(None)?;
    if online()? > 1 {
        pin(core)?;
    }
    let result = work();
    sched_setaffinity(None, &before)?;
    result
}

/// How many cores the machine has.
pub(super) fn online() -> Result<usize> {
    let stat = fs::read_to_string("/proc/stat")?;
    Ok(stat.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count())
}

/// Allows as many open files as the system does.
pub(super) fn raise_open_files() -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// Processor time of a process and its threads since its start, user and system.
pub(super) fn processor_time(pid: u32) -> Result<Duration> {
    Ok(Stat::read(pid)?.own)
}

/// A part of `/proc/PID/stat`.
struct Stat {
    parent: u32,
    own: Duration,
    with_waited_for: Duration,
}

impl Stat {
    fn read(pid: u32) -> Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name in parentheses may hold anything; the fields after it are numbers.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |index: usize| -> Option<f64> { fields.get(index)?.parse().ok() };
        let time = |from: usize| -> Option<Duration> {
            Some(Duration::from_secs_f64((ticks(from)? + ticks(from + 1)?) / TICKS_PER_SECOND))
        };
        let parent = fields.get(1).and_then(|parent| parent.parse().ok());
        let read = parent.zip(time(11)).zip(time(13));
        let ((parent, own), waited_for) = read.context("/proc/PID/stat has another form")?;
        Ok(Self { parent, own, with_waited_for: own + waited_for })
    }
}

/// The same of a process with all that it has started: those that it has waited for, and those that run.
pub(super) fn family_time(pid: u32) -> Result<Duration> {
    let own = Stat::read(pid)?;
    let processes = fs::read_dir("/proc")?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    // One may end while it is looked for: then its parent has its time.
    let children = pids.filter_map(|pid| Stat::read(pid).ok()).filter(|stat| stat.parent == pid);
    Ok(own.with_waited_for + children.map(|child| child.with_waited_for).sum::<Duration>())
}

/// Time for which a core was busy since the machine's start, with whatever it was.
pub(super) fn busy_time(core: usize) -> Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let name = format!("cpu{core} ");
    let line = stat.lines().find(|line| line.starts_with(&name)).context("no such core in /proc/stat")?;
    let fields: Vec<f64> = line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // Not idle, not waiting for the disk; a guest's time is in the user's already (proc(5)).
    let busy: f64 =
        fields.iter().enumerate().filter(|(at, _)| !matches!(at, 3 | 4 | 8 | 9)).map(|(_, field)| field).sum();
    Ok(Duration::from_secs_f64(busy / TICKS_PER_SECOND))
}

/// What a process holds of the memory.
pub(super) fn memory(pid: u32) -> Result<Memory> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let field = |name: &str| -> Result<f64> {
        let line = text.lines().find(|line| line.starts_with(name)).with_context(|| format!("no {name} in smaps"))?;
        Ok(line.split_whitespace().nth(1).context("no number in smaps")?.parse()?)
    };
    Ok(Memory { rss_kib: field("Rss:")?, pss_kib: field("Pss:")? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn work_is_seen_in_the_processor_time() {
        let pid = std::process::id();
        let (before, started) = (processor_time(pid).unwrap(), Instant::now());
        while started.elapsed() < Duration::from_millis(200) {}
        let used = processor_time(pid).unwrap() - before;
        // Other tests share the process and the machine: it is at least something, and not more than all cores.
        assert!(used >= Duration::from_millis(10) && used < Duration::from_secs(60), "{used:?}");
    }

    #[test]
    fn what_a_child_used_is_its_familys_before_and_after_it_ended() {
        let pid = std::process::id();
        let before = family_time(pid).unwrap();
        let script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done; read line";
        let mut command = std::process::Command::new("sh");
        command.args(["-c", script]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut said, &mut String::new()).unwrap();
        let used = processor_time(child.id()).unwrap();
        assert!(used > Duration::ZERO && family_time(pid).unwrap() >= before + used);
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(family_time(pid).unwrap() >= before + used);
    }

    #[test]
    fn the_process_has_memory() {
        let memory = memory(std::process::id()).unwrap();
        assert!(memory.rss_kib >= memory.pss_kib && memory.pss_kib > 100.0, "{memory:?}");
    }
}
