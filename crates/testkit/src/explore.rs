//! Runs schedules: from a seed, or from a trace; and makes a trace that fails shorter.

use crate::check::{Checked, check};
use crate::decision::{Decision, Verb};
use crate::facts::Facts;
use crate::generator::Generator;
use crate::malice::Random;
use crate::tally::Tally;
use crate::template::{Shape, Template, scratch};
use crate::trace::Trace;
use crate::world::World;
use anyhow::Result;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Rounds of timers after which a world that does not come to rest is stuck.
pub const ROUNDS: usize = 1_500;

/// So much later a device has asked again what it may enter.
const ASKS_AGAIN_MS: u64 = 61_000;
/// So much later a device has archived what it has read.
const ARCHIVES_MS: u64 = 45_000;
/// Times that everybody scrolls back.
const RECALLS: usize = 2;

/// What came of a schedule.
pub struct Outcome {
    /// As it went.
    pub trace: Trace,
    /// What is not as it must be.
    pub violations: Vec<String>,
    /// What was counted.
    pub tally: Tally,
    /// Where everybody stood at the end.
    pub end: String,
}

/// Templates, founded when they are first asked for.
#[derive(Default)]
pub struct Templates(Mutex<HashMap<Shape, Arc<Template>>>);

impl Templates {
    /// The template of a shape.
    ///
    /// # Errors
    /// When it cannot be founded.
    pub fn of(&self, shape: Shape) -> Result<Arc<Template>> {
        let mut founded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(template) = founded.get(&shape) {
            return Ok(Arc::clone(template));
        }
        let template = Arc::new(Template::found(shape)?);
        founded.insert(shape, Arc::clone(&template));
        Ok(template)
    }
}

/// The shape of the world of a seed: from 2 to 5 people, in most worlds with two devices each; of 20 worlds one is
/// post-quantum.
pub const fn shape(seed: u64) -> Shape {
    let post_quantum = seed % 20 == 7;
    let (people, devices, spare) = match seed % 7 {
        _ if post_quantum => (3, 1, 0),
        0 => (3, 1, 0),
        1 => (4, 1, 0),
        2 => (5, 1, 0),
        3 => (2, 2, 0),
        4 | 5 => (3, 2, 0),
        // Linking is for people whose server lets them.
        _ if is_hostile(seed) => (4, 1, 0),
        _ => (3, 1, 2),
    };
    Shape { people, devices, post_quantum, spare }
}

/// In one world of ten the server is hostile, until the end.
pub const fn is_hostile(seed: u64) -> bool {
    seed % 10 == 3
}

/// In some of the worlds that begin with the classical suite, the tenant is given the post-quantum one.
pub const fn strengthens(seed: u64) -> bool {
    !shape(seed).post_quantum && seed % 8 == 5
}

/// In some of the honest worlds the server is put back to a backup.
pub const fn backs_up(seed: u64) -> bool {
    !is_hostile(seed) && !strengthens(seed) && seed % 4 == 2
}

/// Runs the schedule of a seed.
///
/// # Errors
/// When its world cannot be made.
pub fn explore(templates: &Templates, seed: u64) -> Result<Outcome> {
    let shape = shape(seed);
    let mut trace = Trace { about: String::new(), seed, shape, decisions: Vec::new() };
    run(templates, shape, seed, |world| {
        if is_hostile(seed) {
            world.beset(Some(Box::new(Random::new(seed, 6))));
        }
        let mut generator = Generator::new(seed, world.devices.len(), strengthens(seed), backs_up(seed));
        while let Some(decision) = generator.next(world) {
            trace.decisions.push(decision);
            if world.apply(decision) {
                generator.happened(decision);
                happened(world);
            } else {
                trace.decisions.pop();
            }
        }
    })
    .map(|(violations, tally, end)| Outcome { trace, violations, tally, end })
}

/// Runs a trace again.
///
/// # Errors
/// When its world cannot be made.
pub fn replay(templates: &Templates, trace: &Trace) -> Result<Outcome> {
    let (violations, tally, end) = run(templates, trace.shape, trace.seed, |world| {
        if is_hostile(trace.seed) {
            world.beset(Some(Box::new(Random::new(trace.seed, 6))));
        }
        for decision in &trace.decisions {
            if world.apply(*decision) {
                happened(world);
            }
        }
    })?;
    Ok(Outcome { trace: trace.clone(), violations, tally, end })
}

fn happened(world: &mut World) {
    if let Some(events) = world.tally.events.last_mut() {
        *events += 1;
    }
}

