//! How our groups are configured (`docs/decisions/0002-mls.md`).

use openmls::prelude::{Lifetime, MlsGroupJoinConfig, PURE_PLAINTEXT_WIRE_FORMAT_POLICY, SenderRatchetConfiguration};
use trust::registry::{KEY_PACKAGE_AFTER_S, KEY_PACKAGE_BEFORE_S};
use wire::UnixMillis;

/// Sealed messages are padded to a multiple of this. Most chat messages, with their signature and framing, fit into one or
/// two such classes, so that the server does not tell "yes" from "no, I will not come"; a longer text grows by a fifth at
/// most from 1 KiB on. 256 keeps a short message within one disk page of ciphertext.
pub(crate) const PADDING_BYTES: usize = 256;

/// Keys of so many skipped messages of a sender are kept within an epoch.
const OUT_OF_ORDER: u32 = 64;
/// So many messages of a sender may be missing within an epoch.
const FORWARD: u32 = 100_000;

pub(crate) fn ratchets() -> SenderRatchetConfiguration {
    SenderRatchetConfiguration::new(OUT_OF_ORDER, FORWARD)
}

pub(crate) fn join() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .padding_size(PADDING_BYTES)
        .max_past_epochs(0)
        .number_of_resumption_psks(0)
        .use_ratchet_tree_extension(false)
        .sender_ratchet_configuration(ratchets())
        .build()
}

/// Valid from a day before `now`, because clocks differ, to 120 days after.
pub(crate) fn lifetime(now: UnixMillis) -> Lifetime {
    let now_s = now / 1_000;
    Lifetime::init(now_s.saturating_sub(KEY_PACKAGE_BEFORE_S), now_s.saturating_add(KEY_PACKAGE_AFTER_S))
}
