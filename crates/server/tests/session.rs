//! Joining and logging in: what is counted, what is said, what is not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test's help fails the test")]

mod harness;

use e2ee::KeyPackageUse;
use harness::{
    Server,
    line::Line,
    phone::{PASSWORD, Phone, Random, random},
};
use mifeng_server::admin::{DeleteTenant, Suite};
use std::time::Instant;
use vault::password::Login;
use wire::{DeviceId, ErrorCode, Refusal, request::*};

fn code<T: std::fmt::Debug>(result: Result<T, Refusal>) -> ErrorCode {
    result.unwrap_err().code().unwrap()
}

fn generous(config: &mut mifeng_server::config::Config) {
    config.limits.session_rate = mifeng_server::config::Rate { burst: 1_000_000, per_second: 1_000_000 };
}

async fn acme(change: impl FnOnce(&mut mifeng_server::config::Config)) -> Server {
    let server = Server::with(change).await;
    server.tenant("acme", Suite::Classical).await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_proves_a_password_and_a_wrong_one_proves_nothing() {
    let server = acme(generous).await;
    let alice = Phone::join(&server, "acme", "Alice").await;
    let (mut line, _) = Line::hello(&server, "acme").await;
    assert_eq!(code(alice.log_in(&mut line, "alice", "another password").await), ErrorCode::WrongCredentials);
    assert_eq!(code(alice.log_in(&mut line, "nobody", PASSWORD).await), ErrorCode::WrongCredentials);
    assert_eq!(alice.log_in(&mut line, "ＡＬＩＣＥ", PASSWORD).await.unwrap().user, alice.user);
    // A person is not a device.
    assert_eq!(code(line.call(&Sync {}).await), ErrorCode::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn b1_parallel_guesses_in_every_spelling_share_ten_attempts() {
    let server = acme(generous).await;
    Phone::join(&server, "acme", "alice").await;
    let spellings = ["alice", "Alice", "ALICE", "ａｌｉｃｅ", "ＡＬＩＣＥ", "aLiCe"];
    let mut guesses = tokio::task::JoinSet::new();
    let server = std::sync::Arc::new(server);
    for number in 0..256 {
        let server = std::sync::Arc::clone(&server);
        let handle = spellings[number % spellings.len()].to_owned();
        guesses.spawn(async move {
            let (mut line, _) = Line::hello(&server, "acme").await;
            let (_, ke1) = Login::start(format!("guess {number}").as_bytes(), &mut Random).unwrap();
            line.call(&LoginStart { handle, ke1 }).await.map(drop).map_err(|refusal| refusal.code().unwrap())
        });
    }
    let results = guesses.join_all().await;
    let answered = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(answered, rules::attempts::FREE as usize);
    assert!(results.iter().all(|result| matches!(result, Ok(()) | Err(ErrorCode::RateLimited))), "{results:?}");
    // Spaces and marks are no way around: such a handle does not exist at all.
    let (mut line, _) = Line::hello(&server, "acme").await;
    for spelling in ["alice ", " alice", "al\u{200b}ice", "alice\u{202e}"] {
        let (_, ke1) = Login::start(b"guess", &mut Random).unwrap();
        assert_eq!(code(line.call(&LoginStart { handle: spelling.into(), ke1 }).await), ErrorCode::InvalidHandle);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b1_a_right_password_clears_the_counter_and_only_that() {
    let server = acme(generous).await;
    let alice = Phone::join(&server, "acme", "alice").await;
    for round in 0..2 {
        for _ in 0..rules::attempts::FREE - 1 {
            let (mut line, _) = Line::hello(&server, "acme").await;
            let (_, ke1) = Login::start(b"guess", &mut Random).unwrap();
            assert!(line.call(&LoginStart { handle: "alice".into(), ke1 }).await.is_ok(), "round {round}");
        }
        let (mut line, _) = Line::hello(&server, "acme").await;
        assert!(alice.log_in(&mut line, "alice", PASSWORD).await.is_ok(), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b13_a_handle_that_does_not_exist_answers_like_one_that_does() {
    let server = acme(generous).await;
    Phone::join(&server, "acme", "alice").await;
    let mut shapes = [Vec::new(), Vec::new()];
    for round in 0..rules::attempts::FREE {
        for (index, handle) in ["alice".to_owned(), format!("nobody{}", round % 2)].into_iter().enumerate() {
            let (mut line, _) = Line::hello(&server, "acme").await;
            let (_, ke1) = Login::start(b"guess", &mut Random).unwrap();
            shapes[index].push(line.call(&LoginStart { handle, ke1 }).await.unwrap().ke2.len());
            assert_eq!(code(line.call(&LoginFinish { ke3: vec![9; 64] }).await), ErrorCode::WrongCredentials);
        }
    }
    assert_eq!(shapes[0], shapes[1]);
    // The counter of a handle that nobody has ends like that of one that somebody has.
    for handle in ["alice", "nobody0"] {
        let mut last = None;
        for _ in 0..=rules::attempts::FREE {
            let (mut line, _) = Line::hello(&server, "acme").await;
            let (_, ke1) = Login::start(b"guess", &mut Random).unwrap();
            last = line.call(&LoginStart { handle: handle.into(), ke1 }).await.err();
        }
        assert_eq!(last.and_then(|refusal| refusal.code()), Some(ErrorCode::RateLimited), "{handle}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_serves_one_connection_once() {
    let server = acme(generous).await;
    let alice = Phone::join(&server, "acme", "alice").await;
    let (mut first, greeting) = Line::hello(&server, "acme").await;
    let proof = alice.prove(&greeting);
    let (mut other, other_greeting) = Line::hello(&server, "acme").await;
    assert_ne!(greeting.challenge, other_greeting.challenge);
    assert_eq!(code(other.call(&proof).await), ErrorCode::InvalidSignature, "another connection's challenge");
    let right = alice.prove(&other_greeting);
    assert_eq!(code(other.call(&right).await), ErrorCode::Unauthenticated, "a challenge is good for one attempt");
    assert_eq!(first.call(&proof).await.unwrap().user, alice.user);
    let stranger = Authenticate { device: DeviceId::from_bytes(random()), signature: proof.signature };
    let (mut line, _) = Line::hello(&server, "acme").await;
    assert_eq!(code(line.call(&stranger).await), ErrorCode::InvalidSignature, "as for a wrong signature");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_that_is_unknown_used_or_expired_lets_nobody_in() {
    let server = acme(generous).await;
    let invite = server.invite("acme", 1, 60_000).await;
    let unknown = wire::invite_link::InviteLink { code: "a".repeat(32), ..invite.clone() };
    let refused = |result: Result<Phone, Refusal>| result.err().and_then(|refusal| refusal.code());
    assert_eq!(refused(Phone::join_by(&server, &unknown, "eve").await), Some(ErrorCode::InvalidInvite));
    assert!(Phone::join_by(&server, &invite, "alice").await.is_ok());
    assert_eq!(refused(Phone::join_by(&server, &invite, "eve").await), Some(ErrorCode::InvalidInvite));
    let short = server.invite("acme", 1, 1).await;
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    assert_eq!(refused(Phone::join_by(&server, &short, "eve").await), Some(ErrorCode::InvalidInvite));
    let taken = server.invite("acme", 1, 60_000).await;
    assert_eq!(refused(Phone::join_by(&server, &taken, "ALICE").await), Some(ErrorCode::AlreadyExists));
    assert!(Phone::join_by(&server, &taken, "bob").await.is_ok(), "a refusal uses nothing up");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_is_used_once_even_by_many_at_once() {
    let server = acme(generous).await;
    let invite = server.invite("acme", 1, 60_000).await;
    let mut joining = Vec::new();
    for number in 0..6 {
        let (mut line, greeting) = Line::hello(&server, "acme").await;
        let phone = Phone::new(&greeting, "acme", &format!("user{number}"));
        let finish = phone.register(&mut line, &invite.code).await.unwrap();
        joining.push((line, finish));
    }
    let mut begun = Vec::new();
    for (mut line, finish) in joining {
        let id = line.begin(&finish).await;
        begun.push((line, id));
    }
    let mut joined = 0;
    for (mut line, id) in begun {
        joined += usize::from(line.answer::<JoinFinish>(id).await.unwrap().is_ok());
    }
    assert_eq!(joined, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn joining_twice_with_the_same_device_is_joining_once() {
    let server = acme(generous).await;
    let invite = server.invite("acme", 1, 60_000).await;
    let (mut line, greeting) = Line::hello(&server, "acme").await;
    let alice = Phone::new(&greeting, "acme", "alice");
    let finish = alice.register(&mut line, &invite.code).await.unwrap();
    line.call(&finish).await.unwrap();
    line.call(&finish).await.unwrap();
    let other = Phone::new(&greeting, "acme", "alice");
    let entry = other.account.open_chain(alice.tenant, alice.user, other.device, &other.key);
    let stolen = JoinFinish { chain_entry: entry, ..finish.clone() };
    assert_ne!(line.call(&stolen).await.err().and_then(|refusal| refusal.code()), None, "another device is no repeat");
    let forged = JoinFinish { chain_entry: SignedEntry { signature: [1; 64], ..finish.chain_entry.clone() }, ..finish };
    assert_eq!(code(line.call(&forged).await), ErrorCode::InvalidSignature);
    assert!(alice.connect(&server).await.call(&Sync {}).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_tenants_and_versions_are_told() {
    let server = acme(generous).await;
    let mut line = Line::connect(&server).await;
    let hello = |version, tenant: &str| Hello { version, tenant: tenant.into(), agent: "test".into() };
    assert_eq!(code(line.call(&hello(2, "acme")).await), ErrorCode::UnsupportedVersion);
    for name in ["acm", "Acme", "acme ", "ａｃｍｅ", ""] {
        assert_eq!(code(line.call(&hello(1, name)).await), ErrorCode::UnknownTenant, "{name:?}");
    }
    assert!(line.call(&hello(1, "acme")).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destroyed_tenant_ends_its_connections_and_is_unknown() {
    let server = acme(generous).await;
    let alice = Phone::join(&server, "acme", "alice").await;
    let mut line = alice.connect(&server).await;
    server.admin().call_async(&DeleteTenant { name: "acme".into() }).await.unwrap();
    assert_eq!(line.gone().await, harness::line::Gone(Some(4003)));
    let mut line = Line::connect(&server).await;
    let hello = Hello { version: 1, tenant: "acme".into(), agent: "test".into() };
    assert_eq!(code(line.call(&hello).await), ErrorCode::UnknownTenant);
}

#[tokio::test(flavor = "multi_thread")]
async fn a8_the_quota_of_claims_ends_and_no_package_is_handed_out_twice() {
    let server = acme(generous).await;
    let (alice, bob) = (Phone::join(&server, "acme", "alice").await, Phone::join(&server, "acme", "bob").await);
    let (mut to_alice, mut to_bob) = (alice.connect(&server).await, bob.connect(&server).await);
    bob.publish(&mut to_bob, 5).await;
    let mut seen = std::collections::BTreeMap::<Vec<u8>, usize>::new();
    let claim = || ClaimKeyPackages { user: bob.user, devices: vec![], idempotency_key: random() };
    for _ in 0..rules::key_package::CLAIMS_PER_PAIR_PER_DAY {
        let claimed = to_alice.call(&claim()).await.unwrap();
        *seen.entry(claimed.packages[0].bytes.clone()).or_default() += 1;
    }
    assert_eq!(code(to_alice.call(&claim()).await), ErrorCode::QuotaExceeded);
    assert_eq!(seen.values().filter(|count| **count == 1).count(), 5, "one-time packages");
    assert_eq!(seen.len(), 6, "and the last resort");
    assert!(to_bob.call(&Sync {}).await.unwrap().key_packages.last_resort_used);
}

#[tokio::test(flavor = "multi_thread")]
async fn b13_who_looks_everybody_up_is_stopped_whether_they_exist_or_not() {
    let server = acme(|config| {
        generous(config);
        (config.limits.lookups_per_user, config.limits.lookups_per_tenant) = (20, 30);
    })
    .await;
    let (alice, bob) = (Phone::join(&server, "acme", "alice").await, Phone::join(&server, "acme", "bob").await);
    let mut line = alice.connect(&server).await;
    let find = |handle: String| FindUser { handle };
    for number in 0..20 {
        let found = line.call(&find(if number % 2 == 0 { "bob".into() } else { format!("nobody{number}") })).await;
        assert_eq!(found.is_ok(), number % 2 == 0, "{number}");
    }
    for handle in ["bob", "alice", "nobody", "nobody1"] {
        assert_eq!(code(line.call(&find(handle.into())).await), ErrorCode::QuotaExceeded, "{handle}");
    }
    line.close().await;
    let mut again = alice.connect(&server).await;
    assert_eq!(code(again.call(&find("bob".into())).await), ErrorCode::QuotaExceeded, "connecting anew gives nothing");
    again.call(&Sync {}).await.unwrap();
    let mut to_bob = bob.connect(&server).await;
    for number in 0..10 {
        assert_eq!(code(to_bob.call(&find(format!("nobody{number}"))).await), ErrorCode::NotFound);
    }
    assert_eq!(code(to_bob.call(&find("alice".into())).await), ErrorCode::QuotaExceeded, "the tenant's is used up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a4_a_device_publishes_its_own_key_packages_only() {
    let server = acme(generous).await;
    let (alice, bob) = (Phone::join(&server, "acme", "alice").await, Phone::join(&server, "acme", "bob").await);
    let mut to_alice = alice.connect(&server).await;
    for package in [bob.key_package(KeyPackageUse::Once), alice.key_package(KeyPackageUse::LastResort), vec![1, 2, 3]] {
        let publish = PublishKeyPackages { one_time: vec![package.into()], last_resort: None };
        let refusal = code(to_alice.call(&publish).await);
        assert!(matches!(refusal, ErrorCode::InvalidKeyPackage | ErrorCode::Malformed), "{refusal}");
    }
    let publish =
        PublishKeyPackages { one_time: vec![alice.key_package(KeyPackageUse::Once).into()], last_resort: None };
    assert_eq!(to_alice.call(&publish).await.unwrap().one_time, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn c10_who_asks_too_often_is_told_when_to_come_again() {
    use mifeng_server::config::Rate;
    let slow = Rate { burst: 5, per_second: 1 };
    let server = acme(|config| (config.limits.read_rate, config.limits.tenant_rate) = (slow, slow)).await;
    let (alice, bob) = (Phone::join(&server, "acme", "alice").await, Phone::join(&server, "acme", "bob").await);
    let mut line = alice.connect(&server).await;
    for _ in 0..5 {
        line.call(&Sync {}).await.unwrap();
    }
    let refusal = line.call(&Sync {}).await.unwrap_err();
    assert_eq!(refusal.code(), Some(ErrorCode::RateLimited));
    assert!(refusal.retry_after_ms.is_some_and(|ms| (1..=1_000).contains(&ms)), "{refusal:?}");
    line.close().await;
    let mut again = alice.connect(&server).await;
    assert_eq!(code(again.call(&Sync {}).await), ErrorCode::RateLimited, "connecting again fills nothing");
    // The tenant's bucket is empty too, so that its other devices wait with it.
    let mut to_bob = bob.connect(&server).await;
    assert_eq!(code(to_bob.call(&Sync {}).await), ErrorCode::RateLimited);

    let server = acme(|config| config.limits.session_rate = slow).await;
    let mut greeted = 0;
    let mut line = Line::connect(&server).await;
    let hello = Hello { version: 2, tenant: "acme".into(), agent: "test".into() };
    while line.call(&hello).await.unwrap_err().code() == Some(ErrorCode::UnsupportedVersion) {
        greeted += 1;
    }
    assert!((5..8).contains(&greeted), "{greeted}");
    let mut other = Line::connect(&server).await;
    assert_eq!(code(other.call(&hello).await), ErrorCode::RateLimited, "a second connection of the same source");
}

/// The largest distance between the two distributions (Kolmogorov-Smirnov).
fn ks_distance(one: &mut [f64], other: &mut [f64]) -> f64 {
    one.sort_by(f64::total_cmp);
    other.sort_by(f64::total_cmp);
    let share = |of: &[f64], at: f64| of.partition_point(|value| *value <= at) as f64 / of.len() as f64;
    one.iter().chain(other.iter()).map(|at| (share(one, *at) - share(other, *at)).abs()).fold(0.0, f64::max)
}

/// By turns, now the one first and now the other, so that what else runs on the machine disturbs both alike. The threshold is
/// that of p = 0.0001; a difference that is there is found three times, one that chance made is not.
#[tokio::test(flavor = "multi_thread")]
async fn b13_times_do_not_tell_who_exists() {
    let mut distances = Vec::new();
    for _ in 0..3 {
        let [mut known, mut unknown] = login_times().await;
        let limit = 2.23 * (2.0 / known.len() as f64).sqrt();
        distances.push(ks_distance(&mut known, &mut unknown));
        // What the measure must not overlook.
        known.iter_mut().for_each(|time| *time *= 1.5);
        assert!(ks_distance(&mut known, &mut unknown) > limit, "half as much again is not noticed");
        println!("b13: KS distances {distances:.4?}, limit {limit:.4}, {} times each", known.len());
        if distances.last().is_some_and(|distance| *distance < limit) {
            return;
        }
    }
    panic!("{distances:?} are all above the limit");
}

/// How long the first step of a login takes, by turns for handles that exist and for others.
async fn login_times() -> [Vec<f64>; 2] {
    const HANDLES: u32 = 150;
    let server = acme(generous).await;
    let tenant = server.node().tenants.named("acme").await.unwrap().unwrap();
    let stored = tenant.store.write(|tx| {
        let record = tx.secret(mifeng_server::tenants::FAKE_OPAQUE_RECORD)?.unwrap_or_default();
        for number in 0..HANDLES {
            let handle = format!("known{number}");
            let new = store::NewUser {
                user: wire::UserId::from_bytes(random()),
                handle: &handle,
                normalised_handle: &handle,
                account_key: trust::AccountPublicKey::from_bytes([1; 32]),
                opaque_record: &record,
            };
            tx.create_user(new, 1)?;
        }
        Ok::<_, store::Error>(())
    });
    stored.await.unwrap();
    let mut times = [Vec::new(), Vec::new()];
    let (_, ke1) = Login::start(b"guess", &mut Random).unwrap();
    for _ in 0..rules::attempts::FREE {
        // A stranger's connection carries only so much.
        let (mut line, _) = Line::hello(&server, "acme").await;
        for number in 0..HANDLES {
            let first = usize::from(random::<1>()[0] % 2);
            for class in [first, 1 - first] {
                let name = ["known", "other"][class];
                let start = LoginStart { handle: format!("{name}{number}"), ke1: ke1.clone() };
                let begun = Instant::now();
                line.call(&start).await.unwrap();
                times[class].push(begun.elapsed().as_secs_f64());
            }
        }
    }
    times
}
