//! The server's view of an MLS group: the public tree, and whether a commit to it is valid.
