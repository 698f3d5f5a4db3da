//! Hostile input by the door that everybody has: bombs of nested and counted encodings, and texts that would be code
//! somewhere else.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's help fails the test")]

mod harness;

use harness::{Server, line::Line, phone::Phone};
use mifeng_server::admin::{CreateInvite, CreateTenant, ListTenants, Suite};
use std::time::{Duration, Instant};
use wire::{ErrorCode, Op, frame, limits, request::*};

/// Growth of the process that a bomb may cause at its worst.
const GROWTH_MAX_KIB: u64 = 64 << 10;
/// Processor time that a bomb may take.
const CPU_MAX: Duration = Duration::from_secs(1);

/// A frame of this operation with these bytes in the place of its parameters.
fn frame_of(op: u16, body: &[u8]) -> Vec<u8> {
    let mut encoder = minicbor::Encoder::new(Vec::new());
    encoder.array(3).unwrap().u32(7).unwrap().u16(op).unwrap();
    let mut frame = encoder.into_writer();
    frame.extend_from_slice(body);
    frame
}

/// Encodings that announce more than they hold, or hold themselves.
fn bombs(room: usize) -> Vec<(String, Vec<u8>)> {
    let deep = |opening: &[u8], count: usize| opening.repeat(count.min(room / opening.len()));
    let mut bombs = vec![
        ("arrays in arrays".into(), deep(&[0x81], room)),
        ("maps in maps".into(), deep(&[0xa1, 0x00], room)),
        ("tags on tags".into(), deep(&[0xc1], room)),
        ("endless arrays in arrays".into(), deep(&[0x9f], room)),
        ("endless maps in maps".into(), deep(&[0xbf, 0x00], room)),
        ("endless strings of bytes".into(), [vec![0x5f], deep(&[0x40], room - 1)].concat()),
    ];
    // For each parameter of a request: an array, a map, a string, each of 4 billion or of 2^64 - 1 announced items.
    for key in 0..8_u8 {
        for head in [0x40_u8, 0x60, 0x80, 0xa0] {
            for counted in [vec![head | 26, 0xff, 0xff, 0xff, 0xff], [vec![head | 27], vec![0xff; 8]].concat()] {
                bombs.push((format!("parameter {key} announces {counted:02x?}"), [vec![0xa1, key], counted].concat()));
            }
        }
        // As many small items as fit, where a list or a map of something larger may be expected.
        for filling in [&[0x80_u8][..], &[0xa0], &[0x40], &[0xf6], &[0x00]] {
            let count = u32::try_from((room - 16) / filling.len()).unwrap();
            let head = [vec![0xa1, key, 0x9a], count.to_be_bytes().to_vec()].concat();
            bombs.push((
                format!("parameter {key} has {count} times {filling:02x?}"),
                [head, deep(filling, room)].concat(),
            ));
        }
    }
    bombs
}

/// A line of `/proc/self/status`, in KiB.
fn status_kib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

/// How far the process grows at most while `work` runs, and what processor time it takes.
async fn cost(work: impl Future<Output = ()>) -> (u64, Duration) {
    // Resets the high-water mark (proc(5)).
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let (before, cpu) = (status_kib("VmRSS"), cpu());
    work.await;
    (status_kib("VmHWM").saturating_sub(before), self::cpu().saturating_sub(cpu))
}

fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let of = |text: &str| text.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok()).unwrap_or(0);
    let all: u64 = threads
        .filter_map(|thread| std::fs::read_to_string(thread.unwrap().path().join("schedstat")).ok())
        .map(|text| of(&text))
        .sum();
    Duration::from_nanos(all.max(of(&stat)))
}

