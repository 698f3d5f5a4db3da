//! Reads what strace saw of a server: whether an answer ever left before what it promises was synced.
//!
//! One sender has one message under way at a time, so that every request that was read before a sync began is covered by it,
//! and never may more answers have been written than requests are covered.

use std::collections::HashMap;

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Seen {
    /// Reads from the sender that brought something.
    pub(super) requests: u64,
    /// Writes to the sender.
    pub(super) answers: u64,
    /// Answers for which no sync had come back. None may be.
    pub(super) too_early: u64,
    /// Syncs of files.
    pub(super) syncs: u64,
}

/// Reads the output of `strace -f -yy`. `sender` is the sender's port, which names its connection.
pub(super) fn read(trace: &str, sender: u16) -> Seen {
    let connection = format!("->127.0.0.1:{sender}]>");
    let mut seen = Seen::default();
    let mut covered = 0;
    let mut begun = HashMap::new();
    for line in trace.lines() {
        // Before the call stands the thread that makes it.
        let (thread, call) = line.split_once(' ').map_or(("", ""), |(thread, call)| (thread, call.trim_start()));
        let has_begun = !call.starts_with("<...");
        let has_ended = !call.ends_with("<unfinished ...>");
        let is_senders = call.contains(&connection);
        if is(call, &["fsync", "fdatasync"]) {
            if has_begun {
                begun.insert(thread, seen.requests);
            }
            if has_ended && returned(call) == 0 {
                seen.syncs += 1;
                covered = covered.max(begun.remove(thread).unwrap_or(0));
            }
        } else if is(call, &["read", "recvfrom", "readv", "recvmsg"]) {
            // A read that does not wait is never interrupted by another thread's line; its end is on its own line.
            seen.requests += u64::from(is_senders && has_ended && returned(call) > 0);
        } else if is(call, &["write", "sendto", "writev", "sendmsg"]) && is_senders && has_begun {
            seen.answers += 1;
            seen.too_early += u64::from(seen.answers > covered + seen.too_early);
        }
    }
    seen
}

fn is(call: &str, names: &[&str]) -> bool {
    let name = call.strip_prefix("<... ").unwrap_or(call);
    names
        .iter()
        .any(|other| name.strip_prefix(other).is_some_and(|rest| rest.starts_with('(') || rest.starts_with(" resumed")))
}

fn returned(call: &str) -> i64 {
    call.rsplit("= ").next().and_then(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or(-1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
11 recvfrom(9<TCP:[127.0.0.1:4000->127.0.0.1:5000]>, "x"..., 4096, 0, NULL, NULL) = 770
12 pwrite64(6</data/mifeng.db-wal>, "x"..., 4096, 0) = 4096
12 fdatasync(6</data/mifeng.db-wal>) = 0
11 sendto(9<TCP:[127.0.0.1:4000->127.0.0.1:5000]>, "x"..., 60, MSG_NOSIGNAL, NULL, 0) = 60
11 recvfrom(9<TCP:[127.0.0.1:4000->127.0.0.1:5000]>, 0x7f, 4096, 0, NULL, NULL) = -1 EAGAIN (Resource temporarily unavailable)
11 recvfrom(9<TCP:[127.0.0.1:4000->127.0.0.1:5000]>, "x"..., 4096, 0, NULL, NULL) = 770
12 fdatasync(6</data/mifeng.db-wal> <unfinished ...>
11 sendto(8<TCP:[127.0.0.1:4000->127.0.0.1:5001]>, "x"..., 60, MSG_NOSIGNAL, NULL, 0) = 60
12 <... fdatasync resumed>) = 0
11 writev(9<TCP:[127.0.0.1:4000->127.0.0.1:5000]>, [{iov_base="x", iov_len=60}], 1) = 60
"#;

    #[test]
    fn answers_after_their_syncs_are_in_order() {
        assert_eq!(read(GOOD, 5000), Seen { requests: 2, answers: 2, too_early: 0, syncs: 2 });
    }

    #[test]
    fn t9_an_answer_before_its_sync_is_seen() {
        let unsynced: String = GOOD
            .lines()
            .filter(|line| !line.contains("fdatasync(6</data/mifeng.db-wal>) = 0"))
            .collect::<Vec<_>>()
            .join("\n");
        assert_eq!(read(&unsynced, 5000).too_early, 1);
        let failed = GOOD.replace(
            "fdatasync(6</data/mifeng.db-wal>) = 0",
            "fdatasync(6</data/mifeng.db-wal>) = -1 EIO (Input/output error)",
        );
        assert_eq!(read(&failed, 5000).too_early, 1);
        let during = GOOD.replace("5001", "5000");
        assert_eq!(read(&during, 5000).too_early, 1, "a sync that has begun has not ended");
    }
}
