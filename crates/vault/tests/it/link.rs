//! Linking a device through a server that would like to take part.

use crate::Seeded;
use mifeng_vault::link::{LinkError, LinkOffer, LinkPackage, LinkSecret};
use mifeng_vault::{AccountKey, ArchiveKey, DeviceKey, Entropy};
use proptest::prelude::*;
use trust::{Action, ChainError, DeviceChain};
use wire::{DeviceId, InviteLink, TenantId, UserId};

const TENANT: TenantId = TenantId::from_bytes([1; 16]);
const USER: UserId = UserId::from_bytes([2; 16]);
const LAPTOP: DeviceId = DeviceId::from_bytes([3; 16]);
const PHONE: DeviceId = DeviceId::from_bytes([4; 16]);

fn secret(seed: u64) -> LinkSecret {
    LinkSecret::generate(&mut Seeded(seed))
}

fn person(seed: u64) -> (AccountKey, DeviceChain, DeviceKey) {
    let entropy: &mut dyn Entropy = &mut Seeded(seed);
    let (account, laptop, phone) =
        (AccountKey::generate(entropy), DeviceKey::generate(entropy), DeviceKey::generate(entropy));
    let chain = DeviceChain::open(TENANT, USER, &account.open_chain(TENANT, USER, LAPTOP, &laptop)).unwrap();
    (account, chain, phone)
}

fn offer(chain: &DeviceChain, phone: &DeviceKey) -> LinkOffer {
    LinkOffer::new("phone".into(), phone.offer_itself(chain, PHONE))
}

#[test]
fn both_devices_come_to_the_same_end() {
    let (account, chain, phone) = person(1);
    let ours = secret(2);
    let code = ours.to_code();
    let theirs = LinkSecret::from_code(&code.to_lowercase()).unwrap();
    let (ours, theirs) = (ours.keys(TENANT, USER).unwrap(), theirs.keys(TENANT, USER).unwrap());
    assert_eq!(ours.lookup(), theirs.lookup());

    let sealed = ours.seal_offer(&offer(&chain, &phone), &mut Seeded(3)).unwrap();
    let opened = theirs.open_offer(&sealed).unwrap();
    assert_eq!(opened.name, "phone");
    assert_eq!(ours.number(&sealed), theirs.number(&sealed));
    let entry = account.accept(&chain, &opened.entry).unwrap();
    let mut grown = chain.clone();
    grown.append(&entry, None).unwrap();
    assert!(grown.vouches_for(PHONE, &phone.public()));

    let package = LinkPackage::new("alice".into(), vec![entry], Some([5; 32]));
    let archive = [1, 2].map(|version| ArchiveKey::generate(version, version - 1, &mut Seeded(6)));
    let answer = theirs.seal_answer(&sealed, &account, &archive, &package, &mut Seeded(4)).unwrap();
    let read = ours.open_answer(&sealed, &answer).unwrap();
    assert_eq!((read.account.public(), read.package), (account.public(), package));
    let stored = |keys: &[ArchiveKey]| keys.iter().map(ArchiveKey::to_sealed_storage).collect::<Vec<_>>();
    assert_eq!(stored(&read.archive), stored(&archive));
}

#[test]
fn a22_a_link_code_is_no_invite_and_an_invite_is_no_link_code() {
    let code = secret(1).to_code();
    assert!(code.parse::<InviteLink>().is_err());
    assert!(code.parse::<wire::ServerLine>().is_err());
    let (host, tenant) = (String::from("localhost"), String::from("acme"));
    let invite = InviteLink { host, port: 1, tenant, code: "abcd".into(), ca: [7; 32] };
    let server = wire::ServerLine::from(&invite);
    for text in [invite.to_string(), server.to_string(), format!("mifeng-link:{invite}"), code.replacen(':', "//", 1)] {
        assert_eq!(LinkSecret::from_code(&text).unwrap_err(), LinkError::NotCode, "{text}");
    }
    assert!(LinkSecret::from_code(&format!("  {}\n", code.as_str())).is_ok(), "the control");
}

#[test]
fn a_wrong_character_is_noticed_before_the_server_is_asked() {
    let code = secret(1).to_code().to_string();
    let (start, mut noticed) = (code.find(':').unwrap() + 1, 0);
    for place in start..code.len() {
        for other in ["A", "7", "0"] {
            let mut wrong = code.clone();
            wrong.replace_range(place..=place, other);
            if wrong != code {
                assert_eq!(LinkSecret::from_code(&wrong).unwrap_err(), LinkError::NotCode, "{place}");
                noticed += 1;
            }
        }
    }
    assert!(noticed > 100);
    for cut in start..code.len() {
        assert!(LinkSecret::from_code(&code[..cut]).is_err(), "{cut}");
    }
    assert!(LinkSecret::from_code(&format!("{code}A")).is_err());
}

