//! Typing and presence signals, sealed under a key that every member of an MLS epoch can derive
//! (`docs/decisions/0050-expiry-and-whispers.md`).
//!
//! All members hold the same key: a signal proves that *a* member sent it, and binds it to conversation, epoch and the device
//! that the server names, so that the server can neither read it nor pass it on as another device's.

use crate::Entropy;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use std::fmt;
use trust::registry::WHISPER;
use wire::{ConversationId, DeviceId};
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;
/// Every signal is as long as every other: its length says nothing.
const SIGNAL_BYTES: usize = 32;
const SEALED_BYTES: usize = 1 + NONCE_BYTES + SIGNAL_BYTES + 16;

/// A signal before it is sealed.
pub type Signal = [u8; SIGNAL_BYTES];

/// Where a signal belongs. It opens nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WhisperPlace {
    /// The conversation.
    pub conversation: ConversationId,
    /// The epoch whose key seals it.
    pub epoch: u64,
    /// The device that sends it.
    pub sender: DeviceId,
}

/// The key of one epoch.
pub struct WhisperKey(Zeroizing<[u8; 32]>);

impl WhisperKey {
    /// The key that the MLS exporter gave.
    pub const fn from_exporter(secret: Zeroizing<[u8; 32]>) -> Self {
        Self(secret)
    }

    /// Seals a signal: version, random nonce, AES-256-GCM.
    pub fn seal(&self, place: &WhisperPlace, signal: &Signal, entropy: &mut dyn Entropy) -> Vec<u8> {
        let nonce: [u8; NONCE_BYTES] = entropy.array();
        let payload = Payload { msg: signal, aad: &authenticated(place) };
        // The library refuses only what is longer than 64 GiB; nothing then is what is sent.
        let ciphertext = self.cipher().encrypt(&Nonce::from(nonce), payload).unwrap_or_default();
        [&[VERSION], nonce.as_slice(), &ciphertext].concat()
    }

    /// Opens a signal; `None` when it is not one of this key, this place and this version.
    pub fn open(&self, place: &WhisperPlace, sealed: &[u8]) -> Option<Signal> {
        if sealed.len() != SEALED_BYTES {
            return None;
        }
        let (version, rest) = sealed.split_first()?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>()?;
        if *version != VERSION {
            return None;
        }
        let payload = Payload { msg: ciphertext, aad: &authenticated(place) };
        self.cipher().decrypt(&Nonce::from(*nonce), payload).ok()?.try_into().ok()
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new((&*self.0).into())
    }
}

impl fmt::Debug for WhisperKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WhisperKey(..)")
    }
}

fn authenticated(place: &WhisperPlace) -> Vec<u8> {
    let WhisperPlace { conversation, epoch, sender } = place;
    [WHISPER.as_bytes(), b"\0", conversation.as_bytes(), &epoch.to_be_bytes(), sender.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counter(u8);

    impl Entropy for Counter {
        fn fill(&mut self, bytes: &mut [u8]) {
            self.0 += 1;
            bytes.fill(self.0);
        }
    }

    const PLACE: WhisperPlace = WhisperPlace {
        conversation: ConversationId::from_bytes([1; 16]),
        epoch: 7,
        sender: DeviceId::from_bytes([2; 16]),
    };

    fn key(byte: u8) -> WhisperKey {
        WhisperKey::from_exporter(Zeroizing::new([byte; 32]))
    }

    #[test]
    fn a_signal_opens_with_its_key_in_its_place_only() {
        let sealed = key(9).seal(&PLACE, &[5; 32], &mut Counter(0));
        assert_eq!(key(9).open(&PLACE, &sealed), Some([5; 32]));
        assert_eq!(key(8).open(&PLACE, &sealed), None);
        for place in [
            WhisperPlace { epoch: 8, ..PLACE },
            WhisperPlace { sender: DeviceId::from_bytes([3; 16]), ..PLACE },
            WhisperPlace { conversation: ConversationId::from_bytes([3; 16]), ..PLACE },
        ] {
            assert_eq!(key(9).open(&place, &sealed), None, "{place:?}");
        }
    }

    #[test]
    fn a14_every_bit_and_every_other_length_of_a_signal_counts() {
        let sealed = key(9).seal(&PLACE, &[5; 32], &mut Counter(0));
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key(9).open(&PLACE, &changed), None, "bit {bit}");
        }
        assert!((0..sealed.len()).all(|len| key(9).open(&PLACE, &sealed[..len]).is_none()));
        assert_eq!(key(9).open(&PLACE, &[sealed, vec![0]].concat()), None);
    }

    #[test]
    fn the_same_signal_is_never_the_same_bytes() {
        let mut entropy = Counter(0);
        let [one, other] = [0, 0].map(|_: u8| key(9).seal(&PLACE, &[5; 32], &mut entropy));
        assert_ne!(one, other);
    }

    #[test]
    fn the_form_is_pinned() {
        let sealed = key(9).seal(&PLACE, &[5; 32], &mut Counter(0));
        let hex: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "01010101010101010101010101bc75846016e2cd75144b5ac8e08a8516b9c0c1cfe0c578c5e9b60c9129c45dd7696889d9fd116880391e17d67c61fa6b"
        );
    }

    #[test]
    fn c6_debug_shows_no_whisper_key() {
        assert_eq!(format!("{:?}", key(9)), "WhisperKey(..)");
    }
}
