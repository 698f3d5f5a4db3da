//! No secret reaches `Debug`: the text of every secret-bearing type is pinned.

use crate::Seeded;
use mifeng_vault::link::LinkSecret;
use mifeng_vault::password::{Login, Registration};
use mifeng_vault::{AccountKey, DatabaseKey, DeviceKey, FrankingKey};

#[test]
fn c6_debug_of_secrets_says_nothing() {
    let entropy = &mut Seeded(1);
    let (tenant, user) = (wire::TenantId::from_bytes([1; 16]), wire::UserId::from_bytes([2; 16]));
    let texts = [
        format!("{:?}", AccountKey::generate(entropy)),
        format!("{:?}", DeviceKey::generate(entropy)),
        format!("{:?}", DatabaseKey::generate(entropy)),
        format!("{:?}", FrankingKey::generate(entropy)),
        format!("{:?}", LinkSecret::generate(entropy)),
        format!("{:?}", LinkSecret::generate(entropy).keys(tenant, user).unwrap()),
        format!("{:?}", Registration::start(b"password", entropy).unwrap().0),
        format!("{:?}", Login::start(b"password", entropy).unwrap().0),
    ];
    let names =
        ["AccountKey", "DeviceKey", "DatabaseKey", "FrankingKey", "LinkSecret", "LinkKeys", "Registration", "Login"];
    assert_eq!(texts.to_vec(), names.map(|name| format!("{name} {{ .. }}")).to_vec());
}
