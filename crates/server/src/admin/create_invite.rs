//! Makes an invite. Its code is shown once and never stored: the database has a keyed hash of it.

use super::Endpoint;
use crate::{
    gateway::failure::Failure,
    node::Node,
    process::Addresses,
    random,
    tls::{Plane, load},
};
use aws_lc_rs::digest;
use rules::admin::AdminOp;
use serde::{Deserialize, Serialize};
use store::{Actor, NewAuditEntry, NewInvite, Tx};
use wire::{ErrorCode, InviteId, Refusal, invite_link::InviteLink};

/// For whom and how long.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateInvite {
    /// The tenant's name.
    pub tenant: String,
    /// How long it is good.
    pub life_ms: u64,
    /// How many people it lets in.
    pub uses: u32,
}

/// What was made. It holds a bearer secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct MadeInvite {
    /// Names it to the operator.
    pub id: String,
    /// Redeems it.
    pub code: String,
    /// The line to hand over: server, fingerprint, tenant, code.
    pub link: String,
    /// Not good from this moment on, in Unix milliseconds.
    pub expires_at: u64,
}

impl Endpoint for CreateInvite {
    const OP: AdminOp = AdminOp::CreateInvite;
    type Answer = MadeInvite;
}

/// 160 bits: no guess at a code will ever be right.
const CODE_BYTES: usize = 20;

pub(super) async fn act(node: &Node, request: CreateInvite) -> Result<MadeInvite, Failure> {
    let tenant = node.tenants.named(&request.tenant).await?.ok_or_else(|| {
        Refusal::with_detail(ErrorCode::UnknownTenant, format!("there is no tenant {}", request.tenant))
    })?;
    let now = node.clock.now();
    let terms = rules::invite::terms(now, request.life_ms, request.uses).ok_or_else(|| {
        Refusal::with_detail(ErrorCode::Malformed, "an invite lives at most 90 days and lets in 1 to 1000 people")
    })?;
    let invite = InviteId::from_bytes(random::bytes()?);
    let code = base32(&random::bytes::<CODE_BYTES>()?);
    let link = link(node, &tenant.name, &code)?;
    let stored = code.clone();
    let made = tenant.store.write(move |tx: &mut Tx<'_>| {
        let made = tx.create_invite(NewInvite { invite, code: &stored, terms, created_by: None }, now)?;
        let operation = AdminOp::CreateInvite.as_str();
        let objects = [*invite.as_bytes()];
        tx.record_audit(NewAuditEntry {
            at: now,
            actor: Actor::Operator,
            operation,
            outcome: "ok",
            objects: &objects,
        })?;
        if made { Ok(()) } else { Err(Failure::internal("a random invite exists already")) }
    });
    made.await?;
    tracing::info!(tenant = %tenant.name, %invite, uses = request.uses, "invite made");
    Ok(MadeInvite { id: invite.to_string(), code, link: link.to_string(), expires_at: terms.expires_at })
}

fn link(node: &Node, tenant: &str, code: &str) -> Result<InviteLink, Failure> {
    let chain = load::chain(&Plane::Clients.files(&node.data).ca()).map_err(Failure::internal)?;
    let ca = chain.first().ok_or_else(|| Failure::internal("no authority"))?;
    let fingerprint = digest::digest(&digest::SHA256, ca);
    let port = Addresses::read(&node.data).map_err(Failure::internal)?.clients.port();
    Ok(InviteLink {
        host: node.config.clients.host.clone(),
        port,
        tenant: tenant.into(),
        code: code.into(),
        ca: fingerprint.as_ref().try_into().map_err(|_| Failure::internal("SHA-256 has 32 bytes"))?,
    })
}

/// RFC 4648 §6, in lower case and without padding: no character that people confuse, none that a shell reads.
fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut buffer, mut bits) = (0_u32, 0);
    for byte in bytes {
        buffer = buffer << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            let index = (buffer >> bits) & 31;
            text.extend(ALPHABET.get(index as usize).map(|letter| char::from(*letter)));
        }
    }
    if bits > 0 {
        let index = (buffer << (5 - bits)) & 31;
        text.extend(ALPHABET.get(index as usize).map(|letter| char::from(*letter)));
    }
    text
}

impl std::fmt::Debug for MadeInvite {
    /// Without the code.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MadeInvite").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_is_that_of_the_rfc() {
        for (bytes, text) in [("", ""), ("f", "my"), ("fo", "mzxq"), ("foo", "mzxw6"), ("foobar", "mzxw6ytboi")] {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
        assert_eq!(base32(&[0xff; 20]).len(), 32);
    }

    #[test]
    fn c6_debug_hides_the_code() {
        let invite = MadeInvite { id: "inv_1".into(), code: "canary".into(), link: "x#canary".into(), expires_at: 0 };
        assert!(!format!("{invite:?}").contains("canary"));
    }
}
