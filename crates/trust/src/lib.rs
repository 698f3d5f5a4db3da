//! Public keys only: account and device identities, the signatures over them, the group policy both sides check.
