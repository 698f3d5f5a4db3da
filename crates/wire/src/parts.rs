//! How a blob lies in parts: all of one length, but for the last.

use crate::limits::{BLOB_MAX_BYTES, BLOB_PART_BYTES};

/// The parts of a blob of so many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    bytes: u64,
}

impl Parts {
    /// Those of the largest blob.
    pub const LARGEST: Self = Self { bytes: BLOB_MAX_BYTES };

    /// Those of a blob of this size; `None` if it is empty or too large.
    pub const fn of(bytes: u64) -> Option<Self> {
        if bytes == 0 || bytes > BLOB_MAX_BYTES { None } else { Some(Self { bytes }) }
    }

    /// The size of all together.
    pub const fn bytes(self) -> u64 {
        self.bytes
    }

    /// How many there are, at least one.
    pub const fn count(self) -> u32 {
        // At most `BLOB_MAX_BYTES` divided by a part: some thousands.
        self.bytes.div_ceil(BLOB_PART_BYTES as u64) as u32
    }

    /// The length of one; `None` if there is no such part.
    pub fn len(self, part: u32) -> Option<usize> {
        let left = self.bytes.checked_sub(u64::from(part) * BLOB_PART_BYTES as u64)?;
        usize::try_from(left.min(BLOB_PART_BYTES as u64)).ok().filter(|len| *len > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PART: u64 = BLOB_PART_BYTES as u64;

    #[test]
    fn parts_make_up_the_whole() {
        for bytes in [1, PART - 1, PART, PART + 1, 7 * PART, 7 * PART + 9, BLOB_MAX_BYTES] {
            let parts = Parts::of(bytes).unwrap();
            let lens: Vec<_> = (0..parts.count()).map(|part| parts.len(part).unwrap()).collect();
            assert_eq!(lens.iter().map(|len| *len as u64).sum::<u64>(), bytes);
            assert!(lens.iter().rev().skip(1).all(|len| *len == BLOB_PART_BYTES));
            assert_eq!((parts.len(parts.count()), parts.len(u32::MAX)), (None, None));
        }
    }

    #[test]
    fn what_is_empty_or_too_large_has_no_parts() {
        assert_eq!((Parts::of(0), Parts::of(BLOB_MAX_BYTES + 1)), (None, None));
    }
}
