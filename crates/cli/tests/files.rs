//! Files from one person's disk to another's, through a server that dies and a client that does.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Person, Server};
use image::ImageEncoder;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes that do not repeat soon.
fn bytes(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

fn file(server: &Server, name: &str, content: &[u8]) -> PathBuf {
    let path = server.folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn send(person: &Person, chat: &str, path: &Path) -> u64 {
    person.run(&["file", chat, path.to_str().unwrap()]).success()[0]["seq"].as_u64().unwrap()
}

fn save(person: &Person, chat: &str, seq: u64, to: &Path) -> Vec<u8> {
    let saved = person.run(&["save", chat, &format!("#{seq}"), to.to_str().unwrap()]).success().swap_remove(0);
    std::fs::read(saved["path"].as_str().unwrap()).unwrap()
}

/// All bytes below a folder.
fn everything(folder: &Path) -> Vec<u8> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    // What the server has just begun to write may have another name by now.
    let read = |path: PathBuf| std::fs::read(path).unwrap_or_default();
    paths.flat_map(|path| if path.is_dir() { everything(&path) } else { read(path) }).collect()
}

/// Bytes below a folder.
fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| if entry.path().is_dir() { size(&entry.path()) } else { entry.metadata().map_or(0, |m| m.len()) })
        .sum()
}

#[test]
fn files_arrive_byte_for_byte_and_the_server_has_none_of_them() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    let to = server.folder.path().join("saved");
    std::fs::create_dir(&to).unwrap();
    for (name, len) in [("empty.txt", 0), ("small.bin", 10), ("large.bin", 3_000_000)] {
        let content = bytes(len);
        let seq = send(&alice, "@bob", &file(&server, name, &content));
        assert_eq!(save(&bob, "@alice", seq, &to), content, "{name}");
        assert_eq!(save(&alice, "@bob", seq, &to), content, "who sent it has it");
    }
    let names: Vec<_> = bob.lines().iter().map(|line| line["file"]["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["empty.txt", "small.bin", "large.bin"]);
    assert_eq!(bob.run(&["search", "large"]).success().len(), 1, "a file is found by its name");
    let large = bytes(3_000_000);
    for folder in [server.folder.path().join("data/blobs"), bob.profile.clone(), alice.profile.clone()] {
        let stored = everything(&folder);
        assert!(stored.len() > 3_000_000);
        assert!(!stored.windows(32).any(|window| window == &large[1_000_000..1_000_032]), "{}", folder.display());
    }
}

#[test]
fn a_picture_arrives_without_what_it_told_about_itself() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    let mut told = Vec::new();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new(&mut told);
    encoder.set_exif_metadata(b"MM\0*\0\0\0\x08\0\0\0\0\0\0canary: 48.8584 N, 2.2945 E".to_vec()).unwrap();
    encoder.encode_image(&image::RgbImage::from_pixel(40, 30, image::Rgb([200, 0, 0]))).unwrap();
    let to = server.folder.path().join("saved");
    std::fs::create_dir(&to).unwrap();
    let path = file(&server, "holiday.jpg", &told);
    let says = |bytes: &[u8]| bytes.windows(6).any(|window| window == b"canary");
    let kept = alice.run(&["file", "@bob", path.to_str().unwrap(), "--as-it-is"]).success()[0]["seq"].as_u64().unwrap();
    assert!(says(&save(&bob, "@alice", kept, &to)), "the control: asked for, it goes as it is");
    let seq = send(&alice, "@bob", &path);
    assert!(!says(&save(&bob, "@alice", seq, &to)));
    let line = bob.lines().pop().unwrap();
    assert_eq!(
        (&line["file"]["media_type"], &line["file"]["pixels"]),
        (&"image/jpeg".into(), &serde_json::json!([40, 30]))
    );
}

