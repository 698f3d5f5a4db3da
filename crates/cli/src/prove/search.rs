//! Searches streams of bytes for many needles at once.

use super::canary::{Canary, encodings};
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::io::Read;

/// Bytes read at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// Knows every form of every canary, and the control.
pub(crate) struct Searcher {
    automaton: AhoCorasick,
    needles: Vec<Needle>,
    longest_bytes: usize,
}

/// What a pattern of the automaton means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Needle {
    Canary { role: &'static str, number: usize, encoding: &'static str },
    Control,
}

/// What was found so far, and how much was searched.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Bytes searched.
    pub(crate) bytes: u64,
    /// Canaries found: (number, role, encoding).
    pub(crate) canaries: BTreeSet<(usize, &'static str, &'static str)>,
    /// How often the control was found.
    pub(crate) controls: u64,
}

impl Found {
    /// How many different canaries were found.
    pub(crate) fn canary_count(&self) -> usize {
        self.canaries.iter().map(|(number, ..)| number).collect::<BTreeSet<_>>().len()
    }

    /// Adds what was found elsewhere.
    pub(crate) fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.canaries.extend(other.canaries);
        self.controls += other.controls;
    }
}

impl Searcher {
    /// A searcher for these canaries, and for the control as it is.
    pub(crate) fn new(canaries: &[Canary], control: &str) -> Result<Self> {
        let mut needles = vec![Needle::Control];
        let mut patterns = vec![control.as_bytes().to_vec()];
        for (number, canary) in canaries.iter().enumerate() {
            for (encoding, pattern) in encodings(&canary.text) {
                needles.push(Needle::Canary { role: canary.role, number, encoding });
                patterns.push(pattern);
            }
        }
        let longest_bytes = patterns.iter().map(Vec::len).max().unwrap_or_default();
        let automaton = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::DFA))
            .match_kind(MatchKind::Standard)
            .build(&patterns)
            .context("building the searcher")?;
        Ok(Self { automaton, needles, longest_bytes })
    }

    /// Searches everything that the reader gives, as one text: a needle across two reads is found.
    pub(crate) fn read(&self, mut reader: impl Read) -> Result<Found> {
        let mut found = Found::default();
        let mut buffer = vec![0; CHUNK_BYTES + self.longest_bytes];
        let mut kept = 0;
        loop {
            let space = buffer.get_mut(kept..).unwrap_or_default();
            let read = match reader.read(space) {
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("reading"),
            };
            if read == 0 {
                return Ok(found);
            }
            found.bytes += read as u64;
            let end = kept + read;
            self.search(buffer.get(..end).unwrap_or_default(), kept, &mut found);
            kept = end.min(self.longest_bytes);
            buffer.copy_within(end - kept..end, 0);
        }
    }

    /// Searches one text by itself.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Found {
        let mut found = Found { bytes: bytes.len() as u64, ..Found::default() };
        self.search(bytes, 0, &mut found);
        found
    }

    /// Notes what ends after the first `seen` bytes; what ends before was noted when they came.
    fn search(&self, bytes: &[u8], seen: usize, found: &mut Found) {
        for hit in self.automaton.find_overlapping_iter(bytes).filter(|hit| hit.end() > seen) {
            match self.needles.get(hit.pattern().as_usize()) {
                Some(Needle::Control) => found.controls += 1,
                Some(Needle::Canary { role, number, encoding }) => {
                    found.canaries.insert((*number, role, encoding));
                }
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTROL: &str = "control-in-the-clear";

    fn canaries() -> Vec<Canary> {
        vec![Canary::new("message text").unwrap(), Canary::new("password").unwrap()]
    }

    /// Gives its bytes in pieces of the sizes listed, over and over.
    struct Pieces<'a>(&'a [u8], Vec<usize>, usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let size = self.1[self.2 % self.1.len()].min(buffer.len()).min(self.0.len());
            self.2 += 1;
            let (now, later) = self.0.split_at(size);
            buffer[..size].copy_from_slice(now);
            self.0 = later;
            Ok(size)
        }
    }

    #[test]
    fn a_planted_canary_is_found_in_every_encoding_and_across_every_border() {
        let canaries = canaries();
        let searcher = Searcher::new(&canaries, CONTROL).unwrap();
        let mut planted = 0;
        for (number, canary) in canaries.iter().enumerate() {
            for (encoding, form) in encodings(&canary.text) {
                let text = [&[b'.'; 50], form.as_slice(), &[b'.'; 50]].concat();
                for pieces in [vec![1], vec![7], vec![50 + form.len() / 2, 1], vec![text.len()]] {
                    let found = searcher.read(Pieces(&text, pieces, 0)).unwrap();
                    assert!(found.canaries.contains(&(number, canary.role, encoding)), "{encoding}");
                    assert_eq!((found.canary_count(), found.bytes), (1, text.len() as u64));
                }
                planted += 1;
            }
        }
        assert!(planted >= 32);
    }

    #[test]
    fn a_canary_across_the_border_of_two_chunks_is_found_once_wherever_it_lies() {
        let canaries = canaries();
        let searcher = Searcher::new(&canaries, CONTROL).unwrap();
        let first_read = CHUNK_BYTES + searcher.longest_bytes;
        for offset in [0, 1, 13, CONTROL.len() - 1, CONTROL.len()] {
            let mut text = vec![b'.'; 3 * CHUNK_BYTES];
            let at = first_read - offset;
            text[at..at + CONTROL.len()].copy_from_slice(CONTROL.as_bytes());
            let secret = canaries[1].text.as_bytes();
            text[at + 2 * searcher.longest_bytes..][..secret.len()].copy_from_slice(secret);
            let found = searcher.read(text.as_slice()).unwrap();
            assert_eq!((found.controls, found.canary_count()), (1, 1), "offset {offset}");
        }
    }

    #[test]
    fn what_was_not_planted_is_not_found() {
        let searcher = Searcher::new(&canaries(), CONTROL).unwrap();
        let other = Canary::new("message text").unwrap();
        let text = encodings(&other.text).into_iter().flat_map(|(_, form)| form).collect::<Vec<u8>>();
        assert_eq!(searcher.bytes(&text), Found { bytes: text.len() as u64, ..Found::default() });
    }
}
