//! A signature made for one purpose serves no other.

use crate::Seeded;
use ed25519_dalek::{Signer, SigningKey};
use mifeng_vault::{DeviceKey, NotMls};
use trust::{AccountPublicKey, AuthorityPublicKey, DevicePublicKey, Label, signature_input};
use wire::{DeviceId, TenantId};

/// Every kind of signature that a device makes, with the same key, offered to every verifier under every label, by
/// every kind of key: only the intended one accepts.
#[test]
fn a6_no_signature_verifies_for_another_purpose() {
    let key = DeviceKey::generate(&mut Seeded(6));
    let (challenge, tenant, device) = ([7; 32], TenantId::from_bytes([8; 16]), DeviceId::from_bytes([9; 16]));
    let login = trust::login::content(&challenge, tenant, device);
    let mls = mls_sign_content(b"FramedContentTBS", &login);

    let made =
        [(Some(Label::DeviceLogin), key.sign_login(&challenge, tenant, device)), (None, key.sign_mls(&mls).unwrap())];
    let bytes = *key.public().as_bytes();
    for (intended, signature) in made {
        for label in Label::ALL {
            for content in [login.as_slice(), mls.as_slice(), &signature_input(*label, &login)] {
                let accepted = DevicePublicKey::from_bytes(bytes).verify(*label, content, &signature).is_ok();
                assert_eq!(accepted, Some(*label) == intended && content == login, "{intended:?} as {label:?}");
                assert_eq!(AccountPublicKey::from_bytes(bytes).verify(*label, content, &signature).is_ok(), accepted);
                assert_eq!(AuthorityPublicKey::from_bytes(bytes).verify(*label, content, &signature).is_ok(), accepted);
            }
        }
    }
}

/// A signature for every purpose that there is, and for MLS, offered for every purpose that there is.
#[test]
fn a6_every_purpose_is_verified_for_itself_only() {
    let key = SigningKey::from_bytes(&[6; 32]);
    let public = DevicePublicKey::from_bytes(key.verifying_key().to_bytes());
    let content = b"the same content each time";
    let purposes = Label::ALL.iter().map(|label| (Some(label), signature_input(*label, content)));
    let mls = (None, mls_sign_content(b"LeafNodeTBS", content));
    let mut accepted = 0;
    for (intended, input) in purposes.chain([mls]) {
        let signature = key.sign(&input).to_bytes();
        for label in Label::ALL {
            let verified = public.verify(*label, content, &signature).is_ok();
            assert_eq!(verified, Some(label) == intended, "{intended:?} as {label:?}");
            accepted += usize::from(verified);
        }
    }
    assert_eq!(accepted, Label::ALL.len(), "each for itself");
}

#[test]
fn a6_the_mls_door_signs_nothing_else() {
    let key = DeviceKey::generate(&mut Seeded(6));
    let ours = Label::ALL.iter().map(|label| signature_input(*label, b"content"));
    let odd = [
        vec![],
        vec![8],
        b"MLS 1.0 ".to_vec(),
        [vec![200], b"MLS 1.0 x".to_vec()].concat(),
        [vec![7], b"MLS 1.0 ".to_vec()].concat(),
    ];
    for input in ours.chain(odd) {
        assert_eq!(key.sign_mls(&input), Err(NotMls), "{input:?}");
    }
}

/// RFC 8032 public keys of small order: a strict verifier accepts nothing under them.
#[test]
fn a15_low_order_keys_verify_nothing() {
    let mut identity = [0; 32];
    identity[0] = 1;
    for key in [[0; 32], identity, [0xff; 32]] {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&identity);
        for label in Label::ALL {
            assert!(DevicePublicKey::from_bytes(key).verify(*label, b"anything", &signature).is_err());
        }
    }
}

fn mls_sign_content(label: &[u8], content: &[u8]) -> Vec<u8> {
    let label = [b"MLS 1.0 ".as_slice(), label].concat();
    [&[label.len() as u8], label.as_slice(), &[0x40, content.len() as u8], content].concat()
}
