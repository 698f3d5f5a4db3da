//! `mifeng prove` with the real programs, and with a server that hides something: a proof that cannot fail is none.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The server's program. Cargo builds only this package's own; `cargo build -p mifeng-server` makes the other.
fn mifengd() -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_mifeng")).with_file_name("mifengd");
    let path = std::env::var_os("MIFENGD").map_or(beside, PathBuf::from);
    assert!(path.exists(), "{} is missing: cargo build -p mifeng-server", path.display());
    path
}

/// Whether it succeeded, and the object that its output ended with.
fn prove(mifengd: &Path) -> (bool, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mifeng"));
    let output = command.args(["--json", "prove", "--mifengd"]).arg(mifengd).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let last = text.lines().last().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.success(), serde_json::from_str(last).unwrap())
}

fn place<'a>(report: &'a Value, name: &str) -> &'a Value {
    let places = report["places"].as_array().unwrap();
    places.iter().find(|place| place["place"] == name).unwrap_or_else(|| panic!("{name} is not in {report}"))
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().unwrap().stdout.trim_ascii() == b"0"
}

/// A program that runs the real server, but for what the script does to it.
fn wrapped(folder: &Path, script: &str) -> PathBuf {
    let path = folder.join("mifengd-wrapped");
    std::fs::write(&path, format!("#!/bin/sh\n{}\n", script.replace("MIFENGD", &mifengd().display().to_string())))
        .unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

const PLACES: [&str; 8] = ["database", "wal", "free_pages", "blobs", "logs", "metrics", "traffic", "memory"];

#[test]
fn a26_the_server_holds_no_plaintext_anywhere() {
    let (proved, report) = prove(&mifengd());
    for name in PLACES.into_iter().filter(|name| *name != "memory" || is_root()) {
        let place = place(&report, name);
        assert_eq!((&place["found"], &place["control_found"]), (&Value::from(0), &Value::from(true)), "{place}");
        assert!(place["bytes"].as_u64().unwrap() > 1_000, "{place}");
    }
    assert!(report["canaries"].as_u64().unwrap() >= 15 && report["encodings"].as_u64().unwrap() >= 15, "{report}");
    // Without root the memory cannot be searched, and then nothing is proved.
    assert_eq!((proved, &report["ok"]), (is_root(), &Value::from(is_root())), "{report}");
}

#[test]
fn a26_a_server_that_hides_its_logs_proves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let hiding = wrapped(
        folder.path(),
        "case \" $* \" in *' serve '*) exec MIFENGD \"$@\" >/dev/null 2>&1;; esac\nexec MIFENGD \"$@\"",
    );
    let (proved, report) = prove(&hiding);
    assert!(!proved && report["ok"] == false, "{report}");
    assert_eq!(place(&report, "logs")["control_found"], false);
}

#[test]
fn a_server_that_does_not_start_is_a_failure_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    for program in [wrapped(folder.path(), "echo no >&2; exit 3"), folder.path().join("nowhere")] {
        let (proved, report) = prove(&program);
        assert!(!proved && report["ok"] == false && report["error"].is_string(), "{report}");
    }
}
