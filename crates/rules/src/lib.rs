//! The server's decisions, pure: who may, in what order, to whom, for how long.
