//! Devices that only log in: real keys, real device chains, real logins, and no MLS behind them. Idle connections and logins
//! are measured with these, because a server cannot tell them from others and thousands of whole clients would take hours.

use super::line::{Socket, Target, ask};
use super::stage::{Stage, TENANT};
use anyhow::{Context, Result, anyhow};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use trust::{AccountPublicKey, DevicePublicKey, Label, chain, login, signature_input};
use wire::request::{Authenticate, Authenticated, Greeting, Hello, JoinFinish, SignedEntry};
use wire::{DeviceId, TenantId, UserId};

/// A device that has joined.
pub(super) struct Device {
    id: DeviceId,
    key: Ed25519KeyPair,
}

/// Joins of one connection: a stranger may send 64 KiB.
const JOINS: usize = 32;
/// How many an invite lets in at most (`rules::invite`).
const USES_MAX: usize = 1_000;

/// Makes accounts, each with one device. All of them have the password registration of `upload`.
pub(super) async fn join(stage: &Stage, upload: &[u8], count: usize) -> Result<Vec<Device>> {
    let target = stage.target()?;
    let mut devices = Vec::with_capacity(count);
    while devices.len() < count {
        let uses = USES_MAX.min(count - devices.len());
        let code = stage.invite(u32::try_from(uses)?)?.code;
        for begin in (0..uses).step_by(JOINS) {
            let mut socket = target.connect().await?;
            let tenant = hello(&mut socket).await?.tenant;
            for _ in begin..uses.min(begin + JOINS) {
                let (device, chain_entry) = Device::new(tenant)?;
                let handle = format!("device{}", devices.len());
                let registration_upload = upload.to_vec();
                ask(&mut socket, &JoinFinish { invite: code.clone(), handle, registration_upload, chain_entry })
                    .await?;
                devices.push(device);
            }
        }
    }
    Ok(devices)
}

impl Device {
    /// A device and its account, with the entry that opens its chain.
    fn new(tenant: TenantId) -> Result<(Self, SignedEntry)> {
        let key = || Ed25519KeyPair::generate().map_err(|_| anyhow!("no key could be made"));
        let (account, device) = (key()?, key()?);
        let (user, id) = (UserId::from_bytes(random()?), DeviceId::from_bytes(random()?));
        let account_key = AccountPublicKey::from_bytes(public(&account)?);
        let entry = chain::opening(tenant, user, account_key, id, DevicePublicKey::from_bytes(public(&device)?));
        let payload = wire::encode(&entry);
        let signature = sign(&account, Label::ChainEntry, &payload)?;
        let possession = Some(sign(&device, Label::DevicePossession, &payload)?);
        Ok((Self { id, key: device }, SignedEntry { payload, signature, possession }))
    }

    /// Connects and proves itself.
    pub(super) async fn login(&self, target: &Target) -> Result<Socket> {
        let mut socket = target.connect().await?;
        let Greeting { tenant, challenge, .. } = hello(&mut socket).await?;
        let signature = sign(&self.key, Label::DeviceLogin, &login::content(&challenge, tenant, self.id))?;
        let _: Authenticated = ask(&mut socket, &Authenticate { device: self.id, signature }).await?;
        Ok(socket)
    }
}

async fn hello(socket: &mut Socket) -> Result<Greeting> {
    let agent = concat!("mifeng/", env!("CARGO_PKG_VERSION")).into();
    ask(socket, &Hello { version: 1, tenant: TENANT.into(), agent }).await
}

fn sign(key: &Ed25519KeyPair, label: Label, content: &[u8]) -> Result<[u8; 64]> {
    key.sign(&signature_input(label, content)).as_ref().try_into().context("a signature of another length")
}

fn public(key: &Ed25519KeyPair) -> Result<[u8; 32]> {
    key.public_key().as_ref().try_into().context("a key of another length")
}

fn random() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).context("the system gives no random bytes")?;
    Ok(bytes)
}