#[tokio::test(flavor = "multi_thread")]
async fn c4_the_measure_sees_a_bomb_that_goes_off() {
    let (grown, _) = cost(async {
        let filled = std::hint::black_box(vec![1_u8; 100 << 20]);
        assert_eq!(filled.len(), 100 << 20);
    })
    .await;
    assert!(grown > GROWTH_MAX_KIB, "{grown} KiB");
    let (_, took) = cost(async {
        let (started, before) = (Instant::now(), cpu());
        // On a busy machine work takes longer than its processor time.
        while cpu() - before <= CPU_MAX && started.elapsed() < Duration::from_secs(60) {
            std::hint::spin_loop();
        }
    })
    .await;
    assert!(took > CPU_MAX, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn c4_bombs_cost_a_stranger_more_than_the_server() {
    let server = Server::with(generous).await;
    server.tenant("acme", Suite::Classical).await;
    for (name, bomb) in bombs(8 << 10) {
        let (mut line, _) = Line::hello(&server, "acme").await;
        let (grown, took) = cost(async {
            for op in [Op::JoinStart, Op::JoinFinish, Op::Authenticate, Op::LoginStart] {
                line.try_raw(tungstenite(frame_of(op.number(), &bomb))).await;
            }
            // It is answered, or the connection ends; nothing hangs.
            let _ = line.frame().await;
        })
        .await;
        assert!(grown < GROWTH_MAX_KIB && took < CPU_MAX, "{name}: {grown} KiB, {took:?}");
    }
    let (mut line, _) = Line::hello(&server, "acme").await;
    assert!(line.call(&LoginFinish { ke3: vec![0; 64] }).await.is_err(), "the server answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn c4_bombs_of_a_device_cost_it_its_request() {
    let server = Server::with(generous).await;
    server.tenant("acme", Suite::Classical).await;
    let alice = Phone::join(&server, "acme", "alice").await;
    for (name, bomb) in bombs(limits::FRAME_MAX_BYTES / 8) {
        let mut line = alice.connect(&server).await;
        let (grown, took) = cost(async {
            for op in Op::ALL {
                if !line.try_raw(tungstenite(frame_of(op.number(), &bomb))).await || line.frame().await.is_err() {
                    line = alice.connect(&server).await;
                }
            }
        })
        .await;
        // Every operation takes its turn, and the test's own end of the connection is in this process too.
        let took = took / u32::try_from(Op::ALL.len()).unwrap();
        assert!(grown < GROWTH_MAX_KIB && took < CPU_MAX, "{name}: {grown} KiB, {took:?}");
    }
    let mut line = alice.connect(&server).await;
    assert!(line.call(&Sync {}).await.is_ok(), "the server serves");
}

fn generous(config: &mut mifeng_server::config::Config) {
    let plenty = mifeng_server::config::Rate { burst: 1_000_000, per_second: 1_000_000 };
    (config.limits.session_rate, config.limits.control_rate, config.limits.read_rate) = (plenty, plenty, plenty);
    (config.limits.message_rate, config.limits.tenant_rate) = (plenty, plenty);
}

fn tungstenite(bytes: Vec<u8>) -> tokio_tungstenite::tungstenite::Message {
    tokio_tungstenite::tungstenite::Message::Binary(bytes.into())
}

/// Texts that are code to a database, a shell, a path, a template, a log or a terminal.
const CODE: &[&str] = &[
    "' or '1'='1",
    "' or 1=1 --",
    "\" or \"\"=\"",
    "'; drop table users; --",
    "x'; delete from log_entries; --",
    "1; attach database '/tmp/pwned' as p; --",
    "') union select wrapped from tenant_keys --",
    "$1",
    "?1",
    ":name",
    "@p1",
    "%27%20or%201=1",
    "\\'; select pg_sleep(10); --",
    "||(select 1)||",
    "*",
    "%",
    "_",
    "acme\0other",
    "acme' --",
    "acme\"",
    "{{7*7}}",
    "${jndi:ldap://127.0.0.1/a}",
    "`id`",
    "$(id)",
    "../../../etc/passwd",
    "..\\..\\root.key",
    "/dev/null",
    "\r\nlevel=ERROR forged=1",
    "\u{1b}]0;title\u{7}",
    "\u{202e}txt.exe",
    "{\"$gt\": \"\"}",
    "a' and (select count(*) from users) > 0 and 'a'='a",
];

#[tokio::test(flavor = "multi_thread")]
async fn c5_what_is_code_elsewhere_is_text_here() {
    let server = Server::with(generous).await;
    server.tenant("acme", Suite::Classical).await;
    let alice = Phone::join(&server, "acme", "alice").await;
    let before = (alice.connect(&server).await.call(&Sync {}).await.unwrap(), tenants(&server).await);
    for code in CODE {
        let mut line = Line::connect(&server).await;
        let hello = Hello { version: 1, tenant: (*code).into(), agent: (*code).into() };
        assert_eq!(refusal(line.call(&hello).await), ErrorCode::UnknownTenant, "{code:?}");

        let (mut line, _) = Line::hello(&server, "acme").await;
        let join = JoinStart { invite: (*code).into(), handle: "mallory".into(), registration_request: vec![0; 32] };
        assert!(matches!(refusal(line.call(&join).await), ErrorCode::InvalidInvite | ErrorCode::Malformed), "{code:?}");
        let login = LoginStart { handle: (*code).into(), ke1: vec![0; 96] };
        assert_eq!(refusal(line.call(&login).await), ErrorCode::InvalidHandle, "{code:?}");

        let mut line = alice.connect(&server).await;
        let find = FindUser { handle: (*code).into() };
        assert_eq!(refusal(line.call(&find).await), ErrorCode::InvalidHandle, "{code:?}");

        let named = CreateTenant { name: (*code).into(), suite: Suite::Classical };
        assert!(server.admin().call_async(&named).await.is_err(), "{code:?}");
        let invited = CreateInvite { tenant: (*code).into(), life_ms: 60_000, uses: 1 };
        assert!(server.admin().call_async(&invited).await.is_err(), "{code:?}");
    }
    let after = (alice.connect(&server).await.call(&Sync {}).await.unwrap(), tenants(&server).await);
    assert_eq!(before, after);
    assert!(!std::path::Path::new("/tmp/pwned").exists());
}

async fn tenants(server: &Server) -> Vec<String> {
    let listed = server.admin().call_async(&ListTenants {}).await.unwrap();
    listed.tenants.into_iter().map(|tenant| tenant.name).collect()
}

fn refusal<T: std::fmt::Debug>(result: Result<T, wire::Refusal>) -> ErrorCode {
    result.unwrap_err().code().unwrap()
}

#[test]
fn c4_a_bomb_is_a_request_of_the_protocol() {
    let bytes = frame_of(Op::Sync.number(), &[0xa0]);
    assert_eq!(frame::read_request(&bytes).unwrap().known(), Some(Op::Sync), "else nothing would look at the bombs");
}
