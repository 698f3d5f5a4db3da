//! Everything that sees bytes from outside, over the corpus that the fuzzer has gathered (`docs/security/fuzzing.md`).

#![cfg(test)]

use mifeng_testkit::fuzz::{Entrance, TARGETS, Target};
use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
}

/// The inputs of a target, by the names of their files.
fn inputs(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = fs::read_dir(corpus().join(target.name)).unwrap();
    let mut inputs: Vec<_> = folder
        .map(|file| file.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap()))
        .collect();
    inputs.sort();
    inputs
}

/// What came of a replay: the inputs that were taken, and those that broke something.
#[derive(Default)]
struct Replay {
    taken: usize,
    broken: Vec<String>,
}

fn replay(target: &Target, inputs: &[(String, Vec<u8>)]) -> Replay {
    let mut replay = Replay::default();
    for (name, input) in inputs {
        match catch_unwind(AssertUnwindSafe(|| target.run(input))) {
            Ok(taken) => replay.taken += usize::from(taken),
            Err(_) => replay.broken.push(format!("fuzz/corpus/{}/{name}", target.name)),
        }
    }
    replay
}

#[test]
fn a18_nothing_in_the_corpus_breaks_a_promise() {
    for target in TARGETS {
        let inputs = inputs(target);
        let Replay { taken, broken } = replay(target, &inputs);
        assert!(broken.is_empty(), "{broken:#?}");
        assert!(
            taken > 0,
            "none of {} inputs for {} is taken: it does not get past the door",
            inputs.len(),
            target.name
        );
    }
}

#[test]
fn a18_every_entrance_takes_what_is_real() {
    for target in TARGETS {
        for (place, entrance) in (0..).zip(target.entrances) {
            let seeds = (entrance.seeds)();
            assert!(!seeds.is_empty(), "{} of {} has no seed", entrance.name, target.name);
            for seed in seeds {
                assert!((entrance.run)(&seed), "{} of {} refuses {seed:02x?}", entrance.name, target.name);
                let input = [&[place], seed.as_slice()].concat();
                assert!(target.run(&input), "{} of {} is not where its inputs lead", entrance.name, target.name);
            }
        }
    }
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    let folders = fs::read_dir(corpus()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names = TARGETS.iter().map(|target| target.name.to_owned());
    assert_eq!(folders.collect::<BTreeSet<_>>(), names.collect::<BTreeSet<_>>());
    for target in TARGETS {
        let inputs = inputs(target);
        let bytes: usize = inputs.iter().map(|(_, input)| input.len()).sum();
        assert!(
            (1..=200).contains(&inputs.len()) && bytes <= 1 << 20,
            "{}: {} files, {bytes} bytes",
            target.name,
            inputs.len()
        );
    }
}

/// The control: a replay notices what panics and what breaks a promise, and does not call everything taken.
#[test]
fn a18_a_parser_that_panics_or_lies_is_noticed() {
    fn seeds() -> Vec<Vec<u8>> {
        Vec::new()
    }
    /// Trusts a length that stands in the input.
    fn trusts_a_length(bytes: &[u8]) -> bool {
        bytes.first().is_some_and(|len| !bytes[1..=usize::from(*len)].is_empty())
    }
    /// Takes a number with leading zeros, and writes it without.
    fn does_not_return(bytes: &[u8]) -> bool {
        let number = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<u8>().ok());
        assert!(number.is_none_or(|number| number.to_string().as_bytes() == bytes));
        number.is_some()
    }
    const BROKEN: &[Entrance] = &[
        Entrance { name: "trusts_a_length", run: trusts_a_length, seeds },
        Entrance { name: "does_not_return", run: does_not_return, seeds },
    ];
    let target = Target { name: "broken", entrances: BROKEN };
    let input = |name: &str, bytes: &[u8]| (name.to_owned(), bytes.to_vec());
    let inputs = [
        input("whole", b"\x00\x02ab"),
        input("cut", b"\x00\x03ab"),
        input("plain", b"\x0142"),
        input("padded", b"\x01042"),
        input("words", b"\x01no"),
        input("empty", b""),
    ];
    let Replay { taken, broken } = replay(&target, &inputs);
    assert_eq!((taken, broken), (2, vec!["fuzz/corpus/broken/cut".to_owned(), "fuzz/corpus/broken/padded".to_owned()]));
}
