//! The safety number of two people: what they read to each other to know that no key was put between them.

use crate::AccountPublicKey;
use sha2::{Digest, Sha512};
use wire::UserId;

/// Sixty decimal digits in twelve groups of five, the same for both sides. About 199 bits of a SHA-512 over both users'
/// ids and account keys.
pub fn safety_number(one: (UserId, AccountPublicKey), other: (UserId, AccountPublicKey)) -> String {
    let (low, high) = if one <= other { (one, other) } else { (other, one) };
    let mut hash = Sha512::new();
    hash.update(b"mifeng/v1 safety number\0");
    for (user, key) in [low, high] {
        hash.update(user.as_bytes());
        hash.update(key.as_bytes());
    }
    let digest = hash.finalize();
    let groups: Vec<String> = digest.chunks_exact(5).take(12).map(group).collect();
    groups.join(" ")
}

fn group(bytes: &[u8]) -> String {
    let number = bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{:05}", number % 100_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_see_the_same_and_another_key_shows() {
        let a = (UserId::from_bytes([1; 16]), AccountPublicKey::from_bytes([2; 32]));
        let b = (UserId::from_bytes([3; 16]), AccountPublicKey::from_bytes([4; 32]));
        let other = (b.0, AccountPublicKey::from_bytes([5; 32]));
        assert_eq!(safety_number(a, b), safety_number(b, a));
        assert_ne!(safety_number(a, b), safety_number(a, other));
        insta::assert_snapshot!(safety_number(a, b));
    }
}
