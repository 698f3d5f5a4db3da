//! Draws decisions from the seed: mostly what is natural next, now and then what a person does, now and then what goes wrong.

use crate::decision::{Decision, Fault, Verb};
use crate::dice::Dice;
use crate::world::World;

/// A schedule goes on for at least so many decisions.
const EVENTS_MIN: u64 = 70;
/// And ends after so many, whatever is left to do.
const EVENTS_MAX: u64 = 600;

/// What a schedule is made of.
#[derive(Debug)]
pub struct Generator {
    dice: Dice,
    acts: u64,
    faults: u64,
    events: u64,
    /// Whether devices are put back to old copies in this schedule.
    time_travel: bool,
    /// Whether the server is backed up, and put back.
    backs_up: bool,
    /// After how many decisions the operator gives the tenant a stronger suite, if that is still to come.
    strengthens: Option<u64>,
    first: Vec<Decision>,
}

const VERBS: &[(u32, Verb)] = &[
    (50, Verb::Say),
    (5, Verb::Reply),
    (5, Verb::Edit),
    (3, Verb::Delete),
    (5, Verb::React),
    (6, Verb::Read),
    (2, Verb::Search),
    (4, Verb::Direct),
    (3, Verb::Group),
    (8, Verb::Add),
    (7, Verb::Remove),
    (5, Verb::Promote),
    (3, Verb::Demote),
    (4, Verb::Leave),
    (3, Verb::Rename),
    (2, Verb::Revoke),
];

impl Generator {
    /// A schedule of this seed, for so many devices.
    pub fn new(seed: u64, devices: usize, strengthens: bool, backs_up: bool) -> Self {
        let mut dice = Dice::new(seed).apart(0x6e6e);
        let (acts, faults) = (10 + dice.below(26), 3 + dice.below(6));
        let time_travel = dice.below(4) == 0 && !backs_up;
        // Not before there are groups that have to move.
        let strengthens = strengthens.then(|| 60 + dice.below(140));
        let someone = |dice: &mut Dice| dice.below(devices as u64) as usize;
        // Nothing happens among people who do not talk.
        let mut first = vec![Decision::Act(someone(&mut dice), Verb::Group, choice(&mut dice) | 3, 0)];
        if dice.below(2) == 0 {
            first.push(Decision::Act(someone(&mut dice), Verb::Direct, choice(&mut dice), 0));
        }
        Self { dice, acts, faults, events: 0, time_travel, backs_up, strengthens, first }
    }

    /// The next decision; `None` when the schedule is over.
    pub fn next(&mut self, world: &World) -> Option<Decision> {
        if let Some(first) = self.first.pop() {
            return Some(first);
        }
        let is_done = self.acts == 0 && self.faults == 0 && self.strengthens.is_none() && self.events >= EVENTS_MIN;
        if is_done || self.events >= EVENTS_MAX {
            return None;
        }
        if self.strengthens.is_some_and(|after| after <= self.events) {
            self.strengthens = None;
            return Some(Decision::Strengthen);
        }
        let mut natural = Vec::new();
        for number in 0..world.devices.len() {
            Self::natural(world, number, &mut natural);
        }
        natural.push((5, Decision::Pass(self.pause(world))));
        if self.acts > 0 {
            natural.push((10, self.act(world)));
        }
        if self.faults > 0 {
            natural.push((6, Decision::Fault(self.fault(world))));
        }
        if self.time_travel {
            natural.push((1, Decision::PutAside(self.someone(world))));
        }
        if self.backs_up {
            natural.push((1, Decision::Backup));
        }
        Some(self.dice.pick(&natural))
    }

    /// A decision was carried out.
    pub const fn happened(&mut self, decision: Decision) {
        self.events += 1;
        match decision {
            Decision::Act(..) => self.acts = self.acts.saturating_sub(1),
            Decision::Fault(_) => self.faults = self.faults.saturating_sub(1),
            _ => {}
        }
    }

    fn natural(world: &World, number: usize, list: &mut Vec<(u32, Decision)>) {
        let device = &world.devices[number];
        let at = device.now(world.now);
        let Some(client) = &device.client else {
            list.push((3, Decision::Start(number)));
            return;
        };
        if !device.is_linked() && !device.linking {
            list.push((2, Decision::Act(number, Verb::Link, 0, 0)));
        }
        if world.is_shown_a_code(number) {
            list.push((8, Decision::Carry(number)));
        }
        match &device.link {
            Some(link) => {
                if !link.up.is_empty() {
                    list.push((12, Decision::Up(number)));
                }
                if !link.down.is_empty() || link.line.is_none() {
                    list.push((12, Decision::Down(number)));
                }
                if client.poll_timeout().is_some_and(|due| due <= at) {
                    list.push((6, Decision::Tick(number)));
                }
            }
            None if client.wants_connection(at) => list.push((6, Decision::Connect(number))),
            None => {}
        }
    }

    fn someone(&mut self, world: &World) -> usize {
        self.dice.below(world.devices.len() as u64) as usize
    }

    fn act(&mut self, world: &World) -> Decision {
        let (device, verb) = (self.someone(world), self.dice.pick(VERBS));
        Decision::Act(device, verb, choice(&mut self.dice), choice(&mut self.dice))
    }

    /// Until the next timer, or a moment, or now and then a long while.
    fn pause(&mut self, world: &World) -> u64 {
        let due = world.devices.iter().filter_map(|device| device.client.as_ref()?.poll_timeout()).min();
        match self.dice.below(12) {
            0..=6 => due.map_or(500, |at| at.saturating_sub(world.now)).clamp(1, 60_000),
            7..=10 => 1 + self.dice.below(3_000),
            _ => 1 + self.dice.below(20 * 60_000),
        }
    }

    fn fault(&mut self, world: &World) -> Fault {
        let device = self.someone(world);
        let hours = self.dice.below(25) as i32 - 12;
        let faults = [
            (10, Fault::Cut(device)),
            (6, Fault::HalfOpen(device)),
            (5, Fault::LoseUp(device)),
            (8, Fault::LoseDown(device)),
            (5, Fault::RepeatUp(device)),
            (5, Fault::RepeatDown(device)),
            (3, Fault::SwapUp(device)),
            (6, Fault::SwapDown(device)),
            (6, Fault::Crash(device)),
            (6, Fault::CrashBefore(device)),
            (8, Fault::CrashAfter(device)),
            (3, Fault::CrashServer),
            (5, Fault::CrashServerAfter(device)),
            (if self.time_travel { 12 } else { 0 }, Fault::Restore(device)),
            (if self.backs_up { 16 } else { 0 }, Fault::RestoreServer),
            (3, Fault::Prune),
            (2, Fault::Skew(device, hours * 3_600_000)),
        ];
        self.dice.pick(&faults)
    }
}

fn choice(dice: &mut Dice) -> u16 {
    dice.roll() as u16
}
