//! Linking a further device, with the real programs.

use super::{Done, Person, Server, wait};
use serde_json::Value;
use std::fs::File;
use std::process::Child;

/// A `mifeng link` that waits to be confirmed.
pub struct Linking {
    pub child: Child,
    pub output: std::path::PathBuf,
}

/// What a device shows while it waits.
pub struct Shown {
    pub code: String,
    pub number: u64,
}

impl Linking {
    /// Starts it on a new profile; `old` is a device that the person has.
    pub fn begin(server: &Server, old: &Person, profile: &str) -> (Self, Person) {
        let new = Person { profile: server.folder.path().join(profile), handle: old.handle.clone() };
        (Self::on(old, &new), new)
    }

    pub fn on(old: &Person, new: &Person) -> Self {
        let line = old.run(&["devices", "link"]).success()[0]["line"].as_str().unwrap().to_owned();
        let output = new.profile.with_extension("link");
        let file = File::create(&output).unwrap();
        let errors = File::create(new.profile.with_extension("errors")).unwrap();
        let mut command = new.command();
        command.args(["link", &line, "--handle", &new.handle, "--name", "laptop"]).stdout(file).stderr(errors);
        Self { child: command.spawn().unwrap(), output }
    }

    pub fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.output).unwrap();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The code that it shows, and the number.
    pub fn shown(&self) -> Shown {
        wait("a link code", || {
            let line = self.lines().into_iter().rev().find(|line| line["code"].is_string())?;
            Some(Shown { code: line["code"].as_str()?.into(), number: line["number"].as_str()?.parse().ok()? })
        })
    }

    #[track_caller]
    pub fn end(mut self) {
        let status = wait("the link to end", || self.child.try_wait().unwrap());
        let errors = std::fs::read_to_string(self.output.with_extension("errors")).unwrap_or_default();
        assert!(status.success(), "{status} {:?} {errors}", self.lines());
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        assert!(!self.child.wait().unwrap().success(), "the fault fired");
    }
}

pub fn confirm(old: &Person, shown: &Shown) -> Done {
    old.run(&["devices", "confirm", &shown.code, "--number", &format!("{:06}", shown.number)])
}

impl Server {
    /// A further device of the person, linked.
    pub fn linked(&self, old: &Person, profile: &str) -> Person {
        let (linking, new) = Linking::begin(self, old, profile);
        confirm(old, &linking.shown()).success();
        linking.end();
        new
    }
}
