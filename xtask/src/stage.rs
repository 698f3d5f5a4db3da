//! Stages: a title, what they ran, how long they took and what they counted; a table at the end.

use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Tests that ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tests {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

/// One stage that is over.
struct Stage {
    title: &'static str,
    took: Duration,
    tests: Option<Tests>,
    /// What the stage counts besides tests, e.g. "74 files".
    remark: String,
    failure: Option<String>,
}

/// What a stage reports when its work is done.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) tests: Option<Tests>,
    pub(crate) remark: String,
    pub(crate) failure: Option<String>,
}

/// The stages so far.
#[derive(Default)]
pub(crate) struct Board {
    stages: Vec<Stage>,
}

impl Board {
    /// Runs a stage, whatever became of those before it, so that one push shows all that is wrong.
    pub(crate) fn stage(&mut self, title: &'static str, work: impl FnOnce() -> Result<Outcome>) {
        println!("\n{}", bold(&format!("== {title}")));
        let started = Instant::now();
        let outcome =
            work().unwrap_or_else(|error| Outcome { failure: Some(format!("{error:#}")), ..Outcome::default() });
        if let Some(failure) = &outcome.failure {
            println!("{}", red(&format!("{title}: {failure}")));
        }
        let Outcome { tests, remark, failure } = outcome;
        self.stages.push(Stage { title, took: started.elapsed(), tests, remark, failure });
    }

    /// Prints the table, and as the last line the plain sum. A stage that failed without a failing test counts as one
    /// failure. Returns whether everything passed.
    pub(crate) fn finish(&self) -> bool {
        println!("\n{:<28} {:>9} {:>8} {:>8}  result", "stage", "time", "passed", "failed");
        for stage in &self.stages {
            println!("{}", stage.row());
        }
        let took: Duration = self.stages.iter().map(|stage| stage.took).sum();
        println!("{:<28} {:>9}", "all", seconds(took));
        let (passed, failed) = self.sum();
        println!("{passed} passed, {failed} failed");
        failed == 0
    }

    fn sum(&self) -> (u64, u64) {
        self.stages.iter().fold((0, 0), |(passed, failed), stage| {
            let tests = stage.tests.unwrap_or_default();
            let without_test = u64::from(stage.failure.is_some() && tests.failed == 0);
            (passed + tests.passed, failed + tests.failed + without_test)
        })
    }
}

impl Stage {
    fn row(&self) -> String {
        let count = |of: fn(Tests) -> u64| self.tests.map_or_else(|| "-".to_owned(), |tests| of(tests).to_string());
        let result = match &self.failure {
            None => format!("{} {}", green("ok"), self.remark),
            Some(failure) => red(failure.lines().next().unwrap_or("failed")),
        };
        let (passed, failed) = (count(|t| t.passed), count(|t| t.failed));
        format!("{:<28} {:>9} {passed:>8} {failed:>8}  {result}", self.title, seconds(self.took))
    }
}

/// Runs a command, its output shown as it comes and handed to `each` line by line, without colours.
pub(crate) fn stream(command: &mut Command, mut each: impl FnMut(&str)) -> Result<()> {
    println!("$ {}", written(command));
    if std::io::stdout().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| written(command))?;
    let (sender, lines) = sync_channel(256);
    let readers: Vec<_> = [child.stdout.take().map(boxed), child.stderr.take().map(boxed)]
        .into_iter()
        .flatten()
        .map(|output| {
            thread::spawn({
                let sender = sender.clone();
                move || forward(output, &sender)
            })
        })
        .collect();
    drop(sender);
    for line in lines {
        println!("{line}");
        each(&without_colours(&line));
    }
    for reader in readers {
        let _ended = reader.join();
    }
    let status = child.wait()?;
    if status.success() { Ok(()) } else { bail!("{} failed ({status})", command.get_program().to_string_lossy()) }
}

fn boxed(output: impl Read + Send + 'static) -> Box<dyn Read + Send> {
    Box::new(output)
}

fn forward(output: Box<dyn Read + Send>, sender: &SyncSender<String>) {
    let mut reader = BufReader::new(output);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if sender.send(text).is_err() {
            return;
        }
        line.clear();
    }
}

/// Drops escape sequences (`ESC [ ... letter`).
fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(c);
        }
    }
    plain
}

/// The command as a person would type it.
pub(crate) fn written(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else if word.contains('\'') && !word.contains(['"', '$', '`', '\\', '!']) {
        format!("\"{word}\"")
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn bold(text: &str) -> String {
    paint("1", text)
}

fn red(text: &str) -> String {
    paint("31", text)
}

fn green(text: &str) -> String {
    paint("32", text)
}

/// Colours a text when it goes to a terminal.
pub(crate) fn paint(code: &str, text: &str) -> String {
    if std::io::stdout().is_terminal() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_that_fails_without_a_failing_test_still_counts() {
        let mut board = Board::default();
        board.stage("tests", || {
            Ok(Outcome {
                tests: Some(Tests { passed: 3, failed: 2 }),
                failure: Some("2 failed".into()),
                ..Outcome::default()
            })
        });
        board.stage("broken", || bail!("does not compile"));
        board.stage("fine", || Ok(Outcome::default()));
        assert_eq!(board.sum(), (3, 3));
        assert!(!board.finish());
    }

    #[test]
    fn both_streams_are_read_and_a_failure_is_one() {
        let mut lines = Vec::new();
        let script = "echo out; printf '\\033[32merr\\033[0m\\n' >&2; exit 3";
        let outcome = stream(Command::new("sh").args(["-c", script]), |line| lines.push(line.to_owned()));
        lines.sort();
        assert_eq!(lines, ["err", "out"]);
        assert!(outcome.is_err());
        assert!(stream(&mut Command::new("true"), |_| {}).is_ok());
    }

    #[test]
    fn commands_are_written_so_that_they_can_be_pasted() {
        assert_eq!(written(Command::new("echo").args(["a-b", "it's", ""])), "echo a-b \"it's\" ''");
        assert_eq!(written(Command::new("echo").args(["$it's", "a b"])), r"echo '$it'\''s' 'a b'");
    }
}
