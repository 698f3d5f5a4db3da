//! `mifeng bench` with the real programs: that it measures what it says, not how fast anything is.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../../store/tests/common/cluster.rs"]
mod cluster;

use cluster::{Cluster, OWNER, SERVER};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// The server's program. Cargo builds only this package's own; `cargo build -p mifeng-server` makes the other.
fn mifengd() -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_mifeng")).with_file_name("mifengd");
    let path = std::env::var_os("MIFENGD").map_or(beside, PathBuf::from);
    assert!(path.exists(), "{} is missing: cargo build -p mifeng-server", path.display());
    path
}

/// Whether it succeeded, and the object that its output ended with.
fn bench(arguments: &str) -> (bool, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mifeng"));
    command.args(["--json", "bench"]).args(arguments.split_whitespace()).env("MIFENGD", mifengd());
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let last = text.lines().last().map(|line| serde_json::from_str(line).unwrap());
    (output.status.success(), last.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr))))
}

/// Figures that must be there and above nothing.
#[track_caller]
fn assert_positive(result: &Value, names: &[&str]) {
    for name in names {
        assert!(result[name].as_f64().is_some_and(|figure| figure > 0.0), "{name} in {result}");
    }
}

const SHORT: &str = "--seconds 0.3 --warm-up 0.1 --runs 2";

#[test]
fn pairs_are_measured_on_both_servers_and_nothing_is_lost() {
    let (ok, result) = bench(&format!("pairs --pairs 2 --window 4 --stored 50 {SHORT}"));
    assert!(ok, "{result}");
    let figures = ["server_cpu_us_per_message", "baseline_cpu_us_per_message", "server_messages_per_second"];
    assert_positive(&result, &figures);
    assert_positive(&result, &["baseline_messages_per_second", "server_p99_ms", "baseline_p99_ms"]);
    assert_eq!((&result["lost"], &result["unanswered"]), (&0.into(), &0.into()), "{result}");
    assert_eq!((&result["pairs"], &result["window"]), (&2.into(), &4.into()), "{result}");
    assert!(result["stored"].as_u64().unwrap() >= 50, "{result}");
    assert!(result["frame_bytes"].as_u64().unwrap() > 512, "{result}");
}

#[test]
fn a_database_of_its_own_is_measured_with_the_server() {
    let base = Cluster::own(&[]).base();
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, base.cluster.password()).unwrap();
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (url, password, process) = (base.url(SERVER), password.display(), base.cluster.postmaster());
    let database = format!("--postgres {url} --postgres-owner {OWNER} --postgres-password-file {password}");
    let (ok, result) = bench(&format!("pairs --pairs 2 --window 8 {database} --postgres-process {process} {SHORT}"));
    assert!(ok, "{result}");
    assert_positive(&result, &["server_cpu_us_per_message"]);
    let [both, database] =
        ["server_cpu", "database_cpu"].map(|name| result["server"][name]["median"].as_f64().unwrap());
    assert!(0.0 < database && database < both, "{result}");
    let kept: u64 = base.sql("select count(*) from log_entries").trim().parse().unwrap();
    assert!(kept > 0 && result["lost"] == 0, "it was there that everything was kept: {result}");
}

#[test]
fn a_groups_messages_and_commits_reach_everybody() {
    let (ok, result) = bench(&format!("group --members 4 --commits 2 --suite classical {SHORT}"));
    assert!(ok, "{result}");
    assert_positive(&result, &["server_cpu_us_per_delivery", "baseline_cpu_us_per_delivery", "server_p99_ms"]);
    assert!(result["commits"]["event_bytes"]["median"].as_f64().unwrap() > 500.0, "{result}");
    let server = &result["server"];
    let [messages, deliveries] =
        ["messages_per_second", "deliveries_per_second"].map(|name| server[name]["median"].as_f64().unwrap());
    // Three receive; at the ends of a window a message may have some of its receivers inside and some outside.
    assert!((deliveries / messages - 3.0).abs() < 0.5, "{result}");
    assert_eq!(result["lost"], 0, "{result}");
}

