//! A world that comes to rest: everything is repaired, and goes on until nothing more happens.

use crate::device::Device;
use crate::world::World;
use client::ConversationState;
use std::collections::BTreeSet;

/// What is said without a pause comes to an end long before so many turns.
const TURNS_MAX: u32 = 4_000;
/// How far time is let go on at once while things settle.
const NEAR_MS: u64 = 15 * 60_000;

impl World {
    /// Everything is repaired, and goes on until nothing more happens: `false` when it does not come to rest.
    pub fn settle(&mut self, rounds: usize) -> bool {
        for number in 0..self.devices.len() {
            self.devices[number].skew_ms = 0;
            self.start(number);
        }
        for _ in 0..rounds {
            if !self.flow() {
                return false;
            }
            if self.unsettled().is_empty() {
                return true;
            }
            // A device that is nobody's, and is not about to be somebody's, has nothing to wait for.
            let waits = |device: &&Device| device.is_linked() || device.linking;
            let here = self.devices.iter().filter(waits).filter(|device| !self.oracle.is_revoked(device.id));
            let soon = here.filter_map(|device| device.client.as_ref()?.poll_timeout()).min();
            let wait = soon.map_or(1_000, |at| at.saturating_sub(self.now)).clamp(1, NEAR_MS);
            self.pass(wait);
        }
        false
    }

    /// Everything on its way arrives, until nothing is: `false` when that does not end.
    fn flow(&mut self) -> bool {
        let (mut moved, mut turns) = (true, 0);
        while std::mem::take(&mut moved) {
            turns += 1;
            if turns > TURNS_MAX {
                self.oracle.violated(format!("somebody asks for ever, without a pause: {:?}", self.asked));
                return false;
            }
            for number in 0..self.devices.len() {
                moved |= self.connect(number) | self.tick(number);
                moved |= self.up(number) | self.down(number) | self.carry(number);
            }
        }
        true
    }

    /// Who is not at rest, and why; empty when everybody is.
    pub fn unsettled(&self) -> String {
        let mut restless = BTreeSet::new();
        for (number, device) in self.devices.iter().enumerate() {
            let Some(client) = &device.client else { continue };
            if device.linking {
                restless.insert(format!("device {number} is not linked"));
            }
            if !device.is_linked() || self.oracle.is_revoked(device.id) {
                continue;
            }
            if !client.is_caught_up() {
                restless.insert(format!("device {number} has not caught up ({client:?})"));
            }
            let unsent = client.unsent().unwrap_or(u64::MAX);
            if unsent > 0 {
                restless.insert(format!("device {number} has {unsent} unsent"));
            }
            for here in client.standings().unwrap_or_default() {
                if !matches!(here.state, ConversationState::Active | ConversationState::Left) {
                    restless.insert(format!("device {number} is {:?} in {}", here.state, here.id));
                }
                if here.state == ConversationState::Active && self.oracle.is_weak(here.id) {
                    restless.insert(format!("{} has not moved to the tenant's suite", here.id));
                }
                if here.state == ConversationState::Active {
                    restless.extend(self.oracle.out_of_place(here.id));
                }
            }
        }
        restless.into_iter().collect::<Vec<_>>().join("; ")
    }

    /// Where every device stands, for whoever reads about a failure.
    pub fn describe(&mut self) -> String {
        let mut lines = Vec::new();
        for (number, device) in self.devices.iter_mut().enumerate() {
            let at = device.now(self.now);
            let Some(client) = device.client.as_mut() else { continue };
            let due = client.poll_timeout().map(|due| due.saturating_sub(at));
            lines.push(format!(
                "device {number} {} {client:?}, unsent {:?}, next in {due:?} ms",
                device.id,
                client.unsent()
            ));
            for event in &device.heard {
                lines.push(format!("    {event:?}").chars().take(230).collect());
            }
            for view in client.conversations().unwrap_or_default() {
                let position = client.position(view.id, at).ok().flatten();
                let place = position.map(|position| (position.generation, position.cursor, position.epoch));
                lines.push(format!("  {} {:?} {:?} at {place:?}", view.id, view.kind, view.state));
            }
        }
        for (id, log) in &self.oracle.logs {
            lines.push(format!("{id}"));
            for (seq, entry) in &log.entries {
                lines.push(format!(
                    "  {seq} {:?} epoch {:?} by {} ({})",
                    entry.kind,
                    log.era_of(*seq).map(|era| era.epoch),
                    entry.sender,
                    entry.order
                ));
            }
            for (since, era) in &log.eras {
                lines.push(format!("  since {since} epoch {}: {:?}", era.epoch, era.members));
            }
        }
        lines.join("\n")
    }
}
