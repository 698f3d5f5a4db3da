//! The commitment that a message carries, so that a receiver can later prove to a moderator what it said.

use crate::Entropy;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A key that travels inside the message and opens the commitment outside of it.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct FrankingKey([u8; 32]);

impl FrankingKey {
    /// A new key for one message.
    pub fn generate(entropy: &mut dyn Entropy) -> Self {
        Self(entropy.array())
    }

    /// The key that came with a message.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key as it travels inside the message.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The commitment: HMAC-SHA-256 of the content under this key.
    pub fn commit(&self, content: &[u8]) -> [u8; 32] {
        self.mac(content).finalize().into_bytes().into()
    }

    /// Whether a commitment is to this content, compared in constant time.
    pub fn opens(&self, commitment: &[u8; 32], content: &[u8]) -> bool {
        self.mac(content).verify_slice(commitment).is_ok()
    }

    fn mac(&self, content: &[u8]) -> Hmac<Sha256> {
        // An array of the block size or less is a valid key by its type.
        let mut mac = Hmac::<Sha256>::new((&block(&self.0)).into());
        mac.update(content);
        mac
    }
}

/// The key padded with zeros to the hash's block, which is what HMAC does with a short key (RFC 2104).
pub(crate) fn block(key: &[u8; 32]) -> [u8; 64] {
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    block
}

impl fmt::Debug for FrankingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrankingKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231 §4.2 has a 20-byte key; padded with zeros to 32 bytes it is the same HMAC key.
    #[test]
    fn it_is_hmac_sha256() {
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        let hex: String = FrankingKey(key).commit(b"Hi There").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    }

    #[test]
    fn it_opens_only_its_own() {
        let key = FrankingKey([1; 32]);
        let commitment = key.commit(b"said");
        assert!(key.opens(&commitment, b"said"));
        assert!(!key.opens(&commitment, b"not said"));
        assert!(!FrankingKey([2; 32]).opens(&commitment, b"said"));
    }
}
