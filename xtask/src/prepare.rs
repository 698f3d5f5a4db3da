//! Installs what building and testing need besides Rust, and says what it does.

use anyhow::{Context, Result, bail};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// What building needs: a C compiler and linker, and what the vendored OpenSSL of the client's SQLCipher is built with.
fn to_build() -> Result<()> {
    install(&TOOLS)
}

/// What the demo needs on top: a program that is not ours to look into the server's database.
pub(crate) fn to_demonstrate() -> Result<()> {
    to_build()?;
    install(&[Tool { name: "sqlite3", packages: &["sqlite3"], works: || runs("sqlite3", &["--version"]) }])
}

/// What the fuzzer needs on top: libFuzzer is C++.
pub(crate) fn to_fuzz() -> Result<()> {
    to_build()?;
    install(&[Tool { name: "a C++ compiler (c++)", packages: &["g++"], works: || runs("c++", &["--version"]) }])
}

fn install(tools: &[Tool]) -> Result<()> {
    let missing: Vec<&Tool> = tools.iter().filter(|tool| !(tool.works)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.iter().map(|tool| tool.name).collect::<Vec<_>>().join(", ");
    let packages: Vec<&str> = missing.iter().flat_map(|tool| tool.packages).copied().collect();
    if !is_root() || !Path::new("/usr/bin/apt-get").exists() {
        bail!(
            "{names} missing. Install them and run this again (Debian, Ubuntu: `apt-get install {}`); \
             as root on such a system this command does it by itself",
            packages.join(" ")
        );
    }
    println!("Missing: {names}. Installing {} with apt-get.", packages.join(", "));
    apt_get(&["update", "-q"])?;
    apt_get(&[&["install", "-q", "-y", "--no-install-recommends"], packages.as_slice()].concat())?;
    match tools.iter().find(|tool| !(tool.works)()) {
        Some(tool) => bail!("{} is still missing after apt-get", tool.name),
        None => Ok(()),
    }
}

/// What measuring needs on top of building: strace, which sees system calls and injects faults into them; PostgreSQL, of
/// which everybody starts one of their own, with certificates that openssl makes.
pub(crate) fn to_measure() -> Result<()> {
    to_build()?;
    start_no_service_of_postgres()?;
    install(&[
        Tool { name: "strace", packages: &["strace"], works: || runs("strace", &["--version"]) },
        Tool { name: "PostgreSQL", packages: &["postgresql"], works: has_postgres },
        Tool { name: "openssl", packages: &["openssl"], works: || runs("openssl", &["version"]) },
    ])
}

/// What the browser's program is built with: the compiler's library for wasm32, a C compiler that knows it, and Node.
pub(crate) fn to_browse() -> Result<()> {
    to_build()?;
    install(&[
        Tool { name: "clang 19", packages: &["clang-19"], works: || runs("clang-19", &["--version"]) },
        Tool { name: "llvm-ar 19", packages: &["llvm-19"], works: || runs("llvm-ar-19", &["--version"]) },
        Tool {
            name: "node and npm",
            packages: &["nodejs", "npm"],
            works: || runs("node", &["--version"]) && runs("npm", &["--version"]),
        },
    ])?;
    if !compiles_for_browsers() {
        println!("Missing: Rust's library for wasm32. Adding it with rustup.");
        show(Command::new("rustup").args(["target", "add", "wasm32-unknown-unknown"]))
            .context("docs/web.md says how to build without rustup")?;
    }
    Ok(())
}

/// What the tests in a browser need on top, and the program that makes a browser believe in a certificate authority.
pub(crate) fn to_test_in_browsers() -> Result<()> {
    install(&[
        Tool { name: "Chromium", packages: &["chromium"], works: || runs("chromium", &["--version"]) },
        Tool { name: "certutil", packages: &["libnss3-tools"], works: || Path::new("/usr/bin/certutil").exists() },
    ])
}

/// Whether the compiler that cargo uses has the library.
fn compiles_for_browsers() -> bool {
    let asked = Command::new("rustc").args(["--print", "target-libdir", "--target", "wasm32-unknown-unknown"]).output();
    asked.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}

/// What checking needs on top: rustfmt, clippy and cargo-nextest.
pub(crate) fn to_check() -> Result<TestRunner> {
    to_measure()?;
    for (component, subcommand) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        if !runs("cargo", &[subcommand, "--version"]) {
            println!("Missing: {component}. Adding it with rustup.");
            show(Command::new("rustup").args(["component", "add", component]))
                .with_context(|| format!("{component} is missing and rustup could not add it"))?;
        }
    }
    Ok(test_runner())
}

