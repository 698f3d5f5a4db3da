//! MLS groups: bytes in, effects out. The only client crate that names OpenMLS.