/// Every sealed text, under every key, in every role, for every user: it opens where it belongs only.
#[test]
fn a6_what_is_sealed_for_one_direction_user_or_code_opens_nowhere_else() {
    let (account, chain, phone) = person(1);
    let keys = secret(2).keys(TENANT, USER).unwrap();
    let sealed = keys.seal_offer(&offer(&chain, &phone), &mut Seeded(3)).unwrap();
    let other = keys.seal_offer(&offer(&chain, &phone), &mut Seeded(4)).unwrap();
    let package = LinkPackage::new("alice".into(), vec![], None);
    let answer = keys.seal_answer(&sealed, &account, &[], &package, &mut Seeded(5)).unwrap();

    assert_eq!(keys.open_offer(&answer).unwrap_err(), LinkError::NotAuthentic, "an answer as an offer");
    assert!(keys.open_answer(&sealed, &sealed).is_err(), "an offer as an answer");
    assert!(keys.open_answer(&other, &answer).is_err(), "the answer to another offer");
    assert_ne!(keys.number(&sealed), keys.number(&other));
    let (tenant, user) = (TenantId::from_bytes([9; 16]), UserId::from_bytes([9; 16]));
    for elsewhere in [secret(7).keys(TENANT, USER), secret(2).keys(tenant, USER), secret(2).keys(TENANT, user)] {
        let elsewhere = elsewhere.unwrap();
        assert_ne!(elsewhere.lookup(), keys.lookup());
        assert!(elsewhere.open_offer(&sealed).is_err() && elsewhere.open_answer(&sealed, &answer).is_err());
        assert_ne!(elsewhere.number(&sealed), keys.number(&sealed));
    }
    assert!(keys.open_offer(&sealed).is_ok() && keys.open_answer(&sealed, &answer).is_ok(), "the control");
}

#[test]
fn a1_the_server_can_neither_change_nor_make_an_offer() {
    let (_, chain, phone) = person(1);
    let keys = secret(2).keys(TENANT, USER).unwrap();
    let sealed = keys.seal_offer(&offer(&chain, &phone), &mut Seeded(3)).unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(keys.open_offer(&changed).is_err(), "{bit}");
    }
}

#[test]
fn a14_every_other_length_of_a_sealed_offer_is_refused() {
    let (_, chain, phone) = person(1);
    let keys = secret(2).keys(TENANT, USER).unwrap();
    let sealed = keys.seal_offer(&offer(&chain, &phone), &mut Seeded(3)).unwrap();
    for len in 0..sealed.len() {
        assert!(keys.open_offer(&sealed[..len]).is_err(), "{len}");
    }
    assert!(keys.open_offer(&[sealed, vec![0]].concat()).is_err());
}

#[test]
fn a4_the_account_signs_nothing_but_the_next_entry_of_its_own_chain() {
    let (account, chain, phone) = person(1);
    let (_, other_chain, other_phone) = person(2);
    let good = phone.offer_itself(&chain, PHONE);
    let stolen =
        mifeng_vault::OfferedEntry { possession: other_phone.offer_itself(&chain, PHONE).possession, ..good.clone() };
    let revoke = mifeng_vault::OfferedEntry {
        payload: wire::encode(&chain.next(Action::Revoke { device: LAPTOP })),
        possession: good.possession,
    };
    let rubbish = mifeng_vault::OfferedEntry { payload: b"rubbish".to_vec(), possession: good.possession };
    for (offered, expected) in [
        (phone.offer_itself(&other_chain, PHONE), ChainError::Broken),
        (phone.offer_itself(&chain, LAPTOP), ChainError::Forbidden),
        (stolen, ChainError::Signature),
        (revoke, ChainError::Forbidden),
        (rubbish, ChainError::Malformed),
    ] {
        assert_eq!(account.accept(&chain, &offered).unwrap_err(), expected);
    }
    assert!(account.accept(&chain, &good).is_ok(), "the control");
}

proptest! {
    #[test]
    fn any_text_is_a_code_that_returns_or_an_error(text: String) {
        if let Ok(secret) = LinkSecret::from_code(&text) {
            prop_assert!(LinkSecret::from_code(&secret.to_code()).is_ok());
        }
    }

    #[test]
    fn a18_any_bytes_are_refused_as_offer_and_answer(bytes: Vec<u8>) {
        let keys = secret(1).keys(TENANT, USER).unwrap();
        prop_assert!(keys.open_offer(&bytes).is_err());
        prop_assert!(keys.open_answer(&bytes, &bytes).is_err());
    }
}
