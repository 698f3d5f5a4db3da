//! `mifeng chat` in a terminal of its own, with the real server: what a person sees and types.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use common::{Person, Server, wait};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A terminal with `mifeng chat` in it.
struct Screen {
    child: Child,
    keyboard: File,
    /// Kept open, so that the terminal's modes can be asked for after the end.
    inside: OwnedFd,
    shown: Arc<Mutex<vt100::Parser>>,
}

impl Screen {
    fn open(person: &Person, arguments: &[&str]) -> Self {
        let outside = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&outside).unwrap();
        unlockpt(&outside).unwrap();
        let path = ptsname(&outside, Vec::new()).unwrap().into_string().unwrap();
        let inside: OwnedFd = OpenOptions::new().read(true).write(true).open(path).unwrap().into();
        tcsetwinsize(&inside, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let end = || inside.try_clone().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_mifeng"));
        command.arg("--profile").arg(&person.profile).arg("chat").args(arguments);
        command.env("TERM", "xterm-256color").env_remove("NO_COLOR");
        command.env_remove("MIFENG_PASSPHRASE").env_remove("MIFENG_PASSPHRASE_FILE");
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let keyboard = File::from(outside);
        let shown = Arc::new(Mutex::new(vt100::Parser::new(24, 80, 0)));
        let (mut output, screen) = (keyboard.try_clone().unwrap(), Arc::clone(&shown));
        std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok(len @ 1..) = output.read(&mut bytes) {
                screen.lock().unwrap().process(&bytes[..len]);
            }
        });
        Self { child, keyboard, inside, shown }
    }

    fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    fn text(&self) -> String {
        self.shown.lock().unwrap().screen().contents()
    }

    #[track_caller]
    fn shows(&self, text: &str) {
        let start = std::time::Instant::now();
        while !self.text().contains(text) {
            assert!(start.elapsed() < Duration::from_secs(120), "no “{text}” in\n{}", self.text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(&self.inside).unwrap().local_modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// Waits for the end: the terminal is as it was before.
    #[track_caller]
    fn gives_back(mut self) -> ExitStatus {
        let status = wait("the program ends", || self.child.try_wait().unwrap());
        assert!(!self.is_raw(), "the terminal's modes are restored");
        wait("the first screen is back", || {
            let shown = self.shown.lock().unwrap();
            let screen = shown.screen();
            (!screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste()).then_some(())
        });
        status
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn people_talk_on_a_whole_screen_and_the_server_may_die_meanwhile() {
    let mut server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    bob.say("@alice", "hello from bob 你好");
    let mut screen = Screen::open(&alice, &[]);
    screen.shows("hello from bob 你好");
    screen.shows("● online");
    assert!(screen.is_raw() && screen.shown.lock().unwrap().screen().alternate_screen(), "the control");

    screen.types("hi **bob**\r");
    screen.shows("hi bob");
    screen.shows("hi bob ✓");
    assert_eq!(bob.texts(), ["hello from bob 你好", "hi **bob**"]);
    screen.shows("hi bob ✓✓");

    server.kill();
    screen.shows("○ offline");
    screen.types("written offline\r");
    screen.shows("written offline …");
    screen.shows("1 to send");
    server.serve();
    screen.shows("● online");
    screen.shows("written offline ✓");
    assert_eq!(bob.texts().last().unwrap(), "written offline");
    bob.say("@alice", "welcome back");
    screen.shows("welcome back");

    // Every key is shown when it comes, not with the next tick of the clock.
    let start = std::time::Instant::now();
    let word = "qwxzqwxzqwxz";
    for end in 1..=word.len() {
        screen.types(&word[end - 1..end]);
        screen.shows(&format!("❯ {}", &word[..end]));
    }
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    screen.types("\u{15}");

    screen.types("/timer 1d\r");
    screen.shows("alice set messages to disappear 1 day");
    screen.types("\u{11}");
    assert!(screen.gives_back().success());
    assert_eq!(alice.run(&["chats", "--offline"]).success()[0]["unread"], 0, "what was on the screen was read");
}

#[test]
fn who_is_typing_is_shown_and_sigterm_gives_the_terminal_back() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    alice.say("@bob", "first");
    bob.lines();
    let (mut one, other) = (Screen::open(&alice, &["@bob"]), Screen::open(&bob, &["@alice"]));
    one.shows("● online");
    other.shows("● online");
    one.types("a");
    other.shows("alice is typing…");
    one.types("nd so on\r");
    other.shows("and so on");
    assert!(!other.text().contains("is typing"), "{}", other.text());
    for screen in [one, other] {
        let id = screen.child.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &id]).status().unwrap().success());
        assert!(screen.gives_back().success());
    }
}

#[test]
fn c2_what_others_write_does_not_reach_the_terminal_as_it_is() {
    let server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    bob.say("@alice", "before\u{1b}]0;owned\u{7}\u{1b}[2J\u{1b}[?1049l after \u{202e}txet");
    let mut screen = Screen::open(&alice, &[]);
    screen.shows("after");
    let text = screen.text();
    assert!(text.contains("before") && !text.contains('\u{202e}'), "{text}");
    assert!(screen.shown.lock().unwrap().screen().alternate_screen(), "nobody else leaves the screen");
    screen.types("\u{11}");
    assert!(screen.gives_back().success());
    assert!(alice.texts()[0].contains("\u{1b}[2J"), "the control: scripts get it as it is, in JSON");
}

#[test]
fn chat_needs_a_terminal_and_a_profile() {
    let server = Server::start();
    let alice = server.joined("alice");
    let (status, error) = alice.run(&["chat"]).failure();
    assert_eq!((status, &error["kind"]), (2, &"usage".into()));
    assert!(error["hint"].as_str().unwrap().contains("tail --follow"));
}

#[test]
fn a_long_conversation_is_read_back_to_its_beginning() {
    // Each is made durable with an fsync, which on a busy disk takes its time.
    const LINES: usize = 70;
    let mut server = Server::start();
    let (alice, bob) = (server.joined("alice"), server.joined("bob"));
    alice.say("@bob", "the very first");
    bob.lines();
    server.kill();
    let mut screen = Screen::open(&alice, &["@bob"]);
    screen.shows("the very first");
    (1..=LINES).for_each(|number| screen.types(&format!("line-{number:03} here\r")));
    screen.shows(&format!("line-{LINES:03} here …"));
    // The screen is painted from above, so that for a moment it holds both.
    while screen.text().contains("the very first") {
        std::thread::sleep(Duration::from_millis(10));
    }
    let page_up = "\u{1b}[5~";
    let mut pages = 0;
    while !screen.text().contains("the very first") {
        screen.types(page_up);
        std::thread::sleep(Duration::from_millis(50));
        pages += 1;
        assert!(pages < 10 * LINES, "{}", screen.text());
    }
    assert!(pages > 1, "not on the first two screens: {}", screen.text());
    screen.types("\u{1b}[F");
    screen.shows(&format!("line-{LINES:03} here"));
    screen.types("/search line-037\r");
    screen.shows("1 found");
    screen.types("\r");
    screen.shows("line-036 here");
    screen.shows("line-038 here");
    screen.types("\u{11}");
    assert!(screen.gives_back().success());
    assert_eq!(alice.run(&["status"]).success()[0]["unsent"], LINES);
}
