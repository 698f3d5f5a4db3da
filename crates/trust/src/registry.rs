//! Code points and labels that are ours, in one list. A number is never reused.

/// MLS extension in the GroupContext that holds the [`crate::GroupPolicy`] (private use range, RFC 9420 §17.3).
pub const GROUP_POLICY_EXTENSION: u16 = 0xf4d1;

/// Hybrid post-quantum suite (X-Wing, AES-256-GCM, SHA-384, Ed25519; draft-ietf-mls-pq-ciphersuites-05), the default.
pub const SUITE_XWING: u16 = 0x004e;
/// `MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519` (RFC 9420 §17.1), by tenant policy.
pub const SUITE_CLASSICAL: u16 = 0x0001;
/// The suites that Mifeng speaks; every other is refused.
pub const SUITES: &[u16] = &[SUITE_XWING, SUITE_CLASSICAL];

/// Whether a suite of ours is at least as strong as another one. They stand in [`SUITES`] from the strongest on.
pub fn is_as_strong(suite: u16, than: u16) -> bool {
    let place = |code: u16| SUITES.iter().position(|known| *known == code);
    place(suite).is_some_and(|strength| place(than).is_none_or(|other| strength <= other))
}

/// MLS exporter label of the keys that seal typing and presence.
pub const EPHEMERAL_EXPORTER: &str = "mifeng/v1 ephemeral";
/// Begins what a typing or presence signal authenticates (`docs/decisions/0050-expiry-and-whispers.md`).
pub const WHISPER: &str = "mifeng/v1 whisper";
/// Begins what a sealed row of a device's database authenticates (`docs/decisions/0090-erasable-rows.md`).
pub const ROW: &str = "mifeng/v1 row";
/// What every part of a sealed file authenticates (`docs/decisions/0100-files.md`).
pub const FILE: &str = "mifeng/v1 file";
/// Begins what the digest of a sealed file is made of.
pub const FILE_DIGEST: &str = "mifeng/v1 file digest";

/// What the id of the group of a person's own devices is derived for (`docs/decisions/0110-archive.md`).
pub const OWN_GROUP: &str = "mifeng/v1 own group";
/// Begins what the sealed key of a day of an archive authenticates (`docs/decisions/0110-archive.md`).
pub const ARCHIVE_DAY: &str = "mifeng/v1 archive day";
/// Begins what a sealed segment of an archive authenticates.
pub const ARCHIVE_SEGMENT: &str = "mifeng/v1 archive segment";

/// A key package begins to be valid so long before it is made, because clocks differ.
pub const KEY_PACKAGE_BEFORE_S: u64 = 24 * 3_600;
/// A key package is valid so long after it is made.
pub const KEY_PACKAGE_AFTER_S: u64 = 120 * 24 * 3_600;
/// The widest lifetime that anyone accepts.
pub const KEY_PACKAGE_WIDTH_MAX_S: u64 = KEY_PACKAGE_BEFORE_S + KEY_PACKAGE_AFTER_S;
/// The server hands a key package out only within so long of its upload.
pub const KEY_PACKAGE_HAND_OUT_S: u64 = 30 * 24 * 3_600;
