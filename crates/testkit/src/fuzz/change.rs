//! What an input says about bytes that are there already: how to change them.

use std::fmt::Debug;

/// The original with changes: each four bytes are a place, what to do there, and a byte to do it with. No changes, or
/// changes that undo each other, leave it as it is.
pub(super) fn changed(original: &[u8], changes: &[u8]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for change in changes.chunks_exact(4) {
        let place = usize::from(u16::from_be_bytes([change[0], change[1]])) % (bytes.len() + 1);
        match (change[2] % 5, bytes.get_mut(place)) {
            (0, _) => bytes.insert(place, change[3]),
            (1, Some(_)) => drop(bytes.remove(place)),
            (2, Some(_)) => bytes.truncate(place),
            (3, Some(byte)) => *byte = change[3],
            (_, Some(byte)) => *byte ^= change[3],
            (_, None) => {}
        }
    }
    bytes
}

/// Holds that what is sealed or signed is taken exactly if it is unchanged.
pub(super) fn taken_unchanged<T, E: Debug>(original: &[u8], bytes: &[u8], outcome: Result<T, E>) -> bool {
    match outcome {
        Ok(_) => assert_eq!(bytes, original, "changed, and taken"),
        Err(error) => assert_ne!(bytes, original, "unchanged, and refused: {error:?}"),
    }
    bytes == original
}
