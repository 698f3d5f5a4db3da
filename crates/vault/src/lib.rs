//! Secret keys of a device: create, seal, use; zeroized, never serialised in the clear.
