//! The real binary: its commands, its start, its end.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's help fails the test")]

#[path = "../../store/tests/common/cluster.rs"]
mod cluster;
mod harness;

use cluster::{Base, Cluster, OWNER, SERVER};
use harness::{
    PASSPHRASE, Server,
    line::Gone,
    phone::{PASSWORD, Pair, Phone},
};
use mifeng_server::{admin::Suite, process::Addresses};
use std::{
    fs,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use wire::{ErrorCode, Event, request::*};

fn mifengd(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mifengd"));
    command.args(arguments).arg("--data").arg(data).stdin(Stdio::null());
    command.env("MIFENG_ROOT_PASSPHRASE", PASSPHRASE);
    for plane in ["CLIENTS", "ADMIN", "INTERNAL"] {
        command.env(format!("MIFENG_{plane}_LISTEN"), "127.0.0.1:0");
    }
    command
}

fn run(data: &Path, arguments: &[&str]) -> Output {
    mifengd(data, arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A running `mifengd`, killed when the test is over.
struct Running {
    child: Child,
    server: Server,
}

impl Running {
    fn start(dir: &Arc<TempDir>, change: impl FnOnce(&mut Command)) -> Self {
        let data = dir.path().join("data");
        if !data.exists() {
            assert!(run(&data, &["init"]).status.success());
        }
        let _ = fs::remove_file(data.join("addresses.json"));
        let mut command = mifengd(&data, &["serve"]);
        command.stderr(fs::File::options().create(true).append(true).open(dir.path().join("log")).unwrap());
        change(&mut command);
        let child = command.spawn().unwrap();
        let start = Instant::now();
        let addresses = loop {
            match Addresses::read(&data) {
                Ok(addresses) => break addresses,
                Err(_) => assert!(start.elapsed() < Duration::from_secs(20), "it does not start"),
            }
            std::thread::yield_now();
        };
        Self { child, server: Server::elsewhere(data, addresses) }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn dir() -> Arc<TempDir> {
    Arc::new(tempfile::tempdir().unwrap())
}

#[test]
fn b9_init_refuses_a_weak_passphrase_and_leaves_nothing_behind() {
    let dir = dir();
    for weak in ["", "short", "password1234", "aaaaaaaaaaaaaaaa"] {
        let data = dir.path().join("data");
        let output = mifengd(&data, &["init"]).env("MIFENG_ROOT_PASSPHRASE", weak).output().unwrap();
        assert!(!output.status.success() && stderr(&output).contains("passphrase"), "{weak}: {}", stderr(&output));
        assert!(!data.exists(), "{weak}");
    }
}

#[test]
fn b9_two_installations_share_no_key_and_init_overwrites_nothing() {
    let dir = dir();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    assert!(run(&one, &["init"]).status.success() && run(&two, &["init"]).status.success());
    let keys = ["root.key", "tls/clients/ca-key.pem", "tls/admin/client-key.pem", "tls/internal/server-key.pem"];
    for key in keys {
        assert_ne!(fs::read(one.join(key)).unwrap(), fs::read(two.join(key)).unwrap(), "{key}");
    }
    let before = fs::read(one.join("root.key")).unwrap();
    let again = run(&one, &["init"]);
    assert!(!again.status.success() && stderr(&again).contains("made before"), "{}", stderr(&again));
    assert_eq!(fs::read(one.join("root.key")).unwrap(), before);
}

#[test]
fn check_names_what_is_wrong() {
    let dir = dir();
    let data = dir.path().join("data");
    let missing = run(&data, &["check"]);
    assert!(!missing.status.success() && stderr(&missing).contains("mifengd.toml"), "{}", stderr(&missing));
    assert!(run(&data, &["init"]).status.success());
    assert!(run(&data, &["check"]).status.success());
    let config = data.join("mifengd.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("idle_timeout_ms", "idle_timout_ms")).unwrap();
    let output = run(&data, &["check"]);
    assert!(!output.status.success());
    assert!(stderr(&output).contains("idle_timout_ms") && stderr(&output).contains("line "), "{}", stderr(&output));
    fs::write(&config, text.replace("host = \"localhost\"", "host = \"chat.example.org\"")).unwrap();
    let output = run(&data, &["check"]);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success() && stdout.contains("does not have the server's name"), "{stdout}");
    fs::write(&config, &text).unwrap();
    let (clients, admin) = (data.join("tls/clients"), data.join("tls/admin"));
    fs::copy(admin.join("server-key.pem"), clients.join("server-key.pem")).unwrap();
    let output = run(&data, &["check"]);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success() && stdout.contains("does not belong to the certificate"), "{stdout}");
    assert!(run(&data, &["renew"]).status.success() && run(&data, &["check"]).status.success());
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let dir = dir();
    let data = dir.path().join("data");
    assert!(run(&data, &["init"]).status.success());
    let wrong = mifengd(&data, &["serve"]).env("MIFENG_ROOT_PASSPHRASE", "tulip-granite-oyster-8").output().unwrap();
    assert!(
        !wrong.status.success() && stderr(&wrong).contains("passphrase of the root key is wrong"),
        "{}",
        stderr(&wrong)
    );
    let none = mifengd(&data, &["serve"]).env_remove("MIFENG_ROOT_PASSPHRASE").output().unwrap();
    assert!(!none.status.success() && stderr(&none).contains("no passphrase"), "{}", stderr(&none));
    let typo = mifengd(&data, &["serve"]).env("MIFENG_LIMITS_CONECTIONS", "1").output().unwrap();
    assert!(!typo.status.success() && stderr(&typo).contains("MIFENG_LIMITS_CONECTIONS"), "{}", stderr(&typo));
    let nobody = run(&data, &["tenant", "list"]);
    assert!(!nobody.status.success() && stderr(&nobody).contains("no server runs"), "{}", stderr(&nobody));
    let running = Running::start(&dir, |_| {});
    let second = run(&data, &["serve"]);
    assert!(!second.status.success() && stderr(&second).contains("in use"), "{}", stderr(&second));
    drop(running);
}

#[test]
fn an_operator_makes_a_tenant_and_an_invite() {
    let dir = dir();
    let data = dir.path().join("data");
    let _running = Running::start(&dir, |_| {});
    assert!(run(&data, &["tenant", "create", "acme"]).status.success());
    let twice = run(&data, &["tenant", "create", "acme"]);
    assert!(!twice.status.success() && stderr(&twice).contains("already_exists"), "{}", stderr(&twice));
    let odd = run(&data, &["tenant", "create", "Acme"]);
    assert!(!odd.status.success() && stderr(&odd).contains("a-z"), "{}", stderr(&odd));
    let list = run(&data, &["tenant", "list"]);
    assert!(String::from_utf8_lossy(&list.stdout).starts_with("acme\tten_"));
    let invite = run(&data, &["invite", "create", "--tenant", "acme", "--expires", "1h", "--json"]);
    let invite: serde_json::Value = serde_json::from_slice(&invite.stdout).unwrap();
    let link: wire::invite_link::InviteLink = invite["link"].as_str().unwrap().parse().unwrap();
    assert_eq!((link.tenant.as_str(), link.host.as_str()), ("acme", "localhost"));
    let unknown = run(&data, &["invite", "create", "--tenant", "nobody"]);
    assert!(!unknown.status.success() && stderr(&unknown).contains("unknown_tenant"), "{}", stderr(&unknown));
    assert!(!run(&data, &["tenant", "delete", "acme"]).status.success(), "not without --yes");
    assert!(run(&data, &["tenant", "delete", "acme", "--yes"]).status.success());
    assert!(run(&data, &["tenant", "list"]).stdout.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_drains_and_exits_with_success() {
    let dir = dir();
    let mut running = Running::start(&dir, |_| {});
    running.server.tenant("acme", Suite::Classical).await;
    let alice = Phone::join(&running.server, "acme", "alice").await;
    let mut line = alice.connect(&running.server).await;
    running.signal("TERM");
    assert_eq!(line.event().await, Event::Draining);
    assert_eq!(line.gone().await, Gone(Some(1012)));
    assert!(running.child.wait().unwrap().success());
    assert!(!dir.path().join("data/addresses.json").exists());
}

/// A data directory whose server keeps everything in PostgreSQL.
fn init_on_postgres(dir: &TempDir) -> Base {
    let base = Cluster::shared().base();
    let password = dir.path().join("password");
    fs::write(&password, format!("{}\n", base.cluster.password())).unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    let (url, ca) = (base.tls_url(SERVER, "localhost"), base.cluster.ca_file());
    let (password, ca) = (password.to_str().unwrap(), ca.to_str().unwrap());
    let arguments = ["init", "--postgres", &url, "--postgres-password-file", password, "--postgres-ca-file", ca];
    let owner = ["--postgres-migration-user", OWNER, "--postgres-migration-password-file", password];
    let made = run(&dir.path().join("data"), &[&arguments[..], &owner[..]].concat());
    assert!(made.status.success(), "{}", stderr(&made));
    base
}

#[test]
fn a_server_on_postgres_is_checked_and_says_what_is_wrong() {
    let dir = dir();
    let data = dir.path().join("data");
    let base = init_on_postgres(&dir);
    let output = |output: Output| String::from_utf8_lossy(&output.stdout).into_owned() + &stderr(&output);
    let unmade = output(run(&data, &["check"]));
    assert!(unmade.contains("has schema 0"), "{unmade}");
    let running = Running::start(&dir, |_| {});
    let checked = run(&data, &["check"]);
    assert!(checked.status.success(), "{}", output(checked));
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(log.contains(&format!("PostgreSQL, database {}", base.name)), "{log}");
    assert!(!log.contains(&base.cluster.password()));
    drop(running);
    let config = data.join("mifengd.toml");
    let text = fs::read_to_string(&config).unwrap();
    for (from, to, why) in [
        ("kind = \"postgres\"", "kind = \"oracle\"", "oracle"),
        ("migration_user", "migration_usr", "migration_usr"),
        ("kind = \"postgres\"", "kind = \"sqlite\"", "store.url"),
        ("mifeng_server@localhost", "mifeng_server:secret@localhost", "password does not belong"),
        ("mifeng_server@localhost", "mifeng_owner@localhost", "owns table"),
        ("mifeng_server@localhost", "mifeng_server@127.0.0.1", "certificate"),
    ] {
        fs::write(&config, text.replacen(from, to, 1)).unwrap();
        let wrong = run(&data, &["check"]);
        assert!(!wrong.status.success());
        let wrong = output(wrong);
        assert!(wrong.contains(why) && !wrong.contains("secret@"), "{to}: {wrong}");
    }
    fs::write(&config, text).unwrap();
    fs::set_permissions(dir.path().join("password"), fs::Permissions::from_mode(0o644)).unwrap();
    let open = output(run(&data, &["check"]));
    assert!(open.contains("may be read by others"), "{open}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigkill_in_the_middle_loses_nothing_that_was_answered() {
    sigkill_in_the_middle(dir()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigkill_in_the_middle_loses_nothing_that_was_answered_on_postgres() {
    let dir = dir();
    let base = init_on_postgres(&dir);
    sigkill_in_the_middle(dir).await;
    assert_eq!(base.sql("select count(*) from users").trim(), "2", "it was there that everything was kept");
}

async fn sigkill_in_the_middle(dir: Arc<TempDir>) {
    let mut running = Running::start(&dir, |_| {});
    running.server.tenant("acme", Suite::Classical).await;
    let mut pair = Pair::meet(&running.server, "acme").await;
    let sent: Vec<_> =
        (0..400_u32).map(|number| pair.alice.seal(pair.conversation, pair.group, &number.to_be_bytes())).collect();
    let mut answered = Vec::new();
    let mut begun = std::collections::VecDeque::new();
    let mut rest = sent.iter();
    loop {
        // As many as a client may have unanswered.
        while begun.len() < wire::limits::REQUESTS_IN_FLIGHT_MAX
            && let Some(send) = rest.next()
            && let Some(id) = pair.to_alice.try_begin(send).await
        {
            begun.push_back((id, send.message_id));
        }
        let Some((id, message_id)) = begun.pop_front() else { break };
        match pair.to_alice.answer::<Send>(id).await {
            Ok(answer) => answered.push((message_id, answer.unwrap())),
            Err(_) => break,
        }
        if answered.len() == 120 {
            running.child.kill().unwrap();
        }
    }
    running.child.wait().unwrap();
    assert!(answered.len() >= 120, "{}", answered.len());
    drop(running);
    let running = Running::start(&dir, |_| {});
    let mut to_bob = pair.bob.connect(&running.server).await;
    let fetched = to_bob.call(&Fetch { conversation: pair.conversation, after: 1, limit: 500 }).await.unwrap();
    for (message_id, at) in &answered {
        let entry = fetched.entries.iter().find(|entry| entry.seq == at.seq).unwrap();
        assert_eq!((entry.message_id, entry.at), (*message_id, at.at));
    }
    // What was not answered is sent again under its old id, and everything is there once, in order.
    let mut to_alice = pair.alice.connect(&running.server).await;
    for send in &sent[answered.len()..] {
        to_alice.call(send).await.unwrap();
    }
    let fetched = to_bob.call(&Fetch { conversation: pair.conversation, after: 1, limit: 500 }).await.unwrap();
    let ids: Vec<_> = fetched.entries.iter().map(|entry| entry.message_id).collect();
    assert!(ids == sent.iter().map(|send| send.message_id).collect::<Vec<_>>(), "{} of {}", ids.len(), sent.len());
}

/// The forms in which a canary would show.
fn forms(canary: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = canary.iter().map(|byte| format!("{byte:02x}")).collect();
    let decimal = format!("{canary:?}");
    let text = String::from_utf8_lossy(canary).into_owned();
    // Base64 looks different at each of three places; what it shares with its neighbours is left out.
    let base64 = (0..3).map(|before| {
        let encoded = base64(&[vec![0; before], canary.to_vec()].concat());
        encoded[if before == 0 { 0 } else { 4 }..].to_vec()
    });
    let mut forms: Vec<Vec<u8>> = base64.collect();
    forms.extend([
        canary.to_vec(),
        hex.clone().into(),
        hex.to_uppercase().into(),
        decimal.into(),
        text.escape_debug().to_string().into(),
    ]);
    forms
}

/// Whole groups of three bytes; what is left over at the end is left out.
fn base64(bytes: &[u8]) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letters = bytes.chunks_exact(3).flat_map(|group| {
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        [18, 12, 6, 0].map(|shift| LETTERS[(bits >> shift) as usize & 63])
    });
    letters.collect()
}

#[test]
fn c6_a_canary_is_found_wherever_its_base64_begins() {
    for before in 0..3 {
        let log = base64(&[&b"xyz"[..before], b"canary text", b"abc"].concat());
        let found = forms(b"canary text").iter().any(|form| log.windows(form.len()).any(|window| window == form));
        assert!(found, "{before}");
    }
    assert_eq!(base64(b"Mifeng"), b"TWlmZW5n");
}

#[tokio::test(flavor = "multi_thread")]
async fn c6_no_secret_is_in_the_log() {
    let dir = dir();
    let running = Running::start(&dir, |command| {
        command.env("MIFENG_LOG_LEVEL", "debug").env("MIFENG_LOG_FORMAT", "json");
    });
    running.server.tenant("canarytenant", Suite::Classical).await;
    let mut pair = Pair::meet(&running.server, "canarytenant").await;
    let invite = running.server.invite("canarytenant", 1, 60_000).await;
    let carol = Phone::join_by(&running.server, &invite, "canaryhandlecarol").await.unwrap();
    let text = b"canary text of a message";
    let sent = pair.alice.seal(pair.conversation, pair.group, text);
    pair.to_alice.call(&sent).await.unwrap();
    let found = pair.to_bob.call(&FindUser { handle: "canaryhandlecarol".into() }).await.unwrap();
    assert_eq!(found.user, carol.user);
    let _ = pair.to_bob.call(&FindUser { handle: "canaryhandlenobody".into() }).await.unwrap_err();
    let mut line = carol.connect(&running.server).await;
    let secret = carol.key_package(e2ee::KeyPackageUse::Once);
    line.call(&PublishKeyPackages { one_time: vec![secret.clone().into()], last_resort: None }).await.unwrap();
    let (mut person, greeting) = harness::line::Line::hello(&running.server, "canarytenant").await;
    carol.log_in(&mut person, "canaryhandlecarol", PASSWORD).await.unwrap();
    for broken in [vec![1, 2, 3], b"canary in a frame".to_vec()] {
        let mut line = harness::line::Line::connect(&running.server).await;
        line.raw(broken).await;
        line.gone().await;
    }
    let refused = person.call(&Sync {}).await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::Unauthenticated));
    running.signal("TERM");
    drop(line);
    let mut log = Vec::new();
    let mut running = running;
    running.child.wait().unwrap();
    fs::File::open(dir.path().join("log")).unwrap().read_to_end(&mut log).unwrap();
    let is_there =
        |canary: &[u8]| forms(canary).iter().any(|form| log.windows(form.len()).any(|window| window == form));
    assert!(is_there(b"canarytenant"), "the control: a tenant's name is public");
    let canaries: [&[u8]; 10] = [
        b"canaryhandle",
        b"canary text",
        b"canary in a frame",
        PASSWORD.as_bytes(),
        invite.code.as_bytes(),
        PASSPHRASE.as_bytes(),
        &greeting.challenge,
        &sent.payload[sent.payload.len() - 32..],
        &secret[secret.len() - 32..],
        b"BEGIN PRIVATE KEY",
    ];
    for canary in canaries {
        assert!(!is_there(canary), "{}", String::from_utf8_lossy(canary));
    }
}

#[test]
fn a_running_server_leaves_no_core() {
    let dir = dir();
    let running = Running::start(&dir, |_| {});
    let limits = fs::read_to_string(format!("/proc/{}/limits", running.child.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
}
