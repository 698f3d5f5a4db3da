//! The memory of another process, through `/proc/PID/maps` and `/proc/PID/mem`.

use super::search::{Found, Searcher};
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};

/// One line of `/proc/PID/maps`.
#[derive(Debug, PartialEq, Eq)]
struct Region {
    start: u64,
    end: u64,
    is_readable: bool,
    name: String,
}

/// Pages of the kernel that it lends to every process and lets nobody else read; they hold a clock and no data.
const KERNEL_PAGES: [&str; 3] = ["[vvar]", "[vvar_vclock]", "[vsyscall]"];

/// What was searched, in words for the report.
#[derive(Debug)]
pub(super) struct Searched {
    pub(super) found: Found,
    /// How many regions were searched, and which not and why.
    pub(super) remark: String,
}

/// Searches every readable region of a process that stands still. A readable region that cannot be read is an error.
pub(super) fn search(pid: u32, searcher: &Searcher) -> Result<Searched> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).context("reading its memory map (root is needed)")?;
    let regions = maps.lines().map(parse).collect::<Result<Vec<_>>>()?;
    if regions.is_empty() {
        bail!("its memory map is empty (root is needed)");
    }
    let mut memory = File::open(format!("/proc/{pid}/mem")).context("opening its memory (root is needed)")?;
    let mut found = Found::default();
    let (mut searched, mut kernel, mut closed_bytes) = (0, 0, 0);
    for region in &regions {
        if KERNEL_PAGES.contains(&region.name.as_str()) {
            kernel += 1;
        } else if region.is_readable {
            found.add(region.search(&mut memory, searcher)?);
            searched += 1;
        } else {
            closed_bytes += region.end - region.start;
        }
    }
    let remark = format!(
        "{searched} regions; not searched: {kernel} pages of the kernel's own, and {} KiB reserved that the process itself \
         may not read",
        closed_bytes / 1024
    );
    Ok(Searched { found, remark })
}

impl Region {
    fn search(&self, memory: &mut File, searcher: &Searcher) -> Result<Found> {
        let size = self.end - self.start;
        let what = || format!("reading {} bytes of its memory at {:x} {}", size, self.start, self.name);
        memory.seek(SeekFrom::Start(self.start)).with_context(what)?;
        let found = searcher.read(memory.take(size)).with_context(what)?;
        if found.bytes == size { Ok(found) } else { bail!("{}: only {} could be read", what(), found.bytes) }
    }
}

/// `start-end perms offset device inode name`.
fn parse(line: &str) -> Result<Region> {
    let mut words = line.split_ascii_whitespace();
    let range = words.next().and_then(|range| range.split_once('-'));
    let (start, end) = range.with_context(|| format!("not a memory region: {line}"))?;
    let address = |text: &str| u64::from_str_radix(text, 16).with_context(|| format!("not a memory region: {line}"));
    let is_readable = words.next().is_some_and(|permissions| permissions.starts_with('r'));
    let name = words.nth(3).unwrap_or_default().to_owned();
    Ok(Region { start: address(start)?, end: address(end)?, is_readable, name })
}

#[cfg(test)]
mod tests {
    use super::super::canary::Canary;
    use super::*;
    use std::hint::black_box;
    use std::process::{Command, Stdio};

    #[test]
    fn lines_of_the_map_are_read() {
        let line = "7ffd1c5e2000-7ffd1c603000 rw-p 00000000 00:00 0                          [stack]";
        let region =
            Region { start: 0x7ffd_1c5e_2000, end: 0x7ffd_1c60_3000, is_readable: true, name: "[stack]".into() };
        assert_eq!(parse(line).unwrap(), region);
        assert!(!parse("55d0-55d1 ---p 00000000 00:00 0 ").unwrap().is_readable);
        assert!(parse("nonsense").is_err());
    }

    /// A process that holds a canary in its memory (its environment) is caught, and one that does not is not.
    #[test]
    fn a_canary_in_another_process_is_found_and_its_absence_too() {
        let canary = Canary::new("message text").unwrap();
        let searcher = Searcher::new(std::slice::from_ref(&canary), "PATH=").unwrap();
        let with = |value: &str| {
            let mut child = Command::new("sleep").arg("60").env("HELD", value).stdin(Stdio::null()).spawn().unwrap();
            // The memory is the new program's only once it runs; until then it is a copy of ours.
            while fs::read_link(format!("/proc/{}/exe", child.id())).is_ok_and(|exe| !exe.ends_with("sleep")) {
                std::thread::yield_now();
            }
            let searched = search(child.id(), &searcher);
            child.kill().unwrap();
            child.wait().unwrap();
            searched.unwrap().found
        };
        let caught = with(&canary.text);
        assert!(caught.canary_count() == 1 && caught.controls > 0 && caught.bytes > 100_000, "{caught:?}");
        let clean = with(black_box("nothing"));
        assert!(clean.canary_count() == 0 && clean.controls > 0, "{clean:?}");
    }

    #[test]
    fn a_process_that_cannot_be_read_is_an_error() {
        let searcher = Searcher::new(&[], "x").unwrap();
        assert!(search(0x7fff_fff0, &searcher).is_err());
    }
}