#[test]
fn a_client_killed_while_it_sends_a_file_goes_on() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    alice.say("@bob", "first");
    let content = bytes(20_000_000);
    let path = file(&server, "large.bin", &content);
    let to = server.folder.path().join("saved");
    std::fs::create_dir(&to).unwrap();
    alice.run(&["file", "@bob", path.to_str().unwrap(), "--queue"]).success();
    // What was queued needs the file no more.
    std::fs::remove_file(&path).unwrap();
    let mut killed = 0;
    for step in 0..5_u64 {
        killed += u32::from(alice.killed(&["tail"], Duration::from_millis(60 + 90 * step)));
    }
    assert!(killed >= 2, "the fault fired only {killed} times");
    alice.say("@bob", "last");
    let seqs = alice.command().args(["send", "@bob", "after"]).output().unwrap();
    assert!(seqs.status.success());
    // A message waits for no file; the file is sent by whichever command stays long enough.
    let sent = common::wait("the file is sent", || {
        alice.run(&["file", "@bob", file(&server, "nudge", b"n").to_str().unwrap()]).success();
        let lines = alice.lines();
        lines.into_iter().find(|line| line["file"]["name"] == "large.bin" && line["state"] == "recorded")
    });
    let seq = sent["seq"].as_u64().unwrap();
    let fetching = ["save", "@alice", &format!("#{seq}"), to.to_str().unwrap()];
    let mut killed = 0;
    bob.lines();
    for step in 0..3_u64 {
        killed += u32::from(bob.killed(&fetching, Duration::from_millis(80 + 60 * step)));
    }
    assert!(killed >= 1, "the fault fired");
    assert_eq!(save(&bob, "@alice", seq, &to), content);
    let whole = std::fs::read_dir(&to).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
    assert!(whole.filter(|saved| *saved == content).count() >= 1);
    let names = bob.lines().into_iter().filter(|line| line["file"]["name"] == "large.bin").count();
    assert_eq!(names, 1, "it came once");
}

#[test]
fn a_server_killed_in_the_middle_of_a_file_loses_nothing_of_it() {
    let mut server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    alice.say("@bob", "first");
    let content = bytes(100_000_000);
    let path = file(&server, "large.bin", &content);
    let mut sending = alice
        .command()
        .args(["file", "@bob", path.to_str().unwrap()])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let blobs = server.folder.path().join("data/blobs");
    common::wait("parts are on the server's disk", || (size(&blobs) > 4_000_000).then_some(()));
    server.kill();
    assert!(sending.try_wait().unwrap().is_none(), "it was in the middle of it");
    server.serve();
    assert!(sending.wait().unwrap().success());
    let seq = bob.lines().pop().unwrap()["seq"].as_u64().unwrap();
    let to = server.folder.path().join("copy.bin");
    assert_eq!(save(&bob, "@alice", seq, &to), content);
}

#[test]
fn what_was_not_sent_is_taken_back_without_a_word() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    alice.say("@bob", "first");
    let path = file(&server, "secret.bin", &bytes(5_000_000));
    let queued = alice.run(&["file", "@bob", path.to_str().unwrap(), "--queue"]).success().swap_remove(0);
    alice.run(&["delete", "@bob", queued["message"].as_str().unwrap()]).success();
    alice.say("@bob", "last");
    assert_eq!(bob.texts(), ["first", "last"]);
    assert_eq!(alice.texts(), ["first", "last"]);
}

#[test]
fn what_cannot_be_is_said_clearly() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    alice.say("@bob", "no file");
    let (status, error) = alice.run(&["file", "@bob", "/nowhere/at/all"]).failure_text();
    assert!(status == 2 && error.contains("cannot read"), "{error}");
    let (status, error) = alice.run(&["file", "@bob", "/tmp"]).failure_text();
    assert!(status == 2 && error.contains("is not a file"), "{error}");
    let (status, error) = alice.run(&["save", "@bob", "#2"]).failure_text();
    assert!(status == 2 && error.contains("no file"), "{error}");
    let path = file(&server, "x.bin", b"content");
    let seq = send(&alice, "@bob", &path);
    let (status, error) = bob.run(&["save", "@alice", &format!("#{seq}"), path.to_str().unwrap()]).failure_text();
    assert!(status == 5 && error.contains("cannot write"), "what is there is not written over: {error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"content");
    alice.run(&["delete", "@bob", &format!("#{seq}")]).success();
    bob.lines();
    let (_, error) = bob.run(&["save", "@alice", &format!("#{seq}")]).failure_text();
    assert!(error.contains("no file"), "{error}");
}
