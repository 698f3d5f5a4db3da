//! Randomness from aws-lc's generator, and the form in which OPAQUE wants it.

use aws_lc_rs::rand;
use opaque_ke::rand::{CryptoRng, Error, RngCore};

/// So many random bytes.
///
/// # Errors
/// [`NoRandomness`] when the generator fails; nothing secret may be made then.
pub fn bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// The system's generator failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the random number generator failed")]
pub struct NoRandomness;

/// The generator as OPAQUE takes it. Its trait cannot fail, so a failure is remembered: ask [`SystemRng::finish`].
#[derive(Default)]
pub(crate) struct SystemRng {
    failed: bool,
}

impl SystemRng {
    /// Whether everything that was asked for was random.
    pub(crate) fn finish(&self) -> Result<(), NoRandomness> {
        if self.failed { Err(NoRandomness) } else { Ok(()) }
    }
}

impl CryptoRng for SystemRng {}

impl RngCore for SystemRng {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.failed |= rand::fill(bytes).is_err();
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}
