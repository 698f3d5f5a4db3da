//! Envelope encryption: root, tenant key, data key; seal and open.
