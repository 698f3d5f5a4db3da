//! A PostgreSQL server for the tests: the real one, with fsync, row security and TLS, started by whoever needs it first.
//!
//! Needs nothing but the standard library, so that the tests of other crates include this very file. One server serves a
//! whole run of cargo-nextest, or one test process of plain `cargo test`; a shell that watches the runner stops it and
//! removes its directory when the runner is gone, however it ended.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "each test file uses a part of it, and fails by panicking"
)]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The role that owns the tables, and the one that serves.
pub const OWNER: &str = "mifeng_owner";
pub const SERVER: &str = "mifeng_server";

/// A running server.
#[derive(Debug, Clone)]
pub struct Cluster {
    directory: PathBuf,
    port: u16,
}

/// An empty database on it.
#[derive(Debug, Clone)]
pub struct Base {
    pub cluster: Cluster,
    pub name: String,
}

impl Cluster {
    /// The one of this run.
    pub fn shared() -> Self {
        let (key, watched) = match std::env::var("NEXTEST_RUN_ID") {
            Ok(run) => (run, std::os::unix::process::parent_id()),
            Err(_) => (std::process::id().to_string(), std::process::id()),
        };
        let directory = std::env::temp_dir().join(format!("mifeng-postgres-{key}"));
        fs::create_dir_all(&directory).unwrap();
        let lock = File::create(directory.join("lock")).unwrap();
        lock.lock().unwrap();
        let cluster = Self::in_directory(&directory);
        if !directory.join("ready").exists() {
            cluster.create(&[]);
            cluster.watch(watched);
            cluster.start();
            cluster.create_roles();
            fs::write(directory.join("ready"), "").unwrap();
        }
        cluster
    }

