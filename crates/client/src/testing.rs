//! What the tests of this crate share.

use vault::Entropy;

/// Bytes that count up: never for keys outside of tests.
#[derive(Default)]
pub(crate) struct Counter(u64);

impl Entropy for Counter {
    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            self.0 += 1;
            chunk.copy_from_slice(&self.0.to_be_bytes()[8 - chunk.len()..]);
        }
    }
}
