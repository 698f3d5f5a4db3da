//! `[archive]`: what people have read, kept for their further devices: how much of it, and how long.

use super::ConfigError;
use rules::archive::Terms;
use serde::Deserialize;

/// What people have read, as their devices have sealed it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Archive {
    /// Bytes that one person's may take.
    pub user_bytes: u64,
    /// Days for which it is kept; 0: for as long as the account is.
    pub days: u16,
}

impl Archive {
    /// How much and how long.
    pub const fn terms(&self) -> Terms {
        Terms { user_bytes: self.user_bytes, days: self.days }
    }

    /// Checks what the types cannot say.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.user_bytes < wire::limits::SEGMENT_MAX_BYTES as u64 {
            return Err(ConfigError::Range { key: "archive.user_bytes", text: "must be at least 131072" });
        }
        Ok(())
    }
}

impl Default for Archive {
    fn default() -> Self {
        Self { user_bytes: 2 << 30, days: 0 }
    }
}
