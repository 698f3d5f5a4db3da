//! What is counted, so that nobody has to believe that something happened.

use crate::decision::{Fault, Verb};
use std::collections::BTreeMap;

/// Counts of one schedule or of many.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Schedules.
    pub schedules: u64,
    /// Of those, with the post-quantum suite.
    pub post_quantum: u64,
    /// Of those, with a hostile server.
    pub hostile: u64,
    /// Of those, in which the tenant was given a stronger suite.
    pub strengthened: u64,
    /// Decisions that were applied, of each schedule.
    pub events: Vec<u64>,
    /// Faults that had an effect, of each schedule.
    pub faults_each: Vec<u64>,
    /// Faults that had an effect, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// What people did, by verb.
    pub acts: BTreeMap<String, u64>,
    /// Application messages that the server accepted.
    pub messages: u64,
    /// Commits that the server accepted.
    pub commits: u64,
    /// Groups that took another one's place.
    pub successions: u64,
    /// Entries that a restored server has lost and got back.
    pub supplied: u64,
    /// Devices that were linked.
    pub linked: u64,
    /// Devices that were revoked.
    pub revoked: u64,
    /// Readings that the oracle expected and found.
    pub readings: u64,
    /// Readings by devices that came later, from the archive of their person.
    pub recalled: u64,
    /// Entries that could not be read because a device was put back to an old copy.
    pub excused: u64,
    /// Times that a device rejoined.
    pub repairs: u64,
}

impl Tally {
    /// A fault had an effect.
    pub fn fault(&mut self, fault: Fault) {
        *self.faults.entry(fault.kind()).or_default() += 1;
    }

    /// A person did something.
    pub fn act(&mut self, verb: Verb) {
        *self.acts.entry(format!("{verb:?}").to_lowercase()).or_default() += 1;
    }

    /// Faults in all.
    pub fn all_faults(&self) -> u64 {
        self.faults.values().sum()
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: Self) {
        self.schedules += other.schedules;
        self.post_quantum += other.post_quantum;
        self.hostile += other.hostile;
        self.strengthened += other.strengthened;
        self.events.extend(other.events);
        self.faults_each.extend(other.faults_each);
        self.messages += other.messages;
        self.commits += other.commits;
        self.supplied += other.supplied;
        self.linked += other.linked;
        self.revoked += other.revoked;
        self.successions += other.successions;
        self.readings += other.readings;
        self.recalled += other.recalled;
        self.excused += other.excused;
        self.repairs += other.repairs;
        other.faults.into_iter().for_each(|(kind, count)| *self.faults.entry(kind).or_default() += count);
        other.acts.into_iter().for_each(|(verb, count)| *self.acts.entry(verb).or_default() += count);
    }

    /// Least, middle and most of a list.
    pub fn spread(list: &[u64]) -> [u64; 3] {
        let mut sorted = list.to_vec();
        sorted.sort_unstable();
        let at = |place: usize| sorted.get(place).copied().unwrap_or_default();
        [at(0), at(sorted.len() / 2), at(sorted.len().saturating_sub(1))]
    }
}