#[test]
fn logins_and_idle_connections_are_counted() {
    let (ok, result) = bench("login --count 8 --parallel 4 --runs 1");
    assert!(ok, "{result}");
    assert_positive(&result, &["server_logins_per_second", "baseline_logins_per_second", "server_p50_ms"]);
    let (ok, result) = bench("idle --connections 40");
    assert!(ok, "{result}");
    assert_eq!(result["connections"], 40);
    assert_positive(&result, &["server_rss_kib_per_connection"]);
}

#[test]
fn a_start_is_timed_with_messages_in_the_database() {
    let (ok, result) = bench("start --stored 100 --runs 1");
    assert!(ok, "{result}");
    assert_positive(&result, &["server_ready_ms", "baseline_ready_ms", "server_rss_mib", "baseline_rss_mib"]);
}

#[test]
fn t9_no_answer_leaves_before_its_sync() {
    let (ok, result) = bench("durable --messages 20");
    assert!(ok, "{result}");
    assert_eq!(
        (&result["server_answers_before_sync"], &result["baseline_answers_before_sync"]),
        (&0.into(), &0.into())
    );
    for server in ["server", "baseline"] {
        assert!(result[server]["syncs"].as_u64().unwrap() >= 20, "{result}");
    }
}

#[test]
fn without_a_server_nothing_is_measured() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mifeng"));
    let output = command.args(["--json", "bench", "login", "--mifengd", "/nowhere/mifengd"]).output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/mifengd"));
}

#[test]
fn the_relay_speaks_tls_1_3_and_nothing_older() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut init = Command::new(mifengd());
    init.args(["init", "--data"]).arg(&data).env("MIFENG_ROOT_PASSPHRASE", "only for tests: 7 lanterns under a bridge");
    assert!(init.output().unwrap().status.success());
    let mut relay = Command::new(env!("CARGO_BIN_EXE_mifeng"));
    relay.args(["bench", "relay", "--data"]).arg(&data).arg("--log").arg(folder.path().join("log"));
    let mut relay = relay.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(relay.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim();
    let handshake = |config: ClientConfig| {
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = StreamOwned::new(connection, TcpStream::connect(address).unwrap());
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").map(|()| stream.read(&mut [0; 64]).is_ok())
    };
    let accepted = handshake(trusting(&data));
    assert!(accepted.is_ok(), "{accepted:?}");
    assert!(!hello_of_tls_1_2(address), "a greeting of TLS 1.2 alone was answered");
    // It ends when whoever started it goes away.
    drop(relay.stdin.take());
    assert!(relay.wait().unwrap().success());
}

fn trusting(data: &Path) -> ClientConfig {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(data.join("tls/clients/ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13]);
    builder.unwrap().with_root_certificates(roots).with_no_client_auth()
}

/// Sends a ClientHello that offers TLS 1.2 and nothing else (RFC 5246 §7.4.1.2); whether a ServerHello comes.
fn hello_of_tls_1_2(address: &str) -> bool {
    let mut hello = vec![0x03, 0x03];
    hello.extend([7; 32]);
    hello.extend([0, 0, 4, 0xc0, 0x2b, 0xc0, 0x2f, 1, 0]);
    // supported_groups: P-256; signature_algorithms: ecdsa_secp256r1_sha256.
    let extensions = [0, 10, 0, 4, 0, 2, 0, 23, 0, 13, 0, 4, 0, 2, 4, 3];
    hello.extend([0, extensions.len() as u8]);
    hello.extend(extensions);
    let mut record = vec![22, 3, 1, 0, hello.len() as u8 + 4, 1, 0, 0, hello.len() as u8];
    record.extend(hello);
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(&record).unwrap();
    let mut first = [0; 1];
    stream.read(&mut first).unwrap_or(0) == 1 && first == [22]
}
