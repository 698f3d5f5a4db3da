//! The stage of the demo: a folder of its own, the commands that people type, and what they see.

use crate::stage::{paint, written};
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

/// Who acts, with a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Actor {
    Operator,
    Alice,
    Laptop,
    Bob,
    Carol,
    Anyone,
}

impl Actor {
    /// The name, as wide as all others.
    const fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Alice => "alice   ",
            Self::Laptop => "laptop  ",
            Self::Bob => "bob     ",
            Self::Carol => "carol   ",
            Self::Anyone => "anyone  ",
        }
    }

    const fn colour(self) -> &'static str {
        match self {
            Self::Operator => "33",
            Self::Alice => "32",
            Self::Laptop => "92",
            Self::Bob => "36",
            Self::Carol => "34",
            Self::Anyone => "35",
        }
    }

    fn label(self) -> String {
        paint(self.colour(), self.name())
    }
}

/// Where the demo plays.
pub(super) struct Scene {
    /// Removed at the end of `--exit`, left to the person otherwise.
    pub(super) folder: PathBuf,
    programs: PathBuf,
}

impl Scene {
    /// A new folder, and the folder of our programs.
    pub(super) fn new(programs: PathBuf) -> Result<Self> {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        let folder = std::env::temp_dir().join(format!("mifeng-demo-{}-{}", std::process::id(), since.as_secs()));
        fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self { folder, programs })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// `mifengd` with arguments, on this demo's data directory.
    pub(super) fn mifengd(&self, arguments: &[&str]) -> Command {
        let mut command = self.program("mifengd");
        command.args(arguments).arg("--data").arg(self.path("server"));
        command
    }

    /// `mifeng` for a person.
    pub(super) fn mifeng(&self, person: &str, arguments: &[&str]) -> Command {
        let mut command = self.program("mifeng");
        command.arg("--profile").arg(self.path(person)).args(arguments);
        command
    }

    /// One of our programs, without the caller's own settings.
    pub(super) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        for (variable, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MIFENG")) {
            command.env_remove(variable);
        }
        command
    }

    /// Shows a command and runs it; what it prints is shown as it comes, and returned.
    pub(super) fn run(&self, actor: Actor, command: &mut Command) -> Result<String> {
        let (status, text) = self.try_run(actor, command)?;
        if status.success() { Ok(text) } else { bail!("`{}` ended with {status}", written(command)) }
    }

    /// The same for a command that may fail.
    pub(super) fn try_run(&self, actor: Actor, command: &mut Command) -> Result<(ExitStatus, String)> {
        println!("{} {} {}", actor.label(), paint("1", "$"), paint("1", &self.shown(command)));
        let (reader, writer) = std::io::pipe()?;
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let mut child = command.spawn().with_context(|| written(command))?;
        // The command holds the pipe's other end: as long as it does, the lines have no end.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut text = String::new();
        for line in BufReader::new(reader).lines() {
            let line = line?;
            println!("{} {} {line}", actor.label(), paint("2", "│"));
            text.push_str(&line);
            text.push('\n');
        }
        Ok((child.wait()?, text))
    }

    /// Shows a command and starts it; what it prints is not shown.
    pub(super) fn background(&self, actor: Actor, command: &mut Command) -> Result<Child> {
        println!("{} {} {}", actor.label(), paint("1", "$"), paint("1", &format!("{} &", self.shown(command))));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().with_context(|| written(command))
    }

    /// The same; what it prints goes to a file.
    pub(super) fn background_into(&self, actor: Actor, command: &mut Command, path: &Path) -> Result<Child> {
        println!("{} {} {}", actor.label(), paint("1", "$"), paint("1", &format!("{} &", self.shown(command))));
        let file = fs::File::create(path).with_context(|| path.display().to_string())?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        command.spawn().with_context(|| written(command))
    }

    /// Shows what somebody reads.
    pub(super) fn show(actor: Actor, text: &str) {
        text.lines().for_each(|line| println!("{} {} {line}", actor.label(), paint("2", "│")));
    }

    /// Runs a command without showing it; what it printed on standard output.
    pub(super) fn must(&self, command: &mut Command) -> Result<String> {
        let output: Output = command.stdin(Stdio::null()).output().with_context(|| written(command))?;
        if !output.status.success() {
            bail!("`{}` failed: {}", written(command), String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// As it is typed by somebody who stands in the demo's folder, with our programs on the path.
    fn shown(&self, command: &Command) -> String {
        let text = written(command);
        let text = text.replace(&format!("{}/", self.programs.display()), "");
        text.replace(&format!("{}/", self.folder.display()), "")
    }
}

/// A headline of the story.
pub(super) fn headline(text: &str) {
    println!("\n{}", paint("1;4", text));
}

/// A remark of the narrator.
pub(super) fn remark(text: &str) {
    println!("{}", paint("2", text));
}

/// Writes a file that only its owner may read.
pub(super) fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}
