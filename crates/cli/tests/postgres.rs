//! People talk through a server that keeps everything in PostgreSQL.

mod common;

#[path = "../../store/tests/common/cluster.rs"]
mod cluster;

use cluster::{Cluster, OWNER, SERVER};
use common::{Server, wait};
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_server_on_postgres_is_killed_and_its_database_restarted_and_people_go_on() {
    let base = Cluster::own(&[]).base();
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, base.cluster.password()).unwrap();
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
    let password = password.to_str().unwrap();
    let url = base.url(SERVER);
    let server = ["--postgres", &url, "--postgres-password-file", password];
    let owner = ["--postgres-migration-user", OWNER, "--postgres-migration-password-file", password];
    let mut server = Server::start_with(folder, &[server, owner].concat());
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    alice.say("@bob", "before");
    server.kill();
    server.serve();
    alice.say("@bob", "after the server was killed");
    let (sent, saved) = (server.folder.path().join("sent.bin"), server.folder.path().join("saved.bin"));
    std::fs::write(&sent, [7; 600_000]).unwrap();
    let file = alice.run(&["file", "@bob", sent.to_str().unwrap()]).success().swap_remove(0);
    bob.lines();
    bob.run(&["save", "@alice", file["message"].as_str().unwrap(), saved.to_str().unwrap()]).success();
    assert_eq!(std::fs::read(&saved).unwrap(), [7; 600_000]);
    base.cluster.stop("immediate");
    assert!(!alice.run(&["--timeout", "2", "send", "@bob", "meanwhile"]).is_success(), "the fault fired");
    base.cluster.start();
    wait("the server goes on", || alice.run(&["--timeout", "5", "send", "@bob", "after"]).is_success().then_some(()));
    let texts = bob.texts();
    assert_eq!(texts.first().unwrap(), "before");
    let meanwhile = texts.iter().filter(|text| *text == "meanwhile").count();
    assert_eq!(meanwhile, 1, "it waited in the outbox: {texts:?}");
    assert!(texts.contains(&"after the server was killed".to_owned()) && texts.last().unwrap() == "after", "{texts:?}");
    assert_eq!(texts, alice.texts());
    let canary = base.sql("select count(*) from log_entries where position('before'::bytea in payload) > 0");
    assert_eq!(canary.trim(), "0", "what was said is sealed there too");
    assert!(base.sql("select count(*) from log_entries").trim().parse::<u32>().unwrap() >= 4, "it is there");
}
