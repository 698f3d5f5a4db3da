//! Searches every place where a word could lie on the server.

use super::freelist::free_pages;
use super::memory;
use super::report::{Place, Result as PlaceResult};
use super::search::{Found, Searcher};
use crate::daemon::metrics;
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What there is to search, beside the process itself.
pub(super) struct Evidence {
    /// The database file. Its write-ahead log stands beside it.
    pub(super) database: PathBuf,
    /// The folder of the files that people sent.
    pub(super) blobs: PathBuf,
    /// Everything that the server printed.
    pub(super) log: PathBuf,
    /// The page of metrics, as it was answered.
    pub(super) metrics: Result<Vec<u8>>,
    /// The files of the tap's record.
    pub(super) traffic: Result<Vec<PathBuf>>,
}

impl Evidence {
    /// Searches the evidence, and the memory of the process that stands still.
    pub(super) fn search(&self, pid: u32, searcher: &Searcher) -> Vec<PlaceResult> {
        let mut results = vec![memory_of(pid, searcher)];
        results.extend(self.search_files(searcher));
        results
    }

    fn search_files(&self, searcher: &Searcher) -> Vec<PlaceResult> {
        let mut wal = self.database.clone().into_os_string();
        wal.push("-wal");
        vec![
            result(Place::Database, file(&self.database, searcher)),
            result(Place::Wal, file(Path::new(&wal), searcher)),
            result(Place::FreePages, free_pages_of(&self.database, searcher)),
            result(Place::Blobs, folder(&self.blobs, searcher)),
            result(Place::Logs, file(&self.log, searcher)),
            result(Place::Metrics, borrowed(&self.metrics).map(|page| searcher.bytes(page))),
            result(Place::Traffic, borrowed(&self.traffic).and_then(|files| all_of(files, searcher))),
        ]
    }
}

/// The page of metrics of a running server.
pub(super) async fn metrics_page(data: &Path, address: SocketAddr) -> Result<Vec<u8>> {
    metrics::fetch(data, address).await.context("fetching the metrics")
}

/// Lays the results of a later search over those of an earlier one: a place must be searched both times.
pub(super) fn merge(earlier: Vec<PlaceResult>, later: Vec<PlaceResult>) -> Vec<PlaceResult> {
    let mut earlier = earlier;
    let mut merged = Vec::new();
    for mut result in later {
        if let Some(index) = earlier.iter().position(|other| other.place == result.place) {
            result.found = match (earlier.swap_remove(index).found, result.found) {
                (Ok(mut found), Ok(more)) => {
                    found.add(more);
                    Ok(found)
                }
                (Err(why), _) | (_, Err(why)) => Err(why),
            };
        }
        merged.push(result);
    }
    merged.extend(earlier);
    merged.sort_by_key(|result| Place::ALL.iter().position(|place| *place == result.place));
    merged
}

fn memory_of(pid: u32, searcher: &Searcher) -> PlaceResult {
    match memory::search(pid, searcher) {
        Ok(searched) => PlaceResult { place: Place::Memory, found: Ok(searched.found), remark: searched.remark },
        Err(error) => result(Place::Memory, Err(error)),
    }
}

fn result(place: Place, found: Result<Found>) -> PlaceResult {
    PlaceResult { place, found: found.map_err(|error| format!("{error:#}")), remark: String::new() }
}

fn file(path: &Path, searcher: &Searcher) -> Result<Found> {
    let what = || format!("reading {}", path.display());
    searcher.read(File::open(path).with_context(what)?).with_context(what)
}

fn all_of(files: &[PathBuf], searcher: &Searcher) -> Result<Found> {
    let mut found = Found::default();
    for path in files {
        found.add(file(path, searcher)?);
    }
    Ok(found)
}

/// Everything in a folder and below it, and what it is called.
fn folder(path: &Path, searcher: &Searcher) -> Result<Found> {
    let mut found = Found::default();
    let entries = fs::read_dir(path).with_context(|| format!("reading {}", path.display()))?;
    for entry in entries {
        let path = entry?.path();
        found.add(searcher.bytes(path.file_name().unwrap_or_default().as_encoded_bytes()));
        found.add(if path.is_dir() { folder(&path, searcher)? } else { file(&path, searcher)? });
    }
    Ok(found)
}

fn free_pages_of(database: &Path, searcher: &Searcher) -> Result<Found> {
    let bytes = fs::read(database).with_context(|| format!("reading {}", database.display()))?;
    Ok(searcher.bytes(&free_pages(&bytes)?))
}

