//! Hostile servers: they stand between the devices and the honest one, and change what passes.

use crate::dice::Dice;
use crate::world::Malice;
use std::collections::HashMap;

/// Flips bits, cuts, drops, repeats, holds back, and answers with what it said before. By chance, on both ways.
pub struct Random {
    dice: Dice,
    percent: u64,
    held: HashMap<usize, Vec<Vec<u8>>>,
    said: HashMap<usize, Vec<Vec<u8>>>,
    /// How many frames it has changed.
    pub changed: std::rc::Rc<std::cell::Cell<u64>>,
}

impl Random {
    /// One that changes so many frames of a hundred.
    pub fn new(seed: u64, percent: u64) -> Self {
        let dice = Dice::new(seed).apart(0xbad);
        Self { dice, percent, held: HashMap::new(), said: HashMap::new(), changed: std::rc::Rc::default() }
    }

    fn pass(&mut self, way: usize, frame: Vec<u8>) -> Vec<Vec<u8>> {
        let said = self.said.entry(way).or_default();
        said.push(frame.clone());
        if self.dice.below(100) >= self.percent {
            return vec![frame];
        }
        self.changed.set(self.changed.get() + 1);
        match self.dice.below(7) {
            0 => Vec::new(),
            1 => vec![frame.clone(), frame],
            2 => {
                self.held.entry(way).or_default().push(frame);
                Vec::new()
            }
            3 => {
                let mut late = self.held.remove(&way).unwrap_or_default();
                late.insert(0, frame);
                late
            }
            4 => {
                let before = self.dice.below(said.len() as u64) as usize;
                vec![said[before].clone(), frame]
            }
            5 => vec![frame[..self.dice.below(frame.len() as u64) as usize].to_vec()],
            _ => vec![self.bent(frame)],
        }
    }

    fn bent(&mut self, mut frame: Vec<u8>) -> Vec<u8> {
        for _ in 0..=self.dice.below(3) {
            let place = self.dice.below(frame.len() as u64) as usize;
            frame[place] ^= 1 << self.dice.below(8);
        }
        frame
    }
}

impl Malice for Random {
    fn up(&mut self, device: usize, frame: Vec<u8>) -> Vec<Vec<u8>> {
        self.pass(2 * device, frame)
    }

    fn down(&mut self, device: usize, frame: Vec<u8>) -> Vec<Vec<u8>> {
        self.pass(2 * device + 1, frame)
    }
}

/// Changes what a device is told, by a rule.
pub struct Rule<F>(pub F);

impl<F: FnMut(usize, &[u8]) -> Option<Vec<Vec<u8>>>> Malice for Rule<F> {
    fn down(&mut self, device: usize, frame: Vec<u8>) -> Vec<Vec<u8>> {
        self.0(device, &frame).unwrap_or_else(|| vec![frame])
    }
}