/// Whether a PostgreSQL server of version 15 or later can be started.
fn has_postgres() -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions.filter(|version| version.file_name().to_str().and_then(|name| name.parse().ok()) >= Some(15)).any(
        |version| ["initdb", "pg_ctl", "psql"].iter().all(|program| version.path().join("bin").join(program).exists()),
    )
}

/// Debian's package would make and start a server at once; nothing here needs one that runs all the time. The setting is
/// that of another package, so that one comes first.
fn start_no_service_of_postgres() -> Result<()> {
    let file = Path::new("/etc/postgresql-common/createcluster.conf");
    if has_postgres() || !is_root() || !Path::new("/usr/bin/apt-get").exists() {
        return Ok(());
    }
    let works = || Path::new("/etc/postgresql-common/createcluster.conf").exists();
    install(&[Tool { name: "PostgreSQL's tools", packages: &["postgresql-common"], works }])?;
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    if text.lines().any(|line| line.starts_with("create_main_cluster")) {
        return Ok(());
    }
    std::fs::write(file, text + "create_main_cluster = false\n").with_context(|| file.display().to_string())
}

/// What runs the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TestRunner {
    /// cargo-nextest: a process per test, limits on time.
    Nextest,
    /// Plain `cargo test`, when cargo-nextest cannot be had.
    Cargo,
}

fn test_runner() -> TestRunner {
    if runs("cargo", &["nextest", "--version"]) {
        return TestRunner::Nextest;
    }
    println!("Missing: cargo-nextest. Installing it with cargo; this takes some minutes, once.");
    let install = |extra: &[&str]| show(Command::new("cargo").args(["install", "cargo-nextest"]).args(extra));
    if install(&["--locked"]).or_else(|_| install(&[])).is_ok() && runs("cargo", &["nextest", "--version"]) {
        return TestRunner::Nextest;
    }
    println!("cargo-nextest could not be installed; going on with `cargo test`.");
    TestRunner::Cargo
}

struct Tool {
    name: &'static str,
    packages: &'static [&'static str],
    works: fn() -> bool,
}

const TOOLS: [Tool; 3] = [
    Tool { name: "a C compiler and linker (cc)", packages: &["gcc", "libc6-dev"], works: compiles_c },
    Tool { name: "make", packages: &["make"], works: || runs("make", &["--version"]) },
    // Debian's minimal perl lacks the modules that OpenSSL's Configure uses.
    Tool {
        name: "perl with its modules",
        packages: &["perl"],
        works: || runs("perl", &["-MFindBin", "-MIPC::Cmd", "-MFile::Compare", "-MFile::Copy", "-e", "1"]),
    },
];

/// A whole program, so that headers and start-up objects are tried too.
fn compiles_c() -> bool {
    let child = Command::new("cc")
        .args(["-x", "c", "-", "-o", "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else { return false };
    let written = child
        .stdin
        .take()
        .is_some_and(|mut stdin| stdin.write_all(b"#include <stdio.h>\nint main(void){return 0;}").is_ok());
    child.wait().is_ok_and(|status| status.success()) && written
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    let status =
        Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    show(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
}

/// Runs a command with its output shown.
fn show(command: &mut Command) -> Result<()> {
    println!("$ {}", crate::stage::written(command));
    let status = command.stdin(Stdio::null()).status().with_context(|| crate::stage::written(command))?;
    if status.success() { Ok(()) } else { bail!("{} failed: {status}", crate::stage::written(command)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_seen() {
        assert!(runs("cargo", &["--version"]));
        assert!(!runs("cargo", &["no-such-subcommand"]));
        assert!(!runs("no-such-program", &[]));
    }
}
