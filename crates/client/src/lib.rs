//! The client's brain: sync, outbox, conversations; its SQLite. No socket, no clock.