fn borrowed<T>(result: &Result<T>) -> Result<&T> {
    result.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use super::super::canary::{Canary, encodings};
    use super::super::report::Report;
    use super::*;

    const CONTROL: &str = "control-in-the-clear";

    /// A server's remains: control everywhere, and what is planted in the place named.
    struct Remains {
        folder: tempfile::TempDir,
        canary: Canary,
    }

    impl Remains {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().unwrap(), canary: Canary::new("message text").unwrap() }
        }

        fn searched(&self, planted: Option<(Place, &[u8])>) -> Report {
            let searcher = Searcher::new(std::slice::from_ref(&self.canary), CONTROL).unwrap();
            let in_place = |place: Place| {
                let plant = planted.filter(|(where_, _)| *where_ == place).map(|(_, bytes)| bytes).unwrap_or_default();
                [&[b'.'; 100], CONTROL.as_bytes(), b" ", plant].concat()
            };
            let path = |name: &str| self.folder.path().join(name);
            fs::write(path("db"), database(&in_place(Place::Database), &in_place(Place::FreePages))).unwrap();
            fs::write(path("db-wal"), in_place(Place::Wal)).unwrap();
            fs::create_dir_all(path("blobs/tenant/blob")).unwrap();
            fs::write(path("blobs/tenant/blob/00000000"), in_place(Place::Blobs)).unwrap();
            fs::write(path("log"), in_place(Place::Logs)).unwrap();
            fs::write(path("tap"), in_place(Place::Traffic)).unwrap();
            let evidence = Evidence {
                database: path("db"),
                blobs: path("blobs"),
                log: path("log"),
                metrics: Ok(in_place(Place::Metrics)),
                traffic: Ok(vec![path("tap")]),
            };
            let mut results = evidence.search_files(&searcher);
            let memory = searcher.bytes(&in_place(Place::Memory));
            results.push(result(Place::Memory, Ok(memory)));
            Report { results, canaries: 1, encodings: encodings(&self.canary.text).len() }
        }
    }

    /// Two pages: one in use, one free.
    fn database(used: &[u8], free: &[u8]) -> Vec<u8> {
        let mut file = vec![0; 8192];
        file[..16].copy_from_slice(b"SQLite format 3\0");
        file[16..18].copy_from_slice(&4096u16.to_be_bytes());
        file[32..36].copy_from_slice(&2u32.to_be_bytes());
        file[36..40].copy_from_slice(&1u32.to_be_bytes());
        file[200..200 + used.len()].copy_from_slice(used);
        file[4200..4200 + free.len()].copy_from_slice(free);
        file
    }

    #[test]
    fn clean_remains_prove_and_one_planted_canary_in_any_place_does_not() {
        let remains = Remains::new();
        assert!(remains.searched(None).is_proof(), "{}", remains.searched(None).text());
        for place in Place::ALL {
            for (encoding, form) in encodings(&remains.canary.text) {
                let report = remains.searched(Some((place, &form)));
                assert!(!report.is_proof(), "{encoding} in {place:?}");
                let caught = report.results.iter().find(|result| result.place == place).unwrap();
                assert_eq!(caught.found.as_ref().unwrap().canary_count(), 1, "{encoding} in {place:?}");
            }
        }
    }

    #[test]
    fn a_place_that_is_gone_is_no_proof() {
        let remains = Remains::new();
        remains.searched(None);
        let searcher = Searcher::new(std::slice::from_ref(&remains.canary), CONTROL).unwrap();
        let gone = Evidence {
            database: remains.folder.path().join("gone"),
            blobs: remains.folder.path().join("gone"),
            log: remains.folder.path().join("gone"),
            metrics: Err(anyhow::anyhow!("refused")),
            traffic: Err(anyhow::anyhow!("not whole")),
        };
        assert!(gone.search_files(&searcher).iter().all(|result| result.found.is_err()));
    }

    #[test]
    fn two_searches_add_up_and_a_failure_in_either_stays() {
        let one = |found: std::result::Result<u64, &str>| {
            let found = found.map(|controls| Found { bytes: 5, controls, ..Found::default() }).map_err(str::to_owned);
            vec![PlaceResult { place: Place::Wal, found, remark: String::new() }]
        };
        let merged = merge(one(Ok(1)), one(Ok(2)));
        assert_eq!(merged[0].found, Ok(Found { bytes: 10, controls: 3, ..Found::default() }));
        assert!(merge(one(Err("not root")), one(Ok(1)))[0].found.is_err());
        assert!(merge(one(Ok(1)), one(Err("not root")))[0].found.is_err());
    }
}
