//! The keys as their users see them, with the checks of `trust` on the other side.

#![cfg(test)]

mod chain;
mod debug;
mod labels;
mod link;
mod password;

use mifeng_vault::Entropy;

/// Reproducible bytes: tests must not depend on luck. Not random, and not for anything else.
pub struct Seeded(pub u64);

impl Entropy for Seeded {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (self.0 >> 33) as u8;
        }
    }
}