fn run(
    templates: &Templates,
    shape: Shape,
    seed: u64,
    drive: impl FnOnce(&mut World),
) -> Result<(Vec<String>, Tally, String)> {
    let template = templates.of(shape.founded())?;
    let folder = scratch()?;
    let mut world = template.world(folder.path(), seed, shape.spare)?;
    world.tally.events.push(0);
    world.tally.post_quantum = u64::from(shape.post_quantum);
    world.tally.hostile = u64::from(is_hostile(seed));
    let ended = catch_unwind(AssertUnwindSafe(|| {
        drive(&mut world);
        world.tally.faults_each.push(world.tally.all_faults());
        finish(&mut world)
    }));
    let checked = ended.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Ok(Checked { violations: vec![format!("panic: {}", said.unwrap_or_default())], ..Checked::default() })
    })?;
    world.tally.readings = checked.readings;
    world.tally.recalled = checked.recalled;
    world.tally.excused = checked.excused;
    let end = if checked.violations.is_empty() { String::new() } else { world.describe() };
    Ok((checked.violations, std::mem::take(&mut world.tally), end))
}

/// Heals the world, lets everybody be heard once more, and checks.
///
/// # Errors
/// When a database fails.
pub fn finish(world: &mut World) -> Result<Checked> {
    let was_hostile = world.malice.is_some();
    world.beset(None);
    if !world.settle(ROUNDS) {
        let restless = world.unsettled();
        world.oracle.violated(format!("stuck: {restless}"));
    }
    if world.oracle.logs.values().any(|log| log.put_back.is_some()) {
        // Whom the restored server does not know in a conversation asks again, after a minute, where their other devices are.
        world.pass(ASKS_AGAIN_MS);
        world.settle(ROUNDS);
    }
    if was_hostile {
        // What was mangled is repaired now: from here on, everything is to be read.
        world.beset(None);
    }
    everybody_speaks(world);
    if was_hostile && world.settle(ROUNDS) {
        // What somebody says next shows what was kept back before.
        everybody_speaks(world);
    }
    if !world.settle(ROUNDS) {
        let restless = world.unsettled();
        world.oracle.violated(format!("stuck after everybody spoke: {restless}"));
    }
    recall(world);
    for number in 0..world.devices.len() {
        world.look(number);
    }
    let facts = Facts::of(world)?;
    Ok(check(&world.oracle, &facts))
}

/// Everybody archives what they have read, and then fetches what others of their devices have archived.
fn recall(world: &mut World) {
    world.pass(ARCHIVES_MS);
    world.settle(ROUNDS);
    for _ in 0..RECALLS {
        let now = world.now;
        for device in &mut world.devices {
            let Some(client) = device.client.as_mut() else { continue };
            for standing in client.standings().unwrap_or_default() {
                if client.has_earlier_history(standing.id).unwrap_or_default() {
                    // What it has to say of it is asked for, as everything else is, when its time has come.
                    let _ = client.fetch_history(standing.id, now);
                }
            }
        }
        world.settle(ROUNDS);
    }
}

/// In every conversation that goes on, every member says something.
fn everybody_speaks(world: &mut World) {
    for device in 0..world.devices.len() {
        if world.oracle.is_revoked(world.devices[device].id) {
            continue;
        }
        let Some(client) = &world.devices[device].client else { continue };
        let open = client.standings().into_iter().flatten().filter(|standing| {
            standing.state == client::ConversationState::Active && !client.is_own_group(standing.id)
        });
        let open = open.count();
        for place in 0..open {
            world.act(device, Verb::Say, u16::try_from(place).unwrap_or_default(), 0);
        }
    }
}

/// A trace that still fails, with as few decisions as can be found in the time.
///
/// # Errors
/// When a world cannot be made.
pub fn shrink(templates: &Templates, trace: &Trace, time: Duration) -> Result<Trace> {
    let until = Instant::now() + time;
    let mut shortest = trace.clone();
    let mut part = shortest.decisions.len() / 2;
    while part > 0 && Instant::now() < until {
        let mut at = 0;
        while at < shortest.decisions.len() && Instant::now() < until {
            let kept = |(place, decision): (usize, &Decision)| (!(at..at + part).contains(&place)).then_some(*decision);
            let decisions = shortest.decisions.iter().enumerate().filter_map(kept).collect();
            let shorter = Trace { decisions, ..shortest.clone() };
            if replay(templates, &shorter)?.violations.iter().any(|found| kind(found) == kind(&trace.about)) {
                shortest = shorter;
            } else {
                at += part;
            }
        }
        part /= 2;
    }
    Ok(shortest)
}

/// What a violation says, without the names of those whom it concerns.
fn kind(violation: &str) -> String {
    let plain = |word: &&str| !word.contains(|letter: char| letter.is_ascii_digit());
    violation.split_whitespace().filter(plain).collect()
}
