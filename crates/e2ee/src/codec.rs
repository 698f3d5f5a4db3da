//! OpenMLS's state as bytes: self-describing CBOR, as OpenMLS asks for (`docs/decisions/0002-mls.md`).

use crate::StorageFailure;
use serde::{Serialize, de::DeserializeOwned};
use zeroize::{Zeroize, Zeroizing};

pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Zeroizing<Vec<u8>>, StorageFailure> {
    let mut sink = Sink(Zeroizing::new(Vec::with_capacity(1024)));
    value.serialize(&mut minicbor_serde::Serializer::new(&mut sink)).map_err(|_| StorageFailure::Encode)?;
    Ok(sink.0)
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StorageFailure> {
    minicbor_serde::from_slice(bytes).map_err(|_| StorageFailure::Damaged)
}

/// A growing buffer that wipes what it grows out of; a plain `Vec` would leave copies of the secrets behind.
struct Sink(Zeroizing<Vec<u8>>);

impl minicbor::encode::Write for Sink {
    type Error = std::convert::Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let mut grown = Vec::with_capacity(needed.next_power_of_two());
            grown.extend_from_slice(&self.0);
            std::mem::replace(&mut *self.0, grown).zeroize();
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn values_return_whatever_their_size() {
        for size in [0, 1, 23, 24, 1_000, 1_023, 1_024, 1_025, 70_000] {
            let value = BTreeMap::from([("bytes", vec![7_u8; size])]);
            let bytes = encode(&value).unwrap();
            assert_eq!(decode::<BTreeMap<String, Vec<u8>>>(&bytes).unwrap().get("bytes"), Some(&vec![7; size]));
        }
    }

    #[test]
    fn damaged_values_are_refused() {
        let bytes = encode(&vec![1_u32, 2, 3]).unwrap();
        for len in 0..bytes.len() {
            assert!(decode::<Vec<u32>>(&bytes[..len]).is_err(), "{len}");
        }
    }
}