    /// One of a test's own, to be broken. It ends with this process.
    pub fn own(settings: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("mifeng-postgres-own-{}-{number}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let cluster = Self::in_directory(&directory);
        cluster.create(settings);
        cluster.watch(std::process::id());
        cluster.start();
        cluster.create_roles();
        cluster
    }

    /// The one that was made there.
    pub fn in_directory(directory: &Path) -> Self {
        let port = fs::read_to_string(directory.join("port")).ok().and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| {
            // Free now; whoever takes it in between is met at the start.
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            fs::write(directory.join("port"), free.to_string()).unwrap();
            free
        });
        Self { directory: directory.to_owned(), port }
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where its Unix socket is.
    pub fn socket_directory(&self) -> PathBuf {
        self.directory.join("run")
    }

    /// Where it listens with TLS.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whom to trust.
    pub fn ca_file(&self) -> PathBuf {
        self.directory.join("tls/ca.pem")
    }

    /// Everybody's password here.
    pub fn password(&self) -> String {
        fs::read_to_string(self.directory.join("password")).unwrap()
    }

    /// `pg_ctl start`, and the same for a server that was stopped.
    pub fn start(&self) {
        let log = self.directory.join("log");
        let mut command = self.as_postgres("pg_ctl");
        command.args(["start", "--wait", "--timeout=60", "--silent", "--pgdata"]).arg(self.data());
        command.arg("--log").arg(&log);
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert!(status.success(), "PostgreSQL does not start: {}", fs::read_to_string(log).unwrap_or_default());
    }

    /// `pg_ctl stop`: `fast`, or `immediate`, which is what a crash is.
    pub fn stop(&self, mode: &str) {
        let mut command = self.as_postgres("pg_ctl");
        command.args(["stop", "--wait", "--silent", "--mode", mode, "--pgdata"]).arg(self.data());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The process from which all others of the server come.
    pub fn postmaster(&self) -> String {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        file.lines().next().unwrap().to_owned()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    /// A new database, owned by [`OWNER`].
    pub fn base(&self) -> Base {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("t{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("create database {name} owner {OWNER}"));
        Base { cluster: self.clone(), name }
    }

    /// Runs SQL as the superuser; returns what it prints, columns separated by `|`.
    pub fn sql(&self, database: &str, text: &str) -> String {
        self.try_sql("postgres", database, text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// Runs SQL as any role.
    pub fn try_sql(&self, role: &str, database: &str, text: &str) -> Result<String, String> {
        let mut command = Command::new(program("psql"));
        command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", "--file=-"]);
        command.args(["--username", role, "--dbname", database]).arg("--host").arg(self.socket_directory());
        command.args(["--port", &self.port.to_string()]).env("PGPASSWORD", self.password());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout).unwrap()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn create(&self, settings: &[&str]) {
        let mut random = [0; 16];
        std::io::Read::read_exact(&mut File::open("/dev/urandom").unwrap(), &mut random).unwrap();
        let password: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(self.directory.join("password"), password).unwrap();
        for folder in ["run", "tls"] {
            fs::create_dir_all(self.directory.join(folder)).unwrap();
        }
        self.issue_certificates();
        if is_root() {
            run(Command::new("chown").args(["-R", "postgres:postgres"]).arg(&self.directory));
        }
        run(self
            .as_postgres("initdb")
            .args(["--auth=scram-sha-256", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"])
            .arg("--pwfile")
            .arg(self.directory.join("password"))
            .arg("--pgdata")
            .arg(self.data()));
        let (run, tls) = (self.socket_directory(), self.directory.join("tls"));
        let mut text = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = '{}'\nssl = on\n\
             ssl_min_protocol_version = 'TLSv1.3'\nssl_cert_file = '{tls}/server.pem'\nssl_key_file = '{tls}/server-key.pem'\n\
             max_connections = 200\nshared_buffers = 64MB\nmax_wal_size = 512MB\n",
            self.port,
            run.display(),
            tls = tls.display()
        );
        settings.iter().for_each(|setting| text.push_str(&format!("{setting}\n")));
        append(&self.data().join("postgresql.conf"), &text);
        let access = "local all all scram-sha-256\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(self.data().join("pg_hba.conf"), access).unwrap();
    }

    fn create_roles(&self) {
        let password = self.password();
        for role in [OWNER, SERVER] {
            self.sql("postgres", &format!("create role {role} login password '{password}'"));
        }
    }

    /// An authority, and a certificate of the server that is for `localhost` and for nothing else.
    fn issue_certificates(&self) {
        let tls = self.directory.join("tls");
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
        let openssl = || {
            let mut command = Command::new("openssl");
            command.current_dir(&tls);
            command
        };
        let authority = ["-x509", "-subj", "/CN=test authority", "-keyout", "ca-key.pem", "-out", "ca.pem"];
        run(openssl().arg("req").args(key).args(authority));
        let server = ["-subj", "/CN=localhost", "-keyout", "server-key.pem", "-out", "server.csr"];
        run(openssl().arg("req").args(key).args(server));
        fs::write(tls.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
        let sign = ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial"];
        run(openssl().args(sign).args(["-days", "2", "-extfile", "names", "-out", "server.pem"]));
    }

    /// A shell that outlives this process, but not the one that is watched.
    #[expect(clippy::zombie_processes, reason = "nobody here is left to wait for it: it ends after this process")]
    fn watch(&self, process: u32) {
        let script = "while kill -0 \"$1\" 2>/dev/null; do sleep 0.3; done; \
            [ -f \"$2/data/postmaster.pid\" ] && kill -QUIT \"$(head -1 \"$2/data/postmaster.pid\")\"; \
            for i in 1 2 3 4 5 6 7 8 9 10; do [ -f \"$2/data/postmaster.pid\" ] && sleep 0.2; done; rm -rf \"$2\"";
        let mut command = Command::new("setsid");
        command.args(["sh", "-c", script, "watch", &process.to_string()]).arg(&self.directory).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    }

    /// PostgreSQL does not run as root.
    fn as_postgres(&self, name: &str) -> Command {
        let program = program(name);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir("/").stdin(Stdio::null());
        command
    }
}

impl Base {
    /// The address of a role over the Unix socket.
    pub fn url(&self, role: &str) -> String {
        let socket = self.cluster.socket_directory().display().to_string().replace('/', "%2F");
        format!("postgresql://{role}@{socket}:{}/{}", self.cluster.port, self.name)
    }

    /// The address of a role over TLS.
    pub fn tls_url(&self, role: &str, host: &str) -> String {
        format!("postgresql://{role}@{host}:{}/{}", self.cluster.port, self.name)
    }

    /// Runs SQL as the superuser.
    pub fn sql(&self, text: &str) -> String {
        self.cluster.sql(&self.name, &format!("set search_path = mifeng; {text}"))
    }

    /// Runs SQL as any role.
    pub fn try_sql(&self, role: &str, text: &str) -> Result<String, String> {
        self.cluster.try_sql(role, &self.name, &format!("set search_path = mifeng; {text}"))
    }

    /// Ends every session of a role; returns how many there were.
    pub fn end_sessions(&self, role: &str) -> usize {
        let ended = self.cluster.sql(
            "postgres",
            &format!(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = '{}' and usename = '{role}'",
                self.name
            ),
        );
        ended.lines().filter(|line| *line == "t").count()
    }
}

/// Waits until something holds.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn program(name: &str) -> PathBuf {
    let mut found: Vec<_> = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().collect();
    found.sort_by_key(|entry| entry.file_name());
    let newest = found.pop().map(|version| version.path().join("bin").join(name));
    newest.filter(|path| path.exists()).unwrap_or_else(|| {
        panic!("{name} is missing: `apt-get install postgresql-15`, or `cargo xtask test`, which does it")
    })
}

fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").unwrap()) == 0
}

fn append(path: &Path, text: &str) {
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
