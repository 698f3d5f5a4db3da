//! The real programs over real sockets: `mifengd` and `mifeng` as people run them.

#![allow(dead_code, unreachable_pub, reason = "every test file uses its own part of this")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]

pub mod linking;

use serde_json::Value;
use std::io::Read;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const TENANT: &str = "acme";
/// Nobody waits ten minutes here.
pub const RESUPPLY_SECONDS: &str = "6";
const PASSPHRASE: &str = "only for tests: 7 lanterns under a bridge";
pub const PASSWORD: &str = "a password of some length";

/// A server with its data directory. Dropping it kills it.
pub struct Server {
    pub folder: TempDir,
    child: Option<Child>,
    /// Where devices connect; the same after a restart, because their profiles remember it.
    address: Option<String>,
}

/// One person's device: a profile directory.
pub struct Person {
    pub profile: PathBuf,
    pub handle: String,
}

/// The server's program. Cargo builds only this package's own; `cargo build -p mifeng-server` makes the other.
fn mifengd() -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_mifeng")).with_file_name("mifengd");
    let path = std::env::var_os("MIFENGD").map_or(beside, PathBuf::from);
    assert!(path.exists(), "{} is missing: cargo build -p mifeng-server", path.display());
    path
}

impl Server {
    /// A new server with one tenant.
    pub fn start() -> Self {
        Self::start_with(tempfile::tempdir().unwrap(), &[])
    }

    /// A new server whose tenant has this cipher suite.
    pub fn start_in_suite(suite: &str) -> Self {
        Self::start_as(tempfile::tempdir().unwrap(), &[], &["--suite", suite])
    }

    /// The same, with more arguments for `init`.
    pub fn start_with(folder: TempDir, arguments: &[&str]) -> Self {
        Self::start_as(folder, arguments, &[])
    }

    fn start_as(folder: TempDir, arguments: &[&str], tenant: &[&str]) -> Self {
        let mut server = Self { folder, child: None, address: None };
        let mut init = server.command();
        let done = init.args(["init", "--host", "localhost,127.0.0.1"]).args(arguments).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        server.serve();
        let done = server.command().args(["tenant", "create", TENANT]).args(tenant).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        server
    }

    fn command(&self) -> Command {
        let mut command = Command::new(mifengd());
        command.arg("--data").arg(self.folder.path().join("data")).env("MIFENG_ROOT_PASSPHRASE", PASSPHRASE);
        command.env("MIFENG_CLIENTS_LISTEN", self.address.as_deref().unwrap_or("127.0.0.1:0"));
        command.env("MIFENG_RESTORE_RESUPPLY_SECONDS", RESUPPLY_SECONDS);
        command.env("MIFENG_ADMIN_LISTEN", "127.0.0.1:0").env("MIFENG_INTERNAL_LISTEN", "127.0.0.1:0");
        command
    }

    /// Starts the process and waits until it listens.
    pub fn serve(&mut self) {
        let addresses = self.folder.path().join("data/addresses.json");
        let _ = std::fs::remove_file(&addresses);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let child = self.command().arg("serve").stdout(Stdio::null()).stderr(log).stdin(Stdio::null()).spawn().unwrap();
        self.child = Some(child);
        let read = || {
            let addresses: Value = serde_json::from_str(&std::fs::read_to_string(&addresses).ok()?).ok()?;
            let clients = addresses["clients"].as_str()?.to_owned();
            TcpStream::connect(&clients).ok().map(|_| clients)
        };
        self.address = Some(wait("the server listens", read));
    }

