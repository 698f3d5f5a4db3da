//! The client's thin shell: sockets, timers, retry.
