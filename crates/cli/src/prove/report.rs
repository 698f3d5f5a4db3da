//! What was searched where, what was found, and whether that proves anything.

use super::search::Found;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Where a word of a user could lie on a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The database file.
    Database,
    /// Its write-ahead log.
    Wal,
    /// Pages of the database file that are free: what was deleted and not yet overwritten.
    FreePages,
    /// The folder of the files that people sent.
    Blobs,
    /// Everything that mifengd wrote to its standard output and error.
    Logs,
    /// What the internal listener tells about itself.
    Metrics,
    /// Everything that the server received and sent, after TLS.
    Traffic,
    /// The memory of the running process.
    Memory,
}

impl Place {
    /// Every place.
    pub(crate) const ALL: [Self; 8] = [
        Self::Database,
        Self::Wal,
        Self::FreePages,
        Self::Blobs,
        Self::Logs,
        Self::Metrics,
        Self::Traffic,
        Self::Memory,
    ];

    /// Its name for programs.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Wal => "wal",
            Self::FreePages => "free_pages",
            Self::Blobs => "blobs",
            Self::Logs => "logs",
            Self::Metrics => "metrics",
            Self::Traffic => "traffic",
            Self::Memory => "memory",
        }
    }

    /// Its name for people.
    const fn words(self) -> &'static str {
        match self {
            Self::Database => "database file",
            Self::Wal => "write-ahead log",
            Self::FreePages => "free pages",
            Self::Blobs => "files that people sent",
            Self::Logs => "logs",
            Self::Metrics => "metrics",
            Self::Traffic => "traffic after TLS",
            Self::Memory => "server's memory",
        }
    }
}

/// What searching one place gave.
#[derive(Debug)]
pub(crate) struct Result {
    pub(crate) place: Place,
    /// What was found, or why the place could not be searched.
    pub(crate) found: std::result::Result<Found, String>,
    /// More about what was searched.
    pub(crate) remark: String,
}

impl Result {
    /// Nothing is there that should not be, and what should be there is.
    fn proves(&self) -> bool {
        self.found.as_ref().is_ok_and(|found| found.canaries.is_empty() && found.controls > 0)
    }
}

/// The whole run.
#[derive(Debug)]
pub(crate) struct Report {
    /// One result per place.
    pub(crate) results: Vec<Result>,
    /// How many canaries were sent.
    pub(crate) canaries: usize,
    /// In how many encodings each was looked for.
    pub(crate) encodings: usize,
}

impl Report {
    /// Whether every place was searched, holds the control and no canary. Nothing sent, or nothing searched, proves nothing.
    pub(crate) fn is_proof(&self) -> bool {
        let all_places = Place::ALL.iter().all(|place| self.results.iter().any(|result| result.place == *place));
        self.canaries > 0 && self.encodings > 0 && all_places && self.results.iter().all(Result::proves)
    }

    /// The one object that ends `--json`.
    pub(crate) fn json(&self) -> Value {
        let places: Vec<Value> = self.results.iter().map(place_json).collect();
        json!({ "ok": self.is_proof(), "places": places, "canaries": self.canaries, "encodings": self.encodings })
    }

    /// The table for people.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{:<20} {:>14} {:>9} {:>9}\n", "place", "bytes searched", "canaries", "controls");
        for result in &self.results {
            let place = result.place.words();
            // Writing into a string cannot fail.
            let _ = match &result.found {
                Ok(found) => writeln!(
                    text,
                    "{place:<20} {:>14} {:>9} {:>9}  {}",
                    found.bytes,
                    found.canary_count(),
                    found.controls,
                    verdict(result)
                ),
                Err(why) => writeln!(text, "{place:<20} could not be searched: {why}"),
            };
        }
        let _ = write!(text, "{} canaries, each in {} encodings. ", self.canaries, self.encodings);
        text.push_str(if self.is_proof() {
            "None was found, and the control was found everywhere: the server held no plaintext."
        } else {
            "This run proves nothing: see above."
        });
        text
    }
}

fn verdict(result: &Result) -> String {
    match &result.found {
        Ok(found) if !found.canaries.is_empty() => {
            let list: Vec<String> = found.canaries.iter().map(|(_, role, form)| format!("{role} ({form})")).collect();
            format!("FOUND: {}", list.join(", "))
        }
        Ok(found) if found.controls == 0 => "the control is missing: the search would have found nothing".into(),
        Ok(_) => result.remark.clone(),
        Err(why) => why.clone(),
    }
}

fn place_json(result: &Result) -> Value {
    let place = result.place.as_str();
    match &result.found {
        Ok(found) => json!({
            "place": place,
            "bytes": found.bytes,
            "found": found.canary_count(),
            "control_found": found.controls > 0,
        }),
        Err(why) => json!({ "place": place, "bytes": 0, "found": 0, "control_found": false, "error": why }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn result(place: Place) -> Result {
        let found = Found { bytes: 10, canaries: BTreeSet::new(), controls: 1 };
        Result { place, found: Ok(found), remark: String::new() }
    }

    fn report() -> Report {
        Report { results: Place::ALL.map(result).into(), canaries: 9, encodings: 20 }
    }

    #[test]
    fn a_clean_run_is_a_proof() {
        let json = report().json();
        assert_eq!((&json["ok"], json["places"].as_array().unwrap().len()), (&Value::Bool(true), Place::ALL.len()));
        assert_eq!(json["places"][0], json!({"place": "database", "bytes": 10, "found": 0, "control_found": true}));
    }

    #[test]
    fn one_canary_one_missing_control_or_one_place_not_searched_is_no_proof() {
        for index in 0..Place::ALL.len() {
            let with = |change: &dyn Fn(&mut Result)| {
                let mut report = report();
                change(&mut report.results[index]);
                report.is_proof()
            };
            assert!(with(&|_| {}));
            assert!(!with(&|result| {
                result.found.as_mut().unwrap().canaries.insert((0, "message text", "hex"));
            }));
            assert!(!with(&|result| result.found.as_mut().unwrap().controls = 0));
            assert!(!with(&|result| result.found = Err("not root".into())));
            let mut missing = report();
            missing.results.remove(index);
            assert!(!missing.is_proof());
        }
        assert!(!Report { canaries: 0, ..report() }.is_proof());
    }

    #[test]
    fn what_was_found_is_said() {
        let mut report = report();
        report.results[3].found.as_mut().unwrap().canaries.insert((4, "password", "base64"));
        report.results[6].found = Err("root is needed".into());
        let text = report.text();
        assert!(text.contains("FOUND: password (base64)") && text.contains("root is needed"), "{text}");
        assert_eq!(report.json()["places"][3]["found"], 1);
        assert_eq!(report.json()["places"][6]["error"], "root is needed");
    }
}
