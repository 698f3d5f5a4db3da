//! No secret reaches `Debug`: the text of every secret-bearing type is pinned.

use crate::Seeded;
use mifeng_vault::password::{Login, Registration};
use mifeng_vault::{AccountKey, DatabaseKey, DeviceKey, FrankingKey};

#[test]
fn c6_debug_of_secrets_says_nothing() {
    let entropy = &mut Seeded(1);
    let texts = [
        format!("{:?}", AccountKey::generate(entropy)),
        format!("{:?}", DeviceKey::generate(entropy)),
        format!("{:?}", DatabaseKey::generate(entropy)),
        format!("{:?}", FrankingKey::generate(entropy)),
        format!("{:?}", Registration::start(b"password", entropy).unwrap().0),
        format!("{:?}", Login::start(b"password", entropy).unwrap().0),
    ];
    let names = ["AccountKey", "DeviceKey", "DatabaseKey", "FrankingKey", "Registration", "Login"];
    assert_eq!(texts.to_vec(), names.map(|name| format!("{name} {{ .. }}")).to_vec());
}