    /// SIGKILL: nothing is flushed, nothing is said.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            let status = child.wait().unwrap();
            assert!(!status.success(), "the fault fired: {status}");
        }
    }

    /// Copies the database of a server that does not run.
    pub fn back_up(&self) {
        copy_folder(&self.database(), &self.folder.path().join("backup"));
    }

    /// Puts the last copy in the place of the database of a server that does not run, and says so.
    pub fn restore(&self) -> String {
        std::fs::remove_dir_all(self.database()).unwrap();
        copy_folder(&self.folder.path().join("backup"), &self.database());
        let done = self.command().arg("restored").output().unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("data").join("store")
    }

    /// Sends a signal to the server's process.
    pub fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    pub fn invite(&self, expires: &str) -> String {
        let done =
            self.command().args(["invite", "create", "--json", "--tenant", TENANT, "--expires", expires]).output();
        let done = done.unwrap();
        assert!(done.status.success(), "{done:?}");
        let invite: Value = serde_json::from_slice(&done.stdout).unwrap();
        invite["link"].as_str().unwrap().to_owned()
    }

    /// A person who has not joined.
    pub fn person(&self, handle: &str) -> Person {
        Person { profile: self.folder.path().join(handle), handle: handle.into() }
    }

    /// Gives the tenant another cipher suite.
    pub fn set_suite(&self, suite: &str) -> Output {
        self.command().args(["tenant", "suite", "--tenant", TENANT, suite]).output().unwrap()
    }

    /// Closes somebody's account.
    pub fn close(&self, handle: &str) {
        let done = self.command().args(["user", "close", "--tenant", TENANT, handle]).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    }

    /// A person who has joined.
    pub fn joined(&self, handle: &str) -> Person {
        let person = self.person(handle);
        person.join(&self.invite("1h")).success();
        person
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- the server's log\n{}", self.log());
        }
    }
}

impl Person {
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mifeng"));
        command.arg("--profile").arg(&self.profile).arg("--json").stdin(Stdio::null());
        command.env("MIFENG_PASSWORD", PASSWORD).env_remove("MIFENG_PASSPHRASE").env_remove("MIFENG_PASSPHRASE_FILE");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Done {
        Done(self.command().args(arguments).output().unwrap())
    }

    pub fn join(&self, link: &str) -> Done {
        self.run(&["join", link, "--handle", &self.handle])
    }

    /// Says something and returns when the server has it.
    pub fn say(&self, chat: &str, text: &str) -> Value {
        self.run(&["send", chat, text]).success().pop().unwrap()
    }

    /// Everything in all conversations, after catching up.
    pub fn lines(&self) -> Vec<Value> {
        self.run(&["tail", "-n", "100000"]).success()
    }

    /// What was said, in order, after catching up.
    pub fn texts(&self) -> Vec<String> {
        let text = |line: Value| match line["state"].as_str() {
            Some("recorded" | "pending") => line["text"].as_str().unwrap_or("-").to_owned(),
            _ => format!("{}: {}", line["state"], line["reason"]),
        };
        self.lines().into_iter().map(text).collect()
    }

    /// Runs a command and kills it after a while.
    pub fn killed(&self, arguments: &[&str], after: Duration) -> bool {
        let mut child = self.command().args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(after);
        child.kill().unwrap();
        !child.wait().unwrap().success()
    }

    /// Follows all conversations in the background.
    pub fn follow(&self) -> Following {
        let mut command = self.command();
        command.args(["tail", "--follow", "-n", "100000"]).stdout(Stdio::piped()).stderr(Stdio::null());
        Following(command.spawn().unwrap())
    }
}

/// A `tail --follow` that runs.
pub struct Following(Child);

impl Following {
    /// Ends it and returns what it printed.
    pub fn end(mut self) -> Vec<Value> {
        self.0.kill().unwrap();
        let mut text = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        self.0.wait().unwrap();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

/// A command that ended.
pub struct Done(Output);

impl Done {
    pub fn is_success(&self) -> bool {
        self.0.status.success()
    }

    /// The objects that it printed.
    #[track_caller]
    pub fn success(self) -> Vec<Value> {
        assert!(self.0.status.success(), "{}\n{}", self.0.status, String::from_utf8_lossy(&self.0.stderr));
        let text = String::from_utf8(self.0.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Its exit status and what it printed as an error, for people.
    #[track_caller]
    pub fn failure_text(self) -> (i32, String) {
        assert!(!self.0.status.success(), "it should have failed: {}", String::from_utf8_lossy(&self.0.stdout));
        (self.0.status.code().unwrap(), String::from_utf8_lossy(&self.0.stderr).into_owned())
    }

    /// Its exit status and the error that it printed.
    #[track_caller]
    pub fn failure(self) -> (i32, Value) {
        assert!(!self.0.status.success(), "it should have failed: {}", String::from_utf8_lossy(&self.0.stdout));
        let text = String::from_utf8(self.0.stderr).unwrap();
        let error =
            text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find(|v| v["error"].is_object());
        (self.0.status.code().unwrap(), error.unwrap_or_else(|| panic!("no error in {text}"))["error"].take())
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// Asks until there is an answer.
#[track_caller]
pub fn wait<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
