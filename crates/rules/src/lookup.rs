//! How many people may be looked up: enough for everybody whom somebody knows, too few to list who is there.

/// So many look-ups in a day, whether they find anybody or not. A user's devices share theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Of one user.
    pub user: u32,
    /// Of all users of a tenant together: accounts that are made for it do not help for long.
    pub tenant: u32,
}

/// The length of that day.
pub const WINDOW_MS: u64 = 24 * 3_600_000;
